//! Runs the load of one test: starts workers and virtual users, drives the executors, owns cancellation,
//! and ends everything in order.
//!
//! The main function is [`run`]. It knows neither attributes nor sockets: what it is given is definite, and
//! what happens is told to an [`Audience`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loadtest_core::metric::{Builtin, MetricDef, Tags};
use loadtest_core::options::Workload;
use loadtest_core::plan::Shard;
use loadtest_core::results::{GeneratorState, Interval, ProcessState, ScenarioState};
use loadtest_core::threshold::Threshold;
use tokio::sync::{oneshot, watch};

use crate::clock::{self, Instant};
use crate::executor::{self, Executor, Order, Seats};
use crate::http::HttpOptions;
use crate::lifecycle::{Scenario, Shared};
use crate::metrics::aggregator::{self, Aggregated, Aggregator, Observer};
use crate::metrics::recorder::{BUFFERS, Recorder};
use crate::metrics::sample::Message;
use crate::process;
use crate::vu::ScenarioContext;
use crate::worker::{Cast, Command, Worker};

/// The shortest time over which CPU time is told: systems count that of processes in steps of 10 ms.
const SHORTEST_LOOK: Duration = Duration::from_millis(250);
/// How long virtual users may take to let go of an iteration that was interrupted. One that never awaits
/// can't let go at all; then its worker is left behind.
const LET_GO: Duration = Duration::from_secs(2);

/// Everything about one scenario that is known before the load.
pub(crate) struct ScenarioPlan {
    pub(crate) name: String,
    pub(crate) workload: Workload,
    pub(crate) tags: Tags,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) scenario: Arc<dyn Scenario>,
    pub(crate) data: Shared,
}

/// Everything about one test.
pub(crate) struct LoadPlan {
    pub(crate) scenarios: Vec<ScenarioPlan>,
    pub(crate) thresholds: Vec<Threshold>,
    pub(crate) metrics: Vec<MetricDef>,
    pub(crate) seed: u64,
    pub(crate) shard: Shard,
    pub(crate) workers: usize,
    pub(crate) http: Arc<HttpOptions>,
}

/// Why a load ended before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopCause {
    /// Asked from outside.
    Interrupted,
    /// A threshold with `abort`.
    Threshold(String),
}

/// Whoever listens to a load.
pub(crate) trait Audience: Send {
    /// A second is over.
    fn interval(&mut self, interval: Interval);
    /// New iterations have ended, those in flight go on.
    fn stopping(&mut self);
    /// The service's process, if there is one to watch.
    fn service_pid(&self) -> Option<u32>;
}

/// What is left of a load.
#[derive(Debug)]
pub(crate) struct LoadOutcome {
    pub(crate) aggregated: Aggregated,
    pub(crate) scenarios: BTreeMap<String, ScenarioState>,
    pub(crate) stopped: Option<StopCause>,
    pub(crate) load_time: Duration,
    pub(crate) warnings: Vec<String>,
}

/// A scenario while it runs.
struct Running {
    name: String,
    tags: Tags,
    seats: Seats,
    planned_iterations: Option<u64>,
    dropped: Arc<AtomicU64>,
    /// After this time no iteration starts any more.
    regular: Duration,
}

impl Running {
    fn state(&self) -> ScenarioState {
        let counters = self.seats.counters();
        ScenarioState {
            planned_vus: counters.planned.load(Ordering::Relaxed),
            vus: counters.active.load(Ordering::Relaxed),
            started: counters.started.load(Ordering::Relaxed),
            completed: counters.completed.load(Ordering::Relaxed),
            interrupted: counters.interrupted.load(Ordering::Relaxed),
            planned_iterations: self.planned_iterations,
        }
    }
}

