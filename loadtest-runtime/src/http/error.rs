//! What can go wrong with a request: [`ErrorKind`], its k6 error code, and [`Error`].
//!
//! The numbers are those of k6's published table of error codes. A kind is decided where the error arises;
//! no text is searched, except that of the resolver, which the standard library reports as text only.

use std::borrow::Cow;
use std::fmt;
use std::io;

use ::http::Method;

use super::route;

/// The kinds of failure, each counted on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The URL, or the target of a redirect, is not an absolute http or https URL.
    InvalidUrl,
    /// The request could not be built: a header, a body that does not serialise, an unusable method.
    InvalidRequest,
    /// The resolver failed.
    Dns,
    /// The resolver knows no address of that name.
    HostNotFound,
    /// The address is among those that nothing is sent to (`block_ips`).
    BlockedIp,
    /// The name is among those that nothing is sent to (`block_hostnames`).
    BlockedHostname,
    /// The host is not among those that requests may go to (`allow`).
    NotAllowed,
    /// No connection, for a reason other than the two below (no route, no local port left).
    ConnectFailed,
    /// No connection within `connect_timeout`.
    ConnectTimeout,
    /// The other side refused the connection: nothing listens there.
    ConnectionRefused,
    /// The other side reset the connection.
    ConnectionReset,
    /// The other side had closed the connection while the request was being written.
    BrokenPipe,
    /// Another error of the TCP connection.
    Network,
    /// The other side closed the connection before the response was complete.
    ConnectionClosed,
    /// What came back is not HTTP: a bad head, a broken chunk.
    InvalidResponse,
    /// The request was not done within its timeout.
    Timeout,
    /// The TLS handshake failed, for a reason other than the three below.
    Tls,
    /// The server's certificate is signed by an unknown authority.
    UnknownAuthority,
    /// The server's certificate is for another host.
    HostnameMismatch,
    /// https, but the process has no rustls crypto provider.
    NoTlsProvider,
    /// More redirects than allowed.
    TooManyRedirects,
    /// The compressed body is broken or too large.
    Decompression,
    /// An error of the HTTP/2 layer, for a reason other than the three below.
    Http2,
    /// The server gave the HTTP/2 connection up (`GOAWAY`), with this error code (RFC 9113, section 7).
    Http2GoAway(u8),
    /// An HTTP/2 stream was reset, with this error code.
    Http2Stream(u8),
    /// The server broke the rules of HTTP/2, and the connection was closed with this error code.
    Http2Connection(u8),
    /// [`error_for_status`](super::Response::error_for_status) on a 4xx or 5xx response.
    Status,
    /// The body is not what the test asked for: not UTF-8, not the expected JSON.
    Decode,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// k6's numeric error code. For [`Status`](Self::Status) see [`Error::code`], which knows the status.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::InvalidUrl => 1020,
            Self::Timeout => 1050,
            Self::Dns => 1100,
            Self::HostNotFound => 1101,
            Self::BlockedIp => 1110,
            Self::BlockedHostname => 1111,
            Self::Network => 1200,
            Self::BrokenPipe => 1201,
            Self::ConnectFailed => 1210,
            Self::ConnectTimeout => 1211,
            Self::ConnectionRefused => 1212,
            Self::ConnectionReset => 1220,
            Self::Tls | Self::NoTlsProvider => 1300,
            Self::UnknownAuthority => 1310,
            Self::HostnameMismatch => 1311,
            Self::Http2 => 1600,
            Self::Http2GoAway(code) => http2_code(1610, code),
            Self::Http2Stream(code) => http2_code(1630, code),
            Self::Http2Connection(code) => http2_code(1650, code),
            Self::Decompression => 1701,
            Self::InvalidRequest
            | Self::NotAllowed
            | Self::ConnectionClosed
            | Self::InvalidResponse
            | Self::TooManyRedirects
            | Self::Status
            | Self::Decode
            | Self::Other => 1000,
        }
    }

    /// A short name for tables: "connection refused".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidUrl => "invalid url",
            Self::InvalidRequest => "invalid request",
            Self::Dns => "dns failure",
            Self::HostNotFound => "host not found",
            Self::BlockedIp => "blocked address",
            Self::BlockedHostname => "blocked hostname",
            Self::NotAllowed => "not allowed",
            Self::ConnectFailed => "connect failed",
            Self::ConnectTimeout => "connect timeout",
            Self::ConnectionRefused => "connection refused",
            Self::ConnectionReset => "connection reset",
            Self::BrokenPipe => "broken pipe",
            Self::Network => "network error",
            Self::ConnectionClosed => "connection closed",
            Self::InvalidResponse => "invalid response",
            Self::Timeout => "timeout",
            Self::Tls => "tls failure",
            Self::UnknownAuthority => "unknown authority",
            Self::HostnameMismatch => "hostname mismatch",
            Self::NoTlsProvider => "no tls provider",
            Self::TooManyRedirects => "too many redirects",
            Self::Decompression => "decompression failed",
            Self::Http2 => "http/2 error",
            Self::Http2GoAway(_) => "http/2 goaway",
            Self::Http2Stream(_) => "http/2 stream reset",
            Self::Http2Connection(_) => "http/2 connection error",
            Self::Status => "status",
            Self::Decode => "unexpected body",
            Self::Other => "other",
        }
    }

    /// What to do about it, where there is a usual thing to do.
    pub(crate) fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::InvalidUrl => "write an absolute URL, such as http://127.0.0.1:8080/seats",
            Self::ConnectionRefused => "is the service running, and on this port?",
            Self::ConnectTimeout => "is a firewall in between, or the service's accept queue full?",
            Self::HostNotFound => "check the spelling of the host's name",
            Self::Timeout => "see where the time goes in the phases, or raise it with .timeout(..)",
            Self::UnknownAuthority => {
                "give the authority's certificate as root certificate, or skip the verification \
                 (insecure_skip_tls_verify)"
            }
            Self::HostnameMismatch => "call the service by a name that its certificate holds",
            Self::NoTlsProvider => {
                "enable the feature `ring` or `aws-lc-rs` of loadtest-runtime, the one that your \
                 service uses, or call rustls' `CryptoProvider::install_default()` in the setup"
            }
            Self::TooManyRedirects => {
                "raise the limit with .redirects(n), or take the redirect itself with .redirects(0)"
            }
            _ => return None,
        })
    }
}

