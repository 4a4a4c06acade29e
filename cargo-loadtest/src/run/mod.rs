//! A whole run, from the command line to the exit code.
//!
//! The main function is [`run`]: read the workspace, build and find the tests, run each, put the document
//! together, compare, judge, store, report. Each step is another module's work; here stands only their
//! order, and what of it goes to which stream: results to standard output, everything else to standard
//! error.

mod baseline;
mod document;
mod execute;
mod nothing;
mod order;
mod output;
mod repeat;
mod tests_list;
mod validity;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use loadtest_core::metric::Builtin;
use loadtest_core::results::{RunDocument, SCHEMA_VERSION};

use crate::cli::{Args, Format, TargetArgs};
use crate::compare::Comparison;
use crate::config::Tiers;
use crate::control::Server;
use crate::data::{RunData, TestData};
use crate::discover::select::Selection;
use crate::discover::{self, Found, LoadTest, Workspace};
use crate::failure::{Failure, OrExit, plain};
use crate::launch::Signals;
use crate::report::{self, TextOptions};
use crate::store::{self, RunDir, Store};
use crate::verdict::{self, ExitCode, Facts, Judgement, TestFacts};
use crate::{fingerprint, revision};

use baseline::Baseline;
use execute::{Common, Executed};

/// Reasons that are shown at the end at most.
const MAX_REASONS: usize = 10;

/// Does what `cargo loadtest` was asked to do, and returns the exit code of the judgement.
///
/// # Errors
/// If it does not come to a judgement: nothing found, nothing built, nowhere to write.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let signals = Signals::install()?;
    let workspace = Workspace::read(&args.target)?;
    let tiers = Tiers::read(workspace.root(), &args.load)?;
    // Before anything is built or stored: the address may be taken.
    let control = match args.control {
        Some(address) if !args.list => Some(open_control(address, args)?),
        _ => None,
    };
    let found = match discover::find(&workspace, &args.target) {
        Ok(found) => found,
        Err(_) if signals.interrupted() => return Err(interrupted()),
        Err(failure) => return Err(failure),
    };
    let mut chosen = choose(&workspace, &found, &args.target)
        .map_err(|failure| with_hint(failure, nothing::command_hint(&args.target.filters, args.control)))?;
    order::arrange(&mut chosen, &found.tests, &args.test_order).or_exit(ExitCode::Usage)?;
    warn(&workspace, &found, &tiers, &args.target);
    if args.list {
        crate::terminal::print_out(&tests_list::show(&chosen, args.format)?)?;
        return Ok(ExitCode::Passed);
    }
    // Every test's options are looked at before the first one runs.
    let plans = chosen
        .iter()
        .map(|test| execute::Plan::new(test, &tiers))
        .collect::<Result<Vec<_>, _>>()
        .or_exit(ExitCode::Usage)?;
    note(&chosen, &tiers, &args.target);
    let services = match workspace.build_services(&chosen, &args.target) {
        Err(_) if signals.interrupted() => return Err(interrupted()),
        built => built?,
    };
    let store = Store::open(workspace.root(), tiers.store())?;
    let baseline = Baseline::load(&store, &workspace, args)?;
    if signals.interrupted() {
        return Err(interrupted());
    }

    let started = Timestamp::now();
    let revision = revision::read(workspace.root());
    let directory = store.begin(revision.commit.as_deref())?;
    let seed = args.seed.unwrap_or_else(random_seed);
    if !args.target.quiet {
        let tests =
            if plans.len() == 1 { "1 load test".to_owned() } else { format!("{} load tests", plans.len()) };
        eprintln!("Running {tests}, seed {seed}");
    }
    // A port that was chosen here is known nowhere else.
    if let Some(control) = &control
        && (!args.target.quiet || args.control.is_some_and(|asked| asked.port() == 0))
    {
        eprintln!("Controlled at {}", control.address());
    }
    let common = Common {
        services: &services,
        directory: &directory,
        seed,
        args,
        control: control.as_ref(),
        signals: &signals,
    };
    let Executed { tests, interrupted } = execute::all(&plans, &common);

    let mut run = RunData {
        document: RunDocument {
            schema_version: SCHEMA_VERSION,
            id: directory.id().to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: started.to_string(),
            revision,
            fingerprint: fingerprint::read(workspace.root()),
            profile: args.target.profile.clone(),
            repeat: repeat::command(args, &tiers, seed),
            tests: tests.iter().map(|test| test.document.clone()).collect(),
            comparison: None,
            exit_code: 0,
        },
        tests,
        baseline_missing: baseline.missing().map(str::to_owned),
    };
    let comparison = baseline.compare(&run);
    let judgement = judge(&run.tests, interrupted, comparison.as_ref(), &baseline, args);
    run.document.exit_code = judgement.code.number();
    let comparison_value = comparison.as_ref().map(serde_json::to_value).transpose();
    run.document.comparison = comparison_value.context("the comparison can't be written as JSON")?;

    conclude(
        &Conclusion {
            args,
            workspace: &workspace,
            store: &store,
            baseline: &baseline,
            comparison,
            judgement,
        },
        run,
        directory,
    )
}

