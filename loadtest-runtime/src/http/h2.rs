//! [`H2Transport`]: HTTP/2 (RFC 9113) by the `h2` crate, with one connection per virtual user and origin.
//!
//! Several requests share a connection, each on a stream of its own; as many at once as the server says, the
//! others are blocked until one is over. What drives a connection is said in [`driver`]. Trailers of responses
//! and pushed responses are of no use here and ignored.
//!
//! Phases are those of a stream: `sending` ends when the last frame of the request has reached the kernel. The
//! bytes of a connection are counted once: each goes to the exchange that moved on next, so that those of
//! exchanges at the same time are shared between them, and their sum is right.
//!
//! A server that goes away (`GOAWAY`) or closes is left; a request that it has not looked at is sent once more,
//! on a fresh connection, by the caller.

mod driver;
mod message;
mod watched;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ::http::header::CONTENT_LENGTH;
use ::http::{HeaderMap, Version};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use tokio::sync::{Mutex, OwnedMutexGuard};

use self::driver::{Driver, Waiting};
use self::message::{Body, Outgoing};
use self::watched::{Departure, Departures, Watched};
use super::HttpOptions;
use super::connect::Established;
use super::error::{ErrorKind, Failure};
use super::headers::ResponseHeaders;
use super::io::Traffic;
use super::options::HttpVersion;
use super::target::Target;
use super::transport::{
    Attempt, BodySource, ResponseBody, Trace, Transport, TransportRequest, TransportResponse,
};

/// What a server may send before it must wait: on one stream, and on all of a connection.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 5 * 1024 * 1024;
/// The most bytes of a response's head, decompressed.
const HEAD_LIMIT: u32 = 256 * 1024;

/// The transport of one virtual user.
pub(super) struct H2Transport {
    options: Arc<HttpOptions>,
    /// A user talks to few origins, so they are searched one by one.
    origins: RefCell<Vec<Origin>>,
}

/// What is known of one origin.
struct Origin {
    /// Any target of that origin.
    target: Arc<Target>,
    link: Option<Rc<Link>>,
    /// Held by whoever makes the first connection.
    opening: Arc<Mutex<()>>,
    /// Whether it turned out to speak HTTP/1.1.
    is_http1: bool,
}

/// The turn to make the first connection to an origin.
pub(super) struct Turn {
    _opening: OwnedMutexGuard<()>,
}

impl H2Transport {
    /// A transport without connections.
    pub(super) fn new(options: Arc<HttpOptions>) -> Self {
        Self { options, origins: RefCell::default() }
    }

    /// Closes the connections; requests under way keep theirs until they are over.
    pub(super) fn close_idle(&self) {
        self.origins.borrow_mut().iter_mut().for_each(|origin| origin.link = None);
    }

    /// Waits while another request connects to the same origin, if that may become a connection for both. The
    /// turn is to be held until the connection is open. There is none where nobody need wait for others, or where
    /// there is an [idle](Transport::idle) connection meanwhile.
    pub(super) async fn turn(&self, target: &Arc<Target>) -> Option<Turn> {
        let shared = match self.options.http_version {
            HttpVersion::Http11 => false,
            HttpVersion::Auto => target.https,
            HttpVersion::Http2 => true,
        };
        if !shared || self.options.no_connection_reuse || self.with_origin(target, |origin| origin.is_http1) {
            return None;
        }
        let opening = self.with_origin(target, |origin| Arc::clone(&origin.opening));
        let turn = Turn { _opening: opening.lock_owned().await };
        let needed = self.with_origin(target, |origin| !origin.is_http1 && origin.link.is_none());
        needed.then_some(turn)
    }

    /// Notes that an origin speaks HTTP/1.1, whose connections are not shared: nobody waits there any more.
    pub(super) fn is_http1(&self, target: &Arc<Target>, _: Turn) {
        self.with_origin(target, |origin| origin.is_http1 = true);
    }

