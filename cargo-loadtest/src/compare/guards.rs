//! What must hold before numbers are compared, in this order: both sides did the same, to the end, on the
//! same class of machine, with a healthy generator, and offered the load that they planned.
//!
//! The main types are [`Run`], what is looked at, and [`Stop`], why a test gets no verdict of the statistics.
//! Errors before latency, the next guard, is part of the judgement itself; a trend only warns.
//!
//! Refuses to do: looking at latency.

use std::collections::BTreeMap;

use loadtest_core::metric::{Builtin, Unit};
use loadtest_core::results::{End, Fingerprint, Interval};
use loadtest_core::units::format_millis;

use super::segments::Window;
use super::wording::Voice;
use super::{SideName, Verdict};
use crate::data::{
    MAX_GENERATOR_CPU as MOST_CPU, MAX_STEAL as MOST_STEAL, MIN_OFFERED as LEAST_OFFERED, RunData, TestData,
    successes,
};
use crate::session::is_same_class;
use crate::stats::descriptive::mean;
use crate::stats::{EventCounts, NotJudged};

/// Share of iterations that may be dropped without a word.
const DROPPED: f64 = 0.001;
/// How late one of a hundred iterations of an arrival rate may start: this share of the p95 of latency …
const MOST_LAG: f64 = 0.05;
/// … or this many milliseconds, whichever is longer.
const MOST_LAG_MS: f64 = 2.0;
/// Names, in a sentence about several things that are wrong.
const SHOWN_TROUBLES: usize = 4;

/// One run of a test.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    /// The run.
    pub(super) run: &'a RunData,
    /// Its part about the test.
    pub(super) test: &'a TestData,
}

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

