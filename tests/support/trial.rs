//! A run of the subcommand with a store of its own: to its end, or watched while it runs.
//!
//! The main types are [`Trial`], what is to run, [`Finished`], what came of it, and [`Running`].

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::Value;
use tempfile::TempDir;

use crate::processes::Process;
use crate::{Fixture, cargo_loadtest, workspace};

/// A call of `cargo loadtest` that is yet to be made.
#[derive(Debug)]
pub struct Trial {
    command: Command,
    store: Arc<TempDir>,
    with_report: bool,
}

impl Fixture {
    /// A run in it. It builds without optimisation, as [`Fixture::loadtest`] does.
    pub fn trial<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Trial {
        let mut trial = self.trial_with_nothing_but(["--profile", "dev", "--allow-debug"]);
        trial.command.args(arguments);
        trial
    }

    /// Another command of the subcommand in it: these arguments follow `cargo loadtest`.
    pub fn trial_as<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Trial {
        let mut command = self.program(cargo_loadtest());
        command.arg("loadtest");
        Trial::new(command, arguments)
    }

    /// A run in it, with only these arguments.
    pub fn trial_with_nothing_but<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Trial {
        let mut command = self.program(cargo_loadtest());
        command.args(["loadtest", "--offline"]);
        Trial::new(command, arguments)
    }
}

/// A run of the load tests of `examples/concert`, built as a user builds them.
pub fn concert<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Trial {
    example("concert", arguments)
}

/// A run of the load tests of one of the examples, built as a user builds them.
pub fn example<S: AsRef<OsStr>>(package: &str, arguments: impl IntoIterator<Item = S>) -> Trial {
    let mut command = Command::new(cargo_loadtest());
    command
        .current_dir(workspace())
        .args(["loadtest", "--offline", "-p", package])
        .env("CARGO_TERM_COLOR", "never")
        // Set for the tests' own crate.
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_PKG_NAME");
    Trial::new(command, arguments)
}

impl Trial {
    fn new<S: AsRef<OsStr>>(mut command: Command, arguments: impl IntoIterator<Item = S>) -> Self {
        let store = Arc::new(TempDir::new().expect("a temporary directory can be made"));
        command.args(arguments).env("LOADTEST_STORE", store.path()).env_remove("NO_COLOR");
        Self { command, store, with_report: false }
    }

    /// The same with an HTML report beside the store, where parallel runs don't overwrite it.
    #[must_use]
    pub fn with_report(mut self) -> Self {
        self.with_report = true;
        self
    }

    /// The same in the store of an earlier run.
    #[must_use]
    pub fn after(mut self, earlier: &Finished) -> Self {
        self.store = Arc::clone(&earlier.store);
        self.command.env("LOADTEST_STORE", self.store.path());
        self
    }

    /// The same from another directory.
    #[must_use]
    pub fn within(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// The same with a variable in its environment.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Finished {
        self.start().finish()
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        if self.with_report {
            self.command.arg("--report").arg(self.store.path().join(REPORT));
        }
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the subcommand can be started");
        let stdout = Captured::of(child.stdout.take().expect("it is a pipe"));
        let stderr = Captured::of(child.stderr.take().expect("it is a pipe"));
        Running { child, stdout, stderr, store: self.store }
    }
}

/// Text that is still being read.
#[derive(Debug)]
struct Captured {
    text: Arc<Mutex<String>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Captured {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                into.lock().expect("nobody panics with it").push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        self.text.lock().expect("nobody panics with it").clone()
    }

    fn all(mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading does not panic");
        }
        self.so_far()
    }
}

/// A run on its way. Dropping it kills the subcommand, which ends everything that it started.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Captured,
    stderr: Captured,
    store: Arc<TempDir>,
}

impl Running {
    /// The subcommand's process.
    pub fn process(&self) -> Process {
        Process::of(self.child.id()).expect("it is not waited for before its end")
    }

    /// Waits until it has said something on standard error.
    pub fn has_said(&mut self, text: &str) {
        self.until(Duration::from_secs(240), |run| run.stderr.so_far().contains(text).then_some(()));
    }

