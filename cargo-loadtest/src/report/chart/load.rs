//! Planned and active virtual users, planned and achieved rate: did the generator or the target saturate?

use std::time::Duration;

use loadtest_core::metric::Builtin;
use loadtest_core::options::Shape;
use loadtest_core::plan;
use loadtest_core::units::{format_count, format_rate};

use super::axis::Quantity;
use super::plot::{Line, Panel, Plot, REFERENCE};
use super::{Chart, Drawing, Input, Section, Table, middle, rate_cell};
use crate::data::{Starts, TestData};

/// The chart of the load.
pub(super) struct Load;

/// Styles of what only arrival rates have.
const EXISTING: usize = 6;
const DROPPED: usize = 4;

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
        // Those of a plan of starts come and go within a second: the state at its end would miss them.
        let open = test.is_open();
        // So it would those of a load that was over within its last interval.
        let over =
            |index: usize| index + 1 == test.intervals.len() && states(index).all(|state| state.vus == 0);
        let active = |index: usize| {
            let most = open || over(index);
            let users =
                states(index).map(|state| if most { state.peak_vus.max(state.vus) } else { state.vus });
            users.map(f64::from).sum::<f64>()
        };
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
        let starts: Vec<Starts> = (0..test.intervals.len()).map(|index| test.starts(index)).collect();
        let dropped = test.rates(&starts.iter().map(|starts| starts.dropped as f64).collect::<Vec<_>>());
        // The plan of an interval that is too short for a rate is left out with it.
        let planned_starts: Vec<Option<f64>> =
            starts.iter().zip(&dropped).map(|(starts, dropped)| dropped.and(starts.planned_rate)).collect();
        let exist = |index: usize| states(index).map(|state| f64::from(state.initialised_vus)).sum::<f64>();
        let line = |label: &str, style, step, points| Line { label: label.to_owned(), style, step, points };
        // Arrival rates plan starts, and take as many users as these need. Those that share a number of iterations
        // end with them, so that nobody planned how many there are at a time.
        let has_plan = !open && plans_users(test);
        let plan = if open {
            Some(line("VUs initialised", EXISTING, true, users(&exist)))
        } else {
            let planned = || plan(test, last).unwrap_or_else(|| users(&planned));
            has_plan.then(|| line("VUs planned", REFERENCE, true, planned()))
        };
        let mut panels = vec![Panel {
            caption: "Virtual users".into(),
            height: 120,
            y: Quantity::Count,
            lines: plan.into_iter().chain([line("VUs active", 3, false, users(&active))]).collect(),
        }];
        let requested = has_requests.then(|| line("requests", 0, false, at_middle(&requests)));
        let achieved = |label, style, rates: &[Option<f64>]| line(label, style, false, at_middle(rates));
        // Beside a planned rate stands what became of it, without the users that loop by themselves.
        let mixed =
            open && !test.document.outcome.workloads.values().all(|workload| workload.shape.is_open());
        if open {
            let parts = test.per_interval(Builtin::Iterations.name(), |tags| test.of_open_scenario(tags));
            let of_plan = test.rates(&parts.iter().map(|part| part.sum).collect::<Vec<_>>());
            let mut lines = vec![
                line("starts planned", REFERENCE, true, at_middle(&planned_starts)),
                achieved("iterations of the plan", 2, &of_plan),
            ];
            if dropped.iter().flatten().any(|rate| *rate > 0.0) {
                lines.push(line("starts dropped", DROPPED, false, at_middle(&dropped)));
            }
            panels.push(Panel {
                caption: "Iterations, planned and achieved".into(),
                height: 150,
                y: Quantity::Rate,
                lines,
            });
            let all = mixed.then(|| achieved("iterations of all scenarios", 5, &iterations));
            let lines: Vec<Line> = requested.into_iter().chain(all).collect();
            if !lines.is_empty() {
                panels.push(Panel { caption: "Achieved rate".into(), height: 110, y: Quantity::Rate, lines });
            }
        } else {
            let lines = requested.into_iter().chain([achieved("iterations", 2, &iterations)]).collect();
            panels.push(Panel { caption: "Achieved rate".into(), height: 150, y: Quantity::Rate, lines });
        }
        let plot = Plot {
            x_caption: "time since the start of the load",
            x: Quantity::Seconds,
            x_range: (0.0, last),
            panels,
            max_points: input.max_points,
        };
        // Scenarios have their peaks at different times, so those of several say nothing about their sum.
        let single = test.document.outcome.workloads.len() == 1;
        let most = |index: usize| {
            let peak = states(index).map(|state| f64::from(state.peak_vus)).sum::<f64>();
            if single { peak.max(active(index)) } else { active(index) }
        };
        let peak = (0..test.intervals.len()).map(most).fold(0.0, f64::max);
        let top = if has_requests { &requests } else { &iterations };
        let (size, body) = plot.draw()?;
        Ok(Some(Drawing {
            title: if open || has_plan { "Planned and achieved load" } else { "Achieved load" }.into(),
            description: format!(
                "{}, second by second. At most {} active; the most {} in a second were {}.{}{}",
                if open {
                    "Virtual users above the rate of starts that was planned and the rate that was achieved"
                } else if has_plan {
                    "Virtual users, planned and active, above the achieved rate"
                } else {
                    "Active virtual users above the achieved rate"
                },
                match peak {
                    1.0 => "1 virtual user was".to_owned(),
                    n => format!("{} virtual users were", format_count(n)),
                },
                if has_requests { "requests" } else { "iterations" },
                format_rate(top.iter().flatten().copied().fold(0.0, f64::max)),
                match starts.iter().map(|starts| starts.dropped).sum::<u64>() {
                    0 => String::new(),
                    n => format!(" {} planned starts were dropped.", format_count(n as f64)),
                },
                if test.paused_spans().is_empty() { "" } else { " The load was paused for a while." },
            ),
            size,
            body,
            legend: plot.legend(),
            table: table(test, input.max_rows, &|index| {
                let first = if open { Some(exist(index)) } else { has_plan.then(|| planned(index)) };
                let mut cells: Vec<String> = first.into_iter().map(format_count).collect();
                cells.push(format_count(active(index)));
                if open {
                    cells.extend([rate_cell(planned_starts[index]), rate_cell(dropped[index])]);
                }
                cells.extend([rate_cell(requests[index]), rate_cell(iterations[index])]);
                if test.intervals.iter().any(|interval| interval.paused) {
                    cells.push(if test.is_paused(index) { "paused" } else { "" }.to_owned());
                }
                cells
            }),
        }))
    }
}

