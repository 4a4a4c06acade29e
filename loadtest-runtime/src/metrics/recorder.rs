//! A worker's side of measuring.
//!
//! The main type is [`Recorder`]: it interns series on first use and fills a buffer of samples, which is
//! handed over when full or every [`FLUSH_EVERY`]. After warm-up it takes no lock and allocates nothing.
//! A full channel is counted as loss and never waited for: the run becomes invalid, not slow.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loadtest_core::metric::{Builtin, MetricDef, Tags, tag};

use super::errors::{ErrorCount, ErrorTable};
use super::intern::{Asked, CHECKS, FOLDED, Interner, MAX_INTERNED, NO_METHOD, Recent, Text};
use super::sample::{Batch, Exchange, LocalSeries, Message, NewSeries, Payload, Sample, Subject};
use crate::clock::{self, Instant};
use crate::hash::BuildQuick;

pub(crate) use super::intern::TagSet;

/// How often a worker hands over a buffer that is not full.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Samples in a buffer.
pub(crate) const BUFFER_SAMPLES: usize = 512;
/// Buffers of a worker: at 200,000 samples per second a fifth of a second of delay is absorbed.
pub(crate) const BUFFERS: usize = 80;
/// What tells one series of HTTP exchanges from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ExchangeTags<'a> {
    pub(crate) name: &'a str,
    pub(crate) method: &'a str,
    pub(crate) status: u16,
    pub(crate) protocol: &'static str,
    pub(crate) expected: bool,
    /// k6's code, 0 if none.
    pub(crate) error_code: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Metric {
        tags: TagSet,
        name: &'static str,
    },
    Iteration {
        tags: TagSet,
    },
    Measure {
        tags: TagSet,
        name: Text,
    },
    Check {
        tags: TagSet,
        name: Text,
    },
    Throttled {
        tags: TagSet,
        name: Text,
    },
    Exchange {
        tags: TagSet,
        name: Text,
        method: Text,
        status: u16,
        protocol: &'static str,
        expected: bool,
        error: u16,
    },
}

impl Hash for Key {
    /// In two or three words: this is asked for often.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut words = |kind: u64, tags: &TagSet, name: u32, rest: u64| {
            state.write_u64(u64::from(tags.0) << 32 | u64::from(name));
            state.write_u64(rest << 8 | kind);
        };
        match self {
            Key::Metric { tags, name } => {
                words(0, tags, 0, 0);
                name.hash(state);
            }
            Key::Iteration { tags } => words(1, tags, 0, 0),
            Key::Measure { tags, name } => words(2, tags, *name, 0),
            Key::Check { tags, name } => words(3, tags, *name, 0),
            Key::Throttled { tags, name } => words(4, tags, *name, 0),
            // The protocol hardly ever tells two of them apart.
            Key::Exchange { tags, name, method, status, protocol: _, expected, error } => {
                let outcome = u64::from(*status) | u64::from(*error) << 16 | u64::from(*expected) << 32;
                words(5, tags, *name, outcome ^ u64::from(*method) << 33);
            }
        }
    }
}

impl Key {
    fn tags_mut(&mut self) -> &mut TagSet {
        match self {
            Key::Metric { tags, .. }
            | Key::Iteration { tags }
            | Key::Measure { tags, .. }
            | Key::Check { tags, .. }
            | Key::Throttled { tags, .. }
            | Key::Exchange { tags, .. } => tags,
        }
    }

