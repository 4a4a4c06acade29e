//! Stores in temporary directories, and the golden files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use loadtest_core::metric::{Builtin, Kind, MetricDef, Tags, Totals, Unit, tag};
use loadtest_core::options::{Options, Stage};
use loadtest_core::results::{
    Definition, End, ErrorOutcome, Fingerprint, GeneratorState, Interval, ProcessState, Revision,
    RunDocument, ScenarioState, SeriesDef, SeriesSummary, ServiceInfo, TestDocument, TestOutcome,
    ThresholdOutcome,
};
use serde_json::{Value, json};

use super::*;
use crate::data::RunData;

mod archives;
mod kept;

const TEST_ID: &str = "concert/lib::tests::reserve_seat";

fn latency(values: &[f64]) -> Totals {
    let mut totals = Totals::default();
    values.iter().for_each(|value| totals.record(Kind::Trend, Unit::Millis.scale(), *value));
    totals
}

/// Second `index` with three requests.
fn interval(index: u64) -> Interval {
    let tags: Tags = [(tag::SCENARIO, "reserve_seat"), (tag::EXPECTED_RESPONSE, "true")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let def = SeriesDef { id: 0, metric: Builtin::HttpReqDuration.def(), tags };
    Interval {
        index,
        seconds: 1.0,
        new_series: if index == 0 { vec![def] } else { Vec::new() },
        series: vec![(0, latency(&[1.0, 2.5, 40.0]))],
        scenarios: [("reserve_seat".to_owned(), scenario())].into(),
        generator: GeneratorState {
            cpu: Some(0.5),
            steal: None,
            rss_bytes: Some(1 << 24),
            max_stall_ms: 0.25,
            lost_samples: 0,
        },
        service: Some(ProcessState { cpu_cores: 1.5, rss_bytes: 1 << 25 }),
        thresholds: vec![true],
        errors: Vec::new(),
        paused: true,
    }
}

fn scenario() -> ScenarioState {
    ScenarioState {
        planned_vus: 100,
        vus: 99,
        started: 300,
        completed: 290,
        interrupted: 10,
        planned_iterations: Some(400),
        failed: 3,
        dropped: 100,
        initialised_vus: 100,
        planned_rate: Some(12.5),
        peak_vus: 100,
    }
}

/// A document in which every field has a value.
fn document(id: &str, log: &str) -> RunDocument {
    let options = Options {
        stages: Some(vec![Stage { duration: std::time::Duration::from_millis(1_500), target: 100 }]),
        thresholds: vec!["http_req_duration: p(95)<500ms".parse().expect("a threshold")],
        tags: BTreeMap::from([("좌석".to_owned(), "<script>".to_owned())]),
        ..Options::default()
    };
    let workload = options.resolve().expect("valid");
    let definition = Definition {
        test: "tests::reserve_seat".to_owned(),
        scenario: "reserve_seat".to_owned(),
        package: "concert".to_owned(),
        file: "src/seats.rs".to_owned(),
        line: 17,
        options,
        workload: workload.clone(),
        binaries: vec!["concert".to_owned()],
        attribute_hash: "0a1b".to_owned(),
        body_hash: "2c3d".to_owned(),
    };
    let outcome = TestOutcome {
        teardown_error: Some("the till is short".to_owned()),
        workloads: [("reserve_seat".to_owned(), workload)].into(),
        thresholds: vec![ThresholdOutcome {
            source: "http_req_duration: p(95)<500ms".to_owned(),
            actual: Some(40.0),
            holds: true,
            margin: Some(0.92),
            aborted: true,
        }],
        errors: vec![ErrorOutcome {
            scenario: "reserve_seat".to_owned(),
            kind: "http".to_owned(),
            message: "connection refused".to_owned(),
            place: Some("src/seats.rs:20:5".to_owned()),
            count: 3,
            first_at: 0.5,
        }],
        metrics: vec![MetricDef { name: "queue_wait".to_owned(), kind: Kind::Trend, unit: Unit::Millis }],
        load_seconds: 2.0,
        setup_seconds: 0.75,
        scenarios: [("reserve_seat".to_owned(), scenario())].into(),
        folded_series: 1,
        clamped_values: 2,
        workers: 4,
        warnings: vec!["the machine was busy".to_owned()],
        ..TestOutcome::new(End::Aborted { reason: "http_req_failed: rate<0.1 abort".to_owned() })
    };
    let test = TestDocument {
        id: TEST_ID.to_owned(),
        definitions: vec![definition],
        outcome,
        services: vec![ServiceInfo {
            name: "concert".to_owned(),
            base_url: "http://127.0.0.1:4000".to_owned(),
            path: Some("/target/concert".to_owned()),
            pid: Some(4711),
            log: Some("concert.log".to_owned()),
        }],
        started_at: Some("2026-01-31T21:54:19.123Z".to_owned()),
        seed: u64::MAX,
        workload_hash: "4e5f".to_owned(),
        intervals: log.to_owned(),
        invalid: vec!["the generator was saturated".to_owned()],
        summary: vec![SeriesSummary {
            metric: Builtin::HttpReqDuration.def(),
            tags: Tags::new(),
            totals: latency(&[1.0, 2.5, 40.0]),
            quantiles: [("p(95)".to_owned(), 40.0)].into(),
        }],
    };
    RunDocument {
        schema_version: 1,
        id: id.to_owned(),
        tool_version: "0.1.0".to_owned(),
        started_at: "2026-01-31T21:54:18Z".to_owned(),
        revision: Revision {
            commit: Some("0a1b2c3d".to_owned()),
            branch: Some("main".to_owned()),
            dirty: true,
        },
        fingerprint: Fingerprint {
            cpu: "A CPU".to_owned(),
            cores: 8,
            memory_bytes: 1 << 34,
            os: "linux".to_owned(),
            kernel: "6.12".to_owned(),
            arch: "x86_64".to_owned(),
            virtualisation: "kvm".to_owned(),
            rustc: "rustc 1.95.0".to_owned(),
        },
        profile: "loadtest".to_owned(),
        repeat: "cargo loadtest reserve_seat".to_owned(),
        tests: vec![test],
        comparison: Some(json!({"verdict": "passed"})),
        exit_code: 108,
    }
}

fn store(root: &Path) -> Store {
    Store::at(root, None, None).expect("opens")
}

fn log_of(run: &RunDir) -> String {
    let path = run.intervals_file(TEST_ID);
    path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned()
}

/// A complete run of two seconds.
fn finished(store: &Store) -> RunData {
    let run = store.begin(Some("0a1b2c3d4e")).expect("begins");
    let lines: String =
        (0..2).map(|n| serde_json::to_string(&interval(n)).expect("serialises") + "\n").collect();
    fs::write(run.intervals_file(TEST_ID), lines).expect("writes");
    let document = document(run.id(), &log_of(&run));
    run.finish(&document, None).expect("finishes")
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).expect("reads")).expect("JSON");
    change(&mut value);
    fs::write(path, value.to_string()).expect("writes");
}

