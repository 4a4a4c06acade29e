//! One request from its call to its end, however that comes: [`Call`].
//!
//! It is told what passes and decides what that was; it reads no bodies itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, Request, StatusCode};
use loadtest_core::metric::{Builtin, tag};

use super::super::error::DROPPED;
use super::super::sample::{OwnTags, Protocol};
use super::handle::Handle;
use crate::clock::{self, Instant};

/// Codes of gRPC (its core concepts, "status codes").
const OK: u32 = 0;
const CANCELLED: u32 = 1;
const UNKNOWN: u32 = 2;
const UNAVAILABLE: u32 = 14;

/// What was sent of a request's body.
#[derive(Debug, Default)]
pub struct Sent {
    messages: AtomicU64,
    bytes: AtomicU64,
    counter: Mutex<MessageCounter>,
}

impl Sent {
    pub(super) fn add(&self, data: &[u8]) {
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        self.messages.fetch_add(counter.feed(data), Ordering::Relaxed);
        self.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
    }
}

/// Counts gRPC's messages by their prefixes: a flag, and the length in four bytes (gRPC over HTTP/2,
/// "Length-Prefixed-Message").
#[derive(Debug, Default)]
pub(super) struct MessageCounter {
    prefix: [u8; 5],
    have: usize,
    /// Bytes of the message that have not come yet.
    missing: usize,
}

impl MessageCounter {
    /// How many messages these bytes complete.
    pub(super) fn feed(&mut self, mut data: &[u8]) -> u64 {
        let mut messages = 0;
        while !data.is_empty() {
            if self.have < self.prefix.len() {
                let taken = data.len().min(self.prefix.len() - self.have);
                self.prefix[self.have..self.have + taken].copy_from_slice(&data[..taken]);
                (self.have, data) = (self.have + taken, &data[taken..]);
                if self.have < self.prefix.len() {
                    break;
                }
                let [_, length @ ..] = self.prefix;
                self.missing = u32::from_be_bytes(length) as usize;
            }
            let taken = data.len().min(self.missing);
            (self.missing, data) = (self.missing - taken, &data[taken..]);
            if self.missing == 0 {
                messages += 1;
                self.have = 0;
            }
        }
        messages
    }
}

/// A request under way.
pub(super) struct Call {
    handle: Handle,
    began: Instant,
    /// The user's tags alone.
    user: OwnTags,
    sent: Arc<Sent>,
    received_bytes: u64,
    /// Bytes sent and received that are recorded.
    recorded: (u64, u64),
    over: bool,
    kind: Kind,
}

enum Kind {
    Grpc(Grpc),
    Other { name: String, status: u16 },
}

struct Grpc {
    /// `package.Service/Method`.
    path: String,
    tags: OwnTags,
    counter: MessageCounter,
    received: u64,
    /// From headers or trailers.
    status: Option<u32>,
    message: String,
    /// The tags of the stream that it has turned out to be, and its messages that are recorded.
    stream: Option<(OwnTags, u64, u64)>,
}

impl Call {
    pub(super) fn begin<B>(handle: Handle, user: OwnTags, request: &Request<B>) -> Self {
        let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
        let kind = if content_type.is_some_and(|value| value.starts_with(b"application/grpc")) {
            let path = request.uri().path().trim_start_matches('/').to_owned();
            let (service, method) = path.rsplit_once('/').unwrap_or(("", &path));
            let tags = user.clone().with(tag::SERVICE, service).with(tag::METHOD, method);
            let tags = tags.with(tag::NAME, &*path);
            Kind::Grpc(Grpc {
                tags,
                counter: MessageCounter::default(),
                received: 0,
                status: None,
                message: String::new(),
                stream: None,
                path,
            })
        } else {
            let name = format!("{} {}", request.method(), crate::http::route_template(request.uri().path()));
            Kind::Other { name, status: 0 }
        };
        Self {
            handle,
            began: clock::now(),
            user,
            sent: Arc::default(),
            received_bytes: 0,
            recorded: (0, 0),
            over: false,
            kind,
        }
    }

    pub(super) fn sent(&self) -> &Arc<Sent> {
        &self.sent
    }

