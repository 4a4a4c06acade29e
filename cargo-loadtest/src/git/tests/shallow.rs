//! Clones that lack something, and remotes that give it or not.

use super::*;

/// A repository whose `main` moved on after `topic` left it: 1 + `commits`, then 3 on main and 2 on topic.
/// With it the commit where they part.
fn forked(sandbox: &Sandbox, commits: u32) -> (Work<'_>, String) {
    let origin = sandbox.repository("origin");
    for _ in 0..commits {
        origin.git(&["commit", "--quiet", "--allow-empty", "--message", "more"]);
    }
    let fork = origin.hash("HEAD");
    origin.git(&["tag", "v1"]);
    origin.git(&["checkout", "--quiet", "-b", "topic"]);
    origin.commit("t1");
    origin.commit("t2");
    origin.git(&["checkout", "--quiet", "main"]);
    for name in ["m1", "m2", "m3"] {
        origin.commit(name);
    }
    (origin, fork)
}

fn is_shallow(work: &Work<'_>) -> bool {
    work.git(&["rev-parse", "--is-shallow-repository"]) == "true"
}

#[test]
fn a_shallow_clone_fetches_the_branch_and_as_much_of_the_past_as_it_takes() {
    let sandbox = Sandbox::new();
    let (origin, fork) = forked(&sandbox, 150);
    let work = sandbox.clone_of(&origin, "work", &["--depth", "1", "--branch", "topic"]);
    let resolved = work.resolve("main").expect("origin answers");
    assert_eq!(resolved.commit, fork);
    assert_eq!(resolved.how, "the merge base of origin/main and HEAD");
    assert_eq!(resolved.notes[0], "fetched the branch main from origin");
    assert!(
        resolved.notes[1].starts_with("the clone is shallow: fetched up to 50 commits"),
        "{:?}",
        resolved.notes
    );
    assert!(is_shallow(&work), "not more than it takes");
    assert_eq!(work.resolve("main").expect("it is here now").notes, [""; 0]);
    assert_eq!(work.git(&["status", "--porcelain"]), "");
}

#[test]
fn tags_hashes_and_ancestors_are_fetched_too() {
    let sandbox = Sandbox::new();
    let (origin, fork) = forked(&sandbox, 60);
    let old = origin.hash("main~55");
    for (clone, name, commit) in [
        ("tag", "v1", &fork),
        ("hash", fork.as_str(), &fork),
        ("abbreviated", &old[..12], &old),
        ("ancestor", "HEAD~55", &old),
    ] {
        let work = sandbox.clone_of(&origin, clone, &["--depth", "1", "--branch", "main"]);
        let resolved = work.resolve(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((&resolved.commit, resolved.notes.len()), (commit, 1), "{name}");
    }
    let work = sandbox.clone_of(&origin, "too-far", &["--depth", "1", "--branch", "main"]);
    let error = work.resolve("HEAD~500").expect_err("there are not so many");
    assert!(matches!(error, Unresolved::NotFound { .. }), "{error:?}");
    assert!(!is_shallow(&work), "all was fetched to be sure");
}

#[test]
fn a_pull_request_of_depth_one_needs_one_commit_more() {
    let sandbox = Sandbox::new();
    let (origin, _) = forked(&sandbox, 3);
    let tip = origin.hash("main");
    origin.git(&["checkout", "--quiet", "--detach", "main"]);
    origin.git(&["merge", "--quiet", "--no-ff", "--message", "m", "topic"]);
    let merge = origin.hash("HEAD");
    origin.git(&["update-ref", "refs/pull/7/merge", &merge]);
    origin.git(&["checkout", "--quiet", "main"]);
    // As actions/checkout does it.
    let url = format!("file://{}", origin.path.display());
    fs::create_dir(sandbox.path("work")).expect("writes");
    let work = Work { sandbox: &sandbox, path: sandbox.path("work") };
    work.git(&["init", "--quiet"]);
    work.git(&["remote", "add", "origin", &url]);
    let refspec = format!("+{merge}:refs/remotes/pull/7/merge");
    work.git(&["fetch", "--quiet", "--no-tags", "--depth=1", "origin", &refspec]);
    work.git(&["checkout", "--quiet", "--force", "refs/remotes/pull/7/merge"]);
    let resolved = work.open().resolve("main", &pull_request("main", &merge)).expect("origin answers");
    assert_eq!(resolved.commit, tip);
    assert_eq!(resolved.how, "the first parent of the pull request's merge commit");
    assert_eq!(resolved.notes, ["the clone is shallow: fetched one commit more from origin"]);
    assert!(!resolved.committed_at.is_empty() && !resolved.same_as_head);
    let files = work.open().changed_files_in("main", &pull_request("main", &merge)).expect("they are known");
    assert_eq!(files, [PathBuf::from("t1"), PathBuf::from("t2")]);
}

#[test]
fn a_remote_that_is_gone_leaves_the_mend() {
    let sandbox = Sandbox::new();
    let (origin, _) = forked(&sandbox, 5);
    let work = sandbox.clone_of(&origin, "work", &["--depth", "1", "--branch", "topic"]);
    fs::rename(&origin.path, sandbox.path("moved")).expect("moves");
    let github = CiEnvironment::from_variables([("GITHUB_ACTIONS", "true"), ("CI", "true")]);
    let gitlab = CiEnvironment::from_variables([("GITLAB_CI", "true"), ("CI", "true")]);
    for (environment, mend) in [
        (CiEnvironment::default(), "hint: git fetch --unshallow"),
        (github, "fetch-depth: 0"),
        (gitlab, "GIT_DEPTH: 0"),
    ] {
        for name in ["main", "HEAD~3"] {
            let error = work.open().resolve(name, &environment).expect_err("origin is gone");
            assert!(matches!(error, Unresolved::Shallow { .. }), "{name}: {error:?}");
            let message = error.to_string();
            assert!(message.contains(mend) && message.contains(&format!("`{name}`")), "{message}");
        }
    }
    assert!(work.resolve("HEAD").expect("it is here").same_as_head);
}

#[test]
fn only_continuous_integration_asks_the_remote_of_a_whole_clone() {
    let sandbox = Sandbox::new();
    let (origin, fork) = forked(&sandbox, 3);
    let work = sandbox.clone_of(&origin, "work", &["--single-branch", "--branch", "topic"]);
    assert!(matches!(work.resolve("main"), Err(Unresolved::NotFound { .. })));
    let ci = CiEnvironment { is_ci: true, ..CiEnvironment::default() };
    let resolved = work.open().resolve("origin/main", &ci).expect("origin answers");
    assert_eq!((resolved.commit, resolved.notes.len()), (fork, 1));
    assert!(matches!(work.open().resolve("nothing", &ci), Err(Unresolved::NotFound { .. })));
}
