//! What cargo knows of the workspace: which packages are meant, and which of them can have load tests.
//!
//! The main type is [`Workspace`]. A package can have load tests if it depends on the runtime, under any
//! name, by itself or through a package that it uses in its tests.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use cargo_metadata::{DependencyKind, Metadata, Node, Package, PackageId, TargetKind};
use loadtest_core::{Error, suggest};

use super::cargo;
use super::cargo_config::CargoConfig;
use super::changed::changed_packages;
use crate::cli::TargetArgs;
use crate::failure::{Failure, OrExit};
use crate::git::Repository;
use crate::verdict::ExitCode;

/// The package whose dependents can have load tests.
pub(super) const RUNTIME: &str = "loadtest-runtime";

/// A workspace with the packages that the user means.
#[derive(Debug)]
pub struct Workspace {
    metadata: Metadata,
    target_directory: PathBuf,
    selected: Vec<PackageId>,
    dependents: Vec<PackageId>,
    config: CargoConfig,
    target_libdir: Option<PathBuf>,
}

impl Workspace {
    /// Asks cargo, and picks the packages that the command line means.
    ///
    /// # Errors
    /// If cargo can't read the workspace, or a package that the user names is not in it.
    pub fn read(args: &TargetArgs) -> Result<Workspace, Failure> {
        let host = host_triple().or_exit(ExitCode::Internal)?;
        let directory = match args.manifest_path.as_deref().and_then(Path::parent) {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        // Cargo looks for its configuration from the current directory upwards, whatever the manifest.
        let current = match &args.directory {
            Some(directory) => directory.clone(),
            None => std::env::current_dir().context("there is no current directory")?,
        };
        let config = CargoConfig::load(&current, &host)?;
        let metadata = metadata(args, &host)?;
        let mut selected = select(&metadata, args).or_exit(ExitCode::Usage)?;
        if let Some(since) = &args.changed_since {
            let changed = changed_since(&metadata, since)?;
            selected.retain(|id| changed.contains(id));
        }
        let dependents = dependents(&metadata, &selected);
        let target_directory = match &args.target_dir {
            Some(directory) => std::path::absolute(directory).context("--target-dir is no path")?,
            None => metadata.target_directory.clone().into(),
        };
        let target_libdir = target_libdir(&directory, config.target.as_deref());
        Ok(Workspace { metadata, target_directory, selected, dependents, config, target_libdir })
    }

    /// The directory of the workspace's Cargo.toml.
    pub fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// Where cargo builds, `--target-dir` included.
    pub fn target_directory(&self) -> &Path {
        &self.target_directory
    }

    /// Names of the packages that the command line means.
    pub fn selected_names(&self) -> Vec<&str> {
        self.selected.iter().filter_map(|id| self.package(id)).map(|package| package.name.as_str()).collect()
    }

    /// Those of the selected packages that can have load tests.
    pub fn dependents(&self) -> Vec<&Package> {
        self.dependents.iter().filter_map(|id| self.package(id)).collect()
    }

    /// What cargo's configuration says about starting programs.
    pub(super) fn config(&self) -> &CargoConfig {
        &self.config
    }

    /// Where the standard library's shared objects are.
    pub(super) fn target_libdir(&self) -> Option<&Path> {
        self.target_libdir.as_deref()
    }

    /// Packages of the workspace.
    pub(super) fn members(&self) -> Vec<&Package> {
        self.metadata.workspace_packages()
    }

    /// A package by its id.
    pub(super) fn package(&self, id: &PackageId) -> Option<&Package> {
        self.metadata.packages.iter().find(|package| package.id == *id)
    }

    /// Whether a feature that the user named belongs to one of the selected packages that are not built.
    pub(super) fn is_feature_of_others_only(&self, feature: &str) -> bool {
        let has = |ids: &[PackageId]| {
            ids.iter().filter_map(|id| self.package(id)).any(|package| takes_feature(package, feature))
        };
        !has(&self.dependents) && has(&self.selected)
    }

    /// Whether the workspace's own manifest or cargo's configuration says what a profile inherits.
    ///
    /// # Errors
    /// If the manifest can't be read.
    pub(super) fn sets_up_profile(&self, name: &str) -> anyhow::Result<bool> {
        if self.config.profiles.iter().any(|profile| profile == name) {
            return Ok(true);
        }
        let path = self.root().join("Cargo.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
        let manifest: toml::Table = text.parse().with_context(|| format!("in {}", path.display()))?;
        Ok(manifest.get("profile").and_then(|profiles| profiles.get(name)?.get("inherits")).is_some())
    }
}

/// Whether `--features` with this name makes sense for a package: its own, or `package/feature`.
pub(super) fn takes_feature(package: &Package, feature: &str) -> bool {
    match feature.split_once('/') {
        Some((of, feature)) => {
            let of = of.trim_end_matches('?');
            let is_dependency = package
                .dependencies
                .iter()
                .any(|dependency| dependency.rename.as_deref().unwrap_or(&dependency.name) == of);
            (package.name == of && package.features.contains_key(feature)) || is_dependency
        }
        None => package.features.contains_key(feature),
    }
}

/// The names of a package's binaries.
pub(super) fn binaries(package: &Package) -> impl Iterator<Item = &str> {
    package.targets.iter().filter(|target| target.is_kind(TargetKind::Bin)).map(|target| target.name.as_str())
}

fn metadata(args: &TargetArgs, host: &str) -> Result<Metadata, Failure> {
    let mut command = cargo::command(args, "metadata");
    // Without the platform cargo would ask for the sources of every platform's dependencies.
    command.args(["--format-version", "1", "--filter-platform", host]).stderr(Stdio::inherit());
    cargo::add_features(&mut command, args, |_| true);
    let output = command.output().context("can't start cargo").or_exit(ExitCode::Internal)?;
    if !output.status.success() {
        return Err(Failure::new(ExitCode::BuildFailed, "cargo could not read the workspace"));
    }
    serde_json::from_slice(&output.stdout)
        .context("cargo metadata said something strange")
        .or_exit(ExitCode::Internal)
}

/// The packages that changed since a revision, and those that depend on them.
fn changed_since(metadata: &Metadata, since: &str) -> Result<BTreeSet<PackageId>, Failure> {
    let root = metadata.workspace_root.as_std_path();
    let Some(repository) = Repository::find(root) else {
        let message = format!("--changed-since {since}: {} is in no git repository", root.display());
        return Err(Failure::new(ExitCode::Usage, message));
    };
    let files = repository
        .changed_files(since)
        .with_context(|| format!("--changed-since {since}"))
        .or_exit(ExitCode::Usage)?;
    let changed = changed_packages(metadata, repository.root(), &files);
    if let Some(file) = &changed.everything {
        eprintln!("note: {file} changed, which concerns every package");
    }
    Ok(changed.packages)
}

fn select(metadata: &Metadata, args: &TargetArgs) -> Result<Vec<PackageId>, Error> {
    let members = metadata.workspace_packages();
    if !args.package.is_empty() {
        let mut chosen = Vec::new();
        for spec in &args.package {
            let matching: Vec<_> = members.iter().filter(|package| means(spec, package)).collect();
            if matching.is_empty() {
                return Err(unknown_package(spec, &members));
            }
            for package in matching {
                if !chosen.contains(&package.id) {
                    chosen.push(package.id.clone());
                }
            }
        }
        return Ok(chosen);
    }
    if args.workspace {
        for spec in &args.exclude {
            if !members.iter().any(|package| means(spec, package)) {
                return Err(unknown_package(spec, &members));
            }
        }
        let kept = members.iter().filter(|package| !args.exclude.iter().any(|spec| means(spec, package)));
        return Ok(kept.map(|package| package.id.clone()).collect());
    }
    Ok(metadata.workspace_default_packages().iter().map(|package| package.id.clone()).collect())
}

fn unknown_package(spec: &str, members: &[&Package]) -> Error {
    let names: Vec<&str> = members.iter().map(|package| package.name.as_str()).collect();
    Error::new(format!("no package of this workspace is called `{spec}`"))
        .hint(suggest::hint(spec, names.iter().copied()))
}

/// Whether `-p SPEC` means a package: its name, `name@version`, its id, or a pattern.
fn means(spec: &str, package: &Package) -> bool {
    if spec == package.id.repr {
        return true;
    }
    let (name, version) = match spec.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (spec, None),
    };
    let full = package.version.to_string();
    // `1.2` means 1.2.x, as in cargo.
    let same_version = version.is_none_or(|v| full == v || full.starts_with(&format!("{v}.")));
    glob(name, package.name.as_str()) && same_version
}

/// `*` stands for any text, `?` for one character.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // matched[j]: whether the pattern so far matches the first j characters.
    let mut matched = vec![false; text.len() + 1];
    matched[0] = true;
    for symbol in pattern {
        let mut next = vec![false; text.len() + 1];
        for j in 0..=text.len() {
            next[j] = match symbol {
                '*' => matched[j] || (j > 0 && next[j - 1]),
                '?' => j > 0 && matched[j - 1],
                letter => j > 0 && matched[j - 1] && text[j - 1] == letter,
            };
        }
        matched = next;
    }
    matched[text.len()]
}

