//! The workspace's integration tests, in one binary.

mod attribute;
mod baseline;
mod ci;
mod concert;
#[cfg(target_os = "linux")]
mod control;
mod dependencies;
mod duet;
mod failures;
mod http;
mod invariants;
mod load_model;
mod new;
mod options;
mod plan;
mod protocols;
mod readme;
mod report;
mod run;
#[cfg(target_os = "linux")]
mod signals;
mod situations;
mod tls;
