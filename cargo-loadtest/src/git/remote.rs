//! What is asked of `origin` when a clone does not have enough: a branch, a tag, or more of the past.
//!
//! The main type is [`Remote`]. It writes nothing but what a fetch writes: objects, remote branches, the
//! tag that was asked for. It is asked only where a clone is known to lack something, as in continuous integration.

use std::fs;

use super::program::Git;

/// The only remote that is asked.
pub(super) const ORIGIN: &str = "origin";

/// So many commits more each time, and then all.
const STEPS: &[u32] = &[50, 100, 200, 400, 800, 1600, 3200];

/// Wanted by their hashes at most; a clone with more ends of history is deepened at its branches alone.
const MOST_BOUNDARIES: usize = 32;

/// The remote `origin` of a repository.
#[derive(Debug)]
pub(super) struct Remote<'g> {
    git: &'g Git,
}

/// What a remote calls by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// Nothing.
    Nothing,
}

impl<'g> Remote<'g> {
    /// The remote of this repository.
    pub(super) fn of(git: &'g Git) -> Remote<'g> {
        Remote { git }
    }

    /// Whether the past of this clone was cut off somewhere.
    pub(super) fn is_shallow(&self) -> bool {
        self.git.read(&["rev-parse", "--is-shallow-repository"]).as_deref() == Some("true")
    }

    /// What has this name there.
    ///
    /// # Errors
    /// If the remote does not answer: what git says.
    pub(super) fn look_up(&self, name: &str) -> Result<Named, String> {
        let (branch, tag) = (format!("refs/heads/{name}"), format!("refs/tags/{name}"));
        match self.git.ask_remote(&["ls-remote", "--exit-code", "--quiet", ORIGIN, &branch, &tag]) {
            Ok(lines) => {
                let has = |full: &str| lines.lines().any(|line| line.split('\t').nth(1) == Some(full));
                Ok(match () {
                    () if has(&branch) => Named::Branch,
                    () if has(&tag) => Named::Tag,
                    () => Named::Nothing,
                })
            }
            // That is what `--exit-code` is for.
            Err(refusal) if refusal.code == Some(2) => Ok(Named::Nothing),
            Err(refusal) => Err(refusal.text),
        }
    }

    /// Fetches a branch to `refs/remotes/origin/NAME`.
    ///
    /// # Errors
    /// As [`Remote::look_up`].
    pub(super) fn fetch_branch(&self, name: &str) -> Result<(), String> {
        self.fetch_new(&branch_refspec(name))
    }

    /// Fetches a tag to `refs/tags/NAME`.
    ///
    /// # Errors
    /// As [`Remote::look_up`].
    pub(super) fn fetch_tag(&self, name: &str) -> Result<(), String> {
        self.fetch_new(&format!("refs/tags/{name}:refs/tags/{name}"))
    }

    /// Fetches a commit by its full hash.
    ///
    /// # Errors
    /// As [`Remote::look_up`], also if no branch or tag there reaches it.
    pub(super) fn fetch_commit(&self, hash: &str) -> Result<(), String> {
        self.fetch_new(hash)
    }

    /// What was not there before is fetched as deep as it must be and no deeper: a shallow clone has a reason.
    fn fetch_new(&self, refspec: &str) -> Result<(), String> {
        match self.is_shallow() {
            true => self.fetch(&["--depth=50"], &[refspec.to_owned()]),
            false => self.fetch(&[], &[refspec.to_owned()]),
        }
    }

    /// Deepens a shallow clone until `found` finds something, or all of the past is there. With it the number
    /// of commits by which each branch was deepened; `None` is all.
    ///
    /// # Errors
    /// If the remote does not answer: what git says.
    pub(super) fn deepen_until<T>(
        &self,
        branch: Option<&str>,
        first: u32,
        found: impl Fn() -> Option<T>,
    ) -> Result<Option<(T, Option<u32>)>, String> {
        let mut fetched = 0;
        for step in std::iter::once(first).chain(STEPS.iter().copied().filter(|step| *step > first)) {
            if !self.is_shallow() {
                return Ok(found().map(|found| (found, None)));
            }
            self.deepen(&format!("--deepen={step}"), branch)?;
            fetched += step;
            if let Some(found) = found() {
                return Ok(Some((found, Some(fetched))));
            }
        }
        if self.is_shallow() {
            self.deepen("--unshallow", branch)?;
        }
        Ok(found().map(|found| (found, None)))
    }

    /// Wants the ends of the known history by their hashes, because a detached HEAD is on no branch that
    /// is fetched by default.
    fn deepen(&self, how: &str, branch: Option<&str>) -> Result<(), String> {
        let branch: Vec<String> = branch.map(branch_refspec).into_iter().collect();
        let boundaries = self.boundaries();
        if !boundaries.is_empty() && boundaries.len() <= MOST_BOUNDARIES {
            let wanted: Vec<String> = branch.iter().cloned().chain(boundaries).collect();
            // Old servers don't give commits by their hash; what they then say is not the reason to tell.
            if self.fetch(&[how], &wanted).is_ok() {
                return Ok(());
            }
        }
        self.fetch(&[how], &branch)
    }

    fn boundaries(&self) -> Vec<String> {
        let path = self.git.read(&["rev-parse", "--path-format=absolute", "--git-path", "shallow"]);
        let text = path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn fetch(&self, options: &[&str], refspecs: &[String]) -> Result<(), String> {
        let mut arguments = vec!["fetch", "--quiet", "--no-tags", "--no-recurse-submodules"];
        arguments.extend(options);
        arguments.push(ORIGIN);
        arguments.extend(refspecs.iter().map(String::as_str));
        self.git.ask_remote(&arguments).map(|_| ()).map_err(|refusal| refusal.text)
    }
}

fn branch_refspec(name: &str) -> String {
    format!("+refs/heads/{name}:refs/remotes/{ORIGIN}/{name}")
}
