//! What a run is compared with, and how: found out before anything is built, because a name may be wrong and a test
//! may take long.
//!
//! The main type is [`Reference`]; [`find`] asks the store and git, and [`decide`], which is pure, chooses between
//! what they have. Outside CI a saved baseline wins over a revision of that name, as criterion's users know it. In CI
//! a possible duet wins, because a restored cache must not quietly weaken the check.

use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;

use crate::cli::{Args, MissingPolicy, baseline_name};
use crate::data::RunData;
use crate::failure::{Failure, OrExit};
use crate::git::{CiEnvironment, Repository, Resolved, Unresolved};
use crate::session::Session;
use crate::store::Store;
use crate::verdict::ExitCode;

/// What `--baseline` means.
#[derive(Debug)]
pub(super) enum Reference {
    /// None was asked for.
    NotAsked,
    /// There is nothing of this name.
    Missing {
        /// The name.
        name: String,
        /// What to say about it.
        message: String,
        /// Why it could not be had, in a line, if it may well exist.
        because: Option<String>,
    },
    /// This tree is what it would be compared with.
    Same {
        /// The name.
        name: String,
        /// The revision.
        revision: Resolved,
    },
    /// What is stored.
    Stored(Box<Stored>),
    /// A revision to build and to run beside this tree.
    Duet(Box<DuetBase>),
}

/// A saved baseline, or a stored run.
#[derive(Debug)]
pub(super) struct Stored {
    /// As the user wrote it.
    pub(super) name: String,
    /// Whether it is the name of a saved baseline.
    pub(super) is_saved: bool,
    /// Its runs.
    pub(super) runs: Vec<RunData>,
    /// The sessions that were saved under this name, the oldest first.
    pub(super) history: Vec<Session>,
    /// Why this and not a duet, a clause.
    pub(super) why: String,
    /// The revision that a duet could be made with.
    pub(super) revision: Option<Resolved>,
}

/// The base of a duet.
#[derive(Debug)]
pub(super) struct DuetBase {
    /// As the user wrote it.
    pub(super) name: String,
    /// What it is.
    pub(super) revision: Resolved,
    /// Why a duet, a clause.
    pub(super) why: String,
    /// What is stored under this name, if a duet turns out to be impossible.
    pub(super) instead: Option<Box<Stored>>,
}

/// Where it is looked for.
#[derive(Debug)]
pub(super) struct Places<'a> {
    /// Saved baselines and runs.
    pub(super) store: &'a Store,
    /// Revisions.
    pub(super) repository: Option<&'a Repository>,
    /// Pull requests.
    pub(super) environment: &'a CiEnvironment,
}

/// Looks for what `--baseline` names.
///
/// # Errors
/// If it is there and can't be read, or `--duet` or `--stored` asks for what can't be.
pub(super) fn find(places: &Places<'_>, args: &Args) -> Result<Reference, Failure> {
    let Some(name) = &args.baseline else { return Ok(Reference::NotAsked) };
    let stored = stored(places.store, name)?;
    let revision = match places.repository {
        Some(repository) => repository.resolve(name, places.environment),
        None => Err(Unresolved::NoRepository),
    };
    if let Ok(revision) = &revision
        && !args.target.quiet
    {
        revision.notes.iter().for_each(|note| eprintln!("note: {note}"));
    }
    let same = |revision: &Resolved| {
        revision.same_as_head && !places.repository.is_some_and(|repository| repository.revision().dirty)
    };
    let facts = Facts {
        in_ci: places.environment.is_ci,
        duet: args.duet,
        stored: args.stored,
        is_stored: stored.is_some(),
        revision: match &revision {
            Ok(revision) if same(revision) => Standing::Same,
            Ok(_) => Standing::Other,
            Err(_) => Standing::Unknown,
        },
        missing: args.baseline_missing,
    };
    let name = name.clone();
    Ok(match (decide(&facts), stored, revision) {
        (Choice::Duet(why), stored, Ok(revision)) => {
            let instead = stored.map(|stored| Box::new(Stored { revision: None, ..stored }));
            Reference::Duet(Box::new(DuetBase { name, revision, why: why.to_owned(), instead }))
        }
        (Choice::Stored(why), Some(stored), revision) => {
            let revision = revision.ok().filter(|revision| !same(revision));
            Reference::Stored(Box::new(Stored { why: why.to_owned(), revision, ..stored }))
        }
        (Choice::Same, _, Ok(revision)) => Reference::Same { name, revision },
        (_, _, revision) => {
            let unresolved = revision.err();
            let because = match &unresolved {
                Some(why @ (Unresolved::Shallow { .. } | Unresolved::Unrelated { .. })) => {
                    Some(why.to_string().replace("\nhint: ", "; "))
                }
                _ => None,
            };
            let message = missing(places.store, &name, &facts, unresolved);
            if (args.duet || args.stored) && args.baseline_missing == MissingPolicy::Build {
                return Err(Failure::new(ExitCode::Usage, message));
            }
            Reference::Missing { name, message, because }
        }
    })
}

