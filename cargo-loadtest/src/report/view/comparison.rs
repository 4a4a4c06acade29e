//! A comparison with a baseline as finished texts.

use jiff::Timestamp;
use loadtest_core::units::{format_count, format_millis, format_percent, format_rate};
use serde::Serialize;

use crate::compare::{Comparison, MetricComparison, MetricKind, Mode, Side, TestComparison, Verdict};
use crate::report::clean;

/// What is said once for the whole comparison.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct ComparisonView {
    /// `REGRESSED`, `NOT VERIFIED: inconclusive`, …
    pub verdict: String,
    /// The status class of that.
    pub class: &'static str,
    /// Mode, baseline, age, and what such a comparison can and can't tell.
    pub headline: String,
    /// What this kind of comparison can and can't tell.
    pub power: String,
    /// What the reader should know.
    pub warnings: Vec<String>,
}

/// A test's part.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct TestComparisonView {
    /// In words.
    pub verdict: String,
    /// The status class of that.
    pub class: &'static str,
    /// Reasons and warnings.
    pub reasons: Vec<String>,
    /// Gate metrics first.
    pub rows: Vec<RowView>,
}

/// A metric's row.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct RowView {
    /// Its name.
    pub name: String,
    /// Whether it decides.
    pub gate: bool,
    /// The baseline's value.
    pub base: String,
    /// The fresh run's value.
    pub head: String,
    /// The change.
    pub change: String,
    /// Its 95 % interval.
    pub interval: String,
    /// A symbol for the verdict.
    pub mark: &'static str,
    /// The verdict in words.
    pub verdict: String,
    /// The status class of that.
    pub class: &'static str,
    /// Why it is not judged or not certain.
    pub reason: Option<String>,
}

impl ComparisonView {
    /// The texts for a comparison.
    pub(in crate::report) fn new(comparison: &Comparison) -> Self {
        let effect = whole_percent(comparison.min_effect);
        let same = whole_percent(comparison.equivalence);
        let (mode, power) = match comparison.mode {
            Mode::Stored => (
                format!(
                    "One stored run against one fresh run, which tells changes above {effect} and nothing smaller"
                ),
                format!(
                    "“{}” does not mean that nothing changed. Runs made at different times differ by \
                     themselves; {} between sessions is assumed.",
                    verdict_text(Verdict::Unchanged, comparison.equivalence),
                    whole_percent(comparison.session_spread),
                ),
            ),
        };
        let verdict = match comparison.verdict {
            Verdict::Regressed => "REGRESSED".to_owned(),
            Verdict::Improved => "IMPROVED".to_owned(),
            Verdict::Unchanged => format!("NO CHANGE ABOVE {same}"),
            Verdict::Inconclusive => "NOT VERIFIED: inconclusive".to_owned(),
            Verdict::NotComparable => "NOT VERIFIED: not comparable".to_owned(),
            Verdict::Invalid => "INVALID".to_owned(),
        };
        Self {
            verdict,
            class: class(comparison.verdict),
            headline: format!("{mode}: {}", side(&comparison.base, &comparison.head.started_at)),
            power,
            warnings: comparison.warnings.iter().map(|text| clean::line(text)).collect(),
        }
    }
}

impl TestComparisonView {
    /// The texts for a test of a comparison.
    pub(in crate::report) fn new(test: &TestComparison, comparison: &Comparison) -> Self {
        Self {
            verdict: verdict_text(test.verdict, comparison.equivalence),
            class: class(test.verdict),
            reasons: test.reasons.iter().map(|text| clean::line(text)).collect(),
            rows: test.metrics.iter().map(|metric| row(metric, comparison)).collect(),
        }
    }
}

