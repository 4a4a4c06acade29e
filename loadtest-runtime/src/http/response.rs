//! [`Response`], whose body has been read, and [`StreamingResponse`], whose body is still to come.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use ::http::header::SET_COOKIE;
use ::http::{HeaderMap, Method, StatusCode, Version};
use bytes::Bytes;
use serde::Deserialize;

use super::error::{Error, ErrorKind, Failure};
use super::headers::ResponseHeaders;
use super::open::OpenResponse;
use super::record::{Protocol, Timings};
use super::target::Target;
use crate::protocols::{OwnTags, RecordSamples};

/// The most characters of a body that an error shows.
const SHOWN: usize = 80;

/// A response, its body read in full and decompressed.
#[derive(Debug, Clone)]
pub struct Response {
    pub(super) method: Method,
    pub(super) target: Arc<Target>,
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: ResponseHeaders,
    pub(super) body: Bytes,
    pub(super) timings: Timings,
    pub(super) remote_addr: Option<SocketAddr>,
}

impl Response {
    /// The status; it compares with numbers: `res.status() == 200`.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The protocol version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The protocol, as the tag `proto` has it.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.version.into()
    }

    /// The headers, as they came; `content-length` is that of the compressed body.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers.map()
    }

    /// The URL that answered, which after redirects is not the one that was asked.
    #[must_use]
    pub fn url(&self) -> &str {
        self.target.url.as_str()
    }

    /// The body; empty if it was discarded.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] if the body is not UTF-8; [`bytes`](Self::bytes) has it as it is.
    pub fn text(&self) -> Result<String, Error> {
        match std::str::from_utf8(&self.body) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(self.decode_error(format!("the body is not UTF-8: {error}"))),
        }
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`], with the place in the body and the body's beginning.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let status = self.status.as_u16();
            let text = if self.body.is_empty() {
                format!("the body is not the expected JSON: it is empty (status {status})")
            } else {
                format!(
                    "the body is not the expected JSON: {error} (status {status}): {}",
                    start_of(&self.body)
                )
            };
            self.decode_error(text)
        })
    }

    /// The phases of the exchange that gave this response.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// The address that answered.
    #[must_use]
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote_addr
    }

    /// The cookies that this response sets, as name and value.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.map().get_all(SET_COOKIE).iter().filter_map(|value| {
            let pair = value.to_str().ok()?.split(';').next()?;
            let (name, value) = pair.split_once('=')?;
            Some((name.trim(), value.trim()))
        })
    }

    /// Turns a 4xx or 5xx status into an error. It changes nothing about what was recorded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Status`] if the status is 400 or more.
    pub fn error_for_status(self) -> Result<Self, Error> {
        let status = self.status;
        if !(status.is_client_error() || status.is_server_error()) {
            return Ok(self);
        }
        let failure = Failure::new(ErrorKind::Status, format!("status {status}"));
        Err(Error::new(failure, &self.method, self.url(), Some(status.as_u16())))
    }

    fn decode_error(&self, text: String) -> Error {
        let failure = Failure::new(ErrorKind::Decode, text);
        Error::new(failure, &self.method, self.url(), Some(self.status.as_u16()))
    }
}

/// The beginning of a body, for a message.
fn start_of(body: &[u8]) -> String {
    // Enough bytes for the characters shown, and for the message to know that there are more.
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN + 4)]);
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    format!("{shown:?}{more}")
}

/// A response whose body is read chunk by chunk, for server-sent events and long downloads.
///
/// The exchange is recorded at the end of the body, at an error, or when the response is dropped: then with
/// what had arrived, and the connection is closed.
pub struct StreamingResponse {
    open: OpenResponse,
    recorded: bool,
}

impl StreamingResponse {
    pub(super) fn new(open: OpenResponse) -> Self {
        Self { open, recorded: false }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.open.head.status
    }

    /// The protocol version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.open.head.version
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.open.head.headers.map()
    }

    /// The URL that answered.
    #[must_use]
    pub fn url(&self) -> &str {
        self.open.url()
    }

    /// The address that answered.
    #[must_use]
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.open.head.remote_addr
    }

    /// Where samples of what the body holds go, with the tags of the request; `None` if nothing is measured.
    pub(crate) fn samples(&self) -> Option<(Rc<dyn RecordSamples>, OwnTags)> {
        self.open.samples()
    }

    /// The phases, once the body is at its end.
    #[must_use]
    pub fn timings(&self) -> Option<Timings> {
        self.open.finished_timings()
    }

    /// The next chunk; `None` after the last. The request's timeout holds for the body too.
    ///
    /// # Errors
    ///
    /// Whatever keeps the body from being complete; it is recorded.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self.open.chunk().await {
            Ok(Some(chunk)) => Ok(Some(chunk)),
            Ok(None) => {
                self.record_once(None);
                Ok(None)
            }
            Err(failure) => {
                self.record_once(Some(&failure));
                Err(self.open.error(failure))
            }
        }
    }

    fn record_once(&mut self, failure: Option<&Failure>) {
        if !std::mem::replace(&mut self.recorded, true) {
            self.open.record(failure, false);
        }
    }
}

impl Drop for StreamingResponse {
    fn drop(&mut self) {
        self.record_once(None);
    }
}

impl fmt::Debug for StreamingResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamingResponse")
            .field("status", &self.status())
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}
