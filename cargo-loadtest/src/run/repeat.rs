//! The command that repeats a run, rebuilt from the options, with the variables that set some. Values for
//! `vu.env(..)` are left out: they may be secrets, and the document is stored.

use std::borrow::Cow;
use std::fmt::Display;

use loadtest_core::options::OPTIONS;

use crate::cli::{Args, long_option, option_words};
use crate::config::Tiers;

/// The command, fit for a shell.
pub(super) fn command(args: &Args, tiers: &Tiers, seed: u64) -> String {
    let variable = |(name, value): &(String, String)| format!("{name}={}", quoted(value));
    let mut words: Vec<String> = tiers.variables().given.iter().map(variable).collect();
    words.extend(["cargo".to_owned(), "loadtest".to_owned()]);
    for package in &args.target.package {
        add(&mut words, "-p", package);
    }
    for package in &args.target.exclude {
        add(&mut words, "--exclude", package);
    }
    for features in &args.target.features {
        add(&mut words, "--features", features);
    }
    if let Some(since) = &args.target.changed_since {
        add(&mut words, "--changed-since", since);
    }
    if args.target.profile != "loadtest" {
        add(&mut words, "--profile", &args.target.profile);
    }
    if let Some(path) = &args.target.manifest_path {
        add(&mut words, "--manifest-path", &path.display());
    }
    if let Some(profile) = tiers.profile() {
        add(&mut words, "--load-profile", &profile);
    }
    let options = args.load.options();
    for option in OPTIONS {
        let values = (option.show)(&options).unwrap_or_default();
        match option.name {
            "env" => values.iter().for_each(|value| add(&mut words, "-e", &key(value))),
            // One for each reads better than a list.
            "stages" => {
                options.stages.iter().flatten().for_each(|stage| add(&mut words, &long_option(option), stage))
            }
            _ => {
                let given = values.iter().flat_map(|value| option_words(option, value));
                words.extend(given.map(|word| quoted(&word).into_owned()));
            }
        }
    }
    for key in tiers.variables().options.env.keys().filter(|key| !options.env.contains_key(*key)) {
        add(&mut words, "-e", key);
    }
    if args.test_order != "name" {
        add(&mut words, "--test-order", &args.test_order);
    }
    add(&mut words, "--seed", &seed);
    if let Some(workers) = args.workers {
        add(&mut words, "--workers", &workers);
    }
    let flags = [
        (args.target.workspace, "--workspace"),
        (args.target.exact, "--exact"),
        (args.target.all_features, "--all-features"),
        (args.target.no_default_features, "--no-default-features"),
        (args.target.allow_debug, "--allow-debug"),
        (args.fail_fast, "--fail-fast"),
        (args.pin, "--pin"),
    ];
    words.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag.to_owned()));
    let commands = crate::cli::command_names();
    if args.target.filters.iter().any(|filter| filter.starts_with('-') || commands.contains(filter)) {
        words.push("--".to_owned());
    }
    words.extend(args.target.filters.iter().map(|filter| quoted(filter).into_owned()));
    words.join(" ")
}

/// The command with a duet against a commit: what the baseline's name means may change.
pub(super) fn comparison(command: &str, commit: &str) -> String {
    with(command, &format!("--baseline {} --duet", commit.get(..12).unwrap_or(commit)))
}

/// The command with a duet against what a name means now, to be typed by a person: without the random numbers of `seed`.
pub(super) fn duet(command: &str, name: &str, seed: u64) -> String {
    with(&command.replacen(&format!(" --seed {seed}"), "", 1), &format!("--baseline {} --duet", quoted(name)))
}

/// The command with a comparison with what is stored.
pub(super) fn stored(command: &str, name: &str) -> String {
    with(command, &format!("--baseline {} --stored", quoted(name)))
}

/// Options go before everything else, because filters may follow.
fn with(command: &str, options: &str) -> String {
    command.replacen("cargo loadtest", &format!("cargo loadtest {options}"), 1)
}

fn add(words: &mut Vec<String>, option: &str, value: &dyn Display) {
    words.push(option.to_owned());
    words.push(quoted(&value.to_string()).into_owned());
}

/// The key of `KEY=VALUE`.
fn key(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
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
    use crate::config::{Config, Variables};

    fn repeated(line: &[&str], environment: &[(&str, &str)], file: &str) -> String {
        let args = Args::try_parse_from(std::iter::once(&"cargo-loadtest").chain(line)).expect("valid");
        let variables =
            Variables::read(environment.iter().map(|(n, v)| (n.into(), v.into()))).expect("valid");
        let config = Config::parse(file, std::path::Path::new("/w")).expect("valid");
        command(&args, &Tiers::new(config, variables, &args.load).expect("valid"), 7)
    }

    #[test]
    fn the_command_is_that_of_the_user_without_secrets() {
        let line =
            ["-p", "shop", "--duration", "90s", "-e", "TOKEN=secret", "--threshold", "checks: rate>0.9"];
        let line = [&line[..], &["--exact", "it's"]].concat();
        assert_eq!(
            repeated(&line, &[], ""),
            "cargo loadtest -p shop --duration 1m30s --threshold 'checks: rate>0.9' -e TOKEN --seed 7 --exact \
             'it'\\''s'"
        );
    }

    #[test]
    fn every_option_comes_back_as_it_was() {
        let line = "--executor ramping-arrival-rate --stage 10s:100 --stage 1m:5 --pre-allocated-vus 5 \
                    --time-unit 1m --rps 9 --reset true --preflight /health --insecure-skip-tls-verify \
                    --no-connection-reuse=false --http-debug=full --allow a.example:80,b.example \
                    --tls-auth a.pem:a.key --hosts a.example=::1 --test-order file \
                    --workers 3";
        let line: Vec<&str> = line.split_whitespace().collect();
        let text = repeated(&line, &[], "");
        let again = Args::try_parse_from(text.split_whitespace().skip(1)).expect("understood");
        let first = Args::try_parse_from(std::iter::once(&"x").chain(&line)).expect("valid");
        assert_eq!(
            (again.load.options(), &again.test_order, again.workers),
            (first.load.options(), &first.test_order, first.workers),
            "{text}"
        );
    }

    #[test]
    fn the_environment_is_repeated_without_its_secrets() {
        let variables = [("LOADTEST_VUS", "5"), ("LOADTEST_ENV", "TOKEN=secret"), ("LOADTEST_PROFILE", "ci")];
        assert_eq!(
            repeated(&[], &variables, "[profile.ci]"),
            "LOADTEST_VUS=5 cargo loadtest --load-profile ci -e TOKEN --seed 7"
        );
    }

    #[test]
    fn a_duet_that_is_proposed_has_the_name_that_the_user_knows() {
        let command = repeated(&["--duration", "9s", "--pin", "buy"], &[], "");
        assert_eq!(command, "cargo loadtest --duration 9s --seed 7 --pin buy");
        assert_eq!(
            duet(&command, "main", 7),
            "cargo loadtest --baseline main --duet --duration 9s --pin buy"
        );
    }

    #[test]
    fn without_options_only_the_seed_is_added() {
        assert_eq!(repeated(&[], &[], ""), "cargo loadtest --seed 7");
    }
}
