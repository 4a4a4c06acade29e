//! Fresh sessions against a history, several runs a side, and what a session keeps.

use super::super::sample::{Sample, run_of};
use super::*;
use crate::session::SessionSide;

/// A session of these runs, as it is filed.
fn session(place: u64, runs: &[RunData]) -> Session {
    let first = &runs[0].document;
    Session {
        schema_version: crate::session::SCHEMA_VERSION,
        id: format!("session-{place}"),
        tool_version: String::new(),
        started_at: format!("2026-06-{:02}T00:00:00Z", place + 1),
        fingerprint: first.fingerprint.clone(),
        profile: first.profile.clone(),
        saved_as: Some("main".to_owned()),
        base: None,
        head: SessionSide { revision: first.revision.clone(), runs: vec![format!("session-{place}")] },
        tests: records(&[], &runs.iter().collect::<Vec<_>>()),
    }
}

fn sessions(n: u64) -> Vec<Session> {
    (0..n)
        .map(|place| session(place, &[Sample { between: 0.02, ..Sample::seeded(500 + place) }.run()]))
        .collect()
}

fn fresh(seed: u64, slower: f64) -> RunData {
    Sample { between: 0.02, slower, ..Sample::seeded(seed) }.run()
}

fn against(history: &[Session], base: &[RunData], head: &RunData) -> Comparison {
    compare(&Input {
        base: side(base.iter().collect()),
        head: side(vec![head]),
        method: Method::History(history),
        why: "main is saved".to_owned(),
        settings: &usual,
        noise: &[],
        again: "--save-baseline main".to_owned(),
    })
}

#[test]
fn eight_sessions_tell_a_fifth_from_chance() {
    let history = sessions(8);
    let head = fresh(1, 1.0);
    assert_eq!(comparable_sessions(&history, &[&head]).len(), FEWEST_SESSIONS);
    let comparison = against(&history, &[], &head);
    let test = &comparison.tests[0];
    assert_ne!(comparison.verdict, Verdict::Regressed, "{test:#?}");
    assert_eq!(
        (comparison.mode, test.rule.min_effect, test.rule.session_spread),
        (Mode::History, 0.05, None)
    );
    let slow = against(&history, &[], &fresh(2, 1.3));
    assert_eq!(slow.verdict, Verdict::Regressed, "{:#?}", slow.tests[0]);
    let p95 = named(&slow.tests[0], "p95");
    assert_eq!((p95.verdict, p95.base_runs.len(), p95.head_runs.len()), (Verdict::Regressed, 8, 1));
    assert!((1.2..1.42).contains(&p95.change.unwrap()), "{p95:?}");
    assert_eq!(named(&slow.tests[0], "endpoint p95").verdict, Verdict::Regressed);
    assert_eq!(named(&slow.tests[0], "errors").verdict, Verdict::Unchanged);
    assert!(p95.runs_needed.is_none() && slow.tests[0].shift.is_empty());
    // With the runs of the baseline at hand there is a shift function, without intervals.
    let shown = against(&history, &[fresh(3, 1.0)], &fresh(2, 1.3));
    assert!(!shown.tests[0].shift.is_empty());
    assert!(shown.tests[0].shift.iter().all(|point| point.interval.is_none()));
}

#[test]
fn seven_sessions_are_judged_by_the_stored_rule_or_not_at_all() {
    let history = sessions(7);
    let slow = fresh(2, 1.15);
    let comparison = against(&history, &[fresh(3, 1.0)], &slow);
    let test = &comparison.tests[0];
    assert_ne!(comparison.verdict, Verdict::Regressed);
    assert_eq!((test.rule.min_effect, test.rule.session_spread), (0.25, Some(0.05)));
    assert!(
        says(test, "judged as one stored session against another: 7 earlier sessions"),
        "{:?}",
        test.reasons
    );
    assert_eq!(against(&history, &[fresh(3, 1.0)], &fresh(2, 2.0)).verdict, Verdict::Regressed);
    let comparison = against(&history, &[], &slow);
    let test = &comparison.tests[0];
    assert_eq!(comparison.verdict, Verdict::Inconclusive);
    assert!(
        says(test, "7 earlier sessions") && says(test, "save 1 more with --save-baseline main"),
        "{:?}",
        test.reasons
    );
}

