//! Starts at instants of their own: the desk where free virtual users wait, and the pacer that fires.
//!
//! The main type is [`Desk`], the source of every executor that plans starts; [`offer`] fires a schedule at
//! it. A start goes to the virtual user that has been free for the longest time, on whichever worker it is,
//! or is dropped at once: nothing is queued.
//!
//! The pacer is a thread of its own, because one that does nothing but sleep wakes within about 0.1 ms of the
//! instant, where tokio's timer, which counts in milliseconds, is 0.5 to 1 ms late (`benches/pacing.rs`).
//! Spinning for the last moments takes a core from the workers and makes the rare delays worse. It asks the
//! timeline before each start, so none fires while the load is held, and takes the desk's lock, so none fires
//! after it was stopped.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Order, Recruiter, Reins, Seat, Seats, Source, Timeline, Turn, wind_down};
use crate::clock::{self, Instant};

/// How long to wait after a virtual user could not be made ready before the next try. A `vu_init` that fails
/// at once would otherwise be called again with every start that is dropped.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long after the end late starts may fire where there is no graceful stop.
const LATEST: Duration = Duration::from_secs(1);

/// Where free virtual users wait for starts.
#[derive(Debug)]
pub(super) struct Desk {
    /// Virtual users that are ready before the first start.
    allocated: u32,
    /// Virtual users that may exist.
    most: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Seats whose virtual users are free, the one that has been so for the longest time first. All of them
    /// take part that way, as in k6.
    free: VecDeque<u32>,
    /// Whether a seat is among them.
    is_free: Vec<bool>,
    /// Virtual users that exist: those of the seats from 0 on.
    exist: u32,
    recruit: Recruit,
}

impl State {
    /// Gives a start to whoever has been free for the longest time: the seat to wake.
    fn give(&mut self, seats: &Seats, intended: Instant) -> Option<u32> {
        let index = self.free.pop_front()?;
        self.is_free[index as usize] = false;
        seats.assign(index, intended);
        Some(index)
    }
}

/// The virtual user that is being made, one at a time.
#[derive(Debug, Clone, Copy)]
enum Recruit {
    None,
    /// The one of the next seat, and how many had been refused before.
    Asked {
        refused: u32,
    },
    /// The last one was refused; the next try comes no earlier than this.
    Refused {
        retry_at: Instant,
    },
}

impl Desk {
    /// A desk for virtual users of which `allocated` are there from the start and `most` may be in the end.
    pub(super) fn new(allocated: u32, most: u32) -> Arc<Self> {
        // Those from the start are free before they say so: no start is dropped because a virtual user was
        // just about to.
        let state = State {
            free: (0..allocated).collect(),
            is_free: (0..most.max(allocated)).map(|index| index < allocated).collect(),
            exist: allocated,
            recruit: Recruit::None,
        };
        Arc::new(Self { allocated, most, state: Mutex::new(state) })
    }

    /// Virtual users that are ready before the first start.
    pub(super) fn allocated(&self) -> u32 {
        self.allocated
    }

