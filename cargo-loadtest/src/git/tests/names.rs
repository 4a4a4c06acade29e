//! What names mean in a clone that has everything.

use super::*;

#[test]
fn a_branch_means_its_merge_base_and_the_rest_itself() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    let fork = work.commit("two");
    work.git(&["tag", "--annotate", "--message", "t", "v1.2.0"]);
    work.git(&["checkout", "--quiet", "-b", "topic"]);
    work.commit("three");
    let head = work.commit("four");
    work.git(&["checkout", "--quiet", "main"]);
    let moved = work.commit("five");
    work.git(&["checkout", "--quiet", "topic"]);
    let means = |name: &str| {
        let resolved = work.resolve(name).expect("it is there");
        assert_eq!(resolved.same_as_head, resolved.commit == head);
        assert_eq!(resolved.notes, [""; 0]);
        (resolved.commit, resolved.how)
    };
    let base = (fork.clone(), "the merge base of main and HEAD".to_owned());
    for name in ["main", "refs/heads/main", "heads/main", "@{-1}"] {
        assert_eq!(means(name), base, "{name}");
    }
    for name in ["v1.2.0", "refs/tags/v1.2.0"] {
        assert_eq!(means(name), (fork.clone(), "the tag v1.2.0".to_owned()));
    }
    assert_eq!(means("HEAD~1"), (work.hash("HEAD~1"), "HEAD~1".to_owned()));
    assert_eq!(means("main^{/two}").0, fork);
    assert_eq!(means("HEAD"), (head.clone(), "HEAD".to_owned()));
    // A hash means itself even where a branch would mean the merge base.
    let named = (moved.clone(), format!("the commit {}", &moved[..7]));
    for name in [moved.as_str(), &moved[..9], &moved.to_uppercase()] {
        assert_eq!(means(name), named);
    }
    let resolved = work.resolve("main").expect("it is there");
    let written = work.git(&["show", "--no-patch", "--format=%ct", &fork]);
    let told: jiff::Timestamp = resolved.committed_at.parse().expect("RFC 3339");
    assert_eq!(told.as_second().to_string(), written);
    work.git(&["checkout", "--quiet", "--detach"]);
    assert_eq!(means("main"), base, "a detached head is a head");
}

#[test]
fn on_the_branch_itself_the_base_is_head() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    work.write("one", "changed");
    let resolved = work.resolve("main").expect("it is there");
    assert!(resolved.same_as_head && work.open().revision().dirty);
    assert_eq!(resolved.commit, work.hash("HEAD"));
}

#[test]
fn a_branch_is_looked_for_here_and_then_on_origin() {
    let sandbox = Sandbox::new();
    let origin = sandbox.repository("origin");
    let work = sandbox.clone_of(&origin, "work", &[]);
    let pulled = work.hash("main");
    origin.commit("two");
    origin.git(&["branch", "release"]);
    work.git(&["fetch", "--quiet"]);
    work.git(&["checkout", "--quiet", "--no-track", "-b", "topic", "origin/main"]);
    work.commit("three");
    let local = work.resolve("main").expect("here");
    assert_eq!(
        (local.commit.as_str(), local.how.as_str()),
        (pulled.as_str(), "the merge base of main and HEAD")
    );
    assert!(local.notes[0].contains("origin/main and HEAD part at a later commit"), "{:?}", local.notes);
    for (name, shown) in
        [("release", "origin/release"), ("origin/main", "origin/main"), ("origin", "origin/main")]
    {
        let remote = work.resolve(name).expect("on origin");
        assert_eq!(remote.commit, origin.hash("main"));
        assert_eq!(remote.how, format!("the merge base of {shown} and HEAD"));
        assert_eq!(remote.notes, [""; 0]);
    }
}

#[test]
fn a_tag_does_not_hide_a_branch_of_its_name() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    work.git(&["tag", "main"]);
    let branch = work.commit("two");
    let resolved = work.resolve("main").expect("both");
    assert_eq!(resolved.commit, branch);
    assert!(resolved.notes[0].contains("refs/tags/main is the tag"), "{:?}", resolved.notes);
    assert_eq!(work.resolve("refs/tags/main").expect("the tag").how, "the tag main");
}

