//! `loadtest.toml` at the workspace's root: settings that belong to the workspace and not to one run.
//!
//! The main type is [`Config`]. A key that is not known is an error, because a setting that is silently
//! ignored is worse than none. What is read here is not yet laid over anything: that is done in
//! [`super::tiers`].

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context;
use loadtest_core::options::{OPTIONS, OptionSpec, Options, option};
use loadtest_core::{Error, suggest};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::service::ServiceSection;
use super::value;

/// The file's name.
pub const FILE: &str = "loadtest.toml";

/// What describes a test itself and not its load.
const ATTRIBUTE_ONLY: &[&str] = &["setup", "teardown", "vu_init", "test", "name", "binaries", "crate"];

/// Keys that will be read one day: said apart, so that nobody looks for a slip of the finger.
const FUTURE_KEYS: &[&str] = &["out"];

/// The settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// Directory of runs and baselines, if it is not `.loadtest`. `LOADTEST_STORE` wins over it.
    pub store: Option<PathBuf>,
    /// The target of tests that do not start it themselves.
    pub service: Option<ServiceSection>,
    /// What counts without a profile, and below each.
    pub base: Layer,
    /// Profiles by name.
    pub profiles: BTreeMap<String, Profile>,
    /// Where the file would be, if there is none.
    pub missing: Option<PathBuf>,
}

/// Options for all tests and for some of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layer {
    /// Of every test.
    pub options: Options,
    /// Of tests by id, in the order in which they are laid over each other: patterns as the file has them, then
    /// whole ids.
    pub tests: Vec<TestSection>,
}

/// A section `[tests."ID"]`.
#[derive(Debug, Clone, PartialEq)]
pub struct TestSection {
    /// The test's id, in which `*` stands for any text.
    pub pattern: String,
    /// Of all of its scenarios.
    pub options: Options,
    /// Of single scenarios.
    pub scenarios: BTreeMap<String, Options>,
}

/// A section `[profile.NAME]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// The profile that this one is laid over.
    pub inherits: Option<String>,
    /// What it says itself.
    pub layer: Layer,
}

impl TestSection {
    /// Whether the section is about a test.
    pub fn is_about(&self, id: &str) -> bool {
        let mut pieces = self.pattern.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = id.strip_prefix(first) else { return false };
        let mut pieces: Vec<&str> = pieces.collect();
        let Some(last) = pieces.pop() else { return rest.is_empty() };
        let Some(inner) = rest.strip_suffix(last) else { return false };
        rest = inner;
        // Taking each piece at its first place leaves the most room for those after it.
        pieces.into_iter().all(|piece| match rest.find(piece) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
    }

    fn is_pattern(&self) -> bool {
        self.pattern.contains('*')
    }
}

impl Config {
    /// Reads the file of a workspace. No file means defaults.
    ///
    /// # Errors
    /// If the file can't be read or understood, with its name and the place in it.
    pub fn load(workspace_root: &Path) -> anyhow::Result<Config> {
        let path = workspace_root.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => {
                Config::parse(&text, workspace_root).with_context(|| format!("in {}", path.display()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Config { missing: Some(path), ..Config::default() })
            }
            Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
        }
    }

    /// Reads the text of a file; relative paths are relative to `root`.
    ///
    /// # Errors
    /// If it is not TOML, has a key or a value that means nothing, or profiles that can't be laid over each
    /// other.
    pub fn parse(text: &str, root: &Path) -> anyhow::Result<Config> {
        let table = DeTable::parse(text).context("not valid TOML")?;
        let config = Reader { text }.config(table.get_ref(), root)?;
        for name in config.profiles.keys() {
            config.chain(name)?;
        }
        Ok(config)
    }

