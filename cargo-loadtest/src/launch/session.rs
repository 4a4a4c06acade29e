//! The conversation with one test process: what comes in, in the order in which it came, and what it means
//! when nothing comes any more.
//!
//! The main type is [`Link`], which the two conversations, listing and running, are held over. It turns
//! threads and pipes into one sequence of steps, and it knows no reason to end: that is the caller's.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::bail;
use loadtest_core::wire::{self, FromTest, ToTest};

use super::handshake::Peer;
use super::output::{HarnessFilter, Tail};
use super::process::{Child, describe};
use crate::live::Stream;

/// What the threads around a test process report.
#[derive(Debug)]
pub(super) enum Event {
    /// It connected and showed the token.
    Hello(Peer),
    /// It said something.
    Frame(Box<FromTest>),
    /// It said something that can't be understood.
    Garbled(String),
    /// It closed the connection.
    Disconnected,
    /// It printed a line.
    Line(Stream, String),
    /// One of its two outputs ended.
    OutputClosed,
    /// It ended; its group may not have.
    Exited,
}

/// What a conversation has to react to.
#[derive(Debug)]
pub(super) enum Step {
    Hello(Peer),
    Frame(Box<FromTest>),
    Garbled(String),
    /// It is gone, with or without an end of its own: nothing more will come.
    Gone,
    /// Nothing for a tick.
    Nothing,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the start of the process to its `hello`, and to its definitions.
    pub(super) hello: Duration,
    /// From its results, or the end of its connection, to its end.
    pub(super) leave: Duration,
    /// From its end to that of its output and connection, which what it started may hold open.
    pub(super) drain: Duration,
    /// Without any frame after it was asked to stop, unless it is in `teardown`.
    pub(super) silence: Duration,
    /// From being asked to stop to its results.
    pub(super) stop: Duration,
    /// Between two intervals before the user is told.
    pub(super) gap: Duration,
    /// Without a line of output before what was printed is taken to be read.
    pub(super) settle: Duration,
    /// How often time is looked at.
    pub(super) tick: Duration,
}

impl Limits {
    /// Those of the product. `stop` is what `teardown` may take and a little.
    pub(super) const PRODUCT: Limits = Limits {
        hello: Duration::from_secs(30),
        leave: Duration::from_secs(5),
        drain: Duration::from_secs(1),
        silence: Duration::from_secs(10),
        stop: Duration::from_secs(70),
        gap: Duration::from_secs(30),
        settle: Duration::from_millis(20),
        tick: Duration::from_millis(100),
    };
}

/// One test process and everything that comes from it.
pub(super) struct Link {
    events: Receiver<Event>,
    /// Events that came while output was waited for.
    waiting: VecDeque<Event>,
    child: Box<dyn Child>,
    filter: HarnessFilter,
    tail: Tail,
    limits: Limits,
    to_test: Option<TcpStream>,
    outputs_open: u8,
    disconnected: Option<Instant>,
    exited: Option<Instant>,
    said_gone: bool,
    status: Option<ExitStatus>,
    finished: bool,
}

impl Link {
    pub(super) fn new(events: Receiver<Event>, child: Box<dyn Child>, entry: &str, limits: Limits) -> Self {
        Self {
            events,
            waiting: VecDeque::new(),
            child,
            filter: HarnessFilter::new(entry),
            tail: Tail::default(),
            limits,
            to_test: None,
            outputs_open: 2,
            disconnected: None,
            exited: None,
            said_gone: false,
            status: None,
            finished: false,
        }
    }

