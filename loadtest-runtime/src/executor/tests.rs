//! Executors on a paused clock: what starts, ends and is interrupted, and when.

mod closed;
mod controlled;
mod holding;
mod open;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use loadtest_core::metric::Tags;
use loadtest_core::options::{Shape, Workload};
use loadtest_core::plan::Shard;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::*;
use crate::clock;
use crate::context::{ScenarioContext, Stop, TestContext};
use crate::error::Error;
use crate::http::HttpClient;
use crate::metrics::recorder::Recorder;
use crate::vu::{self, Vu};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// What someone does to a load from outside.
#[derive(Debug, Clone, Copy)]
enum Act {
    Hold,
    Release,
    Scale(u32),
    Stop,
}

/// A load to be simulated on the clock of the calling test.
struct Simulation {
    shape: Shape,
    shard: Shard,
    graceful_stop: Duration,
    /// How long iterations take.
    iteration: Duration,
    /// How long making a virtual user ready takes.
    init: Duration,
    /// How many of those that are made while the load runs are refused, before the first succeeds.
    refused: u64,
    /// On the real clock, with a pacer of its own.
    real: bool,
    script: Vec<(Duration, Act)>,
}

/// Notes the intended starts of what is taken.
struct Spy {
    source: Arc<dyn Source>,
    taken: Mutex<Vec<Instant>>,
}

impl Source for Spy {
    fn take(&self, turn: &Turn<'_>) -> Option<Instant> {
        let intended = self.source.take(turn)?;
        self.taken.lock().expect("not poisoned").push(intended);
        Some(intended)
    }

    fn rest(&self, seat: &Seat) {
        self.source.rest(seat);
    }

    fn is_open(&self) -> bool {
        self.source.is_open()
    }

    fn is_shared(&self) -> bool {
        self.source.is_shared()
    }
}

/// What happened.
struct Trace {
    /// Per iteration the virtual user, its start and, if it got that far, its end.
    iterations: Vec<(u64, Duration, Option<Duration>)>,
    /// The intended starts of all iterations, in the order in which they were taken.
    intended: Vec<Duration>,
    /// Virtual users that were asked for while the load ran: seat and when.
    recruits: Vec<(u32, Duration)>,
    counters: Arc<Counters>,
    took: Duration,
    planned: Option<u64>,
}

impl Trace {
    fn counts(&self) -> (u64, u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.counters.started), load(&self.counters.completed), load(&self.counters.interrupted))
    }

    /// Starts that were planned, and those that were dropped.
    fn starts(&self) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.counters.planned_starts), load(&self.counters.dropped))
    }

    /// How many virtual users had an iteration in flight at this offset.
    fn active_at(&self, at: Duration) -> usize {
        self.iterations
            .iter()
            .filter(|(_, began, ended)| *began <= at && ended.is_none_or(|e| e > at))
            .count()
    }

    /// When iterations began.
    fn begins(&self) -> Vec<Duration> {
        self.iterations.iter().map(|(_, began, _)| *began).collect()
    }
}

impl Simulation {
    fn new(shape: Shape, iteration: Duration) -> Self {
        Self {
            shape,
            shard: Shard::default(),
            graceful_stop: 30 * SECOND,
            iteration,
            init: Duration::ZERO,
            refused: 0,
            real: false,
            script: Vec::new(),
        }
    }

    fn graceful_stop(self, graceful_stop: Duration) -> Self {
        Self { graceful_stop, ..self }
    }

    /// At these offsets from the start of the load.
    fn at(mut self, offset: Duration, act: Act) -> Self {
        self.script.push((offset, act));
        self
    }

