//! Sessions, the baselines that point at their runs, how both are found, and what is pruned.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::compare::MetricKind;
use crate::session::{RunValue, Session, SessionSide, TestRecord};
use crate::stats::history::FEWEST_SESSIONS;

const HEAD: &str = "0a1b2c3d0a1b2c3d0a1b2c3d0a1b2c3d0a1b2c3d";
const BASE: &str = "1111111122222222333333334444444455555555";

fn golden(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/golden").join(path);
    serde_json::from_slice(&fs::read(path).expect("reads")).expect("JSON")
}

/// A session of these runs.
pub(super) fn session(id: &str, runs: &[&RunData], saved_as: Option<&str>) -> Session {
    let value = RunValue { kind: MetricKind::Latency, gate: true, value: Some(10.0), events: None };
    let ids: Vec<String> = runs.iter().map(|run| run.document.id.clone()).collect();
    Session {
        schema_version: 1,
        id: id.to_owned(),
        tool_version: "0.1.0".to_owned(),
        started_at: "2026-01-31T21:54:18Z".to_owned(),
        fingerprint: document(id, "x.intervals.jsonl").fingerprint,
        profile: "loadtest".to_owned(),
        saved_as: saved_as.map(str::to_owned),
        base: None,
        head: SessionSide {
            revision: Revision { commit: Some(HEAD.to_owned()), branch: None, dirty: false },
            runs: ids,
        },
        tests: vec![TestRecord {
            id: TEST_ID.to_owned(),
            workers: 2,
            workload_hash: "4e5f".to_owned(),
            body_hashes: BTreeMap::new(),
            invalid: Vec::new(),
            base: Vec::new(),
            head: vec![[("p95".to_owned(), value)].into()],
        }],
    }
}

#[test]
fn sessions_of_version_1_parse_forever() {
    let bytes = golden("sessions/v1.json").to_string();
    let read = parse_session(bytes.as_bytes(), Path::new("v1.json")).expect("parses");
    assert_eq!(read.saved_as.as_deref(), Some("main"));
    assert_eq!(read.base.as_ref().expect("a duet").revision.commit.as_deref(), Some(BASE));
    assert!(read.head.revision.dirty && read.fingerprint.cores == 8);
    let test = &read.tests[0];
    assert_eq!(test.invalid, ["the generator was saturated"]);
    assert_eq!(test.base[0]["p95"].value, Some(10.5));
    let errors = RunValue { kind: MetricKind::Share, gate: true, value: Some(0.01), events: Some((1, 100)) };
    assert_eq!(test.head[0]["errors"], errors);
    assert_eq!(test.head[0]["p99"].value, None);
    // What is written again says the same.
    assert_eq!(serde_json::to_value(&read).expect("writes"), golden("sessions/v1.json"));
}

#[test]
fn baselines_of_every_kind_of_version_1_parse_forever() {
    let read = |path: &str| saved::BaselineFile::parse(golden(path), Path::new(path)).expect("parses");
    let one = read("baselines/v1-one-run.json");
    assert_eq!((one.runs, one.session), (vec!["20260131T215418Z-0a1b2c3-4d5e".to_owned()], None));
    let session = read("baselines/v1-session.json");
    assert_eq!(session.runs, ["20260131T215418Z-0a1b2c3-4d5e", "20260131T215518Z-0a1b2c3-6f70"]);
    assert_eq!(session.session.as_deref(), Some("20260131T215418Z-0a1b2c3-4d5e"));
    let written = serde_json::to_value(saved::BaselineFile::of(&session)).expect("writes");
    assert_eq!(written, golden("baselines/v1-session.json"));
}

#[test]
fn sessions_come_oldest_first_and_one_that_is_bad_hides_no_other() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    assert!(store.sessions().sessions.is_empty());
    let old = Session { started_at: "2026-01-01T00:00:00Z".to_owned(), ..session("b", &[], Some("main")) };
    let new = Session { started_at: "2026-02-01T00:00:00Z".to_owned(), ..session("a", &[], Some("main")) };
    let other = Session { started_at: "2026-03-01T00:00:00Z".to_owned(), ..session("c", &[], None) };
    for session in [&new, &other, &old] {
        store.save_session(session).expect("saves");
    }
    let directory = store.path().join("sessions");
    fs::write(directory.join("bad.json"), "{").expect("writes");
    fs::copy(directory.join("a.json"), directory.join("renamed.json")).expect("copies");
    edit(&directory.join("c.json"), |value| {
        value["schema_version"] = json!(9);
        value["tool_version"] = json!("4.0.0");
    });
    fs::write(directory.join("no session.txt"), "").expect("writes");
    let found = store.sessions();
    assert_eq!(found.sessions, [old.clone(), new.clone()]);
    let all = found.unreadable.join("\n");
    assert_eq!(found.unreadable.len(), 3, "{all}");
    assert!(all.contains("bad.json is not JSON") && all.contains("--version 4.0.0"), "{all}");
    assert!(all.contains("renamed.json holds the session a"), "{all}");
    assert_eq!(store.history("main"), [old, new]);
    assert!(store.history("other").is_empty());
}

