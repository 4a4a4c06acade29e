//! How much of what virtual users print is shown: so many lines a second, the rest is counted.
//!
//! The main type is [`LineLimit`]. It reads no clock and prints nothing. The last lines of a process that
//! dies are remembered elsewhere, before anything is held back.

use std::time::{Duration, Instant};

use loadtest_core::units::format_count;

use crate::live::Stream;

/// How long a share of lines is for, and how often the user is told at most.
const WINDOW: Duration = Duration::from_secs(1);

/// Counts lines.
#[derive(Debug)]
pub(super) struct LineLimit {
    per_second: u32,
    out: Share,
    err: Share,
    /// Held back, and not told yet.
    held: u64,
    /// When they were told last, or when the first of them came.
    told: Option<Instant>,
}

/// The lines of a stream in the second that began at `since`.
#[derive(Debug, Default)]
struct Share {
    since: Option<Instant>,
    lines: u32,
}

impl LineLimit {
    /// So many lines a second from each stream; 0: all of them.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, out: Share::default(), err: Share::default(), held: 0, told: None }
    }

    /// Whether a line is shown.
    pub(super) fn shows(&mut self, stream: Stream, now: Instant) -> bool {
        if self.per_second == 0 {
            return true;
        }
        let share = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        if share.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            *share = Share { since: Some(now), lines: 0 };
        }
        let shows = share.lines < self.per_second;
        if shows {
            share.lines += 1;
        } else {
            // The first one in a while is not told at once, but with those that follow it.
            if self.held == 0 && self.told.is_none_or(|told| now.saturating_duration_since(told) >= WINDOW) {
                self.told = Some(now);
            }
            self.held += 1;
        }
        shows
    }

    /// What to tell about lines that were held back, at most once a second.
    pub(super) fn notice(&mut self, now: Instant) -> Option<String> {
        let due = self.told.is_some_and(|told| now.saturating_duration_since(told) >= WINDOW);
        if due && self.held > 0 { self.rest(now) } else { None }
    }

    /// What to tell about lines that were held back and not told, because no more will come.
    pub(super) fn rest(&mut self, now: Instant) -> Option<String> {
        let held = std::mem::take(&mut self.held);
        if held == 0 {
            return None;
        }
        self.told = Some(now);
        let lines = if held == 1 { "line" } else { "lines" };
        Some(format!("… {} more {lines} held back (--log-limit 0 shows all)", format_count(held as f64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn each_stream_has_its_lines_in_each_second() {
        let (mut limit, start) = (LineLimit::new(3), Instant::now());
        let mut shown = |stream, millis| (0..10).filter(|_| limit.shows(stream, at(start, millis))).count();
        assert_eq!(shown(Stream::Out, 0), 3);
        assert_eq!(shown(Stream::Err, 1), 3);
        assert_eq!(shown(Stream::Out, 999), 0);
        assert_eq!(shown(Stream::Out, 1_000), 3);
        assert_eq!(shown(Stream::Err, 1_000), 0, "its second began later");
    }

    #[test]
    fn what_is_held_back_is_told_once_a_second_and_nothing_twice() {
        let (mut limit, start) = (LineLimit::new(1), Instant::now());
        let mut told = Vec::new();
        for millis in 0..2_500 {
            limit.shows(Stream::Out, at(start, millis));
            told.extend(limit.notice(at(start, millis)));
        }
        told.extend(limit.rest(at(start, 2_500)));
        assert_eq!(
            told,
            [
                "… 1,000 more lines held back (--log-limit 0 shows all)",
                "… 999 more lines held back (--log-limit 0 shows all)",
                "… 498 more lines held back (--log-limit 0 shows all)",
            ]
        );
        assert_eq!(limit.rest(at(start, 9_000)), None);
    }

    #[test]
    fn zero_is_no_limit_and_few_lines_are_never_spoken_of() {
        let start = Instant::now();
        let mut all = LineLimit::new(0);
        assert!((0..1_000).all(|_| all.shows(Stream::Out, start)));
        let mut few = LineLimit::new(10);
        assert!((0..100).all(|n| few.shows(Stream::Err, at(start, n * 100))));
        for limit in [&mut all, &mut few] {
            assert_eq!(limit.notice(at(start, 60_000)), None);
            assert_eq!(limit.rest(at(start, 60_000)), None);
        }
    }
}