    /// The texts that may be [`FOLDED`], each with its tag.
    fn texts_mut(&mut self) -> [Option<(&'static str, &mut Text)>; 2] {
        match self {
            Key::Metric { .. } | Key::Iteration { .. } => [None, None],
            Key::Measure { name, .. } | Key::Throttled { name, .. } => [Some((tag::NAME, name)), None],
            Key::Check { name, .. } => [Some((tag::CHECK, name)), None],
            Key::Exchange { name, method, .. } => [Some((tag::NAME, name)), Some((tag::METHOD, method))],
        }
    }
}

/// Records the samples of one worker.
#[derive(Debug)]
pub(crate) struct Recorder {
    worker: usize,
    start: Arc<OnceLock<Instant>>,
    /// The millisecond of the last sample, once something is recorded.
    last: Option<Millisecond>,
    interner: Interner,
    series: HashMap<Key, LocalSeries, BuildQuick>,
    recent: Recent,
    /// The series of iterations by the set of tags.
    iterations: Vec<Option<LocalSeries>>,
    new_series: Vec<NewSeries>,
    samples: Vec<Sample>,
    errors: ErrorTable,
    out: SyncSender<Message>,
    recycled: Receiver<Vec<Sample>>,
    /// Empty buffers. The one that came back last is filled next: it is still in the cache, and buffers that are
    /// not needed take no memory.
    spare: Vec<Vec<Sample>>,
    lost: Arc<AtomicU64>,
}

/// The aggregator's end of a worker's buffers: where empty ones go back to.
pub(crate) type Recycler = SyncSender<Vec<Sample>>;

impl Recorder {
    /// A recorder and the way back of its buffers. Nothing is recorded before `start` is set, and times
    /// count from it. `lost` counts what a full channel refused.
    pub(crate) fn new(
        worker: usize,
        out: SyncSender<Message>,
        start: Arc<OnceLock<Instant>>,
        lost: Arc<AtomicU64>,
    ) -> (Self, Recycler) {
        let (recycler, recycled) = sync_channel(BUFFERS);
        let recorder = Self {
            worker,
            start,
            last: None,
            interner: Interner::default(),
            series: HashMap::default(),
            recent: Recent::default(),
            iterations: Vec::new(),
            new_series: Vec::new(),
            samples: Vec::with_capacity(BUFFER_SAMPLES),
            errors: ErrorTable::default(),
            out,
            recycled,
            // With the one that is filled: as many as the way back takes.
            spare: (1..BUFFERS).map(|_| Vec::with_capacity(BUFFER_SAMPLES)).collect(),
            lost,
        };
        (recorder, recycler)
    }

    /// Interns a set of tags.
    pub(crate) fn tag_set(&mut self, tags: Tags) -> TagSet {
        self.interner.set(tags, None)
    }

    /// Interns the set that has one tag more, or another value of it.
    pub(crate) fn with_tag(&mut self, base: TagSet, key: &str, value: &str) -> TagSet {
        self.interner.with(base, key, value)
    }

    /// A value of a metric.
    pub(crate) fn value(
        &mut self,
        at: Instant,
        tags: TagSet,
        name: &'static str,
        def: impl FnOnce() -> MetricDef,
        value: f64,
    ) {
        let series = self.series(Key::Metric { tags, name }, |_| Subject::Metric(def()), |_| {});
        self.push(at, series, Payload::Value(value));
    }

    /// A check.
    pub(crate) fn check(&mut self, at: Instant, tags: TagSet, check: &str, holds: bool) {
        let asked = Asked { tags, name: check, method: NO_METHOD, outcome: CHECKS, protocol: "" };
        let place = asked.place();
        let found = self.recent.find(&self.interner, place, &asked);
        let series = found.unwrap_or_else(|| self.series_of_check(place, &asked));
        self.push(at, series, Payload::Value(f64::from(u8::from(holds))));
    }

    /// An iteration that ended.
    pub(crate) fn iteration(
        &mut self,
        at: Instant,
        tags: TagSet,
        duration: Duration,
        scheduled: Duration,
        failed: bool,
    ) {
        let found = self.iterations.get(tags.0 as usize).copied().flatten();
        let series = found.unwrap_or_else(|| self.series_of_iteration(tags));
        let payload = Payload::Iteration {
            duration_ms: clock::millis(duration) as f32,
            scheduled_ms: clock::millis(scheduled) as f32,
            failed,
        };
        self.push(at, series, payload);
    }

