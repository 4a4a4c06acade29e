//! The concert test as a duet of six pairs, one of which was made again.

use super::{Random, concert, rule};
use crate::compare::{
    Comparison, Distance, MetricKind, Mode, Rule, RunRecord, ShiftPoint, SideName, Verdict,
};
use crate::data::RunData;

/// A run and its base as a duet of six pairs, the third of which was made again.
pub(in crate::report) fn duet() -> (RunData, RunData, Comparison) {
    let (run, base, mut comparison) = concert();
    let mut random = Random(11);
    comparison.mode = Mode::Duet;
    comparison.why = "main is a branch, and both sides can be built".to_owned();
    comparison.base.is_saved = false;
    comparison.base.sessions = 0;
    comparison.base.found = Some("the merge base of main and HEAD".to_owned());
    comparison.base.commit = Some("1a2b3c4".to_owned());
    comparison.head.runs = (1..=6).map(|n| format!("run-{n}")).collect();
    comparison.head.runs[0] = run.document.id.clone();
    comparison.rule = Rule { min_effect: 0.05, equivalence: 0.1, session_spread: None, ..rule() };
    comparison.seed = Some(42);
    comparison.repeat = "cargo loadtest reserve_seat --baseline main --duet --runs 6 --seed 42".to_owned();
    comparison.warnings.clear();
    let test = &mut comparison.tests[0];
    (test.rule, test.runs) = (comparison.rule.clone(), 6);
    test.reasons = vec!["the latency of head grew within its runs".to_owned()];
    for metric in &mut test.metrics {
        if metric.kind == MetricKind::Share {
            continue;
        }
        let (change, interval, verdict, p) = match metric.name.as_str() {
            "p95" => (1.142, (1.110, 1.175), Verdict::Regressed, 0.0002),
            "endpoint p95" => (1.06, (0.98, 1.146), Verdict::Inconclusive, 0.08),
            "p99" => (1.35, (0.85, 2.1), Verdict::Inconclusive, 0.11),
            "throughput" => (0.994, (0.985, 1.003), Verdict::Unchanged, 0.31),
            _ => (1.11, (1.085, 1.136), Verdict::Regressed, 0.001),
        };
        let base = metric.base.unwrap_or(1.0);
        metric.base_runs = (0..6).map(|_| Some(base * (0.97 + 0.06 * random.next()))).collect();
        metric.head_runs = metric
            .base_runs
            .iter()
            .map(|of| of.map(|of| of * change * (0.99 + 0.02 * random.next())))
            .collect();
        (metric.head, metric.change, metric.interval) = (Some(base * change), Some(change), Some(interval));
        (metric.verdict, metric.p, metric.min_effect) = (verdict, Some(p), 0.05);
        metric.reason = None;
        metric.detectable = (verdict == Verdict::Inconclusive).then_some(1.12);
        metric.runs_needed = (verdict == Verdict::Inconclusive).then_some(14);
        if metric.name == "p95" {
            metric.min_effect = 0.07;
        }
    }
    let quantiles = [0.1f64, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999];
    test.shift = quantiles
        .into_iter()
        .map(|quantile| {
            let (ratio, wide) = (1.01 + 0.15 * quantile * quantile, 0.01 + 0.09 * quantile.powi(12));
            ShiftPoint { quantile, ratio, interval: Some((ratio * (1.0 - wide), ratio * (1.0 + wide))) }
        })
        .collect();
    test.distance = Some(Distance { kolmogorov_smirnov: 0.12, wasserstein_ms: 3.4 });
    let record = |side, pair, discarded: Option<&str>| RunRecord {
        test: test.id.clone(),
        side,
        pair,
        run: format!("run-{pair}"),
        started_at: None,
        discarded: discarded.map(str::to_owned),
    };
    let stolen = Some("12 % of the CPU was stolen");
    for (pair, side, other) in
        (1..=6).zip([SideName::Head, SideName::Base].into_iter().cycle()).map(|(pair, side)| {
            (pair, side, if side == SideName::Head { SideName::Base } else { SideName::Head })
        })
    {
        if pair == 3 {
            comparison.order.extend([record(side, pair, stolen), record(other, pair, stolen)]);
        }
        comparison.order.extend([record(side, pair, None), record(other, pair, None)]);
    }
    (run, base, comparison)
}
