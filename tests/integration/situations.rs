//! The situations in which people compare: each gives the first line that one hopes for, the mode that fits, or the
//! error that says what to type. What is told before anything is built is asked for with too little time to go on.

mod places;

use std::net::TcpListener;

use loadtest_tests::{Finished, Repository, fixture};

use crate::duet::{BUY, measured_each_its_own, turn, with_change};

/// A comparison that ends before its runs, after it has said what it would do.
const TOLD: [&str; 4] = ["--exact", "load::buy", "--max-time", "1s"];

/// What is said of a comparison with `baseline` before anything is built.
fn told(repository: &Repository, baseline: &str) -> Finished {
    let run = repository.trial(&[&TOLD[..], &["--baseline", baseline]].concat()).run().exited(2);
    // The error says how long it takes, and what to type for less.
    for said in ["--max-time 1s is too short for 4 pairs of runs", "hint: `--max-time 40s` is enough"] {
        assert!(run.stderr.contains(said), "{said}\n{}", run.stderr);
    }
    run
}

/// Asserts that something was said on standard error.
fn says(run: &Finished, said: &[&str]) {
    for said in said {
        assert!(run.stderr.contains(said), "`{said}` is missing:\n{}\n{}", run.stdout, run.stderr);
    }
}

/// Asserts that the first line holds all of this.
fn begins(run: &Finished, said: &[&str]) {
    for said in said {
        assert!(run.first_line().contains(said), "`{said}` is missing:\n{}\n{}", run.stdout, run.stderr);
    }
}

const SHORT: [&str; 4] = ["--compare-duration", "1s", "--runs", "4"];

fn duet(repository: &Repository, test: &str, baseline: &str, more: &[&str]) -> Finished {
    let named = ["--exact", test, "--baseline", baseline];
    repository.trial(&[&named[..], &SHORT, more].concat()).run()
}

#[test]
fn a_revision_is_what_was_written() {
    let _turn = turn();
    let repository = with_change("DELAY_MS: u64 = 4", "DELAY_MS: u64 = 8");
    repository.git(&["tag", "v1.2.0", "main"]);
    let main = repository.commit_of("main");
    let nine = &main[..9];
    let duet = "in a duet, because no baseline of that name was saved and the revision can be built";
    for (name, how) in [
        ("main", "Comparing with main (the merge base of main and HEAD, "),
        ("v1.2.0", "Comparing with v1.2.0 (the tag v1.2.0, "),
        ("HEAD~1", "Comparing with HEAD~1 ("),
        (nine, &format!("Comparing with {nine} (the commit ")),
    ] {
        says(&told(&repository, name), &[how, nine, duet]);
    }
    // On no branch it is the same.
    repository.git(&["switch", "--quiet", "--detach"]);
    says(&told(&repository, "main"), &["the merge base of main and HEAD", duet]);

    // What is no revision is told with the names that are near, and what was measured passes.
    let run = repository.trial(&["--exact", "load::buy", "--duration", "1s", "--baseline", "mian"]).run();
    let run = run.exited(0);
    begins(&run, &["NOT VERIFIED", "mian"]);
    says(
        &run,
        &[
            "baseline `mian` not found, and no revision has that name",
            "did you mean `main`?",
            "--save-baseline mian",
        ],
    );
    let fails =
        ["--exact", "load::buy", "--duration", "1s", "--baseline", "mian", "--baseline-missing", "fail"];
    begins(&repository.trial(&fails).run().exited(95), &["mian"]);

    // `--duet` and `--stored` ask for what there is not.
    let run = repository.trial(&["--exact", "load::buy", "--baseline", "mian", "--duet"]).run().exited(2);
    says(&run, &["`mian` is no branch, tag or commit of this repository", "did you mean `main`?"]);
    let run = repository.trial(&["--exact", "load::buy", "--baseline", "main", "--stored"]).run().exited(2);
    says(&run, &["baseline `main` not found", "--save-baseline main"]);
}

