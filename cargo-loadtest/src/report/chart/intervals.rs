//! The change of every metric with its interval: which of them moved, and by enough to matter?

use super::axis::{Scale, position, ratio_label, ratio_scale};
use super::picture::{Anchor, Picture, Shade, UNIT, WIDTH, other_item, series_item};
use super::{Chart, Drawing, Input, LegendItem, Section, Table};
use crate::compare::{MetricComparison, MetricKind, TestComparison};
use crate::report::clean;
use crate::report::view::{change_text, interval_text, verdict_mark, whole_percent};

/// The chart of intervals.
pub(super) struct Intervals;

/// Metrics that are drawn; the table beside the chart has all.
const METRICS: usize = 24;
/// Filled circles and solid lines, against rings and dashes.
const DECIDES: usize = 0;
const INFORMS: usize = 4;

const NAME_COLUMNS: usize = 22;
const LEFT: f64 = 190.0 * UNIT;
const RIGHT: f64 = WIDTH - 96.0 * UNIT;
const ROW: f64 = 24.0 * UNIT;
const TOP: f64 = 8.0 * UNIT;
const FOOT: f64 = 46.0 * UNIT;

impl Chart for Intervals {
    fn id(&self) -> &'static str {
        "intervals"
    }

    fn section(&self) -> Section {
        Section::Baseline
    }

    fn draw(&self, input: &Input<'_>) -> anyhow::Result<Option<Drawing>> {
        let Some((_, test)) = input.comparison else { return Ok(None) };
        let known = || test.metrics.iter().filter(|metric| metric.change.is_some_and(f64::is_finite));
        let ratios: Vec<&MetricComparison> =
            known().filter(|metric| is_ratio(metric)).take(METRICS).collect();
        // A difference of shares has no place on an axis of ratios: it is written out below.
        let shares: Vec<&MetricComparison> =
            known().filter(|metric| !is_ratio(metric)).take(METRICS.saturating_sub(ratios.len())).collect();
        if ratios.is_empty() {
            return Ok(None);
        }
        let scale = scale_of(&ratios, test);
        let across = |ratio: f64| {
            f64::from(position(scale.at(ratio.max(1e-9)), &scale.range(), LEFT as i32, RIGHT as i32))
        };
        let bottom = TOP + ROW * ratios.len() as f64;
        let below = if shares.is_empty() { 0.0 } else { ROW * (shares.len() as f64 + 0.4) };
        let zone = 1.0 + test.rule.equivalence;

        let mut picture = Picture::default();
        picture.zone((across(1.0 / zone), TOP), (across(zone), bottom));
        for tick in &scale.ticks {
            let at = across(*tick);
            let (shade, width) =
                if (tick - 1.0).abs() < 1e-9 { (Shade::Axis, 4.0) } else { (Shade::Grid, 2.0) };
            picture.line(&[(at, TOP), (at, bottom + 5.0 * UNIT)], shade, width);
            let label = ratio_label(*tick, &scale);
            picture.text((at, bottom + 14.0 * UNIT), Anchor::Middle, Shade::Muted, &label);
        }
        picture.line(&[(LEFT, bottom), (RIGHT, bottom)], Shade::Axis, 2.0);
        for (row, metric) in ratios.iter().enumerate() {
            let y = TOP + ROW * (row as f64 + 0.5);
            draw_row(&mut picture, metric, y, &scale, &across);
        }
        let middle = ((LEFT + RIGHT) / 2.0, bottom + 34.0 * UNIT);
        picture.text(middle, Anchor::Middle, Shade::Ink, "change from base to head (log scale)");
        for (row, metric) in shares.iter().enumerate() {
            let y = bottom + FOOT + ROW * (row as f64 + 0.7);
            name(&mut picture, metric, y);
            let kind = metric.kind;
            let text = format!(
                "{}, 95% interval {}",
                metric.change.map(|change| change_text(change, kind)).unwrap_or_default(),
                interval_text(metric.interval, kind)
            );
            picture.text((LEFT, y), Anchor::Start, Shade::Ink, &text);
        }
        let height = bottom + FOOT + below;
        Ok(Some(Drawing {
            title: "Change of every metric".into(),
            description: describe(&ratios, test),
            size: (WIDTH as u32, height as u32),
            body: picture.into_body(),
            legend: legend(&ratios, test),
            table: table(test, input.max_rows),
        }))
    }
}

fn is_ratio(metric: &MetricComparison) -> bool {
    metric.kind != MetricKind::Share
}

/// Wide enough for every point, for the zone, and for the intervals of what decides: a wide interval of what is for
/// information would squeeze them.
fn scale_of(metrics: &[&MetricComparison], test: &TestComparison) -> Scale {
    let zone = 1.0 + test.rule.equivalence;
    let (mut low, mut high) = (1.0 / zone, zone);
    let any_gate = metrics.iter().any(|metric| metric.gate);
    for metric in metrics {
        let ends =
            metric.interval.filter(|_| metric.gate || !any_gate).map_or([1.0, 1.0], |(from, to)| [from, to]);
        for value in ends.into_iter().chain(metric.change).chain([1.0 + metric.min_effect]) {
            low = low.min(value);
            high = high.max(value);
        }
    }
    ratio_scale(low, high)
}

