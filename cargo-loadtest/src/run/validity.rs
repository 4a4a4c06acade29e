//! Whether a measurement can be trusted: the load generator was not the bottleneck, nothing was lost, and
//! the load that was planned was made.
//!
//! The main function is [`reasons`]. It looks at the load generator only, never at how good the results are.

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
    let hold = hold(intervals);
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
    if test.document.outcome.end == End::Completed
        && let Some(offered) = test.offered(0..test.intervals.len()).filter(|offered| *offered < MIN_OFFERED)
    {
        reasons.push(format!(
            "only {:.1} % of the planned virtual users' time was offered (at least {:.0} % is needed)",
            // Never rounded up to the limit.
            (offered * 1000.0).floor() / 10.0,
            MIN_OFFERED * 100.0
        ));
    }
    reasons
}

/// The intervals at the plan's highest level: the others may have less load than the generator can bear.
fn hold(intervals: &[Interval]) -> Vec<&Interval> {
    let planned = |interval: &Interval| -> u64 {
        interval.scenarios.values().map(|state| u64::from(state.planned_vus)).sum()
    };
    let peak = intervals.iter().map(planned).max().unwrap_or(0);
    intervals
        .iter()
        .filter(|interval| interval.seconds >= MIN_RATE_SECONDS && planned(interval) == peak)
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

    use loadtest_core::options::Options;
    use loadtest_core::results::{GeneratorState, ScenarioState, TestDocument, TestOutcome};

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
}
