//! The table of options: what each is called, how it is read from text and shown, and how it is laid over
//! another place's value.
//!
//! Attribute, `loadtest.toml`, `LOADTEST_*`, command line, `show-config` and the documentation go through this
//! table, so an option is a field of [`Options`] and a row here.

use std::time::Duration;

use super::{Options, parse_stages};
use crate::units::{format_duration, parse_duration};
use crate::{Error, suggest};

/// One option.
#[derive(Debug)]
pub struct OptionSpec {
    /// Its name in attributes and configuration; in upper case behind `LOADTEST_` that of the variable, with
    /// `-` for `_` that of the command line's option.
    pub name: &'static str,
    /// What it is for, in one sentence without a full stop.
    pub about: &'static str,
    /// A value as an attribute has it.
    pub example: &'static str,
    /// Whether it describes the load itself, so that the tier rule of [`Options::overwrite`] is about it.
    pub execution: bool,
    /// Whether an execution option, where the executor in force takes it, changes only its own value.
    pub adjusts: bool,
    /// Whether it means a shape of its own where the executor in force does not take it.
    pub shapes: bool,
    /// Whether setting it again adds to what is there: thresholds, tags and values.
    pub adds: bool,
    /// Reads it from text: one threshold, one `key=value`.
    pub set: fn(&mut Options, &str) -> Result<(), Error>,
    /// Its value as text that [`OptionSpec::set`] reads again, an element for each that was added; `None` if
    /// it is not set here.
    pub show: fn(&Options) -> Option<Vec<String>>,
    /// Takes it out.
    pub(super) clear: fn(&mut Options),
    /// Lays a higher place's value over this one.
    pub(super) take: fn(&mut Options, &Options),
}

/// The row of an option.
pub fn option(name: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|option| option.name == name)
}

impl Options {
    /// Sets an option by its name.
    ///
    /// # Errors
    /// If there is none of that name, with the one that was probably meant, or the text is not a value of it.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let Some(option) = option(name) else {
            return Err(Error::new(format!("unknown key `{name}`"))
                .hint(suggest::hint(name, OPTIONS.iter().map(|option| option.name))));
        };
        (option.set)(self, text).map_err(|error| error.context(format_args!("`{name}`")))
    }
}

/// A row of one value: `row!(field, kind, flags, about, example)`.
macro_rules! row {
    ($field:ident: $read:expr, $show:expr, $role:ident, $about:literal, $example:literal) => {
        OptionSpec {
            name: stringify!($field),
            about: $about,
            example: $example,
            execution: !matches!(Role::$role, Role::Other),
            adjusts: matches!(Role::$role, Role::Adjusts | Role::Both),
            shapes: matches!(Role::$role, Role::Shapes | Role::Both),
            adds: false,
            set: |options, text| {
                options.$field = Some($read(text)?);
                Ok(())
            },
            show: |options| options.$field.as_ref().map(|value| vec![$show(value)]),
            clear: |options| options.$field = None,
            take: |options, higher| {
                if higher.$field.is_some() {
                    options.$field.clone_from(&higher.$field);
                }
            },
        }
    };
}

/// A row of values by name, to which a higher place adds.
macro_rules! pairs {
    ($field:ident: $about:literal, $example:literal) => {
        OptionSpec {
            name: stringify!($field),
            about: $about,
            example: $example,
            execution: false,
            adjusts: false,
            shapes: false,
            adds: true,
            set: |options, text| {
                let (key, value) = pair(text)?;
                options.$field.insert(key, value);
                Ok(())
            },
            show: |options| shown(options.$field.iter().map(|(key, value)| format!("{key}={value}"))),
            clear: |options| options.$field.clear(),
            take: |options, higher| options.$field.extend(higher.$field.clone()),
        }
    };
}

/// What an option says about the load.
enum Role {
    /// It decides what the load is.
    Shapes,
    /// It changes a number of a load that is there.
    Adjusts,
    /// The one or the other, by whether the executor in force takes it.
    Both,
    /// It is not about how much load there is when.
    Other,
}

