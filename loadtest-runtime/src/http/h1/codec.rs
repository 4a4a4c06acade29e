//! HTTP/1.1 as bytes: what a request's head looks like, what a response's head says, where its body ends.
//!
//! Pure: nothing here reads, writes or waits. The grammar is httparse's (RFC 9112); what the headers mean for the
//! connection is decided here, and whatever two readers could understand differently is refused: two lengths, a
//! length beside an encoding, an encoding that is not `chunked`, spaces before a colon, folded lines.

use std::mem::MaybeUninit;

use ::http::header::{self, HeaderName};
use ::http::{Method, StatusCode, Version};

use super::super::error::{ErrorKind, Failure};
use super::super::headers::has;
use super::super::transport::{Payload, TransportRequest};

/// The most bytes that the head of a response may have.
pub(super) const MAX_HEAD: usize = 256 * 1024;
/// The most headers that a response may have.
const MAX_HEADERS: usize = 128;

/// Where a body ends (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes; there is no body if it is 0.
    Length(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// What the head of a response says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) framing: Framing,
    /// Whether the connection can be used again after this response.
    pub(super) keep_alive: bool,
    pub(super) sets_cookies: bool,
    pub(super) is_encoded: bool,
    /// Its bytes, the empty line included.
    pub(super) length: usize,
}

/// Reads the head of a response to `method`; `None` if there is more of it to come.
///
/// Interim responses (1xx) are heads like others, without a body.
pub(super) fn parse_head(bytes: &[u8], method: &Method) -> Result<Option<Head>, Failure> {
    let mut headers = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(_) => return Err(invalid(format!("the head of the response is longer than {MAX_HEAD} bytes"))),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(invalid(format!("the response has more than {MAX_HEADERS} headers")));
        }
        Err(error) => return Err(invalid(format!("the head of the response is broken: {error}"))),
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| invalid("the response has no status from 100 to 999"))?;
    let is_http11 = response.version == Some(1);
    let mut meaning = Meaning::default();
    for header in response.headers.iter() {
        meaning.take(header)?;
    }
    let framing = meaning.framing(status, method, is_http11)?;
    let keep_alive = match is_http11 {
        true => !meaning.close,
        false => meaning.keep_alive && !meaning.close,
    };
    Ok(Some(Head {
        status,
        version: if is_http11 { Version::HTTP_11 } else { Version::HTTP_10 },
        framing,
        keep_alive: keep_alive && framing != Framing::UntilClose,
        sets_cookies: meaning.sets_cookies,
        is_encoded: meaning.is_encoded,
        length,
    }))
}

/// What the headers mean for the connection, collected in one pass.
#[derive(Debug, Default)]
struct Meaning {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    sets_cookies: bool,
    is_encoded: bool,
}

impl Meaning {
    fn take(&mut self, header: &httparse::Header<'_>) -> Result<(), Failure> {
        // Lengths tell these names apart, so that most headers cost one comparison.
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let length = content_length(header.value)?;
                if self.length.is_some_and(|other| other != length) {
                    return Err(invalid("the response has two lengths"));
                }
                self.length = Some(length);
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                if self.chunked || !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    let text = String::from_utf8_lossy(header.value);
                    return Err(invalid(format!("the transfer encoding {text:?} is not `chunked`")));
                }
                self.chunked = true;
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                for option in options(header.value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            10 if header.name.eq_ignore_ascii_case("set-cookie") => self.sets_cookies = true,
            16 if header.name.eq_ignore_ascii_case("content-encoding") => self.is_encoded = true,
            _ => {}
        }
        Ok(())
    }

    fn framing(&self, status: StatusCode, method: &Method, is_http11: bool) -> Result<Framing, Failure> {
        if self.chunked && self.length.is_some() {
            return Err(invalid("the response has both a length and a transfer encoding"));
        }
        if self.chunked && !is_http11 {
            return Err(invalid("the response of HTTP/1.0 has a transfer encoding"));
        }
        let code = status.as_u16();
        if *method == Method::HEAD || code < 200 || code == 204 || code == 304 {
            return Ok(Framing::Length(0));
        }
        Ok(match (self.chunked, self.length) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        })
    }
}

