//! What a run leaves behind: definitions, one-second intervals, and the document that reports,
//! comparisons and other programs read.
//!
//! The main types are [`Interval`] (sent once a second, appended to the run directory) and
//! [`RunDocument`] (`run.json`). Sums over a test are always merged from its intervals, so a run that was
//! killed has the same numbers as one that ended, up to its last closed second.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metric::{MetricDef, Tags, Totals};
use crate::options::{Options, Workload};

/// The version of [`RunDocument`] that this build writes.
pub const SCHEMA_VERSION: u32 = 1;

/// A load test as its binary knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name within the binary: `module::function`, or the key `test` with the module in front.
    pub test: String,
    /// The scenario's name: the function's, or the key `name`.
    pub scenario: String,
    /// `CARGO_PKG_NAME` of its crate.
    pub package: String,
    /// Source file, as the compiler names it.
    pub file: String,
    /// Line of the function, from one.
    pub line: u32,
    /// Options as the attribute gives them.
    pub options: Options,
    /// What they mean, with the defaults.
    pub workload: Workload,
    /// Binaries to build and hand over.
    pub binaries: Vec<String>,
    /// Hash of the attribute's tokens, hexadecimal.
    pub attribute_hash: String,
    /// Hash of the function's tokens, hexadecimal.
    pub body_hash: String,
}

/// Index of a series within one test process.
pub type SeriesId = u32;

/// The first mention of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesDef {
    /// How the intervals refer to it.
    pub id: SeriesId,
    /// Its metric.
    pub metric: MetricDef,
    /// Its tags.
    pub tags: Tags,
}

/// One second of one test process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Counted from `go`: `[index, index + 1)` seconds.
    pub index: u64,
    /// The part of it that was measured, in seconds: 1, or less for the last.
    pub seconds: f64,
    /// Series that appear for the first time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_series: Vec<SeriesDef>,
    /// What was added to each series, in the order of first use.
    pub series: Vec<(SeriesId, Totals)>,
    /// The state of each scenario at the end of the interval, by name.
    pub scenarios: BTreeMap<String, ScenarioState>,
    /// The state of the load generator.
    pub generator: GeneratorState,
    /// The state of the service under test, if the test started it as a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ProcessState>,
    /// How the thresholds stand so far, in the order of [`TestOutcome::thresholds`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<bool>,
    /// Errors since the last interval, each kind with the text by which [`TestOutcome::errors`] knows it: so a
    /// test that died has told them too. At most 100 kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ErrorOutcome>,
    /// Whether the load was held at the end of the interval, by `cargo loadtest pause`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// What a scenario is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScenarioState {
    /// Virtual users that the plan wants.
    pub planned_vus: u32,
    /// Virtual users that are active, those finishing included.
    pub vus: u32,
    /// Iterations started so far.
    pub started: u64,
    /// Iterations ended so far, failed ones included.
    pub completed: u64,
    /// Iterations interrupted so far.
    pub interrupted: u64,
    /// Iterations ended so far that returned an error or panicked; part of `completed`.
    #[serde(default)]
    pub failed: u64,
    /// Iterations so far that the plan asked for and that never started.
    #[serde(default)]
    pub dropped: u64,
    /// The most virtual users that were active at once in the interval.
    #[serde(default)]
    pub peak_vus: u32,
    /// Virtual users that exist: active ones and those that wait.
    #[serde(default)]
    pub initialised_vus: u32,
    /// Iterations that the plan asks for in all, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_iterations: Option<u64>,
    /// Iteration starts per second that the plan asked for over the interval, of the executors that plan
    /// starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_rate: Option<f64>,
}

/// How the load generator does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorState {
    /// CPU time of the workers over the interval, as a share of their cores (0 to 1); `None` where the
    /// system does not tell.
    pub cpu: Option<f64>,
    /// CPU time stolen by the hypervisor, share of all cores.
    pub steal: Option<f64>,
    /// Resident memory of the test process in bytes.
    pub rss_bytes: Option<u64>,
    /// The longest time in the interval that a worker did not come back to its loop, in milliseconds.
    pub max_stall_ms: f64,
    /// Samples lost so far because the aggregator could not follow.
    pub lost_samples: u64,
}

