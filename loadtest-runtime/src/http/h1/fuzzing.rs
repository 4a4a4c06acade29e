//! What a fuzzer calls: whole responses read from bytes, without a socket.
//!
//! The bytes arrive in pieces, and the code that takes them is that of a connection. How they are cut must not
//! change what they mean. Not part of the crate's interface: it exists for tests and under `--cfg fuzzing` alone.

use std::sync::Arc;

use ::http::{HeaderMap, Method};

use super::super::error::{ErrorKind, Failure};
use super::super::target::Target;
use super::body::Left;
use super::connection::{Arrived, Inbox};

/// What a response said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, without its chunks.
    pub body: Vec<u8>,
    /// Whether the connection could be used again.
    pub keep_alive: bool,
    /// The bytes that came after the response.
    pub excess: usize,
}

/// Reads the response to a request from pieces, after which the connection ends.
///
/// # Errors
/// The kind of failure that a test would see.
pub fn response<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    method: &Method,
) -> Result<Outcome, ErrorKind> {
    read(pieces, method).map_err(|failure| failure.kind)
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, method: &Method) -> Result<Outcome, Failure> {
    // An empty piece is none; the end of the connection follows the last.
    let mut pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
    let target: Arc<Target> = Target::get("http://127.0.0.1/")?;
    let mut inbox = Inbox::default();
    let Arrived { head, headers, whole, excess } = loop {
        let piece = pieces.next().unwrap_or_default();
        if let Some(arrived) = inbox.take_head(piece, method, &target)? {
            break arrived;
        }
    };
    let (body, excess) = match whole {
        Some(body) => (body.to_vec(), excess),
        None => {
            let mut left = Left::new(head.framing);
            let mut body = Vec::new();
            let kept = inbox.take();
            let mut piece = if kept.is_empty() { pieces.next().unwrap_or_default() } else { &kept };
            loop {
                let taken = left.take(piece)?;
                body.extend_from_slice(&taken.data);
                if let Some(excess) = taken.ended {
                    break (body, excess);
                }
                piece = pieces.next().unwrap_or_default();
            }
        }
    };
    Ok(Outcome {
        status: head.status.as_u16(),
        headers: headers.map().clone(),
        body,
        keep_alive: head.keep_alive,
        excess: excess + pieces.map(<[u8]>::len).sum::<usize>(),
    })
}

/// Reads a body in chunks from pieces, after which the connection ends: its data and the bytes that came after it.
///
/// # Errors
/// The kind of failure that a test would see.
pub fn chunked<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, usize), ErrorKind> {
    let mut pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
    let mut left = Left::new(super::codec::Framing::Chunked);
    let mut body = Vec::new();
    loop {
        let taken = left.take(pieces.next().unwrap_or_default()).map_err(|failure| failure.kind)?;
        body.extend_from_slice(&taken.data);
        if let Some(excess) = taken.ended {
            return Ok((body, excess + pieces.map(<[u8]>::len).sum::<usize>()));
        }
    }
}

/// Cuts bytes in pieces: `cuts` says, in turn and over again, how long each is.
pub fn cut<'a>(bytes: &'a [u8], cuts: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut lengths: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut)).filter(|cut| *cut > 0).collect();
    if lengths.is_empty() {
        lengths.push(bytes.len().max(1));
    }
    let mut rest = bytes;
    lengths.into_iter().cycle().map_while(move |length| {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
