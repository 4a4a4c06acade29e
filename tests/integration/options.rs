//! Options from every place: which one counts, what `show-config` says of it, and what is refused.

use std::fs;

use loadtest_tests::{Finished, fixture};
use serde_json::Value;

const TOML: &str = r#"
[options]
graceful_stop = "3s"

[tests."model/lib/tests::constant_vus"]
duration = "700ms"

[tests."model/lib/mixed".scenarios.late]
rate = 30

[profile.ci.options]
warm_up = "1s"

[profile.nightly]
inherits = "ci"

[profile.nightly.tests."*constant_vus"]
vus = 4
"#;

const QUICK: [&str; 4] = ["--offline", "--profile", "dev", "--allow-debug"];

/// An option of the first scenario that `show-config` shows: its value and where it is from.
fn shown(run: &Finished, scenario: &str, option: &str) -> (String, String) {
    let document: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let text = document.to_string();
    let scenarios = document["tests"][0]["scenarios"].as_array().unwrap_or_else(|| panic!("{text}"));
    let named = |value: &&Value| value["scenario"] == scenario || value["name"] == scenario;
    let options = &scenarios.iter().find(named).unwrap_or_else(|| panic!("{text}"))["options"];
    let row = options
        .as_array()
        .and_then(|rows| rows.iter().find(|row| row["option"] == option || row["name"] == option))
        .unwrap_or_else(|| panic!("no `{option}` in {text}"));
    let part = |key: &str| row[key].as_str().map_or_else(|| row[key].to_string(), str::to_owned);
    (part("value"), part("origin"))
}

#[test]
fn the_highest_place_counts_and_show_config_says_which_it_was() {
    let fixture = fixture("model");
    fs::write(fixture.path().join("loadtest.toml"), TOML).expect("it can be written");
    let show = |more: &[&str], profile: &str| {
        let mut arguments = vec!["show-config", "--format", "json", "--exact"];
        arguments.extend(QUICK);
        arguments.extend(more);
        fixture.trial_as(arguments).env("LOADTEST_PROFILE", profile).env("LOADTEST_TAGS", "by=env").run()
    };
    let run = show(&["tests::constant_vus", "--graceful-stop", "1s"], "nightly").exited(0);
    for (option, value, origin) in [
        ("vus", "4", "nightly"),
        ("duration", "700ms", "loadtest.toml"),
        ("graceful_stop", "1s", "--graceful-stop"),
        ("warm_up", "1s", "ci"),
        ("executor", "constant-vus", "attribute"),
        ("tags", "by=env", "LOADTEST_TAGS"),
    ] {
        let (found, from) = shown(&run, "constant_vus", option);
        assert!(found.contains(value), "{option}: {found}");
        assert!(from.contains(origin), "{option}: {from}");
    }
    let late = show(&["mixed"], "ci").exited(0);
    assert_eq!(shown(&late, "late", "rate").0, "30");
    assert!(shown(&late, "buyers", "env").0.contains("PATH"));
    assert!(!late.stdout.contains("\"buy\""), "values of env are never shown:\n{}", late.stdout);

    // What is shown is what runs.
    let ran =
        fixture.trial(["--no-report", "--exact", "tests::constant_vus"]).env("LOADTEST_PROFILE", "nightly");
    let ran = ran.run().exited(0).document();
    let workload = &ran["tests"][0]["outcome"]["workloads"]["constant_vus"];
    assert_eq!((&workload["vus"], &workload["duration"]), (&Value::from(4), &Value::from("700ms")));
}

#[test]
fn unknown_keys_are_refused_where_they_stand() {
    let fixture = fixture("model");
    let refused = |toml: &str, variable: (&str, &str)| {
        fs::write(fixture.path().join("loadtest.toml"), toml).expect("it can be written");
        let run = fixture.trial(["--list"]).env(variable.0, variable.1).run();
        run.exited(2).stderr
    };
    let fine = ("LOADTEST_VUS", "1");
    for (toml, said) in [
        ("[options]\nduratoin = \"5s\"", "did you mean `duration`?"),
        ("[profile.ci]\ninherits = \"dafault\"", "dafault"),
        ("[options]\nduration = \"5 parsecs\"", "duration"),
        ("[tests.x]\nvus = \"many\"", "whole number"),
        ("stoer = \"x\"", "did you mean `store`?"),
    ] {
        let stderr = refused(toml, fine);
        assert!(stderr.contains(said) && stderr.contains("loadtest.toml"), "{said}\n{stderr}");
    }
    let stderr = refused("", ("LOADTEST_VSU", "5"));
    assert!(stderr.contains("LOADTEST_VSU") && stderr.contains("LOADTEST_VUS"), "{stderr}");
}

#[test]
fn tests_run_in_the_order_that_was_asked_for() {
    let fixture = fixture("model");
    let order = fixture.path().join("order.txt");
    fs::write(&order, "# the padded one first\nmodel/lib/tests::padded\nmodel/lib/tests::aborts\n")
        .expect("written");
    let list = |order: &str| {
        let run =
            fixture.trial(["--list", "--test-order", order, "padded", "talks", "draws", "aborts"]).run();
        let ids: Vec<String> = run
            .exited(0)
            .stdout
            .lines()
            .filter_map(|line| line.trim().strip_prefix("model/lib/tests::").map(str::to_owned))
            .collect();
        ids
    };
    assert_eq!(list("name"), ["aborts", "draws", "padded", "talks"]);
    assert_eq!(list("file"), ["aborts", "padded", "talks", "draws"]);
    assert_eq!(list(&order.to_string_lossy()), ["padded", "aborts", "draws", "talks"]);
}
