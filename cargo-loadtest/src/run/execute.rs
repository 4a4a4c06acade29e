//! Running a test: once for all who want it run, be it a single run or one side of a pair.
//!
//! The main types are [`Plan`], a test with what all places make of it, [`Site`], where it is run, and [`Ran`]. A test
//! that can't be launched is a result like others: what ran before it is never lost.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use loadtest_core::Error;
use loadtest_core::options::compare::CompareSettings;
use loadtest_core::options::{Options, Workload};
use loadtest_core::plan::Shard;
use loadtest_core::results::{Definition, End, Interval, TestOutcome};
use loadtest_core::wire::{self, Mode, Request};

use super::document::{self, ScenarioLoad};
use super::output::{Destination, Directed};
use crate::cli::{self, Args, Format};
use crate::compare::SideName;
use crate::config::{ServiceSection, Tiers};
use crate::control::Server;
use crate::data::TestData;
use crate::discover::LoadTest;
use crate::launch::{self, LaunchSpec, Launched, RunningExecutable, Signals, TestBinary};
use crate::live;
use crate::machine::{self, CoreSplit};
use crate::service::{RunningService, ServicePlace};

/// Lines per second that are shown of what virtual users print, unless somebody says otherwise.
const LOG_LIMIT: u32 = 10;

/// A test and its load.
#[derive(Debug, Clone)]
pub(super) struct Plan<'a> {
    /// The test.
    pub(super) test: &'a LoadTest,
    /// Its scenarios with the options that all places together give, and what they mean.
    pub(super) definitions: Vec<Definition>,
}

impl<'a> Plan<'a> {
    /// Lays configuration, environment and command line over the attributes.
    ///
    /// # Errors
    /// If they contradict each other, with the test's name.
    pub(super) fn new(test: &'a LoadTest, tiers: &Tiers) -> Result<Self, Error> {
        Ok(Plan { test, definitions: tiers.definitions(test)? })
    }

    /// The same test with another length of its load.
    ///
    /// # Errors
    /// If its load is not one of a time, or what comes out is none.
    pub(super) fn shortened(&self, to: Duration) -> Result<Self, Error> {
        let options: BTreeMap<String, Options> =
            self.definitions.iter().map(|d| (d.scenario.clone(), d.options.clone())).collect();
        let mut options = loadtest_core::options::compare::shorten(&options, to)?;
        let mut definitions = self.definitions.clone();
        for definition in &mut definitions {
            if let Some(shorter) = options.remove(&definition.scenario) {
                definition.workload = shorter.resolve()?;
                definition.options = shorter;
            }
        }
        Ok(Plan { test: self.test, definitions })
    }

    /// Whether its load ends by the clock.
    pub(super) fn is_timed(&self) -> bool {
        self.definitions.iter().all(|definition| definition.workload.shape.is_timed())
    }

    /// How long its load takes, if it ends by the clock; the most that it may take otherwise.
    pub(super) fn seconds(&self) -> f64 {
        let spans = self.definitions.iter().map(|definition| definition.workload.regular_end().as_secs_f64());
        spans.fold(0.0, f64::max)
    }

    /// The definitions without values that must not be stored.
    pub(super) fn stored_definitions(&self) -> Vec<Definition> {
        let stored = |definition: &Definition| {
            let mut definition = definition.clone();
            definition.options = definition.options.without_env_values();
            definition
        };
        self.definitions.iter().map(stored).collect()
    }

    fn workloads(&self) -> BTreeMap<String, Workload> {
        let scenario = |definition: &Definition| (definition.scenario.clone(), definition.workload.clone());
        self.definitions.iter().map(scenario).collect()
    }

    /// What shapes the load of each scenario.
    pub(super) fn loads(&self) -> BTreeMap<String, ScenarioLoad> {
        let load = |definition: &Definition| {
            let load = ScenarioLoad::of(definition.workload.clone(), &definition.options);
            (definition.scenario.clone(), load)
        };
        self.definitions.iter().map(load).collect()
    }
}

