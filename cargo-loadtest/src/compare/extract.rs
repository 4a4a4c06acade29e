//! What one side of a test measured in the windows that decide: a value for each metric, and the same metric
//! for each window.
//!
//! The main type is [`Measured`]. Definitions:
//!
//! - latency is the test's trend ([`TestData::latency_metric`]): HTTP requests if there are any, of which
//!   only the successful ones count unless said otherwise;
//! - an endpoint is a method with the tag `name`;
//! - throughput is the number of *successful* requests per second, so that failing fast is no gain;
//! - errors are failed requests (`http_req_failed`), failed operations (`measure_failed`) and failed checks
//!   (`checks`), as a share of all three;
//! - failed iterations (`iterations_failed`) are apart, because one failed request often fails its check and
//!   its iteration too, and because an iteration can fail without either;
//! - dropped iterations (`dropped_iterations`) are a share of those planned, over the whole run.
//!
//! Refuses to do: judging, and looking at the other side.

use std::collections::BTreeMap;

use loadtest_core::metric::{Builtin, Tags, Totals, Unit, tag};

use super::segments::Window;
use crate::data::{TestData, successes};
use crate::stats::descriptive::mean;
use crate::stats::log_odds::EventCounts;

/// A metric over the deciding windows together, and in each of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    /// Over all of them; `None` without data.
    pub(super) value: Option<f64>,
    /// In each; `None` without data.
    pub(super) windows: Vec<Option<f64>>,
    /// How many values it rests on.
    pub(super) count: u64,
}

/// One side of a test.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    /// The windows that all series are about.
    pub(super) windows: Vec<Window>,
    /// Latency of successes in milliseconds: median.
    pub(super) p50: Series,
    /// 95th percentile.
    pub(super) p95: Series,
    /// 99th percentile.
    pub(super) p99: Series,
    /// Mean.
    pub(super) mean: Series,
    /// 95th percentile of all requests, failures with the time that they took.
    pub(super) p95_of_all: Series,
    /// 95th percentile of all requests, failures counted as infinite; `None` where it is infinite.
    pub(super) p95_failures_infinite: Series,
    /// Failed requests among those that the latency is about.
    pub(super) failures: u64,
    /// All successes of the deciding windows, with their distribution.
    pub(super) successes: Totals,
    /// 95th percentile of successes, by endpoint.
    pub(super) endpoints: BTreeMap<String, Series>,
    /// Successes per second.
    pub(super) throughput: Series,
    /// Errors among requests, operations and checks.
    pub(super) errors: EventCounts,
    /// Failed iterations.
    pub(super) failed_iterations: EventCounts,
    /// Dropped among planned iterations, over the whole run.
    pub(super) dropped: EventCounts,
}

impl Measured {
    /// Reads a test over these windows.
    pub(super) fn of(test: &TestData, windows: Vec<Window>) -> Self {
        let key = |tags: &Tags| Some((endpoint(tags), successes(tags)));
        let mut by_endpoint: BTreeMap<Option<String>, [Vec<Totals>; 2]> = BTreeMap::new();
        for ((name, success), mut intervals) in test.per_interval_by(test.latency_metric(), key) {
            let parts: Vec<Totals> =
                windows.iter().map(|window| std::mem::take(&mut intervals[window.position])).collect();
            by_endpoint.entry(name).or_default()[usize::from(success)] = parts;
        }
        let none = || vec![Totals::default(); windows.len()];
        let (mut failed, mut succeeded) = (none(), none());
        let mut endpoints = BTreeMap::new();
        for (name, [failures, successes]) in by_endpoint {
            merge_each(&mut failed, &failures);
            merge_each(&mut succeeded, &successes);
            if let Some(name) = name.filter(|_| !successes.is_empty()) {
                endpoints.insert(name, quantile(&successes, 0.95));
            }
        }
        let mut all = succeeded.clone();
        merge_each(&mut all, &failed);
        let counts: Vec<f64> = succeeded.iter().map(|totals| totals.count as f64).collect();
        let throughput = Series {
            value: mean(&counts),
            windows: counts.into_iter().map(Some).collect(),
            count: succeeded.iter().map(|totals| totals.count).sum(),
        };
        let mut together = Totals::default();
        succeeded.iter().for_each(|part| together.merge(part));
        Self {
            successes: together.compact(),
            p50: quantile(&succeeded, 0.50),
            p95: quantile(&succeeded, 0.95),
            p99: quantile(&succeeded, 0.99),
            mean: series(&succeeded, Totals::mean),
            p95_of_all: quantile(&all, 0.95),
            p95_failures_infinite: with_infinite_failures(&succeeded, &failed, 0.95),
            failures: failed.iter().map(|totals| totals.count).sum(),
            endpoints,
            throughput,
            errors: events(
                test,
                &windows,
                &[(Builtin::HttpReqFailed, true), (Builtin::MeasureFailed, true), (Builtin::Checks, false)],
            ),
            failed_iterations: events(test, &windows, &[(Builtin::IterationsFailed, true)]),
            dropped: dropped(test),
            windows,
        }
    }
}

