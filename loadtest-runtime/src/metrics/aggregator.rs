//! The other side of the channel: the aggregator owns every sum and histogram, closes an interval each
//! second and judges the thresholds on what has come so far.
//!
//! The main type is [`Aggregator`], a value: [`Aggregator::take`] a message, [`Aggregator::close`] an
//! interval. The loop around it ([`run`]) only turns messages and the clock into those calls.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use loadtest_core::metric::{Builtin, MetricDef, Tags, Totals, tag};
use loadtest_core::results::{Interval, SeriesDef, SeriesId, ThresholdOutcome};
use loadtest_core::threshold::Threshold;

use super::errors::{self, ErrorCount, ErrorTable};
use super::judge::{Judge, LatencyShare, ProbeLatency};
use super::recorder::{BUFFERS, Recycler};
use super::sample::{Batch, EndedProbe, JudgedProbe, Message, NewSeries, Payload, Sample, Subject};
use crate::clock::{self, Instant};

/// How long after its end an interval stays open for samples under way: a recorder's flush and a bit.
const CLOSE_DELAY: Duration = Duration::from_millis(250);
/// Values of a tag that a metric keeps apart.
const MAX_TAG_VALUES: usize = 100;
/// Series that a metric keeps apart.
const MAX_SERIES_PER_METRIC: usize = 2_000;
/// The largest value: a hundred million of them can be summed.
const MAX_MAGNITUDE: f64 = 1e300;

/// One series over the open interval.
#[derive(Debug)]
struct Series {
    def: SeriesDef,
    scale: f64,
    open: Totals,
    thresholds: Vec<usize>,
    latency: Option<LatencyShare>,
    announced: bool,
}

impl Series {
    /// Adds a value to the open interval; false if no sum can take it.
    fn record(&mut self, value: f64) -> bool {
        let fits = fits(value);
        if fits {
            self.open.record(self.def.metric.kind, self.scale, value);
        }
        fits
    }
}

/// A worker's series as series of the aggregator.
#[derive(Debug, Clone, Copy)]
enum Route {
    Metric(usize),
    Iteration { count: usize, duration: usize, scheduled: usize, failed: usize },
    Measure { duration: usize, failed: usize },
    Exchange(ExchangeRoute),
}

#[derive(Debug, Clone, Copy)]
struct ExchangeRoute {
    reqs: usize,
    failed: usize,
    duration: usize,
    blocked: usize,
    looking_up: usize,
    connecting: usize,
    tls_handshaking: usize,
    sending: usize,
    waiting: usize,
    receiving: usize,
    data_sent: usize,
    data_received: usize,
}

/// A probe of a capacity search: a span of time that thresholds are judged over alone.
#[derive(Debug, Clone, Copy)]
struct Probe {
    /// When it began, in milliseconds from the start of the load: what came to be before is not its.
    from_ms: u64,
    /// Whether what comes belongs to it.
    open: bool,
}

/// What is left when the load is over.
#[derive(Debug)]
pub(crate) struct Aggregated {
    pub(crate) thresholds: Vec<ThresholdOutcome>,
    pub(crate) errors: Vec<ErrorCount>,
    pub(crate) folded_series: u64,
    pub(crate) clamped_values: u64,
}

/// Owns every sum and histogram of a test.
#[derive(Debug)]
pub(crate) struct Aggregator {
    series: Vec<Series>,
    index: HashMap<(String, Tags), usize>,
    routes: Vec<Vec<Route>>,
    recyclers: Vec<Recycler>,
    tag_values: HashMap<(String, String), HashSet<String>>,
    series_per_metric: HashMap<String, usize>,
    judges: Vec<Judge>,
    errors: ErrorTable,
    next_interval: u64,
    /// Where the open interval ends, in milliseconds from the start of the load.
    open_until_ms: u64,
    /// Samples of the interval after the open one, which is still waiting for late ones.
    early: Vec<(usize, Sample)>,
    /// The probe that runs, or the last one.
    probe: Option<Probe>,
    probe_latency: ProbeLatency,
    folded: u64,
    clamped: u64,
}

