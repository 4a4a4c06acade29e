//! How far apart two distributions are: Kolmogorov and Smirnov's distance, and Wasserstein's.
//!
//! Both take plain values, or values with weights such as the buckets of a histogram. Descriptive only: the
//! p-value of Kolmogorov and Smirnov takes observations for independent, which requests of one run are not, so
//! nothing gates on it.
//!
//! Refuses to do: interpolation within buckets. A bucket counts as all its weight at its value.

use super::error::StatsError;

/// Up to this n·m the p-value of [`kolmogorov_smirnov`] is exact.
const MOST_EXACT: usize = 1_000_000;

/// Kolmogorov and Smirnov's test of two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KolmogorovSmirnov {
    /// D: the largest difference between the shares of values at or below a point, 0 to 1.
    pub distance: f64,
    /// Two-sided p-value: exact for n·m up to 1,000,000, asymptotic above. With ties it is too large, the
    /// safe side.
    pub p: f64,
}

/// Kolmogorov and Smirnov's two-sample test (Smirnov 1939). The exact p-value counts the lattice paths that stay
/// within the distance (Hodges 1958); the asymptotic one is Kolmogorov's series, 2 Σ (−1)ᵏ⁻¹ exp(−2k²λ²) with
/// λ = D·√(nm/(n + m)).
///
/// # Errors
/// An empty sample, or a value that is not finite.
///
/// ```
/// let test = cargo_loadtest::stats::kolmogorov_smirnov(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0])?;
/// assert_eq!((test.distance, test.p), (1.0, 0.1));
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn kolmogorov_smirnov(base: &[f64], head: &[f64]) -> Result<KolmogorovSmirnov, StatsError> {
    let distance = kolmogorov_smirnov_weighted(&single(base), &single(head))?;
    let (n, m) = (base.len(), head.len());
    let p = if n.saturating_mul(m) <= MOST_EXACT {
        exact_p(distance, n, m)
    } else {
        asymptotic_p(distance * (n as f64 * m as f64 / (n + m) as f64).sqrt())
    };
    Ok(KolmogorovSmirnov { distance, p })
}

/// D of two weighted distributions, each given as (value, weight) in any order; equal values are merged. There is
/// no p-value: weights do not say how many observations are independent.
///
/// # Errors
/// A side without weight, a weight that is negative, or a number that is not finite.
///
/// ```
/// let (base, head) = ([(1.0, 3.0), (2.0, 1.0)], [(1.0, 1.0), (2.0, 3.0)]);
/// assert_eq!(cargo_loadtest::stats::kolmogorov_smirnov_weighted(&base, &head), Ok(0.5));
/// ```
pub fn kolmogorov_smirnov_weighted(base: &[(f64, f64)], head: &[(f64, f64)]) -> Result<f64, StatsError> {
    let mut largest: f64 = 0.0;
    walk(base, head, |_, difference| largest = largest.max(difference.abs()))?;
    Ok(largest.min(1.0))
}

/// Wasserstein's distance of order one (Kantorovich 1942; Vallender 1974): ∫ |F(x) − G(x)| dx, the mean distance
/// between equal quantiles, in the unit of the values.
///
/// # Errors
/// An empty sample, or a value that is not finite.
///
/// ```
/// let distance = cargo_loadtest::stats::wasserstein(&[1.0, 2.0, 3.0], &[1.5, 2.5, 3.5]);
/// assert!((distance.unwrap() - 0.5).abs() < 1e-12);
/// ```
pub fn wasserstein(base: &[f64], head: &[f64]) -> Result<f64, StatsError> {
    wasserstein_weighted(&single(base), &single(head))
}

