//! One stored run against one new run, without history: the comparison that can be had at once, and that can
//! only tell large changes.
//!
//! [`judge_stored`] is the whole of it. With one run a side nothing *measured* says how much two sessions of
//! equal code differ, so a spread between sessions is *assumed* ([`StoredRule::session_spread`], 5 %) and
//! belongs beside the result. The standard error of a log ratio is
//!
//! se² = var(base) + var(head) + 2·τ²
//!
//! with the variance of each run's own mean by [`batch_means`], τ the assumed spread, and Satterthwaite's
//! degrees of freedom (1946). Because τ is an assumption, the smallest effect and the equivalence bound are
//! wide: 25 %. All metrics that gate, over all tests, are one family for Holm's adjustment; the others are
//! advisory, with Benjamini and Hochberg's.
//!
//! What it keeps, by simulation of one-minute runs with four gates, sessions of equal code 5 % apart and
//! windows autocorrelated by 0.9: at most 1 % of comparisons falsely `regressed` while single windows vary by
//! up to 7 %, about 2 % at 10 %; doubled latency is found every time. Equal code is called `unchanged` in 57 %
//! of comparisons with windows that vary by 5 %, in 7 % with 10 %; the rest is `inconclusive`. That is the
//! price of a single run a side.
//!
//! Refuses to do: verdicts on machine, generator or options (the guards come before), and formatting: every
//! reason is data.

mod model;

pub use model::{
    Bound, Change, MetricJudgement, NotJudged, Reason, Role, RunSeries, StoredEvidence, StoredMetric,
    StoredRule, StoredTest, TestJudgement,
};

use super::batch_means::batch_means;
use super::descriptive::logarithm;
use super::interval::{
    DecisionRule, Direction, Estimate, OneSided, Verdict, decide, overall, runs_for_equivalence,
    runs_to_detect, smallest_detectable_effect,
};
use super::log_odds::{EventCounts, LogOddsDifference, compare_events};
use super::multiple::{benjamini_hochberg, holm};

/// Fewest windows a side for a ratio to be judged.
pub const FEWEST_WINDOWS: usize = 2;

/// Judges stored runs, without history: all tests of a comparison at once, because their gate metrics form
/// one family for Holm's adjustment.
///
/// A latency or throughput metric is judged by [`decide`]. Events are `regressed` if the log-odds differ
/// significantly and the rates by at least [`StoredRule::points`], `unchanged` if there are none at all or
/// the interval of the difference lies within those points. Within a test, latency and throughput cannot be
/// `improved` if events regressed.
///
/// Metrics that can't be judged are `inconclusive` and take no part in the family; neither do events that
/// occurred on no side, which could never raise an alarm (Tarone 1990).
pub fn judge_stored(tests: &[StoredTest], rule: &StoredRule) -> Vec<TestJudgement> {
    let mut trials: Vec<Vec<Trial<'_>>> = tests
        .iter()
        .map(|test| test.metrics.iter().map(|metric| Trial::of(metric, rule)).collect())
        .collect();
    adjust(&mut trials, Role::Gate, holm);
    adjust(&mut trials, Role::Advisory, benjamini_hochberg);
    trials.into_iter().map(|metrics| judge_test(metrics, rule)).collect()
}

/// A metric on its way to a judgement.
struct Trial<'a> {
    metric: &'a StoredMetric,
    outcome: Result<Measured, NotJudged>,
    /// Adjusted p-values, if the metric takes part in a family, and the family's size.
    adjusted: Option<(OneSided, usize)>,
}

/// What could be computed from the evidence.
enum Measured {
    Ratio(Estimate),
    Events(LogOddsDifference),
    NoEvents(LogOddsDifference),
}

