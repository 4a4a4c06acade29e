//! The conversation that runs a test: `hello`, `request`, states, `ready`, `go`, intervals, `results`; and
//! what is done when it takes another turn.
//!
//! The main type is [`Drive`]. Each step of the [`Link`] is one call of a synchronous method, and time is
//! looked at in one place, so that what happens when can be read here and tried without a real process.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;
use loadtest_core::results::{End, Interval, ServiceInfo, TestOutcome};
use loadtest_core::wire::{FromTest, Phase, Request, StopReason, ToTest};

use super::limit::LineLimit;
use super::partial::Partial;
use super::session::{Limits, Link, Step};
use super::signals::Watch;
use super::witness::Witness;
use super::{Connection, LaunchSpec, Launched, Signals};
use crate::control::{Running, Server, Tracker};
use crate::live::{LiveView, Stream};

/// Holds it.
///
/// # Errors
/// As [`super::run`].
pub(super) fn drive(
    connection: Connection,
    spec: LaunchSpec<'_>,
    live: &mut dyn LiveView,
    signals: &Signals,
    limits: Limits,
) -> anyhow::Result<Launched> {
    let Connection { link, _door } = connection;
    let now = Instant::now();
    let log = IntervalLog::create(spec.intervals)?;
    let partial = Partial::new(spec.definitions);
    // Each scenario may have a teardown of its own, and they run one after the other.
    let teardowns = u32::try_from(spec.definitions.len()).unwrap_or(u32::MAX).max(1);
    let limits = Limits { stop: limits.stop.saturating_mul(teardowns), ..limits };
    let drive = Drive {
        witness: Witness::new(link.pid(), spec.pin),
        link,
        live,
        limits,
        log,
        partial,
        lines: LineLimit::new(spec.request.log_limit),
        tracker: Tracker::new(spec.id, spec.definitions),
        server: spec.control,
        running: None,
        watch: signals.watch(),
        request: Some(spec.request),
        services: Vec::new(),
        started_at: None,
        phase: Phase::Setup,
        started: now,
        ready: None,
        last_frame: now,
        last_interval: now,
        gap_told: false,
        stop: None,
    };
    drive.until_the_end(signals)
}

struct Drive<'a> {
    link: Link,
    live: &'a mut dyn LiveView,
    limits: Limits,
    log: IntervalLog,
    partial: Partial,
    lines: LineLimit,
    tracker: Tracker,
    server: Option<&'a Server>,
    /// While the test process listens to what others wish.
    running: Option<Running<'a>>,
    watch: Watch,
    /// Until it is sent.
    request: Option<Request>,
    services: Vec<ServiceInfo>,
    witness: Witness,
    started_at: Option<String>,
    phase: Phase,
    started: Instant,
    ready: Option<Instant>,
    last_frame: Instant,
    last_interval: Instant,
    gap_told: bool,
    /// When it was asked to stop, and by whom.
    stop: Option<(Instant, StopReason)>,
}

/// Why a conversation is over.
enum Over {
    /// It said everything.
    Results(Box<TestOutcome>),
    /// It died, or hung up.
    Gone,
    /// It did what it must not, or did not what it must: it is killed.
    Broken(String),
    /// It was asked to stop and did not: it is killed. `None` if it had not even begun.
    Unstoppable(Option<String>),
}

