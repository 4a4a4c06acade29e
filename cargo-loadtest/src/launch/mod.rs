//! Runs a test binary: once to list its load tests, once for each test that is run.
//!
//! The main functions are [`list`] and [`run`]. A test process gets a loopback address and a token by its
//! environment, and a process group of its own; everything else goes over the socket as
//! [`loadtest_core::wire`] says. Whatever happens to it, the group is killed at the end, and what was
//! measured until then is kept. Nothing here builds, judges or prints: lines and progress go to the
//! [`LiveView`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc;

use loadtest_core::results::{Definition, ServiceInfo, TestOutcome};
use loadtest_core::wire;

use crate::control::Server;
use crate::live::LiveView;
use crate::machine::CoreSplit;

mod drive;
mod group;
mod handshake;
mod limit;
mod list;
mod output;
mod partial;
mod process;
mod session;
mod signals;
#[cfg(test)]
mod tests;
mod witness;

pub use crate::machine::RunningExecutable;
pub(crate) use group::Group;
pub(crate) use process::describe;
pub use signals::Signals;
pub(crate) use signals::interrupted;
pub use witness::Pinned;

use handshake::Door;
use process::TestProcess;
use session::{Event, Limits, Link};

/// Events that may wait. When more come, the threads that read wait, and so does a process that prints
/// faster than the terminal shows.
const QUEUE: usize = 256;

/// An executable with load tests, and how cargo would start it.
#[derive(Debug, Clone)]
pub struct TestBinary {
    /// The package, by cargo's name.
    pub package: String,
    /// The target, `lib`, `bin/server` or `test/api`.
    pub target: String,
    /// What to run.
    pub executable: PathBuf,
    /// The exact name that libtest knows one of its entries by: any one gives access to all load tests.
    pub entry: String,
    /// The directory that cargo runs tests in: the package's.
    pub cwd: PathBuf,
    /// Environment variables to add, cargo's and the library path's.
    pub env: Vec<(OsString, OsString)>,
    /// The target runner with its arguments; empty without one.
    pub runner: Vec<String>,
}

/// The load tests in a binary.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Every scenario.
    pub definitions: Vec<Definition>,
    /// What is wrong with some of them, sentences.
    pub problems: Vec<String>,
}

/// One test to run.
#[derive(Debug)]
pub struct LaunchSpec<'a> {
    /// The executable that it is in.
    pub binary: &'a TestBinary,
    /// What to ask for; `version` is filled in after the handshake.
    pub request: wire::Request,
    /// `package/target/path::name`.
    pub id: &'a str,
    /// Its scenarios.
    pub definitions: &'a [Definition],
    /// The file that its intervals are appended to, as JSON lines, each at once. It is created.
    pub intervals: PathBuf,
    /// What others may control it by.
    pub control: Option<&'a Server>,
    /// The cores of the test process, and those of the services that it starts; `None`: all, for both.
    pub pin: Option<CoreSplit>,
    /// Environment variables of the test process, which win over those of the binary.
    pub env: Vec<(OsString, OsString)>,
}

/// What came of a test.
#[derive(Debug, Clone)]
pub struct Launched {
    /// What it said at the end. If it died or was killed: put together from its intervals, with an end that
    /// says so.
    pub outcome: TestOutcome,
    /// Services that it started.
    pub services: Vec<ServiceInfo>,
    /// When the load began, RFC 3339 in UTC with milliseconds; `None` if it never did.
    pub started_at: Option<String>,
    /// What ran as the services that it started as processes, looked at just before the load began. A process
    /// that is not a descendant of the test process is not listed, and on systems that don't tell none is.
    pub executables: Vec<RunningExecutable>,
    /// Where generator and services ran, if they were to be apart.
    pub pinned: Option<Pinned>,
}

/// Asks a test binary for its load tests.
///
/// # Errors
/// If it can't be started, ends or stays silent for 30 seconds without having answered, speaks no common
/// version, or a signal came: never an empty listing instead.
pub fn list(binary: &TestBinary) -> anyhow::Result<Listing> {
    let link = start(binary, &[], None)?;
    list::list(link, &binary.executable, &interrupted, Limits::PRODUCT)
}

/// Runs a test from its start to its end, with setup and teardown.
///
/// The first signal, or a wish that came by [`LaunchSpec::control`], asks the test to stop: its teardown and results still come. If they don't within their
/// time, it is killed and what was measured is returned with [`End::Interrupted`]. A process that dies
/// gives [`End::Crashed`] with how it died and its last output. The whole process group is dead when this
/// returns, also by error or panic.
///
/// With [`LaunchSpec::pin`] the generator's CPU is a share of its cores alone: the test process has as many
/// workers as cores that it may use, unless `--workers` says otherwise.
///
/// [`End::Interrupted`]: loadtest_core::results::End::Interrupted
/// [`End::Crashed`]: loadtest_core::results::End::Crashed
///
/// # Errors
/// If it can't be started, not on its cores, speaks no common version, or the intervals can't be written. A
/// service that can't be moved to its cores is no error, but told by [`Launched::pinned`].
pub fn run(spec: LaunchSpec<'_>, live: &mut dyn LiveView, signals: &Signals) -> anyhow::Result<Launched> {
    let cores = spec.pin.as_ref().map(|split| split.generator.as_slice());
    let link = start(spec.binary, &spec.env, cores)?;
    live.begin(spec.id, spec.definitions);
    let launched = drive::drive(link, spec, live, signals, Limits::PRODUCT);
    live.end();
    launched
}

fn start(
    binary: &TestBinary,
    env: &[(OsString, OsString)],
    cores: Option<&[usize]>,
) -> anyhow::Result<Connection> {
    let (sender, events) = mpsc::sync_channel::<Event>(QUEUE);
    let door = Door::open(sender.clone())?;
    let child = TestProcess::spawn(binary, env, cores, &door, &sender)?;
    let link = Link::new(events, Box::new(child), &binary.entry, Limits::PRODUCT);
    Ok(Connection { link, _door: door })
}

/// A link, and the door that the process at its other end may still have to come through.
struct Connection {
    link: Link,
    _door: Door,
}
