//! What hyper's client makes of the same bytes.
//!
//! Where both accept a response, they agree on all of it. Where only one does, it is for a reason in a list.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::http::Method;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::super::fuzzing::cut;
use super::chunked::bodies;
use super::corpus::RESPONSES;
use super::run;
use super::wire::{Got, exchange};

/// What we refuse and hyper accepts: words of our reason, hyper's, and an example.
const STRICTER: &[(&str, &str, &str)] = &[
    (
        "both a length and a transfer encoding",
        "hyper takes the encoding; something in between may have taken the length",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "is not `chunked`",
        "hyper reads what it cannot decode to the end of the connection",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
    ),
    (
        "switches to another protocol",
        "hyper hands the connection out; nobody asked for another protocol",
        "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ),
    (
        "is not a number",
        "hyper does not look at the length where there is no body",
        "HTTP/1.1 204 No Content\r\ncontent-length: x\r\n\r\n",
    ),
    (
        "two lengths",
        "hyper does not look at the length where there is no body",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 1, 2\r\n\r\n",
    ),
    (
        "HTTP/1.0 has a transfer encoding",
        "hyper does not look at the encoding where there is no body",
        "HTTP/1.0 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n",
    ),
    (
        "more than 16 digits",
        "hyper takes as many zeros before the size of a chunk as come",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n00000000000000001\r\na\r\n0\r\n\r\n",
    ),
    (
        "a trailer ends without a carriage return",
        "hyper takes a line feed alone between trailers",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\na:\r\n\n: b\r\n\r\n",
    ),
    (
        "more than 16 interim responses",
        "hyper takes as many as come",
        concat!(
            "HTTP/1.1 100 1\n\nHTTP/1.1 100 2\n\nHTTP/1.1 100 3\n\nHTTP/1.1 100 4\n\nHTTP/1.1 100 5\n\n",
            "HTTP/1.1 100 6\n\nHTTP/1.1 100 7\n\nHTTP/1.1 100 8\n\nHTTP/1.1 100 9\n\nHTTP/1.1 100 10\n\n",
            "HTTP/1.1 100 11\n\nHTTP/1.1 100 12\n\nHTTP/1.1 100 13\n\nHTTP/1.1 100 14\n\n",
            "HTTP/1.1 100 15\n\nHTTP/1.1 100 16\n\nHTTP/1.1 100 17\n\nHTTP/1.1 200 OK\n\n",
        ),
    ),
];

// What we accept, hyper accepts, but for its limits: see `limits_that_are_wider_than_hypers`.

/// Tokio's input and output, as hyper has it.
pub(super) struct Io<T>(pub(super) T);

impl<T: AsyncRead + Unpin> hyper::rt::Read for Io<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 16 * 1024];
        let room = buf.remaining().min(bytes.len());
        let mut read = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut read))?;
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> hyper::rt::Write for Io<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What hyper's client makes of a response after which the connection is closed.
async fn by_hyper(method: &Method, response: &[u8]) -> Result<Got, String> {
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    let text = |error: hyper::Error| format!("{error:?}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(Io(ours)).await.map_err(text)?;
    let driver = tokio::task::spawn_local(connection);
    let request = ::http::Request::builder().method(method).uri("/").body(Empty::<Bytes>::new()).unwrap();
    let server = async {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(theirs.read_buf(&mut request).await.unwrap() > 0);
        }
        let _ = theirs.write_all(response).await;
        let _ = theirs.shutdown().await;
        theirs
    };
    let client = async {
        let response = sender.send_request(request).await.map_err(text)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(text)?.to_bytes().to_vec();
        Ok(Got { status: head.status.as_u16(), version: head.version, headers: head.headers, body })
    };
    let (got, _theirs) = tokio::join!(client, server);
    driver.abort();
    got
}

/// How a comparison went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    BothAccept,
    BothRefuse,
    Stricter,
}

/// Whether both agree, or disagree for a known reason.
async fn compare(method: &Method, response: &[u8], cuts: &[u8]) -> Result<Verdict, String> {
    let ours = exchange(method, cut(response, cuts), true).await.map(|(got, _)| got);
    let theirs = by_hyper(method, response).await;
    let shown = response.escape_ascii();
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if ours == theirs => Ok(Verdict::BothAccept),
        (Err(_), Err(_)) => Ok(Verdict::BothRefuse),
        (Err(ours), Ok(_)) if STRICTER.iter().any(|(words, ..)| ours.text.contains(words)) => {
            Ok(Verdict::Stricter)
        }
        (Ok(ours), Ok(theirs)) => Err(format!("{method} {shown}:\n{ours:?}\n{theirs:?}")),
        (Err(ours), Ok(theirs)) => Err(format!("{method} {shown}: refused by us: {}\n{theirs:?}", ours.text)),
        (Ok(ours), Err(theirs)) => Err(format!("{method} {shown}: refused by hyper: {theirs}\n{ours:?}")),
    }
}

