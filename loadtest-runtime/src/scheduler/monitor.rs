//! What is looked at each time an interval is closed: workers, the counters of scenarios, processes.
//!
//! The main type is [`Monitor`]. It reads meters and tells the audience; it changes nothing, except that it ends
//! the load when a threshold wants it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use loadtest_core::metric::{Builtin, Tags};
use loadtest_core::results::{GeneratorState, Interval, ProcessState};

use super::{Audience, Running};
use crate::clock::{self, Instant};
use crate::context::{Stop, StopCause};
use crate::executor::Brake;
use crate::metrics::aggregator::Aggregator;
use crate::metrics::crew::Observer;
use crate::process;
use crate::worker::{Health, Worker};

/// The shortest time over which CPU time is told: systems count that of processes in steps of 10 ms.
const SHORTEST_LOOK: Duration = Duration::from_millis(250);

/// Looks at workers, counters and processes each time an interval is closed.
pub(super) struct Monitor {
    running: Arc<Vec<Running>>,
    health: Vec<Arc<Health>>,
    clocks: Vec<process::ThreadClock>,
    workers: usize,
    meters: Meters,
    audience: Box<dyn Audience>,
    before: Look,
    told: Vec<Told>,
    /// The tags that all scenarios have in common.
    common_tags: Tags,
    stopping_told: bool,
}

/// What is looked at besides workers and scenarios.
pub(super) struct Meters {
    pub(super) brake: Brake,
    pub(super) lost: Arc<AtomicU64>,
    pub(super) stop: Stop,
    /// Whether the load is over.
    pub(super) over: Arc<AtomicBool>,
}

/// What is known of a scenario from one look to the next.
#[derive(Clone, Copy, Default)]
struct Told {
    /// Dropped iterations that were told.
    dropped: u64,
    /// The most virtual users that were active at once since the last look.
    peak_vus: u32,
}

/// The meters at one moment.
struct Look {
    at: Instant,
    cpu: Option<Duration>,
    stolen: Option<(u64, u64)>,
    service: Option<Duration>,
}

impl Monitor {
    pub(super) fn new(
        running: Arc<Vec<Running>>,
        workers: &[Worker],
        meters: Meters,
        audience: Box<dyn Audience>,
    ) -> Self {
        let told = vec![Told::default(); running.len()];
        let mut common_tags = running.first().map_or_else(Tags::new, |scenario| scenario.tags.clone());
        for scenario in running.iter() {
            common_tags.retain(|key, value| scenario.tags.get(key) == Some(value));
        }
        let mut monitor = Self {
            running,
            health: workers.iter().map(|worker| Arc::clone(&worker.health)).collect(),
            clocks: workers.iter().filter_map(|worker| worker.clock.clone()).collect(),
            workers: workers.len(),
            meters,
            audience,
            before: Look { at: clock::now(), cpu: None, stolen: None, service: None },
            told,
            common_tags,
            stopping_told: false,
        };
        monitor.before = monitor.look();
        // How long it took to seat everyone is no stall of the load.
        for health in &monitor.health {
            health.take_stall();
        }
        monitor
    }

    fn look(&self) -> Look {
        let cpu = self.clocks.iter().map(process::ThreadClock::cpu_time).sum::<Option<Duration>>();
        Look {
            at: clock::now(),
            // No clock at all sums to zero, which would be a lie.
            cpu: cpu.filter(|_| self.clocks.len() == self.workers),
            stolen: process::stolen_ticks(),
            service: self.audience.service_pid().and_then(process::cpu_time),
        }
    }

    fn observe(&mut self, interval: &mut Interval) {
        interval.generator = GeneratorState {
            cpu: None,
            steal: None,
            rss_bytes: process::resident_bytes(std::process::id()),
            max_stall_ms: self
                .health
                .iter()
                .map(|health| clock::millis(health.take_stall()))
                .fold(0.0, f64::max),
            lost_samples: self.meters.lost.load(Ordering::Relaxed),
        };
        // The last interval may be of any length, and after a delay intervals are closed in a row.
        if clock::now().saturating_duration_since(self.before.at) >= SHORTEST_LOOK {
            self.observe_time(interval);
        }
        interval.paused = self.meters.brake.is_held();
        for (scenario, told) in self.running.iter().zip(&self.told) {
            let mut state = scenario.state();
            state.peak_vus = told.peak_vus;
            if scenario.is_open && interval.seconds > 0.0 {
                let planned = scenario.seats.counters().take_planned(interval.index);
                state.planned_rate = Some(planned as f64 / interval.seconds);
            }
            interval.scenarios.insert(scenario.name.clone(), state);
        }
    }

