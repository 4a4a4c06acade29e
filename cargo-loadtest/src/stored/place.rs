//! Where the store of the current workspace is, without building or asking for more than that.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::cli::StoreArgs;
use crate::config::Config;
use crate::failure::{Failure, OrExit};
use crate::store::Store;
use crate::verdict::ExitCode;

/// A workspace and its store.
#[derive(Debug)]
pub(crate) struct Place {
    /// The directory of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    /// Its store.
    pub(crate) store: Store,
}

/// Finds the workspace and opens its store.
///
/// # Errors
/// If there is no workspace, `loadtest.toml` can't be understood, or the store is not a directory.
pub(crate) fn open(args: &StoreArgs) -> Result<Place, Failure> {
    let root = workspace_root(args)?;
    let config = Config::load(&root).or_exit(ExitCode::Usage)?;
    let store = Store::open(&root, config.store.as_deref())?;
    Ok(Place { root, store })
}

fn workspace_root(args: &StoreArgs) -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["locate-project", "--workspace", "--message-format", "plain"]).stdin(Stdio::null());
    if let Some(path) = &args.manifest_path {
        command.arg("--manifest-path").arg(path);
    }
    let output = command.output().context("can't start cargo").or_exit(ExitCode::Internal)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let manifest = PathBuf::from(text.trim_end_matches(['\r', '\n']));
    match manifest.parent() {
        Some(root) if output.status.success() => Ok(root.to_owned()),
        _ => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let complaint = complaint.trim().trim_start_matches("error: ");
            let message = format!(
                "{complaint}\nhint: go to the workspace whose load tests are meant, or name it with --manifest-path"
            );
            Err(Failure::new(ExitCode::Usage, message))
        }
    }
}
