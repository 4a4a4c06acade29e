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
    // In 64 bits, which hold 584 years: a conversion from 128 is a call of a function, and this is done for each
    // sample.
    let nanos =
        duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into());
    nanos as f64 / 1e6
}
