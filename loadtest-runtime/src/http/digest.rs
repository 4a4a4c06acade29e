//! HTTP Digest authentication (RFC 7616, and RFC 2617 before it): the challenge, and the answer to it.
//!
//! The main types are [`Credentials`], which a request has, and [`Sessions`], which a client has: the first request
//! is challenged, later ones of the same origin and user bring their answer along, with a count that goes up. MD5 and
//! SHA-256, with and without `-sess`; `auth`, `auth-int` for bodies in memory, and the old answer without a quality of
//! protection. Other algorithms are not answered: the 401 is then the response.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use ::http::header::WWW_AUTHENTICATE;
use ::http::{HeaderMap, HeaderValue};
use md5::Digest as _;

use super::target::Target;
use super::transport::Payload;

/// A user and a password.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// The challenges that a client has answered.
#[derive(Default)]
pub(super) struct Sessions {
    by_origin: RefCell<HashMap<(String, String), Session>>,
}

/// A challenge, and how often it was answered.
struct Session {
    challenge: Challenge,
    cnonce: String,
    count: u32,
}

/// A request, as far as the answer depends on it.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    /// The path and query, as they are sent.
    pub(super) uri: &'a str,
    pub(super) body: &'a Payload,
}

impl Sessions {
    /// The answer to what the origin asked for last, if it did.
    pub(super) fn answer(
        &self,
        target: &Target,
        credentials: &Credentials,
        asked: &Asked<'_>,
    ) -> Option<HeaderValue> {
        let mut sessions = self.by_origin.borrow_mut();
        let session = sessions.get_mut(&key(target, credentials))?;
        session.count = session.count.wrapping_add(1);
        let text = session.challenge.answer(credentials, asked, &session.cnonce, session.count)?;
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Takes a challenge; whether it can be answered. `answered` says that the request brought an answer: then it is
    /// repeated only where the server says that the nonce was stale, or asks for another realm; else the credentials
    /// are wrong.
    pub(super) fn challenged(
        &self,
        target: &Target,
        credentials: &Credentials,
        headers: &HeaderMap,
        answered: bool,
        body: &Payload,
    ) -> bool {
        let mut offered =
            headers.get_all(WWW_AUTHENTICATE).iter().flat_map(|value| Challenge::parse(value.as_bytes()));
        // In the order of the server's preference (RFC 7616, section 3.7).
        let Some(challenge) = offered.find(|challenge| challenge.protection(body).is_some()) else {
            return false;
        };
        let mut sessions = self.by_origin.borrow_mut();
        let key = key(target, credentials);
        let same_realm = sessions.get(&key).is_some_and(|session| session.challenge.realm == challenge.realm);
        if answered && same_realm && !challenge.stale {
            sessions.remove(&key);
            return false;
        }
        sessions.insert(key, Session { challenge, cnonce: nonce(), count: 0 });
        true
    }
}

fn key(target: &Target, credentials: &Credentials) -> (String, String) {
    let scheme = if target.https { "https" } else { "http" };
    let host = target.url.host_str().unwrap_or_default();
    (format!("{scheme}://{host}:{}", target.port), credentials.user.clone())
}

/// 128 bits that nobody can know: the standard library keys its hashes with what the system draws.
fn nonce() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// A hash function of the RFC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    /// The hash, in hexadecimal digits.
    fn hash(self, data: &[u8]) -> String {
        match self {
            Algorithm::Md5 => hex(&md5::Md5::digest(data)),
            Algorithm::Sha256 => hex(&sha2::Sha256::digest(data)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the answer protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protection {
    /// The request line, without a count: RFC 2069.
    Legacy,
    Auth,
    /// The body too.
    AuthInt,
}

/// What a server asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// As the server wrote it; sent back so.
    algorithm_text: Option<String>,
    session: bool,
    auth: bool,
    auth_int: bool,
    /// Whether any quality of protection was offered.
    qop: bool,
    stale: bool,
    userhash: bool,
}

impl Challenge {
    /// The Digest challenges of a `WWW-Authenticate` header that are understood.
    fn parse(header: &[u8]) -> Vec<Self> {
        let text = String::from_utf8_lossy(header);
        let all = challenges(&text).into_iter();
        let digests = all.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("digest"));
        digests.filter_map(|(_, parameters)| Self::of(&parameters)).collect()
    }

    fn of(parameters: &[(String, String)]) -> Option<Self> {
        let find = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        let is_true = |name: &str| find(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let algorithm_text = find("algorithm");
        let (algorithm, session) = match algorithm_text.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("md5") => (Algorithm::Md5, false),
            Some("md5-sess") => (Algorithm::Md5, true),
            Some("sha-256") => (Algorithm::Sha256, false),
            Some("sha-256-sess") => (Algorithm::Sha256, true),
            Some(_) => return None,
        };
        let qop = find("qop");
        let offers = |name: &str| {
            let offered = qop.as_deref().unwrap_or_default().split(',');
            offered.into_iter().any(|value| value.trim().eq_ignore_ascii_case(name))
        };
        Some(Self {
            realm: find("realm")?,
            nonce: find("nonce")?,
            opaque: find("opaque"),
            algorithm,
            session,
            auth: offers("auth"),
            auth_int: offers("auth-int"),
            qop: qop.is_some(),
            stale: is_true("stale"),
            userhash: is_true("userhash"),
            algorithm_text,
        })
    }

    /// How a request with this body can be protected, if it can.
    fn protection(&self, body: &Payload) -> Option<Protection> {
        match (self.qop, self.auth, self.auth_int, body) {
            // A session can't be without the client's nonce, which the old answer has not.
            (false, ..) => (!self.session).then_some(Protection::Legacy),
            (true, true, ..) => Some(Protection::Auth),
            (true, false, true, Payload::Bytes(_)) => Some(Protection::AuthInt),
            (true, ..) => None,
        }
    }

    /// The value of the `Authorization` header (RFC 7616, section 3.4).
    fn answer(
        &self,
        credentials: &Credentials,
        asked: &Asked<'_>,
        cnonce: &str,
        count: u32,
    ) -> Option<String> {
        let Credentials { user, password } = credentials;
        let Asked { method, uri, body } = asked;
        let hash = |text: &str| self.algorithm.hash(text.as_bytes());
        let protection = self.protection(body)?;
        let (realm, nonce) = (&self.realm, &self.nonce);
        let mut a1 = hash(&format!("{user}:{realm}:{password}"));
        if self.session {
            a1 = hash(&format!("{a1}:{nonce}:{cnonce}"));
        }
        let a2 = match (protection, body) {
            (Protection::AuthInt, Payload::Bytes(bytes)) => {
                hash(&format!("{method}:{uri}:{}", self.algorithm.hash(bytes)))
            }
            _ => hash(&format!("{method}:{uri}")),
        };
        let qop = match protection {
            Protection::Legacy => None,
            Protection::Auth => Some("auth"),
            Protection::AuthInt => Some("auth-int"),
        };
        let response = match qop {
            Some(qop) => hash(&format!("{a1}:{nonce}:{count:08x}:{cnonce}:{qop}:{a2}")),
            None => hash(&format!("{a1}:{nonce}:{a2}")),
        };
        let mut text = String::from("Digest ");
        if self.userhash {
            text.push_str(&format!("username=\"{}\"", hash(&format!("{user}:{realm}"))));
        } else if user.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            text.push_str(&format!("username=\"{}\"", quoted(user)));
        } else {
            text.push_str(&format!("username*=UTF-8''{}", percent_encode(user)));
        }
        text.push_str(&format!(", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\"", quoted(realm), quoted(nonce)));
        text.push_str(&format!(", response=\"{response}\""));
        if let Some(algorithm) = &self.algorithm_text {
            text.push_str(&format!(", algorithm={algorithm}"));
        }
        if let Some(opaque) = &self.opaque {
            text.push_str(&format!(", opaque=\"{}\"", quoted(opaque)));
        }
        if let Some(qop) = qop {
            text.push_str(&format!(", qop={qop}, nc={count:08x}, cnonce=\"{cnonce}\""));
        }
        if self.userhash {
            text.push_str(", userhash=true");
        }
        Some(text)
    }
}

/// The content of a quoted string (RFC 9110, section 5.6.4).
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The extended notation of a parameter (RFC 8187, section 3.2.1).
fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The challenges of a header, each its scheme and its parameters (RFC 9110, section 11.6.1). Commas separate both
/// parameters and challenges: a token that no `=` follows begins a challenge.
fn challenges(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let bytes = text.as_bytes();
    let skip = |mut at: usize, of: &[u8]| {
        while bytes.get(at).is_some_and(|byte| of.contains(byte)) {
            at += 1;
        }
        at
    };
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut at = 0;
    loop {
        at = skip(at, b" \t,");
        let start = at;
        while bytes.get(at).copied().is_some_and(is_token) {
            at += 1;
        }
        if at == start {
            // The end, or something that is none of this: what was read so far stands.
            return found;
        }
        let token = text[start..at].to_owned();
        let equals = skip(at, b" \t");
        if bytes.get(equals) != Some(&b'=') {
            found.push((token, Vec::new()));
            continue;
        }
        at = skip(equals + 1, b" \t");
        let mut value = Vec::new();
        if bytes.get(at) == Some(&b'"') {
            at += 1;
            loop {
                match (bytes.get(at), bytes.get(at + 1)) {
                    (Some(b'"'), _) => break at += 1,
                    (Some(b'\\'), Some(escaped)) => {
                        value.push(*escaped);
                        at += 2;
                    }
                    (Some(byte), _) => {
                        value.push(*byte);
                        at += 1;
                    }
                    (None, _) => return found,
                }
            }
        } else {
            while let Some(&byte) = bytes.get(at)
                && !b" \t,".contains(&byte)
            {
                value.push(byte);
                at += 1;
            }
        }
        if let Some((_, parameters)) = found.last_mut() {
            parameters.push((token, String::from_utf8_lossy(&value).into_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NONE: Payload = Payload::Bytes(bytes::Bytes::new());

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials { user: user.to_owned(), password: password.to_owned() }
    }

    fn asked(uri: &str) -> Asked<'_> {
        Asked { method: "GET", uri, body: &NONE }
    }

    fn only(header: &str) -> Challenge {
        let mut all = Challenge::parse(header.as_bytes());
        assert_eq!(all.len(), 1, "{header}: {all:?}");
        all.remove(0)
    }

    #[test]
    fn known_answers_of_rfc_7616_section_3_9_1() {
        let rest = "qop=\"auth, auth-int\", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                    opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, response) in [
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ] {
            let challenge =
                only(&format!("Digest realm=\"http-auth@example.org\", algorithm={algorithm}, {rest}"));
            let mufasa = credentials("Mufasa", "Circle of Life");
            let text = challenge.answer(&mufasa, &asked("/dir/index.html"), cnonce, 1).unwrap();
            assert_eq!(
                text,
                format!(
                    "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", \
                     nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", uri=\"/dir/index.html\", \
                     response=\"{response}\", algorithm={algorithm}, \
                     opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\", qop=auth, nc=00000001, \
                     cnonce=\"{cnonce}\""
                )
            );
        }
    }

    #[test]
    fn known_answer_of_rfc_2617_section_3_5() {
        let challenge = only(
            "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        );
        let mufasa = credentials("Mufasa", "Circle Of Life");
        let text = challenge.answer(&mufasa, &asked("/dir/index.html"), "0a4f113b", 1).unwrap();
        assert!(text.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{text}");
        assert!(!text.contains("algorithm"), "{text}");
    }

    /// The formulas of RFC 7616, section 3.4, written out for each case.
    #[test]
    fn other_qualities_of_protection() {
        let al = credentials("al", "pw");
        let response = |header: &str, body: Payload| {
            let asked = Asked { method: "PUT", uri: "/x?y=1", body: &body };
            let text = only(header).answer(&al, &asked, "c", 2).unwrap();
            let at = text.find("response=\"").unwrap() + 10;
            (text[at..].split('"').next().unwrap().to_owned(), text)
        };
        let hash = |text: &str| Algorithm::Md5.hash(text.as_bytes());
        let a1 = hash("al:r:pw");
        let (answer, text) = response("Digest realm=r, nonce=n", NONE.clone());
        assert_eq!(answer, hash(&format!("{a1}:n:{}", hash("PUT:/x?y=1"))));
        assert!(!text.contains("nc=") && !text.contains("cnonce"), "{text}");
        let (answer, text) = response("Digest realm=r, nonce=n, qop=auth-int", Payload::Bytes("body".into()));
        let a2 = hash(&format!("PUT:/x?y=1:{}", hash("body")));
        assert_eq!(answer, hash(&format!("{a1}:n:00000002:c:auth-int:{a2}")));
        assert!(text.contains("qop=auth-int"), "{text}");
        let (answer, _) = response("Digest realm=r, nonce=n, qop=auth, algorithm=MD5-sess", NONE.clone());
        let session = hash(&format!("{a1}:n:c"));
        assert_eq!(answer, hash(&format!("{session}:n:00000002:c:auth:{}", hash("PUT:/x?y=1"))));
    }

    #[test]
    fn names_that_no_quoted_string_holds() {
        let hashed = only("Digest realm=\"r\", nonce=n, qop=auth, userhash=true");
        let text = hashed.answer(&credentials("al", "pw"), &asked("/"), "c", 1).unwrap();
        assert!(text.contains(&format!("username=\"{}\"", Algorithm::Md5.hash(b"al:r"))), "{text}");
        assert!(text.ends_with("userhash=true"), "{text}");
        let plain = only("Digest realm=\"r\\\"q\", nonce=n, qop=auth");
        let text = plain.answer(&credentials("Jäsøn \"J\"", "pw"), &asked("/"), "c", 1).unwrap();
        assert!(text.contains("username*=UTF-8''J%C3%A4s%C3%B8n%20%22J%22, realm=\"r\\\"q\""), "{text}");
        let text = plain.answer(&credentials("J\"", "pw"), &asked("/"), "c", 1).unwrap();
        assert!(text.contains("username=\"J\\\"\","), "{text}");
    }

    #[test]
    fn challenges_are_found_among_others() {
        let header = "Basic realm=\"a, b\", Negotiate, Digest realm=\"x\" , nonce = \"1\",algorithm=SHA-512-256, \
                      dIgEsT realm=\"y\", nonce=\"a\\\"b\", algorithm=sha-256, stale=TRUE, qop=\"auth\"";
        let challenge = only(header);
        assert_eq!((challenge.realm.as_str(), challenge.nonce.as_str()), ("y", "a\"b"));
        assert!(challenge.stale && challenge.auth && !challenge.auth_int);
        assert_eq!(challenge.algorithm, Algorithm::Sha256);
        for broken in
            ["", "Digest", "Digest realm=\"x", "Digest realm=x", "Bearer", ",,,", "Digest =", "\u{1}"]
        {
            assert!(Challenge::parse(broken.as_bytes()).is_empty(), "{broken}");
        }
    }

    #[test]
    fn a_session_counts_and_wrong_credentials_end_it() {
        let sessions = Sessions::default();
        let target = Target::get("http://127.0.0.1:1/a").unwrap();
        let al = credentials("al", "pw");
        let headers =
            |text: &'static str| HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(text))]);
        let answer = || sessions.answer(&target, &al, &asked("/a"));
        let challenged = |text, answered| sessions.challenged(&target, &al, &headers(text), answered, &NONE);
        assert!(answer().is_none());
        assert!(challenged("Digest realm=r, nonce=n1, qop=auth", false));
        for count in ["nc=00000001", "nc=00000002"] {
            let value = answer().unwrap();
            assert!(value.is_sensitive() && value.to_str().unwrap().contains(count));
        }
        assert!(challenged("Digest realm=r, nonce=n2, qop=auth, stale=true", true));
        assert!(answer().unwrap().to_str().unwrap().contains("nonce=\"n2\""));
        assert!(!challenged("Digest realm=r, nonce=n3, qop=auth", true), "the password is wrong");
        assert!(answer().is_none());
        let upload = Payload::Upload(super::super::upload::Upload::concat(Vec::new()));
        let integrity = headers("Digest realm=r, nonce=n, qop=auth-int");
        assert!(!sessions.challenged(&target, &al, &integrity, false, &upload));
    }
}
