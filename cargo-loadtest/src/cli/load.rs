//! Options that shape the load: the command line's tier over attribute, configuration and environment.
//!
//! The main type is [`LoadArgs`]. Its options are made of core's table of options, so that each has one here
//! and is read by the parser that the attribute uses; [`SPELLINGS`] says only what the table can't know.

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use loadtest_core::Error;
use loadtest_core::options::{EXECUTORS, ExecutorKind, OPTIONS, OptionSpec, Options};

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
    let heading = if option.name == "thresholds" { "Judging" } else { "Shaping the load" };
    let is_list = option.adds || option.name == "stages";
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
            let texts: Vec<String> = match option.name {
                "stages" => vec![texts.cloned().collect::<Vec<_>>().join(",")],
                _ => texts.cloned().collect(),
            };
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
