//! The results as JUnit XML, which every service of continuous integration reads.
//!
//! The main function is [`write()`]. A run is a test suite. Each test has a case `run`, how it ended, a case for each
//! threshold, and in a comparison one for each metric that decides: regressed is a failure, what could not be told is
//! skipped with the reason, what can't be trusted an error. Names of elements and attributes are those of the schema
//! that Jenkins publishes (`junit-10.xsd` of its xunit plugin), with `file` and `line` besides, which GitLab and others
//! read.

use std::fs;
use std::path::Path;

use anyhow::Context;
use loadtest_core::results::End;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use crate::compare::{Comparison, TestComparison, Verdict};
use crate::data::TestData;
use crate::report::{self, MetricRow, TestRows};
use crate::verdict::ExitCode;

use super::findings::{owner, word};
use super::{Facts, text};

/// The longest message in an attribute, in bytes; the text of the element has all of it.
const MAX_MESSAGE: usize = 500;

/// Writes the file, its directories included.
///
/// # Errors
/// If it can't be written.
pub fn write(facts: &Facts<'_>, path: &Path) -> anyhow::Result<()> {
    let xml = render(facts).context("the results can't be written as JUnit XML")?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, xml))
        .with_context(|| format!("can't write the JUnit file to {}", path.display()))
}

/// A case.
#[derive(Debug)]
struct Case {
    class: String,
    name: String,
    seconds: f64,
    place: Option<(String, u32)>,
    result: Outcome,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// With the reason.
    Skipped(String),
    /// With its kind and the reason.
    Failure(&'static str, String),
    /// With its kind and the reason.
    Error(&'static str, String),
}

fn render(facts: &Facts<'_>) -> anyhow::Result<Vec<u8>> {
    let cases = cases(facts);
    let document = &facts.run.document;
    let count = |is: fn(&Outcome) -> bool| cases.iter().filter(|case| is(&case.result)).count().to_string();
    let counts = [
        ("tests", cases.len().to_string()),
        ("failures", count(|result| matches!(result, Outcome::Failure(..)))),
        ("errors", count(|result| matches!(result, Outcome::Error(..)))),
        ("skipped", count(|result| matches!(result, Outcome::Skipped(_)))),
        ("time", seconds(cases.iter().map(|case| case.seconds).sum())),
    ];
    let with_counts = |mut element: BytesStart<'static>, but: &str| {
        for (name, value) in counts.iter().filter(|(name, _)| *name != but) {
            element.push_attribute((*name, value.as_str()));
        }
        element
    };

    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    // The element around has no `skipped` in the schema.
    let suites = with_counts(element("testsuites", [("name", "cargo loadtest")]), "skipped");
    writer.write_event(Event::Start(suites))?;
    // To the second and without a zone, as the schema has it; it is UTC.
    let began = document.started_at.get(..19).unwrap_or(&document.started_at);
    let suite =
        element("testsuite", [("name", "cargo loadtest"), ("id", &document.id), ("timestamp", began)]);
    writer.write_event(Event::Start(with_counts(suite, "")))?;
    writer.write_event(Event::Start(BytesStart::new("properties")))?;
    for (name, value) in properties(facts) {
        writer.write_event(Event::Empty(element("property", [("name", name), ("value", &value)])))?;
    }
    writer.write_event(Event::End(BytesEnd::new("properties")))?;
    for case in &cases {
        write_case(&mut writer, case)?;
    }
    for end in ["testsuite", "testsuites"] {
        writer.write_event(Event::End(BytesEnd::new(end)))?;
    }
    let mut xml = writer.into_inner();
    xml.push(b'\n');
    Ok(xml)
}

fn write_case(writer: &mut Writer<Vec<u8>>, case: &Case) -> anyhow::Result<()> {
    let time = seconds(case.seconds);
    let mut start = element("testcase", [("classname", &case.class), ("name", &case.name), ("time", &time)]);
    if let Some((file, line)) = &case.place {
        start.push_attribute(("file", attribute(file).as_str()));
        start.push_attribute(("line", line.to_string().as_str()));
    }
    let (name, kind, reason) = match &case.result {
        Outcome::Passed => {
            writer.write_event(Event::Empty(start))?;
            return Ok(());
        }
        Outcome::Skipped(reason) => ("skipped", None, reason),
        Outcome::Failure(kind, reason) => ("failure", Some(*kind), reason),
        Outcome::Error(kind, reason) => ("error", Some(*kind), reason),
    };
    writer.write_event(Event::Start(start))?;
    let mut result = element(name, [("message", &text::clip(&text::line(reason), MAX_MESSAGE))]);
    if let Some(kind) = kind {
        result.push_attribute(("type", kind));
    }
    writer.write_event(Event::Start(result))?;
    writer.write_event(Event::Text(BytesText::new(&allowed(reason))))?;
    writer.write_event(Event::End(BytesEnd::new(name)))?;
    writer.write_event(Event::End(BytesEnd::new("testcase")))?;
    Ok(())
}

fn element<'a>(
    name: &'static str,
    attributes: impl IntoIterator<Item = (&'a str, impl AsRef<str>)>,
) -> BytesStart<'static> {
    let mut element = BytesStart::new(name);
    for (name, value) in attributes {
        element.push_attribute((name, attribute(value.as_ref()).as_str()));
    }
    element
}

