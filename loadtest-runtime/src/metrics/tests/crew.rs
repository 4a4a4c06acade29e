//! Several aggregators are one.

use std::sync::mpsc::{Sender, channel};

use proptest::prelude::*;

use super::*;
use crate::metrics::crew::{self, Crew, Observer};
use crate::metrics::errors::{ErrorCount, Source};
use crate::metrics::recorder::BUFFER_SAMPLES;
use crate::metrics::sample::{EndedProbe, JudgedProbe};

const THRESHOLDS: [&str; 5] = [
    "http_req_duration: p(95)<40 abort after 2s",
    "http_req_duration{name:/b}: avg<70",
    "http_req_failed: rate<0.4",
    "checks: rate>0.5",
    "iterations: count>20",
];

#[derive(Debug, Clone)]
enum Step {
    Record { worker: usize, ms: u64, kind: u8, quarters: u16 },
    Deliver,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..3usize, 0..6_000u64, 0..7u8, 0..400u16)
            .prop_map(|(worker, ms, kind, quarters)| Step::Record { worker, ms, kind, quarters }),
        2 => Just(Step::Deliver),
        1 => Just(Step::Close),
    ]
}

/// An interval as its readers see it, whatever the numbers of series are.
type Seen = (u64, BTreeMap<(String, Tags), Totals>, Vec<bool>, Vec<(String, u64)>);

#[derive(Debug, PartialEq)]
struct Told {
    intervals: Vec<Seen>,
    aborted: Vec<Option<String>>,
    outcomes: Vec<(Option<f64>, bool, Option<f64>)>,
    errors: Vec<(String, u64, u32)>,
    clamped: u64,
}

/// What so many aggregators tell of three workers that do this.
fn told(steps: &[Step], aggregators: usize) -> Told {
    let (start, mut bench) = Bench::with_aggregators(3, aggregators, &THRESHOLDS);
    start.set(bench.start).expect("set once");
    let mut defs = HashMap::new();
    let mut seen = |interval: &Interval| -> Seen {
        defs.extend(interval.new_series.iter().map(|def| (def.id, def.clone())));
        let named = |(id, totals): &(SeriesId, Totals)| {
            let SeriesDef { metric, tags, .. }: &SeriesDef = &defs[id];
            ((metric.name.clone(), tags.clone()), totals.clone())
        };
        let errors = interval.errors.iter().map(|error| (error.message.clone(), error.count)).collect();
        (interval.index, interval.series.iter().map(named).collect(), interval.thresholds.clone(), errors)
    };
    let (mut intervals, mut aborted) = (Vec::new(), Vec::new());
    for step in steps {
        match *step {
            Step::Record { worker, ms, kind, quarters } => record(&mut bench, worker, ms, kind, quarters),
            Step::Deliver => bench.deliver(),
            Step::Close => {
                intervals.push(seen(&bench.deliver_and_close()));
                aborted.push(bench.aggregator.abort_due(Duration::from_secs(bench.closed.into())));
            }
        }
    }
    bench.deliver();
    bench.aggregator.last_interval();
    bench.collect(Span::Rest);
    intervals.push(seen(&bench.close()));
    let end = bench.aggregator.finish(Duration::from_secs(bench.closed.into()));
    assert_eq!((end.folded_series, bench.lost.load(Ordering::Relaxed)), (0, 0));
    Told {
        intervals,
        aborted,
        outcomes: end.thresholds.iter().map(|of| (of.actual, of.holds, of.margin)).collect(),
        errors: end.errors.iter().map(|e| (e.message.clone(), e.count, e.first_at_ms)).collect(),
        clamped: end.clamped_values,
    }
}