/// k6 numbers the error codes of HTTP/2 from the number after the one for "any other"; twenty have room.
fn http2_code(any: u16, code: u8) -> u16 {
    if code < 19 { any + 1 + u16::from(code) } else { any }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that failed.
///
/// It has been recorded when the test gets to see it; returning it with `?` ends the iteration. Its text ends
/// up in results and reports, so it shows the URL without credentials and query; [`Error::url`] has the latter.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    failure: Failure,
    method: Method,
    url: String,
    status: Option<u16>,
}

impl Error {
    pub(super) fn new(failure: Failure, method: &Method, url: &str, status: Option<u16>) -> Self {
        let inner = Inner { failure, method: method.clone(), url: url.to_owned(), status };
        Self { inner: Box::new(inner) }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.failure.kind
    }

    /// k6's numeric error code, 1000 plus the status for [`ErrorKind::Status`].
    #[must_use]
    pub fn code(&self) -> u16 {
        match (self.kind(), self.inner.status) {
            (ErrorKind::Status, Some(status)) => 1000 + status,
            (kind, _) => kind.code(),
        }
    }

    /// The URL of the exchange that failed; after a redirect, the last one.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// The status of the response, if its head had arrived.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.inner.status
    }

    /// Whether the request ran out of time, connecting or later.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind(), ErrorKind::Timeout | ErrorKind::ConnectTimeout)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { failure, method, url, .. } = &*self.inner;
        write!(f, "{method} {}: {}", route::shown(url), failure.text)?;
        failure.advice().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

/// Without credentials and query too: a panic of `unwrap` shows this, and panics are stored.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { failure, method, url, status } = &*self.inner;
        f.debug_struct("Error")
            .field("kind", &failure.kind)
            .field("text", &failure.text)
            .field("method", method)
            .field("url", &route::shown(url))
            .field("status", status)
            .finish()
    }
}

impl std::error::Error for Error {}

/// A failure before it is known which request it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    /// The cause in words, without the URL: equal causes give equal texts.
    pub(crate) text: Cow<'static, str>,
    /// A hint better than the one of the kind.
    pub(crate) hint: Option<Cow<'static, str>>,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, text: text.into(), hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What to do about it: the failure's own hint, or the usual one of its kind.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.hint.as_deref().or_else(|| self.kind.hint())
    }

    /// An error of an established connection.
    pub(crate) fn from_io(error: &io::Error) -> Self {
        #[cfg(feature = "tls")]
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return super::tls::tls_failure(tls);
        }
        let kind = match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => ErrorKind::ConnectionReset,
            io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected => ErrorKind::BrokenPipe,
            io::ErrorKind::UnexpectedEof => ErrorKind::ConnectionClosed,
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => ErrorKind::InvalidResponse,
            _ => ErrorKind::Network,
        };
        Self::new(kind, format!("{kind}: {error}"))
    }

    /// An error of `connect`.
    pub(crate) fn from_connect(error: &io::Error) -> Self {
        // EMFILE and ENFILE have these numbers on every Unix that Rust supports.
        let out_of_files = cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24));
        let kind = match error.kind() {
            io::ErrorKind::ConnectionRefused => ErrorKind::ConnectionRefused,
            io::ErrorKind::TimedOut => ErrorKind::ConnectTimeout,
            io::ErrorKind::ConnectionReset => ErrorKind::ConnectionReset,
            _ => ErrorKind::ConnectFailed,
        };
        let failure = Self::new(kind, format!("cannot connect: {error}"));
        if out_of_files {
            failure.with_hint(
                "this machine ran out of open files: raise `ulimit -n`, or use fewer virtual users",
            )
        } else if error.kind() == io::ErrorKind::AddrNotAvailable {
            failure.with_hint(
                "this machine ran out of local ports: keep connections alive, or widen \
                 net.ipv4.ip_local_port_range",
            )
        } else {
            failure
        }
    }
}
