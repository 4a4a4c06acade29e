//! What holds for all requests of a virtual user: which statuses it expects, when connections are used again, and how
//! bodies are compressed.

use super::handler::{Handler, Request, response};
use super::*;
use crate::http::HttpOptions;

async fn hello() -> Handler {
    Handler::start(async |request: Request| match request.uri.strip_prefix("/status/") {
        Some(status) => response(&format!("{status} Said"), "location: /\r\n", ""),
        None => response("200 OK", "", "hello"),
    })
    .await
}

#[test]
fn each_request_has_a_connection_of_its_own_if_none_is_used_again() {
    run(async {
        let server = hello().await;
        let (http, recorder) = user_with(HttpOptions { no_connection_reuse: true, ..HttpOptions::default() });
        for _ in 0..3 {
            http.get(server.url("/")).send().await.unwrap();
        }
        http.get(server.url("/status/302")).send().await.unwrap();
        assert_eq!(server.connections(), 5, "a redirect that is followed is one more");
        assert!(recorder.all().iter().all(|exchange| exchange.timings.connecting > 0));
    });
}

#[test]
fn connections_last_as_long_as_an_iteration_if_the_user_does_not_reuse_them() {
    run(async {
        for (no_vu_connection_reuse, connections) in [(true, 2), (false, 1)] {
            let server = hello().await;
            let (http, _) = user_with(HttpOptions { no_vu_connection_reuse, ..HttpOptions::default() });
            for _ in 0..2 {
                http.get(server.url("/")).send().await.unwrap();
                http.get(server.url("/")).send().await.unwrap();
                http.client.end_iteration();
            }
            assert_eq!(server.connections(), connections, "{no_vu_connection_reuse}");
        }
    });
}

#[test]
fn expected_statuses_hold_for_the_user_unless_a_request_says_otherwise() {
    run(async {
        let server = hello().await;
        let (http, recorder) = user();
        let (other, others) = user();
        http.set_expected_statuses(|status| matches!(status, 404 | 201 | 500..=503));
        for status in [200, 404, 201, 500, 503, 504] {
            http.get(server.url(&format!("/status/{status}"))).send().await.unwrap();
        }
        http.get(server.url("/status/418")).expected_status(418).send().await.unwrap();
        http.client.reset_cookies();
        http.clone().get(server.url("/status/200")).send().await.unwrap();
        http.set_expected_statuses(200..400);
        http.get(server.url("/status/200")).send().await.unwrap();
        let expected: Vec<bool> = recorder.all().iter().map(|exchange| exchange.expected).collect();
        assert_eq!(expected, [false, true, true, true, true, false, true, false, true]);
        other.get(server.url("/status/404")).send().await.unwrap();
        assert!(!others.only().expected, "another user has rules of its own");
        // Whatever comes back may be expected; that nothing does is not.
        http.set_expected_statuses(|_| true);
        http.get(server.url("/status/500")).send().await.unwrap();
        http.get("http://127.0.0.1:1/").send().await.unwrap_err();
        let expected: Vec<bool> = recorder.all().iter().skip(9).map(|exchange| exchange.expected).collect();
        assert_eq!(expected, [true, false]);
    });
}

#[cfg(feature = "compression")]
#[test]
fn bodies_are_compressed_as_told() {
    run(async {
        let requests = Rc::new(RefCell::new(Vec::<Request>::new()));
        let seen = Rc::clone(&requests);
        let server = Handler::start(async move |request: Request| {
            // What a server sends back in the same encoding is decoded by the client.
            let header = format!("content-encoding: {}\r\n", request.header("content-encoding").unwrap());
            let answer = response("200 OK", &header, &request.body);
            seen.borrow_mut().push(request);
            answer
        })
        .await;
        let (http, recorder) = user();
        let text = "seat ".repeat(10_000);
        for encoding in ["gzip", "deflate", "zstd", "deflate, gzip"] {
            let echoed =
                http.post(server.url("/")).compress(encoding).body(text.clone()).send().await.unwrap();
            assert!(echoed.text().unwrap() == text, "{encoding}");
            let requests = requests.borrow();
            let request = requests.last().unwrap();
            assert_eq!(request.header("content-encoding"), Some(encoding));
            assert_eq!(request.header("content-length").unwrap(), request.body.len().to_string());
            assert!(request.body.len() < text.len() / 10);
        }
        let count = requests.borrow().len();
        let json = http.post(server.url("/")).json(&text).compress("gzip");
        json.send().await.unwrap();
        assert_eq!(requests.borrow()[count].header("content-type"), Some("application/json"));
        let upload = crate::http::Body::from_reader(None, || async { Ok(&b"x"[..]) });
        for request in [
            http.post(server.url("/")).body("x").compress("br"),
            http.post(server.url("/")).body("x").compress("gzip").header("content-encoding", "x"),
            http.post(server.url("/")).body(upload).compress("gzip"),
        ] {
            let error = request.send().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
        }
        assert_eq!(requests.borrow().len(), 5);
        assert_eq!(recorder.all().len(), 8);
    });
}

#[test]
fn a_response_says_which_protocol_it_came_by() {
    run(async {
        let server = hello().await;
        let (http, _) = user();
        let response = http.get(server.url("/")).send().await.unwrap();
        assert_eq!(response.protocol(), Protocol::Http11);
        assert_eq!(response.protocol().as_str(), "HTTP/1.1");
    });
}
