//! Thresholds over intervals.

use super::*;

/// Closes a second in which there were requests of this duration and of this name.
fn second(bench: &mut Bench, name: &str, waiting_ms: &[f32]) -> Interval {
    let ms = u64::from(bench.closed) * 1_000;
    for &waiting_ms in waiting_ms {
        bench.exchange(ms, name, Exchange { waiting_ms, ..Exchange::default() });
    }
    bench.deliver_and_close()
}

#[test]
fn a_threshold_is_judged_on_all_seconds_so_far() {
    let mut bench = Bench::new(1, &["http_req_duration: avg<100", "http_reqs: rate>=2"]);
    assert_eq!(second(&mut bench, "/", &[50.0, 50.0]).thresholds, [true, true]);
    // 250 in this second alone, 150 over both; four requests in two seconds.
    assert_eq!(second(&mut bench, "/", &[250.0, 250.0]).thresholds, [false, true]);
    assert_eq!(second(&mut bench, "/", &[10.0]).thresholds, [false, false]);
    assert_eq!(second(&mut bench, "/", &[10.0; 10]).thresholds, [true, true]);
    let (_, end) = bench.finish();
    let outcome = &end.thresholds[0];
    // 710 ms over 15 requests, which the fifth, empty second does not change.
    assert!(outcome.holds && !outcome.aborted);
    assert!((outcome.actual.expect("has data") - 710.0 / 15.0).abs() < 1e-9, "{outcome:?}");
    assert!((outcome.margin.expect("has a limit") - (1.0 - 7.1 / 15.0)).abs() < 1e-9, "{outcome:?}");
    assert_eq!(end.thresholds[1].actual, Some(3.0));
}

#[test]
fn a_selector_picks_its_series_and_no_others() {
    let mut bench = Bench::new(
        1,
        &[
            "http_req_duration{name:/slow}: max>=900",
            "http_req_duration{!name:/slow}: max<100",
            "http_reqs{name:/sl*,status:200}: count==1",
        ],
    );
    second(&mut bench, "/slow", &[900.0]);
    second(&mut bench, "/fast", &[9.0]);
    let (_, end) = bench.finish();
    assert!(end.thresholds.iter().all(|outcome| outcome.holds), "{:?}", end.thresholds);
    assert_eq!(end.thresholds[1].actual, Some(9.0));
}

#[test]
fn without_data_a_threshold_does_not_hold() {
    let mut bench = Bench::new(1, &["http_req_duration{name:/admin}: p(95)<500ms abort"]);
    assert_eq!(second(&mut bench, "/", &[1.0]).thresholds, [false]);
    // But that is no reason to end the test.
    assert_eq!(bench.aggregator.abort_due(Duration::from_secs(1)), None);
    let (_, end) = bench.finish();
    let outcome = &end.thresholds[0];
    assert_eq!((outcome.actual, outcome.holds, outcome.margin, outcome.aborted), (None, false, None, false));
}

#[test]
fn a_threshold_aborts_after_its_delay_and_once() {
    let thresholds = [
        "http_req_duration: max<100 abort after 3s",
        "http_req_duration: max<200 abort after 4s",
        "http_req_duration: max<100",
    ];
    let mut bench = Bench::new(1, &thresholds);
    let mut aborts = Vec::new();
    for _ in 0..5 {
        second(&mut bench, "/", &[500.0]);
        aborts.push(bench.aggregator.abort_due(Duration::from_secs(bench.closed.into())));
    }
    assert_eq!(aborts, [None, None, Some(thresholds[0].to_owned()), None, None]);
    let (_, end) = bench.finish();
    // All of them failed, but only one of them ended the test.
    let ended: Vec<_> = end.thresholds.iter().map(|outcome| (outcome.holds, outcome.aborted)).collect();
    assert_eq!(ended, [(false, true), (false, false), (false, false)]);
}

#[test]
fn a_threshold_that_has_recovered_by_its_delay_does_not_abort() {
    let mut bench = Bench::new(1, &["http_req_failed: rate<0.5 abort after 2s"]);
    let at = bench.at(1);
    let failed = ExchangeTags { status: 500, expected: false, ..get("/") };
    bench.recorders[0].exchange(at, bench.base, failed, Exchange { failed: true, ..Exchange::default() });
    assert_eq!(bench.deliver_and_close().thresholds, [false]);
    assert_eq!(bench.aggregator.abort_due(Duration::from_secs(1)), None);
    assert_eq!(second(&mut bench, "/", &[1.0; 3]).thresholds, [true]);
    assert_eq!(bench.aggregator.abort_due(Duration::from_secs(2)), None);
}

#[test]
fn a_counter_of_zero_is_data() {
    let mut bench = Bench::new(1, &["dropped_iterations: count<1"]);
    bench.aggregator.value(Builtin::DroppedIterations, &tags(&[("scenario", "s")]), 0.0);
    let (_, end) = bench.finish();
    assert_eq!((end.thresholds[0].actual, end.thresholds[0].holds), (Some(0.0), true));
}
