//! Continuous integration without a service of it: workflow files are valid, and their own steps do what they say.

mod expression;
mod runner;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use loadtest_tests::{cargo_loadtest, run, shared_fixture, workspace};
use serde_json::{Value, json};

use runner::{Ran, Runner};

/// Notes every call in `$GH_LOG`, with the text of a body; answers with what is in `$GH_ANSWERS`, by what it is asked for.
const GH: &str = r#"#!/usr/bin/env bash
set -euo pipefail
printf '%s\n' "$*" >>"$GH_LOG"
filter=.
for argument in "$@"; do
  if [[ ${previous:-} == --jq ]]; then filter=$argument; fi
  if [[ $argument == body=@* ]]; then cat "${argument#body=@}" >>"$GH_LOG.body"; fi
  previous=$argument
done
case "$*" in
  *PATCH*|*POST*) exit "${GH_CODE:-0}" ;;
  *comments*) jq -r "$filter" "$GH_ANSWERS/comments.json" ;;
  *pulls*) jq -r "$filter" "$GH_ANSWERS/pulls.json" ;;
esac
"#;

/// Stands in for the subcommand: notes its arguments, says what it is told to say.
const STAND_IN: &str = r#"#!/usr/bin/env bash
if [[ ${2:-} == --version ]]; then echo "cargo-loadtest ${STAND_IN_VERSION:-0.0.0}"; exit; fi
printf '%s\n' "$@" >"$STAND_IN_ARGUMENTS"
mkdir -p out
echo '<html>' >out/report.html
printf '<!-- cargo-loadtest:load-test/loadtest -->\n## Load test\n' >out/comment.md
{
  echo "verdict=regressed"; echo "exit-code=98"; echo "report=$PWD/out/report.html"; echo "comment=$PWD/out/comment.md"
} >>"$GITHUB_OUTPUT"
exit "${STAND_IN_CODE:-98}"
"#;

fn parsed(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn action() -> Value {
    parsed(&workspace().join("action.yml"))
}

/// All workflows: this project's, and those to copy. That for GitLab is none.
fn workflows() -> Vec<PathBuf> {
    let all = [".github/workflows", "docs/workflows"]
        .map(|at| fs::read_dir(workspace().join(at)).expect("it is there"));
    let mut paths: Vec<PathBuf> =
        all.into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| !path.ends_with("gitlab.yml"));
    paths.sort();
    assert!(paths.len() >= 5, "{paths:?}");
    paths
}

fn pull_request(head_repository: &str) -> Value {
    json!({ "pull_request": {
        "number": 17,
        "base": { "ref": "main" },
        "head": { "ref": "slow", "repo": { "full_name": head_repository } },
    } })
}

/// A machine with a stand-in for the subcommand and `gh`.
fn machine(event_name: &str, event: &Value) -> Runner {
    let runner = Runner::new(event_name, event).program("gh", GH).program("cargo-loadtest", STAND_IN);
    let answers = runner.path("answers");
    fs::create_dir(&answers).expect("a directory");
    fs::write(answers.join("comments.json"), "[]").expect("writes");
    fs::write(answers.join("pulls.json"), "[]").expect("writes");
    let at = |name: &str| runner.path(name).display().to_string();
    let (arguments, log) = (at("arguments"), at("gh.log"));
    runner
        .env("STAND_IN_ARGUMENTS", &arguments)
        .env("GH_LOG", &log)
        .env("GH_ANSWERS", &answers.display().to_string())
}

fn read(runner: &Runner, name: &str) -> String {
    fs::read_to_string(runner.path(name)).unwrap_or_default()
}

