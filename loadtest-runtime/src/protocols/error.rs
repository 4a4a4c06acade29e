//! [`Error`]: what can go wrong with a connection of another protocol than HTTP.
//!
//! Its kinds, and k6's codes for them, are those of HTTP requests.

use std::borrow::Cow;
use std::fmt;

use crate::http::{self, ErrorKind, Failure};

/// A connection, or something done on it, that failed.
///
/// It has been recorded when the test gets to see it; returning it with `?` ends the iteration. Its text ends up in
/// results and reports, so it shows the URL without credentials and query.
pub struct Error {
    inner: Box<Inner>,
}

enum Inner {
    Http(http::Error),
    Own { what: String, failure: Failure, status: Option<u16> },
}

impl Error {
    pub(crate) fn new(what: impl Into<String>, failure: Failure, status: Option<u16>) -> Self {
        Self { inner: Box::new(Inner::Own { what: what.into(), failure, status }) }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &*self.inner {
            Inner::Http(error) => error.kind(),
            Inner::Own { failure, .. } => failure.kind,
        }
    }

    /// k6's numeric error code, 1000 plus the status for [`ErrorKind::Status`].
    #[must_use]
    pub fn code(&self) -> u16 {
        match &*self.inner {
            Inner::Http(error) => error.code(),
            Inner::Own { failure: Failure { kind: ErrorKind::Status, .. }, status: Some(status), .. } => {
                1000 + status
            }
            Inner::Own { failure, .. } => failure.kind.code(),
        }
    }

    /// The status of the HTTP response, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &*self.inner {
            Inner::Http(error) => error.status(),
            Inner::Own { status, .. } => *status,
        }
    }

    /// Whether it ran out of time, connecting or later.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind(), ErrorKind::Timeout | ErrorKind::ConnectTimeout)
    }
}

impl From<http::Error> for Error {
    fn from(error: http::Error) -> Self {
        Self { inner: Box::new(Inner::Http(error)) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.inner {
            Inner::Http(error) => error.fmt(f),
            Inner::Own { what, failure, .. } => {
                write!(f, "{what}: {}", failure.text)?;
                let hint = failure.hint.as_deref().or_else(|| hint(failure.kind));
                hint.map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
            }
        }
    }
}

/// What to do about it, where that is another thing than for an HTTP request.
fn hint(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::InvalidUrl => None,
        ErrorKind::Timeout => Some("raise the limit with .timeout(..), or see what the service waits for"),
        kind => kind.hint(),
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.inner {
            Inner::Http(error) => fmt::Debug::fmt(error, f),
            Inner::Own { what, failure, status } => f
                .debug_struct("Error")
                .field("kind", &failure.kind)
                .field("text", &failure.text)
                .field("what", what)
                .field("status", status)
                .finish(),
        }
    }
}

impl std::error::Error for Error {}

/// A failure that ran out of time.
pub(crate) fn timed_out(limit: std::time::Duration, doing: &str) -> Failure {
    Failure::new(ErrorKind::Timeout, Cow::Owned(format!("timed out after {limit:?}, {doing}")))
}

/// The cause of what the test itself gave up.
pub(crate) const DROPPED: &str = "dropped by the test before it ended";
