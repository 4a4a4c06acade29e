//! The file as Jenkins, GitLab and others read it.

use quick_xml::Reader;
use quick_xml::XmlVersion;

use super::*;
use crate::ci::sample::{EVIL, Sample};

/// An element, its required and its optional attributes, and its children.
type Rule = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// The schema that Jenkins' xunit plugin publishes, as rules. `file` and `line` of a case are read by GitLab and others.
const SCHEMA: &[Rule] = &[
    ("testsuites", &[], &["name", "time", "tests", "failures", "disabled", "errors"], &["testsuite"]),
    (
        "testsuite",
        &["name", "tests"],
        &["errors", "failures", "skipped", "time", "timestamp", "id", "hostname", "package", "disabled"],
        &["properties", "testcase", "system-out", "system-err"],
    ),
    ("properties", &[], &[], &["property"]),
    ("property", &["name", "value"], &[], &[]),
    (
        "testcase",
        &["classname", "name"],
        &["time", "assertions", "status", "file", "line"],
        &["skipped", "error", "failure", "system-out", "system-err"],
    ),
    ("skipped", &[], &["message"], &[]),
    ("failure", &[], &["message", "type"], &[]),
    ("error", &[], &["message", "type"], &[]),
];

#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn get(&self, name: &str) -> &str {
        self.attributes.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// Reads the document, checks it against the schema, and returns its root.
