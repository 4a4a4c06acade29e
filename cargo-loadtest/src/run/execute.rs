//! Running the chosen tests, one after the other.
//!
//! The main types are [`Plan`], a test with what all places make of it, and [`Executed`]. A test that
//! can't be launched is a result like others: what ran before it is never lost.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use loadtest_core::Error;
use loadtest_core::options::Workload;
use loadtest_core::plan::Shard;
use loadtest_core::results::{Definition, End, Interval, TestOutcome};
use loadtest_core::wire::{self, Mode, Request};

use super::document::{self, ScenarioLoad};
use super::output::{Destination, Directed};
use crate::cli::{Args, Format};
use crate::config::Tiers;
use crate::control::Server;
use crate::data::TestData;
use crate::discover::LoadTest;
use crate::launch::{self, LaunchSpec, Launched, Signals};
use crate::live;
use crate::store::RunDir;
use crate::verdict::{self, ExitCode};

/// Lines per second that are shown of what virtual users print, unless somebody says otherwise.
const LOG_LIMIT: u32 = 10;

/// A test and its load.
#[derive(Debug)]
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

/// What ran.
#[derive(Debug)]
pub(super) struct Executed {
    /// The tests that ran, in order.
    pub(super) tests: Vec<TestData>,
    /// Whether a signal came, be it after the last test.
    pub(super) interrupted: bool,
}

/// What the tests of a run have in common.
#[derive(Debug)]
pub(super) struct Common<'a> {
    /// Executables of services, by package and name.
    pub(super) services: &'a BTreeMap<(String, String), PathBuf>,
    /// Where the run is stored.
    pub(super) directory: &'a RunDir,
    /// Makes random numbers repeatable.
    pub(super) seed: u64,
    /// The command line.
    pub(super) args: &'a Args,
    /// What others may control it by.
    pub(super) control: Option<&'a Server>,
    /// What came from the terminal.
    pub(super) signals: &'a Signals,
}

