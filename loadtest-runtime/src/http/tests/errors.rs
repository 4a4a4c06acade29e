//! Each kind of failure has its own kind and k6's code, is recorded once, and leaves the client usable.

use std::time::Duration;

use super::server::{Server, Step, ok, reply};
use super::*;
use crate::http::Method;

/// Sends one request to a server that does `step`, and expects this failure, then a working client.
fn fails_with(step: Step, kind: ErrorKind, code: u16, status: u16, part: &str) {
    run(async {
        let resets = matches!(step, Step::Reset(_));
        let server = Server::start([step, ok("fine")]).await;
        let (http, recorder) = user();
        let request = http.get(server.url("/seats/5")).timeout(Duration::from_millis(500)).send();
        let error = if resets {
            let (error, ()) = tokio::join!(request, async {
                // Once the client has what came before.
                tokio::time::sleep(Duration::from_millis(20)).await;
                server.reset();
            });
            error
        } else {
            request.await
        };
        let error = error.unwrap_err();
        let recorded = recorder.only();
        assert_failed(&recorded, &error, kind, code);
        assert_eq!((recorded.status, &*recorded.name), (status, "/seats/{id}"));
        assert!(recorded.error_text.contains(part), "{part:?} in {:?}", recorded.error_text);
        assert!(!recorded.error_text.contains("127.0.0.1"), "equal errors have equal texts");
        assert_eq!(recorded.bytes_sent, server.received());
        assert_eq!(http.get(server.url("/")).send().await.unwrap().text().unwrap(), "fine");
        assert_eq!(server.connections(), 2);
    });
}

fn body(headers: &str, part: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{part}").into_bytes()
}

#[test]
fn closed_before_the_response() {
    fails_with(Step::Close(Vec::new()), ErrorKind::ConnectionClosed, 1000, 0, "connection closed");
}

#[test]
fn closed_within_the_head() {
    fails_with(Step::Close(b"HTTP/1.1 200 OK\r\nx".to_vec()), ErrorKind::ConnectionClosed, 1000, 0, "closed");
}

#[test]
fn reset_before_the_response() {
    fails_with(Step::Reset(Vec::new()), ErrorKind::ConnectionReset, 1220, 0, "reset");
}

#[test]
fn reset_within_the_body() {
    let step = Step::Reset(body("content-length: 10", "half"));
    fails_with(step, ErrorKind::ConnectionReset, 1220, 200, "reset");
}

#[test]
fn a_body_shorter_than_its_length() {
    let step = Step::Close(body("content-length: 10", "half"));
    fails_with(step, ErrorKind::ConnectionClosed, 1000, 200, "closed");
}

#[test]
fn a_chunked_body_that_ends_early() {
    let step = Step::Close(body("transfer-encoding: chunked", "5\r\nab"));
    fails_with(step, ErrorKind::ConnectionClosed, 1000, 200, "closed");
}

#[test]
fn a_broken_chunk() {
    let step = Step::Reply(body("transfer-encoding: chunked", "nonsense\r\n"));
    fails_with(step, ErrorKind::InvalidResponse, 1000, 200, "invalid response");
}

#[test]
fn a_chunk_without_its_end() {
    let step = Step::Reply(body("transfer-encoding: chunked", "2\r\nabXX5\r\n"));
    fails_with(step, ErrorKind::InvalidResponse, 1000, 200, "invalid response");
}

#[test]
fn a_length_that_is_no_number() {
    fails_with(Step::Reply(body("content-length: many", "")), ErrorKind::InvalidResponse, 1000, 0, "invalid");
}

#[test]
fn not_http_at_all() {
    fails_with(
        Step::Reply(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec()),
        ErrorKind::InvalidResponse,
        1000,
        0,
        "invalid",
    );
}

#[test]
fn a_head_without_end() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(2_000_000));
    fails_with(Step::Reply(head.into_bytes()), ErrorKind::InvalidResponse, 1000, 0, "invalid");
}

