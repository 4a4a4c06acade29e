//! [`RequestBuilder`]: what a test says about one request.
//!
//! Mistakes (a header that is none, a body that does not serialise) are kept until the request is sent, then
//! reported and recorded like any other failure, so that a test needs one `?` per request.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::AUTHORIZATION;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method};
use bytes::Bytes;
use serde::Serialize;
use tokio::io::AsyncRead;

use super::client::Http;
use super::error::{Error, Failure};
use super::exchange::Call;
use super::multipart::{Multipart, unreadable};
use super::response::{Response, StreamingResponse};
use super::route;
use super::status::ExpectedStatus;
use super::target::{Target, basic_authorization};
use super::transport::Payload;
use super::upload::Upload;

/// The body of a request: bytes, text, or what is read while it is sent.
///
/// A body that is read is opened anew each time that it is sent, as after a redirect that keeps the method.
#[derive(Debug, Clone, Default)]
pub struct Body(pub(super) Payload);

impl Body {
    /// The content of a file, read while it is sent. What is sent is as long as the file is now.
    ///
    /// # Errors
    ///
    /// If there is no such file, or it is a directory.
    pub fn from_file(path: impl AsRef<Path>) -> std::io::Result<Self> {
        Upload::from_file(path.as_ref()).map(|upload| Self(Payload::Upload(upload)))
    }

    /// What a reader yields that `open` opens, each time that the body is sent. With a `length`, in bytes, it is
    /// announced, and a reader that yields less is an error; without, the body is sent in chunks.
    ///
    /// ```
    /// use loadtest_runtime::http::Body;
    ///
    /// // A gigabyte that nobody has to hold.
    /// let body = Body::from_reader(Some(1 << 30), || async { Ok(tokio::io::repeat(b'x')) });
    /// ```
    pub fn from_reader<R, F>(length: Option<u64>, open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        R: AsyncRead + 'static,
        F: Future<Output = std::io::Result<R>> + 'static,
    {
        Self(Payload::Upload(Upload::from_reader(length, open)))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Payload::Bytes(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Bytes::copy_from_slice(text.as_bytes()).into()
    }
}

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        Bytes::copy_from_slice(bytes).into()
    }
}

impl<const N: usize> From<&[u8; N]> for Body {
    fn from(bytes: &[u8; N]) -> Self {
        Bytes::copy_from_slice(bytes).into()
    }
}

/// A request to be sent. Made by the methods of [`Http`].
#[must_use = "a request does nothing until it is sent: add .send().await"]
pub struct RequestBuilder {
    // In a box from the beginning: it is handed on from call to call, and copying it each time costs more.
    call: Box<Call>,
}

impl RequestBuilder {
    pub(super) fn new(http: Http, method: Method, url: &str, target: Result<Arc<Target>, Failure>) -> Self {
        let mut builder = Self { call: Box::new(Call::new(http, method, url, target)) };
        if builder.call.method == Method::CONNECT {
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
            (Ok(name), Ok(value)) => _ = self.call.headers.append(name, value),
            (Err(error), _) => self.invalid(format!("invalid header name: {error}")),
            (Ok(name), Err(error)) => self.invalid(format!("invalid value of the header `{name}`: {error}")),
        }
        self
    }

