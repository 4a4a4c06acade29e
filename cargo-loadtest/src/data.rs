//! A run in memory, as comparisons and reports read it: the document and its intervals, with the sums
//! over any selection of series.
//!
//! The main types are [`RunData`] and [`TestData`]. Sums are merged from the one-second intervals, which
//! is exact, so this is the only place that adds anything up.

use std::collections::{BTreeMap, HashMap};

use loadtest_core::metric::{Builtin, MetricDef, Tags, Totals, Unit, tag};
use loadtest_core::options::Shape;
use loadtest_core::results::{
    Interval, Probe, RunDocument, ScenarioState, SeriesDef, SeriesId, TestDocument,
};
use serde::Serialize;

/// Intervals shorter than this say too little about a rate or a mean: the last one of a test may be of a few
/// milliseconds, into which the end of many iterations falls.
pub const MIN_RATE_SECONDS: f64 = 0.5;

/// Share of its CPU budget above which the load generator's own queues show in the latencies.
pub const MAX_GENERATOR_CPU: f64 = 0.80;

/// Share of CPU time stolen by the hypervisor above which the machine belongs to others too much.
pub const MAX_STEAL: f64 = 0.05;

/// Share of the planned load that has to be offered.
pub const MIN_OFFERED: f64 = 0.99;

/// Tolerance for times in seconds, well above what rounding does to them.
const SLACK: f64 = 1e-6;

/// A run with the intervals of its tests.
#[derive(Debug, Clone)]
pub struct RunData {
    /// The document; its tests are in `tests`, in the same order.
    pub document: RunDocument,
    /// The tests with their intervals.
    pub tests: Vec<TestData>,
    /// The name of the baseline that the run should have been compared with and that did not exist.
    pub baseline_missing: Option<String>,
    /// Why it could not be had and what to do about it, if there is more to say than that it is not there.
    pub missing_because: Option<String>,
}

/// A run's document as it is written: with what is known of it besides.
#[derive(Debug, Serialize)]
pub struct WrittenDocument<'a> {
    #[serde(flatten)]
    document: &'a RunDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_missing: Option<&'a str>,
}

impl<'a> WrittenDocument<'a> {
    /// A document, and the name of the baseline that was not there.
    pub fn new(document: &'a RunDocument, baseline_missing: Option<&'a str>) -> Self {
        Self { document, baseline_missing }
    }
}

/// A test with its intervals.
#[derive(Debug, Clone)]
pub struct TestData {
    /// The document's part.
    pub document: TestDocument,
    /// One-second intervals, ascending by index.
    pub intervals: Vec<Interval>,
    series: HashMap<SeriesId, SeriesDef>,
}

impl TestData {
    /// Puts a test's document and intervals together.
    pub fn new(document: TestDocument, intervals: Vec<Interval>) -> Self {
        let series = intervals.iter().flat_map(|i| &i.new_series).map(|def| (def.id, def.clone())).collect();
        Self { document, intervals, series }
    }

    /// Every series' definition, ascending by id.
    pub fn series(&self) -> Vec<&SeriesDef> {
        let mut all: Vec<_> = self.series.values().collect();
        all.sort_by_key(|def| def.id);
        all
    }

    /// Every metric that has data, in the order of first use.
    pub fn metrics(&self) -> Vec<MetricDef> {
        let mut all: Vec<MetricDef> = Vec::new();
        for def in self.series() {
            if all.iter().all(|known| known.name != def.metric.name) {
                all.push(def.metric.clone());
            }
        }
        all
    }

    /// The sum of a metric over the series that `select` takes and the whole test.
    pub fn total(&self, metric: &str, select: impl Fn(&Tags) -> bool) -> Totals {
        let mut sum = Totals::default();
        for part in self.per_interval(metric, select) {
            sum.merge(&part);
        }
        sum
    }

    /// The same over the intervals at these positions only.
    pub fn total_at(&self, metric: &str, select: impl Fn(&Tags) -> bool, positions: &[usize]) -> Totals {
        let takes = |def: &&SeriesDef| def.metric.name == metric && select(&def.tags);
        let chosen: Vec<SeriesId> = self.series.values().filter(takes).map(|def| def.id).collect();
        let mut sum = Totals::default();
        for interval in positions.iter().filter_map(|position| self.intervals.get(*position)) {
            for (_, totals) in interval.series.iter().filter(|(id, _)| chosen.contains(id)) {
                sum.merge(totals);
            }
        }
        sum
    }

