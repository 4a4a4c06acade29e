//! Requests as bytes.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method};
use bytes::Bytes;

use super::super::super::request::Body;
use super::super::super::target::Target;
use super::super::super::transport::{Payload, TransportRequest};
use super::super::codec::{check, write_chunk, write_head, write_last_chunk};
use crate::http::HttpOptions;

/// A request to be written.
struct Request {
    method: Method,
    url: &'static str,
    headers: &'static [(&'static str, &'static str)],
    cookie: Option<&'static str>,
    accept_encoding: bool,
    body: Body,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: Method::GET,
            url: "http://127.0.0.1:8080/seats?q=1",
            headers: &[],
            cookie: None,
            accept_encoding: false,
            body: Body::default(),
        }
    }
}

impl Request {
    fn with<T>(self, use_it: impl FnOnce(&TransportRequest<'_>) -> T) -> T {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let options = HttpOptions { user_agent: HeaderValue::from_static("test"), ..HttpOptions::default() };
        use_it(&TransportRequest {
            method: &self.method,
            target: &Target::get(self.url).unwrap(),
            headers: &headers,
            cookie: self.cookie,
            accept_encoding: self.accept_encoding,
            body: &self.body.0,
            options: &options,
        })
    }

    fn text(self) -> String {
        let mut out = b"before ".to_vec();
        self.with(|request| write_head(&mut out, request));
        String::from_utf8(out).unwrap().strip_prefix("before ").expect("it is written at the end").to_owned()
    }
}

#[test]
fn known_requests() {
    assert_eq!(
        Request::default().text(),
        "GET /seats?q=1 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nuser-agent: test\r\n\r\n"
    );
    let accepts = Request { accept_encoding: true, ..Request::default() }.text();
    let line = "accept-encoding: gzip, deflate, br, zstd\r\n";
    assert_eq!(accepts.contains(line), cfg!(feature = "compression"), "{accepts}");
    let own = Request {
        headers: &[
            ("host", "example.org"),
            ("user-agent", "mine"),
            ("accept-encoding", "br"),
            ("authorization", "Bearer 1"),
            ("x", "1"),
            ("x", ""),
        ],
        accept_encoding: true,
        url: "http://user:password@127.0.0.1/",
        cookie: Some("a=b; c=d"),
        ..Request::default()
    };
    assert_eq!(
        own.text(),
        "GET / HTTP/1.1\r\nhost: example.org\r\nuser-agent: mine\r\naccept-encoding: br\r\n\
         authorization: Bearer 1\r\nx: 1\r\nx: \r\ncookie: a=b; c=d\r\n\r\n"
    );
    let credentials = Request { url: "http://user:password@[::1]:80/", ..Request::default() };
    assert_eq!(
        credentials.text(),
        "GET / HTTP/1.1\r\nhost: [::1]\r\nuser-agent: test\r\nauthorization: Basic dXNlcjpwYXNzd29yZA==\r\n\r\n"
    );
}

#[test]
fn how_long_bodies_are_is_said_once() {
    let rest = |method: &str, body: Body| {
        let method = method.parse().unwrap();
        let text = Request { method, url: "http://x/", body, ..Request::default() }.text();
        text.split_once("user-agent: test\r\n").unwrap().1.to_owned()
    };
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "QUERY"] {
        assert_eq!(rest(method, Body::default()), "\r\n", "{method}");
    }
    for method in ["POST", "PUT", "PATCH"] {
        assert_eq!(rest(method, Body::default()), "content-length: 0\r\n\r\n", "{method}");
    }
    let reader = |length| Body::from_reader(length, || async { Ok(tokio::io::empty()) });
    for method in ["GET", "POST", "DELETE", "QUERY"] {
        assert_eq!(rest(method, Body::from("0123456789")), "content-length: 10\r\n\r\n", "{method}");
        assert_eq!(rest(method, reader(Some(7))), "content-length: 7\r\n\r\n", "{method}");
        assert_eq!(rest(method, reader(None)), "transfer-encoding: chunked\r\n\r\n", "{method}");
    }
    assert_eq!(rest("PUT", reader(Some(u64::MAX))), format!("content-length: {}\r\n\r\n", u64::MAX));
}

#[test]
fn chunks() {
    let mut out = Vec::new();
    write_chunk(&mut out, b"abc");
    write_chunk(&mut out, &[b'x'; 0x1f]);
    write_last_chunk(&mut out);
    assert_eq!(out, [b"3\r\nabc\r\n1f\r\n".as_slice(), &[b'x'; 0x1f], b"\r\n0\r\n\r\n"].concat());
}

#[test]
fn nothing_that_a_test_says_can_end_a_line() {
    // Methods, header names and values are checked when they are made.
    for bad in ["GET /x HTTP/1.1\r\n", "GE T", "GET\n", ""] {
        assert!(bad.parse::<Method>().is_err(), "{bad:?}");
    }
    for bad in ["a\r\nb: c", "a\n", "\r", "\0"] {
        assert!(HeaderValue::from_str(bad).is_err() && HeaderName::try_from(bad).is_err(), "{bad:?}");
    }
    // URLs are encoded.
    for url in [
        "http://x/a b\u{7f}\u{e9}?q=\u{ac00} z",
        "http://x/%0d%0ax: y",
        "http://x/\r\nx: y",
        "http://x/a\tb\nc?d\r\ne#f\r\ng",
        "http://u\r\n:p\r\nx: y@x/",
    ] {
        let Ok(target) = Target::get(url) else { continue };
        let request = Request { url: Box::leak(url.into()), ..Request::default() };
        let text = request.text();
        assert_eq!(text.lines().count(), if target.authorization.is_some() { 5 } else { 4 }, "{text}");
        assert!(text.split("\r\n").next().unwrap().is_ascii());
        assert_eq!(text.split("\r\n").next().unwrap().split(' ').count(), 3, "{text}");
    }
    // Cookies are text until now.
    for (cookie, is_fine) in [
        ("a=b", true),
        ("a=b\tc", true),
        ("a=\u{ac00}", true),
        ("a=b\r\nx: y", false),
        ("a=b\n", false),
        ("a\rb=c", false),
        ("a=\0", false),
        ("a=\u{7f}", false),
    ] {
        let checked = Request { cookie: Some(cookie), ..Request::default() }.with(check);
        assert_eq!(checked.is_ok(), is_fine, "{cookie:?}");
    }
    // The client says by itself how the body is sent.
    for value in ["chunked", "gzip, chunked", "identity", ""] {
        let headers: &[_] = Box::leak(Box::new([("transfer-encoding", value)]));
        let failure = Request { headers, ..Request::default() }.with(check).unwrap_err();
        assert!(failure.text.contains("transfer-encoding") && failure.hint.is_some());
    }
}

#[test]
fn payloads_know_their_length() {
    assert_eq!(Payload::Bytes(Bytes::from_static(b"abc")).length(), Some(3));
    assert!(Arc::ptr_eq(&Target::get("http://x/once").unwrap(), &Target::get("http://x/once").unwrap()));
}
