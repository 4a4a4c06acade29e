//! Regressions and failures on demand, to try out what a load test notices.
//!
//! [`Faults`] makes every request slower by a share of its own time, or fails a share of them. It refuses
//! to touch `/health` and `/stats`, and does nothing at all unless asked to.
//!
//! # What `slow_by` does to a latency
//!
//! A handler that took the time t is followed by `slow_by` × max(t, [`FLOOR`]) more, spent on the CPU as
//! a slower program would spend it. A client also sees the time of the connection and of the HTTP
//! parser, which the service cannot measure; the floor stands for it, so that short routes move too. So
//! on a machine that is not saturated all quantiles of a latency move by about `slow_by`. Near
//! saturation they move by more, because requests also wait for each other; and so do requests that are
//! refused in much less than the floor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;
use crate::{Concert, Percent};

/// A request is slowed as if its handler had taken at least this long: the latency of the shortest routes
/// as a client on the same machine sees it.
pub const FLOOR: Duration = Duration::from_micros(500);

/// Time beyond this is slept, not spun: a long spin would only starve the other connections, and tokio's
/// timer has a resolution of 1 ms, too coarse for what is below.
const SPIN: Duration = Duration::from_millis(2);

/// Slows and fails requests.
#[derive(Debug)]
pub struct Faults {
    slow_by: Percent,
    fail_rate: Percent,
    seed: u64,
    decided: AtomicU64,
    injected: AtomicU64,
}

impl Faults {
    /// Faults as in [`crate::Settings`].
    #[must_use]
    pub fn new(slow_by: Percent, fail_rate: Percent, seed: u64) -> Self {
        Self { slow_by, fail_rate, seed, decided: AtomicU64::new(0), injected: AtomicU64::new(0) }
    }

    /// How many requests were failed.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::Relaxed)
    }

    /// Decides over the next request.
    fn fails_next(&self) -> bool {
        let index = self.decided.fetch_add(1, Ordering::Relaxed);
        let fails = uniform(self.seed, index) < self.fail_rate.fraction();
        if fails {
            self.injected.fetch_add(1, Ordering::Relaxed);
        }
        fails
    }

    /// What a request that took `elapsed` has to take longer.
    fn delay(&self, elapsed: Duration) -> Duration {
        self.slow_by.of(elapsed.max(FLOOR))
    }
}

/// Fails some requests before any work is done for them.
pub(crate) async fn fail(State(concert): State<Arc<Concert>>, request: Request, next: Next) -> Response {
    if concert.faults.fails_next() {
        let hint = "start the service without --fail-rate";
        return ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "injected failure", hint).into_response();
    }
    next.run(request).await
}

/// Makes a request take longer than it took.
pub(crate) async fn slow(State(concert): State<Arc<Concert>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let response = next.run(request).await;
    let end = Instant::now();
    let delay = concert.faults.delay(end - start);
    if delay > SPIN {
        tokio::time::sleep(delay - SPIN).await;
    }
    while end.elapsed() < delay {
        std::hint::spin_loop();
    }
    response
}

/// The number at an index of the sequence of a seed, uniform in [0, 1).
///
/// SplitMix64 (Steele, Lea and Flood, 2014), whose state is a counter: every thread can draw from one
/// sequence without a lock.
fn uniform(seed: u64, index: u64) -> f64 {
    let mut bits = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    // The 53 bits that a float has.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(slow_by: &str, fail_rate: &str, seed: u64) -> Faults {
        Faults::new(slow_by.parse().unwrap(), fail_rate.parse().unwrap(), seed)
    }

    #[test]
    fn failures_are_as_frequent_as_asked() {
        let (n, rate) = (100_000_u32, 0.05);
        for seed in [0, 1, 42, u64::MAX] {
            let faults = faults("0%", "5%", seed);
            let failed = (0..n).filter(|_| faults.fails_next()).count();
            assert_eq!(faults.injected(), failed as u64);
            // Four standard deviations of a binomial distribution.
            let error = 4.0 * (f64::from(n) * rate * (1.0 - rate)).sqrt();
            assert!((failed as f64 - f64::from(n) * rate).abs() < error, "seed {seed}: {failed}");
        }
    }

    #[test]
    fn a_seed_fails_the_same_requests_again() {
        let draw = |seed| {
            let faults = faults("0%", "50%", seed);
            (0..200).map(|_| faults.fails_next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn nothing_and_everything_fail_when_asked() {
        assert!((0..10_000).all(|_| !faults("0%", "0%", 3).fails_next()));
        let all = faults("0%", "100%", 3);
        assert!((0..10_000).all(|_| all.fails_next()));
    }

    #[test]
    fn a_delay_is_a_share_of_the_time_with_a_floor() {
        let faults = faults("10%", "0%", 1);
        assert_eq!(faults.delay(Duration::from_millis(20)), Duration::from_millis(2));
        assert_eq!(faults.delay(Duration::from_micros(1)), FLOOR / 10);
        assert_eq!(Faults::new(Percent::ZERO, Percent::ZERO, 1).delay(FLOOR), Duration::ZERO);
    }
}