    /// What is measured by the time spent since the last look.
    fn observe_time(&mut self, interval: &mut Interval) {
        let now = self.look();
        let before = std::mem::replace(&mut self.before, now);
        let now = &self.before;
        let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
        let cores = |now: Option<Duration>, before: Option<Duration>| {
            Some(now?.saturating_sub(before?).as_secs_f64() / seconds)
        };
        interval.generator.cpu = cores(now.cpu, before.cpu).map(|cores| cores / self.workers as f64);
        interval.generator.steal =
            now.stolen.zip(before.stolen).and_then(|((stolen, all), (stolen_0, all_0))| {
                let span = all.saturating_sub(all_0);
                (span > 0).then(|| stolen.saturating_sub(stolen_0) as f64 / span as f64)
            });
        interval.service = self.audience.service_pid().and_then(|pid| {
            let cpu_cores = cores(now.service, before.service)?;
            Some(ProcessState { cpu_cores, rss_bytes: process::resident_bytes(pid)? })
        });
    }

    /// Whether no scenario starts iterations any more. None planned is not enough: a ramp may begin at 0.
    fn is_stopping(&self, interval: &Interval) -> bool {
        let elapsed =
            Duration::try_from_secs_f64(interval.index as f64 + interval.seconds).unwrap_or_default();
        let told_to_stop = self.meters.stop.cause().is_some();
        self.running.iter().all(|scenario| {
            let planned = scenario.seats.counters().planned.load(Ordering::Relaxed);
            let ended = scenario.seats.counters().end_reason().is_some();
            let over = elapsed.saturating_sub(self.meters.brake.held()) >= scenario.regular_end;
            planned == 0 && (told_to_stop || ended || over)
        })
    }
}

impl Observer for Monitor {
    fn before_close(&mut self, aggregator: &mut Aggregator) {
        // A gauge is one number: that of the whole test, as in k6, and not that of some scenario.
        let (mut all_peak, mut all_active, mut all_exist) = (0.0, 0.0, 0.0);
        for (scenario, told) in self.running.iter().zip(&mut self.told) {
            let tags = &scenario.tags;
            let counters = scenario.seats.counters();
            let (peak, active) = counters.take_active();
            told.peak_vus = peak;
            all_peak += f64::from(peak);
            all_active += f64::from(active);
            all_exist += f64::from(counters.initialised.load(Ordering::Relaxed));
            // Also when nothing was dropped, so that `dropped_iterations: count<1` has data to judge.
            let dropped = counters.dropped.load(Ordering::Relaxed);
            aggregator.value(Builtin::DroppedIterations, tags, (dropped - told.dropped) as f64);
            told.dropped = dropped;
        }
        aggregator.value(Builtin::Vus, &self.common_tags, all_peak);
        // That nobody is left at the end of a load is no number of virtual users that it ran with.
        if all_active > 0.0 || !self.meters.over.load(Ordering::Relaxed) {
            aggregator.value(Builtin::Vus, &self.common_tags, all_active);
        }
        aggregator.value(Builtin::VusMax, &self.common_tags, all_exist);
    }

    fn closed(&mut self, mut interval: Interval) {
        self.observe(&mut interval);
        let stopping = !self.stopping_told && self.is_stopping(&interval);
        self.audience.interval(interval);
        if stopping {
            self.stopping_told = true;
            self.audience.stopping();
        }
    }

    fn held(&self) -> Duration {
        self.meters.brake.held()
    }

    fn abort(&mut self, threshold: String) {
        self.meters.stop.stop(StopCause::Threshold(threshold));
    }
}
