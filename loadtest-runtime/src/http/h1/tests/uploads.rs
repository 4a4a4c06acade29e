//! Bodies of requests: early responses, servers that stop to listen, servers that answer while they read.

use std::future::{Future, poll_fn};
use std::io;
use std::io::Write;
use std::pin::Pin;
use std::pin::pin;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::task::{Context, Poll};

use ::http::Method;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{Notify, Semaphore};

use super::super::super::io::{Counted, Socket, Stream};
use super::super::super::request::Body;
use super::super::super::target::Target;
use super::super::super::transport::Trace;
use super::super::Http1;
use super::script::{Act, Server, ok, send};
use super::wire;
use super::{ErrorKind, run, user};

/// More than the kernel keeps for a server that does not read.
const MUCH: usize = 16 << 20;

const REFUSAL: &str = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nno!";

/// A body that is read, in one of the ways that there are.
fn bodies(length: usize) -> [Body; 3] {
    let reader =
        move || async move { Ok(tokio::io::AsyncReadExt::take(tokio::io::repeat(b'x'), length as u64)) };
    [
        Body::from(vec![b'x'; length]),
        Body::from_reader(Some(length as u64), reader),
        Body::from_reader(None, reader),
    ]
}

#[test]
fn a_response_before_the_end_of_the_request_is_taken() {
    run(async {
        for body in bodies(MUCH) {
            // The server neither reads on nor closes.
            let first = vec![Act::Head, send(REFUSAL), Act::Wait, Act::Gone];
            let server = Server::start([first, vec![Act::Request, ok("2"), Act::Gone]]).await;
            let (http, recorder) = user();
            let response = http.post(server.url("/")).body(body).send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.text().unwrap().as_str()), (413, "no!"));
            // The rest of the body would be taken for the next request.
            assert_eq!(http.get(server.url("/")).send().await.unwrap().text().unwrap(), "2");
            assert_eq!((server.connections(), recorder.all()), (2, vec![(413, None), (200, None)]));
            server.go_on();
            server.gone(1).await;
        }
    });
}

#[test]
fn a_response_of_a_server_that_closes_its_ear_is_never_missed() {
    run(async {
        // With unread data, closing is a reset: it arrives right behind the response.
        let mut taken = 0;
        for i in 0..100 {
            let body = &bodies(1 << 20)[i % 3];
            let server = Server::start([vec![Act::Head, send(REFUSAL)]]).await;
            let (http, recorder) = user();
            let response = http.post(server.url("/")).body(body.clone()).send().await;
            match response {
                Ok(response) => {
                    assert_eq!(response.status(), 413);
                    taken += 1;
                }
                // A kernel may throw away what was received when a reset comes; then there is no response.
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{i}: {error}"),
            }
            assert_eq!(recorder.all().len(), 1);
        }
        assert!(taken > 90 || cfg!(not(target_os = "linux")), "{taken} of 100");
    });
}

/// Yields a part when it may.
struct Gate(Arc<AtomicBool>);

impl AsyncRead for Gate {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.0.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        buf.put_slice(b"part");
        Poll::Ready(Ok(()))
    }
}

/// The end of the connection is known from writing before the reactor has told that there is something to read.
#[test]
fn a_response_is_not_missed_where_writing_fails_first() {
    run(async {
        let may_go_on = Arc::new(AtomicBool::new(false));
        let gate = Arc::clone(&may_go_on);
        let body = Body::from_reader(None, move || {
            let gate = Gate(Arc::clone(&gate));
            async move { Ok(gate) }
        });
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = tokio::net::UnixStream::from_std(ours).unwrap();
        let stream = Stream::Plain(Counted::new(Socket::Unix(ours)));
        let target = Target::get("http://127.0.0.1/").unwrap();
        let (transport, trace) = (Http1::new(true), Trace::start());
        let mut client = pin!(wire::send(&transport, stream, &target, &Method::POST, &body.0, &trace));
        while trace.nothing_written() {
            assert!(poll_fn(|cx| Poll::Ready(client.as_mut().poll(cx).is_pending())).await);
            tokio::task::yield_now().await;
        }
        // Without reading the request, so that there is nobody to write to any more.
        theirs.write_all(REFUSAL.as_bytes()).unwrap();
        drop(theirs);
        may_go_on.store(true, Ordering::Relaxed);
        let got = client.await.unwrap_or_else(|failure| panic!("{}", failure.text));
        assert_eq!((got.status, got.body.as_slice()), (413, &b"no!"[..]));
    });
}

#[test]
fn a_server_that_closes_during_the_upload_without_a_word() {
    run(async {
        for body in bodies(MUCH) {
            for reset in [false, true] {
                let script = if reset { vec![Act::Head, Act::Reset] } else { vec![Act::Head] };
                let server = Server::start([script, vec![Act::Request, ok("2")]]).await;
                let (http, recorder) = user();
                let error = http.put(server.url("/")).body(body.clone()).send().await.unwrap_err();
                let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::ConnectionClosed];
                assert!(kinds.contains(&error.kind()), "{error}");
                assert_eq!(recorder.all(), [(0, Some(error.kind()))]);
                assert_eq!(server.connections(), 1, "a new connection that failed is not a dead old one");
            }
        }
    });
}

