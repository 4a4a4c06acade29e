//! The commands of cargo that are used, with what they have in common.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cli::TargetArgs;

/// A subcommand of the cargo that started this program, with the user's place and network options. What it
/// says to people goes to them unchanged.
pub(super) fn command(args: &TargetArgs, subcommand: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = match args.directory.as_deref().is_some_and(names_another_toolchain) {
        false => Command::new(cargo),
        // What rustup chose here is this tree's; another tree's own choice is part of what is compared.
        true => {
            let mut command = Command::new("cargo");
            command.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC");
            command
        }
    };
    command.arg(subcommand).stdin(Stdio::null()).stdout(Stdio::piped());
    if let Some(directory) = &args.directory {
        command.current_dir(directory);
    }
    if let Some(path) = &args.manifest_path {
        command.arg("--manifest-path").arg(path);
    }
    for (set, flag) in [(args.offline, "--offline"), (args.locked, "--locked"), (args.frozen, "--frozen")] {
        if set {
            command.arg(flag);
        }
    }
    if args.quiet {
        command.arg("--quiet");
    }
    command
}

/// Whether rustup is told to use another toolchain in a directory than here.
fn names_another_toolchain(directory: &Path) -> bool {
    let chosen = |directory: &Path| -> Option<Vec<u8>> {
        let files = ["rust-toolchain.toml", "rust-toolchain"];
        directory.ancestors().find_map(|at| files.iter().find_map(|file| std::fs::read(at.join(file)).ok()))
    };
    let there = chosen(directory);
    there.is_some() && there != std::env::current_dir().ok().and_then(|here| chosen(&here))
}

/// The feature options; `takes` says which of the named features belong here.
pub(super) fn add_features(command: &mut Command, args: &TargetArgs, takes: impl Fn(&str) -> bool) {
    if args.all_features {
        command.arg("--all-features");
    }
    if args.no_default_features {
        command.arg("--no-default-features");
    }
    let named: Vec<&str> = feature_names(args).filter(|feature| takes(feature)).collect();
    if !named.is_empty() {
        command.arg("--features").arg(named.join(","));
    }
}

/// The features that the user named, one by one.
pub(super) fn feature_names(args: &TargetArgs) -> impl Iterator<Item = &str> {
    args.features
        .iter()
        .flat_map(|list| list.split([',', ' ', '\t', '\n']))
        .map(str::trim)
        .filter(|feature| !feature.is_empty())
}
