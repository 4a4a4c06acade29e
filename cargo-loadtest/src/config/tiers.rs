//! The places that options come from, laid over each other.
//!
//! The main type is [`Tiers`]: default < default of CI < attribute < `loadtest.toml` < `LOADTEST_*` < command line. Within the
//! file, `[options]` < `[tests."ID"]` < its scenario, and these of the profile's parents, then of the profile
//! itself, over those without one. Each is laid over what is below by [`Options::overwrite`], whose rule about
//! the shape of the load holds between any two of them. Nothing here reads a file or the environment, except
//! [`Tiers::read`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use loadtest_core::options::compare::CompareSettings;
use loadtest_core::options::http::{Target, TargetHost};
use loadtest_core::options::{OPTIONS, OptionSpec, Options, Unclear, Workload};
use loadtest_core::results::Definition;
use loadtest_core::{Error, suggest};

use super::environment::{self, Variables};
use super::file::{Config, FILE, Layer};
use super::service::ServiceSection;
use super::{value, wording};
use crate::cli::{LoadArgs, long_option};
use crate::discover::LoadTest;
use crate::failure::{Failure, OrExit};
use crate::verdict::ExitCode;

/// Where a value was said, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nowhere.
    Default,
    /// Nowhere, on a machine of continuous integration.
    Ci,
    /// Beside the function.
    Attribute,
    /// In a section of `loadtest.toml`, with its brackets.
    File(String),
    /// In a variable.
    Variable(String),
    /// In an option of the command line.
    CommandLine(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Ci => f.write_str("CI default"),
            Origin::Attribute => f.write_str("attribute"),
            Origin::File(section) => write!(f, "{FILE} {section}"),
            Origin::Variable(name) | Origin::CommandLine(name) => f.write_str(name),
        }
    }
}

