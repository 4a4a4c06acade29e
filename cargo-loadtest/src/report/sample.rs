//! Runs for the tests of the reports: the concert test with 100 virtual users for five seconds, a baseline
//! for it, and the same with texts that try to break out. Everything follows from a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use loadtest_core::metric::{Builtin, Kind, MetricDef, Tags, Totals, Unit};
use loadtest_core::options::{Options, Shape, Stage, Workload};
use loadtest_core::results::{
    Definition, End, ErrorOutcome, Fingerprint, GeneratorState, Interval, ProcessState, Revision,
    RunDocument, SCHEMA_VERSION, ScenarioState, SeriesDef, ServiceInfo, TestDocument, TestOutcome,
    ThresholdOutcome,
};

use crate::compare::{
    Comparison, MetricComparison, MetricKind, Mode, Rule, SCHEMA_VERSION as COMPARISON_VERSION, Side,
    TestComparison, Verdict,
};
use crate::data::{RunData, TestData};

mod duet;
pub(super) mod open;

pub(super) use duet::duet;

/// What a sample is made of.
pub(super) struct Recipe {
    pub seed: u64,
    pub seconds: u64,
    pub vus: u32,
    /// Requests per second under full load.
    pub rate: f64,
    /// Multiplies every latency.
    pub slow: f64,
    /// Share of requests that fail.
    pub errors: f64,
    /// Names of endpoints, with method and median latency in milliseconds.
    pub endpoints: Vec<(String, String, f64)>,
    /// Names of checks, with group and the share that holds.
    pub checks: Vec<(String, String, f64)>,
    pub id: String,
    pub messages: Vec<(String, String)>,
    pub thresholds: Vec<ThresholdOutcome>,
    pub warnings: Vec<String>,
    pub custom: String,
    pub tag: (String, String),
    /// Every so many requests one is served by HTTP/2; 0 for none.
    pub http2_every: u64,
    /// Without the phases, so that long runs are made quickly.
    pub lean: bool,
}

/// A small generator of numbers that never changes (splitmix64, Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Log-normal around 1, with a heavy tail now and then.
    fn latency(&mut self) -> f64 {
        let normal: f64 = (0..12).map(|_| self.next()).sum::<f64>() - 6.0;
        let tail = if self.next() < 0.012 { 4.0 + 6.0 * self.next() } else { 1.0 };
        (normal * 0.35).exp() * tail
    }
}

pub(super) fn threshold(
    source: &str,
    actual: Option<f64>,
    holds: bool,
    margin: Option<f64>,
) -> ThresholdOutcome {
    ThresholdOutcome { source: source.to_owned(), actual, holds, margin, aborted: false }
}

/// The concert test.
pub(super) fn recipe() -> Recipe {
    let endpoint = |method: &str, name: &str, median| (method.to_owned(), name.to_owned(), median);
    let check = |group: &str, name: &str, share| (group.to_owned(), name.to_owned(), share);
    Recipe {
        seed: 7,
        seconds: 5,
        vus: 100,
        rate: 420.0,
        slow: 1.0,
        errors: 0.021,
        endpoints: vec![
            endpoint("POST", "/token", 4.0),
            endpoint("GET", "/schedules", 6.5),
            endpoint("GET", "/schedules/{id}/seats", 18.0),
            endpoint("POST", "/reservations", 42.0),
            endpoint("POST", "/payments", 25.0),
        ],
        checks: vec![
            check("", "token issued", 1.0),
            check("", "schedules listed", 1.0),
            check("booking", "seats listed", 0.9995),
            check("booking", "seat reserved", 0.963),
            check("booking", "payment accepted", 0.999),
        ],
        id: "concert/concert/tests::reserve_seat".to_owned(),
        messages: vec![
            ("http".to_owned(), "seat 17 is taken: 409 Conflict".to_owned()),
            ("iteration".to_owned(), "payment was refused".to_owned()),
        ],
        thresholds: vec![
            threshold("http_req_duration: p(95)<500ms", Some(86.2), true, Some(0.8276)),
            threshold("http_req_failed: rate<0.01", Some(0.0206), false, Some(-1.06)),
            threshold("checks: rate>0.9", Some(0.991), true, Some(0.101)),
        ],
        warnings: vec!["the machine has 2 cores: service and generator share them".to_owned()],
        custom: "queue_wait".to_owned(),
        tag: ("region".to_owned(), "eu".to_owned()),
        http2_every: 0,
        lean: false,
    }
}

