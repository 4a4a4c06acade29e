//! Removing runs that nobody needs any more.
//!
//! The main function is [`Store::prune`]. Sessions are never removed: they are small, and they are what trends and
//! histories are made of. A run that a baseline points at stays, however old it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use super::{Store, run_dir};

/// A run without a document may still be running; after this time it is not.
const UNFINISHED: SignedDuration = SignedDuration::from_hours(24);

/// A run directory that is not needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unneeded {
    /// Its name.
    pub id: String,
    /// Whether it has no document.
    pub is_unfinished: bool,
    /// What its files take.
    pub bytes: u64,
}

impl Store {
    /// Removes runs that are older than `age` and that no baseline points at, and unfinished ones that are older
    /// than a day; or only says which these are. The oldest come first.
    ///
    /// # Errors
    /// If a baseline can't be read, since nobody knows then what it needs, or a directory can't be removed.
    pub fn prune(&self, age: SignedDuration, now: Timestamp, is_dry: bool) -> anyhow::Result<Vec<Unneeded>> {
        let mut needed = BTreeSet::new();
        for name in self.baselines() {
            let pointer = self.baseline(&name).with_context(|| {
                format!("nothing was removed, because nobody knows which runs the baseline `{name}` needs")
            })?;
            needed.extend(pointer.into_iter().flat_map(|pointer| pointer.runs));
        }
        let mut unneeded = Vec::new();
        for id in self.run_ids() {
            let path = self.runs().join(&id);
            // A link is not ours, and what it points at still less.
            if needed.contains(&id) || !fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
                continue;
            }
            let is_unfinished = !path.join(run_dir::DOCUMENT).exists();
            let limit = if is_unfinished { UNFINISHED } else { age };
            if began(&id, &path).is_none_or(|began| now.duration_since(began) < limit) {
                continue;
            }
            let bytes = size(&path);
            if !is_dry {
                remove(&path).with_context(|| format!("can't remove {}", path.display()))?;
            }
            unneeded.push(Unneeded { id, is_unfinished, bytes });
        }
        Ok(unneeded)
    }
}

/// A directory that is removed in part must not look like a run.
fn remove(path: &Path) -> std::io::Result<()> {
    let name = path.file_name().map(|name| format!(".tmp-{}", name.to_string_lossy())).unwrap_or_default();
    let aside: PathBuf = path.with_file_name(name);
    fs::rename(path, &aside)?;
    fs::remove_dir_all(&aside)
}

/// When a run began, by its id; else when its directory was last changed.
fn began(id: &str, path: &Path) -> Option<Timestamp> {
    let by_id = id.split('-').next().and_then(|time| civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok());
    if let Some(time) = by_id {
        return time.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp());
    }
    Timestamp::try_from(fs::metadata(path).ok()?.modified().ok()?).ok()
}

/// Bytes of the files in a directory and those below.
fn size(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}
