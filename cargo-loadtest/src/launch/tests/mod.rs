//! Conversations with scripted test processes: threads that speak frames. Real children are in `children`.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use loadtest_core::metric::{Builtin, Tags, Totals};
use loadtest_core::options::Options;
use loadtest_core::plan::Shard;
use loadtest_core::results::{
    Definition, End, GeneratorState, Interval, ScenarioState, SeriesDef, ServiceInfo, TestOutcome,
};
use loadtest_core::wire::{self, FromTest, Mode, Phase, Request, StopReason, ToTest};

use super::handshake::Door;
use super::process::Child;
use super::session::{Event, Limits, Link};
use super::{Connection, LaunchSpec, Launched, Listing, Signals, TestBinary, drive, list};
use crate::control::Server;
use crate::live::{LiveView, Stream};

mod children;
mod control;
#[cfg(target_os = "linux")]
mod placed;

/// Short enough for tests to end, long enough for a busy machine where an end is not expected.
const LIMITS: Limits = Limits {
    hello: Duration::from_secs(10),
    leave: Duration::from_secs(10),
    drain: Duration::from_secs(1),
    silence: Duration::from_secs(10),
    stop: Duration::from_secs(20),
    gap: Duration::from_secs(20),
    settle: Duration::from_millis(20),
    tick: Duration::from_millis(5),
};

type OnInterval = Box<dyn FnMut(&Interval)>;

/// Remembers what it was told.
#[derive(Default)]
struct Seen {
    log: Vec<String>,
    on_interval: Option<OnInterval>,
}

impl LiveView for Seen {
    fn begin(&mut self, id: &str, _: &[Definition]) {
        self.log.push(format!("begin {id}"));
    }
    fn phase(&mut self, phase: Phase) {
        self.log.push(format!("phase {phase:?}"));
    }
    fn service(&mut self, service: &ServiceInfo) {
        self.log.push(format!("service {}", service.name));
    }
    fn warning(&mut self, text: &str) {
        self.log.push(format!("warning {text}"));
    }
    fn interval(&mut self, interval: &Interval) {
        self.log.push(format!("interval {}", interval.index));
        if let Some(on_interval) = &mut self.on_interval {
            on_interval(interval);
        }
    }
    fn output(&mut self, stream: Stream, line: &str) {
        self.log.push(format!("{stream:?} {line}"));
    }
    fn notice(&mut self, text: &str) {
        self.log.push(format!("notice {text}"));
    }
    fn end(&mut self) {
        self.log.push("end".to_owned());
    }
}

/// A child that is a thread: how it is said to have ended, and whether it was finished.
struct FakeChild {
    status: Option<ExitStatus>,
    finished: Arc<AtomicBool>,
}

impl Child for FakeChild {
    /// The thread's.
    fn pid(&self) -> Option<u32> {
        Some(std::process::id())
    }

    fn finish(&mut self) -> Option<ExitStatus> {
        self.finished.store(true, Ordering::SeqCst);
        self.status
    }
}

/// What a scripted test process has in its hands.
struct Peer {
    stream: TcpStream,
    events: SyncSender<Event>,
}

impl Peer {
    fn say(&self, frame: &FromTest) {
        wire::write_frame(&self.stream, frame).expect("the subcommand listens");
    }

    fn hear(&self) -> ToTest {
        wire::read_frame(&self.stream).expect("a frame").expect("no end of file")
    }

    fn request(&self) -> Box<Request> {
        let ToTest::Request(request) = self.hear() else { panic!("no request") };
        request
    }

    fn print(&self, line: &str) {
        self.events.send(Event::Line(Stream::Out, line.to_owned())).expect("the subcommand listens");
    }

    /// To `go`.
    fn begin(&self) {
        self.request();
        self.say(&FromTest::State { phase: Phase::Setup });
        self.say(&FromTest::Ready);
        assert!(matches!(self.hear(), ToTest::Go));
    }
}

