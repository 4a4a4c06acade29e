//! The reference tables of README.md are made from the code that they describe.
//!
//! Each stands between `<!-- NAME -->` and `<!-- /NAME -->`. After a change of the code,
//! `BLESS=1 cargo test -p loadtest-tests readme` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use cargo_loadtest::cli::Args;
use cargo_loadtest::verdict::EXIT_CODES;
use clap::{Arg, CommandFactory};
use loadtest_core::metric::{Builtin, Kind, Unit};
use loadtest_core::options::{
    DEFAULT_GRACEFUL_RAMP_DOWN, DEFAULT_GRACEFUL_STOP, DEFAULT_MAX_DURATION, DEFAULT_PROBE_DURATION,
    DEFAULT_TIME_UNIT, EXECUTORS,
};
use loadtest_core::threshold::{AGGREGATIONS, Aggregation};
use loadtest_core::units::format_duration;
use loadtest_tests::workspace;

#[test]
fn the_tables_are_those_of_the_code() {
    let tables = [
        ("keys", keys()),
        ("executors", executors()),
        ("commands", commands()),
        ("options", options()),
        ("metrics", metrics()),
        ("aggregations", aggregations()),
        ("exit-codes", exit_codes()),
        ("features", features()),
        ("crates", crates()),
    ];
    let path = workspace().join("README.md");
    let written = fs::read_to_string(&path).expect("there is a README.md");
    let mut made = written.clone();
    for (name, table) in &tables {
        let (start, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
        let (before, rest) = made.split_once(&start).unwrap_or_else(|| panic!("README.md has no {start}"));
        let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("README.md has no {end}"));
        made = format!("{before}{start}\n\n{}\n\n{end}{after}", table.trim());
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, made).expect("README.md can be written");
        return;
    }
    let differing = made.lines().zip(written.lines()).find(|(made, written)| made != written);
    assert!(
        made == written,
        "README.md differs from the code; `BLESS=1 cargo test -p loadtest-tests readme` mends it.\n\
         First (code, README): {differing:#?}"
    );
}

/// A table in Markdown.
fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line =
        |cells: [String; N]| format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    let mut out = line(head.map(str::to_owned));
    out += &line([(); N].map(|()| "---".to_owned()));
    rows.into_iter().for_each(|row| out += &line(row));
    out
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

fn codes<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(code).collect::<Vec<_>>().join(", ")
}

/// The crates that the dev-dependency brings; that they are these is another test's matter.
fn crates() -> String {
    codes(crate::dependencies::BUDGET.iter().copied())
}

/// The features of the runtime, as its own documentation tells them, with how many crates each brings.
fn features() -> String {
    let crates = |arguments: &[&str]| crate::dependencies::tree("loadtest-runtime", arguments).len();
    let whole = crates(&[]);
    let manifest = read(&workspace().join("loadtest-runtime/Cargo.toml"));
    let (_, declared) = manifest.split_once("[features]\n").expect("there are features");
    let declared = declared.lines().take_while(|line| !line.starts_with('['));
    let declared: BTreeMap<&str, &str> = declared.filter_map(|line| line.split_once(" = ")).collect();
    let text = read(&workspace().join("loadtest-runtime/src/lib.rs"));
    let rows: Vec<[String; 4]> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.strip_suffix(" |"))
        .map(|row| {
            let (name, rest) = row.split_once("` | ").expect("a row of three cells");
            let (default, doc) = rest.split_once(" | ").expect("a row of three cells");
            let is_default = declared["default"].contains(&format!("\"{name}\""));
            assert_eq!(default, if is_default { "yes" } else { "no" }, "{name}");
            let brings = if is_default {
                let others = declared["default"].replace(&format!("\"{name}\""), "");
                let others = others.replace(['[', ']', '"', ' '], "");
                whole - crates(&["--no-default-features", "--features", others.trim_matches(',')])
            } else {
                crates(&["--features", name]) - whole
            };
            [code(name), default.to_owned(), doc.to_owned(), brings.to_string()]
        })
        .collect();
    for name in declared.keys().filter(|name| !["default", "bench-internals"].contains(name)) {
        assert!(rows.iter().any(|row| row[0] == code(name)), "lib.rs does not tell of the feature {name}");
    }
    table(["feature", "default", "what for", "crates"], rows)
}

fn exit_codes() -> String {
    let rows = EXIT_CODES.iter().map(|(code, meaning)| [code.number().to_string(), (*meaning).to_owned()]);
    table(["code", "meaning"], rows)
}

