//! What [`judge_stored`](super::judge_stored) takes and gives: evidence in, judgements and their reasons out.
//!
//! Refuses to do: any computation beyond the default rule.

use super::super::interval::{DecisionRule, Direction, Estimate, Interval, Verdict};
use super::super::log_odds::EventCounts;

/// The numbers by which stored runs are judged. Fractions, all above zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoredRule {
    /// τ: assumed standard deviation, on the log scale, of latency and throughput between sessions of equal code.
    pub session_spread: f64,
    /// The same for the log-odds of errors and drops, which vary more from run to run.
    pub event_spread: f64,
    /// Level, smallest effect and equivalence bound on the ratio scale.
    pub decision: DecisionRule,
    /// Smallest effect and equivalence bound of errors and drops, in rate: 0.001 is 0.1 percentage points.
    pub points: f64,
    /// False discovery rate of the advisory metrics.
    pub false_discovery_rate: f64,
}

impl Default for StoredRule {
    fn default() -> Self {
        Self {
            session_spread: 0.05,
            event_spread: 0.20,
            decision: DecisionRule { smallest_effect: 0.25, equivalence: 0.25, ..DecisionRule::PAIRED },
            points: 0.001,
            false_discovery_rate: 0.10,
        }
    }
}

/// One test's metrics, base and head side by side.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoredTest {
    /// In the order in which they are to be shown; the judgements keep it.
    pub metrics: Vec<StoredMetric>,
}

/// One metric of one test.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMetric {
    /// The caller's name of the metric, handed through.
    pub name: String,
    /// Does it gate or only inform?
    pub role: Role,
    /// What was measured.
    pub evidence: StoredEvidence,
}

/// What a metric's verdict is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Counts for the test's verdict.
    Gate,
    /// Is shown, and counts for nothing.
    Advisory,
}

/// What was measured on both sides.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredEvidence {
    /// Higher is worse. Windows hold the metric of that window (its p95, say) in the value's unit; windows
    /// without a request are left out.
    Latency {
        /// The stored run.
        base: RunSeries,
        /// The new run.
        head: RunSeries,
    },
    /// Lower is worse. Windows hold the requests of that window, zeros included; the value is their rate per
    /// window.
    Throughput {
        /// The stored run.
        base: RunSeries,
        /// The new run.
        head: RunSeries,
    },
    /// Higher is worse: errors among requests, drops among planned iterations.
    Events {
        /// The stored run.
        base: EventCounts,
        /// The new run.
        head: EventCounts,
    },
    /// The caller's guards forbid judging; the values are only shown.
    Withheld {
        /// Which way the metric hurts.
        direction: Direction,
        /// Value of the stored run, if there is one.
        base: Option<f64>,
        /// Value of the new run, if there is one.
        head: Option<f64>,
        /// Why.
        reason: NotJudged,
    },
}

/// A run's value of a metric, with the windows that say how sure it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunSeries {
    /// The metric over the whole run.
    pub value: f64,
    /// The same metric per window of equal length, in time order.
    pub windows: Vec<f64>,
}

/// Why a metric has no judgement.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum NotJudged {
    /// A quantile q needs 10/(1 − q) successes.
    TooFewSuccesses {
        /// Successes that the quantile needs.
        needed: u64,
        /// Successes of the stored run.
        base: u64,
        /// Successes of the new run.
        head: u64,
    },
    /// One side dropped part of its load and the other did not: their latencies belong to different loads.
    DroppedOnOneSide,
    /// Too few windows on a side to say how sure it is.
    TooFewWindows {
        /// Windows that are needed.
        needed: usize,
        /// Usable windows of the stored run.
        base: usize,
        /// Usable windows of the new run.
        head: usize,
    },
    /// A value is zero, negative or not a number, so there is no ratio.
    NoRatio,
    /// A side has no trials, or more events than trials.
    NoTrials,
}

/// The judgement of one test.
#[derive(Debug, Clone, PartialEq)]
pub struct TestJudgement {
    /// Over its gate metrics.
    pub verdict: Verdict,
    /// One per metric, in the given order.
    pub metrics: Vec<MetricJudgement>,
}

/// The judgement of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricJudgement {
    /// The caller's name of the metric.
    pub name: String,
    /// Does it gate or only inform?
    pub role: Role,
    /// Which way it hurts.
    pub direction: Direction,
    /// Value of the stored run; a rate between 0 and 1 for events. `None` if there is none.
    pub base: Option<f64>,
    /// Value of the new run, likewise.
    pub head: Option<f64>,
    /// The change with its interval, if there is one.
    pub change: Option<Change>,
    /// One-sided p-value in the direction in which the metric moved.
    pub p: Option<f64>,
    /// The same, adjusted for the metric's family.
    pub adjusted_p: Option<f64>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why that verdict.
    pub reason: Reason,
}

/// A change from base to head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Latency and throughput.
    Ratio {
        /// head / base.
        ratio: f64,
        /// Its interval.
        interval: Interval,
        /// The estimate behind it.
        estimate: Estimate,
    },
    /// Errors and drops.
    Points {
        /// Rate of head − rate of base: 0.001 is 0.1 percentage points.
        difference: f64,
        /// Its interval.
        interval: Interval,
        /// The log of the odds ratio, on which significance is judged.
        estimate: Estimate,
    },
}

/// A size of change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// As a fraction of the base: 0.25 for 25 % (and 1/1.25 downwards).
    Fraction(f64),
    /// As a difference of rates: 0.001 for 0.1 percentage points.
    Points(f64),
}

/// Why a metric got its verdict, as data.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// Regressed or improved: significant, and at least this much.
    Exceeds(Bound),
    /// Unchanged: the interval lies within this bound.
    Within(Bound),
    /// Unchanged: not a single event on either side.
    NoEvents,
    /// Inconclusive: neither shown to differ nor shown to be equal.
    Undecided {
        /// Smallest true worsening that this comparison finds with a power of 80 %.
        detectable: Bound,
        /// Runs a side, judged as pairs, that find the smallest effect *and* show equal code to be
        /// equivalent, each with a power of 80 %. `None` if 10,000 are not enough.
        runs_needed: Option<u32>,
        /// Significant, only not by enough to matter.
        significant: bool,
    },
    /// Inconclusive: it improved, but errors or drops regressed, and failing fast is no improvement.
    EventsRegressed,
    /// Inconclusive: it could not be judged.
    NotJudged(NotJudged),
}
