//! Plans: how many virtual users are active when, and when iterations start, as pure data.
//!
//! The main functions are [`levels`] and [`reserved`] for virtual users, [`constant_arrivals`] and
//! [`ramping_arrivals`] for starts, all as offsets from a scenario's start; [`Shard`] divides them among
//! generators. Nothing here reads a clock, sleeps or counts what happened: executors do, and because
//! offsets are computed from the start and never from each other, they can't drift.

mod arrivals;
mod capacity;
mod levels;
mod shard;

pub use arrivals::{ConstantArrivals, RampingArrivals, constant_arrivals, ramping_arrivals};
pub use capacity::CapacitySearch;
pub use levels::{Levels, Step, levels, reserved, stages_duration};
pub use shard::Shard;
