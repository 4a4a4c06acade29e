//! Items from CSV: one row after the other, through one buffer.
//!
//! The main type is [`Csv`], which says what kind of CSV it is. Fields are never trimmed or guessed: what a
//! row says is what the item gets.

use std::cell::Cell;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use csv::{ByteRecord, DeserializeErrorKind, ErrorKind, ReaderBuilder, StringRecord};
use serde::de::DeserializeOwned;

use super::source::Source;
use super::{Feed, Row};
use crate::error::Result;

/// How a CSV file is written, where that is not the usual: commas, a header, quotes around what needs them.
///
/// UTF-8 with or without a byte order mark, `\n` or `\r\n`; empty lines are skipped; spaces around the names
/// in the header are not part of them.
///
/// # Examples
/// ```
/// use loadtest_runtime::feed::{Csv, Feed};
///
/// let seats: Feed<(String, u32)> = Csv::new().delimiter(b';').without_header().parse("A;1\nB;2\n")?;
/// assert_eq!(seats.items()[1], ("B".to_owned(), 2));
/// # Ok::<(), loadtest_runtime::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Csv {
    delimiter: u8,
    comment: Option<u8>,
    header: bool,
}

impl Default for Csv {
    fn default() -> Self {
        Self::new()
    }
}

impl Csv {
    /// Commas, a header, no comments.
    pub const fn new() -> Self {
        Self { delimiter: b',', comment: None, header: true }
    }

    /// The character between fields: `b';'`, `b'\t'`.
    pub const fn delimiter(self, delimiter: u8) -> Self {
        Self { delimiter, ..self }
    }

    /// Lines that begin with this character are skipped: `b'#'`.
    pub const fn comment(self, comment: u8) -> Self {
        Self { comment: Some(comment), ..self }
    }

    /// The first row is an item too. Fields are then told apart by their position: items are tuples,
    /// `Vec<String>`, or structs with their fields in the order of the columns.
    pub const fn without_header(self) -> Self {
        Self { header: false, ..self }
    }

    /// Reads a file into items of a type of yours.
    ///
    /// # Errors
    /// If the file cannot be read, a row is not of this type, or there is none.
    #[track_caller]
    pub fn read<T: DeserializeOwned>(self, path: impl AsRef<Path>) -> Result<Feed<T>> {
        Feed::read(Source::File(path.as_ref()), |source| self.typed(source))
    }

    /// As [`Csv::read`], from text.
    ///
    /// # Errors
    /// As [`Csv::read`].
    #[track_caller]
    pub fn parse<T: DeserializeOwned>(self, text: &str) -> Result<Feed<T>> {
        Feed::read(Source::Text(text), |source| self.typed(source))
    }

    /// Reads a file into rows of text.
    ///
    /// # Errors
    /// If the file cannot be read, its rows are not equally long, or there is none.
    #[track_caller]
    pub fn rows(self, path: impl AsRef<Path>) -> Result<Feed<Row>> {
        Feed::read(Source::File(path.as_ref()), |source| self.raw(source))
    }

    /// As [`Csv::rows`], from text.
    ///
    /// # Errors
    /// As [`Csv::rows`].
    #[track_caller]
    pub fn parse_rows(self, text: &str) -> Result<Feed<Row>> {
        Feed::read(Source::Text(text), |source| self.raw(source))
    }

    fn typed<T: DeserializeOwned>(self, source: &Source<'_>) -> Result<Vec<T>, String> {
        self.collect(source, |record, header| record.deserialize(header).map_err(|error| Problem::of(&error)))
    }

    fn raw(self, source: &Source<'_>) -> Result<Vec<Row>, String> {
        let mut columns: Option<Arc<[Box<str>]>> = None;
        self.collect(source, |record, header| {
            let names = || header.into_iter().flatten().map(Box::from).collect();
            Row::new(Arc::clone(columns.get_or_insert_with(names)), record).ok_or_else(Problem::too_long)
        })
    }

