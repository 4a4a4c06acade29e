//! What settings of comparisons may be, and what becomes of a load in less time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::options::{Options, Scope, Shape, option};

fn read(pairs: &[(&str, &str)]) -> Options {
    let mut options = Options::default();
    for (name, text) in pairs {
        options.set(name, text).expect("valid");
    }
    options
}

fn told(name: &str, text: &str) -> String {
    let error = Options::default().set(name, text).expect_err(text);
    format!("{}; {}", error.message(), error.hint_text().expect("a hint"))
}

#[test]
fn runs_are_a_number_or_left_to_the_judge() {
    assert_eq!(read(&[("runs", "auto")]).compare.runs, Some(Runs::Auto));
    assert_eq!(read(&[("runs", " 1000 ")]).compare.runs, Some(Runs::Exactly(1_000)));
    for (text, message) in [
        ("0", "`runs`: 0 runs compare nothing; "),
        ("1001", "`runs`: 1001 runs are too many; "),
        ("-3", "`runs`: `-3` is not a number of runs; "),
        ("2.5", "`runs`: `2.5` is not a number of runs; "),
        ("Auto", "`runs`: `Auto` is not a number of runs; write `auto`, or a whole number from 1 to 1000"),
    ] {
        assert!(told("runs", text).starts_with(message), "{}", told("runs", text));
    }
}

#[test]
fn shares_are_percent_or_fractions_and_come_back_as_they_were() {
    for (text, value, shown) in [
        ("5%", 0.05, "5%"),
        ("0.05", 0.05, "5%"),
        ("7 %", 0.07, "7%"),
        ("0.1%", 0.001, "0.1%"),
        ("1000%", 10.0, "1000%"),
        ("12.3456%", 0.123_456, "12.3456%"),
        (".3", 0.3, "30%"),
    ] {
        let options = read(&[("min_effect", text)]);
        assert_eq!(options.compare.min_effect, Some(value), "{text}");
        let again = (option("min_effect").expect("known").show)(&options).expect("set");
        assert_eq!(again, [shown], "{text}");
        assert_eq!(read(&[("min_effect", shown)]), options, "{text}");
    }
    // Every tenth of a percent is read as it is shown.
    for tenth in 1..=1_000u32 {
        let text = format!("{}%", f64::from(tenth) / 10.0);
        let options = read(&[("equivalence", &text)]);
        assert_eq!((option("equivalence").expect("known").show)(&options), Some(vec![text]));
    }
}

#[test]
fn a_share_that_can_be_misread_is_refused() {
    for (name, text, message) in [
        ("min_effect", "5", "`min_effect`: `5` has no `%`; write `5%` for 5 %"),
        ("min_effect", "0.05%", "`min_effect`: `0.05%` is too small; write 0.1% to 1000%, for example `5%`"),
        ("equivalence", "1001%", "`equivalence`: `1001%` is too large; "),
        ("equivalence", "0", "`equivalence`: `0` is too small; "),
        ("alpha", "0%", "`alpha`: `0%` is too small; write more than 0 and at most 50%"),
        ("alpha", "51%", "`alpha`: `51%` is too large; "),
        ("alpha", "-5%", "`alpha`: `-5%` is not a share; write for example `5%` or `0.05`"),
        ("alpha", "NaN", "`alpha`: `NaN` is not a share; "),
        ("min_effect", "inf%", "`min_effect`: `inf%` is not a share; "),
        ("min_effect", "1e-2", "`min_effect`: `1e-2` is not a share; "),
        ("min_effect", "five", "`min_effect`: `five` is not a share; "),
        ("min_effect", "%", "`min_effect`: `%` is not a share; "),
        ("compare_duration", "0s", "`compare_duration`: no load fits into no time; "),
        ("compare_duration", "10", "`compare_duration`: the duration `10` has a number without a unit; "),
    ] {
        let told = told(name, text);
        assert!(told.starts_with(message), "{told}");
    }
    assert_eq!(read(&[("alpha", "50%")]).compare.alpha, Some(0.5));
    assert_eq!(read(&[("alpha", "0.01%")]).compare.alpha, Some(0.000_1));
}

