//! [`Connection`]: one exchange after another, up to the head of each response.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::http::{Method, StatusCode};
use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};

use super::super::connect::Established;
use super::super::error::{ErrorKind, Failure};
use super::super::headers::ResponseHeaders;
use super::super::io::{Stream, Traffic};
use super::super::target::Target;
use super::super::transport::{Trace, TransportRequest};
use super::codec::{Framing, Head, invalid};
use super::heads;
use super::outgoing::{Outgoing, Sending};

/// The most that one read takes.
const READ: usize = 64 * 1024;
/// Interim responses before one response; a server that sends more means no good.
const MAX_INTERIM: u32 = 16;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// A connection and what is known of it.
pub(in super::super) struct Connection {
    stream: Stream,
    remote_addr: Option<SocketAddr>,
    traffic: Rc<Traffic>,
    /// Any target of its origin.
    origin: Arc<Target>,
    inbox: Inbox,
    is_new: bool,
    /// Whether nothing is left on it of the exchange before, and the server keeps it open.
    reusable: bool,
}

/// A response's head has arrived, perhaps with all of its body.
pub(super) struct Arrived {
    pub(super) head: Head,
    pub(super) headers: ResponseHeaders,
    /// The body, if it came along.
    pub(super) whole: Option<Bytes>,
    /// Bytes that came after the whole body, which nobody asked for.
    pub(super) excess: usize,
}

/// What was read and belongs to a response that is not complete.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// Interim responses so far.
    interim: u32,
}

impl Connection {
    pub(super) fn new(origin: Arc<Target>, established: Established) -> Self {
        let Established { stream, remote_addr, .. } = established;
        let traffic = Rc::clone(stream.traffic());
        Self { stream, remote_addr, traffic, origin, inbox: Inbox::default(), is_new: true, reusable: false }
    }

    pub(super) fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote_addr
    }

    pub(super) fn origin(&self) -> &Arc<Target> {
        &self.origin
    }

    pub(super) fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// Starts an exchange.
    pub(super) fn begin(&mut self, trace: &Trace) {
        match std::mem::replace(&mut self.is_new, false) {
            true => trace.exchange_on_new(),
            false => trace.exchange_on_idle(&self.traffic),
        }
        self.inbox.interim = 0;
        self.reusable = false;
    }

    /// Whether an idle connection can still be used: nothing has come that nobody asked for, an end included.
    pub(super) fn is_alive(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// Sends the request and reads the head of its response.
    ///
    /// Both go on at once: a server may answer before it has read everything. What it says then counts, even if
    /// it has closed its ear.
    pub(super) fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing<'_>,
        trace: &Trace,
    ) -> Poll<Result<Arrived, Failure>> {
        if outgoing.is_opening() {
            ready!(outgoing.poll_open(cx));
            // What came while the upload was being opened answers nothing: the connection is as good as dead.
            if !self.is_alive(cx) {
                return Poll::Ready(Err(closed("before the request was sent")));
            }
        }
        let sent = outgoing.poll_send(cx, &mut self.stream, trace);
        let arrived = self.poll_head(cx, outgoing.request(), trace);
        match (arrived, sent) {
            (Poll::Ready(Ok(arrived)), sent) => {
                let reusable = arrived.head.keep_alive && arrived.excess == 0 && !outgoing.says_close();
                self.reusable = reusable && !matches!(sent, Poll::Ready(Err(_)));
                Poll::Ready(Ok(arrived))
            }
            // The response may be here already, and the reactor not have said so yet. If it is not, the end of the
            // connection is.
            (Poll::Pending, Poll::Ready(Err(failure))) if is_of_connection(&failure) => Poll::Pending,
            (Poll::Ready(Err(_)) | Poll::Pending, Poll::Ready(Err(failure))) => Poll::Ready(Err(failure)),
            (arrived, _) => arrived,
        }
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        request: &TransportRequest<'_>,
        trace: &Trace,
    ) -> Poll<Result<Arrived, Failure>> {
        loop {
            let arrived = ready!(self.poll_read(cx, trace, |connection, bytes| {
                connection.inbox.take_head(bytes, request.method, request.target)
            }))??;
            if let Some(arrived) = arrived {
                return Poll::Ready(Ok(arrived));
            }
        }
    }

    /// Reads once into the thread's buffer; nothing is the end of the connection.
    pub(super) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        trace: &Trace,
        take: impl FnOnce(&mut Self, &[u8]) -> T,
    ) -> Poll<Result<T, Failure>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
            read.map_err(|error| Failure::from_io(&error))?;
            let bytes = buf.filled();
            if !bytes.is_empty() {
                trace.read();
            }
            Poll::Ready(Ok(take(self, bytes)))
        })
    }

    /// What was read and not used.
    pub(super) fn take_inbox(&mut self) -> Vec<u8> {
        self.inbox.take()
    }

    /// Sends what the server had not waited for; a server that has closed its ear may go on talking.
    pub(super) fn poll_rest(
        &mut self,
        cx: &mut Context<'_>,
        rest: &mut Sending,
        trace: &Trace,
    ) -> Poll<Result<(), Failure>> {
        match ready!(rest.poll_send(cx, &mut self.stream, trace)) {
            Err(failure) if is_of_connection(&failure) => {
                self.reusable = false;
                Poll::Ready(Ok(()))
            }
            other => Poll::Ready(other),
        }
    }

    /// The response is complete, and this is what came after it: nothing, if the connection is to be used again.
    pub(super) fn end(&mut self, excess: usize) {
        self.reusable &= excess == 0;
    }
}

