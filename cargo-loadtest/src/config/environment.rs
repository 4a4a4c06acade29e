//! `LOADTEST_*`: the environment's tier.
//!
//! The main type is [`Variables`]. A variable that begins so and means nothing is an error, because a setting
//! that is silently ignored is worse than none. One that is empty counts as not set.

use std::ffi::{OsStr, OsString};
use std::fmt;

use loadtest_core::options::{OPTIONS, OptionSpec, Options};
use loadtest_core::{Error, suggest};

use super::{file, value};
use crate::git::ENV_CACHE;
use crate::store::ENV_STORE;

/// What the variables of this program begin with.
const PREFIX: &str = "LOADTEST_";

/// The variable that chooses a profile of `loadtest.toml`.
pub const ENV_PROFILE: &str = "LOADTEST_PROFILE";

/// The variable that every service of continuous integration sets.
const ENV_CI: &str = "CI";

/// What the environment says.
#[derive(Clone, Default, PartialEq)]
pub struct Variables {
    /// Options of the load.
    pub options: Options,
    /// The profile of `loadtest.toml`.
    pub profile: Option<String>,
    /// The variables that set options, as they were given; not that with the values of `env`.
    pub given: Vec<(String, String)>,
    /// Whether this is a machine of continuous integration: `CI` is set, and not to `false`.
    pub is_ci: bool,
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.options.clone().without_env_values();
        f.debug_struct("Variables")
            .field("options", &options)
            .field("profile", &self.profile)
            .field("is_ci", &self.is_ci)
            .finish_non_exhaustive()
    }
}

impl Variables {
    /// Reads variables: those of the process are [`std::env::vars_os`].
    ///
    /// # Errors
    /// If one of them is unknown, not UTF-8, or has a value that means nothing.
    pub fn read(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Variables, Error> {
        let mut read = Variables::default();
        let mut known: Vec<(String, OsString)> = Vec::new();
        for (name, value) in variables {
            let name = name.to_string_lossy().into_owned();
            read.is_ci |= name == ENV_CI && !value.is_empty() && value != "false";
            if !name.starts_with(PREFIX) || [ENV_STORE, ENV_CACHE].contains(&name.as_str()) {
                continue;
            }
            if name != ENV_PROFILE && option_of(&name).is_none() {
                return Err(unknown(&name));
            }
            if !value.is_empty() {
                known.push((name, value));
            }
        }
        // In an order of its own, so that the same environment gives the same message.
        known.sort();
        for (name, value) in known {
            let text = utf8(&name, &value)?;
            let Some(option) = option_of(&name) else {
                read.profile = Some(text.to_owned());
                continue;
            };
            set(&mut read.options, option, text).map_err(|error| error.context(&name))?;
            if option.name != "env" {
                read.given.push((name, text.to_owned()));
            }
        }
        Ok(read)
    }
}

/// The variable of an option, `LOADTEST_START_VUS`.
pub(super) fn variable(option: &OptionSpec) -> String {
    format!("{PREFIX}{}", option.name.to_uppercase())
}

fn option_of(name: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|option| variable(option) == name)
}

fn unknown(name: &str) -> Error {
    if let Some(error) = file::elsewhere(&name[PREFIX.len()..].to_lowercase()) {
        return error.context(name);
    }
    let others = [ENV_STORE.to_owned(), ENV_CACHE.to_owned(), ENV_PROFILE.to_owned()];
    let names: Vec<String> = OPTIONS.iter().map(variable).chain(others).collect();
    // Slips are looked for behind what all have in common, and in small letters.
    let short: Vec<String> = names.iter().map(|name| name[PREFIX.len()..].to_lowercase()).collect();
    let near = suggest::nearest(&name[PREFIX.len()..], short.iter().map(String::as_str));
    let hint = match near {
        Some(near) => format!("did you mean `{PREFIX}{}`? or unset it", near.to_uppercase()),
        None => format!("unset it, or use one of {}", names.join(", ")),
    };
    Error::new(format!("unknown variable `{name}` in the environment")).hint(hint)
}

fn utf8<'a>(name: &str, value: &'a OsStr) -> Result<&'a str, Error> {
    value.to_str().ok_or_else(|| Error::new(format!("{name} is not UTF-8")).hint("unset it, or give it text"))
}

