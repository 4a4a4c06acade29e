//! Checkouts in the cache: made, used again, mended, removed.

use std::os::unix::fs::MetadataExt;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use super::super::cache::prune_with;
use super::*;

/// Dates of the last use are in the directory of the commit.
fn set_used(worktree: &Worktree, days_ago: u64) {
    let file = worktree.path.parent().expect("a directory").join("used");
    let file = fs::File::options().write(true).open(file).expect("it is there");
    file.set_modified(SystemTime::now() - Duration::from_secs(days_ago * 86_400)).expect("writes");
}

#[test]
fn a_commit_is_checked_out_outside_the_workspace_and_kept() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    work.write("crates/app/Cargo.toml", "old");
    let old = work.commit("two");
    work.write("crates/app/Cargo.toml", "new");
    work.commit("three");
    work.write("one", "not committed");
    // Hooks of the user's are for the user's own tree.
    work.write(".git/hooks/post-checkout", "#!/bin/sh\ntouch hooked\n");
    let hook = work.path.join(".git/hooks/post-checkout");
    fs::set_permissions(hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("writes");

    let worktree = work.worktree(&old);
    assert!(worktree.path.starts_with(sandbox.path("cache")) && worktree.path.is_absolute());
    assert_eq!(fs::read_to_string(worktree.path.join("crates/app/Cargo.toml")).expect("there"), "old");
    assert_eq!(fs::read_to_string(worktree.path.join("one")).expect("there"), "one");
    assert!(!worktree.path.join("three").exists() && !worktree.path.join("hooked").exists());
    assert!(worktree.target.is_dir() && !worktree.target.starts_with(&worktree.path));
    fs::write(worktree.target.join("built"), "").expect("writes");
    let inode = fs::metadata(worktree.path.join("one")).expect("there").ino();
    let place = worktree.path.clone();
    drop(worktree);

    let again = work.worktree(&old);
    assert_eq!(again.path, place);
    assert!(again.target.join("built").exists(), "the build is kept");
    assert_eq!(fs::metadata(place.join("one")).expect("there").ino(), inode, "files keep their dates");
    assert_eq!(work.git(&["branch", "--show-current"]), "main");
    assert_eq!(work.git(&["status", "--porcelain"]), "M one");
}

#[test]
fn what_was_written_in_a_checkout_is_undone() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    work.write(".gitignore", "ignored");
    let commit = work.commit("two");
    let worktree = work.worktree(&commit);
    let tree = worktree.path.clone();
    fs::write(worktree.target.join("built"), "").expect("writes");
    drop(worktree);
    let inode = fs::metadata(tree.join("one")).expect("there").ino();
    let is_restored = || {
        let worktree = work.worktree(&commit);
        assert_eq!(fs::read_to_string(tree.join("two")).expect("there"), "two");
        assert!(!tree.join("new").exists() && !tree.join("ignored").exists());
        assert_eq!(work.open().git.at(&tree).read(&["rev-parse", "HEAD"]).as_deref(), Some(commit.as_str()));
        assert!(worktree.target.join("built").exists());
    };
    fs::write(tree.join("two"), "changed").expect("writes");
    fs::write(tree.join("new"), "").expect("writes");
    fs::write(tree.join("ignored"), "").expect("writes");
    is_restored();
    assert_eq!(fs::metadata(tree.join("one")).expect("there").ino(), inode, "what was right is left alone");
    let inside = Work { sandbox: &sandbox, path: tree.clone() };
    inside.git(&["checkout", "--quiet", "--detach", "HEAD~1"]);
    is_restored();
    // A process that was killed leaves git's lock behind.
    fs::write(inside.git(&["rev-parse", "--path-format=absolute", "--git-path", "index.lock"]), "")
        .expect("writes");
    fs::write(tree.join("two"), "changed").expect("writes");
    is_restored();
    fs::remove_file(tree.join(".git")).expect("it was there");
    is_restored();
    fs::remove_dir_all(&tree).expect("it was there");
    is_restored();
}

#[test]
fn a_broken_checkout_in_a_cache_within_a_repository_does_not_harm_that_one() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    let commit = work.hash("HEAD");
    let cache = work.path.join(".cache");
    let check_out = || work.open().worktree(&commit, &cache).expect("it is checked out");
    let tree = check_out().path.clone();
    assert!(!work.open().revision().dirty, "the cache hides itself");
    fs::remove_file(tree.join(".git")).expect("it was there");
    work.write("one", "not committed");
    work.write("new", "not committed");
    drop(check_out());
    fs::write(tree.join(".git"), "gitdir: ../../../../../.git").expect("writes");
    drop(check_out());
    assert_eq!(fs::read_to_string(work.path.join("one")).expect("there"), "not committed");
    assert!(work.path.join("new").exists());
    assert_eq!(fs::read_to_string(tree.join("one")).expect("there"), "one");
}

