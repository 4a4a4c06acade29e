//! The virtual user: what a load test's function gets.
//!
//! The main type is [`Vu`]; what its methods record, wait for and order is in the modules below it, the loop that
//! calls the function in `life`. A virtual user knows its scenario and its seat, never a worker or an executor.

mod control;
mod execution;
mod life;
mod protocols;
mod record;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use loadtest_core::metric::{Builtin, MetricDef};

use crate::clock::{self, Instant};
use crate::context::ScenarioContext;
use crate::executor::Seat;
use crate::http::{Http, HttpClient};
use crate::metrics::errors::{self, ErrorCount};
use crate::metrics::recorder::{Recorder, TagSet};
use crate::protocols::{DROPPED, UnderWay};
use crate::random::Random;
use record::{ExchangeRecorder, Group};

pub(crate) use control::IterationTurn;
pub use execution::Execution;
pub(crate) use life::run;

/// One virtual user's state, shared with the handles that it gave out.
struct Core {
    id: u64,
    scenario: Arc<ScenarioContext>,
    seat: Arc<Seat>,
    recorder: Rc<RefCell<Recorder>>,
    base_tags: TagSet,
    tags: Cell<TagSet>,
    /// The number of the iteration in the scenario, among those that this process has begun, from 0.
    in_instance: Cell<u64>,
    /// Whether `vu_init` runs.
    initialising: Cell<bool>,
    /// Why there will be no such virtual user: `vu_init` gave up.
    gave_up: RefCell<Option<String>>,
    /// The number of iterations begun; with `recording` off, or another number, a handle is stale.
    epoch: Cell<u64>,
    recording: Cell<bool>,
    /// The groups around the code that runs, `outer::inner`.
    group: RefCell<String>,
}

impl Core {
    fn record(&self, epoch: u64, record: impl FnOnce(&mut Recorder, TagSet)) {
        if self.recording.get() && self.epoch.get() == epoch {
            record(&mut self.recorder.borrow_mut(), self.tags.get());
        }
    }

    fn error(&self, source: errors::Source, message: String, place: Option<String>) {
        let scenario = self.scenario.name.clone();
        let error = ErrorCount { scenario, source, message, place, count: 1, first_at_ms: 0 };
        self.recorder.borrow_mut().error(clock::now(), error);
    }

    /// The number of the iteration in the scenario, counted over all shards.
    fn in_test(&self) -> u64 {
        self.scenario.test.shard.global_id(self.in_instance.get())
    }

    fn set_tag(&self, key: &str, value: &str) {
        self.tags.set(self.recorder.borrow_mut().with_tag(self.tags.get(), key, value));
    }
}

/// A virtual user.
///
/// A load test's function takes `vu: &mut Vu`. Each virtual user has its own connections, cookies and random
/// numbers, and runs on one thread for good.
pub struct Vu {
    core: Rc<Core>,
    client: Rc<HttpClient>,
    exchanges: Option<Rc<ExchangeRecorder>>,
    // In a box: few use it, and it is large.
    random: Option<Box<Random>>,
    iteration: u64,
}

impl std::fmt::Debug for Vu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vu")
            .field("id", &self.core.id)
            .field("iteration", &self.iteration)
            .finish_non_exhaustive()
    }
}

impl Vu {
    pub(crate) fn new(
        id: u64,
        scenario: Arc<ScenarioContext>,
        seat: Arc<Seat>,
        recorder: Rc<RefCell<Recorder>>,
        base_tags: TagSet,
        client: Rc<HttpClient>,
    ) -> Self {
        let core = Core {
            id,
            scenario,
            seat,
            recorder,
            base_tags,
            tags: Cell::new(base_tags),
            in_instance: Cell::new(0),
            initialising: Cell::new(true),
            gave_up: RefCell::default(),
            epoch: Cell::new(0),
            recording: Cell::new(false),
            group: RefCell::new(String::new()),
        };
        Self { core: Rc::new(core), client, exchanges: None, random: None, iteration: 0 }
    }

    /// The virtual user's number, from 1, the same in every run.
    pub fn id(&self) -> u64 {
        self.core.id
    }

    /// How many iterations this virtual user has begun before this one.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// The scenario's name.
    pub fn scenario(&self) -> &str {
        &self.core.scenario.name
    }

    /// Random numbers of this iteration, the same for the same `--seed` whatever else happens. What else they
    /// depend on is how iterations are numbered: with executors that bind iterations to virtual users
    /// (`constant-vus`, `per-vu-iterations`, `ramping-vus`, `externally-controlled`) on the virtual user and its
    /// own count of iterations; with `shared-iterations` and the arrival rates on
    /// [`iteration_in_test`](Execution::iteration_in_test), so that the k-th iteration draws the same numbers
    /// whichever virtual user runs it. In `vu_init` they are the virtual user's own.
    pub fn rng(&mut self) -> &mut Random {
        let (vu, iteration) = self.chance();
        let scenario = &self.core.scenario;
        self.random
            .get_or_insert_with(|| Box::new(Random::new(scenario.test.seed, &scenario.name, vu, iteration)))
    }

    /// What random things of this iteration depend on besides the seed and the scenario: virtual user and
    /// iteration. Where iterations are shared, the number of the iteration alone, whoever runs it.
    fn chance(&self) -> (u64, u64) {
        let core = &self.core;
        // Virtual users count from 1, and none has this many iterations.
        match core.initialising.get() {
            true => (core.id, u64::MAX),
            false if core.scenario.source.is_shared() => (0, core.in_test()),
            false => (core.id, self.iteration),
        }
    }

