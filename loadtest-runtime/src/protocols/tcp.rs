//! Raw TCP, and TLS over it: [`Tcp`], for protocols that this crate does not know.
//!
//! Bytes are written and read as the test says; [`Tcp::request`] measures one question and its answer. The test knows
//! where an answer ends, this module does not guess.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use loadtest_core::metric::{Builtin, tag};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::error::{DROPPED, Error, timed_out};
use super::sample::{Meter, OwnTags, Protocol, RecordSamples, UnderWay as Attempt};
use crate::clock::{self, Instant};
use crate::http::{self, Address, Dialed, Dialer, ErrorKind, Failure, Stream};

/// The schemes of addresses; the first one goes without saying.
const SCHEMES: &[(&str, bool)] = &[("tcp", false), ("tls", true)];
/// The most bytes of one answer, unless the test says otherwise.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// A connection to be opened. Made by [`Vu::tcp`](crate::Vu::tcp).
#[must_use = "nothing is connected until it is asked for: add .connect().await"]
pub struct TcpBuilder {
    dialer: Dialer,
    samples: Rc<dyn RecordSamples>,
    address: String,
    tags: Vec<(String, String)>,
    name: Option<String>,
    timeout: Duration,
    max_answer: usize,
}

impl TcpBuilder {
    pub(crate) fn new(dialer: Dialer, samples: Rc<dyn RecordSamples>, address: &str) -> Self {
        let timeout = dialer.options().timeout;
        Self {
            dialer,
            samples,
            address: address.to_owned(),
            tags: Vec::new(),
            name: None,
            timeout,
            max_answer: MAX_ANSWER,
        }
    }

    /// A tag for the samples of this connection.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// The `name` tag; by default the address.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The time that connecting may take, and each [`request`](Tcp::request), [`read_until`](Tcp::read_until),
    /// [`read_exact`](Tcp::read_exact) and [`write_all`](Tcp::write_all). 60 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The most bytes of one answer. 16 MiB by default; more is an error.
    pub fn max_answer(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// Whatever keeps the connection from being there: see [`ErrorKind`]. It has been recorded when it is returned, but
    /// its time is none of `tcp_connecting`.
    pub async fn connect(self) -> Result<Tcp, Error> {
        let Self { dialer, samples, address: text, tags, name, timeout, max_answer } = self;
        let address =
            Address::parse(&text, SCHEMES, true).and_then(|address| match Address::has_port(&text) {
                true => Ok(address),
                false => Err(Failure::new(ErrorKind::InvalidUrl, "invalid address: it has no port")
                    .with_hint("write host:port, such as 127.0.0.1:7000")),
            });
        let user = OwnTags::new(&tags);
        let (shown, address) = match address {
            Ok(address) => (address.origin(), Ok(address)),
            Err(failure) => (format!("`{}`", http::shown(&text)), Err(failure)),
        };
        let tags = user.clone().with(tag::NAME, name.unwrap_or_else(|| shown.clone()));
        let began = clock::now();
        let attempt = Attempt::new(began, |_| samples.failed(Protocol::Tcp, format!("{shown}: {DROPPED}")));
        let meter = Meter::new(Rc::clone(&samples), user);
        let dialed = match &address {
            Ok(address) => match tokio::time::timeout(timeout, dialer.dial_raw(address)).await {
                Ok(Ok(dialed)) => Ok(dialed),
                Ok(Err(undialed)) => {
                    meter.add(undialed.sent, undialed.received);
                    Err(undialed.failure)
                }
                Err(_) => Err(timed_out(timeout, "connecting")),
            },
            Err(failure) => Err(failure.clone()),
        };
        attempt.over();
        match dialed {
            Ok(Dialed { stream, traffic, remote_addr }) => {
                samples.value(&tags, Builtin::TcpSessions, 1.0);
                meter.count(&traffic);
                let failed_tags = tags.clone().with(tag::EXPECTED_RESPONSE, "false");
                let tags = tags.with(tag::EXPECTED_RESPONSE, "true");
                samples.value(&tags, Builtin::TcpConnecting, clock::millis(clock::now() - began));
                Ok(Tcp {
                    stream,
                    buffer: BytesMut::new(),
                    meter,
                    failed_tags,
                    tags,
                    samples,
                    shown,
                    remote_addr,
                    timeout,
                    max_answer,
                })
            }
            Err(failure) => {
                samples.failed(Protocol::Tcp, format!("{shown}: {}", failure.text));
                Err(Error::new(shown, failure, None))
            }
        }
    }
}

impl fmt::Debug for TcpBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpBuilder").finish_non_exhaustive()
    }
}