/// A process by the numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessState {
    /// CPU use over the interval in cores (1.5 is one and a half).
    pub cpu_cores: f64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
}

/// A service that the test started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceInfo {
    /// Its name in `binaries`, or `in-process`.
    pub name: String,
    /// Where it listens, `http://127.0.0.1:PORT`.
    pub base_url: String,
    /// Its executable.
    pub path: Option<String>,
    /// Its process id, of a child process.
    pub pid: Option<u32>,
    /// Its log file.
    pub log: Option<String>,
}

/// How a test ended, most severe last, except that `Completed` is the only good one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum End {
    /// The whole plan was run.
    Completed,
    /// By Ctrl-C or a signal.
    Interrupted,
    /// By `cargo loadtest stop`.
    Stopped,
    /// By a threshold with `abort`, or by the test itself with `vu.abort(..)`.
    Aborted {
        /// Which one, or why.
        reason: String,
    },
    /// Before any load.
    SetupFailed {
        /// The error.
        reason: String,
    },
    /// The test process died, or said something that can't be understood.
    Crashed {
        /// How, with its last output.
        reason: String,
    },
}

/// The judgement of one threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdOutcome {
    /// As written.
    pub source: String,
    /// The value found, in the metric's unit; `None`: no data.
    pub actual: Option<f64>,
    /// Whether it holds.
    pub holds: bool,
    /// How far the value is from the limit, as a share of the limit: positive on the good side.
    pub margin: Option<f64>,
    /// Whether it ended the test.
    #[serde(default)]
    pub aborted: bool,
}

/// Errors of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorOutcome {
    /// The scenario.
    pub scenario: String,
    /// `iteration`, `panic`, `http`, `measure`.
    pub kind: String,
    /// Text of the first one.
    pub message: String,
    /// Place in the source, if known: `src/lib.rs:17:5`.
    pub place: Option<String>,
    /// How many.
    pub count: u64,
    /// Seconds from `go` of the first one.
    pub first_at: f64,
}

/// Adds counts of errors to others, kind by kind: those of a later time, or of another process. The most
/// frequent come first, as in [`TestOutcome::errors`].
pub fn merge_errors(total: &mut Vec<ErrorOutcome>, more: &[ErrorOutcome]) {
    for error in more {
        let same = |known: &&mut ErrorOutcome| {
            known.scenario == error.scenario
                && known.kind == error.kind
                && known.message == error.message
                && known.place == error.place
        };
        match total.iter_mut().find(same) {
            Some(known) => {
                known.count = known.count.saturating_add(error.count);
                known.first_at = known.first_at.min(error.first_at);
            }
            None => total.push(error.clone()),
        }
    }
    total.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.message.cmp(&b.message)));
}

/// What a test process says at the end: all that the intervals do not hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestOutcome {
    /// How it ended.
    pub end: End,
    /// What `teardown` said, if it failed.
    pub teardown_error: Option<String>,
    /// Services that the test started and that ended before the load did, each with how it ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services_died: Vec<String>,
    /// The workload of each scenario as it was run, overrides included, by scenario name.
    pub workloads: BTreeMap<String, Workload>,
    /// Every threshold's final judgement.
    pub thresholds: Vec<ThresholdOutcome>,
    /// Errors, the most frequent first; at most 100 kinds.
    pub errors: Vec<ErrorOutcome>,
    /// Metrics that the binary declares besides the built-in ones.
    pub metrics: Vec<MetricDef>,
    /// Seconds from `go` to the end of the last iteration.
    pub load_seconds: f64,
    /// Seconds that `setup` took, starting the service included.
    pub setup_seconds: f64,
    /// Final count per scenario.
    pub scenarios: BTreeMap<String, ScenarioState>,
    /// Series whose tag values did not fit and went to `__other__`.
    pub folded_series: u64,
    /// Values of trends that did not fit their histogram.
    pub clamped_values: u64,
    /// Worker threads.
    pub workers: u32,
    /// Things that the reader should know, sentences.
    pub warnings: Vec<String>,
    /// What the test said with `vu.fail(..)`, each text once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_by_test: Vec<String>,
    /// Seconds for which the load was held by `cargo loadtest pause`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub paused_seconds: f64,
    /// Whether the number of virtual users was changed by `cargo loadtest scale`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scaled: bool,
    /// What each capacity search found, by scenario name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capacities: BTreeMap<String, Capacity>,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// What a capacity search found. Rates are starts per time unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Seconds in the time unit.
    pub time_unit: f64,
    /// Every rate that was tried, in order.
    pub probes: Vec<Probe>,
    /// The highest rate that held: the capacity is at least this; `None` if the start rate did not hold.
    pub highest_held: Option<u64>,
    /// The lowest rate that failed: the capacity is less than this; `None` if the maximum held, or the search
    /// was cut short.
    pub lowest_failed: Option<u64>,
    /// Whether the search came to its end.
    pub complete: bool,
}

