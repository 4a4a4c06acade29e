//! `shared-iterations`: virtual users take iterations from one counter, the fast ones more of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Drive, Executor, Order, Reins, Source, Turn, until_done};
use crate::clock::Instant;

pub(super) struct SharedIterations {
    vus: u32,
    counter: Arc<Counter>,
    max_duration: Duration,
}

struct Counter {
    taken: AtomicU64,
    total: u64,
}

impl Source for Counter {
    fn take(&self, turn: &Turn<'_>) -> Option<Instant> {
        let may = turn.order == Order::Run && self.taken.fetch_add(1, Ordering::Relaxed) < self.total;
        may.then_some(turn.free_since)
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl SharedIterations {
    pub(super) fn new(vus: u32, iterations: u64, max_duration: Duration) -> Self {
        Self { vus, counter: Arc::new(Counter { taken: AtomicU64::new(0), total: iterations }), max_duration }
    }
}

impl Executor for SharedIterations {
    fn max_vus(&self) -> u32 {
        self.vus
    }

    fn planned_iterations(&self) -> Option<u64> {
        Some(self.counter.total)
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.counter) as Arc<dyn Source>
    }

    fn drive<'a>(&'a mut self, reins: &'a Reins) -> Drive<'a> {
        Box::pin(async move {
            reins.seats.set_planned(self.vus);
            reins.seats.give_all(Order::Run);
            until_done(reins, self.max_duration).await;
        })
    }
}
