//! HTTP/2 against a server of the `h2` crate.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream};
use ::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Barrier, Notify};

#[cfg(feature = "tls")]
use super::certificates::Authority;
use super::*;
use crate::http::Method;
use crate::http::options::HttpVersion;

/// What a server saw.
#[derive(Default)]
struct Seen {
    connections: Cell<usize>,
    requests: RefCell<Vec<(Request<()>, usize)>>,
    stop: Notify,
}

impl Seen {
    /// A request, and the length of its body.
    fn request(&self, index: usize) -> (Request<()>, usize) {
        let requests = self.requests.borrow();
        let (request, length) = &requests[index];
        (request.clone(), *length)
    }
}

/// The most streams that a server lets be open at once.
const STREAMS: u32 = 20;

/// Speaks HTTP/2 on a connection.
async fn serve(io: impl AsyncRead + AsyncWrite + Unpin + 'static, seen: Rc<Seen>, barrier: Rc<Barrier>) {
    seen.connections.set(seen.connections.get() + 1);
    let handshake = ::h2::server::Builder::new().max_concurrent_streams(STREAMS).handshake::<_, Bytes>(io);
    let Ok(mut connection) = handshake.await else { return };
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = seen.stop.notified() => {
                connection.graceful_shutdown();
                continue;
            }
        };
        let Some(Ok((request, respond))) = accepted else { return };
        match request.uri().path() {
            "/closed" => return,
            "/abrupt" => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
            _ => {
                tokio::task::spawn_local(answer(request, respond, Rc::clone(&seen), Rc::clone(&barrier)));
            }
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    seen: Rc<Seen>,
    barrier: Rc<Barrier>,
) {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    match path.as_str() {
        "/reset" => return respond.send_reset(Reason::ENHANCE_YOUR_CALM),
        "/never" => return std::future::pending().await,
        "/early" => {
            let response = Response::builder().status(413).body(()).unwrap();
            let mut stream = respond.send_response(response, false).unwrap();
            // With the rest of the request unread, the library resets the stream without an error.
            return stream.send_data(Bytes::from_static(b"too large"), true).unwrap();
        }
        _ => {}
    }
    let mut length = 0;
    while let Some(Ok(chunk)) = body.data().await {
        length += chunk.len();
        body.flow_control().release_capacity(chunk.len()).unwrap();
    }
    seen.requests.borrow_mut().push((Request::from_parts(head, ()), length));
    let response = |status| Response::builder().status(status).body(()).unwrap();
    match path.as_str() {
        "/empty" => _ = respond.send_response(response(204), true).unwrap(),
        "/together" => {
            barrier.wait().await;
            let mut stream = respond.send_response(response(200), false).unwrap();
            stream.send_data(Bytes::from_static(b"together"), true).unwrap();
        }
        "/large" => {
            let mut stream = respond.send_response(response(200), false).unwrap();
            for _ in 0..64 {
                stream.send_data(Bytes::from(vec![b'x'; 100_000]), false).unwrap();
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("x-checksum", "1".parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        }
        "/cut" => {
            let mut stream = respond.send_response(response(200), false).unwrap();
            stream.send_data(Bytes::from_static(b"part"), false).unwrap();
            // The reset must not overtake the data.
            tokio::task::yield_now().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        _ => {
            let mut stream = respond.send_response(response(200), false).unwrap();
            stream.send_data(Bytes::from(length.to_string()), true).unwrap();
        }
    }
}

/// A server over TCP; requests to `/together` are answered when there are so many of them.
async fn http2_server(together: usize) -> (String, Rc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (seen, barrier) = (Rc::<Seen>::default(), Rc::new(Barrier::new(together)));
    let serving = Rc::clone(&seen);
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(serve(stream, Rc::clone(&serving), Rc::clone(&barrier)));
        }
    });
    (url, seen)
}

fn http2() -> HttpOptions {
    HttpOptions { http_version: HttpVersion::Http2, ..HttpOptions::default() }
}