/// What the runs of a command have in common.
#[derive(Debug)]
pub(super) struct Common<'a> {
    /// The command line.
    pub(super) args: &'a Args,
    /// How a target is started that the tests do not start.
    pub(super) service: Option<&'a ServiceSection>,
    /// The cores of generator and service, if they are to have their own.
    pub(super) cores: Option<&'a CoreSplit>,
    /// What others may control it by.
    pub(super) control: Option<&'a Server>,
    /// What came from the terminal.
    pub(super) signals: &'a Signals,
}

/// Executables of services, by the tests' package and by name.
pub(super) type Binaries = BTreeMap<(String, String), PathBuf>;

/// Where a test is run.
#[derive(Debug, Clone)]
pub(super) struct Site<'a> {
    /// The side that is measured.
    pub(super) side: SideName,
    /// The workspace whose code is measured.
    pub(super) tree: &'a Path,
    /// The executables of its services.
    pub(super) binaries: &'a Binaries,
    /// The test binary, if not the plan's own: services in the test process are code of their own tree.
    pub(super) driver: Option<&'a TestBinary>,
    /// Where the intervals go. Logs lie beside it.
    pub(super) intervals: PathBuf,
    /// Makes random numbers repeatable.
    pub(super) seed: u64,
    /// What is shown while it runs.
    pub(super) show: Show,
}

/// What is shown while a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// All that the user wants to see.
    All,
    /// Bars on a terminal, else nothing: who makes many runs says a line about each.
    Bars,
}

/// A run of one test.
#[derive(Debug)]
pub(super) struct Ran {
    /// What was measured.
    pub(super) data: TestData,
    /// The services' executables that really ran.
    pub(super) executables: Vec<RunningExecutable>,
    /// What the machine did to it.
    pub(super) disturbed: Option<String>,
    /// Why the service of `[service]` may still be there; what follows may meet it.
    pub(super) unstopped: Option<String>,
}

/// Runs a test.
pub(super) fn one(plan: &Plan<'_>, site: &Site<'_>, common: &Common<'_>) -> Ran {
    let args = common.args;
    let progress = match (args.target.quiet, site.show, args.progress) {
        (true, ..) => live::Progress::None,
        (false, Show::Bars, cli::Progress::Lines | cli::Progress::None) => live::Progress::None,
        (false, Show::Bars, cli::Progress::Auto) if !std::io::stderr().is_terminal() => live::Progress::None,
        _ => args.progress.into(),
    };
    let destination = match (args.target.quiet, site.show, args.format) {
        (true, ..) | (false, Show::Bars, _) => Destination::Nowhere,
        (false, Show::All, Format::Json) => Destination::Err,
        (false, Show::All, Format::Text) => Destination::AsPrinted,
    };
    let mut view = Directed::new(live::view(progress), destination);
    let watch = machine::Watch::start();
    let began = Instant::now();
    let mut unstopped = None;
    let launched = match launch(plan, site, common, &mut view, &mut unstopped) {
        Ok(launched) => launched,
        Err(_) if common.signals.interrupted() => not_launched(plan, End::Interrupted),
        Err(error) => not_launched(plan, failed_launch(&error, &view.intervals)),
    };
    let disturbed = watch.stop().reason(began.elapsed().as_secs_f64());
    let executables = launched.executables.clone();
    let name = site.intervals.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let data = document::test_data(plan, launched, view.intervals, name, site.seed);
    Ran { data, executables, disturbed, unstopped }
}

