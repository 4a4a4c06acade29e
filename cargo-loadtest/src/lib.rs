//! The subcommand `cargo loadtest`: finds the load tests of a workspace, builds them optimised, runs them,
//! stores and reports what they measured, compares it with a baseline and decides the exit code.
//!
//! The library is the implementation of the binary and promises no stable interface. It judges and tells;
//! it never measures: that is done by `loadtest-runtime` inside the test processes.
//!
//! The modules in the order of the data's way:

// What the user asks for.
pub mod cli;
pub mod config;

// From packages to load tests.
pub mod discover;

// From a load test to its results.
pub mod launch;
pub mod live;
pub mod service;

// Before, beside and instead of a run.
pub mod control;
pub mod new;
pub mod plan;

// What is known of the place where it ran.
pub mod fingerprint;
pub mod git;
pub mod machine;

// From results to a judgement.
pub mod compare;
pub mod data;
pub mod session;
pub mod stats;
pub mod store;
pub mod verdict;

// What the user reads.
pub mod ci;
pub mod report;
pub mod terminal;

// What is done with what is stored.
pub mod baselines;
pub mod history;
pub mod stored;
pub mod trend;

// All of it together.
pub mod failure;
pub mod run;

use std::ffi::OsString;

use verdict::ExitCode;

/// Does what the command line says, from the program's name on, and returns the exit code. Messages go to
/// standard error, results to standard output.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match cli::parse(arguments) {
        Ok(command) => command,
        Err(stop) => return stop.show(),
    };
    let done = match command {
        cli::Command::Run(args) => run::run(&args),
        cli::Command::Plan(args) => plan::run(&args),
        cli::Command::ShowConfig(args) => config::show(&args),
        cli::Command::New(args) => new::run(&args),
        cli::Command::Control(args, wish) => control::ask(&args, &wish),
        cli::Command::Baseline(command) => baselines::run(&command),
        cli::Command::Compare(args) => stored::compare(&args),
        cli::Command::Trend(args) => trend::run(&args),
        cli::Command::History(command) => history::run(&command),
        cli::Command::Store(command) => stored::store(&command),
        cli::Command::Completions(shell) => cli::completions(shell),
    };
    done.unwrap_or_else(|failure| failure.show())
}
