//! `ramping-vus`: the number of looping virtual users follows stages.
//!
//! The planned levels come from [`loadtest_core::plan`]; this file only carries them out. The virtual user
//! that was started last stops first: level `v` means that seats `0..v` run. One that is ramped down ends
//! its iteration within `graceful_ramp_down` and is taken again if the plan goes up meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use loadtest_core::options::Stage;
use loadtest_core::plan::{self, Shard};

use super::{Drive, Endless, Executor, Order, Seats, Source, wind_down};
use crate::clock::Instant;

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
        Self { levels, end: stages.iter().map(|stage| stage.duration).sum(), graceful_ramp_down }
    }

    /// Returns the seats that may still be finishing at the end, with the instants of their interruption.
    async fn ramp(&self, seats: &Seats, start: Instant) -> VecDeque<(Instant, u32)> {
        let mut level = 0;
        // Seats that were ramped down, with the instant at which their iteration is interrupted.
        let mut finishing: VecDeque<(Instant, u32)> = VecDeque::new();
        let mut steps = self.levels.iter().copied().peekable();
        loop {
            let next_step = steps.peek().map(|(at, _)| start + *at);
            let next_interrupt = finishing.front().map(|(at, _)| *at);
            let Some(next) = [next_step, next_interrupt].into_iter().flatten().min() else { break };
            if next >= start + self.end {
                break;
            }
            tokio::time::sleep_until(next).await;
            if next_interrupt == Some(next) {
                if let Some((_, seat)) = finishing.pop_front() {
                    interrupt(seats, seat);
                }
            } else if let Some((_, vus)) = steps.next() {
                for seat in level..vus {
                    finishing.retain(|(_, finishing)| *finishing != seat);
                    seats.give(seat, Order::Run);
                }
                for seat in (vus..level).rev() {
                    seats.give(seat, Order::Finish);
                    finishing.push_back((next + self.graceful_ramp_down, seat));
                }
                level = vus;
                seats.set_planned(vus);
            }
        }
        tokio::time::sleep_until(start + self.end).await;
        finishing
    }
}

fn interrupt(seats: &Seats, seat: u32) {
    if seats.order(seat) == Order::Finish && seats.is_occupied(seat) {
        seats.give(seat, Order::Interrupt);
    }
}

impl Executor for RampingVus {
    fn max_vus(&self) -> u32 {
        self.levels.iter().map(|(_, vus)| *vus).max().unwrap_or(0)
    }

    fn planned_iterations(&self) -> Option<u64> {
        None
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(Endless)
    }

    fn drive<'a>(&'a mut self, seats: &'a Seats, start: Instant, graceful_stop: Duration) -> Drive<'a> {
        Box::pin(async move {
            let finishing = self.ramp(seats, start).await;
            seats.set_planned(0);
            seats.give_all(Order::Finish);
            // Those ramped down before the end keep their own, earlier limit.
            for (limit, seat) in finishing {
                if limit >= start + self.end + graceful_stop {
                    break;
                }
                if tokio::time::timeout_at(limit, seats.idle()).await.is_err() {
                    interrupt(seats, seat);
                }
            }
            wind_down(seats, start + self.end, graceful_stop).await;
        })
    }
}
