//! The entry of a test binary: says hello to the subcommand that started it, answers with its definitions
//! or runs one test.
//!
//! Without the subcommand's environment variables an entry returns at once, so that `cargo test --
//! --ignored`, nextest and mutation testers never fire load.

mod libtest;
mod run;
mod steps;

use std::io::Write;
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};

use loadtest_core::results::{End, TestOutcome};
use loadtest_core::wire::{self, FromTest, Mode, Request, StopReason, ToTest};

use crate::clock;
use crate::context::{Stop, StopCause};
use crate::link::{self, Link};
use crate::metrics::custom;
use crate::process;
use crate::registry::{self, Registration};
use crate::scheduler::Controls;
use crate::service::Services;
use run::Test;

/// The entry that the attribute puts into a test binary as an ignored test.
///
/// # Panics
/// If the subcommand can't be reached or says something that can't be understood: the test then fails.
pub fn entry() {
    match run_for_subcommand() {
        Some(Ok(())) => std::process::exit(0),
        Some(Err(error)) => panic!("cargo loadtest: {error}"),
        // Passing says nothing about the service, and whoever looks at the output shall know.
        None => println!("not run: load tests run with cargo loadtest"),
    }
}

/// The `main` of a test target with `harness = false`.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     loadtest_runtime::main()
/// }
/// ```
pub fn main() -> ExitCode {
    match run_for_subcommand() {
        None => {
            let names: Vec<_> =
                inventory::iter::<Registration>.into_iter().map(registry::entry_name).collect();
            let answer = libtest::answer(std::env::args().skip(1), names);
            // Whoever has closed the pipe does not want the answer.
            let _ = std::io::stdout().write_all(answer.as_bytes());
            ExitCode::SUCCESS
        }
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("cargo loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does what the subcommand asks for; `None` if none started this process.
fn run_for_subcommand() -> Option<Result<(), String>> {
    let address = std::env::var(wire::ENV_ADDR).ok()?;
    let token = std::env::var(wire::ENV_TOKEN).unwrap_or_default();
    Some(serve(&address, token))
}

fn serve(address: &str, token: String) -> Result<(), String> {
    let (link, mut reader) =
        Link::connect(address).map_err(|error| format!("no subcommand at {address}: {error}"))?;
    let hello = FromTest::Hello {
        token,
        versions: wire::VERSIONS.to_vec(),
        pid: std::process::id(),
        runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    link.send(&hello).map_err(|error| format!("the subcommand does not listen: {error}"))?;
    let request = match link::expect(&mut reader) {
        Ok(ToTest::Request(request)) => request,
        Ok(other) => return Err(format!("expected a request, got {other:?}")),
        Err(error) => return Err(format!("no request came: {error}")),
    };
    if !wire::VERSIONS.contains(&request.version) {
        return Err(format!(
            "the subcommand speaks version {}, which this runtime does not",
            request.version
        ));
    }
    match request.mode {
        Mode::List => {
            let (definitions, mut problems) = registry::definitions();
            problems.extend(custom::problems());
            link.send(&FromTest::Definitions { definitions, problems }).map_err(|error| error.to_string())
        }
        Mode::Run => {
            let over = Arc::new(AtomicBool::new(false));
            let outcome = run_test(&request, &link, reader, &over);
            over.store(true, Ordering::Relaxed);
            link.send(&FromTest::Results(Box::new(outcome))).map_err(|error| error.to_string())
        }
    }
}

/// Runs one test from setup to teardown. Every failure is an outcome.
fn run_test(request: &Request, link: &Link, reader: TcpStream, over: &Arc<AtomicBool>) -> TestOutcome {
    let services = Services::default();
    let stop = Stop::default();
    let controls = Arc::new(OnceLock::new());
    let (go_to, go) = mpsc::channel();
    let listener = Listener {
        services: services.clone(),
        stop: stop.clone(),
        controls: Arc::clone(&controls),
        go: go_to,
        over: Arc::clone(over),
    };
    let began = clock::now();
    let outcome = TestOutcome::new(End::Completed);
    let mut test = Test { request, link, services, stop, controls, outcome };
    let spawned =
        std::thread::Builder::new().name("loadtest-link".to_owned()).spawn(move || listener.listen(reader));
    let end = match spawned {
        Ok(_) => test.run(&go, began),
        Err(error) => End::SetupFailed { reason: format!("no thread for the link: {error}") },
    };
    test.services.kill_all();
    test.outcome.end = end;
    test.outcome.warnings.extend(link.untold());
    test.outcome
}

/// The thread that hears the subcommand.
struct Listener {
    services: Services,
    stop: Stop,
    /// Of the load, once it is prepared.
    controls: Arc<OnceLock<Controls>>,
    go: mpsc::Sender<()>,
    /// The results are on their way: the subcommand may hang up.
    over: Arc<AtomicBool>,
}

impl Listener {
    fn listen(self, mut reader: TcpStream) {
        loop {
            match link::expect(&mut reader) {
                Ok(ToTest::Go) => {
                    // If nobody waits for it any more, the test is about to end.
                    let _ = self.go.send(());
                }
                Ok(ToTest::Stop { reason: StopReason::Interrupted }) => {
                    self.stop.stop(StopCause::Interrupted);
                }
                Ok(ToTest::Stop { reason: StopReason::Asked }) => self.stop.stop(StopCause::Asked),
                Ok(ToTest::Pause) => self.control(Controls::pause),
                Ok(ToTest::Resume) => self.control(Controls::resume),
                Ok(ToTest::Scale { scenario, vus }) => {
                    self.control(|controls| controls.scale(scenario.as_deref(), vus));
                }
                Ok(other) => eprintln!("cargo loadtest: an unexpected frame was ignored: {other:?}"),
                Err(_) if self.over.load(Ordering::Relaxed) => return,
                Err(_) => {
                    // The subcommand is gone: nobody is left to report to, and no child may outlive it, nor
                    // what a child has started, nor one that is being started at this moment.
                    self.services.kill_all();
                    process::kill_own_group();
                    std::process::exit(1);
                }
            }
        }
    }

    /// Does something to the load, if there is one yet: the subcommand offers it from then on.
    fn control(&self, act: impl FnOnce(&Controls)) {
        if let Some(controls) = self.controls.get() {
            act(controls);
        }
    }
}