#[test]
fn a_pull_request_is_compared_with_what_it_was_merged_into() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    work.git(&["checkout", "--quiet", "-b", "topic"]);
    let before_merge = work.commit("two");
    work.git(&["checkout", "--quiet", "main"]);
    let main = work.commit("three");
    // The author merged main once before, so HEAD would have two parents in either checkout.
    work.git(&["checkout", "--quiet", "topic"]);
    work.git(&["merge", "--quiet", "--no-ff", "--message", "m", "main"]);
    let topic = work.hash("HEAD");
    work.git(&["checkout", "--quiet", "main"]);
    let tip = work.commit("four");
    work.git(&["checkout", "--quiet", "--detach", "main"]);
    work.git(&["merge", "--quiet", "--no-ff", "--message", "m", "topic"]);
    let merge = work.hash("HEAD");
    let resolve = |name: &str, environment: &CiEnvironment| {
        let resolved = work.open().resolve(name, environment).expect("it is there");
        (resolved.commit, resolved.how)
    };
    let first_parent = "the first parent of the pull request's merge commit".to_owned();
    work.git(&["branch", "--force", "release", &main]);
    let pull = pull_request("main", &merge);
    assert_eq!(resolve("main", &pull), (tip.clone(), first_parent.clone()));
    assert_eq!(resolve("origin/main", &pull).1, first_parent, "whether it was fetched or not");
    assert_eq!(resolve("release", &pull).0, main, "another branch than that of the pull request");
    assert_eq!(resolve("HEAD~1", &pull).1, "HEAD~1");
    let desk = CiEnvironment::default();
    assert_eq!(resolve("main", &desk), (tip, "the merge base of main and HEAD".to_owned()));
    // A workflow that checks out the author's own commit: its first parent is the author's.
    work.git(&["checkout", "--quiet", "--detach", &topic]);
    assert_eq!(work.hash("HEAD^1"), before_merge);
    assert_eq!(resolve("main", &pull).0, main);
    let unsaid = CiEnvironment::from_variables([("CI", "1"), ("GITHUB_EVENT_NAME", "pull_request")]);
    assert_eq!(resolve("main", &unsaid).0, main);
    // A push is no pull request.
    let push =
        CiEnvironment::from_variables([("CI", "1"), ("GITHUB_EVENT_NAME", "push"), ("GITHUB_SHA", &topic)]);
    assert_eq!(resolve("main", &push).0, main);
}

#[test]
fn what_is_not_there_comes_with_the_next_thing_to_type() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    work.git(&["branch", "release-2"]);
    let message = |name: &str| work.resolve(name).expect_err("it is not there").to_string();
    assert_eq!(
        message("relaese-2"),
        "`relaese-2` is no branch, tag or commit of this repository\nhint: did you mean `release-2`?"
    );
    assert!(message("HEAD~7").contains("hint: `git fetch origin`"));
    assert!(message("main:one").contains("is no branch"), "a file is no commit");
    work.git(&["checkout", "--quiet", "--orphan", "apart"]);
    work.commit("two");
    let unrelated = message("main");
    assert!(unrelated.starts_with("`main` and HEAD have no commit in common\nhint: "), "{unrelated}");
}

#[test]
fn hostile_names_never_reach_git_as_options() {
    let sandbox = Sandbox::new();
    let work = sandbox.repository("work");
    let ci = CiEnvironment { is_ci: true, ..CiEnvironment::default() };
    let long = "x".repeat(5000);
    let names = [
        "",
        "-",
        "--all",
        "--output=x",
        "-h",
        "a\nb",
        "\u{1b}[2J",
        "a\0b",
        "main..HEAD",
        "^main",
        "main main",
        "*",
        "../../one",
        "--",
        ":/",
        "refs/heads/",
        "$(touch x)",
        "--upload-pack=touch x",
        "..",
        "one",
        &long,
    ];
    for name in names {
        for environment in [&ci, &CiEnvironment::default()] {
            let error = work.open().resolve(name, environment).expect_err("no revision");
            assert!(matches!(error, Unresolved::NotFound { .. }), "{name:?}: {error:?}");
            let message = error.to_string();
            assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "{name:?}");
            assert_eq!(message.lines().count(), 2, "{message}");
        }
    }
    assert_eq!(work.git(&["status", "--porcelain"]), "", "nothing was written");
}
