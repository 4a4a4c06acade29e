//! From a target to a connection: its name's addresses, a socket, TLS.
//!
//! The main type is [`Connector`], one per virtual user. Whatever is to be reached, by whichever protocol, is
//! reached through it, and so past the block lists and the [allow list](super::HttpOptions::allow). It refuses to
//! know proxies.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use url::Host;

use super::allow;
use super::dns;
use super::error::{ErrorKind, Failure};
use super::io::{Counted, Socket, Stream};
use super::options::{HttpOptions, HttpVersion, IpRange};
use super::target::Target;
use super::transport::{Phase, Trace};
use crate::clock;

/// What the connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Requests; the version of HTTP is that of the options.
    Http,
    /// A protocol that begins with an HTTP/1.1 request.
    #[cfg(feature = "websocket")]
    Upgrade,
    /// Bytes that are none of HTTP's.
    Raw,
}

/// A connection that nothing has been said on.
pub(crate) struct Established {
    pub(crate) stream: Stream,
    /// `None` for a socket of the file system.
    pub(crate) remote_addr: Option<SocketAddr>,
    /// Whether HTTP/2 is to be spoken.
    #[cfg(feature = "http2")]
    pub(crate) is_http2: bool,
}

impl Established {
    #[cfg_attr(not(feature = "http2"), expect(unused_variables, reason = "it never is"))]
    fn new(stream: Stream, remote_addr: Option<SocketAddr>, is_http2: bool) -> Self {
        Self {
            stream,
            remote_addr,
            #[cfg(feature = "http2")]
            is_http2,
        }
    }
}

/// Connects one virtual user.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    options: Arc<HttpOptions>,
    /// Where its connections go out from, unless the system chooses.
    local: Option<IpAddr>,
}

impl Connector {
    /// What connects the virtual user of this number, which are counted from 1.
    pub(crate) fn new(options: Arc<HttpOptions>, vu: u64) -> Self {
        let local = local_address(&options.local_ips, vu);
        Self { options, local }
    }

    /// Connects to a target's host and port. Notes its progress in `trace`, which counts the connection's bytes
    /// from its first one.
    pub(super) async fn establish(
        &self,
        target: &Target,
        purpose: Purpose,
        trace: &Trace,
    ) -> Result<Established, Failure> {
        let version = match purpose {
            Purpose::Http => Some(speakable(self.options.http_version)?),
            #[cfg(feature = "websocket")]
            Purpose::Upgrade => Some(HttpVersion::Http11),
            Purpose::Raw => None,
        };
        let addresses = self.locate(target, trace).await?;
        trace.enter(Phase::Connecting);
        let limit = self.options.connect_timeout;
        let establish = async {
            let (socket, remote_addr) = self.connect(target, &addresses).await?;
            let stream = Counted::new(socket);
            trace.count(stream.traffic());
            if target.https {
                trace.enter(Phase::TlsHandshaking);
                let (stream, is_http2) = self.secure(target, version, stream).await?;
                return Ok(Established::new(stream, remote_addr, is_http2));
            }
            Ok(Established::new(Stream::Plain(stream), remote_addr, version == Some(HttpVersion::Http2)))
        };
        tokio::time::timeout(limit, establish).await.unwrap_or_else(|_| {
            let text = format!("no connection after {limit:?}, {}", trace.doing());
            Err(Failure::new(ErrorKind::ConnectTimeout, text))
        })
    }

