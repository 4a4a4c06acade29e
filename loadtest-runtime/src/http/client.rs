//! [`HttpClient`], the state of one virtual user, and [`Http`], the handle that a test works with.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::http::{HeaderMap, Method};

use super::HttpOptions;
use super::connect::{Connector, Purpose};
use super::cookies::{CookieJar, Cookies};
use super::deadline::Timers;
use super::debug::Debugger;
use super::error::Failure;
use super::h1::{self, Http1};
use super::options::CookiePolicy;
use super::record::RecordExchange;
use super::request::RequestBuilder;
use super::status::{ExpectedStatus, StatusRule};
use super::target::Target;
use super::throttle::Throttle;
use super::transport::{Trace, Transport, TransportRequest, TransportResponse};

/// The HTTP state of one virtual user: its connections and its cookies. It stays on one thread.
pub struct HttpClient {
    pub(super) options: Arc<HttpOptions>,
    connector: Connector,
    http1: Http1,
    #[cfg(feature = "http2")]
    http2: super::h2::H2Transport,
    /// For the time limits of requests.
    pub(super) timers: Timers,
    pub(super) throttle: Option<Arc<Throttle>>,
    cookies: Box<Cookies>,
    /// Whether there may be cookies of its own.
    has_cookies: Cell<bool>,
    /// Which statuses requests expect that say nothing about it.
    pub(super) expected: RefCell<StatusRule>,
    /// Shows requests and responses.
    pub(super) debugger: Option<Box<Debugger>>,
    /// The challenges of servers that ask who is there.
    #[cfg(feature = "digest")]
    pub(super) digest: super::digest::Sessions,
}

impl HttpClient {
    /// A client without connections and cookies.
    #[must_use]
    pub fn new(options: Arc<HttpOptions>) -> Self {
        Self::of_vu(options, 1)
    }

    /// The client of a virtual user, by its number.
    pub(crate) fn of_vu(options: Arc<HttpOptions>, vu: u64) -> Self {
        Self {
            connector: Connector::new(Arc::clone(&options), vu),
            http1: Http1::new(!options.no_connection_reuse),
            #[cfg(feature = "http2")]
            http2: super::h2::H2Transport::new(Arc::clone(&options)),
            timers: Timers::default(),
            cookies: Box::new(Cookies::new(Arc::clone(&options))),
            has_cookies: Cell::new(false),
            expected: RefCell::default(),
            debugger: options.debug.map(|debug| Box::new(Debugger::to_stderr(debug))),
            #[cfg(feature = "digest")]
            digest: super::digest::Sessions::default(),
            options,
            throttle: None,
        }
    }

    /// The same, whose requests wait for their turns.
    pub(crate) fn throttled(mut self, throttle: Option<Arc<Throttle>>) -> Self {
        self.throttle = throttle;
        self
    }

    /// The same, which shows requests and responses there, if the options say that they are shown: `output` takes the
    /// number of a request and lines without the last line end.
    pub(crate) fn debugging(mut self, output: impl Fn(u64, &str) + 'static) -> Self {
        self.debugger = self.options.debug.map(|debug| Box::new(Debugger::new(debug, output)));
        self
    }

    /// Which statuses requests expect that say nothing about it.
    pub(crate) fn expect_statuses(&self, expected: impl ExpectedStatus) {
        self.expected.replace(expected.into_rule());
    }

    /// What connects this virtual user.
    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// An iteration has ended.
    pub(crate) fn end_iteration(&self) {
        if self.options.no_vu_connection_reuse {
            self.http1.close_idle();
            #[cfg(feature = "http2")]
            self.http2.close_idle();
        }
    }

    /// Sends a request by whichever transport its origin takes, and returns when the response's head is there.
    ///
    /// A connection that is there already is used; if it turns out to be dead before anything came back, and
    /// repeating the request can do nothing twice, it is sent once more, on a fresh connection.
    pub(super) fn carry<'a>(&'a self, request: &'a TransportRequest<'a>, trace: &'a Trace) -> Carry<'a> {
        Carry { client: self, request, trace, state: CarryState::Begin }
    }

    /// Sends a request whose origin has no connection of HTTP/1.1 that is free.
    async fn carry_afresh(
        &self,
        request: &TransportRequest<'_>,
        trace: &Trace,
    ) -> Result<TransportResponse, Failure> {
        #[cfg(feature = "http2")]
        if let Some(result) = on_idle(&self.http2, request, trace).await {
            return result;
        }
        // Who begins at the same time as others waits for the connection that one of them makes.
        #[cfg(feature = "http2")]
        let turn = self.http2.turn(request.target).await;
        #[cfg(feature = "http2")]
        if turn.is_none()
            && let Some(result) = on_idle(&self.http2, request, trace).await
        {
            return result;
        }
        let established = self.connector.establish(request.target, Purpose::Http, trace).await?;
        #[cfg(feature = "http2")]
        if established.is_http2 {
            let connection = self.http2.open(request.target, established).await?;
            drop(turn);
            let sent = self.http2.exchange(connection, request, trace).await;
            return sent.map_err(|attempt| attempt.failure);
        }
        #[cfg(feature = "http2")]
        if let Some(turn) = turn {
            self.http2.is_http1(request.target, turn);
        }
        let connection = self.http1.open(request.target, established).await?;
        self.http1.exchange(connection, request, trace).await.map_err(|attempt| attempt.failure)
    }

