//! Every way of shaping load, run for real against a service that counts: what was started is what the plan
//! says, and nothing is lost or counted twice.

use std::thread;

use loadtest_tests::{Finished, Fixture, shared_fixture};
use rustix::process::Signal;
use serde_json::Value;

/// One test of the fixture, by its whole name.
fn run(fixture: &Fixture, test: &str, more: &[&str]) -> Finished {
    fixture.trial(arguments(test).iter().map(String::as_str).chain(more.iter().copied())).run()
}

fn arguments(test: &str) -> [String; 5] {
    // The key `test` is the whole name, a function has its module in front.
    let name = if test == "mixed" { test.to_owned() } else { format!("tests::{test}") };
    ["--no-report".to_owned(), "--progress".to_owned(), "lines".to_owned(), "--exact".to_owned(), name]
}

/// The final counts of a scenario.
fn state(run: &Finished, scenario: &str) -> Value {
    run.document()["tests"][0]["outcome"]["scenarios"][scenario].clone()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Started, completed, interrupted, dropped.
fn counts(run: &Finished, scenario: &str) -> [u64; 4] {
    let state = state(run, scenario);
    ["started", "completed", "interrupted", "dropped"].map(|key| number(&state[key]))
}

/// How many requests the service says it has answered.
fn answered(run: &Finished) -> u64 {
    let said = run.stderr.lines().find_map(|line| line.strip_prefix("the service counted "));
    said.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no count in\n{}", run.stderr))
}

#[test]
fn each_executor_starts_what_its_plan_says_and_the_service_counts_the_same() {
    let fixture = shared_fixture("model");
    // What the plan knows of the number of starts.
    let table: [(&str, Option<u64>); 6] = [
        ("shared_iterations", Some(50)),
        ("per_vu_iterations", Some(60)),
        ("constant_vus", None),
        ("ramping_vus", None),
        ("constant_arrival_rate", Some(200)),
        // The area under the rate: a ramp to 100 over 2 s, then half a second of it.
        ("ramping_arrival_rate", Some(150)),
    ];
    thread::scope(|scope| {
        for (test, planned) in table {
            let fixture = &fixture;
            scope.spawn(move || {
                let run = run(fixture, test, &[]).exited(0);
                let [started, completed, interrupted, dropped] = counts(&run, test);
                assert_eq!(started, completed + interrupted, "{test}");
                assert_eq!(run.sum("http_reqs"), answered(&run) as f64, "{test}");
                assert!(completed > 0 && interrupted == 0, "{test}");
                if let Some(planned) = planned {
                    assert_eq!(started + dropped, planned, "{test}\n{}", run.stdout);
                }
            });
        }
    });
}

#[test]
fn a_start_without_a_free_virtual_user_is_dropped_and_makes_the_run_invalid() {
    let fixture = shared_fixture("model");
    let run = run(&fixture, "overloaded", &[]).exited(96);
    // 10 starts for 5 virtual users that never come back: example 5 of the load model.
    assert_eq!(counts(&run, "overloaded"), [5, 0, 5, 5]);
    assert_eq!(run.sum("dropped_iterations"), 5.0);
    assert!(run.stdout.contains("max_vus"), "it says what to change:\n{}", run.stdout);
}

#[test]
fn ctrl_c_in_each_executor_loses_no_iteration() {
    let fixture = shared_fixture("model");
    let long: [(&str, &[&str]); 5] = [
        ("constant_vus", &["--duration", "60s"]),
        ("ramping_vus", &["--stage", "60s:5"]),
        ("constant_arrival_rate", &["--duration", "60s"]),
        (
            "ramping_arrival_rate",
            &["--executor", "ramping-arrival-rate", "--stage", "60s:200", "--pre-allocated-vus", "20"],
        ),
        ("externally_controlled", &[]),
    ];
    thread::scope(|scope| {
        for (test, more) in long {
            let fixture = &fixture;
            scope.spawn(move || {
                let own = arguments(test);
                let mut running =
                    fixture.trial(own.iter().map(String::as_str).chain(more.iter().copied())).start();
                running.until(std::time::Duration::from_secs(240), |run| {
                    (run.seconds_stored() >= 1).then_some(())
                });
                running.process().signal(Signal::INT);
                let run = running.finish().exited(105);
                let [started, completed, interrupted, dropped] = counts(&run, test);
                assert_eq!(started, completed + interrupted, "{test}");
                assert_eq!(dropped, 0, "{test}: nothing is dropped by a signal");
                assert_eq!(run.document()["tests"][0]["outcome"]["end"]["state"], "interrupted");
                // Teardown was run.
                assert!(answered(&run) > 0);
            });
        }
    });
}

#[test]
fn scenarios_of_one_test_run_in_parallel_and_share_one_setup() {
    let fixture = shared_fixture("model");
    let run = run(&fixture, "mixed", &[]).exited(0);
    for (scenario, iterations) in [("buyers", 10), ("sellers", 5), ("late", 10)] {
        assert_eq!(counts(&run, scenario), [iterations, iterations, 0, 0], "{scenario}");
    }
    assert_eq!(answered(&run), 25);
    let document = run.document();
    assert_eq!(document["tests"][0]["services"].as_array().map(Vec::len), Some(1), "one service for all");
    let thresholds = document["tests"][0]["outcome"]["thresholds"].as_array().cloned().unwrap_or_default();
    assert_eq!(thresholds.len(), 4);
    assert!(thresholds.iter().all(|threshold| threshold["holds"] == true), "{thresholds:?}");
}

#[test]
fn each_virtual_user_is_initialised_once_before_the_load() {
    let fixture = shared_fixture("model");
    let run = run(&fixture, "sessions", &[]).exited(0);
    // What came before the load is no part of it.
    assert_eq!((run.sum("http_reqs"), answered(&run)), (12.0, 15));
    let refused = self::run(&fixture, "locked_out", &[]).exited(107);
    assert!(refused.first_line().contains("no account is left"), "{}", refused.stdout);
    assert!(refused.first_line().contains("src/lib.rs:"), "{}", refused.stdout);
}

#[test]
fn a_test_can_end_itself_or_say_that_it_failed() {
    let fixture = shared_fixture("model");
    let aborted = run(&fixture, "aborts", &[]).exited(108);
    assert!(aborted.first_line().contains("the stock is empty"), "{}", aborted.stdout);
    let [started, completed, interrupted, dropped] = counts(&aborted, "aborts");
    assert_eq!((started, dropped), (completed + interrupted, 0));
    assert!(interrupted >= 1, "the one that ended it too");

    let failed = run(&fixture, "fails", &[]).exited(110);
    assert!(failed.first_line().contains("a seat was sold twice"), "{}", failed.stdout);
    assert_eq!(counts(&failed, "fails"), [10, 10, 0, 0], "the load goes on");
}

#[test]
fn a_feed_that_is_exhausted_ends_its_scenario_and_fails_nothing() {
    let fixture = shared_fixture("model");
    let run = run(&fixture, "fed", &[]).exited(0);
    let [started, completed, interrupted, dropped] = counts(&run, "fed");
    assert_eq!((completed, dropped), (5, 0));
    assert_eq!(started, completed + interrupted);
    assert!(run.stdout.contains("people.csv"), "{}", run.stdout);
}

#[test]
fn what_comes_before_the_load_ends_it_with_a_clear_message() {
    let fixture = shared_fixture("model");
    thread::scope(|scope| {
        let table: [(&str, i32, &[&str]); 5] = [
            ("is_reset", 0, &[]),
            ("is_not_reset", 107, &["`echo reset by a command >&2; exit 3` failed with exit code 3"]),
            ("target_is_gone", 107, &["the target is not healthy", "http://127.0.0.1:1/health", "refused"]),
            ("target_is_ill", 107, &["the target is not healthy", "/ill: answered 503"]),
            ("target_is_there", 0, &[]),
        ];
        for (test, code, why) in table {
            let fixture = &fixture;
            scope.spawn(move || {
                let run = run(fixture, test, &[]).exited(code);
                let head = run.stdout.lines().take(4).collect::<Vec<_>>().join("\n");
                assert!(why.iter().all(|why| head.contains(why)), "{}\n{}", run.stdout, run.stderr);
                // What a setup has made is undone, though there was no load.
                assert!(test != "target_is_ill" || answered(&run) > 0, "{}", run.stderr);
            });
        }
    });
}

#[test]
fn requests_are_capped_over_the_whole_test_and_their_wait_is_no_latency() {
    let fixture = shared_fixture("model");
    let run = run(&fixture, "throttled", &[]).exited(0);
    let requests = run.sum("http_reqs");
    // 50 a second for 2 s, the first at once; those that wait at the end are let go or interrupted.
    let seconds = run.document()["tests"][0]["outcome"]["load_seconds"].as_f64().unwrap_or(0.0);
    assert!((95.0..=122.0).contains(&requests), "{requests}");
    assert!((requests - 1.0) / seconds <= 50.0, "never above: {requests} in {seconds} s");
    let wait = run.summary("http_req_throttled")["quantiles"]["med"].as_f64().unwrap_or(0.0);
    let latency = run.summary("http_req_duration")["quantiles"]["med"].as_f64().unwrap_or(f64::MAX);
    assert!(wait > 100.0 && latency < 50.0, "20 users wait for each other: {wait} ms, {latency} ms");
}

#[test]
fn a_padded_iteration_is_not_longer_than_its_work() {
    let fixture = shared_fixture("model");
    let run = run(&fixture, "padded", &[]).exited(0);
    let seconds = run.document()["tests"][0]["outcome"]["load_seconds"].as_f64().unwrap_or(0.0);
    assert!(seconds >= 0.5, "two rounds of 250 ms each: {seconds}");
}

#[test]
fn what_virtual_users_log_is_limited_and_the_rest_is_counted() {
    let fixture = shared_fixture("model");
    let run = run(&fixture, "talks", &["--log-limit", "5"]).exited(0);
    let lines = run.stderr.lines().filter(|line| line.contains("[talks vu ")).count();
    assert!((5..=25).contains(&lines), "{lines}\n{}", run.stderr);
    assert!(run.stderr.contains("held back"), "{}", run.stderr);
}

#[test]
fn a_seed_repeats_what_the_kth_start_draws() {
    let fixture = shared_fixture("model");
    let draws = |seed: &str| {
        let run = run(&fixture, "draws", &["--seed", seed, "--log-limit", "0"]).exited(0);
        let mut drawn: Vec<String> =
            run.stdout.lines().filter(|line| line.starts_with("drew ")).map(str::to_owned).collect();
        drawn.sort();
        assert_eq!(drawn.len(), 20, "{}", run.stdout);
        drawn
    };
    let first = draws("7");
    assert_eq!(first, draws("7"));
    assert_ne!(first, draws("8"));
}

#[test]
fn a_capacity_search_finds_what_the_service_bears() {
    let fixture = shared_fixture("model");
    let run = run(&fixture, "find_capacity", &[]).exited(0);
    let capacity = run.document()["tests"][0]["outcome"]["capacities"]["find_capacity"].clone();
    let held = number(&capacity["highest_held"]);
    // 50 ms for each, one at a time: 20 a second at most; at least a quarter even on a busy machine.
    assert!((5..=20).contains(&held), "{capacity}");
    let failed = number(&capacity["lowest_failed"]);
    assert!(failed > held && failed - held <= 5, "{capacity}");
    assert_eq!(capacity["complete"], true);
    let [started, completed, interrupted, _] = counts(&run, "find_capacity");
    assert_eq!(started, completed + interrupted);
    assert!(run.stdout.contains("capacity"), "{}", run.stdout);
}

#[test]
fn a_service_that_stalls_can_not_hide_who_had_to_wait() {
    let fixture = shared_fixture("model");
    let run = run(&fixture, "stalled", &[]).exited(0);
    assert_eq!(counts(&run, "stalled")[0], 500, "a fixed rate, whatever the service does");
    let quantiles = &run.summary("iteration_scheduled_duration")["quantiles"];
    // 500 starts at 100 a second. The 200th closes the door for a second, so of the 100 that come meanwhile the
    // k-th waits for 10 ms less than the one before: a fifth of all values lie evenly between 0 and 1 s.
    for (name, expected) in [("p(90)", 500.0), ("p(95)", 750.0), ("p(99)", 950.0)] {
        let found = quantiles[name].as_f64().unwrap_or(0.0);
        // The arithmetic holds within 2 % on a quiet machine; this one may run other tests meanwhile.
        assert!((found / expected - 1.0).abs() < 0.05, "{name}: {found} instead of {expected}");
    }
}

#[test]
fn a_rate_that_can_not_be_offered_ends_its_probe_and_fails_the_test() {
    let fixture = shared_fixture("model");
    let huge = ["--start-rate", "1000000000000", "--max-rate", "1000000000000", "--step", "1"];
    let found = run(&fixture, "find_capacity", &[&huge[..], &["--probe-duration", "1s"]].concat()).exited(99);
    let capacity = found.document()["tests"][0]["outcome"]["capacities"]["find_capacity"].clone();
    assert_eq!(capacity["highest_held"], Value::Null);
    let reason = capacity["probes"][0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("the load generator was"), "{capacity}");
    assert!(found.stderr.contains("probe: 1000000000000/s failed"), "told while it runs: {}", found.stderr);
}
