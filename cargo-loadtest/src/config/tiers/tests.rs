//! Which place wins, and which one is said to.

use clap::Parser;
use loadtest_core::options::http::HttpSettings;
use loadtest_core::options::{Shape, option};

use super::*;
use crate::cli::Args;
use crate::run::tests::load_test;

/// Options from lines `name=text`.
pub(in crate::config) fn options(lines: &str) -> Options {
    let mut options = Options::default();
    for line in lines.lines() {
        let (name, text) = line.split_once('=').expect("name=text");
        options.set(name, text).expect("valid");
    }
    options
}

fn tiers(file: &str, environment: &[(&str, &str)], line: &str) -> Tiers {
    let config = Config::parse(file, Path::new("/w")).expect("valid");
    let variables = Variables::read(environment.iter().map(|(n, v)| (n.into(), v.into()))).expect("valid");
    let args = Args::try_parse_from(std::iter::once("x").chain(line.split_whitespace())).expect("valid");
    Tiers::new(config, variables, &args.load).expect("valid")
}

fn origin(explained: &Explained, name: &str) -> String {
    let option = option(name).expect("known");
    let value = (option.show)(&explained.options).unwrap_or_default().pop().unwrap_or_default();
    format!("{value} by {}", explained.origin(option, &value))
}

#[test]
fn the_higher_place_wins_and_is_named() {
    let file = "[options]\nvus = 2\nwarm_up = \"1s\"\nrps = 9\n[tests.\"a/*\"]\nvus = 3\n[tests.\"a/b/c\"]\nvus = 4\n\
                [tests.\"a/b/c\".scenarios.s]\nstart_time = \"4s\"\n[profile.base.options]\ngraceful_stop = \"2s\"\n\
                [profile.ci]\ninherits = \"base\"\n[profile.ci.tests.\"a/b/c\"]\nwarm_up = \"3s\"\n";
    let attribute = options("vus=1\nduration=30s");
    let with = |environment: &[(&str, &str)], line: &str| {
        tiers(file, environment, line).explain("a/b/c", "s", &attribute)
    };
    let plain = with(&[], "");
    assert_eq!(origin(&plain, "vus"), "4 by loadtest.toml [tests.\"a/b/c\"]");
    assert_eq!(origin(&plain, "duration"), "30s by attribute");
    assert_eq!(origin(&plain, "start_time"), "4s by loadtest.toml [tests.\"a/b/c\".scenarios.s]");
    assert_eq!(origin(&plain, "graceful_stop"), " by default");
    let profile = with(&[("LOADTEST_PROFILE", "ci"), ("LOADTEST_RPS", "5")], "--vus 6");
    assert_eq!(origin(&profile, "graceful_stop"), "2s by loadtest.toml [profile.base.options]");
    assert_eq!(origin(&profile, "warm_up"), "3s by loadtest.toml [profile.ci.tests.\"a/b/c\"]");
    assert_eq!(origin(&profile, "rps"), "5 by LOADTEST_RPS");
    assert_eq!(origin(&profile, "vus"), "6 by --vus");
    let line = with(&[("LOADTEST_PROFILE", "ci"), ("LOADTEST_VUS", "5")], "--load-profile base");
    assert_eq!(origin(&line, "warm_up"), "1s by loadtest.toml [options]");
    assert_eq!(origin(&line, "vus"), "5 by LOADTEST_VUS");
}

#[test]
fn another_shape_takes_the_origins_of_the_one_below_away() {
    let attribute = options("vus=7\nduration=30s\ntags=a=1");
    let ramp = tiers("", &[], "--stage 1s:5 --tag b=2 --tag a=3").explain("a/b/c", "s", &attribute);
    assert_eq!(origin(&ramp, "stages"), "1s:5 by --stage");
    assert_eq!(origin(&ramp, "duration"), " by default");
    assert_eq!(origin(&ramp, "vus"), " by default");
    let tags = option("tags").expect("known");
    assert_eq!(ramp.origin(tags, "a=3"), Origin::CommandLine("--tag".to_owned()));
    assert!(matches!(ramp.workload().expect("valid").shape, Shape::RampingVus { .. }));
    // The number of virtual users survives a shape that takes it, and so does its origin.
    let soak = tiers("", &[], "--iterations 9").explain("a/b/c", "s", &options("vus=7\nduration=30s"));
    assert_eq!(
        (origin(&soak, "vus"), origin(&soak, "duration")),
        ("7 by attribute".into(), " by default".into())
    );
}

