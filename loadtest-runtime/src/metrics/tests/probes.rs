//! Thresholds over the probes of a capacity search.

use loadtest_core::results::ThresholdOutcome;

use super::*;
use crate::metrics::sample::{EndedProbe, JudgedProbe};

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn end(bench: &mut Bench, dropped: u64, lasted: Duration) -> Vec<ThresholdOutcome> {
    judged(bench, dropped, lasted).thresholds
}

fn judged(bench: &mut Bench, dropped: u64, lasted: Duration) -> JudgedProbe {
    bench.deliver();
    bench.aggregator.end_probe(&EndedProbe { tags: tags(&[("scenario", "s")]), dropped, lasted })
}

fn requests(bench: &mut Bench, ms: u64, waiting_ms: f32, count: usize) {
    for _ in 0..count {
        bench.exchange(ms, "/", Exchange { waiting_ms, ..Exchange::default() });
    }
}

#[test]
fn each_probe_is_judged_alone() {
    let mut bench = Bench::new(1, &["http_req_duration: max<100", "http_reqs: rate>=2"]);
    bench.aggregator.begin_probe(at(0));
    requests(&mut bench, 100, 50.0, 4);
    let first = end(&mut bench, 0, at(2_000));
    assert_eq!(
        first.iter().map(|o| (o.actual, o.holds)).collect::<Vec<_>>(),
        [(Some(50.0), true), (Some(2.0), true)]
    );
    assert_eq!(first[0].margin, Some(0.5));
    bench.deliver_and_close();
    bench.aggregator.begin_probe(at(2_000));
    requests(&mut bench, 2_100, 900.0, 1);
    let second = end(&mut bench, 0, at(2_000));
    assert_eq!(
        second.iter().map(|o| (o.actual, o.holds)).collect::<Vec<_>>(),
        [(Some(900.0), false), (Some(0.5), false)]
    );
    bench.deliver_and_close();
    bench.aggregator.begin_probe(at(4_000));
    requests(&mut bench, 4_100, 10.0, 1);
    assert!(end(&mut bench, 0, at(500))[0].holds);
    // The whole load has seen all of it.
    let (_, over) = bench.finish();
    assert_eq!(over.thresholds[0].actual, Some(900.0));
}

#[test]
fn what_was_measured_before_a_probe_or_after_it_is_not_its() {
    let mut bench = Bench::new(1, &["http_req_duration: max<100"]);
    requests(&mut bench, 900, 500.0, 1);
    bench.aggregator.begin_probe(at(1_000));
    // That batch comes late; this one belongs to an interval that is not open yet, and counts once.
    requests(&mut bench, 1_200, 20.0, 2);
    bench.deliver_and_close();
    bench.deliver_and_close();
    let outcomes = end(&mut bench, 0, at(1_000));
    assert_eq!(outcomes[0].actual, Some(20.0));
    requests(&mut bench, 2_500, 700.0, 1);
    bench.deliver();
    let again = end(&mut bench, 0, at(1_000));
    assert_eq!(again[0].actual, Some(20.0));
    let (sums, _) = bench.finish();
    assert_eq!(sums.one("http_reqs").1.sum, 4.0);
}

#[test]
fn samples_that_wait_for_their_interval_count_once() {
    let mut bench = Bench::new(1, &["http_reqs: count==3"]);
    bench.aggregator.begin_probe(at(0));
    requests(&mut bench, 2_500, 1.0, 3);
    bench.deliver_and_close();
    bench.deliver_and_close();
    bench.deliver_and_close();
    assert_eq!(end(&mut bench, 0, at(3_000))[0].actual, Some(3.0));
}

#[test]
fn without_data_a_rate_does_not_hold() {
    let mut bench = Bench::new(1, &["checks: rate>0.9"]);
    bench.aggregator.begin_probe(at(0));
    bench.check(1, "ok", true);
    assert!(end(&mut bench, 0, at(1_000))[0].holds);
    bench.aggregator.begin_probe(at(1_000));
    let outcomes = end(&mut bench, 0, at(1_000));
    assert_eq!((outcomes[0].actual, outcomes[0].holds), (None, false));
}