    fn with_origin<T>(&self, target: &Arc<Target>, act: impl FnOnce(&mut Origin) -> T) -> T {
        let mut origins = self.origins.borrow_mut();
        let found = origins.iter().position(|origin| origin.target.same_origin(target));
        let index = found.unwrap_or_else(|| {
            let (target, opening) = (Arc::clone(target), Arc::default());
            origins.push(Origin { target, link: None, opening, is_http1: false });
            origins.len() - 1
        });
        act(&mut origins[index])
    }
}

/// The right to send one request on a connection.
pub(super) struct Connection {
    link: Rc<Link>,
    is_new: bool,
}

/// A connection.
struct Link {
    sender: SendRequest<Bytes>,
    driver: Driver,
    departures: Rc<Departures>,
    remote_addr: Option<SocketAddr>,
    traffic: Rc<Traffic>,
    /// The bytes sent and received that exchanges have taken as theirs.
    taken: Cell<(u64, u64)>,
    /// Streams in use.
    streams: Cell<usize>,
    /// Who waits for one.
    waiting: Waiting,
}

impl Link {
    /// What an error of a stream means: if the connection ended under it, why it did.
    fn failure(&self, error: &h2::Error) -> Failure {
        let mut unwoken = Context::from_waker(Waker::noop());
        match self.sender.clone().poll_ready(&mut unwoken) {
            Poll::Ready(Err(cause))
                if error.is_io() && cause.is_go_away() && cause.reason() != Some(Reason::NO_ERROR) =>
            {
                failure(&cause)
            }
            _ => failure(error),
        }
    }
}

impl Transport for H2Transport {
    type Connection = Connection;

    fn idle(&self, target: &Target, cx: &mut Context<'_>) -> Option<Connection> {
        let mut origins = self.origins.borrow_mut();
        let origin = origins.iter_mut().find(|origin| origin.target.same_origin(target))?;
        let link = origin.link.as_ref()?;
        link.driver.drive(cx);
        if let Poll::Ready(Ok(())) = link.sender.clone().poll_ready(cx) {
            return Some(Connection { link: Rc::clone(link), is_new: false });
        }
        origin.link = None;
        None
    }

    async fn open(&self, target: &Arc<Target>, established: Established) -> Result<Connection, Failure> {
        let Established { stream, remote_addr, .. } = established;
        let traffic = Rc::clone(stream.traffic());
        let departures = Rc::<Departures>::default();
        let (sender, connection) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD_LIMIT)
            .handshake(Watched { stream, departures: Rc::clone(&departures) })
            .await
            .map_err(|error| failure(&error))?;
        let link = Rc::new(Link {
            sender,
            driver: Driver::new(connection),
            departures,
            remote_addr,
            traffic,
            taken: Cell::default(),
            streams: Cell::default(),
            waiting: Waiting::default(),
        });
        if !self.options.no_connection_reuse {
            self.with_origin(target, |origin| origin.link = Some(Rc::clone(&link)));
        }
        Ok(Connection { link, is_new: true })
    }

    async fn exchange<'a>(
        &'a self,
        connection: Connection,
        request: &'a TransportRequest<'a>,
        trace: &'a Trace,
    ) -> Result<TransportResponse, Attempt> {
        let (share, waited) = Share::of(connection.link).await;
        match connection.is_new || waited {
            true => trace.exchange_on_new(),
            false => trace.exchange_on_idle(&share.traffic),
        }
        trace.count(&share.traffic);
        share.take_bytes();
        let noting = Noting { share: &share, trace };
        let result = send(&share, request, trace).await;
        drop(noting);
        let (head, mut body) = result.map_err(|failure| {
            let unseen = failure.kind == ErrorKind::Http2GoAway(0);
            Attempt {
                failure,
                nothing_written: unseen || trace.nothing_written(),
                nothing_read: trace.nothing_read(),
            }
        })?;
        let remote_addr = share.link.remote_addr;
        body.share = Some(share);
        // Most bodies are one chunk that is here already.
        let body = match poll_fn(|cx| Poll::Ready(body.poll_chunk(cx, trace))).await {
            Poll::Ready(None) => ResponseBody::Whole(Bytes::new()),
            Poll::Ready(Some(Ok(chunk))) if body.is_at_end() => {
                body.end(trace);
                ResponseBody::Whole(chunk)
            }
            Poll::Ready(first) => {
                body.first = first;
                ResponseBody::Source(Box::new(body))
            }
            Poll::Pending => ResponseBody::Source(Box::new(body)),
        };
        Ok(TransportResponse {
            status: head.status,
            version: Version::HTTP_2,
            headers: ResponseHeaders::of_map(head.headers),
            remote_addr,
            body,
        })
    }
}