/// The tests that the filters mean, in the order in which they were found.
///
/// # Errors
/// If there are none, or a filter matches none of them, with what there is.
pub(crate) fn choose<'t>(
    workspace: &Workspace,
    found: &'t Found,
    args: &TargetArgs,
) -> Result<Vec<&'t LoadTest>, Failure> {
    let selection = Selection { filters: &args.filters, exact: args.exact };
    let chosen: Vec<&LoadTest> =
        found.tests.iter().filter(|test| selection.takes(&test.id, &test.name)).collect();
    // A word that means nothing may be a test that was not run, or the value of an option.
    let unmatched = selection.unmatched(&found.tests);
    if chosen.is_empty() || !unmatched.is_empty() {
        let selection = Selection { filters: &unmatched, ..selection };
        let failure = Failure::new(ExitCode::NoTests, nothing::message(workspace, found, &selection));
        return Err(with_hint(failure, nothing::value_hint(&unmatched, &args.detached)));
    }
    Ok(chosen)
}

/// Says on standard error what `loadtest.toml` has about tests that there are not. What is said of packages
/// that were not looked at may be right.
pub(crate) fn warn(workspace: &Workspace, found: &Found, tiers: &Tiers, args: &TargetArgs) {
    let selected = workspace.selected_names();
    let all = args.workspace && args.exclude.is_empty();
    let narrowed = !args.package.is_empty() || !args.exclude.is_empty();
    let elsewhere = |package: &str| match package.contains('*') {
        true => narrowed,
        false => !all && !selected.contains(&package),
    };
    for warning in tiers.warnings(&found.tests, elsewhere) {
        eprintln!("warning: {}", plain(&warning));
    }
}

/// Says on standard error of which tests another place than the attribute made another load.
pub(crate) fn note(chosen: &[&LoadTest], tiers: &Tiers, args: &TargetArgs) {
    if args.quiet {
        return;
    }
    let notes: Vec<String> = chosen.iter().flat_map(|test| tiers.notes(test)).collect();
    for note in notes.iter().take(MAX_REASONS) {
        eprintln!("note: {}", plain(note));
    }
    if notes.len() > MAX_REASONS {
        eprintln!("note: the load of {} more was replaced too", notes.len() - MAX_REASONS);
    }
}

/// Listens for `--control`. Who has the address may be the very run that a command was meant for.
fn open_control(address: std::net::SocketAddr, args: &Args) -> Result<Server, Failure> {
    let command = nothing::command_hint(&args.target.filters, Some(address));
    Server::open(address).map_err(|error| with_hint(error.into(), command))
}

fn with_hint(failure: Failure, hint: Option<String>) -> Failure {
    match hint {
        Some(hint) => Failure::new(failure.code, format!("{:#}\nhint: {hint}", failure.error)),
        None => failure,
    }
}

/// What is left to say and to write when everything is known.
struct Conclusion<'a> {
    args: &'a Args,
    workspace: &'a Workspace,
    store: &'a Store,
    baseline: &'a Baseline,
    comparison: Option<Comparison>,
    judgement: Judgement,
}

