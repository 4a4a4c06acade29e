//! What ends the program before there is a verdict: an error for a person and the exit code for a script.
//!
//! The main type is [`Failure`]. The judgement of tests that ran is not here but in [`crate::verdict`].

use std::fmt::Display;

use crate::verdict::ExitCode;

/// An error with the exit code that it means.
#[derive(Debug)]
pub struct Failure {
    /// For scripts.
    pub code: ExitCode,
    /// For people; the last line may start with `hint: `.
    pub error: anyhow::Error,
}

impl Failure {
    /// A failure whose message is a fragment in lower case.
    pub fn new(code: ExitCode, message: impl Display) -> Self {
        Self { code, error: anyhow::anyhow!("{message}") }
    }

    /// Prints it and returns the code.
    pub fn show(&self) -> ExitCode {
        eprintln!("error: {}", plain(&format!("{:#}", self.error)));
        self.code
    }
}

/// Text from outside without what a terminal would obey; line breaks stay.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

impl From<anyhow::Error> for Failure {
    /// An error of which nobody said more: a file, git or cargo could not be used.
    fn from(error: anyhow::Error) -> Self {
        Self { code: ExitCode::Internal, error }
    }
}

/// Says which exit code an error means.
pub trait OrExit<T> {
    /// The error as a [`Failure`] with this code.
    ///
    /// # Errors
    /// The same.
    fn or_exit(self, code: ExitCode) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, code: ExitCode) -> Result<T, Failure> {
        self.map_err(|error| Failure { code, error: error.into() })
    }
}