/// Responses, valid and nearly valid.
fn responses() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        6 => Just("HTTP/1.1 200 OK".to_owned()),
        3 => (100u16..1000).prop_map(|status| format!("HTTP/1.1 {status} Reason")),
        2 => prop::sample::select(vec![204u16, 205, 304, 100, 101, 103, 404, 500])
            .prop_map(|status| format!("HTTP/1.1 {status}")),
        2 => Just("HTTP/1.0 200 OK".to_owned()),
        1 => prop::sample::select(vec![
            "HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1  200 OK", "HTTP/2.0 200 OK", "HTTP/1.2 200 OK",
            "HTTP/1.1 099 Low", "HTTP/1.1 1000 High", "HTTP/1.1 200\tOK", "http/1.1 200 OK", " HTTP/1.1 200 OK",
            "\r\nHTTP/1.1 200 OK", "HTTP/1.1 200 d\u{e9}j\u{e0}", "HTTP/1.1 200 a\u{7f}b", "HTTP/1.1 2x0 OK",
        ]).prop_map(str::to_owned),
    ];
    let header = prop_oneof![
        4 => ("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}", "[ \t]{0,2}", "[ -~\u{80}-\u{ff}\t]{0,12}")
            .prop_map(|(name, space, value)| format!("{name}:{space}{value}")),
        2 => prop::sample::select(vec![
            "set-cookie: a=b; Path=/", "set-cookie: c=d", "connection: close", "connection: keep-alive",
            "Connection: x, Close", "keep-alive: timeout=5", "content-type: text/plain", "trailer: x",
            "content-encoding: identity", "upgrade: x",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![
            "transfer-encoding: chunked", "transfer-encoding: gzip, chunked", "transfer-encoding: identity",
            "Transfer-Encoding: CHUNKED ", "transfer-encoding:", "transfer-encoding: chunked, chunked",
            "content-length: 5", "content-length: 5, 5", "content-length: 5,6", "content-length: +5",
            "content-length: -1", "content-length:", "content-length: 18446744073709551615",
            "content-length: 18446744073709551616", "content-length: 005", "content-length: 5 5",
            "content-length: 0x5", "content-length:\t5\t", "content-length: 5,", "content-length: ,5",
            "x : y", " folded", "\tfolded", "no colon", ": no name", "x: a\0b", "x: a\u{1}b", "x(y): z", "x: \r",
        ]).prop_map(str::to_owned),
    ];
    let body = prop_oneof![
        3 => bodies().prop_map(|(body, _)| (Some("transfer-encoding: chunked".to_owned()), body)),
        3 => prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|body| (Some(format!("content-length: {}", body.len())), body)),
        1 => (0u8..50, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(length, body)| (Some(format!("content-length: {length}")), body)),
        2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|body| (None, body)),
    ];
    let interim = prop_oneof![
        6 => Just(String::new()),
        1 => Just("HTTP/1.1 100 Continue\r\n\r\n".to_owned()),
        1 => (100u16..200, 1usize..4)
            .prop_map(|(status, count)| format!("HTTP/1.1 {status} Wait\r\nlink: </x>\r\n\r\n").repeat(count)),
        1 => Just("HTTP/1.1 102 Wait\r\n\r\n".repeat(17)),
    ];
    let end = prop_oneof![8 => Just("\r\n"), 1 => Just("\n")];
    let mutation = prop_oneof![
        5 => Just(None),
        2 => (any::<prop::sample::Index>(), prop::option::of(any::<u8>()), any::<bool>()).prop_map(Some),
        2 => (
            any::<prop::sample::Index>(),
            prop::sample::select(b"\r\n\t :;,0a\0\xff".to_vec()).prop_map(Some),
            any::<bool>(),
        ).prop_map(Some),
    ];
    let headers = prop::collection::vec(header, 0..5);
    (interim, line, headers, any::<prop::sample::Index>(), body, end, mutation).prop_map(
        |(interim, line, mut headers, at, (framing, body), end, mutation)| {
            if let Some(framing) = framing {
                headers.insert(at.index(headers.len() + 1), framing);
            }
            let latin1 = |text: &str| -> Vec<u8> {
                text.chars().map(|char| u8::try_from(char).unwrap_or(b'?')).collect()
            };
            let mut bytes = interim.into_bytes();
            bytes.extend(latin1(&line));
            bytes.extend_from_slice(end.as_bytes());
            for header in headers {
                bytes.extend(latin1(&header));
                bytes.extend_from_slice(end.as_bytes());
            }
            bytes.extend_from_slice(end.as_bytes());
            bytes.extend(body);
            if let Some((at, byte, inserts)) = mutation {
                let at = at.index(bytes.len());
                match (byte, inserts) {
                    (Some(byte), true) => bytes.insert(at, byte),
                    (Some(byte), false) => bytes[at] = byte,
                    (None, true) => _ = bytes.remove(at),
                    (None, false) => bytes.truncate(at),
                }
            }
            bytes
        },
    )
}

