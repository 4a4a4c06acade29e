//! A worker's side of measuring.
//!
//! The main type is [`Recorder`]: it interns series on first use and fills a buffer of samples, which is
//! handed over when full or every [`FLUSH_EVERY`]. After warm-up it takes no lock and allocates nothing.
//! A full channel is counted as loss and never waited for: the run becomes invalid, not slow.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use loadtest_core::metric::{MetricDef, Tags, tag};

use super::errors::{ErrorCount, ErrorTable};
use super::sample::{Batch, Exchange, LocalSeries, Message, NewSeries, Payload, Sample, Subject};
use crate::clock::Instant;

/// How often a worker hands over a buffer that is not full.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Samples in a buffer.
pub(crate) const BUFFER_SAMPLES: usize = 512;
/// Buffers of a worker: at 200,000 samples per second a fifth of a second of delay is absorbed.
pub(crate) const BUFFERS: usize = 80;
/// Series that a worker tells apart. More are folded into one without tags of their own.
const MAX_LOCAL_SERIES: usize = 20_000;

/// An interned set of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct TagSet(u32);

/// An interned text.
type Text = u32;

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
    Metric { name: Text, tags: TagSet },
    Iteration { tags: TagSet },
    Measure { name: Text, tags: TagSet },
    Check { name: Text, tags: TagSet },
    Exchange { tags: TagSet, name: Text, method: Text, status: u16, protocol: Text, expected: bool, error: u16 },
}

/// Interned texts and sets of tags.
#[derive(Debug, Default)]
struct Interner {
    ids: HashMap<Box<str>, Text>,
    texts: Vec<Box<str>>,
    sets: Vec<Tags>,
    derived: HashMap<(TagSet, Text, Text), TagSet>,
}

impl Interner {
    fn text(&mut self, text: &str) -> Text {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = self.texts.len() as Text;
        self.ids.insert(text.into(), id);
        self.texts.push(text.into());
        id
    }

    fn set(&mut self, tags: Tags) -> TagSet {
        if let Some(at) = self.sets.iter().position(|known| *known == tags) {
            return TagSet(at as u32);
        }
        self.sets.push(tags);
        TagSet((self.sets.len() - 1) as u32)
    }

    fn with(&mut self, base: TagSet, key: &str, value: &str) -> TagSet {
        let (key_id, value_id) = (self.text(key), self.text(value));
        if let Some(set) = self.derived.get(&(base, key_id, value_id)) {
            return *set;
        }
        let set = if self.sets.len() >= MAX_LOCAL_SERIES {
            base
        } else {
            let mut tags = self.sets[base.0 as usize].clone();
            tags.insert(key.to_owned(), value.to_owned());
            self.set(tags)
        };
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
            lost,
        };
        (recorder, recycler)
    }

    /// Interns a set of tags.
    pub(crate) fn tag_set(&mut self, tags: Tags) -> TagSet {
        self.interner.set(tags)
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
        name: &str,
        def: impl Fn() -> MetricDef,
        value: f64,
    ) {
        let name = self.interner.text(name);
        let series = self.series(Key::Metric { name, tags }, || Subject::Metric(def()), tags, &[]);
        self.push(at, series, Payload::Value(value));
    }

    /// A check.
    pub(crate) fn check(&mut self, at: Instant, tags: TagSet, check: &str, holds: bool) {
        let name = self.interner.text(check);
        let subject = || Subject::Metric(loadtest_core::metric::Builtin::Checks.def());
        let series = self.series(Key::Check { name, tags }, subject, tags, &[(tag::CHECK, check)]);
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
        let series = self.series(Key::Iteration { tags }, || Subject::Iteration, tags, &[]);
        let payload = Payload::Iteration {
            duration_ms: crate::clock::millis(duration) as f32,
            scheduled_ms: crate::clock::millis(scheduled) as f32,
            failed,
        };
        self.push(at, series, payload);
    }

    /// A measured operation.
    pub(crate) fn measure(&mut self, at: Instant, tags: TagSet, name: &str, took: Duration, failed: bool) {
        let text = self.interner.text(name);
        let key = Key::Measure { name: text, tags };
        let series = self.series(key, || Subject::Measure, tags, &[(tag::NAME, name)]);
        let duration_ms = crate::clock::millis(took) as f32;
        self.push(at, series, Payload::Measure { duration_ms, failed });
    }

    /// An HTTP exchange.
    pub(crate) fn exchange(&mut self, at: Instant, tags: TagSet, of: ExchangeTags<'_>, exchange: Exchange) {
        let key = Key::Exchange {
            tags,
            name: self.interner.text(of.name),
            method: self.interner.text(of.method),
            status: of.status,
            protocol: self.interner.text(of.protocol),
            expected: of.expected,
            error: of.error_code,
        };
        if let Some(series) = self.series.get(&key) {
            let series = *series;
            self.push(at, series, Payload::Exchange(exchange));
            return;
        }
        let status = of.status.to_string();
        let code = of.error_code.to_string();
        let mut own = vec![
            (tag::NAME, of.name),
            (tag::METHOD, of.method),
            (tag::STATUS, status.as_str()),
            (tag::EXPECTED_RESPONSE, if of.expected { "true" } else { "false" }),
        ];
        if of.status != 0 {
            own.push((tag::PROTO, of.protocol));
        }
        if of.error_code != 0 {
            own.push((tag::ERROR_CODE, &code));
        }
        let connection_tags = self.interner.sets[tags.0 as usize].clone();
        let series = self.series(key, || Subject::Exchange { connection_tags: connection_tags.clone() }, tags, &own);
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
        let Ok(empty) = self.recycled.try_recv() else {
            self.lost.fetch_add(self.samples.len() as u64, Ordering::Relaxed);
            self.samples.clear();
            return;
        };
        let batch = Batch {
            worker: self.worker,
            new_series: std::mem::take(&mut self.new_series),
            samples: std::mem::replace(&mut self.samples, empty),
            errors: if self.errors.is_empty() { Vec::new() } else { self.errors.drain() },
        };
        if let Err(refused) = self.out.try_send(Message::Batch(batch)) {
            if let std::sync::mpsc::TrySendError::Full(Message::Batch(batch))
            | std::sync::mpsc::TrySendError::Disconnected(Message::Batch(batch)) = refused
            {
                self.lost.fetch_add(batch.samples.len() as u64, Ordering::Relaxed);
                // Later samples refer to these series.
                self.new_series = batch.new_series;
            }
        }
    }

    fn series(
        &mut self,
        key: Key,
        subject: impl FnOnce() -> Subject,
        tags: TagSet,
        own: &[(&str, &str)],
    ) -> LocalSeries {
        if let Some(series) = self.series.get(&key) {
            return *series;
        }
        let id = self.series.len() as LocalSeries;
        let mut all = self.interner.sets[tags.0 as usize].clone();
        let crowded = self.series.len() >= MAX_LOCAL_SERIES;
        for (key, value) in own {
            let value = if crowded && *key == tag::NAME { tag::OTHER } else { value };
            all.insert((*key).to_owned(), value.to_owned());
        }
        self.series.insert(key, id);
        self.new_series.push(NewSeries { id, subject: subject(), tags: all });
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

fn offset_ms(start: Instant, at: Instant) -> u32 {
    u32::try_from(at.saturating_duration_since(start).as_millis()).unwrap_or(u32::MAX)
}
