use std::collections::BTreeSet;

use super::*;
use crate::report::chart::CHARTS;
use crate::report::sample;
use crate::report::sample::EVIL;
use loadtest_core::results::{End, ScenarioState};

/// One tag of a page, or a piece of text.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open { name: String, attributes: Vec<(String, String)> },
    Close { name: String },
    Text(String),
}

const VOID: [&str; 3] = ["meta", "br", "img"];

/// Reads a page more strictly than a browser does: every attribute is quoted, every element is closed in
/// order, and nothing is left of `<` or `&` that is not markup.
fn parse(page: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut rest = page.strip_prefix("<!doctype html>").expect("a doctype");
    while !rest.is_empty() {
        let Some(text) = rest.strip_prefix('<') else {
            let end = rest.find('<').unwrap_or(rest.len());
            tokens.push(Token::Text(unescape(&rest[..end], open.last().map(String::as_str))));
            rest = &rest[end..];
            continue;
        };
        if let Some(after) = text.strip_prefix('/') {
            let (name, after) = after.split_once('>').expect("an end");
            assert_eq!(
                open.pop().as_deref(),
                Some(name),
                "closed in order, before {}",
                &after[..after.len().min(80)]
            );
            tokens.push(Token::Close { name: name.to_owned() });
            rest = after;
            continue;
        }
        let length = text.find(|c: char| !c.is_ascii_alphanumeric()).expect("an end");
        assert!(length > 0, "no tag: <{}", &text[..text.len().min(40)]);
        let (name, mut after) = text.split_at(length);
        let mut attributes = Vec::new();
        let closed = loop {
            after = after.trim_start();
            if let Some(next) = after.strip_prefix("/>") {
                break (true, next);
            }
            if let Some(next) = after.strip_prefix('>') {
                break (false, next);
            }
            let length = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').expect("an attribute");
            assert!(length > 0, "no attribute: {}", &after[..after.len().min(40)]);
            let (key, value) = after.split_at(length);
            let value = value.strip_prefix("=\"").unwrap_or_else(|| panic!("{name} {key} is not quoted"));
            let (value, next) = value.split_once('"').expect("an end quote");
            assert!(!value.contains('<'), "{value}");
            attributes.push((key.to_owned(), unescape(value, None)));
            after = next;
        };
        tokens.push(Token::Open { name: name.to_owned(), attributes });
        if !closed.0 && !VOID.contains(&name) {
            open.push(name.to_owned());
        }
        rest = closed.1;
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    tokens
}

fn unescape(text: &str, within: Option<&str>) -> String {
    if within == Some("style") {
        return text.to_owned();
    }
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (entity, next) = after.split_once(';').expect("an entity");
        plain.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" | "#39" | "#x27" => '\'',
            "#x2F" | "#47" => '/',
            other => panic!("unknown entity {other}"),
        });
        rest = next;
    }
    plain + rest
}

fn opened(tokens: &[Token]) -> impl Iterator<Item = (&str, &[(String, String)])> {
    tokens.iter().filter_map(|token| match token {
        Token::Open { name, attributes } => Some((name.as_str(), attributes.as_slice())),
        _ => None,
    })
}

fn text_of(tokens: &[Token]) -> String {
    tokens
        .iter()
        .filter_map(|token| if let Token::Text(text) = token { Some(text.as_str()) } else { None })
        .collect()
}

/// What holds for every page.
fn check(page: &str) -> Vec<Token> {
    const KNOWN: &str = "html head meta title style body header h1 h2 h3 h4 ul li b bdi div span nav table thead tbody tr \
                         th td a section p code pre figure figcaption svg desc line circle polygon polyline rect text \
                         details summary main footer br";
    let known: BTreeSet<&str> = KNOWN.split_whitespace().collect();
    let tokens = parse(page);
    let mut ids = BTreeSet::new();
    let mut targets = Vec::new();
    for (name, attributes) in opened(&tokens) {
        assert!(known.contains(name), "<{name}>");
        for (key, value) in attributes {
            assert!(!key.starts_with("on") && key != "src" && key != "style", "{name} {key}");
            assert!(
                !value.contains("://") && !value.to_lowercase().contains("javascript:"),
                "{name} {key}={value}"
            );
            match key.as_str() {
                "id" => assert!(ids.insert(value.clone()), "{value} twice"),
                "href" => targets.push(value.strip_prefix('#').expect("a link within the page").to_owned()),
                "aria-labelledby" => targets.extend(value.split(' ').map(str::to_owned)),
                _ => {}
            }
        }
    }
    for target in targets {
        assert!(ids.contains(&target), "{target} leads nowhere");
    }
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
    let csp = ("content".to_owned(), policy.to_owned());
    assert!(opened(&tokens).any(|(name, attributes)| name == "meta" && attributes.contains(&csp)));
    let lower = page.to_lowercase();
    for never in ["<script", "<img", "<link", "<iframe", "url(", "@import", "\u{202e}", "\u{1b}"] {
        assert!(!lower.contains(never), "{never}");
    }
    tokens
}

