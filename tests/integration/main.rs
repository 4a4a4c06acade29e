//! The workspace's integration tests, in one binary.

mod attribute;
mod dependencies;
mod invariants;
mod tls;
