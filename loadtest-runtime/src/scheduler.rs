//! Runs the load of one test: starts workers and virtual users, drives the executors, owns cancellation,
//! and ends everything in order.
//!
//! The main type is [`Load`]: [`Load::prepare`] makes the virtual users ready, [`Load::run`] drives them. It
//! knows neither attributes nor sockets: what it is given is definite, and what happens is told to an
//! [`Audience`].

mod monitor;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use loadtest_core::metric::{MetricDef, Tags};
use loadtest_core::options::{Shape, Workload};
use loadtest_core::plan::Shard;
use loadtest_core::results::{Capacity, Interval, ScenarioState};
use loadtest_core::threshold::Threshold;
use tokio::sync::watch;

use crate::clock;
use crate::context::{ScenarioContext, Stop, StopCause, TestContext};
use crate::executor::{self, Brake, Court, Executor, Order, Recruiter, Reins, Seats};
use crate::http::HttpOptions;
use crate::lifecycle::{Scenario, Shared};
use crate::log::Log;
use crate::metrics::aggregator::Aggregated;
use crate::metrics::crew::{self, Crew, Outbox};
use crate::metrics::sample::Message;
use crate::worker::{Cast, Command, Worker};
use monitor::{Meters, Monitor};

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
    /// HTTP requests of the whole test per second at most.
    pub(crate) rps: Option<u32>,
    /// Lines of virtual users per second at most; 0: all of them.
    pub(crate) log: Log,
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
    /// What the test said with `vu.fail(..)`.
    pub(crate) failures: Vec<String>,
    /// How long the load was held.
    pub(crate) held: Duration,
    /// Whether a number of virtual users was changed from outside.
    pub(crate) scaled: bool,
    /// What each capacity search has found, by scenario.
    pub(crate) capacities: BTreeMap<String, Capacity>,
}

/// Holds, releases and scales a load from any thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Controls {
    brake: Brake,
    scenarios: Vec<Controlled>,
}

/// What can be changed of a scenario from outside.
#[derive(Debug, Clone)]
struct Controlled {
    name: String,
    seats: Seats,
    scale: watch::Sender<Option<u32>>,
}

impl Controls {
    /// Lets no iteration start and the schedule stand still.
    pub(crate) fn pause(&self) {
        if self.brake.hold() {
            self.scenarios.iter().for_each(|scenario| scenario.seats.hold());
        }
    }

    /// Lets everything go on.
    pub(crate) fn resume(&self) {
        if self.brake.release() {
            self.scenarios.iter().for_each(|scenario| scenario.seats.release());
        }
    }

    /// Sets the number of virtual users of one scenario, or of all; those that do not listen are not scaled.
    pub(crate) fn scale(&self, name: Option<&str>, vus: u32) {
        for scenario in &self.scenarios {
            if name.is_none_or(|name| name == scenario.name) {
                // Nobody listens where the plan decides.
                let _ = scenario.scale.send(Some(vus));
            }
        }
    }
}

/// A scenario that is ready to run.
struct Ready {
    executor: Box<dyn Executor>,
    reins: Reins,
    running: Running,
}

/// A scenario while it runs.
struct Running {
    name: String,
    tags: Tags,
    seats: Seats,
    planned_iterations: Option<u64>,
    /// Whether the plan says when iterations start.
    is_open: bool,
    /// After this time of the load no iteration starts any more.
    regular_end: Duration,
}

impl Running {
    fn state(&self) -> ScenarioState {
        let counters = self.seats.counters();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ScenarioState {
            planned_vus: counters.planned.load(Ordering::Relaxed),
            vus: counters.active.load(Ordering::Relaxed),
            started: load(&counters.started),
            completed: load(&counters.completed),
            interrupted: load(&counters.interrupted),
            failed: load(&counters.failed),
            dropped: load(&counters.dropped),
            initialised_vus: counters.initialised.load(Ordering::Relaxed),
            planned_iterations: self.planned_iterations,
            planned_rate: None,
            peak_vus: counters.active.load(Ordering::Relaxed),
        }
    }
}

/// Why a load could not be prepared.
#[derive(Debug)]
pub(crate) enum Unready {
    /// The system refuses threads.
    System(std::io::Error),
    /// A virtual user could not be made ready.
    VirtualUser(String),
    /// Something ended it before it began.
    Stopped(StopCause),
}

