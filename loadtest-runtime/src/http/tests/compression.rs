//! Compressed bodies.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::server::{Server, Step, ok, reply};
use super::*;

const TEXT: &str = "seats, seats, seats, 좌석, seats, seats";

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A stream of one stored meta-block (RFC 7932, section 9.2) for a text of at most 64 KiB.
fn brotli(data: &[u8]) -> Vec<u8> {
    // WBITS 16 (one bit 0), ISLAST 0, MNIBBLES 4 (two bits 0), MLEN - 1, ISUNCOMPRESSED 1, then ISLAST and
    // ISLASTEMPTY.
    let length = u32::try_from(data.len() - 1).unwrap();
    let bits = length << 4 | 1 << 20;
    [&bits.to_le_bytes()[..3], data, &[3]].concat()
}

fn encoded(encoding: &str, body: impl AsRef<[u8]>) -> Step {
    reply("200 OK", &format!("content-encoding: {encoding}\r\n"), body)
}

#[test]
fn every_encoding_is_asked_for_and_decoded() {
    let text = TEXT.as_bytes();
    let skip_frame = b"\x50\x2a\x4d\x18\x03\x00\x00\x00xyz".as_slice();
    for (encoding, body) in [
        ("gzip", gzip(text)),
        ("GZIP", gzip(text)),
        ("x-gzip", [gzip(&text[..10]), gzip(&text[10..])].concat()),
        ("deflate", zlib(text)),
        ("deflate", raw_deflate(text)),
        ("br", brotli(text)),
        ("zstd", zstd(text)),
        ("zstd", [&zstd(&text[..10])[..], skip_frame, &zstd(&text[10..])].concat()),
        ("br, gzip", gzip(&brotli(text))),
        ("identity", text.to_vec()),
        ("something-new", text.to_vec()),
    ] {
        run(async {
            let server = Server::start([encoded(encoding, &body)]).await;
            let (http, recorder) = user();
            let response = http.get(server.url("/")).send().await.unwrap();
            assert_eq!(response.text().unwrap(), TEXT, "{encoding}");
            assert!(server.requests()[0].contains("accept-encoding: gzip, deflate, br, zstd\r\n"));
            assert_eq!(recorder.only().bytes_received, server.sent(), "counted as it came");
        });
    }
}

#[test]
fn a_request_can_ask_for_something_else() {
    run(async {
        let server = Server::start([encoded("gzip", gzip(TEXT.as_bytes()))]).await;
        let (http, _) = user();
        let response = http.get(server.url("/")).header("Accept-Encoding", "gzip").send().await.unwrap();
        assert!(server.requests()[0].contains("accept-encoding: gzip\r\n"));
        assert_eq!(response.text().unwrap(), TEXT);
    });
}

#[test]
fn a_body_without_bytes_needs_no_decoding() {
    run(async {
        let head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 99\r\n\r\n".to_vec();
        let server = Server::start([Step::Reply(head), encoded("br", "")]).await;
        let (http, _) = user();
        assert!(http.head(server.url("/")).send().await.unwrap().bytes().is_empty());
        assert!(http.get(server.url("/")).send().await.unwrap().bytes().is_empty());
    });
}

#[test]
fn broken_bodies_are_errors() {
    let text = TEXT.as_bytes();
    let cut = |mut body: Vec<u8>| {
        body.truncate(body.len() - 5);
        body
    };
    for (encoding, body) in [
        ("gzip", text.to_vec()),
        ("gzip", cut(gzip(text))),
        ("deflate", cut(zlib(text))),
        ("br", cut(brotli(text))),
        ("br", vec![0xff; 40]),
        ("zstd", text.to_vec()),
        ("zstd", cut(zstd(text))),
        ("zstd", b"\x50\x2a\x4d\x18\xff\xff\xff\xffxyz".to_vec()),
    ] {
        run(async {
            let server = Server::start([encoded(encoding, &body), reply("200 OK", "", "fine")]).await;
            let (http, recorder) = user();
            let error = http.get(server.url("/")).send().await.unwrap_err();
            let recorded = recorder.only();
            assert_failed(&recorded, &error, ErrorKind::Decompression, 1701);
            assert_eq!(recorded.status, 200);
            assert!(recorded.error_text.contains(encoding), "{error}");
            http.get(server.url("/")).send().await.unwrap();
            assert_eq!(server.connections(), 1, "the connection is fine");
        });
    }
}

#[test]
fn bombs_are_bounded() {
    let zeros = vec![0; 2_000_000];
    for (encoding, body) in [("gzip", gzip(&zeros)), ("deflate", zlib(&zeros)), ("zstd", zstd(&zeros))] {
        run(async {
            let server = Server::start([encoded(encoding, &body), encoded(encoding, &body)]).await;
            let options = HttpOptions { max_body: 1_999_999, ..HttpOptions::default() };
            let (http, recorder) = user_with(options);
            let error = http.get(server.url("/")).send().await.unwrap_err();
            assert_failed(&recorder.only(), &error, ErrorKind::Decompression, 1701);
            assert!(error.to_string().contains("more than 1999999 bytes"), "{error}");
            http.get(server.url("/")).discard_body().send().await.unwrap();
        });
    }
}

#[test]
fn a_body_that_never_ends_does_not_take_all_memory() {
    run(async {
        let body = "x".repeat(300_000);
        let server = Server::start([ok(&body), ok(&body)]).await;
        let options = HttpOptions { max_body: 200_000, ..HttpOptions::default() };
        let (http, recorder) = user_with(options);
        let error = http.get(server.url("/")).send().await.unwrap_err();
        assert_failed(&recorder.only(), &error, ErrorKind::InvalidResponse, 1000);
        assert!(error.to_string().contains("longer than 200000 bytes"), "{error}");
        http.get(server.url("/")).discard_body().send().await.unwrap();
    });
}
