//! Exported baselines, and files that pretend to be some.

use std::io::Write as _;

use super::kept::session;
use super::*;

/// A store with a baseline of two runs and a history of two sessions, and its export.
fn exported(root: &Path) -> (Store, PathBuf, Vec<String>) {
    let store = store(root);
    let (first, second) = (finished(&store), finished(&store));
    let ids = vec![first.document.id.clone(), second.document.id.clone()];
    fs::write(store.path().join("runs").join(&ids[0]).join("report.html"), "<p>").expect("writes");
    store.save_session(&session(&ids[0], &[&first, &second], Some("main"))).expect("saves");
    store.save_session(&session("earlier", &[], Some("main"))).expect("saves");
    store.save_session(&session("other", &[], Some("feature"))).expect("saves");
    store.save_baseline_runs("main", &ids, Some(&ids[0])).expect("saves");
    let file = root.join("main.tar.gz");
    let written = store.export("main", &file).expect("exports");
    assert_eq!((written.sessions, &written.runs), (2, &ids));
    (store, file, ids)
}

/// The entries of an archive: path and content.
fn entries(file: &Path) -> Vec<(String, Vec<u8>)> {
    let source = flate2::read::GzDecoder::new(fs::File::open(file).expect("opens"));
    let mut archive = tar::Archive::new(source);
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.expect("an entry");
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).expect("reads");
        (entry.path().expect("a path").display().to_string(), content)
    };
    archive.entries().expect("entries").map(read).collect()
}

/// Writes an archive. Paths are written as they are, which the library would refuse.
fn forge(file: &Path, entries: &[(String, Vec<u8>)], more: &[(tar::EntryType, &str, &str)]) {
    let out =
        flate2::write::GzEncoder::new(fs::File::create(file).expect("creates"), flate2::Compression::fast());
    let mut archive = tar::Builder::new(out);
    let mut add = |kind: tar::EntryType, path: &str, content: &[u8], link: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let raw = header.as_gnu_mut().expect("gnu");
        raw.name[..path.len()].copy_from_slice(path.as_bytes());
        raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        archive.append(&header, content).expect("appends");
    };
    for (path, content) in entries {
        add(tar::EntryType::Regular, path, content, "");
    }
    for (kind, path, link) in more {
        add(*kind, path, if *kind == tar::EntryType::Regular { link.as_bytes() } else { b"" }, link);
    }
    archive.into_inner().expect("ends").finish().expect("ends").flush().expect("flushes");
}

#[test]
fn a_baseline_comes_back_in_another_store() {
    let (here, there) = (tempfile::tempdir().expect("here"), tempfile::tempdir().expect("there"));
    let (from, file, ids) = exported(here.path());
    let paths: Vec<String> = entries(&file).into_iter().map(|(path, _)| path).collect();
    assert!(!paths.iter().any(|path| path.contains("report") || path.contains("other")), "{paths:?}");

    let to = store(there.path());
    let read = to.import(&file, None, false).expect("imports");
    assert_eq!((read.name.as_str(), read.sessions, &read.runs), ("main", 2, &ids));
    let (old, new) = (from.load_saved("main").expect("reads"), to.load_saved("main").expect("reads"));
    let (old, new) = (old.expect("is there"), new.expect("is there"));
    assert_eq!(new.session, old.session);
    let documents =
        |saved: &SavedBaseline| saved.runs.iter().map(|run| run.document.clone()).collect::<Vec<_>>();
    assert_eq!(documents(&new), documents(&old));
    assert_eq!(new.runs[0].tests[0].intervals, old.runs[0].tests[0].intervals);
    assert_eq!(to.history("main"), from.history("main"));
    let left = fs::read_dir(to.path()).expect("lists").flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with(".tmp")));

    // The same again changes nothing; under another name the sessions keep theirs.
    to.import(&file, None, false).expect("imports again");
    let second = to.import(&file, Some("release/1.0"), false).expect("imports");
    assert_eq!((second.elsewhere, to.history("main").len()), (2, 2));
    assert_eq!(to.load_saved("release/1.0").expect("reads").expect("is there").runs.len(), 2);
    assert!(to.import(&file, Some("../x"), false).is_err());
}

#[test]
fn nothing_is_replaced_unless_forced() {
    let (here, there) = (tempfile::tempdir().expect("here"), tempfile::tempdir().expect("there"));
    let (_, file, ids) = exported(here.path());
    let to = store(there.path());
    let own = finished(&to).document.id;
    to.save_baseline("main", &own).expect("saves");
    let refused = |name: Option<&str>| format!("{:#}", to.import(&file, name, false).expect_err("is there"));
    assert!(refused(None).contains("there is a baseline `main` already"), "{}", refused(None));
    assert!(!to.has_run(&ids[0]), "nothing was changed");

    to.import(&file, Some("other"), false).expect("imports");
    let document = to.path().join("runs").join(&ids[0]).join("run.json");
    edit(&document, |value| value["profile"] = json!("another"));
    assert!(refused(Some("third")).contains("there is another run"), "{}", refused(Some("third")));
    to.import(&file, None, true).expect("is forced");
    assert_eq!(to.run(&ids[0]).expect("reads").document.profile, "loadtest");
    assert_eq!(to.load_saved("main").expect("reads").expect("is there").runs.len(), 2);
}