/// [`wasserstein`] of two weighted distributions, each given as (value, weight) in any order.
///
/// # Errors
/// A side without weight, a weight that is negative, or a number that is not finite.
///
/// ```
/// let (base, head) = ([(10.0, 50.0), (20.0, 50.0)], [(10.0, 1.0), (20.0, 1.0), (40.0, 2.0)]);
/// assert_eq!(cargo_loadtest::stats::wasserstein_weighted(&base, &head), Ok(12.5));
/// ```
pub fn wasserstein_weighted(base: &[(f64, f64)], head: &[(f64, f64)]) -> Result<f64, StatsError> {
    let mut area = 0.0;
    let mut before: Option<(f64, f64)> = None;
    walk(base, head, |value, difference| {
        if let Some((from, height)) = before {
            area += (value - from) * height;
        }
        before = Some((value, difference.abs()));
    })?;
    Ok(area)
}

fn single(values: &[f64]) -> Vec<(f64, f64)> {
    values.iter().map(|&value| (value, 1.0)).collect()
}

/// Goes through all values in ascending order and tells F(value) − G(value) at each.
fn walk(base: &[(f64, f64)], head: &[(f64, f64)], mut at: impl FnMut(f64, f64)) -> Result<(), StatsError> {
    let (base, base_weight) = sorted(base)?;
    let (head, head_weight) = sorted(head)?;
    let (mut i, mut j, mut below_base, mut below_head) = (0, 0, 0.0, 0.0);
    while i < base.len() || j < head.len() {
        let next = |side: &[(f64, f64)], at: usize| side.get(at).map_or(f64::INFINITY, |point| point.0);
        let value = next(&base, i).min(next(&head, j));
        while i < base.len() && base[i].0 <= value {
            below_base += base[i].1;
            i += 1;
        }
        while j < head.len() && head[j].0 <= value {
            below_head += head[j].1;
            j += 1;
        }
        at(value, below_base / base_weight - below_head / head_weight);
    }
    Ok(())
}

fn sorted(points: &[(f64, f64)]) -> Result<(Vec<(f64, f64)>, f64), StatsError> {
    if points.iter().any(|&(value, weight)| !value.is_finite() || !weight.is_finite() || weight < 0.0) {
        return Err(StatsError::NotFinite);
    }
    let mut points: Vec<(f64, f64)> = points.iter().copied().filter(|point| point.1 > 0.0).collect();
    if points.is_empty() {
        return Err(StatsError::TooFew { needed: 1, given: 0 });
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let weight = points.iter().map(|point| point.1).sum();
    Ok((points, weight))
}

/// P(D ≥ `distance`) by lattice paths from (0, 0) to (n, m). Each cell holds the probability that a random path
/// to it has touched the boundary, so that no number grows.
fn exact_p(distance: f64, n: usize, m: usize) -> f64 {
    let (rows, columns) = (n as f64, m as f64);
    // D is a multiple of 1/(nm): half of that is room enough for rounding.
    let limit = distance - 0.5 / (rows * columns);
    let outside = |i: usize, j: usize| (i as f64 / rows - j as f64 / columns).abs() >= limit;
    let mut touched = vec![0.0; m + 1];
    for i in 0..=n {
        for j in 0..=m {
            // Of the random paths to (i, j), the share i/(i + j) comes from (i − 1, j).
            let reached = match (i, j) {
                (0, 0) => 0.0,
                (0, _) => touched[j - 1],
                (_, 0) => touched[0],
                _ => {
                    let steps = (i + j) as f64;
                    touched[j] * (i as f64 / steps) + touched[j - 1] * (j as f64 / steps)
                }
            };
            touched[j] = if outside(i, j) { 1.0 } else { reached };
        }
    }
    touched[m].clamp(0.0, 1.0)
}

/// Kolmogorov's series. Below λ = 0.2 it is 1 to ten digits, and the series converges too slowly.
fn asymptotic_p(lambda: f64) -> f64 {
    if lambda < 0.2 {
        return 1.0;
    }
    let term = |k: u32| {
        let size = (-2.0 * f64::from(k * k) * lambda * lambda).exp();
        if k % 2 == 1 { size } else { -size }
    };
    (2.0 * (1..=100).map(term).sum::<f64>()).clamp(0.0, 1.0)
}
