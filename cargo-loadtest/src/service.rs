//! The service of `[service]` in `loadtest.toml`: a target that the tests do not start themselves, started
//! and stopped here, anew for each run of a test.
//!
//! The main type is [`RunningService`]. Commands are run by `sh -c`, each in a process group of its own, with
//! what they print in a log. A `start` that stays is the service; one that ends with success has started
//! something else, which is ended with its group or by `stop`. What the service is, and whether it does what
//! it should, is not looked at here.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::config::ServiceSection;
use crate::launch::{Group, describe};
use crate::machine;

mod ready;
#[cfg(test)]
mod tests;

use ready::Ready;

/// How often it is looked at whether something that is waited for is there.
const LOOK: Duration = Duration::from_millis(50);

/// How long a `start` without `ready` must have stayed to be taken for the service.
const STAYS: Duration = Duration::from_millis(500);

/// How long `stop` may take, and `reset`: containers are given 10 s each before they are killed.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// How long a service in the foreground may take to leave once it was asked to.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// Lines of a log that an error shows, and characters of each.
const LOG_LINES: usize = 20;
const LOG_WIDTH: usize = 400;

/// The end of a log that is read for them.
const LOG_END: u64 = 64 << 10;

/// Where and how a service is run.
#[derive(Debug)]
pub struct ServicePlace<'a> {
    /// `base` or `head`: `LOADTEST_SIDE` of all its commands.
    pub side: &'a str,
    /// The directory that its commands are run in: the source tree's.
    pub tree: &'a Path,
    /// More environment variables.
    pub env: Vec<(OsString, OsString)>,
    /// The file that its output is appended to. It is created.
    pub log: PathBuf,
    /// The cores that it is kept to, with all that its `start` starts; `None`: all.
    pub cores: Option<&'a [usize]>,
}

/// A service that was started. Dropping it stops it for certain, as [`RunningService::stop`] does.
#[derive(Debug)]
pub struct RunningService {
    start: Group,
    stop: Option<String>,
    shell: Shell,
    stopped: bool,
}

impl RunningService {
    /// Starts the service, waits until it is ready, and resets it.
    ///
    /// Without `ready`, a `start` that ended with success is ready, and so is one that stays for half a second.
    /// A URL that answers before the service was started proves nothing about a `start` that stays: only one
    /// that ends with success (as `systemctl restart` does) may take over what was there.
    ///
    /// `interrupted` is asked all the time.
    ///
    /// # Errors
    /// With the last lines of the log: if a command can't be run or fails, it is not ready within
    /// `ready_timeout`, it was interrupted; or if `start` ended and nothing is left of it that could be ended
    /// without `stop`. What was started is stopped again.
    pub fn start(
        section: &ServiceSection,
        place: &ServicePlace<'_>,
        interrupted: impl Fn() -> bool,
    ) -> anyhow::Result<RunningService> {
        let shell = Shell::open(place)?;
        let ready = section.ready.as_deref().map(Ready::parse).transpose()?;
        let was_ready = match &ready {
            Some(ready) => ready.is_met_already(&interrupted),
            None => false,
        };
        let service = RunningService {
            start: shell.spawn(&section.start, place.cores)?,
            stop: section.stop.clone(),
            shell,
            stopped: false,
        };
        let timeout = section.ready_timeout;
        let waiting = Waiting { interrupted: &interrupted, until: Instant::now() + timeout, timeout };
        match &ready {
            Some(ready) => service.until_ready(ready, was_ready, &waiting)?,
            None => service.until_it_stays(&waiting)?,
        }
        // A server that found its port taken may end only now, while another one answers.
        let start = service.look_at_start()?;
        if start.is_some() && service.stop.is_none() && !service.has_members() {
            bail!(
                "`start` of [service] has ended, and nothing that it started is left in its process group: it \
                 could not be stopped\nhint: add `stop = \"…\"` to [service], or let `start` stay in the \
                 foreground"
            );
        }
        if let Some(reset) = &section.reset {
            service.shell.run("reset", reset, COMMAND_LIMIT, &interrupted)?;
        }
        Ok(service)
    }

