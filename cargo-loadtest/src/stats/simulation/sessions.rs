//! A fresh session against a history: sessions of equal code 5 % apart, three gates.

use super::*;

/// Sessions of one gate: eight earlier ones, and the fresh one.
fn sessions(source: &mut Source, slower: f64) -> (Vec<f64>, f64) {
    let earlier = (0..8).map(|_| 40.0 * (0.05 * source.normal()).exp()).collect();
    (earlier, 40.0 * slower * (0.05 * source.normal()).exp())
}

fn regressed(source: &mut Source, slower: f64) -> bool {
    let metrics = (0..3)
        .map(|_| {
            let (earlier, fresh) = sessions(source, slower);
            latency(history::ratio(&earlier, fresh), earlier.len())
        })
        .collect();
    judge(&[TestEvidence { rule: JudgeRule::HISTORY, metrics }])[0].verdict == Verdict::Regressed
}

#[test]
fn a_history_knows_how_far_sessions_of_equal_code_lie_apart() {
    let mut source = Source::seeded(40);
    let alarms = share(2_000, || regressed(&mut source, 1.0));
    let found = share(1_000, || regressed(&mut source, 1.5));
    // The wrong rule: five stored runs of one session against five fresh ones, as if they were independent.
    let wrong = share(2_000, || {
        let mut session = || {
            let level = 0.05 * source.normal();
            (0..5).map(|_| level + 0.03 * source.normal()).collect::<Vec<_>>()
        };
        welch_t(&session(), &session()).unwrap().p_two_sided < 0.05
    });
    eprintln!(
        "history of 8, sessions 5 % apart, 3 gates: regressed {alarms}, +50 % found {found}; 5 runs against 5 {wrong}"
    );
    assert!(alarms <= 0.06, "{alarms}");
    assert!(found >= 0.95, "{found}");
    assert!(wrong >= 0.30, "{wrong}: the scenario does not bite");
}

#[test]
fn errors_of_a_session_like_those_before_rarely_regress() {
    let mut source = Source::seeded(41);
    let alarms = share(2_000, || {
        let mut run = || source.events(0.03, 0.20, 30_000);
        let earlier: Vec<(u64, u64)> = (0..8).map(|_| run()).collect();
        let errors = gate(Direction::HigherIsWorse, history::events(&earlier, run()), 8);
        judge(&[TestEvidence { rule: JudgeRule::HISTORY, metrics: vec![errors] }])[0].verdict
            == Verdict::Regressed
    });
    eprintln!("history of 8, errors vary by 20 %: regressed {alarms}");
    assert!(alarms <= 0.065, "{alarms}");
}