/// Values are in quarters, so that sums are exact in any order.
fn record(bench: &mut Bench, worker: usize, ms: u64, kind: u8, quarters: u16) {
    let (at, base) = (bench.at(ms), bench.base);
    let recorder = &mut bench.recorders[worker];
    let (value, is_odd) = (f32::from(quarters) / 4.0, quarters % 2 == 1);
    let time = Duration::from_micros(u64::from(quarters) * 250);
    match kind {
        0 | 1 => {
            let exchange = Exchange {
                connecting_ms: if quarters.is_multiple_of(7) { 0.5 } else { 0.0 },
                waiting_ms: value,
                sending_ms: 0.25,
                bytes_received: quarters.into(),
                failed: is_odd,
                ..Exchange::default()
            };
            recorder.exchange(at, base, get(if kind == 0 { "/a" } else { "/b" }), exchange);
        }
        2 => recorder.check(at, base, "listed", is_odd),
        3 => recorder.iteration(at, base, time, 2 * time, is_odd),
        4 => recorder.measure(at, base, "query", time, is_odd),
        5 => {
            let metric = Builtin::GroupDuration;
            let value = if quarters.is_multiple_of(50) { f64::NAN } else { value.into() };
            recorder.value(at, base, metric.name(), || metric.def(), value);
        }
        _ => {
            let message = if is_odd { "sold out" } else { "seat is gone" }.to_owned();
            let (scenario, source) = ("s".to_owned(), Source::Iteration);
            let error = ErrorCount { scenario, source, message, place: None, count: 1, first_at_ms: 0 };
            recorder.error(at, error);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_aggregators_tell_what_one_tells(steps in prop::collection::vec(step(), 0..300)) {
        let one = told(&steps, 1);
        prop_assert_eq!(&told(&steps, 2), &one);
        prop_assert_eq!(&told(&steps, 3), &one);
    }
}

/// Whether the threshold held half-way and at the end of a probe, its value, and the latency.
type Probed = (Vec<bool>, Vec<bool>, Option<f64>, BTreeMap<String, f64>);

/// Two probes of two workers. Where there is another aggregator, it is told of each before the one that leads.
fn probes(aggregators: usize) -> Vec<Probed> {
    let (start, mut bench) = Bench::with_aggregators(2, aggregators, &["iteration_duration: avg<50"]);
    start.set(bench.start).expect("set once");
    let mut out = Vec::new();
    for (begin, took) in [(0, 10), (2_000, 80)] {
        let (from, at, base) = (Duration::from_millis(begin), bench.at(begin + 5), bench.base);
        let iteration = |bench: &mut Bench, worker: usize, took| {
            let took = Duration::from_millis(took);
            bench.recorders[worker].iteration(at, base, took, took, false);
            bench.deliver_and_close().thresholds
        };
        bench.others.iter_mut().for_each(|other| other.begin_probe(from));
        if bench.others.is_empty() {
            bench.aggregator.begin_probe(from);
        }
        let first = iteration(&mut bench, 1, took);
        bench.aggregator.begin_probe(from);
        let second = iteration(&mut bench, 0, took + 2);
        // What comes after the last interval belongs to it too.
        bench.recorders[1].iteration(at, base, Duration::from_millis(took), Duration::ZERO, false);
        bench.deliver();
        bench.collect(Span::Probe);
        let lasted = Duration::from_secs(1);
        let ended = EndedProbe { tags: tags(&[("scenario", "s")]), dropped: 0, lasted };
        let JudgedProbe { thresholds, latency_ms } = bench.aggregator.end_probe(&ended);
        out.push((first, second, thresholds[0].actual, latency_ms));
    }
    out
}

#[test]
fn a_probe_is_that_of_all_aggregators() {
    let one = probes(1);
    assert_eq!(probes(2), one);
    let judged: Vec<_> =
        one.iter().map(|(first, second, actual, _)| (first[0], second[0], *actual)).collect();
    let third = |sum: f64| Some(sum / 3.0);
    assert_eq!(judged, [(true, true, third(32.0)), (false, false, third(242.0))]);
}

const SHORT: Duration = Duration::from_millis(3);

/// Sends on what the observer is told.
struct Listener(Sender<Interval>);

impl Observer for Listener {
    fn before_close(&mut self, _: &mut Aggregator) {}

    fn closed(&mut self, interval: Interval) {
        let _ = self.0.send(interval);
    }

    fn abort(&mut self, threshold: String) {
        panic!("{threshold} was not to abort");
    }
}

#[test]
fn the_threads_of_two_aggregators_close_every_second_of_both() {
    // Three seconds of load have passed before anyone listens.
    let begin = crate::clock::now() - Duration::from_millis(3_400);
    let start = Arc::new(OnceLock::from(begin));
    let (mut recorders, crew) = Crew::new(2, 2, &start, &Arc::default());
    let outbox = crew.outbox();
    outbox.send(Message::Begin(begin));
    outbox.send(Message::ProbeBegin(begin));
    for recorder in &mut recorders {
        let base = recorder.tag_set(tags(&[("scenario", "s")]));
        for ms in (0..3_400).step_by(100) {
            recorder.iteration(begin + Duration::from_millis(ms), base, SHORT, SHORT, false);
            recorder.flush();
        }
    }
    let (to, intervals) = channel();
    let thresholds: Vec<Threshold> = vec!["iterations: count==68".parse().expect("valid")];
    let metrics: Vec<MetricDef> = Builtin::ALL.iter().map(|metric| metric.def()).collect();
    let aggregation = crew.start(&thresholds, &metrics, Listener(to)).expect("starts");
    let (reply, probed) = tokio::sync::oneshot::channel();
    let scenario = tags(&[("scenario", "s")]);
    let probe = EndedProbe { tags: scenario, dropped: 0, lasted: Duration::from_secs(3) };
    outbox.send(Message::ProbeEnd(probe, reply));
    assert_eq!(probed.blocking_recv().expect("answered").thresholds[0].actual, Some(68.0));
    outbox.send(Message::Finish(begin + Duration::from_millis(3_400)));
    let end = aggregation.join().expect("no panic");
    assert!(end.thresholds[0].holds, "{end:?}");
    let found: Vec<_> = intervals
        .iter()
        .map(|interval| {
            let counts: Vec<_> = interval.series.iter().map(|(_, totals)| totals.count).collect();
            assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
            (interval.index, (interval.seconds * 10.0).round(), counts[0])
        })
        .collect();
    assert_eq!(found, [(0, 10.0, 20), (1, 10.0, 20), (2, 10.0, 20), (3, 4.0, 8)]);
}

#[test]
fn what_each_of_several_aggregators_can_not_follow_is_counted() {
    let begin = crate::clock::now();
    let (start, lost) = (Arc::new(OnceLock::from(begin)), Arc::new(AtomicU64::new(0)));
    // Nobody starts them, so none follows.
    let (mut recorders, crew) = Crew::new(3, 2, &start, &lost);
    let fits = (BUFFERS - 1) * BUFFER_SAMPLES;
    for (worker, recorder) in recorders.iter_mut().enumerate() {
        let base = recorder.tag_set(tags(&[("scenario", "s")]));
        (0..fits + (worker + 1) * BUFFER_SAMPLES).for_each(|_| recorder.check(begin, base, "listed", true));
        let all = (1..=worker + 1).sum::<usize>() * BUFFER_SAMPLES;
        assert_eq!(lost.load(Ordering::Relaxed), all as u64, "worker {worker}");
    }
    drop(crew);
}

#[test]
fn there_is_an_aggregator_for_each_eight_workers() {
    let numbers = [0, 1, 8, 9, 16, 17, 128].map(crew::aggregators_for);
    assert_eq!(numbers, [1, 1, 1, 2, 2, 3, 16]);
}
