//! A process that leads a group of its own, so that what it starts can be ended with it.
//!
//! The main type is [`Group`]. Its leader is not reaped before the group is killed: as long as it is not,
//! its number, which is the group's, is no one else's. Nothing here reads output.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus};
use std::thread;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::signals;
use crate::machine;

/// A running group. Dropping it kills all of it, so that nothing survives an error or panic; and so does
/// the second Ctrl-C.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Child,
    id: Pid,
    reaped: bool,
}

impl Group {
    /// Starts a command as the leader of a group, kept to these cores if any are given, with all that it
    /// starts.
    ///
    /// # Errors
    /// If it can't be started, or not on these cores.
    pub(crate) fn spawn(command: &mut Command, cores: Option<&[usize]>) -> io::Result<Group> {
        command.process_group(0);
        let leader = match cores {
            None => command.spawn(),
            // A process has the cores of the thread that starts it. One that is made for it needs not be set back.
            Some(cores) => thread::scope(|scope| {
                let spawn = move || {
                    machine::confine_this_thread(cores).map_err(|error| {
                        let cores = machine::cores_text(cores);
                        io::Error::new(error.kind(), format!("can't keep it to the cores {cores}: {error}"))
                    })?;
                    command.spawn()
                };
                let starter = thread::Builder::new().name("start".to_owned()).spawn_scoped(scope, spawn)?;
                starter.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it panicked")))
            }),
        }?;
        let id = i32::try_from(leader.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("impossible process id"))?;
        signals::register(id);
        Ok(Group { leader, id, reaped: false })
    }

    /// The leader's number, and the group's.
    pub(crate) fn id(&self) -> Pid {
        self.id
    }

    /// The same as a plain number.
    pub(crate) fn pid(&self) -> u32 {
        self.leader.id()
    }

    /// The leader's output, as far as it is piped and was not taken.
    pub(super) fn take_outputs(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.leader.stdout.take(), self.leader.stderr.take())
    }

    /// How the leader ended; `None` as long as it runs. Others of its group may run still.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = waitid(WaitId::Pid(self.id), options).ok()??;
        let raw = match (status.exit_status(), status.terminating_signal()) {
            // As wait(2) has it: the code above the signal.
            (Some(code), _) => (code & 0xff) << 8,
            (None, Some(signal)) => signal,
            (None, None) => return None,
        };
        Some(ExitStatus::from_raw(raw))
    }

    /// Asks every process of the group to end, by SIGTERM.
    pub(crate) fn ask_to_leave(&self) {
        if !self.reaped {
            // A group that is gone is what was wanted.
            let _ = kill_process_group(self.id, Signal::TERM);
        }
    }

    /// Kills every process of the group, and says how its leader ended: by itself if it had before.
    pub(crate) fn kill(&mut self) -> Option<ExitStatus> {
        if self.reaped {
            return None;
        }
        self.reaped = true;
        signals::unregister(self.id);
        let _ = kill_process_group(self.id, Signal::KILL);
        self.leader.wait().ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
