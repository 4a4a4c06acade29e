//! Where test processes and services run, what they are told by their environment, and which executables
//! they are. The services are real children, of this process, which speaks for the test process.

use std::ffi::OsString;
use std::process::{Child, Command};

use super::*;
use crate::machine::{CoreSplit, allowed_cores, running_executable, split};

/// Killed when dropped, as assertions may fail.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sleeping() -> Running {
    Running(Command::new("sleep").arg("1000").spawn().expect("spawns"))
}

fn info(name: &str, pid: Option<u32>) -> FromTest {
    FromTest::Service(ServiceInfo {
        name: name.to_owned(),
        base_url: "http://127.0.0.1:1".to_owned(),
        path: Some("/claimed/by/the/test".to_owned()),
        pid,
        log: None,
    })
}

/// Runs a scripted test that says these services.
fn launched(pin: Option<CoreSplit>, services: Vec<FromTest>) -> Launched {
    let (connection, _) = scripted(LIMITS, &[1], move |peer| {
        peer.request();
        services.iter().for_each(|service| peer.say(service));
        peer.say(&FromTest::Ready);
        assert!(matches!(peer.hear(), ToTest::Go));
        peer.say(&results());
    });
    let directory = tempfile::tempdir().expect("a directory");
    let (unused, definitions) = (binary("unused", &[]), [definition()]);
    let spec = LaunchSpec {
        binary: &unused,
        request: request(),
        id: "t",
        definitions: &definitions,
        intervals: directory.path().join("i.jsonl"),
        control: None,
        pin,
        env: Vec::new(),
    };
    let (mut seen, signals) = (Seen::default(), Signals::detached());
    drive::drive(connection, spec, &mut seen, &signals, LIMITS).expect("an outcome")
}

#[test]
fn the_executable_that_really_runs_is_recorded_and_strangers_are_not_believed() {
    let service = sleeping();
    let pid = service.0.id();
    // Process 1 runs, and was not started by the test.
    let services = vec![info("concert", Some(pid)), info("in-process", None), info("liar", Some(1))];
    let launched = launched(None, services);
    assert_eq!(launched.services.len(), 3);
    assert_eq!(launched.executables, [running_executable("concert", pid).expect("runs")]);
    assert!(launched.executables[0].path.is_absolute() && launched.executables[0].sha256.len() == 64);
    assert_eq!(launched.pinned, None);
}

#[test]
fn a_pinned_service_has_its_own_cores_and_who_has_not_is_told() {
    let allowed = allowed_cores().expect("Linux tells");
    let Ok(cores) = split() else {
        assert_eq!(allowed.len(), 1, "a machine with two cores can be split");
        eprintln!("skipped: one core");
        return;
    };
    let service = sleeping();
    let pid = service.0.id();
    let services = vec![info("concert", Some(pid)), info("in-process", None), info("liar", Some(1))];
    let pinned = launched(Some(cores.clone()), services).pinned.expect("was to be pinned");
    assert_eq!((&pinned.cores, &pinned.apart), (&cores, &vec!["concert".to_owned()]));
    let together: Vec<_> = pinned.together.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(together, ["in-process", "liar"]);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("runs");
    let on = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    assert_eq!(on.map(str::trim), Some(crate::machine::cores_text(&cores.service).as_str()));
    assert_eq!(allowed_cores(), Some(allowed), "this process is where it was");
}

/// Starts `sh` as a test binary and returns what it printed.
fn printed(script: &str, env: &[(OsString, OsString)], cores: Option<&[usize]>) -> Vec<String> {
    let binary =
        TestBinary { env: vec![("LOADTEST_SIDE".into(), "cargo's".into())], ..binary("sh", &["-c", script]) };
    let (events, received) = mpsc::sync_channel(super::super::QUEUE);
    let door = Door::open(events.clone()).expect("opens");
    let child =
        super::super::process::TestProcess::spawn(&binary, env, cores, &door, &events).expect("spawns");
    let link = Link::new(received, Box::new(child), &binary.entry, LIMITS);
    let held = hold(Connection { link, _door: door }, LIMITS, &Signals::detached(), Seen::default());
    held.seen.log.iter().filter_map(|line| line.strip_prefix("Out ").map(str::to_owned)).collect()
}

#[test]
fn the_environment_of_the_launch_wins_over_the_binary_s() {
    let env = [("LOADTEST_SIDE".into(), "base".into())];
    assert_eq!(printed("echo $LOADTEST_SIDE", &env, None), ["base"]);
}

#[test]
fn a_pinned_test_process_has_the_generator_s_cores() {
    let core = *allowed_cores().expect("Linux tells").last().expect("one");
    let script = "while read key value; do case $key in Cpus_allowed_list:) echo $value; esac; done </proc/self/status";
    assert_eq!(printed(script, &[], Some(&[core])), [core.to_string()]);
}