impl<'a> Trial<'a> {
    fn of(metric: &'a StoredMetric, rule: &StoredRule) -> Self {
        let outcome = match &metric.evidence {
            StoredEvidence::Latency { base, head } => {
                compare_series(base, head, Side::of_latency, rule.session_spread).map(Measured::Ratio)
            }
            StoredEvidence::Throughput { base, head } if base.value <= 0.0 && head.value <= 0.0 => {
                Err(NotJudged::NoRatio)
            }
            StoredEvidence::Throughput { base, head } => {
                compare_series(base, head, Side::of_throughput, rule.session_spread).map(Measured::Ratio)
            }
            StoredEvidence::Events { base, head } => match compare_events(base, head, rule.event_spread) {
                Ok(difference) if base.events == 0 && head.events == 0 => Ok(Measured::NoEvents(difference)),
                Ok(difference) => Ok(Measured::Events(difference)),
                Err(_) => Err(NotJudged::NoTrials),
            },
            StoredEvidence::Withheld { reason, .. } => Err(*reason),
        };
        Self { metric, outcome, adjusted: None }
    }

    fn p_values(&self) -> Option<OneSided> {
        let estimate = match self.outcome.as_ref().ok()? {
            Measured::Ratio(estimate) => estimate,
            Measured::Events(difference) => &difference.estimate,
            Measured::NoEvents(_) => return None,
        };
        Some(estimate.one_sided(direction(&self.metric.evidence)))
    }
}

