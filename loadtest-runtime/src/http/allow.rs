//! What may be connected to: the block lists and the allow list, asked before each connection is made.
//!
//! A name is judged before it is looked up, and each of its addresses after that: one that is refused is never
//! connected to. Redirects are followed by connections made here too, so the lists hold for them. A connection
//! that is used again was judged when it was made. What a client of the user's own does (`vu.http_with`) is its
//! own affair.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::Host;

use super::error::{ErrorKind, Failure};
use super::options::{AllowedTarget, HttpOptions, TargetHost};
use super::target::Target;

/// What the lists said of a host before its addresses were known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be connected to, whatever its addresses; unless they are blocked.
    ByName,
    /// It depends on its addresses.
    ByAddress,
}

/// Judges the host of a target by its name; `port` is that of the connection.
pub(super) fn judge_host(options: &HttpOptions, target: &Target, port: u16) -> Result<Verdict, Failure> {
    let host = host_text(target);
    if target.unix.is_none() && options.block_hostnames.iter().any(|pattern| pattern.matches(&host)) {
        let failure = Failure::new(ErrorKind::BlockedHostname, format!("`{host}` is blocked by name"));
        return Err(failure.with_hint("take it out of `block_hostnames`, or leave the request out"));
    }
    if options.allow.is_empty() {
        return Ok(Verdict::ByName);
    }
    let mut by_address = false;
    for AllowedTarget { host: allowed, port: allowed_port } in &options.allow {
        // A name is that of the URL, and so is its port; an address is what is connected to.
        let port_of = |port| allowed_port.is_none_or(|allowed| allowed == port);
        match allowed {
            TargetHost::Name(pattern) if target.unix.is_none() => {
                if port_of(target.port) && pattern.matches(&host) {
                    return Ok(Verdict::ByName);
                }
            }
            TargetHost::Loopback if target.unix.is_some() => return Ok(Verdict::ByName),
            TargetHost::Loopback | TargetHost::Addresses(_) => by_address |= port_of(port),
            TargetHost::Name(_) => {}
        }
    }
    if by_address && target.unix.is_none() {
        return Ok(Verdict::ByAddress);
    }
    if target.unix.is_some() {
        let text = "sockets of the file system are not among what requests may go to";
        return Err(not_allowed(text.to_owned(), "loopback"));
    }
    Err(not_allowed(format!("`{host}` is not among what requests may go to"), &host))
}

