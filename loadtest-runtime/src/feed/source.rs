//! Where the items of a feed come from, and how messages call that place.
//!
//! The main type is [`Source`]. Files are streamed: no copy of their text is kept.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// A file, or text that is in memory already.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    File(&'a Path),
    Text(&'a str),
}

impl<'a> Source<'a> {
    /// The file's name; text has none.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        match self {
            Self::File(path) => path.file_name().map(|name| name.to_string_lossy().into()),
            Self::Text(_) => None,
        }
    }

    /// Opens it, without a buffer.
    pub(super) fn open(&self) -> Result<Box<dyn Read + 'a>, String> {
        match *self {
            Self::File(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(file)),
                Err(error) => Err(self.not_opened(path, &error)),
            },
            Self::Text(text) => Ok(Box::new(text.as_bytes())),
        }
    }

    /// What a failed read says.
    pub(super) fn unreadable(&self, error: &io::Error) -> String {
        let hint = if error.kind() == io::ErrorKind::IsADirectory { "\nhint: name a file in it" } else { "" };
        format!("the feed from {self} can't be read: {error}{hint}")
    }

    /// Nothing to hand out.
    pub(super) fn empty(&self, has: &str) -> String {
        format!("the feed from {self} has no items: {has}\nhint: a feed needs at least one")
    }

    fn not_opened(&self, path: &Path, error: &io::Error) -> String {
        if error.kind() != io::ErrorKind::NotFound {
            return self.unreadable(error);
        }
        let looked = match std::env::current_dir() {
            Ok(directory) if path.is_relative() => format!(", looked for in {}", directory.display()),
            _ => String::new(),
        };
        format!(
            "the feed from {self} can't be read: no such file{looked}\n\
             hint: write the path relative to the directory of the package's Cargo.toml, or in full"
        )
    }
}

/// As messages write it: `data/users.csv`, or `text`.
impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Text(_) => f.write_str("text"),
        }
    }
}
