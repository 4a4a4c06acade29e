//! A branch of session files: read and extended by git's plumbing, with an index of its own.
//!
//! The main type is [`Branch`]. It refuses to write to a branch that holds anything but session files, so that a
//! wrong name does no harm, and only ever adds commits on top of what is there.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use anyhow::{Context, bail};

use crate::git;
use crate::session::Session;
use crate::store::MAX_SESSION_BYTES;

/// The directory of the files on the branch.
const DIRECTORY: &str = "sessions";

/// All files together may have so many bytes, or a branch could fill the memory.
const MOST_BYTES: u64 = 512 << 20;

/// The remote that is no remote.
const HERE: &str = ".";

/// What commits are signed with where the user is nobody.
const IDENTITY: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "cargo-loadtest"),
    ("GIT_AUTHOR_EMAIL", "cargo-loadtest@localhost"),
    ("GIT_COMMITTER_NAME", "cargo-loadtest"),
    ("GIT_COMMITTER_EMAIL", "cargo-loadtest@localhost"),
];

/// A branch of a remote, or of this repository.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    directory: PathBuf,
    remote: String,
    name: String,
}

/// Where a branch ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tip {
    /// `None` if there is no such branch yet.
    pub(super) commit: Option<String>,
}

/// A session's file on the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionFile {
    /// The session's id.
    pub(super) id: String,
    blob: String,
    bytes: u64,
}

/// Somebody else was faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rejected;

