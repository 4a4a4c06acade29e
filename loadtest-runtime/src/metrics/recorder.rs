//! A worker's side of measuring.
//!
//! The main type is [`Recorder`]: it interns series on first use and fills a buffer of samples, which is
//! handed over when full or every [`FLUSH_EVERY`]. After warm-up it takes no lock and allocates nothing.
//! A full channel is counted as loss and never waited for: the run becomes invalid, not slow.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loadtest_core::metric::{Builtin, MetricDef, Tags, tag};

use super::errors::{ErrorCount, ErrorTable};
use super::sample::{Batch, Exchange, LocalSeries, Message, NewSeries, Payload, Sample, Subject};
use crate::clock::{self, Instant};

/// How often a worker hands over a buffer that is not full.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Samples in a buffer.
pub(crate) const BUFFER_SAMPLES: usize = 512;
/// Buffers of a worker: at 200,000 samples per second a fifth of a second of delay is absorbed.
pub(crate) const BUFFERS: usize = 80;
/// Series, sets of tags and texts that a worker tells apart. Those after them are folded: texts become
/// `__other__`, and sets of tags those of the scenario. So memory is bounded whatever a test makes names of.
const MAX_INTERNED: usize = 20_000;

/// An interned set of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct TagSet(u32);

/// An interned text.
type Text = u32;
/// The text that stands for those that were not interned any more.
const FOLDED: Text = Text::MAX;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// Interned texts and sets of tags.
#[derive(Debug, Default)]
struct Interner {
    texts: HashMap<Box<str>, Text>,
    /// Each set with the one that it was derived from in the first place.
    sets: Vec<(Tags, TagSet)>,
    set_ids: HashMap<Tags, TagSet>,
    derived: HashMap<(TagSet, Text, Text), TagSet>,
}

impl Interner {
    /// The id of a text; [`FOLDED`] if there are too many.
    fn text(&mut self, text: &str) -> Text {
        if let Some(id) = self.texts.get(text) {
            return *id;
        }
        if self.texts.len() >= MAX_INTERNED {
            return FOLDED;
        }
        let id = self.texts.len() as Text;
        self.texts.insert(text.into(), id);
        id
    }

    fn tags(&self, set: TagSet) -> &Tags {
        &self.sets[set.0 as usize].0
    }

    /// The tags of the scenario that a set of tags belongs to.
    fn root(&self, set: TagSet) -> TagSet {
        self.sets[set.0 as usize].1
    }

    fn set(&mut self, tags: Tags, root: Option<TagSet>) -> TagSet {
        if let Some(known) = self.set_ids.get(&tags) {
            return *known;
        }
        let set = TagSet(self.sets.len() as u32);
        self.set_ids.insert(tags.clone(), set);
        self.sets.push((tags, root.unwrap_or(set)));
        set
    }

    fn with(&mut self, base: TagSet, key: &str, value: &str) -> TagSet {
        let (key_id, value_id) = (self.text(key), self.text(value));
        if let Some(set) = self.derived.get(&(base, key_id, value_id)) {
            return *set;
        }
        if key_id == FOLDED || self.sets.len() >= MAX_INTERNED || self.derived.len() >= MAX_INTERNED {
            return self.root(base);
        }
        let mut tags = self.tags(base).clone();
        match (value, value_id) {
            // A tag without a value is no tag: selectors can't tell them apart, so there is one series.
            ("", _) => tags.remove(key),
            (_, FOLDED) => tags.insert(key.to_owned(), tag::OTHER.to_owned()),
            _ => tags.insert(key.to_owned(), value.to_owned()),
        };
        let set = self.set(tags, Some(self.root(base)));
        self.derived.insert((base, key_id, value_id), set);
        set
    }
}

/// Records the samples of one worker.
#[derive(Debug)]
pub(crate) struct Recorder {
    worker: usize,
    start: Arc<OnceLock<Instant>>,
    interner: Interner,
    series: HashMap<Key, LocalSeries>,
    new_series: Vec<NewSeries>,
    samples: Vec<Sample>,
    errors: ErrorTable,
    out: SyncSender<Message>,
    recycled: Receiver<Vec<Sample>>,
    /// A buffer that was refused and is empty again: it must not leave the cycle.
    spare: Option<Vec<Sample>>,
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
        for _ in 1..BUFFERS {
            // The channel has room for all of them and its other end is right here.
            let _ = recycler.try_send(Vec::with_capacity(BUFFER_SAMPLES));
        }
        let recorder = Self {
            worker,
            start,
            interner: Interner::default(),
            series: HashMap::new(),
            new_series: Vec::new(),
            samples: Vec::with_capacity(BUFFER_SAMPLES),
            errors: ErrorTable::default(),
            out,
            recycled,
            spare: None,
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
        let key = Key::Check { tags, name: self.interner.text(check) };
        let subject = |_: &Tags| Subject::Metric(Builtin::Checks.def());
        let series = self.series(key, subject, |own| insert(own, tag::CHECK, check));
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
        let series = self.series(Key::Iteration { tags }, |_| Subject::Iteration, |_| {});
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
        let key = Key::Exchange {
            tags,
            name: self.interner.text(of.name),
            method: self.interner.text(of.method),
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
        self.push(at, series, Payload::Exchange(exchange));
    }

    /// An error, for the table of kinds.
    pub(crate) fn error(&mut self, at: Instant, mut error: ErrorCount) {
        if let Some(start) = self.start.get().copied() {
            error.first_at_ms = offset_ms(start, at);
            self.errors.add(error);
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&mut self) {
        if self.samples.is_empty() && self.new_series.is_empty() && self.errors.is_empty() {
            return;
        }
        // Without an empty buffer the aggregator is behind by all of them: this one is lost, and counted.
        let Some(empty) = self.spare.take().or_else(|| self.recycled.try_recv().ok()) else {
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
            self.spare = Some(batch.samples);
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

    fn push(&mut self, at: Instant, series: LocalSeries, payload: Payload) {
        let Some(start) = self.start.get().copied() else { return };
        self.samples.push(Sample { series, at_ms: offset_ms(start, at), payload });
        if self.samples.len() == BUFFER_SAMPLES {
            self.flush();
        }
    }
}

fn insert(tags: &mut Tags, tag: &str, value: &str) {
    tags.insert(tag.to_owned(), value.to_owned());
}

fn offset_ms(start: Instant, at: Instant) -> u32 {
    u32::try_from(at.saturating_duration_since(start).as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
impl Recorder {
    /// How many series this worker tells apart.
    pub(crate) fn series_count(&self) -> usize {
        self.series.len()
    }
}
