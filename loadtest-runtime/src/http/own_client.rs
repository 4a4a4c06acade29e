//! [`ReqwestHttp`]: requests through a `reqwest::Client` of the user's own, measured from outside.
//!
//! For what this crate's client does not do: proxies, middlewares. The client decides about
//! redirects, cookies and connections, so a whole chain of redirects is one exchange; waiting lasts until the
//! last head, receiving until the end of the body, the other phases are 0; bytes are those of the bodies. With a
//! limit to the requests of the test, such a chain takes one turn: a client that follows no redirects keeps it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use ::http::Method;
use bytes::BytesMut;

use super::error::{Error, ErrorKind, Failure};
use super::exchange::{DROPPED, Guard};
use super::headers::ResponseHeaders;
use super::record::{RecordExchange, Timings};
use super::response::Response;
use super::status::ExpectedStatus;
use super::tagging::{Exchange, Tagging};
use super::target::Target;
use super::throttle::Throttle;
use super::transport::{Sealed, nanos};

/// A handle that sends with a `reqwest::Client` and records every exchange.
#[must_use = "a handle does nothing until a request is sent: add .execute(request).await"]
pub struct ReqwestHttp {
    client: reqwest::Client,
    recorder: Rc<dyn RecordExchange>,
    throttle: Option<Arc<Throttle>>,
    tagging: Tagging,
}

impl ReqwestHttp {
    /// A handle that sends with `client` and hands every exchange to `recorder`.
    pub fn new(client: &reqwest::Client, recorder: Rc<dyn RecordExchange>) -> Self {
        Self { client: client.clone(), recorder, throttle: None, tagging: Tagging::default() }
    }

    /// The same, whose requests wait for their turns.
    pub(crate) fn throttled(mut self, throttle: Option<Arc<Throttle>>) -> Self {
        self.throttle = throttle;
        self
    }

    /// The `name` tag; by default the URL's path with identifiers folded.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.tagging.name = Some(name.into());
        self
    }

    /// A tag for the samples of the requests of this handle.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tagging.tags.push((key.into(), value.into()));
        self
    }

    /// Which statuses count as success; by default 200 to 399.
    pub fn expected_status(mut self, expected: impl ExpectedStatus) -> Self {
        self.tagging.expected = expected.into_rule();
        self
    }

    /// Sends what a builder of reqwest's built, with the builder's own client.
    ///
    /// # Errors
    ///
    /// As [`RequestBuilder::send`](super::RequestBuilder::send).
    pub async fn send(&self, builder: reqwest::RequestBuilder) -> Result<Response, Error> {
        let (client, request) = builder.build_split();
        match request {
            Ok(request) => self.execute_with(&client, request).await,
            Err(error) => {
                let url = error.url().map_or("", reqwest::Url::as_str).to_owned();
                Err(self.tagging.reject(&*self.recorder, &Method::GET, &url, None, failure(error)))
            }
        }
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    ///
    /// As [`RequestBuilder::send`](super::RequestBuilder::send).
    pub async fn execute(&self, request: reqwest::Request) -> Result<Response, Error> {
        self.execute_with(&self.client, request).await
    }

    async fn execute_with(
        &self,
        client: &reqwest::Client,
        request: reqwest::Request,
    ) -> Result<Response, Error> {
        let method = request.method().clone();
        let target = match Target::get(request.url().as_str()) {
            Ok(target) => target,
            Err(failure) => {
                return Err(self.tagging.reject(
                    &*self.recorder,
                    &method,
                    request.url().as_str(),
                    None,
                    failure,
                ));
            }
        };
        let bytes_sent = request.body().and_then(|body| body.as_bytes()).map_or(0, <[u8]>::len) as u64;
        if let Some(throttle) = &self.throttle {
            self.tagging.throttled(&*self.recorder, &target, throttle.turn().await);
        }
        let start = Instant::now();
        let record = |head, failure: Option<&Failure>, first_byte: Option<Instant>, bytes_received| {
            let ended = Instant::now();
            let first_byte = first_byte.unwrap_or(ended);
            let (waiting, receiving) = (nanos(first_byte - start), nanos(ended - first_byte));
            let timings = Timings { waiting, receiving, ..Timings::default() };
            let sealed = Sealed { ended, timings, bytes_sent, bytes_received };
            let exchange =
                Exchange { method: &method, target: &target, head, failure, followed: false, sealed };
            self.tagging.record(&*self.recorder, &exchange);
            timings
        };
        let given_up = || Failure::new(ErrorKind::Timeout, DROPPED);
        let under_way = Guard::new(|| _ = record(None, Some(&given_up()), None, 0));
        let sent = client.execute(request).await;
        under_way.disarm();
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => {
                let failure = failure(error);
                record(None, Some(&failure), None, 0);
                return Err(Error::new(failure, &method, target.url.as_str(), None));
            }
        };
        let first_byte = Some(Instant::now());
        let (status, version) = (response.status(), response.version());
        let head = Some((status, version));
        let mut body = BytesMut::new();
        loop {
            let received = body.len() as u64;
            let under_way = Guard::new(|| _ = record(head, Some(&given_up()), first_byte, received));
            let chunk = response.chunk().await;
            under_way.disarm();
            match chunk {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    let failure = failure(error);
                    record(head, Some(&failure), first_byte, body.len() as u64);
                    return Err(Error::new(failure, &method, target.url.as_str(), Some(status.as_u16())));
                }
            }
        }
        let timings = record(head, None, first_byte, body.len() as u64);
        let last = Target::new(response.url().clone()).map_or_else(|_| Arc::clone(&target), Arc::new);
        let remote_addr = response.remote_addr();
        let headers = std::mem::take(response.headers_mut());
        let body = body.freeze();
        let headers = ResponseHeaders::of_map(headers);
        Ok(Response { method, target: last, status, version, headers, body, timings, remote_addr })
    }
}

