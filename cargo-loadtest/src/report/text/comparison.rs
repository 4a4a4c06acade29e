//! The comparison with a baseline, on the terminal: what it can tell, then a table for each test.

use super::MESSAGE_COLUMNS;
use super::paint::{Paint, Tone};
use crate::compare::Comparison;
use crate::report::clean;
use crate::report::view::{ComparisonView, MetricRow, TestRows, comparison_rows, verdict_mark};

/// Columns of a table and of the sentences about it.
const COLUMNS: usize = 118;
/// Columns of a metric's name.
const NAME_COLUMNS: usize = 24;
/// Sentences that are told of a test.
const REASONS: usize = 12;
/// A sentence is cut after so many columns.
const SENTENCE: usize = 4 * MESSAGE_COLUMNS;

/// The verdict in a line, before everything else.
pub(super) fn verdict_line(comparison: &Comparison, paint: Paint) -> String {
    let view = ComparisonView::new(comparison);
    let verdict = format!("{} {}", verdict_mark(comparison.verdict), view.verdict);
    format!("{}. {}", paint.bold(Tone::of_class(view.class), &verdict), view.headline)
}

/// The tables.
pub(super) fn block(comparison: &Comparison, paint: Paint) -> String {
    let view = ComparisonView::new(comparison);
    let mut out = format!("{}  with {}\n", paint.bold(Tone::Plain, "COMPARISON"), view.title);
    if !view.power.is_empty() {
        sentence(&mut out, &view.power, 2, "", paint, Tone::Dim);
    }
    for warning in &view.warnings {
        sentence(&mut out, warning, 2, "warning: ", paint, Tone::Plain);
    }
    if let Some(order) = &view.order {
        sentence(&mut out, order, 2, "", paint, Tone::Dim);
    }
    for test in comparison_rows(comparison) {
        out.push('\n');
        let verdict = paint.bold(Tone::of_class(test.class), &format!("{} {}", test.mark, test.verdict));
        let id = clean::clip(&test.id, MESSAGE_COLUMNS);
        out.push_str(&format!("  {}: {verdict}\n", paint.bold(Tone::Plain, &id)));
        for reason in test.reasons.iter().take(REASONS) {
            sentence(&mut out, reason, 4, "", paint, Tone::Plain);
        }
        if test.reasons.len() > REASONS {
            out.push_str(&format!("    … and {} more, in the report\n", test.reasons.len() - REASONS));
        }
        if let Some(order) = &test.order {
            sentence(&mut out, order, 4, "", paint, Tone::Dim);
        }
        out.push_str(&table(&test, paint));
    }
    if let Some(repeat) = &view.repeat {
        // Not broken into lines: it is there to be copied.
        out.push_str(&format!("\n  {} {repeat}\n", paint.tone(Tone::Dim, "repeat with")));
    }
    out
}

/// A sentence in as many lines as it takes, indented; the following ones below the first word.
fn sentence(out: &mut String, text: &str, indent: usize, lead: &str, paint: Paint, tone: Tone) {
    let start = clean::width(lead);
    let text = clean::clip(text, SENTENCE);
    for (index, line) in clean::wrap(&text, COLUMNS.saturating_sub(indent + start)).iter().enumerate() {
        out.push_str(&" ".repeat(indent));
        match index {
            0 => out.push_str(&paint.tone(if tone == Tone::Dim { Tone::Dim } else { Tone::Warn }, lead)),
            _ => out.push_str(&" ".repeat(start)),
        }
        out.push_str(&paint.tone(tone, line));
        out.push('\n');
    }
}

fn table(test: &TestRows, paint: Paint) -> String {
    if test.rows.is_empty() {
        return String::new();
    }
    let cells = |row: &MetricRow| {
        let name = clean::clip(&row.name, NAME_COLUMNS);
        // Advisory metrics decide nothing: they stand in brackets.
        let name = if row.gate { name } else { format!("({name})") };
        let [base, head, change] = [&row.base, &row.head, &row.change].map(String::clone);
        let mut cells = vec![name, base, head, change, row.interval.clone()];
        cells.extend(test.has_p.then(|| row.p.clone()));
        cells
    };
    let mut head: Vec<String> =
        ["metric", "base", "head", "change", "95% interval"].map(str::to_owned).to_vec();
    head.extend(test.has_p.then(|| "p".to_owned()));
    let rows: Vec<Vec<String>> = test.rows.iter().map(cells).collect();
    let mut widths: Vec<usize> = head.iter().map(|cell| clean::width(cell)).collect();
    for row in &rows {
        row.iter().zip(&mut widths).for_each(|(cell, width)| *width = (*width).max(clean::width(cell)));
    }
    let layout = |cells: &[String]| {
        let mut line = format!("    {}", clean::pad(&cells[0], widths[0]));
        for (cell, width) in cells.iter().zip(&widths).skip(1) {
            line.push_str(&format!("  {}", clean::pad_start(cell, *width)));
        }
        line
    };
    let mut out = format!("{}\n", paint.tone(Tone::Dim, &format!("{}  verdict", layout(&head))));
    for (cells, row) in rows.iter().zip(&test.rows) {
        let verdict = paint.tone(Tone::of_class(row.class), &format!("{} {}", row.mark, row.verdict));
        out.push_str(&format!("{}  {verdict}\n", layout(cells)));
        for text in row.raised.iter().chain(&row.reason) {
            sentence(&mut out, text, 6, "↳ ", paint, Tone::Dim);
        }
    }
    if test.rows.iter().any(|row| !row.gate) {
        let note = "(metrics in brackets are for information: they decide nothing)";
        out.push_str(&format!("    {}\n", paint.tone(Tone::Dim, note)));
    }
    out
}