fn executors() -> String {
    let docs = docs("loadtest-runtime/core/src", "pub enum ExecutorKind {");
    let rows = EXECUTORS.iter().map(|spec| {
        let optional = spec.keys.iter().filter(|key| !spec.required.contains(key)).copied();
        let doc = docs.get(&format!("{:?}", spec.kind)).expect("every kind is documented");
        [code(spec.name), doc.clone(), codes(spec.required.iter().copied()), codes(optional)]
    });
    table(["executor", "rule", "needs", "also takes"], rows)
}

fn metrics() -> String {
    let docs = docs("loadtest-runtime/core/src", "builtin! {");
    let rows = Builtin::ALL.iter().map(|metric| {
        let (name, kind, unit) = metric.spec();
        let doc = docs.get(&format!("{metric:?}")).expect("every metric is documented");
        let unit = match (unit, kind) {
            (Unit::Millis, _) => "ms",
            (Unit::Bytes, _) => "bytes",
            (Unit::None, Kind::Rate) => "share",
            (Unit::None, _) => "",
        };
        [code(name), self::kind(kind).to_owned(), unit.to_owned(), doc.clone()]
    });
    table(["metric", "kind", "unit", "meaning"], rows)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "Counter",
        Kind::Gauge => "Gauge",
        Kind::Rate => "Rate",
        Kind::Trend => "Trend",
    }
}

fn aggregations() -> String {
    let rows = AGGREGATIONS.iter().map(|row| {
        let name = if matches!(row.aggregation, Aggregation::P(_)) { "p(x)" } else { row.name };
        let kinds: Vec<_> = row.kinds.iter().map(|of| kind(*of)).collect();
        [code(name), kinds.join(", "), row.doc.to_owned()]
    });
    table(["aggregation", "of", "meaning"], rows)
}

/// The keys of the attribute, as its own documentation tells them, with the executors that take them and
/// what holds without them.
fn keys() -> String {
    let durations = [
        ("max_duration", DEFAULT_MAX_DURATION),
        ("graceful_stop", DEFAULT_GRACEFUL_STOP),
        ("graceful_ramp_down", DEFAULT_GRACEFUL_RAMP_DOWN),
        ("time_unit", DEFAULT_TIME_UNIT),
        ("probe_duration", DEFAULT_PROBE_DURATION),
    ];
    let others = [
        ("executor", "inferred"),
        ("vus", "1"),
        ("iterations", "1; with `vus` alone, as many"),
        ("start_vus", "1"),
        ("start_rate", "0; `find-capacity` needs it"),
        ("max_vus", "`pre_allocated_vus`, or `vus`"),
        ("search", "`binary`"),
        ("step", "a twentieth of `max_rate`"),
        ("start_time", "none"),
        ("min_iteration_duration", "none"),
        ("warm_up", "none"),
        ("rps", "no limit"),
        ("user_agent", "`cargo-loadtest/VERSION`"),
        ("max_redirects", "10"),
        ("discard_response_bodies", "`false`"),
        ("insecure_skip_tls_verify", "`false`"),
        ("no_connection_reuse", "`false`"),
        ("no_vu_connection_reuse", "`false`"),
        ("http_version", "`auto`: HTTP/2 where TLS negotiates it"),
        ("tls_version", "`1.2-1.3`"),
        ("dns", "`ttl=5m,select=random,policy=preferIPv4`"),
        ("allow", "anything; in CI `[\"loopback\"]`"),
        ("batch", "20"),
        ("batch_per_host", "6"),
        ("cookies", "`iteration`"),
        ("compare_duration", "the test's own"),
        ("runs", "`auto`"),
        ("min_effect", "`5%`; `25%` with one stored session"),
        ("equivalence", "`10%`; `25%` with one stored session"),
        ("alpha", "`5%`"),
        ("gate", "errors, p95, endpoint p95, and throughput or dropped iterations"),
        ("test", "the function's name"),
        ("name", "the function's name"),
        ("crate", "`loadtest_runtime`"),
    ];
    let text = read(&workspace().join("loadtest-macros/src/lib.rs"));
    let rows = text.lines().filter_map(|line| line.strip_prefix("/// | `")?.strip_suffix(" |")).map(|row| {
        let (key, rest) = row.split_once("` | ").expect("a row of three cells");
        let (value, doc) = rest.split_once(" | ").expect("a row of three cells");
        let takers: Vec<_> = EXECUTORS.iter().filter(|spec| spec.keys.contains(&key)).collect();
        let of =
            if takers.is_empty() { "all".to_owned() } else { codes(takers.iter().map(|spec| spec.name)) };
        let default = durations.iter().find(|(name, _)| *name == key).map(|(_, d)| format_duration(*d));
        let default = default.or_else(|| Some(others.iter().find(|(name, _)| *name == key)?.1.to_owned()));
        [code(key), value.to_owned(), default.unwrap_or_default(), of, doc.to_owned()]
    });
    table(["key", "value", "default", "executors", "what for"], rows)
}

