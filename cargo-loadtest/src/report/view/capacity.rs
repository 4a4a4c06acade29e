//! What a capacity search found, as finished texts.

use std::time::Duration;

use loadtest_core::results::{Capacity, Probe};
use loadtest_core::units::{format_count, format_duration, format_millis};
use serde::Serialize;

use super::{Long, threshold_value};
use crate::data::TestData;
use crate::report::clean;

/// A search.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct CapacityView {
    /// The scenario that searched.
    pub scenario: String,
    /// `at least 700/s, less than 750/s`.
    pub found: String,
    /// The rates that were tried, in order.
    pub probes: Vec<ProbeView>,
    /// Sources of the thresholds, one for each value of [`ProbeView::thresholds`].
    pub thresholds: Vec<String>,
    /// Probes that are left out.
    pub left_out: usize,
}

/// A rate that was tried.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct ProbeView {
    /// With its unit.
    pub rate: String,
    /// Whether it held.
    pub holds: bool,
    /// Why it did not, besides the thresholds, which have columns of their own.
    pub reason: Option<Long>,
    /// Iterations that started.
    pub started: String,
    /// Starts that were dropped.
    pub dropped: String,
    /// Whether some were.
    pub drops: bool,
    /// p50, p95, p99 of successes.
    pub latency: [String; 3],
    /// The value of each threshold, and whether it holds.
    pub thresholds: Vec<(String, bool)>,
}

/// The searches of a test, each with at most so many probes: the last ones, which are next to what was found.
pub(in crate::report) fn capacities(test: &TestData, most: usize, columns: usize) -> Vec<CapacityView> {
    let view = |(scenario, capacity): (&String, &Capacity)| {
        let mut thresholds: Vec<String> = Vec::new();
        for outcome in capacity.probes.iter().flat_map(|probe| &probe.thresholds) {
            if !thresholds.contains(&outcome.source) {
                thresholds.push(outcome.source.clone());
            }
        }
        let left_out = capacity.probes.len().saturating_sub(most);
        CapacityView {
            scenario: clean::clip(&clean::line(scenario), 80),
            found: found(capacity),
            probes: capacity.probes[left_out..]
                .iter()
                .map(|one| probe(test, scenario, capacity, one, &thresholds, columns))
                .collect(),
            thresholds: thresholds.iter().map(|source| clean::clip(&clean::line(source), 80)).collect(),
            left_out,
        }
    };
    test.document.outcome.capacities.iter().map(view).collect()
}

fn probe(
    test: &TestData,
    scenario: &str,
    capacity: &Capacity,
    probe: &Probe,
    thresholds: &[String],
    columns: usize,
) -> ProbeView {
    let value = |source: &String| match probe.thresholds.iter().find(|outcome| outcome.source == *source) {
        Some(outcome) => match outcome.actual {
            Some(actual) => (threshold_value(test, source, actual), outcome.holds),
            None => ("no data".to_owned(), outcome.holds),
        },
        None => ("–".to_owned(), true),
    };
    ProbeView {
        rate: rate(capacity, probe.rate),
        holds: probe.holds,
        reason: probe.reason_besides_thresholds().map(|reason| Long::new(reason, columns, 2_000)),
        started: format_count(probe.started as f64),
        dropped: format_count(probe.dropped as f64),
        drops: probe.dropped > 0,
        latency: test
            .probe_latency(scenario, probe)
            .map(|value| value.map_or_else(|| "–".to_owned(), format_millis)),
        thresholds: thresholds.iter().map(value).collect(),
    }
}

/// What a search found, in words.
pub(in crate::report) fn found(capacity: &Capacity) -> String {
    let rate = |starts| rate(capacity, starts);
    let cut = if capacity.complete { "" } else { "; the search did not come to its end" };
    let found = match (capacity.highest_held, capacity.lowest_failed) {
        (Some(held), Some(failed)) => format!("at least {}, less than {}", rate(held), rate(failed)),
        (Some(held), None) if capacity.complete => {
            format!("at least {}, the highest rate of the search", rate(held))
        }
        (Some(held), None) => format!("at least {}", rate(held)),
        (None, Some(failed)) => format!("less than {}, the lowest rate that was tried", rate(failed)),
        (None, None) => "not found".to_owned(),
    };
    format!("{found}{cut}")
}

/// The lines for banner and summary, one for each search: `capacity: at least 700/s, less than 750/s`.
pub(in crate::report) fn capacity_lines(test: &TestData) -> Vec<(String, String)> {
    let capacities = &test.document.outcome.capacities;
    let line = |(scenario, capacity): (&String, &Capacity)| {
        let name = match capacities.len() {
            1 => "capacity".to_owned(),
            _ => format!("capacity of {}", clean::clip(&clean::line(scenario), 56)),
        };
        (name, found(capacity))
    };
    capacities.iter().map(line).collect()
}

/// A rate with its unit.
pub(in crate::report) fn rate(capacity: &Capacity, rate: u64) -> String {
    let count = format_count(rate as f64);
    match Duration::try_from_secs_f64(capacity.time_unit) {
        Ok(unit) if unit != Duration::from_secs(1) && !unit.is_zero() => {
            format!("{count} per {}", format_duration(unit))
        }
        _ => format!("{count}/s"),
    }
}

/// A rate in starts per second.
pub(in crate::report) fn per_second(capacity: &Capacity, rate: u64) -> f64 {
    rate as f64 / if capacity.time_unit > 0.0 { capacity.time_unit } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_said_with_what_is_not_known() {
        let of = |held, failed, complete, time_unit| {
            found(&Capacity {
                time_unit,
                probes: Vec::new(),
                highest_held: held,
                lowest_failed: failed,
                complete,
            })
        };
        assert_eq!(of(Some(700), Some(750), true, 1.0), "at least 700/s, less than 750/s");
        assert_eq!(of(Some(2_000), None, true, 1.0), "at least 2,000/s, the highest rate of the search");
        assert_eq!(of(Some(40), None, false, 60.0), "at least 40 per 1m; the search did not come to its end");
        assert_eq!(of(None, Some(10), true, 1.0), "less than 10/s, the lowest rate that was tried");
        assert_eq!(of(None, None, false, 0.0), "not found; the search did not come to its end");
    }
}
