//! Runs to test with: one minute of `constant-vus` whose windows vary as those of real services do.
//!
//! The main type is [`Sample`]; each of its fields is a way in which two runs can differ.

use std::collections::BTreeMap;
use std::time::Duration;

use loadtest_core::metric::{Builtin, Tags, Totals, tag};
use loadtest_core::options::{Options, Workload};
use loadtest_core::results::{
    Definition, End, Fingerprint, GeneratorState, Interval, Revision, RunDocument, ScenarioState, SeriesDef,
    TestDocument, TestOutcome,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::data::{RunData, TestData};

/// Spread between sessions of equal code, on the log scale.
const BETWEEN_SESSIONS: f64 = 0.05;
/// Spread of a window's level, and its lag-one autocorrelation.
const WINDOW: f64 = 0.05;
const AUTOCORRELATION: f64 = 0.9;
/// Spread of single requests.
const REQUEST: f64 = 0.3;
const VUS: u32 = 20;

/// How a run goes.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) seed: u64,
    /// Spread of latency and of throughput between runs, on the log scale.
    pub(super) between: f64,
    pub(super) options: Options,
    pub(super) endpoints: usize,
    /// Requests per second, over all endpoints.
    pub(super) rate: f64,
    /// Factor of all latencies.
    pub(super) slower: f64,
    /// Factor of the first endpoint's latency, which is the fastest.
    pub(super) first_slower: f64,
    /// Share of requests that fail, in a tenth of the time.
    pub(super) failures: f64,
    /// Growth of the latency over the run, as a factor.
    pub(super) drift: f64,
    /// Factor of the latency in the second half of the run.
    pub(super) step: f64,
    pub(super) cpu: f64,
    pub(super) active_vus: u32,
    pub(super) dropped: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            seed: 1,
            between: BETWEEN_SESSIONS,
            options: Options {
                vus: Some(VUS),
                duration: Some(Duration::from_secs(60)),
                ..Options::default()
            },
            endpoints: 4,
            rate: 100.0,
            slower: 1.0,
            first_slower: 1.0,
            failures: 0.0,
            drift: 1.0,
            step: 1.0,
            cpu: 0.3,
            active_vus: VUS,
            dropped: 0,
        }
    }
}

