//! Which code a run was made with: the commit, the branch, and whether files differ from it.
//!
//! The main function is [`of`]. It only asks, and never changes anything.

use loadtest_core::results::Revision;

use super::program::Git;

/// The revision of the repository in which git works.
pub(super) fn of(git: &Git) -> Revision {
    let commit = git.read(&["rev-parse", "--verify", "--quiet", "HEAD"]);
    let branch = git.read(&["symbolic-ref", "--quiet", "--short", "HEAD"]);
    // A store inside the workspace ignores itself, so a run does not make its own tree dirty. A new file counts
    // whatever the user's settings say about showing it: cargo builds it.
    let changes = git.read(&["status", "--porcelain", "--untracked-files=normal"]);
    Revision { commit, branch, dirty: changes.is_some_and(|changes| !changes.is_empty()) }
}