/// Runs a load to its end, or until `stop` says otherwise.
///
/// # Errors
/// If the system refuses threads.
pub(crate) fn run(
    plan: LoadPlan,
    stop: &watch::Sender<Option<StopCause>>,
    audience: Box<dyn Audience>,
) -> std::io::Result<LoadOutcome> {
    let start_cell = Arc::new(OnceLock::new());
    let lost = Arc::new(AtomicU64::new(0));
    let worker_count = plan.workers.max(1);
    let (messages, inbox) = std::sync::mpsc::sync_channel(worker_count * BUFFERS + 8);
    let mut recyclers = Vec::new();
    let mut workers = Vec::new();
    for index in 0..worker_count {
        let (recorder, recycler) =
            Recorder::new(index, messages.clone(), Arc::clone(&start_cell), Arc::clone(&lost));
        recyclers.push(recycler);
        workers.push(Worker::start(index, recorder)?);
    }

    let mut executors = Vec::new();
    let mut running = Vec::new();
    let mut seated = 0;
    for scenario in plan.scenarios {
        let executor = executor::for_shape(&scenario.workload.shape, plan.shard);
        let seats = Seats::new(executor.max_vus());
        running.push(Running {
            name: scenario.name.clone(),
            tags: scenario.tags.clone(),
            seats: seats.clone(),
            planned_iterations: executor.planned_iterations(),
            dropped: Arc::new(AtomicU64::new(0)),
            regular: scenario.workload.shape.regular_duration(),
        });
        let graceful_stop = scenario.workload.graceful_stop;
        // The next scenario goes on where this one ends, so that many small ones use every worker.
        let order = workers.iter().cycle().skip(seated % workers.len());
        fill(&seats, executor.as_ref(), scenario, plan.seed, plan.shard, &plan.http, order);
        seated += seats.len() as usize;
        executors.push((executor, seats, graceful_stop));
    }
    let running = Arc::new(running);

    let control = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    control.block_on(all_seated(&workers));
    let aggregator = Aggregator::new(recyclers, &plan.thresholds, &plan.metrics);
    let mut monitor = Monitor::new(Arc::clone(&running), &workers, lost, stop.clone(), audience);
    let aggregation = std::thread::Builder::new()
        .name("loadtest-aggregator".to_owned())
        .spawn(move || aggregator::run(aggregator, &inbox, &mut monitor))?;
    let start = clock::now();
    // Nobody else sets it.
    let _ = start_cell.set(start);
    // The channel is empty, so there is room.
    let _ = messages.send(Message::Begin(start));

    let stopped = control.block_on(drive(executors, start, stop.subscribe()));
    if stopped.is_none() {
        count_dropped(&running);
    }
    let end = clock::now();
    let mut warnings = Vec::new();
    if !control.block_on(everyone_leaves(&running, workers)) {
        warnings.push(
            "a virtual user did not let go of its iteration: it works without ever awaiting; \
             what it measured is incomplete. hint: put long computations into spawn_blocking"
                .to_owned(),
        );
    }
    // If nobody receives it, the thread has panicked, which the join tells.
    let _ = messages.send(Message::Finish(end));
    let mut aggregated = aggregation.join().map_err(|_| std::io::Error::other("the aggregator panicked"))?;
    if !matches!(stopped, Some(StopCause::Threshold(_))) {
        // It wanted to end the load, but the load had ended before.
        aggregated.thresholds.iter_mut().for_each(|threshold| threshold.aborted = false);
    }
    let load_time = end.saturating_duration_since(start);
    let scenarios = running.iter().map(|scenario| (scenario.name.clone(), scenario.state())).collect();
    Ok(LoadOutcome { aggregated, scenarios, stopped, load_time, warnings })
}

/// Gives every seat of a scenario its virtual user, spread over the workers.
fn fill<'w>(
    seats: &Seats,
    executor: &dyn Executor,
    plan: ScenarioPlan,
    seed: u64,
    shard: Shard,
    http: &Arc<HttpOptions>,
    workers: impl Iterator<Item = &'w Worker>,
) {
    let context = ScenarioContext {
        name: plan.name,
        env: plan.env,
        seed,
        source: executor.source(),
        counters: Arc::clone(seats.counters()),
    };
    let cast = Arc::new(Cast {
        context: Arc::new(context),
        scenario: plan.scenario,
        data: plan.data,
        tags: plan.tags,
        http: Arc::clone(http),
    });
    for (index, worker) in (0..seats.len()).zip(workers) {
        let id = shard.global_id(index.into()) + 1;
        let command = Command::Seat { id, cast: Arc::clone(&cast), seat: seats.seat(index) };
        // A worker lives until its handle is dropped.
        let _ = worker.commands.send(command);
    }
}

async fn all_seated(workers: &[Worker]) {
    for worker in workers {
        let (done, seated) = oneshot::channel();
        if worker.commands.send(Command::Sync(done)).is_ok() {
            let _ = seated.await;
        }
    }
}

