//! `externally-controlled`: the number of looping virtual users is set from outside while it runs.
//!
//! All that may run are made ready beforehand, so that a change acts at once. Whoever was started last stops
//! first and has the graceful stop to end its iteration. A number beyond `max_vus` means `max_vus`; one for
//! the whole load is divided among shards like every level.

use std::sync::Arc;
use std::time::Duration;

use loadtest_core::plan::Shard;

use super::ladder::Ladder;
use super::{Drive, Endless, Executor, Reins, Source};

pub(super) struct ExternallyControlled {
    vus: u32,
    max_vus: u32,
    /// Zero: until it is stopped.
    duration: Duration,
    shard: Shard,
}

impl ExternallyControlled {
    /// The numbers are those of the whole load.
    pub(super) fn new(vus: u32, max_vus: u32, duration: Duration, shard: Shard) -> Self {
        Self { vus, max_vus, duration, shard }
    }

    /// The level for a number that was asked for.
    fn level(&self, asked: Option<u32>) -> u32 {
        self.shard.share(asked.unwrap_or(self.vus).min(self.max_vus))
    }
}

impl Executor for ExternallyControlled {
    fn max_vus(&self) -> u32 {
        self.shard.share(self.max_vus)
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(Endless)
    }

    fn drive<'a>(&'a mut self, reins: &'a Reins) -> Drive<'a> {
        Box::pin(async move {
            let end = if self.duration.is_zero() { Duration::MAX } else { self.duration };
            let timeline = &reins.timeline;
            let mut scale = reins.scale.clone();
            let mut ladder = Ladder::default();
            loop {
                let asked = *scale.borrow_and_update();
                let limit = timeline.elapsed().saturating_add(reins.graceful_stop);
                ladder.go_to(&reins.seats, self.level(asked), limit);
                let changed = async {
                    if scale.changed().await.is_err() {
                        // Nobody can change it any more.
                        std::future::pending::<()>().await;
                    }
                };
                if timeline.timeout(end, until_changed(reins, &mut ladder, changed)).await.is_none() {
                    break;
                }
            }
            ladder.wind_down(reins, end).await;
        })
    }
}

/// Interrupts whoever does not stop in time, until another number is asked for.
async fn until_changed(reins: &Reins, ladder: &mut Ladder, changed: impl Future<Output = ()>) {
    let mut changed = std::pin::pin!(changed);
    loop {
        let limit = ladder.next_limit().unwrap_or(Duration::MAX);
        if reins.timeline.timeout(limit, changed.as_mut()).await.is_some() {
            return;
        }
        ladder.interrupt_next(&reins.seats);
    }
}
