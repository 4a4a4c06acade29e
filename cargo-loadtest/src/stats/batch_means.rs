//! How sure one run is of its own mean: batch means of an autocorrelated series of windows.
//!
//! Neighbouring one-second windows of a run resemble each other (a garbage collection, a slow disk), so the
//! mean of 60 windows is far less certain than that of 60 independent values. Batch means (Conway 1963; Law
//! and Kelton, *Simulation Modeling and Analysis*) average neighbours into a few long batches, whose means
//! are nearly independent. With the 60 windows of a one-minute run and an autocorrelation of 0.9 they are
//! still not independent, and the plain estimate is 3 to 4 times too small. So it is divided by the bias
//! that a first-order autoregressive series (AR(1)) of the same lag-one autocorrelation would have. In
//! simulations of that series the corrected estimate lies within 1.0 to 1.5 times the true variance.
//!
//! Refuses to do: testing whether the series is stationary. A trend within the run inflates the variance,
//! which is the safe side; warning of it is the caller's business.

use super::descriptive::{mean, variance};
use super::error::StatsError;

/// Below this many windows an autocorrelation can't be estimated, and [`ASSUMED_AUTOCORRELATION`] is taken.
pub const WINDOWS_TO_ESTIMATE: usize = 20;

/// Lag-one autocorrelation taken for runs of fewer than [`WINDOWS_TO_ESTIMATE`] windows.
pub const ASSUMED_AUTOCORRELATION: f64 = 0.5;

/// The estimated autocorrelation is cut here: above it, the correction would rest on nothing but itself.
const LARGEST_AUTOCORRELATION: f64 = 0.95;

/// The mean of a window series with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchMeans {
    /// Mean of the windows, in their unit.
    pub mean: f64,
    /// Standard error of that mean, in their unit, autocorrelation accounted for.
    pub standard_error: f64,
    /// Batches − 1: how many degrees of freedom the standard error has.
    pub degrees_of_freedom: f64,
    /// How many batches were made.
    pub batches: usize,
    /// Lag-one autocorrelation of the windows, between 0 and 0.95, bias-corrected or (short runs) assumed.
    pub autocorrelation: f64,
    /// How many independent windows the run is worth: σ² / `standard_error`², between 1 and the number of windows.
    pub effective_size: f64,
}

/// Mean, standard error and effective sample size of one run's `windows` (in time order, gaps left out).
///
/// Number of batches: the whole part of √n, at least 6 and at most 20, for n ≥ 20; below that every window
/// is its own batch. √n lets length and number of batches grow together, which is what consistency needs
/// (Flegal and Jones 2010); fewer than 6 would leave too few degrees of freedom, and more than 20 gain
/// nothing (Schmeiser 1982).
///
/// Assumes: a stationary series with a correlation that falls off roughly geometrically.
///
/// # Errors
/// Fewer than two windows, or a window that is not finite.
///
/// ```
/// // Two slow minutes among four are worth far less than 240 independent seconds.
/// let windows: Vec<f64> = (0..240).map(|i| 40.0 + f64::from(i / 60 % 2) + 0.1 * f64::from(i % 7)).collect();
/// let means = cargo_loadtest::stats::batch_means(&windows)?;
/// assert!(means.effective_size < 20.0);
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn batch_means(windows: &[f64]) -> Result<BatchMeans, StatsError> {
    let n = windows.len();
    if windows.iter().any(|x| !x.is_finite()) {
        return Err(StatsError::NotFinite);
    }
    let (Some(mean), Some(window_variance)) = (mean(windows), variance(windows)) else {
        return Err(StatsError::TooFew { needed: 2, given: n });
    };
    let (batches, autocorrelation) = if n < WINDOWS_TO_ESTIMATE {
        (n, ASSUMED_AUTOCORRELATION)
    } else {
        ((n as f64).sqrt() as usize, corrected_autocorrelation(windows, mean))
    };
    let batches = if n < WINDOWS_TO_ESTIMATE { n } else { batches.clamp(6, 20) };
    let k = batches as f64;
    let plain = variance(&means_of_batches(windows, batches)).unwrap_or(0.0) / k;

    // For an AR(1) series, E[plain] = (variance of a batch mean − variance of the mean) / (k − 1).
    let of_mean = relative_variance_of_mean(n as f64, autocorrelation);
    let of_batch = relative_variance_of_mean(n as f64 / k, autocorrelation);
    let expected = (of_batch - of_mean) / (k - 1.0);
    let variance_of_mean = plain * of_mean / expected;

    // The sample variance of a correlated series is too small by 1 − of_mean (times n/(n − 1)).
    let marginal = window_variance * (n - 1) as f64 / n as f64 / (1.0 - of_mean);
    let effective_size =
        if variance_of_mean > 0.0 { (marginal / variance_of_mean).clamp(1.0, n as f64) } else { n as f64 };
    Ok(BatchMeans {
        mean,
        standard_error: variance_of_mean.sqrt(),
        degrees_of_freedom: k - 1.0,
        batches,
        autocorrelation,
        effective_size,
    })
}

/// Means of `k` batches of neighbouring windows, as equal in length as n allows.
fn means_of_batches(windows: &[f64], k: usize) -> Vec<f64> {
    (0..k).filter_map(|i| mean(&windows[i * windows.len() / k..(i + 1) * windows.len() / k])).collect()
}

/// Lag-one autocorrelation, corrected for its bias of −(1 + 3ρ)/n (Marriott and Pope 1954; Kendall 1954).
/// Negative values count as 0: alternation is no reason for more confidence.
fn corrected_autocorrelation(windows: &[f64], mean: f64) -> f64 {
    let n = windows.len() as f64;
    let total: f64 = windows.iter().map(|x| (x - mean).powi(2)).sum();
    if total <= 0.0 {
        return 0.0;
    }
    let lagged: f64 = windows.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    ((n * lagged / total + 1.0) / (n - 3.0)).clamp(0.0, LARGEST_AUTOCORRELATION)
}

/// Var(mean of n values) / σ² of a stationary AR(1) series with lag-one autocorrelation ρ:
/// [(1 + ρ)/(1 − ρ) − 2ρ(1 − ρⁿ)/(n(1 − ρ)²)] / n.
fn relative_variance_of_mean(n: f64, rho: f64) -> f64 {
    let gap = 1.0 - rho;
    ((1.0 + rho) / gap - 2.0 * rho * (1.0 - rho.powf(n)) / (n * gap * gap)) / n
}
