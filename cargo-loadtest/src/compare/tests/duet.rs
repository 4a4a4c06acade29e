//! Duets: pairs of runs, judged pair by pair.

use loadtest_core::options::compare::GateMetric;
use loadtest_core::options::{ExecutorKind, Options};
use loadtest_core::results::{Capacity, End};

use super::super::sample::{Sample, run_of};
use super::*;
use crate::session::{RunValue, SessionSide, TestRecord};

const PAIRS: u64 = 6;

/// Runs of one side, as `change` makes them of usual ones. Sides with different `first` seeds are independent.
fn runs(first: u64, change: impl Fn(Sample) -> Sample) -> Vec<RunData> {
    (0..PAIRS).map(|place| change(Sample::of_pair(first + place)).run()).collect()
}

fn usual_runs(first: u64) -> Vec<RunData> {
    runs(first, |sample| sample)
}

fn duet(base: &[RunData], head: &[RunData]) -> Comparison {
    duet_with(base, head, &usual, &[])
}

fn duet_with(
    base: &[RunData],
    head: &[RunData],
    settings: &dyn Fn(&str) -> TestSettings,
    noise: &[Session],
) -> Comparison {
    compare(&Input {
        base: side(base.iter().collect()),
        head: side(head.iter().collect()),
        method: Method::Duet { seed: 7, order: Vec::new() },
        why: "main is a branch".to_owned(),
        settings,
        noise,
        again: String::new(),
    })
}

#[test]
fn equal_code_is_unchanged_and_every_run_is_in_the_document() {
    let comparison = duet(&usual_runs(100), &usual_runs(200));
    assert_eq!(comparison.verdict, Verdict::Unchanged, "{:#?}", comparison.tests[0]);
    assert_eq!((comparison.mode, comparison.seed, comparison.rule.min_effect), (Mode::Duet, Some(7), 0.05));
    assert_eq!(comparison.rule.session_spread, None);
    let test = &comparison.tests[0];
    assert_eq!((test.runs, test.file.as_str(), test.line), (6, "src/lib.rs", 7));
    let p95 = named(test, "p95");
    assert_eq!((p95.base_runs.len(), p95.head_runs.len()), (6, 6));
    let ratios =
        p95.base_runs.iter().zip(&p95.head_runs).map(|(base, head)| (head.unwrap() / base.unwrap()).ln());
    let mean = (ratios.sum::<f64>() / 6.0).exp();
    assert!((p95.change.unwrap() - mean).abs() < 1e-12, "the change is the mean of the pairs' log ratios");
    assert!((p95.head.unwrap() / p95.base.unwrap() - mean).abs() < 1e-12);
    let errors = named(test, "errors");
    assert_eq!((errors.verdict, errors.change), (Verdict::Unchanged, Some(0.0)));
    assert!(test.distance.unwrap().kolmogorov_smirnov < 0.1);
    serde_json::from_str::<Comparison>(&serde_json::to_string(&comparison).unwrap()).unwrap();
}

#[test]
fn ten_percent_slower_is_regressed_and_faster_is_improved() {
    let base = usual_runs(100);
    let slow = duet(&base, &runs(200, |sample| Sample { slower: 1.1, ..sample }));
    assert_eq!(slow.verdict, Verdict::Regressed);
    let p95 = named(&slow.tests[0], "p95");
    assert_eq!(p95.verdict, Verdict::Regressed);
    let (lower, upper) = p95.interval.unwrap();
    assert!(lower > 1.0 && lower < 1.1 && upper > 1.1 && p95.p.unwrap() < 0.05, "{p95:?}");
    let fast = duet(&base, &runs(200, |sample| Sample { slower: 1.0 / 1.3, ..sample }));
    assert_eq!((fast.verdict, named(&fast.tests[0], "p95").verdict), (Verdict::Unchanged, Verdict::Improved));
}

