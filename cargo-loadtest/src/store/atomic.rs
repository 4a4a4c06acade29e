//! Files that are there as a whole or not at all, also after a crash of the machine.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// Writes a file under a temporary name beside it, syncs it, and gives it its name.
///
/// # Errors
/// If the directory can't be written.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("can't write {}", path.display());
    let directory = path.parent().with_context(failed)?;
    // What everybody may do with it is for the umask to say, as with any other file.
    let mut file = tempfile::Builder::new()
        .prefix(".tmp-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist(path).with_context(failed)?;
    sync_directory(directory).with_context(failed)
}

/// Writes JSON for people and programs.
///
/// # Errors
/// As [`write`].
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let mut bytes =
        serde_json::to_vec_pretty(value).with_context(|| format!("can't write {}", path.display()))?;
    bytes.push(b'\n');
    write(path, &bytes)
}

/// Makes the names in a directory last.
///
/// # Errors
/// If the system can't.
pub(super) fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}
