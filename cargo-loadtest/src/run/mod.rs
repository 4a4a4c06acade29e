//! A whole run, from the command line to the exit code.
//!
//! The main function is [`run()`]: find out what is compared with (`reference`), read the workspace, build and find the
//! tests, run them (`execute`) once, several times (`repetitions`) or in turn with another revision (`duet`), and
//! conclude (`conclude`). Each step is another module's work; here stands only their order.

mod conclude;
mod document;
mod duet;
mod execute;
mod nothing;
mod order;
mod output;
mod reference;
mod repeat;
mod repetitions;
mod session;
mod tests_list;
mod validity;

use std::collections::BTreeMap;

use jiff::Timestamp;
use loadtest_core::metric::Builtin;
use loadtest_core::options::compare::CompareSettings;
use loadtest_core::results::Revision;

use crate::cli::{Args, InconclusivePolicy, TargetArgs};
use crate::compare::{self, Closer, Comparison, Method, Side, SideInput, TestSettings, Verdict};
use crate::config::Tiers;
use crate::control::Server;
use crate::data::{RunData, TestData};
use crate::discover::select::Selection;
use crate::discover::{self, Found, LoadTest, Workspace};
use crate::failure::{Failure, OrExit, plain};
use crate::fingerprint;
use crate::git::{CiEnvironment, Repository};
use crate::launch::Signals;
use crate::machine;
use crate::session::Session;
use crate::store::Store;
use crate::verdict::{ExitCode, TestFacts};

use conclude::Conclusion;
use execute::{Binaries, Common, Plan};
use reference::{DuetBase, Places, Reference, Stored};
use session::Setting;

/// Notes that are shown at most.
const MAX_NOTES: usize = 10;

