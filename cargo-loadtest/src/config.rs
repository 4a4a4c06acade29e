//! `loadtest.toml` at the workspace's root: settings that belong to the workspace and not to one run.
//!
//! The main type is [`Config`]. A key that is not known is an error, because a setting that is silently
//! ignored is worse than none.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use loadtest_core::{Error, suggest};

/// The file's name.
pub const FILE: &str = "loadtest.toml";

/// Keys that are read.
const KEYS: &[&str] = &["store"];

/// Keys that will be read one day: said apart, so that nobody looks for a slip of the finger.
const FUTURE_KEYS: &[&str] = &["service", "compare_duration", "options", "out"];

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Directory of runs and baselines, if it is not `.loadtest`. `LOADTEST_STORE` wins over it.
    pub store: Option<PathBuf>,
}

impl Config {
    /// Reads the file of a workspace. No file means defaults.
    ///
    /// # Errors
    /// If the file can't be read or understood, with its name and the place in it.
    pub fn load(workspace_root: &Path) -> anyhow::Result<Config> {
        let path = workspace_root.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => {
                Config::parse(&text, workspace_root).with_context(|| format!("in {}", path.display()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Config::default()),
            Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
        }
    }

    /// Reads the text of a file; relative paths are relative to `root`.
    ///
    /// # Errors
    /// If it is not TOML, or has a key or a value that means nothing.
    pub fn parse(text: &str, root: &Path) -> anyhow::Result<Config> {
        let table: toml::Table = text.parse().context("not valid TOML")?;
        let mut config = Config::default();
        for (key, value) in table {
            match key.as_str() {
                "store" => match value.as_str() {
                    Some(path) if !path.is_empty() => config.store = Some(root.join(path)),
                    _ => {
                        return Err(Error::new("`store` is not a path")
                            .hint("write for example store = \"../loadtest-runs\"")
                            .into());
                    }
                },
                future if FUTURE_KEYS.contains(&future) => {
                    return Err(Error::new(format!("the key `{future}` does not work yet"))
                        .hint(format!("take it out; these work: `{}`", KEYS.join("`, `")))
                        .into());
                }
                unknown => {
                    return Err(Error::new(format!("unknown key `{unknown}`"))
                        .hint(suggest::hint(unknown, KEYS.iter().copied()))
                        .into());
                }
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        format!("{:#}", Config::parse(text, Path::new("/w")).expect_err("refused"))
    }

    #[test]
    fn the_store_is_relative_to_the_workspace() {
        let config = Config::parse("store = \"runs\"", Path::new("/w")).expect("valid");
        assert_eq!(config.store.as_deref(), Some(Path::new("/w/runs")));
        assert_eq!(Config::parse("", Path::new("/w")).expect("valid"), Config::default());
    }

    #[test]
    fn nothing_is_silently_ignored() {
        assert!(error("stoer = \"runs\"").contains("did you mean `store`?"));
        assert!(error("[service]\nstart = \"x\"").contains("does not work yet"));
        assert!(error("store = 7").contains("not a path"));
        assert!(error("store = ").contains("not valid TOML"));
    }
}
