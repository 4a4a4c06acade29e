//! A duet: both sides built, warmed up, and run in turn on one machine, to be compared pair by pair.
//!
//! The main function is [`run`]. The order of things: how many pairs and how long that takes ([`estimate`]), the base's
//! checkout and build ([`base`]), a warm-up of each side that also shows whether each measures its own service
//! ([`provenance`]), then pairs in the order ABBA ([`order`]), the service started anew and reset for each run. A pair
//! that the machine disturbed is made again once, whole; never one for its result. Nothing here judges.

mod base;
mod estimate;
mod order;
mod player;
mod provenance;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use loadtest_core::options::compare::{CompareSettings, Runs};
use loadtest_core::results::Revision;

use super::execute::{self, Binaries, Common, Plan, Show, Site};
use super::session::{self, Setting};
use crate::cli::InconclusivePolicy;
use crate::compare::{self, Comparison, Method, RunRecord, Side, SideInput, SideName, TestSettings, Verdict};
use crate::data::RunData;
use crate::discover::Workspace;
use crate::failure::{Failure, OrExit};
use crate::git::{Repository, Resolved};
use crate::session::Session;
use crate::stats::looks::LOOKS;
use crate::store::Store;
use crate::verdict::ExitCode;

use base::{BaseSide, Source, Unbuilt};
use estimate::{Estimate, FEWEST_PAIRS, words};
use player::{Pair, Player, WARM_UP};

/// What a duet is made of.
pub(super) struct Duet<'a> {
    /// The base as the user wrote it.
    pub(super) name: &'a str,
    /// What that is.
    pub(super) base: &'a Resolved,
    /// Why a duet.
    pub(super) why: &'a str,
    /// This tree.
    pub(super) workspace: &'a Workspace,
    /// Its repository.
    pub(super) repository: &'a Repository,
    /// Its revision.
    pub(super) revision: &'a Revision,
    /// The chosen tests, with the length of load that a comparison wants.
    pub(super) plans: &'a [Plan<'a>],
    /// The same tests as they are.
    pub(super) whole: &'a [Plan<'a>],
    /// How each is compared, by id.
    pub(super) settings: &'a BTreeMap<String, CompareSettings>,
    /// Head's services.
    pub(super) binaries: &'a Binaries,
    /// Where runs are kept.
    pub(super) store: &'a Store,
    /// Earlier sessions, for the noise that was learnt.
    pub(super) sessions: &'a [Session],
    /// What runs have in common.
    pub(super) common: &'a Common<'a>,
    /// What a run's document says besides.
    pub(super) setting: &'a Setting,
    /// Chooses the first side, and the random numbers of each pair.
    pub(super) seed: u64,
}

/// What came of it.
pub(super) enum Outcome {
    /// Runs of both sides.
    Compared(Box<Compared>),
    /// No test could be run on both sides: why, by id.
    Unfit(BTreeMap<String, String>),
}

/// Runs of both sides.
pub(super) struct Compared {
    /// Head's runs, those of a pair at the same index as the base's.
    pub(super) head: Vec<RunData>,
    /// The base's runs.
    pub(super) base: Vec<RunData>,
    /// Head's runs of tests that can't be run on both sides: what they show by themselves still counts.
    pub(super) alone: Vec<RunData>,
    /// What they say.
    pub(super) comparison: Comparison,
}