#[test]
fn hyper_reads_the_same() {
    run(async {
        for method in [Method::GET, Method::HEAD] {
            for (name, response, _) in RESPONSES {
                compare(&method, response, &[]).await.unwrap_or_else(|text| panic!("{name}: {text}"));
            }
        }
    });
}

#[test]
fn where_hyper_takes_more() {
    run(async {
        for (words, why, response) in STRICTER {
            let ours = exchange(&Method::GET, [response.as_bytes()], true).await.unwrap_err();
            assert!(ours.text.contains(words), "{words}: {}", ours.text);
            let verdict = compare(&Method::GET, response.as_bytes(), &[]).await;
            assert_eq!(verdict, Ok(Verdict::Stricter), "{words}: {why}");
        }
    });
}

/// With `PROPTEST_CASES`, as many cases as it says, others each time.
#[test]
fn hyper_reads_the_same_of_whatever_comes() {
    let config = Config { failure_persistence: None, ..Config::default() };
    let cases = config.cases as usize;
    let methods = prop_oneof![4 => Just(Method::GET), 1 => Just(Method::HEAD), 1 => Just(Method::POST)];
    let cuts = prop::collection::vec(1u8..60, 0..6);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let verdicts = RefCell::new(Vec::new());
    let mut runner = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => TestRunner::new(config),
        // The same each time: what is rare is looked for on purpose, not by chance in somebody else's change.
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let checked = runner.run(&(methods, responses(), cuts), |(method, response, cuts)| {
        let local = tokio::task::LocalSet::new();
        let limit = Duration::from_secs(5);
        let compared = async { tokio::time::timeout(limit, compare(&method, &response, &cuts)).await };
        let compared = local.block_on(&runtime, compared);
        let compared = compared.map_err(|_| TestCaseError::fail("one of them waits for more"))?;
        verdicts.borrow_mut().push(compared.map_err(TestCaseError::fail)?);
        Ok(())
    });
    if let Err(TestError::Fail(reason, _)) = &checked {
        panic!("{reason}");
    }
    checked.expect("no case is skipped");
    // Of each there is enough to mean something.
    for (verdict, share) in [(Verdict::BothAccept, 5), (Verdict::BothRefuse, 5), (Verdict::Stricter, 50)] {
        let count = verdicts.borrow().iter().filter(|other| **other == verdict).count();
        assert!(count >= cases / share, "{verdict:?}: {count} of {cases}");
    }
}

#[test]
fn limits_that_are_wider_than_hypers() {
    run(async {
        for (count, we, they) in
            [(100, true, true), (101, true, false), (128, true, false), (129, false, false)]
        {
            let response = format!("HTTP/1.1 204 No\r\n{}\r\n", "x: y\r\n".repeat(count));
            let ours = exchange(&Method::GET, [response.as_bytes()], true).await;
            let theirs = by_hyper(&Method::GET, response.as_bytes()).await;
            assert_eq!((ours.is_ok(), theirs.is_ok()), (we, they), "{count} headers");
            if let (Ok((ours, _)), Ok(theirs)) = (ours, theirs) {
                assert_eq!((ours.headers.len(), &ours), (count, &theirs));
            }
        }
        let extension = format!("1;{}\r\nx\r\n", "e".repeat(4_000));
        for (count, we, they) in [(4, true, true), (16, true, false), (17, false, false)] {
            let chunks = extension.repeat(count);
            let response = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
            let ours = exchange(&Method::GET, [response.as_bytes()], true).await;
            let theirs = by_hyper(&Method::GET, response.as_bytes()).await;
            assert_eq!((ours.is_ok(), theirs.is_ok()), (we, they), "{count} extensions");
        }
    });
}
