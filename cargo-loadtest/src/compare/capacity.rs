//! What two capacity searches found, side by side.
//!
//! The main function is [`judge`]. A search knows the capacity to lie between the highest rate that held and the
//! lowest that failed. If the two ranges have a rate in common, nothing is known to have changed. If they are
//! apart, something has, but one search a side can't tell a small change from two sessions that differ by
//! themselves, so a change counts from the smallest effect on, as in every comparison with a stored run.
//!
//! Refuses to do: comparing anything else of such tests. Their load follows from what the service bears.

use loadtest_core::results::Capacity;
use loadtest_core::units::format_count;

use super::{MetricComparison, MetricKind, Verdict};
use crate::data::TestData;

/// What is said of every such test.
pub(super) const ALONE: &str =
    "a capacity search is compared by its capacity alone: its load follows from what the service bears";

/// The judgement of a test.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// The most severe.
    pub(super) verdict: Verdict,
    /// One for each scenario that searched.
    pub(super) metrics: Vec<MetricComparison>,
}

/// Compares what the searches of both sides found; changes of less than `smallest` (a share) don't count.
pub(super) fn judge(base: &TestData, head: &TestData, smallest: f64) -> Found {
    let (old, new) = (&base.document.outcome.capacities, &head.document.outcome.capacities);
    let metrics: Vec<MetricComparison> = new
        .iter()
        .map(|(scenario, after)| {
            let name = if new.len() == 1 { "capacity".to_owned() } else { format!("capacity of {scenario}") };
            metric(name, old.get(scenario), after, smallest)
        })
        .collect();
    let verdicts = metrics.iter().map(|metric| match metric.verdict {
        Verdict::Improved => Verdict::Unchanged,
        verdict => verdict,
    });
    let verdict = verdicts.max_by_key(|verdict| verdict.severity()).unwrap_or(Verdict::Inconclusive);
    Found { verdict, metrics }
}

fn metric(name: String, base: Option<&Capacity>, head: &Capacity, smallest: f64) -> MetricComparison {
    let held = |capacity: &Capacity| Some(per_second(capacity, capacity.highest_held?));
    let (old, new) = (base.and_then(held), held(head));
    let (verdict, reason) = match base {
        Some(base) => verdict(base, head, smallest),
        None => (Verdict::Inconclusive, "the baseline found no capacity".to_owned()),
    };
    MetricComparison {
        name,
        kind: MetricKind::Capacity,
        gate: true,
        base: old,
        head: new,
        change: old.zip(new).filter(|(old, _)| *old > 0.0).map(|(old, new)| new / old),
        interval: None,
        p: None,
        verdict,
        detectable: None,
        reason: Some(reason),
    }
}

fn verdict(base: &Capacity, head: &Capacity, smallest: f64) -> (Verdict, String) {
    let (old, new) = (range(base), range(head));
    let both = format!("{} in the baseline, {} in this run", phrase(base), phrase(head));
    let apart = |lower: &Capacity, upper: &Capacity| range(lower).1 <= range(upper).0;
    let by_enough = |lower: f64, upper: f64| upper >= lower * (1.0 + smallest);
    let counted = match (apart(head, base), apart(base, head)) {
        (true, _) => Some((Verdict::Regressed, by_enough(new.0, old.0))),
        (_, true) => Some((Verdict::Improved, by_enough(old.0, new.0))),
        _ => None,
    };
    match counted {
        Some((verdict, true)) => (verdict, both),
        Some((_, false)) => (
            Verdict::Inconclusive,
            format!(
                "{both}: it moved, but one search a side can't tell less than {:.0} % from chance; repeat both",
                smallest * 100.0
            ),
        ),
        None if !base.complete || !head.complete => {
            (Verdict::Inconclusive, format!("{both}: a search did not come to its end"))
        }
        None => (Verdict::Unchanged, format!("{both}: no change within the search's step")),
    }
}

/// From the highest rate that held to the lowest that failed, in starts per second.
fn range(capacity: &Capacity) -> (f64, f64) {
    (
        capacity.highest_held.map_or(0.0, |rate| per_second(capacity, rate)),
        capacity.lowest_failed.map_or(f64::INFINITY, |rate| per_second(capacity, rate)),
    )
}

fn per_second(capacity: &Capacity, rate: u64) -> f64 {
    rate as f64 / if capacity.time_unit > 0.0 { capacity.time_unit } else { 1.0 }
}

/// `at least 700, less than 750`.
fn phrase(capacity: &Capacity) -> String {
    let rate = |rate: u64| format!("{}/s", format_count(per_second(capacity, rate)));
    match (capacity.highest_held, capacity.lowest_failed) {
        (Some(held), Some(failed)) => format!("at least {}, less than {}", rate(held), rate(failed)),
        (Some(held), None) => format!("at least {}", rate(held)),
        (None, Some(failed)) => format!("less than {}", rate(failed)),
        (None, None) => "not found".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(held: Option<u64>, failed: Option<u64>) -> Capacity {
        Capacity {
            time_unit: 1.0,
            probes: Vec::new(),
            highest_held: held,
            lowest_failed: failed,
            complete: true,
        }
    }

    #[test]
    fn only_ranges_that_are_apart_by_enough_have_moved() {
        use Verdict::{Improved, Inconclusive, Regressed, Unchanged};
        let base = capacity(Some(700), Some(750));
        for (held, failed, expected) in [
            (Some(700), Some(750), Unchanged),
            (Some(650), Some(710), Unchanged),
            (Some(740), None, Unchanged),
            (Some(650), Some(700), Inconclusive),
            (Some(750), Some(800), Inconclusive),
            (Some(500), Some(550), Regressed),
            (None, Some(100), Regressed),
            (Some(900), Some(950), Improved),
            (Some(1_000), None, Improved),
        ] {
            let (verdict, reason) = verdict(&base, &capacity(held, failed), 0.25);
            assert_eq!(verdict, expected, "{held:?} {failed:?}: {reason}");
        }
        let cut = Capacity { complete: false, ..capacity(Some(700), None) };
        assert_eq!(verdict(&base, &cut, 0.25).0, Inconclusive);
    }

    #[test]
    fn rates_are_compared_by_the_second() {
        let per_minute = Capacity { time_unit: 60.0, ..capacity(Some(42_000), Some(45_000)) };
        let found = metric("capacity".to_owned(), Some(&capacity(Some(700), Some(750))), &per_minute, 0.25);
        assert_eq!((found.base, found.head, found.change), (Some(700.0), Some(700.0), Some(1.0)));
        assert_eq!(found.verdict, Verdict::Unchanged);
    }
}
