//! The other side of the channel: the aggregator owns every sum and histogram, closes an interval each
//! second and judges the thresholds on what has come so far.
//!
//! The main type is [`Aggregator`], a value: [`Aggregator::take`] a message, [`Aggregator::close`] an
//! interval. There may be several, each with workers of its own: one of them leads, and [absorbs](Aggregator::absorb)
//! what the others [part](Aggregator::part) with before it closes. It knows neither threads nor the clock; the
//! [crew](super::crew) does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loadtest_core::metric::{Builtin, MetricDef, Tags, Totals};
use loadtest_core::results::{Interval, SeriesDef, ThresholdOutcome};
use loadtest_core::threshold::Threshold;

use super::catalog::Catalog;
use super::errors::{self, ErrorCount, ErrorTable};
use super::judge::{Judge, LatencyShare, ProbeLatency};
use super::recorder::{BUFFER_SAMPLES, Recycler};
use super::sample::{Batch, EndedProbe, JudgedProbe, NewSeries, Payload, Sample, Span, Subject};
use super::sums::{ExchangePlaces, ExchangeSums, IterationPlaces, IterationSums, Place, flag};

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
    #[inline]
    fn record(&mut self, value: f64) -> bool {
        let fits = fits(value);
        if fits {
            self.open.record(self.def.metric.kind, self.scale, value);
        }
        fits
    }

    /// Adds a part of the open interval.
    fn add(&mut self, part: Totals) {
        if self.open.count == 0 {
            self.open = part;
        } else {
            self.open.merge(&part);
        }
    }
}

/// A worker's series as series or sums of the aggregator.
#[derive(Debug, Clone, Copy)]
enum Route {
    Metric(Place),
    Measure { duration: Place, failed: Place },
    Iteration(usize),
    Exchange(usize),
}

/// A probe of a capacity search: a span of time that thresholds are judged over alone.
#[derive(Debug, Clone, Copy)]
struct Probe {
    /// When it began, in milliseconds from the start of the load: what came to be before is not its.
    from_ms: u64,
    /// Whether what comes belongs to it.
    open: bool,
}

/// What came to one of several aggregators, for the one that leads.
#[derive(Debug, Default)]
pub(crate) struct Part {
    series: Vec<(Place, Totals)>,
    errors: Vec<ErrorCount>,
    clamped: u64,
    probe: Option<ProbePart>,
}

/// What came of the probe that began then.
#[derive(Debug)]
struct ProbePart {
    from_ms: u64,
    /// By threshold.
    judged: Vec<Totals>,
    latency: ProbeLatency,
}

/// What is left when the load is over.
#[derive(Debug)]
pub(crate) struct Aggregated {
    pub(crate) thresholds: Vec<ThresholdOutcome>,
    pub(crate) errors: Vec<ErrorCount>,
    pub(crate) folded_series: u64,
    pub(crate) clamped_values: u64,
}

/// Owns every sum and histogram of its workers.
#[derive(Debug)]
pub(crate) struct Aggregator {
    /// Which series there are, for all aggregators.
    catalog: Arc<Mutex<Catalog>>,
    /// Those that are known here, by place.
    series: Vec<Series>,
    exchanges: Sums<ExchangePlaces, ExchangeSums>,
    iterations: Sums<IterationPlaces, IterationSums>,
    routes: Vec<Vec<Route>>,
    recyclers: Vec<Recycler>,
    judges: Vec<Judge>,
    errors: ErrorTable,
    next_interval: u64,
    /// Where the open interval ends, in milliseconds from the start of the load.
    open_until_ms: u64,
    /// Samples of the interval after the open one, which is still waiting for late ones; each with its worker.
    early: Vec<(usize, Vec<Sample>)>,
    /// Empty buffers, for workers whose own are in `early`.
    buffers: Vec<Vec<Sample>>,
    /// The probe that runs, or the last one.
    probe: Option<Probe>,
    probe_latency: ProbeLatency,
    clamped: u64,
}

