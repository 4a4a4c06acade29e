//! The table of options: what each is called, how it is read from text and shown, and how it is laid over
//! another place's value.
//!
//! Attribute, `loadtest.toml`, `LOADTEST_*`, command line, `show-config` and the documentation go through this
//! table, so an option is a field of [`Options`] and a row here.

use std::time::Duration;

use super::compare::{CompareSettings, gates, lasting, share, shown_share, significance};
use super::http::{HostPattern, HttpSettings};
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
    /// Whether it is several values with commas between them in one text, which a higher place replaces as a whole.
    pub list: bool,
    /// What it means on the command line without a value: `true` of what is true or false.
    pub bare: Option<&'static str>,
    /// What it is about, and so whether the scenarios of a test agree on it.
    pub scope: Scope,
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

/// What an option is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The load of one scenario, and how it is judged.
    Load,
    /// HTTP requests: the same in all scenarios of a test.
    Http,
    /// Comparisons with a baseline: the same in all scenarios of a test.
    Compare,
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

impl HttpSettings {
    /// What the options of scenarios, each with its name, say together: HTTP settings are for the whole test. A
    /// scenario that says nothing of one agrees.
    ///
    /// # Errors
    /// Names the two that contradict each other, and the setting.
    pub fn agreed<'a>(scenarios: &[(&'a str, &'a Options)]) -> Result<HttpSettings, Error> {
        agreed(Scope::Http, scenarios).map(|options| options.http)
    }
}

impl CompareSettings {
    /// What the options of scenarios, each with its name, say together: a test is compared as a whole. A scenario
    /// that says nothing of a setting agrees.
    ///
    /// # Errors
    /// Names the two that contradict each other, and the setting.
    pub fn agreed<'a>(scenarios: &[(&'a str, &'a Options)]) -> Result<CompareSettings, Error> {
        agreed(Scope::Compare, scenarios).map(|options| options.compare)
    }
}

