//! What a person should look at first, one finding each, the worst first.
//!
//! The main type is [`Finding`], made by [`of`]. Services show them as annotations. What fails the job is an error, what
//! only leaves it open a warning: the judgement has decided that already.

use crate::compare::{TestComparison, Verdict};
use crate::report::{self, TestRows};
use crate::verdict::ExitCode;

use super::Facts;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// It fails the job.
    Error,
    /// It leaves something open.
    Warning,
}

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// The exit code that it stands for.
    code: ExitCode,
    /// The test's id, if it is about one.
    pub(super) test: Option<String>,
    /// A few words.
    pub(super) title: String,
    /// What happened; may have several lines.
    pub(super) message: String,
    /// Source file, as the compiler names it, and line from one.
    pub(super) place: Option<(String, u32)>,
}

/// All findings of a run, the worst first: in the order in which the judgement ranks their exit codes, then the others.
pub(super) fn of(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        facts.judgement.reasons.iter().filter_map(|reason| judged(facts, reason)).collect();
    found.extend(compared(facts));
    found.extend(missing(facts));
    let rank = |finding: &Finding| {
        let position = facts.judgement.reasons.iter().position(|(code, _)| *code == finding.code);
        (finding.level, position.unwrap_or(usize::MAX))
    };
    found.sort_by_key(rank);
    found
}

/// A reason of the judgement; `None` if the comparison or the missing baseline says it better.
fn judged(facts: &Facts<'_>, (code, reason): &(ExitCode, String)) -> Option<Finding> {
    let owner = owner(facts, reason);
    let told_elsewhere = match code {
        _ if owner.is_some() => false,
        ExitCode::BaselineMissing => facts.baseline_missing.is_some(),
        ExitCode::Regressed | ExitCode::Inconclusive | ExitCode::Invalid => facts.comparison.is_some(),
        _ => false,
    };
    if told_elsewhere {
        return None;
    }
    let (test, message) = match owner {
        Some((id, message)) => (Some(id), message),
        None => (None, reason.as_str()),
    };
    let title = match test {
        Some(id) => format!("{}: {}", short(id), word(*code)),
        None => word(*code).to_owned(),
    };
    Some(Finding {
        level: Level::Error,
        code: *code,
        test: test.map(str::to_owned),
        title,
        message: message.to_owned(),
        place: test.and_then(|id| place(facts, id)),
    })
}

/// The test that a reason of the judgement is about, and what it says of it.
pub(super) fn owner<'r>(facts: &Facts<'r>, reason: &'r str) -> Option<(&'r str, &'r str)> {
    let ids = facts.run.tests.iter().map(|test| test.document.id.as_str());
    let said = ids.filter_map(|id| Some((id, reason.strip_prefix(id)?.strip_prefix(": ")?)));
    // An id may be the beginning of another.
    said.max_by_key(|(id, _)| id.len())
}

/// The tests of a comparison that did not come out well.
fn compared(facts: &Facts<'_>) -> Vec<Finding> {
    let Some(comparison) = facts.comparison else { return Vec::new() };
    let mut tests: Vec<(&TestComparison, TestRows)> =
        comparison.tests.iter().zip(report::comparison_rows(comparison)).collect();
    // Of equal verdicts that which moved most.
    tests.sort_by(|(a, _), (b, _)| {
        b.verdict.severity().cmp(&a.verdict.severity()).then(worst_move(b).total_cmp(&worst_move(a)))
    });
    let finding = |(test, rows): &(&TestComparison, TestRows)| {
        let code = match test.verdict {
            Verdict::Regressed => ExitCode::Regressed,
            Verdict::Invalid => ExitCode::Invalid,
            Verdict::Inconclusive | Verdict::NotComparable => ExitCode::Inconclusive,
            Verdict::Improved | Verdict::Unchanged => return None,
        };
        let fails = facts.judgement.reasons.iter().any(|(known, _)| *known == code);
        Some(Finding {
            level: if fails { Level::Error } else { Level::Warning },
            code,
            test: Some(test.id.clone()),
            title: format!("{}: {}", short(&test.id), rows.verdict),
            message: message(test, rows),
            place: match test.file.is_empty() {
                true => place(facts, &test.id),
                false => Some((test.file.clone(), test.line)),
            },
        })
    };
    tests.iter().filter_map(finding).collect()
}

/// A line for each metric that has the test's verdict, else the reasons.
fn message(test: &TestComparison, rows: &TestRows) -> String {
    let deciding = test.metrics.iter().zip(&rows.rows).filter(|(metric, _)| metric.gate);
    let same = deciding.filter(|(metric, _)| metric.verdict == test.verdict);
    let mut lines: Vec<String> = same
        .map(|(_, row)| {
            let interval = if row.interval == "–" { String::new() } else { format!(" ({})", row.interval) };
            let why = row.reason.as_deref().map(|why| format!("; {why}")).unwrap_or_default();
            format!("{}: {} → {}, {}{interval}{why}", row.name, row.base, row.head, row.change)
        })
        .collect();
    lines.extend(rows.reasons.iter().cloned());
    if lines.is_empty() { rows.verdict.clone() } else { lines.join("\n") }
}

/// How far the worst metric moved, on a logarithmic scale for what is compared by ratio.
fn worst_move(test: &TestComparison) -> f64 {
    use crate::compare::MetricKind::{Capacity, Latency, Share, Throughput};
    let worse = test.metrics.iter().filter(|metric| metric.gate && metric.verdict == Verdict::Regressed);
    let moved = worse.filter_map(|metric| {
        metric.change.map(|change| match metric.kind {
            Latency => change.ln(),
            Throughput | Capacity => -change.ln(),
            Share => change,
        })
    });
    moved.fold(0.0, f64::max)
}

fn missing(facts: &Facts<'_>) -> Option<Finding> {
    let name = facts.baseline_missing?;
    let code = ExitCode::BaselineMissing;
    let fails = facts.judgement.reasons.iter().any(|(known, _)| *known == code);
    Some(Finding {
        level: if fails { Level::Error } else { Level::Warning },
        code,
        test: None,
        title: "nothing to compare with".to_owned(),
        message: format!("the baseline {name} does not exist"),
        place: None,
    })
}

/// Where a test's first function stands.
fn place(facts: &Facts<'_>, id: &str) -> Option<(String, u32)> {
    let test = facts.run.tests.iter().find(|test| test.document.id == id)?;
    test.document.definitions.first().map(|definition| (definition.file.clone(), definition.line))
}

/// The last part of an id.
pub(super) fn short(id: &str) -> &str {
    id.rsplit("::").next().unwrap_or(id)
}

/// An exit code in a few words.
pub(super) fn word(code: ExitCode) -> &'static str {
    match code {
        ExitCode::Passed => "passed",
        ExitCode::Interrupted => "interrupted",
        ExitCode::Crashed => "crashed",
        ExitCode::SetupFailed => "setup failed",
        ExitCode::Aborted => "ended itself",
        ExitCode::Invalid => "invalid measurement",
        ExitCode::Failed => "failed by the test",
        ExitCode::ThresholdsFailed => "failed",
        ExitCode::Regressed => "regressed",
        ExitCode::BaselineMissing => "nothing to compare with",
        ExitCode::Inconclusive => "inconclusive",
        ExitCode::Internal | ExitCode::Usage | ExitCode::NoTests | ExitCode::BuildFailed => "could not run",
    }
}
