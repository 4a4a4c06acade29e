//! The threads of aggregating: one aggregator for each few workers, of which the first leads. It closes the
//! intervals of all, judges the thresholds on what all have, and tells the observer.
//!
//! The main types are [`Crew`], which starts them, and [`Outbox`], the way to them. Nothing is summed here: the
//! loops only turn messages and the clock into calls of [`Aggregator`].

use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use loadtest_core::metric::MetricDef;
use loadtest_core::results::Interval;
use loadtest_core::threshold::Threshold;

use super::aggregator::{Aggregated, Aggregator, Part};
use super::recorder::{BUFFER_SAMPLES, BUFFERS, Recorder, Recycler};
use super::sample::{Message, Span};
use crate::clock::{self, Instant};

/// Workers that one aggregator keeps up with: together they record less than it takes.
const WORKERS_EACH: usize = 8;
/// How long after its end an interval stays open for samples under way: a recorder's flush and a bit.
const CLOSE_DELAY: Duration = Duration::from_millis(250);
/// How long an aggregator lets messages gather when workers fill whole buffers. To be woken for each of them
/// would cost the core that it shares with a worker more than to add them up. A worker has buffers for ten times
/// as long.
const NAP: Duration = Duration::from_millis(5);
/// Messages besides those of workers that can be under way at once.
const OTHERS: usize = 8;
const SECOND: Duration = Duration::from_secs(1);

/// How many aggregators so many workers need.
pub(crate) fn aggregators_for(workers: usize) -> usize {
    workers.div_ceil(WORKERS_EACH).max(1)
}

/// What the leading aggregator needs of the rest of the engine once per closed interval.
pub(crate) trait Observer {
    /// Fills in what only the engine knows, before the interval is closed.
    fn before_close(&mut self, aggregator: &mut Aggregator);
    /// An interval was closed.
    fn closed(&mut self, interval: Interval);
    /// A threshold wants the test to end.
    fn abort(&mut self, threshold: String);
    /// How long the load has been held so far: no time that a rate is about.
    fn held(&self) -> Duration {
        Duration::ZERO
    }
}

/// The way to the aggregators, for all but samples.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    /// The first one leads.
    to: Vec<SyncSender<Message>>,
}

impl From<SyncSender<Message>> for Outbox {
    fn from(only: SyncSender<Message>) -> Self {
        Self { to: vec![only] }
    }
}

impl Outbox {
    /// Sends a message to whom it concerns, and waits for room. If nobody receives it, the load is over or its
    /// end tells why.
    pub(crate) fn send(&self, message: Message) {
        // When something begins concerns all: samples that came to be after it must find it known.
        let copy = match message {
            Message::Begin(at) => Some(Message::Begin as fn(_) -> _).zip(Some(at)),
            Message::ProbeBegin(at) => Some(Message::ProbeBegin as fn(_) -> _).zip(Some(at)),
            _ => None,
        };
        if let Some((message, at)) = copy {
            for others in self.to.iter().skip(1) {
                let _ = others.send(message(at));
            }
        }
        if let Some(lead) = self.to.first() {
            let _ = lead.send(message);
        }
    }
}

/// The aggregators of a test before they are started.
#[derive(Debug)]
pub(crate) struct Crew {
    members: Vec<Member>,
    outbox: Outbox,
}

/// What one aggregator is given.
#[derive(Debug)]
struct Member {
    inbox: Receiver<Message>,
    recyclers: Vec<Recycler>,
}

