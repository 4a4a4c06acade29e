//! Known answers, edge cases and hostile numbers.

use super::descriptive::{geometric_mean, mean, quantile, standard_error, variance};
use super::dist::{normal_quantile, normal_upper_tail, t_lower_tail, t_quantile, t_two_sided, t_upper_tail};
use super::exact::{fisher_exact, mann_whitney};
use super::history::prediction;
use super::interval::{runs_for_equivalence, runs_to_detect, smallest_detectable_effect};
use super::log_odds::{log_odds, log_odds_variance};

use super::shift::shift_function;
use super::*;

mod methods;

const A: [f64; 5] = [101.2, 98.7, 103.5, 99.9, 100.4];
const B: [f64; 5] = [108.1, 106.9, 112.4, 105.2, 109.7];

#[track_caller]
fn close(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance, "{actual} is not {expected} ± {tolerance}");
}

fn all_close(actual: &[f64], expected: &[f64]) -> bool {
    actual.len() == expected.len() && actual.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-12)
}

#[test]
fn ten_values_have_the_textbook_quantiles() {
    let values = [0.0, 100.0, 30.0, 80.0, 70.0, 60.0, 50.0, 40.0, 90.0, 20.0];
    close(mean(&values).unwrap(), 54.0, 1e-12);
    close(quantile(&values, 0.5).unwrap(), 55.0, 1e-12);
    close(quantile(&values, 0.9).unwrap(), 91.0, 1e-12);
    close(quantile(&values, 0.95).unwrap(), 95.5, 1e-12);
    assert_eq!(quantile(&values, 0.0), Some(0.0));
    assert_eq!(quantile(&values, 1.0), Some(100.0));
}

#[test]
fn a_statistic_that_does_not_exist_is_none() {
    assert_eq!(
        (mean(&[]), variance(&[1.0]), standard_error(&[]), quantile(&[], 0.5)),
        (None, None, None, None)
    );
    assert_eq!(
        (quantile(&[1.0], 1.1), quantile(&[1.0], f64::NAN), quantile(&[f64::NAN], 0.5)),
        (None, None, None)
    );
    assert_eq!((geometric_mean(&[1.0, 0.0]), geometric_mean(&[1.0, f64::INFINITY])), (None, None));
    assert_eq!(quantile(&[1.0, 2.0, f64::INFINITY], 0.5), Some(2.0));
}

#[test]
fn moments_and_geometric_mean() {
    close(variance(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap(), 32.0 / 7.0, 1e-12);
    close(standard_error(&[1.0, 2.0, 3.0]).unwrap(), (1.0f64 / 3.0).sqrt(), 1e-12);
    close(geometric_mean(&[1.0, 10.0, 100.0]).unwrap(), 10.0, 1e-12);
    // A spread that is tiny beside the mean keeps its digits.
    close(variance(&[1e9, 1e9 + 1.0, 1e9 + 2.0]).unwrap(), 1.0, 1e-9);
}

#[test]
fn t_and_normal_distribution_match_tables() {
    close(t_quantile(0.975, 4.0), 2.7764451052, 1e-9);
    close(t_quantile(0.99, 4.0), 3.7469473880, 1e-9);
    // Closed forms: df 1 is Cauchy, df 2 is algebraic.
    close(t_quantile(0.75, 1.0), 1.0, 1e-12);
    let p: f64 = 0.999;
    close(t_quantile(p, 2.0), (2.0 * p - 1.0) * (2.0 / (4.0 * p * (1.0 - p))).sqrt(), 1e-9);
    close(t_upper_tail(1.0, 1.0), 0.25, 1e-12);
    close(t_two_sided(-2.7764451052, 4.0), 0.05, 1e-10);
    close(t_lower_tail(-1.0, 1.0), 0.25, 1e-12);
    close(normal_quantile(0.975), 1.959963984540054, 1e-9);
    close(normal_upper_tail(1.959963984540054), 0.025, 1e-11);
    assert_eq!(t_quantile(0.5, 7.0), 0.0);
}

#[test]
fn quantiles_invert_tails_for_any_degrees_of_freedom_without_hanging() {
    for df in [0.3, 0.5, 1.0, 1.7, 2.0, 4.0, 11.3, 59.0, 1e3, 9.9e4, 1e5, 1e9, f64::INFINITY] {
        for p in [-1.0, 0.0, 1e-300, 1e-12, 1e-9, 1e-4, 0.05, 0.3, 0.5, 0.8, 0.95, 0.9999, 1.0, 2.0] {
            let t = t_quantile(p, df);
            let clamped = f64::clamp(p, 1e-9, 1.0 - 1e-9);
            close(t_lower_tail(t, df), clamped, 1e-9);
        }
    }
    // The change to the normal distribution leaves no step that a verdict could notice.
    close(t_quantile(0.95, 0.999e5), t_quantile(0.95, 1e5), 1e-4);
    assert!(t_quantile(1.0, 1e-3).is_finite());
}

#[test]
fn nothing_panics_on_numbers_that_are_none() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0] {
        for good in [bad, 3.0] {
            let _ = (
                t_upper_tail(bad, good),
                t_upper_tail(good, bad),
                t_quantile(bad, good),
                t_quantile(good, bad),
            );
            let _ = (
                normal_quantile(bad),
                runs_to_detect(bad, good, 0.05),
                runs_for_equivalence(good, bad, 0.05),
            );
            let _ = smallest_detectable_effect(bad, good, 0.05, 0.05);
        }
    }
    assert!(t_upper_tail(f64::NAN, 4.0).is_nan());
    assert_eq!(t_upper_tail(f64::INFINITY, 4.0), 0.0);
    assert!(t_quantile(0.9, 0.0).is_nan());
}