fn name(picture: &mut Picture, metric: &MetricComparison, y: f64) {
    let name = clean::clip(&clean::line(&metric.name), NAME_COLUMNS);
    picture.text(
        (LEFT - 12.0 * UNIT, y),
        Anchor::End,
        if metric.gate { Shade::Ink } else { Shade::Muted },
        &name,
    );
}

fn draw_row(
    picture: &mut Picture,
    metric: &MetricComparison,
    y: f64,
    scale: &Scale,
    across: &dyn Fn(f64) -> f64,
) {
    let style = if metric.gate { DECIDES } else { INFORMS };
    name(picture, metric, y);
    // What counts, in either direction.
    let effect = 1.0 + metric.min_effect;
    for ratio in [effect, 1.0 / effect] {
        let at = across(ratio);
        picture.line(&[(at, y - 8.0 * UNIT), (at, y + 8.0 * UNIT)], Shade::Muted, 2.0);
    }
    let (first, last) = scale.ends();
    if let Some((low, high)) = metric.interval {
        picture.series(&[(across(low), y), (across(high), y)], style, 3.0 * UNIT);
        for (end, beyond, right) in [(low, low < first, false), (high, high > last, true)] {
            let at = across(end);
            if beyond {
                picture.arrow((at, y), right, style);
            } else {
                picture.series(&[(at, y - 5.0 * UNIT), (at, y + 5.0 * UNIT)], style, 2.0 * UNIT);
            }
        }
    }
    let change = metric.change.unwrap_or(1.0);
    picture.marker((across(change), y), style);
    let text = format!("{} {}", verdict_mark(metric.verdict), change_text(change, metric.kind));
    picture.text((RIGHT + 10.0 * UNIT, y), Anchor::Start, Shade::Ink, &text);
}

fn legend(metrics: &[&MetricComparison], test: &TestComparison) -> Vec<LegendItem> {
    let mut items = Vec::new();
    if metrics.iter().any(|metric| metric.gate) {
        items.push(series_item("decides: estimate and 95% interval", DECIDES));
    }
    if metrics.iter().any(|metric| !metric.gate) {
        items.push(series_item("for information", INFORMS));
    }
    let zone = format!("unchanged: within {}", whole_percent(test.rule.equivalence));
    items.push(other_item(&zone, 0, |picture| picture.zone((2.0, 2.0), (54.0, 22.0))));
    let raised = metrics.iter().any(|metric| metric.min_effect > test.rule.min_effect + 5e-4);
    let counts = format!(
        "what counts: from {} on{}",
        whole_percent(test.rule.min_effect),
        if raised { ", or more where noise was learnt" } else { "" }
    );
    items.push(other_item(&counts, 1, |picture| {
        for x in [20.0, 36.0] {
            picture.line(&[(x, 2.0), (x, 22.0)], Shade::Muted, 3.0);
        }
    }));
    items
}

fn describe(metrics: &[&MetricComparison], test: &TestComparison) -> String {
    let moved: Vec<String> = metrics
        .iter()
        .filter(|metric| metric.gate && metric.change.is_some())
        .map(|metric| {
            let name = clean::clip(&clean::line(&metric.name), NAME_COLUMNS);
            format!("{name} {}", change_text(metric.change.unwrap_or(1.0), metric.kind))
        })
        .collect();
    let moved =
        if moved.is_empty() { String::new() } else { format!(" Those that decide: {}.", moved.join(", ")) };
    format!(
        "For each metric the estimate of its change and the interval that holds it with 95% confidence. Inside the shaded \
         zone ({} either way) nothing changed that matters. Of latencies more is worse, of throughput less.{moved}",
        whole_percent(test.rule.equivalence)
    )
}

fn table(test: &TestComparison, max_rows: usize) -> Table {
    let row = |metric: &MetricComparison| {
        vec![
            clean::clip(&clean::line(&metric.name), 60),
            if metric.gate { "yes" } else { "no" }.to_owned(),
            metric.change.map_or_else(|| "–".to_owned(), |change| change_text(change, metric.kind)),
            interval_text(metric.interval, metric.kind),
            match metric.kind {
                MetricKind::Share => change_text(metric.min_effect, metric.kind),
                _ => whole_percent(metric.min_effect),
            },
        ]
    };
    let rows: Vec<Vec<String>> = test.metrics.iter().take(max_rows).map(row).collect();
    let note = (rows.len() < test.metrics.len())
        .then(|| format!("The first {} of {}.", rows.len(), test.metrics.len()));
    let head = ["metric", "decides", "change", "95% interval", "counts from"].map(str::to_owned).to_vec();
    Table { head, rows, note }
}
