//! The command `compare`: stored runs against stored runs.
//!
//! The main function is [`compare`]. Two sides that one duet measured are judged pair by pair, a saved baseline with
//! enough history by its sessions, and everything else as two stored sessions, which tells large changes only.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use loadtest_core::options::Options;
use loadtest_core::options::compare::CompareSettings;

use super::{open, write_page};
use crate::cli::{CompareArgs, Format};
use crate::compare::{
    self, Comparison, FEWEST_SESSIONS, Input, Method, RunRecord, Side, SideInput, SideName, TestSettings,
    Verdict,
};
use crate::data::RunData;
use crate::failure::{Failure, OrExit};
use crate::report::{self, TextOptions};
use crate::session::{Session, SessionSide};
use crate::store::{FoundRuns, Store};
use crate::terminal::print_out;
use crate::verdict::ExitCode;

/// Does what `cargo loadtest compare` was asked to do.
///
/// # Errors
/// If an option can't be read, there is nothing of a name, or a run can't be read.
pub fn compare(args: &CompareArgs) -> Result<ExitCode, Failure> {
    let line = line(args).or_exit(ExitCode::Usage)?;
    let place = open(&args.store)?;
    let mut made = Vec::new();
    for head in &args.heads {
        made.push(one(&place.store, &args.base, head, &line)?);
    }
    let comparisons: Vec<&Comparison> = made.iter().map(|pair| &pair.comparison).collect();
    let text = match (args.format, &*comparisons) {
        (Format::Json, [one]) => json(one)?,
        (Format::Json, several) => json(several)?,
        (Format::Text, several) => {
            let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let options = TextOptions { color, ..TextOptions::default() };
            let texts: Vec<String> =
                several.iter().map(|comparison| report::text::comparison(comparison, &options)).collect();
            texts.join("\n")
        }
    };
    print_out(&text)?;
    if let Some(path) = &args.report {
        for (index, pair) in made.iter().enumerate() {
            let html = report::html::render(&pair.head, pair.base.as_ref(), Some(&pair.comparison))?;
            let path = numbered(path, index);
            write_page(&path, &html)?;
            eprintln!("report  {}", path.display());
        }
    }
    Ok(exit_code(comparisons.iter().map(|comparison| comparison.verdict)))
}

/// A comparison with a run of each side to be shown.
struct Made {
    comparison: Comparison,
    base: Option<RunData>,
    head: RunData,
}

/// What the command line says about every test.
fn line(args: &CompareArgs) -> Result<CompareSettings, loadtest_core::Error> {
    let mut options = Options::default();
    let given = [
        ("gate", &args.gate),
        ("min_effect", &args.min_effect),
        ("equivalence", &args.equivalence),
        ("alpha", &args.alpha),
    ];
    for (name, text) in given {
        if let Some(text) = text {
            options.set(name, text)?;
        }
    }
    Ok(options.compare)
}

fn one(store: &Store, base: &str, head: &str, line: &CompareSettings) -> Result<Made, Failure> {
    let sessions = store.sessions();
    sessions.unreadable.iter().for_each(|why| eprintln!("warning: {}", crate::failure::plain(why)));
    let sessions = sessions.sessions;
    let duet = duet_of(&sessions, base, head);
    let duet = duet.filter(|duet| [duet.base, duet.head].iter().all(|side| has_runs(store, side)));
    if let Some(duet) = duet {
        return of_duet(store, &duet, line, &sessions).map_err(Failure::from);
    }
    let base = store.find_runs(base).or_exit(ExitCode::Usage)?;
    let head = store.find_runs(head).or_exit(ExitCode::Usage)?;
    if head.runs.is_empty() {
        let name = head.name.unwrap_or_default();
        let message = format!(
            "nothing but the history of `{name}` is left, so it can only be what others are compared with\nhint: write \
             it first: `cargo loadtest compare {name} OTHER`"
        );
        return Err(Failure::new(ExitCode::Usage, message));
    }
    of_stored(store, base, head, line, &sessions)
}

/// A duet and which of its sides was meant by which argument.
struct Sides<'a> {
    session: &'a Session,
    base: &'a SessionSide,
    head: &'a SessionSide,
}

