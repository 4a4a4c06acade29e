//! `[service]` of `loadtest.toml`: the target of tests that do not start it themselves.
//!
//! The main type is [`ServiceSection`]. What its commands do is not looked at here; that there are some is.

use std::ops::Range;
use std::time::Duration;

use loadtest_core::units::parse_duration;
use loadtest_core::{Error, suggest};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How long a service may take to be ready, unless the section says otherwise.
pub const DEFAULT_READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The section, as it is called in messages.
const PLACE: &str = "[service]";

/// The keys of the section, each with a value to write.
const KEYS: &[(&str, &str)] = &[
    ("start", "\"cargo run --release\""),
    ("ready", "\"http://127.0.0.1:8080/health\""),
    ("reset", "\"make reset-database\""),
    ("stop", "\"docker compose down\""),
    ("ready_timeout", "\"60s\""),
];

/// How a service is started, known to be ready, reset and stopped. Commands are run by a shell in the tree of the
/// side that is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSection {
    /// The command that starts it: it stays, or leaves a daemon behind.
    pub start: String,
    /// What tells that it is ready: an `http://` URL that answers with a 2xx, or a command that succeeds.
    pub ready: Option<String>,
    /// The command that brings its data back to where they were, once it is ready.
    pub reset: Option<String>,
    /// The command that stops it.
    pub stop: Option<String>,
    /// How long it may take to be ready.
    pub ready_timeout: Duration,
}

impl ServiceSection {
    /// Reads the section; a mistake comes with its place in the text.
    pub(super) fn read(
        table: &DeTable<'_>,
        section: &Range<usize>,
    ) -> Result<ServiceSection, (Range<usize>, Error)> {
        let mut read = ServiceSection {
            start: String::new(),
            ready: None,
            reset: None,
            stop: None,
            ready_timeout: DEFAULT_READY_TIMEOUT,
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if !KEYS.iter().any(|(known, _)| *known == name) {
                let error = Error::new(format!("unknown key `{name}` in {PLACE}"));
                let hint = suggest::hint(name, KEYS.iter().map(|(known, _)| *known));
                return Err((key.span(), error.hint(hint)));
            }
            let wrong = |error: Error| (value.span(), error.context(format_args!("`{name}` in {PLACE}")));
            let text = text(name, value).map_err(wrong)?;
            match name {
                "start" => read.start = text,
                "ready" => read.ready = Some(ready(text).map_err(wrong)?),
                "reset" => read.reset = Some(text),
                "stop" => read.stop = Some(text),
                _ => read.ready_timeout = timeout(&text).map_err(wrong)?,
            }
        }
        if read.start.is_empty() {
            let error = Error::new(format!("{PLACE} has no `start`, so nothing can be measured anew"));
            return Err((section.clone(), error.hint(written("start"))));
        }
        Ok(read)
    }
}

fn written(key: &str) -> String {
    let example = KEYS.iter().find(|(known, _)| *known == key).map_or("", |(_, example)| *example);
    format!("write for example {key} = {example}")
}

/// Text that is not empty.
fn text(key: &str, value: &Spanned<DeValue<'_>>) -> Result<String, Error> {
    let value = value.get_ref();
    let wrong = |what: String| Error::new(what).hint(written(key));
    match value.as_str().map(str::trim) {
        Some("") => Err(wrong("there is nothing between the quotes".to_owned())),
        Some(text) => Ok(text.to_owned()),
        None => Err(wrong(format!("a value of type {} means nothing here", value.type_str()))),
    }
}

/// A URL is asked without TLS: one of `https://` would be run as a command.
fn ready(text: String) -> Result<String, Error> {
    let lower = text.to_ascii_lowercase();
    match lower.split_once("://") {
        Some(("http", rest)) if rest.is_empty() || rest.starts_with(['/', ':']) => {
            Err(Error::new(format!("`{text}` names no host")).hint(written("ready")))
        }
        Some(("http", _)) | None => Ok(text),
        // A command may well have a URL among its words.
        Some((scheme, _)) if scheme.contains(char::is_whitespace) => Ok(text),
        Some((scheme, _)) => Err(Error::new(format!("readiness is not asked over `{scheme}`"))
            .hint(format!("write an http:// URL, or a command: ready = \"curl -fsk {text}\""))),
    }
}

fn timeout(text: &str) -> Result<Duration, Error> {
    match parse_duration(text)? {
        Duration::ZERO => Err(Error::new("nothing is ready in no time").hint(written("ready_timeout"))),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn section(text: &str) -> ServiceSection {
        let config = Config::parse(&format!("[service]\n{text}"), Path::new("/w")).expect("valid");
        config.service.expect("a section")
    }

    fn error(text: &str) -> String {
        format!("{:#}", Config::parse(text, Path::new("/w")).expect_err("refused"))
    }

    #[test]
    fn a_service_has_commands_and_a_time() {
        let least = section("start = \"docker compose up -d \"");
        assert_eq!(least.start, "docker compose up -d");
        assert_eq!((&least.ready, &least.reset, &least.stop), (&None, &None, &None));
        assert_eq!(least.ready_timeout, Duration::from_secs(60));
        let all = section(
            "start = \"./serve\"\nready = \"http://127.0.0.1:8080/health\"\nreset = \"make reset\"\n\
             stop = \"./stop\"\nready_timeout = \"1m30s\"",
        );
        assert_eq!(all.ready.as_deref(), Some("http://127.0.0.1:8080/health"));
        assert_eq!((all.reset.as_deref(), all.stop.as_deref()), (Some("make reset"), Some("./stop")));
        assert_eq!(all.ready_timeout, Duration::from_secs(90));
        let command = section("start = \"x\"\nready = \"curl -fsk https://localhost:8443/health\"");
        assert_eq!(command.ready.as_deref(), Some("curl -fsk https://localhost:8443/health"));
        assert_eq!(Config::parse("", Path::new("/w")).expect("valid").service, None);
    }

    #[test]
    fn mistakes_name_the_line_and_what_to_write() {
        for (text, message) in [
            (
                "[service]\nstrat = \"x\"",
                "line 2: unknown key `strat` in [service]\nhint: did you mean `start`?",
            ),
            ("store = \"x\"\n[service]\nready = \"true\"", "line 2: [service] has no `start`"),
            ("[service]\nstart = \" \"", "line 2: `start` in [service]: there is nothing between the quotes"),
            ("[service]\nstart = \"x\"\nreset = \"\"", "line 3: `reset` in [service]: there is nothing"),
            (
                "[service]\nstart = [\"x\"]",
                "line 2: `start` in [service]: a value of type array means nothing",
            ),
            ("[service]\nstart = \"x\"\nready_timeout = 60", "write for example ready_timeout = \"60s\""),
            ("[service]\nstart = \"x\"\nready_timeout = \"60\"", "a number without a unit"),
            ("[service]\nstart = \"x\"\nready_timeout = \"0s\"", "nothing is ready in no time"),
            ("[service]\nstart = \"x\"\nready = \"https://a\"", "ready = \"curl -fsk https://a\""),
            ("[service]\nstart = \"x\"\nready = \"http:///\"", "names no host"),
            ("service = \"x\"", "[service] is not a table"),
        ] {
            let told = error(text);
            assert!(told.contains(message), "{told}");
        }
    }
}
