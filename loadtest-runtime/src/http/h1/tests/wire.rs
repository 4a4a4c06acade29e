//! One exchange of the transport over a pair of sockets, whose server writes known pieces, each only when the one
//! before has been read.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use ::http::{HeaderMap, Method, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::super::super::connect::Established;
use super::super::super::error::Failure;
use super::super::super::io::{Counted, Socket, Stream};
use super::super::super::target::Target;
use super::super::super::transport::{Payload, ResponseBody, Trace, Transport, TransportRequest};
use super::super::Http1;
use crate::http::HttpOptions;

/// A whole response.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// The response, and whether the connection can be used for another request. If `closes`, the server closes it after
/// the last piece.
pub(super) async fn exchange<'a>(
    method: &Method,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    closes: bool,
) -> Result<(Got, bool), Failure> {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let stream = Stream::Plain(Counted::new(Socket::Unix(ours)));
    let traffic = Rc::clone(stream.traffic());
    let target = Target::get("http://127.0.0.1/").unwrap();
    let transport = Http1::new(true);
    let trace = Trace::start();
    let is_done = Cell::new(false);
    let client = async {
        let got = send(&transport, stream, &target, method, &Payload::default(), &trace).await;
        is_done.set(true);
        got
    };
    let server = async {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(theirs.read_buf(&mut request).await.unwrap() > 0);
        }
        let mut sent = 0;
        for piece in pieces {
            // Whoever refuses a response does not stay for the rest of it.
            if theirs.write_all(piece).await.is_err() {
                break;
            }
            sent += piece.len() as u64;
            while traffic.received() < sent && !is_done.get() {
                tokio::task::yield_now().await;
            }
        }
        if closes {
            let _ = theirs.shutdown().await;
        }
        theirs
    };
    let (got, _theirs) = tokio::join!(client, server);
    let got = got?;
    // The reactor looks at the sockets.
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    let is_kept = poll_fn(|cx| Poll::Ready(transport.idle(&target, cx).is_some())).await;
    Ok((got, is_kept))
}

/// Sends a request on a connection that nothing has been said on, and reads the whole response.
pub(super) async fn send(
    transport: &Http1,
    stream: Stream,
    target: &std::sync::Arc<Target>,
    method: &Method,
    body: &Payload,
    trace: &Trace,
) -> Result<Got, Failure> {
    let (headers, options) = (HeaderMap::new(), HttpOptions::default());
    let established = Established {
        stream,
        remote_addr: None,
        #[cfg(feature = "http2")]
        is_http2: false,
    };
    let connection = transport.open(target, established).await?;
    let request = TransportRequest {
        method,
        target,
        headers: &headers,
        cookie: None,
        accept_encoding: true,
        body,
        options: &options,
    };
    let response = transport.exchange(connection, &request, trace).await;
    let response = response.map_err(|attempt| attempt.failure)?;
    let mut body = Vec::new();
    match response.body {
        ResponseBody::Whole(whole) => body.extend_from_slice(&whole),
        ResponseBody::Source(mut source) => {
            while let Some(chunk) = poll_fn(|cx| source.poll_chunk(cx, trace)).await {
                body.extend_from_slice(&chunk?);
            }
        }
    }
    let (status, version) = (response.status.as_u16(), response.version);
    Ok(Got { status, version, headers: response.headers.map().clone(), body })
}