    /// The same for each interval, in their order.
    pub fn per_interval(&self, metric: &str, select: impl Fn(&Tags) -> bool) -> Vec<Totals> {
        let chosen: Vec<SeriesId> = self
            .series
            .values()
            .filter(|def| def.metric.name == metric && select(&def.tags))
            .map(|def| def.id)
            .collect();
        let sum = |interval: &Interval| {
            let mut sum = Totals::default();
            for (id, totals) in &interval.series {
                if chosen.contains(id) {
                    sum.merge(totals);
                }
            }
            sum.compact()
        };
        self.intervals.iter().map(sum).collect()
    }

    /// The sums of a metric over the whole test, one for each key that `key` makes of a series' tags; series
    /// without a key are left out.
    pub fn total_by<K: Ord>(&self, metric: &str, key: impl Fn(&Tags) -> Option<K>) -> BTreeMap<K, Totals> {
        let (rows, row_of) = self.rows_by(metric, key);
        let mut sums = vec![Totals::default(); rows.len()];
        for (id, totals) in self.intervals.iter().flat_map(|interval| &interval.series) {
            if let Some(row) = row_of.get(id) {
                sums[*row].merge(totals);
            }
        }
        rows.into_iter().map(|(key, row)| (key, std::mem::take(&mut sums[row]))).collect()
    }

    /// The means of a metric over the whole test, by key. Distributions are left alone, which makes it much
    /// cheaper than [`TestData::total_by`].
    pub fn mean_by<K: Ord>(&self, metric: &str, key: impl Fn(&Tags) -> Option<K>) -> BTreeMap<K, f64> {
        let (rows, row_of) = self.rows_by(metric, key);
        let mut sums = vec![(0, 0.0); rows.len()];
        for (id, totals) in self.intervals.iter().flat_map(|interval| &interval.series) {
            if let Some(row) = row_of.get(id) {
                sums[*row].0 += totals.count;
                sums[*row].1 += totals.sum;
            }
        }
        let mean = |row: usize| sums[row].1 / sums[row].0 as f64;
        rows.into_iter().filter(|(_, row)| sums[*row].0 > 0).map(|(key, row)| (key, mean(row))).collect()
    }

    /// The sums of [`TestData::total_by`] for each interval, in their order.
    pub fn per_interval_by<K: Ord>(
        &self,
        metric: &str,
        key: impl Fn(&Tags) -> Option<K>,
    ) -> BTreeMap<K, Vec<Totals>> {
        let (rows, row_of) = self.rows_by(metric, key);
        let mut sums = vec![vec![Totals::default(); self.intervals.len()]; rows.len()];
        for (column, interval) in self.intervals.iter().enumerate() {
            for (id, totals) in &interval.series {
                if let Some(row) = row_of.get(id) {
                    sums[*row][column].merge(totals);
                }
            }
            for row in &mut sums {
                row[column] = std::mem::take(&mut row[column]).compact();
            }
        }
        rows.into_iter().map(|(key, row)| (key, std::mem::take(&mut sums[row]))).collect()
    }

    /// A row for each key, and the row of each series that has one.
    fn rows_by<K: Ord>(
        &self,
        metric: &str,
        key: impl Fn(&Tags) -> Option<K>,
    ) -> (BTreeMap<K, usize>, HashMap<SeriesId, usize>) {
        let mut rows = BTreeMap::new();
        let mut row_of = HashMap::new();
        for def in self.series.values().filter(|def| def.metric.name == metric) {
            if let Some(key) = key(&def.tags) {
                let next = rows.len();
                row_of.insert(def.id, *rows.entry(key).or_insert(next));
            }
        }
        (rows, row_of)
    }

    /// How much later than intended iterations started. Executors that plan starts measure it; of the others
    /// the mean is the difference of the means from intended and from actual start. `None` without iterations.
    pub fn schedule_lag(&self) -> Option<ScheduleLag> {
        let measured = self.total(Builtin::ScheduleLag.name(), |_| true);
        if let Some(mean_ms) = measured.mean() {
            return Some(ScheduleLag { mean_ms, p99_ms: measured.quantile(0.99, Unit::Millis) });
        }
        let mean = |metric: Builtin| self.mean_by(metric.name(), |_| Some(())).remove(&());
        let lag = mean(Builtin::IterationScheduledDuration)? - mean(Builtin::IterationDuration)?;
        Some(ScheduleLag { mean_ms: lag.max(0.0), p99_ms: None })
    }

