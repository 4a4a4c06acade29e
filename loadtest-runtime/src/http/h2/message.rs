//! A request as HTTP/2 has it (RFC 9113, section 8): the head, and the body on its way out.

use std::task::{Context, Poll, ready};

use ::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, TE,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use ::http::{HeaderValue, Method, Request, Uri, Version};
use bytes::{Buf, Bytes};
use h2::{Reason, SendStream};

use super::super::decode;
use super::super::error::{ErrorKind, Failure};
use super::super::transport::{Payload, TransportRequest};
use super::super::upload::{ChunkSource, unreadable};

/// The most bytes of a body that are handed over at once: the size of a frame that every server takes.
const PIECE: usize = 16 * 1024;

/// The head of a request.
pub(super) fn head(request: &TransportRequest<'_>) -> Result<Request<()>, Failure> {
    let TransportRequest { method, target, headers, cookie, accept_encoding, body, options } = *request;
    let mut headers = headers.clone();
    let invalid = |what: &dyn std::fmt::Display| {
        Failure::new(ErrorKind::InvalidRequest, format!("http/2: the request has no such form: {what}"))
    };
    let authority = headers.remove(HOST).unwrap_or_else(|| target.host_header.clone());
    // A connection is no one's own here.
    for name in [
        CONNECTION,
        TRANSFER_ENCODING,
        UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ] {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|te| te != "trailers") {
        headers.remove(TE);
    }
    headers.entry(USER_AGENT).or_insert_with(|| options.user_agent.clone());
    if let Some(encodings) = decode::ACCEPT_ENCODING
        && accept_encoding
    {
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static(encodings));
    }
    if let Some(authorization) = &target.authorization {
        headers.entry(AUTHORIZATION).or_insert_with(|| authorization.clone());
    }
    if let Some(cookie) = cookie {
        headers.insert(COOKIE, HeaderValue::from_str(cookie).map_err(|error| invalid(&error))?);
    }
    let usually_has_a_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    if let Some(length) = body.length().filter(|length| *length > 0 || usually_has_a_body) {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    let uri = Uri::builder()
        .scheme(if target.https { "https" } else { "http" })
        .authority(authority.as_bytes())
        .path_and_query(target.path_and_query.clone())
        .build()
        .map_err(|error| invalid(&error))?;
    let mut message = Request::new(());
    *message.method_mut() = method.clone();
    *message.uri_mut() = uri;
    *message.version_mut() = Version::HTTP_2;
    *message.headers_mut() = headers;
    Ok(message)
}

/// A body that is still to be sent.
pub(super) struct Body {
    /// What was read of it and not yet sent.
    piece: Bytes,
    upload: Option<Box<dyn ChunkSource>>,
    /// Bytes left of the length that was announced, to know the last piece, which ends the stream.
    left: Option<u64>,
}

impl Body {
    /// `None` if there is none.
    pub(super) async fn open(payload: &Payload) -> Result<Option<Self>, Failure> {
        let left = payload.length();
        match payload {
            Payload::Bytes(bytes) if bytes.is_empty() => Ok(None),
            Payload::Bytes(bytes) => Ok(Some(Self { piece: bytes.clone(), upload: None, left })),
            Payload::Upload(upload) => {
                let source = upload.open().await.map_err(|error| unreadable(&error))?;
                Ok(Some(Self { piece: Bytes::new(), upload: Some(source), left }))
            }
        }
    }
}

/// A body and the stream that it goes out on.
pub(super) struct Outgoing {
    pub(super) body: Body,
    pub(super) stream: SendStream<Bytes>,
}

impl Outgoing {
    /// Hands over as much as the server takes; ready when nothing is left, or nothing more is wanted.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            if self.body.piece.is_empty()
                && let Err(failure) = ready!(self.body.poll_read(cx))
            {
                // The server must not take what it has for the whole.
                self.stream.send_reset(Reason::CANCEL);
                return Poll::Ready(Err(failure));
            }
            let (piece, stream) = (&mut self.body.piece, &mut self.stream);
            let ended = piece.is_empty();
            if !ended {
                stream.reserve_capacity(piece.len().min(PIECE));
                while stream.capacity() == 0 {
                    match ready!(stream.poll_capacity(cx)) {
                        Some(Ok(_)) => {}
                        // The stream is over; why, the response says.
                        Some(Err(_)) | None => return Poll::Ready(Ok(())),
                    }
                }
            }
            let next = piece.split_to(piece.len().min(PIECE).min(stream.capacity()));
            let last = ended || (!piece.has_remaining() && self.body.left == Some(next.len() as u64));
            if let Some(left) = &mut self.body.left {
                *left = left.saturating_sub(next.len() as u64);
            }
            if stream.send_data(next, last).is_err() || last {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Body {
    /// Reads the next piece; none is left if it is empty then.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if let Some(source) = &mut self.upload {
            match ready!(source.poll_next(cx)).transpose().map_err(|error| unreadable(&error))? {
                Some(chunk) => self.piece = chunk,
                None => self.upload = None,
            }
        }
        Poll::Ready(Ok(()))
    }
}
