use super::line::age;
use super::*;
use crate::compare::{Closer, RunRecord, SideName};
use crate::report::sample;

#[test]
fn ages_are_told_in_one_unit() {
    let of = |later: &str| age("2026-05-01T10:00:00Z", later);
    assert_eq!(of("2026-05-01T10:00:01Z").as_deref(), Some("1 second old"));
    assert_eq!(of("2026-05-01T11:30:00Z").as_deref(), Some("90 minutes old"));
    assert_eq!(of("2026-05-02T10:00:00Z").as_deref(), Some("24 hours old"));
    assert_eq!(of("2026-05-04T09:00:00Z").as_deref(), Some("3 days old"));
    assert_eq!(of("2026-04-01T00:00:00Z").as_deref(), Some("newer than what is judged"));
    assert_eq!(age("yesterday", "today"), None);
}

#[test]
fn the_first_line_tells_verdict_mode_base_why_and_power() {
    let (_, _, mut duet) = sample::duet();
    insta::assert_snapshot!(first_line(&duet), @"✗ REGRESSED. errors +1.86 pp, p95 +14.2%. Duet of 6 pairs against main (the merge base of main and HEAD, 1a2b3c4, 3 days old), because main is a branch, and both sides can be built: finds changes from 5%.");
    (duet.verdict, duet.tests[0].verdict) = (Verdict::Unchanged, Verdict::Unchanged);
    insta::assert_snapshot!(first_line(&duet), @"= NO CHANGE ABOVE 10%. Duet of 6 pairs against main (the merge base of main and HEAD, 1a2b3c4, 3 days old), because main is a branch, and both sides can be built: finds changes from 5%.");
    // What "unchanged" leaves open is the widest of its tests.
    let mut other = duet.tests[0].clone();
    other.rule.equivalence = 0.2;
    duet.tests.push(other);
    assert!(first_line(&duet).starts_with("= NO CHANGE ABOVE 20%. Duet"), "{}", first_line(&duet));
}

#[test]
fn what_is_not_judged_says_why_and_what_to_do_in_the_first_line() {
    let (_, _, mut duet) = sample::duet();
    let mut as_is = |verdict, reasons: &[&str]| {
        (duet.verdict, duet.tests[0].verdict) = (verdict, verdict);
        duet.tests[0].reasons = reasons.iter().map(|text| (*text).to_owned()).collect();
        first_line(&duet)
    };
    let target = "the target is not started by this test; give it a `[service]` in loadtest.toml";
    insta::assert_snapshot!(as_is(Verdict::NotComparable, &[target]), @"– NOT VERIFIED: not comparable. The target is not started by this test; give it a `[service]` in loadtest.toml. Duet of 6 pairs against main (the merge base of main and HEAD, 1a2b3c4, 3 days old), because main is a branch, and both sides can be built.");
    insta::assert_snapshot!(as_is(Verdict::Invalid, &["CPU of the generator was at 97 %", "more"]), @"! INVALID. CPU of the generator was at 97 %. Duet of 6 pairs against main (the merge base of main and HEAD, 1a2b3c4, 3 days old), because main is a branch, and both sides can be built.");
    // The metric that is not certain comes before warnings.
    insta::assert_snapshot!(as_is(Verdict::Inconclusive, &["a warning"]), @"? NOT VERIFIED: inconclusive. endpoint p95: a change by +12.0% would have been found; about 14 runs of each side would be needed. Duet of 6 pairs against main (the merge base of main and HEAD, 1a2b3c4, 3 days old), because main is a branch, and both sides can be built.");
}

#[test]
fn of_several_tests_the_most_severe_gives_the_reason() {
    let (_, _, mut duet) = sample::duet();
    let mut invalid = duet.tests[0].clone();
    invalid.id = "shop/lib/tests::checkout".to_owned();
    invalid.verdict = Verdict::Invalid;
    invalid.reasons = vec!["too hot".to_owned()];
    duet.tests.push(invalid);
    duet.verdict = Verdict::Invalid;
    let line = first_line(&duet);
    assert!(line.starts_with("! INVALID. tests::checkout: too hot. Duet of 6 pairs"), "{line}");
}

