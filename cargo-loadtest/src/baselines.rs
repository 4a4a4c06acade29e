//! The command `baseline`: listing, showing, removing, exporting and importing saved baselines.
//!
//! The main function is [`run`]. The store does the work; here is only what is said about it.

mod list;
mod show;

use loadtest_core::units::format_bytes;

use crate::cli::{BaselineCommand, baseline_name};
use crate::failure::{Failure, OrExit, plain};
use crate::stored::{count, open};
use crate::terminal::print_out;
use crate::verdict::ExitCode;

/// Does what `cargo loadtest baseline` was asked to do.
///
/// # Errors
/// If there is no baseline of the name, or the store or the file can't be used.
pub fn run(command: &BaselineCommand) -> Result<ExitCode, Failure> {
    let text = match command {
        BaselineCommand::List { store, format } => list::list(&open(store)?, *format)?,
        BaselineCommand::Show { name, store, format } => {
            let place = open(store)?;
            let name = checked(name)?;
            match show::show(&place, name, *format)? {
                Some(text) => text,
                None => return Err(missing(&place.store.no_baseline(name))),
            }
        }
        BaselineCommand::Remove { name, store } => {
            let place = open(store)?;
            let name = checked(name)?;
            let Some(sessions) = place.store.remove_baseline(name)? else {
                return Err(missing(&place.store.no_baseline(name)));
            };
            let history = match sessions {
                0 => String::new(),
                n => format!("; {} of its history count for it no longer and stay too", count(n, "session")),
            };
            format!(
                "removed the baseline {name}; its runs stay in {}{history}\n",
                place.store.path().display()
            )
        }
        BaselineCommand::Export { name, file, store } => {
            let place = open(store)?;
            let written = place.store.export(checked(name)?, file)?;
            format!(
                "wrote {}: the baseline {} with {} and {}, {}\n",
                file.display(),
                written.name,
                count(written.runs.len(), "run"),
                count(written.sessions, "session"),
                format_bytes(written.bytes as f64)
            )
        }
        BaselineCommand::Import { file, name, force, store } => {
            let place = open(store)?;
            let name = name.as_deref().map(checked).transpose()?;
            let read = place.store.import(file, name, *force)?;
            let mut text = format!(
                "the baseline {} is here now, with {} and {}\n",
                read.name,
                count(read.runs.len(), "run"),
                count(read.sessions, "session")
            );
            if read.elsewhere > 0 {
                text.push_str(&format!(
                    "{} were here before under another name and don't count as its history\n",
                    count(read.elsewhere, "session")
                ));
            }
            text
        }
    };
    print_out(&plain(&text))?;
    Ok(ExitCode::Passed)
}

fn checked(name: &str) -> Result<&str, Failure> {
    baseline_name(name).or_exit(ExitCode::Usage)?;
    Ok(name)
}

fn missing(message: &str) -> Failure {
    Failure::new(ExitCode::BaselineMissing, message)
}
