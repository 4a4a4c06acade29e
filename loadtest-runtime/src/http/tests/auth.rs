//! Who a request says it is from: Basic, Bearer and Digest.

use std::cell::Cell;
use std::collections::HashMap;

use super::handler::{Handler, Request, response};
use super::*;

/// The parameters of an `Authorization` header of the scheme Digest.
fn parameters(request: &Request) -> Option<Vec<(String, String)>> {
    let text = request.header("authorization")?.strip_prefix("Digest ")?;
    let pairs = text.split(", ").map(|pair| {
        let (name, value) = pair.split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    });
    Some(pairs.collect())
}

fn md5(text: &str) -> String {
    use md5::Digest as _;
    md5::Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The line of a request, and its nonce count.
type Seen = (String, Option<String>);

/// A server that knows `al` with the password `pw`, checks every answer by the formulas of RFC 7616 and gives a nonce
/// out for so many requests.
struct Guarded {
    server: Handler,
    seen: Rc<RefCell<Vec<Seen>>>,
}

async fn guarded(uses_of_nonce: u32, realm: &'static str) -> Guarded {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let (nonce, uses) = (Cell::new(1), Cell::new(0));
    // How often each client has answered, by its own nonce.
    let counts = RefCell::new(HashMap::<String, u32>::new());
    let server = Handler::start(async move |request: Request| {
        let given = parameters(&request);
        let find = |name: &str| {
            let given = given.as_ref()?.iter().find(|(other, _)| other == name);
            given.map(|(_, value)| value.clone())
        };
        log.borrow_mut().push((format!("{} {}", request.method, request.uri), find("nc")));
        let challenge = |stale: &str| {
            let nonce = nonce.get();
            let header = format!(
                "www-authenticate: Digest realm=\"{realm}\", qop=\"auth\", nonce=\"n{nonce}\", opaque=\"o\"{stale}\r\n"
            );
            response("401 Unauthorized", &header, "who?")
        };
        if given.is_none() {
            return challenge("");
        }
        let value = |name: &str| find(name).unwrap_or_default();
        let a1 = md5(&format!("al:{realm}:pw"));
        let a2 = md5(&format!("{}:{}", request.method, request.uri));
        let rest = format!("{}:{}:{}:auth", value("nonce"), value("nc"), value("cnonce"));
        let right = value("response") == md5(&format!("{a1}:{rest}:{a2}")) && value("opaque") == "o";
        assert_eq!(value("uri"), request.uri);
        if !right {
            return challenge("");
        }
        if value("nonce") != format!("n{}", nonce.get()) || uses.get() == uses_of_nonce {
            nonce.set(nonce.get() + 1);
            uses.set(0);
            counts.borrow_mut().clear();
            return challenge(", stale=true");
        }
        uses.set(uses.get() + 1);
        let mut counts = counts.borrow_mut();
        let count = counts.entry(value("cnonce")).or_default();
        *count += 1;
        assert_eq!(value("nc"), format!("{count:08x}"), "the count goes up by one");
        match request.uri.as_str() {
            "/moved" => response("303 See Other", "location: /there?x=1\r\n", ""),
            _ => response("200 OK", "", format!("hello {}", value("username"))),
        }
    })
    .await;
    Guarded { server, seen }
}

impl Guarded {
    fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }
}

#[test]
fn the_first_request_is_challenged_and_later_ones_are_not() {
    run(async {
        let guarded = guarded(100, "tickets").await;
        let (http, recorder) = user();
        for path in ["/a", "/b?q=1"] {
            let request = http.post(guarded.server.url(path)).body("x").digest_auth("al", "pw");
            assert_eq!(request.send().await.unwrap().text().unwrap(), "hello al");
        }
        let count = |number: u32| Some(format!("{number:08x}"));
        assert_eq!(
            guarded.seen(),
            [("POST /a".into(), None), ("POST /a".into(), count(1)), ("POST /b?q=1".into(), count(2))]
        );
        assert_eq!(recorder.statuses(), [401, 200, 200]);
        assert!(recorder.all().iter().all(|exchange| exchange.expected), "the challenge is expected");
        assert_eq!(guarded.server.connections(), 1);
        // Another virtual user is challenged by itself, and a request without credentials brings none.
        let (other, _) = user();
        let response = other.get(guarded.server.url("/c")).digest_auth("al", "pw").send().await.unwrap();
        assert_eq!((response.status().as_u16(), guarded.seen().len()), (200, 5));
        assert_eq!(http.get(guarded.server.url("/d")).send().await.unwrap().status(), 401);
    });
}

#[test]
fn a_stale_nonce_is_replaced_and_redirects_are_answered_anew() {
    run(async {
        let guarded = guarded(1, "tickets").await;
        let (http, recorder) = user();
        let response = http.get(guarded.server.url("/moved")).digest_auth("al", "pw").send().await.unwrap();
        assert_eq!(response.url(), guarded.server.url("/there?x=1"));
        assert_eq!(response.status(), 200);
        // Challenge, redirect, stale, answer.
        assert_eq!(recorder.statuses(), [401, 303, 401, 200]);
        assert!(recorder.all().iter().all(|exchange| exchange.expected));
    });
}

#[test]
fn wrong_credentials_are_told_once() {
    run(async {
        let guarded = guarded(100, "tickets").await;
        let (http, recorder) = user();
        let response = http.get(guarded.server.url("/a")).digest_auth("al", "wrong").send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.text().unwrap()), (401, "who?".to_owned()));
        assert_eq!(recorder.statuses(), [401, 401]);
        let expected: Vec<bool> = recorder.all().iter().map(|exchange| exchange.expected).collect();
        assert_eq!(expected, [true, false]);
    });
}

#[test]
fn an_answer_does_not_reach_another_service() {
    run(async {
        let other = Handler::start(async |request: Request| {
            assert_eq!(request.header("authorization"), None);
            response("401 Unauthorized", "www-authenticate: Digest realm=x, nonce=n, qop=auth\r\n", "")
        })
        .await;
        let there = other.url("/x");
        let server = Handler::start(async move |request: Request| match request.header("authorization") {
            None => {
                response("401 Unauthorized", "www-authenticate: Digest realm=x, nonce=n, qop=auth\r\n", "")
            }
            Some(_) => response("307 Temporary Redirect", &format!("location: {there}\r\n"), ""),
        })
        .await;
        let (http, recorder) = user();
        let response = http.get(server.url("/")).digest_auth("al", "pw").send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(recorder.statuses(), [401, 307, 401]);
    });
}

#[test]
fn a_server_that_never_has_enough_is_given_up() {
    run(async {
        let server = Handler::start(async |_| {
            let header = "www-authenticate: Digest realm=x, nonce=n, qop=auth, stale=true\r\n";
            response("401 Unauthorized", header, "")
        })
        .await;
        let (http, recorder) = user();
        let refused = http.get(server.url("/")).digest_auth("al", "pw").send().await.unwrap();
        assert_eq!(refused.status(), 401);
        assert!(recorder.all().len() <= 3, "{:?}", recorder.statuses());
        let unknown = Handler::start(async |_| {
            response("401 Unauthorized", "www-authenticate: Digest realm=x, nonce=n, algorithm=SHA-1\r\n", "")
        })
        .await;
        let (http, recorder) = user();
        http.get(unknown.url("/")).digest_auth("al", "pw").send().await.unwrap();
        assert_eq!(recorder.statuses(), [401]);
        assert!(!recorder.only().expected);
    });
}