#[test]
fn what_was_saved_wins_at_home_and_the_revision_in_ci() {
    let _turn = turn();
    let repository = fixture("duet").under_version_control();
    let save = ["--exact", "load::buy", "--duration", "1s", "--runs", "3", "--save-baseline", "main"];
    let saved = repository.trial(&save).run().exited(0);
    assert!(saved.stdout.contains("baseline  main is these 3 runs now"), "{}", saved.stdout);
    let stored = |run: &Finished| std::fs::read_dir(run.store().join("runs")).expect("runs").count();
    let before = stored(&saved);

    // From a tree that differs, or in a pull request, it is refused before anything is built.
    repository.branch("change");
    repository.edit("src/settings.rs", "DELAY_MS: u64 = 4", "DELAY_MS: u64 = 8");
    let run = repository.trial(&save).after(&saved).run().exited(2);
    says(&run, &["the baseline `main` can't be saved: files differ from", "--force"]);
    repository.commit("slower");
    let in_ci = |arguments: &[&str]| {
        let trial = repository.trial(arguments).after(&saved).env("CI", "true");
        trial.env("GITHUB_EVENT_NAME", "pull_request").env("GITHUB_BASE_REF", "main")
    };
    let run = in_ci(&save).run().exited(2);
    says(&run, &["can't be saved: this is the code of a pull request", "--force"]);
    assert_eq!(stored(&saved), before);

    // At home the saved one, with the command for a closer look; in CI a restored cache weakens nothing.
    let compare = ["--exact", "load::buy", "--duration", "1s", "--baseline", "main"];
    let run = repository.trial(&compare).after(&saved).run().exited(0);
    says(&run, &["Comparing with the saved baseline main", "--duet compares with the revision instead"]);
    begins(
        &run,
        &["baseline `main`", "For a closer look: `cargo loadtest --baseline main --duet ", "(about 1 min)."],
    );
    assert_eq!(run.document()["comparison"]["mode"], "stored");
    let closer = &run.document()["comparison"]["closer"];
    let command = closer["command"].as_str().unwrap_or_default();
    assert!(
        command.starts_with("cargo loadtest --baseline main --duet ")
            && closer["minutes"].as_f64() > Some(0.0),
        "{closer}"
    );
    assert!(run.stdout.contains(command), "{}", run.stdout);
    let short = [&TOLD[..], &["--baseline", "main"]].concat();
    let run = in_ci(&short).run().exited(2);
    says(&run, &["in a duet, because this is CI and the revision can be built"]);
    let run = in_ci(&[&compare[..], &["--stored"]].concat()).run().exited(0);
    says(&run, &["Comparing with the saved baseline main", "because --stored asks for it"]);

    // A run is compared with by its path.
    let path = run.directory().display().to_string();
    let run =
        repository.trial(&["--exact", "load::buy", "--duration", "1s", "--baseline", &path]).after(&saved);
    let run = run.run().exited(0);
    says(&run, &["Comparing with the stored run"]);
    assert_eq!(run.document()["comparison"]["mode"], "stored");

    let run = in_ci(&[&save[..], &["--force"]].concat()).run().exited(0);
    assert!(run.stdout.contains("baseline  main is these 3 runs now"), "{}", run.stdout);
}

#[test]
fn a_shallow_clone_is_deepened_or_the_mend_is_named() {
    let _turn = turn();
    let origin = with_change("DELAY_MS: u64 = 4", "DELAY_MS: u64 = 8");
    let clone = origin.shallow_clone("change");
    let run = told(&clone, "main");
    says(
        &run,
        &["note: fetched the branch main from origin", "the merge base of origin/main and HEAD", "in a duet"],
    );

    let clone = origin.shallow_clone("change");
    clone.git(&["remote", "set-url", "origin", "file:///nowhere/at/all"]);
    let compare = ["--exact", "load::buy", "--duration", "1s", "--baseline", "main"];
    let run = clone.trial(&compare).run().exited(0);
    begins(&run, &["NOT VERIFIED: nothing was compared: this clone is shallow", "git fetch --unshallow"]);
    says(&run, &["this clone is shallow and does not reach back to `main`", "hint: git fetch --unshallow"]);
    let in_ci = clone.trial(&compare).env("CI", "true").env("GITHUB_ACTIONS", "true").env("GITHUB_SHA", "");
    says(&in_ci.run().exited(0), &["fetch-depth: 0"]);
}