#[test]
fn a_known_shift_shows_at_every_quantile_with_its_interval() {
    let slow = duet(&usual_runs(100), &runs(200, |sample| Sample { slower: 1.25, ..sample }));
    let test = &slow.tests[0];
    let quantiles: Vec<f64> = test.shift.iter().map(|point| point.quantile).collect();
    assert_eq!(
        quantiles,
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99],
        "99.9 needs 10,000 values"
    );
    for point in &test.shift {
        let (lower, upper) = point.interval.unwrap();
        assert!(
            lower < point.ratio && point.ratio < upper && (1.15..1.36).contains(&point.ratio),
            "{point:?}"
        );
    }
    let distance = test.distance.unwrap();
    let (p50, mean) = (named(test, "p50"), named(test, "mean"));
    let moved = mean.head.unwrap() - mean.base.unwrap();
    assert!((distance.wasserstein_ms - moved).abs() < 0.1 * moved, "{distance:?} {moved}");
    assert!((0.15..0.45).contains(&distance.kolmogorov_smirnov) && p50.verdict == Verdict::Regressed);
}

#[test]
fn failing_fast_is_regressed_on_errors_and_improved_in_nothing() {
    let failing = runs(200, |sample| Sample { failures: 0.2, slower: 0.6, rate: 150.0, ..sample });
    let comparison = duet(&usual_runs(100), &failing);
    assert_eq!(comparison.verdict, Verdict::Regressed);
    let test = &comparison.tests[0];
    let errors = named(test, "errors");
    assert_eq!(errors.verdict, Verdict::Regressed);
    assert!((0.18..0.22).contains(&errors.change.unwrap()), "{errors:?}");
    assert!(test.metrics.iter().all(|metric| metric.verdict != Verdict::Improved), "{test:#?}");
    assert!(named(test, "p95").reason.as_ref().unwrap().contains("failing fast"));
    let infinite = named(test, "p95 with failures as infinite");
    assert!(infinite.reason.as_ref().unwrap().contains("infinite in head"), "{infinite:?}");
}

#[test]
fn throughput_that_collapses_is_regressed_although_latency_looks_better() {
    let base = runs(100, |sample| Sample { rate: 337.0, ..sample });
    let head = runs(200, |sample| Sample { rate: 1.66, slower: 0.4, ..sample });
    let comparison = duet(&base, &head);
    assert_eq!(comparison.verdict, Verdict::Regressed);
    let test = &comparison.tests[0];
    let throughput = named(test, "throughput");
    assert_eq!(throughput.verdict, Verdict::Regressed);
    assert!(throughput.change.unwrap() < 0.01);
    let p95 = named(test, "p95");
    assert_eq!(p95.verdict, Verdict::Inconclusive);
    assert!(p95.reason.as_ref().unwrap().contains("needs 200 successes in each run"), "{p95:?}");
    // A head that answers nothing at all has no logarithm, and is the worst of all.
    let nothing = runs(200, |sample| Sample { failures: 1.0, ..sample });
    let comparison = duet(&base, &nothing);
    assert_eq!(named(&comparison.tests[0], "throughput").verdict, Verdict::Regressed);
    assert_eq!(comparison.verdict, Verdict::Regressed);
}

#[test]
fn pairs_that_miss_a_run_are_left_out_and_three_are_too_few() {
    let base = usual_runs(100);
    let mut head = runs(200, |sample| Sample { slower: 1.3, ..sample });
    head[2].tests.clear();
    let comparison = duet(&base, &head);
    let test = &comparison.tests[0];
    assert_eq!((test.runs, comparison.verdict), (5, Verdict::Regressed));
    assert!(says(test, "pair 3 is left out: it has no run of head"), "{:?}", test.reasons);
    assert_eq!(named(test, "p95").head_runs[2], None);

    let comparison = duet(&base[..3], &head[3..]);
    let test = &comparison.tests[0];
    assert_eq!(comparison.verdict, Verdict::Inconclusive);
    let reason = named(test, "p95").reason.clone().unwrap();
    assert!(reason.contains("needs 4 pairs of runs, there are 3"), "{reason}");
}

