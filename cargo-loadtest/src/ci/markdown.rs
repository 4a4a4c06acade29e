//! A run as Markdown, in the dialect that GitHub and GitLab share: what a job summary and a comment hold.
//!
//! The main type is [`Page`]; [`text`], [`code`] and [`fence`] escape. A page is made of lines, so that one that is too
//! long can be cut between them. Nothing from outside becomes a mention, a reference, a link, HTML, or a cell more.

use std::fmt::Write as _;

use loadtest_core::metric::{Builtin, Unit};
use loadtest_core::units::{format_count, format_millis, format_percent};

use crate::compare::{Mode, Verdict};
use crate::data::{TestData, successes};
use crate::report::{self, MetricRow};
use crate::verdict::ExitCode;

use super::findings::{Level, owner};
use super::{Facts, findings, text as plain};

/// The longest text from outside that is shown in one place, in bytes.
const MAX_TEXT: usize = 1_000;

/// The longest command that is shown: a cut one would be another command.
const MAX_COMMAND: usize = 8_000;

/// A page in three parts: what has to be there, what may be cut, what has to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    head: String,
    lines: Vec<String>,
    tail: String,
}

/// What is said in place of lines that are left out.
const CUT: &str = "\n*The rest did not fit here; the report has all of it.*\n";

impl Page {
    /// The run on a page; `advisory` adds the metrics that do not decide.
    pub(super) fn new(facts: &Facts<'_>, advisory: bool) -> Self {
        let head = format!("## Load test\n\n**{}**\n", text(facts.first_line));
        let mut lines = Vec::new();
        lines.extend(problems(facts));
        lines.extend(comparison(facts, advisory));
        lines.extend(tests(facts));
        let mut tail = String::new();
        if !facts.repeat.trim().is_empty() {
            let whose = if facts.comparison.is_some() { "comparison" } else { "run" };
            tail = match facts.repeat.len() <= MAX_COMMAND {
                true => format!("\nTo repeat this {whose} locally:\n\n{}", fence(facts.repeat)),
                false => format!(
                    "\nThe command that repeats this {whose} is too long for here; the report has it.\n"
                ),
            };
        }
        Self { head, lines, tail }
    }

    /// The page within so many bytes, after a line of its own; `None` if there is no room for its first line and its
    /// last.
    pub(super) fn within(&self, bytes: usize) -> Option<String> {
        let fixed = self.head.len() + self.tail.len();
        let whole = fixed + self.lines.iter().map(|line| line.len() + 1).sum::<usize>();
        let is_cut = whole > bytes;
        let mut room = bytes.checked_sub(fixed + if is_cut { CUT.len() } else { 0 })?;
        let mut page = self.head.clone();
        for line in &self.lines {
            let Some(rest) = room.checked_sub(line.len() + 1) else { break };
            room = rest;
            page.push_str(line);
            page.push('\n');
        }
        if is_cut {
            page.push_str(CUT);
        }
        page.push_str(&self.tail);
        Some(page)
    }
}

/// What failed apart from the comparison, which has a table of its own.
fn problems(facts: &Facts<'_>) -> Vec<String> {
    let compared = |finding: &findings::Finding| {
        let tests = facts.comparison.map_or(&[][..], |comparison| &comparison.tests);
        let judged = facts.judgement.reasons.iter().any(|(_, reason)| {
            owner(facts, reason)
                .is_some_and(|(id, said)| Some(id) == finding.test.as_deref() && said == finding.message)
        });
        !judged && tests.iter().any(|test| Some(&test.id) == finding.test.as_ref())
    };
    let lines: Vec<String> = findings::of(facts)
        .iter()
        .filter(|finding| !compared(finding))
        .map(|finding| {
            let mark = match finding.level {
                Level::Error => "✗",
                Level::Warning => "?",
            };
            let whose = finding.test.as_deref().map(|id| format!("{}: ", code(id))).unwrap_or_default();
            format!("- {mark} {whose}{}", text(&finding.message))
        })
        .collect();
    if lines.is_empty() { lines } else { [vec![String::new()], lines].concat() }
}

