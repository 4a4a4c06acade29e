//! Tests of arrival rates, of several scenarios and of a capacity search, all of one service that bears 720
//! requests per second.

use std::collections::BTreeMap;
use std::time::Duration;

use loadtest_core::metric::{Builtin, Tags};
use loadtest_core::options::{ExecutorKind, Options, Workload};
use loadtest_core::results::{Capacity, End, GeneratorState, Interval, Probe, ScenarioState, TestOutcome};

use super::{EVIL, Random, Recipe, Recorder, document, recipe, threshold};
use crate::data::TestData;

/// What the service bears.
const BEARS: f64 = 720.0;

fn arrival_rate() -> Options {
    Options {
        executor: Some(ExecutorKind::ConstantArrivalRate),
        rate: Some(100),
        duration: Some(Duration::from_secs(20)),
        pre_allocated_vus: Some(20),
        max_vus: Some(40),
        ..Options::default()
    }
}

/// A second of a scenario.
struct Second {
    planned_rate: Option<f64>,
    started: u64,
    dropped: u64,
    vus: u32,
    planned_vus: u32,
    /// Median latency in milliseconds.
    latency: f64,
    /// How long after its intended start an iteration started, at most, in milliseconds.
    lag: f64,
    paused: bool,
}

/// Puts a test together from the seconds of its scenarios, each of as many seconds as the test.
fn test(id: &str, scenarios: &[(&str, Options, Vec<Option<Second>>)]) -> TestData {
    let mut random = Random(11);
    let mut recorder = Recorder { known: Vec::new(), open: Interval::default(), opened: BTreeMap::new() };
    let mut states: BTreeMap<String, ScenarioState> = BTreeMap::new();
    let length = scenarios.iter().map(|(_, _, seconds)| seconds.len()).max().unwrap_or(0);
    let mut intervals = Vec::new();
    for index in 0..length {
        recorder.open = Interval { index: index as u64, seconds: 1.0, ..Interval::default() };
        for (name, options, seconds) in scenarios {
            let open = options.resolve().expect("valid").shape.is_open();
            let state = states.entry((*name).to_owned()).or_default();
            let Some(second) = seconds.get(index).and_then(Option::as_ref) else {
                *state = ScenarioState { planned_vus: 0, vus: 0, planned_rate: None, ..state.clone() };
                recorder.open.scenarios.insert((*name).to_owned(), state.clone());
                continue;
            };
            let tags: Tags = [
                ("scenario", *name),
                ("name", "/seats"),
                ("method", "GET"),
                ("status", "200"),
                ("expected_response", "true"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
            let common: Tags = [("scenario".to_owned(), (*name).to_owned())].into();
            for _ in 0..second.started {
                let latency = second.latency * random.latency();
                let lag = second.lag * random.next();
                recorder.builtin(Builtin::HttpReqs, &tags, 1.0);
                recorder.builtin(Builtin::HttpReqFailed, &tags, 0.0);
                recorder.builtin(Builtin::HttpReqDuration, &tags, latency);
                recorder.builtin(Builtin::Iterations, &common, 1.0);
                recorder.builtin(Builtin::IterationsFailed, &common, 0.0);
                recorder.builtin(Builtin::IterationDuration, &common, latency + 1.0);
                recorder.builtin(Builtin::IterationScheduledDuration, &common, latency + lag + 1.0);
                if open {
                    recorder.builtin(Builtin::ScheduleLag, &common, lag);
                }
            }
            if second.dropped > 0 {
                recorder.builtin(Builtin::DroppedIterations, &common, second.dropped as f64);
            }
            *state = ScenarioState {
                planned_vus: second.planned_vus,
                vus: second.vus,
                started: state.started + second.started,
                completed: state.completed + second.started,
                dropped: state.dropped + second.dropped,
                initialised_vus: second.vus + 4,
                planned_rate: second.planned_rate,
                ..ScenarioState::default()
            };
            recorder.open.scenarios.insert((*name).to_owned(), state.clone());
            recorder.open.paused |= second.paused;
        }
        recorder.open.generator = GeneratorState {
            cpu: Some(0.35),
            steal: Some(0.0),
            max_stall_ms: 3.0,
            ..GeneratorState::default()
        };
        recorder.open.series = std::mem::take(&mut recorder.opened).into_iter().collect();
        intervals.push(std::mem::take(&mut recorder.open));
    }
    let recipe = Recipe { id: id.to_owned(), seconds: length as u64, ..recipe() };
    let mut document = document(&recipe, scenarios[0].0);
    let workload = |options: &Options| -> Workload { options.resolve().expect("valid") };
    document.outcome = TestOutcome {
        workloads: scenarios
            .iter()
            .map(|(name, options, _)| ((*name).to_owned(), workload(options)))
            .collect(),
        scenarios: states,
        load_seconds: length as f64,
        setup_seconds: 0.4,
        workers: 2,
        ..TestOutcome::new(End::Completed)
    };
    TestData::new(document, intervals)
}

/// 100 starts per second for 20 s of a service that stalls in the twelfth second: 69 starts are dropped.
pub(in crate::report) fn arrivals() -> TestData {
    let second = |index: u64| {
        let stall = index == 12;
        let dropped = if stall { 69 } else { 0 };
        let busy = if stall { 40 } else { 8 };
        Some(Second {
            planned_rate: Some(100.0),
            started: 100 - dropped,
            dropped,
            vus: busy,
            planned_vus: 0,
            latency: if stall { 380.0 } else { 14.0 },
            lag: if stall { 60.0 } else { 0.6 },
            paused: false,
        })
    };
    test("concert/concert/tests::at_a_rate", &[("seats", arrival_rate(), (0..20).map(second).collect())])
}

/// Users that loop, and a rate that joins them after ten seconds; the load is paused for two seconds.
pub(in crate::report) fn mixed() -> TestData {
    let users = Options { vus: Some(15), duration: Some(Duration::from_secs(20)), ..Options::default() };
    let late = Options {
        start_time: Some(Duration::from_secs(10)),
        duration: Some(Duration::from_secs(10)),
        ..arrival_rate()
    };
    let looping = |index: u64| {
        let paused = index == 5 || index == 6;
        Some(Second {
            planned_rate: None,
            started: if paused { 0 } else { 150 },
            dropped: 0,
            vus: if paused { 0 } else { 15 },
            planned_vus: 15,
            latency: 20.0,
            lag: 0.1,
            paused,
        })
    };
    let arriving = |index: u64| {
        (index >= 10).then_some(Second {
            planned_rate: Some(100.0),
            started: 100,
            dropped: 0,
            vus: 6,
            planned_vus: 0,
            latency: 18.0,
            lag: 0.5,
            paused: false,
        })
    };
    let mut test = test(
        "concert/concert/tests::mixed",
        &[
            ("browse", users, (0..20).map(looping).collect()),
            ("reserve", late, (0..20).map(arriving).collect()),
        ],
    );
    test.document.outcome.paused_seconds = 1.6;
    test
}

/// Fifteen users for ten seconds, and then five others.
pub(in crate::report) fn users_one_after_another() -> TestData {
    let users = |vus, from| Options {
        vus: Some(vus),
        duration: Some(Duration::from_secs(10)),
        start_time: Some(Duration::from_secs(from)),
        ..Options::default()
    };
    test(
        "concert/concert/tests::shifts",
        &[("early", users(15, 0), Vec::new()), ("late", users(5, 10), Vec::new())],
    )
}

/// A search from 100 to 2,000 per second by halves, down to 50.
pub(in crate::report) fn search() -> TestData {
    search_of("concert/concert/tests::how_much", "seats")
}

/// The same with names and reasons that nobody should believe.
pub(in crate::report) fn hostile_search() -> TestData {
    let mut test = search_of("concert/concert/tests::how_much", EVIL[2]);
    for capacity in test.document.outcome.capacities.values_mut() {
        for (probe, evil) in capacity.probes.iter_mut().zip(EVIL.iter().cycle()) {
            probe.reason = Some((*evil).to_owned());
            probe.thresholds.push(threshold(evil, Some(1.0), false, None));
        }
    }
    test.document.outcome.failed_by_test = vec![EVIL[0].to_owned()];
    test
}

fn search_of(id: &str, scenario: &str) -> TestData {
    let rates = [100, 200, 400, 800, 600, 700, 750];
    let options = Options {
        executor: Some(ExecutorKind::FindCapacity),
        start_rate: Some(100),
        max_rate: Some(2_000),
        step: Some(50),
        probe_duration: Some(Duration::from_secs(3)),
        pre_allocated_vus: Some(50),
        max_vus: Some(100),
        duration: None,
        thresholds: vec!["http_req_duration: p(95)<200ms".parse().expect("valid")],
        ..Options::default()
    };
    // A probe takes three seconds, and one more until the next.
    let second = |index: usize| {
        let rate = rates[index / 4] as f64;
        let (started, drops) = if rate > BEARS { (BEARS * 0.97, rate - BEARS * 0.97) } else { (rate, 0.0) };
        let load = rate / BEARS;
        // As a queue does, up to where it overflows.
        let latency = if load < 1.0 { 6.0 / (1.0 - load * 0.95) } else { 190.0 * load };
        (index % 4 < 3).then_some(Second {
            planned_rate: Some(rate),
            started: started as u64,
            dropped: drops as u64,
            vus: if load < 1.0 { (rate * latency / 1_000.0) as u32 + 1 } else { 100 },
            planned_vus: 0,
            latency,
            lag: 0.4,
            paused: false,
        })
    };
    let seconds = (0..rates.len() * 4).map(second).collect();
    let mut test = test(id, &[(scenario, options, seconds)]);
    let source = "http_req_duration: p(95)<200ms";
    let probes: Vec<Probe> = rates
        .iter()
        .enumerate()
        .map(|(n, rate)| {
            let mut probe = Probe {
                rate: *rate,
                started_at: 4.0 * n as f64,
                seconds: 3.0,
                started: 0,
                dropped: 0,
                thresholds: Vec::new(),
                holds: (*rate as f64) < BEARS,
                reason: None,
                latency_ms: BTreeMap::new(),
            };
            let starts = test.within(&probe).into_iter().map(|position| test.starts(position));
            (probe.started, probe.dropped) =
                starts.fold((0, 0), |sum, starts| (sum.0 + starts.started, sum.1 + starts.dropped));
            // Some come while it drains, and more slowly.
            let names = ["p(50)", "p(95)", "p(99)"].map(str::to_owned);
            let latency = test.probe_latency(scenario, &probe).map(|value| value.unwrap_or_default() * 1.3);
            let p95 = Some(latency[1]);
            probe.latency_ms = names.into_iter().zip(latency).collect();
            probe.thresholds = vec![threshold(source, p95, probe.holds, p95.map(|p95| 1.0 - p95 / 200.0))];
            if !probe.holds {
                let reasons =
                    probe.thresholds.iter().filter(|threshold| !threshold.holds).map(Probe::reason_of);
                let dropped = format!("{} starts were dropped", probe.dropped);
                probe.reason = Some(reasons.chain([dropped]).collect::<Vec<_>>().join("; "));
            }
            probe
        })
        .collect();
    let found = Capacity {
        time_unit: 1.0,
        probes,
        highest_held: Some(700),
        lowest_failed: Some(750),
        complete: true,
    };
    test.document.outcome.capacities.insert(scenario.to_owned(), found);
    test
}
