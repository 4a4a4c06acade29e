//! What the user's git repository knows: which commit a name stands for, a checkout of it to build, which files
//! changed.
//!
//! The main type is [`Repository`]. Everything is asked of the program `git`, so that it follows the user's own
//! configuration, credentials and filters. The user's working tree, index and branches are never touched: what is
//! written are objects that a shallow clone lacks and worktrees in a cache of this program's own.

mod cache;
mod environment;
mod lock;
mod program;
mod remote;
mod resolve;
mod revision;
mod submodules;
#[cfg(test)]
mod tests;
mod worktree;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use loadtest_core::results::Revision;

pub use cache::{ENV_CACHE, Keep, Pruned, cache_directory, prune};
pub use environment::{CiEnvironment, CiService};
pub use resolve::{Resolved, Unresolved};
pub use worktree::Worktree;

use program::Git;

/// A git repository with a working tree.
#[derive(Debug, Clone)]
pub struct Repository {
    root: PathBuf,
    git: Git,
}

impl Repository {
    /// The repository whose working tree holds a directory; `None` if there is no git, none that it would
    /// work with, or one without a working tree.
    pub fn find(directory: &Path) -> Option<Repository> {
        Self::find_with(directory, &[])
    }

    fn find_with(directory: &Path, variables: &[(String, String)]) -> Option<Repository> {
        let top = Git::new(directory, variables).bytes(&["rev-parse", "--show-toplevel"]).ok()?;
        // Only the line's own end: a directory may have a name that ends in white space.
        let top = top.strip_suffix(b"\n").filter(|top| !top.is_empty())?;
        let root = PathBuf::from(OsStr::from_bytes(top));
        Some(Repository { git: Git::new(&root, variables), root })
    }

    /// The top directory of the working tree, without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The commit, the branch, and whether files differ from the commit. New files count, ignored ones don't.
    pub fn revision(&self) -> Revision {
        revision::of(&self.git)
    }

    /// The commit that a change is compared with if the user names `name`.
    ///
    /// A branch means its merge base with HEAD, or, where a service of continuous integration merged a pull
    /// request into it and checked that out, the first parent of the merge. It is looked for here and then on `origin`.
    /// Tags, hashes and expressions such as `HEAD~3` mean themselves. A shallow clone is deepened as far as it must be.
    ///
    /// # Errors
    /// If the name stands for nothing, or for something that is not in this clone and can't be fetched.
    pub fn resolve(&self, name: &str, environment: &CiEnvironment) -> Result<Resolved, Unresolved> {
        resolve::resolve(self, name, environment)
    }

    /// Why a run of this tree must not be saved as the baseline `name` unless that is forced, with what to do:
    /// files differ from the commit, or it is a pull request's code and the name is that of a branch.
    pub fn refuse_to_save(&self, name: &str, environment: &CiEnvironment) -> Option<String> {
        if environment.is_pull_request && self.is_branch(name, environment) {
            return Some(format!(
                "this is the code of a pull request, and `{name}` is a branch that does not have it yet\n\
                 hint: save it where {name} itself is tested, or under another name, or add --force"
            ));
        }
        let revision = self.revision();
        let commit = revision.commit.as_deref().map_or("the first commit", resolve::short);
        revision.dirty.then(|| {
            format!(
                "files differ from {commit}, so nobody could tell later what was measured\n\
                 hint: commit first, or add --force"
            )
        })
    }

    /// A checkout of a commit outside the workspace, kept in `cache` for the next time and this
    /// process's alone while the value lives. Waits, with a message, for another process that has it.
    ///
    /// # Errors
    /// If `commit` is no full hash of a commit that is here, git can't check it out, or the user interrupts.
    pub fn worktree(&self, commit: &str, cache: &Path) -> anyhow::Result<Worktree> {
        worktree::check_out(self, commit, cache)
    }

    /// Files that differ from the merge base of HEAD and `since`: committed, uncommitted, and new; relative
    /// to [`Repository::root`], sorted. A renamed file counts under both names; a submodule counts as one file.
    ///
    /// # Errors
    /// If `since` can't be resolved or has nothing in common with HEAD.
    pub fn changed_files(&self, since: &str) -> anyhow::Result<Vec<PathBuf>> {
        self.changed_files_in(since, &CiEnvironment::read())
    }

    fn changed_files_in(&self, since: &str, environment: &CiEnvironment) -> anyhow::Result<Vec<PathBuf>> {
        let resolved = self.resolve(since, environment)?;
        let base = resolve::merge_base(&self.git, "HEAD", &resolved.commit)
            .ok_or_else(|| Unresolved::Unrelated { name: since.to_owned() })?;
        let plain = ["--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-relative", "--no-color"];
        let arguments = [&["diff"][..], &plain, &[&base, "--"]].concat();
        let differing = self.git.bytes(&arguments).context("can't tell which files changed")?;
        let new = self
            .git
            .bytes(&["ls-files", "--others", "--exclude-standard", "-z"])
            .context("can't tell which files are new")?;
        let mut files: Vec<PathBuf> = [differing, new]
            .iter()
            .flat_map(|list| list.split(|byte| *byte == 0))
            .filter(|path| !path.is_empty())
            .map(|path| PathBuf::from(OsStr::from_bytes(path)))
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    fn is_branch(&self, name: &str, environment: &CiEnvironment) -> bool {
        let bare = resolve::bare_branch(name);
        let known = [&environment.base_ref, &environment.default_branch];
        let places = [format!("refs/heads/{bare}"), format!("refs/remotes/{}/{bare}", remote::ORIGIN)];
        known.into_iter().flatten().any(|branch| branch == bare)
            || places.iter().any(|full| resolve::has_ref(&self.git, full))
    }

    /// The directory that all worktrees of this repository share.
    fn common_directory(&self) -> anyhow::Result<PathBuf> {
        common_directory(&self.git, &self.root)
    }
}

/// The program `git` in a directory, for plumbing that needs its input or an index of its own: without what git sets for
/// its hooks, in plain English, with nothing to read unless it is given.
pub(crate) fn command(directory: &Path, arguments: &[&str]) -> std::process::Command {
    Git::new(directory, &[]).command(arguments, false)
}

/// The directory of the repository in which `git` works, from a working tree at `top`.
fn common_directory(git: &Git, top: &Path) -> anyhow::Result<PathBuf> {
    let printed = git.bytes(&["rev-parse", "--git-common-dir"])?;
    let path = OsStr::from_bytes(printed.strip_suffix(b"\n").unwrap_or(&printed));
    top.join(path).canonicalize().context("can't find the directory of the git repository")
}
