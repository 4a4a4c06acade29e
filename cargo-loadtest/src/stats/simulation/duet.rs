//! Runs made in pairs: the level of the paired t, the rule on equal code and on slower code, drift.
//!
//! A test has the gates that it has in reality: p95, the endpoints' p95, throughput, and errors where there are
//! any. The effect of a run moves the latencies together and throughput the other way by half, because users
//! also think; the noise within the run is each gate's own. The worst that could be, gates that have nothing in
//! common, is simulated besides.

use super::*;

const REPETITIONS: u32 = 2_000;

/// The scenarios by what a run's p95 varies in all.
const SCENARIOS: [(&str, Scenario); 2] = [("3.7 %", TYPICAL), ("4 %", RESTLESS)];

/// Noise of the throughput within a run of 30,000 requests: 1/√30,000.
const THROUGHPUT_NOISE: f64 = 0.006;

/// The gates of one test in one run.
struct Run {
    latency: [f64; 2],
    throughput: f64,
    errors: (u64, u64),
}

impl Run {
    fn of(source: &mut Source, scenario: Scenario, machine: f64, slower: f64, error_rate: f64) -> Self {
        let run = machine + scenario.between * source.normal() + slower.ln();
        let latency = [40.0, 25.0].map(|level| level * (run + scenario.within * source.normal()).exp());
        let throughput = 500.0 * (-0.5 * run + THROUGHPUT_NOISE * source.normal()).exp();
        Self { latency, throughput, errors: source.events(error_rate, 0.20, 30_000) }
    }
}

/// A test whose head is slower by that factor, as the judge gets it.
fn test_of(
    source: &mut Source,
    scenario: Scenario,
    pairs: usize,
    slower: f64,
    error_rate: f64,
) -> TestEvidence {
    let (mut base, mut head, mut machine) = (Vec::new(), Vec::new(), 0.0);
    for is_head in abba(pairs) {
        machine += scenario.drift * source.normal();
        if is_head {
            head.push(Run::of(source, scenario, machine, slower, error_rate));
        } else {
            base.push(Run::of(source, scenario, machine, 1.0, error_rate));
        }
    }
    let ratio = |of: &dyn Fn(&Run) -> f64| {
        let values = |runs: &[Run]| runs.iter().map(of).collect::<Vec<_>>();
        pairs::ratio(&values(&base), &values(&head))
    };
    let events = |runs: &[Run]| runs.iter().map(|run| run.errors).collect::<Vec<_>>();
    let metrics = vec![
        latency(ratio(&|run| run.latency[0]), pairs),
        latency(ratio(&|run| run.latency[1]), pairs),
        gate(Direction::LowerIsWorse, ratio(&|run| run.throughput), pairs),
        gate(Direction::HigherIsWorse, pairs::events(&events(&base), &events(&head)), pairs),
    ];
    TestEvidence { rule: JudgeRule::DUET, metrics }
}

/// Gates that have nothing in common, of which only the first is slower.
fn independent(source: &mut Source, scenario: Scenario, gates: usize, slower: f64) -> TestEvidence {
    let order = abba(6);
    let metrics = (0..gates)
        .map(|at| {
            let (base, head) = slots(source, &order, scenario, if at == 0 { slower } else { 1.0 });
            latency(pairs::ratio(&base, &head), 6)
        })
        .collect();
    TestEvidence { rule: JudgeRule::DUET, metrics }
}

fn any_regressed(tests: &[TestEvidence]) -> bool {
    judge(tests).iter().any(|test| test.verdict == Verdict::Regressed)
}

/// p-value of the paired t test, two-sided.
fn paired_p(base: &[f64], head: &[f64]) -> f64 {
    paired_t(&paired_log_ratios(base, head).unwrap()).unwrap().p_two_sided
}

/// Is the mean of the heads more than 5 % above that of the bases?
fn percentage_alarm(base: &[f64], head: &[f64]) -> bool {
    descriptive::mean(head).unwrap() > 1.05 * descriptive::mean(base).unwrap()
}

#[test]
fn the_paired_t_keeps_its_level() {
    let mut source = Source::seeded(20);
    let alarms = share(REPETITIONS, || {
        let (base, head) = slots(&mut source, &abba(5), TYPICAL, 1.0);
        paired_p(&base, &head) < 0.05
    });
    // The wrong rule: one run a side, and only the noise within the run taken for uncertainty.
    let wrong = share(REPETITIONS, || {
        let (base, head) = slots(&mut source, &[false, true], TYPICAL, 1.0);
        (head[0] / base[0]).ln().abs() > 1.96 * TYPICAL.within * 2f64.sqrt()
    });
    eprintln!("paired t, two-sided 5 %, 5 pairs of equal code: {alarms}; one run a side {wrong}");
    assert!((0.038..=0.063).contains(&alarms), "{alarms}");
    assert!(wrong > 0.063, "{wrong}: the scenario does not bite");
}

