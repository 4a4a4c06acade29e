//! How the load went: each scenario's share in it, what a constant rate of starts hides or shows, and what
//! someone did to the run from outside.

use loadtest_core::metric::{Builtin, Totals, Unit, tag};
use loadtest_core::options::{Shape, Workload};
use loadtest_core::results::End;
use loadtest_core::units::{format_count, format_duration, format_millis, format_percent, format_rate};
use serde::Serialize;

use super::capacity::capacity_lines;
use super::tables::starts;
use crate::data::{TestData, successes};
use crate::report::clean;

/// Starts later than this at the 99th percentile, in milliseconds, are told.
const LATE_MS: f64 = 10.0;
/// Share of its CPU budget from which a late load generator is late by itself.
const BUSY_CPU: f64 = 0.6;

/// A scenario's share in a test.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct ScenarioView {
    /// Its name.
    pub name: String,
    /// Its executor in a sentence.
    pub load: String,
    /// When it starts, `0s` with the test.
    pub start: String,
    /// The most virtual users that were active.
    pub vus: String,
    /// Iterations: started, completed, failed, interrupted, dropped.
    pub iterations: [String; 5],
    /// Requests, operations or iterations per second over the time that it was at work.
    pub rate: String,
    /// The 95th percentile of its successes.
    pub p95: String,
    /// Whether some failed.
    pub failed: bool,
    /// Whether some were dropped.
    pub dropped: bool,
}

/// Names of [`ScenarioView::iterations`].
pub(in crate::report) const ITERATIONS: [&str; 5] =
    ["started", "completed", "failed", "interrupted", "dropped"];

/// What [`ScenarioView::rate`] counts.
pub(in crate::report) fn rate_name(test: &TestData) -> &'static str {
    match test.latency_metric() {
        "http_req_duration" => "requests",
        "measure_duration" => "operations",
        _ => "iterations",
    }
}

/// The scenarios of a test.
pub(in crate::report) fn scenarios(test: &TestData) -> Vec<ScenarioView> {
    let parts = test
        .total_by(test.latency_metric(), |tags| Some((tags.get(tag::SCENARIO)?.clone(), successes(tags))));
    let view = |(name, workload): (&String, &Workload)| {
        let part = |success: bool| parts.get(&(name.clone(), success));
        let count: u64 = [true, false].into_iter().filter_map(part).map(|totals| totals.count).sum();
        let seconds = test.active_seconds(name);
        let p95 = part(true).and_then(|totals| totals.quantile(0.95, Unit::Millis));
        let state = test.final_state(name);
        let active = test
            .intervals
            .iter()
            .filter_map(|i| i.scenarios.get(name))
            .map(|state| state.vus.max(state.peak_vus))
            .max();
        let counts = [state.started, state.completed, state.failed, state.interrupted, state.dropped];
        ScenarioView {
            name: clean::clip(&clean::line(name), 80),
            load: describe(&workload.shape),
            start: format_duration(workload.start_time),
            vus: format_count(active.unwrap_or(0).into()),
            iterations: counts.map(|count| format_count(count as f64)),
            rate: if seconds > 0.0 { format_rate(count as f64 / seconds) } else { "–".to_owned() },
            p95: p95.map_or_else(|| "–".to_owned(), format_millis),
            failed: state.failed > 0,
            dropped: state.dropped > 0,
        }
    };
    test.document.outcome.workloads.iter().map(view).collect()
}

/// A workload in a line: its executor, and when it starts if that is not at once.
pub(in crate::report) fn sentence(workload: &Workload) -> String {
    let load = describe(&workload.shape);
    if workload.start_time.is_zero() {
        return load;
    }
    format!("{load}, from {} on", format_duration(workload.start_time))
}

/// An executor with its values, those of a plan of a thousand stages in short.
fn describe(shape: &Shape) -> String {
    let text = shape.describe();
    if text.len() <= 300 {
        return text;
    }
    let length = format_millis(shape.regular_duration().as_secs_f64() * 1_000.0);
    format!("{}: up to {} VUs over {length}", shape.kind(), shape.max_vus())
}

