//! Known answers of the methods beside the verdicts, and of the evidence that pairs and histories give.
//!
//! Expected values that are no whole counts were computed apart, by enumeration or numerical integration.

use super::*;
use crate::stats::change_points::MOST_VALUES;
use crate::stats::location::MOST_PAIRS;

const X: [f64; 4] = [1.0, 4.0, 2.5, 7.0];
const Y: [f64; 5] = [3.0, 5.0, 6.0, 8.0, 9.0];
const TEN: [f64; 10] = [12.1, 10.4, 11.7, 15.2, 9.8, 10.9, 13.3, 11.1, 10.2, 12.6];

#[test]
fn welch_of_two_samples() {
    let test = welch_t(&A, &B).unwrap();
    close(test.estimate.log_ratio, 7.72, 1e-12);
    close(test.estimate.standard_error, 1.4673786150820107, 1e-12);
    close(test.estimate.degrees_of_freedom, 6.872806792973266, 1e-9);
    close(test.t, 5.2610825322464905, 1e-9);
    close(test.p_two_sided, 0.001242137898619712, 1e-9);
    assert_eq!(welch_t(&[1.0], &B), Err(StatsError::TooFew { needed: 2, given: 1 }));
    assert_eq!(welch_t(&[1.0, f64::NAN], &B), Err(StatsError::NotFinite));
    assert_eq!(welch_t(&[1.0, 1.0], &[1.0, 1.0]).unwrap().p_two_sided, 1.0);
}

#[test]
fn permutations_are_counted_exactly() {
    let test = permutation_test(&A, &B).unwrap().unwrap();
    close(test.p, 2.0 / 252.0, 1e-15);
    close(test.difference, 7.72, 1e-12);
    assert_eq!((test.arrangements, test.smallest_p), (252, 2.0 / 252.0));
    close(permutation_test(&X, &Y).unwrap().unwrap().p, 24.0 / 126.0, 1e-15);
    // A value that all share moves nothing, however large.
    let far = |values: &[f64]| values.iter().map(|x| x + 1e9).collect::<Vec<_>>();
    close(permutation_test(&far(&X), &far(&Y)).unwrap().unwrap().p, 24.0 / 126.0, 1e-15);
    assert_eq!(permutation_test(&[1.0; 3], &[1.0; 3]).unwrap().unwrap().p, 1.0);
    assert_eq!(permutation_test(&[1.0; 30], &[2.0; 30]), Ok(None));
    assert_eq!(permutation_test(&[], &B), Err(StatsError::TooFew { needed: 1, given: 0 }));
    let flips = sign_flip_test(&[0.3, -0.1, 0.4, 0.2, 0.5, -0.05]).unwrap().unwrap();
    close(flips.p, 8.0 / 64.0, 1e-15);
    assert_eq!(sign_flip_test(&[1.0; 19]).unwrap().unwrap().arrangements, 1 << 19);
    assert_eq!((sign_flip_test(&[1.0; 20]), sign_flip_test(&[1.0; 64])), (Ok(None), Ok(None)));
}

#[test]
fn five_pairs_have_no_significant_sign_flips() {
    let test = sign_flip_test(&paired_log_ratios(&A, &B).unwrap()).unwrap().unwrap();
    assert!(test.p > 0.05 && test.p == test.smallest_p, "{test:?}");
}