#[test]
fn a_saturated_run_costs_its_pair_and_too_many_of_them_the_measurement() {
    let base = usual_runs(100);
    let mut head = usual_runs(200);
    head[4] = Sample { cpu: 0.95, slower: 3.0, ..Sample::of_pair(204) }.run();
    let comparison = duet(&base, &head);
    let test = &comparison.tests[0];
    assert_eq!((test.runs, comparison.verdict), (5, Verdict::Unchanged), "{test:#?}");
    assert!(says(test, "pair 5 is left out: head can't be trusted: the load generator used 95 %"));
    let p95 = named(test, "p95");
    assert_eq!((p95.base_runs[4], p95.head_runs[4], p95.base_runs.len()), (None, None, 6));

    let saturated = runs(200, |sample| Sample { cpu: 0.95, slower: 3.0, ..sample });
    for (base, head) in [(&base, &saturated), (&saturated, &base)] {
        let comparison = duet(base, head);
        let test = &comparison.tests[0];
        assert_eq!(comparison.verdict, Verdict::Invalid);
        assert!(says(test, "0 of 6 pairs can be used, and 4 are needed"), "{:?}", test.reasons);
        let p95 = named(test, "p95");
        assert!(p95.change.is_some() && p95.p.is_none() && p95.verdict == Verdict::Invalid);
    }
}

#[test]
fn drops_on_one_side_forbid_latency_and_are_judged_themselves() {
    let options = Options {
        executor: Some(ExecutorKind::ConstantArrivalRate),
        rate: Some(20),
        duration: Some(std::time::Duration::from_secs(60)),
        pre_allocated_vus: Some(20),
        ..Options::default()
    };
    let open = |sample: Sample| Sample { options: options.clone(), ..sample };
    let base = runs(100, open);
    let head = runs(200, |sample| Sample { dropped: 60, slower: 0.5, ..open(sample) });
    let comparison = duet(&base, &head);
    let test = &comparison.tests[0];
    assert_eq!(comparison.verdict, Verdict::Regressed, "{test:#?}");
    assert!(
        says(test, "latency is not judged") && test.metrics.iter().all(|metric| metric.name != "throughput")
    );
    let dropped = named(test, "dropped iterations");
    assert_eq!((dropped.verdict, dropped.gate), (Verdict::Regressed, true));
    assert!((0.03..0.07).contains(&dropped.change.unwrap()), "{dropped:?}");
    assert_eq!(named(test, "p95").verdict, Verdict::Inconclusive);
}

#[test]
fn gates_that_are_named_decide_alone() {
    let slow_throughput = runs(200, |sample| Sample { rate: 50.0, ..sample });
    let base = usual_runs(100);
    assert_eq!(duet(&base, &slow_throughput).verdict, Verdict::Regressed);
    let settings = |_: &str| TestSettings {
        gate: vec![GateMetric::P50, GateMetric::EndpointP95],
        ..TestSettings::default()
    };
    let comparison = duet_with(&base, &slow_throughput, &settings, &[]);
    let test = &comparison.tests[0];
    assert_eq!(comparison.verdict, Verdict::Unchanged, "{test:#?}");
    let gates: Vec<&str> =
        test.metrics.iter().filter(|metric| metric.gate).map(|metric| &*metric.name).collect();
    assert_eq!(gates, ["p50"]);
    assert!(test.metrics[0].gate && named(test, "throughput").verdict == Verdict::Regressed);
    assert!(says(test, "`gate` names endpoint p95, which this test does not have"), "{:?}", test.reasons);
}

