//! [`Target`]: a URL taken apart once, with all that a request needs of it.
//!
//! Besides http and https URLs there are those of sockets of the file system, `http+unix://%2Frun%2Fapp.sock/path`,
//! whose host is the socket's path, percent-encoded.
//!
//! Targets are cached per thread, so that a test which calls the same URLs again parses and allocates nothing.
//! A test whose URLs never repeat pays one parse per request, as it would without a cache.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::http::HeaderValue;
use ::http::uri::PathAndQuery;
use url::{Host, Position, Url};

use super::error::{ErrorKind, Failure};
use super::route;
use crate::hash::BuildQuick;

/// Targets kept per thread. When full, the cache starts anew.
const CACHED: usize = 1024;

thread_local! {
    static CACHE: RefCell<HashMap<Box<str>, Arc<Target>, BuildQuick>> = RefCell::default();
}

/// An absolute http, https or http+unix URL, taken apart.
#[derive(Debug)]
pub(super) struct Target {
    /// Without credentials and fragment.
    pub(super) url: Url,
    /// The default name tag.
    pub(super) name: Box<str>,
    pub(super) https: bool,
    pub(super) port: u16,
    pub(super) path_and_query: PathAndQuery,
    pub(super) host_header: HeaderValue,
    /// Basic authorization from credentials in the URL.
    pub(super) authorization: Option<HeaderValue>,
    /// The socket of the file system that is connected to, instead of the host.
    pub(super) unix: Option<PathBuf>,
    /// The http URL that stands for that of a socket in the cookie jar, which knows no others.
    cookie_url: Option<Url>,
}

impl Target {
    /// The target of a URL, from the cache if it was seen before.
    pub(super) fn get(text: &str) -> Result<Arc<Self>, Failure> {
        if let Some(target) = CACHE.with_borrow(|cache| cache.get(text).cloned()) {
            return Ok(target);
        }
        let url = Url::parse(text).map_err(|error| unparsed(text, error))?;
        let target = Arc::new(Self::new(url)?);
        CACHE.with_borrow_mut(|cache| {
            if cache.len() >= CACHED {
                cache.clear();
            }
            cache.insert(text.into(), Arc::clone(&target));
        });
        Ok(target)
    }

    /// The target of a parsed URL.
    pub(super) fn new(mut url: Url) -> Result<Self, Failure> {
        let (https, unix) = match url.scheme() {
            "http" => (false, None),
            "https" => (true, None),
            "http+unix" => (false, Some(socket_path(&url)?)),
            other => {
                let text = format!("invalid url: the scheme `{other}` is not http, https or http+unix");
                let failure = Failure::new(ErrorKind::InvalidUrl, text);
                return Err(match other {
                    "ws" | "wss" => failure.with_hint(
                        "open a WebSocket session with vu.websocket(..), of the feature `websocket`",
                    ),
                    _ => failure,
                });
            }
        };
        let invalid = |what: &str| Failure::new(ErrorKind::InvalidUrl, format!("invalid url: {what}"));
        let authorization = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let user = percent_decode(url.username());
            let password = percent_decode(url.password().unwrap_or_default());
            basic_authorization(&user, &password)
        });
        // These fail only for URLs that can have no host, and http URLs always have one.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        if url.path().is_empty() {
            url.set_path("/");
        }
        let default_port = unix.is_some().then_some(80);
        let port = url.port_or_known_default().or(default_port).ok_or_else(|| invalid("no port"))?;
        if port == 0 {
            return Err(invalid("port 0"));
        }
        let host_header = match &unix {
            Some(_) => Ok(HeaderValue::from_static("localhost")),
            None => HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]),
        };
        let host_header =
            host_header.map_err(|_| invalid("the host has characters that a header cannot hold"))?;
        let path_and_query = PathAndQuery::try_from(&url[Position::BeforePath..Position::AfterQuery])
            .map_err(|error| invalid(&error.to_string()))?;
        let name = route::template(url.path());
        let cookie_url = unix.as_deref().map(|path| cookie_url(path, &url)).transpose()?;
        Ok(Self { name, https, port, path_and_query, host_header, authorization, url, unix, cookie_url })
    }

    /// The target with more query pairs, already encoded, at the end.
    pub(super) fn with_query(&self, encoded: &str) -> Result<Self, Failure> {
        let mut url = self.url.clone();
        let query = match url.query() {
            Some(query) if !query.is_empty() => format!("{query}&{encoded}"),
            _ => encoded.to_owned(),
        };
        url.set_query(Some(&query));
        Ok(Self { authorization: self.authorization.clone(), ..Self::new(url)? })
    }

    /// The target of a `Location` header.
    pub(super) fn join(&self, location: &HeaderValue) -> Result<Self, Failure> {
        let invalid =
            |what: String| Failure::new(ErrorKind::InvalidUrl, format!("invalid redirect location: {what}"));
        let text =
            std::str::from_utf8(location.as_bytes()).map_err(|_| invalid("it is not UTF-8".to_owned()))?;
        let url = self.url.join(text).map_err(|error| invalid(error.to_string()))?;
        let mut target = Self::new(url).map_err(|failure| invalid(failure.text.into_owned()))?;
        if target.unix.is_some() && target.unix != self.unix {
            // A server may send its clients anywhere but into the machine that they run on.
            return Err(invalid("a redirect may not lead to a socket of the file system".to_owned()));
        }
        if target.authorization.is_none() && target.same_origin(self) {
            // Credentials of a URL hold for its origin, as in browsers.
            target.authorization.clone_from(&self.authorization);
        }
        Ok(target)
    }

    /// The URL without its query, which may hold secrets: for what is shown and stored.
    pub(super) fn shown_url(&self) -> &str {
        &self.url[..Position::AfterPath]
    }

    /// The host, for connecting.
    pub(super) fn host(&self) -> Host<&str> {
        // A target is made only of http URLs, which always have a host.
        self.url.host().unwrap_or(Host::Domain(""))
    }

    /// The URL for the cookie jar.
    pub(super) fn cookie_url(&self) -> &Url {
        self.cookie_url.as_ref().unwrap_or(&self.url)
    }

    /// Whether both have the same scheme, host and port, or socket.
    pub(super) fn same_origin(&self, other: &Self) -> bool {
        self.https == other.https
            && self.port == other.port
            && self.unix == other.unix
            && (self.unix.is_some() || self.url.host_str() == other.url.host_str())
    }
}

