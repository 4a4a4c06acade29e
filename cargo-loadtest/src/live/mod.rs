//! What the user sees while a test runs: bars on a terminal, lines elsewhere, and the output of the user's
//! own code, which stays the user's.
//!
//! The main type is [`LiveView`], made by [`view`]. What the numbers say is put together by `board`, a pure
//! function of what came in; the views only place its text. Progress goes to standard error, never to
//! standard output, and is redrawn when an interval is closed, never more often.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};

use loadtest_core::results::{Definition, Interval, ServiceInfo};
use loadtest_core::wire::Phase;

mod bars;
mod board;
mod lines;
#[cfg(test)]
mod samples;
mod silent;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// Bars if standard error is a terminal and `CI` is not set, else lines.
    #[default]
    Auto,
    /// Bars that are redrawn each second.
    Bars,
    /// A line every ten seconds and at each change of phase.
    Lines,
    /// None; warnings and the user's output are still shown.
    None,
}

/// Where a line was printed, and is printed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Shows a test while it runs. The calls for one test are between `begin` and `end`.
///
/// A terminal that is gone is no reason to end a test: what can't be shown is not.
pub trait LiveView {
    /// A test begins with its setup.
    fn begin(&mut self, id: &str, definitions: &[Definition]);
    /// It does something else now.
    fn phase(&mut self, phase: Phase);
    /// It started a service.
    fn service(&mut self, service: &ServiceInfo);
    /// Something that the user should know now: a sentence.
    fn warning(&mut self, text: &str);
    /// A second of load is closed.
    fn interval(&mut self, interval: &Interval);
    /// The user's own code printed a line. It is printed to the same stream, above any bars.
    fn output(&mut self, stream: Stream, line: &str);
    /// Something that the user asked to see now, lines of plain text. It is printed to standard error, above
    /// any bars, whatever else is shown.
    fn notice(&mut self, text: &str) {
        print(Stream::Err, text);
    }
    /// Some time has passed, a tenth of a second or so.
    fn tick(&mut self) {}
    /// The test is over.
    fn end(&mut self);
}

/// The view for this process's standard error.
pub fn view(progress: Progress) -> Box<dyn LiveView> {
    let terminal = io::stderr().is_terminal();
    match chosen(progress, terminal, env::var_os("CI").as_deref()) {
        Progress::Bars => {
            let colour = terminal && !is_set(env::var_os("NO_COLOR").as_deref());
            Box::new(bars::Bars::new(colour))
        }
        Progress::None => Box::new(silent::Silent),
        Progress::Auto | Progress::Lines => Box::new(lines::Lines::new(io::stderr())),
    }
}

fn chosen(progress: Progress, terminal: bool, ci: Option<&OsStr>) -> Progress {
    match progress {
        // indicatif draws nothing where there is no terminal: lines say the same there.
        Progress::Auto | Progress::Bars if !terminal => Progress::Lines,
        Progress::Auto if is_set(ci) && ci != Some(OsStr::new("false")) => Progress::Lines,
        Progress::Auto => Progress::Bars,
        chosen => chosen,
    }
}

/// As <https://no-color.org> says: present and not empty.
fn is_set(variable: Option<&OsStr>) -> bool {
    variable.is_some_and(|value| !value.is_empty())
}

/// Prints a line of the user's where the user printed it.
fn print(stream: Stream, line: &str) {
    // `println!` would panic when the reader of a pipe is gone.
    let _ = match stream {
        Stream::Out => writeln!(io::stdout().lock(), "{line}"),
        Stream::Err => writeln!(io::stderr().lock(), "{line}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_for_people_at_terminals() {
        let ci = Some(OsStr::new("true"));
        assert_eq!(chosen(Progress::Auto, true, None), Progress::Bars);
        assert_eq!(chosen(Progress::Auto, true, ci), Progress::Lines);
        assert_eq!(chosen(Progress::Auto, true, Some(OsStr::new("false"))), Progress::Bars);
        assert_eq!(chosen(Progress::Auto, false, None), Progress::Lines);
        assert_eq!(chosen(Progress::Bars, true, ci), Progress::Bars, "asked for is asked for");
        assert_eq!(chosen(Progress::Bars, false, None), Progress::Lines);
        assert_eq!(chosen(Progress::None, true, None), Progress::None);
    }
}