/// Ten minutes.
pub(super) fn long_recipe() -> Recipe {
    let mut recipe = recipe();
    recipe.endpoints.truncate(2);
    Recipe { seconds: 600, rate: 8.0, errors: 0.05, lean: true, ..recipe }
}

/// Texts that nobody should believe.
pub(super) const EVIL: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</svg></style></title><h1>out</h1>",
    "좌석 예약 확인 🎫👩‍👩‍👧 預約 座席を予約する 한국어 텍스트가 아주 길게 이어집니다",
    "abc\u{202e}txt.exe\u{1b}[31m\u{7}\0 ${7*7} {{ 7*7 }} {% raw %}",
    "מושב תפוס عربى",
];

/// The same with hostile texts everywhere.
pub(super) fn hostile_recipe() -> Recipe {
    let long = format!("{}{}", EVIL[3], "가나다라마바사".repeat(1_500));
    let word = "x".repeat(10_000);
    let mut recipe = recipe();
    recipe.id = format!("concert/concert/tests::{}{}", EVIL[0], EVIL[3]);
    let endpoint = |name: &str, median| (format!("GET{}", EVIL[1]), name.to_owned(), median);
    recipe.endpoints =
        EVIL.iter().zip([3.0, 5.0, 8.0, 13.0, 21.0, 34.0]).map(|(e, m)| endpoint(e, m)).collect();
    recipe.endpoints.push(endpoint(&long, 40.0));
    recipe.endpoints.push(endpoint(&word, 50.0));
    recipe.checks = EVIL.iter().map(|evil| (EVIL[2].to_owned(), (*evil).to_owned(), 0.9)).collect();
    recipe.checks.push((EVIL[0].to_owned(), long.clone(), 0.5));
    recipe.messages = EVIL.iter().map(|evil| (EVIL[0].to_owned(), (*evil).to_owned())).collect();
    recipe.messages.push(("panic".to_owned(), long.clone()));
    recipe.messages.push(("panic".to_owned(), word.clone()));
    recipe.messages.push(("http".to_owned(), "first line\r\nsecond line\n\tthird".to_owned()));
    recipe.thresholds.push(threshold(
        "http_req_duration{name:\"<script>alert(1)</script>\"}: p(95)<1ms",
        Some(3.0),
        false,
        Some(-2.0),
    ));
    recipe.thresholds.push(threshold(&format!("queue{}: {}", EVIL[2], EVIL[4]), None, false, None));
    recipe.warnings = EVIL.iter().map(|evil| (*evil).to_owned()).collect();
    recipe.warnings.push(long);
    recipe.custom = EVIL[1].to_owned();
    recipe.tag = (EVIL[0].to_owned(), EVIL[2].to_owned());
    recipe
}

/// The run, its baseline, and what comparing them said.
pub(super) fn concert() -> (RunData, RunData, Comparison) {
    let run = run("20260504T101500Z-4f2a9c1-k3", "2026-05-04T10:15:00Z", vec![test(&recipe())], 99);
    let base = Recipe { seed: 3, slow: 0.68, errors: 0.002, ..recipe() };
    let mut base = self::run("20260501T090000Z-91bd02e-a7", "2026-05-01T09:00:00Z", vec![test(&base)], 0);
    base.document.revision.commit = Some("91bd02e5570c3d8a19f4e2b6c7d8a9f0e1b2c3d4".to_owned());
    base.document.revision.dirty = false;
    let comparison = comparison(&run, &base);
    (run, base, comparison)
}

