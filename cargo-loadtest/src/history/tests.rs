//! Real repositories in temporary directories: clones of a bare one, and jobs that push at once.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Barrier;

use loadtest_core::results::{Fingerprint, Revision};
use tempfile::TempDir;

use super::branch::Tip;
use super::*;
use crate::session::SessionSide;

/// A bare repository with one commit, and clones of it.
struct Place {
    directory: TempDir,
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(directory)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .expect("git runs");
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

impl Place {
    fn new() -> Place {
        let place = Place { directory: tempfile::tempdir().expect("a directory") };
        let root = place.directory.path();
        git(root, &["init", "--quiet", "--bare", "remote.git"]);
        let first = place.clone_of("first");
        fs::write(first.join("README.md"), "a project").expect("writes");
        git(&first, &["add", "."]);
        git(&first, &["commit", "--quiet", "-m", "one"]);
        git(&first, &["push", "--quiet", "origin", "HEAD:refs/heads/main"]);
        place
    }

    fn clone_of(&self, name: &str) -> PathBuf {
        git(self.directory.path(), &["clone", "--quiet", "remote.git", name]);
        self.directory.path().join(name)
    }

    fn bare(&self) -> PathBuf {
        self.directory.path().join("remote.git")
    }

    fn files(&self, branch: &str) -> Vec<String> {
        let listed = git(&self.bare(), &["ls-tree", "-r", "--name-only", branch]);
        listed.lines().map(str::to_owned).collect()
    }
}

fn session(id: &str) -> Session {
    Session {
        schema_version: 1,
        id: id.to_owned(),
        tool_version: "0.1.0".to_owned(),
        started_at: "2026-01-31T21:54:18Z".to_owned(),
        fingerprint: Fingerprint { cores: 2, ..Fingerprint::default() },
        profile: "loadtest".to_owned(),
        saved_as: Some("main".to_owned()),
        base: None,
        head: SessionSide { revision: Revision::default(), runs: vec![id.to_owned()] },
        tests: vec![crate::session::TestRecord {
            id: "t".to_owned(),
            workers: 2,
            workload_hash: "w".to_owned(),
            body_hashes: BTreeMap::new(),
            invalid: Vec::new(),
            base: Vec::new(),
            head: Vec::new(),
        }],
    }
}

/// The store of a clone, with these sessions.
fn store(clone: &Path, ids: &[&str]) -> Store {
    let store = Store::open(clone, Some(Path::new(".loadtest"))).expect("opens");
    for id in ids {
        store.save_session(&session(id)).expect("saves");
    }
    store
}

fn branch(clone: &Path, remote: &str) -> Branch {
    Branch::open(clone, remote, "loadtest-history").expect("opens")
}

fn at_once(_: u32) {}

#[test]
fn sessions_go_to_the_branch_and_come_back_in_another_clone() {
    let place = Place::new();
    let here = place.directory.path().join("first");
    let from = store(&here, &["a", "b"]);
    // What the user is in the middle of stays as it is.
    fs::write(here.join("README.md"), "changed").expect("writes");
    fs::write(here.join("staged"), "").expect("writes");
    git(&here, &["add", "staged"]);
    let before =
        (git(&here, &["status", "--porcelain", "README.md", "staged"]), git(&here, &["for-each-ref"]));
    assert_eq!(push(&from, &branch(&here, "origin"), at_once).expect("pushes"), 2);
    assert_eq!(push(&from, &branch(&here, "origin"), at_once).expect("pushes"), 0);
    from.save_session(&session("c")).expect("saves");
    assert_eq!(push(&from, &branch(&here, "origin"), at_once).expect("pushes"), 1);
    let after =
        (git(&here, &["status", "--porcelain", "README.md", "staged"]), git(&here, &["for-each-ref"]));
    // A push tells git where the remote's branch is: that reference alone is new.
    assert_eq!(before.0, after.0);
    let new: Vec<&str> = after.1.lines().filter(|line| !before.1.contains(*line)).collect();
    assert!(new.iter().all(|line| line.ends_with("refs/remotes/origin/loadtest-history")), "{new:?}");

    assert_eq!(place.files("loadtest-history"), ["sessions/a.json", "sessions/b.json", "sessions/c.json"]);
    assert_eq!(git(&place.bare(), &["rev-list", "--count", "loadtest-history"]), "2");
    let mut common = Command::new("git");
    common.args(["merge-base", "main", "loadtest-history"]).current_dir(place.bare());
    assert!(!common.output().expect("git runs").status.success(), "it has no part of the project");

    let there = place.clone_of("second");
    let to = store(&there, &["b"]);
    let pulled = pull(&to, &branch(&there, "origin")).expect("pulls").expect("is there");
    assert_eq!(pulled, Pulled { new: 2, known: 1, refused: Vec::new() });
    assert_eq!(to.sessions().sessions, from.sessions().sessions);
    assert_eq!(to.history("main").len(), 3);
}

#[test]
fn jobs_that_push_at_once_lose_nothing() {
    let place = Place::new();
    const JOBS: usize = 4;
    let clones: Vec<PathBuf> = (0..JOBS).map(|n| place.clone_of(&format!("job{n}"))).collect();
    let barrier = Barrier::new(JOBS);
    thread::scope(|scope| {
        for (n, clone) in clones.iter().enumerate() {
            let barrier = &barrier;
            scope.spawn(move || {
                let (one, two) = (format!("job{n}-a"), format!("job{n}-b"));
                let store = store(clone, &[&one, &two]);
                let branch = branch(clone, "origin");
                barrier.wait();
                assert_eq!(push(&store, &branch, pause).expect("pushes"), 2);
            });
        }
    });
    assert_eq!(place.files("loadtest-history").len(), 2 * JOBS);
    assert_eq!(git(&place.bare(), &["rev-list", "--count", "loadtest-history"]), JOBS.to_string());
}

#[test]
fn a_push_on_a_stale_tip_is_rejected_and_built_again() {
    let place = Place::new();
    let (slow, fast) = (place.clone_of("slow"), place.clone_of("fast"));
    let ours = store(&slow, &["ours"]);
    push(&store(&fast, &["first"]), &branch(&fast, "origin"), at_once).expect("pushes");
    let stale = branch(&slow, "origin").tip().expect("answers").expect("is there");
    push(&store(&fast, &["second"]), &branch(&fast, "origin"), at_once).expect("pushes");
    let one = session("ours");
    assert_eq!(branch(&slow, "origin").add(&stale, &[&one]).expect("git works"), Err(Rejected));
    // The very first push of two: there was no branch for either.
    let none = Tip { commit: None };
    assert_eq!(branch(&slow, "origin").add(&none, &[&one]).expect("git works"), Err(Rejected));
    assert_eq!(place.files("loadtest-history").len(), 2);
    assert_eq!(push(&ours, &branch(&slow, "origin"), at_once).expect("pushes"), 1);
    assert_eq!(place.files("loadtest-history").len(), 3);
}

#[test]
fn a_refusal_of_the_remote_is_no_race() {
    let place = Place::new();
    let here = place.directory.path().join("first");
    let hook = place.bare().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().expect("a directory")).expect("creates");
    fs::write(&hook, "#!/bin/sh\necho 'nobody may push here' >&2\nexit 1\n").expect("writes");
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("sets");
    let waits = Cell::new(0);
    let error = push(&store(&here, &["a"]), &branch(&here, "origin"), |_| waits.set(waits.get() + 1));
    let error = format!("{:#}", error.expect_err("refused"));
    assert!(error.contains("nobody may push here"), "{error}");
    assert_eq!(waits.get(), 0);
}

