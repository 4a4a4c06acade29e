//! Planned virtual users, active ones, and the rate achieved: did the generator or the target saturate?

use std::time::Duration;

use loadtest_core::metric::Builtin;
use loadtest_core::options::Shape;
use loadtest_core::plan;
use loadtest_core::units::{format_count, format_rate};

use super::axis::Quantity;
use super::plot::{Line, Panel, Plot, REFERENCE};
use super::{Chart, Drawing, Input, Section, Table, middle, rate_cell};
use crate::data::TestData;

/// The chart of the load.
pub(super) struct Load;

impl Chart for Load {
    fn id(&self) -> &'static str {
        "load"
    }

    fn section(&self) -> Section {
        Section::Load
    }

    fn draw(&self, input: &Input<'_>) -> anyhow::Result<Option<Drawing>> {
        let test = input.test;
        if test.intervals.is_empty() {
            return Ok(None);
        }
        let states = |index: usize| test.intervals[index].scenarios.values();
        let planned = |index: usize| states(index).map(|state| f64::from(state.planned_vus)).sum::<f64>();
        let active = |index: usize| states(index).map(|state| f64::from(state.vus)).sum::<f64>();
        // The state is that at the end of an interval.
        let end = |index: usize| test.intervals[index].index as f64 + test.intervals[index].seconds;
        let users = |of: &dyn Fn(usize) -> f64| {
            (0..test.intervals.len()).map(|index| (end(index), Some(of(index)))).collect::<Vec<_>>()
        };
        let rate_of = |metric: Builtin| {
            let parts = test.per_interval(metric.name(), |_| true);
            test.rates(&parts.iter().map(|part| part.sum).collect::<Vec<_>>())
        };
        let at_middle = |rates: &[Option<f64>]| {
            rates.iter().enumerate().map(|(index, rate)| (middle(test, index), *rate)).collect::<Vec<_>>()
        };
        let iterations = rate_of(Builtin::Iterations);
        let requests = rate_of(Builtin::HttpReqs);
        let has_requests = requests.iter().flatten().any(|rate| *rate > 0.0);

        let last = end(test.intervals.len() - 1);
        let plan = plan(test, last).unwrap_or_else(|| users(&planned));
        let mut rates = Vec::new();
        if has_requests {
            rates.push(Line {
                label: "requests".into(),
                style: 0,
                step: false,
                points: at_middle(&requests),
            });
        }
        rates.push(Line {
            label: "iterations".into(),
            style: 2,
            step: false,
            points: at_middle(&iterations),
        });
        let plot = Plot {
            x_caption: "time since the start of the load",
            x: Quantity::Seconds,
            x_range: (0.0, last),
            panels: vec![
                Panel {
                    caption: "Virtual users",
                    height: 120,
                    y: Quantity::Count,
                    lines: vec![
                        Line { label: "VUs planned".into(), style: REFERENCE, step: true, points: plan },
                        Line { label: "VUs active".into(), style: 3, step: false, points: users(&active) },
                    ],
                },
                Panel { caption: "Achieved rate", height: 150, y: Quantity::Rate, lines: rates },
            ],
            max_points: input.max_points,
        };
        let peak = (0..test.intervals.len()).map(active).fold(0.0, f64::max);
        let top = if has_requests { &requests } else { &iterations };
        let (size, body) = plot.draw()?;
        Ok(Some(Drawing {
            title: "Planned and achieved load".into(),
            description: format!(
                "Virtual users, planned and active, above the achieved rate, second by second. At most {} virtual \
                 users were active; the most {} in a second were {}.",
                format_count(peak),
                if has_requests { "requests" } else { "iterations" },
                format_rate(top.iter().flatten().copied().fold(0.0, f64::max)),
            ),
            size,
            body,
            legend: plot.legend(),
            table: Table::of_intervals(
                test,
                input.max_rows,
                &["VUs planned", "VUs active", "requests", "iterations"],
                |index| {
                    vec![
                        format_count(planned(index)),
                        format_count(active(index)),
                        rate_cell(requests[index]),
                        rate_cell(iterations[index]),
                    ]
                },
            ),
        }))
    }
}

/// The virtual users that the workloads plan together, up to `last`; `None` if one of them ends with its
/// iterations instead of by the clock.
fn plan(test: &TestData, last: f64) -> Option<Vec<(f64, Option<f64>)>> {
    let mut steps: Vec<(Duration, usize, u32)> = Vec::new();
    let workloads = &test.document.outcome.workloads;
    for (scenario, workload) in workloads.values().enumerate() {
        match &workload.shape {
            Shape::ConstantVus { vus, .. } => steps.push((Duration::ZERO, scenario, *vus)),
            Shape::RampingVus { start_vus, stages, .. } => {
                steps.extend(plan::levels(*start_vus, stages).map(|step| (step.at, scenario, step.vus)));
            }
            Shape::SharedIterations { .. } | Shape::PerVuIterations { .. } => return None,
        }
        steps.push((workload.shape.regular_duration(), scenario, 0));
    }
    steps.sort_by_key(|(at, _, _)| *at);
    let mut levels = vec![0; workloads.len()];
    let mut line: Vec<(f64, Option<f64>)> = Vec::new();
    for (at, scenario, vus) in steps {
        levels[scenario] = vus;
        let at = at.as_secs_f64();
        if at <= last {
            line.push((at, Some(levels.iter().copied().map(f64::from).sum())));
        }
    }
    let end = line.last()?.1;
    line.push((last, end));
    Some(line)
}
