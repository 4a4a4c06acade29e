//! Progress for logs: a line every ten seconds and at each change of phase.
//!
//! The main type is [`Lines`]. It never moves a cursor and never colours anything.

use std::io::Write;
use std::time::{Duration, Instant};

use loadtest_core::results::{Definition, Interval, ServiceInfo};
use loadtest_core::wire::Phase;

use super::board::{Board, plain, service_line};
use super::{LiveView, Stream, print};

/// Seconds of load between two lines.
const EVERY: u64 = 10;

/// Writes to a log.
#[derive(Debug)]
pub(super) struct Lines<W> {
    to: W,
    board: Option<Board>,
    since: Instant,
    waited: u64,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, board: None, since: Instant::now(), waited: 0 }
    }

    fn say(&mut self, line: &str) {
        // A log that is gone is no reason to end a test.
        let _ = writeln!(self.to, "{line}");
    }

    fn say_board(&mut self) {
        let lines = self.board.as_ref().map(Board::lines).unwrap_or_default();
        for line in lines {
            self.say(&line);
        }
    }
}

impl<W: Write> LiveView for Lines<W> {
    fn begin(&mut self, id: &str, definitions: &[Definition]) {
        let board = Board::new(id, definitions);
        self.say(&board.title());
        for line in board.plan() {
            self.say(&line);
        }
        self.board = Some(board);
        (self.since, self.waited) = (Instant::now(), 0);
    }

    fn phase(&mut self, phase: Phase) {
        let Some(board) = &mut self.board else { return };
        board.enter(phase);
        (self.since, self.waited) = (Instant::now(), 0);
        if phase == Phase::Setup || phase == Phase::Teardown {
            let line = board.waiting(Duration::ZERO);
            self.say(&line);
        } else {
            self.say_board();
        }
    }

    fn service(&mut self, service: &ServiceInfo) {
        self.say(&format!("  {}", service_line(service)));
    }

    fn notice(&mut self, text: &str) {
        self.say(text);
    }

    fn warning(&mut self, text: &str) {
        self.say(&format!("warning: {}", plain(text)));
    }

    fn interval(&mut self, interval: &Interval) {
        let Some(board) = &mut self.board else { return };
        let was_paused = board.paused();
        board.add(interval);
        let changed = board.paused() != was_paused;
        if changed || interval.index.wrapping_add(1).is_multiple_of(EVERY) {
            self.say_board();
        }
    }

    fn output(&mut self, stream: Stream, line: &str) {
        print(stream, line);
    }

    fn tick(&mut self) {
        let Some(board) = &self.board else { return };
        let waited = self.since.elapsed().as_secs() / EVERY;
        if board.waits() && waited > self.waited {
            self.waited = waited;
            let line = board.waiting(self.since.elapsed());
            self.say(&line);
        }
    }

    fn end(&mut self) {
        self.board = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_line_at_each_change_and_every_ten_seconds() {
        let mut lines = Lines::new(Vec::new());
        lines.begin("concert/lib::reserve_seat", &[samples::definition()]);
        lines.phase(Phase::Setup);
        lines.service(&samples::service());
        lines.phase(Phase::Running);
        for index in 0..25 {
            lines.interval(&samples::interval(index));
        }
        lines.warning("the machine is\u{1b}[2J slow");
        lines.phase(Phase::Teardown);
        lines.end();
        let text = String::from_utf8(lines.to).expect("text");
        let progress = text.lines().filter(|line| line.contains("running")).count();
        assert_eq!(progress, 3, "at the start, after 10 s and after 20 s:\n{text}");
        assert!(text.contains("setup") && text.contains("teardown"), "{text}");
        assert!(text.contains("http://127.0.0.1:4000"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_pause_is_told_when_it_begins_and_ends() {
        let mut lines = Lines::new(Vec::new());
        lines.begin("t", &[samples::definition()]);
        for index in 0..6 {
            lines.interval(&Interval { paused: (2..5).contains(&index), ..samples::interval(index) });
        }
        lines.notice("as you wish");
        let text = String::from_utf8(lines.to).expect("text");
        assert_eq!(
            text.lines().filter(|line| line.starts_with("  reserve_seat: setup")).count(),
            2,
            "{text}"
        );
        assert!(text.ends_with("as you wish\n"), "{text}");
    }
}