fn properties(facts: &Facts<'_>) -> Vec<(&'static str, String)> {
    let document = &facts.run.document;
    let mut found = vec![
        ("version", document.tool_version.clone()),
        ("verdict", super::markdown::verdict(facts)),
        ("exit code", document_code(facts)),
        ("first line", facts.first_line.to_owned()),
        ("repeat", facts.repeat.to_owned()),
        ("profile", document.profile.clone()),
    ];
    found.extend(document.revision.commit.clone().map(|commit| ("commit", commit)));
    let base = facts.comparison.and_then(|comparison| comparison.base.commit.clone());
    found.extend(base.map(|commit| ("base commit", commit)));
    found
}

fn document_code(facts: &Facts<'_>) -> String {
    facts.judgement.code.number().to_string()
}

fn cases(facts: &Facts<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for test in &facts.run.tests {
        cases.push(run_case(facts, test));
        cases.extend(threshold_cases(test));
    }
    if let Some(comparison) = facts.comparison {
        for (test, rows) in comparison.tests.iter().zip(report::comparison_rows(comparison)) {
            cases.extend(comparison_cases(test, &rows, comparison));
        }
    }
    if let Some(name) = facts.baseline_missing {
        let reason = format!("the baseline {name} does not exist");
        let fails = facts.judgement.reasons.iter().any(|(code, _)| *code == ExitCode::BaselineMissing);
        cases.push(Case {
            class: "cargo loadtest".to_owned(),
            name: "baseline".to_owned(),
            seconds: 0.0,
            place: None,
            result: match fails {
                true => Outcome::Failure("baseline missing", reason),
                false => Outcome::Skipped(reason),
            },
        });
    }
    cases
}

/// How a test ended. Thresholds have cases of their own.
fn run_case(facts: &Facts<'_>, test: &TestData) -> Case {
    let document = &test.document;
    let of_threshold = |reason: &str| {
        let failed = document.outcome.thresholds.iter().filter(|threshold| !threshold.holds);
        reason.starts_with("threshold ") && failed.into_iter().any(|t| reason.ends_with(&t.source))
    };
    let reasons: Vec<(ExitCode, &str)> = facts
        .judgement
        .reasons
        .iter()
        .filter_map(|(code, reason)| {
            let (id, said) = owner(facts, reason)?;
            (id == document.id && !of_threshold(said)).then_some((*code, said))
        })
        .collect();
    let all = || reasons.iter().map(|(_, reason)| *reason).collect::<Vec<_>>().join("\n");
    let result = match reasons.first() {
        None => Outcome::Passed,
        Some((code @ (ExitCode::ThresholdsFailed | ExitCode::Failed), _)) => {
            Outcome::Failure(word(*code), all())
        }
        Some((code, _)) => Outcome::Error(word(*code), all()),
    };
    Case {
        class: document.id.clone(),
        name: "run".to_owned(),
        seconds: document.outcome.setup_seconds + document.outcome.load_seconds,
        place: place(test),
        result,
    }
}