/// Sends a request and waits for the head of its response.
async fn send(
    share: &Share,
    request: &TransportRequest<'_>,
    trace: &Trace,
) -> Result<(::http::response::Parts, H2Body), Failure> {
    let link = &share.link;
    let head = message::head(request)?;
    let body = Body::open(request.body).await?;
    let (mut response, mut outgoing) = begin(share, head, body)?;
    let arrived = poll_fn(|cx| {
        link.driver.drive(cx);
        poll_outgoing(&mut outgoing, share, cx)?;
        Pin::new(&mut response).poll(cx).map_err(|error| link.failure(&error))
    });
    let result = arrived.await;
    share.take_bytes();
    let (head, incoming) = result?.into_parts();
    trace.read();
    let announced = announced(&head.headers);
    let body = H2Body { incoming, outgoing, share: None, first: None, announced, received: 0 };
    Ok((head, body))
}

fn begin(
    share: &Share,
    head: ::http::Request<()>,
    body: Option<Body>,
) -> Result<(ResponseFuture, Option<Outgoing>), Failure> {
    share.link.departures.add(&share.departure);
    share.departure.handed_over.set(body.is_none());
    let mut sender = share.link.sender.clone();
    let sent = sender.send_request(head, body.is_none());
    let (response, stream) = sent.map_err(|error| failure(&error))?;
    Ok((response, body.map(|body| Outgoing { body, stream })))
}

/// Sends what is left of a request's body.
fn poll_outgoing(
    outgoing: &mut Option<Outgoing>,
    share: &Share,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    if let Some(sending) = outgoing
        && let Poll::Ready(result) = sending.poll_send(cx)
    {
        *outgoing = None;
        share.departure.handed_over.set(true);
        result?;
    }
    Ok(())
}

/// The length that a response's body is said to have.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// One stream's share of its connection.
struct Share {
    link: Rc<Link>,
    departure: Rc<Departure>,
    traffic: Rc<Traffic>,
}

impl Share {
    /// The share of a new stream, and whether it had to be waited for.
    async fn of(link: Rc<Link>) -> (Self, bool) {
        let mut waited = false;
        driver::until(&link.waiting, |cx| {
            link.driver.drive(cx);
            // A server that takes none at all for now is the library's to wait for.
            let streams = link.streams.get();
            let free = streams == 0 || streams < link.sender.current_max_send_streams();
            waited |= !free;
            // Whoever waits on a connection that is over learns that from sending.
            (free || !matches!(link.sender.clone().poll_ready(cx), Poll::Ready(Ok(())))).then_some(())
        })
        .await;
        link.streams.set(link.streams.get() + 1);
        (Self { link, departure: Rc::default(), traffic: Rc::default() }, waited)
    }

    /// Takes the bytes that crossed the connection and that nobody has taken.
    fn take_bytes(&self) {
        let (sent, received) = (self.link.traffic.sent(), self.link.traffic.received());
        let (taken_sent, taken_received) = self.link.taken.replace((sent, received));
        self.traffic.add(sent - taken_sent, received - taken_received);
    }

    /// Tells when the request had left.
    fn note_departure(&self, trace: &Trace) {
        if let Some(left) = self.departure.left.take() {
            trace.wrote_at(left);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.link.streams.set(self.link.streams.get() - 1);
        self.link.waiting.wake_all();
    }
}

/// Notes how far an exchange came, also when it is cut off.
struct Noting<'a> {
    share: &'a Share,
    trace: &'a Trace,
}

impl Drop for Noting<'_> {
    fn drop(&mut self) {
        self.share.take_bytes();
        self.share.note_departure(self.trace);
    }
}

