//! The evidence of a duet: each metric's values pair by pair.
//!
//! The main function is [`evidence`]. Refuses to do: leaving out a pair for its value. Which pairs can be used is
//! decided before.

use super::super::extract::Measured;
use super::super::noise::Noise;
use super::super::wording::{Voice, percent};
use super::super::{MetricKind, SideName};
use super::{
    Catalogue, Evidence, FEWEST_WINDOWS_OF_EVENTS, Found, Setting, Spec, What, infinite, over_runs, rate,
};
use crate::stats::{Effect, EventCounts, NotJudged, Role, pairs};

/// One pair of runs; `None` for what is not used.
pub(in super::super) type Pair<'a> = (Option<&'a Measured>, Option<&'a Measured>);

/// The evidence of the pairs that have both sides. `every` is all of them, in their order, for show.
pub(in super::super) fn evidence(
    every: &[Pair<'_>],
    setting: &Setting<'_>,
    noise: &Noise<'_>,
    voice: &Voice,
) -> Evidence {
    let usable: Vec<(&Measured, &Measured)> =
        every.iter().filter_map(|(base, head)| (*base).zip(*head)).collect();
    let (base, head): (Vec<&Measured>, Vec<&Measured>) = usable.iter().copied().unzip();
    let catalogue = Catalogue::of(&base, &head, setting, voice);
    let mut evidence = Evidence::new(&catalogue);
    let sides = Sides { every, base: &base, head: &head, setting, voice };
    for spec in &catalogue.specs {
        let mut found = sides.found(spec);
        if spec.kind != MetricKind::Share
            && let Some(learnt) = noise.floor(&spec.name, usable.len(), setting.rule.decision.smallest_effect)
        {
            found.min_effect = Some(learnt.floor);
            if spec.role == Role::Gate {
                let capped =
                    if learnt.capped { ", or more; twice what is asked for is the limit" } else { "" };
                evidence.notes.push(format!(
                    "{}: the smallest change that matters is {} here, because equal code moved that much in {} \
                     earlier duets{capped}",
                    spec.name,
                    percent(learnt.floor),
                    learnt.duets
                ));
            }
        }
        evidence.push(spec, found, &setting.rule);
    }
    evidence
}

struct Sides<'a> {
    every: &'a [Pair<'a>],
    base: &'a [&'a Measured],
    head: &'a [&'a Measured],
    setting: &'a Setting<'a>,
    voice: &'a Voice,
}

impl Sides<'_> {
    fn found(&self, spec: &Spec) -> Found {
        let shown = |run: Option<&Measured>| run.and_then(|run| spec.value(run));
        let (base_runs, head_runs) =
            self.every.iter().map(|(base, head)| (shown(*base), shown(*head))).unzip();
        let pairs = u32::try_from(self.base.len()).unwrap_or(u32::MAX);
        let found = Found {
            base: None,
            head: None,
            effect: Err(NotJudged::NoRatio),
            pairs,
            min_effect: None,
            reason: None,
            base_runs,
            head_runs,
        };
        match &spec.what {
            What::Events(of) => self.events(found, *of),
            _ => self.ratio(found, spec),
        }
    }

    fn events(&self, found: Found, of: fn(&Measured) -> &EventCounts) -> Found {
        let counts = |runs: &[&Measured]| -> Vec<(u64, u64)> {
            runs.iter().map(|run| (of(run).events, of(run).trials)).collect()
        };
        let (base, head) = (counts(self.base), counts(self.head));
        let effect = match self.too_few_windows() {
            Some(reason) => Err(reason),
            None => pairs::events(&base, &head),
        };
        Found { base: rate(&pooled(&base)), head: rate(&pooled(&head)), effect, ..found }
    }

    fn ratio(&self, found: Found, spec: &Spec) -> Found {
        let values =
            |runs: &[&Measured]| -> Vec<Option<f64>> { runs.iter().map(|run| spec.value(run)).collect() };
        let (base, head) = (values(self.base), values(self.head));
        let effect = self.ratio_effect(spec, &base, &head);
        let mut reason = None;
        if matches!(spec.what, What::Infinite) {
            let endless = |runs: &[&Measured], values: &[Option<f64>]| {
                runs.iter().zip(values).any(|(run, value)| run.failures > 0 && value.is_none())
            };
            let sides = [(SideName::Base, self.base, &base), (SideName::Head, self.head, &head)];
            let names: Vec<&str> = sides
                .into_iter()
                .filter(|(_, runs, values)| endless(runs, values))
                .map(|(side, ..)| self.voice.side(side))
                .collect();
            reason = infinite(&names);
        }
        Found { base: over_runs(&base), head: over_runs(&head), effect, reason, ..found }
    }

    fn ratio_effect(
        &self,
        spec: &Spec,
        base: &[Option<f64>],
        head: &[Option<f64>],
    ) -> Result<Effect, NotJudged> {
        let is_latency = spec.kind == MetricKind::Latency;
        if let Some(reason) = self.setting.latency_withheld.filter(|_| is_latency) {
            return Err(reason);
        }
        let (needed, given) = (pairs::FEWEST_PAIRS, self.base.len());
        if given < needed {
            return Err(NotJudged::TooFewPairs { needed, given });
        }
        if let Some(reason) = self.too_few_windows() {
            return Err(reason);
        }
        let least = |runs: &[&Measured]| runs.iter().map(|run| spec.series(run).count).min().unwrap_or(0);
        let (of_base, of_head) = (least(self.base), least(self.head));
        if of_base.min(of_head) < spec.needed {
            return Err(NotJudged::TooFewSuccesses { needed: spec.needed, base: of_base, head: of_head });
        }
        let all = |values: &[Option<f64>]| values.iter().copied().collect::<Option<Vec<f64>>>();
        let (base, head) = all(base).zip(all(head)).ok_or(NotJudged::NoRatio)?;
        match spec.what {
            What::Throughput => {
                let seconds = self.base.iter().chain(self.head).map(|run| run.windows.len()).max();
                pairs::throughput(&base, &head, 0.5 / seconds.unwrap_or(1).max(1) as f64)
            }
            _ => pairs::ratio(&base, &head),
        }
    }

    /// In a duet the runs show the noise, so a run needs no more windows than those that can hold a burst.
    fn too_few_windows(&self) -> Option<NotJudged> {
        let least = |runs: &[&Measured]| runs.iter().map(|run| run.windows.len()).min().unwrap_or(usize::MAX);
        let (base, head) = (least(self.base), least(self.head));
        let needed = FEWEST_WINDOWS_OF_EVENTS;
        (base.min(head) < needed).then_some(NotJudged::TooFewWindows { needed, base, head })
    }
}

fn pooled(runs: &[(u64, u64)]) -> EventCounts {
    let sum = |of: fn(&(u64, u64)) -> u64| runs.iter().map(of).sum();
    EventCounts { events: sum(|run| run.0), trials: sum(|run| run.1), windows: Vec::new() }
}