impl Aggregator {
    /// `recyclers` are the workers' ways back for empty buffers, by worker. Thresholds must be of known
    /// metrics: those of `metrics` and the built-in ones.
    pub(crate) fn new(recyclers: Vec<Recycler>, thresholds: &[Threshold], metrics: &[MetricDef]) -> Self {
        Self {
            series: Vec::new(),
            index: HashMap::new(),
            routes: vec![Vec::new(); recyclers.len()],
            recyclers,
            tag_values: HashMap::new(),
            series_per_metric: HashMap::new(),
            judges: thresholds.iter().filter_map(|threshold| Judge::new(threshold, metrics)).collect(),
            errors: ErrorTable::default(),
            next_interval: 0,
            open_until_ms: 1_000,
            early: Vec::new(),
            probe: None,
            probe_latency: ProbeLatency::default(),
            folded: 0,
            clamped: 0,
        }
    }

    /// Adds what a worker handed over, and gives the buffer back.
    pub(crate) fn take(&mut self, mut batch: Batch) {
        for new in batch.new_series.drain(..) {
            let route = self.route(&new);
            let routes = &mut self.routes[batch.worker];
            debug_assert_eq!(routes.len(), new.id as usize, "series are announced in their order");
            routes.push(route);
        }
        for sample in &batch.samples {
            // A batch may come late, with what was measured before the probe.
            if self.probe.is_some_and(|probe| probe.open && u64::from(sample.at_ms) >= probe.from_ms) {
                let route = self.routes[batch.worker][sample.series as usize];
                each_value(route, sample.payload, |series, value| self.record_in_probe(series, value));
            }
            self.add(batch.worker, sample);
        }
        for error in batch.errors.drain(..) {
            self.errors.add(error);
        }
        batch.samples.clear();
        // A full way back means that the worker is gone; then the buffer is just freed.
        let _ = self.recyclers[batch.worker].try_send(batch.samples);
    }

    /// Adds a value measured by the engine itself.
    pub(crate) fn value(&mut self, metric: Builtin, tags: &Tags, value: f64) {
        let at = self.find(metric.def(), tags.clone());
        // How many were dropped is told at a probe's end, when it is known exactly.
        if self.probe.is_some_and(|probe| probe.open) && metric != Builtin::DroppedIterations {
            self.record_in_probe(at, value);
        }
        self.record(at, value);
    }

    /// A probe begins, so long after the start of the load: thresholds are judged over it alone from now on.
    pub(crate) fn begin_probe(&mut self, at: Duration) {
        let from_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.probe = Some(Probe { from_ms, open: true });
        self.probe_latency = ProbeLatency::default();
        self.judges.iter_mut().for_each(Judge::begin_probe);
    }

    /// It is over, and everything that belongs to it has come. The thresholds that are about a probe are all
    /// but those on what the search finds.
    pub(crate) fn end_probe(&mut self, probe: &EndedProbe) -> JudgedProbe {
        let at = self.find(Builtin::DroppedIterations.def(), probe.tags.clone());
        self.record_in_probe(at, probe.dropped as f64);
        if let Some(running) = &mut self.probe {
            running.open = false;
        }
        let judges = self.judges.iter().filter(|judge| judge.is_of_probes());
        JudgedProbe {
            thresholds: judges.map(|judge| judge.probe_outcome(probe.lasted)).collect(),
            latency_ms: self.probe_latency.quantiles(),
        }
    }

    fn record_in_probe(&mut self, series: usize, value: f64) {
        if fits(value) {
            let series = &self.series[series];
            for &judge in &series.thresholds {
                self.judges[judge].add_to_probe(value);
            }
            if let Some(share) = series.latency {
                self.probe_latency.add(share, value);
            }
        }
    }

    fn record(&mut self, series: usize, value: f64) {
        self.clamped += u64::from(!self.series[series].record(value));
    }