/// Adjusts the p-values of one role over all tests; "worse" and "better" are a family each.
fn adjust(trials: &mut [Vec<Trial<'_>>], role: Role, method: fn(&[f64]) -> Vec<f64>) {
    let mut family: Vec<(&mut Trial<'_>, OneSided)> = trials
        .iter_mut()
        .flatten()
        .filter(|trial| trial.metric.role == role)
        .filter_map(|trial| trial.p_values().map(|p| (trial, p)))
        .collect();
    let worse = method(&family.iter().map(|(_, p)| p.worse).collect::<Vec<_>>());
    let better = method(&family.iter().map(|(_, p)| p.better).collect::<Vec<_>>());
    let size = family.len();
    for ((trial, _), (worse, better)) in family.iter_mut().zip(worse.into_iter().zip(better)) {
        trial.adjusted = Some((OneSided { worse, better }, size));
    }
}

fn judge_test(trials: Vec<Trial<'_>>, rule: &StoredRule) -> TestJudgement {
    let mut metrics: Vec<MetricJudgement> = trials.iter().map(|trial| judge_metric(trial, rule)).collect();
    let is_events = |trial: &Trial<'_>| matches!(trial.metric.evidence, StoredEvidence::Events { .. });
    let events_regressed = trials
        .iter()
        .zip(&metrics)
        .any(|(trial, judged)| is_events(trial) && judged.verdict == Verdict::Regressed);
    if events_regressed {
        for (trial, judged) in trials.iter().zip(&mut metrics) {
            if !is_events(trial) && judged.verdict == Verdict::Improved {
                judged.verdict = Verdict::Inconclusive;
                judged.reason = Reason::EventsRegressed;
            }
        }
    }
    let gates = metrics.iter().filter(|judged| judged.role == Role::Gate).map(|judged| judged.verdict);
    TestJudgement { verdict: overall(gates), metrics }
}

fn judge_metric(trial: &Trial<'_>, rule: &StoredRule) -> MetricJudgement {
    let metric = trial.metric;
    let direction = direction(&metric.evidence);
    let alpha = match metric.role {
        Role::Gate => rule.decision.alpha,
        Role::Advisory => rule.false_discovery_rate,
    };
    let decision = DecisionRule { alpha, ..rule.decision };
    let (adjusted, family) = trial.adjusted.unwrap_or((OneSided { worse: 1.0, better: 1.0 }, 1));
    let step = alpha / family.max(1) as f64;
    let (change, verdict, reason) = match &trial.outcome {
        Err(reason) => (None, Verdict::Inconclusive, Reason::NotJudged(*reason)),
        Ok(Measured::NoEvents(difference)) => {
            (Some(points(difference, &decision)), Verdict::Unchanged, Reason::NoEvents)
        }
        Ok(Measured::Ratio(estimate)) => {
            let interval = estimate.interval(decision.confidence).exp();
            let verdict = decide(estimate, direction, adjusted, &decision);
            let change = Change::Ratio { ratio: estimate.ratio(), interval, estimate: *estimate };
            (Some(change), verdict, ratio_reason(verdict, estimate, adjusted, step, &decision))
        }
        Ok(Measured::Events(difference)) => {
            let verdict = decide_events(difference, adjusted, rule.points, &decision);
            let reason = events_reason(verdict, difference, adjusted, step, rule.points, &decision);
            (Some(points(difference, &decision)), verdict, reason)
        }
    };
    // The direction in which the metric moved is that of the smaller p.
    let moved = |p: OneSided, raw: OneSided| if raw.worse <= raw.better { p.worse } else { p.better };
    let raw = trial.p_values();
    let (base, head) = values(&metric.evidence);
    MetricJudgement {
        name: metric.name.clone(),
        role: metric.role,
        direction,
        base,
        head,
        change,
        p: raw.map(|raw| moved(raw, raw)),
        adjusted_p: raw.map(|raw| moved(adjusted, raw)),
        verdict,
        reason,
    }
}

fn decide_events(
    difference: &LogOddsDifference,
    adjusted: OneSided,
    smallest: f64,
    decision: &DecisionRule,
) -> Verdict {
    if adjusted.worse < decision.alpha && difference.difference >= smallest {
        Verdict::Regressed
    } else if adjusted.better < decision.alpha && difference.difference <= -smallest {
        Verdict::Improved
    } else if difference.difference_interval(decision.confidence).within(-smallest, smallest) {
        Verdict::Unchanged
    } else {
        Verdict::Inconclusive
    }
}

fn ratio_reason(
    verdict: Verdict,
    estimate: &Estimate,
    adjusted: OneSided,
    step: f64,
    decision: &DecisionRule,
) -> Reason {
    let (effect, bound) = (decision.smallest_effect.ln_1p(), decision.equivalence.ln_1p());
    match verdict {
        Verdict::Regressed | Verdict::Improved => Reason::Exceeds(Bound::Fraction(decision.smallest_effect)),
        Verdict::Unchanged => Reason::Within(Bound::Fraction(decision.equivalence)),
        Verdict::Inconclusive => {
            let (se, df) = (estimate.standard_error, estimate.degrees_of_freedom);
            Reason::Undecided {
                detectable: Bound::Fraction(smallest_detectable_effect(se, df, step, effect).exp_m1()),
                runs_needed: runs_needed(se, effect, bound, step, decision),
                significant: adjusted.worse.min(adjusted.better) < decision.alpha,
            }
        }
    }
}

fn events_reason(
    verdict: Verdict,
    difference: &LogOddsDifference,
    adjusted: OneSided,
    step: f64,
    smallest: f64,
    decision: &DecisionRule,
) -> Reason {
    match verdict {
        Verdict::Regressed | Verdict::Improved => Reason::Exceeds(Bound::Points(smallest)),
        Verdict::Unchanged => Reason::Within(Bound::Points(smallest)),
        Verdict::Inconclusive => {
            let se = difference.difference_error;
            Reason::Undecided {
                detectable: Bound::Points(smallest_detectable_effect(se, f64::INFINITY, step, smallest)),
                runs_needed: runs_needed(se, smallest, smallest, step, decision),
                significant: adjusted.worse.min(adjusted.better) < decision.alpha,
            }
        }
    }
}

/// Runs a side for both ends of the question: finding `effect`, and showing equality within `bound`.
fn runs_needed(spread: f64, effect: f64, bound: f64, step: f64, decision: &DecisionRule) -> Option<u32> {
    let equivalence_level = 0.5 * (1.0 - decision.confidence);
    Some(runs_to_detect(spread, effect, step)?.max(runs_for_equivalence(spread, bound, equivalence_level)?))
}

fn points(difference: &LogOddsDifference, decision: &DecisionRule) -> Change {
    Change::Points {
        difference: difference.difference,
        interval: difference.difference_interval(decision.confidence),
        estimate: difference.estimate,
    }
}

fn direction(evidence: &StoredEvidence) -> Direction {
    match evidence {
        StoredEvidence::Latency { .. } | StoredEvidence::Events { .. } => Direction::HigherIsWorse,
        StoredEvidence::Throughput { .. } => Direction::LowerIsWorse,
        StoredEvidence::Withheld { direction, .. } => *direction,
    }
}

fn values(evidence: &StoredEvidence) -> (Option<f64>, Option<f64>) {
    let finite = |value: f64| value.is_finite().then_some(value);
    let rate = |counts: &EventCounts| (counts.trials > 0).then(|| counts.rate());
    match evidence {
        StoredEvidence::Latency { base, head } | StoredEvidence::Throughput { base, head } => {
            (finite(base.value), finite(head.value))
        }
        StoredEvidence::Events { base, head } => (rate(base), rate(head)),
        StoredEvidence::Withheld { base, head, .. } => (*base, *head),
    }
}

/// One side of a ratio: its logarithm, with the variance that the run's own windows show.
struct Side {
    log: f64,
    variance: f64,
    degrees_of_freedom: f64,
    windows: usize,
}

impl Side {
    /// Latency: the variance of the mean of the windows' logarithms.
    fn of_latency(series: &RunSeries) -> Option<Self> {
        let logs: Vec<f64> = series.windows.iter().filter_map(|&window| logarithm(window)).collect();
        let log = logarithm(series.value)?;
        Some(Self::new(log, &logs, 1.0))
    }

    /// Throughput: the variance of the mean of the windows, carried to the logarithm by the delta method,
    /// because a window without a request has no logarithm. No request at all counts as half a one in the
    /// whole run, with the variance 1/½ that a Poisson count of one half has on the log scale.
    fn of_throughput(series: &RunSeries) -> Option<Self> {
        if !series.value.is_finite() || series.value < 0.0 {
            return None;
        }
        let counts: Vec<f64> =
            series.windows.iter().copied().filter(|x| x.is_finite() && *x >= 0.0).collect();
        let total: f64 = counts.iter().sum();
        if series.value == 0.0 || total == 0.0 {
            let log = logarithm(series.value.max(0.5 / counts.len().max(1) as f64))?;
            return Some(Self {
                log,
                variance: 2.0,
                degrees_of_freedom: f64::INFINITY,
                windows: counts.len(),
            });
        }
        Some(Self::new(logarithm(series.value)?, &counts, total / counts.len() as f64))
    }

    /// `scale` turns the windows' standard error into one of the logarithm.
    fn new(log: f64, windows: &[f64], scale: f64) -> Self {
        let (error, degrees_of_freedom) = match batch_means(windows) {
            Ok(means) => (means.standard_error / scale, means.degrees_of_freedom),
            // Fewer than two windows: the caller sees their number and does not judge.
            Err(_) => (f64::NAN, f64::NAN),
        };
        Self { log, variance: error * error, degrees_of_freedom, windows: windows.len() }
    }
}

fn compare_series(
    base: &RunSeries,
    head: &RunSeries,
    side: fn(&RunSeries) -> Option<Side>,
    spread: f64,
) -> Result<Estimate, NotJudged> {
    let (Some(base), Some(head)) = (side(base), side(head)) else { return Err(NotJudged::NoRatio) };
    if base.windows.min(head.windows) < FEWEST_WINDOWS {
        return Err(NotJudged::TooFewWindows {
            needed: FEWEST_WINDOWS,
            base: base.windows,
            head: head.windows,
        });
    }
    let variance = base.variance + head.variance + 2.0 * spread * spread;
    // Satterthwaite: the assumed part counts as known, so it has no share in the denominator.
    let share = |side: &Side| side.variance * side.variance / side.degrees_of_freedom;
    let denominator = share(&base) + share(&head);
    let degrees_of_freedom =
        if denominator > 0.0 { variance * variance / denominator } else { f64::INFINITY };
    Ok(Estimate { log_ratio: head.log - base.log, standard_error: variance.sqrt(), degrees_of_freedom })
}

#[cfg(test)]
mod tests;
