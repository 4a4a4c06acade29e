//! Which packages a change concerns: for `--changed-since` in a workspace of many.
//!
//! The main function is [`changed_packages`]. It goes by where files lie and by what cargo says of dependencies; a
//! file that a package includes from outside its directory can't be seen. In doubt a package is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, PackageId};

/// Files at the workspace's root that concern every package.
const OF_THE_WORKSPACE: &[&str] = &["Cargo.toml", "Cargo.lock", "loadtest.toml"];

/// Files that concern every package at the workspace's root and above it, where cargo and rustup look too.
const INHERITED: &[&str] = &["rust-toolchain", "rust-toolchain.toml", ".cargo/config", ".cargo/config.toml"];

/// What changed files mean for the packages of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Packages of the workspace that changed, or depend on one that did.
    pub packages: BTreeSet<PackageId>,
    /// A file that concerns all packages, relative to the repository; then all are in `packages`.
    pub everything: Option<String>,
}

/// The packages that a change concerns. `files` are relative to `repository_root`; one that is a directory, as a
/// submodule is, stands for all that is in it.
///
/// A file belongs to the innermost package that holds it. Dependencies count in every kind (normal, development, build)
/// and through packages outside the workspace, as path dependencies and patches make them.
pub fn changed_packages(metadata: &Metadata, repository_root: &Path, files: &[PathBuf]) -> Changed {
    let root = real(repository_root);
    let workspace = real(metadata.workspace_root.as_std_path());
    let members: BTreeSet<PackageId> = metadata.workspace_members.iter().cloned().collect();
    let files: Vec<PathBuf> = files.iter().map(|file| root.join(file)).collect();
    if let Some(file) = files.iter().find(|file| concerns_all(file, &workspace)) {
        let everything = file.strip_prefix(&root).unwrap_or(file).display().to_string();
        return Changed { packages: members, everything: Some(everything) };
    }
    let directories = directories(metadata);
    let mut waiting: Vec<&PackageId> = Vec::new();
    for file in &files {
        let holder = file.ancestors().find_map(|directory| directories.get(directory));
        waiting.extend(holder);
        waiting.extend(
            directories.iter().filter(|(directory, _)| directory.starts_with(file)).map(|(_, id)| id),
        );
    }
    let dependents = dependents(metadata, &directories);
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if seen.insert(id.clone()) {
            waiting.extend(dependents.get(id).into_iter().flatten());
        }
    }
    Changed { packages: seen.intersection(&members).cloned().collect(), everything: None }
}

fn concerns_all(file: &Path, workspace: &Path) -> bool {
    let is_inherited =
        || workspace.ancestors().any(|directory| INHERITED.iter().any(|name| file == directory.join(name)));
    OF_THE_WORKSPACE.iter().any(|name| file == workspace.join(name)) || is_inherited()
}

/// Local packages by their directories; those from a registry lie outside every repository and do no harm.
fn directories(metadata: &Metadata) -> BTreeMap<PathBuf, PackageId> {
    let directory = |manifest: &Path| manifest.parent().map(real);
    let all = metadata.packages.iter();
    all.filter_map(|package| Some((directory(package.manifest_path.as_std_path())?, package.id.clone())))
        .collect()
}

/// Who depends on a package. What cargo resolved, and the paths in the manifests besides: a dependency that is
/// optional or of another platform is not resolved here and still may be built.
fn dependents(
    metadata: &Metadata,
    directories: &BTreeMap<PathBuf, PackageId>,
) -> BTreeMap<PackageId, BTreeSet<PackageId>> {
    let mut dependents: BTreeMap<PackageId, BTreeSet<PackageId>> = BTreeMap::new();
    let mut add = |on: &PackageId, who: &PackageId| {
        dependents.entry(on.clone()).or_default().insert(who.clone());
    };
    for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
        node.deps.iter().for_each(|dependency| add(&dependency.pkg, &node.id));
    }
    for package in &metadata.packages {
        let paths = package.dependencies.iter().filter_map(|dependency| dependency.path.as_ref());
        paths
            .filter_map(|path| directories.get(&real(path.as_std_path())))
            .for_each(|on| add(on, &package.id));
    }
    dependents
}

