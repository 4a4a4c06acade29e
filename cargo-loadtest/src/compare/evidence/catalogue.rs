//! Which metrics a test has, and which of them gate.
//!
//! The main type is [`Catalogue`]. By default the gates are the error rate, failed iterations, the pooled p95, the
//! geometric mean of the endpoints' p95 (a fast endpoint that triples is invisible in the pooled one), and throughput
//! or, for arrival rates, the share of dropped iterations. The rest is advisory.
//!
//! Refuses to do: looking at how a metric has moved.

use std::collections::BTreeSet;

use loadtest_core::options::compare::GateMetric;

use super::super::extract::{Measured, Series};
use super::super::wording::Voice;
use super::super::{MetricKind, SideName};
use super::{Setting, geometric_mean};
use crate::stats::{EventCounts, Role};

/// The metrics of a test.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Catalogue {
    /// Gates first.
    pub(in super::super) specs: Vec<Spec>,
    /// What the reader should know about them.
    pub(in super::super) notes: Vec<String>,
}

/// One metric.
#[derive(Debug, Clone)]
pub(in super::super) struct Spec {
    /// `p95`, `errors`, …
    pub(in super::super) name: String,
    /// Whether it decides.
    pub(in super::super) role: Role,
    /// What its numbers mean.
    pub(in super::super) kind: MetricKind,
    /// What it is read from.
    pub(in super::super) what: What,
    /// Successes that a run needs for a value.
    pub(in super::super) needed: u64,
    /// Shown only if something was found.
    pub(in super::super) only_if_changed: bool,
    /// By what name `gate` means it.
    pub(super) gate: Option<GateMetric>,
}

/// Where events among trials are found in a run.
pub(in super::super) type Counts = fn(&Measured) -> &EventCounts;

/// What a metric is read from.
#[derive(Debug, Clone)]
pub(in super::super) enum What {
    /// Events among trials.
    Events(Counts),
    /// A latency of the whole test.
    Latency(fn(&Measured) -> &Series),
    /// The p95 with failures as infinite, which may be so itself.
    Infinite,
    /// The geometric mean of these endpoints' p95.
    Endpoints(Vec<String>),
    /// The p95 of one endpoint.
    Endpoint(String),
    /// Successes per second.
    Throughput,
}

impl Spec {
    /// Its value and windows in a run, of what is no share.
    pub(in super::super) fn series(&self, run: &Measured) -> Series {
        match &self.what {
            What::Events(_) => Series::default(),
            What::Latency(of) => of(run).clone(),
            What::Infinite => run.p95_failures_infinite.clone(),
            What::Endpoints(names) => geometric_mean(run, names).unwrap_or_default(),
            What::Endpoint(name) => run.endpoints.get(name).cloned().unwrap_or_default(),
            What::Throughput => run.throughput.clone(),
        }
    }

    /// Its value in a run, `None` where there are too few successes.
    pub(in super::super) fn value(&self, run: &Measured) -> Option<f64> {
        match &self.what {
            What::Events(of) => super::rate(of(run)),
            _ => {
                let series = self.series(run);
                series.value.filter(|value| value.is_finite() && series.count >= self.needed)
            }
        }
    }
}

/// Successes that a quantile needs: 10/(1 − q).
pub(in super::super) fn needed(q: f64) -> u64 {
    (10.0 / (1.0 - q)).round() as u64
}

impl Catalogue {
    /// The metrics of a test with these runs.
    pub(in super::super) fn of(
        base: &[&Measured],
        head: &[&Measured],
        setting: &Setting<'_>,
        voice: &Voice,
    ) -> Self {
        let mut catalogue = Self::default();
        let all: Vec<&Measured> = base.iter().chain(head).copied().collect();
        catalogue.add_gates(&all, setting);
        catalogue.add_endpoints(base, head, voice);
        catalogue.add_load(&all, setting);
        catalogue.add_advisory(&all);
        catalogue.choose(setting.gate);
        catalogue
    }

    fn add(
        &mut self,
        gate: Option<GateMetric>,
        name: &str,
        role: Role,
        kind: MetricKind,
        what: What,
        needed: u64,
    ) {
        let only_if_changed = matches!(what, What::Endpoint(_));
        self.specs.push(Spec { name: name.to_owned(), role, kind, what, needed, only_if_changed, gate });
    }

    fn add_gates(&mut self, all: &[&Measured], setting: &Setting<'_>) {
        let events: [(GateMetric, &str, Counts); 2] = [
            (GateMetric::Errors, "errors", |run| &run.errors),
            (GateMetric::FailedIterations, "failed iterations", |run| &run.failed_iterations),
        ];
        for (gate, name, of) in events {
            // Asked for, it is there even if nothing was tried.
            if all.iter().any(|run| of(run).trials > 0) || setting.gate.contains(&gate) {
                self.add(Some(gate), name, Role::Gate, MetricKind::Share, What::Events(of), 0);
            }
        }
        let p95 = What::Latency(|run| &run.p95);
        self.add(Some(GateMetric::P95), "p95", Role::Gate, MetricKind::Latency, p95, needed(0.95));
    }

