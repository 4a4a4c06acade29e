//! The published schema of [`Comparison`](crate::compare::Comparison), `docs/comparison.schema.json`, kept in step
//! with the types, and samples checked against it.
//!
//! With `BLESS=1` in the environment the test writes the file.

use std::path::Path;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::sample;
use crate::compare::Comparison;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/comparison.schema.json");

fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Comparison>()
        .to_value();
    schema["title"] = json!("Comparison of cargo-loadtest, version 2");
    schema["properties"]["schema_version"]["const"] = json!(crate::compare::SCHEMA_VERSION);
    schema
}

#[test]
fn the_published_schema_is_that_of_the_types() {
    let text = format!("{}\n", serde_json::to_string_pretty(&schema()).expect("JSON"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(Path::new(FILE).parent().expect("a directory")).expect("can be made");
        std::fs::write(FILE, &text).expect("can be written");
    }
    let published = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        published == text,
        "docs/comparison.schema.json is out of date; BLESS=1 with this test writes it"
    );
}

#[test]
fn documents_are_valid_and_broken_ones_are_not() {
    let schema = schema();
    for comparison in [sample::duet().2, sample::concert().2, sample::hostile().2] {
        let document = serde_json::to_value(&comparison).expect("JSON");
        assert_eq!(faults(&schema, &document), [""; 0]);
        for (pointer, wrong) in [
            ("/verdict", json!("slower")),
            ("/schema_version", json!(1)),
            ("/tests/0/metrics/0/interval", json!([1.0])),
            ("/tests/0/metrics/0/p", json!("small")),
            ("/rule/alpha", Value::Null),
            ("/tests/0/line", json!(-1)),
        ] {
            let mut broken = document.clone();
            *broken.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is not there")) = wrong;
            let faults = faults(&schema, &broken);
            assert!(faults.iter().any(|fault| fault.starts_with(pointer)), "{pointer}: {faults:?}");
        }
        let mut broken = document;
        broken.as_object_mut().expect("an object").remove("mode");
        assert_eq!(faults(&schema, &broken), [": mode is missing"]);
    }
}

/// What is wrong with a document, by the rules that the schema uses. A rule that is not known here is a fault too, so
/// that nothing passes for want of a check.
fn faults(root: &Value, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(root, root, document, "", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(rules) = schema.as_object() else {
        assert_eq!(schema, &json!(true), "a schema is an object, or all is allowed");
        return;
    };
    for (rule, wanted) in rules {
        let mut fault = |text: String| found.push(format!("{at}: {text}"));
        match rule.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "default" => {}
            "$ref" => {
                let pointer = wanted.as_str().and_then(|text| text.strip_prefix('#')).expect("a local one");
                check(root, root.pointer(pointer).expect("defined"), value, at, found);
            }
            "type" => {
                let names: Vec<&str> = match wanted {
                    Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
                    one => one.as_str().into_iter().collect(),
                };
                if !names.iter().any(|name| is_of(value, name)) {
                    fault(format!("is no {}", names.join(" or ")));
                }
            }
            "const" if value != wanted => fault(format!("is not {wanted}")),
            "enum" if !wanted.as_array().is_some_and(|known| known.contains(value)) => {
                fault(format!("is none of {wanted}"));
            }
            "const" | "enum" => {}
            "minimum" if value.as_f64() < wanted.as_f64() => fault(format!("is below {wanted}")),
            "minItems"
                if value.as_array().is_some_and(|all| (all.len() as u64) < wanted.as_u64().unwrap_or(0)) =>
            {
                fault("has too few items".to_owned());
            }
            "maxItems"
                if value.as_array().is_some_and(|all| all.len() as u64 > wanted.as_u64().unwrap_or(0)) =>
            {
                fault("has too many items".to_owned());
            }
            "minimum" | "minItems" | "maxItems" => {}
            "required" => {
                for name in wanted.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if value.as_object().is_some_and(|object| !object.contains_key(name)) {
                        found.push(format!("{at}: {name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in wanted.as_object().into_iter().flatten() {
                    if let Some(value) = value.get(name) {
                        check(root, schema, value, &format!("{at}/{name}"), found);
                    }
                }
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, wanted, value, &format!("{at}/{index}"), found);
                }
            }
            "prefixItems" => {
                for (index, schema) in wanted.as_array().into_iter().flatten().enumerate() {
                    if let Some(value) = value.get(index) {
                        check(root, schema, value, &format!("{at}/{index}"), found);
                    }
                }
            }
            "oneOf" | "anyOf" => {
                let fits = |schema: &&Value| {
                    let mut faults = Vec::new();
                    check(root, schema, value, at, &mut faults);
                    faults.is_empty()
                };
                let fitting = wanted.as_array().into_iter().flatten().filter(fits).count();
                if fitting == 0 || (rule == "oneOf" && fitting > 1) {
                    fault(format!("fits {fitting} of {rule}"));
                }
            }
            unknown => fault(format!("the rule {unknown} is not known")),
        }
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