/// The path without symbolic links: git tells its root so, cargo as the user went there.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace at /nowhere/w of the repository /nowhere, each package in the directory of its name and
    /// depending on others with a kind; `root` is the root package. `elsewhere` is no member; `declared` are path
    /// dependencies that were not resolved.
    fn workspace(packages: &[(&str, &[(&str, &str)])], declared: &[(&str, &str)]) -> Metadata {
        let directory = |name: &str| match name {
            "root" => "/nowhere/w".to_owned(),
            "elsewhere" => "/nowhere/elsewhere".to_owned(),
            _ => format!("/nowhere/w/{name}"),
        };
        let id = |name: &str| format!("path+file://{}#{name}@0.1.0", directory(name));
        let package = |name: &str| {
            let dependencies: Vec<_> = declared
                .iter()
                .filter(|(who, _)| *who == name)
                .map(|(_, on)| {
                    serde_json::json!({
                        "name": on, "source": null, "req": "*", "kind": null, "rename": null, "optional": true,
                        "uses_default_features": true, "features": [], "target": null, "registry": null,
                        "path": directory(on),
                    })
                })
                .collect();
            serde_json::json!({
                "name": name, "version": "0.1.0", "id": id(name), "source": null, "dependencies": dependencies,
                "targets": [], "features": {}, "manifest_path": format!("{}/Cargo.toml", directory(name)),
            })
        };
        let node = |(name, on): &(&str, &[(&str, &str)])| {
            let deps: Vec<_> = on
                .iter()
                .map(|(on, kind)| {
                    let kind = (*kind != "normal").then_some(*kind);
                    serde_json::json!({"name": on, "pkg": id(on), "dep_kinds": [{"kind": kind, "target": null}]})
                })
                .collect();
            serde_json::json!({"id": id(name), "deps": deps, "dependencies": [], "features": []})
        };
        let members: Vec<_> =
            packages.iter().filter(|(name, _)| *name != "elsewhere").map(|(name, _)| id(name)).collect();
        let metadata = serde_json::json!({
            "packages": packages.iter().map(|(name, _)| package(name)).collect::<Vec<_>>(),
            "workspace_members": members, "workspace_default_members": members,
            "resolve": {"nodes": packages.iter().map(node).collect::<Vec<_>>(), "root": null},
            "workspace_root": "/nowhere/w", "target_directory": "/nowhere/w/target", "version": 1, "metadata": null,
        });
        serde_json::from_value(metadata).expect("as cargo says it")
    }

    fn changed(metadata: &Metadata, files: &[&str]) -> (Vec<String>, Option<String>) {
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let changed = changed_packages(metadata, Path::new("/nowhere"), &files);
        let name = |id: &PackageId| {
            let name = id.repr.rsplit(['#']).next().unwrap_or_default();
            name.split('@').next().unwrap_or_default().to_owned()
        };
        let mut names: Vec<String> = changed.packages.iter().map(name).collect();
        names.sort();
        (names, changed.everything)
    }

    #[test]
    fn a_package_is_changed_with_all_that_depend_on_it_in_any_way() {
        let metadata = workspace(
            &[
                ("core", &[]),
                ("api", &[("core", "normal")]),
                ("tests", &[("api", "dev")]),
                ("generated", &[("core", "build")]),
                ("apart", &[]),
            ],
            &[],
        );
        assert_eq!(changed(&metadata, &["w/core/src/lib.rs"]).0, ["api", "core", "generated", "tests"]);
        assert_eq!(changed(&metadata, &["w/api/Cargo.toml"]).0, ["api", "tests"]);
        assert_eq!(changed(&metadata, &["w/apart/a", "w/tests/b"]).0, ["apart", "tests"]);
        assert!(
            changed(&metadata, &["docs/a.md", "w/README.md", "w/corex/a", "core/src/lib.rs"]).0.is_empty()
        );
        assert!(changed(&metadata, &[]).0.is_empty());
    }

    #[test]
    fn a_file_is_of_the_innermost_package() {
        let metadata = workspace(&[("root", &[]), ("core", &[]), ("core/fuzz", &[])], &[]);
        assert_eq!(changed(&metadata, &["w/core/fuzz/a.rs"]).0, ["core/fuzz"]);
        assert_eq!(changed(&metadata, &["w/core/src/a.rs"]).0, ["core"]);
        assert_eq!(changed(&metadata, &["w/src/main.rs"]).0, ["root"]);
    }

    #[test]
    fn a_submodule_changes_the_packages_in_it_and_around_it() {
        let metadata =
            workspace(&[("vendor/a", &[]), ("vendor/b", &[]), ("c", &[("vendor/a", "normal")])], &[]);
        assert_eq!(changed(&metadata, &["w/vendor"]).0, ["c", "vendor/a", "vendor/b"]);
    }

    #[test]
    fn dependencies_count_through_packages_that_are_no_members_and_if_they_are_optional() {
        let metadata = workspace(
            &[("elsewhere", &[]), ("user", &[("elsewhere", "normal")]), ("optional", &[]), ("apart", &[])],
            &[("optional", "user")],
        );
        assert_eq!(changed(&metadata, &["elsewhere/src/lib.rs"]).0, ["optional", "user"]);
    }

    #[test]
    fn some_files_concern_everything() {
        let metadata = workspace(&[("a", &[]), ("b", &[])], &[]);
        for file in [
            "w/Cargo.toml",
            "w/Cargo.lock",
            "w/loadtest.toml",
            "w/rust-toolchain.toml",
            "rust-toolchain",
            "w/.cargo/config.toml",
            ".cargo/config",
        ] {
            let (names, everything) = changed(&metadata, &["w/a/src/lib.rs", file]);
            assert_eq!((names.len(), everything.as_deref()), (2, Some(file)));
        }
        for file in ["Cargo.toml", "Cargo.lock", "loadtest.toml", "w/.cargo/other", "other/rust-toolchain"] {
            assert_eq!(changed(&metadata, &[file]), (Vec::new(), None), "{file}");
        }
        assert_eq!(
            changed(&metadata, &["w/a/Cargo.toml", "w/b/.cargo/config.toml"]),
            (vec!["a".into(), "b".into()], None)
        );
    }

    #[test]
    fn a_workspace_that_is_reached_through_a_link_is_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        let real = directory.path().canonicalize().expect("it is there");
        std::fs::create_dir_all(real.join("here/a")).expect("writes");
        std::os::unix::fs::symlink(real.join("here"), real.join("link")).expect("links");
        let text = serde_json::to_string(&workspace(&[("a", &[])], &[])).expect("writes");
        let text = text.replace("/nowhere/w", real.join("link").to_str().expect("UTF-8"));
        let metadata: Metadata = serde_json::from_str(&text).expect("as cargo says it");
        let changed = changed_packages(&metadata, &real, &["here/a/lib.rs".into()]);
        assert_eq!(changed.packages.len(), 1);
    }
}
