//! A comparison as finished texts: the first line, and a row for each metric.
//!
//! The main types are [`ComparisonView`] and [`TestRows`], which the summary, the page and CI share, so that words
//! and numbers are the same everywhere. Nothing here judges: it puts into words what the comparison holds.

use jiff::Timestamp;
use loadtest_core::units::{format_count, format_millis, format_percent, format_rate};
use serde::Serialize;

use crate::compare::{Comparison, MetricComparison, MetricKind, Mode, TestComparison, Verdict};
use crate::report::clean;

mod line;
mod order;

pub use line::first_line;
pub(in crate::report) use line::{reason_of, short_id};

/// What is said once for the whole comparison.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct ComparisonView {
    /// `REGRESSED`, `NOT VERIFIED: inconclusive`, …
    pub verdict: String,
    /// The status class of that.
    pub class: &'static str,
    /// What it is compared with, for a title.
    pub title: String,
    /// Reason, mode, what it is compared with, why, and what it can tell.
    pub headline: String,
    /// What this kind of comparison can and can't tell.
    pub power: String,
    /// The runs in the order in which they were made, if it is the same for all tests.
    pub order: Option<String>,
    /// What the reader should know.
    pub warnings: Vec<String>,
    /// The command that repeats it.
    pub repeat: Option<String>,
    /// The name of what is compared with, as a column's.
    pub base_name: &'static str,
    /// The name of what is judged.
    pub head_name: &'static str,
}

/// The finished texts of a test's part of a comparison. They are clean of control characters and are not escaped
/// for any markup.
#[derive(Debug, Clone, Serialize)]
pub struct TestRows {
    /// `package/target/path::name`, cleaned.
    pub id: String,
    /// Its last part.
    pub name: String,
    /// In words: `regressed`, `no change above 10%`, …
    pub verdict: String,
    /// A symbol that tells the same: `✗`, `✓`, `=`, `?`, `–`, `!`.
    pub mark: &'static str,
    /// The status class of that: `pass`, `fail` or `invalid`.
    pub class: &'static str,
    /// Reasons and warnings.
    pub reasons: Vec<String>,
    /// The runs in the order in which they were made, if another test has another order.
    pub order: Option<String>,
    /// Whether the p-values say more than the verdicts do.
    pub has_p: bool,
    /// Gate metrics first.
    pub rows: Vec<MetricRow>,
}

/// The finished texts of a metric.
#[derive(Debug, Clone, Serialize)]
pub struct MetricRow {
    /// Its name.
    pub name: String,
    /// Whether it decides.
    pub gate: bool,
    /// The base's value, with its unit.
    pub base: String,
    /// Head's value.
    pub head: String,
    /// The change: `+12.3%`, `+0.40 pp`, `×12`, or `–`.
    pub change: String,
    /// Its 95 % interval: `+8.1% … +16.7%`, or `–`.
    pub interval: String,
    /// Its adjusted p-value: `0.013`, `<0.001`, or `–`.
    pub p: String,
    /// A symbol for the verdict.
    pub mark: &'static str,
    /// The verdict in words.
    pub verdict: String,
    /// The status class of that.
    pub class: &'static str,
    /// The smallest change that counts, where it is above the test's.
    pub raised: Option<String>,
    /// Why it is not judged or not certain, and what would be needed.
    pub reason: Option<String>,
}

/// The finished texts of every test of a comparison.
pub fn comparison_rows(comparison: &Comparison) -> Vec<TestRows> {
    comparison.tests.iter().map(|test| TestRows::new(test, comparison)).collect()
}

impl ComparisonView {
    /// The texts for a comparison.
    pub(in crate::report) fn new(comparison: &Comparison) -> Self {
        let effect = whole_percent(comparison.rule.min_effect);
        let same = verdict_text(Verdict::Unchanged, widest_equivalence(comparison));
        let measured = comparison.tests.iter().any(|test| !test.metrics.is_empty());
        let power = match comparison.mode {
            // Nothing could be told, whatever such a comparison can tell otherwise.
            _ if !measured => String::new(),
            Mode::Duet => format!(
                "Both sides were built and run in turn on one machine, and are judged pair by pair: what disturbs the \
                 machine disturbs both. A change counts from {effect} on; “{same}” means that it was looked at closely \
                 enough to know."
            ),
            Mode::History => format!(
                "The runs are judged against the spread of {} earlier sessions on machines of this class. A change \
                 counts from {effect} on.",
                comparison.base.sessions
            ),
            Mode::Stored => format!(
                "“{same}” does not mean that nothing changed. Runs made at different times differ by themselves{}.",
                match comparison.rule.session_spread {
                    Some(spread) => format!("; {} between sessions is assumed", whole_percent(spread)),
                    None => String::new(),
                }
            ),
        };
        let (base_name, head_name) = side_names(comparison);
        Self {
            verdict: line::word(comparison),
            class: class(comparison.verdict),
            title: line::title(comparison),
            headline: line::after_verdict(comparison),
            power,
            order: order::shared(comparison),
            warnings: comparison.warnings.iter().map(|text| clean::line(text)).collect(),
            repeat: (!comparison.repeat.is_empty()).then(|| clean::line(&comparison.repeat)),
            base_name,
            head_name,
        }
    }
}

