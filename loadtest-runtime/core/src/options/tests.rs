//! Options as people write them, and what they come to mean.

use super::http::{CookiePolicy, HttpSettings};
use super::*;

fn options(set: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    set(&mut options);
    options
}

#[test]
fn every_kind_has_one_row() {
    for spec in EXECUTORS {
        assert_eq!(spec.kind.spec().name, spec.name);
        assert!(spec.required.iter().all(|key| spec.keys.contains(key)));
        assert_eq!(spec.name.parse(), Ok(spec.kind));
    }
}

#[test]
fn the_executor_is_inferred_as_in_k6() {
    let kind = |set: fn(&mut Options)| options(set).executor().expect("valid");
    assert_eq!(kind(|_| {}), ExecutorKind::PerVuIterations);
    assert_eq!(kind(|o| o.vus = Some(3)), ExecutorKind::SharedIterations);
    assert_eq!(kind(|o| o.iterations = Some(3)), ExecutorKind::SharedIterations);
    assert_eq!(kind(|o| o.duration = Some(Duration::from_secs(1))), ExecutorKind::ConstantVus);
    assert_eq!(
        kind(|o| o.stages = Some(vec![Stage { duration: Duration::from_secs(1), target: 1 }])),
        ExecutorKind::RampingVus
    );
}

#[test]
fn only_vus_means_that_each_runs_once() {
    let workload = options(|o| o.vus = Some(7)).resolve().expect("valid");
    assert!(matches!(workload.shape, Shape::SharedIterations { vus: 7, iterations: 7, .. }));
}

#[test]
fn two_executors_keys_together_name_both_sides() {
    let error = options(|o| {
        o.duration = Some(Duration::from_secs(1));
        o.stages = Some(vec![Stage { duration: Duration::from_secs(1), target: 1 }]);
    })
    .resolve()
    .expect_err("contradictory");
    assert!(error.message().contains("`stages`") && error.message().contains("`duration`"), "{error}");
}

#[test]
fn a_tier_that_shapes_the_load_replaces_the_whole_shape_below_it() {
    let attribute = options(|o| {
        o.executor = Some(ExecutorKind::RampingVus);
        o.stages = Some(vec![Stage { duration: Duration::from_secs(1), target: 100 }]);
        o.graceful_stop = Some(Duration::from_secs(5));
    });
    let line = options(|o| {
        o.vus = Some(2);
        o.duration = Some(Duration::from_secs(3));
    });
    let workload = attribute.overwrite(line).resolve().expect("valid");
    assert_eq!(workload.shape, Shape::ConstantVus { vus: 2, duration: Duration::from_secs(3) });
    assert_eq!(workload.graceful_stop, Duration::from_secs(5));
}

#[test]
fn a_longer_soak_keeps_its_virtual_users() {
    let soak = options(|o| {
        o.vus = Some(20);
        o.duration = Some(Duration::from_secs(10));
    });
    let longer = soak.clone().overwrite(options(|o| o.duration = Some(Duration::from_secs(300))));
    let shape = longer.resolve().expect("valid").shape;
    assert_eq!(shape, Shape::ConstantVus { vus: 20, duration: Duration::from_secs(300) });
    let fewer = soak.overwrite(options(|o| o.vus = Some(2))).resolve().expect("valid").shape;
    assert_eq!(fewer, Shape::ConstantVus { vus: 2, duration: Duration::from_secs(10) });
}

#[test]
fn a_number_of_users_alone_does_not_turn_stages_into_something_else() {
    let ramp = options(|o| o.stages = Some(parse_stages("2s:5, 20s:5").expect("valid")));
    let error = ramp.overwrite(options(|o| o.vus = Some(5))).resolve().expect_err("contradictory");
    assert!(error.message().contains("does not take `vus`"), "{error}");
}

#[test]
fn stages_name_the_one_that_is_wrong() {
    assert_eq!(parse_stages("1m30s:100, 0s:50").expect("valid").len(), 2);
    let error = parse_stages("1s:5, 2q:5").expect_err("bad unit");
    assert!(error.message().starts_with("stage 2: "), "{error}");
}

#[test]
fn workloads_survive_json() {
    let workload =
        options(|o| o.stages = Some(parse_stages("1s:5,2s:0").expect("valid"))).resolve().expect("valid");
    let json = serde_json::to_string(&workload).expect("serialises");
    assert_eq!(serde_json::from_str::<Workload>(&json).expect("parses"), workload);
}