#[test]
fn an_export_replaces_an_export_and_nothing_else() {
    let root = tempfile::tempdir().expect("a directory");
    let (store, file, _) = exported(root.path());
    store.export("main", &file).expect("again");
    let precious = root.path().join("Cargo.toml");
    fs::write(&precious, "[workspace]").expect("writes");
    assert!(store.export("main", &precious).is_err());
    assert_eq!(fs::read_to_string(&precious).expect("reads"), "[workspace]");
    let missing = format!("{:#}", store.export("mian", &root.path().join("x")).expect_err("no such"));
    assert!(missing.contains("there are main"), "{missing}");
}

#[test]
fn hostile_archives_are_refused_as_a_whole() {
    let root = tempfile::tempdir().expect("a directory");
    let (_, file, ids) = exported(root.path());
    let good = entries(&file);
    let bad = root.path().join("bad.tar.gz");
    let target = tempfile::tempdir().expect("a directory");
    let to = store(&target.path().join("workspace"));
    let refused = |reason: &str| {
        let error = format!("{:#}", to.import(&bad, None, false).expect_err(reason));
        assert!(error.contains(reason), "{reason}: {error}");
        assert!(
            to.baselines().is_empty() && to.run_ids().is_empty() && to.session_ids().is_empty(),
            "{reason}"
        );
        assert_eq!(fs::read_dir(target.path()).expect("lists").count(), 1, "{reason}");
    };
    let regular = tar::EntryType::Regular;
    let run = format!("runs/{}", ids[0]);
    let inside = |name: &str| format!("{run}/{name}");
    let long = inside(&format!("{}.intervals.jsonl", "x".repeat(30)));
    forge(&bad, &good, &[(regular, &long, "")]);
    to.import(&bad, Some("fine"), false).expect("a log more is no harm, and the forger works");
    fs::remove_dir_all(to.path()).expect("removes");

    for path in [
        "../evil",
        "/tmp/evil",
        "runs/../../evil",
        "runs/../run.json",
        "./export.json",
        "evil",
        "runs/a b/run.json",
        &inside("report.html"),
        &inside("../x.intervals.jsonl"),
        &inside(".intervals.jsonl"),
        &inside("sub/run.json"),
        "sessions/../x.json",
        "sessions/x.txt",
        "baselines/main.json",
        ".gitignore",
    ] {
        forge(&bad, &good, &[(regular, path, "{}")]);
        refused("does not belong into an export");
    }
    for kind in
        [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Directory, tar::EntryType::Fifo]
    {
        forge(&bad, &good, &[(kind, &inside("x.intervals.jsonl"), "/etc/passwd")]);
        refused("is not a regular file");
    }
    forge(&bad, &good, &[(regular, "export.json", "{}")]);
    refused("is there twice");
    forge(&bad, &good, &[(regular, "runs/20260101T000000Z-nogit-0000/run.json", "{}")]);
    refused("is none of the baseline's");
    forge(&bad, &good, &[(regular, "sessions/x.json", "{}")]);
    refused("no schema_version");

    let changed = |path: &str, change: &dyn Fn(&mut Value)| {
        let mut entries = good.clone();
        let entry = entries.iter_mut().find(|(name, _)| name == path).expect("is there");
        let mut value = serde_json::from_slice(&entry.1).expect("JSON");
        change(&mut value);
        entry.1 = value.to_string().into_bytes();
        forge(&bad, &entries, &[]);
    };
    changed("export.json", &|value| value["name"] = json!("../../main"));
    refused("can't be the name of a baseline");
    changed("export.json", &|value| value["schema_version"] = json!(2));
    refused("knows up to 1");
    changed("baseline.json", &|value| value["runs"][0] = json!("../../x"));
    refused("names no run of this store");
    changed("baseline.json", &|value| value["session"] = json!("another"));
    refused("the session another is missing");
    changed(&inside("run.json"), &|value| value["schema_version"] = json!(99));
    refused("schema version 99");
    changed(&inside("run.json"), &|value| value["id"] = json!("another"));
    refused("calls itself `another`");
    changed(&inside("run.json"), &|value| value["tests"][0]["intervals"] = json!("/etc/passwd"));
    refused("not the name of a file in the run directory");
    changed("sessions/earlier.json", &|value| value["id"] = json!("late"));
    refused("holds the session late");
    changed("sessions/earlier.json", &|value| value["saved_as"] = json!("feature"));
    refused("is of another baseline");

    let without = |path: &str| good.iter().filter(|(name, _)| name != path).cloned().collect::<Vec<_>>();
    forge(&bad, &without("export.json"), &[]);
    refused("it has no export.json");
    forge(&bad, &without(&inside("run.json")), &[]);
    refused("was not finished");

    fs::write(&bad, "no archive at all").expect("writes");
    refused("not an export");
    let whole = fs::read(&file).expect("reads");
    fs::write(&bad, &whole[..whole.len() / 2]).expect("writes");
    refused("damaged");
}

#[test]
fn an_entry_that_is_larger_than_it_can_be_is_not_unpacked() {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path());
    let file = root.path().join("large.tar.gz");
    let out =
        flate2::write::GzEncoder::new(fs::File::create(&file).expect("creates"), flate2::Compression::fast());
    let mut out = out;
    let mut header = tar::Header::new_gnu();
    header.set_path("export.json").expect("a path");
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(1 << 40);
    header.set_cksum();
    out.write_all(header.as_bytes()).expect("writes");
    out.finish().expect("ends");
    let error = format!("{:#}", store.import(&file, None, false).expect_err("too large"));
    assert!(error.contains("has 1099511627776 bytes"), "{error}");
}
