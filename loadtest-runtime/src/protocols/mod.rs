//! Protocols beside plain HTTP requests, measured with k6's metric names where k6 has some.
//!
//! | what | from | metrics |
//! |---|---|---|
//! | `WebSocket` (feature `websocket`) | `Vu::websocket` | `ws_sessions`, `ws_connecting`, `ws_session_duration`, `ws_msgs_sent`, `ws_msgs_received`, `ws_ping` |
//! | [`EventSource`](sse::EventSource) | [`send_events`](crate::http::RequestBuilder::send_events) | `sse_event`, `sse_time_to_first_event`, and those of the HTTP request |
//! | [`Tcp`](tcp::Tcp) | [`Vu::tcp`](crate::Vu::tcp) | `tcp_sessions`, `tcp_connecting`, `tcp_req_duration` |
//! | `LoadTestLayer` (feature `tower`) | `Vu::layer` | `grpc_req_duration`, `grpc_streams`, `grpc_streams_msgs_sent`, `grpc_streams_msgs_received`; `measure_duration` and `measure_failed` of what is no gRPC |
//!
//! Whatever has a socket counts its bytes in `data_sent` and `data_received`, and is connected like HTTP requests
//! are: with the names, local addresses, TLS settings and limits of the test.
//!
//! A connection belongs to the iteration that opened it, like every handle of a virtual user: what it does after
//! that iteration works, and is not recorded. Nothing here connects again by itself, and nothing decides how long a
//! session is to last.

mod error;
mod sample;
pub mod sse;
pub mod tcp;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "websocket")]
pub mod websocket;

#[cfg(test)]
mod tests;

pub(crate) use error::DROPPED;
pub use error::Error;
pub(crate) use sample::{OwnTags, UnderWay};
pub use sample::{Protocol, RecordSamples};
