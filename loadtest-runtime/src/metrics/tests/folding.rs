//! Too many tag values: they fold, nothing is lost, and it is told.

use super::*;

fn name(n: usize) -> String {
    format!("/item/{n}")
}

fn total(out: &Sums, metric: &str) -> u64 {
    out.series(metric).iter().map(|(_, totals)| totals.count).sum()
}

fn values<'a>(out: &'a Sums, metric: &str, tag: &str) -> Vec<&'a str> {
    out.series(metric).iter().filter_map(|(tags, _)| tags.get(tag)).map(String::as_str).collect()
}

#[test]
fn more_than_a_hundred_values_of_a_tag_fold() {
    let mut bench = Bench::new(1, &[]);
    for n in 0..150 {
        bench.exchange(1, &name(n), Exchange::default());
    }
    let (out, end) = bench.finish();
    let names = values(&out, "http_reqs", "name");
    assert_eq!(names.len(), 101);
    assert!(names.contains(&"__other__") && names.contains(&"/item/99") && !names.contains(&"/item/100"));
    let other = out.series("http_reqs").into_iter().find(|(tags, _)| tags["name"] == "__other__");
    assert_eq!(other.expect("there").1.count, 50);
    assert_eq!(total(&out, "http_reqs"), 150);
    // Fifty exchanges, each with ten series of that name.
    assert_eq!(end.folded_series, 500);
}

#[test]
fn a_value_that_a_threshold_selects_never_folds() {
    let thresholds = ["http_reqs{name:/item/140}: count==1", "http_reqs{name:/item/13*}: count==11"];
    let mut bench = Bench::new(1, &thresholds);
    for n in 0..150 {
        bench.exchange(1, &name(n), Exchange::default());
    }
    let (out, end) = bench.finish();
    assert!(end.thresholds.iter().all(|outcome| outcome.holds), "{:?}", end.thresholds);
    let names = values(&out, "http_reqs", "name");
    assert!(names.contains(&"/item/140") && names.contains(&"/item/139") && !names.contains(&"/item/141"));
    // Of another metric it does.
    assert!(!values(&out, "http_req_duration", "name").contains(&"/item/140"));
}

#[test]
fn a_threshold_on_everything_protects_nothing_and_misses_nothing() {
    let mut bench = Bench::new(1, &["http_reqs{name:*}: count==150", "http_reqs{!name:/item/0}: count==149"]);
    for n in 0..150 {
        bench.exchange(1, &name(n), Exchange::default());
    }
    let (out, end) = bench.finish();
    assert!(end.thresholds.iter().all(|outcome| outcome.holds), "{:?}", end.thresholds);
    assert_eq!(values(&out, "http_reqs", "name").len(), 101);
}

#[test]
fn more_than_two_thousand_series_of_a_metric_fold_except_what_is_stood_on() {
    let mut bench = Bench::new(1, &["group_duration{row:49}: count==50"]);
    let metric = Builtin::GroupDuration;
    for row in 0..50 {
        for seat in 0..50 {
            let (at, base) = (bench.at(1), bench.base);
            let recorder = &mut bench.recorders[0];
            let set = recorder.with_tag(base, "row", &row.to_string());
            let set = recorder.with_tag(set, "seat", &seat.to_string());
            recorder.value(at, set, metric.name(), || metric.def(), 1.0);
        }
        bench.deliver();
    }
    let (out, end) = bench.finish();
    // One for the folded ones without row 49, one for those with it.
    assert_eq!(out.series("group_duration").len(), 2_002);
    assert_eq!(total(&out, "group_duration"), 2_500);
    assert_eq!(end.folded_series, 500);
    assert!(end.thresholds[0].holds, "{:?}", end.thresholds);
    assert!(out.series("group_duration").iter().all(|(tags, _)| tags["scenario"] == "s"));
}

#[test]
fn a_worker_stays_bounded_whatever_names_are_made_of() {
    let mut bench = Bench::new(1, &["http_reqs: count==30000"]);
    for n in 0..30_000 {
        // A name and a tag that are new each time.
        let (at, base) = (bench.at(1), bench.base);
        let recorder = &mut bench.recorders[0];
        let set = recorder.with_tag(base, "user", &n.to_string());
        recorder.exchange(at, set, get(&name(n)), Exchange::default());
        if n % 1_000 == 0 {
            bench.deliver();
        }
    }
    let series = bench.recorders[0].series_count();
    assert!(series <= 20_010, "{series}");
    let (out, end) = bench.finish();
    assert!(end.thresholds[0].holds, "{:?}", end.thresholds);
    assert!(end.folded_series > 0);
    assert!(values(&out, "http_reqs", "name").contains(&"__other__"));
    assert!(out.series("http_reqs").iter().all(|(tags, _)| tags["scenario"] == "s"));
}
