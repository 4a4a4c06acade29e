//! From a request to the head of its response: [`Call`] follows redirects, and each exchange on the way is recorded
//! exactly once. [`OpenResponse`] goes on from there.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE,
    COOKIE, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use ::http::{HeaderMap, Method, StatusCode};

use super::client::Http;
use super::error::{Error, ErrorKind, Failure};
use super::extras::Extras;
use super::headers::has;
use super::open::{Head, OpenResponse};
use super::tagging::{Exchange, Tagging};
use super::target::Target;
use super::transport::{Payload, Trace, TransportRequest, TransportResponse};

/// Times that one request is repeated because its server asks who it is from: at first, and for a nonce that is over.
#[cfg(feature = "digest")]
const MAX_CHALLENGES: u32 = 2;

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
    pub(super) shown: Cell<u64>,
    /// Of the exchange that runs, or of the last one.
    pub(super) trace: Trace,
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
pub(super) fn dropped(trace: &Trace) -> Failure {
    Failure::new(ErrorKind::Timeout, format!("{DROPPED}, {}", trace.doing()))
}

/// The cause of an exchange that was given up by the test itself.
pub(super) const DROPPED: &str = "dropped by the test before it ended";

pub(super) fn timed_out(timeout: Duration, trace: &Trace) -> Failure {
    Failure::new(ErrorKind::Timeout, format!("timed out after {timeout:?}, {}", trace.doing()))
}
