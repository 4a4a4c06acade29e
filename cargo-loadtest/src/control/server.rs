//! The side that is asked: listens, answers, and keeps what was wished for until the run takes it.
//!
//! The main types are [`Server`], open as long as a run, and [`Running`], open as long as one of its tests.
//! Connections have threads of their own, few and with a deadline each, so that none holds up the run or
//! another connection. Nothing here talks to a test process.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use loadtest_core::suggest;
use loadtest_core::wire::{Phase, StopReason, ToTest};
use serde::{Deserialize, Serialize};

use super::http::{self, Refusal, Request};
use super::status::{NOTHING_RUNNING, Status, Tracker};

/// How long a request may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);

/// How long an answer waits for the run to take the wish. The run looks every tenth of a second.
const TAKEN_WITHIN: Duration = Duration::from_secs(3);

/// Connections at once; more are closed unheard.
const MOST_CONNECTIONS: usize = 16;

/// Where requests go. Each with its method.
const PATHS: [(&str, &str); 5] = [
    ("/v1/status", "GET"),
    ("/v1/pause", "POST"),
    ("/v1/resume", "POST"),
    ("/v1/scale", "POST"),
    ("/v1/stop", "POST"),
];

/// Lets a run be controlled from this machine. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    listens: Option<JoinHandle<()>>,
}

/// One test of the run. When it is dropped, nothing is running, and wishes that were not taken are refused.
#[derive(Debug)]
pub struct Running<'a> {
    shared: &'a Shared,
}

/// What was done, as JSON.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) result: String,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when wishes were taken, and when a test ends.
    changed: Condvar,
    closed: AtomicBool,
    connections: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// Of the running test, and when its load began.
    status: Option<(Status, Option<Instant>)>,
    /// Not taken yet, each with its number.
    wishes: VecDeque<(u64, ToTest)>,
    /// How many tests have begun: a wish is for one of them.
    test: u64,
    /// Wishes of this test that were asked for, taken, and done.
    asked: u64,
    taken: u64,
    done: u64,
}

impl Server {
    /// Listens at an address of this machine; port 0 takes a free one. From here on requests are answered,
    /// until a test begins by saying that there is none.
    ///
    /// # Errors
    /// If the address is not one of this machine alone, or is taken.
    pub fn open(address: SocketAddr) -> anyhow::Result<Server> {
        if !address.ip().is_loopback() {
            bail!("{address} can be reached from other machines\nhint: use 127.0.0.1:{}", address.port());
        }
        let listener = TcpListener::bind(address).map_err(|error| {
            anyhow!(
                "can't listen on {address} for `--control`: {error}\n\
                 hint: `--control 127.0.0.1:0` takes a free port"
            )
        })?;
        let address = listener.local_addr().context("can't tell where `--control` listens")?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let listens = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || listen(&listener, address, &theirs))
            .context("can't start the thread that listens for `--control`")?;
        Ok(Server { address, shared, listens: Some(listens) })
    }

    /// Where it listens, with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A test can be controlled from here on. One at a time.
    pub fn begin(&self, tracker: &Tracker) -> Running<'_> {
        let mut state = self.shared.state();
        *state = State { test: state.test + 1, ..State::default() };
        drop(state);
        let running = Running { shared: &self.shared };
        running.publish(tracker);
        running
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // The thread waits for a connection: this is its last.
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok();
        if let Some(listens) = self.listens.take()
            && woken
        {
            let _ = listens.join();
        }
    }
}

