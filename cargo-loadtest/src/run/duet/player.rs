//! One test of a duet: its warm-ups, and its pairs of runs.
//!
//! The main type is [`Player`]. A pair that the machine disturbed is made again once, whole. A side whose program is
//! no longer the one that it was warmed up with, or whose service could not be stopped, has nothing more to tell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use loadtest_core::results::{End, Revision};

use super::Duet;
use super::base::BaseSide;
use super::order::Order;
use super::provenance::{self, Origin};
use crate::compare::{RunRecord, SideName};
use crate::data::RunData;
use crate::failure::{Failure, OrExit};
use crate::launch::TestBinary;
use crate::machine;
use crate::run::execute::{self, Binaries, Plan, Ran, Show, Site};
use crate::run::session;
use crate::verdict::ExitCode;

/// The load of a warm-up, unless the test's own is shorter: enough for caches, connections and the CPU's clock.
pub(super) const WARM_UP: Duration = Duration::from_secs(5);

/// A run of each side.
pub(super) struct Pair {
    pub(super) base: RunData,
    pub(super) head: RunData,
}

/// A test that both sides can run.
pub(super) struct Player<'a> {
    pub(super) plan: &'a Plan<'a>,
    base_root: &'a Path,
    base_binaries: &'a Binaries,
    /// The base's own test binary, if the service is a part of it.
    base_driver: Option<&'a TestBinary>,
    /// The pairs that count.
    pub(super) kept: Vec<Pair>,
    /// Every run, in order.
    pub(super) order: Vec<RunRecord>,
    /// Pairs made so far, those that were made again not counted.
    pub(super) pairs: u32,
    /// The level of the look that it is at.
    pub(super) alpha: Option<f64>,
    /// Whether there is nothing more to find out.
    pub(super) settled: bool,
    /// Whether a run did not come to its end, so that more of them tell nothing.
    pub(super) over: bool,
    /// Why the two sides can't be compared after all.
    pub(super) spoiled: Option<String>,
    /// The programs that each side's services are, by name and hash, as they were in the warm-up.
    programs: BTreeMap<&'static str, Programs>,
}

/// Programs with their hashes.
type Programs = BTreeMap<PathBuf, String>;

impl<'a> Player<'a> {
    /// Warms both sides up, and sees whether each measures its own service.
    ///
    /// # Errors
    /// Why the two can't be compared, a clause.
    pub(super) fn warmed_up(
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
            spoiled: None,
            programs: BTreeMap::new(),
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
        let of = |ran: &Ran, side: SideName| (side.as_str(), programs(ran, player.driver(side)));
        player.programs = BTreeMap::from([of(&of_base, SideName::Base), of(&head, SideName::Head)]);
        Ok(player)
    }

    /// A run that nobody keeps.
    fn warm_up(&self, duet: &Duet<'_>, plan: &Plan<'_>, side: SideName) -> Result<Ran, String> {
        let directory =
            tempfile::tempdir().map_err(|error| format!("no directory for the warm-up: {error}"))?;
        let intervals = directory.path().join("warm-up.intervals.jsonl");
        let ran = execute::one(plan, &self.site(duet, side, intervals, duet.seed), duet.common);
        match &ran.data.document.outcome.end {
            End::Completed => match &ran.unstopped {
                Some(error) => Err(format!("the service of {} could not be stopped: {error}", side.as_str())),
                None => Ok(ran),
            },
            _ if duet.common.signals.interrupted() => Err("interrupted".to_owned()),
            end => Err(format!("{} did not come through its warm-up: {}", side.as_str(), how(end))),
        }
    }

    /// The test binary that drives a side.
    fn driver(&self, side: SideName) -> &TestBinary {
        self.base_driver.filter(|_| side == SideName::Base).unwrap_or(&self.plan.test.binary)
    }

    fn site<'s>(&'s self, duet: &'s Duet<'_>, side: SideName, intervals: PathBuf, seed: u64) -> Site<'s> {
        let (tree, binaries, driver) = match side {
            SideName::Base => (self.base_root, self.base_binaries, self.base_driver),
            SideName::Head => (duet.workspace.root(), duet.binaries, None),
        };
        Site { side, tree, binaries, driver, intervals, seed, show: Show::Bars }
    }

    /// Makes the next pair, and again if the machine disturbed it.
    pub(super) fn pair(&mut self, duet: &Duet<'_>, of: u32) -> Result<(), Failure> {
        self.pairs += 1;
        let number = self.pairs;
        for again in [false, true] {
            let first = self.order.len();
            let mut runs = BTreeMap::new();
            let mut disturbed = None;
            for side in Order::seeded(duet.seed).pair(number - 1) {
                if duet.common.signals.interrupted() {
                    self.leave_out(first, "interrupted");
                    return Ok(());
                }
                let (run, trouble) = self.run(duet, side, number)?;
                let what = format!("pair {number} of {of}, {}", side.as_str());
                if !duet.common.args.target.quiet {
                    eprintln!("{}", session::line(&run, &self.plan.test.id, &what));
                }
                let whole = run.tests.iter().all(|test| {
                    let outcome = &test.document.outcome;
                    outcome.end == End::Completed && outcome.services_died.is_empty()
                });
                self.over |= !whole;
                // What the user ended is no result of this side, and half a pair compares nothing.
                if !whole && duet.common.signals.interrupted() {
                    self.leave_out(first, "interrupted");
                    return Ok(());
                }
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
            self.leave_out(first, &trouble);
        }
        Ok(())
    }

    /// Keeps the runs from this one on out of what is compared.
    fn leave_out(&mut self, first: usize, why: &str) {
        for record in &mut self.order[first..] {
            record.discarded = Some(why.to_owned());
        }
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
        let ran = execute::one(self.plan, &self.site(duet, side, intervals, seed), duet.common);
        let now = programs(&ran, self.driver(side));
        let replaced = self.programs.get(side.as_str()).is_some_and(|then| is_other(then, &now));
        if replaced {
            let why = format!(
                "the program of {} was replaced while the duet ran, by another build perhaps",
                side.as_str()
            );
            self.spoiled.get_or_insert(why);
        }
        if let Some(error) = &ran.unstopped {
            let why = format!("the service of {} could not be stopped: {error}", side.as_str());
            self.spoiled.get_or_insert(why);
        }
        self.over |= self.spoiled.is_some();
        let Ran { data, disturbed, .. } = ran;
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

/// The programs of a run: its services, and the test that drove it.
fn programs(ran: &Ran, driver: &TestBinary) -> Programs {
    let services = ran.executables.iter();
    let services = services.map(|executable| (executable.path.clone(), executable.sha256.clone()));
    let driver = machine::sha256_of(&driver.executable).ok().map(|hash| (driver.executable.clone(), hash));
    services.chain(driver).collect()
}

/// Whether a program is another one than it was. Where the system does not tell, nothing is known to have changed.
fn is_other(then: &Programs, now: &Programs) -> bool {
    now.iter().any(|(path, hash)| then.get(path).is_some_and(|before| before != hash))
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
