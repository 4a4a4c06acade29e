//! The environment that `cargo test` gives a test binary.
//!
//! The main function is [`of`]. It follows the list in The Cargo Book, "Environment variables Cargo sets for
//! crates" and "dynamic library paths"; what cargo sets only while compiling is not set here.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use super::build::{Built, BuiltTarget};
use super::metadata::Workspace;

/// The variable by which the system finds shared libraries.
const LIBRARY_PATH: &str = if cfg!(windows) {
    "PATH"
} else if cfg!(target_os = "macos") {
    "DYLD_FALLBACK_LIBRARY_PATH"
} else {
    "LD_LIBRARY_PATH"
};

/// The variables to set, besides those that are inherited.
pub(super) fn of(
    workspace: &Workspace,
    target: &BuiltTarget<'_>,
    built: &Built<'_>,
) -> Vec<(OsString, OsString)> {
    let package = target.package;
    let version = &package.version;
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let path = |path: &Option<cargo_metadata::camino::Utf8PathBuf>| {
        path.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    let directory = package.manifest_path.parent().map(ToString::to_string).unwrap_or_default();
    let mut set: Vec<(OsString, OsString)> = workspace.config().env.clone();
    let mut add = |name: &str, value: String| set.push((name.into(), value.into()));
    add("CARGO_MANIFEST_DIR", directory);
    add("CARGO_MANIFEST_PATH", package.manifest_path.to_string());
    add("CARGO_PKG_NAME", package.name.to_string());
    add("CARGO_PKG_VERSION", version.to_string());
    add("CARGO_PKG_VERSION_MAJOR", version.major.to_string());
    add("CARGO_PKG_VERSION_MINOR", version.minor.to_string());
    add("CARGO_PKG_VERSION_PATCH", version.patch.to_string());
    add("CARGO_PKG_VERSION_PRE", version.pre.to_string());
    add("CARGO_PKG_AUTHORS", package.authors.join(":"));
    add("CARGO_PKG_DESCRIPTION", optional(&package.description));
    add("CARGO_PKG_HOMEPAGE", optional(&package.homepage));
    add("CARGO_PKG_REPOSITORY", optional(&package.repository));
    add("CARGO_PKG_LICENSE", optional(&package.license));
    add("CARGO_PKG_LICENSE_FILE", path(&package.license_file));
    add("CARGO_PKG_README", path(&package.readme));
    add("CARGO_PKG_RUST_VERSION", package.rust_version.as_ref().map(ToString::to_string).unwrap_or_default());
    if let Some(script) = built.scripts.get(&package.id) {
        for (name, value) in &script.env {
            add(name, value.clone());
        }
        add("OUT_DIR", script.out_dir.to_string());
    }
    if let Some(value) = library_path(workspace, target, built) {
        set.push((LIBRARY_PATH.into(), value));
    }
    set
}

/// What build scripts link from the target directory, the built crates, the standard library, and what was
/// set before.
fn library_path(workspace: &Workspace, target: &BuiltTarget<'_>, built: &Built<'_>) -> Option<OsString> {
    let mut directories: Vec<PathBuf> = Vec::new();
    for script in built.scripts.values() {
        for path in &script.linked_paths {
            // `native=/path` and the like; only cargo's own directories, as cargo does it.
            let path = path.as_str();
            let path = path.split_once('=').map_or(path, |(_kind, path)| path);
            if PathBuf::from(path).starts_with(workspace.target_directory()) {
                directories.push(path.into());
            }
        }
    }
    directories.sort();
    let deps = target.executable.parent();
    directories.extend(deps.map(Into::into));
    directories.extend(deps.and_then(|deps| deps.parent()).map(Into::into));
    directories.extend(workspace.target_libdir().map(Into::into));
    let before = env::var_os(LIBRARY_PATH).unwrap_or_default();
    directories.extend(env::split_paths(&before).filter(|path| !path.as_os_str().is_empty()));
    directories.dedup();
    env::join_paths(directories).ok()
}
