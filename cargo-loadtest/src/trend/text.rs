//! A trend on the terminal: per machine and metric a table and a chart.

use loadtest_core::units::format_bytes;

use super::chart::{self, Values};
use super::series::{Change, MachineTrend, Point, Series, TrendView};
use crate::failure::plain;
use crate::stored::summary::{show as value, show_change};
use crate::stored::{Table, count, revision};

/// The whole view, in lines of at most `columns` where the texts allow it.
pub(super) fn show(view: &TrendView, columns: usize) -> String {
    let mut out = format!("{}\n", plain(&view.test));
    if let Some(name) = &view.baseline {
        out.push_str(&format!("sessions that were saved as {name}\n"));
    }
    for trend in &view.machines {
        out.push_str(&format!("\n{}, {}\n", plain(&machine(trend)), count(trend.sessions, "session")));
        if view.machines.len() > 1 {
            let hash: String = plain(&trend.workload_hash).chars().take(8).collect();
            out.push_str(&format!(
                "load {hash}; sessions of other machines or loads can't be compared with these\n"
            ));
        }
        for series in &trend.metrics {
            out.push_str(&metric(series, columns));
        }
    }
    out
}

/// The machine in a line.
fn machine(trend: &MachineTrend) -> String {
    let machine = &trend.machine;
    let cpu = if machine.cpu.is_empty() { "unknown CPU" } else { &machine.cpu };
    let virtualised = match machine.virtualisation.as_str() {
        "" => String::new(),
        kind => format!(", {kind}"),
    };
    format!(
        "{cpu}, {} cores, {}, {} {}{virtualised}",
        machine.cores,
        format_bytes(machine.memory_bytes as f64),
        machine.os,
        machine.arch
    )
}

fn metric(series: &Series, columns: usize) -> String {
    let mut out = format!("\n{}\n", plain(&series.name));
    let mut table = Table::new(&["date", "revision", "runs", "value", "change", ""], 2);
    let mut before = None;
    for (index, point) in series.points.iter().enumerate() {
        let shown = point.value.map_or_else(|| "–".to_owned(), |of| value(of, series.kind));
        let change = match (before, point.value) {
            (Some(old), Some(new)) => show_change(old, new, series.kind),
            _ => "–".to_owned(),
        };
        before = point.value.or(before);
        let note = note(series, index, point);
        table.row([date(point), revision(&point.revision), point.runs.to_string(), shown, change, note]);
    }
    // The last column holds words.
    out.push_str(&table.text(2));
    let points: Vec<(Option<f64>, bool)> =
        series.points.iter().map(|point| (point.value, point.invalid.is_empty())).collect();
    let changes: Vec<usize> = series.changes.iter().map(|change| change.index).collect();
    let end = |point: Option<&Point>| point.map(date).unwrap_or_default();
    let ends = (end(series.points.first()), end(series.points.last()));
    let values = Values { points: &points, changes: &changes, ends: (&ends.0, &ends.1) };
    let chart = chart::draw(&values, columns, |of| value(of, series.kind));
    if !chart.is_empty() {
        out.push_str(&format!("\n{chart}"));
    }
    if let Some(searched) = series.searched {
        out.push_str(&format!("  changes were looked for in the last {searched} sessions\n"));
    }
    for change in &series.changes {
        out.push_str(&format!("  ┊ {}\n", sentence(series, change)));
    }
    out
}

/// `2026-05-04 10:00`, UTC.
pub(crate) fn date(point: &Point) -> String {
    let time = point.started_at.parse::<jiff::Timestamp>();
    time.map_or_else(|_| plain(&point.started_at), |time| time.strftime("%Y-%m-%d %H:%M").to_string())
}

/// A change in words.
pub(crate) fn sentence(series: &Series, change: &Change) -> String {
    let place = series.points.get(change.index);
    format!(
        "{} since {} ({}): usually {} before and {} afterwards; a place to look at, not a verdict",
        show_change(change.before, change.after, series.kind),
        place.map(date).unwrap_or_default(),
        place.map(|point| revision(&point.revision)).unwrap_or_default(),
        value(change.before, series.kind),
        value(change.after, series.kind)
    )
}

fn note(series: &Series, index: usize, point: &Point) -> String {
    let changed = series.changes.iter().any(|change| change.index == index);
    match (changed, point.invalid.first()) {
        (true, _) => "┊ changed".to_owned(),
        (false, Some(why)) => format!("× {}", plain(why).chars().take(60).collect::<String>()),
        (false, None) => String::new(),
    }
}
