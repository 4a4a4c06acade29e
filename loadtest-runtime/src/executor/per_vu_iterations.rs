//! `per-vu-iterations`: each virtual user runs a number of iterations.

use std::sync::Arc;
use std::time::Duration;

use super::{Drive, Executor, Order, Seats, Source, until_done};
use crate::clock::Instant;

pub(super) struct PerVuIterations {
    vus: u32,
    iterations: u64,
    max_duration: Duration,
}

struct Limit(u64);

impl Source for Limit {
    fn take(&self, own: u64) -> Option<()> {
        (own < self.0).then_some(())
    }
}

impl PerVuIterations {
    pub(super) fn new(vus: u32, iterations: u64, max_duration: Duration) -> Self {
        Self { vus, iterations, max_duration }
    }
}

impl Executor for PerVuIterations {
    fn max_vus(&self) -> u32 {
        self.vus
    }

    fn planned_iterations(&self) -> Option<u64> {
        Some(u64::from(self.vus) * self.iterations)
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(Limit(self.iterations))
    }

    fn drive<'a>(&'a mut self, seats: &'a Seats, start: Instant, graceful_stop: Duration) -> Drive<'a> {
        Box::pin(async move {
            seats.set_planned(self.vus);
            seats.give_all(Order::Run);
            until_done(seats, start, self.max_duration, graceful_stop).await;
        })
    }
}