/// The options of one scenario, and where each comes from.
#[derive(Debug, Clone, Default)]
pub struct Explained {
    /// All places together.
    pub options: Options,
    /// By option, and by [`identity`] where an option has several values.
    origins: BTreeMap<(&'static str, String), Origin>,
    /// What the place that last made another executor of the one below says about the load.
    reshaped: Vec<(&'static str, Origin)>,
}

impl Explained {
    /// Where a value comes from, as [`OptionSpec::show`] gives it; [`Origin::Default`] if it is not set.
    pub fn origin(&self, option: &OptionSpec, value: &str) -> Origin {
        let origin = self.origins.get(&(option.name, identity(option, value)));
        origin.cloned().unwrap_or(Origin::Default)
    }

    fn lay(&mut self, higher: &Options, origin: impl Fn(&OptionSpec) -> Origin) {
        let before = self.options.executor().ok();
        self.options = std::mem::take(&mut self.options).overwrite(higher.clone());
        if self.options.executor().is_ok_and(|now| Some(now) != before) {
            let keys = higher.execution_keys().into_iter();
            self.reshaped = keys
                .filter_map(loadtest_core::options::option)
                .map(|option| (option.name, origin(option)))
                .collect();
        }
        let in_force = &self.options;
        // What the higher place's shape replaced is gone.
        self.origins.retain(|(name, _), _| {
            loadtest_core::options::option(name).is_some_and(|option| (option.show)(in_force).is_some())
        });
        for option in OPTIONS {
            for value in (option.show)(higher).unwrap_or_default() {
                let key = (option.name, identity(option, &value));
                // The same limit again changes nothing.
                if option.name != "thresholds" || !self.origins.contains_key(&key) {
                    self.origins.insert(key, origin(option));
                }
            }
        }
    }

    /// What the options mean.
    ///
    /// # Errors
    /// If they contradict each other, lack something, or ask for more virtual users than a process can hold.
    pub fn workload(&self) -> Result<Workload, Error> {
        self.options.executor_or_why().map_err(|why| self.unclear(&why))?;
        value::resolve(&self.options)
    }

    /// Why there is no executor, where the options that it is about come from, and what to type at the highest
    /// of these places.
    fn unclear(&self, why: &Unclear) -> Error {
        let named = self.options.executor.is_some().then_some("executor");
        let keys = match why {
            Unclear::NoExecutor { key } => vec![*key],
            Unclear::Foreign { key, by, .. } => vec![*key].into_iter().chain(*by).chain(named).collect(),
            Unclear::Lacks { .. } => named.into_iter().collect(),
        };
        let origin = |key: &str| self.origins.get(&(key, String::new())).cloned().unwrap_or(Origin::Default);
        let places: Vec<Origin> = keys.iter().map(|key| origin(key)).collect();
        let place = places.iter().max().cloned().unwrap_or(Origin::Default);
        let error = wording::unclear(why, &self.options, &place);
        let from: Vec<String> =
            keys.iter().zip(&places).map(|(key, place)| format!("`{key}` is from {place}")).collect();
        let told = Error::new(format!("{} ({})", error.message(), from.join(", ")));
        told.hint(error.hint_text().unwrap_or_default())
    }
}

/// What the options of a command line mean by themselves, without a test that a process would have to hold.
///
/// # Errors
/// Those of [`Options::resolve`], in the words of the command line where there is no executor.
pub(crate) fn on_the_line(options: &Options) -> Result<Workload, Error> {
    executor_on_the_line(options, options)?;
    options.resolve()
}

/// Whether `options` have an executor; `given` is what of them the command line says.
///
/// # Errors
/// If not, in the words of the command line.
pub(crate) fn executor_on_the_line(options: &Options, given: &Options) -> Result<(), Error> {
    let place = Origin::CommandLine(String::new());
    options.executor_or_why().map(|_| ()).map_err(|why| wording::unclear(&why, given, &place))
}

/// What tells the values of one option apart: the key of a tag, the whole text of a limit or of a certificate.
fn identity(option: &OptionSpec, value: &str) -> String {
    match option.name {
        "thresholds" | "tls_auth" => value.to_owned(),
        _ if option.adds => value.split('=').next().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

/// What holds on a machine of continuous integration where no place says otherwise, for any scenario of the test: a job whose variable was lost,
/// or whose code was changed by a stranger, must not put load on somebody else.
fn of_ci() -> Options {
    let mut options = Options::default();
    options.http.allow.push(Target { host: TargetHost::Loopback, port: None });
    options
}

/// Every place over the attribute.
#[derive(Debug, Clone, Default)]
pub struct Tiers {
    config: Config,
    /// The chosen profile with those that it inherits, the lowest first.
    profiles: Vec<String>,
    variables: Variables,
    line: Options,
}

impl Tiers {
    /// Reads `loadtest.toml` at the workspace's root and the environment.
    ///
    /// # Errors
    /// If one of them has something that means nothing: wrong usage.
    pub fn read(workspace_root: &Path, load: &LoadArgs) -> Result<Tiers, Failure> {
        let config = Config::load(workspace_root).or_exit(ExitCode::Usage)?;
        let variables = Variables::read(std::env::vars_os()).or_exit(ExitCode::Usage)?;
        Tiers::new(config, variables, load).or_exit(ExitCode::Usage)
    }

    /// The target of tests that do not start it themselves, if the file has one.
    pub fn service(&self) -> Option<&ServiceSection> {
        self.config.service.as_ref()
    }

    /// Puts places together that have been read.
    ///
    /// # Errors
    /// If the profile that the command line or else the environment asks for is not in the file.
    pub fn new(config: Config, variables: Variables, load: &LoadArgs) -> Result<Tiers, Error> {
        let profiles = match (load.profile(), &variables.profile) {
            (Some(name), _) => config.chain(name).map_err(|error| error.context("--load-profile"))?,
            (None, Some(name)) => {
                config.chain(name).map_err(|error| error.context(environment::ENV_PROFILE))?
            }
            (None, None) => Vec::new(),
        };
        let profiles = profiles.into_iter().map(str::to_owned).collect();
        Ok(Tiers { config, profiles, variables, line: load.options() })
    }

    /// Where runs and baselines are, if the file says so.
    pub fn store(&self) -> Option<&Path> {
        self.config.store.as_deref()
    }

    /// The profile in force.
    pub fn profile(&self) -> Option<&str> {
        self.profiles.last().map(String::as_str)
    }

    /// What the environment says.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// The options of a scenario, from its attribute upwards.
    pub fn explain(&self, id: &str, scenario: &str, attribute: &Options) -> Explained {
        let mut explained = Explained::default();
        if self.variables.is_ci {
            explained.lay(&of_ci(), |_| Origin::Ci);
        }
        explained.lay(attribute, |_| Origin::Attribute);
        for (place, layer) in self.layers() {
            let section = |rest: &str| {
                let section = format!("[{place}{rest}]");
                move |_: &OptionSpec| Origin::File(section.clone())
            };
            explained.lay(&layer.options, section("options"));
            for test in layer.tests.iter().filter(|test| test.is_about(id)) {
                let name = format!("tests.{:?}", test.pattern);
                explained.lay(&test.options, section(&name));
                if let Some(options) = test.scenarios.get(scenario) {
                    explained.lay(options, section(&format!("{name}.scenarios.{scenario}")));
                }
            }
        }
        explained.lay(&self.variables.options, |option| Origin::Variable(environment::variable(option)));
        explained.lay(&self.line, |option| Origin::CommandLine(long_option(option)));
        explained
    }

    /// The options of every scenario of a test, in their order. What one of them may send requests to holds for the
    /// whole test, so that the default of CI gives way in all of them where any says it.
    pub fn explain_all(&self, test: &LoadTest) -> Vec<Explained> {
        let explain = |of: &Definition| self.explain(&test.id, &of.scenario, &of.options);
        let mut all: Vec<Explained> = test.definitions.iter().map(explain).collect();
        let allow = ("allow", String::new());
        let is_of_ci = |of: &Explained| of.origins.get(&allow) == Some(&Origin::Ci);
        if all.iter().any(|of| !of.options.http.allow.is_empty() && !is_of_ci(of)) {
            for of in all.iter_mut().filter(|of| is_of_ci(of)) {
                of.options.http.allow.clear();
                of.origins.remove(&allow);
            }
        }
        all
    }

    /// The scenarios of a test with their final options and what these mean.
    ///
    /// # Errors
    /// Those of [`Explained::workload`], with the test's id, and the scenario's name if there are several.
    pub fn definitions(&self, test: &LoadTest) -> Result<Vec<Definition>, Error> {
        let several = test.definitions.len() > 1;
        let finished = |(definition, explained): (&Definition, Explained)| {
            let workload = explained.workload().map_err(|error| {
                let error = match several {
                    true => error.context(format_args!("scenario {}", definition.scenario)),
                    false => error,
                };
                error.context(&test.id)
            })?;
            Ok(Definition { options: explained.options, workload, ..definition.clone() })
        };
        test.definitions.iter().zip(self.explain_all(test)).map(finished).collect()
    }

    /// How a test is compared: what all places together say, of all of its scenarios.
    ///
    /// # Errors
    /// If two scenarios contradict each other, with the test's id.
    pub fn compare(&self, test: &LoadTest) -> Result<CompareSettings, Error> {
        let explained = self.explain_all(test);
        let said: Vec<(&str, &Options)> = test
            .definitions
            .iter()
            .zip(&explained)
            .map(|(definition, explained)| (definition.scenario.as_str(), &explained.options))
            .collect();
        CompareSettings::agreed(&said).map_err(|error| error.context(&test.id))
    }

    /// Scenarios of a test of whose load a place made another one, as sentences with a hint. What can't run is
    /// left to [`Tiers::definitions`].
    pub fn notes(&self, test: &LoadTest) -> Vec<String> {
        let several = test.definitions.len() > 1;
        let note = |definition: &Definition| {
            let explained = self.explain(&test.id, &definition.scenario, &definition.options);
            let workload = explained.workload().ok()?;
            let note =
                wording::replaced(&definition.options, &explained.reshaped, &explained.options, &workload)?;
            let scenario =
                if several { format!("scenario {}: ", definition.scenario) } else { String::new() };
            Some(format!("{}: {scenario}{note}", test.id))
        };
        test.definitions.iter().filter_map(note).collect()
    }

    /// Sections of the file that are in force and about no test or scenario there is, as sentences.
    /// `elsewhere` says of the package in such a section, which may have `*`, whether its tests may be among
    /// those that were not looked at.
    pub fn warnings(&self, tests: &[LoadTest], elsewhere: impl Fn(&str) -> bool) -> Vec<String> {
        let mut warnings = Vec::new();
        for (place, layer) in self.layers() {
            for section in &layer.tests {
                let package = section.pattern.split('/').next().unwrap_or_default();
                let about: Vec<&LoadTest> = tests.iter().filter(|test| section.is_about(&test.id)).collect();
                let name = format!("{FILE}: [{place}tests.{:?}]", section.pattern);
                if about.is_empty() {
                    if !elsewhere(package) {
                        let ids = tests.iter().map(|test| test.id.as_str());
                        warnings
                            .push(format!("{name} is about no load test; {}", near(&section.pattern, ids)));
                    }
                    continue;
                }
                let scenarios =
                    || about.iter().flat_map(|test| &test.definitions).map(|d| d.scenario.as_str());
                for scenario in
                    section.scenarios.keys().filter(|wanted| !scenarios().any(|name| name == *wanted))
                {
                    let near = near(scenario, scenarios());
                    warnings.push(format!("{name} has no scenario `{scenario}`; {near}"));
                }
            }
        }
        warnings
    }

    /// The file's layers that are in force, the lowest first, with what their sections begin with.
    fn layers(&self) -> impl Iterator<Item = (String, &Layer)> {
        let profiles = self.profiles.iter().filter_map(|name| {
            let profile = self.config.profiles.get(name)?;
            Some((format!("profile.{name}."), &profile.layer))
        });
        std::iter::once((String::new(), &self.config.base)).chain(profiles)
    }
}

/// What a name could have meant, or some of what there is.
fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let last = |name: &str| name.trim_matches('*').rsplit([':', '/']).next().unwrap_or_default().to_owned();
    let functions: Vec<String> = names.iter().map(|name| last(name)).collect();
    let function = last(wanted);
    // The same function elsewhere, a slip in the whole name, and one in the function's.
    let same = || functions.iter().position(|name| *name == function).map(|n| names[n]);
    let alike = || {
        let near = suggest::nearest(&function, functions.iter().map(String::as_str))?;
        functions.iter().position(|name| name == near).map(|n| names[n])
    };
    if let Some(near) = same().or_else(|| suggest::nearest(wanted, names.iter().copied())).or_else(alike) {
        return format!("did you mean `{near}`?");
    }
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    format!("there is {}{more}", shown.join(", "))
}

#[cfg(test)]
pub(super) mod tests;