#[test]
fn metrics_have_one_name_and_are_read_in_the_ways_of_writing_it() {
    for metric in GateMetric::ALL {
        let dashed = metric.as_str().replace('_', "-");
        for text in [metric.as_str(), &dashed, metric.shown()] {
            assert_eq!(text.parse(), Ok(metric), "{text}");
        }
        let json = serde_json::to_string(&metric).expect("serialises");
        assert_eq!(json, format!("{:?}", metric.as_str()));
        assert_eq!(serde_json::from_str::<GateMetric>(&json).expect("parses"), metric);
    }
    assert_eq!("p(95)".parse(), Ok(GateMetric::P95));
    let gate = read(&[("gate", "p95, errors,p95, endpoint-p95")]).compare.gate;
    assert_eq!(gate, [GateMetric::P95, GateMetric::Errors, GateMetric::EndpointP95]);
    assert_eq!(
        told("gate", "p95,throughptu"),
        "`gate`: no metric `throughptu` decides about a comparison; did you mean `throughput`?"
    );
    assert!(told("gate", "p95,,errors").starts_with("`gate`: the metric is empty; expected one of `errors`"));
    assert!(told("gate", " ").starts_with("`gate`: the list is empty; "));
}

#[test]
fn a_test_is_compared_as_a_whole() {
    let one = read(&[("runs", "8"), ("gate", "p95,errors")]);
    let two = read(&[("runs", "8"), ("min_effect", "3%"), ("batch", "5")]);
    let agreed = CompareSettings::agreed(&[("a", &one), ("b", &two), ("c", &Options::default())]);
    let agreed = agreed.expect("they agree");
    assert_eq!((agreed.runs, agreed.min_effect), (Some(Runs::Exactly(8)), Some(0.03)));
    assert_eq!(agreed.gate, [GateMetric::P95, GateMetric::Errors]);
    let other = read(&[("gate", "p95")]);
    let error = CompareSettings::agreed(&[("a", &one), ("b", &other)]).expect_err("contradictory");
    assert_eq!(
        error.message(),
        "`gate` is for the whole test, but the scenario `a` says p95,errors and `b` says p95"
    );
    assert_eq!(option("runs").map(|option| option.scope), Some(Scope::Compare));
}

fn scenarios(of: &[(&str, &[(&str, &str)])]) -> BTreeMap<String, Options> {
    of.iter().map(|(name, pairs)| ((*name).to_owned(), read(pairs))).collect()
}

fn shown(options: &Options, name: &str) -> String {
    (option(name).expect("known").show)(options).unwrap_or_default().concat()
}

/// The named options of each scenario after a load was made to take another time.
fn in_time(of: &[(&str, &[(&str, &str)])], to: &str, names: &[&str]) -> Vec<String> {
    let to = units::parse_duration(to).expect("valid");
    let shorter = shorten(&scenarios(of), to).expect("possible");
    let one = |options: &Options| {
        options.resolve().expect("still a load");
        names.iter().map(|name| shown(options, name)).collect::<Vec<_>>().join(" / ")
    };
    shorter.values().map(one).collect()
}

#[test]
fn a_load_of_a_time_takes_another_one() {
    let soak: &[(&str, &str)] = &[("vus", "5"), ("duration", "5m")];
    assert_eq!(in_time(&[("a", soak)], "10s", &["duration", "vus"]), ["10s / 5"]);
    assert_eq!(in_time(&[("a", soak)], "10m", &["duration"]), ["10m"], "a longer one");
    let arrivals: &[(&str, &str)] = &[
        ("executor", "constant-arrival-rate"),
        ("rate", "50"),
        ("duration", "30s"),
        ("pre_allocated_vus", "5"),
    ];
    assert_eq!(in_time(&[("a", arrivals)], "7s", &["duration", "rate"]), ["7s / 50"]);
    let controlled: &[(&str, &str)] = &[("executor", "externally-controlled"), ("vus", "2")];
    assert_eq!(in_time(&[("a", controlled)], "7s", &["duration"]), ["7s"], "nobody is there to stop it");
}

#[test]
fn stages_keep_their_proportions_and_their_sum_is_exact() {
    let ramp: &[(&str, &str)] = &[("stages", "10s:50, 0s:80, 1m:80, 20s:0")];
    assert_eq!(in_time(&[("a", ramp)], "9s", &["stages"]), ["1s:50, 0s:80, 6s:80, 2s:0"]);
    // Thirds do not come out even, and the sum does.
    let thirds = scenarios(&[("a", &[("stages", "1s:1, 1s:2, 1s:3")])]);
    let shorter = shorten(&thirds, Duration::from_secs(10)).expect("possible");
    let stages = shorter["a"].stages.clone().expect("stages");
    assert_eq!(stages.iter().map(|stage| stage.duration).sum::<Duration>(), Duration::from_secs(10));
    // A short ramp does not become a jump, and the long one gives what it needs.
    let short: &[(&str, &str)] = &[("stages", "10ms:50, 1h:50, 10ms:0")];
    assert_eq!(in_time(&[("a", short)], "1s", &["stages"]), ["1ms:50, 998ms:50, 1ms:0"]);
    let none = scenarios(&[("a", &[("stages", "1s:1, 1s:2, 1s:3")])]);
    let error = shorten(&none, Duration::from_millis(2)).expect_err("three stages in two milliseconds");
    assert!(error.message().contains("2ms is too short for the stages"), "{error}");
}