    fn add(&mut self, worker: usize, sample: &Sample) {
        if u64::from(sample.at_ms) >= self.open_until_ms {
            self.early.push((worker, *sample));
            return;
        }
        let route = self.routes[worker][sample.series as usize];
        each_value(route, sample.payload, |series, value| self.record(series, value));
    }

    fn route(&mut self, new: &NewSeries) -> Route {
        let mut find = |metric: Builtin| self.find(metric.def(), new.tags.clone());
        match &new.subject {
            Subject::Metric(def) => Route::Metric(self.find(def.clone(), new.tags.clone())),
            Subject::Iteration => Route::Iteration {
                count: find(Builtin::Iterations),
                duration: find(Builtin::IterationDuration),
                scheduled: find(Builtin::IterationScheduledDuration),
                failed: find(Builtin::IterationsFailed),
            },
            Subject::Measure => Route::Measure {
                duration: find(Builtin::MeasureDuration),
                failed: find(Builtin::MeasureFailed),
            },
            Subject::Exchange { connection_tags } => Route::Exchange(ExchangeRoute {
                reqs: find(Builtin::HttpReqs),
                failed: find(Builtin::HttpReqFailed),
                duration: find(Builtin::HttpReqDuration),
                blocked: find(Builtin::HttpReqBlocked),
                looking_up: find(Builtin::HttpReqLookingUp),
                connecting: find(Builtin::HttpReqConnecting),
                tls_handshaking: find(Builtin::HttpReqTlsHandshaking),
                sending: find(Builtin::HttpReqSending),
                waiting: find(Builtin::HttpReqWaiting),
                receiving: find(Builtin::HttpReqReceiving),
                data_sent: self.find(Builtin::DataSent.def(), connection_tags.clone()),
                data_received: self.find(Builtin::DataReceived.def(), connection_tags.clone()),
            }),
        }
    }

    /// The series of a metric with these tags, made if it is new, folded if there are too many.
    fn find(&mut self, metric: MetricDef, mut tags: Tags) -> usize {
        let mut folded = false;
        for (key, value) in &mut tags {
            if value == tag::OTHER {
                // The worker had too many already.
                folded = true;
                continue;
            }
            let known = self.tag_values.entry((metric.name.clone(), key.clone())).or_default();
            if known.contains(value) {
                continue;
            }
            if known.len() < MAX_TAG_VALUES || selected(&self.judges, &metric.name, key, value) {
                known.insert(value.clone());
            } else {
                tag::OTHER.clone_into(value);
                folded = true;
            }
        }
        if let Some(at) = self.index.get(&(metric.name.clone(), tags.clone())) {
            self.folded += u64::from(folded);
            return *at;
        }
        let count = self.series_per_metric.entry(metric.name.clone()).or_default();
        if *count >= MAX_SERIES_PER_METRIC {
            let judges = &self.judges;
            for (key, value) in &mut tags {
                // What a scenario or a threshold stands on is kept apart at any price.
                if key != tag::SCENARIO
                    && key != tag::EXPECTED_RESPONSE
                    && !selected(judges, &metric.name, key, value)
                {
                    tag::OTHER.clone_into(value);
                }
            }
            folded = true;
        } else {
            *count += 1;
        }
        self.folded += u64::from(folded);
        if let Some(at) = self.index.get(&(metric.name.clone(), tags.clone())) {
            return *at;
        }
        let at = self.series.len();
        let thresholds = self
            .judges
            .iter()
            .enumerate()
            .filter(|(_, judge)| judge.judges(&metric, &tags))
            .map(|(index, _)| index)
            .collect();
        self.index.insert((metric.name.clone(), tags.clone()), at);
        self.series.push(Series {
            scale: metric.unit.scale(),
            latency: LatencyShare::of(&metric, &tags),
            def: SeriesDef { id: at as SeriesId, metric, tags },
            open: Totals::default(),
            thresholds,
            announced: false,
        });
        at
    }