/// The numbers, with the columns that this test has.
fn table(test: &TestData, max_rows: usize, row: &dyn Fn(usize) -> Vec<String>) -> Table {
    let mut columns = if test.is_open() {
        vec!["VUs initialised", "VUs active", "starts planned", "starts dropped"]
    } else if plans_users(test) {
        vec!["VUs planned", "VUs active"]
    } else {
        vec!["VUs active"]
    };
    columns.extend(["requests", "iterations"]);
    if test.intervals.iter().any(|interval| interval.paused) {
        columns.push("pause");
    }
    Table::of_intervals(test, max_rows, &columns, row)
}

/// Whether it is planned how many virtual users there are at any time: not if a workload ends with its iterations.
fn plans_users(test: &TestData) -> bool {
    let mut workloads = test.document.outcome.workloads.values();
    !workloads.any(|workload| {
        matches!(workload.shape, Shape::SharedIterations { .. } | Shape::PerVuIterations { .. })
    })
}

/// The virtual users that the workloads plan together, up to `last`; `None` if one of them ends with its
/// iterations instead of by the clock.
pub(super) fn plan(test: &TestData, last: f64) -> Option<Vec<(f64, Option<f64>)>> {
    let mut steps: Vec<(Duration, usize, u32)> = Vec::new();
    let workloads = &test.document.outcome.workloads;
    for (scenario, workload) in workloads.values().enumerate() {
        if !workload.start_time.is_zero() {
            steps.push((Duration::ZERO, scenario, 0));
        }
        match &workload.shape {
            Shape::ConstantVus { vus, .. } => steps.push((workload.start_time, scenario, *vus)),
            Shape::RampingVus { start_vus, stages, .. } => {
                let at = |offset: Duration| workload.start_time.saturating_add(offset);
                steps.extend(plan::levels(*start_vus, stages).map(|step| (at(step.at), scenario, step.vus)));
            }
            _ => return None,
        }
        steps.push((workload.regular_end(), scenario, 0));
    }
    if test.document.outcome.paused_seconds > 0.0 {
        // What came after a pause came later than planned.
        return None;
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