    /// A measured operation.
    pub(crate) fn measure(&mut self, at: Instant, tags: TagSet, name: &str, took: Duration, failed: bool) {
        let key = Key::Measure { tags, name: self.interner.text(name) };
        let series = self.series(key, |_| Subject::Measure, |own| insert(own, tag::NAME, name));
        self.push(at, series, Payload::Measure { duration_ms: clock::millis(took) as f32, failed });
    }

    /// How long an HTTP request waited for its turn.
    pub(crate) fn throttled(&mut self, at: Instant, tags: TagSet, name: &str, waited: Duration) {
        let key = Key::Throttled { tags, name: self.interner.text(name) };
        let subject = |_: &Tags| Subject::Metric(Builtin::HttpReqThrottled.def());
        let series = self.series(key, subject, |own| insert(own, tag::NAME, name));
        self.push(at, series, Payload::Value(clock::millis(waited)));
    }

    /// An HTTP exchange.
    pub(crate) fn exchange(&mut self, at: Instant, tags: TagSet, of: ExchangeTags<'_>, exchange: Exchange) {
        let ExchangeTags { name, method, status, protocol, expected, error_code } = of;
        let outcome = u64::from(status) | u64::from(error_code) << 16 | u64::from(expected) << 32;
        let asked = Asked { tags, name, method, outcome, protocol };
        let place = asked.place();
        let found = self.recent.find(&self.interner, place, &asked);
        let series = found.unwrap_or_else(|| self.series_of_exchange(place, &asked, of));
        self.push(at, series, Payload::Exchange(exchange));
    }

    #[cold]
    fn series_of_exchange(&mut self, place: usize, asked: &Asked<'_>, of: ExchangeTags<'_>) -> LocalSeries {
        let [name, method] = [of.name, of.method].map(|text| self.interner.text(text));
        let key = Key::Exchange {
            tags: asked.tags,
            name,
            method,
            status: of.status,
            protocol: of.protocol,
            expected: of.expected,
            error: of.error_code,
        };
        let subject = |connection: &Tags| Subject::Exchange { connection_tags: connection.clone() };
        let series = self.series(key, subject, |own| {
            insert(own, tag::NAME, of.name);
            insert(own, tag::METHOD, of.method);
            insert(own, tag::STATUS, &of.status.to_string());
            insert(own, tag::EXPECTED_RESPONSE, if of.expected { "true" } else { "false" });
            if of.status != 0 {
                insert(own, tag::PROTO, of.protocol);
            }
            if of.error_code != 0 {
                insert(own, tag::ERROR_CODE, &of.error_code.to_string());
            }
        });
        self.recent.remember(place, asked, [name, method], series);
        series
    }

    #[cold]
    fn series_of_check(&mut self, place: usize, asked: &Asked<'_>) -> LocalSeries {
        let [name, method] = [asked.name, asked.method].map(|text| self.interner.text(text));
        let subject = |_: &Tags| Subject::Metric(Builtin::Checks.def());
        let key = Key::Check { tags: asked.tags, name };
        let series = self.series(key, subject, |own| insert(own, tag::CHECK, asked.name));
        self.recent.remember(place, asked, [name, method], series);
        series
    }

    #[cold]
    fn series_of_iteration(&mut self, tags: TagSet) -> LocalSeries {
        let series = self.series(Key::Iteration { tags }, |_| Subject::Iteration, |_| {});
        let at = tags.0 as usize;
        if self.iterations.len() <= at {
            self.iterations.resize(at + 1, None);
        }
        self.iterations[at] = Some(series);
        series
    }

