//! What must hold before numbers are compared, in this order: both sides did the same, to the end, on the
//! same class of machine, with a healthy generator, and offered the load that they planned.
//!
//! The main types are [`Stop`], why a test gets no verdict of the statistics, and [`Offered`], what to leave
//! out. Errors before latency, the next guard, is part of the judgement itself.
//!
//! Refuses to do: looking at latency, except to warn of a trend.

use loadtest_core::metric::{Builtin, Unit};
use loadtest_core::results::{End, Fingerprint, Interval};
use loadtest_core::units::format_millis;

use super::Verdict;
use super::extract::Measured;
use super::segments::{Basis, Window};
use crate::data::{
    MAX_GENERATOR_CPU as MOST_CPU, MAX_STEAL as MOST_STEAL, MIN_OFFERED as LEAST_OFFERED, RunData, TestData,
    successes,
};
use crate::stats::descriptive::{logarithm, mean, variance};
use crate::stats::dist::t_two_sided;
use crate::stats::{EventCounts, NotJudged};

/// Memory may differ by this share: what the kernel keeps for itself differs from boot to boot.
const MEMORY_TOLERANCE: f64 = 0.05;
/// Share of iterations that may be dropped without a word.
const DROPPED: f64 = 0.001;
/// How late one of a hundred iterations of an arrival rate may start: this share of the p95 of latency …
const MOST_LAG: f64 = 0.05;
/// … or this many milliseconds, whichever is longer.
const MOST_LAG_MS: f64 = 2.0;

/// Why a test is not judged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stop {
    /// The verdict instead.
    pub(super) verdict: Verdict,
    /// Why, and what to do.
    pub(super) reasons: Vec<String>,
}

fn stop(verdict: Verdict, reasons: Vec<String>) -> Result<(), Stop> {
    if reasons.is_empty() { Ok(()) } else { Err(Stop { verdict, reasons }) }
}

