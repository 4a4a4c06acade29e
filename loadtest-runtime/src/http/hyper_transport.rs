//! [`HyperTransport`]: HTTP/1.1 through hyper's connection API, with a pool of its own per virtual user.
//!
//! A connection is driven by the request that uses it, inside the request's own future: no task is spawned, no
//! wake-up crosses tasks, and a request that is dropped takes its connection with it, so that a half-used one
//! never returns to the pool. An idle connection is not driven; whether it died in the meantime is looked at
//! when it is taken out. If it dies between that look and the first byte of the response, the request is sent
//! once more on a fresh connection, provided that this cannot do anything twice (RFC 9110, section 9.2.2).

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::{Method, Request, Response, Uri, Version};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use tokio::net::TcpStream;
use url::Host;

use super::HttpOptions;
use super::dns;
use super::error::{ErrorKind, Failure};
use super::io::{Counted, HyperIo, Meter, Stream};
use super::target::Target;
use super::transport::{
    BodySource, LocalFuture, Phase, Trace, Transport, TransportRequest, TransportResponse,
};

/// Idle connections kept per origin; more are closed. A user that sends more requests at once than this pays
/// with new connections.
const IDLE_PER_ORIGIN: usize = 64;

/// The transport of one virtual user.
pub(super) struct HyperTransport {
    options: Arc<HttpOptions>,
    pool: Rc<Pool>,
}

impl HyperTransport {
    pub(super) fn new(options: Arc<HttpOptions>) -> Self {
        Self { options, pool: Rc::default() }
    }

    async fn send(
        &self,
        request: &TransportRequest,
        trace: &Rc<Trace>,
    ) -> Result<TransportResponse, Failure> {
        if let Some(connection) = poll_fn(|cx| Poll::Ready(self.pool.take(&request.target, cx))).await {
            match self.send_on(connection, request, trace).await {
                Err(attempt) if attempt.may_repeat(&request.method) => trace.start_over(),
                result => return result.map_err(|attempt| attempt.failure),
            }
        }
        let connection = self.connect(&request.target, trace).await?;
        self.send_on(connection, request, trace).await.map_err(|attempt| attempt.failure)
    }

    async fn connect(&self, target: &Target, trace: &Trace) -> Result<Connection, Failure> {
        let addresses: Rc<[IpAddr]> = match target.host() {
            Host::Ipv4(address) => Rc::new([address.into()]),
            Host::Ipv6(address) => Rc::new([address.into()]),
            Host::Domain(name) => {
                trace.enter(Phase::LookingUp);
                dns::resolve(name).await?
            }
        };
        trace.enter(Phase::Connecting);
        let limit = self.options.connect_timeout;
        let establish = async {
            let (tcp, remote_addr) = connect_any(&addresses, target.port).await?;
            let meter = Rc::new(Meter::default());
            let stream = Counted::new(tcp, Rc::clone(&meter));
            let stream = if target.https {
                trace.enter(Phase::TlsHandshaking);
                trace.count(&meter);
                self.secure(target, stream).await?
            } else {
                Stream::Plain(stream)
            };
            Ok((stream, remote_addr, meter))
        };
        let (stream, remote_addr, meter) =
            tokio::time::timeout(limit, establish).await.unwrap_or_else(|_| {
                let text = format!("no connection after {limit:?}, {}", trace.doing());
                Err(Failure::new(ErrorKind::ConnectTimeout, text))
            })?;
        let io = HyperIo::new(stream, Rc::clone(&meter));
        let (sender, driver) =
            http1::Builder::new().handshake(io).await.map_err(|error| hyper_failure(&error))?;
        let driver = Box::pin(driver);
        Ok(Connection { sender, driver, meter, remote_addr, finished: None })
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, target: &Target, stream: Counted) -> Result<Stream, Failure> {
        let stream = super::tls::handshake(&self.options, target, stream).await?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(&self, _: &Target, _: Counted) -> Result<Stream, Failure> {
        let failure = Failure::new(ErrorKind::NoTlsProvider, "built without https");
        Err(failure.with_hint("enable the feature `tls` of loadtest-runtime"))
    }

    async fn send_on(
        &self,
        mut connection: Connection,
        request: &TransportRequest,
        trace: &Rc<Trace>,
    ) -> Result<TransportResponse, Attempt> {
        trace.exchange_on(&connection.meter);
        let outcome = connection.exchange(request).await;
        match outcome {
            Ok(response) => {
                let (head, incoming) = response.into_parts();
                let remote_addr = connection.remote_addr;
                let body = HyperBody {
                    incoming,
                    connection: Some(connection),
                    pool: Rc::clone(&self.pool),
                    target: Arc::clone(&request.target),
                    trace: Rc::clone(trace),
                };
                let (status, version, headers) = (head.status, head.version, head.headers);
                Ok(TransportResponse { status, version, headers, remote_addr, body: Box::new(body) })
            }
            Err(failure) => Err(Attempt {
                failure,
                nothing_written: connection.meter.stamps().last_write.is_none(),
                nothing_read: connection.meter.stamps().first_read.is_none(),
            }),
        }
    }
}

impl Transport for HyperTransport {
    fn send<'a>(
        &'a self,
        request: &'a TransportRequest,
        trace: &'a Rc<Trace>,
    ) -> LocalFuture<'a, Result<TransportResponse, Failure>> {
        Box::pin(self.send(request, trace))
    }
}

