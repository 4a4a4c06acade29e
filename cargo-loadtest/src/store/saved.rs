//! Saved baselines: names for the runs of a session.
//!
//! The main type is [`SavedBaseline`]. A baseline is a pointer and nothing more: its runs are directories of the
//! store, and its history is the sessions that were saved under its name. So a name can outlive its runs, and what
//! is left of it is told by [`SavedBaseline::missing`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use loadtest_core::results::SCHEMA_VERSION;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Store, atomic, baseline, document, run_dir};
use crate::data::RunData;
use crate::session::Session;
use crate::stats::history::FEWEST_SESSIONS;

/// A baseline as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BaselineFile {
    schema_version: u32,
    /// The first of `runs`, which is all that the first versions wrote and read.
    run: String,
    /// Empty in a file of the first versions.
    #[serde(default)]
    runs: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    saved_at: String,
}

/// What a baseline's name stands for, without its runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselinePointer {
    /// RFC 3339 in UTC.
    pub saved_at: String,
    /// The ids of its runs, in the order in which they were made.
    pub runs: Vec<String>,
    /// The session that they are of, if it was kept.
    pub session: Option<String>,
}

/// A baseline with its runs.
#[derive(Debug)]
pub struct SavedBaseline {
    /// Its name.
    pub name: String,
    /// RFC 3339 in UTC; of its latest session if only the history is left.
    pub saved_at: String,
    /// The session that its runs are of, if it was kept.
    pub session: Option<Session>,
    /// Its runs that are still there. They are empty only if the history of the name can take their place, with at
    /// least [`FEWEST_SESSIONS`] sessions.
    pub runs: Vec<RunData>,
    /// The ids of its runs whose directories are gone.
    pub missing: Vec<String>,
}

impl BaselineFile {
    /// Reads a baseline of any version.
    ///
    /// # Errors
    /// If it is none, of a newer version, or names what can't be in a store.
    pub(super) fn parse(value: Value, file: &Path) -> anyhow::Result<BaselinePointer> {
        document::check_version(&value, file)?;
        let read: BaselineFile =
            serde_json::from_value(value).with_context(|| format!("{} is no baseline", file.display()))?;
        let ids = read.runs.iter().chain([&read.run]).chain(&read.session);
        if let Some(id) = ids.into_iter().find(|id| !run_dir::is_id(id)) {
            bail!("{} names no run of this store: `{}`", file.display(), id.escape_debug());
        }
        let runs = if read.runs.is_empty() { vec![read.run] } else { read.runs };
        Ok(BaselinePointer { saved_at: read.saved_at, runs, session: read.session })
    }

    pub(super) fn of(pointer: &BaselinePointer) -> BaselineFile {
        BaselineFile {
            schema_version: SCHEMA_VERSION,
            run: pointer.runs.first().cloned().unwrap_or_default(),
            runs: pointer.runs.clone(),
            session: pointer.session.clone(),
            saved_at: pointer.saved_at.clone(),
        }
    }
}

impl Store {
    /// Names a run. A baseline of that name is replaced.
    ///
    /// # Errors
    /// If the name has letters that it must not have, the run does not exist or is unfinished, or the
    /// baseline can't be written.
    pub fn save_baseline(&self, name: &str, run_id: &str) -> anyhow::Result<()> {
        self.save_baseline_runs(name, &[run_id.to_owned()], None)
    }

    /// Names runs, and the session that they are of. A baseline of that name is replaced.
    ///
    /// # Errors
    /// If the name has letters that it must not have, there is no run, one does not exist or is unfinished, the
    /// session does not exist, or the baseline can't be written.
    pub fn save_baseline_runs(
        &self,
        name: &str,
        runs: &[String],
        session: Option<&str>,
    ) -> anyhow::Result<()> {
        baseline::file_of(name)?;
        if runs.is_empty() {
            bail!("there is no run that could be the baseline `{name}`");
        }
        let runs = runs.iter().map(|run| self.finished_run(name, run)).collect::<anyhow::Result<_>>()?;
        if let Some(id) = session
            && self.session(id)?.is_none()
        {
            bail!("there is no session `{}` in {}", id.escape_debug(), self.path.display());
        }
        let saved_at = jiff::Timestamp::now().to_string();
        self.write_baseline(name, &BaselinePointer { saved_at, runs, session: session.map(str::to_owned) })
    }

    /// Writes a baseline, whatever it points at.
    pub(super) fn write_baseline(&self, name: &str, pointer: &BaselinePointer) -> anyhow::Result<()> {
        let file = self.baseline_file(name)?;
        self.create()?;
        let directory = self.baselines_directory();
        fs::create_dir_all(&directory).with_context(|| format!("can't create {}", directory.display()))?;
        atomic::write_json(&file, &BaselineFile::of(pointer))
    }

