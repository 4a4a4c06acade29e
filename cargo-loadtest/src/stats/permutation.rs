//! Exact permutation tests of means: two samples by all splits, pairs by all sign flips.
//!
//! They assume nothing of the shape of the distribution, only that under the null hypothesis every arrangement is
//! equally likely (Fisher 1935; Pitman 1937). The price is coarseness: five pairs have 32 sign flips, so that no
//! result of theirs is below 2/32 = 0.0625. [`Permutation::smallest_p`] tells.
//!
//! Refuses to do: sampling of arrangements. Where all of them are too many, it says `None`.

use super::error::StatsError;

/// At most so many arrangements are gone through.
pub const MOST_ARRANGEMENTS: u64 = 1_000_000;

/// Arrangements count as at least as extreme as the observed one within this share of its size: equal sums that
/// were added in another order differ by rounding.
const TOLERANCE: f64 = 1e-10;

/// Result of an exact permutation test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Permutation {
    /// mean(head) − mean(base), or the mean of the differences, in the unit of the values.
    pub difference: f64,
    /// Two-sided p: the share of arrangements whose difference is at least as far from zero.
    pub p: f64,
    /// How many arrangements there are.
    pub arrangements: u64,
    /// The smallest p that this number of values can give, if all values differ.
    pub smallest_p: f64,
}

/// The exact test of a difference of means, over all C(n + m, n) splits of the pooled values.
///
/// `Ok(None)` where there are more than [`MOST_ARRANGEMENTS`] splits.
///
/// # Errors
/// An empty sample, or a value that is not finite.
///
/// ```
/// let test = cargo_loadtest::stats::permutation_test(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0])?;
/// assert_eq!(test.map(|test| test.p), Some(0.1)); // 2 of 20 splits
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn permutation_test(base: &[f64], head: &[f64]) -> Result<Option<Permutation>, StatsError> {
    checked(base)?;
    checked(head)?;
    let (n, m) = (base.len(), head.len());
    let Some(arrangements) = binomial(n + m, n) else { return Ok(None) };
    // Differences from the common mean keep the digits of values that are large beside their spread.
    let pooled: Vec<f64> = base.iter().chain(head).copied().collect();
    let middle = pooled.iter().sum::<f64>() / pooled.len() as f64;
    let centred: Vec<f64> = pooled.iter().map(|x| x - middle).collect();
    // The centred values add up to zero, so the sum of one side tells the difference of the means.
    let observed: f64 = centred[n..].iter().sum();
    let scale = 1.0 / n as f64 + 1.0 / m as f64;
    let mut count = Count::of(observed, &centred);
    splits(&centred, m, 0.0, &mut count);
    Ok(Some(Permutation {
        difference: observed * scale,
        p: count.extreme as f64 / arrangements as f64,
        arrangements,
        // The mirror image of a split is another split only if both sides are of one size.
        smallest_p: if n == m { 2.0 } else { 1.0 } / arrangements as f64,
    }))
}

/// The exact test of the mean of paired `differences` against zero, over all 2ⁿ changes of their signs.
///
/// `Ok(None)` where there are more than [`MOST_ARRANGEMENTS`] (from 20 pairs on).
///
/// # Errors
/// No value, or one that is not finite.
///
/// ```
/// let test = cargo_loadtest::stats::sign_flip_test(&[0.1, 0.2, 0.05, 0.3, 0.15])?;
/// assert_eq!(test.map(|test| test.p), Some(2.0 / 32.0)); // as small as five pairs can make it
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn sign_flip_test(differences: &[f64]) -> Result<Option<Permutation>, StatsError> {
    checked(differences)?;
    let n = differences.len();
    let arrangements = match 1u64.checked_shl(n as u32) {
        Some(arrangements) if n < 64 && arrangements <= MOST_ARRANGEMENTS => arrangements,
        _ => return Ok(None),
    };
    let observed: f64 = differences.iter().sum();
    let mut count = Count::of(observed, differences);
    for signs in 0..arrangements {
        let flipped = |(i, x): (usize, &f64)| if signs >> i & 1 == 1 { -x } else { *x };
        count.add(differences.iter().enumerate().map(flipped).sum());
    }
    Ok(Some(Permutation {
        difference: observed / n as f64,
        p: count.extreme as f64 / arrangements as f64,
        arrangements,
        smallest_p: 2.0 / arrangements as f64,
    }))
}

/// Adds the sums of all choices of `open` values among `values`.
fn splits(values: &[f64], open: usize, sum: f64, count: &mut Count) {
    if open == 0 {
        return count.add(sum);
    }
    for at in 0..=values.len() - open {
        splits(&values[at + 1..], open - 1, sum + values[at], count);
    }
}

/// How many arrangements are at least as extreme as the observed one.
struct Count {
    limit: f64,
    extreme: u64,
}

impl Count {
    fn of(observed: f64, values: &[f64]) -> Self {
        let size: f64 = values.iter().map(|x| x.abs()).sum();
        Self { limit: observed.abs() - TOLERANCE * size, extreme: 0 }
    }

    fn add(&mut self, sum: f64) {
        self.extreme += u64::from(sum.abs() >= self.limit);
    }
}

fn checked(values: &[f64]) -> Result<(), StatsError> {
    if values.is_empty() {
        return Err(StatsError::TooFew { needed: 1, given: 0 });
    }
    if values.iter().any(|x| !x.is_finite()) { Err(StatsError::NotFinite) } else { Ok(()) }
}

/// C(n, k), if it is at most [`MOST_ARRANGEMENTS`].
fn binomial(n: usize, k: usize) -> Option<u64> {
    let mut result: u64 = 1;
    for i in 1..=k.min(n - k) {
        // Every partial product is a binomial coefficient itself, so the division leaves no remainder.
        result = result.checked_mul((n + 1 - i) as u64)? / i as u64;
        if result > MOST_ARRANGEMENTS {
            return None;
        }
    }
    Some(result)
}
