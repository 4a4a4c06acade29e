//! From a request to a response: [`Call`] follows redirects, [`OpenResponse`] reads the body, and each
//! exchange on the way is recorded exactly once.

use std::borrow::Cow;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_TYPE, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION, TRANSFER_ENCODING, USER_AGENT,
};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use bytes::{Bytes, BytesMut};
use tokio::time::timeout_at;

use super::client::Http;
use super::decode;
use super::error::{Error, ErrorKind, Failure};
use super::record::{ExchangeRecord, Protocol, RecordExchange, Timings};
use super::response::Response;
use super::route;
use super::status::StatusRule;
use super::target::Target;
use super::transport::{BodySource, Sealed, Trace, TransportRequest, TransportResponse};

/// How the samples of a request are tagged and judged.
#[derive(Debug, Default)]
pub(super) struct Tagging {
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) expected: StatusRule,
}

impl Tagging {
    /// Records a request that never left.
    pub(super) fn reject(
        &self,
        recorder: &dyn RecordExchange,
        method: &Method,
        url: &str,
        name: Option<&str>,
        failure: Failure,
    ) -> Error {
        let fallback = route::raw_template(url);
        recorder.record(&ExchangeRecord {
            name: self.name.as_deref().or(name).unwrap_or(&fallback),
            method: method.as_str(),
            status: 0,
            protocol: Protocol::Http11,
            error: Some(failure.kind),
            expected_response: false,
            tags: &self.tags,
            url: &route::shown(url),
            error_text: &failure.text,
            ended: Instant::now(),
            timings: Timings::default(),
            bytes_sent: 0,
            bytes_received: 0,
        });
        Error::new(failure, method, url, None)
    }

    /// Records how long an exchange waited for its turn.
    pub(super) fn throttled(&self, recorder: &dyn RecordExchange, target: &Target, waited: Duration) {
        recorder.throttled(self.name.as_deref().unwrap_or(&target.name), &self.tags, waited);
    }

    /// Records an exchange.
    pub(super) fn record(&self, recorder: &dyn RecordExchange, exchange: &Exchange<'_>) {
        let Exchange { method, target, head, failure, followed, sealed } = *exchange;
        let status = head.map_or(0, |(status, _)| status.as_u16());
        recorder.record(&ExchangeRecord {
            name: self.name.as_deref().unwrap_or(&target.name),
            method: method.as_str(),
            status,
            protocol: head.map_or(Protocol::Http11, |(_, version)| version.into()),
            error: failure.map(|failure| failure.kind),
            expected_response: failure.is_none() && (followed || self.expected.accepts(status)),
            tags: &self.tags,
            url: target.shown_url(),
            error_text: failure.map_or("", |failure| &failure.text),
            ended: sealed.ended,
            timings: sealed.timings,
            bytes_sent: sealed.bytes_sent,
            bytes_received: sealed.bytes_received,
        });
    }
}

/// What is to be recorded.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) method: &'a Method,
    pub(super) target: &'a Target,
    pub(super) head: Option<(StatusCode, Version)>,
    pub(super) failure: Option<&'a Failure>,
    /// Whether it is a redirect that was followed.
    pub(super) followed: bool,
    pub(super) sealed: Sealed,
}

/// A request that has been checked.
pub(super) struct Call {
    pub(super) http: Http,
    pub(super) method: Method,
    pub(super) target: Arc<Target>,
    pub(super) headers: HeaderMap,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) cookies: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) timeout: Duration,
    pub(super) redirects: usize,
    pub(super) accept_encoding: bool,
    pub(super) tagging: Tagging,
}

impl Call {
    /// Sends the request, follows redirects, and returns when the head of the last response is there.
    pub(super) async fn open(mut self) -> Result<OpenResponse, Error> {
        let now = tokio::time::Instant::now();
        // A timeout beyond what an instant can hold is none; thirty years stand for it.
        let far = now + Duration::from_secs(30 * 365 * 86400);
        let mut deadline = now.checked_add(self.timeout).unwrap_or(far);
        let mut followed = 0;
        loop {
            // Waiting for a turn takes nothing of the time that the service has.
            deadline = deadline.checked_add(self.turn().await).unwrap_or(far);
            let open = self.exchange(deadline).await?;
            let Some(location) = open.redirect() else { return Ok(open.with(self)) };
            if self.redirects == 0 {
                return Ok(open.with(self));
            }
            let next = if followed == self.redirects {
                let text = format!("stopped after {followed} redirects");
                Err(Failure::new(ErrorKind::TooManyRedirects, text))
            } else {
                self.target.join(&location).map(Arc::new)
            };
            let status = open.status;
            let mut open = open.with(self);
            // Read to its end, so that the connection can be used again.
            let drained = open.read_body(true).await;
            match drained.and(next) {
                Ok(next) => {
                    open.record(None, true);
                    self = open.call;
                    self.follow(status, next);
                    followed += 1;
                }
                Err(failure) => return Err(open.fail(failure)),
            }
        }
    }

