//! What a session keeps of its runs, and which earlier sessions are comparable with fresh runs.
//!
//! The main functions are [`records`] and [`comparable_sessions`]. Refuses to do: judging.

use std::collections::{BTreeMap, BTreeSet};

use loadtest_core::options::Shape;

use super::evidence::{Catalogue, Setting, What};
use super::extract::Measured;
use super::guards::{self, Run};
use super::segments::{self, Segments};
use super::wording::Voice;
use super::{Mode, capacity};
use crate::data::{RunData, TestData};
use crate::session::{RunValue, RunValues, Session, TestRecord, is_same_class};
use crate::stats::pairs::FEWEST_PAIRS;
use crate::stats::{JudgeRule, Role};

/// The ids of the tests in these runs, in the order in which they come.
pub(super) fn ids(runs: &[&RunData]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let all = runs.iter().flat_map(|run| &run.tests).map(|test| test.document.id.clone());
    all.filter(|id| seen.insert(id.clone())).collect()
}

/// A test's part of a run, if it has one.
pub(super) fn find<'a>(run: &'a RunData, id: &str) -> Option<Run<'a>> {
    let test = run.tests.iter().find(|test| test.document.id == id)?;
    Some(Run { run, test })
}

/// The runs of a test in a duet, by pair. Where neither side has the test, the pair is that of another test.
pub(super) fn paired<'a>(
    base: &[&'a RunData],
    head: &[&'a RunData],
    id: &str,
) -> Vec<(Option<Run<'a>>, Option<Run<'a>>)> {
    let at = |runs: &[&'a RunData], place: usize| runs.get(place).and_then(|run| find(run, id));
    let all = (0..base.len().max(head.len())).map(|place| (at(base, place), at(head, place)));
    all.filter(|(base, head)| base.is_some() || head.is_some()).collect()
}

/// What a session with these runs keeps: the value of every metric of every test in every run. With both sides,
/// runs with the same index are a pair, and pairs of which a run can't be trusted keep no value.
pub fn records(base: &[&RunData], head: &[&RunData]) -> Vec<TestRecord> {
    ids(head).into_iter().filter_map(|id| record(base, head, id)).collect()
}

fn record(base: &[&RunData], head: &[&RunData], id: String) -> Option<TestRecord> {
    let is_duet = !base.is_empty();
    let pairs = paired(base, head, &id);
    let runs: Vec<Run<'_>> = pairs.iter().flat_map(|(base, head)| [*base, *head]).flatten().collect();
    let first = pairs.iter().find_map(|(_, head)| *head)?.test;
    let body = |definition: &loadtest_core::results::Definition| {
        (definition.scenario.clone(), definition.body_hash.clone())
    };
    let mut record = TestRecord {
        id,
        workload_hash: first.document.workload_hash.clone(),
        workers: first.document.outcome.workers,
        body_hashes: first.document.definitions.iter().map(body).collect(),
        invalid: runs.iter().filter_map(|run| guards::cut_short(run.test)).collect(),
        base: Vec::new(),
        head: Vec::new(),
    };
    record.invalid.extend(runs.iter().filter_map(|run| guards::tampered(run.test)));
    if runs.iter().any(|run| run.test.document.workload_hash != record.workload_hash) {
        record.invalid.push("its runs did not all have the same load".to_owned());
    }

    let workloads = &first.document.outcome.workloads;
    let is_search = workloads.values().any(|workload| matches!(workload.shape, Shape::FindCapacity { .. }));
    let shortest = runs.iter().map(|run| segments::whole_seconds(run.test)).fold(f64::INFINITY, f64::min);
    let segments = Segments::of(workloads, if shortest.is_finite() { shortest } else { 0.0 });
    let mut troubles = Vec::new();
    let mut measured = Vec::new();
    for (base, head) in &pairs {
        let sides = [*base, *head].map(|run| run.map(|run| (run.test, segments.windows(run.test))));
        let found: Vec<String> = sides
            .iter()
            .flatten()
            .flat_map(|(test, windows)| {
                let windows: &[_] = if is_search { &[] } else { windows };
                match is_duet {
                    true => guards::troubles_of_generator(test, windows),
                    false => guards::troubles(test, windows),
                }
            })
            .collect();
        let sound = found.is_empty() || !is_duet;
        troubles.extend(found);
        measured.push(
            sides.map(|side| {
                side.filter(|_| sound).map(|(test, windows)| (test, Measured::of(test, windows)))
            }),
        );
    }
    let whole = measured.iter().filter(|pair| pair.iter().all(Option::is_some)).count();
    if !is_duet || whole < FEWEST_PAIRS {
        record.invalid.append(&mut troubles);
    }
    record.invalid.dedup();

    let side = |place: usize| -> Vec<&Measured> {
        measured.iter().filter_map(|pair| pair[place].as_ref().map(|(_, measured)| measured)).collect()
    };
    let setting = Setting {
        basis: segments.basis,
        closed: !workloads.values().all(|workload| workload.shape.is_open()),
        open: workloads.values().any(|workload| workload.shape.is_open()),
        latency_withheld: None,
        rule: JudgeRule::DUET,
        gate: &[],
    };
    let catalogue = Catalogue::of(&side(0), &side(1), &setting, &Voice::new(Mode::Duet, ""));
    let values = |run: &Option<(&TestData, Measured)>| match run {
        None => RunValues::new(),
        Some((test, _)) if is_search => capacity::values(test),
        Some((_, measured)) => values(&catalogue, measured),
    };
    record.base = measured.iter().filter(|_| is_duet).map(|pair| values(&pair[0])).collect();
    record.head =
        measured.iter().filter(|pair| is_duet || pair[1].is_some()).map(|pair| values(&pair[1])).collect();
    Some(record)
}

fn values(catalogue: &Catalogue, run: &Measured) -> RunValues {
    let mut values = BTreeMap::new();
    for spec in &catalogue.specs {
        let value = spec.value(run);
        if value.is_none() && spec.only_if_changed {
            continue;
        }
        let events = match &spec.what {
            What::Events(of) => Some((of(run).events, of(run).trials)),
            _ => None,
        };
        // An endpoint may be called like a metric; the metric comes first.
        let found = RunValue { kind: spec.kind, gate: spec.role == Role::Gate, value, events };
        values.entry(spec.name.clone()).or_insert(found);
    }
    values
}

/// The earlier sessions that at least one of the fresh tests can be compared with: the same load, the same class of
/// machine and the same build profile. Which of them count is decided again for each test.
pub fn comparable_sessions<'s>(history: &'s [Session], head: &[&RunData]) -> Vec<&'s Session> {
    let ids = ids(head);
    let takes = |session: &&Session| ids.iter().any(|id| comparable(session, head, id).is_some());
    history.iter().filter(takes).collect()
}

/// What a session knows of a test, if the fresh runs of it can be compared with that.
pub(super) fn comparable<'s>(session: &'s Session, head: &[&RunData], id: &str) -> Option<&'s TestRecord> {
    let fresh = head.iter().find_map(|run| find(run, id))?;
    let itself = session.head.runs.iter().any(|run| head.iter().any(|fresh| fresh.document.id == *run));
    let here = is_same_class(&session.fingerprint, &fresh.run.document.fingerprint)
        && session.profile == fresh.run.document.profile;
    let record = session.tests.iter().find(|test| test.id == id)?;
    let counts = record.workload_hash == fresh.test.document.workload_hash
        // Sessions of older versions do not know.
        && [0, fresh.test.document.outcome.workers].contains(&record.workers)
        && record.invalid.is_empty()
        && record.head.iter().any(|run| !run.is_empty());
    (counts && here && !itself).then_some(record)
}
