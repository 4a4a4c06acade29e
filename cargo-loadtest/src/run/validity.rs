//! Whether a measurement can be trusted: the load generator was not the bottleneck, nothing was lost, and
//! the load that was planned was made.
//!
//! The main function is [`reasons`]. It looks at the load generator only, never at how good the results are.

use std::collections::BTreeSet;

use loadtest_core::results::{End, Interval};

use crate::data::{MAX_GENERATOR_CPU as MAX_CPU, MAX_STEAL, MIN_OFFERED, MIN_RATE_SECONDS, TestData};

/// Why the numbers of a test can't be trusted, a sentence each; empty if they can.
pub(super) fn reasons(test: &TestData) -> Vec<String> {
    let mut reasons = Vec::new();
    let intervals = &test.intervals;
    let lost = intervals.iter().map(|interval| interval.generator.lost_samples).max().unwrap_or(0);
    if lost > 0 {
        reasons
            .push(format!("{lost} samples were lost: the load generator recorded more than it could add up"));
    }
    let hold = hold(test);
    if let Some(cpu) = mean(&hold, |interval| interval.generator.cpu).filter(|cpu| *cpu > MAX_CPU) {
        reasons.push(format!(
            "the load generator used {:.0} % of its CPU (limit {:.0} %), so latencies include its own waiting",
            cpu * 100.0,
            MAX_CPU * 100.0
        ));
    }
    if let Some(steal) = mean(&hold, |interval| interval.generator.steal).filter(|steal| *steal > MAX_STEAL) {
        reasons.push(format!(
            "other virtual machines took {:.0} % of the CPU (limit {:.0} %)",
            steal * 100.0,
            MAX_STEAL * 100.0
        ));
    }
    let offered = test.offered(0..intervals.len());
    let end = &test.document.outcome.end;
    // Who stops a test takes its users away in the middle of a second, but drops nothing.
    if *end == End::Completed
        && let Some(users) = offered.users.filter(|users| *users < MIN_OFFERED)
    {
        reasons.push(format!(
            "only {:.1} % of the planned virtual users' time was offered (at least {:.0} % is needed)",
            // Never rounded up to the limit.
            (users * 1000.0).floor() / 10.0,
            MIN_OFFERED * 100.0
        ));
    }
    if matches!(end, End::Completed | End::Stopped) {
        reasons.extend(offered.starts.shortfall());
    }
    reasons
}

/// The intervals at the plan's highest level: the others may have less load than the generator can bear. Of a
/// capacity search those on both sides of what it found: the rates above were too high for someone anyway.
fn hold(test: &TestData) -> Vec<&Interval> {
    let whole = |position: &usize| test.intervals[*position].seconds >= MIN_RATE_SECONDS;
    let capacities = &test.document.outcome.capacities;
    if !capacities.is_empty() {
        let mut chosen = BTreeSet::new();
        for capacity in capacities.values() {
            let edges = [capacity.highest_held, capacity.lowest_failed];
            let probes = capacity.probes.iter().filter(|probe| edges.contains(&Some(probe.rate)));
            chosen.extend(probes.flat_map(|probe| test.within(probe)).filter(whole));
        }
        return chosen.into_iter().map(|position| &test.intervals[position]).collect();
    }
    let workloads = &test.document.outcome.workloads;
    let is_open = |name: &String| workloads.get(name).is_some_and(|workload| workload.shape.is_open());
    // Users of closed scenarios, starts per second of open ones.
    let planned = |position: usize| {
        let mut level = (0.0, 0.0);
        for (name, state) in &test.intervals[position].scenarios {
            if is_open(name) {
                level.1 += state.planned_rate.unwrap_or(0.0);
            } else {
                level.0 += f64::from(state.planned_vus);
            }
        }
        level
    };
    let levels: Vec<(f64, f64)> = (0..test.intervals.len()).map(planned).collect();
    let peak = levels.iter().fold((0.0, 0.0), |peak, level| (level.0.max(peak.0), level.1.max(peak.1)));
    let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
    let load = |position: usize| share(levels[position].0, peak.0) + share(levels[position].1, peak.1);
    let highest = (0..levels.len()).map(load).fold(0.0, f64::max);
    // A constant rate has a start more or less from one second to the next.
    let slack = if peak.1 > 0.0 { (1.0 / peak.1).clamp(0.05, 0.5) } else { 0.0 };
    (0..levels.len())
        .filter(|position| load(*position) >= highest - slack && !test.is_paused(*position))
        .filter(whole)
        .map(|position| &test.intervals[position])
        .collect()
}

