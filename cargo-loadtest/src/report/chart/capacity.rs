//! A capacity search: the p95 at every rate that was tried, and between which two of them the knee lies.

use loadtest_core::results::Capacity;
use loadtest_core::units::{format_count, format_millis};

use super::axis::{Quantity, scale};
use super::plot::{Line, Panel, Plot};
use super::{Chart, Drawing, Input, Section, Table};
use crate::data::TestData;
use crate::report::clean;
use crate::report::view::{capacity_lines, per_second, rate};

/// The chart of probes.
pub(super) struct CapacityChart;

/// Styles: circle, triangle, dotted without markers, long dashes.
const HELD: usize = 0;
const FAILED: usize = 1;
const AT_LEAST: usize = 6;
const LESS_THAN: usize = 5;

impl Chart for CapacityChart {
    fn id(&self) -> &'static str {
        "capacity"
    }

    fn section(&self) -> Section {
        Section::Capacity
    }

    fn draw(&self, input: &Input<'_>) -> anyhow::Result<Option<Drawing>> {
        let test = input.test;
        let capacities = &test.document.outcome.capacities;
        let searches: Vec<Search> =
            capacities.iter().map(|(scenario, capacity)| Search::of(test, scenario, capacity)).collect();
        let drawn = || searches.iter().filter(|search| search.probes.iter().any(|probe| probe.p95.is_some()));
        if drawn().next().is_none() {
            return Ok(None);
        }
        let highest = drawn().flat_map(|search| &search.probes).map(|probe| probe.rate).fold(0.0, f64::max);
        let plot = Plot {
            x_caption: "rate that was tried",
            x: Quantity::Rate,
            x_range: (0.0, highest),
            panels: drawn().map(|search| search.panel(searches.len() > 1)).collect(),
            max_points: input.max_points,
        };
        let found: Vec<String> =
            capacity_lines(test).into_iter().map(|(name, found)| format!("{name} {found}")).collect();
        let mut rows: Vec<Vec<String>> = searches.iter().flat_map(|search| search.rows.clone()).collect();
        let count = rows.len();
        rows.drain(..count.saturating_sub(input.max_rows));
        let note = (rows.len() < count).then(|| format!("The last {} of {count} probes.", rows.len()));
        let (size, body) = plot.draw()?;
        Ok(Some(Drawing {
            title: "Latency at each rate that was tried".into(),
            description: format!(
                "The 95th percentile of successes at each rate, of those that held and those that did not; the knee \
                 lies between the two vertical lines. Found: {}.",
                found.join("; ")
            ),
            size,
            body,
            legend: plot.legend(),
            table: Table {
                head: ["scenario", "rate", "result", "p95", "from", "started", "dropped"]
                    .map(str::to_owned)
                    .to_vec(),
                rows,
                note,
            },
        }))
    }
}

struct Search {
    scenario: String,
    probes: Vec<Point>,
    at_least: Option<f64>,
    less_than: Option<f64>,
    rows: Vec<Vec<String>>,
}

struct Point {
    rate: f64,
    p95: Option<f64>,
    holds: bool,
}

impl Search {
    fn of(test: &TestData, scenario: &str, capacity: &Capacity) -> Self {
        let scenario_name = clean::clip(&clean::line(scenario), 60);
        let (mut probes, mut rows) = (Vec::new(), Vec::new());
        for probe in &capacity.probes {
            // Zero has no place on a logarithmic axis: the histogram's resolution stands for it.
            let p95 = test.probe_latency(scenario, probe)[1].map(|p95| p95.max(0.001));
            probes.push(Point { rate: per_second(capacity, probe.rate), p95, holds: probe.holds });
            rows.push(vec![
                scenario_name.clone(),
                rate(capacity, probe.rate),
                if probe.holds { "held" } else { "failed" }.to_owned(),
                p95.map_or_else(|| "–".to_owned(), format_millis),
                format!("{:.1} s", probe.started_at),
                format_count(probe.started as f64),
                format_count(probe.dropped as f64),
            ]);
        }
        Self {
            scenario: scenario_name,
            probes,
            at_least: capacity.highest_held.map(|rate| per_second(capacity, rate)),
            less_than: capacity.lowest_failed.map(|rate| per_second(capacity, rate)),
            rows,
        }
    }

    fn panel(&self, named: bool) -> Panel {
        // A gap after each point leaves only its marker.
        let points = |holds: bool| {
            let chosen = self.probes.iter().filter(|probe| probe.holds == holds && probe.p95.is_some());
            let mut sorted: Vec<&Point> = chosen.collect();
            sorted.sort_by(|a, b| a.rate.total_cmp(&b.rate));
            sorted.iter().flat_map(|probe| [(probe.rate, probe.p95), (probe.rate, None)]).collect::<Vec<_>>()
        };
        let values = || self.probes.iter().filter_map(|probe| probe.p95);
        let (low, high) =
            scale(Quantity::RoundLogLatency, values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max))
                .ends();
        let vertical = |at: f64| vec![(at, Some(low)), (at, Some(high))];
        let line = |label: &str, style, points| Line { label: label.to_owned(), style, step: false, points };
        let mut lines = Vec::new();
        lines.extend(self.at_least.map(|rate| line("highest rate that held", AT_LEAST, vertical(rate))));
        lines.extend(self.less_than.map(|rate| line("lowest rate that failed", LESS_THAN, vertical(rate))));
        for (label, style, holds) in [("held", HELD, true), ("failed", FAILED, false)] {
            let points = points(holds);
            if !points.is_empty() {
                lines.push(line(label, style, points));
            }
        }
        let name = if named { format!(" of {}", self.scenario) } else { String::new() };
        Panel { caption: format!("p95 of successes{name}"), height: 200, y: Quantity::RoundLogLatency, lines }
    }
}