/// A load whose virtual users are ready.
pub(crate) struct Load {
    test: Arc<TestContext>,
    workers: Vec<Worker>,
    scenarios: Vec<Ready>,
    /// The judges of the capacity searches, by scenario.
    courts: Vec<(String, Arc<Court>)>,
    controls: Controls,
    thresholds: Vec<Threshold>,
    metrics: Vec<MetricDef>,
    messages: Outbox,
    crew: Crew,
    lost: Arc<AtomicU64>,
    /// Virtual users of the scenarios that are seated, over all shards: those of the next count on from here.
    vus: u64,
    /// Runs the executors.
    control: tokio::runtime::Runtime,
}

impl Load {
    /// Starts the workers and makes the virtual users ready that have to be there from the start.
    ///
    /// # Errors
    /// If the system refuses threads, a virtual user can't be made ready, or something stops it.
    pub(crate) fn prepare(plan: LoadPlan, stop: &Stop) -> Result<Self, Unready> {
        let test = TestContext::new(plan.seed, plan.shard, stop.clone(), plan.http);
        let test = Arc::new(test.limited(plan.rps, plan.log));
        let lost = Arc::new(AtomicU64::new(0));
        let worker_count = plan.workers.max(1);
        let (recorders, crew) =
            Crew::new(worker_count, crew::aggregators_for(worker_count), &test.begin.at, &lost);
        let mut workers = Vec::new();
        for (index, recorder) in recorders.into_iter().enumerate() {
            workers.push(Worker::start(index, recorder).map_err(Unready::System)?);
        }
        let control = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let mut load = Self {
            test,
            workers,
            scenarios: Vec::new(),
            courts: Vec::new(),
            vus: 0,
            controls: Controls::default(),
            thresholds: plan.thresholds,
            metrics: plan.metrics,
            messages: crew.outbox(),
            crew,
            lost,
            control: control.map_err(Unready::System)?,
        };
        let mut seated = 0;
        for scenario in plan.scenarios {
            // The next scenario goes on where this one ends, so that many small ones use every worker.
            seated += load.seat(scenario, seated);
        }
        match load.all_seated() {
            Ok(()) => Ok(load),
            Err(unready) => {
                load.dismiss();
                Err(unready)
            }
        }
    }

    /// Gives the seats of a scenario their virtual users, spread over the workers from the given one on.
    /// Returns how many.
    fn seat(&mut self, plan: ScenarioPlan, from_worker: usize) -> usize {
        let most_vus = plan.workload.shape.max_vus();
        let mut executor = executor::for_shape(&plan.workload.shape, self.test.shard);
        if matches!(plan.workload.shape, Shape::FindCapacity { .. }) {
            let court = Court::new(self.messages.clone(), Arc::clone(&self.test), plan.tags.clone());
            executor.judged_by(Arc::clone(&court) as Arc<dyn executor::Judge>);
            self.courts.push((plan.name.clone(), court));
        }
        let seats = Seats::new(executor.max_vus());
        self.test.add_seats(seats.clone());
        let timeline = self.controls.brake.timeline(plan.workload.start_time);
        let (scale, scaled) = watch::channel(None);
        self.controls.scenarios.push(Controlled { name: plan.name.clone(), seats: seats.clone(), scale });
        let running = Running {
            name: plan.name.clone(),
            tags: plan.tags.clone(),
            seats: seats.clone(),
            planned_iterations: executor.planned_iterations(),
            is_open: plan.workload.shape.is_open(),
            regular_end: plan.workload.regular_end(),
        };
        let graceful_stop = plan.workload.graceful_stop;
        let context = ScenarioContext {
            name: plan.name,
            workload: plan.workload,
            env: plan.env,
            source: executor.source(),
            seats: seats.clone(),
            timeline: timeline.clone(),
            test: Arc::clone(&self.test),
        };
        let cast = Arc::new(Cast {
            context: Arc::new(context),
            scenario: plan.scenario,
            data: plan.data,
            tags: plan.tags,
        });
        let allocated = executor.allocated_vus();
        let recruiter = Recruits { seats: seats.clone(), cast, from_worker, before: self.vus };
        let recruiter = recruiter.on(&self.workers, self.test.shard);
        self.vus += u64::from(most_vus);
        (0..allocated).for_each(|index| recruiter(index));
        let reins = Reins { seats, timeline, graceful_stop, scale: scaled, recruiter };
        self.scenarios.push(Ready { executor, reins, running });
        allocated as usize
    }

