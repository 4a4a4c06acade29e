//! Student's t and the normal distribution, wrapped so that no input hangs or panics.
//!
//! `statrs` has both, with two traps: the inverse of its incomplete beta function can hang or panic in
//! extreme tails, and its t distribution panics on NaN. So tail probabilities come from its distribution
//! and survival functions, quantiles are found here by a bracketed Newton iteration on those, and
//! probabilities are clamped to [[`SMALLEST_TAIL`], 1 − [`SMALLEST_TAIL`]] before they are inverted.
//!
//! Degrees of freedom are `f64`, because Satterthwaite's approximation gives fractions, and may be infinite:
//! the normal distribution. NaN gives NaN, which no verdict takes for significant.
//!
//! Refuses to do: any other distribution.

use statrs::distribution::{Continuous, ContinuousCDF, Normal, StudentsT};

/// Quantiles are never asked further out than this: no verdict needs it, and the numerics are sound up to here.
pub const SMALLEST_TAIL: f64 = 1e-9;

/// From here on the t distribution is the normal one to within 10⁻⁵ of any tail probability that matters.
const NORMAL_FROM: f64 = 1e5;

/// P(T > t) for Student's t with `df` > 0 degrees of freedom.
pub fn t_upper_tail(t: f64, df: f64) -> f64 {
    if t.is_nan() || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    if df >= NORMAL_FROM {
        return normal_upper_tail(t);
    }
    match students_t(df) {
        Some(distribution) => distribution.sf(t).clamp(0.0, 1.0),
        None => f64::NAN,
    }
}

/// P(T < t) for Student's t with `df` > 0 degrees of freedom.
pub fn t_lower_tail(t: f64, df: f64) -> f64 {
    t_upper_tail(-t, df)
}

/// P(|T| > |t|) for Student's t with `df` > 0 degrees of freedom.
pub fn t_two_sided(t: f64, df: f64) -> f64 {
    (2.0 * t_upper_tail(t.abs(), df)).min(1.0)
}

/// The t that leaves the probability `p` below it, `p` clamped as the module says.
pub fn t_quantile(p: f64, df: f64) -> f64 {
    if p.is_nan() || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    if df >= NORMAL_FROM {
        return normal_quantile(p);
    }
    let p = clamp(p);
    if p < 0.5 {
        // Symmetry: only upper tails are inverted, where the survival function keeps its digits.
        return -t_upper_quantile(p, df);
    }
    t_upper_quantile(1.0 - p, df)
}

/// P(Z > z) for the standard normal distribution.
pub fn normal_upper_tail(z: f64) -> f64 {
    if z.is_nan() { f64::NAN } else { Normal::standard().sf(z).clamp(0.0, 1.0) }
}

/// The z that leaves the probability `p` below it, `p` clamped as the module says.
pub fn normal_quantile(p: f64) -> f64 {
    if p.is_nan() { f64::NAN } else { Normal::standard().inverse_cdf(clamp(p)) }
}

fn clamp(p: f64) -> f64 {
    p.clamp(SMALLEST_TAIL, 1.0 - SMALLEST_TAIL)
}

fn students_t(df: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, df).ok()
}

/// The t ≥ 0 with P(T > t) = `tail`, for 0 < `tail` ≤ 0.5, by Newton's method kept inside a bracket.
fn t_upper_quantile(tail: f64, df: f64) -> f64 {
    let Some(distribution) = students_t(df) else { return f64::NAN };
    let mut low = 0.0;
    let mut high = 1.0;
    // The heaviest tail that can be met (df → 0) makes t huge; the doubling is bounded for that reason.
    while distribution.sf(high) > tail {
        low = high;
        high *= 2.0;
        if high > 1e300 {
            return high;
        }
    }
    let mut t = normal_quantile(1.0 - tail).clamp(low, high);
    for _ in 0..200 {
        let excess = distribution.sf(t) - tail;
        if excess > 0.0 {
            low = t
        } else {
            high = t
        }
        let newton = t + excess / distribution.pdf(t);
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - t).abs() <= 1e-15 * t.abs().max(1e-15) {
            return next;
        }
        t = next;
    }
    t
}
