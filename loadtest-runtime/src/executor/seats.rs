//! Seats: what executors and virtual users share, a few words per virtual user.
//!
//! An executor gives orders, or single iterations; a virtual user follows them at its next look or, if it
//! sleeps or is to be interrupted, when it is woken. Nothing here knows what an iteration does.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use tokio::sync::Notify;

use crate::clock::Instant;

/// What a virtual user is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Order {
    /// Start nothing; whoever has ended an iteration waits here.
    Wait = 0,
    /// Loop.
    Run = 1,
    /// End the iteration in flight, then wait.
    Finish = 2,
    /// Drop the iteration in flight, then wait.
    Interrupt = 3,
    /// Drop the iteration in flight and leave for good.
    Leave = 4,
}

impl Order {
    fn from_u8(value: u8) -> Order {
        [Order::Wait, Order::Run, Order::Finish, Order::Interrupt, Order::Leave]
            .into_iter()
            .find(|order| *order as u8 == value)
            .unwrap_or(Order::Leave)
    }

    /// Whether an iteration in flight has to be dropped.
    fn interrupts(self) -> bool {
        matches!(self, Order::Interrupt | Order::Leave)
    }
}

/// The place of one virtual user.
#[derive(Debug)]
pub(crate) struct Seat {
    index: u32,
    order: AtomicU8,
    /// The intended start of an iteration that was given to it and has not begun.
    assigned: Mutex<Option<Instant>>,
    /// Whether it counts as active: from the order to run until the virtual user has nothing to do.
    occupied: AtomicBool,
    /// Whether something has changed since the virtual user looked last.
    changed: AtomicBool,
    /// The virtual user, which is the only one that ever waits here, once it has waited.
    waiter: Mutex<Option<Waker>>,
}

impl Seat {
    fn new(index: u32) -> Self {
        Self {
            index,
            assigned: Mutex::default(),
            order: AtomicU8::new(Order::Wait as u8),
            occupied: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            waiter: Mutex::default(),
        }
    }

