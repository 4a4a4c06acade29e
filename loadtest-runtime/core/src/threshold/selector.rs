//! Selectors: which series a threshold is about. A [`TagMatcher`] looks at one tag, a [`Glob`] is the
//! pattern of its value.

use std::fmt;

use crate::metric::Tags;

/// One condition on a tag: `status:200`, `!status:200`, `name:GET *`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TagMatcher {
    /// The tag's name.
    pub tag: String,
    /// What its value must look like.
    pub pattern: Glob,
    /// Whether the condition is the opposite.
    pub negated: bool,
}

impl TagMatcher {
    /// Whether it holds for these tags. A series without the tag is like one with an empty value, except
    /// that `*` alone asks for the tag to be there.
    pub fn matches(&self, tags: &Tags) -> bool {
        let holds = match tags.get(&self.tag) {
            Some(value) => self.pattern.matches(value),
            None => self.pattern.literal() == Some(""),
        };
        holds != self.negated
    }
}

impl fmt::Display for TagMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.negated { "!" } else { "" };
        write!(f, "{not}{}:{}", self.tag, self.pattern)
    }
}

/// A text in which `*` stands for any number of characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob {
    /// The texts between the stars: one more than there are stars, so never empty.
    pieces: Vec<String>,
}

impl Glob {
    /// The pattern of the texts between the stars.
    pub(super) fn from_pieces(pieces: Vec<String>) -> Glob {
        Glob { pieces: if pieces.is_empty() { vec![String::new()] } else { pieces } }
    }

    /// The only text that matches, if there are no stars.
    pub fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Whether a text matches as a whole. Takes time in proportion to the text, whatever the pattern.
    pub fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            return self.literal() == Some(text);
        };
        let Some(rest) = text.strip_prefix(first.as_str()) else { return false };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else { return false };
        // Taking each piece at its first place leaves the most room for those after it.
        for piece in middle {
            match rest.find(piece.as_str()) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        true
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = self
            .pieces
            .iter()
            .any(|piece| piece.trim() != piece || piece.contains([',', '{', '}', '"', '\\', '*']));
        if !quoted {
            return f.write_str(&self.pieces.join("*"));
        }
        f.write_str("\"")?;
        for (n, piece) in self.pieces.iter().enumerate() {
            if n > 0 {
                f.write_str("*")?;
            }
            for c in piece.chars() {
                if matches!(c, '"' | '\\' | '*') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        f.write_str("\"")
    }
}
