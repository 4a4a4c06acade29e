//! Where along the distribution of latency the sides differ, for description only.
//!
//! The main functions are [`shift`] and [`distance`]. Refuses to do: anything that a verdict could rest on.

use loadtest_core::metric::{Totals, Unit};

use super::extract::Measured;
use super::{Distance, ShiftPoint};
use crate::stats::{SHIFT_QUANTILES, kolmogorov_smirnov_weighted, shift_function, wasserstein_weighted};

/// Values on the thinner side of a quantile that it takes to show it.
const FEWEST_BEYOND: f64 = 10.0;
/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// The shift function. Runs with the same index are pairs; without pairs (`None`) the sides are pooled, and there are
/// no intervals.
pub(super) fn shift(base: &[&Measured], head: &[&Measured], paired: bool) -> Vec<ShiftPoint> {
    let rows = |runs: &[&Measured]| -> Vec<Vec<f64>> {
        match paired {
            true => runs.iter().map(|run| row(&run.successes)).collect(),
            false => vec![row(&pooled(runs))],
        }
    };
    let shifts = shift_function(&SHIFT_QUANTILES, &rows(base), &rows(head), CONFIDENCE).unwrap_or_default();
    let finite = |(lower, upper): &(f64, f64)| lower.is_finite() && upper.is_finite();
    let point = |shift: crate::stats::Shift| ShiftPoint {
        quantile: shift.quantile,
        ratio: shift.ratio,
        interval: shift.interval.map(|interval| (interval.lower, interval.upper)).filter(finite),
    };
    shifts.into_iter().map(point).filter(|point| point.ratio.is_finite()).collect()
}

/// How far apart the pooled distributions are; `None` without one of them.
pub(super) fn distance(base: &[&Measured], head: &[&Measured]) -> Option<Distance> {
    let (base, head) = (weighted(&pooled(base)), weighted(&pooled(head)));
    Some(Distance {
        kolmogorov_smirnov: kolmogorov_smirnov_weighted(&base, &head).ok()?,
        wasserstein_ms: wasserstein_weighted(&base, &head).ok()?,
    })
}

fn pooled(runs: &[&Measured]) -> Totals {
    let mut sum = Totals::default();
    runs.iter().for_each(|run| sum.merge(&run.successes));
    sum
}

/// The quantiles that are shown; those that too few values lie beyond are not numbers, and are left out.
fn row(totals: &Totals) -> Vec<f64> {
    let value = |q: &f64| {
        let beyond = totals.count as f64 * q.min(1.0 - q);
        // Rounding must not cost 10,000 values their 99.9th percentile.
        let enough = beyond + 1e-6 >= FEWEST_BEYOND;
        totals.quantile(*q, Unit::Millis).filter(|_| enough).unwrap_or(f64::NAN)
    };
    SHIFT_QUANTILES.iter().map(value).collect()
}

/// The buckets of a histogram as values in milliseconds with their counts.
fn weighted(totals: &Totals) -> Vec<(f64, f64)> {
    let buckets = totals.hist.iter().flat_map(|hist| hist.iter());
    buckets.map(|(value, count)| (value / Unit::Millis.scale(), count as f64)).collect()
}
