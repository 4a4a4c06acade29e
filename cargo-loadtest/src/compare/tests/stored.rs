//! One stored run against a fresh one: whole comparisons with a known outcome, and the rate of false alarms.

use std::time::Duration;

use loadtest_core::metric::{Builtin, Tags, Totals};
use loadtest_core::options::{ExecutorKind, Options, Stage};
use loadtest_core::results::{Capacity, End, SeriesDef};

use super::super::evidence::{Setting, stored as evidence};
use super::super::extract::Measured;
use super::super::sample::{Sample, run_of};
use super::super::segments::{self, Segments};
use super::super::wording::Voice;
use super::*;
use crate::data::TestData;
use crate::stats::TestEvidence;

/// Evidence of one test, as a comparison gathers it: the slow part of a comparison, done once for each run.
fn measured(run: &RunData) -> Measured {
    let test = &run.tests[0];
    let segments = Segments::of(&test.document.outcome.workloads, segments::whole_seconds(test));
    Measured::of(test, segments.windows(test))
}

fn judged(base: &Measured, head: &Measured) -> stats::TestJudgement {
    let setting = Setting {
        basis: segments::Basis::Holds,
        closed: true,
        open: false,
        latency_withheld: None,
        rule: JudgeRule::STORED,
        gate: &[],
    };
    let voice = Voice::new(Mode::Stored, "");
    let metrics = evidence::evidence(&[base], &[head], &setting, &voice).metrics;
    judge(&[TestEvidence { rule: JudgeRule::STORED, metrics }]).remove(0)
}

#[test]
fn equal_code_in_other_sessions_is_not_regressed_in_99_of_100_and_doubled_latency_always() {
    // 25 sessions make 300 pairs.
    let runs: Vec<Measured> = (0..25)
        .map(|seed| measured(&Sample { endpoints: 20, rate: 120.0, ..Sample::seeded(seed) }.run()))
        .collect();
    let slow: Vec<Measured> = (0..10)
        .map(|seed| {
            measured(&Sample { endpoints: 20, rate: 120.0, slower: 2.0, ..Sample::seeded(100 + seed) }.run())
        })
        .collect();
    let (mut pairs, mut alarms) = (0, 0);
    for (i, base) in runs.iter().enumerate() {
        for head in &runs[i + 1..] {
            pairs += 1;
            let judged = judged(base, head);
            if judged.verdict == stats::Verdict::Regressed {
                alarms += 1;
            }
        }
        for head in &slow {
            assert_eq!(judged(base, head).verdict, stats::Verdict::Regressed);
        }
    }
    assert_eq!(pairs, 300);
    assert!(alarms <= 3, "{alarms} of {pairs} comparisons of equal code are regressed");
}

#[test]
fn doubled_latency_is_regressed_and_the_numbers_say_by_how_much() {
    let comparison =
        stored_named("main", &Sample::seeded(1).run(), &Sample { slower: 2.0, ..Sample::seeded(2) }.run());
    assert_eq!(comparison.verdict, Verdict::Regressed);
    assert_eq!(comparison.base.name.as_deref(), Some("main"));
    let test = &comparison.tests[0];
    for name in ["p95", "endpoint p95", "p50", "p99", "mean"] {
        let metric = named(test, name);
        let (change, (lower, upper)) = (metric.change.unwrap(), metric.interval.unwrap());
        assert!((1.6..2.5).contains(&change) && lower < 2.0 && upper > 2.0, "{metric:?}");
        assert_eq!(metric.verdict, Verdict::Regressed, "{metric:?}");
        assert!(metric.p.unwrap() < 0.001);
    }
    assert!(named(test, "p95").gate && !named(test, "p99").gate);
    let gates: Vec<bool> = test.metrics.iter().map(|metric| metric.gate).collect();
    assert!(gates.is_sorted_by(|a, b| a >= b), "gates come first: {gates:?}");
    let (errors, throughput) = (named(test, "errors"), named(test, "throughput"));
    assert_eq!((errors.verdict, errors.base, errors.head), (Verdict::Unchanged, Some(0.0), Some(0.0)));
    assert!((80.0..120.0).contains(&throughput.head.unwrap()), "{throughput:?}");
    let endpoint = named(test, "p95 GET /page/0");
    assert_eq!((endpoint.gate, endpoint.verdict), (false, Verdict::Regressed));
    serde_json::from_str::<Comparison>(&serde_json::to_string(&comparison).unwrap()).unwrap();
}

