//! The charts of the HTML report: one file each, and one row in [`CHARTS`].
//!
//! The main types are the trait [`Chart`] and what it makes, a [`Drawing`]: the body of an SVG picture with
//! title, description, legend and the same data as a table. A chart adds nothing up: it takes its numbers
//! from [`TestData`]. It writes no HTML either, so everything but the picture's body is escaped by the
//! templates.

use loadtest_core::units::format_rate;
use serde::Serialize;

use crate::compare::{Comparison, TestComparison};
use crate::data::TestData;

mod axis;
mod capacity;
mod errors;
mod intervals;
mod load;
mod overlay;
mod percentiles;
mod picture;
mod plot;
mod runs;
mod shift;
#[cfg(test)]
mod tests;

pub(super) use plot::palette_css;

/// Where in a test's part of the report a chart stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// With the comparison.
    Baseline,
    /// What a capacity search found.
    Capacity,
    /// Planned and achieved load.
    Load,
    /// Latency over time.
    Latency,
    /// Errors.
    Errors,
}

/// What a chart is drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    /// The test.
    pub test: &'a TestData,
    /// The same test in the baseline's run.
    pub base: Option<&'a TestData>,
    /// What comparing said of it.
    pub comparison: Option<(&'a Comparison, &'a TestComparison)>,
    /// The most points that a line may have.
    pub max_points: usize,
    /// The most rows that a table may have.
    pub max_rows: usize,
}

/// A chart.
pub(super) trait Chart: Sync {
    /// Its name in the page's anchors: letters and hyphens.
    fn id(&self) -> &'static str;
    /// Where it stands.
    fn section(&self) -> Section;
    /// Draws it; `None` if there is nothing to show.
    fn draw(&self, input: &Input<'_>) -> anyhow::Result<Option<Drawing>>;
}

/// Every chart, in the order of the report.
pub(super) const CHARTS: &[&dyn Chart] = &[
    &capacity::CapacityChart,
    &intervals::Intervals,
    &runs::Runs,
    &shift::Shift,
    &overlay::Overlay,
    &load::Load,
    &percentiles::Percentiles,
    &errors::Errors,
];

/// A drawn chart.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Drawing {
    /// What it shows, a few words.
    pub title: String,
    /// What a reader who can't see it needs to know, sentences.
    pub description: String,
    /// Width and height of the picture in its own units.
    pub size: (u32, u32),
    /// What is between `<svg>` and `</svg>`: made by the plotter, its text is escaped.
    pub body: String,
    /// What the lines stand for.
    pub legend: Vec<LegendItem>,
    /// The same as numbers.
    pub table: Table,
}

/// A line's name and look.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LegendItem {
    /// Its name, cleaned, not escaped.
    pub label: String,
    /// Index of its colour, dash and marker.
    pub style: usize,
    /// A line of 28 × 12 that looks like it, SVG body.
    pub swatch: String,
}

/// Numbers as text.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Table {
    /// Names of the columns.
    pub head: Vec<String>,
    /// Rows, as long as `head`.
    pub rows: Vec<Vec<String>>,
    /// What is left out, if something is.
    pub note: Option<String>,
}

impl Table {
    /// A table with one row per interval, thinned to `max_rows` evenly spread ones.
    fn of_intervals(
        test: &TestData,
        max_rows: usize,
        columns: &[&str],
        mut row: impl FnMut(usize) -> Vec<String>,
    ) -> Self {
        let count = test.intervals.len();
        let step = count.div_ceil(max_rows.max(1)).max(1);
        let rows = (0..count).step_by(step).map(|index| {
            let interval = &test.intervals[index];
            let mut cells =
                vec![format!("{}–{} s", interval.index, trim(interval.index as f64 + interval.seconds))];
            cells.extend(row(index));
            cells
        });
        Self {
            rows: rows.collect(),
            head: std::iter::once("time").chain(columns.iter().copied()).map(str::to_owned).collect(),
            note: (step > 1).then(|| {
                format!("One of every {step} intervals is shown; all {count} are in the run's directory.")
            }),
        }
    }
}

/// The latencies of a search follow from what it finds: they are those of no load in particular.
fn is_search(test: &TestData) -> bool {
    !test.document.outcome.capacities.is_empty()
}

/// A number with at most two decimals.
fn trim(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A rate in a table; nothing where the interval is too short for one.
fn rate_cell(rate: Option<f64>) -> String {
    rate.map_or_else(|| "–".to_owned(), format_rate)
}

/// Middle of an interval in seconds from the start: where what was measured in it stands.
fn middle(test: &TestData, index: usize) -> f64 {
    let interval = &test.intervals[index];
    interval.index as f64 + interval.seconds / 2.0
}
