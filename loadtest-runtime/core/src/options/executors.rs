//! The table of executors: what each is called and what it takes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, suggest};

/// An executor's name: how load is shaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecutorKind {
    /// Virtual users take iterations from one counter.
    SharedIterations,
    /// Each virtual user runs a number of iterations.
    PerVuIterations,
    /// A fixed number of virtual users loop for a time.
    ConstantVus,
    /// The number of virtual users follows stages.
    RampingVus,
    /// Iterations start at a fixed rate.
    ConstantArrivalRate,
    /// The rate of iteration starts follows stages.
    RampingArrivalRate,
    /// The number of virtual users is set while the test runs.
    ExternallyControlled,
    /// Rates are tried until the highest that keeps the thresholds is known.
    FindCapacity,
}

/// What is known of an executor before any test runs.
#[derive(Debug)]
pub struct ExecutorSpec {
    /// Which one.
    pub kind: ExecutorKind,
    /// Its name in attributes, configuration and on the command line.
    pub name: &'static str,
    /// The execution options that it takes.
    pub keys: &'static [&'static str],
    /// The execution options that it can't do without.
    pub required: &'static [&'static str],
}

/// Every executor. Parsers, help and documentation read this table.
pub const EXECUTORS: &[ExecutorSpec] = &[
    ExecutorSpec {
        kind: ExecutorKind::SharedIterations,
        name: "shared-iterations",
        keys: &["vus", "iterations", "max_duration"],
        required: &[],
    },
    ExecutorSpec {
        kind: ExecutorKind::PerVuIterations,
        name: "per-vu-iterations",
        keys: &["vus", "iterations", "max_duration"],
        required: &[],
    },
    ExecutorSpec {
        kind: ExecutorKind::ConstantVus,
        name: "constant-vus",
        keys: &["vus", "duration"],
        required: &["duration"],
    },
    ExecutorSpec {
        kind: ExecutorKind::RampingVus,
        name: "ramping-vus",
        keys: &["start_vus", "stages", "graceful_ramp_down"],
        required: &["stages"],
    },
    ExecutorSpec {
        kind: ExecutorKind::ConstantArrivalRate,
        name: "constant-arrival-rate",
        keys: &["rate", "duration", "time_unit", "pre_allocated_vus", "max_vus"],
        required: &["rate", "duration", "pre_allocated_vus"],
    },
    ExecutorSpec {
        kind: ExecutorKind::RampingArrivalRate,
        name: "ramping-arrival-rate",
        keys: &["start_rate", "stages", "time_unit", "pre_allocated_vus", "max_vus"],
        required: &["stages", "pre_allocated_vus"],
    },
    ExecutorSpec {
        kind: ExecutorKind::ExternallyControlled,
        name: "externally-controlled",
        keys: &["vus", "max_vus", "duration"],
        required: &["vus"],
    },
    ExecutorSpec {
        kind: ExecutorKind::FindCapacity,
        name: "find-capacity",
        keys: &[
            "start_rate",
            "max_rate",
            "time_unit",
            "search",
            "step",
            "probe_duration",
            "pre_allocated_vus",
            "max_vus",
        ],
        required: &["start_rate", "max_rate", "pre_allocated_vus"],
    },
];

impl ExecutorKind {
    /// Its row in [`EXECUTORS`].
    pub fn spec(self) -> &'static ExecutorSpec {
        // The table has a row for every kind: a test walks it.
        EXECUTORS.iter().find(|spec| spec.kind == self).unwrap_or(&EXECUTORS[0])
    }
}

impl fmt::Display for ExecutorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec().name)
    }
}

impl FromStr for ExecutorKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let name = name.trim();
        EXECUTORS.iter().find(|spec| spec.name == name).map(|spec| spec.kind).ok_or_else(|| {
            Error::new(format!("unknown executor `{name}`"))
                .hint(suggest::hint(name, EXECUTORS.iter().map(|spec| spec.name)))
        })
    }
}