#[test]
fn paired_t_of_five_pairs() {
    let test = paired_t(&paired_log_ratios(&A, &B).unwrap()).unwrap();
    close(test.estimate.log_ratio, 0.0737079877620, 1e-12);
    close(test.t, 11.10892752071, 1e-9);
    close(test.p_two_sided, 3.735583323e-4, 1e-12);
    close(test.estimate.ratio(), 1.0764924106, 1e-9);
    let interval = test.estimate.interval(0.95).exp();
    close(interval.lower, 1.0568430516, 1e-9);
    close(interval.upper, 1.0965071005, 1e-9);
    let sides = test.estimate.one_sided(Direction::HigherIsWorse);
    close(sides.worse, 3.735583323e-4 / 2.0, 1e-12);
    close(test.estimate.one_sided(Direction::LowerIsWorse).better, sides.worse, 1e-12);
}

#[test]
fn paired_t_refuses_what_is_no_pair() {
    assert_eq!(paired_log_ratios(&A, &B[1..]), Err(StatsError::Unpaired { base: 5, head: 4 }));
    assert_eq!(paired_log_ratios(&[1.0], &[0.0]), Err(StatsError::NotPositive));
    assert_eq!(paired_log_ratios(&[f64::NAN], &[1.0]), Err(StatsError::NotPositive));
    assert_eq!(paired_t(&[0.1]), Err(StatsError::TooFew { needed: 2, given: 1 }));
    assert_eq!(paired_t(&[0.1, f64::NAN]), Err(StatsError::NotFinite));
    // Pairs that agree exactly are no evidence of a change, or all of it.
    assert_eq!(paired_t(&[0.0, 0.0]).unwrap().p_two_sided, 1.0);
    assert_eq!(paired_t(&[0.5, 0.5]).unwrap().p_two_sided, 0.0);
}

#[test]
fn two_one_sided_tests_show_equivalence() {
    let test = paired_t(&[0.004, -0.011, 0.009, 0.002, -0.006]).unwrap();
    let tost = tost(&test.estimate, 1.05f64.ln());
    close(tost.p_lower, 8.726478e-5, 1e-11);
    close(tost.p_upper, 8.181951e-5, 1e-11);
    assert_eq!(tost.p, tost.p_lower);
    close(tost.interval.exp().lower, 0.9919872922, 1e-9);
    close(tost.interval.exp().upper, 1.0072712905, 1e-9);
}

#[test]
fn prediction_widens_by_the_new_session() {
    let estimate = prediction(&[1.0, 2.0, 3.0], 5.0).unwrap();
    close(estimate.log_ratio, 3.0, 1e-12);
    close(estimate.standard_error, (1.0f64 + 1.0 / 3.0).sqrt(), 1e-12);
    assert_eq!(estimate.degrees_of_freedom, 2.0);
    assert_eq!(prediction(&[1.0], 5.0), Err(StatsError::TooFew { needed: 2, given: 1 }));
}

