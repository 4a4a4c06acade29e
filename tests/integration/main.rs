//! The workspace's integration tests, in one binary.

mod attribute;
mod baseline;
mod concert;
mod dependencies;
mod failures;
mod invariants;
mod readme;
mod report;
mod run;
#[cfg(target_os = "linux")]
mod signals;
mod tls;
