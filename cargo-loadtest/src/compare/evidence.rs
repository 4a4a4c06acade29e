//! Both sides of a test as evidence for [`judge_stored`](crate::stats::judge_stored): which metrics there
//! are, which of them gate, and which may not be judged.
//!
//! The main type is [`Evidence`]. Gates are the error rate, failed iterations, the pooled p95, the geometric
//! mean of the endpoints' p95 (a fast endpoint that triples is invisible in the pooled one), and throughput
//! or, for arrival rates, the share of dropped iterations. The rest is advisory.
//!
//! Windows of one run that differ because the plan says so (levels of a staircase, the course of a ramp) must
//! not pass for noise: [`levelled`] takes that out.
//!
//! Refuses to do: verdicts.

use std::collections::{BTreeMap, BTreeSet};

use super::MetricKind;
use super::extract::{Measured, Series};
use super::segments::{Basis, Window};
use crate::stats::batch_means::WINDOWS_TO_ESTIMATE;
use crate::stats::descriptive::{logarithm, mean};
use crate::stats::{
    Direction, EventCounts, NotJudged, Role, RunSeries, StoredEvidence, StoredMetric, StoredTest,
};

/// Fewest windows a side for latency and throughput to be judged. By simulation (three gates, sessions 5 %
/// apart, windows that vary by 10 % and are autocorrelated by 0.5, [`SHORT_RUN_SPREAD`]): equal code is
/// falsely regressed in 0.3 % of comparisons and doubled latency found in all; with four windows it is missed
/// in 8 %.
pub(super) const FEWEST_WINDOWS: usize = 6;

/// Fewest windows a side for errors: they have a binomial variance to stand on, but bursts must show.
const FEWEST_WINDOWS_OF_EVENTS: usize = 2;

/// A run of fewer than [`WINDOWS_TO_ESTIMATE`] windows can't tell slow variation from none, so the spread
/// that it shows counts this many times. By the simulation of [`FEWEST_WINDOWS`]: without, 4 to 5 % of equal
/// code is falsely regressed; with it, 0.3 %.
const SHORT_RUN_SPREAD: f64 = 2.0;

/// What is known of the comparison besides the measurements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// What the windows are.
    pub(super) basis: Basis,
    /// Whether a scenario's users loop by themselves, so that throughput tells something.
    pub(super) closed: bool,
    /// Whether a scenario starts iterations at a rate, so that dropped ones do.
    pub(super) open: bool,
    /// Why latency may not be judged.
    pub(super) latency_withheld: Option<NotJudged>,
}

/// The metrics of one test.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// For the judge.
    pub(super) test: StoredTest,
    /// For each metric, what its numbers mean.
    pub(super) rows: Vec<Row>,
    /// What the reader should know about them.
    pub(super) notes: Vec<String>,
}

/// What the judge need not know of a metric.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// What the numbers mean.
    pub(super) kind: MetricKind,
    /// Why it is not judged, if the judge's reason does not say it well.
    pub(super) reason: Option<String>,
    /// Shown only if something was found.
    pub(super) only_if_changed: bool,
}

impl Evidence {
    /// Puts both sides together.
    pub(super) fn of(base: &Measured, head: &Measured, setting: Setting) -> Self {
        let mut evidence = Self::default();
        let sides = Sides { base, head, setting };
        let mut gate = |metric: Option<(StoredEvidence, &str, MetricKind)>, role: Role| {
            if let Some((metric, name, kind)) = metric {
                evidence.push(name, role, kind, metric);
            }
        };
        gate(sides.events("errors", |side| &side.errors), Role::Gate);
        gate(sides.events("failed iterations", |side| &side.failed_iterations), Role::Gate);
        gate(Some(sides.latency("p95", |side| &side.p95, needed(0.95))), Role::Gate);
        sides.endpoints(&mut evidence);
        if setting.closed {
            evidence.push("throughput", Role::Gate, MetricKind::Throughput, sides.throughput());
        }
        if setting.open || base.dropped.events + head.dropped.events > 0 {
            // Of closed executors it says the same as throughput, only with noise blown up: a run that took
            // 1 % longer than its time drops 1 % of its iterations, and one that took 1 % less drops none.
            let role = if setting.open { Role::Gate } else { Role::Advisory };
            let dropped = StoredEvidence::Events { base: base.dropped.clone(), head: head.dropped.clone() };
            evidence.push("dropped iterations", role, MetricKind::Share, dropped);
        }
        sides.advisory(&mut evidence);
        evidence
    }