    /// Makes an item of each row.
    fn collect<T>(
        self,
        source: &Source<'_>,
        mut item: impl FnMut(&StringRecord, Option<&StringRecord>) -> Result<T, Problem>,
    ) -> Result<Vec<T>, String> {
        let seen = Seen::default();
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .comment(self.comment)
            // The header and the number of fields are looked at here, where more can be said about them.
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(64 * 1024)
            .from_reader(Watched { inner: source.open()?, seen: &seen });
        let mut record = ByteRecord::new();
        let mut header: Option<StringRecord> = None;
        let mut width = None;
        let mut items = Vec::new();
        let mut open_since = None;
        while reader.read_byte_record(&mut record).map_err(|error| unread(source, error))? {
            let expected = *width.get_or_insert(record.len());
            let made = if record.len() == expected {
                match StringRecord::from_byte_record(record) {
                    Ok(row) => {
                        let made = if self.header && header.is_none() {
                            let names = header.insert(row.clone());
                            names.trim();
                            Ok(())
                        } else {
                            item(&row, header.as_ref()).map(|item| items.push(item))
                        };
                        // The same buffer for all rows.
                        record = row.into_byte_record();
                        made
                    }
                    Err(error) => {
                        let problem = Problem::not_text(error.utf8_error().field());
                        record = error.into_byte_record();
                        Err(problem)
                    }
                }
            } else {
                Err(Problem::uneven(record.len(), expected, self))
            };
            if let Err(problem) = made {
                let line = line_of(&record, reader.position(), &seen);
                return Err(problem.describe(source, line, header.as_ref(), &record));
            }
            // Only what is quoted can hold a line break.
            let breaks = record.iter().next_back().is_some_and(|field| field.contains(&b'\n'));
            open_since = breaks.then(|| reader.position().line().saturating_sub(breaks_in(&record)));
        }
        // The last row may have swallowed all others. A comment may follow it, so then there is no telling.
        if let Some(line) = open_since
            && self.comment.is_none()
            && seen.last_visible.get() != b'"'
        {
            return Err(Problem::unclosed().describe(source, line, None, &record));
        }
        if items.is_empty() {
            let has = if header.is_some() { "it has a header and no rows" } else { "it is empty" };
            return Err(source.empty(has));
        }
        Ok(items)
    }
}

/// What is wrong with a row.
struct Problem {
    /// The field, from 0, if it is one.
    field: Option<usize>,
    what: String,
    hint: Option<String>,
}

impl Problem {
    fn of(error: &csv::Error) -> Self {
        let ErrorKind::Deserialize { err, .. } = error.kind() else {
            return Self { field: None, what: error.to_string(), hint: None };
        };
        let hint = match err.kind() {
            DeserializeErrorKind::ParseBool(_)
            | DeserializeErrorKind::ParseInt(_)
            | DeserializeErrorKind::ParseFloat(_) => {
                Some("correct the row, or let the field be an Option or a String".to_owned())
            }
            DeserializeErrorKind::UnexpectedEndOfRow => {
                Some("the item has more fields than the file has columns".to_owned())
            }
            _ => None,
        };
        let field = err.field().and_then(|field| usize::try_from(field).ok());
        Self { field, what: err.kind().to_string(), hint }
    }

    fn not_text(field: usize) -> Self {
        let hint = Some("save the file in the encoding UTF-8".to_owned());
        Self { field: Some(field), what: "not UTF-8".to_owned(), hint }
    }

    fn uneven(len: usize, expected: usize, csv: Csv) -> Self {
        let of = if csv.header { "the header" } else { "the first row" };
        let delimiter = char::from(csv.delimiter).escape_default();
        Self {
            field: None,
            what: format!("{len} fields, but {of} has {expected}"),
            hint: Some(format!("a field that contains `{delimiter}` or a line break needs quotes around it")),
        }
    }

    fn unclosed() -> Self {
        let hint = Some("a quote within quotes is written twice: `\"5\"\" pipe\"`".to_owned());
        Self { field: None, what: "a quote opens in this row and is not closed".to_owned(), hint }
    }