#[test]
fn sessions_of_another_machine_load_or_profile_and_untrusted_ones_do_not_count() {
    let (sound, head) = (sessions(8), fresh(1, 1.0));
    let changes: [fn(&mut Session); 6] = [
        |session| session.fingerprint.cores = 4,
        |session| session.profile = "dev".to_owned(),
        |session| session.tests[0].workload_hash = "other".to_owned(),
        |session| session.tests[0].invalid.push("saturated".to_owned()),
        |session| session.tests[0].id = "other".to_owned(),
        |session| session.head.runs = vec!["20260701T101112Z-abcdef0-1".to_owned()],
    ];
    for (place, change) in changes.iter().enumerate() {
        let mut history = sound.clone();
        change(&mut history[3]);
        assert_eq!(comparable_sessions(&history, &[&head]).len(), 7, "change {place}");
        assert_eq!(against(&history, &[], &head).verdict, Verdict::Inconclusive, "change {place}");
    }
    let mut history = sound;
    history.iter_mut().for_each(|session| session.fingerprint.kernel = "newer".to_owned());
    assert_eq!(comparable_sessions(&history, &[&head]).len(), 8);
}

#[test]
fn a_changed_body_warns_and_a_new_test_fails_nothing() {
    let history = sessions(8);
    let mut head = fresh(1, 1.0);
    head.tests[0].document.definitions[0].body_hash = "other".to_owned();
    let test = against(&history, &[], &head).tests.remove(0);
    assert!(says(&test, "the code of browse has changed since the baseline"), "{:?}", test.reasons);
    let new = run_of(vec![Sample { endpoints: 1, ..Sample::default() }.test("p/lib/new")]);
    let comparison = against(&history, &[], &new);
    assert_eq!(comparison.verdict, Verdict::NotComparable);
    assert!(says(&comparison.tests[0], "a new test, which the baseline does not have"));
}

#[test]
fn head_that_fails_or_drops_is_told_from_the_history() {
    let history = sessions(8);
    let failing =
        Sample { failures: 0.2, slower: 0.5, rate: 150.0, between: 0.02, ..Sample::seeded(2) }.run();
    let comparison = against(&history, &[], &failing);
    let test = &comparison.tests[0];
    assert_eq!(comparison.verdict, Verdict::Regressed);
    assert_eq!(named(test, "errors").verdict, Verdict::Regressed);
    assert!(test.metrics.iter().all(|metric| metric.verdict != Verdict::Improved), "{test:#?}");
    let saturated = Sample { cpu: 0.95, ..Sample::seeded(2) }.run();
    assert_eq!(against(&history, &[], &saturated).verdict, Verdict::Invalid);
}

#[test]
fn a_session_keeps_every_metric_of_every_run() {
    let run = Sample::seeded(1).run();
    let record = records(&[], &[&run, &run]).remove(0);
    assert_eq!((record.head.len(), record.base.len(), record.workload_hash.as_str()), (2, 0, "w"));
    assert_eq!(record.head[0], record.head[1]);
    let shown = stored(&run, &run);
    for name in ["p95", "endpoint p95", "throughput", "p50", "p99", "mean"] {
        let (kept, shown) = (&record.head[0][name], named(&shown.tests[0], name));
        assert_eq!((kept.value, kept.kind, kept.gate), (shown.head, shown.kind, shown.gate), "{name}");
    }
    let errors = &record.head[0]["errors"];
    assert!(errors.events.is_some_and(|(events, trials)| events == 0 && trials > 5_000), "{errors:?}");
    assert!(record.head[0].contains_key("p95 GET /page/3"));
    assert_eq!(record.body_hashes.get("browse").map(String::as_str), Some("b"));
}

