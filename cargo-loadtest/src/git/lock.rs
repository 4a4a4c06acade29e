//! Locks on files, so that two processes don't build in one directory and nothing is removed under a run.
//!
//! The main function is [`acquire`]. A lock is the operating system's: it ends with the process, however that
//! ends, and needs no cleaning. Whoever removes a lock file must hold it.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::launch;

/// How often it is tried again while another process has the lock.
const RETRY: Duration = Duration::from_millis(100);

/// A file that is locked while this value lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Locks a file that is made if it is not there. While another process has it, `on_wait` is called once and it is
/// tried again.
///
/// # Errors
/// If the file can't be made, or the user interrupts.
pub(super) fn acquire(path: &Path, on_wait: impl FnOnce()) -> anyhow::Result<Lock> {
    let mut on_wait = Some(on_wait);
    loop {
        if let Some(lock) = try_acquire(path)? {
            return Ok(lock);
        }
        if let Some(say) = on_wait.take() {
            say();
        }
        // A blocked call would not hear of the signal.
        if launch::interrupted() {
            bail!("interrupted");
        }
        thread::sleep(RETRY);
    }
}

/// The same without waiting: `None` if another has it.
///
/// # Errors
/// If the file can't be made.
pub(super) fn try_acquire(path: &Path) -> anyhow::Result<Option<Lock>> {
    let failed = || format!("can't lock {}", path.display());
    let directory = path.parent().with_context(failed)?;
    loop {
        fs::create_dir_all(directory).with_context(failed)?;
        let file = match File::options().create(true).truncate(false).write(true).open(path) {
            Ok(file) => file,
            // The directory was removed in between.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(failed),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        // Who had it before may have removed the file: then this is a lock on nothing.
        let same = |now: fs::Metadata| file.metadata().is_ok_and(|mine| mine.ino() == now.ino());
        if fs::metadata(path).is_ok_and(same) {
            return Ok(Some(Lock { _file: file }));
        }
    }
}
