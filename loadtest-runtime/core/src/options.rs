//! What a load test asks for: every option optional, one `overwrite` that expresses precedence, and the
//! one place where they become a definite workload.
//!
//! The main types are [`Options`], as written in one place (attribute, configuration file, environment,
//! command line), and [`Workload`], what all of them together mean. Options are not checked against
//! each other until [`Options::resolve`].

mod executors;
#[cfg(test)]
mod tests;
mod workload;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::executors::{EXECUTORS, ExecutorKind, ExecutorSpec};
pub use self::workload::{Shape, Workload};
use crate::Error;
use crate::threshold::Threshold;
use crate::units::{self, format_duration, parse_duration};

/// How long iterations in flight may go on when a scenario's time is up.
pub const DEFAULT_GRACEFUL_STOP: Duration = Duration::from_secs(30);
/// How long a virtual user that is ramped down may go on with its iteration.
pub const DEFAULT_GRACEFUL_RAMP_DOWN: Duration = Duration::from_secs(30);
/// How long the iteration executors may take at most.
pub const DEFAULT_MAX_DURATION: Duration = Duration::from_secs(600);

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
        let set = [
            ("executor", self.executor.is_some()),
            ("vus", self.vus.is_some()),
            ("iterations", self.iterations.is_some()),
            ("max_duration", self.max_duration.is_some()),
            ("duration", self.duration.is_some()),
            ("start_vus", self.start_vus.is_some()),
            ("stages", self.stages.is_some()),
            ("graceful_ramp_down", self.graceful_ramp_down.is_some()),
        ];
        set.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect()
    }

    /// Lays the options of a higher tier over these. If the higher tier shapes the load (sets any of
    /// executor, iterations, duration, stages, …), it replaces all that this one says about the shape: a
    /// mixture of two shapes is never what was meant. As in k6, `vus` is apart: it survives a new shape
    /// that takes it, so `--duration 5m` lengthens a soak of 20 virtual users without shrinking it to one.
    /// Alone it changes only the number; for a shape without `vus` that is an error of
    /// [`Options::resolve`], because no load that it could turn into is what was meant.
    #[must_use]
    pub fn overwrite(mut self, higher: Options) -> Options {
        if higher.execution_keys().iter().any(|key| *key != "vus") {
            let inherits_vus = higher.executor().is_ok_and(|kind| kind.spec().keys.contains(&"vus"));
            self.vus = higher.vus.or(self.vus.filter(|_| inherits_vus));
            self.executor = higher.executor;
            self.iterations = higher.iterations;
            self.max_duration = higher.max_duration;
            self.duration = higher.duration;
            self.start_vus = higher.start_vus;
            self.stages = higher.stages;
            self.graceful_ramp_down = higher.graceful_ramp_down;
        } else {
            self.vus = higher.vus.or(self.vus);
        }
        self.graceful_stop = higher.graceful_stop.or(self.graceful_stop);
        self.warm_up = higher.warm_up.or(self.warm_up);
        self.thresholds.extend(higher.thresholds);
        self.tags.extend(higher.tags);
        self.env.extend(higher.env);
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
    /// If the options of two executors are set together.
    pub fn executor(&self) -> Result<ExecutorKind, Error> {
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
        let spec = kind.spec();
        for key in set.iter().filter(|key| **key != "executor") {
            if !spec.keys.contains(key) {
                let owners: Vec<_> = EXECUTORS
                    .iter()
                    .filter(|other| other.available && other.keys.contains(key))
                    .map(|other| format!("`{}`", other.name))
                    .collect();
                let chosen = if self.executor.is_some() {
                    format!("`{}` does not take `{key}`", spec.name)
                } else {
                    let by = spec.keys.iter().find(|k| set.contains(k)).unwrap_or(&"executor");
                    format!("`{by}` means the executor `{}`, which does not take `{key}`", spec.name)
                };
                return Err(Error::new(chosen).hint(format!(
                    "`{key}` belongs to {}; `{}` takes {}",
                    owners.join(", "),
                    spec.name,
                    spec.keys.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
                )));
            }
        }
        for key in spec.required {
            if !set.contains(key) {
                let example = match *key {
                    "stages" => "for example `stages = [(\"30s\", 10), (\"1m\", 10), (\"10s\", 0)]`",
                    "duration" => "for example `duration = \"30s\"`",
                    _ => "see the table of executors in the README",
                };
                return Err(Error::new(format!("`{}` needs `{key}`", spec.name)).hint(example));
            }
        }
        Ok(kind)
    }

    /// What these options mean: the executor with every default filled in.
    ///
    /// # Errors
    /// If they contradict each other, lack something or have a value that makes no sense.
    pub fn resolve(&self) -> Result<Workload, Error> {
        let graceful_stop = self.graceful_stop.unwrap_or(DEFAULT_GRACEFUL_STOP);
        let positive = |key: &str, value: u64| {
            if value == 0 {
                Err(Error::new(format!("`{key}` is 0")).hint(format!("`{key}` counts from 1")))
            } else {
                Ok(())
            }
        };
        let lasting = |key: &str, value: Duration| {
            if value.is_zero() {
                Err(Error::new(format!("`{key}` is 0")).hint("give it a time, for example `30s`"))
            } else {
                Ok(value)
            }
        };
        let vus = self.vus.unwrap_or(1);
        positive("vus", vus.into())?;
        let max_duration = lasting("max_duration", self.max_duration.unwrap_or(DEFAULT_MAX_DURATION))?;
        let shape = match self.executor()? {
            ExecutorKind::SharedIterations => {
                // Only `vus`: as many iterations, as k6's `-u 5` does.
                let alone = self.executor.is_none() && self.iterations.is_none();
                let iterations = self.iterations.unwrap_or(if alone { vus.into() } else { 1 });
                positive("iterations", iterations)?;
                if iterations < u64::from(vus) {
                    return Err(Error::new(format!(
                        "`iterations` ({iterations}) is less than `vus` ({vus}): {} of them would never run",
                        u64::from(vus) - iterations
                    ))
                    .hint(format!("set `iterations` to {vus} or more")));
                }
                Shape::SharedIterations { vus, iterations, max_duration }
            }
            ExecutorKind::PerVuIterations => {
                let iterations = self.iterations.unwrap_or(1);
                positive("iterations", iterations)?;
                Shape::PerVuIterations { vus, iterations, max_duration }
            }
            ExecutorKind::ConstantVus => {
                let duration = lasting("duration", self.duration.unwrap_or_default())?;
                Shape::ConstantVus { vus, duration }
            }
            ExecutorKind::RampingVus => {
                let stages = self.stages.clone().unwrap_or_default();
                if stages.is_empty() {
                    return Err(
                        Error::new("`stages` is empty").hint("write at least one, for example (\"30s\", 10)")
                    );
                }
                if let Some(stage) = stages.iter().find(|s| s.target > u64::from(u32::MAX)) {
                    return Err(Error::new(format!("the stage target {} is too large", stage.target)));
                }
                let start_vus = self.start_vus.unwrap_or(1);
                if stages.iter().all(|s| s.duration.is_zero()) {
                    return Err(
                        Error::new("`stages` take no time at all").hint("give one of them a duration")
                    );
                }
                let graceful_ramp_down = self.graceful_ramp_down.unwrap_or(DEFAULT_GRACEFUL_RAMP_DOWN);
                Shape::RampingVus { start_vus, stages, graceful_ramp_down }
            }
            other => return Err(Error::new(format!("the executor `{other}` does not work yet"))),
        };
        Ok(Workload { shape, graceful_stop, warm_up: self.warm_up.unwrap_or_default() })
    }
}