fn row(metric: &MetricComparison, comparison: &Comparison) -> RowView {
    let value = |value: Option<f64>| match (value, metric.kind) {
        (None, _) => "no data".to_owned(),
        (Some(value), MetricKind::Latency) => format_millis(value),
        (Some(value), MetricKind::Throughput | MetricKind::Capacity) => format_rate(value),
        (Some(value), MetricKind::Share) => format_percent(value),
    };
    let change = |value: f64| match metric.kind {
        // Adding zero turns a rounded −0 into 0.
        MetricKind::Share => format!("{:+.2} pp", (value * 10_000.0).round() / 100.0 + 0.0),
        _ if value >= 10.0 => format!("×{}", format_count(value.round())),
        _ => format!("{:+.1}%", (value - 1.0) * 100.0),
    };
    RowView {
        name: clean::line(&metric.name),
        gate: metric.gate,
        base: value(metric.base),
        head: value(metric.head),
        change: metric.change.map_or_else(|| "–".to_owned(), change),
        interval: match metric.interval {
            Some((low, high)) => format!("{} … {}", change(low), change(high)),
            None => "–".to_owned(),
        },
        mark: verdict_mark(metric.verdict),
        verdict: match (metric.verdict, metric.kind) {
            (Verdict::Unchanged, MetricKind::Share) => {
                format!("no change above {} pp", comparison.share_equivalence * 100.0)
            }
            (Verdict::Unchanged, MetricKind::Capacity) => "no change".to_owned(),
            (verdict, _) => verdict_text(verdict, comparison.equivalence),
        },
        class: class(metric.verdict),
        reason: metric.reason.as_deref().map(clean::line),
    }
}

/// A verdict in words. "Unchanged" says how much it leaves open.
fn verdict_text(verdict: Verdict, equivalence: f64) -> String {
    match verdict {
        Verdict::Regressed => "regressed".to_owned(),
        Verdict::Improved => "improved".to_owned(),
        Verdict::Unchanged => format!("no change above {}", whole_percent(equivalence)),
        Verdict::Inconclusive => "inconclusive".to_owned(),
        Verdict::NotComparable => "not comparable".to_owned(),
        Verdict::Invalid => "invalid".to_owned(),
    }
}

/// A symbol for it, which tells the same as the colour.
pub(in crate::report) fn verdict_mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Regressed => "✗",
        Verdict::Improved => "✓",
        Verdict::Unchanged => "=",
        Verdict::Inconclusive => "?",
        Verdict::NotComparable => "–",
        Verdict::Invalid => "!",
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Regressed => "fail",
        Verdict::Improved | Verdict::Unchanged => "pass",
        Verdict::Inconclusive | Verdict::NotComparable | Verdict::Invalid => "invalid",
    }
}

/// A side in words: name, revision, age as seen from `now`.
fn side(side: &Side, now: &str) -> String {
    let name = match &side.baseline {
        Some(name) => format!("baseline `{}`", clean::clip(&clean::line(name), 60)),
        None => format!("run {}", clean::clip(&clean::line(&side.run), 60)),
    };
    let age = age(&side.started_at, now).map(|age| format!(", {age}")).unwrap_or_default();
    format!("{name} ({}{age})", revision(side.commit.as_deref(), side.dirty))
}

/// A revision in words.
pub(in crate::report) fn revision(commit: Option<&str>, dirty: bool) -> String {
    match commit {
        Some(commit) => {
            let short: String = clean::line(commit).chars().take(9).collect();
            if dirty { format!("{short} with local changes") } else { short }
        }
        None => "no commit known".to_owned(),
    }
}

/// How much earlier one time is than another: `3 days older`.
fn age(earlier: &str, later: &str) -> Option<String> {
    let (earlier, later): (Timestamp, Timestamp) = (earlier.parse().ok()?, later.parse().ok()?);
    let seconds = later.duration_since(earlier).as_secs_f64();
    if seconds < 0.0 {
        return Some("newer than this run".to_owned());
    }
    let (length, name) = match seconds {
        s if s < 120.0 => (1.0, "second"),
        s if s < 7_200.0 => (60.0, "minute"),
        s if s < 172_800.0 => (3_600.0, "hour"),
        _ => (86_400.0, "day"),
    };
    let count = (seconds / length).round();
    let plural = if count == 1.0 { "" } else { "s" };
    Some(format!("{} {name}{plural} older", format_count(count)))
}

/// `25%`, `2.5%`.
fn whole_percent(share: f64) -> String {
    let percent = share * 100.0;
    if (percent - percent.round()).abs() < 0.05 { format!("{percent:.0}%") } else { format!("{percent:.1}%") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_one_unit() {
        let of = |later: &str| age("2026-05-01T10:00:00Z", later);
        assert_eq!(of("2026-05-01T10:00:01Z").as_deref(), Some("1 second older"));
        assert_eq!(of("2026-05-01T11:30:00Z").as_deref(), Some("90 minutes older"));
        assert_eq!(of("2026-05-02T10:00:00Z").as_deref(), Some("24 hours older"));
        assert_eq!(of("2026-05-04T09:00:00Z").as_deref(), Some("3 days older"));
        assert_eq!(of("2026-04-01T00:00:00Z").as_deref(), Some("newer than this run"));
        assert_eq!(age("yesterday", "today"), None);
    }
}