#[test]
fn distances_of_distributions() {
    let test = kolmogorov_smirnov(&X, &Y).unwrap();
    close(test.distance, 0.55, 1e-12);
    close(test.p, 54.0 / 126.0, 1e-12);
    close(kolmogorov_smirnov(&A, &B).unwrap().p, 2.0 / 252.0, 1e-15);
    assert_eq!(kolmogorov_smirnov(&A, &A).unwrap(), KolmogorovSmirnov { distance: 0.0, p: 1.0 });
    // Exact and asymptotic p agree where both are sound: λ = 1.3581 is the 5 % point.
    let evenly = |n: u32, by: f64| (0..n).map(|i| f64::from(i) / f64::from(n) + by).collect::<Vec<_>>();
    let large = kolmogorov_smirnov(&evenly(2_000, 0.0), &evenly(2_000, 1.3581 / 1_000f64.sqrt())).unwrap();
    close(large.p, 0.05, 1e-3);
    let exact = kolmogorov_smirnov(&evenly(1_000, 0.0), &evenly(1_000, 1.3581 / 500f64.sqrt())).unwrap();
    close(exact.p, 0.05, 3e-3);
    close(wasserstein(&X, &Y).unwrap(), 2.575, 1e-12);
    close(wasserstein(&A, &B).unwrap(), 7.72, 1e-12);
    close(wasserstein(&A, &A).unwrap(), 0.0, 1e-15);
    // Buckets in any order, split in two or without weight, are the same distribution.
    let buckets = [(9.0, 1.0), (3.0, 0.5), (5.0, 1.0), (6.0, 1.0), (3.0, 0.5), (8.0, 1.0), (1e9, 0.0)];
    let plain = X.map(|x| (x, 7.0));
    close(wasserstein_weighted(&plain, &buckets).unwrap(), 2.575, 1e-12);
    close(kolmogorov_smirnov_weighted(&plain, &buckets).unwrap(), 0.55, 1e-12);
    for bad in [(f64::NAN, 1.0), (1.0, -1.0), (1.0, f64::INFINITY)] {
        assert_eq!(wasserstein_weighted(&plain, &[bad]), Err(StatsError::NotFinite));
    }
    assert_eq!(wasserstein_weighted(&plain, &[(1.0, 0.0)]), Err(StatsError::TooFew { needed: 1, given: 0 }));
}

#[test]
fn robust_locations() {
    let median = harrell_davis(&TEN, 0.5).unwrap();
    close(median.value, 11.459550300758163, 1e-9);
    close(median.standard_error, 0.5456214831086095, 1e-9);
    let upper = harrell_davis(&TEN, 0.7).unwrap();
    close(upper.value, 12.481552803461094, 1e-9);
    close(upper.standard_error, 0.6577518513868291, 1e-9);
    assert_eq!(harrell_davis(&TEN, 1.0), Err(StatsError::NotAFraction));
    assert_eq!(harrell_davis(&[1.0], 0.5), Err(StatsError::TooFew { needed: 2, given: 1 }));
    let many: Vec<f64> = (0..20_000).map(f64::from).collect();
    close(harrell_davis(&many, 0.999).unwrap().value, 19_979.0, 2.0);
    close(hodges_lehmann(&A).unwrap(), 100.55, 1e-9);
    close(hodges_lehmann_shift(&A, &B).unwrap(), 7.7, 1e-9);
    assert_eq!(hodges_lehmann(&[]), Err(StatsError::TooFew { needed: 1, given: 0 }));
    let given = 4_000 * 4_001 / 2;
    assert_eq!(hodges_lehmann(&many[..4_000]), Err(StatsError::TooMany { most: MOST_PAIRS, given }));
}

#[test]
fn order_statistics_hold_a_quantile() {
    let interval = quantile_interval(&TEN, 0.5, 0.95).unwrap().unwrap();
    assert_eq!((interval.ranks, interval.lower, interval.upper), ((2, 9), 10.2, 13.3));
    close(interval.coverage, 0.978515625, 1e-12);
    let sixty: Vec<f64> = (1..=60).map(f64::from).collect();
    let interval = quantile_interval(&sixty, 0.9, 0.95).unwrap().unwrap();
    assert_eq!(interval.ranks, (49, 59));
    close(interval.coverage, 0.9716382358365524, 1e-9);
    assert_eq!(quantile_interval(&A, 0.5, 0.95), Ok(None), "five values reach 93.75 %");
    assert!(quantile_interval(&A, 0.5, 0.93).unwrap().is_some());
    assert_eq!(quantile_interval(&TEN, 0.99, 0.95), Ok(None));
    assert_eq!(quantile_interval(&TEN, 0.5, 1.0), Err(StatsError::NotAFraction));
}

