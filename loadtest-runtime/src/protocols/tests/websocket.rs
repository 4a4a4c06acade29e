//! WebSockets, against tungstenite's server.

use futures_util::{SinkExt, StreamExt};
use loadtest_core::metric::Builtin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::super::websocket::{Message, WebSocketBuilder};
use super::*;
use crate::http::ErrorKind;

pub(super) fn builder(user: &(Dialer, Rc<Seen>), url: &str) -> WebSocketBuilder {
    WebSocketBuilder::new(user.0.clone(), Rc::clone(&user.1) as Rc<dyn RecordSamples>, url)
}

/// Serves one connection.
async fn server<F: Future<Output = ()> + 'static>(serve: impl FnOnce(TcpStream) -> F + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/rooms/7?key=secret", listener.local_addr().unwrap());
    tokio::task::spawn_local(async move { serve(listener.accept().await.unwrap().0).await });
    url
}

/// Opens the session from the server's side, choosing the last subprotocol and saying what came in `x-seen`.
#[expect(clippy::result_large_err, reason = "the signature of the callback is tungstenite's")]
async fn accept(stream: TcpStream) -> WebSocketStream<TcpStream> {
    let choose = |request: &Request, mut response: Response| {
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let seen = format!("{:?} {:?} {}", header("x-own"), header("authorization"), request.uri());
        response.headers_mut().insert("x-seen", seen.parse().unwrap());
        if let Some(offered) = header("sec-websocket-protocol") {
            let chosen = offered.rsplit(", ").next().unwrap().parse().unwrap();
            response.headers_mut().insert("sec-websocket-protocol", chosen);
        }
        Ok(response)
    };
    accept_hdr_async(stream, choose).await.unwrap()
}

/// Sends back what comes until the session is closed.
async fn echo(stream: TcpStream) {
    let mut session = accept(stream).await;
    while let Some(Ok(message)) = session.next().await {
        if message.is_text() || message.is_binary() {
            session.send(message).await.unwrap();
        }
    }
}

#[test]
fn a_session_is_measured_from_its_upgrade_to_its_close() {
    run(async {
        let url = server(echo).await.replace("ws://", "ws://me:pw@");
        let user = user();
        let mut session = builder(&user, &url)
            .header("x-own", "1")
            .subprotocol("chat.v2")
            .subprotocol("chat.v1")
            .tag("plan", "free")
            .connect()
            .await
            .unwrap();
        assert_eq!(session.subprotocol(), Some("chat.v1"));
        let seen = session.headers()["x-seen"].to_str().unwrap().to_owned();
        assert_eq!(seen, "Some(\"1\") Some(\"Basic bWU6cHc=\") /rooms/7?key=secret");
        session.send_text("hello").await.unwrap();
        assert_eq!(session.next().await.unwrap(), Some(Message::Text("hello".into())));
        session.send_binary(vec![1, 2, 3]).await.unwrap();
        assert_eq!(session.next().await.unwrap().unwrap().as_bytes(), [1, 2, 3]);
        assert!(session.ping().await.unwrap() > Duration::ZERO);
        session.close().await.unwrap();

        let seen = &user.1;
        let port = url.split(['/', ':']).nth(5).unwrap();
        let tags = format!(
            "name=/rooms/{{id}} plan=free status=101 subproto=chat.v1 url=ws://127.0.0.1:{port}/rooms/{{id}}"
        );
        for (metric, sum) in
            [(Builtin::WsSessions, 1.0), (Builtin::WsMsgsSent, 2.0), (Builtin::WsMsgsReceived, 2.0)]
        {
            assert_eq!(seen.sum(metric).1, sum, "{}", metric.name());
        }
        for metric in
            [Builtin::WsSessions, Builtin::WsConnecting, Builtin::WsPing, Builtin::WsSessionDuration]
        {
            assert_eq!(seen.tags(metric), tags.replace("@", ""), "{}", metric.name());
        }
        assert!(seen.sum(Builtin::WsSessionDuration).1 > seen.sum(Builtin::WsConnecting).1);
        assert!(seen.sum(Builtin::DataSent).1 > 150.0 && seen.sum(Builtin::DataReceived).1 > 150.0);
        assert_eq!(seen.tags(Builtin::DataSent), "plan=free");
        assert!(seen.failed.borrow().is_empty());
    });
}

#[test]
fn messages_that_come_before_a_pong_are_kept() {
    run(async {
        let url = server(|stream| async {
            let mut session = accept(stream).await;
            for text in ["a", "b"] {
                session.send(Frame::text(text)).await.unwrap();
            }
            // A pong that nobody asked for is not the one.
            session.send(Frame::Pong("stray".into())).await.unwrap();
            while let Some(Ok(_)) = session.next().await {}
        })
        .await;
        let user = user();
        let mut session = builder(&user, &url).connect().await.unwrap();
        session.ping().await.unwrap();
        assert_eq!(user.1.sum(Builtin::WsPing).0, 1);
        assert_eq!(session.next().await.unwrap().unwrap().as_text(), Some("a"));
        assert_eq!(session.next().await.unwrap().unwrap().as_text(), Some("b"));
        assert_eq!(user.1.sum(Builtin::WsMsgsReceived).1, 2.0);
        drop(session);
        assert_eq!(user.1.sum(Builtin::WsSessionDuration).0, 1);
    });
}