#[cfg(feature = "tls")]
#[test]
fn it_is_negotiated() {
    run(async {
        let authority = Authority { alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()], ..Authority::new() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let (seen, barrier) = (Rc::<Seen>::default(), Rc::new(Barrier::new(1)));
        let (serving, acceptor) = (Rc::clone(&seen), authority.acceptor());
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = acceptor.accept(stream).await.unwrap();
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                tokio::task::spawn_local(serve(stream, Rc::clone(&serving), Rc::clone(&barrier)));
            }
        });
        let (http, recorder) = user_with(authority.trusting());
        for _ in 0..2 {
            let response = http.get(&url).send().await.unwrap();
            assert_eq!((response.version(), &*response.text().unwrap()), (crate::http::Version::HTTP_2, "0"));
        }
        let all = recorder.all();
        assert_eq!((all[0].protocol, all[0].error), (Protocol::Http2, None));
        assert!(all[0].timings.tls_handshaking > 0 && all[1].timings.tls_handshaking == 0, "{all:#?}");
        // The handshake goes to the exchange that caused it, and to no other.
        assert!(all[0].bytes_received > 3 * all[1].bytes_received && all[1].bytes_received > 0, "{all:#?}");
        assert_eq!(seen.connections.get(), 1);
        assert_eq!(seen.request(0).0.uri().scheme_str(), Some("https"));
    });
}

#[cfg(feature = "tls")]
#[test]
fn without_agreement_it_is_http1_or_an_error() {
    run(async {
        let plain = Authority { alpn: vec![b"http/1.1".to_vec()], ..Authority::new() };
        let silent = Authority::new();
        for (authority, kind) in [(plain, ErrorKind::Tls), (silent, ErrorKind::Http2)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
            let acceptor = authority.acceptor();
            tokio::task::spawn_local(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                while let Ok((stream, _)) = listener.accept().await {
                    let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                    if stream.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {
                        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
                        stream.flush().await.unwrap();
                    }
                }
            });
            let (http, recorder) = user_with(authority.trusting());
            assert_eq!(http.get(&url).send().await.unwrap().status(), 204);
            assert_eq!(recorder.only().protocol, Protocol::Http11);
            let http_version = HttpVersion::Http2;
            let (http, recorder) = user_with(HttpOptions { http_version, ..authority.trusting() });
            let error = http.get(&url).send().await.unwrap_err();
            assert_failed(&recorder.only(), &error, kind, kind.code());
            assert!(error.to_string().contains("http_version = \"auto\""), "{error}");
        }
    });
}

#[test]
fn it_is_spoken_by_prior_knowledge_on_a_connection_per_user() {
    run(async {
        let (url, seen) = http2_server(1).await;
        for user in 1..=2 {
            let (http, recorder) = user_with(http2());
            for _ in 0..3 {
                assert_eq!(http.get(format!("{url}/seats/9")).send().await.unwrap().text().unwrap(), "0");
            }
            assert_eq!(seen.connections.get(), user);
            let all = recorder.all();
            assert!(all.iter().all(|exchange| exchange.protocol == Protocol::Http2), "{all:#?}");
            assert!(all[0].timings.connecting > 0 && all[1].timings.connecting == 0);
            for exchange in &all {
                let timings = exchange.timings;
                assert!(timings.sending > 0 && timings.waiting > 0, "{timings:?}");
            }
        }
    });
}

#[test]
fn the_head_is_that_of_the_request() {
    run(async {
        let (url, seen) = http2_server(1).await;
        let (http, _) = user_with(http2());
        let with_credentials = url.replace("http://", "http://al:ice@");
        let request = http.post(format!("{with_credentials}/a%20b?q=1")).header("x-mine", "1");
        let response = request.header("connection", "close").body("12345").send().await.unwrap();
        assert_eq!(response.text().unwrap(), "5");
        let (head, _) = seen.request(0);
        assert_eq!(head.uri().to_string(), format!("{url}/a%20b?q=1"));
        let header = |name: &str| head.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!((header("x-mine"), header("content-length")), (Some("1"), Some("5")));
        assert_eq!((header("host"), header("connection")), (None, None));
        assert!(header("user-agent").unwrap().starts_with("cargo-loadtest/"));
        assert!(header("authorization").unwrap().starts_with("Basic "));
        assert_eq!(header("accept-encoding").is_some(), cfg!(feature = "compression"));
        http.post(format!("{url}/")).header("host", "other.test").send().await.unwrap();
        let (head, _) = seen.request(1);
        assert_eq!(head.uri().authority().unwrap(), "other.test");
        assert_eq!(head.headers()["content-length"], "0");
        http.request(Method::HEAD, format!("{url}/empty")).send().await.unwrap();
        assert_eq!(seen.request(2).0.method(), Method::HEAD);
        assert_eq!(seen.connections.get(), 1);
    });
}

