//! The subcommand as a user calls it: what it finds, what it prints and where, what it refuses and how.

use std::fs;
use std::process::Command;

use loadtest_tests::{Finished, cargo_loadtest, files, run, shared_fixture};
use serde_json::Value;

/// The test of the fixture that has nothing wrong with it, and more arguments.
fn succeeds(more: &[&str]) -> Finished {
    shared_fixture("failures").trial(["--exact", "tests::succeeds"].iter().chain(more)).run()
}

#[test]
fn a_package_without_load_tests_is_told_where_it_was_looked_and_what_would_be_found() {
    let run = shared_fixture("empty").trial(["-p", "untested"]).run().exited(4);
    for said in ["no load test found", "looked into untested/lib", "#[load_test]", "async fn first()"] {
        assert!(run.stderr.contains(said), "{said}\n{}", run.stderr);
    }
    assert_eq!(run.stdout, "");
    assert!(!run.store().join("runs").exists(), "there is nothing to store");
}

#[test]
fn a_package_without_the_dependency_is_told_how_to_add_it() {
    let run = shared_fixture("empty").trial(["-p", "independent"]).run().exited(4);
    for said in ["independent does not depend on loadtest-runtime", "cargo add --dev --path"] {
        assert!(run.stderr.contains(said), "{said}\n{}", run.stderr);
    }
}

#[test]
fn a_filter_that_matches_nothing_is_told_what_is_near() {
    let run = shared_fixture("failures").trial(["suceeds"]).run().exited(4);
    assert!(run.stderr.contains("no load test matches `suceeds`"), "{}", run.stderr);
    assert!(run.stderr.contains("did you mean:\n    failures/lib/tests::succeeds\n"), "{}", run.stderr);
}

#[test]
fn a_build_that_fails_has_cargos_exit_code_and_the_compilers_words() {
    let run = shared_fixture("failures").trial(["--features", "broken"]).run().exited(101);
    assert!(run.stderr.contains("this is what does not compile"), "{}", run.stderr);
}

#[test]
fn what_can_not_be_understood_is_refused_with_a_hint_before_anything_is_built() {
    for (arguments, hint) in [
        (&["--stage", "5"][..], "1m30s:100"),
        (&["--duration", "10"], "`10s`"),
        (&["--threshold", "p95<5"], "http_req_duration: p(95)<5ms"),
        (&["--threshold", "http_req_duration: p(950)<5"], "p("),
        (&["--iterations", "0"], "counts from 1"),
        (&["--save-baseline", "../main"], "use up to 80 letters"),
        (&["-e", "THIS_VARIABLE_IS_NOT_SET"], "-e THIS_VARIABLE_IS_NOT_SET=VALUE"),
        (&["--duraton", "10s"], "--duration"),
        (&["--stage", "10s:5", "--vus", "5"], "--vus"),
    ] {
        // An empty directory: nothing may be looked for.
        let nowhere = tempfile::tempdir().expect("a temporary directory");
        let refused =
            run(Command::new(cargo_loadtest()).arg("loadtest").args(arguments).current_dir(&nowhere));
        assert_eq!(refused.code, Some(2), "{arguments:?}\n{}", refused.stderr);
        assert!(refused.stderr.contains(hint), "{arguments:?}: {hint}\n{}", refused.stderr);
        assert_eq!(refused.stdout, "", "{arguments:?}");
    }
}

#[test]
fn the_list_names_each_test_with_its_load_and_place_and_runs_none() {
    let fixture = shared_fixture("failures");
    let list = fixture.trial(["--list"]).run().exited(0);
    // By their ids.
    let first =
        "  failures/lib/tests::aborts\n      constant-vus: 2 looping VUs for 30s\n      src/lib.rs:100\n";
    assert!(list.stdout.starts_with(&format!("failures lib\n{first}")), "{}", list.stdout);
    let ids = list.stdout.lines().filter(|line| line.starts_with("  failures/"));
    let listed = ids.count();

    let list = fixture.trial(["--list", "--format", "json"]).run().exited(0);
    let document: Value = serde_json::from_str(&list.stdout).expect("one JSON document");
    let tests = document["tests"].as_array().expect("a list");
    assert_eq!(tests.len(), listed);
    assert_eq!(tests[0]["id"], "failures/lib/tests::aborts");
    assert!(!list.store().join("runs").exists());
}