fn read(sample: &Sample) -> Element {
    let path = sample.root().join("a/b/junit.xml");
    write(&sample.facts(), &path).expect("it can be written");
    let xml = fs::read_to_string(path).expect("it was written");
    let mut reader = Reader::from_str(&xml);
    reader.config_mut().check_end_names = true;
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().unwrap_or_else(|error| panic!("{error}\n{xml}"));
        let element = |start: &BytesStart<'_>| Element {
            name: String::from_utf8_lossy(start.name().as_ref()).into_owned(),
            attributes: start
                .attributes()
                .map(|attribute| {
                    let attribute = attribute.expect("well-formed, and none twice");
                    let name = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
                    let value =
                        attribute.normalized_value(XmlVersion::Implicit1_0).expect("escaped").into_owned();
                    (name, value)
                })
                .collect(),
            ..Element::default()
        };
        match event {
            Event::Start(start) => open.push(element(&start)),
            Event::Empty(start) => open.last_mut().expect("the root").children.push(element(&start)),
            Event::End(_) => {
                let done = open.pop().expect("it was opened");
                open.last_mut().expect("the root").children.push(done);
            }
            Event::Text(text) => {
                open.last_mut().expect("the root").text.push_str(&text.decode().expect("UTF-8"));
            }
            Event::GeneralRef(name) => {
                let name = format!("&{};", name.decode().expect("UTF-8"));
                let text = quick_xml::escape::unescape(&name).expect("a known entity").into_owned();
                open.last_mut().expect("the root").text.push_str(&text);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let root = open.pop().and_then(|mut top| top.children.pop()).expect("a root");
    check(&root);
    root
}

fn check(element: &Element) {
    let rule = SCHEMA.iter().find(|(name, ..)| *name == element.name);
    let (_, required, optional, children) = rule.unwrap_or_else(|| panic!("unknown {}", element.name));
    for name in *required {
        assert!(element.attributes.iter().any(|(known, _)| known == name), "{name} of {element:?}");
    }
    for (name, value) in &element.attributes {
        assert!(
            required.contains(&name.as_str()) || optional.contains(&name.as_str()),
            "{name} of {element:?}"
        );
        if ["tests", "failures", "errors", "skipped", "line"].contains(&name.as_str()) {
            assert!(value.parse::<u32>().is_ok(), "{name} of {element:?}");
        }
        if name == "time" {
            assert!(value.parse::<f64>().is_ok(), "{name} of {element:?}");
        }
        if name == "timestamp" {
            // xs:dateTime without zone and fraction.
            assert!(value.parse::<jiff::civil::DateTime>().is_ok() && value.len() == 19, "{value}");
        }
    }
    for child in &element.children {
        assert!(children.contains(&child.name.as_str()), "{} in {}", child.name, element.name);
        check(child);
    }
}

fn cases(root: &Element) -> Vec<&Element> {
    root.children[0].children.iter().filter(|child| child.name == "testcase").collect()
}

/// `class name: result`, of each case.
fn shown(root: &Element) -> Vec<String> {
    let result =
        |case: &Element| case.children.first().map_or("passed", |result| result.name.as_str()).to_owned();
    let short = |case: &Element| case.get("classname").rsplit("::").next().unwrap_or_default().to_owned();
    cases(root).iter().map(|case| format!("{} {}: {}", short(case), case.get("name"), result(case))).collect()
}

#[test]
fn a_comparison_has_a_case_for_each_metric_that_decides() {
    let ids = [
        "p/lib/tests::slow",
        "p/lib/tests::same",
        "p/lib/tests::open",
        "p/lib/tests::url",
        "p/lib/tests::busy",
    ];
    let sample = Sample::new(&ids)
        .compared(&[
            Verdict::Regressed,
            Verdict::Unchanged,
            Verdict::Inconclusive,
            Verdict::NotComparable,
            Verdict::Invalid,
        ])
        .judged(&[(ExitCode::Regressed, "regressed against the baseline")]);
    let root = read(&sample);
    let expected = [
        "slow p95: failure",
        "slow throughput: passed",
        "same p95: passed",
        "same throughput: passed",
        "open p95: skipped",
        "open throughput: passed",
        "url comparison: skipped",
        "busy p95: error",
        "busy throughput: error",
    ];
    let all = shown(&root);
    assert_eq!(
        all[..5],
        ["slow run: passed", "same run: passed", "open run: passed", "url run: passed", "busy run: passed"]
    );
    assert_eq!(all[5..], expected);
    for (name, value) in [("tests", "14"), ("failures", "1"), ("errors", "2"), ("skipped", "2")] {
        assert_eq!(root.children[0].get(name), value, "{name}");
    }
    let failed = cases(&root)[5];
    assert_eq!((failed.get("file"), failed.get("line")), ("src/lib.rs", "42"));
    let failure = &failed.children[0];
    assert_eq!(failure.get("message"), "p95: 40.0ms → 44.0ms, +10.0% (95 % interval +8.0% … +12.0%)");
    assert_eq!(failure.get("type"), "regressed");
    assert!(cases(&root)[11].children[0].get("message").contains("the target is not started by this test"));
}

#[test]
fn without_a_comparison_each_test_and_threshold_is_a_case() {
    let reasons = [
        (ExitCode::Crashed, "p/lib/tests::b: crashed: signal 11\nlast words"),
        (ExitCode::Failed, "p/lib/tests::c: failed by the test: too few seats"),
        (ExitCode::ThresholdsFailed, "p/lib/tests::a: threshold failed: checks: rate>0.9"),
    ];
    let mut sample = Sample::new(&["p/lib/tests::a", "p/lib/tests::b", "p/lib/tests::c"])
        .with_thresholds(&[("checks: rate>0.9", Some(0.5), false), ("p(95)<5", Some(1.0), true)])
        .judged(&reasons);
    sample.baseline_missing = Some("main".to_owned());
    let root = read(&sample);
    assert_eq!(
        shown(&root),
        [
            "a run: passed",
            "a threshold checks: rate>0.9: failure",
            "a threshold p(95)<5: passed",
            "b run: error",
            "c run: failure",
            "cargo loadtest baseline: skipped",
        ]
    );
    let crashed = &cases(&root)[3].children[0];
    assert_eq!(crashed.get("message"), "crashed: signal 11 last words");
    assert_eq!(crashed.text, "crashed: signal 11\nlast words");
    assert_eq!(cases(&root)[0].get("time"), "1.500");
    let properties = &root.children[0].children[0];
    assert!(properties.children.iter().any(|p| p.get("name") == "exit code" && p.get("value") == "109"));
}

#[test]
fn hostile_texts_stay_texts() {
    let sample = Sample::hostile();
    let root = read(&sample);
    // For each test the run and two metrics; the thresholds of one; the baseline.
    assert_eq!(cases(&root).len(), EVIL.len() * 4 + 1);
    let classes: Vec<&str> = cases(&root).iter().map(|case| case.get("classname")).collect();
    assert!(classes.contains(&"p/lib/tests::<script>alert(1)</script><!-- --> --!>"), "{classes:?}");
    assert!(!classes.contains(&"forged"));
}
