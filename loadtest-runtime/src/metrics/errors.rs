//! Errors of iterations and requests, told once per kind.
//!
//! Two errors are of one kind if scenario, source and text agree when runs of digits, hexadecimal ids and
//! UUIDs are ignored: ids and ports in messages must not make a thousand kinds of one.

use std::collections::HashMap;

use loadtest_core::results::ErrorOutcome;

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
    /// A WebSocket session could not be opened, or broke.
    WebSocket,
    /// A stream of server-sent events is none.
    Sse,
    /// A TCP connection could not be opened, or broke.
    Tcp,
    /// A gRPC call failed.
    Grpc,
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
            Source::WebSocket => "websocket",
            Source::Sse => "sse",
            Source::Tcp => "tcp",
            Source::Grpc => "grpc",
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

impl From<ErrorCount> for ErrorOutcome {
    fn from(error: ErrorCount) -> Self {
        Self {
            scenario: error.scenario,
            kind: error.source.as_str().to_owned(),
            message: error.message,
            place: error.place,
            count: error.count,
            first_at: f64::from(error.first_at_ms) / 1000.0,
        }
    }
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
    kinds: HashMap<Key, Kind>,
}

#[derive(Debug)]
struct Kind {
    error: ErrorCount,
    /// How many of them [`ErrorTable::news`] has told.
    told: u64,
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
            .and_modify(|Kind { error: known, .. }| {
                known.count += error.count;
                known.first_at_ms = known.first_at_ms.min(error.first_at_ms);
            })
            .or_insert(Kind { error, told: 0 });
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> Vec<ErrorCount> {
        self.kinds.drain().map(|(_, kind)| kind.error).collect()
    }

    /// What has come since the last call, the most frequent first. A kind keeps the text of its first error, so
    /// that all that was told of it adds up.
    pub(crate) fn news(&mut self) -> Vec<ErrorCount> {
        let news = |kind: &mut Kind| {
            let count = kind.error.count - std::mem::replace(&mut kind.told, kind.error.count);
            (count > 0).then(|| ErrorCount { count, ..kind.error.clone() })
        };
        let mut news: Vec<_> = self.kinds.values_mut().filter_map(news).collect();
        news.sort_by(most_frequent_first);
        news
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

/// The order in which errors are told.
pub(crate) fn most_frequent_first(a: &ErrorCount, b: &ErrorCount) -> std::cmp::Ordering {
    b.count.cmp(&a.count).then_with(|| a.message.cmp(&b.message))
}

/// The fewest hexadecimal digits that are taken for an id, if one of them is a decimal digit: no word of a
/// human language is that.
const SHORTEST_ID: usize = 8;

/// The message with each number and id replaced, for telling kinds apart.
fn shape(message: &str) -> String {
    let mut shape = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let run = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let id = &rest[..run];
        let length = if starts_with_uuid(rest.as_bytes()) {
            UUID
        } else if run >= SHORTEST_ID && id.bytes().any(|byte| byte.is_ascii_digit()) {
            run
        } else if run > 0 {
            push_without_digits(&mut shape, id);
            rest = &rest[run..];
            continue;
        } else {
            shape.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        shape.push('#');
        rest = &rest[length..];
    }
    shape
}

/// The text with each run of digits replaced.
fn push_without_digits(shape: &mut String, text: &str) {
    let mut in_digits = false;
    for c in text.chars() {
        let is_digit = c.is_ascii_digit();
        if !is_digit {
            shape.push(c);
        } else if !in_digits {
            shape.push('#');
        }
        in_digits = is_digit;
    }
}

/// Length of a UUID in its usual form (RFC 9562, section 4).
const UUID: usize = 36;

fn starts_with_uuid(text: &[u8]) -> bool {
    text.len() >= UUID
        && text[..UUID].iter().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
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
    fn what_is_told_bit_by_bit_adds_up_to_the_whole() {
        let mut table = ErrorTable::default();
        let mut told: Vec<ErrorOutcome> = Vec::new();
        for round in 0..5 {
            table.add(error(&format!("seat {round} is gone")));
            for n in 0..MAX_KINDS {
                table.add(error(&"x".repeat(n + round * 50 + 1)));
            }
            let news: Vec<ErrorOutcome> = table.news().into_iter().map(Into::into).collect();
            assert!(news.len() <= MAX_KINDS + 1);
            loadtest_core::results::merge_errors(&mut told, &news);
            assert!(table.news().is_empty());
        }
        let mut all = table.drain();
        all.sort_by(most_frequent_first);
        assert_eq!(told, all.into_iter().map(Into::into).collect::<Vec<ErrorOutcome>>());
    }

    #[test]
    fn hexadecimal_ids_do_not_make_new_kinds_and_words_do() {
        let mut table = ErrorTable::default();
        for n in 0..400_u64 {
            let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            table.add(error(&format!("GET /o/{:08x}1: refused", id as u32)));
            let (a, b) = (id as u16, id >> 16);
            table.add(error(&format!("order abcdefab-{a:04x}-4abc-8def-{b:012x} is gone")));
        }
        table.add(error("seat 좌석 deadbeef is gone"));
        table.add(error("seat 좌석 defacedd is gone"));
        let mut counts: Vec<u64> = table.drain().iter().map(|e| e.count).collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 1, 400, 400]);
        assert_eq!(shape("port 8080, 0x7f3a9c00d1e2, é1"), "port #, #x#, é#");
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
