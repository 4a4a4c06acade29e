//! The command that repeats a run, rebuilt from the options. Values of `-e` are left out: they may be
//! secrets, and the document is stored.

use std::borrow::Cow;
use std::fmt::Display;

use loadtest_core::units::format_duration;

use crate::cli::Args;

/// The command, fit for a shell.
pub(super) fn command(args: &Args, seed: u64) -> String {
    let mut words: Vec<String> = vec!["cargo".to_owned(), "loadtest".to_owned()];
    let mut add = |option: &str, value: &dyn Display| {
        words.push(option.to_owned());
        words.push(quoted(&value.to_string()).into_owned());
    };
    for package in &args.package {
        add("-p", package);
    }
    for package in &args.exclude {
        add("--exclude", package);
    }
    for features in &args.features {
        add("--features", features);
    }
    if args.profile != "loadtest" {
        add("--profile", &args.profile);
    }
    if let Some(path) = &args.manifest_path {
        add("--manifest-path", &path.display());
    }
    if let Some(vus) = args.vus {
        add("--vus", &vus);
    }
    if let Some(duration) = args.duration {
        add("--duration", &format_duration(duration));
    }
    if let Some(iterations) = args.iterations {
        add("--iterations", &iterations);
    }
    for stage in &args.stage {
        add("--stage", stage);
    }
    for env in &args.env {
        add("-e", &env.key);
    }
    for (name, value) in &args.tag {
        add("--tag", &format!("{name}={value}"));
    }
    for threshold in &args.threshold {
        add("--threshold", threshold);
    }
    add("--seed", &seed);
    let flags = [
        (args.workspace, "--workspace"),
        (args.exact, "--exact"),
        (args.all_features, "--all-features"),
        (args.no_default_features, "--no-default-features"),
        (args.allow_debug, "--allow-debug"),
        (args.fail_fast, "--fail-fast"),
    ];
    words.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag.to_owned()));
    if args.filters.iter().any(|filter| filter.starts_with('-')) {
        words.push("--".to_owned());
    }
    words.extend(args.filters.iter().map(|filter| quoted(filter).into_owned()));
    words.join(" ")
}

/// A word that a POSIX shell takes as it is.
fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn the_command_is_that_of_the_user_without_secrets() {
        let line = [
            "cargo-loadtest",
            "-p",
            "shop",
            "--duration",
            "90s",
            "-e",
            "TOKEN=secret",
            "--threshold",
            "checks: rate>0.9",
            "--exact",
            "it's",
        ];
        let args = Args::try_parse_from(line).expect("valid");
        assert_eq!(
            command(&args, 7),
            "cargo loadtest -p shop --duration 1m30s -e TOKEN --threshold 'checks: rate>0.9' --seed 7 --exact \
             'it'\\''s'"
        );
    }

    #[test]
    fn without_options_only_the_seed_is_added() {
        let args = Args::try_parse_from(["cargo-loadtest"]).expect("valid");
        assert_eq!(command(&args, 1), "cargo loadtest --seed 1");
    }
}
