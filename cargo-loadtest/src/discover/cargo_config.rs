//! What cargo's configuration says about the programs that `cargo test` starts: their environment and
//! their runner. Cargo keeps this from external subcommands, so its files are read here.
//!
//! The main type is [`CargoConfig`]. Read are `[env]`, `target.<triple>.runner`, `build.target` and the
//! profiles in `[profile]`, the nearest file first, and the variables `CARGO_TARGET_<TRIPLE>_RUNNER` and `CARGO_BUILD_TARGET`; not read
//! are `target.'cfg(..)'` and `include`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use toml::{Table, Value};

/// What the configuration says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CargoConfig {
    /// Variables to set, by `[env]`: those that must be set, and those for which nothing else is set.
    pub(super) env: Vec<(OsString, OsString)>,
    /// The program that starts a test binary, with its arguments; usually empty.
    pub(super) runner: Vec<String>,
    /// The platform to build for, if it is not the host.
    pub(super) target: Option<String>,
    /// Names of the profiles that say here what they inherit.
    pub(super) profiles: Vec<String>,
}

/// One file with the directory that its relative paths start from.
struct File {
    table: Table,
    base: PathBuf,
}

impl CargoConfig {
    /// Reads the files that count in a directory.
    ///
    /// # Errors
    /// If one can't be read or is not TOML.
    pub(super) fn load(directory: &Path, host: &str) -> anyhow::Result<CargoConfig> {
        Ok(Self::merge(&files(directory)?, host, |name| std::env::var_os(name)))
    }

    fn merge(files: &[File], host: &str, variable: impl Fn(&str) -> Option<OsString>) -> CargoConfig {
        let text = |name: &str| variable(name).and_then(|v| v.into_string().ok()).filter(|v| !v.is_empty());
        let target = text("CARGO_BUILD_TARGET").or_else(|| {
            let targets = files.iter().filter_map(|file| file.table.get("build")?.get("target")?.as_str());
            targets.map(str::to_owned).next()
        });
        let triple = target.as_deref().unwrap_or(host);
        let key = format!("CARGO_TARGET_{}_RUNNER", triple.to_uppercase().replace(['-', '.'], "_"));
        let runner = match text(&key) {
            Some(runner) => words(&runner),
            None => files
                .iter()
                .find_map(|file| {
                    let runner = file.table.get("target")?.get(triple)?.get("runner")?;
                    Some(located(runner_words(runner)?, &file.base))
                })
                .unwrap_or_default(),
        };
        let profiles = files.iter().filter_map(|file| file.table.get("profile")?.as_table());
        let profiles = profiles
            .flat_map(|table| {
                table.iter().filter(|(_, p)| p.get("inherits").is_some()).map(|(name, _)| name.clone())
            })
            .collect();
        CargoConfig { env: environment(files, &variable), runner, target, profiles }
    }
}

/// `.cargo/config.toml` here and in every directory above, then that of cargo's home.
fn files(directory: &Path) -> anyhow::Result<Vec<File>> {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let directories = directory.ancestors().map(|above| above.join(".cargo")).chain(home);
    for directory in directories {
        // The name without an ending is the older one, and goes first in cargo too.
        let Some(path) =
            ["config", "config.toml"].map(|name| directory.join(name)).into_iter().find(|p| p.is_file())
        else {
            continue;
        };
        if seen.contains(&path) {
            continue;
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
        let table = text.parse().with_context(|| format!("in {}", path.display()))?;
        found.push(File { table, base: directory.parent().unwrap_or(&directory).to_owned() });
        seen.push(path);
    }
    Ok(found)
}

/// `[env]`: a string, or a table with `value`, `force` and `relative`. The nearest file decides.
fn environment(files: &[File], variable: impl Fn(&str) -> Option<OsString>) -> Vec<(OsString, OsString)> {
    let mut set: Vec<(OsString, OsString)> = Vec::new();
    let mut known: Vec<&str> = Vec::new();
    for file in files {
        let Some(entries) = file.table.get("env").and_then(Value::as_table) else { continue };
        for (name, entry) in entries {
            if known.contains(&name.as_str()) {
                continue;
            }
            let Some(value) = entry.as_str().or_else(|| entry.get("value")?.as_str()) else { continue };
            known.push(name);
            let flag = |key: &str| entry.get(key).and_then(Value::as_bool) == Some(true);
            if flag("force") || variable(name).is_none() {
                let relative = flag("relative");
                let value = if relative { file.base.join(value).into() } else { OsString::from(value) };
                set.push((name.into(), value));
            }
        }
    }
    set
}

fn runner_words(runner: &Value) -> Option<Vec<String>> {
    match runner {
        Value::String(text) => Some(words(text)),
        Value::Array(parts) => parts.iter().map(|part| part.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A program with a slash in its name is relative to the file's directory, others are looked for in PATH.
fn located(mut words: Vec<String>, base: &Path) -> Vec<String> {
    if let Some(program) = words.first_mut().filter(|program| program.contains('/')) {
        *program = base.join(&*program).to_string_lossy().into_owned();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(base: &str, text: &str) -> File {
        File { table: text.parse().expect("TOML"), base: base.into() }
    }

    #[test]
    fn the_nearest_file_and_the_environment_go_first() {
        let files = [
            file("/w/p", "[env]\nA = 'near'\nB = { value = 'cfg', relative = true }\nC = 'c'"),
            file(
                "/w",
                "[env]\nA = 'far'\nD = { value = 'd', force = true }\n[target.t-1]\nrunner = './run -x'",
            ),
        ];
        let set = |name: &str| matches!(name, "C" | "D").then(|| OsString::from("from outside"));
        let config = CargoConfig::merge(&files, "t-1", set);
        let value = |name: &str| config.env.iter().find(|(n, _)| n == name).map(|(_, v)| v.to_string_lossy());
        assert_eq!(value("A").as_deref(), Some("near"));
        assert_eq!(value("B").as_deref(), Some("/w/p/cfg"));
        assert_eq!(value("C"), None);
        assert_eq!(value("D").as_deref(), Some("d"));
        assert_eq!(config.runner, ["/w/./run", "-x"]);
    }

    #[test]
    fn the_runner_is_that_of_the_platform_built_for() {
        let files = [file(
            "/w",
            "[profile.loadtest]\ninherits = 'release'\n[profile.x]\nlto = true\n[build]\ntarget = 'arm-x'\n[target.arm-x]\nrunner = ['qemu', '-L', 'a b']",
        )];
        let config = CargoConfig::merge(&files, "t-1", |_| None);
        assert_eq!(config.target.as_deref(), Some("arm-x"));
        assert_eq!(config.profiles, ["loadtest"]);
        assert_eq!(config.runner, ["qemu", "-L", "a b"]);
        let by_variable =
            |name: &str| (name == "CARGO_TARGET_ARM_X_RUNNER").then(|| OsString::from("other -y"));
        assert_eq!(CargoConfig::merge(&files, "t-1", by_variable).runner, ["other", "-y"]);
    }
}
