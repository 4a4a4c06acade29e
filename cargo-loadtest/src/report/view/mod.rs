//! A run as finished texts: what the summary and the page say, without how they say it.
//!
//! The main type is [`TestView`]. Numbers are formatted here and nowhere else; nothing is escaped here.

use loadtest_core::metric::{Builtin, Kind, MetricDef};
use loadtest_core::results::{ErrorOutcome, ThresholdOutcome};
use loadtest_core::threshold::Threshold;
use loadtest_core::units::{format_count, format_percent, format_rate, format_value};
use serde::Serialize;

use super::clean;
use crate::data::{RunData, TestData};
use crate::verdict::{ExitCode, TestFacts, judge_test};

mod capacity;
mod comparison;
mod load;
mod run;
mod tables;

pub(super) use capacity::{capacity_lines, per_second, rate};
pub(super) use comparison::{
    ComparisonView, change_text, interval_text, reason_of, revision, side_names, value_text, verdict_mark,
    whole_percent,
};
pub use comparison::{MetricRow, TestRows, comparison_rows, first_line};
pub(super) use load::{ITERATIONS, ScenarioView, late, rate_name, scenarios, sentence};
pub(super) use run::{Detail, RunView};
pub(super) use tables::{
    ALL_PROBES, CheckView, Figures, PROTOCOLS, checks, custom_metrics, figures, health, http_versions,
    interrupted_iterations, starts,
};

/// Reasons longer than this are cut: the errors below them have all of it.
const REASON_COLUMNS: usize = 500;

/// Hints longer than this are cut: ours are shorter, and a test's own may be anything.
const HINT_COLUMNS: usize = 400;

/// That a baseline was asked for in vain.
pub(super) fn baseline_missing(run: &RunData) -> Option<String> {
    let name = clean::clip(&clean::line(run.baseline_missing.as_deref()?), 60);
    Some(match &run.missing_because {
        Some(why) => format!("nothing was compared: {}", clean::clip(&clean::line(why), REASON_COLUMNS)),
        None => format!("baseline `{name}` not found, so nothing was compared"),
    })
}

/// That a run measured code that nobody would deploy, if its profile says so.
pub(super) fn unoptimised(run: &RunData) -> Option<String> {
    let profile = run.document.profile.as_str();
    matches!(profile, "dev" | "test" | "debug").then(|| {
        format!(
            "built with profile `{profile}`, which does not optimise: the numbers tell little about the code as it is \
             deployed; leave `--profile` out"
        )
    })
}

/// A name and its value.
pub(super) type Pair = (String, String);

/// Text of any length: what is shown at once, and the rest if it is long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Long {
    /// The beginning, or all of it.
    pub short: String,
    /// All of it, up to the limit of the page, if it is longer.
    pub full: Option<String>,
}

impl Long {
    /// Shows `columns` columns at once, and `most` characters in all.
    pub(super) fn new(text: &str, columns: usize, most: usize) -> Self {
        let bounded: String = text.chars().take(most).collect();
        let line = clean::line(&bounded);
        let short = clean::clip(&line, columns);
        let cut = bounded.len() < text.len();
        let full = (short != line || cut).then(|| {
            let mut full = clean::block(&bounded);
            if cut {
                full.push_str(&format!(
                    "\n… ({} characters in all)",
                    format_count(text.chars().count() as f64)
                ));
            }
            full
        });
        Self { short, full }
    }
}

/// How a test ended, in a word, with its reasons.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Status {
    /// `PASSED`, `FAILED`, …
    pub word: &'static str,
    /// `pass`, `fail`, `invalid` or `stopped`: decides the colour.
    pub class: &'static str,
    /// `✓`, `✗`, `!`: tells the same without colour.
    pub mark: &'static str,
    /// Why, the most severe first, without control characters.
    pub reasons: Vec<String>,
    /// What belongs to it without being good or bad: a capacity that was found, a pause.
    pub notes: Vec<String>,
}

impl Status {
    /// The words for an exit code.
    pub(super) fn of_code(code: ExitCode, reasons: Vec<String>) -> Self {
        let (word, class, mark) = match code {
            ExitCode::Passed => ("PASSED", "pass", "✓"),
            ExitCode::Invalid => ("INVALID", "invalid", "!"),
            ExitCode::Interrupted => ("INTERRUPTED", "stopped", "■"),
            ExitCode::Crashed => ("CRASHED", "fail", "✗"),
            ExitCode::Regressed => ("REGRESSED", "fail", "✗"),
            ExitCode::Inconclusive => ("NOT VERIFIED", "invalid", "?"),
            _ => ("FAILED", "fail", "✗"),
        };
        Self { word, class, mark, reasons, notes: Vec::new() }
    }

    /// The status of a test by itself: the same judgement that decides the exit code.
    pub(super) fn of_test(test: &TestData) -> Self {
        let outcome = &test.document.outcome;
        let id = test.document.id.as_str();
        let failed = test.total(Builtin::IterationsFailed.name(), |_| true);
        let succeeded = failed.count.saturating_sub(failed.sum as u64);
        let judged = judge_test(&TestFacts { id, outcome, invalid: &test.document.invalid, succeeded });
        let reasons = judged.reasons.iter().map(|(_, reason)| {
            let reason = reason.strip_prefix(id).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(reason);
            let reason = match (judged.code, reason) {
                (ExitCode::Interrupted, "interrupted") => "by Ctrl-C or a signal, before the plan had ended",
                // The word in front of it says so already.
                (ExitCode::Crashed, _) => reason.strip_prefix("crashed: ").unwrap_or(reason),
                (ExitCode::Invalid, _) => reason.strip_prefix("invalid: ").unwrap_or(reason),
                _ => reason,
            };
            let crossed = outcome.thresholds.iter().find(|t| !t.holds && reason.ends_with(t.source.as_str()));
            let actual =
                crossed.and_then(|t| t.actual.map(|actual| threshold_value(test, &t.source, actual)));
            let actual = actual.map(|actual| format!(" (was {actual})")).unwrap_or_default();
            format!("{}{actual}", clean::clip(&clean::block(reason), REASON_COLUMNS))
        });
        Self { notes: load::notes(test), ..Self::of_code(judged.code, reasons.collect()) }
    }
}

