//! The error of a load test: anything that `?` may meet in one.
//!
//! [`Error`] takes every standard error, `anyhow::Error`, and plain text, and remembers where it was made,
//! so that a report can say which line of an iteration failed. It does not implement
//! [`std::error::Error`] itself: that is what lets it take all of them by one `From`.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;

/// What a load test returns: nothing, or the error that ended the iteration.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Any error, with the place in the source where it became one of these.
///
/// # Examples
/// ```
/// use loadtest_runtime::{Error, Result};
///
/// fn port(text: &str) -> Result<u16> {
///     if text.is_empty() {
///         return Err(Error::msg("no port given"));
///     }
///     Ok(text.parse()?)
/// }
///
/// let error = port("many").unwrap_err();
/// assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
/// ```
pub struct Error {
    inner: Box<dyn StdError + Send + Sync>,
    location: &'static Location<'static>,
}

impl Error {
    /// An error that is only a message.
    #[track_caller]
    pub fn msg(message: impl fmt::Display) -> Self {
        Self { inner: message.to_string().into(), location: Location::caller() }
    }

    /// The error within, if it is an `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.inner.downcast_ref()
    }

    /// The error within.
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.inner
    }

    /// Where it was made: the line of the `?`, or of [`Error::msg`].
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for Error {
    #[track_caller]
    fn from(error: E) -> Self {
        Self { inner: error.into(), location: Location::caller() }
    }
}

/// The message; with `{:#}` those of its causes too, `: ` between them, unless a message ends with that of its
/// cause already.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return write!(f, "{}", self.inner);
        }
        let mut text = self.inner.to_string();
        for cause in causes(&*self.inner) {
            let cause = cause.to_string();
            if !text.ends_with(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
        }
        f.write_str(&text)
    }
}

/// For people, since this is what `unwrap` and a returning `main` show: message, causes, place.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)?;
        for cause in causes(&*self.inner) {
            write!(f, "\ncaused by: {cause}")?;
        }
        write!(f, "\nat {}", self.location)
    }
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question_mark() -> Result<u16> {
        Ok("many".parse::<u16>()?)
    }

    #[test]
    fn every_source_of_errors_comes_through_the_question_mark() {
        fn text() -> Result {
            Err("plain text")?
        }
        fn own() -> Result {
            Err(Error::msg(format_args!("{} seats", 3)))?
        }
        fn foreign() -> Result {
            Err(std::io::Error::other(fmt::Error))?
        }
        assert_eq!(text().expect_err("fails").to_string(), "plain text");
        assert_eq!(own().expect_err("fails").to_string(), "3 seats");
        assert!(foreign().expect_err("fails").downcast_ref::<std::io::Error>().is_some());
        assert!(question_mark().expect_err("fails").downcast_ref::<std::num::ParseIntError>().is_some());
    }

    #[test]
    fn the_place_is_that_of_the_question_mark() {
        let location = question_mark().expect_err("fails").location();
        assert!(location.file().ends_with("error.rs"), "{location}");
    }

    #[test]
    fn causes_are_shown_where_they_are_asked_for() {
        #[derive(Debug)]
        struct Outer(fmt::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("outer")
            }
        }
        impl StdError for Outer {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        let error = Error::from(Outer(fmt::Error));
        assert_eq!(error.to_string(), "outer");
        assert!(format!("{error:#}").starts_with("outer: "));
        assert!(format!("{error:?}").contains("\ncaused by: "));

        #[derive(Debug)]
        struct Repeats(fmt::Error);
        impl fmt::Display for Repeats {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "outer: {}", self.0)
            }
        }
        impl StdError for Repeats {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        let error = Error::from(Repeats(fmt::Error));
        assert_eq!(format!("{error:#}"), error.to_string());
    }
}
