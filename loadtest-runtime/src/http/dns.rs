//! Names to addresses: the system's resolver, with a cache of five minutes, as k6 has.
//!
//! The cache is one per thread. While a name is being looked up, others that want it wait for the same answer:
//! a thousand users that start at once ask once. A failure is kept for a second, so that they do not ask a
//! broken resolver one after another. IPv4 addresses come first.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::error::{ErrorKind, Failure};

const KEEP: Duration = Duration::from_secs(300);
const KEEP_FAILURE: Duration = Duration::from_secs(1);
/// Names kept per thread. When full, the cache starts anew.
const CACHED: usize = 1024;

type Answer = Result<Rc<[IpAddr]>, Failure>;

#[derive(Default)]
struct Slot {
    answer: Mutex<Option<(Answer, Instant)>>,
}

thread_local! {
    static CACHE: RefCell<HashMap<Box<str>, Rc<Slot>>> = RefCell::default();
}

/// The addresses of a name, at least one.
pub(super) async fn resolve(host: &str) -> Answer {
    let cached = CACHE.with_borrow(|cache| cache.get(host).cloned());
    let slot = cached.unwrap_or_else(|| {
        CACHE.with_borrow_mut(|cache| {
            if cache.len() >= CACHED {
                cache.clear();
            }
            Rc::clone(cache.entry(host.into()).or_default())
        })
    });
    // Held during the look-up: whoever wants the same name waits here.
    let mut entry = slot.answer.lock().await;
    if let Some((answer, expires)) = &*entry
        && Instant::now() < *expires
    {
        return answer.clone();
    }
    let answer = look_up(host).await;
    let keep = if answer.is_ok() { KEEP } else { KEEP_FAILURE };
    *entry = Some((answer.clone(), Instant::now() + keep));
    answer
}

async fn look_up(host: &str) -> Answer {
    let addresses = tokio::net::lookup_host((host, 0)).await.map_err(|error| failure(host, &error))?;
    let mut addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.dedup();
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
}
