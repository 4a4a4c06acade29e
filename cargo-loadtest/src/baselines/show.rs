//! `baseline show`: what one baseline holds, and how much its sessions differ.

use anyhow::Context;
use jiff::Timestamp;
use loadtest_core::results::{Fingerprint, Revision};
use loadtest_core::units::{format_bytes, format_percent};
use serde::Serialize;

use crate::cli::Format;
use crate::compare::{self, MetricKind};
use crate::session::{RunValues, Session, TestRecord, is_same_class};
use crate::stats::descriptive::{logarithm, standard_deviation};
use crate::stored::summary::{metric_names, over_runs, show as show_value};
use crate::stored::{Place, Table, age, count, revision};

/// A baseline with its values.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    /// RFC 3339 in UTC.
    saved_at: String,
    revision: Revision,
    machine: Fingerprint,
    profile: String,
    runs: Vec<String>,
    missing_runs: Vec<String>,
    /// The sessions of its history, the oldest first.
    sessions: Vec<ShownSession>,
    tests: Vec<ShownTest>,
}

#[derive(Debug, Serialize)]
struct ShownSession {
    id: String,
    started_at: String,
    revision: Revision,
    runs: usize,
    /// Whether it was made on a machine of the same class as the baseline's runs.
    same_machine: bool,
}

#[derive(Debug, Serialize)]
struct ShownTest {
    id: String,
    metrics: Vec<ShownMetric>,
}

#[derive(Debug, Serialize)]
struct ShownMetric {
    name: String,
    kind: MetricKind,
    gate: bool,
    /// Over the baseline's own runs.
    value: Option<f64>,
    runs: usize,
    /// Sessions of the history with the same load on a machine of the same class.
    sessions: usize,
    /// Spread between these: the standard deviation of the logarithms, so about a share of the value; of shares the
    /// standard deviation of the values.
    spread: Option<f64>,
}

/// The text about a baseline; `None` if there is none of the name.
///
/// # Errors
/// If it can't be read.
pub(super) fn show(place: &Place, name: &str, format: Format) -> anyhow::Result<Option<String>> {
    let Some(shown) = read(place, name)? else { return Ok(None) };
    if format == Format::Json {
        let text = serde_json::to_string_pretty(&shown).context("can't write the baseline")?;
        return Ok(Some(text + "\n"));
    }
    Ok(Some(text(&shown, Timestamp::now())))
}

fn read(place: &Place, name: &str) -> anyhow::Result<Option<Shown>> {
    let history = place.store.history(name);
    let (saved_at, ids, session) = match place.store.baseline(name)? {
        Some(pointer) => {
            let session = match &pointer.session {
                Some(id) => place.store.session(id)?,
                None => None,
            };
            (pointer.saved_at, pointer.runs, session)
        }
        None => match history.last() {
            Some(last) => (last.started_at.clone(), last.head.runs.clone(), Some(last.clone())),
            None => return Ok(None),
        },
    };
    let (there, missing_runs): (Vec<String>, Vec<String>) =
        ids.iter().cloned().partition(|run| place.store.has_run(run));
    let (revision, machine, profile, records) = match session {
        Some(session) => (session.head.revision, session.fingerprint, session.profile, session.tests),
        None => {
            let runs = there.iter().map(|run| place.store.run(run)).collect::<anyhow::Result<Vec<_>>>()?;
            let first =
                runs.first().with_context(|| format!("every run of the baseline `{name}` is gone"))?;
            let document = first.document.clone();
            let runs: Vec<&_> = runs.iter().collect();
            (document.revision, document.fingerprint, document.profile, compare::records(&[], &runs))
        }
    };
    let tests = records.iter().map(|record| test(record, &history, &machine)).collect();
    let sessions = history.iter().map(|session| ShownSession {
        id: session.id.clone(),
        started_at: session.started_at.clone(),
        revision: session.head.revision.clone(),
        runs: session.head.runs.len(),
        same_machine: is_same_class(&session.fingerprint, &machine),
    });
    let sessions = sessions.collect();
    let name = name.to_owned();
    Ok(Some(Shown { name, saved_at, revision, machine, profile, runs: ids, missing_runs, sessions, tests }))
}

fn test(record: &TestRecord, history: &[Session], machine: &Fingerprint) -> ShownTest {
    let like = history.iter().filter(|session| is_same_class(&session.fingerprint, machine));
    let like: Vec<&TestRecord> = like
        .flat_map(|session| &session.tests)
        .filter(|other| other.id == record.id && other.workload_hash == record.workload_hash)
        .collect();
    let metrics = metric_names(&record.head).into_iter().filter_map(|(name, _)| {
        let own = over_runs(&record.head, &name)?;
        let value = |runs: &[RunValues]| over_runs(runs, &name)?.value;
        let values: Vec<f64> = like.iter().filter_map(|other| value(&other.head)).collect();
        let spread = match own.kind {
            MetricKind::Share => standard_deviation(&values),
            _ => {
                let logs: Vec<f64> = values.iter().filter_map(|value| logarithm(*value)).collect();
                standard_deviation(&logs)
            }
        };
        let sessions = values.len();
        Some(ShownMetric {
            kind: own.kind,
            gate: own.gate,
            value: own.value,
            runs: own.runs,
            sessions,
            spread,
            name,
        })
    });
    ShownTest { id: record.id.clone(), metrics: metrics.collect() }
}

fn text(shown: &Shown, now: Timestamp) -> String {
    let machine = &shown.machine;
    let unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    let runs = match shown.missing_runs.len() {
        0 => shown.runs.join(", "),
        gone if gone == shown.runs.len() => "none of them is here any more".to_owned(),
        gone => format!("{} ({gone} of them are gone)", shown.runs.join(", ")),
    };
    let history = match shown.sessions.len() {
        0 => "none: it is made of what is saved under this name".to_owned(),
        n => {
            let like = shown.sessions.iter().filter(|session| session.same_machine).count();
            format!("{}, {like} of them on a machine like that of the runs", count(n, "session"))
        }
    };
    let rows = [
        ("baseline", shown.name.clone()),
        ("saved", age(&shown.saved_at, now)),
        ("revision", revision(&shown.revision)),
        (
            "machine",
            format!(
                "{}, {} cores, {}, {} {}",
                unknown(&machine.cpu),
                machine.cores,
                format_bytes(machine.memory_bytes as f64),
                machine.os,
                machine.arch
            ),
        ),
        ("profile", unknown(&shown.profile)),
        ("runs", runs),
        ("history", history),
    ];
    let mut out = String::new();
    for (name, value) in rows {
        out.push_str(&format!("{name:<9} {value}\n"));
    }
    for test in &shown.tests {
        out.push_str(&format!("\n{}\n", test.id));
        let mut table = Table::new(&["metric", "value", "runs", "sessions", "spread"], 1);
        for metric in test.metrics.iter().filter(|metric| metric.gate) {
            let spread = match (metric.kind, metric.spread) {
                (_, None) => "–".to_owned(),
                (MetricKind::Share, Some(spread)) => format!("{:.2} pp", spread * 100.0),
                (_, Some(spread)) => format_percent(spread),
            };
            let value = metric.value.map_or_else(|| "–".to_owned(), |value| show_value(value, metric.kind));
            let (runs, sessions) = (metric.runs.to_string(), metric.sessions.to_string());
            table.row([metric.name.clone(), value, runs, sessions, spread]);
        }
        out.push_str(&table.text(2));
    }
    if shown.sessions.len() >= 2 {
        out.push_str(
            "\nspread: how much a session differs from the next one, of the same load on such a machine\n",
        );
    }
    out
}
