//! Requests, responses, and what is recorded of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::server::{Server, Step, ok, reply};
use super::*;
use crate::http::{HeaderValue, Method, StatusCode, header};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Seat {
    row: String,
    number: u32,
}

#[test]
fn a_request_arrives_as_it_was_built() {
    run(async {
        let server = Server::start([ok(""), ok("")]).await;
        let (http, _) = user();
        let seat = Seat { row: "B&C".into(), number: 7 };
        http.post(server.url("/seats?fresh=1#top"))
            .query(&[("a", "b c"), ("d", "é")])
            .header("Token", "t-1")
            .header("X-Twice", "1")
            .header("X-Twice", "2")
            .bearer_auth("secret")
            .cookie("lang", "ko")
            .json(&seat)
            .send()
            .await
            .unwrap();
        http.put(server.url("/f")).form(&seat).basic_auth("al", Some("pw")).send().await.unwrap();
        let requests = server.requests();
        let json = &requests[0];
        assert!(json.starts_with("POST /seats?fresh=1&a=b+c&d=%C3%A9 HTTP/1.1\r\n"), "{json}");
        for line in [
            &format!("host: {}", server.url("").trim_start_matches("http://")),
            "token: t-1",
            "x-twice: 1",
            "x-twice: 2",
            "authorization: Bearer secret",
            "cookie: lang=ko",
            "content-type: application/json",
            "content-length: 24",
            concat!("user-agent: cargo-loadtest/", env!("CARGO_PKG_VERSION")),
        ] {
            assert!(json.contains(&format!("{line}\r\n")), "{line} in {json}");
        }
        assert!(json.ends_with("\r\n\r\n{\"row\":\"B&C\",\"number\":7}"));
        let form = &requests[1];
        assert!(form.contains("content-type: application/x-www-form-urlencoded\r\n"), "{form}");
        assert!(form.contains("authorization: Basic YWw6cHc=\r\n"), "{form}");
        assert!(form.ends_with("row=B%26C&number=7"), "{form}");
    });
}

