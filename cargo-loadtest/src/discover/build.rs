//! Building with cargo: first the test binaries, then the services that the chosen tests name.
//!
//! The main types are [`Built`] and [`BuiltTarget`]. Cargo's messages for people go to them as they are;
//! only its messages for programs are read here.

use std::collections::{BTreeMap, HashMap};
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;
use cargo_metadata::{Artifact, BuildScript, Message, Package, PackageId, Target, TargetKind};
use loadtest_core::{Error, suggest};

use super::metadata::Workspace;
use super::{LoadTest, cargo, metadata};
use crate::cli::Args;
use crate::failure::{Failure, OrExit};
use crate::verdict::ExitCode;

/// The profile that is used unless the user names one.
const PROFILE: &str = "loadtest";

/// What cargo built.
#[derive(Debug)]
pub(super) struct Built<'w> {
    /// Test executables, in cargo's order of packages and targets.
    pub(super) targets: Vec<BuiltTarget<'w>>,
    /// What build scripts said.
    pub(super) scripts: HashMap<PackageId, BuildScript>,
}

/// A test executable.
#[derive(Debug)]
pub(super) struct BuiltTarget<'w> {
    /// Its package.
    pub(super) package: &'w Package,
    /// `lib`, `bin:NAME`, `test:NAME`, …: the middle part of ids.
    pub(super) name: String,
    /// The file.
    pub(super) executable: PathBuf,
}

/// Builds the tests of every package that can have load tests.
///
/// # Errors
/// If cargo fails, or the profile does not optimise and that was not asked for.
pub(super) fn tests<'w>(workspace: &'w Workspace, args: &Args) -> Result<Built<'w>, Failure> {
    if matches!(args.profile.as_str(), "dev" | "test") && !args.allow_debug {
        return Err(unoptimised(&args.profile));
    }
    let mut command = cargo::command(args, "test");
    // `--tests` takes every target with `test = true`: library, binaries, tests/*.rs, and examples and
    // benches that ask for it. Unlike `--lib` it does not mind a package without a library.
    command.args(["--no-run", "--tests"]);
    cargo::add_features(&mut command, args, |feature| !workspace.is_feature_of_others_only(feature));
    for package in workspace.dependents() {
        command.args(["--package", &package.id.repr]);
    }
    add_profile(&mut command, workspace, args)?;
    let messages = run(command)?;
    let mut built = Built { targets: Vec::new(), scripts: messages.scripts };
    for artifact in messages.artifacts {
        let Artifact { package_id, target, profile, executable: Some(executable), .. } = artifact else {
            continue;
        };
        let of = workspace.dependents().into_iter().find(|package| package.id == package_id);
        let (true, Some(package)) = (profile.test, of) else { continue };
        if profile.opt_level == "0" && !args.allow_debug {
            return Err(unoptimised(&args.profile));
        }
        built.targets.push(BuiltTarget {
            package,
            name: target_name(&target),
            executable: executable.into(),
        });
    }
    // Cargo tells them in the order in which they were ready.
    built.targets.sort_by(|a, b| {
        (&a.package.name, rank(&a.name), &a.name).cmp(&(&b.package.name, rank(&b.name), &b.name))
    });
    Ok(built)
}

fn unoptimised(profile: &str) -> Failure {
    Failure::new(
        ExitCode::Usage,
        format!(
            "the profile `{profile}` does not optimise, so the numbers would say little\n\
             hint: leave `--profile` out, set `opt-level` in `[profile.{profile}]`, or add --allow-debug"
        ),
    )
}