    /// A profile and those that it inherits, the lowest first.
    ///
    /// # Errors
    /// If there is none of that name, or it inherits itself or one that is not there.
    pub fn chain(&self, name: &str) -> Result<Vec<&str>, Error> {
        let mut chain: Vec<&str> = Vec::new();
        let mut wanted = name;
        loop {
            let Some((known, profile)) = self.profiles.get_key_value(wanted) else {
                return Err(self.no_profile(wanted, chain.last().copied()));
            };
            if chain.contains(&known.as_str()) {
                chain.push(known);
                return Err(Error::new(format!(
                    "the profile `{name}` inherits itself: {}",
                    chain.join(" → ")
                ))
                .hint("take one of these `inherits` out"));
            }
            chain.push(known);
            match &profile.inherits {
                Some(parent) => wanted = parent,
                None => break,
            }
        }
        chain.reverse();
        Ok(chain)
    }

    /// That a profile is not there, which another one inherits or somebody asked for.
    fn no_profile(&self, wanted: &str, heir: Option<&str>) -> Error {
        if let Some(path) = &self.missing {
            return Error::new(format!("no profile `{wanted}`: there is no file {}", path.display()))
                .hint(format!("write it, with a section [profile.{wanted}]"));
        }
        // No profile can inherit itself.
        let others: Vec<&str> =
            self.profiles.keys().map(String::as_str).filter(|name| Some(*name) != heir).collect();
        let section = format!("write a section [profile.{}]", quoted(wanted));
        match heir {
            Some(heir) => Error::new(format!("[profile.{heir}] inherits `{wanted}`, which is not there"))
                .hint(match others.is_empty() {
                    true => format!("no other profile is defined: {section}, or take `inherits` out"),
                    false => suggest::hint(wanted, others),
                }),
            None => Error::new(format!("{FILE} has no profile `{wanted}`")).hint(match others.is_empty() {
                true => section,
                false => suggest::hint(wanted, others),
            }),
        }
    }
}

/// Reads with the text at hand, to say in which line something is.
struct Reader<'t> {
    text: &'t str,
}

