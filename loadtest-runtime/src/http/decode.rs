//! Compressed bodies: gzip, deflate, br and zstd, decoded after the last byte, outside of what is timed.
//!
//! Bounded: a body that decodes to more than the limit is an error, found after at most one byte more. An
//! encoding that is not known leaves the body as it came.

use bytes::Bytes;

use super::error::Failure;
use super::headers::ResponseHeaders;

/// What is asked for, unless a request asks for something itself.
#[cfg(feature = "compression")]
pub(super) const ACCEPT_ENCODING: Option<&str> = Some("gzip, deflate, br, zstd");
#[cfg(not(feature = "compression"))]
pub(super) const ACCEPT_ENCODING: Option<&str> = None;

/// The body without its content encodings.
#[cfg(not(feature = "compression"))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as with the feature `compression`")]
pub(super) fn decode(body: Bytes, _headers: &ResponseHeaders, _limit: u64) -> Result<Bytes, Failure> {
    Ok(body)
}

/// The body without its content encodings.
#[cfg(feature = "compression")]
pub(super) fn decode(mut body: Bytes, headers: &ResponseHeaders, limit: u64) -> Result<Bytes, Failure> {
    use ::http::header::CONTENT_ENCODING;

    if body.is_empty() || !headers.is_encoded {
        return Ok(body);
    }
    let mut encodings = Vec::new();
    for value in headers.map().get_all(CONTENT_ENCODING) {
        let Ok(value) = value.to_str() else { return Ok(body) };
        encodings.extend(value.split(',').map(|encoding| encoding.trim().to_ascii_lowercase()));
    }
    // Encodings are listed in the order in which they were applied (RFC 9110, section 8.4).
    for encoding in encodings.iter().rev() {
        body = match encoding.as_str() {
            "gzip" | "x-gzip" => compressed::gzip(&body, limit)?,
            "deflate" => compressed::deflate(&body, limit)?,
            "br" => compressed::brotli(&body, limit)?,
            "zstd" => compressed::zstd(&body, limit)?,
            "identity" | "" => body,
            _ => return Ok(body),
        };
    }
    Ok(body)
}

#[cfg(feature = "compression")]
mod compressed {
    use std::io::{self, Read};

    use super::{Bytes, Failure};
    use crate::http::ErrorKind;

    pub(super) fn gzip(body: &[u8], limit: u64) -> Result<Bytes, Failure> {
        bounded("gzip", flate2::read::MultiGzDecoder::new(body), limit)
    }

    pub(super) fn deflate(body: &[u8], limit: u64) -> Result<Bytes, Failure> {
        // Some servers leave out the zlib header that the name stands for. It is recognised by its method and
        // its check bits (RFC 1950, section 2.2).
        let zlib = matches!(body, [cmf, flg, ..] if cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flg)) % 31 == 0);
        if zlib {
            bounded("deflate", flate2::read::ZlibDecoder::new(body), limit)
        } else {
            bounded("deflate", flate2::read::DeflateDecoder::new(body), limit)
        }
    }

    pub(super) fn brotli(body: &[u8], limit: u64) -> Result<Bytes, Failure> {
        bounded("br", brotli_decompressor::Decompressor::new(body, 4096), limit)
    }

    pub(super) fn zstd(body: &[u8], limit: u64) -> Result<Bytes, Failure> {
        use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

        let mut rest = body;
        let mut out = Vec::new();
        // A body may hold several frames, and frames to skip.
        while !rest.is_empty() {
            match ruzstd::decoding::StreamingDecoder::new(&mut rest) {
                Ok(decoder) => append("zstd", decoder, &mut out, limit)?,
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    rest = rest
                        .get(length as usize..)
                        .ok_or_else(|| broken("zstd", &"a frame to skip is cut off"))?;
                }
                Err(error) => return Err(broken("zstd", &error)),
            }
        }
        Ok(out.into())
    }

    fn bounded(encoding: &str, decoder: impl Read, limit: u64) -> Result<Bytes, Failure> {
        let mut out = Vec::new();
        append(encoding, decoder, &mut out, limit)?;
        Ok(out.into())
    }

    fn append(encoding: &str, decoder: impl Read, out: &mut Vec<u8>, limit: u64) -> Result<(), Failure> {
        let room = limit.saturating_sub(out.len() as u64);
        let read: io::Result<usize> = decoder.take(room.saturating_add(1)).read_to_end(out);
        read.map_err(|error| broken(encoding, &error))?;
        if out.len() as u64 > limit {
            let text = format!("the {encoding} body decodes to more than {limit} bytes");
            return Err(Failure::new(ErrorKind::Decompression, text));
        }
        Ok(())
    }

    fn broken(encoding: &str, error: &dyn std::fmt::Display) -> Failure {
        Failure::new(ErrorKind::Decompression, format!("the {encoding} body is broken: {error}"))
    }
}
