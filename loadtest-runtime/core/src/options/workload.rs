//! Definite loads: what options mean once every default is filled in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ExecutorKind, Stage};
use crate::units::{self, format_duration};

/// A definite load: what [`Options`](super::Options) mean, every default filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Workload {
    /// How many virtual users do what, when.
    #[serde(flatten)]
    pub shape: Shape,
    /// How long iterations in flight may go on at the end.
    #[serde(with = "units::serde_duration")]
    pub graceful_stop: Duration,
    /// How much of the start is left out of comparisons with a baseline.
    #[serde(with = "units::serde_duration")]
    pub warm_up: Duration,
}

/// An executor with its values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "executor", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are those of Options")]
pub enum Shape {
    SharedIterations {
        vus: u32,
        iterations: u64,
        #[serde(with = "units::serde_duration")]
        max_duration: Duration,
    },
    PerVuIterations {
        vus: u32,
        iterations: u64,
        #[serde(with = "units::serde_duration")]
        max_duration: Duration,
    },
    ConstantVus {
        vus: u32,
        #[serde(with = "units::serde_duration")]
        duration: Duration,
    },
    RampingVus {
        start_vus: u32,
        stages: Vec<Stage>,
        #[serde(with = "units::serde_duration")]
        graceful_ramp_down: Duration,
    },
}

impl Shape {
    /// Which executor it is for.
    pub fn kind(&self) -> ExecutorKind {
        match self {
            Shape::SharedIterations { .. } => ExecutorKind::SharedIterations,
            Shape::PerVuIterations { .. } => ExecutorKind::PerVuIterations,
            Shape::ConstantVus { .. } => ExecutorKind::ConstantVus,
            Shape::RampingVus { .. } => ExecutorKind::RampingVus,
        }
    }

    /// Until when new iterations may start, from the scenario's start.
    pub fn regular_duration(&self) -> Duration {
        match self {
            Shape::SharedIterations { max_duration, .. } | Shape::PerVuIterations { max_duration, .. } => {
                *max_duration
            }
            Shape::ConstantVus { duration, .. } => *duration,
            Shape::RampingVus { stages, .. } => stages.iter().map(|stage| stage.duration).sum(),
        }
    }

    /// Whether the load ends by the clock, and not when a number of iterations is done.
    pub fn is_timed(&self) -> bool {
        matches!(self, Shape::ConstantVus { .. } | Shape::RampingVus { .. })
    }

    /// The most virtual users that are active at once.
    pub fn max_vus(&self) -> u32 {
        match self {
            Shape::SharedIterations { vus, .. }
            | Shape::PerVuIterations { vus, .. }
            | Shape::ConstantVus { vus, .. } => *vus,
            Shape::RampingVus { start_vus, stages, .. } => {
                let peak = stages.iter().map(|stage| stage.target).max().unwrap_or(0);
                (*start_vus).max(u32::try_from(peak).unwrap_or(u32::MAX))
            }
        }
    }

    /// One line for people: `ramping-vus, 1→100 VUs over 1s, …`.
    pub fn describe(&self) -> String {
        match self {
            Shape::SharedIterations { vus, iterations, max_duration } => format!(
                "shared-iterations: {} shared by {} (at most {})",
                several(*iterations, "iteration"),
                several((*vus).into(), "VU"),
                format_duration(*max_duration)
            ),
            Shape::PerVuIterations { vus, iterations, max_duration } => format!(
                "per-vu-iterations: {} for each of {} (at most {})",
                several(*iterations, "iteration"),
                several((*vus).into(), "VU"),
                format_duration(*max_duration)
            ),
            Shape::ConstantVus { vus, duration } => {
                let vus = several((*vus).into(), "looping VU");
                format!("constant-vus: {vus} for {}", format_duration(*duration))
            }
            Shape::RampingVus { start_vus, stages, .. } => format!(
                "ramping-vus: from {} through {} over {}",
                several((*start_vus).into(), "VU"),
                stages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                format_duration(self.regular_duration())
            ),
        }
    }
}

fn several(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
