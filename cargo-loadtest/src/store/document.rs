//! Reading documents of every version that was ever released.
//!
//! A document is first read as JSON of any shape; its `schema_version` decides what is done to it before it
//! is read as a [`RunDocument`].

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path};

use anyhow::{Context, bail};
use loadtest_core::results::{RunDocument, SCHEMA_VERSION};
use serde_json::Value;

use super::intervals;
use super::run_dir::{DOCUMENT, MANIFEST};
use crate::data::{RunData, TestData};

/// Makes a document of one version one of the next.
type Migration = fn(&mut Value) -> anyhow::Result<()>;

/// `MIGRATIONS[n]` takes version n + 1 to n + 2.
const MIGRATIONS: &[Migration] = &[];

/// Reads the run in a directory.
///
/// # Errors
/// If it is unfinished, corrupt, or of a newer version.
pub(super) fn load(directory: &Path) -> anyhow::Result<RunData> {
    let file = directory.join(DOCUMENT);
    let Some(value) = read_json(&file)? else {
        if directory.join(MANIFEST).exists() {
            bail!(
                "the run in {} was not finished: cargo-loadtest was killed, or is still running\nhint: the seconds \
                 that it measured are in its `.intervals.jsonl` files",
                directory.display()
            );
        }
        bail!("{} does not exist", file.display());
    };
    with_intervals(parse(value, &file)?, directory)
}

/// Adds the interval logs to a document.
///
/// # Errors
/// If one is missing or corrupt.
pub(super) fn with_intervals(mut document: RunDocument, directory: &Path) -> anyhow::Result<RunData> {
    let mut tests = Vec::new();
    for test in &mut document.tests {
        let name = Path::new(&test.intervals);
        // A document may come from anywhere; it names files beside it and no others.
        if !matches!(name.components().collect::<Vec<_>>()[..], [Component::Normal(_)]) {
            bail!(
                "{}: `{}` is not the name of a file in the run directory",
                directory.join(DOCUMENT).display(),
                test.intervals.escape_debug()
            );
        }
        let path = directory.join(name);
        let log = match intervals::read(&path)? {
            Some(log) => log,
            None if test.started_at.is_none() => intervals::Log::default(),
            None => bail!("{} is missing: the run is incomplete", path.display()),
        };
        if log.cut_off {
            let note = format!("the last line of {} was cut off and is left out", name.display());
            if !test.outcome.warnings.contains(&note) {
                test.outcome.warnings.push(note);
            }
        }
        tests.push(TestData::new(test.clone(), log.intervals));
    }
    Ok(RunData { document, tests, baseline_missing: None, missing_because: None })
}

/// Reads a file as JSON of any shape; `None` if there is no such file.
///
/// # Errors
/// If it can't be read, or is not JSON.
pub(super) fn read_json(path: &Path) -> anyhow::Result<Option<Value>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("can't read {}", path.display())),
    };
    let value = serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", path.display()))?;
    Ok(Some(value))
}

/// The version of a document, from 1 to this build's.
///
/// # Errors
/// If there is none, or it is newer: with the version to upgrade to.
pub(super) fn check_version(value: &Value, path: &Path) -> anyhow::Result<u32> {
    check_version_up_to(SCHEMA_VERSION, value, path)
}

/// The same of documents whose versions are counted apart.
///
/// # Errors
/// The same.
pub(super) fn check_version_up_to(known: u32, value: &Value, path: &Path) -> anyhow::Result<u32> {
    let version = value.get("schema_version").and_then(Value::as_u64);
    let Some(version) = version.filter(|version| *version > 0) else {
        bail!("{} has no schema_version: it was not written by cargo-loadtest", path.display());
    };
    match u32::try_from(version) {
        Ok(version) if version <= known => Ok(version),
        _ => {
            let by = value.get("tool_version").and_then(Value::as_str);
            // It ends up in a command that someone may paste.
            let by = by.filter(|by| by.chars().all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c)));
            let hint = match by {
                Some(by) => format!("cargo install cargo-loadtest --version {by}"),
                None => "cargo install cargo-loadtest".to_owned(),
            };
            bail!(
                "{} has the schema version {version}, and cargo-loadtest {} knows up to {known}\nhint: it \
                 was written by a newer one: `{hint}`",
                path.display(),
                env!("CARGO_PKG_VERSION")
            )
        }
    }
}

fn parse(mut value: Value, path: &Path) -> anyhow::Result<RunDocument> {
    let version = check_version(&value, path)?;
    for migration in &MIGRATIONS[version as usize - 1..] {
        migration(&mut value).with_context(|| format!("can't migrate {}", path.display()))?;
    }
    let mut document: RunDocument =
        serde_json::from_value(value).with_context(|| format!("{} is no run document", path.display()))?;
    document.schema_version = SCHEMA_VERSION;
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_a_way_to_the_next() {
        assert_eq!(MIGRATIONS.len() + 1, SCHEMA_VERSION as usize);
    }
}