impl Crew {
    /// Recorders for so many workers, in their order, and the aggregators that they send to. Nothing is recorded
    /// before `start` is set; `lost` counts the samples that aggregators did not keep up with.
    pub(crate) fn new(
        workers: usize,
        aggregators: usize,
        start: &Arc<OnceLock<Instant>>,
        lost: &Arc<AtomicU64>,
    ) -> (Vec<Recorder>, Self) {
        let aggregators = aggregators.clamp(1, workers.max(1));
        let each = workers.div_ceil(aggregators);
        let (to, mut members): (Vec<_>, Vec<_>) = (0..aggregators)
            .map(|_| {
                let (to, inbox) = sync_channel(each * BUFFERS + OTHERS);
                (to, Member { inbox, recyclers: Vec::new() })
            })
            .unzip();
        let recorders = (0..workers).map(|worker| {
            let at = worker % aggregators;
            let recyclers = &mut members[at].recyclers;
            let (recorder, recycler) =
                Recorder::new(recyclers.len(), to[at].clone(), Arc::clone(start), Arc::clone(lost));
            recyclers.push(recycler);
            recorder
        });
        let recorders = recorders.collect();
        (recorders, Self { members, outbox: Outbox { to } })
    }

    /// The way to the aggregators.
    pub(crate) fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Starts the threads. The result is that of all.
    ///
    /// # Errors
    /// If the system refuses threads.
    pub(crate) fn start(
        self,
        thresholds: &[Threshold],
        metrics: &[MetricDef],
        mut observer: impl Observer + Send + 'static,
    ) -> std::io::Result<JoinHandle<Aggregated>> {
        let mut members = self.members.into_iter();
        let lead = members.next().ok_or_else(|| std::io::Error::other("there is no aggregator"))?;
        let aggregator = Aggregator::new(lead.recyclers, thresholds, metrics);
        let mut others = Vec::new();
        for ((index, member), to) in members.enumerate().zip(self.outbox.to.into_iter().skip(1)) {
            let aggregator = aggregator.beside(member.recyclers, thresholds, metrics);
            spawn(&format!("-{}", index + 1), move || follow(aggregator, &member.inbox))?;
            others.push(to);
        }
        spawn("", move || run(aggregator, &lead.inbox, &Others { to: others }, &mut observer))
    }
}

fn spawn<T: Send + 'static>(
    suffix: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(format!("loadtest-aggregator{suffix}")).spawn(work)
}

/// The aggregators that do not lead.
#[derive(Debug, Default)]
pub(crate) struct Others {
    to: Vec<SyncSender<Message>>,
}

impl Others {
    /// What came to each of them in that span.
    ///
    /// # Panics
    /// If one of them has: what came to it is missing, so there is no result.
    fn parts(&self, span: Span) -> Vec<Part> {
        let answers = self.to.iter().map(|to| {
            let (reply, answer) = sync_channel(1);
            // They all work on it at the same time. That one is gone is seen when its answer is missing.
            let _ = to.send(Message::Collect(span, reply));
            answer
        });
        let answers: Vec<_> = answers.collect();
        let part = |answer: Receiver<Part>| {
            let Ok(part) = answer.recv() else { panic!("another aggregator panicked") };
            part
        };
        answers.into_iter().map(part).collect()
    }
}

/// What was received at once.
struct Mail {
    messages: Vec<Message>,
    /// Nothing will come any more.
    closed: bool,
    /// Workers fill whole buffers: the next ones come soon.
    busy: bool,
}

/// With the first message, takes all that are there.
fn receive(first: Result<Message, RecvTimeoutError>, inbox: &Receiver<Message>) -> Mail {
    let closed = matches!(first, Err(RecvTimeoutError::Disconnected));
    let messages: Vec<_> = first.into_iter().chain(inbox.try_iter().take(BACKLOG)).collect();
    let is_full =
        |message: &Message| matches!(message, Message::Batch(batch) if batch.samples.len() == BUFFER_SAMPLES);
    Mail { closed, busy: messages.iter().any(is_full), messages }
}

/// More can't be under way at once.
const BACKLOG: usize = WORKERS_EACH * BUFFERS + OTHERS;