type Key<'a, 'i> = (&'a str, Range<usize>, &'a Spanned<DeValue<'i>>);

impl Reader<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    fn at(&self, span: &Range<usize>, error: Error) -> Error {
        error.context(format_args!("line {}", self.line(span)))
    }

    fn unknown(&self, key: &str, span: &Range<usize>, place: &str, known: &[&str]) -> Error {
        let place = if place.is_empty() { String::new() } else { format!(" in {place}") };
        let error = Error::new(format!("unknown key `{key}`{place}"));
        self.at(span, error.hint(suggest::hint(key, known.iter().copied())))
    }

    fn config(&self, table: &DeTable<'_>, root: &Path) -> Result<Config, Error> {
        const KNOWN: &[&str] = &["store", "service", "options", "tests", "profile"];
        let mut config = Config::default();
        for (key, span, value) in keys(table) {
            match key {
                "store" => config.store = Some(root.join(self.path(&span, value)?)),
                "service" => {
                    let read = ServiceSection::read(self.table("[service]", value)?, &span);
                    config.service = Some(read.map_err(|(span, error)| self.at(&span, error))?);
                }
                "options" => {
                    config.base.options = self.options(self.table("[options]", value)?, "[options]")?
                }
                "tests" => config.base.tests = self.tests(self.table("[tests]", value)?, "tests")?,
                "profile" => {
                    for (name, _, value) in keys(self.table("[profile]", value)?) {
                        let profile = self.profile(name, value)?;
                        config.profiles.insert(name.to_owned(), profile);
                    }
                }
                future if FUTURE_KEYS.contains(&future) => {
                    let error = Error::new(format!("the key `{future}` does not work yet"))
                        .hint(format!("take it out; these work: `{}`", KNOWN.join("`, `")));
                    return Err(self.at(&span, error));
                }
                unknown if option(unknown).is_some() => {
                    let error = Error::new(format!("the option `{unknown}` stands outside of a section"));
                    let hint = "options of all tests go into [options], those of one into [tests.\"ID\"]";
                    return Err(self.at(&span, error.hint(hint)));
                }
                unknown => return Err(self.unknown(unknown, &span, "", KNOWN)),
            }
        }
        Ok(config)
    }

    fn path<'a>(&self, span: &Range<usize>, value: &'a Spanned<DeValue<'_>>) -> Result<&'a str, Error> {
        let error = || {
            let error = Error::new("`store` is not a path");
            self.at(span, error.hint("write for example store = \"../loadtest-runs\""))
        };
        value.get_ref().as_str().filter(|path| !path.is_empty()).ok_or_else(error)
    }

    fn table<'a, 'i>(&self, place: &str, value: &'a Spanned<DeValue<'i>>) -> Result<&'a DeTable<'i>, Error> {
        value.get_ref().as_table().ok_or_else(|| {
            let kind = value.get_ref().type_str();
            self.at(&value.span(), Error::new(format!("{place} is not a table, but a value of type {kind}")))
        })
    }

    fn profile(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Profile, Error> {
        const KNOWN: &[&str] = &["inherits", "options", "tests"];
        let place = format!("profile.{}", quoted(name));
        let mut profile = Profile::default();
        for (key, span, value) in keys(self.table(&format!("[{place}]"), value)?) {
            match key {
                "inherits" => match value.get_ref().as_str() {
                    Some(parent) => profile.inherits = Some(parent.to_owned()),
                    None => {
                        let error =
                            Error::new(format!("`inherits` in [{place}] is not the name of a profile"));
                        return Err(self.at(&span, error));
                    }
                },
                "options" => {
                    let place = format!("[{place}.options]");
                    profile.layer.options = self.options(self.table(&place, value)?, &place)?;
                }
                "tests" => {
                    let place = format!("{place}.tests");
                    profile.layer.tests = self.tests(self.table(&format!("[{place}]"), value)?, &place)?;
                }
                unknown => {
                    let mut error = self.unknown(unknown, &span, &format!("[{place}]"), KNOWN);
                    if option(unknown).is_some() {
                        error = error.hint(format!("options of all tests go into [{place}.options]"));
                    }
                    return Err(error);
                }
            }
        }
        Ok(profile)
    }

    fn tests(&self, table: &DeTable<'_>, place: &str) -> Result<Vec<TestSection>, Error> {
        let mut sections = Vec::new();
        for (id, _, value) in keys(table) {
            let place = format!("[{place}.{}]", quoted(id));
            let mut section = TestSection {
                pattern: id.to_owned(),
                options: Options::default(),
                scenarios: BTreeMap::new(),
            };
            for (key, span, value) in keys(self.table(&place, value)?) {
                if key != "scenarios" {
                    self.option(&mut section.options, key, &span, value, &place, &["scenarios"])?;
                    continue;
                }
                let inner = place.trim_end_matches(']');
                for (name, _, value) in keys(self.table(&format!("{inner}.scenarios]"), value)?) {
                    let place = format!("{inner}.scenarios.{}]", quoted(name));
                    let options = self.options(self.table(&place, value)?, &place)?;
                    section.scenarios.insert(name.to_owned(), options);
                }
            }
            sections.push(section);
        }
        // A stable sort: the file's order stays among each.
        sections.sort_by_key(|section| !section.is_pattern());
        Ok(sections)
    }

    fn options(&self, table: &DeTable<'_>, place: &str) -> Result<Options, Error> {
        let mut options = Options::default();
        for (key, span, value) in keys(table) {
            self.option(&mut options, key, &span, value, place, &[])?;
        }
        Ok(options)
    }

    fn option(
        &self,
        options: &mut Options,
        key: &str,
        span: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
        place: &str,
        others: &[&str],
    ) -> Result<(), Error> {
        let Some(option) = option(key) else {
            if let Some(error) = elsewhere(key) {
                return Err(self.at(span, error.context(format_args!("`{key}` in {place}"))));
            }
            let known: Vec<&str> =
                OPTIONS.iter().map(|option| option.name).chain(others.iter().copied()).collect();
            return Err(self.unknown(key, span, place, &known));
        };
        let wrong = |error: Error| {
            let error = error.context(format_args!("`{key}` in {place}"));
            self.at(&value.span(), error)
        };
        for text in texts(option, value.get_ref()).map_err(wrong)? {
            value::set(options, option, &text).map_err(|error| wrong(without_secret(option, error)))?;
        }
        Ok(())
    }
}

/// The error about an option that exists and that this place, or a variable, can't set.
pub(super) fn elsewhere(key: &str) -> Option<Error> {
    if ATTRIBUTE_ONLY.contains(&key) {
        let error = Error::new(format!("only the attribute takes `{key}`"));
        return Some(error.hint(format!("write it beside the function: `#[load_test({key} = ..)]`")));
    }
    let long = crate::cli::line_only(key)?;
    Some(
        Error::new(format!("this is an option of the command line only: {long}"))
            .hint(format!("take it away here, and type `{long}` behind `cargo loadtest`")),
    )
}

/// The keys of a table in the order of the file.
fn keys<'a, 'i>(table: &'a DeTable<'i>) -> Vec<Key<'a, 'i>> {
    let mut keys: Vec<Key<'_, '_>> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
    keys.sort_by_key(|(_, span, _)| span.start);
    keys
}

/// A key as TOML writes it.
fn quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if bare { key.to_owned() } else { format!("{key:?}") }
}

