//! What a load test asks for: every option optional, one `overwrite` that expresses precedence, and the
//! one place where they become a definite workload.
//!
//! The main types are [`Options`], as written in one place (attribute, configuration file, environment,
//! command line), and [`Workload`], what all of them together mean. Options are not checked against
//! each other until [`Options::resolve`].

pub mod compare;
mod executors;
pub mod http;
mod keys;
mod resolve;
#[cfg(test)]
mod tests;
mod workload;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::executors::{EXECUTORS, ExecutorKind, ExecutorSpec};
pub use self::keys::{OPTIONS, OptionSpec, Scope, option};
pub use self::workload::{Search, Shape, Workload};
use crate::Error;
use crate::threshold::Threshold;
use crate::units::{self, format_duration, parse_duration};

/// How long iterations in flight may go on when a scenario's time is up.
pub const DEFAULT_GRACEFUL_STOP: Duration = Duration::from_secs(30);
/// How long a virtual user that is ramped down may go on with its iteration.
pub const DEFAULT_GRACEFUL_RAMP_DOWN: Duration = Duration::from_secs(30);
/// How long the iteration executors may take at most.
pub const DEFAULT_MAX_DURATION: Duration = Duration::from_secs(600);
/// What rates are counted in.
pub const DEFAULT_TIME_UNIT: Duration = Duration::from_secs(1);
/// How long `find-capacity` holds a rate before it judges it.
pub const DEFAULT_PROBE_DURATION: Duration = Duration::from_secs(10);

/// A ramp to `target` over `duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stage {
    /// How long the ramp takes; zero is a jump.
    #[serde(with = "units::serde_duration")]
    pub duration: Duration,
    /// Where it ends: virtual users, or starts per time unit.
    pub target: u64,
}

impl FromStr for Stage {
    type Err = Error;

    /// Reads `1m30s:100`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let example = "write DURATION:TARGET, for example `1m30s:100`";
        let (duration, target) = text
            .rsplit_once(':')
            .ok_or_else(|| Error::new(format!("the stage `{}` has no `:`", text.trim())).hint(example))?;
        let duration = parse_duration(duration.trim())?;
        let target = target.trim().parse().map_err(|_| {
            Error::new(format!("the stage target `{}` is not a whole number", target.trim())).hint(example)
        })?;
        Ok(Stage { duration, target })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", format_duration(self.duration), self.target)
    }
}

/// Reads `1m30s:100, 0s:50`.
///
/// # Errors
/// Names the stage that is wrong, counted from one.
pub fn parse_stages(text: &str) -> Result<Vec<Stage>, Error> {
    if text.trim().is_empty() {
        return Err(Error::new("no stage given").hint("write at least one, for example `30s:10`"));
    }
    text.split(',')
        .enumerate()
        .map(|(n, stage)| stage.parse().map_err(|e: Error| e.context(format!("stage {}", n + 1))))
        .collect()
}

