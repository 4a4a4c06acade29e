//! What the benchmarks of recording and aggregating need: both sides of the channel without the engine.
//!
//! The main type is [`Pipeline`]. It measures nothing: it calls what the engine calls, and benchmarks time it.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loadtest_core::metric::{Builtin, Tags, tag};
use loadtest_core::results::SeriesId;

use super::aggregator::Aggregator;
use super::recorder::{BUFFER_SAMPLES, BUFFERS, ExchangeTags, Recorder, Recycler, TagSet};
use super::sample::{Batch, Exchange, Message, Span};
use crate::clock::{self, Instant};

/// An iteration of a virtual user: one HTTP exchange and one check.
#[derive(Debug, Clone)]
pub struct Work {
    /// The name of the request.
    pub name: String,
    /// Its status.
    pub status: u16,
    /// Milliseconds of writing, waiting and reading.
    pub phases_ms: [f32; 3],
    /// Milliseconds of connecting, 0 on a connection that was there.
    pub connecting_ms: f32,
    /// Bytes of the response.
    pub bytes: u64,
    /// Of the whole iteration.
    pub took: Duration,
}

/// A worker's recorder and its aggregator, on one thread.
#[derive(Debug)]
pub struct Pipeline {
    recorder: Recorder,
    tags: TagSet,
    inbox: Receiver<Message>,
    aggregator: Aggregator,
    start: Instant,
    now: Instant,
    closed: u32,
    /// The series of iterations.
    iterations: Vec<SeriesId>,
    waiting: Vec<Batch>,
}

impl Pipeline {
    /// How many samples may wait to be aggregated.
    pub const ROOM: usize = (BUFFERS - 1) * BUFFER_SAMPLES;

    /// So many pipelines whose aggregators are of one test; the first leads.
    #[must_use]
    pub fn of_a_test(count: usize) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for _ in 0..count {
            let lead = all.first().map(|pipeline| &pipeline.aggregator);
            all.push(Self::new(|own| match lead {
                Some(lead) => lead.beside(own, &[], &[]),
                None => Aggregator::new(own, &[], &[]),
            }));
        }
        all
    }

    fn new(aggregator: impl FnOnce(Vec<Recycler>) -> Aggregator) -> Self {
        let (out, inbox) = sync_channel(BUFFERS);
        let start = clock::now();
        let (mut recorder, recycler) = Recorder::new(0, out, Arc::new(OnceLock::from(start)), Arc::default());
        let tags = recorder.tag_set(Tags::from([
            (tag::SCENARIO.to_owned(), "buy".to_owned()),
            (tag::GROUP.to_owned(), String::new()),
        ]));
        let aggregator = aggregator(vec![recycler]);
        Self {
            recorder,
            tags,
            inbox,
            aggregator,
            start,
            now: start,
            closed: 0,
            iterations: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Time passes for what is recorded.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Records the exchange.
    #[inline(never)]
    pub fn exchange(&mut self, work: &Work) {
        let of = ExchangeTags {
            name: &work.name,
            method: "GET",
            status: work.status,
            protocol: "HTTP/1.1",
            expected: work.status < 400,
            error_code: 0,
        };
        let [sending_ms, waiting_ms, receiving_ms] = work.phases_ms;
        let exchange = Exchange {
            connecting_ms: work.connecting_ms,
            sending_ms,
            waiting_ms,
            receiving_ms,
            bytes_sent: 150,
            bytes_received: work.bytes,
            failed: work.status >= 400,
            ..Exchange::default()
        };
        self.recorder.exchange(self.now, self.tags, of, exchange);
    }

    /// Records the check.
    #[inline(never)]
    pub fn check(&mut self, work: &Work) {
        self.recorder.check(self.now, self.tags, "status is 200", work.status == 200);
    }

    /// Records the iteration.
    #[inline(never)]
    pub fn iteration(&mut self, work: &Work) {
        self.recorder.iteration(self.now, self.tags, work.took, work.took, false);
    }

    /// Receives what was handed over.
    pub fn receive(&mut self) {
        self.recorder.flush();
        for message in self.inbox.try_iter() {
            if let Message::Batch(batch) = message {
                self.waiting.push(batch);
            }
        }
    }

    /// Aggregates what was received.
    #[inline(never)]
    pub fn aggregate(&mut self) {
        self.waiting.drain(..).for_each(|batch| self.aggregator.take(batch));
    }

    /// Whether a second is over for what is recorded.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.now.saturating_duration_since(self.start) >= self.next_close()
    }

    fn next_close(&self) -> Duration {
        Duration::from_secs(u64::from(self.closed) + 1)
    }

    /// Closes the next second of all pipelines of a test; tells how many values were counted of iterations and
    /// how many series there were.
    #[inline(never)]
    pub fn close(all: &mut [Self]) -> (u64, usize) {
        let Some((lead, others)) = all.split_first_mut() else { return (0, 0) };
        for other in others {
            other.closed += 1;
            lead.aggregator.absorb(other.aggregator.part(Span::Second));
        }
        let elapsed = lead.next_close();
        lead.closed += 1;
        let interval = lead.aggregator.close(1.0, elapsed);
        let name = Builtin::Iterations.name();
        let new = interval.new_series.iter().filter(|def| def.metric.name == name);
        lead.iterations.extend(new.map(|def| def.id));
        let of_iterations = interval.series.iter().filter(|(id, _)| lead.iterations.contains(id));
        (of_iterations.map(|(_, totals)| totals.count).sum(), interval.series.len())
    }
}
