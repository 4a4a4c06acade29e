//! The package that gets the first test: what cargo says of it, and adding the runtime to it.
//!
//! The main type is [`Package`]. Nothing is resolved or downloaded to find it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, Edition, Metadata, MetadataCommand, TargetKind};
use loadtest_core::suggest;

use crate::cli::NewArgs;
use crate::failure::{Failure, OrExit as _};
use crate::verdict::ExitCode;

/// The package that load tests depend on.
pub(super) const RUNTIME: &str = "loadtest-runtime";

/// A package of the workspace.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) manifest: PathBuf,
    /// Where its manifest is.
    pub(super) directory: PathBuf,
    /// What it calls the runtime, if it depends on it.
    pub(super) runtime: Option<String>,
    /// The names of its test targets.
    pub(super) tests: Vec<String>,
}

/// The package that the command line means: the named one, or that of the current directory.
///
/// # Errors
/// If cargo can't read the workspace, there is no such package, several could be meant, or its edition has no
/// async functions.
pub(super) fn find(args: &NewArgs) -> Result<Package, Failure> {
    let metadata = metadata(args)?;
    let found = choose(&metadata, args.package.as_deref()).or_exit(ExitCode::Usage)?;
    if found.edition == Edition::E2015 {
        let message = format!(
            "the package `{}` is of the edition 2015, which has no async functions\n\
             hint: set `edition = \"2021\"` in {}",
            found.name, found.manifest_path
        );
        return Err(Failure::new(ExitCode::Usage, message));
    }
    let manifest: PathBuf = found.manifest_path.clone().into();
    let of_runtime = |kind| matches!(kind, DependencyKind::Normal | DependencyKind::Development);
    let dependency =
        found.dependencies.iter().find(|d| d.name == RUNTIME && of_runtime(d.kind) && !d.optional);
    Ok(Package {
        name: found.name.to_string(),
        directory: manifest.parent().map(Path::to_owned).unwrap_or_default(),
        runtime: dependency.map(|d| d.rename.clone().unwrap_or_else(|| d.name.clone())),
        tests: tests(found),
        manifest,
    })
}

/// Whether cargo knows a test target.
///
/// # Errors
/// If cargo can't read the workspace any more.
pub(super) fn has_test(args: &NewArgs, package: &str, test: &str) -> Result<bool, Failure> {
    let metadata = metadata(args)?;
    let package = metadata.workspace_packages().into_iter().find(|member| member.name == package);
    Ok(package.is_some_and(|package| tests(package).iter().any(|name| name == test)))
}

/// Has cargo add the runtime, by the path of its sources, to the dev-dependencies.
///
/// # Errors
/// If cargo can't, with what to type instead.
pub(super) fn add_runtime(package: &Package, runtime: &Path) -> Result<(), Failure> {
    let output = Command::new(cargo())
        .args(["add", "--quiet", "--dev", "--manifest-path"])
        .arg(&package.manifest)
        .arg("--path")
        .arg(runtime)
        .stdin(Stdio::null())
        .output()
        .context("can't start cargo")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let message = format!(
        "the test is written, but cargo could not add {RUNTIME} to {}: {}\n\
         hint: add it to [dev-dependencies]: {RUNTIME} = {{ path = {:?} }}",
        package.manifest.display(),
        said.trim(),
        runtime.display().to_string()
    );
    Err(Failure::new(ExitCode::Internal, message))
}

fn metadata(args: &NewArgs) -> Result<Metadata, Failure> {
    let mut command = MetadataCommand::new();
    command.cargo_path(cargo()).no_deps();
    if let Some(path) = &args.manifest_path {
        command.manifest_path(path);
    }
    match command.exec() {
        Ok(metadata) => Ok(metadata),
        Err(cargo_metadata::Error::CargoMetadata { stderr }) => {
            let said = stderr.trim();
            let said = said.strip_prefix("error: ").unwrap_or(said);
            let message = format!(
                "there is no package to write a test for: {said}\n\
                 hint: `cargo new --lib shop` makes one; `--manifest-path` names one elsewhere"
            );
            Err(Failure::new(ExitCode::Usage, message))
        }
        Err(error) => {
            Err(error).context("cargo can't be asked for the workspace").or_exit(ExitCode::Internal)
        }
    }
}

fn choose<'m>(
    metadata: &'m Metadata,
    wanted: Option<&str>,
) -> Result<&'m cargo_metadata::Package, loadtest_core::Error> {
    let members = metadata.workspace_packages();
    let names = || members.iter().map(|package| package.name.as_str());
    if let Some(wanted) = wanted {
        return members.iter().find(|package| package.name == wanted).copied().ok_or_else(|| {
            loadtest_core::Error::new(format!("no package of this workspace is called `{wanted}`"))
                .hint(suggest::hint(wanted, names().collect::<Vec<_>>()))
        });
    }
    // In the directory of a package, that one; at a workspace's root, the root package if there is one.
    let meant = match metadata.workspace_default_packages().as_slice() {
        [one] => Some(*one),
        _ => metadata.root_package(),
    };
    meant.ok_or_else(|| {
        let names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
        loadtest_core::Error::new("which package of this workspace is meant?").hint(match names.as_slice() {
            [] => "it has none yet: `cargo new --lib shop` makes one".to_owned(),
            names => format!("`--package P`, where P is one of {}", names.join(", ")),
        })
    })
}

fn tests(package: &cargo_metadata::Package) -> Vec<String> {
    let tests = package.targets.iter().filter(|target| target.is_kind(TargetKind::Test));
    tests.map(|target| target.name.clone()).collect()
}

/// The cargo that started this program.
fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}
