//! From a request to a response: [`Call`] follows redirects, [`OpenResponse`] reads the body, and each
//! exchange on the way is recorded exactly once.

use std::borrow::Cow;
use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use ::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE,
    COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use bytes::{Bytes, BytesMut};
use loadtest_core::metric::tag;

use super::client::Http;
use super::deadline::Watchdog;
use super::debug::Answer;
use super::decode;
use super::error::{Error, ErrorKind, Failure};
use super::extras::Extras;
use super::headers::{ResponseHeaders, has};
use super::record::{ExchangeRecord, Protocol, RecordExchange, Timings};
use super::response::Response;
use super::route;
use super::status::StatusRule;
use super::target::Target;
use super::transport::{Payload, ResponseBody, Sealed, Trace, TransportRequest, TransportResponse};
use crate::protocols::{OwnTags, RecordSamples};

/// Times that one request is repeated because its server asks who it is from: at first, and for a nonce that is over.
#[cfg(feature = "digest")]
const MAX_CHALLENGES: u32 = 2;

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

/// One request, from what a test says about it to the end of its response.
pub(super) struct Call {
    pub(super) http: Http,
    pub(super) method: Method,
    /// Where it goes; none if the URL leads nowhere.
    pub(super) target: Option<Arc<Target>>,
    pub(super) headers: HeaderMap,
    pub(super) body: Payload,
    pub(super) timeout: Duration,
    pub(super) redirects: usize,
    pub(super) discard: bool,
    accept_encoding: bool,
    pub(super) tagging: Tagging,
    /// What few requests have.
    pub(super) extras: Option<Box<Extras>>,
    /// The number by which the exchange is shown, if it is.
    shown: Cell<u64>,
    /// Of the exchange that runs, or of the last one.
    trace: Trace,
}

impl Call {
    pub(super) fn new(http: Http, method: Method, url: &str, target: Result<Arc<Target>, Failure>) -> Self {
        let options = &http.client.options;
        let (timeout, redirects, discard) =
            (options.timeout, options.max_redirects, options.discard_response_bodies);
        let (target, extras) = match target {
            Ok(target) => (Some(target), None),
            Err(failure) => (None, Some(Box::new(Extras::unusable(url, failure)))),
        };
        let expected = http.client.expected.borrow().clone();
        Self {
            http,
            method,
            target,
            headers: HeaderMap::new(),
            body: Payload::default(),
            timeout,
            redirects,
            discard,
            accept_encoding: true,
            tagging: Tagging { expected, ..Tagging::default() },
            extras,
            shown: Cell::default(),
            trace: Trace::default(),
        }
    }

    /// The URL, whether it can be used or not.
    pub(super) fn url(&self) -> &str {
        let unusable = self.extras.as_ref().map_or("", |extras| &extras.unusable);
        self.target.as_ref().map_or(unusable, |target| target.url.as_str())
    }

    /// Keeps a mistake, if it is the first.
    pub(super) fn invalid(&mut self, text: impl Into<Cow<'static, str>>) {
        self.fail(Failure::new(ErrorKind::InvalidRequest, text));
    }

