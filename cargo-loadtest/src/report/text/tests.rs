use loadtest_core::results::{End, ErrorOutcome, ScenarioState};

use super::*;
use crate::compare::Verdict;
use crate::report::sample;

fn plain(run: &RunData) -> String {
    summary(run, None, &TextOptions::default())
}

fn run_of(test: TestData) -> RunData {
    sample::run("r", "2026-05-04T10:15:00Z", vec![test], 99)
}

fn small() -> TestData {
    sample::test(&sample::Recipe { rate: 60.0, errors: 0.0, ..sample::recipe() })
}

/// The first lines, which a user reads before anything else.
fn head(text: &str, lines: usize) -> String {
    text.lines().take(lines).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_summary_is_one_that_k6_users_know() {
    let (run, _, comparison) = sample::concert();
    let text = summary(&run, Some(&comparison), &TextOptions::default());
    insta::assert_snapshot!(text, @r#"
    ✗ REGRESSED. errors +1.86 pp, p95 +45.5%. One stored run against one fresh run: baseline `main` (91bd02e55, 3 days old), because there is no history of `main` yet: tells changes above 25% and nothing smaller.

    ✗ FAILED: threshold failed: http_req_failed: rate<0.01 (was 2.25%)
      concert/concert/tests::reserve_seat
      reserve_seat: ramping-vus: from 1 VU through 1s:100, 3s:100, 1s:0 over 5s
      warning: the machine has 2 cores: service and generator share them
      warning: More than 1% failed, and failures were faster than successes: fast failures flatter the percentiles of all requests. Read those of successes.

      ERRORS
        41× http: seat 17 is taken: 409 Conflict
            in reserve_seat at src/lib.rs:120:9, first after 0.4s
        21× iteration: payment was refused
            in reserve_seat at src/lib.rs:121:9, first after 1.4s

      THRESHOLDS
        ✓ http_req_duration: p(95)<500ms  66.0ms  87% to spare
        ✗ http_req_failed: rate<0.01       2.25%  125% beyond the limit
        ✓ checks: rate>0.9                99.14%  10% to spare

      CHECKS
        ✓ schedules listed             100.00%  ✓ 348
        ✓ token issued                 100.00%  ✓ 349
        ✗ booking › payment accepted    99.71%  ✓ 345  ✗ 1
        ✗ booking › seat reserved       95.97%  ✓ 333  ✗ 14
        ✓ booking › seats listed       100.00%  ✓ 347
        ✗ all checks                    99.14%  ✓ 1,722  ✗ 15

      HTTP
        http_req_duration...............: avg=25.3ms min=452µs  med=17.1ms max=592ms  p(90)=51.7ms p(95)=66.0ms p(99)=132ms
          { expected_response:true }....: avg=25.8ms min=1.53ms med=18.0ms max=592ms  p(90)=52.4ms p(95)=66.5ms p(99)=136ms
          { expected_response:false }...: avg=955µs  min=452µs  med=991µs  max=1.38ms p(90)=1.31ms p(95)=1.35ms p(99)=1.38ms
        http_req_failed.................: 2.25%      39 out of 1,737
        http_reqs.......................: 1,737      347/s
        protocol........................: HTTP/1.1
        http_req_blocked................: avg=2.00µs min=2.00µs med=2.00µs max=2.00µs p(90)=2.00µs p(95)=2.00µs p(99)=2.00µs
        http_req_connecting.............: avg=12.1µs min=0s     med=0s     max=210µs  p(90)=0s     p(95)=210µs  p(99)=210µs
        http_req_sending................: avg=253µs  min=4.52µs med=171µs  max=5.92ms p(90)=517µs  p(95)=660µs  p(99)=1.32ms
        http_req_waiting................: avg=23.5ms min=420µs  med=15.9ms max=551ms  p(90)=48.1ms p(95)=61.4ms p(99)=123ms
        http_req_receiving..............: avg=1.52ms min=27.1µs med=1.03ms max=35.5ms p(90)=3.10ms p(95)=3.96ms p(99)=7.93ms

      EXECUTION
        iteration_duration..............: avg=1.05s  min=901ms  med=1.05s  max=1.20s  p(90)=1.17s  p(95)=1.18s  p(99)=1.20s
        iteration_scheduled_duration....: avg=1.05s  min=901ms  med=1.05s  max=1.20s  p(90)=1.17s  p(95)=1.18s  p(99)=1.20s
        group_duration..................: avg=10.4ms min=1.39ms med=8.80ms max=87.4ms p(90)=15.1ms p(95)=18.8ms p(99)=55.0ms
        iterations......................: 349        69.8/s
        iterations_failed...............: 1.72%      6 out of 349
        vus.............................: 0          min=0 max=100
        vus_max.........................: 100        min=100 max=100

      NETWORK
        data_received...................: 2.2 MB     445 kB/s
        data_sent.......................: 538 kB     108 kB/s

      CUSTOM
        queue_wait......................: avg=47.5ms min=16.2ms med=40.5ms max=555ms  p(90)=65.1ms p(95)=75.9ms p(99)=224ms
        seats_sold......................: 349        69.8/s

      SERVICE
        service...: concert
        address...: http://127.0.0.1:43781
        log.......: concert.log
        CPU.......: 0.93 cores mean, 1.15 at most
        memory....: 25 MB at most

      GENERATOR
        CPU of its cores............: 52.10% mean, 59.77% at most
        worker threads..............: 2
        memory......................: 41 MB at most
        longest stall of a worker...: 4.41ms
        samples lost................: 0
        stolen by the hypervisor....: 0.40% at most
        setup.......................: 420ms
        load........................: 5.00s

    COMPARISON  with the baseline `main`
      “no change above 25%” does not mean that nothing changed. Runs made at different times differ by themselves; 5%
      between sessions is assumed.
      warning: the body of the test has changed since the baseline

      concert/concert/tests::reserve_seat: ✗ regressed
        no hold stage is long enough for its own segment
        metric          base    head    change         95% interval  verdict
        errors         0.20%   2.06%  +1.86 pp  +1.21 pp … +2.51 pp  ✗ regressed
        p95           45.7ms  66.5ms    +45.5%      +26.0% … +73.0%  ✗ regressed
        endpoint p95  31.0ms  45.1ms    +45.5%      +22.0% … +74.0%  ? inconclusive
          ↳ it moved, but not surely by enough to matter; a change of 31 % or more would have been found; it would take a
            longer run, or about 4 runs of each side
        throughput     318/s   321/s     +0.9%      -13.0% … +17.0%  = no change above 25%
        (p50)         11.9ms  18.0ms    +51.0%      +31.0% … +67.0%  ✗ regressed
        (p99)          102ms   136ms    +55.0%                    –  ? inconclusive
          ↳ needs 1000 successes on each side, there are 1702 in the baseline and 998 in this run; measure longer
        (metrics in brackets are for information: they decide nothing)
    "#);
}

#[test]
fn the_reason_comes_first() {
    let mut test = small();
    test.document.outcome.thresholds.clear();
    test.document.outcome.warnings.clear();
    insta::assert_snapshot!(head(&plain(&run_of(test.clone())), 2), @r#"
    ✓ PASSED  concert/concert/tests::reserve_seat
      reserve_seat: ramping-vus: from 1 VU through 1s:100, 3s:100, 1s:0 over 5s
    "#);

    test.document.outcome.end =
        End::Crashed { reason: "killed by SIGKILL; last output: out of memory".into() };
    insta::assert_snapshot!(head(&plain(&run_of(test.clone())), 2), @r#"
    ✗ CRASHED: killed by SIGKILL; last output: out of memory
      concert/concert/tests::reserve_seat
    "#);

    test.document.outcome.end = End::Interrupted;
    test.document.invalid = vec!["12 samples were lost".into()];
    insta::assert_snapshot!(head(&plain(&run_of(test.clone())), 3), @r#"
    ■ INTERRUPTED: by Ctrl-C or a signal, before the plan had ended
      also: invalid: 12 samples were lost
      concert/concert/tests::reserve_seat
    "#);

    test.document.outcome.end = End::Completed;
    insta::assert_snapshot!(head(&plain(&run_of(test)), 2), @r#"
    ! INVALID: 12 samples were lost
      concert/concert/tests::reserve_seat
    "#);
}

#[test]
fn a_test_without_success_says_why_in_its_first_line() {
    let mut test = small();
    test.intervals.clear();
    test.document.outcome.errors = vec![ErrorOutcome {
        scenario: "reserve_seat".into(),
        kind: "http".into(),
        message: "POST http://127.0.0.1:9/token: connection refused\nhint: is the service running?".into(),
        place: Some("src/lib.rs:120:9".into()),
        count: 812,
        first_at: 0.01,
    }];
    insta::assert_snapshot!(head(&plain(&run_of(test)), 10), @r#"
    ✗ FAILED: no iteration succeeded: POST http://127.0.0.1:9/token: connection refused at src/lib.rs:120:9 (812 times)
        hint: is the service running?
      concert/concert/tests::reserve_seat
      reserve_seat: ramping-vus: from 1 VU through 1s:100, 3s:100, 1s:0 over 5s
      warning: the machine has 2 cores: service and generator share them

      ERRORS
        812× http: POST http://127.0.0.1:9/token: connection refused
             hint: is the service running?
             in reserve_seat at src/lib.rs:120:9, first after 0.0s
    "#);
}

#[test]
fn an_inconclusive_comparison_says_not_verified_before_anything_else() {
    let (mut run, _, mut comparison) = sample::concert();
    run.tests[0].document.outcome.thresholds.clear();
    (comparison.verdict, comparison.tests[0].verdict) = (Verdict::Inconclusive, Verdict::Inconclusive);
    comparison.base.commit = None;
    let text = summary(&run, Some(&comparison), &TextOptions::default());
    insta::assert_snapshot!(head(&text, 3), @r#"
    ? NOT VERIFIED: inconclusive. endpoint p95: it moved, but not surely by enough to matter; a change of 31 % or more would have been found; it would take a longer run, or about 4 runs of each side. One stored run against one fresh run: baseline `main` (no commit known, 3 days old), because there is no history of `main` yet.

    ✓ PASSED  concert/concert/tests::reserve_seat
    "#);
    comparison.verdict = Verdict::Unchanged;
    let text = summary(&run, Some(&comparison), &TextOptions::default());
    assert!(text.starts_with("= NO CHANGE ABOVE 25%. "), "{}", head(&text, 1));
}

#[test]
fn latency_of_successes_stands_apart_only_if_something_failed() {
    assert!(!plain(&run_of(small())).contains("expected_response"));
    let (run, _, _) = sample::concert();
    let text = plain(&run);
    assert!(text.contains("{ expected_response:true }") && text.contains("{ expected_response:false }"));
}

#[test]
fn trends_show_what_was_asked_for() {
    let trend_stats = check_trend_stats("p(99.9),count").expect("valid");
    let text = summary(&run_of(small()), None, &TextOptions { color: false, trend_stats });
    let line = text.lines().find(|line| line.contains("http_req_duration..")).expect("a line");
    assert!(line.contains("p(99.9)=") && line.contains("count=") && !line.contains("avg="), "{line}");
}

#[test]
fn colours_appear_only_where_allowed_and_change_no_text() {
    let (run, _, comparison) = sample::concert();
    let colored = TextOptions { color: true, ..TextOptions::default() };
    let colored = summary(&run, Some(&comparison), &colored);
    assert!(colored.contains("\u{1b}[1;31m✗ FAILED"));
    let mut plain = String::new();
    let mut rest = colored.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').expect("an end").1;
    }
    plain.push_str(rest);
    let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(lines(&plain), lines(&summary(&run, Some(&comparison), &TextOptions::default())));
}

#[test]
fn hostile_text_neither_controls_the_terminal_nor_breaks_the_columns() {
    let (run, _, comparison) = sample::hostile();
    let text = summary(&run, Some(&comparison), &TextOptions::default());
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    assert!(!text.contains('\u{202e}'));
    for line in text.lines() {
        assert!(clean::width(line) <= 2 * MESSAGE_COLUMNS + 20, "{line}");
    }
    // The shares of checks end in one column, however wide the names are.
    let checks =
        text.lines().skip_while(|line| *line != "  CHECKS").skip(1).take_while(|line| !line.is_empty());
    let ends: Vec<usize> =
        checks.map(|line| clean::width(&line[..line.rfind("%  ✓").expect("a share")])).collect();
    assert!(ends.len() == 8 && ends.iter().all(|end| *end == ends[0]), "{ends:?}");
}

#[test]
fn a_run_without_tests_says_so() {
    let run = sample::run("r", "2026-05-04T10:15:00Z", Vec::new(), 4);
    assert_eq!(plain(&run), "no test ran\n");
}

#[test]
fn a_missing_baseline_is_the_first_thing_that_is_said() {
    let mut run = sample::run("r", "2026-05-04T10:15:00Z", vec![small()], 0);
    run.baseline_missing = Some("ma\u{1b}in".to_owned());
    let text = plain(&run);
    let first = text.lines().next().unwrap_or_default();
    assert!(first.starts_with("? NOT VERIFIED: baseline `ma"), "{first}");
    assert!(first.ends_with("in` not found, so nothing was compared") && !text.contains('\u{1b}'), "{first}");
}

#[test]
fn interrupted_iterations_are_told_beside_the_complete_ones() {
    let mut test = small();
    let state = ScenarioState { completed: 60, interrupted: 3, ..ScenarioState::default() };
    test.document.outcome.scenarios.insert("reserve_seat".to_owned(), state);
    let text = plain(&run_of(test));
    let line = text.lines().find(|line| line.contains(" iterations..")).expect("a line");
    assert!(line.ends_with("60 complete, 3 interrupted"), "{line}");
    assert!(!plain(&run_of(small())).contains("interrupted"));
}

#[test]
fn what_served_the_requests_is_told_with_shares_if_it_was_several() {
    let line = |test: TestData| {
        let text = plain(&run_of(test));
        text.lines().find(|line| line.contains("protocol...")).map(|line| line.trim().replace('.', ""))
    };
    assert_eq!(line(small()).as_deref(), Some("protocol: HTTP/11"));
    let recipe = sample::Recipe { rate: 60.0, errors: 0.0, http2_every: 4, ..sample::recipe() };
    let both = line(sample::test(&recipe)).expect("a line");
    assert!(both.starts_with("protocol: HTTP/11 7") && both.contains("%, HTTP/20 2"), "{both}");
    let nobody = sample::Recipe { rate: 0.0, ..sample::recipe() };
    assert_eq!(line(sample::test(&nobody)), None, "nothing was asked for");
}

#[test]
fn workers_that_are_not_known_are_left_out() {
    let mut test = small();
    test.document.outcome.workers = 0;
    assert!(!plain(&run_of(test)).contains("worker threads"));
    assert!(plain(&run_of(small())).contains("worker threads"));
}

/// From a title to the next empty line.
fn block<'a>(text: &'a str, title: &str) -> Vec<&'a str> {
    let from = text.lines().skip_while(|line| line.trim() != title);
    from.take_while(|line| !line.is_empty()).collect()
}

#[test]
fn an_arrival_rate_tells_what_was_planned_and_what_was_dropped() {
    let text = plain(&run_of(sample::open::arrivals()));
    insta::assert_snapshot!(block(&text, "EXECUTION").join("\n"), @r#"
    EXECUTION
      iteration_duration.............: avg=22.8ms min=5.67ms med=15.0ms max=766ms  p(90)=23.2ms p(95)=27.9ms p(99)=338ms
      iteration_scheduled_duration...: avg=23.7ms min=5.79ms med=15.2ms max=781ms  p(90)=23.5ms p(95)=28.2ms p(99)=368ms
      schedule_lag...................: avg=836µs  min=0.21µs med=310µs  max=59.9ms p(90)=547µs  p(95)=578µs  p(99)=29.9ms
      iterations.....................: 1,931      96.5/s
      iterations_failed..............: 0.00%      0 out of 1,931
      dropped_iterations.............: 69         3.45/s
      starts offered.................: 1,931      96.55% of 2,000 planned
    "#);
    let warning = text.lines().find(|line| line.contains("warning:")).expect("a warning");
    assert!(warning.contains("One of a hundred iterations started"), "{warning}");
}

#[test]
fn a_capacity_search_tells_what_it_found_at_once() {
    let text = plain(&run_of(sample::open::search()));
    insta::assert_snapshot!(head(&text, 3), @r#"
    ✓ PASSED  concert/concert/tests::how_much
      capacity: at least 700/s, less than 750/s
      seats: find-capacity: 100 to 2000/s, binary search to 50, 3s a probe, by 50 to 100 VUs
    "#);
    let line =
        block(&text, "EXECUTION").into_iter().find(|line| line.contains(" capacity.")).expect("a line");
    assert!(line.ends_with("at least 700/s, less than 750/s  (7 probes)"), "{line}");
}

#[test]
fn several_scenarios_have_a_line_each() {
    let mut test = sample::open::mixed();
    let state = test.document.outcome.scenarios.get_mut("browse").expect("known");
    (state.failed, state.interrupted) = (3, 15);
    let text = plain(&run_of(test));
    insta::assert_snapshot!(head(&text, 4), @r#"
    ✓ PASSED  concert/concert/tests::mixed
      the load was paused for 1.60s (5s to 7s)
      browse: constant-vus: 15 looping VUs for 20s
      reserve: constant-arrival-rate: 100/s for 10s by 20 to 40 VUs, from 10s on
    "#);
    insta::assert_snapshot!(block(&text, "SCENARIOS").join("\n"), @r#"
    SCENARIOS
      browse....: started=2,700 completed=2,700 failed=3 interrupted=15 dropped=0 requests=150/s p(95)=36.5ms
      reserve...: started=1,000 completed=1,000 failed=0 interrupted=0  dropped=0 requests=100/s p(95)=34.0ms
    "#);
    assert!(!plain(&run_of(small())).contains("SCENARIOS"));
}

#[test]
fn what_the_test_said_of_its_failure_is_the_reason() {
    let mut test = small();
    test.document.outcome.thresholds.clear();
    test.document.outcome.failed_by_test = vec!["seats were sold twice\u{1b}[2J".into(), "and again".into()];
    insta::assert_snapshot!(head(&plain(&run_of(test)), 3), @r#"
    ✗ FAILED: failed by the test: seats were sold twice\u{1b}[2J
      also: failed by the test: and again
      concert/concert/tests::reserve_seat
    "#);
}

#[test]
fn the_numbers_of_a_search_are_said_to_be_over_all_probes() {
    let text = plain(&run_of(sample::open::search()));
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is missing: {text}"));
    assert!(at("over all probes, those above the capacity included") < at("  HTTP"));
    assert!(!plain(&run_of(small())).contains("over all probes"));
}

#[test]
fn a_load_too_short_for_its_cpu_says_so() {
    let mut test = sample::test(&sample::Recipe { seconds: 2, rate: 50.0, lean: true, ..sample::recipe() });
    test.intervals.iter_mut().for_each(|interval| interval.generator.cpu = None);
    assert!(plain(&run_of(test.clone())).contains("not known on this system"));
    test.intervals.truncate(1);
    let text = plain(&run_of(test));
    assert!(text.contains("too short a load to be measured") && !text.contains("not known"), "{text}");
}

#[test]
fn a_duet_has_a_table_with_what_would_be_needed() {
    let (run, _, duet) = sample::duet();
    let text = summary(&run, Some(&duet), &TextOptions::default());
    let from = text.find("COMPARISON").expect("there");
    insta::assert_snapshot!(&text[from..], @r#"
    COMPARISON  with main
      Both sides were built and run in turn on one machine, and are judged pair by pair: what disturbs the machine
      disturbs both. A change counts from 5% on; “no change above 10%” means that it was looked at closely enough to know.
      runs in order: h b b h (h) (b) h b b h h b b h, seed 42; those in brackets were disturbed, and their pairs made
      again

      concert/concert/tests::reserve_seat: ✗ regressed
        the latency of head grew within its runs
        pair 3 was made again: 12 % of the CPU was stolen
        metric          base    head    change         95% interval       p  verdict
        errors         0.20%   2.06%  +1.86 pp  +1.21 pp … +2.51 pp   0.010  ✗ regressed
        p95           45.7ms  52.2ms    +14.2%      +11.0% … +17.5%  <0.001  ✗ regressed
          ↳ counts from 7% on here, instead of 5%
        endpoint p95  31.0ms  32.9ms     +6.0%       -2.0% … +14.6%   0.080  ? inconclusive
          ↳ a change by +12.0% would have been found; about 14 runs of each side would be needed
        throughput     318/s   316/s     -0.6%        -1.5% … +0.3%   0.310  = no change above 10%
        (p50)         11.9ms  13.3ms    +11.0%       +8.5% … +13.6%   0.001  ✗ regressed
        (p99)          102ms   138ms    +35.0%     -15.0% … +110.0%   0.110  ? inconclusive
          ↳ a change by +12.0% would have been found; about 14 runs of each side would be needed
        (metrics in brackets are for information: they decide nothing)

      repeat with cargo loadtest reserve_seat --baseline main --duet --runs 6 --seed 42
    "#);
    for line in text[from..].lines() {
        assert!(clean::width(line) <= 120, "{line}");
    }
    assert_eq!(text.lines().next(), Some(crate::report::first_line(&duet).as_str()));
}

#[test]
fn hostile_names_keep_the_table_of_a_comparison_narrow() {
    let (run, _, mut hostile) = sample::hostile();
    for (metric, evil) in hostile.tests[0].metrics.iter_mut().zip(sample::EVIL) {
        metric.name = evil.repeat(5);
    }
    let text = summary(&run, Some(&hostile), &TextOptions::default());
    let block = &text[text.find("COMPARISON").expect("there")..];
    let table = block.lines().filter(|line| line.contains("95% interval") || line.contains(" … "));
    assert!(table.clone().count() >= 6, "{block}");
    for line in table {
        assert!(clean::width(line) <= 120, "{}: {line}", clean::width(line));
    }
}

#[test]
fn code_that_is_not_optimised_is_said_to_be_so_before_the_numbers() {
    let mut run = run_of(small());
    assert!(!plain(&run).contains("does not optimise"));
    run.document.profile = "test".to_owned();
    let text = plain(&run);
    let lines: Vec<&str> = text.lines().take(2).collect();
    // The first line is the verdict's.
    assert!(!lines[0].contains("warning"), "{lines:?}");
    assert!(lines[1].starts_with("warning: built with profile `test`, which does not optimise"), "{lines:?}");
}

#[test]
fn a_status_line_tells_the_end_of_a_run_with_the_first_reason() {
    let failed = run_of(sample::test(&sample::recipe()));
    assert!(status_line(&failed).starts_with("✗ FAILED: threshold failed: http_req_failed: rate<0.01 (was "));
    let mut calm = small();
    calm.document.outcome.thresholds.clear();
    let passed = sample::run("r", "2026-05-04T10:15:00Z", vec![calm.clone()], 0);
    assert_eq!(status_line(&passed), "✓ PASSED: 1 of 1 test passed");
    let tests = vec![calm, sample::test(&sample::recipe())];
    let mixed = sample::run("r", "2026-05-04T10:15:00Z", tests, 99);
    assert!(status_line(&mixed).starts_with("✗ FAILED: 1 of 2 tests passed; threshold failed: "));
    let empty = sample::run("r", "2026-05-04T10:15:00Z", Vec::new(), 4);
    assert!(status_line(&empty).ends_with(": no test ran"), "{}", status_line(&empty));
    let mut missing = passed;
    missing.baseline_missing = Some("ma\u{1b}in".to_owned());
    assert!(status_line(&missing).starts_with("? NOT VERIFIED: baseline `ma"));
    assert!(!status_line(&missing).contains('\u{1b}'));
    let (hostile, _, _) = sample::hostile();
    assert!(!status_line(&hostile).chars().any(char::is_control));
}
