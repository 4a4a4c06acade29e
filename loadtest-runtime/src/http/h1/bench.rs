//! [`Codec`]: what the benchmark of the codec calls, without a socket. Nothing else does.

use std::hint::black_box;
use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method};
use bytes::Bytes;

use super::super::options::HttpOptions;
use super::super::target::Target;
use super::super::transport::{Payload, TransportRequest};
use super::body::Left;
use super::codec::{self, Framing};
use super::connection::Inbox;

/// One request, and the reading of its responses.
pub struct Codec {
    method: Method,
    target: Arc<Target>,
    headers: HeaderMap,
    body: Payload,
    options: HttpOptions,
    inbox: Inbox,
    out: Vec<u8>,
}

impl Codec {
    /// A request to a fixed URL, a GET unless there is a body.
    ///
    /// # Panics
    /// If a name or a value is none.
    pub fn new(headers: &[(&'static str, &'static str)], body: &[u8]) -> Self {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Self {
            method: if body.is_empty() { Method::GET } else { Method::POST },
            target: Target::get("http://127.0.0.1:8080/api/seats?page=1").expect("it is a URL"),
            headers: headers.iter().map(header).collect(),
            body: Payload::Bytes(Bytes::copy_from_slice(body)),
            options: HttpOptions::default(),
            inbox: Inbox::default(),
            out: Vec::new(),
        }
    }

    /// Checks the request and writes its head; its length in bytes.
    ///
    /// # Panics
    /// If it could not be sent.
    pub fn write(&mut self) -> usize {
        let request = TransportRequest {
            method: &self.method,
            target: &self.target,
            headers: &self.headers,
            cookie: None,
            accept_encoding: true,
            body: &self.body,
            options: &self.options,
        };
        self.out.clear();
        codec::check(&request).expect("it can be sent");
        codec::write_head(&mut self.out, &request);
        black_box(&self.out).len()
    }

    /// Reads a head, without remembering it; its length in bytes.
    ///
    /// # Panics
    /// If it is no whole head.
    pub fn parse(&self, bytes: &[u8]) -> usize {
        let head = codec::parse_head(bytes, &self.method).expect("it is valid").expect("it is whole");
        black_box(head).length
    }

    /// Reads a response that came in one piece, as a connection does; the length of its body in bytes.
    ///
    /// # Panics
    /// If it is no whole response with a length.
    pub fn read(&mut self, bytes: &[u8]) -> usize {
        let arrived = self.inbox.take_head(bytes, &self.method, &self.target).expect("it is valid");
        black_box(arrived).expect("its head is whole").whole.expect("its body is whole").len()
    }

    /// Reads a body in chunks that came in one piece; the length of its data in bytes.
    ///
    /// # Panics
    /// If it is no whole body.
    pub fn decode(&self, bytes: &[u8]) -> usize {
        let taken = Left::new(Framing::Chunked).take(bytes).expect("it is valid");
        assert_eq!(taken.ended, Some(0), "it is whole");
        black_box(taken.data).len()
    }
}
