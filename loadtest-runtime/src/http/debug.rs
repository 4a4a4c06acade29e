//! [`Debugger`]: shows requests and responses while the test runs (`--http-debug`), without their secrets.
//!
//! Each is one record of several lines, in the form of HTTP/1.1 whichever version is spoken; a number joins a request
//! and its response. What looks like a secret is masked in headers, queries, and bodies that are JSON or forms, or look
//! like a form and have no type: by the name of the header, parameter or member, since nothing else tells. Values of
//! other names are shown as they are, and so are texts of other types: what is shown is for the eyes of whoever runs
//! the test.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, StatusCode, Version};
use bytes::Bytes;

use super::error::Failure;
use super::options::HttpDebug;
use super::record::Protocol;
use super::transport::{Payload, TransportRequest};

/// The most bytes of a body that are shown.
const SHOWN: usize = 4 * 1024;
const MASK: &str = "***";

/// Takes the number of a request and its text.
type Output = Box<dyn Fn(u64, &str)>;

/// Shows what a client sends and gets.
pub(super) struct Debugger {
    full: bool,
    count: Cell<u64>,
    output: Output,
}

/// What came back.
pub(super) struct Answer<'a> {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: &'a HeaderMap,
    /// The decoded body, if it was kept.
    pub(super) body: Option<&'a Bytes>,
}

impl Debugger {
    pub(super) fn new(debug: HttpDebug, output: impl Fn(u64, &str) + 'static) -> Self {
        Self { full: debug == HttpDebug::Full, count: Cell::new(0), output: Box::new(output) }
    }

    /// One that writes to stderr, for clients that no virtual user has.
    pub(super) fn to_stderr(debug: HttpDebug) -> Self {
        Self::new(debug, |number, text| eprintln!("[http {number}] {text}"))
    }

    /// Shows a request, and returns its number.
    pub(super) fn request(&self, request: &TransportRequest<'_>) -> u64 {
        let number = self.count.get() + 1;
        self.count.set(number);
        let mut head = Vec::new();
        super::h1::write_head(&mut head, request);
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.split("\r\n").take_while(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let mut text = Text::new('>');
        text.line(&mask_target(first));
        let mut content_type = "";
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            if name == "content-type" {
                content_type = value;
            }
            text.line(&format!("{name}: {}", mask_header(name, value)));
        }
        if self.full {
            match request.body {
                Payload::Bytes(body) => text.body(body, content_type),
                Payload::Upload(upload) => text.placeholder(&match upload.length {
                    Some(length) => format!("<{length} bytes, read while they are sent>"),
                    None => "<bytes, read while they are sent>".to_owned(),
                }),
            }
        }
        (self.output)(number, &text.text);
        number
    }

    /// Shows what came of the request of that number.
    pub(super) fn outcome(&self, number: u64, answer: Option<&Answer<'_>>, failure: Option<&Failure>) {
        let mut text = Text::new('<');
        if let Some(Answer { status, version, headers, body }) = answer {
            text.line(&format!("{} {status}", Protocol::from(*version).as_str()));
            for (name, value) in *headers {
                let shown = String::from_utf8_lossy(value.as_bytes());
                let shown =
                    if value.is_sensitive() { MASK.into() } else { mask_header(name.as_str(), &shown) };
                text.line(&format!("{name}: {shown}"));
            }
            if let Some(body) = body
                && self.full
            {
                let content_type = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or(""));
                text.body(body, content_type);
            }
        }
        if let Some(failure) = failure {
            text.line(&format!("failed: {}", failure.text));
        }
        (self.output)(number, &text.text);
    }
}

impl fmt::Debug for Debugger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Debugger").field("full", &self.full).finish_non_exhaustive()
    }
}

/// Lines that begin with the same sign.
struct Text {
    sign: char,
    text: String,
}

impl Text {
    fn new(sign: char) -> Self {
        Self { sign, text: String::new() }
    }

    /// Adds a line. Control characters are written as escapes: a terminal obeys them.
    fn line(&mut self, line: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push(self.sign);
        self.text.push(' ');
        for char in line.chars() {
            if char.is_control() && char != '\t' {
                self.text.extend(char.escape_default());
            } else {
                self.text.push(char);
            }
        }
    }

    fn placeholder(&mut self, text: &str) {
        self.line("");
        self.line(text);
    }