#[test]
fn adjusted_p_values() {
    let p = [0.01, 0.04, 0.03, 0.005];
    assert!(all_close(&holm(&p), &[0.03, 0.06, 0.06, 0.02]));
    assert!(all_close(&benjamini_hochberg(&p), &[0.02, 0.04, 0.04, 0.02]));
    assert!(all_close(&holm(&[0.9, f64::NAN, 0.6]), &[1.0, 1.0, 1.0]));
    assert!(holm(&[]).is_empty() && benjamini_hochberg(&[]).is_empty());
}

#[test]
fn exact_tests() {
    close(fisher_exact([[12, 9988], [30, 9970]]), 0.0078519136, 1e-9);
    close(fisher_exact([[3, 1], [1, 3]]), 34.0 / 70.0, 1e-12);
    assert_eq!(fisher_exact([[0, 10], [0, 20]]), 1.0);
    assert_eq!(fisher_exact([[1_000_000, 0], [0, 1_000_000]]), 0.0);
    assert!(fisher_exact([[u64::MAX, 5], [u64::MAX - 1, 7]]).is_finite());
    let test = mann_whitney(&B, &A).unwrap().unwrap();
    assert_eq!(test.u, 25.0);
    close(test.p, 0.0079365079365, 1e-12);
    // 3 and 2 values: 10 orderings, U = 5 or more (and its mirror image) in 2 of them each.
    close(mann_whitney(&[2.0, 4.0, 5.0], &[1.0, 3.0]).unwrap().unwrap().p, 0.4, 1e-12);
    assert_eq!(mann_whitney(&[1.0, 2.0], &[2.0]), Ok(None));
    assert_eq!(mann_whitney(&[], &[2.0]), Err(StatsError::TooFew { needed: 1, given: 0 }));
}

#[test]
fn batch_means_of_constant_and_independent_windows() {
    let constant = batch_means(&[3.0; 60]).unwrap();
    assert_eq!((constant.mean, constant.standard_error, constant.effective_size), (3.0, 0.0, 60.0));
    assert_eq!(constant.batches, 7);
    assert_eq!(batch_means(&[1.0]), Err(StatsError::TooFew { needed: 2, given: 1 }));
    assert_eq!(batch_means(&[1.0, f64::NAN]), Err(StatsError::NotFinite));
    // Two windows are hardly more than one observation.
    let two = batch_means(&[1.0, 3.0]).unwrap();
    assert!(two.standard_error > 1.0 && two.effective_size < 1.5, "{two:?}");
    // Strictly alternating windows never count for more than they are.
    let alternating: Vec<f64> = (0..64).map(|i| f64::from(i % 2)).collect();
    assert!(batch_means(&alternating).unwrap().effective_size <= 64.0);
    // A single step half way is the worst autocorrelation there is.
    let step: Vec<f64> = (0..64).map(|i| f64::from(i / 32)).collect();
    assert!(batch_means(&step).unwrap().effective_size < 5.0);
}

#[test]
fn log_odds_are_finite_at_both_ends() {
    close(log_odds(0.0, 1000.0), (0.5f64 / 1000.5).ln(), 1e-12);
    close(log_odds(1000.0, 1000.0), (1000.5f64 / 0.5).ln(), 1e-12);
    close(log_odds_variance(0.0, 1000.0), 2.0 + 1.0 / 1000.5, 1e-12);
    let counts = |events, trials| EventCounts { events, trials, windows: Vec::new() };
    // Fewer requests without an error are no rise of the error rate: scaled to a common number, both are equal.
    let none = compare_events(&counts(0, 30_000), &counts(0, 300), 0.2).unwrap();
    assert_eq!(none.estimate.log_ratio, 0.0);
    assert!(compare_events(&counts(1, 0), &counts(0, 5), 0.2).is_err());
    assert!(compare_events(&counts(6, 5), &counts(0, 5), 0.2).is_err());
    // Errors that come in one burst are less evidence than the same number spread out.
    let windows = |burst: bool| {
        (0..60)
            .map(|i| if burst { (if i == 30 { 60 } else { 0 }, 500) } else { (1, 500) })
            .collect::<Vec<_>>()
    };
    let with = |burst| EventCounts { events: 60, trials: 30_000, windows: windows(burst) };
    let burst = compare_events(&counts(20, 30_000), &with(true), 0.2).unwrap();
    let spread = compare_events(&counts(20, 30_000), &with(false), 0.2).unwrap();
    assert!(burst.estimate.standard_error > 2.0 * spread.estimate.standard_error);
}