/// The packages among `selected` whose tests can see the runtime: directly or through normal dependencies
/// of what they use. The runtime itself and its parts are not meant.
fn dependents(metadata: &Metadata, selected: &[PackageId]) -> Vec<PackageId> {
    let Some(resolve) = &metadata.resolve else { return Vec::new() };
    let nodes: HashMap<&PackageId, &Node> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let runtimes: HashSet<&PackageId> =
        metadata.packages.iter().filter(|p| p.name == RUNTIME).map(|p| &p.id).collect();
    let reaches = |start: &PackageId| {
        let mut seen = BTreeSet::new();
        let mut queue = vec![(start, true)];
        while let Some((id, own_tests)) = queue.pop() {
            if runtimes.contains(id) {
                return true;
            }
            let Some(node) = nodes.get(id).filter(|_| seen.insert(id)) else { continue };
            for dependency in &node.deps {
                let usable = dependency.dep_kinds.iter().any(|kind| match kind.kind {
                    DependencyKind::Normal => true,
                    DependencyKind::Development => own_tests,
                    _ => false,
                });
                if usable {
                    queue.push((&dependency.pkg, false));
                }
            }
        }
        false
    };
    selected.iter().filter(|id| !runtimes.contains(id) && reaches(id)).cloned().collect()
}