#[test]
fn documents_of_version_1_parse_forever() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/golden/v1");
    let run = document::load(&golden).expect("parses");
    // Written before these were known.
    let first = |state: ScenarioState| ScenarioState {
        failed: 0,
        dropped: 0,
        peak_vus: 0,
        initialised_vus: 0,
        planned_rate: None,
        ..state
    };
    let mut expected = document("20260131T215418Z-0a1b2c3-4d5e", "reserve_seat.intervals.jsonl");
    expected.tests[0].outcome.scenarios = [("reserve_seat".to_owned(), first(scenario()))].into();
    // Every kind of metric had a last value then; now gauges alone do.
    let last = run.document.tests[0].summary[0].totals.last;
    expected.tests[0].summary[0].totals.last = last;
    assert_eq!(run.document, expected);
    let first = |index| {
        let scenarios = [("reserve_seat".to_owned(), first(scenario()))].into();
        let mut interval = Interval { scenarios, paused: false, ..interval(index) };
        let then = run.tests[0].intervals[index as usize].series.iter();
        for ((_, totals), (_, then)) in interval.series.iter_mut().zip(then) {
            totals.last = then.last;
        }
        interval
    };
    assert_eq!(run.tests[0].intervals, [first(0), first(1)]);
    let total = run.tests[0].total("http_req_duration", |_| true);
    assert_eq!((total.count, total.max), (6, 40.0));
}

#[test]
fn a_run_comes_back_as_it_was_stored() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let run = finished(&store);
    assert_eq!(run.tests[0].intervals, [interval(0), interval(1)]);

    let id = &run.document.id;
    assert!(id[..15].chars().all(|c| c.is_ascii_digit() || c == 'T') && id.contains("Z-0a1b2c3-"), "{id}");
    assert_eq!(fs::read_to_string(store.path().join(".gitignore")).expect("reads"), "*\n");
    let directory = store.path().join("runs").join(id);
    let file = directory.join("run.json");
    for name in [id, &id[..20], &directory.display().to_string(), &file.display().to_string()] {
        assert_eq!(store.load_run(name).expect(name).document, run.document);
    }
    let files = fs::read_dir(&directory).expect("lists").flatten();
    let files: Vec<_> = files.map(|file| file.file_name().into_string().expect("text")).collect();
    assert!(files.len() == 3 && files.iter().all(|name| !name.starts_with(".tmp")), "{files:?}");
}