    fn body(&mut self, body: &Bytes, content_type: &str) {
        if body.is_empty() {
            return;
        }
        let content_type = content_type.to_ascii_lowercase();
        let shown = &body[..body.len().min(SHOWN)];
        let text = match std::str::from_utf8(shown) {
            Ok(text) => Some(text),
            // Cut within a character.
            Err(error) if error.error_len().is_none() && body.len() > SHOWN => {
                std::str::from_utf8(&shown[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let is_text = |text: &&str| !text.chars().any(|char| char.is_control() && !"\t\r\n".contains(char));
        // The values of a form of several parts are not told apart from the rest of it.
        let text = text.filter(is_text).filter(|_| !content_type.starts_with("multipart/"));
        let Some(text) = text else { return self.placeholder(&format!("<{} bytes>", body.len())) };
        let masked = if content_type.contains("x-www-form-urlencoded") {
            mask_pairs(text).into()
        } else if content_type.contains("json") || text.trim_start().starts_with(['{', '[']) {
            mask_json(text).into()
        } else if content_type.is_empty() && is_form(text) {
            mask_pairs(text).into()
        } else {
            Cow::Borrowed(text)
        };
        self.line("");
        for line in masked.lines() {
            self.line(line);
        }
        if body.len() > text.len() {
            self.line(&format!("… ({} bytes in all)", body.len()));
        }
    }
}

/// Whether a value of this name may be a secret.
fn is_secret(name: &str) -> bool {
    const PARTS: [&str; 10] = [
        "token",
        "secret",
        "key",
        "password",
        "passwd",
        "passphrase",
        "credential",
        "session",
        "sessid",
        "signature",
    ];
    // Parts of other words: `passenger`, `shipping`, `side`.
    const WORDS: [&str; 13] = [
        "authorization",
        "pass",
        "pwd",
        "pin",
        "otp",
        "totp",
        "jwt",
        "cvv",
        "cvc",
        "assertion",
        "bearer",
        "sid",
        "sig",
    ];
    let lower = name.to_ascii_lowercase();
    PARTS.iter().any(|part| lower.contains(part))
        || (lower.contains("auth") && !lower.contains("author"))
        || words(name).any(|word| WORDS.iter().any(|secret| word.eq_ignore_ascii_case(secret)))
}

/// The words of a name: `user_pin`, `user-pin`, `user[pin]` and `userPin` have two.
fn words(name: &str) -> impl Iterator<Item = &str> {
    let humps = |part: &str| -> Vec<usize> {
        let pairs = part.bytes().zip(part.bytes().skip(1)).enumerate();
        let hump = |(at, (a, b)): (usize, (u8, u8))| {
            (!a.is_ascii_uppercase() && b.is_ascii_uppercase()).then_some(at + 1)
        };
        std::iter::once(0).chain(pairs.filter_map(hump)).chain([part.len()]).collect()
    };
    name.split(|char: char| !char.is_alphanumeric()).flat_map(move |part| {
        let ends = humps(part);
        (1..ends.len()).map(move |end| &part[ends[end - 1]..ends[end]])
    })
}

/// Whether a text of an unknown type may be `name=value` pairs: names have no blanks and no markup in them.
fn is_form(text: &str) -> bool {
    let is_name = |name: &str| !name.contains(|char: char| char.is_whitespace() || "<>\"'{}".contains(char));
    text.contains('=') && text.split('&').all(|pair| is_name(pair.split('=').next().unwrap_or("").trim()))
}

/// The value of a header as it is shown.
fn mask_header<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        // The scheme is no secret, and what is often wrong.
        "authorization" | "proxy-authorization" => match value.split_once(' ') {
            Some((scheme, _)) => format!("{scheme} {MASK}").into(),
            None => MASK.into(),
        },
        "cookie" => {
            let masked = value.split(';').map(|pair| match pair.split_once('=') {
                Some((name, _)) => format!("{name}={MASK}"),
                None => MASK.to_owned(),
            });
            masked.collect::<Vec<_>>().join(";").into()
        }
        "set-cookie" => {
            let (pair, attributes) = value.find(';').map_or((value, ""), |at| value.split_at(at));
            let name = pair.split_once('=').map_or("", |(name, _)| name);
            format!("{name}={MASK}{attributes}").into()
        }
        // What is asked for is no secret.
        "www-authenticate" | "proxy-authenticate" | "authentication-info" => value.into(),
        "location" | "content-location" | "referer" | "refresh" => mask_url(value).into(),
        _ if is_secret(&name) => MASK.into(),
        _ => value.into(),
    }
}

/// A request line with its query masked.
fn mask_target(line: &str) -> Cow<'_, str> {
    let Some((start, rest)) = line.split_once('?') else { return line.into() };
    let (query, version) = rest.rsplit_once(' ').unwrap_or((rest, ""));
    format!("{start}?{} {version}", mask_pairs(query)).into()
}

/// A URL without credentials, its query masked; its fragment may be a token too.
fn mask_url(url: &str) -> String {
    let (url, fragment) = url.split_once('#').map_or((url, None), |(url, fragment)| (url, Some(fragment)));
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let mut masked = match base.split_once("//") {
        Some((scheme, rest)) => match rest.split('/').next().and_then(|authority| authority.rsplit_once('@'))
        {
            Some((credentials, _)) => format!("{scheme}//{MASK}{}", &rest[credentials.len()..]),
            None => base.to_owned(),
        },
        None => base.to_owned(),
    };
    for (sign, pairs) in [('?', query), ('#', fragment)] {
        if let Some(pairs) = pairs {
            masked.push(sign);
            masked.push_str(&mask_pairs(pairs));
        }
    }
    masked
}

/// `name=value` pairs with the values of secret names masked.
fn mask_pairs(pairs: &str) -> String {
    let masked = pairs.split('&').map(|pair| {
        let Some((name, _)) = pair.split_once('=') else { return Cow::Borrowed(pair) };
        let decoded = url::form_urlencoded::parse(name.as_bytes()).next();
        let is_secret = decoded.is_some_and(|(decoded, _)| is_secret(&decoded));
        if is_secret { format!("{name}={MASK}").into() } else { Cow::Borrowed(pair) }
    });
    masked.collect::<Vec<_>>().join("&")
}

/// A text of JSON, perhaps cut off, with the values of secret names masked. It needs not be well-formed.
fn mask_json(text: &str) -> String {
    let bytes = text.as_bytes();
    let blank = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        at
    };
    let mut out = String::with_capacity(text.len());
    // Everything before `copied` is in `out`; all positions are those of ASCII characters or the end.
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        if bytes[at] != b'"' {
            at += 1;
            continue;
        }
        let name = at;
        at = string_end(bytes, at);
        let colon = blank(at);
        if bytes.get(colon) != Some(&b':') {
            continue;
        }
        let decoded: Option<String> = serde_json::from_str(&text[name..at]).ok();
        let value = blank(colon + 1);
        if !is_secret(decoded.as_deref().unwrap_or(&text[name..at])) || value >= bytes.len() {
            continue;
        }
        out.push_str(&text[copied..value]);
        out.push_str("\"***\"");
        at = value_end(bytes, value);
        copied = at;
    }
    out.push_str(&text[copied..]);
    out
}