#[test]
fn stored_sessions_name_the_command_for_a_closer_look() {
    let (_, _, mut stored) = sample::concert();
    let command = "cargo loadtest --baseline main --duet".to_owned();
    stored.closer = Some(Closer { command, minutes: 11.4 });
    insta::assert_snapshot!(first_line(&stored), @"✗ REGRESSED. errors +1.86 pp, p95 +45.5%. One stored run against one fresh run: baseline `main` (91bd02e55, 3 days old), because there is no history of `main` yet: tells changes above 25% and nothing smaller. For a closer look: `cargo loadtest --baseline main --duet` (about 12 min).");
    stored.mode = Mode::History;
    stored.base.sessions = 9;
    stored.closer = None;
    insta::assert_snapshot!(first_line(&stored), @"✗ REGRESSED. errors +1.86 pp, p95 +45.5%. One fresh run against 9 earlier sessions of baseline `main` (91bd02e55, 3 days old), because there is no history of `main` yet: finds changes from 25%.");
}

#[test]
fn hostile_texts_keep_the_first_line_one_line() {
    let (_, _, mut hostile) = sample::hostile();
    hostile.why = sample::EVIL[4].repeat(100);
    hostile.base.found = Some(sample::EVIL[3].repeat(100));
    for verdict in [Verdict::Regressed, Verdict::Inconclusive, Verdict::NotComparable, Verdict::Invalid] {
        (hostile.verdict, hostile.tests[0].verdict) = (verdict, verdict);
        let line = first_line(&hostile);
        assert!(!line.chars().any(char::is_control) && !line.contains('\u{202e}'), "{line}");
        assert!(clean::width(&line) < 900, "{}: {line}", clean::width(&line));
    }
}

#[test]
fn rows_are_finished_texts_with_p_and_raised_effect() {
    let (_, _, duet) = sample::duet();
    let rows = comparison_rows(&duet);
    let p95 = rows[0].rows.iter().find(|row| row.name == "p95").expect("judged");
    assert_eq!(
        (&*p95.change, &*p95.interval, &*p95.p, p95.mark, &*p95.verdict),
        ("+14.2%", "+11.0% … +17.5%", "<0.001", "✗", "regressed")
    );
    assert_eq!(p95.raised.as_deref(), Some("counts from 7% on here, instead of 5%"));
    assert!(rows[0].has_p && rows[0].rows.iter().any(|row| row.raised.is_none()));
    let (_, _, stored) = sample::concert();
    assert!(!comparison_rows(&stored)[0].has_p);
}

#[test]
fn changes_are_written_without_minus_zero_and_large_ones_as_multiples() {
    let ratio = |value| change_text(value, MetricKind::Latency);
    assert_eq!(
        [ratio(0.9999), ratio(1.142), ratio(23.6), ratio(f64::INFINITY)],
        ["+0.0%", "+14.2%", "×24", "×∞"]
    );
    assert_eq!(change_text(-0.000_001, MetricKind::Share), "+0.00 pp");
    assert_eq!(points(0.001), "0.1 pp");
}

#[test]
fn the_order_of_runs_is_told_once_if_all_tests_share_it() {
    let (_, _, mut duet) = sample::duet();
    let view = ComparisonView::new(&duet);
    insta::assert_snapshot!(view.order.as_deref().unwrap_or_default(), @"runs in order: h b b h (h) (b) h b b h h b b h, seed 42; those in brackets were disturbed, and their pairs made again");
    assert!(comparison_rows(&duet)[0].reasons.iter().any(|text| text.starts_with("pair 3 was made again: ")));
    let mut other = duet.tests[0].clone();
    other.id = "shop/lib/tests::checkout".to_owned();
    let record = |side, pair| RunRecord {
        test: other.id.clone(),
        side,
        pair,
        run: "r".to_owned(),
        started_at: None,
        discarded: None,
    };
    duet.order.extend([record(SideName::Head, 1), record(SideName::Base, 1)]);
    duet.tests.push(other.clone());
    assert_eq!(ComparisonView::new(&duet).order, None);
    assert_eq!(comparison_rows(&duet)[1].order.as_deref(), Some("runs in order: h b, seed 42"));
}
