//! What the files and the step's output contain.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::ci::sample::{EVIL, Sample};
use crate::verdict::ExitCode;

/// What a step left behind.
struct Told {
    out: String,
    summary: String,
    outputs: Vec<(String, String)>,
    comment: String,
}

fn environment(root: &Path) -> Environment {
    let at = |name: &str| root.join(name).display().to_string();
    [
        ("GITHUB_STEP_SUMMARY", at("summary")),
        ("GITHUB_OUTPUT", at("output")),
        ("GITHUB_WORKSPACE", root.display().to_string()),
        ("GITHUB_WORKFLOW", "load tests".to_owned()),
        ("GITHUB_JOB", "duet".to_owned()),
    ]
    .into_iter()
    .collect()
}

fn told(sample: &Sample) -> Told {
    let mut out = Vec::new();
    let environment = environment(sample.root());
    publish(&sample.facts(), &environment, &mut out).expect("it can be written");
    let read = |name: &str| fs::read_to_string(sample.root().join(name)).expect("it was written");
    Told {
        out: String::from_utf8(out).expect("text"),
        summary: read("summary"),
        outputs: parse_outputs(&read("output")),
        comment: read(COMMENT),
    }
}

/// As the runner reads them: `name<<DELIMITER`, lines, `DELIMITER`.
fn parse_outputs(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(head) = lines.next() {
        let (name, delimiter) = head.split_once("<<").unwrap_or_else(|| panic!("no output: {head}"));
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
        found.push((name.to_owned(), value.join("\n")));
    }
    found
}

fn output<'a>(told: &'a Told, name: &str) -> &'a str {
    let mut found = told.outputs.iter().filter(|(known, _)| known == name);
    let value = found.next().map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no output {name}"));
    assert!(found.next().is_none(), "{name} is there twice");
    value
}