/// A rate that a capacity search held for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Starts per time unit that were planned.
    pub rate: u64,
    /// When it began, in seconds from the start of the load.
    pub started_at: f64,
    /// How long it was held, in seconds.
    pub seconds: f64,
    /// Iterations that started.
    pub started: u64,
    /// Starts for which there was no free virtual user.
    pub dropped: u64,
    /// The thresholds over this probe alone.
    pub thresholds: Vec<ThresholdOutcome>,
    /// Whether it held.
    pub holds: bool,
    /// Why it did not, parts with `; ` between them, [`Probe::reason_of`] the thresholds first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `p(50)`, `p(95)` and `p(99)` in milliseconds over all that this probe measured, what came while it ended
    /// included: of HTTP requests with an expected response if it made requests, else of measured operations,
    /// else of iterations. Empty if none of that came.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub latency_ms: BTreeMap<String, f64>,
}

impl Probe {
    /// The part of [`Probe::reason`] that is about a threshold that does not hold.
    pub fn reason_of(threshold: &ThresholdOutcome) -> String {
        let ThresholdOutcome { source, actual, .. } = threshold;
        match actual {
            Some(_) => format!("the threshold `{source}` failed"),
            None => format!("there was no data for the threshold `{source}`"),
        }
    }

    /// What else there is in [`Probe::reason`], if there is anything.
    pub fn reason_besides_thresholds(&self) -> Option<&str> {
        let mut rest = self.reason.as_deref()?;
        for threshold in self.thresholds.iter().filter(|threshold| !threshold.holds) {
            if let Some(after) = rest.strip_prefix(Self::reason_of(threshold).as_str()) {
                rest = after.strip_prefix("; ").unwrap_or(after);
            }
        }
        (!rest.is_empty()).then_some(rest)
    }
}

impl TestOutcome {
    /// The outcome of a test that ended this way and left nothing behind.
    pub fn new(end: End) -> Self {
        Self {
            end,
            teardown_error: None,
            services_died: Vec::new(),
            workloads: BTreeMap::new(),
            thresholds: Vec::new(),
            errors: Vec::new(),
            metrics: Vec::new(),
            load_seconds: 0.0,
            setup_seconds: 0.0,
            scenarios: BTreeMap::new(),
            folded_series: 0,
            clamped_values: 0,
            workers: 0,
            warnings: Vec::new(),
            failed_by_test: Vec::new(),
            paused_seconds: 0.0,
            scaled: false,
            capacities: BTreeMap::new(),
        }
    }
}

/// A test within a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestDocument {
    /// `package/target/path::name`.
    pub id: String,
    /// Its scenarios' definitions.
    pub definitions: Vec<Definition>,
    /// What it said at the end; made up by the subcommand if it could not.
    pub outcome: TestOutcome,
    /// Services that it started.
    pub services: Vec<ServiceInfo>,
    /// When the load began, RFC 3339 in UTC; `None` if it never did.
    pub started_at: Option<String>,
    /// The seed it ran with.
    pub seed: u64,
    /// Hash over everything that shapes the load: two runs are comparable if theirs are equal.
    pub workload_hash: String,
    /// File with its intervals, JSON lines, relative to the run directory.
    pub intervals: String,
    /// Why the numbers can't be trusted; empty if they can.
    #[serde(default)]
    pub invalid: Vec<String>,
    /// The summary that the intervals add up to.
    #[serde(default)]
    pub summary: Vec<SeriesSummary>,
}

