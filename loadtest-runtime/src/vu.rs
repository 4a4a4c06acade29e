//! The virtual user: what a load test's function gets, and the loop that calls it.
//!
//! The main type is [`Vu`]. The loop is one future per virtual user, monomorphised over the function, so
//! that an iteration needs no allocation of its own.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use loadtest_core::metric::{Builtin, MetricDef, tag};

use crate::clock::{self, Instant};
use crate::error::Error;
use crate::executor::{Counters, Order, Seat, Source};
use crate::http::{ExchangeRecord, Http, HttpClient, RecordExchange};
use crate::metrics::errors::{self, ErrorCount};
use crate::metrics::recorder::{ExchangeTags, Recorder, TagSet};
use crate::metrics::sample::Exchange;
use crate::panics;
use crate::random::Random;

/// What the virtual users of a scenario have in common.
pub(crate) struct ScenarioContext {
    pub(crate) name: String,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) seed: u64,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) counters: Arc<Counters>,
}

/// One virtual user's state, shared with the handles that it gave out.
struct Core {
    id: u64,
    scenario: Arc<ScenarioContext>,
    seat: Arc<Seat>,
    recorder: Rc<RefCell<Recorder>>,
    base_tags: TagSet,
    tags: Cell<TagSet>,
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

    fn set_tag(&self, key: &str, value: &str) {
        self.tags.set(self.recorder.borrow_mut().with_tag(self.tags.get(), key, value));
    }
}

/// A group from its begin to its end, however that comes: a time limit around a group drops it half-way.
struct Group {
    core: Rc<Core>,
    outer: usize,
}

