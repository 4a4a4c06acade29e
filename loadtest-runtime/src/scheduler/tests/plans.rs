//! What is run: counts, virtual users, tags.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

#[test]
fn shared_iterations_are_exact_over_workers() {
    let threads = leak(Mutex::new(BTreeSet::new()));
    // Nobody goes on before each has begun, so that one worker can't take them all.
    let all_begun = leak(tokio::sync::Barrier::new(8));
    let report = Load::new()
        .threshold("iterations: count==1000")
        .threshold("dropped_iterations: count<1")
        .scenario("s", Attribute::new().vus(8).iterations(1_000), async |vu| {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            threads.lock().expect("not poisoned").insert(thread);
            vu.check("counts", true);
            if vu.iteration() == 0 {
                all_begun.wait().await;
            }
            tokio::task::yield_now().await;
            Ok(())
        })
        .run();
    assert_eq!(report.state("s"), (1_000, 1_000, 0));
    for metric in ["iterations", "checks"] {
        assert_eq!(report.sum(metric), 1_000.0, "{metric}");
    }
    assert_eq!(report.series("iteration_duration")[0].1.count, 1_000);
    assert_eq!(report.sum("dropped_iterations"), 0.0);
    assert!(report.outcome.aggregated.thresholds.iter().all(|outcome| outcome.holds));
    assert_eq!(report.outcome.stopped, None);
    assert!(report.outcome.warnings.is_empty());
    assert_eq!(threads.lock().expect("not poisoned").len(), 2, "both workers run virtual users");
    let last = report.told.intervals.last().expect("at least one");
    assert_eq!(last.scenarios["s"].planned_iterations, Some(1_000));
    assert_eq!(last.generator.lost_samples, 0);
}

#[test]
fn iterations_that_find_no_time_are_dropped() {
    let options = Attribute::new().vus(2).iterations(100).max_duration("300ms").graceful_stop("10s");
    let report = Load::new()
        .threshold("dropped_iterations: count<1")
        .scenario("s", options, async |vu| {
            vu.sleep(Duration::from_millis(200)).await;
            Ok(())
        })
        .run();
    let (started, completed, interrupted) = report.state("s");
    assert_eq!((started, interrupted), (completed, 0));
    assert!((2..=4).contains(&started), "{started}");
    assert_eq!(report.sum("dropped_iterations"), (100 - started) as f64);
    assert!(!report.outcome.aggregated.thresholds[0].holds);
}

#[test]
fn scenarios_run_side_by_side_with_their_own_tags() {
    // Each waits for the other, so that they can only end if they run in parallel.
    let meet = leak(tokio::sync::Barrier::new(2));
    let report = Load::new()
        .threshold("checks{scenario:sell}: rate<1")
        .threshold("checks{scenario:buy}: rate==1")
        .scenario("buy", Attribute::new().vus(1).iterations(3), async |vu| {
            meet.wait().await;
            vu.check("met", true);
            Ok(())
        })
        .scenario("sell", Attribute::new().vus(1).iterations(3), async |vu| {
            meet.wait().await;
            vu.check("met", vu.iteration() != 1);
            Ok(())
        })
        .run();
    for scenario in ["buy", "sell"] {
        assert_eq!(report.state(scenario), (3, 3, 0));
        let own = |(tags, _): &(Tags, Totals)| tags["scenario"] == scenario;
        let iterations: Vec<_> = report.series("iterations").into_iter().filter(own).collect();
        assert_eq!((iterations.len(), iterations[0].1.sum), (1, 3.0));
    }
    assert!(report.outcome.aggregated.thresholds.iter().all(|outcome| outcome.holds));
}

#[test]
fn small_scenarios_share_the_workers() {
    let threads = leak(Mutex::new(BTreeSet::new()));
    let mut load = Load::new();
    for name in ["a", "b"] {
        load = load.scenario(name, Attribute::new().vus(1).iterations(1), async |_| {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            threads.lock().expect("not poisoned").insert(thread);
            Ok(())
        });
    }
    load.run();
    assert_eq!(threads.lock().expect("not poisoned").len(), 2);
}