#[test]
fn ids_that_are_none_or_not_one_are_explained() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let text = |id: &str| format!("{:#}", store.load_run(id).expect_err("not one"));
    assert!(text("20").contains("no runs yet"));
    let (first, second) = (finished(&store), finished(&store));
    assert_ne!(first.document.id, second.document.id);
    assert!(text("2").contains("beginning of 2 runs"), "{}", text("2"));
    assert!(text("1999").contains("the latest run is"));
    for hostile in ["", "..", "../..", "/", ".", "\u{1b}[2J"] {
        assert!(text(hostile).contains("no run"), "{hostile:?}: {}", text(hostile));
    }
}

#[test]
fn a_run_without_git_and_one_with_a_strange_commit_have_names_too() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    for commit in [None, Some("abc"), Some("../../x"), Some("한국어한국어")] {
        let run = store.begin(commit).expect("begins");
        assert!(run.id().contains("-nogit-") && run.path().starts_with(store.path()), "{}", run.id());
    }
}

#[test]
fn every_test_has_a_log_of_its_own_in_the_run_directory() {
    let root = tempfile::tempdir().expect("a directory");
    let run = store(root.path()).begin(None).expect("begins");
    let long = "x".repeat(5_000);
    let ids = ["a/lib::b", "a/lib__b", "A/lib::b", "../../etc/passwd", "", "좌석", "좌식", &long, &long[1..]];
    let files: Vec<_> = ids.iter().map(|id| run.intervals_file(id)).collect();
    for (index, file) in files.iter().enumerate() {
        assert_eq!(file.parent(), Some(run.path()));
        let name = file.file_name().expect("a name").to_str().expect("text");
        assert!(name.len() < 150 && name.is_ascii(), "{name}");
        assert!(!files[..index].contains(file), "{name} twice");
    }
    assert_eq!(files[0], run.intervals_file("a/lib::b"), "always the same");
}

#[test]
fn a_killed_run_says_that_it_was_not_finished() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let id = store.begin(None).expect("begins").id().to_owned();
    assert!(format!("{:#}", store.load_run(&id).expect_err("unfinished")).contains("was not finished"));
    assert!(store.save_baseline("main", &id).is_err());
}

#[test]
fn a_finished_run_is_not_changed() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let run = store.begin(None).expect("begins");
    let mut document = document("another", &log_of(&run));
    document.tests.clear();
    let twin = store.begin(None).expect("begins");
    assert!(run.finish(&document, None).is_err(), "another run's document");
    document.id = twin.id().to_owned();
    fs::write(twin.path().join("run.json"), "{}").expect("writes");
    assert!(twin.finish(&document, None).expect_err("is there").to_string().contains("finished already"));
}

#[test]
fn half_a_last_line_is_left_out_and_said_but_a_corrupt_line_is_an_error() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let run = finished(&store);
    let log = store.path().join("runs").join(&run.document.id).join(&run.document.tests[0].intervals);
    let whole = fs::read_to_string(&log).expect("reads");

    fs::write(&log, &whole[..whole.len() - 20]).expect("writes");
    let read = store.load_run(&run.document.id).expect("reads");
    assert_eq!(read.tests[0].intervals, [interval(0)]);
    assert!(read.tests[0].document.outcome.warnings.iter().any(|note| note.contains("cut off")));

    // Whole but for the end of the line: nothing is lost.
    fs::write(&log, whole.trim_end()).expect("writes");
    assert_eq!(store.load_run(&run.document.id).expect("reads").tests[0].intervals.len(), 2);

    for bad in [format!("{{\"index\":\n{whole}"), format!("{whole}\n"), format!("{whole}{{}}\n")] {
        fs::write(&log, &bad).expect("writes");
        let error = format!("{:#}", store.load_run(&run.document.id).expect_err("corrupt"));
        let line = if bad.starts_with(&whole) { 3 } else { 1 };
        assert!(error.contains(&format!(".intervals.jsonl:{line}: this is no interval")), "{error}");
    }

    fs::remove_file(&log).expect("removes");
    assert!(store.load_run(&run.document.id).is_err(), "a load that began left intervals");
}