#[test]
fn the_rule_rarely_calls_equal_code_regressed() {
    for (name, scenario) in SCENARIOS {
        let mut source = Source::seeded(21);
        let one = share(2 * REPETITIONS, || any_regressed(&[independent(&mut source, scenario, 1, 1.0)]));
        let twelve = share(REPETITIONS, || {
            let tests = [(); 3].map(|()| test_of(&mut source, scenario, 6, 1.0, 0.0005));
            any_regressed(&tests)
        });
        // The wrong rule: a single pair, and a threshold of 5 %.
        let mut wrong = |gates: u32| {
            share(REPETITIONS, || {
                (0..gates).any(|_| {
                    let (base, head) = slots(&mut source, &[false, true], scenario, 1.0);
                    percentage_alarm(&base, &head)
                })
            })
        };
        let (wrong_one, wrong_twelve) = (wrong(1), wrong(12));
        eprintln!(
            "rule, equal code, 6 pairs, s = {name}, one gate: regressed {one}; 5 % of one pair {wrong_one}"
        );
        eprintln!(
            "rule, equal code, 6 pairs, s = {name}, 3 tests x 4 gates: regressed {twelve}; 5 % of one pair \
             {wrong_twelve}"
        );
        assert!(one <= 0.02 && twelve <= 0.02, "s = {name}: {one}, {twelve}");
        assert!(wrong_one > 0.02 && wrong_twelve > 0.02, "s = {name}: the scenario does not bite");
    }
}

#[test]
fn the_rule_finds_slower_code() {
    for (name, scenario) in SCENARIOS {
        for (slower, least) in [(1.10, 0.90), (1.20, 0.99)] {
            let mut source = Source::seeded(22);
            let found =
                share(REPETITIONS, || any_regressed(&[test_of(&mut source, scenario, 6, slower, 0.0)]));
            // The wrong rule: five pairs, judged by their signs.
            let wrong = share(REPETITIONS / 4, || {
                let (base, head) = slots(&mut source, &abba(5), scenario, slower);
                let flips = sign_flip_test(&paired_log_ratios(&base, &head).unwrap()).unwrap().unwrap();
                flips.p < 0.05
            });
            let percent = (slower - 1.0) * 100.0;
            eprintln!(
                "rule, +{percent:.0} %, 6 pairs, 3 gates, s = {name}: found {found}; signs of 5 pairs {wrong}"
            );
            assert!(found >= least, "s = {name}, {slower}: {found}");
            assert!(wrong < least, "{wrong}");
        }
    }
}

#[test]
fn the_rule_knows_equal_code_as_unchanged() {
    for (name, scenario) in SCENARIOS {
        let mut source = Source::seeded(23);
        let mut unchanged = |pairs: usize| {
            share(REPETITIONS, || {
                judge(&[test_of(&mut source, scenario, pairs, 1.0, 0.0)])[0].verdict == Verdict::Unchanged
            })
        };
        // Too few pairs are the wrong rule here: they leave more open than is promised.
        let (six, four) = (unchanged(6), unchanged(4));
        eprintln!("rule, equal code, 6 pairs, 3 gates, s = {name}: unchanged {six}; 4 pairs {four}");
        assert!(six >= 0.85, "s = {name}: {six}");
        assert!(four < 0.85, "s = {name}: {four}");
    }
}

#[test]
fn gates_that_have_nothing_in_common_cost_power_and_stay_within_the_level() {
    for (name, scenario) in SCENARIOS {
        let mut source = Source::seeded(27);
        let alarms = share(REPETITIONS, || any_regressed(&[independent(&mut source, scenario, 12, 1.0)]));
        let found = share(REPETITIONS, || any_regressed(&[independent(&mut source, scenario, 3, 1.10)]));
        let unchanged = share(REPETITIONS, || {
            judge(&[independent(&mut source, scenario, 3, 1.0)])[0].verdict == Verdict::Unchanged
        });
        // The wrong rule: each gate at the full level, as if it were alone.
        let alone = share(REPETITIONS / 4, || {
            (0..12).any(|_| any_regressed(&[independent(&mut source, scenario, 1, 1.0)]))
        });
        eprintln!(
            "independent gates, 6 pairs, s = {name}: equal code regressed {alarms} of 12 gates, unchanged \
             {unchanged} of 3; +10 % in one of 3 found {found}; each gate alone, 12 gates: {alone}"
        );
        // Holm's promise holds whatever the dependence.
        assert!(alarms <= 0.05 && found >= 0.80, "s = {name}: {alarms}, {found}");
        assert!(alone > 0.05, "s = {name}: {alone}: the scenario does not bite");
    }
}

