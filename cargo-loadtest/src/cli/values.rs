//! Readers for single values of the command line, on top of core's parser.

use loadtest_core::Error;
use loadtest_core::options::{OptionSpec, Options};
use loadtest_core::wire::MAX_WORKERS;

use crate::config;

/// The text of an option that shapes the load, if core's parser takes it. `KEY` alone for `--env` gets its
/// value from the environment.
pub(super) fn option(option: &OptionSpec, text: &str) -> Result<String, Error> {
    let text = match option.name {
        "env" if !text.contains('=') => format!("{text}={}", from_environment(text)?),
        _ => text.to_owned(),
    };
    config::set(&mut Options::default(), option, &text)?;
    Ok(text)
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

/// A time such as `10m`.
pub(super) fn duration(text: &str) -> Result<std::time::Duration, Error> {
    loadtest_core::units::parse_duration(text)
}

/// A number of worker threads that a test process takes.
pub(super) fn workers(text: &str) -> Result<u32, Error> {
    let wrong = |what: &str| {
        let hint = format!(
            "write a whole number from 1 to {MAX_WORKERS}; without the option there is one for each core"
        );
        Err(Error::new(what).hint(hint))
    };
    match text.parse::<u32>() {
        Ok(workers @ 1..=MAX_WORKERS) => Ok(workers),
        Ok(0) => wrong("nobody would make the load"),
        Ok(_) => wrong("more threads than a load generator can use"),
        Err(_) => wrong("not a number of threads"),
    }
}

/// An address that only this machine can reach.
pub(super) fn loopback(text: &str) -> Result<std::net::SocketAddr, String> {
    // The name is not asked for: it may mean several addresses, and the run listens on one.
    let numbers = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: std::net::SocketAddr = match numbers.as_deref().unwrap_or(text).parse() {
        Ok(address) => address,
        Err(_) => return Err(format!("`{text}` is not an address: write for example 127.0.0.1:6565")),
    };
    if !address.ip().is_loopback() {
        return Err(format!(
            "{text} can be reached from other machines, and whoever reaches it can stop the test: \
             write 127.0.0.1:{}",
            address.port()
        ));
    }
    Ok(address)
}
