//! What `--list` prints.

use std::fmt::Write as _;

use anyhow::Context;
use loadtest_core::results::Definition;
use serde::Serialize;

use crate::cli::Format;
use crate::discover::LoadTest;
use crate::failure::plain;

/// The version of the document that `--list --format json` prints.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    tests: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    package: &'a str,
    target: &'a str,
    scenarios: Vec<Definition>,
}

/// The tests as text, grouped by test binary, or as a document.
///
/// # Errors
/// If a number has no JSON form.
pub(super) fn show(tests: &[&LoadTest], format: Format) -> anyhow::Result<String> {
    match format {
        Format::Text => Ok(text(tests)),
        Format::Json => json(tests),
    }
}

fn text(tests: &[&LoadTest]) -> String {
    let mut out = String::new();
    let mut group = String::new();
    for test in tests {
        let this = format!("{} {}", test.binary.package, test.binary.target);
        if this != group {
            let gap = if group.is_empty() { "" } else { "\n" };
            // Writing to a String can't fail.
            let _ = writeln!(out, "{gap}{}", plain(&this));
            group = this;
        }
        let _ = writeln!(out, "  {}", plain(&test.id));
        for definition in &test.definitions {
            let several =
                if test.definitions.len() > 1 { format!("{}: ", definition.scenario) } else { String::new() };
            let _ = writeln!(out, "      {}{}", plain(&several), plain(&definition.workload.describe()));
            let _ = writeln!(out, "      {}:{}", plain(&definition.file), definition.line);
        }
    }
    out
}

fn json(tests: &[&LoadTest]) -> anyhow::Result<String> {
    let entry = |test: &&'_ LoadTest| -> Vec<Definition> {
        let blank = |definition: &Definition| {
            let mut definition = definition.clone();
            definition.options = definition.options.without_env_values();
            definition
        };
        test.definitions.iter().map(blank).collect()
    };
    let entries = tests.iter().map(|test| Entry {
        id: &test.id,
        package: &test.binary.package,
        target: &test.binary.target,
        scenarios: entry(test),
    });
    let document = Document { schema_version: SCHEMA_VERSION, tests: entries.collect() };
    let mut text = serde_json::to_string_pretty(&document).context("the list can't be written as JSON")?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;
    use std::rc::Rc;

    use loadtest_core::options::Options;

    use super::*;
    use crate::launch::TestBinary;

    /// A test as discovery finds it.
    pub(crate) fn load_test(name: &str) -> LoadTest {
        let mut options = Options { vus: Some(3), ..Options::default() };
        options.env.insert("TOKEN".to_owned(), "secret".to_owned());
        let definition = Definition {
            test: name.to_owned(),
            scenario: name.rsplit("::").next().unwrap_or(name).to_owned(),
            package: "shop".to_owned(),
            file: "src/lib.rs".to_owned(),
            line: 7,
            workload: options.resolve().expect("valid"),
            options,
            binaries: Vec::new(),
            attribute_hash: String::new(),
            body_hash: String::new(),
        };
        LoadTest {
            id: format!("shop/lib/{name}"),
            name: name.to_owned(),
            binary: Rc::new(TestBinary {
                package: "shop".to_owned(),
                target: "lib".to_owned(),
                executable: PathBuf::new(),
                entry: String::new(),
                cwd: PathBuf::new(),
                env: Vec::new(),
                runner: Vec::new(),
            }),
            definitions: vec![definition],
        }
    }

    #[test]
    fn the_list_tells_ids_load_and_place() {
        let (buy, sell) = (load_test("tests::buy"), load_test("tests::sell"));
        let text = show(&[&buy, &sell], Format::Text).expect("lists");
        assert_eq!(
            text,
            "shop lib\n  shop/lib/tests::buy\n      \
             shared-iterations: 3 iterations shared by 3 VUs (at most 10m)\n      src/lib.rs:7\n  \
             shop/lib/tests::sell\n      \
             shared-iterations: 3 iterations shared by 3 VUs (at most 10m)\n      src/lib.rs:7\n"
        );
    }

    #[test]
    fn the_document_holds_no_environment_values() {
        let text = show(&[&load_test("tests::buy")], Format::Json).expect("lists");
        let document: serde_json::Value = serde_json::from_str(&text).expect("parses");
        assert_eq!(document["tests"][0]["id"], "shop/lib/tests::buy");
        assert_eq!(document["tests"][0]["scenarios"][0]["options"]["env"]["TOKEN"], "");
    }
}
