//! The boundary between the client's API and what carries requests: [`Transport`].
//!
//! A transport takes a prepared request and yields the response's head, a source of body chunks, and the
//! phases, noted in a [`Trace`] as they pass. It knows no redirects, cookies, encodings, tags or deadlines:
//! the caller bounds it by dropping its future, upon which a transport must leave nothing half-used behind.
//! Another transport is another implementation of the trait, chosen in [`HttpClient`](super::HttpClient).

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::http::{HeaderMap, Method, StatusCode, Version};
use bytes::Bytes;

use super::error::Failure;
use super::io::Meter;
use super::record::Timings;
use super::target::Target;

/// A future of one thread.
pub(super) type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What carries requests.
pub(super) trait Transport {
    /// Sends a request and returns when the response's head is there. Notes its progress in `trace`, whose
    /// end the returned body notes too.
    fn send<'a>(
        &'a self,
        request: &'a TransportRequest,
        trace: &'a Rc<Trace>,
    ) -> LocalFuture<'a, Result<TransportResponse, Failure>>;
}

/// A request, ready to go.
pub(super) struct TransportRequest {
    pub(super) method: Method,
    pub(super) target: Arc<Target>,
    /// All headers, `Host` included, except those that frame the body.
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The head of a response, and its body to come.
pub(super) struct TransportResponse {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) remote_addr: SocketAddr,
    pub(super) body: Box<dyn BodySource>,
}

/// The chunks of a response body.
pub(super) trait BodySource {
    /// The next chunk; `None` after the last. The source gives its connection back by itself.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>>;
}

/// Where an exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Blocked,
    LookingUp,
    Connecting,
    TlsHandshaking,
    /// From sending to receiving: what is when is seen by the [`Meter`].
    Exchanging,
}

/// The phases of one exchange, noted while they pass, so that they are known also when the exchange is cut off.
#[derive(Debug)]
pub(super) struct Trace {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// Nanoseconds of the phases before the exchange proper.
    before: Cell<Timings>,
    meter: RefCell<Option<Rc<Meter>>>,
    /// Bytes of an attempt on a connection that turned out to be dead.
    earlier: Cell<(u64, u64)>,
    sealed: Cell<Option<Sealed>>,
}

/// The end of an exchange.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealed {
    pub(super) ended: Instant,
    pub(super) timings: Timings,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
}

impl Trace {
    /// Starts the clock.
    pub(super) fn start() -> Rc<Self> {
        Rc::new(Self {
            phase: Cell::new(Phase::Blocked),
            since: Cell::new(Instant::now()),
            before: Cell::default(),
            meter: RefCell::default(),
            earlier: Cell::default(),
            sealed: Cell::default(),
        })
    }

    /// Ends the running phase and starts another.
    pub(super) fn enter(&self, phase: Phase) {
        let now = Instant::now();
        self.before.set(self.before_with_running(now));
        self.phase.set(phase);
        self.since.set(now);
    }

    /// Starts the exchange proper on a connection.
    pub(super) fn exchange_on(&self, meter: &Rc<Meter>) {
        self.enter(Phase::Exchanging);
        meter.forget_stamps();
        self.meter.replace(Some(Rc::clone(meter)));
    }

    /// Counts the bytes of a connection that is being established.
    pub(super) fn count(&self, meter: &Rc<Meter>) {
        self.meter.replace(Some(Rc::clone(meter)));
    }

    /// Starts over after a failed attempt. What crossed its socket did cross.
    pub(super) fn start_over(&self) {
        if let Some(meter) = self.meter.take() {
            let (sent, received) = self.earlier.get();
            self.earlier.set((sent + meter.sent(), received + meter.received()));
        }
        self.enter(Phase::Blocked);
    }

    /// Stops the clock, if it still runs, and says how it went.
    pub(super) fn seal(&self) -> Sealed {
        if let Some(sealed) = self.sealed.get() {
            return sealed;
        }
        let ended = Instant::now();
        let mut timings = self.before.get();
        let meter = self.meter.take();
        if self.phase.get() == Phase::Exchanging {
            let stamps = meter.as_ref().map(|meter| meter.stamps()).unwrap_or_default();
            exchange_phases(&mut timings, self.since.get(), stamps, ended);
        } else {
            timings = self.before_with_running(ended);
        }
        let (sent, received) = self.earlier.get();
        let (more_sent, more_received) = meter.map_or((0, 0), |meter| (meter.sent(), meter.received()));
        let sealed =
            Sealed { ended, timings, bytes_sent: sent + more_sent, bytes_received: received + more_received };
        self.sealed.set(Some(sealed));
        sealed
    }

    /// What the exchange is doing, for the text of a timeout.
    pub(super) fn doing(&self) -> &'static str {
        match self.phase.get() {
            Phase::Blocked => "waiting for a connection",
            Phase::LookingUp => "resolving the host",
            Phase::Connecting => "connecting",
            Phase::TlsHandshaking => "in the TLS handshake",
            Phase::Exchanging => match self.meter.borrow().as_ref().map(|meter| meter.stamps()) {
                Some(Stamps { first_read: Some(_), .. }) => "receiving the response",
                Some(Stamps { last_write: Some(_), .. }) => "waiting for the response",
                _ => "sending the request",
            },
        }
    }

    /// The earlier phases with the running one added. The time of an attempt that failed is time blocked.
    fn before_with_running(&self, now: Instant) -> Timings {
        let elapsed = nanos(now.saturating_duration_since(self.since.get()));
        let mut before = self.before.get();
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

/// When bytes passed a connection during one exchange.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stamps {
    pub(super) last_write: Option<Instant>,
    pub(super) first_read: Option<Instant>,
}

/// Cuts the time from `start` to `end` in sending, waiting and receiving, with nothing left over.
///
/// A response may begin before the request has been sent (a server that refuses an upload): sending then ends
/// with the first byte read. Without any response, the time after the last write is waiting.
fn exchange_phases(timings: &mut Timings, start: Instant, stamps: Stamps, end: Instant) {
    let first_read = stamps.first_read.unwrap_or(end).clamp(start, end);
    let last_write = match stamps.last_write {
        Some(instant) => instant.clamp(start, first_read),
        None => first_read,
    };
    timings.sending = nanos(last_write - start);
    timings.waiting = nanos(first_read - last_write);
    timings.receiving = nanos(end - first_read);
}

/// Nanoseconds; 584 years fit.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(last_write: Option<u64>, first_read: Option<u64>, end: u64) -> (u64, u64, u64) {
        let start = Instant::now();
        let at = |offset: u64| start + Duration::from_nanos(offset);
        let stamps = Stamps { last_write: last_write.map(at), first_read: first_read.map(at) };
        let mut timings = Timings::default();
        exchange_phases(&mut timings, start, stamps, at(end));
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