fn sample_page() -> String {
    let (run, base, comparison) = sample::concert();
    render(&run, Some(&base), Some(&comparison)).expect("renders")
}

#[test]
fn the_page_answers_its_questions_in_order() {
    let page = sample_page();
    let text = text_of(&check(&page));
    let mut from = 0;
    for part in [
        "FAILED",
        "Thresholds",
        "http_req_failed: rate<0.01",
        "Key figures",
        "/s; HTTP/1.1",
        "fast failures flatter",
        "Compared with the baseline",
        "Distribution of latency",
        "Planned and achieved load",
        "Percentiles over time",
        "Errors by kind",
        "seat 17 is taken",
        "Endpoints",
        "GET /schedules/{id}/seats",
        "Checks",
        "booking › seat reserved",
        "queue_wait",
        "Load generator",
        "Service under test",
        "Environment",
        "cargo loadtest reserve_seat --seed 42",
    ] {
        from += text[from..].find(part).unwrap_or_else(|| panic!("{part} is missing or too early"));
    }
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
    assert!(page.len() < 300_000, "{}", page.len());
}

#[test]
fn a_hint_stands_whole_below_its_message_and_is_escaped() {
    let mut test = sample::test(&sample::Recipe { rate: 60.0, ..sample::recipe() });
    let long = "x".repeat(300);
    test.document.outcome.errors[0].message =
        format!("{long} is not allowed\nhint: give `--allow <b>{}`", "y".repeat(80));
    let run = sample::run("r", "2026-05-04T10:15:00Z", vec![test], 99);
    let page = render(&run, None, None).expect("renders");
    check(&page);
    let hint = format!("hint: <bdi>give <code>--allow &lt;b&gt;{}</code></bdi>", "y".repeat(80));
    assert!(page.contains(&hint), "{page}");
}

#[test]
fn every_chart_has_a_title_a_description_and_its_numbers() {
    let (run, base, duet) = sample::duet();
    let tokens = check(&render(&run, Some(&base), Some(&duet)).expect("renders"));
    let figures: Vec<usize> = (0..tokens.len())
        .filter(|at| matches!(&tokens[*at], Token::Open { name, .. } if name == "figure"))
        .collect();
    // That of capacity searches is on their pages only.
    assert_eq!(figures.len(), CHARTS.len() - 1);
    for at in figures {
        let end = tokens[at..]
            .iter()
            .position(|t| *t == Token::Close { name: "figure".to_owned() })
            .expect("an end");
        let figure = &tokens[at..at + end];
        for part in ["figcaption", "title", "desc", "details", "table", "svg", "polyline"] {
            assert!(opened(figure).any(|(name, _)| name == part), "{part} of {:?}", figure[0]);
        }
        let image = ("role".to_owned(), "img".to_owned());
        assert!(opened(figure).any(|(name, attributes)| name == "svg" && attributes.contains(&image)));
        assert!(opened(figure).filter(|(name, _)| *name == "tr").count() >= 5);
    }
}

#[test]
fn hostile_text_is_shown_and_does_nothing() {
    let (run, base, comparison) = sample::hostile();
    let page = render(&run, Some(&base), Some(&comparison)).expect("renders");
    let tokens = check(&page);
    let text = text_of(&tokens);
    for evil in
        [EVIL[0], EVIL[1], EVIL[2], EVIL[3], EVIL[5], "abc\\u{202e}txt.exe\\u{1b}[31m", "{{ 7*7 }} {% raw %}"]
    {
        assert!(text.matches(evil).count() >= 3, "{evil}");
    }
    assert!(!text.contains("49 {% raw"), "templates are not rendered twice");
    assert_eq!(opened(&tokens).filter(|(name, _)| *name == "h1").count(), 1);
    // 10 kB messages are folded, and bounded even there.
    let longest = tokens.iter().map(|t| if let Token::Text(text) = t { text.chars().count() } else { 0 });
    let style = tokens
        .iter()
        .position(|t| matches!(t, Token::Open { name, .. } if name == "style"))
        .expect("a style");
    assert!(longest.skip(style + 2).max() < Some(2_200));
    assert!(text.contains("10,000 characters in all"));
    assert!(page.len() < 300_000, "{}", page.len());
}