    fn all_seated(&self) -> Result<(), Unready> {
        let seats = |ready: &Ready| (ready.reins.seats.clone(), ready.executor.allocated_vus());
        let all: Vec<_> = self.scenarios.iter().map(seats).collect();
        let refusal = || all.iter().find_map(|(seats, _)| seats.counters().refusal());
        let mut waits: Vec<_> =
            all.iter().map(|(seats, count)| Box::pin(seats.counters().seated(*count))).collect();
        let seated = std::future::poll_fn(|cx| {
            waits.retain_mut(|wait| wait.as_mut().poll(cx).is_pending());
            // One that is refused in any scenario ends the test.
            if waits.is_empty() || refusal().is_some() { Poll::Ready(()) } else { Poll::Pending }
        });
        let stopped = self.control.block_on(async {
            tokio::select! {
                biased;
                cause = self.test.stop.stopped() => Some(cause),
                () = seated => None,
            }
        });
        if let Some(cause) = stopped {
            return Err(Unready::Stopped(cause));
        }
        match refusal() {
            Some(why) => Err(Unready::VirtualUser(why)),
            None => Ok(()),
        }
    }

    /// What holds, releases and scales it.
    pub(crate) fn controls(&self) -> Controls {
        self.controls.clone()
    }

    /// Sends everyone home without any load.
    pub(crate) fn dismiss(self) {
        let (running, _) = taken_apart(self.scenarios);
        self.control.block_on(everyone_leaves(&running, self.workers));
        self.test.log.finish();
    }

    /// Runs the load to its end, or until it is stopped.
    ///
    /// # Errors
    /// If the system refuses threads.
    pub(crate) fn run(self, audience: Box<dyn Audience>) -> std::io::Result<LoadOutcome> {
        let Self { test, workers, scenarios, courts, controls, messages, crew, control, .. } = self;
        let (running, drives) = taken_apart(scenarios);
        let running = Arc::new(running);
        let over = Arc::new(AtomicBool::new(false));
        let meters = Meters {
            brake: controls.brake.clone(),
            lost: self.lost,
            stop: test.stop.clone(),
            over: Arc::clone(&over),
        };
        let monitor = Monitor::new(Arc::clone(&running), &workers, meters, audience);
        let aggregation = crew.start(&self.thresholds, &self.metrics, monitor)?;
        let start = clock::now();
        // Nobody else sets them.
        let _ = test.begin.wall.set(SystemTime::now());
        let _ = test.begin.at.set(start);
        // The channel is empty, so there is room.
        messages.send(Message::Begin(start));
        controls.brake.begin(start);

        let stopped = control.block_on(drive(drives, &test.stop));
        if stopped.is_none() {
            count_dropped(&running);
        }
        over.store(true, Ordering::Relaxed);
        let end = clock::now();
        let mut warnings: Vec<String> = running.iter().filter_map(ended_early).collect();
        warnings.extend(running.iter().filter_map(missing_users));
        if !control.block_on(everyone_leaves(&running, workers)) {
            warnings.push(
                "a virtual user did not let go of its iteration: it works without ever awaiting; \
                 what it measured is incomplete. hint: put long computations into spawn_blocking"
                    .to_owned(),
            );
            // What it does any more is no part of the load: its iteration counts as interrupted.
            running.iter().for_each(|scenario| scenario.seats.counters().give_up());
        }
        let concluded = |(name, court): (String, Arc<Court>)| Some((name, court.conclude()?));
        let capacities: BTreeMap<_, _> = courts.into_iter().filter_map(concluded).collect();
        test.log.finish();
        // If nobody receives it, the thread has panicked, which the join tells.
        messages.send(Message::Finish(end));
        let mut aggregated =
            aggregation.join().map_err(|_| std::io::Error::other("the aggregator panicked"))?;
        if !matches!(stopped, Some(StopCause::Threshold(_))) {
            // It wanted to end the load, but the load had ended before.
            aggregated.thresholds.iter_mut().for_each(|threshold| threshold.aborted = false);
        }
        for capacity in capacities.values() {
            executor::judge_by_probes(&mut aggregated.thresholds, capacity);
        }
        let load_time = end.saturating_duration_since(start);
        let states = running.iter().map(|scenario| (scenario.name.clone(), scenario.state())).collect();
        Ok(LoadOutcome {
            aggregated,
            scenarios: states,
            stopped,
            load_time,
            warnings,
            failures: test.failures(),
            held: controls.brake.held(),
            scaled: controls.scenarios.iter().any(|scenario| scenario.scale.borrow().is_some()),
            capacities,
        })
    }
}

