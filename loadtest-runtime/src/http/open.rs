//! [`OpenResponse`]: a response whose head is here, and whose body is read to its end, chunk by chunk or at once.
//!
//! Its exchange is recorded exactly once: when the body is at its end, broken, or given up.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use ::http::header::LOCATION;
use ::http::{HeaderValue, StatusCode, Version};
use bytes::{Bytes, BytesMut};
use loadtest_core::metric::tag;

use super::deadline::Watchdog;
use super::debug::Answer;
use super::decode;
use super::error::{Error, ErrorKind, Failure};
use super::exchange::{Call, dropped, timed_out};
use super::headers::ResponseHeaders;
use super::record::Timings;
use super::response::Response;
use super::tagging::Exchange;
use super::target::Target;
use super::transport::ResponseBody;
use crate::protocols::{OwnTags, RecordSamples};

/// The head of a response, its body unread.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: ResponseHeaders,
    pub(super) remote_addr: Option<SocketAddr>,
    /// `None` when the body is at its end.
    pub(super) body: Option<ResponseBody>,
    pub(super) watchdog: Watchdog,
}

impl Head {
    /// Where the response redirects to.
    pub(super) fn redirect(&self) -> Option<HeaderValue> {
        let redirects = matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        redirects.then(|| self.headers.map().get(LOCATION).cloned()).flatten()
    }
}

/// A response whose body has not been read, and whose exchange has not been recorded.
pub(super) struct OpenResponse {
    pub(super) call: Box<Call>,
    target: Arc<Target>,
    pub(super) head: Head,
}

impl OpenResponse {
    pub(super) fn new(call: Box<Call>, target: Arc<Target>, head: Head) -> Self {
        Self { call, target, head }
    }

    /// Reads the body, records the exchange, and makes it a response.
    pub(super) async fn collect(mut self) -> Result<Response, Error> {
        let body = self.read_body(self.call.discard).await;
        self.finish(body)
    }

    /// Whether the body came along with the head, as most do: nothing has to be waited for then.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.head.body, Some(ResponseBody::Whole(_)))
    }

    /// The response, whose body [came along](Self::is_whole).
    pub(super) fn collected(mut self) -> Result<Response, Error> {
        let body = match &mut self.head.body {
            Some(ResponseBody::Whole(whole)) => std::mem::take(whole),
            _ => Bytes::new(),
        };
        self.finish(Ok(body))
    }

    /// Records the exchange, and makes it a response.
    fn finish(self, body: Result<Bytes, Failure>) -> Result<Response, Error> {
        let limit = self.call.http.client.options.max_body;
        let body = match self.call.discard {
            true => body.map(|_| Bytes::new()),
            false => body.and_then(|body| decode::decode(body, &self.head.headers, limit)),
        };
        match body {
            Ok(body) => {
                self.record_with((!self.call.discard).then_some(&body), None, false);
                let Head { status, version, headers, remote_addr, .. } = self.head;
                Ok(Response {
                    method: self.call.method,
                    target: self.target,
                    status,
                    version,
                    headers,
                    body,
                    timings: self.call.trace.seal().timings,
                    remote_addr,
                })
            }
            Err(failure) => Err(self.fail(failure)),
        }
    }

    /// The next chunk; `None` after the last.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let Self { call, head, .. } = self;
        let next = poll_fn(|cx| {
            let chunk = match &mut head.body {
                None => Poll::Ready(None),
                Some(ResponseBody::Whole(whole)) => {
                    let whole = std::mem::take(whole);
                    Poll::Ready((!whole.is_empty()).then_some(Ok(whole)))
                }
                Some(ResponseBody::Source(source)) => source.poll_chunk(cx, &call.trace),
            };
            if chunk.is_ready() {
                return chunk;
            }
            head.watchdog.poll(cx).map(|()| Some(Err(timed_out(call.timeout, &call.trace))))
        });
        let next = next.await;
        if !matches!(next, Some(Ok(_))) {
            // Whatever is left of the connection goes with the body.
            self.head.body = None;
        }
        next.transpose()
    }

    /// Reads the rest of the body. The exchange is recorded here only if the test drops it meanwhile.
    pub(super) async fn read_body(&mut self, discard: bool) -> Result<Bytes, Failure> {
        let mut reading = Reading { open: self, ended: false };
        let body = reading.open.read_chunks(discard).await;
        reading.ended = true;
        body
    }

    async fn read_chunks(&mut self, discard: bool) -> Result<Bytes, Failure> {
        let mut whole = Bytes::new();
        let mut more = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if discard {
                continue;
            }
            let limit = self.call.http.client.options.max_body;
            if (whole.len() + more.len() + chunk.len()) as u64 > limit {
                // One that never ends would take all the memory of the generator.
                let text = format!("the body is longer than {limit} bytes");
                let hint =
                    "discard it with .discard_body(), or read it chunk by chunk with .send_streaming()";
                return Err(Failure::new(ErrorKind::InvalidResponse, text).with_hint(hint));
            }
            if whole.is_empty() && more.is_empty() {
                // Most bodies are one chunk, which is then not copied.
                whole = chunk;
            } else {
                more.extend_from_slice(&std::mem::take(&mut whole));
                more.extend_from_slice(&chunk);
            }
        }
        Ok(if more.is_empty() { whole } else { more.freeze() })
    }

    /// Records the exchange. `followed` says that it is a redirect that is being followed.
    pub(super) fn record(&self, failure: Option<&Failure>, followed: bool) {
        self.record_with(None, failure, followed);
    }

    /// Records the exchange, whose body is shown if exchanges are.
    fn record_with(&self, body: Option<&Bytes>, failure: Option<&Failure>, followed: bool) {
        let call = &self.call;
        if let Some(debugger) = &call.http.client.debugger {
            let Head { status, version, headers, .. } = &self.head;
            let answer = Answer { status: *status, version: *version, headers: headers.map(), body };
            debugger.outcome(call.shown.get(), Some(&answer), failure);
        }
        let exchange = Exchange {
            method: &call.method,
            target: &self.target,
            head: Some((self.head.status, self.head.version)),
            failure,
            followed,
            sealed: call.trace.seal(),
        };
        call.tagging.record(&*call.http.recorder, &exchange);
    }

    /// Records the exchange as failed.
    pub(super) fn fail(&self, failure: Failure) -> Error {
        self.record(Some(&failure), false);
        self.error(failure)
    }

    pub(super) fn error(&self, failure: Failure) -> Error {
        Error::new(failure, &self.call.method, self.url(), Some(self.head.status.as_u16()))
    }

    pub(super) fn url(&self) -> &str {
        self.target.url.as_str()
    }

    /// Where samples of what the body holds go, with the tags of the request.
    pub(super) fn samples(&self) -> Option<(Rc<dyn RecordSamples>, OwnTags)> {
        let Call { http, tagging, .. } = &*self.call;
        let name = tagging.name.as_deref().unwrap_or(&self.target.name);
        let tags = OwnTags::new(&tagging.tags).with(tag::NAME, name);
        http.recorder.samples().map(|samples| (samples, tags))
    }

    /// The phases so far; final once the body is at its end.
    pub(super) fn finished_timings(&self) -> Option<Timings> {
        self.head.body.is_none().then(|| self.call.trace.seal().timings)
    }
}

/// A body that is being read to its end.
struct Reading<'a> {
    open: &'a mut OpenResponse,
    ended: bool,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let failure = dropped(&self.open.call.trace);
            self.open.record(Some(&failure), false);
        }
    }
}