    fn too_long() -> Self {
        Self { field: None, what: "a row of more than 4 GiB".to_owned(), hint: None }
    }

    fn describe(
        self,
        source: &Source<'_>,
        line: u64,
        header: Option<&StringRecord>,
        row: &ByteRecord,
    ) -> String {
        let place = match self.field {
            Some(field) => match header.and_then(|header| header.get(field)) {
                Some(name) => format!("line {line}, column `{}`", shortened(name)),
                None => format!("line {line}, column {}", field + 1),
            },
            None => format!("line {line}"),
        };
        let value = match self.field.and_then(|field| row.get(field)) {
            Some(value) => format!(": `{}`", shortened(&String::from_utf8_lossy(value))),
            None => String::new(),
        };
        let hint = self.hint.or_else(|| header.map(about_header)).map(|hint| format!("\nhint: {hint}"));
        let hint = hint.unwrap_or_default();
        format!("the feed from {source} can't be read: {place}: {}{value}{hint}", self.what)
    }
}

/// What the header has, for whoever misses a field of it.
fn about_header(header: &StringRecord) -> String {
    let only = if header.len() == 1 { header.get(0) } else { None };
    let other = only.and_then(|name| [';', '\t', '|', ','].into_iter().find(|&byte| name.contains(byte)));
    if let Some(delimiter) = other {
        let delimiter = delimiter.escape_default();
        return format!(
            "`{delimiter}` seems to be between the fields: Csv::new().delimiter(b'{delimiter}').read(..)"
        );
    }
    let mut names: Vec<_> = header.iter().take(20).map(|name| format!("`{}`", shortened(name))).collect();
    if header.len() > names.len() {
        names.push("..".to_owned());
    }
    format!("the header has {}; #[serde(rename = \"..\")] names a column differently", names.join(", "))
}

/// Text of a file for a message: one line, not too long.
fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        shown.push_str("..");
    }
    shown
}

fn unread(source: &Source<'_>, error: csv::Error) -> String {
    match error.into_kind() {
        ErrorKind::Io(error) => source.unreadable(&error),
        // A flexible reader of bytes has no other errors than those of the file.
        kind => format!("the feed from {source} can't be read: {kind:?}"),
    }
}

/// What went by on the way to the CSV reader, to tell lines as an editor counts them.
#[derive(Debug, Default)]
struct Seen {
    bytes: Cell<u64>,
    last: Cell<u8>,
    /// The last one that is no line break.
    last_visible: Cell<u8>,
    /// Whether the first line ended with `\r\n`.
    crlf: Cell<Option<bool>>,
}

struct Watched<'a, R> {
    inner: R,
    seen: &'a Seen,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let (seen, bytes) = (self.seen, &buffer[..read]);
        if seen.crlf.get().is_none()
            && let Some(at) = bytes.iter().position(|&byte| byte == b'\n')
        {
            let before = if at == 0 { seen.last.get() } else { bytes[at - 1] };
            seen.crlf.set(Some(before == b'\r'));
        }
        seen.bytes.set(seen.bytes.get() + read as u64);
        if let Some(&byte) = bytes.iter().rfind(|byte| !b"\r\n".contains(byte)) {
            seen.last_visible.set(byte);
        }
        seen.last.set(bytes.last().copied().unwrap_or(seen.last.get()));
        Ok(read)
    }
}

/// The line, from 1, in which the row that was just read begins.
///
/// The reader's own position of a row is that before the empty lines in front of it, and with `\r\n` before
/// the `\n` of the previous row; so it is counted back from the end. The reader stands behind the `\n` of the
/// row, if that is how rows end, and before it with `\r\n`.
fn line_of(row: &ByteRecord, after: &csv::Position, seen: &Seen) -> u64 {
    let unended = after.byte() == seen.bytes.get() && seen.last.get() != b'\n';
    let ended = u64::from(seen.crlf.get() == Some(false) && !unended);
    after.line().saturating_sub(breaks_in(row) + ended).max(1)
}

fn breaks_in(row: &ByteRecord) -> u64 {
    row.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64
}