impl Sample {
    /// The default with another seed.
    pub(super) fn seeded(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// The default with another seed, one of several runs made one after the other on one machine.
    pub(super) fn of_pair(seed: u64) -> Self {
        Self { between: 0.01, endpoints: 1, ..Self::seeded(seed) }
    }

    /// A run of this one test.
    pub(super) fn run(&self) -> RunData {
        run_of(vec![self.test("shop/lib/tests::browse")])
    }

    /// The test.
    pub(super) fn test(&self, id: &str) -> TestData {
        let workload = self.options.resolve().unwrap();
        let seconds =
            if workload.shape.is_timed() { workload.shape.regular_duration().as_secs() } else { 60 };
        let mut random = Random(StdRng::seed_from_u64(self.seed));
        let session = self.between * random.normal();
        let session_rate = self.between * random.normal();
        let mut level = random.normal();
        let mut recorder = Recorder::default();
        let mut started = 0;
        let mut intervals = Vec::new();
        for index in 0..seconds {
            let step = if 2 * index >= seconds { self.step } else { 1.0 };
            let drift = self.drift.powf(index as f64 / seconds as f64) * step;
            let window = (session + WINDOW * level).exp() * self.slower * drift;
            level =
                AUTOCORRELATION * level + (1.0 - AUTOCORRELATION * AUTOCORRELATION).sqrt() * random.normal();
            let requests = random.count(self.rate * session_rate.exp());
            for request in 0..requests {
                let endpoint = request as usize % self.endpoints;
                // From 100 µs for the first to 600 µs for the last, so that histograms stay small.
                let own = 0.1 * 6f64.powf(endpoint as f64 / (self.endpoints.max(2) - 1) as f64);
                let own = if endpoint == 0 { own * self.first_slower } else { own };
                let fails = random.0.random::<f64>() < self.failures;
                let latency =
                    own * window * (REQUEST * random.normal()).exp() * if fails { 0.1 } else { 1.0 };
                recorder.request(&format!("/page/{endpoint}"), latency, fails);
            }
            started += requests / 5;
            for _ in 0..requests / 5 {
                recorder.add(Builtin::IterationsFailed, Tags::new(), 0.0);
            }
            if index + 1 == seconds && self.dropped > 0 {
                recorder.add(Builtin::DroppedIterations, Tags::new(), self.dropped as f64);
            }
            let dropped = self.dropped * (index + 1) / seconds;
            intervals.push(self.interval(recorder.close(index, 1.0), started, dropped));
        }
        // What is in flight at the end comes in a part of a second.
        recorder.request("/page/0", 900.0, true);
        intervals.push(self.interval(recorder.close(seconds, 0.4), started, self.dropped));
        TestData::new(document(id, workload, started, seconds as f64 + 0.4), intervals)
    }

    fn interval(&self, mut interval: Interval, started: u64, dropped: u64) -> Interval {
        let state = ScenarioState {
            planned_vus: VUS,
            vus: self.active_vus,
            started,
            dropped,
            ..ScenarioState::default()
        };
        interval.scenarios = BTreeMap::from([("browse".to_owned(), state)]);
        interval.generator =
            GeneratorState { cpu: Some(self.cpu), steal: Some(0.0), ..GeneratorState::default() };
        interval
    }
}

/// A run of these tests on some machine.
pub(super) fn run_of(tests: Vec<TestData>) -> RunData {
    let document = RunDocument {
        schema_version: 1,
        id: "20260701T101112Z-abcdef0-1".to_owned(),
        tool_version: "0.1.0".to_owned(),
        started_at: "2026-07-01T10:11:12Z".to_owned(),
        revision: Revision { commit: Some("abcdef0".to_owned()), branch: None, dirty: false },
        fingerprint: Fingerprint {
            cpu: "Model A".to_owned(),
            cores: 8,
            memory_bytes: 16 << 30,
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            ..Fingerprint::default()
        },
        profile: "loadtest".to_owned(),
        repeat: String::new(),
        tests: tests.iter().map(|test| test.document.clone()).collect(),
        comparison: None,
        exit_code: 0,
    };
    RunData { document, tests, baseline_missing: None, missing_because: None }
}

fn document(id: &str, workload: Workload, started: u64, load_seconds: f64) -> TestDocument {
    let outcome = TestOutcome {
        workloads: BTreeMap::from([("browse".to_owned(), workload.clone())]),
        load_seconds,
        setup_seconds: 0.1,
        scenarios: BTreeMap::from([(
            "browse".to_owned(),
            ScenarioState { started, ..ScenarioState::default() },
        )]),
        workers: 2,
        ..TestOutcome::new(End::Completed)
    };
    let definition = Definition {
        test: "tests::browse".to_owned(),
        scenario: "browse".to_owned(),
        package: "shop".to_owned(),
        file: "src/lib.rs".to_owned(),
        line: 7,
        options: Options::default(),
        workload,
        binaries: Vec::new(),
        attribute_hash: "a".to_owned(),
        body_hash: "b".to_owned(),
    };
    TestDocument {
        id: id.to_owned(),
        definitions: vec![definition],
        outcome,
        services: Vec::new(),
        started_at: None,
        seed: 0,
        workload_hash: "w".to_owned(),
        intervals: String::new(),
        invalid: Vec::new(),
        summary: Vec::new(),
    }
}

/// Adds up samples as the aggregator of a test process does.
#[derive(Default)]
struct Recorder {
    series: Vec<(SeriesDef, Totals)>,
    announced: usize,
}

impl Recorder {
    fn request(&mut self, name: &str, latency_ms: f64, fails: bool) {
        let tags = |expected: bool| {
            let text = |text: &str| text.to_owned();
            Tags::from([
                (text(tag::NAME), text(name)),
                (text(tag::METHOD), text("GET")),
                (text(tag::EXPECTED_RESPONSE), expected.to_string()),
            ])
        };
        self.add(Builtin::HttpReqDuration, tags(!fails), latency_ms);
        self.add(Builtin::HttpReqFailed, tags(!fails), f64::from(u8::from(fails)));
    }

    fn add(&mut self, metric: Builtin, tags: Tags, value: f64) {
        let def = metric.def();
        let known =
            self.series.iter().position(|(known, _)| known.metric.name == def.name && known.tags == tags);
        let at = known.unwrap_or_else(|| {
            let id = self.series.len() as u32;
            self.series.push((SeriesDef { id, metric: def.clone(), tags }, Totals::default()));
            self.series.len() - 1
        });
        self.series[at].1.record(def.kind, def.unit.scale(), value);
    }

    fn close(&mut self, index: u64, seconds: f64) -> Interval {
        let new_series = self.series[self.announced..].iter().map(|(def, _)| def.clone()).collect();
        self.announced = self.series.len();
        let series = self.series.iter_mut().filter(|(_, totals)| totals.count > 0);
        let series = series.map(|(def, totals)| (def.id, std::mem::take(totals))).collect();
        Interval { index, seconds, new_series, series, ..Interval::default() }
    }
}

struct Random(StdRng);

impl Random {
    /// A standard normal number, by Box and Muller's method.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.0.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.0.random::<f64>()).cos()
    }

    /// A count that varies as a Poisson one does, roughly; a rate below one per second comes at even times.
    fn count(&mut self, expected: f64) -> u64 {
        (expected + expected.sqrt() * self.normal()).round().max(0.0) as u64
    }
}
