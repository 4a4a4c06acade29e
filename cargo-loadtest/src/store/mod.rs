//! What runs leave on disk: one directory for each run, never changed once it is complete; a small file for each
//! session, which is the runs of one command; and baselines, which are names for runs.
//!
//! The main types are [`Store`] and [`RunDir`]. Every file but the interval logs is written under a
//! temporary name, synced and renamed, so that it is there as a whole or not at all. Documents of an older
//! version are migrated when they are read; those of a newer one are refused. Nothing here computes.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

mod archive;
mod atomic;
mod baseline;
mod document;
mod find;
mod intervals;
mod prune;
mod run_dir;
mod saved;
mod sessions;
#[cfg(test)]
mod tests;

pub use archive::Archived;
pub use find::FoundRuns;
pub use prune::Unneeded;
pub use run_dir::{RunDir, write_report};
pub use saved::{BaselinePointer, SavedBaseline};
pub use sessions::{MAX_SESSION_BYTES, Sessions, parse_session};

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
    fn load_run(&self, id_or_path: &str) -> anyhow::Result<crate::data::RunData> {
        document::load(&self.find(id_or_path)?)
    }

    fn runs(&self) -> PathBuf {
        self.path.join("runs")
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