#[test]
fn workflow_files_and_the_action_are_valid() {
    let schema = |name: &str| {
        let text = fs::read_to_string(workspace().join("tests/schemas").join(name)).expect("it is there");
        let schema: Value = serde_json::from_str(&text).expect("JSON");
        jsonschema::validator_for(&schema).expect("a schema")
    };
    let check = |validator: &jsonschema::Validator, path: &Path, value: &Value| {
        let errors: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}\n{}", path.display(), errors.join("\n"));
    };
    let workflow = schema("github-workflow.json");
    for path in workflows() {
        check(&workflow, &path, &parsed(&path));
    }
    let path = workspace().join("action.yml");
    let schema = schema("github-action.json");
    check(&schema, &path, &action());
    // Both do refuse what is wrong.
    assert!(!workflow.is_valid(&json!({ "on": "push", "jobs": { "a": { "steps": [] } } })));
    assert!(!schema.is_valid(&json!({ "name": "a", "runs": { "using": "composite" } })));
}

#[test]
fn no_workflow_has_rights_that_it_does_not_need_or_runs_text_from_outside() {
    let mut files = workflows();
    files.push(workspace().join("action.yml"));
    for path in files {
        let file = parsed(&path);
        let name = path.display();
        if file["runs"].is_null() {
            let rights = &file["permissions"];
            let none = rights.as_object().is_some_and(|rights| rights.values().all(|right| right == "read"));
            assert!(none, "{name}: rights belong to the job that needs them: {rights}");
        }
        let jobs = file["jobs"].as_object().into_iter().flatten().map(|(_, job)| &job["steps"]);
        for step in jobs.chain([&file["runs"]["steps"]]).filter_map(Value::as_array).flatten() {
            let script = step["run"].as_str().unwrap_or_default();
            assert!(!script.contains("${{"), "{name}: what is put into a script is run: {script}");
            // Other people's tags move. Those that were here before are none of ours.
            let uses = step["uses"].as_str().unwrap_or("./");
            let trusted = ["./", "actions/", "cargo-loadtest/"].iter().any(|owner| uses.starts_with(owner));
            let is_sha = uses.rsplit('@').next().is_some_and(|at| at.len() == 40);
            assert!(trusted || is_sha || path.ends_with("ci.yml"), "{name}: {uses}");
        }
    }
}

#[test]
fn the_action_compares_with_the_base_branch_and_fails_with_the_verdict() {
    let runner = machine("pull_request", &pull_request("owner/project"));
    let args = "--package concert\n-e 'GREETING=two words $(touch never) `id`'";
    let inputs = [("install", "false"), ("args", args)];
    let (ran, runner) = runner.action(&action(), &inputs);

    let arguments = read(&runner, "arguments");
    let arguments: Vec<&str> = arguments.lines().collect();
    assert!(arguments[2].ends_with("/junit.xml") && arguments[1] == "--junit", "{arguments:?}");
    // Cargo passes the name of the subcommand. Quotes hold a value together, and nothing in it is run.
    let rest = ["--baseline", "main", "--package", "concert", "-e", "GREETING=two words $(touch never) `id`"];
    assert_eq!(arguments[0], "loadtest");
    assert_eq!(arguments[3..], rest);
    assert_eq!(ran.step("Load test").code, Some(98));
    assert!(ran.failed);
    assert_eq!(ran.outputs["verdict"], "regressed");
    assert_eq!(ran.outputs["exit-code"], "98");

    // The failure keeps neither the artifact nor the comment back.
    let (uses, with) = ran.step("Upload the results").uses.clone().expect("an artifact");
    assert_eq!((uses.as_str(), &with["name"]), ("actions/upload-artifact@v4", &json!("loadtest")));
    let results = PathBuf::from(with["path"].as_str().expect("a path"));
    assert_eq!(fs::read_to_string(results.join("report.html")).expect("it is there"), "<html>\n");
    assert!(results.join("comment.md").is_file());
    let log = read(&runner, "gh.log");
    assert!(log.contains("--method POST repos/owner/project/issues/17/comments"), "{log}");
    assert!(
        read(&runner, "gh.log.body").starts_with("<!-- cargo-loadtest:load-test/loadtest -->\n## Load test")
    );
}