/// Tries the addresses in their order; the failure is that of the first.
async fn connect_any(addresses: &[IpAddr], port: u16) -> Result<(TcpStream, SocketAddr), Failure> {
    let mut first_failure = None;
    for address in addresses {
        let remote_addr = SocketAddr::new(*address, port);
        match TcpStream::connect(remote_addr).await {
            Ok(stream) => {
                // A small request must not wait for the acknowledgement of the one before.
                stream.set_nodelay(true).map_err(|error| Failure::from_connect(&error))?;
                return Ok((stream, remote_addr));
            }
            Err(error) => _ = first_failure.get_or_insert_with(|| Failure::from_connect(&error)),
        }
    }
    Err(first_failure.unwrap_or_else(|| Failure::new(ErrorKind::HostNotFound, "the host has no address")))
}

/// A failed attempt on a connection.
struct Attempt {
    failure: Failure,
    nothing_written: bool,
    nothing_read: bool,
}

impl Attempt {
    /// Whether a reused connection was dead, and repeating the request cannot do anything twice.
    fn may_repeat(&self, method: &Method) -> bool {
        let dead = matches!(
            self.failure.kind,
            ErrorKind::ConnectionClosed
                | ErrorKind::ConnectionReset
                | ErrorKind::BrokenPipe
                | ErrorKind::Network
        );
        dead && self.nothing_read && (self.nothing_written || method.is_idempotent())
    }
}

type Driver = http1::Connection<HyperIo, Full<Bytes>>;

/// A connection and what drives it.
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Pin<Box<Driver>>,
    meter: Rc<Meter>,
    remote_addr: SocketAddr,
    /// The driver's result, after which it must not be polled.
    finished: Option<hyper::Result<()>>,
}

impl Connection {
    fn drive(&mut self, cx: &mut Context<'_>) {
        if self.finished.is_none()
            && let Poll::Ready(result) = self.driver.as_mut().poll(cx)
        {
            self.finished = Some(result);
        }
    }