/// Drives all executors at once; says what stopped them, if something did.
async fn drive(
    mut executors: Vec<(Box<dyn Executor>, Seats, Duration)>,
    start: Instant,
    mut stop: watch::Receiver<Option<StopCause>>,
) -> Option<StopCause> {
    let all_seats: Vec<Seats> = executors.iter().map(|(_, seats, _)| seats.clone()).collect();
    let mut drives: Vec<_> = executors
        .iter_mut()
        .map(|(executor, seats, graceful_stop)| executor.drive(seats, start, *graceful_stop))
        .collect();
    let everything = std::future::poll_fn(|cx| {
        drives.retain_mut(|drive| drive.as_mut().poll(cx).is_pending());
        if drives.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    tokio::select! {
        biased;
        cause = stop.wait_for(Option::is_some) => {
            for seats in &all_seats {
                seats.set_planned(0);
                seats.give_all(Order::Interrupt);
            }
            cause.ok().and_then(|cause| cause.clone())
        }
        () = everything => None,
    }
}

/// What the iteration executors were to start and did not.
fn count_dropped(running: &[Running]) {
    for scenario in running {
        let started = scenario.seats.counters().started.load(Ordering::Relaxed);
        if let Some(planned) = scenario.planned_iterations {
            scenario.dropped.store(planned.saturating_sub(started), Ordering::Relaxed);
        }
    }
}

/// Sends everyone home; false if someone would not go.
async fn everyone_leaves(running: &[Running], workers: Vec<Worker>) -> bool {
    for scenario in running {
        scenario.seats.give_all(Order::Leave);
    }
    let threads: Vec<_> = workers.into_iter().map(|worker| worker.thread).collect();
    let deadline = clock::now() + LET_GO;
    while threads.iter().any(|thread| !thread.is_finished()) {
        if clock::now() >= deadline {
            return false;
        }
        // Threads can't be awaited; a look every few milliseconds costs nothing here.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    true
}

/// Looks at workers, counters and processes each time an interval is closed.
struct Monitor {
    running: Arc<Vec<Running>>,
    health: Vec<Arc<crate::worker::Health>>,
    clocks: Vec<process::ThreadClock>,
    workers: usize,
    lost: Arc<AtomicU64>,
    stop: watch::Sender<Option<StopCause>>,
    audience: Box<dyn Audience>,
    before: Look,
    dropped_told: Vec<u64>,
    stopping_told: bool,
}

/// The meters at one moment.
struct Look {
    at: Instant,
    cpu: Option<Duration>,
    stolen: Option<(u64, u64)>,
    service: Option<Duration>,
}

impl Monitor {
    fn new(
        running: Arc<Vec<Running>>,
        workers: &[Worker],
        lost: Arc<AtomicU64>,
        stop: watch::Sender<Option<StopCause>>,
        audience: Box<dyn Audience>,
    ) -> Self {
        let dropped_told = vec![0; running.len()];
        let mut monitor = Self {
            running,
            health: workers.iter().map(|worker| Arc::clone(&worker.health)).collect(),
            clocks: workers.iter().filter_map(|worker| worker.clock.clone()).collect(),
            workers: workers.len(),
            lost,
            stop,
            audience,
            before: Look { at: clock::now(), cpu: None, stolen: None, service: None },
            dropped_told,
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
            lost_samples: self.lost.load(Ordering::Relaxed),
        };
        // The last interval may be of any length, and after a delay intervals are closed in a row.
        if clock::now().saturating_duration_since(self.before.at) >= SHORTEST_LOOK {
            self.observe_time(interval);
        }
        for scenario in self.running.iter() {
            interval.scenarios.insert(scenario.name.clone(), scenario.state());
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
        let told_to_stop = self.stop.borrow().is_some();
        self.running.iter().all(|scenario| {
            let planned = scenario.seats.counters().planned.load(Ordering::Relaxed);
            planned == 0 && (told_to_stop || elapsed >= scenario.regular)
        })
    }
}

impl Observer for Monitor {
    fn before_close(&mut self, aggregator: &mut Aggregator) {
        for (scenario, told) in self.running.iter().zip(&mut self.dropped_told) {
            let tags = &scenario.tags;
            let counters = scenario.seats.counters();
            let (peak, active) = counters.take_active();
            aggregator.value(Builtin::Vus, tags, peak.into());
            // That nobody is left at the end of a load is no number of virtual users that it ran with.
            if active > 0 {
                aggregator.value(Builtin::Vus, tags, active.into());
            }
            aggregator.value(Builtin::VusMax, tags, scenario.seats.len().into());
            // Also when nothing was dropped, so that `dropped_iterations: count<1` has data to judge.
            let dropped = scenario.dropped.load(Ordering::Relaxed);
            aggregator.value(Builtin::DroppedIterations, tags, (dropped - *told) as f64);
            *told = dropped;
        }
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

    fn abort(&mut self, threshold: String) {
        self.stop.send_if_modified(|cause| {
            let first = cause.is_none();
            if first {
                *cause = Some(StopCause::Threshold(threshold));
            }
            first
        });
    }
}

#[cfg(test)]
mod tests;
