//! Trends of series whose shape is known.

use std::collections::BTreeMap;

use loadtest_core::results::{Fingerprint, Revision};

use super::*;
use crate::compare::MetricKind;
use crate::session::{RunValue, SessionSide, TestRecord};

const ID: &str = "concert/lib::tests::reserve_seat";

/// A session of two runs, some percent apart.
fn session(number: usize, p95: f64) -> Session {
    let run = |factor: f64| {
        let latency =
            |value: f64, gate| RunValue { kind: MetricKind::Latency, gate, value: Some(value), events: None };
        let errors =
            RunValue { kind: MetricKind::Share, gate: true, value: Some(0.01), events: Some((1, 100)) };
        BTreeMap::from([
            ("p95".to_owned(), latency(p95 * factor, true)),
            ("p99".to_owned(), latency(p95 * 2.0 * factor, false)),
            ("errors".to_owned(), errors),
        ])
    };
    Session {
        schema_version: 1,
        id: format!("s{number:03}"),
        tool_version: "0.1.0".to_owned(),
        started_at: format!("2026-{:02}-{:02}T10:00:00Z", 1 + number / 28, 1 + number % 28),
        fingerprint: Fingerprint {
            cpu: "A CPU".to_owned(),
            cores: 2,
            memory_bytes: 1 << 33,
            ..Fingerprint::default()
        },
        profile: "loadtest".to_owned(),
        saved_as: Some("main".to_owned()),
        base: None,
        head: SessionSide {
            revision: Revision { commit: Some(format!("{number:040x}")), branch: None, dirty: false },
            runs: vec![format!("s{number:03}"), format!("t{number:03}")],
        },
        tests: vec![TestRecord {
            id: ID.to_owned(),
            workers: 2,
            workload_hash: "4e5f6a7b8c".to_owned(),
            body_hashes: BTreeMap::new(),
            invalid: Vec::new(),
            base: Vec::new(),
            head: vec![run(0.99), run(1.0 / 0.99)],
        }],
    }
}

/// Values that wobble by some percent, and are `after` times as large from the place `step` on.
fn sessions(count: usize, step: usize, after: f64) -> Vec<Session> {
    let wobble = |n: usize| 1.0 + 0.01 * ((n * 7 % 5) as f64 - 2.0);
    (0..count).map(|n| session(n, 20.0 * wobble(n) * if n < step { 1.0 } else { after })).collect()
}

fn only(view: &TrendView, name: &str) -> Series {
    view.machines[0].metrics.iter().find(|series| series.name == name).expect("is there").clone()
}

#[test]
fn a_step_is_found_where_it_is_and_a_flat_series_has_none() {
    let stepped = view(&sessions(24, 15, 1.2), ID, None, None, None).expect("views");
    let p95 = only(&stepped, "p95");
    assert_eq!(p95.changes.iter().map(|change| change.index).collect::<Vec<_>>(), [15]);
    let change = p95.changes[0];
    assert!((change.after / change.before - 1.2).abs() < 0.02, "{change:?}");
    assert!((p95.points[15].change.expect("has one") - 1.2).abs() < 0.05, "{:?}", p95.points[15]);
    assert_eq!(p95.points[0].change, None);
    assert!((p95.points[2].value.expect("has one") - 20.4).abs() < 0.3, "{:?}", p95.points[2]);
    assert_eq!((p95.points[0].runs, only(&stepped, "errors").points[0].value), (2, Some(0.01)));
    assert!(only(&stepped, "errors").changes.is_empty());

    let flat = view(&sessions(24, 99, 1.0), ID, None, None, None).expect("views");
    assert!(flat.machines[0].metrics.iter().all(|series| series.changes.is_empty()));
    let text = text::show(&flat, 72);
    assert!(!text.contains('┊') && text.contains("2026-01-01 10:00"), "{text}");
    let text = text::show(&stepped, 72);
    assert!(text.contains("┊ changed") && text.contains("a place to look at, not a verdict"), "{text}");
}