impl TestRows {
    /// The texts for a test of a comparison.
    pub(in crate::report) fn new(test: &TestComparison, comparison: &Comparison) -> Self {
        let order = order::shared(comparison).is_none().then(|| order::of_test(test, comparison)).flatten();
        let discarded = order::discarded(test, comparison);
        // One stored session has no p-value that anyone should believe to three digits.
        let tells = |metric: &MetricComparison| metric.p.is_some() && metric.interval.is_some();
        Self {
            id: clean::line(&test.id),
            name: short_id(&test.id),
            verdict: verdict_text(test.verdict, test.rule.equivalence),
            mark: verdict_mark(test.verdict),
            class: class(test.verdict),
            reasons: test.reasons.iter().map(|text| clean::line(text)).chain(discarded).collect(),
            order,
            has_p: comparison.mode != Mode::Stored && test.metrics.iter().any(tells),
            rows: test.metrics.iter().map(|metric| row(metric, test)).collect(),
        }
    }
}

fn row(metric: &MetricComparison, test: &TestComparison) -> MetricRow {
    MetricRow {
        name: clean::line(&metric.name),
        gate: metric.gate,
        base: value_text(metric.base, metric.kind),
        head: value_text(metric.head, metric.kind),
        change: metric.change.map_or_else(|| "–".to_owned(), |change| change_text(change, metric.kind)),
        interval: interval_text(metric.interval, metric.kind),
        p: metric.p.map_or_else(|| "–".to_owned(), p_text),
        mark: verdict_mark(metric.verdict),
        verdict: match (metric.verdict, metric.kind) {
            (Verdict::Unchanged, MetricKind::Share) => {
                format!("no change above {}", points(test.rule.share_equivalence))
            }
            (Verdict::Unchanged, MetricKind::Capacity) => "no change".to_owned(),
            (verdict, _) => verdict_text(verdict, test.rule.equivalence),
        },
        class: class(metric.verdict),
        raised: (metric.kind != MetricKind::Share && metric.min_effect > test.rule.min_effect + 5e-4).then(
            || {
                format!(
                    "counts from {} on here, instead of {}",
                    whole_percent(metric.min_effect),
                    whole_percent(test.rule.min_effect)
                )
            },
        ),
        reason: metric.reason.as_deref().map(clean::line).or_else(|| needed(metric)),
    }
}

/// What would be needed to know, where the comparison says only numbers.
fn needed(metric: &MetricComparison) -> Option<String> {
    if metric.verdict != Verdict::Inconclusive {
        return None;
    }
    let found = metric
        .detectable
        .filter(|found| found.is_finite())
        .map(|found| format!("a change by {} would have been found", change_text(found, metric.kind)));
    let needs = metric.runs_needed.map(|runs| format!("about {runs} runs of each side would be needed"));
    let parts: Vec<String> = found.into_iter().chain(needs).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// A metric's value with its unit.
pub(in crate::report) fn value_text(value: Option<f64>, kind: MetricKind) -> String {
    match (value, kind) {
        (None, _) => "no data".to_owned(),
        (Some(value), MetricKind::Latency) => format_millis(value),
        (Some(value), MetricKind::Throughput | MetricKind::Capacity) => format_rate(value),
        (Some(value), MetricKind::Share) => format_percent(value),
    }
}

/// A change: a difference of shares, or a ratio in percent, or as a multiple if it is large.
pub(in crate::report) fn change_text(value: f64, kind: MetricKind) -> String {
    match kind {
        // Adding zero turns a rounded −0 into 0.
        MetricKind::Share => format!("{:+.2} pp", (value * 10_000.0).round() / 100.0 + 0.0),
        _ if !value.is_finite() => "×∞".to_owned(),
        _ if value >= 10.0 => format!("×{}", format_count(value.round())),
        _ => format!("{:+.1}%", ((value - 1.0) * 1000.0).round() / 10.0 + 0.0),
    }
}

/// An interval of changes.
pub(in crate::report) fn interval_text(interval: Option<(f64, f64)>, kind: MetricKind) -> String {
    match interval {
        Some((low, high)) => format!("{} … {}", change_text(low, kind), change_text(high, kind)),
        None => "–".to_owned(),
    }
}

fn p_text(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{:.3}", p.min(1.0)) }
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

/// What the two sides are called where a column or a line needs a name.
pub(in crate::report) fn side_names(comparison: &Comparison) -> (&'static str, &'static str) {
    match comparison.mode {
        Mode::Duet => ("base", "head"),
        Mode::History | Mode::Stored => ("baseline", "this run"),
    }
}

/// The widest zone of equivalence over the tests: what "unchanged" leaves open for all of them.
fn widest_equivalence(comparison: &Comparison) -> f64 {
    let zones = comparison.tests.iter().map(|test| test.rule.equivalence);
    zones.reduce(f64::max).unwrap_or(comparison.rule.equivalence)
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

/// `25%`, `2.5%`.
pub(in crate::report) fn whole_percent(share: f64) -> String {
    let percent = share * 100.0;
    if (percent - percent.round()).abs() < 0.05 { format!("{percent:.0}%") } else { format!("{percent:.1}%") }
}

/// `0.1 pp`.
fn points(share: f64) -> String {
    format!("{} pp", (share * 1e6).round() / 1e4)
}

/// How much earlier one time is than another, as a length: `3 days`; `None` if it is not earlier.
fn length(earlier: &str, later: &str) -> Option<Result<String, ()>> {
    let (earlier, later): (Timestamp, Timestamp) = (earlier.parse().ok()?, later.parse().ok()?);
    let seconds = later.duration_since(earlier).as_secs_f64();
    if seconds < 0.0 {
        return Some(Err(()));
    }
    let (length, name) = match seconds {
        s if s < 120.0 => (1.0, "second"),
        s if s < 7_200.0 => (60.0, "minute"),
        s if s < 172_800.0 => (3_600.0, "hour"),
        _ => (86_400.0, "day"),
    };
    let count = (seconds / length).round();
    let plural = if count == 1.0 { "" } else { "s" };
    Some(Ok(format!("{} {name}{plural}", format_count(count))))
}

#[cfg(test)]
mod tests;