#[test]
fn more_headers_than_anybody_needs() {
    let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(5000));
    fails_with(Step::Reply(head.into_bytes()), ErrorKind::InvalidResponse, 1000, 0, "invalid");
}

#[test]
fn no_answer_in_time() {
    fails_with(Step::Stall(Vec::new()), ErrorKind::Timeout, 1050, 0, "after 500ms, waiting for the response");
}

#[test]
fn no_end_in_time() {
    let step = Step::Stall(body("content-length: 10", "half"));
    fails_with(step, ErrorKind::Timeout, 1050, 200, "after 500ms, receiving the response");
}

#[test]
fn nothing_listens() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let (http, recorder) = user();
        let error = http.get(format!("http://127.0.0.1:{port}/x")).send().await.unwrap_err();
        let recorded = recorder.only();
        assert_failed(&recorded, &error, ErrorKind::ConnectionRefused, 1212);
        assert!(recorded.timings.connecting > 0 && recorded.timings.duration_nanos() == 0);
        assert!(error.to_string().contains("hint: is the service running"), "{error}");
    });
}

#[test]
fn a_name_without_address() {
    run(async {
        let (http, recorder) = user();
        for _ in 0..2 {
            let error = http.get("http://nonexistent.invalid/x").send().await.unwrap_err();
            // Without a network the resolver cannot know, and says so.
            let (kind, code) = match error.kind() {
                ErrorKind::Dns => (ErrorKind::Dns, 1100),
                _ => (ErrorKind::HostNotFound, 1101),
            };
            assert_failed(recorder.all().last().unwrap(), &error, kind, code);
            assert!(error.to_string().contains("nonexistent.invalid"), "{error}");
        }
        assert!(recorder.all()[0].timings.looking_up > 0);
        assert_eq!(recorder.all().len(), 2);
    });
}

#[test]
fn a_name_is_looked_up() {
    run(async {
        let server = Server::start([reply("200 OK", "connection: close\r\n", "1"), ok("2")]).await;
        let (http, recorder) = user();
        let url = server.url("/").replace("127.0.0.1", "localhost");
        http.get(&url).send().await.unwrap();
        http.get(&url).send().await.unwrap();
        let all = recorder.all();
        assert!(all[0].timings.looking_up > 0 && all[1].timings.connecting > 0, "{all:#?}");
        assert!(server.requests()[0].contains(&format!("host: {}\r\n", &url[7..url.len() - 1])));
    });
}

#[test]
fn what_cannot_be_sent_is_recorded_too() {
    run(async {
        let (http, recorder) = user();
        let url = "http://127.0.0.1:9/";
        struct Unserialisable;
        impl serde::Serialize for Unserialisable {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("never"))
            }
        }
        let cases = [
            (http.get("seats/5"), ErrorKind::InvalidUrl, "relative URL"),
            (http.get("localhost:80/seats"), ErrorKind::InvalidUrl, "scheme `localhost`"),
            (http.get(""), ErrorKind::InvalidUrl, "relative URL"),
            (http.get(format!("{url}{}", "x".repeat(70_000))), ErrorKind::InvalidUrl, "too long"),
            (http.get(url).header("a b", "c"), ErrorKind::InvalidRequest, "header name"),
            (http.get(url).header("a", "c\nd"), ErrorKind::InvalidRequest, "header `a`"),
            (http.get(url).bearer_auth("\n"), ErrorKind::InvalidRequest, "bearer token"),
            (http.get(url).json(&Unserialisable), ErrorKind::InvalidRequest, "never"),
            (http.get(url).form(&Unserialisable), ErrorKind::InvalidRequest, "form"),
            (http.get(url).query(&Unserialisable), ErrorKind::InvalidRequest, "query"),
            (http.get(url).header("content-length", "7"), ErrorKind::InvalidRequest, "content-length"),
            (http.request(Method::CONNECT, url), ErrorKind::InvalidRequest, "CONNECT"),
        ];
        let count = cases.len();
        for (request, kind, part) in cases {
            let error = request.send().await.unwrap_err();
            let code = if kind == ErrorKind::InvalidUrl { 1020 } else { 1000 };
            let recorded = recorder.all().pop().unwrap();
            assert_failed(&recorded, &error, kind, code);
            assert!(recorded.error_text.contains(part), "{part:?} in {:?}", recorded.error_text);
            assert_eq!((recorded.status, recorded.bytes_sent), (0, 0));
            assert!(recorded.name.len() < 101 || recorded.url.starts_with("http:"));
        }
        assert_eq!(recorder.all().len(), count);
    });
}

