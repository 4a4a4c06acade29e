//! Single comparisons with a known outcome.

use super::*;

fn metric(name: &str, evidence: StoredEvidence) -> StoredMetric {
    StoredMetric { name: name.to_owned(), role: Role::Gate, evidence }
}

/// A run whose windows wobble by ±2 % around `value`.
fn steady(value: f64) -> RunSeries {
    RunSeries { value, windows: (0..60).map(|i| value * (1.0 + 0.02 * f64::from(i % 3 - 1))).collect() }
}

fn latency(base: f64, head: f64) -> StoredMetric {
    metric("p95", StoredEvidence::Latency { base: steady(base), head: steady(head) })
}

fn throughput(base: RunSeries, head: RunSeries) -> StoredMetric {
    metric("throughput", StoredEvidence::Throughput { base, head })
}

fn errors(base: (u64, u64), head: (u64, u64)) -> StoredMetric {
    let counts = |(events, trials)| EventCounts { events, trials, windows: Vec::new() };
    metric("errors", StoredEvidence::Events { base: counts(base), head: counts(head) })
}

fn judge(metrics: Vec<StoredMetric>) -> TestJudgement {
    judge_stored(&[StoredTest { metrics }], &StoredRule::default()).remove(0)
}

#[test]
fn doubled_latency_regresses_and_halved_improves() {
    let doubled = judge(vec![latency(40.0, 80.0)]);
    assert_eq!(doubled.verdict, Verdict::Regressed);
    let metric = &doubled.metrics[0];
    assert_eq!((metric.base, metric.head), (Some(40.0), Some(80.0)));
    assert_eq!(metric.reason, Reason::Exceeds(Bound::Fraction(0.25)));
    let Some(Change::Ratio { ratio, interval, estimate }) = metric.change else { panic!("{metric:?}") };
    assert!((ratio - 2.0).abs() < 1e-12 && interval.lower > 1.5 && interval.upper < 2.7, "{interval:?}");
    assert!(estimate.standard_error >= 0.05 * 2f64.sqrt(), "the assumed spread is a floor");
    assert!(metric.p.unwrap() < 1e-6);
    assert_eq!(judge(vec![latency(80.0, 40.0)]).metrics[0].verdict, Verdict::Improved);
}

#[test]
fn a_small_change_is_not_a_large_one() {
    let small = judge(vec![latency(40.0, 42.0)]);
    assert_eq!(
        (small.verdict, small.metrics[0].reason),
        (Verdict::Unchanged, Reason::Within(Bound::Fraction(0.25)))
    );
    let middling = judge(vec![latency(40.0, 49.0)]);
    assert_eq!(middling.verdict, Verdict::Inconclusive);
    let Reason::Undecided { detectable: Bound::Fraction(detectable), runs_needed, significant } =
        middling.metrics[0].reason
    else {
        panic!("{middling:?}")
    };
    assert!(significant && detectable > 0.25 && detectable < 0.40, "{detectable}");
    assert!((2..=6).contains(&runs_needed.unwrap()), "{runs_needed:?}");
}

#[test]
fn throughput_that_collapses_is_regressed_although_latency_looks_better() {
    // 100 requests in a minute, most windows with one or two, some with none.
    let starved: Vec<f64> =
        (0..60).map(|i| f64::from((i * 7) % 4 % 3) + if i % 3 == 0 { 1.0 } else { 0.0 }).collect();
    let value = 1.66;
    assert!(starved.contains(&0.0));
    let test = judge(vec![
        latency(40.0, 12.0),
        throughput(steady(337.0), RunSeries { value, windows: starved }),
        errors((0, 20_220), (0, 100)),
    ]);
    assert_eq!(test.verdict, Verdict::Regressed);
    assert_eq!(test.metrics[1].verdict, Verdict::Regressed);
    assert_eq!(test.metrics[2].verdict, Verdict::Unchanged, "a lower throughput is not an error rate");
    assert_eq!(test.metrics[2].reason, Reason::NoEvents);
}

#[test]
fn a_service_that_serves_nothing_is_regressed() {
    let silent = RunSeries { value: 0.0, windows: vec![0.0; 60] };
    assert_eq!(judge(vec![throughput(steady(337.0), silent.clone())]).verdict, Verdict::Regressed);
    let both = judge(vec![throughput(silent.clone(), silent)]);
    assert_eq!(
        (both.verdict, both.metrics[0].reason),
        (Verdict::Inconclusive, Reason::NotJudged(NotJudged::NoRatio))
    );
}

