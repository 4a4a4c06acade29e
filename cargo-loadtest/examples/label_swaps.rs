//! How often equal code is called regressed, from real duets of it: each session file is judged under every
//! assignment of its pairs' labels, which are all equally likely if both sides are the same.
//!
//! `cargo run -p cargo-loadtest --example label_swaps -- .loadtest/sessions/*.json`
//!
//! It is also an example of the statistics as a library: no file is needed but the numbers of the runs. The swaps of one
//! session share its runs, so they are correlated: a share of them is not worth as much as so many duets.

use std::collections::BTreeMap;

use cargo_loadtest::compare::MetricKind;
use cargo_loadtest::session::{RunValues, Session};
use cargo_loadtest::stats::judge::{JudgeRule, MetricEvidence, Role, TestEvidence, judge};
use cargo_loadtest::stats::{Direction, Effect, NotJudged, Verdict, paired_log_ratios, pairs};

fn main() {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("usage: label_swaps SESSION.json…");
        std::process::exit(2);
    }
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut duets = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let session: Session = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for test in session.tests.iter().filter(|test| !test.base.is_empty()) {
            duets += 1;
            let all = 1_u32 << test.base.len();
            let mut regressed = 0;
            for swaps in 0..all {
                let verdict = verdict(&test.base, &test.head, swaps);
                *counts.entry(verdict.as_str()).or_default() += 1;
                regressed += u32::from(verdict == Verdict::Regressed);
            }
            let spread = spread(&test.base, &test.head);
            println!(
                "{}  {}  {} pairs  s(p95)={:.2}%  {regressed} of {all} assignments regressed, as it was: {}",
                session.id,
                test.id,
                test.base.len(),
                spread * 100.0,
                verdict(&test.base, &test.head, 0).as_str()
            );
        }
    }
    let total: u64 = counts.values().sum();
    for (verdict, count) in &counts {
        println!("{verdict:>13}  {:5.1} %", *count as f64 / total.max(1) as f64 * 100.0);
    }
    println!("{duets} duets");
}

/// The verdict with the labels of these pairs swapped.
fn verdict(base: &[RunValues], head: &[RunValues], swaps: u32) -> Verdict {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for (place, (base, head)) in base.iter().zip(head).enumerate() {
        let swapped = swaps >> place & 1 == 1;
        old.push(if swapped { head } else { base });
        new.push(if swapped { base } else { head });
    }
    let Some(first) = old.first() else { return Verdict::Inconclusive };
    let gates = first.iter().filter(|(_, value)| value.gate);
    let metrics = gates.map(|(name, value)| evidence(name, value.kind, &old, &new));
    let test = TestEvidence { rule: JudgeRule::DUET, metrics: metrics.collect() };
    judge(&[test])[0].verdict
}

fn evidence(name: &str, kind: MetricKind, base: &[&RunValues], head: &[&RunValues]) -> MetricEvidence {
    let values =
        |runs: &[&RunValues]| -> Option<Vec<f64>> { runs.iter().map(|run| run.get(name)?.value).collect() };
    let events = |runs: &[&RunValues]| -> Option<Vec<(u64, u64)>> {
        runs.iter().map(|run| run.get(name)?.events).collect()
    };
    let effect: Option<Result<Effect, NotJudged>> = match kind {
        MetricKind::Share => events(base).zip(events(head)).map(|(base, head)| pairs::events(&base, &head)),
        _ => values(base).zip(values(head)).map(|(base, head)| pairs::ratio(&base, &head)),
    };
    MetricEvidence {
        name: name.to_owned(),
        role: Role::Gate,
        direction: match kind {
            MetricKind::Throughput | MetricKind::Capacity => Direction::LowerIsWorse,
            MetricKind::Latency | MetricKind::Share => Direction::HigherIsWorse,
        },
        base: None,
        head: None,
        effect: effect.unwrap_or(Err(NotJudged::NoRatio)),
        pairs: u32::try_from(base.len()).unwrap_or(u32::MAX),
        min_effect: JudgeRule::DUET.decision.smallest_effect,
    }
}

/// The spread of one run's p95, from that of the pairs' log ratios: a pair has two runs, so s√2.
fn spread(base: &[RunValues], head: &[RunValues]) -> f64 {
    let values =
        |runs: &[RunValues]| -> Vec<f64> { runs.iter().filter_map(|run| run.get("p95")?.value).collect() };
    let ratios = paired_log_ratios(&values(base), &values(head)).unwrap_or_default();
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let squares: f64 = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum();
    (squares / (ratios.len() as f64 - 1.0) / 2.0).sqrt()
}