#[test]
fn a_step_in_a_series_is_a_change_point() {
    let series = [1.0, 1.2, 0.9, 1.1, 1.05, 2.0, 2.2, 1.9, 2.1];
    let found =
        change_points(&series, &ChangePointRule { smallest_segment: 2, ..Default::default() }).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].index, 5);
    close(found[0].statistic, 3.762962962962964, 1e-12);
    close(found[0].before, 1.05, 1e-12);
    close(found[0].after, 2.05, 1e-12);
    assert!(found[0].p <= 0.05);

    // Two steps, of which the first is the smaller; both have the level of their own segment on either side.
    let wobble = |i: u32| f64::from(i * 7 % 5) * 0.01;
    let level = |i: u32| {
        if i < 15 {
            0.0
        } else if i < 32 {
            0.1
        } else {
            0.4
        }
    };
    let series: Vec<f64> = (0..45).map(|i| wobble(i) + level(i)).collect();
    let found = change_points(&series, &ChangePointRule::default()).unwrap();
    assert_eq!(found.iter().map(|point| point.index).collect::<Vec<_>>(), [15, 32]);
    assert!(found[1].before < 0.14 && found[1].after > 0.4, "{found:?}");

    // A change of spread alone.
    let series: Vec<f64> =
        (0..60).map(|i| f64::from(i * 7 % 5 - 2) * if i < 30 { 0.01 } else { 0.2 }).collect();
    assert_eq!(change_points(&series, &ChangePointRule::default()).unwrap()[0].index.abs_diff(30) / 4, 0);
    for calm in [vec![], vec![1.0; 3], vec![1.0; 40], series[..30].to_vec()] {
        assert_eq!(change_points(&calm, &ChangePointRule::default()), Ok(Vec::new()));
    }
    assert_eq!(change_points(&[f64::NAN], &ChangePointRule::default()), Err(StatsError::NotFinite));
    let (most, given) = (MOST_VALUES, MOST_VALUES + 1);
    let long = vec![0.0; given];
    assert_eq!(change_points(&long, &ChangePointRule::default()), Err(StatsError::TooMany { most, given }));
}

#[test]
fn looks_follow_the_plan() {
    assert_eq!(next_look(4, 0.05), Some(Look { number: 2, pairs: 7, alpha: 0.018, last: false }));
    let last = next_look(9, 0.01).unwrap();
    assert!(last.last && last.pairs == 10);
    close(last.alpha, 0.0088, 1e-12);
    let rule = last.rule(JudgeRule::DUET).decision;
    close(rule.alpha, 0.0088, 1e-12);
    close(rule.confidence, 0.9824, 1e-12);
    assert_eq!(rule.smallest_effect, 0.05);
}

fn ratio_of(effect: Result<Effect, NotJudged>) -> Estimate {
    match effect {
        Ok(Effect::Ratio(estimate)) => estimate,
        other => panic!("{other:?}"),
    }
}