    /// The geometric mean of the endpoints' p95, and each endpoint for itself as an advisory. Endpoints with
    /// too few successes for a p95 in any run are left out on both sides, and named.
    fn add_endpoints(&mut self, base: &[&Measured], head: &[&Measured], voice: &Voice) {
        let all = || base.iter().chain(head);
        let names: BTreeSet<&String> = all().flat_map(|run| run.endpoints.keys()).collect();
        if names.len() < 2 {
            // One endpoint is the whole test: its p95 is there already.
            return;
        }
        let needed = needed(0.95);
        let count = |run: &&Measured, name: &str| run.endpoints.get(name).map_or(0, |series| series.count);
        let least = |runs: &[&Measured], name: &str| runs.iter().map(|run| count(run, name)).min();
        let most = |runs: &[&Measured], name: &str| runs.iter().map(|run| count(run, name)).max();
        let has = |runs: &[&Measured], name: &str| least(runs, name).is_none_or(|least| least >= needed);
        let none = |runs: &[&Measured], name: &str| most(runs, name) == Some(0);
        let (enough, few): (Vec<&String>, Vec<&String>) =
            names.into_iter().partition(|name| has(base, name) && has(head, name));
        let list = |of: &dyn Fn(&str) -> bool| -> Option<String> {
            some_of(&few.iter().map(|name| name.as_str()).filter(|name| of(name)).collect::<Vec<_>>())
        };
        let gone = |name: &str| has(base, name) && !base.is_empty() && none(head, name);
        let new = |name: &str| has(head, name) && none(base, name);
        let notes = [
            (format!("no success in {}", voice.side(SideName::Head)), list(&gone)),
            (format!("no success in {}", voice.side(SideName::Base)), list(&new)),
            (
                "too few successes for a p95 of its own, so not in the endpoint p95; measure longer"
                    .to_owned(),
                list(&|name| !gone(name) && !new(name)),
            ),
        ];
        self.notes.extend(notes.into_iter().filter_map(|(what, names)| Some(format!("{}: {what}", names?))));
        let gate = Some(GateMetric::EndpointP95);
        let both: Vec<String> = enough.iter().map(|name| (*name).clone()).collect();
        self.add(gate, "endpoint p95", Role::Gate, MetricKind::Latency, What::Endpoints(both), needed);
        for name in enough.into_iter().chain(few) {
            let what = What::Endpoint(name.clone());
            self.add(None, &format!("p95 {name}"), Role::Advisory, MetricKind::Latency, what, needed);
        }
    }

    fn add_load(&mut self, all: &[&Measured], setting: &Setting<'_>) {
        let asked = |gate: GateMetric| setting.gate.contains(&gate);
        if setting.closed || asked(GateMetric::Throughput) {
            let gate = Some(GateMetric::Throughput);
            self.add(gate, "throughput", Role::Gate, MetricKind::Throughput, What::Throughput, 0);
        }
        let drops = all.iter().any(|run| run.dropped.events > 0);
        if setting.open || drops || asked(GateMetric::Dropped) {
            // Of closed executors it says the same as throughput, only with noise blown up: a run that took
            // 1 % longer than its time drops 1 % of its iterations, and one that took 1 % less drops none.
            let role = if setting.open { Role::Gate } else { Role::Advisory };
            let what = What::Events(|run| &run.dropped);
            self.add(Some(GateMetric::Dropped), "dropped iterations", role, MetricKind::Share, what, 0);
        }
    }

    fn add_advisory(&mut self, all: &[&Measured]) {
        let mut add = |gate, name: &str, what, needed| {
            self.add(gate, name, Role::Advisory, MetricKind::Latency, what, needed);
        };
        add(Some(GateMetric::P50), "p50", What::Latency(|run| &run.p50), needed(0.50));
        add(Some(GateMetric::P99), "p99", What::Latency(|run| &run.p99), needed(0.99));
        add(Some(GateMetric::Mean), "mean", What::Latency(|run| &run.mean), needed(0.50));
        if all.iter().any(|run| run.failures > 0) {
            add(None, "p95 of all", What::Latency(|run| &run.p95_of_all), needed(0.95));
            add(None, "p95 with failures as infinite", What::Infinite, needed(0.95));
        }
        // Stable: what is of one kind keeps its order, and single endpoints come last.
        self.specs.sort_by_key(|spec| (spec.role != Role::Gate, spec.only_if_changed));
    }

    /// Lets the given metrics gate, and no other.
    fn choose(&mut self, gate: &[GateMetric]) {
        if gate.is_empty() {
            return;
        }
        for spec in &mut self.specs {
            let chosen = spec.gate.is_some_and(|own| gate.contains(&own));
            spec.role = if chosen { Role::Gate } else { Role::Advisory };
        }
        let missing: BTreeSet<&GateMetric> = gate
            .iter()
            .filter(|wanted| self.specs.iter().all(|spec| spec.gate.as_ref() != Some(*wanted)))
            .collect();
        for metric in missing {
            let why = match metric {
                GateMetric::EndpointP95 => "it has fewer than two endpoints",
                _ => "nothing of it was measured",
            };
            self.notes
                .push(format!("`gate` names {}, which this test does not have: {why}", name_of(*metric)));
        }
        self.specs.sort_by_key(|spec| (spec.role != Role::Gate, spec.only_if_changed));
    }
}

/// The metric's name in a comparison.
fn name_of(metric: GateMetric) -> &'static str {
    match metric {
        GateMetric::Errors => "errors",
        GateMetric::FailedIterations => "failed iterations",
        GateMetric::P50 => "p50",
        GateMetric::P95 => "p95",
        GateMetric::P99 => "p99",
        GateMetric::Mean => "mean",
        GateMetric::EndpointP95 => "endpoint p95",
        GateMetric::Throughput => "throughput",
        GateMetric::Dropped => "dropped iterations",
    }
}

/// The first few names of a list.
fn some_of(names: &[&str]) -> Option<String> {
    const SHOWN: usize = 3;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    match more {
        _ if names.is_empty() => None,
        0 => Some(shown),
        more => Some(format!("{shown} and {more} more")),
    }
}