/// What belongs to a test's end without being good or bad: the capacity that was found, pauses, how it was
/// stopped.
pub(in crate::report) fn notes(test: &TestData) -> Vec<String> {
    let outcome = &test.document.outcome;
    let mut notes: Vec<String> =
        capacity_lines(test).into_iter().map(|(name, found)| format!("{name}: {found}")).collect();
    if outcome.end == End::Stopped {
        notes.push(format!(
            "stopped by `cargo loadtest stop` after {}",
            format_millis(outcome.load_seconds * 1_000.0)
        ));
    }
    notes.extend(pauses(test));
    if outcome.scaled {
        notes.push("the number of virtual users was changed by `cargo loadtest scale`".to_owned());
    }
    notes
}

/// When and for how long the load was held.
fn pauses(test: &TestData) -> Option<String> {
    const SPANS: usize = 5;
    let spans = test.paused_spans();
    let mut seconds = test.document.outcome.paused_seconds;
    if seconds <= 0.0 {
        // A test that died did not say how long.
        seconds = spans.iter().map(|(from, to)| to - from).sum();
    }
    if seconds <= 0.0 {
        return None;
    }
    let text = |(from, to): &(f64, f64)| format!("{from:.0}s to {to:.0}s");
    let mut when: Vec<String> = spans.iter().take(SPANS).map(text).collect();
    if spans.len() > SPANS {
        when.push(format!("{} more times", spans.len() - SPANS));
    }
    let when = if when.is_empty() { String::new() } else { format!(" ({})", when.join(", ")) };
    Some(format!("the load was paused for {}{when}", format_millis(seconds * 1_000.0)))
}

/// That iterations of arrival rates started late, if they did, and why that may be.
pub(in crate::report) fn late(test: &TestData) -> Option<String> {
    let p99 = test.schedule_lag()?.p99_ms.filter(|lag| *lag > LATE_MS)?;
    let why = match test.generator_use().cpu_mean {
        Some(cpu) if cpu >= BUSY_CPU => format!(
            "with {} of its CPU in use the load generator is near its limit: use more cores or a lower rate",
            format_percent(cpu)
        ),
        Some(cpu) => format!(
            "the load generator used only {} of its CPU, so something else kept the machine busy",
            format_percent(cpu)
        ),
        None => "the load generator or the machine was too busy".to_owned(),
    };
    Some(format!(
        "One of a hundred iterations started {} late or later: {why}. Read the durations from the intended start.",
        format_millis(p99)
    ))
}

/// The durations of iterations from their actual and from their intended start.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct Omission {
    /// Name, from the actual start, from the intended start.
    pub rows: Vec<[String; 3]>,
    /// What the difference means.
    pub meaning: String,
}