    /// The process of a `start` that stays in the foreground: the shell's, which may have become the service
    /// or be its parent.
    pub fn pid(&self) -> Option<u32> {
        self.start.ended().is_none().then(|| self.start.pid())
    }

    /// How the service ended though nobody stopped it, with the last lines of its log; `None` as long as it runs,
    /// and of one that only its `stop` knows.
    pub fn has_died(&self) -> Option<String> {
        let status = self.start.ended()?;
        let gone = self.stop.is_none() && !self.has_members();
        (gone || !status.success()).then(|| {
            let how = describe(status);
            format!("the service of [service] {how} though it was not stopped{}", self.shell.last_lines())
        })
    }

    /// Runs `stop`; without one, asks the processes of `start` by SIGTERM. Gives them 5 seconds to leave, and
    /// kills what is left of them.
    ///
    /// # Errors
    /// If `stop` fails, or takes longer than a minute: the service may run on if it left the group of `start`.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        let stopped = match &self.stop {
            Some(stop) => self.shell.run("stop", stop, COMMAND_LIMIT, &|| false),
            None => {
                self.start.ask_to_leave();
                Ok(())
            }
        };
        if stopped.is_ok() {
            let until = Instant::now() + LEAVE_LIMIT;
            while self.is_there() && Instant::now() < until {
                thread::sleep(LOOK / 10);
            }
        }
        self.start.kill();
        stopped
    }

    /// Whether anything is left of what `start` started, as far as it can be told.
    fn is_there(&self) -> bool {
        match machine::group_members(self.start.pid()) {
            Some(members) => !members.is_empty(),
            None => self.start.ended().is_none(),
        }
    }

    /// Whether something of the group runs, other than its leader, which has ended. Where that can't be told,
    /// there is nothing to rely on.
    fn has_members(&self) -> bool {
        machine::group_members(self.start.pid()).is_some_and(|members| !members.is_empty())
    }

    fn until_ready(&self, ready: &Ready, was_ready: bool, waiting: &Waiting<'_>) -> anyhow::Result<()> {
        loop {
            let start = self.look_at_start()?;
            // A question may take its time, and there is no answer to wait for when `start` has failed.
            let last = ready.is_met(&self.shell, waiting, &|| self.look_at_start().map(drop))?;
            if last.is_ok() && (!was_ready || start.is_some()) {
                return Ok(());
            }
            if Instant::now() >= waiting.until {
                let after = waiting.timeout;
                let (why, hint) = match last {
                    Err(why) => (
                        format!("the service was not ready within {after:?}: {why}"),
                        "`ready_timeout = \"…\"` in [service] gives it more time",
                    ),
                    Ok(()) => (
                        format!(
                            "`ready` of [service] was met before the service was started, and `start` still runs \
                             after {after:?}: something else answers in its place"
                        ),
                        "stop what is running there",
                    ),
                };
                bail!("{why}{}\nhint: {hint}", self.shell.last_lines());
            }
            waiting.a_moment()?;
        }
    }

    fn until_it_stays(&self, waiting: &Waiting<'_>) -> anyhow::Result<()> {
        let stays = Instant::now() + STAYS;
        while self.look_at_start()?.is_none() && Instant::now() < stays {
            waiting.a_moment()?;
        }
        Ok(())
    }

    /// How `start` ended, if it did.
    ///
    /// # Errors
    /// If it failed.
    fn look_at_start(&self) -> anyhow::Result<Option<ExitStatus>> {
        match self.start.ended() {
            Some(status) if !status.success() => {
                bail!("`start` of [service] {}{}", describe(status), self.shell.last_lines())
            }
            ended => Ok(ended),
        }
    }
}