#[test]
fn what_can_not_be_trusted_is_shown_and_starts_no_change() {
    let mut all = sessions(20, 99, 1.0);
    for session in &mut all[12..] {
        session.tests[0].invalid = vec!["the generator was saturated".to_owned()];
        for run in &mut session.tests[0].head {
            run.get_mut("p95").expect("is there").value = Some(200.0);
        }
    }
    let view = view(&all, ID, Some("p95"), None, None).expect("views");
    let p95 = only(&view, "p95");
    assert!(p95.changes.is_empty() && p95.points.len() == 20);
    assert!(text::show(&view, 100).contains("× the generator was saturated"));
    let page = crate::report::trend::page(&view).expect("renders");
    assert!(page.contains(r#"class="doubtful""#), "shown apart");
}

#[test]
fn other_machines_and_loads_are_lines_of_their_own() {
    let mut all = sessions(12, 99, 1.0);
    for session in &mut all[0..4] {
        session.fingerprint.cpu = "Another CPU".to_owned();
    }
    for session in &mut all[4..8] {
        session.tests[0].workload_hash = "0000".to_owned();
    }
    // What the kernel keeps for itself differs from boot to boot.
    all[9].fingerprint.memory_bytes += 1 << 20;
    let view = view(&all, ID, None, None, None).expect("views");
    let sessions: Vec<usize> = view.machines.iter().map(|machine| machine.sessions).collect();
    assert_eq!(sessions, [4, 4, 4]);
    assert_eq!(view.machines[0].machine.cpu, "A CPU", "that of the latest session first");
    assert_eq!(view.machines[2].machine.cpu, "Another CPU");
    let text = text::show(&view, 72);
    assert!(text.contains("Another CPU, 2 cores") && text.contains("load 0000;"), "{text}");
}

#[test]
fn metrics_and_sessions_are_chosen() {
    let all = sessions(10, 99, 1.0);
    let names = |metric| {
        let view = view(&all, ID, metric, None, Some(3)).expect("views");
        let series = view.machines[0].metrics.clone();
        assert!(series.iter().all(|series| series.points.len() == 3));
        series.into_iter().map(|series| series.name).collect::<Vec<_>>()
    };
    assert_eq!(names(None), ["errors", "p95"]);
    assert_eq!(names(Some("p99")), ["p99"]);
    let error = view(&all, ID, Some("p96"), None, None).expect_err("no such").to_string();
    assert!(error.contains("p96") && error.contains("hint: "), "{error}");
    assert_eq!(find_test(&all, "reserve").expect("one"), ID);
    let mut two = session(1, 1.0);
    two.tests[0].id = "concert/lib::tests::reserve_seats".to_owned();
    let two = [session(0, 1.0), two];
    assert!(find_test(&two, "reserve").expect_err("two").error.to_string().contains("2 tests"));
    assert_eq!(find_test(&two, ID).expect("exact"), ID);
    assert_eq!(find_test(&two, "seets").expect_err("none").code, ExitCode::NoTests);
}

#[test]
fn the_page_has_every_chart_and_obeys_no_name() {
    let hostile = "x::<script>alert(1)</script>\u{1b}[2J";
    let mut all = sessions(24, 15, 1.3);
    for session in &mut all {
        session.tests[0].id = hostile.to_owned();
        session.fingerprint.cpu = "<img src=x onerror=1>".to_owned();
    }
    all[3].started_at = "<b>yesterday</b>".to_owned();
    all[3].tests[0].invalid = vec!["</td><script>".to_owned()];
    let view = view(&all, hostile, None, Some("main"), None).expect("views");
    let page = crate::report::trend::page(&view).expect("renders");
    for forbidden in ["<script", "<img", "<b>yesterday", "\u{1b}", "onerror=1>"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("default-src 'none'") && page.contains("prefers-color-scheme:dark"));
    assert_eq!(page.matches("<polyline class=\"line\"").count(), 2);
    assert!(page.contains(r#"<line class="change""#) && page.contains(r#"<line class="level""#));
    assert!(page.len() < 200_000, "{}", page.len());
    let text = text::show(&view, 72);
    assert!(!text.contains('\u{1b}'), "{text}");
    if let Some(directory) = std::env::var_os("LOADTEST_REPORT_DUMP") {
        std::fs::write(std::path::Path::new(&directory).join("trend.html"), page).expect("writes");
    }
}

#[test]
fn the_document_says_what_the_chart_shows() {
    let view = view(&sessions(24, 15, 1.2), ID, Some("p95"), None, None).expect("views");
    let value = serde_json::to_value(&view).expect("writes");
    assert_eq!(value["schema_version"], 1);
    let series = &value["machines"][0]["metrics"][0];
    assert_eq!((&series["kind"], &series["changes"][0]["index"]), (&"latency".into(), &15.into()));
    assert_eq!(series["points"].as_array().map(Vec::len), Some(24));
}
