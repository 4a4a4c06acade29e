//! Load tests that go wrong: the exit code says how, the first line why, and what was measured is kept.

use std::thread;

use loadtest_tests::{Finished, Fixture, shared_fixture};

/// One test of the fixture, by its whole name.
fn run(fixture: &Fixture, test: &str, more: &[&str]) -> Finished {
    let name = format!("tests::{test}");
    let arguments = ["--no-report", "--progress", "lines", "--exact", &name];
    fixture.trial(arguments.iter().chain(more)).run()
}

#[test]
fn each_failure_has_its_exit_code_and_says_why_in_the_first_line() {
    let fixture = shared_fixture("failures");
    let table: [(&str, &[&str], i32, &[&str]); 10] = [
        ("panics", &[], 99, &["no iteration succeeded", "seat 0 is gone", "src/lib.rs:15"]),
        ("asks_a_service", &["-e", "ANSWERS=0"], 99, &["the service `failures` ended", "exit status: 3"]),
        ("asks_a_service", &["-e", "ANSWERS=20"], 99, &["the service `failures` ended", "exit status: 3"]),
        ("asks_a_service", &["-e", "READY=/crash"], 107, &["ended before it was ready", "out of seats"]),
        ("measures_nothing", &[], 99, &["has no data", "http_req_duration: p(95)<500ms"]),
        ("names_an_unknown_metric", &[], 107, &["http_req_duratoin", "did you mean `http_req_duration`?"]),
        ("can_not_be_set_up", &[], 107, &["before any load: setup: the database is closed"]),
        ("panics_in_setup", &[], 107, &["setup panicked", "index out of bounds"]),
        ("breaks_an_invariant", &[], 99, &["teardown failed", "a seat was sold twice"]),
        (
            "asks_a_service",
            &["--threshold", "http_reqs: count<3"],
            99,
            &["threshold failed: http_reqs: count<3"],
        ),
    ];
    thread::scope(|scope| {
        for (test, more, code, why) in table {
            let fixture = &fixture;
            scope.spawn(move || {
                let run = run(fixture, test, more).exited(code);
                assert!(run.first_line().contains(why[0]), "{}\n{}", run.stdout, run.stderr);
                let head = run.stdout.lines().take(4).collect::<Vec<_>>().join("\n");
                for why in why {
                    assert!(head.contains(why), "{why}\n{}\n{}", run.stdout, run.stderr);
                }
                // The run is stored all the same, with the same verdict.
                assert_eq!(run.document()["exit_code"], code);
                // What a script's log ends with.
                let last = run.stderr.lines().last().unwrap_or_default();
                assert!(last.starts_with(&format!("exit code {code}: ")), "{}", run.stderr);
            });
        }
    });
}

#[test]
fn what_was_measured_before_a_test_process_died_is_stored() {
    let fixture = shared_fixture("failures");
    let table: [(&str, &[&str]); 3] = [
        ("exits", &["exited with code 0", "std::process::exit", "the last words before the exit"]),
        ("aborts", &["SIGABRT", "the last words before the abort"]),
        ("overflows_its_stack", &["overflowed its stack"]),
    ];
    thread::scope(|scope| {
        for (test, why) in table {
            let fixture = &fixture;
            scope.spawn(move || {
                let run = run(fixture, test, &[]).exited(109);
                let crash: Vec<&str> =
                    run.stdout.lines().skip_while(|line| !line.contains("CRASHED")).collect();
                let head = crash.iter().take(4).copied().collect::<Vec<_>>().join("\n");
                for why in why {
                    assert!(head.contains(why), "{why}\n{}\n{}", run.stdout, run.stderr);
                }
                // Two virtual users, ten iterations a second each, dead after 2.4 seconds: what is lost is
                // the second that was under way, on a slow machine a little more.
                let iterations = run.sum("iterations");
                assert!((10.0..50.0).contains(&iterations), "{iterations}");
                assert_eq!(run.document()["tests"][0]["outcome"]["end"]["state"], "crashed");
            });
        }
    });
}

#[test]
fn a_loop_that_never_awaits_is_stopped_by_its_duration() {
    let fixture = shared_fixture("failures");
    let run = run(&fixture, "never_awaits", &[]);
    // It may well be said that the generator was busy with nothing else.
    assert!(matches!(run.code, Some(0 | 96)), "{:?}\n{}\n{}", run.code, run.stdout, run.stderr);
    let outcome = &run.document()["tests"][0]["outcome"];
    assert_eq!(outcome["end"]["state"], "completed");
    let seconds = outcome["load_seconds"].as_f64().unwrap_or_default();
    assert!((0.9..5.0).contains(&seconds), "{seconds}");
}

#[test]
fn the_first_failure_ends_the_run_if_that_is_asked_for() {
    let fixture = shared_fixture("failures");
    let filters = ["--no-report", "--fail-fast", "tests::panics_in_setup", "tests::succeeds"];
    let run = fixture.trial(filters).run().exited(107);
    assert!(run.stderr.contains("1 more not run (--fail-fast)"), "{}", run.stderr);
    assert_eq!(run.document()["tests"].as_array().map(Vec::len), Some(1));
    // Without it the other one runs, and the worst of both decides.
    let run = fixture.trial(filters.iter().filter(|word| **word != "--fail-fast")).run().exited(107);
    assert_eq!(run.document()["tests"].as_array().map(Vec::len), Some(2));
}