#[test]
fn a_run_prints_its_results_to_standard_output_and_nothing_else() {
    let run = succeeds(&[]).exited(0);
    let mut lines = run.stdout.lines();
    // What the test prints is the user's.
    assert_eq!(lines.next(), Some("this was printed by the test"));
    assert_eq!(lines.next(), Some("✓ PASSED  failures/lib/tests::succeeds"));
    assert!(run.stdout.contains("✓ is fine"), "{}", run.stdout);
    assert!(!run.stdout.contains('\u{1b}'), "colours are for terminals");
    assert!(run.stderr.contains("Running 1 load test, seed "), "{}", run.stderr);
    // By default the report is where cargo puts what it makes.
    assert!(run.stdout.contains("target/fixtures/loadtest/report.html"), "{}", run.stdout);
    assert!(run.directory().join("report.html").is_file(), "and with the run");
}

#[test]
fn the_document_is_all_of_standard_output_if_that_is_asked_for() {
    let run = succeeds(&["--format", "json", "--no-report"]).exited(0);
    let printed: Value = serde_json::from_str(&run.stdout).expect("one JSON document");
    assert_eq!(printed, run.document());
    assert_eq!(printed["tests"][0]["id"], "failures/lib/tests::succeeds");
    assert!(run.stderr.contains("this was printed by the test"), "{}", run.stderr);
    assert!(!files(run.store()).iter().any(|file| file.ends_with(".html")));
}

#[test]
fn a_report_that_can_not_be_written_is_no_success() {
    let run = succeeds(&["--report", "Cargo.toml/report.html"]).exited(1);
    assert!(run.first_line().starts_with("this was printed"), "{}", run.stdout);
    assert!(run.stdout.contains("✓ PASSED"), "the results are told all the same: {}", run.stdout);
    assert!(run.stderr.contains("error: can't make Cargo.toml"), "{}", run.stderr);
    assert_eq!(run.document()["exit_code"], 0);
}

#[test]
fn quiet_leaves_results_and_errors() {
    let run = succeeds(&["--quiet", "--no-report"]).exited(0);
    assert!(run.first_line().contains("PASSED"), "{}", run.stdout);
    assert!(!run.stdout.contains("this was printed by the test"), "{}", run.stdout);
    assert_eq!(run.stderr, "");
}

#[test]
fn options_change_the_load_and_the_run_can_be_repeated() {
    let more = ["--iterations", "6", "-u", "3", "--tag", "region=eu", "--seed", "11", "--no-report"];
    let run = succeeds(&more).exited(0);
    assert_eq!(run.sum("iterations"), 6.0);
    let document = run.document();
    let repeat = document["repeat"].as_str().expect("text");
    for option in ["--iterations 6", "--vus 3", "--tag region=eu", "--seed 11", "tests::succeeds", "--exact"]
    {
        assert!(repeat.contains(option), "{option}: {repeat}");
    }
}

#[test]
fn values_for_the_test_are_never_stored() {
    let secret = "s3cr3t-value-xyz";
    let fixture = shared_fixture("failures");
    let inherited = ["--exact", "tests::succeeds", "-e", "OTHER", "-e", &format!("TOKEN={secret}")];
    let run = fixture.trial(inherited).with_report().env("OTHER", secret).run().exited(0);
    let stored = files(run.store());
    assert!(stored.iter().any(|file| file.ends_with("run.json")), "{stored:?}");
    for file in stored {
        let bytes = fs::read(run.store().join(&file)).expect("it can be read");
        assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{file}");
    }
    let repeat = run.document()["repeat"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(repeat.contains("-e OTHER -e TOKEN"), "{repeat}");
    assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret));
}

#[test]
fn an_unoptimised_build_is_refused_unless_it_is_asked_for() {
    let fixture = shared_fixture("failures");
    let refused = fixture.trial_with_nothing_but(["--profile", "dev", "tests::succeeds"]).run().exited(2);
    assert!(refused.stderr.contains("--allow-debug"), "{}", refused.stderr);
}

#[test]
fn without_a_workspace_it_says_so() {
    let nowhere = tempfile::tempdir().expect("a temporary directory");
    let lost = run(Command::new(cargo_loadtest()).arg("loadtest").current_dir(&nowhere));
    assert_ne!(lost.code, Some(0));
    assert!(lost.stderr.contains("Cargo.toml"), "{}", lost.stderr);
}

#[test]
fn shells_complete_the_options() {
    for (shell, option) in [("bash", "--baseline"), ("zsh", "--baseline"), ("fish", "-l baseline")] {
        let script = run(Command::new(cargo_loadtest()).args(["loadtest", "completions", shell])).succeeded();
        assert!(script.stdout.contains(option), "{shell}:\n{}", script.stdout);
    }
}

#[test]
fn help_is_a_guide() {
    let help = run(Command::new(cargo_loadtest()).args(["loadtest", "--help"])).succeeded();
    for said in ["Examples:", "cargo loadtest --save-baseline main", "Exit codes", " 99  ", "LOADTEST_STORE"]
    {
        assert!(help.stdout.contains(said), "{said}\n{}", help.stdout);
    }
}
