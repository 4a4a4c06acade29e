//! [`Tagging`]: how the samples of a request are tagged and judged.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use ::http::{Method, StatusCode, Version};

use super::error::{Error, Failure};
use super::exchange::DROPPED;
use super::record::{ExchangeRecord, Protocol, RecordExchange, Timings};
use super::route;
use super::status::StatusRule;
use super::target::Target;
use super::transport::Sealed;

/// How the samples of a request are tagged and judged.
#[derive(Debug, Default)]
pub(super) struct Tagging {
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) expected: StatusRule,
}

impl Tagging {
    /// Records a request that never left.
    pub(super) fn reject(
        &self,
        recorder: &dyn RecordExchange,
        method: &Method,
        url: &str,
        name: Option<&str>,
        failure: Failure,
    ) -> Error {
        let fallback = route::raw_template(url);
        recorder.record(&ExchangeRecord {
            name: self.name.as_deref().or(name).unwrap_or(&fallback),
            method: method.as_str(),
            status: 0,
            protocol: Protocol::Http11,
            error: Some(failure.kind),
            expected_response: false,
            tags: &self.tags,
            url: &route::shown(url),
            error_text: &failure.text,
            hint: failure.advice(),
            ended: Instant::now(),
            timings: Timings::default(),
            bytes_sent: 0,
            bytes_received: 0,
        });
        Error::new(failure, method, url, None)
    }

    /// Records how long an exchange waited for its turn.
    pub(super) fn throttled(&self, recorder: &dyn RecordExchange, target: &Target, waited: Duration) {
        recorder.throttled(self.name.as_deref().unwrap_or(&target.name), &self.tags, waited);
    }

    /// Records an exchange.
    pub(super) fn record(&self, recorder: &dyn RecordExchange, exchange: &Exchange<'_>) {
        let Exchange { method, target, head, failure, followed, sealed } = *exchange;
        let status = head.map_or(0, |(status, _)| status.as_u16());
        recorder.record(&ExchangeRecord {
            name: self.name.as_deref().unwrap_or(&target.name),
            method: method.as_str(),
            status,
            protocol: head.map_or(Protocol::Http11, |(_, version)| version.into()),
            error: failure.map(|failure| failure.kind),
            expected_response: failure.is_none() && (followed || self.expected.accepts(status)),
            tags: &self.tags,
            url: target.shown_url(),
            error_text: failure.map_or("", |failure| &failure.text),
            // What the test itself gave up has no limit that could be raised.
            hint: failure.filter(|failure| failure.text != DROPPED).and_then(Failure::advice),
            ended: sealed.ended,
            timings: sealed.timings,
            bytes_sent: sealed.bytes_sent,
            bytes_received: sealed.bytes_received,
        });
    }
}

/// What is to be recorded.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) method: &'a Method,
    pub(super) target: &'a Target,
    pub(super) head: Option<(StatusCode, Version)>,
    pub(super) failure: Option<&'a Failure>,
    /// Whether it is a redirect that was followed.
    pub(super) followed: bool,
    pub(super) sealed: Sealed,
}
