//! The command line: options with their help, and what they mean to the rest of the program.
//!
//! The main type is [`Args`]. Values are read by the parser that the attribute uses too, so a mistake has
//! the same message in both places. Nothing here looks at the workspace.

mod compare;
mod control;
mod help;
mod load;
mod new;
mod plan;
mod target;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::failure::Failure;
use crate::verdict::{ExitCode, Policy};

pub use compare::{
    BaselineCommand, CompareArgs, HistoryArgs, HistoryCommand, StoreArgs, StoreCommand, TrendArgs,
};
pub use control::{ControlArgs, ScaleArgs};
pub use load::LoadArgs;
pub(crate) use load::{long_option, words as option_words};
pub use new::NewArgs;
pub use plan::{PlanArgs, ShowConfigArgs};
pub use target::TargetArgs;
pub(crate) use values::baseline_name;

/// What a run of the program is to do.
#[derive(Debug)]
pub enum Command {
    /// Run load tests, or list them.
    Run(Box<Args>),
    /// Show the load of a test, or of options, before it happens.
    Plan(Box<PlanArgs>),
    /// Show each option of a test and where it comes from.
    ShowConfig(Box<ShowConfigArgs>),
    /// Write a first test.
    New(NewArgs),
    /// Talk to a test that runs.
    Control(ControlArgs, Wish),
    /// Look after saved baselines.
    Baseline(BaselineCommand),
    /// Compare stored runs.
    Compare(CompareArgs),
    /// Show how a test developed.
    Trend(TrendArgs),
    /// Share the history.
    History(HistoryCommand),
    /// Look after the store.
    Store(StoreCommand),
    /// Print a shell completion script.
    Completions(clap_complete::Shell),
}

/// What a running test is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To say what it is doing.
    Status,
    /// To hold the load.
    Pause,
    /// To go on.
    Resume,
    /// To change the number of virtual users, of one scenario or of all that can be.
    Scale(Option<String>, u32),
    /// To end.
    Stop,
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

    /// Which tests, built how.
    #[command(flatten)]
    pub target: TargetArgs,

    /// List the load tests that would run, and run none.
    #[arg(long, help_heading = "Selecting tests")]
    pub list: bool,

    /// What shapes the load.
    #[command(flatten)]
    pub load: LoadArgs,

    /// Repeat the random numbers of an earlier run, which are chosen anew by default.
    #[arg(long, value_name = "N", help_heading = "Shaping the load")]
    pub seed: Option<u64>,

    /// Worker threads of the load generator, 1 to 1024; by default one for each core.
    ///
    /// Fewer leave cores to a service on the same machine; more than there are cores take them from each other. The
    /// part of their CPU time that they use is told of these cores, as many as there are workers.
    #[arg(long, value_name = "N", value_parser = values::workers, help_heading = "Shaping the load")]
    pub workers: Option<u32>,

    /// In what order tests run: by name, by source file and line, or as a file of test ids says, one a line.
    #[arg(long, value_name = "name|file|PATH", default_value = "name", help_heading = "Selecting tests")]
    pub test_order: String,

    /// Stop after the first test that fails.
    #[arg(long, help_heading = "Judging")]
    pub fail_fast: bool,

    /// What to do about a comparison that can't tell.
    #[arg(
        long,
        value_name = "POLICY",
        value_enum,
        default_value_t = InconclusivePolicy::Pass,
        requires = "baseline",
        help_heading = "Comparing"
    )]
    pub inconclusive: InconclusivePolicy,

    /// Keep this run under a name, to compare later ones with it.
    ///
    /// Refused for a tree with local changes, and in a pull request for the name of a branch.
    #[arg(long, value_name = "NAME", value_parser = values::baseline_name, help_heading = "Comparing")]
    pub save_baseline: Option<String>,

    /// Save the baseline all the same.
    #[arg(long, requires = "save_baseline", help_heading = "Comparing")]
    pub force: bool,

    /// Compare with a saved baseline, a git revision (branch, tag, HEAD~3, hash), or the path of a stored run.
    ///
    /// A branch stands for its merge base with HEAD. A revision is built and run beside this tree, in turn (a duet). A
    /// saved baseline wins over a revision of the same name, but in CI a duet wins, because a restored cache must not
    /// quietly weaken the check.
    #[arg(long, value_name = "REV", help_heading = "Comparing")]
    pub baseline: Option<String>,

    /// Build the baseline's revision and run both sides in turn.
    #[arg(long, requires = "baseline", conflicts_with = "stored", help_heading = "Comparing")]
    pub duet: bool,

    /// Compare with what is stored, and build nothing but this tree.
    #[arg(long, requires = "baseline", help_heading = "Comparing")]
    pub stored: bool,

    /// How long the runs of a duet may take in all, without building: fewer pairs are made if need be, at least 4.
    #[arg(long, value_name = "D", value_parser = values::duration, requires = "baseline", help_heading = "Comparing")]
    pub max_time: Option<std::time::Duration>,

    /// Give load generator and service cores of their own (Linux).
    #[arg(long, help_heading = "Comparing")]
    pub pin: bool,

    /// What to do if no baseline was saved under that name.
    #[arg(
        long,
        value_name = "POLICY",
        value_enum,
        default_value_t = MissingPolicy::Build,
        requires = "baseline",
        help_heading = "Comparing"
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

    /// What a CI service is told: `auto` is GitHub's job summary, annotations, outputs and comment where
    /// GITHUB_ACTIONS is set.
    #[arg(long, value_name = "SERVICE", value_enum, default_value_t = CiWish::Auto, help_heading = "Reporting")]
    pub ci: CiWish,

    /// File for the results as JUnit XML: a case for each test and metric that decides.
    #[arg(long, value_name = "PATH", help_heading = "Reporting")]
    pub junit: Option<PathBuf>,

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

    /// Lines per second that are shown of what virtual users print or log: 10 by default, all with `--http-debug`;
    /// 0 shows all.
    ///
    /// What is held back is counted. It does not limit setup and teardown.
    #[arg(long, value_name = "N", help_heading = "Reporting")]
    pub log_limit: Option<u32>,

    /// Let `cargo loadtest status|pause|resume|scale|stop` reach this run at ADDR, an address of this machine.
    ///
    /// 127.0.0.1:6565 is where those commands look; port 0 takes a free one and says which.
    #[arg(long, value_name = "ADDR", value_parser = values::loopback, help_heading = "Control")]
    pub control: Option<std::net::SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum Sub {
    /// Show the load of a test, or of options, before it happens.
    Plan(Box<PlanArgs>),
    /// Show each option of a test and where it comes from.
    ShowConfig(Box<ShowConfigArgs>),
    /// Write a first test that compiles and runs.
    New(NewArgs),
    /// Say what a running test is doing (it was started with `--control`).
    Status(ControlArgs),
    /// Hold the load of a running test: iterations in flight end, its schedule stands still.
    Pause(ControlArgs),
    /// Go on where a running test was held.
    Resume(ControlArgs),
    /// Change the number of virtual users of a running test's externally-controlled scenarios.
    Scale(ScaleArgs),
    /// End a running test: its teardown, summary and report still come.
    Stop(ControlArgs),
    /// List, show, remove, export or import saved baselines.
    #[command(subcommand)]
    Baseline(BaselineCommand),
    /// Compare stored runs without running anything.
    Compare(CompareArgs),
    /// Show how a test developed over the stored sessions, with change points.
    Trend(TrendArgs),
    /// Share the history of sessions by a branch of the repository.
    #[command(subcommand)]
    History(HistoryCommand),
    /// Remove what the store and the cache no longer need.
    #[command(subcommand)]
    Store(StoreCommand),
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

/// Which CI service is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CiWish {
    /// The one whose variables are set.
    Auto,
    /// GitHub Actions.
    #[value(name = "github")]
    GitHub,
    /// None.
    Off,
}

