//! Heads of responses: what is accepted, what is refused, and what they mean for the connection.

use ::http::{Method, Version};

use super::super::codec::{Framing, Head, MAX_HEAD, parse_head};
use crate::http::ErrorKind;

fn head(text: &[u8], method: Method) -> Head {
    let head = parse_head(text, &method);
    head.unwrap_or_else(|failure| panic!("{}: {}", text.escape_ascii(), failure.text))
        .unwrap_or_else(|| panic!("{}: incomplete", text.escape_ascii()))
}

fn refused(text: &[u8], reason: &str) {
    let failure = match parse_head(text, &Method::GET) {
        Err(failure) => failure,
        Ok(head) => panic!("{}: {head:?}", text.escape_ascii()),
    };
    assert_eq!(failure.kind, ErrorKind::InvalidResponse);
    assert!(failure.text.starts_with("invalid response: "), "{}", failure.text);
    assert!(failure.text.contains(reason), "{}: {}", text.escape_ascii(), failure.text);
}

#[test]
fn status_lines() {
    for (line, status, version) in [
        ("HTTP/1.1 200 OK", 200, Version::HTTP_11),
        ("HTTP/1.0 200 OK", 200, Version::HTTP_10),
        // The reason may be missing, with the space before it or without (RFC 9112, section 4).
        ("HTTP/1.1 200 ", 200, Version::HTTP_11),
        ("HTTP/1.1 404", 404, Version::HTTP_11),
        ("HTTP/1.1 200 All is fine, isn't it?", 200, Version::HTTP_11),
        ("HTTP/1.1 200 d\u{e9}j\u{e0} vu", 200, Version::HTTP_11),
        ("HTTP/1.1 999 Anything", 999, Version::HTTP_11),
        ("HTTP/1.1 100 Continue", 100, Version::HTTP_11),
    ] {
        let text = format!("{line}\r\n\r\n");
        let head = head(text.as_bytes(), Method::GET);
        assert_eq!(
            (head.status.as_u16(), head.version, head.length),
            (status, version, text.len()),
            "{line}"
        );
    }
    for (line, reason) in [
        ("HTTP/2.0 200 OK", "invalid HTTP version"),
        ("HTTP/1.2 200 OK", "invalid HTTP version"),
        ("HTTP/0.9 200 OK", "invalid HTTP version"),
        ("http/1.1 200 OK", "invalid HTTP version"),
        ("HTTP/11 200 OK", "invalid HTTP version"),
        ("ICY 200 OK", "invalid HTTP version"),
        ("SSH-2.0-OpenSSH_9.6", "invalid HTTP version"),
        ("<html>", "invalid HTTP version"),
        ("\u{16}\u{3}\u{1}", "invalid HTTP version"),
        ("HTTP/1.1  200 OK", "invalid HTTP status"),
        ("HTTP/1.1 20 OK", "invalid HTTP status"),
        ("HTTP/1.1 2000 OK", "invalid response status"),
        ("HTTP/1.1 -20 OK", "invalid response status"),
        ("HTTP/1.1 OK", "invalid response status"),
        ("HTTP/1.1 099 Low", "no status from 100 to 999"),
        ("HTTP/1.1 000 None", "no status from 100 to 999"),
        ("HTTP/1.1 200 O\u{0}K", "invalid response status"),
        ("HTTP/1.1 200 O\rK", ""),
    ] {
        let reason =
            reason.replace("invalid HTTP status", "status").replace("invalid response status", "status");
        refused(format!("{line}\r\n\r\n").as_bytes(), &reason);
    }
}

#[test]
fn header_lines() {
    let accepted: &[&[u8]] = &[
        b"x: y",
        b"x:y",
        b"x:",
        b"x: ",
        b"x: \t y \t ",
        b"!#$%&'*+-.^_`|~09azAZ: any token is a name",
        b"x: \xff\x80 bytes beyond ASCII are opaque (RFC 9110, section 5.5)",
    ];
    for line in accepted {
        let text = [b"HTTP/1.1 200 OK\r\n", *line, b"\r\n\r\n"].concat();
        assert_eq!(head(&text, Method::GET).length, text.len(), "{}", line.escape_ascii());
    }
    let refusals: &[(&[u8], &str)] = &[
        (b"no colon", "header name"),
        (b": no name", "header name"),
        (b"x : a space before the colon", "header name"),
        (b" x: a space before the name", "header name"),
        (b"x\t: y", "header name"),
        (b"x(y): z", "header name"),
        (b"x\xe9: y", "header name"),
        (b"x: a NUL \0", "header value"),
        (b"x: a bell \x07", "header value"),
        (b"x: a delete \x7f", "header value"),
        (b"x: a lone \r carriage return", "header value"),
        (b"x: folded\r\n lines", "header name"),
        (b"x: folded\r\n\tlines", "header name"),
    ];
    for (line, reason) in refusals {
        refused(&[b"HTTP/1.1 200 OK\r\n", *line, b"\r\n\r\n"].concat(), reason);
        refused(&[b"HTTP/1.1 200 OK\r\na: b\r\n", *line, b"\r\n\r\n"].concat(), reason);
    }
}

