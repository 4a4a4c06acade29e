//! Runs that are controlled over real sockets on loopback, by the client and by hand.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loadtest_core::options::{ExecutorKind, Options};
use loadtest_core::results::{Definition, Interval, ScenarioState};
use loadtest_core::wire::{Phase, StopReason, ToTest};

use super::{Server, Status, Tracker, client};
use crate::cli::{ControlArgs, Wish};

fn definition(scenario: &str, options: Options) -> Definition {
    Definition {
        test: "tests::shop".to_owned(),
        scenario: scenario.to_owned(),
        package: "shop".to_owned(),
        file: "src/lib.rs".to_owned(),
        line: 1,
        workload: options.resolve().expect("valid"),
        options,
        binaries: Vec::new(),
        attribute_hash: String::new(),
        body_hash: String::new(),
    }
}

fn controlled() -> Options {
    Options {
        executor: Some(ExecutorKind::ExternallyControlled),
        vus: Some(2),
        max_vus: Some(50),
        duration: Some(Duration::ZERO),
        ..Options::default()
    }
}

fn looping() -> Options {
    Options { vus: Some(3), duration: Some(Duration::from_secs(10)), ..Options::default() }
}

/// A test under load with these scenarios.
fn under_load(definitions: &[Definition]) -> Tracker {
    let mut tracker = Tracker::new("shop/lib::shop", definitions);
    tracker.go(Instant::now());
    tracker.enter(Phase::Running);
    tracker
}

fn shop() -> Tracker {
    under_load(&[definition("browse", looping()), definition("buy", controlled())])
}

fn open() -> Server {
    Server::open("127.0.0.1:0".parse().expect("an address")).expect("opens")
}

fn asks(server: &Server, wish: Wish) -> Result<String, String> {
    client::answer(&ControlArgs { control: server.address() }, &wish).map_err(|error| format!("{error:#}"))
}

/// Sends text as it is and returns the status line's code and the whole answer.
fn send(server: &Server, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address()).expect("connects");
    stream.write_all(request.as_bytes()).expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    (code, answer)
}

fn request(server: &Server, method: &str, target: &str, headers: &str) -> (u16, String) {
    send(server, &format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", server.address()))
}

/// Takes what is wished for, as a run does, while `wishing` wishes.
fn taking<T>(server: &Server, tracker: &mut Tracker, wishing: impl FnOnce() -> T + Send) -> (T, Vec<ToTest>)
where
    T: Send,
{
    let over = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let theirs = Arc::clone(&over);
        let running = server.begin(tracker);
        let wishing = scope.spawn(move || {
            let done = wishing();
            theirs.store(true, Ordering::SeqCst);
            done
        });
        let mut taken = Vec::new();
        while !over.load(Ordering::SeqCst) && !wishing.is_finished() {
            for frame in running.take() {
                match &frame {
                    ToTest::Pause => tracker.pause(true),
                    ToTest::Resume => tracker.pause(false),
                    _ => {}
                }
                taken.push(frame);
            }
            running.publish(tracker);
            thread::sleep(Duration::from_millis(1));
        }
        (wishing.join().expect("wishes"), taken)
    })
}

#[test]
fn what_was_held_in_its_last_moments_can_be_released() {
    let server = open();
    let mut tracker = shop();
    tracker.pause(true);
    // The regular end has come while it was held.
    tracker.enter(Phase::Stopping);
    let (answer, taken) = taking(&server, &mut tracker, || asks(&server, Wish::Resume));
    assert_eq!(answer.as_deref().map(str::trim), Ok("resumed"));
    assert!(matches!(taken[..], [ToTest::Resume]), "{taken:?}");
    // What is not held is over.
    let (answer, taken) = taking(&server, &mut tracker, || asks(&server, Wish::Resume));
    assert!(answer.is_err_and(|why| why.contains("the load is over")) && taken.is_empty());
}

#[test]
fn every_wish_of_the_client_reaches_the_run_as_its_frame() {
    let server = open();
    let (answers, taken) = taking(&server, &mut shop(), || {
        [
            asks(&server, Wish::Pause),
            asks(&server, Wish::Status).map(|text| text.lines().next().unwrap_or_default().to_owned()),
            asks(&server, Wish::Resume),
            asks(&server, Wish::Scale(None, 7)),
            asks(&server, Wish::Scale(Some("buy".to_owned()), 0)),
            asks(&server, Wish::Stop),
        ]
    });
    let answers = answers.map(|answer| answer.expect("is answered"));
    assert_eq!(
        answers,
        [
            "paused\n",
            "shop/lib::shop: paused, 0s after its start",
            "resumed\n",
            "scaled to 7\n",
            "scaled to 0\n",
            "stopping\n"
        ]
    );
    assert!(
        matches!(
            &taken[..],
            [
                ToTest::Pause,
                ToTest::Resume,
                ToTest::Scale { scenario: None, vus: 7 },
                ToTest::Scale { scenario: Some(name), vus: 0 },
                ToTest::Stop { reason: StopReason::Asked },
            ] if name == "buy"
        ),
        "{taken:?}"
    );
}