#[test]
fn a_timeout_without_end_is_none() {
    run(async {
        let server = Server::start([ok("1"), Step::Stall(Vec::new())]).await;
        let (http, recorder) = user();
        http.get(server.url("/")).timeout(Duration::MAX).send().await.unwrap();
        let error = http.get(server.url("/")).timeout(Duration::ZERO).send().await.unwrap_err();
        assert!(error.is_timeout());
        assert_eq!(recorder.all().len(), 2);
    });
}

#[test]
fn an_error_fits_everywhere() {
    fn takes<E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static>(_: E) {}
    run(async {
        let (http, _) = user();
        takes(http.get("nowhere").send().await.unwrap_err());
    });
}

#[test]
fn what_the_test_gives_up_is_recorded_once() {
    run(async {
        let half = Step::Stall(body("content-length: 10", "half"));
        let server = Server::start([Step::Stall(Vec::new()), half.clone(), half, ok("fine")]).await;
        let (http, recorder) = user();
        for (status, doing) in [(0, "waiting for the response"), (200, "receiving the response")] {
            let request = http.get(server.url("/seats/5")).send();
            assert!(tokio::time::timeout(Duration::from_millis(100), request).await.is_err());
            let recorded = recorder.all().pop().unwrap();
            assert_eq!(
                (recorded.status, recorded.error, recorded.error_code),
                (status, Some(ErrorKind::Timeout), 1050)
            );
            assert_eq!(recorded.error_text, format!("dropped by the test before it ended, {doing}"));
            assert!(!recorded.expected && recorded.timings.duration_nanos() > 50_000_000, "{recorded:?}");
            assert_eq!(recorded.name, "/seats/{id}");
        }
        assert_eq!(recorder.all().len(), 2);
        // Waiting for a chunk is not the exchange: the response lives on and is recorded when it goes.
        let mut stream = http.get(server.url("/")).send_streaming().await.unwrap();
        assert!(stream.chunk().await.unwrap().is_some());
        assert!(tokio::time::timeout(Duration::from_millis(20), stream.chunk()).await.is_err());
        assert_eq!(recorder.all().len(), 2);
        drop(stream);
        assert_eq!(recorder.all().len(), 3);
        // A request that was never begun is none.
        drop(http.get(server.url("/")).send());
        assert_eq!(http.get(server.url("/")).send().await.unwrap().text().unwrap(), "fine");
        assert_eq!(recorder.all().len(), 4);
    });
}

#[test]
fn secrets_of_a_url_are_neither_shown_nor_recorded() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = format!("al:secret@{}", listener.local_addr().unwrap());
        drop(listener);
        for authority in [&*refused, "al:secret@127.0.0.1:99999", "al:sec/secret@127.0.0.1"] {
            let (http, recorder) = user();
            let url = format!("http://{authority}/x?token=secret#secret");
            let request = http.get(&url);
            let built = format!("{request:?}");
            let error = request.send().await.unwrap_err();
            let shown = format!("{error} {error:?} {built} {:?}", recorder.only());
            assert!(!shown.contains("secret"), "{shown}");
            assert!(shown.contains("127.0.0.1") && error.url().contains("token=secret"), "{shown}");
        }
    });
}
