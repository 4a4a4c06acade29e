//! Known responses, complete and broken: what the other tests cut in pieces, and what the fuzzer begins with.

use ::http::Method;

use super::super::fuzzing;
use crate::http::ErrorKind;

/// What becomes of a response: its status, its body and whether its connection is kept, or a failure.
pub(super) type Expected = Result<(u16, &'static [u8], bool), ErrorKind>;

const CLOSED: Expected = Err(ErrorKind::ConnectionClosed);
const INVALID: Expected = Err(ErrorKind::InvalidResponse);

/// Responses to a GET request, after which the server closes the connection.
pub(super) const RESPONSES: &[(&str, &[u8], Expected)] = &[
    ("empty", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok((200, b"", true))),
    ("length", b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\nhello", Ok((200, b"hello", true))),
    ("http10", b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", Ok((200, b"hi", false))),
    (
        "http10_keep_alive",
        b"HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nhi",
        Ok((200, b"hi", true)),
    ),
    ("until_close", b"HTTP/1.1 200 OK\r\n\r\nall\r\nof it", Ok((200, b"all\r\nof it", false))),
    ("until_close_10", b"HTTP/1.0 404 No\r\n\r\ngone", Ok((404, b"gone", false))),
    ("until_close_empty", b"HTTP/1.1 200 OK\r\n\r\n", Ok((200, b"", false))),
    (
        "chunked",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
        Ok((200, b"abcdefg", true)),
    ),
    (
        "chunked_everything",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3;a=\"b;c\"\r\nabc\r\n4 ;d\r\n\r\n0\r\r\n0\r\nx: y\r\n\r\n",
        Ok((200, b"abc\r\n0\r", true)),
    ),
    (
        "chunked_close",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        Ok((200, b"a", false)),
    ),
    ("no_content", b"HTTP/1.1 204 No Content\r\n\r\n", Ok((204, b"", true))),
    ("no_content_length", b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", Ok((204, b"", true))),
    ("not_modified", b"HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\ncontent-length: 5\r\n\r\n", Ok((304, b"", true))),
    (
        "interim",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
        Ok((200, b"x", true)),
    ),
    ("line_feeds", b"HTTP/1.1 200 OK\ncontent-length: 2\n\nhi", Ok((200, b"hi", true))),
    ("lines_before", b"\r\n\r\nHTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi", Ok((200, b"hi", true))),
    ("same_length_twice", b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\ncontent-length: 2\r\n\r\nhi", Ok((200, b"hi", true))),
    ("broken_off_line", b"HTTP/1.1 20", CLOSED),
    ("broken_off_head", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", CLOSED),
    ("broken_off_body", b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello", CLOSED),
    ("broken_off_chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", CLOSED),
    ("broken_off_trailer", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n", CLOSED),
    ("interim_alone", b"HTTP/1.1 100 Continue\r\n\r\n", CLOSED),
    ("switching", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", INVALID),
    ("no_http", b"SSH-2.0-OpenSSH_9.6\r\n", INVALID),
    ("http2", b"\0\0\x12\x04\0\0\0\0\0\0\0\0\0", INVALID),
    ("tls", b"\x15\x03\x01\0\x02\x02\x16", INVALID),
    ("bad_length", b"HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello", INVALID),
    ("negative_length", b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello", INVALID),
    ("broken_end_of_head", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\x02hello", INVALID),
    ("two_lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!", INVALID),
    (
        "both_lengths",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        INVALID,
    ),
    ("gzip_chunked", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", INVALID),
    ("chunked_10", b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", INVALID),
    ("space_before_colon", b"HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nhello", INVALID),
    ("folded", b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n", INVALID),
    ("nul", b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n", INVALID),
    ("bad_chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", INVALID),
    ("long_chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", INVALID),
    ("huge_chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", INVALID),
    ("next_for_trailer", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n", INVALID),
];

/// What the pure reader makes of a response in pieces, in the terms of [`Expected`].
pub(super) fn read<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(u16, Vec<u8>, bool), ErrorKind> {
    let outcome = fuzzing::response(pieces, &Method::GET)?;
    assert_eq!(outcome.excess, 0);
    Ok((outcome.status, outcome.body, outcome.keep_alive))
}

#[test]
fn known_responses() {
    for (name, response, expected) in RESPONSES {
        let expected = expected.map(|(status, body, kept)| (status, body.to_vec(), kept));
        assert_eq!(read([*response]), expected, "{name}");
    }
}

#[test]
fn a_response_is_the_same_wherever_it_is_cut() {
    for (name, response, _) in RESPONSES {
        let whole = read([*response]);
        for first in 0..response.len() {
            for second in first..response.len() {
                let pieces = [&response[..first], &response[first..second], &response[second..]];
                assert_eq!(read(pieces), whole, "{name} {first} {second}");
            }
        }
        assert_eq!(read(response.chunks(1)), whole, "{name}");
    }
}

#[test]
fn what_follows_a_response_is_counted() {
    for (name, response, expected) in RESPONSES {
        let Ok((_, _, true)) = expected else { continue };
        let more = [*response, b"HTTP/1.1 200 OK\r\n\r\n"].concat();
        for length in [1, 7, more.len()] {
            let outcome = fuzzing::response(more.chunks(length), &Method::GET).unwrap();
            assert_eq!(outcome.excess, 19, "{name} {length}");
        }
    }
}

/// The inputs that the fuzz targets begin with, by their file names. A response is preceded by the lengths of the
/// pieces that it is cut in; see the targets.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let prefix = [3, 1, 7, 64];
    let responses = RESPONSES
        .iter()
        .map(|(name, response, _)| (format!("response/{name}"), [prefix.as_slice(), response].concat()));
    let bodies = super::chunked::BODIES.iter().enumerate().skip(2);
    let bodies = bodies.map(|(i, (body, _))| (format!("chunked/{i:02}"), [prefix.as_slice(), body].concat()));
    responses.chain(bodies).collect()
}

/// With `LOADTEST_WRITE_SEEDS=1`, the files are written anew.
#[test]
fn the_fuzzer_begins_with_these() {
    let fuzz = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    // A packaged crate has no fuzz targets.
    if !fuzz.join("Cargo.toml").exists() {
        return;
    }
    let root = fuzz.join("seeds");
    for (name, seed) in seeds() {
        let path = root.join(name);
        if std::env::var_os("LOADTEST_WRITE_SEEDS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &seed).unwrap();
        }
        let written = std::fs::read(&path).unwrap_or_default();
        assert!(written == seed, "{} is old: run this test with LOADTEST_WRITE_SEEDS=1", path.display());
    }
}
