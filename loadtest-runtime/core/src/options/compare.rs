//! How a test is compared with a baseline: [`CompareSettings`], with the types of its values, and [`shorten`], a
//! test's load in less time.
//!
//! None of it shapes the load of a usual run, so none of it is in the workload's hash. Nothing here judges.

mod shorten;
#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::shorten::shorten;
pub(super) use self::text::{gates, lasting, share, shown_share, significance};
use crate::units;

/// The most runs that can be asked for. Beyond it lies a slip of the finger: the noise of a machine is known long
/// before.
pub const MOST_RUNS: u32 = 1_000;

/// How a test is compared, as written in one place; `None` means "not said here".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompareSettings {
    /// How long the load of each run takes in a duet, in place of the test's own.
    #[serde(skip_serializing_if = "Option::is_none", with = "units::serde_duration_opt")]
    pub compare_duration: Option<Duration>,
    /// How many pairs of runs a duet makes, or how many runs a side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<Runs>,
    /// The smallest change that matters, as a fraction: 0.05 is 5 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_effect: Option<f64>,
    /// Within what a metric counts as unchanged, as a fraction: 0.10 is 10 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equivalence: Option<f64>,
    /// The share of false alarms that is accepted: 0.05 is 5 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// The metrics that decide; empty for the usual ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gate: Vec<GateMetric>,
}

impl CompareSettings {
    /// Whether nothing is said here.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How many runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Runs {
    /// As many as the number of metrics that decide needs.
    Auto,
    /// So many, from 1 to [`MOST_RUNS`].
    Exactly(u32),
}

/// A metric that can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GateMetric {
    /// Failed requests, operations and checks, as a share of all.
    Errors,
    /// Iterations that ended in an error.
    FailedIterations,
    /// The median of successes.
    P50,
    /// The 95th percentile of successes.
    P95,
    /// The 99th percentile of successes.
    P99,
    /// The mean of successes.
    Mean,
    /// The geometric mean over endpoints of their 95th percentile.
    EndpointP95,
    /// Successes per second.
    Throughput,
    /// The share of planned iterations that never started.
    Dropped,
}
