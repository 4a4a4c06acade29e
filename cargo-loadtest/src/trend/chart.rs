//! A small chart of points for the terminal: values in the order of sessions.
//!
//! The main function is [`draw`]. Unlike that of a load, its vertical axis goes from the smallest to the largest
//! value, because what matters is how they differ.

use std::io;

use unicode_width::UnicodeWidthStr;

/// Columns where the output is no terminal.
const PIPED_COLUMNS: usize = 72;
/// No narrower, whatever the terminal says, and no wider than the eye follows.
const COLUMNS: std::ops::RangeInclusive<usize> = 40..=120;
const ROWS: usize = 9;

const POINT: char = '●';
const DOUBTFUL: char = '×';
const CHANGE: char = '┊';

/// How many columns there are on standard output.
pub(super) fn terminal_columns() -> usize {
    let columns = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    columns.unwrap_or(PIPED_COLUMNS).clamp(*COLUMNS.start(), *COLUMNS.end())
}

/// What is drawn.
pub(super) struct Values<'a> {
    /// In their order; the flag says whether a value can be trusted.
    pub(super) points: &'a [(Option<f64>, bool)],
    /// Which of them are the first after a change.
    pub(super) changes: &'a [usize],
    /// What stands below the first and the last one.
    pub(super) ends: (&'a str, &'a str),
}

/// A chart at most `columns` wide. `label` writes a value for the axis. Empty below two values: nothing can be seen
/// then that the table does not say.
pub(super) fn draw(values: &Values<'_>, columns: usize, label: impl Fn(f64) -> String) -> String {
    let told = || values.points.iter().filter_map(|(value, _)| *value);
    let (low, high) =
        told().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    if told().count() < 2 || !low.is_finite() || !high.is_finite() {
        return String::new();
    }
    let (top, bottom) = (label(high), label(low));
    let margin = top.width().max(bottom.width());
    let width = columns.saturating_sub(margin + 3).max(10);
    let count = values.points.len();
    // Few points stand at the same distance over the whole width; many share columns.
    let column = |index: usize| index * (width - 1) / (count - 1).max(1);
    let mut cells = vec![vec![' '; width]; ROWS];
    for change in values.changes {
        let at = column(*change);
        cells.iter_mut().for_each(|row| row[at] = CHANGE);
    }
    for (index, (value, trusted)) in values.points.iter().enumerate() {
        let Some(value) = value else { continue };
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        let row = ((1.0 - share) * (ROWS - 1) as f64).round() as usize;
        let cell = &mut cells[row.min(ROWS - 1)][column(index)];
        if *cell != POINT {
            *cell = if *trusted { POINT } else { DOUBTFUL };
        }
    }
    let mut text = String::new();
    for (row, cells) in cells.iter().enumerate() {
        let label = match row {
            0 => top.as_str(),
            // A line that never moves has one height.
            row if row == ROWS - 1 && high > low => bottom.as_str(),
            _ => "",
        };
        let space = " ".repeat(margin.saturating_sub(label.width()));
        let line: String = cells.iter().collect();
        text.push_str(&format!("{space}{label} ┤{}\n", line.trim_end()));
    }
    text.push_str(&format!("{:margin$} └{}\n", "", "─".repeat(width)));
    let (first, last) = values.ends;
    let gap = width.saturating_sub(first.width() + last.width()).max(1);
    text.push_str(&format!("{:margin$}  {first}{:gap$}{last}\n", "", ""));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64], changes: &[usize], columns: usize) -> String {
        let points: Vec<_> = values.iter().map(|value| (Some(*value), true)).collect();
        let values = Values { points: &points, changes, ends: ("May 1", "May 9") };
        draw(&values, columns, |value| format!("{value:.0} ms"))
    }

    #[test]
    fn a_step_is_seen_where_it_is_and_every_line_fits() {
        let text = chart(&[10.0, 10.0, 10.0, 20.0, 20.0, 20.0], &[3], 40);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.width() <= 40), "{text}");
        assert!(lines[0].starts_with("20 ms ┤") && lines[0].matches('●').count() == 3, "{text}");
        assert!(
            lines[ROWS - 1].starts_with("10 ms ┤") && lines[ROWS - 1].matches('●').count() == 3,
            "{text}"
        );
        assert_eq!(text.matches('┊').count(), ROWS - 1, "{text}");
        assert!(text.ends_with("May 9\n"), "{text}");
    }

    #[test]
    fn many_values_share_columns_and_none_is_lost_at_the_edges() {
        let values: Vec<f64> = (0..1_000).map(f64::from).collect();
        let text = chart(&values, &[], 60);
        assert!(text.lines().all(|line| line.width() <= 60), "{text}");
        assert!(text.lines().next().is_some_and(|line| line.ends_with('●')), "{text}");
    }

    #[test]
    fn too_little_is_no_chart_and_a_flat_line_is_one() {
        assert_eq!(chart(&[1.0], &[], 60), "");
        assert_eq!(chart(&[], &[], 60), "");
        let flat = chart(&[7.0, 7.0, 7.0], &[], 60);
        assert_eq!((flat.matches('●').count(), flat.matches("7 ms").count()), (3, 1), "{flat}");
    }
}
