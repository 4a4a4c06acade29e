//! The evidence of a fresh session against earlier ones: one value of each metric for each session.
//!
//! The main function is [`evidence`]. Refuses to do: assuming a spread. The history shows it.

use super::super::extract::Measured;
use super::super::wording::Voice;
use super::super::{MetricKind, SideName};
use super::{Catalogue, Evidence, Found, Setting, Spec, What, infinite, over_runs, rate};
use crate::session::{RunValue, RunValues, TestRecord};
use crate::stats::descriptive::{logarithm, mean};
use crate::stats::{Effect, EventCounts, NotJudged, history};

/// The evidence of head's runs against these sessions, which are comparable.
pub(in super::super) fn evidence(
    sessions: &[&TestRecord],
    head: &[&Measured],
    setting: &Setting<'_>,
    voice: &Voice,
) -> Evidence {
    let catalogue = Catalogue::of(&[], head, setting, voice);
    let mut evidence = Evidence::new(&catalogue);
    for spec in &catalogue.specs {
        let found = match &spec.what {
            What::Events(of) => events(spec, sessions, head, *of),
            What::Endpoints(names) => {
                let known = |name: &&String| sessions.iter().all(|session| has_endpoint(session, name));
                let both: Vec<String> = names.iter().filter(known).cloned().collect();
                if both.len() < names.len() {
                    evidence.notes.push(format!(
                        "endpoint p95: of {} of {} endpoints, because earlier sessions have no p95 of the others",
                        both.len(),
                        names.len()
                    ));
                }
                let spec = Spec { what: What::Endpoints(both.clone()), ..spec.clone() };
                ratio(&spec, sessions, head, setting, voice, |run| geometric_mean(run, &both))
            }
            _ => ratio(spec, sessions, head, setting, voice, |run| run.get(&spec.name)?.value),
        };
        evidence.push(spec, found, &setting.rule);
    }
    evidence
}

fn has_endpoint(session: &TestRecord, name: &str) -> bool {
    runs(session).all(|run| endpoint(run, name).is_some())
}

/// The runs that can be trusted: the others of a duet keep no value.
fn runs(session: &TestRecord) -> impl Iterator<Item = &RunValues> {
    session.head.iter().filter(|run| !run.is_empty())
}

fn endpoint(run: &RunValues, name: &str) -> Option<f64> {
    run.get(&format!("p95 {name}"))?.value
}

fn geometric_mean(run: &RunValues, names: &[String]) -> Option<f64> {
    let logs: Option<Vec<f64>> = names.iter().map(|name| logarithm(endpoint(run, name)?)).collect();
    mean(&logs?).map(f64::exp)
}

fn ratio(
    spec: &Spec,
    sessions: &[&TestRecord],
    head: &[&Measured],
    setting: &Setting<'_>,
    voice: &Voice,
    value: impl Fn(&RunValues) -> Option<f64>,
) -> Found {
    let of_session = |session: &&TestRecord| over_runs(&runs(session).map(&value).collect::<Vec<_>>());
    let base_runs: Vec<Option<f64>> = sessions.iter().map(of_session).collect();
    let head_runs: Vec<Option<f64>> = head.iter().map(|run| spec.value(run)).collect();
    let earlier: Vec<f64> = base_runs.iter().copied().flatten().collect();
    let fresh = over_runs(&head_runs);
    let count = head.iter().map(|run| spec.series(run).count).min().unwrap_or(0);
    let withheld = setting.latency_withheld.filter(|_| spec.kind == MetricKind::Latency);
    let effect = match (withheld, fresh) {
        (Some(reason), _) => Err(reason),
        (None, _) if count < spec.needed => {
            Err(NotJudged::TooFewSuccesses { needed: spec.needed, base: spec.needed, head: count })
        }
        (None, None) => Err(NotJudged::NoRatio),
        (None, Some(fresh)) if spec.kind == MetricKind::Throughput => {
            let seconds: usize = head.iter().map(|run| run.windows.len()).sum();
            history::throughput(&earlier, fresh, 0.5 / seconds.max(1) as f64)
        }
        (None, Some(fresh)) => history::ratio(&earlier, fresh),
    };
    let endless =
        matches!(spec.what, What::Infinite) && fresh.is_none() && head.iter().any(|run| run.failures > 0);
    Found {
        base: over_runs(&earlier.iter().copied().map(Some).collect::<Vec<_>>()),
        head: fresh,
        effect,
        pairs: 1,
        min_effect: None,
        reason: endless.then(|| infinite(&[voice.side(SideName::Head)])).flatten(),
        base_runs,
        head_runs,
    }
}

fn events(
    spec: &Spec,
    sessions: &[&TestRecord],
    head: &[&Measured],
    of: fn(&Measured) -> &EventCounts,
) -> Found {
    let sum = |runs: &mut dyn Iterator<Item = (u64, u64)>| {
        runs.fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1))
    };
    let known = |run: &RunValues| run.get(&spec.name).and_then(|value: &RunValue| value.events);
    let earlier: Vec<(u64, u64)> = sessions
        .iter()
        .filter_map(|session| {
            let runs: Option<Vec<(u64, u64)>> = runs(session).map(known).collect();
            Some(sum(&mut runs?.into_iter()))
        })
        .filter(|(_, trials)| *trials > 0)
        .collect();
    let fresh = sum(&mut head.iter().map(|run| (of(run).events, of(run).trials)));
    let share = |(events, trials): (u64, u64)| (trials > 0).then(|| events as f64 / trials as f64);
    let effect: Result<Effect, NotJudged> = history::events(&earlier, fresh);
    Found {
        base: share(sum(&mut earlier.iter().copied())),
        head: share(fresh),
        effect,
        pairs: 1,
        min_effect: None,
        reason: None,
        base_runs: earlier.iter().map(|counts| share(*counts)).collect(),
        head_runs: head.iter().map(|run| rate(of(run))).collect(),
    }
}