impl Drive<'_> {
    fn until_the_end(mut self, signals: &Signals) -> anyhow::Result<Launched> {
        let over = loop {
            let (live, lines) = (&mut *self.live, &mut self.lines);
            let limited = matches!(self.phase, Phase::Running | Phase::Stopping);
            let over = match self.link.step(&mut |stream, line| show(live, lines, limited, stream, line)) {
                Step::Hello(peer) => {
                    let version = self.link.greet(peer)?;
                    self.say_request(version);
                    None
                }
                Step::Frame(frame) => {
                    self.last_frame = Instant::now();
                    let over = self.frame(*frame)?;
                    self.publish();
                    over
                }
                Step::Garbled(error) => Some(Over::Broken(format!(
                    "the test process sent something that can't be understood: {error}"
                ))),
                Step::Gone => Some(Over::Gone),
                Step::Nothing => None,
            };
            if let Some(over) = over.or_else(|| self.look_at_the_clock(signals)) {
                break over;
            }
        };
        Ok(self.conclude(over))
    }

    fn say_request(&mut self, version: u32) {
        if let Some(request) = self.request.take() {
            self.link.say(&ToTest::Request(Box::new(Request { version, ..request })));
            self.live.phase(Phase::Setup);
            self.running = self.server.map(|server| server.begin(&self.tracker));
        }
    }

    /// What the test process said.
    fn frame(&mut self, frame: FromTest) -> anyhow::Result<Option<Over>> {
        let out_of_order = |what: &str| Ok(Some(Over::Broken(format!("the test process {what}"))));
        match frame {
            FromTest::Hello { .. } => return out_of_order("said hello twice"),
            FromTest::Definitions { .. } => return out_of_order("listed its tests instead of running one"),
            FromTest::State { phase } => self.enter(phase),
            FromTest::Service(service) => {
                self.live.service(&service);
                self.witness.meet(&service);
                self.services.push(service);
            }
            FromTest::Ready if self.ready.is_some() => return out_of_order("was ready twice"),
            FromTest::Ready => self.go(),
            FromTest::Interval(_) if self.ready.is_none() => {
                return out_of_order("sent results of a second before the load began");
            }
            FromTest::Interval(interval) => {
                self.log.append(&interval)?;
                self.last_interval = Instant::now();
                self.gap_told = false;
                self.partial.add(&interval);
                self.tracker.add(&interval);
                self.live.interval(&interval);
            }
            FromTest::Log { text } => {
                // Limited where it was said: not by the limit of what is printed as well.
                text.lines().for_each(|line| self.live.output(Stream::Err, line));
            }
            FromTest::Warning { text } => self.warn(text),
            FromTest::Results(outcome) => return Ok(Some(Over::Results(outcome))),
        }
        Ok(None)
    }

    /// Starts the load. A test that was asked to stop is let go too: it ends at once, and only so does its
    /// teardown undo what its setup did.
    fn go(&mut self) {
        // Now every service is there with all its threads, and nothing is measured yet.
        self.witness.testify();
        // What setup printed is not limited, and what comes after `go` is.
        let live = &mut *self.live;
        self.link.settle(&mut |stream, line| live.output(stream, line));
        let now = Instant::now();
        self.tracker.go(now);
        self.ready = Some(now);
        self.last_interval = now;
        self.partial.setup_seconds = now.duration_since(self.started).as_secs_f64();
        self.started_at = Some(format!("{:.3}", Timestamp::now()));
        self.link.say(&ToTest::Go);
        self.enter(Phase::Running);
    }

    fn enter(&mut self, phase: Phase) {
        if phase != self.phase {
            self.phase = phase;
            self.tracker.enter(phase);
            self.live.phase(phase);
        }
    }

    fn warn(&mut self, text: String) {
        self.live.warning(&text);
        self.partial.warnings.push(text);
    }

    /// Lets others know how the test stands.
    fn publish(&self) {
        if let Some(running) = &self.running {
            running.publish(&self.tracker);
        }
    }

    /// Passes on what others wish for.
    fn obey(&mut self) {
        let wishes = self.running.as_ref().map(Running::take).unwrap_or_default();
        if wishes.is_empty() {
            return;
        }
        for wish in wishes {
            match &wish {
                ToTest::Stop { reason } => {
                    if self.stop.is_none() {
                        self.stop = Some((Instant::now(), *reason));
                        self.live.notice("stopping, as `cargo loadtest stop` asked");
                        self.link.say(&wish);
                    }
                    continue;
                }
                ToTest::Pause => self.tracker.pause(true),
                ToTest::Resume => self.tracker.pause(false),
                _ => {}
            }
            self.link.say(&wish);
        }
        self.publish();
    }

    /// What is due because of a signal or a wish, or because nothing came.
    fn look_at_the_clock(&mut self, signals: &Signals) -> Option<Over> {
        self.live.tick();
        let now = Instant::now();
        if let Some(notice) = self.lines.notice(now) {
            self.live.output(Stream::Err, &notice);
        }
        if self.watch.status_wanted() {
            self.live.notice(self.tracker.status(now).text().trim_end());
        }
        self.obey();
        let not_begun = self.request.is_some();
        let interrupted = matches!(self.stop, Some((_, StopReason::Interrupted)));
        if !interrupted && signals.interrupted() {
            if not_begun {
                return Some(Over::Unstoppable(None));
            }
            // One that was asked to stop already has all the time that it had, and no more.
            let since = self.stop.map_or(now, |(since, _)| since);
            if self.stop.is_none() {
                self.link.say(&ToTest::Stop { reason: StopReason::Interrupted });
            }
            self.stop = Some((since, StopReason::Interrupted));
            self.live.warning("interrupted: winding down, press Ctrl-C again to stop at once");
        }
        if not_begun {
            let silent = self.started.elapsed() > self.limits.hello;
            return silent.then(|| {
                Over::Broken(format!("no handshake with the test process within {:?}", self.limits.hello))
            });
        }
        if let Some((stop, _)) = self.stop {
            let silent =
                self.phase != Phase::Teardown && stop.max(self.last_frame).elapsed() > self.limits.silence;
            let late = stop.elapsed() > self.limits.stop;
            return (silent || late).then(|| {
                let (after, why) = if silent {
                    (self.limits.silence, "; code that never awaits or yields can't be stopped in order")
                } else {
                    (self.limits.stop, "")
                };
                Over::Unstoppable(Some(format!(
                    "the test process did not wind down within {after:?} and was killed, without teardown{why}"
                )))
            });
        }
        let loaded = self.ready.is_some() && self.phase != Phase::Teardown;
        if loaded && !self.gap_told && self.last_interval.elapsed() > self.limits.gap {
            self.gap_told = true;
            self.warn(format!(
                "the test process has sent no results for {:?}: it is stalled, or the machine is",
                self.limits.gap
            ));
        }
        None
    }

    fn conclude(mut self, over: Over) -> Launched {
        // Nobody is answered any more: what it will say is said.
        self.running = None;
        let asked = self.stop.map(|(_, reason)| reason);
        let live = &mut *self.live;
        let (link, lines) = (&mut self.link, &mut self.lines);
        let limited = matches!(self.phase, Phase::Running | Phase::Stopping);
        let line = &mut |stream, text: &str| show(live, lines, limited, stream, text);
        let outcome = match over {
            Over::Results(mut outcome) => {
                if !link.leaves(line) {
                    outcome.warnings.push(format!(
                        "the test process stayed for {:?} after its results and was killed",
                        self.limits.leave
                    ));
                }
                if let Some(status) = link.finish(line)
                    && status.code().is_none()
                {
                    let how = super::process::describe(status);
                    outcome.warnings.push(format!("the test process {how} after its results"));
                }
                *outcome
            }
            Over::Gone => {
                let before = match self.request {
                    Some(_) => "before its handshake",
                    None => "before it reported its results",
                };
                let reason = link.explain_death(before, line);
                let end = ended(asked, reason, &mut self.partial);
                self.partial.outcome(end)
            }
            Over::Broken(reason) => {
                let reason = link.explain(&reason, line);
                let end = ended(asked, reason, &mut self.partial);
                self.partial.outcome(end)
            }
            Over::Unstoppable(reason) => {
                link.finish(line);
                self.partial.warnings.extend(reason);
                self.partial.outcome(end_of(asked.unwrap_or(StopReason::Interrupted)))
            }
        };
        if let Some(notice) = self.lines.rest(Instant::now()) {
            self.live.output(Stream::Err, &notice);
        }
        let (executables, pinned) = self.witness.into_findings();
        let (services, started_at) = (self.services, self.started_at);
        Launched { outcome, services, started_at, executables, pinned }
    }
}