/// Does what `cargo loadtest` was asked to do, and returns the exit code of the judgement.
///
/// # Errors
/// If it does not come to a judgement: nothing found, nothing built, nowhere to write.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let signals = Signals::install()?;
    let workspace = Workspace::read(&args.target)?;
    let tiers = Tiers::read(workspace.root(), &args.load)?;
    // Before anything is built or stored: the address may be taken.
    let control = match args.control {
        Some(address) if !args.list => Some(open_control(address, args)?),
        _ => None,
    };
    let repository = Repository::find(workspace.root());
    let store = Store::open(workspace.root(), tiers.store())?;
    let reference = match args.list {
        true => Reference::NotAsked,
        false => reference(args, &store, repository.as_ref())?,
    };
    if let Some(nothing) = reference.nothing_to_compare()
        && args.save_baseline.is_none()
    {
        return conclude::nothing(args, &workspace, repository.as_ref(), &nothing);
    }

    let found = match discover::find(&workspace, &args.target) {
        Ok(found) => found,
        Err(_) if signals.interrupted() => return Err(interrupted()),
        Err(failure) => return Err(failure),
    };
    if let Some(since) = args.target.changed_since.as_deref().filter(|_| unchanged(&found, &args.target)) {
        let nothing = format!(
            "= NOTHING TO RUN. No load test that is meant lies in a package that changed since {since}."
        );
        if args.list {
            // An empty list is one.
            eprintln!("{}", plain(&nothing));
            crate::terminal::print_out(&tests_list::show(&[], args.format)?)?;
            return Ok(ExitCode::Passed);
        }
        return conclude::nothing(args, &workspace, repository.as_ref(), &plain(&nothing));
    }
    let mut chosen = choose(&workspace, &found, &args.target)
        .map_err(|failure| with_hint(failure, nothing::command_hint(&args.target.filters, args.control)))?;
    order::arrange(&mut chosen, &found.tests, &args.test_order).or_exit(ExitCode::Usage)?;
    warn(&workspace, &found, &tiers, &args.target);
    if args.list {
        crate::terminal::print_out(&tests_list::show(&chosen, args.format)?)?;
        return Ok(ExitCode::Passed);
    }
    // Every test's options are looked at before the first one runs.
    let plans = chosen
        .iter()
        .map(|test| Plan::new(test, &tiers))
        .collect::<Result<Vec<_>, _>>()
        .or_exit(ExitCode::Usage)?;
    let settings = settings(&chosen, &tiers).or_exit(ExitCode::Usage)?;
    note(&chosen, &tiers, &args.target);
    let shortened = match &reference {
        Reference::Duet(_) | Reference::Stored(_) => shortened(&plans, &settings),
        _ => Ok(plans.clone()),
    };
    // Stored runs are compared at their own length; only what a duet would take is told then.
    let shortened = match (&reference, shortened) {
        (Reference::Stored(_), Err(_)) => plans.clone(),
        (_, shortened) => shortened.or_exit(ExitCode::Usage)?,
    };
    let schedule = match &reference {
        Reference::Duet(_) => Some(duet::schedule(&shortened, &settings, args)?),
        _ => None,
    };
    if let Some(schedule) = schedule.as_ref().filter(|_| !args.target.quiet) {
        eprintln!("{}", schedule.announcement());
        schedule.warnings(&shortened).iter().for_each(|warning| eprintln!("warning: {warning}"));
    }
    let cores = match args.pin {
        true => Some(machine::split().map_err(|why| Failure::new(ExitCode::Usage, format!("--pin: {why}")))?),
        false => None,
    };
    let binaries = match workspace.build_services(&chosen, &args.target) {
        Err(_) if signals.interrupted() => return Err(interrupted()),
        built => built?,
    };
    if signals.interrupted() {
        return Err(interrupted());
    }

    let started = Timestamp::now();
    let seed = args.seed.unwrap_or_else(random_seed);
    if !args.target.quiet {
        let tests =
            if plans.len() == 1 { "1 load test".to_owned() } else { format!("{} load tests", plans.len()) };
        eprintln!("Running {tests}, seed {seed}");
    }
    // A port that was chosen here is known nowhere else.
    if let Some(control) = &control
        && (!args.target.quiet || args.control.is_some_and(|asked| asked.port() == 0))
    {
        eprintln!("Controlled at {}", control.address());
    }
    let ready = Ready {
        workspace: &workspace,
        repository: repository.as_ref(),
        store: &store,
        revision: repository.as_ref().map(Repository::revision).unwrap_or_default(),
        plans: &plans,
        shortened: &shortened,
        settings: &settings,
        binaries: &binaries,
        common: Common {
            args,
            service: tiers.service(),
            cores: cores.as_ref(),
            control: control.as_ref(),
            signals: &signals,
        },
        setting: Setting {
            started_at: started.to_string(),
            fingerprint: fingerprint::read(workspace.root()),
            profile: args.target.profile.clone(),
            repeat: repeat::command(args, &tiers, seed),
        },
        sessions: store.sessions().sessions,
        started,
        seed,
    };
    match (reference, schedule) {
        (Reference::Duet(base), Some(schedule)) => ready.in_turn_with(*base, &schedule),
        (reference, _) => ready.alone(&reference, &BTreeMap::new()),
    }
}

/// Whether `--changed-since` leaves nothing of what is meant.
fn unchanged(found: &Found, args: &TargetArgs) -> bool {
    let selection = Selection { filters: &args.filters, exact: args.exact };
    !found.tests.iter().any(|test| selection.takes(&test.id, &test.name))
}

/// What is compared with, told before anything is built.
fn reference(args: &Args, store: &Store, repository: Option<&Repository>) -> Result<Reference, Failure> {
    let environment = CiEnvironment::read();
    let places = Places { store, repository, environment: &environment };
    may_save(args, &places)?;
    let reference = reference::find(&places, args)?;
    reference.remind();
    if let Some(line) = reference.announcement(Timestamp::now()).filter(|_| !args.target.quiet) {
        eprintln!("{}", plain(&line));
        if repository.is_some_and(|repository| repository.revision().dirty) {
            eprintln!("note: files differ from the last commit; they are measured as they are");
        }
    }
    Ok(reference)
}

/// Everything that is needed to run tests.
struct Ready<'a> {
    workspace: &'a Workspace,
    repository: Option<&'a Repository>,
    store: &'a Store,
    revision: Revision,
    plans: &'a [Plan<'a>],
    /// The same with the length of load that a comparison wants.
    shortened: &'a [Plan<'a>],
    settings: &'a BTreeMap<String, CompareSettings>,
    binaries: &'a Binaries,
    common: Common<'a>,
    setting: Setting,
    sessions: Vec<Session>,
    started: Timestamp,
    seed: u64,
}

