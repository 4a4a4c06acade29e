//! The subcommand of this workspace, built once for all tests of a run, and called as cargo calls it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::{Fixture, run, workspace};

impl Fixture {
    /// `cargo loadtest ARGUMENTS` in it, offline, with the subcommand of this workspace.
    ///
    /// It builds without optimisation, as `cargo test` does, and so shares with it what is built: for what
    /// a test asserts here, the time that the compiler takes counts and the numbers that are measured don't.
    pub fn loadtest<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.program(cargo_loadtest());
        command
            .args(["loadtest", "--offline", "--profile", "dev", "--allow-debug", "--no-report"])
            .args(arguments)
            // The results stay in the copy of the fixture, whatever the developer's own settings are.
            .env_remove("LOADTEST_STORE");
        command
    }
}

/// The executable, after building it.
pub fn cargo_loadtest() -> &'static Path {
    static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();
    EXECUTABLE.get_or_init(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let build = ["build", "--package", "cargo-loadtest", "--bin", "cargo-loadtest"];
        let built = run(cargo.args(build).arg("--message-format=json").current_dir(workspace())).succeeded();
        built
            .stdout
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .unwrap_or_else(|| panic!("cargo told of no executable:\n{}", built.stdout))
    })
}
