//! The evidence of one stored session against one fresh one: what each side's own windows say, and the spread between
//! sessions that is assumed.
//!
//! The main functions are [`together`], which makes one side of several runs, and [`evidence`].
//!
//! Refuses to do: trusting several runs of one session to show how sessions differ.

use std::collections::{BTreeMap, BTreeSet};

use loadtest_core::metric::Totals;

use super::super::SideName;
use super::super::extract::{Measured, Series};
use super::super::segments::Window;
use super::super::wording::Voice;
use super::windows::{Points, Scale, levelled};
use super::{
    Catalogue, Evidence, FEWEST_WINDOWS, FEWEST_WINDOWS_OF_EVENTS, Found, Setting, Spec, What, infinite,
    over_runs, rate,
};
use crate::stats::{Effect, EventCounts, NotJudged, RunSeries, stored};

/// The indices of the windows of a run start this far from those of the run before: more than a run has seconds.
const APART: u64 = 1 << 40;

/// The runs of a side as one: windows one after the other, values averaged, events added up.
pub(in super::super) fn together(runs: &[&Measured]) -> Measured {
    let all = |of: fn(&Measured) -> &Series| joined(runs, |run| Some(of(run)));
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.endpoints.keys()).collect();
    let endpoint = |name: &String| (name.clone(), joined(runs, |run| run.endpoints.get(name)));
    let windows = runs.iter().zip(0u64..).flat_map(|(run, place)| {
        let moved = move |window: &Window| Window { index: window.index + place * APART, ..*window };
        run.windows.iter().map(moved)
    });
    let mut successes = Totals::default();
    runs.iter().for_each(|run| successes.merge(&run.successes));
    Measured {
        windows: windows.collect(),
        p50: all(|run| &run.p50),
        p95: all(|run| &run.p95),
        p99: all(|run| &run.p99),
        mean: all(|run| &run.mean),
        p95_of_all: all(|run| &run.p95_of_all),
        p95_failures_infinite: all(|run| &run.p95_failures_infinite),
        failures: runs.iter().map(|run| run.failures).sum(),
        successes: successes.compact(),
        endpoints: names.into_iter().map(endpoint).collect::<BTreeMap<_, _>>(),
        throughput: all(|run| &run.throughput),
        errors: added(runs, |run| &run.errors),
        failed_iterations: added(runs, |run| &run.failed_iterations),
        dropped: added(runs, |run| &run.dropped),
    }
}

fn joined<'a>(runs: &[&'a Measured], of: impl Fn(&'a Measured) -> Option<&'a Series>) -> Series {
    let values: Vec<Option<f64>> = runs.iter().map(|run| of(run)?.value).collect();
    let windows = runs.iter().flat_map(|run| match of(run) {
        Some(series) => series.windows.clone(),
        None => vec![None; run.windows.len()],
    });
    let count = runs.iter().map(|run| of(run).map_or(0, |series| series.count)).min().unwrap_or(0);
    Series { value: over_runs(&values), windows: windows.collect(), count }
}

fn added(runs: &[&Measured], of: fn(&Measured) -> &EventCounts) -> EventCounts {
    let mut sum = EventCounts::default();
    for counts in runs.iter().map(|run| of(run)) {
        sum.events += counts.events;
        sum.trials += counts.trials;
        sum.windows.extend(&counts.windows);
    }
    sum
}

