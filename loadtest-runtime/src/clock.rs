//! The one clock. Everything that is timed asks here, so that tests can run schedules on tokio's paused
//! clock and nothing drifts: schedules are offsets from one absolute start.

use std::time::Duration;

pub(crate) use tokio::time::Instant;

/// Now.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A duration in milliseconds, the unit of every time metric.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}