/// Turns messages and the clock into calls of the aggregator that leads, until [`Message::Finish`].
pub(crate) fn run(
    mut aggregator: Aggregator,
    messages: &Receiver<Message>,
    others: &Others,
    observer: &mut impl Observer,
) -> Aggregated {
    let mut begin: Option<Instant> = None;
    let mut closed = 0u32;
    let end = loop {
        let due = begin.map(|begin| begin + SECOND * (closed + 1) + CLOSE_DELAY);
        let left = || due.map_or(SECOND, |due| due.saturating_duration_since(clock::now()));
        let first = messages.recv_timeout(left());
        let is_due = due.is_some() && left().is_zero();
        // An interval that is due takes all that was sent before: this thread may have been held up.
        let mail = receive(first, messages);
        let mut end = mail.closed.then(clock::now);
        for message in mail.messages {
            match message {
                Message::Begin(start) => begin = Some(start),
                Message::Batch(batch) => aggregator.take(batch),
                Message::Value { metric, tags, value } => aggregator.value(metric, &tags, value),
                Message::ProbeBegin(at) => aggregator.begin_probe(since(begin, at)),
                Message::ProbeEnd(probe, reply) => {
                    others.parts(Span::Probe).into_iter().for_each(|part| aggregator.absorb(part));
                    // Whoever asked may have been stopped.
                    let _ = reply.send(aggregator.end_probe(&probe));
                }
                Message::Finish(at) => end = Some(at),
                // Only those are asked that do not lead.
                Message::Collect(..) => {}
            }
        }
        if let Some(end) = end {
            break end;
        }
        if is_due {
            closed += 1;
            let loaded = close(&mut aggregator, others, observer, closed);
            if let Some(threshold) = aggregator.abort_due(loaded) {
                observer.abort(threshold);
            }
        } else if mail.busy {
            std::thread::sleep(NAP.min(left()));
        }
    };
    let Some(begin) = begin else { return aggregator.finish(Duration::ZERO) };
    let elapsed = end.saturating_duration_since(begin);
    while elapsed >= SECOND * (closed + 1) {
        closed += 1;
        close(&mut aggregator, others, observer, closed);
    }
    aggregator.last_interval();
    others.parts(Span::Rest).into_iter().for_each(|part| aggregator.absorb(part));
    observer.before_close(&mut aggregator);
    let rest = elapsed.saturating_sub(SECOND * closed);
    let loaded = elapsed.saturating_sub(observer.held());
    observer.closed(aggregator.close(rest.as_secs_f64(), loaded));
    aggregator.finish(loaded)
}

/// Closes so manieth a second; returns how long there was load until then.
fn close(
    aggregator: &mut Aggregator,
    others: &Others,
    observer: &mut impl Observer,
    second: u32,
) -> Duration {
    others.parts(Span::Second).into_iter().for_each(|part| aggregator.absorb(part));
    observer.before_close(aggregator);
    let loaded = (SECOND * second).saturating_sub(observer.held());
    observer.closed(aggregator.close(1.0, loaded));
    loaded
}

/// The loop of an aggregator that does not lead: until all has been collected, or nobody is left.
fn follow(mut aggregator: Aggregator, messages: &Receiver<Message>) {
    let mut begin = None;
    loop {
        let mail = receive(messages.recv_timeout(SECOND), messages);
        let mut over = mail.closed;
        for message in mail.messages {
            match message {
                Message::Begin(start) => begin = Some(start),
                Message::Batch(batch) => aggregator.take(batch),
                Message::ProbeBegin(at) => aggregator.begin_probe(since(begin, at)),
                Message::Collect(span, reply) => {
                    over |= span == Span::Rest;
                    // Whoever asked has panicked if nobody listens, which its own end tells.
                    let _ = reply.send(aggregator.part(span));
                }
                // These go to the one that leads.
                Message::Value { .. } | Message::ProbeEnd(..) | Message::Finish(_) => {}
            }
        }
        if over {
            return;
        }
        if mail.busy {
            std::thread::sleep(NAP);
        }
    }
}

fn since(begin: Option<Instant>, at: Instant) -> Duration {
    begin.map(|begin| at.saturating_duration_since(begin)).unwrap_or_default()
}
