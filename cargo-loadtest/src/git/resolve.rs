//! From the name after `--baseline` to the commit that a change is to be compared with.
//!
//! The main types are [`Resolved`] and [`Unresolved`]. A branch means the commit from which HEAD left it, because
//! what others did on it since is not part of the change; everything else means itself. The remote is asked only if
//! the clone is shallow or belongs to continuous integration: on a desk a misspelt name must not wait for a network.

use std::fmt;

use loadtest_core::suggest;

use super::Repository;
use super::environment::{CiEnvironment, CiService};
use super::program::Git;
use super::remote::{Named, ORIGIN, Remote};

/// The commit that a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Its full hash.
    pub commit: String,
    /// How the name led to it, as part of a sentence: `the merge base of main and HEAD`, `the tag v1.2.0`.
    pub how: String,
    /// When it was committed, RFC 3339.
    pub committed_at: String,
    /// Whether it is the commit of HEAD. If no file differs either, there is nothing to compare.
    pub same_as_head: bool,
    /// What the user should know besides: what was fetched, which other branch may have been meant.
    pub notes: Vec<String>,
}

/// Why a name stands for no commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// Nothing has this name.
    NotFound {
        /// As the user wrote it.
        name: String,
        /// What to type instead.
        hint: String,
    },
    /// It may be in the part of the past that this clone does not have, and the remote did not help.
    Shallow {
        /// As the user wrote it.
        name: String,
        /// What git said of the remote.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// HEAD and the branch have no commit in common.
    Unrelated {
        /// As the user wrote it.
        name: String,
    },
    /// There is no git repository, or no git.
    NoRepository,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unresolved::NotFound { name, hint } => {
                write!(
                    f,
                    "`{}` is no branch, tag or commit of this repository\nhint: {hint}",
                    name.escape_debug()
                )
            }
            Unresolved::Shallow { name, reason, hint } => write!(
                f,
                "this clone is shallow and does not reach back to `{name}`, and {ORIGIN} did not help: {reason}\n\
                 hint: {hint}"
            ),
            Unresolved::Unrelated { name } => write!(
                f,
                "`{name}` and HEAD have no commit in common\n\
                 hint: name the commit itself, as `git rev-parse {name}` prints it"
            ),
            Unresolved::NoRepository => f.write_str(
                "there is no git repository here, so no other revision can be built\n\
                 hint: `git status` says what is wrong if there should be one",
            ),
        }
    }
}

impl std::error::Error for Unresolved {}

/// What a name is, before it is known which commit that means.
enum Meaning {
    /// The full name of its ref, and its name for people.
    Branch(String, String),
    /// The commit, and what it is.
    Commit(String, String),
}

/// As [`Repository::resolve`].
pub(super) fn resolve(
    repository: &Repository,
    name: &str,
    environment: &CiEnvironment,
) -> Result<Resolved, Unresolved> {
    let git = &repository.git;
    if let Some(hint) = refusal(name) {
        return Err(Unresolved::NotFound { name: name.to_owned(), hint: hint.to_owned() });
    }
    let Some(head) = commit_of(git, "HEAD") else {
        let hint = "commit first: this repository has no commit yet".to_owned();
        return Err(Unresolved::NotFound { name: name.to_owned(), hint });
    };
    let mut search = Search { git, name, head, environment, notes: Vec::new() };
    let (commit, how) = search.find()?;
    let format = ["show", "--no-patch", "--no-show-signature", "--format=%cI", &commit];
    let committed_at = git.read(&format).unwrap_or_default();
    Ok(Resolved { same_as_head: commit == search.head, committed_at, commit, how, notes: search.notes })
}

/// The commit that two revisions have in common.
pub(super) fn merge_base(git: &Git, one: &str, other: &str) -> Option<String> {
    git.read(&["merge-base", one, other]).filter(|commit| !commit.is_empty())
}

/// The full hash of the commit that an expression stands for.
pub(super) fn commit_of(git: &Git, expression: &str) -> Option<String> {
    let commit = git.read(&["rev-parse", "--verify", "--quiet", &format!("{expression}^{{commit}}")]);
    // Of `^main`, which excludes commits, it prints a hash with that sign.
    commit.filter(|commit| is_full_hash(commit))
}

/// Whether there is a ref of this full name.
pub(super) fn has_ref(git: &Git, full: &str) -> bool {
    git.holds(&["show-ref", "--verify", "--quiet", full])
}

/// Why a name is not even shown to git, which would take it for an option.
fn refusal(name: &str) -> Option<&'static str> {
    match () {
        () if name.is_empty() => Some("name a branch, a tag or a commit"),
        () if name.starts_with('-') => Some("a revision does not begin with `-`"),
        () if name.chars().any(char::is_control) => Some("a revision has no control characters"),
        () => None,
    }
}

struct Search<'a> {
    git: &'a Git,
    name: &'a str,
    head: String,
    environment: &'a CiEnvironment,
    notes: Vec<String>,
}