#[test]
fn the_first_pull_request_with_a_load_test_is_compared_if_the_base_has_the_service() {
    let _turn = turn();
    let repository = fixture("duet").about_to_be_under_version_control();
    let tests = std::fs::read_to_string(repository.path().join("src/lib.rs")).expect("it is there");
    repository.write("src/lib.rs", "//! No load test yet.\n");
    repository.commit("the service");
    repository.branch("change");
    repository.write("src/lib.rs", &tests);
    repository.edit("src/settings.rs", "DELAY_MS: u64 = 4", "DELAY_MS: u64 = 8");
    repository.commit("a load test");
    measured_each_its_own(&duet(&repository, "load::buy", "main", &[]));

    // Where there is not even the program, it is said, and head runs all the same.
    repository.git(&["switch", "--quiet", "--orphan", "trunk"]);
    repository.write("README.md", "Soon.\n");
    repository.commit("nothing yet");
    repository.git(&["checkout", "--quiet", "change", "--", "."]);
    repository.commit("the service and its load test");
    let run = duet(&repository, "load::buy", "HEAD~1", &["--duration", "1s"]).exited(0);
    begins(&run, &["NOT VERIFIED", "The base has no workspace at Cargo.toml"]);
    assert!(run.stdout.contains("http_reqs"), "{}", run.stdout);

    repository.edit("Cargo.toml", "name = \"shop\"", "name = \"store\"");
    repository.commit("another name");
    repository.edit("Cargo.toml", "name = \"store\"", "name = \"shop\"");
    repository.commit("and back");
    let run = duet(&repository, "load::buy", "HEAD~1", &["--duration", "1s"]).exited(0);
    begins(&run, &["NOT VERIFIED", "shop"]);
}

#[test]
fn each_side_is_built_with_its_own_lock_file() {
    let _turn = turn();
    let repository = fixture("duet").about_to_be_under_version_control();
    // A dependency whose manifest entry stays while its revision moves on.
    let pace = repository.beside("pace");
    let _ = std::fs::remove_dir_all(&pace);
    let dependency = Dependency(&repository, pace.display().to_string());
    dependency.release("4");
    repository.edit(
        "Cargo.toml",
        "[dev-dependencies]",
        &format!(
            "[dependencies]\npace = {{ git = \"file://{}\", branch = \"main\" }}\n\n[dev-dependencies]",
            pace.display()
        ),
    );
    repository.edit("src/settings.rs", "u64 = 4", "u64 = pace::DELAY_MS");
    repository.cargo(&["metadata", "--format-version", "1"]);
    repository.commit("the service");
    repository.branch("change");
    dependency.release("8");
    repository.cargo(&["update", "pace"]);
    assert_eq!(repository.git(&["status", "--porcelain"]).stdout.trim(), "M Cargo.lock");
    repository.commit("a newer dependency");
    measured_each_its_own(&duet(&repository, "load::buy", "main", &[]));
}

/// Another repository with a crate that says how long the service takes.
struct Dependency<'a>(&'a Repository, String);

impl Dependency<'_> {
    fn release(&self, delay: &str) {
        let Self(repository, place) = self;
        let name = std::path::Path::new(place).file_name().expect("a name").to_string_lossy().into_owned();
        let file = |file: &str| format!("../{name}/{file}");
        if !std::path::Path::new(place).exists() {
            repository.git(&["init", "--quiet", "--initial-branch", "main", place]);
        }
        let manifest = "[package]\nname = \"pace\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
        repository.write(&file("Cargo.toml"), manifest);
        repository.write(
            &file("src/lib.rs"),
            &format!("//! How long it takes.\n/// Milliseconds.\npub const DELAY_MS: u64 = {delay};\n"),
        );
        repository.git(&["-C", place, "add", "--all"]);
        repository.git(&["-C", place, "commit", "--quiet", "--message", delay]);
    }
}

#[test]
fn a_service_inside_the_test_process_is_that_of_its_side() {
    let _turn = turn();
    let repository = with_change("DELAY_MS: u64 = 4", "DELAY_MS: u64 = 8");
    measured_each_its_own(&duet(&repository, "load::inside", "main", &[]));

    repository.edit("src/lib.rs", "async fn inside(", "async fn within(");
    repository.commit("renamed");
    let run = duet(&repository, "load::within", "main", &[]).exited(0);
    begins(&run, &["NOT VERIFIED", "not comparable", "the base does not have this test"]);
}