fn comparison(facts: &Facts<'_>, advisory: bool) -> Vec<String> {
    let Some(comparison) = facts.comparison else { return Vec::new() };
    let tests = report::comparison_rows(comparison);
    let (base, head) = match comparison.mode {
        Mode::Duet => ("base", "head"),
        Mode::History | Mode::Stored => ("baseline", "this run"),
    };
    let header = |title: Option<&str>| {
        [
            title.map(|title| format!("\n{title}\n")).unwrap_or_default(),
            format!("| | test | metric | {base} | {head} | change | 95 % interval | verdict |"),
            "|:-:|---|---|--:|--:|--:|--:|---|".to_owned(),
        ]
    };
    let row = |test: &str, row: &MetricRow| {
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.mark,
            cell(test),
            text(&row.name),
            text(&row.base),
            text(&row.head),
            text(&row.change),
            text(&row.interval),
            text(&row.verdict),
        )
    };
    let mut lines = Vec::new();
    if tests.iter().any(|test| !test.rows.is_empty()) {
        lines.extend(header(None));
    }
    for test in &tests {
        lines.extend(test.rows.iter().filter(|metric| metric.gate).map(|metric| row(&test.name, metric)));
    }
    let mut reasons = Vec::new();
    for test in &tests {
        if test.rows.iter().all(|metric| !metric.gate) {
            reasons.push(format!("- {} {}: {}", test.mark, code(&test.id), text(&test.verdict)));
        }
        reasons.extend(test.reasons.iter().map(|reason| format!("- {}: {}", code(&test.name), text(reason))));
        let metrics = test.rows.iter().filter(|metric| metric.gate);
        reasons.extend(metrics.filter_map(|metric| {
            let reason = metric.reason.as_deref()?;
            Some(format!("- {}, {}: {}", code(&test.name), text(&metric.name), text(reason)))
        }));
    }
    reasons.extend(comparison.warnings.iter().map(|warning| format!("- {}", text(warning))));
    if !reasons.is_empty() {
        lines.push(String::new());
        lines.extend(reasons);
    }
    if let Some(closer) = &comparison.closer {
        let command = code(&plain::clip(&closer.command, MAX_COMMAND));
        lines.push(format!("\nFor a closer look (about {:.0} min): {command}", closer.minutes.max(1.0)));
    }
    if advisory && tests.iter().any(|test| test.rows.iter().any(|metric| !metric.gate)) {
        lines.extend(header(Some("For information; these do not decide:")));
        for test in &tests {
            lines
                .extend(test.rows.iter().filter(|metric| !metric.gate).map(|metric| row(&test.name, metric)));
        }
    }
    lines
}

/// The key figures and thresholds of each test, where no comparison shows them.
fn tests(facts: &Facts<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if facts.comparison.is_none() && !facts.run.tests.is_empty() {
        lines.push("\n| | test | requests | failed | p50 | p95 | p99 |".to_owned());
        lines.push("|:-:|---|--:|--:|--:|--:|--:|".to_owned());
        lines.extend(facts.run.tests.iter().map(|test| figures(facts, test)));
    }
    let thresholds: Vec<String> = facts
        .run
        .tests
        .iter()
        .flat_map(|test| test.document.outcome.thresholds.iter().map(move |threshold| (test, threshold)))
        .map(|(test, threshold)| {
            format!(
                "| {} | {} | {} | {} |",
                if threshold.holds { "✓" } else { "✗" },
                cell(findings::short(&test.document.id)),
                cell(&threshold.source),
                threshold.actual.map_or_else(|| "no data".to_owned(), |actual| format!("{actual:.4}")),
            )
        })
        .collect();
    if !thresholds.is_empty() {
        lines.push("\n| | test | threshold | measured |".to_owned());
        lines.push("|:-:|---|---|--:|".to_owned());
        lines.extend(thresholds);
    }
    lines
}

