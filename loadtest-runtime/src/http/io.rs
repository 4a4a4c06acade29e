//! What bytes go through: a [`Socket`] below, [`Counted`] around it, and a [`Stream`], plain or TLS, on top.
//!
//! Counting happens below TLS, so that the bytes are those of the wire.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// The bytes that crossed one socket since it was opened.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    sent: Cell<u64>,
    received: Cell<u64>,
}

impl Traffic {
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Adds bytes that crossed a socket which several exchanges share.
    #[cfg(feature = "http2")]
    pub(super) fn add(&self, sent: u64, received: u64) {
        self.sent.set(self.sent.get() + sent);
        self.received.set(self.received.get() + received);
    }
}

/// A connection of the operating system.
#[derive(Debug)]
pub(crate) enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A socket of the file system.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// A socket that counts its bytes.
#[derive(Debug)]
pub(crate) struct Counted {
    socket: Socket,
    traffic: Rc<Traffic>,
}

impl Counted {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, traffic: Rc::default() }
    }

    /// The count, which outlives the socket.
    pub(crate) fn traffic(&self) -> &Rc<Traffic> {
        &self.traffic
    }

    fn wrote(&self, result: &io::Result<usize>) {
        if let Ok(count) = result {
            self.traffic.sent.set(self.traffic.sent.get() + *count as u64);
        }
    }
}

/// A plain or TLS stream.
pub(crate) enum Stream {
    /// As it is.
    Plain(Counted),
    /// Within TLS.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<Counted>>),
}

impl Stream {
    /// What crossed the socket.
    pub(crate) fn traffic(&self) -> &Rc<Traffic> {
        match self {
            Stream::Plain(counted) => counted.traffic(),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.get_ref().0.traffic(),
        }
    }
}

/// Calls a method of whichever socket it is.
macro_rules! with_socket {
    ($self:ident, $socket:ident => $call:expr) => {
        match &mut $self.socket {
            Socket::Tcp($socket) => $call,
            #[cfg(unix)]
            Socket::Unix($socket) => $call,
        }
    };
}

/// Calls a method of whichever stream it is.
macro_rules! with_stream {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Plain($stream) => $call,
            #[cfg(feature = "tls")]
            Stream::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(with_socket!(self, socket => Pin::new(socket).poll_read(cx, buf)))?;
        let count = (buf.filled().len() - before) as u64;
        self.traffic.received.set(self.traffic.received.get() + count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(with_socket!(self, socket => Pin::new(socket).poll_write(cx, buf)));
        self.wrote(&result);
        Poll::Ready(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(with_socket!(self, socket => Pin::new(socket).poll_write_vectored(cx, bufs)));
        self.wrote(&result);
        Poll::Ready(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_socket!(self, socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_socket!(self, socket => Pin::new(socket).poll_shutdown(cx))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        with_stream!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        with_stream!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with_stream!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_stream!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_stream!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
