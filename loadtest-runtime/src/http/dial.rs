//! Connections for protocols that are not plain HTTP requests.
//!
//! The main type is [`Dialer`]: it takes an address apart and connects to it as requests are connected.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

#[cfg(feature = "websocket")]
use ::http::HeaderValue;

use super::client::HttpClient;
use super::connect::{Connector, Purpose};
use super::error::{ErrorKind, Failure};
use super::io::{Stream, Traffic};
use super::options::HttpOptions;
use super::route;
use super::target::Target;
use super::transport::Trace;

/// Connects one virtual user.
#[derive(Clone)]
pub(crate) struct Dialer {
    connector: Connector,
    options: Arc<HttpOptions>,
}

/// What a scheme means: its name, and whether TLS is spoken.
pub(crate) type Scheme = (&'static str, bool);

/// Something to connect to.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    target: Arc<Target>,
    scheme: &'static str,
}

/// A connection that nothing has been said on.
pub(crate) struct Dialed {
    pub(crate) stream: Stream,
    pub(crate) traffic: Rc<Traffic>,
    pub(crate) remote_addr: Option<SocketAddr>,
}

/// Why there is none, and the bytes that were spent on it.
pub(crate) struct Undialed {
    pub(crate) failure: Failure,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl Address {
    /// Takes a URL of one of these schemes apart. A text without a scheme is of the first one if `bare`.
    pub(crate) fn parse(text: &str, schemes: &[Scheme], bare: bool) -> Result<Self, Failure> {
        let example = || format!("write {}://127.0.0.1:8080", schemes[0].0);
        let invalid = |what: String| {
            Failure::new(ErrorKind::InvalidUrl, format!("invalid url: {what}")).with_hint(example())
        };
        let (scheme, rest) = match text.split_once("://") {
            Some(split) => split,
            None if bare => (schemes[0].0, text),
            None => return Err(invalid("it has no scheme".to_owned())),
        };
        let known = schemes.iter().find(|(name, _)| name.eq_ignore_ascii_case(scheme));
        let Some((scheme, tls)) = known else {
            let names: Vec<_> = schemes.iter().map(|(name, _)| *name).collect();
            return Err(invalid(format!("the scheme `{scheme}` is not {}", names.join(" or "))));
        };
        let http = format!("{}://{rest}", if *tls { "https" } else { "http" });
        let target = Target::get(&http).map_err(|failure| failure.with_hint(example()))?;
        Ok(Self { target, scheme })
    }

    /// Whether the port is written down in `text`, rather than the scheme's own.
    pub(crate) fn has_port(text: &str) -> bool {
        let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// The route template of its path.
    #[cfg(feature = "websocket")]
    pub(crate) fn name(&self) -> &str {
        &self.target.name
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        let host = self.target.url.host_str().unwrap_or_default();
        match self.target.url.port() {
            Some(port) => format!("{}://{host}:{port}", self.scheme),
            None => format!("{}://{host}", self.scheme),
        }
    }

    /// The URL without credentials and query, which may hold secrets.
    #[cfg(feature = "websocket")]
    pub(crate) fn shown(&self) -> String {
        format!("{}{}", self.origin(), self.target.url.path())
    }

    /// The URL without credentials.
    #[cfg(feature = "websocket")]
    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.origin(), self.target.path_and_query)
    }

    /// Basic authorization from credentials in the URL.
    #[cfg(feature = "websocket")]
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.target.authorization.as_ref()
    }
}

impl HttpClient {
    /// What connects other protocols.
    pub(crate) fn dialer(&self) -> Dialer {
        Dialer { connector: self.connector().clone(), options: Arc::clone(&self.options) }
    }
}

impl Dialer {
    /// What requests and all else have in common.
    pub(crate) fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// Connects for a protocol that begins with an HTTP/1.1 request, within the time that the options allow.
    #[cfg(feature = "websocket")]
    pub(crate) async fn dial(&self, address: &Address) -> Result<Dialed, Undialed> {
        self.dial_for(Purpose::Upgrade, address).await
    }

    /// Connects for bytes of the test's own, within the time that the options allow.
    pub(crate) async fn dial_raw(&self, address: &Address) -> Result<Dialed, Undialed> {
        self.dial_for(Purpose::Raw, address).await
    }

    async fn dial_for(&self, purpose: Purpose, address: &Address) -> Result<Dialed, Undialed> {
        let trace = Trace::start();
        match self.connector.establish(&address.target, purpose, &trace).await {
            Ok(established) => {
                let traffic = Rc::clone(established.stream.traffic());
                Ok(Dialed { traffic, stream: established.stream, remote_addr: established.remote_addr })
            }
            Err(failure) => {
                let sealed = trace.seal();
                Err(Undialed { failure, sent: sealed.bytes_sent, received: sealed.bytes_received })
            }
        }
    }
}

/// The URL without credentials and query, for what is stored and shown.
pub(crate) fn shown(url: &str) -> String {
    route::shown(url).into_owned()
}

/// The route template of a path.
#[cfg(feature = "tower")]
pub(crate) fn route_template(path: &str) -> String {
    route::template(path).into()
}

/// Percent-encoded text as it was before.
#[cfg(feature = "tower")]
pub(crate) fn percent_decoded(text: &str) -> String {
    String::from_utf8_lossy(&super::target::percent_decode(text)).into_owned()
}
