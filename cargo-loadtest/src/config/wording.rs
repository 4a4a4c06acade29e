//! What is wrong with a load, or was replaced in it, in the words of the place where it was said: options of the
//! command line, variables, or keys.
//!
//! The main functions are [`unclear`] and [`replaced`]. Nothing here decides what a load is.

use loadtest_core::Error;
use loadtest_core::options::{ExecutorKind, Options, Unclear, Workload, option};

use super::environment;
use super::tiers::Origin;
use crate::cli::long_option;

/// Stages that a hint writes out at most.
const MOST_STAGES: usize = 6;

/// Says why options describe no load, and what to type at `place`.
pub(super) fn unclear(why: &Unclear, options: &Options, place: &Origin) -> Error {
    let hint = match why {
        Unclear::NoExecutor { key } => {
            let kinds: Vec<_> = Unclear::owners(key).collect();
            let example = kinds.first().map(|kind| complete(*kind, &[options], place)).unwrap_or_default();
            let others: Vec<_> = kinds.iter().skip(1).map(|kind| format!("`{kind}`")).collect();
            let others =
                if others.is_empty() { others.concat() } else { format!("; or {}", others.join(", ")) };
            format!("name one that takes it, with all that it needs: `{example}`{others}")
        }
        Unclear::Foreign { key, kind, .. } => {
            let set = options.execution_keys();
            let takes_all = |owner: &ExecutorKind| {
                set.iter().all(|key| *key == "executor" || owner.spec().keys.contains(key))
            };
            let belongs = match Unclear::owners(key).find(takes_all) {
                Some(owner) => format!("for `{owner}`, name it: `{}`", complete(owner, &[options], place)),
                None => {
                    let owners: Vec<_> = Unclear::owners(key).map(|owner| format!("`{owner}`")).collect();
                    format!("`{}` belongs to {}", spelled(key, place), owners.join(", "))
                }
            };
            let keys = kind.spec().keys.iter();
            let keys: Vec<_> = keys.map(|key| format!("`{}`", spelled(key, place))).collect();
            format!("{belongs}; `{kind}` takes {}", keys.join(", "))
        }
        Unclear::Lacks { missing, .. } => {
            let pairs: Vec<_> = missing.iter().map(|key| (*key, example(key))).collect();
            format!("for example `{}`", written(&pairs, place))
        }
    };
    Error::new(why.message()).hint(hint)
}

/// Says that a place made another load of that of an attribute, and how to keep that one. `by` are the options
/// of the load that the place has, `now` all options together, and `workload` what they mean.
pub(super) fn replaced(
    attribute: &Options,
    by: &[(&'static str, Origin)],
    now: &Options,
    workload: &Workload,
) -> Option<String> {
    let old = attribute.executor().ok()?;
    // A test that says nothing of its load is there to be told it.
    if old == workload.shape.kind() || attribute.execution_keys().is_empty() {
        return None;
    }
    let (_, place) = by.first()?;
    let names: Vec<String> = by.iter().map(|(key, _)| spelled(key, place)).collect();
    let subject = match place {
        Origin::CommandLine(_) | Origin::Variable(_) => names.join(" and "),
        _ => format!("`{}` in {place}", names.join("` and `")),
    };
    let verb = if names.len() == 1 { "replaces" } else { "replace" };
    let note = format!("{subject} {verb} {old} by {}", workload.describe());
    if by.iter().any(|(key, _)| *key == "executor") {
        return Some(note);
    }
    let keys = old.spec().keys;
    let foreign: Vec<_> = by
        .iter()
        .map(|(key, _)| *key)
        .filter(|key| !keys.contains(key))
        .map(|key| spelled(key, place))
        .collect();
    let all = format!("`{}`", complete(old, &[now, attribute], place));
    let hint = match foreign.is_empty() {
        true => format!("name it: {all}"),
        false => {
            let shaped = keys.contains(&"stages") || by.iter().any(|(key, _)| keys.contains(key));
            let or = if shaped { format!(", or say all of it there: {all}") } else { String::new() };
            format!("leave `{}` out{or}", foreign.join("` and `"))
        }
    };
    Some(format!("{note}\nhint: to keep {old}, {hint}"))
}

/// All that describes the load of an executor: what is set in the first of `options` that has it, and examples of
/// what it can't do without.
fn complete(kind: ExecutorKind, options: &[&Options], place: &Origin) -> String {
    let spec = kind.spec();
    let mut pairs: Vec<(&'static str, String)> = Vec::new();
    let mut alone = Options::default();
    for key in spec.keys {
        let shown = |options: &&Options| (option(key)?.show)(options)?.into_iter().next();
        let set = options.iter().find_map(shown);
        let Some(value) = set.or_else(|| spec.required.contains(key).then(|| example(key))) else { continue };
        // What was shown is read again.
        let _ = alone.set(key, &value);
        pairs.push((key, value));
    }
    if alone.executor() != Ok(kind) {
        pairs.insert(0, ("executor", kind.to_string()));
    }
    written(&pairs, place)
}

fn example(key: &str) -> String {
    match key {
        "stages" => "1m30s:100, 10s:0".to_owned(),
        _ => option(key).map_or("", |option| option.example).trim_matches('"').to_owned(),
    }
}

/// What an option is called at a place.
fn spelled(key: &str, place: &Origin) -> String {
    let name = |name: fn(&'static loadtest_core::options::OptionSpec) -> String| {
        option(key).map_or_else(|| key.to_owned(), name)
    };
    match place {
        Origin::CommandLine(_) => name(long_option),
        Origin::Variable(_) => name(environment::variable),
        Origin::Default | Origin::Ci | Origin::Attribute | Origin::File(_) => key.to_owned(),
    }
}

/// Options with their values as a place has them.
fn written(pairs: &[(&str, String)], place: &Origin) -> String {
    let one = |(key, value): &(&str, String)| {
        let name = spelled(key, place);
        let many = *key == "stages" && value.split(',').count() > MOST_STAGES;
        let value = if many { "D:N" } else { value.as_str() };
        match place {
            Origin::CommandLine(_) if *key == "stages" => {
                let stages = value.split(',').map(|stage| format!("{name} {}", stage.trim()));
                stages.collect::<Vec<_>>().join(" ")
            }
            Origin::CommandLine(_) => format!("{name} {value}"),
            Origin::Variable(_) if value.contains(' ') => format!("{name}='{value}'"),
            Origin::Variable(_) => format!("{name}={value}"),
            _ if value.bytes().all(|byte| byte.is_ascii_digit()) => format!("{name} = {value}"),
            _ => format!("{name} = \"{value}\""),
        }
    };
    let separator = if matches!(place, Origin::CommandLine(_) | Origin::Variable(_)) { " " } else { ", " };
    pairs.iter().map(one).collect::<Vec<_>>().join(separator)
}