#[test]
fn a_target_of_nobody_is_compared_with_what_was_saved_or_once_it_is_told_how_it_starts() {
    let _turn = turn();
    let repository = with_change("DELAY_MS: u64 = 4", "DELAY_MS: u64 = 8");
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port is free").port();
    let url = format!("BASE_URL=http://127.0.0.1:{port}");
    let builds = repository.beside("target").display().to_string();
    let start = format!(
        "CARGO_TARGET_DIR={builds}-$LOADTEST_SIDE PORT={port} exec cargo run --offline --quiet --bin shop"
    );
    // Each side starts it in its own tree.
    let section = format!(
        "[service]\nstart = \"{start}\"\nready = \"http://127.0.0.1:{port}/health\"\nready_timeout = \"120s\"\n"
    );
    repository.write("loadtest.toml", &section);
    let run = duet(&repository, "load::elsewhere", "main", &["-e", &url]);
    measured_each_its_own(&run);

    // Without that, what was saved is better than nothing; there is one of the same service.
    std::fs::remove_file(repository.path().join("loadtest.toml")).expect("it is there");
    let service = Service::start(&format!("{builds}-head/debug/shop"), port);
    let saved = repository
        .trial(&["--exact", "load::elsewhere", "-e", &url, "--save-baseline", "main"])
        .run()
        .exited(0);
    let compare = ["--exact", "load::elsewhere", "-e", &url, "--baseline", "main", "--duet", "--runs", "4"];
    let run = repository.trial(&compare).after(&saved).run().exited(0);
    drop(service);
    says(&run, &["the target is not started by this test"]);
    assert_eq!(run.document()["comparison"]["mode"], "stored", "{}", run.stdout);
    begins(&run, &["no test can be run on both sides"]);
}

/// A service that somebody started by hand.
struct Service(std::process::Child);

impl Service {
    fn start(program: &str, port: u16) -> Self {
        let child = std::process::Command::new(program).env("PORT", port.to_string()).spawn();
        let service = Self(child.expect("it was built"));
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(std::time::Instant::now() < until, "it does not listen");
            std::thread::yield_now();
        }
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_can_not_be_told_is_looked_at_closer() {
    let _turn = turn();
    let repository = with_change("//! What the commits", "//! What all commits");
    let extend = ["--exact", "load::buy", "--baseline", "main", "--inconclusive", "extend"];
    let run = repository.trial(&[&extend[..], &["--runs", "4"]].concat()).run().exited(2);
    says(&run, &["makes 4, 7 and 10 pairs, which `runs` contradicts", "hint: "]);

    let run = repository.trial(&[&extend[..], &["--compare-duration", "300ms"]].concat()).run().exited(0);
    says(&run, &["4 pairs of runs and a warm-up of each side", "if it has to look closer"]);
    let comparison = &run.document()["comparison"];
    let kept = comparison["order"].as_array().into_iter().flatten().filter(|run| run["discarded"].is_null());
    let (runs, verdict) = (kept.count(), comparison["verdict"].clone());
    assert!(matches!(runs, 8 | 14 | 20), "{runs}\n{}", run.stderr);
    assert!(runs == 20 || verdict != "inconclusive", "{runs}\n{}", run.stdout);
}

#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_during_a_duet_keeps_what_was_measured_and_leaves_nothing_behind() {
    let _turn = turn();
    let repository = with_change("DELAY_MS: u64 = 4", "DELAY_MS: u64 = 8");
    let mut run = repository.trial(&[&BUY[..], &["--progress", "none"]].concat()).start();
    run.has_said("pair 2 of 4, ");
    let family = run.until(std::time::Duration::from_secs(60), |run| {
        let family = run.process().descendants();
        (family.len() >= 2).then_some(family)
    });
    run.process().signal(rustix::process::Signal::INT);
    let run = run.finish().exited(105);
    begins(&run, &["INTERRUPTED"]);
    // The first pair is complete, and a run of the second.
    assert!(std::fs::read_dir(run.store().join("runs")).expect("runs").count() >= 3);
    let order = run.document()["comparison"]["order"].take();
    let interrupted = |record: &&serde_json::Value| record["discarded"] == "interrupted";
    let left_out = order.as_array().into_iter().flatten().filter(interrupted).count();
    assert!(left_out >= 1, "{order}");
    assert!(run.stdout.contains("Duet of 1 pair against main"), "{}", run.stdout);
    for process in family {
        process.ends_within(std::time::Duration::from_secs(10));
    }
}
