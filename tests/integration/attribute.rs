//! The `#[load_test]` attribute, as its users meet it.

use loadtest_tests::{fixture, run};

/// Every mistake that the macro finds, with the text that the compiler shows.
#[test]
fn mistakes_are_shown_where_they_are_made() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}

/// A crate that forbids `unsafe`, denies every warning, renames the dependency and shadows `std`.
#[test]
fn the_expansion_is_quiet_and_keeps_out_of_the_way() {
    let fixture = fixture("hygiene");
    for arguments in [&["check"][..], &["check", "--tests"], &["clippy", "--tests"], &["clippy"]] {
        // It denies warnings, so succeeding is being quiet.
        run(&mut fixture.cargo(arguments)).succeeded();
    }
    let tests = run(&mut fixture.cargo(["test", "--", "--include-ignored"])).succeeded();
    // And two tests of what is registered.
    let registered = include_str!("../fixtures/hygiene/registered.txt").lines().count();
    assert!(
        tests.stdout.contains(&format!("{} passed; 0 failed; 0 ignored", registered + 2)),
        "{}",
        tests.stdout
    );
}

/// What only the type checker finds, at the user's own types and by their names.
#[test]
fn mistakes_of_type_name_the_users_types() {
    let fixture = fixture("mistakes");
    let mut check = fixture.cargo(["check", "--tests", "--keep-going", "--message-format=json"]);
    let check = run(&mut check);
    let mut found: Vec<String> = check
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| diagnostic(&message["message"]))
        .collect();
    found.sort();
    found.dedup();
    let expected = include_str!("../fixtures/mistakes/expected.txt");
    assert_eq!(found.join("\n"), expected.trim_end(), "found:\n{}", found.join("\n"));
}

/// `file:line:column: message (label)` of an error in the fixture's own files.
fn diagnostic(message: &serde_json::Value) -> Option<String> {
    let spans = message["spans"].as_array().filter(|_| message["level"] == "error")?;
    let place = spans.iter().find(|span| span["is_primary"] == true)?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    // Of several labels at one place, the first is that of the error.
    let label = spans.iter().map(|span| text(&span["label"])).find(|label| !label.is_empty());
    Some(format!(
        "{}:{}:{}: {} ({})",
        text(&place["file_name"]),
        place["line_start"],
        place["column_start"],
        text(&message["message"]),
        label.unwrap_or_default()
    ))
}

/// A library, a binary, `tests/*.rs` and a target with a `main` of its own: `cargo test` lists every load
/// test as ignored, and running the ignored ones fires no load.
#[test]
fn every_kind_of_target_has_load_tests_and_cargo_test_runs_none() {
    let fixture = fixture("targets");
    let tests = run(&mut fixture.cargo(["test"])).succeeded();
    assert!(!tests.stderr.contains("warning: `targets`"), "{}", tests.stderr);
    for entry in [
        "tests::__load_test_reserve::load_test",
        "tests::__load_test_start::load_test",
        "__load_test_browse::load_test",
        "inner::__load_test_browse::load_test",
    ] {
        let line = format!("test {entry} ... ignored, load test: run with cargo loadtest\n");
        assert!(tests.stdout.contains(&line), "{line}{}", tests.stdout);
    }
    let ignored = run(&mut fixture.cargo(["test", "--", "--ignored"])).succeeded();
    assert!(
        ignored.stdout.contains("test inner::__load_test_browse::load_test ... ok"),
        "{}",
        ignored.stdout
    );
}

/// How the subcommand recognises a test binary and knows what to call: by bytes in the file.
#[test]
fn the_entry_can_be_read_from_the_executable() {
    let fixture = fixture("targets");
    let build = run(&mut fixture.cargo(["test", "--no-run", "--message-format=json"])).succeeded();
    let executables: Vec<(String, Vec<u8>)> = build
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| {
            // Integration tests make cargo build the plain binary too.
            let path = message["executable"].as_str().filter(|_| message["profile"]["test"] == true)?;
            let target = &message["target"];
            let name = format!("{} {}", target["kind"][0].as_str()?, target["name"].as_str()?);
            Some((name, std::fs::read(path).expect("cargo has built it")))
        })
        .collect();
    let entries = |name: &str| {
        let (_, bytes) = executables.iter().find(|(target, _)| target == name).expect("built");
        markers(bytes)
    };
    assert_eq!(entries("lib targets"), ["targets::tests::__load_test_reserve::load_test"]);
    assert_eq!(entries("bin targets"), ["targets::tests::__load_test_start::load_test"]);
    assert_eq!(entries("test own_main"), ["own_main::__load_test_soak::load_test"]);
    let outside = [
        "outside::__load_test_browse::load_test",
        "outside::__load_test_buy_sale_late_f80e0363::load_test",
        "outside::__load_test_buy_sale_rush_28e3d128::load_test",
        "outside::__load_test_pay::load_test",
        "outside::inner::__load_test_browse::load_test",
    ];
    assert_eq!(entries("test outside"), outside);
}

fn markers(bytes: &[u8]) -> Vec<String> {
    use loadtest_core::wire::{MARKER, MARKER_END};
    let text = String::from_utf8_lossy(bytes);
    let mut markers: Vec<String> = text
        .split(MARKER)
        .skip(1)
        .filter_map(|after| after.split_once(MARKER_END))
        .map(|(path, _)| path.to_owned())
        .filter(|path| path.chars().all(|c| c.is_alphanumeric() || c == ':' || c == '_'))
        .collect();
    markers.sort();
    markers.dedup();
    markers
}
