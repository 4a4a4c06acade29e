//! Just enough HTTP/1.1 for small messages with a deadline: one request and one answer a connection.
//!
//! The main types are [`Request`] and [`Refusal`]. A message that is too long, too slow or unclear is
//! refused. Bodies of requests are read and left alone: what is wished for is in the target.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Bytes that a request's head may have, and its body, which nobody reads.
const MAX_REQUEST: usize = 8 << 10;

/// Headers that a request may have.
const MAX_HEADERS: usize = 64;

/// A request that may be answered: it came from no web page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// Decoded, in order.
    pub(super) query: Vec<(String, String)>,
}

/// Why a request is not answered as it wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) body: ErrorBody,
}

/// An error as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ErrorBody {
    pub(super) error: String,
    #[serde(default)]
    pub(super) hint: String,
}

impl Refusal {
    pub(super) fn new(code: u16, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Refusal { code, body: ErrorBody { error: error.into(), hint: hint.into() } }
    }
}

/// Reads a request; `None` if the other side said nothing or is gone.
pub(super) fn read_request(
    stream: &TcpStream,
    address: SocketAddr,
    within: Duration,
) -> Option<Result<Request, Refusal>> {
    let mut bytes = Vec::new();
    let until = Instant::now() + within;
    loop {
        match read_some(stream, &mut bytes, MAX_REQUEST, until) {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
        match parse(&bytes, address) {
            Ok(None) if bytes.len() >= MAX_REQUEST => {
                return Some(Err(Refusal::new(
                    431,
                    "the request is too long",
                    "no header is needed but `Host`",
                )));
            }
            Ok(None) => {}
            Ok(Some((request, head, body))) => {
                // An answer to somebody who is still speaking would be lost.
                let mut rest = Vec::new();
                let mut left = body.saturating_sub(bytes.len().saturating_sub(head));
                while left > 0 {
                    match read_some(stream, &mut rest, left, until) {
                        Ok(0) | Err(_) => return None,
                        Ok(_) => left -= std::mem::take(&mut rest).len(),
                    }
                }
                return Some(Ok(request));
            }
            Err(refusal) => return Some(Err(refusal)),
        }
    }
}

/// The request in these bytes with the lengths of its head and its body; `None` if the head is not whole.
fn parse(bytes: &[u8], address: SocketAddr) -> Result<Option<(Request, usize, usize)>, Refusal> {
    let bad = |what: &str| Refusal::new(400, what, "for example `curl http://127.0.0.1:6565/v1/status`");
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(bad(&format!("this is no HTTP request: {error}"))),
    };
    let all = |name: &'static str| {
        request
            .headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    };
    from_no_web_page(all("Host"), all("Origin").chain(all("Sec-Fetch-Site")), address)?;
    if all("Transfer-Encoding").next().is_some() {
        return Err(Refusal::new(411, "a body of unknown length", "send no body"));
    }
    let mut body = 0;
    for length in all("Content-Length") {
        let length = std::str::from_utf8(length).ok().and_then(|text| text.trim().parse::<usize>().ok());
        body = length.ok_or_else(|| bad("the length of the body is no number"))?;
    }
    if body > MAX_REQUEST {
        return Err(Refusal::new(413, "the body is too long", "send no body"));
    }
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decoded(name)?, decoded(value)?))
    };
    let query: Option<Vec<_>> = query.split('&').filter(|text| !text.is_empty()).map(pair).collect();
    let request = Request {
        method: request.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.ok_or_else(|| bad("the query is not percent-encoded UTF-8"))?,
    };
    Ok(Some((request, head, body)))
}

/// A page in the user's browser can send requests here. Then they carry an `Origin`, or, if the page made
/// its own name mean this address, a `Host` that is not this machine.
fn from_no_web_page<'h>(
    mut hosts: impl Iterator<Item = &'h [u8]>,
    mut origins: impl Iterator<Item = &'h [u8]>,
    address: SocketAddr,
) -> Result<(), Refusal> {
    if origins.next().is_some() {
        return Err(Refusal::new(
            403,
            "web pages may not control a run",
            "use `cargo loadtest status`, or curl",
        ));
    }
    let port = address.port();
    let known = [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        address.to_string(),
    ];
    let is_known = |host: &[u8]| known.iter().any(|known| host.eq_ignore_ascii_case(known.as_bytes()));
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_known(host) => Ok(()),
        _ => Err(Refusal::new(403, "the request is not for this host", format!("send `Host: {address}`"))),
    }
}

