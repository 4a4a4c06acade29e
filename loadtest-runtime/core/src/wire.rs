//! The frames between the subcommand and a test process, on a loopback socket, both ways.
//!
//! A frame is a length (`u32`, little endian) and that many bytes of JSON. The order:
//! `hello` → `request` → (list) `definitions`, or (run) `state`…, `ready` → `go` → `interval`… → `results`.
//! End of file is a message too: the test process that reads it stops its service and exits, the
//! subcommand that reads it before `results` reports what was measured until then.
//!
//! The main types are [`FromTest`] and [`ToTest`]. Nothing here opens a socket.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::plan::Shard;
use crate::results::{Definition, Interval, ServiceInfo, TestOutcome};

/// The versions of these frames that this build speaks, the newest last.
pub const VERSIONS: &[u32] = &[1];

/// The environment variable that holds `127.0.0.1:PORT` of the waiting subcommand.
pub const ENV_ADDR: &str = "CARGO_LOADTEST_ADDR";
/// The environment variable that holds the token that `hello` must show, valid once.
pub const ENV_TOKEN: &str = "CARGO_LOADTEST_TOKEN";

/// The bytes before and after an entry's name in a test binary, `…crate::module::entry…`: how the
/// subcommand knows, without running it, that an executable has load tests and by which name to call one.
pub const MARKER: &str = "\u{2}cargo-loadtest-entry-v1\u{2}";
/// The byte that ends an entry's name.
pub const MARKER_END: &str = "\u{3}";

/// The most bytes that a frame may have; longer ones are refused before memory is given to them.
pub const MAX_FRAME: usize = 64 << 20;

/// The most worker threads that a test process has.
pub const MAX_WORKERS: u32 = 1_024;

/// What a test process says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromTest {
    /// First.
    Hello {
        /// Proof that it was started by this subcommand.
        token: String,
        /// Versions it speaks.
        versions: Vec<u32>,
        /// Its process id.
        pid: u32,
        /// Version of `loadtest-runtime`.
        runtime_version: String,
    },
    /// The answer to [`Mode::List`].
    Definitions {
        /// Every load test in this binary.
        definitions: Vec<Definition>,
        /// What is wrong with some of them (two of one name, a constant that does not parse).
        problems: Vec<String>,
    },
    /// A new phase.
    State {
        /// Which.
        phase: Phase,
    },
    /// A service that the test started.
    Service(ServiceInfo),
    /// Setup is done; waits for [`ToTest::Go`].
    Ready,
    /// One closed second.
    Interval(Interval),
    /// Something that the user should know now.
    Warning {
        /// A sentence.
        text: String,
    },
    /// What virtual users said with `vu.log(..)`: lines, already limited.
    Log {
        /// One or more lines.
        text: String,
    },
    /// Last: everything that the intervals do not hold.
    Results(Box<TestOutcome>),
}

/// What a test is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Starting the service and running `setup`.
    Setup,
    /// Under load.
    Running,
    /// New iterations have ended, those in flight go on.
    Stopping,
    /// Running `teardown`.
    Teardown,
}

/// What the subcommand says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToTest {
    /// Answers `hello`.
    Request(Box<Request>),
    /// Start the load now.
    Go,
    /// Hold the load: iterations in flight end, the schedule stands still.
    Pause,
    /// Go on where the load was held.
    Resume,
    /// Change the number of virtual users of `externally-controlled` scenarios.
    Scale {
        /// Of which one; of all if absent.
        scenario: Option<String>,
        /// How many, at most its `max_vus`.
        vus: u32,
    },
    /// End it: iterations are interrupted, teardown and results still come.
    Stop {
        /// Why, for the results.
        reason: StopReason,
    },
}

/// Why a test is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// SIGINT or SIGTERM.
    Interrupted,
    /// `cargo loadtest stop`.
    Asked,
}