    /// Whether a scenario starts iterations at instants of its own (an open model).
    pub fn is_open(&self) -> bool {
        self.document.outcome.workloads.values().any(|workload| workload.shape.is_open())
    }

    /// Takes the series of scenarios that start iterations at instants of their own.
    pub fn of_open_scenario(&self, tags: &Tags) -> bool {
        let workload = tags.get(tag::SCENARIO).and_then(|name| self.document.outcome.workloads.get(name));
        workload.is_some_and(|workload| workload.shape.is_open())
    }

    /// What a scenario had done at the end, or when it was last heard of.
    pub fn final_state(&self, scenario: &str) -> ScenarioState {
        let told = || self.intervals.iter().rev().find_map(|interval| interval.scenarios.get(scenario));
        self.document.outcome.scenarios.get(scenario).or_else(told).cloned().unwrap_or_default()
    }

    /// The starts of the open scenarios in the interval at this position.
    pub fn starts(&self, position: usize) -> Starts {
        let open = self.document.outcome.workloads.iter().filter(|(_, workload)| workload.shape.is_open());
        let mut sum = Starts::default();
        for (scenario, _) in open {
            let (now, before) = self.states(scenario, position);
            let Some(now) = now else { continue };
            sum.add(now, before);
            if let Some(rate) = now.planned_rate {
                sum.planned_rate = Some(sum.planned_rate.unwrap_or(0.0) + rate);
            }
        }
        sum
    }

    /// A scenario's state at the end of the interval at this position, and that at its start.
    fn states(&self, scenario: &str, position: usize) -> (Option<&ScenarioState>, Option<&ScenarioState>) {
        let state = |position: usize| self.intervals.get(position)?.scenarios.get(scenario);
        (state(position), position.checked_sub(1).and_then(state))
    }

    /// How much of the planned load there was, over the intervals at these positions and the scenarios that
    /// end by the clock; a capacity search, which overloads by its nature, is none of them. Intervals in which
    /// the load was held by `cargo loadtest pause` count for nothing.
    ///
    /// States are those of each interval's end, so a virtual user counts as missing only if the plan wanted it
    /// at the end before as well: one that is just starting is not missing.
    pub fn offered(&self, positions: impl Iterator<Item = usize> + Clone) -> Offered {
        let (mut planned, mut missing) = (0.0, 0.0);
        let mut starts = Starts::default();
        for (scenario, workload) in &self.document.outcome.workloads {
            if !workload.shape.is_timed() {
                continue;
            }
            for position in positions.clone().filter(|position| !self.is_paused(*position)) {
                let (Some(now), before) = self.states(scenario, position) else { continue };
                if workload.shape.is_open() {
                    starts.add(now, before);
                    continue;
                }
                let wanted = before.map_or(0, |state| state.planned_vus).min(now.planned_vus);
                let seconds = self.intervals[position].seconds;
                planned += f64::from(now.planned_vus) * seconds;
                missing += f64::from(wanted.saturating_sub(now.vus)) * seconds;
            }
        }
        Offered { users: (planned > 0.0).then(|| 1.0 - missing / planned), starts }
    }

    /// Whether the load was held by `cargo loadtest pause` for a part of the interval at this position.
    pub fn is_paused(&self, position: usize) -> bool {
        let paused = |position: usize| self.intervals.get(position).is_some_and(|interval| interval.paused);
        paused(position) || position.checked_sub(1).is_some_and(paused)
    }

    /// When the load was held by `cargo loadtest pause`: from and to in seconds since the start of the load,
    /// to the second.
    pub fn paused_spans(&self) -> Vec<(f64, f64)> {
        let mut spans: Vec<(f64, f64)> = Vec::new();
        for interval in self.intervals.iter().filter(|interval| interval.paused) {
            let (from, to) = (interval.index as f64, interval.index as f64 + interval.seconds);
            match spans.last_mut() {
                Some(last) if from - last.1 < SLACK => last.1 = to,
                _ => spans.push((from, to)),
            }
        }
        spans
    }

    /// Positions of the intervals that lie wholly within a probe of a capacity search.
    pub fn within(&self, probe: &Probe) -> Vec<usize> {
        let (from, to) = (probe.started_at, probe.started_at + probe.seconds);
        let inside = |interval: &Interval| {
            interval.index as f64 >= from - SLACK && interval.index as f64 + interval.seconds <= to + SLACK
        };
        (0..self.intervals.len()).filter(|position| inside(&self.intervals[*position])).collect()
    }