/// Where an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until<'a> {
    /// After the first of these bytes, which are part of the answer.
    Delimiter(&'a [u8]),
    /// After so many bytes.
    Length(usize),
}

impl<'a> From<&'a str> for Until<'a> {
    fn from(delimiter: &'a str) -> Self {
        Until::Delimiter(delimiter.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for Until<'a> {
    fn from(delimiter: &'a [u8]) -> Self {
        Until::Delimiter(delimiter)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Until<'a> {
    fn from(delimiter: &'a [u8; N]) -> Self {
        Until::Delimiter(delimiter)
    }
}

impl From<usize> for Until<'_> {
    fn from(length: usize) -> Self {
        Until::Length(length)
    }
}

/// An open connection. It is closed when it is dropped.
///
/// Reading and writing by [`AsyncRead`] and [`AsyncWrite`], for what speaks a protocol over any stream, measures
/// bytes alone; [`request`](Self::request) measures time.
pub struct Tcp {
    stream: Stream,
    /// What came after the end of the last answer.
    buffer: BytesMut,
    meter: Meter,
    tags: OwnTags,
    failed_tags: OwnTags,
    samples: Rc<dyn RecordSamples>,
    shown: String,
    remote_addr: Option<SocketAddr>,
    timeout: Duration,
    max_answer: usize,
}

impl Tcp {
    /// The address that is connected to.
    #[must_use]
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote_addr
    }

    /// Writes all of these bytes and hands them to the system.
    ///
    /// # Errors
    /// If the connection breaks or the time is over; it has been recorded.
    pub async fn write_all(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        let limit = self.timeout;
        let result = within(limit, "writing", write(&mut self.stream, bytes.as_ref())).await;
        self.finish(result)
    }

    /// Reads up to and including the first `delimiter`.
    ///
    /// # Errors
    /// If the connection ends or breaks before, the time is over, or the answer is too long; it has been recorded.
    pub async fn read_until(&mut self, delimiter: impl AsRef<[u8]>) -> Result<Bytes, Error> {
        let limit = self.timeout;
        let result = within(limit, "reading", self.read(Until::Delimiter(delimiter.as_ref()))).await;
        self.finish(result)
    }

    /// Reads so many bytes.
    ///
    /// # Errors
    /// As [`read_until`](Self::read_until).
    pub async fn read_exact(&mut self, length: usize) -> Result<Bytes, Error> {
        let limit = self.timeout;
        let result = within(limit, "reading", self.read(Until::Length(length))).await;
        self.finish(result)
    }

    /// Sends a request and reads its answer: `until` is its length, or the bytes that it ends with. The time from
    /// the first byte written to the last byte read is recorded as `tcp_req_duration`, with the tag
    /// `expected_response`.
    ///
    /// ```
    /// # use loadtest_runtime::prelude::*;
    /// async fn ask(vu: &mut Vu) -> Result {
    ///     let mut redis = vu.tcp("127.0.0.1:6379").name("redis").connect().await?;
    ///     let answer = redis.request("PING\r\n", "\r\n").await?;
    ///     vu.check("it answers", answer == "+PONG\r\n");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`write_all`](Self::write_all) and [`read_until`](Self::read_until).
    pub async fn request<'a>(
        &mut self,
        bytes: impl AsRef<[u8]>,
        until: impl Into<Until<'a>>,
    ) -> Result<Bytes, Error> {
        let (bytes, until, limit) = (bytes.as_ref(), until.into(), self.timeout);
        let samples = Rc::clone(&self.samples);
        let under_way =
            UnderWay { samples: &*samples, tags: self.failed_tags.clone(), began: Some(clock::now()) };
        let exchange = async {
            write(&mut self.stream, bytes).await?;
            self.read(until).await
        };
        let result = within(limit, "waiting for the answer", exchange).await;
        let took = under_way.over();
        let tags = if result.is_ok() { &self.tags } else { &self.failed_tags };
        self.samples.value(tags, Builtin::TcpReqDuration, took);
        self.finish(result)
    }

    async fn read(&mut self, until: Until<'_>) -> Result<Bytes, Failure> {
        let mut searched: usize = 0;
        loop {
            let end = match until {
                Until::Length(length) if length > self.max_answer => return Err(self.too_long()),
                Until::Length(length) => (self.buffer.len() >= length).then_some(length),
                Until::Delimiter([]) => Some(0),
                Until::Delimiter(delimiter) => {
                    // A delimiter may have begun in what was searched before.
                    let from = searched.saturating_sub(delimiter.len() - 1);
                    searched = self.buffer.len();
                    let found = find(&self.buffer[from..], delimiter);
                    found.map(|at| from + at + delimiter.len())
                }
            };
            if let Some(end) = end {
                return Ok(self.buffer.split_to(end).freeze());
            }
            if self.buffer.len() >= self.max_answer {
                return Err(self.too_long());
            }
            let count =
                self.stream.read_buf(&mut self.buffer).await.map_err(|error| Failure::from_io(&error))?;
            if count == 0 {
                let text = "the other side closed the connection before the answer was complete";
                return Err(Failure::new(ErrorKind::ConnectionClosed, text));
            }
        }
    }

    fn too_long(&self) -> Failure {
        let text = format!("the answer is longer than {} bytes", self.max_answer);
        Failure::new(ErrorKind::InvalidResponse, text)
            .with_hint("raise the limit with .max_answer(..), or check where the answer ends")
    }

    fn finish<T>(&self, result: Result<T, Failure>) -> Result<T, Error> {
        self.meter.tick(clock::now());
        result.map_err(|failure| {
            self.samples.failed(Protocol::Tcp, format!("{}: {}", self.shown, failure.text));
            Error::new(&*self.shown, failure, None)
        })
    }
}

