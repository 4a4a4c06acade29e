//! `constant-vus`: a fixed number of virtual users loop for a time.

use std::sync::Arc;
use std::time::Duration;

use super::{Drive, Endless, Executor, Order, Reins, Source, wind_down};

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

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(Endless)
    }

    fn drive<'a>(&'a mut self, reins: &'a Reins) -> Drive<'a> {
        Box::pin(async move {
            reins.seats.set_planned(self.vus);
            reins.seats.give_all(Order::Run);
            reins.timeline.sleep_until(self.duration).await;
            wind_down(reins, self.duration).await;
        })
    }
}
