//! The command lines of `plan` and `show-config`: a test with its options, before it runs.

use clap::Args;
use loadtest_core::plan::Shard;

use super::{Format, LoadArgs, TargetArgs};

/// What is to be planned: a test, or a load that the options describe by themselves.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Which tests, built how.
    #[command(flatten)]
    pub target: TargetArgs,

    /// What shapes the load.
    #[command(flatten)]
    pub load: LoadArgs,

    /// The part of the load that one of N generators makes.
    #[arg(long, value_name = "I/N", default_value = "0/1", help_heading = "Planning")]
    pub shard: Shard,

    /// The virtual users that are held for ramping down, too.
    #[arg(long, help_heading = "Planning")]
    pub reserved: bool,

    /// A chart and sentences, or every level or start.
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Planning")]
    pub format: Format,
}

/// Whose options are to be shown.
#[derive(Debug, Args)]
pub struct ShowConfigArgs {
    /// Which tests, built how.
    #[command(flatten)]
    pub target: TargetArgs,

    /// What shapes the load.
    #[command(flatten)]
    pub load: LoadArgs,

    /// A table, or a document.
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Showing")]
    pub format: Format,
}
