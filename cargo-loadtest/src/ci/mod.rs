//! What a service of continuous integration is told of a run: [`github`] has the job summary, annotations, outputs and
//! the comment, [`junit`] a file that every other service reads.
//!
//! The main types are [`Provider`], found by [`detect`], and [`Facts`], what is told. Nothing here judges or computes:
//! words and numbers of a comparison come ready from [`crate::report`], pass or fail from [`crate::verdict`].
//! **Invariant**: all text from outside (names of tests and branches, errors, commands) is hostile until it went
//! through the escaping of the format that it is written into.

mod findings;
pub mod github;
pub mod junit;
mod markdown;
#[cfg(test)]
mod sample;
mod text;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::CiWish;
use crate::compare::Comparison;
use crate::data::RunData;
use crate::verdict::Judgement;

/// A service that has more than a log and an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// GitHub Actions, and what is compatible with it.
    GitHub,
}

impl Provider {
    /// Tells the service about a run. `out` is what it reads of the step's output; if standard output carries a
    /// document, standard error serves as well. Returns what was written, a note each.
    ///
    /// # Errors
    /// If a file can't be written. What could be written is.
    pub fn publish(
        self,
        facts: &Facts<'_>,
        environment: &Environment,
        out: &mut dyn Write,
    ) -> anyhow::Result<Vec<String>> {
        match self {
            Self::GitHub => github::publish(facts, environment, out),
        }
    }
}

/// The service that is to be told, if any: the one that was named, or the one whose variables are set.
pub fn detect(wish: CiWish, environment: &Environment) -> Option<Provider> {
    match wish {
        CiWish::Off => None,
        CiWish::GitHub => Some(Provider::GitHub),
        CiWish::Auto => (environment.get("GITHUB_ACTIONS") == Some("true")).then_some(Provider::GitHub),
    }
}

/// What is told of a run.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What ran; of a duet the run of head that stands for it.
    pub run: &'a RunData,
    /// What it was compared with.
    pub comparison: Option<&'a Comparison>,
    /// The exit code with its grounds.
    pub judgement: &'a Judgement,
    /// The first line of the summary.
    pub first_line: &'a str,
    /// The command that does the same on another machine.
    pub repeat: &'a str,
    /// The HTML report, if one was written.
    pub report: Option<&'a Path>,
    /// The JUnit file, if one was written.
    pub junit: Option<&'a Path>,
    /// Where `comment.md` goes: `loadtest` in the target directory.
    pub directory: &'a Path,
    /// The name of a baseline that was asked for and does not exist.
    pub baseline_missing: Option<&'a str>,
    /// What the paths of source files are relative to.
    pub workspace_root: &'a Path,
    /// The root of the git repository, if there is one.
    pub repository_root: Option<&'a Path>,
}

/// Environment variables by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Those of this process. What is no Unicode is left out.
    pub fn read() -> Self {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(unicode).collect()
    }

    /// A variable's value. One that is empty counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable's value as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_told_if_it_is_there_or_named() {
        let here: Environment = [("GITHUB_ACTIONS", "true")].into_iter().collect();
        let elsewhere: Environment = [("GITHUB_ACTIONS", "")].into_iter().collect();
        assert_eq!(detect(CiWish::Auto, &here), Some(Provider::GitHub));
        assert_eq!(detect(CiWish::Auto, &elsewhere), None);
        assert_eq!(detect(CiWish::GitHub, &elsewhere), Some(Provider::GitHub));
        assert_eq!(detect(CiWish::Off, &here), None);
    }
}
