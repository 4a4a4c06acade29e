//! What a virtual user records on the way: HTTP exchanges, and the groups that they are in.
//!
//! The main types are [`ExchangeRecorder`], which belongs to one iteration and discards what comes after it, and
//! [`Group`]. Nothing is kept here: everything goes to the worker's recorder at once.

use std::rc::Rc;
use std::time::Duration;

use loadtest_core::metric::tag;
use url::{Position, Url};

use super::Core;
use super::protocols::SampleRecorder;
use crate::clock::{self, Instant};
use crate::http::{ErrorKind, ExchangeRecord, RecordExchange};
use crate::metrics::errors;
use crate::metrics::recorder::ExchangeTags;
use crate::metrics::sample::Exchange;
use crate::protocols::RecordSamples;

/// Records HTTP exchanges for one iteration.
pub(super) struct ExchangeRecorder {
    pub(super) core: Rc<Core>,
    pub(super) epoch: u64,
}

impl RecordExchange for ExchangeRecorder {
    fn samples(&self) -> Option<Rc<dyn RecordSamples>> {
        Some(SampleRecorder::of(&self.core, self.epoch))
    }

    fn record(&self, record: &ExchangeRecord<'_>) {
        let core = &self.core;
        let at = Instant::from_std(record.ended);
        core.record(self.epoch, |recorder, mut tags| {
            for (key, value) in record.tags {
                tags = recorder.with_tag(tags, key, value);
            }
            let of = ExchangeTags {
                name: record.name,
                method: record.method,
                status: record.status,
                protocol: record.protocol.as_str(),
                expected: record.expected_response,
                error_code: record.error_code(),
            };
            let ms = |nanos: u64| (nanos as f64 / 1e6) as f32;
            let timings = &record.timings;
            let exchange = Exchange {
                blocked_ms: ms(timings.blocked),
                looking_up_ms: ms(timings.looking_up),
                connecting_ms: ms(timings.connecting),
                tls_handshaking_ms: ms(timings.tls_handshaking),
                sending_ms: ms(timings.sending),
                waiting_ms: ms(timings.waiting),
                receiving_ms: ms(timings.receiving),
                bytes_sent: record.bytes_sent,
                bytes_received: record.bytes_received,
                failed: !record.expected_response,
            };
            recorder.exchange(at, tags, of, exchange);
        });
        if record.error.is_some() && core.recording.get() && core.epoch.get() == self.epoch {
            core.error(errors::Source::Http, told(record), None);
        }
    }

    fn throttled(&self, name: &str, own: &[(String, String)], waited: Duration) {
        self.core.record(self.epoch, |recorder, mut tags| {
            for (key, value) in own {
                tags = recorder.with_tag(tags, key, value);
            }
            recorder.throttled(clock::now(), tags, name, waited);
        });
    }
}

/// What is told of an exchange that failed: with its host if that is what could not be reached, and what to do.
fn told(record: &ExchangeRecord<'_>) -> String {
    let ExchangeRecord { method, name, error_text, hint, .. } = *record;
    let mut text = match host_not_reached(record) {
        Some(host) => format!("{method} {host} {name}: {error_text}"),
        None => format!("{method} {name}: {error_text}"),
    };
    if let Some(hint) = hint {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    text
}

/// The host and port of an exchange that got no connection, unless its error names the host already.
fn host_not_reached(record: &ExchangeRecord<'_>) -> Option<String> {
    let of_the_host = matches!(
        record.error?,
        ErrorKind::Dns
            | ErrorKind::HostNotFound
            | ErrorKind::BlockedIp
            | ErrorKind::BlockedHostname
            | ErrorKind::NotAllowed
            | ErrorKind::ConnectFailed
            | ErrorKind::ConnectTimeout
            | ErrorKind::ConnectionRefused
            | ErrorKind::Tls
            | ErrorKind::UnknownAuthority
            | ErrorKind::HostnameMismatch
    );
    let url = of_the_host.then(|| Url::parse(record.url).ok()).flatten()?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    let named = record.error_text.contains(&format!("`{host}`"));
    (!named).then(|| url[Position::BeforeHost..Position::AfterPort].to_owned())
}

/// A group from its begin to its end, however that comes: a time limit around a group drops it half-way.
pub(super) struct Group {
    core: Rc<Core>,
    outer: usize,
}

impl Group {
    pub(super) fn enter(core: &Rc<Core>, name: &str) -> Self {
        let mut group = core.group.borrow_mut();
        let outer = group.len();
        if outer > 0 {
            group.push_str("::");
        }
        group.push_str(name);
        core.set_tag(tag::GROUP, &group);
        Self { core: Rc::clone(core), outer }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut group = self.core.group.borrow_mut();
        group.truncate(self.outer);
        self.core.set_tag(tag::GROUP, &group);
    }
}