#[test]
fn a_decision_needs_significance_and_size() {
    let rule = DecisionRule::PAIRED;
    let estimate =
        |log_ratio, standard_error| Estimate { log_ratio, standard_error, degrees_of_freedom: f64::INFINITY };
    let judge = |e: Estimate, direction| decide(&e, direction, e.one_sided(direction), &rule);
    assert_eq!(judge(estimate(0.20, 0.02), Direction::HigherIsWorse), Verdict::Regressed);
    assert_eq!(judge(estimate(0.20, 0.02), Direction::LowerIsWorse), Verdict::Improved);
    assert_eq!(judge(estimate(-0.20, 0.02), Direction::LowerIsWorse), Verdict::Regressed);
    assert_eq!(
        judge(estimate(0.04, 0.01), Direction::HigherIsWorse),
        Verdict::Unchanged,
        "too small to matter"
    );
    assert_eq!(judge(estimate(0.04, 0.05), Direction::HigherIsWorse), Verdict::Inconclusive);
    assert_eq!(judge(estimate(0.20, 0.20), Direction::HigherIsWorse), Verdict::Inconclusive);
    assert_eq!(judge(estimate(f64::NAN, 0.1), Direction::HigherIsWorse), Verdict::Inconclusive);
    let adjusted = OneSided { worse: 0.06, better: 1.0 };
    assert_eq!(
        decide(&estimate(0.20, 0.02), Direction::HigherIsWorse, adjusted, &rule),
        Verdict::Inconclusive
    );
}

#[test]
fn a_test_is_as_good_as_its_worst_gate() {
    use Verdict::{Improved, Inconclusive, Regressed, Unchanged};
    assert_eq!(overall([Unchanged, Inconclusive, Regressed]), Regressed);
    assert_eq!(overall([Unchanged, Inconclusive, Improved]), Inconclusive);
    assert_eq!(overall([Unchanged, Improved]), Unchanged);
    assert_eq!(overall([]), Inconclusive);
}

#[test]
fn effects_and_runs_follow_their_formulas() {
    let (z95, z80, z90) = (1.6448536269514722, 0.8416212335729143, 1.2815515655446004);
    close(smallest_detectable_effect(0.1, f64::INFINITY, 0.05, 0.0), (z95 + z80) * 0.1, 1e-9);
    close(smallest_detectable_effect(0.1, f64::INFINITY, 0.05, 0.3), 0.3 + z80 * 0.1, 1e-9);
    // An effect of one standard deviation: (1.895 + 0.896)/√8 = 0.987 suffices, (1.943 + 0.906)/√7 = 1.077 does not.
    assert_eq!(runs_to_detect(1.0, 1.0, 0.05), Some(8));
    assert_eq!(runs_to_detect(0.0, 1.0, 0.05), Some(2));
    assert_eq!(runs_to_detect(1.0, 1e-6, 0.05), None);
    assert_eq!(runs_to_detect(1.0, 0.0, 0.05), None);
    let many = f64::from(runs_for_equivalence(1.0, 0.1, 0.05).unwrap());
    close(many, ((z95 + z90) / 0.1).powi(2), 3.0);
}

#[test]
fn the_shift_function_follows_the_distribution() {
    let base = vec![vec![10.0, 20.0, 0.0], vec![11.0, 22.0, 50.0]];
    let head = vec![vec![10.0, 40.0, 60.0], vec![11.0, 44.0, 60.0]];
    let shifts = shift_function(&[0.5, 0.95, 0.99], &base, &head, 0.95).unwrap();
    assert_eq!(shifts.len(), 2, "a quantile without a ratio is left out");
    close(shifts[0].ratio, 1.0, 1e-12);
    close(shifts[1].ratio, 2.0, 1e-12);
    assert!(shifts[1].interval.is_some());
    let single = shift_function(&[0.5], &base[..1], &head[..1], 0.95).unwrap();
    assert_eq!(single[0].interval, None, "one run a side has no interval");
    assert!(shift_function(&[0.5], &base, &head[..1], 0.95).is_err());
}
