//! The runs of one command: how each is kept, which of several is shown, and what they leave for later ones.
//!
//! The main functions are [`file`], [`shown`] and [`record`]. Of several runs of a test one is shown in detail, and its
//! thresholds decide: one that did not go as planned if there is one, else the one whose p95 is the median.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::Context;
use jiff::Timestamp;
use loadtest_core::metric::{Builtin, Unit};
use loadtest_core::results::{Fingerprint, Revision, RunDocument, SCHEMA_VERSION};
use loadtest_core::units::{format_millis, format_percent, format_rate};

use super::execute::Plan;
use super::reference::DuetBase;
use crate::compare::{self, Comparison, Mode, Side, TestComparison, Verdict};
use crate::data::{RunData, TestData, successes};
use crate::session::{self, Session, SessionSide};
use crate::store::{RunDir, Store};
use crate::verdict::{self, Facts, Policy};

/// What the documents of a command's runs have in common.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    /// When the command began, RFC 3339 in UTC.
    pub(super) started_at: String,
    /// The machine.
    pub(super) fingerprint: Fingerprint,
    /// Cargo profile of what was built.
    pub(super) profile: String,
    /// The command that repeats it.
    pub(super) repeat: String,
}

impl Setting {
    /// A run's document without judgement.
    pub(super) fn document(
        &self,
        id: &str,
        started: Timestamp,
        revision: Revision,
        tests: &[TestData],
    ) -> RunDocument {
        RunDocument {
            schema_version: SCHEMA_VERSION,
            id: id.to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: started.to_string(),
            revision,
            fingerprint: self.fingerprint.clone(),
            profile: self.profile.clone(),
            repeat: self.repeat.clone(),
            tests: tests.iter().map(|test| test.document.clone()).collect(),
            comparison: None,
            exit_code: 0,
        }
    }
}

/// Completes one of several runs, with the exit code that it would have had by itself.
///
/// # Errors
/// If it can't be written.
pub(super) fn file(
    setting: &Setting,
    directory: RunDir,
    started: Timestamp,
    revision: Revision,
    tests: Vec<TestData>,
) -> anyhow::Result<RunData> {
    let mut document = setting.document(directory.id(), started, revision, &tests);
    let alone = Facts {
        tests: tests.iter().map(super::facts_of).collect(),
        interrupted: false,
        comparison: None,
        baseline_missing: None,
        inconclusive: Policy::Tolerate,
    };
    document.exit_code = verdict::judge(&alone).code.number();
    directory.finish(&document, None)?;
    // What was measured is at hand; it need not be read again.
    Ok(RunData { document, tests, baseline_missing: None, missing_because: None })
}

/// Which of several runs of one test is shown: the place among them.
pub(super) fn shown(runs: &[&TestData]) -> usize {
    if let Some(place) = runs.iter().position(|test| is_off_plan(test)) {
        return place;
    }
    let p95 = |test: &TestData| {
        let latency = test.total(test.latency_metric(), successes);
        latency.quantile(0.95, Unit::Millis).unwrap_or(f64::INFINITY)
    };
    let any_sound = runs.iter().any(|test| test.document.invalid.is_empty());
    let mut order: Vec<(f64, usize)> = runs
        .iter()
        .enumerate()
        .filter(|(_, test)| !any_sound || test.document.invalid.is_empty())
        .map(|(place, test)| (p95(test), place))
        .collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    order.get(order.len().saturating_sub(1) / 2).map_or(0, |(_, place)| *place)
}

/// Whether a run did not go as planned; whether its numbers can be trusted is another question.
fn is_off_plan(test: &TestData) -> bool {
    let facts = verdict::TestFacts { invalid: &[], ..super::facts_of(test) };
    verdict::fit_for_baseline(&[facts]).is_err() || test.document.outcome.teardown_error.is_some()
}

/// One run of each test, taken from several and copied into a run directory of its own, so that what is shown can be
/// read again like any other run.
///
/// `in_pairs`: the tests that a duet judges by their pairs.
///
/// # Errors
/// If an interval log can't be copied.
pub(super) fn gather(
    runs: &[&RunData],
    ids: &[&str],
    store: &Store,
    into: &RunDir,
    in_pairs: &BTreeSet<&str>,
) -> anyhow::Result<Vec<TestData>> {
    let mut tests = Vec::new();
    for id in ids {
        let of: Vec<(&RunData, &TestData)> = runs
            .iter()
            .flat_map(|run| run.tests.iter().map(move |test| (*run, test)))
            .filter(|(_, test)| test.document.id == *id)
            .collect();
        let candidates: Vec<&TestData> = of.iter().map(|(_, test)| *test).collect();
        let Some((run, test)) = of.get(shown(&candidates)) else { continue };
        let from = store.path().join("runs").join(&run.document.id).join(&test.document.intervals);
        let to = into.path().join(&test.document.intervals);
        if from.exists() {
            fs::copy(&from, &to).with_context(|| format!("can't copy {}", from.display()))?;
        }
        let mut test = (*test).clone();
        if in_pairs.contains(id) {
            // Whether enough of its pairs can be trusted is the comparison's to say, not this one run's.
            let troubles = std::mem::take(&mut test.document.invalid);
            let told = troubles.into_iter().map(|why| format!("this run by itself can't be trusted: {why}"));
            test.document.outcome.warnings.extend(told);
        }
        if of.len() > 1 {
            test.document.outcome.warnings.push(format!(
                "one of {} runs is shown, {}: {}",
                of.len(),
                run.document.id,
                match is_off_plan(&test) {
                    false => "the one whose p95 is the median",
                    true => "the first that did not go as planned",
                }
            ));
        }
        tests.push(test);
    }
    Ok(tests)
}

