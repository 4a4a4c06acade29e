//! What a virtual user records: under which tags, for which iteration, and at what cost.

mod asynchronous;
mod control;
mod cost;
mod life;
mod protocols;
mod tags;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, OnceLock};

use loadtest_core::metric::{Tags, Totals, tag};
use loadtest_core::options::Options;
use loadtest_core::plan::Shard;
use loadtest_core::results::SeriesDef;

use super::*;
use crate::context::{Stop, TestContext};
use crate::error::Error;
use crate::executor::{Brake, Order, Seats, Source, Turn};
use crate::http::{ExchangeRecord, Protocol, RecordExchange, Timings};
use crate::log::Log;
use crate::metrics::aggregator::Aggregator;
use crate::metrics::recorder::{BUFFERS, Recycler};
use crate::metrics::sample::Message;

/// A virtual user outside of any worker.
struct Bench {
    vu: Vu,
    seats: Seats,
    test: Arc<TestContext>,
    /// What it said.
    said: Arc<Mutex<String>>,
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
    fn take(&self, turn: &Turn<'_>) -> Option<Instant> {
        (turn.order == Order::Run && turn.own < self.0).then_some(turn.free_since)
    }
}

/// Sums by metric and tags without the scenario's.
type Sums = BTreeMap<(String, String), Totals>;

impl Bench {
    fn new(iterations: u64) -> Self {
        Self::with(iterations, Options::default())
    }

    fn with(iterations: u64, options: Options) -> Self {
        let (messages, inbox) = sync_channel(BUFFERS);
        let lost = Arc::new(AtomicU64::new(0));
        let start = Arc::new(OnceLock::from(clock::now()));
        let (mut recorder, recycler) = Recorder::new(0, messages, start, Arc::clone(&lost));
        let base = recorder.tag_set(Tags::from([(tag::SCENARIO.to_owned(), "s".to_owned())]));
        let seats = Seats::new(1);
        let said = Arc::new(Mutex::new(String::new()));
        let to = Arc::clone(&said);
        let mut test = TestContext::new(1, Shard { index: 1, count: 3 }, Stop::default(), Arc::default());
        test.log = Log::new(0, move |lines| to.lock().expect("not poisoned").push_str(lines));
        test.add_seats(seats.clone());
        let test = Arc::new(test);
        let context = ScenarioContext {
            name: "s".to_owned(),
            workload: options.resolve().expect("valid options"),
            env: BTreeMap::new(),
            source: Arc::new(Times(iterations)),
            seats: seats.clone(),
            timeline: Brake::default().timeline(Duration::ZERO),
            test: Arc::clone(&test),
        };
        let client = Rc::new(HttpClient::new(Arc::default()));
        let recorder = Rc::new(RefCell::new(recorder));
        let vu = Vu::new(1, Arc::new(context), seats.seat(0), recorder, base, client);
        Self { vu, seats, test, said, rest: Rest { inbox, recycler, lost } }
    }

    /// Lets the virtual user run all of its iterations.
    fn live(self, iterate: impl AsyncFn(&mut Vu) -> Result<(), Error>) -> Rest {
        self.seats.give_all(Order::Run);
        run_local(async {
            tokio::select! {
                () = run(self.vu, async |_| Ok(()), async |vu, ()| iterate(vu).await) => {}
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
        hint: None,
        ended: std::time::Instant::now(),
        timings: Timings { waiting: 1_500_000, ..Timings::default() },
        bytes_sent: 100,
        bytes_received: 200,
    }
}

/// Runs what a worker runs, on a clock that jumps to whatever is waited for.
fn run_paused<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

fn run_local<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

#[test]
fn requests_that_the_test_gives_up_count_and_those_of_an_interrupted_iteration_do_not() {
    // Connections are accepted by the kernel; nobody ever answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hangs?token=secret", listener.local_addr().expect("bound"));
    let bench = Bench::new(3);
    let core = Rc::clone(&bench.vu.core);
    let seats = bench.seats.clone();
    let rest = bench.live(async |vu| {
        let http = vu.http();
        if vu.iteration() == 2 {
            seats.give_all(Order::Interrupt);
            http.get(&url).send().await?;
        }
        let limit = Duration::from_millis(20);
        assert!(tokio::time::timeout(limit, http.get(&url).send()).await.is_err());
        Ok(())
    });
    let (sums, errors) = rest.finish(&core);
    let reqs: Vec<_> = sums.iter().filter(|((metric, _), _)| metric == "http_reqs").collect();
    let [((_, tags), totals)] = &reqs[..] else { panic!("one series: {reqs:?}") };
    assert_eq!(totals.sum, 2.0);
    assert!(tags.contains("error_code=1050") && tags.contains("expected_response=false"), "{tags}");
    let [error] = &errors[..] else { panic!("one kind: {errors:?}") };
    assert_eq!((error.count, error.source), (2, errors::Source::Http));
    assert!(error.message.starts_with("GET /hangs: dropped by the test before it ended"), "{error:?}");
}

#[test]
fn errors_are_told_with_their_causes() {
    #[derive(Debug)]
    struct Outer(std::fmt::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("no seat")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let bench = Bench::new(1);
    let core = Rc::clone(&bench.vu.core);
    let rest = bench.live(async |vu| {
        vu.measure("op", async { Err::<(), _>(Error::from(Outer(std::fmt::Error))) }).await?;
        Ok(())
    });
    let (_, errors) = rest.finish(&core);
    let told: Vec<_> = errors.iter().map(|error| error.message.clone()).collect();
    let cause = std::fmt::Error.to_string();
    for message in [format!("no seat: {cause}"), format!("op: no seat: {cause}")] {
        assert!(told.contains(&message), "{told:?}");
    }
}

#[test]
fn a_host_that_is_not_reached_is_named_with_what_to_do() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let bench = Bench::new(1);
    let core = Rc::clone(&bench.vu.core);
    let rest = bench.live(async |vu| {
        assert!(vu.http().get(format!("http://{closed}/seats/7?key=secret")).send().await.is_err());
        Ok(())
    });
    let (_, errors) = rest.finish(&core);
    let [error] = &errors[..] else { panic!("one kind: {errors:?}") };
    let start = format!("GET {closed} /seats/{{id}}: cannot connect: ");
    assert!(error.message.starts_with(&start), "{error:?}");
    assert!(error.message.ends_with("\nhint: is the service running, and on this port?"), "{error:?}");
}