#[test]
fn settings_of_a_test_hold_for_it_alone() {
    let tests = |first: u64, slower: f64| -> Vec<RunData> {
        let test = |id: &str, seed: u64| Sample { slower, ..Sample::of_pair(seed) }.test(id);
        (0..PAIRS)
            .map(|pair| run_of(vec![test("p/lib/a", first + pair), test("p/lib/b", first + 50 + pair)]))
            .collect()
    };
    let settings = |id: &str| match id {
        "p/lib/b" => {
            TestSettings { min_effect: Some(0.5), equivalence: Some(0.6), ..TestSettings::default() }
        }
        _ => TestSettings::default(),
    };
    let comparison = duet_with(&tests(100, 1.0), &tests(300, 1.2), &settings, &[]);
    let [a, b] = comparison.tests.as_slice() else { panic!("{comparison:#?}") };
    assert_eq!((a.verdict, b.verdict), (Verdict::Regressed, Verdict::Unchanged), "{b:#?}");
    assert_eq!((a.rule.min_effect, b.rule.min_effect, b.rule.equivalence), (0.05, 0.5, 0.6));
    let strict = |_: &str| TestSettings { alpha: Some(1e-9), ..TestSettings::default() };
    let comparison = duet_with(&tests(100, 1.0), &tests(300, 1.2), &strict, &[]);
    assert_eq!(comparison.verdict, Verdict::Inconclusive);
    assert_eq!(comparison.tests[0].rule.alpha, 1e-9);
}

#[test]
fn more_tests_make_a_larger_family() {
    let of = |first: u64, ids: &[&str], slower: f64| -> Vec<RunData> {
        let test = |at: usize, id: &str, pair: u64| {
            // The first test is slower, the others are equal.
            let slower = if at == 0 { slower } else { 1.0 };
            Sample { slower, ..Sample::of_pair(first + 50 * at as u64 + pair) }.test(id)
        };
        let tests = |pair| ids.iter().enumerate().map(|(at, id)| test(at, id, pair)).collect();
        (0..PAIRS).map(|pair| run_of(tests(pair))).collect()
    };
    let p = |ids: &[&str]| {
        let comparison = duet(&of(1_000, ids, 1.0), &of(3_000, ids, 1.1));
        named(&comparison.tests[0], "p95").p.unwrap()
    };
    let (alone, with_others) = (p(&["a"]), p(&["a", "b", "c", "d"]));
    // p95, throughput (and nothing of errors, of which there are none) of each test.
    assert!((with_others / alone - 4.0).abs() < 1e-6, "{alone} {with_others}");
}

#[test]
fn tests_that_ran_one_after_the_other_each_have_their_pairs() {
    let of = |first: u64, id: &str, slower: f64| -> Vec<RunData> {
        let run = |pair| run_of(vec![Sample { slower, ..Sample::of_pair(first + pair) }.test(id)]);
        (0..4).map(run).collect()
    };
    let base = [of(100, "a", 1.0), of(200, "b", 1.0)].concat();
    let head = [of(300, "a", 1.0), of(400, "b", 1.3)].concat();
    let comparison = duet(&base, &head);
    let verdicts: Vec<_> =
        comparison.tests.iter().map(|test| (test.id.as_str(), test.runs, test.verdict)).collect();
    assert_eq!(verdicts, [("a", 4, Verdict::Unchanged), ("b", 4, Verdict::Regressed)]);
    assert!(comparison.tests.iter().all(|test| test.reasons.is_empty()), "{comparison:#?}");
}

#[test]
fn a_run_that_crashed_on_either_side_makes_the_sides_not_comparable() {
    let sound = usual_runs(100);
    let mut crashed = usual_runs(200);
    crashed[1].tests[0].document.outcome.end = End::Crashed { reason: "signal 11".to_owned() };
    crashed[1].tests[0].document.outcome.workloads.clear();
    for (base, head, what) in [
        (&sound, &crashed, "1 of the 6 runs of head crashed: only whole runs are compared"),
        (&crashed, &sound, "1 of the 6 runs of base crashed"),
    ] {
        let test = duet(base, head).tests.remove(0);
        assert_eq!(test.verdict, Verdict::NotComparable);
        assert!(says(&test, what) && !says(&test, "save"), "{:?}", test.reasons);
    }
}

#[test]
fn a_test_that_only_head_has_fails_nothing() {
    let base: Vec<RunData> = usual_runs(100)
        .into_iter()
        .map(|mut run| {
            run.tests.clear();
            run
        })
        .collect();
    let comparison = duet(&base, &usual_runs(200));
    assert_eq!(comparison.verdict, Verdict::NotComparable);
    assert!(says(&comparison.tests[0], "a new test, which base does not have"));
}