    /// Its number in the scenario, from 0.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Takes the iteration that was given to it: its intended start.
    pub(crate) fn take_assigned(&self) -> Option<Instant> {
        self.assigned.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether an iteration was given to it that has not begun.
    pub(crate) fn is_assigned(&self) -> bool {
        self.assigned.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The order in force.
    pub(crate) fn order(&self) -> Order {
        Order::from_u8(self.order.load(Ordering::Acquire))
    }

    fn give(&self, order: Order) {
        let changed = if order == Order::Finish {
            // To finish is a wish to those who run; whoever was told more stays told.
            let run = Order::Run as u8;
            self.order.compare_exchange(run, order as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
        } else {
            self.order.swap(order as u8, Ordering::AcqRel) != order as u8
        };
        if changed {
            self.wake();
        }
    }

    /// Waits until something has changed since the last call returned.
    pub(crate) async fn change(&self) {
        poll_fn(|cx| {
            self.wait_as(cx.waker());
            if self.changed.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Wakes its virtual user to look again. A change is kept if nobody waits, so that it is never missed.
    fn wake(&self) {
        self.changed.store(true, Ordering::Release);
        let waiter = self.waiter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiter) = &*waiter {
            waiter.wake_by_ref();
        }
    }

    /// Whom to wake. A virtual user is one task, so this changes nothing but the first time.
    fn wait_as(&self, waker: &Waker) {
        let mut waiter = self.waiter.lock().unwrap_or_else(PoisonError::into_inner);
        match &*waiter {
            Some(known) if known.will_wake(waker) => {}
            _ => *waiter = Some(waker.clone()),
        }
    }

    /// Waits until the virtual user is to leave for good.
    pub(crate) async fn left(&self) {
        while self.order() != Order::Leave {
            self.change().await;
        }
    }

    /// Whether the iteration in flight has to be dropped. Whoever [`attends`](Self::attend) is woken when it has, so
    /// this is one look.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.order().interrupts()
    }

    /// Has the task that calls this woken from now on.
    pub(crate) async fn attend(&self) {
        poll_fn(|cx| {
            self.wait_as(cx.waker());
            Poll::Ready(())
        })
        .await;
    }
}

/// Counts of one scenario, written by virtual users, read by whoever shows or judges them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) started: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) interrupted: AtomicU64,
    pub(crate) active: AtomicU32,
    /// The most that were active at once since it was last taken.
    peak: AtomicU32,
    pub(crate) planned: AtomicU32,
    /// Starts that the plan has asked for so far, of executors that plan starts.
    pub(crate) planned_starts: AtomicU64,
    /// The same by the second of the load that they were planned for, those that were not taken yet.
    planned_by_second: Mutex<BTreeMap<u64, u64>>,
    /// Iterations that the plan asked for and that never started.
    pub(crate) dropped: AtomicU64,
    /// Virtual users that are ready to run.
    pub(crate) initialised: AtomicU32,
    /// Virtual users that could not be made ready.
    refused: AtomicU32,
    /// Why the first of them could not.
    refusal: Mutex<Option<String>>,
    /// Whether no iteration is to start for the time being.
    held: AtomicBool,
    /// Why the scenario ends before its time, if it does.
    ended: Mutex<Option<String>>,
    end_told: Notify,
    /// Told when `active` may have become zero.
    went_idle: Notify,
    /// Told when a virtual user is ready, or refused.
    arrived: Notify,
}

impl Counters {
    /// The virtual user of a seat has, or is about to get, an iteration to run.
    pub(crate) fn occupy(&self, seat: &Seat) {
        if !seat.occupied.swap(true, Ordering::AcqRel) {
            let active = self.active.fetch_add(1, Ordering::AcqRel) + 1;
            self.peak.fetch_max(active, Ordering::AcqRel);
        }
    }

    /// The most virtual users that were active at once since the last call, and those that are now. Between two
    /// looks a short load may come and go.
    pub(crate) fn take_active(&self) -> (u32, u32) {
        let active = self.active.load(Ordering::Acquire);
        (self.peak.swap(active, Ordering::AcqRel).max(active), active)
    }

    /// The plan asks for a start in this second of the load.
    pub(crate) fn plan_start(&self, second: u64) {
        self.planned_starts.fetch_add(1, Ordering::Relaxed);
        let mut by_second = self.planned_by_second.lock().unwrap_or_else(PoisonError::into_inner);
        *by_second.entry(second).or_default() += 1;
    }

    /// Starts that were planned for the seconds up to this one, since the last call.
    pub(crate) fn take_planned(&self, second: u64) -> u64 {
        let mut by_second = self.planned_by_second.lock().unwrap_or_else(PoisonError::into_inner);
        let later = by_second.split_off(&second.saturating_add(1));
        std::mem::replace(&mut *by_second, later).into_values().sum()
    }

    /// A virtual user is ready.
    pub(crate) fn join(&self) {
        self.initialised.fetch_add(1, Ordering::AcqRel);
        self.arrived.notify_one();
    }

    /// A virtual user can't be made ready.
    pub(crate) fn refuse(&self, why: String) {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.refused.fetch_add(1, Ordering::AcqRel);
        self.arrived.notify_one();
    }

    /// How many virtual users could not be made ready so far.
    pub(crate) fn refused(&self) -> u32 {
        self.refused.load(Ordering::Acquire)
    }

    /// Why the first virtual user that could not be made ready could not.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until this many virtual users are ready, or one is refused.
    pub(crate) async fn seated(&self, count: u32) {
        let arrived = || self.initialised.load(Ordering::Acquire) + self.refused.load(Ordering::Acquire);
        // Whoever is refused ends the test: nobody need be waited for any more.
        while arrived() < count && self.refusal().is_none() {
            self.arrived.notified().await;
        }
    }

    /// Whether no iteration is to start for the time being.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// The scenario is to end, without its being a failure; the first reason counts.
    pub(crate) fn end(&self, why: String) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.end_told.notify_one();
    }

    /// Why the scenario ended before its time, if it did.
    pub(crate) fn end_reason(&self) -> Option<String> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the scenario is to end before its time.
    pub(crate) async fn ended(&self) {
        while self.end_reason().is_none() {
            self.end_told.notified().await;
        }
    }

    /// Nobody waits any longer for iterations that were interrupted and have not ended: they count as
    /// interrupted.
    pub(crate) fn give_up(&self) {
        let ended = self.completed.load(Ordering::Acquire) + self.interrupted.load(Ordering::Acquire);
        let left = self.started.load(Ordering::Acquire).saturating_sub(ended);
        self.interrupted.fetch_add(left, Ordering::AcqRel);
    }

    /// It has nothing to run any more.
    pub(crate) fn vacate(&self, seat: &Seat) {
        if seat.occupied.swap(false, Ordering::AcqRel) && self.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.went_idle.notify_one();
        }
    }
}

/// All seats of a scenario.
#[derive(Debug, Clone)]
pub(crate) struct Seats {
    seats: Arc<[Arc<Seat>]>,
    counters: Arc<Counters>,
}

impl Seats {
    pub(crate) fn new(count: u32) -> Self {
        Self {
            seats: (0..count).map(|index| Arc::new(Seat::new(index))).collect(),
            counters: Arc::new(Counters::default()),
        }
    }

