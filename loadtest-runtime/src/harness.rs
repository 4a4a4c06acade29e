//! The entry of a test binary: says hello to the subcommand that started it, answers with its definitions
//! or runs one test.
//!
//! Without the subcommand's environment variables an entry returns at once, so that `cargo test --
//! --ignored`, nextest and mutation testers never fire load.

mod libtest;

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loadtest_core::metric::{MetricDef, Tags, tag};
use loadtest_core::options::Options;
use loadtest_core::results::{End, Interval, TestOutcome};
use loadtest_core::threshold::{self, Threshold};
use loadtest_core::wire::{self, FromTest, Mode, Phase, Request, StopReason, ToTest};
use tokio::sync::watch;

use crate::clock;
use crate::http::HttpOptions;
use crate::lifecycle::{Scenario, Shared};
use crate::link::{self, Link};
use crate::metrics::custom;
use crate::process;
use crate::registry::{self, Registration};
use crate::scheduler::{self, Audience, LoadOutcome, LoadPlan, ScenarioPlan, StopCause};
use crate::service::Services;
use crate::setup::{Setup, SetupShared};

/// How long `setup` and `teardown` may take, each.
const LIFECYCLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The entry that the attribute puts into a test binary as an ignored test.
///
/// # Panics
/// If the subcommand can't be reached or says something that can't be understood: the test then fails.
pub fn entry() {
    match run_for_subcommand() {
        Some(Ok(())) => std::process::exit(0),
        Some(Err(error)) => panic!("cargo loadtest: {error}"),
        // Passing says nothing about the service, and whoever looks at the output shall know.
        None => println!("not run: load tests run with cargo loadtest"),
    }
}