#[test]
fn a_session_says_why_its_numbers_can_t_be_trusted() {
    let sound = Sample::of_pair(1).run();
    let saturated = Sample { cpu: 0.95, ..Sample::of_pair(2) }.run();
    assert!(records(&[], &[&sound])[0].invalid.is_empty());
    assert!(records(&[], &[&saturated])[0].invalid[0].contains("load generator"));
    let mut crashed = Sample::of_pair(3).run();
    crashed.tests[0].document.outcome.end = loadtest_core::results::End::Crashed { reason: String::new() };
    assert_eq!(records(&[], &[&sound, &crashed])[0].invalid, ["crashed"]);
    // One bad pair of a duet is left out, and the places of the others stay.
    let base = [&sound; 5];
    let record = records(&base, &[&sound, &saturated, &sound, &sound, &sound]).remove(0);
    assert!(record.invalid.is_empty() && record.base.len() == 5, "{:?}", record.invalid);
    assert!(record.base[1].is_empty() && record.head[1].is_empty() && !record.head[2].is_empty());
    let record = records(&base[..4], &[&sound, &saturated, &sound, &sound]).remove(0);
    assert!(!record.invalid.is_empty());
}

#[test]
fn several_stored_runs_a_side_count_as_one_session_each() {
    let runs = |seeds: std::ops::Range<u64>, slower: f64| -> Vec<RunData> {
        seeds.map(|seed| Sample { slower, ..Sample::of_pair(seed) }.run()).collect()
    };
    let judged = |base: &[RunData], head: &[RunData]| {
        compare(&Input {
            base: side(base.iter().collect()),
            head: side(head.iter().collect()),
            method: Method::Stored,
            why: String::new(),
            settings: &usual,
            noise: &[],
            again: String::new(),
        })
    };
    let (base, head) = (runs(1..5, 1.0), runs(11..14, 2.0));
    let comparison = judged(&base, &head);
    assert_eq!(comparison.verdict, Verdict::Regressed);
    let test = &comparison.tests[0];
    let p95 = named(test, "p95");
    assert_eq!((p95.base_runs.len(), p95.head_runs.len(), test.runs), (4, 3, 3));
    let mean = |runs: &[Option<f64>]| {
        (runs.iter().map(|value| value.unwrap().ln()).sum::<f64>() / runs.len() as f64).exp()
    };
    assert!((p95.base.unwrap() - mean(&p95.base_runs)).abs() < 1e-9);
    assert!((p95.change.unwrap() - mean(&p95.head_runs) / mean(&p95.base_runs)).abs() < 1e-9);
    // However many runs there are, two sessions differ by what is assumed.
    let (lower, upper) = p95.interval.unwrap();
    assert!((upper / lower).ln() > 2.0 * 1.96 * 0.05 * 2f64.sqrt(), "{p95:?}");
    let errors = named(test, "errors");
    assert_eq!(errors.verdict, Verdict::Unchanged);
    assert_eq!(judged(&base, &runs(21..24, 1.0)).verdict, Verdict::Unchanged);
}

#[test]
fn asking_one_stored_session_for_less_than_it_can_tell_is_said() {
    let settings = |_: &str| TestSettings { min_effect: Some(0.05), ..TestSettings::default() };
    let (base, head) = (Sample::seeded(1).run(), Sample::seeded(2).run());
    let comparison = compare(&Input {
        base: side(vec![&base]),
        head: side(vec![&head]),
        method: Method::Stored,
        why: String::new(),
        settings: &settings,
        noise: &[],
        again: String::new(),
    });
    assert_eq!(comparison.tests[0].rule.min_effect, 0.25);
    assert!(says(&comparison.tests[0], "one stored session can't tell less"));
}
