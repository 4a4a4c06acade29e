//! Conversations with real `sh` children that die in every way, and leave others behind.

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use loadtest_core::results::{Definition, End, Interval, ServiceInfo};
use loadtest_core::wire::Phase;

use super::super::handshake::Door;
use super::super::process::TestProcess;
use super::super::session::{Limits, Link};
use super::super::{Connection, LaunchSpec, QUEUE, Signals, TestBinary, drive, list};
use super::{Held, LIMITS, Seen, binary, crash_of, definition, hold, request};
use crate::live::{LiveView, Stream};

fn spawn(script: &str, limits: Limits) -> Connection {
    let binary = binary("sh", &["-c", script]);
    let (events, received) = mpsc::sync_channel(QUEUE);
    let door = Door::open(events.clone()).expect("opens");
    let child = TestProcess::spawn(&binary, &[], None, &door, &events).expect("spawns");
    Connection { link: Link::new(received, Box::new(child), &binary.entry, limits), _door: door }
}

fn run_sh(script: &str) -> Held {
    hold(spawn(script, LIMITS), LIMITS, &Signals::detached(), Seen::default())
}

#[test]
fn every_way_to_die_is_told() {
    let overflow = "echo \"thread 'main' has overflowed its stack\" >&2; kill -ABRT $$";
    for (script, expected) in [
        ("kill -9 $$", "was killed by signal 9 (SIGKILL"),
        ("kill -ABRT $$", "was killed by signal 6 (SIGABRT)"),
        ("exit 3", "exited with code 3 before its handshake (std::process::exit?) (it printed nothing)"),
        ("exit 0", "exited with code 0 before its handshake"),
        (overflow, "overflowed its stack (was killed by signal 6 (SIGABRT))"),
        ("echo last words; exit 1", "\n  | last words"),
    ] {
        let reason = crash_of(&run_sh(script));
        assert!(reason.contains(expected), "{script}: {reason}");
    }
}

#[test]
fn a_binary_without_handshake_is_no_empty_listing() {
    let error = list::list(spawn("echo running 0 tests", LIMITS), Path::new("t"), &|| false, LIMITS);
    assert!(format!("{:#}", error.expect_err("an error")).contains("exited with code 0 before it listed"));

    let limits = Limits { hello: Duration::from_millis(50), ..LIMITS };
    let error = list::list(spawn("sleep 1000", limits), Path::new("t"), &|| false, limits);
    assert!(format!("{:#}", error.expect_err("an error")).contains("no handshake within"));

    let error = list::list(spawn("sleep 1000", LIMITS), Path::new("t"), &|| true, LIMITS);
    assert!(format!("{:#}", error.expect_err("an error")).contains("interrupted"));
}

/// Waits until a process is gone, as `/proc` or `kill -0` tells. A zombie is as good as gone: its new parent
/// may be slow to reap it.
fn is_dead(pid: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        let ps = std::process::Command::new("ps").args(["-o", "stat=", "-p", pid]).output().expect("ps runs");
        let state = String::from_utf8_lossy(&ps.stdout);
        if state.trim().is_empty() || state.trim().starts_with('Z') {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

fn printed_pid(seen: &Seen) -> String {
    let line = seen.log.iter().find_map(|line| line.strip_prefix("Out pid "));
    line.unwrap_or_else(|| panic!("no pid in {:?}", seen.log)).to_owned()
}

#[test]
fn what_a_test_process_leaves_behind_is_killed_and_not_waited_for() {
    let started = Instant::now();
    // The service holds both pipes open.
    let held = run_sh("sleep 1000 & echo pid $!; exit 3");
    assert!(crash_of(&held).contains("exited with code 3"));
    assert!(is_dead(&printed_pid(&held.seen)));
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn one_that_left_the_group_and_holds_the_pipes_is_not_waited_for() {
    if std::process::Command::new("setsid").arg("true").status().is_err() {
        eprintln!("skipped: no setsid here");
        return;
    }
    let limits = Limits { drain: Duration::from_millis(200), ..LIMITS };
    let held = hold(spawn("setsid sleep 5 & exit 3", limits), limits, &Signals::detached(), Seen::default());
    assert!(crash_of(&held).contains("exited with code 3"));
}

#[test]
fn an_interrupted_process_that_has_not_begun_is_killed_with_its_group() {
    let signals = Signals::detached();
    let raised = signals.clone();
    struct RaiseOnOutput(Seen, Signals);
    impl LiveView for RaiseOnOutput {
        fn begin(&mut self, _: &str, _: &[Definition]) {}
        fn phase(&mut self, _: Phase) {}
        fn service(&mut self, _: &ServiceInfo) {}
        fn warning(&mut self, _: &str) {}
        fn interval(&mut self, _: &Interval) {}
        fn output(&mut self, stream: Stream, line: &str) {
            self.0.output(stream, line);
            self.1.raise();
        }
        fn end(&mut self) {}
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (unused, definitions) = (binary("unused", &[]), [definition()]);
    let spec = LaunchSpec {
        binary: &unused,
        request: request(),
        id: "t",
        definitions: &definitions,
        intervals: directory.path().join("i.jsonl"),
        control: None,
        pin: None,
        env: Vec::new(),
    };
    let mut live = RaiseOnOutput(Seen::default(), raised);
    let connection = spawn("sleep 1000 & echo pid $!; wait", LIMITS);
    let launched = drive::drive(connection, spec, &mut live, &signals, LIMITS).expect("an outcome");
    assert_eq!(launched.outcome.end, End::Interrupted);
    assert_eq!(launched.started_at, None);
    assert!(is_dead(&printed_pid(&live.0)));
}

#[test]
fn a_panic_kills_the_group_too() {
    let connection = spawn("sleep 1000 & echo pid $!; wait", LIMITS);
    let (tell, told) = mpsc::channel();
    let unwound = thread::spawn(move || {
        let mut connection = connection;
        loop {
            connection.link.step(&mut |_, line| {
                tell.send(line.to_owned()).expect("is heard");
                panic!("in the live view");
            });
        }
    })
    .join();
    assert!(unwound.is_err());
    let line = told.recv().expect("a line");
    assert!(is_dead(line.strip_prefix("pid ").expect("a pid")));
}

#[test]
fn the_entry_is_called_as_libtest_wants_it() {
    let binary = TestBinary {
        env: vec![("LOADTEST_SAMPLE".into(), "seoul".into())],
        ..binary(
            "sh",
            &[
                "-c",
                "echo \"$@\" in $LOADTEST_SAMPLE; test -n \"$CARGO_LOADTEST_TOKEN\" && echo $CARGO_LOADTEST_ADDR",
            ],
        )
    };
    let (events, received) = mpsc::sync_channel(QUEUE);
    let door = Door::open(events.clone()).expect("opens");
    let child = TestProcess::spawn(&binary, &[], None, &door, &events).expect("spawns");
    let address = door.address();
    let link = Link::new(received, Box::new(child), &binary.entry, LIMITS);
    let held = hold(Connection { link, _door: door }, LIMITS, &Signals::detached(), Seen::default());
    assert_eq!(
        held.seen.log,
        [
            "Out --ignored --exact tests::seats --nocapture --test-threads=2 in seoul".to_owned(),
            format!("Out {address}")
        ]
    );
}

#[test]
fn a_binary_that_is_not_there_is_an_error_with_its_name() {
    let missing =
        TestBinary { runner: Vec::new(), executable: "/no/such/binary".into(), ..binary("unused", &[]) };
    let error = list(&missing).expect_err("is not there");
    assert!(format!("{error:#}").contains("/no/such/binary"), "{error:#}");
}
