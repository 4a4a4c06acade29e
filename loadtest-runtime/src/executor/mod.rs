//! Executors: how the number of active virtual users follows time, or when iterations start.
//!
//! The trait is [`Executor`], the table [`for_shape`]; one executor is one file. An executor sees [`Seats`],
//! never a future or a thread: it says which virtual user runs, finishes or is interrupted, and when. The
//! loop of a virtual user is in [`crate::vu`].

mod constant_arrival_rate;
mod constant_vus;
mod externally_controlled;
mod find_capacity;
mod ladder;
mod open;
mod per_vu_iterations;
mod ramping_arrival_rate;
mod ramping_vus;
mod seats;
mod shared_iterations;
#[cfg(test)]
mod tests;
mod timeline;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use loadtest_core::options::Shape;
use loadtest_core::plan::{CapacitySearch, Shard};
use tokio::sync::watch;

use crate::clock::Instant;
pub(crate) use find_capacity::{Court, Judge, check_alone, judge_by_probes};
pub(crate) use seats::{Counters, Order, Seat, Seats};
pub(crate) use timeline::{Brake, Timeline};

/// A virtual user that could start an iteration.
pub(crate) struct Turn<'a> {
    pub(crate) seat: &'a Seat,
    /// The order in force.
    pub(crate) order: Order,
    /// Iterations that it has started so far.
    pub(crate) own: u64,
    /// Since when it has been free.
    pub(crate) free_since: Instant,
}

/// Decides whether a virtual user may start another iteration. Asked on the workers, so it takes no lock that
/// is held for long.
pub(crate) trait Source: Send + Sync {
    /// Takes an iteration for a virtual user: its intended start. `None`: it has to wait for another order.
    fn take(&self, turn: &Turn<'_>) -> Option<Instant>;

    /// A virtual user waits and does not count as active any more.
    fn rest(&self, _seat: &Seat) {}

    /// Whether iterations have instants of their own, which late starts are measured against.
    fn is_open(&self) -> bool {
        false
    }

    /// Whether iterations are numbered in the scenario, whoever runs them, and not within each virtual user:
    /// then what is random in one depends on its number alone.
    fn is_shared(&self) -> bool {
        false
    }
}

/// Makes the virtual user of a seat in the background. It joins when it is ready.
pub(crate) type Recruiter = Arc<dyn Fn(u32) + Send + Sync>;

/// What an executor works with.
pub(crate) struct Reins {
    pub(crate) seats: Seats,
    pub(crate) timeline: Timeline,
    /// How long iterations in flight may go on at the end.
    pub(crate) graceful_stop: Duration,
    /// The number of virtual users that was asked for from outside.
    pub(crate) scale: watch::Receiver<Option<u32>>,
    pub(crate) recruiter: Recruiter,
}

/// An executor at work: done when every iteration has ended or was interrupted.
pub(crate) type Drive<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What is executed: the rules of one shape.
pub(crate) trait Executor: Send {
    /// Virtual users that it needs at most.
    fn max_vus(&self) -> u32;

    /// Virtual users that have to be ready before it starts.
    fn allocated_vus(&self) -> u32 {
        self.max_vus()
    }

    /// Iterations that it will start in all, if that is known beforehand and ends it.
    fn planned_iterations(&self) -> Option<u64> {
        None
    }

    /// Who may start iterations.
    fn source(&self) -> Arc<dyn Source>;

    /// Takes the judge of its probes, if it makes any.
    fn judged_by(&mut self, _judge: Arc<dyn Judge>) {}

    /// Drives the seats from the scenario's start until the load is over: every iteration has ended or was
    /// interrupted. Starts nothing any more when the future is dropped; then its caller interrupts what is
    /// left.
    fn drive<'a>(&'a mut self, reins: &'a Reins) -> Drive<'a>;
}

/// The executor of a shape, for one shard of the load.
pub(crate) fn for_shape(shape: &Shape, shard: Shard) -> Box<dyn Executor> {
    match shape {
        Shape::SharedIterations { vus, iterations, max_duration } => {
            Box::new(shared_iterations::SharedIterations::new(
                shard.share(*vus),
                shard.share_u64(*iterations),
                *max_duration,
            ))
        }
        Shape::PerVuIterations { vus, iterations, max_duration } => {
            Box::new(per_vu_iterations::PerVuIterations::new(shard.share(*vus), *iterations, *max_duration))
        }
        Shape::ConstantVus { vus, duration } => {
            Box::new(constant_vus::ConstantVus::new(shard.share(*vus), *duration))
        }
        Shape::RampingVus { start_vus, stages, graceful_ramp_down } => {
            Box::new(ramping_vus::RampingVus::new(*start_vus, stages, *graceful_ramp_down, shard))
        }
        Shape::ConstantArrivalRate { rate, time_unit, duration, pre_allocated_vus, max_vus } => {
            let desk = open::Desk::new(shard.share(*pre_allocated_vus), shard.share(*max_vus));
            Box::new(constant_arrival_rate::ConstantArrivalRate::new(
                *rate, *time_unit, *duration, shard, desk,
            ))
        }
        Shape::RampingArrivalRate { start_rate, time_unit, stages, pre_allocated_vus, max_vus } => {
            let desk = open::Desk::new(shard.share(*pre_allocated_vus), shard.share(*max_vus));
            Box::new(ramping_arrival_rate::RampingArrivalRate::new(
                *start_rate,
                *time_unit,
                stages,
                shard,
                desk,
            ))
        }
        Shape::ExternallyControlled { vus, max_vus, duration } => {
            Box::new(externally_controlled::ExternallyControlled::new(*vus, *max_vus, *duration, shard))
        }
        // A search is never divided: `check_alone` sees to that.
        Shape::FindCapacity {
            start_rate,
            max_rate,
            time_unit,
            search,
            step,
            probe_duration,
            pre_allocated_vus,
            max_vus,
        } => Box::new(find_capacity::FindCapacity::new(
            CapacitySearch::new(*search, *start_rate, *max_rate, *step),
            *time_unit,
            *probe_duration,
            *pre_allocated_vus,
            *max_vus,
        )),
    }
}

/// A source without an end: the executor's clock decides.
pub(crate) struct Endless;

impl Source for Endless {
    fn take(&self, turn: &Turn<'_>) -> Option<Instant> {
        (turn.order == Order::Run).then_some(turn.free_since)
    }
}

/// Runs until no seat is active or `regular` is over; then no iteration starts any more and those in
/// flight have the graceful stop to end, after which they are interrupted.
async fn until_done(reins: &Reins, regular: Duration) {
    let _ = reins.timeline.timeout(regular, reins.seats.idle()).await;
    wind_down(reins, regular).await;
}

/// The end of every executor: drain, wait, interrupt.
pub(crate) async fn wind_down(reins: &Reins, regular_end: Duration) {
    let seats = &reins.seats;
    seats.set_planned(0);
    seats.give_all(Order::Finish);
    let limit = regular_end.saturating_add(reins.graceful_stop);
    if reins.timeline.timeout(limit, seats.idle()).await.is_none() {
        seats.give_all(Order::Interrupt);
    }
}