#[test]
fn interleaving_cancels_the_drift_that_a_sequence_takes_for_a_change() {
    let drifting = Scenario { drift: 0.02, ..TYPICAL };
    let alarms = |seed, order: &[bool]| {
        let mut source = Source::seeded(seed);
        share(REPETITIONS, || {
            let (base, head) = slots(&mut source, order, drifting, 1.0);
            paired_p(&base, &head) < 0.05
        })
    };
    let interleaved = alarms(24, &abba(6));
    let sequence: Vec<bool> = (0..12).map(|slot| slot >= 6).collect();
    let sequential = alarms(24, &sequence);
    eprintln!("2 % drift a slot, two-sided 5 %: ABBA {interleaved}; in sequence {sequential}");
    assert!(interleaved <= 0.065, "interleaved {interleaved}");
    assert!(sequential >= 0.12, "sequential {sequential}: the drift does not bite");
}

#[test]
fn a_throughput_that_collapses_is_regressed_although_latency_looks_better() {
    let mut source = Source::seeded(25);
    let mut around =
        |level: f64| -> Vec<f64> { (0..6).map(|_| level * (0.01 * source.normal()).exp()).collect() };
    let p95 = pairs::ratio(&around(40.0), &around(12.0));
    let throughput = pairs::throughput(&around(337.0), &around(1.66), 1.0 / 120.0);
    let errors = pairs::events(&[(0, 20_220); 6], &[(0, 100); 6]);
    let metrics = vec![
        latency(p95, 6),
        gate(Direction::LowerIsWorse, throughput, 6),
        gate(Direction::HigherIsWorse, errors, 6),
    ];
    // The wrong rule looks at latency alone.
    let alone = TestEvidence { rule: JudgeRule::DUET, metrics: metrics[..1].to_vec() };
    let judged = judge(&[TestEvidence { rule: JudgeRule::DUET, metrics }]).remove(0);
    assert_eq!(judged.verdict, Verdict::Regressed);
    assert_eq!(judged.metrics[0].verdict, Verdict::Improved);
    assert_eq!(judged.metrics[1].verdict, Verdict::Regressed);
    assert_eq!(judged.metrics[2].verdict, Verdict::Unchanged, "a lower throughput is not an error rate");
    assert_ne!(judge(&[alone])[0].verdict, Verdict::Regressed);
}

#[test]
fn a_head_that_fails_fast_on_a_fifth_is_never_improved() {
    let mut source = Source::seeded(26);
    let (mut improved, mut without_errors) = (0, 0);
    let regressed = share(500, || {
        let (base, head) = slots(&mut source, &abba(6), TYPICAL, 0.8);
        let (base_rate, head_rate) = slots(&mut source, &abba(6), TYPICAL, 1.25);
        let [base_errors, head_errors] =
            [0.0005, 0.20].map(|rate| (0..6).map(|_| source.events(rate, 0.20, 2_000)).collect::<Vec<_>>());
        let metrics = vec![
            latency(pairs::ratio(&base, &head), 6),
            gate(Direction::LowerIsWorse, pairs::throughput(&base_rate, &head_rate, 0.01), 6),
            gate(Direction::HigherIsWorse, pairs::events(&base_errors, &head_errors), 6),
        ];
        let alone = TestEvidence { rule: JudgeRule::DUET, metrics: metrics[..2].to_vec() };
        without_errors +=
            judge(&[alone])[0].metrics.iter().filter(|m| m.verdict == Verdict::Improved).count();
        let judged = judge(&[TestEvidence { rule: JudgeRule::DUET, metrics }]).remove(0);
        improved += judged.metrics.iter().filter(|metric| metric.verdict == Verdict::Improved).count();
        judged.verdict == Verdict::Regressed
    });
    eprintln!(
        "fails fast on 20 %: regressed {regressed}, metrics improved {improved}; without errors {without_errors}"
    );
    assert_eq!((regressed, improved), (1.0, 0));
    assert!(without_errors > 500, "{without_errors}: the scenario does not bite");
}