/// Guard 1: schema, load options and executors are equal. A changed body only warns: it is what a change of
/// the test looks like, and its numbers mean something else.
pub(super) fn same_load(
    runs: (&RunData, &RunData),
    base: &TestData,
    head: &TestData,
    again: &str,
) -> Result<Vec<String>, Stop> {
    let (old, new) = (runs.0.document.schema_version, runs.1.document.schema_version);
    let mut reasons = Vec::new();
    if old != new {
        reasons.push(format!(
            "the baseline has schema {old}, this run schema {new}; save a new one with {again}"
        ));
    }
    let (old, new) = (&base.document.outcome.workloads, &head.document.outcome.workloads);
    for (scenario, workload) in new {
        match old.get(scenario) {
            None => reasons.push(format!("the scenario {scenario} is not in the baseline")),
            Some(before) if before != workload => reasons.push(format!(
                "the load of {scenario} differs: {} in the baseline, {} in this run",
                with_warm_up(before),
                with_warm_up(workload)
            )),
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|scenario| !new.contains_key(*scenario));
    reasons.extend(gone.map(|scenario| format!("the scenario {scenario} of the baseline was not run")));
    if reasons.is_empty() && base.document.workload_hash != head.document.workload_hash {
        reasons.push("options that shape the load differ from the baseline's".to_owned());
    }
    if !reasons.is_empty() {
        reasons
            .push(format!("repeat the run with the baseline's options, or save a new baseline with {again}"));
        return Err(Stop { verdict: Verdict::NotComparable, reasons });
    }
    let mut warnings = Vec::new();
    for new in &head.document.definitions {
        let old = base.document.definitions.iter().find(|old| old.scenario == new.scenario);
        if old.is_some_and(|old| old.body_hash != new.body_hash) {
            warnings.push(format!(
                "the code of {} has changed since the baseline: a difference may come from the test itself",
                new.scenario
            ));
        }
    }
    Ok(warnings)
}

fn with_warm_up(workload: &loadtest_core::options::Workload) -> String {
    let shape = workload.shape.describe();
    if workload.warm_up.is_zero() {
        return shape;
    }
    format!("{shape}, warm-up {}", loadtest_core::units::format_duration(workload.warm_up))
}

/// Guard 2: the class of machine is the same.
pub(super) fn same_machine(base: &Fingerprint, head: &Fingerprint, again: &str) -> Result<(), Stop> {
    let name = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let close = |a: u64, b: u64| a.abs_diff(b) as f64 <= MEMORY_TOLERANCE * a.max(b) as f64;
    let rows = [
        ("CPU", base.cpu == head.cpu, name(&base.cpu), name(&head.cpu)),
        ("number of cores", base.cores == head.cores, base.cores.to_string(), head.cores.to_string()),
        (
            "memory",
            close(base.memory_bytes, head.memory_bytes),
            gib(base.memory_bytes),
            gib(head.memory_bytes),
        ),
        ("operating system", base.os == head.os, name(&base.os), name(&head.os)),
        ("architecture", base.arch == head.arch, name(&base.arch), name(&head.arch)),
        (
            "virtualisation",
            base.virtualisation == head.virtualisation,
            name(&base.virtualisation),
            name(&head.virtualisation),
        ),
    ];
    let mut reasons: Vec<String> = rows
        .into_iter()
        .filter(|(_, same, ..)| !same)
        .map(|(what, _, old, new)| format!("the {what} differs: {old} in the baseline, {new} here"))
        .collect();
    if !reasons.is_empty() {
        reasons.push(format!("compare on the machine of the baseline, or save one made here with {again}"));
    }
    stop(Verdict::Inconclusive, reasons)
}

/// What does not forbid a comparison, but belongs beside it.
pub(super) fn machine_warnings(base: &RunData, head: &RunData) -> Vec<String> {
    let (old, new) = (&base.document, &head.document);
    let mut warnings = Vec::new();
    if old.profile != new.profile {
        warnings.push(format!(
            "the build profile differs: {} in the baseline, {} in this run",
            old.profile, new.profile
        ));
    }
    for (what, old, new) in [
        ("compiler", &old.fingerprint.rustc, &new.fingerprint.rustc),
        ("kernel", &old.fingerprint.kernel, &new.fingerprint.kernel),
    ] {
        if old != new {
            warnings.push(format!("the {what} differs: {old} in the baseline, {new} in this run"));
        }
    }
    warnings
}

/// Both sides ran their whole plan: else they did not do the same.
pub(super) fn completed(base: &TestData, head: &TestData, again: &str) -> Result<(), Stop> {
    let how = |test: &TestData| match &test.document.outcome.end {
        End::Completed => None,
        End::Interrupted => Some("was interrupted"),
        End::Stopped => Some("was stopped"),
        End::Aborted { .. } => Some("was ended early"),
        End::SetupFailed { .. } => Some("failed in its setup"),
        End::Crashed { .. } => Some("crashed"),
    };
    let mut reasons = Vec::new();
    if let Some(how) = how(base) {
        reasons.push(format!("the baseline's run {how}; save a new one with {again}"));
    }
    if let Some(how) = how(head) {
        reasons.push(format!("this run {how}: only whole runs are compared"));
    }
    stop(Verdict::NotComparable, reasons)
}

/// Nobody changed the load of either side while it ran.
pub(super) fn undisturbed(base: &TestData, head: &TestData, again: &str) -> Result<(), Stop> {
    let how = |test: &TestData| {
        let outcome = &test.document.outcome;
        let mut found = Vec::new();
        if outcome.paused_seconds > 0.0 {
            found.push(format!("was paused for {}", format_millis(outcome.paused_seconds * 1_000.0)));
        }
        if outcome.scaled {
            found.push("had its virtual users scaled".to_owned());
        }
        found.join(" and ")
    };
    let mut reasons = Vec::new();
    let (old, new) = (how(base), how(head));
    if !old.is_empty() {
        reasons.push(format!("the baseline's run {old} while it ran; save a new one with {again}"));
    }
    if !new.is_empty() {
        reasons.push(format!("this run {new} while it ran: only runs that were left alone are compared"));
    }
    stop(Verdict::NotComparable, reasons)
}

/// Guard 3: the measurement can be trusted. What was found when a run ended counts first; the windows that
/// decide are looked at again, because they may be worse off than the run as a whole.
pub(super) fn healthy(
    base: (&TestData, &[Window]),
    head: (&TestData, &[Window]),
    again: &str,
) -> Result<(), Stop> {
    let of_base = troubles(base.0, base.1);
    let mut reasons = Vec::new();
    if !of_base.is_empty() {
        reasons.extend(of_base.iter().map(|trouble| format!("the baseline can't be trusted: {trouble}")));
        reasons.push(format!("save a new baseline with {again}"));
    }
    reasons.extend(
        troubles(head.0, head.1).iter().map(|trouble| format!("this run can't be trusted: {trouble}")),
    );
    stop(Verdict::Invalid, reasons)
}

fn troubles(test: &TestData, windows: &[Window]) -> Vec<String> {
    let mut found = test.document.invalid.clone();
    if !found.is_empty() {
        // The same trouble would only be told twice.
        return found;
    }
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    if let Some(cpu) = mean_over(test, windows, |interval| interval.generator.cpu)
        && cpu > MOST_CPU
    {
        found.push(format!(
            "the load generator used {} of its CPU time (at most {}); use fewer virtual users or more cores",
            percent(cpu),
            percent(MOST_CPU)
        ));
    }
    if let Some(steal) = mean_over(test, windows, |interval| interval.generator.steal)
        && steal > MOST_STEAL
    {
        found.push(format!(
            "the hypervisor gave {} of the CPU time to others (at most {}); use a quieter machine",
            percent(steal),
            percent(MOST_STEAL)
        ));
    }
    let lost = test.generator_use().lost_samples;
    if lost > 0 {
        found.push(format!("{lost} samples were lost because recording could not follow; lower the load"));
    }
    let offered = test.offered(windows.iter().map(|window| window.position));
    if let Some(users) = offered.users
        && users < LEAST_OFFERED
    {
        found.push(format!(
            "only {} of the planned virtual users were active (at least {})",
            percent(users),
            percent(LEAST_OFFERED)
        ));
    }
    found.extend(offered.starts.shortfall());
    found.extend(late_starts(test, windows));
    found
}

/// That arrival rates started their iterations too late for their latencies to be those of the plan.
fn late_starts(test: &TestData, windows: &[Window]) -> Option<String> {
    let positions: Vec<usize> = windows.iter().map(|window| window.position).collect();
    let lag = test.total_at(Builtin::ScheduleLag.name(), |_| true, &positions);
    let latency = test.total_at(test.latency_metric(), successes, &positions);
    let lag = lag.quantile(0.99, Unit::Millis)?;
    let most = f64::max(MOST_LAG_MS, MOST_LAG * latency.quantile(0.95, Unit::Millis).unwrap_or(0.0));
    (lag > most).then(|| {
        format!(
            "one of a hundred iterations started {} late or later (at most {}): the load generator could not keep \
             the rate; use more cores or a lower rate",
            format_millis(lag),
            format_millis(most)
        )
    })
}

/// The mean over the deciding windows that tell; a single one tells too little.
fn mean_over(test: &TestData, windows: &[Window], of: impl Fn(&Interval) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = windows.iter().filter_map(|window| of(&test.intervals[window.position])).collect();
    if values.len() < 2 { None } else { mean(&values) }
}

/// Guard 4: whether latencies belong to the same load.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offered {
    /// Why latency may not be judged.
    pub(super) latency_withheld: Option<NotJudged>,
    /// What the reader should know.
    pub(super) warnings: Vec<String>,
}

