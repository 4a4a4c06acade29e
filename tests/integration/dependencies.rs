//! What the crates of this workspace may depend on.
//!
//! `loadtest-runtime` is a dev-dependency of everybody who writes a load test: each crate that it brings is
//! downloaded and compiled by all of them, and may clash with what they have. So its tree is a budget, kept
//! by name.

use std::collections::BTreeSet;
use std::process::Command;

use loadtest_tests::{run, workspace};

/// Every crate that a dev-dependency on `loadtest-runtime` with its default features compiles on Linux,
/// procedural macros and build scripts' dependencies included.
///
/// If the test below fails because a crate of this list is gone, delete the line and be glad. If there is a
/// new one, first try to do without: look with `cargo tree -p loadtest-runtime -i NAME` whose it is, whether a
/// feature of that crate can be turned off, whether the need belongs into `cargo-loadtest`, which is no
/// dev-dependency of anybody, or behind a feature that is off by default. Only then add the line, in its
/// order, and update the number that README.md gives.
pub(crate) const BUDGET: &[&str] = &[
    "adler2",
    "alloc-no-stdlib",
    "alloc-stdlib",
    "bitflags",
    "brotli-decompressor",
    "bytes",
    "cfg-if",
    "chacha20",
    "cookie",
    "cookie_store",
    "cpufeatures",
    "crc32fast",
    "csv",
    "csv-core",
    "deranged",
    "displaydoc",
    "document-features",
    "flate2",
    "form_urlencoded",
    "http",
    "httparse",
    "icu_collections",
    "icu_locale_core",
    "icu_normalizer",
    "icu_normalizer_data",
    "icu_properties",
    "icu_properties_data",
    "icu_provider",
    "idna",
    "idna_adapter",
    "inventory",
    "itoa",
    "libc",
    "linux-raw-sys",
    "litemap",
    "litrs",
    "loadtest-core",
    "loadtest-macros",
    "loadtest-runtime",
    "log",
    "memchr",
    "miniz_oxide",
    "mio",
    "num-conv",
    "once_cell",
    "openssl-probe",
    "percent-encoding",
    "pin-project-lite",
    "potential_utf",
    "powerfmt",
    "proc-macro2",
    "quote",
    "rand",
    "rand_core",
    // Kills the process group of a test whose subcommand is gone; its own are `bitflags`, `linux-raw-sys`.
    "rustix",
    "rustls",
    "rustls-native-certs",
    "rustls-pki-types",
    "rustls-webpki",
    "ruzstd",
    "ryu",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "serde_urlencoded",
    "simd-adler32",
    "smallvec",
    "socket2",
    "stable_deref_trait",
    "subtle",
    "syn",
    "synstructure",
    "time",
    "time-core",
    "time-macros",
    "tinystr",
    "tokio",
    "tokio-macros",
    "tokio-rustls",
    "twox-hash",
    "unicode-ident",
    "untrusted",
    "url",
    "utf8_iter",
    "utf_types",
    "version_check",
    "writeable",
    "yoke",
    "yoke-derive",
    "zerofrom",
    "zerofrom-derive",
    "zeroize",
    "zerotrie",
    "zerovec",
    "zerovec-derive",
    "zmij",
];

/// A crate of each feature that is off by default, which nothing else brings: the others have to do without it.
const OPT_IN: &[(&str, &str)] = &[
    ("digest", "md-5"),
    ("http2", "h2"),
    ("reqwest", "reqwest"),
    ("tower", "tower-layer"),
    ("websocket", "tokio-tungstenite"),
];

/// Crates that belong into the subcommand, whatever features are on.
const SUBCOMMAND_ONLY: &[&str] = &[
    "anyhow",
    "cargo_metadata",
    "clap",
    "clap_builder",
    "indicatif",
    "jiff",
    "plotters",
    "statrs",
    "tera",
    "toml",
];

/// The features that are off by default, without those that are a crypto provider.
const ALL_BUT_CRYPTO: &str = "digest,http2,reqwest,tower,websocket";

/// Crypto providers of rustls, and TLS that is not rustls.
const CRYPTO: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "aws-lc-fips-sys", "native-tls", "openssl", "openssl-sys", "ring"];

