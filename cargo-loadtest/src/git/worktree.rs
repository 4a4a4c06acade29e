//! A checkout of another commit, to build it beside the user's own tree.
//!
//! The main type is [`Worktree`]. It lies in a cache outside the workspace, where cargo does not find the
//! workspace's configuration, and keeps its build for the next time. Only what lies in the cache is ever reset,
//! cleaned or removed, and only after git has said that it is this repository's worktree.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use super::lock::{self, Lock};
use super::program::Git;
use super::resolve::{commit_of, is_full_hash, short};
use super::{Repository, cache, common_directory, submodules};

/// Options of commands that check files out: the user's hooks are for the user's own working tree.
const CHECKOUT: &[&str] = &["-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false"];

/// A checkout of one commit; no other process uses it while this value lives.
#[derive(Debug)]
pub struct Worktree {
    /// The top of the checkout. A workspace in a subdirectory of the repository is in the same one here.
    pub path: PathBuf,
    /// The target directory of its builds, kept with it.
    pub target: PathBuf,
    _lock: Lock,
}

/// As [`Repository::worktree`].
pub(super) fn check_out(repository: &Repository, commit: &str, cache: &Path) -> anyhow::Result<Worktree> {
    let git = &repository.git;
    // It becomes part of a path.
    if !is_full_hash(commit) || commit_of(git, commit).as_deref() != Some(commit) {
        bail!("`{}` is not the full hash of a commit of this repository", commit.escape_debug());
    }
    let common = repository.common_directory()?;
    let cache = cache::create(cache)?;
    let of_repository = cache::worktrees(&cache).join(key(&common));
    let lock = lock::acquire(&cache::lock_file(&of_repository, commit), || {
        eprintln!("note: waiting for another process that uses the checkout of {}", short(commit));
    })?;
    let place = of_repository.join(commit);
    let (tree, target) = (place.join(cache::TREE), place.join(cache::TARGET));
    fs::create_dir_all(&target).with_context(|| format!("can't make {}", target.display()))?;
    fs::write(of_repository.join(cache::REPOSITORY), common.as_os_str().as_bytes())
        .and_then(|()| fs::write(place.join(cache::USED), b""))
        .with_context(|| format!("can't write in {}", place.display()))?;

    let found = Checkout { git: git.at(&tree).below(&place), tree: &tree, common: &common };
    let ready = found.is_ours() && (found.is_clean(commit) || found.repair(commit).is_ok());
    if !ready {
        found.make_anew(git, commit)?;
    }
    let modules = || submodules::check_out(git, &tree, &repository.root, &common);
    if let Err(error) = modules() {
        // What was left half done by a killed process is not worth finding out.
        if !ready {
            return Err(error);
        }
        found.make_anew(git, commit)?;
        modules()?;
    }
    Ok(Worktree { path: tree, target, _lock: lock })
}

/// What names a repository in the cache.
fn key(common: &Path) -> String {
    let digest = Sha256::digest(common.as_os_str().as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

struct Checkout<'a> {
    git: Git,
    tree: &'a Path,
    common: &'a Path,
}

impl Checkout<'_> {
    /// Whether git, asked in the directory, means this directory and this repository. A broken worktree in a cache
    /// inside some other repository would otherwise have that one reset.
    fn is_ours(&self) -> bool {
        self.tree.join(".git").is_file()
            && self.git.read(&["rev-parse", "--show-prefix"]).as_deref() == Some("")
            && common_directory(&self.git, self.tree).is_ok_and(|common| common == self.common)
    }

    /// Whether it is exactly the commit: ignored files could be input of a build script.
    fn is_clean(&self, commit: &str) -> bool {
        let status =
            ["status", "--porcelain", "--untracked-files=normal", "--ignored", "--ignore-submodules=none"];
        commit_of(&self.git, "HEAD").as_deref() == Some(commit)
            && self.git.bytes(&status).is_ok_and(|changes| changes.is_empty())
    }

    /// Makes it the commit, leaving alone the files that already are: cargo rebuilds what has a new date.
    fn repair(&self, commit: &str) -> anyhow::Result<()> {
        self.git.change(&[CHECKOUT, &["checkout", "--quiet", "--force", "--detach", commit]].concat())?;
        self.git.change(&[CHECKOUT, &["reset", "--quiet", "--hard", commit]].concat())?;
        self.git.change(&["clean", "--quiet", "-ffdx"])?;
        submodules::clean(&self.git, self.tree)?;
        if !self.is_clean(commit) {
            bail!("it is still not clean");
        }
        Ok(())
    }

    fn make_anew(&self, git: &Git, commit: &str) -> anyhow::Result<()> {
        cache::remove(self.tree).with_context(|| format!("can't remove {}", self.tree.display()))?;
        let path =
            self.tree.to_str().context("the path of the cache is not UTF-8\nhint: set LOADTEST_CACHE")?;
        // Forced, because git may still know a worktree at this place whose files were removed by hand.
        let add = ["worktree", "add", "--force", "--detach", path, commit];
        git.change(&[CHECKOUT, &add].concat())
            .with_context(|| format!("can't check out {} in {path}", short(commit)))
    }
}