fn launch(
    plan: &Plan<'_>,
    site: &Site<'_>,
    common: &Common<'_>,
    view: &mut Directed,
    unstopped: &mut Option<String>,
) -> anyhow::Result<Launched> {
    let test = plan.test;
    let file = &site.intervals;
    let logs = file.with_extension("").with_extension("logs");
    std::fs::create_dir_all(&logs).with_context(|| format!("can't make {}", logs.display()))?;
    let side: (OsString, OsString) = ("LOADTEST_SIDE".into(), site.side.as_str().into());
    let started = match common.service {
        Some(section) => {
            let place = ServicePlace {
                side: site.side.as_str(),
                tree: site.tree,
                env: Vec::new(),
                log: logs.join("service.log"),
                cores: common.cores.map(|cores| cores.service.as_slice()),
            };
            Some(RunningService::start(section, &place, || common.signals.interrupted())?)
        }
        None => None,
    };
    let names = test.definitions.iter().flat_map(|definition| &definition.binaries);
    let binaries = names.filter_map(|name| {
        let path = site.binaries.get(&(test.binary.package.clone(), name.clone()))?;
        Some((name.clone(), path.to_string_lossy().into_owned()))
    });
    let request = Request {
        // The handshake decides.
        version: wire::VERSIONS[wire::VERSIONS.len() - 1],
        mode: Mode::Run,
        test: test.name.clone(),
        options: plan.definitions.iter().map(|d| (d.scenario.clone(), for_the_test(&d.options))).collect(),
        seed: site.seed,
        shard: Shard::default(),
        binaries: binaries.collect(),
        log_dir: logs.to_string_lossy().into_owned(),
        log_limit: log_limit(common.args.log_limit, &plan.definitions),
        workers: common.args.workers,
    };
    let spec = LaunchSpec {
        binary: site.driver.unwrap_or(&test.binary),
        request,
        id: &test.id,
        definitions: &plan.definitions,
        intervals: file.clone(),
        control: common.control,
        pin: common.cores.cloned(),
        env: vec![side],
    };
    let launched = launch::run(spec, view, common.signals);
    let died = started.as_ref().and_then(RunningService::has_died);
    *unstopped = started.map_or(Ok(()), RunningService::stop).err().map(|error| format!("{error:#}"));
    // Nothing was written to it if there is no service.
    let _ = std::fs::remove_dir(&logs);
    let mut launched = launched?;
    launched.outcome.services_died.extend(died);
    if let Some(pinned) = &launched.pinned {
        launched.outcome.warnings.push(pinned.note());
    }
    if let Some(error) = unstopped {
        launched.outcome.warnings.push(format!("the service could not be stopped: {error}"));
    }
    Ok(launched)
}

/// What a test process needs to know: how it is compared is none of its business, and an older one would refuse it.
fn for_the_test(options: &Options) -> Options {
    Options { compare: CompareSettings::default(), ..options.clone() }
}

/// Lines per second that are shown, 0 for all. Who wants to see the requests is not shown a part of them, unless
/// that is asked for too.
fn log_limit(given: Option<u32>, definitions: &[Definition]) -> u32 {
    let debugs = definitions.iter().any(|definition| definition.options.http.http_debug.is_some());
    given.unwrap_or(if debugs { 0 } else { LOG_LIMIT })
}

/// An error of the launch before any load is one of the setup; afterwards the measurement was lost.
fn failed_launch(error: &anyhow::Error, intervals: &[Interval]) -> End {
    let reason = format!("{error:#}");
    if intervals.is_empty() { End::SetupFailed { reason } } else { End::Crashed { reason } }
}

/// The outcome of a test that could not be launched.
fn not_launched(plan: &Plan<'_>, end: End) -> Launched {
    Launched {
        outcome: TestOutcome { workloads: plan.workloads(), ..TestOutcome::new(end) },
        services: Vec::new(),
        started_at: None,
        executables: Vec::new(),
        pinned: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_list::tests::load_test;
    use super::*;

    #[test]
    fn requests_that_are_to_be_shown_are_all_shown_unless_a_limit_is_given() {
        let quiet = load_test("tests::buy").definitions;
        let mut debugs = quiet.clone();
        debugs[0].options.http.http_debug = Some("full".parse().expect("valid"));
        assert_eq!((log_limit(None, &quiet), log_limit(Some(3), &quiet)), (LOG_LIMIT, 3));
        assert_eq!((log_limit(None, &debugs), log_limit(Some(3), &debugs)), (0, 3));
    }
}