/// Runs the tests in order, until a signal comes, or with `--fail-fast` until one fails.
pub(super) fn all(plans: &[Plan<'_>], common: &Common<'_>) -> Executed {
    let run = |plan: &Plan<'_>| one(plan, common);
    in_order(plans, common.args.fail_fast, run, || common.signals.interrupted())
}

fn in_order<P>(
    plans: &[P],
    fail_fast: bool,
    run: impl Fn(&P) -> TestData,
    interrupted: impl Fn() -> bool,
) -> Executed {
    let mut tests: Vec<TestData> = Vec::new();
    for plan in plans {
        if interrupted() {
            eprintln!("interrupted: {} more not run", plans.len() - tests.len());
            break;
        }
        let test = run(plan);
        let code = verdict::judge_test(&super::facts_of(&test)).code;
        tests.push(test);
        if fail_fast && code != ExitCode::Passed && tests.len() < plans.len() {
            let left = plans.len() - tests.len();
            let failed = tests.last().map_or("", |test| &test.document.id);
            eprintln!("{failed} failed: {left} more not run (--fail-fast)");
            break;
        }
    }
    // Asked last, because a signal may come while the last test winds down.
    Executed { interrupted: interrupted(), tests }
}

fn one(plan: &Plan<'_>, common: &Common<'_>) -> TestData {
    let Common { directory, args, seed, .. } = *common;
    let test = plan.test;
    let file = directory.intervals_file(&test.id);
    let progress = if args.target.quiet { live::Progress::None } else { args.progress.into() };
    let destination = match (args.target.quiet, args.format) {
        (true, _) => Destination::Nowhere,
        (false, Format::Json) => Destination::Err,
        (false, Format::Text) => Destination::AsPrinted,
    };
    let mut view = Directed::new(live::view(progress), destination);
    let launched = match launch(plan, common, &file, &mut view) {
        Ok(launched) => launched,
        Err(_) if common.signals.interrupted() => not_launched(plan, End::Interrupted),
        Err(error) => not_launched(plan, failed_launch(&error, &view.intervals)),
    };
    let intervals = view.intervals;
    let name = file.strip_prefix(directory.path()).unwrap_or(&file).to_string_lossy().into_owned();
    document::test_data(plan, launched, intervals, name, seed)
}

fn launch(
    plan: &Plan<'_>,
    common: &Common<'_>,
    file: &std::path::Path,
    view: &mut Directed,
) -> anyhow::Result<Launched> {
    let Common { services, directory, seed, .. } = *common;
    let test = plan.test;
    let logs = file.with_extension("").with_extension("logs");
    std::fs::create_dir_all(&logs)
        .with_context(|| format!("can't make {} in {}", logs.display(), directory.path().display()))?;
    let names = test.definitions.iter().flat_map(|definition| &definition.binaries);
    let binaries = names.filter_map(|name| {
        let path = services.get(&(test.binary.package.clone(), name.clone()))?;
        Some((name.clone(), path.to_string_lossy().into_owned()))
    });
    let request = Request {
        // The handshake decides.
        version: wire::VERSIONS[wire::VERSIONS.len() - 1],
        mode: Mode::Run,
        test: test.name.clone(),
        options: plan.definitions.iter().map(|d| (d.scenario.clone(), d.options.clone())).collect(),
        seed,
        shard: Shard::default(),
        binaries: binaries.collect(),
        log_dir: logs.to_string_lossy().into_owned(),
        log_limit: log_limit(common.args.log_limit, &plan.definitions),
        workers: common.args.workers,
    };
    let spec = LaunchSpec {
        binary: &test.binary,
        request,
        id: &test.id,
        definitions: &plan.definitions,
        intervals: file.to_owned(),
        control: common.control,
    };
    let launched = launch::run(spec, view, common.signals);
    // Nothing was written to it if there is no service.
    let _ = std::fs::remove_dir(&logs);
    launched
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
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use loadtest_core::results::TestDocument;

    use super::super::tests_list::tests::load_test;
    use super::*;

    fn ended(end: End) -> TestData {
        let document = TestDocument {
            id: "p/lib/t".to_owned(),
            definitions: Vec::new(),
            outcome: TestOutcome::new(end),
            services: Vec::new(),
            started_at: None,
            seed: 1,
            workload_hash: String::new(),
            intervals: String::new(),
            invalid: Vec::new(),
            summary: Vec::new(),
        };
        TestData::new(document, Vec::new())
    }

    #[test]
    fn requests_that_are_to_be_shown_are_all_shown_unless_a_limit_is_given() {
        let quiet = load_test("tests::buy").definitions;
        let mut debugs = quiet.clone();
        debugs[0].options.http.http_debug = Some("full".parse().expect("valid"));
        assert_eq!((log_limit(None, &quiet), log_limit(Some(3), &quiet)), (LOG_LIMIT, 3));
        assert_eq!((log_limit(None, &debugs), log_limit(Some(3), &debugs)), (0, 3));
    }

    #[test]
    fn a_signal_counts_whenever_it_comes() {
        let signal = Cell::new(false);
        let run = |raise: &bool| {
            signal.set(*raise);
            ended(End::Completed)
        };
        let quiet = in_order(&[false, false], false, run, || signal.get());
        assert!(!quiet.interrupted && quiet.tests.len() == 2);
        // While the last one winds down, and in one after which others are not run anyway.
        let last = in_order(&[false, true], false, run, || signal.get());
        assert!(last.interrupted && last.tests.len() == 2);
        signal.set(false);
        let failed = in_order(&[true, false], true, run, || signal.get());
        assert!(failed.interrupted && failed.tests.len() == 1);
        signal.set(false);
        let first = in_order(&[true, false], false, run, || signal.get());
        assert!(first.interrupted && first.tests.len() == 1);
    }
}