    async fn exchange(&mut self, request: &TransportRequest) -> Result<Response<Incoming>, Failure> {
        poll_fn(|cx| {
            self.drive(cx);
            self.sender.poll_ready(cx)
        })
        .await
        .map_err(|error| self.failure(&error))?;
        let mut message = Request::new(Full::new(request.body.clone()));
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = Uri::from(request.target.path_and_query.clone());
        *message.version_mut() = Version::HTTP_11;
        message.headers_mut().clone_from(&request.headers);
        let mut response = pin!(self.sender.send_request(message));
        let result = poll_fn(|cx| {
            self.drive(cx);
            response.as_mut().poll(cx)
        })
        .await;
        result.map_err(|error| self.failure(&error))
    }

    /// The failure of a request: the driver's own if the request only learnt that the driver gave up.
    fn failure(&self, error: &hyper::Error) -> Failure {
        match &self.finished {
            Some(Err(cause)) if error.is_canceled() || error.is_closed() => hyper_failure(cause),
            _ => hyper_failure(error),
        }
    }
}

/// What an error of hyper means.
fn hyper_failure(error: &hyper::Error) -> Failure {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return Failure::from_io(io);
        }
        source = cause.source();
    }
    let kind = if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        ErrorKind::ConnectionClosed
    } else if error.is_parse() {
        ErrorKind::InvalidResponse
    } else if error.is_user() {
        ErrorKind::InvalidRequest
    } else {
        ErrorKind::Other
    };
    Failure::new(kind, format!("{kind}: {error}"))
}

/// The body of a response, and the connection that it comes from.
struct HyperBody {
    incoming: Incoming,
    connection: Option<Connection>,
    pool: Rc<Pool>,
    target: Arc<Target>,
    trace: Rc<Trace>,
}

impl HyperBody {
    /// Ends the exchange and gives the connection back, unless it is done with.
    fn finish(&mut self, cx: &mut Context<'_>) {
        self.trace.seal();
        if let Some(mut connection) = self.connection.take() {
            // Once more, so that hyper sees that this exchange is over, and whether the server closes.
            connection.drive(cx);
            if connection.finished.is_none() && connection.sender.is_ready() {
                self.pool.put(&self.target, connection);
            }
        }
    }
}

impl BodySource for HyperBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        loop {
            // Asking first tells hyper that a chunk is wanted; then the driver can deliver one.
            let mut frame = Pin::new(&mut self.incoming).poll_frame(cx);
            if frame.is_pending()
                && let Some(connection) = &mut self.connection
            {
                connection.drive(cx);
                frame = Pin::new(&mut self.incoming).poll_frame(cx);
            }
            return match frame {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => {
                    self.finish(cx);
                    Poll::Ready(None)
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Poll::Ready(Some(Ok(data))),
                    // Trailers are of no use here.
                    Err(_) => continue,
                },
                Poll::Ready(Some(Err(error))) => {
                    self.trace.seal();
                    let failure = match self.connection.take() {
                        Some(connection) => connection.failure(&error),
                        None => hyper_failure(&error),
                    };
                    Poll::Ready(Some(Err(failure)))
                }
            };
        }
    }
}

/// The idle connections of one virtual user. A user talks to few origins, so they are searched one by one.
#[derive(Default)]
struct Pool {
    idle: RefCell<Vec<Idle>>,
}

/// The idle connections to one origin.
struct Idle {
    /// Any target of that origin.
    origin: Arc<Target>,
    connections: Vec<Connection>,
}

impl Pool {
    /// The connection used last that is still alive.
    fn take(&self, target: &Target, cx: &mut Context<'_>) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let connections = &mut idle.iter_mut().find(|idle| idle.origin.same_origin(target))?.connections;
        while let Some(mut connection) = connections.pop() {
            connection.meter.reset();
            connection.drive(cx);
            if connection.finished.is_none() && !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn put(&self, target: &Arc<Target>, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        match idle.iter_mut().find(|idle| idle.origin.same_origin(target)) {
            Some(idle) if idle.connections.len() >= IDLE_PER_ORIGIN => {}
            Some(idle) => idle.connections.push(connection),
            None => idle.push(Idle { origin: Arc::clone(target), connections: vec![connection] }),
        }
    }
}
