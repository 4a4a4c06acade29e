//! The HTML report of a run whose every text is hostile: it stays a page without script, request or markup
//! that is not its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use loadtest_tests::{Finished, shared_fixture};

/// Elements of the page itself. Nothing that loads, runs, embeds or sends.
const ELEMENTS: &str = "a b bdi body br caption circle code col colgroup dd defs desc details div dl dt em figcaption \
                        figure footer g h1 h2 h3 h4 head header html li line main meta nav ol p path polygon polyline \
                        pre rect section small span strong style sub summary sup svg table tbody td text tfoot th \
                        thead title tr tspan ul wbr";

fn hostile_run() -> Finished {
    // Checks fail and iterations too: what is wrong must be in the report.
    shared_fixture("hostile").trial(["--progress", "lines"]).with_report().run().exited(99)
}

/// What a page has that is not its own, or that would load or run something.
fn harm(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, attributes) in tags(page) {
        let attributes = attributes.to_lowercase();
        let own = ELEMENTS.split_ascii_whitespace().any(|known| known == name);
        let bad = pairs(&attributes).into_iter().any(|(key, value)| {
            key.starts_with("on")
                || key.starts_with("src")
                || (key.ends_with("href") && !value.starts_with('#'))
                || value.contains("url(")
        });
        if !own || bad {
            found.push(format!("<{name} {attributes}>"));
        }
    }
    let styles = page.split("<style").skip(1).filter_map(|rest| rest.split("</style").next());
    found.extend(
        styles.filter(|style| style.contains("@import") || style.contains("url(")).map(str::to_owned),
    );
    found
}

#[test]
fn harm_is_seen_where_there_is_some() {
    for page in [
        "<script>1</script>",
        "<p><img alt=\"\">",
        "<p class=\"a\" onclick=\"1\">",
        "<a title=\">\" href=\"http://127.0.0.1\">",
        "<p style=\"background:url(x)\">",
        "<style>@import 'x'</style>",
    ] {
        assert_eq!(harm(page).len(), 1, "{page}");
    }
    assert_eq!(harm("<!doctype html><p class=\"a\"><a href=\"#b\">&lt;script&gt;</a>"), [""; 0]);
}

/// Name and attributes of every start tag. Attributes may hold `>` in quotes.
fn tags(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            assert!(rest.starts_with(['/', '!']), "a bare `<`: {}", &rest[..rest.len().min(40)]);
            continue;
        }
        let mut quote = None;
        let end = rest.find(|c: char| {
            match quote {
                Some(open) if c == open => quote = None,
                None if c == '"' || c == '\'' => quote = Some(c),
                _ => {}
            }
            c == '>' && quote.is_none()
        });
        let tag = &rest[..end.expect("every tag ends")];
        let (name, attributes) = tag.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((tag, ""));
        found.push((name.trim_end_matches('/').to_lowercase(), attributes.to_owned()));
        rest = &rest[tag.len()..];
    }
    found
}

/// Keys and values of attributes that are all in double quotes.
fn pairs(attributes: &str) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    let mut rest = attributes;
    while let Some((key, after)) = rest.split_once("=\"") {
        let (value, next) = after.split_once('"').expect("every value ends");
        // Attributes without a value may stand before it.
        pairs.push((key.rsplit(' ').next().unwrap_or(key).trim(), value));
        rest = next;
    }
    pairs
}

#[test]
fn hostile_texts_are_shown_and_do_nothing() {
    let run = hostile_run();
    let page = fs::read_to_string(run.report()).expect("the report is there");
    assert_eq!(harm(&page), [""; 0]);
    assert!(page.contains("default-src 'none'"), "the browser is told to load nothing");
    // They are there, as text.
    for text in [
        "&lt;script&gt;alert(1)&lt;",
        "좌석 예약 🎟️ 잔여석 없음",
        "]]&gt;&lt;",
        "{{ 7 * 7 }}",
        "name:&lt;script&gt;",
        // What would turn the line around, or is not to be printed, is spelt out.
        r"\u{202e}gnisrever",
        r"\u{1b}[31m",
    ] {
        let spelt = text.replace('/', "&#x2F;");
        assert!(page.contains(text) || page.contains(&spelt), "{text}");
    }
    assert_eq!(fs::read_to_string(run.directory().join("report.html")).ok().as_ref(), Some(&page));
    // A terminal obeys nothing of it either.
    for output in [&run.stdout, &run.stderr] {
        let obeyed = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
        assert!(!output.contains(obeyed), "{}", output.escape_debug());
    }

    let Some(browser) = browser() else { return };
    opens_without_script_or_request(&browser, &run);
}

/// Chromium under one of its names. A CI job has to have it; elsewhere this part is left out, and says so.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let found = std::env::split_paths(&path)
        .flat_map(|directory| names.map(|name| directory.join(name)))
        .find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "none of {names:?} is installed");
        eprintln!("note: no Chromium is installed, so the report was not opened in it");
    }
    found
}

fn opens_without_script_or_request(browser: &Path, run: &Finished) {
    let directory = run.store();
    let log = directory.join("net.json");
    let chromium = |last: &[&str]| {
        let output = Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            // Whatever is asked for can't be reached.
            .args(["--proxy-server=127.0.0.1:1", "--window-size=1280,3000"])
            .arg(format!("--user-data-dir={}", directory.join("browser").display()))
            .arg(format!("--log-net-log={}", log.display()))
            .args(last)
            .arg(format!("file://{}", run.report().display()))
            .output()
            .expect("Chromium can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let dom = chromium(&["--dump-dom"]);
    assert!(dom.contains("Thresholds") && tags(&dom).len() > 500, "{dom}");
    assert_eq!(harm(&dom), [""; 0]);

    let requests = fs::read_to_string(&log).expect("the log is there");
    let asked = requests.split("\"url\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    // Chromium's own are to its maker.
    let foreign: Vec<&str> =
        asked.filter(|url| !url.contains("google") && !url.starts_with("file:")).collect();
    assert_eq!(foreign, [""; 0]);

    let picture = directory.join("page.png");
    chromium(&[&format!("--screenshot={}", picture.display())]);
    assert!(fs::read(&picture).is_ok_and(|bytes| bytes.starts_with(b"\x89PNG") && bytes.len() > 50_000));
}
