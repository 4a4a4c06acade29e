//! [`RequestBuilder`]: what a test says about one request.
//!
//! Mistakes (a header that is none, a body that does not serialise) are kept until the request is sent, then
//! reported and recorded like any other failure, so that a test needs one `?` per request.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONTENT_LENGTH};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method};
use bytes::Bytes;
use serde::Serialize;

use super::client::Http;
use super::error::{Error, ErrorKind, Failure};
use super::exchange::{Call, Tagging};
use super::response::{Response, StreamingResponse};
use super::route;
use super::status::ExpectedStatus;
use super::target::{Target, basic_authorization};

/// The body of a request: bytes or text.
#[derive(Debug, Clone, Default)]
pub struct Body(Bytes);

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for Body {
    fn from(bytes: &[u8; N]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

/// A request to be sent. Made by the methods of [`Http`].
#[must_use = "a request does nothing until it is sent: add .send().await"]
pub struct RequestBuilder {
    http: Http,
    method: Method,
    url: Result<Arc<Target>, Box<str>>,
    query: String,
    headers: HeaderMap,
    content_type: Option<HeaderValue>,
    cookies: Vec<(String, String)>,
    body: Bytes,
    timeout: Duration,
    redirects: usize,
    discard: bool,
    tagging: Tagging,
    failure: Option<Failure>,
}

impl RequestBuilder {
    pub(super) fn new(http: Http, method: Method, url: &str, target: Result<Arc<Target>, Failure>) -> Self {
        let options = &http.client.options;
        let (timeout, redirects, discard) =
            (options.timeout, options.max_redirects, options.discard_response_bodies);
        let (url, failure) = match target {
            Ok(target) => (Ok(target), None),
            Err(failure) => (Err(url.into()), Some(failure)),
        };
        let mut builder = Self {
            http,
            url,
            query: String::new(),
            headers: HeaderMap::new(),
            content_type: None,
            cookies: Vec::new(),
            body: Bytes::new(),
            timeout,
            redirects,
            discard,
            tagging: Tagging::default(),
            failure,
            method,
        };
        if builder.method == Method::CONNECT {
            builder.invalid("the method CONNECT opens a tunnel, which this client does not");
        }
        builder
    }

    /// Adds a header. The same name may be added more than once.
    pub fn header<K, V>(mut self, name: K, value: V) -> Self
    where
        K: TryInto<HeaderName, Error: fmt::Display>,
        V: TryInto<HeaderValue, Error: fmt::Display>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => _ = self.headers.append(name, value),
            (Err(error), _) => self.invalid(format!("invalid header name: {error}")),
            (Ok(name), Err(error)) => self.invalid(format!("invalid value of the header `{name}`: {error}")),
        }
        self
    }

    /// Adds headers; a name that was there before is replaced.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        let mut last = None;
        for (name, value) in headers {
            // A map yields the name only with the first of its values.
            match (name, &last) {
                (Some(name), _) => {
                    self.headers.insert(name.clone(), value);
                    last = Some(name);
                }
                (None, Some(name)) => _ = self.headers.append(name.clone(), value),
                (None, None) => {}
            }
        }
        self
    }

    /// Adds pairs to the URL's query: a slice of pairs, a map, or a struct that serialises to one.
    pub fn query<T: Serialize + ?Sized>(mut self, query: &T) -> Self {
        match serde_urlencoded::to_string(query) {
            Ok(pairs) if pairs.is_empty() => {}
            Ok(pairs) => {
                if !self.query.is_empty() {
                    self.query.push('&');
                }
                self.query.push_str(&pairs);
            }
            Err(error) => self.invalid(format!("the query does not serialise: {error}")),
        }
        self
    }

    /// Sends a value as JSON, with that content type unless a header says otherwise.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => {
                self.body = json.into();
                self.content_type = Some(HeaderValue::from_static("application/json"));
            }
            Err(error) => self.invalid(format!("the body does not serialise to JSON: {error}")),
        }
        self
    }

    /// Sends a value as a form, with that content type unless a header says otherwise.
    pub fn form<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_urlencoded::to_string(value) {
            Ok(form) => {
                self.body = form.into();
                self.content_type = Some(HeaderValue::from_static("application/x-www-form-urlencoded"));
            }
            Err(error) => self.invalid(format!("the body does not serialise to a form: {error}")),
        }
        self
    }

    /// Sends bytes or text, with no content type of its own.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into().0;
        self.content_type = None;
        self
    }

    /// Sends credentials by HTTP Basic authentication.
    pub fn basic_auth(mut self, user: impl AsRef<str>, password: Option<impl AsRef<str>>) -> Self {
        let password = password.as_ref().map_or("", AsRef::as_ref);
        let value = basic_authorization(user.as_ref().as_bytes(), password.as_bytes());
        self.headers.insert(AUTHORIZATION, value);
        self
    }

    /// Sends a bearer token.
    pub fn bearer_auth(mut self, token: impl fmt::Display) -> Self {
        match HeaderValue::try_from(format!("Bearer {token}")) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(AUTHORIZATION, value);
            }
            Err(error) => self.invalid(format!("invalid bearer token: {error}")),
        }
        self
    }

    /// Sends a cookie with this request alone; it wins over one of the same name in the jar. A `Cookie` header
    /// given by hand replaces both.
    pub fn cookie(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.cookies.push((name.into(), value.into()));
        self
    }

    /// The time that the request may take, redirects and body included. 60 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many redirects are followed, 10 by default. With 0, a redirect is a response like any other.
    pub fn redirects(mut self, limit: usize) -> Self {
        self.redirects = limit;
        self
    }

    /// Reads the body, so that its time counts and the connection can be used again, but keeps nothing of it.
    pub fn discard_body(mut self) -> Self {
        self.discard = true;
        self
    }

    /// The `name` tag, under which requests are grouped. By default the URL's path with identifiers folded:
    /// `/seats/{id}`.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.tagging.name = Some(name.into());
        self
    }

    /// A tag for the samples of this request.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tagging.tags.push((key.into(), value.into()));
        self
    }

    /// Which statuses count as success: a number, a range, a list, or a function. By default 200 to 399. It
    /// judges the response that the test gets; a redirect that was followed is always expected.
    pub fn expected_status(mut self, expected: impl ExpectedStatus) -> Self {
        self.tagging.expected = expected.into_rule();
        self
    }

    /// Sends the request and reads the whole response.
    ///
    /// # Errors
    ///
    /// Whatever keeps a complete response from arriving: see [`ErrorKind`]. A 4xx or 5xx status is no error.
    /// The failure has been recorded when it is returned.
    pub async fn send(self) -> Result<Response, Error> {
        let discard = self.discard;
        self.into_call(true)?.open().await?.collect(discard).await
    }

    /// Sends the request and returns when the response's head is there. The exchange is recorded at the end
    /// of the body, or when the response is dropped. No compression is asked for, and chunks are passed on as
    /// they came.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), as far as the head.
    pub async fn send_streaming(self) -> Result<StreamingResponse, Error> {
        let open = self.into_call(false)?.open().await?;
        Ok(StreamingResponse::new(open))
    }

    /// Keeps the first mistake.
    fn invalid(&mut self, text: impl Into<Cow<'static, str>>) {
        self.failure.get_or_insert_with(|| Failure::new(ErrorKind::InvalidRequest, text));
    }

    /// Checks the request as a whole. A mistake is recorded here.
    fn into_call(mut self, accept_encoding: bool) -> Result<Call, Error> {
        if let Some(length) = self.headers.remove(CONTENT_LENGTH)
            && length.to_str().ok().and_then(|text| text.parse().ok()) != Some(self.body.len())
        {
            self.invalid(format!("the header content-length {length:?} is not the length of the body"));
        }
        let target = match &self.url {
            Ok(target) if !self.query.is_empty() => match target.with_query(&self.query) {
                Ok(target) => Ok(Arc::new(target)),
                Err(failure) => {
                    self.failure.get_or_insert(failure);
                    Err(target.url.as_str())
                }
            },
            Ok(target) => Ok(Arc::clone(target)),
            Err(url) => Err(&**url),
        };
        match (target, self.failure) {
            (Ok(target), None) => Ok(Call {
                http: self.http,
                method: self.method,
                target,
                headers: self.headers,
                content_type: self.content_type,
                cookies: self.cookies,
                body: self.body,
                timeout: self.timeout,
                redirects: self.redirects,
                accept_encoding,
                tagging: self.tagging,
            }),
            (target, failure) => {
                let failure = failure.unwrap_or_else(|| Failure::new(ErrorKind::InvalidUrl, "invalid url"));
                let url = target.as_ref().map_or_else(|url| *url, |target| target.url.as_str());
                let name = target.as_ref().ok().map(|target| &*target.name);
                Err(self.tagging.reject(&*self.http.recorder, &self.method, url, name, failure))
            }
        }
    }
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_ref().map_or_else(|url| &**url, |target| target.url.as_str());
        let url = route::shown(url);
        f.debug_struct("RequestBuilder")
            .field("method", &self.method)
            .field("url", &url)
            .finish_non_exhaustive()
    }
}