#[test]
fn line_ends() {
    // A recipient may take a line feed alone as the end of a line (RFC 9112, section 2.2), and clients do.
    let text = b"HTTP/1.1 200 OK\nx: y\ncontent-length: 3\n\nabc";
    assert_eq!((head(text, Method::GET).length, head(text, Method::GET).framing), (40, Framing::Length(3)));
    // Empty lines before a message are what is left of others (section 2.2).
    assert_eq!(head(b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Method::GET).length, 23);
    refused(b"HTTP/1.1 200 OK\r\r\n\r\n", "");
    refused(b" HTTP/1.1 200 OK\r\n\r\n", "version");
}

#[test]
fn a_head_is_incomplete_at_each_of_its_bytes() {
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nx: y\r\n\r\n";
    for end in 0..text.len() {
        assert_eq!(parse_head(&text[..end], &Method::GET).ok(), Some(None), "{end}");
    }
    // What follows it is not looked at.
    let more = [text.as_slice(), b"HTTP/9 nonsense\0"].concat();
    assert_eq!(head(&more, Method::GET), head(text, Method::GET));
}

#[test]
fn sizes_of_heads() {
    let filler = |length: usize| {
        let empty = "HTTP/1.1 200 OK\r\nx: \r\n\r\n".len();
        format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(length - empty)).into_bytes()
    };
    assert_eq!(head(&filler(MAX_HEAD), Method::GET).length, MAX_HEAD);
    refused(&filler(MAX_HEAD + 1), "longer than 262144 bytes");
    refused(&filler(MAX_HEAD + 1)[..MAX_HEAD], "longer than 262144 bytes");
    refused(&b"\r\n".repeat(MAX_HEAD / 2), "longer than 262144 bytes");
    let many = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(count)).into_bytes();
    assert_eq!(head(&many(128), Method::GET).framing, Framing::UntilClose);
    refused(&many(129), "more than 128 headers");
    refused(&many(5_000), "more than 128 headers");
}

/// The framing of a response with these header lines.
fn framing(version: &str, status: u16, method: Method, lines: &[&str]) -> Result<Framing, String> {
    let lines: String = lines.iter().flat_map(|line| [line, "\r\n"]).collect();
    let text = format!("HTTP/{version} {status} Reason\r\n{lines}\r\n");
    let head = parse_head(text.as_bytes(), &method).map_err(|failure| failure.text.into_owned())?;
    Ok(head.expect("complete").framing)
}

