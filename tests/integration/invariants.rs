//! The invariants of the code's map that can be seen in what a file imports or calls by a full path.

use std::collections::BTreeSet;
use std::path::Path;

use loadtest_tests::{Named, named, workspace};

/// What touches the operating system. Environment variables and the standard streams are not among it.
const OS: &[&str] = &["std::fs", "std::net", "std::os", "std::process", "rustix", "signal_hook", "tempfile"];
/// Methods of paths that look at the disk.
const DISK: &[&str] = &[
    ".canonicalize()",
    ".exists()",
    ".is_dir()",
    ".is_file()",
    ".metadata()",
    ".read_dir()",
    ".read_link()",
    ".symlink_metadata()",
    ".try_exists()",
];
/// Macros that write somewhere.
const PRINT: &[&str] = &["dbg!", "eprint!", "eprintln!", "print!", "println!", "write!", "writeln!"];

#[test]
fn core_does_no_io() {
    let invariant =
        "core does no I/O: it is the vocabulary that the macro, the runtime and the subcommand share";
    let doing = ["std::env", "std::fs", "std::net", "std::os", "std::process", "std::thread"];
    let clocks = ["std::time::Instant", "std::time::SystemTime", "std::time::UNIX_EPOCH"];
    // Addresses are values: how they are written is a part of the options.
    let values = ["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr", "std::net::SocketAddr"];
    let names = names("loadtest-runtime/core");
    refuse(invariant, &names, |name| {
        (within_any(name, &doing) && !within_any(name, &values))
            || within_any(name, &clocks)
            || DISK.contains(&name.path.as_str())
            || (PRINT[..5].contains(&name.path.as_str()))
    });
    // The frames are written to whatever their caller has opened.
    let frames =
        ["std::io::Read", "std::io::Write", "std::io::Error", "std::io::ErrorKind", "std::io::Result"];
    refuse(invariant, &names, |name| {
        let allowed =
            name.file == Path::new("wire.rs") && (name.path == "std::io" || within_any(name, &frames));
        name.within("std::io") && !allowed
    });
}

#[test]
fn metrics_know_neither_http_nor_executors() {
    let names = in_module(names("loadtest-runtime"), "metrics");
    refuse("`metrics` knows neither HTTP nor executors: it counts what it is given", &names, |name| {
        within_any(name, &["crate::http", "crate::executor", "http", "hyper"])
    });
}

#[test]
fn statistics_import_nothing_of_ours() {
    let names = in_module(names("cargo-loadtest"), "stats");
    refuse("`stats` imports nothing of ours: it is pure functions on numbers", &names, |name| {
        let own = name.within("crate::stats");
        (name.within("crate") && !own)
            || within_any(name, &["loadtest_core", "anyhow", "serde", "serde_json", "std::io", "std::env"])
            || PRINT[..5].contains(&name.path.as_str())
    });
}

#[test]
fn reports_compute_nothing() {
    let names = in_module(names("cargo-loadtest"), "report");
    refuse("`report` never computes: it shows the numbers of `data` and `compare`", &names, |name| {
        within_any(name, &["crate::stats", "statrs", "hdrhistogram"])
    });
}

#[test]
fn comparisons_show_nothing() {
    let names = in_module(names("cargo-loadtest"), "compare");
    refuse("`compare` never formats: numbers and reasons go to the reports as data", &names, |name| {
        PRINT.contains(&name.path.as_str())
            || within_any(
                name,
                &["crate::report", "crate::live", "crate::cli", "std::io", "indicatif", "tera"],
            )
    });
}

#[test]
fn few_modules_touch_the_operating_system() {
    let invariant = "only `discover`, `launch`, `service`, `machine`, `git`, `history`, `store`, `ci` and `output` touch \
                     the operating system, and the files that are named here with their reason";
    let free = ["discover", "launch", "service", "machine", "git", "history", "store", "ci", "output"];
    // Each with the reason for its exception.
    let excepted = [
        ("config/file.rs", "reads loadtest.toml"),
        ("control/client.rs", "connects to a run on this machine"),
        ("control/http.rs", "reads and writes its connections"),
        ("control/server.rs", "listens on this machine"),
        ("fingerprint.rs", "asks the system and the compiler what they are"),
        ("new/mod.rs", "writes the first test"),
        ("new/package.rs", "asks cargo, and has it add the dependency"),
        ("run/execute.rs", "makes the directory of the logs"),
        ("run/conclude.rs", "writes the report"),
        ("run/duet/base.rs", "finds the workspace in the base's checkout"),
        ("run/duet/player.rs", "makes the directory of a warm-up"),
        ("run/duet/provenance.rs", "asks whether two paths are one file"),
        ("run/mod.rs", "takes the process id into a random seed"),
        ("run/order.rs", "reads the order that a file gives"),
        ("run/reference.rs", "asks whether a baseline is the path of a run"),
        ("run/session.rs", "copies the run that is shown"),
        ("stored.rs", "writes the report of a comparison"),
        ("stored/place.rs", "asks cargo where the workspace is"),
    ];
    let touching = named_outside(&names("cargo-loadtest"), &free, |name| {
        // Types that only carry a number, or two.
        let plain = within_any(name, &["std::process::ExitCode", "std::net::SocketAddr"]);
        (within_any(name, OS) && !plain) || DISK.contains(&name.path.as_str())
    });
    let files: BTreeSet<_> = touching.iter().map(|name| name.file.to_str().unwrap_or_default()).collect();
    refuse(invariant, &touching, |name| !excepted.iter().any(|(file, _)| name.file == Path::new(file)));
    for (file, reason) in excepted {
        assert!(files.contains(file), "{file} ({reason}) needs no exception any more: delete it here");
    }
}

/// The names in a crate's sources.
fn names(crate_directory: &str) -> Vec<Named> {
    let names = named(&workspace().join(crate_directory).join("src"));
    assert!(names.len() > 100, "nothing was read: {names:?}");
    names
}

/// Those in a top-level module.
fn in_module(mut names: Vec<Named>, module: &str) -> Vec<Named> {
    names.retain(|name| is_in(name, module));
    assert!(!names.is_empty(), "there is no module `{module}`");
    names
}

fn named_outside(names: &[Named], modules: &[&str], wanted: impl Fn(&Named) -> bool) -> Vec<Named> {
    let outside = names.iter().filter(|name| !modules.iter().any(|module| is_in(name, module)));
    outside.filter(|name| wanted(name)).cloned().collect()
}

fn is_in(name: &Named, module: &str) -> bool {
    name.file.starts_with(module) || name.file == Path::new(module).with_extension("rs")
}

fn within_any(name: &Named, paths: &[&str]) -> bool {
    paths.iter().any(|path| name.within(path))
}

fn refuse(invariant: &str, names: &[Named], refused: impl Fn(&Named) -> bool) {
    let found: BTreeSet<_> = names.iter().filter(|name| refused(name)).collect();
    let lines: String =
        found.iter().map(|name| format!("\n  {}: {}", name.file.display(), name.path)).collect();
    assert!(found.is_empty(), "Invariant: {invariant}.\nIt is broken by{lines}");
}