#[test]
fn a_capacity_search_is_told_when_a_rate_holds() {
    let search = |thresholds: &[&str]| {
        options(|o| {
            o.executor = Some(ExecutorKind::FindCapacity);
            o.start_rate = Some(1);
            o.max_rate = Some(9);
            o.pre_allocated_vus = Some(1);
            o.thresholds = thresholds.iter().map(|text| text.parse().expect("a threshold")).collect();
        })
        .resolve()
    };
    assert!(search(&["iterations_failed: rate<0.01", "capacity: value>=5"]).is_ok());
    for thresholds in [&[][..], &["capacity: value>=5"]] {
        let error = search(thresholds).expect_err("nothing says when a rate holds");
        assert!(error.message().contains("needs `thresholds`"), "{error}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("p(95)<200ms")), "{error}");
    }
    let error = search(&["checks: rate>0.9 abort after 5s"]).expect_err("an abort");
    assert!(error.message().contains("fails only its probe"), "{error}");
}

fn read(pairs: &[(&str, &str)]) -> Options {
    let mut options = Options::default();
    for (name, text) in pairs {
        options.set(name, text).expect("valid");
    }
    options
}

const ARRIVALS: &[(&str, &str)] = &[
    ("executor", "constant-arrival-rate"),
    ("rate", "50"),
    ("duration", "30s"),
    ("pre_allocated_vus", "5"),
    ("max_vus", "20"),
];

#[test]
fn every_option_is_read_and_shown_alike_and_laid_over_another() {
    let stages = "1s:5, 2s:0";
    for option in OPTIONS {
        let text = match option.name {
            "executor" => "ramping-vus",
            "stages" => stages,
            "search" => "step",
            "reset" => "make reset",
            "preflight" => "/health",
            "thresholds" => "checks: rate>0.9",
            "tags" | "env" => "key=value",
            "hosts" => "*.example.org=127.0.0.1:8080",
            "tls_auth" => "cert.pem:key.pem for example.org,*.example.net",
            "dns" => "ttl=inf,select=roundRobin,policy=onlyIPv6",
            "local_ips" | "block_ips" => "10.0.0.0/8,10.0.0.1-10.0.0.9,::1",
            "block_hostnames" => "example.org,*.example.net",
            "allow" => "loopback,[::1]:8080,*.example.org:443,10.0.0.0/8",
            "http_version" => "1.1",
            "tls_version" => "1.2-1.3",
            "cookies" => "vu",
            "http_debug" => "full",
            "compare_duration" => "5s",
            "min_effect" | "equivalence" | "alpha" => "7.5%",
            "gate" => "p95,errors,endpoint_p95",
            _ if option.bare == Some("true") => "false",
            name if name.contains("duration") || name.ends_with("time") || name.starts_with("graceful") => {
                "5s"
            }
            "time_unit" | "warm_up" => "5s",
            _ => "7",
        };
        let set = read(&[(option.name, text)]);
        let shown = (option.show)(&set).unwrap_or_else(|| panic!("`{}` is not set", option.name));
        assert_eq!(shown, [text], "{}", option.name);
        assert_eq!(set.execution_keys().contains(&option.name), option.execution, "{}", option.name);
        assert_eq!(Options::default().overwrite(set.clone()), set, "{}", option.name);
        assert_eq!(set.clone().overwrite(Options::default()), set, "{}", option.name);
        let json = serde_json::to_string(&set).expect("serialises");
        assert_eq!(serde_json::from_str::<Options>(&json).expect("parses"), set, "{}", option.name);
        let mut cleared = set;
        (option.clear)(&mut cleared);
        assert_eq!(cleared, Options::default(), "{}", option.name);
    }
    let names: Vec<_> = EXECUTORS.iter().flat_map(|spec| spec.keys).collect();
    assert!(names.iter().all(|key| option(key).is_some_and(|option| option.execution)));
}

#[test]
fn a_number_of_the_executor_in_force_changes_that_alone() {
    let attribute = read(ARRIVALS);
    let longer = attribute.clone().overwrite(read(&[("duration", "5m"), ("rate", "80")]));
    let shape = longer.resolve().expect("valid").shape;
    assert_eq!(
        shape,
        Shape::ConstantArrivalRate {
            rate: 80,
            time_unit: Duration::from_secs(1),
            duration: Duration::from_secs(300),
            pre_allocated_vus: 5,
            max_vus: 20,
        }
    );
    // Virtual users that loop are another load: nothing of the rate is left.
    let looping = attribute.clone().overwrite(read(&[("vus", "3"), ("duration", "5s")]));
    let shape = looping.resolve().expect("valid").shape;
    assert_eq!(shape, Shape::ConstantVus { vus: 3, duration: Duration::from_secs(5) });
    // A number that is no load by itself makes none.
    let users = attribute.clone().overwrite(read(&[("vus", "3")])).resolve().expect_err("not of a rate");
    assert_eq!(users.message(), "`constant-arrival-rate` does not take `vus`");
    let stages = attribute.overwrite(read(&[("stages", "5s:3")]));
    assert_eq!(stages.executor(), Ok(ExecutorKind::RampingVus));
    assert_eq!((stages.rate, stages.max_vus), (None, None));
}

#[test]
fn what_an_executor_lacks_or_does_not_take_is_told_with_an_example() {
    let message = |pairs: &[(&str, &str)]| {
        let error = read(pairs).resolve().expect_err("wrong");
        format!("{}; {}", error.message(), error.hint_text().unwrap_or_default())
    };
    let without_rate: Vec<_> = ARRIVALS.iter().filter(|(name, _)| *name != "rate").copied().collect();
    assert_eq!(message(&without_rate), "`constant-arrival-rate` needs `rate`; for example `rate = 100`");
    assert_eq!(
        message(&[("executor", "constant-arrival-rate")]),
        "`constant-arrival-rate` needs `rate`, `duration` and `pre_allocated_vus`; \
         for example `rate = 100, duration = \"30s\", pre_allocated_vus = 50`"
    );
    assert!(
        message(&[("rate", "5")])
            .starts_with("`rate` needs an `executor`; name one that takes it: `constant")
    );
    let less = message(&[ARRIVALS, &[("max_vus", "3")]].concat());
    assert!(less.starts_with("`max_vus` (3) is less than `pre_allocated_vus` (5)"), "{less}");
    assert!(message(&[ARRIVALS, &[("rate", "0")]].concat()).starts_with("`rate` is 0"));
    assert!(message(&[ARRIVALS, &[("rps", "0")]].concat()).starts_with("`rps` is 0"));
    let unknown = Options::default().set("duratoin", "5s").expect_err("unknown");
    assert_eq!(unknown.hint_text(), Some("did you mean `duration`?"));
    let wrong = Options::default().set("preflight", "localhost").expect_err("neither");
    assert!(wrong.message().starts_with("`preflight`: `localhost` is neither"), "{wrong}");
}

#[test]
fn what_runs_until_it_is_stopped_never_ends_and_overflows_nothing() {
    let workload = read(&[("executor", "externally-controlled"), ("vus", "2"), ("start_time", "5s")]);
    let workload = workload.resolve().expect("valid");
    assert_eq!(workload.shape.max_vus(), 2);
    assert!(!workload.shape.is_timed());
    assert_eq!((workload.regular_end(), workload.maximum_end()), (Duration::MAX, Duration::MAX));
}

#[test]
fn a_load_that_starts_later_says_when() {
    let load = read(&[("vus", "3"), ("duration", "5s"), ("start_time", "2s")]).resolve().expect("valid");
    assert_eq!(load.describe(), "constant-vus: 3 looping VUs for 5s, from 2s on");
    let load = read(&[("vus", "3"), ("duration", "5s")]).resolve().expect("valid");
    assert_eq!(load.describe(), load.shape.describe());
}

#[test]
fn a_higher_place_replaces_lists_and_adds_certificates_and_hosts() {
    let below = read(&[
        ("allow", "loopback"),
        ("tls_auth", "a.pem:a.key"),
        ("tls_auth", "b.pem:b.key for b.example"),
        ("hosts", "a.example=10.0.0.1"),
        ("hosts", "b.example=10.0.0.2"),
        ("no_connection_reuse", "true"),
    ]);
    let above = read(&[
        ("allow", "example.org, 10.0.0.0/8"),
        ("tls_auth", "c.pem:c.key"),
        ("tls_auth", "b.pem:b.key for b.example"),
        ("hosts", "B.example.=10.0.0.3"),
        ("no_connection_reuse", "false"),
    ]);
    let both = below.overwrite(above);
    let shown = |name: &str| (option(name).expect("known").show)(&both).unwrap_or_default().join(" + ");
    assert_eq!(shown("allow"), "example.org,10.0.0.0/8");
    assert_eq!(shown("tls_auth"), "c.pem:c.key + b.pem:b.key for b.example + a.pem:a.key");
    assert_eq!(shown("hosts"), "a.example=10.0.0.1 + b.example=10.0.0.3");
    assert_eq!(shown("no_connection_reuse"), "false");
}

#[test]
fn http_settings_are_for_the_whole_test() {
    let (one, two) =
        (read(&[("batch", "5"), ("allow", "loopback")]), read(&[("batch", "5"), ("cookies", "off")]));
    let agreed =
        HttpSettings::agreed(&[("a", &one), ("b", &two), ("c", &Options::default())]).expect("agreed");
    assert_eq!((agreed.batch, agreed.cookies, agreed.allow.len()), (Some(5), Some(CookiePolicy::Off), 1));
    let other = read(&[("allow", "example.org")]);
    let error = HttpSettings::agreed(&[("a", &one), ("b", &two), ("c", &other)]).expect_err("contradictory");
    assert_eq!(
        error.message(),
        "`allow` is for the whole test, but the scenario `a` says loopback and `c` says example.org"
    );
    assert!(error.hint_text().is_some());
}

#[test]
fn mistakes_in_http_settings_name_key_value_and_what_to_write() {
    let told = |name: &str, text: &str| {
        let error = Options::default().set(name, text).expect_err("wrong");
        format!("{}; {}", error.message(), error.hint_text().unwrap_or_default())
    };
    for (name, text, message) in [
        ("no_connection_reuse", "yes", "`no_connection_reuse`: `yes` is neither `true` nor `false`; "),
        ("user_agent", "täst", "`user_agent`: the user agent has 'ä', which no header can hold; "),
        ("allow", "", "`allow`: the list is empty; "),
        (
            "allow",
            "loopback,http://example.org:8080/x",
            "`allow`: `http://example.org:8080/x` is a URL and not a host; write `example.org:8080`",
        ),
        (
            "block_hostnames",
            "10.0.0.1",
            "`block_hostnames`: `10.0.0.1` is an address and not a name; write `block_ips = [\"10.0.0.1\"]`",
        ),
        (
            "hosts",
            "example.org",
            "`hosts`: `example.org` is not of the form `key=value`; write for example `example.org=127.0.0.1:8080`",
        ),
        ("hosts", "example.org=localhost", "`hosts`: `localhost` is not an address; "),
        ("cookies", "vus", "`cookies`: unknown cookie policy `vus`; did you mean `vu`?"),
        ("http_version", "3.0", "`http_version`: unknown HTTP version `3.0`; "),
    ] {
        let told = told(name, text);
        assert!(told.starts_with(message), "{told}");
    }
    let error = read(&[("batch", "0")]).resolve().expect_err("no batch");
    assert_eq!(error.message(), "`batch` is 0");
}

#[test]
fn the_names_of_k6_lead_to_ours() {
    for (theirs, ours) in [
        ("insecureSkipTLSVerify", "insecure_skip_tls_verify"),
        ("noVUConnectionReuse", "no_vu_connection_reuse"),
        ("noConnectionReuse", "no_connection_reuse"),
        ("discardResponseBodies", "discard_response_bodies"),
        ("blacklistIPs", "block_ips"),
        ("blacklistIP", "block_ips"),
        ("blacklist-ip", "block_ips"),
        ("blockHostnames", "block_hostnames"),
        ("block_hostname", "block_hostnames"),
        ("localIPs", "local_ips"),
        ("tlsAuth", "tls_auth"),
        ("tlsVersion", "tls_version"),
        ("batchPerHost", "batch_per_host"),
        ("httpDebug", "http_debug"),
        ("maxRedirects", "max_redirects"),
        ("userAgent", "user_agent"),
        ("noCookiesReset", "cookies"),
    ] {
        let error = Options::default().set(theirs, "x").expect_err("unknown");
        assert_eq!(error.hint_text(), Some(format!("did you mean `{ours}`?").as_str()), "{theirs}");
    }
}