/// A row of key figures, latencies of successes only.
fn figures(facts: &Facts<'_>, test: &TestData) -> String {
    let id = &test.document.id;
    let worst = facts
        .judgement
        .reasons
        .iter()
        .find(|(_, reason)| owner(facts, reason).is_some_and(|(of, _)| of == id));
    let mark = match worst {
        None => "✓",
        Some((ExitCode::Invalid, _)) => "!",
        Some(_) => "✗",
    };
    let requests = test.total(Builtin::HttpReqs.name(), |_| true);
    let failed = test.total(Builtin::HttpReqFailed.name(), |_| true);
    let latency = test.total(test.latency_metric(), successes);
    let quantile = |q| latency.quantile(q, Unit::Millis).map_or_else(|| "–".to_owned(), format_millis);
    let mut row = format!("| {mark} | {} | {} |", cell(id), text(&format_count(requests.sum)));
    let share = failed.mean().map_or_else(|| "–".to_owned(), format_percent);
    // Writing to a String can't fail.
    let _ = write!(row, " {} | {} | {} | {} |", text(&share), quantile(0.5), quantile(0.95), quantile(0.99));
    row
}

/// Text as a part of a line: no markup, mention, reference or link comes of it.
pub(super) fn text(text: &str) -> String {
    let text = plain::clip(&plain::line(text), MAX_TEXT);
    let mut escaped = String::with_capacity(text.len() + 16);
    let chars: Vec<char> = text.chars().collect();
    for (at, c) in chars.iter().enumerate() {
        let before = |word: &str| ends_with(&chars[..at], word);
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // Services look for these in the text that the browser shows, so escaping by itself changes nothing: a
            // character without width tears them apart.
            '@' | '#' | '$' => {
                escaped.push('\\');
                escaped.push(*c);
                if chars.get(at + 1).is_some_and(|next| !next.is_whitespace()) {
                    escaped.push_str("&#8203;");
                }
            }
            '/' if chars.get(at + 1) == Some(&'/') => escaped.push_str("/&#8203;"),
            '.' if before("www") => escaped.push_str("&#8203;."),
            '-' if before("gh") => escaped.push_str("&#8203;-"),
            // At the beginning a list would come of it.
            '-' | '+' | '=' | '0'..='9' if at == 0 => {
                escaped.push_str("&#8203;");
                escaped.push(*c);
            }
            // `:name:` is an emoji.
            ':' if chars.get(at + 1).is_some_and(|next| next.is_alphanumeric()) => {
                escaped.push_str(":&#8203;")
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '!' | '|' | '~' => {
                escaped.push('\\');
                escaped.push(*c);
            }
            c => escaped.push(*c),
        }
    }
    escaped
}

fn ends_with(chars: &[char], word: &str) -> bool {
    let count = word.chars().count();
    chars.len() >= count && chars[chars.len() - count..].iter().map(char::to_ascii_lowercase).eq(word.chars())
}

/// Text as code within a line: nothing in it is looked at, and it can't end early.
pub(super) fn code(text: &str) -> String {
    let text = plain::clip(&plain::line(text), MAX_TEXT);
    let ticks = "`".repeat(longest_run(&text, '`') + 1);
    let space = if text.is_empty() || text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{ticks}{space}{text}{space}{ticks}")
}

/// The same in a table, which ends a cell at a bar even in code and takes the backslash before it away again.
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// A command as a block of its own.
pub(super) fn fence(text: &str) -> String {
    let text = plain::line(text);
    let ticks = "`".repeat(longest_run(&text, '`').max(2) + 1);
    format!("{ticks}sh\n{text}\n{ticks}\n")
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|c| c != of).map(str::len).max().unwrap_or(0)
}

/// The verdict in one word for scripts: that of the comparison, else how the run ended.
pub(super) fn verdict(facts: &Facts<'_>) -> String {
    match facts.comparison.map(|comparison| comparison.verdict) {
        Some(Verdict::Regressed) => "regressed",
        Some(Verdict::Improved) => "improved",
        Some(Verdict::Unchanged) => "unchanged",
        Some(Verdict::Inconclusive) => "inconclusive",
        Some(Verdict::NotComparable) => "not_comparable",
        Some(Verdict::Invalid) => "invalid",
        None => match facts.judgement.code {
            ExitCode::Passed => "passed",
            ExitCode::Invalid => "invalid",
            ExitCode::Interrupted => "interrupted",
            _ => "failed",
        },
    }
    .to_owned()
}