#[test]
fn the_actions_comment_is_sticky_and_its_failure_is_none_of_the_verdict() {
    let inputs = [("install", "false"), ("baseline", "none")];
    let runner = machine("pull_request", &pull_request("owner/project")).env("STAND_IN_CODE", "0");
    let marker = "<!-- cargo-loadtest:load-test/loadtest -->";
    let comments = json!([
        { "id": 1, "user": { "type": "User" }, "body": format!("{marker} forged") },
        { "id": 2, "user": { "type": "Bot" }, "body": "<!-- cargo-loadtest:other -->" },
        { "id": 3, "user": { "type": "Bot" }, "body": format!("{marker}\nbefore") },
    ]);
    fs::write(runner.path("answers/comments.json"), comments.to_string()).expect("writes");
    let (ran, runner) = runner.action(&action(), &inputs);
    assert!(!ran.failed);
    let log = read(&runner, "gh.log");
    assert!(log.contains("--method PATCH repos/owner/project/issues/comments/3 "), "{log}");
    assert!(!log.contains("POST"), "{log}");
    assert!(!read(&runner, "arguments").contains("--baseline"));

    let refused =
        machine("pull_request", &pull_request("owner/project")).env("GH_CODE", "1").env("STAND_IN_CODE", "0");
    let (ran, _) = refused.action(&action(), &inputs);
    assert!(!ran.failed);
    let output = ran.step("Comment in the pull request").output.clone().unwrap_or_default();
    assert!(output.contains("::warning title=no comment::"), "{output}");
}

#[test]
fn the_action_asks_for_no_comment_where_there_can_be_none() {
    let cases = [
        ("pull_request", pull_request("fork/project"), "true"),
        ("pull_request", pull_request("owner/project"), "false"),
        ("push", json!({}), "true"),
    ];
    for (event_name, event, comment) in cases {
        let (ran, runner) =
            machine(event_name, &event).action(&action(), &[("install", "false"), ("comment", comment)]);
        assert_eq!(ran.step("Comment in the pull request").output, None, "{event_name} {event}");
        assert_eq!(read(&runner, "gh.log"), "");
        assert!(ran.step("Upload the results").uses.is_some());
        let compared = read(&runner, "arguments").contains("--baseline");
        assert_eq!(compared, event_name == "pull_request");
    }
}

