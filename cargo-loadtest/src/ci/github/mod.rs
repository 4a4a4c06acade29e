//! What GitHub Actions is told: the job summary, annotations at the tests' functions, outputs for later steps, and a
//! file with the comment for a pull request.
//!
//! The main function is [`publish`]. It writes files and workflow commands and never calls GitHub: what posts the
//! comment has rights that a program which runs the code of a pull request should not have.

mod command;
mod files;

use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use anyhow::Context;

use super::findings::{self, Finding, Level};
use super::markdown::{self, Page};
use super::{Environment, Facts};
use crate::compare::Verdict;
use crate::failure::plain;

use command::Command;
pub use files::{MAX_COMMENT, MAX_SUMMARY};

/// Annotations of a run. GitHub shows ten of each level and step.
pub const MAX_ANNOTATIONS: usize = 10;

/// The longest message of an annotation, in bytes.
const MAX_MESSAGE: usize = 4_000;

/// The name of the file with the comment.
pub const COMMENT: &str = "comment.md";

/// Writes the comment, appends to the job summary and to the outputs, and prints annotations to `out`. Returns what was
/// written, a note each.
///
/// # Errors
/// If a file can't be written, the first of them; everything else is written all the same.
pub fn publish(
    facts: &Facts<'_>,
    environment: &Environment,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<String>> {
    let comment = facts.directory.join(COMMENT);
    let written = [
        write_comment(facts, environment, &comment)
            .map(|()| Some(format!("comment   {}", comment.display()))),
        summarise(facts, environment),
        set_outputs(facts, environment, &comment),
        annotate(facts, environment, out),
    ];
    let mut notes = Vec::new();
    for note in written {
        notes.extend(note?);
    }
    Ok(notes)
}

fn write_comment(facts: &Facts<'_>, environment: &Environment, path: &Path) -> anyhow::Result<()> {
    let mut comment = format!("{}\n", marker(facts, environment));
    let room = MAX_COMMENT - comment.len();
    let page = Page::new(facts, false).within(room);
    comment.push_str(&page.context("the comment does not fit into GitHub's limit")?);
    fs::create_dir_all(facts.directory)
        .and_then(|()| fs::write(path, comment))
        .with_context(|| format!("can't write the comment to {}", path.display()))
}

/// The line by which a comment is found again: of the workflow, the job and the workspace, so that several of them in one
/// pull request have a comment each.
fn marker(facts: &Facts<'_>, environment: &Environment) -> String {
    let root = repository(facts, environment);
    let place = relative(&root, facts.workspace_root, Path::new("")).unwrap_or_default();
    let names = [environment.get("GITHUB_WORKFLOW"), environment.get("GITHUB_JOB"), Some(place.as_str())];
    let mut name = String::new();
    for part in names.into_iter().flatten().filter(|part| !part.is_empty()) {
        if !name.is_empty() {
            name.push('/');
        }
        // Nothing that ends the comment, and nothing that a pattern would have to escape.
        for c in part.chars() {
            match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '/' => name.push(c),
                _ if name.ends_with('-') => {}
                _ => name.push('-'),
            }
        }
    }
    let name: String = name.trim_matches(['-', '/']).chars().take(200).collect();
    format!("<!-- cargo-loadtest:{} -->", if name.is_empty() { "run" } else { &name })
}

fn summarise(facts: &Facts<'_>, environment: &Environment) -> anyhow::Result<Option<String>> {
    let Some(path) = environment.path("GITHUB_STEP_SUMMARY") else { return Ok(None) };
    let page = Page::new(facts, true);
    let appended = files::append_within(&path, MAX_SUMMARY, |room| page.within(room))
        .with_context(|| format!("can't append to the job summary {}", path.display()))?;
    Ok(Some(match appended {
        true => "summary   appended to the job summary".to_owned(),
        false => "summary   not written: the step's summary is full already".to_owned(),
    }))
}

fn set_outputs(
    facts: &Facts<'_>,
    environment: &Environment,
    comment: &Path,
) -> anyhow::Result<Option<String>> {
    let Some(path) = environment.path("GITHUB_OUTPUT") else { return Ok(None) };
    let regressed: Vec<&str> = facts
        .comparison
        .iter()
        .flat_map(|comparison| &comparison.tests)
        .filter(|test| test.verdict == Verdict::Regressed)
        .map(|test| test.id.as_str())
        .collect();
    let file =
        |path: Option<&Path>| path.map(|path| absolute(path).display().to_string()).unwrap_or_default();
    let outputs = [
        ("verdict", markdown::verdict(facts)),
        ("exit-code", facts.judgement.code.number().to_string()),
        ("first-line", super::text::line(facts.first_line)),
        ("report", file(facts.report)),
        ("comment", file(Some(comment))),
        ("junit", file(facts.junit)),
        ("regressed-tests", serde_json::to_string(&regressed)?),
    ];
    let text: String = outputs.iter().map(|(name, value)| files::assignment(name, value)).collect();
    files::append(&path, &text).with_context(|| format!("can't append to the outputs {}", path.display()))?;
    Ok(None)
}

fn annotate(
    facts: &Facts<'_>,
    environment: &Environment,
    out: &mut dyn Write,
) -> anyhow::Result<Option<String>> {
    let root = repository(facts, environment);
    for finding in findings::of(facts).iter().take(MAX_ANNOTATIONS) {
        writeln!(out, "{}", annotation(finding, &root, facts.workspace_root))
            .context("can't print annotations")?;
    }
    Ok(None)
}

fn annotation(finding: &Finding, root: &Path, workspace_root: &Path) -> Command {
    let mut command = Command::new(match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
    });
    let place = finding.place.as_ref();
    if let Some((file, line)) =
        place.and_then(|(file, line)| Some((relative(root, workspace_root, Path::new(file))?, line)))
    {
        command = command.property("file", &file).property("line", &line.to_string());
    }
    command
        .property("title", &super::text::line(&finding.title))
        .message(&plain(&super::text::clip(&finding.message, MAX_MESSAGE)))
}

/// What GitHub takes paths as relative to: the repository, which need not be all of the job's workspace.
fn repository(facts: &Facts<'_>, environment: &Environment) -> PathBuf {
    let checkout = environment.path("GITHUB_WORKSPACE");
    let holds = |root: &PathBuf| real(facts.workspace_root).starts_with(real(root));
    facts
        .repository_root
        .map(Path::to_owned)
        .filter(holds)
        .or(checkout.filter(holds))
        .unwrap_or_else(|| facts.workspace_root.to_owned())
}

/// A path of the workspace as the repository names it, with `/`; `None` if it lies outside.
fn relative(root: &Path, workspace_root: &Path, path: &Path) -> Option<String> {
    let (root, whole) = (real(root), real(workspace_root).join(path));
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in whole.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let whole: PathBuf = parts.into_iter().collect();
    let inside = whole.strip_prefix(&root).ok()?;
    let parts: Vec<_> = inside.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    Some(parts.join("/"))
}

/// The path without links, if it exists.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests;
