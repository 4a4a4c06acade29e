//! The files through which a step talks to the runner: appended to, never overwritten, within their limits.
//!
//! The main functions are [`append`], [`append_within`] and [`assignment`].

use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::Path;

/// The limit of a step's summary, 1 MiB, with what the runner may count besides left free. A step that crosses it loses
/// the whole summary.
pub const MAX_SUMMARY: usize = 1024 * 1024 - 1024;

/// The limit of a comment is 65,536 characters. Bytes are never fewer, and whoever posts it may add a line.
pub const MAX_COMMENT: usize = 65_000;

/// Appends to a file, which is made if it does not exist.
pub(super) fn append(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).open(path)?.write_all(text.as_bytes())
}

/// Appends what is made for the room that is left in a file below `limit` bytes. Returns whether there was room.
pub(super) fn append_within(
    path: &Path,
    limit: usize,
    make: impl FnOnce(usize) -> Option<String>,
) -> io::Result<bool> {
    let before = match fs::read(path) {
        Ok(before) => before,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    // What another program wrote may end within a line or a paragraph, which would take in the first heading.
    let gap = match before.as_slice() {
        [] | [.., b'\n', b'\n'] => "",
        [.., b'\n'] => "\n",
        _ => "\n\n",
    };
    let room = limit.saturating_sub(before.len() + gap.len());
    match make(room) {
        Some(text) => append(path, &format!("{gap}{text}")).map(|()| true),
        None => Ok(false),
    }
}

/// An output's line or lines. The delimiter is new each time, so no value can end itself and set another output.
pub(super) fn assignment(name: &str, value: &str) -> String {
    loop {
        let half = || RandomState::new().hash_one(name);
        let delimiter = format!("loadtest_{:016x}{:016x}", half(), half());
        if !value.contains(&delimiter) {
            return format!("{name}<<{delimiter}\n{value}\n{delimiter}\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_and_counts() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("summary");
        fs::write(&path, "of another program").expect("writes");
        let wrote = append_within(&path, 100, |room| {
            assert_eq!(room, 100 - "of another program".len() - 2);
            Some("ours\n".to_owned())
        });
        assert!(wrote.expect("it can be written"));
        assert_eq!(fs::read_to_string(&path).expect("reads"), "of another program\n\nours\n");

        assert!(!append_within(&path, 10, |room| (room > 0).then(String::new)).expect("it can be read"));
        assert_eq!(fs::read_to_string(&path).expect("reads"), "of another program\n\nours\n");
    }

    #[test]
    fn an_output_can_not_set_another() {
        let text = assignment("first-line", "a\nEOF\nverdict=passed");
        let (head, rest) = text.split_once('\n').expect("lines");
        let delimiter = head.strip_prefix("first-line<<").expect("a delimiter");
        assert_eq!(rest, format!("a\nEOF\nverdict=passed\n{delimiter}\n"));
        assert_ne!(assignment("a", "b"), assignment("a", "b"));
    }
}
