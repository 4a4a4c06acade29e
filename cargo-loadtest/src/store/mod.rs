//! What runs leave on disk: one directory for each run, never changed once it is complete, and baselines,
//! which are names for runs.
//!
//! The main types are [`Store`] and [`RunDir`]. Every file but the interval logs is written under a
//! temporary name, synced and renamed, so that it is there as a whole or not at all. Documents of an older
//! version are migrated when they are read; those of a newer one are refused. Nothing here computes.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use loadtest_core::results::SCHEMA_VERSION;
use serde::{Deserialize, Serialize};

mod atomic;
mod baseline;
mod document;
mod intervals;
mod run_dir;
#[cfg(test)]
mod tests;

pub use run_dir::{RunDir, write_report};

use crate::data::RunData;

/// The environment variable that puts the store elsewhere; it wins over the configuration.
pub const ENV_STORE: &str = "LOADTEST_STORE";

/// The store's directory in a workspace.
const DIRECTORY: &str = ".loadtest";

/// The runs and baselines of a workspace.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    /// In the workspace, where git must not see it. A store elsewhere may well be meant for git.
    own: bool,
}

/// A baseline: the name of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct BaselineFile {
    schema_version: u32,
    run: String,
    saved_at: String,
}

impl Store {
    /// The store of a workspace: `.loadtest` at its root, or `LOADTEST_STORE` (relative to the working
    /// directory), or what the configuration says (relative to the root). Nothing is written before there
    /// is something to store.
    ///
    /// # Errors
    /// If it exists and is not a directory.
    pub fn open(workspace_root: &Path, configured: Option<&Path>) -> anyhow::Result<Store> {
        let environment = env::var_os(ENV_STORE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let environment = match environment {
            Some(path) => Some(
                std::path::absolute(&path)
                    .with_context(|| format!("{ENV_STORE} is no usable path: {}", path.display()))?,
            ),
            None => None,
        };
        Self::at(workspace_root, configured, environment.as_deref())
    }

    fn at(
        workspace_root: &Path,
        configured: Option<&Path>,
        environment: Option<&Path>,
    ) -> anyhow::Result<Store> {
        let elsewhere = environment.or(configured);
        // `join` takes an absolute path as it is.
        let path = workspace_root.join(elsewhere.unwrap_or(Path::new(DIRECTORY)));
        if path.exists() && !path.is_dir() {
            bail!(
                "the store {} is not a directory\nhint: remove it, or set {ENV_STORE} or `store` in loadtest.toml",
                path.display()
            );
        }
        Ok(Store { path, own: elsewhere.is_none() })
    }

    /// Its directory, which may not exist yet.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory of a new run, named by the time in UTC, the first seven digits of the commit
    /// (`nogit` without one) and a random number.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn begin(&self, commit: Option<&str>) -> anyhow::Result<RunDir> {
        self.create()?;
        RunDir::create(&self.runs(), commit)
    }

    /// Reads a run by what [`Store::find`] takes, as a baseline of it is read.
    #[cfg(test)]
    fn load_run(&self, id_or_path: &str) -> anyhow::Result<RunData> {
        document::load(&self.find(id_or_path)?)
    }

    /// Names a run. A baseline of that name is replaced.
    ///
    /// # Errors
    /// If the name has letters that it must not have, the run does not exist or is unfinished, or the
    /// baseline can't be written.
    pub fn save_baseline(&self, name: &str, run_id: &str) -> anyhow::Result<()> {
        let file = self.baseline_file(name)?;
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
        self.create()?;
        let baseline = BaselineFile {
            schema_version: SCHEMA_VERSION,
            run: run.to_owned(),
            saved_at: jiff::Timestamp::now().to_string(),
        };
        fs::create_dir_all(self.baselines_directory())
            .with_context(|| format!("can't create {}", self.baselines_directory().display()))?;
        atomic::write_json(&file, &baseline)
    }

    /// Reads the run that a baseline names; `None` if there is no such baseline.
    ///
    /// # Errors
    /// If the name has letters that it must not have, or the run is gone or can't be read.
    pub fn load_baseline(&self, name: &str) -> anyhow::Result<Option<RunData>> {
        let file = self.baseline_file(name)?;
        let Some(value) = document::read_json(&file)? else { return Ok(None) };
        document::check_version(&value, &file)?;
        let baseline: BaselineFile =
            serde_json::from_value(value).with_context(|| format!("{} is no baseline", file.display()))?;
        if !run_dir::is_id(&baseline.run) {
            bail!("{} names no run of this store: `{}`", file.display(), baseline.run.escape_debug());
        }
        let directory = self.runs().join(&baseline.run);
        if !directory.is_dir() {
            bail!(
                "the baseline `{name}` names the run {}, which is gone\nhint: save it anew with \
                 `cargo loadtest --save-baseline {name}`",
                baseline.run
            );
        }
        document::load(&directory).with_context(|| format!("can't read the baseline `{name}`")).map(Some)
    }

    /// The names of the baselines, sorted.
    pub fn baselines(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.baselines_directory()) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.flatten().filter_map(|entry| baseline::name_of(entry.file_name().to_str()?)).collect();
        names.sort();
        names
    }

    fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    fn baselines_directory(&self) -> PathBuf {
        self.path.join("baselines")
    }

    fn baseline_file(&self, name: &str) -> anyhow::Result<PathBuf> {
        Ok(self.baselines_directory().join(baseline::file_of(name)?))
    }

    /// The directory of a run: by its id, a beginning of it that is unique, or the path of a run directory or
    /// of its `run.json`.
    fn find(&self, id_or_path: &str) -> anyhow::Result<PathBuf> {
        if run_dir::is_id(id_or_path) {
            let exact = self.runs().join(id_or_path);
            if exact.is_dir() {
                return Ok(exact);
            }
        }
        let path = Path::new(id_or_path);
        if path.is_dir() && (path.join(run_dir::DOCUMENT).exists() || path.join(run_dir::MANIFEST).exists()) {
            return Ok(path.to_owned());
        }
        if path.is_file() && path.file_name().is_some_and(|name| name == run_dir::DOCUMENT) {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            return Ok(parent.unwrap_or(Path::new(".")).to_owned());
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
    fn run_ids(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.runs()) else { return Vec::new() };
        let mut ids: Vec<_> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| run_dir::is_id(name))
            .collect();
        ids.sort();
        ids
    }

    fn create(&self) -> anyhow::Result<()> {
        let failed = || {
            format!(
                "can't create the store {}\nhint: set {ENV_STORE} or `store` in loadtest.toml to a directory that \
                 can be written",
                self.path.display()
            )
        };
        fs::create_dir_all(&self.path).with_context(failed)?;
        let ignore = self.path.join(".gitignore");
        if self.own && !ignore.exists() {
            atomic::write(&ignore, b"*\n").with_context(failed)?;
        }
        Ok(())
    }
}