    /// The next thing that happens, or [`Step::Nothing`] after a tick. Lines that the user's code printed go
    /// to `line` on the way.
    pub(super) fn step(&mut self, line: &mut dyn FnMut(Stream, &str)) -> Step {
        let mut wait = self.limits.tick;
        let until = Instant::now() + wait;
        loop {
            if self.is_gone() && !self.said_gone {
                self.said_gone = true;
                return Step::Gone;
            }
            match self.next(wait) {
                Ok(Event::Hello(peer)) => return Step::Hello(peer),
                Ok(Event::Frame(frame)) => return Step::Frame(frame),
                Ok(Event::Garbled(error)) => return Step::Garbled(error),
                Ok(Event::Disconnected) => self.disconnected = Some(Instant::now()),
                Ok(Event::Exited) => self.exited = Some(Instant::now()),
                Ok(Event::Line(stream, text)) => self.line(stream, &text, line),
                Ok(Event::OutputClosed) => self.outputs_open = self.outputs_open.saturating_sub(1),
                Err(RecvTimeoutError::Timeout) => return Step::Nothing,
                Err(RecvTimeoutError::Disconnected) => {
                    // Every thread is done, so the process is.
                    self.exited.get_or_insert_with(Instant::now);
                    self.disconnected.get_or_insert_with(Instant::now);
                    if self.said_gone {
                        return Step::Nothing;
                    }
                }
            }
            // A process that prints without pause must not keep time from being looked at.
            wait = until.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Step::Nothing;
            }
        }
    }

    /// The next event, those that had to wait first.
    fn next(&mut self, wait: Duration) -> Result<Event, RecvTimeoutError> {
        self.waiting.pop_front().map_or_else(|| self.events.recv_timeout(wait), Ok)
    }

    /// Reads what the process has printed already, which comes by other ways than its frames: until nothing
    /// was printed for a moment, or it has printed for too long. Whatever else comes meanwhile is not lost.
    pub(super) fn settle(&mut self, line: &mut dyn FnMut(Stream, &str)) {
        let until = Instant::now() + self.limits.settle * 10;
        let mut quiet = Instant::now() + self.limits.settle;
        loop {
            let wait = quiet.min(until).saturating_duration_since(Instant::now());
            match self.events.recv_timeout(wait) {
                Ok(Event::Line(stream, text)) => {
                    self.line(stream, &text, line);
                    quiet = Instant::now() + self.limits.settle;
                }
                Ok(other) => self.waiting.push_back(other),
                Err(_) => return,
            }
        }
    }

    /// Whether nothing more can come: it ended and its last frames were read, or it hung up and stayed.
    fn is_gone(&self) -> bool {
        match (self.exited, self.disconnected) {
            (Some(_), Some(_)) => true,
            (Some(at), None) if self.to_test.is_some() => at.elapsed() > self.limits.drain,
            // There was no connection. A `hello` may be on its way through the threads, not longer.
            (Some(at), None) => at.elapsed() > self.limits.drain / 5,
            (None, Some(at)) => at.elapsed() > self.limits.leave,
            (None, None) => false,
        }
    }

    fn line(&mut self, stream: Stream, text: &str, line: &mut dyn FnMut(Stream, &str)) {
        let users = match stream {
            Stream::Out => self.filter.pass(text),
            Stream::Err => Some(text),
        };
        if let Some(users) = users {
            self.tail.push(users);
            line(stream, users);
        }
    }

    /// Agrees on a version with a process that said hello.
    ///
    /// # Errors
    /// If there is none, with the side that is too old.
    pub(super) fn greet(&mut self, peer: Peer) -> anyhow::Result<u32> {
        let Some(version) = wire::common_version(&peer.versions) else {
            let newest = peer.versions.iter().max();
            let ours = wire::VERSIONS.last();
            let (theirs, mine) = (peer.runtime_version.escape_debug(), env!("CARGO_PKG_VERSION"));
            let hint = if newest > ours {
                "`cargo install cargo-loadtest` upgrades the subcommand".to_owned()
            } else {
                "`cargo update -p loadtest-runtime` upgrades the dev-dependency".to_owned()
            };
            bail!(
                "loadtest-runtime {theirs} in the test binary and cargo-loadtest {mine} have no version of \
                 their protocol in common\nhint: {hint}"
            );
        };
        self.to_test = Some(peer.stream);
        Ok(version)
    }

    /// The number of the test process, if it is one.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.pid()
    }

    /// Says something. One that no longer listens shows by its end.
    pub(super) fn say(&mut self, frame: &ToTest) {
        if let Some(stream) = &self.to_test
            && wire::write_frame(stream, frame).is_err()
        {
            self.disconnected.get_or_insert_with(Instant::now);
        }
    }

    /// Waits for the process to leave on its own; `false` if it stays.
    pub(super) fn leaves(&mut self, line: &mut dyn FnMut(Stream, &str)) -> bool {
        let until = Instant::now() + self.limits.leave;
        while self.exited.is_none() && Instant::now() < until {
            self.step(line);
        }
        self.exited.is_some()
    }

    /// Kills the whole group, reads what is left of the output, and says how the process ended, if it did
    /// so by itself.
    pub(super) fn finish(&mut self, line: &mut dyn FnMut(Stream, &str)) -> Option<ExitStatus> {
        if self.finished {
            return self.status;
        }
        self.finished = true;
        let by_itself = self.exited.is_some();
        let status = self.child.finish();
        self.status = status.filter(|_| by_itself);
        // Not until the end of the pipes at any price: a process that left the group may hold them.
        let until = Instant::now() + self.limits.drain;
        while self.outputs_open > 0 {
            match self.next(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Line(stream, text)) => self.line(stream, &text, line),
                Ok(Event::OutputClosed) => self.outputs_open -= 1,
                Ok(_) => {}
                Err(_) => break,
            }
            if Instant::now() >= until {
                break;
            }
        }
        self.status
    }

    /// Finishes, and explains the death of a process that did not do what it should: how it ended, `before`
    /// what, and its last output.
    pub(super) fn explain_death(&mut self, before: &str, line: &mut dyn FnMut(Stream, &str)) -> String {
        let status = self.finish(line);
        let reason = match status {
            _ if self.tail.overflowed() => {
                let how = status.map(describe).map(|how| format!(" ({how})")).unwrap_or_default();
                format!("the test process overflowed its stack{how} {before}")
            }
            Some(status) if status.code().is_some() => {
                format!("the test process {} {before} (std::process::exit?)", describe(status))
            }
            Some(status) => format!("the test process {} {before}", describe(status)),
            None => format!("the test process closed its connection {before}"),
        };
        self.tail.explain(&reason)
    }

    /// Finishes, and explains why the process was killed.
    pub(super) fn explain(&mut self, reason: &str, line: &mut dyn FnMut(Stream, &str)) -> String {
        self.finish(line);
        self.tail.explain(reason)
    }
}