#[test]
fn every_method_is_sent_and_named() {
    run(async {
        let server = Server::start(vec![ok(""); 8]).await;
        let (http, recorder) = user();
        let url = server.url("/seats/17");
        for request in [
            http.get(&url),
            http.post(&url),
            http.put(&url).body("text"),
            http.patch(&url).body(vec![1, 2]),
            http.delete(&url),
            http.head(&url),
            http.options(&url),
            http.request(Method::from_bytes(b"PURGE").unwrap(), &url),
        ] {
            request.send().await.unwrap();
        }
        let methods: Vec<String> = recorder.all().into_iter().map(|exchange| exchange.method).collect();
        assert_eq!(methods, ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PURGE"]);
        assert!(recorder.all().iter().all(|exchange| exchange.name == "/seats/{id}" && exchange.expected));
        assert!(server.requests()[1].contains("content-length: 0\r\n"));
        assert!(!server.requests()[0].contains("content-length"));
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn a_response_is_read_in_full() {
    run(async {
        let server = Server::start([reply(
            "201 Created",
            "x-id: 9\r\nset-cookie: sid=abc; Path=/\r\n",
            r#"{"row":"A","number":3}"#,
        )])
        .await;
        let (http, _) = user();
        let response = http.get(server.url("/x?q")).send().await.unwrap();
        assert!(response.status() == 201 && response.status() == StatusCode::CREATED);
        assert_eq!(response.headers()["x-id"], "9");
        assert_eq!(response.version(), crate::http::Version::HTTP_11);
        assert_eq!(response.url(), server.url("/x?q"));
        assert_eq!(response.json::<Seat>().unwrap(), Seat { row: "A".into(), number: 3 });
        assert_eq!(response.text().unwrap(), r#"{"row":"A","number":3}"#);
        assert_eq!(response.bytes().len(), 22);
        assert_eq!(response.cookies().collect::<Vec<_>>(), [("sid", "abc")]);
        assert_eq!(response.remote_addr().unwrap().ip().to_string(), "127.0.0.1");
        assert!(response.error_for_status().is_ok());
    });
}

#[test]
fn a_body_of_another_kind_is_an_error_that_shows_it() {
    run(async {
        let server =
            Server::start([ok(&"<html>🎫".repeat(50)), reply("200 OK", "", b"\xff\xfe"), ok("")]).await;
        let (http, recorder) = user();
        let page = http.get(server.url("/")).send().await.unwrap();
        let error = page.json::<Seat>().unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::Decode, Some(200)));
        let text = error.to_string();
        assert!(text.contains("line 1 column 1") && text.contains("<html>🎫") && text.len() < 600, "{text}");
        let binary = http.get(server.url("/")).send().await.unwrap();
        assert_eq!(binary.text().unwrap_err().kind(), ErrorKind::Decode);
        let empty = http.get(server.url("/")).send().await.unwrap();
        assert!(empty.json::<Seat>().unwrap_err().to_string().contains("it is empty"));
        // The exchanges themselves were fine.
        assert!(recorder.all().iter().all(|exchange| exchange.error.is_none() && exchange.expected));
    });
}

#[test]
fn framings_of_a_body() {
    run(async {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nt: 1\r\n\r\n";
        let server = Server::start([
            Step::Reply(chunked.into()),
            Step::Reply(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n".to_vec()),
            Step::Reply(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
            Step::Reply(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n".to_vec()),
            Step::Reply(
                b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"
                    .to_vec(),
            ),
            Step::Close(b"HTTP/1.0 200 OK\r\n\r\nuntil the end".to_vec()),
        ])
        .await;
        let (http, recorder) = user();
        let url = server.url("/");
        assert_eq!(http.get(&url).send().await.unwrap().text().unwrap(), "abcdefg");
        let head = http.head(&url).send().await.unwrap();
        assert_eq!(
            (head.bytes().len(), &head.headers()[header::CONTENT_LENGTH]),
            (0, &"99".parse().unwrap())
        );
        assert!(http.get(&url).send().await.unwrap().bytes().is_empty());
        assert_eq!(http.get(&url).send().await.unwrap().status(), 304);
        assert_eq!(http.get(&url).send().await.unwrap().text().unwrap(), "x");
        assert_eq!(server.connections(), 1, "none of these closes the connection");
        assert_eq!(http.get(&url).send().await.unwrap().text().unwrap(), "until the end");
        assert_eq!(recorder.all().last().unwrap().protocol, Protocol::Http10);
        assert_eq!(recorder.statuses(), [200, 200, 204, 304, 200, 200]);
    });
}

#[test]
fn large_bodies_go_both_ways() {
    run(async {
        let down = "0123456789abcdef".repeat(256 * 1024);
        let up = "x".repeat(3_000_000);
        let server = Server::start([ok(&down), ok(&down)]).await;
        let (http, recorder) = user();
        let response = http.post(server.url("/")).body(up.as_str()).send().await.unwrap();
        assert_eq!(response.text().unwrap(), down);
        let kept = http.get(server.url("/")).discard_body().send().await.unwrap();
        assert!(kept.bytes().is_empty());
        assert!(server.requests()[0].ends_with(&up));
        let all = recorder.all();
        assert!(all[0].bytes_sent > 3_000_000 && all[0].bytes_received > 4_000_000);
        assert!(all[1].bytes_received > 4_000_000, "discarded, but read");
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn what_crosses_the_socket_is_counted_and_phases_add_up() {
    run(async {
        let server = Server::start([ok("hello"), ok("again")]).await;
        let (http, recorder) = user();
        let before = std::time::Instant::now();
        let first = http.get(server.url("/a")).send().await.unwrap().timings();
        let elapsed = before.elapsed();
        http.post(server.url("/b")).body("body").send().await.unwrap();
        let all = recorder.all();
        assert_eq!(all.iter().map(|exchange| exchange.bytes_sent).sum::<u64>(), server.received());
        assert_eq!(all.iter().map(|exchange| exchange.bytes_received).sum::<u64>(), server.sent());
        assert_eq!(first, all[0].timings);
        assert!(first.connecting > 0 && first.looking_up == 0 && first.tls_handshaking == 0);
        assert!(first.sending > 0 && first.waiting > 0);
        assert_eq!(first.duration_nanos(), first.sending + first.waiting + first.receiving);
        let whole = Duration::from_nanos(first.duration_nanos() + first.blocked + first.connecting);
        assert!(whole <= elapsed, "{whole:?} of {elapsed:?}");
        let second = all[1].timings;
        assert_eq!((second.connecting, second.looking_up), (0, 0), "a reused connection");
    });
}

#[test]
fn waiting_and_receiving_are_told_apart() {
    run(async {
        let server = Server::start([
            Step::Stall(Vec::new()),
            Step::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_vec()),
        ])
        .await;
        let (http, recorder) = user();
        let timeout = Duration::from_millis(80);
        for _ in 0..2 {
            http.get(server.url("/")).timeout(timeout).send().await.unwrap_err();
        }
        let all = recorder.all();
        let most = 60_000_000;
        assert!(all[0].timings.waiting > most && all[0].timings.receiving == 0, "{:?}", all[0]);
        assert!(all[1].timings.receiving > most && all[1].timings.waiting < most, "{:?}", all[1]);
        assert_eq!((all[0].status, all[1].status), (0, 200));
    });
}

#[test]
fn names_tags_and_expectations() {
    run(async {
        let statuses =
            ["404 Not Found", "500 Oops", "200 OK", "409 Conflict", "204 No Content", "200 OK", "418 Tea"];
        let server = Server::start(statuses.map(|status| reply(status, "", ""))).await;
        let (http, recorder) = user();
        let url = server.url("/seats/17?token=x");
        http.get(&url).name("a seat").tag("step", "pick").expected_status(404).send().await.unwrap();
        http.get(&url).send().await.unwrap();
        http.get(&url).expected_status(400..=499).send().await.unwrap();
        http.get(&url).expected_status([200, 409]).send().await.unwrap();
        http.get(&url).expected_status(|status: u16| status == 204).send().await.unwrap();
        http.get(&url).name(format!("seat {}", 1)).expected_status(StatusCode::OK).send().await.unwrap();
        let failed = http.get(&url).send().await.unwrap().error_for_status().unwrap_err();
        assert_eq!((failed.kind(), failed.code(), failed.status()), (ErrorKind::Status, 1418, Some(418)));
        let all = recorder.all();
        assert_eq!(
            all.iter().map(|e| e.expected).collect::<Vec<_>>(),
            [true, false, false, true, true, true, false]
        );
        assert_eq!(all.iter().map(|e| e.error_code).collect::<Vec<_>>(), [1404, 1500, 0, 1409, 0, 0, 1418]);
        assert!(
            all.iter().all(|e| e.error.is_none()
                && e.error_text.is_empty()
                && e.url == url.replace("?token=x", ""))
        );
        assert_eq!(all[0].tags, [("step".to_owned(), "pick".to_owned())]);
        assert_eq!((&*all[0].name, &*all[1].name, &*all[5].name), ("a seat", "/seats/{id}", "seat 1"));
    });
}

#[test]
fn options_hold_for_every_request() {
    run(async {
        let server = Server::start([ok("body"), reply("302 Found", "location: /\r\n", "")]).await;
        let (http, _) = user_with(HttpOptions {
            discard_response_bodies: true,
            user_agent: HeaderValue::from_static("mine/1"),
            max_redirects: 0,
            ..HttpOptions::default()
        });
        assert!(http.get(server.url("/")).send().await.unwrap().bytes().is_empty());
        assert_eq!(http.get(server.url("/")).send().await.unwrap().status(), 302);
        assert!(server.requests()[0].contains("user-agent: mine/1\r\n"));
    });
}
