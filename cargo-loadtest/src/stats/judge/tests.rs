//! Single comparisons with a known outcome.

use super::super::interval::Direction;
use super::super::log_odds::EventCounts;
use super::super::pairs;
use super::super::stored::{self, EVENT_SPREAD, RunSeries, SESSION_SPREAD};
use super::*;

fn metric(
    name: &str,
    direction: Direction,
    values: (f64, f64),
    effect: Result<Effect, NotJudged>,
) -> MetricEvidence {
    let (base, head) = (Some(values.0), Some(values.1));
    let (name, role) = (name.to_owned(), Role::Gate);
    MetricEvidence { name, role, direction, base, head, effect, pairs: 1, min_effect: 0.0 }
}

/// A run whose windows wobble by ±2 % around `value`.
fn steady(value: f64) -> RunSeries {
    RunSeries { value, windows: (0..60).map(|i| value * (1.0 + 0.02 * f64::from(i % 3 - 1))).collect() }
}

fn latency(base: f64, head: f64) -> MetricEvidence {
    latency_of(&steady(base), &steady(head))
}

fn latency_of(base: &RunSeries, head: &RunSeries) -> MetricEvidence {
    let effect = stored::latency(base, head, SESSION_SPREAD).map(Effect::Ratio);
    metric("p95", Direction::HigherIsWorse, (base.value, head.value), effect)
}

fn throughput(base: &RunSeries, head: &RunSeries) -> MetricEvidence {
    let effect = stored::throughput(base, head, SESSION_SPREAD).map(Effect::Ratio);
    metric("throughput", Direction::LowerIsWorse, (base.value, head.value), effect)
}

fn errors(base: (u64, u64), head: (u64, u64)) -> MetricEvidence {
    let counts = |(events, trials)| EventCounts { events, trials, windows: Vec::new() };
    let (base, head) = (counts(base), counts(head));
    let effect = stored::events(&base, &head, EVENT_SPREAD);
    metric("errors", Direction::HigherIsWorse, (base.rate(), head.rate()), effect)
}

fn test_of(metrics: Vec<MetricEvidence>) -> TestEvidence {
    TestEvidence { rule: JudgeRule::STORED, metrics }
}

fn judged(metrics: Vec<MetricEvidence>) -> TestJudgement {
    judge(&[test_of(metrics)]).remove(0)
}

#[test]
fn doubled_latency_regresses_and_halved_improves() {
    let doubled = judged(vec![latency(40.0, 80.0)]);
    assert_eq!(doubled.verdict, Verdict::Regressed);
    let metric = &doubled.metrics[0];
    assert_eq!((metric.base, metric.head), (Some(40.0), Some(80.0)));
    assert_eq!(metric.reason, Reason::Exceeds(Bound::Fraction(0.25)));
    let Some(Change::Ratio { ratio, interval, estimate }) = metric.change else { panic!("{metric:?}") };
    assert!((ratio - 2.0).abs() < 1e-12 && interval.lower > 1.5 && interval.upper < 2.7, "{interval:?}");
    assert!(estimate.standard_error >= 0.05 * 2f64.sqrt(), "the assumed spread is a floor");
    assert!(metric.p.unwrap() < 1e-6);
    assert_eq!(judged(vec![latency(80.0, 40.0)]).metrics[0].verdict, Verdict::Improved);
}