impl Ready<'_> {
    /// Runs this tree in turn with another revision; alone if no test can be run on both.
    fn in_turn_with(&self, base: DuetBase, schedule: &duet::Schedule) -> Result<ExitCode, Failure> {
        let Some(repository) = self.repository else {
            return Err(Failure::new(ExitCode::Internal, "the git repository is gone"));
        };
        let outcome = duet::run(
            &duet::Duet {
                name: &base.name,
                base: &base.revision,
                why: &base.why,
                workspace: self.workspace,
                repository,
                revision: &self.revision,
                plans: self.shortened,
                whole: self.plans,
                settings: self.settings,
                binaries: self.binaries,
                store: self.store,
                sessions: &self.sessions,
                common: &self.common,
                setting: &self.setting,
                seed: self.seed,
            },
            schedule,
        )?;
        let compared = match outcome {
            duet::Outcome::Compared(compared) => compared,
            duet::Outcome::Unfit(unfit) => {
                for (id, why) in &unfit {
                    eprintln!("{}", plain(&format!("{id} can't be compared with {}: {why}", base.name)));
                }
                let reference = match base.instead {
                    Some(stored) => {
                        let why = "no test can be run on both sides".to_owned();
                        Reference::Stored(Box::new(Stored { why, ..*stored }))
                    }
                    None => Reference::Duet(Box::new(base)),
                };
                return self.alone(&reference, &unfit);
            }
        };
        let mut comparison = compared.comparison;
        comparison.repeat = repeat::comparison(&self.setting.repeat, &base.revision.commit);
        let directory = self.store.begin(self.revision.commit.as_deref())?;
        let shown: Vec<&RunData> = compared.head.iter().chain(&compared.alone).collect();
        let judged = comparison.tests.iter().filter(|test| test.verdict != Verdict::NotComparable);
        let judged = judged.map(|test| test.id.as_str()).collect();
        let tests = session::gather(&shown, &self.ids(), self.store, &directory, &judged)?;
        let document = self.setting.document(directory.id(), self.started, self.revision.clone(), &tests);
        conclude::conclude(Conclusion {
            args: self.common.args,
            workspace: self.workspace,
            store: self.store,
            repository: self.repository,
            reference: &Reference::Duet(Box::new(base)),
            setting: &self.setting,
            shown: RunData { document, tests, baseline_missing: None, missing_because: None },
            shown_base: session::one_of_each(&compared.base, &self.ids()),
            directory,
            base: Some(&compared.base),
            head: Some(&compared.head),
            comparison: Some(comparison),
            interrupted: self.common.signals.interrupted(),
        })
    }

    /// Runs this tree and compares it with what is stored, if that was asked for. `unfit`: why tests can't be run in a
    /// duet, by id.
    fn alone(&self, reference: &Reference, unfit: &BTreeMap<String, String>) -> Result<ExitCode, Failure> {
        let measured = repetitions::run(&repetitions::Repetitions {
            plans: self.plans,
            // In a duet that came to nothing `runs` meant pairs.
            runs: if unfit.is_empty() { repetitions::wanted(self.settings, reference) } else { 1 },
            workspace: self.workspace,
            binaries: self.binaries,
            store: self.store,
            revision: &self.revision,
            common: &self.common,
            setting: &self.setting,
            started: self.started,
            seed: self.seed,
        })?;
        let head: Vec<&RunData> = match measured.runs.is_empty() {
            true => vec![&measured.shown],
            false => measured.runs.iter().collect(),
        };
        let (comparison, shown_base) = match reference {
            Reference::Stored(stored) => {
                let comparison = self.with_stored(stored, &head, unfit);
                (Some(comparison), session::one_of_each(&stored.runs, &self.ids()))
            }
            Reference::Duet(base) => {
                (Some(session::none_compared(base, &measured.shown, self.plans, unfit)), None)
            }
            Reference::NotAsked | Reference::Missing { .. } | Reference::Same { .. } => (None, None),
        };
        conclude::conclude(Conclusion {
            args: self.common.args,
            workspace: self.workspace,
            store: self.store,
            repository: self.repository,
            reference,
            setting: &self.setting,
            shown: measured.shown,
            shown_base,
            directory: measured.directory,
            base: None,
            head: Some(measured.runs.as_slice()).filter(|runs| !runs.is_empty()),
            comparison,
            interrupted: measured.interrupted,
        })
    }

    /// Compares fresh runs with stored ones: with the history of their name if there is enough of it.
    fn with_stored(
        &self,
        stored: &Stored,
        head: &[&RunData],
        unfit: &BTreeMap<String, String>,
    ) -> Comparison {
        let comparable = compare::comparable_sessions(&stored.history, head).len();
        let enough = comparable >= compare::FEWEST_SESSIONS;
        let base: Vec<&RunData> = stored.runs.iter().collect();
        let own = |id: &str| TestSettings::from(&self.settings.get(id).cloned().unwrap_or_default());
        let base_side = Side {
            name: Some(stored.name.clone()),
            is_saved: stored.is_saved,
            sessions: if enough { u32::try_from(comparable).unwrap_or(u32::MAX) } else { 1 },
            ..session::side(&base)
        };
        let comparison = compare::compare(&compare::Input {
            base: SideInput { side: base_side, runs: base },
            head: SideInput { side: session::side(head), runs: head.to_vec() },
            // Without runs of its own there are only the sessions, however few.
            method: if enough || stored.runs.is_empty() {
                Method::History(&stored.history)
            } else {
                Method::Stored
            },
            why: stored.why.clone(),
            settings: &own,
            noise: &self.sessions,
            again: if stored.is_saved { format!("--save-baseline {}", stored.name) } else { String::new() },
        });
        // A name that is no revision still has the commit that was measured under it.
        let first = stored.runs.first().map(|run| &run.document.revision).filter(|_| unfit.is_empty());
        let measured = first.filter(|revision| !revision.dirty).and_then(|first| first.commit.as_deref());
        let other = measured.filter(|commit| {
            let here = |repository: &Repository| repository.resolve(commit, &CiEnvironment::read()).is_ok();
            Some(*commit) != self.revision.commit.as_deref() && self.repository.is_some_and(here)
        });
        let name = match (&stored.revision, other) {
            (Some(_), _) => Some(stored.name.as_str()),
            (None, Some(commit)) => commit.get(..12),
            (None, None) => None,
        };
        let closer = name.and_then(|name| {
            let schedule = duet::schedule(self.shortened, self.settings, self.common.args).ok()?;
            let command = repeat::duet(&self.setting.repeat, name, self.seed);
            Some(Closer { command, minutes: schedule.minutes() })
        });
        let args = self.common.args;
        let of_duets = [
            (args.max_time.is_some(), "--max-time"),
            (args.inconclusive == InconclusivePolicy::Extend, "--inconclusive extend"),
        ];
        let ignored = of_duets.into_iter().filter(|(given, _)| *given);
        let ignored =
            ignored.map(|(_, option)| format!("{option} is about pairs of runs, and there are none here"));
        let no_duet = unfit.iter().map(|(id, why)| format!("no duet of {id}: {why}"));
        let warnings = comparison.warnings.iter().cloned().chain(no_duet).chain(ignored).collect();
        let repeat = repeat::stored(&self.setting.repeat, &stored.name);
        Comparison { closer, repeat, warnings, ..comparison }
    }

    fn ids(&self) -> Vec<&str> {
        self.plans.iter().map(|plan| plan.test.id.as_str()).collect()
    }
}