/// Every option.
pub const OPTIONS: &[OptionSpec] = &[
    row!(executor: str::parse, to_text, Shapes, "how load is shaped; inferred from the other keys if left out", "\"ramping-vus\""),
    row!(vus: count32, to_text, Adjusts, "virtual users", "10"),
    row!(iterations: count, to_text, Shapes, "iterations: in all, or of each virtual user with `per-vu-iterations`", "1000"),
    row!(max_duration: parse_duration, time, Adjusts, "how long the iteration executors may take", "\"10m\""),
    row!(duration: parse_duration, time, Both, "how long it runs", "\"30s\""),
    row!(start_vus: count32, to_text, Shapes, "virtual users at the start of the first stage", "1"),
    row!(stages: parse_stages, |stages: &Vec<super::Stage>| {
        stages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }, Shapes, "ramps, each a duration and a target: virtual users, or starts per `time_unit`", "[(\"1m30s\", 100), (\"10s\", 0)]"),
    row!(graceful_ramp_down: parse_duration, time, Adjusts, "how long a virtual user that is ramped down may go on", "\"30s\""),
    row!(rate: count, to_text, Both, "iteration starts per `time_unit`", "100"),
    row!(start_rate: count, to_text, Both, "iteration starts per `time_unit` at the beginning", "50"),
    row!(max_rate: count, to_text, Both, "the highest rate that is tried", "1000"),
    row!(time_unit: parse_duration, time, Adjusts, "what rates are counted in", "\"1s\""),
    row!(pre_allocated_vus: count32, to_text, Adjusts, "virtual users that exist before the first start", "50"),
    row!(max_vus: count32, to_text, Adjusts, "virtual users at most; those above `pre_allocated_vus` are made when they are missed", "200"),
    row!(search: str::parse, to_text, Adjusts, "how the next rate is chosen: `binary` or `step`", "\"binary\""),
    row!(step: count, to_text, Adjusts, "the distance of rates: of neighbours with `step`, of the final interval with `binary`", "10"),
    row!(probe_duration: parse_duration, time, Adjusts, "how long each rate is held", "\"10s\""),
    row!(start_time: parse_duration, time, Other, "when the scenario starts, from the start of the test", "\"10s\""),
    row!(graceful_stop: parse_duration, time, Other, "how long iterations in flight may go on at the end", "\"30s\""),
    row!(min_iteration_duration: parse_duration, time, Other, "how long an iteration takes at least; the padding is not measured", "\"1s\""),
    row!(warm_up: parse_duration, time, Other, "how much of the start comparisons leave out", "\"5s\""),
    row!(rps: count32, to_text, Other, "HTTP requests of the whole test per second at most", "100"),
    row!(reset: command, to_text, Other, "a shell command, run before each run of the test", "\"make reset-database\""),
    row!(preflight: target, to_text, Other, "what must answer with a 2xx before any load: a URL, or a path of the service that `setup` starts", "\"/health\""),
    OptionSpec {
        name: "thresholds",
        about: "limits that the results must keep",
        example: "[\"http_req_failed: rate<0.01\"]",
        execution: false,
        adjusts: false,
        shapes: false,
        adds: true,
        set: |options, text| {
            options.thresholds.push(text.parse()?);
            Ok(())
        },
        show: |options| shown(options.thresholds.iter().map(ToString::to_string)),
        clear: |options| options.thresholds.clear(),
        take: |options, higher| {
            for threshold in &higher.thresholds {
                // The same limit in two places is one limit.
                if !options.thresholds.contains(threshold) {
                    options.thresholds.push(threshold.clone());
                }
            }
        },
    },
    pairs!(tags: "tags of every sample", "[(\"team\", \"sales\")]"),
    pairs!(env: "values for `vu.env(..)`; `-e` goes before them", "[(\"REGION\", \"eu\")]"),
];

fn shown(values: impl Iterator<Item = String>) -> Option<Vec<String>> {
    Some(values.collect::<Vec<_>>()).filter(|values| !values.is_empty())
}

fn to_text(value: &impl ToString) -> String {
    value.to_string()
}

fn time(value: &Duration) -> String {
    format_duration(*value)
}

fn count(text: &str) -> Result<u64, Error> {
    let text = text.trim();
    text.parse().map_err(|_| {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Error::new(format!("{text} is too large")).hint(format!("the most is {}", u64::MAX))
        } else {
            Error::new(format!("`{text}` is not a whole number")).hint("write for example `10`")
        }
    })
}

fn count32(text: &str) -> Result<u32, Error> {
    let count = count(text)?;
    u32::try_from(count)
        .map_err(|_| Error::new(format!("{count} is too large")).hint(format!("the most is {}", u32::MAX)))
}

fn command(text: &str) -> Result<String, Error> {
    if text.trim().is_empty() {
        return Err(Error::new("the command is empty").hint("write for example `make reset-database`"));
    }
    Ok(text.trim().to_owned())
}

/// The value of `preflight`.
fn target(text: &str) -> Result<String, Error> {
    let text = text.trim();
    let absolute = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    if absolute.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) || text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err(Error::new(format!("`{text}` is neither a URL nor a path"))
        .hint("write `http://127.0.0.1:8080/health`, or `/health` for the service that `setup` starts"))
}

fn pair(text: &str) -> Result<(String, String), Error> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(Error::new(format!("`{text}` is not of the form `key=value`"))
            .hint("write for example `team=sales`")),
    }
}