/// `1*DIGIT`, or a list of the same number, as some proxies make of repeated headers (RFC 9110, section 8.6).
fn content_length(value: &[u8]) -> Result<u64, Failure> {
    let wrong = || {
        let text = String::from_utf8_lossy(value);
        invalid(format!("the content length {text:?} is not a number"))
    };
    let mut length = None;
    for part in value.split(|byte| *byte == b',') {
        let number = decimal(part.trim_ascii()).ok_or_else(wrong)?;
        if length.is_some_and(|other| other != number) {
            return Err(invalid("the response has two lengths"));
        }
        length = Some(number);
    }
    length.ok_or_else(wrong)
}

/// `1*DIGIT` that fits: no sign, no white space.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// What came is not HTTP.
pub(super) fn invalid(text: impl std::fmt::Display) -> Failure {
    let kind = ErrorKind::InvalidResponse;
    Failure::new(kind, format!("{kind}: {text}"))
}

/// Refuses what [`write_head`] could not write without the server reading something else: header values are checked
/// when they are made, but a cookie is text, and a second statement about the body's length is smuggling.
pub(super) fn check(request: &TransportRequest<'_>) -> Result<(), Failure> {
    let wrong = |text: &'static str| Failure::new(ErrorKind::InvalidRequest, text);
    if let Some(cookie) = request.cookie
        && cookie.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t')
    {
        return Err(wrong("a cookie has a control character, which no header can hold"));
    }
    if has(request.headers, &header::TRANSFER_ENCODING) {
        let failure = wrong("the header transfer-encoding is the client's own: it says how the body is sent");
        return Err(failure.with_hint("to send a body in chunks, use Body::from_reader(None, ..)"));
    }
    Ok(())
}

/// Whether the headers of a request ask for the end of its connection.
pub(super) fn says_close(headers: &::http::HeaderMap) -> bool {
    let mut options = headers.get_all(header::CONNECTION).iter().flat_map(|value| options(value.as_bytes()));
    options.any(|option| option.eq_ignore_ascii_case(b"close"))
}

/// The members of a list.
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Writes the head of a request at the end of `out`.
pub(in super::super) fn write_head(out: &mut Vec<u8>, request: &TransportRequest<'_>) {
    let TransportRequest { method, target, headers, cookie, accept_encoding, body, options } = *request;
    let own = |name: HeaderName| has(headers, &name);
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.path_and_query.as_str().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if !own(header::HOST) {
        line(out, b"host", target.host_header.as_bytes());
    }
    if !own(header::USER_AGENT) {
        line(out, b"user-agent", options.user_agent.as_bytes());
    }
    if let Some(encodings) = super::super::decode::ACCEPT_ENCODING
        && accept_encoding
        && !own(header::ACCEPT_ENCODING)
    {
        line(out, b"accept-encoding", encodings.as_bytes());
    }
    if let Some(authorization) = &target.authorization
        && !own(header::AUTHORIZATION)
    {
        line(out, b"authorization", authorization.as_bytes());
    }
    for (name, value) in headers {
        line(out, name.as_str().as_bytes(), value.as_bytes());
    }
    if let Some(cookie) = cookie {
        line(out, b"cookie", cookie.as_bytes());
    }
    match body {
        Payload::Bytes(bytes) if bytes.is_empty() => {
            // A method that usually has a body says so if it has none (RFC 9110, section 8.6).
            if [Method::POST, Method::PUT, Method::PATCH].contains(method) {
                out.extend_from_slice(b"content-length: 0\r\n");
            }
        }
        Payload::Bytes(bytes) => length_line(out, bytes.len() as u64),
        Payload::Upload(upload) => match upload.length {
            Some(length) => length_line(out, length),
            None => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        },
    }
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn length_line(out: &mut Vec<u8>, length: u64) {
    // The most digits of a number of 64 bits.
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = length;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    line(out, b"content-length", &digits[at..]);
}

/// Writes a chunk of a request's body.
pub(super) fn write_chunk(out: &mut Vec<u8>, chunk: &[u8]) {
    out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
    out.extend_from_slice(chunk);
    out.extend_from_slice(b"\r\n");
}

/// Writes the end of a request's body that was sent in chunks.
pub(super) fn write_last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}
