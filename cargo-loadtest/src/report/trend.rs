//! The page of a trend: one file without script or network, with a chart for each metric and machine.
//!
//! The main function is [`page`]. The picture is written here, because it has what no other chart has: a vertical axis
//! that does not begin at zero, levels, and lines where something changed. Its texts are numbers and dates alone;
//! everything else is escaped by the template.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde::Serialize;
use tera::{Context, Tera};

use super::chart::palette_css;
use super::clean;
use crate::compare::MetricKind;
use crate::stored::summary::{show, show_change};
use crate::stored::{count, revision};
use crate::trend::text::{date, sentence};
use crate::trend::{MachineTrend, Series, TrendView};

const TEMPLATES: [(&str, &str); 2] = [
    ("trend.html", include_str!("templates/trend.html")),
    ("style.html", include_str!("templates/style.css")),
];

/// The picture is drawn at twice its size, as the others are.
const SIZE: (f64, f64) = (1520.0, 480.0);
const LEFT: f64 = 144.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 20.0;
const FOOT: f64 = 60.0;
/// Points of a line at most, the latest ones.
const MOST_POINTS: usize = 600;

/// A page of a test over time.
///
/// # Errors
/// If the template is wrong, which does not depend on what was measured.
pub fn page(view: &TrendView) -> anyhow::Result<String> {
    let mut tera = Tera::new();
    tera.add_raw_templates(TEMPLATES).context("can't read the template of the trend")?;
    let machines: Vec<MachineView> =
        view.machines.iter().enumerate().map(|(index, of)| machine(index, of)).collect();
    let mut about = vec![("test", clean::line(&view.test))];
    if let Some(name) = &view.baseline {
        about.push(("saved as", clean::line(name)));
    }
    let sessions: usize = view.machines.iter().map(|of| of.sessions).sum();
    about.push(("sessions", sessions.to_string()));
    let (light, dark) = palette_css();
    let mut context = Context::new();
    context.insert("title", &format!("{} over time", clean::line(&view.test)));
    context.insert("about", &about);
    context.insert("machines", &machines);
    context.insert("palette_light", &light);
    context.insert("palette_dark", &dark);
    tera.render("trend.html", &context).context("can't render the trend")
}

#[derive(Serialize)]
struct MachineView {
    title: String,
    detail: String,
    charts: Vec<ChartView>,
}