impl Drop for RunningService {
    fn drop(&mut self) {
        // Whoever wants to know whether it worked calls `stop`.
        let _ = self.end();
    }
}

/// How long is waited.
struct Waiting<'w> {
    interrupted: &'w dyn Fn() -> bool,
    until: Instant,
    timeout: Duration,
}

impl Waiting<'_> {
    /// Lets a moment pass.
    ///
    /// # Errors
    /// If a signal came.
    fn a_moment(&self) -> anyhow::Result<()> {
        self.not_interrupted()?;
        thread::sleep(LOOK.min(self.until.saturating_duration_since(Instant::now())));
        Ok(())
    }

    /// As [`Waiting::a_moment`], without it.
    fn not_interrupted(&self) -> anyhow::Result<()> {
        if (self.interrupted)() {
            bail!("interrupted while the service was started");
        }
        Ok(())
    }
}

/// What runs the commands of a section.
#[derive(Debug)]
struct Shell {
    tree: PathBuf,
    env: Vec<(OsString, OsString)>,
    path: PathBuf,
    log: File,
    /// Where this service's part of the log begins.
    begin: u64,
}

impl Shell {
    fn open(place: &ServicePlace<'_>) -> anyhow::Result<Shell> {
        let failed = || format!("can't write the service's log {}", place.log.display());
        if let Some(directory) = place.log.parent() {
            fs::create_dir_all(directory).with_context(failed)?;
        }
        let log = OpenOptions::new().create(true).append(true).open(&place.log).with_context(failed)?;
        let begin = log.metadata().with_context(failed)?.len();
        let mut env = place.env.clone();
        env.push(("LOADTEST_SIDE".into(), place.side.into()));
        Ok(Shell { tree: place.tree.to_owned(), env, path: place.log.clone(), log, begin })
    }

    fn command(&self, line: &str, output: &File) -> io::Result<Command> {
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(&self.tree)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?);
        Ok(command)
    }

    fn spawn(&self, line: &str, cores: Option<&[usize]>) -> anyhow::Result<Group> {
        let spawned = self.command(line, &self.log).and_then(|mut command| Group::spawn(&mut command, cores));
        spawned.with_context(|| format!("can't run `sh` in {}", self.tree.display()))
    }

    /// Runs a command to its end, within its time.
    fn run(
        &self,
        key: &str,
        line: &str,
        limit: Duration,
        interrupted: &dyn Fn() -> bool,
    ) -> anyhow::Result<()> {
        let group = self.spawn(line, None)?;
        let until = Instant::now() + limit;
        loop {
            match group.ended() {
                // What it left running goes with its group.
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("`{key}` of [service] {}{}", describe(status), self.last_lines()),
                None if interrupted() => bail!("interrupted while `{key}` of [service] ran"),
                None if Instant::now() >= until => {
                    bail!("`{key}` of [service] did not end within {limit:?}{}", self.last_lines())
                }
                None => thread::sleep(LOOK / 10),
            }
        }
    }

    /// What the service and its commands printed last.
    fn last_lines(&self) -> String {
        let name = self.path.display();
        match end_of(&self.path, self.begin).as_slice() {
            [] => format!("\nits log is empty: {name}"),
            lines => format!("\nthe last lines of its log ({name}):\n  | {}", lines.join("\n  | ")),
        }
    }
}

/// The last lines of a file from this byte on, without control characters, none of them empty at the start.
fn end_of(path: &Path, begin: u64) -> Vec<String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(begin.max(end.saturating_sub(LOG_END))))?;
        file.take(LOG_END).read_to_end(&mut bytes)
    });
    if read.is_err() {
        return Vec::new();
    }
    last_lines(&bytes)
}

/// As [`end_of`], of what was read.
fn last_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| *c == '\t' || !c.is_control()).take(LOG_WIDTH).collect())
        .collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    lines.into_iter().skip(from).skip_while(String::is_empty).collect()
}
