//! The boundary between the client's API and what carries requests: [`Transport`].
//!
//! A transport takes a request and yields the response's head, its body or where that comes from, and the
//! phases, noted in a [`Trace`] as they pass. It knows no redirects, cookies, encodings, tags or deadlines: the
//! caller bounds it by dropping its future, upon which a transport must leave nothing half-used behind. Another
//! transport is another implementation of the trait and a line in [`HttpClient::carry`](super::HttpClient).

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::http::{HeaderMap, Method, StatusCode, Version};
use bytes::Bytes;

use super::HttpOptions;
use super::connect::Established;
use super::error::{ErrorKind, Failure};
use super::headers::ResponseHeaders;
use super::io::Traffic;
use super::record::Timings;
use super::target::Target;
use super::upload::Upload;

/// What carries requests: a protocol, with the connections that one virtual user has to speak it.
pub(super) trait Transport {
    /// A connection, or the right to use one.
    type Connection;

    /// A connection to the target's origin that can take a request now.
    fn idle(&self, target: &Target, cx: &mut Context<'_>) -> Option<Self::Connection>;

    /// Starts the protocol on a connection.
    async fn open(&self, target: &Arc<Target>, established: Established)
    -> Result<Self::Connection, Failure>;

    /// Sends a request; the future's result is the response's head.
    fn exchange<'a>(
        &'a self,
        connection: Self::Connection,
        request: &'a TransportRequest<'a>,
        trace: &'a Trace,
    ) -> impl Future<Output = Result<TransportResponse, Attempt>> + 'a;
}

/// A request, ready to go.
#[derive(Clone, Copy)]
pub(super) struct TransportRequest<'a> {
    pub(super) method: &'a Method,
    pub(super) target: &'a Arc<Target>,
    /// The headers of this request alone, without those that frame the body.
    pub(super) headers: &'a HeaderMap,
    /// The `Cookie` header, if there is none among the headers.
    pub(super) cookie: Option<&'a str>,
    /// Whether compressed bodies are asked for, unless the headers say something about it.
    pub(super) accept_encoding: bool,
    pub(super) body: &'a Payload,
    /// With the headers that every request has.
    pub(super) options: &'a HttpOptions,
}

/// What a request carries.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    /// Bytes in memory; none is no body.
    Bytes(Bytes),
    /// What is read while it is sent.
    Upload(Upload),
}

impl Payload {
    /// Its length in bytes, if that is known before it is sent.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Payload::Bytes(bytes) => Some(bytes.len() as u64),
            Payload::Upload(upload) => upload.length,
        }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Payload::Bytes(Bytes::new())
    }
}

/// The head of a response, and its body.
pub(super) struct TransportResponse {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: ResponseHeaders,
    pub(super) remote_addr: Option<SocketAddr>,
    pub(super) body: ResponseBody,
}

/// A response's body.
pub(super) enum ResponseBody {
    /// All of it, already here; the exchange is over.
    Whole(Bytes),
    /// What is still to come.
    Source(Box<dyn BodySource>),
}

/// The chunks of a response body.
pub(super) trait BodySource {
    /// The next chunk; `None` after the last. The source ends the trace and gives its connection back by itself.
    fn poll_chunk(&mut self, cx: &mut Context<'_>, trace: &Trace) -> Poll<Option<Result<Bytes, Failure>>>;
}

/// A failed attempt on a connection.
pub(super) struct Attempt {
    pub(super) failure: Failure,
    pub(super) nothing_written: bool,
    pub(super) nothing_read: bool,
}

impl Attempt {
    /// Whether a reused connection was dead, and repeating the request cannot do anything twice (RFC 9110,
    /// section 9.2.2).
    pub(super) fn may_repeat(&self, method: &Method) -> bool {
        let dead = matches!(
            self.failure.kind,
            ErrorKind::ConnectionClosed
                | ErrorKind::ConnectionReset
                | ErrorKind::BrokenPipe
                | ErrorKind::Network
                // Without an error code, it goes only to requests that the server has not looked at.
                | ErrorKind::Http2GoAway(0)
        );
        dead && self.nothing_read && (self.nothing_written || method.is_idempotent())
    }
}

/// Where an exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    #[default]
    Blocked,
    LookingUp,
    Connecting,
    TlsHandshaking,
    /// From sending to receiving: which it is, the stamps say.
    Exchanging,
}