    /// Ends the open interval, `seconds` long, at `elapsed` since the start of the load.
    pub(crate) fn close(&mut self, seconds: f64, elapsed: Duration) -> Interval {
        let mut interval = Interval { index: self.next_interval, seconds, ..Interval::default() };
        self.next_interval += 1;
        for series in &mut self.series {
            if series.open.count == 0 {
                continue;
            }
            if !series.announced {
                series.announced = true;
                interval.new_series.push(series.def.clone());
            }
            let closed = series.open.take();
            for &judge in &series.thresholds {
                self.judges[judge].add(&closed);
            }
            self.clamped += closed.hist.as_ref().map_or(0, loadtest_core::hist::Hist::clamped);
            interval.series.push((series.def.id, closed));
        }
        let since_begin = |probe: Probe| elapsed.saturating_sub(Duration::from_millis(probe.from_ms));
        let probe = self.probe.map(since_begin);
        for judge in &mut self.judges {
            interval.thresholds.push(judge.look(elapsed, probe).holds);
        }
        interval.errors = self.errors.news().into_iter().map(Into::into).collect();
        self.open_until_ms = self.open_until_ms.saturating_add(1_000);
        self.add_early();
        interval
    }

    /// Which aborting threshold has failed when the last interval was closed, `elapsed` after the start of
    /// the load. Tells it once: a test ends once.
    pub(crate) fn abort_due(&mut self, elapsed: Duration) -> Option<String> {
        if self.judges.iter().any(Judge::has_aborted) {
            return None;
        }
        let judge = self.judges.iter_mut().find(|judge| judge.aborts_at(elapsed))?;
        judge.abort();
        Some(judge.threshold.source.clone())
    }

    fn add_early(&mut self) {
        let mut early = std::mem::take(&mut self.early);
        for (worker, sample) in early.drain(..) {
            self.add(worker, &sample);
        }
        if self.early.is_empty() {
            // Gives the memory of the buffer back to itself.
            self.early = early;
        }
    }

    /// Lets the open interval take everything that comes: it is the last.
    pub(crate) fn last_interval(&mut self) {
        self.open_until_ms = u64::MAX;
        self.add_early();
    }

    /// The final judgement.
    pub(crate) fn finish(mut self, elapsed: Duration) -> Aggregated {
        let mut errors = self.errors.drain();
        errors.sort_by(errors::most_frequent_first);
        Aggregated {
            thresholds: self.judges.iter().map(|judge| judge.outcome(elapsed)).collect(),
            errors,
            folded_series: self.folded,
            clamped_values: self.clamped,
        }
    }
}

/// What a sample means: each value with its series.
fn each_value(route: Route, payload: Payload, mut record: impl FnMut(usize, f64)) {
    match (route, payload) {
        (Route::Metric(at), Payload::Value(value)) => record(at, value),
        (
            Route::Iteration { count, duration, scheduled, failed },
            Payload::Iteration { duration_ms, scheduled_ms, failed: has_failed },
        ) => {
            record(count, 1.0);
            record(duration, duration_ms.into());
            record(scheduled, scheduled_ms.into());
            record(failed, flag(has_failed));
        }
        (Route::Measure { duration, failed }, Payload::Measure { duration_ms, failed: has_failed }) => {
            record(duration, duration_ms.into());
            record(failed, flag(has_failed));
        }
        (Route::Exchange(route), Payload::Exchange(exchange)) => {
            let duration = f64::from(exchange.sending_ms)
                + f64::from(exchange.waiting_ms)
                + f64::from(exchange.receiving_ms);
            record(route.reqs, 1.0);
            record(route.failed, flag(exchange.failed));
            record(route.duration, duration);
            record(route.blocked, exchange.blocked_ms.into());
            record(route.looking_up, exchange.looking_up_ms.into());
            record(route.connecting, exchange.connecting_ms.into());
            record(route.tls_handshaking, exchange.tls_handshaking_ms.into());
            record(route.sending, exchange.sending_ms.into());
            record(route.waiting, exchange.waiting_ms.into());
            record(route.receiving, exchange.receiving_ms.into());
            record(route.data_sent, exchange.bytes_sent as f64);
            record(route.data_received, exchange.bytes_received as f64);
        }
        // A worker's series keeps its subject for good.
        (route, payload) => debug_assert!(false, "{payload:?} came for {route:?}"),
    }
}

