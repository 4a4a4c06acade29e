//! Real repositories in temporary directories.

mod names;
mod shallow;
mod worktrees;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::*;

/// A directory for repositories, apart from the user's configuration of git.
struct Sandbox {
    directory: TempDir,
    variables: Vec<(String, String)>,
}

/// A working tree in it.
struct Work<'s> {
    sandbox: &'s Sandbox,
    path: PathBuf,
}

impl Sandbox {
    fn new() -> Sandbox {
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("config");
        let text = "[user]\nname = n\nemail = e@example.org\n[protocol \"file\"]\nallow = always\n\
                    [init]\ndefaultBranch = main\n[gc]\nauto = 0\n[maintenance]\nauto = false\n";
        fs::write(&config, text).expect("writes");
        let variables = [
            ("GIT_CONFIG_GLOBAL", config.to_str().expect("UTF-8")),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CEILING_DIRECTORIES", directory.path().to_str().expect("UTF-8")),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Sandbox { directory, variables }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().expect("it is there").join(name)
    }

    /// A new repository on the branch `main` with the commit `one`.
    fn repository(&self, name: &str) -> Work<'_> {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("writes");
        let work = Work { sandbox: self, path };
        work.git(&["init", "--quiet"]);
        work.commit("one");
        work
    }

    fn clone_of(&self, from: &Work<'_>, name: &str, options: &[&str]) -> Work<'_> {
        let (url, path) = (format!("file://{}", from.path.display()), self.path(name));
        let clone = ["clone", "--quiet", &url, path.to_str().expect("UTF-8")];
        from.git(&[&clone[..], options].concat());
        Work { sandbox: self, path }
    }
}

impl Work<'_> {
    /// Does something with git that must succeed. What it prints.
    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(&self.path);
        command.envs(self.sandbox.variables.iter().map(|(name, value)| (name, value)));
        let output = command.output().expect("git starts");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path.join(file);
        fs::create_dir_all(path.parent().expect("a directory")).expect("writes");
        fs::write(path, text).expect("writes");
    }

    /// A commit that writes the file of its name. Its hash.
    fn commit(&self, name: &str) -> String {
        self.write(name, name);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", name]);
        self.hash("HEAD")
    }

    fn hash(&self, name: &str) -> String {
        self.git(&["rev-parse", name])
    }

    fn open(&self) -> Repository {
        Repository::find_with(&self.path, &self.sandbox.variables).expect("a repository")
    }

    fn resolve(&self, name: &str) -> Result<Resolved, Unresolved> {
        self.open().resolve(name, &CiEnvironment::default())
    }

    fn worktree(&self, commit: &str) -> Worktree {
        self.open().worktree(commit, &self.sandbox.path("cache")).expect("it is checked out")
    }
}

/// The environment in which GitHub tests a pull request into `base`.
fn pull_request(base: &str, commit: &str) -> CiEnvironment {
    CiEnvironment::from_variables([
        ("CI", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_EVENT_NAME", "pull_request"),
        ("GITHUB_REF", "refs/pull/7/merge"),
        ("GITHUB_BASE_REF", base),
        ("GITHUB_SHA", commit),
    ])
}

#[test]
fn a_repository_tells_its_commit_its_branch_and_whether_it_was_changed() {
    let sandbox = Sandbox::new();
    assert!(Repository::find_with(sandbox.directory.path(), &sandbox.variables).is_none());
    let work = sandbox.repository("work dir ");
    work.write("deep/er/file", "1");
    let commit = work.commit("two");
    let repository = Repository::find_with(&work.path.join("deep/er"), &sandbox.variables).expect("above");
    assert_eq!(repository.root(), work.path);
    let clean = repository.revision();
    assert_eq!((clean.commit.as_deref(), clean.branch.as_deref()), (Some(commit.as_str()), Some("main")));
    assert!(!clean.dirty);
    work.git(&["checkout", "--quiet", "--detach"]);
    assert_eq!(repository.revision().branch, None);
    work.git(&["config", "status.showUntrackedFiles", "no"]);
    work.write("new", "1");
    assert!(repository.revision().dirty, "cargo builds new files too");
    work.write(".git/info/exclude", "new");
    assert!(!repository.revision().dirty);
    work.write("one", "changed");
    assert!(repository.revision().dirty);
}

#[test]
fn a_repository_without_a_working_tree_is_none_and_one_without_a_commit_says_so() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    let bare = sandbox.clone_of(&work, "bare", &["--bare"]);
    assert!(Repository::find_with(&bare.path, &sandbox.variables).is_none());
    fs::create_dir(sandbox.path("empty")).expect("writes");
    let empty = Work { sandbox: &sandbox, path: sandbox.path("empty") };
    empty.git(&["init", "--quiet"]);
    assert_eq!(empty.open().revision().commit, None);
    let message = empty.resolve("main").expect_err("nothing there").to_string();
    assert!(message.contains("commit first"), "{message}");
}

#[test]
fn changed_files_are_those_of_the_branch_and_of_the_working_tree() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    work.commit("gone");
    work.commit("back");
    work.git(&["checkout", "--quiet", "-b", "topic"]);
    work.commit("committed");
    work.git(&["mv", "gone", "renamed"]);
    work.git(&["commit", "--quiet", "--message", "rename"]);
    work.write("back", "and forth");
    work.git(&["commit", "--quiet", "--all", "--message", "forth"]);
    work.git(&["checkout", "--quiet", "main"]);
    work.commit("of others");
    work.git(&["checkout", "--quiet", "topic"]);
    work.write("back", "back");
    work.write("one", "not committed");
    work.write("a directory/new\nfile", "");
    work.write(".gitignore", "ignored");
    work.write("ignored", "");
    work.git(&["config", "diff.relative", "true"]);
    work.git(&["config", "diff.renames", "copies"]);
    let files = |since: &str| {
        let files = work.open().changed_files_in(since, &CiEnvironment::default()).expect("they are known");
        files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>()
    };
    let all = [".gitignore", "a directory/new\nfile", "committed", "gone", "one", "renamed"];
    assert_eq!(files("main"), all);
    assert_eq!(files("HEAD~3"), all);
    assert_eq!(files("HEAD~1"), [".gitignore", "a directory/new\nfile", "one"]);
    let error = work.open().changed_files_in("nothing", &CiEnvironment::default()).expect_err("no such name");
    assert!(error.to_string().contains("`nothing` is no branch"), "{error}");
}

#[test]
fn what_must_not_be_saved_is_refused() {
    let sandbox = Sandbox::new();
    let origin = sandbox.repository("origin");
    origin.git(&["branch", "release"]);
    let work = sandbox.clone_of(&origin, "work", &[]);
    let refused = |name: &str, environment: &CiEnvironment| work.open().refuse_to_save(name, environment);
    let desk = CiEnvironment::default();
    let pull = pull_request("trunk", "");
    assert_eq!(refused("main", &desk), None);
    // A local branch, one of the remote, and one that is not even fetched.
    for name in ["main", "release", "origin/release", "trunk", "refs/heads/main"] {
        let message = refused(name, &pull).expect("a branch");
        assert!(message.contains(&format!("`{name}`")) && message.contains("--force"), "{message}");
    }
    assert_eq!(refused("before-the-change", &pull), None);
    work.write("one", "changed");
    let message = refused("before-the-change", &desk).expect("dirty");
    assert!(message.contains(&work.hash("HEAD")[..7]) && message.contains("--force"), "{message}");
}
