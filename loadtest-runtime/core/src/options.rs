//! What a load test asks for: every option optional, one `overwrite` that expresses precedence, and the
//! one place where they become a definite workload.
//!
//! The main types are [`Options`], as written in one place (attribute, configuration file, environment,
//! command line), and [`Workload`], what all of them together mean. Options are not checked against
//! each other until [`Options::resolve`].

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::threshold::Threshold;
use crate::units::{self, format_duration, parse_duration};
use crate::{Error, suggest};

/// How long iterations in flight may go on when a scenario's time is up.
pub const DEFAULT_GRACEFUL_STOP: Duration = Duration::from_secs(30);
/// How long a virtual user that is ramped down may go on with its iteration.
pub const DEFAULT_GRACEFUL_RAMP_DOWN: Duration = Duration::from_secs(30);
/// How long the iteration executors may take at most.
pub const DEFAULT_MAX_DURATION: Duration = Duration::from_secs(600);

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
    /// Whether it can be run.
    pub available: bool,
}

/// Every executor. Parsers, help and documentation read this table.
pub const EXECUTORS: &[ExecutorSpec] = &[
    ExecutorSpec {
        kind: ExecutorKind::SharedIterations,
        name: "shared-iterations",
        keys: &["vus", "iterations", "max_duration"],
        required: &[],
        available: true,
    },
    ExecutorSpec {
        kind: ExecutorKind::PerVuIterations,
        name: "per-vu-iterations",
        keys: &["vus", "iterations", "max_duration"],
        required: &[],
        available: true,
    },
    ExecutorSpec {
        kind: ExecutorKind::ConstantVus,
        name: "constant-vus",
        keys: &["vus", "duration"],
        required: &["duration"],
        available: true,
    },
    ExecutorSpec {
        kind: ExecutorKind::RampingVus,
        name: "ramping-vus",
        keys: &["start_vus", "stages", "graceful_ramp_down"],
        required: &["stages"],
        available: true,
    },
    ExecutorSpec {
        kind: ExecutorKind::ConstantArrivalRate,
        name: "constant-arrival-rate",
        keys: &["rate", "duration", "time_unit", "pre_allocated_vus", "max_vus"],
        required: &["rate", "duration", "pre_allocated_vus"],
        available: false,
    },
    ExecutorSpec {
        kind: ExecutorKind::RampingArrivalRate,
        name: "ramping-arrival-rate",
        keys: &["start_rate", "stages", "time_unit", "pre_allocated_vus", "max_vus"],
        required: &["stages", "pre_allocated_vus"],
        available: false,
    },
    ExecutorSpec {
        kind: ExecutorKind::ExternallyControlled,
        name: "externally-controlled",
        keys: &["vus", "max_vus", "duration"],
        required: &["vus"],
        available: false,
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
        let Some(spec) = EXECUTORS.iter().find(|spec| spec.name == name) else {
            return Err(Error::new(format!("unknown executor `{name}`"))
                .hint(suggest::hint(name, EXECUTORS.iter().map(|spec| spec.name))));
        };
        if !spec.available {
            let ready: Vec<_> =
                EXECUTORS.iter().filter(|s| s.available).map(|s| format!("`{}`", s.name)).collect();
            return Err(Error::new(format!("the executor `{name}` does not work yet"))
                .hint(format!("these do: {}", ready.join(", "))));
        }
        Ok(spec.kind)
    }
}

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
    /// that takes it, so `--duration 5m` lengthens a soak of 20 virtual users without shrinking it to one,
    /// and alone it changes only the number, unless the shape below has no `vus`.
    #[must_use]
    pub fn overwrite(mut self, higher: Options) -> Options {
        let shapes = higher.execution_keys().iter().any(|key| *key != "vus");
        let keeps_shape =
            !shapes && self.executor().is_ok_and(|kind| kind.spec().keys.contains(&"vus"));
        if keeps_shape {
            self.vus = higher.vus.or(self.vus);
        } else if shapes || higher.vus.is_some() {
            let inherits_vus = higher.executor().is_ok_and(|kind| kind.spec().keys.contains(&"vus"));
            self.vus = higher.vus.or(self.vus.filter(|_| inherits_vus));
            self.executor = higher.executor;
            self.iterations = higher.iterations;
            self.max_duration = higher.max_duration;
            self.duration = higher.duration;
            self.start_vus = higher.start_vus;
            self.stages = higher.stages;
            self.graceful_ramp_down = higher.graceful_ramp_down;
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
                    return Err(Error::new("`stages` is empty").hint("write at least one, for example (\"30s\", 10)"));
                }
                if let Some(stage) = stages.iter().find(|s| s.target > u64::from(u32::MAX)) {
                    return Err(Error::new(format!("the stage target {} is too large", stage.target)));
                }
                let start_vus = self.start_vus.unwrap_or(1);
                if stages.iter().all(|s| s.duration.is_zero()) {
                    return Err(Error::new("`stages` take no time at all").hint("give one of them a duration"));
                }
                let graceful_ramp_down = self.graceful_ramp_down.unwrap_or(DEFAULT_GRACEFUL_RAMP_DOWN);
                Shape::RampingVus { start_vus, stages, graceful_ramp_down }
            }
            other => return Err(Error::new(format!("the executor `{other}` does not work yet"))),
        };
        Ok(Workload { shape, graceful_stop, warm_up: self.warm_up.unwrap_or_default() })
    }
}

