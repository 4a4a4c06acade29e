//! The submodules of a checkout: those that the user's own checkout has too.
//!
//! The main function is [`check_out`]. Objects that the user's clone already has are not fetched again. A
//! submodule that the user left out is left out here, because it may be out of reach and was not needed to build.

use std::path::{Component, Path};

use anyhow::Context;

use super::program::Git;

/// Brings the submodules of the checkout at `tree` to what its commit says. `users` is the top of the user's
/// working tree, `common` the directory of its repository.
///
/// # Errors
/// If one can't be fetched, with what git says.
pub(super) fn check_out(git: &Git, tree: &Path, users: &Path, common: &Path) -> anyhow::Result<()> {
    if !tree.join(".gitmodules").is_file() {
        return Ok(());
    }
    let known = listed(&git.at(users));
    let git = git.at(tree);
    for (name, path) in listed(&git) {
        let left_out =
            known.iter().any(|(_, theirs)| *theirs == path) && !users.join(&path).join(".git").exists();
        if left_out || !is_inside(&path) {
            continue;
        }
        let update =
            ["-c", "core.hooksPath=/dev/null", "submodule", "--quiet", "update", "--init", "--force"];
        // A reference of git's can't be shallow, and an old one may lack what is needed: then all is fetched.
        let modules = common.join("modules").join(&name);
        let reference = modules.to_str().filter(|_| is_inside(&name) && modules.is_dir());
        let borrowed = reference.is_some_and(|reference| {
            fetch(&git, &[&update[..], &["--reference", reference, "--", &path]].concat()).is_ok()
        });
        let fetched = match borrowed {
            true => Ok(()),
            false => fetch(&git, &[&update[..], &["--", &path]].concat()),
        };
        fetched
            .and_then(|()| fetch(&git, &[&update[..], &["--recursive", "--", &path]].concat()))
            .with_context(|| format!("can't check out the submodule `{path}`"))?;
    }
    Ok(())
}

/// Runs what may have to ask a remote: bounded in time, and ended by the user.
fn fetch(git: &Git, arguments: &[&str]) -> anyhow::Result<()> {
    git.ask_remote(arguments).map(drop).map_err(|refusal| anyhow::anyhow!("{}", refusal.text))
}

/// Undoes what was written in submodules since.
///
/// # Errors
/// If git can't, as when one is broken.
pub(super) fn clean(git: &Git, tree: &Path) -> anyhow::Result<()> {
    if !tree.join(".gitmodules").is_file() {
        return Ok(());
    }
    let each = "git reset --quiet --hard && git clean --quiet -ffdx";
    git.at(tree).change(&["submodule", "--quiet", "foreach", "--recursive", each])
}

/// Names and paths in the `.gitmodules` of a working tree.
fn listed(git: &Git) -> Vec<(String, String)> {
    let pattern = r"^submodule\..*\.path$";
    let list = git.bytes(&["config", "--null", "--file", ".gitmodules", "--get-regexp", pattern]);
    let list = String::from_utf8_lossy(&list.unwrap_or_default()).into_owned();
    list.split('\0')
        .filter_map(|entry| entry.split_once('\n'))
        .filter_map(|(key, path)| {
            let name = key.strip_prefix("submodule.")?.strip_suffix(".path")?;
            Some((name.to_owned(), path.to_owned()))
        })
        .collect()
}

/// Whether a relative path can't lead out of where it begins.
fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}