#[test]
fn ten_minutes_fit_and_keep_the_limits_of_a_line() {
    let run = sample::run("r", "2026-05-04T10:15:00Z", vec![sample::test(&sample::long_recipe())], 0);
    let page = render(&run, None, None).expect("renders");
    let tokens = check(&page);
    for (_, attributes) in opened(&tokens).filter(|(name, _)| *name == "polyline") {
        let points = &attributes.iter().find(|(key, _)| key == "points").expect("points").1;
        // A step takes two points of the drawing for one of the line.
        assert!(points.split_whitespace().count() <= 1_200);
    }
    assert!(text_of(&tokens).contains("10:00"));
    assert!(page.len() < 600_000, "{}", page.len());
}

#[test]
fn many_tests_share_one_page_that_still_opens() {
    let test = sample::test(&sample::Recipe { rate: 60.0, ..sample::hostile_recipe() });
    let tests = (0..60).map(|n| {
        let mut test = test.clone();
        test.document.id = format!("package-{n}/lib/tests::number_{n}");
        test
    });
    let tests = tests.collect();
    let run = sample::run("r", "2026-05-04T10:15:00Z", tests, 99);
    let page = render(&run, None, None).expect("renders");
    let text = text_of(&check(&page));
    assert!(page.len() <= MAX_BYTES, "{}", page.len());
    assert!(text.contains("60 tests, 0 of 60 passed") && text.contains("to stay small"));
    assert!(text.contains("tests::number_59"));
}

#[test]
fn a_run_that_ended_badly_says_how_at_once() {
    let ended = |end: End, exit_code: u8| {
        let mut test = sample::test(&sample::Recipe { rate: 60.0, ..sample::recipe() });
        test.document.outcome.end = end;
        test.document.outcome.thresholds.clear();
        let run = sample::run("r", "2026-05-04T10:15:00Z", vec![test], exit_code);
        text_of(&check(&render(&run, None, None).expect("renders")))
    };
    for (end, code, word, reason) in [
        (End::Completed, 0, "PASSED", "No threshold was set"),
        (End::Interrupted, 105, "INTERRUPTED", "by Ctrl-C"),
        (End::Crashed { reason: "killed by SIGSEGV".into() }, 109, "CRASHED", "killed by SIGSEGV"),
        (End::SetupFailed { reason: "port in use".into() }, 107, "FAILED", "port in use"),
    ] {
        let text = ended(end, code);
        let said =
            text.match_indices(word).any(|(at, _)| text[at..].find(reason).is_some_and(|after| after < 200));
        assert!(said, "{word}: {reason}");
    }
}

#[test]
fn runs_without_data_have_a_page() {
    let empty = sample::run("r", "2026-05-04T10:15:00Z", Vec::new(), 4);
    check(&render(&empty, None, None).expect("renders"));
    let mut test = sample::test(&sample::recipe());
    test.intervals.clear();
    let run = sample::run("r", "2026-05-04T10:15:00Z", vec![test], 99);
    let text = text_of(&check(&render(&run, None, None).expect("renders")));
    assert!(text.contains("no iteration succeeded"));
}

#[test]
fn an_inconclusive_comparison_is_said_first() {
    let (mut run, base, mut comparison) = sample::concert();
    run.document.exit_code = 0;
    run.tests[0].document.outcome.thresholds.clear();
    comparison.verdict = crate::compare::Verdict::Inconclusive;
    let text = text_of(&check(&render(&run, Some(&base), Some(&comparison)).expect("renders")));
    let first = text.find("NOT VERIFIED").expect("said");
    assert!(text.find("PASSED").is_none_or(|passed| first < passed));
}

fn run_of(test: crate::data::TestData, exit_code: u8) -> RunData {
    sample::run("r", "2026-05-04T10:15:00Z", vec![test], exit_code)
}

/// The parts of a text, in this order.
fn in_order(text: &str, parts: &[&str]) {
    let mut from = 0;
    for part in parts {
        from += text[from..].find(part).unwrap_or_else(|| panic!("{part} is missing or too early: {text}"));
    }
}