#[test]
fn the_servers_close_ends_the_session() {
    run(async {
        use tokio_tungstenite::tungstenite::protocol::CloseFrame;
        let url = server(|stream| async {
            let mut session = accept(stream).await;
            let frame = CloseFrame { code: 4001.into(), reason: "enough".into() };
            session.close(Some(frame)).await.unwrap();
            while let Some(Ok(_)) = session.next().await {}
        })
        .await;
        let user = user();
        let mut session = builder(&user, &url).connect().await.unwrap();
        assert_eq!(session.next().await.unwrap(), None);
        let closed = session.closed().unwrap();
        assert_eq!((closed.code, closed.reason.as_str()), (4001, "enough"));
        assert_eq!(session.next().await.unwrap(), None);
        assert_eq!(user.1.sum(Builtin::WsSessionDuration).0, 1);
        assert_eq!(session.send_text("late").await.unwrap_err().kind(), ErrorKind::ConnectionClosed);
        drop(session);
        assert_eq!(user.1.sum(Builtin::WsSessionDuration).0, 1);
        assert_eq!(user.1.sum(Builtin::WsMsgsSent).0, 0);
    });
}

#[test]
fn a_session_that_breaks_is_a_failure() {
    run(async {
        let url = server(|stream| async { drop(accept(stream).await) }).await;
        let user = user();
        let mut session = builder(&user, &url).connect().await.unwrap();
        let error = session.next().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ConnectionClosed | ErrorKind::ConnectionReset), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(user.1.failure().0, Protocol::WebSocket);
        assert_eq!(user.1.sum(Builtin::WsSessionDuration).0, 1);

        let url = server(|stream| async {
            // A reserved opcode, unmasked as a server's frames are.
            accept(stream).await.get_mut().write_all(&[0x83, 0]).await.unwrap();
        })
        .await;
        let mut session = builder(&user, &url).connect().await.unwrap();
        assert_eq!(session.next().await.unwrap_err().kind(), ErrorKind::InvalidResponse);

        let url = server(|stream| async {
            accept(stream).await.send(Frame::text("x".repeat(100))).await.unwrap();
        })
        .await;
        let mut session = builder(&user, &url).max_message(99).connect().await.unwrap();
        assert_eq!(session.next().await.unwrap_err().kind(), ErrorKind::InvalidResponse);
    });
}

#[test]
fn a_reason_that_does_not_fit_is_not_sent() {
    run(async {
        let user = user();
        let session = builder(&user, &server(echo).await).connect().await.unwrap();
        session.close_with(4000, &"é".repeat(61)).await.unwrap();
        assert!(user.1.failed.borrow().is_empty());
        let session = builder(&user, &server(echo).await).connect().await.unwrap();
        let error = session.close_with(4000, &"x".repeat(124)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains("has 124 bytes; it may have 123"), "{error}");
        assert_eq!(user.1.failure().0, Protocol::WebSocket);
        assert_eq!(user.1.sum(Builtin::WsSessionDuration).0, 2);
    });
}

#[test]
fn a_session_that_is_not_opened_is_recorded() {
    run(async {
        let user = user();
        let port = closed_port().await;
        let error = builder(&user, &format!("ws://127.0.0.1:{port}/")).connect().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::ConnectionRefused, 1212));
        assert_eq!(user.1.sum(Builtin::WsConnecting).0, 0);

        let user = websocket::user();
        let url = server(|mut stream| async move {
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        })
        .await;
        let error = builder(&user, &url).connect().await.unwrap_err();
        assert_eq!((error.kind(), error.code(), error.status()), (ErrorKind::Status, 1403, Some(403)));
        assert!(user.1.failure().1.contains("/rooms/7: the server answered 403"), "{:?}", user.1.failure());
        assert_eq!((user.1.sum(Builtin::WsSessions).0, user.1.sum(Builtin::WsConnecting).0), (0, 0));
        assert!(user.1.sum(Builtin::DataSent).1 > 0.0 && user.1.sum(Builtin::DataReceived).1 > 0.0);

        let user = websocket::user();
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", silent.local_addr().unwrap());
        let limit = Duration::from_millis(30);
        let error = builder(&user, &url).timeout(limit).connect().await.unwrap_err();
        assert!(error.is_timeout() && error.code() == 1050, "{error}");
        assert!(tokio::time::timeout(limit, builder(&user, &url).connect()).await.is_err());
        assert_eq!((user.1.failed.borrow().len(), user.1.sum(Builtin::WsConnecting).0), (2, 0));

        for (url, part) in [
            (
                "http://me:secret@127.0.0.1/x?key=secret",
                "`http://127.0.0.1/x`: invalid url: the scheme `http` is not",
            ),
            ("wss//127.0.0.1:80", "`wss//127.0.0.1:80`: invalid url: it has no scheme"),
            ("ws://", "`ws://`: invalid url"),
        ] {
            let error = builder(&user, url).connect().await.unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
            assert!(error.to_string().contains(part) && error.kind() == ErrorKind::InvalidUrl, "{error}");
            assert!(error.to_string().contains("hint: write ws://"), "{error}");
        }
        let error = builder(&user, "ws://127.0.0.1:1/").header("a b", "c").connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    });
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_longer_than_the_timeout() {
    run(async {
        let url = server(echo).await;
        let (user, limit) = (user(), Duration::from_millis(50));
        let mut session = builder(&user, &url).timeout(limit).connect().await.unwrap();
        // What the test itself gives up goes on.
        assert!(tokio::time::timeout(Duration::from_millis(1), session.next()).await.is_err());
        session.send_text("hello").await.unwrap();
        assert_eq!(session.next().await.unwrap().unwrap().as_text(), Some("hello"));
        let error = session.next().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Timeout, 1050));
        let text = error.to_string();
        assert!(text.contains("timed out after 50ms, waiting for a message\nhint: raise"), "{text}");
        assert!(text.contains(".timeout(..)"), "{text}");
        assert_eq!(user.1.failure().0, Protocol::WebSocket);
        assert_eq!(user.1.sum(Builtin::WsSessionDuration).0, 1);
        assert_eq!(session.next().await.unwrap(), None);
    });
}
