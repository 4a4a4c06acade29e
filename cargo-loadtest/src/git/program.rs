//! Calls of the program `git`: how it is started, and what becomes of what it says.
//!
//! The main type is [`Git`], a directory to work in. Nothing here knows what a command means. Reading never
//! takes a lock that could disturb the user's own git; only network commands have a time limit, because only
//! they can wait for ever.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::launch;

/// How long a remote may take for one answer.
const REMOTE_LIMIT: Duration = Duration::from_secs(600);

/// How often it is looked whether the remote has answered.
const LOOK: Duration = Duration::from_millis(20);

/// What git sets for its hooks. A directory says which repository is meant, not the hook that called cargo.
const INHERITED: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
];

/// The program `git` in a directory.
#[derive(Debug, Clone)]
pub(super) struct Git {
    directory: PathBuf,
    variables: Vec<(String, String)>,
}

impl Git {
    /// Git in a directory, with variables besides those of this process.
    pub(super) fn new(directory: &Path, variables: &[(String, String)]) -> Git {
        Git { directory: directory.to_owned(), variables: variables.to_vec() }
    }

    /// The same in another directory.
    pub(super) fn at(&self, directory: &Path) -> Git {
        Git { directory: directory.to_owned(), variables: self.variables.clone() }
    }

    /// The same, which does not look for a repository in `parent` or above it.
    pub(super) fn below(mut self, parent: &Path) -> Git {
        self.variables.push(("GIT_CEILING_DIRECTORIES".to_owned(), parent.display().to_string()));
        self
    }

    /// What a reading command prints, without the end of line; `None` if it fails.
    pub(super) fn read(&self, arguments: &[&str]) -> Option<String> {
        self.bytes(arguments).ok().map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Whether a reading command succeeds.
    pub(super) fn holds(&self, arguments: &[&str]) -> bool {
        self.bytes(arguments).is_ok()
    }

    /// What a reading command prints, as it is.
    ///
    /// # Errors
    /// If there is no git or the command fails, with what it says about that.
    pub(super) fn bytes(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let output =
            self.command(arguments, true).stdout(Stdio::piped()).output().context("can't start git")?;
        if !output.status.success() {
            bail!("git {}: {}", shown(arguments), complaint(&output.stderr, output.status));
        }
        Ok(output.stdout)
    }

    /// Does something that changes files.
    ///
    /// # Errors
    /// As [`Git::bytes`].
    pub(super) fn change(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = self
            .command(arguments, false)
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdout(Stdio::null())
            .output()
            .context("can't start git")?;
        if !output.status.success() {
            bail!("git {}: {}", shown(arguments), complaint(&output.stderr, output.status));
        }
        Ok(())
    }

    /// Asks a remote, which may be slow or silent but may not ask for a password. What it prints.
    ///
    /// # Errors
    /// If it fails, says nothing for too long, or the user interrupts: a text for a person.
    pub(super) fn ask_remote(&self, arguments: &[&str]) -> Result<String, Refusal> {
        self.within(arguments, REMOTE_LIMIT)
    }

    fn within(&self, arguments: &[&str], limit: Duration) -> Result<String, Refusal> {
        let nothing =
            |error: std::io::Error| Refusal { code: None, text: format!("can't start git: {error}") };
        // Files, not pipes: they never fill up, so nobody has to read while git runs.
        let (mut out, mut err) =
            (tempfile::tempfile().map_err(nothing)?, tempfile::tempfile().map_err(nothing)?);
        let mut command = self.command(arguments, false);
        command.env("GIT_TERMINAL_PROMPT", "0");
        command.stdout(out.try_clone().map_err(nothing)?).stderr(err.try_clone().map_err(nothing)?);
        let mut child = command.spawn().map_err(nothing)?;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(nothing)? {
                break status;
            }
            let reason = match () {
                () if launch::interrupted() => "interrupted".to_owned(),
                () if start.elapsed() > limit => format!("no answer within {} s", limit.as_secs()),
                () => {
                    thread::sleep(LOOK);
                    continue;
                }
            };
            // Both fail only if it has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Refusal { code: None, text: reason });
        };
        if !status.success() {
            return Err(Refusal { code: status.code(), text: complaint(&contents(&mut err), status) });
        }
        Ok(String::from_utf8_lossy(&contents(&mut out)).trim_end().to_owned())
    }

    pub(super) fn command(&self, arguments: &[&str], reads: bool) -> Command {
        let mut command = Command::new("git");
        if reads {
            command.arg("--no-optional-locks");
        }
        for name in INHERITED {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(&self.directory)
            .env("LC_ALL", "C")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

/// Why a remote did not give what it was asked for.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Git's exit code, if it ended by itself.
    pub(super) code: Option<i32>,
    /// For a person.
    pub(super) text: String,
}

fn contents(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A complaint that can't be read back is one that was not made.
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    bytes
}

/// The last lines that git wrote: what comes first is its progress.
fn complaint(stderr: &[u8], status: ExitStatus) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.is_empty() {
        true => format!("failed with {status}"),
        false => lines[lines.len().saturating_sub(4)..].join("; "),
    }
}

/// The command without its options for every call.
fn shown(arguments: &[&str]) -> String {
    let mut rest = arguments;
    while let ["-c", _, more @ ..] = rest {
        rest = more;
    }
    rest.iter().take(2).copied().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_that_never_answers_is_given_up() {
        let directory = tempfile::tempdir().expect("a directory");
        // An alias runs a program, which is all that a transport is.
        let git = Git::new(directory.path(), &[]);
        let refusal = git
            .within(&["-c", "alias.hang=!exec sleep 600", "hang"], Duration::from_millis(50))
            .expect_err("it hangs");
        assert_eq!((refusal.code, refusal.text.as_str()), (None, "no answer within 0 s"));
    }

    #[test]
    fn what_fails_says_what_git_said() {
        let directory = tempfile::tempdir().expect("a directory");
        let git = Git::new(directory.path(), &[]).below(directory.path());
        let error = git.bytes(&["-c", "a.b=c", "rev-parse", "HEAD"]).expect_err("no repository").to_string();
        assert!(error.starts_with("git rev-parse HEAD: fatal: not a git repository"), "{error}");
        let refusal = git.ask_remote(&["ls-remote", "/nowhere"]).expect_err("no repository");
        assert!(refusal.code == Some(128) && refusal.text.contains("/nowhere"), "{refusal:?}");
    }
}