/// What is wrong with a text that is no URL.
fn unparsed(text: &str, error: url::ParseError) -> Failure {
    let failure = Failure::new(ErrorKind::InvalidUrl, format!("invalid url: {error}"));
    let path = route::raw_template(text);
    if error == url::ParseError::RelativeUrlWithoutBase && path.starts_with('/') {
        let hint = "write an absolute URL, such as http://127.0.0.1:8080/seats";
        return failure.with_hint(format!("{hint}, or one of the test's service: service.url({path:?})"));
    }
    failure
}

/// The path that the host of an http+unix URL is.
fn socket_path(url: &Url) -> Result<PathBuf, Failure> {
    let invalid = |what: &str| {
        let failure = Failure::new(ErrorKind::InvalidUrl, format!("invalid url: {what}"));
        failure.with_hint("write the socket's path percent-encoded: http+unix://%2Frun%2Fapp.sock/path")
    };
    let path = percent_decode(url.host_str().unwrap_or_default());
    if path.is_empty() || path.contains(&0) {
        return Err(invalid("the host is not the path of a socket"));
    }
    if url.port().is_some() {
        return Err(invalid("a socket of the file system has no port"));
    }
    #[cfg(unix)]
    return Ok(PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(path)));
    #[cfg(not(unix))]
    return String::from_utf8(path).map(PathBuf::from).map_err(|_| invalid("the socket's path is not UTF-8"));
}

/// A URL whose host no other socket has, with the path and query of `url`.
fn cookie_url(socket: &Path, url: &Url) -> Result<Url, Failure> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    // Good for one process, as the jar is.
    let mut hasher = DefaultHasher::new();
    socket.hash(&mut hasher);
    let path = &url[Position::BeforePath..Position::AfterQuery];
    Url::parse(&format!("http://socket-{:016x}.localhost{path}", hasher.finish()))
        .map_err(|error| Failure::new(ErrorKind::InvalidUrl, format!("invalid url: {error}")))
}

