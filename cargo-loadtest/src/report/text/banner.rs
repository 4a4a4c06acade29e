//! How a run and its tests ended, on the terminal, before any number.

use super::paint::{Paint, Tone};
use super::{ERRORS, MESSAGE_COLUMNS};
use crate::data::{RunData, TestData};
use crate::report::clean;
use crate::report::view::{self, Status};
use crate::verdict::ExitCode;

/// How a run ended in one line, with the first reason: `✗ FAILED: threshold failed: …`. It is clean of control
/// characters and is not escaped for any markup.
pub fn status_line(run: &RunData) -> String {
    if let Some(missing) = view::baseline_missing(run) {
        return format!("? NOT VERIFIED: {missing}");
    }
    let statuses: Vec<Status> = run.tests.iter().map(Status::of_test).collect();
    let code = crate::verdict::EXIT_CODES.iter().map(|(code, _)| *code);
    let code = code.into_iter().find(|code| code.number() == run.document.exit_code);
    let whole = Status::of_code(code.unwrap_or(ExitCode::Internal), Vec::new());
    // The test that decided, or the first that did not pass.
    let decides = |status: &&Status| status.word == whole.word && !status.reasons.is_empty();
    let reason =
        statuses.iter().find(decides).or_else(|| statuses.iter().find(|status| status.class != "pass"));
    let reason = reason.and_then(|status| status.reasons.first()).map(|reason| {
        clean::clip(&clean::line(reason.lines().next().unwrap_or_default()), 2 * MESSAGE_COLUMNS)
    });
    let passed = statuses.iter().filter(|status| status.class == "pass").count();
    let count = match statuses.len() {
        0 => "no test ran".to_owned(),
        n => format!("{passed} of {n} {} passed", if n == 1 { "test" } else { "tests" }),
    };
    match reason {
        Some(reason) if statuses.len() == 1 => format!("{} {}: {reason}", whole.mark, whole.word),
        Some(reason) => format!("{} {}: {count}; {reason}", whole.mark, whole.word),
        None => format!("{} {}: {count}", whole.mark, whole.word),
    }
}

/// The banner of a test, as the first lines of its summary.
pub(super) fn of_test(test: &TestData, paint: Paint) -> String {
    let status = Status::of_test(test);
    let tone = Tone::of_class(status.class);
    let id = clean::clip(&clean::line(&test.document.id), MESSAGE_COLUMNS);
    let head = format!("{} {}", status.mark, status.word);
    let notes = status.notes.iter().take(ERRORS).fold(String::new(), |notes, note| {
        format!("{notes}  {}\n", clean::clip(&clean::line(note), MESSAGE_COLUMNS))
    });
    let Some((first, rest)) = status.reasons.split_first() else {
        return format!("{}  {}\n{notes}", paint.bold(tone, &head), paint.bold(Tone::Plain, &id));
    };
    let mut lines = first.lines();
    let mut out = format!("{} {}\n", paint.bold(tone, &format!("{head}:")), lines.next().unwrap_or_default());
    // Hints and the last output of a process, as they were written.
    for line in lines {
        out.push_str(&format!("    {line}\n"));
    }
    for reason in rest.iter().take(ERRORS) {
        out.push_str(&format!("  also: {}\n", clean::clip(&clean::line(reason), MESSAGE_COLUMNS)));
    }
    out.push_str(&format!("  {}\n{notes}", paint.bold(Tone::Plain, &id)));
    out
}
