//! Addresses, ranges of them, names and targets: how they are written, and what they match.
//!
//! The main types are [`IpRange`], [`HostPattern`] and [`Target`]. An address that IPv6 wraps around one of IPv4
//! (`::ffff:10.0.0.1`) is both, so that neither way of writing it gets past a list. No name is resolved here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{HostAddress, HostPattern, IpRange, Target, TargetHost};
use crate::Error;

/// The longest name that the DNS knows, and the longest part of one (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

impl FromStr for HostAddress {
    type Err = Error;

    /// Reads `127.0.0.1`, `127.0.0.1:8080`, `::1` and `[::1]:8080`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>()
            && (ip.is_ipv6() || bare == text)
        {
            return Ok(Self { ip, port: None });
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 => {
                Err(Error::new(format!("`{text}` has the port 0"))
                    .hint("leave the port out for that of the URL"))
            }
            Ok(SocketAddr::V6(address)) if address.scope_id() != 0 => {
                Err(Error::new(format!("`{text}` has a zone")).hint("write it without `%…`"))
            }
            Ok(address) => Ok(Self { ip: address.ip(), port: Some(address.port()) }),
            Err(_) => Err(Error::new(format!("`{text}` is not an address"))
                .hint("write for example `127.0.0.1`, `127.0.0.1:8080` or `[::1]:8080`")),
        }
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

impl IpRange {
    /// Whether an address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let within = |address: IpAddr| {
            address.is_ipv4() == self.first.is_ipv4() && (self.first..=self.last).contains(&address)
        };
        within(address)
            || match address {
                IpAddr::V4(address) => within(address.to_ipv6_mapped().into()),
                IpAddr::V6(_) => within(address.to_canonical()),
            }
    }

    /// How many addresses there are; the 2¹²⁸ of all of IPv6 count as one fewer.
    pub fn len(&self) -> u128 {
        match bits(self.last).checked_sub(bits(self.first)) {
            Some(span) => span.saturating_add(1),
            None => 0,
        }
    }

    /// Whether there is no address, which no text can say.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The address that is so many behind the first.
    pub fn nth(&self, n: u128) -> Option<IpAddr> {
        let at = bits(self.first).checked_add(n).filter(|at| *at <= bits(self.last))?;
        Some(address_of(at, self.first.is_ipv4()))
    }
}

impl From<IpAddr> for IpRange {
    fn from(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }
}

impl FromStr for IpRange {
    type Err = Error;