/// Starts a scripted test process that says hello with these versions and goes on with `script`. It "exits"
/// with code 0 when the script is over.
fn scripted(
    limits: Limits,
    versions: &[u32],
    script: impl FnOnce(Peer) + Send + 'static,
) -> (Connection, Arc<AtomicBool>) {
    let (events, received) = mpsc::sync_channel(super::QUEUE);
    let door = Door::open(events.clone()).expect("opens");
    let (address, token, versions) = (door.address(), door.token().to_owned(), versions.to_vec());
    let finished = Arc::new(AtomicBool::new(false));
    thread::spawn(move || {
        let stream = TcpStream::connect(address).expect("connects");
        let peer = Peer { stream, events: events.clone() };
        peer.say(&FromTest::Hello { token, versions, pid: 1, runtime_version: "0.9.0".to_owned() });
        script(peer);
        // The session may be over already.
        for event in [Event::OutputClosed, Event::OutputClosed, Event::Exited] {
            let _ = events.send(event);
        }
    });
    let child = FakeChild { status: Some(ExitStatus::from_raw(0)), finished: Arc::clone(&finished) };
    let link = Link::new(received, Box::new(child), "tests::seats", limits);
    (Connection { link, _door: door }, finished)
}

fn binary(program: &str, arguments: &[&str]) -> TestBinary {
    TestBinary {
        package: "concert".to_owned(),
        target: "lib".to_owned(),
        executable: PathBuf::from("unused"),
        entry: "tests::seats".to_owned(),
        cwd: std::env::temp_dir(),
        env: Vec::new(),
        runner: [&[program][..], arguments].concat().into_iter().map(str::to_owned).collect(),
    }
}

fn definition() -> Definition {
    let options = Options {
        vus: Some(2),
        duration: Some(Duration::from_secs(3)),
        thresholds: ["http_reqs: count>=10", "checks: rate>0.9"]
            .map(|text| text.parse().expect("a threshold"))
            .to_vec(),
        ..Options::default()
    };
    Definition {
        test: "tests::seats".to_owned(),
        scenario: "seats".to_owned(),
        package: "concert".to_owned(),
        file: "src/lib.rs".to_owned(),
        line: 1,
        workload: options.resolve().expect("valid"),
        options,
        binaries: Vec::new(),
        attribute_hash: String::new(),
        body_hash: String::new(),
    }
}

fn request() -> Request {
    Request {
        version: 0,
        mode: Mode::Run,
        test: "tests::seats".to_owned(),
        options: BTreeMap::new(),
        log_limit: 0,
        workers: None,
        seed: 7,
        shard: Shard::default(),
        binaries: BTreeMap::new(),
        log_dir: String::new(),
    }
}

fn interval(index: u64) -> Interval {
    let state = ScenarioState { completed: index + 1, ..ScenarioState::default() };
    let reqs = SeriesDef { id: 0, metric: Builtin::HttpReqs.def(), tags: Tags::new() };
    Interval {
        index,
        seconds: 1.0,
        new_series: if index == 0 { vec![reqs] } else { Vec::new() },
        series: vec![(0, Totals { count: 6, sum: 6.0, min: 1.0, max: 1.0, ..Totals::default() })],
        scenarios: BTreeMap::from([("seats".to_owned(), state)]),
        generator: GeneratorState::default(),
        ..Interval::default()
    }
}

fn results() -> FromTest {
    FromTest::Results(Box::new(TestOutcome {
        load_seconds: 2.0,
        setup_seconds: 0.5,
        workers: 2,
        ..TestOutcome::new(End::Completed)
    }))
}

struct Held {
    launched: anyhow::Result<Launched>,
    seen: Seen,
    intervals: Vec<Interval>,
}

/// Holds the conversation that runs a test.
fn hold(connection: Connection, limits: Limits, signals: &Signals, seen: Seen) -> Held {
    hold_controlled(connection, limits, signals, seen, request(), None)
}

/// Holds it with this request, and with a server that others may control it by.
fn hold_controlled(
    connection: Connection,
    limits: Limits,
    signals: &Signals,
    mut seen: Seen,
    request: Request,
    control: Option<&Server>,
) -> Held {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("intervals.jsonl");
    let binary = binary("unused", &[]);
    let definitions = [definition()];
    let spec = LaunchSpec {
        binary: &binary,
        request,
        id: "concert/lib::seats",
        definitions: &definitions,
        intervals: file.clone(),
        control,
        pin: None,
        env: Vec::new(),
    };
    let launched = drive::drive(connection, spec, &mut seen, signals, limits);
    let text = fs::read_to_string(file).expect("the file of intervals");
    let intervals = text.lines().map(|line| serde_json::from_str(line).expect("an interval")).collect();
    Held { launched, seen, intervals }
}