/// Tells the results first, so that nothing that fails afterwards can hide them, then writes them.
fn conclude(end: &Conclusion<'_>, run: RunData, directory: RunDir) -> Result<ExitCode, Failure> {
    let args = end.args;
    let comparison = end.comparison.as_ref();
    crate::terminal::print_out(&match args.format {
        Format::Json => report::json::document(&run, comparison)?,
        Format::Text => report::text::summary(&run, comparison, &text_options(args)),
    })?;
    let mut notes = Vec::new();
    let path = directory.path().to_owned();
    // Before the report, which is made of it and can be made again.
    let stored = directory
        .finish(&run.document, run.baseline_missing.as_deref())
        .map(|_| notes.push(format!("run       {}", short(&path))));
    let written = write_report(end, &run, &path).map(|note| {
        notes.splice(0..0, note);
    });
    let saved = match (&args.save_baseline, &stored) {
        (Some(name), Ok(())) if end.judgement.code == ExitCode::Interrupted => {
            eprintln!("warning: baseline `{name}` was not saved: the run was interrupted");
            Ok(())
        }
        (Some(name), Ok(())) => {
            baseline::save(end.store, name, &run, &facts(&run.tests)).map(|note| notes.extend(note))
        }
        _ => Ok(()),
    };
    if !args.target.quiet {
        let notes = notes.iter().fold(String::new(), |text, note| text + note + "\n");
        match args.format {
            Format::Text => crate::terminal::print_out(&format!("\n{notes}"))?,
            Format::Json => eprint!("{notes}"),
        }
    }
    end.baseline.remind();
    tell(&end.judgement, &run, args.format);
    let mut code = end.judgement.code;
    for failed in [written, stored, saved].into_iter().filter_map(Result::err) {
        let shown = Failure::from(failed).show();
        // What the tests showed says more than a file that could not be written.
        if code == ExitCode::Passed {
            code = shown;
        }
    }
    Ok(code)
}

/// The HTML report: with the run in the store, and where the user looks for it. Returns what to say.
fn write_report(end: &Conclusion<'_>, run: &RunData, directory: &Path) -> anyhow::Result<Option<String>> {
    if end.args.no_report {
        return Ok(None);
    }
    let html = report::html::render(run, end.baseline.run(), end.comparison.as_ref())
        .context("the report can't be made")?;
    let target = match &end.args.report {
        Some(path) => path.clone(),
        None => end.workspace.target_directory().join("loadtest").join("report.html"),
    };
    store::write_report(directory, &html)?;
    if let Some(parent) = target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
    }
    // Written in place: it may be a pipe, or a link that the user made.
    std::fs::write(&target, &html)
        .with_context(|| format!("can't write the report to {}", target.display()))?;
    Ok(Some(format!("report    {}", short(&target))))
}

fn judge(
    tests: &[TestData],
    interrupted: bool,
    comparison: Option<&Comparison>,
    baseline: &Baseline,
    args: &Args,
) -> Judgement {
    verdict::judge(&Facts {
        tests: facts(tests),
        interrupted,
        comparison: comparison.map(|comparison| comparison.verdict),
        baseline_missing: baseline.missing().map(|_| args.baseline_missing.into()),
        inconclusive: args.inconclusive.into(),
    })
}

fn facts(tests: &[TestData]) -> Vec<TestFacts<'_>> {
    tests.iter().map(facts_of).collect()
}

/// What the judgement looks at of one test.
fn facts_of(test: &TestData) -> TestFacts<'_> {
    // Of a rate, the sum counts what was true: here the iterations that failed.
    let failed = test.total(Builtin::IterationsFailed.name(), |_| true);
    TestFacts {
        id: &test.document.id,
        outcome: &test.document.outcome,
        invalid: &test.document.invalid,
        succeeded: failed.count.saturating_sub(failed.sum.round() as u64),
    }
}

/// Why the exit code is not 0, on standard error. What a test showed already stands in the summary.
fn tell(judgement: &Judgement, run: &RunData, format: Format) {
    if judgement.code == ExitCode::Passed {
        return;
    }
    let told = |reason: &str| {
        format == Format::Text && run.tests.iter().any(|test| reason.starts_with(&test.document.id))
    };
    let reasons: Vec<&String> =
        judgement.reasons.iter().map(|(_, reason)| reason).filter(|reason| !told(reason)).collect();
    // The line of the exit code says this already.
    let said = |reason: &&&String| reason.as_str() != judgement.code.meaning();
    for reason in reasons.iter().filter(said).take(MAX_REASONS) {
        eprintln!("error: {}", plain(reason));
    }
    if reasons.len() > MAX_REASONS {
        eprintln!("       and {} more", reasons.len() - MAX_REASONS);
    }
    eprintln!("exit code {}: {}", judgement.code.number(), judgement.code.meaning());
}

fn interrupted() -> Failure {
    Failure::new(ExitCode::Interrupted, "interrupted before any test ran")
}

fn text_options(args: &Args) -> TextOptions {
    let terminal = io::stdout().is_terminal();
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    TextOptions { color: terminal && !unwanted, trend_stats: args.summary_trend_stats.clone() }
}

/// Short enough to be typed again, and the same in every reader of JSON.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) & u64::from(u32::MAX)
}

/// A path as one would type it from here.
fn short(path: &Path) -> String {
    let here: Option<PathBuf> = std::env::current_dir().ok();
    let relative = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    relative.unwrap_or(path).display().to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::tests_list::tests::load_test;
}