/// Undoes percent-encoding; `None` if it is broken.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Does percent-encoding.
pub(super) fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Answers with JSON and ends the conversation.
pub(super) fn write_response(mut stream: &TcpStream, code: u16, body: &impl Serialize) -> io::Result<()> {
    let body = serde_json::to_string(body)?;
    let reason = match code {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    let head = format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        body.len() + 1
    );
    stream.write_all(format!("{head}{body}\n").as_bytes())?;
    stream.flush()?;
    stream.shutdown(std::net::Shutdown::Write)
}

/// Adds what comes, at most up to `most` bytes in all; 0 if there is no more.
///
/// # Errors
/// If nothing came until `until`, or the other side is gone.
pub(super) fn read_some(
    mut stream: &TcpStream,
    bytes: &mut Vec<u8>,
    most: usize,
    until: Instant,
) -> io::Result<usize> {
    let mut chunk = [0; 1024];
    let room = most.saturating_sub(bytes.len()).min(chunk.len());
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    let read = loop {
        match stream.read(&mut chunk[..room]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => break done?,
        }
    };
    bytes.extend_from_slice(&chunk[..read]);
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(request: &str) -> Result<Request, u16> {
        let address = "127.0.0.1:6565".parse().expect("an address");
        match parse(request.as_bytes(), address) {
            Ok(Some((request, ..))) => Ok(request),
            Ok(None) => Err(0),
            Err(refusal) => Err(refusal.code),
        }
    }

    fn get(headers: &str) -> Result<Request, u16> {
        parsed(&format!("GET /v1/status HTTP/1.1\r\n{headers}\r\n"))
    }

    #[test]
    fn only_requests_for_this_machine_and_from_no_page_are_taken() {
        for host in ["127.0.0.1:6565", "localhost:6565", "LOCALHOST:6565", "[::1]:6565"] {
            assert!(get(&format!("Host: {host}\r\n")).is_ok(), "{host}");
        }
        let refused = [
            "",
            "Host: evil.example:6565\r\n",
            "Host: 127.0.0.1\r\n",
            "Host: localhost:80\r\n",
            "Host: 127.0.0.1:6565.evil.example\r\n",
            "Host: 127.0.0.1:6565\r\nHost: evil.example\r\n",
            "Host: 127.0.0.1:6565\r\nOrigin: https://evil.example\r\n",
            "Host: 127.0.0.1:6565\r\norigin: null\r\n",
            "Host: 127.0.0.1:6565\r\nOrigin: http://127.0.0.1:6565\r\n",
            "Host: 127.0.0.1:6565\r\nSec-Fetch-Site: cross-site\r\n",
        ];
        for headers in refused {
            assert_eq!(get(headers), Err(403), "{headers}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused_and_what_is_half_a_request_waited_for() {
        assert_eq!(parsed("\u{16}\u{3}\u{1}"), Err(400));
        assert_eq!(parsed("GET /v1/status HTTP/1.1\r\nHost"), Err(0));
        let with = |header: &str| get(&format!("Host: localhost:6565\r\n{header}\r\n"));
        assert_eq!(with("Transfer-Encoding: chunked"), Err(411));
        assert_eq!(with("Content-Length: 99999999999999999999999"), Err(400));
        assert_eq!(with("Content-Length: 8193"), Err(413));
        assert!(with("Content-Length: 3").is_ok());
    }

    #[test]
    fn names_of_scenarios_come_through_a_query() {
        let name = "buy & pay = 100 %+ 서울?#";
        let request = parsed(&format!(
            "POST /v1/scale?vus=3&scenario={} HTTP/1.1\r\nHost: localhost:6565\r\n\r\n",
            encoded(name)
        ))
        .expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/scale"));
        let query: Vec<_> =
            request.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(query, [("vus", "3"), ("scenario", name)]);
        for broken in ["%", "%f", "%zz", "%ff"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }
}
