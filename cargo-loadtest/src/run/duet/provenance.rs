//! Whether a run measured the service of its own side.
//!
//! The main function is [`origin`]. A target that both sides share (a BASE_URL, a compose file) would be compared with
//! itself, and the answer "unchanged" would be worth nothing: so a side counts only if a process ran that was built
//! from its own tree.

use std::path::Path;

use crate::run::execute::{Binaries, Ran};

/// Where the service under test came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A child process, built from the side's own tree.
    OwnBinary,
    /// The test process itself.
    TestProcess,
    /// The commands of `[service]`, run in the side's own tree.
    Configured,
}

/// Says where the service came from that a run measured. `configured`: `[service]` starts it.
///
/// # Errors
/// If it was not built from this side's tree: why the two sides can't be compared, a clause.
pub(super) fn origin(ran: &Ran, binaries: &Binaries, configured: bool) -> Result<Origin, String> {
    if configured {
        return Ok(Origin::Configured);
    }
    let services = &ran.data.document.services;
    if services.is_empty() {
        return Err("the target is not started by this test, so both sides would measure the same service; start it in \
                    `setup`, or give `[service]` in loadtest.toml the command that starts it"
            .to_owned());
    }
    let own = |path: &Path| binaries.values().any(|built| same(built, path));
    // What really runs counts more than what was asked for; not every system tells it.
    let running = ran.executables.iter().any(|executable| own(&executable.path));
    let told = ran.executables.is_empty()
        && services.iter().filter_map(|service| service.path.as_deref()).any(|path| own(Path::new(path)));
    if running || told {
        return Ok(Origin::OwnBinary);
    }
    if services.iter().all(|service| service.pid.is_none()) {
        return Ok(Origin::TestProcess);
    }
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    Err(format!(
        "the service {} is not built from this workspace, so both sides would measure the same one; name its binary in \
         `binaries`",
        names.join(", ")
    ))
}

fn same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    a == b || real(a).is_some_and(|a| Some(a) == real(b))
}
