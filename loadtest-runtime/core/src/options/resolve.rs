//! From options to a definite workload: every default filled in, every value looked at.

use std::time::Duration;

use super::{
    DEFAULT_GRACEFUL_RAMP_DOWN, DEFAULT_GRACEFUL_STOP, DEFAULT_MAX_DURATION, DEFAULT_PROBE_DURATION,
    DEFAULT_TIME_UNIT, ExecutorKind, Options, Search, Shape, Stage, Workload,
};
use crate::Error;
use crate::metric::Builtin;
use crate::plan::stages_duration;

impl Options {
    /// What these options mean: the executor with every default filled in.
    ///
    /// # Errors
    /// If they contradict each other, lack something or have a value that makes no sense.
    pub fn resolve(&self) -> Result<Workload, Error> {
        if self.rps == Some(0) {
            return Err(zero("rps"));
        }
        if self.http.batch == Some(0) {
            return Err(zero("batch"));
        }
        Ok(Workload {
            shape: self.shape()?,
            graceful_stop: self.graceful_stop.unwrap_or(DEFAULT_GRACEFUL_STOP),
            warm_up: self.warm_up.unwrap_or_default(),
            start_time: self.start_time.unwrap_or_default(),
            min_iteration_duration: self.min_iteration_duration.unwrap_or_default(),
        })
    }

    fn shape(&self) -> Result<Shape, Error> {
        let kind = self.executor()?;
        let vus = self.vus.unwrap_or(1);
        positive("vus", vus)?;
        let max_duration = lasting("max_duration", self.max_duration.unwrap_or(DEFAULT_MAX_DURATION))?;
        let time_unit = lasting("time_unit", self.time_unit.unwrap_or(DEFAULT_TIME_UNIT))?;
        Ok(match kind {
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
                let stages = self.lasting_stages()?;
                if let Some(stage) = stages.iter().find(|s| s.target > u64::from(u32::MAX)) {
                    return Err(Error::new(format!("the stage target {} is too large", stage.target))
                        .hint(format!("the most is {}", u32::MAX)));
                }
                let start_vus = self.start_vus.unwrap_or(1);
                let graceful_ramp_down = self.graceful_ramp_down.unwrap_or(DEFAULT_GRACEFUL_RAMP_DOWN);
                Shape::RampingVus { start_vus, stages, graceful_ramp_down }
            }
            ExecutorKind::ConstantArrivalRate => {
                let rate = self.rate.unwrap_or_default();
                positive("rate", rate)?;
                let duration = lasting("duration", self.duration.unwrap_or_default())?;
                let (pre_allocated_vus, max_vus) = self.allocated()?;
                Shape::ConstantArrivalRate { rate, time_unit, duration, pre_allocated_vus, max_vus }
            }
            ExecutorKind::RampingArrivalRate => {
                let stages = self.lasting_stages()?;
                let start_rate = self.start_rate.unwrap_or(0);
                let (pre_allocated_vus, max_vus) = self.allocated()?;
                Shape::RampingArrivalRate { start_rate, time_unit, stages, pre_allocated_vus, max_vus }
            }
            ExecutorKind::ExternallyControlled => {
                let max_vus = self.max_vus.unwrap_or(vus);
                at_least("max_vus", max_vus, "vus", vus)?;
                Shape::ExternallyControlled { vus, max_vus, duration: self.duration.unwrap_or_default() }
            }
            ExecutorKind::FindCapacity => {
                let (start_rate, max_rate) =
                    (self.start_rate.unwrap_or_default(), self.max_rate.unwrap_or_default());
                positive("start_rate", start_rate)?;
                if max_rate < start_rate {
                    return Err(Error::new(format!(
                        "`max_rate` ({max_rate}) is less than `start_rate` ({start_rate})"
                    ))
                    .hint("the search goes from `start_rate` up to `max_rate`"));
                }
                let step = self.step.unwrap_or((max_rate / 20).max(1));
                positive("step", step)?;
                let probe_duration = self.probe_duration.unwrap_or(DEFAULT_PROBE_DURATION);
                if probe_duration < Duration::from_secs(1) {
                    return Err(Error::new("`probe_duration` is shorter than a second")
                        .hint("a rate that is held for less says nothing: give it some, for example `10s`"));
                }
                let (pre_allocated_vus, max_vus) = self.allocated()?;
                let search = self.search.unwrap_or(Search::Binary);
                self.says_when_a_rate_holds()?;
                Shape::FindCapacity {
                    start_rate,
                    max_rate,
                    time_unit,
                    search,
                    step,
                    probe_duration,
                    pre_allocated_vus,
                    max_vus,
                }
            }
        })
    }

    /// What a capacity search asks of its thresholds.
    fn says_when_a_rate_holds(&self) -> Result<(), Error> {
        // Before a search is over there is nothing to hold a limit on its result against.
        if self.thresholds.iter().all(|threshold| threshold.metric == Builtin::Capacity.name()) {
            return Err(Error::new("`find-capacity` needs `thresholds` that say when a rate holds")
                .hint("for example `thresholds = [\"http_req_duration: p(95)<200ms\"]`"));
        }
        if let Some(threshold) = self.thresholds.iter().find(|threshold| threshold.abort.is_some()) {
            return Err(Error::new(format!(
                "`thresholds` has `{threshold}`, but `abort` ends a test; in `find-capacity` a threshold that \
                 breaks fails only its probe"
            ))
            .hint("leave `abort` out"));
        }
        Ok(())
    }

    fn lasting_stages(&self) -> Result<Vec<Stage>, Error> {
        let stages = self.stages.clone().unwrap_or_default();
        if stages.is_empty() {
            return Err(Error::new("`stages` is empty").hint("write at least one, for example (\"30s\", 10)"));
        }
        if stages_duration(&stages).is_zero() {
            return Err(Error::new("`stages` take no time at all").hint("give one of them a duration"));
        }
        Ok(stages)
    }

    /// `pre_allocated_vus` and `max_vus`.
    fn allocated(&self) -> Result<(u32, u32), Error> {
        let allocated = self.pre_allocated_vus.unwrap_or_default();
        let most = self.max_vus.unwrap_or(allocated);
        at_least("max_vus", most, "pre_allocated_vus", allocated)?;
        positive("max_vus", most)?;
        Ok((allocated, most))
    }
}

fn zero(key: &str) -> Error {
    Error::new(format!("`{key}` is 0")).hint(format!("`{key}` counts from 1"))
}

fn positive(key: &str, value: impl Into<u64>) -> Result<(), Error> {
    if value.into() == 0 { Err(zero(key)) } else { Ok(()) }
}

fn lasting(key: &str, value: Duration) -> Result<Duration, Error> {
    if value.is_zero() {
        Err(Error::new(format!("`{key}` is 0")).hint("give it a time, for example `30s`"))
    } else {
        Ok(value)
    }
}

fn at_least(key: &str, value: u32, other: &str, limit: u32) -> Result<(), Error> {
    if value < limit {
        return Err(Error::new(format!("`{key}` ({value}) is less than `{other}` ({limit})"))
            .hint(format!("set `{key}` to {limit} or more, or leave it out")));
    }
    Ok(())
}