    /// Waits for the turn of the next exchange.
    async fn turn(&self) -> Duration {
        let Some(throttle) = &self.http.client.throttle else { return Duration::ZERO };
        let waited = throttle.turn().await;
        self.tagging.throttled(&*self.http.recorder, &self.target, waited);
        waited
    }

    /// One exchange, up to the head of its response.
    async fn exchange(&self, deadline: tokio::time::Instant) -> Result<Head, Error> {
        let client = &self.http.client;
        let request = TransportRequest {
            method: self.method.clone(),
            target: Arc::clone(&self.target),
            headers: self.compose_headers(),
            body: self.body.clone(),
        };
        let trace = Trace::start();
        let under_way = Guard::new(|| self.record_headless(&dropped(&trace), &trace));
        let sent = timeout_at(deadline, client.transport.send(&request, &trace)).await;
        under_way.disarm();
        match sent.unwrap_or_else(|_| Err(timed_out(self.timeout, &trace))) {
            Ok(TransportResponse { status, version, headers, remote_addr, body }) => {
                client.store_cookies(&self.target, &headers);
                Ok(Head { status, version, headers, remote_addr, body, trace, deadline })
            }
            Err(failure) => {
                self.record_headless(&failure, &trace);
                Err(Error::new(failure, &self.method, self.target.url.as_str(), None))
            }
        }
    }

    /// Records an exchange that ended before the head of its response was there.
    fn record_headless(&self, failure: &Failure, trace: &Trace) {
        let exchange = Exchange {
            method: &self.method,
            target: &self.target,
            head: None,
            failure: Some(failure),
            followed: false,
            sealed: trace.seal(),
        };
        self.tagging.record(&*self.http.recorder, &exchange);
    }

    /// The request's headers and those that every request has.
    fn compose_headers(&self) -> HeaderMap {
        let client = &self.http.client;
        let mut headers = self.headers.clone();
        headers.entry(HOST).or_insert_with(|| self.target.host_header.clone());
        headers.entry(USER_AGENT).or_insert_with(|| client.options.user_agent.clone());
        if let Some(encodings) = decode::ACCEPT_ENCODING
            && self.accept_encoding
        {
            headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static(encodings));
        }
        if let Some(authorization) = &self.target.authorization {
            headers.entry(AUTHORIZATION).or_insert_with(|| authorization.clone());
        }
        if let Some(content_type) = &self.content_type {
            headers.entry(CONTENT_TYPE).or_insert_with(|| content_type.clone());
        }
        if !headers.contains_key(COOKIE)
            && let Some(cookies) = client.cookie_header(&self.target, &self.cookies)
            && let Ok(cookies) = HeaderValue::try_from(cookies)
        {
            headers.insert(COOKIE, cookies);
        }
        // A method that usually has a body says so if it has none (RFC 9110, section 8.6).
        if self.body.is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(&self.method) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        headers
    }

    /// Makes this the request that a redirect asks for (RFC 9110, section 15.4, as browsers do it).
    fn follow(&mut self, status: StatusCode, next: Arc<Target>) {
        let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        if !keeps_method {
            if self.method != Method::HEAD {
                self.method = Method::GET;
            }
            self.body = Bytes::new();
            self.content_type = None;
            for name in
                [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, TRANSFER_ENCODING]
            {
                self.headers.remove(name);
            }
        }
        if !next.same_origin(&self.target) {
            // What is meant for one service must not reach another.
            for name in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, HOST] {
                self.headers.remove(name);
            }
            self.cookies.clear();
        }
        self.target = next;
    }
}

/// The head of a response, its body unread.
struct Head {
    status: StatusCode,
    version: Version,
    headers: HeaderMap,
    remote_addr: SocketAddr,
    body: Box<dyn BodySource>,
    trace: Rc<Trace>,
    deadline: tokio::time::Instant,
}