fn run_script(script: impl FnOnce(Peer) + Send + 'static) -> Held {
    hold(scripted(LIMITS, &[1], script).0, LIMITS, &Signals::detached(), Seen::default())
}

fn crash_of(held: &Held) -> String {
    match &held.launched.as_ref().expect("an outcome").outcome.end {
        End::Crashed { reason } => reason.clone(),
        other => panic!("no crash: {other:?}"),
    }
}

#[test]
fn a_test_runs_from_hello_to_results() {
    let held = run_script(|peer| {
        let request = peer.request();
        assert!(request.version == 1 && request.seed == 7 && request.mode == Mode::Run);
        for line in ["", "running 1 test", "from my setup"] {
            peer.print(line);
        }
        let info = ServiceInfo {
            name: "concert".to_owned(),
            base_url: "http://127.0.0.1:1".to_owned(),
            path: None,
            pid: None,
            log: None,
        };
        peer.say(&FromTest::Service(info));
        peer.say(&FromTest::Ready);
        assert!(matches!(peer.hear(), ToTest::Go));
        // Indices are used as they come: a stalled machine may skip one.
        peer.say(&FromTest::Interval(interval(0)));
        peer.say(&FromTest::Interval(interval(2)));
        peer.say(&FromTest::Warning { text: "slow".to_owned() });
        peer.say(&FromTest::State { phase: Phase::Teardown });
        peer.say(&results());
    });
    let launched = held.launched.expect("runs");
    assert_eq!(launched.outcome.end, End::Completed);
    assert_eq!(launched.outcome.warnings, [""; 0]);
    assert_eq!(launched.services.len(), 1);
    let started_at = launched.started_at.expect("started");
    assert!(started_at.parse::<jiff::Timestamp>().is_ok() && started_at.ends_with('Z'), "{started_at}");
    assert_eq!(held.intervals, [interval(0), interval(2)]);
    let log: Vec<_> = held.seen.log.iter().filter(|line| !line.starts_with("Out")).collect();
    assert_eq!(
        log,
        [
            "phase Setup",
            "service concert",
            "phase Running",
            "interval 0",
            "interval 2",
            "warning slow",
            "phase Teardown"
        ]
    );
    let printed: Vec<_> = held.seen.log.iter().filter(|line| line.starts_with("Out")).collect();
    assert_eq!(printed, ["Out from my setup"]);
}

#[test]
fn intervals_are_in_the_file_as_soon_as_they_came() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("intervals.jsonl");
    let looked = file.clone();
    let (connection, _) = scripted(LIMITS, &[1], |peer| {
        peer.begin();
        (0..3).for_each(|index| peer.say(&FromTest::Interval(interval(index))));
        peer.say(&results());
    });
    let mut seen = Seen {
        on_interval: Some(Box::new(move |interval| {
            let lines = fs::read_to_string(&looked).expect("readable").lines().count();
            assert_eq!(lines as u64, interval.index + 1);
        })),
        ..Seen::default()
    };
    let (binary, definitions) = (binary("unused", &[]), [definition()]);
    let spec = LaunchSpec {
        binary: &binary,
        request: request(),
        id: "t",
        definitions: &definitions,
        intervals: file,
        control: None,
        pin: None,
        env: Vec::new(),
    };
    drive::drive(connection, spec, &mut seen, &Signals::detached(), LIMITS).expect("runs");
}

#[test]
fn what_was_measured_before_a_death_is_the_outcome() {
    let held = run_script(|peer| {
        peer.begin();
        peer.print("about to die");
        peer.say(&FromTest::Warning { text: "low on memory".to_owned() });
        (0..2).for_each(|index| peer.say(&FromTest::Interval(interval(index))));
    });
    let reason = crash_of(&held);
    assert!(
        reason.starts_with("the test process exited with code 0 before it reported its results"),
        "{reason}"
    );
    assert!(reason.contains("\n  | about to die"), "{reason}");
    let outcome = held.launched.expect("an outcome").outcome;
    assert_eq!(outcome.load_seconds, 2.0);
    assert_eq!(outcome.scenarios["seats"].completed, 2);
    assert_eq!(outcome.workloads["seats"], definition().workload);
    assert_eq!(
        outcome.warnings,
        ["low on memory", "partial: only the first 2.00s of the load were measured"]
    );
    // Judged by what is known: 12 requests, and no check at all.
    let judged: Vec<_> = outcome.thresholds.iter().map(|t| (t.actual, t.holds)).collect();
    assert_eq!(judged, [(Some(12.0), true), (None, false)]);
    assert_eq!(held.intervals.len(), 2);
}

