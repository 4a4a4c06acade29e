//! Searches on a paused clock, against services that are modelled: what is probed, what holds, what is left.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::task::Poll;

use loadtest_core::options::Search;
use tokio::sync::watch;

use super::*;
use crate::context::Stop;
use crate::executor::{Brake, Seat, Seats, Turn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// How long an iteration takes that starts now, in the probe of this number from 0.
type Service = Arc<dyn Fn(usize, Instant) -> Duration + Send + Sync>;

/// Judges by the longest iteration of a probe.
struct Longest {
    limit: Duration,
    begin: Instant,
    probes: Mutex<usize>,
    longest: Mutex<Duration>,
    found: Mutex<Capacity>,
}

impl Judge for Longest {
    fn begin(&self, at: Instant) -> Duration {
        *self.probes.lock().expect("not poisoned") += 1;
        *self.longest.lock().expect("not poisoned") = Duration::ZERO;
        at - self.begin
    }

    fn end(&self, _dropped: u64, _lasted: Duration) -> oneshot::Receiver<JudgedProbe> {
        let (reply, answer) = oneshot::channel();
        let longest = *self.longest.lock().expect("not poisoned");
        let thresholds = vec![outcome("longest", clock::millis(longest), longest <= self.limit)];
        let latency_ms = BTreeMap::from([("p(99)".to_owned(), clock::millis(longest))]);
        reply.send(JudgedProbe { thresholds, latency_ms }).expect("waited for");
        answer
    }

    fn found(&self, capacity: &Capacity) {
        *self.found.lock().expect("not poisoned") = capacity.clone();
    }
}

fn outcome(source: &str, actual: f64, holds: bool) -> ThresholdOutcome {
    ThresholdOutcome { source: source.to_owned(), actual: Some(actual), holds, margin: None, aborted: false }
}

/// A search and what there is to it.
struct Simulation {
    executor: FindCapacity,
    reins: Reins,
    judge: Arc<Longest>,
    brake: Brake,
}

impl Simulation {
    /// Probes of two seconds by so many virtual users, on the clock of the calling test.
    fn new(search: CapacitySearch, vus: u32, limit: Duration, service: Service) -> Self {
        let mut executor = FindCapacity::new(search, SECOND, 2 * SECOND, vus, vus);
        let begin = clock::now();
        let judge = Arc::new(Longest {
            limit,
            begin,
            probes: Mutex::default(),
            longest: Mutex::default(),
            found: Mutex::default(),
        });
        executor.judged_by(Arc::clone(&judge) as Arc<dyn Judge>);
        let brake = Brake::simulated();
        brake.begin(begin);
        let seats = Seats::new(executor.max_vus());
        for index in 0..executor.allocated_vus() {
            let (seat, counters) = (seats.seat(index), Arc::clone(seats.counters()));
            tokio::spawn(user(seat, counters, executor.source(), Arc::clone(&service), Arc::clone(&judge)));
        }
        let reins = Reins {
            seats,
            timeline: brake.timeline(Duration::ZERO),
            graceful_stop: 30 * SECOND,
            scale: watch::channel(None).1,
            recruiter: Arc::new(|_| {}),
        };
        Self { executor, reins, judge, brake }
    }

    /// Searches to the end, or for this long.
    async fn run(mut self, time: Duration) -> (Capacity, Arc<Counters>) {
        // Everyone sits down first.
        tokio::time::sleep(Duration::ZERO).await;
        let _ = tokio::time::timeout(time, self.executor.drive(&self.reins)).await;
        let capacity = self.judge.found.lock().expect("not poisoned").clone();
        (capacity, Arc::clone(self.reins.seats.counters()))
    }
}

/// Follows a seat's orders as a virtual user does.
async fn user(
    seat: Arc<Seat>,
    counters: Arc<Counters>,
    source: Arc<dyn Source>,
    service: Service,
    judge: Arc<Longest>,
) {
    let mut resting = false;
    loop {
        let turn = Turn { seat: &seat, order: seat.order(), own: 0, free_since: clock::now() };
        if source.take(&turn).is_none() {
            counters.vacate(&seat);
            if !std::mem::replace(&mut resting, true) {
                source.rest(&seat);
            }
            seat.change().await;
            continue;
        }
        resting = false;
        counters.started.fetch_add(1, Ordering::Relaxed);
        let probe = *judge.probes.lock().expect("not poisoned") - 1;
        let takes = service(probe, clock::now());
        tokio::select! {
            biased;
            () = interrupted(&seat) => {
                counters.interrupted.fetch_add(1, Ordering::Relaxed);
            }
            () = tokio::time::sleep(takes) => {
                let mut longest = judge.longest.lock().expect("not poisoned");
                *longest = takes.max(*longest);
                counters.completed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn rates(capacity: &Capacity) -> Vec<u64> {
    capacity.probes.iter().map(|probe| probe.rate).collect()
}

const FOREVER: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn virtual_users_that_are_all_busy_are_a_limit() {
    // 52 of them, 100 ms each: 520 a second.
    let search = CapacitySearch::new(Search::Binary, 100, 2_000, 50);
    let simulation = Simulation::new(search, 52, SECOND, Arc::new(|_, _| 100 * MS));
    let (capacity, counters) = simulation.run(FOREVER).await;
    assert_eq!(rates(&capacity), [100, 200, 400, 800, 800, 600, 600, 500, 550, 550]);
    assert_eq!((capacity.highest_held, capacity.lowest_failed), (Some(500), Some(550)));
    assert!(capacity.complete);
    for probe in &capacity.probes {
        assert_eq!(probe.holds, probe.rate <= 500, "{probe:?}");
        assert_eq!(probe.started + probe.dropped, 2 * probe.rate);
        let is_told = probe.reason.as_deref().is_some_and(|why| why.contains("no free virtual user"));
        assert_eq!(is_told, !probe.holds, "{probe:?}");
        assert!((probe.seconds - 2.0).abs() < 1e-9);
    }
    // Each takes its time, lets the last iterations end, and waits for what they measured.
    let gaps = capacity.probes.windows(2).map(|two| two[1].started_at - two[0].started_at);
    assert!(gaps.into_iter().all(|gap| (2.25..2.31).contains(&gap)), "{capacity:?}");
    assert_eq!(counters.planned.load(Ordering::Relaxed), 0);
    assert_eq!(counters.active.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn thresholds_are_a_limit_and_no_probe_inherits_the_queue_of_another() {
    // One at a time, 10 ms each: 100 a second, and whatever comes beyond waits.
    let free_at: Mutex<Option<Instant>> = Mutex::default();
    let service = move |_, now: Instant| {
        let mut free_at = free_at.lock().expect("not poisoned");
        let ends = free_at.map_or(now, |at| at.max(now)) + 10 * MS;
        *free_at = Some(ends);
        ends - now
    };
    let search = CapacitySearch::new(Search::Binary, 40, 400, 10);
    let simulation = Simulation::new(search, 1_000, 150 * MS, Arc::new(service));
    let (capacity, _) = simulation.run(FOREVER).await;
    assert_eq!(rates(&capacity), [40, 80, 160, 160, 120, 120, 100, 110, 110]);
    assert_eq!((capacity.highest_held, capacity.lowest_failed), (Some(100), Some(110)));
    let failed = &capacity.probes[2];
    assert_eq!(failed.reason.as_deref(), Some("the threshold `longest` failed"));
    assert!(!failed.thresholds[0].holds && failed.dropped == 0);
}

#[tokio::test(start_paused = true)]
async fn iterations_that_do_not_end_are_interrupted_and_their_users_serve_again() {
    // Everything hangs in the second probe, and in no other; there is nobody to spare.
    let service = |probe, _| if probe == 1 { FOREVER } else { 10 * MS };
    let search = CapacitySearch::new(Search::Step, 10, 20, 10);
    let simulation = Simulation::new(search, 40, SECOND, Arc::new(service));
    let (capacity, counters) = simulation.run(FOREVER).await;
    assert_eq!(rates(&capacity), [10, 20, 20]);
    let reason = capacity.probes[1].reason.as_deref().expect("failed");
    assert!(reason.contains("40 of 40 iterations had not ended 30s after"), "{reason}");
    assert_eq!((capacity.probes[2].started, capacity.probes[2].dropped), (40, 0));
    assert_eq!((capacity.highest_held, capacity.lowest_failed), (Some(20), None));
    assert_eq!(counters.interrupted.load(Ordering::Relaxed), 40);
}

#[tokio::test(start_paused = true)]
async fn a_search_that_is_cut_short_tells_what_it_knows() {
    let search = CapacitySearch::new(Search::Binary, 10, 1_000, 10);
    let simulation = Simulation::new(search, 10, SECOND, Arc::new(|_, _| 10 * MS));
    let (capacity, _) = simulation.run(3 * SECOND).await;
    assert_eq!((rates(&capacity), capacity.highest_held), (vec![10], Some(10)));
    assert_eq!((capacity.lowest_failed, capacity.complete), (None, false));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_held_goes_on_where_it_was() {
    let search = CapacitySearch::new(Search::Step, 10, 10, 10);
    let simulation = Simulation::new(search, 2, SECOND, Arc::new(|_, _| 10 * MS));
    let brake = simulation.brake.clone();
    tokio::spawn(async move {
        tokio::time::sleep(500 * MS).await;
        brake.hold();
        tokio::time::sleep(10 * SECOND).await;
        brake.release();
    });
    let (capacity, _) = simulation.run(FOREVER).await;
    let [probe] = capacity.probes.as_slice() else { panic!("{capacity:?}") };
    assert_eq!((probe.holds, probe.started, probe.dropped), (true, 20, 0));
    assert!((probe.seconds - 12.0).abs() < 0.01, "{probe:?}");
}

fn probe(rate: u64, longest: f64, holds: bool) -> Probe {
    Probe {
        rate,
        started_at: 0.0,
        seconds: 2.0,
        started: 0,
        dropped: 0,
        thresholds: vec![outcome("longest", longest, longest < 100.0)],
        holds,
        reason: None,
        latency_ms: BTreeMap::new(),
    }
}

#[test]
fn the_highest_rate_that_held_decides_about_the_thresholds() {
    let probes = vec![probe(10, 20.0, true), probe(20, 50.0, true), probe(40, 900.0, false)];
    let capacity = Capacity { probes, highest_held: Some(20), complete: true, ..Capacity::default() };
    // Over the whole run it broke.
    let mut outcomes = vec![outcome("longest", 500.0, false), outcome("capacity: value>=20", 20.0, true)];
    judge_by_probes(&mut outcomes, &capacity);
    assert_eq!(outcomes, [outcome("longest", 50.0, true), outcome("capacity: value>=20", 20.0, true)]);
}

#[test]
fn a_start_rate_that_does_not_hold_fails_the_test_whatever_the_thresholds_say() {
    // It failed by starts that were dropped.
    let probes = vec![probe(10, 20.0, false), probe(10, 30.0, false)];
    let mut capacity = Capacity { probes, complete: true, ..Capacity::default() };
    let mut outcomes = vec![outcome("longest", 25.0, true)];
    judge_by_probes(&mut outcomes, &capacity);
    let told: Vec<_> = outcomes.iter().map(|o| (o.source.as_str(), o.actual, o.holds)).collect();
    assert_eq!(told, [("longest", Some(20.0), true), ("capacity: value>=10", Some(0.0), false)]);
    // Cut short, it is not known.
    capacity.complete = false;
    outcomes.truncate(1);
    judge_by_probes(&mut outcomes, &capacity);
    assert_eq!(outcomes.len(), 1);
}

#[test]
fn a_capacity_is_recorded_if_it_is_known() {
    let recorded = |capacity: Option<Capacity>| -> Option<f64> {
        let (messages, inbox): (_, Receiver<Message>) = sync_channel(4);
        let court = {
            let test = TestContext::new(1, Shard::default(), Stop::default(), Arc::default());
            Court::new(messages, Arc::new(test), Tags::new())
        };
        if let Some(capacity) = &capacity {
            court.found(capacity);
        }
        assert_eq!(court.conclude(), capacity);
        match inbox.try_recv().ok()? {
            Message::Value { metric: Builtin::Capacity, value, .. } => Some(value),
            other => panic!("{other:?}"),
        }
    };
    let found = |highest_held, complete| Some(Capacity { highest_held, complete, ..Capacity::default() });
    assert_eq!(recorded(found(Some(7), true)), Some(7.0));
    assert_eq!(recorded(found(Some(7), false)), Some(7.0));
    assert_eq!(recorded(found(None, true)), Some(0.0));
    assert_eq!(recorded(found(None, false)), None);
    assert_eq!(recorded(None), None);
}

#[test]
fn a_search_is_alone_or_refused() {
    let workload = |shape| Workload {
        shape,
        graceful_stop: SECOND,
        warm_up: Duration::ZERO,
        start_time: Duration::ZERO,
        min_iteration_duration: Duration::ZERO,
    };
    let search = || {
        workload(Shape::FindCapacity {
            start_rate: 1,
            max_rate: 2,
            time_unit: SECOND,
            search: Search::Binary,
            step: 1,
            probe_duration: SECOND,
            pre_allocated_vus: 1,
            max_vus: 1,
        })
    };
    let soak = || workload(Shape::ConstantVus { vus: 1, duration: SECOND });
    let all = |[a, b]: [Workload; 2]| BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
    let alone = || BTreeMap::from([("a".to_owned(), search())]);
    assert_eq!(check_alone(&alone(), Shard::default()), Ok(()));
    assert_eq!(check_alone(&all([soak(), soak()]), Shard { index: 1, count: 2 }), Ok(()));
    let mixed = check_alone(&all([soak(), search()]), Shard::default()).expect_err("mixed");
    assert!(mixed.contains("the only scenario of its test, but `b` is one of 2"), "{mixed}");
    let divided = check_alone(&alone(), Shard { index: 0, count: 2 }).expect_err("divided");
    assert!(divided.contains("hint: leave `--shard` out"), "{divided}");
}

async fn interrupted(seat: &Seat) {
    seat.attend().await;
    std::future::poll_fn(|_| if seat.is_interrupted() { Poll::Ready(()) } else { Poll::Pending }).await;
}