impl fmt::Debug for ReqwestHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestHttp").finish_non_exhaustive()
    }
}

/// What an error of reqwest means: the deepest cause that is known decides.
fn failure(error: reqwest::Error) -> Failure {
    // The URL would make each text another one, and may hold secrets.
    let error = error.without_url();
    let mut text = error.to_string();
    let mut known = None;
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        known = known_cause(cause, error.is_connect()).or(known);
        source = cause.source();
    }
    let kind = if error.is_timeout() {
        if error.is_connect() { ErrorKind::ConnectTimeout } else { ErrorKind::Timeout }
    } else if error.is_redirect() {
        ErrorKind::TooManyRedirects
    } else if let Some(kind) = known {
        kind
    } else if error.is_builder() {
        ErrorKind::InvalidRequest
    } else if error.is_connect() {
        ErrorKind::ConnectFailed
    } else if error.is_decode() {
        ErrorKind::Decompression
    } else {
        ErrorKind::Other
    };
    Failure::new(kind, text)
}

fn known_cause(cause: &(dyn StdError + 'static), connecting: bool) -> Option<ErrorKind> {
    if let Some(io) = cause.downcast_ref::<std::io::Error>() {
        #[cfg(feature = "tls")]
        if let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Some(super::tls::tls_failure(tls).kind);
        }
        let failure = if connecting { Failure::from_connect(io) } else { Failure::from_io(io) };
        return Some(failure.kind);
    }
    if let Some(http) = cause.downcast_ref::<hyper::Error>() {
        return if http.is_incomplete_message() || http.is_closed() || http.is_canceled() {
            Some(ErrorKind::ConnectionClosed)
        } else if http.is_parse() {
            Some(ErrorKind::InvalidResponse)
        } else if http.to_string().starts_with("http2 error") {
            Some(ErrorKind::Http2)
        } else {
            None
        };
    }
    // The connector's own type is private; this is how it names a failed look-up.
    cause.to_string().starts_with("dns error").then_some(ErrorKind::Dns)
}