/// The same with hostile texts.
pub(super) fn hostile() -> (RunData, RunData, Comparison) {
    let mut run = run(EVIL[4], "2026-05-04T10:15:00Z", vec![test(&hostile_recipe())], 99);
    run.document.revision.branch = Some(EVIL[0].to_owned());
    run.document.fingerprint.cpu = EVIL[1].to_owned();
    run.document.repeat = format!("cargo loadtest {} --tag {}", EVIL[0], EVIL[3]);
    let base = self::run(EVIL[2], "2026-05-01T09:00:00Z", vec![test(&hostile_recipe())], 0);
    let mut comparison = comparison(&run, &base);
    comparison.base.name = Some(format!("{}{}", EVIL[0], EVIL[3]));
    comparison.warnings = EVIL.iter().map(|evil| (*evil).to_owned()).collect();
    comparison.tests[0].reasons = comparison.warnings.clone();
    comparison.tests[0].metrics[0].name = EVIL[3].to_owned();
    comparison.tests[0].metrics[1].reason = Some(EVIL[2].to_owned());
    (run, base, comparison)
}

/// A run of these tests.
pub(super) fn run(id: &str, started_at: &str, tests: Vec<TestData>, exit_code: u8) -> RunData {
    let document = RunDocument {
        schema_version: SCHEMA_VERSION,
        id: id.to_owned(),
        tool_version: "0.1.0".to_owned(),
        started_at: started_at.to_owned(),
        revision: Revision {
            commit: Some("4f2a9c1e77b0d3aa51c20f6e8d94b7c6a1f00e55".to_owned()),
            branch: Some("seat-lock".to_owned()),
            dirty: true,
        },
        fingerprint: Fingerprint {
            cpu: "AMD EPYC 7B13".to_owned(),
            cores: 2,
            memory_bytes: 8_345_000_000,
            os: "linux".to_owned(),
            kernel: "6.1.0-21".to_owned(),
            arch: "x86_64".to_owned(),
            virtualisation: "kvm".to_owned(),
            rustc: "rustc 1.95.0".to_owned(),
        },
        profile: "loadtest".to_owned(),
        repeat: "cargo loadtest reserve_seat --seed 42 --baseline main".to_owned(),
        tests: tests.iter().map(|test| test.document.clone()).collect(),
        comparison: None,
        exit_code,
    };
    RunData { document, tests, baseline_missing: None, missing_because: None }
}

struct Recorder {
    known: Vec<SeriesDef>,
    open: Interval,
    opened: BTreeMap<u32, Totals>,
}

impl Recorder {
    fn add(&mut self, metric: MetricDef, tags: &Tags, value: f64) {
        let at = self.known.iter().position(|def| def.metric == metric && def.tags == *tags).unwrap_or_else(
            || {
                let def =
                    SeriesDef { id: self.known.len() as u32, metric: metric.clone(), tags: tags.clone() };
                self.known.push(def.clone());
                self.open.new_series.push(def);
                self.known.len() - 1
            },
        );
        self.opened.entry(at as u32).or_default().record(metric.kind, metric.unit.scale(), value);
    }

    fn builtin(&mut self, metric: Builtin, tags: &Tags, value: f64) {
        self.add(metric.def(), tags, value);
    }
}