#[test]
fn a_session_that_names_what_can_not_be_is_refused() {
    let refuse = |change: &dyn Fn(&mut Value), reason: &str| {
        let mut value = golden("sessions/v1.json");
        change(&mut value);
        let error = parse_session(value.to_string().as_bytes(), Path::new("x.json")).expect_err(reason);
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    };
    for path in ["../../x", "/etc/passwd", "", "a\u{1b}[2J"] {
        refuse(&|value| value["id"] = json!(path), "not the id of a run");
        refuse(&|value| value["head"]["runs"][0] = json!(path), "not the id of a run");
        refuse(&|value| value["base"]["runs"][0] = json!(path), "not the id of a run");
    }
    refuse(&|value| value["saved_as"] = json!("../main"), "wrong name");
    refuse(&|value| value["tests"][0]["head"][0]["errors"]["events"] = json!([5, 1]), "5 events of 1");
    refuse(&|value| value["schema_version"] = json!(2), "knows up to 1");
    let store = store(tempfile::tempdir().expect("a directory").path());
    assert!(store.save_session(&session("../x", &[], None)).is_err());
}

#[test]
fn a_baseline_has_several_runs_and_their_session() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let (first, second) = (finished(&store), finished(&store));
    let ids = [first.document.id.clone(), second.document.id.clone()];
    let of_session = session(&ids[0], &[&first, &second], Some("main"));
    assert!(store.save_baseline_runs("main", &ids, Some(&ids[0])).is_err(), "there is no such session yet");
    store.save_session(&of_session).expect("saves");
    store.save_baseline_runs("main", &ids, Some(&ids[0])).expect("saves");
    assert!(store.save_baseline_runs("main", &[], None).is_err());
    let saved = store.load_saved("main").expect("reads").expect("is there");
    assert_eq!(saved.session.as_ref(), Some(&of_session));
    let loaded: Vec<&str> = saved.runs.iter().map(|run| run.document.id.as_str()).collect();
    assert_eq!(loaded, ids.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(saved.missing.is_empty() && store.load_saved("other").expect("reads").is_none());
    // The first versions read `run` alone.
    assert_eq!(store.load_baseline("main").expect("reads").expect("is there").document.id, ids[0]);

    fs::remove_dir_all(store.path().join("runs").join(&ids[0])).expect("removes");
    let saved = store.load_saved("main").expect("reads").expect("is there");
    assert_eq!((saved.runs.len(), saved.missing), (1, vec![ids[0].clone()]));
}

#[test]
fn a_baseline_without_runs_lives_on_in_a_history_that_is_long_enough() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let run = finished(&store);
    let id = run.document.id.clone();
    store.save_session(&session(&id, &[&run], Some("main"))).expect("saves");
    store.save_baseline_runs("main", std::slice::from_ref(&id), Some(&id)).expect("saves");
    fs::remove_dir_all(store.path().join("runs").join(&id)).expect("removes");
    let gone = format!("{:#}", store.load_saved("main").expect_err("nothing is left"));
    assert!(gone.contains("is gone") && gone.contains("--save-baseline main"), "{gone}");
    for n in 1..FEWEST_SESSIONS {
        store.save_session(&session(&format!("s{n}"), &[], Some("main"))).expect("saves");
        store.save_session(&session(&format!("o{n}"), &[], Some("other"))).expect("saves");
    }
    let saved = store.load_saved("main").expect("reads").expect("its history is there");
    assert!(saved.runs.is_empty());
    assert_eq!((saved.missing, saved.session.map(|session| session.id)), (vec![id.clone()], Some(id)));
    // One session is missing, and nothing was ever saved here under that name.
    assert!(store.load_saved("other").expect("reads").is_none());
    store.save_session(&session("o0", &[], Some("other"))).expect("saves");
    assert!(store.load_saved("other").expect("reads").expect("by its history").runs.is_empty());
    assert_eq!(store.baselines(), ["main"]);
}

#[test]
fn removing_a_baseline_leaves_its_runs_and_sessions() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let run = finished(&store);
    let id = run.document.id.as_str();
    store.save_session(&session(id, &[&run], Some("main"))).expect("saves");
    store.save_baseline("main", id).expect("saves");
    assert_eq!(store.remove_baseline("other").expect("nothing to do"), None);
    assert_eq!(store.remove_baseline("main").expect("removes"), Some(1));
    assert!(store.load_saved("main").expect("reads").is_none() && store.history("main").is_empty());
    assert!(store.run(id).is_ok() && store.session(id).expect("reads").is_some());
}