#[test]
fn submodules_come_along_as_far_as_the_user_has_them() {
    let sandbox = Sandbox::new();
    let inner = sandbox.repository("inner");
    let library = sandbox.repository("library");
    library.git(&["submodule", "--quiet", "add", &inner.path.display().to_string(), "inner"]);
    library.commit("two");
    let unwanted = sandbox.repository("unwanted");
    let work = sandbox.repository("work");
    for (from, path) in [(&library, "vendor/library"), (&unwanted, "unwanted")] {
        work.git(&["submodule", "--quiet", "add", &from.path.display().to_string(), path]);
    }
    let commit = work.commit("two");
    work.git(&["submodule", "--quiet", "update", "--init", "--recursive"]);
    work.git(&["submodule", "--quiet", "deinit", "--force", "unwanted"]);
    // Out of reach, as a private repository is for a pull request from a fork.
    fs::remove_dir_all(&unwanted.path).expect("it was there");
    fs::remove_dir_all(work.path.join(".git/modules/unwanted")).expect("it was there");

    let tree = work.worktree(&commit).path.clone();
    assert_eq!(fs::read_to_string(tree.join("vendor/library/two")).expect("there"), "two");
    assert_eq!(fs::read_to_string(tree.join("vendor/library/inner/one")).expect("there"), "one");
    assert!(!tree.join("unwanted/one").exists());
    // Written into by a test, and used again.
    fs::write(tree.join("vendor/library/two"), "changed").expect("writes");
    fs::write(tree.join("vendor/library/inner/new"), "").expect("writes");
    drop(work.worktree(&commit));
    assert_eq!(fs::read_to_string(tree.join("vendor/library/two")).expect("there"), "two");
    assert!(!tree.join("vendor/library/inner/new").exists());
}

#[test]
fn a_checkout_is_one_processs_at_a_time() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    let (first, second) = (work.hash("HEAD"), work.commit("two"));
    let held = work.worktree(&first);
    // Another commit's is free.
    drop(work.worktree(&second));
    let (repository, cache) = (work.open(), sandbox.path("cache"));
    let (sender, receiver) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let worktree = repository.worktree(&first, &cache);
        sender.send(()).expect("somebody listens");
        worktree.expect("it is checked out").path.clone()
    });
    let early = receiver.recv_timeout(Duration::from_millis(500));
    assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout), "it waits");
    // In use, it is not removed either.
    let pruned = prune_with(&sandbox.path("cache"), Keep::Nothing, &sandbox.variables).expect("it is pruned");
    assert_eq!((pruned.removed, pruned.kept, pruned.in_use), (1, 1, 1));
    let path = held.path.clone();
    assert!(path.join("one").exists());
    drop(held);
    assert_eq!(waiting.join().expect("it ends"), path);
}

#[test]
fn only_whole_hashes_of_commits_are_checked_out() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    let head = work.hash("HEAD");
    let tree = work.hash("HEAD^{tree}");
    for name in ["main", "../../x", &head[..12], &"0".repeat(40), &tree, ""] {
        let error = work.open().worktree(name, &sandbox.path("cache")).expect_err("no commit").to_string();
        assert!(error.contains("not the full hash of a commit"), "{error}");
    }
    assert!(!sandbox.path("cache").exists());
}

#[test]
fn pruning_removes_what_is_old_or_orphaned_and_nothing_else() {
    let sandbox = Sandbox::new();
    let cache = sandbox.path("cache");
    let prune = |keep| prune_with(&cache, keep, &sandbox.variables).expect("it is pruned");
    let week = Keep::UsedWithin(Duration::from_secs(7 * 86_400));
    assert_eq!(prune(Keep::Nothing), Pruned::default(), "there is no cache yet");

    let work = sandbox.repository("work");
    let (old, new) = (work.hash("HEAD"), work.commit("two"));
    let gone = sandbox.repository("gone");
    let (old, new) = (work.worktree(&old), work.worktree(&new));
    let orphan = gone.worktree(&gone.hash("HEAD"));
    set_used(&old, 8);
    set_used(&new, 6);
    fs::write(old.target.join("built"), vec![1; 200_000]).expect("writes");
    let paths = [old.path.clone(), new.path.clone(), orphan.path.clone()];
    drop((old, new, orphan));
    fs::remove_dir_all(&gone.path).expect("it was there");
    // What somebody else put there, and a worktree of the user's whose disk is away.
    fs::write(cache.join("worktrees/notes"), "mine").expect("writes");
    let elsewhere = sandbox.path("elsewhere");
    work.git(&["worktree", "add", "--quiet", "--detach", elsewhere.to_str().expect("UTF-8")]);
    fs::rename(&elsewhere, sandbox.path("away")).expect("moves");

    let pruned = prune(week);
    assert_eq!((pruned.removed, pruned.kept, pruned.in_use), (2, 1, 0));
    assert!(pruned.bytes >= 200_000, "{}", pruned.bytes);
    assert_eq!(paths.map(|path| path.parent().is_some_and(Path::exists)), [false, true, false]);
    let known = work.git(&["worktree", "list", "--porcelain"]);
    let known: Vec<_> = known.lines().filter(|line| line.starts_with("worktree ")).collect();
    assert_eq!(known.len(), 3, "the user's own, the one that is away, the one that was kept: {known:?}");
    assert_eq!(
        fs::read_dir(cache.join("worktrees")).expect("there").count(),
        2,
        "the orphan's directory is gone"
    );

    assert_eq!(prune(Keep::Nothing).removed, 1);
    assert_eq!(fs::read_to_string(cache.join("worktrees/notes")).expect("there"), "mine");
    assert_eq!(fs::read_dir(cache.join("worktrees")).expect("there").count(), 1);
    // And it can be made again.
    drop(work.worktree(&work.hash("HEAD")));
}
