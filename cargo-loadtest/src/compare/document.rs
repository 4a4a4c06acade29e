//! The comparison as a document: what reports, CI and other programs read.
//!
//! The main type is [`Comparison`]. Its JSON form is described in `docs/comparison.schema.json`; a change that an
//! older reader would misunderstand raises [`SCHEMA_VERSION`].

use serde::{Deserialize, Serialize};

/// The version of [`Comparison`] that this build writes.
pub const SCHEMA_VERSION: u32 = 2;

/// The four words, and the two for what can't be judged.
///
/// Of several tests the most severe decides: invalid, regressed, not comparable, inconclusive, unchanged,
/// improved. A test is improved or unchanged in all its gate metrics to be `Unchanged` as a whole; `Improved`
/// is a word for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// The two sides did not do the same, or could not both be measured.
    NotComparable,
    /// The measurement itself can't be trusted.
    Invalid,
}

impl Verdict {
    /// Its rank among the verdicts of several tests: the highest decides.
    pub fn severity(self) -> u8 {
        match self {
            Self::Improved => 0,
            Self::Unchanged => 1,
            Self::Inconclusive => 2,
            Self::NotComparable => 3,
            Self::Regressed => 4,
            Self::Invalid => 5,
        }
    }
}

/// How the two sides were measured, which decides what can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Both sides built, run in turn on one machine, and compared pair by pair.
    Duet,
    /// A fresh session against the sessions that the history of a baseline holds.
    History,
    /// One stored session against one fresh session: large changes only.
    Stored,
}

/// Which side a run belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SideName {
    /// What is compared with.
    Base,
    /// What is judged.
    Head,
}

impl SideName {
    /// `base` or `head`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Head => "head",
        }
    }
}

/// One side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Side {
    /// What the user called it: a baseline's name, a revision as written.
    pub name: Option<String>,
    /// Whether that is the name of a saved baseline and not of a revision.
    pub is_saved: bool,
    /// How the revision was found, a clause: `the merge base of main and HEAD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// The directory names of its runs, in the order in which they were made.
    pub runs: Vec<String>,
    /// How many earlier sessions it rests on; 0 in a duet.
    pub sessions: u32,
    /// Commit, if known.
    pub commit: Option<String>,
    /// Whether the tree differed from the commit.
    pub dirty: bool,
    /// RFC 3339 in UTC: of the first run, or when the revision was committed in a duet.
    pub started_at: String,
}

/// The numbers by which was judged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rule {
    /// One-sided error rate: 0.05.
    pub alpha: f64,
    /// Smallest effect that counts, as a share: 0.05.
    pub min_effect: f64,
    /// Half-width of "unchanged", as a share: 0.10.
    pub equivalence: f64,
    /// The same of errors and drops, as a difference of shares: 0.001 is 0.1 percentage points.
    pub share_equivalence: f64,
    /// Assumed spread between sessions, as a share: 0.05; only where one stored session is compared with another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_spread: Option<f64>,
}

/// One run of one test, of either side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RunRecord {
    /// The test's id.
    pub test: String,
    /// Its side.
    pub side: SideName,
    /// The pair that it is half of, from 1.
    pub pair: u32,
    /// Directory name of the run.
    pub run: String,
    /// When its load began, RFC 3339 in UTC; `None` if it never did.
    pub started_at: Option<String>,
    /// Why it was disturbed and its pair made again; `None` if it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discarded: Option<String>,
}

/// Two sides of the same tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Comparison {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// How the sides were measured.
    pub mode: Mode,
    /// Why in this way, a clause: `main is a branch, and both sides can be built`.
    pub why: String,
    /// What is compared with.
    pub base: Side,
    /// What is judged.
    pub head: Side,
    /// The numbers by which tests are judged that have none of their own.
    pub rule: Rule,
    /// Every run of a duet, in the order in which they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<RunRecord>,
    /// What chose the first side of a duet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The command that repeats the comparison; empty if none does.
    pub repeat: String,
    /// The command for a closer look, and the minutes that it takes, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closer: Option<Closer>,
    /// What the reader should know, sentences.
    pub warnings: Vec<String>,
    /// The tests that head ran.
    pub tests: Vec<TestComparison>,
    /// The most severe over the tests. A test that the base does not have counts only if there is no other.
    pub verdict: Verdict,
}

/// A comparison that could tell more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Closer {
    /// The command.
    pub command: String,
    /// About how long it takes.
    pub minutes: f64,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TestComparison {
    /// `package/target/path::name`.
    pub id: String,
    /// Source file of its first function, as the compiler names it.
    pub file: String,
    /// Line of that function, from one.
    pub line: u32,
    /// Over its gate metrics.
    pub verdict: Verdict,
    /// The numbers by which it was judged.
    pub rule: Rule,
    /// Pairs of a duet, or runs of head.
    pub runs: u32,
    /// Why it is not judged or not certain, sentences; and warnings.
    pub reasons: Vec<String>,
    /// Gate metrics first.
    pub metrics: Vec<MetricComparison>,
    /// Where along the distribution of latency it moved; empty without distributions of both sides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shift: Vec<ShiftPoint>,
    /// How far apart the two distributions are, for description only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<Distance>,
}

/// The shift at one quantile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShiftPoint {
    /// The quantile, as a fraction.
    pub quantile: f64,
    /// head / base.
    pub ratio: f64,
    /// Its 95 % interval over pairs of runs, if there are pairs.
    pub interval: Option<(f64, f64)>,
}

/// How far apart two distributions of latency are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Distance {
    /// Kolmogorov and Smirnov's: the largest difference of the shares below a latency, 0 to 1.
    pub kolmogorov_smirnov: f64,
    /// Wasserstein's: the mean distance between equal quantiles, in milliseconds.
    pub wasserstein_ms: f64,
}

/// What a metric's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Milliseconds, compared by ratio, lower is better.
    Latency,
    /// Per second, compared by ratio, higher is better.
    Throughput,
    /// A share (0 to 1), compared by difference, lower is better.
    Share,
    /// Starts per second that a capacity search found to hold, higher is better. It is known to within a step
    /// of the search, which takes the place of an interval.
    Capacity,
}

/// One metric of one test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MetricComparison {
    /// `p95`, `errors`, `throughput`, `endpoint p95`, …
    pub name: String,
    /// What the numbers mean.
    pub kind: MetricKind,
    /// Whether it decides.
    pub gate: bool,
    /// The base's value, over its runs; `None` without data.
    pub base: Option<f64>,
    /// Head's value; `None` without data.
    pub head: Option<f64>,
    /// `head / base`, or `head − base` of shares.
    pub change: Option<f64>,
    /// The 95 % interval of `change`.
    pub interval: Option<(f64, f64)>,
    /// One-sided p-value in the direction in which the metric moved, adjusted: over the gate metrics of all
    /// tests by Holm's method, over the others by that of Benjamini and Hochberg.
    pub p: Option<f64>,
    /// Its verdict.
    pub verdict: Verdict,
    /// The smallest effect that counts for this metric, as a share or a difference of shares: the rule's, raised to
    /// the noise that was learnt from earlier sessions.
    pub min_effect: f64,
    /// The smallest worsening that this comparison could have found (80 % power), as a ratio or difference;
    /// of inconclusive metrics.
    pub detectable: Option<f64>,
    /// Pairs of runs that would be needed to know, of inconclusive metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_needed: Option<u32>,
    /// Why it is not judged, if it is not.
    pub reason: Option<String>,
    /// The base's value in each run; pairs have the same index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base_runs: Vec<Option<f64>>,
    /// Head's value in each run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub head_runs: Vec<Option<f64>>,
}