/// Sums, each for another set of series.
#[derive(Debug)]
struct Sums<P, S> {
    sums: Vec<S>,
    index: HashMap<P, usize>,
}

impl<P, S> Default for Sums<P, S> {
    fn default() -> Self {
        Self { sums: Vec::new(), index: HashMap::new() }
    }
}

impl<P: std::hash::Hash + Eq + Copy, S> Sums<P, S> {
    fn of(&mut self, places: P, new: impl FnOnce(P) -> S) -> usize {
        *self.index.entry(places).or_insert_with(|| {
            self.sums.push(new(places));
            self.sums.len() - 1
        })
    }
}

impl Aggregator {
    /// `recyclers` are the workers' ways back for empty buffers, by worker. Thresholds must be of known
    /// metrics: those of `metrics` and the built-in ones.
    pub(crate) fn new(recyclers: Vec<Recycler>, thresholds: &[Threshold], metrics: &[MetricDef]) -> Self {
        Self::with(Arc::new(Mutex::new(Catalog::new(thresholds))), recyclers, thresholds, metrics)
    }

    /// Another one for the same test, with other workers.
    pub(crate) fn beside(
        &self,
        recyclers: Vec<Recycler>,
        thresholds: &[Threshold],
        metrics: &[MetricDef],
    ) -> Self {
        Self::with(Arc::clone(&self.catalog), recyclers, thresholds, metrics)
    }

    fn with(
        catalog: Arc<Mutex<Catalog>>,
        recyclers: Vec<Recycler>,
        thresholds: &[Threshold],
        metrics: &[MetricDef],
    ) -> Self {
        Self {
            catalog,
            series: Vec::new(),
            exchanges: Sums::default(),
            iterations: Sums::default(),
            routes: vec![Vec::new(); recyclers.len()],
            recyclers,
            judges: thresholds.iter().filter_map(|threshold| Judge::new(threshold, metrics)).collect(),
            errors: ErrorTable::default(),
            next_interval: 0,
            open_until_ms: 1_000,
            early: Vec::new(),
            buffers: Vec::new(),
            probe: None,
            probe_latency: ProbeLatency::default(),
            clamped: 0,
        }
    }

    /// Adds what a worker handed over, and gives a buffer back.
    pub(crate) fn take(&mut self, mut batch: Batch) {
        let worker = batch.worker;
        for new in batch.new_series.drain(..) {
            let route = self.route(&new);
            let routes = &mut self.routes[worker];
            debug_assert_eq!(routes.len(), new.id as usize, "series are announced in their order");
            routes.push(route);
        }
        if let Some(probe) = self.probe.filter(|probe| probe.open) {
            // A batch may come late, with what was measured before the probe.
            for sample in batch.samples.iter().filter(|sample| u64::from(sample.at_ms) >= probe.from_ms) {
                self.add_to_probe(worker, sample);
            }
        }
        for error in batch.errors.drain(..) {
            self.errors.add(error);
        }
        let empty = self.add(worker, batch.samples);
        // A full way back means that the worker is gone; then the buffer is just freed.
        let _ = self.recyclers[worker].try_send(empty);
    }

