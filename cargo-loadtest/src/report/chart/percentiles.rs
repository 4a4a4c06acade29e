//! Latency over time: the percentiles of successes, and apart from them those of failures, so that fast
//! failures can't hide slow successes.

use loadtest_core::metric::{Totals, Unit};
use loadtest_core::units::format_millis;

use super::axis::Quantity;
use super::plot::{Line, Panel, Plot};
use super::{Chart, Drawing, Input, Section, Table, middle};
use crate::data::{TestData, failures, successes};

/// The chart of percentiles.
pub(super) struct Percentiles;

const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

impl Chart for Percentiles {
    fn id(&self) -> &'static str {
        "percentiles"
    }

    fn section(&self) -> Section {
        Section::Latency
    }

    fn draw(&self, input: &Input<'_>) -> anyhow::Result<Option<Drawing>> {
        let test = input.test;
        let metric = test.latency_metric();
        let good = quantiles(&test.per_interval(metric, successes));
        let bad = quantiles(&test.per_interval(metric, failures));
        let any = |side: &[Quantiles]| side.iter().any(|values| values[0].is_some());
        if !any(&good) && !any(&bad) {
            return Ok(None);
        }
        let mut panels = Vec::new();
        if any(&good) {
            let lines = QUANTILES.iter().enumerate().map(|(n, (name, _))| line(test, &good, n, name, "", n));
            panels.push(Panel {
                caption: "Latency of successes".into(),
                height: 180,
                y: Quantity::Latency,
                lines: lines.collect(),
            });
        }
        if any(&bad) {
            // The p99 of a handful of failures says nothing that their p95 does not.
            let lines =
                [(0, 3), (1, 4)].map(|(n, style)| line(test, &bad, n, QUANTILES[n].0, " of failures", style));
            panels.push(Panel {
                caption: "Latency of failures".into(),
                height: 100,
                y: Quantity::Latency,
                lines: lines.to_vec(),
            });
        }
        let last = test.intervals.last().map_or(1.0, |last| last.index as f64 + last.seconds);
        let plot = Plot {
            x_caption: "time since the start of the load",
            x: Quantity::Seconds,
            x_range: (0.0, last),
            panels,
            max_points: input.max_points,
        };
        let worst = good.iter().filter_map(|values| values[1]).fold(0.0, f64::max);
        let mut columns: Vec<String> = QUANTILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        if any(&bad) {
            columns.extend(["p50 of failures".to_owned(), "p95 of failures".to_owned()]);
        }
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let (size, body) = plot.draw()?;
        Ok(Some(Drawing {
            title: "Percentiles over time".into(),
            description: format!(
                "Percentiles 50, 95 and 99 of {metric}, second by second, of successes{}. The highest p95 of a second \
                 was {}.",
                if any(&bad) { ", and 50 and 95 of failures below" } else { " only; nothing failed" },
                format_millis(worst),
            ),
            size,
            body,
            legend: plot.legend(),
            table: Table::of_intervals(test, input.max_rows, &columns, |index| {
                let mut cells: Vec<String> = good[index].iter().map(|value| show(*value)).collect();
                if any(&bad) {
                    cells.extend(bad[index][..2].iter().map(|value| show(*value)));
                }
                cells
            }),
        }))
    }
}

type Quantiles = [Option<f64>; 3];

fn quantiles(parts: &[Totals]) -> Vec<Quantiles> {
    parts.iter().map(|part| QUANTILES.map(|(_, q)| part.quantile(q, Unit::Millis))).collect()
}

fn line(test: &TestData, side: &[Quantiles], n: usize, name: &str, suffix: &str, style: usize) -> Line {
    let points = side.iter().enumerate().map(|(index, values)| (middle(test, index), values[n]));
    Line { label: format!("{name}{suffix}"), style, step: false, points: points.collect() }
}

fn show(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), format_millis)
}
