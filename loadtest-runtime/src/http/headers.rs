//! [`ResponseHeaders`]: the headers of a response, made a map when somebody asks for them.
//!
//! Most load tests look at the status alone, and a map costs more than the rest of reading a response. Responses
//! with the same head share what was made of it.

use std::mem::MaybeUninit;
use std::sync::{Arc, OnceLock};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

/// Headers as they came.
#[derive(Debug, Clone)]
pub(super) struct ResponseHeaders {
    headers: Arc<Headers>,
    /// Whether there is a `Set-Cookie` among them.
    pub(super) sets_cookies: bool,
    /// Whether there is a `Content-Encoding` among them.
    #[cfg_attr(not(feature = "compression"), expect(dead_code, reason = "only who decodes asks"))]
    pub(super) is_encoded: bool,
}

#[derive(Debug)]
struct Headers {
    /// The head that they are in; empty if the map is all there is.
    head: Bytes,
    map: OnceLock<HeaderMap>,
}

impl ResponseHeaders {
    /// The headers of a head of HTTP/1, which has been parsed once.
    pub(super) fn of_head(head: &[u8], sets_cookies: bool, is_encoded: bool) -> Self {
        let headers = Headers { head: Bytes::copy_from_slice(head), map: OnceLock::new() };
        Self { headers: Arc::new(headers), sets_cookies, is_encoded }
    }

    /// Those of a protocol that has them as a map.
    #[cfg(any(feature = "http2", feature = "reqwest"))]
    pub(super) fn of_map(map: HeaderMap) -> Self {
        let sets_cookies = map.contains_key(::http::header::SET_COOKIE);
        let is_encoded = map.contains_key(::http::header::CONTENT_ENCODING);
        let headers = Headers { head: Bytes::new(), map: OnceLock::from(map) };
        Self { headers: Arc::new(headers), sets_cookies, is_encoded }
    }

    /// The headers.
    pub(super) fn map(&self) -> &HeaderMap {
        self.headers.map.get_or_init(|| parse(&self.headers.head))
    }

    /// The head of HTTP/1 that they are in.
    pub(super) fn head(&self) -> &[u8] {
        &self.headers.head
    }
}

/// Whether there is a header of this name. Requests have few, which are compared faster than a name is hashed.
pub(super) fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    match headers.len() {
        0..=8 => headers.keys().any(|other| other == name),
        _ => headers.contains_key(name),
    }
}

fn parse(head: &Bytes) -> HeaderMap {
    // As many as the codec lets pass.
    let mut headers = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; 128];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    if config.parse_response_with_uninit_headers(&mut response, head, &mut headers).is_err() {
        return HeaderMap::new();
    }
    let mut map = HeaderMap::with_capacity(response.headers.len());
    for header in response.headers.iter() {
        // httparse lets no byte pass that names and values refuse.
        if let Ok(name) = HeaderName::from_bytes(header.name.as_bytes())
            && let Ok(value) = HeaderValue::from_maybe_shared(head.slice_ref(header.value))
        {
            map.append(name, value);
        }
    }
    map
}