#[test]
fn a_comparison_that_can_t_tell_says_what_it_would_take() {
    let noisy = |first| runs(first, |sample| Sample { between: 0.12, ..sample });
    let comparison = duet(&noisy(100), &noisy(200));
    let test = &comparison.tests[0];
    assert_eq!(comparison.verdict, Verdict::Inconclusive);
    let p95 = named(test, "p95");
    let needed = p95.runs_needed.unwrap();
    let reason = p95.reason.as_ref().unwrap();
    assert!(needed > 50 && reason.contains("too noisy"), "{needed} {reason}");
    assert!(p95.detectable.unwrap() > 1.05);
    // A little noisy: a number that can be made.
    let noisy = |first| runs(first, |sample| Sample { between: 0.045, ..sample });
    let comparison = duet(&noisy(100), &noisy(200));
    let open: Vec<&MetricComparison> = comparison.tests[0]
        .metrics
        .iter()
        .filter(|metric| metric.runs_needed.is_some_and(|needed| (7..=48).contains(&needed)))
        .collect();
    assert!(!open.is_empty(), "{:#?}", comparison.tests[0]);
    for metric in open {
        let reason = metric.reason.as_ref().unwrap();
        let runs: u32 = reason.split("`--runs ").nth(1).unwrap().split('`').next().unwrap().parse().unwrap();
        assert!(runs >= metric.runs_needed.unwrap() && runs.is_multiple_of(2), "{reason}");
        assert!(reason.contains("would find 5 %"), "{reason}");
    }
    assert!(says(&comparison.tests[0], "would tell"), "{:?}", comparison.tests[0].reasons);
}

/// An earlier duet whose pairs' p95 differ by ± this log ratio.
fn earlier(place: usize, log_ratio: f64, fresh: &RunData) -> Session {
    let document = &fresh.tests[0].document;
    let value = |log: f64| {
        let p95 =
            RunValue { kind: MetricKind::Latency, gate: true, value: Some(10.0 * log.exp()), events: None };
        std::collections::BTreeMap::from([("p95".to_owned(), p95)])
    };
    let pairs = [log_ratio, -log_ratio, log_ratio, -log_ratio];
    let side =
        || SessionSide { revision: fresh.document.revision.clone(), runs: vec![format!("earlier-{place}")] };
    Session {
        schema_version: crate::session::SCHEMA_VERSION,
        id: format!("earlier-{place}"),
        tool_version: String::new(),
        started_at: format!("2026-06-{:02}T00:00:00Z", place + 1),
        fingerprint: fresh.document.fingerprint.clone(),
        profile: fresh.document.profile.clone(),
        saved_as: None,
        base: Some(side()),
        head: side(),
        tests: vec![TestRecord {
            id: document.id.clone(),
            workers: 2,
            workload_hash: document.workload_hash.clone(),
            body_hashes: Default::default(),
            invalid: Vec::new(),
            base: pairs.iter().map(|_| value(0.0)).collect(),
            head: pairs.iter().map(|log| value(*log)).collect(),
        }],
    }
}