    /// The head of the response is there.
    pub(super) fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        match &mut self.kind {
            Kind::Grpc(grpc) => {
                grpc.take_status(headers);
                if status != StatusCode::OK && grpc.status.is_none() {
                    grpc.status = Some(of_http(status));
                    grpc.message = format!("HTTP status {status}");
                }
            }
            Kind::Other { status: known, .. } => *known = status.as_u16(),
        }
    }

    /// Bytes of the response.
    pub(super) fn data(&mut self, data: &[u8]) {
        self.received_bytes += data.len() as u64;
        if let Kind::Grpc(grpc) = &mut self.kind {
            grpc.received += grpc.counter.feed(data);
            let sent = self.sent.messages.load(Ordering::Relaxed);
            if grpc.received > 1 || sent > 1 {
                grpc.record_stream(&self.handle, sent);
                self.record_bytes();
            }
        }
    }

    /// The trailers of the response, which end it.
    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if let Kind::Grpc(grpc) = &mut self.kind {
            grpc.take_status(trailers);
        }
        self.end();
    }

    /// The body of the response is at its end.
    pub(super) fn end(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.record_bytes();
        let took = clock::now() - self.began;
        let sent = self.sent.messages.load(Ordering::Relaxed);
        match &mut self.kind {
            Kind::Grpc(grpc) => {
                if grpc.status.is_none() {
                    grpc.message = "the response had no status".to_owned();
                }
                let status = grpc.status.unwrap_or(UNKNOWN);
                // A unary call that succeeds has a message.
                if grpc.stream.is_some() || sent > 1 || (status == OK && grpc.received != 1) {
                    grpc.record_stream(&self.handle, sent);
                } else {
                    let unary =
                        grpc.tags.clone().with(tag::RPC_TYPE, "unary").with(tag::STATUS, status.to_string());
                    let expected = if status == OK { "true" } else { "false" };
                    let unary = unary.with(tag::EXPECTED_RESPONSE, expected);
                    self.handle.value(&unary, Builtin::GrpcReqDuration, clock::millis(took));
                }
                if status != OK {
                    let text = format!("{}: {}", grpc.path, shown(status, &grpc.message));
                    self.handle.failed(Protocol::Grpc, text);
                }
            }
            Kind::Other { name, status } => {
                let failed = !(100..400).contains(status);
                self.handle.measured(&self.user, name, took, failed);
                if failed && *status >= 400 {
                    self.handle.failed(Protocol::Measure, format!("{name}: status {status}"));
                }
            }
        }
    }

    /// There is no response.
    pub(super) fn refused(&mut self, error: &dyn fmt::Display) {
        self.fail(UNAVAILABLE, format!("{error:#}"));
    }

    /// The body of the response broke off.
    pub(super) fn broken(&mut self, error: &dyn fmt::Display) {
        self.fail(UNKNOWN, format!("{error:#}"));
    }

    fn fail(&mut self, code: u32, text: String) {
        if self.over {
            return;
        }
        match &mut self.kind {
            Kind::Grpc(grpc) => {
                grpc.status = Some(code);
                grpc.message = text;
            }
            Kind::Other { name, status } => {
                *status = 0;
                self.handle.failed(Protocol::Measure, format!("{name}: {text}"));
            }
        }
        self.end();
    }

    fn record_bytes(&mut self) {
        let sent = self.sent.bytes.load(Ordering::Relaxed);
        let (sent_before, received_before) =
            std::mem::replace(&mut self.recorded, (sent, self.received_bytes));
        for (metric, bytes) in [
            (Builtin::DataSent, sent - sent_before),
            (Builtin::DataReceived, self.received_bytes - received_before),
        ] {
            if bytes > 0 {
                self.handle.value(&self.user, metric, bytes as f64);
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if let Kind::Grpc(grpc) = &mut self.kind {
            let sent = self.sent.messages.load(Ordering::Relaxed);
            if grpc.status.is_none() && (grpc.received > 0 || sent > 1) {
                // A stream of which the test has seen enough.
                grpc.record_stream(&self.handle, sent);
                self.over = true;
                self.record_bytes();
                return;
            }
            if grpc.status.is_some() {
                // The status was in the headers: there is nothing to read.
                return self.end();
            }
        }
        if matches!(self.kind, Kind::Other { status: 100.., .. }) {
            // The head was all that was wanted.
            return self.end();
        }
        self.fail(CANCELLED, DROPPED.to_owned());
    }
}

impl Grpc {
    fn take_status(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.status = Some(status.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(UNKNOWN));
            let message = headers.get("grpc-message").and_then(|text| text.to_str().ok());
            self.message = message.map(crate::http::percent_decoded).unwrap_or_default();
        }
    }

    /// Records what is new of a stream: that it is one, and its messages.
    fn record_stream(&mut self, handle: &Handle, sent: u64) {
        if self.stream.is_none() {
            let tags = self.tags.clone().with(tag::RPC_TYPE, "streaming");
            handle.value(&tags, Builtin::GrpcStreams, 1.0);
            self.stream = Some((tags, 0, 0));
        }
        if let Some((tags, sent_before, received_before)) = &mut self.stream {
            for (metric, now, before) in [
                (Builtin::GrpcStreamsMsgsSent, sent, sent_before),
                (Builtin::GrpcStreamsMsgsReceived, self.received, received_before),
            ] {
                if now > *before {
                    handle.value(tags, metric, (now - *before) as f64);
                    *before = now;
                }
            }
        }
    }
}

/// A status in words, with its code (gRPC's `Status`).
fn shown(status: u32, message: &str) -> String {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let name = NAMES.get(status as usize).copied().unwrap_or("unknown status");
    if message.is_empty() { format!("{name} ({status})") } else { format!("{name} ({status}): {message}") }
}

/// The code for a response without one (gRPC's "HTTP to gRPC status code mapping").
fn of_http(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the bytes are cut, as many messages are counted as there are.
        #[test]
        fn messages_are_counted_at_any_split(
            lengths in proptest::collection::vec(0usize..300, 0..12),
            step in 1usize..40,
        ) {
            let mut bytes = Vec::new();
            for length in &lengths {
                bytes.push(0);
                bytes.extend((*length as u32).to_be_bytes());
                bytes.resize(bytes.len() + length, 7);
            }
            let mut counter = MessageCounter::default();
            let counted: u64 = bytes.chunks(step).map(|chunk| counter.feed(chunk)).sum();
            prop_assert_eq!(counted, lengths.len() as u64);
        }
    }
}