/// Sends ten requests that are answered together.
async fn ten(http: &Http, url: &str) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (http, url) = (http.clone(), format!("{url}/together"));
        tasks.spawn_local(async move { http.get(&url).send().await.unwrap().text().unwrap() });
    }
    let mut answers = 0;
    while let Some(text) = tasks.join_next().await {
        assert_eq!(text.unwrap(), "together");
        answers += 1;
    }
    assert_eq!(answers, 10);
}

#[test]
fn requests_at_once_share_a_connection() {
    run(async {
        let (url, seen) = http2_server(10).await;
        let (http, recorder) = user_with(http2());
        // Not even those that begin without a connection make more than one.
        ten(&http, &url).await;
        http.get(&url).send().await.unwrap();
        ten(&http, &url).await;
        assert_eq!(seen.connections.get(), 1);
        let all = recorder.all();
        assert_eq!(all.len(), 21);
        assert!(all.iter().all(|exchange| exchange.timings.waiting > 0));
        // Shared, but no byte twice: a response is a head of about ten bytes and a body of eight.
        let received: u64 = all.iter().map(|exchange| exchange.bytes_received).sum();
        assert!((21 * (9 + 9 + 1)..21 * 60).contains(&received), "{received}");
    });
}

#[test]
fn more_streams_than_the_server_takes_wait() {
    run(async {
        let together = STREAMS as usize;
        let (url, seen) = http2_server(together).await;
        let (http, recorder) = user_with(http2());
        // Its settings come with the first response.
        http.get(&url).send().await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..3 * together {
            let (http, url) = (http.clone(), format!("{url}/together"));
            tasks.spawn_local(async move { http.get(&url).send().await.unwrap() });
        }
        while let Some(response) = tasks.join_next().await {
            assert_eq!(response.unwrap().status(), 200);
        }
        assert_eq!(seen.connections.get(), 1);
        let waited = recorder.all().iter().filter(|exchange| exchange.timings.blocked > 0).count();
        assert!(waited >= 2 * together, "{waited}");
    });
}

#[test]
fn bodies_of_any_size_go_both_ways() {
    run(async {
        let (url, _) = http2_server(1).await;
        let (http, recorder) = user_with(http2());
        // Beyond the windows of both sides.
        let body = vec![7u8; 7_000_000];
        let response = http.post(format!("{url}/upload")).body(body).send().await.unwrap();
        assert_eq!(response.text().unwrap(), "7000000");
        let response = http.get(format!("{url}/large")).send().await.unwrap();
        assert_eq!(response.bytes().len(), 6_400_000);
        let all = recorder.all();
        assert!(all[0].bytes_sent > 7_000_000 && all[1].bytes_received > 6_400_000);
        assert!(all[0].timings.sending > all[0].timings.receiving, "{all:#?}");
        assert_eq!(http.get(format!("{url}/empty")).send().await.unwrap().status(), 204);
    });
}

#[test]
fn errors_have_k6s_codes() {
    run(async {
        let (url, seen) = http2_server(1).await;
        let (http, recorder) = user_with(http2());
        let error = http.get(format!("{url}/reset")).send().await.unwrap_err();
        // ENHANCE_YOUR_CALM is 11 (RFC 9113, section 7).
        assert_failed(&recorder.all()[0], &error, ErrorKind::Http2Stream(11), 1642);
        let error = http.get(format!("{url}/cut")).send().await.unwrap_err();
        assert_failed(&recorder.all()[1], &error, ErrorKind::Http2Stream(2), 1633);
        assert_eq!(error.status(), Some(200));
        assert_eq!(seen.connections.get(), 1, "a stream's error is not the connection's");
        let error = http.get(format!("{url}/abrupt")).send().await.unwrap_err();
        assert_failed(&recorder.all()[2], &error, ErrorKind::Http2GoAway(11), 1622);
        let error = user_with(http2()).0.post(format!("{url}/closed")).send().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::ConnectionClosed, 1000), "{error}");
        // The user goes on, on a new connection.
        assert_eq!(http.get(format!("{url}/empty")).send().await.unwrap().status(), 204);
    });
}

