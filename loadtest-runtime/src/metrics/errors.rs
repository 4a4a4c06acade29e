//! Errors of iterations and requests, told once per kind.
//!
//! Two errors are of one kind if scenario, source and text agree when runs of digits are ignored: ids and
//! ports in messages must not make a thousand kinds of one.

use std::collections::HashMap;

/// The most kinds that are kept; the rest is counted together.
pub(crate) const MAX_KINDS: usize = 100;
/// The most bytes of a message that are kept.
const MAX_MESSAGE: usize = 600;

/// What kind of thing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// The load test returned an error.
    Iteration,
    /// It panicked.
    Panic,
    /// An HTTP request got no response.
    Http,
    /// An operation of `vu.measure` returned an error.
    Measure,
    /// Everything after [`MAX_KINDS`].
    Other,
}

impl Source {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Source::Iteration => "iteration",
            Source::Panic => "panic",
            Source::Http => "http",
            Source::Measure => "measure",
            Source::Other => "other",
        }
    }
}

/// How often a kind occurred since the last hand-over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ErrorCount {
    pub(crate) scenario: String,
    pub(crate) source: Source,
    pub(crate) message: String,
    pub(crate) place: Option<String>,
    pub(crate) count: u64,
    pub(crate) first_at_ms: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    scenario: String,
    source: Source,
    shape: String,
    place: Option<String>,
}

/// Counts of errors by kind, bounded.
#[derive(Debug, Default)]
pub(crate) struct ErrorTable {
    kinds: HashMap<Key, ErrorCount>,
}

impl ErrorTable {
    /// Counts some errors of one kind.
    pub(crate) fn add(&mut self, mut error: ErrorCount) {
        truncate(&mut error.message, MAX_MESSAGE);
        let mut key = Key {
            scenario: error.scenario.clone(),
            source: error.source,
            shape: shape(&error.message),
            place: error.place.clone(),
        };
        if self.kinds.len() >= MAX_KINDS && !self.kinds.contains_key(&key) {
            error.source = Source::Other;
            error.message = "errors of other kinds".to_owned();
            error.place = None;
            key = Key {
                scenario: error.scenario.clone(),
                source: Source::Other,
                shape: String::new(),
                place: None,
            };
        }
        self.kinds
            .entry(key)
            .and_modify(|known| {
                known.count += error.count;
                known.first_at_ms = known.first_at_ms.min(error.first_at_ms);
            })
            .or_insert(error);
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> Vec<ErrorCount> {
        self.kinds.drain().map(|(_, count)| count).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

/// The message with each run of digits replaced, for telling kinds apart.
fn shape(message: &str) -> String {
    let mut shape = String::with_capacity(message.len());
    let mut in_digits = false;
    for c in message.chars() {
        if c.is_ascii_digit() {
            if !in_digits {
                shape.push('#');
            }
            in_digits = true;
        } else {
            shape.push(c);
            in_digits = false;
        }
    }
    shape
}

fn truncate(text: &mut String, max: usize) {
    if text.len() > max {
        let end = (0..=max).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(message: &str) -> ErrorCount {
        ErrorCount {
            scenario: "s".into(),
            source: Source::Iteration,
            message: message.into(),
            place: None,
            count: 1,
            first_at_ms: 5,
        }
    }

    #[test]
    fn ids_in_messages_do_not_make_new_kinds() {
        let mut table = ErrorTable::default();
        table.add(error("seat 17 is gone"));
        table.add(error("seat 4 is gone"));
        table.add(error("no money"));
        let mut all = table.drain();
        all.sort_by_key(|e| e.count);
        assert_eq!(all.len(), 2);
        assert_eq!((all[1].count, all[1].message.as_str()), (2, "seat 17 is gone"));
    }

    #[test]
    fn the_number_of_kinds_is_bounded_and_none_is_lost() {
        let mut table = ErrorTable::default();
        for n in 0..3 * MAX_KINDS {
            table.add(error(&"x".repeat(n + 1)));
        }
        let all = table.drain();
        assert_eq!(all.len(), MAX_KINDS + 1);
        assert_eq!(all.iter().map(|e| e.count).sum::<u64>(), 3 * MAX_KINDS as u64);
    }
}