    /// Adds a header that has no value yet.
    pub(crate) fn default_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.call.headers.entry(name).or_insert(value);
        self
    }

    /// Adds headers; a name that was there before is replaced.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        let mut last = None;
        for (name, value) in headers {
            // A map yields the name only with the first of its values.
            match (name, &last) {
                (Some(name), _) => {
                    self.call.headers.insert(name.clone(), value);
                    last = Some(name);
                }
                (None, Some(name)) => _ = self.call.headers.append(name.clone(), value),
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
                let query = &mut self.call.extras().query;
                if !query.is_empty() {
                    query.push('&');
                }
                query.push_str(&pairs);
            }
            Err(error) => self.invalid(format!("the query does not serialise: {error}")),
        }
        self
    }

    /// Sends a value as JSON, with that content type unless a header says otherwise.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => {
                self.call.body = Payload::Bytes(json.into());
                self.call.extras().content_type = Some(HeaderValue::from_static("application/json"));
            }
            Err(error) => self.invalid(format!("the body does not serialise to JSON: {error}")),
        }
        self
    }

    /// Sends a value as a form, with that content type unless a header says otherwise.
    pub fn form<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_urlencoded::to_string(value) {
            Ok(form) => {
                self.call.body = Payload::Bytes(form.into());
                self.call.extras().content_type =
                    Some(HeaderValue::from_static("application/x-www-form-urlencoded"));
            }
            Err(error) => self.invalid(format!("the body does not serialise to a form: {error}")),
        }
        self
    }

    /// Sends bytes, text, or what is read while it is sent, with no content type of its own.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.call.body = body.into().0;
        if let Some(extras) = &mut self.call.extras {
            extras.content_type = None;
        }
        self
    }

    /// Sends the content of a file, read while it is sent, with no content type of its own.
    pub fn body_file(mut self, path: impl AsRef<Path>) -> Self {
        match Body::from_file(path) {
            Ok(body) => return self.body(body),
            Err(error) => self.call.fail(unreadable(&error)),
        }
        self
    }

    /// Sends a form of texts and files, `multipart/form-data`. Files are read while they are sent.
    ///
    /// ```
    /// # use loadtest_runtime::{Vu, Result, http::Multipart};
    /// # async fn upload(vu: &mut Vu) -> Result<()> {
    /// let form = Multipart::new().text("event", "summer").file("map", "fixtures/map.svg");
    /// vu.http().post("http://127.0.0.1:8080/events").multipart(form).send().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn multipart(mut self, form: Multipart) -> Self {
        match form.encode() {
            Ok((body, content_type)) => {
                self.call.body = body;
                self.call.extras().content_type = Some(content_type);
            }
            Err(failure) => self.call.fail(failure),
        }
        self
    }

    /// Compresses the body, whichever it is in the end, and says so in `Content-Encoding`: `"gzip"`, `"deflate"` or
    /// `"zstd"`, or several that are applied from left to right, as in `"deflate, gzip"`. The time that it takes is in
    /// none of the request's. Only bodies in memory can be compressed; none stays none.
    #[cfg(feature = "compression")]
    pub fn compress(mut self, encodings: impl Into<Box<str>>) -> Self {
        self.call.extras().compression = Some(encodings.into());
        self
    }

    /// Sends credentials by HTTP Basic authentication.
    pub fn basic_auth(mut self, user: impl AsRef<str>, password: Option<impl AsRef<str>>) -> Self {
        let password = password.as_ref().map_or("", AsRef::as_ref);
        let value = basic_authorization(user.as_ref().as_bytes(), password.as_bytes());
        self.call.headers.insert(AUTHORIZATION, value);
        self
    }

    /// Sends credentials by HTTP Digest authentication (RFC 7616): MD5 or SHA-256, as the server asks.
    ///
    /// The first request of a virtual user to a service is challenged, which is an exchange of its own, with the
    /// status 401, and expected, as in k6; then it is answered. Later requests with the same user bring their answer
    /// along. Wrong credentials give a response with the status 401.
    #[cfg(feature = "digest")]
    pub fn digest_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.call.headers.remove(AUTHORIZATION);
        let credentials = super::digest::Credentials { user: user.into(), password: password.into() };
        self.call.extras().digest = Some(credentials);
        self
    }

    /// Sends a bearer token.
    pub fn bearer_auth(mut self, token: impl fmt::Display) -> Self {
        match HeaderValue::try_from(format!("Bearer {token}")) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.call.headers.insert(AUTHORIZATION, value);
            }
            Err(error) => self.invalid(format!("invalid bearer token: {error}")),
        }
        self
    }

    /// Sends a cookie with this request alone; it wins over one of the same name in the jar. A `Cookie` header
    /// given by hand replaces both.
    pub fn cookie(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.call.extras().cookies.push((name.into(), value.into()));
        self
    }

    /// The time that the request may take, redirects and body included. 60 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.timeout = timeout;
        self
    }

    /// How many redirects are followed, 10 by default. With 0, a redirect is a response like any other.
    pub fn redirects(mut self, limit: usize) -> Self {
        self.call.redirects = limit;
        self
    }

    /// Reads the body, so that its time counts and the connection can be used again, but keeps nothing of it.
    pub fn discard_body(mut self) -> Self {
        self.call.discard = true;
        self
    }

    /// The `name` tag, under which requests are grouped. By default the URL's path with identifiers folded:
    /// `/seats/{id}`.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.call.tagging.name = Some(name.into());
        self
    }

    /// A tag for the samples of this request.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.call.tagging.tags.push((key.into(), value.into()));
        self
    }

    /// Which statuses count as success: a number, a range, a list, or a function. By default 200 to 399. It
    /// judges the response that the test gets; a redirect that was followed is always expected. For all requests of
    /// a virtual user see [`Http::set_expected_statuses`].
    pub fn expected_status(mut self, expected: impl ExpectedStatus) -> Self {
        self.call.tagging.expected = expected.into_rule();
        self
    }

    /// Sends the request and reads the whole response.
    ///
    /// # Errors
    ///
    /// Whatever keeps a complete response from arriving: see [`ErrorKind`](super::ErrorKind). A 4xx or 5xx status is
    /// no error. The failure has been recorded when it is returned.
    pub async fn send(self) -> Result<Response, Error> {
        let open = self.call.open(true).await?;
        match open.is_whole() {
            true => open.collected(),
            // In a box, so that a virtual user's future has no room for what few need.
            false => Box::pin(open.collect()).await,
        }
    }

    /// Sends the request and returns when the response's head is there. The exchange is recorded at the end
    /// of the body, or when the response is dropped. No compression is asked for, and chunks are passed on as
    /// they came.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), as far as the head.
    pub async fn send_streaming(self) -> Result<StreamingResponse, Error> {
        let open = self.call.open(false).await?;
        Ok(StreamingResponse::new(open))
    }

    /// Scheme, host and port; empty if the URL leads nowhere.
    pub(super) fn origin(&self) -> String {
        self.call.origin()
    }

    fn invalid(&mut self, text: impl Into<Cow<'static, str>>) {
        self.call.invalid(text);
    }
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = route::shown(self.call.url());
        f.debug_struct("RequestBuilder")
            .field("method", &self.call.method)
            .field("url", &url)
            .finish_non_exhaustive()
    }
}