impl Group {
    fn enter(core: &Rc<Core>, name: &str) -> Self {
        let mut group = core.group.borrow_mut();
        let outer = group.len();
        if outer > 0 {
            group.push_str("::");
        }
        group.push_str(name);
        core.set_tag(tag::GROUP, &group);
        Self { core: Rc::clone(core), outer }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut group = self.core.group.borrow_mut();
        group.truncate(self.outer);
        self.core.set_tag(tag::GROUP, &group);
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
    random: Option<Random>,
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

    /// Random numbers of this iteration: the same for the same `--seed`, virtual user and iteration,
    /// whatever else happens.
    pub fn rng(&mut self) -> &mut Random {
        let (scenario, id, iteration) = (&self.core.scenario, self.core.id, self.iteration);
        self.random.get_or_insert_with(|| Random::new(scenario.seed, &scenario.name, id, iteration))
    }

    /// A value from `-e KEY=VALUE` or the attribute's `env`; never from the process environment.
    pub fn env(&self, key: &str) -> Option<&str> {
        self.core.scenario.env.get(key).map(String::as_str)
    }

    /// The HTTP client of this virtual user. The handle can be cloned for requests at the same time; what it
    /// measures after the iteration has ended is discarded.
    pub fn http(&mut self) -> Http {
        let exchanges = self.recorder_of_exchanges();
        Http::new(Rc::clone(&self.client), exchanges)
    }

    fn recorder_of_exchanges(&mut self) -> Rc<ExchangeRecorder> {
        let core = &self.core;
        let new = || Rc::new(ExchangeRecorder { core: Rc::clone(core), epoch: core.epoch.get() });
        Rc::clone(self.exchanges.get_or_insert_with(new))
    }

    /// Measures requests that your own [`reqwest::Client`] makes: proxies, middlewares, anything that the
    /// built-in client can't do. Connection phases are not visible from outside and count as zero.
    #[cfg(feature = "reqwest")]
    pub fn http_with(&mut self, client: &reqwest::Client) -> crate::http::ReqwestHttp {
        crate::http::ReqwestHttp::new(client, self.recorder_of_exchanges())
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
    /// `measure_failed`, both with the tag `name`. The result is returned as it is.
    ///
    /// # Errors
    /// That of the operation.
    pub async fn measure<T, E: std::fmt::Display>(
        &self,
        name: &str,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = clock::now();
        let result = operation.await;
        let ended = clock::now();
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
        core.scenario.counters.started.fetch_add(1, Ordering::Relaxed);
        // What records exchanges is used again, unless a handle of the last iteration is still around.
        match self.exchanges.as_mut().and_then(Rc::get_mut) {
            Some(exchanges) => exchanges.epoch = core.epoch.get(),
            None => self.exchanges = None,
        }
        self.random = None;
        core.group.borrow_mut().clear();
        // As in k6: every iteration is a new visitor, over the connections that are there.
        self.client.clear_cookies();
    }
}

/// Records HTTP exchanges for one iteration.
struct ExchangeRecorder {
    core: Rc<Core>,
    epoch: u64,
}

impl RecordExchange for ExchangeRecorder {
    fn record(&self, record: &ExchangeRecord<'_>) {
        let core = &self.core;
        let at = Instant::from_std(record.ended);
        core.record(self.epoch, |recorder, mut tags| {
            for (key, value) in record.tags {
                tags = recorder.with_tag(tags, key, value);
            }
            let of = ExchangeTags {
                name: record.name,
                method: record.method,
                status: record.status,
                protocol: record.protocol.as_str(),
                expected: record.expected_response,
                error_code: record.error_code(),
            };
            let ms = |nanos: u64| (nanos as f64 / 1e6) as f32;
            let timings = &record.timings;
            let exchange = Exchange {
                blocked_ms: ms(timings.blocked),
                looking_up_ms: ms(timings.looking_up),
                connecting_ms: ms(timings.connecting),
                tls_handshaking_ms: ms(timings.tls_handshaking),
                sending_ms: ms(timings.sending),
                waiting_ms: ms(timings.waiting),
                receiving_ms: ms(timings.receiving),
                bytes_sent: record.bytes_sent,
                bytes_received: record.bytes_received,
                failed: !record.expected_response,
            };
            recorder.exchange(at, tags, of, exchange);
        });
        if record.error.is_some() && core.recording.get() && core.epoch.get() == self.epoch {
            let text = format!("{} {}: {}", record.method, record.name, record.error_text);
            core.error(errors::Source::Http, text, None);
        }
    }
}

type Panic = Box<dyn Any + Send>;

/// How an iteration ended.
enum Outcome {
    Returned(Result<(), Error>),
    Panicked(Panic),
    /// It was dropped, and may have panicked while it was.
    Interrupted(Option<Panic>),
}

/// Runs code of the user's, whose panics are the iteration's and not the virtual user's.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Panic> {
    panics::watched(|| catch_unwind(AssertUnwindSafe(run)))
}

/// The whole life of one virtual user.
pub(crate) async fn run(mut vu: Vu, iterate: impl AsyncFn(&mut Vu) -> Result<(), Error>) {
    let core = Rc::clone(&vu.core);
    let counters = Arc::clone(&core.scenario.counters);
    let mut free_since = clock::now();
    loop {
        match core.seat.order() {
            Order::Leave => break,
            Order::Run if core.scenario.source.take(vu.iteration).is_some() => {
                counters.occupy(&core.seat);
                free_since = one_iteration(&mut vu, &iterate, free_since).await;
                vu.iteration += 1;
            }
            // Told to stop, or nothing left for this one though the others may go on. An order may have
            // come and gone unseen, so every change is looked at.
            _ => {
                counters.vacate(&core.seat);
                core.seat.change().await;
                free_since = clock::now();
            }
        }
    }
    counters.vacate(&core.seat);
}

/// Runs one iteration and returns the instant at which the virtual user was free again.
async fn one_iteration(
    vu: &mut Vu,
    iterate: &impl AsyncFn(&mut Vu) -> Result<(), Error>,
    intended: Instant,
) -> Instant {
    let core = Rc::clone(&vu.core);
    vu.begin_iteration();
    let began = clock::now();
    let mut polls = 0u32;
    let outcome = {
        let mut interrupted = pin!(core.seat.interrupted());
        let mut body = pin!(Some(iterate(vu)));
        std::future::poll_fn(|cx| {
            polls = polls.saturating_add(1);
            if interrupted.as_mut().poll(cx).is_ready() {
                // What the iteration measures while it is dropped is not part of the load any more.
                core.recording.set(false);
                return Poll::Ready(match guarded(|| body.set(None)) {
                    Ok(()) => Outcome::Interrupted(None),
                    Err(panic) => Outcome::Interrupted(Some(panic)),
                });
            }
            let Some(running) = body.as_mut().as_pin_mut() else { return Poll::Pending };
            match guarded(|| running.poll(cx)) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(result)) => Poll::Ready(Outcome::Returned(result)),
                Err(panic) => Poll::Ready(Outcome::Panicked(panic)),
            }
        })
        .await
    };
    let ended = clock::now();
    let counters = &core.scenario.counters;
    let panicked = |panic: Panic| {
        let (message, place) = panics::describe(panic.as_ref());
        core.error(errors::Source::Panic, message, place);
    };
    let failed = match outcome {
        Outcome::Interrupted(panic) => {
            panic.into_iter().for_each(panicked);
            counters.interrupted.fetch_add(1, Ordering::Relaxed);
            return ended;
        }
        Outcome::Returned(Ok(())) => false,
        Outcome::Returned(Err(error)) => {
            let place = error.location().to_string();
            // Showing an error runs code of the user's, as dropping it does.
            match guarded(move || format!("{error:#}")) {
                Ok(message) => core.error(errors::Source::Iteration, message, Some(place)),
                Err(panic) => panicked(panic),
            }
            true
        }
        Outcome::Panicked(panic) => {
            panicked(panic);
            true
        }
    };
    core.recording.set(false);
    // Built-in metrics of the iteration carry the scenario's tags, not those set within it.
    core.recorder.borrow_mut().iteration(ended, core.base_tags, ended - began, ended - intended, failed);
    counters.completed.fetch_add(1, Ordering::Relaxed);
    counters.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
    if polls == 1 {
        // It never waited: without this, it could neither be stopped nor let others run.
        tokio::task::yield_now().await;
    }
    ended
}

#[cfg(test)]
mod tests;