    /// Waits until something is there; panics with all output if it takes longer, or if the run ends before.
    pub fn until<T>(&mut self, bound: Duration, found: impl Fn(&Self) -> Option<T>) -> T {
        let end = Instant::now() + bound;
        loop {
            let over = self.child.try_wait().expect("it is a child").is_some() || Instant::now() > end;
            if let Some(found) = found(self) {
                return found;
            }
            assert!(!over, "not found in time:\n{}\n{}", self.stdout.so_far(), self.stderr.so_far());
            thread::sleep(POLL);
        }
    }

    /// What it has said on standard error so far.
    pub fn stderr_so_far(&self) -> String {
        self.stderr.so_far()
    }

    /// How many seconds of load are stored so far.
    pub fn seconds_stored(&self) -> usize {
        self.interval_logs().map(|log| log.lines().count()).sum()
    }

    /// The last second that is stored so far, of a run of one test.
    pub fn last_interval(&self) -> Option<Value> {
        let log = self.interval_logs().next()?;
        // The last line may be half written.
        log.lines().rev().find_map(|line| serde_json::from_str(line).ok())
    }

    fn interval_logs(&self) -> impl Iterator<Item = String> {
        let logs = files(self.store.path()).into_iter().filter(|path| path.ends_with(".intervals.jsonl"));
        logs.filter_map(|path| fs::read_to_string(self.store.path().join(path)).ok())
    }

    /// Waits for its end.
    pub fn finish(self) -> Finished {
        let Self { mut child, stdout, stderr, store } = self;
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("it is a child") {
                break status;
            }
            if began.elapsed() > LONGEST {
                // Ends what it started as well, so that both outputs end.
                let _ = child.kill();
            }
            thread::sleep(POLL);
        };
        let (stdout, stderr) = (stdout.all(), stderr.all());
        Finished { code: status.code(), stdout, stderr, store }
    }
}

/// The report of the last run in a store.
const REPORT: &str = "page.html";

/// No run of a test takes longer, the build included.
const LONGEST: Duration = Duration::from_secs(900);

/// Between two looks at something that takes its time.
const POLL: Duration = Duration::from_millis(20);

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
    store: Arc<TempDir>,
}

impl Finished {
    /// The same, if it exited with this code; else panics with all that it printed.
    #[must_use]
    pub fn exited(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Its store.
    pub fn store(&self) -> &Path {
        self.store.path()
    }

    /// The directory of the last run in its store.
    pub fn directory(&self) -> PathBuf {
        let runs = fs::read_dir(self.store().join("runs")).expect("something was stored");
        let runs = runs.map(|entry| entry.expect("it can be read").path());
        let started = |run: &PathBuf| {
            let manifest = fs::read_to_string(run.join("manifest.json")).expect("every run has one");
            let manifest: Value = serde_json::from_str(&manifest).expect("it is JSON");
            manifest["started_at"].as_str().map(str::to_owned)
        };
        runs.max_by_key(started).expect("something was stored")
    }

    /// Its results document.
    pub fn document(&self) -> Value {
        let path = self.directory().join("run.json");
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}\n{}", path.display(), self.stdout, self.stderr));
        serde_json::from_str(&text).expect("it is JSON")
    }

    /// The sum of a metric of the first test: how many of a counter, how many true ones of a rate.
    pub fn sum(&self, metric: &str) -> f64 {
        self.summary(metric)["sum"].as_f64().unwrap_or(0.0)
    }

    /// The summary of a metric of the first test, over all its tags.
    pub fn summary(&self, metric: &str) -> Value {
        let document = self.document();
        let rows = document["tests"][0]["summary"].as_array().cloned().unwrap_or_default();
        let of = |row: &Value| row["metric"]["name"] == metric && row["tags"] == serde_json::json!({});
        rows.into_iter().find(of).unwrap_or(Value::Null)
    }

    /// The HTML report of [`Trial::with_report`].
    pub fn report(&self) -> PathBuf {
        self.store().join(REPORT)
    }

    /// The first line on standard output.
    pub fn first_line(&self) -> &str {
        self.stdout.lines().next().unwrap_or_default()
    }
}

/// Paths of all files in a directory, relative to it.
pub fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(name) = path.strip_prefix(directory) {
                found.push(name.to_string_lossy().into_owned());
            }
        }
    }
    found
}
