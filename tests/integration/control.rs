//! A run that is watched, held, scaled and ended from outside, and what it says of that.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use loadtest_tests::{Run, Running, cargo_loadtest, run, shared_fixture};
use rustix::process::Signal;

const BOUND: Duration = Duration::from_secs(240);

/// A run of the fixture that can be controlled, and where.
fn controlled(test: &str, more: &[&str]) -> (Running, String) {
    let name = format!("tests::{test}");
    let arguments = ["--no-report", "--progress", "lines", "--control", "127.0.0.1:0", "--exact", &name];
    let mut running = shared_fixture("model").trial(arguments.iter().chain(more)).start();
    let address = running.until(BOUND, |run| {
        let said = run.stderr_so_far();
        let after = said.split("Controlled at ").nth(1)?;
        let address = after.split_whitespace().next()?.trim_end_matches(',');
        address.contains(':').then(|| address.trim_start_matches("http://").to_owned())
    });
    running.until(BOUND, |run| (run.seconds_stored() >= 1).then_some(()));
    (running, address)
}

/// `cargo loadtest VERB … --control ADDRESS`.
fn ask(address: &str, words: &[&str]) -> Run {
    run(Command::new(cargo_loadtest()).arg("loadtest").args(words).args(["--control", address]))
}

/// What a scenario's line of the status says, by its place.
fn status(address: &str) -> String {
    ask(address, &["status"]).succeeded().stdout
}

#[test]
fn a_run_is_scaled_held_released_and_ended_from_outside() {
    let (mut running, address) = controlled("externally_controlled", &[]);
    assert!(status(&address).contains("externally_controlled"), "{}", status(&address));

    ask(&address, &["scale", "5"]).succeeded();
    running.until(BOUND, |run| {
        let last = run.last_interval()?;
        (last["scenarios"]["externally_controlled"]["vus"] == 5).then_some(())
    });
    let beyond = ask(&address, &["scale", "7"]);
    assert!(beyond.code != Some(0) && beyond.stderr.contains("max_vus"), "{}", beyond.stderr);

    ask(&address, &["pause"]).succeeded();
    running.until(BOUND, |run| (run.last_interval()?["paused"] == true).then_some(()));
    // Two whole seconds of standing still: those in flight have ended, no other has begun.
    let started =
        |run: &Running| run.last_interval()?["scenarios"]["externally_controlled"]["started"].as_u64();
    let seconds = running.seconds_stored();
    let held = running.until(BOUND, |run| (run.seconds_stored() > seconds).then(|| started(run)));
    running.until(BOUND, |run| (run.seconds_stored() > seconds + 2).then_some(()));
    assert_eq!(started(&running), held);
    assert!(status(&address).contains("paused"), "{}", status(&address));

    ask(&address, &["resume"]).succeeded();
    running.until(BOUND, |run| (started(run) > held).then_some(()));
    ask(&address, &["stop"]).succeeded();
    let run = running.finish().exited(0);
    let outcome = &run.document()["tests"][0]["outcome"];
    assert_eq!(outcome["end"]["state"], "stopped");
    assert!(outcome["paused_seconds"].as_f64().is_some_and(|seconds| seconds > 2.0), "{outcome}");
    assert_eq!(outcome["scaled"], true);
    let state = &outcome["scenarios"]["externally_controlled"];
    let number = |key: &str| state[key].as_u64().unwrap_or_default();
    assert_eq!(number("started"), number("completed") + number("interrupted"));
    assert!(run.stderr.contains("the service counted"), "teardown was run:\n{}", run.stderr);
}

#[test]
fn a_held_schedule_stands_still_and_is_run_to_its_end() {
    let (mut running, address) = controlled(
        "constant_arrival_rate",
        // The time that it stands still is no time that a rate is about.
        &["--duration", "4s", "--threshold", "iterations: rate>90"],
    );
    ask(&address, &["pause"]).succeeded();
    let seconds = running.seconds_stored();
    running.until(BOUND, |run| (run.seconds_stored() > seconds + 2).then_some(()));
    ask(&address, &["resume"]).succeeded();
    let run = running.finish().exited(0);
    let state = &run.document()["tests"][0]["outcome"]["scenarios"]["constant_arrival_rate"];
    let number = |key: &str| state[key].as_u64().unwrap_or_default();
    assert_eq!(number("started") + number("dropped"), 400, "every planned start, later");
}

#[test]
fn web_pages_are_refused_and_so_is_what_does_not_exist() {
    let (running, address) = controlled("constant_vus", &["--duration", "60s"]);
    let answer = |request: &str| {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut text = String::new();
        // A connection that is reset after its answer has answered.
        let _ = stream.read_to_string(&mut text);
        text
    };
    let page = "POST /v1/stop HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(answer(page).starts_with("HTTP/1.1 403"), "{}", answer(page));
    let rebound =
        "POST /v1/stop HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(answer(rebound).starts_with("HTTP/1.1 403"), "{}", answer(rebound));
    let refused = ask(&address, &["scale", "3"]);
    assert!(
        refused.code != Some(0) && refused.stderr.contains("externally-controlled"),
        "{}",
        refused.stderr
    );
    ask(&address, &["stop"]).succeeded();
    // A stop ends a load early, which is no failure.
    let run = running.finish().exited(0);
    assert_eq!(run.document()["tests"][0]["outcome"]["end"]["state"], "stopped");
    let gone = ask(&address, &["status"]);
    assert!(gone.code == Some(1) && gone.stderr.contains("--control"), "{}", gone.stderr);
}

#[test]
fn addresses_that_others_can_reach_are_refused() {
    let refused = run(Command::new(cargo_loadtest()).args(["loadtest", "--control", "0.0.0.0:6565"]));
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("127.0.0.1:6565"), "{}", refused.stderr);
}

#[test]
fn sigusr1_prints_the_state_and_ends_nothing() {
    let arguments =
        ["--no-report", "--progress", "none", "--exact", "tests::constant_vus", "--duration", "3s"];
    let mut running = shared_fixture("model").trial(arguments).start();
    running.until(BOUND, |run| (run.seconds_stored() >= 1).then_some(()));
    running.process().signal(Signal::USR1);
    running.until(BOUND, |run| run.stderr_so_far().contains("constant_vus").then_some(()));
    let _ = running.finish().exited(0);
}
