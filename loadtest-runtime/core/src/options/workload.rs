//! Definite loads: what options mean once every default is filled in.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ExecutorKind, Stage};
use crate::plan::{self, CapacitySearch};
use crate::units::{self, format_duration};
use crate::{Error, suggest};

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
    /// When it starts, from the start of the test.
    #[serde(default, with = "units::serde_duration", skip_serializing_if = "Duration::is_zero")]
    pub start_time: Duration,
    /// How long an iteration takes at least; the padding is not part of its measured duration.
    #[serde(default, with = "units::serde_duration", skip_serializing_if = "Duration::is_zero")]
    pub min_iteration_duration: Duration,
}

impl Workload {
    /// One line for people: the executor with its values, and when it starts if that is not at once:
    /// `constant-vus: 3 looping VUs for 5s, from 2s on`.
    pub fn describe(&self) -> String {
        let load = self.shape.describe();
        match self.start_time.is_zero() {
            true => load,
            false => format!("{load}, from {} on", format_duration(self.start_time)),
        }
    }

    /// Until when new iterations may start, from the start of the test.
    pub fn regular_end(&self) -> Duration {
        self.start_time.saturating_add(self.shape.regular_duration())
    }

    /// When the last iteration is interrupted at the latest, from the start of the test.
    pub fn maximum_end(&self) -> Duration {
        self.regular_end().saturating_add(self.graceful_stop)
    }
}

/// How `find-capacity` chooses the next rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Search {
    /// Doubles the rate until one fails, then halves the distance between the best and the failed one.
    Binary,
    /// Adds the step until one fails.
    Step,
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Search::Binary => "binary",
            Search::Step => "step",
        })
    }
}