/// A release's archive, served by a stand-in for curl from `$RELEASE`.
fn release(runner: Runner, sum: Option<&str>) -> Runner {
    const CURL: &str = r#"#!/usr/bin/env bash
while [[ $# -gt 1 ]]; do if [[ $1 == -o ]]; then to=$2; fi; shift; done
printf '%s\n' "$1" >>"$CURL_LOG"
cp "$RELEASE/$(basename "$1")" "$to" 2>/dev/null || exit 22
"#;
    let at = runner.path("release");
    let name = "cargo-loadtest-x86_64-unknown-linux-musl-v0.1.0";
    fs::create_dir_all(at.join(name)).expect("a directory");
    if let Some(sum) = sum {
        fs::write(at.join(name).join("cargo-loadtest"), "#!/bin/sh\necho new\n").expect("writes");
        let archive = format!("{name}.tar.gz");
        run(Command::new("tar").args(["-czf", &archive, name]).current_dir(&at)).succeeded();
        let line = match sum {
            "right" => run(Command::new("sha256sum").arg(&archive).current_dir(&at)).succeeded().stdout,
            wrong => format!("{}  {archive}\n", wrong.repeat(64)),
        };
        fs::write(at.join(format!("{archive}.sha256")), line).expect("writes");
    }
    let log = runner.path("curl.log").display().to_string();
    let cargo = r#"#!/usr/bin/env bash
if [[ $1 == loadtest ]]; then exec cargo-loadtest "$@"; fi
printf '%s\n' "$*" >>"$CARGO_LOG"
"#;
    let cargo_log = runner.path("cargo.log").display().to_string();
    runner
        .program("curl", CURL)
        .program("cargo", cargo)
        .program("rustc", "#!/bin/sh\necho host: x86_64-unknown-linux-gnu\n")
        .env("CURL_LOG", &log)
        .env("CARGO_LOG", &cargo_log)
        .env("RELEASE", &at.display().to_string())
}

fn installed(sum: Option<&str>, version: &str, there: &str) -> (Ran, Runner) {
    let runner = machine("push", &json!({})).env("STAND_IN_VERSION", there).env("STAND_IN_CODE", "0");
    release(runner, sum).action(&action(), &[("version", version)])
}

#[test]
fn the_action_installs_the_binary_of_its_own_version_after_checking_it() {
    let (ran, runner) = installed(Some("right"), "", "0.0.9");
    let step = ran.step("Install cargo-loadtest");
    assert_eq!(step.code, Some(0), "{step:?}");
    assert!(ran.paths[0].join("cargo-loadtest").is_file(), "{:?}", ran.paths);
    let url = "https://github.com/cargo-loadtest/cargo-loadtest/releases/download/v0.1.0/\
               cargo-loadtest-x86_64-unknown-linux-musl-v0.1.0.tar.gz";
    assert_eq!(read(&runner, "curl.log"), format!("{url}\n{url}.sha256\n"));
    assert_eq!(read(&runner, "cargo.log"), "");

    // A binary with another sum is neither used nor quietly replaced by a build.
    let (ran, runner) = installed(Some("0"), "0.1.0", "0.0.9");
    assert_ne!(ran.step("Install cargo-loadtest").code, Some(0));
    assert!(ran.paths.is_empty());
    assert_eq!((read(&runner, "cargo.log"), read(&runner, "arguments")), (String::new(), String::new()));

    // Nothing is fetched that is there.
    let (ran, runner) = installed(Some("right"), "0.1.0", "0.1.0");
    assert_eq!((ran.failed, read(&runner, "curl.log")), (false, String::new()));

    let (ran, _) = installed(None, "$(id)", "0.0.9");
    assert_eq!(ran.step("Install cargo-loadtest").code, Some(2));
}

#[test]
fn without_a_binary_the_action_builds() {
    let (_, runner) = installed(None, "", "0.0.9");
    let own = workspace().join("cargo-loadtest");
    assert_eq!(read(&runner, "cargo.log"), format!("install --locked --path {}\n", own.display()));
    let (_, runner) = installed(None, "0.1.0", "0.0.9");
    assert_eq!(read(&runner, "cargo.log"), "install --locked cargo-loadtest --version 0.1.0\n");
    let (_, runner) = installed(Some("right"), "source", "0.1.0");
    assert_eq!(read(&runner, "cargo.log"), format!("install --locked --path {}\n", own.display()));
}

#[test]
fn the_names_of_a_release_are_those_that_binstall_and_the_action_look_for() {
    let release = parsed(&workspace().join(".github/workflows/release.yml"));
    let targets =
        release["jobs"]["build"]["strategy"]["matrix"]["include"].as_array().expect("targets").clone();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(version, "0.1.0", "the runner's GITHUB_REF_NAME");
    let manifest = fs::read_to_string(workspace().join("cargo-loadtest/Cargo.toml")).expect("it is there");
    let template = |key: &str| {
        let line =
            manifest.lines().find_map(|line| line.strip_prefix(&format!("{key} = "))).expect("it is there");
        line.trim_matches('"').to_owned()
    };
    assert_eq!(targets.len(), 4);
    for matrix in targets {
        let target = matrix["target"].as_str().expect("a target").to_owned();
        let runner = Runner::new("push", &json!({})).context("matrix", matrix);
        let checkout = runner.path("checkout");
        for file in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "Cargo.toml"] {
            fs::copy(workspace().join(file), checkout.join(file)).expect("copies");
        }
        // Stands in for the build.
        let cargo = "#!/bin/sh\nmkdir -p target/$TARGET/release && echo binary >target/$TARGET/release/cargo-loadtest\n";
        let runner = runner.program("cargo", cargo).program("rustup", "#!/bin/sh\n");
        let (ran, _machine) = runner.job(&release["jobs"]["build"]);
        assert!(!ran.failed, "{:?}", ran.steps);
        let fill = |text: String| {
            text.replace("{ repo }", "R")
                .replace("{ name }", "cargo-loadtest")
                .replace("{ target }", &target)
                .replace("{ version }", version)
        };
        let url = fill(template("pkg-url"));
        let archive =
            url.strip_prefix(&format!("R/releases/download/v{version}/")).expect("a release's").to_owned();
        let dist = checkout.join("dist");
        assert!(dist.join(&archive).is_file(), "{archive}");
        run(Command::new("sha256sum").args(["-c", &format!("{archive}.sha256")]).current_dir(&dist))
            .succeeded();
        let binary =
            fill(template("bin-dir")).replace("{ bin }", "cargo-loadtest").replace("{ binary-ext }", "");
        let packed =
            run(Command::new("tar").args(["-xzOf", &archive, &binary]).current_dir(&dist)).succeeded();
        assert_eq!(packed.stdout, "binary\n");
    }
}

fn workflow_run(pull_requests: &Value) -> Value {
    json!({ "workflow_run": {
        "id": 99,
        "event": "pull_request",
        "head_sha": "abc",
        "head_branch": "slow",
        "head_repository": { "full_name": "fork/project", "owner": { "login": "fork" } },
        "pull_requests": pull_requests,
    } })
}

/// Runs the workflow to copy for forks, with this comment in the artifact.
fn fork_comment(event: &Value, comment: &str) -> (Ran, Runner) {
    let workflow = parsed(&workspace().join("docs/workflows/loadtest-comment.yml"));
    let runner = machine("workflow_run", event);
    fs::create_dir(runner.path("temp/loadtest")).expect("a directory");
    fs::write(runner.path("temp/loadtest/comment.md"), comment).expect("writes");
    // What would be believed if anything were.
    fs::write(runner.path("temp/loadtest/number"), "666").expect("writes");
    let pulls = json!([
        { "number": 16, "head": { "sha": "older" } },
        { "number": 17, "head": { "sha": "abc" } },
    ]);
    fs::write(runner.path("answers/pulls.json"), pulls.to_string()).expect("writes");
    runner.job(&workflow["jobs"]["comment"])
}

#[test]
fn a_forks_comment_goes_to_the_pull_request_that_the_event_or_github_names() {
    let comment = "<!-- cargo-loadtest:load-test/loadtest -->\n## Load test\n\n**\\+3&#8203; &lt;b&gt;**\n";
    for (pull_requests, asks) in [(json!([]), true), (json!([{ "number": 17 }]), false)] {
        let (ran, runner) = fork_comment(&workflow_run(&pull_requests), comment);
        assert!(!ran.failed, "{:?}", ran.steps);
        let log = read(&runner, "gh.log");
        assert!(log.contains("--method POST repos/owner/project/issues/17/comments"), "{log}");
        assert_eq!(log.contains("head=fork:slow"), asks, "{log}");
        let body = read(&runner, "gh.log.body");
        let (marker, said) = comment.split_once('\n').expect("two lines");
        let run = "*Said by the code of this pull request, in [this run](https://github.com/owner/project/actions/runs/99).*";
        assert_eq!(body, format!("{marker}\n{run}\n\n{}", said.replace("&#8203;", "\u{200b}")));
    }
    // A pull request of the project itself has its comment already.
    let mut own = workflow_run(&json!([{ "number": 17 }]));
    own["workflow_run"]["head_repository"]["full_name"] = "owner/project".into();
    assert!(fork_comment(&own, comment).0.steps.is_empty());
    // A commit that is no longer the head.
    let mut older = workflow_run(&json!([]));
    older["workflow_run"]["head_sha"] = "gone".into();
    let (ran, runner) = fork_comment(&older, comment);
    assert!(!ran.failed && !read(&runner, "gh.log").contains("POST"));
}

#[test]
fn a_forks_comment_is_text_whatever_the_artifact_holds() {
    let marker = "<!-- cargo-loadtest:x -->";
    let evil = "@everyone &#64;org/team &commat;x <img src=x> <!-- --> [a](https://evil.example) ![b](//e) [c][d]\n\
                [d]: //evil.example\nwww.evil.example #12 GH-34 `$(touch /tmp/never)` \u{1b}[31m";
    let (ran, runner) = fork_comment(&workflow_run(&json!([])), &format!("{marker}\n{evil}\n"));
    assert!(!ran.failed, "{:?}", ran.steps);
    let body = read(&runner, "gh.log.body");
    let text = body.strip_prefix(marker).and_then(|rest| rest.split_once("/runs/99).*")).expect("a head").1;
    for bad in ["@e", "&#", "&c", "<i", "<!", "](", "][", "]:", "://", "www.", "#1", "GH-", "\u{1b}"] {
        assert!(!text.contains(bad), "{bad} in\n{text}");
    }
    assert!(text.contains("everyone") && text.contains("$(touch /tmp/never)"), "{text}");

    for forged in ["no marker\n", "<!-- cargo-loadtest:x --> <b>\n", "<!-- cargo-loadtest:$(id) -->\n"] {
        let (ran, runner) = fork_comment(&workflow_run(&json!([])), forged);
        assert!(ran.failed, "{forged}");
        assert_eq!(read(&runner, "gh.log"), "");
    }
    for text in ["가<", "<", "a\u{1f3ab}"] {
        let long = format!("{marker}\n{}\n", text.repeat(100_000));
        let (ran, runner) = fork_comment(&workflow_run(&json!([])), &long);
        assert!(!ran.failed, "{:?}", ran.steps);
        let length = read(&runner, "gh.log.body").chars().count();
        assert!((10_000..65_536).contains(&length), "{length}");
    }
}

#[test]
fn the_action_tells_what_a_real_run_found() {
    let fixture = shared_fixture("failures");
    let runner = Runner::new("push", &json!({})).checked_out(fixture.path());
    let link = runner.path("bin/cargo-loadtest");
    std::os::unix::fs::symlink(cargo_loadtest(), link).expect("a link");
    let store = runner.path("store").display().to_string();
    let target = workspace().join("target/fixtures").display().to_string();
    let runner = runner
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_NET_OFFLINE", "true")
        .env("LOADTEST_STORE", &store);
    let args = "--offline --profile dev --allow-debug --exact tests::panics";
    let (ran, runner) = runner.action(&action(), &[("install", "false"), ("args", args)]);

    let step = ran.step("Load test");
    let output = step.output.as_deref().unwrap_or_default();
    assert_eq!(step.code, Some(99), "{output}");
    let place = "::error file=src/lib.rs,line=";
    assert!(
        output.lines().any(|line| line.starts_with(place) && line.contains("no iteration succeeded")),
        "{output}"
    );
    assert!(step.summary.starts_with("## Load test\n"), "{}", step.summary);
    assert_eq!((&ran.outputs["verdict"], &ran.outputs["exit-code"]), (&json!("failed"), &json!("99")));
    for name in ["report", "comment", "junit"] {
        let path = ran.outputs[name].as_str().unwrap_or_default();
        assert!(Path::new(path).is_file(), "{name}: {path}");
    }
    let (_, with) = ran.step("Upload the results").uses.clone().expect("an artifact");
    let results = PathBuf::from(with["path"].as_str().expect("a path"));
    assert!(results.starts_with(runner.path("temp")) && results.join("junit.xml").is_file());
}
