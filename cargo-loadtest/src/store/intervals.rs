//! Interval logs: JSON lines, one for each second, appended while the test runs.
//!
//! A process that was killed may leave half a line at the end, which is dropped and said. Anything else
//! that can't be read is an error: sums over a log with a hole would be wrong without a sign of it.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, bail};
use loadtest_core::results::Interval;
use loadtest_core::wire::MAX_FRAME;

/// What a log held.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Ascending by index.
    pub(super) intervals: Vec<Interval>,
    /// Whether the last line was half written.
    pub(super) cut_off: bool,
}

/// Reads a log; `None` if there is no such file.
///
/// # Errors
/// If it can't be read, or a line that is not the last is not an interval: with file and line.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<Log>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("can't open {}", path.display())),
    };
    let mut reader = BufReader::new(file);
    let mut log = Log::default();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        // A line was a frame, so it is not longer than one may be.
        let read = reader.by_ref().take(MAX_FRAME as u64 + 1).read_until(b'\n', &mut line);
        if read.with_context(|| format!("can't read {}", path.display()))? == 0 {
            break;
        }
        let whole = line.pop_if(|last| *last == b'\n').is_some();
        if line.len() > MAX_FRAME {
            bail!("{}:{number}: the line is longer than {MAX_FRAME} bytes", path.display());
        }
        match serde_json::from_slice(&line) {
            Ok(interval) => log.intervals.push(interval),
            // Only the last line can lack its end.
            Err(_) if !whole => log.cut_off = true,
            Err(error) => bail!("{}:{number}: this is no interval: {error}", path.display()),
        }
    }
    log.intervals.sort_by_key(|interval| interval.index);
    Ok(Some(log))
}
