//! The command `store prune`: runs and checkouts that nobody needs any more.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use loadtest_core::units::format_bytes;

use super::{count, open};
use crate::cli::StoreCommand;
use crate::failure::Failure;
use crate::terminal::print_out;
use crate::verdict::ExitCode;

/// Does what `cargo loadtest store` was asked to do.
///
/// # Errors
/// If the store can't be opened or something can't be removed.
pub fn store(command: &StoreCommand) -> Result<ExitCode, Failure> {
    let StoreCommand::Prune { days, dry_run, store } = command;
    let place = open(store)?;
    let age = SignedDuration::from_hours(i64::from(*days) * 24);
    let removed = place.store.prune(age, Timestamp::now(), *dry_run)?;
    let would = if *dry_run { "would be " } else { "" };
    let mut text = String::new();
    for run in &removed {
        let what = if run.is_unfinished { ", which was not finished" } else { "" };
        // Writing to a String can't fail.
        let _ = writeln!(text, "{would}removed  run {}{what}: {}", run.id, format_bytes(run.bytes as f64));
    }
    let bytes: u64 = removed.iter().map(|run| run.bytes).sum();
    let runs = count(removed.len(), "run");
    let _ =
        writeln!(text, "{runs} {would}removed, {}; sessions and baselines stay", format_bytes(bytes as f64));
    text.push_str(&checkouts(*days, *dry_run)?);
    print_out(&text)?;
    Ok(ExitCode::Passed)
}

/// Checkouts of other revisions are in the user's cache, not in the store.
fn checkouts(days: u32, is_dry: bool) -> anyhow::Result<String> {
    use crate::git::{Keep, cache_directory, prune};
    let cache = cache_directory();
    if is_dry {
        return Ok(format!("checkouts of other revisions in {} are not looked at\n", cache.display()));
    }
    let pruned = prune(&cache, Keep::UsedWithin(Duration::from_secs(u64::from(days) * 86_400)))?;
    let in_use = match pruned.in_use {
        0 => String::new(),
        n => format!(", {n} of them in use"),
    };
    Ok(format!(
        "{} of other revisions removed, {}; {} kept{in_use}\n",
        count(pruned.removed, "checkout"),
        format_bytes(pruned.bytes as f64),
        pruned.kept
    ))
}