/// What is driven.
type Driven = (Box<dyn Executor>, Reins);

fn taken_apart(scenarios: Vec<Ready>) -> (Vec<Running>, Vec<Driven>) {
    scenarios.into_iter().map(|ready| (ready.running, (ready.executor, ready.reins))).unzip()
}

/// The virtual users of a scenario that may be made.
struct Recruits {
    seats: Seats,
    cast: Arc<Cast>,
    /// The worker of the first seat.
    from_worker: usize,
    /// Virtual users of the scenarios before: ids are unique in the test, as in k6.
    before: u64,
}

impl Recruits {
    /// What makes them, each on the worker that its seat belongs to.
    fn on(self, workers: &[Worker], shard: Shard) -> Recruiter {
        let commands: Vec<_> = workers.iter().map(|worker| worker.commands.clone()).collect();
        Arc::new(move |index| {
            let id = self.before + shard.global_id(index.into()) + 1;
            let command = Command { id, cast: Arc::clone(&self.cast), seat: self.seats.seat(index) };
            // A worker lives until nobody can send to it.
            let _ = commands[(self.from_worker + index as usize) % commands.len()].send(command);
        })
    }
}

/// Drives all executors at once; says what stopped them, if something did.
async fn drive(mut driven: Vec<Driven>, stop: &Stop) -> Option<StopCause> {
    let all_seats: Vec<Seats> = driven.iter().map(|(_, reins)| reins.seats.clone()).collect();
    let mut drives: Vec<_> =
        driven.iter_mut().map(|(executor, reins)| Box::pin(drive_one(executor.as_mut(), reins))).collect();
    let everything = std::future::poll_fn(|cx| {
        drives.retain_mut(|drive| drive.as_mut().poll(cx).is_pending());
        if drives.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    });
    tokio::select! {
        biased;
        cause = stop.stopped() => {
            for seats in &all_seats {
                seats.set_planned(0);
                seats.give_all(Order::Interrupt);
            }
            Some(cause)
        }
        () = everything => None,
    }
}

/// Drives one scenario from its start to its end, which it may bring about itself.
async fn drive_one(executor: &mut dyn Executor, reins: &Reins) {
    reins.timeline.sleep_until(Duration::ZERO).await;
    let ended = tokio::select! {
        biased;
        () = executor.drive(reins) => false,
        () = reins.seats.counters().ended() => true,
    };
    if ended {
        executor::wind_down(reins, reins.timeline.elapsed()).await;
    }
}

/// What the iteration executors were to start and did not.
fn count_dropped(running: &[Running]) {
    for scenario in running {
        let counters = scenario.seats.counters();
        let started = counters.started.load(Ordering::Relaxed);
        // Who has run out of data was not to start them any more.
        if let Some(planned) = scenario.planned_iterations.filter(|_| counters.end_reason().is_none()) {
            counters.dropped.store(planned.saturating_sub(started), Ordering::Relaxed);
        }
    }
}

/// That a scenario ended by itself before its time.
fn ended_early(scenario: &Running) -> Option<String> {
    let reason = scenario.seats.counters().end_reason()?;
    Some(format!("the scenario `{}` ended before its time: {reason}", scenario.name))
}

/// That virtual users are missing that were to be made while the load ran.
fn missing_users(scenario: &Running) -> Option<String> {
    let reason = scenario.seats.counters().refusal()?;
    Some(format!("the scenario `{}` has fewer virtual users than it asked for: {reason}", scenario.name))
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

#[cfg(test)]
mod tests;
