//! The tests of this tree run one after the other, once or several times.
//!
//! The main function is [`run`]. A single run is kept where it is shown; of several each is kept for itself, and what
//! is shown is gathered from them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use loadtest_core::options::compare::{CompareSettings, Runs};
use loadtest_core::results::Revision;

use super::execute::{self, Binaries, Common, Plan, Show, Site};
use super::facts_of;
use super::reference::Reference;
use super::session::{self, Setting};
use crate::compare::SideName;
use crate::data::{RunData, TestData};
use crate::discover::Workspace;
use crate::failure::Failure;
use crate::store::{RunDir, Store};
use crate::verdict::{self, ExitCode};

/// What is run, and how often.
pub(super) struct Repetitions<'a> {
    pub(super) plans: &'a [Plan<'a>],
    pub(super) runs: u32,
    pub(super) workspace: &'a Workspace,
    pub(super) binaries: &'a Binaries,
    pub(super) store: &'a Store,
    pub(super) revision: &'a Revision,
    pub(super) common: &'a Common<'a>,
    pub(super) setting: &'a Setting,
    pub(super) started: Timestamp,
    pub(super) seed: u64,
}

/// What came of it.
pub(super) struct Measured {
    /// What is shown, without judgement.
    pub(super) shown: RunData,
    /// Where that is kept, not yet complete.
    pub(super) directory: RunDir,
    /// Every run, if there are several.
    pub(super) runs: Vec<RunData>,
    /// Whether a signal came, be it after the last test.
    pub(super) interrupted: bool,
}

/// How many runs of each test: the most that any of them asks for. In a duet `runs` means pairs.
pub(super) fn wanted(settings: &BTreeMap<String, CompareSettings>, reference: &Reference) -> u32 {
    let of = |settings: &CompareSettings| match settings.runs {
        Some(Runs::Exactly(runs)) => runs,
        _ => 1,
    };
    match reference {
        Reference::Duet(_) => 1,
        _ => settings.values().map(of).max().unwrap_or(1).max(1),
    }
}

/// Runs the tests in order, until a signal comes, or with `--fail-fast` until one fails.
///
/// # Errors
/// If the store can't be written.
pub(super) fn run(what: &Repetitions<'_>) -> Result<Measured, Failure> {
    let commit = what.revision.commit.as_deref();
    let mut runs: Vec<RunData> = Vec::new();
    let mut interrupted = false;
    while what.runs > 1 && (runs.len() as u32) < what.runs && !interrupted {
        let number = runs.len() as u32 + 1;
        if !what.common.args.target.quiet {
            eprintln!("Run {number} of {}", what.runs);
        }
        let directory = what.store.begin(commit)?;
        let started = Timestamp::now();
        let (tests, stopped) = once(what, &directory, what.seed.wrapping_add(u64::from(number - 1)));
        interrupted = stopped;
        let failed = tests.iter().any(|test| verdict::judge_test(&facts_of(test)).code != ExitCode::Passed);
        runs.push(session::file(what.setting, directory, started, what.revision.clone(), tests)?);
        if failed && what.common.args.fail_fast {
            // What failed is what is told, and not the median of what went before it.
            runs.drain(..runs.len() - 1);
            break;
        }
    }
    let directory = what.store.begin(commit)?;
    let tests = if what.runs > 1 {
        let ids: Vec<&str> = what.plans.iter().map(|plan| plan.test.id.as_str()).collect();
        session::gather(&runs.iter().collect::<Vec<_>>(), &ids, what.store, &directory, &BTreeSet::new())?
    } else {
        let (tests, stopped) = once(what, &directory, what.seed);
        interrupted = stopped;
        tests
    };
    let document = what.setting.document(directory.id(), what.started, what.revision.clone(), &tests);
    Ok(Measured {
        shown: RunData { document, tests, baseline_missing: None, missing_because: None },
        directory,
        runs,
        interrupted,
    })
}

/// Every test once, and whether a signal came.
fn once(what: &Repetitions<'_>, directory: &RunDir, seed: u64) -> (Vec<TestData>, bool) {
    let run = |plan: &Plan<'_>| {
        let site = Site {
            side: SideName::Head,
            tree: what.workspace.root(),
            binaries: what.binaries,
            driver: None,
            intervals: directory.intervals_file(&plan.test.id),
            seed,
            show: Show::All,
        };
        execute::one(plan, &site, what.common).data
    };
    in_order(what.plans, what.common.args.fail_fast, run, || what.common.signals.interrupted())
}

fn in_order<P>(
    plans: &[P],
    fail_fast: bool,
    run: impl Fn(&P) -> TestData,
    interrupted: impl Fn() -> bool,
) -> (Vec<TestData>, bool) {
    let mut tests: Vec<TestData> = Vec::new();
    for plan in plans {
        if interrupted() {
            eprintln!("interrupted: {} more not run", plans.len() - tests.len());
            break;
        }
        let test = run(plan);
        let code = verdict::judge_test(&facts_of(&test)).code;
        tests.push(test);
        if fail_fast && code != ExitCode::Passed && tests.len() < plans.len() {
            let left = plans.len() - tests.len();
            let failed = tests.last().map_or("", |test| &test.document.id);
            eprintln!("{failed} failed: {left} more not run (--fail-fast)");
            break;
        }
    }
    // Asked last, because a signal may come while the last test winds down.
    (tests, interrupted())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use loadtest_core::results::{End, TestDocument, TestOutcome};

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
    fn a_signal_counts_whenever_it_comes() {
        let signal = Cell::new(false);
        let run = |raise: &bool| {
            signal.set(*raise);
            ended(End::Completed)
        };
        let (quiet, interrupted) = in_order(&[false, false], false, run, || signal.get());
        assert!(!interrupted && quiet.len() == 2);
        // While the last one winds down, and in one after which others are not run anyway.
        let (last, interrupted) = in_order(&[false, true], false, run, || signal.get());
        assert!(interrupted && last.len() == 2);
        signal.set(false);
        let (failed, interrupted) = in_order(&[true, false], true, run, || signal.get());
        assert!(interrupted && failed.len() == 1);
        signal.set(false);
        let (first, interrupted) = in_order(&[true, false], false, run, || signal.get());
        assert!(interrupted && first.len() == 1);
    }

    #[test]
    fn as_many_runs_are_made_as_the_most_demanding_test_asks_for() {
        let settings = |runs| CompareSettings { runs, ..CompareSettings::default() };
        let of = |all: &[Option<Runs>]| {
            let all = all.iter().enumerate().map(|(n, runs)| (n.to_string(), settings(*runs))).collect();
            wanted(&all, &Reference::NotAsked)
        };
        assert_eq!((of(&[]), of(&[None, Some(Runs::Auto)])), (1, 1));
        assert_eq!(of(&[Some(Runs::Exactly(3)), Some(Runs::Exactly(5))]), 5);
    }
}