#[test]
fn dropped_starts_are_those_of_the_probe() {
    let mut bench = Bench::new(1, &["dropped_iterations: count<5"]);
    let tags = tags(&[("scenario", "s")]);
    bench.aggregator.begin_probe(at(0));
    // Whoever looks once a second tells some of them meanwhile.
    bench.aggregator.value(Builtin::DroppedIterations, &tags, 3.0);
    assert_eq!(end(&mut bench, 4, at(1_000))[0].actual, Some(4.0));
    bench.aggregator.value(Builtin::DroppedIterations, &tags, 1.0);
    bench.aggregator.begin_probe(at(1_000));
    assert_eq!(end(&mut bench, 0, at(1_000))[0].actual, Some(0.0));
    let (_, over) = bench.finish();
    assert_eq!(over.thresholds[0].actual, Some(4.0));
}

#[test]
fn the_capacity_itself_is_judged_over_the_whole_search() {
    let mut bench = Bench::new(1, &["capacity: value>=500", "http_reqs: count>0"]);
    bench.aggregator.begin_probe(at(0));
    requests(&mut bench, 1, 1.0, 1);
    let outcomes = end(&mut bench, 0, at(1_000));
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    bench.aggregator.value(Builtin::Capacity, &tags(&[("scenario", "s")]), 700.0);
    let (_, over) = bench.finish();
    assert_eq!((over.thresholds[0].actual, over.thresholds[0].holds), (Some(700.0), true));
}

#[test]
fn an_interval_shows_the_probe_that_runs() {
    let mut bench = Bench::new(1, &["http_req_duration: max<100"]);
    bench.aggregator.begin_probe(at(0));
    requests(&mut bench, 1, 500.0, 1);
    assert_eq!(bench.deliver_and_close().thresholds, [false]);
    end(&mut bench, 0, at(900));
    bench.aggregator.begin_probe(at(1_000));
    requests(&mut bench, 1_001, 5.0, 1);
    assert_eq!(bench.deliver_and_close().thresholds, [true]);
}

#[test]
fn the_latency_of_a_probe_is_that_of_all_its_successes_and_of_nothing_else() {
    let mut bench = Bench::new(1, &["http_req_duration{expected_response:true}: p(95)<100"]);
    requests(&mut bench, 900, 9_000.0, 5);
    bench.aggregator.begin_probe(at(1_000));
    requests(&mut bench, 1_200, 20.0, 90);
    // What ends after the last whole second of the probe, while it drains, belongs to it.
    requests(&mut bench, 2_400, 400.0, 10);
    let (late, base) = (bench.at(2_500), bench.base);
    let failed = ExchangeTags { status: 500, expected: false, ..get("/") };
    bench.recorders[0].exchange(late, base, failed, Exchange { waiting_ms: 1.0, ..Exchange::default() });
    let first = judged(&mut bench, 0, at(1_500));
    assert_eq!(Some(first.latency_ms["p(95)"]), first.thresholds[0].actual);
    assert!((first.latency_ms["p(50)"] - 20.0).abs() < 0.2, "{first:?}");
    assert!((first.latency_ms["p(99)"] - 400.0).abs() < 4.0, "{first:?}");
    bench.deliver_and_close();
    bench.aggregator.begin_probe(at(3_000));
    assert_eq!(judged(&mut bench, 0, at(1_000)).latency_ms.len(), 0);
    // Requests that all failed have no latency; how long iterations took is not theirs either.
    bench.aggregator.begin_probe(at(4_000));
    bench.aggregator.value(Builtin::IterationDuration, &tags(&[("scenario", "s")]), 7.0);
    let (late, base) = (bench.at(4_500), bench.base);
    bench.recorders[0].exchange(late, base, failed, Exchange { waiting_ms: 1.0, ..Exchange::default() });
    assert_eq!(judged(&mut bench, 0, at(1_000)).latency_ms.len(), 0);
}

#[test]
fn without_requests_operations_stand_for_latency_and_else_iterations() {
    let mut bench = Bench::new(1, &[]);
    let tags = tags(&[("scenario", "s")]);
    bench.aggregator.begin_probe(at(0));
    bench.aggregator.value(Builtin::IterationDuration, &tags, 50.0);
    let latency = judged(&mut bench, 0, at(1_000)).latency_ms;
    assert!((latency["p(50)"] - 50.0).abs() < 0.5, "{latency:?}");
    bench.aggregator.begin_probe(at(1_000));
    bench.aggregator.value(Builtin::IterationDuration, &tags, 50.0);
    bench.aggregator.value(Builtin::MeasureDuration, &tags, 5.0);
    bench.aggregator.value(Builtin::IterationDuration, &tags, 50.0);
    let latency = judged(&mut bench, 0, at(1_000)).latency_ms;
    assert!((latency["p(99)"] - 5.0).abs() < 0.05, "{latency:?}");
}
