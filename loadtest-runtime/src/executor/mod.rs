//! Executors: how the number of active virtual users follows time.
//!
//! The trait is [`Executor`], the table [`for_shape`]; one executor is one file. An executor sees [`Seats`],
//! never a future or a thread: it says which virtual user runs, finishes or is interrupted, and when. The
//! loop of a virtual user is in [`crate::vu`].

mod constant_vus;
mod per_vu_iterations;
mod ramping_vus;
mod seats;
mod shared_iterations;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use loadtest_core::options::Shape;
use loadtest_core::plan::Shard;

use crate::clock::Instant;
pub(crate) use seats::{Counters, Order, Seat, Seats};

/// Decides whether a virtual user may start another iteration. Asked on the workers, so it takes no lock.
pub(crate) trait Source: Send + Sync {
    /// Takes one iteration for a virtual user that has started `own` so far; `None`: no more for this one.
    fn take(&self, own: u64) -> Option<()>;
}

/// An executor at work: done when every iteration has ended or was interrupted.
pub(crate) type Drive<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What is executed: the rules of one shape.
pub(crate) trait Executor: Send {
    /// Virtual users that it needs at most.
    fn max_vus(&self) -> u32;
    /// Iterations that it will start in all, if that is known beforehand.
    fn planned_iterations(&self) -> Option<u64>;
    /// Who may start iterations.
    fn source(&self) -> Arc<dyn Source>;
    /// Drives the seats until the load is over: every iteration has ended or was interrupted. Returns at
    /// once when the future is dropped; then its caller interrupts what is left.
    fn drive<'a>(&'a mut self, seats: &'a Seats, start: Instant, graceful_stop: Duration) -> Drive<'a>;
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
    }
}

/// A source without an end: the executor's clock decides.
pub(crate) struct Endless;

impl Source for Endless {
    fn take(&self, _own: u64) -> Option<()> {
        Some(())
    }
}

/// Runs until no seat is active or `regular` is over; then no iteration starts any more and those in
/// flight have `graceful_stop` to end, after which they are interrupted.
async fn until_done(seats: &Seats, start: Instant, regular: Duration, graceful_stop: Duration) {
    let _ = tokio::time::timeout_at(start + regular, seats.idle()).await;
    wind_down(seats, start + regular, graceful_stop).await;
}

/// The end of every executor: drain, wait, interrupt.
async fn wind_down(seats: &Seats, regular_end: Instant, graceful_stop: Duration) {
    seats.set_planned(0);
    seats.give_all(Order::Finish);
    if tokio::time::timeout_at(regular_end + graceful_stop, seats.idle()).await.is_err() {
        seats.give_all(Order::Interrupt);
    }
}