/// The end of the string that begins at `at`, behind its quote.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of the value that begins at `at`.
fn value_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return if depth == 1 { at + 1 } else { at },
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(body: impl Into<Bytes>, content_type: &str) -> String {
        let mut text = Text::new('<');
        text.body(&body.into(), content_type);
        text.text
    }

    #[test]
    fn headers_hide_their_secrets() {
        for (name, value, expected) in [
            ("authorization", "Bearer abc.def", "Bearer ***"),
            ("Authorization", "abc", "***"),
            ("proxy-authorization", "Basic eA==", "Basic ***"),
            ("cookie", "sid=1; lang=ko", "sid=***; lang=***"),
            ("set-cookie", "sid=abc; Path=/; HttpOnly", "sid=***; Path=/; HttpOnly"),
            ("set-cookie", "abc", "=***"),
            ("x-api-key", "1", "***"),
            ("X-Auth", "1", "***"),
            ("x-csrf-token", "1", "***"),
            ("www-authenticate", "Digest realm=x", "Digest realm=x"),
            ("content-type", "text/plain", "text/plain"),
            ("x-author", "me", "me"),
            ("keep-alive", "timeout=5", "timeout=5"),
            ("location", "//u:p@h/a?token=1&b=2#access_token=3", "//***@h/a?token=***&b=2#access_token=***"),
            ("location", "/a?code=1", "/a?code=1"),
        ] {
            assert_eq!(mask_header(name, value), expected, "{name}: {value}");
        }
        assert_eq!(mask_target("GET /a?api_key=1&q=a%20b HTTP/1.1"), "GET /a?api_key=***&q=a%20b HTTP/1.1");
        assert_eq!(mask_target("GET /a?%74oken=1&flag HTTP/1.1"), "GET /a?%74oken=***&flag HTTP/1.1");
        assert_eq!(mask_target("GET /a HTTP/1.1"), "GET /a HTTP/1.1");
    }

    #[test]
    fn names_of_secrets_are_told_from_those_of_all_else() {
        for word in ["pass", "pwd", "pin", "otp", "jwt", "cvv", "assertion", "bearer", "sid", "session"] {
            let (upper, camel) = (word.to_uppercase(), format!("{}{}", word[..1].to_uppercase(), &word[1..]));
            for name in [
                word.to_owned(),
                format!("user_{word}"),
                format!("{word}-2"),
                format!("x-{word}-y"),
                format!("user[{word}]"),
                format!("MY_{upper}"),
                format!("user{camel}"),
                format!("{word}Code"),
                format!("é{camel}"),
            ] {
                assert!(is_secret(&name), "{name}");
            }
        }
        assert!(is_secret("PHPSESSID") && is_secret("connect.sid"));
        for name in
            ["passenger", "compass", "shipping", "pinned", "side", "seat_id", "option", "Ünsid", "", "É"]
        {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn bodies_hide_their_secrets() {
        for (json, expected) in [
            (r#"{"user":"al","password":"s\"x","n":1}"#, r#"{"user":"al","password":"***","n":1}"#),
            (r#"{"a":{"Token" : 12 , "b":[1]}}"#, r#"{"a":{"Token" : "***", "b":[1]}}"#),
            (r#"[{"keys":["x",{"y":"]"}],"z":"token"}]"#, r#"[{"keys":"***","z":"token"}]"#),
            (r#"{"pass\u0077ord":true}"#, r#"{"pass\u0077ord":"***"}"#),
            (r#"{"secret":"cut of"#, r#"{"secret":"***""#),
            (r#"{"secret":["cut", {"of"#, r#"{"secret":"***""#),
            (r#"{"secret":"#, r#"{"secret":"#),
            (r#"{"é":"ü","key":"é\"#, r#"{"é":"ü","key":"***""#),
        ] {
            assert_eq!(mask_json(json), expected);
        }
        let form = body("user=al&Pass%77ord=x%26y&note=password", "application/x-www-form-urlencoded");
        assert_eq!(
            form,
            "\n< user=al&Pass%77ord=***&note=password".trim_start_matches('\n').replacen("< ", "< \n< ", 1)
        );
        assert_eq!(body("user=al&pwd=x y\nz&b", ""), "< \n< user=al&pwd=***&b");
        for text in ["no form", "if a < b then pass=x", "<a pass=\"x\">"] {
            assert_eq!(body(text, ""), format!("< \n< {text}"));
        }
        assert_eq!(body(r#"{"token":"x"}"#, "text/plain"), "< \n< {\"token\":\"***\"}");
        assert_eq!(body("--B\r\nsecret", "multipart/form-data; boundary=B"), "< \n< <11 bytes>");
    }

    #[test]
    fn bodies_are_cut_and_binary_ones_counted() {
        assert_eq!(body("", "text/plain"), "");
        assert_eq!(body(vec![0xff, 0xfe, 0], ""), "< \n< <3 bytes>");
        assert_eq!(body("a\u{1b}[2J", ""), "< \n< <5 bytes>");
        assert_eq!(body("a\r\nb\n", "text/plain"), "< \n< a\n< b");
        let long = body("é".repeat(SHOWN), "text/plain");
        assert!(long.len() < SHOWN + 100 && long.ends_with("é\n< … (8192 bytes in all)"), "{}", long.len());
        let odd = body(format!("a{}", "é".repeat(SHOWN)), "text/plain");
        assert!(odd.ends_with("é\n< … (8193 bytes in all)"));
    }

    #[test]
    fn a_line_is_one_line() {
        let mut text = Text::new('>');
        text.line("GET /\n\u{1b}[2J");
        assert_eq!(text.text, "> GET /\\n\\u{1b}[2J");
    }
}
