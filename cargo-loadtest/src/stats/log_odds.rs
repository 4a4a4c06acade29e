//! Rare events: failed requests and dropped iterations, compared as log-odds.
//!
//! A rate near zero has no useful ratio (none against one is infinite) and no useful difference (0.01 %
//! against 0.02 % is a doubling). Log-odds with half an event added, ln((x + ½)/(n − x + ½)) (Haldane 1956;
//! Anscombe 1956), are finite for any count and nearly normal.
//!
//! Half an event weighs more in a small run than in a large one, so both sides are first scaled to a common
//! number of trials, the smaller one. Without that, a lower throughput with no error at all would look like
//! a rise of the error rate.
//!
//! Refuses to do: taking requests for independent. The variance is at least binomial, at least what the
//! windows of the run show, and on top comes the variation between runs.

use super::batch_means::batch_means;
use super::error::StatsError;
use super::interval::{Estimate, Interval};

/// Events of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EventCounts {
    /// Events: failed requests, dropped iterations.
    pub events: u64,
    /// Trials: all requests, all planned iterations.
    pub trials: u64,
    /// (events, trials) per window in time order. May be empty: then only binomial variation within the run
    /// is assumed, which is too little for errors that come in bursts.
    pub windows: Vec<(u64, u64)>,
}

impl EventCounts {
    /// Share of trials that are events, 0 without trials.
    pub fn rate(&self) -> f64 {
        if self.trials == 0 { 0.0 } else { self.events as f64 / self.trials as f64 }
    }
}

/// How the log-odds of two runs differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogOddsDifference {
    /// Log of the odds ratio head / base, with its standard error.
    pub estimate: Estimate,
    /// Rate of the head − rate of the base, unscaled: 0.001 is 0.1 percentage points.
    pub difference: f64,
    /// Standard error of that difference, from the same data: of two single runs by the delta method,
    /// √Σ (p(1 − p))²·Var(log-odds).
    pub difference_error: f64,
}

impl LogOddsDifference {
    /// Interval of the difference of the rates: t with the degrees of freedom of the estimate, normal if they
    /// are infinite.
    pub fn difference_interval(&self, confidence: f64) -> Interval {
        let estimate = Estimate {
            log_ratio: self.difference,
            standard_error: self.difference_error,
            degrees_of_freedom: self.estimate.degrees_of_freedom,
        };
        estimate.interval(confidence)
    }
}

/// ln((x + ½)/(n − x + ½)) of `events` x in `trials` n; counts may be scaled, so they are `f64`.
pub fn log_odds(events: f64, trials: f64) -> f64 {
    ((events + 0.5) / (trials - events + 0.5)).ln()
}

/// Binomial variance of [`log_odds`]: 1/(x + ½) + 1/(n − x + ½) (Gart and Zweifel 1967).
pub fn log_odds_variance(events: f64, trials: f64) -> f64 {
    1.0 / (events + 0.5) + 1.0 / (trials - events + 0.5)
}

/// Compares the events of one run of each side.
///
/// Both sides are scaled to the smaller number of trials. Variance per side: the larger of the binomial one
/// (at the scaled counts, which is never too small) and the one that the windows show, plus `between_runs`²,
/// where `between_runs` is the standard deviation of the log-odds between runs of equal code.
///
/// # Errors
/// A side without trials or with more events than trials.
///
/// ```
/// use cargo_loadtest::stats::{EventCounts, compare_events};
/// let run = |events| EventCounts { events, trials: 10_000, windows: Vec::new() };
/// let found = compare_events(&run(10), &run(40), 0.20)?;
/// assert!((found.difference - 0.003).abs() < 1e-12 && found.estimate.log_ratio > 1.3);
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn compare_events(
    base: &EventCounts,
    head: &EventCounts,
    between_runs: f64,
) -> Result<LogOddsDifference, StatsError> {
    for side in [base, head] {
        if side.trials == 0 || side.events > side.trials {
            return Err(StatsError::ImpossibleCounts { events: side.events, trials: side.trials });
        }
    }
    let trials = base.trials.min(head.trials) as f64;
    let [base_side, head_side] = [base, head].map(|counts| Side::of(counts, trials, between_runs));
    Ok(LogOddsDifference {
        estimate: Estimate {
            log_ratio: head_side.log_odds - base_side.log_odds,
            standard_error: (base_side.variance + head_side.variance).sqrt(),
            degrees_of_freedom: f64::INFINITY,
        },
        difference: head.rate() - base.rate(),
        difference_error: (base_side.rate_variance() + head_side.rate_variance()).sqrt(),
    })
}

/// One side, scaled to the common number of trials.
struct Side {
    log_odds: f64,
    variance: f64,
    smoothed_rate: f64,
}

impl Side {
    fn of(counts: &EventCounts, trials: f64, between_runs: f64) -> Self {
        let events = counts.rate() * trials;
        let within = log_odds_variance(events, trials).max(window_variance(counts).unwrap_or(0.0));
        Self {
            log_odds: log_odds(events, trials),
            variance: within + between_runs * between_runs,
            smoothed_rate: (events + 0.5) / (trials + 1.0),
        }
    }

    fn rate_variance(&self) -> f64 {
        (self.smoothed_rate * (1.0 - self.smoothed_rate)).powi(2) * self.variance
    }
}

/// Variance of the log-odds as the windows show it: the ratio estimator's residuals xᵢ − r·nᵢ (Cochran 1977,
/// chapter 6), their mean's variance by batch means, carried to log-odds by the delta method.
fn window_variance(counts: &EventCounts) -> Option<f64> {
    let (events, trials) = counts
        .windows
        .iter()
        .fold((0.0, 0.0), |(events, trials), &(x, n)| (events + x as f64, trials + n as f64));
    if events <= 0.0 || events >= trials {
        return None;
    }
    let rate = events / trials;
    let mean_trials = trials / counts.windows.len() as f64;
    let residuals: Vec<f64> =
        counts.windows.iter().map(|&(x, n)| (x as f64 - rate * n as f64) / mean_trials).collect();
    let error = batch_means(&residuals).ok()?.standard_error;
    Some((error / (rate * (1.0 - rate))).powi(2))
}
