//! Writing a first test that compiles and runs, into a package that may know nothing of load tests.
//!
//! The main function is [`run`]. A file of the user's is never overwritten, and the manifest is left to
//! `cargo add`, which keeps its formatting; without a path to the runtime, what to type is said instead.

mod package;
mod template;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum as _;

use crate::cli::NewArgs;
use crate::failure::{Failure, OrExit as _, plain};
use crate::verdict::ExitCode;

use package::Package;
pub use template::Template;

/// Writes a first test, and says how to run it.
///
/// # Errors
/// If the package is not found, is too old for async functions, or has all the files already.
pub fn run(args: &NewArgs) -> Result<ExitCode, Failure> {
    let said = write(args, own_runtime().as_deref())?;
    crate::terminal::print_out(&plain(&said))?;
    Ok(ExitCode::Passed)
}

/// Writes it; `runtime` is where the runtime's sources are, if they are at hand. Returns what to say.
fn write(args: &NewArgs, runtime: Option<&Path>) -> Result<String, Failure> {
    let package = package::find(args)?;
    let name = free_name(&package, args.template)?;
    let path = package.directory.join("tests").join(format!("{name}.rs"));
    let text = args.template.text(package.runtime.as_deref().unwrap_or(package::RUNTIME));
    create(&path, &text)?;

    let mut said = format!("wrote     {}\n", path.display());
    match (&package.runtime, runtime) {
        (Some(_), _) => {}
        (None, Some(runtime)) => {
            package::add_runtime(&package, runtime)?;
            let _ = writeln!(
                said,
                "added     the dev-dependency {}, at {}, to {}",
                package::RUNTIME,
                runtime.display(),
                package.manifest.display()
            );
        }
        (None, None) => {
            let of = format!("-p {} ", package.name);
            let _ = write!(
                said,
                "\nThe package does not depend on {runtime} yet. Type one of\n\n    \
                 cargo add {of}--dev --path PATH-OF-ITS-CHECKOUT/{runtime}\n    \
                 cargo add {of}--dev --git {url} {runtime}\n\n",
                runtime = package::RUNTIME,
                url = env!("CARGO_PKG_REPOSITORY"),
            );
        }
    }
    // Asked of cargo itself: a package can turn off that tests are found.
    if !package::has_test(args, &package.name, &name)? {
        let _ = write!(
            said,
            "\nThe package does not look for tests by itself. Add to {}\n\n    [[test]]\n    name = \"{name}\"\n\n",
            package.manifest.display()
        );
    }
    let _ = writeln!(said, "run it    {}", command(args, &package, &name));
    Ok(said)
}

/// How to run the tests of the file.
fn command(args: &NewArgs, package: &Package, name: &str) -> String {
    let manifest = match &args.manifest_path {
        Some(path) => format!(" --manifest-path {}", path.display()),
        None => String::new(),
    };
    // The part of the id that only this file's tests have.
    format!("cargo loadtest{manifest} -p {} test:{name}/", package.name)
}

/// `load`, or the template's own name where that is taken.
fn free_name(package: &Package, template: Template) -> Result<String, Failure> {
    let own = template.file();
    let tests = package.directory.join("tests");
    let is_free = |name: &&str| {
        // A directory `tests/load` with a `main.rs` is a test of that name, too.
        let is_there = |path: PathBuf| fs::symlink_metadata(path).is_ok();
        !is_there(tests.join(format!("{name}.rs")))
            && !is_there(tests.join(name))
            && !package.tests.iter().any(|test| test == name)
    };
    let free = ["load", own].into_iter().find(is_free).map(str::to_owned);
    free.ok_or_else(|| {
        let kinds = Template::value_variants().iter();
        let kinds: Vec<String> = kinds
            .filter(|kind| is_free(&kind.file()))
            .filter_map(|kind| Some(kind.to_possible_value()?.get_name().to_owned()))
            .collect();
        let or = match kinds.is_empty() {
            true => String::new(),
            false => {
                let kinds = kinds.join("|");
                format!(", or write another kind of test: `cargo loadtest new --template {kinds}`")
            }
        };
        let message = format!(
            "{tests}/load.rs and {tests}/{own}.rs exist already, and nothing is overwritten\n\
             hint: rename one of them{or}",
            tests = tests.display()
        );
        Failure::new(ExitCode::Usage, message)
    })
}

/// Writes a file that must not be there yet.
fn create(path: &Path, text: &str) -> Result<(), Failure> {
    let cant = || format!("can't write {}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(cant)?;
    }
    match File::create_new(path) {
        Ok(mut file) => Ok(file.write_all(text.as_bytes()).with_context(cant)?),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(error).with_context(cant).or_exit(ExitCode::Usage)
        }
        Err(error) => Err(error).with_context(cant)?,
    }
}

/// The runtime beside the sources of this program, if it was built from a checkout that is still there. What
/// cargo downloaded is its own and may go at any time.
fn own_runtime() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let downloaded = ["git/checkouts", "registry/src"];
    let is_cargos = own.ancestors().any(|above| downloaded.iter().any(|place| above.ends_with(place)));
    let runtime = own.parent()?.join(package::RUNTIME);
    (!is_cargos && runtime.join("Cargo.toml").is_file()).then_some(runtime)
}

#[cfg(test)]
mod tests;
