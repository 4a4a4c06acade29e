//! `ramping-arrival-rate`: the rate at which iterations start follows stages.

use std::sync::Arc;
use std::time::Duration;

use loadtest_core::options::Stage;
use loadtest_core::plan::{self, Shard};

use super::open::{self, Desk};
use super::{Drive, Executor, Reins, Source};

pub(super) struct RampingArrivalRate {
    start_rate: u64,
    time_unit: Duration,
    stages: Vec<Stage>,
    shard: Shard,
    desk: Arc<Desk>,
}

impl RampingArrivalRate {
    /// The rates are those of the whole load; the desk is for the virtual users of this shard.
    pub(super) fn new(
        start_rate: u64,
        time_unit: Duration,
        stages: &[Stage],
        shard: Shard,
        desk: Arc<Desk>,
    ) -> Self {
        Self { start_rate, time_unit, stages: stages.to_vec(), shard, desk }
    }
}

impl Executor for RampingArrivalRate {
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
        let starts = plan::ramping_arrivals(self.start_rate, self.stages.clone(), self.time_unit);
        let own = self.shard.starts(starts).map(|(_, at)| at);
        Box::pin(open::run(reins, &self.desk, own, plan::stages_duration(&self.stages)))
    }
}