impl Reference {
    /// The name, if one was asked for and is not there.
    pub(super) fn missing(&self) -> Option<&str> {
        match self {
            Reference::Missing { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Why it could not be had, if there is more to say than that there is none of that name.
    pub(super) fn missing_because(&self) -> Option<&str> {
        match self {
            Reference::Missing { because, .. } => because.as_deref(),
            _ => None,
        }
    }

    /// Says that it is missing, if it is.
    pub(super) fn remind(&self) {
        if let Reference::Missing { message, .. } = self {
            eprintln!("warning: {message}");
        }
    }

    /// That there is nothing to compare, if that is so.
    pub(super) fn nothing_to_compare(&self) -> Option<String> {
        let Reference::Same { name, revision } = self else { return None };
        Some(format!(
            "= NOTHING TO COMPARE. This tree is {name} ({}) without a change.",
            place(name, revision)
        ))
    }

    /// Which mode, why, and what it can tell: what a reader wants to know before waiting for it.
    pub(super) fn announcement(&self, now: Timestamp) -> Option<String> {
        match self {
            Reference::NotAsked | Reference::Missing { .. } | Reference::Same { .. } => None,
            Reference::Duet(duet) => {
                let DuetBase { name, revision, why, .. } = &**duet;
                Some(format!(
                    "Comparing with {name} ({}{}) in a duet, because {why}: both sides are built and run in turn",
                    place(name, revision),
                    age(&revision.committed_at, now)
                ))
            }
            Reference::Stored(stored) => {
                let Stored { name, is_saved, runs, why, .. } = &**stored;
                let what = if *is_saved { "the saved baseline " } else { "the stored run " };
                let first = runs.first().map(|run| &run.document);
                let commit = first.and_then(|run| run.revision.commit.as_deref());
                let place = match (commit, first) {
                    (Some(commit), Some(run)) => {
                        format!(" ({}{})", short(commit), age(&run.started_at, now))
                    }
                    _ => String::new(),
                };
                Some(format!("Comparing with {what}{name}{place}, because {why}"))
            }
        }
    }
}

/// What is stored under a name: a saved baseline, or the path of a run.
fn stored(store: &Store, name: &str) -> Result<Option<Stored>, Failure> {
    let of = |is_saved, runs, history| Stored {
        name: name.to_owned(),
        is_saved,
        runs,
        history,
        why: String::new(),
        revision: None,
    };
    // `HEAD~1` is a revision and can't be the name of a baseline: it is missing then, not wrong.
    if baseline_name(name).is_ok()
        && let Some(saved) = store.load_saved(name)?
    {
        return Ok(Some(of(true, saved.runs, store.history(name))));
    }
    let path = Path::new(name);
    let looks_like_a_path = path.components().count() > 1 || name.starts_with('.');
    if !looks_like_a_path || !path.exists() {
        return Ok(None);
    }
    let found = store.find_runs(name).or_exit(ExitCode::Usage)?;
    Ok(Some(of(false, found.runs, Vec::new())))
}

/// All that the choice depends on.
#[derive(Debug, Clone, Copy)]
struct Facts {
    in_ci: bool,
    duet: bool,
    stored: bool,
    is_stored: bool,
    revision: Standing,
    missing: MissingPolicy,
}

/// What git says of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is this very tree.
    Same,
    /// It is another one.
    Other,
    /// It knows none.
    Unknown,
}

/// What is done, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Duet(&'static str),
    Stored(&'static str),
    Same,
    Missing,
}

fn decide(facts: &Facts) -> Choice {
    let Facts { in_ci, duet, stored, is_stored, revision, missing } = *facts;
    match revision {
        Standing::Other if duet => Choice::Duet("--duet asks for it"),
        Standing::Same if duet => Choice::Same,
        Standing::Unknown if duet => Choice::Missing,
        _ if stored && is_stored => Choice::Stored("--stored asks for it"),
        _ if stored => Choice::Missing,
        Standing::Other if in_ci => Choice::Duet("this is CI and the revision can be built"),
        Standing::Other if is_stored => Choice::Stored(
            "a saved baseline of that name is there; --duet compares with the revision instead",
        ),
        Standing::Other if missing == MissingPolicy::Build => {
            Choice::Duet("no baseline of that name was saved and the revision can be built")
        }
        Standing::Other => Choice::Missing,
        Standing::Same if is_stored => {
            Choice::Stored("the revision is this very tree, and a baseline of that name was saved")
        }
        Standing::Same => Choice::Same,
        Standing::Unknown if is_stored => Choice::Stored("no revision has that name"),
        Standing::Unknown => Choice::Missing,
    }
}

fn missing(store: &Store, name: &str, facts: &Facts, unresolved: Option<Unresolved>) -> String {
    let save_as = if baseline_name(name).is_ok() { name } else { "NAME" };
    let mut message = match (&unresolved, facts.stored) {
        (Some(unresolved), _) if facts.duet => return unresolved.to_string(),
        (Some(unresolved @ (Unresolved::Shallow { .. } | Unresolved::Unrelated { .. })), false) => {
            unresolved.to_string()
        }
        (Some(_), false) => format!("baseline `{name}` not found, and no revision has that name"),
        _ => format!("baseline `{name}` not found"),
    };
    // A name that is nearly right was more likely meant than one that is yet to be saved.
    let meant = match &unresolved {
        Some(Unresolved::NotFound { hint, .. }) if hint.starts_with("did you mean") => {
            format!("{hint} If not, ")
        }
        _ => String::new(),
    };
    message.push_str(&format!("\nhint: {meant}save one with `cargo loadtest --save-baseline {save_as}`"));
    if unresolved.is_none() {
        message.push_str(", or build the revision with --duet");
    }
    let others = store.baselines();
    if !others.is_empty() {
        message.push_str(&format!("\nnote: there are: {}", others.join(", ")));
    }
    message
}

/// Keeps the runs of a session under a name.
///
/// # Errors
/// If it can't be written.
pub(super) fn save(
    store: &Store,
    name: &str,
    runs: &[String],
    session: Option<&str>,
) -> anyhow::Result<String> {
    store
        .save_baseline_runs(name, runs, session)
        .with_context(|| format!("can't save the baseline `{name}`"))?;
    Ok(match runs.len() {
        1 => format!("baseline  {name} is this run now"),
        runs => format!("baseline  {name} is these {runs} runs now"),
    })
}

/// The digits of a commit that one reads.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..9).unwrap_or(commit)
}

/// How a name led to a commit, and to which: `the merge base of main and HEAD, 0e7783d1d`. Of `HEAD~1` only the commit,
/// because the name says the rest.
fn place(name: &str, revision: &Resolved) -> String {
    match revision.how == name {
        true => short(&revision.commit).to_owned(),
        false => format!("{}, {}", revision.how, short(&revision.commit)),
    }
}

/// `, 3 days old`; nothing if the time is none.
fn age(then: &str, now: Timestamp) -> String {
    let Ok(then) = then.parse::<Timestamp>() else { return String::new() };
    let seconds = now.duration_since(then).as_secs_f64();
    let (length, unit) = match seconds {
        s if s < 0.0 => return String::new(),
        s if s < 120.0 => (1.0, "seconds"),
        s if s < 7_200.0 => (60.0, "minutes"),
        s if s < 172_800.0 => (3_600.0, "hours"),
        _ => (86_400.0, "days"),
    };
    format!(", {:.0} {unit} old", seconds / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Facts = Facts {
        in_ci: false,
        duet: false,
        stored: false,
        is_stored: false,
        revision: Standing::Unknown,
        missing: MissingPolicy::Build,
    };

    #[test]
    fn a_saved_baseline_wins_on_a_laptop_and_a_duet_in_ci() {
        let both = Facts { is_stored: true, revision: Standing::Other, ..NOTHING };
        assert!(matches!(decide(&both), Choice::Stored(why) if why.contains("--duet")));
        assert!(matches!(decide(&Facts { in_ci: true, ..both }), Choice::Duet(_)));
        assert!(matches!(decide(&Facts { in_ci: true, stored: true, ..both }), Choice::Stored(_)));
        assert!(matches!(decide(&Facts { duet: true, ..both }), Choice::Duet(_)));
    }

    #[test]
    fn a_revision_alone_is_built_unless_that_was_forbidden() {
        let revision = Facts { revision: Standing::Other, ..NOTHING };
        assert!(matches!(decide(&revision), Choice::Duet(_)));
        assert_eq!(decide(&Facts { missing: MissingPolicy::Fail, ..revision }), Choice::Missing);
        assert_eq!(decide(&Facts { missing: MissingPolicy::Warn, ..revision }), Choice::Missing);
        assert_eq!(decide(&Facts { stored: true, ..revision }), Choice::Missing);
        assert!(
            matches!(
                decide(&Facts { missing: MissingPolicy::Fail, in_ci: true, ..revision }),
                Choice::Duet(_)
            ),
            "a duet needs no saved baseline in CI"
        );
    }

    #[test]
    fn this_very_tree_is_compared_with_what_was_saved_of_it_or_with_nothing() {
        let same = Facts { revision: Standing::Same, ..NOTHING };
        assert_eq!(decide(&same), Choice::Same);
        assert_eq!(decide(&Facts { in_ci: true, ..same }), Choice::Same);
        assert_eq!(decide(&Facts { duet: true, is_stored: true, ..same }), Choice::Same);
        assert!(matches!(decide(&Facts { is_stored: true, in_ci: true, ..same }), Choice::Stored(_)));
    }

    #[test]
    fn what_nobody_knows_is_missing() {
        assert_eq!(decide(&NOTHING), Choice::Missing);
        assert_eq!(decide(&Facts { duet: true, is_stored: true, ..NOTHING }), Choice::Missing);
        assert!(matches!(decide(&Facts { is_stored: true, ..NOTHING }), Choice::Stored(_)));
    }

    #[test]
    fn ages_are_told_in_one_unit() {
        let now: Timestamp = "2026-05-04T10:00:00Z".parse().expect("a time");
        assert_eq!(age("2026-05-01T10:00:00Z", now), ", 3 days old");
        assert_eq!(age("2026-05-04T08:30:00Z", now), ", 90 minutes old");
        assert_eq!(age("tomorrow", now), "");
    }
}
