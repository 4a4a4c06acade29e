//! Workspaces that are not the top of their repository, repositories in a repository, and several packages.

use loadtest_tests::{Repository, fixture};

use super::{begins, duet, says};
use crate::duet::{measured_each_its_own, turn};

#[test]
fn a_submodule_and_a_workspace_in_a_subdirectory_are_those_of_their_side() {
    let _turn = turn();
    let repository = fixture("duet").about_to_be_under_version_control().moved_into("backend");
    // What the service waits for is in a repository of its own.
    let pace = repository.beside("pace");
    let _ = std::fs::remove_dir_all(&pace);
    let place = pace.display().to_string();
    repository.git(&["init", "--quiet", "--initial-branch", "main", &place]);
    let settings =
        std::fs::read_to_string(repository.path().join("backend/src/settings.rs")).expect("it is there");
    let commit = |at: &str, text: &str| {
        std::fs::write(std::path::Path::new(at).join("settings.rs"), text).expect("it can be written");
        repository.git(&["-C", at, "add", "--all"]);
        repository.git(&["-C", at, "commit", "--quiet", "--message", "settings"]);
    };
    commit(&place, &settings);
    repository.git(&["submodule", "--quiet", "add", &place, "backend/pace"]);
    std::fs::remove_file(repository.path().join("backend/src/settings.rs")).expect("it is there");
    for file in ["backend/src/main.rs", "backend/src/lib.rs"] {
        repository.edit(file, "mod settings;", "#[path = \"../pace/settings.rs\"]\nmod settings;");
    }
    repository.commit("the service");
    repository.git(&["tag", "v1"]);
    let inside = repository.path().join("backend/pace").display().to_string();
    commit(&inside, &settings.replace("u64 = 4", "u64 = 8"));
    repository.commit("another pace");

    let trial = repository.trial(&[
        "--exact",
        "load::buy",
        "--baseline",
        "v1",
        "--runs",
        "4",
        "--compare-duration",
        "1s",
        "--pin",
    ]);
    let run = trial.env("GIT_ALLOW_PROTOCOL", "file").run();
    says(&run, &["Comparing with v1 (the tag v1, "]);
    measured_each_its_own(&run);
    assert_eq!(repository.git(&["status", "--porcelain"]).stdout, "");
}

#[test]
fn only_packages_that_changed_are_run() {
    let _turn = turn();
    let repository = two_packages();
    let list = |more: &[&str]| {
        let arguments = [&["--workspace", "--list", "--changed-since", "main"][..], more].concat();
        repository.trial(&arguments).run().exited(0)
    };
    let run = list(&[]);
    says(&run, &["NOTHING TO RUN", "changed since main"]);
    assert_eq!(run.stdout, "");

    repository.branch("change");
    repository.edit("second/src/lib.rs", "async fn buy(", "async fn sell(");
    let run = list(&[]);
    assert!(run.stdout.contains("load::sell") && !run.stdout.contains("load::buy"), "{}", run.stdout);
    repository.commit("another name");
    assert!(list(&[]).stdout.contains("load::sell"));
    // What a duet would be made of is that package alone, too.
    let run = duet(&repository, "load::buy", "main", &["--workspace", "--changed-since", "main"]).exited(0);
    begins(&run, &["NOTHING TO RUN"]);
}

fn two_packages() -> Repository {
    let repository = fixture("duet").about_to_be_under_version_control();
    repository.edit("Cargo.toml", "[workspace]", "[workspace]\nmembers = [\"second\"]");
    let read = |file: &str| std::fs::read_to_string(repository.path().join(file)).expect("it is there");
    let manifest = read("Cargo.toml").replace("name = \"duet\"", "name = \"second\"");
    let manifest = manifest
        .replace("[workspace]\nmembers = [\"second\"]", "")
        .replace("name = \"shop\"", "name = \"stall\"");
    repository.write("second/Cargo.toml", &manifest);
    for file in ["src/lib.rs", "src/main.rs", "src/server.rs", "src/settings.rs"] {
        repository.write(&format!("second/{file}"), &read(file).replace("\"shop\"", "\"stall\""));
    }
    repository.lock();
    repository.commit("two services");
    repository
}
