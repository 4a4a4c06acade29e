//! What a virtual user records: under which tags, for which iteration, and at what cost.

mod cost;
mod tags;

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, sync_channel};

use loadtest_core::metric::{Tags, Totals};
use loadtest_core::results::SeriesDef;

use super::*;
use crate::executor::Seats;
use crate::http::{Protocol, Timings};
use crate::metrics::aggregator::Aggregator;
use crate::metrics::recorder::{BUFFERS, Recycler};
use crate::metrics::sample::Message;

/// A virtual user outside of any worker.
struct Bench {
    vu: Vu,
    seats: Seats,
    rest: Rest,
}

/// The other end of its recorder.
struct Rest {
    inbox: Receiver<Message>,
    recycler: Recycler,
    lost: Arc<AtomicU64>,
}

/// Ends after so many iterations.
struct Times(u64);

impl Source for Times {
    fn take(&self, own: u64) -> Option<()> {
        (own < self.0).then_some(())
    }
}

/// Sums by metric and tags without the scenario's.
type Sums = BTreeMap<(String, String), Totals>;

impl Bench {
    fn new(iterations: u64) -> Self {
        let (messages, inbox) = sync_channel(BUFFERS);
        let lost = Arc::new(AtomicU64::new(0));
        let start = Arc::new(OnceLock::from(clock::now()));
        let (mut recorder, recycler) = Recorder::new(0, messages, start, Arc::clone(&lost));
        let base = recorder.tag_set(Tags::from([(tag::SCENARIO.to_owned(), "s".to_owned())]));
        let seats = Seats::new(1);
        let context = ScenarioContext {
            name: "s".to_owned(),
            env: BTreeMap::new(),
            seed: 1,
            source: Arc::new(Times(iterations)),
            counters: Arc::clone(seats.counters()),
        };
        let client = Rc::new(HttpClient::new(Arc::default()));
        let recorder = Rc::new(RefCell::new(recorder));
        let vu = Vu::new(1, Arc::new(context), seats.seat(0), recorder, base, client);
        Self { vu, seats, rest: Rest { inbox, recycler, lost } }
    }

    /// Lets the virtual user run all of its iterations.
    fn live(self, iterate: impl AsyncFn(&mut Vu) -> Result<(), Error>) -> Rest {
        self.seats.give_all(Order::Run);
        run_local(async {
            tokio::select! {
                () = run(self.vu, iterate) => {}
                () = self.seats.idle() => {}
            }
        });
        self.rest
    }

    fn finish(self) -> (Sums, Vec<ErrorCount>) {
        self.rest.finish(&self.vu.core)
    }
}

impl Rest {
    /// Everything that was recorded, and the errors.
    fn finish(self, core: &Core) -> (Sums, Vec<ErrorCount>) {
        core.recorder.borrow_mut().flush();
        let mut aggregator = Aggregator::new(vec![self.recycler], &[], &[]);
        aggregator.last_interval();
        for message in self.inbox.try_iter() {
            if let Message::Batch(batch) = message {
                aggregator.take(batch);
            }
        }
        let interval = aggregator.close(1.0, Duration::from_secs(1));
        let defs: HashMap<u32, &SeriesDef> = interval.new_series.iter().map(|def| (def.id, def)).collect();
        let shown = |tags: &Tags| {
            let own = tags.iter().filter(|(key, _)| *key != tag::SCENARIO);
            own.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        let sums = interval.series.iter().map(|(id, totals)| {
            let def = defs[id];
            assert_eq!(def.tags[tag::SCENARIO], "s");
            ((def.metric.name.clone(), shown(&def.tags)), totals.clone())
        });
        assert_eq!(self.lost.load(Ordering::Relaxed), 0);
        (sums.collect(), aggregator.finish(Duration::from_secs(1)).errors)
    }
}

/// A finished exchange with these tags of its own.
fn exchange<'a>(name: &'a str, tags: &'a [(String, String)]) -> ExchangeRecord<'a> {
    ExchangeRecord {
        name,
        method: "GET",
        status: 200,
        protocol: Protocol::Http11,
        error: None,
        expected_response: true,
        tags,
        url: "http://127.0.0.1/",
        error_text: "",
        ended: std::time::Instant::now(),
        timings: Timings { waiting: 1_500_000, ..Timings::default() },
        bytes_sent: 100,
        bytes_received: 200,
    }
}

fn run_local<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}