/// Guard 1: schema, load options and executors are equal in all runs. A changed body only warns: it is what a
/// change of the test looks like, and its numbers mean something else. Where head's test drives both sides, it is
/// the same.
pub(super) fn same_load(base: &[Run<'_>], head: &[Run<'_>], voice: &Voice) -> Result<Vec<String>, Stop> {
    let Some(reference) = head.first() else { return Ok(Vec::new()) };
    let mut warnings = Vec::new();
    for run in base {
        for warning in same_load_of(*run, *reference, voice)? {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    if head.iter().any(|run| run.test.document.workload_hash != reference.test.document.workload_hash) {
        let reason = format!("the runs of {} did not all have the same load", voice.side(SideName::Head));
        return Err(Stop { verdict: Verdict::NotComparable, reasons: vec![reason] });
    }
    Ok(warnings)
}

fn same_load_of(base: Run<'_>, head: Run<'_>, voice: &Voice) -> Result<Vec<String>, Stop> {
    let (in_base, in_head) = (voice.side(SideName::Base), voice.side(SideName::Head));
    let (old, new) = (base.run.document.schema_version, head.run.document.schema_version);
    let (base, head) = (base.test, head.test);
    let mut reasons = Vec::new();
    if old != new {
        reasons.push(format!(
            "{in_base} has schema {old}, {in_head} schema {new}{}",
            voice.or_save("a new one")
        ));
    }
    let (old, new) = (&base.document.outcome.workloads, &head.document.outcome.workloads);
    for (scenario, workload) in new {
        match old.get(scenario) {
            None => reasons.push(format!("the scenario {scenario} is not in {in_base}")),
            Some(before) if before != workload => reasons.push(format!(
                "the load of {scenario} differs: {} in {in_base}, {} in {in_head}",
                with_warm_up(before),
                with_warm_up(workload)
            )),
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|scenario| !new.contains_key(*scenario));
    reasons.extend(gone.map(|scenario| format!("the scenario {scenario} of {in_base} was not run")));
    if reasons.is_empty() && base.document.workload_hash != head.document.workload_hash {
        reasons.push(format!("options that shape the load differ from those of {in_base}"));
    }
    let (old, new) = (base.document.outcome.workers, head.document.outcome.workers);
    if reasons.is_empty() && old != new {
        reasons.push(format!(
            "the load generator had {old} worker threads in {in_base} and {new} in {in_head} (`--pin`, `--workers`)"
        ));
    }
    if !reasons.is_empty() {
        if let Some(advice) = voice.save("a new baseline") {
            reasons.push(format!("repeat the run with the baseline's options, or {advice}"));
        }
        return Err(Stop { verdict: Verdict::NotComparable, reasons });
    }
    let bodies = |test: &TestData| {
        let own = |definition: &loadtest_core::results::Definition| {
            (definition.scenario.clone(), definition.body_hash.clone())
        };
        test.document.definitions.iter().map(own).collect()
    };
    Ok(changed_bodies(&bodies(base), &bodies(head), voice))
}

/// A warning for each scenario whose code has changed.
pub(super) fn changed_bodies(
    base: &BTreeMap<String, String>,
    head: &BTreeMap<String, String>,
    voice: &Voice,
) -> Vec<String> {
    let changed = head.iter().filter(|(scenario, body)| base.get(*scenario).is_some_and(|old| old != *body));
    let warning = |(scenario, _): (&String, &String)| {
        format!(
            "the code of {scenario} has changed since {}: a difference may come from the test itself",
            voice.side(SideName::Base)
        )
    };
    changed.map(warning).collect()
}

fn with_warm_up(workload: &loadtest_core::options::Workload) -> String {
    let shape = workload.shape.describe();
    if workload.warm_up.is_zero() {
        return shape;
    }
    format!("{shape}, warm-up {}", loadtest_core::units::format_duration(workload.warm_up))
}

/// Guard 2: the class of machine is the same.
pub(super) fn same_machine(base: &Fingerprint, head: &Fingerprint, voice: &Voice) -> Result<(), Stop> {
    if is_same_class(base, head) {
        return Ok(());
    }
    let name = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    // Memory differs within a class; what it is compared by is the class's affair.
    let memory_alone = is_same_class(&Fingerprint { memory_bytes: base.memory_bytes, ..head.clone() }, head);
    let rows = [
        ("CPU", base.cpu == head.cpu, name(&base.cpu), name(&head.cpu)),
        ("number of cores", base.cores == head.cores, base.cores.to_string(), head.cores.to_string()),
        ("memory", memory_alone, gib(base.memory_bytes), gib(head.memory_bytes)),
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
    let or = voice.save("one made here").map_or_else(String::new, |advice| format!(", or {advice}"));
    reasons.push(format!("compare on the machine of the baseline{or}"));
    stop(Verdict::Inconclusive, reasons)
}

/// What does not forbid a comparison, but belongs beside it: the fingerprint and profile of each side.
pub(super) fn machine_warnings(base: (&Fingerprint, &str), head: (&Fingerprint, &str)) -> Vec<String> {
    let rows = [
        ("build profile", base.1, head.1),
        ("compiler", &base.0.rustc, &head.0.rustc),
        ("kernel", &base.0.kernel, &head.0.kernel),
    ];
    let differs = rows.into_iter().filter(|(_, old, new)| old != new);
    differs
        .map(|(what, old, new)| format!("the {what} differs: {old} in the baseline, {new} in this run"))
        .collect()
}

/// Both sides ran their whole plan: else they did not do the same.
pub(super) fn completed(base: &[Run<'_>], head: &[Run<'_>], voice: &Voice) -> Result<(), Stop> {
    let advice = |side| match side {
        SideName::Base => voice.or_save("a new one"),
        SideName::Head => ": only whole runs are compared".to_owned(),
    };
    stop(Verdict::NotComparable, about_runs(base, head, voice, cut_short, advice))
}

/// How a test ended before its time.
pub(super) fn cut_short(test: &TestData) -> Option<String> {
    let how = match &test.document.outcome.end {
        // Half a load on a service that is gone.
        End::Completed => {
            return test
                .document
                .outcome
                .services_died
                .first()
                .map(|died| format!("lost its service ({died})"));
        }
        End::Interrupted => "was interrupted",
        End::Stopped => "was stopped",
        End::Aborted { .. } => "was ended early",
        End::SetupFailed { .. } => "failed in its setup",
        End::Crashed { .. } => "crashed",
    };
    Some(how.to_owned())
}

/// Nobody changed the load of either side while it ran.
pub(super) fn undisturbed(base: &[Run<'_>], head: &[Run<'_>], voice: &Voice) -> Result<(), Stop> {
    let advice = |side| match side {
        SideName::Base => format!(" while it ran{}", voice.or_save("a new one")),
        SideName::Head => " while it ran: only runs that were left alone are compared".to_owned(),
    };
    stop(Verdict::NotComparable, about_runs(base, head, voice, tampered, advice))
}

/// What someone did to the load of a run.
pub(super) fn tampered(test: &TestData) -> Option<String> {
    let outcome = &test.document.outcome;
    let mut found = Vec::new();
    if outcome.paused_seconds > 0.0 {
        found.push(format!("was paused for {}", format_millis(outcome.paused_seconds * 1_000.0)));
    }
    if outcome.scaled {
        found.push("had its virtual users scaled".to_owned());
    }
    (!found.is_empty()).then(|| found.join(" and "))
}

/// A sentence for each side of which some runs have a trouble, with that of the first of them.
fn about_runs(
    base: &[Run<'_>],
    head: &[Run<'_>],
    voice: &Voice,
    trouble: fn(&TestData) -> Option<String>,
    advice: impl Fn(SideName) -> String,
) -> Vec<String> {
    let mut reasons = Vec::new();
    for (side, runs) in [(SideName::Base, base), (SideName::Head, head)] {
        let found: Vec<String> = runs.iter().filter_map(|run| trouble(run.test)).collect();
        if let Some(first) = found.first() {
            let who = voice.runs(side, found.len(), runs.len());
            reasons.push(format!("{who} {first}{}", advice(side)));
        }
    }
    reasons
}

/// Guard 3, of comparisons with what is stored: the measurements of all runs can be trusted.
pub(super) fn healthy(
    base: &[(Run<'_>, Vec<Window>)],
    head: &[(Run<'_>, Vec<Window>)],
    voice: &Voice,
) -> Result<(), Stop> {
    let mut reasons = Vec::new();
    for (side, runs) in [(SideName::Base, base), (SideName::Head, head)] {
        let found: Vec<String> = runs.iter().flat_map(|(run, windows)| troubles(run.test, windows)).collect();
        let more = found.len().saturating_sub(SHOWN_TROUBLES);
        let who = voice.side(side);
        reasons
            .extend(found.iter().take(SHOWN_TROUBLES).map(|what| format!("{who} can't be trusted: {what}")));
        if more > 0 {
            reasons.push(format!("{who}: {more} more of these"));
        }
        if let (SideName::Base, false, Some(advice)) = (side, found.is_empty(), voice.save("a new baseline"))
        {
            reasons.push(advice);
        }
    }
    stop(Verdict::Invalid, reasons)
}

/// Why the measurement of a run can't be trusted. What was found when it ended counts first; the windows that
/// decide are looked at again, because they may be worse off than the run as a whole.
pub(super) fn troubles(test: &TestData, windows: &[Window]) -> Vec<String> {
    if !test.document.invalid.is_empty() {
        // The same trouble would only be told twice.
        return test.document.invalid.clone();
    }
    let mut found = in_windows(test, windows);
    found.extend(offered_in(test, windows).starts.shortfall());
    found
}

/// The same without starts that were dropped for want of a free virtual user, of which the service may be the reason: no
/// pair is left out for its result. Latency is not judged then (guard 4), and the share that was dropped is.
pub(super) fn troubles_of_generator(test: &TestData, windows: &[Window]) -> Vec<String> {
    let shortfall = test.offered(0..test.intervals.len()).starts.shortfall();
    let found = test.document.invalid.iter().filter(|trouble| Some(*trouble) != shortfall.as_ref());
    let found: Vec<String> = found.cloned().collect();
    if found.is_empty() { in_windows(test, windows) } else { found }
}

fn offered_in(test: &TestData, windows: &[Window]) -> crate::data::Offered {
    test.offered(windows.iter().map(|window| window.position))
}

fn in_windows(test: &TestData, windows: &[Window]) -> Vec<String> {
    let mut found = Vec::new();
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
    if let Some(users) = offered_in(test, windows).users
        && users < LEAST_OFFERED
    {
        found.push(format!(
            "only {} of the planned virtual users were active (at least {})",
            percent(users),
            percent(LEAST_OFFERED)
        ));
    }
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
pub(super) fn offered(base: &EventCounts, head: &EventCounts, open: bool, voice: &Voice) -> Offered {
    let percent = |counts: &EventCounts| format!("{:.2} %", counts.rate() * 100.0);
    let one_side = (base.rate() > DROPPED) != (head.rate() > DROPPED);
    let too_many = open && base.rate().max(head.rate()) > 1.0 - LEAST_OFFERED;
    if !one_side && !too_many {
        return Offered { latency_withheld: None, warnings: Vec::new() };
    }
    let warning = format!(
        "{} of the planned iterations were dropped in {}, {} in {}: latency is not judged; lower the load or give \
         it more time and users",
        percent(base),
        voice.side(SideName::Base),
        percent(head),
        voice.side(SideName::Head)
    );
    Offered { latency_withheld: Some(NotJudged::DroppedOnOneSide), warnings: vec![warning] }
}