impl Workspace {
    /// Builds the binaries that tests name in `binaries`, as they are shipped: without the features of
    /// dev-dependencies. Returns their paths, by the tests' package and the name.
    ///
    /// # Errors
    /// If there is no binary of that name, or cargo fails.
    pub fn build_services(
        &self,
        tests: &[&LoadTest],
        args: &Args,
    ) -> Result<BTreeMap<(String, String), PathBuf>, Failure> {
        let mut paths = BTreeMap::new();
        // By package, so that each is built with its own features.
        let mut wanted: BTreeMap<&PackageId, Vec<(String, String)>> = BTreeMap::new();
        for test in tests {
            for name in test.definitions.iter().flat_map(|definition| &definition.binaries) {
                let owner = self
                    .owner(&test.binary.package, name)
                    .map_err(|error| Failure::new(ExitCode::SetupFailed, error.context(&test.id)))?;
                let names = wanted.entry(&owner.id).or_default();
                let entry = (test.binary.package.clone(), name.clone());
                if !names.contains(&entry) {
                    names.push(entry);
                }
            }
        }
        for (owner, entries) in wanted {
            let Some(package) = self.package(owner) else { continue };
            let mut command = cargo::command(args, "build");
            command.args(["--package", &owner.repr]);
            cargo::add_features(&mut command, args, |feature| metadata::takes_feature(package, feature));
            let mut names: Vec<&str> = entries.iter().map(|(_, name)| name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            for name in &names {
                command.args(["--bin", name]);
            }
            add_profile(&mut command, self, args)?;
            let artifacts = run(command)?.artifacts;
            for (of, name) in entries {
                let path = artifacts.iter().find_map(|artifact| {
                    let is_it = artifact.package_id == *owner
                        && artifact.target.is_kind(TargetKind::Bin)
                        && artifact.target.name == name;
                    artifact.executable.as_ref().filter(|_| is_it)
                });
                let path =
                    path.with_context(|| format!("cargo built `{name}` and does not say where it is"))?;
                paths.insert((of, name), path.clone().into());
            }
        }
        Ok(paths)
    }

    /// The package that has a binary: that of the test itself, or the only one in the workspace.
    fn owner(&self, package: &str, name: &str) -> Result<&Package, Error> {
        let has = |package: &&Package| metadata::binaries(package).any(|binary| binary == name);
        let members = self.members();
        let own = members.iter().find(|member| member.name == package);
        if let Some(own) = own.filter(|own| has(own)) {
            return Ok(own);
        }
        let mut others = members.iter().filter(|member| has(member));
        match (others.next(), others.next()) {
            (Some(only), None) => Ok(only),
            (Some(first), Some(second)) => Err(Error::new(format!(
                "`binaries` names `{name}`, which is a binary of both {} and {}",
                first.name, second.name
            ))
            .hint("rename one of them, or move the test to the package with the right one")),
            _ => {
                let known: Vec<&str> = own.map(|own| metadata::binaries(own).collect()).unwrap_or_default();
                let error = Error::new(format!("`binaries` names `{name}`, which is no binary of {package}"));
                Err(match known.is_empty() {
                    true => error.hint(format!("{package} has none; put one at src/bin/{name}.rs")),
                    false => error.hint(suggest::hint(name, known.iter().copied())),
                })
            }
        }
    }
}

fn add_profile(command: &mut Command, workspace: &Workspace, args: &Args) -> Result<(), Failure> {
    command.args(["--profile", &args.profile, "--message-format=json-render-diagnostics"]);
    let theirs = std::env::var_os("CARGO_PROFILE_LOADTEST_INHERITS").is_some()
        || workspace.sets_up_profile(PROFILE)?;
    if args.profile == PROFILE && !theirs {
        command.args(["--config", "profile.loadtest.inherits=\"release\""]);
    }
    if let Some(directory) = &args.target_dir {
        command.arg("--target-dir").arg(directory);
    }
    Ok(())
}

#[derive(Default)]
struct Messages {
    artifacts: Vec<Artifact>,
    scripts: HashMap<PackageId, BuildScript>,
}

fn run(mut command: Command) -> Result<Messages, Failure> {
    let mut child = command.stderr(Stdio::inherit()).spawn().context("can't start cargo")?;
    let mut messages = Messages::default();
    if let Some(output) = child.stdout.take() {
        for message in Message::parse_stream(BufReader::new(output)) {
            match message.context("cargo's messages broke off")? {
                Message::CompilerArtifact(artifact) => messages.artifacts.push(artifact),
                Message::BuildScriptExecuted(script) => {
                    messages.scripts.insert(script.package_id.clone(), script);
                }
                Message::TextLine(line) => eprintln!("{line}"),
                _ => {}
            }
        }
    }
    let status = child.wait().context("can't wait for cargo").or_exit(ExitCode::Internal)?;
    match status.success() {
        true => Ok(messages),
        false => Err(Failure::new(
            ExitCode::BuildFailed,
            format!("cargo could not build the load tests ({status})"),
        )),
    }
}

/// `lib`, `bin:NAME`, `test:NAME`, `example:NAME`, `bench:NAME`.
fn target_name(target: &Target) -> String {
    let kind = target.kind.iter().find_map(|kind| match kind {
        TargetKind::Bin => Some("bin"),
        TargetKind::Test => Some("test"),
        TargetKind::Example => Some("example"),
        TargetKind::Bench => Some("bench"),
        _ => None,
    });
    kind.map_or_else(|| "lib".to_owned(), |kind| format!("{kind}:{}", target.name))
}

/// The library first, then binaries, then the rest by name.
fn rank(name: &str) -> u8 {
    match name.split_once(':') {
        None => 0,
        Some(("bin", _)) => 1,
        Some(_) => 2,
    }
}
