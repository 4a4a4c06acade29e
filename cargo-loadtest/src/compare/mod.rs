//! Comparing a run with a baseline: guards first, then estimates, then one of four words.
//!
//! The main type is [`Comparison`], a document of its own with a schema version. Nothing here formats:
//! numbers and reasons go to the reports as data.

use serde::{Deserialize, Serialize};

/// The version of [`Comparison`] that this build writes.
pub const SCHEMA_VERSION: u32 = 1;

/// The four words, and the two for what can't be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Slower or less reliable, by more than chance and by enough to matter.
    Regressed,
    /// The mirror image.
    Improved,
    /// Looked at closely enough to know that nothing that matters changed.
    Unchanged,
    /// Not known.
    Inconclusive,
    /// The two runs did not do the same.
    NotComparable,
    /// The measurement itself can't be trusted.
    Invalid,
}

/// How the two sides were measured, which decides what can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One stored run against one fresh run: large changes only.
    Stored,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Run directory name.
    pub run: String,
    /// Baseline name, if it has one.
    pub baseline: Option<String>,
    /// Commit, if known.
    pub commit: Option<String>,
    /// Whether the tree differed from the commit.
    pub dirty: bool,
    /// RFC 3339 in UTC.
    pub started_at: String,
}

/// A run against a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// How the sides were measured.
    pub mode: Mode,
    /// The baseline.
    pub base: Side,
    /// The fresh run.
    pub head: Side,
    /// Smallest effect that counts, as a share: 0.25.
    pub min_effect: f64,
    /// Half-width of "unchanged", as a share: 0.25.
    pub equivalence: f64,
    /// One-sided error rate: 0.05.
    pub alpha: f64,
    /// Assumed spread between sessions, as a share: 0.05.
    pub session_spread: f64,
    /// What the reader should know, sentences.
    pub warnings: Vec<String>,
    /// The tests that head ran.
    pub tests: Vec<TestComparison>,
    /// The most severe over the tests.
    pub verdict: Verdict,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestComparison {
    /// `package/target/path::name`.
    pub id: String,
    /// Over its gate metrics.
    pub verdict: Verdict,
    /// Why it is not judged or not certain, sentences; and warnings.
    pub reasons: Vec<String>,
    /// Gate metrics first.
    pub metrics: Vec<MetricComparison>,
}

/// What a metric's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Milliseconds, compared by ratio, lower is better.
    Latency,
    /// Per second, compared by ratio, higher is better.
    Throughput,
    /// A share (0 to 1), compared by difference, lower is better.
    Share,
}

/// One metric of one test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricComparison {
    /// `p95`, `errors`, `throughput`, `endpoint p95`, …
    pub name: String,
    /// What the numbers mean.
    pub kind: MetricKind,
    /// Whether it decides.
    pub gate: bool,
    /// The baseline's value; `None` without data.
    pub base: Option<f64>,
    /// The fresh run's value; `None` without data.
    pub head: Option<f64>,
    /// `head / base`, or `head − base` of shares.
    pub change: Option<f64>,
    /// The 95 % interval of `change`.
    pub interval: Option<(f64, f64)>,
    /// One-sided p-value of "worse", adjusted over the gate metrics (Holm).
    pub p: Option<f64>,
    /// Its verdict.
    pub verdict: Verdict,
    /// The smallest change that this comparison could have found (80 % power), as a ratio or difference.
    pub detectable: Option<f64>,
    /// Why it is not judged, if it is not.
    pub reason: Option<String>,
}
