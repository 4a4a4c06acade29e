//! From an estimate to a decision: confidence interval, one-sided p-values, [`Verdict`], and what an
//! inconclusive one would need.
//!
//! The decision is the same for every mode of comparison; modes differ only in how they get an [`Estimate`]
//! and in the [`DecisionRule`].
//!
//! Refuses to do: turning "not significant" into "unchanged". Only an interval that lies within the
//! equivalence bounds does that; everything else is [`Verdict::Inconclusive`].

use super::dist::{normal_quantile, t_quantile, t_upper_tail};

/// Power for which smallest detectable effects and numbers of runs are given.
pub const POWER: f64 = 0.80;

/// More runs than this are not worth recommending.
const MOST_RUNS: u32 = 10_000;

/// An estimated log ratio ln(head / base) with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// ln(head / base); 0 is no change.
    pub log_ratio: f64,
    /// Its standard error, on the same scale.
    pub standard_error: f64,
    /// Degrees of freedom of the standard error; infinite if it is known.
    pub degrees_of_freedom: f64,
}

/// An interval, in the unit of what it is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Its confidence, 0.90 for 90 %.
    pub confidence: f64,
}

impl Interval {
    /// Does the whole interval lie strictly between the bounds?
    pub fn within(&self, lower: f64, upper: f64) -> bool {
        self.lower > lower && self.upper < upper
    }

    /// The interval of the exponential: from log ratios to ratios.
    pub fn exp(&self) -> Self {
        Self { lower: self.lower.exp(), upper: self.upper.exp(), confidence: self.confidence }
    }
}

impl Estimate {
    /// The ratio head / base.
    pub fn ratio(&self) -> f64 {
        self.log_ratio.exp()
    }

    /// The t statistic against a log ratio of `null`. Without any uncertainty it is infinite, or 0 at `null`.
    pub fn statistic(&self, null: f64) -> f64 {
        let distance = self.log_ratio - null;
        if distance == 0.0 { 0.0 } else { distance / self.standard_error }
    }

    /// Interval of the log ratio, estimate ± t·se, two-sided at `confidence`.
    pub fn interval(&self, confidence: f64) -> Interval {
        let reach = t_quantile(0.5 + 0.5 * confidence, self.degrees_of_freedom) * self.standard_error;
        Interval { lower: self.log_ratio - reach, upper: self.log_ratio + reach, confidence }
    }

    /// One-sided p-values of "worse" and of "better" than no change.
    pub fn one_sided(&self, direction: Direction) -> OneSided {
        let worse = t_upper_tail(direction.worsening(self.statistic(0.0)), self.degrees_of_freedom);
        OneSided { worse, better: 1.0 - worse }
    }
}

/// Which way a metric hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Latency, errors, drops.
    HigherIsWorse,
    /// Throughput.
    LowerIsWorse,
}

impl Direction {
    /// A signed change turned so that positive means worse.
    pub fn worsening(self, change: f64) -> f64 {
        match self {
            Self::HigherIsWorse => change,
            Self::LowerIsWorse => -change,
        }
    }
}

/// A pair of one-sided p-values, raw or adjusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneSided {
    /// p against "not worse".
    pub worse: f64,
    /// p against "not better".
    pub better: f64,
}

/// What a comparison says of a metric or of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Worse, significantly and by enough to matter.
    Regressed,
    /// Better, significantly and by enough to matter.
    Improved,
    /// Shown to be within the equivalence bounds.
    Unchanged,
    /// Neither: not looked at closely enough to know.
    Inconclusive,
}

impl Verdict {
    /// The verdict's word, as documents and reports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Improved => "improved",
            Self::Unchanged => "unchanged",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// The numbers by which a change is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecisionRule {
    /// Level of the one-sided tests, compared with *adjusted* p-values.
    pub alpha: f64,
    /// Confidence of the interval that must lie within the equivalence bounds.
    pub confidence: f64,
    /// Smallest change that matters, as a fraction: 0.05 means a ratio of 1.05, or of 1/1.05 downwards.
    pub smallest_effect: f64,
    /// Equivalence bound, as a fraction: 0.10 means ratios between 1/1.10 and 1.10.
    pub equivalence: f64,
}