#[test]
fn limits_add_up_and_the_first_place_of_each_is_named() {
    let limit = "checks: rate>0.9";
    let file = format!("[options]\nthresholds = [\"{limit}\", \"iterations: count>1\"]");
    let all = tiers(&file, &[], "").explain("a/b/c", "s", &options(&format!("thresholds={limit}")));
    let option = option("thresholds").expect("known");
    let shown = (option.show)(&all.options).expect("some");
    assert_eq!(shown.len(), 2);
    assert_eq!(all.origin(option, &shown[0]), Origin::Attribute);
    assert_eq!(all.origin(option, &shown[1]), Origin::File("[options]".to_owned()));
}

#[test]
fn an_unknown_profile_is_an_error_with_its_place() {
    let config = || Config::parse("[profile.ci]", Path::new("/w")).expect("valid");
    let args = Args::try_parse_from(["x", "--load-profile", "cl"]).expect("valid");
    let error = Tiers::new(config(), Variables::default(), &args.load).expect_err("unknown").to_string();
    assert!(error.contains("--load-profile: loadtest.toml has no profile `cl`"), "{error}");
    assert!(error.contains("`ci`"), "{error}");
}

#[test]
fn each_scenario_of_a_test_gets_its_own_options() {
    let mut test = load_test("tests::buy");
    let mut second = test.definitions[0].clone();
    second.scenario = "browse".to_owned();
    test.definitions.push(second);
    let file = "[tests.\"shop/lib/tests::buy\".scenarios.browse]\nvus = 9";
    let vus = |tiers: Tiers| -> Vec<Option<u32>> {
        tiers.definitions(&test).expect("valid").iter().map(|definition| definition.options.vus).collect()
    };
    assert_eq!(vus(tiers(file, &[], "")), [Some(3), Some(9)]);
    assert_eq!(vus(tiers(file, &[], "--vus 5")), [Some(5), Some(5)]);
    let error =
        tiers("[options]\nrate = 5", &[], "").definitions(&test).expect_err("contradictory").to_string();
    assert!(error.starts_with("shop/lib/tests::buy: scenario buy: "), "{error}");
    let many = tiers("", &[("LOADTEST_STAGES", "1s:4000000")], "").definitions(&test).expect_err("too many");
    assert!(many.to_string().contains("too many for one process"), "{many}");
}

#[test]
fn sections_about_nothing_are_told_unless_their_package_was_not_looked_at() {
    let tests = [load_test("tests::buy")];
    let file = "[tests.\"shop/lib/tests::bye\"]\n[tests.\"other/lib/x\"]\n[tests.\"shop/*\".scenarios.byu]\nvus = 1\n\
                [profile.ci.tests.\"shop/nothing\"]\n";
    let warnings = tiers(file, &[], "").warnings(&tests, |package| package == "other");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().any(|w| w.contains("no scenario `byu`; did you mean `buy`?")), "{warnings:?}");
    assert!(
        warnings.iter().any(|w| w.contains("\"shop/lib/tests::bye\"] is about no load test; did you mean"))
    );
    let short = tiers("[tests.\"shop/lib/buy\"]\n[tests.\"*buyy\"]", &[], "").warnings(&tests, |_| false);
    assert_eq!(short.len(), 2);
    assert!(short.iter().all(|w| w.contains("did you mean `shop/lib/tests::buy`?")), "{short:?}");
    let profile =
        tiers(file, &[("LOADTEST_PROFILE", "ci")], "").warnings(&tests, |package| package == "other");
    assert!(profile.iter().any(|w| w.contains("[profile.ci.tests.\"shop/nothing\"]")), "{profile:?}");
}

/// A test whose attribute is this.
fn with(attribute: &str) -> LoadTest {
    let mut test = load_test("tests::buy");
    let definition = &mut test.definitions[0];
    definition.options = options(attribute);
    definition.workload = definition.options.resolve().expect("valid");
    test
}

const ARRIVALS: &str = "executor=ramping-arrival-rate\nstages=1s:50, 2s:0\npre_allocated_vus=10";

