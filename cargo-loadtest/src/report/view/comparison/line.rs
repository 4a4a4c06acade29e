//! The first line: the verdict, why, how the sides were measured, what with, and what that can tell.
//!
//! The main function is [`first_line`]. It is one line whatever the texts in it are: they are clipped one by one.

use super::{change_text, length, revision, verdict_mark, whole_percent, widest_equivalence};
use crate::compare::{Comparison, MetricComparison, Mode, Side, TestComparison, Verdict};
use crate::report::clean;

/// A reason takes at most this many columns of the line.
const REASON: usize = 240;
/// Why it was compared in this way.
const WHY: usize = 120;
/// A name.
const NAME: usize = 60;
/// Metrics that are named.
const METRICS: usize = 2;

/// The verdict of a comparison in one line: `✗ REGRESSED. p95 +12.4%. Duet of 6 pairs against main (the merge base
/// of main and HEAD, 1a2b3c4, 3 days old): finds changes from 5%.`
///
/// It is clean of control characters, ends with a full stop, and is not escaped for any markup.
pub fn first_line(comparison: &Comparison) -> String {
    format!("{} {}. {}", verdict_mark(comparison.verdict), word(comparison), after_verdict(comparison))
}

/// The verdict as the first line shouts it.
pub(super) fn word(comparison: &Comparison) -> String {
    match comparison.verdict {
        Verdict::Regressed => "REGRESSED".to_owned(),
        Verdict::Improved => "IMPROVED".to_owned(),
        Verdict::Unchanged => format!("NO CHANGE ABOVE {}", whole_percent(widest_equivalence(comparison))),
        Verdict::Inconclusive => "NOT VERIFIED: inconclusive".to_owned(),
        Verdict::NotComparable => "NOT VERIFIED: not comparable".to_owned(),
        Verdict::Invalid => "INVALID".to_owned(),
    }
}

/// What comes after the verdict: the reason, the mode, and what else could be done.
pub(super) fn after_verdict(comparison: &Comparison) -> String {
    // Names of tests and metrics, with which the other reasons begin, stay as they are.
    let named = comparison.tests.len() > 1
        || matches!(comparison.verdict, Verdict::Regressed | Verdict::Inconclusive);
    let reason = reason_of(comparison).map(|reason| if named { reason } else { capital(&reason) });
    let reason = reason.map(|reason| format!("{} ", sentence_of(&reason, REASON)));
    let why = match comparison.why.trim().trim_end_matches('.') {
        "" => String::new(),
        why => format!(", because {}", clean::clip(&clean::line(why), WHY)),
    };
    let tells = match (comparison.verdict, comparison.mode) {
        // Nothing was judged, so there is nothing that it could have found.
        (Verdict::NotComparable | Verdict::Invalid | Verdict::Inconclusive, _) => String::new(),
        (_, Mode::Duet | Mode::History) => {
            format!(": finds changes from {}", whole_percent(comparison.rule.min_effect))
        }
        (_, Mode::Stored) => {
            format!(": tells changes above {} and nothing smaller", whole_percent(comparison.rule.min_effect))
        }
    };
    let closer = comparison.closer.as_ref().map(|closer| {
        let minutes = match closer.minutes.ceil() {
            minutes if minutes <= 1.0 => "1 min".to_owned(),
            minutes => format!("{minutes:.0} min"),
        };
        format!(
            " For a closer look: `{}` (about {minutes}).",
            // Never cut: it is there to be copied.
            clean::line(&closer.command)
        )
    });
    format!(
        "{}{}{why}{tells}.{}",
        reason.unwrap_or_default(),
        mode_and_base(comparison),
        closer.unwrap_or_default()
    )
}

/// How it was measured and what it is compared with: `Duet of 6 pairs against main (1a2b3c4, 3 days old)`.
fn mode_and_base(comparison: &Comparison) -> String {
    let now = &comparison.head.started_at;
    let base = side(&comparison.base, now);
    match comparison.mode {
        Mode::Duet => {
            let pairs = comparison.tests.iter().map(|test| test.runs).max().unwrap_or_default();
            match pairs {
                0 => format!("Duet against {base}"),
                1 => format!("Duet of 1 pair against {base}"),
                n => format!("Duet of {n} pairs against {base}"),
            }
        }
        Mode::History => {
            let sessions = match comparison.base.sessions {
                1 => "1 earlier session".to_owned(),
                n => format!("{n} earlier sessions"),
            };
            format!("{} against {sessions} of {base}", capital(&runs(&comparison.head, "fresh")))
        }
        Mode::Stored => format!(
            "{} against {}: {base}",
            capital(&runs(&comparison.base, "stored")),
            runs(&comparison.head, "fresh")
        ),
    }
}