#[test]
fn a_small_change_is_not_a_large_one() {
    let small = judged(vec![latency(40.0, 42.0)]);
    assert_eq!(
        (small.verdict, small.metrics[0].reason),
        (Verdict::Unchanged, Reason::Within(Bound::Fraction(0.25)))
    );
    let middling = judged(vec![latency(40.0, 49.0)]);
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
    let test = judged(vec![
        latency(40.0, 12.0),
        throughput(&steady(337.0), &RunSeries { value, windows: starved }),
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
    assert_eq!(judged(vec![throughput(&steady(337.0), &silent)]).verdict, Verdict::Regressed);
    let both = judged(vec![throughput(&silent, &silent)]);
    assert_eq!(
        (both.verdict, both.metrics[0].reason),
        (Verdict::Inconclusive, Reason::NotJudged(NotJudged::NoRatio))
    );
}

#[test]
fn errors_need_significance_and_a_tenth_of_a_point() {
    let verdict = |base, head| judged(vec![errors(base, head)]).metrics[0].verdict;
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
    let test = judged(vec![
        latency(40.0, 10.0),
        throughput(&steady(300.0), &steady(900.0)),
        errors((0, 9_000), (1_800, 9_000)),
    ]);
    assert_eq!(test.verdict, Verdict::Regressed);
    for metric in &test.metrics[..2] {
        assert_eq!((metric.verdict, metric.reason), (Verdict::Inconclusive, Reason::EventsRegressed));
    }
    // The errors of one test say nothing of another.
    let tests = [test_of(vec![errors((0, 9_000), (1_800, 9_000))]), test_of(vec![latency(40.0, 10.0)])];
    assert_eq!(judge(&tests)[1].metrics[0].verdict, Verdict::Improved);
}

#[test]
fn the_family_spans_gates_of_all_tests_and_leaves_out_advisories_and_what_is_not_judged() {
    let advisory = MetricEvidence { role: Role::Advisory, ..latency(40.0, 100.0) };
    let few = NotJudged::TooFewSuccesses { needed: 1_000, base: 400, head: 20 };
    let withheld =
        MetricEvidence { head: None, ..metric("p99", Direction::HigherIsWorse, (3.0, 0.0), Err(few)) };
    let tests = [
        test_of(vec![latency(40.0, 46.0), advisory, withheld]),
        test_of(vec![latency(40.0, 40.0), errors((0, 500), (0, 500))]),
    ];
    let judged = judge(&tests);
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
        let test = judged(vec![latency_of(&steady(40.0), &series)]);
        assert_eq!(test.verdict, Verdict::Inconclusive, "{bad}");
        let test = judged(vec![throughput(&series, &series)]);
        assert_eq!(test.verdict, Verdict::Inconclusive, "{bad}");
    }
    let short = RunSeries { value: 40.0, windows: vec![40.0, f64::NAN] };
    let test = judged(vec![latency_of(&steady(40.0), &short)]);
    let reason = Reason::NotJudged(NotJudged::TooFewWindows { needed: 2, base: 60, head: 1 });
    assert_eq!(test.metrics[0].reason, reason);
    assert_eq!(judged(Vec::new()).verdict, Verdict::Inconclusive);
}

#[test]
fn a_run_of_a_few_seconds_can_be_judged_but_is_less_sure() {
    let short = |value: f64| RunSeries { value, windows: vec![value * 0.97, value, value * 1.03] };
    let test = judged(vec![latency_of(&short(40.0), &short(80.0))]);
    assert_eq!(test.verdict, Verdict::Regressed);
    let of = |judged: &TestJudgement| match judged.metrics[0].change {
        Some(Change::Ratio { estimate, .. }) => estimate.standard_error,
        _ => panic!("{judged:?}"),
    };
    assert!(of(&test) > of(&judged(vec![latency(40.0, 80.0)])));
}

/// Six pairs of which each head is worse by a ratio, which wobbles by ±`wobble` about it.
fn paired_latency(ratio: f64, wobble: f64) -> MetricEvidence {
    let signs = [1.0, -1.0, 0.5, -0.5, 0.2, -0.2];
    let heads = signs.map(|sign| 40.0 * ratio * (1.0 + wobble * sign));
    let effect = pairs::ratio(&[40.0; 6], &heads);
    MetricEvidence { pairs: 6, ..metric("p95", Direction::HigherIsWorse, (40.0, 40.0 * ratio), effect) }
}

fn of_duet(rule: JudgeRule, metric: MetricEvidence) -> MetricJudgement {
    judge(&[TestEvidence { rule, metrics: vec![metric] }]).remove(0).metrics.remove(0)
}

#[test]
fn a_smallest_effect_that_was_learnt_or_set_holds() {
    let worse = paired_latency(1.08, 0.01);
    let judged = of_duet(JudgeRule::DUET, worse.clone());
    assert_eq!((judged.verdict, judged.min_effect), (Verdict::Regressed, 0.05));
    assert_eq!(judged.reason, Reason::Exceeds(Bound::Fraction(0.05)));
    let learnt = of_duet(JudgeRule::DUET, MetricEvidence { min_effect: 0.09, ..worse.clone() });
    assert_eq!((learnt.verdict, learnt.min_effect), (Verdict::Unchanged, 0.09), "within the 10 %");
    let mut set = JudgeRule::DUET;
    set.decision.smallest_effect = 0.10;
    set.decision.equivalence = 0.05;
    assert_eq!(of_duet(set, worse).verdict, Verdict::Inconclusive);
    let errors = |min_effect| MetricEvidence {
        pairs: 6,
        min_effect,
        ..metric(
            "errors",
            Direction::HigherIsWorse,
            (0.0, 0.005),
            pairs::events(&[(0, 10_000); 6], &[(50, 10_000); 6]),
        )
    };
    assert_eq!(of_duet(JudgeRule::DUET, errors(0.0)).verdict, Verdict::Regressed);
    let learnt = of_duet(JudgeRule::DUET, errors(0.006));
    assert_eq!((learnt.verdict, learnt.min_effect), (Verdict::Inconclusive, 0.006));
}

#[test]
fn each_test_is_judged_at_its_own_level() {
    let worse = paired_latency(1.08, 0.06);
    let p = of_duet(JudgeRule::DUET, worse.clone()).p.unwrap();
    assert!((0.001..0.02).contains(&p), "{p}");
    let strict = JudgeRule::DUET.at_level(0.001);
    let tests = [JudgeRule::DUET, strict].map(|rule| TestEvidence { rule, metrics: vec![worse.clone()] });
    let judged = judge(&tests);
    assert_eq!((judged[0].verdict, judged[1].verdict), (Verdict::Regressed, Verdict::Inconclusive));
    assert_eq!(judged[0].metrics[0].adjusted_p, Some(2.0 * p), "one family all the same");
}

#[test]
fn the_pairs_that_would_be_needed_count_pairs() {
    let open = of_duet(JudgeRule::DUET, paired_latency(1.03, 0.12));
    let Reason::Undecided { runs_needed: Some(needed), significant: false, .. } = open.reason else {
        panic!("{open:?}")
    };
    // One pair varies by s ≈ 0.081: (1.645 + 0.842)·s/√k ≤ ln 1.05 takes 18 pairs at least.
    assert!((18..=22).contains(&needed), "{needed}");
}

#[test]
fn an_interval_can_be_told_at_another_confidence() {
    let judged = of_duet(JudgeRule::DUET, paired_latency(1.08, 0.02));
    let Some(change @ Change::Ratio { estimate, interval, .. }) = judged.change else { panic!("{judged:?}") };
    assert_eq!((change.interval_at(0.90), change.value()), (interval, estimate.ratio()));
    assert_eq!(change.interval_at(0.95), estimate.interval(0.95).exp());
    let judged = judged_events();
    let Some(change @ Change::Points { difference, interval, .. }) = judged.change else {
        panic!("{judged:?}")
    };
    assert_eq!(change.value(), difference);
    let (narrow, wide) = (interval.upper - difference, change.interval_at(0.95).upper - difference);
    // t quantiles with 5 degrees of freedom: 2.570582 and 2.015048.
    assert!((wide / narrow - 2.570_581_836 / 2.015_048_373).abs() < 1e-8, "{}", wide / narrow);
}

fn judged_events() -> MetricJudgement {
    let effect = pairs::events(&[(5, 10_000); 6], &[(50, 10_000); 6]);
    of_duet(JudgeRule::DUET, metric("errors", Direction::HigherIsWorse, (0.0005, 0.005), effect))
}
