//! One stored session against one new one, without history: the comparison that can be had at once, and that can
//! only tell large changes.
//!
//! With one run a side nothing *measured* says how much two sessions of equal code differ, so a spread between
//! sessions is *assumed* ([`SESSION_SPREAD`], 5 %) and belongs beside the result. The standard error of a log
//! ratio is
//!
//! se² = var(base) + var(head) + 2·τ²
//!
//! with the variance of each run's own mean by [`batch_means`], τ the assumed spread, and Satterthwaite's
//! degrees of freedom (1946). Because τ is an assumption, the smallest effect and the equivalence bound of
//! [`JudgeRule::STORED`](super::JudgeRule::STORED) are wide: 25 %.
//!
//! What it keeps, by simulation of one-minute runs with four gates, sessions of equal code 5 % apart and
//! windows autocorrelated by 0.9: at most 1 % of comparisons falsely `regressed` while single windows vary by
//! up to 7 %, about 2 % at 10 %; doubled latency is found every time. Equal code is called `unchanged` in 57 %
//! of comparisons with windows that vary by 5 %, in 7 % with 10 %; the rest is `inconclusive`. That is the
//! price of a single run a side.
//!
//! Refuses to do: verdicts; [`judge`](super::judge()) makes them.

use super::batch_means::batch_means;
use super::descriptive::logarithm;
use super::interval::Estimate;
use super::judge::{Effect, NotJudged};
use super::log_odds::{EventCounts, compare_events};

/// τ: assumed standard deviation, on the log scale, of latency and throughput between sessions of equal code.
pub const SESSION_SPREAD: f64 = 0.05;

/// The same for the log-odds of errors and drops, which vary more from run to run.
pub const EVENT_SPREAD: f64 = 0.20;

/// Fewest windows a side for a ratio to be judged.
pub const FEWEST_WINDOWS: usize = 2;

/// A run's value of a metric, with the windows that say how sure it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunSeries {
    /// The metric over the whole run.
    pub value: f64,
    /// The same metric per window of equal length, in time order.
    pub windows: Vec<f64>,
}

/// The log ratio of a latency. Windows hold the metric of that window (its p95, say) in the value's unit;
/// windows without a request are left out. `spread` is τ, usually [`SESSION_SPREAD`].
///
/// # Errors
/// A value that has no logarithm, or fewer than [`FEWEST_WINDOWS`] usable windows on a side.
///
/// ```
/// use cargo_loadtest::stats::{RunSeries, stored};
/// let run = |value: f64| RunSeries { value, windows: vec![value * 0.98, value, value * 1.02, value] };
/// let estimate = stored::latency(&run(40.0), &run(80.0), stored::SESSION_SPREAD).unwrap();
/// assert!((estimate.ratio() - 2.0).abs() < 1e-12 && estimate.standard_error > 0.05);
/// ```
pub fn latency(base: &RunSeries, head: &RunSeries, spread: f64) -> Result<Estimate, NotJudged> {
    compare_series(base, head, Side::of_latency, spread)
}

/// The log ratio of a throughput. Windows hold the requests of that window, zeros included; the value is their
/// rate per window. `spread` is τ, usually [`SESSION_SPREAD`].
///
/// # Errors
/// Both values zero, one negative or not a number, or fewer than [`FEWEST_WINDOWS`] windows on a side.
pub fn throughput(base: &RunSeries, head: &RunSeries, spread: f64) -> Result<Estimate, NotJudged> {
    if base.value <= 0.0 && head.value <= 0.0 {
        return Err(NotJudged::NoRatio);
    }
    compare_series(base, head, Side::of_throughput, spread)
}

/// Errors among requests, or drops among planned iterations. `spread` is the standard deviation of the log-odds
/// between sessions of equal code, usually [`EVENT_SPREAD`].
///
/// # Errors
/// A side without trials or with more events than trials.
pub fn events(base: &EventCounts, head: &EventCounts, spread: f64) -> Result<Effect, NotJudged> {
    let difference = compare_events(base, head, spread).map_err(|_| NotJudged::NoTrials)?;
    let none = base.events == 0 && head.events == 0;
    Ok(if none { Effect::NoEvents(difference) } else { Effect::Events(difference) })
}

/// One side of a ratio: its logarithm, with the variance that the run's own windows show.
struct Side {
    log: f64,
    variance: f64,
    degrees_of_freedom: f64,
    windows: usize,
}

impl Side {
    /// Latency: the variance of the mean of the windows' logarithms.
    fn of_latency(series: &RunSeries) -> Option<Self> {
        let logs: Vec<f64> = series.windows.iter().filter_map(|&window| logarithm(window)).collect();
        let log = logarithm(series.value)?;
        Some(Self::new(log, &logs, 1.0))
    }

    /// Throughput: the variance of the mean of the windows, carried to the logarithm by the delta method,
    /// because a window without a request has no logarithm. No request at all counts as half a one in the
    /// whole run, with the variance 1/½ that a Poisson count of one half has on the log scale.
    fn of_throughput(series: &RunSeries) -> Option<Self> {
        if !series.value.is_finite() || series.value < 0.0 {
            return None;
        }
        let counts: Vec<f64> =
            series.windows.iter().copied().filter(|x| x.is_finite() && *x >= 0.0).collect();
        let total: f64 = counts.iter().sum();
        if series.value == 0.0 || total == 0.0 {
            let log = logarithm(series.value.max(0.5 / counts.len().max(1) as f64))?;
            return Some(Self {
                log,
                variance: 2.0,
                degrees_of_freedom: f64::INFINITY,
                windows: counts.len(),
            });
        }
        Some(Self::new(logarithm(series.value)?, &counts, total / counts.len() as f64))
    }

    /// `scale` turns the windows' standard error into one of the logarithm.
    fn new(log: f64, windows: &[f64], scale: f64) -> Self {
        let (error, degrees_of_freedom) = match batch_means(windows) {
            Ok(means) => (means.standard_error / scale, means.degrees_of_freedom),
            // Fewer than two windows: the caller sees their number and does not judge.
            Err(_) => (f64::NAN, f64::NAN),
        };
        Self { log, variance: error * error, degrees_of_freedom, windows: windows.len() }
    }
}

fn compare_series(
    base: &RunSeries,
    head: &RunSeries,
    side: fn(&RunSeries) -> Option<Side>,
    spread: f64,
) -> Result<Estimate, NotJudged> {
    let (Some(base), Some(head)) = (side(base), side(head)) else { return Err(NotJudged::NoRatio) };
    if base.windows.min(head.windows) < FEWEST_WINDOWS {
        return Err(NotJudged::TooFewWindows {
            needed: FEWEST_WINDOWS,
            base: base.windows,
            head: head.windows,
        });
    }
    let variance = base.variance + head.variance + 2.0 * spread * spread;
    // Satterthwaite: the assumed part counts as known, so it has no share in the denominator.
    let share = |side: &Side| side.variance * side.variance / side.degrees_of_freedom;
    let denominator = share(&base) + share(&head);
    let degrees_of_freedom =
        if denominator > 0.0 { variance * variance / denominator } else { f64::INFINITY };
    Ok(Estimate { log_ratio: head.log - base.log, standard_error: variance.sqrt(), degrees_of_freedom })
}
