//! What two capacity searches found, side by side.
//!
//! The main functions are [`judge`] and, for duets, [`judge_pairs`]. A search knows the capacity to lie between the highest rate that held and the
//! lowest that failed. If the two ranges have a rate in common, nothing is known to have changed. If they are
//! apart, something has, but one search a side can't tell a small change from two sessions that differ by
//! themselves, so a change counts from the smallest effect on, as in every comparison with a stored run.
//!
//! Refuses to do: comparing anything else of such tests. Their load follows from what the service bears.

use loadtest_core::results::Capacity;
use loadtest_core::units::format_count;

use super::evidence::{Row, over_runs};
use super::wording::Voice;
use super::{MetricComparison, MetricKind, Verdict};
use crate::data::TestData;
use crate::session::{RunValue, RunValues};
use crate::stats::{
    self, Direction, JudgeRule, MetricEvidence, NotJudged, Role, TestEvidence, pairs as paired,
};

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

/// Compares what the searches of two sessions found; changes of less than `smallest` (a share) don't count. Of several
/// runs of a side the one in the middle speaks.
pub(super) fn judge(base: &[&TestData], head: &[&TestData], smallest: f64) -> Found {
    let metrics = names(head).into_iter().filter_map(|(scenario, name)| {
        let mut metric = metric(name, middle(base, &scenario), middle(head, &scenario)?, smallest);
        (metric.base_runs, metric.head_runs) = (held(base, &scenario), held(head, &scenario));
        Some(metric)
    });
    conclude(metrics.collect())
}

/// Compares what the searches of a duet found, pair by pair: the highest rates that held by the paired test of any
/// metric, with the rule's level and smallest effect. Because a search knows a capacity to within a step, a change
/// counts only if the ranges of both sides are apart as well.
pub(super) fn judge_pairs(pairs: &[(&TestData, &TestData)], rule: &JudgeRule, voice: &Voice) -> Found {
    let (base, head): (Vec<&TestData>, Vec<&TestData>) = pairs.iter().copied().unzip();
    let metrics = names(&head).into_iter().map(|(scenario, name)| {
        let (base_runs, head_runs) = (held(&base, &scenario), held(&head, &scenario));
        let all = |runs: &[Option<f64>]| runs.iter().copied().collect::<Option<Vec<f64>>>();
        let effect = match all(&base_runs).zip(all(&head_runs)) {
            Some((base, head)) => paired::ratio(&base, &head),
            None => Err(NotJudged::NoRatio),
        };
        let evidence = MetricEvidence {
            name,
            role: Role::Gate,
            direction: Direction::LowerIsWorse,
            base: over_runs(&base_runs),
            head: over_runs(&head_runs),
            effect,
            pairs: u32::try_from(pairs.len()).unwrap_or(u32::MAX),
            min_effect: rule.decision.smallest_effect,
        };
        let row =
            Row { kind: MetricKind::Capacity, reason: None, only_if_changed: false, base_runs, head_runs };
        let judged = stats::judge(&[TestEvidence { rule: *rule, metrics: vec![evidence] }]);
        let judged = judged.into_iter().flat_map(|test| test.metrics).next()?;
        let mut metric = super::shown::metric(&judged, &row, voice, pairs.len());
        let (old, new) = (ranges(&base, &scenario), ranges(&head, &scenario));
        let apart = new.1 <= old.0 || old.1 <= new.0;
        if matches!(metric.verdict, Verdict::Regressed | Verdict::Improved) && !apart {
            metric.verdict = Verdict::Inconclusive;
            metric.reason =
                Some("it moved by less than a step of the search: a smaller `step` can tell".to_owned());
        }
        Some(metric)
    });
    conclude(metrics.into_iter().flatten().collect())
}

/// The capacities of one run, for later sessions.
pub(super) fn values(test: &TestData) -> RunValues {
    let value = |(scenario, name): (String, String)| {
        let value = held(&[test], &scenario).pop().flatten();
        (name, RunValue { kind: MetricKind::Capacity, gate: true, value, events: None })
    };
    names(&[test]).into_iter().map(value).collect()
}

/// The scenarios that searched, with the name of the metric of each.
fn names(head: &[&TestData]) -> Vec<(String, String)> {
    let Some(first) = head.first() else { return Vec::new() };
    let found = &first.document.outcome.capacities;
    let name = |scenario: &String| match found.len() {
        1 => "capacity".to_owned(),
        _ => format!("capacity of {scenario}"),
    };
    found.keys().map(|scenario| (scenario.clone(), name(scenario))).collect()
}

fn capacities<'a>(runs: &[&'a TestData], scenario: &str) -> Vec<Option<&'a Capacity>> {
    runs.iter().map(|run| run.document.outcome.capacities.get(scenario)).collect()
}

/// The highest rate that held in each run, in starts per second.
fn held(runs: &[&TestData], scenario: &str) -> Vec<Option<f64>> {
    let of = |found: Option<&Capacity>| found.and_then(|found| Some(per_second(found, found.highest_held?)));
    capacities(runs, scenario).into_iter().map(of).collect()
}

/// The run whose capacity is the median, the lower of two.
fn middle<'a>(runs: &[&'a TestData], scenario: &str) -> Option<&'a Capacity> {
    let mut found: Vec<&Capacity> = capacities(runs, scenario).into_iter().flatten().collect();
    found.sort_by(|a, b| range(a).0.total_cmp(&range(b).0));
    found.get(found.len().saturating_sub(1) / 2).copied()
}

/// The mean over runs of the rates that held, and of those that did not.
fn ranges(runs: &[&TestData], scenario: &str) -> (f64, f64) {
    let all: Vec<(f64, f64)> = capacities(runs, scenario).into_iter().flatten().map(range).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| all.iter().map(of).sum::<f64>() / all.len().max(1) as f64;
    (mean(|range| range.0), mean(|range| range.1))
}

fn conclude(metrics: Vec<MetricComparison>) -> Found {
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
        min_effect: smallest,
        detectable: None,
        runs_needed: None,
        reason: Some(reason),
        base_runs: Vec::new(),
        head_runs: Vec::new(),
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
