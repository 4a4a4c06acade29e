//! What one session leaves for later ones: for each test the value of every metric in every run, with the
//! machine and the revision.
//!
//! The main type is [`Session`], a small document of its own: the history of a baseline is made of these, and they
//! outlive the run directories that they came from. A session is the runs that one command made, be it a single
//! one, several of one revision, or the two sides of a duet. Nothing here computes.

use std::collections::BTreeMap;

use loadtest_core::results::{Fingerprint, Revision};
use serde::{Deserialize, Serialize};

use crate::compare::MetricKind;

/// The version of [`Session`] that this build writes.
pub const SCHEMA_VERSION: u32 = 1;

/// The runs of one command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The name of its file, which is the id of its first run of head.
    pub id: String,
    /// Version of `cargo-loadtest`.
    pub tool_version: String,
    /// RFC 3339 in UTC.
    pub started_at: String,
    /// The machine.
    pub fingerprint: Fingerprint,
    /// Cargo profile of what was built.
    pub profile: String,
    /// The name that it was saved under as a baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_as: Option<String>,
    /// The other side of a duet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<SessionSide>,
    /// The side that the command was called in.
    pub head: SessionSide,
    /// The tests that ran.
    pub tests: Vec<TestRecord>,
}

/// One side of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionSide {
    /// Its code.
    pub revision: Revision,
    /// The ids of its runs, in the order in which they were made.
    pub runs: Vec<String>,
}

/// What a session knows of a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestRecord {
    /// `package/target/path::name`.
    pub id: String,
    /// Two sessions are comparable if theirs are equal.
    pub workload_hash: String,
    /// Worker threads of the load generator, which fewer cores (`--pin`) and `--workers` change.
    #[serde(default)]
    pub workers: u32,
    /// Hashes of its functions, by scenario.
    pub body_hashes: BTreeMap<String, String>,
    /// Why its numbers can't be trusted; empty if they can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<String>,
    /// The base's runs of a duet; pairs have the same index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base: Vec<RunValues>,
    /// Head's runs.
    pub head: Vec<RunValues>,
}

/// The metrics of one run, by name.
pub type RunValues = BTreeMap<String, RunValue>;

/// One metric of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunValue {
    /// What the numbers mean.
    pub kind: MetricKind,
    /// Whether it decides by default.
    pub gate: bool,
    /// Its value; `None` if it could not be told.
    pub value: Option<f64>,
    /// Events and trials, of shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<(u64, u64)>,
}

impl Session {
    /// Whether it has both sides of a duet.
    pub fn is_duet(&self) -> bool {
        self.base.is_some()
    }

    /// When it began; `None` if its document says nothing that is a time.
    pub fn time(&self) -> Option<jiff::Timestamp> {
        self.started_at.parse().ok()
    }
}

/// Memory may differ by this share within a class of machines: what the kernel keeps for itself differs from
/// boot to boot.
const MEMORY_TOLERANCE: f64 = 0.05;

/// Whether two machines are of one class, so that what was measured on them can be compared: CPU model, cores,
/// memory, operating system, architecture and virtualisation. Kernel and compiler may differ.
pub fn is_same_class(a: &Fingerprint, b: &Fingerprint) -> bool {
    let memory = a.memory_bytes.max(b.memory_bytes) as f64 * MEMORY_TOLERANCE;
    a.cpu == b.cpu
        && a.cores == b.cores
        && a.memory_bytes.abs_diff(b.memory_bytes) as f64 <= memory
        && a.os == b.os
        && a.arch == b.arch
        && a.virtualisation == b.virtualisation
}
