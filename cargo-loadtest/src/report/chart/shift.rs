//! The shift function: the ratio of both sides at each quantile. Did the middle move, or the tail alone?

use super::axis::{position, ratio_label, ratio_scale};
use super::picture::{Anchor, Picture, Shade, UNIT, WIDTH, other_item, series_item};
use super::{Chart, Drawing, Input, Section, Table, trim};
use crate::compare::{MetricKind, ShiftPoint};
use crate::report::view::{change_text, interval_text, side_names, whole_percent};

/// The chart of the shift function.
pub(super) struct Shift;

const LEFT: f64 = 72.0 * UNIT;
const RIGHT: f64 = WIDTH - 24.0 * UNIT;
const TOP: f64 = 30.0 * UNIT;
const BOTTOM: f64 = TOP + 190.0 * UNIT;
const HEIGHT: f64 = BOTTOM + 48.0 * UNIT;

impl Chart for Shift {
    fn id(&self) -> &'static str {
        "shift"
    }

    fn section(&self) -> Section {
        Section::Baseline
    }

    fn draw(&self, input: &Input<'_>) -> anyhow::Result<Option<Drawing>> {
        let Some((comparison, test)) = input.comparison else { return Ok(None) };
        let points: Vec<&ShiftPoint> =
            test.shift.iter().filter(|point| point.ratio.is_finite() && point.ratio > 0.0).take(40).collect();
        if points.len() < 2 {
            return Ok(None);
        }
        let zone = 1.0 + test.rule.equivalence;
        let ends = || {
            let intervals = points.iter().filter_map(|point| point.interval).flat_map(|(a, b)| [a, b]);
            intervals.chain(points.iter().map(|point| point.ratio)).chain([zone, 1.0 / zone])
        };
        let scale = ratio_scale(ends().fold(1.0, f64::min), ends().fold(1.0, f64::max));
        let up = |ratio: f64| {
            f64::from(position(scale.at(ratio.max(1e-9)), &scale.range(), BOTTOM as i32, TOP as i32))
        };
        // Quantiles stand at equal distances: those of the tail are close together in numbers, not in what they mean.
        let step = (RIGHT - LEFT) / points.len() as f64;
        let across = |index: usize| LEFT + step * (index as f64 + 0.5);

        let mut picture = Picture::default();
        let (base, head) = side_names(comparison);
        let caption = format!("Latency of {head}, change at each quantile (log scale)");
        picture.text((0.0, 12.0 * UNIT), Anchor::Start, Shade::Ink, &caption);
        picture.zone((LEFT, up(zone)), (RIGHT, up(1.0 / zone)));
        for tick in &scale.ticks {
            let at = up(*tick);
            let none = (tick - 1.0).abs() < 1e-9;
            let (shade, width) = if none { (Shade::Axis, 4.0) } else { (Shade::Grid, 2.0) };
            picture.line(&[(LEFT, at), (RIGHT, at)], shade, width);
            picture.text((LEFT - 7.0 * UNIT, at), Anchor::End, Shade::Muted, &ratio_label(*tick, &scale));
        }
        // A band over neighbours that have intervals.
        for part in points.iter().enumerate().collect::<Vec<_>>().split(|(_, point)| point.interval.is_none())
        {
            let edge = |high: bool| {
                part.iter().filter_map(move |(index, point)| {
                    let (low, top) = point.interval?;
                    Some((across(*index), up(if high { top } else { low })))
                })
            };
            let mut outline: Vec<(f64, f64)> = edge(true).collect();
            outline.extend(edge(false).collect::<Vec<_>>().into_iter().rev());
            if part.len() > 1 {
                picture.band(&outline, 0);
            }
        }
        let line: Vec<(f64, f64)> =
            points.iter().enumerate().map(|(index, point)| (across(index), up(point.ratio))).collect();
        picture.series(&line, 0, 2.0 * UNIT);
        for (index, point) in points.iter().enumerate() {
            picture.marker(line[index], 0);
            picture.text(
                (across(index), BOTTOM + 14.0 * UNIT),
                Anchor::Middle,
                Shade::Muted,
                &name(point.quantile),
            );
        }
        picture.line(&[(LEFT, BOTTOM), (RIGHT, BOTTOM)], Shade::Axis, 2.0);
        let middle = ((LEFT + RIGHT) / 2.0, BOTTOM + 36.0 * UNIT);
        picture.text(middle, Anchor::Middle, Shade::Ink, "quantile of successes");

        let has_band = points.iter().any(|point| point.interval.is_some());
        let mut legend = vec![series_item(&format!("{head} against {base}"), 0)];
        if has_band {
            legend.push(other_item("95% interval over pairs of runs", 0, |picture| {
                picture.band(&[(2.0, 4.0), (54.0, 4.0), (54.0, 20.0), (2.0, 20.0)], 0);
            }));
        }
        let unchanged = format!("unchanged: within {}", whole_percent(test.rule.equivalence));
        legend.push(other_item(&unchanged, 1, |picture| picture.zone((2.0, 2.0), (54.0, 22.0))));
        Ok(Some(Drawing {
            title: "Where along the distribution it moved".into(),
            description: describe(&points),
            size: (WIDTH as u32, HEIGHT as u32),
            body: picture.into_body(),
            legend,
            table: Table {
                head: ["quantile", "change", "95% interval"].map(str::to_owned).to_vec(),
                rows: points
                    .iter()
                    .take(input.max_rows)
                    .map(|point| {
                        vec![
                            name(point.quantile),
                            change_text(point.ratio, MetricKind::Latency),
                            interval_text(point.interval, MetricKind::Latency),
                        ]
                    })
                    .collect(),
                note: test.distance.map(|distance| {
                    format!(
                        "For description only: the shares below a latency differ by at most {:.1}% \
                         (Kolmogorov and Smirnov), equal quantiles by {} on average (Wasserstein).",
                        distance.kolmogorov_smirnov * 100.0,
                        loadtest_core::units::format_millis(distance.wasserstein_ms)
                    )
                }),
            },
        }))
    }
}

/// `p50`, `p99.9`.
fn name(quantile: f64) -> String {
    format!("p{}", trim(quantile * 100.0))
}

fn describe(points: &[&ShiftPoint]) -> String {
    let largest = points.iter().max_by(|a, b| a.ratio.ln().abs().total_cmp(&b.ratio.ln().abs()));
    let largest = largest.map_or_else(String::new, |point| {
        format!(
            " It moved most at {}: {}.",
            name(point.quantile),
            change_text(point.ratio, MetricKind::Latency)
        )
    });
    format!(
        "At each quantile of the latency of successes how much it changed; above the line of no change it became slower. \
         It is for information and decides nothing.{largest}"
    )
}