#[test]
fn a_repository_can_keep_the_history_for_itself() {
    let place = Place::new();
    let here = place.directory.path().join("first");
    let store_here = store(&here, &["a"]);
    let own = branch(&here, ".");
    assert!(pull(&store_here, &own).expect("answers").is_none());
    assert_eq!(push(&store_here, &own, at_once).expect("pushes"), 1);
    let stale = own.tip().expect("answers").expect("is there");
    store_here.save_session(&session("b")).expect("saves");
    assert_eq!(push(&store_here, &own, at_once).expect("pushes"), 1);
    let late = session("late");
    assert_eq!(own.add(&stale, &[&late]).expect("git works"), Err(Rejected));
    assert_eq!(
        git(&here, &["ls-tree", "-r", "--name-only", "loadtest-history"]),
        "sessions/a.json\nsessions/b.json"
    );
    assert!(git(&here, &["status", "--porcelain", "--untracked-files=no"]).is_empty());

    git(&here, &["switch", "--quiet", "loadtest-history"]);
    store_here.save_session(&session("c")).expect("saves");
    let error = format!("{:#}", push(&store_here, &own, at_once).expect_err("checked out"));
    assert!(error.contains("is checked out"), "{error}");
}

#[test]
fn a_shallow_clone_sends_and_gets_like_any_other() {
    let place = Place::new();
    let first = place.directory.path().join("first");
    fs::write(first.join("more"), "").expect("writes");
    git(&first, &["add", "."]);
    git(&first, &["commit", "--quiet", "-m", "two"]);
    git(&first, &["push", "--quiet", "origin", "HEAD:refs/heads/main"]);
    push(&store(&first, &["a"]), &branch(&first, "origin"), at_once).expect("pushes");
    let url = format!("file://{}", place.bare().display());
    git(place.directory.path(), &["clone", "--quiet", "--depth=1", "--single-branch", &url, "shallow"]);
    let shallow = place.directory.path().join("shallow");
    assert_eq!(git(&shallow, &["rev-parse", "--is-shallow-repository"]), "true");
    let there = store(&shallow, &["b"]);
    assert_eq!(push(&there, &branch(&shallow, "origin"), at_once).expect("pushes"), 1);
    assert_eq!(pull(&there, &branch(&shallow, "origin")).expect("pulls").expect("is there").new, 1);
    assert_eq!(place.files("loadtest-history"), ["sessions/a.json", "sessions/b.json"]);
    assert_eq!(git(&shallow, &["rev-list", "--count", "HEAD"]), "1", "it was not deepened");
}

