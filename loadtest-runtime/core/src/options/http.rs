//! What the HTTP requests of a test have in common: [`HttpSettings`], with the types of its values.
//!
//! Every value is read from text, shown as text that is read again, and stored as that text; how each is written
//! is told by its `FromStr`. Nothing here connects anywhere: names are matched, files are named, and what they lead to is
//! the runtime's.

mod address;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What HTTP requests have in common, as written in one place; `None` and empty mean "not said here".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// The `User-Agent` header of requests that have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// How many redirects are followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_redirects: Option<u32>,
    /// Whether bodies are read and thrown away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discard_response_bodies: Option<bool>,
    /// Whether any certificate will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_skip_tls_verify: Option<bool>,
    /// Whether each request has a connection of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_connection_reuse: Option<bool>,
    /// Whether a virtual user closes its connections at the end of each iteration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_vu_connection_reuse: Option<bool>,
    /// Which version of HTTP is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_version: Option<HttpVersion>,
    /// Which versions of TLS are spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_version: Option<TlsVersions>,
    /// Client certificates, the first whose domains match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tls_auth: Vec<ClientCertificate>,
    /// Addresses of names, before any resolver is asked; `*.example.org` matches each name below it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, HostAddress>,
    /// How names are resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// The local addresses that connections go out from, in turn by virtual user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub local_ips: Vec<IpRange>,
    /// Networks that nothing is sent to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block_ips: Vec<IpRange>,
    /// Names that nothing is sent to; `*.example.org` matches each name below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block_hostnames: Vec<HostPattern>,
    /// If not empty: what requests may go to, and nothing else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Target>,
    /// Requests of one batch that are under way at once, of all hosts together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// Requests of one batch that are under way at once, to one host; 0 for no limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_per_host: Option<u32>,
    /// Whose cookies they are, and how long they are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookies: Option<CookiePolicy>,
    /// What of each request and response is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_debug: Option<HttpDebug>,
}

impl HttpSettings {
    /// What of it shapes the load: what is sent, and on how many connections. Where names lead, who is asked, and
    /// what may be reached is none of it.
    #[must_use]
    pub fn shaping(&self) -> HttpSettings {
        HttpSettings {
            max_redirects: self.max_redirects,
            discard_response_bodies: self.discard_response_bodies,
            no_connection_reuse: self.no_connection_reuse,
            no_vu_connection_reuse: self.no_vu_connection_reuse,
            http_version: self.http_version,
            tls_version: self.tls_version,
            batch: self.batch,
            batch_per_host: self.batch_per_host,
            cookies: self.cookies,
            http_debug: self.http_debug,
            ..HttpSettings::default()
        }
    }

    /// Whether nothing is said here.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which version of HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HttpVersion {
    /// HTTP/2 where TLS negotiates it, else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 alone.
    Http11,
    /// HTTP/2 alone, over plain TCP by prior knowledge.
    Http2,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// A range of versions of TLS, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TlsVersions {
    /// The oldest.
    pub min: TlsVersion,
    /// The newest.
    pub max: TlsVersion,
}

/// A certificate of the client, with its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The file of the certificate chain, in PEM form.
    pub certificate: PathBuf,
    /// The file of the key, in PEM form.
    pub key: PathBuf,
    /// The hosts that it is for; empty for all.
    pub domains: Vec<HostPattern>,
}

/// Where a name leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostAddress {
    /// The address.
    pub ip: IpAddr,
    /// The port, if not that of the URL.
    pub port: Option<u16>,
}

impl From<SocketAddr> for HostAddress {
    fn from(address: SocketAddr) -> Self {
        Self { ip: address.ip(), port: Some(address.port()) }
    }
}

/// How names are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dns {
    /// How long an answer is used; `None` for the whole test. 5 min by default, as in k6.
    pub ttl: Option<Duration>,
    /// Which of a name's addresses is taken.
    pub select: DnsSelect,
    /// Which addresses a name has.
    pub policy: DnsPolicy,
}

impl Default for Dns {
    fn default() -> Self {
        let ttl = Some(Duration::from_secs(300));
        Self { ttl, select: DnsSelect::default(), policy: DnsPolicy::default() }
    }
}

/// Which of a name's addresses is taken for a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DnsSelect {
    /// The first; the others in their order where it does not answer.
    First,
    /// Any.
    #[default]
    Random,
    /// One after another.
    RoundRobin,
}

/// Which of the addresses that a resolver gives are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DnsPolicy {
    /// Those of IPv4, else those of IPv6.
    #[default]
    PreferIpv4,
    /// Those of IPv6, else those of IPv4.
    PreferIpv6,
    /// Those of IPv4.
    OnlyIpv4,
    /// Those of IPv6.
    OnlyIpv6,
    /// All.
    Any,
}

/// Addresses from one to another, both included, of one family. A single address and a network are ranges too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpRange {
    /// The lowest.
    pub first: IpAddr,
    /// The highest.
    pub last: IpAddr,
}

/// A name, or `*.` and a name for each name below it, or `*`. In lower case, without the dot of the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPattern(pub(crate) String);

/// What a request may go to: an address, a network, `loopback`, or a name, with a port or any.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host.
    pub host: TargetHost,
    /// The port; `None` for any.
    pub port: Option<u16>,
}

/// The host of a [`Target`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TargetHost {
    /// Whatever resolves to a loopback address, and unix sockets.
    Loopback,
    /// Whatever resolves to one of these addresses.
    Addresses(IpRange),
    /// What is called so in the URL, whatever it resolves to.
    Name(HostPattern),
}

/// Whose cookies they are, and how long they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CookiePolicy {
    /// The virtual user's; each iteration begins with those that `vu_init` left, as in k6.
    #[default]
    Iteration,
    /// The virtual user's, for as long as it lives.
    Vu,
    /// One jar for all virtual users of the test.
    Test,
    /// None are kept.
    Off,
}

/// What of each request and response is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpDebug {
    /// Request lines, status lines and headers.
    Headers,
    /// Bodies too.
    Full,
}
