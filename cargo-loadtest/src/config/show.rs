//! `cargo loadtest show-config`: each option of a test, its value and where it comes from.
//!
//! The main function is [`show`]. It builds and finds tests as a run does, and runs none. Values for
//! `vu.env(..)` are never shown, only their keys.

use std::fmt::Write as _;

use anyhow::Context;
use loadtest_core::Error;
use loadtest_core::options::{OPTIONS, OptionSpec, Workload};
use loadtest_core::results::Definition;
use serde::Serialize;

use super::tiers::{Explained, Origin, Tiers};
use crate::cli::{Format, ShowConfigArgs};
use crate::discover::{self, LoadTest, Workspace};
use crate::failure::{Failure, OrExit, plain};
use crate::launch::Signals;
use crate::run;
use crate::verdict::ExitCode;

/// The version of the document that `--format json` prints.
const SCHEMA_VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct Document<'a> {
    schema_version: u32,
    load_profile: Option<&'a str>,
    tests: Vec<Test<'a>>,
}

#[derive(Debug, Serialize)]
struct Test<'a> {
    id: &'a str,
    scenarios: Vec<Scenario<'a>>,
}

#[derive(Debug, Serialize)]
struct Scenario<'a> {
    scenario: &'a str,
    file: &'a str,
    line: u32,
    /// Why it can't run.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    options: Vec<Row>,
}

/// One value. Options that are lists have a row for each.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    option: &'static str,
    value: String,
    origin: String,
}

/// Shows the options of the chosen tests on standard output.
///
/// # Errors
/// As a run: nothing found, nothing built, places that say something wrong. Options that contradict each
/// other are an error too, after they have been shown.
pub fn show(args: &ShowConfigArgs) -> Result<ExitCode, Failure> {
    // Installed so that an interrupted listing takes its processes along.
    let _signals = Signals::install()?;
    let workspace = Workspace::read(&args.target)?;
    let tiers = Tiers::read(workspace.root(), &args.load)?;
    let found = discover::find(&workspace, &args.target)?;
    let chosen = run::choose(&workspace, &found, &args.target)?;
    run::warn(&workspace, &found, &tiers, &args.target);
    run::note(&chosen, &tiers, &args.target);
    let document = document(&chosen, &tiers);
    crate::terminal::print_out(&match args.format {
        Format::Text => text(&document),
        Format::Json => {
            let json =
                serde_json::to_string_pretty(&document).context("the options can't be written as JSON")?;
            json + "\n"
        }
    })?;
    for test in chosen {
        tiers.definitions(test).or_exit(ExitCode::Usage)?;
    }
    Ok(ExitCode::Passed)
}

fn document<'a>(tests: &[&'a LoadTest], tiers: &'a Tiers) -> Document<'a> {
    let scenario = |(definition, explained): (&'a Definition, Explained)| {
        let workload = explained.workload();
        Scenario {
            scenario: &definition.scenario,
            file: &definition.file,
            line: definition.line,
            options: rows(&explained, workload.as_ref().ok()),
            error: workload.err().as_ref().map(Error::to_string),
        }
    };
    let test = |test: &&'a LoadTest| Test {
        id: &test.id,
        scenarios: test.definitions.iter().zip(tiers.explain_all(test)).map(scenario).collect(),
    };
    Document {
        schema_version: SCHEMA_VERSION,
        load_profile: tiers.profile(),
        tests: tests.iter().map(test).collect(),
    }
}

/// The rows in the order of core's table: execution options that the executor takes, and all others. Without a
/// workload, what was said, that one sees what contradicts what.
fn rows(explained: &Explained, workload: Option<&Workload>) -> Vec<Row> {
    let keys = workload.map(|workload| workload.shape.kind().spec().keys);
    let takes = |option: &&OptionSpec| {
        !option.execution || option.name == "executor" || keys.is_none_or(|keys| keys.contains(&option.name))
    };
    let mut rows = Vec::new();
    for option in OPTIONS.iter().filter(takes) {
        match (option.show)(&explained.options) {
            Some(values) => rows.extend(values.into_iter().map(|value| Row {
                option: option.name,
                origin: explained.origin(option, &value).to_string(),
                value: without_secret(option, value),
            })),
            None => rows.extend(workload.and_then(|workload| default(option, workload)).map(|value| Row {
                option: option.name,
                value,
                origin: match option.name {
                    "executor" => "inferred".to_owned(),
                    _ => Origin::Default.to_string(),
                },
            })),
        }
    }
    rows
}

fn without_secret(option: &OptionSpec, value: String) -> String {
    match (option.name, value.split_once('=')) {
        ("env", Some((key, _))) => format!("{key}=…"),
        _ => value,
    }
}

/// What is in force where nothing was said: the workload has every default filled in, under the options' names.
fn default(option: &OptionSpec, workload: &Workload) -> Option<String> {
    let json = serde_json::to_value(workload).ok()?;
    match json.get(option.name) {
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(serde_json::Value::Number(number)) => Some(number.to_string()),
        // Left out when they are zero.
        None if matches!(option.name, "start_time" | "min_iteration_duration") => Some("0s".to_owned()),
        _ => None,
    }
}

