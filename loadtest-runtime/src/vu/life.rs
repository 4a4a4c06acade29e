//! The life of a virtual user: it is made ready, then runs iterations as its seat says, then leaves.
//!
//! The main function is [`run`]: one future per virtual user, monomorphised over the function, so that an
//! iteration needs no allocation of its own. It decides nothing about the load: the seat and the source do.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use loadtest_core::metric::Builtin;
use tokio::sync::Semaphore;

use super::Vu;
use crate::clock::{self, Instant};
use crate::error::Error;
use crate::executor::{Order, Seat, Turn};
use crate::metrics::errors;
use crate::panics;

/// How long making one virtual user ready may take.
const INIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Virtual users that a worker makes ready at once: ten thousand log-ins in one instant would be a load that
/// nobody asked for.
const INIT_AT_ONCE: usize = 64;

thread_local! {
    /// Of the worker, which is one thread.
    static INIT_GATE: Rc<Semaphore> = Rc::new(Semaphore::new(INIT_AT_ONCE));
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

/// The whole life of one virtual user: it is made ready, then runs iterations as its seat says.
pub(crate) async fn run<S>(
    mut vu: Vu,
    init: impl AsyncFnOnce(&mut Vu) -> Result<S, Error>,
    iterate: impl AsyncFn(&mut Vu, &mut S) -> Result<(), Error>,
) {
    let core = Rc::clone(&vu.core);
    let counters = Arc::clone(core.scenario.seats.counters());
    let mut state = match initialise(&mut vu, init).await {
        Ok(state) => state,
        Err(why) => return counters.refuse(why),
    };
    core.initialising.set(false);
    // The task that runs from here on is always this one.
    core.seat.attend().await;
    vu.client.keep_cookies();
    counters.join();
    let source = Arc::clone(&core.scenario.source);
    let mut free_since = clock::now();
    // Whoever waits says so once.
    let mut resting = false;
    loop {
        let order = core.seat.order();
        if order == Order::Leave {
            break;
        }
        if order == Order::Run && counters.is_held() && !source.is_open() {
            core.seat.change().await;
            free_since = clock::now();
            continue;
        }
        let turn = Turn { seat: &core.seat, order, own: vu.iteration, free_since };
        match source.take(&turn) {
            Some(intended) => {
                resting = false;
                counters.occupy(&core.seat);
                free_since = one_iteration(&mut vu, &mut state, &iterate, intended).await;
                vu.iteration += 1;
            }
            // Told to stop, or nothing left for this one though the others may go on. An order may have
            // come and gone unseen, so every change is looked at.
            None => {
                // Unless a start has come since the look.
                if !core.seat.is_assigned() {
                    counters.vacate(&core.seat);
                }
                if !std::mem::replace(&mut resting, true) {
                    source.rest(&core.seat);
                }
                core.seat.change().await;
                free_since = clock::now();
            }
        }
    }
    counters.vacate(&core.seat);
}

/// Why `vu_init` came to no end of its own.
enum Refusal {
    Panicked(Panic),
    /// It said so.
    GaveUp(String),
}

/// Runs what the key `vu_init` names, when it is its turn; the error says why there will be no such virtual user.
async fn initialise<S>(
    vu: &mut Vu,
    init: impl AsyncFnOnce(&mut Vu) -> Result<S, Error>,
) -> Result<S, String> {
    let too_late = || "the load ended before the virtual user was ready".to_owned();
    let core = Rc::clone(&vu.core);
    let gate = INIT_GATE.with(Rc::clone);
    let _permit = tokio::select! {
        biased;
        permit = gate.acquire() => permit,
        () = core.seat.left() => return Err(too_late()),
    };
    let mut body = pin!(Some(init(vu)));
    let ended = {
        let guarded_body = std::future::poll_fn(|cx| {
            let Some(running) = body.as_mut().as_pin_mut() else { return Poll::Pending };
            match guarded(|| running.poll(cx)) {
                Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
                Ok(Poll::Pending) => match core.gave_up.take() {
                    Some(why) => Poll::Ready(Err(Refusal::GaveUp(why))),
                    None => Poll::Pending,
                },
                Err(panic) => Poll::Ready(Err(Refusal::Panicked(panic))),
            }
        });
        tokio::select! {
            biased;
            result = tokio::time::timeout(INIT_TIMEOUT, guarded_body) => Some(result),
            () = core.seat.left() => None,
        }
    };
    // What is dropped half-way is code of the user's too.
    let dropped = guarded(|| body.set(None));
    match (ended, dropped) {
        (None, _) => Err(too_late()),
        (Some(Ok(Ok(Ok(state)))), Ok(())) => Ok(state),
        (Some(Ok(Ok(Err(error)))), _) => {
            let place = error.location().to_string();
            guarded(move || format!("vu_init: {error:#} (at {place})"))
                .map_or_else(|panic| Err(told(panic)), Err)
        }
        (Some(Ok(Err(Refusal::GaveUp(why)))), _) => Err(format!("vu_init: {why}")),
        (Some(Ok(Err(Refusal::Panicked(panic)))), _) | (Some(Ok(_)), Err(panic)) => Err(told(panic)),
        (Some(Err(_)), _) => Err(format!("vu_init took longer than {INIT_TIMEOUT:?}")),
    }
}

/// A panic of `vu_init` in words.
fn told(panic: Panic) -> String {
    let (message, place) = panics::describe(panic.as_ref());
    let place = place.map(|place| format!(" at {place}")).unwrap_or_default();
    format!("vu_init panicked{place}: {message}")
}

/// Waits out what is missing to the shortest time of an iteration, unless the virtual user is to stop.
async fn pad(seat: &Seat, until: Instant) {
    while !matches!(seat.order(), Order::Finish | Order::Interrupt | Order::Leave) {
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(until) => return,
            () = seat.change() => {}
        }
    }
}

/// Runs one iteration and returns the instant at which the virtual user was free again.
async fn one_iteration<S>(
    vu: &mut Vu,
    state: &mut S,
    iterate: &impl AsyncFn(&mut Vu, &mut S) -> Result<(), Error>,
    intended: Instant,
) -> Instant {
    let core = Rc::clone(&vu.core);
    vu.begin_iteration();
    let began = clock::now();
    if core.scenario.source.is_open() {
        let lag = began.saturating_duration_since(intended);
        let metric = Builtin::ScheduleLag;
        let mut recorder = core.recorder.borrow_mut();
        recorder.value(began, core.base_tags, metric.name(), || metric.def(), clock::millis(lag));
    }
    let mut polls = 0u32;
    let outcome = {
        let mut body = pin!(Some(iterate(vu, state)));
        std::future::poll_fn(|cx| {
            polls = polls.saturating_add(1);
            if core.seat.is_interrupted() {
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
    vu.client.end_iteration();
    let counters = core.scenario.seats.counters();
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
    core.recorder.borrow_mut().iteration(
        ended,
        core.base_tags,
        ended - began,
        ended.saturating_duration_since(intended),
        failed,
    );
    counters.completed.fetch_add(1, Ordering::Relaxed);
    counters.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
    let shortest = core.scenario.workload.min_iteration_duration;
    if ended - began < shortest {
        pad(&core.seat, began + shortest).await;
        return clock::now();
    }
    if polls == 1 {
        // It never waited: without this, it could neither be stopped nor let others run.
        tokio::task::yield_now().await;
    }
    ended
}