#[test]
fn where_bodies_end() {
    let none = Framing::Length(0);
    let cl = "content-length: 5";
    let te = "transfer-encoding: chunked";
    // RFC 9112, section 6.3, in its order.
    for (method, status, lines, expected) in [
        // 1. No body, whatever the headers say.
        (Method::HEAD, 200, &[cl][..], none),
        (Method::HEAD, 200, &[te], none),
        (Method::HEAD, 404, &[], none),
        (Method::GET, 100, &[], none),
        (Method::GET, 103, &[], none),
        (Method::GET, 199, &[cl], none),
        (Method::GET, 204, &[], none),
        (Method::GET, 204, &[cl], none),
        (Method::GET, 204, &[te], none),
        (Method::GET, 304, &[cl], none),
        (Method::GET, 304, &[te], none),
        // 4. Chunks.
        (Method::GET, 200, &[te], Framing::Chunked),
        (Method::POST, 500, &["Transfer-ENCODING: \t CHunked \t"], Framing::Chunked),
        // 6. A length.
        (Method::GET, 200, &[cl], Framing::Length(5)),
        (Method::GET, 205, &[cl], Framing::Length(5)),
        (Method::GET, 200, &["content-length: 0"], none),
        (Method::GET, 200, &["Content-LENGTH:5"], Framing::Length(5)),
        (Method::GET, 200, &["content-length: 0000000000000000000000000005"], Framing::Length(5)),
        (Method::GET, 200, &["content-length: 18446744073709551615"], Framing::Length(u64::MAX)),
        (Method::GET, 200, &[cl, cl], Framing::Length(5)),
        (Method::GET, 200, &["content-length: 5, 5 ,05"], Framing::Length(5)),
        // 8. The end of the connection.
        (Method::GET, 200, &[], Framing::UntilClose),
        (Method::GET, 203, &["content-lengths: 5", "transfer-encodings: chunked"], Framing::UntilClose),
    ] {
        assert_eq!(
            framing("1.1", status, method.clone(), lines),
            Ok(expected),
            "{method} {status} {lines:?}"
        );
    }
    assert_eq!(framing("1.0", 200, Method::GET, &[cl]), Ok(Framing::Length(5)));
    assert_eq!(framing("1.0", 200, Method::GET, &[]), Ok(Framing::UntilClose));
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    let cl = "content-length: 5";
    let te = "transfer-encoding: chunked";
    for (lines, reason) in [
        (&[cl, te][..], "both a length and a transfer encoding"),
        (&[te, cl], "both a length and a transfer encoding"),
        (&[te, "content-length: 0"], "both a length and a transfer encoding"),
        (&[cl, "content-length: 6"], "two lengths"),
        (&["content-length: 5, 6"], "two lengths"),
        (&["content-length: "], "is not a number"),
        (&["content-length: ,"], "is not a number"),
        (&["content-length: 5,"], "is not a number"),
        (&["content-length: ,5"], "is not a number"),
        (&["content-length: +5"], "is not a number"),
        (&["content-length: -5"], "is not a number"),
        (&["content-length: 5 5"], "is not a number"),
        (&["content-length: 0x5"], "is not a number"),
        (&["content-length: 5.0"], "is not a number"),
        (&["content-length: 5e1"], "is not a number"),
        (&["content-length: \u{665}"], "is not a number"),
        (&["content-length: five"], "is not a number"),
        (&["content-length: 18446744073709551616"], "is not a number"),
        (&["content-length: 99999999999999999999999999"], "is not a number"),
        (&[te, te], "is not `chunked`"),
        (&["transfer-encoding: chunked, chunked"], "is not `chunked`"),
        (&["transfer-encoding: gzip, chunked"], "is not `chunked`"),
        (&["transfer-encoding: chunked, gzip"], "is not `chunked`"),
        (&["transfer-encoding: chunked, identity"], "is not `chunked`"),
        (&["transfer-encoding: identity"], "is not `chunked`"),
        (&["transfer-encoding: gzip"], "is not `chunked`"),
        (&["transfer-encoding: "], "is not `chunked`"),
        (&["transfer-encoding: xchunked"], "is not `chunked`"),
        (&["transfer-encoding: \"chunked\""], "is not `chunked`"),
        (&["transfer-encoding: chunked;q=1"], "is not `chunked`"),
        (&["transfer-encoding: identity", te], "is not `chunked`"),
        (&[te, "transfer-encoding: identity"], "is not `chunked`"),
        (&["transfer-encoding : chunked"], "header name"),
        (&["content-length : 5"], "header name"),
        (&["content-length: 5\r\n 6"], "header name"),
        (&["x: y\r\n transfer-encoding: chunked"], "header name"),
        (&["transfer-encoding:\r\n chunked"], "header name"),
        (&["transfer-encoding: chun\0ked"], "header value"),
    ] {
        // Without a body it makes no difference, but who sends such things is not to be trusted either.
        for (status, method) in
            [(200, Method::GET), (204, Method::GET), (304, Method::GET), (200, Method::HEAD)]
        {
            let failure = framing("1.1", status, method, lines).unwrap_err();
            assert!(failure.contains(reason), "{lines:?}: {failure}");
        }
    }
    assert!(
        framing("1.0", 200, Method::GET, &[te]).unwrap_err().contains("HTTP/1.0 has a transfer encoding")
    );
}

#[test]
fn which_connections_are_kept() {
    let keeps = |version: &str, lines: &[&str]| {
        let lines: String = lines.iter().flat_map(|line| [line, "\r\n"]).collect();
        let text = format!("HTTP/{version} 200 OK\r\n{lines}\r\n");
        head(text.as_bytes(), Method::GET).keep_alive
    };
    let cl = "content-length: 5";
    for (lines, on_10, on_11) in [
        (&[cl][..], false, true),
        (&[cl, "connection: close"], false, false),
        (&[cl, "Connection: Close"], false, false),
        (&[cl, "connection: keep-alive"], true, true),
        (&[cl, "connection: Keep-Alive"], true, true),
        (&[cl, "connection: x, \t close\t,y"], false, false),
        (&[cl, "connection: upgrade, keep-alive"], true, true),
        (&[cl, "connection: keep-alive, close"], false, false),
        (&[cl, "connection: close, keep-alive"], false, false),
        (&[cl, "connection: close", "connection: keep-alive"], false, false),
        (&[cl, "connection: keep-alive", "connection: close"], false, false),
        (&[cl, "connection: "], false, true),
        (&[cl, "connection: closed, keep-alives"], false, true),
        (&[cl, "x-connection: close", "keep-alive: timeout=5"], false, true),
        (&[cl, "proxy-connection: keep-alive"], false, true),
        // A body that the end of the connection ends.
        (&["connection: keep-alive"], false, false),
    ] {
        assert_eq!((keeps("1.0", lines), keeps("1.1", lines)), (on_10, on_11), "{lines:?}");
    }
    assert!(keeps("1.1", &["transfer-encoding: chunked"]));
}

#[test]
fn what_costs_something_is_noted() {
    let text = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Encoding: gzip\r\ncontent-length: 0\r\n\r\n";
    let with = head(text, Method::GET);
    let without = head(b"HTTP/1.1 200 OK\r\nset-cookies: a\r\ncontent-encodings: b\r\n\r\n", Method::GET);
    assert_eq!((with.sets_cookies, with.is_encoded), (true, true));
    assert_eq!((without.sets_cookies, without.is_encoded), (false, false));
}