    async fn run(self) -> Trace {
        let mut executor = for_shape(&self.shape, self.shard);
        let seats = Seats::new(executor.max_vus());
        let brake = if self.real { Brake::default() } else { Brake::simulated() };
        let (scale, scaled) = watch::channel(None);
        let (recruiter, mut recruits) = mpsc::unbounded_channel();
        let reins = Reins {
            seats: seats.clone(),
            timeline: brake.timeline(Duration::ZERO),
            graceful_stop: self.graceful_stop,
            scale: scaled,
            recruiter: Arc::new(move |index| recruiter.send(index).expect("someone listens")),
        };
        let spy = Arc::new(Spy { source: executor.source(), taken: Mutex::default() });
        let stop = Stop::default();
        let context = Arc::new(ScenarioContext {
            name: "test".to_owned(),
            workload: Workload {
                shape: self.shape.clone(),
                graceful_stop: self.graceful_stop,
                warm_up: Duration::ZERO,
                start_time: Duration::ZERO,
                min_iteration_duration: Duration::ZERO,
            },
            env: BTreeMap::new(),
            source: Arc::clone(&spy) as Arc<dyn Source>,
            seats: seats.clone(),
            timeline: reins.timeline.clone(),
            test: Arc::new(TestContext::new(1, self.shard, stop, Arc::default())),
        });
        let (out, _inbox) = std::sync::mpsc::sync_channel(4);
        let (recorder, _recycler) =
            Recorder::new(0, out, Arc::new(OnceLock::new()), Arc::new(AtomicU64::new(0)));
        let recorder = Rc::new(RefCell::new(recorder));
        let trace = Rc::new(RefCell::new(Vec::new()));
        let recruited = Rc::new(RefCell::new(Vec::new()));
        let planned = executor.planned_iterations();
        let allocated = executor.allocated_vus();
        let counters = Arc::clone(seats.counters());
        let begin = OnceLock::new();
        let began = Rc::new(begin);
        let local = LocalSet::new();
        let took = local
            .run_until(async {
                let hires = {
                    let (began, trace, recruited) =
                        (Rc::clone(&began), Rc::clone(&trace), Rc::clone(&recruited));
                    let (context, seats) = (Arc::clone(&context), seats.clone());
                    async move {
                        let mut tries = 0;
                        while let Some(index) = recruits.recv().await {
                            let tags = recorder.borrow_mut().tag_set(Tags::new());
                            let client = Rc::new(HttpClient::new(Arc::default()));
                            let id = u64::from(index) + 1;
                            let vu = Vu::new(
                                id,
                                Arc::clone(&context),
                                seats.seat(index),
                                Rc::clone(&recorder),
                                tags,
                                client,
                            );
                            let since = {
                                let began = Rc::clone(&began);
                                move || began.get().map(|begin: &Instant| clock::now() - *begin)
                            };
                            let mut refused = false;
                            if let Some(at) = since() {
                                recruited.borrow_mut().push((index, at));
                                tries += 1;
                                refused = tries <= self.refused;
                            }
                            let init = async move |_: &mut Vu| {
                                tokio::time::sleep(self.init).await;
                                if refused { Err(Error::from("no seat left")) } else { Ok(()) }
                            };
                            let trace = Rc::clone(&trace);
                            let iterate = async move |vu: &mut Vu, (): &mut ()| {
                                let at = trace.borrow().len();
                                trace.borrow_mut().push((vu.id(), since().expect("begun"), None));
                                vu.sleep(self.iteration).await;
                                trace.borrow_mut()[at].2 = since();
                                Ok(())
                            };
                            tokio::task::spawn_local(vu::run(vu, init, iterate));
                        }
                    }
                };
                tokio::task::spawn_local(hires);
                (0..allocated).for_each(|index| (reins.recruiter)(index));
                counters.seated(allocated).await;
                let start = clock::now();
                began.set(start).expect("once");
                brake.begin(start);
                let acts = async {
                    for (at, act) in &self.script {
                        tokio::time::sleep_until(start + *at).await;
                        match act {
                            Act::Hold => {
                                brake.hold();
                                seats.hold();
                            }
                            Act::Release => {
                                brake.release();
                                seats.release();
                            }
                            Act::Scale(vus) => scale.send(Some(*vus)).expect("someone listens"),
                            Act::Stop => return,
                        }
                    }
                    std::future::pending().await
                };
                tokio::select! {
                    () = executor.drive(&reins) => {}
                    () = acts => {
                        seats.set_planned(0);
                        seats.give_all(Order::Interrupt);
                    }
                }
                let planned_starts = counters.planned_starts.load(Ordering::Relaxed);
                seats.idle().await;
                let took = clock::now() - start;
                // Whatever is still there would start something now.
                tokio::time::sleep(SECOND).await;
                assert_eq!(counters.planned_starts.load(Ordering::Relaxed), planned_starts);
                assert_eq!(counters.active.load(Ordering::Relaxed), 0);
                assert_eq!(counters.planned.load(Ordering::Relaxed), 0);
                took
            })
            .await;
        let begin = *began.get().expect("begun");
        let taken = spy.taken.lock().expect("not poisoned");
        let intended = taken.iter().map(|at| at.saturating_duration_since(begin)).collect();
        let iterations = trace.borrow().clone();
        let recruits = recruited.borrow().clone();
        drop(local);
        Trace { iterations, intended, recruits, counters, took, planned }
    }
}

/// Runs a shape with iterations of this length on the clock of the calling test.
async fn simulate(shape: Shape, graceful_stop: Duration, iteration: Duration) -> Trace {
    Simulation::new(shape, iteration).graceful_stop(graceful_stop).run().await
}
