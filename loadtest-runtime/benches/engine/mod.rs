//! The engine, run by a benchmark as the subcommand would run it: in a process of its own, by the wire.

use std::collections::BTreeMap;
use std::io::Error;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};

use loadtest_core::options::Options;
use loadtest_core::plan::Shard;
use loadtest_core::results::{Definition, Interval, TestOutcome};
use loadtest_core::wire::{self, FromTest, Mode, Request, ToTest};

/// The load test of this program whose function has this name.
///
/// # Errors
/// If there is none, or the process does not answer.
pub(crate) fn definition(function: &str) -> std::io::Result<Definition> {
    let mut listing = Engine::start()?;
    listing.send(&listing.request(Mode::List, "", BTreeMap::new()))?;
    loop {
        if let FromTest::Definitions { definitions, .. } = listing.next()? {
            let suffix = format!("::{function}");
            let mut definitions = definitions.into_iter();
            let found = definitions.find(|found| found.test == function || found.test.ends_with(&suffix));
            return found.ok_or_else(|| Error::other(format!("no load test is called `{function}`")));
        }
    }
}

/// Runs a load test with other options.
///
/// # Errors
/// If the process ends before it has told its results.
pub(crate) fn run(
    definition: Definition,
    change: impl FnOnce(Options) -> Options,
    mut each_interval: impl FnMut(Interval),
) -> std::io::Result<TestOutcome> {
    let Definition { test, scenario, options, .. } = definition;
    let mut engine = Engine::start()?;
    let options = BTreeMap::from([(scenario, change(options))]);
    engine.send(&engine.request(Mode::Run, &test, options))?;
    loop {
        match engine.next()? {
            FromTest::Ready => engine.send(&ToTest::Go)?,
            FromTest::Interval(interval) => each_interval(interval),
            FromTest::Results(outcome) => return Ok(*outcome),
            _ => {}
        }
    }
}

/// This program, run as a test process.
struct Engine {
    process: Child,
    stream: TcpStream,
}

impl Engine {
    fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let process = Command::new(std::env::current_exe()?)
            .env(wire::ENV_ADDR, listener.local_addr()?.to_string())
            .env(wire::ENV_TOKEN, "bench")
            .spawn()?;
        let (stream, _) = listener.accept()?;
        let mut engine = Self { process, stream };
        match engine.next()? {
            FromTest::Hello { .. } => Ok(engine),
            other => Err(Error::other(format!("expected hello, got {other:?}"))),
        }
    }

    fn send(&self, frame: &ToTest) -> std::io::Result<()> {
        wire::write_frame(&self.stream, frame)
    }

    fn next(&mut self) -> std::io::Result<FromTest> {
        wire::read_frame(&self.stream)?.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    fn request(&self, mode: Mode, test: &str, options: BTreeMap<String, Options>) -> ToTest {
        ToTest::Request(Box::new(Request {
            version: *wire::VERSIONS.last().expect("at least one"),
            mode,
            test: test.to_owned(),
            options,
            seed: 1,
            shard: Shard::default(),
            binaries: BTreeMap::new(),
            log_dir: std::env::temp_dir().to_string_lossy().into_owned(),
            log_limit: 0,
            workers: None,
        }))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It ends by itself when nobody listens any more; what matters is that it is gone.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        let _ = self.process.wait();
    }
}