impl Search<'_> {
    fn find(&mut self) -> Result<(String, String), Unresolved> {
        // Before the branch is looked for: a pull request's checkout has the parent at hand and not the branch.
        if let Some(parent) = self.pull_request_base()? {
            return Ok((parent, "the first parent of the pull request's merge commit".to_owned()));
        }
        let meaning = match self.local() {
            Some(meaning) => meaning,
            None => self.fetched()?,
        };
        match meaning {
            Meaning::Commit(commit, how) => Ok((commit, how)),
            Meaning::Branch(full, shown) => {
                let base = self.base_with(&full)?;
                self.note_nearer(&full, &base);
                Ok((base, format!("the merge base of {shown} and HEAD")))
            }
        }
    }

    /// What the clone itself knows by this name. A branch before a tag, unlike in git: a tag named like
    /// the main branch must not change what a pull request is compared with.
    fn local(&mut self) -> Option<Meaning> {
        let (git, name) = (self.git, self.name);
        if matches!(name, "HEAD" | "@") {
            return Some(Meaning::Commit(self.head.clone(), "HEAD".to_owned()));
        }
        let local = format!("refs/heads/{name}");
        if has_ref(git, &local) {
            if has_ref(git, &format!("refs/tags/{name}")) {
                self.notes.push(format!("`{name}` is a branch and a tag; refs/tags/{name} is the tag"));
            }
            return Some(Meaning::Branch(local, name.to_owned()));
        }
        // Also finds `refs/heads/x`, `origin/x`, `upstream/x`, `@{upstream}`. It prints file names as they are.
        let full = git.read(&["rev-parse", "--symbolic-full-name", name]).filter(|full| has_ref(git, full));
        if let Some(full) = full {
            if let Some(branch) =
                full.strip_prefix("refs/heads/").or_else(|| full.strip_prefix("refs/remotes/"))
            {
                let shown = branch.to_owned();
                return Some(Meaning::Branch(full, shown));
            }
            if let Some(tag) = full.strip_prefix("refs/tags/") {
                return commit_of(git, &full).map(|commit| Meaning::Commit(commit, format!("the tag {tag}")));
            }
        }
        let remote = format!("refs/remotes/{ORIGIN}/{name}");
        if has_ref(git, &remote) {
            return Some(Meaning::Branch(remote, format!("{ORIGIN}/{name}")));
        }
        self.expression()
    }

    /// `HEAD~3`, a hash, and whatever else git understands.
    fn expression(&self) -> Option<Meaning> {
        let commit = commit_of(self.git, self.name)?;
        let how = match is_hash(self.name) && commit.starts_with(&self.name.to_ascii_lowercase()) {
            true => format!("the commit {}", short(&commit)),
            false => self.name.to_owned(),
        };
        Some(Meaning::Commit(commit, how))
    }

    /// What only the remote knows by this name.
    fn fetched(&mut self) -> Result<Meaning, Unresolved> {
        let remote = Remote::of(self.git);
        let shallow = remote.is_shallow();
        if !shallow && !self.environment.is_ci {
            return Err(self.not_found());
        }
        let silent = |search: &Self, reason: String| match shallow {
            true => search.shallow(reason),
            false => search.not_found(),
        };
        // `origin/x` and `refs/heads/x` mean the branch x there.
        let bare = bare_branch(self.name).to_owned();
        let plain = self.git.holds(&["check-ref-format", "--branch", &bare]);
        if plain {
            match remote.look_up(&bare).map_err(|reason| silent(self, reason))? {
                Named::Branch => {
                    remote.fetch_branch(&bare).map_err(|reason| silent(self, reason))?;
                    self.notes.push(format!("fetched the branch {bare} from {ORIGIN}"));
                    return Ok(Meaning::Branch(
                        format!("refs/remotes/{ORIGIN}/{bare}"),
                        format!("{ORIGIN}/{bare}"),
                    ));
                }
                Named::Tag => {
                    remote.fetch_tag(&bare).map_err(|reason| silent(self, reason))?;
                    self.notes.push(format!("fetched the tag {bare} from {ORIGIN}"));
                    let commit = commit_of(self.git, &format!("refs/tags/{bare}"));
                    return commit
                        .map(|commit| Meaning::Commit(commit, format!("the tag {bare}")))
                        .ok_or_else(|| self.not_found());
                }
                Named::Nothing => {}
            }
        }
        if is_full_hash(self.name)
            && remote.fetch_commit(&self.name.to_ascii_lowercase()).is_ok()
            && let Some(meaning) = self.expression()
        {
            self.notes.push(format!("fetched the commit {} from {ORIGIN}", short(self.name)));
            return Ok(meaning);
        }
        // `HEAD~30` and a hash may lie behind the end of the known past; a name without them is misspelt.
        let may_be_older = is_hash(self.name) || self.name.contains(['~', '^', '@', ':']);
        if shallow && may_be_older {
            let found = remote.deepen_until(None, 50, || self.expression());
            if let Some((meaning, by)) = found.map_err(|reason| self.shallow(reason))? {
                self.notes.push(deepened(by));
                return Ok(meaning);
            }
        }
        Err(self.not_found())
    }

    /// The merge base of HEAD and a branch, with as much of the past as that takes.
    fn base_with(&mut self, full: &str) -> Result<String, Unresolved> {
        let (git, head) = (self.git, self.head.clone());
        if let Some(base) = merge_base(git, &head, full) {
            return Ok(base);
        }
        let remote = Remote::of(git);
        if remote.is_shallow() {
            let branch = full.strip_prefix(&format!("refs/remotes/{ORIGIN}/"));
            let found = remote.deepen_until(branch, 50, || merge_base(git, &head, full));
            if let Some((base, by)) = found.map_err(|reason| self.shallow(reason))? {
                self.notes.push(deepened(by));
                return Ok(base);
            }
        }
        Err(Unresolved::Unrelated { name: self.name.to_owned() })
    }

    /// The first parent of HEAD, if HEAD is what the service made of merging a pull request into this branch.
    fn pull_request_base(&mut self) -> Result<Option<String>, Unresolved> {
        let environment = self.environment;
        let into_this = environment.base_ref.as_deref().is_none_or(|base| base == bare_branch(self.name));
        let checked_out = environment.commit.as_deref().is_none_or(|commit| commit == self.head);
        let detached = !self.git.holds(&["symbolic-ref", "--quiet", "HEAD"]);
        let is_merge =
            environment.is_ci && environment.is_merge_result && into_this && checked_out && detached;
        if !is_merge {
            return Ok(None);
        }
        // The object itself tells the parents of a commit whose past was cut off; `HEAD^1` does not.
        let object = self.git.read(&["cat-file", "commit", &self.head]).unwrap_or_default();
        let header = object.split("\n\n").next().unwrap_or_default();
        let mut parents = header.lines().filter_map(|line| line.strip_prefix("parent "));
        let (Some(first), Some(_)) = (parents.next(), parents.next()) else { return Ok(None) };
        let there = || commit_of(self.git, first);
        if there().is_none() {
            let remote = Remote::of(self.git);
            let found = match remote.is_shallow() {
                true => remote.deepen_until(None, 1, there).map_err(|reason| self.shallow(reason))?,
                false => None,
            };
            let Some((_, by)) = found else { return Ok(None) };
            self.notes.push(deepened(by));
        }
        // Without the service's word on the commit, it must be seen that the parent is of the branch.
        let known = [format!("refs/heads/{}", self.name), format!("refs/remotes/{ORIGIN}/{}", self.name)];
        let on_branch = |full: &String| self.git.holds(&["merge-base", "--is-ancestor", first, full]);
        let vouched = environment.commit.is_some() && environment.base_ref.is_some();
        Ok((vouched || known.iter().any(on_branch)).then(|| first.to_owned()))
    }

    /// A local branch that nobody pulled for a while gives the work of others as part of the change.
    fn note_nearer(&mut self, full: &str, base: &str) {
        let Some(branch) = full.strip_prefix("refs/heads/") else { return };
        let remote = format!("refs/remotes/{ORIGIN}/{branch}");
        let Some(other) = merge_base(self.git, &self.head, &remote).filter(|other| other != base) else {
            return;
        };
        let relation = match self.git.holds(&["merge-base", "--is-ancestor", base, &other]) {
            true => "later",
            false => "earlier",
        };
        self.notes.push(format!(
            "{ORIGIN}/{branch} and HEAD part at a {relation} commit, {}; `--baseline {ORIGIN}/{branch}` compares with that",
            short(&other)
        ));
    }

    fn not_found(&self) -> Unresolved {
        let refs = self.git.read(&[
            "for-each-ref",
            "--format=%(refname:lstrip=2)",
            "refs/heads",
            "refs/tags",
            "refs/remotes",
        ]);
        let refs = refs.unwrap_or_default();
        let hint = match suggest::nearest(self.name, refs.lines()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                format!("`git fetch {ORIGIN}` gets what is new there; `git branch --all` lists what there is")
            }
        };
        Unresolved::NotFound { name: self.name.to_owned(), hint }
    }

    fn shallow(&self, reason: String) -> Unresolved {
        let hint = match self.environment.service {
            Some(CiService::GitHub) => "give the step that uses actions/checkout `with: fetch-depth: 0`",
            Some(CiService::GitLab) => "set the variable `GIT_DEPTH: 0` for the job",
            None => "git fetch --unshallow",
        };
        Unresolved::Shallow { name: self.name.to_owned(), reason, hint: hint.to_owned() }
    }
}

/// A branch's name without what says where it is.
pub(super) fn bare_branch(name: &str) -> &str {
    let mut bare = name;
    for prefix in ["refs/remotes/", "refs/heads/", "origin/"] {
        bare = bare.strip_prefix(prefix).unwrap_or(bare);
    }
    bare
}

fn deepened(by: Option<u32>) -> String {
    match by {
        Some(1) => format!("the clone is shallow: fetched one commit more from {ORIGIN}"),
        Some(commits) => format!("the clone is shallow: fetched up to {commits} commits more from {ORIGIN}"),
        None => format!("the clone was shallow: fetched the rest of its past from {ORIGIN}"),
    }
}

/// The first seven digits, or less.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

fn is_hash(name: &str) -> bool {
    (4..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether this is a whole hash, SHA-1 or SHA-256.
pub(super) fn is_full_hash(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && is_hash(name)
}
