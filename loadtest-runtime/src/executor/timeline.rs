//! A scenario's time: offsets from its start, which stand still while the load is held.
//!
//! The main types are [`Timeline`], which executors wait on, and [`Brake`], which holds it. Offsets are never
//! added to each other, so nothing drifts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{self, Instant};

/// As far away as a timer can wait.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// When the load begins, and how long it has been held.
#[derive(Debug, Clone, Copy, Default)]
struct Course {
    begin: Option<Instant>,
    held_since: Option<Instant>,
    held: Duration,
}

/// Begins, holds and releases the time of every scenario of a test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Brake {
    course: Arc<watch::Sender<Course>>,
    simulated: bool,
}

impl Brake {
    /// For loads on tokio's paused clock, which no thread but its own can follow.
    #[cfg(test)]
    pub(crate) fn simulated() -> Self {
        Self { simulated: true, ..Self::default() }
    }

    /// The load begins at this instant.
    pub(crate) fn begin(&self, at: Instant) {
        self.course.send_modify(|course| course.begin = Some(at));
    }

    /// Lets time stand still; `false` if it did already.
    pub(crate) fn hold(&self) -> bool {
        self.course.send_if_modified(|course| {
            let moving = course.held_since.is_none();
            course.held_since.get_or_insert_with(clock::now);
            moving
        })
    }

    /// Lets it go on; `false` if it did.
    pub(crate) fn release(&self) -> bool {
        self.course.send_if_modified(|course| match course.held_since.take() {
            Some(since) => {
                // What was held before the begin delays nothing.
                let from = course.begin.map_or_else(clock::now, |begin| begin.max(since));
                course.held += clock::now().saturating_duration_since(from);
                true
            }
            None => false,
        })
    }

    /// Whether time stands still.
    pub(crate) fn is_held(&self) -> bool {
        self.course.borrow().held_since.is_some()
    }

    /// How long it has stood still in all.
    pub(crate) fn held(&self) -> Duration {
        let course = *self.course.borrow();
        let now = course.held_since.map(|since| clock::now().saturating_duration_since(since));
        course.held + now.unwrap_or_default()
    }

    /// The time of a scenario that starts this long after the load.
    pub(crate) fn timeline(&self, start_time: Duration) -> Timeline {
        Timeline { start_time, course: self.course.subscribe(), brake: self.clone() }
    }
}

/// The time of one scenario.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    start_time: Duration,
    course: watch::Receiver<Course>,
    /// So that the channel never closes.
    brake: Brake,
}

impl Timeline {
    /// The instant of an offset, if nothing holds the load from now on; `None` while it is held, and before
    /// it begins.
    pub(crate) fn due(&self, offset: Duration) -> Option<Instant> {
        self.due_in(*self.course.borrow(), offset)
    }

    fn due_in(&self, course: Course, offset: Duration) -> Option<Instant> {
        let begin = course.begin.filter(|_| course.held_since.is_none())?;
        let after = self.start_time.saturating_add(offset).saturating_add(course.held);
        Some(begin.checked_add(after).unwrap_or_else(|| begin + FAR).min(begin + FAR))
    }

    /// How long after the begin of the load an instant is, whatever was held.
    pub(crate) fn since_begin(&self, at: Instant) -> Duration {
        self.course.borrow().begin.map_or(Duration::ZERO, |begin| at.saturating_duration_since(begin))
    }

    /// Waits until time has begun, or was held or released, since the last call returned.
    pub(crate) async fn changed(&mut self) {
        // Never an error: this holds a brake.
        let _ = self.course.changed().await;
    }

    /// Whether the clock is simulated, so that no thread but the caller's can follow it.
    pub(crate) fn is_simulated(&self) -> bool {
        self.brake.simulated
    }

    /// The offset of now: how much of the scenario's time is over. Zero before its start.
    pub(crate) fn elapsed(&self) -> Duration {
        let course = *self.course.borrow();
        let Some(begin) = course.begin else { return Duration::ZERO };
        let now = course.held_since.unwrap_or_else(clock::now);
        now.saturating_duration_since(begin).saturating_sub(course.held).saturating_sub(self.start_time)
    }

    /// Waits until an offset; while time stands still, so does this.
    pub(crate) async fn sleep_until(&self, offset: Duration) {
        let mut receiver = self.course.clone();
        loop {
            let course = *receiver.borrow_and_update();
            let Some(due) = self.due_in(course, offset) else {
                let _ = receiver.changed().await;
                continue;
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => return,
                _ = receiver.changed() => {}
            }
        }
    }

    /// Waits for something until an offset; `None` if it did not happen until then.
    pub(crate) async fn timeout<T>(&self, offset: Duration, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            value = future => Some(value),
            () = self.sleep_until(offset) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn offsets_stand_still_while_the_load_is_held() {
        let brake = Brake::default();
        let second = Duration::from_secs(1);
        let timeline = brake.timeline(second);
        let begin = clock::now();
        brake.begin(begin);
        timeline.sleep_until(Duration::ZERO).await;
        assert_eq!(clock::now() - begin, second);
        let waiting = tokio::spawn({
            let timeline = timeline.clone();
            async move { timeline.sleep_until(5 * second).await }
        });
        tokio::time::sleep(2 * second).await;
        assert!(brake.hold() && !brake.hold() && brake.is_held());
        tokio::time::sleep(10 * second).await;
        assert_eq!(timeline.elapsed(), 2 * second);
        assert!(!waiting.is_finished());
        assert!(brake.release() && !brake.release());
        waiting.await.expect("no panic");
        assert_eq!((clock::now() - begin, timeline.elapsed()), (16 * second, 5 * second));
        assert_eq!(brake.held(), 10 * second);
        assert_eq!(timeline.due(6 * second), Some(begin + 17 * second));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_before_it_begins_waits_and_loses_nothing() {
        let brake = Brake::default();
        let timeline = brake.timeline(Duration::ZERO);
        assert_eq!((timeline.due(Duration::ZERO), timeline.elapsed()), (None, Duration::ZERO));
        brake.hold();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let begin = clock::now();
        brake.begin(begin);
        tokio::time::sleep(Duration::from_secs(2)).await;
        brake.release();
        timeline.sleep_until(Duration::from_secs(1)).await;
        assert_eq!(clock::now() - begin, Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn forever_is_no_overflow() {
        let brake = Brake::default();
        brake.begin(clock::now());
        let timeline = brake.timeline(Duration::MAX);
        assert_eq!(timeline.timeout(Duration::MAX, async { 7 }).await, Some(7));
        assert!(timeline.due(Duration::MAX).is_some());
    }
}