#[test]
fn what_a_test_can_not_do_is_refused_with_a_hint_and_never_reaches_it() {
    let server = open();
    let scale = |scenario: Option<&str>, vus| asks(&server, Wish::Scale(scenario.map(str::to_owned), vus));
    let ((over, unknown, other), taken) =
        taking(&server, &mut shop(), || (scale(None, 51), scale(Some("bu"), 1), scale(Some("browse"), 1)));
    assert_eq!(
        over.expect_err("over the limit"),
        "51 is over the 50 of `buy`\nhint: start the run with a higher `max_vus`"
    );
    let unknown = unknown.expect_err("unknown");
    assert!(unknown.starts_with("there is no scenario `bu`\nhint: "), "{unknown}");
    let other = other.expect_err("not controlled");
    assert!(other.starts_with("the scenario `browse` is constant-vus\nhint: only `executor"), "{other}");
    assert!(taken.is_empty(), "{taken:?}");

    let mut closed = under_load(&[definition("browse", looping())]);
    let (none, taken) = taking(&server, &mut closed, || scale(None, 1));
    assert!(none.expect_err("none").contains("no scenario of this test is externally controlled"));
    assert!(taken.is_empty(), "{taken:?}");

    // Only the end of a test can be wished for at any time.
    for (phase, expected) in [(Phase::Setup, "not begun"), (Phase::Teardown, "is over")] {
        let mut tracker = shop();
        tracker.enter(phase);
        let ((pause, stop), taken) =
            taking(&server, &mut tracker, || (asks(&server, Wish::Pause), asks(&server, Wish::Stop)));
        assert!(pause.expect_err("no load").contains(expected));
        assert_eq!(stop.expect("is asked"), "stopping\n");
        assert!(matches!(taken[..], [ToTest::Stop { .. }]), "{taken:?}");
    }
}

#[test]
fn without_a_running_test_that_is_said() {
    let server = open();
    let idle = |server: &Server| {
        assert_eq!(asks(server, Wish::Status).expect("is answered"), "no test is running right now\n");
        let error = asks(server, Wish::Stop).expect_err("nothing to stop");
        assert!(error.starts_with("no test is running right now\nhint: "), "{error}");
        assert_eq!(request(server, "POST", "/v1/stop", "").0, 409);
    };
    idle(&server);
    drop(server.begin(&shop()));
    idle(&server);
}

#[test]
fn a_wish_that_the_test_did_not_live_to_take_is_not_answered_as_done() {
    let server = open();
    let running = server.begin(&shop());
    thread::scope(|scope| {
        let asked = scope.spawn(|| asks(&server, Wish::Pause));
        while running.waiting() == 0 {
            thread::yield_now();
        }
        drop(running);
        let error = asked.join().expect("asks").expect_err("it ended");
        assert!(error.starts_with("the test ended before that"), "{error}");
    });
    assert!(server.begin(&shop()).take().is_empty(), "the next test is another one");
}

#[test]
fn nobody_there_says_how_to_be_there() {
    let server = open();
    let address = server.address();
    drop(server);
    let error = client::answer(&ControlArgs { control: address }, &Wish::Status).expect_err("closed");
    let text = error.to_string();
    assert!(text.starts_with(&format!("no run can be reached at {address}: ")), "{text}");
    assert!(text.ends_with(&format!("\nhint: start the run with `--control {address}`")), "{text}");
}