/// The `main` of a test target with `harness = false`.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     loadtest_runtime::main()
/// }
/// ```
pub fn main() -> ExitCode {
    match run_for_subcommand() {
        None => {
            let names: Vec<_> =
                inventory::iter::<Registration>.into_iter().map(registry::entry_name).collect();
            let answer = libtest::answer(std::env::args().skip(1), names);
            // Whoever has closed the pipe does not want the answer.
            let _ = std::io::stdout().write_all(answer.as_bytes());
            ExitCode::SUCCESS
        }
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("cargo loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does what the subcommand asks for; `None` if none started this process.
fn run_for_subcommand() -> Option<Result<(), String>> {
    let address = std::env::var(wire::ENV_ADDR).ok()?;
    let token = std::env::var(wire::ENV_TOKEN).unwrap_or_default();
    Some(serve(&address, token))
}

fn serve(address: &str, token: String) -> Result<(), String> {
    let (link, mut reader) =
        Link::connect(address).map_err(|error| format!("no subcommand at {address}: {error}"))?;
    let hello = FromTest::Hello {
        token,
        versions: wire::VERSIONS.to_vec(),
        pid: std::process::id(),
        runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    link.send(&hello).map_err(|error| format!("the subcommand does not listen: {error}"))?;
    let request = match link::expect(&mut reader) {
        Ok(ToTest::Request(request)) => request,
        Ok(other) => return Err(format!("expected a request, got {other:?}")),
        Err(error) => return Err(format!("no request came: {error}")),
    };
    if !wire::VERSIONS.contains(&request.version) {
        return Err(format!(
            "the subcommand speaks version {}, which this runtime does not",
            request.version
        ));
    }
    match request.mode {
        Mode::List => {
            let (definitions, mut problems) = registry::definitions();
            problems.extend(custom::problems());
            link.send(&FromTest::Definitions { definitions, problems }).map_err(|error| error.to_string())
        }
        Mode::Run => {
            let over = Arc::new(AtomicBool::new(false));
            let outcome = run_test(&request, &link, reader, &over);
            over.store(true, Ordering::Relaxed);
            link.send(&FromTest::Results(Box::new(outcome))).map_err(|error| error.to_string())
        }
    }
}

/// Runs one test from setup to teardown. Every failure is an outcome.
fn run_test(request: &Request, link: &Link, reader: TcpStream, over: &Arc<AtomicBool>) -> TestOutcome {
    let services = Services::default();
    let (stop, stopped) = watch::channel(None);
    let (go_to, go) = mpsc::channel();
    let listener =
        Listener { services: services.clone(), stop: stop.clone(), go: go_to, over: Arc::clone(over) };
    let began = clock::now();
    let mut test = Test { request, link, services, stop, stopped, outcome: TestOutcome::new(End::Completed) };
    let spawned =
        std::thread::Builder::new().name("loadtest-link".to_owned()).spawn(move || listener.listen(reader));
    let end = match spawned {
        Ok(_) => test.run(&go, began),
        Err(error) => End::SetupFailed { reason: format!("no thread for the link: {error}") },
    };
    test.services.kill_all();
    test.outcome.end = end;
    test.outcome.warnings.extend(link.untold());
    test.outcome
}

/// The thread that hears the subcommand.
struct Listener {
    services: Services,
    stop: watch::Sender<Option<StopCause>>,
    go: mpsc::Sender<()>,
    /// The results are on their way: the subcommand may hang up.
    over: Arc<AtomicBool>,
}

impl Listener {
    fn listen(self, mut reader: TcpStream) {
        loop {
            match link::expect(&mut reader) {
                Ok(ToTest::Go) => {
                    // If nobody waits for it any more, the test is about to end.
                    let _ = self.go.send(());
                }
                Ok(ToTest::Stop { reason: StopReason::Interrupted }) => {
                    self.stop.send_replace(Some(StopCause::Interrupted));
                }
                Ok(other) => eprintln!("cargo loadtest: an unexpected frame was ignored: {other:?}"),
                Err(_) if self.over.load(Ordering::Relaxed) => return,
                Err(_) => {
                    // The subcommand is gone: nobody is left to report to, and no child may outlive it, nor
                    // what a child has started, nor one that is being started at this moment.
                    self.services.kill_all();
                    process::kill_own_group();
                    std::process::exit(1);
                }
            }
        }
    }
}

/// One test on its way.
struct Test<'a> {
    request: &'a Request,
    link: &'a Link,
    services: Services,
    stop: watch::Sender<Option<StopCause>>,
    stopped: watch::Receiver<Option<StopCause>>,
    outcome: TestOutcome,
}

/// A scenario of the test, before setup has given it data.
struct Part {
    name: String,
    options: Options,
    scenario: Arc<dyn Scenario>,
}

impl Test<'_> {
    fn run(&mut self, go: &mpsc::Receiver<()>, began: clock::Instant) -> End {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("loadtest-setup").build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return End::SetupFailed { reason: format!("no runtime for setup: {error}") },
        };
        let end = self.try_run(&runtime, go, began).unwrap_or_else(|reason| End::SetupFailed { reason });
        self.services.kill_all();
        // Not by dropping it, which would wait for what a test has left in `spawn_blocking`.
        runtime.shutdown_timeout(Duration::from_secs(1));
        end
    }

    fn try_run(
        &mut self,
        runtime: &tokio::runtime::Runtime,
        go: &mpsc::Receiver<()>,
        began: clock::Instant,
    ) -> Result<End, String> {
        let parts = self.parts()?;
        let metrics = custom::known();
        let thresholds: Vec<_> = parts.iter().flat_map(|part| part.options.thresholds.clone()).collect();
        threshold::check_known(&thresholds, &metrics).map_err(|error| error.to_string())?;
        self.outcome.metrics = metrics.clone();
        for part in &parts {
            let workload =
                part.options.resolve().map_err(|error| format!("scenario `{}`: {error}", part.name))?;
            self.outcome.workloads.insert(part.name.clone(), workload);
        }

        self.link.tell(&FromTest::State { phase: Phase::Setup });
        let env = parts.iter().flat_map(|part| part.options.env.clone()).collect();
        let shared = Rc::new(SetupShared {
            binaries: self.request.binaries.clone(),
            env,
            log_dir: PathBuf::from(&self.request.log_dir),
            services: self.services.clone(),
            http_options: std::cell::RefCell::new(Arc::default()),
            seed: self.request.seed,
        });
        let data = self.set_up(runtime, &parts, &shared);
        self.outcome.setup_seconds = clock::now().saturating_duration_since(began).as_secs_f64();
        for info in self.services.infos() {
            self.link.tell(&FromTest::Service(info));
        }
        let data = match data {
            Ok(Some(data)) => data,
            Ok(None) => return Ok(End::Interrupted),
            Err(reason) => return Err(reason),
        };

        self.link.tell(&FromTest::Ready);
        if go.recv().is_err() {
            return Ok(End::Interrupted);
        }
        let http = Arc::clone(&shared.http_options.borrow());
        let end = self.load(&parts, &data, thresholds, metrics, http)?;

        self.link.tell(&FromTest::State { phase: Phase::Teardown });
        self.outcome.teardown_error = tear_down(runtime, &parts, &data).err();
        // Dropping the data may end services and close clients, which needs the runtime.
        let guard = runtime.enter();
        drop(data);
        drop(guard);
        Ok(end)
    }

    fn parts(&self) -> Result<Vec<Part>, String> {
        let found = registry::find(&self.request.test);
        if found.is_empty() {
            return Err(format!("this binary has no load test `{}`", self.request.test));
        }
        let part = |registration: &&'static Registration| {
            let options = (registration.options)().map_err(|error| error.to_string())?;
            Ok(Part {
                name: registration.name.unwrap_or(registration.function).to_owned(),
                options: options.overwrite(self.request.overrides.clone()),
                scenario: Arc::from((registration.scenario)()),
            })
        };
        found.iter().map(part).collect()
    }

    /// Runs `setup`, unless the user interrupts it, which is no failure.
    fn set_up(
        &self,
        runtime: &tokio::runtime::Runtime,
        parts: &[Part],
        shared: &Rc<SetupShared>,
    ) -> Result<Option<Vec<Shared>>, String> {
        let mut stopped = self.stopped.clone();
        let local = tokio::task::LocalSet::new();
        let all = async {
            let mut data = Vec::new();
            for part in parts {
                data.push(part.scenario.setup(Setup::new(Rc::clone(shared))).await?);
            }
            Ok::<_, crate::Error>(data)
        };
        let limited = async {
            tokio::select! {
                biased;
                _ = stopped.wait_for(Option::is_some) => Ok(None),
                result = tokio::time::timeout(LIFECYCLE_TIMEOUT, all) => match result {
                    Ok(Ok(data)) => Ok(Some(data)),
                    Ok(Err(error)) => Err(format!("{error:#} (at {})", error.location())),
                    Err(_) => Err(format!("setup took longer than {LIFECYCLE_TIMEOUT:?}")),
                }
            }
        };
        caught("setup", || runtime.block_on(local.run_until(limited)))?
    }

    fn load(
        &mut self,
        parts: &[Part],
        data: &[Shared],
        thresholds: Vec<Threshold>,
        metrics: Vec<MetricDef>,
        http: Arc<HttpOptions>,
    ) -> Result<End, String> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let scenarios = parts
            .iter()
            .zip(data)
            .map(|(part, data)| {
                let mut tags: Tags = part.options.tags.clone();
                tags.insert(tag::SCENARIO.to_owned(), part.name.clone());
                ScenarioPlan {
                    name: part.name.clone(),
                    workload: self.outcome.workloads[&part.name].clone(),
                    tags,
                    env: part.options.env.clone(),
                    scenario: Arc::clone(&part.scenario),
                    data: Arc::clone(data),
                }
            })
            .collect();
        let plan = LoadPlan {
            scenarios,
            thresholds,
            metrics,
            seed: self.request.seed,
            shard: self.request.shard,
            workers,
            http,
        };
        let died = Arc::new(Mutex::new(Vec::new()));
        let audience =
            Wire { link: self.link.clone(), services: self.services.clone(), died: Arc::clone(&died) };
        self.link.tell(&FromTest::State { phase: Phase::Running });
        let outcome = scheduler::run(plan, &self.stop, Box::new(audience))
            .map_err(|error| format!("the load could not be started: {error}"))?;
        self.outcome.workers = workers as u32;
        self.outcome.services_died =
            std::mem::take(&mut *died.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(self.take(outcome))
    }

    /// Files what the load left behind.
    fn take(&mut self, outcome: LoadOutcome) -> End {
        let aggregated = outcome.aggregated;
        self.outcome.thresholds = aggregated.thresholds;
        self.outcome.errors = aggregated.errors.into_iter().map(Into::into).collect();
        self.outcome.folded_series = aggregated.folded_series;
        self.outcome.clamped_values = aggregated.clamped_values;
        self.outcome.load_seconds = outcome.load_time.as_secs_f64();
        self.outcome.scenarios = outcome.scenarios;
        self.outcome.warnings.extend(outcome.warnings);
        match outcome.stopped {
            None => End::Completed,
            Some(StopCause::Interrupted) => End::Interrupted,
            Some(StopCause::Threshold(threshold)) => {
                End::Aborted { reason: format!("the threshold `{threshold}` failed") }
            }
        }
    }
}

