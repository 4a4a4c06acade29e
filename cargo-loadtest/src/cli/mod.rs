//! The command line: options with their help, and what they mean to the rest of the program.
//!
//! The main type is [`Args`]. Values are read by the parser that the attribute uses too, so a mistake has
//! the same message in both places. Nothing here looks at the workspace.

mod help;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use loadtest_core::options::{Options, Stage};
use loadtest_core::threshold::Threshold;

use crate::failure::Failure;
use crate::verdict::{ExitCode, Policy};

pub use values::EnvValue;
pub(crate) use values::baseline_name;

/// What a run of the program is to do.
#[derive(Debug)]
pub enum Command {
    /// Run load tests, or list them.
    Run(Box<Args>),
    /// Print a shell completion script.
    Completions(clap_complete::Shell),
}

/// Find, build and run the load tests of a cargo workspace, and judge what they measured.
///
/// A load test is an async function with the attribute `#[load_test]`, beside the unit tests or in
/// `tests/*.rs`. This command builds it optimised, runs it with virtual users (VUs), shows a summary, writes
/// a report and exits with a code that a script can trust.
#[derive(Debug, Parser)]
#[command(
    name = "cargo-loadtest",
    bin_name = "cargo loadtest",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = help::SHORT,
    after_long_help = help::long(),
)]
pub struct Args {
    #[command(subcommand)]
    subcommand: Option<Sub>,

    /// Run the load tests whose id contains one of these; all of them by default.
    ///
    /// The id of a test is package/target/path::name, for example `shop/lib/tests::buy`.
    #[arg(value_name = "FILTER", help_heading = "Selecting tests")]
    pub filters: Vec<String>,

    /// Packages to look into; by default those that `cargo test` would take.
    ///
    /// Names, `name@version`, or patterns with `*` and `?`. Can be given several times.
    #[arg(short, long, value_name = "PKG", help_heading = "Selecting tests", conflicts_with = "workspace")]
    pub package: Vec<String>,

    /// Look into every package of the workspace.
    #[arg(long, help_heading = "Selecting tests")]
    pub workspace: bool,

    /// Leave a package out of `--workspace`.
    #[arg(long, value_name = "PKG", help_heading = "Selecting tests", requires = "workspace")]
    pub exclude: Vec<String>,

    /// FILTER is the whole id of a test, or its whole path within the target.
    #[arg(long, help_heading = "Selecting tests", requires = "filters")]
    pub exact: bool,

    /// List the load tests that would run, and run none.
    #[arg(long, help_heading = "Selecting tests")]
    pub list: bool,

    /// Features to build with, separated by commas or spaces.
    #[arg(short = 'F', long, value_name = "FEATURES", help_heading = "Building")]
    pub features: Vec<String>,

    /// Build with all features.
    #[arg(long, help_heading = "Building")]
    pub all_features: bool,

    /// Build without the default features.
    #[arg(long, help_heading = "Building")]
    pub no_default_features: bool,

    /// Cargo profile of test binaries and services.
    ///
    /// The profile `loadtest` inherits `release`; a section `[profile.loadtest]` in the workspace's
    /// Cargo.toml changes it.
    #[arg(long, value_name = "NAME", default_value = "loadtest", help_heading = "Building")]
    pub profile: String,

    /// Run also what was built without optimisation, whose numbers mean little.
    #[arg(long, help_heading = "Building")]
    pub allow_debug: bool,

    /// Directory for what is built; by default that of cargo.
    #[arg(long, value_name = "DIR", help_heading = "Building")]
    pub target_dir: Option<PathBuf>,

    /// Path of the Cargo.toml; by default the nearest one upwards.
    #[arg(long, value_name = "PATH", help_heading = "Building")]
    pub manifest_path: Option<PathBuf>,

    /// Build without the network.
    #[arg(long, help_heading = "Building")]
    pub offline: bool,

    /// Refuse to change Cargo.lock.
    #[arg(long, help_heading = "Building")]
    pub locked: bool,

    /// Both `--locked` and `--offline`.
    #[arg(long, help_heading = "Building")]
    pub frozen: bool,

    /// Number of virtual users.
    ///
    /// Alone it changes only the number; for a test of stages use `--stage`. Together with `--duration` or
    /// `--iterations` it replaces the whole load that the attribute describes.
    #[arg(short = 'u', long, value_name = "N", value_parser = values::vus, help_heading = "Shaping the load")]
    pub vus: Option<u32>,

