//! HTTP as its users set it, through the subcommand and against a service that counts: connections, names, what may be
//! reached, secrets, cookies, versions. Nothing here goes further than this machine.

use std::fs;

use loadtest_tests::{Finished, Fixture, Trial, example, fixture, shared_fixture};

/// A test of the fixture.
fn trial(fixture: &Fixture, test: &str, more: &[&str]) -> Trial {
    let name = format!("tests::{test}");
    let arguments = ["--progress", "lines", "--no-report", "--exact", &name];
    // What the developer's own machine says of CI is no part of a test.
    fixture.trial(arguments.iter().chain(more)).env("CI", "false")
}

fn run(test: &str, more: &[&str]) -> Finished {
    trial(&shared_fixture("network"), test, more).run()
}

/// What the service has counted: connections, requests, sessions.
fn counted(run: &Finished) -> [u64; 3] {
    let line = run.stderr.lines().find_map(|line| line.strip_prefix("the service counted "));
    let line = line.unwrap_or_else(|| panic!("no count in\n{}", run.stderr));
    let mut numbers = line.split(' ').filter_map(|word| word.parse().ok());
    std::array::from_fn(|_| numbers.next().unwrap_or_else(|| panic!("{line}")))
}

/// A line of the summary, without its name.
fn line<'a>(run: &'a Finished, name: &str) -> &'a str {
    let start = format!("{name}.");
    let line = run.stdout.lines().map(str::trim_start).find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no `{name}` in\n{}", run.stdout));
    line.split_once(": ").map_or(line, |(_, value)| value)
}

#[test]
fn connections_are_used_again_unless_that_is_turned_off() {
    // Two virtual users, ten iterations each, two requests in each.
    for (option, connections) in
        [(None, 2), (Some("--no-vu-connection-reuse"), 20), (Some("--no-connection-reuse"), 40)]
    {
        let run = run("hits", option.as_slice()).exited(0);
        assert_eq!(counted(&run), [connections, 40, 0], "{option:?}");
        assert_eq!(run.sum("http_reqs"), 40.0);
        assert_eq!(line(&run, "protocol"), "HTTP/1.1");
    }
}

#[test]
fn what_was_measured_on_other_connections_is_not_comparable() {
    let fixture = shared_fixture("network");
    let base = trial(&fixture, "hits", &["--save-baseline", "main"]).run().exited(0);
    let other = ["--no-connection-reuse", "--baseline", "main", "--inconclusive", "fail"];
    let other = trial(&fixture, "hits", &other).after(&base).run().exited(97);
    assert!(other.first_line().contains("NOT VERIFIED: not comparable"), "{}", other.stdout);
    assert!(
        other.first_line().contains("Options that shape the load differ from those of the baseline"),
        "{}",
        other.stdout
    );
    assert_eq!(other.document()["comparison"]["verdict"], "not_comparable");
    // Another name for the same service is the same load.
    let same = ["--hosts", "shop.example=127.0.0.1", "--baseline", "main"];
    let same = trial(&fixture, "hits", &same).after(&base).run().exited(0);
    assert!(!same.stdout.contains("not comparable"), "{}", same.stdout);
}

#[test]
fn secrets_are_masked_in_what_is_shown_of_requests() {
    for (option, has_body) in [("--http-debug", false), ("--http-debug=full", true)] {
        let run = run("secrets", &[option]).exited(0);
        for shown in [
            "> POST /session?api_key=***&page=7 HTTP/1.1",
            "> authorization: Bearer ***",
            "> authorization: Basic ***",
            "> cookie: sid=***",
            "< HTTP/1.1 200",
            "< set-cookie: sid=***",
        ] {
            assert!(run.stderr.contains(shown), "{shown}\n{}", run.stderr);
        }
        let body = r#"> {"user":"ada","password":"***"}"#;
        assert_eq!(run.stderr.contains(body), has_body, "{}", run.stderr);
        // Neither as it is nor as Basic authentication encodes it.
        for secret in ["hunter2", "YWRhOmh1bnRlcjI="] {
            let stored = fs::read_to_string(run.directory().join("run.json")).expect("it is stored");
            assert!(
                [&run.stdout, &run.stderr, &stored].iter().all(|text| !text.contains(secret)),
                "{secret}"
            );
        }
    }
    let quiet = run("secrets", &[]).exited(0);
    assert!(!quiet.stderr.contains("authorization"), "{}", quiet.stderr);
}

#[test]
fn a_name_leads_where_the_file_says_and_goes_no_further_than_it_may() {
    let fixture = fixture("network");
    fs::write(fixture.path().join("loadtest.toml"), "[options.hosts]\n\"shop.example\" = \"127.0.0.1\"\n")
        .expect("it can be written");
    let named = |more: &[&str]| trial(&fixture, "named", more).run();
    let run = named(&[]).exited(0);
    assert_eq!((counted(&run), run.sum("checks")), ([1, 5, 0], 5.0));

    // It is the name that is judged, wherever it leads; and doing what the hint says helps.
    let refused = named(&["--allow", "other.example"]).exited(99);
    let first = refused.first_line();
    assert!(first.contains("`shop.example` is not among what requests may go to"), "{}", refused.stdout);
    let hint =
        "hint: if that is meant, add `shop.example` to `allow`, or give `--allow shop.example` as well";
    assert!(refused.stdout.contains(hint), "{}", refused.stdout);
    assert_eq!(counted(&refused), [0, 0, 0], "nobody was asked");
    let _ = named(&["--allow", "other.example", "--allow", "shop.example"]).exited(0);
    let _ = named(&["--allow", "loopback"]).exited(0);
}

