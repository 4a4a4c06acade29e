//! A duet: both sides built, warmed up, and run in turn on one machine, to be compared pair by pair.
//!
//! The main function is [`run`]. The order of things: how many pairs and how long that takes ([`estimate`]), the base's
//! checkout and build ([`base`]), a warm-up of each side that also shows whether each measures its own service
//! ([`provenance`]), then pairs in the order ABBA ([`order`]), the service started anew and reset for each run. A pair
//! that the machine disturbed is made again once, whole; never one for its result. Nothing here judges.

mod base;
mod estimate;
mod order;
mod provenance;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use loadtest_core::options::compare::{CompareSettings, Runs};
use loadtest_core::results::{End, Revision};

use super::execute::{self, Binaries, Common, Plan, Ran, Show, Site};
use super::session::{self, Setting};
use crate::cli::InconclusivePolicy;
use crate::compare::{self, Comparison, Method, RunRecord, Side, SideInput, SideName, TestSettings, Verdict};
use crate::data::RunData;
use crate::discover::Workspace;
use crate::failure::{Failure, OrExit};
use crate::git::{Repository, Resolved};
use crate::launch::TestBinary;
use crate::session::Session;
use crate::stats::looks::LOOKS;
use crate::store::Store;
use crate::verdict::ExitCode;

use base::{BaseSide, Source, Unbuilt};
use estimate::{Estimate, FEWEST_PAIRS, words};
use order::Order;
use provenance::Origin;

/// The load of a warm-up, unless the test's own is shorter: enough for caches, connections and the CPU's clock.
const WARM_UP: Duration = Duration::from_secs(5);

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
    /// The chosen tests.
    pub(super) plans: &'a [Plan<'a>],
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

    /// What is to be expected, for a person who is about to wait for it.
    fn announcement(&self) -> String {
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
    say(schedule.announcement());
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
    let began = Instant::now();
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
    for (id, why) in &unfit {
        say(format!("{id} can't be compared: {why}"));
    }
    let comparison = play(duet, schedule, &mut players, began)?;
    Ok(Outcome::Compared(Box::new(finish(duet, players, comparison, &unfit))))
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
        for player in players.iter_mut().filter(|player| !player.settled) {
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
        }
        comparison = judge(duet, players);
        for player in players.iter_mut() {
            let verdict = comparison.tests.iter().find(|test| test.id == player.plan.test.id);
            player.settled |=
                player.over || verdict.is_some_and(|test| test.verdict != Verdict::Inconclusive);
        }
    }
    Ok(comparison)
}

fn judge(duet: &Duet<'_>, players: &[Player<'_>]) -> Comparison {
    let runs = |side: fn(&Pair) -> &RunData| -> Vec<&RunData> {
        players.iter().flat_map(|player| player.kept.iter().map(side)).collect()
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
                found: Some(duet.base.how.clone()),
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
    mut comparison: Comparison,
    unfit: &BTreeMap<String, String>,
) -> Compared {
    for plan in duet.plans {
        if let Some(why) = unfit.get(&plan.test.id) {
            session::not_compared(&mut comparison, plan, why);
        }
    }
    let (mut base, mut head) = (Vec::new(), Vec::new());
    for pair in players.into_iter().flat_map(|player| player.kept) {
        base.push(pair.base);
        head.push(pair.head);
    }
    Compared { head, base, comparison }
}

/// A run of each side.
struct Pair {
    base: RunData,
    head: RunData,
}

/// A test that both sides can run.
struct Player<'a> {
    plan: &'a Plan<'a>,
    base_root: &'a Path,
    base_binaries: &'a Binaries,
    /// The base's own test binary, if the service is a part of it.
    base_driver: Option<&'a TestBinary>,
    /// The pairs that count.
    kept: Vec<Pair>,
    /// Every run, in order.
    order: Vec<RunRecord>,
    /// Pairs made so far, those that were made again not counted.
    pairs: u32,
    /// The level of the look that it is at.
    alpha: Option<f64>,
    /// Whether there is nothing more to find out.
    settled: bool,
    /// Whether a run did not come to its end, so that more of them tell nothing.
    over: bool,
}

impl<'a> Player<'a> {
    /// Warms both sides up, and sees whether each measures its own service.
    ///
    /// # Errors
    /// Why the two can't be compared, a clause.
    fn warmed_up(
        duet: &Duet<'_>,
        plan: &'a Plan<'a>,
        base: &'a BaseSide,
        binaries: &'a Binaries,
    ) -> Result<Self, String> {
        let mut player = Self {
            plan,
            base_root: &base.root,
            base_binaries: binaries,
            base_driver: None,
            kept: Vec::new(),
            order: Vec::new(),
            pairs: 0,
            alpha: None,
            settled: false,
            over: false,
        };
        let shorter = plan.shortened(WARM_UP).ok().filter(|_| plan.seconds() > WARM_UP.as_secs_f64());
        let warm_up = shorter.as_ref().unwrap_or(plan);
        let configured = duet.common.service.is_some();
        let head = player.warm_up(duet, warm_up, SideName::Head)?;
        if provenance::origin(&head, duet.binaries, configured)? == Origin::TestProcess {
            player.base_driver = Some(&base.own_test(plan.test)?.binary);
        }
        let of_base = player.warm_up(duet, warm_up, SideName::Base)?;
        provenance::origin(&of_base, binaries, configured).map_err(|why| format!("in the base {why}"))?;
        Ok(player)
    }

