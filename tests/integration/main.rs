//! The workspace's integration tests, in one binary.

mod attribute;
