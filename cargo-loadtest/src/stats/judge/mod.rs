//! From the evidence of all tests of a comparison to verdicts, whatever the mode in which they were measured.
//!
//! The main function is [`judge`]. What a mode knows (pairs, a history, one stored run) is in the [`Effect`]s,
//! which [`pairs`](super::pairs), [`history`](super::history) and [`stored`](super::stored) make, and in the
//! [`JudgeRule`] of each test. All metrics that gate, over all tests, are one family for Holm's adjustment; the
//! others are advisory, with Benjamini and Hochberg's.
//!
//! Refuses to do: verdicts on machine, generator or options (the guards come before), and formatting: every
//! reason is data.

mod model;

pub use model::{
    Bound, Change, Effect, JudgeRule, MetricEvidence, MetricJudgement, NotJudged, Reason, Role, TestEvidence,
    TestJudgement,
};

use super::interval::{
    DecisionRule, Estimate, OneSided, Verdict, decide, overall, runs_for_equivalence, runs_to_detect,
    smallest_detectable_effect,
};
use super::log_odds::LogOddsDifference;
use super::multiple::{benjamini_hochberg, holm};

/// Judges all tests of a comparison at once, because their gate metrics form one family for Holm's adjustment.
/// The adjusted p-values of a test are compared with the level of its own rule.
///
/// A latency or throughput metric is judged by [`decide`]. Events are `regressed` if the log-odds differ
/// significantly and the rates by at least the smallest effect, `unchanged` if there are none at all or the
/// interval of the difference lies within [`JudgeRule::points`]. Within a test, latency and throughput cannot
/// be `improved` if events regressed.
///
/// Metrics that can't be judged are `inconclusive` and take no part in the family; neither do events that
/// occurred on no side, which could never raise an alarm (Tarone 1990).
///
/// ```
/// use cargo_loadtest::stats::{
///     Direction, JudgeRule, MetricEvidence, Role, TestEvidence, Verdict, judge, pairs,
/// };
/// let (base, head) = ([41.0, 40.2, 40.9, 41.3], [46.1, 45.0, 46.3, 46.0]);
/// let p95 = MetricEvidence {
///     name: "p95".to_owned(),
///     role: Role::Gate,
///     direction: Direction::HigherIsWorse,
///     base: Some(40.85),
///     head: Some(45.85),
///     effect: pairs::ratio(&base, &head),
///     pairs: 4,
///     min_effect: 0.05,
/// };
/// let judged = judge(&[TestEvidence { rule: JudgeRule::DUET, metrics: vec![p95] }]);
/// assert_eq!(judged[0].verdict, Verdict::Regressed);
/// ```
pub fn judge(tests: &[TestEvidence]) -> Vec<TestJudgement> {
    let mut trials: Vec<Vec<Trial<'_>>> =
        tests.iter().map(|test| test.metrics.iter().map(Trial::of).collect()).collect();
    adjust(&mut trials, Role::Gate, holm);
    adjust(&mut trials, Role::Advisory, benjamini_hochberg);
    trials.iter().zip(tests).map(|(metrics, test)| judge_test(metrics, &test.rule)).collect()
}

/// A metric on its way to a judgement.
struct Trial<'a> {
    metric: &'a MetricEvidence,
    /// Its own p-values, if it takes part in a family.
    raw: Option<OneSided>,
    /// The adjusted ones, and the family's size.
    adjusted: Option<(OneSided, usize)>,
}

impl<'a> Trial<'a> {
    fn of(metric: &'a MetricEvidence) -> Self {
        let raw = metric.effect.as_ref().ok().and_then(|effect| effect.p_values(metric.direction));
        Self { metric, raw, adjusted: None }
    }

    fn is_events(&self) -> bool {
        matches!(&self.metric.effect, Ok(effect) if effect.is_events())
    }
}

