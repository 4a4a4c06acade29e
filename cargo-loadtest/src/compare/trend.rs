//! Whether the p95 of a side drifts in the course of its runs, which is the last guard and only warns.
//!
//! The main function is [`trend`]. Refuses to do: anything about a trend over several runs.

use super::extract::Measured;
use super::segments::Basis;
use crate::stats::descriptive::{logarithm, mean, variance};
use crate::stats::dist::t_two_sided;

/// Batches that a run is divided into to look for a trend.
const TREND_BATCHES: usize = 6;
/// Fewest windows for that.
const TREND_WINDOWS: usize = 12;
/// Two-sided level of the slope.
const TREND_LEVEL: f64 = 0.01;
/// Smallest drift over the run that is worth a word, as a share.
const TREND_DRIFT: f64 = 0.10;

/// A sentence if the p95 drifts within more than half of the runs of a side: of six sound runs, one in seventeen
/// times at least one seems to.
pub(super) fn trend(runs: &[&Measured], basis: Basis, who: &str) -> Option<String> {
    let drifts: Vec<f64> = runs.iter().filter_map(|run| drift(run, basis)).collect();
    if 2 * drifts.len() <= runs.len() {
        return None;
    }
    let times = mean(&drifts)?.exp();
    let how_often = match runs.len() {
        1 => String::new(),
        all => format!(" ({} of {all} runs, on average)", drifts.len()),
    };
    Some(format!(
        "p95 of {who} went from 1 to {times:.2} in the course of the run{how_often}: it had not settled; a longer \
         `warm_up` may help"
    ))
}

/// The drift of a run's p95 on the log scale, if there is one. The windows' logarithms are averaged in six
/// batches, because neighbours resemble each other, and a straight line is fitted; it counts if its slope
/// differs from 0 at 1 % (two-sided t test, 4 degrees of freedom) and it moves by 10 % or more over the
/// run. Ramps drift by their nature and are left alone, and so are several holds.
fn drift(run: &Measured, basis: Basis) -> Option<f64> {
    let one_segment = run.windows.windows(2).all(|pair| pair[0].segment == pair[1].segment);
    let logs: Vec<f64> = run.p95.windows.iter().filter_map(|window| logarithm((*window)?)).collect();
    if basis == Basis::Ramps || !one_segment || logs.len() < TREND_WINDOWS {
        return None;
    }
    let n = logs.len();
    let batches: Vec<f64> = (0..TREND_BATCHES)
        .filter_map(|i| mean(&logs[i * n / TREND_BATCHES..(i + 1) * n / TREND_BATCHES]))
        .collect();
    let k = TREND_BATCHES as f64;
    let centre = (k - 1.0) / 2.0;
    let sum_of_squares = k * (k * k - 1.0) / 12.0;
    let slope =
        batches.iter().enumerate().map(|(i, y)| (i as f64 - centre) * y).sum::<f64>() / sum_of_squares;
    let total = variance(&batches)? * (k - 1.0);
    let residual = (total - slope * slope * sum_of_squares).max(0.0) / (k - 2.0);
    let drift = slope * (k - 1.0);
    let p = t_two_sided(slope / (residual / sum_of_squares).sqrt(), k - 2.0);
    (p < TREND_LEVEL && drift.abs() >= TREND_DRIFT.ln_1p()).then_some(drift)
}