#[test]
fn another_load_than_the_attributes_is_told_with_how_to_keep_it() {
    let notes = |attribute: &str, tiers: Tiers| tiers.notes(&with(attribute)).concat();
    assert_eq!(
        notes(ARRIVALS, tiers("", &[], "--duration 2s")),
        "shop/lib/tests::buy: --duration replaces ramping-arrival-rate by constant-vus: 1 looping VU for 2s\n\
         hint: to keep ramping-arrival-rate, leave `--duration` out, or say all of it there: \
         `--executor ramping-arrival-rate --stage 1s:50 --stage 2s:0 --pre-allocated-vus 10`"
    );
    let named = notes(ARRIVALS, tiers("", &[], "--stage 3s:5"));
    assert!(named.contains("--stage replaces ramping-arrival-rate by ramping-vus"), "{named}");
    assert!(
        named.ends_with("name it: `--executor ramping-arrival-rate --stage 3s:5 --pre-allocated-vus 10`"),
        "{named}"
    );
    let file = notes("stages=1s:5", tiers("[options]\nvus = 2\nduration = \"2s\"", &[], ""));
    assert!(
        file.contains(": `vus` and `duration` in loadtest.toml [options] replace ramping-vus by"),
        "{file}"
    );
    let variable = notes(ARRIVALS, tiers("", &[("LOADTEST_DURATION", "2s")], ""));
    assert!(variable.contains(": LOADTEST_DURATION replaces "), "{variable}");
    assert!(variable.contains("LOADTEST_STAGES='1s:50, 2s:0' LOADTEST_PRE_ALLOCATED_VUS=10"), "{variable}");
    let asked = notes(ARRIVALS, tiers("", &[], "--executor constant-vus --duration 2s"));
    assert!(asked.contains("--executor and --duration replace") && !asked.contains("hint"), "{asked}");
    // What only changes a number, and what a test without a load is told, is no surprise.
    assert_eq!(notes("vus=3\nduration=5s", tiers("", &[], "--duration 2s")), "");
    assert_eq!(notes("tags=a=b", tiers("", &[], "--vus 5 --duration 2s")), "");
}

#[test]
fn what_contradicts_says_where_it_comes_from_and_what_to_type_there() {
    let error = |tiers: Tiers| tiers.definitions(&with("tags=a=b")).expect_err("unclear").to_string();
    assert_eq!(
        error(tiers("", &[], "--rate 5")),
        "shop/lib/tests::buy: `rate` needs an `executor` (`rate` is from --rate)\n\
         hint: name one that takes it, with all that it needs: \
         `--executor constant-arrival-rate --rate 5 --duration 30s --pre-allocated-vus 50`"
    );
    let file = error(tiers("[tests.\"*buy\"]\nrate = 5", &[], ""));
    assert!(file.contains("(`rate` is from loadtest.toml [tests.\"*buy\"])"), "{file}");
    assert!(
        file.contains(
            "`executor = \"constant-arrival-rate\", rate = 5, duration = \"30s\", pre_allocated_vus = 50`"
        ),
        "{file}"
    );
    let mixed = error(tiers("", &[("LOADTEST_RATE", "5"), ("LOADTEST_DURATION", "3s")], ""));
    assert!(
        mixed.contains(
            "does not take `rate` (`rate` is from LOADTEST_RATE, `duration` is from LOADTEST_DURATION)"
        ),
        "{mixed}"
    );
    assert!(
        mixed.contains(
            "for `constant-arrival-rate`, name it: `LOADTEST_EXECUTOR=constant-arrival-rate LOADTEST_RATE=5"
        ),
        "{mixed}"
    );
    let users = tiers("", &[], "--vus 3").definitions(&with(ARRIVALS)).expect_err("foreign").to_string();
    assert!(users.contains("(`vus` is from --vus, `executor` is from attribute)"), "{users}");
    assert!(users.contains("takes `--start-rate`, `--stage`"), "{users}");
}

#[test]
fn in_ci_requests_go_to_loopback_unless_a_place_says_otherwise() {
    let ci: &[(&str, &str)] = &[("CI", "true")];
    let allow = |file: &str, environment: &[(&str, &str)], attribute: &str, line: &str| {
        origin(&tiers(file, environment, line).explain("a/b/c", "s", &options(attribute)), "allow")
    };
    assert_eq!(allow("", ci, "vus=1", ""), "loopback by CI default");
    assert_eq!(allow("", &[], "vus=1", ""), " by default");
    assert_eq!(allow("", &[("CI", "false")], "vus=1", ""), " by default");
    let named = "allow=staging.example.org";
    assert_eq!(allow("", ci, named, ""), "staging.example.org by attribute");
    assert_eq!(allow("[options]\nallow = [\"*\"]", ci, named, ""), "* by loadtest.toml [options]");
    assert_eq!(allow("", &[("CI", "1"), ("LOADTEST_ALLOW", "::1")], "vus=1", ""), "::1 by LOADTEST_ALLOW");
    assert_eq!(
        allow("", ci, named, "--allow a.example --allow b.example:80"),
        "a.example,b.example:80 by --allow"
    );
}