    /// The addresses that may be connected to; none for a socket of the file system.
    async fn locate(&self, target: &Target, trace: &Trace) -> Result<Vec<SocketAddr>, Failure> {
        let options = &*self.options;
        let overridden = match target.host() {
            Host::Domain(name) if target.unix.is_none() => dns::overridden(&options.hosts, name, target.port),
            _ => None,
        };
        let port = overridden.and_then(|address| address.port).unwrap_or(target.port);
        let verdict = allow::judge_host(options, target, port)?;
        if target.unix.is_some() {
            return Ok(Vec::new());
        }
        let mut addresses = match (overridden, target.host()) {
            (Some(address), _) => vec![address.ip],
            (None, Host::Ipv4(address)) => vec![address.into()],
            (None, Host::Ipv6(address)) => vec![address.into()],
            (None, Host::Domain(name)) => {
                trace.enter(Phase::LookingUp);
                dns::resolve(name, &options.dns).await?
            }
        };
        if let Some(local) = self.local {
            addresses.retain(|address| address.is_ipv4() == local.is_ipv4());
            if addresses.is_empty() {
                let text = format!("cannot connect from {local}: the host has no address of its family");
                let failure = Failure::new(ErrorKind::ConnectFailed, text);
                return Err(failure.with_hint("give addresses of the other family too, in `local_ips`"));
            }
        }
        let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, port));
        allow::judge_addresses(options, target, verdict, addresses)
    }

    async fn connect(
        &self,
        target: &Target,
        addresses: &[SocketAddr],
    ) -> Result<(Socket, Option<SocketAddr>), Failure> {
        if let Some(path) = &target.unix {
            return Ok((connect_unix(path).await?, None));
        }
        let connect = async |address| connect_tcp(address, self.local).await;
        let (stream, address) = first_of(addresses, self.options.connect_timeout, connect).await?;
        Ok((Socket::Tcp(stream), Some(address)))
    }

    #[cfg(feature = "tls")]
    async fn secure(
        &self,
        target: &Target,
        version: Option<HttpVersion>,
        stream: Counted,
    ) -> Result<(Stream, bool), Failure> {
        use super::tls::{self, Offer};
        let offer = match version {
            None => Offer::None,
            Some(HttpVersion::Http11) => Offer::Http1,
            Some(HttpVersion::Auto) => Offer::Either,
            Some(HttpVersion::Http2) => Offer::Http2,
        };
        let (stream, is_http2) = tls::handshake(&self.options, target, offer, stream).await?;
        Ok((Stream::Tls(Box::new(stream)), is_http2))
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(
        &self,
        _: &Target,
        _: Option<HttpVersion>,
        _: Counted,
    ) -> Result<(Stream, bool), Failure> {
        let failure = Failure::new(ErrorKind::NoTlsProvider, "built without https");
        Err(failure.with_hint("enable the feature `tls` of loadtest-runtime"))
    }
}

/// What of the version that was asked for this build can speak.
fn speakable(version: HttpVersion) -> Result<HttpVersion, Failure> {
    match version {
        _ if cfg!(feature = "http2") => Ok(version),
        HttpVersion::Auto | HttpVersion::Http11 => Ok(HttpVersion::Http11),
        HttpVersion::Http2 => {
            let failure = Failure::new(ErrorKind::Http2, "http/2: built without it");
            Err(failure.with_hint("enable the feature `http2` of loadtest-runtime"))
        }
    }
}

/// The address that is a virtual user's by its number modulo how many there are, as in k6.
fn local_address(ranges: &[IpRange], vu: u64) -> Option<IpAddr> {
    let total = ranges.iter().fold(0u128, |total, range| total.saturating_add(range.len()));
    let mut index = u128::from(vu).checked_rem(total)?;
    for range in ranges {
        if index < range.len() {
            return range.nth(index);
        }
        index -= range.len();
    }
    None
}

/// Tries the addresses in their order; the failure is that of the first.
///
/// Each has its share of the time: what is left, divided by the addresses that are, so that one that never answers
/// keeps nobody from the next ones. The last has all that is left, of which the caller takes care.
async fn first_of<T>(
    addresses: &[SocketAddr],
    limit: Duration,
    connect: impl AsyncFn(SocketAddr) -> Result<T, Failure>,
) -> Result<(T, SocketAddr), Failure> {
    let began = clock::now();
    let mut first_failure = None;
    for (tried, address) in addresses.iter().enumerate() {
        let connected = match addresses.len() - tried {
            1 => connect(*address).await,
            left => {
                let remaining = limit.saturating_sub(clock::now() - began);
                let share = remaining / u32::try_from(left).unwrap_or(u32::MAX);
                tokio::time::timeout(share, connect(*address)).await.unwrap_or_else(|_| {
                    let text = format!("no connection to {address} after {share:?}, its share of {limit:?}");
                    Err(Failure::new(ErrorKind::ConnectTimeout, text))
                })
            }
        };
        match connected {
            Ok(connected) => return Ok((connected, *address)),
            Err(failure) => _ = first_failure.get_or_insert(failure),
        }
    }
    let none = || Failure::new(ErrorKind::HostNotFound, "the host has no address");
    Err(first_failure.unwrap_or_else(none))
}

