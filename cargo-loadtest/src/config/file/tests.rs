//! What the file may say, and what is refused.

use std::time::Duration;

use super::*;

fn config(text: &str) -> Config {
    Config::parse(text, Path::new("/w")).expect("valid")
}

fn error(text: &str) -> String {
    format!("{:#}", Config::parse(text, Path::new("/w")).expect_err("refused"))
}

#[test]
fn the_store_is_relative_to_the_workspace() {
    assert_eq!(config("store = \"runs\"").store.as_deref(), Some(Path::new("/w/runs")));
    assert_eq!(config(""), Config::default());
}

#[test]
fn nothing_is_silently_ignored() {
    assert!(error("stoer = \"runs\"").contains("line 1: unknown key `stoer`\nhint: did you mean `store`?"));
    assert!(error("out = \"x\"").contains("does not work yet"));
    let text = error("\ncompare_duration = \"10s\"");
    assert!(
        text.contains("line 2: the option `compare_duration` stands outside of a section\nhint: "),
        "{text}"
    );
    assert!(text.contains("go into [options]"), "{text}");
    assert!(error("store = 7").contains("not a path"));
    assert!(error("store = ").contains("not valid TOML"));
    let text = error("store = \"x\"\n\n[profile.ci.options]\nvsu = 3\n");
    assert!(
        text.contains("line 4: unknown key `vsu` in [profile.ci.options]\nhint: did you mean `vus`?"),
        "{text}"
    );
    assert!(error("[tests.\"a/b/c\"]\nscenario = {}").contains("did you mean `scenarios`?"));
    assert!(error("[profile.ci]\nvus = 3").contains("go into [profile.ci.options]"));
    for key in ["setup", "teardown", "vu_init", "test", "name", "binaries", "crate"] {
        let text = error(&format!("[tests.x]\n{key} = \"y\""));
        assert!(text.contains(&format!("line 2: `{key}` in [tests.x]: only the attribute takes")), "{text}");
    }
    assert!(error("[options]\nseed = 3").contains("an option of the command line only: --seed"));
    assert!(error("options = 3").contains("[options] is not a table"));
    assert!(
        error("[tests.x.scenarios.a]\ntag = 1")
            .contains("line 2: unknown key `tag` in [tests.x.scenarios.a]")
    );
}

#[test]
fn values_are_text_numbers_arrays_and_tables() {
    let options = config(
        "[options]\nvus = 1_000\nduration = \"1m30s\"\nstages = [[\"1m30s\", 100], \"10s:0\"]\n\
         thresholds = [\"checks: rate>0.9\"]\ntags = { team = \"sales\", n = 3 }\nenv = { TOKEN = \"a=b\" }\nrps = 0x10\n",
    )
    .base
    .options;
    assert_eq!((options.vus, options.rps), (Some(1000), Some(16)));
    assert_eq!(options.duration, Some(Duration::from_secs(90)));
    assert_eq!(options.stages.as_ref().map(|stages| (stages.len(), stages[0].target)), Some((2, 100)));
    assert_eq!(options.thresholds[0].metric, "checks");
    assert_eq!((options.tags["team"].as_str(), options.tags["n"].as_str()), ("sales", "3"));
    assert_eq!(options.env["TOKEN"], "a=b");
    assert_eq!(config("[options]\nstages = \"1s:5, 2s:0\"").base.options.stages.map(|s| s.len()), Some(2));
}

#[test]
fn wrong_values_have_the_words_of_the_attribute_and_the_place() {
    let text = error("[options]\nvus = 3\nduration = 30\n");
    assert!(
        text.contains("line 3: `duration` in [options]: the duration `30` has a number without a unit"),
        "{text}"
    );
    assert!(text.contains("write `30s`"), "{text}");
    assert!(error("[options]\nvus = true").contains("a value of type boolean means nothing here"));
    assert!(error("[options]\nvus = -1").contains("not a whole number"));
    assert!(error("[options]\nvus = 0").contains("counts from 1"));
    assert!(error("[options]\nvus = 2000000").contains("too many"));
    assert!(error("[options]\nstages = [[\"1m\"]]").contains("[[\"1m30s\", 100]"));
    assert!(error("[options]\nthresholds = [\"checks: rat>1\"]").contains("did you mean"));
    assert!(!error("[options]\nenv = \"secret\"").contains("secret\""));
}

#[test]
fn sections_of_tests_take_patterns_and_whole_ids_come_last() {
    let tests = config("[tests.\"shop/lib/b\"]\n[tests.\"shop/*\"]\n[tests.\"*b\"]\n[tests.\"shop/lib/b\".scenarios.s]\nvus = 2").base.tests;
    let order: Vec<&str> = tests.iter().map(|section| section.pattern.as_str()).collect();
    assert_eq!(order, ["shop/*", "*b", "shop/lib/b"]);
    assert_eq!(tests[2].scenarios["s"].vus, Some(2));
    let is_about = |pattern: &str, id: &str| {
        let section = TestSection {
            pattern: pattern.to_owned(),
            options: Options::default(),
            scenarios: BTreeMap::new(),
        };
        section.is_about(id)
    };
    assert!(is_about("shop/*::buy", "shop/lib/tests::buy") && is_about("*", "x") && is_about("a*a", "aa"));
    assert!(!is_about("shop", "shop/lib/b") && !is_about("a*a", "a") && !is_about("*x*", "abc"));
    assert!(is_about("*a*b*", "xaxbx") && !is_about("*b*a*", "xaxbx"));
}

