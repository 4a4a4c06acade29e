//! Where a sample lies, robustly: Harrell and Davis's quantile, Hodges and Lehmann's location and shift, and the
//! interval of a quantile by order statistics.
//!
//! Assumes: independent values, one for each run. For requests of one run the intervals are far too narrow.
//!
//! Refuses to do: verdicts. These describe what the runs of a side look like.

use statrs::function::beta::checked_beta_reg;

use super::error::StatsError;

/// [`hodges_lehmann`] and [`hodges_lehmann_shift`] go through at most so many pairs.
pub const MOST_PAIRS: usize = 5_000_000;

/// A quantile with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HarrellDavis {
    /// The quantile, in the unit of the values.
    pub value: f64,
    /// Its standard error by the jackknife, in the same unit.
    pub standard_error: f64,
}

/// Harrell and Davis's quantile (1982): the mean of all order statistics, weighted by the Beta distribution with
/// the parameters (n + 1)q and (n + 1)(1 − q), which is steadier than one order statistic or two. Standard error
/// by the jackknife, as they propose: √((n − 1)/n · Σ (S₋ᵢ − S̄)²).
///
/// # Errors
/// Fewer than two values, one that is not finite, or `q` outside 0 to 1.
///
/// ```
/// let median = cargo_loadtest::stats::harrell_davis(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.5)?;
/// assert!((median.value - 3.0).abs() < 1e-9 && median.standard_error > 0.5);
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn harrell_davis(values: &[f64], q: f64) -> Result<HarrellDavis, StatsError> {
    let sorted = sorted(values, 2)?;
    fraction(q)?;
    let n = sorted.len();
    let of = |values: &[f64], weights: &[f64]| values.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>();
    let value = of(&sorted, &beta_weights(n, q)?);
    // Without value i: those before it keep their place, those after it move down by one.
    let weights = beta_weights(n - 1, q)?;
    let mut left_out = of(&sorted[1..], &weights);
    let mut without = vec![left_out];
    for i in 1..n {
        left_out += (sorted[i - 1] - sorted[i]) * weights[i - 1];
        without.push(left_out);
    }
    let mean = without.iter().sum::<f64>() / n as f64;
    let squares: f64 = without.iter().map(|s| (s - mean).powi(2)).sum();
    Ok(HarrellDavis { value, standard_error: (squares * (n - 1) as f64 / n as f64).sqrt() })
}

/// I(i/n) − I((i − 1)/n) for i = 1 … n, I the incomplete beta function of the quantile.
fn beta_weights(n: usize, q: f64) -> Result<Vec<f64>, StatsError> {
    let (a, b) = ((n + 1) as f64 * q, (n + 1) as f64 * (1.0 - q));
    let mut below = 0.0;
    (1..=n)
        .map(|i| {
            let up_to = if i == n { 1.0 } else { regularised_beta(a, b, i as f64 / n as f64)? };
            let weight = up_to - below;
            below = up_to;
            Ok(weight)
        })
        .collect()
}

fn regularised_beta(a: f64, b: f64, x: f64) -> Result<f64, StatsError> {
    checked_beta_reg(a, b, x).map_err(|_| StatsError::NotAFraction)
}

/// Hodges and Lehmann's location of one sample (1963): the median of the means of all pairs of values, each with
/// itself included. Half of all values may be a little off without moving it far.
///
/// # Errors
/// No value, one that is not finite, or more than [`MOST_PAIRS`] pairs.
///
/// ```
/// assert_eq!(cargo_loadtest::stats::hodges_lehmann(&[1.0, 2.0, 100.0]), Ok(26.25));
/// ```
pub fn hodges_lehmann(values: &[f64]) -> Result<f64, StatsError> {
    let sorted = sorted(values, 1)?;
    few_enough(sorted.len().saturating_mul(sorted.len() + 1) / 2)?;
    let means = sorted.iter().enumerate().flat_map(|(i, a)| sorted[i..].iter().map(move |b| 0.5 * (a + b)));
    Ok(median(means.collect()))
}