    fn push(&mut self, name: &str, role: Role, kind: MetricKind, evidence: StoredEvidence) {
        self.test.metrics.push(StoredMetric { name: name.to_owned(), role, evidence });
        self.rows.push(Row { kind, reason: None, only_if_changed: false });
    }
}

/// Successes that a quantile needs: 10/(1 − q).
fn needed(q: f64) -> u64 {
    (10.0 / (1.0 - q)).round() as u64
}

struct Sides<'a> {
    base: &'a Measured,
    head: &'a Measured,
    setting: Setting,
}

impl Sides<'_> {
    fn latency<'n>(
        &self,
        name: &'n str,
        of: impl Fn(&Measured) -> &Series,
        needed: u64,
    ) -> (StoredEvidence, &'n str, MetricKind) {
        (self.latency_of(of(self.base), of(self.head), needed), name, MetricKind::Latency)
    }

    fn latency_of(&self, base: &Series, head: &Series, needed: u64) -> StoredEvidence {
        let withheld = |reason| StoredEvidence::Withheld {
            direction: Direction::HigherIsWorse,
            base: base.value,
            head: head.value,
            reason,
        };
        if let Some(reason) = self.setting.latency_withheld.or_else(|| self.too_few_windows(FEWEST_WINDOWS)) {
            return withheld(reason);
        }
        if base.count.min(head.count) < needed {
            return withheld(NotJudged::TooFewSuccesses { needed, base: base.count, head: head.count });
        }
        let (base_windows, head_windows) = self.levelled(base, head, Scale::Log);
        let (base_usable, head_usable) = (base_windows.len(), head_windows.len());
        if base_usable.min(head_usable) < FEWEST_WINDOWS {
            return withheld(NotJudged::TooFewWindows {
                needed: FEWEST_WINDOWS,
                base: base_usable,
                head: head_usable,
            });
        }
        let run = |series: &Series, windows| RunSeries { value: series.value.unwrap_or(f64::NAN), windows };
        StoredEvidence::Latency { base: run(base, base_windows), head: run(head, head_windows) }
    }

    fn throughput(&self) -> StoredEvidence {
        let (base, head) = (&self.base.throughput, &self.head.throughput);
        if let Some(reason) = self.too_few_windows(FEWEST_WINDOWS) {
            let direction = Direction::LowerIsWorse;
            return StoredEvidence::Withheld { direction, base: base.value, head: head.value, reason };
        }
        let (base_windows, head_windows) = self.levelled(base, head, Scale::Linear);
        let run = |series: &Series, windows| RunSeries { value: series.value.unwrap_or(f64::NAN), windows };
        StoredEvidence::Throughput { base: run(base, base_windows), head: run(head, head_windows) }
    }

    fn events<'n>(
        &self,
        name: &'n str,
        of: impl Fn(&Measured) -> &EventCounts,
    ) -> Option<(StoredEvidence, &'n str, MetricKind)> {
        let (base, head) = (of(self.base), of(self.head));
        if base.trials == 0 && head.trials == 0 {
            return None;
        }
        let rate = |counts: &EventCounts| (counts.trials > 0).then(|| counts.rate());
        let evidence = match self.too_few_windows(FEWEST_WINDOWS_OF_EVENTS) {
            Some(reason) => {
                let direction = Direction::HigherIsWorse;
                StoredEvidence::Withheld { direction, base: rate(base), head: rate(head), reason }
            }
            None => StoredEvidence::Events { base: base.clone(), head: head.clone() },
        };
        Some((evidence, name, MetricKind::Share))
    }

    /// The geometric mean of the endpoints' p95, and each endpoint for itself as an advisory. Endpoints with
    /// too few successes for a p95 are left out on both sides, and named.
    fn endpoints(&self, evidence: &mut Evidence) {
        let (base, head) = (&self.base.endpoints, &self.head.endpoints);
        let names: BTreeSet<&String> = base.keys().chain(head.keys()).collect();
        if names.len() < 2 {
            // One endpoint is the whole test: its p95 is there already.
            return;
        }
        let needed = needed(0.95);
        let count =
            |side: &BTreeMap<String, Series>, name: &String| side.get(name).map_or(0, |series| series.count);
        let (enough, few): (Vec<&String>, Vec<&String>) =
            names.into_iter().partition(|name| count(base, name).min(count(head, name)) >= needed);
        let list = |of: &dyn Fn(u64, u64) -> bool| -> Option<String> {
            let chosen = few.iter().filter(|name| of(count(base, name), count(head, name)));
            some_of(&chosen.map(|name| name.as_str()).collect::<Vec<_>>())
        };
        let notes = [
            ("no success in this run", list(&|base, head| base >= needed && head == 0)),
            ("no success in the baseline", list(&|base, head| base == 0 && head >= needed)),
            (
                "too few successes for a p95 of its own, so not in the endpoint p95; measure longer",
                list(&|base, head| base.max(head) > 0 && (base.max(head) < needed || base.min(head) > 0)),
            ),
        ];
        let told = notes.into_iter().filter_map(|(what, names)| Some(format!("{}: {what}", names?)));
        evidence.notes.extend(told);
        let (base_mean, head_mean) = (geometric_mean(self.base, &enough), geometric_mean(self.head, &enough));
        let metric = match (base_mean, head_mean) {
            (Some(base), Some(head)) => self.latency_of(&base, &head, needed),
            _ => {
                let most = |side| few.iter().map(|name| count(side, name)).max().unwrap_or(0);
                StoredEvidence::Withheld {
                    direction: Direction::HigherIsWorse,
                    base: None,
                    head: None,
                    reason: NotJudged::TooFewSuccesses { needed, base: most(base), head: most(head) },
                }
            }
        };
        evidence.push("endpoint p95", Role::Gate, MetricKind::Latency, metric);
    }

    fn advisory(&self, evidence: &mut Evidence) {
        let mut push = |(metric, name, kind): (StoredEvidence, &str, MetricKind)| {
            evidence.push(name, Role::Advisory, kind, metric);
        };
        push(self.latency("p50", |side| &side.p50, needed(0.50)));
        push(self.latency("p99", |side| &side.p99, needed(0.99)));
        push(self.latency("mean", |side| &side.mean, needed(0.50)));
        if self.base.failures + self.head.failures > 0 {
            push(self.latency("p95 of all", |side| &side.p95_of_all, needed(0.95)));
            push(self.latency(
                "p95 with failures as infinite",
                |side| &side.p95_failures_infinite,
                needed(0.95),
            ));
            let infinite: Vec<&str> = [("the baseline", self.base), ("this run", self.head)]
                .into_iter()
                .filter(|(_, side)| side.failures > 0 && side.p95_failures_infinite.value.is_none())
                .map(|(name, _)| name)
                .collect();
            if let (Some(row), false) = (evidence.rows.last_mut(), infinite.is_empty()) {
                row.reason = Some(format!("infinite in {}: more than 5 % failed", infinite.join(" and ")));
            }
        }
        let (base, head) = (&self.base.endpoints, &self.head.endpoints);
        if base.len().max(head.len()) < 2 {
            return;
        }
        for (name, base) in base {
            if let Some(head) = head.get(name) {
                let metric = self.latency_of(base, head, needed(0.95));
                evidence.push(&format!("p95 {name}"), Role::Advisory, MetricKind::Latency, metric);
                if let Some(row) = evidence.rows.last_mut() {
                    row.only_if_changed = true;
                }
            }
        }
    }

    fn too_few_windows(&self, needed: usize) -> Option<NotJudged> {
        let (base, head) = (self.base.windows.len(), self.head.windows.len());
        (base.min(head) < needed).then_some(NotJudged::TooFewWindows { needed, base, head })
    }

    fn levelled(&self, base: &Series, head: &Series, scale: Scale) -> (Vec<f64>, Vec<f64>) {
        let base = Points::of(&self.base.windows, base, scale);
        let head = Points::of(&self.head.windows, head, scale);
        levelled(base, head, self.setting.basis)
    }
}