/// Dropped iterations on one side only: the latencies belong to different loads. More than 1 % on a side of
/// an arrival rate (`open`): they belong to another load than the planned one; iterations that users who loop
/// by themselves never got to were no load. The share itself is compared all the same.
pub(super) fn offered(base: &EventCounts, head: &EventCounts, open: bool) -> Offered {
    let percent = |counts: &EventCounts| format!("{:.2} %", counts.rate() * 100.0);
    let one_side = (base.rate() > DROPPED) != (head.rate() > DROPPED);
    let too_many = open && base.rate().max(head.rate()) > 1.0 - LEAST_OFFERED;
    if !one_side && !too_many {
        return Offered { latency_withheld: None, warnings: Vec::new() };
    }
    let warning = format!(
        "{} of the planned iterations were dropped in the baseline, {} in this run: latency is not judged; \
         lower the load or give it more time and users",
        percent(base),
        percent(head)
    );
    Offered { latency_withheld: Some(NotJudged::DroppedOnOneSide), warnings: vec![warning] }
}

/// Batches that a run is divided into to look for a trend.
const TREND_BATCHES: usize = 6;
/// Fewest windows for that.
const TREND_WINDOWS: usize = 12;
/// Two-sided level of the slope.
const TREND_LEVEL: f64 = 0.01;
/// Smallest drift over the run that is worth a word, as a share.
const TREND_DRIFT: f64 = 0.10;

/// Guard 6: whether the p95 of the windows drifts within a run. The windows' logarithms are averaged in six
/// batches, because neighbours resemble each other, and a straight line is fitted; it counts if its slope
/// differs from 0 at 1 % (two-sided t test, 4 degrees of freedom) and it moves by 10 % or more over the
/// run. Ramps drift by their nature and are left alone, and so are several holds.
pub(super) fn trend(side: &Measured, basis: Basis, who: &str) -> Option<String> {
    let one_segment = side.windows.windows(2).all(|pair| pair[0].segment == pair[1].segment);
    let logs: Vec<f64> = side.p95.windows.iter().filter_map(|window| logarithm((*window)?)).collect();
    if basis == Basis::Ramps || !one_segment || logs.len() < TREND_WINDOWS {
        return None;
    }
    let n = logs.len();
    let batches: Vec<f64> = (0..TREND_BATCHES)
        .filter_map(|i| mean(&logs[i * n / TREND_BATCHES..(i + 1) * n / TREND_BATCHES]))
        .collect();
    let k = TREND_BATCHES as f64;
    let centre = (k - 1.0) / 2.0;
    let sum_of_squares = k * (k * k - 1.0) / 12.0;
    let slope =
        batches.iter().enumerate().map(|(i, y)| (i as f64 - centre) * y).sum::<f64>() / sum_of_squares;
    let total = variance(&batches)? * (k - 1.0);
    let residual = (total - slope * slope * sum_of_squares).max(0.0) / (k - 2.0);
    let drift = slope * (k - 1.0);
    let p = t_two_sided(slope / (residual / sum_of_squares).sqrt(), k - 2.0);
    (p < TREND_LEVEL && drift.abs() >= TREND_DRIFT.ln_1p()).then(|| {
        format!(
            "p95 of {who} went from 1 to {:.2} in the course of the run: it had not settled; a longer \
             `warm_up` may help",
            drift.exp()
        )
    })
}
