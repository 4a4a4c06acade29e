//! The command `trend`: how a test developed over the stored sessions.
//!
//! The main type is [`TrendView`], which `series` makes of sessions; text, JSON and page show it. Sessions of other
//! machines or other loads are other lines, never points of the same one. A change point is a place to look at, found
//! with hindsight: it judges nothing and fails nothing.

mod chart;
mod series;
pub(crate) mod text;

use anyhow::Context;
use loadtest_core::suggest;

use crate::cli::{Format, TrendArgs, baseline_name};
use crate::failure::{Failure, OrExit, plain};
use crate::session::Session;
use crate::stored::{open, write_page};
use crate::terminal::print_out;
use crate::verdict::ExitCode;

pub use series::{Change, MachineTrend, Point, Series, TrendView, view};

/// Does what `cargo loadtest trend` was asked to do.
///
/// # Errors
/// If there are no sessions of such a test, no such metric, or the page can't be written.
pub fn run(args: &TrendArgs) -> Result<ExitCode, Failure> {
    if let Some(name) = &args.baseline {
        baseline_name(name).or_exit(ExitCode::Usage)?;
    }
    let place = open(&args.store)?;
    let stored = place.store.sessions();
    stored.unreadable.iter().for_each(|why| eprintln!("warning: {}", plain(why)));
    let mut sessions = stored.sessions;
    if sessions.is_empty() {
        let message = format!(
            "there are no sessions in {}\nhint: every run leaves one; `cargo loadtest history pull` gets those of others",
            place.store.path().display()
        );
        return Err(Failure::new(ExitCode::NoTests, message));
    }
    if let Some(name) = &args.baseline {
        sessions.retain(|session| session.saved_as.as_deref() == Some(name));
        if sessions.is_empty() {
            return Err(Failure::new(ExitCode::BaselineMissing, place.store.no_baseline(name)));
        }
    }
    let test = find_test(&sessions, &args.test)?;
    let view = view(&sessions, &test, args.metric.as_deref(), args.baseline.as_deref(), args.last)
        .or_exit(ExitCode::Usage)?;
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&view).context("can't write the trend")? + "\n",
        Format::Text => text::show(&view, chart::terminal_columns()),
    };
    print_out(&text)?;
    if let Some(path) = &args.report {
        write_page(path, &crate::report::trend::page(&view)?)?;
        eprintln!("report  {}", path.display());
    }
    Ok(ExitCode::Passed)
}

/// The test that a text means: its id, or a part that no other has.
fn find_test(sessions: &[Session], wanted: &str) -> Result<String, Failure> {
    let mut ids: Vec<&str> =
        sessions.iter().flat_map(|session| &session.tests).map(|test| test.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let wrong = |message: String| Failure::new(ExitCode::NoTests, message);
    if ids.contains(&wanted) {
        return Ok(wanted.to_owned());
    }
    let matching: Vec<&str> = ids.iter().copied().filter(|id| id.contains(wanted)).collect();
    match *matching {
        [id] => Ok(id.to_owned()),
        [] => {
            let hint = suggest::hint(wanted, ids.iter().copied());
            Err(wrong(format!("no session has a test `{}`\nhint: {hint}", wanted.escape_debug())))
        }
        [first, .., last] => Err(wrong(format!(
            "`{}` is a part of the names of {} tests, such as {first} and {last}\nhint: write more of it",
            wanted.escape_debug(),
            matching.len()
        ))),
    }
}

#[cfg(test)]
mod tests;
