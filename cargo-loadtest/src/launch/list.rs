//! The conversation that lists: `hello`, `request`, `definitions`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{anyhow, bail};
use loadtest_core::plan::Shard;
use loadtest_core::wire::{FromTest, Mode, Request, ToTest};

use super::session::{Limits, Step};
use super::{Connection, Listing};

/// Holds it. What the process prints is shown only if it fails.
pub(super) fn list(
    mut connection: Connection,
    executable: &Path,
    interrupted: &dyn Fn() -> bool,
    limits: Limits,
) -> anyhow::Result<Listing> {
    let link = &mut connection.link;
    let started = Instant::now();
    let program = executable.display();
    let mut greeted = false;
    loop {
        let failure = match link.step(&mut |_, _| {}) {
            Step::Hello(peer) => {
                let version = link
                    .greet(peer)
                    .map_err(|e| e.context(format!("can't list the load tests of {program}")))?;
                greeted = true;
                link.say(&ToTest::Request(Box::new(request(version))));
                continue;
            }
            Step::Frame(frame) => match *frame {
                FromTest::Definitions { definitions, problems } => {
                    // It has said all; whatever its end is like, it is nothing to the listing.
                    link.leaves(&mut |_, _| {});
                    link.finish(&mut |_, _| {});
                    return Ok(Listing { definitions, problems });
                }
                FromTest::Warning { .. } => continue,
                _ => link.explain(
                    "it answered the request for its load tests with something else",
                    &mut |_, _| {},
                ),
            },
            Step::Garbled(error) => {
                link.explain(&format!("it sent something that can't be understood: {error}"), &mut |_, _| {})
            }
            Step::Gone => link.explain_death("before it listed its load tests", &mut |_, _| {}),
            Step::Nothing if interrupted() => {
                bail!("interrupted while the load tests of {program} were listed")
            }
            Step::Nothing if started.elapsed() > limits.hello => {
                let what = if greeted { "no list" } else { "no handshake" };
                link.explain(&format!("{what} within {} s", limits.hello.as_secs()), &mut |_, _| {})
            }
            Step::Nothing => continue,
        };
        return Err(anyhow!(failure).context(format!("can't list the load tests of {program}")));
    }
}

fn request(version: u32) -> Request {
    Request {
        version,
        mode: Mode::List,
        test: String::new(),
        options: BTreeMap::new(),
        seed: 0,
        shard: Shard::default(),
        binaries: BTreeMap::new(),
        log_dir: String::new(),
        log_limit: 0,
        workers: None,
    }
}
