//! The workspace's integration tests, in one binary.

mod attribute;
mod baseline;
mod concert;
mod dependencies;
mod failures;
mod invariants;
mod report;
mod run;
mod signals;
mod tls;