#[test]
fn the_runtime_keeps_to_its_budget() {
    let tree = tree("loadtest-runtime", &[]);
    let budget: BTreeSet<String> = BUDGET.iter().map(|&name| name.to_owned()).collect();
    let new: Vec<_> = tree.difference(&budget).collect();
    let gone: Vec<_> = budget.difference(&tree).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "loadtest-runtime is a dev-dependency of its users, so every crate that it brings is their cost.\n\
         new: {new:?}\ngone: {gone:?}\n\
         The comment on `BUDGET` in {} says what to do before that list is changed.",
        file!()
    );
    assert!(BUDGET.is_sorted(), "the list is sorted, so that a change of it is easy to review");
}

#[test]
fn a_protocol_comes_only_to_those_who_ask_for_it() {
    for (feature, own) in OPT_IN {
        assert!(!BUDGET.contains(own), "{feature} is off by default");
        let tree = tree("loadtest-runtime", &["--features", feature]);
        assert!(tree.contains(*own), "{feature}: {tree:?}");
        for (other, unwanted) in OPT_IN.iter().filter(|(other, _)| other != feature) {
            // reqwest is made of tower's layers itself.
            let shared = (*feature, *other) == ("reqwest", "tower");
            assert!(shared || !tree.contains(*unwanted), "{feature} brings {unwanted}, which is for {other}");
        }
    }
}

#[test]
fn what_judges_and_tells_stays_out_of_the_runtime() {
    for features in [&[][..], &["--features", ALL_BUT_CRYPTO]] {
        let tree = tree("loadtest-runtime", features);
        for name in SUBCOMMAND_ONLY {
            assert!(!tree.contains(*name), "{name} is for cargo-loadtest, not for every user ({features:?})");
        }
    }
}

#[test]
fn no_crypto_provider_comes_unasked() {
    for features in
        [&[][..], &["--features", ALL_BUT_CRYPTO], &["--no-default-features", "--features", "tls"]]
    {
        let tree = tree("loadtest-runtime", features);
        for name in CRYPTO {
            assert!(
                !tree.contains(*name),
                "{features:?} enables {name}: a second crypto provider makes services of users panic"
            );
        }
    }
}

#[test]
fn a_crypto_provider_that_is_asked_for_comes_alone() {
    for (feature, wanted, unwanted) in [("ring", "ring", "aws-lc-rs"), ("aws-lc-rs", "aws-lc-rs", "ring")] {
        let tree = tree("loadtest-runtime", &["--features", feature]);
        assert!(tree.contains(wanted) && !tree.contains(unwanted), "{feature}: {tree:?}");
    }
}

#[test]
fn the_subcommand_measures_nothing() {
    let tree = tree("cargo-loadtest", &[]);
    assert!(tree.contains("loadtest-core"), "{tree:?}");
    for name in ["loadtest-runtime", "loadtest-macros"] {
        assert!(
            !tree.contains(name),
            "cargo-loadtest depends on core, not on what runs inside of tests: {name}"
        );
    }
}

#[test]
fn core_depends_on_no_other_crate_of_ours() {
    let tree = tree("loadtest-core", &[]);
    for name in ["loadtest-runtime", "loadtest-macros", "cargo-loadtest", "tokio", "hyper", "http"] {
        assert!(!tree.contains(name), "core is the vocabulary that the others share; it can't need {name}");
    }
}

/// The names of the crates that are compiled for a package, itself included, on Linux.
pub(crate) fn tree(package: &str, features: &[&str]) -> BTreeSet<String> {
    let tree = |network: &[&str]| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["tree", "--locked", "--package", package, "--edges", "normal,build", "--prefix", "none"]);
        // One system, so that the list is the same wherever it is looked at.
        cargo.args(["--target", "x86_64-unknown-linux-gnu", "--format", "{p}"]);
        run(cargo.args(features).args(network).current_dir(workspace()))
    };
    // The network is needed only for what nothing in this workspace has been built with yet.
    let mut told = tree(&["--offline"]);
    if !told.success {
        told = tree(&[]).succeeded();
    }
    told.stdout.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}