#[test]
fn frames_that_make_no_sense_are_a_crash_and_the_process_is_killed() {
    type Script = fn(Peer);
    let scripts: [(Script, &str); 5] = [
        (
            |peer| {
                peer.request();
                use std::io::Write as _;
                (&peer.stream).write_all(b"\x02\0\0\0{]").expect("writes");
                let _ = wire::read_frame::<ToTest>(&peer.stream);
            },
            "can't be understood",
        ),
        (
            |peer| {
                peer.request();
                use std::io::Write as _;
                (&peer.stream).write_all(&[255; 8]).expect("writes");
                let _ = wire::read_frame::<ToTest>(&peer.stream);
            },
            "over the limit",
        ),
        (|peer| peer.say(&FromTest::Interval(interval(0))), "before the load began"),
        (
            |peer| {
                peer.begin();
                peer.say(&FromTest::Ready);
            },
            "ready twice",
        ),
        (
            |peer| peer.say(&FromTest::Definitions { definitions: Vec::new(), problems: Vec::new() }),
            "listed its tests",
        ),
    ];
    for (script, expected) in scripts {
        let (connection, finished) = scripted(LIMITS, &[1], script);
        let held = hold(connection, LIMITS, &Signals::detached(), Seen::default());
        let reason = crash_of(&held);
        assert!(reason.contains(expected), "{reason}");
        assert!(finished.load(Ordering::SeqCst));
    }
}

#[test]
fn a_version_that_is_not_spoken_says_which_side_to_upgrade() {
    for (versions, expected) in [(&[99][..], "install cargo-loadtest"), (&[0], "update -p loadtest-runtime")]
    {
        let (connection, finished) = scripted(LIMITS, versions, |peer| {
            let _ = wire::read_frame::<ToTest>(&peer.stream);
        });
        let held = hold(connection, LIMITS, &Signals::detached(), Seen::default());
        let error = held.launched.expect_err("no common version").to_string();
        assert!(error.contains(expected) && error.contains("0.9.0"), "{error}");
        // What the drop of a real child does: no error leaves a process behind.
        let _ = finished;
    }
}

#[test]
fn a_process_that_stays_after_its_results_is_killed() {
    let limits = Limits { leave: Duration::from_millis(50), ..LIMITS };
    let (stay, leave) = mpsc::channel::<()>();
    let (connection, finished) = scripted(limits, &[1], move |peer| {
        peer.begin();
        peer.say(&results());
        let _ = leave.recv();
    });
    let held = hold(connection, limits, &Signals::detached(), Seen::default());
    let outcome = held.launched.expect("an outcome").outcome;
    assert_eq!(outcome.end, End::Completed);
    assert!(outcome.warnings[0].contains("stayed"), "{:?}", outcome.warnings);
    assert!(finished.load(Ordering::SeqCst));
    drop(stay);
}

/// Runs a test that raises the signal in its second `interval`.
fn interrupted(limits: Limits, script: impl FnOnce(Peer) + Send + 'static) -> Held {
    let signals = Signals::detached();
    let raised = signals.clone();
    let seen = Seen { on_interval: Some(Box::new(move |_| raised.raise())), ..Seen::default() };
    hold(scripted(limits, &[1], script).0, limits, &signals, seen)
}

#[test]
fn an_interrupted_test_winds_down_and_still_reports() {
    let held = interrupted(LIMITS, |peer| {
        peer.begin();
        peer.say(&FromTest::Interval(interval(0)));
        assert!(matches!(peer.hear(), ToTest::Stop { reason: StopReason::Interrupted }));
        peer.say(&FromTest::State { phase: Phase::Teardown });
        let FromTest::Results(mut outcome) = results() else { unreachable!() };
        outcome.end = End::Interrupted;
        outcome.teardown_error = Some("the till is short".to_owned());
        peer.say(&FromTest::Results(outcome));
    });
    let outcome = held.launched.expect("an outcome").outcome;
    assert_eq!(outcome.end, End::Interrupted);
    assert_eq!(outcome.teardown_error.as_deref(), Some("the till is short"));
    assert!(held.seen.log.iter().any(|line| line.contains("press Ctrl-C again")), "{:?}", held.seen.log);
}

