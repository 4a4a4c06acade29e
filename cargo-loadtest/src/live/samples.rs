//! A made-up test on its way, for the tests of the views.

use std::collections::BTreeMap;
use std::time::Duration;

use loadtest_core::metric::{Builtin, Kind, Tags, Totals, Unit, tag};
use loadtest_core::options::Options;
use loadtest_core::results::{
    Definition, GeneratorState, Interval, ScenarioState, SeriesDef, SeriesId, ServiceInfo,
};

/// `constant-vus`, 100 VUs for 30 s, with two thresholds.
pub(super) fn definition() -> Definition {
    let options = Options {
        vus: Some(100),
        duration: Some(Duration::from_secs(30)),
        thresholds: ["http_req_duration: p(95)<50ms", "http_req_failed: rate<0.01"]
            .map(|text| text.parse().expect("a threshold"))
            .to_vec(),
        ..Options::default()
    };
    definition_of("reserve_seat", options)
}

pub(super) fn definition_of(scenario: &str, options: Options) -> Definition {
    Definition {
        test: format!("tests::{scenario}"),
        scenario: scenario.to_owned(),
        package: "concert".to_owned(),
        file: "src/lib.rs".to_owned(),
        line: 17,
        workload: options.resolve().expect("valid"),
        options,
        binaries: vec!["concert".to_owned()],
        attribute_hash: "a1".to_owned(),
        body_hash: "b2".to_owned(),
    }
}

pub(super) fn service() -> ServiceInfo {
    ServiceInfo {
        name: "concert".to_owned(),
        base_url: "http://127.0.0.1:4000".to_owned(),
        path: None,
        pid: Some(4711),
        log: Some("target/concert.log".to_owned()),
    }
}

/// Second `index`: 200 requests of 10 ms, ten of them failed after 1 ms, 190 iterations, two failed.
pub(super) fn interval(index: u64) -> Interval {
    let scenario: Tags = [(tag::SCENARIO.to_owned(), "reserve_seat".to_owned())].into();
    let with = |expected: &str| {
        let mut tags = scenario.clone();
        tags.insert(tag::EXPECTED_RESPONSE.to_owned(), expected.to_owned());
        tags
    };
    let series = [
        (Builtin::HttpReqs, with("true"), counter(190)),
        (Builtin::HttpReqs, with("false"), counter(10)),
        (Builtin::HttpReqFailed, with("true"), rate(190, 0)),
        (Builtin::HttpReqFailed, with("false"), rate(10, 10)),
        (Builtin::HttpReqDuration, with("true"), trend(190, 10.0)),
        (Builtin::HttpReqDuration, with("false"), trend(10, 1.0)),
        (Builtin::Iterations, scenario.clone(), counter(190)),
        (Builtin::IterationsFailed, scenario.clone(), rate(190, 2)),
    ];
    let defs = series.iter().zip(0..).map(|((metric, tags, _), id)| SeriesDef {
        id,
        metric: metric.def(),
        tags: tags.clone(),
    });
    let state = ScenarioState {
        planned_vus: 100,
        vus: 99,
        started: 190 * (index + 1) + 99,
        completed: 190 * (index + 1),
        interrupted: 0,
        ..ScenarioState::default()
    };
    Interval {
        index,
        seconds: 1.0,
        new_series: if index == 0 { defs.collect() } else { Vec::new() },
        series: series
            .iter()
            .zip(0..)
            .map(|((.., totals), id): (_, SeriesId)| (id, totals.clone()))
            .collect(),
        scenarios: BTreeMap::from([("reserve_seat".to_owned(), state)]),
        generator: GeneratorState { cpu: Some(0.354), ..GeneratorState::default() },
        service: None,
        thresholds: vec![true, false],
        errors: Vec::new(),
        paused: false,
    }
}

fn counter(n: u64) -> Totals {
    Totals { count: n, sum: n as f64, min: 1.0, max: 1.0, ..Totals::default() }
}

fn rate(n: u64, hits: u64) -> Totals {
    Totals { count: n, sum: hits as f64, ..Totals::default() }
}

fn trend(n: u64, value: f64) -> Totals {
    let mut totals = Totals::default();
    (0..n).for_each(|_| totals.record(Kind::Trend, Unit::Millis.scale(), value));
    totals
}
