use std::time::Duration;

use clap::CommandFactory;
use loadtest_core::options::{ExecutorKind, OPTIONS, Options, Scope};

use super::load::words;
use super::*;

fn command(line: &str) -> Result<Command, Stop> {
    parse(line.split_whitespace().map(OsString::from))
}

fn args(line: &str) -> Args {
    match command(line) {
        Ok(Command::Run(args)) => *args,
        other => panic!("`{line}` is not a run: {other:?}"),
    }
}

fn message(line: &str) -> String {
    match command(line) {
        Err(stop) => stop.0.to_string(),
        Ok(other) => panic!("`{line}` was understood: {other:?}"),
    }
}

#[test]
fn the_command_is_well_formed_and_every_option_has_help_and_a_heading() {
    Args::command().debug_assert();
    for option in Args::command().get_arguments() {
        if matches!(option.get_id().as_str(), "help" | "version") {
            continue;
        }
        assert!(option.get_help().is_some(), "{}", option.get_id());
        assert!(option.get_help_heading().is_some(), "{}", option.get_id());
    }
}

#[test]
fn cargo_and_the_shell_may_both_start_it() {
    assert_eq!(args("cargo-loadtest loadtest seats").target.filters, ["seats"]);
    assert_eq!(args("cargo-loadtest seats").target.filters, ["seats"]);
    assert_eq!(args("cargo-loadtest loadtest loadtest").target.filters, ["loadtest"]);
    assert!(args("cargo-loadtest loadtest").target.filters.is_empty());
}

#[test]
fn a_filter_is_never_taken_for_a_slip_in_a_subcommand() {
    assert_eq!(args("cargo-loadtest loadtest completion help").target.filters, ["completion", "help"]);
    assert!(matches!(command("cargo-loadtest loadtest completions bash"), Ok(Command::Completions(_))));
}

#[test]
fn a_command_behind_options_is_no_filter_and_fires_no_load() {
    for name in command_names() {
        for line in
            [format!("x -p shop {name} m/jar"), format!("x -u 1 {name}"), format!("x --http-debug {name}")]
        {
            assert_eq!(command(&line).map(|_| ()).map_err(|stop| stop.0.exit_code()), Err(2), "{line}");
            assert!(
                message(&line).contains(&format!("commands come first: `cargo loadtest {name} …`")),
                "{line}"
            );
        }
    }
    let control = message("x --control 127.0.0.1:7000 status");
    assert!(control.contains("`cargo loadtest status --control 127.0.0.1:7000`"), "{control}");
    // As the value of an option and behind `--` it is what it says.
    assert_eq!(args("x -p plan -- buy plan").target.filters, ["buy", "plan"]);
    assert_eq!(args("x plans").target.filters, ["plans"]);
}

#[test]
fn a_word_that_could_be_the_value_of_the_option_before_it_is_remembered() {
    let detached = |line: &str| args(line).target.detached;
    assert_eq!(detached("x --http-debug full http"), [("full".to_owned(), "--http-debug=full".to_owned())]);
    assert_eq!(detached("x --no-connection-reuse true").len(), 1);
    assert!(detached("x --http-debug http").is_empty() && detached("x --http-debug=full full").is_empty());
    assert!(detached("x -- --http-debug full").is_empty());
    let Ok(Command::Plan(plan)) = command("x plan --http-debug full") else { panic!("a plan") };
    assert_eq!(plan.target.detached.len(), 1);
}

#[test]
fn options_of_the_load_become_overrides() {
    let overrides = args("x --vus 5 --duration 1m30s -e A=1=2 --tag region=eu --threshold checks:rate>0.9");
    let overrides = overrides.load.options();
    assert_eq!(overrides.executor().expect("one shape"), ExecutorKind::ConstantVus);
    assert_eq!(overrides.duration, Some(Duration::from_secs(90)));
    assert_eq!(overrides.env["A"], "1=2");
    assert_eq!(overrides.tags["region"], "eu");
    assert_eq!(overrides.thresholds[0].metric, "checks");
    let ramp = args("x --stage 1s:5,2s:5 --stage 1s:0").load.options();
    assert_eq!(ramp.stages.map(|stages| stages.len()), Some(3));
    assert_eq!(args("x").load.options(), Options::default());
}