#[test]
fn profiles_inherit_without_cycles() {
    let config = config("[profile.a]\n[profile.b]\ninherits = \"a\"\n[profile.c]\ninherits = \"b\"\n");
    assert_eq!(config.chain("c"), Ok(vec!["a", "b", "c"]));
    assert!(config.chain("d").expect_err("unknown").to_string().contains("no profile `d`"));
    let cycle = error("[profile.a]\ninherits = \"b\"\n[profile.b]\ninherits = \"a\"\n");
    assert!(cycle.contains("inherits itself: a → b → a"), "{cycle}");
    let itself = error("[profile.nightly]\ninherits = \"cii\"\n");
    assert!(itself.contains("hint: no other profile is defined: write a section [profile.cii]"), "{itself}");
    let nowhere = tempfile::tempdir().expect("a directory");
    let none = Config::load(nowhere.path()).expect("no file").chain("ci").expect_err("none").to_string();
    assert!(
        none.contains("there is no file") && none.contains(&*nowhere.path().join(FILE).to_string_lossy()),
        "{none}"
    );
    let unknown = error("[profile.base]\n[profile.a]\ninherits = \"bsae\"\n");
    assert!(
        unknown.contains("inherits `bsae`, which is not there") && unknown.contains("`base`"),
        "{unknown}"
    );
}

#[test]
fn http_settings_are_switches_lists_and_tables() {
    let http = config(
        "[options]\ninsecure_skip_tls_verify = true\nno_connection_reuse = \"false\"\nhttp_version = 1.1\n\
         allow = [\"loopback\", \"*.example.org:443\"]\nblock_ips = \"10.0.0.0/8\"\n\
         tls_auth = [\"a.pem:a.key for a.example,b.example\", \"c.pem:c.key\"]\n\
         hosts = { \"a.example\" = \"127.0.0.1:8080\" }\nbatch = 4\nhttp_debug = \"full\"\n",
    )
    .base
    .options
    .http;
    assert_eq!((http.insecure_skip_tls_verify, http.no_connection_reuse), (Some(true), Some(false)));
    assert_eq!((http.allow.len(), http.block_ips.len(), http.tls_auth.len(), http.batch), (2, 1, 2, Some(4)));
    assert_eq!(http.hosts["a.example"].to_string(), "127.0.0.1:8080");
    for (text, message) in [
        ("vus = true", "a value of type boolean means nothing here"),
        ("no_connection_reuse = 1", "neither `true` nor `false`"),
        ("allow = []", "the list is empty"),
        ("hosts = [\"a.example\"]", "example.org=127.0.0.1:8080"),
        ("hosts = true", "hosts = { \"example.org\" = \"127.0.0.1:8080\" }"),
        ("hosts = [[\"a\", \"b\"]]", "an array with an item of type array means nothing here"),
        ("hosts = { \"a.example\" = true }", "a table with a value of type boolean means nothing here"),
        ("blacklistIPs = [\"::1\"]", "did you mean `block_ips`?"),
        ("batch = 0", "counts from 1"),
    ] {
        let told = error(&format!("[options]\n{text}"));
        assert!(told.contains("line 2: ") && told.contains(message), "{told}");
    }
}

#[test]
fn how_tests_are_compared_is_read_from_numbers_texts_and_arrays() {
    use loadtest_core::options::compare::{GateMetric, Runs};

    let config = config(
        "[options]\nruns = \"auto\"\nmin_effect = 0.03\nequivalence = \"12%\"\nalpha = \"1%\"\ncompare_duration = \"10s\"\n\
         [tests.\"shop/*\"]\nruns = 12\ngate = [\"p95\", \"endpoint-p95\"]\n[tests.x]\ngate = \"errors\"\n",
    );
    let all = &config.base.options.compare;
    assert_eq!((all.runs, all.min_effect, all.equivalence), (Some(Runs::Auto), Some(0.03), Some(0.12)));
    assert_eq!((all.alpha, all.compare_duration), (Some(0.01), Some(Duration::from_secs(10))));
    let own: Vec<_> = config.base.tests.iter().map(|section| section.options.compare.clone()).collect();
    assert_eq!((own[0].runs, own[1].runs), (Some(Runs::Exactly(12)), None));
    assert_eq!(own[0].gate, [GateMetric::P95, GateMetric::EndpointP95]);
    assert_eq!(own[1].gate, [GateMetric::Errors]);
    for (text, message) in [
        ("runs = \"many\"", "`many` is not a number of runs"),
        ("runs = -1", "`-1` is not a number of runs"),
        ("min_effect = 5", "write `5%` for 5 %"),
        ("alpha = true", "write for example alpha = \"5%\""),
        ("gate = [\"p96\"]", "no metric `p96` decides"),
        ("gate = []", "the list is empty"),
        ("compare_duration = 10", "a number without a unit"),
    ] {
        let told = error(&format!("[options]\n{text}"));
        assert!(told.contains("line 2: ") && told.contains(message), "{told}");
    }
}