/// Shows a line of the user's, unless it is one too many.
fn show(live: &mut dyn LiveView, lines: &mut LineLimit, limited: bool, stream: Stream, line: &str) {
    if !limited || lines.shows(stream, Instant::now()) {
        live.output(stream, line);
    }
}

/// A test that was asked to stop and died of it was stopped in the first place.
fn ended(asked: Option<StopReason>, reason: String, partial: &mut Partial) -> End {
    match asked {
        Some(asked) => {
            partial.warnings.push(format!("partial results: {reason}"));
            end_of(asked)
        }
        None => End::Crashed { reason },
    }
}

fn end_of(asked: StopReason) -> End {
    match asked {
        StopReason::Interrupted => End::Interrupted,
        StopReason::Asked => End::Stopped,
    }
}

/// The file of a test's intervals. Each is there as soon as it came, so that no death loses it.
struct IntervalLog {
    path: PathBuf,
    file: BufWriter<File>,
}

impl IntervalLog {
    fn create(path: PathBuf) -> anyhow::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("can't create {}", path.display()))?;
        Ok(Self { path, file: BufWriter::new(file) })
    }

    fn append(&mut self, interval: &Interval) -> anyhow::Result<()> {
        let failed = |path: &Path| format!("can't write to {}\nhint: is the disk full?", path.display());
        serde_json::to_writer(&mut self.file, interval).with_context(|| failed(&self.path))?;
        self.file.write_all(b"\n").and_then(|()| self.file.flush()).with_context(|| failed(&self.path))
    }
}
