//! The command `history`: sessions shared by an orphan branch, one file for each.
//!
//! The main functions are `push` and `pull`. A session's file is never changed once it is on the branch, so jobs
//! that push at once have nothing to disagree about: who comes second builds on the first one's commit. `branch` has
//! the git that this takes; the working tree and the index of the user are never touched.

mod branch;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::bail;

use crate::cli::{HistoryArgs, HistoryCommand};
use crate::failure::{Failure, plain};
use crate::session::Session;
use crate::store::{Store, parse_session};
use crate::stored::{count, open};
use crate::terminal::print_out;
use crate::verdict::ExitCode;

use branch::{Branch, Rejected};

/// How often it is tried again when another job was faster.
const RETRIES: u32 = 5;

/// The first wait, which doubles each time.
const WAIT: Duration = Duration::from_millis(100);

/// Does what `cargo loadtest history` was asked to do.
///
/// # Errors
/// If there is no repository, the remote does not answer, or the branch holds something else.
pub fn run(command: &HistoryCommand) -> Result<ExitCode, Failure> {
    let text = match command {
        HistoryCommand::Push(args) => {
            let (store, branch) = places(args)?;
            let sent = push(&store, &branch, pause)?;
            match sent {
                0 => format!("nothing to send: {} has every session of this store\n", branch.shown()),
                n => format!("sent {} to {}\n", count(n, "session"), branch.shown()),
            }
        }
        HistoryCommand::Pull(args) => {
            let (store, branch) = places(args)?;
            let Some(pulled) = pull(&store, &branch)? else {
                return Err(Failure::new(
                    ExitCode::Usage,
                    format!("there is no {}\nhint: `cargo loadtest history push` makes it", branch.shown()),
                ));
            };
            for why in &pulled.refused {
                eprintln!("warning: {}", plain(why));
            }
            let refused = match pulled.refused.len() {
                0 => String::new(),
                n => format!(", {n} not taken"),
            };
            format!(
                "got {} from {}, {} known already{refused}\n",
                count(pulled.new, "session"),
                branch.shown(),
                pulled.known
            )
        }
    };
    print_out(&plain(&text))?;
    Ok(ExitCode::Passed)
}

fn places(args: &HistoryArgs) -> Result<(Store, Branch), Failure> {
    let place = open(&args.store)?;
    let branch = Branch::open(&place.root, &args.remote, &args.branch)
        .map_err(|error| Failure { code: ExitCode::Usage, error })?;
    Ok((place.store, branch))
}

/// Adds the sessions of a store to a branch, and returns how many. `pause` waits before the n-th retry.
///
/// # Errors
/// If the branch can't be read or written, or others were faster each time.
fn push(store: &Store, branch: &Branch, pause: impl Fn(u32)) -> anyhow::Result<usize> {
    let stored = store.sessions();
    stored.unreadable.iter().for_each(|why| eprintln!("warning: {}", plain(why)));
    for attempt in 0..=RETRIES {
        if attempt > 0 {
            pause(attempt);
        }
        let Some(tip) = branch.tip()? else { continue };
        let there: BTreeSet<String> = branch.files(&tip)?.into_iter().map(|file| file.id).collect();
        let new: Vec<&Session> =
            stored.sessions.iter().filter(|session| !there.contains(&session.id)).collect();
        if new.is_empty() {
            return Ok(0);
        }
        if branch.add(&tip, &new)? != Err(Rejected) {
            return Ok(new.len());
        }
    }
    bail!("{} was changed by others {} times in a row\nhint: try again", branch.shown(), RETRIES + 1)
}

/// Waits longer each time, and not as long as another job that began at the same moment.
fn pause(attempt: u32) {
    let random = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
    thread::sleep(WAIT.mul_f64(f64::from(1u32 << attempt.min(6)) * (0.5 + random)));
}

/// What a pull did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pulled {
    new: usize,
    known: usize,
    /// Why files were not taken.
    refused: Vec<String>,
}

/// Adds the sessions of a branch to a store; `None` if there is no such branch.
///
/// # Errors
/// If the branch can't be read, or the store can't be written.
fn pull(store: &Store, branch: &Branch) -> anyhow::Result<Option<Pulled>> {
    let Some(tip) = branch.tip()? else { bail!("{} changes faster than it can be read", branch.shown()) };
    if tip.commit.is_none() {
        return Ok(None);
    }
    let mut pulled = Pulled::default();
    let here: BTreeSet<String> = store.session_ids().into_iter().collect();
    let (known, new): (Vec<_>, Vec<_>) =
        branch.files(&tip)?.into_iter().partition(|file| here.contains(&file.id));
    pulled.known = known.len();
    for (file, content) in branch.read(&new)? {
        let place = format!("{}:sessions/{}.json", branch.name(), file.id);
        let session = content.and_then(|bytes| parse_session(&bytes, Path::new(&place)));
        match session {
            Ok(session) if session.id == file.id => {
                store.save_session(&session)?;
                pulled.new += 1;
            }
            Ok(session) => pulled.refused.push(format!("{place} holds the session {}", session.id)),
            Err(error) => pulled.refused.push(format!("{error:#}")),
        }
    }
    Ok(Some(pulled))
}

#[cfg(test)]
mod tests;