/// Whether the runs of this tree may become the baseline that they shall be.
fn may_save(args: &Args, places: &Places<'_>) -> Result<(), Failure> {
    let (Some(name), false, Some(repository)) = (&args.save_baseline, args.force, places.repository) else {
        return Ok(());
    };
    match repository.refuse_to_save(name, places.environment) {
        Some(why) => {
            Err(Failure::new(ExitCode::Usage, format!("the baseline `{name}` can't be saved: {why}")))
        }
        None => Ok(()),
    }
}

/// How each test is compared, by id.
fn settings(
    chosen: &[&LoadTest],
    tiers: &Tiers,
) -> Result<BTreeMap<String, CompareSettings>, loadtest_core::Error> {
    chosen.iter().map(|test| Ok((test.id.clone(), tiers.compare(test)?))).collect()
}

/// The tests with the length of load that a comparison wants.
fn shortened<'a>(
    plans: &[Plan<'a>],
    settings: &BTreeMap<String, CompareSettings>,
) -> Result<Vec<Plan<'a>>, loadtest_core::Error> {
    let shorter = |plan: &Plan<'a>| match settings.get(&plan.test.id).and_then(|own| own.compare_duration) {
        Some(to) => plan.shortened(to).map_err(|error| error.context(&plan.test.id)),
        None => Ok(plan.clone()),
    };
    plans.iter().map(shorter).collect()
}