impl Head {
    /// Where the response redirects to.
    fn redirect(&self) -> Option<HeaderValue> {
        let redirects = matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        redirects.then(|| self.headers.get(LOCATION).cloned()).flatten()
    }

    fn with(self, call: Call) -> OpenResponse {
        let Self { status, version, headers, remote_addr, body, trace, deadline } = self;
        OpenResponse { call, status, version, headers, remote_addr, body: Some(body), trace, deadline }
    }
}

/// A response whose body has not been read, and whose exchange has not been recorded.
pub(super) struct OpenResponse {
    call: Call,
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) remote_addr: SocketAddr,
    /// `None` when the body is at its end.
    body: Option<Box<dyn BodySource>>,
    trace: Rc<Trace>,
    deadline: tokio::time::Instant,
}

impl OpenResponse {
    /// Reads the body, records the exchange, and makes it a response.
    pub(super) async fn collect(mut self, discard: bool) -> Result<Response, Error> {
        let limit = self.call.http.client.options.max_decoded_body;
        let body = self.read_body(discard).await;
        match body.and_then(|body| decode::decode(body, &self.headers, limit)) {
            Ok(body) => {
                self.record(None, false);
                Ok(Response {
                    method: self.call.method,
                    target: self.call.target,
                    status: self.status,
                    version: self.version,
                    headers: self.headers,
                    body,
                    timings: self.trace.seal().timings,
                    remote_addr: Some(self.remote_addr),
                })
            }
            Err(failure) => Err(self.fail(failure)),
        }
    }

    /// The next chunk; `None` after the last.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let next = timeout_at(self.deadline, poll_fn(|cx| body.poll_chunk(cx))).await;
        let next = next.unwrap_or_else(|_| Some(Err(timed_out(self.call.timeout, &self.trace))));
        if !matches!(next, Some(Ok(_))) {
            // Whatever is left of the connection goes with the body.
            self.body = None;
        }
        next.transpose()
    }

    /// Reads the rest of the body. The exchange is recorded here only if the test drops it meanwhile.
    async fn read_body(&mut self, discard: bool) -> Result<Bytes, Failure> {
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
        let exchange = Exchange {
            method: &self.call.method,
            target: &self.call.target,
            head: Some((self.status, self.version)),
            failure,
            followed,
            sealed: self.trace.seal(),
        };
        self.call.tagging.record(&*self.call.http.recorder, &exchange);
    }

    /// Records the exchange as failed.
    fn fail(&self, failure: Failure) -> Error {
        self.record(Some(&failure), false);
        self.error(failure)
    }

    pub(super) fn error(&self, failure: Failure) -> Error {
        Error::new(failure, &self.call.method, self.url(), Some(self.status.as_u16()))
    }

    pub(super) fn url(&self) -> &str {
        self.call.target.url.as_str()
    }

    /// The phases so far; final once the body is at its end.
    pub(super) fn finished_timings(&self) -> Option<Timings> {
        self.body.is_none().then(|| self.trace.seal().timings)
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
            let failure = dropped(&self.open.trace);
            self.open.record(Some(&failure), false);
        }
    }
}

/// Does something if it is dropped before it is disarmed: a test may give up a request at any time, by a time
/// limit of its own or a `select!`, and what the service did not answer must not be missing from the results.
pub(super) struct Guard<F: FnMut()> {
    on_drop: F,
    armed: bool,
}

impl<F: FnMut()> Guard<F> {
    pub(super) fn new(on_drop: F) -> Self {
        Self { on_drop, armed: true }
    }

    pub(super) fn disarm(mut self) {
        self.armed = false;
    }
}

impl<F: FnMut()> Drop for Guard<F> {
    fn drop(&mut self) {
        if self.armed {
            (self.on_drop)();
        }
    }
}

/// What is recorded of an exchange whose future the test dropped.
fn dropped(trace: &Trace) -> Failure {
    Failure::new(ErrorKind::Timeout, format!("{DROPPED}, {}", trace.doing()))
}

/// The cause of an exchange that was given up by the test itself.
pub(super) const DROPPED: &str = "dropped by the test before it ended";

fn timed_out(timeout: Duration, trace: &Trace) -> Failure {
    Failure::new(ErrorKind::Timeout, format!("timed out after {timeout:?}, {}", trace.doing()))
}