/// The options of one scope, as all scenarios of a test have them.
fn agreed(scope: Scope, scenarios: &[(&str, &Options)]) -> Result<Options, Error> {
    let mut agreed = Options::default();
    for option in OPTIONS.iter().filter(|option| option.scope == scope) {
        let mut said = scenarios
            .iter()
            .filter_map(|(name, options)| Some((*name, *options, (option.show)(options)?.join(", "))));
        let Some((first, options, value)) = said.next() else { continue };
        (option.take)(&mut agreed, options);
        if let Some((other, _, instead)) = said.find(|(_, _, instead)| *instead != value) {
            return Err(Error::new(format!(
                "`{}` is for the whole test, but the scenario `{first}` says {value} and `{other}` says {instead}",
                option.name
            ))
            .hint("say it in one of them, or the same in both"));
        }
    }
    Ok(agreed)
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
            list: false,
            bare: None,
            scope: Scope::Load,
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
            list: false,
            bare: None,
            scope: Scope::Load,
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

/// A row about the whole test, of one part of [`Options`]: one value, perhaps with how it is shown or what it is on
/// the command line without one, or a list that a higher place replaces.
macro_rules! part {
    ($part:ident.$field:ident: $read:expr, $about:literal, $example:literal) => {
        part!($part.$field: $read, to_text, bare None, $about, $example)
    };
    ($part:ident.$field:ident: $read:expr, bare $bare:expr, $about:literal, $example:literal) => {
        part!($part.$field: $read, to_text, bare $bare, $about, $example)
    };
    ($part:ident.$field:ident: $read:expr, shown $show:expr, $about:literal, $example:literal) => {
        part!($part.$field: $read, $show, bare None, $about, $example)
    };
    ($part:ident.$field:ident: $read:expr, $show:expr, bare $bare:expr, $about:literal, $example:literal) => {
        OptionSpec {
            bare: $bare,
            set: |options, text| {
                options.$part.$field = Some($read(text)?);
                Ok(())
            },
            show: |options| options.$part.$field.as_ref().map(|value| vec![$show(value)]),
            clear: |options| options.$part.$field = None,
            take: |options, higher| {
                if higher.$part.$field.is_some() {
                    options.$part.$field.clone_from(&higher.$part.$field);
                }
            },
            ..part_row(scope!($part), stringify!($field), $about, $example)
        }
    };
    ($part:ident.$field:ident: values of $read:expr, $about:literal, $example:literal) => {
        OptionSpec {
            list: true,
            set: |options, text| {
                options.$part.$field = $read(text)?;
                Ok(())
            },
            show: |options| {
                let texts: Vec<String> = options.$part.$field.iter().map(to_text).collect();
                Some(vec![texts.join(",")]).filter(|_| !texts.is_empty())
            },
            clear: |options| options.$part.$field.clear(),
            take: |options, higher| {
                if !higher.$part.$field.is_empty() {
                    options.$part.$field.clone_from(&higher.$part.$field);
                }
            },
            ..part_row(scope!($part), stringify!($field), $about, $example)
        }
    };
    ($part:ident.$field:ident: list of $read:expr, $about:literal, $example:literal) => {
        part!($part.$field: values of |text| list(text, $read), $about, $example)
    };
}

/// The scope of a part of [`Options`].
macro_rules! scope {
    (http) => {
        Scope::Http
    };
    (compare) => {
        Scope::Compare
    };
}

/// What rows of a part have in common; what they do is the row's own.
const fn part_row(
    scope: Scope,
    name: &'static str,
    about: &'static str,
    example: &'static str,
) -> OptionSpec {
    OptionSpec {
        name,
        about,
        example,
        execution: false,
        adjusts: false,
        shapes: false,
        adds: false,
        list: false,
        bare: None,
        scope,
        set: |_, _| Ok(()),
        show: |_| None,
        clear: |_| (),
        take: |_, _| (),
    }
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
        list: false,
        bare: None,
        scope: Scope::Load,
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
    part!(http.user_agent: user_agent, "the `User-Agent` of requests that have none of their own", "\"shop-tests/1.0\""),
    part!(http.max_redirects: count32, "how many redirects are followed", "10"),
    part!(http.discard_response_bodies: switch, bare TRUE, "whether bodies are read and thrown away", "true"),
    part!(http.insecure_skip_tls_verify: switch, bare TRUE, "whether any certificate of a server will do", "true"),
    part!(http.no_connection_reuse: switch, bare TRUE, "whether each request has a connection of its own", "true"),
    part!(http.no_vu_connection_reuse: switch, bare TRUE, "whether virtual users close their connections after each iteration", "true"),
    part!(http.http_version: str::parse, "which HTTP is spoken: `auto`, `1.1` or `2`", "\"1.1\""),
    part!(http.tls_version: str::parse, "which TLS is spoken: `1.2`, `1.3` or `1.2-1.3`", "\"1.3\""),
    OptionSpec {
        adds: true,
        set: |options, text| {
            let certificate = text.parse()?;
            if !options.http.tls_auth.contains(&certificate) {
                options.http.tls_auth.push(certificate);
            }
            Ok(())
        },
        show: |options| shown(options.http.tls_auth.iter().map(to_text)),
        clear: |options| options.http.tls_auth.clear(),
        // The first that is for a host is used, so those of the higher place go before.
        take: |options, higher| {
            let below = std::mem::take(&mut options.http.tls_auth);
            options.http.tls_auth.clone_from(&higher.http.tls_auth);
            let new = below.into_iter().filter(|certificate| !higher.http.tls_auth.contains(certificate));
            options.http.tls_auth.extend(new);
        },
        ..part_row(
            Scope::Http,
            "tls_auth",
            "client certificates, CERTIFICATE:KEY in PEM files, then perhaps ` for ` and the hosts they are for",
            "[\"client.pem:client.key for *.example.org\"]",
        )
    },
    OptionSpec {
        adds: true,
        set: |options, text| {
            let (name, address) = pair(text).map_err(|error| {
                Error::new(error.message()).hint("write for example `example.org=127.0.0.1:8080`")
            })?;
            let name: HostPattern = name.parse()?;
            options.http.hosts.insert(name.to_string(), address.parse()?);
            Ok(())
        },
        show: |options| shown(options.http.hosts.iter().map(|(name, address)| format!("{name}={address}"))),
        clear: |options| options.http.hosts.clear(),
        take: |options, higher| options.http.hosts.extend(higher.http.hosts.clone()),
        ..part_row(
            Scope::Http,
            "hosts",
            "where names lead, before any resolver is asked; `*.example.org` is each name below it",
            "[(\"example.org\", \"127.0.0.1:8080\")]",
        )
    },
    part!(http.dns: str::parse, "how names are resolved: `ttl`, `select` (`first`, `random`, `roundRobin`) and `policy` (`preferIPv4`, `preferIPv6`, `onlyIPv4`, `onlyIPv6`, `any`)", "\"ttl=5m,select=random,policy=preferIPv4\""),
    part!(http.local_ips: list of str::parse, "the local addresses that connections go out from, in turn by virtual user", "[\"10.0.0.1-10.0.0.9\"]"),
    part!(http.block_ips: list of str::parse, "addresses that nothing is sent to", "[\"10.0.0.0/8\"]"),
    part!(http.block_hostnames: list of blocked_name, "names that nothing is sent to", "[\"*.example.org\"]"),
    part!(http.allow: list of str::parse, "what requests may go to, and nothing else: `loopback`, addresses, names, each perhaps with a port; `*` for anything", "[\"loopback\", \"staging.example.org:443\"]"),
    part!(http.batch: count32, "requests of one batch that are under way at once", "20"),
    part!(http.batch_per_host: count32, "requests of one batch that are under way at once to one host; 0 for no limit of its own", "6"),
    part!(http.cookies: str::parse, "how long cookies are kept: `iteration`, `vu`, `test` (one jar for all) or `off`", "\"vu\""),
    part!(http.http_debug: str::parse, bare Some("headers"), "what is shown of each request and response: `headers` or `full`", "\"headers\""),
    part!(compare.compare_duration: lasting, shown time, "how long the load of each run takes in a duet, in place of the test's own", "\"10s\""),
    part!(compare.runs: str::parse, "how many pairs of runs a duet makes, or how many runs a side has: `auto` or a number", "8"),
    part!(compare.min_effect: share, shown shown_share, "the smallest change that matters", "\"5%\""),
    part!(compare.equivalence: share, shown shown_share, "how far a metric may have moved and still be called unchanged", "\"10%\""),
    part!(compare.alpha: significance, shown shown_share, "the share of false alarms that is accepted", "\"5%\""),
    part!(compare.gate: values of gates, "the metrics that decide: `errors`, `failed_iterations`, `p50`, `p95`, `p99`, `mean`, `endpoint_p95`, `throughput`, `dropped`", "[\"p95\", \"errors\"]"),
];

const TRUE: Option<&str> = Some("true");

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

fn switch(text: &str) -> Result<bool, Error> {
    match text.trim() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => {
            Err(Error::new(format!("`{other}` is neither `true` nor `false`")).hint("write one of the two"))
        }
    }
}

/// Values with commas between them, at least one.
pub(super) fn list<T>(text: &str, read: impl Fn(&str) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    if text.trim().is_empty() {
        return Err(Error::new("the list is empty").hint("leave it out, or write at least one value"));
    }
    text.split(',').map(|part| read(part.trim())).collect()
}

fn user_agent(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::new("the user agent is empty").hint("write for example `shop-tests/1.0`"));
    }
    match text.chars().find(|c| !matches!(c, ' '..='~')) {
        None => Ok(text.to_owned()),
        Some(bad) => Err(Error::new(format!("the user agent has {bad:?}, which no header can hold"))
            .hint("write visible ASCII characters")),
    }
}

/// The name of a host that is not an address: what a name leads to is for another list.
fn blocked_name(text: &str) -> Result<HostPattern, Error> {
    let name: HostPattern = text.parse()?;
    if name.is_address() {
        return Err(Error::new(format!("`{name}` is an address and not a name"))
            .hint(format!("write `block_ips = [\"{name}\"]`")));
    }
    Ok(name)
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
