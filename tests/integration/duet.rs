//! Duets from the command line: both revisions built and run in turn, and what is said where that can't be.

use std::sync::{Mutex, MutexGuard, PoisonError};

use loadtest_tests::{Finished, Repository, fixture};
use serde_json::Value;

/// Duets measure time, so they take turns among themselves.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A repository on a branch of its own, with one commit that changes the service.
fn with_change(from: &str, to: &str) -> Repository {
    let repository = fixture("duet").under_version_control();
    repository.branch("change");
    repository.edit("src/settings.rs", from, to);
    repository.commit("a change");
    repository
}

const BUY: [&str; 6] = ["--exact", "load::buy", "--baseline", "main", "--runs", "4"];

fn verdicts(run: &Finished) -> Vec<(String, String)> {
    let metrics = run.document()["comparison"]["tests"][0]["metrics"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    metrics.iter().map(|metric| (text(&metric["name"]), text(&metric["verdict"]))).collect()
}

fn verdict_of(run: &Finished, metric: &str) -> String {
    let all = verdicts(run);
    all.iter().find(|(name, _)| name == metric).map(|(_, verdict)| verdict.clone()).unwrap_or_default()
}

#[test]
fn a_slower_commit_is_regressed_and_says_where() {
    let _turn = turn();
    let repository = with_change("DELAY_MS: u64 = 4", "DELAY_MS: u64 = 8");
    let run = repository.trial(&BUY).with_report().run().exited(98);
    let first = run.first_line();
    for said in ["REGRESSED", "4 pairs", "main", "merge base"] {
        assert!(first.contains(said), "{said}\n{}", run.stdout);
    }
    assert_eq!(verdict_of(&run, "p95"), "regressed", "{}", run.stdout);
    assert_eq!(verdict_of(&run, "throughput"), "regressed", "{}", run.stdout);
    // Before building: how it is compared, why, and how long that takes.
    let announced = run.stderr.find("in a duet, because").expect("it is said");
    let estimated = run.stderr.find("4 pairs of runs and a warm-up of each side: about").expect("it is said");
    let built = run.stderr.find("Building the base").expect("it is said");
    assert!(announced < estimated && estimated < built, "{}", run.stderr);

    let comparison = &run.document()["comparison"];
    assert_eq!(comparison["mode"], "duet");
    let order = comparison["order"].as_array().cloned().unwrap_or_default();
    let sides: Vec<&str> = order.iter().filter_map(|run| run["side"].as_str()).collect();
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
    assert_eq!(repository.git(&["branch", "--list"]).stdout.lines().count(), 2);
}

#[test]
fn an_equal_service_is_not_accused() {
    let _turn = turn();
    let repository = with_change("//! What the commits", "//! What all commits");
    let run = repository.trial(&BUY).run().exited(0);
    assert!(!run.first_line().contains("REGRESSED"), "{}", run.stdout);
    assert_eq!(run.document()["comparison"]["mode"], "duet");
}

#[test]
fn failing_fast_is_no_improvement() {
    let _turn = turn();
    let repository = with_change("FAIL_EVERY: u64 = 0", "FAIL_EVERY: u64 = 5");
    let run = repository.trial(&BUY).run();
    // The attribute has no threshold, so what fails is the comparison.
    let run = run.exited(98);
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
    let run = repository.trial(&BUY).run().exited(98);
    assert_eq!(run.document()["comparison"]["head"]["dirty"], true);
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
    let run = repository
        .trial(&["--exact", "load::purchase", "--baseline", "main", "--runs", "4"])
        .run()
        .exited(98);
    assert_eq!(verdict_of(&run, "p95"), "regressed", "{}", run.stdout);
}
