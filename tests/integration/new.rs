//! A first test that `cargo loadtest new` writes: it compiles and runs as it is.

use std::fs;
use std::process::Command;

use loadtest_tests::{cargo_loadtest, run, shared_fixture};

#[test]
fn each_template_compiles_and_runs_as_it_is() {
    let fixture = shared_fixture("first");
    for template in ["http", "arrival", "scenario"] {
        let written = fixture.trial_as(["new", "--template", template]).run().exited(0);
        assert!(written.stdout.contains("tests/load"), "{}", written.stdout);
    }
    let files: Vec<_> = fs::read_dir(fixture.path().join("tests")).into_iter().flatten().flatten().collect();
    assert_eq!(files.len(), 3, "{files:?}");
    let ran = fixture.trial(["--no-report", "--progress", "none"]).run().exited(0);
    let document = ran.document();
    let tests = document["tests"].as_array().cloned().unwrap_or_default();
    assert!(tests.len() >= 3, "{}", ran.stdout);
    for test in tests {
        assert_eq!(test["outcome"]["end"]["state"], "completed", "{}", test["id"]);
    }
}

#[test]
fn a_package_that_does_not_exist_is_told_with_what_does() {
    let fixture = shared_fixture("first");
    let refused = run(Command::new(cargo_loadtest())
        .args(["loadtest", "new", "--package", "frist"])
        .current_dir(fixture.path()));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("first"), "{}", refused.stderr);
}
