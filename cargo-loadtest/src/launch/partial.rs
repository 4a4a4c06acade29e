//! The outcome of a test that could not say its own: put together from the intervals that came.
//!
//! The main type is [`Partial`]. It adds up only what the thresholds need; everything else is in the
//! intervals already.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use loadtest_core::metric::{Builtin, MetricDef, Totals};
use loadtest_core::options::Workload;
use loadtest_core::results::{
    self, Definition, End, ErrorOutcome, Interval, ScenarioState, SeriesDef, SeriesId, TestOutcome,
    ThresholdOutcome,
};
use loadtest_core::threshold::Threshold;
use loadtest_core::units::format_millis;

/// What is known of a test that is on its way.
#[derive(Debug)]
pub(super) struct Partial {
    workloads: BTreeMap<String, Workload>,
    thresholds: Vec<Sum>,
    series: HashMap<SeriesId, SeriesDef>,
    scenarios: BTreeMap<String, ScenarioState>,
    errors: Vec<ErrorOutcome>,
    load_seconds: f64,
    /// Until the load could begin.
    pub(super) setup_seconds: f64,
    /// Of the test, and about it.
    pub(super) warnings: Vec<String>,
}

/// A threshold with the sum of its series so far.
#[derive(Debug)]
struct Sum {
    threshold: Threshold,
    metric: Option<MetricDef>,
    totals: Totals,
}

impl Partial {
    /// Of a test with these scenarios.
    pub(super) fn new(definitions: &[Definition]) -> Self {
        let mut workloads = BTreeMap::new();
        let mut thresholds = Vec::new();
        for definition in definitions {
            workloads.insert(definition.scenario.clone(), definition.workload.clone());
            for threshold in definition.options.thresholds.clone() {
                thresholds.push(Sum { threshold, metric: None, totals: Totals::default() });
            }
        }
        Self {
            workloads,
            thresholds,
            series: HashMap::new(),
            scenarios: BTreeMap::new(),
            errors: Vec::new(),
            load_seconds: 0.0,
            setup_seconds: 0.0,
            warnings: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, interval: &Interval) {
        self.load_seconds += interval.seconds.max(0.0);
        self.scenarios.extend(interval.scenarios.iter().map(|(name, state)| (name.clone(), state.clone())));
        results::merge_errors(&mut self.errors, &interval.errors);
        if self.thresholds.is_empty() {
            return;
        }
        self.series.extend(interval.new_series.iter().map(|def| (def.id, def.clone())));
        for (id, totals) in &interval.series {
            let Some(def) = self.series.get(id) else { continue };
            for sum in &mut self.thresholds {
                if sum.threshold.metric == def.metric.name && sum.threshold.matches(&def.tags) {
                    sum.metric.get_or_insert_with(|| def.metric.clone());
                    sum.totals.merge(totals);
                }
            }
        }
    }

    /// What can be said of it.
    pub(super) fn outcome(mut self, end: End) -> TestOutcome {
        if self.load_seconds > 0.0 {
            let measured = format_millis(self.load_seconds * 1_000.0);
            self.warnings.push(format!("partial: only the first {measured} of the load were measured"));
        }
        let elapsed = Duration::try_from_secs_f64(self.load_seconds).unwrap_or_default();
        let judge = |sum: &Sum| {
            let judged =
                sum.metric.as_ref().map(|metric| sum.threshold.evaluate(metric, &sum.totals, elapsed));
            let actual = judged.and_then(|judged| judged.actual);
            ThresholdOutcome {
                source: sum.threshold.source.clone(),
                actual,
                holds: judged.is_some_and(|judged| judged.holds),
                margin: actual.and_then(|actual| sum.threshold.margin(actual)),
                aborted: false,
            }
        };
        let mut metrics: Vec<MetricDef> = Vec::new();
        for sum in &self.thresholds {
            let Some(metric) = &sum.metric else { continue };
            let builtin = Builtin::ALL.iter().any(|known| known.name() == metric.name);
            if !builtin && !metrics.contains(metric) {
                metrics.push(metric.clone());
            }
        }
        TestOutcome {
            workloads: self.workloads,
            thresholds: self.thresholds.iter().map(judge).collect(),
            metrics,
            load_seconds: self.load_seconds,
            setup_seconds: self.setup_seconds,
            scenarios: self.scenarios,
            errors: self.errors,
            warnings: self.warnings,
            ..TestOutcome::new(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_is_called_partial_and_what_never_ran_is_not() {
        let crashed = || End::Crashed { reason: "killed".to_owned() };
        let mut partial = Partial::new(&[]);
        partial.add(&Interval { seconds: 1.0, ..Interval::default() });
        partial.add(&Interval { index: 1, seconds: 0.5, ..Interval::default() });
        let warnings = partial.outcome(crashed()).warnings;
        assert!(
            warnings.len() == 1 && warnings[0].starts_with("partial: only the first 1.5"),
            "{warnings:?}"
        );
        assert_eq!(Partial::new(&[]).outcome(crashed()).warnings, [""; 0]);
    }
}