#[test]
fn a_branch_of_something_else_is_left_alone() {
    let place = Place::new();
    let here = place.directory.path().join("first");
    let store = store(&here, &["a"]);
    let main = Branch::open(&here, "origin", "main").expect("opens");
    let error = format!("{:#}", push(&store, &main, at_once).expect_err("is no history"));
    assert!(error.contains("holds other things than sessions, such as `README.md`"), "{error}");
    assert!(pull(&store, &main).is_err());
    assert_eq!(place.files("main"), ["README.md"]);
    for name in ["-f", "", "a..b", "@{-1}", "a b", "refs/heads/x~1"] {
        assert!(Branch::open(&here, "origin", name).is_err(), "{name:?}");
    }
    assert!(Branch::open(&here, "--upload-pack=touch /tmp/x", "x").is_err());
    let elsewhere = tempfile::tempdir().expect("a directory");
    let error = Branch::open(elsewhere.path(), "origin", "x").expect_err("no repository");
    assert!(error.to_string().contains("no git repository"), "{error}");
    let nowhere = Branch::open(&here, "nowhere", "x").expect("opens");
    assert!(format!("{:#}", nowhere.tip().expect_err("no such remote")).contains("--remote ."));
}

#[test]
fn what_others_put_on_the_branch_is_looked_at_first() {
    let place = Place::new();
    let first = place.directory.path().join("first");
    push(&store(&first, &["good"]), &branch(&first, "origin"), at_once).expect("pushes");
    let evil = place.clone_of("evil");
    git(&evil, &["switch", "--quiet", "loadtest-history"]);
    let sessions = evil.join("sessions");
    let text = |session: &Session| serde_json::to_string(session).expect("writes");
    fs::write(sessions.join("broken.json"), "{").expect("writes");
    fs::write(sessions.join("renamed.json"), text(&session("other"))).expect("writes");
    fs::write(sessions.join("escape.json"), text(&session("../../escape"))).expect("writes");
    fs::write(sessions.join("large.json"), vec![b' '; (crate::store::MAX_SESSION_BYTES + 1) as usize])
        .expect("writes");
    fs::write(sessions.join("sp ace.json"), text(&session("x"))).expect("writes");
    fs::write(sessions.join("newer.json"), text(&Session { schema_version: 9, ..session("newer") }))
        .expect("writes");
    std::os::unix::fs::symlink("/etc/passwd", sessions.join("link.json")).expect("links");
    git(&evil, &["add", "."]);
    git(&evil, &["commit", "--quiet", "-m", "evil"]);
    git(&evil, &["push", "--quiet", "origin", "loadtest-history"]);

    let clone = place.clone_of("victim");
    let victim = store(&clone, &[]);
    let pulled = pull(&victim, &branch(&clone, "origin")).expect("pulls").expect("is there");
    assert_eq!((pulled.new, pulled.known), (1, 0));
    assert_eq!(victim.session_ids(), ["good"]);
    let why = pulled.refused.join("\n");
    assert_eq!(pulled.refused.len(), 5, "{why}");
    for reason in
        ["is not JSON", "holds the session other", "not the id of a run", "too large", "schema version 9"]
    {
        assert!(why.contains(reason), "{reason}: {why}");
    }
}
