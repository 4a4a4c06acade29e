//! Connections: reused, found dead, dropped, shared by requests side by side; bodies that are streamed.

use std::time::Duration;

use super::server::{Server, Step, ok, reply};
use super::*;

#[test]
fn a_connection_is_reused_until_told_to_close() {
    run(async {
        let close = reply("200 OK", "connection: close\r\n", "3");
        let server = Server::start([ok("1"), ok("2"), close.clone(), ok("4"), close]).await;
        let (http, recorder) = user();
        for (expected, connections) in [("1", 1), ("2", 1), ("3", 1), ("4", 2), ("3", 2)] {
            let response = http.get(server.url("/")).send().await.unwrap();
            assert_eq!(response.text().unwrap(), expected);
            assert_eq!(server.connections(), connections);
        }
        assert_eq!(http.get(server.url("/")).send().await.unwrap_err().kind(), ErrorKind::ConnectionClosed);
        assert_eq!((server.connections(), recorder.all().len()), (3, 6));
    });
}

#[test]
fn requests_side_by_side_have_a_connection_each() {
    run(async {
        let server = Server::start(vec![ok("x"); 4]).await;
        let (http, recorder) = user();
        let url = server.url("/");
        let (a, b) = tokio::join!(http.get(&url).send(), http.get(&url).send());
        assert!(a.is_ok() && b.is_ok());
        let (a, b) = tokio::join!(http.get(&url).send(), http.get(&url).send());
        assert!(a.is_ok() && b.is_ok());
        assert_eq!((server.connections(), recorder.all().len()), (2, 4));
    });
}

#[test]
fn an_idle_connection_that_was_closed_is_not_used() {
    run(async {
        let Step::Reply(bytes) = ok("1") else { unreachable!() };
        let server = Server::start([Step::Close(bytes), ok("2")]).await;
        let (http, recorder) = user();
        http.get(server.url("/")).send().await.unwrap();
        server.closed(1).await;
        // The reactor sees the end of the stream before a timer fires, as it does between two requests of a test.
        tokio::time::sleep(Duration::from_millis(5)).await;
        // Not idempotent, so it could not be repeated if it had been sent on the dead connection.
        http.post(server.url("/")).body("x").send().await.unwrap();
        assert_eq!((server.connections(), server.requests().len()), (2, 2));
        assert_eq!(recorder.statuses(), [200, 200]);
    });
}

#[test]
fn a_connection_that_dies_under_a_request_is_tried_anew_once() {
    run(async {
        let server = Server::start([ok("1"), Step::Close(Vec::new()), ok("2")]).await;
        let (http, recorder) = user();
        http.get(server.url("/")).send().await.unwrap();
        assert_eq!(http.get(server.url("/")).send().await.unwrap().text().unwrap(), "2");
        assert_eq!((server.connections(), server.requests().len()), (2, 3));
        assert_eq!(recorder.statuses(), [200, 200]);
        // Both attempts crossed a socket.
        assert_eq!(recorder.all().iter().map(|exchange| exchange.bytes_sent).sum::<u64>(), server.received());
    });
}

#[test]
fn a_request_that_could_act_twice_is_not_repeated() {
    run(async {
        let server = Server::start([ok("1"), Step::Close(Vec::new()), ok("2")]).await;
        let (http, recorder) = user();
        http.get(server.url("/")).send().await.unwrap();
        let error = http.post(server.url("/pay")).body("100").send().await.unwrap_err();
        assert_failed(&recorder.all()[1], &error, ErrorKind::ConnectionClosed, 1000);
        assert_eq!(server.requests().len(), 2);
        // Nor is one on a fresh connection, whatever its method.
        let server = Server::start([Step::Close(Vec::new()), ok("2")]).await;
        assert_eq!(http.get(server.url("/")).send().await.unwrap_err().kind(), ErrorKind::ConnectionClosed);
        assert_eq!(server.requests().len(), 1);
    });
}