#[test]
fn what_is_not_http2() {
    run(async {
        let server = server::Server::start([server::ok("a")]).await;
        let (http, recorder) = user_with(http2());
        let error = http.get(server.url("/")).send().await.unwrap_err();
        let recorded = recorder.only();
        assert!((1600..1700).contains(&recorded.error_code) || recorded.error_code == 1000, "{recorded:?}");
        assert!(error.to_string().contains("http/2"), "{error}");
    });
}

#[test]
fn a_request_is_repeated_when_the_server_goes_away() {
    run(async {
        let (url, seen) = http2_server(1).await;
        let (http, recorder) = user_with(http2());
        http.get(&url).send().await.unwrap();
        seen.stop.notify_one();
        // Whether the notice comes before or after they are sent, they are answered: none was looked at.
        for _ in 0..3 {
            let response = http.post(format!("{url}/")).body("123").send().await.unwrap();
            assert_eq!(response.text().unwrap(), "3");
        }
        assert_eq!(seen.connections.get(), 2);
        assert_eq!(recorder.all().len(), 4);
        assert_eq!(seen.requests.borrow().len(), 4, "none twice");
    });
}

#[test]
fn an_answer_before_the_end_of_an_upload() {
    run(async {
        let (url, seen) = http2_server(1).await;
        let (http, recorder) = user_with(http2());
        let response = http.post(format!("{url}/early")).body(vec![0u8; 7_000_000]).send().await.unwrap();
        assert_eq!((response.status().as_u16(), &*response.text().unwrap()), (413, "too large"));
        assert!(recorder.only().bytes_sent < 7_000_000);
        assert_eq!(http.get(&url).send().await.unwrap().status(), 200);
        assert_eq!(seen.connections.get(), 1);
    });
}

#[test]
fn a_request_that_is_given_up_gives_its_stream_back() {
    run(async {
        let (url, seen) = http2_server(1).await;
        let (http, recorder) = user_with(http2());
        http.get(&url).send().await.unwrap();
        for _ in 0..2 * STREAMS {
            let request = http.get(format!("{url}/never")).timeout(Duration::from_millis(1));
            assert_eq!(request.send().await.unwrap_err().kind(), ErrorKind::Timeout);
        }
        assert_eq!(http.get(&url).send().await.unwrap().status(), 200);
        assert_eq!(seen.connections.get(), 1);
        let waits = recorder.all().iter().filter(|exchange| exchange.error_text.contains("waiting")).count();
        assert!(waits > 0, "{:#?}", recorder.all());
    });
}

#[test]
fn each_request_can_have_a_connection_of_its_own() {
    run(async {
        let (url, seen) = http2_server(1).await;
        let (http, _) = user_with(HttpOptions { no_connection_reuse: true, ..http2() });
        for _ in 0..3 {
            http.get(&url).send().await.unwrap();
        }
        assert_eq!(seen.connections.get(), 3);
    });
}

#[test]
fn no_local_set_is_needed() {
    let (urls, url) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = std::thread::spawn(move || {
        run(async {
            let (url, seen) = http2_server(10).await;
            urls.send(url).unwrap();
            let _ = stopped.await;
            assert_eq!(seen.connections.get(), 1);
        });
    });
    let url = url.recv().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (http, recorder) = user_with(http2());
        let body = vec![1u8; 1_000_000];
        let response = http.post(&url).body(body).send().await.unwrap();
        assert_eq!(response.text().unwrap(), "1000000");
        let one = || async { http.get(format!("{url}/together")).send().await.unwrap().status().as_u16() };
        let answers = tokio::join!(one(), one(), one(), one(), one(), one(), one(), one(), one(), one());
        assert_eq!(answers.0, 200);
        assert!(recorder.all().iter().all(|exchange| exchange.timings.waiting > 0));
    });
    drop(stop);
    served.join().unwrap();
}