/// The geometric mean over endpoints, in all and per window. A window's is the mean deviation of those
/// endpoints that it has from their own level, so that it does not move with which of them were called.
fn geometric_mean(side: &Measured, names: &[&String]) -> Option<Series> {
    let endpoints: Vec<&Series> = names.iter().filter_map(|name| side.endpoints.get(*name)).collect();
    let level = mean(&endpoints.iter().filter_map(|e| logarithm(e.value?)).collect::<Vec<_>>())?;
    let own: Vec<f64> = endpoints
        .iter()
        .map(|endpoint| {
            let logs: Vec<f64> = endpoint.windows.iter().filter_map(|w| logarithm((*w)?)).collect();
            mean(&logs).unwrap_or(0.0)
        })
        .collect();
    let windows = (0..side.windows.len())
        .map(|at| {
            let deviations: Vec<f64> = endpoints
                .iter()
                .zip(&own)
                .filter_map(|(endpoint, own)| Some(logarithm(endpoint.windows[at]?)? - own))
                .collect();
            mean(&deviations).map(|deviation| (level + deviation).exp())
        })
        .collect();
    let count = endpoints.iter().map(|endpoint| endpoint.count).min().unwrap_or(0);
    Some(Series { value: Some(level.exp()), windows, count })
}

/// The first few names of a list.
fn some_of(names: &[&str]) -> Option<String> {
    const SHOWN: usize = 3;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    match more {
        _ if names.is_empty() => None,
        0 => Some(shown),
        more => Some(format!("{shown} and {more} more")),
    }
}

