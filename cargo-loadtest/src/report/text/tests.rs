use loadtest_core::results::End;

use super::*;
use crate::compare::Verdict;
use crate::data::TestData;
use crate::report::sample;

fn plain(run: &RunData) -> String {
    summary(run, None, &TextOptions::default())
}

fn run_of(test: TestData) -> RunData {
    sample::run("r", "2026-05-04T10:15:00Z", vec![test], 99)
}

#[test]
fn dump_for_the_eye() {
    let (run, _, comparison) = sample::concert();
    eprintln!("{}", summary(&run, Some(&comparison), &TextOptions { color: std::env::var("C").is_ok(), ..TextOptions::default() }));
    let (run, _, comparison) = sample::hostile();
    eprintln!("{}", summary(&run, Some(&comparison), &TextOptions::default()));
}
