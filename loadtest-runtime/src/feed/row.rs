//! A row of a CSV file as it is: text by column.
//!
//! The main type is [`Row`]. It keeps the text of all its fields in one piece, and the columns' names once for
//! all rows, so that a feed of rows is not much larger than its file.

use std::sync::Arc;

use csv::StringRecord;

/// A row of a CSV file, made by [`Feed::rows`](super::Feed::rows).
///
/// # Examples
/// ```
/// use loadtest_runtime::feed::Feed;
///
/// let seats = Feed::rows_text("row,seat\nA,17\n")?;
/// let seat = &seats.items()[0];
/// assert_eq!(seat.get("seat"), Some("17"));
/// assert_eq!(seat.fields().collect::<Vec<_>>(), ["A", "17"]);
/// # Ok::<(), loadtest_runtime::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    columns: Arc<[Box<str>]>,
    text: Box<str>,
    /// Where each field ends in `text`.
    ends: Box<[u32]>,
}

impl Row {
    /// `None` if it is too long to be kept.
    pub(super) fn new(columns: Arc<[Box<str>]>, record: &StringRecord) -> Option<Self> {
        let mut end = 0usize;
        let ends: Option<_> = record
            .iter()
            .map(|field| {
                end += field.len();
                u32::try_from(end).ok()
            })
            .collect();
        Some(Self { columns, text: record.as_slice().into(), ends: ends? })
    }

    /// The field of the first column with this name; `None` if there is none, or no header.
    pub fn get(&self, column: &str) -> Option<&str> {
        let index = self.columns.iter().position(|name| **name == *column)?;
        self.field(index)
    }

    /// The field at this position, from 0.
    pub fn field(&self, index: usize) -> Option<&str> {
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start as usize..*self.ends.get(index)? as usize)
    }

    /// All fields, in the order of the columns.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).filter_map(|index| self.field(index))
    }

    /// The names of the columns, the same for all rows; empty without a header.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(AsRef::as_ref)
    }
}
