//! [`Extras`]: what few requests have, and what it makes of a [`Call`]: mistakes, queries, cookies of its own,
//! compressed bodies, Digest authentication.

use std::sync::Arc;

use ::http::HeaderValue;
#[cfg(feature = "digest")]
use ::http::StatusCode;
#[cfg(feature = "digest")]
use ::http::header::AUTHORIZATION;
#[cfg(feature = "compression")]
use ::http::header::CONTENT_ENCODING;
use ::http::header::CONTENT_TYPE;

#[cfg(feature = "compression")]
use super::error::ErrorKind;
use super::error::Failure;
use super::exchange::Call;
#[cfg(feature = "digest")]
use super::open::Head;
#[cfg(feature = "digest")]
use super::target::Target;
#[cfg(feature = "compression")]
use super::transport::Payload;

/// What few requests have, so that the others have no room for it.
#[derive(Default)]
pub(super) struct Extras {
    /// The URL, if it leads nowhere.
    pub(super) unusable: Box<str>,
    /// The first mistake in what the test says.
    pub(super) failure: Option<Failure>,
    /// Pairs to be added to the URL's query, encoded.
    pub(super) query: String,
    /// The content type of the body, unless a header says otherwise.
    pub(super) content_type: Option<HeaderValue>,
    /// Cookies of this request alone.
    pub(super) cookies: Vec<(String, String)>,
    /// The encodings that the body is to be compressed by.
    #[cfg(feature = "compression")]
    pub(super) compression: Option<Box<str>>,
    /// Who it is from, for servers that ask by HTTP Digest authentication.
    #[cfg(feature = "digest")]
    pub(super) digest: Option<super::digest::Credentials>,
}

impl Extras {
    /// Those of a request whose URL leads nowhere.
    pub(super) fn unusable(url: &str, failure: Failure) -> Self {
        Self { unusable: url.into(), failure: Some(failure), ..Self::default() }
    }
}

impl Call {
    /// What few requests have.
    pub(super) fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// The cookies of this request alone.
    pub(super) fn own_cookies(&self) -> &[(String, String)] {
        self.extras.as_ref().map_or(&[], |extras| &extras.cookies)
    }

    /// Makes headers, the body and the target what the test said they should be.
    pub(super) fn apply_extras(&mut self) {
        let Some(extras) = &mut self.extras else { return };
        let (query, content_type) = (std::mem::take(&mut extras.query), extras.content_type.take());
        #[cfg(feature = "compression")]
        let compression = extras.compression.take();
        #[cfg(feature = "compression")]
        if let Some(encodings) = compression {
            self.compress(&encodings);
        }
        if let Some(content_type) = content_type {
            self.headers.entry(CONTENT_TYPE).or_insert(content_type);
        }
        if let Some(target) = &self.target
            && !query.is_empty()
        {
            match target.with_query(&query) {
                Ok(target) => self.target = Some(Arc::new(target)),
                Err(failure) => self.fail(failure),
            }
        }
    }

    /// Compresses the body.
    #[cfg(feature = "compression")]
    pub(super) fn compress(&mut self, encodings: &str) {
        let encoded = match &self.body {
            Payload::Bytes(body) => super::encode::encode(encodings, body),
            Payload::Upload(_) => {
                let text = "a body that is read while it is sent cannot be compressed";
                Err(Failure::new(ErrorKind::InvalidRequest, text).with_hint("send it as bytes, or as it is"))
            }
        };
        match encoded {
            Ok(_) if self.headers.contains_key(CONTENT_ENCODING) => {
                self.invalid("the body is to be compressed, and has a content-encoding header of its own");
            }
            Ok(_) if self.body.length() == Some(0) => {}
            Ok((body, encodings)) => {
                self.body = Payload::Bytes(body);
                self.headers.insert(CONTENT_ENCODING, encodings);
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// Says who the request is from, if the server has asked; whether it does.
    #[cfg(feature = "digest")]
    pub(super) fn answer(&mut self, target: &Target) -> bool {
        let Some(credentials) = self.extras.as_ref().and_then(|extras| extras.digest.as_ref()) else {
            return false;
        };
        let uri = target.path_and_query.as_str();
        let asked = super::digest::Asked { method: self.method.as_str(), uri, body: &self.body };
        match self.http.client.digest.answer(target, credentials, &asked) {
            Some(answer) => {
                self.headers.insert(AUTHORIZATION, answer);
                true
            }
            None => {
                self.headers.remove(AUTHORIZATION);
                false
            }
        }
    }

    /// Whether a response asks who the request is from, and the next one can say so.
    #[cfg(feature = "digest")]
    pub(super) fn is_challenged(&self, target: &Target, head: &Head, answered: bool) -> bool {
        let credentials = self.extras.as_ref().and_then(|extras| extras.digest.as_ref());
        let sessions = &self.http.client.digest;
        head.status == StatusCode::UNAUTHORIZED
            && credentials.is_some_and(|credentials| {
                sessions.challenged(target, credentials, head.headers.map(), answered, &self.body)
            })
    }
}
