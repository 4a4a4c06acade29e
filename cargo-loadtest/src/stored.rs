//! The commands `compare` and `store`: what is done with stored runs alone.
//!
//! The main functions are [`compare`] and [`store`]. Neither builds or runs anything.

mod compare;
mod place;
mod prune;
pub(crate) mod summary;
mod table;

use std::path::Path;

use jiff::Timestamp;

pub use compare::compare;
pub(crate) use place::{Place, open};
pub use prune::store;
pub(crate) use table::Table;

/// The digits of a commit that one reads, with `+` where the tree differed from it.
pub(crate) fn revision(revision: &loadtest_core::results::Revision) -> String {
    let commit = revision.commit.as_deref().map(|commit| commit.get(..9).unwrap_or(commit));
    let dirty = if revision.dirty { "+" } else { "" };
    commit.map_or_else(|| "–".to_owned(), |commit| format!("{commit}{dirty}"))
}

/// How long ago a time was, in one unit; the text itself if it is no time.
pub(crate) fn age(then: &str, now: Timestamp) -> String {
    let Ok(time) = then.parse::<Timestamp>() else { return then.to_owned() };
    let seconds = now.duration_since(time).as_secs_f64().max(0.0);
    let (length, unit) = match seconds {
        s if s < 120.0 => (1.0, "s"),
        s if s < 7_200.0 => (60.0, "min"),
        s if s < 172_800.0 => (3_600.0, "h"),
        _ => (86_400.0, "days"),
    };
    format!("{:.0} {unit} ago", (seconds / length).floor())
}

/// `1 run`, `3 runs`.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// Writes a page where the user wants it.
pub(crate) fn write_page(path: &Path, html: &str) -> anyhow::Result<()> {
    use anyhow::Context as _;
    std::fs::write(path, html).with_context(|| format!("can't write {}", path.display()))
}