    /// An error, for the table of kinds.
    pub(crate) fn error(&mut self, at: Instant, mut error: ErrorCount) {
        if let Some(at_ms) = self.offset_ms(at) {
            error.first_at_ms = at_ms;
            self.errors.add(error);
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&mut self) {
        if self.samples.is_empty() && self.new_series.is_empty() && self.errors.is_empty() {
            return;
        }
        // Without an empty buffer the aggregator is behind by all of them: this one is lost, and counted.
        self.spare.extend(self.recycled.try_iter());
        let Some(empty) = self.spare.pop() else {
            self.lost.fetch_add(self.samples.len() as u64, Ordering::Relaxed);
            self.samples.clear();
            return;
        };
        let batch = Batch {
            worker: self.worker,
            new_series: std::mem::take(&mut self.new_series),
            samples: std::mem::replace(&mut self.samples, empty),
            errors: self.errors.drain(),
        };
        if let Err(
            TrySendError::Full(Message::Batch(mut batch))
            | TrySendError::Disconnected(Message::Batch(mut batch)),
        ) = self.out.try_send(Message::Batch(batch))
        {
            self.lost.fetch_add(batch.samples.len() as u64, Ordering::Relaxed);
            batch.samples.clear();
            self.spare.push(batch.samples);
            // Later samples refer to these series, and there are few errors: they get another chance.
            self.new_series = batch.new_series;
            for error in batch.errors {
                self.errors.add(error);
            }
        }
    }

    /// The series of a key, made on first use with its own tags on top of those in force.
    fn series(
        &mut self,
        mut key: Key,
        subject: impl FnOnce(&Tags) -> Subject,
        own: impl FnOnce(&mut Tags),
    ) -> LocalSeries {
        if let Some(series) = self.series.get(&key) {
            return *series;
        }
        if self.series.len() >= MAX_INTERNED {
            let tags = key.tags_mut();
            *tags = self.interner.root(*tags);
            for (_, text) in key.texts_mut().into_iter().flatten() {
                *text = FOLDED;
            }
            if let Some(series) = self.series.get(&key) {
                return *series;
            }
        }
        let id = self.series.len() as LocalSeries;
        self.series.insert(key, id);
        let base = self.interner.tags(*key.tags_mut());
        let (subject, mut tags) = (subject(base), base.clone());
        own(&mut tags);
        for (tag, text) in key.texts_mut().into_iter().flatten() {
            if *text == FOLDED {
                insert(&mut tags, tag, tag::OTHER);
            }
        }
        self.new_series.push(NewSeries { id, subject, tags });
        id
    }

    #[inline]
    fn push(&mut self, at: Instant, series: LocalSeries, payload: Payload) {
        let Some(at_ms) = self.offset_ms(at) else { return };
        self.samples.push(Sample { series, at_ms, payload });
        if self.samples.len() == BUFFER_SAMPLES {
            self.flush();
        }
    }

    /// Milliseconds from the start of the load; `None` before.
    #[inline]
    fn offset_ms(&mut self, at: Instant) -> Option<u32> {
        match &self.last {
            // Where it costs anything there are many samples in a millisecond, and to compare is cheaper.
            Some(last) if last.begin <= at && at < last.end => Some(last.number),
            _ => {
                self.last = Some(Millisecond::of(at, *self.start.get()?));
                self.last.as_ref().map(|last| last.number)
            }
        }
    }
}

/// A millisecond of the load.
#[derive(Debug)]
struct Millisecond {
    begin: Instant,
    end: Instant,
    /// How many were before it.
    number: u32,
}

impl Millisecond {
    /// That of an instant. What was before the start was at the start.
    fn of(at: Instant, start: Instant) -> Self {
        let number = u32::try_from(at.saturating_duration_since(start).as_millis()).unwrap_or(u32::MAX);
        let begin = start + Duration::from_millis(number.into());
        Self { begin, end: begin + Duration::from_millis(1), number }
    }
}

fn insert(tags: &mut Tags, tag: &str, value: &str) {
    tags.insert(tag.to_owned(), value.to_owned());
}

#[cfg(test)]
impl Recorder {
    /// How many series this worker tells apart.
    pub(crate) fn series_count(&self) -> usize {
        self.series.len()
    }
}
