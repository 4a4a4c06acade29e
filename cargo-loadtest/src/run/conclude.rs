//! The end of a command: the verdict, what is told of it, and what is written.
//!
//! The main type is [`Conclusion`]. Results go to standard output and everything else to standard error; they are told
//! first, so that nothing that fails afterwards can hide them.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;

use super::reference::{self, Reference};
use super::session::{self, Setting};
use super::{MAX_NOTES, facts};
use crate::ci;
use crate::cli::{Args, Format};
use crate::compare::Comparison;
use crate::data::RunData;
use crate::discover::Workspace;
use crate::failure::{Failure, plain};
use crate::fingerprint;
use crate::git::Repository;
use crate::report::{self, TextOptions};
use crate::store::{self, RunDir, Store};
use crate::verdict::{self, ExitCode, Facts, Judgement};

/// The first line of a comparison that a signal ended.
const INTERRUPTED: &str = "– INTERRUPTED: only what was measured until then is compared.";

/// What is known when every run has been made.
pub(super) struct Conclusion<'a> {
    pub(super) args: &'a Args,
    pub(super) workspace: &'a Workspace,
    pub(super) repository: Option<&'a Repository>,
    pub(super) store: &'a Store,
    pub(super) reference: &'a Reference,
    pub(super) setting: &'a Setting,
    /// The run that is shown, without judgement.
    pub(super) shown: RunData,
    /// The run of the base that stands beside it, if one does.
    pub(super) shown_base: Option<RunData>,
    /// Where the shown run is kept.
    pub(super) directory: RunDir,
    /// The runs of a duet's base.
    pub(super) base: Option<&'a [RunData]>,
    /// Head's runs, if the shown one is one of several.
    pub(super) head: Option<&'a [RunData]>,
    /// What comparing said.
    pub(super) comparison: Option<Comparison>,
    /// Whether a signal came.
    pub(super) interrupted: bool,
}

/// Tells, writes and judges.
///
/// # Errors
/// If the results can't be told.
pub(super) fn conclude(end: Conclusion<'_>) -> Result<ExitCode, Failure> {
    let Conclusion { args, shown: mut run, directory, comparison, .. } = end;
    let comparison = comparison.as_ref();
    run.baseline_missing = end.reference.missing().map(str::to_owned);
    run.missing_because = end.reference.missing_because().map(str::to_owned);
    let judgement = verdict::judge(&Facts {
        tests: facts(&run.tests),
        interrupted: end.interrupted,
        comparison: comparison.map(|comparison| comparison.verdict),
        baseline_missing: end.reference.missing().map(|_| args.baseline_missing.into()),
        inconclusive: args.inconclusive.into(),
    });
    run.document.exit_code = judgement.code.number();
    let value = comparison.map(serde_json::to_value).transpose();
    run.document.comparison = value.context("the comparison can't be written as JSON")?;
    crate::terminal::print_out(&match args.format {
        Format::Json => report::json::document(&run, comparison)?,
        Format::Text => {
            let summary = report::text::summary(&run, comparison, &text_options(args));
            // The summary of a comparison begins with its verdict, which less was measured for than was asked.
            match comparison.is_some() && judgement.code == ExitCode::Interrupted {
                true => format!("{INTERRUPTED}\n{summary}"),
                false => summary,
            }
        }
    })?;

    let mut notes = Vec::new();
    let mut failed = Vec::new();
    let path = directory.path().to_owned();
    // Before the report, which is made of it and can be made again.
    let stored = directory.finish(&run.document, run.baseline_missing.as_deref()).map(drop);
    let report = match args.no_report {
        true => None,
        false => {
            let target = report_path(args, end.workspace);
            match write_report(&run, end.shown_base.as_ref(), comparison, &path, &target) {
                Ok(()) => {
                    notes.push(format!("report    {}", short(&target)));
                    Some(target)
                }
                Err(error) => {
                    failed.push(error);
                    None
                }
            }
        }
    };
    match stored {
        Ok(()) => {
            notes.push(format!("run       {}", short(&path)));
            let kept =
                Kept { store: end.store, setting: end.setting, base: end.base, head: end.head, run: &run };
            match kept.keep(args, &judgement) {
                Ok(note) => notes.extend(note),
                Err(error) => failed.push(error),
            }
        }
        Err(error) => failed.push(error),
    }
    let published = publish(&Told {
        args,
        run: &run,
        comparison,
        first_line: None,
        judgement: &judgement,
        report: report.as_deref(),
        setting: end.setting,
        workspace_root: end.workspace.root(),
        repository_root: end.repository.map(Repository::root),
        directory: report_path(args, end.workspace).parent().map(Path::to_owned).unwrap_or_default(),
    });
    match published {
        Ok(told) => notes.extend(told),
        Err(error) => failed.push(error),
    }
    if !args.target.quiet {
        let notes = notes.iter().fold(String::new(), |text, note| text + note + "\n");
        match args.format {
            Format::Text => crate::terminal::print_out(&format!("\n{notes}"))?,
            Format::Json => eprint!("{notes}"),
        }
    }
    end.reference.remind();
    tell(&judgement, &run, args.format);
    let mut code = judgement.code;
    for error in failed {
        let shown = Failure::from(error).show();
        // What the tests showed says more than a file that could not be written.
        if code == ExitCode::Passed {
            code = shown;
        }
    }
    Ok(code)
}

