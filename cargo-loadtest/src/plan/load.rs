//! One scenario's load as data: the part of one generator, with or without what is held for ramping down.
//!
//! The main type is [`Load`]. Levels and starts are computed as they are read: a plan of a hundred million
//! starts takes no memory.

use std::time::Duration;

use loadtest_core::Error;
use loadtest_core::options::{Shape, Workload};
use loadtest_core::plan::{self, CapacitySearch, Shard, Step};

/// The most changes of the level for which reservations, which are kept in memory, are computed.
const MOST_RESERVED: u64 = 5_000_000;

/// What of a load is to be seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct View {
    /// Which generator's part.
    pub(super) shard: Shard,
    /// With the virtual users that are held after the plan has let them go.
    pub(super) reserved: bool,
}

/// A scenario's load, seen in a certain way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load<'a> {
    pub(super) workload: &'a Workload,
    pub(super) view: View,
}

/// When what happens, as offsets from the scenario's start.
pub(super) enum Schedule<'a> {
    /// The number of virtual users from each instant on.
    Levels(Box<dyn Iterator<Item = Step> + 'a>),
    /// The instants of iteration starts.
    Starts(Box<dyn Iterator<Item = Duration> + 'a>),
    /// Nobody knows before a search how it will go; it takes this many probes at most.
    Search { probes_at_most: u32 },
}

impl<'a> Load<'a> {
    /// A load, seen in a way that makes sense for it.
    ///
    /// # Errors
    /// If reservations are asked for where no virtual user is ever let go, or where they take too much memory.
    pub(super) fn new(workload: &'a Workload, view: View) -> Result<Self, Error> {
        let shape = &workload.shape;
        if view.reserved && shape.is_open() {
            return Err(Error::new(format!(
                "`--reserved` is about levels of virtual users, and `{}` has none: it plans starts",
                shape.kind()
            ))
            .hint("leave it out; `pre_allocated_vus` and `max_vus` are what this executor holds"));
        }
        if view.reserved && level_changes(shape) > MOST_RESERVED {
            return Err(Error::new(format!(
                "the level changes {} times: more than the {MOST_RESERVED} for which reservations are computed",
                level_changes(shape)
            ))
            .hint("leave `--reserved` out, or plan a smaller load of the same form"));
        }
        Ok(Load { workload, view })
    }

    /// When what happens.
    pub(super) fn schedule(&self) -> Schedule<'a> {
        let View { shard, reserved } = self.view;
        let workload = self.workload;
        let levels = match &workload.shape {
            Shape::RampingVus { start_vus, stages, graceful_ramp_down } if reserved => {
                let held = plan::reserved(*start_vus, stages, *graceful_ramp_down, workload.graceful_stop);
                return Schedule::Levels(Box::new(shard.steps(held)));
            }
            Shape::RampingVus { start_vus, stages, .. } => {
                return Schedule::Levels(Box::new(shard.steps(plan::levels(*start_vus, stages))));
            }
            Shape::ConstantArrivalRate { rate, time_unit, duration, .. } => {
                let starts = shard.starts(plan::constant_arrivals(*rate, *time_unit, *duration));
                return Schedule::Starts(Box::new(starts.map(|(_, at)| at)));
            }
            Shape::RampingArrivalRate { start_rate, time_unit, stages, .. } => {
                let starts = shard.starts(plan::ramping_arrivals(*start_rate, stages, *time_unit));
                return Schedule::Starts(Box::new(starts.map(|(_, at)| at)));
            }
            Shape::FindCapacity { start_rate, max_rate, search, step, .. } => {
                let search = CapacitySearch::new(*search, *start_rate, *max_rate, *step);
                return Schedule::Search { probes_at_most: search.probes_at_most() };
            }
            // Whoever scales it may ask for all of them at any moment.
            Shape::ExternallyControlled { max_vus, .. } if reserved => *max_vus,
            Shape::ExternallyControlled { vus, .. }
            | Shape::SharedIterations { vus, .. }
            | Shape::PerVuIterations { vus, .. }
            | Shape::ConstantVus { vus, .. } => *vus,
        };
        let begin = Step { at: Duration::ZERO, vus: levels };
        let end = self.maximum().filter(|_| reserved).map(|at| Step { at, vus: 0 });
        Schedule::Levels(Box::new(shard.steps([begin].into_iter().chain(end))))
    }

    /// Until when iterations may start, from the scenario's start; `None` until it is stopped.
    pub(super) fn regular(&self) -> Option<Duration> {
        Some(self.workload.shape.regular_duration()).filter(|duration| *duration < Duration::MAX)
    }

    /// When the last iteration is interrupted at the latest, from the scenario's start.
    pub(super) fn maximum(&self) -> Option<Duration> {
        Some(self.regular()?.saturating_add(self.workload.graceful_stop))
    }

    /// The most virtual users of this part that are active at once.
    pub(super) fn vus_at_most(&self) -> u32 {
        self.view.shard.share(self.workload.shape.max_vus())
    }

    /// Virtual users of this part that exist before the first iteration.
    pub(super) fn vus_allocated(&self) -> u32 {
        self.view.shard.share(self.workload.shape.allocated_vus())
    }

    /// How many iterations this part starts, where the plan knows.
    pub(super) fn iterations(&self) -> Option<u64> {
        let shard = self.view.shard;
        match &self.workload.shape {
            Shape::SharedIterations { iterations, .. } => Some(shard.share_u64(*iterations)),
            Shape::PerVuIterations { vus, iterations, .. } => {
                Some(u64::from(shard.share(*vus)).saturating_mul(*iterations))
            }
            // Start k is at k · time_unit / rate, and all are before the end.
            Shape::ConstantArrivalRate { rate, time_unit, duration, .. } => {
                let scaled = duration.as_nanos().saturating_mul(u128::from(*rate));
                Some(shard.share_u64(fitting(scaled.div_ceil(time_unit.as_nanos().max(1)))))
            }
            // As many as whole units of the area under the rate, which is made of trapezia (a + b)·D/2.
            Shape::RampingArrivalRate { start_rate, time_unit, stages, .. } => {
                let (mut from, mut double_area) = (u128::from(*start_rate), 0u128);
                for stage in stages {
                    let to = u128::from(stage.target);
                    double_area =
                        double_area.saturating_add((from + to).saturating_mul(stage.duration.as_nanos()));
                    from = to;
                }
                Some(shard.share_u64(fitting(double_area / (2 * time_unit.as_nanos()).max(1))))
            }
            Shape::ConstantVus { .. }
            | Shape::RampingVus { .. }
            | Shape::ExternallyControlled { .. }
            | Shape::FindCapacity { .. } => None,
        }
    }

    /// The line through the load over time, for a chart, as corners: virtual users, or starts per second. Two
    /// corners at one instant are a jump. `None` if nothing is known about the end.
    pub(super) fn corners(&self) -> Option<Box<dyn Iterator<Item = (Duration, f64)> + 'a>> {
        let shape = &self.workload.shape;
        let end = if self.view.reserved { self.maximum()? } else { self.regular()? };
        if !shape.is_timed() && !self.view.reserved {
            return None;
        }
        let parts = f64::from(self.view.shard.count.max(1));
        let line = move |start: u64, stages: &'a [loadtest_core::options::Stage], scale: f64| {
            let ends = stages.iter().scan(Duration::ZERO, move |at, stage| {
                *at = at.saturating_add(stage.duration);
                Some((*at, stage.target as f64 * scale))
            });
            [(Duration::ZERO, start as f64 * scale)].into_iter().chain(ends)
        };
        match (shape, self.schedule()) {
            (Shape::ConstantArrivalRate { rate, time_unit, duration, .. }, _) => {
                let rate = *rate as f64 / time_unit.as_secs_f64() / parts;
                Some(Box::new([(Duration::ZERO, rate), (*duration, rate)].into_iter()))
            }
            (Shape::RampingArrivalRate { start_rate, time_unit, stages, .. }, _) => {
                Some(Box::new(line(*start_rate, stages, 1.0 / time_unit.as_secs_f64() / parts)))
            }
            // So many steps look like a line.
            (Shape::RampingVus { start_vus, stages, .. }, _)
                if !self.view.reserved && level_changes(shape) > 100_000 =>
            {
                Some(Box::new(line(u64::from(*start_vus), stages, 1.0 / parts)))
            }
            (_, Schedule::Levels(steps)) => {
                let mut level = 0.0;
                let stairs = steps.flat_map(move |step| {
                    let before = std::mem::replace(&mut level, f64::from(step.vus));
                    [(step.at, before), (step.at, level)]
                });
                // The last level lasts until the end, which may be far beyond it.
                let last = self.last_level();
                Some(Box::new(stairs.chain([(end, f64::from(last))])))
            }
            _ => None,
        }
    }

    /// The level that is in force at the end.
    fn last_level(&self) -> u32 {
        let shape = &self.workload.shape;
        let whole = match shape {
            _ if self.view.reserved => 0,
            Shape::RampingVus { start_vus, stages, .. } => {
                let target = stages.last().map_or(u64::from(*start_vus), |stage| stage.target);
                u32::try_from(target).unwrap_or(u32::MAX)
            }
            Shape::ExternallyControlled { vus, .. } => *vus,
            _ => shape.max_vus(),
        };
        self.view.shard.share(whole)
    }
}

/// How often the level changes.
fn level_changes(shape: &Shape) -> u64 {
    let Shape::RampingVus { start_vus, stages, .. } = shape else { return 1 };
    let mut from = u64::from(*start_vus);
    stages.iter().fold(0, |sum: u64, stage| {
        let change = stage.target.abs_diff(std::mem::replace(&mut from, stage.target));
        // A jump is one change, however high.
        sum.saturating_add(if stage.duration.is_zero() { change.min(1) } else { change })
    })
}

/// A count that is beyond every use counts as the largest.
fn fitting(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