impl Branch {
    /// A branch of a repository's remote; `.` is the repository itself.
    ///
    /// # Errors
    /// If there is no repository, or no branch can have the name.
    pub(super) fn open(directory: &Path, remote: &str, name: &str) -> anyhow::Result<Branch> {
        let branch =
            Branch { directory: directory.to_owned(), remote: remote.to_owned(), name: name.to_owned() };
        if !branch.git(&["rev-parse", "--git-dir"]).output()?.status.success() {
            bail!(
                "{} is in no git repository, so there is no branch to keep a history on",
                directory.display()
            );
        }
        let allowed = branch.git(&["check-ref-format", "--branch", name]).output()?.status.success();
        // `@{-1}` would be another branch than it says.
        if !allowed || name.starts_with('-') || name.contains('@') {
            bail!("`{}` can't be the name of a branch", name.escape_debug());
        }
        if remote.is_empty() || remote.starts_with('-') {
            bail!("`{}` can't be the name of a remote", remote.escape_debug());
        }
        Ok(branch)
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What to call it.
    pub(super) fn shown(&self) -> String {
        match self.remote.as_str() {
            HERE => format!("branch {} of this repository", self.name),
            remote => format!("branch {} of {remote}", self.name),
        }
    }

    fn reference(&self) -> String {
        format!("refs/heads/{}", self.name)
    }

    /// Asks where the branch ends, and gets what is needed to read it. `None` if it changed meanwhile.
    ///
    /// # Errors
    /// If the remote does not answer.
    pub(super) fn tip(&self) -> anyhow::Result<Option<Tip>> {
        let reference = self.reference();
        if self.remote == HERE {
            let output = self.git(&["rev-parse", "--quiet", "--verify", &reference]).output()?;
            let commit = output.status.success().then(|| line(&output.stdout));
            return Ok(Some(Tip { commit }));
        }
        let listed = self.run(&["ls-remote", "--quiet", &self.remote, &reference]).map_err(|error| {
            // The first line is git's own; what follows guesses at reasons.
            let error = error.to_string();
            anyhow::anyhow!(
                "can't ask {} for its branches: {}\nhint: name another one with --remote; `--remote .` keeps the history \
                 in this repository alone",
                self.remote,
                error.lines().next().unwrap_or_default()
            )
        })?;
        let text = String::from_utf8_lossy(&listed).into_owned();
        let commit = text.lines().find_map(|line| {
            let (commit, name) = line.split_once('\t')?;
            (name == reference).then(|| commit.to_owned())
        });
        let Some(commit) = commit else { return Ok(Some(Tip { commit: None })) };
        if !self.has(&commit) {
            // Neither a reference nor FETCH_HEAD of the user is changed by it.
            let fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", &self.remote, &reference];
            self.run(&fetch).with_context(|| format!("can't fetch the {}", self.shown()))?;
        }
        Ok(self.has(&commit).then_some(Tip { commit: Some(commit) }))
    }

    fn has(&self, commit: &str) -> bool {
        let what = format!("{commit}^{{tree}}");
        self.git(&["cat-file", "-e", &what]).output().is_ok_and(|output| output.status.success())
    }

    /// The session files at a tip. Other files in their directory are left alone and not told.
    ///
    /// # Errors
    /// If the branch holds something else than a history.
    pub(super) fn files(&self, tip: &Tip) -> anyhow::Result<Vec<SessionFile>> {
        let Some(commit) = &tip.commit else { return Ok(Vec::new()) };
        let listed = self.run(&["ls-tree", "-r", "-l", "-z", "--full-tree", commit])?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let mut files = Vec::new();
        for entry in listed.split('\0').filter(|entry| !entry.is_empty()) {
            let Some((kind, path)) = entry.split_once('\t') else { continue };
            let Some(file) = path.strip_prefix(DIRECTORY).and_then(|rest| rest.strip_prefix('/')) else {
                bail!(
                    "the {} holds other things than sessions, such as `{}`\nhint: name a branch of its own with --branch",
                    self.shown(),
                    path.escape_debug()
                );
            };
            let fields: Vec<&str> = kind.split_whitespace().collect();
            // A link, a submodule or a directory below is none of ours.
            let ["100644" | "100755", "blob", blob, bytes] = *fields else { continue };
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            let Some(id) = file.strip_suffix(".json").filter(|id| !id.is_empty() && id.chars().all(known))
            else {
                continue;
            };
            let bytes = bytes.parse().unwrap_or(u64::MAX);
            files.push(SessionFile { id: id.to_owned(), blob: blob.to_owned(), bytes });
        }
        Ok(files)
    }

    /// The contents of files, each with its own error if it is too large.
    ///
    /// # Errors
    /// If git can't read them.
    pub(super) fn read(
        &self,
        files: &[SessionFile],
    ) -> anyhow::Result<Vec<(SessionFile, anyhow::Result<Vec<u8>>)>> {
        let mut left = MOST_BYTES;
        let mut wanted = Vec::new();
        let mut read = Vec::new();
        for file in files {
            if file.bytes > MAX_SESSION_BYTES || file.bytes > left {
                let error =
                    anyhow::anyhow!("{DIRECTORY}/{}.json is too large: {} bytes", file.id, file.bytes);
                read.push((file.clone(), Err(error)));
            } else {
                left -= file.bytes;
                wanted.push(file);
            }
        }
        let request: String = wanted.iter().map(|file| format!("{}\n", file.blob)).collect();
        let answer = self.with_input(self.git(&["cat-file", "--batch"]), request.into_bytes())?;
        let mut rest = answer.as_slice();
        for file in wanted {
            let end = rest.iter().position(|byte| *byte == b'\n').context("git cat-file was cut off")?;
            let header = String::from_utf8_lossy(&rest[..end]).into_owned();
            let size: usize = header
                .rsplit(' ')
                .next()
                .and_then(|size| size.parse().ok())
                .with_context(|| format!("git cat-file said `{}`", header.escape_debug()))?;
            let content = rest.get(end + 1..end + 1 + size).context("git cat-file was cut off")?;
            read.push((file.clone(), Ok(content.to_vec())));
            rest = rest.get(end + size + 2..).unwrap_or_default();
        }
        Ok(read)
    }

    /// Adds sessions in a commit on top of a tip.
    ///
    /// # Errors
    /// If git can't do it for another reason than that somebody was faster.
    pub(super) fn add(&self, tip: &Tip, sessions: &[&Session]) -> anyhow::Result<Result<(), Rejected>> {
        let commit = self.commit(tip, sessions)?;
        if self.remote == HERE { self.move_here(tip, &commit) } else { self.push(tip, &commit) }
    }

    fn commit(&self, tip: &Tip, sessions: &[&Session]) -> anyhow::Result<String> {
        let scratch = tempfile::tempdir().context("can't make a temporary directory")?;
        let index = scratch.path().join("index");
        let git = |arguments: &[&str]| {
            let mut command = self.git(arguments);
            command.env("GIT_INDEX_FILE", &index);
            command
        };
        match &tip.commit {
            Some(commit) => succeed(&git(&["read-tree", commit]).output()?, "read-tree")?,
            None => succeed(&git(&["read-tree", "--empty"]).output()?, "read-tree")?,
        }
        let mut entries = String::new();
        for session in sessions {
            let mut bytes = serde_json::to_vec_pretty(session).context("can't write a session")?;
            bytes.push(b'\n');
            let blob = self.with_input(git(&["hash-object", "-w", "--stdin", "--no-filters"]), bytes)?;
            entries.push_str(&format!("100644 {}\t{DIRECTORY}/{}.json\n", line(&blob), session.id));
        }
        self.with_input(git(&["update-index", "--add", "--index-info"]), entries.into_bytes())?;
        let tree = git(&["write-tree"]).output()?;
        succeed(&tree, "write-tree")?;
        let tree = line(&tree.stdout);
        let message = match sessions {
            [one] => format!("Session {}", one.id),
            several => format!("{} sessions, {} the latest", several.len(), several[several.len() - 1].id),
        };
        let mut command = git(&["commit-tree", "--no-gpg-sign", &tree, "-m", &message]);
        if let Some(parent) = &tip.commit {
            command.args(["-p", parent]);
        }
        if !self.has_identity() {
            command.envs(IDENTITY);
        }
        let commit = command.output()?;
        succeed(&commit, "commit-tree")?;
        Ok(line(&commit.stdout))
    }

    /// Whether git would know who commits, without guessing from the machine's name.
    fn has_identity(&self) -> bool {
        let known = |variable: &str, key: &str| {
            std::env::var_os(variable).is_some_and(|value| !value.is_empty())
                || self.git(&["config", "--get", key]).output().is_ok_and(|found| found.status.success())
        };
        known("GIT_COMMITTER_EMAIL", "user.email") && known("GIT_COMMITTER_NAME", "user.name")
    }

    fn push(&self, tip: &Tip, commit: &str) -> anyhow::Result<Result<(), Rejected>> {
        let what = format!("{commit}:{}", self.reference());
        // Never by force: git refuses what is not on top of what is there.
        let output = self.git(&["push", "--quiet", &self.remote, &what]).output()?;
        if output.status.success() {
            return Ok(Ok(()));
        }
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        let moved = self.tip()?.is_none_or(|now| now != *tip);
        // While the other one's push is under way the branch has not moved yet.
        let busy = [
            "cannot lock ref",
            "failed to update ref",
            "fetch first",
            "non-fast-forward",
            "incorrect old value",
        ];
        if moved || busy.iter().any(|text| complaint.contains(text)) {
            return Ok(Err(Rejected));
        }
        bail!("can't push to the {}: {}", self.shown(), complaint.trim())
    }

    fn move_here(&self, tip: &Tip, commit: &str) -> anyhow::Result<Result<(), Rejected>> {
        let reference = self.reference();
        let checked_out = self.run(&["worktree", "list", "--porcelain"])?;
        let head = format!("branch {reference}");
        if String::from_utf8_lossy(&checked_out).lines().any(|line| line == head) {
            bail!(
                "the branch {} is checked out, so it can't be changed\nhint: switch to another one",
                self.name
            );
        }
        // Zeros: there must be no branch yet. Their number depends on how the repository hashes.
        let none = "0".repeat(commit.len());
        let old = tip.commit.as_deref().unwrap_or(&none);
        let update = ["update-ref", "-m", "cargo loadtest history push", &reference, commit, old];
        let output = self.git(&update).output()?;
        if output.status.success() {
            return Ok(Ok(()));
        }
        let moved = self.tip()?.is_none_or(|now| now != *tip);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        if moved || complaint.contains("cannot lock ref") {
            return Ok(Err(Rejected));
        }
        bail!("can't change the {}: {}", self.shown(), complaint.trim())
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let output = self.git(arguments).output().context("can't start git")?;
        succeed(&output, arguments.first().copied().unwrap_or_default())?;
        Ok(output.stdout)
    }

    fn with_input(&self, mut command: Command, input: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("can't start git")?;
        let stdin = child.stdin.take();
        // Written beside the reading: git answers before it has heard all, and pipes are short.
        let writer = thread::spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&input)));
        let mut answer = Vec::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_end(&mut answer).context("can't read what git says")?;
        }
        let output = child.wait_with_output().context("can't wait for git")?;
        // Who failed has closed its input: then its own words say more.
        let written = writer.join();
        succeed(&output, "plumbing")?;
        if !matches!(written, Ok(Ok(()))) {
            bail!("git did not take all that it was given");
        }
        Ok(answer)
    }

    fn git(&self, arguments: &[&str]) -> Command {
        let mut command = git::command(&self.directory, arguments);
        command.env("GIT_TERMINAL_PROMPT", "0");
        command
    }
}

fn succeed(output: &Output, what: &str) -> anyhow::Result<()> {
    if !output.status.success() {
        bail!("git {what} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