/// The tests that the filters mean, in the order in which they were found.
///
/// # Errors
/// If there are none, or a filter matches none of them, with what there is.
pub(crate) fn choose<'t>(
    workspace: &Workspace,
    found: &'t Found,
    args: &TargetArgs,
) -> Result<Vec<&'t LoadTest>, Failure> {
    let selection = Selection { filters: &args.filters, exact: args.exact };
    let chosen: Vec<&LoadTest> =
        found.tests.iter().filter(|test| selection.takes(&test.id, &test.name)).collect();
    // A word that means nothing may be a test that was not run, or the value of an option.
    let unmatched = selection.unmatched(&found.tests);
    if chosen.is_empty() || !unmatched.is_empty() {
        let selection = Selection { filters: &unmatched, ..selection };
        let failure = Failure::new(ExitCode::NoTests, nothing::message(workspace, found, &selection));
        return Err(with_hint(failure, nothing::value_hint(&unmatched, &args.detached)));
    }
    Ok(chosen)
}

/// Says on standard error what `loadtest.toml` has about tests that there are not. What is said of packages
/// that were not looked at may be right.
pub(crate) fn warn(workspace: &Workspace, found: &Found, tiers: &Tiers, args: &TargetArgs) {
    let selected = workspace.selected_names();
    let all = args.workspace && args.exclude.is_empty() && args.changed_since.is_none();
    let narrowed = !args.package.is_empty() || !args.exclude.is_empty() || args.changed_since.is_some();
    let elsewhere = |package: &str| match package.contains('*') {
        true => narrowed,
        false => !all && !selected.contains(&package),
    };
    for warning in tiers.warnings(&found.tests, elsewhere) {
        eprintln!("warning: {}", plain(&warning));
    }
}

/// Says on standard error of which tests another place than the attribute made another load.
pub(crate) fn note(chosen: &[&LoadTest], tiers: &Tiers, args: &TargetArgs) {
    if args.quiet {
        return;
    }
    let notes: Vec<String> = chosen.iter().flat_map(|test| tiers.notes(test)).collect();
    for note in notes.iter().take(MAX_NOTES) {
        eprintln!("note: {}", plain(note));
    }
    if notes.len() > MAX_NOTES {
        eprintln!("note: the load of {} more was replaced too", notes.len() - MAX_NOTES);
    }
}

/// Listens for `--control`. Who has the address may be the very run that a command was meant for.
fn open_control(address: std::net::SocketAddr, args: &Args) -> Result<Server, Failure> {
    let command = nothing::command_hint(&args.target.filters, Some(address));
    Server::open(address).map_err(|error| with_hint(error.into(), command))
}

fn with_hint(failure: Failure, hint: Option<String>) -> Failure {
    match hint {
        Some(hint) => Failure::new(failure.code, format!("{:#}\nhint: {hint}", failure.error)),
        None => failure,
    }
}

fn facts(tests: &[TestData]) -> Vec<TestFacts<'_>> {
    tests.iter().map(facts_of).collect()
}

/// What the judgement looks at of one test.
fn facts_of(test: &TestData) -> TestFacts<'_> {
    // Of a rate, the sum counts what was true: here the iterations that failed.
    let failed = test.total(Builtin::IterationsFailed.name(), |_| true);
    TestFacts {
        id: &test.document.id,
        outcome: &test.document.outcome,
        invalid: &test.document.invalid,
        succeeded: failed.count.saturating_sub(failed.sum.round() as u64),
    }
}

pub(crate) fn interrupted() -> Failure {
    Failure::new(ExitCode::Interrupted, "interrupted before any test ran")
}

/// Short enough to be typed again, and the same in every reader of JSON.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) & u64::from(u32::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::tests_list::tests::load_test;
}
