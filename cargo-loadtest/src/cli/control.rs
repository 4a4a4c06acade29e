//! The command lines of those commands that talk to a running test.

use std::net::SocketAddr;

use clap::Args;

use super::values;

/// Where the running test listens.
#[derive(Debug, Args)]
pub struct ControlArgs {
    /// What the run was given as `--control`.
    #[arg(long, value_name = "ADDR", value_parser = values::loopback, default_value = "127.0.0.1:6565")]
    pub control: SocketAddr,
}

/// How many virtual users it shall have.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// Virtual users.
    pub vus: u32,

    /// The scenario; by default every one that is controlled from outside.
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<String>,

    /// Where it is.
    #[command(flatten)]
    pub control: ControlArgs,
}