#[derive(Serialize)]
struct ChartView {
    anchor: String,
    title: String,
    description: String,
    notes: Vec<String>,
    size: (u32, u32),
    body: String,
    has_doubtful: bool,
    has_changes: bool,
    head: [&'static str; 6],
    rows: Vec<[String; 6]>,
}

fn machine(index: usize, of: &MachineTrend) -> MachineView {
    let machine = &of.machine;
    let cpu = if machine.cpu.is_empty() { "unknown CPU" } else { &machine.cpu };
    let charts = of.metrics.iter().enumerate();
    MachineView {
        title: clean::line(&format!("{cpu}, {} cores, {} {}", machine.cores, machine.os, machine.arch)),
        detail: clean::line(&format!(
            "{} of the load {}; sessions of other machines or loads are lines of their own",
            count(of.sessions, "session"),
            of.workload_hash.chars().take(8).collect::<String>()
        )),
        charts: charts.map(|(metric, series)| chart(format!("trend-{index}-{metric}"), series)).collect(),
    }
}

fn chart(anchor: String, series: &Series) -> ChartView {
    let mut notes: Vec<String> =
        series.changes.iter().map(|change| clean::line(&sentence(series, change))).collect();
    if let Some(searched) = series.searched {
        notes.push(format!("changes were looked for in the last {searched} sessions"));
    }
    let decides = if series.gate { "decides" } else { "for information" };
    let name = clean::line(&series.name);
    let latest = series.points.iter().rev().find_map(|point| point.value);
    let latest = latest.map_or_else(|| "–".to_owned(), |value| show(value, series.kind));
    let mut before = None;
    let rows = series.points.iter().enumerate().map(|(index, point)| {
        let change = match (before, point.value) {
            (Some(old), Some(new)) => show_change(old, new, series.kind),
            _ => "–".to_owned(),
        };
        before = point.value.or(before);
        let changed = series.changes.iter().any(|change| change.index == index);
        let note = match point.invalid.first() {
            Some(why) => clean::clip(&clean::line(why), 80),
            None if changed => "change point".to_owned(),
            None => String::new(),
        };
        [
            clean::line(&date(point)),
            clean::line(&revision(&point.revision)),
            point.runs.to_string(),
            point.value.map_or_else(|| "–".to_owned(), |value| show(value, series.kind)),
            change,
            note,
        ]
    });
    ChartView {
        anchor,
        title: name.clone(),
        description: format!(
            "{} by session, the oldest first; {decides}. The latest value is {latest}; {}. The vertical axis does not \
             begin at zero.",
            name,
            match series.changes.len() {
                0 => "no change point was found".to_owned(),
                n => count(n, "change point") + " found",
            }
        ),
        notes,
        size: (SIZE.0 as u32, SIZE.1 as u32),
        body: draw(series).unwrap_or_default(),
        has_doubtful: series.points.iter().any(|point| !point.invalid.is_empty()),
        has_changes: !series.changes.is_empty(),
        head: ["date (UTC)", "revision", "runs", "value", "change", "note"],
        rows: rows.collect(),
    }
}

/// The body of the picture; `None` below two values.
fn draw(series: &Series) -> Option<String> {
    let skipped = series.points.len().saturating_sub(MOST_POINTS);
    let points = &series.points[skipped..];
    let values = || points.iter().filter_map(|point| point.value);
    if values().count() < 2 {
        return None;
    }
    let levels = || series.changes.iter().flat_map(|change| [change.before, change.after]);
    let (low, high) =
        values().chain(levels()).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    let (ticks, low, high) = ticks(low, high);
    let across =
        |index: usize| LEFT + index as f64 / (points.len() - 1).max(1) as f64 * (SIZE.0 - LEFT - RIGHT);
    let up = |value: f64| SIZE.1 - FOOT - (value - low) / (high - low) * (SIZE.1 - FOOT - TOP);
    let mut svg = String::new();
    let right = SIZE.0 - RIGHT;
    // Writing to a String can't fail.
    for tick in ticks {
        let y = up(tick);
        let _ = write!(svg, r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{right}" y2="{y:.1}"/>"#);
        let text = label(tick, series.kind);
        let _ =
            write!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{text}</text>"#, LEFT - 14.0, y + 8.0);
    }
    let bottom = SIZE.1 - FOOT;
    let _ = write!(svg, r#"<line class="axis" x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>"#);
    for (index, anchor) in [(0, "start"), (points.len() - 1, "end")] {
        let text = points.get(index).map(date).unwrap_or_default();
        // Dates are digits and marks; what is no date is told in the table, which is escaped.
        let text: String =
            text.chars().filter(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | ' ')).collect();
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="{anchor}">{text}</text>"#,
            across(index),
            bottom + 36.0
        );
    }
    let ends: Vec<usize> = series.changes.iter().map(|change| change.index.saturating_sub(skipped)).collect();
    for (number, change) in series.changes.iter().enumerate().filter(|(_, change)| change.index >= skipped) {
        let x = across(ends[number]) - 0.5 * (across(1) - across(0));
        let _ = write!(svg, r#"<line class="change" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}"/>"#);
        let from = number.checked_sub(1).map_or(0, |before| ends[before]);
        let until = ends.get(number + 1).copied().unwrap_or(points.len());
        let mut level = |from: usize, until: usize, value: f64| {
            let (from, until, y) = (across(from), across(until.saturating_sub(1)), up(value));
            let _ = write!(
                svg,
                r#"<line class="level" x1="{from:.1}" y1="{y:.1}" x2="{until:.1}" y2="{y:.1}"/>"#
            );
        };
        // The level after the change before is the one before this change.
        if number == 0 {
            level(from, ends[number], change.before);
        }
        level(ends[number], until, change.after);
    }
    let mut line = String::new();
    let mut dots = String::new();
    for (index, point) in points.iter().enumerate() {
        let Some(value) = point.value else { continue };
        let (x, y) = (across(index), up(value));
        let _ = write!(line, "{x:.1},{y:.1} ");
        let class = if point.invalid.is_empty() { "dot" } else { "doubtful" };
        let _ = write!(dots, r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="7"/>"#);
    }
    let _ = write!(svg, r#"<polyline class="line" points="{}"/>{dots}"#, line.trim_end());
    Some(svg)
}

/// Round values for the axis, and where it begins and ends.
fn ticks(low: f64, high: f64) -> (Vec<f64>, f64, f64) {
    // What never moves stands in the middle, and what is never below zero has no axis below it.
    let room = if high > low { 0.0 } else { (high.abs() * 0.05).max(1e-9) };
    let (low, high) = ((low - room).max(low.min(0.0)), high + room);
    let span = high - low;
    let rough = span / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|n| n * power).find(|step| *step >= rough).unwrap_or(rough);
    let first = (low / step).floor();
    let last = (high / step).ceil().max(first + 1.0);
    let count = (last - first).round() as u32;
    let ticks = (0..=count).map(|n| (first + f64::from(n)) * step).collect();
    (ticks, first * step, last * step)
}

/// A value of the axis: letters, digits and marks that need no escape.
fn label(value: f64, kind: MetricKind) -> String {
    // Rounding may leave a little below zero.
    show(value.max(0.0), kind).chars().filter(|c| !matches!(c, '<' | '>' | '&')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_all_values_with_few_round_numbers() {
        for (low, high) in [(10.0, 20.0), (0.0, 0.0), (9.97, 10.03), (1e-4, 3e3), (5.0, 5.0)] {
            let (ticks, from, to) = ticks(low, high);
            assert!(from <= low && to >= high && to > from, "{low} to {high}: {from} to {to}");
            assert!((2..=7).contains(&ticks.len()), "{ticks:?}");
        }
    }
}
