//! Welch's t test: two independent samples whose spreads may differ.
//!
//! Descriptive beside a verdict: runs made in pairs share the machine's mood, which the paired test removes and
//! this one takes for noise; runs of two sessions differ by the session, which this one does not see.
//!
//! Assumes: independent values, means roughly normal. Logarithms of latencies come closer to that than latencies.
//!
//! Refuses to do: pooling the variances (Student's two-sample test), which is wrong where spreads differ.

use super::descriptive::{mean, variance};
use super::dist::t_two_sided;
use super::error::StatsError;
use super::interval::Estimate;

/// Result of Welch's test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Welch {
    /// mean(head) − mean(base), with its standard error and Satterthwaite's degrees of freedom. It is a log ratio
    /// if the values are logarithms.
    pub estimate: Estimate,
    /// The t statistic.
    pub t: f64,
    /// P(|T| > |t|) if the means are equal.
    pub p_two_sided: f64,
}

/// Welch's test of mean(`head`) − mean(`base`) against zero, in the unit of the values (Welch 1947), with the
/// degrees of freedom of Satterthwaite (1946): (a + b)² / (a²/(n − 1) + b²/(m − 1)), a = s²/n.
///
/// # Errors
/// Fewer than two values on a side, or one that is not finite.
///
/// ```
/// let test = cargo_loadtest::stats::welch_t(&[1.0, 2.0, 3.0], &[5.0, 6.0, 7.0])?;
/// assert!((test.estimate.log_ratio - 4.0).abs() < 1e-12);
/// assert!((test.estimate.degrees_of_freedom - 4.0).abs() < 1e-12);
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn welch_t(base: &[f64], head: &[f64]) -> Result<Welch, StatsError> {
    if base.iter().chain(head).any(|x| !x.is_finite()) {
        return Err(StatsError::NotFinite);
    }
    let side = |values: &[f64]| {
        let share = variance(values)? / values.len() as f64;
        Some((mean(values)?, share, share * share / (values.len() - 1) as f64))
    };
    let (Some(base), Some(head)) = (side(base), side(head)) else {
        return Err(StatsError::TooFew { needed: 2, given: base.len().min(head.len()) });
    };
    let variance = base.1 + head.1;
    let denominator = base.2 + head.2;
    let estimate = Estimate {
        log_ratio: head.0 - base.0,
        standard_error: variance.sqrt(),
        degrees_of_freedom: if denominator > 0.0 { variance * variance / denominator } else { f64::INFINITY },
    };
    let t = estimate.statistic(0.0);
    Ok(Welch { estimate, t, p_two_sided: t_two_sided(t, estimate.degrees_of_freedom) })
}