/// A definite load: what [`Options`] mean, every default filled in.
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
                "shared-iterations: {iterations} iterations shared by {vus} VUs (at most {})",
                format_duration(*max_duration)
            ),
            Shape::PerVuIterations { vus, iterations, max_duration } => format!(
                "per-vu-iterations: {iterations} iterations for each of {vus} VUs (at most {})",
                format_duration(*max_duration)
            ),
            Shape::ConstantVus { vus, duration } => {
                format!("constant-vus: {vus} looping VUs for {}", format_duration(*duration))
            }
            Shape::RampingVus { start_vus, stages, .. } => format!(
                "ramping-vus: from {start_vus} VUs through {} over {}",
                stages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                format_duration(self.regular_duration())
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(set: impl FnOnce(&mut Options)) -> Options {
        let mut options = Options::default();
        set(&mut options);
        options
    }

    #[test]
    fn every_kind_has_one_row() {
        for spec in EXECUTORS {
            assert_eq!(spec.kind.spec().name, spec.name);
            assert!(spec.required.iter().all(|key| spec.keys.contains(key)));
            assert_eq!(spec.name.parse::<ExecutorKind>().is_ok(), spec.available);
        }
    }

    #[test]
    fn the_executor_is_inferred_as_in_k6() {
        let kind = |set: fn(&mut Options)| options(set).executor().expect("valid");
        assert_eq!(kind(|_| {}), ExecutorKind::PerVuIterations);
        assert_eq!(kind(|o| o.vus = Some(3)), ExecutorKind::SharedIterations);
        assert_eq!(kind(|o| o.iterations = Some(3)), ExecutorKind::SharedIterations);
        assert_eq!(kind(|o| o.duration = Some(Duration::from_secs(1))), ExecutorKind::ConstantVus);
        assert_eq!(
            kind(|o| o.stages = Some(vec![Stage { duration: Duration::from_secs(1), target: 1 }])),
            ExecutorKind::RampingVus
        );
    }

    #[test]
    fn only_vus_means_that_each_runs_once() {
        let workload = options(|o| o.vus = Some(7)).resolve().expect("valid");
        assert!(matches!(workload.shape, Shape::SharedIterations { vus: 7, iterations: 7, .. }));
    }

    #[test]
    fn two_executors_keys_together_name_both_sides() {
        let error = options(|o| {
            o.duration = Some(Duration::from_secs(1));
            o.stages = Some(vec![Stage { duration: Duration::from_secs(1), target: 1 }]);
        })
        .resolve()
        .expect_err("contradictory");
        assert!(error.message().contains("`stages`") && error.message().contains("`duration`"), "{error}");
    }

    #[test]
    fn a_tier_that_shapes_the_load_replaces_the_whole_shape_below_it() {
        let attribute = options(|o| {
            o.executor = Some(ExecutorKind::RampingVus);
            o.stages = Some(vec![Stage { duration: Duration::from_secs(1), target: 100 }]);
            o.graceful_stop = Some(Duration::from_secs(5));
        });
        let line = options(|o| {
            o.vus = Some(2);
            o.duration = Some(Duration::from_secs(3));
        });
        let workload = attribute.overwrite(line).resolve().expect("valid");
        assert_eq!(workload.shape, Shape::ConstantVus { vus: 2, duration: Duration::from_secs(3) });
        assert_eq!(workload.graceful_stop, Duration::from_secs(5));
    }

    #[test]
    fn a_longer_soak_keeps_its_virtual_users() {
        let soak = options(|o| {
            o.vus = Some(20);
            o.duration = Some(Duration::from_secs(10));
        });
        let longer = soak.clone().overwrite(options(|o| o.duration = Some(Duration::from_secs(300))));
        let shape = longer.resolve().expect("valid").shape;
        assert_eq!(shape, Shape::ConstantVus { vus: 20, duration: Duration::from_secs(300) });
        let fewer = soak.overwrite(options(|o| o.vus = Some(2))).resolve().expect("valid").shape;
        assert_eq!(fewer, Shape::ConstantVus { vus: 2, duration: Duration::from_secs(10) });
    }

    #[test]
    fn stages_name_the_one_that_is_wrong() {
        assert_eq!(parse_stages("1m30s:100, 0s:50").expect("valid").len(), 2);
        let error = parse_stages("1s:5, 2q:5").expect_err("bad unit");
        assert!(error.message().starts_with("stage 2: "), "{error}");
    }

    #[test]
    fn workloads_survive_json() {
        let workload = options(|o| o.stages = Some(parse_stages("1s:5,2s:0").expect("valid")))
            .resolve()
            .expect("valid");
        let json = serde_json::to_string(&workload).expect("serialises");
        assert_eq!(serde_json::from_str::<Workload>(&json).expect("parses"), workload);
    }
}