fn threshold_cases(test: &TestData) -> impl Iterator<Item = Case> {
    let document = &test.document;
    let measured = !matches!(document.outcome.end, End::SetupFailed { .. });
    document.outcome.thresholds.iter().map(move |threshold| Case {
        class: document.id.clone(),
        name: format!("threshold {}", threshold.source),
        seconds: 0.0,
        place: place(test),
        result: match (threshold.holds, threshold.actual) {
            _ if !measured => Outcome::Skipped("setup failed before any load".to_owned()),
            (true, _) => Outcome::Passed,
            (false, Some(actual)) => {
                Outcome::Failure("threshold", format!("{}: measured {actual:.4}", threshold.source))
            }
            (false, None) => Outcome::Failure("threshold", format!("{}: no data", threshold.source)),
        },
    })
}

/// A case for each metric that decides, or one for a test without any.
fn comparison_cases(test: &TestComparison, rows: &TestRows, comparison: &Comparison) -> Vec<Case> {
    let case = |name: &str, result| Case {
        class: test.id.clone(),
        name: name.to_owned(),
        seconds: 0.0,
        place: (!test.file.is_empty()).then(|| (test.file.clone(), test.line)),
        result,
    };
    let gates = test.metrics.iter().zip(&rows.rows).filter(|(metric, _)| metric.gate);
    let cases: Vec<Case> = gates
        .map(|(metric, row)| {
            // What makes the whole test unfit to be judged holds for each of its metrics.
            let verdict = match test.verdict {
                unfit @ (Verdict::Invalid | Verdict::NotComparable) => unfit,
                _ => metric.verdict,
            };
            case(&row.name, outcome(verdict, metric_reason(row, rows)))
        })
        .collect();
    if !cases.is_empty() {
        return cases;
    }
    let reasons = rows.reasons.iter().chain(&comparison.warnings).cloned().collect::<Vec<_>>().join("\n");
    vec![case(
        "comparison",
        outcome(test.verdict, if reasons.is_empty() { rows.verdict.clone() } else { reasons }),
    )]
}

fn outcome(verdict: Verdict, reason: String) -> Outcome {
    match verdict {
        Verdict::Improved | Verdict::Unchanged => Outcome::Passed,
        Verdict::Regressed => Outcome::Failure("regressed", reason),
        Verdict::Inconclusive => Outcome::Skipped(format!("inconclusive: {reason}")),
        Verdict::NotComparable => Outcome::Skipped(format!("not comparable: {reason}")),
        Verdict::Invalid => Outcome::Error("invalid", reason),
    }
}

fn metric_reason(row: &MetricRow, rows: &TestRows) -> String {
    let interval =
        if row.interval == "–" { String::new() } else { format!(" (95 % interval {})", row.interval) };
    let numbers = format!("{}: {} → {}, {}{interval}", row.name, row.base, row.head, row.change);
    std::iter::once(numbers)
        .chain(row.reason.clone())
        .chain(rows.reasons.iter().cloned())
        .collect::<Vec<_>>()
        .join("\n")
}

fn place(test: &TestData) -> Option<(String, u32)> {
    test.document.definitions.first().map(|definition| (definition.file.clone(), definition.line))
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.3}")
}

/// A value for an attribute, where readers turn line breaks into spaces anyway.
fn attribute(value: &str) -> String {
    allowed(&text::line(value))
}

/// Without the characters that XML 1.0 has no way to write.
fn allowed(text: &str) -> String {
    let may = |c: &char| {
        matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
            && !matches!(c, '\u{7f}'..='\u{9f}')
    };
    text.chars().filter(may).collect()
}

#[cfg(test)]
mod tests;