/// A test that went by the recipe.
pub(super) fn test(recipe: &Recipe) -> TestData {
    let mut random = Random(recipe.seed);
    let scenario = "reserve_seat".to_owned();
    let mut common: Tags = [("scenario".to_owned(), scenario.clone())].into();
    common.insert(recipe.tag.0.clone(), recipe.tag.1.clone());
    let mut recorder = Recorder { known: Vec::new(), open: Interval::default(), opened: BTreeMap::new() };
    let mut intervals = Vec::new();
    let mut ended = 0;
    for second in 0..recipe.seconds {
        let share = level(second, recipe.seconds);
        recorder.open = Interval { index: second, seconds: 1.0, ..Interval::default() };
        let requests = (recipe.rate * share.max(0.15) * (0.9 + 0.2 * random.next())) as u64;
        for n in 0..requests {
            request(recipe, &mut recorder, &mut random, &common, n, second);
        }
        let planned = (f64::from(recipe.vus) * share) as u32;
        recorder.builtin(Builtin::Vus, &common, f64::from(planned));
        recorder.builtin(Builtin::VusMax, &common, f64::from(recipe.vus));
        ended += requests / recipe.endpoints.len() as u64;
        let cpu = 0.25 + 0.3 * share + 0.05 * random.next();
        recorder.open.generator = GeneratorState {
            cpu: Some(cpu),
            steal: Some(0.004),
            rss_bytes: Some(41_000_000 + second * 120_000),
            max_stall_ms: 1.5 + 3.0 * random.next(),
            lost_samples: 0,
        };
        recorder.open.service =
            Some(ProcessState { cpu_cores: 1.1 * share + 0.05, rss_bytes: 23_000_000 + second * 400_000 });
        let state = ScenarioState {
            planned_vus: planned,
            vus: planned + (6.0 * random.next()) as u32,
            started: ended + u64::from(planned),
            completed: ended,
            interrupted: 0,
            ..ScenarioState::default()
        };
        recorder.open.scenarios.insert(scenario.clone(), state);
        recorder.open.series = std::mem::take(&mut recorder.opened).into_iter().collect();
        intervals.push(std::mem::take(&mut recorder.open));
    }
    let mut test = TestData::new(document(recipe, &scenario), intervals);
    // The values of the first three thresholds are those of the data.
    let all = |_: &Tags| true;
    let p95 = test.total("http_req_duration", all).quantile(0.95, Unit::Millis);
    let failed = test.total("http_req_failed", all).mean();
    let held = test.total("checks", all).mean();
    let margins = [p95.map(|p| 1.0 - p / 500.0), failed.map(|f| 1.0 - f / 0.01), held.map(|h| h / 0.9 - 1.0)];
    for ((threshold, actual), margin) in
        test.document.outcome.thresholds.iter_mut().zip([p95, failed, held]).zip(margins)
    {
        threshold.actual = actual;
        threshold.margin = margin;
        threshold.holds = margin.is_some_and(|margin| margin > 0.0);
    }
    test
}

/// Up in the first fifth, down in the last.
fn level(second: u64, seconds: u64) -> f64 {
    let fifth = (seconds as f64 / 5.0).max(1.0);
    let (up, down) = ((second + 1) as f64 / fifth, (seconds - 1 - second) as f64 / fifth);
    up.min(down).clamp(0.0, 1.0)
}

fn request(
    recipe: &Recipe,
    recorder: &mut Recorder,
    random: &mut Random,
    common: &Tags,
    n: u64,
    second: u64,
) {
    let (method, name, median) = &recipe.endpoints[n as usize % recipe.endpoints.len()];
    // Failures come in a burst towards the end, and are fast.
    let burst = if second * 5 >= recipe.seconds * 3 { 1.7 } else { 0.55 };
    let failed = random.next() < recipe.errors * burst;
    let (status, code) = match (failed, random.next()) {
        (false, _) => (200, None),
        (true, x) if x < 0.5 => (503, Some("1503")),
        (true, x) if x < 0.8 => (409, Some("1409")),
        (true, _) => (0, Some("1212")),
    };
    let slow_second = if second * 5 / recipe.seconds.max(1) == 2 { 1.6 } else { 1.0 };
    let latency =
        if failed { 0.4 + random.next() } else { median * recipe.slow * slow_second * random.latency() };
    let mut tags = common.clone();
    for (key, value) in [("name", name.as_str()), ("method", method), ("status", &status.to_string())] {
        tags.insert(key.to_owned(), value.to_owned());
    }
    tags.insert("expected_response".to_owned(), (!failed).to_string());
    let is_http2 = recipe.http2_every > 0 && n.is_multiple_of(recipe.http2_every);
    tags.insert("proto".to_owned(), if is_http2 { "HTTP/2.0" } else { "HTTP/1.1" }.to_owned());
    if let Some(code) = code {
        tags.insert("error_code".to_owned(), code.to_owned());
    }
    recorder.builtin(Builtin::HttpReqs, &tags, 1.0);
    recorder.builtin(Builtin::HttpReqFailed, &tags, f64::from(u8::from(failed)));
    recorder.builtin(Builtin::HttpReqDuration, &tags, latency);
    if !recipe.lean {
        recorder.builtin(Builtin::HttpReqBlocked, &tags, 0.002);
        recorder.builtin(Builtin::HttpReqLookingUp, &tags, 0.0);
        recorder.builtin(Builtin::HttpReqConnecting, &tags, if n < 100 && second == 0 { 0.21 } else { 0.0 });
        recorder.builtin(Builtin::HttpReqTlsHandshaking, &tags, 0.0);
        recorder.builtin(Builtin::HttpReqSending, &tags, latency * 0.01);
        recorder.builtin(Builtin::HttpReqWaiting, &tags, latency * 0.93);
        recorder.builtin(Builtin::HttpReqReceiving, &tags, latency * 0.06);
    }
    recorder.builtin(Builtin::DataSent, common, 310.0);
    recorder.builtin(Builtin::DataReceived, common, 1_280.0);

    let (group, check, share) = &recipe.checks[n as usize % recipe.checks.len()];
    let mut tags = common.clone();
    tags.insert("check".to_owned(), check.clone());
    if !group.is_empty() {
        tags.insert("group".to_owned(), group.clone());
    }
    recorder.builtin(Builtin::Checks, &tags, f64::from(u8::from(random.next() < *share)));
    if n.is_multiple_of(recipe.endpoints.len() as u64) {
        let took = 900.0 + 300.0 * random.next();
        recorder.builtin(Builtin::Iterations, common, 1.0);
        recorder.builtin(Builtin::IterationDuration, common, took);
        recorder.builtin(Builtin::IterationScheduledDuration, common, took + 0.12);
        recorder.builtin(Builtin::IterationsFailed, common, f64::from(u8::from(random.next() < 0.012)));
        let mut tags = common.clone();
        tags.insert("group".to_owned(), group.clone());
        recorder.builtin(Builtin::GroupDuration, &tags, latency * 2.0);
        let wait = MetricDef { name: recipe.custom.clone(), kind: Kind::Trend, unit: Unit::Millis };
        recorder.add(wait, common, 40.0 * random.latency());
        recorder.add(
            MetricDef { name: "seats_sold".to_owned(), kind: Kind::Counter, unit: Unit::None },
            common,
            1.0,
        );
    }
}