/// The addresses that may be connected to, in their order, at least one.
pub(super) fn judge_addresses(
    options: &HttpOptions,
    target: &Target,
    verdict: Verdict,
    addresses: impl IntoIterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Failure> {
    let mut first_failure = None;
    let mut good = Vec::new();
    for address in addresses {
        match judge_address(options, target, verdict, address) {
            Ok(()) => good.push(address),
            Err(failure) => _ = first_failure.get_or_insert(failure),
        }
    }
    match first_failure {
        Some(failure) if good.is_empty() => Err(failure),
        _ => Ok(good),
    }
}

fn judge_address(
    options: &HttpOptions,
    target: &Target,
    verdict: Verdict,
    address: SocketAddr,
) -> Result<(), Failure> {
    let (ip, host) = (address.ip().to_canonical(), host_text(target));
    let reached = reached_by(ip);
    let shown =
        if host == ip.to_string() { format!("`{host}`") } else { format!("`{host}`, which is {ip},") };
    if options.block_ips.iter().any(|range| range.contains(ip) || range.contains(reached)) {
        let failure = Failure::new(ErrorKind::BlockedIp, format!("{shown} is blocked by address"));
        return Err(failure.with_hint("take it out of `block_ips`, or leave the request out"));
    }
    let allows = |allowed: &AllowedTarget| {
        let host = match &allowed.host {
            TargetHost::Loopback => reached.is_loopback(),
            TargetHost::Addresses(range) => range.contains(ip),
            TargetHost::Name(_) => false,
        };
        host && allowed.port.is_none_or(|port| port == address.port())
    };
    if verdict == Verdict::ByName || options.allow.iter().any(allows) {
        return Ok(());
    }
    Err(not_allowed(format!("{shown} is not among what requests may go to"), &host))
}

fn not_allowed(text: String, host: &str) -> Failure {
    let mut hint = format!("if that is meant, add `{host}` to `allow`, or give `--allow {host}` as well");
    if host != "loopback" {
        hint.push_str("; `loopback` stands for this machine");
    }
    Failure::new(ErrorKind::NotAllowed, text).with_hint(hint)
}

/// Connecting to the address of no one leads to this machine.
fn reached_by(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// The host of a URL, an address without brackets.
pub(super) fn host_text(target: &Target) -> String {
    match target.host() {
        Host::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_canonical().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outcome for a URL whose host has one address.
    fn judge(options: &HttpOptions, url: &str, address: &str) -> Result<(), ErrorKind> {
        let target = Target::get(url).unwrap();
        let address = SocketAddr::new(address.parse().unwrap(), target.port);
        judge_host(options, &target, address.port())
            .and_then(|verdict| judge_addresses(options, &target, verdict, [address]))
            .map_err(|failure| failure.kind)
            .map(drop)
    }

    fn allowing(allowed: &[&str]) -> HttpOptions {
        let allow = allowed.iter().map(|text| text.parse().unwrap()).collect();
        HttpOptions { allow, ..HttpOptions::default() }
    }

    #[test]
    fn without_lists_all_is_allowed() {
        assert_eq!(judge(&HttpOptions::default(), "http://example.org/", "203.0.113.9"), Ok(()));
    }

    #[test]
    fn loopback_is_what_leads_to_this_machine() {
        let options = allowing(&["loopback"]);
        for (url, address, outcome) in [
            ("http://localhost/", "127.0.0.1", Ok(())),
            ("http://[::1]/", "::1", Ok(())),
            ("http://[::ffff:127.0.0.1]/", "::ffff:127.0.0.1", Ok(())),
            ("http://evil.example/", "10.0.0.1", Err(ErrorKind::NotAllowed)),
            ("http://localhost/", "192.168.1.1", Err(ErrorKind::NotAllowed)),
            ("http://[::ffff:10.0.0.1]/", "::ffff:10.0.0.1", Err(ErrorKind::NotAllowed)),
        ] {
            assert_eq!(judge(&options, url, address), outcome, "{url} at {address}");
        }
        let target = Target::get("http+unix://%2Frun%2Fx.sock/").unwrap();
        assert_eq!(judge_host(&options, &target, 80).unwrap(), Verdict::ByName);
        let failure = judge_host(&allowing(&["10.0.0.1"]), &target, 80).unwrap_err();
        assert!(failure.hint.unwrap().contains("--allow loopback"));
        assert!(judge_host(&allowing(&["*.sock"]), &target, 80).is_err());
    }

    #[test]
    fn names_and_ports() {
        let options = allowing(&["api.example.org:8080", "*.test", "10.0.0.0/8:80"]);
        for (url, address, outcome) in [
            ("http://api.example.org:8080/", "203.0.113.9", Ok(())),
            ("http://API.example.org.:8080/", "203.0.113.9", Ok(())),
            ("http://api.example.org/", "203.0.113.9", Err(ErrorKind::NotAllowed)),
            ("http://a.test/", "203.0.113.9", Ok(())),
            ("http://test/", "203.0.113.9", Err(ErrorKind::NotAllowed)),
            ("http://anything/", "10.9.9.9", Ok(())),
            ("http://anything:81/", "10.9.9.9", Err(ErrorKind::NotAllowed)),
        ] {
            assert_eq!(judge(&options, url, address), outcome, "{url} at {address}");
        }
        // No resolver is asked for what no address could allow.
        let target = Target::get("http://example.com:81/").unwrap();
        let failure = judge_host(&options, &target, 81).unwrap_err();
        assert!(failure.hint.unwrap().contains("add `example.com` to `allow`"));
    }

    #[test]
    fn block_lists_come_first() {
        let blocked = HttpOptions {
            block_ips: vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.0/8".parse().unwrap()],
            block_hostnames: vec!["*.example.org".parse().unwrap()],
            ..allowing(&["*"])
        };
        for (url, address, outcome) in [
            ("http://a.example.org/", "203.0.113.9", Err(ErrorKind::BlockedHostname)),
            ("http://A.EXAMPLE.ORG./", "203.0.113.9", Err(ErrorKind::BlockedHostname)),
            ("http://example.org/", "203.0.113.9", Ok(())),
            ("http://x/", "10.0.0.1", Err(ErrorKind::BlockedIp)),
            ("http://x/", "::ffff:10.0.0.1", Err(ErrorKind::BlockedIp)),
            ("http://0.0.0.0/", "0.0.0.0", Err(ErrorKind::BlockedIp)),
        ] {
            assert_eq!(judge(&blocked, url, address), outcome, "{url} at {address}");
        }
    }

    #[test]
    fn addresses_that_are_refused_are_left_out() {
        let options = allowing(&["loopback"]);
        let target = Target::get("http://localhost/").unwrap();
        let addresses: Vec<SocketAddr> =
            ["10.0.0.1:80", "127.0.0.1:80"].map(|text| text.parse().unwrap()).to_vec();
        let good = judge_addresses(&options, &target, Verdict::ByAddress, addresses.clone()).unwrap();
        assert_eq!(good, addresses[1..]);
    }
}