/// The scale on which windows vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// Logarithms: latency.
    Log,
    /// As they are, in units of their mean: counts, which may be zero.
    Linear,
}

/// The windows of one side that have data, on their scale.
struct Points {
    points: Vec<(Window, f64)>,
    scale: Scale,
    /// What one is, on the linear scale.
    unit: f64,
}

impl Points {
    fn of(windows: &[Window], series: &Series, scale: Scale) -> Self {
        let unit = match scale {
            Scale::Log => 1.0,
            Scale::Linear => series.value.filter(|mean| *mean > 0.0).unwrap_or(1.0),
        };
        let to_scale = |value: f64| match scale {
            Scale::Log => logarithm(value),
            Scale::Linear => Some(value / unit),
        };
        let points = windows
            .iter()
            .zip(&series.windows)
            .filter_map(|(window, value)| Some((*window, to_scale((*value)?)?)))
            .collect();
        Self { points, scale, unit }
    }

    fn mean(&self) -> f64 {
        mean(&self.points.iter().map(|(_, x)| *x).collect::<Vec<_>>()).unwrap_or(0.0)
    }

    /// Moves the mean of every segment to the mean of all.
    fn centre(&mut self) {
        let all = self.mean();
        let segments: BTreeSet<usize> = self.points.iter().map(|(window, _)| window.segment).collect();
        if segments.len() < 2 {
            return;
        }
        for segment in segments {
            let mine = |window: &Window| window.segment == segment;
            let own: Vec<f64> =
                self.points.iter().filter(|(window, _)| mine(window)).map(|(_, x)| *x).collect();
            let shift = all - mean(&own).unwrap_or(all);
            self.points.iter_mut().filter(|(window, _)| mine(window)).for_each(|(_, x)| *x += shift);
        }
    }

    /// Back from the scale, with the spread that a short run counts for.
    fn into_windows(self) -> Vec<f64> {
        let all = self.mean();
        let spread = if self.points.len() < WINDOWS_TO_ESTIMATE { SHORT_RUN_SPREAD } else { 1.0 };
        let back = |x: f64| match self.scale {
            Scale::Log => x.exp(),
            Scale::Linear => (x * self.unit).max(0.0),
        };
        self.points.iter().map(|(_, x)| back(all + spread * (x - all))).collect()
    }
}

/// Takes out of the windows what the plan put in.
///
/// Holds of several levels: each segment is moved to the common mean. Ramps: the course of the load is the
/// same on both sides, so only the differences d of windows at equal times vary by chance. Each side gets
/// half of their variance, mean ± (d − d̄)/√2, which adds up to that of d.
fn levelled(mut base: Points, mut head: Points, basis: Basis) -> (Vec<f64>, Vec<f64>) {
    if basis == Basis::Ramps {
        let of_head = |index: u64| head.points.iter().find(|(window, _)| window.index == index);
        let pairs: Vec<(Window, f64)> = base
            .points
            .iter()
            .filter_map(|(window, x)| Some((*window, of_head(window.index)?.1 - x)))
            .collect();
        let middle = mean(&pairs.iter().map(|(_, d)| *d).collect::<Vec<_>>()).unwrap_or(0.0);
        let around = |mean: f64, sign: f64| {
            let place = |(window, d): &(Window, f64)| {
                (*window, mean + sign * (d - middle) * std::f64::consts::FRAC_1_SQRT_2)
            };
            pairs.iter().map(place).collect::<Vec<_>>()
        };
        (base.points, head.points) = (around(base.mean(), -1.0), around(head.mean(), 1.0));
    } else {
        base.centre();
        head.centre();
    }
    (base.into_windows(), head.into_windows())
}