    /// Keeps the cookies that are there now: [`reset_cookies`](Self::reset_cookies) goes back to them.
    pub fn keep_cookies(&self) {
        self.cookies.keep();
    }

    /// Forgets all cookies but those that were [kept](Self::keep_cookies), if each iteration is a new visitor:
    /// [`HttpOptions::cookies`].
    pub fn reset_cookies(&self) {
        if self.has_cookies.get() {
            self.cookies.reset();
        }
    }

    /// Keeps the cookies of a response.
    pub(super) fn store_cookies(&self, target: &Target, headers: &HeaderMap) {
        self.cookies().store(target, headers);
    }

    /// The `Cookie` header for a target: the jar's cookies and those of the request, which win.
    pub(super) fn cookie_header(&self, target: &Target, own: &[(String, String)]) -> Option<String> {
        let is_shared = self.options.cookies == CookiePolicy::Test;
        if own.is_empty() && !is_shared && !self.has_cookies.get() {
            return None;
        }
        self.cookies.header(target, own)
    }

    /// The cookies, to be changed.
    pub(super) fn cookies(&self) -> &Cookies {
        self.has_cookies.set(true);
        &self.cookies
    }
}

/// A request that is being carried: by HTTP/1.1 if there is a connection, else in a box, so that a virtual user's
/// future has no room for what happens once.
pub(super) struct Carry<'a> {
    client: &'a HttpClient,
    request: &'a TransportRequest<'a>,
    trace: &'a Trace,
    state: CarryState<'a>,
}

enum CarryState<'a> {
    Begin,
    Idle(h1::Exchange<'a>),
    Afresh(Pin<Box<dyn Future<Output = Result<TransportResponse, Failure>> + 'a>>),
}

impl Future for Carry<'_> {
    type Output = Result<TransportResponse, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { client, request, trace, state } = &mut *self;
        loop {
            match state {
                CarryState::Begin => match client.http1.idle(request.target, cx) {
                    Some(connection) => {
                        *state = CarryState::Idle(client.http1.begin(connection, request, trace));
                    }
                    None => *state = CarryState::Afresh(Box::pin(client.carry_afresh(request, trace))),
                },
                CarryState::Idle(exchange) => match ready!(Pin::new(exchange).poll(cx)) {
                    Err(attempt) if attempt.may_repeat(request.method) => {
                        trace.start_over();
                        *state = CarryState::Afresh(Box::pin(client.carry_afresh(request, trace)));
                    }
                    result => return Poll::Ready(result.map_err(|attempt| attempt.failure)),
                },
                CarryState::Afresh(future) => return future.as_mut().poll(cx),
            }
        }
    }
}

/// Sends a request on a connection that is there; `None` if there is none, or it was dead.
#[cfg(feature = "http2")]
async fn on_idle<T: Transport>(
    transport: &T,
    request: &TransportRequest<'_>,
    trace: &Trace,
) -> Option<Result<TransportResponse, Failure>> {
    let connection = std::future::poll_fn(|cx| Poll::Ready(transport.idle(request.target, cx))).await?;
    match transport.exchange(connection, request, trace).await {
        Ok(response) => Some(Ok(response)),
        Err(attempt) if attempt.may_repeat(request.method) => {
            trace.start_over();
            None
        }
        Err(attempt) => Some(Err(attempt.failure)),
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

/// A handle to the HTTP client of a virtual user. Cheap to clone, so that requests can run side by side.
#[derive(Clone)]
pub struct Http {
    pub(super) client: Rc<HttpClient>,
    pub(super) recorder: Rc<dyn RecordExchange>,
}

impl Http {
    /// A handle that sends with `client` and hands every exchange to `recorder`.
    #[must_use]
    pub fn new(client: Rc<HttpClient>, recorder: Rc<dyn RecordExchange>) -> Self {
        Self { client, recorder }
    }

    /// The cookies of the virtual user, to be read and changed.
    #[must_use]
    pub fn cookies(&self) -> CookieJar {
        CookieJar::new(Rc::clone(&self.client))
    }

    /// Which statuses count as success from now on, for requests of this virtual user that have no
    /// [`expected_status`](RequestBuilder::expected_status) of their own, in this and later iterations: k6's
    /// `setResponseCallback`. A number, a range, a list, or a function; by default 200 to 399.
    ///
    /// A redirect that was followed is always expected, and so is the challenge that
    /// `digest_auth` answers. `|_| true` takes whatever comes back as expected, and is
    /// what comes nearest to k6's `null`: `http_req_failed` is still recorded, and then tells of requests that got no
    /// response.
    ///
    /// ```
    /// # fn expect(vu: &mut loadtest_runtime::Vu) {
    /// vu.http().set_expected_statuses(|status| matches!(status, 200 | 201 | 404 | 500..=503));
    /// # }
    /// ```
    pub fn set_expected_statuses(&self, expected: impl ExpectedStatus) {
        self.client.expect_statuses(expected);
    }

    /// A GET request. A URL that cannot be used is reported, and recorded, when the request is sent.
    pub fn get(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A POST request.
    pub fn post(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// A PUT request.
    pub fn put(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// A PATCH request.
    pub fn patch(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// A DELETE request.
    pub fn delete(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// A HEAD request.
    pub fn head(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// An OPTIONS request.
    pub fn options(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::OPTIONS, url)
    }

    /// A request of any method except CONNECT.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> RequestBuilder {
        let url = url.as_ref();
        RequestBuilder::new(self.clone(), method, url, Target::get(url))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}