/// Adjusts the p-values of one role over all tests; "worse" and "better" are a family each.
fn adjust(trials: &mut [Vec<Trial<'_>>], role: Role, method: fn(&[f64]) -> Vec<f64>) {
    let mut family: Vec<(&mut Trial<'_>, OneSided)> = trials
        .iter_mut()
        .flatten()
        .filter(|trial| trial.metric.role == role)
        .filter_map(|trial| trial.raw.map(|p| (trial, p)))
        .collect();
    let worse = method(&family.iter().map(|(_, p)| p.worse).collect::<Vec<_>>());
    let better = method(&family.iter().map(|(_, p)| p.better).collect::<Vec<_>>());
    let size = family.len();
    for ((trial, _), (worse, better)) in family.iter_mut().zip(worse.into_iter().zip(better)) {
        trial.adjusted = Some((OneSided { worse, better }, size));
    }
}

fn judge_test(trials: &[Trial<'_>], rule: &JudgeRule) -> TestJudgement {
    let mut metrics: Vec<MetricJudgement> = trials.iter().map(|trial| judge_metric(trial, rule)).collect();
    let events_regressed = trials
        .iter()
        .zip(&metrics)
        .any(|(trial, judged)| trial.is_events() && judged.verdict == Verdict::Regressed);
    if events_regressed {
        for (trial, judged) in trials.iter().zip(&mut metrics) {
            if !trial.is_events() && judged.verdict == Verdict::Improved {
                judged.verdict = Verdict::Inconclusive;
                judged.reason = Reason::EventsRegressed;
            }
        }
    }
    let gates = metrics.iter().filter(|judged| judged.role == Role::Gate).map(|judged| judged.verdict);
    TestJudgement { verdict: overall(gates), metrics }
}

fn judge_metric(trial: &Trial<'_>, rule: &JudgeRule) -> MetricJudgement {
    let metric = trial.metric;
    let alpha = match metric.role {
        Role::Gate => rule.decision.alpha,
        Role::Advisory => rule.false_discovery_rate,
    };
    let smallest = match &metric.effect {
        Ok(effect) if effect.is_events() => rule.points.max(metric.min_effect),
        Ok(_) => rule.decision.smallest_effect.max(metric.min_effect),
        Err(_) => metric.min_effect,
    };
    let decision = DecisionRule { alpha, ..rule.decision };
    let (adjusted, family) = trial.adjusted.unwrap_or((OneSided { worse: 1.0, better: 1.0 }, 1));
    let measure = Measure {
        decision,
        points: rule.points,
        smallest,
        adjusted,
        step: alpha / family.max(1) as f64,
        pairs: metric.pairs.max(1),
    };
    let (change, verdict, reason) = match &metric.effect {
        Err(reason) => (None, Verdict::Inconclusive, Reason::NotJudged(*reason)),
        Ok(Effect::NoEvents(difference)) => {
            (Some(points(difference, &decision)), Verdict::Unchanged, Reason::NoEvents)
        }
        Ok(Effect::Ratio(estimate)) => {
            let rule = DecisionRule { smallest_effect: smallest, ..decision };
            let verdict = decide(estimate, metric.direction, adjusted, &rule);
            let interval = estimate.interval(decision.confidence).exp();
            let change = Change::Ratio { ratio: estimate.ratio(), interval, estimate: *estimate };
            (Some(change), verdict, measure.ratio_reason(verdict, estimate))
        }
        Ok(Effect::Events(difference)) => {
            let verdict = measure.decide_events(difference);
            (Some(points(difference, &decision)), verdict, measure.events_reason(verdict, difference))
        }
    };
    // The direction in which the metric moved is that of the smaller p.
    let moved = |p: OneSided, raw: OneSided| if raw.worse <= raw.better { p.worse } else { p.better };
    MetricJudgement {
        name: metric.name.clone(),
        role: metric.role,
        direction: metric.direction,
        base: metric.base.filter(|value| value.is_finite()),
        head: metric.head.filter(|value| value.is_finite()),
        change,
        p: trial.raw.map(|raw| moved(raw, raw)),
        adjusted_p: trial.raw.map(|raw| moved(adjusted, raw)),
        min_effect: smallest,
        verdict,
        reason,
    }
}

/// By what one metric is measured.
struct Measure {
    decision: DecisionRule,
    /// Equivalence bound of events.
    points: f64,
    /// Smallest effect, in the metric's unit.
    smallest: f64,
    adjusted: OneSided,
    /// Level of the first step of Holm's method.
    step: f64,
    pairs: u32,
}

impl Measure {
    fn decide_events(&self, difference: &LogOddsDifference) -> Verdict {
        let (alpha, change) = (self.decision.alpha, difference.difference);
        if self.adjusted.worse < alpha && change >= self.smallest {
            Verdict::Regressed
        } else if self.adjusted.better < alpha && change <= -self.smallest {
            Verdict::Improved
        } else if difference.difference_interval(self.decision.confidence).within(-self.points, self.points) {
            Verdict::Unchanged
        } else {
            Verdict::Inconclusive
        }
    }

    fn ratio_reason(&self, verdict: Verdict, estimate: &Estimate) -> Reason {
        let (effect, bound) = (self.smallest.ln_1p(), self.decision.equivalence.ln_1p());
        match verdict {
            Verdict::Regressed | Verdict::Improved => Reason::Exceeds(Bound::Fraction(self.smallest)),
            Verdict::Unchanged => Reason::Within(Bound::Fraction(self.decision.equivalence)),
            Verdict::Inconclusive => {
                let (se, df) = (estimate.standard_error, estimate.degrees_of_freedom);
                let detectable = smallest_detectable_effect(se, df, self.step, effect).exp_m1();
                self.undecided(Bound::Fraction(detectable), se, effect, bound)
            }
        }
    }

    fn events_reason(&self, verdict: Verdict, difference: &LogOddsDifference) -> Reason {
        match verdict {
            Verdict::Regressed | Verdict::Improved => Reason::Exceeds(Bound::Points(self.smallest)),
            Verdict::Unchanged => Reason::Within(Bound::Points(self.points)),
            Verdict::Inconclusive => {
                let (se, df) = (difference.difference_error, difference.estimate.degrees_of_freedom);
                let detectable = smallest_detectable_effect(se, df, self.step, self.smallest);
                self.undecided(Bound::Points(detectable), se, self.smallest, self.points)
            }
        }
    }

    /// `runs_needed` is for both ends of the question: finding `effect`, and showing equality within `bound`.
    /// One pair varies by the standard error times √pairs.
    fn undecided(&self, detectable: Bound, standard_error: f64, effect: f64, bound: f64) -> Reason {
        let spread = standard_error * f64::from(self.pairs).sqrt();
        let equivalence_level = 0.5 * (1.0 - self.decision.confidence);
        let runs_needed = runs_to_detect(spread, effect, self.step)
            .zip(runs_for_equivalence(spread, bound, equivalence_level))
            .map(|(detect, equal)| detect.max(equal));
        let significant = self.adjusted.worse.min(self.adjusted.better) < self.decision.alpha;
        Reason::Undecided { detectable, runs_needed, significant }
    }
}

fn points(difference: &LogOddsDifference, decision: &DecisionRule) -> Change {
    Change::Points {
        difference: difference.difference,
        interval: difference.difference_interval(decision.confidence),
        estimate: difference.estimate,
    }
}

#[cfg(test)]
mod tests;
