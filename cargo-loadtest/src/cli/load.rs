//! Options that shape the load: the command line's tier over attribute, configuration and environment.
//!
//! The main type is [`LoadArgs`]. Its options are made of core's table of options, so that each has one here
//! and is read by the parser that the attribute uses; [`SPELLINGS`] says only what the table can't know.

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use loadtest_core::Error;
use loadtest_core::options::{EXECUTORS, ExecutorKind, OPTIONS, OptionSpec, Options, Scope};

use super::values;
use crate::config;

/// The option that chooses a profile of `loadtest.toml`; `--profile` is cargo's.
const LOAD_PROFILE: &str = "load_profile";

/// What the load shall be, and be judged by.
#[derive(Debug, Clone, Default)]
pub struct LoadArgs {
    options: Options,
    profile: Option<String>,
}

impl LoadArgs {
    /// What the command line says over the places below.
    pub fn options(&self) -> Options {
        self.options.clone()
    }

    /// The profile of `loadtest.toml` that `--load-profile` names.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }
}

/// How the command line spells an option where that does not follow from its name.
struct Spelling {
    name: &'static str,
    long: Option<&'static str>,
    short: Option<char>,
    value: &'static str,
    help: Option<&'static str>,
    more: Option<&'static str>,
}

/// The value of what is true where nothing follows it.
const BOOL: &str = "true|false";

const PLAIN: Spelling = Spelling { name: "", long: None, short: None, value: "N", help: None, more: None };