#[test]
fn every_option_of_the_table_is_one_of_the_command_line_and_of_every_command_with_a_load() {
    // Lines in which each option makes sense by itself.
    let lines = [
        "--executor ramping-arrival-rate --start-rate 1 --stage 10s:100 --stage 1m:0 --time-unit 1s \
         --pre-allocated-vus 5 --max-vus 9",
        "--executor find-capacity --start-rate 5 --max-rate 50 --search step --step 3 --probe-duration 9s \
         --pre-allocated-vus 5",
        "--executor externally-controlled --vus 5 --duration 10s",
        "--executor ramping-vus --start-vus 3 --stages 1s:5 --graceful-ramp-down 3s",
        "-u 5 -i 7 --max-duration 2m",
        "--rate 5 --start-time 1s --graceful-stop 2s --min-iteration-duration 3s --warm-up 4s --rps 5 \
         --reset true --preflight /health --threshold checks:rate>0.9 --tag a=b -e c=d",
        "--user-agent shop/1 --max-redirects 0 --discard-response-bodies --insecure-skip-tls-verify=false \
         --no-connection-reuse --no-vu-connection-reuse --http-version 1.1 --tls-version 1.2-1.3 \
         --tls-auth a.pem:a.key --tls-auth b.pem:b.key --hosts a.example=::1 --dns ttl=0 --local-ips 127.0.0.1 \
         --block-ips 10.0.0.0/8 --block-ips ::1 --block-hostnames *.example.org --allow loopback,example.org:80 \
         --batch 4 --batch-per-host 0 --cookies off --http-debug=full",
        "--compare-duration 10s --runs 8 --min-effect 3% --equivalence 0.12 --alpha 1% --gate p95,errors",
    ];
    let mut seen = Vec::new();
    for line in lines {
        let given = args(&format!("x {line}")).load.options();
        for option in OPTIONS {
            let Some(values) = (option.show)(&given) else { continue };
            seen.push(option.name);
            if option.execution {
                continue;
            }
            // What is shown is read again.
            let words = values.iter().flat_map(|value| words(option, value));
            let words = std::iter::once("x".to_owned()).chain(words).map(OsString::from);
            let Ok(Command::Run(again)) = parse(words) else { panic!("{} is not read again", option.name) };
            assert_eq!((option.show)(&again.load.options()), Some(values));
        }
        for command_name in ["plan", "show-config"] {
            assert!(command(&format!("x {command_name} {line}")).is_ok(), "{command_name} {line}");
        }
    }
    for option in OPTIONS {
        assert!(seen.contains(&option.name), "`{}` has no command line", option.name);
    }
}

#[test]
fn an_executor_has_all_that_it_needs_beside_it() {
    assert!(message("x --executor constant-vus --stage 1s:5").contains("does not take `stages`"));
    assert!(message("x --executor constant-vus --vus 5").contains("needs `duration`"));
    let arrivals = message("x --executor constant-arrival-rate --rate 5");
    assert!(arrivals.contains("needs `duration` and `pre_allocated_vus`"), "{arrivals}");
    assert!(arrivals.contains("`--duration 30s --pre-allocated-vus 50`"), "{arrivals}");
    let stages = message("x --executor ramping-vus");
    assert!(stages.contains("for example `--stage 1m30s:100 --stage 10s:0`"), "{stages}");
    let foreign = message("x --executor ramping-vus --stage 1s:5 --vus 3");
    assert!(
        foreign.contains("`ramping-vus` takes `--start-vus`, `--stage`, `--graceful-ramp-down`"),
        "{foreign}"
    );
    assert!(message("x --executor constant_vus").contains("did you mean `constant-vus`?"));
    // Alone they adjust what the places below describe.
    for line in
        ["x --rate 5", "x --time-unit 1m --max-vus 9", "x --vus 5 --rate 5", "x --executor per-vu-iterations"]
    {
        args(line);
    }
    assert_eq!(args("x --load-profile ci --profile dev").load.profile(), Some("ci"));
}

