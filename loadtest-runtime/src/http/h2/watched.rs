//! [`Watched`]: a connection's stream, which notes when requests have left it.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::io::Stream;

/// A request on its way out.
#[derive(Debug, Default)]
pub(super) struct Departure {
    /// Whether its last frame was handed over.
    pub(super) handed_over: Cell<bool>,
    /// When that frame had reached the kernel.
    pub(super) left: Cell<Option<Instant>>,
}

/// The requests of a connection that have not left yet.
#[derive(Debug, Default)]
pub(super) struct Departures(RefCell<Vec<Rc<Departure>>>);

impl Departures {
    pub(super) fn add(&self, departure: &Rc<Departure>) {
        self.0.borrow_mut().push(Rc::clone(departure));
    }

    /// Everything that was handed over has reached the kernel.
    fn flushed(&self) {
        let mut waiting = self.0.borrow_mut();
        if waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        waiting.retain(|departure| {
            let leaves = departure.handed_over.get();
            if leaves {
                departure.left.set(Some(now));
            }
            // One that only this list still knows has been given up.
            !leaves && Rc::strong_count(departure) > 1
        });
    }
}

/// A stream that is flushed whenever all frames at hand were written.
pub(super) struct Watched {
    pub(super) stream: Stream,
    pub(super) departures: Rc<Departures>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
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
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.departures.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