fn document(recipe: &Recipe, scenario: &str) -> TestDocument {
    let fifth = Duration::from_secs((recipe.seconds / 5).max(1));
    let workload = Workload {
        shape: Shape::RampingVus {
            start_vus: 1,
            stages: vec![
                Stage { duration: fifth, target: recipe.vus.into() },
                Stage { duration: fifth * 3, target: recipe.vus.into() },
                Stage { duration: fifth, target: 0 },
            ],
            graceful_ramp_down: Duration::from_secs(30),
        },
        graceful_stop: Duration::from_secs(30),
        warm_up: Duration::ZERO,
        start_time: Duration::ZERO,
        min_iteration_duration: Duration::ZERO,
    };
    let errors = recipe.messages.iter().enumerate().map(|(n, (kind, message))| ErrorOutcome {
        scenario: scenario.to_owned(),
        kind: kind.clone(),
        message: message.clone(),
        place: Some(format!("src/lib.rs:{}:9", 120 + n)),
        count: 40 / (n as u64 + 1) + 1,
        first_at: 0.4 + n as f64,
    });
    TestDocument {
        id: recipe.id.clone(),
        definitions: vec![Definition {
            test: "tests::reserve_seat".to_owned(),
            scenario: scenario.to_owned(),
            package: "concert".to_owned(),
            file: "src/lib.rs".to_owned(),
            line: 100,
            options: Options::default(),
            workload: workload.clone(),
            binaries: vec!["concert".to_owned()],
            attribute_hash: "ab".to_owned(),
            body_hash: "cd".to_owned(),
        }],
        outcome: TestOutcome {
            workloads: [(scenario.to_owned(), workload)].into(),
            thresholds: recipe.thresholds.clone(),
            errors: errors.collect(),
            metrics: vec![MetricDef { name: recipe.custom.clone(), kind: Kind::Trend, unit: Unit::Millis }],
            load_seconds: recipe.seconds as f64,
            setup_seconds: 0.42,
            workers: 2,
            warnings: recipe.warnings.clone(),
            ..TestOutcome::new(End::Completed)
        },
        services: vec![ServiceInfo {
            name: "concert".to_owned(),
            base_url: "http://127.0.0.1:43781".to_owned(),
            path: Some("/target/loadtest/concert".to_owned()),
            pid: Some(4_711),
            log: Some("concert.log".to_owned()),
        }],
        started_at: Some("2026-05-04T10:15:02Z".to_owned()),
        seed: 42,
        workload_hash: "00ff".to_owned(),
        intervals: "intervals-0.jsonl".to_owned(),
        invalid: Vec::new(),
        summary: Vec::new(),
    }
}

