//! [`Outgoing`]: a request on its way out.
//!
//! The first attempt writes from a buffer of the thread; what the kernel did not take is kept here. A body in
//! memory goes with its head in one write, by reference if it is large. Uploads are read while they are sent.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use super::super::error::Failure;
use super::super::io::Stream;
use super::super::transport::{Payload, Trace, TransportRequest};
use super::super::upload::{ChunkSource, LocalFuture, unreadable};
use super::codec;

/// Bodies up to this size are copied behind their head, which costs less than a second piece.
const COPIED: usize = 8 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A request that is being sent.
pub(super) struct Outgoing<'a> {
    request: &'a TransportRequest<'a>,
    state: State,
}

/// How far it is. Most requests are sent at once, so what the others have is in a box.
enum State {
    /// Nothing has been written, and the upload is not open yet.
    Opening(LocalFuture<io::Result<Box<dyn ChunkSource>>>),
    /// Nothing has been written.
    New {
        upload: Option<Box<Reading>>,
    },
    /// All was handed over.
    Sent,
    Rest(Box<Sending>),
}

/// What is left of a request whose head has been composed.
pub(super) struct Sending {
    /// What is to be sent next, from `sent` on.
    pieces: Vec<u8>,
    sent: usize,
    /// What is to be sent after that.
    body: Bytes,
    upload: Option<Box<Reading>>,
    /// Whether all was handed over.
    done: bool,
    /// Why no more can be.
    failure: Option<Failure>,
}

/// An upload that is being read.
struct Reading {
    source: Box<dyn ChunkSource>,
    /// Whether its length was not announced, so that it is sent in chunks.
    chunked: bool,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(request: &'a TransportRequest<'a>) -> Self {
        let state = match (codec::check(request), request.body) {
            (Err(failure), _) => State::Rest(Box::new(Sending::failed(failure))),
            (Ok(()), Payload::Bytes(_)) => State::New { upload: None },
            (Ok(()), Payload::Upload(upload)) => State::Opening(upload.open()),
        };
        Self { request, state }
    }

    /// What is being sent.
    pub(super) fn request(&self) -> &'a TransportRequest<'a> {
        self.request
    }

    /// Whether nothing can have been sent, since the upload is not open yet.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.state, State::Opening(_))
    }

    /// Whether the request itself says that it is the last one of its connection (RFC 9112, section 9.6).
    pub(super) fn says_close(&self) -> bool {
        let headers = self.request.headers;
        !headers.is_empty() && codec::says_close(headers)
    }

    /// What has not been sent, and still can be. It is another's from here on.
    pub(super) fn take_unsent(&mut self) -> Option<Box<Sending>> {
        match std::mem::replace(&mut self.state, State::Sent) {
            State::Rest(rest) => Some(rest).filter(|rest| !rest.done && rest.failure.is_none()),
            State::Opening(_) | State::New { .. } | State::Sent => None,
        }
    }

    /// Opens the upload, if it is not open yet.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Opening(opening) = &mut self.state {
            self.state = match (ready!(opening.as_mut().poll(cx)), self.request.body) {
                (Ok(source), Payload::Upload(upload)) => State::New {
                    upload: Some(Box::new(Reading { source, chunked: upload.length.is_none() })),
                },
                (Ok(_), Payload::Bytes(_)) => State::New { upload: None },
                (Err(error), _) => State::Rest(Box::new(Sending::failed(unreadable(&error)))),
            };
        }
        Poll::Ready(())
    }

    /// Hands as much to the kernel as it takes.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        trace: &Trace,
    ) -> Poll<Result<(), Failure>> {
        if let State::New { upload } = &mut self.state {
            let upload = upload.take();
            self.state = match begin(self.request, upload, cx, stream, trace) {
                None => State::Sent,
                Some(rest) => State::Rest(Box::new(rest)),
            };
        }
        match &mut self.state {
            State::Rest(rest) => rest.poll_send(cx, stream, trace),
            State::Opening(_) | State::New { .. } | State::Sent => Poll::Ready(Ok(())),
        }
    }
}

/// Composes the head and writes it, with the body behind it, without a buffer of its own. What is left, if there
/// is anything.
fn begin(
    request: &TransportRequest<'_>,
    upload: Option<Box<Reading>>,
    cx: &mut Context<'_>,
    stream: &mut Stream,
    trace: &Trace,
) -> Option<Sending> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        codec::write_head(scratch, request);
        let rest = |unsent: &[u8], body: Bytes, upload, failure| {
            let (pieces, sent, done) = (unsent.to_vec(), 0, false);
            Some(Sending { pieces, sent, body, upload, done, failure })
        };
        if let Payload::Bytes(body) = request.body {
            if body.len() > COPIED {
                return rest(scratch, body.clone(), upload, None);
            }
            scratch.extend_from_slice(body);
        }
        match Pin::new(&mut *stream).poll_write(cx, scratch) {
            Poll::Ready(Ok(written)) => {
                trace.wrote();
                let is_flushed = || matches!(Pin::new(stream).poll_flush(cx), Poll::Ready(Ok(())));
                match written == scratch.len() && upload.is_none() && is_flushed() {
                    true => None,
                    false => rest(&scratch[written..], Bytes::new(), upload, None),
                }
            }
            Poll::Ready(Err(error)) => rest(&[], Bytes::new(), upload, Some(Failure::from_io(&error))),
            Poll::Pending => rest(scratch, Bytes::new(), upload, None),
        }
    })
}

impl Sending {
    /// What can't be sent.
    fn failed(failure: Failure) -> Self {
        let (pieces, body) = (Vec::new(), Bytes::new());
        Self { pieces, sent: 0, body, upload: None, done: false, failure: Some(failure) }
    }

    /// Hands as much to the kernel as it takes. A failure stays one.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        trace: &Trace,
    ) -> Poll<Result<(), Failure>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        if let Some(failure) = &self.failure {
            return Poll::Ready(Err(failure.clone()));
        }
        let sent = ready!(self.poll_pieces(cx, stream, trace));
        self.failure = sent.as_ref().err().cloned();
        Poll::Ready(sent)
    }

    fn poll_pieces(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        trace: &Trace,
    ) -> Poll<Result<(), Failure>> {
        loop {
            let head = &self.pieces[self.sent..];
            if !head.is_empty() || !self.body.is_empty() {
                let parts = [IoSlice::new(head), IoSlice::new(&self.body)];
                let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &parts));
                let written = written.map_err(|error| Failure::from_io(&error))?;
                if written == 0 {
                    return Poll::Ready(Err(Failure::from_io(&io::ErrorKind::WriteZero.into())));
                }
                trace.wrote();
                let of_head = written.min(head.len());
                self.sent += of_head;
                self.body.advance(written - of_head);
            } else if self.upload.is_some() {
                ready!(self.poll_upload(cx))?;
            } else {
                ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(|error| Failure::from_io(&error))?;
                self.done = true;
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads the next chunk of an upload.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(reading) = &mut self.upload else { return Poll::Ready(Ok(())) };
        let chunk = ready!(reading.source.poll_next(cx)).transpose().map_err(|error| unreadable(&error))?;
        self.pieces.clear();
        self.sent = 0;
        match (chunk, reading.chunked) {
            // An empty chunk would be the last one.
            (Some(chunk), true) if !chunk.is_empty() => codec::write_chunk(&mut self.pieces, &chunk),
            (Some(chunk), _) => self.body = chunk,
            (None, chunked) => {
                if chunked {
                    codec::write_last_chunk(&mut self.pieces);
                }
                self.upload = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}