fn events_of(effect: Result<Effect, NotJudged>) -> LogOddsDifference {
    match effect {
        Ok(Effect::Events(difference)) => difference,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pairs_give_the_paired_t_and_refuse_what_is_no_pair() {
    let estimate = ratio_of(pairs::ratio(&A, &B));
    close(estimate.log_ratio, 0.0737079877620, 1e-12);
    close(estimate.statistic(0.0), 11.10892752071, 1e-9);
    assert_eq!(pairs::ratio(&A, &B[1..]), Err(NotJudged::Unpaired { base: 5, head: 4 }));
    assert_eq!(pairs::ratio(&A[..3], &B[..3]), Err(NotJudged::TooFewPairs { needed: 4, given: 3 }));
    assert_eq!(pairs::ratio(&A, &[1.0, 1.0, 1.0, 1.0, 0.0]), Err(NotJudged::NoRatio));
    // A head that serves nothing has half an iteration; two sides that serve nothing have no ratio.
    let silent = ratio_of(pairs::throughput(&A, &[0.0; 5], 0.01));
    assert!(silent.interval(0.95).upper < -9.0, "{silent:?}");
    assert_eq!(pairs::throughput(&[0.0; 5], &[0.0; 5], 0.01), Err(NotJudged::NoRatio));
}

#[test]
fn events_of_pairs() {
    // Equal pairs: nothing varies, so the binomial variance holds.
    let found = events_of(pairs::events(&[(10, 10_000); 4], &[(30, 10_000); 4]));
    close(found.estimate.log_ratio, log_odds(30.0, 1e4) - log_odds(10.0, 1e4), 1e-12);
    let single = log_odds_variance(30.0, 1e4) + log_odds_variance(10.0, 1e4);
    close(found.estimate.standard_error, (single / 4.0).sqrt(), 1e-12);
    assert_eq!(found.estimate.degrees_of_freedom, 3.0);
    close(found.difference, 0.002, 1e-15);
    let rate = |events: f64| (events + 0.5) / 40_001.0;
    let of_pool = |events: f64| rate(events) * (1.0 - rate(events)) / 40_000.0;
    close(found.difference_error, (of_pool(40.0) + of_pool(120.0)).sqrt(), 1e-12);
    // Pairs that vary by more than chance: the variance that they show.
    let varied = [(5, 10_000), (100, 10_000), (5, 10_000), (10, 10_000)];
    let found = events_of(pairs::events(&[(10, 10_000); 4], &varied));
    let differences = varied.map(|(events, _)| log_odds(events as f64, 1e4) - log_odds(10.0, 1e4));
    close(found.estimate.standard_error, standard_error(&differences).unwrap(), 1e-12);
    let rates = varied.map(|(events, trials)| events as f64 / trials as f64);
    close(found.difference_error, standard_error(&rates).unwrap(), 1e-12);
    // Fewer requests without an error are no rise of the error rate.
    match pairs::events(&[(0, 30_000); 4], &[(0, 300); 4]) {
        Ok(Effect::NoEvents(none)) => assert_eq!((none.estimate.log_ratio, none.difference), (0.0, 0.0)),
        other => panic!("{other:?}"),
    }
    assert_eq!(pairs::events(&[(0, 0); 4], &[(0, 9); 4]), Err(NotJudged::NoTrials));
    assert_eq!(pairs::events(&[(7, 6); 4], &[(0, 9); 4]), Err(NotJudged::NoTrials));
}

#[test]
fn a_history_predicts_the_next_session() {
    let logs: Vec<f64> = [1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0].iter().map(|x| x / 100.0).collect();
    let values: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
    let estimate = ratio_of(history::ratio(&values, 0.2f64.exp()));
    close(estimate.log_ratio, 0.155, 1e-12);
    close(estimate.standard_error, 0.01 * (6.0f64 * 9.0 / 8.0).sqrt(), 1e-12);
    assert_eq!(estimate.degrees_of_freedom, 7.0);
    let few = NotJudged::TooFewSessions { needed: 8, given: 7 };
    assert_eq!(history::ratio(&values[..7], 1.0), Err(few));
    assert_eq!(history::events(&[(0, 9); 7], (0, 9)), Err(few));
    assert_eq!(history::ratio(&values, 0.0), Err(NotJudged::NoRatio));
    assert!(ratio_of(history::throughput(&values, 0.0, 0.01)).log_ratio < -4.0);
    let found = events_of(history::events(&[(10, 10_000); 8], (30, 10_000)));
    let binomial = log_odds_variance(30.0, 1e4) + log_odds_variance(10.0, 1e4) / 8.0;
    close(found.estimate.standard_error, binomial.sqrt(), 1e-12);
    close(found.difference, 0.002, 1e-15);
    assert!(matches!(history::events(&[(0, 10_000); 8], (0, 10)), Ok(Effect::NoEvents(_))));
    assert_eq!(history::events(&[(0, 10_000); 8], (1, 0)), Err(NotJudged::NoTrials));
}
