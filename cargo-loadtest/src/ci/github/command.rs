//! Workflow commands: lines of a step's output that the runner obeys.
//!
//! The main type is [`Command`]. How values are escaped is said in the runner's own toolkit
//! (`@actions/core`, `command.ts`): percent signs and line breaks everywhere, colons and commas in properties besides.

use std::fmt;

/// A command, escaped when it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    name: &'static str,
    properties: Vec<(&'static str, String)>,
    message: String,
}

impl Command {
    /// A command without anything.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, properties: Vec::new(), message: String::new() }
    }

    /// The same with a property.
    #[must_use]
    pub(super) fn property(mut self, name: &'static str, value: &str) -> Self {
        self.properties.push((name, value.to_owned()));
        self
    }

    /// The same with a message, which may have several lines.
    #[must_use]
    pub(super) fn message(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "::{}", self.name)?;
        for (at, (name, value)) in self.properties.iter().enumerate() {
            let before = if at == 0 { ' ' } else { ',' };
            write!(f, "{before}{name}={}", data(value).replace(':', "%3A").replace(',', "%2C"))?;
        }
        write!(f, "::{}", data(&self.message))
    }
}

fn data(text: &str) -> String {
    // The percent sign first: the others add some.
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_a_property_the_command_or_the_line() {
        let command = Command::new("error")
            .property("file", "a:b,c%.rs")
            .property("title", "x::y\n::error::z")
            .message("50%\r\n::stop-commands::t: a,b");
        assert_eq!(
            command.to_string(),
            "::error file=a%3Ab%2Cc%25.rs,title=x%3A%3Ay%0A%3A%3Aerror%3A%3Az::50%25%0D%0A::stop-commands::t: a,b"
        );
        assert_eq!(Command::new("warning").message("m").to_string(), "::warning::m");
    }
}