#[test]
fn a_test_that_never_began_needs_no_log() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let run = store.begin(None).expect("begins");
    let mut document = document(run.id(), &log_of(&run));
    document.tests[0].started_at = None;
    let directory = run.path().to_owned();
    let data = run.finish(&document, Some("main")).expect("finishes");
    assert!(data.tests[0].intervals.is_empty());
    assert_eq!(data.baseline_missing.as_deref(), Some("main"));
    let written = fs::read_to_string(directory.join("run.json")).expect("is there");
    assert!(written.contains("\"baseline_missing\": \"main\""), "{written}");
    write_report(&directory, "<p>").expect("writes");
    assert_eq!(fs::read_to_string(directory.join("report.html")).expect("is there"), "<p>");
}

#[test]
fn documents_of_the_future_and_of_others_are_refused() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let id = finished(&store).document.id;
    let file = store.path().join("runs").join(&id).join("run.json");
    let error = |change: &dyn Fn(&mut Value)| {
        let before = fs::read(&file).expect("reads");
        edit(&file, change);
        let error = format!("{:#}", store.load_run(&id).expect_err("refused"));
        fs::write(&file, before).expect("writes");
        error
    };
    let newer = error(&|value| {
        value["schema_version"] = json!(2);
        value["tool_version"] = json!("3.1.0");
    });
    assert!(newer.contains("cargo install cargo-loadtest --version 3.1.0"), "{newer}");
    let hostile = error(&|value| {
        value["schema_version"] = json!(u64::MAX);
        value["tool_version"] = json!("1; rm -rf ~");
    });
    assert!(!hostile.contains("rm -rf"), "{hostile}");
    for none in [json!(0), json!("1"), json!(-1), json!(null)] {
        assert!(error(&|value| value["schema_version"] = none.clone()).contains("no schema_version"));
    }
    for path in ["../../secret", "/etc/passwd", "", "a/b", ".."] {
        let text = error(&|value| value["tests"][0]["intervals"] = json!(path));
        assert!(text.contains("not the name of a file in the run directory"), "{path}: {text}");
    }
    assert!(store.load_run(&id).is_ok());
}

#[test]
fn baselines_name_runs_and_can_be_moved() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    assert!(store.load_baseline("main").expect("reads").is_none());
    let (first, second) = (finished(&store), finished(&store));
    store.save_baseline("main", &first.document.id).expect("saves");
    store.save_baseline("feature/seats", &first.document.id).expect("saves");
    store.save_baseline("main", &second.document.id).expect("saves");
    assert_eq!(store.baselines(), ["feature/seats", "main"]);
    let loaded = store.load_baseline("main").expect("reads").expect("is there");
    assert_eq!(loaded.document.id, second.document.id);
    assert!(store.save_baseline("../main", &first.document.id).is_err());
    assert!(store.load_baseline("..").is_err());
    assert!(store.save_baseline("x", "19990101T000000Z-nogit-0000").is_err());

    let file = store.path().join("baselines/main.json");
    edit(&file, |value| value["run"] = json!("../../elsewhere"));
    assert!(
        format!("{:#}", store.load_baseline("main").expect_err("elsewhere")).contains("no run of this store")
    );
    edit(&file, |value| value["schema_version"] = json!(7));
    assert!(store.load_baseline("main").is_err());

    fs::remove_dir_all(store.path().join("runs").join(&first.document.id)).expect("removes");
    let gone = format!("{:#}", store.load_baseline("feature/seats").expect_err("gone"));
    assert!(gone.contains("--save-baseline feature/seats"), "{gone}");
}

#[test]
fn the_store_is_where_it_is_put() {
    let root = tempfile::tempdir().expect("a directory");
    let root = root.path();
    let path = |configured: Option<&str>, environment: Option<&str>| {
        let store = Store::at(root, configured.map(Path::new), environment.map(Path::new)).expect("opens");
        store.path().to_owned()
    };
    assert_eq!(path(None, None), root.join(".loadtest"));
    assert_eq!(path(Some("ci/loads"), None), root.join("ci/loads"));
    assert_eq!(path(Some("ci/loads"), Some("/var/loads")), Path::new("/var/loads"));
    assert_eq!(fs::read_dir(root).expect("lists").count(), 0, "to open is not to write");

    let elsewhere = Store::at(root, Some(Path::new("loads")), None).expect("opens");
    elsewhere.begin(None).expect("begins");
    assert!(!elsewhere.path().join(".gitignore").exists(), "it may be meant for git");

    fs::write(root.join("file"), "").expect("writes");
    assert!(Store::at(root, Some(Path::new("file")), None).is_err());
}
