//! What comes out of intervals.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::metrics::crew::{self, Observer, Others};

#[test]
fn an_exchange_becomes_twelve_series() {
    let mut bench = Bench::new(1, &[]);
    let exchange = Exchange {
        blocked_ms: 1.0,
        looking_up_ms: 2.0,
        connecting_ms: 4.0,
        tls_handshaking_ms: 8.0,
        sending_ms: 16.0,
        waiting_ms: 32.0,
        receiving_ms: 64.0,
        bytes_sent: 300,
        bytes_received: 5_000_000_000,
        failed: false,
    };
    bench.exchange(10, "/seats/{id}", exchange);
    let at = bench.at(20);
    let refused = ExchangeTags { status: 0, expected: false, error_code: 1212, ..get("/seats/{id}") };
    bench.recorders[0].exchange(at, bench.base, refused, Exchange { failed: true, ..Exchange::default() });
    let (out, _) = bench.finish();

    let ok = tags(&[
        ("scenario", "s"),
        ("name", "/seats/{id}"),
        ("method", "GET"),
        ("status", "200"),
        ("proto", "HTTP/1.1"),
        ("expected_response", "true"),
    ]);
    // No response, so no protocol; a status of its own, as in k6.
    let failed = tags(&[
        ("scenario", "s"),
        ("name", "/seats/{id}"),
        ("method", "GET"),
        ("status", "0"),
        ("expected_response", "false"),
        ("error_code", "1212"),
    ]);
    for (metric, value) in [
        ("http_reqs", 1.0),
        ("http_req_failed", 0.0),
        ("http_req_duration", 112.0),
        ("http_req_blocked", 1.0),
        ("http_req_looking_up", 2.0),
        ("http_req_connecting", 4.0),
        ("http_req_tls_handshaking", 8.0),
        ("http_req_sending", 16.0),
        ("http_req_waiting", 32.0),
        ("http_req_receiving", 64.0),
    ] {
        let series = out.series(metric);
        assert_eq!(series.iter().map(|(tags, _)| *tags).collect::<Vec<_>>(), [&failed, &ok], "{metric}");
        assert_eq!((series[1].1.count, series[1].1.sum), (1, value), "{metric}");
    }
    assert_eq!(out.series("http_req_failed")[0].1.sum, 1.0);
    // Bytes are those of the connection: without the exchange's own tags.
    let connection = tags(&[("scenario", "s")]);
    assert_eq!(
        out.one("data_sent"),
        (&connection, &Totals { count: 2, sum: 300.0, min: 0.0, max: 300.0, ..Totals::default() })
    );
    assert_eq!(out.one("data_received").1.sum, 5e9);
    assert_eq!(out.totals.len(), 22);
}

#[test]
fn an_iteration_a_check_and_a_measured_operation_become_their_series() {
    let mut bench = Bench::new(1, &[]);
    let (at, base) = (bench.at(5), bench.base);
    let (took, since_intended) = (Duration::from_millis(250), Duration::from_millis(1250));
    bench.recorders[0].iteration(at, base, took, since_intended, true);
    bench.recorders[0].measure(at, base, "query", Duration::from_micros(1500), false);
    bench.check(5, "seats listed", true);
    bench.check(6, "seats listed", false);
    let (out, _) = bench.finish();
    let scenario = tags(&[("scenario", "s")]);
    for (metric, sum) in [
        ("iterations", 1.0),
        ("iteration_duration", 250.0),
        ("iteration_scheduled_duration", 1250.0),
        ("iterations_failed", 1.0),
    ] {
        let (tags, totals) = out.one(metric);
        assert_eq!((tags, totals.count, totals.sum), (&scenario, 1, sum), "{metric}");
    }
    let (named, took) = out.one("measure_duration");
    assert_eq!((named, took.sum), (&tags(&[("scenario", "s"), ("name", "query")]), 1.5));
    assert_eq!(out.one("measure_failed").1.sum, 0.0);
    let (named, checks) = out.one("checks");
    assert_eq!(named, &tags(&[("scenario", "s"), ("check", "seats listed")]));
    assert_eq!((checks.count, checks.sum), (2, 1.0));
}

#[test]
fn a_sample_counts_in_its_own_second() {
    let mut bench = Bench::new(1, &[]);
    bench.trend(0, 999, 1.0);
    // Comes while the first second waits for late ones.
    bench.trend(0, 1_000, 2.0);
    bench.trend(0, 2_500, 4.0);
    let sums = |interval: &Interval| interval.series.iter().map(|(_, totals)| totals.sum).collect::<Vec<_>>();
    assert_eq!(sums(&bench.deliver_and_close()), [1.0]);
    // A straggler, from a worker that was held up: it is counted, if late.
    bench.trend(0, 500, 8.0);
    let second = bench.deliver_and_close();
    assert_eq!((sums(&second), second.index, second.seconds), (vec![10.0], 1, 1.0));
    // Defined once.
    assert!(second.new_series.is_empty());
    let third = bench.deliver_and_close();
    assert_eq!((sums(&third), third.index), (vec![4.0], 2));
}

#[test]
fn the_last_interval_takes_everything() {
    let mut bench = Bench::new(1, &[]);
    bench.trend(0, 100, 1.0);
    bench.trend(0, 1_100, 2.0);
    bench.trend(0, 86_400_000 * 60, 4.0);
    let (out, _) = bench.finish();
    assert_eq!(out.one("group_duration").1.sum, 7.0);
}

