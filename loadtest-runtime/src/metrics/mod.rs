//! Measuring: samples are taken on the workers without a lock, an allocation or a string, and go through a
//! channel to the aggregator, which owns every sum and histogram.
//!
//! In the order of the data: [`sample`] (what is sent), [`recorder`] (a worker's side), [`crew`] (the threads of
//! the other side), [`aggregator`] (what each of them does), [`sums`] (what samples add up to), [`catalog`] (which
//! series there are), [`judge`] (a threshold with what it has seen), [`custom`] (metrics that users declare).
//! Nothing here knows HTTP's rules or executors.

pub(crate) mod aggregator;
#[cfg(feature = "bench-internals")]
pub(crate) mod bench;
mod catalog;
pub(crate) mod crew;
pub(crate) mod custom;
pub(crate) mod errors;
mod intern;
mod judge;
pub(crate) mod recorder;
pub(crate) mod sample;
mod sums;
#[cfg(test)]
mod tests;

pub use custom::{Counter, Gauge, Rate, Trend};
