//! Seats: what executors and virtual users share, one word per virtual user.
//!
//! An executor gives orders, a virtual user follows them at its next look or, if it sleeps or is to be
//! interrupted, when it is woken. Nothing here knows what an iteration does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use tokio::sync::Notify;

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
    order: AtomicU8,
    /// Whether it counts as active: from the order to run until the virtual user has nothing to do.
    occupied: AtomicBool,
    changed: Notify,
}

impl Seat {
    fn new() -> Self {
        Self {
            order: AtomicU8::new(Order::Wait as u8),
            occupied: AtomicBool::new(false),
            changed: Notify::new(),
        }
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
            // One permit is kept if nobody waits, so that the change is never missed.
            self.changed.notify_one();
        }
    }

    /// Waits until the order has changed since the last call returned.
    pub(crate) async fn change(&self) {
        self.changed.notified().await;
    }

    /// Waits until the iteration in flight has to be dropped.
    pub(crate) async fn interrupted(&self) {
        while !self.order().interrupts() {
            self.change().await;
        }
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
    /// Told when `active` may have become zero.
    went_idle: Notify,
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
            seats: (0..count).map(|_| Arc::new(Seat::new())).collect(),
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
