//! From what a user types to stored runs: the name of a baseline, a session, a run, a path or a commit.
//!
//! The main type is [`FoundRuns`]. Where a text means several kinds of things, the order is the one of that list.

use std::path::{Path, PathBuf};

use anyhow::bail;

use super::{Store, baseline, document, run_dir};
use crate::data::RunData;
use crate::session::Session;

/// The fewest digits of an abbreviated commit, as git has them.
const FEWEST_DIGITS: usize = 4;
/// Digits of a commit in the id of a run.
const DIGITS_OF_ID: usize = 7;

/// Stored runs that were asked for.
#[derive(Debug)]
pub struct FoundRuns {
    /// What the user called them, if that says more than their ids: a baseline's name, a commit, a path.
    pub name: Option<String>,
    /// Whether that is the name of a saved baseline.
    pub is_saved: bool,
    /// The session that they are of, if one is known.
    pub session: Option<Session>,
    /// The runs, in the order in which they were made. Empty only for a baseline of which nothing but its history
    /// is left.
    pub runs: Vec<RunData>,
}

impl Store {
    /// Looks for runs: by a baseline's name, the id of a session or of a run or a beginning of it that is unique,
    /// the path of a run directory or of its `run.json`, or a full or abbreviated commit, of which the latest
    /// session counts.
    ///
    /// # Errors
    /// If there is nothing of this kind, several things fit, or a run can't be read.
    pub fn find_runs(&self, what: &str) -> anyhow::Result<FoundRuns> {
        if baseline::file_of(what).is_ok()
            && let Some(saved) = self.load_saved(what)?
        {
            let name = Some(what.to_owned());
            return Ok(FoundRuns { name, is_saved: true, session: saved.session, runs: saved.runs });
        }
        if let Some(found) = self.by_id(what)? {
            return Ok(found);
        }
        if let Some(directory) = at_path(what) {
            let run = document::load(&directory)?;
            let name = Some(what.to_owned());
            return Ok(FoundRuns { name, is_saved: false, session: None, runs: vec![run] });
        }
        let mut ids = self.run_ids();
        ids.extend(self.session_ids());
        ids.sort();
        ids.dedup();
        let matching: Vec<&String> =
            ids.iter().filter(|id| !what.is_empty() && id.starts_with(what)).collect();
        match *matching {
            [id] => {
                if let Some(found) = self.by_id(id)? {
                    return Ok(found);
                }
            }
            // `2026112` may well be a commit: what it is the beginning of is told only if it is none.
            [first, .., last] => {
                return match self.by_commit(what)? {
                    Some(found) => Ok(found),
                    None => bail!(
                        "`{what}` is the beginning of {} ids, from {first} to {last}\nhint: write more of it",
                        matching.len()
                    ),
                };
            }
            [] => {}
        }
        if let Some(found) = self.by_commit(what)? {
            return Ok(found);
        }
        let baselines = self.baselines();
        let hint = match (ids.last(), baselines.is_empty()) {
            (_, false) => format!("there are the baselines {}", baselines.join(", ")),
            (Some(last), true) => format!("the latest run is {last}"),
            (None, true) => "the store has no runs yet: `cargo loadtest` makes one".to_owned(),
        };
        bail!(
            "no baseline, session, run or commit `{}` in {}\nhint: {hint}",
            what.escape_debug(),
            self.path.display()
        )
    }

    /// Reads a run by its id.
    ///
    /// # Errors
    /// If it is not there, unfinished, corrupt or of a newer version.
    pub fn run(&self, id: &str) -> anyhow::Result<RunData> {
        if !run_dir::is_id(id) {
            bail!("`{}` is not the id of a run", id.escape_debug());
        }
        document::load(&self.runs().join(id))
    }

    /// Whether the directory of a run is there.
    pub fn has_run(&self, id: &str) -> bool {
        run_dir::is_id(id) && self.runs().join(id).is_dir()
    }

    /// The runs of one side of a session.
    ///
    /// # Errors
    /// If one is gone or can't be read.
    pub fn runs_of(&self, session: &Session, runs: &[String]) -> anyhow::Result<Vec<RunData>> {
        let gone: Vec<&str> = runs.iter().filter(|id| !self.has_run(id)).map(String::as_str).collect();
        if !gone.is_empty() {
            bail!(
                "the session {} is there, but its runs {} were removed\nhint: `cargo loadtest trend` reads sessions \
                 alone",
                session.id,
                gone.join(", ")
            );
        }
        runs.iter().map(|id| self.run(id)).collect()
    }

