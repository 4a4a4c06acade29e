//! From sessions to lines: values over time, per machine and load, with the places where they changed.

use anyhow::bail;
use loadtest_core::results::{Fingerprint, Revision};
use loadtest_core::suggest;
use serde::Serialize;

use crate::compare::MetricKind;
use crate::session::{Session, TestRecord, is_same_class};
use crate::stats::{ChangePointRule, change_points};
use crate::stored::summary::{metric_names, over_runs};

/// Change points are looked for among so many sessions: time grows with their square.
const SEARCHED: usize = 500;

/// The version of [`TrendView`] that this build writes.
const SCHEMA_VERSION: u32 = 1;

/// A test over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrendView {
    /// 1.
    pub schema_version: u32,
    /// Its id.
    pub test: String,
    /// The name that its sessions were saved under, if only these were asked for.
    pub baseline: Option<String>,
    /// Per class of machines and load, the one with the latest session first.
    pub machines: Vec<MachineTrend>,
}

/// A test over time on machines of one class, under one load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MachineTrend {
    /// The machine of the latest session.
    pub machine: Fingerprint,
    /// What says which load it was.
    pub workload_hash: String,
    /// How many sessions there are.
    pub sessions: usize,
    /// A line for each metric, those that decide first.
    pub metrics: Vec<Series>,
}

/// A metric over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// What the numbers mean.
    pub kind: MetricKind,
    /// Whether it decides.
    pub gate: bool,
    /// The oldest first.
    pub points: Vec<Point>,
    /// Where it changed, ascending.
    pub changes: Vec<Change>,
    /// How many of the latest sessions were searched for changes, if not all.
    pub searched: Option<usize>,
}

/// A session's value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The session's id.
    pub session: String,
    /// RFC 3339 in UTC.
    pub started_at: String,
    /// The code.
    pub revision: Revision,
    /// Over how many runs the value is.
    pub runs: usize,
    /// Milliseconds, per second, or a share; `None` if it could not be told.
    pub value: Option<f64>,
    /// The change to the value before: `new / old`, or `new − old` of shares.
    pub change: Option<f64>,
    /// Why the value can't be trusted; empty if it can.
    pub invalid: Vec<String>,
}

/// A place where a series changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change {
    /// The first point after it.
    pub index: usize,
    /// The usual value before, since the change before that.
    pub before: f64,
    /// The usual value afterwards, until the next change.
    pub after: f64,
    /// How often chance makes one as large.
    pub p: f64,
}

/// A test over the sessions that have it, or the last `last` of them. The sessions come oldest first.
///
/// # Errors
/// If no session has such a metric.
pub fn view(
    sessions: &[Session],
    test: &str,
    metric: Option<&str>,
    baseline: Option<&str>,
    last: Option<usize>,
) -> anyhow::Result<TrendView> {
    let of = |session| find(session, test).map(|record| (session, record));
    let mut having: Vec<(&Session, &TestRecord)> = sessions.iter().filter_map(of).collect();
    if let Some(last) = last {
        having.drain(..having.len().saturating_sub(last));
    }
    if let Some(metric) = metric {
        known_metric(&having, metric)?;
    }
    let mut groups: Vec<Vec<(&Session, &TestRecord)>> = Vec::new();
    // From the latest backwards, so that memory drifts from the machine that there is now.
    for (session, record) in having.into_iter().rev() {
        let same = |group: &&mut Vec<(&Session, &TestRecord)>| {
            let (first, of) = group[0];
            of.workload_hash == record.workload_hash
                && is_same_class(&first.fingerprint, &session.fingerprint)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push((session, record)),
            None => groups.push(vec![(session, record)]),
        }
    }
    let machines = groups.into_iter().map(|mut group| {
        group.reverse();
        trend(&group, metric)
    });
    Ok(TrendView {
        schema_version: SCHEMA_VERSION,
        test: test.to_owned(),
        baseline: baseline.map(str::to_owned),
        machines: machines.collect(),
    })
}

fn find<'a>(session: &'a Session, test: &str) -> Option<&'a TestRecord> {
    session.tests.iter().find(|record| record.id == test)
}

fn known_metric(having: &[(&Session, &TestRecord)], metric: &str) -> anyhow::Result<()> {
    let mut names: Vec<&str> = having
        .iter()
        .flat_map(|(_, record)| &record.head)
        .flat_map(|run| run.keys())
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    if !names.contains(&metric) {
        let hint = suggest::hint(metric, names.iter().copied());
        bail!("no session has a metric `{}` of this test\nhint: {hint}", metric.escape_debug());
    }
    Ok(())
}

fn trend(group: &[(&Session, &TestRecord)], metric: Option<&str>) -> MachineTrend {
    let runs: Vec<_> = group.iter().flat_map(|(_, record)| record.head.iter().cloned()).collect();
    let names = metric_names(&runs);
    let decides = names.iter().any(|(_, gate)| *gate);
    let chosen = names.iter().filter(|(name, gate)| match metric {
        Some(metric) => name == metric,
        None => *gate || !decides,
    });
    let metrics = chosen.map(|(name, gate)| series(group, name, *gate)).collect();
    let latest = group.last();
    MachineTrend {
        machine: latest.map(|(session, _)| session.fingerprint.clone()).unwrap_or_default(),
        workload_hash: latest.map(|(_, record)| record.workload_hash.clone()).unwrap_or_default(),
        sessions: group.len(),
        metrics,
    }
}

fn series(group: &[(&Session, &TestRecord)], name: &str, gate: bool) -> Series {
    let mut points: Vec<Point> = Vec::new();
    let mut kind = MetricKind::Latency;
    let mut before = None;
    for (session, record) in group {
        let Some(summary) = over_runs(&record.head, name) else { continue };
        kind = summary.kind;
        let change = before.zip(summary.value).and_then(|(old, new): (f64, f64)| match kind {
            MetricKind::Share => Some(new - old),
            _ => (old > 0.0).then(|| new / old),
        });
        before = summary.value.or(before);
        points.push(Point {
            session: session.id.clone(),
            started_at: session.started_at.clone(),
            revision: session.head.revision.clone(),
            runs: summary.runs,
            value: summary.value,
            change,
            invalid: record.invalid.clone(),
        });
    }
    let (changes, searched) = changes(&points, kind);
    Series { name: name.to_owned(), kind, gate, points, changes, searched }
}

/// The change points among the values that can be trusted, and how many of these were searched if not all.
fn changes(points: &[Point], kind: MetricKind) -> (Vec<Change>, Option<usize>) {
    let is_share = kind == MetricKind::Share;
    // Equal ratios are equal changes.
    let scale = |value: f64| if is_share { value } else { value.ln() };
    let back = |value: f64| if is_share { value } else { value.exp() };
    let trusted = points.iter().enumerate().filter(|(_, point)| point.invalid.is_empty());
    let values: Vec<(usize, f64)> = trusted
        .filter_map(|(index, point)| Some((index, scale(point.value?))))
        .filter(|(_, value)| value.is_finite())
        .collect();
    let from = values.len().saturating_sub(SEARCHED);
    let latest = &values[from..];
    let numbers: Vec<f64> = latest.iter().map(|(_, value)| *value).collect();
    // It fails for too many values and for those that are no numbers, and neither is left.
    let found = change_points(&numbers, &ChangePointRule::default()).unwrap_or_default();
    let changes = found.iter().map(|point| Change {
        index: latest[point.index].0,
        before: back(point.before),
        after: back(point.after),
        p: point.p,
    });
    (changes.collect(), (from > 0).then_some(latest.len()))
}