/// Both of the scenarios that plan their starts; `None` if there is none or no iteration ended.
pub(in crate::report) fn omission(test: &TestData) -> Option<Omission> {
    let of = |metric: Builtin| test.total(metric.name(), |tags| test.of_open_scenario(tags));
    let (actual, intended) = (of(Builtin::IterationDuration), of(Builtin::IterationScheduledDuration));
    if actual.count == 0 || intended.count == 0 {
        return None;
    }
    let quantile = |totals: &Totals, q| totals.quantile(q, Unit::Millis).unwrap_or_default();
    let mut rows: Vec<[String; 3]> = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)]
        .map(|(name, q)| {
            let value = |totals: &Totals| format_millis(quantile(totals, q));
            [name.to_owned(), value(&actual), value(&intended)]
        })
        .to_vec();
    rows.push(["max".to_owned(), format_millis(actual.max), format_millis(intended.max)]);
    let (short, long) = (quantile(&actual, 0.95), quantile(&intended, 0.95));
    let waited = long > short * 1.05 && long - short > 1.0;
    let starts = starts(test);
    let difference = match (waited, starts.dropped) {
        (true, _) => {
            "Iterations waited for their turn: who measures from the actual start leaves that wait out (coordinated \
             omission), and users would not."
        }
        (false, 0) => {
            "Both are nearly the same: iterations started when they were meant to, so nothing is left out (no \
             coordinated omission)."
        }
        (false, _) => "For the iterations that ran both are nearly the same.",
    };
    let never = (starts.dropped > 0).then(|| {
        format!(
            "{} of {} planned starts never ran and are in neither column: no duration here tells how those would \
             have fared. ",
            format_count(starts.dropped as f64),
            format_count(starts.planned() as f64)
        )
    });
    Some(Omission { rows, meaning: format!("{}{difference}", never.unwrap_or_default()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn late_starts_are_told_with_their_likely_cause() {
        let mut test = sample::open::arrivals();
        // The stall of one second in twenty is the worst hundredth.
        assert!(late(&test).is_some_and(|text| text.contains("something else kept the machine busy")));
        for interval in &mut test.intervals {
            interval.generator.cpu = Some(0.75);
        }
        let text = late(&test).expect("said");
        assert!(text.contains("75.00% of its CPU in use") && text.contains("near its limit"), "{text}");
        assert_eq!(late(&sample::open::search()), None);
        assert_eq!(late(&sample::test(&sample::recipe())), None);
    }

    #[test]
    fn starts_that_never_ran_are_said_to_be_missing_and_small_differences_are_none() {
        let mut test = sample::open::arrivals();
        let of = |test: &TestData| omission(test).expect("planned").meaning;
        let text = of(&test);
        assert!(text.starts_with("69 of 2,000 planned starts never ran and are in neither column"), "{text}");
        assert!(!text.contains("nothing is left out") && text.contains("nearly the same"), "{text}");
        for state in test.document.outcome.scenarios.values_mut() {
            state.dropped = 0;
        }
        // The p99 differs, the p95 by little.
        assert!(of(&test).starts_with("Both are nearly the same"), "{}", of(&test));
        let scheduled = Builtin::IterationScheduledDuration;
        let id = test.series().iter().find(|def| def.metric.name == scheduled.name()).map(|def| def.id);
        for interval in &mut test.intervals {
            let (_, totals) =
                interval.series.iter_mut().find(|(known, _)| Some(*known) == id).expect("measured");
            (0..50).for_each(|_| totals.record(scheduled.def().kind, Unit::Millis.scale(), 90.0));
        }
        assert!(of(&test).starts_with("Iterations waited for their turn"), "{}", of(&test));
    }

    #[test]
    fn the_lag_is_measured_where_starts_are_planned_and_a_difference_elsewhere() {
        let lag = sample::open::arrivals().schedule_lag().expect("measured");
        assert!(lag.p99_ms.is_some_and(|p99| p99 > 20.0) && lag.mean_ms < 2.0, "{lag:?}");
        let lag = sample::test(&sample::recipe()).schedule_lag().expect("told");
        assert!(lag.p99_ms.is_none() && (lag.mean_ms - 0.12).abs() < 1e-6, "{lag:?}");
    }

    #[test]
    fn the_load_that_was_offered_counts_starts_of_rates_and_users_of_the_rest() {
        let test = sample::open::arrivals();
        let offered = test.offered(0..20);
        assert_eq!((offered.users, offered.starts.planned(), offered.starts.dropped), (None, 2_000, 69));
        assert_eq!(test.offered(0..12).starts.share(), Some(1.0));
        let mixed = sample::open::mixed();
        let offered = mixed.offered(0..20);
        // Neither the pause nor the time before the second scenario is load that was missing.
        assert_eq!((offered.users, offered.starts.planned()), (Some(1.0), 1_000));
        let search = sample::open::search();
        assert_eq!(search.offered(0..search.intervals.len()).starts.planned(), 0);
    }

    #[test]
    fn a_probe_that_says_no_latency_has_that_of_its_whole_seconds_alone() {
        let test = sample::open::search();
        let capacity = &test.document.outcome.capacities["seats"];
        let mut probe = capacity.probes[1].clone();
        probe.latency_ms.clear();
        assert_eq!(test.within(&probe), [4, 5, 6]);
        assert!(test.probe_latency("seats", &probe).iter().all(Option::is_some));
        assert_eq!(test.probe_latency("other", &probe), [None; 3]);
        (probe.started_at, probe.seconds) = (4.5, 1.9);
        assert_eq!(test.within(&probe), [5]);
    }
}
