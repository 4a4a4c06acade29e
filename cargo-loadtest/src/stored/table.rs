//! Tables on the terminal: columns as wide as a terminal shows them, whatever the letters are.
//!
//! The main type is [`Table`]. Cells lose what a terminal would obey.

use unicode_width::UnicodeWidthStr;

use crate::failure::plain;

/// Rows below a head.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// Columns from this one on hold numbers, which are set to the right.
    numbers: usize,
}

impl Table {
    /// An empty table with these columns. `numbers` is the first of those that hold numbers.
    pub(crate) fn new(head: &[&str], numbers: usize) -> Table {
        Table { rows: vec![head.iter().map(|&name| name.to_owned()).collect()], numbers }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell).replace('\n', " ")).collect());
    }

    /// The table, each line with `indent` spaces before it.
    pub(crate) fn text(&self, indent: usize) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (column, cell) in row.iter().enumerate() {
                let space = " ".repeat(widths[column].saturating_sub(cell.width()));
                let gap = if column == 0 { "" } else { "  " };
                match column >= self.numbers {
                    true => line.push_str(&format!("{gap}{space}{cell}")),
                    false => line.push_str(&format!("{gap}{cell}{space}")),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_obey_nobody() {
        let mut table = Table::new(&["name", "value"], 1);
        table.row(["예약".to_owned(), "1.5".to_owned()]);
        table.row(["a\u{1b}[2J".to_owned(), "10".to_owned()]);
        assert_eq!(table.text(1), " name   value\n 예약     1.5\n a\u{fffd}[2J     10\n");
    }
}
