//! A fresh session against the earlier sessions that a baseline's history holds.
//!
//! [`ratio`] and [`events`] ask whether the fresh session is one that the history leads to expect: Student's t
//! prediction interval, s·√(1 + 1/K) (Hahn and Meeker, *Statistical Intervals*, 1991). The spread between
//! sessions is measured by the history, not assumed.
//!
//! Assumes: sessions of equal code are independent draws from one roughly normal distribution of logarithms.
//! A history during which the code changed has a larger spread, which is the safe side.
//!
//! Refuses to do: fewer than [`FEWEST_SESSIONS`] sessions, and leaving out a session for its value.

use super::descriptive::{logarithm, mean, standard_deviation, variance};
use super::error::StatsError;
use super::interval::Estimate;
use super::judge::{Effect, NotJudged};
use super::log_odds::{LogOddsDifference, log_odds, log_odds_variance};
use super::pairs::Pool;

/// Fewest earlier sessions: below, the spread between sessions is too uncertain to judge by.
pub const FEWEST_SESSIONS: usize = 8;

/// A value above zero of a fresh session (the geometric mean of its runs, in any unit) against one value for
/// each earlier session.
///
/// # Errors
/// Fewer than [`FEWEST_SESSIONS`] sessions, or a value that is not finite and above zero.
///
/// ```
/// use cargo_loadtest::stats::{Effect, history};
/// let earlier = [40.1, 39.7, 41.2, 40.4, 40.9, 39.9, 40.6, 40.2];
/// let Ok(Effect::Ratio(found)) = history::ratio(&earlier, 48.0) else { panic!() };
/// assert!(found.interval(0.95).lower > 0.1);
/// ```
pub fn ratio(history: &[f64], head: f64) -> Result<Effect, NotJudged> {
    enough(history.len())?;
    let logs: Option<Vec<f64>> = history.iter().map(|&value| logarithm(value)).collect();
    let (logs, head) = logs.zip(logarithm(head)).ok_or(NotJudged::NoRatio)?;
    prediction(&logs, head).map(Effect::Ratio).map_err(|_| NotJudged::NoRatio)
}

/// Throughput, which may be zero: as [`ratio`], with a zero counted as `half`, the rate of half an iteration in
/// a whole session.
///
/// # Errors
/// As [`ratio`]; also where every session is zero.
pub fn throughput(history: &[f64], head: f64, half: f64) -> Result<Effect, NotJudged> {
    if head == 0.0 && history.iter().all(|&value| value == 0.0) {
        return Err(NotJudged::NoRatio);
    }
    let lift = |value: f64| if value == 0.0 { half } else { value };
    ratio(&history.iter().map(|&value| lift(value)).collect::<Vec<_>>(), lift(head))
}

/// Errors or drops, as (events, trials) of each session: the log-odds of the fresh session against those of the
/// earlier ones, all scaled to the smallest number of trials.
///
/// The variance is the larger of that of a prediction, s²(1 + 1/K), and the binomial one; K − 1 degrees of
/// freedom. The difference is that of the fresh session's rate and the pooled one of the history, with an
/// error of its own, made in the same way.
///
/// # Errors
/// Fewer than [`FEWEST_SESSIONS`] sessions, or one without trials or with more events than trials.
pub fn events(history: &[(u64, u64)], head: (u64, u64)) -> Result<Effect, NotJudged> {
    enough(history.len())?;
    if history.iter().chain([&head]).any(|&(events, trials)| trials == 0 || events > trials) {
        return Err(NotJudged::NoTrials);
    }
    let sessions = history.len() as f64;
    let widening = 1.0 + 1.0 / sessions;
    let trials = history.iter().map(|session| session.1).fold(head.1, u64::min) as f64;
    let scaled = |(events, of): (u64, u64)| events as f64 / of as f64 * trials;
    let logs: Vec<f64> = history.iter().map(|&session| log_odds(scaled(session), trials)).collect();
    let of_history: f64 =
        history.iter().map(|&session| log_odds_variance(scaled(session), trials)).sum::<f64>();
    let binomial = log_odds_variance(scaled(head), trials) + of_history / (sessions * sessions);
    let shown = variance(&logs).unwrap_or(0.0) * widening;
    let (pool, fresh) = (Pool::of(history), Pool::of(&[head]));
    let moves: Vec<f64> = history.iter().map(|&session| pool.residual(session)).collect();
    let difference = LogOddsDifference {
        estimate: Estimate {
            log_ratio: log_odds(scaled(head), trials) - mean(&logs).unwrap_or(f64::NAN),
            standard_error: shown.max(binomial).sqrt(),
            degrees_of_freedom: sessions - 1.0,
        },
        difference: fresh.rate() - pool.rate(),
        difference_error: (variance(&moves).unwrap_or(0.0) * widening)
            .max(pool.binomial_variance() + fresh.binomial_variance())
            .sqrt(),
    };
    let none = pool.events == 0.0 && head.0 == 0;
    Ok(if none { Effect::NoEvents(difference) } else { Effect::Events(difference) })
}

/// How far a new session lies from earlier ones: `head_log` − mean(`history_logs`), with the standard error
/// of a t prediction interval, s·√(1 + 1/K), and K − 1 degrees of freedom.
///
/// Assumes: sessions of equal code are independent draws with one spread, which the history shows.
///
/// # Errors
/// Fewer than two earlier sessions, or a value that is not finite.
///
/// ```
/// let found = cargo_loadtest::stats::history::prediction(&[1.0, 2.0, 3.0], 5.0)?;
/// assert_eq!((found.log_ratio, found.degrees_of_freedom), (3.0, 2.0));
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn prediction(history_logs: &[f64], head_log: f64) -> Result<Estimate, StatsError> {
    if !head_log.is_finite() || history_logs.iter().any(|x| !x.is_finite()) {
        return Err(StatsError::NotFinite);
    }
    let (Some(mean), Some(s)) = (mean(history_logs), standard_deviation(history_logs)) else {
        return Err(StatsError::TooFew { needed: 2, given: history_logs.len() });
    };
    let sessions = history_logs.len() as f64;
    Ok(Estimate {
        log_ratio: head_log - mean,
        standard_error: s * (1.0 + 1.0 / sessions).sqrt(),
        degrees_of_freedom: sessions - 1.0,
    })
}

fn enough(given: usize) -> Result<(), NotJudged> {
    if given < FEWEST_SESSIONS {
        return Err(NotJudged::TooFewSessions { needed: FEWEST_SESSIONS, given });
    }
    Ok(())
}
