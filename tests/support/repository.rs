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
    /// Where the workspace is in it.
    workspace: PathBuf,
}

impl Fixture {
    /// Puts it under version control, as the first commit of `main`.
    #[must_use]
    pub fn under_version_control(self) -> Repository {
        let repository = self.about_to_be_under_version_control();
        repository.commit("the service");
        repository
    }

    /// An empty repository around it, for a test that makes the first commit itself.
    #[must_use]
    pub fn about_to_be_under_version_control(self) -> Repository {
        let repository = Repository { fixture: self, workspace: PathBuf::new() };
        let _ = fs::remove_dir_all(repository.path().join(".git"));
        // Cargo takes what it does not need out of the lock file, which would be a local change.
        repository.lock();
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository
    }
}

impl Repository {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.fixture.path()
    }

    /// Runs git in it; panics if it fails.
    pub fn git(&self, arguments: &[&str]) -> Run {
        run(isolated(Command::new("git").args(arguments).current_dir(self.path()))).succeeded()
    }

    /// The hash of a revision.
    pub fn commit_of(&self, revision: &str) -> String {
        self.git(&["rev-parse", revision]).stdout.trim().to_owned()
    }

    /// Replaces a text in a file; panics if it is not there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = fs::read_to_string(&path).expect("the file is there");
        assert!(text.contains(from), "{file} has no `{from}`:\n{text}");
        fs::write(path, text.replace(from, to)).expect("the file can be written");
    }

    /// Writes a file and the directories that lead to it.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        let parent = path.parent().expect("a file lies in a directory");
        fs::create_dir_all(parent).expect("the directory can be made");
        fs::write(path, text).expect("the file can be written");
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

    /// Brings the lock file to what the manifests say.
    pub fn lock(&self) {
        let mut cargo = self.fixture.cargo(["metadata", "--format-version", "1"]);
        let _ = run(cargo.current_dir(self.path().join(&self.workspace))).succeeded();
    }

    /// `cargo ARGUMENTS` in it, which may ask other repositories on this machine.
    pub fn cargo(&self, arguments: &[&str]) -> Run {
        run(self.fixture.cargo(arguments).env("CARGO_NET_OFFLINE", "false")).succeeded()
    }

    /// Moves everything into a subdirectory: the workspace is not the top of the repository then.
    #[must_use]
    pub fn moved_into(mut self, directory: &str) -> Repository {
        let to = self.path().join(directory);
        fs::create_dir_all(&to).expect("the directory can be made");
        for entry in fs::read_dir(self.path()).expect("it can be read").flatten() {
            let name = entry.file_name();
            if name != *".git" && name != *directory {
                fs::rename(entry.path(), to.join(name)).expect("it can be moved");
            }
        }
        self.workspace = PathBuf::from(directory);
        self
    }

    /// A clone of one branch with no past, as actions/checkout makes it, beside this repository.
    #[must_use]
    pub fn shallow_clone(&self, branch: &str) -> Repository {
        let to = self.beside("shallow");
        let _ = fs::remove_dir_all(&to);
        let (from, place) = (format!("file://{}", self.path().display()), to.display().to_string());
        self.git(&["clone", "--quiet", "--depth", "1", "--branch", branch, &from, &place]);
        Repository { fixture: Fixture { path: to }, workspace: self.workspace.clone() }
    }

    /// A place beside it that is this test's own.
    pub fn beside(&self, what: &str) -> PathBuf {
        let name = self.path().file_name().expect("it has a name").to_string_lossy();
        self.path().with_file_name(format!("{name}-{what}"))
    }

    /// A run in it, on a machine that is no CI, with a cache that tests share.
    pub fn trial(&self, arguments: &[&str]) -> Trial {
        at_home(self.fixture.trial(arguments).within(&self.path().join(&self.workspace)))
    }
}

/// The same on a developer's machine, whatever runs the tests.
pub fn at_home(trial: Trial) -> Trial {
    let variables = [
        "CI",
        "GITHUB_ACTIONS",
        "GITHUB_EVENT_NAME",
        "GITHUB_REF",
        "GITHUB_SHA",
        "GITHUB_BASE_REF",
        "GITHUB_HEAD_REF",
        "GITHUB_OUTPUT",
        "GITHUB_STEP_SUMMARY",
        "GITLAB_CI",
    ];
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
        // Submodules of these tests are directories.
        ("GIT_ALLOW_PROTOCOL", "file"),
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