#[test]
fn runs_are_found_by_everything_that_names_them() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let [first, second, third, alone] = [0; 4].map(|_| finished(&store));
    let id = |run: &RunData| run.document.id.clone();
    let duet = Session {
        base: Some(SessionSide {
            revision: Revision { commit: Some(BASE.to_owned()), branch: None, dirty: false },
            runs: vec![id(&third)],
        }),
        ..session(&id(&first), &[&first, &second], None)
    };
    store.save_session(&duet).expect("saves");
    store.save_baseline("main", &id(&alone)).expect("saves");
    let found = |what: &str| {
        let found = store.find_runs(what).unwrap_or_else(|error| panic!("{what}: {error:#}"));
        let runs: Vec<String> = found.runs.iter().map(id).collect();
        (found.name, found.is_saved, found.session.is_some(), runs)
    };
    assert_eq!(found("main"), (Some("main".to_owned()), true, false, vec![id(&alone)]));
    assert_eq!(found(&id(&first)), (None, false, true, vec![id(&first), id(&second)]));
    assert_eq!(found(&id(&second)), (None, false, false, vec![id(&second)]));
    let directory = store.path().join("runs").join(id(&alone)).display().to_string();
    assert_eq!(found(&directory), (Some(directory.clone()), false, false, vec![id(&alone)]));
    assert_eq!(found(&format!("{directory}/run.json")).3, [id(&alone)]);
    assert_eq!(found(HEAD).3, [id(&first), id(&second)]);
    assert_eq!(
        found("0a1b2c3d0"),
        (Some("0a1b2c3d0".to_owned()), false, true, vec![id(&first), id(&second)])
    );
    assert_eq!(found("11111111").3, [id(&third)], "the other side of the duet");
    // The beginning of an id that no other has.
    let unique = id(&alone);
    let others = [id(&first), id(&second), id(&third)];
    let end = (1..=unique.len())
        .find(|end| others.iter().all(|other| !other.starts_with(&unique[..*end])))
        .expect("ids differ");
    assert_eq!(found(&unique[..end]).3, [unique]);

    for hostile in ["", "..", "/", "\u{1b}[2J", "ffffffff", "../../etc", "-n", "main/../x"] {
        let error = format!("{:#}", store.find_runs(hostile).expect_err(hostile));
        assert!(error.contains("no baseline, session, run or commit"), "{hostile:?}: {error}");
        assert!(error.contains("there are the baselines main"), "{error}");
    }
    let several = format!("{:#}", store.find_runs("20").expect_err("several"));
    assert!(several.contains("the beginning of 4 ids"), "{several}");
    // A baseline wins over a commit of the same letters.
    store.save_baseline("0a1b2c3d0", &id(&third)).expect("saves");
    assert_eq!(found("0a1b2c3d0").3, [id(&third)]);
}

#[test]
fn a_session_whose_runs_were_removed_says_so() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let run = finished(&store);
    store.save_session(&session(&run.document.id, &[&run], None)).expect("saves");
    fs::remove_dir_all(store.path().join("runs").join(&run.document.id)).expect("removes");
    for what in [run.document.id.as_str(), HEAD] {
        let error = format!("{:#}", store.find_runs(what).expect_err("gone"));
        assert!(error.contains("were removed") && error.contains("trend"), "{error}");
    }
}

#[test]
fn only_old_runs_that_no_baseline_needs_are_pruned() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let [kept, old] = [0; 2].map(|_| finished(&store).document.id);
    let unfinished = store.begin(None).expect("begins").id().to_owned();
    store.save_baseline("main", &kept).expect("saves");
    store.save_session(&session(&old, &[], None)).expect("saves");
    let runs = store.path().join("runs");
    std::os::unix::fs::symlink(root.path(), runs.join("20200101T000000Z-nogit-0000")).expect("links");
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let in_days = |n: i64| Timestamp::now().checked_add(days(n)).expect("a time");

    assert_eq!(store.prune(days(30), Timestamp::now(), false).expect("prunes"), []);
    let soon = store.prune(days(30), in_days(2), true).expect("prunes");
    assert_eq!(soon.iter().map(|run| &run.id).collect::<Vec<_>>(), [&unfinished]);
    assert!(soon[0].is_unfinished && runs.join(&unfinished).exists(), "it was only asked");

    let late = store.prune(days(30), in_days(31), false).expect("prunes");
    let ids: std::collections::BTreeSet<&String> = late.iter().map(|run| &run.id).collect();
    assert_eq!(ids, [&old, &unfinished].into());
    assert!(late.iter().all(|run| run.bytes > 0));
    assert!(!runs.join(&old).exists() && !runs.join(&unfinished).exists());
    assert!(store.load_baseline("main").expect("reads").is_some() && root.path().exists());
    assert!(store.session(&old).expect("reads").is_some(), "sessions stay");
    let left = fs::read_dir(&runs).expect("lists").count();
    assert_eq!(left, 2, "the baseline's run and the link");

    // Nobody knows what a baseline needs that can't be read.
    fs::write(store.path().join("baselines/bad.json"), "{").expect("writes");
    assert!(format!("{:#}", store.prune(days(0), in_days(99), false).expect_err("unknown")).contains("bad"));
    assert!(store.run(&kept).is_ok());
}
