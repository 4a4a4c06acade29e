//! How the values of HTTP settings are written and shown: words, versions, files, `key=value`.
//!
//! Texts follow k6 where k6 has the same setting. What is shown is read again as the same value, and is also what
//! documents hold. Addresses and names are in [`super::address`]. No file is opened here.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    ClientCertificate, CookiePolicy, Dns, DnsPolicy, DnsSelect, HostAddress, HostPattern, HttpDebug,
    HttpVersion, IpRange, Target, TlsVersion, TlsVersions,
};
use crate::units::{format_duration, parse_duration};
use crate::{Error, suggest};

/// Documents hold the text of these.
macro_rules! stored_as_text {
    ($($value:ty),*) => { $(
        impl Serialize for $value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|error: Error| D::Error::custom(error.message()))
            }
        }
    )* };
}

stored_as_text!(
    HttpVersion,
    TlsVersion,
    TlsVersions,
    ClientCertificate,
    HostAddress,
    Dns,
    DnsSelect,
    DnsPolicy,
    IpRange,
    HostPattern,
    Target,
    CookiePolicy,
    HttpDebug
);

/// A value that is one of a few words; those behind `|` are read as well.
macro_rules! words {
    ($value:ident, $what:literal: $($word:literal $(| $other:literal)* => $variant:ident,)*) => {
        impl FromStr for $value {
            type Err = Error;

            #[doc = concat!("Reads ", $("`", $word, "`, ",)* "and no other word.")]
            fn from_str(text: &str) -> Result<Self, Error> {
                match text.trim() {
                    $( $word $(| $other)* => Ok($value::$variant), )*
                    "" => Err(Error::new(concat!("the ", $what, " is empty"))
                        .hint(suggest::hint("", [$($word),*]))),
                    other => Err(Error::new(format!(concat!("unknown ", $what, " `{}`"), other))
                        .hint(suggest::hint(other, [$($word),*]))),
                }
            }
        }

        impl fmt::Display for $value {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $( $value::$variant => $word, )* })
            }
        }
    };
}

words!(HttpVersion, "HTTP version":
    "auto" => Auto,
    "1.1" | "http/1.1" | "HTTP/1.1" => Http11,
    "2" | "2.0" | "h2" | "http/2" | "HTTP/2" => Http2,
);
words!(DnsSelect, "`select`":
    "first" => First,
    "random" => Random,
    "roundRobin" | "round-robin" => RoundRobin,
);
words!(DnsPolicy, "`policy`":
    "preferIPv4" => PreferIpv4,
    "preferIPv6" => PreferIpv6,
    "onlyIPv4" => OnlyIpv4,
    "onlyIPv6" => OnlyIpv6,
    "any" => Any,
);
words!(CookiePolicy, "cookie policy":
    "iteration" => Iteration,
    "vu" => Vu,
    "test" => Test,
    "off" => Off,
);
words!(HttpDebug, "`http_debug`":
    "headers" => Headers,
    "full" => Full,
);

impl FromStr for TlsVersion {
    type Err = Error;

    /// Reads `1.2` and `1.3`, and k6's `tls1.2` and `tls1.3`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        let number = lower.strip_prefix("tls").unwrap_or(&lower);
        match number.strip_prefix('v').unwrap_or(number) {
            "1.2" => Ok(TlsVersion::Tls12),
            "1.3" => Ok(TlsVersion::Tls13),
            "1.0" | "1.1" => {
                Err(Error::new(format!("TLS {} is not spoken: it is broken", number.trim_start_matches('v')))
                    .hint("write `1.2`, `1.3` or `1.2-1.3`"))
            }
            _ => {
                Err(Error::new(format!("unknown TLS version `{text}`"))
                    .hint("write `1.2`, `1.3` or `1.2-1.3`"))
            }
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsVersion::Tls12 => "1.2",
            TlsVersion::Tls13 => "1.3",
        })
    }
}

impl FromStr for TlsVersions {
    type Err = Error;