#[test]
fn a_run_compared_with_itself_is_unchanged() {
    let run = Sample { endpoints: 1, ..Sample::default() }.run();
    let comparison = stored(&run, &run);
    assert_eq!(comparison.verdict, Verdict::Unchanged, "{comparison:#?}");
    let test = &comparison.tests[0];
    assert!(test.reasons.is_empty() && comparison.warnings.is_empty(), "{comparison:#?}");
    assert!(test.metrics.iter().all(|metric| metric.name != "endpoint p95"), "one endpoint is the whole");
}

#[test]
fn failing_fast_is_regressed_on_errors_and_improved_in_nothing() {
    let failing = Sample { failures: 0.2, slower: 0.5, rate: 200.0, ..Sample::seeded(2) };
    let comparison = stored(&Sample::seeded(1).run(), &failing.run());
    assert_eq!(comparison.verdict, Verdict::Regressed);
    let test = &comparison.tests[0];
    let errors = named(test, "errors");
    assert_eq!(errors.verdict, Verdict::Regressed);
    assert!((0.18..0.22).contains(&errors.change.unwrap()), "{errors:?}");
    assert!(test.metrics.iter().all(|metric| metric.verdict != Verdict::Improved), "{test:#?}");
    assert!(named(test, "p95").reason.as_ref().unwrap().contains("failing fast"));
    let infinite = named(test, "p95 with failures as infinite");
    assert_eq!((infinite.gate, infinite.head), (false, None));
    assert!(infinite.base.is_some() && infinite.reason.as_ref().unwrap().contains("infinite in this run"));
    assert!(named(test, "p95 of all").head.unwrap() <= named(test, "p95").head.unwrap());
}

#[test]
fn throughput_that_collapses_is_regressed_although_latency_looks_better() {
    let base = Sample { rate: 337.0, ..Sample::seeded(1) };
    let head = Sample { rate: 1.66, slower: 0.4, ..Sample::seeded(2) };
    let comparison = stored(&base.run(), &head.run());
    assert_eq!(comparison.verdict, Verdict::Regressed);
    let test = &comparison.tests[0];
    assert_eq!(named(test, "throughput").verdict, Verdict::Regressed);
    assert_eq!(named(test, "errors").verdict, Verdict::Unchanged);
    let p95 = named(test, "p95");
    assert_eq!(p95.verdict, Verdict::Inconclusive);
    assert!(
        p95.change.unwrap() < 0.6 && p95.reason.as_ref().unwrap().contains("needs 200 successes"),
        "{p95:?}"
    );
}

#[test]
fn a_fast_endpoint_that_triples_shows_in_the_geometric_mean_and_not_in_the_pooled_quantile() {
    let sample = |seed| Sample { endpoints: 3, ..Sample::seeded(seed) };
    let comparison = stored(&sample(1).run(), &Sample { first_slower: 3.0, ..sample(2) }.run());
    let test = &comparison.tests[0];
    assert_eq!(named(test, "endpoint p95").verdict, Verdict::Regressed, "{test:#?}");
    assert_ne!(named(test, "p95").verdict, Verdict::Regressed);
    assert_eq!(named(test, "p95 GET /page/0").verdict, Verdict::Regressed);
    assert!(test.metrics.iter().all(|metric| metric.name != "p95 GET /page/2"));
    assert_eq!(comparison.verdict, Verdict::Regressed);
}

#[test]
fn another_machine_is_inconclusive_with_the_values_for_show() {
    let base = Sample::seeded(1).run();
    let mut head = Sample { slower: 3.0, ..Sample::seeded(2) }.run();
    head.document.fingerprint.cores = 4;
    head.document.fingerprint.memory_bytes = head.document.fingerprint.memory_bytes / 100 * 97;
    let comparison = stored_named("main", &base, &head);
    assert_eq!(comparison.verdict, Verdict::Inconclusive);
    let test = &comparison.tests[0];
    assert_eq!(test.reasons.len(), 2, "a little less memory is the same class: {:?}", test.reasons);
    assert!(says(test, "number of cores differs: 8 in the baseline, 4 here"), "{:?}", test.reasons);
    assert!(says(test, "--save-baseline main"));
    let p95 = named(test, "p95");
    assert!(p95.change.unwrap() > 2.0 && p95.p.is_none() && p95.interval.is_none());
    assert_eq!(p95.verdict, Verdict::Inconclusive);
}

