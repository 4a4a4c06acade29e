//! Looking more than once: at a duet that grows, and along a series of sessions.

use super::*;

#[test]
fn looks_together_keep_the_level_of_one() {
    let mut source = Source::seeded(50);
    let repetitions = 4_000;
    let (mut at_full_level, mut added) = (0, 0);
    let planned = share(repetitions, || {
        let (base, head) = slots(&mut source, &abba(10), TYPICAL, 1.0);
        let log_ratios = paired_log_ratios(&base, &head).unwrap();
        let p = |pairs: usize| {
            paired_t(&log_ratios[..pairs]).unwrap().estimate.one_sided(Direction::HigherIsWorse).worse
        };
        let ps = LOOKS.map(|(pairs, _)| p(pairs as usize));
        at_full_level += u32::from(ps.iter().any(|&p| p < 0.05));
        added += u32::from(p(6) < 0.05 || ps.iter().zip(LOOKS).any(|(&p, (_, alpha))| p < alpha));
        ps.iter().zip(LOOKS).any(|(&p, (_, alpha))| p < alpha)
    });
    let of = |count: u32| f64::from(count) / f64::from(repetitions);
    let (at_full_level, added) = (of(at_full_level), of(added));
    eprintln!(
        "looks at 4, 7, 10 pairs, one-sided 5 %: {planned}; after a look at 6 {added}; full level each {at_full_level}"
    );
    // 5 % and twice the standard error of the simulation.
    assert!(planned <= 0.057, "{planned}");
    assert!(at_full_level > 0.07 && added > 0.065, "{at_full_level}, {added}: the scenario does not bite");
}

#[test]
fn series_without_a_change_rarely_have_change_points() {
    let mut source = Source::seeded(51);
    let rule = ChangePointRule::default();
    let mut series = |step: f64| -> Vec<f64> {
        (0..30).map(|i| 0.05 * source.normal() + if i < 18 { 0.0 } else { step }).collect()
    };
    let alarms = share(150, || !change_points(&series(0.0), &rule).unwrap().is_empty());
    let found = share(60, || {
        change_points(&series(0.15), &rule).unwrap().iter().any(|point| point.index.abs_diff(18) <= 2)
    });
    // The wrong rule: any two neighbouring halves of eight that differ by t, wherever they lie.
    let scan = share(150, || {
        let series = series(0.0);
        (4..=26).any(|at| welch_t(&series[at - 4..at], &series[at..at + 4]).unwrap().p_two_sided < 0.05)
    });
    eprintln!(
        "change points, 30 sessions: false {alarms}, step of three spreads found {found}; scan by t {scan}"
    );
    assert!(alarms <= 0.08, "{alarms}");
    assert!(found >= 0.95, "{found}");
    assert!(scan > 0.2, "{scan}: the scenario does not bite");
}
