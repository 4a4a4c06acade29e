//! `per-vu-iterations`: each virtual user runs a number of iterations.

use std::sync::Arc;
use std::time::Duration;

use super::{Drive, Executor, Order, Reins, Source, Turn, until_done};
use crate::clock::Instant;

pub(super) struct PerVuIterations {
    vus: u32,
    iterations: u64,
    max_duration: Duration,
}

struct Limit(u64);

impl Source for Limit {
    fn take(&self, turn: &Turn<'_>) -> Option<Instant> {
        (turn.order == Order::Run && turn.own < self.0).then_some(turn.free_since)
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
        Some(u64::from(self.vus).saturating_mul(self.iterations))
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(Limit(self.iterations))
    }

    fn drive<'a>(&'a mut self, reins: &'a Reins) -> Drive<'a> {
        Box::pin(async move {
            reins.seats.set_planned(self.vus);
            reins.seats.give_all(Order::Run);
            until_done(reins, self.max_duration).await;
        })
    }
}