/// What it is compared with, for a title.
pub(super) fn title(comparison: &Comparison) -> String {
    match (&comparison.base.name, comparison.base.is_saved) {
        (Some(_), true) => format!("the baseline {}", name(&comparison.base)),
        _ => name(&comparison.base),
    }
}

/// Why the verdict is what it is: of the most severe test, with its name if there are several.
pub(in crate::report) fn reason_of(comparison: &Comparison) -> Option<String> {
    let decides = comparison.tests.iter().find(|test| test.verdict == comparison.verdict);
    let reason = match decides {
        Some(test) => reason_of_test(test).map(|reason| match comparison.tests.len() {
            1 => reason,
            _ => format!("{}: {reason}", clean::clip(&short_id(&test.id), NAME)),
        }),
        None => None,
    };
    let unjudged =
        matches!(comparison.verdict, Verdict::Invalid | Verdict::NotComparable | Verdict::Inconclusive);
    reason.or_else(|| comparison.warnings.first().filter(|_| unjudged).map(|text| clean::line(text)))
}

fn reason_of_test(test: &TestComparison) -> Option<String> {
    let gates = || test.metrics.iter().filter(|metric| metric.gate && metric.verdict == test.verdict);
    match test.verdict {
        Verdict::Unchanged | Verdict::Improved => None,
        Verdict::Regressed => {
            let moved: Vec<String> = gates().map(moved).collect();
            let more = match moved.len().saturating_sub(METRICS) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            (!moved.is_empty()).then(|| format!("{}{more}", moved[..moved.len().min(METRICS)].join(", ")))
        }
        // A reason of its own comes before the warnings that a test may have besides.
        Verdict::Inconclusive => gates()
            .find_map(|metric| {
                let reason = super::needed(metric);
                let reason = metric.reason.as_deref().map(clean::line).or(reason)?;
                Some(format!("{}: {reason}", clean::clip(&clean::line(&metric.name), NAME)))
            })
            .or_else(|| test.reasons.first().map(|text| clean::line(text))),
        Verdict::NotComparable | Verdict::Invalid => {
            let own = test.reasons.first().map(|text| clean::line(text));
            own.or_else(|| gates().find_map(|metric| metric.reason.as_deref().map(clean::line)))
        }
    }
}

fn moved(metric: &MetricComparison) -> String {
    let name = clean::clip(&clean::line(&metric.name), NAME);
    match metric.change {
        Some(change) => format!("{name} {}", change_text(change, metric.kind)),
        None => name,
    }
}

/// A text as a sentence: clipped, with a full stop.
fn sentence_of(text: &str, columns: usize) -> String {
    let text = clean::clip(text.trim(), columns);
    if text.ends_with(['.', '!', '?', '…']) { text } else { format!("{text}.") }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The last part of `package/target/path::name`, which may have slashes of its own.
pub(in crate::report) fn short_id(id: &str) -> String {
    clean::line(id.splitn(3, '/').nth(2).unwrap_or(id))
}

fn runs(side: &Side, kind: &str) -> String {
    match side.runs.len() {
        0 | 1 => format!("one {kind} run"),
        n => format!("{n} {kind} runs"),
    }
}

fn name(side: &Side) -> String {
    match &side.name {
        Some(name) if side.is_saved => format!("`{}`", clean::clip(&clean::line(name), NAME)),
        Some(name) => clean::clip(&clean::line(name), NAME),
        None => {
            let run = side.runs.first().map_or("", String::as_str);
            format!("run {}", clean::clip(&clean::line(run), NAME))
        }
    }
}

/// A side in words: name as written, how it was found, revision, age as seen from `now`.
fn side(side: &Side, now: &str) -> String {
    let kind = if side.is_saved { "baseline " } else { "" };
    let found = side.found.as_deref().map(|found| clean::clip(&clean::line(found), 80));
    let revision = Some(revision(side.commit.as_deref(), side.dirty));
    let known: Vec<String> = found.into_iter().chain(revision).chain(age(&side.started_at, now)).collect();
    format!("{kind}{} ({})", name(side), known.join(", "))
}

/// How old something is: `3 days old`; `None` if that is not known.
pub(super) fn age(then: &str, now: &str) -> Option<String> {
    Some(match length(then, now)? {
        Ok(length) => format!("{length} old"),
        Err(()) => "newer than what is judged".to_owned(),
    })
}