/// What a test process is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The version of the frames from here on.
    pub version: u32,
    /// List or run.
    pub mode: Mode,
    /// The test to run: its [`Definition::test`]; empty to list.
    pub test: String,
    /// The options of each scenario, by name: attribute, configuration, environment and command line laid over
    /// each other.
    pub options: BTreeMap<String, Options>,
    /// Makes random numbers repeatable.
    pub seed: u64,
    /// Which part of the whole load this process makes.
    pub shard: Shard,
    /// Executables that the test asked for by `binaries`: name → absolute path.
    pub binaries: BTreeMap<String, String>,
    /// Directory for the service's log.
    pub log_dir: String,
    /// Lines of `vu.log(..)` per second that are shown; 0: all of them.
    pub log_limit: u32,
    /// Worker threads, 1 to [`MAX_WORKERS`]; one for each core if absent, as from a subcommand that does not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
}

/// List or run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Answer with definitions and exit.
    List,
    /// Run one test.
    Run,
}

/// One frame as bytes.
///
/// # Errors
/// If it can't be written as JSON, or is longer than [`MAX_FRAME`], which nobody would read.
pub fn encode_frame(frame: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, frame)?;
    let length = bytes.len() - 4;
    if length > MAX_FRAME {
        return Err(too_long(length));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}

fn too_long(length: usize) -> io::Error {
    let text = format!("a frame of {length} bytes is over the limit of {MAX_FRAME}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Writes one frame and flushes.
///
/// # Errors
/// As [`encode_frame`], and if the other side is gone.
pub fn write_frame(mut to: impl Write, frame: &impl Serialize) -> io::Result<()> {
    to.write_all(&encode_frame(frame)?)?;
    to.flush()
}

/// Reads one frame; `None` at a clean end of file.
///
/// # Errors
/// If the connection breaks within a frame, or the frame is not what was expected.
pub fn read_frame<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    let mut read = 0;
    while read < length.len() {
        match from.read(&mut length[read..]) {
            Ok(0) if read == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => read += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(too_long(length));
    }
    // Grows with what really arrives, so that a lying length costs nothing.
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from)
}

/// The highest version that both sides speak.
pub fn common_version(theirs: &[u32]) -> Option<u32> {
    VERSIONS.iter().rev().find(|version| theirs.contains(version)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_wire_and_broken_ones_are_errors() {
        let mut wire = Vec::new();
        write_frame(&mut wire, &ToTest::Go).expect("writes");
        assert!(matches!(read_frame(&wire[..]), Ok(Some(ToTest::Go))));
        assert!(matches!(read_frame::<ToTest>(&[][..]), Ok(None)));
        assert!(read_frame::<ToTest>(&wire[..wire.len() - 1]).is_err());
        assert!(read_frame::<ToTest>(&[255, 255, 255, 255, 0][..]).is_err());
        assert!(encode_frame(&"x".repeat(MAX_FRAME)).is_err(), "nobody would read it");
    }

    #[test]
    fn an_unknown_field_of_a_request_is_an_error() {
        let text = br#"{"type":"stop","reason":"interrupted","surprise":1}"#;
        assert!(serde_json::from_slice::<ToTest>(text).is_err());
    }

    #[test]
    fn a_number_of_workers_is_on_the_wire_only_if_it_is_asked_for() {
        let text = br#"{"version":1,"mode":"run","test":"t","options":{},"seed":1,"shard":"0/1",
            "binaries":{},"log_dir":"","log_limit":0}"#;
        let request: Request = serde_json::from_slice(text).expect("one of a subcommand that does not ask");
        assert_eq!(request.workers, None);
        let told = |workers| {
            let request = Request { workers, ..request.clone() };
            serde_json::to_value(request).expect("JSON")["workers"].clone()
        };
        assert_eq!((told(None), told(Some(3))), (serde_json::Value::Null, serde_json::json!(3)));
    }

    #[test]
    fn the_newest_common_version_is_spoken() {
        assert_eq!(common_version(&[1, 7]), Some(1));
        assert_eq!(common_version(&[7]), None);
    }
}