    /// p50, p95 and p99 of the latency of a scenario's successes over a probe, in milliseconds, as the test
    /// process measured them. One that did not say them leaves the whole intervals within the probe.
    pub fn probe_latency(&self, scenario: &str, probe: &Probe) -> [Option<f64>; 3] {
        if !probe.latency_ms.is_empty() {
            return ["p(50)", "p(95)", "p(99)"].map(|name| probe.latency_ms.get(name).copied());
        }
        let own = |tags: &Tags| tags.get(tag::SCENARIO).is_none_or(|name| name == scenario);
        let within =
            self.total_at(self.latency_metric(), |tags| own(tags) && successes(tags), &self.within(probe));
        [0.5, 0.95, 0.99].map(|q| within.quantile(q, Unit::Millis))
    }

    /// Whether the key figures are over several rates of a capacity search at once.
    pub fn mixes_probes(&self) -> bool {
        self.document.outcome.capacities.values().any(|capacity| capacity.probes.len() > 1)
    }

    /// Whether the plan can ask for iterations that never start: it counts them, or plans when they start.
    pub fn can_drop(&self) -> bool {
        let can = |shape: &Shape| {
            shape.is_open() || matches!(shape, Shape::SharedIterations { .. } | Shape::PerVuIterations { .. })
        };
        self.document.outcome.workloads.values().any(|workload| can(&workload.shape))
    }

    /// Seconds for which a scenario was at work: those of the intervals in which it had virtual users or ended
    /// iterations.
    pub fn active_seconds(&self, scenario: &str) -> f64 {
        let works = |position: &usize| {
            let (Some(now), before) = self.states(scenario, *position) else { return false };
            now.vus.max(now.peak_vus) > 0 || now.completed > before.map_or(0, |before| before.completed)
        };
        let seconds = |position: usize| self.intervals[position].seconds;
        (0..self.intervals.len()).filter(works).map(seconds).sum()
    }

    /// What the load generator used over the whole test.
    pub fn generator_use(&self) -> GeneratorUse {
        let states = || self.intervals.iter().map(|interval| &interval.generator);
        let (mut cpu_seconds, mut seconds) = (0.0, 0.0);
        for interval in &self.intervals {
            if let Some(cpu) = interval.generator.cpu {
                cpu_seconds += cpu * interval.seconds;
                seconds += interval.seconds;
            }
        }
        GeneratorUse {
            cpu_mean: (seconds > 0.0).then(|| cpu_seconds / seconds),
            cpu_max: states().filter_map(|state| state.cpu).reduce(f64::max),
            steal_max: states().filter_map(|state| state.steal).reduce(f64::max),
            rss_max: states().filter_map(|state| state.rss_bytes).max(),
            max_stall_ms: states().map(|state| state.max_stall_ms).fold(0.0, f64::max),
            lost_samples: states().map(|state| state.lost_samples).max().unwrap_or(0),
        }
    }

    /// What the service used over the whole test; `None` if the test started none as a process.
    pub fn service_use(&self) -> Option<ServiceUse> {
        let (mut cpu_seconds, mut seconds) = (0.0, 0.0);
        let (mut cpu_max, mut rss_max) = (0.0, 0);
        for interval in &self.intervals {
            if let Some(state) = &interval.service {
                cpu_seconds += state.cpu_cores * interval.seconds;
                seconds += interval.seconds;
                cpu_max = f64::max(cpu_max, state.cpu_cores);
                rss_max = rss_max.max(state.rss_bytes);
            }
        }
        (seconds > 0.0).then(|| ServiceUse { cpu_mean: cpu_seconds / seconds, cpu_max, rss_max })
    }

    /// How many iterations ended by themselves, failed ones included, and how many were interrupted.
    pub fn ended_iterations(&self) -> (u64, u64) {
        let states = self.document.outcome.scenarios.values();
        states.fold((0, 0), |(complete, interrupted), state| {
            (complete + state.completed, interrupted + state.interrupted)
        })
    }