/// The latest duet of which two texts mean a side each: runs of it, or the commits. Twice the session itself means
/// its base and its head.
fn duet_of<'a>(sessions: &'a [Session], base: &str, head: &str) -> Option<Sides<'a>> {
    let means = |text: &str, side: &SessionSide| {
        let commit = side.revision.commit.as_deref().unwrap_or_default();
        let is_commit =
            text.len() >= 7 && text.chars().all(|c| c.is_ascii_hexdigit()) && commit.starts_with(text);
        is_commit || side.runs.iter().any(|run| run == text)
    };
    sessions.iter().rev().find_map(|session| {
        let (first, second) = (session.base.as_ref()?, &session.head);
        let itself = base == head && base == session.id;
        if itself || (means(base, first) && means(head, second)) {
            return Some(Sides { session, base: first, head: second });
        }
        (means(base, second) && means(head, first)).then_some(Sides { session, base: second, head: first })
    })
}

fn has_runs(store: &Store, side: &SessionSide) -> bool {
    !side.runs.is_empty() && side.runs.iter().all(|run| store.has_run(run))
}

fn of_duet(
    store: &Store,
    duet: &Sides<'_>,
    line: &CompareSettings,
    sessions: &[Session],
) -> anyhow::Result<Made> {
    let mut base = store.runs_of(duet.session, &duet.base.runs)?;
    let mut head = store.runs_of(duet.session, &duet.head.runs)?;
    let side = |of: &SessionSide, runs: &[RunData]| Side {
        name: None,
        is_saved: false,
        found: None,
        runs: of.runs.clone(),
        sessions: 0,
        commit: of.revision.commit.clone(),
        dirty: of.revision.dirty,
        started_at: runs.first().map(|run| run.document.started_at.clone()).unwrap_or_default(),
    };
    let settings = own_settings(&head, line);
    // A duet must not learn its noise from itself.
    let noise: Vec<Session> =
        sessions.iter().filter(|session| session.id != duet.session.id).cloned().collect();
    let mut comparison = compare::compare(&Input {
        base: SideInput { side: side(duet.base, &base), runs: base.iter().collect() },
        head: SideInput { side: side(duet.head, &head), runs: head.iter().collect() },
        method: Method::Duet { seed: 0, order: order(&base, &head) },
        why: format!("both are sides of the duet {}", duet.session.id),
        settings: &|id| TestSettings::from(&settings.get(id).cloned().unwrap_or_else(|| line.clone())),
        noise: &noise,
        again: String::new(),
    });
    // What chose the first side is not among what a session keeps.
    comparison.seed = None;
    Ok(Made { comparison, base: Some(base.swap_remove(0)), head: head.swap_remove(0) })
}

/// The runs of a duet in the order in which they were made; runs of both sides with the same index are a pair.
fn order(base: &[RunData], head: &[RunData]) -> Vec<RunRecord> {
    let mut pairs: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    let mut order = Vec::new();
    let count = base.len().max(head.len());
    for index in 0..count {
        for (at, (side, runs)) in [(SideName::Base, base), (SideName::Head, head)].into_iter().enumerate() {
            let Some(run) = runs.get(index) else { continue };
            for test in &run.tests {
                let pair = &mut pairs.entry(test.document.id.as_str()).or_default()[at];
                *pair += 1;
                order.push(RunRecord {
                    test: test.document.id.clone(),
                    side,
                    pair: *pair,
                    run: run.document.id.clone(),
                    started_at: test.document.started_at.clone(),
                    discarded: None,
                });
            }
        }
    }
    order.sort_by(|a, b| (&a.started_at, &a.run).cmp(&(&b.started_at, &b.run)));
    order
}

