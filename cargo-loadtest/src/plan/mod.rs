//! Showing a load before it happens: levels of virtual users or instants of starts, exactly those that the
//! executors follow.
//!
//! The main function is [`run()`]; `load` has one scenario's plan, `json` and `text` show it. Nothing
//! here starts a load, and nothing is built unless a test is named.

mod chart;
mod json;
mod load;
mod text;

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write as _};

use anyhow::Context as _;
use loadtest_core::Error;
use loadtest_core::options::{Options, Workload};

use crate::cli::{Format, PlanArgs};
use crate::config::{self, Tiers, Variables};
use crate::discover::{self, LoadTest, Workspace};
use crate::failure::{Failure, OrExit as _};
use crate::launch::Signals;
use crate::run;
use crate::verdict::ExitCode;

use load::{Load, View};

/// What to type where nothing was said.
const EXAMPLES: &str = "name a test, `cargo loadtest plan buy`, or describe a load, `cargo loadtest plan --stage 10s:50 \
                        --stage 1m:50` or `cargo loadtest plan --vus 10 --duration 30s`";

/// A test whose load is shown; without an id, a load that is nobody's.
struct Test {
    id: String,
    scenarios: Vec<Scenario>,
}

struct Scenario {
    name: String,
    workload: Workload,
}

/// Shows the load of tests, or of the options alone.
///
/// # Errors
/// If nothing is said, options contradict each other, a named test is not found or can't be built, or the
/// load has nothing to reserve.
pub fn run(args: &PlanArgs) -> Result<ExitCode, Failure> {
    let target = &args.target;
    // Where only a test can be meant, one is looked for; else the options say everything, and nothing is built.
    let names_tests = !target.filters.is_empty() || !target.package.is_empty() || target.workspace;
    let of_tests = names_tests || args.load.profile().is_some();
    // Installed so that an interrupted listing takes its processes along.
    let signals = of_tests.then(Signals::install).transpose()?;
    let tests = if of_tests { find(args)? } else { vec![alone(&without_a_test(args)?)?] };
    let view = View { shard: args.shard, reserved: args.reserved };
    let loads = loads(&tests, view).or_exit(ExitCode::Usage)?;
    let interrupted = || signals.as_ref().is_some_and(Signals::interrupted);
    let mut out = BufWriter::new(Output { out: io::stdout().lock(), interrupted });
    let written = match args.format {
        Format::Json => json::write(&mut out, &loads),
        Format::Text => text::write(&mut out, &loads, chart::terminal_columns()),
    };
    let written = written.and_then(|()| out.flush());
    // What is still buffered after an error has no reader either.
    drop(out.into_parts());
    match written {
        _ if interrupted() => Err(Failure::new(ExitCode::Interrupted, "interrupted")),
        // A reader that has gone (`| head`) is no error.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("can't write to standard output").or_exit(ExitCode::Internal)
        }
        _ => Ok(ExitCode::Passed),
    }
}

/// Standard output that fails once the user has interrupted the program: a plan can be long.
struct Output<F> {
    out: StdoutLock<'static>,
    interrupted: F,
}

impl<F: Fn() -> bool> io::Write for Output<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.interrupted)() { Err(io::Error::other("interrupted")) } else { self.out.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The loads of a test, by the names of its scenarios.
struct TestLoads<'a> {
    id: &'a str,
    scenarios: Vec<(&'a str, Load<'a>)>,
}

fn loads(tests: &[Test], view: View) -> Result<Vec<TestLoads<'_>>, Error> {
    tests.iter().map(|test| of_test(test, view)).collect()
}

fn of_test(test: &Test, view: View) -> Result<TestLoads<'_>, Error> {
    let mut scenarios = Vec::new();
    for Scenario { name, workload } in &test.scenarios {
        let load = Load::new(workload, view);
        let load = load.map_err(|error| if test.id.is_empty() { error } else { error.context(&test.id) })?;
        scenarios.push((name.as_str(), load));
    }
    Ok(TestLoads { id: &test.id, scenarios })
}

/// What the environment and the command line say; no file is looked for without a test.
fn without_a_test(args: &PlanArgs) -> Result<Options, Failure> {
    let variables = Variables::read(std::env::vars_os()).or_exit(ExitCode::Usage)?;
    Ok(variables.options.overwrite(args.load.options()))
}

/// The load that options describe by themselves.
fn alone(options: &Options) -> Result<Test, Failure> {
    if options.execution_keys().is_empty() {
        let message = format!("neither a test nor a load is given\nhint: {EXAMPLES}");
        return Err(Failure::new(ExitCode::Usage, message));
    }
    let workload = config::on_the_line(options).or_exit(ExitCode::Usage)?;
    Ok(Test { id: String::new(), scenarios: vec![Scenario { name: String::new(), workload }] })
}

/// Builds and finds the chosen tests, with the options of every place.
fn find(args: &PlanArgs) -> Result<Vec<Test>, Failure> {
    let workspace = Workspace::read(&args.target)?;
    let tiers = Tiers::read(workspace.root(), &args.load)?;
    let found = discover::find(&workspace, &args.target)?;
    let chosen = run::choose(&workspace, &found, &args.target)?;
    run::warn(&workspace, &found, &tiers, &args.target);
    run::note(&chosen, &tiers, &args.target);
    let planned = |test: &&LoadTest| -> Result<Test, Failure> {
        let definitions = tiers.definitions(test).or_exit(ExitCode::Usage)?;
        let scenarios = definitions.into_iter();
        let scenarios = scenarios.map(|of| Scenario { name: of.scenario, workload: of.workload });
        Ok(Test { id: test.id.clone(), scenarios: scenarios.collect() })
    };
    chosen.iter().map(planned).collect()
}

#[cfg(test)]
mod tests;