    /// What `sums` of intervals are in a second, by interval. An interval of under [`MIN_RATE_SECONDS`] has no
    /// rate; if all are that short, each has that of the whole test.
    pub fn rates(&self, sums: &[f64]) -> Vec<Option<f64>> {
        let short = |interval: &Interval| interval.seconds < MIN_RATE_SECONDS;
        if self.intervals.iter().all(short) {
            return vec![Some(sums.iter().sum::<f64>() / self.seconds()); sums.len()];
        }
        let rate = |(sum, interval): (&f64, &Interval)| (!short(interval)).then(|| sum / interval.seconds);
        sums.iter().zip(&self.intervals).map(rate).collect()
    }

    /// Seconds that the load took, at least one interval's length.
    pub fn seconds(&self) -> f64 {
        let measured: f64 = self.intervals.iter().map(|interval| interval.seconds).sum();
        if measured > 0.0 { measured } else { self.document.outcome.load_seconds.max(f64::MIN_POSITIVE) }
    }

    /// The trend that stands for "latency" in this test: HTTP requests if there are any, else operations of
    /// `vu.measure`, else iterations.
    pub fn latency_metric(&self) -> &'static str {
        [Builtin::HttpReqDuration, Builtin::MeasureDuration, Builtin::IterationDuration]
            .into_iter()
            .map(Builtin::name)
            .find(|name| self.series.values().any(|def| def.metric.name == *name))
            .unwrap_or(Builtin::IterationDuration.name())
    }
}

/// How much later than intended iterations started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScheduleLag {
    /// Mean in milliseconds.
    pub mean_ms: f64,
    /// 99th percentile in milliseconds, of executors that plan starts.
    pub p99_ms: Option<f64>,
}

/// Starts that a plan asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Starts {
    /// Iterations that started.
    pub started: u64,
    /// Starts for which there was no free virtual user.
    pub dropped: u64,
    /// Starts per second that the plan asked for, where it is about a single interval.
    pub planned_rate: Option<f64>,
}

impl Starts {
    fn add(&mut self, now: &ScenarioState, before: Option<&ScenarioState>) {
        let since =
            |of: fn(&ScenarioState) -> u64| of(now).saturating_sub(before.map(of).unwrap_or_default());
        self.started = self.started.saturating_add(since(|state| state.started));
        self.dropped = self.dropped.saturating_add(since(|state| state.dropped));
    }

    /// How many were planned.
    pub fn planned(&self) -> u64 {
        self.started.saturating_add(self.dropped)
    }

    /// The share that was started; `None` if none was planned.
    pub fn share(&self) -> Option<f64> {
        let planned = self.planned();
        (planned > 0).then(|| self.started as f64 / planned as f64)
    }

    /// What to say if less than [`MIN_OFFERED`] was started.
    pub fn shortfall(&self) -> Option<String> {
        let share = self.share().filter(|share| *share < MIN_OFFERED)?;
        Some(format!(
            "only {:.1} % of the planned starts were offered (at least {:.0} % is needed): {} dropped for want of a \
             free virtual user; raise `max_vus`, or the service is slower than the rate",
            // Never rounded up to the limit.
            (share * 1000.0).floor() / 10.0,
            MIN_OFFERED * 100.0,
            self.dropped
        ))
    }
}

/// How much of the planned load there was.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Offered {
    /// The share of the planned virtual users' time that there were active ones; `None` if none was planned.
    pub users: Option<f64>,
    /// The starts of arrival rates.
    pub starts: Starts,
}

/// The load generator over a test.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GeneratorUse {
    /// Mean CPU time of the workers as a share of their cores; `None` where the system does not tell.
    pub cpu_mean: Option<f64>,
    /// The same in the busiest interval.
    pub cpu_max: Option<f64>,
    /// CPU time stolen by the hypervisor in the worst interval, share of all cores.
    pub steal_max: Option<f64>,
    /// Most resident memory in bytes.
    pub rss_max: Option<u64>,
    /// The longest time that a worker did not come back to its loop, in milliseconds.
    pub max_stall_ms: f64,
    /// Samples lost.
    pub lost_samples: u64,
}

/// A service process over a test.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceUse {
    /// Mean CPU use in cores.
    pub cpu_mean: f64,
    /// The same in the busiest interval.
    pub cpu_max: f64,
    /// Most resident memory in bytes.
    pub rss_max: u64,
}

/// Takes the series of successes: expected responses, and everything that is not a response.
pub fn successes(tags: &Tags) -> bool {
    tags.get(tag::EXPECTED_RESPONSE).is_none_or(|expected| expected == "true")
}

/// Takes the series of failures: responses that were not expected, and missing ones.
pub fn failures(tags: &Tags) -> bool {
    !successes(tags)
}
