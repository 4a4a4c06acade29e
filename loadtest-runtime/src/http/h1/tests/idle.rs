//! Connections between requests: closed by the server, reset, filled with what nobody asked for.

use std::time::Duration;

use ::http::Method;

use super::super::super::request::Body;
use super::script::{Act, Server, ok, send};
use super::{ErrorKind, run, user};

/// A connection that answers one request and ends under the second.
fn dies_under_the_second(end: &[Act]) -> Vec<Act> {
    [&[Act::Request, ok("1"), Act::Request], end].concat()
}

#[test]
fn idempotent_requests_are_repeated_once_on_a_new_connection() {
    run(async {
        for end in [vec![], vec![Act::Reset]] {
            for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"] {
                let method: Method = method.parse().unwrap();
                let answer = if method == Method::HEAD { ok("") } else { ok("2") };
                let fine = vec![Act::Request, answer, Act::Gone];
                let server = Server::start([dies_under_the_second(&end), fine]).await;
                let (http, recorder) = user();
                http.get(server.url("/")).send().await.unwrap();
                let mut request = http.request(method.clone(), server.url("/again"));
                if method == Method::PUT {
                    request = request.body(Body::from_reader(None, || async { Ok(&b"content"[..]) }));
                }
                assert_eq!(request.send().await.unwrap().status(), 200, "{method}");
                assert_eq!((server.connections(), server.requests().len()), (2, 3), "{method}");
                let requests = server.requests();
                assert_eq!(requests[1], requests[2]);
                assert_eq!(requests[2].contains("\r\n\r\n7\r\ncontent\r\n0\r\n\r\n"), method == Method::PUT);
                assert_eq!(recorder.all(), [(200, None), (200, None)]);
            }
        }
    });
}

#[test]
fn requests_that_could_act_twice_are_not() {
    run(async {
        for end in [vec![], vec![Act::Reset]] {
            for method in [Method::POST, Method::PATCH] {
                let fine = vec![Act::Request, ok("2"), Act::Gone];
                let server = Server::start([dies_under_the_second(&end), fine]).await;
                let (http, recorder) = user();
                http.get(server.url("/")).send().await.unwrap();
                let error = http.request(method, server.url("/pay")).body("100").send().await.unwrap_err();
                let kind =
                    if end.is_empty() { ErrorKind::ConnectionClosed } else { ErrorKind::ConnectionReset };
                assert_eq!(error.kind(), kind);
                assert_eq!(recorder.all(), [(200, None), (0, Some(kind))]);
                assert_eq!((server.connections(), server.requests().len()), (1, 2));
            }
        }
    });
}

#[test]
fn nothing_is_repeated_twice_or_after_a_first_byte() {
    run(async {
        // The new connection dies as well.
        let server =
            Server::start([dies_under_the_second(&[]), vec![Act::Request], vec![Act::Request, ok("3")]])
                .await;
        let (http, recorder) = user();
        http.get(server.url("/")).send().await.unwrap();
        let error = http.get(server.url("/")).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
        assert_eq!((server.connections(), server.requests().len()), (2, 3));
        assert_eq!(recorder.all(), [(200, None), (0, Some(ErrorKind::ConnectionClosed))]);
        // Two connections that died meanwhile are one failed attempt: the second is not tried.
        for first in ["HTTP/1.1 100 Continue\r\n\r\n", "H", "HTTP/1.1 200 OK\r\n"] {
            let script = dies_under_the_second(&[send(first)]);
            let server = Server::start([script, vec![Act::Request, ok("2")]]).await;
            let (http, recorder) = user();
            http.get(server.url("/")).send().await.unwrap();
            let error = http.get(server.url("/")).send().await.unwrap_err();
            assert_eq!((error.kind(), server.connections()), (ErrorKind::ConnectionClosed, 1), "{first:?}");
            assert_eq!(recorder.all().len(), 2);
        }
        // An answer that is not HTTP was an answer.
        let script = dies_under_the_second(&[send("nonsense\r\n")]);
        let server = Server::start([script, vec![Act::Request, ok("2")]]).await;
        let (http, _) = user();
        http.get(server.url("/")).send().await.unwrap();
        let error = http.get(server.url("/")).send().await.unwrap_err();
        assert_eq!((error.kind(), server.connections()), (ErrorKind::InvalidResponse, 1));
    });
}

#[test]
fn connections_that_ended_or_spoke_unasked_while_idle_are_not_used() {
    run(async {
        let late = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        for after in [vec![Act::Wait], vec![Act::Wait, send(late), Act::Gone], vec![Act::Wait, Act::Reset]] {
            let first = [&[Act::Request, ok("1")], after.as_slice()].concat();
            let server = Server::start([first, vec![Act::Request, ok("2"), Act::Gone]]).await;
            let (http, recorder) = user();
            http.get(server.url("/")).send().await.unwrap();
            server.go_on();
            // The reactor sees it before a timer rings, as it does between two requests of a test.
            tokio::time::sleep(Duration::from_millis(20)).await;
            // Not idempotent: it could not be repeated.
            let response = http.post(server.url("/")).body("x").send().await.unwrap();
            assert_eq!((response.text().unwrap().as_str(), server.connections()), ("2", 2));
            assert_eq!((recorder.all().len(), server.requests().len()), (2, 2));
        }
    });
}

#[test]
fn a_response_to_nobody_is_nobodys() {
    run(async {
        // Two responses to one request: what a smuggled request gets out of a proxy.
        let two =
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";
        let empty = "HTTP/1.1 204 No Content\r\ncontent-length: 6\r\n\r\nforged";
        for response in [two, chunked, empty] {
            let first = vec![Act::Request, send(response), Act::Gone];
            let server = Server::start([first, vec![Act::Request, ok("2"), Act::Gone]]).await;
            let (http, _) = user();
            assert_ne!(http.get(server.url("/")).send().await.unwrap().text().unwrap(), "forged");
            server.gone(1).await;
            assert_eq!(http.get(server.url("/")).send().await.unwrap().text().unwrap(), "2");
            assert_eq!(server.connections(), 2);
        }
    });
}

#[test]
fn a_request_that_says_close_is_the_last() {
    run(async {
        let once = vec![Act::Request, ok("1"), Act::Gone];
        let server = Server::start([once.clone(), once]).await;
        let (http, _) = user();
        http.get(server.url("/")).header("connection", "x, Close").send().await.unwrap();
        server.gone(1).await;
        http.get(server.url("/")).send().await.unwrap();
        assert_eq!(server.connections(), 2);
    });
}

#[test]
fn responses_of_every_kind_leave_a_connection_that_can_be_used() {
    run(async {
        let mut script = Vec::new();
        let responses = [
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n1\r\n0\r\nx: y\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\n1",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
        ];
        for response in responses {
            script.extend([Act::Request, send(response)]);
            script.extend([Act::Request, Act::Trickle(response.into())]);
        }
        script.push(Act::Gone);
        let server = Server::start([script]).await;
        let (http, recorder) = user();
        for response in responses {
            for _ in 0..2 {
                let got = http.get(server.url("/")).redirects(0).send().await.unwrap();
                assert!(response.contains(got.status().as_str()), "{response:?}");
            }
        }
        assert_eq!((server.connections(), recorder.all().len()), (1, 2 * responses.len()));
    });
}
