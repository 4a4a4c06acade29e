//! What is written, read, shown and matched.

use std::fmt::{Debug, Display};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::Error;

fn read<T: FromStr<Err = Error>>(text: &str) -> T {
    text.parse().unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

/// What is wrong with a text, and the hint.
fn told<T: FromStr<Err = Error> + Debug>(text: &str) -> String {
    let error = text.parse::<T>().expect_err(text);
    let hint = error.hint_text().unwrap_or_else(|| panic!("`{error}` has no hint"));
    format!("{}; {hint}", error.message())
}

fn comes_back<
    T: FromStr<Err = Error> + Display + Debug + PartialEq + Serialize + for<'de> Deserialize<'de>,
>(
    value: &T,
) {
    let text = value.to_string();
    assert_eq!(&read::<T>(&text), value, "{text}");
    let json = serde_json::to_string(value).expect("serialises");
    assert_eq!(json, serde_json::to_string(&text).expect("serialises"), "the document has the text");
    assert_eq!(&serde_json::from_str::<T>(&json).expect("parses"), value);
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        // Wrapped around IPv4, and such that have many zeros.
        any::<[u8; 4]>().prop_map(|v4| std::net::Ipv4Addr::from(v4).to_ipv6_mapped().into()),
        any::<u8>().prop_map(|low| std::net::Ipv6Addr::from_bits(low.into()).into()),
    ]
}

fn range() -> impl Strategy<Value = IpRange> {
    let span = (address(), any::<u128>(), 0u32..128).prop_map(|(first, n, shift)| {
        let whole = match first {
            IpAddr::V4(_) => IpRange { first, last: IpAddr::from([255; 4]) },
            IpAddr::V6(_) => IpRange { first, last: IpAddr::from([255; 16]) },
        };
        let last = whole.nth((n >> shift) % whole.len()).expect("within");
        IpRange { first, last }
    });
    let network = (address(), 0u32..=128).prop_map(|(address, prefix)| {
        let text = match address {
            IpAddr::V4(v4) => {
                let prefix = prefix % 33;
                format!(
                    "{}/{prefix}",
                    std::net::Ipv4Addr::from_bits(
                        v4.to_bits() & (!0u32).checked_shl(32 - prefix).unwrap_or(0)
                    )
                )
            }
            IpAddr::V6(v6) => {
                let prefix = prefix % 129;
                format!(
                    "{}/{prefix}",
                    std::net::Ipv6Addr::from_bits(
                        v6.to_bits() & (!0u128).checked_shl(128 - prefix).unwrap_or(0)
                    )
                )
            }
        };
        read(&text)
    });
    prop_oneof![address().prop_map(IpRange::from), span, network]
}

fn pattern() -> impl Strategy<Value = HostPattern> {
    "(\\*\\.)?[a-z0-9_-]{1,9}(\\.[a-z0-9-]{1,9}){0,3}\\.[a-z]{1,5}|\\*".prop_map(|text| read(&text))
}

fn target() -> impl Strategy<Value = Target> {
    let host = prop_oneof![
        Just(TargetHost::Loopback),
        range().prop_map(TargetHost::Addresses),
        pattern().prop_map(TargetHost::Name),
    ];
    (host, proptest::option::of(1u16..)).prop_map(|(host, port)| Target { host, port })
}