fn of_stored(
    store: &Store,
    base: FoundRuns,
    head: FoundRuns,
    line: &CompareSettings,
    sessions: &[Session],
) -> Result<Made, Failure> {
    let heads: Vec<&RunData> = head.runs.iter().collect();
    let name = base.name.as_deref().filter(|_| base.is_saved);
    let mut history = name.map(|name| store.history(name)).unwrap_or_default();
    // What is judged is no witness of what is usual.
    let judged = |run: &String| heads.iter().any(|head| head.document.id == *run);
    history.retain(|session| !session.head.runs.iter().any(judged));
    let comparable = compare::comparable_sessions(&history, &heads).len();
    let enough = comparable >= FEWEST_SESSIONS;
    if base.runs.is_empty() && !enough {
        let message = format!(
            "the runs of the baseline `{0}` are gone, and {comparable} sessions of its history have the same load and \
             machine as what is compared with it; {FEWEST_SESSIONS} are needed\nhint: save it anew with `cargo \
             loadtest --save-baseline {0}`",
            name.unwrap_or_default()
        );
        return Err(Failure::new(ExitCode::Usage, message));
    }
    let why = match (name, enough) {
        (Some(name), true) => {
            format!("the history of {name} has {comparable} sessions of this load on this machine")
        }
        (Some(name), false) => {
            format!(
                "the history of {name} has {comparable} sessions like this one, and {FEWEST_SESSIONS} are needed"
            )
        }
        _ => "these runs were not made in turn".to_owned(),
    };
    let settings = own_settings(&head.runs, line);
    let told = if enough { u32::try_from(comparable).unwrap_or(u32::MAX) } else { 1 };
    let mut comparison = compare::compare(&Input {
        base: SideInput { side: side(&base, told), runs: base.runs.iter().collect() },
        head: SideInput { side: side(&head, 1), runs: heads },
        method: if enough { Method::History(&history) } else { Method::Stored },
        why,
        settings: &|id| TestSettings::from(&settings.get(id).cloned().unwrap_or_else(|| line.clone())),
        noise: sessions,
        again: name.map(|name| format!("--save-baseline {name}")).unwrap_or_default(),
    });
    if !base.is_saved
        && let (Some(base), Some(head)) = (base.runs.first(), head.runs.first())
        && base.document.id == head.document.id
    {
        comparison.warnings.push("a run is compared with itself: it can only be unchanged".to_owned());
    }
    let mut head = head.runs;
    Ok(Made { comparison, base: base.runs.into_iter().next(), head: head.swap_remove(0) })
}

fn side(found: &FoundRuns, sessions: u32) -> Side {
    let first = found.runs.first().map(|run| &run.document);
    let of_session = found.session.as_ref().map(|session| &session.head.revision);
    let revision = first.map(|run| &run.revision).or(of_session);
    Side {
        name: found.name.clone(),
        is_saved: found.is_saved,
        found: None,
        runs: found.runs.iter().map(|run| run.document.id.clone()).collect(),
        sessions,
        commit: revision.and_then(|revision| revision.commit.clone()),
        dirty: revision.is_some_and(|revision| revision.dirty),
        started_at: match (first, &found.session) {
            (Some(run), _) => run.started_at.clone(),
            (None, Some(session)) => session.started_at.clone(),
            (None, None) => String::new(),
        },
    }
}

/// How each test is compared: as its runs say, and the command line over it.
fn own_settings(runs: &[RunData], line: &CompareSettings) -> BTreeMap<String, CompareSettings> {
    let mut settings = BTreeMap::new();
    for test in runs.iter().flat_map(|run| &run.tests) {
        let own = test.document.definitions.iter().map(|definition| &definition.options.compare);
        // Scenarios of one test agree on these, or have been refused.
        let own = own.fold(CompareSettings::default(), |all, more| over(&all, more));
        settings.insert(test.document.id.clone(), over(&own, line));
    }
    settings
}

fn over(below: &CompareSettings, above: &CompareSettings) -> CompareSettings {
    CompareSettings {
        compare_duration: above.compare_duration.or(below.compare_duration),
        runs: above.runs.or(below.runs),
        min_effect: above.min_effect.or(below.min_effect),
        equivalence: above.equivalence.or(below.equivalence),
        alpha: above.alpha.or(below.alpha),
        gate: if above.gate.is_empty() { below.gate.clone() } else { above.gate.clone() },
    }
}

/// As the comparison of a run would end; what is not known is no failure, because nobody asked for a check.
fn exit_code(verdicts: impl Iterator<Item = Verdict>) -> ExitCode {
    match verdicts.max_by_key(|verdict| verdict.severity()) {
        Some(Verdict::Invalid) => ExitCode::Invalid,
        Some(Verdict::Regressed) => ExitCode::Regressed,
        _ => ExitCode::Passed,
    }
}

fn json(value: &(impl serde::Serialize + ?Sized)) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value).context("can't write the comparison")? + "\n")
}

/// `report.html`, `report-2.html`, …
fn numbered(path: &Path, index: usize) -> PathBuf {
    if index == 0 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    path.with_file_name(format!("{stem}-{}{}", index + 1, extension.unwrap_or_default()))
}

#[cfg(test)]
mod tests;