#[test]
fn mistakes_have_the_words_and_hints_of_the_attribute() {
    assert!(message("x --duration 5q").contains("hint: "));
    assert!(message("x --stage 5s").contains("write DURATION:TARGET"), "{}", message("x --stage 5s"));
    assert!(message("x --threshold checks:rat>0.9").contains("did you mean"));
    assert!(message("x --vus 0").contains("counts from 1"));
    assert!(message("x --summary-trend-stats avg,p95").contains("p(95)"));
    assert!(message("x --summary-trend-stats rate").contains("hint: "));
    assert!(message("x --save-baseline ../main").contains("not a name"));
    assert!(message("x -e CARGO_LOADTEST_SURELY_UNSET").contains("not in the environment"));
    assert!(message("x --stage 1s:5 --duration 1s").contains("cannot be used with"));
    assert!(message("x --exact").contains("FILTER"));
}

#[test]
fn a_threshold_that_does_not_fit_a_built_in_metric_is_wrong_usage() {
    let code = |line: &str| command(line).map(|_| ()).map_err(|stop| stop.0.exit_code());
    assert_eq!(code("x --threshold http_req_failed:p(95)<500ms"), Err(2));
    assert_eq!(code("x --threshold http_req_duration:p(95)<5MB"), Err(2));
    assert!(message("x --threshold http_req_failed:p(95)<500ms").contains("is a rate and has no"));
    assert_eq!(code("x --threshold http_req_duration:p(95)<500ms"), Ok(()));
    assert_eq!(code("x --threshold of_the_test:p(95)<500ms"), Ok(()));
}

#[test]
fn more_virtual_users_than_a_process_can_hold_are_refused() {
    for line in
        ["x --vus 4000000000", "x --vus 1000001", "x --vus 99999999999", "x --stage 1s:5,1s:4000000000"]
    {
        let text = message(line);
        assert!(text.contains("too many") && text.contains("hint: at most 1,000,000"), "{text}");
    }
    assert_eq!(args("x --vus 1000000").load.options().vus, Some(1_000_000));
    let stages = args("x --stage 1s:1000000").load.options().stages;
    assert_eq!(stages.map(|stages| stages[0].target), Some(1_000_000));
    // Targets that are rates are another matter.
    args("x --executor ramping-arrival-rate --pre-allocated-vus 5 --stage 1s:4000000");
}

#[test]
fn wrong_usage_exits_2_and_help_exits_0() {
    assert_eq!(command("x --no-such-option").map(|_| ()).map_err(|s| s.0.exit_code()), Err(2));
    assert_eq!(command("x --help").map(|_| ()).map_err(|s| s.0.exit_code()), Err(0));
}

#[test]
fn help_tells_defaults_examples_and_every_exit_code() {
    let help = Args::command().render_long_help().to_string();
    for part in ["[default: loadtest]", "Examples:", "Selecting tests:", "Judging:", "Comparing:"] {
        assert!(help.contains(part), "{part} is missing");
    }
    for (code, meaning) in crate::verdict::EXIT_CODES {
        assert!(help.contains(&format!("{:>3}  {meaning}", code.number())), "{meaning} is missing");
    }
}

#[test]
fn completions_know_the_options() {
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut Args::command(), "cargo-loadtest", &mut script);
    assert!(String::from_utf8_lossy(&script).contains("--save-baseline"));
}

#[test]
fn options_that_do_not_work_yet_say_so_and_what_to_do_instead() {
    for (name, instead) in NOT_YET {
        let error = parse(["cargo-loadtest", name, "x"].map(OsString::from)).expect_err("unknown");
        let text = error.0.to_string();
        assert!(text.contains("does not work yet") && text.contains(instead), "{text}");
    }
}

#[test]
fn addresses_of_this_machine_may_be_named_and_other_names_of_the_option_are_told() {
    let address = |line: &str| args(line).control.map(|address| address.to_string());
    assert_eq!(address("x --control localhost:6565").as_deref(), Some("127.0.0.1:6565"));
    assert!(message("x --control localhost").contains("127.0.0.1:6565"));
    assert!(message("x --control localhost.example:6565").contains("not an address"));
    for line in ["x --address 127.0.0.1:1", "x status --address 127.0.0.1:1"] {
        assert!(message(line).contains("hint: it is called `--control ADDR`"), "{}", message(line));
    }
}