proptest! {
    #[test]
    fn what_is_shown_is_read_again(
        range in range(),
        pattern in pattern(),
        target in target(),
        (ip, port) in (address(), proptest::option::of(1u16..)),
        paths in "[a-z./-]{1,9}:[a-z./-]{1,9}",
        domains in proptest::collection::vec(pattern(), 0..3),
        (ttl, select, policy) in (proptest::option::of(0u64..1 << 50), 0usize..3, 0usize..5),
    ) {
        comes_back(&range);
        comes_back(&pattern);
        comes_back(&target);
        comes_back(&HostAddress { ip, port });
        let certificate: ClientCertificate = read(&paths);
        comes_back(&ClientCertificate { domains, ..certificate });
        comes_back(&Dns {
            ttl: ttl.map(Duration::from_nanos),
            select: [DnsSelect::First, DnsSelect::Random, DnsSelect::RoundRobin][select],
            policy: [
                DnsPolicy::PreferIpv4, DnsPolicy::PreferIpv6, DnsPolicy::OnlyIpv4, DnsPolicy::OnlyIpv6, DnsPolicy::Any,
            ][policy],
        });
    }

    #[test]
    fn no_text_makes_a_reader_panic_and_what_is_read_comes_back(
        text in "\\PC{0,24}|[0-9a-f:./*\\[\\]% =,-]{0,24}|ttl=[0-9a-z]{0,9},[a-z]{0,9}=|[a-z*.]{0,9}:[a-z0-9*:]{0,9}( for [a-z,.*]{0,9})?"
    ) {
        fn try_it<T: FromStr<Err = Error> + Display + Debug + PartialEq + Serialize + for<'de> Deserialize<'de>>(text: &str) {
            match text.parse::<T>() {
                Ok(value) => comes_back(&value),
                Err(error) => assert!(error.hint_text().is_some(), "{text:?}: {error}"),
            }
        }
        try_it::<HttpVersion>(&text);
        try_it::<TlsVersion>(&text);
        try_it::<TlsVersions>(&text);
        try_it::<ClientCertificate>(&text);
        try_it::<HostAddress>(&text);
        try_it::<Dns>(&text);
        try_it::<IpRange>(&text);
        try_it::<HostPattern>(&text);
        try_it::<Target>(&text);
        try_it::<CookiePolicy>(&text);
        try_it::<HttpDebug>(&text);
    }

    #[test]
    fn a_range_has_its_addresses_and_no_others(range in range(), n in any::<u128>(), other in address()) {
        prop_assert!(range.contains(range.first) && range.contains(range.last) && !range.is_empty());
        let nth = range.nth(n % range.len()).expect("within");
        prop_assert!(range.contains(nth));
        if range.len() < u128::MAX {
            prop_assert_eq!(range.nth(range.len()), None);
            prop_assert_eq!(range.nth(range.len() - 1), Some(range.last));
        }
        if other.is_ipv4() == range.first.is_ipv4() {
            let inside = other >= range.first && other <= range.last;
            let wrapped = range.contains(other.to_canonical());
            prop_assert!(range.contains(other) == inside || wrapped);
        }
    }
}

#[test]
fn every_word_comes_back_and_those_of_k6_are_read() {
    for version in [HttpVersion::Auto, HttpVersion::Http11, HttpVersion::Http2] {
        comes_back(&version);
    }
    for policy in [CookiePolicy::Iteration, CookiePolicy::Vu, CookiePolicy::Test, CookiePolicy::Off] {
        comes_back(&policy);
    }
    comes_back(&HttpDebug::Headers);
    comes_back(&HttpDebug::Full);
    let both = TlsVersions { min: TlsVersion::Tls12, max: TlsVersion::Tls13 };
    for (text, versions) in [
        ("1.2", TlsVersions { max: TlsVersion::Tls12, ..both }),
        ("tls1.3", TlsVersions { min: TlsVersion::Tls13, ..both }),
        ("tls1.2-tls1.3", both),
        (" 1.2 - 1.3 ", both),
    ] {
        assert_eq!(read::<TlsVersions>(text), versions, "{text}");
        comes_back(&versions);
    }
    let dns: Dns = read("ttl=0");
    assert_eq!(
        (dns.ttl, dns.select, dns.policy),
        (Some(Duration::ZERO), DnsSelect::Random, DnsPolicy::PreferIpv4)
    );
    assert_eq!(
        read::<Dns>("ttl=inf, select=round-robin").to_string(),
        "ttl=inf,select=roundRobin,policy=preferIPv4"
    );
    assert_eq!(Dns::default().to_string(), "ttl=5m,select=random,policy=preferIPv4");
}

#[test]
fn names_are_matched_in_any_case_with_and_without_the_roots_dot() {
    let matches = |pattern: &str, name: &str| read::<HostPattern>(pattern).matches(name);
    assert!(matches("Example.org", "eXample.ORG.") && matches("example.org.", "example.org"));
    assert!(!matches("example.org", "a.example.org") && !matches("example.org", "example.org.evil.test"));
    assert!(matches("*.example.org", "a.b.Example.org"));
    for name in ["example.org", ".example.org", "badexample.org", "a.example.org.evil.test", ""] {
        assert!(!matches("*.example.org", name), "{name}");
    }
    assert!(matches("*", "anything.test") && matches("*", "::1"));
    assert!(matches("xn--bcher-kva.example", "XN--bcher-kva.example"));
}