/// One run of each test, taken from several, to be shown beside another run.
pub(super) fn one_of_each(runs: &[RunData], ids: &[&str]) -> Option<RunData> {
    let mut together = runs.first()?.clone();
    let one = |id: &&str| {
        let of: Vec<&TestData> =
            runs.iter().flat_map(|run| &run.tests).filter(|test| test.document.id == **id).collect();
        of.get(shown(&of)).map(|test| (*test).clone())
    };
    together.tests = ids.iter().filter_map(one).collect();
    together.document.tests = together.tests.iter().map(|test| test.document.clone()).collect();
    Some(together)
}

/// What the document of a comparison says of the runs of one revision.
pub(super) fn side(runs: &[&RunData]) -> Side {
    let first = runs.first().map(|run| &run.document);
    Side {
        runs: runs.iter().map(|run| run.document.id.clone()).collect(),
        sessions: 1,
        commit: first.and_then(|run| run.revision.commit.clone()),
        dirty: first.is_some_and(|run| run.revision.dirty),
        started_at: first.map(|run| run.started_at.clone()).unwrap_or_default(),
        ..Side::default()
    }
}

/// A run in a line: `pair 2 of 6, base: p95 12.3ms, 101/s, 0.00% errors`.
pub(super) fn line(run: &RunData, id: &str, what: &str) -> String {
    let Some(test) = run.tests.iter().find(|test| test.document.id == id) else {
        return format!("{id}: {what}");
    };
    let latency = test.total(test.latency_metric(), successes);
    let p95 = latency
        .quantile(0.95, Unit::Millis)
        .map_or_else(|| "no success".to_owned(), |p95| format!("p95 {}", format_millis(p95)));
    let failed = test.total(Builtin::HttpReqFailed.name(), |_| true);
    let errors = match failed.count {
        0 => String::new(),
        all => format!(", {} failed", format_percent(failed.sum / all as f64)),
    };
    let seconds = test.document.outcome.load_seconds.max(0.001);
    format!("{id}: {what}: {p95}, {}{errors}", format_rate(latency.count as f64 / seconds))
}

/// Adds a test that could not be run on both sides.
pub(super) fn not_compared(comparison: &mut Comparison, plan: &Plan<'_>, why: &str) {
    let first = plan.test.definitions.first();
    comparison.tests.push(TestComparison {
        id: plan.test.id.clone(),
        file: first.map(|first| first.file.clone()).unwrap_or_default(),
        line: first.map_or(0, |first| first.line),
        verdict: Verdict::NotComparable,
        rule: compare::duet_rule(),
        runs: 0,
        reasons: vec![why.to_owned()],
        metrics: Vec::new(),
        shift: Vec::new(),
        distance: None,
    });
    let most_severe =
        comparison.tests.iter().map(|test| test.verdict).max_by_key(|verdict| verdict.severity());
    comparison.verdict = most_severe.unwrap_or(Verdict::NotComparable);
}

/// The comparison of a duet in which no test could be run on both sides.
pub(super) fn none_compared(
    base: &DuetBase,
    head: &RunData,
    plans: &[Plan<'_>],
    unfit: &BTreeMap<String, String>,
) -> Comparison {
    let mut comparison = Comparison {
        schema_version: compare::SCHEMA_VERSION,
        mode: Mode::Duet,
        why: base.why.clone(),
        base: Side {
            name: Some(base.name.clone()),
            found: Some(base.revision.how.clone()).filter(|how| *how != base.name),
            commit: Some(base.revision.commit.clone()),
            started_at: base.revision.committed_at.clone(),
            ..Side::default()
        },
        head: Side {
            runs: vec![head.document.id.clone()],
            commit: head.document.revision.commit.clone(),
            dirty: head.document.revision.dirty,
            started_at: head.document.started_at.clone(),
            ..Side::default()
        },
        rule: compare::duet_rule(),
        order: Vec::new(),
        seed: None,
        repeat: String::new(),
        closer: None,
        warnings: Vec::new(),
        tests: Vec::new(),
        verdict: Verdict::NotComparable,
    };
    for plan in plans {
        if let Some(why) = unfit.get(&plan.test.id) {
            not_compared(&mut comparison, plan, why);
        }
    }
    comparison
}

/// What the runs leave for later sessions.
pub(super) fn record(
    setting: &Setting,
    base: Option<&[RunData]>,
    head: &[RunData],
    saved_as: Option<&str>,
) -> Option<Session> {
    let first = head.first()?;
    let side = |runs: &[RunData]| {
        Some(SessionSide {
            revision: runs.first()?.document.revision.clone(),
            runs: runs.iter().map(|run| run.document.id.clone()).collect(),
        })
    };
    let base_runs: Vec<&RunData> = base.unwrap_or_default().iter().collect();
    Some(Session {
        schema_version: session::SCHEMA_VERSION,
        id: first.document.id.clone(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: setting.started_at.clone(),
        fingerprint: setting.fingerprint.clone(),
        profile: setting.profile.clone(),
        saved_as: saved_as.map(str::to_owned),
        base: base.and_then(side),
        head: side(head)?,
        tests: compare::records(&base_runs, &head.iter().collect::<Vec<_>>()),
    })
}
