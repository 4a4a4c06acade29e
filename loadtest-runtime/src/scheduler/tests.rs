//! Whole loads on real threads, tiny and bounded.

mod capacity;
mod control;
mod endings;
mod failures;
mod plans;
mod scenarios;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use loadtest_core::metric::{Builtin, Totals};
use loadtest_core::results::SeriesDef;

use super::*;
use crate::attribute::Attribute;
use crate::error::{Error, Result};
use crate::lifecycle::builder;
use crate::vu::Vu;

/// A load and what came of it.
struct Load {
    plan: LoadPlan,
    stop: Stop,
}

/// Lets a value live as long as the process, for closures that must be `Copy`.
fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

impl Load {
    fn new() -> Self {
        let plan = LoadPlan {
            scenarios: Vec::new(),
            thresholds: Vec::new(),
            metrics: Builtin::ALL.iter().map(|metric| metric.def()).collect(),
            seed: 7,
            shard: Shard::default(),
            workers: 2,
            http: Arc::default(),
            rps: None,
            log: Log::new(0, |_| {}),
        };
        Self { plan, stop: Stop::default() }
    }

    fn threshold(mut self, text: &str) -> Self {
        self.plan.thresholds.push(text.parse().expect("a valid threshold"));
        self
    }

    fn scenario<F>(mut self, name: &str, options: Attribute, iterate: F) -> Self
    where
        F: AsyncFn(&mut Vu) -> Result + Copy + Send + Sync + 'static,
    {
        let workload = options.finish().and_then(|options| options.resolve()).expect("valid options");
        let scenario = builder()
            .setup(async |_| Ok(()))
            .vu_init(async |_: &mut Vu, (): &()| Ok(()))
            .iterate(async move |vu: &mut Vu, (): &(), (): &mut ()| iterate(vu).await)
            .teardown(async |()| Ok(()));
        self.plan.scenarios.push(ScenarioPlan {
            name: name.to_owned(),
            workload,
            tags: Tags::from([("scenario".to_owned(), name.to_owned())]),
            env: BTreeMap::new(),
            scenario: Arc::from(scenario),
            data: Arc::new(()),
        });
        self
    }

    fn run(self) -> Report {
        let told = Arc::new(Mutex::new(Told::default()));
        let audience = Listener { told: Arc::clone(&told) };
        let load = super::Load::prepare(self.plan, &self.stop).expect("virtual users");
        let outcome = load.run(Box::new(audience)).expect("threads");
        let told = std::mem::take(&mut *told.lock().expect("not poisoned"));
        Report { outcome, told }
    }
}

/// What an audience was told.
#[derive(Default)]
struct Told {
    intervals: Vec<Interval>,
    /// How many intervals had been told when the stopping was.
    stopping_after: Vec<usize>,
}

struct Listener {
    told: Arc<Mutex<Told>>,
}

impl Audience for Listener {
    fn interval(&mut self, interval: Interval) {
        self.told.lock().expect("not poisoned").intervals.push(interval);
    }

    fn stopping(&mut self) {
        let mut told = self.told.lock().expect("not poisoned");
        let after = told.intervals.len();
        told.stopping_after.push(after);
    }

    fn service_pid(&self) -> Option<u32> {
        None
    }
}

struct Report {
    outcome: LoadOutcome,
    told: Told,
}

impl Report {
    /// The sum of all intervals, of each series of a metric with its tags.
    fn series(&self, metric: &str) -> Vec<(Tags, Totals)> {
        let mut defs: HashMap<u32, &SeriesDef> = HashMap::new();
        let mut sums: BTreeMap<Tags, Totals> = BTreeMap::new();
        for interval in &self.told.intervals {
            defs.extend(interval.new_series.iter().map(|def| (def.id, def)));
            for (id, totals) in &interval.series {
                let def = defs[id];
                if def.metric.name == metric {
                    sums.entry(def.tags.clone()).or_default().merge(totals);
                }
            }
        }
        sums.into_iter().collect()
    }

    /// The sum of a metric over all intervals and series.
    fn sum(&self, metric: &str) -> f64 {
        self.series(metric).iter().map(|(_, totals)| totals.sum).sum()
    }

    fn state(&self, scenario: &str) -> (u64, u64, u64) {
        let state = &self.outcome.scenarios[scenario];
        (state.started, state.completed, state.interrupted)
    }

    /// Errors as source, text and count.
    fn errors(&self) -> Vec<(&'static str, &str, u64)> {
        let errors = &self.outcome.aggregated.errors;
        errors.iter().map(|error| (error.source.as_str(), error.message.as_str(), error.count)).collect()
    }
}
