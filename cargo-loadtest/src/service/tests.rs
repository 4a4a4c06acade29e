//! Services that are shell commands, with servers of the test's own where one is asked over HTTP.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::*;

/// Long enough for a busy machine; what is expected to take that long is not tested.
const LONG: Duration = Duration::from_secs(60);

fn section(start: &str) -> ServiceSection {
    ServiceSection { start: start.to_owned(), ready: None, reset: None, stop: None, ready_timeout: LONG }
}

/// A tree to run services in.
struct Tree(TempDir);

impl Tree {
    fn new() -> Tree {
        Tree(tempfile::tempdir().expect("a directory"))
    }

    fn place(&self) -> ServicePlace<'_> {
        ServicePlace {
            side: "head",
            tree: self.0.path(),
            env: vec![("SAMPLE".into(), "seoul".into())],
            log: self.0.path().join("logs/service.log"),
            cores: None,
        }
    }

    fn start(&self, section: &ServiceSection) -> anyhow::Result<RunningService> {
        RunningService::start(section, &self.place(), || false)
    }

    fn error(&self, section: &ServiceSection) -> String {
        format!("{:#}", self.start(section).expect_err("does not start"))
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }

    fn pid(&self, name: &str) -> String {
        let text = self.text(name);
        assert!(text.trim().parse::<u32>().is_ok(), "{text:?} is no process id");
        text.trim().to_owned()
    }
}

/// Waits for what another process does.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process has ended. A zombie is as good: its new parent may be slow to reap it.
fn is_dead(pid: &str) -> bool {
    let ps = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().expect("ps runs");
    let state = String::from_utf8_lossy(&ps.stdout);
    state.trim().is_empty() || state.trim().starts_with('Z')
}

fn is_dead_soon(pid: &str) {
    wait_for("the process ends", || is_dead(pid));
}

/// Answers requests: as `status` says each time, until it is dropped.
struct Server {
    url: String,
    closed: Arc<AtomicBool>,
}

impl Server {
    fn open(mut status: impl FnMut() -> &'static str + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("bound");
        let closed = Arc::new(AtomicBool::new(false));
        let is_closed = Arc::clone(&closed);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if is_closed.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.expect("accepts");
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                assert_eq!(lines.next().as_deref(), Some("GET /health HTTP/1.1"));
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                assert!(head.contains(&format!("Host: {address}")), "{head:?}");
                // Who asked may have gone.
                let _ = write!(stream, "HTTP/1.1 {}\r\nContent-Length: 0\r\n\r\n", status());
            }
        });
        Server { url: format!("http://{address}/health"), closed }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        let authority = self.url.trim_start_matches("http://").trim_end_matches("/health");
        let _ = std::net::TcpStream::connect(authority);
    }
}

#[test]
fn a_start_that_stays_is_the_service_until_it_is_stopped_with_its_group() {
    let tree = Tree::new();
    let start = "echo $LOADTEST_SIDE $SAMPLE $PWD; sleep 1000 & echo $! >child; echo $$ >leader; wait";
    let section = ServiceSection { ready: Some("test -s leader".to_owned()), ..section(start) };
    let service = tree.start(&section).expect("starts");
    let (leader, child) = (tree.pid("leader"), tree.pid("child"));
    assert_eq!(service.pid().map(|pid| pid.to_string()), Some(leader.clone()));
    let printed = tree.text("logs/service.log");
    let expected = format!("head seoul {}", fs::canonicalize(tree.0.path()).expect("exists").display());
    assert_eq!(printed.trim_end(), expected);
    service.stop().expect("stops");
    // Not soon, but now.
    assert!(is_dead(&leader) && is_dead(&child));
}

#[test]
fn a_service_that_ends_by_itself_when_asked_may_say_goodbye() {
    let tree = Tree::new();
    let start = "trap 'echo goodbye; exit 0' TERM; echo $$ >leader; while :; do sleep 0.05; done";
    let section = ServiceSection { ready: Some("test -s leader".to_owned()), ..section(start) };
    tree.start(&section).expect("starts").stop().expect("stops");
    assert!(tree.text("logs/service.log").contains("goodbye"));
}

