//! The comparison with a baseline, on the terminal: what it can tell, then a table for each test.

use super::paint::{Paint, Tone};
use super::{MESSAGE_COLUMNS, TestComparisonView};
use crate::compare::Comparison;
use crate::report::clean;
use crate::report::view::{ComparisonView, verdict_mark};

/// The verdict in a line, before everything else.
pub(super) fn verdict_line(comparison: &Comparison, paint: Paint) -> String {
    let view = ComparisonView::new(comparison);
    let verdict = format!("{} {}", verdict_mark(comparison.verdict), view.verdict);
    format!("{}. {}", paint.bold(Tone::of_class(view.class), &verdict), view.headline)
}

/// The tables.
pub(super) fn block(comparison: &Comparison, paint: Paint) -> String {
    let view = ComparisonView::new(comparison);
    let mut out = format!("{}  {}\n", paint.bold(Tone::Plain, "COMPARISON"), view.headline);
    out.push_str(&format!("  {}\n", paint.tone(Tone::Dim, &view.power)));
    out.push_str(&format!("  verdict: {}\n", paint.bold(Tone::of_class(view.class), &view.verdict)));
    for warning in &view.warnings {
        let warning = clean::clip(warning, MESSAGE_COLUMNS);
        out.push_str(&format!("  {} {warning}\n", paint.tone(Tone::Warn, "warning:")));
    }
    for test in &comparison.tests {
        out.push('\n');
        let id = clean::clip(&clean::line(&test.id), MESSAGE_COLUMNS);
        let test = TestComparisonView::new(test, comparison);
        let verdict = paint.bold(Tone::of_class(test.class), &test.verdict);
        out.push_str(&format!("  {}: {verdict}\n", paint.bold(Tone::Plain, &id)));
        for reason in &test.reasons {
            out.push_str(&format!("    {}\n", clean::clip(reason, MESSAGE_COLUMNS)));
        }
        out.push_str(&table(&test, paint));
    }
    out
}

fn table(test: &TestComparisonView, paint: Paint) -> String {
    if test.rows.is_empty() {
        return String::new();
    }
    let head = ["metric", "base", "head", "change", "95% interval", "verdict"];
    let rows: Vec<[String; 6]> = test
        .rows
        .iter()
        .map(|row| {
            let name = clean::clip(&row.name, 40);
            // Advisory metrics decide nothing: they stand in brackets.
            let name = if row.gate { name } else { format!("({name})") };
            let verdict = format!("{} {}", row.mark, row.verdict);
            [name, row.base.clone(), row.head.clone(), row.change.clone(), row.interval.clone(), verdict]
        })
        .collect();
    let mut widths = head.map(clean::width);
    for row in &rows {
        row.iter().zip(&mut widths).for_each(|(cell, width)| *width = (*width).max(clean::width(cell)));
    }
    let layout = |cells: [&str; 6]| {
        let mut line = format!("    {}", clean::pad(cells[0], widths[0]));
        for column in 1..5 {
            line.push_str(&format!("  {}", clean::pad_start(cells[column], widths[column])));
        }
        line
    };
    let mut out = format!("{}  {}\n", paint.tone(Tone::Dim, &layout(head)), paint.tone(Tone::Dim, head[5]));
    for (row, view) in rows.iter().zip(&test.rows) {
        let cells = [&*row[0], &row[1], &row[2], &row[3], &row[4], ""];
        out.push_str(&format!("{}  {}\n", layout(cells), paint.tone(Tone::of_class(view.class), &row[5])));
        if let Some(reason) = &view.reason {
            let reason = clean::clip(reason, MESSAGE_COLUMNS);
            out.push_str(&format!("      {}\n", paint.tone(Tone::Dim, &format!("↳ {reason}"))));
        }
    }
    if test.rows.iter().any(|row| !row.gate) {
        out.push_str(&format!(
            "    {}\n",
            paint.tone(Tone::Dim, "(metrics in brackets are for information: they decide nothing)")
        ));
    }
    out
}
