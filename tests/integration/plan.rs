//! The load before it happens: the examples of the load model through `cargo loadtest plan`, without any build.

use std::process::Command;

use loadtest_tests::{Finished, cargo_loadtest, run, shared_fixture};
use serde_json::Value;

/// The stages of the examples, `target@seconds`.
const STAGES: &str = "6@2 1@5 5@4 1@4 4@3 4@2 1@0 1@3";

/// `cargo loadtest plan ARGUMENTS` where there is no package at all.
fn plan(arguments: &[&str], stages: &str) -> loadtest_tests::Run {
    let nowhere = tempfile::tempdir().expect("a temporary directory");
    let stages = stages.split_whitespace().filter_map(|stage| stage.split_once('@'));
    let stages = stages.flat_map(|(target, seconds)| ["--stage".to_owned(), format!("{seconds}s:{target}")]);
    run(Command::new(cargo_loadtest())
        .args(["loadtest", "plan"])
        .args(arguments)
        .args(stages)
        .current_dir(&nowhere))
}

fn document(arguments: &[&str], stages: &str) -> Value {
    let mut all = vec!["--format", "json"];
    all.extend(arguments);
    let planned = plan(&all, stages).succeeded();
    serde_json::from_str(&planned.stdout).unwrap_or_else(|error| panic!("{error}\n{}", planned.stdout))
}

/// `0:4 1:5` as the document has it.
fn levels(text: &str) -> Vec<(f64, u64)> {
    let level = |pair: &str| {
        let (at, vus) = pair.split_once(':').expect("at:vus");
        (at.parse().expect("seconds"), vus.parse().expect("virtual users"))
    };
    text.split_whitespace().map(level).collect()
}

fn levels_of(document: &Value) -> Vec<(f64, u64)> {
    serde_json::from_value(document["levels"].clone()).unwrap_or_else(|error| panic!("{error}: {document}"))
}

fn starts_of(document: &Value) -> Vec<f64> {
    serde_json::from_value(document["starts"].clone()).unwrap_or_else(|error| panic!("{error}: {document}"))
}

#[test]
fn levels_follow_the_line_through_the_stages() {
    let ramp = ["--executor", "ramping-vus", "--start-vus", "4"];
    let expected =
        "0:4 1:5 2:6 3:5 4:4 5:3 6:2 7:1 8:2 9:3 10:4 11:5 12:4 13:3 14:2 15:1 16:2 17:3 18:4 20:1";
    assert_eq!(levels_of(&document(&ramp, STAGES)), levels(expected));
    // The executor is known by its stages.
    assert_eq!(levels_of(&document(&ramp[2..], STAGES)), levels(expected));

    let jump = document(&["--start-vus", "2"], "5@0 3@2");
    assert_eq!(levels_of(&jump).last(), Some(&(2.0, 3)));
    assert_eq!(levels_of(&jump)[levels_of(&jump).len() - 2..], levels("1:4 2:3"));
}

#[test]
fn reservations_last_as_long_as_virtual_users_may_be_finishing() {
    let ramp = ["--start-vus", "4", "--reserved", "--graceful-ramp-down", "30s", "--graceful-stop"];
    let with = |stop: &str| levels_of(&document(&[&ramp[..], &[stop]].concat(), STAGES));
    assert_eq!(with("30s"), levels("0:4 1:5 2:6 33:5 42:4 50:1 53:0"));
    assert_eq!(with("3s"), levels("0:4 1:5 2:6 26:0"));
}

#[test]
fn starts_are_where_the_area_under_the_rate_is_whole() {
    let ramp = ["--executor", "ramping-arrival-rate", "--pre-allocated-vus", "5"];
    let starts = starts_of(&document(&ramp, "1@5 1@1 0@5"));
    let expected = [3.162, 4.472, 5.500, 6.527, 7.837, 11.000];
    assert_eq!(starts.len(), expected.len());
    assert!(starts.iter().zip(expected).all(|(start, at)| (start - at).abs() < 0.001), "{starts:?}");

    let constant = ["--executor", "constant-arrival-rate", "--rate", "10", "--time-unit", "950ms"];
    let starts =
        document(&[&constant[..], &["--duration", "950ms", "--pre-allocated-vus", "5"]].concat(), "");
    let expected: Vec<f64> = (0..10).map(|k| f64::from(k) * 0.095).collect();
    assert_eq!(starts_of(&starts).len(), 10);
    assert!(starts_of(&starts).iter().zip(expected).all(|(start, at)| (start - at).abs() < 1e-9));
}

#[test]
fn the_environment_counts_without_a_test_too() {
    let nowhere = tempfile::tempdir().expect("a temporary directory");
    let plan = |variable: &str| {
        let mut command = Command::new(cargo_loadtest());
        command.args(["loadtest", "plan", "--duration", "5s", "--format", "json"]).current_dir(&nowhere);
        run(command.env(variable, "3"))
    };
    let planned: Value = serde_json::from_str(&plan("LOADTEST_VUS").succeeded().stdout).expect("JSON");
    assert_eq!(levels_of(&planned), [(0.0, 3)]);
    assert!(plan("LOADTEST_VUZ").stderr.contains("LOADTEST_VUS"));
}

#[test]
fn shards_add_up_to_the_whole() {
    let constant = [
        "--executor",
        "constant-arrival-rate",
        "--rate",
        "7",
        "--duration",
        "3s",
        "--pre-allocated-vus",
        "9",
    ];
    let whole = starts_of(&document(&constant, ""));
    let mut parts: Vec<f64> = ["0/3", "1/3", "2/3"]
        .iter()
        .flat_map(|shard| starts_of(&document(&[&constant[..], &["--shard", shard]].concat(), "")))
        .collect();
    parts.sort_by(f64::total_cmp);
    assert_eq!(parts, whole);
}

#[test]
fn text_says_what_will_be_needed_and_wrong_plans_say_why() {
    let text = plan(&["--start-vus", "4"], STAGES).succeeded().stdout;
    for said in ["ramping-vus", "6", "23s", "53s"] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    let nothing = plan(&[], "");
    assert_eq!(nothing.code, Some(2), "{}", nothing.stderr);
    assert!(
        nothing.stderr.contains("--executor") || nothing.stderr.contains("--stage"),
        "{}",
        nothing.stderr
    );
    let missing = plan(&["--executor", "constant-arrival-rate", "--rate", "5"], "");
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("needs `duration`"), "{}", missing.stderr);
}

#[test]
fn a_test_is_planned_with_what_the_command_line_says_over_it() {
    let fixture = shared_fixture("model");
    let plan = |more: &[&str]| -> Finished {
        let arguments = ["plan", "--offline", "--profile", "dev", "--allow-debug", "--format", "json"];
        fixture.trial_as(arguments.iter().chain(more)).run().exited(0)
    };
    let exact = ["--exact", "tests::constant_arrival_rate"];
    let planned: Value = serde_json::from_str(&plan(&exact).stdout).expect("JSON");
    assert_eq!(planned["starts"].as_array().map(Vec::len), Some(200));
    let faster = plan(&[&exact[..], &["--rate", "300"]].concat());
    let planned: Value = serde_json::from_str(&faster.stdout).expect("JSON");
    assert_eq!(planned["starts"].as_array().map(Vec::len), Some(600));
    assert_eq!(planned["starts"][0].as_f64(), Some(0.0));
}
