//! One test from its parts to its outcome: setup, load, teardown.
//!
//! The main type is [`Test`]. It keeps the order; what each step does is in [`super::steps`], the load in
//! [`crate::scheduler`].

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use loadtest_core::metric::{MetricDef, Tags, tag};
use loadtest_core::options::http::HttpSettings;
use loadtest_core::results::{End, Interval, TestOutcome};
use loadtest_core::threshold::{self, Threshold};
use loadtest_core::wire::{FromTest, MAX_WORKERS, Phase, Request};

use super::steps::{Part, caught, limited, preflight, reset, set_up_all, tear_down};
use crate::clock;
use crate::context::{self, Stop, StopCause};
use crate::executor;
use crate::http::HttpOptions;
use crate::lifecycle::Shared;
use crate::link::Link;
use crate::log::Log;
use crate::metrics::custom;
use crate::registry::{self, Registration};
use crate::scheduler::{Audience, Controls, Load, LoadOutcome, LoadPlan, ScenarioPlan, Unready};
use crate::service::Services;
use crate::setup::{SetupShared, SharedOptions};

/// One test on its way.
pub(super) struct Test<'a> {
    pub(super) request: &'a Request,
    pub(super) link: &'a Link,
    pub(super) services: Services,
    pub(super) stop: Stop,
    pub(super) controls: Arc<OnceLock<Controls>>,
    pub(super) outcome: TestOutcome,
}

impl Test<'_> {
    pub(super) fn run(&mut self, go: &mpsc::Receiver<()>, began: clock::Instant) -> End {
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
        let mut thresholds: Vec<Threshold> = Vec::new();
        for threshold in parts.iter().flat_map(|part| &part.options.thresholds) {
            // Scenarios of one test share its limits; one that two of them name is one.
            if !thresholds.contains(threshold) {
                thresholds.push(threshold.clone());
            }
        }
        threshold::check_known(&thresholds, &metrics).map_err(|error| error.to_string())?;
        threshold::check_scenarios(&thresholds, parts.iter().map(|part| part.name.as_str()))
            .map_err(|error| error.to_string())?;
        requests_per_second(&parts)?;
        worker_count(self.request.workers)?;
        let http_settings = http_settings(&parts)?;
        let http_options = HttpOptions::default().with(&http_settings).map_err(|error| error.to_string())?;
        http_options.validate().map_err(|error| error.to_string())?;
        self.outcome.metrics = metrics.clone();
        for part in &parts {
            let workload =
                part.options.resolve().map_err(|error| format!("scenario `{}`: {error}", part.name))?;
            self.outcome.workloads.insert(part.name.clone(), workload);
        }
        executor::check_alone(&self.outcome.workloads, self.request.shard)?;

        self.link.tell(&FromTest::State { phase: Phase::Setup });
        let env = parts.iter().flat_map(|part| part.options.env.clone()).collect();
        let shared = Rc::new(SetupShared {
            binaries: self.request.binaries.clone(),
            env,
            log_dir: PathBuf::from(&self.request.log_dir),
            services: self.services.clone(),
            http_options: SharedOptions::new(http_options),
            http_settings,
            seed: self.request.seed,
        });
        let data = self.set_up(runtime, &parts, &shared);
        self.outcome.setup_seconds = clock::now().saturating_duration_since(began).as_secs_f64();
        for info in self.services.infos() {
            self.link.tell(&FromTest::Service(info));
        }
        let Some(data) = data? else { return Ok(self.stopped_early()) };

        // From here on there is something to undo, whatever fails.
        let asked = match validated(&shared) {
            Ok(()) => self.ask_services(runtime, &parts, &shared),
            Err(why) => Err(why),
        };
        let end = match asked {
            Ok(Some(())) => self.load(&parts, &data, thresholds, metrics, &shared, go),
            Ok(None) => Ok(self.stopped_early()),
            Err(reason) => Err(reason),
        };
        self.link.tell(&FromTest::State { phase: Phase::Teardown });
        self.outcome.teardown_error = tear_down(runtime, &parts, &data).err();
        // Dropping the data may end services and close clients, which needs the runtime.
        let guard = runtime.enter();
        drop(data);
        drop(guard);
        end
    }

    /// How a test ended that was stopped before its load.
    fn stopped_early(&self) -> End {
        self.stop.cause().map_or(End::Interrupted, end_of)
    }

    fn parts(&self) -> Result<Vec<Part>, String> {
        let found = registry::find(&self.request.test);
        if found.is_empty() {
            return Err(format!("this binary has no load test `{}`", self.request.test));
        }
        let part = |registration: &&'static Registration| {
            let name = registration.scenario_name().to_owned();
            let options = match self.request.options.get(&name) {
                Some(options) => options.clone(),
                None => (registration.options)().map_err(|error| error.to_string())?,
            };
            Ok(Part { name, options, registration, scenario: Arc::from((registration.scenario)()) })
        };
        found.iter().map(part).collect()
    }

    /// Resets the target, asks whether it is there and runs `setup`. Returns the data of each scenario; `None` if
    /// the user interrupts it, which is no failure.
    fn set_up(
        &self,
        runtime: &tokio::runtime::Runtime,
        parts: &[Part],
        shared: &Rc<SetupShared>,
    ) -> Result<Option<Vec<Shared>>, String> {
        self.unless_stopped(runtime, async {
            reset(parts, shared).await?;
            preflight(parts, shared, |target| !target.starts_with('/')).await?;
            let setup = async { set_up_all(parts, shared).await.map_err(|why| format!("setup: {why}")) };
            limited("setup", setup).await
        })
    }

    /// Asks whether the services that `setup` started are there.
    fn ask_services(
        &self,
        runtime: &tokio::runtime::Runtime,
        parts: &[Part],
        shared: &SetupShared,
    ) -> Result<Option<()>, String> {
        self.unless_stopped(runtime, preflight(parts, shared, |target| target.starts_with('/')))
    }

    /// Runs a step before the load, unless something ends the test meanwhile.
    fn unless_stopped<T>(
        &self,
        runtime: &tokio::runtime::Runtime,
        step: impl Future<Output = Result<T, String>>,
    ) -> Result<Option<T>, String> {
        let local = tokio::task::LocalSet::new();
        let unless_stopped = async {
            tokio::select! {
                biased;
                _ = self.stop.stopped() => Ok(None),
                result = step => result.map(Some),
            }
        };
        caught("setup", || runtime.block_on(local.run_until(unless_stopped)))?
    }

    /// Makes the virtual users ready, waits for `go`, and runs the load.
    fn load(
        &mut self,
        parts: &[Part],
        data: &[Shared],
        thresholds: Vec<Threshold>,
        metrics: Vec<MetricDef>,
        shared: &SetupShared,
        go: &mpsc::Receiver<()>,
    ) -> Result<End, String> {
        let workers = worker_count(self.request.workers)?;
        let rps = requests_per_second(parts)?;
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
            http: Arc::clone(&shared.http_options.borrow()),
            rps,
            log: self.log(),
        };
        let load = match Load::prepare(plan, &self.stop) {
            Ok(load) => load,
            Err(Unready::Stopped(cause)) => return Ok(end_of(cause)),
            Err(Unready::VirtualUser(why)) => return Err(why),
            Err(Unready::System(error)) => return Err(format!("the load could not be started: {error}")),
        };
        // Nobody else sets them.
        let _ = self.controls.set(load.controls());
        self.link.tell(&FromTest::Ready);
        if go.recv().is_err() {
            load.dismiss();
            return Ok(self.stopped_early());
        }
        let died = Arc::new(Mutex::new(Vec::new()));
        let audience =
            Wire { link: self.link.clone(), services: self.services.clone(), died: Arc::clone(&died) };
        self.link.tell(&FromTest::State { phase: Phase::Running });
        let outcome = load
            .run(Box::new(audience))
            .map_err(|error| format!("the load could not be started: {error}"))?;
        self.outcome.workers = workers as u32;
        self.outcome.services_died =
            std::mem::take(&mut *died.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(self.take(outcome))
    }

    /// Where the lines go that virtual users say.
    fn log(&self) -> Log {
        let link = self.link.clone();
        Log::new(self.request.log_limit, move |lines| {
            link.tell(&FromTest::Log { text: lines.trim_end().to_owned() });
        })
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
        self.outcome.failed_by_test = outcome.failures;
        self.outcome.paused_seconds = outcome.held.as_secs_f64();
        self.outcome.scaled = outcome.scaled;
        self.outcome.capacities = outcome.capacities;
        outcome.stopped.map_or(End::Completed, end_of)
    }
}

