//! From a workspace to its load tests: which packages may have some, building them, and asking each test
//! binary what it has.
//!
//! The main types are [`Workspace`] and [`LoadTest`]. The order: [`Workspace::read`] (cargo metadata) →
//! [`find`] (build, look for the marker, list) → [`select::Selection`] → [`Workspace::build_services`]. No
//! binary is started in which the marker was not found: it could be anything that a package calls a test.

mod build;
mod cargo;
mod cargo_config;
mod changed;
mod environment;
mod metadata;
mod scan;
pub mod select;

use std::rc::Rc;

use loadtest_core::results::Definition;

use crate::cli::TargetArgs;
use crate::failure::{Failure, OrExit};
use crate::launch::{self, TestBinary};
use crate::verdict::ExitCode;

pub use changed::{Changed, changed_packages};
pub use metadata::Workspace;

/// A load test: one or more functions of one test binary that run together.
#[derive(Debug, Clone)]
pub struct LoadTest {
    /// `package/target/path::name`.
    pub id: String,
    /// Its name within the binary: the last part of the id.
    pub name: String,
    /// The binary that has it.
    pub binary: Rc<TestBinary>,
    /// Its scenarios.
    pub definitions: Vec<Definition>,
}

/// What was found, and where.
#[derive(Debug, Default)]
pub struct Found {
    /// Every load test, by binary and then by place in the source.
    pub tests: Vec<LoadTest>,
    /// Test binaries that were built, `package/target`, for the message that nothing was found.
    pub looked_at: Vec<String>,
}

/// Builds the packages that may have load tests and asks every test binary with the marker.
///
/// # Errors
/// If the build fails, made a debug build that was not asked for, a binary does not answer, or one of the
/// tests in it is not usable.
pub fn find(workspace: &Workspace, args: &TargetArgs) -> Result<Found, Failure> {
    let mut found = Found::default();
    if workspace.dependents().is_empty() {
        return Ok(found);
    }
    let built = build::tests(workspace, args)?;
    let mut problems = Vec::new();
    for target in &built.targets {
        let place = format!("{}/{}", target.package.name, target.name);
        found.looked_at.push(place.clone());
        let Some(entry) = scan::entry(&target.executable).or_exit(ExitCode::Internal)? else { continue };
        let binary = TestBinary {
            package: target.package.name.to_string(),
            target: target.name.clone(),
            executable: target.executable.clone(),
            entry,
            cwd: target.package.manifest_path.parent().map(Into::into).unwrap_or_default(),
            env: environment::of(workspace, target, &built),
            runner: workspace.config().runner.clone(),
        };
        let listing = launch::list(&binary).or_exit(ExitCode::SetupFailed)?;
        problems.extend(listing.problems.into_iter().map(|problem| format!("{place}: {problem}")));
        found.tests.extend(grouped(&place, Rc::new(binary), listing.definitions));
    }
    match problems.is_empty() {
        true => Ok(found),
        false => Err(Failure::new(ExitCode::SetupFailed, problems.join("\nerror: "))),
    }
}

/// Functions with one name in one binary are scenarios of one test.
fn grouped(place: &str, binary: Rc<TestBinary>, mut definitions: Vec<Definition>) -> Vec<LoadTest> {
    definitions.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    let mut tests: Vec<LoadTest> = Vec::new();
    for definition in definitions {
        match tests.iter_mut().find(|test| test.name == definition.test) {
            Some(test) => test.definitions.push(definition),
            None => tests.push(LoadTest {
                id: format!("{place}/{}", definition.test),
                name: definition.test.clone(),
                binary: Rc::clone(&binary),
                definitions: vec![definition],
            }),
        }
    }
    tests
}
