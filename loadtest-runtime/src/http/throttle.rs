//! [`Throttle`]: a limit to the requests of a whole test per second, whoever sends them.
//!
//! Requests take slots on an absolute grid: each is at least 1/rate after the one before it, so that there is
//! never a burst, and by any time `t` at most `1 + t · rate` requests have left (the generic cell rate algorithm
//! with a tolerance of zero). Slots are handed out with one atomic step, by all workers alike. Nothing here
//! records anything: the time that was waited is returned.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Slots are counted in picoseconds, so that the rate is right to a millionth at a million per second; 213 days
/// fit.
const PICOS_PER_SECOND: u64 = 1_000_000_000_000;
const PICOS_PER_NANO: u64 = 1_000;

/// Hands out the slots of one limit.
#[derive(Debug)]
pub(crate) struct Throttle {
    base: Instant,
    /// Between two slots.
    interval: u64,
    /// The first slot that nobody has taken.
    next: AtomicU64,
    /// How many slots were given back.
    returned: AtomicU64,
    /// Those slots.
    spare: Mutex<BTreeSet<u64>>,
}

impl Throttle {
    /// At most `rate` requests per second, shared evenly by `parts` generators.
    pub(crate) fn new(rate: u32, parts: u32) -> Self {
        let interval =
            PICOS_PER_SECOND.saturating_mul(u64::from(parts.max(1))).div_ceil(u64::from(rate.max(1)));
        Self {
            base: Instant::now(),
            interval,
            next: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            spare: Mutex::default(),
        }
    }

    /// Waits for a slot, and says how long that took. A caller that goes away while it waits leaves its slot to
    /// the next one.
    pub(crate) async fn turn(&self) -> Duration {
        let began = Instant::now();
        let now = self.picos(began);
        let slot = self.take(now);
        if slot <= now {
            return Duration::ZERO;
        }
        let waiting = Waiting { throttle: self, slot: Some(slot) };
        // Rounded up: never before the slot.
        tokio::time::sleep_until(self.base + Duration::from_nanos(slot.div_ceil(PICOS_PER_NANO))).await;
        waiting.over();
        began.elapsed()
    }

    fn picos(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.base).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX).saturating_mul(PICOS_PER_NANO)
    }

    /// The first free slot from now on.
    fn take(&self, now: u64) -> u64 {
        if self.returned.load(Ordering::Acquire) > 0 {
            let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
            // Those before now are over.
            *spare = spare.split_off(&now);
            let slot = spare.pop_first();
            self.returned.store(spare.len() as u64, Ordering::Release);
            if let Some(slot) = slot {
                return slot;
            }
        }
        let mut next = self.next.load(Ordering::Acquire);
        loop {
            let slot = next.max(now);
            let after = slot.saturating_add(self.interval);
            match self.next.compare_exchange_weak(next, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return slot,
                Err(other) => next = other,
            }
        }
    }

    fn give_back(&self, slot: u64) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.insert(slot);
        self.returned.store(spare.len() as u64, Ordering::Release);
    }
}

/// Somebody who waits for a slot.
struct Waiting<'a> {
    throttle: &'a Throttle,
    slot: Option<u64>,
}

impl Waiting<'_> {
    fn over(mut self) {
        self.slot = None;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.throttle.give_back(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = PICOS_PER_SECOND;

    #[test]
    fn slots_are_a_grid_without_bursts() {
        let throttle = Throttle::new(4, 1);
        let quarter = SECOND / 4;
        let slots: Vec<u64> = (0..4).map(|_| throttle.take(0)).collect();
        assert_eq!(slots, [0, quarter, 2 * quarter, 3 * quarter]);
        // Nothing is saved up while nobody asks.
        assert_eq!(throttle.take(10 * SECOND), 10 * SECOND);
        assert_eq!(throttle.take(10 * SECOND), 10 * SECOND + quarter);
        // Four generators share the limit.
        let shared = Throttle::new(4, 4);
        assert_eq!((shared.take(0), shared.take(0)), (0, SECOND));
        assert_eq!(Throttle::new(3, 1).interval, 333_333_333_334);
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_leaves_its_slot_to_the_next() {
        let throttle = Throttle::new(10, 1);
        assert_eq!(throttle.turn().await, Duration::ZERO);
        for _ in 0..50 {
            let impatient = tokio::time::timeout(Duration::from_millis(1), throttle.turn());
            assert!(impatient.await.is_err());
        }
        // Fifty milliseconds are over, and fifty have given up; the first slot is still the first.
        assert_eq!(throttle.turn().await, Duration::from_millis(50));
        assert_eq!(throttle.turn().await, Duration::from_millis(100));
    }

    #[test]
    fn many_threads_never_take_one_slot_twice() {
        let throttle = Throttle::new(1_000, 1);
        let mut slots = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..5_000).map(|_| throttle.take(0)).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("ends")).collect::<Vec<_>>()
        });
        slots.sort_unstable();
        assert!(slots.iter().copied().eq((0..20_000).map(|k| k * SECOND / 1_000)));
    }

    proptest! {
        /// Whatever the times at which requests come, slots are never early and never closer than 1/rate.
        #[test]
        fn the_rate_is_never_exceeded(
            rate in 1u32..5_000_000,
            gaps in proptest::collection::vec(0u64..3_000_000, 1..200),
        ) {
            let throttle = Throttle::new(rate, 1);
            let mut now = 0;
            let mut last: Option<u64> = None;
            for gap in gaps {
                now += gap * PICOS_PER_NANO;
                let slot = throttle.take(now);
                prop_assert!(slot >= now);
                if let Some(last) = last {
                    prop_assert!(u128::from(slot - last) * u128::from(rate) >= u128::from(SECOND));
                }
                last = Some(slot);
            }
        }
    }
}
