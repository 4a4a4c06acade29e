//! The order in which the runs of a duet were made, as a line: `h b b h`, discarded runs in brackets.

use crate::compare::{Comparison, RunRecord, SideName, TestComparison};
use crate::report::clean;

/// Runs that are listed; a duet has at most a hundred.
const RUNS: usize = 60;
/// Discarded runs whose reason is told.
const DISCARDED: usize = 4;
/// A reason.
const REASON: usize = 200;

/// The order, if it is the same for every test that was run.
pub(super) fn shared(comparison: &Comparison) -> Option<String> {
    let mut orders = comparison.tests.iter().filter_map(|test| of_test(test, comparison));
    let first = orders.next()?;
    orders.all(|order| order == first).then_some(first)
}

/// The order of a test's runs.
pub(super) fn of_test(test: &TestComparison, comparison: &Comparison) -> Option<String> {
    let records: Vec<&RunRecord> = comparison.order.iter().filter(|record| record.test == test.id).collect();
    if records.is_empty() {
        return None;
    }
    let letters = records.iter().take(RUNS).map(|record| {
        let letter = match record.side {
            SideName::Base => "b",
            SideName::Head => "h",
        };
        if record.discarded.is_some() { format!("({letter})") } else { letter.to_owned() }
    });
    let letters = letters.collect::<Vec<_>>().join(" ");
    let more = if records.len() > RUNS { " …" } else { "" };
    let seed = comparison.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
    let brackets = if records.iter().any(|record| record.discarded.is_some()) {
        "; those in brackets were disturbed, and their pairs made again"
    } else {
        ""
    };
    Some(format!("runs in order: {letters}{more}{seed}{brackets}"))
}

/// Why runs of a test were discarded, once for each pair and reason.
pub(super) fn discarded(test: &TestComparison, comparison: &Comparison) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for record in comparison.order.iter().filter(|record| record.test == test.id) {
        let Some(reason) = &record.discarded else { continue };
        let reason = clean::clip(&clean::line(reason), REASON);
        let text = format!("pair {} was made again: {reason}", record.pair);
        if !told.contains(&text) {
            told.push(text);
        }
    }
    let more = told.len().saturating_sub(DISCARDED);
    told.truncate(DISCARDED);
    if more > 0 {
        told.push(format!("… and {more} more pairs were made again"));
    }
    told
}
