//! What goes past while a test runs: its intervals are kept, and the lines that the user's own code prints
//! go where they belong.
//!
//! The main type is [`Directed`], a live view around another one. With `--format json` standard output
//! belongs to the results document alone.

use loadtest_core::results::{Definition, Interval, ServiceInfo};
use loadtest_core::wire::Phase;

use crate::cli;
use crate::live::{LiveView, Progress, Stream};

/// Where they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// To the stream that they were printed to.
    AsPrinted,
    /// To standard error.
    Err,
    /// Not shown; an error still shows a process's last output.
    Nowhere,
}

/// A view that passes everything on, and the user's lines where they belong.
pub(super) struct Directed {
    view: Box<dyn LiveView>,
    destination: Destination,
    /// What was measured, ascending by index.
    pub(super) intervals: Vec<Interval>,
}

impl Directed {
    /// Around a view.
    pub(super) fn new(view: Box<dyn LiveView>, destination: Destination) -> Self {
        Self { view, destination, intervals: Vec::new() }
    }
}

impl LiveView for Directed {
    fn begin(&mut self, id: &str, definitions: &[Definition]) {
        self.view.begin(id, definitions);
    }

    fn phase(&mut self, phase: Phase) {
        self.view.phase(phase);
    }

    fn service(&mut self, service: &ServiceInfo) {
        self.view.service(service);
    }

    fn warning(&mut self, text: &str) {
        self.view.warning(text);
    }

    fn interval(&mut self, interval: &Interval) {
        self.view.interval(interval);
        self.intervals.push(interval.clone());
    }

    fn output(&mut self, stream: Stream, line: &str) {
        match self.destination {
            Destination::AsPrinted => self.view.output(stream, line),
            Destination::Err => self.view.output(Stream::Err, line),
            Destination::Nowhere => {}
        }
    }

    fn notice(&mut self, text: &str) {
        self.view.notice(text);
    }

    fn tick(&mut self) {
        self.view.tick();
    }

    fn end(&mut self) {
        self.view.end();
    }
}

impl From<cli::Progress> for Progress {
    fn from(progress: cli::Progress) -> Self {
        match progress {
            cli::Progress::Auto => Progress::Auto,
            cli::Progress::Bars => Progress::Bars,
            cli::Progress::Lines => Progress::Lines,
            cli::Progress::None => Progress::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    struct Recorder(Rc<RefCell<Vec<(Stream, String)>>>);

    impl LiveView for Recorder {
        fn begin(&mut self, _: &str, _: &[Definition]) {}
        fn phase(&mut self, _: Phase) {}
        fn service(&mut self, _: &ServiceInfo) {}
        fn warning(&mut self, _: &str) {}
        fn interval(&mut self, _: &Interval) {}
        fn output(&mut self, stream: Stream, line: &str) {
            self.0.borrow_mut().push((stream, line.to_owned()));
        }
        fn end(&mut self) {}
    }

    #[test]
    fn standard_output_stays_clean_for_a_document() {
        let printed = |destination| {
            let lines = Rc::new(RefCell::new(Vec::new()));
            let mut view = Directed::new(Box::new(Recorder(Rc::clone(&lines))), destination);
            view.output(Stream::Out, "hello");
            lines.take()
        };
        assert_eq!(printed(Destination::AsPrinted), [(Stream::Out, "hello".to_owned())]);
        assert_eq!(printed(Destination::Err), [(Stream::Err, "hello".to_owned())]);
        assert_eq!(printed(Destination::Nowhere), []);
    }
}
