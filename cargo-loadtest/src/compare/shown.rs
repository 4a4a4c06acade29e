//! A judgement as the document shows it.
//!
//! The main function is [`metric`]. Refuses to do: text, other than what `wording` makes of a reason.

use super::evidence::Row;
use super::wording::Voice;
use super::{MetricComparison, MetricKind};
use crate::stats::{Bound, Direction, MetricJudgement, Reason, Role};

/// The confidence of the intervals that are shown.
const SHOWN_CONFIDENCE: f64 = 0.95;

/// The document's part about a metric. `pairs` is how many runs a side there are.
pub(super) fn metric(judged: &MetricJudgement, row: &Row, voice: &Voice, pairs: usize) -> MetricComparison {
    let (change, interval) = match &judged.change {
        Some(change) => {
            let interval = change.interval_at(SHOWN_CONFIDENCE);
            (Some(change.value()), Some((interval.lower, interval.upper)))
        }
        None => (plain_change(judged, row.kind), None),
    };
    let (detectable, runs_needed) = match &judged.reason {
        Reason::Undecided { detectable: Bound::Fraction(share), runs_needed, .. } => match judged.direction {
            Direction::HigherIsWorse => (Some(1.0 + share), *runs_needed),
            Direction::LowerIsWorse => (Some(1.0 / (1.0 + share)), *runs_needed),
        },
        Reason::Undecided { detectable: Bound::Points(points), runs_needed, .. } => {
            (Some(*points), *runs_needed)
        }
        _ => (None, None),
    };
    let smallest = match row.kind {
        MetricKind::Share => Bound::Points(judged.min_effect),
        MetricKind::Latency | MetricKind::Throughput | MetricKind::Capacity => {
            Bound::Fraction(judged.min_effect)
        }
    };
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    MetricComparison {
        name: judged.name.clone(),
        kind: row.kind,
        gate: judged.role == Role::Gate,
        base: finite(judged.base),
        head: finite(judged.head),
        change: finite(change),
        interval: interval.filter(|(lower, upper)| lower.is_finite() && upper.is_finite()),
        p: finite(judged.adjusted_p),
        verdict: judged.verdict.into(),
        min_effect: judged.min_effect,
        detectable: finite(detectable),
        runs_needed: runs_needed.filter(|_| voice.counts_pairs()),
        base_runs: row.base_runs.clone(),
        head_runs: row.head_runs.clone(),
        reason: row.reason.clone().or_else(|| {
            let pairs = u32::try_from(pairs).unwrap_or(u32::MAX);
            voice.reason(&judged.reason, smallest, pairs)
        }),
    }
}

/// The change of values that were not judged, for show.
fn plain_change(judged: &MetricJudgement, kind: MetricKind) -> Option<f64> {
    let (base, head) = (judged.base?, judged.head?);
    match kind {
        MetricKind::Share => Some(head - base),
        MetricKind::Latency | MetricKind::Throughput | MetricKind::Capacity => {
            (base > 0.0).then(|| head / base)
        }
    }
}
