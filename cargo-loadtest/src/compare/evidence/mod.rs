//! Both sides of a test as evidence for [`judge`](crate::stats::judge()), whatever the way in which they were
//! measured.
//!
//! The main type is [`Evidence`]: `catalogue` says which metrics there are and which of them gate; `pairs`, `history`
//! and `stored` say how far each has moved.
//!
//! Refuses to do: verdicts.

mod catalogue;
pub(super) mod history;
pub(super) mod pairs;
pub(super) mod stored;
mod windows;

use loadtest_core::options::compare::GateMetric;

pub(super) use catalogue::{Catalogue, Spec, What};

use super::MetricKind;
use super::extract::{Measured, Series};
use super::segments::Basis;
use super::wording::percent;
use crate::stats::descriptive::{logarithm, mean};
use crate::stats::{Direction, Effect, EventCounts, JudgeRule, MetricEvidence, NotJudged};

/// Fewest windows a side for latency and throughput of a single run to be judged. By simulation (three gates,
/// sessions 5 % apart, windows that vary by 10 % and are autocorrelated by 0.5, short runs' spread doubled): equal
/// code is falsely regressed in 0.3 % of comparisons and doubled latency found in all; with four windows it is missed
/// in 8 %.
pub(super) const FEWEST_WINDOWS: usize = 6;

/// Fewest windows a run for errors, which have a binomial variance to stand on, but whose bursts must show; and for
/// everything in a run of a pair, where it is the runs that show the noise.
pub(super) const FEWEST_WINDOWS_OF_EVENTS: usize = 2;

/// What is known of the comparison besides the measurements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    /// What the windows are.
    pub(super) basis: Basis,
    /// Whether a scenario's users loop by themselves, so that throughput tells something.
    pub(super) closed: bool,
    /// Whether a scenario starts iterations at a rate, so that dropped ones do.
    pub(super) open: bool,
    /// Why latency may not be judged.
    pub(super) latency_withheld: Option<NotJudged>,
    /// The numbers by which the test is judged.
    pub(super) rule: JudgeRule,
    /// The metrics that decide in place of the usual ones; empty for those.
    pub(super) gate: &'a [GateMetric],
}

/// The metrics of one test.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// For the judge.
    pub(super) metrics: Vec<MetricEvidence>,
    /// For each metric, what the judge need not know.
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
    /// The value in each run of the base.
    pub(super) base_runs: Vec<Option<f64>>,
    /// The value in each run of head.
    pub(super) head_runs: Vec<Option<f64>>,
}

impl Evidence {
    /// Evidence of no metric yet.
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        Self { notes: catalogue.notes.clone(), ..Self::default() }
    }

    /// Adds a metric.
    pub(super) fn push(&mut self, spec: &Spec, found: Found, rule: &JudgeRule) {
        let is_share = spec.kind == MetricKind::Share;
        self.metrics.push(MetricEvidence {
            name: spec.name.clone(),
            role: spec.role,
            direction: spec.direction(),
            base: found.base,
            head: found.head,
            effect: found.effect,
            pairs: found.pairs,
            min_effect: found.min_effect.unwrap_or(if is_share {
                rule.points
            } else {
                rule.decision.smallest_effect
            }),
        });
        self.rows.push(Row {
            kind: spec.kind,
            reason: found.reason,
            only_if_changed: spec.only_if_changed,
            base_runs: found.base_runs,
            head_runs: found.head_runs,
        });
    }
}

/// What a mode knows of a metric.
pub(super) struct Found {
    /// Value of the base, over its runs.
    pub(super) base: Option<f64>,
    /// Value of head.
    pub(super) head: Option<f64>,
    /// How it moved.
    pub(super) effect: Result<Effect, NotJudged>,
    /// Pairs that the standard error rests on.
    pub(super) pairs: u32,
    /// The smallest effect that counts, if it is not that of the rule.
    pub(super) min_effect: Option<f64>,
    /// A better reason than the judge's.
    pub(super) reason: Option<String>,
    /// The value in each run of the base.
    pub(super) base_runs: Vec<Option<f64>>,
    /// The value in each run of head.
    pub(super) head_runs: Vec<Option<f64>>,
}

/// The mean of one metric over the runs of a side: geometric, but arithmetic where a run has none of it. `None` if a
/// run has no value.
pub(super) fn over_runs(values: &[Option<f64>]) -> Option<f64> {
    let values: Vec<f64> = values.iter().copied().collect::<Option<_>>()?;
    if let [only] = values[..] {
        return Some(only);
    }
    let logs: Option<Vec<f64>> = values.iter().map(|value| logarithm(*value)).collect();
    match logs {
        Some(logs) => mean(&logs).map(f64::exp),
        None => mean(&values),
    }
}

/// The geometric mean of some endpoints' p95 in a run. A window's is the mean deviation of those
/// endpoints that it has from their own level, so that it does not move with which of them were called.
pub(super) fn geometric_mean(side: &Measured, names: &[String]) -> Option<Series> {
    let endpoints: Vec<&Series> = names.iter().filter_map(|name| side.endpoints.get(name)).collect();
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
                .filter_map(|(endpoint, own)| Some(logarithm((*endpoint.windows.get(at)?)?)? - own))
                .collect();
            mean(&deviations).map(|deviation| (level + deviation).exp())
        })
        .collect();
    let count = endpoints.iter().map(|endpoint| endpoint.count).min().unwrap_or(0);
    Some(Series { value: Some(level.exp()), windows, count })
}

/// The share of events, if there were trials.
pub(super) fn rate(counts: &EventCounts) -> Option<f64> {
    (counts.trials > 0).then(|| counts.rate())
}

/// What is said of a p95 that failures made infinite on these sides.
pub(super) fn infinite(sides: &[&str]) -> Option<String> {
    (!sides.is_empty())
        .then(|| format!("infinite in {}: more than {} failed", sides.join(" and "), percent(0.05)))
}

impl Spec {
    /// Which way it hurts.
    pub(super) fn direction(&self) -> Direction {
        match self.kind {
            MetricKind::Throughput | MetricKind::Capacity => Direction::LowerIsWorse,
            MetricKind::Latency | MetricKind::Share => Direction::HigherIsWorse,
        }
    }
}