#[test]
fn a_service_is_stopped_by_its_command_and_by_being_dropped() {
    let tree = Tree::new();
    let section = ServiceSection {
        ready: Some("test -s leader".to_owned()),
        stop: Some("echo stopping $LOADTEST_SIDE >>stopped; kill $(cat leader)".to_owned()),
        ..section("echo $$ >leader; exec sleep 1000")
    };
    drop(tree.start(&section).expect("starts"));
    assert!(is_dead(&tree.pid("leader")));
    assert_eq!(tree.text("stopped"), "stopping head\n");
    // Anew for each run, and once each.
    tree.start(&section).expect("starts again").stop().expect("stops");
    assert_eq!(tree.text("stopped"), "stopping head\nstopping head\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_start_that_leaves_the_service_in_its_group_needs_no_stop() {
    let tree = Tree::new();
    let service = tree.start(&section("sleep 1000 & echo $! >child")).expect("starts");
    wait_for("the shell ends", || service.pid().is_none());
    let child = tree.pid("child");
    assert!(!is_dead(&child));
    assert_eq!(service.has_died(), None);
    service.stop().expect("stops");
    assert!(is_dead(&child));
}

#[test]
fn a_daemon_needs_a_stop() {
    if Command::new("setsid").arg("true").status().is_err() {
        eprintln!("skipped: no setsid here");
        return;
    }
    let tree = Tree::new();
    // It leaves the group, and writes its number once it did.
    let start = "setsid sh -c 'echo $$ >daemon; exec sleep 1000' & while ! test -s daemon; do :; done";
    let error = tree.error(&section(start));
    assert!(error.contains("`start` of [service] has ended") && error.contains("hint: add `stop"), "{error}");
    let pid = tree.pid("daemon");
    Command::new("kill").arg(&pid).status().expect("kills");
    is_dead_soon(&pid);

    fs::remove_file(tree.0.path().join("daemon")).expect("removes");
    let stop = Some("kill $(cat daemon)".to_owned());
    let service = tree.start(&ServiceSection { stop, ..section(start) }).expect("starts");
    assert_eq!(service.pid(), None);
    let pid = tree.pid("daemon");
    assert!(!is_dead(&pid));
    service.stop().expect("stops");
    is_dead_soon(&pid);
}

#[test]
fn a_start_that_fails_is_told_with_its_last_words_and_cleaned_up_after() {
    let tree = Tree::new();
    fs::create_dir(tree.0.path().join("logs")).expect("a directory");
    fs::write(tree.0.path().join("logs/service.log"), "of another run\n").expect("writes");
    let section = ServiceSection {
        ready: Some("false".to_owned()),
        stop: Some("echo cleaned >cleaned".to_owned()),
        ..section("echo 'port \u{1b}[31mtaken'; exit 3")
    };
    let error = tree.error(&section);
    assert!(error.contains("`start` of [service] exited with code 3"), "{error}");
    assert!(error.contains("\n  | port [31mtaken") && !error.contains("another run"), "{error}");
    assert_eq!(tree.text("cleaned"), "cleaned\n");
    // Also while `ready` itself waits.
    let section = ServiceSection { ready: Some("sleep 1000".to_owned()), ..section };
    assert!(tree.error(&section).contains("exited with code 3"));
}

#[test]
fn a_url_is_asked_until_it_answers_with_success() {
    let (tree, mut asked) = (Tree::new(), 0);
    // The first question comes before the start.
    let server = Server::open(move || {
        asked += 1;
        ["503 Not Yet", "503 Not Yet", "302 Found", "204 Fine"][asked.min(4) - 1]
    });
    let ready = Some(server.url.clone());
    let service = tree.start(&ServiceSection { ready, ..section("exec sleep 1000") }).expect("starts");
    assert!(service.pid().is_some());
}

#[test]
fn what_is_not_ready_in_time_is_told_with_what_was_seen_instead() {
    let tree = Tree::new();
    let server = Server::open(|| "500 Broken");
    let brief = Duration::from_millis(200);
    for (ready, expected) in [
        (server.url.as_str(), "answers 500"),
        ("echo no such database; exit 2", "`ready` exited with code 2: no such database"),
        ("sleep 1000", "`ready` has not ended"),
    ] {
        let ready = Some(ready.to_owned());
        let section =
            ServiceSection { ready, ready_timeout: brief, ..section("echo $$ >leader; exec sleep 1000") };
        let error = tree.error(&section);
        assert!(error.contains("was not ready within 200ms") && error.contains(expected), "{error}");
        assert!(error.contains("\nhint: `ready_timeout"), "{error}");
        is_dead_soon(&tree.pid("leader"));
    }
}

#[test]
fn what_answered_before_is_not_taken_for_a_service_that_stays() {
    let tree = Tree::new();
    let server = Server::open(|| "200 OK");
    let ready = Some(server.url.clone());
    let brief = Duration::from_millis(300);
    let stays = ServiceSection { ready, ready_timeout: brief, ..section("exec sleep 1000") };
    let error = tree.error(&stays);
    assert!(error.contains("was met before the service was started"), "{error}");
    // A command that made another one take over has ended.
    let stop = Some("true".to_owned());
    let restarts = ServiceSection { start: "true".to_owned(), stop, ready_timeout: LONG, ..stays };
    tree.start(&restarts).expect("starts").stop().expect("stops");
}

#[test]
fn a_service_that_dies_while_it_is_needed_is_told() {
    let tree = Tree::new();
    let start = "echo $$ >leader; echo out of luck; while ! test -e enough; do sleep 0.01; done; exit 9";
    let section = ServiceSection { ready: Some("test -s leader".to_owned()), ..section(start) };
    let service = tree.start(&section).expect("starts");
    assert_eq!(service.has_died(), None);
    fs::write(tree.0.path().join("enough"), "").expect("writes");
    wait_for("it dies", || service.pid().is_none());
    let told = service.has_died().expect("it died");
    assert!(told.contains("exited with code 9 though it was not stopped"), "{told}");
    assert!(told.contains("out of luck"), "{told}");
    service.stop().expect("there is nothing to stop");
}

#[test]
fn it_is_reset_when_it_is_ready_and_a_reset_that_fails_is_an_error() {
    let tree = Tree::new();
    let section = ServiceSection {
        ready: Some("test -s leader".to_owned()),
        reset: Some("cat leader >reset; echo $LOADTEST_SIDE >>reset".to_owned()),
        ..section("echo $$ >leader; exec sleep 1000")
    };
    let service = tree.start(&section).expect("starts");
    assert_eq!(tree.text("reset"), format!("{}\nhead\n", tree.pid("leader")));
    drop(service);
    let section = ServiceSection { reset: Some("echo no table; exit 1".to_owned()), ..section };
    let error = tree.error(&section);
    assert!(
        error.contains("`reset` of [service] exited with code 1") && error.contains("no table"),
        "{error}"
    );
    is_dead_soon(&tree.pid("leader"));
}

#[test]
fn a_stop_that_fails_is_told_and_the_group_is_killed_all_the_same() {
    let tree = Tree::new();
    let section = ServiceSection {
        ready: Some("test -s leader".to_owned()),
        stop: Some("echo can not; exit 7".to_owned()),
        ..section("echo $$ >leader; exec sleep 1000")
    };
    let error = tree.start(&section).expect("starts").stop().expect_err("fails");
    assert!(error.to_string().contains("`stop` of [service] exited with code 7"), "{error}");
    assert!(error.to_string().contains("can not"), "{error}");
    assert!(is_dead(&tree.pid("leader")));
}

#[test]
fn a_signal_ends_the_waiting_wherever_it_is() {
    let tree = Tree::new();
    for (ready, reset) in [(Some("false"), None), (Some("sleep 1000"), None), (None, Some("sleep 1000"))] {
        let section = ServiceSection {
            ready: ready.map(str::to_owned),
            reset: reset.map(str::to_owned),
            ..section("echo $$ >leader; exec sleep 1000")
        };
        let (asked, began) = (Cell::new(0), Instant::now());
        // Late enough to be in the reset.
        let interrupted = || {
            asked.set(asked.get() + 1);
            asked.get() > 20
        };
        let error = RunningService::start(&section, &tree.place(), interrupted).expect_err("interrupted");
        assert!(error.to_string().starts_with("interrupted while"), "{error}");
        assert!(began.elapsed() < LONG);
        is_dead_soon(&tree.pid("leader"));
    }
}

#[test]
fn a_tree_that_is_not_there_and_a_log_that_can_t_be_are_told_by_name() {
    let tree = Tree::new();
    let place = ServicePlace { tree: Path::new("/no/such/tree"), ..tree.place() };
    let error = RunningService::start(&section("true"), &place, || false).expect_err("no tree");
    assert!(format!("{error:#}").contains("/no/such/tree"), "{error:#}");
    let place = ServicePlace { log: "/dev/null/log".into(), ..tree.place() };
    let error = RunningService::start(&section("true"), &place, || false).expect_err("no log");
    assert!(format!("{error:#}").contains("/dev/null/log"), "{error:#}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pinned_service_has_its_cores_with_all_that_it_starts() {
    let tree = Tree::new();
    let core = *machine::allowed_cores().expect("Linux tells").last().expect("one");
    let place = ServicePlace { cores: Some(&[core]), ..tree.place() };
    let start = "sh -c 'grep Cpus_allowed_list /proc/self/status' >cores; echo there >ready; exec sleep 1000";
    let section = ServiceSection { ready: Some("test -s ready".to_owned()), ..section(start) };
    let _service = RunningService::start(&section, &place, || false).expect("starts");
    assert_eq!(tree.text("cores").split_whitespace().nth(1), Some(core.to_string().as_str()));
}