/// The platform of the compiler, as in `x86_64-unknown-linux-gnu`.
fn host_triple() -> anyhow::Result<String> {
    let output = rustc().arg("-vV").output().context("can't start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV does not tell the host")
}

fn target_libdir(directory: &Path, target: Option<&str>) -> Option<PathBuf> {
    let mut command = rustc();
    if let Some(target) = target {
        command.args(["--target", target]);
    }
    let output = command.args(["--print", "target-libdir"]).current_dir(directory).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| path.trim().into())
}

fn rustc() -> Command {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_cargo() {
        assert!(glob("shop", "shop") && !glob("shop", "shop-api") && !glob("", "shop"));
        assert!(
            glob("shop-*", "shop-api") && glob("*", "shop") && glob("s*p", "shop") && glob("sh?p", "shop")
        );
        assert!(!glob("shop?", "shop") && !glob("*x*", "shop"));
    }

    /// A graph as `cargo metadata` tells it: `name` depends on each of `deps` with a kind.
    fn graph(packages: &[(&str, &[(&str, &str)])]) -> Metadata {
        let id = |name: &str| format!("path+file:///w/{name}#0.1.0");
        let package = |name: &str| {
            serde_json::json!({
                "name": name, "version": "0.1.0", "id": id(name), "source": null, "dependencies": [],
                "targets": [], "features": {}, "manifest_path": format!("/w/{name}/Cargo.toml"),
            })
        };
        let node = |(name, deps): &(&str, &[(&str, &str)])| {
            let deps: Vec<_> = deps
                .iter()
                .map(|(dep, kind)| {
                    let kind = (*kind != "normal").then_some(*kind);
                    serde_json::json!({"name": dep, "pkg": id(dep), "dep_kinds": [{"kind": kind, "target": null}]})
                })
                .collect();
            serde_json::json!({"id": id(name), "deps": deps, "dependencies": [], "features": []})
        };
        let all: Vec<_> = packages.iter().map(|(name, _)| id(name)).collect();
        let metadata = serde_json::json!({
            "packages": packages.iter().map(|(name, _)| package(name)).collect::<Vec<_>>(),
            "workspace_members": all, "workspace_default_members": all,
            "resolve": {"nodes": packages.iter().map(node).collect::<Vec<_>>(), "root": null},
            "workspace_root": "/w", "target_directory": "/w/target", "version": 1, "metadata": null,
        });
        serde_json::from_value(metadata).expect("as cargo says it")
    }

    #[test]
    fn packages_that_can_see_the_runtime_are_found_by_any_way() {
        let metadata = graph(&[
            ("direct", &[(RUNTIME, "dev")]),
            ("through-support", &[("support", "dev")]),
            ("support", &[(RUNTIME, "normal")]),
            ("uses-direct", &[("direct", "normal")]),
            ("build-only", &[(RUNTIME, "build")]),
            ("apart", &[]),
            (RUNTIME, &[]),
        ]);
        let all: Vec<_> = metadata.packages.iter().map(|package| package.id.clone()).collect();
        let found: Vec<String> = dependents(&metadata, &all).iter().map(|id| id.repr.clone()).collect();
        let names: Vec<_> = found.iter().map(|id| id.trim_start_matches("path+file:///w/")).collect();
        assert_eq!(names, ["direct#0.1.0", "through-support#0.1.0", "support#0.1.0"]);
    }

    #[test]
    fn packages_are_meant_by_name_version_or_pattern() {
        let metadata = graph(&[("shop", &[])]);
        let shop = &metadata.packages[0];
        assert!(
            means("shop", shop) && means("shop@0.1.0", shop) && means("shop@0.1", shop) && means("s*", shop)
        );
        assert!(
            !means("shop@0.2", shop)
                && !means("sho", shop)
                && !means("shop@0", &graph(&[("x", &[])]).packages[0])
        );
    }
}
