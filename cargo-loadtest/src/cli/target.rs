//! Options that say which tests are meant and how they are built: those of every command that needs a test
//! binary.

use std::path::PathBuf;

use clap::Args;

/// Which tests, built how.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// Run the load tests whose id contains one of these; all of them by default.
    ///
    /// The id of a test is package/target/path::name, for example `shop/lib/tests::buy`.
    #[arg(value_name = "FILTER", help_heading = "Selecting tests")]
    pub filters: Vec<String>,

    /// Words of the command line that are filters and could be the value of the option before them, with how that
    /// would be written: `full`, `--http-debug=full`.
    #[arg(skip)]
    pub detached: Vec<(String, String)>,

    /// Packages to look into; by default those that `cargo test` would take.
    ///
    /// Names, `name@version`, or patterns with `*` and `?`. Can be given several times.
    #[arg(short, long, value_name = "PKG", help_heading = "Selecting tests", conflicts_with = "workspace")]
    pub package: Vec<String>,

    /// Look into every package of the workspace.
    #[arg(long, help_heading = "Selecting tests")]
    pub workspace: bool,

    /// Leave a package out of `--workspace`.
    #[arg(long, value_name = "PKG", help_heading = "Selecting tests", requires = "workspace")]
    pub exclude: Vec<String>,

    /// Look only into packages that changed since a git revision, and those that depend on them.
    #[arg(long, value_name = "REV", help_heading = "Selecting tests")]
    pub changed_since: Option<String>,

    /// FILTER is the whole id of a test, or its whole path within the target.
    #[arg(long, help_heading = "Selecting tests", requires = "filters")]
    pub exact: bool,

    /// Features to build with, separated by commas or spaces.
    #[arg(short = 'F', long, value_name = "FEATURES", help_heading = "Building")]
    pub features: Vec<String>,

    /// Build with all features.
    #[arg(long, help_heading = "Building")]
    pub all_features: bool,

    /// Build without the default features.
    #[arg(long, help_heading = "Building")]
    pub no_default_features: bool,

    /// Cargo profile of test binaries and services.
    ///
    /// The profile `loadtest` inherits `release`; a section `[profile.loadtest]` in the workspace's
    /// Cargo.toml changes it.
    #[arg(long, value_name = "NAME", default_value = "loadtest", help_heading = "Building")]
    pub profile: String,

    /// Run also what was built without optimisation, whose numbers mean little.
    #[arg(long, help_heading = "Building")]
    pub allow_debug: bool,

    /// Directory for what is built; by default that of cargo.
    #[arg(long, value_name = "DIR", help_heading = "Building")]
    pub target_dir: Option<PathBuf>,

    /// Path of the Cargo.toml; by default the nearest one upwards.
    #[arg(long, value_name = "PATH", help_heading = "Building")]
    pub manifest_path: Option<PathBuf>,

    /// Build without the network.
    #[arg(long, help_heading = "Building")]
    pub offline: bool,

    /// Refuse to change Cargo.lock.
    #[arg(long, help_heading = "Building")]
    pub locked: bool,

    /// Both `--locked` and `--offline`.
    #[arg(long, help_heading = "Building")]
    pub frozen: bool,

    /// Where cargo is started, if not here: what it finds above is its configuration.
    #[arg(skip)]
    pub directory: Option<PathBuf>,

    /// Show results and errors only: no progress, no output of cargo or of the tests.
    #[arg(short, long, help_heading = "Reporting")]
    pub quiet: bool,
}