#[test]
fn scenarios_keep_their_places_within_the_test() {
    let first: &[(&str, &str)] = &[("vus", "5"), ("duration", "30s")];
    let second: &[(&str, &str)] =
        &[("stages", "20s:5, 10s:0"), ("start_time", "30s"), ("graceful_stop", "5s")];
    let names = ["start_time", "duration", "stages", "graceful_stop"];
    assert_eq!(
        in_time(&[("a", first), ("b", second)], "12s", &names),
        [" / 6s /  / ", "6s /  / 4s:5, 2s:0 / 5s"]
    );
    // One that somebody stops ends with the others.
    let controlled: &[(&str, &str)] =
        &[("executor", "externally-controlled"), ("vus", "2"), ("start_time", "10s")];
    assert_eq!(
        in_time(&[("a", first), ("b", controlled)], "6s", &["start_time", "duration"]),
        [" / 6s", "2s / 4s"]
    );
    let late = scenarios(&[("b", controlled)]);
    let error = shorten(&late, Duration::from_secs(10)).expect_err("it begins when it ends");
    assert!(error.message().contains("leaves no time for the load"), "{error}");
}

#[test]
fn a_warm_up_keeps_its_length_up_to_a_fifth() {
    let warm_up = |warm_up: &str, to: &str| {
        let load: &[(&str, &str)] = &[("vus", "5"), ("duration", "60s"), ("warm_up", warm_up)];
        in_time(&[("a", load)], to, &["warm_up"]).concat()
    };
    assert_eq!(warm_up("10s", "10s"), "2s", "a sixth would be too little, all of it too much");
    assert_eq!(warm_up("1s", "10s"), "1s");
    assert_eq!(warm_up("30s", "10s"), "5s", "what was half stays half");
    assert_eq!(warm_up("30s", "60s"), "30s", "nothing changes in the same time");
}

#[test]
fn what_does_not_end_by_the_clock_is_refused_by_name() {
    let told = |pairs: &[(&str, &str)]| {
        let error = shorten(&scenarios(&[("a", pairs)]), Duration::from_secs(5)).expect_err("refused");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("`compare_duration`")), "{error}");
        error.message().to_owned()
    };
    assert_eq!(
        told(&[("vus", "2"), ("iterations", "10")]),
        "`compare_duration` can't shorten `shared-iterations`, which ends by its number of iterations"
    );
    assert!(told(&[("executor", "per-vu-iterations")]).contains("`per-vu-iterations`"));
    let search: &[(&str, &str)] = &[
        ("executor", "find-capacity"),
        ("start_rate", "1"),
        ("max_rate", "9"),
        ("pre_allocated_vus", "1"),
        ("thresholds", "checks: rate>0.9"),
    ];
    assert!(told(search).ends_with("`find-capacity`, which ends when it has found the rate"));
    let both =
        scenarios(&[("a", &[("vus", "1"), ("duration", "5s")]), ("b", &[("vus", "2"), ("iterations", "9")])]);
    let error = shorten(&both, Duration::from_secs(5)).expect_err("refused");
    assert!(error.message().starts_with("scenario b: "), "{error}");
}

#[test]
fn the_longest_times_overflow_nothing() {
    let longest = scenarios(&[("a", &[("vus", "1"), ("duration", "106751d"), ("start_time", "106751d")])]);
    let shorter = shorten(&longest, Duration::from_secs(10)).expect("possible");
    assert_eq!(
        shorter["a"].resolve().expect("a load").shape,
        Shape::ConstantVus { vus: 1, duration: Duration::from_secs(5) }
    );
    let short = scenarios(&[("a", &[("stages", "1ns:1")])]);
    let longer = shorten(&short, Duration::from_secs(106_751 * 86_400)).expect("possible");
    assert!(longer["a"].resolve().expect("a load").regular_end() > Duration::from_secs(1));
}