#[test]
fn another_load_is_not_comparable_and_a_changed_body_only_warns() {
    let base = Sample::seeded(1).run();
    let mut head = Sample::seeded(1).run();
    head.tests[0].document.workload_hash = "other".to_owned();
    let test = stored(&base, &head).tests.remove(0);
    assert_eq!(test.verdict, Verdict::NotComparable);
    assert!(says(&test, "options that shape the load differ") && says(&test, "--save-baseline NAME"));
    assert!(test.metrics.is_empty());

    let options = Options { duration: Some(Duration::from_secs(30)), ..Sample::default().options };
    let test = stored(&base, &Sample { options, ..Sample::default() }.run()).tests.remove(0);
    assert_eq!(test.verdict, Verdict::NotComparable);
    assert!(says(&test, "20 looping VUs for 1m in the baseline") && says(&test, "for 30s"), "{test:?}");

    let mut head = Sample::seeded(1).run();
    head.tests[0].document.definitions[0].body_hash = "other".to_owned();
    let test = stored(&base, &head).tests.remove(0);
    assert!(test.verdict == Verdict::Unchanged && says(&test, "the code of browse has changed"), "{test:?}");
}

#[test]
fn a_measurement_that_cannot_be_trusted_is_invalid_on_either_side() {
    let sound = Sample::seeded(1).run();
    let saturated = Sample { cpu: 0.95, slower: 3.0, ..Sample::seeded(2) }.run();
    let comparison = stored(&sound, &saturated);
    assert_eq!(comparison.verdict, Verdict::Invalid);
    assert!(says(&comparison.tests[0], "this run can't be trusted: the load generator used 95 %"));
    let other_way = stored(&saturated, &sound);
    assert_eq!(other_way.verdict, Verdict::Invalid);
    assert!(says(&other_way.tests[0], "save a new baseline"), "{:?}", other_way.tests[0].reasons);

    let missing_users = Sample { active_vus: 19, ..Sample::seeded(2) }.run();
    let comparison = stored(&sound, &missing_users);
    assert_eq!(comparison.verdict, Verdict::Invalid);
    assert!(says(&comparison.tests[0], "only 95 % of the planned virtual users"));

    let mut told = Sample::seeded(2).run();
    told.tests[0].document.invalid.push("the clock jumped".to_owned());
    assert!(says(&stored(&sound, &told).tests[0], "the clock jumped"));
}

#[test]
fn a_run_that_did_not_end_is_not_comparable() {
    let sound = Sample::seeded(1).run();
    let mut cut = Sample::seeded(2).run();
    cut.tests[0].document.outcome.end = End::Interrupted;
    for (base, head, what) in [(&sound, &cut, "this run was interrupted"), (&cut, &sound, "save a new one")] {
        let test = stored(base, head).tests.remove(0);
        assert_eq!(test.verdict, Verdict::NotComparable);
        assert!(says(&test, what), "{:?}", test.reasons);
    }
}

#[test]
fn runs_that_someone_paused_or_scaled_are_not_comparable() {
    let sound = Sample::seeded(1).run();
    let mut paused = Sample::seeded(2).run();
    paused.tests[0].document.outcome.paused_seconds = 12.5;
    let test = stored(&sound, &paused).tests.remove(0);
    assert_eq!(test.verdict, Verdict::NotComparable);
    assert!(says(&test, "this run was paused for 12.5s"), "{:?}", test.reasons);
    let mut scaled = Sample::seeded(2).run();
    scaled.tests[0].document.outcome.scaled = true;
    let test = stored_named("main", &scaled, &sound).tests.remove(0);
    assert_eq!(test.verdict, Verdict::NotComparable);
    assert!(says(&test, "scaled") && says(&test, "--save-baseline main"), "{:?}", test.reasons);
}

