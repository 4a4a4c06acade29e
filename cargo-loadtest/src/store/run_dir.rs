//! The directory of one run, from its beginning to its document.
//!
//! The main type is [`RunDir`]. It is made before the first test starts, so that a run that is killed leaves
//! its intervals; a run is complete when `run.json` is there, and from then on nothing but the report is added.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use loadtest_core::results::{RunDocument, SCHEMA_VERSION};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{atomic, document};
use crate::data::{RunData, WrittenDocument};

/// The run's document.
pub(super) const DOCUMENT: &str = "run.json";

/// What is known of a run before it has a document.
pub(super) const MANIFEST: &str = "manifest.json";

/// The run's HTML report.
const REPORT: &str = "report.html";

/// Characters of a test's id in the name of its log; the hash that follows tells apart what is cut.
const READABLE: usize = 80;

#[derive(Debug, Serialize)]
struct Manifest<'a> {
    schema_version: u32,
    id: &'a str,
    tool_version: &'static str,
    started_at: String,
    /// `run.json` is there.
    finished: bool,
}

/// A run that is not complete.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    id: String,
    started_at: Timestamp,
}

impl RunDir {
    pub(super) fn create(runs: &Path, commit: Option<&str>) -> anyhow::Result<RunDir> {
        fs::create_dir_all(runs).with_context(|| format!("can't create {}", runs.display()))?;
        let started_at = Timestamp::now();
        let time = started_at.strftime("%Y%m%dT%H%M%SZ");
        let commit = commit
            .and_then(|commit| commit.get(..7))
            .filter(|short| short.chars().all(|c| c.is_ascii_hexdigit()))
            .unwrap_or("nogit");
        // Two runs of one second differ by the number; a third one that does not tries again.
        for _ in 0..100 {
            let random = RandomState::new().hash_one(0u8) & 0xffff;
            let id = format!("{time}-{commit}-{random:04x}");
            let path = runs.join(&id);
            match fs::create_dir(&path) {
                Ok(()) => {
                    let run = RunDir { path, id, started_at };
                    run.write_manifest(false)?;
                    return Ok(run);
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e).with_context(|| format!("can't create {}", path.display())),
            }
        }
        bail!("can't find a free name for a run in {}", runs.display())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory's name, `20260131T215419Z-0a1b2c3-4d5e`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The file for a test's intervals. Different tests have different files, whatever their ids are; its
    /// name alone is what the document stores.
    pub fn intervals_file(&self, test_id: &str) -> PathBuf {
        let mut name = String::new();
        for c in test_id.chars().take(READABLE) {
            let readable = c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            name.push(if readable { c } else { '-' });
        }
        name.push('-');
        for byte in Sha256::digest(test_id.as_bytes()).iter().take(4) {
            let _ = write!(name, "{byte:02x}");
        }
        self.path.join(format!("{name}.intervals.jsonl"))
    }

    /// Completes the run: writes its document, with the name of a baseline that it asked for in vain, and
    /// reads the run back as everyone will.
    ///
    /// # Errors
    /// If the document has another id, a file can't be written, or an interval log is corrupt.
    pub fn finish(self, document: &RunDocument, baseline_missing: Option<&str>) -> anyhow::Result<RunData> {
        if document.id != self.id {
            bail!("the document of the run {} has the id {}", self.id, document.id);
        }
        let file = self.path.join(DOCUMENT);
        if file.exists() {
            bail!("the run {} is finished already", self.id);
        }
        for test in &document.tests {
            // What is not there is found when it is read back.
            if let Ok(log) = File::open(self.path.join(&test.intervals)) {
                log.sync_all().with_context(|| format!("can't sync {}", test.intervals))?;
            }
        }
        // Read before it is complete: a run that can't be read must not look as if it could.
        let mut data = document::with_intervals(document.clone(), &self.path)?;
        data.baseline_missing = baseline_missing.map(str::to_owned);
        atomic::write_json(&file, &WrittenDocument::new(document, baseline_missing))?;
        self.write_manifest(true)?;
        Ok(data)
    }

    fn write_manifest(&self, finished: bool) -> anyhow::Result<()> {
        let manifest = Manifest {
            schema_version: SCHEMA_VERSION,
            id: &self.id,
            tool_version: env!("CARGO_PKG_VERSION"),
            started_at: self.started_at.to_string(),
            finished,
        };
        atomic::write_json(&self.path.join(MANIFEST), &manifest)
    }
}

/// Writes the HTML report of a run into its directory, as a whole or not at all.
///
/// # Errors
/// If it can't be written.
pub fn write_report(directory: &Path, html: &str) -> anyhow::Result<()> {
    atomic::write(&directory.join(REPORT), html.as_bytes())
}

/// Whether a text may be the name of a run directory: never a path.
pub(super) fn is_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}