    /// Reads an address, `10.0.0.1`, a network, `10.0.0.0/24`, or a range, `10.0.0.1-10.0.0.9`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (address(first)?, address(last)?);
            if first.is_ipv4() != last.is_ipv4() {
                return Err(Error::new(format!("`{text}` goes from one family of addresses to the other"))
                    .hint("write a range for each"));
            }
            if first > last {
                return Err(
                    Error::new(format!("`{text}` goes backwards")).hint(format!("write `{last}-{first}`"))
                );
            }
            return Ok(Self { first, last });
        }
        let Some((network, prefix)) = text.split_once('/') else { return address(text).map(Self::from) };
        let first = address(network)?;
        let width = if first.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.trim();
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let Some(prefix) = prefix.parse::<u32>().ok().filter(|bits| digits && *bits <= width) else {
            return Err(Error::new(format!("`{text}` is not a network: `{prefix}` is not a number of bits"))
                .hint(format!("write 0 to {width} behind the `/`")));
        };
        let span = all_ones(width - prefix);
        let start = bits(first) & !span;
        if start != bits(first) {
            let network = address_of(start, first.is_ipv4());
            return Err(Error::new(format!("`{text}` is an address within a network"))
                .hint(format!("write `{network}/{prefix}` for the network, or `{first}` for the address")));
        }
        Ok(Self { first, last: address_of(start | span, first.is_ipv4()) })
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (bits(self.first), bits(self.last));
        let span = last.wrapping_sub(first);
        if span == 0 {
            self.first.fmt(f)
        } else if span & span.wrapping_add(1) == 0 && first & span == 0 {
            let width = if self.first.is_ipv4() { 32 } else { 128 };
            write!(f, "{}/{}", self.first, width - span.count_ones())
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

fn address(text: &str) -> Result<IpAddr, Error> {
    let text = text.trim();
    text.parse().map_err(|_| {
        Error::new(format!("`{text}` is not an address"))
            .hint("write for example `10.0.0.1`, `10.0.0.0/24` or `10.0.0.1-10.0.0.9`")
    })
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address with these bits, of which IPv4 has 32.
fn address_of(bits: u128, v4: bool) -> IpAddr {
    match u32::try_from(bits) {
        Ok(bits) if v4 => Ipv4Addr::from_bits(bits).into(),
        _ => Ipv6Addr::from_bits(bits).into(),
    }
}

/// So many ones at the low end.
fn all_ones(count: u32) -> u128 {
    1u128.checked_shl(count).map_or(u128::MAX, |next| next - 1)
}

impl HostPattern {
    /// Whether a name, as a URL has it, is meant: letters are alike in both cases, and the dot of the root says
    /// nothing.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
        match self.0.strip_prefix('*') {
            Some("") => true,
            Some(suffix) => {
                let start = name.len().checked_sub(suffix.len()).filter(|start| *start > 0);
                start.is_some_and(|start| name[start..].eq_ignore_ascii_case(suffix.as_bytes()))
            }
            None => name.eq_ignore_ascii_case(self.0.as_bytes()),
        }
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an address, which a URL has instead of a name.
    pub(crate) fn is_address(&self) -> bool {
        self.0.parse::<IpAddr>().is_ok()
    }
}

impl FromStr for HostPattern {
    type Err = Error;

    /// Reads `example.org`, `*.example.org` for each name below it, and `*`; an address of IPv4 where URLs have
    /// one. Names are those of URLs, so letters beyond ASCII are written as in the DNS, `xn--…`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let wrong = |why: &str, hint: String| Err(Error::new(format!("`{text}` {why}")).hint(hint));
        let pattern = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let name = pattern.strip_prefix("*.").unwrap_or(&pattern);
        if text.is_empty() {
            return Err(Error::new("the name of the host is empty").hint("write for example `example.org`"));
        }
        if pattern == "*" {
            return Ok(Self(pattern));
        }
        if let Some((_, rest)) = name.split_once("://") {
            let host = rest.split(['/', ':', '?', '#']).next().unwrap_or_default();
            return wrong("is a URL and not a host", format!("write `{host}`"));
        }
        if name.contains('*') {
            return wrong("has `*` where none can stand", "write it in front: `*.example.org`".to_owned());
        }
        if !name.is_ascii() {
            return wrong(
                "has letters that no host of a URL has",
                "write the name as the DNS has it: `xn--…`".to_owned(),
            );
        }
        if name.len() > LONGEST_NAME {
            return wrong("is too long for a name", format!("names have at most {LONGEST_NAME} characters"));
        }
        let is_label = |label: &str| {
            (1..=LONGEST_LABEL).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if !name.split('.').all(is_label) {
            return wrong("is not the name of a host", "write for example `example.org`".to_owned());
        }
        // As in URLs (WHATWG URL, host parsing): what ends in a number is an address or nothing.
        let last = name.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit())
            && (pattern != name || name.parse::<Ipv4Addr>().is_err())
        {
            return wrong("is neither a name nor an address", "write for example `10.0.0.1`".to_owned());
        }
        Ok(Self(pattern))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Target {
    type Err = Error;

    /// Reads `loopback`, an address, a network or a range, or the name of a host as [`HostPattern`] does; then `:`
    /// and a port, or `:*` for any, which is the same as none. IPv6 with a port stands in brackets.
    fn from_str(text: &str) -> Result<Self, Error> {
        const EXAMPLE: &str =
            "write for example `loopback`, `10.0.0.0/8`, `example.org:8080` or `[::1]:8080`";
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::new("the target is empty").hint(EXAMPLE));
        }
        if let Some((_, rest)) = text.split_once("://") {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            return Err(
                Error::new(format!("`{text}` is a URL and not a host")).hint(format!("write `{host}`"))
            );
        }
        if let Some(rest) = text.strip_prefix('[') {
            let Some((inner, rest)) = rest.split_once(']') else {
                return Err(Error::new(format!("`{text}` has no `]`")).hint(EXAMPLE));
            };
            let range: IpRange = inner.parse()?;
            if range.first.is_ipv4() {
                return Err(Error::new(format!("`{text}` has brackets around an address of IPv4"))
                    .hint(format!("write `{range}{rest}`")));
            }
            let port = match (rest, rest.strip_prefix(':')) {
                ("", _) => None,
                (_, Some(text)) => port(text)?,
                _ => return Err(Error::new(format!("`{text}` goes on behind its `]`")).hint(EXAMPLE)),
            };
            return Ok(Self { host: TargetHost::Addresses(range), port });
        }
        if let Ok(range) = text.parse() {
            return Ok(Self { host: TargetHost::Addresses(range), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err(Error::new(format!("`{text}` is not an address"))
                    .hint("IPv6 with a port stands in brackets: `[::1]:8080`"));
            }
            Some((host, text)) => (host, port(text)?),
            None => (text, None),
        };
        // What can only be meant as addresses says what is wrong with them.
        let addresses = host.contains('/') && host.starts_with(|c: char| c.is_ascii_digit());
        let host = match host.parse::<IpRange>() {
            Ok(range) => TargetHost::Addresses(range),
            Err(error) if addresses => return Err(error),
            Err(_) if host.eq_ignore_ascii_case("loopback") => TargetHost::Loopback,
            Err(_) => TargetHost::Name(host.parse()?),
        };
        Ok(Self { host, port })
    }
}

fn port(text: &str) -> Result<Option<u16>, Error> {
    let text = text.trim();
    if text == "*" {
        return Ok(None);
    }
    match text.parse() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(port)),
        _ => Err(Error::new(format!("`{text}` is not a port")).hint("write 1 to 65535, or `*` for any")),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (TargetHost::Addresses(range), Some(port)) if range.first.is_ipv6() => {
                write!(f, "[{range}]:{port}")
            }
            (host, Some(port)) => write!(f, "{host}:{port}"),
            (host, None) => host.fmt(f),
        }
    }
}

impl fmt::Display for TargetHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetHost::Loopback => f.write_str("loopback"),
            TargetHost::Addresses(range) => range.fmt(f),
            TargetHost::Name(name) => name.fmt(f),
        }
    }
}
