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
    let services = &ran.data.document.services;
    if services.is_empty() && configured {
        return Ok(Origin::Configured);
    }
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
    // What the test starts besides, a database perhaps, is the same on both sides and may be.
    if configured {
        return Ok(Origin::Configured);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use loadtest_core::results::{End, ServiceInfo, TestDocument, TestOutcome};

    use super::*;
    use crate::data::TestData;
    use crate::launch::RunningExecutable;

    /// A run whose services are these: name, process id, the program that really ran.
    fn ran(services: &[(&str, Option<u32>, Option<&str>)]) -> Ran {
        let info = |(name, pid, path): &(&str, Option<u32>, Option<&str>)| ServiceInfo {
            name: (*name).to_owned(),
            base_url: String::new(),
            path: path.map(str::to_owned),
            pid: *pid,
            log: None,
        };
        let document = TestDocument {
            id: "p/lib/t".to_owned(),
            definitions: Vec::new(),
            outcome: TestOutcome::new(End::Completed),
            services: services.iter().map(info).collect(),
            started_at: None,
            seed: 1,
            workload_hash: String::new(),
            intervals: String::new(),
            invalid: Vec::new(),
            summary: Vec::new(),
        };
        let executable = |(name, pid, path): &(&str, Option<u32>, Option<&str>)| {
            Some(RunningExecutable {
                name: (*name).to_owned(),
                pid: (*pid)?,
                path: PathBuf::from((*path)?),
                sha256: "0".to_owned(),
            })
        };
        Ran {
            data: TestData::new(document, Vec::new()),
            executables: services.iter().filter_map(executable).collect(),
            disturbed: None,
            unstopped: None,
        }
    }

    fn built() -> Binaries {
        BTreeMap::from([(("p".to_owned(), "shop".to_owned()), PathBuf::from("/tree/target/shop"))])
    }

    #[test]
    fn a_side_counts_only_if_its_own_service_ran() {
        let of = |services: &[(&str, Option<u32>, Option<&str>)]| origin(&ran(services), &built(), false);
        assert_eq!(of(&[("shop", Some(7), Some("/tree/target/shop"))]), Ok(Origin::OwnBinary));
        assert_eq!(of(&[("in-process", None, None)]), Ok(Origin::TestProcess));
        assert!(of(&[]).is_err_and(|why| why.contains("not started by this test")));
        let others = of(&[("shop", Some(7), Some("/usr/bin/shop"))]);
        assert!(others.is_err_and(|why| why.contains("not built from this workspace")));
    }

    #[test]
    fn a_configured_service_does_not_hide_where_the_one_under_test_came_from() {
        let of = |services: &[(&str, Option<u32>, Option<&str>)]| origin(&ran(services), &built(), true);
        assert_eq!(of(&[]), Ok(Origin::Configured));
        // Each side's own test process must be used then.
        assert_eq!(of(&[("in-process", None, None)]), Ok(Origin::TestProcess));
        assert_eq!(of(&[("redis", Some(7), Some("/usr/bin/redis-server"))]), Ok(Origin::Configured));
    }
}