/// One series over a whole test, for programs that read the document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesSummary {
    /// Its metric.
    pub metric: MetricDef,
    /// Its tags; empty for the sum over all.
    pub tags: Tags,
    /// What it adds up to.
    #[serde(flatten)]
    pub totals: Totals,
    /// `p(95)` and the like, in the metric's unit, of trends.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quantiles: BTreeMap<String, f64>,
}

/// The machine and the code that a run was made with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// CPU model.
    pub cpu: String,
    /// Logical cores.
    pub cores: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// `linux`.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// `x86_64`.
    pub arch: String,
    /// Virtualisation, if it shows.
    pub virtualisation: String,
    /// `rustc --version`.
    pub rustc: String,
}

/// The revision that a run was made from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Full hash of HEAD, if the workspace is a git repository.
    pub commit: Option<String>,
    /// Branch, if on one.
    pub branch: Option<String>,
    /// Whether files differ from HEAD.
    pub dirty: bool,
}

/// A whole run: `run.json` in the run directory, and what `--format json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDocument {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Directory name of the run.
    pub id: String,
    /// Version of `cargo-loadtest`.
    pub tool_version: String,
    /// RFC 3339 in UTC.
    pub started_at: String,
    /// The code.
    pub revision: Revision,
    /// The machine.
    pub fingerprint: Fingerprint,
    /// Cargo profile of the test binaries.
    pub profile: String,
    /// The command that repeats it, rebuilt from the options; environment values left out.
    pub repeat: String,
    /// The tests, in the order in which they ran.
    pub tests: Vec<TestDocument>,
    /// What a comparison with a baseline said, if one was asked for: schema of the comparison itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<serde_json::Value>,
    /// The exit code of the run.
    pub exit_code: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_threshold_stands_apart_in_a_reason() {
        let threshold = |source: &str, actual, holds| ThresholdOutcome {
            source: source.to_owned(),
            actual,
            holds,
            margin: None,
            aborted: false,
        };
        let thresholds = vec![
            threshold("a; b", Some(1.0), false),
            threshold("c", Some(1.0), true),
            threshold("d", None, false),
        ];
        let of = |more: &[&str]| {
            let failed = thresholds.iter().filter(|threshold| !threshold.holds).map(Probe::reason_of);
            let parts: Vec<String> = failed.chain(more.iter().map(|part| (*part).to_owned())).collect();
            let probe = Probe {
                rate: 1,
                started_at: 0.0,
                seconds: 1.0,
                started: 0,
                dropped: 0,
                thresholds: thresholds.clone(),
                holds: false,
                reason: Some(parts.join("; ")),
                latency_ms: BTreeMap::new(),
            };
            probe.reason_besides_thresholds().map(str::to_owned)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["late"]).as_deref(), Some("late"));
        assert_eq!(of(&["late", "busy"]).as_deref(), Some("late; busy"));
    }

    #[test]
    fn errors_add_up_by_kind_and_the_most_frequent_come_first() {
        let error = |scenario: &str, message: &str, count, first_at| ErrorOutcome {
            scenario: scenario.to_owned(),
            kind: "http".to_owned(),
            message: message.to_owned(),
            place: None,
            count,
            first_at,
        };
        let mut total = Vec::new();
        merge_errors(&mut total, &[error("s", "refused", 2, 0.5), error("s", "reset", 3, 1.5)]);
        merge_errors(&mut total, &[error("s", "refused", 4, 0.25), error("t", "refused", u64::MAX, 7.0)]);
        merge_errors(&mut total, &[error("t", "refused", 1, 8.0)]);
        let expected = [
            error("t", "refused", u64::MAX, 7.0),
            error("s", "refused", 6, 0.25),
            error("s", "reset", 3, 1.5),
        ];
        assert_eq!(total, expected);
    }
}