fn rule() -> Rule {
    Rule {
        alpha: 0.05,
        min_effect: 0.25,
        equivalence: 0.25,
        share_equivalence: 0.001,
        session_spread: Some(0.05),
    }
}

fn comparison(run: &RunData, base: &RunData) -> Comparison {
    use MetricKind::{Latency, Share, Throughput};
    let side = |run: &RunData, baseline: Option<&str>| Side {
        name: baseline.map(str::to_owned),
        is_saved: baseline.is_some(),
        runs: vec![run.document.id.clone()],
        sessions: 1,
        found: None,
        commit: run.document.revision.commit.clone(),
        dirty: false,
        started_at: run.document.started_at.clone(),
    };
    let metric = |name: &str, kind, gate, base, head, change, interval, verdict| MetricComparison {
        name: name.to_owned(),
        kind,
        gate,
        base: Some(base),
        head: Some(head),
        change: Some(change),
        interval: Some(interval),
        p: Some(0.01),
        verdict,
        min_effect: if kind == Share { 0.001 } else { 0.25 },
        detectable: Some(if kind == Share { 0.004 } else { 1.31 }),
        runs_needed: None,
        reason: None,
        base_runs: Vec::new(),
        head_runs: Vec::new(),
    };
    let latency = |run: &RunData, q| {
        run.tests[0]
            .total("http_req_duration", crate::data::successes)
            .quantile(q, Unit::Millis)
            .unwrap_or(0.0)
    };
    let (old, new) = (latency(base, 0.95), latency(run, 0.95));
    let (old_median, new_median) = (latency(base, 0.5), latency(run, 0.5));
    let mut unjudged = metric(
        "p99",
        Latency,
        false,
        latency(base, 0.99),
        latency(run, 0.99),
        1.55,
        (0.9, 2.6),
        Verdict::Inconclusive,
    );
    unjudged.interval = None;
    unjudged.reason = Some(
        "needs 1000 successes on each side, there are 1702 in the baseline and 998 in this run; measure longer"
            .to_owned(),
    );
    let mut undecided =
        metric("endpoint p95", Latency, true, 31.0, 45.1, 1.455, (1.22, 1.74), Verdict::Inconclusive);
    undecided.reason = Some(
        "it moved, but not surely by enough to matter; a change of 31 % or more would have been found; it would \
         take a longer run, or about 4 runs of each side"
            .to_owned(),
    );
    let metrics = vec![
        metric("errors", Share, true, 0.002, 0.0206, 0.0186, (0.0121, 0.0251), Verdict::Regressed),
        metric("p95", Latency, true, old, new, new / old, (1.26, 1.73), Verdict::Regressed),
        undecided,
        metric("throughput", Throughput, true, 318.0, 321.0, 1.009, (0.87, 1.17), Verdict::Unchanged),
        metric(
            "p50",
            Latency,
            false,
            old_median,
            new_median,
            new_median / old_median,
            (1.31, 1.67),
            Verdict::Regressed,
        ),
        unjudged,
    ];
    Comparison {
        schema_version: COMPARISON_VERSION,
        mode: Mode::Stored,
        base: side(base, Some("main")),
        head: side(run, None),
        why: "there is no history of `main` yet".to_owned(),
        rule: rule(),
        order: Vec::new(),
        seed: None,
        repeat: String::new(),
        closer: None,
        warnings: vec!["the body of the test has changed since the baseline".to_owned()],
        tests: vec![TestComparison {
            id: run.tests[0].document.id.clone(),
            file: "src/lib.rs".to_owned(),
            line: 7,
            verdict: Verdict::Regressed,
            rule: rule(),
            runs: 1,
            shift: Vec::new(),
            distance: None,
            reasons: vec!["no hold stage is long enough for its own segment".to_owned()],
            metrics,
        }],
        verdict: Verdict::Regressed,
    }
}