/// Ends a command that has nothing to run: programs that wait for a document get one, without a test.
///
/// # Errors
/// If it can't be told.
pub(super) fn nothing(
    args: &Args,
    workspace: &Workspace,
    repository: Option<&Repository>,
    why: &str,
) -> Result<ExitCode, Failure> {
    let now = Timestamp::now();
    let setting = Setting {
        started_at: now.to_string(),
        fingerprint: fingerprint::read(workspace.root()),
        profile: args.target.profile.clone(),
        repeat: String::new(),
    };
    let revision = repository.map(Repository::revision).unwrap_or_default();
    let document = setting.document("", now, revision, &[]);
    let run = RunData { document, tests: Vec::new(), baseline_missing: None, missing_because: None };
    crate::terminal::print_out(&match args.format {
        Format::Json => report::json::document(&run, None)?,
        Format::Text => format!("{why}\n"),
    })?;
    let notes = publish(&Told {
        args,
        run: &run,
        comparison: None,
        first_line: Some(why),
        judgement: &Judgement { code: ExitCode::Passed, reasons: Vec::new() },
        report: None,
        setting: &setting,
        workspace_root: workspace.root(),
        repository_root: repository.map(Repository::root),
        directory: report_path(args, workspace).parent().map(Path::to_owned).unwrap_or_default(),
    })?;
    if !args.target.quiet {
        notes.iter().for_each(|note| eprintln!("{note}"));
    }
    Ok(ExitCode::Passed)
}

/// What is kept for later commands.
struct Kept<'a> {
    store: &'a Store,
    setting: &'a Setting,
    base: Option<&'a [RunData]>,
    head: Option<&'a [RunData]>,
    run: &'a RunData,
}

impl Kept<'_> {
    /// Keeps the session and, if that was asked for, its name. Returns what to say.
    fn keep(&self, args: &Args, judgement: &Judgement) -> anyhow::Result<Option<String>> {
        let head = self.head.unwrap_or(std::slice::from_ref(self.run));
        let refused = args.save_baseline.as_ref().and_then(|_| match judgement.code {
            ExitCode::Interrupted => Some("the run was interrupted".to_owned()),
            _ => head.iter().find_map(|run| verdict::fit_for_baseline(&facts(&run.tests)).err()),
        });
        let saved_as = args.save_baseline.as_deref().filter(|_| refused.is_none());
        if let (Some(name), Some(reason)) = (&args.save_baseline, &refused) {
            eprintln!("warning: baseline `{name}` was not saved: {}", plain(reason));
        }
        if judgement.code == ExitCode::Interrupted {
            return Ok(None);
        }
        let Some(session) = session::record(self.setting, self.base, head, saved_as) else { return Ok(None) };
        self.store.save_session(&session).context("can't save the session")?;
        let Some(name) = saved_as else { return Ok(None) };
        reference::save(self.store, name, &session.head.runs, Some(&session.id)).map(Some)
    }
}