#[test]
fn in_ci_nothing_but_this_machine_is_reached_unless_that_is_asked_for() {
    let fixture = shared_fixture("network");
    let ci = |more: &[&str]| trial(&fixture, "fetches", more).env("CI", "true").run();
    assert_eq!(counted(&ci(&[]).exited(0)), [1, 2, 0]);
    let refusal = "`192.0.2.1` is not among what requests may go to";
    // Neither asked for nor redirected to.
    for (url, requests) in [("URL=http://192.0.2.1/", [0, 0, 0]), ("URL=/away", [1, 2, 0])] {
        let refused = ci(&["-e", url]).exited(99);
        assert!(refused.first_line().contains(refusal), "{url}\n{}", refused.stdout);
        assert!(refused.stdout.contains("or give `--allow 192.0.2.1`"), "{url}\n{}", refused.stdout);
        assert_eq!(counted(&refused), requests, "{url}");
    }
    // The list is lifted; what is blocked stays so, which keeps this test at home.
    for allow in ["192.0.2.1", "*"] {
        let lifted =
            ci(&["-e", "URL=/away", "--allow", "loopback", "--allow", allow, "--block-ips", "192.0.2.0/24"]);
        let lifted = lifted.exited(99);
        assert!(lifted.first_line().contains("`192.0.2.1` is blocked by address"), "{}", lifted.stdout);
    }
}

#[test]
fn cookies_are_kept_as_long_as_asked() {
    // One virtual user, five iterations, two requests in each: sessions that the service had to open.
    for (policy, sessions) in [("iteration", 5), ("vu", 1), ("test", 1), ("off", 10)] {
        let run = run("shops", &["--cookies", policy]).exited(0);
        assert_eq!(counted(&run), [1, 10, sessions], "{policy}");
    }
    assert_eq!(counted(&run("shops", &[]).exited(0))[2], 5, "as k6");
}

#[test]
fn the_summary_and_the_report_say_which_versions_served() {
    let refused = run("over_tls", &[]).exited(99);
    assert!(refused.first_line().contains("invalid peer certificate"), "{}", refused.stdout);
    assert!(!refused.stdout.contains("protocol."), "nobody served:\n{}", refused.stdout);

    let insecure = "--insecure-skip-tls-verify";
    for (version, proto) in [("auto", "HTTP/2.0"), ("2", "HTTP/2.0"), ("1.1", "HTTP/1.1")] {
        let limits =
            [format!("http_reqs{{proto:{proto}}}: count==20"), "http_req_tls_handshaking: max>0".to_owned()];
        let options =
            [insecure, "--http-version", version, "--threshold", &limits[0], "--threshold", &limits[1]];
        let run = run("over_tls", &options).exited(0);
        assert_eq!((counted(&run), line(&run, "protocol")), ([2, 20, 0], proto), "{version}");
    }

    let arguments = ["--progress", "lines", "--exact", "tests::over_both", insecure];
    let both = shared_fixture("network").trial(arguments).env("CI", "false").with_report().run().exited(0);
    assert_eq!(line(&both, "protocol"), "HTTP/1.1 75%, HTTP/2.0 25%");
    let page = fs::read_to_string(both.report()).expect("the report is there");
    assert!(page.contains("HTTP/1.1\u{a0}75%, HTTP/2.0\u{a0}25%"), "{page}");
}

#[test]
fn the_number_of_workers_can_be_chosen() {
    for (workers, connections) in [("1", 2), ("3", 2)] {
        let run = run("hits", &["--workers", workers]).exited(0);
        let document = run.document();
        assert_eq!(document["tests"][0]["outcome"]["workers"].to_string(), workers);
        assert_eq!(line(&run, "worker threads"), workers);
        assert!(
            document["repeat"]
                .as_str()
                .is_some_and(|repeat| repeat.contains(&format!("--workers {workers}")))
        );
        assert_eq!(counted(&run), [connections, 40, 0]);
    }
    for wrong in ["0", "1025", "many"] {
        let refused = run("hits", &["--workers", wrong]).exited(2);
        assert!(refused.stderr.contains("hint: write a whole number from 1 to 1024"), "{}", refused.stderr);
    }
}

#[test]
fn limits_of_other_protocols_are_judged_and_each_has_its_group() {
    let limits = ["--threshold", "ws_sessions: count==21", "--threshold", "grpc_req_duration: p(95)<500ms"];
    let run = example(
        "protocols",
        ["--no-report", "--exact", "load::chat", "load::check_and_watch"].iter().chain(&limits),
    );
    let run = run.run().exited(99);
    for part in ["✗ ws_sessions: count==21", "✓ ws_sessions: count==20", "✓ grpc_req_duration: p(95)<500ms"]
    {
        assert!(run.stdout.contains(part), "{part}\n{}", run.stdout);
    }
    let all = example("protocols", ["--no-report"]).run().exited(0);
    for group in ["WEBSOCKET", "GRPC", "SERVER-SENT EVENTS", "TCP", "OPERATIONS"] {
        assert!(all.stdout.lines().any(|line| line.trim() == group), "{group}\n{}", all.stdout);
    }
    assert_eq!(all.stdout.matches("✓ PASSED").count(), 5, "{}", all.stdout);
}
