//! The base of a duet: its own checkout in the cache, built with its own lock file into its own target directory.
//!
//! The main type is [`BaseSide`]. Head's test drives both sides, so of the base only the services' binaries are
//! built. The one exception are services inside the test process: they are code of the test binary, so the base's own
//! is built and asked for the test. What can't be built is no failure of the command: there is nothing to compare
//! with then, and the reason says why.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use crate::cli::TargetArgs;
use crate::discover::{self, Found, LoadTest, Workspace};
use crate::failure::Failure;
use crate::git::{self, Repository, Worktree};
use crate::run::execute::{Binaries, Plan};
use crate::verdict::ExitCode;

/// A checkout of the base, with what was built of it.
#[derive(Debug)]
pub(super) struct BaseSide {
    /// Where the workspace is.
    pub(super) root: PathBuf,
    workspace: Workspace,
    args: TargetArgs,
    found: OnceCell<Result<Found, String>>,
    /// Its lock keeps another command from changing the checkout meanwhile.
    _worktree: Worktree,
}

/// What the base is made from.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// The repository of this tree.
    pub(super) repository: &'a Repository,
    /// The base's commit.
    pub(super) commit: &'a str,
    /// This tree.
    pub(super) head: &'a Workspace,
    /// How head was built.
    pub(super) args: &'a TargetArgs,
}

/// Why the base can't be run.
#[derive(Debug)]
pub(super) enum Unbuilt {
    /// There is nothing to compare with, a sentence.
    Because(String),
    /// The user ended it, or the machine can't.
    Failed(Failure),
}

impl BaseSide {
    /// Checks the base out and reads its workspace.
    ///
    /// # Errors
    /// If it can't be checked out, or cargo can't read it.
    pub(super) fn open(source: &Source<'_>) -> Result<Self, Unbuilt> {
        let cannot = |what: &str, error: &anyhow::Error| {
            Unbuilt::Because(format!("{what}: {}", format!("{error:#}").replace('\n', " ")))
        };
        let top = source.repository.root();
        let worktree = source
            .repository
            .worktree(source.commit, &git::cache_directory())
            .map_err(|error| cannot("the base can't be checked out", &error))?;
        let there = |path: &Path| Some(worktree.path.join(path.strip_prefix(top).ok()?));
        let root = there(&real(source.head.root())).unwrap_or_else(|| worktree.path.clone());
        if !root.join("Cargo.toml").exists() {
            return Err(Unbuilt::Because(format!(
                "the base has no workspace at {}",
                root.strip_prefix(&worktree.path).unwrap_or(&root).join("Cargo.toml").display()
            )));
        }
        // Without a lock file of its own the base would get whatever versions are the newest today.
        let (lock, heads) = (root.join("Cargo.lock"), source.head.root().join("Cargo.lock"));
        if !lock.exists() && heads.exists() && std::fs::copy(&heads, &lock).is_ok() && !source.args.quiet {
            eprintln!("note: the base has no Cargo.lock of its own, so it is built with that of this tree");
        }
        // Cargo reads the configuration of the directory that it is started in and of those above.
        let here = std::env::current_dir().ok().and_then(|here| there(&real(&here)));
        let directory = here.filter(|here| here.is_dir()).unwrap_or_else(|| root.clone());
        let args = TargetArgs {
            manifest_path: Some(root.join("Cargo.toml")),
            target_dir: Some(worktree.target.clone()),
            directory: Some(directory),
            // A package may be new in head: the binaries are looked for in the whole workspace.
            workspace: true,
            package: Vec::new(),
            exclude: Vec::new(),
            changed_since: None,
            filters: Vec::new(),
            exact: false,
            ..source.args.clone()
        };
        let workspace = Workspace::read(&args).map_err(unbuilt)?;
        Ok(Self { root, workspace, args, found: OnceCell::new(), _worktree: worktree })
    }

    /// Builds the services of a test.
    ///
    /// # Errors
    /// If it has no such services, or they do not build.
    pub(super) fn services_of(&self, plan: &Plan<'_>) -> Result<Binaries, Unbuilt> {
        self.workspace.build_services(&[plan.test], &self.args).map_err(unbuilt)
    }

    /// The base's own test of an id, of whose process the service is a part.
    ///
    /// # Errors
    /// If its tests do not build, or it has no such test, or one with other scenarios.
    pub(super) fn own_test(&self, test: &LoadTest) -> Result<&LoadTest, String> {
        let found = self.found.get_or_init(|| {
            discover::find(&self.workspace, &self.args).map_err(|failure| {
                format!("the base's tests do not build: {:#}", failure.error).replace('\n', " ")
            })
        });
        let found = found.as_ref().map_err(Clone::clone)?;
        let Some(own) = found.tests.iter().find(|own| own.id == test.id) else {
            return Err(
                "the service runs inside the test process, and the base does not have this test".to_owned()
            );
        };
        let scenarios = |test: &LoadTest| {
            let mut names: Vec<String> = test.definitions.iter().map(|d| d.scenario.clone()).collect();
            names.sort();
            names
        };
        match scenarios(own) == scenarios(test) {
            true => Ok(own),
            false => Err("the service runs inside the test process, and the base's test has other scenarios"
                .to_owned()),
        }
    }
}

/// That the base is not usable is no failure of the command, unless the user ended it.
fn unbuilt(failure: Failure) -> Unbuilt {
    if crate::launch::interrupted() {
        return Unbuilt::Failed(crate::run::interrupted());
    }
    let what = match failure.code {
        ExitCode::BuildFailed => "the base does not build",
        _ => "the base can't be compared with",
    };
    Unbuilt::Because(format!("{what}: {:#}", failure.error).replace('\n', " "))
}

/// The path without links, as git tells its own.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