/// The phases of one exchange, noted while they pass, so that they are known also when the exchange is cut off.
///
/// A thousand of them are under way at once, so it is small: what only new connections have is elsewhere.
#[derive(Default)]
pub(crate) struct Trace {
    phase: Cell<Phase>,
    /// When the phase began; `None` before the clock is started.
    since: Cell<Option<Instant>>,
    stamps: Cell<Stamps>,
    /// What crosses the connection, from these counts on.
    traffic: Cell<Option<(Rc<Traffic>, u64, u64)>>,
    /// Bytes sent and received that are not in the traffic.
    crossed: Cell<(u64, u64)>,
    /// The phases before the exchange proper, if there were any.
    before: RefCell<Option<Box<Before>>>,
    ended: Cell<Option<Instant>>,
}

/// Nanoseconds of the phases before the exchange proper.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    blocked: u64,
    looking_up: u64,
    connecting: u64,
    tls_handshaking: u64,
}

/// The end of an exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed {
    pub(crate) ended: Instant,
    pub(crate) timings: Timings,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
}

/// The time, by the clock that deadlines go by.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Trace {
    /// Starts the clock.
    pub(crate) fn start() -> Self {
        Self { since: Cell::new(Some(now())), ..Self::default() }
    }

    /// When the clock was started, if no phase has ended since.
    pub(super) fn began(&self) -> Instant {
        self.since.get().unwrap_or_else(now)
    }

    /// Ends the running phase and starts another.
    pub(crate) fn enter(&self, phase: Phase) {
        let now = now();
        let before = self.before_with_running(now);
        self.before.replace(Some(Box::new(before)));
        self.phase.set(phase);
        self.since.set(Some(now));
    }

    /// Counts the bytes of a connection from now on.
    pub(crate) fn count(&self, traffic: &Rc<Traffic>) {
        let counts = (Rc::clone(traffic), traffic.sent(), traffic.received());
        self.traffic.set(Some(counts));
    }

    /// Starts the exchange proper, on a connection that was at hand at once: the clock is not asked again.
    pub(super) fn exchange_on_idle(&self, traffic: &Rc<Traffic>) {
        self.phase.set(Phase::Exchanging);
        self.count(traffic);
    }

    /// Starts the exchange proper on a new connection, whose bytes are counted already.
    pub(super) fn exchange_on_new(&self) {
        self.enter(Phase::Exchanging);
        self.stamps.take();
    }

    /// Bytes of the request were handed to the kernel.
    pub(super) fn wrote(&self) {
        self.wrote_at(now());
    }

    /// Bytes of the request were handed to the kernel then.
    pub(super) fn wrote_at(&self, at: Instant) {
        self.stamps.set(Stamps { last_write: Some(self.offset(at)), ..self.stamps.get() });
    }

    /// Bytes of the response came.
    pub(super) fn read(&self) {
        let stamps = self.stamps.get();
        let now = self.offset(now());
        self.stamps.set(Stamps {
            first_read: stamps.first_read.or(Some(now)),
            last_read: Some(now),
            ..stamps
        });
    }

    /// So long after the phase began.
    fn offset(&self, at: Instant) -> Offset {
        Offset::of(nanos(at.saturating_duration_since(self.began())))
    }

    pub(super) fn nothing_written(&self) -> bool {
        self.stamps.get().last_write.is_none()
    }

    pub(super) fn nothing_read(&self) -> bool {
        self.stamps.get().first_read.is_none()
    }

    /// Starts over after a failed attempt. What crossed its socket did cross.
    pub(super) fn start_over(&self) {
        self.leave_connection();
        self.stamps.take();
        self.enter(Phase::Blocked);
    }

    /// Stops the clock now, if it still runs, and says how it went.
    pub(crate) fn seal(&self) -> Sealed {
        if self.ended.get().is_none() {
            self.ended.set(Some(now()));
            self.leave_connection();
        }
        self.sealed()
    }

    /// Stops the clock at the last byte that came.
    pub(super) fn seal_at_last_read(&self) {
        if let (None, Some(last_read)) = (self.ended.get(), self.stamps.get().last_read) {
            self.ended.set(Some(self.began() + Duration::from_nanos(last_read.nanos())));
            self.leave_connection();
        }
        self.seal();
    }

    /// How it went.
    fn sealed(&self) -> Sealed {
        let ended = self.ended.get().unwrap_or_else(now);
        let mut timings = Timings::default();
        let before = match self.phase.get() {
            Phase::Exchanging => {
                exchange_phases(&mut timings, self.stamps.get(), self.offset(ended).nanos());
                self.before.borrow().as_deref().copied()
            }
            _ => Some(self.before_with_running(ended)),
        };
        if let Some(before) = before {
            timings.blocked = before.blocked;
            timings.looking_up = before.looking_up;
            timings.connecting = before.connecting;
            timings.tls_handshaking = before.tls_handshaking;
        }
        let (bytes_sent, bytes_received) = self.crossed.get();
        Sealed { ended, timings, bytes_sent, bytes_received }
    }

    /// What crosses the connection from now on is another's.
    fn leave_connection(&self) {
        if let Some((traffic, sent_before, received_before)) = self.traffic.take() {
            let (sent, received) = self.crossed.get();
            let (more_sent, more_received) =
                (traffic.sent() - sent_before, traffic.received() - received_before);
            self.crossed.set((sent + more_sent, received + more_received));
        }
    }

    /// What the exchange is doing, for the text of a timeout.
    pub(crate) fn doing(&self) -> &'static str {
        match (self.phase.get(), self.stamps.get()) {
            (Phase::Blocked, _) => "waiting for a connection",
            (Phase::LookingUp, _) => "resolving the host",
            (Phase::Connecting, _) => "connecting",
            (Phase::TlsHandshaking, _) => "in the TLS handshake",
            (Phase::Exchanging, Stamps { first_read: Some(_), .. }) => "receiving the response",
            (Phase::Exchanging, Stamps { last_write: Some(_), .. }) => "waiting for the response",
            (Phase::Exchanging, _) => "sending the request",
        }
    }

    /// The earlier phases with the running one added. The time of an attempt that failed is time blocked.
    fn before_with_running(&self, now: Instant) -> Before {
        let elapsed = nanos(now.saturating_duration_since(self.began()));
        let mut before = self.before.borrow().as_deref().copied().unwrap_or_default();
        let field = match self.phase.get() {
            Phase::Blocked | Phase::Exchanging => &mut before.blocked,
            Phase::LookingUp => &mut before.looking_up,
            Phase::Connecting => &mut before.connecting,
            Phase::TlsHandshaking => &mut before.tls_handshaking,
        };
        *field += elapsed;
        before
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace").field("doing", &self.doing()).finish_non_exhaustive()
    }
}