async fn connect_tcp(remote: SocketAddr, local: Option<IpAddr>) -> Result<TcpStream, Failure> {
    let failed = |error| Failure::from_connect(&error);
    let stream = match local {
        None => TcpStream::connect(remote).await.map_err(failed)?,
        Some(local) => {
            let socket = if local.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
            let socket = socket.map_err(failed)?;
            socket.bind(SocketAddr::new(local, 0)).map_err(|error| {
                let text = format!("cannot connect from {local}: {error}");
                let failure = Failure::new(ErrorKind::ConnectFailed, text);
                failure.with_hint("is it an address of this machine, with a port left? See `local_ips`")
            })?;
            socket.connect(remote).await.map_err(failed)?
        }
    };
    // A small request must not wait for the acknowledgement of the one before.
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

#[cfg(unix)]
async fn connect_unix(path: &std::path::Path) -> Result<Socket, Failure> {
    let stream = tokio::net::UnixStream::connect(path).await.map_err(|error| {
        let failure = Failure::from_connect(&error);
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                failure.with_hint("is the service running, and is this the path of its socket?")
            }
            _ => failure,
        }
    })?;
    Ok(Socket::Unix(stream))
}

#[cfg(not(unix))]
async fn connect_unix(_: &std::path::Path) -> Result<Socket, Failure> {
    let text = "this system has no sockets of the file system that can be connected to";
    Err(Failure::new(ErrorKind::ConnectFailed, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_users_take_local_addresses_in_turn() {
        let ranges: Vec<IpRange> =
            ["127.0.0.5-127.0.0.6", "127.0.1.1"].map(|text| text.parse().unwrap()).to_vec();
        let of = |vu| local_address(&ranges, vu).map(|address| address.to_string());
        assert_eq!(of(1).as_deref(), Some("127.0.0.6"));
        assert_eq!(of(2).as_deref(), Some("127.0.1.1"));
        assert_eq!(of(3).as_deref(), Some("127.0.0.5"));
        assert_eq!(local_address(&[], 1), None);
        let all: IpRange = "::/0".parse().unwrap();
        assert!(local_address(&[all, all], 7).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn each_address_has_its_share_of_the_time() {
        let addresses: Vec<SocketAddr> = ["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80", "192.0.2.4:80"]
            .map(|a| a.parse().unwrap())
            .into();
        let second = Duration::from_secs(1);
        let began = clock::now();
        let tried = std::cell::RefCell::new(Vec::new());
        let connect = async |address: SocketAddr| {
            tried.borrow_mut().push((clock::now() - began).as_secs());
            match address.ip().to_string().as_str() {
                // Refuses after a while: what it leaves is shared by the others.
                "192.0.2.2" => {
                    tokio::time::sleep(second).await;
                    Err(Failure::new(ErrorKind::ConnectionRefused, "refused"))
                }
                // Slower than a quarter of the time: the last has all that is left.
                "192.0.2.4" => {
                    tokio::time::sleep(9 * second).await;
                    Ok(())
                }
                _ => std::future::pending().await,
            }
        };
        let ((), address) = first_of(&addresses, 28 * second, connect).await.unwrap();
        assert_eq!((address, clock::now() - began), (addresses[3], 27 * second));
        assert_eq!(*tried.borrow(), [0, 7, 8, 18]);
        // If none is reached, the first says why.
        let failure = first_of(&addresses[..2], 28 * second, connect).await.unwrap_err();
        assert_eq!(failure.kind, ErrorKind::ConnectTimeout);
        assert!(failure.text.contains("192.0.2.1:80 after 14s, its share of 28s"), "{}", failure.text);
        // A single one has no timer of its own, and a limit may be any.
        assert_eq!(first_of(&addresses[3..], Duration::MAX, connect).await.unwrap().1, addresses[3]);
        assert_eq!(first_of(&addresses[1..], Duration::MAX, async |_| Ok(())).await.unwrap().1, addresses[1]);
        assert_eq!(first_of(&[], second, connect).await.unwrap_err().kind, ErrorKind::HostNotFound);
    }
}
