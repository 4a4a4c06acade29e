//! Compression of request bodies: gzip, deflate and zstd, before the clock of the request starts.
//!
//! Bodies in memory alone: what is read while it is sent is not compressed.

use std::io::{self, Write};

use ::http::HeaderValue;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::error::{ErrorKind, Failure};

/// The body in these encodings, applied from left to right (`"gzip"`, `"deflate, gzip"`), and the value of
/// `Content-Encoding` that says so.
pub(super) fn encode(encodings: &str, body: &Bytes) -> Result<(Bytes, HeaderValue), Failure> {
    let mut body = body.clone();
    let mut names = Vec::new();
    for encoding in encodings.split(',') {
        let encoding = encoding.trim().to_ascii_lowercase();
        let encoded = match encoding.as_str() {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&body).and_then(|()| encoder.finish())
            }
            // The name stands for the zlib format (RFC 9110, section 8.4.1.2).
            "deflate" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&body).and_then(|()| encoder.finish())
            }
            "zstd" => Ok(zstd(&body)),
            "br" => return Err(unknown("request bodies cannot be compressed with br")),
            other => return Err(unknown(&format!("the compression {other:?} is not known"))),
        };
        body = encoded.map_err(|error: io::Error| unknown(&format!("{encoding}: {error}")))?.into();
        names.push(encoding);
    }
    let value = HeaderValue::try_from(names.join(", ")).map_err(|error| unknown(&error.to_string()))?;
    Ok((body, value))
}

fn zstd(body: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest)
}

fn unknown(text: &str) -> Failure {
    Failure::new(ErrorKind::InvalidRequest, text.to_owned())
        .with_hint("write \"gzip\", \"deflate\" or \"zstd\", or several, as in \"deflate, gzip\"")
}

#[cfg(test)]
mod tests {
    use super::super::decode::decode;
    use super::super::headers::ResponseHeaders;
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let plain = Bytes::from("seat ".repeat(20_000));
        for (encodings, value) in [
            ("gzip", "gzip"),
            ("deflate", "deflate"),
            ("zstd", "zstd"),
            (" Deflate,GZIP ", "deflate, gzip"),
            ("gzip, zstd", "gzip, zstd"),
        ] {
            let (encoded, header) = encode(encodings, &plain).unwrap();
            assert_eq!(header, value);
            assert!(encoded.len() < plain.len() / 10, "{encodings}: {}", encoded.len());
            let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {}\r\n\r\n", header.to_str().unwrap());
            let headers = ResponseHeaders::of_head(head.as_bytes(), false, true);
            assert!(decode(encoded, &headers, 1 << 20).unwrap() == plain, "{encodings}");
        }
        let (empty, _) = encode("gzip", &Bytes::new()).unwrap();
        assert!(empty.starts_with(&[0x1f, 0x8b]));
    }

    #[test]
    fn what_is_not_known_says_what_is() {
        for encodings in ["br", "", "gzip,", "lzma", "gzip;q=1"] {
            let failure = encode(encodings, &Bytes::from("x")).unwrap_err();
            assert_eq!(failure.kind, ErrorKind::InvalidRequest);
            assert!(failure.hint.unwrap().contains("zstd"), "{encodings}");
        }
    }
}