/// Whether sums can take a value: one infinite or missing value would make the sum of the whole run one.
fn fits(value: f64) -> bool {
    value.abs() <= MAX_MAGNITUDE
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

/// Whether a threshold would miss this value if it were folded. One that asks for the rest as well, as
/// `name:*` and `!name:/seats` do, selects what it selected after the folding too.
fn selected(judges: &[Judge], metric: &str, key: &str, value: &str) -> bool {
    judges.iter().filter(|judge| judge.threshold.metric == metric).any(|judge| {
        judge.threshold.selector.iter().any(|matcher| {
            matcher.tag == key && matcher.pattern.matches(value) && !matcher.pattern.matches(tag::OTHER)
        })
    })
}

/// What the loop needs of the rest of the engine once per closed interval.
pub(crate) trait Observer {
    /// Fills in what only the engine knows, before the interval is closed.
    fn before_close(&mut self, aggregator: &mut Aggregator);
    /// An interval was closed.
    fn closed(&mut self, interval: Interval);
    /// A threshold wants the test to end.
    fn abort(&mut self, threshold: String);
    /// How long the load has been held so far: no time that a rate is about.
    fn held(&self) -> Duration {
        Duration::ZERO
    }
}

/// Turns messages and the clock into calls of the aggregator until [`Message::Finish`].
pub(crate) fn run(
    mut aggregator: Aggregator,
    messages: &Receiver<Message>,
    observer: &mut impl Observer,
) -> Aggregated {
    let second = Duration::from_secs(1);
    // More can't be under way at once.
    let backlog = aggregator.recyclers.len() * BUFFERS;
    let mut begin: Option<Instant> = None;
    let mut closed = 0u32;
    let end = loop {
        let due = begin.map(|begin| begin + second * (closed + 1) + CLOSE_DELAY);
        let wait = due.map_or(second, |due| due.saturating_duration_since(clock::now()));
        let first = messages.recv_timeout(wait);
        let is_due = due.is_some_and(|due| clock::now() >= due);
        let mut end = matches!(first, Err(RecvTimeoutError::Disconnected)).then(clock::now);
        // An interval that is due takes all that was sent before: this thread may have been held up.
        let others = messages.try_iter().take(if is_due { backlog } else { 0 });
        for message in first.into_iter().chain(others) {
            match message {
                Message::Begin(start) => begin = Some(start),
                Message::Batch(batch) => aggregator.take(batch),
                Message::Value { metric, tags, value } => aggregator.value(metric, &tags, value),
                Message::ProbeBegin(at) => {
                    let offset = begin.map(|begin| at.saturating_duration_since(begin));
                    aggregator.begin_probe(offset.unwrap_or_default());
                }
                Message::ProbeEnd(probe, reply) => {
                    // Whoever asked may have been stopped.
                    let _ = reply.send(aggregator.end_probe(&probe));
                }
                Message::Finish(at) => end = Some(at),
            }
        }
        if let Some(end) = end {
            break end;
        }
        if is_due {
            closed += 1;
            observer.before_close(&mut aggregator);
            let loaded = (second * closed).saturating_sub(observer.held());
            observer.closed(aggregator.close(1.0, loaded));
            if let Some(threshold) = aggregator.abort_due(loaded) {
                observer.abort(threshold);
            }
        }
    };
    let Some(begin) = begin else { return aggregator.finish(Duration::ZERO) };
    let elapsed = end.saturating_duration_since(begin);
    while elapsed >= second * (closed + 1) {
        closed += 1;
        observer.before_close(&mut aggregator);
        observer.closed(aggregator.close(1.0, (second * closed).saturating_sub(observer.held())));
    }
    aggregator.last_interval();
    observer.before_close(&mut aggregator);
    let rest = elapsed.saturating_sub(second * closed);
    let loaded = elapsed.saturating_sub(observer.held());
    observer.closed(aggregator.close(rest.as_secs_f64(), loaded));
    aggregator.finish(loaded)
}
