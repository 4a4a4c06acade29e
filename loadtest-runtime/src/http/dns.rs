//! Names to addresses: overrides, the system's resolver behind a cache, and which addresses in which order.
//!
//! The cache is one per thread. While a name is being looked up, others that want it wait for the same answer: a
//! thousand users that start at once ask once, unless answers are not to be kept at all. A failure is kept for
//! a second at most, so that they do not ask a broken resolver one after another. What is kept is the resolver's
//! answer: how long it is good for, and which of its addresses are used, each question says anew.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::error::{ErrorKind, Failure};
use super::options::{Dns, DnsPolicy, DnsSelect, HostAddress};
use crate::clock::{self, Instant};

const KEEP_FAILURE: Duration = Duration::from_secs(1);
/// Names kept per thread. When full, the cache starts anew.
const CACHED: usize = 1024;

type Answer = Result<Rc<[IpAddr]>, Failure>;

thread_local! {
    static CACHE: Rc<Cache> = Rc::default();
}

/// The addresses of a name in the order in which they are to be tried, at least one.
pub(super) async fn resolve(host: &str, dns: &Dns) -> Result<Vec<IpAddr>, Failure> {
    CACHE.with(Rc::clone).resolve(host, dns, look_up).await
}

/// Where the settings say that a name leads: keys are names with or without a port, and `*.` with a name for
/// those below it. The longest key counts, one with a port before one without.
pub(super) fn overridden(
    hosts: &BTreeMap<String, HostAddress>,
    name: &str,
    port: u16,
) -> Option<HostAddress> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let matching = hosts.iter().filter_map(|(key, address)| {
        let (pattern, key_port) = match key.rsplit_once(':') {
            Some((pattern, digits)) => (pattern, Some(digits.parse::<u16>().ok()?)),
            None => (key.as_str(), None),
        };
        let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
        let suffix = pattern.strip_prefix('*');
        let matches = match suffix {
            Some(suffix) => name
                .len()
                .checked_sub(suffix.len())
                .filter(|start| *start > 0)
                .is_some_and(|start| name.as_bytes()[start..].eq_ignore_ascii_case(suffix.as_bytes())),
            None => name.eq_ignore_ascii_case(pattern),
        };
        let rank = (suffix.is_none(), pattern.len(), key_port.is_some());
        (matches && key_port.is_none_or(|key_port| key_port == port)).then_some((rank, *address))
    });
    matching.max_by_key(|(rank, _)| *rank).map(|(_, address)| address)
}

/// What a resolver said, per name.
#[derive(Default)]
struct Cache {
    names: RefCell<HashMap<Box<str>, Rc<Slot>>>,
    hasher: RandomState,
    drawn: Cell<u64>,
}

#[derive(Default)]
struct Slot {
    /// With the time of the question.
    answer: Mutex<Option<(Answer, Instant)>>,
    /// How often an address was asked for.
    turn: Cell<usize>,
}

impl Cache {
    async fn resolve(
        &self,
        host: &str,
        dns: &Dns,
        look_up: impl AsyncFnOnce(&str) -> Answer,
    ) -> Result<Vec<IpAddr>, Failure> {
        let slot = self.slot(host);
        let addresses = match dns.ttl {
            Some(Duration::ZERO) => look_up(host).await?,
            ttl => slot.answer(ttl, async || look_up(host).await).await?,
        };
        let turn = match dns.select {
            DnsSelect::First => 0,
            DnsSelect::RoundRobin => slot.turn.replace(slot.turn.get().wrapping_add(1)),
            DnsSelect::Random => self.draw(),
        };
        let ordered = order(&addresses, dns.policy, turn);
        if ordered.is_empty() {
            let family = if dns.policy == DnsPolicy::OnlyIpv6 { "IPv6" } else { "IPv4" };
            let text = format!("cannot resolve `{host}`: it has no address of {family}");
            let failure = Failure::new(ErrorKind::HostNotFound, text);
            return Err(failure.with_hint("allow the other family with `dns = \"policy=any\"`"));
        }
        Ok(ordered)
    }

    fn slot(&self, host: &str) -> Rc<Slot> {
        let mut names = self.names.borrow_mut();
        if let Some(slot) = names.get(host) {
            return Rc::clone(slot);
        }
        if names.len() >= CACHED {
            names.clear();
        }
        Rc::clone(names.entry(host.into()).or_default())
    }

    /// A number that nothing else depends on: the keys of a hasher are random.
    fn draw(&self) -> usize {
        let drawn = self.drawn.replace(self.drawn.get().wrapping_add(1));
        (self.hasher.hash_one(drawn) >> 16) as usize
    }
}