/// How many worker threads: as many as asked for, else one for each core.
fn worker_count(asked: Option<u32>) -> Result<usize, String> {
    match asked {
        Some(workers) if !(1..=MAX_WORKERS).contains(&workers) => {
            Err(format!("{workers} worker threads can't be had: 1 to {MAX_WORKERS} can"))
        }
        Some(workers) => Ok(workers as usize),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}

/// The limit to HTTP requests that the scenarios agree on.
fn requests_per_second(parts: &[Part]) -> Result<Option<u32>, String> {
    context::agreed_rps(parts.iter().map(|part| (part.name.as_str(), part.options.rps)))
}

/// The HTTP settings that the scenarios agree on.
fn http_settings(parts: &[Part]) -> Result<HttpSettings, String> {
    let said: Vec<_> = parts.iter().map(|part| (part.name.as_str(), &part.options)).collect();
    HttpSettings::agreed(&said).map_err(|error| error.to_string())
}

/// Whether the HTTP options that `setup` may have set can be used.
fn validated(shared: &SetupShared) -> Result<(), String> {
    shared.http_options.borrow().validate().map_err(|error| format!("setup: {error}"))
}

/// How a test ends that something stopped.
fn end_of(cause: StopCause) -> End {
    match cause {
        StopCause::Interrupted => End::Interrupted,
        StopCause::Asked => End::Stopped,
        StopCause::Threshold(threshold) => {
            End::Aborted { reason: format!("the threshold `{threshold}` failed") }
        }
        StopCause::Test(reason) => End::Aborted { reason },
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_worker_for_each_core_unless_a_number_is_asked_for() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(worker_count(None), Ok(cores));
        assert_eq!((worker_count(Some(1)), worker_count(Some(MAX_WORKERS))), (Ok(1), Ok(1_024)));
        for wrong in [0, MAX_WORKERS + 1, u32::MAX] {
            let text = worker_count(Some(wrong)).expect_err("refused");
            assert!(text.contains(&wrong.to_string()) && text.contains("1 to 1024"), "{text}");
        }
    }
}