/// The options of one scenario, as written in one place. `None` means "not said here".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How load is shaped; inferred from the other options if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<ExecutorKind>,
    /// Virtual users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vus: Option<u32>,
    /// Iterations: in all (`shared-iterations`) or per virtual user (`per-vu-iterations`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<u64>,
    /// How long the iteration executors may take.
    #[serde(skip_serializing_if = "Option::is_none", with = "units::serde_duration_opt")]
    pub max_duration: Option<Duration>,
    /// How long `constant-vus` runs.
    #[serde(skip_serializing_if = "Option::is_none", with = "units::serde_duration_opt")]
    pub duration: Option<Duration>,
    /// Virtual users at the start of the first stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_vus: Option<u32>,
    /// The ramps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<Stage>>,
    /// Iteration starts in each `time_unit`, of `constant-arrival-rate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Iteration starts in each `time_unit` at the start of the first stage, or of the first probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_rate: Option<u64>,
    /// The highest rate that `find-capacity` tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<u64>,
    /// What rates and the targets of arrival stages are counted in.
    #[serde(skip_serializing_if = "Option::is_none", with = "units::serde_duration_opt")]
    pub time_unit: Option<Duration>,
    /// Virtual users that exist before the first iteration starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_allocated_vus: Option<u32>,
    /// Virtual users at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_vus: Option<u32>,
    /// How `find-capacity` chooses the next rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
    /// How far apart the rates of `find-capacity` are at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// How long `find-capacity` holds a rate.
    #[serde(skip_serializing_if = "Option::is_none", with = "units::serde_duration_opt")]
    pub probe_duration: Option<Duration>,
    /// When the scenario starts, from the start of the test.
    #[serde(skip_serializing_if = "Option::is_none", with = "units::serde_duration_opt")]
    pub start_time: Option<Duration>,
    /// How long an iteration takes at least: what is missing is waited for, and not measured.
    #[serde(skip_serializing_if = "Option::is_none", with = "units::serde_duration_opt")]
    pub min_iteration_duration: Option<Duration>,
    /// HTTP requests of the whole test in each second at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rps: Option<u32>,
    /// A shell command that brings the target back to where it was, run before each run of the test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<String>,
    /// What HTTP requests have in common; the same in all scenarios of a test.
    #[serde(skip_serializing_if = "http::HttpSettings::is_empty")]
    pub http: http::HttpSettings,
    /// How it is compared with a baseline; the same in all scenarios of a test.
    #[serde(skip_serializing_if = "compare::CompareSettings::is_empty")]
    pub compare: compare::CompareSettings,
    /// What must answer before any load: an `http://` URL, or a path of the service that `setup` started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight: Option<String>,
    /// How long iterations in flight may go on at the end.
    #[serde(skip_serializing_if = "Option::is_none", with = "units::serde_duration_opt")]
    pub graceful_stop: Option<Duration>,
    /// How long a virtual user that is ramped down may go on.
    #[serde(skip_serializing_if = "Option::is_none", with = "units::serde_duration_opt")]
    pub graceful_ramp_down: Option<Duration>,
    /// How much of the start is left out of comparisons with a baseline.
    #[serde(skip_serializing_if = "Option::is_none", with = "units::serde_duration_opt")]
    pub warm_up: Option<Duration>,
    /// Limits that the results must keep. A higher place adds to those of a lower one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// Tags of every sample.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Values for `vu.env(..)`. Never stored: see [`Options::without_env_values`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl Options {
    /// The execution options that are set here, by name: those that the tier rule is about.
    pub fn execution_keys(&self) -> Vec<&'static str> {
        let set = OPTIONS.iter().filter(|option| option.execution && (option.show)(self).is_some());
        set.map(|option| option.name).collect()
    }

    /// Lays the options of a higher tier over these.
    ///
    /// If the higher tier shapes the load, it replaces all that this one says about the shape: a mixture of
    /// two shapes is never what was meant. As in k6, `vus` is apart: it survives a new shape that takes it, so
    /// `--vus` in one place and `--duration` in another mean both.
    ///
    /// A tier whose execution options are all numbers of the executor in force (virtual users, a rate, a limit,
    /// a duration that this executor takes) changes just these: `--duration 5m` lengthens an arrival rate as
    /// well as a soak. Numbers that the executor in force does not take, and that are no load by themselves,
    /// are an error of [`Options::resolve`]: no load that they could turn into is what was meant.
    #[must_use]
    pub fn overwrite(mut self, higher: Options) -> Options {
        let set = higher.execution_keys();
        let in_force = self.executor().map(|kind| kind.spec().keys).unwrap_or_default();
        let fits = |key: &&str| in_force.contains(key) && option(key).is_some_and(|option| option.adjusts);
        let shapes = |key: &&str| option(key).is_some_and(|option| option.shapes);
        if !set.iter().all(fits) && set.iter().any(shapes) {
            let inherits_vus = higher.executor_named().is_ok_and(|kind| kind.spec().keys.contains(&"vus"));
            let vus = self.vus.filter(|_| inherits_vus);
            for option in OPTIONS.iter().filter(|option| option.execution) {
                (option.clear)(&mut self);
            }
            self.vus = vus;
        }
        for option in OPTIONS {
            (option.take)(&mut self, &higher);
        }
        self
    }

    /// The same with the values of `env` blanked, for what is written to disk.
    #[must_use]
    pub fn without_env_values(mut self) -> Options {
        self.env.values_mut().for_each(String::clear);
        self
    }

    /// The executor, said or inferred: `stages` → ramping-vus; `iterations` → shared-iterations;
    /// `duration` → constant-vus; only `vus` → shared-iterations; nothing → per-vu-iterations.
    ///
    /// # Errors
    /// If the options of two executors are set together, or one that the executor needs is missing.
    pub fn executor(&self) -> Result<ExecutorKind, Error> {
        self.executor_or_why().map_err(|unclear| unclear.error())
    }

    /// The same as [`Options::executor`], with the reason as a value, for those who know where each option was
    /// written and have other words for it.
    ///
    /// # Errors
    /// Those of [`Options::executor`].
    pub fn executor_or_why(&self) -> Result<ExecutorKind, Unclear> {
        let kind = self.executor_named()?;
        let set = self.execution_keys();
        let missing: Vec<_> = kind.spec().required.iter().copied().filter(|key| !set.contains(key)).collect();
        if missing.is_empty() { Ok(kind) } else { Err(Unclear::Lacks { kind, missing }) }
    }

    /// The executor, though something that it needs may be missing.
    fn executor_named(&self) -> Result<ExecutorKind, Unclear> {
        let set = self.execution_keys();
        let kind = self.executor.unwrap_or({
            if self.stages.is_some() {
                ExecutorKind::RampingVus
            } else if self.iterations.is_some() {
                ExecutorKind::SharedIterations
            } else if self.duration.is_some() {
                ExecutorKind::ConstantVus
            } else if self.vus.is_some() {
                ExecutorKind::SharedIterations
            } else {
                ExecutorKind::PerVuIterations
            }
        });
        let keys = kind.spec().keys;
        let Some(key) = set.iter().copied().find(|key| *key != "executor" && !keys.contains(key)) else {
            return Ok(kind);
        };
        let by = keys.iter().copied().find(|key| set.contains(key));
        Err(match (self.executor, by) {
            (None, None) => Unclear::NoExecutor { key },
            (None, by) => Unclear::Foreign { key, kind, by },
            (Some(_), _) => Unclear::Foreign { key, kind, by: None },
        })
    }
}