#[test]
fn workers_with_equal_tags_share_a_series() {
    let mut bench = Bench::new(2, &[]);
    // The second one has met others before, so that its own numbers differ.
    let at = bench.at(1);
    bench.recorders[1].check(at, bench.base, "other", true);
    bench.trend(0, 1, 1.0);
    bench.trend(1, 1, 2.0);
    let (out, _) = bench.finish();
    assert_eq!((out.one("group_duration").1.count, out.one("group_duration").1.sum), (2, 3.0));
}

#[test]
fn a_value_that_no_sum_can_take_is_left_out_and_counted() {
    let mut bench = Bench::new(1, &[]);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 3.0] {
        bench.trend(0, 1, value);
    }
    let (out, end) = bench.finish();
    assert_eq!((out.one("group_duration").1.count, out.one("group_duration").1.sum), (1, 3.0));
    assert_eq!(end.clamped_values, 4);
}

#[test]
fn errors_of_a_kind_are_one_with_the_time_of_the_first() {
    use crate::metrics::errors::{ErrorCount, Source};
    let mut bench = Bench::new(2, &[]);
    for (worker, ms, message) in
        [(0, 700, "seat 12 is gone"), (1, 300, "seat 4 is gone"), (1, 800, "sold out")]
    {
        let error = ErrorCount {
            scenario: "s".to_owned(),
            source: Source::Iteration,
            message: message.to_owned(),
            place: Some("src/lib.rs:7:1".to_owned()),
            count: 1,
            first_at_ms: 0,
        };
        let at = bench.at(ms);
        bench.recorders[worker].error(at, error);
        bench.deliver();
    }
    let (_, end) = bench.finish();
    let counts: Vec<_> = end.errors.iter().map(|error| (error.count, error.first_at_ms)).collect();
    assert_eq!(counts, [(2, 300), (1, 800)]);
}

/// Collects what the loop around the aggregator tells.
#[derive(Default)]
struct Listener {
    intervals: Vec<Interval>,
    asked: usize,
}

impl Observer for Listener {
    fn before_close(&mut self, _: &mut Aggregator) {
        self.asked += 1;
    }

    fn closed(&mut self, interval: Interval) {
        self.intervals.push(interval);
    }

    fn abort(&mut self, threshold: String) {
        panic!("{threshold} was not to abort");
    }
}

#[test]
fn a_delay_of_the_aggregator_moves_no_sample_to_another_second() {
    let (messages, inbox) = sync_channel(BUFFERS);
    // Three seconds of load have passed before anyone listens.
    let begin = crate::clock::now() - Duration::from_millis(3_400);
    let start = Arc::new(OnceLock::from(begin));
    let (mut recorder, recycler) = Recorder::new(0, messages.clone(), start, Arc::default());
    let base = recorder.tag_set(tags(&[("scenario", "s")]));
    messages.send(Message::Begin(begin)).expect("has room");
    for ms in (0..3_400).step_by(100) {
        recorder.check(begin + Duration::from_millis(ms), base, "in time", true);
        recorder.flush();
    }
    messages.send(Message::Finish(begin + Duration::from_millis(3_400))).expect("has room");
    let mut listener = Listener::default();
    let aggregator = Aggregator::new(vec![recycler], &[], &[]);
    crew::run(aggregator, &inbox, &Others::default(), &mut listener);
    let found: Vec<_> = listener
        .intervals
        .iter()
        .map(|interval| (interval.index, (interval.seconds * 10.0).round(), interval.series[0].1.count))
        .collect();
    assert_eq!(found, [(0, 10.0, 10), (1, 10.0, 10), (2, 10.0, 10), (3, 4.0, 4)]);
    assert_eq!(listener.asked, 4);
}

#[derive(Debug, Clone)]
struct Recorded {
    worker: usize,
    ms: u64,
    tag: u8,
    /// In quarters, so that sums are exact in any order.
    quarters: u16,
}

fn recorded() -> impl Strategy<Value = Recorded> {
    (0..3usize, 0..6_000u64, 0..4u8, any::<u16>()).prop_map(|(worker, ms, tag, quarters)| Recorded {
        worker,
        ms,
        tag,
        quarters,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes when: early, late, in one batch or many, nothing is lost and nothing counts twice.
    #[test]
    fn the_sums_of_all_intervals_are_those_of_the_samples(
        all in prop::collection::vec((recorded(), prop::option::weighted(0.1, Just(()))), 0..400),
        closes in 0..4u32,
    ) {
        let mut bench = Bench::new(3, &[]);
        let metric = Builtin::GroupDuration;
        let mut expected: BTreeMap<Tags, Totals> = BTreeMap::new();
        let every = all.len() / (closes as usize + 1) + 1;
        for (n, (sample, deliver)) in all.iter().enumerate() {
            let value = f64::from(sample.quarters) / 4.0;
            let at = bench.at(sample.ms);
            let recorder = &mut bench.recorders[sample.worker];
            let set = recorder.with_tag(bench.base, "part", &sample.tag.to_string());
            recorder.value(at, set, metric.name(), || metric.def(), value);
            let key = tags(&[("scenario", "s"), ("part", &sample.tag.to_string())]);
            let (_, kind, unit) = metric.spec();
            expected.entry(key).or_default().record(kind, unit.scale(), value);
            if deliver.is_some() {
                bench.deliver();
            }
            if n % every == every - 1 {
                bench.close();
            }
        }
        let (out, end) = bench.finish();
        let found = out.series(metric.name());
        prop_assert_eq!(found.len(), expected.len());
        for ((tags, found), (expected_tags, expected)) in found.into_iter().zip(&expected) {
            prop_assert_eq!(tags, expected_tags);
            // The last value depends on the order between workers, and only gauges have one.
            prop_assert_eq!(&Totals { last: expected.last, ..found.clone() }, expected);
        }
        prop_assert_eq!((end.folded_series, end.clamped_values), (0, 0));
    }
}
