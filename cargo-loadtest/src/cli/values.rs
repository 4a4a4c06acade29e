//! Readers for single values of the command line, on top of core's parser.

use std::str::FromStr;
use std::time::Duration;

use loadtest_core::Error;
use loadtest_core::metric::Builtin;
use loadtest_core::options::Stage;
use loadtest_core::threshold::Threshold;
use loadtest_core::units::format_count;

/// More virtual users than one process can hold: a slip of the finger must not exhaust the memory.
const MAX_VUS: u32 = 1_000_000;

/// A value for `vu.env(..)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvValue {
    /// By which the test asks.
    pub key: String,
    /// What it gets.
    pub value: String,
}

impl FromStr for EnvValue {
    type Err = Error;

    /// Reads `KEY=VALUE`, or takes the value of `KEY` from the environment.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, value.to_owned()),
            None => (text, from_environment(text)?),
        };
        if key.is_empty() {
            return Err(Error::new("the key is empty").hint("write KEY=VALUE"));
        }
        Ok(EnvValue { key: key.to_owned(), value })
    }
}

fn from_environment(key: &str) -> Result<String, Error> {
    std::env::var(key).map_err(|why| {
        let what = match why {
            std::env::VarError::NotPresent => "is not in the environment",
            std::env::VarError::NotUnicode(_) => "is in the environment with a value that is not UTF-8",
        };
        Error::new(format!("`{key}` {what}")).hint(format!("give it a value: -e {key}=VALUE"))
    })
}

pub(super) fn duration(text: &str) -> Result<Duration, Error> {
    match loadtest_core::units::parse_duration(text)? {
        Duration::ZERO => Err(Error::new("no time at all").hint("give it a time, for example `30s`")),
        duration => Ok(duration),
    }
}

pub(super) fn vus(text: &str) -> Result<u32, Error> {
    let number = positive_u64(text)?;
    bounded(number).map(|()| number as u32)
}

/// A stage whose target is a number of virtual users.
pub(super) fn stage(text: &str) -> Result<Stage, Error> {
    let stage: Stage = text.parse()?;
    bounded(stage.target).map(|()| stage)
}

fn bounded(vus: u64) -> Result<(), Error> {
    match vus <= MAX_VUS.into() {
        true => Ok(()),
        false => Err(Error::new(format!("{vus} virtual users are too many for one process"))
            .hint(format!("at most {} are possible", format_count(MAX_VUS.into())))),
    }
}

/// A threshold; one on a built-in metric must fit it. Other metrics are the test's own and are known when it
/// runs.
pub(super) fn threshold(text: &str) -> Result<Threshold, Error> {
    let threshold: Threshold = text.parse()?;
    let builtin = Builtin::ALL.iter().find(|metric| metric.name() == threshold.metric);
    builtin.map_or(Ok(()), |metric| threshold.check_kind(&metric.def()))?;
    Ok(threshold)
}

pub(super) fn positive_u64(text: &str) -> Result<u64, Error> {
    match text.parse() {
        Ok(0) => Err(Error::new("counts from 1")),
        Ok(number) => Ok(number),
        Err(_) => Err(Error::new(format!("`{text}` is not a whole number")).hint("write for example `10`")),
    }
}

pub(super) fn tag(text: &str) -> Result<(String, String), Error> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Error::new("not a tag").hint("write NAME=VALUE, for example `--tag region=eu`")),
    }
}

/// A column of trends, in its usual spelling. The commas are cut already.
pub(super) fn trend_stat(text: &str) -> Result<String, Error> {
    crate::report::text::check_trend_stats(text).map(|stats| stats.concat())
}

/// A name that the store takes, so that a wrong one is told before the tests run and not after.
pub(crate) fn baseline_name(text: &str) -> Result<String, Error> {
    let known = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'));
    let parts = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if known && parts && text.len() <= 80 {
        return Ok(text.to_owned());
    }
    Err(Error::new("not a name for a baseline")
        .hint("use up to 80 letters, digits, `-`, `_`, `.` and `/`, for example `main` or `feature/seats`"))
}