#[test]
fn an_address_of_ipv4_is_found_in_the_dress_of_ipv6() {
    let range: IpRange = read("10.0.0.0/8");
    assert!(range.contains(read_ip("::ffff:10.1.2.3")) && !range.contains(read_ip("::ffff:11.1.2.3")));
    let range: IpRange = read("::ffff:0:0/96");
    assert!(range.contains(read_ip("10.1.2.3")) && range.contains(read_ip("::ffff:10.1.2.3")));
    assert!(!range.contains(read_ip("::1")));
    assert_eq!(read::<IpRange>("10.0.0.8-10.0.0.15").to_string(), "10.0.0.8/29");
    assert_eq!(read::<IpRange>("::/0").len(), u128::MAX);
    assert_eq!(read::<IpRange>("0.0.0.0/0").nth(1 << 24), Some(read_ip("1.0.0.0")));
    assert_eq!(read::<IpRange>("10.0.0.1-10.0.0.9").len(), 9);
}

fn read_ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn targets_are_told_apart() {
    let shown = |text: &str| {
        let target: Target = read(text);
        let kind = match target.host {
            TargetHost::Loopback => "loopback",
            TargetHost::Addresses(_) => "addresses",
            TargetHost::Name(_) => "name",
        };
        format!("{kind} {target}")
    };
    for (text, expected) in [
        ("Loopback", "loopback loopback"),
        ("loopback:80", "loopback loopback:80"),
        ("10.0.0.0/8:443", "addresses 10.0.0.0/8:443"),
        ("127.0.0.1:*", "addresses 127.0.0.1"),
        ("::1", "addresses ::1"),
        ("[::1]", "addresses ::1"),
        ("[fe80::/10]:8080", "addresses [fe80::/10]:8080"),
        ("10.0.0.1-10.0.0.9:80", "addresses 10.0.0.1-10.0.0.9:80"),
        ("Example.org.:8080", "name example.org:8080"),
        ("*.example.org", "name *.example.org"),
        ("1-2.example.org", "name 1-2.example.org"),
        ("*:443", "name *:443"),
        ("localhost", "name localhost"),
    ] {
        assert_eq!(shown(text), expected);
    }
}

#[test]
fn mistakes_say_what_to_write() {
    assert!(
        told::<Target>("10.0.0.1/8")
            .ends_with("write `10.0.0.0/8` for the network, or `10.0.0.1` for the address")
    );
    assert!(told::<Target>("http://example.org:80/x").ends_with("write `example.org:80`"));
    assert!(told::<Target>("example.org:0").contains("is not a port"));
    assert!(told::<Target>("fe80::/10:80").contains("stands in brackets"));
    assert!(told::<Target>("[10.0.0.1]:80").ends_with("write `10.0.0.1:80`"));
    assert!(told::<Target>("10.0.0.300").contains("neither a name nor an address"));
    assert!(told::<HostPattern>("a.*.example.org").contains("`*.example.org`"));
    assert!(told::<HostPattern>("bücher.example").contains("`xn--…`"));
    assert!(told::<HostPattern>("a..b").contains("not the name of a host"));
    assert!(told::<IpRange>("10.0.0.9-10.0.0.1").ends_with("write `10.0.0.1-10.0.0.9`"));
    assert!(told::<IpRange>("10.0.0.1-::1").contains("one family"));
    assert!(told::<IpRange>("10.0.0.0/33").ends_with("write 0 to 32 behind the `/`"));
    assert!(told::<IpRange>("10.0.0.0/+8").contains("not a number of bits"));
    assert!(told::<HostAddress>("localhost").contains("is not an address"));
    assert!(told::<HostAddress>("127.0.0.1:0").contains("port 0"));
    assert!(told::<TlsVersions>("1.3-1.2").ends_with("write `1.2-1.3`"));
    assert!(told::<TlsVersions>("tls1.0").contains("TLS 1.0 is not spoken"));
    assert!(told::<ClientCertificate>("cert.pem").contains("names no key"));
    assert!(told::<ClientCertificate>("cert.pem:").contains("empty key"));
    assert!(told::<ClientCertificate>("a:b:c").contains("more than one `:`"));
    assert!(told::<ClientCertificate>("a:b for").contains("for no host"));
    assert!(told::<Dns>("ttl=5").contains("without a unit"));
    assert!(told::<Dns>("selct=first").ends_with("did you mean `select`?"));
    assert!(told::<Dns>("select=any").contains("`roundRobin`"));
    assert!(told::<Dns>("ttl=1s,ttl=2s").contains("given twice"));
}
