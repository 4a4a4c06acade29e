//! What connections leave behind: values of built-in metrics, handed to a [`RecordSamples`].
//!
//! The main types are [`OwnTags`], which are interned once per connection rather than once per message,
//! [`Meter`], which turns a socket's counts into `data_sent` and `data_received`, and [`UnderWay`], which notices
//! that an operation is given up.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use loadtest_core::metric::Builtin;

use crate::clock::{self, Instant};
use crate::http::Traffic;
use crate::metrics::recorder::TagSet;

/// How often the bytes of a connection that goes on are recorded.
const EVERY: Duration = Duration::from_millis(500);

/// Where samples go. Implemented by the virtual user for one iteration; what comes after its end is discarded.
pub trait RecordSamples {
    /// A value of a metric, now.
    fn value(&self, tags: &OwnTags, metric: Builtin, value: f64);

    /// An operation that took so long, as of `vu.measure`.
    fn measured(&self, tags: &OwnTags, name: &str, took: Duration, failed: bool);

    /// Something failed: the text names what, without what differs from one to the next.
    fn failed(&self, protocol: Protocol, text: String);
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A WebSocket.
    WebSocket,
    /// Server-sent events.
    Sse,
    /// A TCP connection.
    Tcp,
    /// A gRPC call.
    Grpc,
    /// A service measured by a layer.
    Measure,
}

/// Tags on top of those in force, of one connection or call.
#[derive(Debug, Clone, Default)]
pub struct OwnTags {
    pairs: Vec<(Cow<'static, str>, String)>,
    /// For which tags in force this set was interned.
    interned: Cell<Option<(TagSet, TagSet)>>,
}

impl OwnTags {
    /// The user's tags.
    pub(crate) fn new(user: &[(String, String)]) -> Self {
        let pairs = user.iter().map(|(key, value)| (Cow::Owned(key.clone()), value.clone())).collect();
        Self { pairs, interned: Cell::new(None) }
    }

    /// One tag more; the user's of the same name wins.
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        if self.pairs.iter().all(|(known, _)| known != key) {
            self.pairs.push((Cow::Borrowed(key), value.into()));
            self.interned.set(None);
        }
        self
    }

    /// The tags.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (&**key, value.as_str()))
    }

    /// The interned set on top of `base`, made by `intern` if it is not known yet.
    pub(crate) fn interned(&self, base: TagSet, intern: impl FnOnce(&Self) -> TagSet) -> TagSet {
        match self.interned.get() {
            Some((known, set)) if known == base => set,
            _ => {
                let set = intern(self);
                self.interned.set(Some((base, set)));
                set
            }
        }
    }
}

/// An operation under way. Dropped before its end, it hands the time so far to its function.
pub(crate) struct UnderWay<F: FnOnce(Duration)> {
    began: Instant,
    given_up: Option<F>,
}

impl<F: FnOnce(Duration)> UnderWay<F> {
    /// An operation that began then.
    pub(crate) fn new(began: Instant, given_up: F) -> Self {
        Self { began, given_up: Some(given_up) }
    }

    /// It has come to an end of its own.
    pub(crate) fn over(mut self) {
        self.given_up = None;
    }
}

impl<F: FnOnce(Duration)> Drop for UnderWay<F> {
    fn drop(&mut self) {
        if let Some(given_up) = self.given_up.take() {
            given_up(clock::now() - self.began);
        }
    }
}

/// Records the bytes of one socket: from time to time, and at the end.
pub(crate) struct Meter {
    samples: Rc<dyn RecordSamples>,
    tags: OwnTags,
    traffic: OnceCell<Rc<Traffic>>,
    recorded: Cell<(u64, u64)>,
    last: Cell<Instant>,
}

impl Meter {
    pub(crate) fn new(samples: Rc<dyn RecordSamples>, tags: OwnTags) -> Self {
        let (traffic, recorded) = (OnceCell::new(), Cell::default());
        Self { samples, tags, traffic, recorded, last: Cell::new(clock::now()) }
    }

    /// Counts this socket's bytes, from its first one.
    pub(crate) fn count(&self, traffic: &Rc<Traffic>) {
        // A connection has one socket, so this is set once.
        let _ = self.traffic.set(Rc::clone(traffic));
    }

    /// Bytes of a socket that never became a connection.
    pub(crate) fn add(&self, sent: u64, received: u64) {
        self.record(Builtin::DataSent, sent);
        self.record(Builtin::DataReceived, received);
    }

    /// Records what has crossed, if the last time is a while ago.
    pub(crate) fn tick(&self, now: Instant) {
        if now.saturating_duration_since(self.last.get()) >= EVERY {
            self.last.set(now);
            self.flush();
        }
    }

    /// Records what has crossed.
    pub(crate) fn flush(&self) {
        let Some(traffic) = self.traffic.get() else { return };
        let (sent, received) = (traffic.sent(), traffic.received());
        let (sent_before, received_before) = self.recorded.replace((sent, received));
        self.record(Builtin::DataSent, sent - sent_before);
        self.record(Builtin::DataReceived, received - received_before);
    }

    fn record(&self, metric: Builtin, bytes: u64) {
        if bytes > 0 {
            self.samples.value(&self.tags, metric, bytes as f64);
        }
    }
}