    /// Keeps a mistake, if it is the first.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.extras().failure.get_or_insert(failure);
    }

    /// Scheme, host and port; empty if the URL leads nowhere.
    pub(super) fn origin(&self) -> String {
        let target = self.target.as_ref();
        target.map(|target| target.url[..url::Position::BeforePath].to_owned()).unwrap_or_default()
    }

    /// Sends the request, follows redirects, and returns when the head of the last response is there.
    pub(super) async fn open(mut self: Box<Self>, accept_encoding: bool) -> Result<OpenResponse, Error> {
        self.accept_encoding = accept_encoding;
        let mut target = self.checked()?;
        // A timeout beyond what an instant can hold is none; thirty years stand for it.
        let far = Duration::from_secs(30 * 365 * 86400);
        let mut limit = self.timeout.min(far);
        let mut deadline = None;
        let mut followed = 0;
        #[cfg(feature = "digest")]
        let mut challenges = 0;
        loop {
            // Waiting for a turn takes nothing of the time that the service has.
            limit += self.turn(&target).await;
            self.trace = Trace::start();
            #[cfg(feature = "digest")]
            let answered = self.answer(&target);
            let begin = *deadline.get_or_insert_with(|| self.trace.began());
            let head = self.exchange(&target, (begin + limit).into()).await?;
            #[cfg(feature = "digest")]
            if challenges < MAX_CHALLENGES && self.is_challenged(&target, &head, answered) {
                challenges += 1;
                let mut open = OpenResponse::new(self, Arc::clone(&target), head);
                if let Err(failure) = open.read_body(true).await {
                    return Err(open.fail(failure));
                }
                open.record(None, true);
                self = open.call;
                continue;
            }
            let Some(location) = head.redirect().filter(|_| self.redirects > 0) else {
                return Ok(OpenResponse::new(self, target, head));
            };
            let next = if followed == self.redirects {
                let text = format!("stopped after {followed} redirects");
                Err(Failure::new(ErrorKind::TooManyRedirects, text))
            } else {
                target.join(&location).map(Arc::new)
            };
            let status = head.status;
            let mut open = OpenResponse::new(self, Arc::clone(&target), head);
            // Read to its end, so that the connection can be used again.
            let drained = open.read_body(true).await;
            match drained.and(next) {
                Ok(next) => {
                    open.record(None, true);
                    self = open.call;
                    self.follow(status, &target, &next);
                    target = next;
                    followed += 1;
                    #[cfg(feature = "digest")]
                    {
                        challenges = 0;
                    }
                }
                Err(failure) => return Err(open.fail(failure)),
            }
        }
    }

    /// Checks the request as a whole, and says where it goes. A mistake is recorded here.
    fn checked(&mut self) -> Result<Arc<Target>, Error> {
        if has(&self.headers, &CONTENT_LENGTH)
            && let Some(length) = self.headers.remove(CONTENT_LENGTH)
            && length.to_str().ok().and_then(|text| text.parse().ok()) != self.body.length()
        {
            self.invalid(format!("the header content-length {length:?} is not the length of the body"));
        }
        self.apply_extras();
        let failure = self.extras.as_mut().and_then(|extras| extras.failure.take());
        match (&self.target, failure) {
            (Some(target), None) => Ok(Arc::clone(target)),
            (target, failure) => {
                let failure = failure.unwrap_or_else(|| Failure::new(ErrorKind::InvalidUrl, "invalid url"));
                let name = target.as_ref().map(|target| &*target.name);
                Err(self.tagging.reject(&*self.http.recorder, &self.method, self.url(), name, failure))
            }
        }
    }

    /// Waits for the turn of the next exchange.
    async fn turn(&self, target: &Target) -> Duration {
        let Some(throttle) = &self.http.client.throttle else { return Duration::ZERO };
        let waited = throttle.turn().await;
        self.tagging.throttled(&*self.http.recorder, target, waited);
        waited
    }

    /// One exchange, up to the head of its response.
    async fn exchange(&self, target: &Arc<Target>, deadline: tokio::time::Instant) -> Result<Head, Error> {
        let client = &self.http.client;
        let cookie = match has(&self.headers, &COOKIE) {
            true => None,
            false => client.cookie_header(target, self.own_cookies()),
        };
        let request = TransportRequest {
            method: &self.method,
            target,
            headers: &self.headers,
            cookie: cookie.as_deref(),
            accept_encoding: self.accept_encoding,
            body: &self.body,
            options: &client.options,
        };
        if let Some(debugger) = &client.debugger {
            self.shown.set(debugger.request(&request));
        }
        let mut watchdog = client.timers.watch(self.trace.began().into(), deadline);
        let under_way = Guard::new(|| self.record_headless(&dropped(&self.trace), target));
        // It ends here: what is under way notes in the trace how far it got when it is dropped.
        let sent = watchdog.bound(client.carry(&request, &self.trace)).await;
        under_way.disarm();
        match sent.unwrap_or_else(|| Err(timed_out(self.timeout, &self.trace))) {
            Ok(TransportResponse { status, version, headers, remote_addr, body }) => {
                if headers.sets_cookies {
                    client.store_cookies(target, headers.map());
                }
                Ok(Head { status, version, headers, remote_addr, body: Some(body), watchdog })
            }
            Err(failure) => {
                self.record_headless(&failure, target);
                Err(Error::new(failure, &self.method, target.url.as_str(), None))
            }
        }
    }

    /// Records an exchange that ended before the head of its response was there.
    fn record_headless(&self, failure: &Failure, target: &Target) {
        if let Some(debugger) = &self.http.client.debugger {
            debugger.outcome(self.shown.get(), None, Some(failure));
        }
        let exchange = Exchange {
            method: &self.method,
            target,
            head: None,
            failure: Some(failure),
            followed: false,
            sealed: self.trace.seal(),
        };
        self.tagging.record(&*self.http.recorder, &exchange);
    }

    /// Makes this the request that a redirect asks for (RFC 9110, section 15.4, as browsers do it).
    fn follow(&mut self, status: StatusCode, from: &Target, to: &Target) {
        let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        if !keeps_method {
            if self.method != Method::HEAD {
                self.method = Method::GET;
            }
            self.body = Payload::default();
            for name in
                [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, TRANSFER_ENCODING]
            {
                self.headers.remove(name);
            }
        }
        if !to.same_origin(from) {
            // What is meant for one service must not reach another.
            for name in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, HOST] {
                self.headers.remove(name);
            }
            self.extras = None;
        }
    }
}

/// The head of a response, its body unread.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: ResponseHeaders,
    pub(super) remote_addr: Option<SocketAddr>,
    /// `None` when the body is at its end.
    body: Option<ResponseBody>,
    watchdog: Watchdog,
}

impl Head {
    /// Where the response redirects to.
    fn redirect(&self) -> Option<HeaderValue> {
        let redirects = matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        redirects.then(|| self.headers.map().get(LOCATION).cloned()).flatten()
    }
}

/// A response whose body has not been read, and whose exchange has not been recorded.
pub(super) struct OpenResponse {
    call: Box<Call>,
    target: Arc<Target>,
    pub(super) head: Head,
}

impl OpenResponse {
    fn new(call: Box<Call>, target: Arc<Target>, head: Head) -> Self {
        Self { call, target, head }
    }

    /// Reads the body, records the exchange, and makes it a response.
    pub(super) async fn collect(mut self) -> Result<Response, Error> {
        let body = self.read_body(self.call.discard).await;
        self.finish(body)
    }

    /// The response, if its body came along with its head, as most do: nothing has to be waited for then.
    pub(super) fn collected(mut self) -> Result<Result<Response, Error>, Self> {
        match &mut self.head.body {
            Some(ResponseBody::Whole(whole)) => {
                let body = std::mem::take(whole);
                Ok(self.finish(Ok(body)))
            }
            _ => Err(self),
        }
    }

    /// Records the exchange, and makes it a response.
    fn finish(self, body: Result<Bytes, Failure>) -> Result<Response, Error> {
        let limit = self.call.http.client.options.max_decoded_body;
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
    fn fail(&self, failure: Failure) -> Error {
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
