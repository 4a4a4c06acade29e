//! Errors of equal code: rare ones, and such that vary between runs by more than chance.

use super::super::stored::EVENT_SPREAD;
use super::*;

const REPETITIONS: u32 = 2_000;

/// The two-proportion z test of all requests, one-sided 5 %.
fn z_alarm(base: &[(u64, u64)], head: &[(u64, u64)]) -> bool {
    let sum = |runs: &[(u64, u64)]| {
        runs.iter().fold((0.0, 0.0), |(x, n), run| (x + run.0 as f64, n + run.1 as f64))
    };
    let ((x, n), (y, m)) = (sum(base), sum(head));
    let pooled = (x + y) / (n + m);
    (y / m - x / n) / (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt() > 1.645
}

/// Shares of (regressed, alarms of the z test) for `pairs` pairs of runs of equal code.
fn of_pairs(seed: u64, pairs: usize, trials: [u64; 2], spread: f64, largest_rate: Option<f64>) -> (f64, f64) {
    let mut source = Source::seeded(seed);
    let mut z = 0;
    let regressed = share(REPETITIONS, || {
        let rate = largest_rate.map_or(0.03, |largest| largest * source.uniform());
        let [base, head] =
            trials.map(|trials| (0..pairs).map(|_| source.events(rate, spread, trials)).collect::<Vec<_>>());
        z += u32::from(z_alarm(&base, &head));
        let errors = gate(Direction::HigherIsWorse, pairs::events(&base, &head), pairs);
        judge(&[TestEvidence { rule: JudgeRule::DUET, metrics: vec![errors] }])[0].verdict
            == Verdict::Regressed
    });
    (regressed, f64::from(z) / f64::from(REPETITIONS))
}

#[test]
fn errors_that_vary_between_paired_runs_rarely_regress() {
    for pairs in [4, 6] {
        let (regressed, z) = of_pairs(30, pairs, [30_000, 30_000], 0.20, None);
        eprintln!("errors vary by 20 %, {pairs} pairs: regressed {regressed}; z test {z}");
        assert!(regressed <= 0.065, "{pairs} pairs: {regressed}");
        assert!(z > 0.065, "{pairs} pairs: {z}: the scenario does not bite");
    }
}

#[test]
fn few_errors_of_equal_paired_code_rarely_regress() {
    // 0 to 30 errors in the larger run. In small runs 0.1 points are a handful of errors, so that significance
    // alone must hold the line.
    for trials in [[30_000, 30_000], [30_000, 20_000], [3_000, 3_000], [3_000, 500], [500, 3_000]] {
        let largest = 30.0 / trials[0].max(trials[1]) as f64;
        let (regressed, _) = of_pairs(31, 6, trials, 0.0, Some(largest));
        let mut source = Source::seeded(32);
        // The wrong rule: more errors in the head than in the base.
        let more = share(REPETITIONS, || {
            let rate = largest * source.uniform();
            let [base, head] = trials.map(|trials| source.events(rate, 0.0, trials));
            head.0 as f64 / head.1 as f64 > base.0 as f64 / base.1 as f64
        });
        eprintln!(
            "0 to 30 errors a run, {trials:?} requests, 6 pairs: regressed {regressed}; more errors {more}"
        );
        assert!(regressed <= 0.05, "{trials:?}: {regressed}");
        assert!(more > 0.05, "{trials:?}: {more}: the scenario does not bite");
    }
}

#[test]
fn paired_errors_that_rise_are_found() {
    let mut source = Source::seeded(33);
    let found = share(500, || {
        let [base, head] =
            [0.002, 0.006].map(|rate| (0..6).map(|_| source.events(rate, 0.20, 9_000)).collect::<Vec<_>>());
        let errors = gate(Direction::HigherIsWorse, pairs::events(&base, &head), 6);
        judge(&[TestEvidence { rule: JudgeRule::DUET, metrics: vec![errors] }])[0].verdict
            == Verdict::Regressed
    });
    eprintln!("errors from 0.2 to 0.6 %, 6 pairs: found {found}");
    assert!(found >= 0.95, "{found}");
}

/// Shares of (regressed, alarms of the rule "5 % more errors") for one stored run a side.
fn of_stored(seed: u64, trials: [u64; 2], spread: f64, largest_rate: Option<f64>) -> (f64, f64) {
    let mut source = Source::seeded(seed);
    let mut naive = 0;
    let regressed = share(4 * REPETITIONS, || {
        let rate = largest_rate.map_or(0.03, |largest| largest * source.uniform());
        let [base, head] = trials.map(|trials| {
            let (events, trials) = source.events(rate, spread, trials);
            EventCounts { events, trials, windows: Vec::new() }
        });
        naive += u32::from(head.rate() > 1.05 * base.rate());
        let errors = gate(Direction::HigherIsWorse, stored::events(&base, &head, EVENT_SPREAD), 1);
        judge(&[TestEvidence { rule: JudgeRule::STORED, metrics: vec![errors] }])[0].verdict
            == Verdict::Regressed
    });
    (regressed, f64::from(naive) / f64::from(4 * REPETITIONS))
}

#[test]
fn errors_of_stored_runs_of_equal_code_rarely_regress() {
    for trials in [[30_000, 30_000], [30_000, 20_000], [3_000, 3_000], [3_000, 500], [500, 3_000]] {
        let largest = 30.0 / trials[0].max(trials[1]) as f64;
        let (regressed, naive) = of_stored(34, trials, 0.0, Some(largest));
        eprintln!("stored, 0 to 30 errors, {trials:?} requests: regressed {regressed}; 5 % rule {naive}");
        assert!(regressed <= 0.05, "{trials:?}: regressed {regressed}");
        assert!(naive >= 0.25, "{trials:?}: naive {naive}: the scenario does not bite");
    }
    let (regressed, naive) = of_stored(35, [30_000, 30_000], 0.20, None);
    eprintln!("stored, errors vary by 20 %: regressed {regressed}; 5 % rule {naive}");
    assert!(regressed <= 0.065, "regressed {regressed}");
    assert!(naive >= 0.35, "naive {naive}: the scenario does not bite");
}
