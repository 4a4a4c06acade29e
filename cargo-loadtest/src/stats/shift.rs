//! The shift function: where along the distribution did the head move?
//!
//! Ratios head / base at a row of quantiles, each with an interval over runs (after Doksum 1974; here with
//! runs as the unit). Descriptive only: nothing gates on it.
//!
//! Refuses to do: intervals from the samples of a single run; with one run a side there are ratios alone.

use super::descriptive::mean;
use super::error::StatsError;
use super::interval::Interval;
use super::paired::{paired_log_ratios, paired_t};

/// Quantiles at which the shift is shown: the deciles, 95, 99 and 99.9 %.
pub const SHIFT_QUANTILES: [f64; 12] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999];

/// The shift at one quantile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The quantile, as a fraction.
    pub quantile: f64,
    /// Geometric mean over pairs of head / base.
    pub ratio: f64,
    /// Interval of the ratio over runs, if there are at least two pairs.
    pub interval: Option<Interval>,
}

/// The shift function of runs made in pairs. `base[i][j]` is the value of run i at `quantiles[j]`, in any
/// unit above zero; rows of `base` and `head` with the same index are a pair.
///
/// A quantile at which any run has no usable value (zero, NaN, a row too short) is left out.
///
/// # Errors
/// Unequal numbers of runs, or none at all.
///
/// ```
/// let (base, head) = ([vec![10.0, 20.0], vec![11.0, 22.0]], [vec![10.0, 40.0], vec![11.0, 44.0]]);
/// let shifts = cargo_loadtest::stats::shift_function(&[0.5, 0.95], &base, &head, 0.95)?;
/// assert!((shifts[1].ratio - 2.0).abs() < 1e-12, "only the tail moved");
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn shift_function(
    quantiles: &[f64],
    base: &[Vec<f64>],
    head: &[Vec<f64>],
    confidence: f64,
) -> Result<Vec<Shift>, StatsError> {
    if base.len() != head.len() {
        return Err(StatsError::Unpaired { base: base.len(), head: head.len() });
    }
    if base.is_empty() {
        return Err(StatsError::TooFew { needed: 1, given: 0 });
    }
    let column =
        |runs: &[Vec<f64>], j: usize| runs.iter().map(|run| run.get(j).copied()).collect::<Option<Vec<_>>>();
    let shift = |(j, &quantile): (usize, &f64)| {
        let log_ratios = paired_log_ratios(&column(base, j)?, &column(head, j)?).ok()?;
        let interval = paired_t(&log_ratios).ok().map(|test| test.estimate.interval(confidence).exp());
        Some(Shift { quantile, ratio: mean(&log_ratios)?.exp(), interval })
    };
    Ok(quantiles.iter().enumerate().filter_map(shift).collect())
}