#[test]
fn an_arrival_rate_shows_what_was_dropped_and_what_a_closed_test_would_hide() {
    let text = text_of(&check(&render(&run_of(sample::open::arrivals(), 0), None, None).expect("renders")));
    in_order(
        &text,
        &[
            "constant-arrival-rate: 100/s for 20s by 20 to 40 VUs",
            "Dropped iterations",
            "69",
            "96.55% of the planned starts were offered",
            "Schedule lag",
            "p99; mean",
            "Iterations at a planned rate",
            "69 of 2,000 planned starts never ran and are in neither column",
            "iteration_scheduled_duration",
            "Planned and achieved load",
            "69 planned starts were dropped",
            "starts planned",
        ],
    );
    // Without a planned rate nothing can be omitted.
    assert!(!text_of(&check(&sample_page())).contains("Iterations at a planned rate"));
}

#[test]
fn the_wait_for_rps_is_a_key_figure() {
    let mut test = sample::open::arrivals();
    let metric = loadtest_core::metric::Builtin::HttpReqThrottled.def();
    let mut totals = loadtest_core::metric::Totals::default();
    totals.record(metric.kind, metric.unit.scale(), 12.5);
    let def = loadtest_core::results::SeriesDef { id: 9_999, metric, tags: Default::default() };
    test.intervals[3].series.push((def.id, totals));
    test.intervals[3].new_series.push(def);
    let test = crate::data::TestData::new(test.document, test.intervals);
    let text = text_of(&check(&render(&run_of(test, 0), None, None).expect("renders")));
    in_order(&text, &["Throttled", "12.5ms", "wait for rps"]);
}

#[test]
fn a_capacity_search_says_what_it_found_how_it_got_there_and_why_not_more() {
    let text = text_of(&check(&render(&run_of(sample::open::search(), 0), None, None).expect("renders")));
    in_order(
        &text,
        &[
            "PASSED",
            "capacity: at least 700/s, less than 750/s",
            "find-capacity: 100 to 2000/s",
            "Capacity",
            "p50",
            "p(95)<200ms",
            "100/s",
            "held",
            "800/s",
            "failed",
            "starts were dropped",
            "750/s",
            "Latency at each rate that was tried",
            "the knee lies between the two vertical lines",
            "highest rate that held",
        ],
    );
}

#[test]
fn hostile_names_of_probes_do_nothing() {
    let test = sample::open::hostile_search();
    let page = render(&run_of(test, 110), None, None).expect("renders");
    let tokens = check(&page);
    let text = text_of(&tokens);
    assert!(text.contains(&format!("failed by the test: {}", EVIL[0])) && text.contains(EVIL[2]));
    assert_eq!(opened(&tokens).filter(|(name, _)| *name == "h1").count(), 1);
    assert!(page.len() < 300_000, "{}", page.len());
}

#[test]
fn scenarios_have_a_row_each_and_a_pause_is_said() {
    let text = text_of(&check(&render(&run_of(sample::open::mixed(), 0), None, None).expect("renders")));
    in_order(
        &text,
        &[
            "the load was paused for 1.60s (5s to 7s)",
            "20s by 20 to 40 VUs, from 10s on".trim_start_matches("20s "),
            "The load was paused for a while",
            "Scenarios",
            "interrupted",
            "browse",
            "15 looping VUs for 20s",
            "2,700",
            "150/s",
            "reserve",
            "10s",
            "1,000",
            "100/s",
        ],
    );
    let mut test = sample::open::mixed();
    test.document.outcome.end = End::Stopped;
    test.document.outcome.scaled = true;
    let text = text_of(&check(&render(&run_of(test, 0), None, None).expect("renders")));
    in_order(&text, &["PASSED", "stopped by cargo loadtest stop after 20.0s", "by cargo loadtest scale"]);
}