    /// Adds samples to the open interval and keeps those that are early. Returns an empty buffer.
    fn add(&mut self, worker: usize, mut samples: Vec<Sample>) -> Vec<Sample> {
        let open_until_ms = self.open_until_ms;
        let is_early = |sample: &Sample| u64::from(sample.at_ms) >= open_until_ms;
        let Self { routes, series, exchanges, iterations, clamped, .. } = self;
        let routes = &routes[worker];
        let mut any_early = false;
        for sample in &samples {
            if is_early(sample) {
                any_early = true;
                continue;
            }
            match (routes[sample.series as usize], &sample.payload) {
                (Route::Exchange(at), Payload::Exchange(exchange)) => exchanges.sums[at].record(exchange),
                (Route::Iteration(at), &Payload::Iteration { duration_ms, scheduled_ms, failed }) => {
                    iterations.sums[at].record(duration_ms, scheduled_ms, failed);
                }
                (Route::Metric(at), &Payload::Value(value)) => {
                    *clamped += u64::from(!series[at].record(value));
                }
                (
                    Route::Measure { duration, failed },
                    &Payload::Measure { duration_ms, failed: has_failed },
                ) => {
                    *clamped += u64::from(!series[duration].record(duration_ms.into()));
                    series[failed].record(flag(has_failed));
                }
                // A worker's series keeps its subject for good.
                (route, payload) => debug_assert!(false, "{payload:?} came for {route:?}"),
            }
        }
        if !any_early {
            samples.clear();
            return samples;
        }
        // The buffer itself is kept, as most of it is early if any is.
        samples.retain(is_early);
        self.early.push((worker, samples));
        self.buffers.pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_SAMPLES))
    }

    /// Adds a value measured by the engine itself.
    pub(crate) fn value(&mut self, metric: Builtin, tags: &Tags, value: f64) {
        let at = self.find(metric.def(), tags.clone());
        // How many were dropped is told at a probe's end, when it is known exactly.
        if self.probe.is_some_and(|probe| probe.open) && metric != Builtin::DroppedIterations {
            self.record_in_probe(at, value);
        }
        self.clamped += u64::from(!self.series[at].record(value));
    }

    /// A probe begins, so long after the start of the load: thresholds are judged over it alone from now on.
    pub(crate) fn begin_probe(&mut self, at: Duration) {
        let from_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        // It may have been known by a part of it, from an aggregator that was told earlier.
        if self.probe.is_none_or(|known| known.from_ms != from_ms) {
            self.begin_probe_from(from_ms);
        }
    }

    fn begin_probe_from(&mut self, from_ms: u64) {
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

    fn add_to_probe(&mut self, worker: usize, sample: &Sample) {
        match (self.routes[worker][sample.series as usize], sample.payload) {
            (Route::Metric(at), Payload::Value(value)) => self.record_in_probe(at, value),
            (Route::Measure { duration, failed }, Payload::Measure { duration_ms, failed: has_failed }) => {
                self.record_in_probe(duration, duration_ms.into());
                self.record_in_probe(failed, flag(has_failed));
            }
            (Route::Iteration(at), Payload::Iteration { duration_ms, scheduled_ms, failed }) => {
                let places = self.iterations.sums[at].places;
                let record = |place, value| self.record_in_probe(place, value);
                places.each_value(duration_ms, scheduled_ms, failed, record);
            }
            (Route::Exchange(at), Payload::Exchange(exchange)) => {
                let places = self.exchanges.sums[at].places;
                places.each_value(&exchange, |place, value| self.record_in_probe(place, value));
            }
            // Told where it is added to the interval.
            _ => {}
        }
    }

    fn record_in_probe(&mut self, series: Place, value: f64) {
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

    fn route(&mut self, new: &NewSeries) -> Route {
        let mut find = |metric: Builtin| self.find(metric.def(), new.tags.clone());
        match &new.subject {
            Subject::Metric(def) => Route::Metric(self.find(def.clone(), new.tags.clone())),
            Subject::Measure => Route::Measure {
                duration: find(Builtin::MeasureDuration),
                failed: find(Builtin::MeasureFailed),
            },
            Subject::Iteration => {
                let places = IterationPlaces {
                    count: find(Builtin::Iterations),
                    duration: find(Builtin::IterationDuration),
                    scheduled: find(Builtin::IterationScheduledDuration),
                    failed: find(Builtin::IterationsFailed),
                };
                Route::Iteration(self.iterations.of(places, IterationSums::new))
            }
            Subject::Exchange { connection_tags } => {
                let places = ExchangePlaces {
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
                };
                Route::Exchange(self.exchanges.of(places, ExchangeSums::new))
            }
        }
    }

    /// The series of a metric with these tags, made if it is new, folded if there are too many.
    fn find(&mut self, metric: MetricDef, tags: Tags) -> Place {
        let catalog = Arc::clone(&self.catalog);
        let mut catalog = lock(&catalog);
        let place = catalog.find(metric, tags);
        self.know(&catalog, place);
        place
    }

    /// Makes the series up to this one known here.
    fn know(&mut self, catalog: &Catalog, place: Place) {
        if place < self.series.len() {
            return;
        }
        for def in catalog.from(self.series.len()) {
            let judges = self.judges.iter().enumerate();
            self.series.push(Series {
                scale: def.metric.unit.scale(),
                latency: LatencyShare::of(&def.metric, &def.tags),
                open: Totals::default(),
                thresholds: judges
                    .filter(|(_, judge)| judge.judges(&def.metric, &def.tags))
                    .map(|(index, _)| index)
                    .collect(),
                announced: false,
                def: def.clone(),
            });
        }
    }

    /// Moves what samples added up to into their series.
    fn collect(&mut self) {
        let Self { series, exchanges, iterations, .. } = self;
        exchanges.sums.iter_mut().for_each(|sums| sums.take(|place, part| series[place].add(part)));
        iterations.sums.iter_mut().for_each(|sums| sums.take(|place, part| series[place].add(part)));
    }

    /// Hands over what came in that span, to the aggregator that leads.
    pub(crate) fn part(&mut self, span: Span) -> Part {
        let probe = self.probe.map(|probe| ProbePart {
            from_ms: probe.from_ms,
            judged: self.judges.iter_mut().map(Judge::take_probe).collect(),
            latency: std::mem::take(&mut self.probe_latency),
        });
        if span == Span::Probe {
            if let Some(running) = &mut self.probe {
                running.open = false;
            }
            return Part { probe, ..Part::default() };
        }
        if span == Span::Rest {
            self.last_interval();
        }
        self.collect();
        let some = self.series.iter_mut().enumerate().filter(|(_, series)| series.open.count > 0);
        let part = Part {
            series: some.map(|(place, series)| (place, series.open.take())).collect(),
            errors: self.errors.drain(),
            clamped: std::mem::take(&mut self.clamped),
            probe,
        };
        self.open_next();
        part
    }

    /// Adds what another aggregator parted with, to the interval that is closed next.
    pub(crate) fn absorb(&mut self, part: Part) {
        let catalog = Arc::clone(&self.catalog);
        for (place, totals) in part.series {
            if place >= self.series.len() {
                self.know(&lock(&catalog), place);
            }
            self.series[place].add(totals);
        }
        part.errors.into_iter().for_each(|error| self.errors.add(error));
        self.clamped += part.clamped;
        let Some(part) = part.probe else { return };
        if self.probe.is_none_or(|known| known.from_ms < part.from_ms) {
            // The other one was told earlier.
            self.begin_probe_from(part.from_ms);
        }
        if self.probe.is_some_and(|known| known.from_ms == part.from_ms) {
            for (judge, totals) in self.judges.iter_mut().zip(&part.judged) {
                judge.add_part_of_probe(totals);
            }
            self.probe_latency.merge(part.latency);
        }
    }

    /// Ends the open interval, `seconds` long, at `elapsed` since the start of the load.
    pub(crate) fn close(&mut self, seconds: f64, elapsed: Duration) -> Interval {
        let mut interval = Interval { index: self.next_interval, seconds, ..Interval::default() };
        self.next_interval += 1;
        self.collect();
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
        self.open_next();
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

    fn open_next(&mut self) {
        self.open_until_ms = self.open_until_ms.saturating_add(1_000);
        self.add_early();
    }

    fn add_early(&mut self) {
        for (worker, samples) in std::mem::take(&mut self.early) {
            let empty = self.add(worker, samples);
            self.buffers.push(empty);
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
            folded_series: lock(&self.catalog).folded(),
            clamped_values: self.clamped,
        }
    }
}

/// Nothing in it is left half-way by a panic that could happen there.
fn lock(catalog: &Mutex<Catalog>) -> MutexGuard<'_, Catalog> {
    catalog.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether sums can take a value: one infinite or missing value would make the sum of the whole run one.
#[inline]
fn fits(value: f64) -> bool {
    value.abs() <= MAX_MAGNITUDE
}
