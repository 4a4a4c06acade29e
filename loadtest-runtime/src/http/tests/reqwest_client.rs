//! A client of the user's own.

use std::rc::Rc;
use std::time::Duration;

use super::server::{Server, Step, ok, reply};
use super::*;
use crate::http::ReqwestHttp;

#[test]
fn requests_are_recorded() {
    run(async {
        let moved = reply("302 Found", "location: /b\r\n", "");
        let server = Server::start([ok("fine"), moved, reply("404 Not Found", "", "no")]).await;
        let recorder = Rc::new(Recorder::default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let http = ReqwestHttp::new(&client, Rc::clone(&recorder) as Rc<dyn RecordExchange>).tag("k", "v");
        let request = client.post(server.url("/seats/5")).body("body");
        let response = http.send(request).await.unwrap();
        assert_eq!((response.status().as_u16(), &*response.text().unwrap()), (200, "fine"));
        let response = http.execute(client.get(server.url("/a")).build().unwrap()).await.unwrap();
        assert_eq!(response.url(), server.url("/b"));
        let all = recorder.all();
        assert_eq!(recorder.statuses(), [200, 404]);
        assert_eq!((&*all[0].name, all[0].bytes_sent, all[0].bytes_received), ("/seats/{id}", 4, 4));
        assert_eq!((all[0].expected, all[1].expected, all[1].error_code), (true, false, 1404));
        assert!(all[0].timings.waiting > 0 && all[0].tags.len() == 1);
    });
}

#[test]
fn failures_have_their_kinds() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let server = Server::start([
            Step::Close(Vec::new()),
            Step::Stall(Vec::new()),
            Step::Close(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_vec()),
            Step::Reply(b"nonsense\r\n\r\n".to_vec()),
        ])
        .await;
        let recorder = Rc::new(Recorder::default());
        let client =
            reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(200)).build().unwrap();
        let http = ReqwestHttp::new(&client, Rc::clone(&recorder) as Rc<dyn RecordExchange>);
        for (url, kind, code) in [
            (refused, ErrorKind::ConnectionRefused, 1212),
            (server.url("/"), ErrorKind::ConnectionClosed, 1000),
            (server.url("/"), ErrorKind::Timeout, 1050),
            (server.url("/"), ErrorKind::ConnectionClosed, 1000),
            (server.url("/"), ErrorKind::InvalidResponse, 1000),
            ("nowhere".to_owned(), ErrorKind::InvalidRequest, 1000),
        ] {
            let error = http.send(client.get(&url)).await.unwrap_err();
            let recorded = recorder.all().pop().unwrap();
            assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
            assert_eq!((recorded.error, recorded.error_code), (Some(kind), code));
        }
        assert_eq!(recorder.all().len(), 6);
    });
}

#[test]
fn what_the_test_gives_up_is_recorded_and_no_secret_is() {
    run(async {
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_vec();
        let server =
            Server::start([Step::Stall(Vec::new()), Step::Stall(half), Step::Close(Vec::new())]).await;
        let recorder = Rc::new(Recorder::default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let http = ReqwestHttp::new(&client, Rc::clone(&recorder) as Rc<dyn RecordExchange>);
        let url = server.url("/x?token=secret");
        for _ in 0..2 {
            let request = http.send(client.get(&url));
            assert!(tokio::time::timeout(Duration::from_millis(200), request).await.is_err());
        }
        let error = http.send(client.get(&url)).await.unwrap_err();
        assert_eq!(recorder.statuses(), [0, 200, 0]);
        assert!(recorder.all()[..2].iter().all(|exchange| exchange.error == Some(ErrorKind::Timeout)));
        let shown = format!("{error} {error:?} {:?}", recorder.all());
        assert!(!shown.contains("secret"), "{shown}");
    });
}