    /// Loop for this long: 30s, 1m30s, 500ms.
    #[arg(
        short,
        long,
        value_name = "D",
        value_parser = values::duration,
        conflicts_with_all = ["iterations", "stage"],
        help_heading = "Shaping the load"
    )]
    pub duration: Option<Duration>,

    /// Number of iterations that all virtual users share.
    #[arg(
        short,
        long,
        value_name = "N",
        value_parser = values::positive_u64,
        conflicts_with = "stage",
        help_heading = "Shaping the load"
    )]
    pub iterations: Option<u64>,

    /// Ramp the number of virtual users to N over D, once for each stage: `--stage 10s:50 --stage 1m:50`.
    #[arg(
        short,
        long,
        value_name = "D:N",
        value_parser = values::stage,
        value_delimiter = ',',
        conflicts_with = "vus",
        help_heading = "Shaping the load"
    )]
    pub stage: Vec<Stage>,

    /// A value for `vu.env("KEY")`. `-e KEY` alone takes it from the environment.
    ///
    /// Values are never stored; how to repeat a run is told with the keys alone.
    #[arg(short, long, value_name = "KEY=VALUE", help_heading = "Shaping the load")]
    pub env: Vec<EnvValue>,

    /// A tag for every sample.
    #[arg(long, value_name = "K=V", value_parser = values::tag, help_heading = "Shaping the load")]
    pub tag: Vec<(String, String)>,

    /// Repeat the random numbers of an earlier run, which are chosen anew by default.
    #[arg(long, value_name = "N", help_heading = "Shaping the load")]
    pub seed: Option<u64>,

    /// A limit besides those of the attribute: `http_req_duration: p(95)<500ms`.
    ///
    /// `metric{tag:value}: aggregation op number[unit]`, then perhaps `abort` or `abort after 10s`.
    #[arg(long, value_name = "EXPR", value_parser = values::threshold, help_heading = "Judging")]
    pub threshold: Vec<Threshold>,

    /// Stop after the first test that fails.
    #[arg(long, help_heading = "Judging")]
    pub fail_fast: bool,

    /// What a comparison that can't tell means for the exit code.
    #[arg(
        long,
        value_name = "POLICY",
        value_enum,
        default_value_t = InconclusivePolicy::Pass,
        requires = "baseline",
        help_heading = "Judging"
    )]
    pub inconclusive: InconclusivePolicy,

    /// Keep this run under a name, to compare later ones with it.
    #[arg(long, value_name = "NAME", value_parser = values::baseline_name, help_heading = "Baselines")]
    pub save_baseline: Option<String>,

    /// Compare with the run that was saved under this name.
    #[arg(long, value_name = "NAME", help_heading = "Baselines")]
    pub baseline: Option<String>,

    /// What a baseline that does not exist means for the exit code.
    #[arg(
        long,
        value_name = "POLICY",
        value_enum,
        default_value_t = MissingPolicy::Warn,
        requires = "baseline",
        help_heading = "Baselines"
    )]
    pub baseline_missing: MissingPolicy,

    /// File for the HTML report; by default `loadtest/report.html` in the target directory.
    ///
    /// The report is also kept with the run in the store.
    #[arg(long, value_name = "PATH", help_heading = "Reporting")]
    pub report: Option<PathBuf>,

    /// Write no HTML report.
    #[arg(long, conflicts_with = "report", help_heading = "Reporting")]
    pub no_report: bool,

    /// What standard output gets: a summary, or the results document.
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Reporting")]
    pub format: Format,

    /// Columns of trends in the summary: avg, min, med, max, count, p(N).
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        value_parser = values::trend_stat,
        default_value = "avg,min,med,max,p(90),p(95),p(99)",
        help_heading = "Reporting"
    )]
    pub summary_trend_stats: Vec<String>,

    /// How a running test is shown: bars on a terminal, lines elsewhere.
    #[arg(long, value_enum, default_value_t = Progress::Auto, help_heading = "Reporting")]
    pub progress: Progress,

    /// Show results and errors only: no progress, no output of cargo or of the tests.
    #[arg(short, long, help_heading = "Reporting")]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Sub {
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Form of the results on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A summary to read.
    Text,
    /// The results document.
    Json,
}