    /// Virtual users that may exist.
    pub(super) fn most(&self) -> u32 {
        self.most
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Desk {
    fn take(&self, turn: &Turn<'_>) -> Option<Instant> {
        let intended = turn.seat.take_assigned()?;
        // As it is now: the start may have come with a newer order than the virtual user had seen.
        if matches!(turn.seat.order(), Order::Interrupt | Order::Leave) {
            // It is interrupted before it began: nobody runs it, and the virtual user is free as before.
            self.rest(turn.seat);
            return None;
        }
        Some(intended)
    }

    fn rest(&self, seat: &Seat) {
        let mut state = self.lock();
        let index = seat.index();
        if index == state.exist {
            state.exist += 1;
            state.recruit = Recruit::None;
        }
        // A start may have been given to it between its look and this.
        if !seat.is_assigned() && !std::mem::replace(&mut state.is_free[index as usize], true) {
            state.free.push_back(index);
        }
    }

    fn is_open(&self) -> bool {
        true
    }

    fn is_shared(&self) -> bool {
        true
    }
}

/// Fires starts, offsets from the scenario's start in rising order, at a desk; returns when the last one has
/// fired. Late ones fire back to back, each with the instant that was meant. When the future is dropped, none
/// fires any more.
pub(super) async fn offer<I>(reins: &Reins, desk: &Arc<Desk>, starts: I)
where
    I: Iterator<Item = Duration> + Send + 'static,
{
    reins.seats.open();
    reins.seats.set_planned(desk.allocated);
    let gun = Arc::new(Gun {
        desk: Arc::clone(desk),
        seats: reins.seats.clone(),
        timeline: reins.timeline.clone(),
        recruiter: Arc::clone(&reins.recruiter),
        stopped: AtomicBool::new(false),
    });
    let pacer = Pacer::start(&gun);
    let _leash = Leash { gun: &gun, thread: pacer.as_ref().map(|pacer| pacer.thread.clone()) };
    match pacer {
        Some(pacer) => pacer.run(&reins.timeline, starts).await,
        // tokio's timer serves as well, if later.
        None => pace(&gun, starts, |offset| reins.timeline.sleep_until(offset)).await,
    }
}

/// The whole course of an executor that plans its starts: offers them, and at the regular end lets iterations
/// in flight end. Starts that are late fire after the end too, until everything would be interrupted anyway.
pub(super) async fn run<I>(reins: &Reins, desk: &Arc<Desk>, starts: I, regular: Duration)
where
    I: Iterator<Item = Duration> + Send + 'static,
{
    let limit = regular.saturating_add(reins.graceful_stop.max(LATEST));
    let _ = reins.timeline.timeout(limit, offer(reins, desk, starts)).await;
    reins.timeline.sleep_until(regular).await;
    wind_down(reins, regular).await;
}

/// Fires each start when it is due. `wait` waits until an offset; it may come back early.
async fn pace<W: Future<Output = ()>>(
    gun: &Gun,
    starts: impl Iterator<Item = Duration>,
    wait: impl Fn(Duration) -> W,
) {
    for offset in starts {
        let intended = loop {
            match gun.timeline.due(offset) {
                Some(due) if due <= clock::now() => break due,
                _ if gun.stopped.load(Ordering::Acquire) => return,
                _ => wait(offset).await,
            }
        };
        if !gun.fire(intended) {
            return;
        }
    }
}

/// What fires single starts.
struct Gun {
    desk: Arc<Desk>,
    seats: Seats,
    timeline: Timeline,
    recruiter: Recruiter,
    /// Written under the desk's lock, so that nothing fires afterwards.
    stopped: AtomicBool,
}

impl Gun {
    /// Fires one start at the desk; `false` if it was stopped.
    fn fire(&self, intended: Instant) -> bool {
        let counters = self.seats.counters();
        let mut state = self.desk.lock();
        if self.stopped.load(Ordering::Acquire) {
            return false;
        }
        counters.plan_start(self.timeline.since_begin(intended).as_secs());
        let Some(index) = state.give(&self.seats, intended) else {
            counters.dropped.fetch_add(1, Ordering::Relaxed);
            let recruit = self.recruit(&mut state);
            drop(state);
            if let Some(index) = recruit {
                (self.recruiter)(index);
            }
            return true;
        };
        drop(state);
        // A system call, which those who come to the desk need not wait for.
        self.seats.wake(index);
        true
    }

    /// The seat whose virtual user is to be made now, if one is.
    fn recruit(&self, state: &mut State) -> Option<u32> {
        let refused = self.seats.counters().refused();
        if let Recruit::Asked { refused: before } = state.recruit
            && refused > before
        {
            state.recruit = Recruit::Refused { retry_at: clock::now() + RETRY_AFTER };
        }
        let may = match state.recruit {
            Recruit::None => true,
            Recruit::Asked { .. } => false,
            Recruit::Refused { retry_at } => clock::now() >= retry_at,
        };
        (may && state.exist < self.desk.most).then(|| {
            state.recruit = Recruit::Asked { refused };
            state.exist
        })
    }
}

/// Stops a gun when the future that offers is dropped, or done.
struct Leash<'a> {
    gun: &'a Gun,
    thread: Option<Thread>,
}

impl Drop for Leash<'_> {
    fn drop(&mut self) {
        {
            let _desk = self.gun.desk.lock();
            self.gun.stopped.store(true, Ordering::Release);
        }
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

/// A thread that fires starts.
struct Pacer<I> {
    thread: Thread,
    starts: mpsc::Sender<I>,
    ended: oneshot::Receiver<()>,
}

impl<I: Iterator<Item = Duration> + Send + 'static> Pacer<I> {
    /// Starts the thread; `None` if the system has none left, or none could follow the clock of a simulation.
    fn start(gun: &Arc<Gun>) -> Option<Self> {
        if gun.timeline.is_simulated() {
            return None;
        }
        let gun = Arc::clone(gun);
        let (starts, schedule) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let run = move || {
            // Nobody sends a schedule if the load was stopped meanwhile.
            if let Ok(starts) = schedule.recv() {
                pace_here(&gun, starts);
            }
            let _ = end.send(());
        };
        let thread = thread::Builder::new().name("loadtest-pacer".to_owned()).spawn(run).ok()?;
        Some(Self { thread: thread.thread().clone(), starts, ended })
    }

    /// Lets it fire the schedule, and wakes it when the load is held or goes on.
    async fn run(self, timeline: &Timeline, starts: I) {
        let _ = self.starts.send(starts);
        let mut timeline = timeline.clone();
        let mut ended = self.ended;
        loop {
            tokio::select! {
                biased;
                _ = &mut ended => return,
                () = timeline.changed() => self.thread.unpark(),
            }
        }
    }
}

/// Paces on the thread that calls: whatever is waited for blocks it.
fn pace_here(gun: &Gun, starts: impl Iterator<Item = Duration>) {
    let park = |offset| {
        match gun.timeline.due(offset) {
            Some(due) => thread::park_timeout(due.saturating_duration_since(clock::now())),
            None => thread::park(),
        }
        std::future::ready(())
    };
    // It never gives way to others, so it has ended when this returns.
    let _ = pin!(pace(gun, starts, park)).as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_start_that_is_interrupted_before_it_began_is_none_and_its_virtual_user_stays_free() {
        let seats = Seats::new(1);
        let desk = Desk::new(1, 1);
        let seat = seats.seat(0);
        let now = clock::now();
        let turn = |order| Turn { seat: &seat, order, own: 0, free_since: now };
        for order in [Order::Interrupt, Order::Leave] {
            assert_eq!(desk.lock().give(&seats, now), Some(0));
            assert_eq!(desk.lock().give(&seats, now), None, "nobody else is free");
            seats.give(0, order);
            assert_eq!(desk.take(&turn(order)), None);
        }
        seats.give(0, Order::Run);
        assert_eq!(desk.lock().give(&seats, now), Some(0));
        desk.rest(&seat);
        assert_eq!(desk.lock().give(&seats, now), None, "who was given a start is not free");
        // Its end has come, but the start came first; and a look may be older than the order.
        seats.give(0, Order::Finish);
        assert_eq!(desk.take(&turn(Order::Interrupt)), Some(now));
        assert_eq!(desk.take(&turn(Order::Run)), None);
        desk.rest(&seat);
        desk.rest(&seat);
        assert_eq!(desk.lock().free.len(), 1, "once, however often it says so");
    }
}