impl Slot {
    async fn answer(&self, ttl: Option<Duration>, look_up: impl AsyncFnOnce() -> Answer) -> Answer {
        // Held during the look-up: whoever wants the same name waits here.
        let mut entry = self.answer.lock().await;
        if let Some((answer, asked)) = &*entry {
            let keep = match answer {
                Ok(_) => ttl,
                Err(_) => Some(ttl.unwrap_or(KEEP_FAILURE).min(KEEP_FAILURE)),
            };
            if keep.is_none_or(|keep| clock::now().saturating_duration_since(*asked) < keep) {
                return answer.clone();
            }
        }
        let answer = look_up().await;
        *entry = Some((answer.clone(), clock::now()));
        answer
    }
}

/// The addresses that the policy lets through, from the one whose turn it is on. Where one family is only
/// preferred, the other comes after it.
fn order(addresses: &[IpAddr], policy: DnsPolicy, turn: usize) -> Vec<IpAddr> {
    let from_turn = |wanted: fn(&IpAddr) -> bool| {
        let mut family: Vec<IpAddr> = addresses.iter().copied().filter(wanted).collect();
        if !family.is_empty() {
            let start = turn % family.len();
            family.rotate_left(start);
        }
        family
    };
    let (v4, v6) = (|| from_turn(IpAddr::is_ipv4), || from_turn(IpAddr::is_ipv6));
    match policy {
        DnsPolicy::Any => from_turn(|_| true),
        DnsPolicy::OnlyIpv4 => v4(),
        DnsPolicy::OnlyIpv6 => v6(),
        DnsPolicy::PreferIpv4 => [v4(), v6()].concat(),
        DnsPolicy::PreferIpv6 => [v6(), v4()].concat(),
    }
}

async fn look_up(host: &str) -> Answer {
    let found = tokio::net::lookup_host((host, 0)).await.map_err(|error| failure(host, &error))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    if addresses.is_empty() {
        let text = format!("cannot resolve `{host}`: it has no address");
        return Err(Failure::new(ErrorKind::HostNotFound, text));
    }
    Ok(addresses.into())
}

