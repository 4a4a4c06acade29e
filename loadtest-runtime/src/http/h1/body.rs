//! [`Http1Body`]: a body that did not come along with its head.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use super::super::error::Failure;
use super::super::transport::{BodySource, Trace};
use super::chunked::{Chunked, Step};
use super::codec::Framing;
use super::connection::{Connection, closed};
use super::outgoing::Sending;
use super::pool::Pool;

/// The rest of a response.
pub(super) struct Http1Body {
    left: Left,
    /// `None` when the body is at its end, or broken.
    connection: Option<Box<Connection>>,
    /// What is left of the request: a server may answer while it still reads.
    unsent: Option<Box<Sending>>,
    pool: Rc<Pool>,
}

/// What is still to come.
pub(super) enum Left {
    Bytes(u64),
    Chunks(Chunked),
    UntilClose,
}

impl Http1Body {
    pub(super) fn new(
        framing: Framing,
        connection: Box<Connection>,
        unsent: Option<Box<Sending>>,
        pool: Rc<Pool>,
    ) -> Self {
        Self { left: Left::new(framing), connection: Some(connection), unsent, pool }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, trace: &Trace) -> Poll<Result<Option<Bytes>, Failure>> {
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(None)) };
            if let Some(unsent) = &mut self.unsent
                && let Poll::Ready(sent) = connection.poll_rest(cx, unsent, trace)
            {
                self.unsent = None;
                sent?;
            }
            let inbox = connection.take_inbox();
            let left = &mut self.left;
            let taken = if inbox.is_empty() {
                ready!(connection.poll_read(cx, trace, |_, bytes| left.take(bytes)))??
            } else {
                left.take(&inbox)?
            };
            if let Some(excess) = taken.ended {
                connection.end(excess);
                trace.seal_at_last_read();
                // A server that did not want the whole request gets no other on this connection.
                if let (Some(connection), None) = (self.connection.take(), &self.unsent) {
                    self.pool.put(connection);
                }
            }
            if !taken.data.is_empty() {
                return Poll::Ready(Ok(Some(taken.data)));
            }
        }
    }
}

impl BodySource for Http1Body {
    fn poll_chunk(&mut self, cx: &mut Context<'_>, trace: &Trace) -> Poll<Option<Result<Bytes, Failure>>> {
        let next = ready!(self.poll_next(cx, trace));
        if next.is_err() {
            trace.seal();
            self.connection = None;
        }
        Poll::Ready(next.transpose())
    }
}

/// What some bytes held.
pub(super) struct Taken {
    pub(super) data: Bytes,
    /// If the body is at its end: how many bytes came after it.
    pub(super) ended: Option<usize>,
}

impl Left {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Left::Bytes(length),
            Framing::Chunked => Left::Chunks(Chunked::new()),
            Framing::UntilClose => Left::UntilClose,
        }
    }

    /// Reads on. No bytes are the end of the connection.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Taken, Failure> {
        match self {
            Left::UntilClose => {
                let ended = bytes.is_empty().then_some(0);
                Ok(Taken { data: Bytes::copy_from_slice(bytes), ended })
            }
            _ if bytes.is_empty() => Err(closed("in the middle of the response")),
            Left::Bytes(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= take as u64;
                let ended = (*left == 0).then_some(bytes.len() - take);
                Ok(Taken { data: Bytes::copy_from_slice(&bytes[..take]), ended })
            }
            Left::Chunks(decoder) => {
                let mut data = BytesMut::new();
                let mut at = 0;
                loop {
                    let (consumed, step) = decoder.next(&bytes[at..])?;
                    at += consumed;
                    let ended = match step {
                        Step::Data(length) => {
                            data.extend_from_slice(&bytes[at..at + length]);
                            at += length;
                            continue;
                        }
                        Step::More => None,
                        Step::Done => Some(bytes.len() - at),
                    };
                    return Ok(Taken { data: data.freeze(), ended });
                }
            }
        }
    }
}
