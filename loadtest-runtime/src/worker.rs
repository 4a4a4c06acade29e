//! Workers: one thread per core, each with a single-threaded runtime and the virtual users that were
//! assigned to it for good. No work is stolen, so a user's future need not be `Send` and recording is local
//! to the thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use loadtest_core::metric::Tags;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::MissedTickBehavior;

use crate::clock;
use crate::executor::Seat;
use crate::http::{HttpClient, HttpOptions};
use crate::lifecycle::{Scenario, Shared};
use crate::metrics::recorder::{FLUSH_EVERY, Recorder};
use crate::process::ThreadClock;
use crate::vu::{ScenarioContext, Vu};

/// What all virtual users of a scenario are made from.
pub(crate) struct Cast {
    pub(crate) context: Arc<ScenarioContext>,
    pub(crate) scenario: Arc<dyn Scenario>,
    pub(crate) data: Shared,
    pub(crate) tags: Tags,
    pub(crate) http: Arc<HttpOptions>,
}

/// What a worker is told.
pub(crate) enum Command {
    /// Make a virtual user.
    Seat { id: u64, cast: Arc<Cast>, seat: Arc<Seat> },
    /// Answer when everything before is done.
    Sync(oneshot::Sender<()>),
}

/// What others may know of a worker.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// The longest delay of its loop since the last look, in microseconds.
    pub(crate) stall_micros: AtomicU64,
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
    /// If the system has no thread left.
    pub(crate) fn start(index: usize, recorder: Recorder) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let health = Arc::new(Health::default());
        let seen = Arc::clone(&health);
        let (clock_to, clock_from) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("loadtest-worker-{index}")).spawn(move || {
            let _ = clock_to.send(ThreadClock::of_this_thread());
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => LocalSet::new().block_on(&runtime, serve(inbox, recorder, &seen)),
                Err(error) => eprintln!("loadtest: worker {index} has no runtime: {error}"),
            }
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
                Some(Command::Seat { id, cast, seat }) => {
                    let tags = recorder.borrow_mut().tag_set(cast.tags.clone());
                    let client = Rc::new(HttpClient::new(Arc::clone(&cast.http)));
                    let context = Arc::clone(&cast.context);
                    let vu = Vu::new(id, context, seat, Rc::clone(&recorder), tags, client);
                    vus.spawn_local(cast.scenario.virtual_user(vu, Arc::clone(&cast.data)));
                }
                Some(Command::Sync(done)) => {
                    // Whoever asked may have given up.
                    let _ = done.send(());
                }
                None => break,
            },
            due = tick.tick() => {
                let late = clock::now().saturating_duration_since(due).as_micros();
                health.stall_micros.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Ordering::Relaxed);
                recorder.borrow_mut().flush();
            }
        }
    }
    while vus.join_next().await.is_some() {}
    recorder.borrow_mut().flush();
}