#[test]
fn a_server_that_has_half_closed_still_gets_the_request() {
    run(async {
        // It answers and ends its side at once, and reads on.
        let until_close = "HTTP/1.1 200 OK\r\n\r\nearly";
        for body in bodies(1 << 20) {
            let script = vec![Act::Head, send(until_close), Act::Shutdown, Act::Gone];
            let server = Server::start([script]).await;
            let (http, recorder) = user();
            let response = http.post(server.url("/")).body(body).send().await.unwrap();
            assert_eq!(response.text().unwrap(), "early");
            assert_eq!(recorder.all(), [(200, None)]);
            server.gone(1).await;
        }
    });
}

#[test]
fn interim_responses_during_an_upload() {
    run(async {
        for body in bodies(100_000) {
            let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
            // One before anything is read, others when all is.
            let first = Act::Trickle(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec());
            let script =
                vec![first, Act::Request, send(interim), ok("done"), Act::Request, ok("2"), Act::Gone];
            let server = Server::start([script]).await;
            let (http, recorder) = user();
            let request = http.post(server.url("/")).header("expect", "100-continue").body(body);
            assert_eq!(request.send().await.unwrap().text().unwrap(), "done");
            assert_eq!(http.get(server.url("/")).send().await.unwrap().text().unwrap(), "2");
            assert_eq!((server.connections(), recorder.all().len()), (1, 2));
        }
    });
}

/// Yields a part, and fails.
struct Broken(bool);

impl AsyncRead for Broken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(Err(io::Error::other("the disk is on fire")));
        }
        buf.put_slice(b"part");
        Poll::Ready(Ok(()))
    }
}

#[test]
fn an_upload_that_breaks_off_is_no_request() {
    run(async {
        let short = |length| Body::from_reader(Some(length), || async { Ok(&b"short"[..]) });
        let broken = |length| Body::from_reader(length, || async { Ok(Broken(false)) });
        let missing = Body::from_reader(None, || async {
            Err::<tokio::io::Empty, _>(io::Error::from(io::ErrorKind::NotFound))
        });
        for (body, reason) in [
            (short(9), "ended after 5 of 9 bytes"),
            (broken(Some(9)), "the disk is on fire"),
            (broken(None), "the disk is on fire"),
            (missing, "can't be read"),
        ] {
            let server = Server::start([vec![Act::Gone], vec![Act::Request, ok("2")]]).await;
            let (http, recorder) = user();
            let error = http.post(server.url("/")).body(body).send().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
            assert!(error.to_string().contains(reason), "{error}");
            // What came of it must not look like a whole request.
            server.gone(1).await;
            assert_eq!(recorder.all(), [(0, Some(ErrorKind::InvalidRequest))]);
        }
    });
}

#[test]
fn what_could_be_taken_for_two_requests_is_not_sent() {
    run(async {
        let server = Server::start([]).await;
        let (http, recorder) = user();
        let post = || http.post(server.url("/")).body("0\r\n\r\nGET /forged HTTP/1.1\r\n\r\n");
        for request in [
            post().header("transfer-encoding", "chunked"),
            post().header("content-length", "3"),
            post().cookie("a", "b\r\nx: y"),
            post().cookie("a\nb", "c"),
            post().header("x", "y\r\nz: a"),
        ] {
            assert_eq!(request.send().await.unwrap_err().kind(), ErrorKind::InvalidRequest);
        }
        assert_eq!((server.requests().len(), recorder.all().len()), (0, 5));
    });
}

#[test]
fn what_comes_while_an_upload_is_being_opened_is_no_answer_to_it() {
    run(async {
        // The server ends the idle connection with a word, as load balancers do.
        let timeout = "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n";
        let first = vec![Act::Request, ok("1"), Act::Wait, send(timeout), Act::Gone];
        let server = Server::start([first, vec![Act::Request, ok("2"), Act::Gone]]).await;
        let (http, recorder) = user();
        http.get(server.url("/")).send().await.unwrap();
        let (opening, open) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let (told, until) = (Arc::clone(&opening), Arc::clone(&open));
        let body = Body::from_reader(Some(3), move || {
            let (told, until) = (Arc::clone(&told), Arc::clone(&until));
            async move {
                told.notify_one();
                until.acquire().await.unwrap().forget();
                Ok(&b"abc"[..])
            }
        });
        let word = async {
            opening.notified().await;
            server.go_on();
            // The server writes it on this thread, and loopback is never late by much.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            // It is opened once more for the fresh connection.
            open.add_permits(2);
        };
        let (response, ()) = tokio::join!(http.post(server.url("/")).body(body).send(), word);
        let response = response.unwrap();
        assert_eq!((response.status().as_u16(), response.text().unwrap().as_str()), (200, "2"));
        assert_eq!((server.connections(), recorder.all()), (2, vec![(200, None), (200, None)]));
    });
}