/// The endpoint that a series belongs to, if it has a name.
fn endpoint(tags: &Tags) -> Option<String> {
    let name = tags.get(tag::NAME)?;
    Some(match tags.get(tag::METHOD) {
        Some(method) => format!("{method} {name}"),
        None => name.clone(),
    })
}

/// Adds `parts` to `sums`, window by window.
fn merge_each(sums: &mut [Totals], parts: &[Totals]) {
    for (sum, part) in sums.iter_mut().zip(parts) {
        sum.merge(part);
    }
}

fn series(windows: &[Totals], of: impl Fn(&Totals) -> Option<f64>) -> Series {
    let mut sum = Totals::default();
    windows.iter().for_each(|part| sum.merge(part));
    Series { value: of(&sum), windows: windows.iter().map(&of).collect(), count: sum.count }
}

fn quantile(windows: &[Totals], q: f64) -> Series {
    series(windows, |totals| totals.quantile(q, Unit::Millis))
}

/// The quantile of successes and failures together, the failures taken to last for ever.
fn with_infinite_failures(succeeded: &[Totals], failed: &[Totals], q: f64) -> Series {
    let of = |succeeded: &Totals, failures: u64| {
        let last = succeeded.count.checked_sub(1)? as f64;
        let position = q * (last + failures as f64);
        // Where the order statistic lies among the successes alone; behind the last, it is infinite.
        let share = if position == 0.0 { 0.0 } else { position / last };
        (share <= 1.0).then(|| succeeded.quantile(share, Unit::Millis))?
    };
    let mut sum = Totals::default();
    succeeded.iter().for_each(|part| sum.merge(part));
    let failures = failed.iter().map(|totals| totals.count).sum();
    Series {
        value: of(&sum, failures),
        windows: succeeded.iter().zip(failed).map(|(s, f)| of(s, f.count)).collect(),
        count: sum.count + failures,
    }
}

/// Sums up rates over the windows; the flag says whether "true" is the bad case.
fn events(test: &TestData, windows: &[Window], rates: &[(Builtin, bool)]) -> EventCounts {
    let mut counts = EventCounts { events: 0, trials: 0, windows: vec![(0, 0); windows.len()] };
    for (metric, true_is_bad) in rates {
        let intervals = test.per_interval(metric.name(), |_| true);
        for (window, (bad, all)) in windows.iter().zip(&mut counts.windows) {
            let totals = &intervals[window.position];
            // `as` turns what is negative or not a number to 0.
            let held = (totals.sum.round() as u64).min(totals.count);
            *bad += if *true_is_bad { held } else { totals.count - held };
            *all += totals.count;
        }
    }
    for (bad, all) in &counts.windows {
        counts.events += bad;
        counts.trials += all;
    }
    counts
}

/// Dropped iterations among those dropped and started. Closed executors drop all at once when their time is
/// up, so the windows of a run tell nothing about its next one, and are left out.
fn dropped(test: &TestData) -> EventCounts {
    let dropped = test.total(Builtin::DroppedIterations.name(), |_| true).sum.round() as u64;
    let scenarios = test.document.outcome.scenarios.values();
    let planned = scenarios.fold(dropped, |sum, scenario| sum.saturating_add(scenario.started));
    EventCounts { events: dropped, trials: planned, windows: Vec::new() }
}

#[cfg(test)]
mod tests {
    use loadtest_core::metric::Kind;

    use super::*;

    fn totals(values: impl IntoIterator<Item = u32>) -> Totals {
        let mut totals = Totals::default();
        values.into_iter().for_each(|value| totals.record(Kind::Trend, 1_000.0, f64::from(value) / 1_000.0));
        totals
    }

    #[test]
    fn failures_counted_as_infinite_push_the_quantile_up_and_away() {
        let p95 = |failures: u32| {
            with_infinite_failures(
                &[totals(1..=100)],
                &[totals(std::iter::repeat_n(1, failures as usize))],
                0.95,
            )
            .value
        };
        assert!((p95(0).unwrap() - 0.09505).abs() < 1e-9);
        assert!((p95(3).unwrap() - 0.0979).abs() < 1e-9, "{:?}", p95(3));
        assert_eq!(p95(10), None);
        assert_eq!(with_infinite_failures(&[totals([])], &[totals([1])], 0.95).value, None);
        assert_eq!(with_infinite_failures(&[totals([7])], &[totals([])], 0.95).value, Some(0.007));
        assert_eq!(with_infinite_failures(&[totals([7])], &[totals([1])], 0.95).value, None);
    }
}
