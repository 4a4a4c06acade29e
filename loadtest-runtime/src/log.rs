//! What virtual users say with `vu.log(..)`: so many lines per second for the whole process.
//!
//! The main type is [`Log`]. Ten thousand virtual users that say one line each would hide everything else, and
//! writing them would be load of its own; what is held back is counted, and the count is told. A line that is
//! held back is never formatted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{self, Instant};

/// Where lines go.
type Output = Box<dyn Fn(&str) + Send + Sync>;

/// Lines of one process.
pub(crate) struct Log {
    /// Lines per second that are shown; 0: all of them.
    limit: u32,
    began: Instant,
    /// The second that is running, counted from 1, in the upper half, and its lines in the lower.
    window: AtomicU64,
    /// Lines held back that were not told of.
    held_back: AtomicU64,
    output: Output,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Log {
    /// Lines that go to `output`, at most `limit` a second; 0: all of them.
    pub(crate) fn new(limit: u32, output: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            limit,
            began: clock::now(),
            window: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
            output: Box::new(output),
        }
    }

    /// Says one line, unless there were enough of them in this second. Line breaks and other control characters
    /// are written as escapes, so that a line is one line.
    pub(crate) fn line(&self, who: impl fmt::Display, text: impl fmt::Display) {
        if !self.admits() {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut lines = self.untold().unwrap_or_default();
        lines.push('[');
        push_escaped(&mut lines, &who.to_string());
        lines.push_str("] ");
        push_escaped(&mut lines, &text.to_string());
        lines.push('\n');
        (self.output)(&lines);
    }

    /// Says a text of several lines, unless there were enough of them in this second; it counts as one. Each of its
    /// lines is one, as with [`line`](Self::line).
    pub(crate) fn text(&self, who: impl fmt::Display, text: &str) {
        if !self.admits() {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut lines = self.untold().unwrap_or_default();
        lines.push('[');
        push_escaped(&mut lines, &who.to_string());
        lines.push(']');
        for (index, line) in text.lines().enumerate() {
            lines.push_str(if index == 0 { " " } else { "  " });
            push_escaped(&mut lines, line);
            lines.push('\n');
        }
        if text.is_empty() {
            lines.push('\n');
        }
        (self.output)(&lines);
    }

    /// Says a line of the load's own, which is never held back.
    pub(crate) fn note(&self, text: &str) {
        (self.output)(&format!("{text}\n"));
    }

    /// Tells of the lines that were held back last: nobody will say more.
    pub(crate) fn finish(&self) {
        if let Some(lines) = self.untold() {
            (self.output)(&lines);
        }
    }

    /// Whether this second has room for a line, which is then taken.
    fn admits(&self) -> bool {
        if self.limit == 0 {
            return true;
        }
        let elapsed = clock::now().saturating_duration_since(self.began);
        let second = (elapsed.as_secs() + 1) & u64::from(u32::MAX);
        let taken = self.window.fetch_update(Ordering::AcqRel, Ordering::Acquire, |window| {
            // A thread whose second is over by now takes of the one that runs.
            if window >> 32 < second {
                return Some((second << 32) | 1);
            }
            let lines = window & u64::from(u32::MAX);
            (lines < u64::from(self.limit)).then_some(window + 1)
        });
        taken.is_ok()
    }

    /// The line about what was held back, if anything was. While lines are, none is shown until the next second,
    /// whose first line tells.
    fn untold(&self) -> Option<String> {
        match self.held_back.swap(0, Ordering::Relaxed) {
            0 => None,
            1 => Some("… 1 more line held back (--log-limit 0 shows all)\n".to_owned()),
            lines => Some(format!("… {} more lines held back (--log-limit 0 shows all)\n", grouped(lines))),
        }
    }
}

fn push_escaped(line: &mut String, text: &str) {
    for char in text.chars() {
        if char.is_control() && char != '\t' {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;

    fn log(limit: u32) -> (Log, Arc<Mutex<String>>) {
        let written = Arc::new(Mutex::new(String::new()));
        let to = Arc::clone(&written);
        (Log::new(limit, move |lines| to.lock().expect("not poisoned").push_str(lines)), written)
    }

    fn take(written: &Mutex<String>) -> String {
        std::mem::take(&mut *written.lock().expect("not poisoned"))
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_lines_a_second_and_the_count_of_the_others() {
        let (log, written) = log(2);
        for line in 0..1236 {
            log.line("s vu 1 #0", line);
        }
        assert_eq!(take(&written), "[s vu 1 #0] 0\n[s vu 1 #0] 1\n");
        tokio::time::advance(Duration::from_secs(1)).await;
        log.line("s vu 1 #1", "next");
        log.line("s vu 1 #1", "last");
        log.line("s vu 1 #1", "too many");
        assert_eq!(
            take(&written),
            "… 1,234 more lines held back (--log-limit 0 shows all)\n[s vu 1 #1] next\n[s vu 1 #1] last\n"
        );
        log.finish();
        log.finish();
        assert_eq!(take(&written), "… 1 more line held back (--log-limit 0 shows all)\n");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_back_is_neither_formatted_nor_allocated_for() {
        struct Costly;
        impl fmt::Display for Costly {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("it was formatted");
            }
        }
        let (log, _written) = log(1);
        log.line("s", "shown");
        let measured = allocation_counter::measure(|| log.line(Costly, Costly));
        assert_eq!(measured.count_total, 0);
    }

    #[test]
    fn no_limit_shows_all_and_a_line_is_one_line() {
        let (log, written) = log(0);
        for _ in 0..1_000 {
            log.line("s", "a\nb\u{1b}[2J");
        }
        log.finish();
        assert_eq!(take(&written), "[s] a\\nb\\u{1b}[2J\n".repeat(1_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_text_of_several_lines_counts_as_one() {
        let (log, written) = log(1);
        log.text("s vu 1 http 1", "> GET / HTTP/1.1\n> host: x\u{1b}");
        log.text("s vu 1 http 1", "< held\n< back");
        assert_eq!(take(&written), "[s vu 1 http 1] > GET / HTTP/1.1\n  > host: x\\u{1b}\n");
        log.finish();
        assert_eq!(take(&written), "… 1 more line held back (--log-limit 0 shows all)\n");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