    pub(crate) fn seat(&self, index: u32) -> Arc<Seat> {
        Arc::clone(&self.seats[index as usize])
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    pub(crate) fn len(&self) -> u32 {
        self.seats.len() as u32
    }

    /// The order that a seat has.
    pub(crate) fn order(&self, index: u32) -> Order {
        self.seats[index as usize].order()
    }

    /// Whether the virtual user of a seat still has something to run.
    pub(crate) fn is_occupied(&self, index: u32) -> bool {
        self.seats[index as usize].occupied.load(Ordering::Acquire)
    }

    /// Gives an order to one. A seat that is to run counts as active from here on, so that nobody sees an
    /// idle moment between the order and the virtual user's first step.
    pub(crate) fn give(&self, index: u32, order: Order) {
        let seat = &self.seats[index as usize];
        if order == Order::Run {
            self.counters.occupy(seat);
        }
        seat.give(order);
    }

    /// Lets all run iterations that are given to them. Nobody counts as active for that.
    pub(crate) fn open(&self) {
        for seat in self.seats.iter() {
            seat.order.store(Order::Run as u8, Ordering::Release);
        }
    }

    /// Gives one an iteration with its intended start. It counts as active from here on, and sees it when it
    /// is [woken](Self::wake).
    pub(crate) fn assign(&self, index: u32, intended: Instant) {
        let seat = &self.seats[index as usize];
        *seat.assigned.lock().unwrap_or_else(PoisonError::into_inner) = Some(intended);
        self.counters.occupy(seat);
    }

    /// Lets one look for an iteration that it was given.
    pub(crate) fn wake(&self, index: u32) {
        self.seats[index as usize].wake();
    }

    /// Lets no iteration start until [`release`](Self::release).
    pub(crate) fn hold(&self) {
        self.counters.held.store(true, Ordering::Release);
    }

    /// Lets iterations start again.
    pub(crate) fn release(&self) {
        self.counters.held.store(false, Ordering::Release);
        self.seats.iter().for_each(|seat| seat.wake());
    }

    /// Gives an order to all.
    pub(crate) fn give_all(&self, order: Order) {
        for index in 0..self.len() {
            self.give(index, order);
        }
    }

    /// Says how many are meant to run now.
    pub(crate) fn set_planned(&self, vus: u32) {
        self.counters.planned.store(vus, Ordering::Relaxed);
    }

    /// Waits until no virtual user is active.
    pub(crate) async fn idle(&self) {
        while self.counters.active.load(Ordering::Acquire) > 0 {
            self.counters.went_idle.notified().await;
        }
    }
}