/// Hodges and Lehmann's shift between two samples: the median of all differences headⱼ − baseᵢ. Of logarithms it
/// is a log ratio.
///
/// # Errors
/// An empty sample, a value that is not finite, or more than [`MOST_PAIRS`] pairs.
///
/// ```
/// assert_eq!(cargo_loadtest::stats::hodges_lehmann_shift(&[1.0, 2.0], &[4.0, 5.0]), Ok(3.0));
/// ```
pub fn hodges_lehmann_shift(base: &[f64], head: &[f64]) -> Result<f64, StatsError> {
    let (base, head) = (sorted(base, 1)?, sorted(head, 1)?);
    few_enough(base.len().saturating_mul(head.len()))?;
    Ok(median(base.iter().flat_map(|b| head.iter().map(move |h| h - b)).collect()))
}

/// An interval between two order statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OrderInterval {
    /// Lower end, the value of rank `ranks.0`.
    pub lower: f64,
    /// Upper end, the value of rank `ranks.1`.
    pub upper: f64,
    /// Ranks of the ends, from 1.
    pub ranks: (usize, usize),
    /// The probability with which it covers the quantile: at least what was asked for.
    pub coverage: f64,
}

/// The interval of a quantile by order statistics (Thompson 1936; David and Nagaraja, *Order Statistics*): the
/// number of values below the quantile is binomial, whatever the distribution. At most (1 − confidence)/2 is
/// left out on each side.
///
/// `Ok(None)` where there are too few values: five don't reach 95 % even for the median.
///
/// # Errors
/// No value, one that is not finite, or `q` or `confidence` outside 0 to 1.
///
/// ```
/// let values: Vec<f64> = (1..=10).map(f64::from).collect();
/// let median = cargo_loadtest::stats::quantile_interval(&values, 0.5, 0.95)?.unwrap();
/// assert_eq!((median.lower, median.upper), (2.0, 9.0));
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn quantile_interval(
    values: &[f64],
    q: f64,
    confidence: f64,
) -> Result<Option<OrderInterval>, StatsError> {
    let sorted = sorted(values, 1)?;
    fraction(q)?;
    fraction(confidence)?;
    let n = sorted.len();
    let tail = 0.5 * (1.0 - confidence);
    // P(fewer than k values below the quantile), k = 0 … n + 1.
    let below: Vec<f64> = (0..=n + 1).map(|k| fewer_than(k, n, q)).collect::<Result<_, _>>()?;
    // Rank l fails if fewer than l values lie below, rank u if u or more do.
    let lower = (1..=n).rev().find(|&rank| below[rank] <= tail);
    let upper = (1..=n).find(|&rank| 1.0 - below[rank] <= tail);
    Ok(lower.zip(upper).filter(|(lower, upper)| lower < upper).map(|(lower, upper)| OrderInterval {
        lower: sorted[lower - 1],
        upper: sorted[upper - 1],
        ranks: (lower, upper),
        coverage: below[upper] - below[lower],
    }))
}

/// P(B < k) for B ~ Binomial(n, q), by the incomplete beta function.
fn fewer_than(k: usize, n: usize, q: f64) -> Result<f64, StatsError> {
    match k {
        0 => Ok(0.0),
        k if k > n => Ok(1.0),
        k => regularised_beta((n - k + 1) as f64, k as f64, 1.0 - q),
    }
}

fn fraction(q: f64) -> Result<(), StatsError> {
    if q > 0.0 && q < 1.0 { Ok(()) } else { Err(StatsError::NotAFraction) }
}

fn few_enough(pairs: usize) -> Result<(), StatsError> {
    if pairs > MOST_PAIRS { Err(StatsError::TooMany { most: MOST_PAIRS, given: pairs }) } else { Ok(()) }
}

fn sorted(values: &[f64], needed: usize) -> Result<Vec<f64>, StatsError> {
    if values.len() < needed {
        return Err(StatsError::TooFew { needed, given: values.len() });
    }
    if values.iter().any(|x| !x.is_finite()) {
        return Err(StatsError::NotFinite);
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Ok(sorted)
}

/// The median of at least one finite value.
fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    let upper = *values.select_nth_unstable_by(middle, f64::total_cmp).1;
    if values.len() % 2 == 1 {
        return upper;
    }
    // The values before the middle are the smaller half; its largest is the other middle one.
    let lower = values[..middle].iter().copied().fold(f64::NEG_INFINITY, f64::max);
    0.5 * (lower + upper)
}