/// Rows for options that need more than the table of core says.
const SPELLINGS: &[Spelling] = &[
    Spelling {
        name: "executor",
        value: "NAME",
        help: Some("How load is shaped; inferred from the other options if left out"),
        ..PLAIN
    },
    Spelling {
        name: "vus",
        short: Some('u'),
        help: Some("Number of virtual users"),
        more: Some(
            "Alone it changes only the number; for a test of stages use `--stage`. Together with \
             `--duration` or `--iterations` it describes a load of its own where the test's executor does not \
             take these.",
        ),
        ..PLAIN
    },
    Spelling {
        name: "iterations",
        short: Some('i'),
        help: Some("Iterations: in all, or of each virtual user with `--executor per-vu-iterations`"),
        ..PLAIN
    },
    Spelling {
        name: "duration",
        short: Some('d'),
        value: "D",
        help: Some("How long it runs: 30s, 1m30s, 500ms"),
        ..PLAIN
    },
    Spelling {
        name: "stages",
        long: Some("stage"),
        short: Some('s'),
        value: "D:N",
        help: Some(
            "Ramp the number of virtual users to N over D, once for each stage: `--stage 10s:50 --stage 1m:50`",
        ),
        more: Some("With `--executor ramping-arrival-rate`, N is a number of starts per `--time-unit`."),
    },
    Spelling { name: "search", value: "HOW", ..PLAIN },
    Spelling { name: "reset", value: "CMD", ..PLAIN },
    Spelling { name: "preflight", value: "URL", ..PLAIN },
    Spelling {
        name: "thresholds",
        long: Some("threshold"),
        value: "EXPR",
        help: Some("A limit besides those of the attribute: `http_req_duration: p(95)<500ms`"),
        more: Some(
            "`metric{tag:value}: aggregation op number[unit]`, then perhaps `abort` or `abort after 10s`.",
        ),
        ..PLAIN
    },
    Spelling { name: "user_agent", value: "TEXT", ..PLAIN },
    Spelling {
        name: "discard_response_bodies",
        value: BOOL,
        help: Some("Read bodies and throw them away"),
        ..PLAIN
    },
    Spelling {
        name: "insecure_skip_tls_verify",
        value: BOOL,
        help: Some("Take any certificate of a server"),
        ..PLAIN
    },
    Spelling {
        name: "no_connection_reuse",
        value: BOOL,
        help: Some("Give each request a connection of its own"),
        ..PLAIN
    },
    Spelling {
        name: "no_vu_connection_reuse",
        value: BOOL,
        help: Some("Close the connections of a virtual user after each iteration"),
        ..PLAIN
    },
    Spelling { name: "http_version", value: "auto|1.1|2", help: Some("Which HTTP is spoken"), ..PLAIN },
    Spelling { name: "tls_version", value: "RANGE", ..PLAIN },
    Spelling {
        name: "tls_auth",
        value: "CERT:KEY",
        help: Some("A client certificate with its key, PEM files: `client.pem:client.key`"),
        more: Some(
            "`client.pem:client.key for example.org,*.example.net` is for these hosts alone; the first that is \
             for a host is used. Relative paths begin at the package of the test.",
        ),
        ..PLAIN
    },
    Spelling {
        name: "hosts",
        value: "NAME=ADDR",
        help: Some("Where a name leads: `example.org=127.0.0.1:8080`, `*.example.org=10.0.0.7`"),
        ..PLAIN
    },
    Spelling {
        name: "dns",
        value: "K=V,..",
        help: Some("How names are resolved: `ttl=5m,select=random,policy=preferIPv4`"),
        more: Some(
            "`ttl` is a duration, `inf`, or 0 for a look-up before each connection; `select` one of `first`, \
             `random` and `roundRobin`; `policy` one of `preferIPv4`, `preferIPv6`, `onlyIPv4`, `onlyIPv6` and \
             `any`. What is left out has the default above.",
        ),
        ..PLAIN
    },
    Spelling {
        name: "local_ips",
        value: "RANGES",
        help: Some("Local addresses of connections, in turn by virtual user: `10.0.0.1-10.0.0.9`"),
        ..PLAIN
    },
    Spelling {
        name: "block_ips",
        value: "RANGES",
        help: Some("Addresses that nothing is sent to: `10.0.0.0/8,192.168.0.1`"),
        ..PLAIN
    },
    Spelling {
        name: "block_hostnames",
        value: "NAMES",
        help: Some("Names that nothing is sent to: `*.example.org`"),
        ..PLAIN
    },
    Spelling {
        name: "allow",
        value: "TARGETS",
        help: Some("What requests may go to, and nothing else: `loopback,staging.example.org:443`"),
        more: Some(
            "`loopback`, addresses, networks (`10.0.0.0/8`) and names (`*.example.org`), each perhaps with a port; \
             `*` allows anything. In CI, which the variable CI tells, it is `loopback` unless some place says \
             otherwise.",
        ),
        ..PLAIN
    },
    Spelling {
        name: "cookies",
        value: "HOW",
        help: Some("How long cookies are kept: iteration, vu, test (one jar for all), off"),
        ..PLAIN
    },
    Spelling {
        name: "http_debug",
        value: "headers|full",
        help: Some("Show each request and response: `headers` if nothing follows, or `=full`"),
        ..PLAIN
    },
    Spelling {
        name: "compare_duration",
        value: "D",
        help: Some("How long the load of each run takes in a duet, in place of the test's own: 10s, 30s"),
        more: Some(
            "Stages keep their proportions. More and shorter runs tell more than fewer and longer ones.",
        ),
        ..PLAIN
    },
    Spelling {
        name: "runs",
        value: "auto|N",
        help: Some("How many pairs of runs a duet makes, or how many runs a side has"),
        more: Some("`auto` is as many as the number of metrics that decide needs."),
        ..PLAIN
    },
    Spelling {
        name: "min_effect",
        value: "PCT",
        help: Some("The smallest change that matters: `5%`"),
        more: Some("A smaller one is never called a regression, however certain it is."),
        ..PLAIN
    },
    Spelling {
        name: "equivalence",
        value: "PCT",
        help: Some("How far a metric may have moved and still be called unchanged: `10%`"),
        ..PLAIN
    },
    Spelling {
        name: "alpha",
        value: "PCT",
        help: Some("The share of false alarms that is accepted: `5%`"),
        more: Some("Over all tests and metrics of one comparison. A smaller one needs more runs."),
        ..PLAIN
    },
    Spelling {
        name: "gate",
        value: "METRIC,..",
        help: Some("The metrics that decide: `p95,errors`; the others are shown and decide nothing"),
        more: Some(
            "Of `errors`, `failed_iterations`, `p50`, `p95`, `p99`, `mean`, `endpoint_p95`, `throughput` and \
             `dropped`. Fewer need fewer runs for the same certainty.",
        ),
        ..PLAIN
    },
    Spelling { name: "tags", long: Some("tag"), value: "K=V", help: Some("A tag for every sample"), ..PLAIN },
    Spelling {
        name: "env",
        short: Some('e'),
        value: "KEY=VALUE",
        help: Some("A value for `vu.env(\"KEY\")`; `-e KEY` alone takes it from the environment"),
        more: Some("Values are never stored; how to repeat a run is told with the keys alone."),
        ..PLAIN
    },
];

/// The words that set an option to a value that was shown.
pub(crate) fn words(option: &OptionSpec, value: &str) -> Vec<String> {
    let long = long_option(option);
    match option.bare {
        // A value in a word of its own would be a filter.
        Some(bare) if bare == value => vec![long],
        Some(_) => vec![format!("{long}={value}")],
        None => vec![long, value.to_owned()],
    }
}

/// The command line's option, `--start-vus`.
pub(crate) fn long_option(option: &OptionSpec) -> String {
    format!("--{}", long(option))
}

fn spelling(option: &OptionSpec) -> &'static Spelling {
    SPELLINGS.iter().find(|spelling| spelling.name == option.name).unwrap_or(&PLAIN)
}

