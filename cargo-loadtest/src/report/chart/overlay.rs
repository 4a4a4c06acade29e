//! The distribution of latency, the baseline's under the fresh run's: where did it move?

use loadtest_core::metric::{Totals, Unit};
use loadtest_core::units::format_millis;

use super::axis::Quantity;
use super::plot::{Line, Panel, Plot, REFERENCE};
use super::{Chart, Drawing, Input, Section, Table, is_search};
use crate::data::successes;
use crate::report::view::side_names;

/// The chart of both distributions.
pub(super) struct Overlay;

const ROWS: [(&str, f64); 10] = [
    ("p10", 0.1),
    ("p25", 0.25),
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("min", 0.0),
    ("max", 1.0),
];

impl Chart for Overlay {
    fn id(&self) -> &'static str {
        "distribution"
    }

    fn section(&self) -> Section {
        Section::Baseline
    }

    fn draw(&self, input: &Input<'_>) -> anyhow::Result<Option<Drawing>> {
        let Some(base) = input.base else { return Ok(None) };
        if is_search(input.test) {
            return Ok(None);
        }
        let (before, now) = input.comparison.map_or(("baseline", "this run"), |(all, _)| side_names(all));
        let metric = input.test.latency_metric();
        let head = input.test.total(metric, successes);
        let base = base.total(metric, successes);
        let (older, after) = (cumulative(&base), cumulative(&head));
        let ends = |points: &[(f64, Option<f64>)]| Some((points.first()?.0, points.last()?.0));
        let (Some(old), Some(new)) = (ends(&older), ends(&after)) else { return Ok(None) };
        let line = |label: &str, style, points| Line { label: label.to_owned(), style, step: true, points };
        let plot = Plot {
            x_caption: "latency (log scale)",
            x: Quantity::LogLatency,
            x_range: (old.0.min(new.0), old.1.max(new.1)),
            panels: vec![Panel {
                caption: "Share of successes that were as fast or faster".into(),
                height: 220,
                y: Quantity::Share,
                lines: vec![line(now, 0, after), line(before, REFERENCE, older)],
            }],
            max_points: input.max_points,
        };
        let show =
            |totals: &Totals, q| totals.quantile(q, Unit::Millis).map_or_else(|| "–".into(), format_millis);
        let (size, body) = plot.draw()?;
        Ok(Some(Drawing {
            title: format!("Distribution of latency, {before} and {now}"),
            description: format!(
                "For each latency the share of successful {metric} that was at most as long. Where the line of {now} \
                 lies to the right of the other, it is slower. Median {} before, {} now.",
                show(&base, 0.5),
                show(&head, 0.5),
            ),
            size,
            body,
            legend: plot.legend(),
            table: Table {
                head: vec!["quantile".into(), before.into(), now.into()],
                rows: ROWS
                    .iter()
                    .map(|(name, q)| vec![(*name).to_owned(), show(&base, *q), show(&head, *q)])
                    .collect(),
                note: None,
            },
        }))
    }
}

/// The points of the cumulative distribution: latency in milliseconds, share at or below it.
fn cumulative(totals: &Totals) -> Vec<(f64, Option<f64>)> {
    let Some(hist) = &totals.hist else { return Vec::new() };
    let all = hist.count().max(1) as f64;
    let mut seen = 0;
    hist.iter()
        .map(|(value, count)| {
            seen += count;
            // Zero has no place on a logarithmic axis: the histogram's resolution stands for it.
            ((value / Unit::Millis.scale()).max(0.001), Some(seen as f64 / all))
        })
        .collect()
}
