//! Baselines from the command line: saved, compared with, missing, and what a comparison can't tell.

use std::thread;

use loadtest_tests::{Finished, Trial, shared_fixture};

/// What ends a comparison without a verdict is that the run is short: nothing else is in question here.
const SHORT: [&str; 4] = ["--exact", "tests::waits", "--duration", "1s"];

/// The shortest that can be compared, by what the subcommand itself says of shorter ones.
const LONG_ENOUGH: [&str; 4] = ["--exact", "tests::waits", "--duration", "9s"];

fn trial(arguments: &[&str], more: &[&str]) -> Trial {
    shared_fixture("failures").trial(arguments.iter().chain(more)).with_report()
}

fn saved(arguments: &[&str]) -> Finished {
    let base = trial(arguments, &["--save-baseline", "main"]).run().exited(0);
    assert!(base.stdout.contains("baseline  main is this run now"), "{}", base.stdout);
    base
}

#[test]
fn doubled_latency_is_found_and_equal_code_is_not_accused() {
    let base = saved(&LONG_ENOUGH);
    let (equal, slow) = thread::scope(|scope| {
        let equal = scope.spawn(|| trial(&LONG_ENOUGH, &["--baseline", "main"]).after(&base).run());
        let slow = trial(&LONG_ENOUGH, &["--baseline", "main", "-e", "DELAY=40"]).after(&base).run();
        (equal.join().expect("no panic"), slow)
    });

    let slow = slow.exited(98);
    assert!(slow.first_line().contains("REGRESSED"), "{}", slow.stdout);
    assert!(slow.stderr.contains("exit code 98: regressed against the baseline"), "{}", slow.stderr);
    for (name, verdict) in [("p95", "✗ regressed"), ("throughput", "✗ regressed"), ("errors", "= no change")]
    {
        let row = slow.stdout.lines().find(|line| line.trim_start().starts_with(name));
        assert!(row.is_some_and(|row| row.contains(verdict)), "{name}\n{}", slow.stdout);
    }

    let equal = equal.exited(0);
    let first = equal.first_line();
    assert!(first.contains("NO CHANGE ABOVE 25%") || first.contains("NOT VERIFIED"), "{}", equal.stdout);
    // What one run against one run can tell, and against what: before any number.
    for said in ["One stored run against one fresh run", "baseline `main`"] {
        assert!(first.contains(said), "{said}\n{}", equal.stdout);
    }
}

#[test]
fn what_is_too_short_to_compare_passes_but_says_first_that_nothing_was_verified() {
    let base = saved(&SHORT);
    assert!(base.document()["comparison"].is_null());
    let head = trial(&SHORT, &["--baseline", "main"]).after(&base).run().exited(0);
    assert!(head.first_line().contains("NOT VERIFIED"), "{}", head.stdout);
    // Lines are broken where they are long.
    let words: Vec<&str> = head.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains("hold the load for 9s or more"), "{}", head.stdout);

    // The document and the report say the same.
    let comparison = &head.document()["comparison"];
    assert_eq!(comparison["base"]["name"], "main");
    assert_eq!(comparison["verdict"], "inconclusive");
    assert_eq!(comparison["tests"][0]["id"], "failures/lib/tests::waits");
    let page = std::fs::read_to_string(head.report()).expect("the report is there");
    assert!(page.to_lowercase().contains("not verified"), "{page}");

    let failed = trial(&SHORT, &["--baseline", "main", "--inconclusive", "fail"]).after(&base).run();
    let _ = failed.exited(97);
}

#[test]
fn another_load_is_not_comparable() {
    let base = saved(&SHORT);
    let head = trial(&SHORT, &["-u", "5", "--baseline", "main"]).after(&base).run().exited(0);
    assert!(head.first_line().contains("NOT VERIFIED: not comparable"), "{}", head.stdout);
    assert!(head.stdout.contains("the load of waits differs: "), "{}", head.stdout);
    let failed = ["-u", "5", "--baseline", "main", "--inconclusive", "fail"];
    let _ = trial(&SHORT, &failed).after(&base).run().exited(97);
}

#[test]
fn a_baseline_that_is_not_there_is_told_twice_and_fails_if_that_is_asked_for() {
    let base = saved(&SHORT);
    let head = trial(&SHORT, &["--baseline", "mian"]).after(&base).run().exited(0);
    // Before the load, which may take long, and after it.
    let warning = "warning: baseline `mian` not found, and no revision has that name\n\
                   hint: save one with `cargo loadtest --save-baseline mian`";
    assert_eq!(head.stderr.matches(warning).count(), 2, "{}", head.stderr);
    assert!(head.first_line().contains("NOT VERIFIED: baseline `mian` not found"), "{}", head.stdout);
    assert!(head.stderr.contains("note: there are: main"), "{}", head.stderr);
    let failed = ["--baseline", "mian", "--baseline-missing", "fail"];
    let _ = trial(&SHORT, &failed).after(&base).run().exited(95);
}

#[test]
fn a_run_without_a_success_is_no_baseline() {
    let run = trial(&["--exact", "tests::panics"], &["--save-baseline", "main"]).run().exited(99);
    assert!(run.stderr.contains("baseline `main` was not saved"), "{}", run.stderr);
    assert!(!run.store().join("baselines/main.json").exists());
}