fn long(option: &OptionSpec) -> String {
    spelling(option).long.map_or_else(|| option.name.replace('_', "-"), str::to_owned)
}

fn arg(option: &'static OptionSpec) -> Arg {
    let spelling = spelling(option);
    let heading = match option.name {
        "thresholds" => "Judging",
        _ => match option.scope {
            Scope::Load => "Shaping the load",
            Scope::Http => "HTTP",
            Scope::Compare => "Comparing",
        },
    };
    let is_list = option.adds || option.list || option.name == "stages";
    // Examples are written as in an attribute: times are the quoted ones.
    let value = if spelling.value == "N" && option.example.starts_with('"') { "D" } else { spelling.value };
    let help = sentence(spelling.help.unwrap_or(option.about));
    let more = if option.name == "executor" { Some(executors()) } else { spelling.more.map(str::to_owned) };
    let mut arg = Arg::new(option.name)
        .long(long(option))
        .value_name(value)
        .value_parser(ValueParser::new(move |text: &str| values::option(option, text)))
        .action(if is_list { ArgAction::Append } else { ArgAction::Set })
        .help_heading(heading)
        .help(help.clone());
    if let Some(short) = spelling.short {
        arg = arg.short(short);
    }
    if let Some(bare) = option.bare {
        // With `=`, so that a filter behind the option is one.
        arg = arg.num_args(0..=1).require_equals(true).default_missing_value(bare);
    }
    if spelling.long.is_some() {
        arg = arg.alias(option.name);
    }
    match more {
        Some(more) => arg.long_help(format!("{help}.\n\n{more}")),
        None => arg,
    }
}

fn executors() -> String {
    let names: Vec<&str> = EXECUTORS.iter().map(|executor| executor.name).collect();
    format!(
        "One of {}. Give all that describes the load along with it: of what the places below the command line \
         say about that, only the number of virtual users still counts.",
        names.join(", ")
    )
}

/// Help begins with a capital letter, the table's texts with a small one.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

impl Args for LoadArgs {
    fn augment_args(command: Command) -> Command {
        let profile = Arg::new(LOAD_PROFILE)
            .long("load-profile")
            .value_name("NAME")
            .help("Profile of loadtest.toml, `[profile.NAME]`; LOADTEST_PROFILE by default")
            .help_heading("Shaping the load");
        command.args(OPTIONS.iter().map(arg)).arg(profile)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for LoadArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = Options::default();
        for option in OPTIONS {
            let Some(texts) = matches.get_many::<String>(option.name) else { continue };
            let texts: Vec<String> = texts.cloned().collect();
            let is_one = option.list || option.name == "stages";
            let texts = if is_one { vec![texts.join(",")] } else { texts };
            for text in texts {
                let read = (option.set)(&mut options, &text);
                read.map_err(|error| usage(ErrorKind::ValueValidation, &error))?;
            }
        }
        together(&options).map_err(|error| usage(ErrorKind::ArgumentConflict, &error))?;
        let stages_of_vus = !matches!(options.executor, Some(ExecutorKind::RampingArrivalRate));
        for stage in options.stages.iter().flatten().filter(|_| stages_of_vus) {
            let bounded = config::bounded_vus(stage.target);
            bounded.map_err(|error| usage(ErrorKind::ValueValidation, &error.context("--stage")))?;
        }
        Ok(LoadArgs { options, profile: matches.get_one::<String>(LOAD_PROFILE).cloned() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn usage(kind: ErrorKind, error: &Error) -> clap::Error {
    clap::Error::raw(kind, format!("{error}\n"))
}

/// Pairs that no executor takes together, whatever the places below say.
const NEVER_TOGETHER: &[(&str, &str)] =
    &[("duration", "iterations"), ("duration", "stages"), ("iterations", "stages"), ("vus", "stages")];

/// Whether the options of the command line contradict each other. Whether something is missing, only the
/// places below can tell, except where an executor is named: then nothing else describes the load.
fn together(options: &Options) -> Result<(), Error> {
    let set = options.execution_keys();
    let Some(kind) = options.executor else {
        let spelled = |name: &str| loadtest_core::options::option(name).map(long_option).unwrap_or_default();
        return match NEVER_TOGETHER.iter().find(|(a, b)| set.contains(a) && set.contains(b)) {
            Some((a, b)) => Err(Error::new(format!("`{}` cannot be used with `{}`", spelled(a), spelled(b)))
                .hint("each describes another load: leave one of them out")),
            None => Ok(()),
        };
    };
    let mut all = options.clone();
    // The number of virtual users may come from below.
    if kind.spec().keys.contains(&"vus") {
        all.vus.get_or_insert(1);
    }
    config::executor_on_the_line(&all, options)
}
