//! Measuring: samples are taken on the workers without a lock, an allocation or a string, and go through a
//! channel to the aggregator, which owns every sum and histogram.
//!
//! In the order of the data: [`sample`] (what is sent), [`recorder`] (a worker's side), [`aggregator`]
//! (the other side), [`judge`] (a threshold with what it has seen), [`custom`] (metrics that users declare).
//! Nothing here knows HTTP's rules or executors.

pub(crate) mod aggregator;
pub(crate) mod custom;
pub(crate) mod errors;
mod judge;
pub(crate) mod recorder;
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub use custom::{Counter, Gauge, Rate, Trend};