/// The body of a response; with it goes the rest of an upload that was answered early.
struct H2Body {
    incoming: RecvStream,
    outgoing: Option<Outgoing>,
    /// `None` once the exchange is over.
    share: Option<Share>,
    /// A chunk that came with the head.
    first: Option<Result<Bytes, Failure>>,
    announced: Option<u64>,
    received: u64,
}

impl H2Body {
    /// Whether no chunk can come any more.
    fn is_at_end(&self) -> bool {
        self.incoming.is_end_stream() && self.outgoing.is_none()
    }

    /// Ends the exchange at the last byte that came.
    fn end(&mut self, trace: &Trace) {
        if let Some(share) = self.share.take() {
            share.take_bytes();
            share.note_departure(trace);
        }
        trace.seal_at_last_read();
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, trace: &Trace) -> Poll<Result<Option<Bytes>, Failure>> {
        loop {
            let Some(share) = &self.share else { return Poll::Ready(Ok(None)) };
            share.link.driver.drive(cx);
            poll_outgoing(&mut self.outgoing, share, cx)?;
            let was_at_end = self.incoming.is_end_stream();
            match self.incoming.poll_data(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(chunk))) => {
                    // What the peer may send is bounded by what was not given back here; it can't be too much.
                    let _ = self.incoming.flow_control().release_capacity(chunk.len());
                    self.received += chunk.len() as u64;
                    trace.read();
                    share.take_bytes();
                    if !chunk.is_empty() {
                        return Poll::Ready(Ok(Some(chunk)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    // A server that has answered in full says so when it wants no more of the request.
                    let whole = self.announced.is_none_or(|announced| announced == self.received);
                    if error.is_remote()
                        && error.is_reset()
                        && error.reason() == Some(Reason::NO_ERROR)
                        && whole
                    {
                        self.end(trace);
                        return Poll::Ready(Ok(None));
                    }
                    return Poll::Ready(Err(share.link.failure(&error)));
                }
                Poll::Ready(None) => {
                    if !was_at_end {
                        // The end came by itself, after the last chunk.
                        trace.read();
                    }
                    self.end(trace);
                    return Poll::Ready(Ok(None));
                }
            }
        }
    }
}

impl BodySource for H2Body {
    fn poll_chunk(&mut self, cx: &mut Context<'_>, trace: &Trace) -> Poll<Option<Result<Bytes, Failure>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let next = std::task::ready!(self.poll_next(cx, trace));
        if next.is_err() {
            if let Some(share) = self.share.take() {
                share.take_bytes();
                share.note_departure(trace);
            }
            trace.seal();
        }
        Poll::Ready(next.transpose())
    }
}

impl Drop for H2Body {
    fn drop(&mut self) {
        // The next exchange must not pay for what this one read.
        if let Some(share) = &self.share {
            share.take_bytes();
        }
    }
}

/// What an error of HTTP/2 means.
fn failure(error: &h2::Error) -> Failure {
    if let Some(io) = error.get_io() {
        return match io.kind() {
            // The end of the connection, in the words of the library.
            io::ErrorKind::BrokenPipe if io.raw_os_error().is_none() => {
                Failure::new(ErrorKind::ConnectionClosed, "http/2: the server closed the connection")
            }
            // Only TLS finds data invalid; frames that are have an error of their own.
            io::ErrorKind::InvalidData => Failure::new(ErrorKind::Tls, format!("tls: {io}")),
            _ => Failure::from_io(io),
        };
    }
    let code = error.reason().map(|reason| u8::try_from(u32::from(reason)).unwrap_or(u8::MAX));
    let kind = match code {
        Some(code) if error.is_go_away() && error.is_remote() => ErrorKind::Http2GoAway(code),
        Some(code) if error.is_go_away() => ErrorKind::Http2Connection(code),
        Some(code) if error.is_reset() => ErrorKind::Http2Stream(code),
        _ => ErrorKind::Http2,
    };
    // With it comes what the server wrote to explain it, of any length.
    let text: String = format!("http/2: {error}").chars().take(200).collect();
    Failure::new(kind, text)
}