/// Runs `teardown` of every scenario; the first error is told.
fn tear_down(runtime: &tokio::runtime::Runtime, parts: &[Part], data: &[Shared]) -> Result<(), String> {
    let all = async {
        let mut first = Ok(());
        for (part, data) in parts.iter().zip(data) {
            let result = match tokio::time::timeout(LIFECYCLE_TIMEOUT, part.scenario.teardown(data)).await {
                Ok(result) => result.map_err(|error| format!("{error:#} (at {})", error.location())),
                Err(_) => Err(format!("teardown took longer than {LIFECYCLE_TIMEOUT:?}")),
            };
            first = first.and(result);
        }
        first
    };
    let local = tokio::task::LocalSet::new();
    caught("teardown", || runtime.block_on(local.run_until(all)))?
}

/// Turns a panic of the user's code into an error; the panic itself has been shown on stderr.
fn caught<T>(what: &str, run: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
        .map_err(|panic| format!("{what} panicked: {}", crate::panics::message(panic.as_ref())))
}

/// Tells the subcommand about the load.
struct Wire {
    link: Link,
    services: Services,
    died: Arc<Mutex<Vec<String>>>,
}

impl Audience for Wire {
    fn interval(&mut self, interval: Interval) {
        self.link.tell(&FromTest::Interval(interval));
        for text in self.services.died() {
            self.link.tell(&FromTest::Warning { text: text.clone() });
            self.died.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    }

    fn stopping(&mut self) {
        self.link.tell(&FromTest::State { phase: Phase::Stopping });
    }

    fn service_pid(&self) -> Option<u32> {
        self.services.running_pid()
    }
}