/// What to do about a comparison that can't tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InconclusivePolicy {
    /// Exit 0 and say NOT VERIFIED.
    Pass,
    /// Exit 97.
    Fail,
    /// Make more pairs of runs, 4 at first, then 7, then 10; still not known, exit 0 and say NOT VERIFIED.
    Extend,
}

/// What to do about a baseline that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MissingPolicy {
    /// Build the revision of that name and compare in a duet; if there is none, say so.
    Build,
    /// Say so.
    Warn,
    /// Exit 95.
    Fail,
}

impl From<InconclusivePolicy> for Policy {
    fn from(policy: InconclusivePolicy) -> Self {
        match policy {
            InconclusivePolicy::Pass | InconclusivePolicy::Extend => Policy::Tolerate,
            InconclusivePolicy::Fail => Policy::Fail,
        }
    }
}

impl From<MissingPolicy> for Policy {
    fn from(policy: MissingPolicy) -> Self {
        match policy {
            MissingPolicy::Build | MissingPolicy::Warn => Policy::Tolerate,
            MissingPolicy::Fail => Policy::Fail,
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
    let mut args = Args::try_parse_from(&arguments).map_err(|error| Stop(not_yet(error)))?;
    if args.subcommand.is_none()
        && let Some(name) = late_command(&arguments, &args.target.filters)
    {
        return Err(Stop(come_first(&name, args.control)));
    }
    let detached = detached_values(&arguments);
    Ok(match args.subcommand {
        Some(Sub::Plan(mut args)) => {
            args.target.detached = detached;
            Command::Plan(args)
        }
        Some(Sub::ShowConfig(mut args)) => {
            args.target.detached = detached;
            Command::ShowConfig(args)
        }
        Some(Sub::New(args)) => Command::New(args),
        Some(Sub::Status(args)) => Command::Control(args, Wish::Status),
        Some(Sub::Pause(args)) => Command::Control(args, Wish::Pause),
        Some(Sub::Resume(args)) => Command::Control(args, Wish::Resume),
        Some(Sub::Scale(args)) => Command::Control(args.control, Wish::Scale(args.scenario, args.vus)),
        Some(Sub::Stop(args)) => Command::Control(args, Wish::Stop),
        Some(Sub::Baseline(command)) => Command::Baseline(command),
        Some(Sub::Compare(args)) => Command::Compare(args),
        Some(Sub::Trend(args)) => Command::Trend(args),
        Some(Sub::History(command)) => Command::History(command),
        Some(Sub::Store(command)) => Command::Store(command),
        Some(Sub::Completions { shell }) => Command::Completions(shell),
        None => {
            args.target.detached = detached;
            Command::Run(Box::new(args))
        }
    })
}

/// A filter that is the name of a command: who puts options before a command means no filter, and must not get a
/// load instead. What stands behind `--` is a filter whatever its name.
fn late_command(arguments: &[OsString], filters: &[String]) -> Option<String> {
    let escaped = arguments.iter().skip_while(|word| *word != "--").skip(1).count();
    let taken = &filters[..filters.len().saturating_sub(escaped)];
    let commands = command_names();
    taken.iter().find(|filter| commands.contains(*filter)).cloned()
}

fn come_first(name: &str, control: Option<std::net::SocketAddr>) -> clap::Error {
    let asks = matches!(name, "status" | "pause" | "resume" | "scale" | "stop");
    // Port 0 is nowhere to be asked at.
    let rest = match control.filter(|address| asks && address.port() != 0) {
        Some(address) if name == "scale" => format!("N --control {address}"),
        Some(address) => format!("--control {address}"),
        None => "…".to_owned(),
    };
    let text = format!(
        "`{name}` is a command, and commands come first: `cargo loadtest {name} {rest}`\n\
         hint: for the tests whose id contains `{name}`, write it behind two dashes: `cargo loadtest … -- {name}`\n"
    );
    clap::Error::raw(ErrorKind::ArgumentConflict, text).with_cmd(&Args::command())
}

/// Words that stand behind an option whose value follows a `=`, and could be its value.
fn detached_values(arguments: &[OsString]) -> Vec<(String, String)> {
    let words =
        arguments.iter().take_while(|word| *word != "--").map(|word| word.to_str().unwrap_or_default());
    let words: Vec<&str> = words.collect();
    let optional = || loadtest_core::options::OPTIONS.iter().filter(|option| option.bare.is_some());
    let detached = words.windows(2).filter_map(|pair| {
        let option = optional().find(|option| long_option(option) == pair[0])?;
        let fits = (option.set)(&mut loadtest_core::options::Options::default(), pair[1]).is_ok();
        fits.then(|| (pair[1].to_owned(), format!("{}={}", pair[0], pair[1])))
    });
    detached.collect()
}

/// Options that users of such tools look for and that do not work yet: what to say instead of guessing
/// that they are slips of the finger.
const NOT_YET: &[(&str, &str)] = &[
    ("--dashboard", "`--progress` shows the run, the report the charts"),
    ("--out", "`--format json` prints the results, the store holds every second"),
    ("--shard", "one process makes the whole load"),
];

/// Options that other tools have, and what they are called here.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("--address", "--control ADDR"),
    ("--blacklist-ip", "--block-ips RANGES"),
    ("--insecure", "--insecure-skip-tls-verify"),
    ("--no-cookies-reset", "--cookies vu"),
];

/// The commands besides running tests.
pub(crate) fn command_names() -> Vec<String> {
    Args::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

/// The option of the command line alone, such as `--seed`, that has a name of this kind: `seed`, `log_limit`.
pub(crate) fn line_only(name: &str) -> Option<String> {
    let wanted = name.to_lowercase().replace('_', "-");
    let of_the_table = |id: &str| loadtest_core::options::OPTIONS.iter().any(|option| option.name == id);
    let command = Args::command();
    let mut arguments = command.get_arguments().filter(|argument| !of_the_table(argument.get_id().as_str()));
    arguments
        .find_map(|argument| Some(argument.get_long()?).filter(|long| *long == wanted))
        .map(|long| format!("--{long}"))
}

fn not_yet(error: clap::Error) -> clap::Error {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) if error.kind() == ErrorKind::UnknownArgument => argument,
        _ => return error,
    };
    if let Some((name, ours)) = OTHER_NAMES.iter().find(|(name, _)| argument == name) {
        let text = format!("there is no option `{name}`\nhint: it is called `{ours}`\n");
        return clap::Error::raw(ErrorKind::UnknownArgument, text).with_cmd(&Args::command());
    }
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
