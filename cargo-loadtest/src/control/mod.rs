//! Talking to a run from outside: what a test is doing, and holding, changing or ending it.
//!
//! The main types are [`Server`], which a run opens if it was asked for, [`Status`], what it tells, and
//! [`ask`], the other side. The server decides what can be wished for; it never does it: wishes wait until
//! the conversation with the test process takes them. It listens on loopback addresses alone, and refuses
//! every request that a web page could have caused.

mod client;
mod http;
mod server;
mod status;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use client::answer;
pub use client::ask;
pub use server::{Running, Server};
pub use status::{ScenarioStatus, Status, Tracker};
