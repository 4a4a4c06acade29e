//! Workers: one thread per core, each with a single-threaded runtime and the virtual users that were
//! assigned to it for good. No work is stolen, so a user's future need not be `Send` and recording is local
//! to the thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use loadtest_core::metric::Tags;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::MissedTickBehavior;

use crate::clock::{self, Instant};
use crate::context::ScenarioContext;
use crate::executor::Seat;
use crate::http::HttpClient;
use crate::lifecycle::{Scenario, Shared};
use crate::metrics::recorder::{FLUSH_EVERY, Recorder};
use crate::process::ThreadClock;
use crate::vu::Vu;

/// What all virtual users of a scenario are made from.
pub(crate) struct Cast {
    pub(crate) context: Arc<ScenarioContext>,
    pub(crate) scenario: Arc<dyn Scenario>,
    pub(crate) data: Shared,
    pub(crate) tags: Tags,
}

/// What a worker is told: to make a virtual user.
pub(crate) struct Command {
    pub(crate) id: u64,
    pub(crate) cast: Arc<Cast>,
    pub(crate) seat: Arc<Seat>,
}

/// What others may know of a worker: how long its loop was held up.
#[derive(Debug)]
pub(crate) struct Health {
    born: Instant,
    /// When the loop is due next, in microseconds from `born`.
    due_micros: AtomicU64,
    /// The longest delay since the last look, in microseconds.
    stall_micros: AtomicU64,
}

impl Health {
    fn new() -> Self {
        let due_micros = AtomicU64::new(FLUSH_EVERY.as_micros() as u64);
        Self { born: clock::now(), due_micros, stall_micros: AtomicU64::new(0) }
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.born).as_micros()).unwrap_or(u64::MAX)
    }

    /// The loop has come round, and will again within `next`.
    fn came_round(&self, due: Instant, next: Duration) {
        let now = self.micros(clock::now());
        self.stall_micros.fetch_max(now.saturating_sub(self.micros(due)), Ordering::Relaxed);
        self.due_micros.store(now.saturating_add(next.as_micros() as u64), Ordering::Relaxed);
    }

    /// No one needs it any more.
    fn retire(&self) {
        self.due_micros.store(u64::MAX, Ordering::Relaxed);
    }

    /// The longest delay since the last call, one that goes on included.
    pub(crate) fn take_stall(&self) -> Duration {
        let late = self.micros(clock::now()).saturating_sub(self.due_micros.load(Ordering::Relaxed));
        Duration::from_micros(self.stall_micros.swap(0, Ordering::Relaxed).max(late))
    }
}

/// The handle of a worker.
pub(crate) struct Worker {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) health: Arc<Health>,
    pub(crate) clock: Option<ThreadClock>,
    pub(crate) thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread or no descriptor left.
    pub(crate) fn start(index: usize, recorder: Recorder) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (commands, inbox) = mpsc::unbounded_channel();
        let health = Arc::new(Health::new());
        let seen = Arc::clone(&health);
        let (clock_to, clock_from) = std::sync::mpsc::sync_channel(1);
        let thread =
            std::thread::Builder::new().name(format!("loadtest-worker-{index}")).spawn(move || {
                let _ = clock_to.send(ThreadClock::of_this_thread());
                LocalSet::new().block_on(&runtime, serve(inbox, recorder, &seen));
                seen.retire();
                // Not by dropping it, which would wait for what a test has left in `spawn_blocking`.
                runtime.shutdown_background();
            })?;
        let clock = clock_from.recv().ok().flatten();
        Ok(Self { commands, health, clock, thread })
    }
}

/// A worker's whole life: until its handle is dropped and its virtual users have left.
async fn serve(mut inbox: mpsc::UnboundedReceiver<Command>, recorder: Recorder, health: &Health) {
    let recorder = Rc::new(RefCell::new(recorder));
    let mut vus = JoinSet::new();
    let mut tick = tokio::time::interval(FLUSH_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            command = inbox.recv() => match command {
                Some(Command { id, cast, seat }) => {
                    let tags = recorder.borrow_mut().tag_set(cast.tags.clone());
                    let test = &cast.context.test;
                    let context = Arc::clone(&cast.context);
                    let said_by = Arc::clone(&context);
                    let client = HttpClient::of_vu(Arc::clone(&test.http), id)
                        .throttled(test.throttle.clone())
                        .debugging(move |number, text| {
                            let who = format_args!("{} vu {id} http {number}", said_by.name);
                            said_by.test.log.text(who, text);
                        });
                    let vu = Vu::new(id, context, seat, Rc::clone(&recorder), tags, Rc::new(client));
                    vus.spawn_local(cast.scenario.virtual_user(vu, Arc::clone(&cast.data)));
                }
                None => break,
            },
            due = tick.tick() => {
                health.came_round(due, FLUSH_EVERY);
                recorder.borrow_mut().flush();
            }
        }
    }
    health.retire();
    while vus.join_next().await.is_some() {}
    recorder.borrow_mut().flush();
}