/// The mean of what the system tells; `None` unless it tells it for two intervals and for more than half.
fn mean(intervals: &[&Interval], value: impl Fn(&Interval) -> Option<f64>) -> Option<f64> {
    let (mut sum, mut seconds, mut told) = (0.0, 0.0, 0);
    for interval in intervals {
        if let Some(value) = value(interval) {
            sum += value * interval.seconds;
            seconds += interval.seconds;
            told += 1;
        }
    }
    (told >= 2 && told * 2 > intervals.len()).then(|| sum / seconds)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use loadtest_core::options::{ExecutorKind, Options};
    use loadtest_core::results::{Capacity, GeneratorState, Probe, ScenarioState, TestDocument, TestOutcome};

    use super::*;

    /// A test that ran on schedule, second by second: planned, active, CPU, steal, lost samples.
    fn test(end: End, seconds: &[(u32, u32, f64, f64, u64)]) -> TestData {
        let options = Options { duration: Some(Duration::from_secs(5)), ..Options::default() };
        let intervals =
            seconds.iter().enumerate().map(|(index, (planned, vus, cpu, steal, lost))| Interval {
                index: index as u64,
                seconds: 1.0,
                scenarios: BTreeMap::from([(
                    "s".to_owned(),
                    ScenarioState { planned_vus: *planned, vus: *vus, ..ScenarioState::default() },
                )]),
                generator: GeneratorState {
                    cpu: Some(*cpu),
                    steal: Some(*steal),
                    lost_samples: *lost,
                    ..GeneratorState::default()
                },
                ..Interval::default()
            });
        let outcome = TestOutcome {
            workloads: BTreeMap::from([("s".to_owned(), options.resolve().expect("valid"))]),
            load_seconds: 5.0,
            workers: 1,
            ..TestOutcome::new(end)
        };
        let document = TestDocument {
            id: "p/lib/t".to_owned(),
            definitions: Vec::new(),
            outcome,
            services: Vec::new(),
            started_at: None,
            seed: 1,
            workload_hash: String::new(),
            intervals: String::new(),
            invalid: Vec::new(),
            summary: Vec::new(),
        };
        TestData::new(document, intervals.collect())
    }

    fn found(seconds: &[(u32, u32, f64, f64, u64)]) -> Vec<String> {
        reasons(&test(End::Completed, seconds))
    }

    #[test]
    fn a_healthy_run_has_no_reasons() {
        assert_eq!(
            found(&[(5, 4, 0.3, 0.0, 0), (10, 10, 0.7, 0.01, 0), (10, 10, 0.7, 0.0, 0), (0, 3, 0.1, 0.0, 0)]),
            [""; 0]
        );
        assert_eq!(found(&[]), [""; 0]);
    }

    #[test]
    fn the_generator_is_judged_where_the_load_is_highest() {
        let busy = found(&[
            (1, 1, 0.1, 0.0, 0),
            (10, 10, 0.95, 0.0, 0),
            (10, 10, 0.85, 0.0, 0),
            (1, 1, 0.1, 0.0, 0),
        ]);
        assert!(busy.len() == 1 && busy[0].contains("90 % of its CPU"), "{busy:?}");
        assert_eq!(found(&[(5, 5, 1.0, 0.0, 0), (10, 10, 0.5, 0.0, 0), (10, 10, 0.5, 0.0, 0)]), [""; 0]);
    }

    #[test]
    fn one_second_is_not_enough_to_condemn_a_run() {
        assert_eq!(found(&[(1, 1, 1.0, 0.2, 0)]), [""; 0]);
    }

    #[test]
    fn lost_samples_and_stolen_time_are_told() {
        assert!(found(&[(1, 1, 0.1, 0.0, 0), (1, 1, 0.1, 0.0, 7)])[0].contains("7 samples were lost"));
        assert!(found(&[(1, 1, 0.1, 0.2, 0), (1, 1, 0.1, 0.1, 0)])[0].contains("15 % of the CPU"));
    }

    #[test]
    fn load_that_was_not_offered_is_told_unless_the_run_was_cut() {
        let short = [(10, 10, 0.1, 0.0, 0), (10, 7, 0.1, 0.0, 0), (10, 10, 0.1, 0.0, 0)];
        assert!(found(&short)[0].contains("90.0 %"), "{:?}", found(&short));
        assert_eq!(reasons(&test(End::Interrupted, &short)), [""; 0]);
        // Virtual users that finish their iteration make up for nothing.
        assert_eq!(found(&[(10, 10, 0.1, 0.0, 0), (10, 9, 0.1, 0.0, 0), (10, 30, 0.1, 0.0, 0)]).len(), 1);
    }

    /// An open test: planned rate, starts and drops of each second, CPU.
    fn open(seconds: &[(f64, u64, u64, f64)]) -> TestData {
        let options = Options {
            executor: Some(ExecutorKind::ConstantArrivalRate),
            rate: Some(100),
            duration: Some(Duration::from_secs(5)),
            pre_allocated_vus: Some(5),
            ..Options::default()
        };
        let mut test = test(End::Completed, &seconds.iter().map(|s| (0, 5, s.3, 0.0, 0)).collect::<Vec<_>>());
        test.document.outcome.workloads.insert("s".to_owned(), options.resolve().expect("valid"));
        let (mut started, mut dropped) = (0, 0);
        for (interval, second) in test.intervals.iter_mut().zip(seconds) {
            (started, dropped) = (started + second.1, dropped + second.2);
            let state = ScenarioState {
                vus: 5,
                started,
                dropped,
                planned_rate: Some(second.0),
                ..ScenarioState::default()
            };
            interval.scenarios.insert("s".to_owned(), state);
        }
        test
    }

    #[test]
    fn starts_for_which_nobody_was_free_are_load_that_was_not_offered() {
        let few = open(&[(100.0, 100, 0, 0.1), (100.0, 99, 1, 0.1)]);
        assert_eq!(reasons(&few), [""; 0]);
        let many = open(&[(100.0, 100, 0, 0.1), (100.0, 62, 38, 0.1), (100.0, 100, 0, 0.1)]);
        let found = reasons(&many);
        assert!(
            found.len() == 1
                && found[0].starts_with("only 87.3 % of the planned starts")
                && found[0].contains("38 dropped")
                && found[0].contains("`max_vus`"),
            "{found:?}"
        );
        for end in [End::Interrupted, End::Stopped] {
            let mut cut = many.clone();
            cut.document.outcome.end = end.clone();
            assert_eq!(reasons(&cut).len(), usize::from(end == End::Stopped), "{end:?}");
        }
    }

    #[test]
    fn the_generator_of_an_arrival_rate_is_judged_where_the_rate_is_highest() {
        let ramp = [(10.0, 10, 0, 0.1), (99.0, 99, 0, 0.95), (101.0, 101, 0, 0.85), (10.0, 10, 0, 0.1)];
        let found = reasons(&open(&ramp));
        assert!(found.len() == 1 && found[0].contains("90 % of its CPU"), "{found:?}");
        assert_eq!(reasons(&open(&[(10.0, 10, 0, 1.0), (99.0, 99, 0, 0.5), (99.0, 99, 0, 0.5)])), [""; 0]);
    }

    #[test]
    fn a_pause_is_no_load_that_was_missing() {
        let mut held =
            test(End::Completed, &[(10, 10, 0.1, 0.0, 0), (10, 0, 0.1, 0.0, 0), (10, 10, 0.1, 0.0, 0)]);
        assert_eq!(reasons(&held).len(), 1);
        held.intervals[1].paused = true;
        assert_eq!(reasons(&held), [""; 0]);
    }

    #[test]
    fn a_capacity_search_drops_by_its_nature_and_is_judged_at_what_it_found() {
        let seconds = [
            (100.0, 100, 0, 0.2),
            (100.0, 100, 0, 0.2),
            (400.0, 200, 200, 0.99),
            (400.0, 200, 200, 0.99),
            (200.0, 120, 80, 0.5),
            (200.0, 120, 80, 0.5),
        ];
        let mut search = open(&seconds);
        let options = Options {
            executor: Some(ExecutorKind::FindCapacity),
            start_rate: Some(100),
            max_rate: Some(400),
            probe_duration: Some(Duration::from_secs(2)),
            pre_allocated_vus: Some(5),
            thresholds: vec!["iteration_duration: p(95)<100ms".parse().expect("valid")],
            ..Options::default()
        };
        search.document.outcome.workloads.insert("s".to_owned(), options.resolve().expect("valid"));
        let probe = |rate, started_at, holds| Probe {
            rate,
            started_at,
            seconds: 2.0,
            started: 0,
            dropped: 0,
            thresholds: Vec::new(),
            holds,
            reason: None,
            latency_ms: BTreeMap::new(),
        };
        let capacity = Capacity {
            time_unit: 1.0,
            probes: vec![probe(100, 0.0, true), probe(400, 2.0, false), probe(200, 4.0, false)],
            highest_held: Some(100),
            lowest_failed: Some(200),
            complete: true,
        };
        search.document.outcome.capacities.insert("s".to_owned(), capacity.clone());
        assert_eq!(reasons(&search), [""; 0]);
        let at_its_limit = Capacity { lowest_failed: Some(400), highest_held: None, ..capacity };
        search.document.outcome.capacities.insert("s".to_owned(), at_its_limit);
        assert!(reasons(&search)[0].contains("99 % of its CPU"), "{:?}", reasons(&search));
    }
}
