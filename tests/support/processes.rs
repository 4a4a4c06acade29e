//! Processes by their numbers: who started whom, and who is still there. Linux only.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A process, which another one with its number later is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The first 15 bytes of its program's name.
    pub name: String,
    parent: u32,
    started: u64,
    state: char,
}

impl Process {
    /// The process with a number, if there is one.
    pub fn of(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything, brackets too; numbers come after the last one.
        let (head, tail) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        Some(Process {
            pid,
            name,
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// What it has started and what those have, alive.
    pub fn descendants(&self) -> Vec<Process> {
        let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
        let all: Vec<Process> = numbers
            .filter_map(|entry| Process::of(entry.file_name().to_str()?.parse().ok()?))
            .filter(|process| !process.is_dead())
            .collect();
        let mut found: Vec<Process> = Vec::new();
        let mut open = vec![self.pid];
        while let Some(parent) = open.pop() {
            for child in all.iter().filter(|process| process.parent == parent) {
                open.push(child.pid);
                found.push(child.clone());
            }
        }
        found
    }

    /// Whether it still runs. One that has ended and waits for its parent does not.
    pub fn is_alive(&self) -> bool {
        Process::of(self.pid).is_some_and(|now| now.started == self.started && !now.is_dead())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        assert!(self.is_alive(), "{self:?} is gone");
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).expect("it is a process number");
        kill_process(pid, signal).expect("it may be signalled");
    }

    /// Waits for its end; panics if it takes longer.
    pub fn ends_within(&self, bound: Duration) {
        let end = Instant::now() + bound;
        while self.is_alive() {
            assert!(Instant::now() < end, "{self:?} still runs after {bound:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}