/// How many pairs the tests get, and what that takes.
///
/// # Errors
/// If the settings can't be: an odd wish, or too little time.
pub(super) fn schedule(
    plans: &[Plan<'_>],
    settings: &BTreeMap<String, CompareSettings>,
    args: &crate::cli::Args,
) -> Result<Schedule, Failure> {
    let usage = |message: String| Failure::new(ExitCode::Usage, message);
    let extend = args.inconclusive == InconclusivePolicy::Extend;
    let mut gates = 0;
    let mut wanted = BTreeMap::new();
    for plan in plans {
        let id = &plan.test.id;
        let settings = settings.get(id).cloned().unwrap_or_default();
        gates += compare::usual_gates(&settings.gate);
        match settings.runs {
            Some(Runs::Exactly(runs)) if runs < FEWEST_PAIRS => {
                return Err(usage(format!(
                    "{id}: {runs} pairs of runs are too few to be judged\nhint: `--runs {FEWEST_PAIRS}` is the \
                     fewest, `--runs auto` takes as many as are needed"
                )));
            }
            Some(Runs::Exactly(_)) if extend => {
                return Err(usage(format!(
                    "{id}: `--inconclusive extend` makes 4, 7 and 10 pairs, which `runs` contradicts\nhint: take one of \
                     them out"
                )));
            }
            runs => drop(wanted.insert(id.clone(), runs)),
        }
        if extend && settings.alpha.is_some() {
            return Err(usage(format!(
                "{id}: `--inconclusive extend` looks three times, at levels that add up to 5 %, which `alpha` \
                 contradicts\nhint: take one of them out"
            )));
        }
    }
    let loads: Vec<(f64, f64)> =
        plans.iter().map(|plan| (plan.seconds(), plan.seconds().min(WARM_UP.as_secs_f64()))).collect();
    let estimate = Estimate::of(&loads);
    let auto = compare::pairs_for(gates);
    let most = wanted.values().map(|runs| match runs {
        Some(Runs::Exactly(runs)) => *runs,
        _ if extend => LOOKS[0].0,
        _ => auto,
    });
    let most = most.max().unwrap_or(auto);
    let fitting = estimate.fit(most, args.max_time).map_err(usage)?;
    let pairs = wanted.into_iter().map(|(id, runs)| {
        let pairs = match runs {
            Some(Runs::Exactly(runs)) => runs,
            _ => auto,
        };
        (id, pairs.min(fitting))
    });
    Ok(Schedule { pairs: pairs.collect(), fitting, estimate, extend, most: args.max_time })
}

/// How many pairs, and how long.
#[derive(Debug)]
pub(super) struct Schedule {
    pairs: BTreeMap<String, u32>,
    fitting: u32,
    estimate: Estimate,
    extend: bool,
    most: Option<Duration>,
}

impl Schedule {
    /// Minutes that the runs take.
    pub(super) fn minutes(&self) -> f64 {
        self.estimate.seconds(self.fitting) / 60.0
    }

    /// What such runs can't tell, known before they are made.
    pub(super) fn warnings(&self, plans: &[Plan<'_>]) -> Vec<String> {
        let needed = compare::seconds_for_a_pair();
        let short = plans.iter().filter(|plan| plan.is_timed() && plan.seconds() < needed);
        let warn = |plan: &Plan<'_>| {
            format!(
                "{}: a load of {} is too short to be judged; {needed:.0}s or more is needed",
                plan.test.id,
                words(plan.seconds())
            )
        };
        short.map(warn).collect()
    }

    /// What is to be expected, for a person who is about to wait for it.
    pub(super) fn announcement(&self) -> String {
        let pairs = if self.extend { LOOKS[0].0 } else { self.fitting };
        let longest = words(self.estimate.seconds(LOOKS[LOOKS.len() - 1].0));
        let extended =
            if self.extend { format!(", {longest} if it has to look closer") } else { String::new() };
        format!(
            "{pairs} pairs of runs and a warm-up of each side: about {}{extended}, building not counted",
            words(self.estimate.seconds(pairs))
        )
    }

    /// Up to how many pairs a test is run before each look.
    fn looks(&self, id: &str) -> Vec<(u32, Option<f64>)> {
        match self.extend {
            true => LOOKS.iter().map(|(pairs, alpha)| (*pairs, Some(*alpha))).collect(),
            false => vec![(self.pairs.get(id).copied().unwrap_or(self.fitting), None)],
        }
    }
}

/// Makes the duet.
///
/// # Errors
/// If a file can't be written, or the user interrupted it before there was anything to tell.
pub(super) fn run(duet: &Duet<'_>, schedule: &Schedule) -> Result<Outcome, Failure> {
    let quiet = duet.common.args.target.quiet;
    let say = |line: String| {
        if !quiet {
            eprintln!("{line}");
        }
    };
    let source = Source {
        repository: duet.repository,
        commit: &duet.base.commit,
        head: duet.workspace,
        args: &duet.common.args.target,
    };
    let every = |why: String| -> BTreeMap<String, String> {
        duet.plans.iter().map(|plan| (plan.test.id.clone(), why.clone())).collect()
    };
    say(format!("Building the base, {}", super::reference::short(&duet.base.commit)));
    let base = match BaseSide::open(&source) {
        Ok(base) => base,
        Err(Unbuilt::Because(why)) => return Ok(Outcome::Unfit(every(why))),
        Err(Unbuilt::Failed(failure)) => return Err(failure),
    };
    let mut unfit = BTreeMap::new();
    let mut services = BTreeMap::new();
    for plan in duet.plans {
        match base.services_of(plan) {
            Ok(binaries) => drop(services.insert(plan.test.id.clone(), binaries)),
            Err(Unbuilt::Because(why)) => drop(unfit.insert(plan.test.id.clone(), why)),
            Err(Unbuilt::Failed(failure)) => return Err(failure),
        }
    }
    let mut players = Vec::new();
    for plan in duet.plans {
        let Some(binaries) = services.get(&plan.test.id) else { continue };
        if duet.common.signals.interrupted() {
            break;
        }
        say(format!("{}: warming up both sides", plan.test.id));
        match Player::warmed_up(duet, plan, &base, binaries) {
            Ok(player) => players.push(player),
            Err(why) => drop(unfit.insert(plan.test.id.clone(), why)),
        }
    }
    if players.is_empty() && !duet.common.signals.interrupted() {
        return Ok(Outcome::Unfit(unfit));
    }
    let comparison = play(duet, schedule, &mut players, Instant::now())?;
    let mut alone = Vec::new();
    for plan in duet
        .whole
        .iter()
        .filter(|plan| !duet.common.signals.interrupted() && unfit.contains_key(&plan.test.id))
    {
        say(format!("{} can't be compared, and is run once: {}", plan.test.id, unfit[&plan.test.id]));
        alone.push(run_alone(duet, plan)?);
    }
    Ok(Outcome::Compared(Box::new(finish(duet, players, alone, comparison, &unfit))))
}

/// A run of head that has no other half.
fn run_alone(duet: &Duet<'_>, plan: &Plan<'_>) -> Result<RunData, Failure> {
    let directory = duet.store.begin(duet.revision.commit.as_deref())?;
    let started = Timestamp::now();
    let site = Site {
        side: SideName::Head,
        tree: duet.workspace.root(),
        binaries: duet.binaries,
        driver: None,
        intervals: directory.intervals_file(&plan.test.id),
        seed: duet.seed,
        show: Show::All,
    };
    let tests = vec![execute::one(plan, &site, duet.common).data];
    session::file(duet.setting, directory, started, duet.revision.clone(), tests).or_exit(ExitCode::Internal)
}

/// Makes pairs until every look is done, or what there is to know is known.
fn play(
    duet: &Duet<'_>,
    schedule: &Schedule,
    players: &mut [Player<'_>],
    began: Instant,
) -> Result<Comparison, Failure> {
    let rounds = players.iter().map(|player| schedule.looks(&player.plan.test.id).len()).max().unwrap_or(0);
    let mut comparison = judge(duet, players);
    for round in 0..rounds {
        let mut failed = false;
        for player in players.iter_mut().filter(|player| !player.settled) {
            // The others have no more than what they have.
            if failed && duet.common.args.fail_fast {
                eprintln!("{}: not run any further (--fail-fast)", player.plan.test.id);
                player.settled = true;
                continue;
            }
            let Some((pairs, alpha)) = schedule.looks(&player.plan.test.id).get(round).copied() else {
                continue;
            };
            player.alpha = alpha;
            while player.pairs < pairs && !player.over && !duet.common.signals.interrupted() {
                let enough = player.pairs >= FEWEST_PAIRS;
                let late = schedule.most.is_some_and(|most| began.elapsed() >= most);
                if enough && late {
                    player.settled = true;
                    break;
                }
                player.pair(duet, pairs)?;
            }
            failed |= player.over || player.kept.iter().any(|pair| has_failed(&pair.head));
        }
        comparison = judge(duet, players);
        for player in players.iter_mut() {
            let verdict = comparison.tests.iter().find(|test| test.id == player.plan.test.id);
            // More pairs may also make up for those that can't be trusted.
            let open = |verdict| matches!(verdict, Verdict::Inconclusive | Verdict::Invalid);
            player.settled |= player.over || verdict.is_some_and(|test| !open(test.verdict));
        }
    }
    Ok(comparison)
}

/// Whether a run by itself shows a failure. One that can't be trusted shows nothing.
fn has_failed(run: &RunData) -> bool {
    ![ExitCode::Passed, ExitCode::Invalid].map(ExitCode::number).contains(&run.document.exit_code)
}

fn judge(duet: &Duet<'_>, players: &[Player<'_>]) -> Comparison {
    let sound = || players.iter().filter(|player| player.spoiled.is_none());
    let runs = |side: fn(&Pair) -> &RunData| -> Vec<&RunData> {
        sound().flat_map(|player| player.kept.iter().map(side)).collect()
    };
    let (base, head) = (runs(|pair| &pair.base), runs(|pair| &pair.head));
    let ids = |runs: &[&RunData]| runs.iter().map(|run| run.document.id.clone()).collect();
    let order: Vec<RunRecord> = players.iter().flat_map(|player| player.order.iter().cloned()).collect();
    let settings = |id: &str| {
        let own = duet.settings.get(id).cloned().unwrap_or_default();
        let look = players.iter().find(|player| player.plan.test.id == id).and_then(|player| player.alpha);
        let settings = TestSettings::from(&own);
        TestSettings { alpha: look.or(settings.alpha), ..settings }
    };
    let input = compare::Input {
        base: SideInput {
            side: Side {
                name: Some(duet.name.to_owned()),
                found: Some(duet.base.how.clone()).filter(|how| how != duet.name),
                runs: ids(&base),
                commit: Some(duet.base.commit.clone()),
                started_at: duet.base.committed_at.clone(),
                ..Side::default()
            },
            runs: base,
        },
        head: SideInput {
            side: Side {
                runs: ids(&head),
                commit: duet.revision.commit.clone(),
                dirty: duet.revision.dirty,
                started_at: duet.setting.started_at.clone(),
                ..Side::default()
            },
            runs: head,
        },
        method: Method::Duet { seed: duet.seed, order },
        why: duet.why.to_owned(),
        settings: &settings,
        noise: duet.sessions,
        again: String::new(),
    };
    compare::compare(&input)
}

fn finish(
    duet: &Duet<'_>,
    players: Vec<Player<'_>>,
    mut alone: Vec<RunData>,
    mut comparison: Comparison,
    unfit: &BTreeMap<String, String>,
) -> Compared {
    for plan in duet.plans {
        if let Some(why) = unfit.get(&plan.test.id) {
            session::not_compared(&mut comparison, plan, why);
        }
    }
    let (mut base, mut head) = (Vec::new(), Vec::new());
    for player in players {
        let none = player.kept.is_empty().then(|| "no pair of runs was made".to_owned());
        if let Some(why) = player.spoiled.clone().or(none) {
            session::not_compared(&mut comparison, player.plan, &why);
        }
        for pair in player.kept {
            // What was measured beside another program is no half of a pair, neither here nor for later sessions.
            match player.spoiled {
                Some(_) => alone.push(pair.head),
                None => {
                    base.push(pair.base);
                    head.push(pair.head);
                }
            }
        }
    }
    Compared { head, base, alone, comparison }
}
