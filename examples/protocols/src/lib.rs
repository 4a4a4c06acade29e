//! Services that speak WebSocket, server-sent events, gRPC and lines over TCP.
//!
//! Each takes a listener and serves until it is dropped; `load` holds their load tests.

pub mod health;
pub mod live;
pub mod store;

#[cfg(test)]
mod load;
