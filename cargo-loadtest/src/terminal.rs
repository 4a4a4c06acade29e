//! Standard output: where results go, and nothing else.

use std::io::{self, Write as _};

use anyhow::Context as _;

/// Prints results. A reader that has gone (`| head`) is no error.
///
/// # Errors
/// If standard output can't take them for another reason.
pub fn print_out(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("can't write to standard output")
        }
        _ => Ok(()),
    }
}
