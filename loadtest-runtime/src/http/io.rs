//! The streams below hyper: [`Counted`] counts what crosses the socket, [`HyperIo`] stamps when.
//!
//! Counting happens below TLS, so that the bytes are those of the wire; stamping happens above it, so that a
//! session ticket, which a server sends unasked, is not taken for the first byte of a response.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::transport::Stamps;

/// The most that one read takes.
const READ_BUFFER: usize = 32 * 1024;

thread_local! {
    // hyper's buffer can be filled in place only by unsafe code. One buffer per thread costs a copy that stays
    // in the cache, and saves one buffer per connection.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER].into_boxed_slice());
}

/// What one connection has seen since it was last taken from the pool.
#[derive(Debug, Default)]
pub(super) struct Meter {
    sent: Cell<u64>,
    received: Cell<u64>,
    stamps: Cell<Stamps>,
}

impl Meter {
    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }

    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    pub(super) fn stamps(&self) -> Stamps {
        self.stamps.get()
    }

    pub(super) fn forget_stamps(&self) {
        self.stamps.take();
    }

    /// Starts anew for another exchange.
    pub(super) fn reset(&self) {
        self.sent.set(0);
        self.received.set(0);
        self.stamps.take();
    }
}

/// A TCP stream that counts its bytes.
#[derive(Debug)]
pub(super) struct Counted {
    stream: TcpStream,
    meter: Rc<Meter>,
}

impl Counted {
    pub(super) fn new(stream: TcpStream, meter: Rc<Meter>) -> Self {
        Self { stream, meter }
    }

    fn wrote(&self, result: &io::Result<usize>) {
        if let Ok(count) = result {
            self.meter.sent.set(self.meter.sent.get() + *count as u64);
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let count = (buf.filled().len() - before) as u64;
        self.meter.received.set(self.meter.received.get() + count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        self.wrote(&result);
        Poll::Ready(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        self.wrote(&result);
        Poll::Ready(result)
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

/// A plain or TLS stream.
pub(super) enum Stream {
    Plain(Counted),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<Counted>>),
}

/// The stream in hyper's terms, with the stamps of an exchange.
pub(super) struct HyperIo {
    stream: Stream,
    meter: Rc<Meter>,
}

impl HyperIo {
    pub(super) fn new(stream: Stream, meter: Rc<Meter>) -> Self {
        Self { stream, meter }
    }

    fn wrote(&self, result: &io::Result<usize>) {
        if matches!(result, Ok(1..)) {
            self.meter.stamps.set(Stamps { last_write: Some(Instant::now()), ..self.meter.stamps.get() });
        }
    }
}

/// Calls a method of whichever stream it is.
macro_rules! with_stream {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.stream {
            Stream::Plain($stream) => $call,
            #[cfg(feature = "tls")]
            Stream::Tls($stream) => $call,
        }
    };
}

impl hyper::rt::Read for HyperIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut target: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let room = scratch.len().min(target.remaining());
            let mut buf = ReadBuf::new(&mut scratch[..room]);
            ready!(with_stream!(self, stream => Pin::new(stream).poll_read(cx, &mut buf)))?;
            if !buf.filled().is_empty() {
                let stamps = self.meter.stamps.get();
                if stamps.first_read.is_none() {
                    self.meter.stamps.set(Stamps { first_read: Some(Instant::now()), ..stamps });
                }
                target.put_slice(buf.filled());
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl hyper::rt::Write for HyperIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(with_stream!(self, stream => Pin::new(stream).poll_write(cx, buf)));
        self.wrote(&result);
        Poll::Ready(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(with_stream!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs)));
        self.wrote(&result);
        Poll::Ready(result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_stream!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_stream!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