#[test]
fn an_arrival_rate_that_starts_late_is_invalid() {
    let sound = Sample::seeded(1).run();
    let mut late = Sample::seeded(2).run();
    let lag = SeriesDef { id: 9_999, metric: Builtin::ScheduleLag.def(), tags: Tags::new() };
    let mut test = late.tests.remove(0);
    for interval in &mut test.intervals {
        let mut totals = Totals::default();
        totals.record(lag.metric.kind, lag.metric.unit.scale(), 30.0);
        interval.series.push((lag.id, totals));
    }
    test.intervals[0].new_series.push(lag);
    late.tests.push(TestData::new(test.document, test.intervals));
    let comparison = stored(&sound, &late);
    assert_eq!(comparison.verdict, Verdict::Invalid);
    assert!(says(&comparison.tests[0], "started 30.0ms late"), "{:?}", comparison.tests[0].reasons);
}

#[test]
fn a_capacity_search_is_compared_by_its_capacity_alone() {
    let options = Options {
        executor: Some(ExecutorKind::FindCapacity),
        start_rate: Some(100),
        max_rate: Some(1_000),
        step: Some(50),
        probe_duration: Some(Duration::from_secs(10)),
        pre_allocated_vus: Some(20),
        thresholds: vec!["http_req_duration: p(95)<500ms".parse().unwrap()],
        ..Options::default()
    };
    let run = |held, slower| {
        let mut run = Sample { options: options.clone(), slower, ..Sample::seeded(held) }.run();
        let found = Capacity {
            time_unit: 1.0,
            probes: Vec::new(),
            highest_held: Some(held),
            lowest_failed: Some(held + 50),
            complete: true,
        };
        run.tests[0].document.outcome.capacities.insert("browse".to_owned(), found);
        run
    };
    let base = run(700, 1.0);
    for (held, expected) in [(700, Verdict::Unchanged), (500, Verdict::Regressed), (900, Verdict::Unchanged)]
    {
        let comparison = stored(&base, &run(held, 3.0));
        assert_eq!(comparison.verdict, expected);
        let test = &comparison.tests[0];
        assert!(test.metrics.len() == 1 && says(test, "by its capacity alone"), "{test:#?}");
        let capacity = named(test, "capacity");
        assert_eq!((capacity.base, capacity.head), (Some(700.0), Some(held as f64)));
        assert_eq!(capacity.verdict == Verdict::Improved, held == 900);
    }
    let mut elsewhere = run(500, 1.0);
    elsewhere.document.fingerprint.cores = 2;
    assert_eq!(stored(&base, &elsewhere).verdict, Verdict::Inconclusive);
}

#[test]
fn drops_on_one_side_forbid_latency_and_are_judged_themselves() {
    let options = Options { vus: Some(20), iterations: Some(2_000), ..Options::default() };
    let sample = |seed| Sample { options: options.clone(), ..Sample::seeded(seed) };
    let head = Sample { rate: 50.0, dropped: 1_000, slower: 2.0, ..sample(2) };
    let comparison = stored(&sample(1).run(), &head.run());
    let test = &comparison.tests[0];
    assert!(named(test, "p95").reason.as_ref().unwrap().contains("different loads"));
    assert!(named(test, "p95").verdict == Verdict::Inconclusive && says(test, "latency is not judged"));
    let dropped = named(test, "dropped iterations");
    assert!((0.5..0.7).contains(&dropped.change.unwrap()), "{dropped:?}");
    assert_eq!((dropped.verdict, dropped.gate), (Verdict::Regressed, false));
    assert_eq!(named(test, "throughput").verdict, Verdict::Regressed);
    assert_eq!(comparison.verdict, Verdict::Regressed);
    // A run that just missed its time is no regression: its throughput is nearly the same.
    let late = Sample { dropped: 20, ..sample(1) }.run();
    assert_eq!(stored(&sample(1).run(), &late).verdict, Verdict::Inconclusive);
}

