//! The runs in the order in which they were made: is a change in every pair, and did the machine drift?

use super::axis::{Quantity, Scale, position, scale_around, tick_label};
use super::picture::{Anchor, Picture, Shade, UNIT, WIDTH, other_item};
use super::plot::REFERENCE;
use super::{Chart, Drawing, Input, LegendItem, Section, Table};
use crate::compare::{Comparison, MetricComparison, MetricKind, Mode, SideName, TestComparison};
use crate::report::clean;
use crate::report::view::{side_names, value_text};

/// The chart of runs.
pub(super) struct Runs;

/// Metrics that are drawn.
const METRICS: usize = 4;
/// Runs that are drawn; a duet has at most a hundred.
const RUNS: usize = 200;
/// Runs that have a number below them.
const NUMBERS: usize = 30;
const BASE: usize = REFERENCE;
const HEAD: usize = 0;

const LEFT: f64 = 72.0 * UNIT;
const RIGHT: f64 = WIDTH - 18.0 * UNIT;
const CAPTION: f64 = 28.0 * UNIT;
const PANEL: f64 = 110.0 * UNIT;
const GAP: f64 = 14.0 * UNIT;
const FOOT: f64 = 42.0 * UNIT;

impl Chart for Runs {
    fn id(&self) -> &'static str {
        "runs"
    }

    fn section(&self) -> Section {
        Section::Baseline
    }

    fn draw(&self, input: &Input<'_>) -> anyhow::Result<Option<Drawing>> {
        let Some((comparison, test)) = input.comparison else { return Ok(None) };
        let timed = |metric: &&MetricComparison| {
            matches!(metric.kind, MetricKind::Latency | MetricKind::Throughput)
                && metric.base_runs.iter().chain(&metric.head_runs).flatten().count() > 2
        };
        let gates = || test.metrics.iter().filter(timed).filter(|metric| metric.gate);
        let mut metrics: Vec<&MetricComparison> = gates().take(METRICS).collect();
        if metrics.is_empty() {
            // Other metrics decide: one of the rest shows the runs all the same.
            metrics.extend(test.metrics.iter().find(timed));
        }
        let places = places(comparison, test, &metrics);
        if metrics.is_empty() || places.len() < 3 {
            return Ok(None);
        }
        let (base_name, head_name) = side_names(comparison);
        let mut picture = Picture::default();
        let step = (RIGHT - LEFT) / places.len() as f64;
        let across = |index: usize| LEFT + step * (index as f64 + 0.5);
        let mut top = 0.0;
        for metric in &metrics {
            draw_panel(&mut picture, metric, &places, top, &across);
            top += CAPTION + PANEL + GAP;
        }
        let bottom = top - GAP;
        let every = places.len().div_ceil(NUMBERS).max(1);
        for index in (0..places.len()).step_by(every) {
            let number = (index + 1).to_string();
            picture.text((across(index), bottom + 12.0 * UNIT), Anchor::Middle, Shade::Muted, &number);
        }
        let caption = ((LEFT + RIGHT) / 2.0, bottom + 32.0 * UNIT);
        picture.text(caption, Anchor::Middle, Shade::Ink, "runs in the order in which they were made");
        let discarded = places.iter().filter(|place| place.discarded).count();
        Ok(Some(Drawing {
            title: "Runs in the order in which they were made".into(),
            description: describe(comparison, &metrics, &places),
            size: (WIDTH as u32, (bottom + FOOT) as u32),
            body: picture.into_body(),
            legend: legend(comparison.mode, (base_name, head_name), discarded > 0),
            table: table(&metrics, &places, (base_name, head_name), input.max_rows),
        }))
    }
}

/// Where a run stands in the order, and where its values are.
struct Place {
    side: SideName,
    /// The pair that it is half of, if there are pairs.
    pair: Option<u32>,
    /// Index of its values.
    index: usize,
    discarded: bool,
}

impl Place {
    fn value(&self, metric: &MetricComparison) -> Option<f64> {
        let runs = match self.side {
            SideName::Base => &metric.base_runs,
            SideName::Head => &metric.head_runs,
        };
        // The pair of a discarded run was made again: the value at its index is that of the other one.
        runs.get(self.index).copied().flatten().filter(|value| !self.discarded && value.is_finite())
    }
}

/// The runs as the document orders them; without an order, all of the base before all of head.
fn places(comparison: &Comparison, test: &TestComparison, metrics: &[&MetricComparison]) -> Vec<Place> {
    let ordered: Vec<Place> = comparison
        .order
        .iter()
        .filter(|record| record.test == test.id)
        .map(|record| Place {
            side: record.side,
            pair: Some(record.pair),
            index: record.pair.saturating_sub(1) as usize,
            discarded: record.discarded.is_some(),
        })
        .take(RUNS)
        .collect();
    if !ordered.is_empty() {
        return ordered;
    }
    let most =
        |of: fn(&MetricComparison) -> usize| metrics.iter().map(|metric| of(metric)).max().unwrap_or(0);
    let side =
        |side, count: usize| (0..count).map(move |index| Place { side, pair: None, index, discarded: false });
    let base = side(SideName::Base, most(|metric| metric.base_runs.len()));
    base.chain(side(SideName::Head, most(|metric| metric.head_runs.len()))).take(RUNS).collect()
}

