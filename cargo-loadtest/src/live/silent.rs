//! No progress at all. Warnings and the user's own output are not progress.

use loadtest_core::results::{Definition, Interval, ServiceInfo};
use loadtest_core::wire::Phase;

use super::board::plain;
use super::{LiveView, Stream, print};

/// Shows what must not be lost.
#[derive(Debug)]
pub(super) struct Silent;

impl LiveView for Silent {
    fn begin(&mut self, _: &str, _: &[Definition]) {}
    fn phase(&mut self, _: Phase) {}
    fn service(&mut self, _: &ServiceInfo) {}
    fn warning(&mut self, text: &str) {
        print(Stream::Err, &format!("warning: {}", plain(text)));
    }
    fn interval(&mut self, _: &Interval) {}
    fn output(&mut self, stream: Stream, line: &str) {
        print(stream, line);
    }
    fn end(&mut self) {}
}