/// Writes sample pages to the directory that `LOADTEST_REPORT_DUMP` names, to be looked at in a browser.
#[test]
fn samples_can_be_looked_at() {
    let Some(to) = std::env::var_os("LOADTEST_REPORT_DUMP") else { return };
    let to = std::path::PathBuf::from(to);
    let write = |name: &str, page: String| std::fs::write(to.join(name), page).expect("writes");
    let (run, base, comparison) = sample::concert();
    write("concert.html", render(&run, Some(&base), Some(&comparison)).expect("renders"));
    let (run, base, comparison) = sample::duet();
    write("duet.html", render(&run, Some(&base), Some(&comparison)).expect("renders"));
    let (run, base, comparison) = sample::hostile();
    write("hostile.html", render(&run, Some(&base), Some(&comparison)).expect("renders"));
    let tests = vec![sample::test(&sample::long_recipe()), sample::test(&sample::recipe())];
    let run = sample::run("r", "2026-05-04T10:15:00Z", tests, 99);
    write("long.html", render(&run, None, None).expect("renders"));
    for (name, test) in [
        ("arrivals", sample::open::arrivals()),
        ("mixed", sample::open::mixed()),
        ("search", sample::open::search()),
        ("hostile-search", sample::open::hostile_search()),
    ] {
        write(&format!("{name}.html"), render(&run_of(test, 0), None, None).expect("renders"));
    }
}

#[test]
fn a_missing_baseline_is_no_pass_and_interrupted_iterations_are_a_key_figure() {
    let mut test =
        sample::test(&sample::Recipe { errors: 0.0, thresholds: Vec::new(), lean: true, ..sample::recipe() });
    let state = ScenarioState { completed: 60, interrupted: 3, ..ScenarioState::default() };
    test.document.outcome.scenarios.insert("reserve_seat".to_owned(), state);
    let mut run = sample::run("r", "2026-05-04T10:15:00Z", vec![test], 0);
    run.baseline_missing = Some(EVIL[0].to_owned());
    let text = text_of(&check(&render(&run, None, None).expect("renders")));
    assert!(text.contains("NOT VERIFIED") && text.contains("not found, so nothing was compared"), "{text}");
    assert!(text.contains(" complete, 3 interrupted"), "{text}");
    run.document.exit_code = 95;
    let text = text_of(&check(&render(&run, None, None).expect("renders")));
    assert!(text.contains("FAILED") && !text.contains("NOT VERIFIED"), "{text}");
}

#[test]
fn what_stands_between_backticks_is_code_and_still_escaped() {
    let mut test = sample::open::arrivals();
    test.document.outcome.end = End::Stopped;
    test.document.outcome.failed_by_test =
        vec![format!("`{}` and `open", EVIL[0]), "``twice`` `{{ 7*7 }}`".to_owned()];
    let page = render(&run_of(test, 110), None, None).expect("renders");
    let tokens = check(&page);
    let text = text_of(&tokens);
    assert!(text.contains(&format!("failed by the test: {} and `open", EVIL[0])), "{text}");
    assert!(text.contains("failed by the test: twice {{ 7*7 }}"), "{text}");
    assert!(page.contains("stopped by <code>cargo loadtest stop</code> after"));
    assert!(page.contains("<code>&lt;script&gt;"));
}

#[test]
fn the_head_names_second_and_revision_once() {
    let mut run = run_of(sample::open::arrivals(), 0);
    run.document.started_at = "2026-05-04T10:15:00.123456789Z".to_owned();
    let text = text_of(&check(&render(&run, None, None).expect("renders")));
    in_order(&text, &["started 2026-05-04 10:15:00 UTC", "revision 4f2a9c1e7", "branch seat-lock"]);
    run.document.revision.commit = None;
    let text = text_of(&check(&render(&run, None, None).expect("renders")));
    assert!(
        text.contains("revision no commit yet on seat-lock") && !text.contains("no commit known"),
        "{text}"
    );
    run.document.started_at = EVIL[0].to_owned();
    run.document.revision.branch = None;
    let text = text_of(&check(&render(&run, None, None).expect("renders")));
    assert!(text.contains("revision no commit known") && text.contains(EVIL[0]), "{text}");
}

#[test]
fn a_probe_shows_one_latency_and_thresholds_only_in_their_column() {
    let test = sample::open::search();
    let capacity = &test.document.outcome.capacities["seats"];
    let failed = capacity.probes.iter().find(|probe| !probe.holds).expect("one failed");
    let p95 = loadtest_core::units::format_millis(failed.latency_ms["p(95)"]);
    let page = render(&run_of(test.clone(), 0), None, None).expect("renders");
    let text = text_of(&check(&page));
    assert!(text.contains(&format!("✗ {p95}")), "{text}");
    assert!(text.matches(&p95).count() >= 3, "table, threshold, chart: {text}");
    assert!(!text.contains("the threshold"), "{text}");
    let row = page.split("class=\"why\"").nth(1).expect("a reason");
    assert!(row.contains("colspan=\"8\"") && row.contains("starts were dropped"));
    in_order(&text, &["Key figures", "over all probes, those above the capacity included", "Requests"]);
    assert!(!text_of(&check(&sample_page())).contains("over all probes"));
}

