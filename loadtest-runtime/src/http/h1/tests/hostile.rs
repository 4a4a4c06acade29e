//! Servers that mean no good, and requests that are given up: each is recorded once, as what it was, and leaves a
//! client that works.

use std::time::Duration;

use super::corpus::RESPONSES;
use super::script::{Act, Server, ok, send};
use super::{ErrorKind, Recorded, run, user};

/// Sends one request to a server that answers so, and closes the connection if it `closes`.
async fn answer(response: &[u8], trickles: bool, closes: bool) -> Recorded {
    let act = if trickles { Act::Trickle(response.to_vec()) } else { send(response) };
    let mut script = vec![Act::Request, act];
    if !closes {
        script.push(Act::Gone);
    }
    let server = Server::start([script, vec![Act::Request, ok("fine"), Act::Gone]]).await;
    let (http, recorder) = user();
    let result = http.get(server.url("/")).send().await;
    let [recorded] = recorder.all()[..] else { panic!("{:?}", recorder.all()) };
    match result {
        Ok(response) => assert_eq!(recorded, (response.status().as_u16(), None)),
        Err(error) => {
            assert_eq!(recorded, (error.status().unwrap_or(0), Some(error.kind())));
            if !closes {
                server.gone(1).await;
            }
            // What is broken is not used again.
            let again = http.get(server.url("/")).send().await.unwrap();
            assert_eq!((again.text().unwrap().as_str(), server.connections()), ("fine", 2));
        }
    }
    recorded
}

#[test]
fn every_known_response_is_recorded_once_whole_or_in_bytes() {
    run(async {
        for (name, response, expected) in RESPONSES {
            for trickles in [false, true] {
                let (status, error) = answer(response, trickles, true).await;
                match expected {
                    Ok((expected, ..)) => assert_eq!((status, error), (*expected, None), "{name}"),
                    Err(kind) => assert_eq!(error, Some(*kind), "{name}"),
                }
            }
        }
    });
}

#[test]
fn what_is_invalid_is_refused_without_waiting_for_its_end() {
    run(async {
        for (name, response, expected) in RESPONSES {
            if *expected == Err(ErrorKind::InvalidResponse) {
                for trickles in [false, true] {
                    let (_, error) = answer(response, trickles, false).await;
                    assert_eq!(error, Some(ErrorKind::InvalidResponse), "{name}");
                }
            }
        }
    });
}

#[test]
fn sizes_that_nobody_needs_are_refused() {
    run(async {
        let head = "HTTP/1.1 200 OK\r\n";
        let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
        for (response, status) in [
            // More than a head may have, with an end and without.
            (format!("{head}x: {}\r\n\r\n", "y".repeat(300_000)), 0),
            (format!("{head}x: {}", "y".repeat(300_000)), 0),
            ("\r\n".repeat(150_000), 0),
            ("x".repeat(300_000), 0),
            (format!("HTTP/1.1 200 {}", "x".repeat(300_000)), 0),
            (format!("{head}{}\r\n", "x: y\r\n".repeat(129)), 0),
            (format!("{}{head}\r\n", "HTTP/1.1 100 Continue\r\n\r\n".repeat(20)), 0),
            (format!("{}{head}\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20_000)), 0),
            // Of what belongs to chunks, and has no end.
            (format!("{chunked}1;{}", "x".repeat(10_000)), 200),
            (format!("{chunked}1{}", " ".repeat(100_000)), 200),
            (format!("{chunked}{}", "0".repeat(100)), 200),
            (format!("{chunked}0\r\nx: {}", "y".repeat(100_000)), 200),
            (format!("{chunked}0\r\n{}", "x: y\r\n".repeat(50_000)), 200),
        ] {
            let recorded = answer(response.as_bytes(), false, false).await;
            let start = &response[..60.min(response.len())];
            assert_eq!(recorded, (status, Some(ErrorKind::InvalidResponse)), "{start:?}");
        }
    });
}

#[test]
fn resets_are_told_from_ends() {
    run(async {
        let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
        for (first, status) in [("", 0), ("HTTP/1.1 2", 0), (half, 200)] {
            let script = vec![Act::Request, send(first), Act::Wait, Act::Reset];
            let server = Server::start([script]).await;
            let (http, recorder) = user();
            let (result, ()) = tokio::join!(http.get(server.url("/")).send(), async {
                // The reset would overtake what was written before it.
                tokio::time::sleep(Duration::from_millis(20)).await;
                server.go_on();
            });
            assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert_eq!(recorder.all(), [(status, Some(ErrorKind::ConnectionReset))]);
        }
    });
}

/// Beginnings of responses after which nothing comes, and the status that is known by then.
const STALLED: &[(&str, u16)] = &[
    ("", 0),
    ("HTTP/1.1 200 OK\r\ncontent-le", 0),
    ("HTTP/1.1 100 Continue\r\n\r\n", 0),
    ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", 200),
    ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", 200),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 200),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf", 200),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n", 200),
    ("HTTP/1.1 200 OK\r\n\r\nhalf", 200),
];

#[test]
fn timeouts_and_dropped_requests_close_their_connections_at_every_point() {
    run(async {
        for (start, status) in STALLED {
            let stalled = vec![Act::Request, send(start), Act::Gone];
            let last = vec![Act::Request, ok("fine"), Act::Gone];
            let server = Server::start([stalled.clone(), stalled, last]).await;
            let (http, recorder) = user();
            let limit = Duration::from_millis(40);
            let error = http.get(server.url("/")).timeout(limit).send().await.unwrap_err();
            assert_eq!(
                (error.kind(), error.status().unwrap_or(0)),
                (ErrorKind::Timeout, *status),
                "{start:?}"
            );
            server.gone(1).await;
            // Dropped by the test.
            let request = http.get(server.url("/")).send();
            assert!(tokio::time::timeout(limit, request).await.is_err());
            server.gone(2).await;
            assert_eq!(http.get(server.url("/")).send().await.unwrap().text().unwrap(), "fine");
            let failed = (*status, Some(ErrorKind::Timeout));
            assert_eq!(recorder.all(), [failed, failed, (200, None)], "{start:?}");
            assert_eq!(server.connections(), 3);
        }
    });
}

#[test]
fn a_timeout_while_sending() {
    run(async {
        // Far more than the kernel takes for a server that does not read.
        let server = Server::start([vec![Act::Head, Act::Wait, Act::Gone]]).await;
        let (http, recorder) = user();
        let request = http.post(server.url("/")).body(vec![0; 32 << 20]).timeout(Duration::from_millis(100));
        assert_eq!(request.send().await.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(recorder.all(), [(0, Some(ErrorKind::Timeout))]);
        server.go_on();
        server.gone(1).await;
    });
}

#[test]
fn a_streamed_body_that_is_not_read_to_its_end_closes_its_connection() {
    run(async {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
        let script = vec![Act::Request, send(chunked), Act::Gone];
        let server = Server::start([script, vec![Act::Request, ok("fine"), Act::Gone]]).await;
        let (http, recorder) = user();
        let mut stream = http.get(server.url("/")).send_streaming().await.unwrap();
        assert_eq!(stream.chunk().await.unwrap().unwrap(), "abc");
        drop(stream);
        server.gone(1).await;
        assert_eq!(http.get(server.url("/")).send().await.unwrap().text().unwrap(), "fine");
        assert_eq!(recorder.all().len(), 2);
    });
}
