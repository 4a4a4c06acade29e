//! [`Outgoing`]: a request on its way out.
//!
//! The first attempt writes from a buffer of the thread; what the kernel did not take is kept here. A body in
//! memory goes with its head in one write, by reference if it is large. Uploads are read while they are sent.

use std::cell::RefCell;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use super::super::error::{ErrorKind, Failure};
use super::super::io::Stream;
use super::super::transport::{Payload, Trace, TransportRequest};
use super::super::upload::ChunkSource;
use super::codec;

/// Bodies up to this size are copied behind their head, which costs less than a second piece.
const COPIED: usize = 8 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A request that is being sent.
pub(super) struct Outgoing<'a> {
    request: TransportRequest<'a>,
    /// Whether the head has been composed.
    begun: bool,
    /// What is to be sent next, from `sent` on.
    pieces: Vec<u8>,
    sent: usize,
    /// What is to be sent after that.
    body: Bytes,
    upload: Option<Reading>,
    /// Whether all was handed over.
    pub(super) done: bool,
}

/// An upload that is being read.
struct Reading {
    source: Box<dyn ChunkSource>,
    /// Bytes left of the length that was announced; `None` if it is sent in chunks.
    left: Option<u64>,
}

impl<'a> Outgoing<'a> {
    pub(super) async fn new(request: &TransportRequest<'a>) -> Result<Self, Failure> {
        let upload = match request.body {
            Payload::Bytes(_) => None,
            Payload::Upload(upload) => {
                let source = upload.open().await.map_err(|error| unreadable(&error))?;
                Some(Reading { source, left: upload.length })
            }
        };
        let (pieces, body) = (Vec::new(), Bytes::new());
        Ok(Self { request: *request, begun: false, pieces, sent: 0, body, upload, done: false })
    }

    /// What is being sent.
    pub(super) fn request(&self) -> &TransportRequest<'a> {
        &self.request
    }

    /// Hands as much to the kernel as it takes.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        trace: &Trace,
    ) -> Poll<Result<(), Failure>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        if !self.begun {
            self.begun = true;
            self.begin(cx, stream, trace)?;
        }
        loop {
            let head = &self.pieces[self.sent..];
            if !head.is_empty() || !self.body.is_empty() {
                let parts = [IoSlice::new(head), IoSlice::new(&self.body)];
                let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &parts));
                let written = written.map_err(|error| Failure::from_io(&error))?;
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

    /// Composes the head and writes it, with the body behind it, without a buffer of its own.
    fn begin(&mut self, cx: &mut Context<'_>, stream: &mut Stream, trace: &Trace) -> Result<(), Failure> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            codec::write_head(scratch, &self.request);
            if let Payload::Bytes(body) = self.request.body {
                if body.len() <= COPIED {
                    scratch.extend_from_slice(body);
                } else {
                    self.body = body.clone();
                    self.pieces.extend_from_slice(scratch);
                    return Ok(());
                }
            }
            match Pin::new(stream).poll_write(cx, scratch) {
                Poll::Ready(Ok(written)) => {
                    trace.wrote();
                    self.pieces.extend_from_slice(&scratch[written..]);
                    Ok(())
                }
                Poll::Ready(Err(error)) => Err(Failure::from_io(&error)),
                Poll::Pending => {
                    self.pieces.extend_from_slice(scratch);
                    Ok(())
                }
            }
        })
    }

    /// Reads the next chunk of an upload.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(reading) = &mut self.upload else { return Poll::Ready(Ok(())) };
        let chunk = ready!(reading.source.poll_next(cx)).transpose().map_err(|error| unreadable(&error))?;
        self.pieces.clear();
        self.sent = 0;
        match (chunk, &mut reading.left) {
            (Some(chunk), None) if !chunk.is_empty() => codec::write_chunk(&mut self.pieces, &chunk),
            (Some(chunk), Some(left)) if chunk.len() as u64 <= *left => {
                *left -= chunk.len() as u64;
                self.body = chunk;
            }
            (Some(chunk), None) => drop(chunk),
            (None, None) => {
                codec::write_last_chunk(&mut self.pieces);
                self.upload = None;
            }
            (None, Some(0)) => self.upload = None,
            (Some(_), Some(_)) | (None, Some(_)) => {
                let text = "the upload is not as long as was announced: has its file changed meanwhile?";
                return Poll::Ready(Err(Failure::new(ErrorKind::InvalidRequest, text)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::new(ErrorKind::InvalidRequest, format!("the body of the request can't be read: {error}"))
}