fn failure(host: &str, error: &io::Error) -> Failure {
    // The standard library gives the resolver's own text and no code: these are glibc's and musl's, macOS' and
    // BSD's, and the Windows code WSAHOST_NOT_FOUND.
    const NOT_FOUND: [&str; 5] = [
        "Name or service not known",
        "Name does not resolve",
        "No address associated",
        "nodename nor servname",
        "No such host",
    ];
    let text = error.to_string();
    let not_found = error.raw_os_error() == Some(11001) || NOT_FOUND.iter().any(|part| text.contains(part));
    let kind = if not_found { ErrorKind::HostNotFound } else { ErrorKind::Dns };
    Failure::new(kind, format!("cannot resolve `{host}`: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn dns(ttl: Option<u64>, select: DnsSelect) -> Dns {
        Dns { ttl: ttl.map(Duration::from_secs), select, policy: DnsPolicy::Any }
    }

    /// Resolves a name that has three addresses; counts how often a resolver is asked.
    async fn ask(cache: &Cache, dns: &Dns, asked: &Cell<usize>) -> IpAddr {
        let look_up = async |_: &str| {
            asked.set(asked.get() + 1);
            tokio::task::yield_now().await;
            Ok(addresses(&V4).into())
        };
        cache.resolve("x", dns, look_up).await.unwrap()[0]
    }

    #[test]
    fn the_resolvers_words_are_told_apart() {
        for (text, kind) in [
            ("failed to lookup address information: Name or service not known", ErrorKind::HostNotFound),
            ("failed to lookup address information: nodename nor servname provided", ErrorKind::HostNotFound),
            ("failed to lookup address information: Temporary failure in name resolution", ErrorKind::Dns),
        ] {
            let failure = failure("x", &io::Error::other(text));
            assert_eq!(failure.kind, kind);
            assert!(failure.text.contains("`x`"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_kept_for_their_time() {
        let (cache, asked) = (Cache::default(), Cell::new(0));
        let kept = dns(Some(60), DnsSelect::First);
        ask(&cache, &kept, &asked).await;
        tokio::time::advance(Duration::from_secs(59)).await;
        ask(&cache, &kept, &asked).await;
        assert_eq!(asked.get(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        ask(&cache, &kept, &asked).await;
        assert_eq!(asked.get(), 2);
        tokio::time::advance(Duration::from_secs(1 << 30)).await;
        ask(&cache, &dns(None, DnsSelect::First), &asked).await;
        assert_eq!(asked.get(), 2, "the whole test");
        for _ in 0..3 {
            ask(&cache, &dns(Some(0), DnsSelect::First), &asked).await;
        }
        assert_eq!(asked.get(), 5, "each time");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_kept_for_a_second() {
        let (cache, asked) = (Cache::default(), Cell::new(0));
        let ask = async || {
            let look_up = async |_: &str| {
                asked.set(asked.get() + 1);
                Err(Failure::new(ErrorKind::Dns, "broken"))
            };
            cache.resolve("x", &dns(None, DnsSelect::First), look_up).await.unwrap_err()
        };
        ask().await;
        ask().await;
        assert_eq!(asked.get(), 1);
        tokio::time::advance(KEEP_FAILURE).await;
        ask().await;
        assert_eq!(asked.get(), 2);
    }

    #[tokio::test]
    async fn who_asks_at_once_asks_once() {
        let (cache, asked) = (Cache::default(), Cell::new(0));
        let kept = dns(Some(60), DnsSelect::RoundRobin);
        let (a, b) = tokio::join!(ask(&cache, &kept, &asked), ask(&cache, &kept, &asked));
        assert_eq!((asked.get(), [a, b].to_vec()), (1, addresses(&V4[..2])));
    }

    #[tokio::test]
    async fn which_address_is_first() {
        let (cache, asked) = (Cache::default(), Cell::new(0));
        for _ in 0..4 {
            let first = ask(&cache, &dns(None, DnsSelect::First), &asked).await;
            assert_eq!(first, addresses(&V4)[0]);
        }
        let mut turns = Vec::new();
        for _ in 0..4 {
            turns.push(ask(&cache, &dns(None, DnsSelect::RoundRobin), &asked).await);
        }
        assert_eq!(turns, addresses(&[V4[0], V4[1], V4[2], V4[0]]));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..300 {
            seen.insert(ask(&cache, &dns(None, DnsSelect::Random), &asked).await);
        }
        assert_eq!(seen.len(), 3, "300 draws miss one of three addresses once in 10^52 times");
    }

    #[tokio::test]
    async fn policies() {
        let mixed = ["::1", "10.0.0.1", "::2", "10.0.0.2"];
        for (policy, turn, ordered) in [
            (DnsPolicy::Any, 0, &mixed[..]),
            (DnsPolicy::Any, 3, &["10.0.0.2", "::1", "10.0.0.1", "::2"]),
            (DnsPolicy::PreferIpv4, 1, &["10.0.0.2", "10.0.0.1", "::2", "::1"]),
            (DnsPolicy::PreferIpv6, 0, &["::1", "::2", "10.0.0.1", "10.0.0.2"]),
            (DnsPolicy::OnlyIpv4, 0, &["10.0.0.1", "10.0.0.2"]),
            (DnsPolicy::OnlyIpv6, 1, &["::2", "::1"]),
        ] {
            assert_eq!(order(&addresses(&mixed), policy, turn), addresses(ordered), "{policy:?}");
        }
        let only = Dns { policy: DnsPolicy::OnlyIpv6, ..Dns::default() };
        let look_up = async |_: &str| Ok(addresses(&V4).into());
        let failure = Cache::default().resolve("x", &only, look_up).await.unwrap_err();
        assert_eq!(failure.kind, ErrorKind::HostNotFound);
        assert!(failure.text.contains("IPv6"));
    }

    #[test]
    fn overrides() {
        let hosts: BTreeMap<String, HostAddress> = [
            ("api.example.org", "10.0.0.1"),
            ("api.example.org:8443", "10.0.0.2:443"),
            ("*.example.org", "10.0.0.3"),
            ("*.b.example.org", "10.0.0.4"),
        ]
        .map(|(key, value)| (key.to_owned(), value.parse().unwrap()))
        .into();
        let ip = |name, port| overridden(&hosts, name, port).map(|address| address.to_string());
        assert_eq!(ip("API.example.org.", 80).as_deref(), Some("10.0.0.1"));
        assert_eq!(ip("api.example.org", 8443).as_deref(), Some("10.0.0.2:443"));
        assert_eq!(ip("a.example.org", 80).as_deref(), Some("10.0.0.3"));
        assert_eq!(ip("a.b.example.org", 80).as_deref(), Some("10.0.0.4"));
        assert_eq!(ip("example.org", 80), None);
        assert_eq!(ip("badexample.org", 80), None);
    }

    #[tokio::test]
    async fn the_cache_is_bounded() {
        let cache = Cache::default();
        for i in 0..2 * CACHED {
            cache.slot(&i.to_string());
        }
        assert!(cache.names.borrow().len() <= CACHED);
    }
}