    /// Where in the test this is, and how the test goes: k6's execution module.
    pub fn execution(&self) -> Execution<'_> {
        Execution::new(self)
    }

    /// A value from `-e KEY=VALUE` or the attribute's `env`; never from the process environment.
    pub fn env(&self, key: &str) -> Option<&str> {
        self.core.scenario.env.get(key).map(String::as_str)
    }

    /// The HTTP client of this virtual user. The handle can be cloned for requests at the same time; what it
    /// measures after the iteration has ended is discarded. In `vu_init` nothing is measured, so a handle belongs
    /// to where it was asked for; cookies that come there are those that every iteration starts with. Requests of
    /// `vu_init` wait for their turns under `rps` as those of iterations do, since the service can't tell them
    /// apart; those of `setup` do not.
    pub fn http(&mut self) -> Http {
        let exchanges = self.recorder_of_exchanges();
        Http::new(Rc::clone(&self.client), exchanges)
    }

    /// Which statuses count as success from now on, for requests of this virtual user that say nothing about it; see
    /// [`Http::set_expected_statuses`]. In `vu_init` it holds for all iterations.
    ///
    /// ```
    /// # use loadtest_runtime::{Vu, Result};
    /// async fn init(vu: &mut Vu) -> Result<()> {
    ///     vu.expect_status(|status| matches!(status, 200..=399 | 404));
    ///     Ok(())
    /// }
    /// ```
    pub fn expect_status(&mut self, expected: impl crate::http::ExpectedStatus) {
        self.client.expect_statuses(expected);
    }

    fn recorder_of_exchanges(&mut self) -> Rc<ExchangeRecorder> {
        let core = &self.core;
        let new = || Rc::new(ExchangeRecorder { core: Rc::clone(core), epoch: core.epoch.get() });
        Rc::clone(self.exchanges.get_or_insert_with(new))
    }

    /// Measures requests that your own [`reqwest::Client`] makes: proxies, middlewares, anything that the
    /// built-in client can't do. Connection phases are not visible from outside and count as zero; under `rps`, the
    /// redirects that your client follows by itself take no turns of their own.
    #[cfg(feature = "reqwest")]
    pub fn http_with(&mut self, client: &reqwest::Client) -> crate::http::ReqwestHttp {
        let throttle = self.core.scenario.test.throttle.clone();
        crate::http::ReqwestHttp::new(client, self.recorder_of_exchanges()).throttled(throttle)
    }

    /// Thinks: waits without holding up anyone else.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Records whether something holds, and returns it. A check that fails does not end the iteration; a
    /// threshold such as `checks: rate>0.99` judges them.
    pub fn check(&self, name: &str, holds: bool) -> bool {
        self.record(|recorder, tags| recorder.check(clock::now(), tags, name, holds));
        holds
    }

    /// Sets a tag on everything that this virtual user records until the iteration ends.
    pub fn tag(&mut self, key: &str, value: &str) {
        self.core.set_tag(key, value);
    }

    /// Runs a part of the iteration as a group: its time is recorded as `group_duration`, and everything in
    /// it has the tag `group`, `outer::inner` for groups in groups.
    pub async fn group<T>(&mut self, name: &str, body: impl AsyncFnOnce(&mut Vu) -> T) -> T {
        let group = Group::enter(&self.core, name);
        let began = clock::now();
        let result = body(self).await;
        let ended = clock::now();
        let metric = Builtin::GroupDuration;
        self.record_value_at(ended, metric.name(), || metric.def(), clock::millis(ended - began));
        drop(group);
        result
    }

    /// Measures an operation of any protocol: its time as `measure_duration`, its failure as
    /// `measure_failed`, both with the tag `name`. The result is returned as it is. An operation that the test gives
    /// up, by a time limit around it or by `select!`, has failed after the time so far.
    ///
    /// # Errors
    /// That of the operation.
    pub async fn measure<T, E: std::fmt::Display>(
        &self,
        name: &str,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = clock::now();
        let under_way = UnderWay::new(began, |took| {
            self.record(|recorder, tags| recorder.measure(began + took, tags, name, took, true));
            if self.core.recording.get() {
                self.core.error(errors::Source::Measure, format!("{name}: {DROPPED}"), None);
            }
        });
        let result = operation.await;
        let ended = clock::now();
        under_way.over();
        self.record(|recorder, tags| recorder.measure(ended, tags, name, ended - began, result.is_err()));
        if let Err(error) = &result
            && self.core.recording.get()
        {
            self.core.error(errors::Source::Measure, format!("{name}: {error:#}"), None);
        }
        result
    }

    pub(crate) fn record_value(&self, name: &'static str, def: impl FnOnce() -> MetricDef, value: f64) {
        self.record_value_at(clock::now(), name, def, value);
    }

    fn record_value_at(&self, at: Instant, name: &'static str, def: impl FnOnce() -> MetricDef, value: f64) {
        self.record(|recorder, tags| recorder.value(at, tags, name, def, value));
    }

    fn record(&self, record: impl FnOnce(&mut Recorder, TagSet)) {
        self.core.record(self.core.epoch.get(), record);
    }

    fn begin_iteration(&mut self) {
        let core = &self.core;
        core.epoch.set(core.epoch.get() + 1);
        core.tags.set(core.base_tags);
        core.recording.set(true);
        core.in_instance.set(core.scenario.seats.counters().started.fetch_add(1, Ordering::Relaxed));
        // What records exchanges is used again, unless a handle of the last iteration is still around.
        match self.exchanges.as_mut().and_then(Rc::get_mut) {
            Some(exchanges) => exchanges.epoch = core.epoch.get(),
            None => self.exchanges = None,
        }
        self.random = None;
        core.group.borrow_mut().clear();
        // As in k6: every iteration is a new visitor, over the connections that are there; who has logged in
        // before the first one still is.
        self.client.reset_cookies();
    }
}

#[cfg(test)]
mod tests;
