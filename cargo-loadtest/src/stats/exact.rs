//! Exact tests on small data: Fisher's on a 2 × 2 table, Mann and Whitney's on two small samples.
//!
//! Descriptive beside a verdict, never the verdict itself: both take their observations for independent,
//! which requests of one run are not.
//!
//! Refuses to do: asymptotic approximations. Where the exact answer is too dear, it says `None`.

use super::error::StatsError;

/// Two-sided p-value of Fisher's exact test on `[[a, b], [c, d]]`: the summed probability of all tables with
/// the same margins that are at most as likely as the observed one (as R's `fisher.test` does).
///
/// Probabilities are built from ratios of neighbours, starting at the observed table, so no factorial of
/// millions of requests is ever taken. Linear in the smallest margin. 1 if a margin is zero.
///
/// ```
/// let p = cargo_loadtest::stats::fisher_exact([[12, 9_988], [30, 9_970]]);
/// assert!((p - 0.0078519136).abs() < 1e-9);
/// ```
pub fn fisher_exact(table: [[u64; 2]; 2]) -> f64 {
    let [[a, b], [c, d]] = table;
    let (row, column, total) = (
        u128::from(a) + u128::from(b),
        u128::from(a) + u128::from(c),
        u128::from(a) + u128::from(b) + u128::from(c) + u128::from(d),
    );
    if row == 0 || column == 0 || row == total || column == total {
        return 1.0;
    }
    let low = (row + column).saturating_sub(total);
    let high = row.min(column);
    // weight(x + 1) / weight(x) of the hypergeometric distribution.
    let up = |x: u128| {
        (row - x) as f64 * (column - x) as f64 / ((x + 1) as f64 * (total + x + 1 - row - column) as f64)
    };
    // Equal probabilities that differ by rounding count as equal (R's relative tolerance).
    let limit = 1.0 + 1e-7;
    let (mut all, mut extreme) = (1.0, 1.0);
    let mut rescale = Walk { all: &mut all, extreme: &mut extreme, limit };
    let start = u128::from(a);
    rescale.run((start..high).map(up));
    rescale.run((low..start).rev().map(|x| 1.0 / up(x)));
    (extreme / all).clamp(0.0, 1.0)
}

/// Sums weights relative to the observed table's, away from it in one direction.
struct Walk<'a> {
    all: &'a mut f64,
    extreme: &'a mut f64,
    limit: f64,
}

impl Walk<'_> {
    fn run(&mut self, ratios: impl Iterator<Item = f64>) {
        let mut weight = 1.0;
        for ratio in ratios {
            weight *= ratio;
            *self.all += weight;
            if weight <= self.limit {
                *self.extreme += weight;
            }
            // Past the mode the ratios fall below one for good, so nothing that matters can follow; and an
            // observed table so unlikely that the others overflow beside it has p = 0.
            if (ratio < 1.0 && weight < *self.all * 1e-18) || weight.is_infinite() {
                break;
            }
        }
    }
}

/// The exact Mann-Whitney test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannWhitney {
    /// U of the first sample: pairs in which its value is the larger one.
    pub u: f64,
    /// Exact two-sided p-value.
    pub p: f64,
}

/// Mann and Whitney's U test by counting all orderings (their recurrence of 1947).
///
/// `Ok(None)` where an exact p does not exist or is too dear: ties between the samples, or n·m above 400.
///
/// # Errors
/// An empty sample, or a value that is NaN or infinite.
///
/// ```
/// let test = cargo_loadtest::stats::mann_whitney(&[4.0, 5.0, 6.0], &[1.0, 2.0, 3.0])?;
/// assert_eq!(test.map(|test| (test.u, test.p)), Some((9.0, 0.1)));
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn mann_whitney(x: &[f64], y: &[f64]) -> Result<Option<MannWhitney>, StatsError> {
    if x.is_empty() || y.is_empty() {
        return Err(StatsError::TooFew { needed: 1, given: x.len().min(y.len()) });
    }
    if x.iter().chain(y).any(|v| !v.is_finite()) {
        return Err(StatsError::NotFinite);
    }
    if x.len() * y.len() > 400 || x.iter().any(|a| y.contains(a)) {
        return Ok(None);
    }
    let u = x.iter().map(|a| y.iter().filter(|b| a > b).count()).sum::<usize>();
    let counts = orderings_by_u(x.len(), y.len());
    let total: f64 = counts.iter().sum();
    // The distribution of U is symmetric about n·m/2.
    let smaller = u.min(x.len() * y.len() - u);
    let tail: f64 = counts[..=smaller].iter().sum();
    Ok(Some(MannWhitney { u: u as f64, p: (2.0 * tail / total).min(1.0) }))
}

/// How many orderings of n and m values give each U: the coefficients of the Gaussian binomial
/// Π (1 − qᵐ⁺ⁱ)/(1 − qⁱ), i = 1 … n. Up to n·m = 400 all of them are whole numbers below
/// 2⁵³, so the subtractions are exact.
fn orderings_by_u(n: usize, m: usize) -> Vec<f64> {
    let size = n * m + 1;
    let mut counts = vec![0.0; size];
    counts[0] = 1.0;
    for i in 1..=n {
        for u in (m + i..size).rev() {
            counts[u] -= counts[u - m - i];
        }
        for u in i..size {
            counts[u] += counts[u - i];
        }
    }
    counts
}
