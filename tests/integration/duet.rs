//! Duets from the command line: both revisions built and run in turn, and what is said where that can't be.

use std::sync::{Mutex, MutexGuard, PoisonError};

use loadtest_tests::{Finished, Repository, fixture};
use serde_json::Value;

/// Duets measure time, and cargo builds all copies of a fixture into the same files: they take turns among themselves.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A repository on a branch of its own, with one commit that changes the service.
pub(crate) fn with_change(from: &str, to: &str) -> Repository {
    let repository = fixture("duet").under_version_control();
    repository.branch("change");
    repository.edit("src/settings.rs", from, to);
    repository.commit("a change");
    repository
}

pub(crate) const BUY: [&str; 6] = ["--exact", "load::buy", "--baseline", "main", "--runs", "4"];

/// Too short for a verdict, and long enough to see whose service it was.
const SHORTER: [&str; 2] = ["--compare-duration", "1s"];

fn verdicts(run: &Finished) -> Vec<(String, String)> {
    let metrics = run.document()["comparison"]["tests"][0]["metrics"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    metrics.iter().map(|metric| (text(&metric["name"]), text(&metric["verdict"]))).collect()
}

fn verdict_of(run: &Finished, metric: &str) -> String {
    let all = verdicts(run);
    all.iter().find(|(name, _)| name == metric).map(|(_, verdict)| verdict.clone()).unwrap_or_default()
}

/// What actions/checkout leaves for a pull request: the result of merging it, on no branch.
fn merged(repository: &Repository) {
    repository.git(&["switch", "--quiet", "main"]);
    repository.write("NEWS.md", "What others did meanwhile.\n");
    repository.commit("meanwhile");
    repository.git(&["switch", "--quiet", "--detach"]);
    repository.git(&["merge", "--quiet", "--no-ff", "--message", "Merge change into main", "change"]);
}

/// The job of a pull request on GitHub, and where its files are.
fn job(repository: &Repository, arguments: &[&str]) -> (Finished, String, String) {
    let file = |name: &str| {
        let path = repository.beside(name);
        std::fs::write(&path, "what was there\n").expect("it can be written");
        path
    };
    let (summary, output) = (file("summary.md"), file("output"));
    let variables = [
        ("CI", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_EVENT_NAME", "pull_request"),
        ("GITHUB_REF", "refs/pull/7/merge"),
        ("GITHUB_BASE_REF", "main"),
        ("GITHUB_HEAD_REF", "change"),
        ("GITHUB_SHA", &repository.commit_of("HEAD")),
        ("GITHUB_WORKSPACE", &repository.path().display().to_string()),
        ("GITHUB_STEP_SUMMARY", &summary.display().to_string()),
        ("GITHUB_OUTPUT", &output.display().to_string()),
    ];
    let trial = repository.trial(arguments).with_report();
    let run = variables.into_iter().fold(trial, |trial, (key, value)| trial.env(key, value)).run();
    let read = |path| std::fs::read_to_string(path).expect("it is there");
    (run, read(&summary), read(&output))
}

#[test]
fn a_pull_request_with_a_slow_commit_fails_at_the_test() {
    let _turn = turn();
    let repository = with_change("DELAY_MS: u64 = 4", "DELAY_MS: u64 = 8");
    merged(&repository);
    let (run, summary, output) = job(&repository, &BUY);
    let run = run.exited(98);
    let first = run.first_line();
    for said in ["REGRESSED", "4 pairs", "main", "the first parent of the pull request's merge commit"] {
        assert!(first.contains(said), "{said}\n{}", run.stdout);
    }
    assert_eq!(verdict_of(&run, "p95"), "regressed", "{}", run.stdout);
    assert_eq!(verdict_of(&run, "throughput"), "regressed", "{}", run.stdout);

    // Where the service shows it: at the function of the test, in the summary, and for later steps.
    let source = std::fs::read_to_string(repository.path().join("src/lib.rs")).expect("it is there");
    let line = 1 + source.lines().position(|line| line.contains("async fn buy(")).expect("it is there");
    let annotation = run.stdout.lines().find(|line| line.starts_with("::error ")).unwrap_or_default();
    let place = format!("::error file=src/lib.rs,line={line},title=buy");
    assert!(annotation.starts_with(&place) && annotation.contains("p95"), "{annotation}\n{}", run.stdout);
    assert!(summary.starts_with("what was there\n") && summary.contains("REGRESSED"), "{summary}");
    assert!(output.starts_with("what was there\n"), "{output}");
    for (name, value) in [("verdict", "regressed"), ("exit-code", "98")] {
        let told = output.split(&format!("\n{name}<<")).nth(1).and_then(|rest| rest.lines().nth(1));
        assert_eq!(told, Some(value), "{name}\n{output}");
    }

    // Before building: how it is compared, why, and how long that takes.
    let announced = run.stderr.find("in a duet, because").expect("it is said");
    let estimated = run.stderr.find("4 pairs of runs and a warm-up of each side: about").expect("it is said");
    let built = run.stderr.find("Building the base").expect("it is said");
    assert!(announced < estimated && estimated < built, "{}", run.stderr);

    let comparison = &run.document()["comparison"];
    assert_eq!(comparison["mode"], "duet");
    let order = comparison["order"].as_array().cloned().unwrap_or_default();
    let kept = order.iter().filter(|run| run["discarded"].is_null());
    let sides: Vec<&str> = kept.filter_map(|run| run["side"].as_str()).collect();
    assert_eq!(sides.len(), 8);
    assert!(sides[0] != sides[1] && sides[1] == sides[2] && sides[3] == sides[4], "ABBA: {sides:?}");
    // Every run is kept, and the session with it.
    for record in &order {
        let id = record["run"].as_str().expect("an id");
        assert!(run.store().join("runs").join(id).join("run.json").exists(), "{id}");
    }
    assert_eq!(std::fs::read_dir(run.store().join("sessions")).expect("sessions").count(), 1);
    // The working tree and the list of branches are as they were.
    assert_eq!(repository.git(&["status", "--porcelain"]).stdout, "");
    let branches = repository.git(&["for-each-ref", "refs/heads"]).stdout;
    assert_eq!(branches.lines().count(), 2, "{branches}");
}

#[test]
fn a_pull_request_that_changes_documents_passes() {
    let _turn = turn();
    let repository = fixture("duet").under_version_control();
    repository.branch("change");
    repository.write("README.md", "How to use it.\n");
    repository.commit("documents");
    merged(&repository);
    let (run, summary, _) = job(&repository, &[&BUY[..], &["--compare-duration", "2s"]].concat());
    let run = run.exited(0);
    assert!(!run.first_line().contains("REGRESSED") && !run.stdout.contains("::error "), "{}", run.stdout);
    assert!(!summary.contains("REGRESSED"), "{summary}");
    assert_eq!(run.document()["comparison"]["mode"], "duet");
}

/// Asserts that each side was built from its own source: head waits twice as long. By what the runs measured, because
/// they are shorter here than a verdict needs.
pub(crate) fn measured_each_its_own(run: &Finished) {
    let comparison = run.document()["comparison"].take();
    assert_eq!(comparison["mode"], "duet", "{}\n{}", run.stdout, run.stderr);
    let mean = |side: &str| {
        let of_side = |record: &&Value| record["side"] == side && record["discarded"].is_null();
        let runs = comparison["order"].as_array().into_iter().flatten().filter(of_side);
        let (mut count, mut sum) = (0.0, 0.0);
        for record in runs {
            let path = run.store().join("runs").join(record["run"].as_str().expect("an id")).join("run.json");
            let text = std::fs::read_to_string(path).expect("it is kept");
            let document: Value = serde_json::from_str(&text).expect("JSON");
            let rows = document["tests"][0]["summary"].as_array().cloned().unwrap_or_default();
            let row = rows.iter().find(|row| row["metric"]["name"] == "http_req_duration").expect("requests");
            count += row["count"].as_f64().expect("a number");
            sum += row["sum"].as_f64().expect("a number");
        }
        assert!(count > 0.0, "{side}\n{}\n{}", run.stdout, run.stderr);
        sum / count
    };
    let (base, head) = (mean("base"), mean("head"));
    assert!(head > 1.3 * base, "{base} {head}\n{}\n{}", run.stdout, run.stderr);
}

#[test]
fn failing_fast_is_no_improvement() {
    let _turn = turn();
    let repository = with_change("FAIL_EVERY: u64 = 0", "FAIL_EVERY: u64 = 5");
    // The attribute has no threshold, so what fails is the comparison.
    let run = repository.trial(&BUY).run().exited(98);
    assert_eq!(verdict_of(&run, "errors"), "regressed", "{}", run.stdout);
    assert!(verdicts(&run).iter().all(|(_, verdict)| verdict != "improved"), "{:?}", verdicts(&run));
}

#[test]
fn local_changes_are_head_and_a_clean_base_is_nothing_to_compare() {
    let _turn = turn();
    let repository = fixture("duet").under_version_control();
    let same = repository.trial(&BUY).run().exited(0);
    assert!(same.first_line().contains("NOTHING TO COMPARE"), "{}", same.stdout);
    assert!(!same.store().join("runs").exists(), "nothing was run");

    repository.edit("src/settings.rs", "DELAY_MS: u64 = 4", "DELAY_MS: u64 = 8");
    let run = repository.trial(&[&BUY[..], &SHORTER].concat()).run();
    assert_eq!(run.document()["comparison"]["head"]["dirty"], true);
    assert!(run.stderr.contains("note: files differ from the last commit"), "{}", run.stderr);
    measured_each_its_own(&run);
    assert_eq!(repository.git(&["status", "--porcelain"]).stdout.trim(), "M src/settings.rs");
}

#[test]
fn a_target_that_the_test_does_not_start_is_not_comparable() {
    let _turn = turn();
    let repository = with_change("DELAY_MS: u64 = 4", "DELAY_MS: u64 = 8");
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = server.local_addr().expect("it has an address");
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut stream in server.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    let url = format!("BASE_URL=http://{address}");
    let arguments = ["--exact", "load::elsewhere", "--baseline", "main", "-e", &url];
    let run = repository.trial(&arguments).run().exited(0);
    assert!(run.first_line().contains("not comparable"), "{}", run.stdout);
    assert!(run.first_line().contains("not started by this test"), "{}", run.stdout);
    let failing = [&arguments[..], &["--inconclusive", "fail"]].concat();
    let _ = repository.trial(&failing).after(&run).run().exited(97);
}

#[test]
fn a_base_that_does_not_build_is_told_and_head_runs_all_the_same() {
    let _turn = turn();
    let repository = fixture("duet").under_version_control();
    repository.edit("src/settings.rs", "u64 = 4;", "u64 = 4");
    repository.commit("broken");
    repository.branch("change");
    repository.edit("src/settings.rs", "u64 = 4", "u64 = 4;");
    repository.commit("mended");
    let run = repository.trial(&BUY).run().exited(0);
    assert!(run.first_line().contains("The base does not build"), "{}", run.stdout);
    assert!(run.stdout.contains("http_reqs"), "head was run\n{}", run.stdout);
}

#[test]
fn a_test_that_is_new_or_renamed_is_compared_all_the_same() {
    let _turn = turn();
    let repository = fixture("duet").under_version_control();
    repository.branch("change");
    repository.edit("src/lib.rs", "async fn buy(", "async fn purchase(");
    repository.edit("src/settings.rs", "DELAY_MS: u64 = 4", "DELAY_MS: u64 = 8");
    repository.commit("renamed and slower");
    let renamed = ["--exact", "load::purchase", "--baseline", "main", "--runs", "4"];
    measured_each_its_own(&repository.trial(&[&renamed[..], &SHORTER].concat()).run());
}