#[test]
fn one_that_does_not_wind_down_is_killed_and_what_is_known_is_kept() {
    let limits = Limits { silence: Duration::from_millis(50), ..LIMITS };
    let (stay, leave) = mpsc::channel::<()>();
    let held = interrupted(limits, move |peer| {
        peer.begin();
        peer.say(&FromTest::Interval(interval(0)));
        let _ = leave.recv();
    });
    drop(stay);
    let outcome = held.launched.expect("an outcome").outcome;
    assert_eq!(outcome.end, End::Interrupted);
    assert_eq!(outcome.scenarios["seats"].completed, 1);
    assert!(outcome.warnings.concat().contains("never awaits"), "{:?}", outcome.warnings);
}

#[test]
fn a_long_teardown_is_no_silence_but_has_an_end() {
    let limits = Limits { silence: Duration::from_millis(20), stop: Duration::from_millis(400), ..LIMITS };
    let (stay, leave) = mpsc::channel::<()>();
    let started = Instant::now();
    let held = interrupted(limits, move |peer| {
        peer.begin();
        peer.say(&FromTest::Interval(interval(0)));
        peer.say(&FromTest::State { phase: Phase::Teardown });
        let _ = leave.recv();
    });
    drop(stay);
    assert!(started.elapsed() >= limits.stop);
    let outcome = held.launched.expect("an outcome").outcome;
    assert_eq!(outcome.end, End::Interrupted);
    assert!(!outcome.warnings.concat().contains("never awaits"), "{:?}", outcome.warnings);
}

#[test]
fn one_interrupted_in_its_setup_is_let_go_so_that_its_teardown_runs() {
    let signals = Signals::detached();
    let raised = signals.clone();
    let (connection, _) = scripted(LIMITS, &[1], move |peer| {
        peer.request();
        raised.raise();
        assert!(matches!(peer.hear(), ToTest::Stop { .. }));
        // It was in the middle of becoming ready.
        peer.say(&FromTest::Ready);
        assert!(matches!(peer.hear(), ToTest::Go));
        peer.say(&results());
    });
    assert!(hold(connection, LIMITS, &signals, Seen::default()).launched.is_ok());
}

#[test]
fn a_test_that_falls_silent_is_spoken_of_once() {
    let limits = Limits { gap: Duration::from_millis(50), ..LIMITS };
    let (connection, _) = scripted(limits, &[1], |peer| {
        peer.begin();
        peer.say(&FromTest::Interval(interval(0)));
        thread::sleep(Duration::from_millis(300));
    });
    let held = hold(connection, limits, &Signals::detached(), Seen::default());
    let warnings = held.launched.expect("an outcome").outcome.warnings;
    assert_eq!(warnings.iter().filter(|text| text.contains("no results for")).count(), 1, "{warnings:?}");
}

fn list_script(script: impl FnOnce(Peer) + Send + 'static) -> anyhow::Result<Listing> {
    let connection = scripted(LIMITS, &[1], script).0;
    list::list(connection, Path::new("/target/concert-1"), &|| false, LIMITS)
}

#[test]
fn a_listing_is_what_the_binary_answers() {
    let listing = list_script(|peer| {
        assert_eq!(peer.request().mode, Mode::List);
        let problems = vec!["two of one name".to_owned()];
        peer.say(&FromTest::Definitions { definitions: vec![definition()], problems });
    })
    .expect("lists");
    assert_eq!(listing.definitions, [definition()]);
    assert_eq!(listing.problems.len(), 1);
}

#[test]
fn no_answer_is_an_error_and_never_an_empty_listing() {
    let error = list_script(|peer| {
        peer.request();
        peer.print("constructor went wrong");
    })
    .expect_err("no answer");
    let text = format!("{error:#}");
    assert!(text.contains("/target/concert-1") && text.contains("constructor went wrong"), "{text}");
}
