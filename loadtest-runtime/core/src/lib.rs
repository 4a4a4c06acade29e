//! What load tests mean: the vocabulary that the `#[load_test]` attribute, the runtime inside the test
//! binary and the `cargo loadtest` subcommand share.
//!
//! Names, units, options, thresholds, plans, histograms, the results document and the wire frames live
//! here, and the one parser that attribute, configuration and command line go through. Nothing in this
//! crate does I/O, reads a clock or knows a protocol.
//!
//! Read in this order: [`units`], [`options`], [`plan`], [`metric`], [`threshold`], [`hist`],
//! [`results`], [`wire`].

pub mod error;
pub mod hist;
pub mod metric;
pub mod options;
pub mod plan;
pub mod results;
pub mod suggest;
pub mod threshold;
pub mod units;
pub mod wire;

pub use error::Error;