    /// A run that nobody keeps.
    fn warm_up(&self, duet: &Duet<'_>, plan: &Plan<'_>, side: SideName) -> Result<Ran, String> {
        let directory =
            tempfile::tempdir().map_err(|error| format!("no directory for the warm-up: {error}"))?;
        let intervals = directory.path().join("warm-up.intervals.jsonl");
        let ran = execute::one(plan, &self.site(duet, side, intervals, duet.seed), duet.common);
        match &ran.data.document.outcome.end {
            End::Completed => Ok(ran),
            _ if duet.common.signals.interrupted() => Err("interrupted".to_owned()),
            end => Err(format!("{} did not come through its warm-up: {}", side.as_str(), how(end))),
        }
    }

    fn site<'s>(
        &'s self,
        duet: &'s Duet<'_>,
        side: SideName,
        intervals: std::path::PathBuf,
        seed: u64,
    ) -> Site<'s> {
        let (tree, binaries, driver) = match side {
            SideName::Base => (self.base_root, self.base_binaries, self.base_driver),
            SideName::Head => (duet.workspace.root(), duet.binaries, None),
        };
        Site { side, tree, binaries, driver, intervals, seed, show: Show::Bars }
    }

    /// Makes the next pair, and again if the machine disturbed it.
    fn pair(&mut self, duet: &Duet<'_>, of: u32) -> Result<(), Failure> {
        self.pairs += 1;
        let number = self.pairs;
        for again in [false, true] {
            let first = self.order.len();
            let mut runs = BTreeMap::new();
            let mut disturbed = None;
            for side in Order::seeded(duet.seed).pair(number - 1) {
                if duet.common.signals.interrupted() {
                    return Ok(());
                }
                let (run, trouble) = self.run(duet, side, number)?;
                let what = format!("pair {number} of {of}, {}", side.as_str());
                if !duet.common.args.target.quiet {
                    eprintln!("{}", session::line(&run, &self.plan.test.id, &what));
                }
                self.over |= run.tests.iter().any(|test| test.document.outcome.end != End::Completed);
                disturbed = disturbed.or(trouble);
                runs.insert(side.as_str(), run);
            }
            let Some(trouble) = disturbed.filter(|_| !again && !self.over) else {
                if let (Some(base), Some(head)) = (runs.remove("base"), runs.remove("head")) {
                    self.kept.push(Pair { base, head });
                }
                return Ok(());
            };
            eprintln!("pair {number} is made again: {trouble}");
            for record in &mut self.order[first..] {
                record.discarded = Some(trouble.clone());
            }
        }
        Ok(())
    }

    fn run(
        &mut self,
        duet: &Duet<'_>,
        side: SideName,
        pair: u32,
    ) -> Result<(RunData, Option<String>), Failure> {
        let commit = match side {
            SideName::Base => Some(duet.base.commit.as_str()),
            SideName::Head => duet.revision.commit.as_deref(),
        };
        let directory = duet.store.begin(commit)?;
        let started = Timestamp::now();
        let intervals = directory.intervals_file(&self.plan.test.id);
        // The same random numbers on both sides of a pair, others in each pair.
        let seed = duet.seed.wrapping_add(u64::from(pair));
        let Ran { data, disturbed, .. } =
            execute::one(self.plan, &self.site(duet, side, intervals, seed), duet.common);
        let revision = match side {
            SideName::Base => Revision { commit: Some(duet.base.commit.clone()), branch: None, dirty: false },
            SideName::Head => duet.revision.clone(),
        };
        self.order.push(RunRecord {
            test: self.plan.test.id.clone(),
            side,
            pair,
            run: directory.id().to_owned(),
            started_at: data.document.started_at.clone(),
            discarded: None,
        });
        let run = session::file(duet.setting, directory, started, revision, vec![data])
            .or_exit(ExitCode::Internal)?;
        Ok((run, disturbed))
    }
}

/// How a test ended, in a clause.
fn how(end: &End) -> String {
    match end {
        End::Completed => "it completed".to_owned(),
        End::Interrupted => "it was interrupted".to_owned(),
        End::Stopped => "it was stopped".to_owned(),
        End::Aborted { reason } | End::SetupFailed { reason } | End::Crashed { reason } => {
            reason.replace('\n', " ")
        }
    }
}
