//! The baseline of a run: loaded before any load, compared with afterwards, saved at the end.
//!
//! The main type is [`Baseline`]. How two runs are compared is the matter of [`crate::compare`].

use anyhow::Context;

use crate::cli::{Args, baseline_name};
use crate::compare::{self, Comparison};
use crate::data::RunData;
use crate::discover::Workspace;
use crate::revision;
use crate::store::Store;
use crate::verdict::{self, TestFacts};

/// What `--baseline` found.
#[derive(Debug)]
pub(super) enum Baseline {
    /// None was asked for.
    NotAsked,
    /// There is none of this name.
    Missing {
        /// The name.
        name: String,
        /// What to say about it.
        message: String,
    },
    /// The run that was saved.
    Found {
        /// Its name.
        name: String,
        /// The run.
        run: Box<RunData>,
    },
}

impl Baseline {
    /// Looks for it, and says at once if it is not there: a test may take long.
    ///
    /// # Errors
    /// If it is there and can't be read.
    pub(super) fn load(store: &Store, workspace: &Workspace, args: &Args) -> anyhow::Result<Baseline> {
        let Some(name) = &args.baseline else { return Ok(Baseline::NotAsked) };
        // `HEAD~1` is a revision and can't be the name of a baseline: it is missing then, not wrong.
        let savable = baseline_name(name).is_ok();
        let run = if savable { store.load_baseline(name)? } else { None };
        if let Some(run) = run {
            return Ok(Baseline::Found { name: name.clone(), run: Box::new(run) });
        }
        let save_as = if savable { name } else { "NAME" };
        let mut message = format!("baseline `{name}` not found; run with --save-baseline {save_as} first");
        let others = store.baselines();
        if !others.is_empty() {
            message.push_str(&format!("\nnote: there are: {}", others.join(", ")));
        }
        if revision::is_revision(workspace.root(), name) {
            message.push_str(&format!(
                "\nnote: `{name}` is a git revision; comparing with a revision by building it does not work yet: \
                 check it out and save a run of it"
            ));
        }
        let missing = Baseline::Missing { name: name.clone(), message };
        missing.remind();
        Ok(missing)
    }

    /// The run, if there is one.
    pub(super) fn run(&self) -> Option<&RunData> {
        match self {
            Baseline::Found { run, .. } => Some(run),
            _ => None,
        }
    }

    /// The name, if one was asked for and is not there.
    pub(super) fn missing(&self) -> Option<&str> {
        match self {
            Baseline::Missing { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Says that it is missing, if it is.
    pub(super) fn remind(&self) {
        if let Baseline::Missing { message, .. } = self {
            eprintln!("warning: {message}");
        }
    }

    /// Compares a run with it.
    pub(super) fn compare(&self, head: &RunData) -> Option<Comparison> {
        let Baseline::Found { name, run } = self else { return None };
        Some(compare::compare_named(name, run, head))
    }
}

/// Keeps a run under a name, unless it is no measure for others. Returns what to say.
///
/// # Errors
/// If it can't be written.
pub(super) fn save(
    store: &Store,
    name: &str,
    run: &RunData,
    facts: &[TestFacts<'_>],
) -> anyhow::Result<Option<String>> {
    if let Err(reason) = verdict::fit_for_baseline(facts) {
        eprintln!("warning: baseline `{name}` was not saved: {reason}");
        return Ok(None);
    }
    store
        .save_baseline(name, &run.document.id)
        .with_context(|| format!("can't save the baseline `{name}`"))?;
    Ok(Some(format!("baseline  {name} is this run now")))
}