#[test]
fn a_short_hold_is_inconclusive_and_says_how_long_it_should_be() {
    let stage = |seconds, target| Stage { duration: Duration::from_secs(seconds), target };
    let stages = |hold| Options {
        start_vus: Some(0),
        stages: Some(vec![stage(1, 100), stage(hold, 100), stage(1, 0)]),
        ..Options::default()
    };
    let sample = |seed, hold| Sample { options: stages(hold), rate: 400.0, ..Sample::seeded(seed) };
    let comparison = stored(&sample(1, 3).run(), &Sample { slower: 2.0, ..sample(2, 3) }.run());
    let test = &comparison.tests[0];
    assert_eq!(comparison.verdict, Verdict::Inconclusive);
    assert!(
        says(test, "2 and 2 whole one-second windows") && says(test, "hold the load for 9s"),
        "{test:#?}"
    );
    let p95 = named(test, "p95");
    assert!(p95.change.unwrap() > 1.5 && p95.reason.as_ref().unwrap().contains("needs 6 windows"));
    // Taking the advice is enough.
    let comparison = stored(&sample(1, 9).run(), &Sample { slower: 2.0, ..sample(2, 9) }.run());
    assert_eq!(comparison.verdict, Verdict::Regressed, "{:#?}", comparison.tests[0]);
}

#[test]
fn what_the_plan_changes_in_the_course_of_a_run_is_not_noise() {
    let stage = |seconds, target| Stage { duration: Duration::from_secs(seconds), target };
    let plan =
        |stages: Vec<Stage>| Options { start_vus: Some(20), stages: Some(stages), ..Options::default() };
    let ramp = Sample { options: plan(vec![stage(60, 200)]), drift: 6.0, ..Sample::default() };
    let staircase = Sample {
        options: plan(vec![stage(30, 20), stage(0, 80), stage(30, 80)]),
        step: 4.0,
        ..Sample::default()
    };
    for course in [ramp, staircase] {
        let run = |seed, slower| Sample { seed, slower, ..course.clone() }.run();
        let equal = stored(&run(1, 1.0), &run(2, 1.0)).tests.remove(0);
        assert_ne!(equal.verdict, Verdict::Regressed);
        let (lower, upper) = named(&equal, "p95").interval.unwrap();
        assert!(upper / lower < 1.7, "{equal:#?}");
        assert!(!says(&equal, "went from"), "{:?}", equal.reasons);
        let slow = stored(&run(1, 1.0), &run(2, 2.0)).tests.remove(0);
        assert_eq!(named(&slow, "p95").verdict, Verdict::Regressed, "{slow:#?}");
    }
}

#[test]
fn a_test_that_measured_nothing_is_inconclusive() {
    let mut empty = Sample::default().run();
    empty.tests[0] = TestData::new(empty.tests[0].document.clone(), Vec::new());
    for (base, head) in [(&empty, &empty), (&Sample::default().run(), &empty)] {
        let test = stored(base, head).tests.remove(0);
        assert_eq!(test.verdict, Verdict::Inconclusive);
        assert!(says(&test, "too short to compare"), "{test:#?}");
    }
}

#[test]
fn a_run_that_drifts_is_told() {
    let test =
        stored(&Sample::seeded(1).run(), &Sample { drift: 2.0, ..Sample::seeded(1) }.run()).tests.remove(0);
    assert!(
        says(&test, "p95 of this run went from 1 to") && !says(&test, "p95 of the baseline"),
        "{test:#?}"
    );
}

#[test]
fn new_and_missing_tests_are_told_and_fail_nothing() {
    let run = |ids: &[&str]| {
        run_of(ids.iter().map(|id| Sample { endpoints: 1, ..Sample::default() }.test(id)).collect())
    };
    let comparison = stored(&run(&["p/lib/old", "p/lib/gone"]), &run(&["p/lib/old", "p/lib/new"]));
    assert_eq!(comparison.verdict, Verdict::Unchanged);
    assert_eq!(comparison.tests[1].verdict, Verdict::NotComparable);
    assert!(says(&comparison.tests[1], "new test"));
    assert!(comparison.warnings.iter().any(|warning| warning.contains("p/lib/gone")));
    assert_eq!(stored(&run(&["a"]), &run(&["b"])).verdict, Verdict::NotComparable);
    assert_eq!(stored(&run(&["a"]), &run(&[])).verdict, Verdict::Inconclusive);
}

#[test]
fn the_most_severe_test_decides() {
    use Verdict::{Improved, Inconclusive, Invalid, NotComparable, Regressed, Unchanged};
    let mut all = [Regressed, Unchanged, Invalid, Improved, NotComparable, Inconclusive];
    all.sort_by_key(|verdict| std::cmp::Reverse(verdict.severity()));
    assert_eq!(all, [Invalid, Regressed, NotComparable, Inconclusive, Unchanged, Improved]);
}