/// What a CI service and JUnit's readers are told of.
struct Told<'a> {
    args: &'a Args,
    run: &'a RunData,
    comparison: Option<&'a Comparison>,
    /// What is said first, if it is neither a comparison's verdict nor a run's status.
    first_line: Option<&'a str>,
    judgement: &'a Judgement,
    report: Option<&'a Path>,
    setting: &'a Setting,
    workspace_root: &'a Path,
    repository_root: Option<&'a Path>,
    /// Where files for the service go.
    directory: PathBuf,
}

/// Writes JUnit XML, and tells the CI service. Returns what to say.
fn publish(told: &Told<'_>) -> anyhow::Result<Vec<String>> {
    let first_line = match (told.comparison, told.first_line) {
        (_, Some(line)) => line.to_owned(),
        (Some(comparison), None) => report::first_line(comparison),
        (None, None) => report::text::status_line(told.run),
    };
    let repeat = told.comparison.map(|c| c.repeat.as_str()).filter(|repeat| !repeat.is_empty());
    let facts = ci::Facts {
        run: told.run,
        comparison: told.comparison,
        judgement: told.judgement,
        first_line: &first_line,
        repeat: repeat.unwrap_or(&told.setting.repeat),
        report: told.report,
        baseline_missing: told.run.baseline_missing.as_deref(),
        workspace_root: told.workspace_root,
        repository_root: told.repository_root,
        junit: told.args.junit.as_deref(),
        directory: &told.directory,
    };
    let mut notes = Vec::new();
    // The service is told even if this file can't be written.
    let junit = told.args.junit.as_ref().map(|path| {
        ci::junit::write(&facts, path).map(|()| notes.push(format!("junit     {}", short(path))))
    });
    let environment = ci::Environment::read();
    if let Some(provider) = ci::detect(told.args.ci, &environment) {
        // Workflow commands are read from both streams; standard output belongs to the document with `--format json`.
        notes.extend(match told.args.format {
            Format::Text => provider.publish(&facts, &environment, &mut io::stdout())?,
            Format::Json => provider.publish(&facts, &environment, &mut io::stderr())?,
        });
    }
    junit.transpose()?;
    Ok(notes)
}

fn report_path(args: &Args, workspace: &Workspace) -> PathBuf {
    match &args.report {
        Some(path) => path.clone(),
        None => workspace.target_directory().join("loadtest").join("report.html"),
    }
}

/// The HTML report: with the run in the store, and where the user looks for it.
fn write_report(
    run: &RunData,
    base: Option<&RunData>,
    comparison: Option<&Comparison>,
    directory: &Path,
    target: &Path,
) -> anyhow::Result<()> {
    let html = report::html::render(run, base, comparison).context("the report can't be made")?;
    store::write_report(directory, &html)?;
    if let Some(parent) = target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
    }
    // Written in place: it may be a pipe, or a link that the user made.
    std::fs::write(target, &html).with_context(|| format!("can't write the report to {}", target.display()))
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
    for reason in reasons.iter().filter(said).take(MAX_NOTES) {
        eprintln!("error: {}", plain(reason));
    }
    if reasons.len() > MAX_NOTES {
        eprintln!("       and {} more", reasons.len() - MAX_NOTES);
    }
    eprintln!("exit code {}: {}", judgement.code.number(), judgement.code.meaning());
}

fn text_options(args: &Args) -> TextOptions {
    let terminal = io::stdout().is_terminal();
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    TextOptions { color: terminal && !unwanted, trend_stats: args.summary_trend_stats.clone() }
}

/// A path as one would type it from here.
fn short(path: &Path) -> String {
    let here: Option<PathBuf> = std::env::current_dir().ok();
    let relative = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    relative.unwrap_or(path).display().to_string()
}
