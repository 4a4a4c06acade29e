//! The cache of checkouts and their builds: where it is, and what of it can go.
//!
//! The main functions are [`cache_directory`] and [`prune`]. Its layout: `worktrees/<key of the repository>/` has
//! a file `repository` with the repository's path and, for each commit, a directory with `tree`, `target` and `used`,
//! whose date is that of the last use; beside it lies its lock. Nothing is removed that doesn't look like this.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;

use super::lock;
use super::program::Git;
use super::resolve::is_full_hash;

/// The variable that puts the cache elsewhere.
pub const ENV_CACHE: &str = "LOADTEST_CACHE";

/// The checkout, in the directory of its commit.
pub(super) const TREE: &str = "tree";
/// Its target directory.
pub(super) const TARGET: &str = "target";
/// Empty; its date is that of the last use.
pub(super) const USED: &str = "used";
/// In the directory of a repository: the path of the repository.
pub(super) const REPOSITORY: &str = "repository";

/// The user's cache directory: `$LOADTEST_CACHE`, else `cargo-loadtest` in `$XDG_CACHE_HOME`, in `~/.cache`, or on
/// macOS in `~/Library/Caches`. Absolute; it need not exist.
pub fn cache_directory() -> PathBuf {
    let path = directory_from(|name| std::env::var_os(name), std::env::home_dir(), cfg!(target_os = "macos"));
    std::path::absolute(&path).unwrap_or(path)
}

fn directory_from(
    variable: impl Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
    is_mac: bool,
) -> PathBuf {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set(ENV_CACHE) {
        return path;
    }
    // The specification says that a relative one is to be ignored.
    let base = set("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(|| {
        let home = home.filter(|home| home.is_absolute())?;
        Some(if is_mac { home.join("Library/Caches") } else { home.join(".cache") })
    });
    // A shared temporary directory would let others put there what is built and run.
    base.unwrap_or_else(|| PathBuf::from(".cache")).join("cargo-loadtest")
}

/// What of the cache is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Checkouts that were used within this time and whose repository is still there.
    UsedWithin(Duration),
    /// Nothing but what is in use.
    Nothing,
}

/// What [`prune`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Checkouts that were removed with their builds.
    pub removed: usize,
    /// Checkouts that were kept.
    pub kept: usize,
    /// Those of the kept that would have been removed but are in use.
    pub in_use: usize,
    /// Freed space on the disk.
    pub bytes: u64,
}

/// Removes checkouts with their builds from a cache, those of repositories that are gone in any case.
/// A cache that is not there has none.
///
/// # Errors
/// If something can't be read or removed; what was removed before stays removed.
pub fn prune(cache: &Path, keep: Keep) -> anyhow::Result<Pruned> {
    prune_with(cache, keep, &[])
}

pub(super) fn prune_with(cache: &Path, keep: Keep, variables: &[(String, String)]) -> anyhow::Result<Pruned> {
    let mut pruned = Pruned::default();
    for of_repository in entries(&worktrees(cache))? {
        if !of_repository.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let of_repository = of_repository.path();
        let repository = fs::read(of_repository.join(REPOSITORY)).ok();
        let repository = repository
            .map(|bytes| PathBuf::from(OsStr::from_bytes(&bytes)))
            .filter(|path| path.is_absolute() && path.join("HEAD").exists());
        for commit in entries(&of_repository)? {
            let name = commit.file_name().to_string_lossy().into_owned();
            if !is_full_hash(&name) || !commit.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let place = commit.path();
            if repository.is_some() && is_kept(&place, keep) {
                pruned.kept += 1;
                continue;
            }
            let lock_file = lock_file(&of_repository, &name);
            let Some(lock) = lock::try_acquire(&lock_file)? else {
                pruned.kept += 1;
                pruned.in_use += 1;
                continue;
            };
            let bytes = size(&place);
            if let Some(repository) = &repository {
                forget(repository, &place.join(TREE), variables);
            }
            remove(&place)
                .and_then(|()| fs::remove_file(&lock_file))
                .with_context(|| format!("can't remove {}", place.display()))?;
            drop(lock);
            pruned.removed += 1;
            pruned.bytes += bytes;
        }
        remove_if_empty(&of_repository)?;
    }
    Ok(pruned)
}

