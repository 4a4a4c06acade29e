//! What the integration tests share: the fixtures, real small cargo projects, and cargo itself.

mod paths;
mod processes;
mod repository;
mod subcommand;
mod trial;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, Once, PoisonError};
use std::{fs, io};

pub use paths::{Named, named};
pub use processes::Process;
pub use repository::{Repository, at_home, cache, isolated};
pub use subcommand::cargo_loadtest;
pub use trial::{Finished, Running, Trial, concert, example, files};

/// The root of this workspace.
pub fn workspace() -> &'static Path {
    // `tests` lies in the root.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the manifest lies in a directory")
}

/// A copy of `tests/fixtures/NAME` for the test that calls this, outside of the workspace.
///
/// Its dependencies on this workspace are absolute paths and its lock file is that of the workspace, so
/// that everything builds offline, from the same versions, into one shared target directory. The place is
/// the same in each run of the same test: what cargo has built stays valid.
pub fn fixture(name: &str) -> Fixture {
    let test = std::thread::current().name().unwrap_or("main").replace("::", "-");
    let path = place(name, &test);
    if path.exists() {
        fs::remove_dir_all(&path).expect("the copy of the last run can be removed");
    }
    copied(name, path)
}

/// A copy of `tests/fixtures/NAME` that tests share which only run it: it is built once for all of them.
pub fn shared_fixture(name: &str) -> Fixture {
    // Once, and whole before anyone uses it: tests run side by side, and cargo reads the files.
    static COPIED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut shared = COPIED.lock().unwrap_or_else(PoisonError::into_inner);
    let path = place(name, "shared");
    if shared.contains(name) {
        return Fixture { path };
    }
    let source = workspace().join("tests/fixtures").join(name);
    for file in files(&path) {
        if !file.ends_with("Cargo.lock") && !source.join(&file).exists() {
            fs::remove_file(path.join(file)).expect("what is gone from the fixture can be removed");
        }
    }
    shared.insert(name.to_owned());
    copied(name, path)
}

/// Where the copy of a fixture is.
fn place(name: &str, test: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    workspace().hash(&mut hasher);
    let place = format!("loadtest-fixtures-{:08x}", hasher.finish() as u32);
    std::env::temp_dir().join(place).join(format!("{name}-{test}"))
}

fn copied(name: &str, path: PathBuf) -> Fixture {
    fetch();
    let source = workspace().join("tests/fixtures").join(name);
    copy(&source, &path, 3).unwrap_or_else(|error| panic!("{} can't be copied: {error}", source.display()));
    let lock = fs::read(workspace().join("Cargo.lock")).expect("the lock file can be read");
    write(&path.join("Cargo.lock"), &lock).expect("the lock file can be copied");
    Fixture { path }
}

/// Downloads, once, what is in the lock file and only fixtures need.
fn fetch() {
    static FETCHED: Once = Once::new();
    FETCHED.call_once(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Without a network there may still be enough for this machine; the builds tell what is missing.
        let _ = run(cargo.args(["fetch", "--locked"]).current_dir(workspace()));
    });
}

/// A cargo project in a directory of its own.
#[derive(Debug)]
pub struct Fixture {
    path: PathBuf,
}

impl Fixture {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `cargo ARGUMENTS` in it, offline.
    pub fn cargo<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments);
        command
    }

    /// A program that calls cargo, in it, offline.
    fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.path)
            .env("CARGO_TARGET_DIR", workspace().join("target/fixtures"))
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TERM_COLOR", "never")
            // Set for the tests' own crate, and read by `env!` in what the command builds.
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_PKG_NAME");
        command
    }
}

/// Runs a command to its end; its output as text, and whether it succeeded.
pub fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().expect("the command can be started");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Run { success: status.success(), code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// A command that ended.
#[derive(Debug)]
pub struct Run {
    /// Whether it exited with 0.
    pub success: bool,
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

impl Run {
    /// The same, if it exited with 0; else panics with all that it printed.
    pub fn succeeded(self) -> Self {
        assert!(self.success, "exit code {:?}\n{}\n{}", self.code, self.stdout, self.stderr);
        self
    }
}

/// Copies a project; `depth` is how many `../` lead from a manifest to the workspace.
fn copy(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&source, &target, depth + 1)?;
        } else if entry.file_name() == "Cargo.toml" {
            let up = format!("\"{}", "../".repeat(depth));
            let absolute = format!("\"{}/", workspace().display());
            write(&target, fs::read_to_string(source)?.replace(&up, &absolute).as_bytes())?;
        } else {
            write(&target, &fs::read(source)?)?;
        }
    }
    Ok(())
}

/// Writes a file unless it is so already: cargo would build again what was written.
fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|now| now == contents) { Ok(()) } else { fs::write(path, contents) }
}
