//! `baseline list`: every saved baseline in a line.

use std::collections::BTreeSet;

use anyhow::Context;
use jiff::Timestamp;
use loadtest_core::results::{Fingerprint, Revision};
use serde::Serialize;

use crate::cli::Format;
use crate::fingerprint;
use crate::session::{Session, is_same_class};
use crate::stored::{Place, Table, age, revision};

/// A baseline as it is listed.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    /// RFC 3339 in UTC.
    saved_at: String,
    revision: Revision,
    machine: Fingerprint,
    /// Whether this machine is of the same class.
    same_machine: bool,
    tests: Vec<String>,
    runs: Vec<String>,
    /// Runs whose directories are gone.
    missing_runs: Vec<String>,
    /// Sessions of its history.
    sessions: usize,
}

/// The text of the list.
///
/// # Errors
/// If it has no JSON form.
pub(super) fn list(place: &Place, format: Format) -> anyhow::Result<String> {
    let here = fingerprint::read(&place.root);
    let stored = place.store.sessions();
    stored.unreadable.iter().for_each(|why| eprintln!("warning: {why}"));
    let mut listed = Vec::new();
    for name in names(place, &stored.sessions) {
        match one(place, &name, &stored.sessions, &here) {
            Ok(Some(baseline)) => listed.push(baseline),
            Ok(None) => {}
            Err(error) => eprintln!("warning: {}", crate::failure::plain(&format!("{error:#}"))),
        }
    }
    if format == Format::Json {
        let text = serde_json::to_string_pretty(&listed).context("can't write the list")?;
        return Ok(text + "\n");
    }
    if listed.is_empty() {
        return Ok(format!(
            "no baseline is saved in {}\nhint: save one with `cargo loadtest --save-baseline NAME`\n",
            place.store.path().display()
        ));
    }
    let now = Timestamp::now();
    let head = ["name", "saved", "revision", "machine", "tests", "runs", "sessions"];
    let mut table = Table::new(&head, 4);
    for baseline in &listed {
        let runs = match (baseline.runs.len(), baseline.missing_runs.len()) {
            (all, 0) => all.to_string(),
            (all, gone) => format!("{} of {all}", all - gone),
        };
        table.row([
            baseline.name.clone(),
            age(&baseline.saved_at, now),
            revision(&baseline.revision),
            if baseline.same_machine { "like this one" } else { "another" }.to_owned(),
            baseline.tests.len().to_string(),
            runs,
            baseline.sessions.to_string(),
        ]);
    }
    Ok(table.text(0))
}

/// Saved names, and those that only the history knows.
fn names(place: &Place, sessions: &[Session]) -> BTreeSet<String> {
    let of_history = sessions.iter().filter_map(|session| session.saved_as.clone());
    place.store.baselines().into_iter().chain(of_history).collect()
}

fn one(
    place: &Place,
    name: &str,
    sessions: &[Session],
    here: &Fingerprint,
) -> anyhow::Result<Option<Listed>> {
    let history: Vec<&Session> =
        sessions.iter().filter(|session| session.saved_as.as_deref() == Some(name)).collect();
    let pointer = place.store.baseline(name)?;
    let latest = match pointer.as_ref().and_then(|pointer| pointer.session.as_ref()) {
        Some(id) => sessions.iter().find(|session| session.id == *id),
        None if pointer.is_none() => history.last().copied(),
        None => None,
    };
    let runs = match (&pointer, latest) {
        (Some(pointer), _) => pointer.runs.clone(),
        (None, Some(latest)) => latest.head.runs.clone(),
        (None, None) => return Ok(None),
    };
    let missing_runs: Vec<String> = runs.iter().filter(|run| !place.store.has_run(run)).cloned().collect();
    let saved_at = pointer.map(|pointer| pointer.saved_at).or(latest.map(|latest| latest.started_at.clone()));
    let (revision, machine, tests) = match latest {
        Some(latest) => (
            latest.head.revision.clone(),
            latest.fingerprint.clone(),
            latest.tests.iter().map(|test| test.id.clone()).collect(),
        ),
        None => {
            let there = runs.iter().find(|run| place.store.has_run(run));
            let run = there.with_context(|| format!("every run of the baseline `{name}` is gone"))?;
            let document = place.store.run(run)?.document;
            let tests = document.tests.iter().map(|test| test.id.clone()).collect();
            (document.revision, document.fingerprint, tests)
        }
    };
    Ok(Some(Listed {
        name: name.to_owned(),
        saved_at: saved_at.unwrap_or_default(),
        same_machine: is_same_class(&machine, here),
        revision,
        machine,
        tests,
        runs,
        missing_runs,
        sessions: history.len(),
    }))
}
