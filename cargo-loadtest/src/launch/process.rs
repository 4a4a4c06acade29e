//! A test process as the operating system sees it: started in a process group of its own, its output read
//! line by line, killed with everything that it started.
//!
//! The main type is [`TestProcess`]; sessions see it as [`Child`], so that they can be tried without one.
//! Nothing here knows frames.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::SyncSender;
use std::thread;

use anyhow::Context;
use loadtest_core::wire::{ENV_ADDR, ENV_TOKEN};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use super::TestBinary;
use super::group::Group;
use super::handshake::Door;
use super::output::read_lines;
use super::session::Event;
use crate::live::Stream;

/// What a session does to the process at its other end.
pub(super) trait Child: Send {
    /// Its number, if it is a process.
    fn pid(&self) -> Option<u32>;

    /// Kills it and everything that it started, and says how it ended. The status is that of its own end
    /// if it had ended before.
    fn finish(&mut self) -> Option<ExitStatus>;
}

/// A running test binary. Dropping it kills the whole group, so that no service survives an error or panic.
#[derive(Debug)]
pub(super) struct TestProcess {
    group: Group,
}

impl TestProcess {
    /// Starts one entry of a test binary, with more environment and on these cores if any are given. Its
    /// output and its end are sent as events.
    ///
    /// # Errors
    /// If it can't be started.
    pub(super) fn spawn(
        binary: &TestBinary,
        env: &[(OsString, OsString)],
        cores: Option<&[usize]>,
        door: &Door,
        events: &SyncSender<Event>,
    ) -> anyhow::Result<Self> {
        let mut command = command(binary);
        command.envs(env.iter().map(|(key, value)| (key, value)));
        command.env(ENV_ADDR, door.address().to_string()).env(ENV_TOKEN, door.token());
        let mut group = Group::spawn(&mut command, cores).with_context(|| {
            let program = command.get_program().to_string_lossy();
            if binary.runner.is_empty() {
                format!("can't start the test binary `{program}`")
            } else {
                format!(
                    "can't start the target runner `{program}`\nhint: it is set by `target.<triple>.runner` in \
                     cargo's configuration, or by CARGO_TARGET_<TRIPLE>_RUNNER"
                )
            }
        })?;
        let (out, err) = group.take_outputs();
        forward(out.context("standard output is not a pipe")?, Stream::Out, events)?;
        forward(err.context("standard error is not a pipe")?, Stream::Err, events)?;
        let (events, id) = (events.clone(), group.id());
        thread::Builder::new()
            .name("wait".to_owned())
            .spawn(move || {
                wait_without_reaping(id);
                // Nobody listens any more if the session has ended.
                let _ = events.send(Event::Exited);
            })
            .context("can't start the thread that waits for the test process")?;
        Ok(Self { group })
    }
}

impl Child for TestProcess {
    fn pid(&self) -> Option<u32> {
        Some(self.group.pid())
    }

    fn finish(&mut self) -> Option<ExitStatus> {
        self.group.kill()
    }
}

/// The runner if there is one, then the binary with what makes libtest call one ignored test only.
fn command(binary: &TestBinary) -> Command {
    let mut command = match binary.runner.split_first() {
        Some((runner, arguments)) => {
            let mut command = Command::new(runner);
            command.args(arguments).arg(&binary.executable);
            command
        }
        None => Command::new(&binary.executable),
    };
    command
        // With one thread libtest would print `test NAME ... ` before the user's first line, on its line.
        .args(["--ignored", "--exact", &binary.entry, "--nocapture", "--test-threads=2"])
        .envs(binary.env.iter().map(|(key, value)| (key, value)))
        .current_dir(&binary.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn forward(
    pipe: impl io::Read + Send + 'static,
    stream: Stream,
    events: &SyncSender<Event>,
) -> anyhow::Result<()> {
    let events = events.clone();
    thread::Builder::new()
        .name("output".to_owned())
        .spawn(move || {
            read_lines(pipe, |line| events.send(Event::Line(stream, line)).is_ok());
            // As above.
            let _ = events.send(Event::OutputClosed);
        })
        .context("can't start the thread that reads the test's output")?;
    Ok(())
}

/// Returns when a process has ended, and leaves it to be reaped by its owner.
fn wait_without_reaping(pid: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
}

/// How a process ended, for people: `was killed by signal 6 (SIGABRT)`.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => match signal_name(signal) {
            Some(name) => format!("was killed by signal {signal} ({name})"),
            None => format!("was killed by signal {signal}"),
        },
        (None, None) => "ended".to_owned(),
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL: by hand, by a supervisor, or because memory ran out"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
    ];
    names.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}
