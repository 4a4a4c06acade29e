//! The format of an event stream, read bytes by bytes: [`Parser`] (WHATWG HTML, section 9.2.6).
//!
//! However the bytes are split, the events are the same. Memory is bounded by the limit to one event, that to an ID,
//! and a few times the bytes that were pushed last.

use std::collections::VecDeque;
use std::rc::Rc;

use super::Event;

/// The byte order mark of UTF-8, which a stream may begin with.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The most bytes of an ID, which comes back in every later event and goes into a header: a longer one is ignored.
pub(super) const MAX_ID: usize = 4 * 1024;

/// An event that has not been asked for yet. Any number of them share an ID.
#[derive(Debug)]
pub(super) struct Ready {
    event: String,
    data: String,
    id: Rc<str>,
    retry: Option<u64>,
}

impl From<Ready> for Event {
    fn from(Ready { event, data, id, retry }: Ready) -> Self {
        Event { event, data, id: (*id).to_owned(), retry }
    }
}

/// Reads a stream of events.
#[derive(Debug)]
pub(super) struct Parser {
    limit: usize,
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// Whether no line has ended yet: it may begin with a byte order mark.
    first_line: bool,
    /// Whether the last byte was a carriage return: a line feed after it ends no line of its own.
    after_return: bool,
    kind: String,
    data: String,
    has_data: bool,
    last_id: Rc<str>,
    retry: Option<u64>,
}

impl Parser {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            first_line: true,
            after_return: false,
            kind: String::new(),
            data: String::new(),
            has_data: false,
            last_id: Rc::default(),
            retry: None,
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(super) fn last_event_id(&self) -> &str {
        &self.last_id
    }

    /// Reads bytes and puts the events that they complete into `out`. False once an event is too long.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut VecDeque<Ready>) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_return) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
                self.line.extend_from_slice(rest);
                return self.fits();
            };
            self.after_return = rest[end] == b'\r';
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            if !self.fits() {
                return false;
            }
            let line = std::mem::take(&mut self.line);
            self.end_line(&line, out);
            // Its memory serves the next line, unless it was a giant.
            if line.capacity() <= 64 * 1024 {
                self.line = line;
                self.line.clear();
            }
        }
        true
    }

    fn fits(&self) -> bool {
        self.line.len() + self.data.len() + self.kind.len() <= self.limit
    }

    fn end_line(&mut self, line: &[u8], out: &mut VecDeque<Ready>) {
        let first = std::mem::take(&mut self.first_line);
        let line = if first { line.strip_prefix(BOM).unwrap_or(line) } else { line };
        if line.is_empty() {
            out.extend(self.dispatch());
            return;
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = match line.split_once(':') {
            // A comment.
            Some(("", _)) => return,
            Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
            None => (&*line, ""),
        };
        match field {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "id" if value.len() <= MAX_ID && !value.contains('\0') => self.last_id = value.into(),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = Some(value.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }

    /// The event that a blank line ends; none without data.
    fn dispatch(&mut self) -> Option<Ready> {
        let kind = std::mem::take(&mut self.kind);
        let data = std::mem::take(&mut self.data);
        let retry = self.retry.take();
        let event = if kind.is_empty() { "message".to_owned() } else { kind };
        std::mem::take(&mut self.has_data).then(|| Ready { event, data, id: Rc::clone(&self.last_id), retry })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(event: &str, data: &str, id: &str, retry: Option<u64>) -> Event {
        Event { event: event.to_owned(), data: data.to_owned(), id: id.to_owned(), retry }
    }

    /// The events of a stream that comes in these pieces.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
        let mut parser = Parser::new(1 << 20);
        let mut out = VecDeque::new();
        for piece in pieces {
            assert!(parser.push(piece, &mut out));
        }
        out.into_iter().map(Event::from).collect()
    }

    fn whole(text: &str) -> Vec<Event> {
        read([text.as_bytes()])
    }

    #[test]
    fn fields_are_read_as_browsers_read_them() {
        let text = "\u{feff}: hello\nevent: price\ndata: 1\ndata:2\ndata\nid: 7\nretry: 250\nodd: x\n\n\
                    data:  two spaces\nid: bad\0id\nretry: 1x\n\nevent: nothing\n\nid\ndata:\n\ndata: cut";
        assert_eq!(
            whole(text),
            [
                event("price", "1\n2\n", "7", Some(250)),
                event("message", " two spaces", "7", None),
                event("message", "", "", None),
            ]
        );
    }

    #[test]
    fn every_line_ending_ends_a_line() {
        for ending in ["\n", "\r", "\r\n"] {
            let text = ["data: a", "data: b", "", ": c", "data: d", "", ""].join(ending);
            let expected = [event("message", "a\nb", "", None), event("message", "d", "", None)];
            assert_eq!(whole(&text), expected, "{ending:?}");
        }
        assert_eq!(whole("data: a\r\r\ndata: b\n\r").len(), 2);
    }

    #[test]
    fn a_mark_is_one_at_the_beginning_alone_and_bad_utf_8_is_replaced() {
        assert_eq!(whole("data: a\n\n\u{feff}data: b\n\n").len(), 1);
        let events = read([&b"data: \xFFx\xC3\n\n"[..]]);
        assert_eq!(events, [event("message", "\u{fffd}x\u{fffd}", "", None)]);
    }

    #[test]
    fn an_event_has_a_limit_in_one_line_and_in_many() {
        let mut out = VecDeque::new();
        assert!(!Parser::new(10).push(b"data: 1234567", &mut out));
        let mut parser = Parser::new(10);
        assert!(parser.push(b"data: 123\n", &mut out));
        assert!(parser.push(b"data: 4\n", &mut out));
        assert!(!parser.push(b"data: 56789\n", &mut out));
        // Small events without end are no large one.
        let mut parser = Parser::new(10);
        assert!((0..100).all(|_| parser.push(b"data: 123\n\n", &mut out)));
        assert_eq!(out.len(), 100);
    }

    #[test]
    fn a_large_id_is_there_once_and_a_larger_one_is_ignored() {
        let mut parser = Parser::new(1 << 20);
        let mut out = VecDeque::new();
        assert!(parser.push(format!("id: {}\n", "7".repeat(MAX_ID)).as_bytes(), &mut out));
        assert!(parser.push("data\n\n".repeat(10_000).as_bytes(), &mut out));
        assert_eq!(Rc::strong_count(&parser.last_id), 1 + out.len());
        assert!(parser.push(format!("id: {}\ndata\n\n", "8".repeat(MAX_ID + 1)).as_bytes(), &mut out));
        assert_eq!(parser.last_event_id(), "7".repeat(MAX_ID));
        assert_eq!(Event::from(out.pop_back().expect("an event")).id, "7".repeat(MAX_ID));
    }

    proptest! {
        /// Whatever comes, and however it is cut, the events are those of the whole.
        #[test]
        fn any_split_gives_the_same_events(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("data: x"), Just("data:"), Just("event: e"), Just("id: 1"), Just("id"), Just(": c"),
                    Just("retry: 5"), Just("\n"), Just("\r"), Just("\r\n"), Just("\n\n"), Just("\u{feff}"),
                    Just("데이터"), Just("data: é\n\n"),
                ],
                0..40,
            ),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let bytes = parts.concat().into_bytes();
            let expected = read([&bytes[..]]);
            let singles: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&read(singles), &expected);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(&read(pieces), &expected);
        }

        /// Nothing that a server sends is too much for it.
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let expected = read([&bytes[..]]);
            prop_assert_eq!(read(bytes.chunks(1)), expected);
        }
    }
}