/// The commands besides the one that runs tests, those of a group one by one.
fn commands() -> String {
    let whole = Args::command();
    let mut rows = Vec::new();
    for command in whole.get_subcommands() {
        match command.has_subcommands() {
            true => rows.extend(
                command
                    .get_subcommands()
                    .map(|leaf| command_row(&whole, leaf, &format!("{} ", command.get_name()))),
            ),
            false => rows.push(command_row(&whole, command, "")),
        }
    }
    table(["command", "what for", "options"], rows)
}

/// A command with what it takes. One that takes the options of the load shows those alone that are its own.
fn command_row(whole: &clap::Command, command: &clap::Command, group: &str) -> [String; 3] {
    let positional = command.get_positionals().map(|arg| {
        let name = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
        let several = if arg.get_num_args().is_some_and(|count| count.max_values() > 1) { "…" } else { "" };
        if arg.is_required_set() { format!(" {name}{several}") } else { format!(" [{name}]{several}") }
    });
    let name = format!("{group}{}{}", command.get_name(), positional.collect::<String>());
    let shared = |arg: &Arg| whole.get_arguments().any(|own| own.get_long() == arg.get_long());
    let takes_load = command.get_arguments().any(|arg| arg.get_long() == Some("vus"));
    let own = command.get_arguments().filter(|arg| {
        let everywhere = matches!(arg.get_long(), None | Some("help" | "manifest-path"));
        !(everywhere || (takes_load && shared(arg)))
    });
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    [
        code(&name),
        about.trim_end_matches('.').to_owned(),
        own.map(|arg| code(&usage(arg))).collect::<Vec<_>>().join(", "),
    ]
}

/// The command line, by the headings of `--help`.
fn options() -> String {
    let command = Args::command();
    let shown: Vec<&Arg> = command.get_arguments().filter(|arg| arg.get_help_heading().is_some()).collect();
    let mut headings: Vec<&str> = Vec::new();
    for arg in &shown {
        let heading = arg.get_help_heading().unwrap_or_default();
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    let mut out = String::new();
    for heading in headings {
        let rows = shown.iter().filter(|arg| arg.get_help_heading() == Some(heading)).map(|arg| {
            let values: Vec<_> = arg.get_default_values().iter().filter_map(|value| value.to_str()).collect();
            // clap has none for a flag but tells of it.
            let default =
                if arg.get_action().takes_values() { code(&values.join(",")) } else { String::new() };
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            [code(&usage(arg)), help.trim_end_matches('.').to_owned(), default]
        });
        // Writing to a String can't fail.
        let _ = write!(out, "\n**{heading}**\n\n{}", table(["option", "what for", "default"], rows));
    }
    out
}

/// `-p, --package <PKG>`.
fn usage(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default().iter().map(|name| name.to_string());
    let choices: Vec<_> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let value = match (arg.get_action().takes_values(), choices.is_empty()) {
        (false, _) => String::new(),
        (true, true) => names.map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" "),
        (true, false) => choices.join("|"),
    };
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let flags: Vec<_> = short.into_iter().chain(long).collect();
    // An option that may stand alone takes its value behind a `=`, as `--help` shows it.
    let may_stand_alone = arg.get_num_args().is_some_and(|count| count.min_values() == 0);
    let flags = flags.join(", ");
    match may_stand_alone && arg.is_require_equals_set() && !value.is_empty() {
        true => format!("{flags}[={value}]"),
        false => format!("{flags} {value}").trim().to_owned(),
    }
}

/// The documentation of what is listed in a block of a crate's sources, by identifier: a line of `///`,
/// then the identifier at the beginning of a line.
fn docs(sources: &str, block: &str) -> BTreeMap<String, String> {
    let text = source_with(&workspace().join(sources), block)
        .unwrap_or_else(|| panic!("`{block}` is nowhere in {sources}"));
    let (_, body) = text.split_once(block).expect("it was looked for");
    let mut found = BTreeMap::new();
    let mut doc: Vec<&str> = Vec::new();
    for line in body.lines().map(str::trim).take_while(|line| *line != "}") {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim());
        } else if !doc.is_empty() {
            let end = line.find(|c: char| !c.is_alphanumeric()).unwrap_or(line.len());
            let text = doc.join(" ").trim_end_matches('.').to_owned();
            found.insert(line[..end].to_owned(), text);
            doc.clear();
        }
    }
    found
}

/// The first file below a directory that has the text.
fn source_with(directory: &Path, text: &str) -> Option<String> {
    let mut entries: Vec<_> = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.iter().find_map(|path| {
        if path.is_dir() {
            return source_with(path, text);
        }
        let source = read(path);
        source.contains(text).then_some(source)
    })
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
