//! What the virtual users of a test, and of a scenario, have in common.
//!
//! The main types are [`TestContext`] and [`ScenarioContext`]. They are made before any virtual user and only
//! read, or counted in, afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::SystemTime;

use loadtest_core::options::Workload;
use loadtest_core::plan::Shard;
use tokio::sync::watch;

use crate::clock::Instant;
use crate::executor::{Counters, Seats, Source, Timeline};
use crate::http::{HttpOptions, Throttle};
use crate::log::Log;

/// Why a load ended before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopCause {
    /// By a signal.
    Interrupted,
    /// By `cargo loadtest stop`.
    Asked,
    /// By a threshold with `abort`.
    Threshold(String),
    /// By the test itself, with the reason that it gave.
    Test(String),
}

/// Whoever may end a load; the first cause counts.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Sender<Option<StopCause>>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Stop {
    /// Ends the load, unless something has already.
    pub(crate) fn stop(&self, cause: StopCause) {
        self.0.send_if_modified(|first| {
            let fresh = first.is_none();
            if fresh {
                *first = Some(cause);
            }
            fresh
        });
    }

    /// What has ended it.
    pub(crate) fn cause(&self) -> Option<StopCause> {
        self.0.borrow().clone()
    }

    /// Waits until something ends it.
    pub(crate) async fn stopped(&self) -> StopCause {
        let mut receiver = self.0.subscribe();
        loop {
            if let Some(cause) = receiver.borrow_and_update().clone() {
                return cause;
            }
            if receiver.changed().await.is_err() {
                // Nobody is left to stop it; this value holds a sender itself, so that can't be.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// When the load began; empty before. Offsets of samples count from it.
#[derive(Debug, Default)]
pub(crate) struct Begin {
    pub(crate) at: Arc<OnceLock<Instant>>,
    /// The same by the wall clock.
    pub(crate) wall: OnceLock<SystemTime>,
}

/// What all scenarios of a test have in common.
#[derive(Debug)]
pub(crate) struct TestContext {
    pub(crate) seed: u64,
    pub(crate) shard: Shard,
    pub(crate) stop: Stop,
    pub(crate) begin: Begin,
    pub(crate) http: Arc<HttpOptions>,
    /// The limit to the HTTP requests of all scenarios together, if there is one.
    pub(crate) throttle: Option<Arc<Throttle>>,
    /// What virtual users say.
    pub(crate) log: Log,
    /// The seats of every scenario, for what is counted over all of them.
    seats: RwLock<Vec<Seats>>,
    /// What `vu.fail(..)` was told, each text once.
    failures: Mutex<Vec<String>>,
}

/// Texts of `vu.fail(..)` that are kept.
const MAX_FAILURES: usize = 10;

impl TestContext {
    /// A test without a limit to requests, whose virtual users nobody hears.
    pub(crate) fn new(seed: u64, shard: Shard, stop: Stop, http: Arc<HttpOptions>) -> Self {
        Self {
            seed,
            shard,
            stop,
            begin: Begin::default(),
            http,
            throttle: None,
            log: Log::new(0, |_| {}),
            seats: RwLock::default(),
            failures: Mutex::default(),
        }
    }

    /// With at most `rps` HTTP requests per second, of which each shard makes its part, and somewhere for what
    /// virtual users say.
    pub(crate) fn limited(mut self, rps: Option<u32>, log: Log) -> Self {
        self.throttle = rps.map(|rps| Arc::new(Throttle::new(rps, self.shard.count)));
        self.log = log;
        self
    }

    /// One more scenario has these seats.
    pub(crate) fn add_seats(&self, seats: Seats) {
        self.seats.write().unwrap_or_else(PoisonError::into_inner).push(seats);
    }

    /// The sum of a count over all scenarios.
    pub(crate) fn total(&self, count: impl Fn(&Counters) -> u64) -> u64 {
        let seats = self.seats.read().unwrap_or_else(PoisonError::into_inner);
        seats.iter().map(|seats| count(seats.counters())).sum()
    }

    /// The test is failed, whatever else it shows.
    pub(crate) fn fail(&self, why: String) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < MAX_FAILURES && !failures.contains(&why) {
            failures.push(why);
        }
    }

    /// Why the test said that it failed.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The `rps` that scenarios, each with its name, agree on: it is for the whole test. One that says nothing agrees.
///
/// # Errors
/// Names the two that contradict each other.
pub(crate) fn agreed_rps<'a>(
    said: impl IntoIterator<Item = (&'a str, Option<u32>)>,
) -> Result<Option<u32>, String> {
    let mut said = said.into_iter().filter_map(|(name, rps)| Some((name, rps?)));
    let Some((first, rps)) = said.next() else { return Ok(None) };
    match said.find(|(_, other)| *other != rps) {
        None => Ok(Some(rps)),
        Some((name, other)) => Err(format!(
            "rps is for the whole test, but the scenario `{first}` says {rps} and `{name}` says {other}\n\
             hint: say it in one of them, or the same in both"
        )),
    }
}

/// What the virtual users of a scenario have in common.
pub(crate) struct ScenarioContext {
    pub(crate) name: String,
    pub(crate) workload: Workload,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) seats: Seats,
    pub(crate) timeline: Timeline,
    pub(crate) test: Arc<TestContext>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_cause_ends_the_load_and_whoever_asks_later_is_told() {
        let stop = Stop::default();
        assert_eq!(stop.cause(), None);
        let cause = StopCause::Test("sold out".to_owned());
        stop.clone().stop(cause.clone());
        stop.stop(StopCause::Interrupted);
        assert_eq!((stop.stopped().await, stop.cause()), (cause.clone(), Some(cause)));
    }

    #[test]
    fn scenarios_agree_on_rps_or_are_told() {
        assert_eq!(agreed_rps([("a", None), ("b", None)]), Ok(None));
        assert_eq!(agreed_rps([("a", None), ("b", Some(5)), ("c", Some(5))]), Ok(Some(5)));
        let error = agreed_rps([("a", Some(5)), ("b", None), ("c", Some(6))]).expect_err("they differ");
        assert!(error.contains("`a` says 5 and `c` says 6") && error.contains("hint: "), "{error}");
    }

    #[test]
    fn each_failure_is_kept_once_and_only_some_of_many() {
        let test = TestContext::new(1, Shard::default(), Stop::default(), Arc::default());
        for number in 0..1_000 {
            test.fail(format!("seat {} sold twice", number % 3));
        }
        assert_eq!(test.failures(), ["seat 0 sold twice", "seat 1 sold twice", "seat 2 sold twice"]);
        (0..1_000).for_each(|number| test.fail(number.to_string()));
        assert_eq!(test.failures().len(), MAX_FAILURES);
    }
}
