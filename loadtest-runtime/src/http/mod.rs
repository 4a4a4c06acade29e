//! The HTTP client of a virtual user: sends requests, times every phase, records every exchange.
//!
//! A test gets an [`Http`] handle from `vu.http()`; [`RequestBuilder`] reads like reqwest's and [`Response`]
//! holds a body that has been read in full. Behind the handle stands an [`HttpClient`], one per virtual user,
//! with its own connections and its own cookie jar, as a real user has. What travels below is behind one
//! boundary, the private `Transport` trait: HTTP/1.1 by a codec of our own, since the generator's cost is the error
//! of what it measures, and HTTP/2 by the crate `h2`. A client of the user's own (`vu.http_with`) is measured from
//! outside.
//!
//! In the order of a request: `request` (what a test says) → `exchange` (redirects, limits, records) → `client` →
//! `transport` → `h1` or `h2`, on what `connect` has established with `dns`, `allow`, `tls` and `io`.
//!
//! One exchange is one request and its response; each redirect that is followed is an exchange of its own.
//! Every exchange goes to a [`RecordExchange`] exactly once, whether it succeeded or not, so the number of
//! recorded exchanges equals the number of requests that the service saw plus those that never reached it.
//! A request whose future is dropped (an iteration that was interrupted) records nothing.
//!
//! The module refuses to know metrics, executors or virtual users, takes no lock on the way of a request (a cookie
//! jar that a whole test shares, name look-ups, the first https connection of a process and turns that others gave
//! up excepted), and never panics on what a server sends.
//!
//! With a limit to the requests of a test (`rps`), each exchange waits for its turn before its phases begin: the
//! wait is in none of them and not in the request's time limit, and goes to the [`RecordExchange`] by itself.
//!
//! # Phases
//!
//! | phase | from | to |
//! |---|---|---|
//! | blocked | the call | a connection is at hand, or the look-up starts |
//! | looking_up | | addresses are known (0 for literal addresses and reused connections) |
//! | connecting | | TCP is established |
//! | tls_handshaking | | TLS is established |
//! | sending | the request is handed to the connection | its last byte is handed to the kernel |
//! | waiting | | the first byte of the response is read |
//! | receiving | | the last byte of the body is read |

mod allow;
mod batch;
mod client;
mod connect;
mod cookies;
mod deadline;
mod debug;
mod decode;
mod dial;
#[cfg(feature = "digest")]
mod digest;
mod dns;
#[cfg(feature = "compression")]
mod encode;
mod error;
mod exchange;
mod extras;
mod h1;
#[cfg(feature = "http2")]
mod h2;
mod headers;
mod io;
mod multipart;
mod open;
mod options;
#[cfg(feature = "reqwest")]
mod own_client;
mod record;
mod request;
mod response;
mod route;
mod status;
mod tagging;
mod target;
mod throttle;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod upload;

#[cfg(test)]
mod tests;

pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
pub use client::{Http, HttpClient};
pub use cookies::CookieJar;
pub(crate) use dial::{Address, Dialed, Dialer, shown};
#[cfg(feature = "tower")]
pub(crate) use dial::{percent_decoded, route_template};
pub(crate) use error::Failure;
pub use error::{Error, ErrorKind};
#[cfg(feature = "bench-internals")]
#[doc(hidden)]
pub use h1::bench::Codec;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use h1::fuzzing;
pub(crate) use io::{Stream, Traffic};
pub use multipart::{Multipart, Part};
pub use options::{
    AllowedTarget, ClientCertificate, CookiePolicy, Dns, DnsPolicy, DnsSelect, HostAddress, HostPattern,
    HttpDebug, HttpOptions, HttpSettings, HttpVersion, IpRange, RootCertificates, TargetHost, TlsVersion,
    TlsVersions,
};
#[cfg(feature = "reqwest")]
pub use own_client::ReqwestHttp;
pub use record::{ExchangeRecord, Protocol, RecordExchange, Timings};
pub use request::{Body, RequestBuilder};
pub use response::{Response, StreamingResponse};
pub use status::ExpectedStatus;
pub(crate) use throttle::Throttle;

/// Whether this thread is inside a probe whose panic is an answer, not a failure.
///
/// A panic hook that reports panics must stay silent while this is true: looking for the crypto provider of
/// the user's dependency tree is possible only through a call of rustls that panics if there is none.
#[doc(hidden)]
#[must_use]
pub fn panics_silenced() -> bool {
    #[cfg(feature = "tls")]
    return tls::panics_silenced();
    #[cfg(not(feature = "tls"))]
    return false;
}
