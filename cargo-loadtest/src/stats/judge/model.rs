//! What [`judge`](super::judge) takes and gives: evidence in, judgements and their reasons out.
//!
//! The main types are [`TestEvidence`] and [`TestJudgement`]. How the sides were measured shows only in the
//! [`Effect`] of a metric and in the [`JudgeRule`].
//!
//! Refuses to do: any computation beyond the default rules.

use super::super::dist::t_quantile;
use super::super::interval::{DecisionRule, Direction, Estimate, Interval, OneSided, Verdict};
use super::super::log_odds::LogOddsDifference;

/// The numbers by which a test is judged. Fractions, all above zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JudgeRule {
    /// Level, confidence, smallest effect and equivalence bound on the ratio scale.
    pub decision: DecisionRule,
    /// Smallest effect and equivalence bound of errors and drops, in rate: 0.001 is 0.1 percentage points.
    pub points: f64,
    /// False discovery rate of the advisory metrics.
    pub false_discovery_rate: f64,
}

impl JudgeRule {
    /// The rule of runs made in pairs: 5 % one-sided, smallest effect 5 %, equivalence 10 %.
    pub const DUET: Self = Self { decision: DecisionRule::PAIRED, points: 0.001, false_discovery_rate: 0.10 };

    /// The rule of a session against a history of sessions: that of pairs, because the spread is measured.
    pub const HISTORY: Self = Self::DUET;

    /// The rule of one stored session against another: 25 %, because their spread is only assumed.
    pub const STORED: Self = Self {
        decision: DecisionRule { smallest_effect: 0.25, equivalence: 0.25, ..DecisionRule::PAIRED },
        ..Self::DUET
    };

    /// This rule at another one-sided level, for one look of several: the interval that must lie within the
    /// equivalence bounds is that of the same level, 1 − 2α, so that looking again costs both ends alike.
    pub fn at_level(self, alpha: f64) -> Self {
        Self { decision: DecisionRule { alpha, confidence: 1.0 - 2.0 * alpha, ..self.decision }, ..self }
    }
}

/// One test's metrics, base and head side by side, with the rule that holds for the test.
#[derive(Debug, Clone, PartialEq)]
pub struct TestEvidence {
    /// The numbers by which it is judged.
    pub rule: JudgeRule,
    /// In the order in which they are to be shown; the judgements keep it.
    pub metrics: Vec<MetricEvidence>,
}

/// One metric of one test.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricEvidence {
    /// The caller's name of the metric, handed through.
    pub name: String,
    /// Does it gate or only inform?
    pub role: Role,
    /// Which way it hurts.
    pub direction: Direction,
    /// Value of the base, to be shown; a rate between 0 and 1 for events. `None` if there is none.
    pub base: Option<f64>,
    /// Value of the head, likewise.
    pub head: Option<f64>,
    /// How it changed, or why that can't be judged.
    pub effect: Result<Effect, NotJudged>,
    /// Pairs of runs, or sessions: what the standard error rests on. 1 for one stored session.
    pub pairs: u32,
    /// Smallest effect that counts for this metric, a fraction, or a difference of rates for events: the
    /// rule's, raised to the noise that was learnt. Below the rule's, the rule's holds.
    pub min_effect: f64,
}

/// How a metric changed, with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect {
    /// Latency and throughput: the log ratio head / base.
    Ratio(Estimate),
    /// Errors and drops.
    Events(LogOddsDifference),
    /// Errors and drops that occurred on no side.
    NoEvents(LogOddsDifference),
}

impl Effect {
    /// What significance is judged on; `None` without any event, which could never raise an alarm.
    pub fn estimate(&self) -> Option<&Estimate> {
        match self {
            Self::Ratio(estimate) => Some(estimate),
            Self::Events(difference) => Some(&difference.estimate),
            Self::NoEvents(_) => None,
        }
    }

    /// Raw one-sided p-values of "worse" and of "better".
    pub fn p_values(&self, direction: Direction) -> Option<OneSided> {
        Some(self.estimate()?.one_sided(direction))
    }

    /// Whether it is about errors or drops.
    pub fn is_events(&self) -> bool {
        matches!(self, Self::Events(_) | Self::NoEvents(_))
    }
}

/// What a metric's verdict is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Counts for the test's verdict.
    Gate,
    /// Is shown, and counts for nothing.
    Advisory,
}

/// Why a metric has no judgement.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum NotJudged {
    /// A quantile q needs 10/(1 − q) successes.
    TooFewSuccesses {
        /// Successes that the quantile needs.
        needed: u64,
        /// Successes of the base.
        base: u64,
        /// Successes of the head.
        head: u64,
    },
    /// One side dropped part of its load and the other did not: their latencies belong to different loads.
    DroppedOnOneSide,
    /// Too few windows on a side to say how sure it is.
    TooFewWindows {
        /// Windows that are needed.
        needed: usize,
        /// Usable windows of the base.
        base: usize,
        /// Usable windows of the head.
        head: usize,
    },
    /// Too few pairs of runs.
    TooFewPairs {
        /// Pairs that are needed.
        needed: usize,
        /// Pairs that there are.
        given: usize,
    },
    /// Too few earlier sessions.
    TooFewSessions {
        /// Sessions that are needed.
        needed: usize,
        /// Sessions that there are.
        given: usize,
    },
    /// The sides have different numbers of runs, so that some have no partner.
    Unpaired {
        /// Runs of the base.
        base: usize,
        /// Runs of the head.
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
    /// Value of the base; a rate between 0 and 1 for events. `None` if there is none.
    pub base: Option<f64>,
    /// Value of the head, likewise.
    pub head: Option<f64>,
    /// The change with its interval, if there is one.
    pub change: Option<Change>,
    /// One-sided p-value in the direction in which the metric moved.
    pub p: Option<f64>,
    /// The same, adjusted for the metric's family.
    pub adjusted_p: Option<f64>,
    /// Smallest effect that counted: a fraction, or a difference of rates for events.
    pub min_effect: f64,
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

impl Change {
    /// head / base, or the difference of the rates.
    pub fn value(&self) -> f64 {
        match self {
            Self::Ratio { ratio, .. } => *ratio,
            Self::Points { difference, .. } => *difference,
        }
    }

    /// The interval of the ratio or difference at another confidence.
    pub fn interval_at(&self, confidence: f64) -> Interval {
        match self {
            Self::Ratio { estimate, .. } => estimate.interval(confidence).exp(),
            Self::Points { difference, interval, estimate } => {
                let reach = |of: f64| t_quantile(0.5 + 0.5 * of, estimate.degrees_of_freedom);
                let widening = reach(confidence) / reach(interval.confidence);
                let half = 0.5 * (interval.upper - interval.lower) * widening;
                Interval { lower: difference - half, upper: difference + half, confidence }
            }
        }
    }
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