    /// Reads one version, `1.3`, or the oldest and the newest, `1.2-1.3`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        let (min, max): (TlsVersion, TlsVersion) = (min.parse()?, max.parse()?);
        if min > max {
            return Err(
                Error::new(format!("TLS {min} is newer than TLS {max}")).hint(format!("write `{max}-{min}`"))
            );
        }
        Ok(Self { min, max })
    }
}

impl fmt::Display for TlsVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { self.min.fmt(f) } else { write!(f, "{}-{}", self.min, self.max) }
    }
}

impl FromStr for ClientCertificate {
    type Err = Error;

    /// Reads `cert.pem:key.pem`, and `cert.pem:key.pem for example.org,*.example.net` for these hosts alone. The
    /// paths have no colon.
    fn from_str(text: &str) -> Result<Self, Error> {
        const EXAMPLE: &str = "write CERTIFICATE:KEY, for example `cert.pem:key.pem` or \
                               `cert.pem:key.pem for example.org,*.example.net`";
        let text = text.trim();
        let Some((certificate, rest)) = text.split_once(':') else {
            return Err(Error::new(format!("the client certificate `{text}` names no key")).hint(EXAMPLE));
        };
        let (key, domains) = match rest.rsplit_once(" for ") {
            Some((key, domains)) => (key, domains.split(',').map(str::parse).collect::<Result<_, _>>()?),
            None if rest.trim_end().ends_with(" for") => {
                return Err(
                    Error::new(format!("the client certificate `{text}` is for no host")).hint(EXAMPLE)
                );
            }
            None => (rest, Vec::new()),
        };
        let (certificate, key) = (certificate.trim(), key.trim());
        if certificate.is_empty() || key.is_empty() {
            let which = if key.is_empty() { "key" } else { "certificate" };
            return Err(
                Error::new(format!("the client certificate `{text}` has an empty {which}")).hint(EXAMPLE)
            );
        }
        if key.contains(':') {
            return Err(Error::new(format!("the client certificate `{text}` has more than one `:`"))
                .hint("one colon stands between the two paths, which have none of their own"));
        }
        Ok(Self { certificate: PathBuf::from(certificate), key: PathBuf::from(key), domains })
    }
}

impl fmt::Display for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.certificate.display(), self.key.display())?;
        for (n, domain) in self.domains.iter().enumerate() {
            write!(f, "{}{domain}", if n == 0 { " for " } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Dns {
    type Err = Error;

    /// Reads `ttl=5m,select=random,policy=preferIPv4` as k6 does; what is left out has its default. `ttl` is a
    /// duration, `inf`, or `0` for a look-up before each connection.
    fn from_str(text: &str) -> Result<Self, Error> {
        const EXAMPLE: &str = "write for example `ttl=5m,select=random,policy=preferIPv4`";
        let mut dns = Dns::default();
        let mut seen: Vec<&str> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(Error::new(format!("`{part}` is not of the form `key=value`")).hint(EXAMPLE));
            };
            let (key, value) = (key.trim(), value.trim());
            if seen.contains(&key) {
                return Err(Error::new(format!("`{key}` is given twice")).hint("leave one of them out"));
            }
            seen.push(key);
            match key {
                "ttl" if value == "inf" => dns.ttl = None,
                "ttl" => dns.ttl = Some(ttl(value)?),
                "select" => dns.select = value.parse()?,
                "policy" => dns.policy = value.parse()?,
                other => {
                    return Err(Error::new(format!("unknown key `{other}`"))
                        .hint(suggest::hint(other, ["ttl", "select", "policy"])));
                }
            }
        }
        Ok(dns)
    }
}

fn ttl(text: &str) -> Result<Duration, Error> {
    parse_duration(text).map_err(|error| match suggest::nearest(text, ["inf"]) {
        Some(_) => {
            Error::new(format!("the `ttl` `{text}` is no duration")).hint("write `inf` for the whole test")
        }
        None => error,
    })
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ttl = self.ttl.map_or_else(|| "inf".to_owned(), format_duration);
        write!(f, "ttl={ttl},select={},policy={}", self.select, self.policy)
    }
}