#[test]
fn virtual_users_have_numbers_from_one_and_their_own_random_numbers() {
    let draws = || {
        let drawn = leak(Mutex::new(BTreeMap::new()));
        Load::new()
            .scenario("s", Attribute::new().executor("per-vu-iterations").vus(4).iterations(3), async |vu| {
                let at = (vu.id(), vu.iteration());
                let number = vu.rng().range(0..u64::MAX);
                vu.sleep(Duration::from_millis(vu.id() % 3)).await;
                let second = vu.rng().range(0..u64::MAX);
                drawn.lock().expect("not poisoned").insert(at, (number, second));
                Ok(())
            })
            .run();
        drawn.lock().expect("not poisoned").clone()
    };
    let first = draws();
    let all: Vec<_> = (1..=4).flat_map(|vu| (0..3).map(move |iteration| (vu, iteration))).collect();
    assert_eq!(first.keys().copied().collect::<Vec<_>>(), all);
    let distinct: BTreeSet<_> = first.values().flat_map(|(a, b)| [a, b]).collect();
    assert_eq!(distinct.len(), 24);
    assert_eq!(first, draws());
}

#[test]
fn a_shard_runs_its_share_with_its_own_numbers() {
    let ids = leak(Mutex::new(BTreeSet::new()));
    let mut load = Load::new().scenario("s", Attribute::new().vus(5).iterations(11), async |vu| {
        ids.lock().expect("not poisoned").insert(vu.id());
        vu.sleep(Duration::from_millis(20)).await;
        Ok(())
    });
    load.plan.shard = Shard { index: 1, count: 2 };
    let report = load.run();
    assert_eq!(report.state("s"), (5, 5, 0));
    assert!(ids.lock().expect("not poisoned").iter().all(|id| [2, 4].contains(id)), "{ids:?}");
}

#[test]
fn a_ramp_from_zero_is_not_the_end() {
    let stages = [("1500ms", 0), ("0s", 3), ("300ms", 3)];
    let options = Attribute::new().executor("ramping-vus").start_vus(0).stages(stages);
    let report = Load::new()
        .scenario("s", options, async |vu| {
            vu.sleep(Duration::from_millis(50)).await;
            Ok(())
        })
        .run();
    let (started, completed, interrupted) = report.state("s");
    assert!(started >= 6 && started == completed && interrupted == 0, "{started} {completed} {interrupted}");
    // Nobody was active in the first second, which was not told as the end of the load.
    assert_eq!(report.told.intervals[0].scenarios["s"].vus, 0);
    assert_ne!(report.told.stopping_after.first(), Some(&0));
}

#[test]
fn the_wind_down_is_told_once_and_intervals_add_up_to_the_load() {
    let options = Attribute::new().vus(1).duration("200ms").graceful_stop("10s");
    let report = Load::new()
        .scenario("s", options, async |vu| {
            vu.sleep(Duration::from_millis(2_500)).await;
            Ok(())
        })
        .run();
    assert_eq!(report.state("s"), (1, 1, 0));
    // The second in which it began is told first, so that the phases stay in their order.
    assert_eq!(report.told.stopping_after, [1]);
    let load = report.outcome.load_time.as_secs_f64();
    assert!((2.4..6.0).contains(&load), "{load}");
    let seconds: f64 = report.told.intervals.iter().map(|interval| interval.seconds).sum();
    assert!((seconds - load).abs() < 1e-6, "{seconds} of {load}");
    let indices = report.told.intervals.iter().map(|interval| interval.index);
    assert!(indices.eq(0..report.told.intervals.len() as u64));
}

#[test]
fn ten_thousand_virtual_users_run_on_two_workers() {
    let options = Attribute::new().executor("per-vu-iterations").vus(10_000).iterations(1);
    let report = Load::new()
        .scenario("s", options, async |vu| {
            vu.sleep(Duration::from_millis(100)).await;
            Ok(())
        })
        .run();
    assert_eq!(report.state("s"), (10_000, 10_000, 0));
    assert_eq!(report.sum("iterations"), 10_000.0);
    assert_eq!(report.told.intervals.last().expect("one").generator.lost_samples, 0);
}
