//! Building with cargo: first the test binaries, then the services that the chosen tests name.
//!
//! The main types are [`Built`] and [`BuiltTarget`]. Cargo's messages for people go to them as they are;
//! only its messages for programs are read here.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use cargo_metadata::{Artifact, BuildScript, Message, Package, PackageId, Target, TargetKind};
use loadtest_core::{Error, suggest};
use rustix::process::{Pid, Signal, kill_process};

use super::metadata::Workspace;
use super::{LoadTest, cargo, metadata};
use crate::cli::TargetArgs;
use crate::failure::{Failure, OrExit};
use crate::launch;
use crate::verdict::ExitCode;

/// The profile that is used unless the user names one.
const PROFILE: &str = "loadtest";

/// How often it is asked, while cargo builds, whether a signal came.
const LOOK_FOR_SIGNALS: Duration = Duration::from_millis(50);

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
pub(super) fn tests<'w>(workspace: &'w Workspace, args: &TargetArgs) -> Result<Built<'w>, Failure> {
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
    let messages = run(command).map_err(|failure| about_profile(failure, workspace, &args.profile))?;
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

/// Adds what may have been meant where cargo does not know the profile.
fn about_profile(failure: Failure, workspace: &Workspace, profile: &str) -> Failure {
    let variable = format!("CARGO_PROFILE_{}_INHERITS", profile.to_uppercase().replace('-', "_"));
    let known = matches!(profile, PROFILE | "dev" | "release" | "test" | "bench")
        || std::env::var_os(variable).is_some()
        || workspace.sets_up_profile(profile).unwrap_or(true);
    if known || failure.code != ExitCode::BuildFailed {
        return failure;
    }
    let hint = format!(
        "no cargo profile `{profile}` is defined; profiles of loadtest.toml are chosen by `--load-profile {profile}`"
    );
    Failure::new(failure.code, format!("{:#}\nhint: {hint}", failure.error))
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
        args: &TargetArgs,
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

fn add_profile(command: &mut Command, workspace: &Workspace, args: &TargetArgs) -> Result<(), Failure> {
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

#[derive(Debug, Default)]
struct Messages {
    artifacts: Vec<Artifact>,
    scripts: HashMap<PackageId, BuildScript>,
}

fn run(command: Command) -> Result<Messages, Failure> {
    run_until(command, launch::interrupted)
}

/// Cargo at work. Dropping it ends it, so that none goes on building after an error or a panic.
struct Cargo(Child);

impl Drop for Cargo {
    fn drop(&mut self) {
        // One that has ended, and was waited for, is left alone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs cargo until it ends or `interrupted` says so. It stays in the process group of this program, because
/// it may ask at the terminal for the key of a registry, so a signal to this program alone has to be passed
/// on.
fn run_until(mut command: Command, interrupted: impl Fn() -> bool + Sync) -> Result<Messages, Failure> {
    let mut cargo = Cargo(command.stderr(Stdio::inherit()).spawn().context("can't start cargo")?);
    let pid = i32::try_from(cargo.0.id()).ok().and_then(Pid::from_raw).context("impossible process id")?;
    let output = cargo.0.stdout.take();
    let (reading, read) = mpsc::channel::<()>();
    let interrupted = &interrupted;
    let messages = thread::scope(|scope| {
        // Cargo is not waited for before this thread has ended, so the number is its own all the time.
        scope.spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = read.recv_timeout(LOOK_FOR_SIGNALS) {
                if interrupted() {
                    // It is gone if this fails.
                    let _ = kill_process(pid, Signal::TERM);
                    break;
                }
            }
        });
        let _until_read = reading;
        output.map_or_else(|| Ok(Messages::default()), read_messages)
    })?;
    let status = cargo.0.wait().context("can't wait for cargo").or_exit(ExitCode::Internal)?;
    match status.success() {
        true => Ok(messages),
        false => Err(Failure::new(
            ExitCode::BuildFailed,
            format!("cargo could not build the load tests ({status})"),
        )),
    }
}

fn read_messages(output: impl Read) -> anyhow::Result<Messages> {
    let mut messages = Messages::default();
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
    Ok(messages)
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rustix::io::Errno;
    use rustix::process::test_kill_process;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    #[test]
    fn a_signal_to_this_program_ends_cargo_too() {
        let start = Instant::now();
        let failure = run_until(shell("exec sleep 60"), || true).expect_err("was ended");
        assert!(start.elapsed() < Duration::from_secs(30), "it was waited for");
        assert_eq!(failure.code, ExitCode::BuildFailed);
    }

    #[test]
    fn an_undisturbed_build_ends_by_itself() {
        assert!(run_until(shell("exit 0"), || false).is_ok());
        assert!(run_until(shell("exit 3"), || false).is_err());
    }

    #[test]
    fn no_cargo_goes_on_after_an_error() {
        let cargo = Cargo(shell("exec sleep 60").spawn().expect("starts"));
        let pid = Pid::from_raw(cargo.0.id() as i32).expect("a process id");
        assert_eq!(test_kill_process(pid), Ok(()));
        drop(cargo);
        assert_eq!(test_kill_process(pid), Err(Errno::SRCH));
    }
}
