//! Options of the commands about what is stored: `baseline`, `compare`, `trend`, `history`, `store`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Format;

/// Where the store is.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// Path of the workspace's Cargo.toml; by default the nearest one upwards.
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<PathBuf>,
}

/// What to do about saved baselines.
#[derive(Debug, Clone, Subcommand)]
pub enum BaselineCommand {
    /// List the saved baselines.
    List {
        /// Where the store is.
        #[command(flatten)]
        store: StoreArgs,
        /// A table, or a JSON document.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show what a baseline holds: its sessions, machine, tests and values.
    Show {
        /// The baseline.
        name: String,
        /// Where the store is.
        #[command(flatten)]
        store: StoreArgs,
        /// A table, or a JSON document.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Forget a baseline; its runs stay in the store.
    Remove {
        /// The baseline.
        name: String,
        /// Where the store is.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Write a baseline with its runs and history into one file.
    Export {
        /// The baseline.
        name: String,
        /// The file.
        file: PathBuf,
        /// Where the store is.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Read a baseline that was exported.
    Import {
        /// The file.
        file: PathBuf,
        /// Give it another name.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Replace a baseline of that name.
        #[arg(long)]
        force: bool,
        /// Where the store is.
        #[command(flatten)]
        store: StoreArgs,
    },
}

/// Compare stored runs without running anything.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// What the others are compared with: a baseline, a run, a session, a commit, or a path.
    pub base: String,
    /// What is compared with it.
    #[arg(required = true)]
    pub heads: Vec<String>,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// A table, or the comparison as JSON.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// File for the HTML report of the comparison.
    #[arg(long, value_name = "PATH")]
    pub report: Option<PathBuf>,
    /// Metrics that decide.
    #[arg(long, value_name = "METRIC,…")]
    pub gate: Option<String>,
    /// The smallest change that matters.
    #[arg(long, value_name = "PCT")]
    pub min_effect: Option<String>,
    /// Within what a metric counts as unchanged.
    #[arg(long, value_name = "PCT")]
    pub equivalence: Option<String>,
    /// The share of false alarms that is accepted.
    #[arg(long, value_name = "PCT")]
    pub alpha: Option<String>,
}

/// Show how a test developed over the stored sessions.
#[derive(Debug, Clone, Args)]
pub struct TrendArgs {
    /// The test: its id, or a part of it that no other has.
    pub test: String,
    /// Which metric; by default those that decide.
    #[arg(long, value_name = "METRIC")]
    pub metric: Option<String>,
    /// Only the sessions that were saved under this name.
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,
    /// The last N sessions.
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Text with a chart, or a JSON document.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// File for an HTML page with charts.
    #[arg(long, value_name = "PATH")]
    pub report: Option<PathBuf>,
}

/// Share the history of sessions by an orphan branch of the repository.
#[derive(Debug, Clone, Subcommand)]
pub enum HistoryCommand {
    /// Add the sessions of this store to the branch.
    Push(HistoryArgs),
    /// Add the sessions of the branch to this store.
    Pull(HistoryArgs),
}

/// Which branch.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// The branch.
    #[arg(long, value_name = "NAME", default_value = "loadtest-history")]
    pub branch: String,
    /// The remote; `.` is this repository alone.
    #[arg(long, value_name = "NAME", default_value = "origin")]
    pub remote: String,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// What to do about the store.
#[derive(Debug, Clone, Subcommand)]
pub enum StoreCommand {
    /// Remove what is no longer needed: runs that no baseline and no session needs, and checkouts of other revisions.
    Prune {
        /// Keep what was used in the last N days.
        #[arg(long, value_name = "N", default_value_t = 30)]
        days: u32,
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
        /// Where the store is.
        #[command(flatten)]
        store: StoreArgs,
    },
}
