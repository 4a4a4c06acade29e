//! Where in a test a virtual user is, and how the test goes: k6's execution module.
//!
//! The main type is [`Execution`], a look at what the loop and the executors count anyway. It changes nothing.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use loadtest_core::options::Shape;

use super::Vu;
use crate::clock;

/// What `vu.execution()` gives: each method names its counterpart in k6's `k6/execution`.
///
/// *In the instance* is in this process, *in the test* over all shards of `--shard i/N`. Numbers of other virtual
/// users are those of this moment.
#[derive(Debug, Clone, Copy)]
pub struct Execution<'a> {
    vu: &'a Vu,
}

impl<'a> Execution<'a> {
    pub(super) fn new(vu: &'a Vu) -> Self {
        Self { vu }
    }

    /// The scenario's name: `exec.scenario.name`.
    pub fn scenario(&self) -> &'a str {
        &self.vu.core.scenario.name
    }

    /// The executor's name, `constant-arrival-rate`: `exec.scenario.executor`.
    pub fn executor(&self) -> &'static str {
        self.vu.core.scenario.workload.shape.kind().spec().name
    }

    /// When the scenario starts, or started, by the wall clock: `exec.scenario.startTime`. `None` in a `vu_init`
    /// that comes before the load. A pause before it starts is not part of it.
    pub fn start_time(&self) -> Option<SystemTime> {
        let scenario = &self.vu.core.scenario;
        scenario.test.begin.wall.get()?.checked_add(scenario.workload.start_time)
    }

    /// How much of the scenario is over, 0 to 1: `exec.scenario.progress`. By the clock, without pauses, for what
    /// ends by the clock; by the iterations that have ended for `shared-iterations` and `per-vu-iterations`. `None`
    /// where nobody knows the end: `externally-controlled` until it is stopped, and `find-capacity`.
    pub fn progress(&self) -> Option<f64> {
        let scenario = &self.vu.core.scenario;
        let (shape, shard) = (&scenario.workload.shape, scenario.test.shard);
        let share = match shape {
            Shape::SharedIterations { iterations, .. } => self.done_of(shard.share_u64(*iterations)),
            Shape::PerVuIterations { vus, iterations, .. } => {
                self.done_of(u64::from(shard.share(*vus)).saturating_mul(*iterations))
            }
            timed if timed.is_timed() => {
                let whole = timed.regular_duration().as_secs_f64();
                if whole > 0.0 { scenario.timeline.elapsed().as_secs_f64() / whole } else { 1.0 }
            }
            _ => return None,
        };
        Some(share.clamp(0.0, 1.0))
    }

    fn done_of(&self, total: u64) -> f64 {
        let counters = self.vu.core.scenario.seats.counters();
        let done = counters.completed.load(Ordering::Relaxed) + counters.interrupted.load(Ordering::Relaxed);
        if total > 0 { done as f64 / total as f64 } else { 1.0 }
    }

    /// How long the load has been running, pauses included: `exec.instance.currentTestRunDuration`. Zero before.
    pub fn elapsed(&self) -> Duration {
        let begin = self.vu.core.scenario.test.begin.at.get();
        begin.map(|begin| clock::now().saturating_duration_since(*begin)).unwrap_or_default()
    }

    /// The number of this iteration among those of the scenario that this process has begun, from 0:
    /// `exec.scenario.iterationInInstance`. 0 in `vu_init`. See [`Vu::iteration`] for the virtual user's own count,
    /// `exec.vu.iterationInScenario`.
    pub fn iteration_in_instance(&self) -> u64 {
        self.vu.core.in_instance.get()
    }

    /// The same over all shards, so that no two iterations of the scenario have the same number:
    /// `exec.scenario.iterationInTest`.
    pub fn iteration_in_test(&self) -> u64 {
        self.vu.core.in_test()
    }

    /// Iterations that have ended, failed ones included, of all scenarios in this process:
    /// `exec.instance.iterationsCompleted`.
    pub fn iterations_completed(&self) -> u64 {
        self.vu.core.scenario.test.total(|counters| counters.completed.load(Ordering::Relaxed))
    }

    /// Iterations that were interrupted, of all scenarios in this process:
    /// `exec.instance.iterationsInterrupted`.
    pub fn iterations_interrupted(&self) -> u64 {
        self.vu.core.scenario.test.total(|counters| counters.interrupted.load(Ordering::Relaxed))
    }

    /// Virtual users that are active now, of all scenarios in this process: `exec.instance.vusActive`.
    pub fn vus_active(&self) -> u64 {
        self.vu.core.scenario.test.total(|counters| counters.active.load(Ordering::Relaxed).into())
    }

    /// Virtual users that are ready to run, of all scenarios in this process: `exec.instance.vusInitialized`. One
    /// counts when its `vu_init` is over.
    pub fn vus_initialised(&self) -> u64 {
        self.vu.core.scenario.test.total(|counters| counters.initialised.load(Ordering::Relaxed).into())
    }

    /// This virtual user's number within its scenario and process, from 1: `exec.vu.idInInstance`.
    pub fn vu_in_instance(&self) -> u64 {
        u64::from(self.vu.core.seat.index()) + 1
    }

    /// This virtual user's number within the test, over all scenarios and shards, from 1, as [`Vu::id`]:
    /// `exec.vu.idInTest`.
    pub fn vu_in_test(&self) -> u64 {
        self.vu.core.id
    }

    /// All values from `-e KEY=VALUE` and the attribute's `env`, as `exec.scenario.env`; one of them is
    /// [`Vu::env`].
    pub fn env(&self) -> &'a BTreeMap<String, String> {
        &self.vu.core.scenario.env
    }
}
