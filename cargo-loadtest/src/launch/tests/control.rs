//! Conversations that somebody else takes part in: by `--control`, by SIGUSR1; and how much of what the
//! test process prints is shown.

use std::thread;

use loadtest_core::options::ExecutorKind;

use super::*;
use crate::cli::{ControlArgs, Wish};
use crate::control;

fn open() -> Server {
    Server::open("127.0.0.1:0".parse().expect("an address")).expect("opens")
}

/// Runs a scripted test that `server` controls.
fn controlled(server: &Server, limits: Limits, script: impl FnOnce(Peer) + Send + 'static) -> Held {
    let connection = scripted(limits, &[1], script).0;
    hold_controlled(connection, limits, &Signals::detached(), Seen::default(), request(), Some(server))
}

/// A client for a script's thread.
fn client(server: &Server) -> impl Fn(Wish) -> Result<String, String> + Send + Clone + use<> {
    let args = Arc::new(ControlArgs { control: server.address() });
    move |wish| control::answer(&args, &wish).map_err(|error| format!("{error:#}"))
}

fn stopped() -> FromTest {
    FromTest::Results(Box::new(TestOutcome::new(End::Stopped)))
}

#[test]
fn a_test_is_paused_resumed_and_stopped_by_others() {
    let server = open();
    let ask = client(&server);
    let held = controlled(&server, LIMITS, move |peer| {
        peer.begin();
        let status = |paused: &str| {
            let text = ask(Wish::Status).expect("a status");
            assert!(text.starts_with("concert/lib::seats: ") && text.contains(paused), "{text}");
        };
        // The answer comes when the frame is on its way.
        assert_eq!(ask(Wish::Pause).as_deref(), Ok("paused\n"));
        assert!(matches!(peer.hear(), ToTest::Pause));
        status("paused, ");
        peer.say(&FromTest::Interval(Interval { paused: true, ..interval(0) }));
        assert_eq!(ask(Wish::Resume).as_deref(), Ok("resumed\n"));
        assert!(matches!(peer.hear(), ToTest::Resume));
        status("running for ");
        assert_eq!(ask(Wish::Stop).as_deref(), Ok("stopping\n"));
        assert!(matches!(peer.hear(), ToTest::Stop { reason: StopReason::Asked }));
        peer.say(&FromTest::State { phase: Phase::Teardown });
        peer.say(&stopped());
    });
    let outcome = held.launched.expect("an outcome").outcome;
    assert_eq!(outcome.end, End::Stopped);
    assert_eq!(outcome.warnings, [""; 0]);
    assert!(held.seen.log.iter().any(|line| line == "notice stopping, as `cargo loadtest stop` asked"));
    // The server goes on to the next test, and speaks of this one no more.
    assert_eq!(client(&server)(Wish::Status).as_deref(), Ok("no test is running right now\n"));
}

#[test]
fn users_are_added_to_the_scenario_that_was_named() {
    let server = open();
    let ask = client(&server);
    let options = Options {
        executor: Some(ExecutorKind::ExternallyControlled),
        vus: Some(1),
        max_vus: Some(9),
        duration: Some(Duration::from_secs(60)),
        ..Options::default()
    };
    let definitions = [Definition { workload: options.resolve().expect("valid"), options, ..definition() }];
    let (connection, _) = scripted(LIMITS, &[1], move |peer| {
        peer.begin();
        assert_eq!(ask(Wish::Scale(Some("seats".to_owned()), 9)).as_deref(), Ok("scaled to 9\n"));
        let ToTest::Scale { scenario: Some(name), vus: 9 } = peer.hear() else { panic!("no scale") };
        assert_eq!(name, "seats");
        assert!(ask(Wish::Scale(None, 10)).is_err_and(|error| error.contains("max_vus")));
        peer.say(&results());
    });
    let directory = tempfile::tempdir().expect("a directory");
    let unused = binary("unused", &[]);
    let spec = LaunchSpec {
        binary: &unused,
        request: request(),
        id: "t",
        definitions: &definitions,
        intervals: directory.path().join("i.jsonl"),
        control: Some(&server),
        pin: None,
        env: Vec::new(),
    };
    let launched = drive::drive(connection, spec, &mut Seen::default(), &Signals::detached(), LIMITS);
    assert_eq!(launched.expect("an outcome").outcome.end, End::Completed);
}

