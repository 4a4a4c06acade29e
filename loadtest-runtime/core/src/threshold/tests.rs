use proptest::prelude::*;

use super::*;
use crate::metric::{Builtin, MetricDef, Totals};

fn threshold(text: &str) -> Threshold {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn def(name: &str, kind: Kind, unit: Unit) -> MetricDef {
    MetricDef { name: name.to_owned(), kind, unit }
}

fn totals(kind: Kind, unit: Unit, values: &[f64]) -> Totals {
    let mut totals = Totals::default();
    values.iter().for_each(|value| totals.record(kind, unit.scale(), *value));
    totals
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_whole_grammar_is_read() {
    let t = threshold(
        r#" http_req_duration { name : "GET /a, {b}" , !status:5*,group: } : p( 99.9 ) <= 1.5 s abort after 1m30s "#,
    );
    assert_eq!(t.metric, "http_req_duration");
    assert_eq!((t.aggregation, t.op), (Aggregation::P(99.9), Op::LessOrEqual));
    assert_eq!((t.value, t.unit, t.abort), (1_500.0, LimitUnit::Time, Some(Duration::from_secs(90))));
    assert_eq!(t.selector.len(), 3);
    assert_eq!(t.selector[0].pattern.literal(), Some("GET /a, {b}"));
    assert!(t.selector[1].negated && t.selector[1].pattern.literal().is_none());
    assert_eq!(t.selector[2].pattern.literal(), Some(""));
    assert_eq!(threshold("vus:value>0 abort").abort, Some(Duration::ZERO));
    assert_eq!(threshold("checks{}: rate>0.9").selector, []);
}

#[test]
fn limits_are_in_the_base_unit() {
    for (text, value, unit) in [
        ("500", 500.0, LimitUnit::Plain),
        ("-1.5e3", -1_500.0, LimitUnit::Plain),
        (".5", 0.5, LimitUnit::Plain),
        ("500ms", 500.0, LimitUnit::Time),
        ("250us", 0.25, LimitUnit::Time),
        ("250µs", 0.25, LimitUnit::Time),
        ("1.5s", 1_500.0, LimitUnit::Time),
        ("2m", 120_000.0, LimitUnit::Time),
        ("1m30s", 90_000.0, LimitUnit::Time),
        ("1%", 0.01, LimitUnit::Percent),
        ("99.9%", 0.999, LimitUnit::Percent),
        ("5 %", 0.05, LimitUnit::Percent),
        ("10B", 10.0, LimitUnit::Bytes),
        ("1.5kB", 1_500.0, LimitUnit::Bytes),
        ("2 MB", 2_000_000.0, LimitUnit::Bytes),
    ] {
        let t = threshold(&format!("m: avg<{text}"));
        assert_eq!((t.value, t.unit), (value, unit), "{text}");
    }
}

#[test]
fn every_operator_is_read_and_compares() {
    for (op, below, at, above) in [
        (Op::Less, true, false, false),
        (Op::LessOrEqual, true, true, false),
        (Op::Greater, false, false, true),
        (Op::GreaterOrEqual, false, true, true),
        (Op::Equal, false, true, false),
        (Op::NotEqual, true, false, true),
    ] {
        assert_eq!(threshold(&format!("m: avg {op} 5")).op, op);
        assert_eq!((op.holds(4.0, 5.0), op.holds(5.0, 5.0), op.holds(6.0, 5.0)), (below, at, above));
    }
}

#[test]
fn syntax_errors_quote_the_place_and_say_what_to_write() {
    for (text, message, hint) in [
        ("", "empty", "http_req_duration: p(95)<500ms"),
        ("p95<500", "no metric is named before `p95`", "did you mean `p(95)<500ms`"),
        ("p(95)<500", "no metric is named before `p(95)`", "`http_req_duration: p(95)<500ms`"),
        ("rate<0.01", "no metric is named before `rate`", "rate<0.01"),
        ("m p(95)<500", "a `:` is missing after the metric `m`, at `p(95)<500`", "write for example"),
        ("m", "a `:` is missing after the metric `m`, at the end", "write for example"),
        (": avg<5", "a metric's name is expected at `: avg<5`", "write for example"),
        ("m: p95<500", "unknown aggregation `p95`", "did you mean `p(95)`?"),
        ("m: mean<500", "unknown aggregation `mean`", "did you mean `avg`?"),
        ("m: median<500", "unknown aggregation `median`", "did you mean `med`?"),
        ("m: agv<500", "unknown aggregation `agv`", "did you mean `avg`?"),
        ("m: banana<500", "unknown aggregation `banana`", "expected one of `count`, `rate`"),
        ("m: p(101)<5", "`p(101)` is not within 0 to 100", "`p(95)`"),
        ("m: p(-1)<5", "not within 0 to 100", "`p(95)`"),
        ("m: p(NaN)<5", "not within 0 to 100", "`p(95)`"),
        ("m: p()<5", "is not a number", "`p(95)`"),
        ("m: p(x)<5", "is not a number", "`p(95)`"),
        ("m: p<5", "needs a percentile", "`p(95)`"),
        ("m: p(95<5", "no closing `)`", "`p(95)`"),
        ("m: avg(3)<5", "takes no argument", "write `avg`"),
        ("m: <5", "an aggregation is expected at `<5`", "write for example"),
        ("m: avg", "an operator is missing in `avg`", "`<`, `<=`"),
        ("m: p(95) 500", "an operator is missing in `p(95) 500`", "`<`, `<=`"),
        ("m: avg=<5", "unknown operator `=<`", "did you mean `<=`?"),
        ("m: avg=5", "unknown operator `=`", "did you mean `==`?"),
        ("m: avg=>5", "unknown operator `=>`", "did you mean `>=`?"),
        ("m: avg<>5", "unknown operator `<>`", "did you mean `!=`?"),
        ("m: avg><5", "unknown operator `><`", "operators are"),
        ("m: avg<", "the limit is missing", "`500ms`"),
        ("m: avg<fast", "a number is expected at `fast`", "`500ms`"),
        ("m: avg<NaN", "a number is expected at `NaN`", "`500ms`"),
        ("m: avg<1e999", "`1e999` is too large", "write for example"),
        ("m: avg<5KB", "unknown unit `KB` in `5KB`", "did you mean `5kB`?"),
        ("m: avg<5sec", "unknown unit `sec`", "did you mean `5s`?"),
        ("m: avg<5xyz", "unknown unit `xyz`", "units are"),
        ("m: avg<5 aborrt", "`aborrt` is left over", "did you mean `abort`?"),
        ("m: avg<5 && max<9", "`&& max<9` is left over", "one condition"),
        ("m: avg<5, max<9", "unknown unit `,`", "one condition"),
        ("m: avg<5 whatever", "`whatever` is left over", "only be `abort`"),
        ("m: avg<5 abort after", "`abort after` is not understood", "`abort after 10s`"),
        ("m: avg<5 abort after 10", "number without a unit", "write `10s`"),
        ("m: avg<5 abort after 10s now", "is not understood", "`abort after 10s`"),
        ("m{a:b: avg<5", "the tags are never closed", "add a `}`"),
        ("m{a:b", "the tags are never closed", "add a `}`"),
        ("m{", "the tags are never closed", "add a `}`"),
        ("m{a}: avg<5", "a `:` is missing after the tag `a`, at `}: avg<5`", "`a:VALUE`"),
        ("m{:b}: avg<5", "a tag's name is expected at `:b}: avg<5`", "write tags as"),
        ("m{a:{id}}: avg<5", "can't contain `{id}}: avg<5` unquoted", "quote it"),
        ("m{a:\"b}: avg<5", "is never closed", "add a `\"`"),
        ("m{a:\"b\\n\"}: avg<5", "unknown escape `\\n`", "are escapes"),
        ("m{a:\"b\" c:d}: avg<5", "a `,` or `}` is expected at `c:d}: avg<5`", "separate tags by commas"),
    ] {
        let error = text.parse::<Threshold>().expect_err(text);
        assert!(error.message().contains(message), "{text}: {error}");
        assert!(error.message().contains(text.trim()), "{text}: {error}");
        assert!(error.hint_text().is_some_and(|h| h.contains(hint)), "{text}: {error}");
    }
}

#[test]
fn selectors_pick_series_by_their_tags() {
    let seats = tags(&[("name", "GET /seats/{id}"), ("status", "200"), ("group", "")]);
    for (selector, expected) in [
        ("", true),
        ("status:200", true),
        ("status:500", false),
        ("!status:500", true),
        ("!status:200", false),
        ("status:2*", true),
        ("!status:2*", false),
        ("name:GET *", true),
        ("name:*seats*", true),
        ("name:*seats", false),
        (r#"name:"GET /seats/{id}""#, true),
        (r#"name:"GET /seats/*""#, true),
        (r#"name:"GET /seats/\*""#, false),
        ("name:GET *,status:200", true),
        ("name:GET *,status:500", false),
        ("group:", true),
        // A tag that is not there is like an empty one, and has no value that `*` could stand for.
        ("proto:", true),
        ("proto:*", false),
        ("!proto:HTTP/2", true),
        ("status:*", true),
    ] {
        assert_eq!(threshold(&format!("m{{{selector}}}: avg<5")).matches(&seats), expected, "{selector}");
    }
}

#[test]
fn overlapping_pieces_of_a_glob_do_not_share_letters() {
    let glob = |pieces: &[&str]| Glob::from_pieces(pieces.iter().map(|piece| (*piece).to_owned()).collect());
    assert!(!glob(&["ab", "ba"]).matches("aba"));
    assert!(glob(&["ab", "ba"]).matches("abba"));
    assert!(glob(&["a", "b", "c"]).matches("a-b-b-c"));
    assert!(!glob(&["a", "b", "b", "c"]).matches("abc"));
    assert!(glob(&["", ""]).matches(""));
}

#[test]
fn source_is_how_thresholds_are_stored_and_shown() {
    let t = threshold("  checks: rate>95% ");
    assert_eq!(t.to_string(), "checks: rate>95%");
    let json = serde_json::to_string(&t).expect("serialises");
    assert_eq!(json, "\"checks: rate>95%\"");
    assert_eq!(serde_json::from_str::<Threshold>(&json).expect("parses"), t);
    assert!(serde_json::from_str::<Threshold>("\"checks: rate\"").is_err());
}

#[test]
fn every_row_of_the_table_is_read_shown_and_computed() {
    let all = [Kind::Counter, Kind::Gauge, Kind::Rate, Kind::Trend];
    for row in AGGREGATIONS {
        assert_eq!(row.aggregation.spec().name, row.name);
        assert_eq!(row.aggregation.to_string().parse(), Ok(row.aggregation));
        assert!(!row.doc.is_empty() && !row.kinds.is_empty());
        let text = format!("m: {}<1000000", row.aggregation);
        for kind in all {
            let metric = def("m", kind, Unit::None);
            let t = Threshold { value: 1.0, ..threshold(&text) };
            assert_eq!(t.check_kind(&metric).is_ok(), row.kinds.contains(&kind), "{} of {kind:?}", row.name);
            let some = row.aggregation.compute(&metric, &totals(kind, Unit::None, &[1.0]), MINUTE);
            assert_eq!(some.is_some(), row.kinds.contains(&kind), "{} of {kind:?}", row.name);
            assert_eq!(row.aggregation.compute(&metric, &Totals::default(), MINUTE), None);
        }
    }
    for kind in all {
        assert!(AGGREGATIONS.iter().any(|row| row.kinds.contains(&kind)));
    }
}

#[test]
fn aggregates_are_those_of_the_load_model() {
    let values = [0.0, 100.0, 30.0, 80.0, 70.0, 60.0, 50.0, 40.0, 90.0, 20.0];
    let compute = |kind, unit, text: &str, values: &[f64]| {
        let aggregation: Aggregation = text.parse().expect(text);
        aggregation.compute(&def("m", kind, unit), &totals(kind, unit, values), MINUTE).expect(text)
    };
    for (text, expected) in [
        ("avg", 54.0),
        ("min", 0.0),
        ("max", 100.0),
        ("med", 55.0),
        ("p(90)", 91.0),
        ("p(95)", 95.5),
        ("p(0)", 0.0),
        ("p(100)", 100.0),
        ("count", 10.0),
    ] {
        let actual = compute(Kind::Trend, Unit::Millis, text, &values);
        assert!((actual - expected).abs() <= expected * 0.001, "{text}: {actual}");
    }
    assert_eq!(compute(Kind::Counter, Unit::None, "count", &[30.0, 60.0]), 90.0);
    assert_eq!(compute(Kind::Counter, Unit::None, "rate", &[30.0, 60.0]), 1.5);
    assert_eq!(compute(Kind::Gauge, Unit::None, "value", &[3.0, 9.0, 4.0]), 4.0);
    assert_eq!(compute(Kind::Rate, Unit::None, "rate", &[1.0, 0.0, 0.0, 0.0]), 0.25);
}

#[test]
fn no_data_never_holds() {
    for (text, metric) in [
        ("http_req_duration: p(95)<500ms", Builtin::HttpReqDuration),
        ("http_req_failed: rate<0.01", Builtin::HttpReqFailed),
        ("http_reqs: count>=0", Builtin::HttpReqs),
        ("vus: value!=5", Builtin::Vus),
    ] {
        let nothing = threshold(text).evaluate(&metric.def(), &Totals::default(), MINUTE);
        assert_eq!(nothing, Evaluation { actual: None, holds: false }, "{text}");
    }
    let dropped = threshold("dropped_iterations: count==0");
    let zero = totals(Kind::Counter, Unit::None, &[0.0]);
    assert!(dropped.evaluate(&Builtin::DroppedIterations.def(), &zero, MINUTE).holds);
    let at_once = threshold("http_reqs: rate<5").evaluate(&Builtin::HttpReqs.def(), &zero, Duration::ZERO);
    assert_eq!(at_once.actual, None, "there is no rate over no time");
}

#[test]
fn limits_are_compared_and_the_margin_is_relative() {
    let t = threshold("http_req_duration: avg<0.5s abort after 10s");
    let metric = Builtin::HttpReqDuration.def();
    let evaluation = t.evaluate(&metric, &totals(Kind::Trend, Unit::Millis, &[300.0, 500.0]), MINUTE);
    assert_eq!(evaluation, Evaluation { actual: Some(400.0), holds: true });
    assert_eq!((t.margin(400.0), t.margin(600.0)), (Some(0.2), Some(-0.2)));
    assert_eq!(threshold("checks: rate>0.5").margin(0.75), Some(0.5));
    assert_eq!(threshold("m: count>0").margin(5.0), None);
    assert!(!t.aborts_at(Duration::from_secs(9)) && t.aborts_at(Duration::from_secs(10)));
    assert!(!threshold("m: count>0").aborts_at(MINUTE));
}

#[test]
fn thresholds_that_do_not_fit_their_metric_are_refused() {
    let metrics: Vec<MetricDef> = Builtin::ALL.iter().map(|metric| metric.def()).collect();
    for text in [
        "http_req_duration: p(95)<500",
        "http_req_duration: p(95)<500ms",
        "http_req_duration: count>100",
        "http_req_failed: rate<1%",
        "http_req_failed: rate<=1",
        "data_received: count<1MB",
        "data_received: rate<1MB",
        "http_reqs: rate>100",
        "vus: value<=100",
    ] {
        check_known(&[threshold(text)], &metrics).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    for (text, message, hint) in [
        ("http_req_duraton: avg<5", "unknown metric `http_req_duraton`", "did you mean `http_req_duration`?"),
        ("http_req_failed: p(95)<5", "is a rate and has no `p(95)`", "a rate has `rate`"),
        ("http_req_duration: rate<5", "is a trend and has no `rate`", "`avg`, `min`, `max`, `med`, `p(95)`"),
        ("http_req_failed: rate<5", "the limit 5 is not a share", "did you mean `5%`?"),
        ("http_req_failed: rate<150%", "the limit 1.5 is not a share", "`1%`"),
        ("http_req_failed: rate<-1", "is not a share", "`1%`"),
        ("http_req_failed: rate<5ms", "the limit is a time", "`0.01` or `1%`"),
        ("http_req_duration: avg<5%", "the limit is a percentage", "`500ms`"),
        ("http_req_duration: count<5ms", "the limit is a time", "`100`"),
        ("http_req_duration: avg<5kB", "the limit is an amount of data", "`500ms`"),
        ("data_sent: count<5s", "the limit is a time", "`1MB`"),
        ("http_reqs: count<5s", "the limit is a time", "`100`"),
    ] {
        let error = check_known(&[threshold("vus: value>0"), threshold(text)], &metrics).expect_err(text);
        assert!(error.message().contains(message), "{text}: {error}");
        assert!(error.message().contains(text), "{text}: {error}");
        assert!(error.hint_text().is_some_and(|h| h.contains(hint)), "{text}: {error}");
    }
}

#[test]
fn values_are_shown_in_the_unit_of_the_aggregate() {
    let show = |text: &str, metric: Builtin, value| threshold(text).format(&metric.def(), value);
    assert_eq!(show("http_req_duration: p(95)<5", Builtin::HttpReqDuration, 512.0), "512ms");
    assert_eq!(show("http_req_duration: count<5", Builtin::HttpReqDuration, 1_512.0), "1,512");
    assert_eq!(show("http_req_failed: rate<5%", Builtin::HttpReqFailed, 0.05), "5.00%");
    assert_eq!(show("http_reqs: rate<5", Builtin::HttpReqs, 337.2), "337/s");
    assert_eq!(show("data_sent: rate<5kB", Builtin::DataSent, 1_200.0), "1.2 kB/s");
}

proptest! {
    #[test]
    fn no_text_panics(text in r#"(m|p95|é)?[{}:!,"*\\a-c ]{0,12}(:| )?(avg|p\(9|é)?[<>=!]{0,2}[0-9.e\-%smé ]{0,8}( abort)?.{0,3}"#) {
        let _ = text.parse::<Threshold>();
    }

    #[test]
    fn a_matcher_that_is_shown_can_be_read(pieces in proptest::collection::vec("[a-z ,{}\"*\\\\:é]{0,5}", 1..4), negated: bool) {
        let matcher = TagMatcher { tag: "name".to_owned(), pattern: Glob::from_pieces(pieces), negated };
        let text = format!("m{{{matcher}}}: avg<5");
        prop_assert_eq!(&threshold(&text).selector, &[matcher]);
    }

    #[test]
    fn every_literal_matches_itself_alone(value in ".{0,12}", other in ".{0,12}") {
        let glob = Glob::from_pieces(vec![value.clone()]);
        prop_assert!(glob.matches(&value));
        prop_assert_eq!(glob.matches(&other), value == other);
    }
}