/// Makes the cache, hidden from a repository that it may lie in. Returns its path without symbolic links.
///
/// # Errors
/// If it can't be written.
pub(super) fn create(cache: &Path) -> anyhow::Result<PathBuf> {
    let failed =
        || format!("can't make the cache {}\nhint: set {ENV_CACHE} to a directory of yours", cache.display());
    fs::create_dir_all(cache).with_context(failed)?;
    let cache = cache.canonicalize().with_context(failed)?;
    let ignore = cache.join(".gitignore");
    if !ignore.exists() {
        fs::write(ignore, "*\n").with_context(failed)?;
    }
    Ok(cache)
}

/// Where the checkouts of all repositories are.
pub(super) fn worktrees(cache: &Path) -> PathBuf {
    cache.join("worktrees")
}

/// The lock of a commit's directory. It lies beside it, so that it is there while the directory is removed.
pub(super) fn lock_file(of_repository: &Path, commit: &str) -> PathBuf {
    of_repository.join(format!("{commit}.lock"))
}

/// Removes a directory or file, if it is there; a symbolic link, not what it points to.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Has the repository forget a worktree. Not by `git worktree prune`: that would also forget those of the user that
/// lie on a disk which is not there at the moment.
fn forget(repository: &Path, tree: &Path, variables: &[(String, String)]) {
    if let Some(path) = tree.to_str() {
        // A broken one can't be removed so. Its entry does no harm, and git drops it by itself after some months.
        let _ = Git::new(repository, variables).change(&["worktree", "remove", "--force", path]);
    }
}

fn is_kept(place: &Path, keep: Keep) -> bool {
    let Keep::UsedWithin(time) = keep else { return false };
    let used = fs::metadata(place.join(USED)).and_then(|metadata| metadata.modified());
    // A date in the future was written just now, by a clock that was put back since.
    used.is_ok_and(|used| SystemTime::now().duration_since(used).map_or(true, |age| age <= time))
}

/// Removes the directory of a repository that has no checkout left.
fn remove_if_empty(of_repository: &Path) -> anyhow::Result<()> {
    if entries(of_repository)?.iter().all(|entry| entry.file_name() == REPOSITORY) {
        let file = fs::remove_file(of_repository.join(REPOSITORY));
        // Another process may have begun to use it again: then it is not empty and stays.
        let _ = file.and_then(|()| fs::remove_dir(of_repository));
    }
    Ok(())
}

/// What is in a directory; nothing if it is not there.
fn entries(directory: &Path) -> anyhow::Result<Vec<DirEntry>> {
    let failed = || format!("can't read {}", directory.display());
    match fs::read_dir(directory) {
        Ok(list) => list.collect::<Result<_, _>>().with_context(failed),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(failed),
    }
}

/// The space that a directory takes on the disk; a file with several names counts once, as in cargo's builds.
fn size(directory: &Path) -> u64 {
    let mut seen = HashSet::new();
    let mut waiting = vec![directory.to_owned()];
    let mut bytes = 0;
    while let Some(path) = waiting.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.nlink() > 1 && !metadata.is_dir() && !seen.insert(metadata.ino()) {
            continue;
        }
        // `st_blocks` counts units of 512 bytes whatever the file system's own are.
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            waiting.extend(entries(&path).unwrap_or_default().iter().map(DirEntry::path));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_user_or_the_system_wants_it() {
        let at = |variables: &[(&str, &str)], is_mac| {
            let get = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            directory_from(get, Some("/home/u".into()), is_mac).display().to_string()
        };
        assert_eq!(at(&[], false), "/home/u/.cache/cargo-loadtest");
        assert_eq!(at(&[], true), "/home/u/Library/Caches/cargo-loadtest");
        assert_eq!(at(&[("XDG_CACHE_HOME", "/x")], true), "/x/cargo-loadtest");
        assert_eq!(at(&[("XDG_CACHE_HOME", "x")], false), "/home/u/.cache/cargo-loadtest");
        assert_eq!(at(&[("XDG_CACHE_HOME", "/x"), (ENV_CACHE, "/mine")], false), "/mine");
        assert_eq!(at(&[(ENV_CACHE, "")], false), "/home/u/.cache/cargo-loadtest");
    }

    #[test]
    fn space_is_counted_once_for_a_file_with_two_names() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        fs::write(at.join("a"), vec![7; 100_000]).expect("writes");
        let one = size(at);
        fs::hard_link(at.join("a"), at.join("b")).expect("links");
        assert!(one >= 100_000 && size(at) < one + 50_000, "{one} {}", size(at));
    }
}
