//! What a test process prints: cut into lines, freed of the test harness's own lines, the end remembered.
//!
//! The main types are [`HarnessFilter`] and [`Tail`]. Nothing here prints: lines go to the live view.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};

/// A line longer than this many bytes is passed on in pieces, so that a process that never ends a line
/// does not fill the memory.
const MAX_LINE: u64 = 64 << 10;

/// Lines of output that an error shows.
const TAIL_LINES: usize = 40;

/// Characters of a line that an error shows.
const TAIL_WIDTH: usize = 400;

/// Reads whole lines until the end and hands them over without their end; bytes that are not UTF-8 become
/// replacement characters. Stops early when `line` says `false`.
pub(super) fn read_lines(from: impl Read, mut line: impl FnMut(String) -> bool) {
    let mut reader = BufReader::new(from);
    let mut bytes = Vec::new();
    let mut in_pieces = false;
    loop {
        bytes.clear();
        match reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let ends = bytes.last() == Some(&b'\n');
        if ends {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        let only_the_end_of_a_long_line = in_pieces && ends && bytes.is_empty();
        in_pieces = !ends;
        if !only_the_end_of_a_long_line && !line(String::from_utf8_lossy(&bytes).into_owned()) {
            return;
        }
    }
}

/// Takes libtest's own lines out of standard output: they speak of one ignored test that passed, which is
/// not what happened.
#[derive(Debug)]
pub(super) struct HarnessFilter {
    entry: String,
    part: Part,
}

#[derive(Debug, PartialEq)]
enum Part {
    /// Nothing yet.
    Start,
    /// After libtest's first, empty line, or a line that is not libtest's.
    Begun,
    /// After `running 1 test`.
    Running,
    /// After `test ENTRY ... ok`.
    Ended,
}

impl HarnessFilter {
    pub(super) fn new(entry: &str) -> Self {
        Self { entry: entry.to_owned(), part: Part::Start }
    }

    /// What of a line is the user's; `None` if nothing is.
    pub(super) fn pass<'l>(&mut self, line: &'l str) -> Option<&'l str> {
        match self.part {
            Part::Start if line.is_empty() => {
                self.part = Part::Begun;
                None
            }
            Part::Start | Part::Begun if is_running(line) => {
                self.part = Part::Running;
                None
            }
            Part::Running => {
                // A user's last `print!` without a line end stands in front, on the same line.
                let slow = format!("test {} has been running for over ", self.entry);
                if let Some(at) = line.rfind(&slow).filter(|at| line[at + slow.len()..].ends_with(" seconds"))
                {
                    return (at > 0).then(|| &line[..at]);
                }
                let result = format!("test {} ... ", self.entry);
                let Some(at) = line.rfind(&result) else { return Some(line) };
                let verdict = &line[at + result.len()..];
                if !(verdict.starts_with("ok") || verdict.starts_with("FAILED")) {
                    return Some(line);
                }
                self.part = Part::Ended;
                (at > 0).then(|| &line[..at])
            }
            Part::Ended => {
                let harness = line.is_empty()
                    || line == "failures:"
                    || line.trim_start() == self.entry
                    || line.starts_with("test result: ");
                (!harness).then_some(line)
            }
            Part::Start | Part::Begun => {
                self.part = Part::Begun;
                Some(line)
            }
        }
    }
}

fn is_running(line: &str) -> bool {
    line.strip_prefix("running ")
        .and_then(|rest| rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test")))
        .is_some_and(|count| count.parse::<u64>().is_ok())
}

/// The last lines that a process printed, for the message about its death.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    overflowed: bool,
}

impl Tail {
    pub(super) fn push(&mut self, line: &str) {
        // The standard library says "thread 'x' has overflowed its stack", then "stack overflow, aborting".
        self.overflowed |= line.contains("has overflowed its stack");
        if self.lines.len() == TAIL_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(match line.char_indices().nth(TAIL_WIDTH) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.to_owned(),
        });
    }

    /// Whether Rust's runtime said that a stack overflowed.
    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// `reason`, followed by the lines.
    pub(super) fn explain(&self, reason: &str) -> String {
        let mut text = reason.to_owned();
        if self.lines.iter().all(String::is_empty) {
            text.push_str(" (it printed nothing)");
            return text;
        }
        text.push_str("; its last output:");
        for line in self.lines.iter().skip_while(|line| line.is_empty()) {
            text.push_str("\n  | ");
            text.push_str(line);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        read_lines(bytes, |line| {
            lines.push(line);
            true
        });
        lines
    }

    #[test]
    fn lines_come_whole_and_the_last_needs_no_end() {
        assert_eq!(lines_of(b"a\r\n\nb"), ["a", "", "b"]);
        assert_eq!(lines_of("서울\n".as_bytes()), ["서울"]);
        assert_eq!(lines_of(b"\xff!\n"), ["\u{fffd}!"]);
    }

    #[test]
    fn an_endless_line_comes_in_pieces() {
        let long = vec![b'x'; 2 * MAX_LINE as usize];
        let lines = lines_of(&[&long[..], b"\nend\n"].concat());
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [65_536, 65_536, 3]);
    }

    fn filtered(entry: &str, lines: &[&str]) -> Vec<String> {
        let mut filter = HarnessFilter::new(entry);
        lines.iter().filter_map(|line| filter.pass(line)).map(str::to_owned).collect()
    }

    #[test]
    fn the_harness_s_lines_go_and_the_user_s_stay() {
        let printed = [
            "",
            "running 1 test",
            "",
            "running 1 test is what I print",
            "test m::load_test has been running for over 60 seconds",
            "test other ... ok",
            "no line endtest m::load_test ... ok",
            "",
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.00s",
            "",
        ];
        assert_eq!(
            filtered("m::load_test", &printed),
            ["", "running 1 test is what I print", "test other ... ok", "no line end"]
        );
    }

    #[test]
    fn a_failed_harness_leaves_nothing_behind_either() {
        let printed = [
            "",
            "running 1 test",
            "test m::t ... FAILED",
            "",
            "failures:",
            "",
            "failures:",
            "    m::t",
            "",
            "test result: FAILED. 0 passed; 1 failed",
            "",
        ];
        assert!(filtered("m::t", &printed).is_empty());
    }

    #[test]
    fn without_a_harness_everything_is_the_user_s() {
        assert_eq!(filtered("t", &["hello", "", "test t ... ok"]), ["hello", "", "test t ... ok"]);
    }

    #[test]
    fn the_tail_is_bounded_both_ways() {
        let mut tail = Tail::default();
        assert!(tail.explain("exited").contains("printed nothing"));
        for n in 0..100 {
            tail.push(&format!("{n} {}", "가".repeat(1000)));
        }
        let text = tail.explain("exited");
        assert!(text.starts_with("exited; its last output:\n  | 60 "), "{text}");
        assert!(text.lines().count() == 41 && text.chars().count() < 41 * 420);
    }
}