#[test]
fn one_that_is_stopped_in_its_setup_is_let_go_and_one_that_does_not_stop_is_killed() {
    let server = open();
    let ask = client(&server);
    let held = controlled(&server, LIMITS, move |peer| {
        peer.request();
        // The request is out a moment before the test can be controlled.
        while ask(Wish::Status).is_ok_and(|text| text.contains("no test")) {
            thread::yield_now();
        }
        assert!(ask(Wish::Pause).is_err_and(|error| error.contains("not begun")));
        assert_eq!(ask(Wish::Stop).as_deref(), Ok("stopping\n"));
        assert!(matches!(peer.hear(), ToTest::Stop { reason: StopReason::Asked }));
        peer.say(&FromTest::Ready);
        assert!(matches!(peer.hear(), ToTest::Go));
        peer.say(&stopped());
    });
    assert_eq!(held.launched.expect("an outcome").outcome.end, End::Stopped);

    let limits = Limits { silence: Duration::from_millis(50), ..LIMITS };
    let (stay, leave) = mpsc::channel::<()>();
    let ask = client(&server);
    let held = controlled(&server, limits, move |peer| {
        peer.begin();
        peer.say(&FromTest::Interval(interval(0)));
        ask(Wish::Stop).expect("is asked");
        let _ = leave.recv();
    });
    drop(stay);
    let outcome = held.launched.expect("an outcome").outcome;
    assert_eq!(outcome.end, End::Stopped, "it was not interrupted, whatever it did not do");
    assert!(outcome.warnings.concat().contains("never awaits"), "{:?}", outcome.warnings);
    assert_eq!(outcome.scenarios["seats"].completed, 1);
}

#[test]
fn the_question_for_the_state_is_answered_above_the_bars() {
    let signals = Signals::detached();
    let asked = signals.clone();
    let seen = Seen { on_interval: Some(Box::new(move |_| asked.ask_for_status())), ..Seen::default() };
    let (connection, _) = scripted(LIMITS, &[1], move |peer| {
        peer.begin();
        peer.say(&FromTest::Interval(interval(0)));
        peer.say(&results());
    });
    let held = hold(connection, LIMITS, &signals, seen);
    let notices: Vec<_> = held.seen.log.iter().filter(|line| line.starts_with("notice")).collect();
    assert_eq!(notices.len(), 1, "{:?}", held.seen.log);
    let text = notices[0];
    assert!(text.starts_with("notice concert/lib::seats: running for 0s\n  scenario "), "{text}");
    assert!(text.lines().any(|line| line.starts_with("  seats    constant-vus  0/0 ")), "{text}");
    assert_eq!(held.launched.expect("an outcome").outcome.end, End::Completed, "and nothing else");
}

#[test]
fn what_virtual_users_print_is_limited_and_setup_and_teardown_are_not() {
    let (connection, _) = scripted(LIMITS, &[1], |peer| {
        peer.request();
        (0..100).for_each(|n| peer.print(&format!("setup {n}")));
        peer.say(&FromTest::Ready);
        assert!(matches!(peer.hear(), ToTest::Go));
        // All within the first moments: they go ahead of the frame by the same queue.
        (0..100).for_each(|n| peer.print(&format!("user {n}")));
        peer.events
            .send(Event::Line(Stream::Err, "user's error".to_owned()))
            .expect("the subcommand listens");
        for phase in [Phase::Stopping, Phase::Teardown] {
            peer.events
                .send(Event::Frame(Box::new(FromTest::State { phase })))
                .expect("the subcommand listens");
        }
        (0..100).for_each(|n| peer.print(&format!("teardown {n}")));
    });
    let limited = Request { log_limit: 7, ..request() };
    let held = hold_controlled(connection, LIMITS, &Signals::detached(), Seen::default(), limited, None);
    let shown =
        |who: &str| held.seen.log.iter().filter(|line| line.starts_with(&format!("Out {who} "))).count();
    assert_eq!(shown("setup"), 100);
    assert_eq!(shown("teardown"), 100);
    let (users, told): (_, Vec<_>) =
        (shown("user"), held.seen.log.iter().filter(|line| line.contains("held")).collect());
    // A machine that is stalled for a second gives them another share.
    assert!(users == 7 || users == 14, "{users}");
    assert!(held.seen.log.iter().any(|line| line == "Err user's error"), "each stream has its own share");
    let expected = format!("Err … {} more lines held back (--log-limit 0 shows all)", 100 - users);
    assert!(users != 7 || told == [&expected], "{told:?}");
    // What explains a death saw every line.
    assert!(crash_of(&held).contains("\n  | teardown 60\n"), "{}", crash_of(&held));
}