#[test]
fn a_response_that_broke_off_is_not_repeated() {
    run(async {
        let server = Server::start([ok("1"), Step::Close(b"HTTP/1.1 200".to_vec()), ok("2")]).await;
        let (http, recorder) = user();
        http.get(server.url("/")).send().await.unwrap();
        let error = http.get(server.url("/")).send().await.unwrap_err();
        assert_failed(&recorder.all()[1], &error, ErrorKind::ConnectionClosed, 1000);
        assert_eq!(server.requests().len(), 2);
    });
}

#[test]
fn a_request_that_is_dropped_leaves_nothing_behind() {
    run(async {
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec();
        let server = Server::start([ok("1"), Step::Stall(Vec::new()), Step::Stall(half), ok("4")]).await;
        let (http, recorder) = user();
        http.get(server.url("/")).send().await.unwrap();
        for dropped in 1..=2 {
            let request = http.get(server.url("/")).send();
            assert!(tokio::time::timeout(Duration::from_millis(50), request).await.is_err());
            server.closed(dropped).await;
        }
        assert_eq!(http.get(server.url("/")).send().await.unwrap().text().unwrap(), "4");
        assert_eq!((server.connections(), server.requests().len()), (3, 4));
        assert_eq!(recorder.statuses(), [200, 0, 200, 200], "a dropped request is recorded once");
    });
}

#[test]
fn a_response_before_the_end_of_the_upload_is_taken() {
    run(async {
        // The server answers after the head and closes; most of the upload is never read.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::task::spawn_local(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
                stream.write_all(refusal).await.unwrap();
                // Kept open until the client is done with it.
                tokio::task::spawn_local(async move {
                    while stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
                });
            }
        });
        let (http, recorder) = user();
        for _ in 0..2 {
            let response = http.post(&url).body(vec![0; 20_000_000]).send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.text().unwrap()), (413, "no".to_owned()));
        }
        assert_eq!(recorder.statuses(), [413, 413]);
    });
}

#[test]
fn a_body_can_be_streamed() {
    run(async {
        let chunked =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
                .to_vec();
        let endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n".to_vec();
        let broken = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec();
        let moved = reply("302 Found", "location: /there\r\n", "");
        let server = Server::start([
            moved,
            Step::Reply(chunked),
            Step::Stall(endless.clone()),
            Step::Stall(endless),
            Step::Stall(broken),
        ])
        .await;
        let (http, recorder) = user();
        let mut stream = http.get(server.url("/")).send_streaming().await.unwrap();
        assert_eq!((stream.status().as_u16(), stream.timings()), (200, None));
        assert_eq!(recorder.statuses(), [302], "recorded at its end");
        let mut whole = Vec::new();
        while let Some(chunk) = stream.chunk().await.unwrap() {
            whole.extend_from_slice(&chunk);
        }
        assert_eq!(whole, b"abcdef");
        assert!(stream.chunk().await.unwrap().is_none() && stream.timings().is_some());
        drop(stream);
        assert_eq!(recorder.all().len(), 2);
        assert!(!server.requests()[1].contains("accept-encoding"));

        let mut stream = http.get(server.url("/")).send_streaming().await.unwrap();
        assert_eq!(stream.chunk().await.unwrap().unwrap(), "abc");
        drop(stream);
        assert_eq!(recorder.statuses(), [302, 200, 200], "recorded when dropped");
        assert!(recorder.all()[2].expected);
        server.closed(1).await;

        let mut stream =
            http.get(server.url("/")).timeout(Duration::from_millis(80)).send_streaming().await.unwrap();
        assert_eq!(stream.chunk().await.unwrap().unwrap(), "abc");
        let error = stream.chunk().await.unwrap_err();
        drop(stream);
        assert_failed(&recorder.all()[3], &error, ErrorKind::Timeout, 1050);

        let mut stream = http.get(server.url("/")).send_streaming().await.unwrap();
        let error = stream.chunk().await.unwrap_err();
        assert_failed(&recorder.all()[4], &error, ErrorKind::InvalidResponse, 1000);
        assert_eq!(recorder.all().len(), 5);
    });
}
