//! Colours of the terminal: sixteen-colour sequences, or none. Every colour only repeats what a word or a
//! symbol says.

/// What a text stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Bad,
    Warn,
    Dim,
    Name,
    Value,
}

impl Tone {
    /// The tone of a status class.
    pub(super) fn of_class(class: &str) -> Self {
        match class {
            "pass" => Tone::Good,
            "fail" => Tone::Bad,
            _ => Tone::Warn,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Tone::Plain | Tone::Name => "",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Warn => "33",
            Tone::Dim => "2",
            Tone::Value => "36",
        }
    }
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    pub color: bool,
}

impl Paint {
    /// The text in its tone.
    pub(super) fn tone(self, tone: Tone, text: &str) -> String {
        self.wrap(tone.code(), text)
    }

    /// The same in bold.
    pub(super) fn bold(self, tone: Tone, text: &str) -> String {
        match tone.code() {
            "" => self.wrap("1", text),
            code => self.wrap(&format!("1;{code}"), text),
        }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if !self.color || code.is_empty() || text.is_empty() {
            return text.to_owned();
        }
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
