//! The command line of `new`.

use std::path::PathBuf;

use clap::Args;

use crate::new::Template;

/// What kind of first test, and where.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The package that gets the test; by default that of the current directory.
    #[arg(short, long, value_name = "P")]
    pub package: Option<String>,

    /// Path of the Cargo.toml; by default the nearest one upwards.
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<PathBuf>,

    /// What it shows.
    #[arg(long, value_enum, default_value_t = Template::Http)]
    pub template: Template,
}
