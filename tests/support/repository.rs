//! A fixture as a git repository, with commits that are the same in each run of a test.
//!
//! The main type is [`Repository`]. Equal hashes mean that what was built of them is still there the next time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Fixture, Run, Trial, run, workspace};

/// A fixture under version control.
#[derive(Debug)]
pub struct Repository {
    fixture: Fixture,
}

impl Fixture {
    /// Puts it under version control, as the first commit of `main`.
    #[must_use]
    pub fn under_version_control(self) -> Repository {
        let repository = Repository { fixture: self };
        let _ = fs::remove_dir_all(repository.path().join(".git"));
        // Cargo takes what it does not need out of the lock file, which would be a local change.
        let _ = run(&mut repository.fixture.cargo(["metadata", "--format-version", "1"])).succeeded();
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository.commit("the service");
        repository
    }
}

impl Repository {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.fixture.path()
    }

    /// The fixture.
    pub fn fixture(&self) -> &Fixture {
        &self.fixture
    }

    /// Runs git in it; panics if it fails.
    pub fn git(&self, arguments: &[&str]) -> Run {
        run(isolated(Command::new("git").args(arguments).current_dir(self.path()))).succeeded()
    }

    /// Replaces a text in a file; panics if it is not there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = fs::read_to_string(&path).expect("the file is there");
        assert!(text.contains(from), "{file} has no `{from}`:\n{text}");
        fs::write(path, text.replace(from, to)).expect("the file can be written");
    }

    /// Commits everything.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// A new branch from here.
    pub fn branch(&self, name: &str) {
        self.git(&["switch", "--quiet", "--create", name]);
    }

    /// A run in it, on a machine that is no CI, with a cache that tests share.
    pub fn trial(&self, arguments: &[&str]) -> Trial {
        at_home(self.fixture.trial(arguments))
    }
}

/// The same on a developer's machine, whatever runs the tests.
pub fn at_home(trial: Trial) -> Trial {
    let variables =
        ["CI", "GITHUB_ACTIONS", "GITHUB_EVENT_NAME", "GITHUB_REF", "GITHUB_BASE_REF", "GITLAB_CI"];
    let trial = variables.into_iter().fold(trial, |trial, variable| trial.env(variable, ""));
    trial.env("LOADTEST_CACHE", &cache().to_string_lossy())
}

/// Where checkouts of other revisions are kept: outside of the workspace, whose cargo configuration they would inherit.
pub fn cache() -> PathBuf {
    let name = workspace().to_string_lossy().replace('/', "-");
    std::env::temp_dir().join(format!("loadtest-cache{name}"))
}

/// Git without the developer's settings, and with times that never change.
pub fn isolated(command: &mut Command) -> &mut Command {
    for (key, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "n"),
        ("GIT_AUTHOR_EMAIL", "n@example.org"),
        ("GIT_COMMITTER_NAME", "n"),
        ("GIT_COMMITTER_EMAIL", "n@example.org"),
        ("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z"),
        ("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z"),
    ] {
        command.env(key, value);
    }
    command
}