#[test]
fn what_one_scenario_may_reach_in_ci_all_of_its_test_may() {
    let mut test = with("vus=1\nallow=staging.example.org");
    let mut second = with("vus=1").definitions.remove(0);
    second.scenario = "browse".to_owned();
    test.definitions.push(second);
    let agreed = |tiers: Tiers| {
        let definitions = tiers.definitions(&test).expect("valid");
        let said: Vec<_> = definitions.iter().map(|of| (of.scenario.as_str(), &of.options)).collect();
        let allow = HttpSettings::agreed(&said).expect("they agree").allow;
        allow.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let ci: &[(&str, &str)] = &[("CI", "true")];
    assert_eq!(agreed(tiers("", ci, "")), "staging.example.org");
    assert_eq!(agreed(tiers("", ci, "--allow ::1")), "::1");
    // A place about the other one counts as well, and where no place says anything, it is loopback.
    test.definitions[0].options.http.allow.clear();
    let browse = "[tests.\"*buy\".scenarios.browse]\nallow = [\"a.example\"]";
    let origins = |tiers: Tiers| -> Vec<String> {
        let all = tiers.explain_all(&test);
        all.iter().map(|of| origin(of, "allow")).collect()
    };
    let section = "loadtest.toml [tests.\"*buy\".scenarios.browse]";
    assert_eq!(origins(tiers(browse, ci, "")), [" by default".to_owned(), format!("a.example by {section}")]);
    assert_eq!(origins(tiers("", ci, "")), ["loopback by CI default", "loopback by CI default"]);
}

#[test]
fn each_certificate_and_each_host_has_its_place() {
    let file = "[options]\ntls_auth = [\"b.pem:b.key\"]\nhosts = { \"a.example\" = \"127.0.0.1\" }";
    let all = tiers(file, &[], "--tls-auth c.pem:c.key --hosts b.example=::1").explain(
        "a/b/c",
        "s",
        &options("tls_auth=a.pem:a.key\nhosts=a.example=10.0.0.1"),
    );
    let rows = |name: &str| -> Vec<String> {
        let option = option(name).expect("known");
        let values = (option.show)(&all.options).expect("some");
        values.iter().map(|value| format!("{value} by {}", all.origin(option, value))).collect()
    };
    assert_eq!(
        rows("tls_auth"),
        ["c.pem:c.key by --tls-auth", "b.pem:b.key by loadtest.toml [options]", "a.pem:a.key by attribute"]
    );
    assert_eq!(rows("hosts"), ["a.example=127.0.0.1 by loadtest.toml [options]", "b.example=::1 by --hosts"]);
}

#[test]
fn how_a_test_is_compared_is_what_all_places_say_of_all_its_scenarios() {
    use loadtest_core::options::compare::{GateMetric, Runs};

    let mut test = load_test("tests::buy");
    test.definitions[0].options = options("vus=3\nduration=5s\nruns=6\nmin_effect=3%\ngate=p95,errors");
    let mut second = test.definitions[0].clone();
    second.scenario = "browse".to_owned();
    second.options = options("vus=3\nduration=5s\nequivalence=12%");
    test.definitions.push(second);
    let attribute = tiers("", &[], "").compare(&test).expect("they agree");
    assert_eq!((attribute.runs, attribute.min_effect), (Some(Runs::Exactly(6)), Some(0.03)));
    assert_eq!((attribute.equivalence, attribute.gate.len()), (Some(0.12), 2));
    let file = "[options]\nruns = 7\nalpha = \"1%\"\n[tests.\"shop/*\"]\nruns = 8\ngate = [\"p99\"]";
    let file_alone = tiers(file, &[], "").compare(&test).expect("they agree");
    assert_eq!((file_alone.runs, file_alone.alpha), (Some(Runs::Exactly(8)), Some(0.01)));
    assert_eq!(file_alone.gate, [GateMetric::P99], "a list is replaced as a whole");
    let all = tiers(file, &[("LOADTEST_RUNS", "9"), ("LOADTEST_ALPHA", "2%")], "--runs auto");
    let all = all.compare(&test).expect("they agree");
    assert_eq!((all.runs, all.alpha), (Some(Runs::Auto), Some(0.02)));
    let apart = "[tests.\"shop/lib/tests::buy\".scenarios.browse]\nruns = 5";
    let error = tiers(apart, &[], "").compare(&test).expect_err("they contradict each other").to_string();
    assert!(error.starts_with("shop/lib/tests::buy: `runs` is for the whole test"), "{error}");
    assert!(error.contains("`buy` says 6 and `browse` says 5"), "{error}");
}

#[test]
fn the_service_is_the_files() {
    assert_eq!(tiers("", &[], "").service(), None);
    let tiers = tiers("[service]\nstart = \"./serve\"", &[], "");
    assert_eq!(tiers.service().map(|section| section.start.as_str()), Some("./serve"));
}