#[test]
fn noise_of_earlier_duets_raises_the_smallest_change_that_counts_but_no_more_than_twofold() {
    let (base, head) = (usual_runs(100), runs(200, |sample| Sample { slower: 1.07, ..sample }));
    let p95 = |noise: &[Session]| {
        let test = duet_with(&base, &head, &usual, noise).tests.remove(0);
        let note = test.reasons.iter().find(|reason| reason.starts_with("p95: the smallest change")).cloned();
        (named(&test, "p95").min_effect, named(&test, "p95").verdict, note)
    };
    let duets = |log_ratio: f64, n: usize| -> Vec<Session> {
        (0..n).map(|place| earlier(place, log_ratio, &head[0])).collect()
    };
    assert_eq!(p95(&[]), (0.05, Verdict::Regressed, None));
    assert_eq!(p95(&duets(0.09, 2)).0, 0.05, "two duets teach nothing");
    assert_eq!(p95(&duets(0.01, 5)).0, 0.05, "quiet duets lower nothing");
    // Four pairs of ±x have the variance 4x²/3; the mean of six pairs of that has the error 2x/√18.
    let (floor, _, note) = p95(&duets(0.09, 5));
    assert!((floor - (4.0 * 0.09 / 18f64.sqrt()).exp_m1()).abs() < 1e-9, "{floor}");
    let note = note.unwrap();
    assert!(note.contains("is 8.9 % here") && note.contains("5 earlier duets"), "{note}");
    let (floor, verdict, note) = p95(&duets(0.5, 5));
    assert_eq!((floor, verdict == Verdict::Regressed), (0.10, false));
    assert!(note.unwrap().contains("twice what is asked for is the limit"));
    // Duets of another load or machine teach nothing.
    let mut other = duets(0.09, 5);
    other.iter_mut().for_each(|session| session.fingerprint.cores = 2);
    assert_eq!(p95(&other).0, 0.05);
    let mut other = duets(0.09, 5);
    other.iter_mut().for_each(|session| session.tests[0].workload_hash = "other".to_owned());
    assert_eq!(p95(&other).0, 0.05);
}

#[test]
fn a_fast_endpoint_that_triples_regresses_and_endpoints_have_equal_weight() {
    let endpoints = |sample: Sample| Sample { endpoints: 3, ..sample };
    let head = runs(200, |sample| Sample { first_slower: 3.0, ..endpoints(sample) });
    let test = duet(&runs(100, endpoints), &head).tests.remove(0);
    let mean = named(&test, "endpoint p95");
    assert_eq!(mean.verdict, Verdict::Regressed);
    assert!((mean.change.unwrap() / 3f64.cbrt() - 1.0).abs() < 0.1, "{mean:?}");
    assert_ne!(named(&test, "p95").verdict, Verdict::Regressed);
    assert_eq!(named(&test, "p95 GET /page/0").verdict, Verdict::Regressed);
    assert!(test.metrics.iter().all(|metric| metric.name != "p95 GET /page/2"));
}

#[test]
fn a_drift_within_most_runs_is_told_once_for_the_side() {
    let head = runs(200, |sample| Sample { drift: 2.0, ..sample });
    let test = duet(&usual_runs(100), &head).tests.remove(0);
    let told = test.reasons.iter().filter(|reason| reason.contains("in the course of the run")).count();
    assert!(told == 1 && says(&test, "p95 of head went from 1 to"), "{:?}", test.reasons);
}

#[test]
fn capacities_are_compared_pair_by_pair_and_count_from_a_step_on() {
    let options = Options {
        executor: Some(ExecutorKind::FindCapacity),
        start_rate: Some(100),
        max_rate: Some(1_000),
        step: Some(50),
        probe_duration: Some(std::time::Duration::from_secs(10)),
        pre_allocated_vus: Some(20),
        thresholds: vec!["http_req_duration: p(95)<500ms".parse().unwrap()],
        ..Options::default()
    };
    let searches = |held: [u64; 6]| -> Vec<RunData> {
        let run = |held: u64| {
            let mut run = Sample { options: options.clone(), rate: 5.0, ..Sample::of_pair(held) }.run();
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
        held.into_iter().map(run).collect()
    };
    let base = searches([700, 700, 750, 700, 700, 750]);
    for (held, expected) in [
        ([600, 600, 600, 650, 600, 600], Verdict::Regressed),
        ([700, 750, 700, 700, 700, 700], Verdict::Unchanged),
        ([650, 650, 700, 650, 700, 700], Verdict::Inconclusive),
    ] {
        let comparison = duet(&base, &searches(held));
        let test = &comparison.tests[0];
        assert_eq!(comparison.verdict, expected, "{test:#?}");
        let capacity = named(test, "capacity");
        assert!(capacity.base_runs.len() == 6 && says(test, "by its capacity alone"), "{capacity:?}");
    }
}
