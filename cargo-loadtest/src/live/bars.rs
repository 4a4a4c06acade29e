//! Progress for people: a few lines at the bottom of the terminal, redrawn when a second is closed.
//!
//! The main type is [`Bars`]. What the user's code prints goes above them, to the stream that it was
//! printed to.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use loadtest_core::results::{Definition, Interval, ServiceInfo};
use loadtest_core::wire::Phase;

use super::board::{Board, plain, service_line};
use super::{LiveView, Stream, print};

/// Lines that wait for the next tick: the bars are taken away and drawn again once for all of them.
const MOST_WAITING: usize = 500;

/// Draws on a terminal.
#[derive(Debug)]
pub(super) struct Bars {
    colour: bool,
    area: MultiProgress,
    rows: Vec<ProgressBar>,
    board: Option<Board>,
    since: Instant,
    waited: u64,
    waiting: Vec<(Stream, String)>,
}

impl Bars {
    pub(super) fn new(colour: bool) -> Self {
        Self {
            colour,
            area: MultiProgress::new(),
            rows: Vec::new(),
            board: None,
            since: Instant::now(),
            waited: 0,
            waiting: Vec::new(),
        }
    }

    fn draw(&mut self) {
        let Some(board) = &self.board else { return };
        let texts = if board.waits() {
            vec![board.waiting(Duration::from_secs(self.since.elapsed().as_secs()))]
        } else {
            board.rows(self.colour)
        };
        while self.rows.len() > texts.len() {
            if let Some(row) = self.rows.pop() {
                self.area.remove(&row);
            }
        }
        while self.rows.len() < texts.len() {
            let row = ProgressBar::new_spinner();
            // Cut at the terminal's width, where a wrapped line could not be taken away again.
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                row.set_style(style);
            }
            self.rows.push(self.area.add(row));
        }
        for (row, text) in self.rows.iter().zip(texts) {
            row.set_message(text);
        }
    }

    fn flush(&mut self) {
        if !self.waiting.is_empty() {
            let waiting = std::mem::take(&mut self.waiting);
            self.area.suspend(|| waiting.iter().for_each(|(stream, line)| print(*stream, line)));
        }
    }

    fn say(&mut self, line: String) {
        self.waiting.push((Stream::Err, line));
        self.flush();
    }
}

impl LiveView for Bars {
    fn begin(&mut self, id: &str, definitions: &[Definition]) {
        let board = Board::new(id, definitions);
        self.say(board.title());
        for line in board.plan() {
            self.say(line);
        }
        self.board = Some(board);
        (self.since, self.waited) = (Instant::now(), 0);
        self.draw();
    }

    fn phase(&mut self, phase: Phase) {
        if let Some(board) = &mut self.board {
            board.enter(phase);
        }
        (self.since, self.waited) = (Instant::now(), 0);
        self.draw();
    }

    fn service(&mut self, service: &ServiceInfo) {
        self.say(format!("  {}", service_line(service)));
    }

    fn warning(&mut self, text: &str) {
        let label = if self.colour { "\u{1b}[33mwarning\u{1b}[0m" } else { "warning" };
        self.say(format!("{label}: {}", plain(text)));
    }

    fn notice(&mut self, text: &str) {
        self.say(text.to_owned());
    }

    fn interval(&mut self, interval: &Interval) {
        if let Some(board) = &mut self.board {
            board.add(interval);
        }
        self.flush();
        self.draw();
    }

    fn output(&mut self, stream: Stream, line: &str) {
        self.waiting.push((stream, line.to_owned()));
        if self.waiting.len() >= MOST_WAITING {
            self.flush();
        }
    }

    fn tick(&mut self) {
        self.flush();
        let seconds = self.since.elapsed().as_secs();
        if self.board.as_ref().is_some_and(Board::waits) && seconds > self.waited {
            self.waited = seconds;
            self.draw();
        }
    }

    fn end(&mut self) {
        self.flush();
        for row in self.rows.drain(..) {
            row.finish_and_clear();
            self.area.remove(&row);
        }
        self.board = None;
    }
}
