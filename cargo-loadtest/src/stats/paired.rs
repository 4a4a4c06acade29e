//! The paired t test on log ratios, and two one-sided tests for equivalence.
//!
//! Pairs made one after the other on one machine share its mood, so their ratio is far steadier than
//! either side. Logarithms make a change of +10 % on a fast machine the same as on a slow one.
//!
//! Assumes: log ratios of different pairs are independent and roughly normal (the t test forgives much).
//!
//! Refuses to do: dropping a pair for its value, and rank or sign tests of few pairs (five pairs can't reach
//! p = 0.05 two-sided).

use super::descriptive::{logarithm, mean, standard_deviation};
use super::dist::{t_two_sided, t_upper_tail};
use super::error::StatsError;
use super::interval::{Estimate, Interval};

/// Result of a one-sample t test on paired log ratios.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedTest {
    /// Mean log ratio with its standard error and n − 1 degrees of freedom.
    pub estimate: Estimate,
    /// Number of pairs.
    pub pairs: usize,
    /// Standard deviation of the log ratios of single pairs: what one more pair is worth.
    pub standard_deviation: f64,
    /// The t statistic, mean / standard error.
    pub t: f64,
    /// P(|T| > |t|) if head and base are equal.
    pub p_two_sided: f64,
}

/// ln(headᵢ / baseᵢ) for each pair.
///
/// # Errors
/// Unequal lengths, or a value that is not finite and above zero.
pub fn paired_log_ratios(base: &[f64], head: &[f64]) -> Result<Vec<f64>, StatsError> {
    if base.len() != head.len() {
        return Err(StatsError::Unpaired { base: base.len(), head: head.len() });
    }
    let ratio = |(&b, &h): (&f64, &f64)| Some(logarithm(h)? - logarithm(b)?);
    base.iter().zip(head).map(ratio).collect::<Option<_>>().ok_or(StatsError::NotPositive)
}

/// Student's t test of `log_ratios` against zero (Student 1908), the test of interleaved pairs.
///
/// # Errors
/// Fewer than two pairs, or a value that is not finite.
///
/// ```
/// use cargo_loadtest::stats::{paired_log_ratios, paired_t};
/// let base = [101.2, 98.7, 103.5, 99.9, 100.4];
/// let head = [108.1, 106.9, 112.4, 105.2, 109.7];
/// let test = paired_t(&paired_log_ratios(&base, &head)?)?;
/// assert!((test.estimate.ratio() - 1.0764924106).abs() < 1e-9);
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn paired_t(log_ratios: &[f64]) -> Result<PairedTest, StatsError> {
    let pairs = log_ratios.len();
    if log_ratios.iter().any(|x| !x.is_finite()) {
        return Err(StatsError::NotFinite);
    }
    let (Some(log_ratio), Some(standard_deviation)) = (mean(log_ratios), standard_deviation(log_ratios))
    else {
        return Err(StatsError::TooFew { needed: 2, given: pairs });
    };
    let estimate = Estimate {
        log_ratio,
        standard_error: standard_deviation / (pairs as f64).sqrt(),
        degrees_of_freedom: (pairs - 1) as f64,
    };
    let t = estimate.statistic(0.0);
    Ok(PairedTest {
        estimate,
        pairs,
        standard_deviation,
        t,
        p_two_sided: t_two_sided(t, estimate.degrees_of_freedom),
    })
}

/// Result of two one-sided tests: is the ratio *shown* to be within the bounds?
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tost {
    /// p-value against "the log ratio is at or below −bound".
    pub p_lower: f64,
    /// p-value against "the log ratio is at or above +bound".
    pub p_upper: f64,
    /// The larger of the two: equivalence is shown at level α if this is below α.
    pub p: f64,
    /// 90 % interval of the log ratio: it lies within the bounds exactly if `p` < 0.05.
    pub interval: Interval,
}

/// Two one-sided tests (Schuirmann 1987) of an estimated log ratio against ±`bound`, `bound` on the log
/// scale: ln(1 + ε).
///
/// ```
/// use cargo_loadtest::stats::{paired_t, tost};
/// let test = paired_t(&[0.004, -0.011, 0.009, 0.002, -0.006])?;
/// assert!(tost(&test.estimate, 1.05f64.ln()).p < 0.05, "shown to be within 5 %");
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn tost(estimate: &Estimate, bound: f64) -> Tost {
    let df = estimate.degrees_of_freedom;
    let p_lower = t_upper_tail(estimate.statistic(-bound), df);
    let p_upper = t_upper_tail(-estimate.statistic(bound), df);
    Tost { p_lower, p_upper, p: p_lower.max(p_upper), interval: estimate.interval(0.90) }
}