/// The value of an `Authorization` header of the scheme Basic (RFC 7617).
pub(super) fn basic_authorization(user: &[u8], password: &[u8]) -> HeaderValue {
    let credentials = [user, b":", password].concat();
    let text = format!("Basic {}", base64(&credentials));
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// RFC 4648, section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let sextet = (group >> (18 - 6 * i)) & 0x3f;
            out.push(if i <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    out
}

/// RFC 3986, section 2.1; a `%` without two digits stands for itself.
pub(super) fn percent_decode(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let [first, tail @ ..] = rest {
        let decoded = match (first, digit(tail.first()), digit(tail.get(1))) {
            (b'%', Some(high), Some(low)) => u8::try_from(high << 4 | low).ok(),
            _ => None,
        };
        out.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::get("http://al%20ice:p%C3%A9%@Example.org:8080/a/9?q=1#part").unwrap();
        assert_eq!(target.url.as_str(), "http://example.org:8080/a/9?q=1");
        assert_eq!(&*target.name, "/a/{id}");
        assert_eq!(target.host_header, "example.org:8080");
        assert_eq!(target.path_and_query, "/a/9?q=1");
        assert_eq!(target.authorization, Some(basic_authorization(b"al ice", "pé%".as_bytes())));
        let more = target.with_query("b=2").unwrap();
        assert_eq!(more.path_and_query, "/a/9?q=1&b=2");
        assert_eq!(more.authorization, target.authorization);
        assert!(more.same_origin(&target));
        assert!(!Target::get("https://example.org:8080/").unwrap().same_origin(&target));
        assert_eq!(Target::get("https://[::1]/").unwrap().host_header, "[::1]");
    }

    #[test]
    fn what_is_no_http_url_says_why() {
        for (text, part, hint) in [
            ("/seats", "service.url(\"/seats\")"),
            ("/seats?key=secret", "service.url(\"/seats\")"),
            ("ws://x/", "vu.websocket(..)"),
        ]
        .map(|(text, hint)| (text, "invalid url", hint))
        {
            let failure = Target::get(text).unwrap_err();
            let own = failure.hint.as_deref().unwrap();
            assert!(failure.text.contains(part) && own.contains(hint), "{text}: {failure:?}");
        }
        for (text, part) in [
            ("/seats", "relative URL"),
            ("localhost:8080/x", "scheme `localhost`"),
            ("ftp://x/", "scheme `ftp`"),
            ("http://", "empty host"),
            ("http://x:0/", "port 0"),
            ("http://x:99999/", "port"),
        ] {
            let failure = Target::get(text).unwrap_err();
            assert_eq!(failure.kind, ErrorKind::InvalidUrl);
            assert!(failure.text.contains(part), "{text}: {}", failure.text);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_of_the_file_system_is_an_origin() {
        let target = Target::get("http+unix://%2Frun%2FMy%20app.sock/seats/9?q=1").unwrap();
        assert_eq!(target.unix.as_deref(), Some(Path::new("/run/My app.sock")));
        assert_eq!((target.path_and_query.as_str(), &*target.name), ("/seats/9?q=1", "/seats/{id}"));
        assert_eq!((target.host_header.to_str().unwrap(), target.https), ("localhost", false));
        let here = target.join(&HeaderValue::from_static("/x")).unwrap();
        assert_eq!((here.unix.clone(), here.path_and_query.as_str()), (target.unix.clone(), "/x"));
        assert!(here.same_origin(&target) && here.cookie_url().host() == target.cookie_url().host());
        let other = Target::get("http+unix://%2Frun%2Fother.sock").unwrap();
        assert_eq!(other.path_and_query, "/");
        assert!(!other.same_origin(&target) && other.cookie_url().host() != target.cookie_url().host());
        let there = target.join(&HeaderValue::from_static("http://localhost/x")).unwrap();
        assert!(there.unix.is_none() && !there.same_origin(&target));
        // A server may not reach into the file system, but for the socket that it is behind.
        let elsewhere = HeaderValue::from_static("http+unix://%2Frun%2Fother.sock/x");
        for from in [&target, &there] {
            let failure = from.join(&elsewhere).unwrap_err();
            assert_eq!(failure.kind, ErrorKind::InvalidUrl);
            assert!(failure.text.contains("may not lead to a socket of the file system"), "{}", failure.text);
        }
        let same = target.join(&HeaderValue::from_static("http+unix://%2Frun%2FMy%20app.sock/y")).unwrap();
        assert!(same.same_origin(&target));
        for text in
            ["http+unix:///x", "http+unix://%2Fa%00b/", "http+unix://%2Fa.sock:80/", "https+unix://%2Fa/"]
        {
            assert_eq!(Target::get(text).unwrap_err().kind, ErrorKind::InvalidUrl, "{text}");
        }
    }

    #[test]
    fn base64_pads() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        for i in 0..3 * CACHED {
            Target::get(&format!("http://x/{i}")).unwrap();
        }
        assert!(CACHE.with_borrow(|cache| cache.len()) <= CACHED);
    }
}
