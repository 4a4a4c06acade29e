//! `constant-arrival-rate`: iterations start at a fixed rate, however long they take.

use std::sync::Arc;
use std::time::Duration;

use loadtest_core::plan::{self, Shard};

use super::open::{self, Desk};
use super::{Drive, Executor, Reins, Source};

pub(super) struct ConstantArrivalRate {
    rate: u64,
    time_unit: Duration,
    duration: Duration,
    shard: Shard,
    desk: Arc<Desk>,
}

impl ConstantArrivalRate {
    /// The rate is that of the whole load; the desk is for the virtual users of this shard.
    pub(super) fn new(
        rate: u64,
        time_unit: Duration,
        duration: Duration,
        shard: Shard,
        desk: Arc<Desk>,
    ) -> Self {
        Self { rate, time_unit, duration, shard, desk }
    }
}

impl Executor for ConstantArrivalRate {
    fn max_vus(&self) -> u32 {
        self.desk.most()
    }

    fn allocated_vus(&self) -> u32 {
        self.desk.allocated()
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.desk) as Arc<dyn Source>
    }

    fn drive<'a>(&'a mut self, reins: &'a Reins) -> Drive<'a> {
        let starts = plan::constant_arrivals(self.rate, self.time_unit, self.duration);
        let own = self.shard.starts(starts).map(|(_, at)| at);
        Box::pin(open::run(reins, &self.desk, own, self.duration))
    }
}