/// When bytes passed a connection during one exchange, from its start.
#[derive(Debug, Clone, Copy, Default)]
struct Stamps {
    last_write: Option<Offset>,
    first_read: Option<Offset>,
    last_read: Option<Offset>,
}

/// Nanoseconds from a start, one more than there are, so that none needs no room of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offset(NonZeroU64);

impl Offset {
    fn of(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    fn nanos(self) -> u64 {
        self.0.get() - 1
    }
}

/// Cuts the `end` nanoseconds of an exchange in sending, waiting and receiving, with nothing left over.
///
/// A response may begin before the request has been sent (a server that refuses an upload): sending then ends
/// with the first byte read. Without any response, the time after the last write is waiting.
fn exchange_phases(timings: &mut Timings, stamps: Stamps, end: u64) {
    let first_read = stamps.first_read.map_or(end, |offset| offset.nanos().min(end));
    let last_write = stamps.last_write.map_or(first_read, |offset| offset.nanos().min(first_read));
    timings.sending = last_write;
    timings.waiting = first_read - last_write;
    timings.receiving = end - first_read;
}

/// Nanoseconds; 584 years fit.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(last_write: Option<u64>, first_read: Option<u64>, end: u64) -> (u64, u64, u64) {
        let first_read = first_read.map(Offset::of);
        let stamps = Stamps { last_write: last_write.map(Offset::of), first_read, last_read: first_read };
        let mut timings = Timings::default();
        exchange_phases(&mut timings, stamps, end);
        assert_eq!(timings.duration_nanos(), end);
        (timings.sending, timings.waiting, timings.receiving)
    }

    #[test]
    fn phases_leave_nothing_over() {
        assert_eq!(phases(Some(10), Some(40), 100), (10, 30, 60));
        assert_eq!(phases(Some(10), None, 100), (10, 90, 0));
        assert_eq!(phases(None, None, 100), (100, 0, 0));
        assert_eq!(phases(Some(60), Some(40), 100), (40, 0, 60));
    }
}