impl Inbox {
    /// Reads on to the head of the response to `method` of `target`; `None` if there is more of it to come. No bytes
    /// are the end of the connection. What follows the head is kept, unless the whole body came along.
    pub(super) fn take_head(
        &mut self,
        bytes: &[u8],
        method: &Method,
        target: &Arc<Target>,
    ) -> Result<Option<Arrived>, Failure> {
        if bytes.is_empty() {
            return Err(closed("before the response"));
        }
        if self.bytes.is_empty() {
            return self.parse(bytes, method, target);
        }
        let mut kept = self.take();
        kept.extend_from_slice(bytes);
        self.parse(&kept, method, target)
    }

    /// What was read and not used.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    fn parse(
        &mut self,
        bytes: &[u8],
        method: &Method,
        target: &Arc<Target>,
    ) -> Result<Option<Arrived>, Failure> {
        let mut rest = bytes;
        loop {
            let Some((head, headers)) = heads::read(rest, method, target)? else {
                self.bytes.extend_from_slice(rest);
                return Ok(None);
            };
            if head.status.is_informational() {
                if head.status == StatusCode::SWITCHING_PROTOCOLS {
                    return Err(invalid("the server switches to another protocol, which nobody asked for"));
                }
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Err(invalid(format!("more than {MAX_INTERIM} interim responses")));
                }
                rest = &rest[head.length..];
                continue;
            }
            let after = &rest[head.length..];
            let whole = match head.framing {
                Framing::Length(length) => {
                    usize::try_from(length).ok().filter(|length| *length <= after.len())
                }
                Framing::Chunked | Framing::UntilClose => None,
            };
            let excess = match whole {
                Some(length) => after.len() - length,
                None => {
                    self.bytes.extend_from_slice(after);
                    0
                }
            };
            let whole = whole.map(|length| Bytes::copy_from_slice(&after[..length]));
            return Ok(Some(Arrived { head, headers, whole, excess }));
        }
    }
}

/// Whether the server does not listen any more, which does not keep it from talking.
fn is_of_connection(failure: &Failure) -> bool {
    matches!(failure.kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

/// The server closed the connection too early.
pub(super) fn closed(when: &str) -> Failure {
    let kind = ErrorKind::ConnectionClosed;
    Failure::new(kind, format!("{kind}: the server closed it {when}"))
}