fn without_secret(option: &OptionSpec, error: Error) -> Error {
    match option.name {
        "env" => {
            Error::new("not of the form `KEY=VALUE`").hint("write a table, for example { REGION = \"eu\" }")
        }
        _ => error,
    }
}

/// A value as texts that core's parser reads: one, or one for each that is added.
fn texts(option: &OptionSpec, value: &DeValue<'_>) -> Result<Vec<String>, Error> {
    let wrong = |what: String| {
        let example = match option.name {
            "stages" => "[[\"1m30s\", 100], [\"10s\", 0]]".to_owned(),
            "tags" => "{ team = \"sales\" }".to_owned(),
            "env" => "{ REGION = \"eu\" }".to_owned(),
            "hosts" => "{ \"example.org\" = \"127.0.0.1:8080\" }".to_owned(),
            _ => option.example.to_owned(),
        };
        Error::new(format!("{what} means nothing here"))
            .hint(format!("write for example {} = {example}", option.name))
    };
    let item = |item: &Spanned<DeValue<'_>>| {
        let item = item.get_ref();
        scalar(item).ok_or_else(|| wrong(format!("an array with an item of type {}", item.type_str())))
    };
    if let Some(text) = scalar(value) {
        return Ok(vec![text]);
    }
    match (value, option.name) {
        (DeValue::Array(stages), "stages") => {
            let stage = |stage: &Spanned<DeValue<'_>>| match stage.get_ref() {
                DeValue::Array(pair) => {
                    match pair.iter().map(|v| scalar(v.get_ref())).collect::<Vec<_>>().as_slice() {
                        [Some(duration), Some(target)] => Ok(format!("{duration}:{target}")),
                        _ => Err(wrong("a stage that is not a duration and a target".to_owned())),
                    }
                }
                _ => item(stage),
            };
            let stages: Vec<String> = stages.iter().map(stage).collect::<Result<_, _>>()?;
            Ok(vec![stages.join(",")])
        }
        (DeValue::Array(values), _) if option.adds || option.list => {
            let texts: Vec<String> = values.iter().map(item).collect::<Result<_, _>>()?;
            Ok(if option.list { vec![texts.join(",")] } else { texts })
        }
        (DeValue::Boolean(value), _) if option.bare == Some("true") => Ok(vec![value.to_string()]),
        (DeValue::Table(pairs), "tags" | "env" | "hosts") => pairs
            .iter()
            .map(|(key, value)| {
                let key = key.get_ref();
                if key.is_empty() || key.contains('=') || key.trim() != key {
                    return Err(
                        Error::new(format!("`{key}` is not a key")).hint("use letters, digits, `-` and `_`")
                    );
                }
                let value = value.get_ref();
                let text = scalar(value).map(|text| format!("{key}={text}"));
                text.ok_or_else(|| wrong(format!("a table with a value of type {}", value.type_str())))
            })
            .collect(),
        _ => Err(wrong(format!("a value of type {}", value.type_str()))),
    }
}

/// Text, or a number as one would write it.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => {
            Some(number.as_str().trim_start_matches('+').to_owned())
        }
        DeValue::Integer(number) => {
            u64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
