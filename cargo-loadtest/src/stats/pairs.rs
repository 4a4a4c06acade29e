//! Runs made in pairs, base and head in turn on one machine: the evidence of a duet.
//!
//! [`ratio`] and [`throughput`] are the paired t test on log ratios, [`events`] that on log-odds. Values with the
//! same index are a pair. What the two runs of a pair share (the machine's mood, its slow drift) cancels; what
//! differs between pairs is seen, so no spread has to be assumed.
//!
//! Assumes: pairs are independent, and their differences roughly normal.
//!
//! Refuses to do: fewer than [`FEWEST_PAIRS`] pairs, and dropping a pair for its value.

use super::descriptive::{mean, standard_error, variance};
use super::interval::Estimate;
use super::judge::{Effect, NotJudged};
use super::log_odds::{LogOddsDifference, log_odds, log_odds_variance};
use super::paired::{paired_log_ratios, paired_t};

/// Fewest pairs that are judged: below, the t quantiles are so wide that nothing but a catastrophe shows.
pub const FEWEST_PAIRS: usize = 4;

/// A value above zero (latency in any unit) compared by paired t on ln(headᵢ / baseᵢ) (Student 1908).
///
/// # Errors
/// Unequal lengths, fewer than [`FEWEST_PAIRS`] pairs, or a value that is not finite and above zero.
///
/// ```
/// use cargo_loadtest::stats::{Effect, pairs};
/// let effect = pairs::ratio(&[101.2, 98.7, 103.5, 99.9, 100.4], &[108.1, 106.9, 112.4, 105.2, 109.7]);
/// let Ok(Effect::Ratio(estimate)) = effect else { panic!("{effect:?}") };
/// assert!((estimate.ratio() - 1.0764924106).abs() < 1e-9);
/// ```
pub fn ratio(base: &[f64], head: &[f64]) -> Result<Effect, NotJudged> {
    enough(base.len(), head.len())?;
    let log_ratios = paired_log_ratios(base, head).map_err(|_| NotJudged::NoRatio)?;
    let test = paired_t(&log_ratios).map_err(|_| NotJudged::NoRatio)?;
    Ok(Effect::Ratio(test.estimate))
}

/// Throughput, which may be zero: a head that serves nothing is the worst regression, not a missing value.
///
/// A zero counts as `half`, the rate of half an iteration in the whole run: 0.5 / its seconds, for values per second.
///
/// # Errors
/// As [`ratio`]; also where every run of both sides is zero.
pub fn throughput(base: &[f64], head: &[f64], half: f64) -> Result<Effect, NotJudged> {
    if base.iter().chain(head).all(|&value| value == 0.0) {
        return Err(NotJudged::NoRatio);
    }
    let lifted = |values: &[f64]| -> Vec<f64> {
        values.iter().map(|&value| if value == 0.0 { half } else { value }).collect()
    };
    ratio(&lifted(base), &lifted(head))
}

/// Errors or drops, as (events, trials) of each run: the mean over pairs of the difference of log-odds.
///
/// Both runs of a pair are scaled to the smaller number of trials of the two. The variance of the mean is the
/// larger of that which the pairs show and the binomial one, Σ Var(log-odds)/k²; k − 1 degrees of freedom. The
/// difference is that of the pooled rates, with an error of its own: the larger of the ratio estimator's
/// (Cochran 1977, chapter 6), taken over pairs, and the binomial one.
///
/// # Errors
/// Unequal lengths, fewer than [`FEWEST_PAIRS`] pairs, a run without trials or with more events than trials.
///
/// ```
/// use cargo_loadtest::stats::{Effect, pairs};
/// let (base, head) = ([(3, 9_000); 4], [(90, 9_000), (85, 9_000), (97, 9_000), (88, 9_000)]);
/// let Ok(Effect::Events(found)) = pairs::events(&base, &head) else { panic!() };
/// assert!((found.difference - 348.0 / 36_000.0).abs() < 1e-12);
/// ```
pub fn events(base: &[(u64, u64)], head: &[(u64, u64)]) -> Result<Effect, NotJudged> {
    enough(base.len(), head.len())?;
    if base.iter().chain(head).any(|&(events, trials)| trials == 0 || events > trials) {
        return Err(NotJudged::NoTrials);
    }
    let pairs = base.len() as f64;
    let (differences, binomial): (Vec<f64>, Vec<f64>) =
        base.iter().zip(head).map(|(&base, &head)| pair_difference(base, head)).unzip();
    let shown = standard_error(&differences).unwrap_or(0.0).powi(2);
    let least = binomial.iter().sum::<f64>() / (pairs * pairs);
    let (base_pool, head_pool) = (Pool::of(base), Pool::of(head));
    let moves: Vec<f64> = base
        .iter()
        .zip(head)
        .map(|(&base, &head)| head_pool.residual(head) - base_pool.residual(base))
        .collect();
    let difference_error = (variance(&moves).unwrap_or(0.0) / pairs)
        .max(base_pool.binomial_variance() + head_pool.binomial_variance())
        .sqrt();
    let difference = LogOddsDifference {
        estimate: Estimate {
            log_ratio: mean(&differences).unwrap_or(f64::NAN),
            standard_error: shown.max(least).sqrt(),
            degrees_of_freedom: pairs - 1.0,
        },
        difference: head_pool.rate() - base_pool.rate(),
        difference_error,
    };
    let none = base_pool.events == 0.0 && head_pool.events == 0.0;
    Ok(if none { Effect::NoEvents(difference) } else { Effect::Events(difference) })
}

fn enough(base: usize, head: usize) -> Result<(), NotJudged> {
    if base != head {
        return Err(NotJudged::Unpaired { base, head });
    }
    if base < FEWEST_PAIRS {
        return Err(NotJudged::TooFewPairs { needed: FEWEST_PAIRS, given: base });
    }
    Ok(())
}

/// Difference of the log-odds of one pair, scaled to a common number of trials, and its binomial variance.
fn pair_difference(base: (u64, u64), head: (u64, u64)) -> (f64, f64) {
    let trials = base.1.min(head.1) as f64;
    let [base, head] = [base, head].map(|(events, of)| events as f64 / of as f64 * trials);
    let variance = log_odds_variance(base, trials) + log_odds_variance(head, trials);
    (log_odds(head, trials) - log_odds(base, trials), variance)
}

/// All runs of one side together.
pub(super) struct Pool {
    pub(super) events: f64,
    trials: f64,
    runs: f64,
}

impl Pool {
    pub(super) fn of(runs: &[(u64, u64)]) -> Self {
        let sum = |of: fn(&(u64, u64)) -> u64| runs.iter().map(|run| of(run) as f64).sum();
        Self { events: sum(|run| run.0), trials: sum(|run| run.1), runs: runs.len() as f64 }
    }

    pub(super) fn rate(&self) -> f64 {
        self.events / self.trials
    }

    /// How far one run moves the pooled rate: (xᵢ − r·nᵢ) / n̄.
    pub(super) fn residual(&self, (events, trials): (u64, u64)) -> f64 {
        (events as f64 - self.rate() * trials as f64) / (self.trials / self.runs)
    }

    /// p(1 − p)/n with half an event added, so that none is not taken for certainty.
    pub(super) fn binomial_variance(&self) -> f64 {
        let smoothed = (self.events + 0.5) / (self.trials + 1.0);
        smoothed * (1.0 - smoothed) / self.trials
    }
}