impl FromStr for Search {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.trim() {
            "binary" => Ok(Search::Binary),
            "step" => Ok(Search::Step),
            other => Err(Error::new(format!("unknown search `{other}`"))
                .hint(suggest::hint(other, ["binary", "step"]))),
        }
    }
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
    ConstantArrivalRate {
        rate: u64,
        #[serde(with = "units::serde_duration")]
        time_unit: Duration,
        #[serde(with = "units::serde_duration")]
        duration: Duration,
        pre_allocated_vus: u32,
        max_vus: u32,
    },
    RampingArrivalRate {
        start_rate: u64,
        #[serde(with = "units::serde_duration")]
        time_unit: Duration,
        stages: Vec<Stage>,
        pre_allocated_vus: u32,
        max_vus: u32,
    },
    ExternallyControlled {
        vus: u32,
        max_vus: u32,
        /// Zero: until it is stopped.
        #[serde(with = "units::serde_duration")]
        duration: Duration,
    },
    FindCapacity {
        start_rate: u64,
        max_rate: u64,
        #[serde(with = "units::serde_duration")]
        time_unit: Duration,
        search: Search,
        step: u64,
        #[serde(with = "units::serde_duration")]
        probe_duration: Duration,
        pre_allocated_vus: u32,
        max_vus: u32,
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
            Shape::ConstantArrivalRate { .. } => ExecutorKind::ConstantArrivalRate,
            Shape::RampingArrivalRate { .. } => ExecutorKind::RampingArrivalRate,
            Shape::ExternallyControlled { .. } => ExecutorKind::ExternallyControlled,
            Shape::FindCapacity { .. } => ExecutorKind::FindCapacity,
        }
    }

    /// Until when new iterations may start, from the scenario's start: never, if it runs until it is stopped.
    /// Of a capacity search, the probes at most, without the time between them.
    pub fn regular_duration(&self) -> Duration {
        match self {
            Shape::SharedIterations { max_duration, .. } | Shape::PerVuIterations { max_duration, .. } => {
                *max_duration
            }
            Shape::ConstantVus { duration, .. } | Shape::ConstantArrivalRate { duration, .. } => *duration,
            Shape::RampingVus { stages, .. } | Shape::RampingArrivalRate { stages, .. } => {
                plan::stages_duration(stages)
            }
            Shape::ExternallyControlled { duration, .. } if duration.is_zero() => Duration::MAX,
            Shape::ExternallyControlled { duration, .. } => *duration,
            Shape::FindCapacity { start_rate, max_rate, search, step, probe_duration, .. } => {
                let probes = CapacitySearch::new(*search, *start_rate, *max_rate, *step).probes_at_most();
                probe_duration.saturating_mul(probes)
            }
        }
    }

    /// Whether the load ends by the clock, and not when a number of iterations is done, something is found out
    /// or someone stops it.
    pub fn is_timed(&self) -> bool {
        match self {
            Shape::ConstantVus { .. }
            | Shape::RampingVus { .. }
            | Shape::ConstantArrivalRate { .. }
            | Shape::RampingArrivalRate { .. } => true,
            Shape::ExternallyControlled { duration, .. } => !duration.is_zero(),
            Shape::SharedIterations { .. } | Shape::PerVuIterations { .. } | Shape::FindCapacity { .. } => {
                false
            }
        }
    }

    /// Whether iterations start at instants of their own, whatever the service does (an open model), and not
    /// when a virtual user is free (a closed one).
    pub fn is_open(&self) -> bool {
        matches!(
            self,
            Shape::ConstantArrivalRate { .. } | Shape::RampingArrivalRate { .. } | Shape::FindCapacity { .. }
        )
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
            Shape::ConstantArrivalRate { max_vus, .. }
            | Shape::RampingArrivalRate { max_vus, .. }
            | Shape::ExternallyControlled { max_vus, .. }
            | Shape::FindCapacity { max_vus, .. } => *max_vus,
        }
    }

    /// Virtual users that exist before the first iteration starts.
    pub fn allocated_vus(&self) -> u32 {
        match self {
            Shape::ConstantArrivalRate { pre_allocated_vus, .. }
            | Shape::RampingArrivalRate { pre_allocated_vus, .. }
            | Shape::FindCapacity { pre_allocated_vus, .. } => *pre_allocated_vus,
            _ => self.max_vus(),
        }
    }

    /// One line for people: `ramping-vus, 1→100 VUs over 1s, …`.
    pub fn describe(&self) -> String {
        let per = |time_unit: &Duration| match *time_unit {
            unit if unit == Duration::from_secs(1) => "/s".to_owned(),
            unit => format!(" per {}", format_duration(unit)),
        };
        let users = |allocated: &u32, most: &u32| {
            if allocated == most {
                several((*most).into(), "VU")
            } else {
                format!("{allocated} to {}", several((*most).into(), "VU"))
            }
        };
        let through =
            |stages: &[Stage]| stages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
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
                through(stages),
                format_duration(self.regular_duration())
            ),
            Shape::ConstantArrivalRate { rate, time_unit, duration, pre_allocated_vus, max_vus } => format!(
                "constant-arrival-rate: {rate}{} for {} by {}",
                per(time_unit),
                format_duration(*duration),
                users(pre_allocated_vus, max_vus)
            ),
            Shape::RampingArrivalRate { start_rate, time_unit, stages, pre_allocated_vus, max_vus } => {
                format!(
                    "ramping-arrival-rate: from {start_rate}{} through {} over {} by {}",
                    per(time_unit),
                    through(stages),
                    format_duration(self.regular_duration()),
                    users(pre_allocated_vus, max_vus)
                )
            }
            Shape::ExternallyControlled { vus, max_vus, duration } => format!(
                "externally-controlled: {} of at most {max_vus}, {}",
                several((*vus).into(), "VU"),
                if duration.is_zero() {
                    "until stopped".to_owned()
                } else {
                    format!("for {}", format_duration(*duration))
                }
            ),
            Shape::FindCapacity {
                start_rate,
                max_rate,
                time_unit,
                search,
                step,
                probe_duration,
                pre_allocated_vus,
                max_vus,
            } => format!(
                "find-capacity: {start_rate} to {max_rate}{}, {search} search to {step}, {} a probe, by {}",
                per(time_unit),
                format_duration(*probe_duration),
                users(pre_allocated_vus, max_vus)
            ),
        }
    }
}

fn several(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