#[test]
fn cards_say_nothing_of_starts_that_nobody_planned() {
    let page = |test| text_of(&check(&render(&run_of(test, 0), None, None).expect("renders")));
    let text = page(sample::test(&sample::recipe()));
    assert!(!text.contains("Schedule lag") && !text.contains("Dropped iterations"), "{text}");
    let mut test = sample::open::arrivals();
    assert!(page(test.clone()).contains("Schedule lag"));
    let drops: Vec<_> = test
        .series()
        .iter()
        .filter(|def| def.metric.name == "dropped_iterations")
        .map(|def| def.id)
        .collect();
    for interval in &mut test.intervals {
        interval.series.retain(|(id, _)| !drops.contains(id));
    }
    for state in test.document.outcome.scenarios.values_mut() {
        state.dropped = 0;
    }
    assert!(page(test.clone()).contains("all that was planned started"));
    test.document.outcome.end = End::Interrupted;
    let text = page(test);
    assert!(!text.contains("all that was planned started") && text.contains("until the run was cut short"));
}

#[test]
fn a_duet_calls_its_sides_base_and_head_and_says_which_run_the_details_are_of() {
    let (run, base, duet) = sample::duet();
    let page = render(&run, Some(&base), Some(&duet)).expect("renders");
    let text = text_of(&check(&page));
    in_order(
        &text,
        &[
            "regressed against main: errors +1.86 pp, p95 +14.2%",
            "The comparison is over all runs.",
            "run 1 of the 6 of head",
            "Compared with main",
            "Duet of 6 pairs against main (the merge base of main and HEAD, 1a2b3c4, 3 days old)",
            "runs in order: h b b h (h) (b) h b",
            "pair 3 was made again: 12 % of the CPU was stolen",
            "95% interval",
            "counts from 7% on here",
            "about 14 runs of each side would be needed",
            "Change of every metric",
            "Runs in the order in which they were made",
            "Where along the distribution it moved",
            "Distribution of latency, base and head",
            "Repeat this comparison",
            "--duet --runs 6 --seed 42",
        ],
    );
    assert!(!page.contains(">this run<") && !page.contains(">baseline<"));
    assert!(sample_page().contains(">this run<") && sample_page().contains(">baseline<"));
    assert!(page.len() < 300_000, "{}", page.len());
    let single = sample_page();
    assert!(!single.contains("The comparison is over all runs"));
}

#[test]
fn hostile_texts_of_a_duet_do_nothing() {
    let (run, base, hostile) = sample::hostile();
    let (_, _, mut duet) = sample::duet();
    (duet.base.name, duet.base.found) = (hostile.base.name, Some(EVIL[2].to_owned()));
    (duet.why, duet.repeat, duet.warnings) = (EVIL[0].to_owned(), EVIL[1].to_owned(), hostile.warnings);
    duet.tests[0].id = run.tests[0].document.id.clone();
    for record in &mut duet.order {
        record.test = run.tests[0].document.id.clone();
        record.discarded = record.discarded.as_ref().map(|_| EVIL[2].to_owned());
    }
    for (metric, evil) in duet.tests[0].metrics.iter_mut().zip(EVIL) {
        metric.name = evil.to_owned();
    }
    duet.head.runs = vec![EVIL[0].to_owned(), EVIL[1].to_owned()];
    let page = render(&run, Some(&base), Some(&duet)).expect("renders");
    let tokens = check(&page);
    assert_eq!(opened(&tokens).filter(|(name, _)| *name == "figure").count(), CHARTS.len() - 1);
    assert_eq!(opened(&tokens).filter(|(name, _)| *name == "h1").count(), 1);
    assert!(page.len() < 500_000, "{}", page.len());
}

#[test]
fn code_that_is_not_optimised_is_said_to_be_so_at_the_top() {
    let mut run = run_of(sample::open::arrivals(), 0);
    run.document.profile = "dev".to_owned();
    let text = text_of(&check(&render(&run, None, None).expect("renders")));
    in_order(&text, &["built with profile dev, which does not optimise", "Key figures"]);
    run.document.profile = "loadtest".to_owned();
    assert!(!text_of(&check(&render(&run, None, None).expect("renders"))).contains("does not optimise"));
}