fn text(document: &Document<'_>) -> String {
    let mut out = String::new();
    let all =
        || document.tests.iter().flat_map(|test| &test.scenarios).flat_map(|scenario| &scenario.options);
    let width = |of: fn(&Row) -> &str| all().map(|row| plain(of(row)).chars().count()).max().unwrap_or(0);
    let names = width(|row| row.option);
    // One long value must not push all origins out of sight.
    let values = width(|row| &row.value).min(48);
    if let Some(profile) = document.load_profile {
        // Writing to a String can't fail.
        let _ = writeln!(out, "profile {}\n", line(profile));
    }
    for (n, test) in document.tests.iter().enumerate() {
        let _ = writeln!(out, "{}{}", if n > 0 { "\n" } else { "" }, line(test.id));
        for scenario in &test.scenarios {
            if test.scenarios.len() > 1 {
                let _ = writeln!(out, "  scenario {}", line(scenario.scenario));
            }
            let _ = writeln!(out, "  {}:{}", line(scenario.file), scenario.line);
            let mut last = "";
            for row in &scenario.options {
                // A list has its name once.
                let name = if row.option == last { "" } else { row.option };
                last = row.option;
                let _ =
                    writeln!(out, "    {name:names$}  {:values$}  {}", line(&row.value), line(&row.origin));
            }
            if let Some(error) = scenario.error.iter().flat_map(|error| error.lines()).next() {
                let _ = writeln!(out, "    can't run: {}", line(error));
            }
        }
    }
    // `plain` leaves line breaks, which this text has many of.
    out
}

/// Text from outside on one line.
fn line(text: &str) -> String {
    plain(text).replace('\n', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::super::environment::Variables;
    use super::super::file::Config;
    use super::*;
    use crate::cli::LoadArgs;

    fn table(attribute: &str, file: &str) -> String {
        table_with(attribute, file, Variables::default())
    }

    fn table_with(attribute: &str, file: &str, variables: Variables) -> String {
        let config = Config::parse(file, std::path::Path::new("/w")).expect("valid");
        let tiers = Tiers::new(config, variables, &LoadArgs::default()).expect("valid");
        let mut test = run::tests::load_test("tests::buy");
        test.definitions[0].options = super::super::tiers::tests::options(attribute);
        text(&document(&[&test], &tiers))
    }

    #[test]
    fn every_option_in_force_is_shown_with_its_origin() {
        let shown = table(
            "duration=30s\nenv=TOKEN=secret\nthresholds=checks: rate>0.9",
            "[options]\nvus = 7\nthresholds = [\"http_req_failed: rate<1%\"]\n",
        );
        let expected = "\
shop/lib/tests::buy
  src/lib.rs:7
    executor                constant-vus                 inferred
    vus                     7                            loadtest.toml [options]
    duration                30s                          attribute
    start_time              0s                           default
    graceful_stop           30s                          default
    min_iteration_duration  0s                           default
    warm_up                 0s                           default
    thresholds              checks: rate > 0.9           attribute
                            http_req_failed: rate < 0.01 loadtest.toml [options]
    env                     TOKEN=…                      attribute
";
        let squeezed = |text: &str| -> Vec<String> {
            text.lines()
                .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ").replace(' ', ""))
                .collect()
        };
        let without_numbers = |text: &str| squeezed(text).join("\n").replace("0.01", "").replace("1%", "");
        assert_eq!(without_numbers(&shown), without_numbers(expected), "{shown}");
        let column = |name: &str| shown.lines().find(|l| l.contains(name)).and_then(|l| l.find(name));
        assert_eq!(column("inferred"), column("loadtest.toml [options]"));
        assert!(!shown.contains("secret"));
    }

    #[test]
    fn http_settings_have_their_rows_and_ci_is_a_place() {
        let ci = || Variables { is_ci: true, ..Variables::default() };
        let row = |shown: &str, option: &str| -> Vec<String> {
            let line = shown.lines().find(|line| line.trim_start().starts_with(option)).unwrap_or_default();
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
        };
        let shown = table_with("vus=1\nno_connection_reuse=true", "", ci());
        assert_eq!(row(&shown, "allow"), ["allow", "loopback", "CI default"]);
        assert_eq!(row(&shown, "no_connection_reuse"), ["no_connection_reuse", "true", "attribute"]);
        let shown = table_with("vus=1", "[options]\nallow = [\"a.example\", \"::1\"]", ci());
        assert_eq!(row(&shown, "allow"), ["allow", "a.example,::1", "loadtest.toml [options]"]);
    }

    #[test]
    fn what_contradicts_is_shown_all_the_same() {
        let shown = table("stages=1s:5", "[options]\nvus = 7\n");
        assert!(shown.contains("1s:5") && shown.contains("loadtest.toml [options]"), "{shown}");
        assert!(!shown.contains("graceful_stop") && shown.contains("can't run: `stages` means"), "{shown}");
    }
}
