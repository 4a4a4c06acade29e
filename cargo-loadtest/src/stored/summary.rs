//! A session's value of a metric, over its runs.
//!
//! The main function is [`over_runs`]: the geometric mean of latencies and rates, because it is their ratios that
//! are compared, and the pooled share of what is counted.

use crate::compare::MetricKind;
use crate::session::{RunValue, RunValues};
use crate::stats::descriptive::geometric_mean;

/// A metric over the runs of a session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// What the numbers mean.
    pub(crate) kind: MetricKind,
    /// Whether it decides by default.
    pub(crate) gate: bool,
    /// Its value; `None` if no run could tell it.
    pub(crate) value: Option<f64>,
    /// How many runs the value is over.
    pub(crate) runs: usize,
}

/// The names of the metrics of some runs, those that decide first, then by name.
pub(crate) fn metric_names(runs: &[RunValues]) -> Vec<(String, bool)> {
    let mut names: Vec<(String, bool)> = Vec::new();
    for (name, value) in runs.iter().flatten() {
        match names.iter_mut().find(|(known, _)| known == name) {
            Some((_, gate)) => *gate |= value.gate,
            None => names.push((name.clone(), value.gate)),
        }
    }
    names.sort_by(|a, b| (!a.1, &a.0).cmp(&(!b.1, &b.0)));
    names
}

/// A metric over the runs of a session; `None` if no run has it.
pub(crate) fn over_runs(runs: &[RunValues], metric: &str) -> Option<Summary> {
    let of: Vec<&RunValue> = runs.iter().filter_map(|run| run.get(metric)).collect();
    let first = of.first()?;
    let values: Vec<f64> = of.iter().filter_map(|run| run.value).filter(|value| value.is_finite()).collect();
    let value = match first.kind {
        MetricKind::Share => {
            let counted: Vec<(u64, u64)> = of.iter().filter_map(|run| run.events).collect();
            let sum = |part: fn(&(u64, u64)) -> u64| counted.iter().map(part).map(|n| n as f64).sum::<f64>();
            let (events, trials) = (sum(|(events, _)| *events), sum(|(_, trials)| *trials));
            if trials > 0.0 { Some(events / trials) } else { crate::stats::descriptive::mean(&values) }
        }
        // A run that got nothing done has no logarithm: then the whole session got that little done.
        _ => geometric_mean(&values).or_else(|| values.iter().copied().reduce(f64::min)),
    };
    Some(Summary {
        kind: first.kind,
        gate: of.iter().any(|run| run.gate),
        value,
        runs: if first.kind == MetricKind::Share { of.len() } else { values.len() },
    })
}

/// A value with its unit.
pub(crate) fn show(value: f64, kind: MetricKind) -> String {
    use loadtest_core::units::{format_millis, format_percent, format_rate};
    match kind {
        MetricKind::Latency => format_millis(value),
        MetricKind::Throughput | MetricKind::Capacity => format_rate(value),
        MetricKind::Share => format_percent(value),
    }
}

/// The change from one value to another, `+12.3%` or, of shares, `+0.40 pp`.
pub(crate) fn show_change(from: f64, to: f64, kind: MetricKind) -> String {
    match kind {
        MetricKind::Share => format!("{:+.2} pp", (to - from) * 100.0),
        _ if from > 0.0 => format!("{:+.1}%", (to / from - 1.0) * 100.0),
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: MetricKind, value: Option<f64>, events: Option<(u64, u64)>) -> RunValues {
        [("m".to_owned(), RunValue { kind, gate: true, value, events })].into()
    }

    #[test]
    fn latencies_are_averaged_by_ratio_and_shares_by_their_counts() {
        let latency = [10.0, 40.0].map(|ms| run(MetricKind::Latency, Some(ms), None));
        let value = over_runs(&latency, "m").expect("is there").value.expect("has a value");
        assert!((value - 20.0).abs() < 1e-9, "{value}");
        let shares = [(0, 900), (10, 100)].map(|n| run(MetricKind::Share, Some(0.05), Some(n)));
        assert_eq!(over_runs(&shares, "m").expect("is there").value, Some(0.01));
        assert_eq!(over_runs(&latency, "other"), None);
        let none = over_runs(&[run(MetricKind::Latency, None, None)], "m").expect("is there");
        assert_eq!((none.value, none.runs), (None, 0));
    }

    #[test]
    fn changes_have_a_sign_and_no_ratio_to_nothing() {
        assert_eq!(show_change(10.0, 11.0, MetricKind::Latency), "+10.0%");
        assert_eq!(show_change(0.01, 0.005, MetricKind::Share), "-0.50 pp");
        assert_eq!(show_change(0.0, 5.0, MetricKind::Throughput), "–");
    }
}
