//! Raw TCP.

use loadtest_core::metric::Builtin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::tcp::{TcpBuilder, Until};
use super::*;
use crate::http::ErrorKind;

/// Writes each of these as soon as bytes have come, then closes.
async fn server(answers: Vec<&'static [u8]>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::task::spawn_local(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for answer in answers {
            if stream.read(&mut [0; 1024]).await.unwrap_or(0) == 0 {
                return;
            }
            // Byte by byte: nothing may depend on how an answer is cut.
            for byte in answer {
                stream.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    address
}

fn builder(user: &(Dialer, Rc<Seen>), address: &str) -> TcpBuilder {
    TcpBuilder::new(user.0.clone(), Rc::clone(&user.1) as Rc<dyn RecordSamples>, address)
}

#[test]
fn requests_are_measured_and_bytes_counted() {
    run(async {
        let address = server(vec![b"one\r\ntw", b"o\r\n12345", b""]).await;
        let user = user();
        let mut tcp = builder(&user, &format!("tcp://{address}"))
            .name("lines")
            .tag("plan", "free")
            .connect()
            .await
            .unwrap();
        assert_eq!(tcp.remote_addr().unwrap().to_string(), address);
        assert_eq!(tcp.request("a", "\r\n").await.unwrap(), "one\r\n");
        assert_eq!(tcp.request(b"b", b"\r\n").await.unwrap(), "two\r\n");
        assert_eq!(tcp.read_exact(5).await.unwrap(), "12345");
        tcp.write_all("bye").await.unwrap();
        let seen = &user.1;
        assert_eq!(seen.sum(Builtin::TcpSessions), (1, 1.0));
        assert_eq!(seen.tags(Builtin::TcpSessions), "name=lines plan=free");
        assert_eq!(seen.tags(Builtin::TcpConnecting), "expected_response=true name=lines plan=free");
        let (count, sum) = seen.sum(Builtin::TcpReqDuration);
        assert!(count == 2 && sum > 0.0);
        drop(tcp);
        assert_eq!(seen.sum(Builtin::DataSent).1, 5.0);
        assert_eq!(seen.sum(Builtin::DataReceived).1, 15.0);
        assert_eq!(seen.tags(Builtin::DataReceived), "plan=free");
        assert!(seen.failed.borrow().is_empty());
    });
}

#[test]
fn what_speaks_over_any_stream_speaks_over_this_one() {
    run(async {
        let address = server(vec![b"ab\ncd"]).await;
        let user = user();
        let mut tcp = builder(&user, &address).connect().await.unwrap();
        AsyncWriteExt::write_all(&mut tcp, b"x").await.unwrap();
        assert_eq!(tcp.read_until("\n").await.unwrap(), "ab\n");
        let mut rest = String::new();
        tcp.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "cd");
    });
}

#[test]
fn an_answer_that_does_not_come_is_a_failure_with_its_time() {
    run(async {
        let address = server(vec![b"half", b""]).await;
        let user = user();
        let mut tcp = builder(&user, &address).connect().await.unwrap();
        tcp.request("a", 4).await.unwrap();
        let error = tcp.request("b", Until::Length(3)).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::ConnectionClosed, 1000));
        assert!(error.to_string().contains(&address), "{error}");
        assert_eq!(user.1.sum(Builtin::TcpReqDuration).0, 2);
        let values = user.1.values.borrow();
        assert!(
            values
                .iter()
                .any(|(name, tags, _)| *name == "tcp_req_duration" && tags["expected_response"] == "false")
        );
        assert_eq!(user.1.failure().0, Protocol::Tcp);
    });
}

#[test]
fn limits_hold() {
    run(async {
        let address = server(vec![b"0123456789abcdef"]).await;
        let user = user();
        let mut tcp = builder(&user, &address).max_answer(10).connect().await.unwrap();
        let error = tcp.request("a", "\n").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse);
        assert!(error.to_string().contains(".max_answer("), "{error}");
        assert_eq!(tcp.read_exact(11).await.unwrap_err().kind(), ErrorKind::InvalidResponse);

        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let mut tcp = builder(&user, &address).timeout(Duration::from_millis(30)).connect().await.unwrap();
        let error = tcp.request("a", "\n").await.unwrap_err();
        assert!(error.is_timeout() && error.code() == 1050, "{error}");
        let before = user.1.sum(Builtin::TcpReqDuration).0;
        let impatient = tokio::time::timeout(Duration::from_millis(5), tcp.request("a", "\n"));
        assert!(impatient.await.is_err());
        assert_eq!(user.1.sum(Builtin::TcpReqDuration).0, before + 1);
    });
}

#[test]
fn a_connect_that_fails_is_recorded() {
    run(async {
        let port = closed_port().await;
        let user = user();
        let error = builder(&user, &format!("127.0.0.1:{port}")).connect().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::ConnectionRefused, 1212));
        assert_eq!((user.1.sum(Builtin::TcpSessions).0, user.1.sum(Builtin::TcpConnecting).0), (0, 0));
        assert_eq!(user.1.failure().0, Protocol::Tcp);
        for (address, part) in [
            ("127.0.0.1", "`127.0.0.1`: invalid address: it has no port"),
            ("http://127.0.0.1:1", "not tcp or tls"),
            ("tcp://:1", "invalid url"),
        ] {
            let error = builder(&user, address).connect().await.unwrap_err();
            assert!(error.to_string().contains(part) && error.kind() == ErrorKind::InvalidUrl, "{error}");
        }
    });
}