/// The evidence of two sides.
pub(in super::super) fn evidence(
    base: &[&Measured],
    head: &[&Measured],
    setting: &Setting<'_>,
    voice: &Voice,
) -> Evidence {
    let (old, new) = (together(base), together(head));
    let catalogue = Catalogue::of(&[&old], &[&new], setting, voice);
    let sides = Sides { base: &old, head: &new, setting };
    let mut evidence = Evidence::new(&catalogue);
    for spec in &catalogue.specs {
        let values =
            |runs: &[&Measured]| -> Vec<Option<f64>> { runs.iter().map(|run| spec.value(run)).collect() };
        let shown = |side: &Measured| match &spec.what {
            What::Events(of) => rate(of(side)),
            _ => spec.series(side).value,
        };
        let mut reason = None;
        if matches!(spec.what, What::Infinite) {
            let sides = [(SideName::Base, &old), (SideName::Head, &new)];
            let endless = |side: &&(SideName, &Measured)| {
                side.1.failures > 0 && side.1.p95_failures_infinite.value.is_none()
            };
            let names: Vec<&str> = sides.iter().filter(endless).map(|(name, _)| voice.side(*name)).collect();
            reason = infinite(&names);
        }
        let found = Found {
            base: shown(&old),
            head: shown(&new),
            effect: sides.effect(spec),
            pairs: 1,
            min_effect: None,
            reason,
            base_runs: values(base),
            head_runs: values(head),
        };
        evidence.push(spec, found, &setting.rule);
    }
    evidence
}

struct Sides<'a> {
    base: &'a Measured,
    head: &'a Measured,
    setting: &'a Setting<'a>,
}

impl Sides<'_> {
    fn effect(&self, spec: &Spec) -> Result<Effect, NotJudged> {
        match &spec.what {
            What::Events(of) => {
                let (base, head) = (of(self.base), of(self.head));
                // Dropped iterations are counted over the whole run, and need no windows.
                let windows = base.windows.len().max(head.windows.len());
                match self.too_few_windows(FEWEST_WINDOWS_OF_EVENTS).filter(|_| windows > 0) {
                    Some(reason) => Err(reason),
                    None => stored::events(base, head, stored::EVENT_SPREAD),
                }
            }
            What::Throughput => self.throughput(),
            _ => self.latency(&spec.series(self.base), &spec.series(self.head), spec.needed),
        }
    }

    fn latency(&self, base: &Series, head: &Series, needed: u64) -> Result<Effect, NotJudged> {
        if let Some(reason) = self.setting.latency_withheld.or_else(|| self.too_few_windows(FEWEST_WINDOWS)) {
            return Err(reason);
        }
        if base.count.min(head.count) < needed {
            return Err(NotJudged::TooFewSuccesses { needed, base: base.count, head: head.count });
        }
        let (base_windows, head_windows) = self.levelled(base, head, Scale::Log);
        let (base_usable, head_usable) = (base_windows.len(), head_windows.len());
        if base_usable.min(head_usable) < FEWEST_WINDOWS {
            return Err(NotJudged::TooFewWindows {
                needed: FEWEST_WINDOWS,
                base: base_usable,
                head: head_usable,
            });
        }
        let (base, head) = (series(base, base_windows), series(head, head_windows));
        stored::latency(&base, &head, stored::SESSION_SPREAD).map(Effect::Ratio)
    }

    fn throughput(&self) -> Result<Effect, NotJudged> {
        if let Some(reason) = self.too_few_windows(FEWEST_WINDOWS) {
            return Err(reason);
        }
        let (base, head) = (&self.base.throughput, &self.head.throughput);
        let (base_windows, head_windows) = self.levelled(base, head, Scale::Linear);
        let (base, head) = (series(base, base_windows), series(head, head_windows));
        stored::throughput(&base, &head, stored::SESSION_SPREAD).map(Effect::Ratio)
    }

    fn too_few_windows(&self, needed: usize) -> Option<NotJudged> {
        let (base, head) = (self.base.windows.len(), self.head.windows.len());
        (base.min(head) < needed).then_some(NotJudged::TooFewWindows { needed, base, head })
    }

    fn levelled(&self, base: &Series, head: &Series, scale: Scale) -> (Vec<f64>, Vec<f64>) {
        let base = Points::of(&self.base.windows, base, scale);
        let head = Points::of(&self.head.windows, head, scale);
        levelled(base, head, self.setting.basis)
    }
}

fn series(of: &Series, windows: Vec<f64>) -> RunSeries {
    RunSeries { value: of.value.unwrap_or(f64::NAN), windows }
}