async fn write(stream: &mut Stream, bytes: &[u8]) -> Result<(), Failure> {
    let written = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    written.await.map_err(|error| Failure::from_io(&error))
}

async fn within<T>(
    limit: Duration,
    doing: &str,
    operation: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(limit, operation).await.unwrap_or_else(|_| Err(timed_out(limit, doing)))
}

/// Where `needle` begins.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle.first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| byte == first) {
        if bytes[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// A request under way. If the test drops it, its time so far is that of a failure.
struct UnderWay<'a> {
    samples: &'a dyn RecordSamples,
    tags: OwnTags,
    began: Option<Instant>,
}

impl UnderWay<'_> {
    /// How long it took, in milliseconds.
    fn over(mut self) -> f64 {
        self.began.take().map_or(0.0, |began| clock::millis(clock::now() - began))
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(began) = self.began {
            let took = clock::millis(clock::now() - began);
            self.samples.value(&self.tags, Builtin::TcpReqDuration, took);
            self.samples.failed(Protocol::Tcp, format!("request: {DROPPED}"));
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.buffer.is_empty() {
            let count = self.buffer.len().min(buf.remaining());
            buf.put_slice(&self.buffer.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.meter.tick(clock::now());
        result
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        self.meter.flush();
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("address", &self.shown).finish_non_exhaustive()
    }
}