fn quantity(metric: &MetricComparison) -> Quantity {
    match metric.kind {
        MetricKind::Latency => Quantity::Latency,
        _ => Quantity::Rate,
    }
}

fn draw_panel(
    picture: &mut Picture,
    metric: &MetricComparison,
    places: &[Place],
    top: f64,
    across: &dyn Fn(usize) -> f64,
) {
    let (upper, lower) = (top + CAPTION, top + CAPTION + PANEL);
    let values = || places.iter().filter_map(|place| place.value(metric));
    let scale: Scale = scale_around(values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    let up = |value: f64| f64::from(position(scale.at(value), &scale.range(), lower as i32, upper as i32));
    let caption = clean::clip(&clean::line(&metric.name), 60);
    picture.text((0.0, top + 12.0 * UNIT), Anchor::Start, Shade::Ink, &caption);
    for tick in &scale.ticks {
        let at = up(*tick);
        picture.line(&[(LEFT, at), (RIGHT, at)], Shade::Grid, 2.0);
        let label = tick_label(*tick, quantity(metric));
        picture.text((LEFT - 7.0 * UNIT, at), Anchor::End, Shade::Muted, &label);
    }
    picture.line(&[(LEFT, lower), (RIGHT, lower)], Shade::Axis, 2.0);
    let point = |index: usize| Some((across(index), up(places[index].value(metric)?)));
    // The two runs of a pair hang together: where every such line rises, every pair says the same.
    for (index, place) in places.iter().enumerate().filter(|(_, place)| place.side == SideName::Base) {
        let half = |other: &Place| {
            other.side == SideName::Head
                && other.pair == place.pair
                && place.pair.is_some()
                && !other.discarded
        };
        let other = places.iter().position(half);
        if let (Some(from), Some(to)) = (point(index), other.and_then(point)) {
            picture.line(&[from, to], Shade::Axis, 3.0);
        }
    }
    for (index, place) in places.iter().enumerate() {
        match point(index) {
            Some(at) => picture.marker(at, if place.side == SideName::Base { BASE } else { HEAD }),
            None if place.discarded => picture.cross((across(index), lower - 7.0 * UNIT)),
            None => {}
        }
    }
}

fn legend(mode: Mode, (base, head): (&str, &str), discarded: bool) -> Vec<LegendItem> {
    let marker = |label: &str, style| {
        // The line of a series has no place here.
        let item = other_item(label, style, |picture| picture.marker((28.0, 12.0), style));
        LegendItem { style, ..item }
    };
    let mut items = vec![marker(base, BASE), marker(head, HEAD)];
    if mode == Mode::Duet {
        let pair =
            other_item("a pair", 0, |picture| picture.line(&[(4.0, 20.0), (52.0, 4.0)], Shade::Axis, 3.0));
        items.push(pair);
    }
    if discarded {
        items
            .push(other_item("disturbed, and its pair made again", 1, |picture| picture.cross((28.0, 12.0))));
    }
    items
}

fn describe(comparison: &Comparison, metrics: &[&MetricComparison], places: &[Place]) -> String {
    let names: Vec<String> =
        metrics.iter().map(|metric| clean::clip(&clean::line(&metric.name), 60)).collect();
    let names = names.join(", ");
    let discarded = match places.iter().filter(|place| place.discarded).count() {
        0 => String::new(),
        1 => " 1 run was disturbed and does not count.".to_owned(),
        n => format!(" {n} runs were disturbed and do not count."),
    };
    match comparison.mode {
        Mode::Duet => format!(
            "The value of each run in the order in which they were made: {names}. A line joins the two runs of a pair; \
             all that the machine did meanwhile is in both.{discarded}"
        ),
        Mode::History | Mode::Stored => format!(
            "The value of each run: {names}; first those of the baseline, then those that are judged.{discarded}"
        ),
    }
}

fn table(metrics: &[&MetricComparison], places: &[Place], names: (&str, &str), max_rows: usize) -> Table {
    let mut head = ["run", "side", "pair"].map(str::to_owned).to_vec();
    head.extend(metrics.iter().map(|metric| clean::clip(&clean::line(&metric.name), 40)));
    let row = |(index, place): (usize, &Place)| {
        let side = if place.side == SideName::Base { names.0 } else { names.1 };
        let mut cells = vec![
            (index + 1).to_string(),
            side.to_owned(),
            place.pair.map_or_else(|| "–".to_owned(), |pair| pair.to_string()),
        ];
        cells.extend(metrics.iter().map(|metric| match place.discarded {
            true => "disturbed".to_owned(),
            false => place.value(metric).map_or_else(|| "–".to_owned(), |v| value_text(Some(v), metric.kind)),
        }));
        cells
    };
    let rows: Vec<Vec<String>> = places.iter().enumerate().take(max_rows).map(row).collect();
    let note = (rows.len() < places.len()).then(|| format!("The first {} of {}.", rows.len(), places.len()));
    Table { head, rows, note }
}