/// How a running test is shown on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// Bars on a terminal, lines elsewhere.
    Auto,
    /// Bars that are drawn anew.
    Bars,
    /// A line now and then.
    Lines,
    /// Nothing.
    None,
}

/// What to do about a comparison that can't tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InconclusivePolicy {
    /// Exit 0 and say NOT VERIFIED.
    Pass,
    /// Exit 97.
    Fail,
}

/// What to do about a baseline that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MissingPolicy {
    /// Say so.
    Warn,
    /// Exit 95.
    Fail,
}

impl From<InconclusivePolicy> for Policy {
    fn from(policy: InconclusivePolicy) -> Self {
        match policy {
            InconclusivePolicy::Pass => Policy::Tolerate,
            InconclusivePolicy::Fail => Policy::Fail,
        }
    }
}

impl From<MissingPolicy> for Policy {
    fn from(policy: MissingPolicy) -> Self {
        match policy {
            MissingPolicy::Warn => Policy::Tolerate,
            MissingPolicy::Fail => Policy::Fail,
        }
    }
}

impl Args {
    /// What the command line says over the attributes.
    pub fn overrides(&self) -> Options {
        Options {
            vus: self.vus,
            duration: self.duration,
            iterations: self.iterations,
            stages: (!self.stage.is_empty()).then(|| self.stage.clone()),
            thresholds: self.threshold.clone(),
            tags: self.tag.iter().cloned().collect(),
            env: self.env.iter().map(|e| (e.key.clone(), e.value.clone())).collect::<BTreeMap<_, _>>(),
            ..Options::default()
        }
    }
}

/// What ends the program while the command line is read: help, the version, or a mistake in it.
#[derive(Debug)]
pub struct Stop(clap::Error);

impl Stop {
    /// Prints it and returns the exit code.
    pub fn show(&self) -> ExitCode {
        // A closed pipe is no reason to fail: nobody reads any more.
        let _ = self.0.print();
        if self.0.use_stderr() { ExitCode::Usage } else { ExitCode::Passed }
    }
}

/// Reads the command line. Cargo puts `loadtest` in front of what the user typed; without it, as in
/// `cargo-loadtest --list`, the meaning is the same.
///
/// # Errors
/// If there is nothing to do because help was asked for, or the command line can't be understood.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Stop> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|first| first == "loadtest") {
        arguments.remove(1);
    }
    let args = Args::try_parse_from(arguments).map_err(|error| Stop(not_yet(error)))?;
    Ok(match args.subcommand {
        Some(Sub::Completions { shell }) => Command::Completions(shell),
        None => Command::Run(Box::new(args)),
    })
}

/// Options that users of such tools look for and that do not work yet: what to say instead of guessing
/// that they are slips of the finger.
const NOT_YET: &[(&str, &str)] = &[
    ("--ci", "the exit code says what a job needs to know"),
    ("--control", "Ctrl-C winds a test down"),
    ("--dashboard", "`--progress` shows the run, the report the charts"),
    ("--duet", "`--save-baseline` and `--baseline` compare stored runs"),
    ("--max-time", "`--duration` shortens a test"),
    ("--out", "`--format json` prints the results, the store holds every second"),
    ("--pin", "`taskset` can give the load generator cores of its own"),
    ("--rps", "the number of virtual users and `vu.sleep` set the pace"),
    ("--runs", "repeat the command, each run is stored"),
    ("--shard", "one process makes the whole load"),
    ("--stored", "stored runs are what `--baseline` compares"),
    ("--test-order", "tests run in the order of their names"),
    ("--workers", "there is one for each core"),
];

fn not_yet(error: clap::Error) -> clap::Error {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) if error.kind() == ErrorKind::UnknownArgument => argument,
        _ => return error,
    };
    match NOT_YET.iter().find(|(name, _)| argument == name) {
        Some((name, instead)) => {
            let text = format!("`{name}` does not work yet\nhint: {instead}\n");
            clap::Error::raw(ErrorKind::UnknownArgument, text).with_cmd(&Args::command())
        }
        None => error,
    }
}

/// Prints the completion script of a shell.
///
/// # Errors
/// None today; the type is that of every command.
pub fn completions(shell: clap_complete::Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "cargo-loadtest", &mut script);
    crate::terminal::print_out(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Passed)
}

#[cfg(test)]
mod tests;