/// Limits are separated by `;`, because a selector has commas, and so are client certificates, whose hosts have
/// some; tags, values and hosts by `,`.
fn set(options: &mut Options, option: &OptionSpec, text: &str) -> Result<(), Error> {
    if !option.adds {
        return value::set(options, option, text);
    }
    let separator = if matches!(option.name, "thresholds" | "tls_auth") { ';' } else { ',' };
    let parts = text.split(separator).filter(|part| !part.trim().is_empty());
    for (n, part) in parts.enumerate() {
        let read = value::set(options, option, part);
        read.map_err(|error| match option.name {
            // What it says may be half of a secret.
            "env" => Error::new(format!("value {} is not of the form `KEY=VALUE`", n + 1))
                .hint("a value with a comma goes into `-e KEY=VALUE` or loadtest.toml"),
            _ => error,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Variables, Error> {
        Variables::read(variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    fn error(name: &str, value: &str) -> String {
        read(&[(name, value)]).expect_err("refused").to_string()
    }

    #[test]
    fn lists_are_cut_at_their_separators() {
        let read = read(&[
            ("LOADTEST_STAGES", "1m:10, 30s:0"),
            ("LOADTEST_THRESHOLDS", "checks: rate>0.9; http_req_duration{a:b,c:d}: p(95)<1s;"),
            ("LOADTEST_TAGS", "k=v,k2=v2"),
            ("LOADTEST_ENV", "TOKEN=a=b"),
            ("LOADTEST_PROFILE", "ci"),
            ("LOADTEST_STORE", "/runs"),
            ("LOADTEST_VUS", ""),
            ("PATH", "/bin"),
        ])
        .expect("valid");
        assert_eq!(read.options.stages.as_ref().map(Vec::len), Some(2));
        assert_eq!(read.options.thresholds.len(), 2);
        assert_eq!(read.options.tags["k2"], "v2");
        assert_eq!(read.options.env["TOKEN"], "a=b");
        assert_eq!((read.options.vus, read.profile.as_deref()), (None, Some("ci")));
        assert!(read.given.iter().all(|(name, _)| name != "LOADTEST_ENV") && read.given.len() == 3);
        assert!(!format!("{read:?}").contains("a=b"));
    }

    #[test]
    fn http_settings_are_read_and_ci_is_told() {
        let read = read(&[
            ("LOADTEST_TLS_AUTH", "a.pem:a.key for a.example,b.example; c.pem:c.key"),
            ("LOADTEST_HOSTS", "a.example=127.0.0.1,b.example=127.0.0.1:80"),
            ("LOADTEST_ALLOW", "loopback, staging.example.org:443"),
            ("LOADTEST_NO_CONNECTION_REUSE", "true"),
            ("CI", "1"),
        ])
        .expect("valid");
        let http = &read.options.http;
        assert_eq!((http.tls_auth.len(), http.hosts.len(), http.allow.len()), (2, 2, 2));
        assert_eq!((http.no_connection_reuse, read.is_ci), (Some(true), true));
        for value in ["", "false"] {
            assert!(!Variables::read([("CI".into(), value.into())]).expect("valid").is_ci, "{value:?}");
        }
        assert!(error("LOADTEST_BLACKLIST_IPS", "::1").contains("did you mean `LOADTEST_BLOCK_IPS`?"));
        assert!(error("LOADTEST_BATCH", "0").contains("counts from 1"));
    }

    #[test]
    fn how_tests_are_compared_is_read() {
        let read = read(&[
            ("LOADTEST_RUNS", "8"),
            ("LOADTEST_GATE", "p95, errors"),
            ("LOADTEST_MIN_EFFECT", "3%"),
            ("LOADTEST_COMPARE_DURATION", "10s"),
        ]);
        let compare = read.expect("valid").options.compare;
        assert_eq!(compare.runs.map(|runs| runs.to_string()).as_deref(), Some("8"));
        assert_eq!((compare.gate.len(), compare.min_effect), (2, Some(0.03)));
        assert_eq!(compare.compare_duration, Some(std::time::Duration::from_secs(10)));
        assert!(error("LOADTEST_ALPHA", "5").starts_with("LOADTEST_ALPHA: `5` has no `%`"));
        assert!(error("LOADTEST_GATE", "p95,q").starts_with("LOADTEST_GATE: no metric `q` decides"));
    }

    #[test]
    fn every_option_has_its_variable() {
        for option in OPTIONS {
            assert_eq!(option_of(&variable(option)).map(|found| found.name), Some(option.name));
        }
    }

    #[test]
    fn nothing_is_silently_ignored() {
        assert!(error("LOADTEST_VSU", "1").contains("did you mean `LOADTEST_VUS`?"));
        assert!(error("LOADTEST_SETUP", "x").starts_with("LOADTEST_SETUP: only the attribute takes `setup`"));
        for (name, option) in [("SEED", "--seed"), ("CONTROL", "--control"), ("LOG_LIMIT", "--log-limit")] {
            let text = error(&format!("LOADTEST_{name}"), "1");
            assert!(text.contains(&format!("an option of the command line only: {option}\n")), "{text}");
        }
        assert!(error("LOADTEST_VUS", "many").starts_with("LOADTEST_VUS: `many` is not a whole number"));
        assert!(error("LOADTEST_VUS", "0").contains("counts from 1"));
        assert!(error("LOADTEST_DURATION", "5q").contains("hint: "));
        let leak = error("LOADTEST_ENV", "TOKEN=se,cret");
        assert!(!leak.contains("cret") && leak.contains("value 2"), "{leak}");
    }
}