#[test]
fn options_without_a_variable_are_known() {
    assert_eq!(line_only("log_limit").as_deref(), Some("--log-limit"));
    assert_eq!((line_only("vus"), line_only("stage"), line_only("banana")), (None, None, None));
    assert!(command_names().contains(&"show-config".to_owned()));
}

#[test]
fn an_option_without_a_value_is_true_and_takes_no_filter_for_one() {
    let run = args("x --insecure-skip-tls-verify buy --http-debug --no-connection-reuse=false");
    assert_eq!(run.target.filters, ["buy"]);
    let http = run.load.options().http;
    assert_eq!((http.insecure_skip_tls_verify, http.no_connection_reuse), (Some(true), Some(false)));
    assert_eq!(http.http_debug.map(|debug| debug.to_string()).as_deref(), Some("headers"));
    assert!(message("x --no-connection-reuse=yes").contains("neither `true` nor `false`"));
    assert!(message("x --allow http://a.example/").contains("is a URL and not a host"));
    assert!(message("x --blacklist-ip ::1").contains("`--block-ips RANGES`"));
    assert!(message("x --http-debug=all").contains("`full`"));
}

#[test]
fn the_number_of_workers_has_bounds_and_says_them() {
    assert_eq!((args("x").workers, args("x --workers 1").workers), (None, Some(1)));
    assert_eq!(args("x --workers 1024").workers, Some(1_024));
    for wrong in ["0", "1025", "4294967296", "-1", "two", "1.5"] {
        let text = message(&format!("x --workers={wrong}"));
        assert!(text.contains("--workers") && text.contains("from 1 to 1024"), "{text}");
    }
    assert_eq!(line_only("workers").as_deref(), Some("--workers"));
}

#[test]
fn help_has_a_group_for_http() {
    let help = Args::command().render_help().to_string();
    let (_, group) = help.split_once("\nHTTP:\n").expect("a group");
    let group = group.split("\n\n").next().unwrap_or_default();
    for option in OPTIONS.iter().filter(|option| option.scope == Scope::Http) {
        assert!(
            group.contains(&format!("{} ", long_option(option)))
                || group.contains(&format!("{}[", long_option(option))),
            "{}: {group}",
            option.name
        );
    }
}

#[test]
fn comparisons_have_their_group_and_their_values_are_looked_at() {
    use loadtest_core::options::compare::{GateMetric, Runs};

    let help = Args::command().render_help().to_string();
    let (_, group) = help.split_once("\nComparing:\n").expect("a group");
    let group = group.split("\n\n").next().unwrap_or_default();
    for option in OPTIONS.iter().filter(|option| option.scope == Scope::Compare) {
        assert!(group.contains(&format!("{} ", long_option(option))), "{}: {group}", option.name);
    }
    let line = "x --runs 8 --gate p95,endpoint-p95 --gate errors --alpha 1% --min-effect 0.03 --compare-duration 10s";
    let compare = args(line).load.options().compare;
    assert_eq!(
        (compare.runs, compare.alpha, compare.min_effect),
        (Some(Runs::Exactly(8)), Some(0.01), Some(0.03))
    );
    assert_eq!(compare.gate, [GateMetric::P95, GateMetric::EndpointP95, GateMetric::Errors]);
    assert_eq!(compare.compare_duration, Some(Duration::from_secs(10)));
    assert_eq!(args("x --runs auto").load.options().compare.runs, Some(Runs::Auto));
    for (line, told) in [
        ("x --runs 0", "0 runs compare nothing"),
        ("x --min-effect 5", "write `5%` for 5 %"),
        ("x --gate p96", "no metric `p96` decides"),
        ("x --alpha 60%", "too large"),
        ("x --compare-duration 0s", "no time"),
    ] {
        assert!(message(line).contains(told), "{}", message(line));
    }
}