    fn by_id(&self, id: &str) -> anyhow::Result<Option<FoundRuns>> {
        if let Some(session) = self.session(id)? {
            let runs = self.runs_of(&session, &session.head.runs)?;
            return Ok(Some(FoundRuns { name: None, is_saved: false, session: Some(session), runs }));
        }
        if !self.has_run(id) {
            return Ok(None);
        }
        let runs = vec![self.run(id)?];
        Ok(Some(FoundRuns { name: None, is_saved: false, session: None, runs }))
    }

    /// The latest session at a commit; where there is none, the latest run.
    fn by_commit(&self, what: &str) -> anyhow::Result<Option<FoundRuns>> {
        let is_hash = what.len() >= FEWEST_DIGITS && what.chars().all(|c| c.is_ascii_hexdigit());
        if !is_hash {
            return Ok(None);
        }
        let what = what.to_ascii_lowercase();
        let name = Some(what.clone());
        let is_at = |commit: Option<&str>| commit.is_some_and(|commit| commit.starts_with(&what));
        let sessions = self.sessions().sessions;
        let mut of_head = sessions.iter().filter(|session| is_at(session.head.revision.commit.as_deref()));
        let mut of_base = sessions.iter().filter_map(|session| {
            let base = session.base.as_ref()?;
            is_at(base.revision.commit.as_deref()).then_some((session, base))
        });
        let found = of_head.next_back().map(|session| (session, &session.head));
        if let Some((session, side)) = found.or_else(|| of_base.next_back()) {
            let commits = sessions.iter().filter_map(|session| session.head.revision.commit.as_deref());
            let others = commits.filter(|commit| is_at(Some(commit)));
            let full = side.revision.commit.as_deref();
            if let Some(other) = others.into_iter().find(|other| Some(*other) != full) {
                bail!(
                    "`{what}` is the beginning of several commits, such as {} and {other}\nhint: write more of it",
                    full.unwrap_or_default()
                );
            }
            let runs = self.runs_of(session, &side.runs)?;
            return Ok(Some(FoundRuns { name, is_saved: false, session: Some(session.clone()), runs }));
        }
        let digits = &what[..what.len().min(DIGITS_OF_ID)];
        let at = |id: &&String| id.split('-').nth(1).is_some_and(|commit| commit.starts_with(digits));
        for id in self.run_ids().iter().rev().filter(at) {
            let Ok(run) = self.run(id) else { continue };
            if is_at(run.document.revision.commit.as_deref()) {
                return Ok(Some(FoundRuns { name, is_saved: false, session: None, runs: vec![run] }));
            }
        }
        Ok(None)
    }

    /// The directory of a run: by its id, a beginning of it that is unique, or the path of a run directory or
    /// of its `run.json`.
    pub(super) fn find(&self, id_or_path: &str) -> anyhow::Result<PathBuf> {
        if self.has_run(id_or_path) {
            return Ok(self.runs().join(id_or_path));
        }
        if let Some(path) = at_path(id_or_path) {
            return Ok(path);
        }
        let runs = self.run_ids();
        let matching: Vec<_> =
            runs.iter().filter(|id| !id_or_path.is_empty() && id.starts_with(id_or_path)).collect();
        match *matching {
            [id] => Ok(self.runs().join(id)),
            [] => {
                let hint = match runs.last() {
                    Some(last) => format!("the latest run is {last}"),
                    None => "the store has no runs yet: `cargo loadtest` makes one".to_owned(),
                };
                bail!("no run `{}` in {}\nhint: {hint}", id_or_path.escape_debug(), self.path.display())
            }
            [first, .., last] => bail!(
                "`{id_or_path}` is the beginning of {} runs, from {first} to {last}\nhint: write more of it",
                matching.len()
            ),
        }
    }

    /// The ids of all runs, the oldest first.
    pub fn run_ids(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.runs()) else { return Vec::new() };
        let mut ids: Vec<_> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| run_dir::is_id(name))
            .collect();
        ids.sort();
        ids
    }
}

/// The run directory that a path means, if it means one.
fn at_path(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    if path.is_dir() && (path.join(run_dir::DOCUMENT).exists() || path.join(run_dir::MANIFEST).exists()) {
        return Some(path.to_owned());
    }
    if path.is_file() && path.file_name().is_some_and(|name| name == run_dir::DOCUMENT) {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        return Some(parent.unwrap_or(Path::new(".")).to_owned());
    }
    None
}