impl DecisionRule {
    /// The rule of interleaved pairs: α = 0.05 one-sided, smallest effect 5 %, equivalence 10 %.
    pub const PAIRED: Self = Self { alpha: 0.05, confidence: 0.90, smallest_effect: 0.05, equivalence: 0.10 };
}

/// Judges one metric on the ratio scale.
///
/// `regressed`: adjusted p of worse below α and the estimate at least the smallest effect; `improved`: the
/// mirror image; `unchanged`: the interval lies within the equivalence bounds; else `inconclusive`. NaN
/// anywhere ends in `inconclusive`.
pub fn decide(estimate: &Estimate, direction: Direction, adjusted: OneSided, rule: &DecisionRule) -> Verdict {
    let worsening = direction.worsening(estimate.log_ratio);
    let effect = rule.smallest_effect.ln_1p();
    let bound = rule.equivalence.ln_1p();
    if adjusted.worse < rule.alpha && worsening >= effect {
        Verdict::Regressed
    } else if adjusted.better < rule.alpha && -worsening >= effect {
        Verdict::Improved
    } else if estimate.interval(rule.confidence).within(-bound, bound) {
        Verdict::Unchanged
    } else {
        Verdict::Inconclusive
    }
}

/// The verdict on a test from those of its gate metrics: any regressed → regressed; all unchanged or
/// improved → unchanged; else, and for no metric at all, inconclusive.
pub fn overall(gates: impl IntoIterator<Item = Verdict>) -> Verdict {
    let mut any = false;
    let mut all_known = true;
    for verdict in gates {
        any = true;
        match verdict {
            Verdict::Regressed => return Verdict::Regressed,
            Verdict::Inconclusive => all_known = false,
            Verdict::Unchanged | Verdict::Improved => {}
        }
    }
    if any && all_known { Verdict::Unchanged } else { Verdict::Inconclusive }
}

/// Smallest true change that would be found with [`POWER`], on the scale of `standard_error` (log for
/// ratios): max(t₁₋α·se, δ) + t_power·se.
///
/// The first term is what an estimate must reach to count, the second what noise may take away from it.
/// `alpha` is the level that the metric must meet: α divided by the size of the family, the first step of
/// Holm. `smallest_effect` is δ on the same scale, 0 for none.
pub fn smallest_detectable_effect(
    standard_error: f64,
    degrees_of_freedom: f64,
    alpha: f64,
    smallest_effect: f64,
) -> f64 {
    let needed = t_quantile(1.0 - alpha, degrees_of_freedom) * standard_error;
    needed.max(smallest_effect) + t_quantile(POWER, degrees_of_freedom) * standard_error
}

/// Pairs of runs needed to find a true `effect` with [`POWER`] in a one-sided test at `alpha`: the smallest
/// k with (t₁₋α + t_power)·s/√k ≤ effect, k − 1 degrees of freedom. `None` above 10,000.
///
/// `spread` is s, the standard deviation of one pair's log ratio; `effect` is on the same scale.
pub fn runs_to_detect(spread: f64, effect: f64, alpha: f64) -> Option<u32> {
    runs_needed(spread, effect, 1.0 - alpha, POWER)
}

/// Pairs of runs needed to show equal code to be within ±`bound` with [`POWER`], by two one-sided tests at
/// `alpha`: the smallest k with (t₁₋α + t₍₁₊power₎⸝₂)·s/√k ≤ bound, k − 1 degrees of freedom. `None` above 10,000.
pub fn runs_for_equivalence(spread: f64, bound: f64, alpha: f64) -> Option<u32> {
    runs_needed(spread, bound, 1.0 - alpha, 0.5 * (1.0 + POWER))
}

fn runs_needed(spread: f64, distance: f64, level: f64, power: f64) -> Option<u32> {
    if !(spread.is_finite() && spread >= 0.0 && distance > 0.0) {
        return None;
    }
    // t quantiles exceed normal ones, so the normal answer is where the search starts.
    let z = normal_quantile(level) + normal_quantile(power);
    let start = (z * spread / distance).powi(2).ceil();
    if start > f64::from(MOST_RUNS) {
        return None;
    }
    let enough = |&k: &u32| {
        let df = f64::from(k - 1);
        let reach = t_quantile(level, df) + t_quantile(power, df);
        reach * spread / f64::from(k).sqrt() <= distance
    };
    ((start as u32).max(2)..=MOST_RUNS).find(enough)
}
