//! Which code a run was made with: the commit, the branch, and whether files differ from it.
//!
//! The main function is [`read`]. It only asks `git`, and never changes anything.

use std::path::Path;
use std::process::{Command, Stdio};

use loadtest_core::results::Revision;

/// The revision of the workspace; empty if it is not a git repository or there is no `git`.
pub fn read(workspace_root: &Path) -> Revision {
    let commit = git(workspace_root, &["rev-parse", "--verify", "HEAD"]);
    let branch = git(workspace_root, &["symbolic-ref", "--quiet", "--short", "HEAD"]);
    // A store inside the workspace ignores itself, so a run does not make its own tree dirty.
    let dirty = git(workspace_root, &["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    Revision { commit, branch, dirty }
}

/// Whether a name stands for a commit: a branch, a tag, a hash.
pub fn is_revision(workspace_root: &Path, name: &str) -> bool {
    !name.starts_with('-')
        && git(workspace_root, &["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]).is_some()
}

/// What git prints, without the end of line; `None` if it fails.
fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("--no-optional-locks")
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    output.status.success().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(directory: &Path, arguments: &[&str]) {
        let identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"];
        let done = Command::new("git").args(identity).args(arguments).current_dir(directory).output();
        assert!(done.is_ok_and(|output| output.status.success()), "git {arguments:?}");
    }

    #[test]
    fn a_repository_tells_its_commit_its_branch_and_whether_it_was_changed() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        assert_eq!(read(at).commit, None);
        run(at, &["init", "--quiet", "--initial-branch", "work"]);
        std::fs::write(at.join("a"), "1").expect("writes");
        run(at, &["add", "a"]);
        run(at, &["commit", "--quiet", "--message", "one"]);
        let clean = read(at);
        assert_eq!(clean.commit.as_ref().map(String::len), Some(40));
        assert_eq!(clean.branch.as_deref(), Some("work"));
        assert!(!clean.dirty);
        assert!(is_revision(at, "work") && !is_revision(at, "play") && !is_revision(at, "--all"));
        std::fs::write(at.join("a"), "2").expect("writes");
        assert!(read(at).dirty);
    }
}