    /// The id of a run of this store that is complete.
    fn finished_run(&self, name: &str, run_id: &str) -> anyhow::Result<String> {
        let directory = self.find(run_id)?;
        let run = directory.file_name().and_then(|name| name.to_str());
        let in_store = |run: &&str| {
            let own = self.runs().join(run).canonicalize();
            directory.canonicalize().is_ok_and(|path| own.is_ok_and(|own| own == path))
        };
        let run = run.filter(in_store).with_context(|| {
            format!("the run {} is not in the store {}", directory.display(), self.path.display())
        })?;
        if !directory.join(run_dir::DOCUMENT).is_file() {
            bail!("the run {run} was not finished, so it can't be the baseline `{name}`");
        }
        Ok(run.to_owned())
    }

    /// Reads the first run that a baseline names; `None` if there is no such baseline.
    ///
    /// # Errors
    /// If the name has letters that it must not have, or the run is gone or can't be read.
    pub fn load_baseline(&self, name: &str) -> anyhow::Result<Option<RunData>> {
        let Some(pointer) = self.baseline(name)? else { return Ok(None) };
        match pointer.runs.first() {
            Some(run) if self.runs().join(run).is_dir() => self.read_run_of(name, run).map(Some),
            _ => Err(gone(name, &pointer.runs)),
        }
    }

    /// Reads a baseline with its runs; `None` if there is no such baseline, and no history of that name that could
    /// stand for it.
    ///
    /// # Errors
    /// If the name has letters that it must not have, a run can't be read, or all runs are gone and the history
    /// is too short to take their place.
    pub fn load_saved(&self, name: &str) -> anyhow::Result<Option<SavedBaseline>> {
        let pointer = self.baseline(name)?;
        let Some(pointer) = pointer else {
            let mut history = self.history(name);
            // What another machine saved came here by the history's branch, without the runs.
            return Ok(history.pop().filter(|_| history.len() + 1 >= FEWEST_SESSIONS).map(|latest| {
                SavedBaseline {
                    name: name.to_owned(),
                    saved_at: latest.started_at.clone(),
                    runs: Vec::new(),
                    missing: latest.head.runs.clone(),
                    session: Some(latest),
                }
            }));
        };
        let session = match &pointer.session {
            // A session that can't be read is less than no session: the runs say all that is needed.
            Some(id) => self.session(id).ok().flatten(),
            None => None,
        };
        let (there, missing): (Vec<String>, Vec<String>) =
            pointer.runs.into_iter().partition(|run| self.runs().join(run).is_dir());
        if there.is_empty() && self.history(name).len() < FEWEST_SESSIONS {
            return Err(gone(name, &missing));
        }
        let runs = there.iter().map(|run| self.read_run_of(name, run)).collect::<anyhow::Result<_>>()?;
        Ok(Some(SavedBaseline { name: name.to_owned(), saved_at: pointer.saved_at, session, runs, missing }))
    }

    /// What a baseline points at; `None` if there is no such baseline.
    ///
    /// # Errors
    /// If the name has letters that it must not have, or its file can't be read.
    pub fn baseline(&self, name: &str) -> anyhow::Result<Option<BaselinePointer>> {
        let file = self.baseline_file(name)?;
        let Some(value) = document::read_json(&file)? else { return Ok(None) };
        BaselineFile::parse(value, &file).map(Some)
    }

    fn read_run_of(&self, name: &str, run: &str) -> anyhow::Result<RunData> {
        document::load(&self.runs().join(run)).with_context(|| format!("can't read the baseline `{name}`"))
    }

    /// Forgets a baseline. Its runs stay, and so do its sessions, which no longer count as its history. Returns the
    /// number of these; `None` if there is nothing of that name.
    ///
    /// # Errors
    /// If the name has letters that it must not have, or a file can't be changed.
    pub fn remove_baseline(&self, name: &str) -> anyhow::Result<Option<usize>> {
        let file = self.baseline_file(name)?;
        let history = self.history(name);
        let was_there = match fs::remove_file(&file) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(error).with_context(|| format!("can't remove {}", file.display())),
        };
        for session in &history {
            self.save_session(&Session { saved_as: None, ..session.clone() })?;
        }
        Ok((was_there || !history.is_empty()).then_some(history.len()))
    }

    /// The names of the baselines, sorted.
    pub fn baselines(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.baselines_directory()) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.flatten().filter_map(|entry| baseline::name_of(entry.file_name().to_str()?)).collect();
        names.sort();
        names
    }

    pub(super) fn baselines_directory(&self) -> PathBuf {
        self.path.join("baselines")
    }

    fn baseline_file(&self, name: &str) -> anyhow::Result<PathBuf> {
        Ok(self.baselines_directory().join(baseline::file_of(name)?))
    }
}

fn gone(name: &str, runs: &[String]) -> anyhow::Error {
    let what = match runs {
        [run] => format!("run {run}, which is gone"),
        _ => format!("runs {}, which are gone", runs.join(", ")),
    };
    anyhow::anyhow!(
        "the baseline `{name}` names the {what}\nhint: save it anew with `cargo loadtest --save-baseline {name}`"
    )
}
