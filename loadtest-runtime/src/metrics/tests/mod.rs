//! Measuring as its user sees it: what is recorded on workers comes out of intervals and thresholds.

mod crew;
mod folding;
mod intervals;
mod memory;
mod probes;
mod recording;
mod thresholds;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loadtest_core::metric::{Builtin, MetricDef, Tags, Totals};
use loadtest_core::results::{Interval, SeriesDef, SeriesId};
use loadtest_core::threshold::Threshold;

use super::aggregator::{Aggregated, Aggregator};
use super::recorder::{BUFFERS, ExchangeTags, Recorder, TagSet};
use super::sample::{Exchange, Message, Span};
use crate::clock::Instant;

/// Workers' recorders and the aggregator that they send to, without threads.
struct Bench {
    recorders: Vec<Recorder>,
    /// The one that leads.
    aggregator: Aggregator,
    others: Vec<Aggregator>,
    /// One for each aggregator.
    inboxes: Vec<Receiver<Message>>,
    lost: Arc<AtomicU64>,
    start: Instant,
    closed: u32,
    base: TagSet,
    /// Everything that came out of closed intervals.
    out: Sums,
}

impl Bench {
    fn new(workers: usize, thresholds: &[&str]) -> Self {
        let bench = Self::before_start(workers, thresholds);
        bench.0.set(bench.1.start).expect("set once");
        bench.1
    }

    /// The load has not begun yet: it does when the cell is set.
    fn before_start(workers: usize, thresholds: &[&str]) -> (Arc<OnceLock<Instant>>, Self) {
        Self::with_aggregators(workers, 1, thresholds)
    }

    fn with_aggregators(workers: usize, count: usize, thresholds: &[&str]) -> (Arc<OnceLock<Instant>>, Self) {
        let start = Arc::new(OnceLock::new());
        let lost = Arc::new(AtomicU64::new(0));
        let (to, inboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| sync_channel(workers * BUFFERS)).unzip();
        let mut recyclers: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
        let mut recorders = Vec::new();
        for worker in 0..workers {
            let own = &mut recyclers[worker % count];
            let out = to[worker % count].clone();
            let (recorder, recycler) = Recorder::new(own.len(), out, Arc::clone(&start), Arc::clone(&lost));
            own.push(recycler);
            recorders.push(recorder);
        }
        let thresholds: Vec<Threshold> = thresholds.iter().map(|text| text.parse().expect("valid")).collect();
        let metrics: Vec<MetricDef> = Builtin::ALL.iter().map(|metric| metric.def()).collect();
        let base = recorders.iter_mut().map(|recorder| recorder.tag_set(tags(&[("scenario", "s")]))).last();
        let mut recyclers = recyclers.into_iter();
        let aggregator = Aggregator::new(recyclers.next().expect("one"), &thresholds, &metrics);
        let others = recyclers.map(|own| aggregator.beside(own, &thresholds, &metrics)).collect();
        let bench = Self {
            recorders,
            aggregator,
            others,
            inboxes,
            lost,
            start: crate::clock::now(),
            closed: 0,
            base: base.expect("a worker"),
            out: Sums::default(),
        };
        (start, bench)
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Records a value of `group_duration`, a trend.
    fn trend(&mut self, worker: usize, ms: u64, value: f64) {
        let (at, base) = (self.at(ms), self.base);
        let metric = Builtin::GroupDuration;
        self.recorders[worker].value(at, base, metric.name(), || metric.def(), value);
    }

    fn check(&mut self, ms: u64, name: &str, holds: bool) {
        let (at, base) = (self.at(ms), self.base);
        self.recorders[0].check(at, base, name, holds);
    }

    fn exchange(&mut self, ms: u64, name: &str, exchange: Exchange) {
        let (at, base) = (self.at(ms), self.base);
        self.recorders[0].exchange(at, base, get(name), exchange);
    }

    /// Hands everything over that was recorded so far.
    fn deliver(&mut self) {
        for recorder in &mut self.recorders {
            recorder.flush();
        }
        let aggregators = std::iter::once(&mut self.aggregator).chain(&mut self.others);
        for (aggregator, inbox) in aggregators.zip(&self.inboxes) {
            for message in inbox.try_iter() {
                if let Message::Batch(batch) = message {
                    aggregator.take(batch);
                }
            }
        }
    }

    /// Closes the next second.
    fn close(&mut self) -> Interval {
        self.closed += 1;
        self.collect(Span::Second);
        let interval = self.aggregator.close(1.0, Duration::from_secs(self.closed.into()));
        self.out.add(&interval);
        interval
    }

    /// Gives the one that leads what the others have.
    fn collect(&mut self, span: Span) {
        self.others.iter_mut().for_each(|other| self.aggregator.absorb(other.part(span)));
    }

    fn deliver_and_close(&mut self) -> Interval {
        self.deliver();
        self.close()
    }

    /// Closes the last interval, and judges.
    fn finish(mut self) -> (Sums, Aggregated) {
        self.deliver();
        self.aggregator.last_interval();
        self.collect(Span::Rest);
        self.close();
        (self.out, self.aggregator.finish(Duration::from_secs(self.closed.into())))
    }

    fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// What readers of intervals do: sums by metric and tags.
#[derive(Default)]
struct Sums {
    defs: HashMap<SeriesId, SeriesDef>,
    totals: BTreeMap<(String, Tags), Totals>,
}

impl Sums {
    fn add(&mut self, interval: &Interval) {
        for def in &interval.new_series {
            assert!(self.defs.insert(def.id, def.clone()).is_none(), "{def:?} is new twice");
        }
        for (id, totals) in &interval.series {
            let def = &self.defs[id];
            self.totals.entry((def.metric.name.clone(), def.tags.clone())).or_default().merge(totals);
        }
    }

    fn series(&self, metric: &str) -> Vec<(&Tags, &Totals)> {
        let of = |((name, tags), totals)| (name == metric).then_some((tags, totals));
        self.totals.iter().filter_map(|((name, tags), totals)| of(((name, tags), totals))).collect()
    }

    /// The only series of a metric.
    fn one(&self, metric: &str) -> (&Tags, &Totals) {
        let all = self.series(metric);
        assert_eq!(all.len(), 1, "{metric}: {all:?}");
        all[0]
    }
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn get(name: &str) -> ExchangeTags<'_> {
    ExchangeTags { name, method: "GET", status: 200, protocol: "HTTP/1.1", expected: true, error_code: 0 }
}