#[test]
fn a_page_in_a_browser_reaches_nothing() {
    let server = open();
    let (codes, taken) = taking(&server, &mut shop(), || {
        let port = server.address().port();
        [
            request(&server, "POST", "/v1/stop", "Origin: http://evil.example\r\n"),
            request(&server, "POST", "/v1/stop", "Origin: null\r\n"),
            request(&server, "OPTIONS", "/v1/stop", "Origin: http://evil.example\r\n"),
            send(&server, &format!("POST /v1/stop HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n")),
            send(&server, "POST /v1/stop HTTP/1.1\r\n\r\n"),
        ]
    });
    for (code, answer) in codes {
        assert_eq!(code, 403, "{answer}");
        assert!(answer.contains("{\"error\":\"") && answer.contains("\"hint\":\""), "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("access-control"), "{answer}");
    }
    assert!(taken.is_empty(), "{taken:?}");
}

#[test]
fn unclear_requests_are_refused_and_hurt_no_one() {
    let server = open();
    let (answers, taken) = taking(&server, &mut shop(), || {
        let long = format!("X: {}\r\n", "x".repeat(20_000));
        [
            (404, request(&server, "GET", "/v1/statuss", "")),
            (404, request(&server, "GET", "/", "")),
            (405, request(&server, "GET", "/v1/stop", "")),
            (405, request(&server, "POST", "/v1/status", "")),
            (400, request(&server, "POST", "/v1/stop?now=1", "")),
            (400, request(&server, "POST", "/v1/scale", "")),
            (400, request(&server, "POST", "/v1/scale?vus=-1", "")),
            (400, request(&server, "POST", "/v1/scale?vus=4294967296", "")),
            (400, request(&server, "POST", "/v1/scale?vus=1&scenarios=buy", "")),
            (400, request(&server, "POST", "/v1/scale?vus=%zz", "")),
            (400, send(&server, "\u{16}\u{3}\u{1}\r\n\r\n")),
            (431, request(&server, "GET", "/v1/status", &long)),
        ]
    });
    for (expected, (code, answer)) in answers {
        assert_eq!(code, expected, "{answer}");
        assert!(answer.contains("{\"error\":\""), "{answer}");
    }
    assert!(taken.is_empty(), "{taken:?}");
}

#[test]
fn connections_that_say_nothing_hold_up_no_other() {
    let server = open();
    let silent: Vec<_> = (0..3).map(|_| TcpStream::connect(server.address()).expect("connects")).collect();
    let started = Instant::now();
    assert!(asks(&server, Wish::Status).is_ok());
    assert!(started.elapsed() < Duration::from_secs(2), "its own deadline is theirs alone");
    drop(silent);
}

#[test]
fn the_address_is_free_again_when_the_run_is_over() {
    let server = open();
    let address = server.address();
    drop(server);
    assert_eq!(Server::open(address).expect("opens again").address(), address);
    let taken = open();
    let error = Server::open(taken.address()).expect_err("is taken");
    let text = format!("{error:#}");
    let (cause, hint) = text.split_once("\nhint: ").expect("a hint");
    assert!(cause.starts_with("can't listen on ") && !cause.ends_with("`--control`"), "{text}");
    assert_eq!(hint, "`--control 127.0.0.1:0` takes a free port");
    let everyone =
        Server::open("0.0.0.0:0".parse().expect("an address")).expect_err("not this machine alone");
    assert!(everyone.to_string().contains("other machines"), "{everyone}");
}

#[test]
fn the_status_is_a_table_with_a_line_for_each_scenario() {
    let rate = Options {
        executor: Some(ExecutorKind::ConstantArrivalRate),
        rate: Some(100),
        pre_allocated_vus: Some(5),
        max_vus: Some(9),
        duration: Some(Duration::from_secs(10)),
        ..Options::default()
    };
    let mut tracker = under_load(&[definition("browse", looping()), definition("buy", rate)]);
    let browse = ScenarioState {
        planned_vus: 3,
        vus: 3,
        initialised_vus: 3,
        started: 1_237,
        completed: 1_234,
        failed: 5,
        ..ScenarioState::default()
    };
    let buy = ScenarioState {
        planned_rate: Some(100.0),
        initialised_vus: 7,
        dropped: 12,
        planned_iterations: Some(900),
        ..ScenarioState::default()
    };
    let scenarios = |started| {
        let browse = ScenarioState { started, ..browse.clone() };
        [("browse".to_owned(), browse), ("buy".to_owned(), buy.clone())].into()
    };
    tracker.add(&Interval { seconds: 1.0, scenarios: scenarios(1_000), ..Interval::default() });
    tracker.add(&Interval { seconds: 1.0, scenarios: scenarios(1_237), ..Interval::default() });
    let status = Status { elapsed_seconds: 72.9, ..tracker.status(Instant::now()) };
    assert_eq!(
        status.text(),
        "shop/lib::shop: running for 1m12s\n\
         \u{20} scenario executor               VUs  starts  planned  iterations  failed  interrupted  dropped\n\
         \u{20} browse   constant-vus           3/3   237/s        –       1,234       5            0        0\n\
         \u{20} buy      constant-arrival-rate  0/7     0/s    100/s       0/900       0            0       12\n"
    );
    // Some milliseconds have no rate of their own.
    tracker.add(&Interval { seconds: 0.004, scenarios: scenarios(1_240), ..Interval::default() });
    assert_eq!(tracker.status(Instant::now()).scenarios[0].started_rate, Some(237.0));
    tracker.pause(true);
    let held = tracker.status(Instant::now());
    assert_eq!(held.scenarios[1].started_rate, None);
    assert!(!held.text().contains("/s"), "{}", held.text());
    let json = serde_json::to_string(&status).expect("JSON");
    assert_eq!(serde_json::from_str::<Status>(&json).expect("reads back"), status);
    assert!(
        json.contains(r#""test":"shop/lib::shop","phase":"running","elapsed_seconds":72.9,"paused":false"#)
    );
    assert_eq!(Status::default().text(), "no test is running right now\n");
}

#[test]
fn names_from_a_test_cannot_steer_the_terminal() {
    let tracker = Tracker::new("t\u{1b}[2J", &[definition("evil\u{7}\n", looping())]);
    let text = tracker.status(Instant::now()).text();
    assert!(!text.contains(['\u{1b}', '\u{7}']) && text.lines().count() == 3, "{text}");
}
