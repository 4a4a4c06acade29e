//! `constant-vus`: a fixed number of virtual users loop for a time.

use std::sync::Arc;
use std::time::Duration;

use super::{Drive, Endless, Executor, Order, Seats, Source, wind_down};
use crate::clock::Instant;

pub(super) struct ConstantVus {
    vus: u32,
    duration: Duration,
}

impl ConstantVus {
    pub(super) fn new(vus: u32, duration: Duration) -> Self {
        Self { vus, duration }
    }
}

impl Executor for ConstantVus {
    fn max_vus(&self) -> u32 {
        self.vus
    }

    fn planned_iterations(&self) -> Option<u64> {
        None
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(Endless)
    }

    fn drive<'a>(&'a mut self, seats: &'a Seats, start: Instant, graceful_stop: Duration) -> Drive<'a> {
        Box::pin(async move {
            seats.set_planned(self.vus);
            seats.give_all(Order::Run);
            tokio::time::sleep_until(start + self.duration).await;
            wind_down(seats, start + self.duration, graceful_stop).await;
        })
    }
}
