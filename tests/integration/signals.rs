//! Signals: a test winds down in order, and no process survives, whoever is killed.

use std::time::Duration;

use loadtest_tests::{Process, Running, Trial, concert, shared_fixture};
use rustix::process::Signal;

/// For what the subcommand does at once, on a machine that does much else.
const SOON: Duration = Duration::from_secs(10);

/// The example under load for longer than any test here takes.
fn long_concert() -> Running {
    under_load(concert(["payment_soak", "-u", "4", "--duration", "5m", "--progress", "lines"]).with_report())
}

/// A test of the fixture that runs for a minute.
fn long(test: &str) -> Running {
    let name = format!("tests::{test}");
    let arguments = ["--no-report", "--duration", "1m", "--progress", "lines", "--exact", &name];
    shared_fixture("failures").trial(arguments).start()
}

/// Waits until there are results to lose.
fn under_load(trial: Trial) -> Running {
    let mut run = trial.start();
    run.until(Duration::from_secs(600), |run| (run.seconds_stored() >= 2).then_some(()));
    run
}

/// The test process and its service, which is a child of it.
fn test_and_service(run: &Running) -> (Process, Process) {
    let family = run.process().descendants();
    assert_eq!(family.len(), 2, "{family:?}");
    (family[0].clone(), family[1].clone())
}

#[test]
fn the_first_ctrl_c_winds_down_with_teardown_summary_and_report() {
    let run = long_concert();
    let (test, service) = test_and_service(&run);
    run.process().signal(Signal::INT);
    let run = run.finish().exited(105);

    // Asked by the teardown, so the service was alive, and had answered all that was asked until then.
    assert!(run.stderr.contains("the service counted "), "{}", run.stderr);
    assert!(run.first_line().contains("INTERRUPTED"), "{}", run.stdout);
    assert!(run.stdout.contains("http_req_duration"), "{}", run.stdout);
    assert!(run.report().is_file());
    assert!(run.sum("iterations") > 0.0);
    assert_eq!(run.document()["tests"][0]["outcome"]["end"]["state"], "interrupted");
    assert!(!test.is_alive() && !service.is_alive());
}

#[test]
fn sigterm_is_a_ctrl_c_and_keeps_further_tests_from_running() {
    // In the order of the file the long one comes first.
    let filters = ["tests::takes_a_minute", "tests::succeeds", "--test-order", "file"];
    let arguments = filters.iter().chain(&["--no-report", "--progress", "lines"]);
    let mut run = shared_fixture("failures").trial(arguments).start();
    run.until(Duration::from_secs(600), |run| (run.seconds_stored() >= 1).then_some(()));
    run.process().signal(Signal::TERM);
    let run = run.finish().exited(105);
    assert!(run.stdout.contains("teardown found the service alive"), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.document()["tests"].as_array().map(Vec::len), Some(1));
    assert!(!run.stdout.contains("this was printed by the test"), "{}", run.stdout);
}

#[test]
fn a_setup_that_waits_is_stopped_by_ctrl_c() {
    let mut run = shared_fixture("failures")
        .trial(["--no-report", "--progress", "lines", "--exact", "tests::is_never_set_up"])
        .start();
    run.has_said("  setup");
    run.process().signal(Signal::INT);
    let run = run.finish().exited(105);
    assert_eq!(run.document()["tests"][0]["outcome"]["end"]["state"], "interrupted");
}

#[test]
fn a_loop_that_never_awaits_is_stopped_by_ctrl_c() {
    let mut run = long("never_awaits");
    run.until(Duration::from_secs(600), |run| (run.seconds_stored() >= 1).then_some(()));
    run.process().signal(Signal::INT);
    let run = run.finish().exited(105);
    assert_eq!(run.document()["tests"][0]["outcome"]["end"]["state"], "interrupted");
    assert!(!run.stdout.contains("was killed"), "{}", run.stdout);
}

#[test]
fn an_iteration_that_never_returns_does_not_hold_ctrl_c_up() {
    let mut run = long("never_returns");
    run.has_said("running");
    let interrupted = std::time::Instant::now();
    let process = run.process();
    let family = process.descendants();
    process.signal(Signal::INT);
    let run = run.finish().exited(105);
    assert!(interrupted.elapsed() < Duration::from_secs(15), "{:?}", interrupted.elapsed());
    assert!(run.stdout.contains("without ever awaiting"), "{}", run.stdout);
    assert!(!family.is_empty() && family.iter().all(|process| !process.is_alive()), "{family:?}");
}

#[test]
fn the_second_ctrl_c_ends_everything_at_once() {
    // The first one alone takes some seconds here.
    let mut run = long("never_returns");
    run.has_said("running");
    let process = run.process();
    let family = process.descendants();
    process.signal(Signal::INT);
    run.has_said("press Ctrl-C again");
    // Two signals within 0.2 s are taken for one: `timeout` sends it to its child and to the group.
    std::thread::sleep(Duration::from_millis(300));
    process.signal(Signal::INT);
    process.ends_within(Duration::from_secs(5));
    assert_eq!(run.finish().code, Some(105));
    assert!(!family.is_empty());
    for process in family {
        process.ends_within(SOON);
    }
}

#[test]
fn nothing_outlives_a_subcommand_that_was_killed() {
    let run = long_concert();
    let (test, service) = test_and_service(&run);
    run.process().signal(Signal::KILL);
    test.ends_within(SOON);
    service.ends_within(SOON);
    assert_eq!(run.finish().code, None);

    // Also not a test process that is busy with itself.
    let mut run = long("never_returns");
    run.has_said("running");
    let family = run.process().descendants();
    run.process().signal(Signal::KILL);
    assert!(!family.is_empty());
    for process in family {
        process.ends_within(SOON);
    }
}

#[test]
fn a_service_does_not_outlive_a_test_process_that_was_killed() {
    let run = long_concert();
    let (test, service) = test_and_service(&run);
    test.signal(Signal::KILL);
    service.ends_within(SOON);
    let run = run.finish().exited(109);
    assert!(run.first_line().contains("SIGKILL"), "{}", run.stdout);
    assert!(run.sum("iterations") > 0.0);
}
