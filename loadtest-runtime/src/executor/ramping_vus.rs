//! `ramping-vus`: the number of looping virtual users follows stages.
//!
//! The planned levels come from [`loadtest_core::plan`]; this file only carries them out. One that
//! is ramped down ends its iteration within `graceful_ramp_down`; who that is, [`Ladder`] knows.

use std::sync::Arc;
use std::time::Duration;

use loadtest_core::options::Stage;
use loadtest_core::plan::{self, Shard};

use super::ladder::Ladder;
use super::{Drive, Endless, Executor, Reins, Source};

pub(super) struct RampingVus {
    /// Offsets from the start and the level from then on, for this shard.
    levels: Vec<(Duration, u32)>,
    end: Duration,
    graceful_ramp_down: Duration,
}

impl RampingVus {
    pub(super) fn new(start_vus: u32, stages: &[Stage], graceful_ramp_down: Duration, shard: Shard) -> Self {
        let mut levels: Vec<(Duration, u32)> =
            plan::levels(start_vus, stages).map(|step| (step.at, shard.share(step.vus))).collect();
        levels.dedup_by_key(|(_, vus)| *vus);
        Self { levels, end: plan::stages_duration(stages), graceful_ramp_down }
    }

    /// Follows the plan to its end.
    async fn ramp(&self, reins: &Reins) -> Ladder {
        let mut ladder = Ladder::default();
        let mut steps = self.levels.iter().copied().peekable();
        loop {
            let next_step = steps.peek().map(|(at, _)| *at);
            let next_limit = ladder.next_limit();
            let Some(next) = [next_step, next_limit].into_iter().flatten().min() else { break };
            if next >= self.end {
                break;
            }
            reins.timeline.sleep_until(next).await;
            if next_limit == Some(next) {
                ladder.interrupt_next(&reins.seats);
            } else if let Some((_, vus)) = steps.next() {
                ladder.go_to(&reins.seats, vus, next.saturating_add(self.graceful_ramp_down));
            }
        }
        reins.timeline.sleep_until(self.end).await;
        ladder
    }
}

impl Executor for RampingVus {
    fn max_vus(&self) -> u32 {
        self.levels.iter().map(|(_, vus)| *vus).max().unwrap_or(0)
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(Endless)
    }

    fn drive<'a>(&'a mut self, reins: &'a Reins) -> Drive<'a> {
        Box::pin(async move {
            let ladder = self.ramp(reins).await;
            // Those ramped down before the end keep their own, earlier limit.
            ladder.wind_down(reins, self.end).await;
        })
    }
}
