//! What an exchange leaves behind: [`ExchangeRecord`], handed to whoever implements [`RecordExchange`].
//!
//! Refuses to own anything: a record borrows from the exchange, so that recording allocates nothing.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::ErrorKind;
use crate::protocols::RecordSamples;

/// Where finished exchanges go. Implemented by the virtual user; takes no lock and allocates nothing per call.
pub trait RecordExchange {
    /// Takes one finished exchange.
    fn record(&self, exchange: &ExchangeRecord<'_>);

    /// A request with this `name` and these tags waited so long for its turn, and leaves now. Called only where a
    /// limit to the requests of the test is in force, then for every exchange that gets its turn.
    fn throttled(&self, _name: &str, _tags: &[(String, String)], _waited: Duration) {}

    /// Where samples go of what the body of a response holds, server-sent events for example.
    #[doc(hidden)]
    fn samples(&self) -> Option<Rc<dyn RecordSamples>> {
        None
    }
}

/// One HTTP exchange; a redirect that was followed is an exchange of its own.
#[derive(Debug, Clone, Copy)]
pub struct ExchangeRecord<'a> {
    /// The `name` tag: the one given with the request, or the route template of the path (`/seats/{id}`).
    pub name: &'a str,
    /// The request's method, `"GET"`.
    pub method: &'a str,
    /// The response's status; 0 when no response head arrived.
    pub status: u16,
    /// The protocol spoken; HTTP/1.1 when no response arrived.
    pub protocol: Protocol,
    /// What went wrong, if anything did. A 4xx or 5xx response is no error here.
    pub error: Option<ErrorKind>,
    /// Whether the outcome was one that the test expects: by default a status of 200 to 399 and no error.
    pub expected_response: bool,
    /// The tags of this request alone.
    pub tags: &'a [(String, String)],
    /// The URL without credentials, query and fragment, which may hold secrets.
    pub url: &'a str,
    /// The error in words, without the URL, so that equal errors have equal texts; empty without an error.
    pub error_text: &'a str,
    /// What to do about the error, where there is something to say.
    pub hint: Option<&'a str>,
    /// The moment of the last byte, or of the failure.
    pub ended: Instant,
    /// The phases.
    pub timings: Timings,
    /// Bytes written to the socket for this exchange: heads, bodies, and the TLS layer where there is one.
    pub bytes_sent: u64,
    /// Bytes read from the socket for this exchange, counted like `bytes_sent`.
    pub bytes_received: u64,
}

impl ExchangeRecord<'_> {
    /// k6's numeric error code: 0 for none, 1400 to 1599 for a 4xx or 5xx status, else [`ErrorKind::code`].
    #[must_use]
    pub fn error_code(&self) -> u16 {
        match self.error {
            Some(kind) => kind.code(),
            None if (400..600).contains(&self.status) => 1000 + self.status,
            None => 0,
        }
    }
}

/// The phases of one exchange, in nanoseconds, with k6's names and meanings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for a connection slot before anything was done for this exchange.
    pub blocked: u64,
    /// Resolving the host's name.
    pub looking_up: u64,
    /// Establishing the TCP connection; 0 on a reused one.
    pub connecting: u64,
    /// The TLS handshake; 0 on a reused connection and for http.
    pub tls_handshaking: u64,
    /// Writing the request.
    pub sending: u64,
    /// From the last byte of the request to the first byte of the response (time to first byte).
    pub waiting: u64,
    /// From the first to the last byte of the response.
    pub receiving: u64,
}

impl Timings {
    /// `http_req_duration` in nanoseconds: sending + waiting + receiving, so without look-up and connecting.
    #[must_use]
    pub fn duration_nanos(&self) -> u64 {
        self.sending.saturating_add(self.waiting).saturating_add(self.receiving)
    }

    /// [`duration_nanos`](Self::duration_nanos) as a [`Duration`].
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.duration_nanos())
    }
}

/// The protocol of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 and before.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Protocol {
    /// The value of the `proto` tag, spelt as k6 spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
            Self::Http3 => "HTTP/3.0",
        }
    }
}

impl From<::http::Version> for Protocol {
    fn from(version: ::http::Version) -> Self {
        match version {
            ::http::Version::HTTP_09 | ::http::Version::HTTP_10 => Self::Http10,
            ::http::Version::HTTP_2 => Self::Http2,
            ::http::Version::HTTP_3 => Self::Http3,
            _ => Self::Http11,
        }
    }
}