impl Running<'_> {
    /// What was wished for since the last call, oldest first, as the frames that say it. It never waits.
    pub fn take(&self) -> Vec<ToTest> {
        let mut state = self.shared.state();
        state.taken = state.asked;
        state.wishes.drain(..).map(|(_, frame)| frame).collect()
    }

    /// How the test stands now. Wishes that were taken before are done.
    pub fn publish(&self, tracker: &Tracker) {
        let mut state = self.shared.state();
        state.status = Some((tracker.status(Instant::now()), tracker.began()));
        state.done = state.taken;
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.status = None;
        state.wishes.clear();
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listen(listener: &TcpListener, address: SocketAddr, shared: &Arc<Shared>) {
    loop {
        let accepted = listener.accept();
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    // Out of descriptors, say: trying again at once would take a core from the load.
                    thread::sleep(Duration::from_millis(100));
                }
                continue;
            }
        };
        if shared.connections.fetch_add(1, Ordering::SeqCst) >= MOST_CONNECTIONS {
            shared.connections.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let theirs = Arc::clone(shared);
        let spawned = thread::Builder::new().name("control-connection".to_owned()).spawn(move || {
            serve(&stream, address, &theirs);
            theirs.connections.fetch_sub(1, Ordering::SeqCst);
        });
        if spawned.is_err() {
            shared.connections.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Answers one request.
fn serve(stream: &TcpStream, address: SocketAddr, shared: &Shared) {
    if stream.set_write_timeout(Some(ARRIVES_WITHIN)).is_err() {
        return;
    }
    let Some(request) = http::read_request(stream, address, ARRIVES_WITHIN) else { return };
    // Whoever does not read the answer has none.
    let _ = match request.and_then(|request| answer(&request, shared)) {
        Ok(Answer::Status(status)) => http::write_response(stream, 200, &status),
        Ok(Answer::Done(result)) => http::write_response(stream, 200, &Done { result }),
        Err(refusal) => http::write_response(stream, refusal.code, &refusal.body),
    };
    // What is still on its way would break the connection before the answer was read.
    let (mut rest, until) = (Vec::new(), Instant::now() + Duration::from_millis(500));
    while http::read_some(stream, &mut rest, 64 << 10, until).is_ok_and(|read| read > 0) {}
}

#[derive(Debug)]
enum Answer {
    Status(Status),
    Done(String),
}

fn answer(request: &Request, shared: &Shared) -> Result<Answer, Refusal> {
    let Some((path, method)) = PATHS.iter().find(|(path, _)| request.path == *path) else {
        let paths = PATHS.map(|(path, _)| path);
        return Err(Refusal::new(
            404,
            format!("there is no `{}`", request.path),
            suggest::hint(&request.path, paths),
        ));
    };
    if request.method != *method {
        let error = format!("{} is not for {path}", request.method);
        return Err(Refusal::new(405, error, format!("{path} takes {method}")));
    }
    let scale = if *path == "/v1/scale" {
        Some(Scale::read(&request.query)?)
    } else if let Some((name, _)) = request.query.first() {
        return Err(Refusal::new(400, format!("{path} has no parameter `{name}`"), "leave it out"));
    } else {
        None
    };
    let mut state = shared.state();
    let Some((status, began)) = &state.status else {
        if *path == "/v1/status" {
            return Ok(Answer::Status(Status::default()));
        }
        let hint = "the run is building, or between two tests: try again in a moment";
        return Err(Refusal::new(409, NOTHING_RUNNING, hint));
    };
    let (frame, result) = match (*path, scale) {
        ("/v1/status", _) => {
            let elapsed_seconds = began.map_or(0.0, |began| began.elapsed().as_secs_f64());
            return Ok(Answer::Status(Status { elapsed_seconds, ..status.clone() }));
        }
        (_, Some(scale)) => {
            is_under_load(status)?;
            scale.check(status)?;
            let result = format!("scaled to {}", scale.vus);
            (ToTest::Scale { scenario: scale.scenario, vus: scale.vus }, result)
        }
        ("/v1/pause", None) => {
            is_under_load(status)?;
            (ToTest::Pause, "paused".to_owned())
        }
        ("/v1/resume", None) => {
            // Whatever was held can be released, be it in its last moments.
            if !status.paused {
                is_under_load(status)?;
            }
            (ToTest::Resume, "resumed".to_owned())
        }
        (_, None) => (ToTest::Stop { reason: StopReason::Asked }, "stopping".to_owned()),
    };
    state.asked += 1;
    let (test, ours) = (state.test, state.asked);
    state.wishes.push_back((ours, frame));
    let pending = |state: &mut State| state.test == test && state.status.is_some() && state.done < ours;
    let waited = shared.changed.wait_timeout_while(state, TAKEN_WITHIN, pending);
    let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
    if timeout.timed_out() && state.taken < ours && state.test == test {
        // It is answered as not done, so it must not be done later.
        state.wishes.retain(|(number, _)| *number != ours);
        return Err(Refusal::new(503, "the run does not answer", "is its terminal held? try again"));
    }
    if state.test != test || (state.status.is_none() && state.taken < ours) {
        return Err(Refusal::new(409, "the test ended before that", "see the run's results"));
    }
    Ok(Answer::Done(result))
}

/// Holding and scaling are for the load alone.
fn is_under_load(status: &Status) -> Result<(), Refusal> {
    match status.phase {
        Some(Phase::Running) => Ok(()),
        Some(Phase::Stopping | Phase::Teardown) => {
            Err(Refusal::new(409, "the load is over", "the results are on their way"))
        }
        Some(Phase::Setup) | None => {
            Err(Refusal::new(409, "the load has not begun yet", "try again when the setup is done"))
        }
    }
}

#[derive(Debug)]
struct Scale {
    scenario: Option<String>,
    vus: u32,
}

impl Scale {
    fn read(query: &[(String, String)]) -> Result<Self, Refusal> {
        let example = "for example `/v1/scale?vus=10`";
        let (mut scenario, mut vus) = (None, None);
        for (name, value) in query {
            match name.as_str() {
                "vus" => {
                    let number = value.parse::<u32>().map_err(|_| {
                        Refusal::new(400, format!("`{value}` is not a number of virtual users"), example)
                    })?;
                    vus = Some(number);
                }
                "scenario" => scenario = Some(value.clone()),
                other => {
                    let hint = suggest::hint(other, ["vus", "scenario"]);
                    return Err(Refusal::new(400, format!("/v1/scale has no parameter `{other}`"), hint));
                }
            }
        }
        let vus = vus.ok_or_else(|| Refusal::new(400, "how many virtual users?", example))?;
        Ok(Scale { scenario, vus })
    }

    fn check(&self, status: &Status) -> Result<(), Refusal> {
        let scalable = || status.scenarios.iter().filter(|scenario| scenario.can_be_scaled());
        let needs = "only `executor = \"externally-controlled\"` can be scaled";
        if let Some(name) = &self.scenario {
            let Some(scenario) = status.scenarios.iter().find(|scenario| scenario.name == *name) else {
                let names: Vec<_> = status.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
                let hint = suggest::hint(name, names);
                return Err(Refusal::new(400, format!("there is no scenario `{name}`"), hint));
            };
            if !scenario.can_be_scaled() {
                let error = format!("the scenario `{name}` is {}", scenario.executor);
                return Err(Refusal::new(409, error, needs));
            }
        } else if scalable().next().is_none() {
            return Err(Refusal::new(409, "no scenario of this test is externally controlled", needs));
        }
        let chosen =
            scalable().filter(|scenario| self.scenario.as_ref().is_none_or(|name| scenario.name == *name));
        for scenario in chosen {
            if self.vus > scenario.max_vus {
                let error = format!("{} is over the {} of `{}`", self.vus, scenario.max_vus, scenario.name);
                return Err(Refusal::new(400, error, "start the run with a higher `max_vus`"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Running<'_> {
    /// Wishes that wait to be taken.
    pub(super) fn waiting(&self) -> usize {
        self.shared.state().wishes.len()
    }
}