#[test]
fn a_regression_is_an_error_at_the_test_and_an_output() {
    let ids = ["p/lib/tests::slow", "p/lib/tests::slower", "p/lib/tests::same"];
    let sample = Sample::new(&ids)
        .compared(&[Verdict::Regressed, Verdict::Regressed, Verdict::Unchanged])
        .judged(&[(ExitCode::Regressed, "regressed against the baseline")]);
    let told = told(&sample);
    let lines: Vec<&str> = told.out.lines().collect();
    // What moved most comes first, what did not move is not there.
    assert_eq!(
        lines,
        [
            "::error file=src/lib.rs,line=42,title=slower%3A regressed::p95: 40.0ms → 44.4ms, +11.0%25 (+9.0%25 … +13.0%25)",
            "::error file=src/lib.rs,line=42,title=slow%3A regressed::p95: 40.0ms → 44.0ms, +10.0%25 (+8.0%25 … +12.0%25)",
        ]
    );
    assert_eq!(output(&told, "verdict"), "regressed");
    assert_eq!(output(&told, "exit-code"), "98");
    assert_eq!(output(&told, "first-line"), sample.first_line);
    assert_eq!(output(&told, "regressed-tests"), r#"["p/lib/tests::slow","p/lib/tests::slower"]"#);
    assert_eq!(output(&told, "comment"), sample.root().join(COMMENT).display().to_string());
    assert!(output(&told, "report").ends_with("report.html"));
    assert_eq!(output(&told, "junit"), "");
}

#[test]
fn the_comment_has_a_marker_the_numbers_and_the_command() {
    let sample = Sample::new(&["p/lib/tests::slow"]).compared(&[Verdict::Regressed]);
    let told = told(&sample);
    let expected = "<!-- cargo-loadtest:load-tests/duet -->\n\
        ## Load test\n\
        \n\
        **✗ REGRESSED. Duet of 6 pairs against main: finds changes from 5%.**\n\
        | | test | metric | base | head | change | 95 % interval | verdict |\n\
        |:-:|---|---|--:|--:|--:|--:|---|\n\
        | ✗ | `tests::slow` | p95 | 40.0ms | 44.0ms | +10.0% | +8.0% … +12.0% | regressed |\n\
        | = | `tests::slow` | throughput | 40.0/s | 44.0/s | +10.0% | +8.0% … +12.0% | no change above 10% |\n\
        \n\
        To repeat this comparison locally:\n\
        \n\
        ```sh\n\
        cargo loadtest --baseline main --seed 7\n\
        ```\n";
    let shown = told.comment.replace("&#8203;", "").replace("\n\n|", "\n|");
    assert_eq!(shown, expected);
    // What does not decide is in the summary only.
    assert!(!told.comment.contains("p50"), "{}", told.comment);
    assert!(told.summary.contains("| `tests::slow` | p50 |"), "{}", told.summary);
    assert!(!told.summary.contains("<!--"), "{}", told.summary);
}

#[test]
fn what_is_not_known_warns_unless_it_fails_the_job() {
    let verdicts = [Verdict::Inconclusive, Verdict::NotComparable];
    let sample = Sample::new(&["p/lib/a", "p/lib/b"]).compared(&verdicts);
    let told_one = told(&sample);
    let starts: Vec<_> = told_one.out.lines().map(|line| line.split(' ').next().unwrap_or(line)).collect();
    assert_eq!(starts, ["::warning", "::warning"]);
    // The worse comes first, with its reason.
    assert!(
        told_one
            .out
            .lines()
            .next()
            .is_some_and(|line| line.contains("not comparable::the target is not started"))
    );
    assert!(told_one.comment.contains("the target is not started by this test"), "{}", told_one.comment);

    let failing = Sample::new(&["p/lib/a", "p/lib/b"])
        .compared(&verdicts)
        .judged(&[(ExitCode::Inconclusive, "the runs are not comparable")]);
    assert!(told(&failing).out.lines().all(|line| line.starts_with("::error ")));
}

#[test]
fn a_failed_test_without_comparison_is_an_error_and_a_missing_baseline_a_warning() {
    let reason = "p/lib/tests::a: threshold failed: checks: rate>0.9";
    let mut sample = Sample::new(&["p/lib/tests::a", "p/lib/tests::ab"])
        .with_thresholds(&[("checks: rate>0.9", Some(0.5), false)])
        .judged(&[(ExitCode::ThresholdsFailed, reason)]);
    sample.baseline_missing = Some("main".to_owned());
    let told = told(&sample);
    let lines: Vec<&str> = told.out.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(
        lines[0],
        "::error file=src/lib.rs,line=42,title=a%3A failed::threshold failed: checks: rate>0.9"
    );
    assert_eq!(lines[1], "::warning title=nothing to compare with::the baseline main does not exist");
    assert_eq!(output(&told, "verdict"), "failed");
    assert!(told.summary.contains("| ✗ | `a` | `checks: rate>0.9` | 0.5000 |"), "{}", told.summary);
}

#[test]
fn a_run_that_passed_has_no_annotation() {
    let told = told(&Sample::new(&["p/lib/a"]));
    assert_eq!(told.out, "");
    assert_eq!(output(&told, "verdict"), "passed");
    assert!(told.summary.contains("✓ PASSED"));
}

#[test]
fn at_most_ten_annotations_the_worst_first() {
    let ids: Vec<String> = (0..15).map(|n| format!("p/lib/tests::t{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut verdicts = [Verdict::Inconclusive; 15];
    verdicts[11..].fill(Verdict::Regressed);
    let sample = Sample::new(&ids).compared(&verdicts).judged(&[
        (ExitCode::Crashed, "p/lib/tests::t3: crashed: signal 11"),
        (ExitCode::Regressed, "regressed against the baseline"),
    ]);
    let told = told(&sample);
    let levels: Vec<&str> =
        told.out.lines().map(|line| &line[2..line.find(' ').unwrap_or(line.len())]).collect();
    assert_eq!(levels[..5], ["error"; 5]);
    assert_eq!(levels[5..], ["warning"; 5]);
    assert!(told.out.lines().next().is_some_and(|line| line.contains("t3%3A crashed::crashed: signal 11")));
}

#[test]
fn hostile_texts_stay_texts() {
    let sample = Sample::hostile();
    let told = told(&sample);
    // The step's output: whole lines, each one of our commands.
    for line in told.out.lines() {
        let properties = line.strip_prefix("::error ").or_else(|| line.strip_prefix("::warning "));
        let (properties, message) = properties.and_then(|rest| rest.split_once("::")).expect("a command");
        assert!(!message.contains(['\u{1b}', '\0', '\r']), "{line}");
        for property in properties.split(',') {
            let (name, value) = property.split_once('=').expect("a property");
            assert!(["file", "line", "title"].contains(&name) && !value.contains(':'), "{line}");
        }
    }
    let names: Vec<&str> = told.outputs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["verdict", "exit-code", "first-line", "report", "comment", "junit", "regressed-tests"]
    );
    assert_eq!(output(&told, "verdict"), "regressed");
    let regressed: Vec<String> = serde_json::from_str(output(&told, "regressed-tests")).expect("JSON");
    assert_eq!(regressed.len(), EVIL.len());

    for page in [&told.comment, &told.summary] {
        let body = page.strip_prefix("<!-- cargo-loadtest:load-tests/duet -->\n").unwrap_or(page);
        // Outside of code.
        let prose = without_code(body).replace("\\]", "");
        for bad in ["<", "@e", "@o", "#1", "GH-", "://", "www.", "](", "$x", ":t"] {
            assert!(!prose.contains(bad), "{bad} in\n{prose}");
        }
        assert!(!page.contains(['\0', '\u{1b}']));
        // Each row has as many cells as its header.
        let mut columns = None;
        for line in body.lines() {
            let bars = line.replace("\\|", "").matches('|').count();
            if !line.starts_with('|') {
                columns = None;
            } else {
                assert_eq!(*columns.get_or_insert(bars), bars, "{line}");
            }
        }
    }
}

/// Markdown without what stands in code, as CommonMark reads it: a run of backticks up to the next of that length.
fn without_code(text: &str) -> String {
    let mut prose = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('`') {
        if at > 0 && rest.as_bytes()[at - 1] == b'\\' {
            prose.push_str(&rest[..=at]);
            rest = &rest[at + 1..];
            continue;
        }
        prose.push_str(&rest[..at]);
        let run = rest[at..].chars().take_while(|c| *c == '`').count();
        let after = &rest[at + run..];
        let mut from = 0;
        let end = loop {
            let Some(next) = after[from..].find('`').map(|next| from + next) else { break None };
            let length = after[next..].chars().take_while(|c| *c == '`').count();
            if length == run {
                break Some(next + run);
            }
            from = next + length;
        };
        rest = &after[end.unwrap_or_else(|| panic!("code does not end: {after}"))..];
    }
    prose + rest
}

#[test]
fn pages_stay_below_their_limits_and_keep_their_ends() {
    let ids: Vec<String> = (0..4000).map(|n| format!("p/lib/tests::{}{n}", "가".repeat(150))).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let sample = Sample::new(&ids).compared(&[Verdict::Regressed; 4000]);
    fs::write(sample.root().join("summary"), "x".repeat(100_000)).expect("writes");
    let told = told(&sample);
    assert!(told.comment.len() <= 65_536, "{}", told.comment.len());
    assert!(told.summary.len() <= 1024 * 1024 && told.summary.len() > 1_000_000, "{}", told.summary.len());
    for page in [&told.comment, &told.summary] {
        assert!(page.contains("The rest did not fit here"));
        assert!(
            page.ends_with("cargo loadtest --baseline main --seed 7\n```\n"),
            "{}",
            &page[page.len() - 200..]
        );
    }
    assert!(told.summary.starts_with(&"x".repeat(100_000)));
}

#[test]
fn summaries_of_several_commands_follow_each_other() {
    let sample = Sample::new(&["p/lib/a"]);
    let _ = told(&sample);
    let twice = told(&sample);
    assert_eq!(twice.summary.matches("## Load test").count(), 2);
    assert!(twice.summary.contains("\n\n## Load test"));
}

#[test]
fn without_the_services_files_only_the_comment_is_written() {
    let sample = Sample::new(&["p/lib/a"]);
    let mut out = Vec::new();
    let notes = publish(&sample.facts(), &Environment::default(), &mut out).expect("it can be written");
    assert_eq!(notes.len(), 1, "{notes:?}");
    let comment = fs::read_to_string(sample.root().join(COMMENT)).expect("it was written");
    assert!(comment.starts_with("<!-- cargo-loadtest:run -->\n"), "{comment}");
}

#[test]
fn paths_are_those_of_the_repository() {
    let root = tempfile::tempdir().expect("a directory");
    let workspace = root.path().join("services/a");
    fs::create_dir_all(&workspace).expect("a directory");
    let of = |path: &str| relative(root.path(), &workspace, Path::new(path));
    assert_eq!(of("crates/x/src/lib.rs").as_deref(), Some("services/a/crates/x/src/lib.rs"));
    assert_eq!(of("../b/./src/lib.rs").as_deref(), Some("services/b/src/lib.rs"));
    assert_eq!(of("../../../out.rs"), None);
    assert_eq!(of("/somewhere/else.rs"), None);

    // The repository of a checkout in a directory of the job's workspace.
    let mut sample = Sample::new(&["p/lib/a"]);
    sample.run.tests[0].document.definitions[0].file = "src/lib.rs".to_owned();
    let facts = Facts { workspace_root: &workspace, ..sample.facts() };
    let environment: Environment =
        [("GITHUB_WORKSPACE", root.path().display().to_string())].into_iter().collect();
    assert_eq!(repository(&facts, &environment), root.path());
    let own: PathBuf = root.path().join("services");
    assert_eq!(repository(&Facts { repository_root: Some(&own), ..facts }, &environment), own);
    assert!(marker(&facts, &environment).contains("services/a"));
}