/// A threshold's judgement.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ThresholdView {
    /// As written.
    pub source: String,
    /// Whether it holds.
    pub holds: bool,
    /// The value found, or `no data`.
    pub actual: String,
    /// `18% to spare`, `22% over`, or nothing.
    pub margin: String,
    /// Whether it ended the test.
    pub aborted: bool,
}

/// The judgements of a test.
pub(super) fn thresholds(test: &TestData) -> Vec<ThresholdView> {
    let view = |threshold: &ThresholdOutcome| ThresholdView {
        source: clean::line(&threshold.source),
        holds: threshold.holds,
        actual: match threshold.actual {
            Some(actual) => threshold_value(test, &threshold.source, actual),
            None => "no data".to_owned(),
        },
        margin: match threshold.margin {
            Some(margin) if !margin.is_finite() => String::new(),
            Some(margin) if margin >= 0.0 && threshold.holds => format!("{} to spare", percent(margin)),
            Some(margin) if margin < 0.0 => format!("{} beyond the limit", percent(-margin)),
            _ => String::new(),
        },
        aborted: threshold.aborted,
    };
    test.document.outcome.thresholds.iter().map(view).collect()
}

/// A share of a limit; those that are many times the limit as multiples.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    // All and nothing are said of all and nothing only.
    match share {
        s if s >= 10.0 => format!("{s:.0}×"),
        s if s > 0.0 && percent < 0.5 => "<1%".to_owned(),
        s if s < 1.0 && percent >= 99.95 => ">99.9%".to_owned(),
        s if s < 1.0 && percent >= 99.5 => format!("{percent:.1}%"),
        _ => format!("{percent:.0}%"),
    }
}

/// A threshold's value in the unit of what it aggregates.
fn threshold_value(test: &TestData, source: &str, actual: f64) -> String {
    let Ok(threshold) = Threshold::parse(source) else { return format_count(actual) };
    let Some(metric) = metric(test, &threshold.metric) else { return format_count(actual) };
    match metric.kind {
        Kind::Rate => format_percent(actual),
        Kind::Counter if threshold.aggregation.to_string() == "rate" => format_rate_of(actual, &metric),
        _ => format_value(actual, threshold.aggregation.unit(&metric)),
    }
}

/// A rate of a counter: bytes keep their unit.
pub(super) fn format_rate_of(per_second: f64, metric: &MetricDef) -> String {
    match metric.unit {
        loadtest_core::metric::Unit::None => format_rate(per_second),
        unit => format!("{}/s", format_value(per_second, unit)),
    }
}

/// A metric's definition, whether it has data or not.
fn metric(test: &TestData, name: &str) -> Option<MetricDef> {
    let builtin = || Builtin::ALL.iter().find(|metric| metric.name() == name).map(|metric| metric.def());
    let declared = || test.document.outcome.metrics.iter().find(|def| def.name == name).cloned();
    builtin().or_else(declared).or_else(|| test.metrics().into_iter().find(|def| def.name == name))
}

/// Errors of one kind.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ErrorView {
    /// The scenario.
    pub scenario: String,
    /// `iteration`, `panic`, `http`, `measure`.
    pub kind: String,
    /// Text of the first one, without its hint.
    pub message: Long,
    /// What to do about it, whole: half a command helps nobody.
    pub hint: Option<String>,
    /// Place in the source, or empty.
    pub place: String,
    /// How many.
    pub count: String,
    /// Seconds from the start of the first one.
    pub first_at: String,
}

/// The errors of a test, the most frequent first.
pub(super) fn errors(test: &TestData, columns: usize, most: usize) -> Vec<ErrorView> {
    let view = |error: &ErrorOutcome| {
        let (message, hint) = match error.message.split_once("\nhint: ") {
            Some((message, hint)) => (message, Some(clean::clip(&clean::line(hint), HINT_COLUMNS.min(most)))),
            None => (error.message.as_str(), None),
        };
        ErrorView {
            scenario: clean::line(&error.scenario),
            kind: clean::line(&error.kind),
            message: Long::new(message, columns, most),
            hint,
            place: clean::line(error.place.as_deref().unwrap_or_default()),
            count: format_count(error.count as f64),
            first_at: format!("{:.1}s", error.first_at),
        }
    };
    test.document.outcome.errors.iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn margins_are_never_rounded_to_all_or_nothing() {
        assert_eq!(percent(1.0 - 0.644 / 500.0), "99.9%");
        assert_eq!(percent(0.999_999), ">99.9%");
        assert_eq!(percent(0.001), "<1%");
        assert_eq!(percent(0.0), "0%");
        assert_eq!(percent(1.0), "100%");
        assert_eq!(percent(0.87), "87%");
        assert_eq!(percent(1.25), "125%");
        assert_eq!(percent(12.0), "12×");
    }
}