#[test]
fn errors_need_significance_and_a_tenth_of_a_point() {
    let verdict = |base, head| judge(vec![errors(base, head)]).metrics[0].verdict;
    assert_eq!(verdict((0, 30_000), (0, 30_000)), Verdict::Unchanged);
    assert_eq!(verdict((0, 30_000), (40, 30_000)), Verdict::Regressed);
    assert_eq!(verdict((40, 30_000), (0, 30_000)), Verdict::Improved);
    assert_eq!(verdict((0, 30_000), (6, 30_000)), Verdict::Unchanged, "significant or not, 0.02 points");
    assert_eq!(
        verdict((5, 300_000), (100, 300_000)),
        Verdict::Unchanged,
        "highly significant, but 0.03 points"
    );
    assert_eq!(verdict((5, 300_000), (250, 300_000)), Verdict::Inconclusive, "0.08 points may be 0.1");
    assert_eq!(verdict((0, 300), (1, 300)), Verdict::Inconclusive, "0.33 points, but a single error");
    assert_eq!(verdict((1_500, 30_000), (1_700, 30_000)), Verdict::Inconclusive);
    assert_eq!(verdict((0, 0), (0, 30_000)), Verdict::Inconclusive);
    assert_eq!(verdict((7, 5), (0, 30_000)), Verdict::Inconclusive);
}

#[test]
fn failing_fast_is_never_an_improvement() {
    let test = judge(vec![
        latency(40.0, 10.0),
        throughput(steady(300.0), steady(900.0)),
        errors((0, 9_000), (1_800, 9_000)),
    ]);
    assert_eq!(test.verdict, Verdict::Regressed);
    for metric in &test.metrics[..2] {
        assert_eq!((metric.verdict, metric.reason), (Verdict::Inconclusive, Reason::EventsRegressed));
    }
    // The errors of one test say nothing of another.
    let tests = [
        StoredTest { metrics: vec![errors((0, 9_000), (1_800, 9_000))] },
        StoredTest { metrics: vec![latency(40.0, 10.0)] },
    ];
    assert_eq!(judge_stored(&tests, &StoredRule::default())[1].metrics[0].verdict, Verdict::Improved);
}

#[test]
fn the_family_spans_gates_of_all_tests_and_leaves_out_advisories_and_what_is_not_judged() {
    let advisory = StoredMetric { role: Role::Advisory, ..latency(40.0, 100.0) };
    let withheld = metric(
        "p99",
        StoredEvidence::Withheld {
            direction: Direction::HigherIsWorse,
            base: Some(3.0),
            head: None,
            reason: NotJudged::TooFewSuccesses { needed: 1_000, base: 400, head: 20 },
        },
    );
    let tests = [
        StoredTest { metrics: vec![latency(40.0, 46.0), advisory, withheld] },
        StoredTest { metrics: vec![latency(40.0, 40.0), errors((0, 500), (0, 500))] },
    ];
    let judged = judge_stored(&tests, &StoredRule::default());
    let first = &judged[0].metrics[0];
    assert!((first.adjusted_p.unwrap() - 2.0 * first.p.unwrap()).abs() < 1e-12, "a family of two");
    let second = &judged[0].metrics[1];
    assert_eq!((second.verdict, second.p), (Verdict::Regressed, second.adjusted_p));
    assert_eq!(
        judged[0].verdict,
        Verdict::Inconclusive,
        "an advisory never regresses a test; a withheld gate leaves it open"
    );
    let third = &judged[0].metrics[2];
    assert_eq!((third.base, third.head, third.p), (Some(3.0), None, None));
    assert_eq!(judged[1].verdict, Verdict::Unchanged);
}

#[test]
fn hostile_numbers_end_in_inconclusive() {
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let series = RunSeries { value: bad, windows: vec![bad; 60] };
        let test =
            judge(vec![metric("p95", StoredEvidence::Latency { base: steady(40.0), head: series.clone() })]);
        assert_eq!(test.verdict, Verdict::Inconclusive, "{bad}");
        let test = judge(vec![throughput(series.clone(), series)]);
        assert_eq!(test.verdict, Verdict::Inconclusive, "{bad}");
    }
    let short = RunSeries { value: 40.0, windows: vec![40.0, f64::NAN] };
    let test = judge(vec![metric("p95", StoredEvidence::Latency { base: steady(40.0), head: short })]);
    let reason = Reason::NotJudged(NotJudged::TooFewWindows { needed: 2, base: 60, head: 1 });
    assert_eq!(test.metrics[0].reason, reason);
    assert_eq!(judge(Vec::new()).verdict, Verdict::Inconclusive);
}

#[test]
fn a_run_of_a_few_seconds_can_be_judged_but_is_less_sure() {
    let short = |value: f64| RunSeries { value, windows: vec![value * 0.97, value, value * 1.03] };
    let test = judge(vec![metric("p95", StoredEvidence::Latency { base: short(40.0), head: short(80.0) })]);
    assert_eq!(test.verdict, Verdict::Regressed);
    let of = |judged: &TestJudgement| match judged.metrics[0].change {
        Some(Change::Ratio { estimate, .. }) => estimate.standard_error,
        _ => panic!("{judged:?}"),
    };
    assert!(of(&test) > of(&judge(vec![latency(40.0, 80.0)])));
}