/// Why options have no executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unclear {
    /// An option alone, which belongs to executors that no option means by itself.
    NoExecutor {
        /// The option.
        key: &'static str,
    },
    /// An option that the executor does not take.
    Foreign {
        /// The option.
        key: &'static str,
        /// The executor.
        kind: ExecutorKind,
        /// What meant this executor, if it was not named.
        by: Option<&'static str>,
    },
    /// The executor can't do without options that are not set.
    Lacks {
        /// The executor.
        kind: ExecutorKind,
        /// What is missing, at least one.
        missing: Vec<&'static str>,
    },
}

impl Unclear {
    /// What is wrong, without what to do about it.
    pub fn message(&self) -> String {
        match self {
            Unclear::NoExecutor { key } => format!("`{key}` needs an `executor`"),
            Unclear::Foreign { key, kind, by: Some(by) } => {
                format!("`{by}` means the executor `{kind}`, which does not take `{key}`")
            }
            Unclear::Foreign { key, kind, by: None } => format!("`{kind}` does not take `{key}`"),
            Unclear::Lacks { kind, missing } => {
                let (last, others) = missing.split_last().map_or(("", &[][..]), |(last, rest)| (*last, rest));
                let others = others.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
                let others = if others.is_empty() { others } else { others + " and " };
                format!("`{kind}` needs {others}`{last}`")
            }
        }
    }

    /// The executors that take an option, as `EXECUTORS` has them.
    pub fn owners(key: &str) -> impl Iterator<Item = ExecutorKind> {
        EXECUTORS.iter().filter(move |spec| spec.keys.contains(&key)).map(|spec| spec.kind)
    }

    /// The error in the words of an attribute.
    fn error(&self) -> Error {
        let owners =
            |key| Unclear::owners(key).map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
        let hint = match self {
            Unclear::NoExecutor { key } => format!("name one that takes it: {}", owners(key)),
            Unclear::Foreign { key, kind, .. } => format!(
                "`{key}` belongs to {}; `{kind}` takes {}",
                owners(key),
                kind.spec().keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
            ),
            Unclear::Lacks { missing, .. } => {
                let example = |key: &&str| format!("{key} = {}", option(key).map_or("", |o| o.example));
                format!("for example `{}`", missing.iter().map(example).collect::<Vec<_>>().join(", "))
            }
        };
        Error::new(self.message()).hint(hint)
    }
}
