//! One test on its way through the guards to a verdict.
//!
//! The main type is [`Case`]: [`Case::of`] gathers what there is, [`Case::conclude`] makes the document's part of it
//! and of the judgement. What is said of a comparison is in `wording`.
//!
//! Refuses to do: looking at any other test.

use loadtest_core::options::{Shape, Workload};

use super::evidence::{
    self, Evidence, FEWEST_WINDOWS, FEWEST_WINDOWS_OF_EVENTS, Setting, pairs::Pair, stored,
};
use super::extract::Measured;
use super::guards::{self, Run, Stop};
use super::noise::Noise;
use super::records::{comparable, find, paired};
use super::segments::{self, Segments, Window};
use super::shown;
use super::trend::trend;
use super::wording::Voice;
use super::{
    Distance, FEWEST_SESSIONS, Input, Method, MetricComparison, Mode, ShiftPoint, SideName, TestComparison,
    TestSettings, Verdict, capacity, distribution, gates,
};
use crate::data::{RunData, TestData};
use crate::session::{Session, TestRecord};
use crate::stats::NotJudged;
use crate::stats::pairs::FEWEST_PAIRS;
use crate::stats::{EventCounts, JudgeRule, MetricJudgement, TestEvidence};

/// Pairs that are named when they are left out.
const SHOWN_PAIRS: usize = 4;

/// A test on its way to a verdict.
pub(super) struct Case {
    id: String,
    file: String,
    line: u32,
    /// Whether the base has it.
    pub(super) known: bool,
    /// Why it is not judged. What evidence there is, is only shown then.
    stop: Option<Stop>,
    evidence: Evidence,
    /// The judgement of a capacity search, which takes the place of the evidence.
    found: Option<capacity::Found>,
    /// What the reader should know.
    reasons: Vec<String>,
    rule: JudgeRule,
    is_stored: bool,
    runs: usize,
    shift: Vec<ShiftPoint>,
    distance: Option<Distance>,
    voice: Voice,
    settings: TestSettings,
}

impl Case {
    /// What there is to know of a test of head.
    pub(super) fn of(input: &Input<'_>, id: &str) -> Self {
        let settings = (input.settings)(id);
        let (mode, usual) = match &input.method {
            Method::Duet { .. } => (Mode::Duet, JudgeRule::DUET),
            Method::History(_) => (Mode::History, JudgeRule::HISTORY),
            Method::Stored => (Mode::Stored, JudgeRule::STORED),
        };
        let mut case = Self {
            id: id.to_owned(),
            file: String::new(),
            line: 0,
            known: true,
            stop: None,
            evidence: Evidence::default(),
            found: None,
            reasons: Vec::new(),
            rule: settings.rule(usual),
            is_stored: false,
            runs: 0,
            shift: Vec::new(),
            distance: None,
            voice: Voice::new(mode, &input.again),
            settings,
        };
        let (base, head) = (runs_of(&input.base.runs, id), runs_of(&input.head.runs, id));
        let definitions =
            head.first().map(|run| run.test.document.definitions.as_slice()).unwrap_or_default();
        if let Some(first) = definitions.first() {
            (case.file, case.line) = (first.file.clone(), first.line);
        }
        case.runs = head.len();
        let outcome = match &input.method {
            Method::Duet { .. } if base.is_empty() => case.is_new(),
            Method::Duet { .. } => case.duet(&paired(&input.base.runs, &input.head.runs, id), input.noise),
            Method::History(history) => {
                let sessions: Vec<(&Session, &TestRecord)> = history
                    .iter()
                    .filter_map(|session| Some((session, comparable(session, &input.head.runs, id)?)))
                    .collect();
                let is_search = head.iter().any(is_search);
                let ever = history.iter().any(|session| session.tests.iter().any(|test| test.id == id));
                match (sessions.len() >= FEWEST_SESSIONS && !is_search, base.is_empty()) {
                    (true, _) => case.history(&sessions, &base, &head),
                    (false, false) => {
                        case.fall_back(sessions.len(), is_search);
                        case.stored(&base, &head)
                    }
                    (false, true) if ever => case.too_few(sessions.len()),
                    (false, true) => case.is_new(),
                }
            }
            Method::Stored if base.is_empty() => case.is_new(),
            Method::Stored => case.stored(&base, &head),
        };
        case.stop = outcome.err();
        case
    }

    fn is_new(&mut self) -> Result<(), Stop> {
        self.known = false;
        let advice = self.voice.or_save("one that has it");
        let reason = format!("a new test, which {} does not have{advice}", self.voice.side(SideName::Base));
        Err(Stop { verdict: Verdict::NotComparable, reasons: vec![reason] })
    }

    fn too_few(&mut self, sessions: usize) -> Result<(), Stop> {
        let missing = FEWEST_SESSIONS - sessions.min(FEWEST_SESSIONS);
        let advice = self.voice.or_save(&format!("{missing} more"));
        let reason = format!(
            "{sessions} earlier sessions have the same load on this class of machine, and {FEWEST_SESSIONS} are \
             needed{advice}"
        );
        Err(Stop { verdict: Verdict::Inconclusive, reasons: vec![reason] })
    }

    fn fall_back(&mut self, sessions: usize, is_search: bool) {
        let why = match is_search {
            true => "capacities are not compared with a history".to_owned(),
            false => format!(
                "{sessions} earlier sessions have the same load on this class of machine, and {FEWEST_SESSIONS} are \
                 needed to tell less"
            ),
        };
        self.voice = self.voice.in_mode(Mode::Stored);
        self.reasons.push(format!("judged as one stored session against another: {why}"));
    }

    fn setting(&self, workloads: &Workloads, segments: &Segments) -> Setting<'static> {
        Setting {
            basis: segments.basis,
            closed: !workloads.values().all(is_open),
            open: workloads.values().any(is_open),
            latency_withheld: None,
            rule: self.rule,
            gate: &[],
        }
    }

    fn duet(&mut self, pairs: &[(Option<Run<'_>>, Option<Run<'_>>)], noise: &[Session]) -> Result<(), Stop> {
        let base: Vec<Run<'_>> = pairs.iter().filter_map(|(base, _)| *base).collect();
        let head: Vec<Run<'_>> = pairs.iter().filter_map(|(_, head)| *head).collect();
        let Some(first) = head.first() else { return Ok(()) };
        guards::completed(&base, &head, &self.voice)?;
        self.reasons.extend(guards::same_load(&base, &head, &self.voice)?);
        guards::undisturbed(&base, &head, &self.voice)?;

        let workloads = &first.test.document.outcome.workloads;
        let search = is_search(first);
        let segments = Segments::of(workloads, shortest(&[&base, &head]));
        let windows = |run: &Run<'_>| if search { Vec::new() } else { segments.windows(run.test) };
        let mut left_out = Vec::new();
        let mut sound = Vec::new();
        for (place, (base, head)) in pairs.iter().enumerate() {
            let mut is_sound = true;
            for (side, run) in [(SideName::Base, base), (SideName::Head, head)] {
                let who = self.voice.side(side);
                let found = match run {
                    None => Some(format!("it has no run of {who}")),
                    Some(run) => guards::troubles_of_generator(run.test, &windows(run))
                        .first()
                        .map(|trouble| format!("{who} can't be trusted: {trouble}")),
                };
                is_sound &= found.is_none();
                left_out.extend(
                    found.map(|why| (run.is_some(), format!("pair {} is left out: {why}", place + 1))),
                );
            }
            sound.push(is_sound);
        }
        self.runs = sound.iter().filter(|sound| **sound).count();
        let untrusted = left_out.iter().any(|(measured, _)| *measured);
        let is_invalid = self.runs < FEWEST_PAIRS && untrusted;
        let more = left_out.len().saturating_sub(SHOWN_PAIRS);
        let mut told: Vec<String> = left_out.into_iter().map(|(_, why)| why).take(SHOWN_PAIRS).collect();
        if more > 0 {
            told.push(format!("{more} more of these"));
        }
        let verdict = Stop {
            verdict: Verdict::Invalid,
            reasons: [format!(
                "{} of {} pairs can be used, and {FEWEST_PAIRS} are needed",
                self.runs,
                pairs.len()
            )]
            .into_iter()
            .chain(told.iter().cloned())
            .collect(),
        };

        if search {
            let usable = pairs.iter().zip(&sound).filter(|(_, sound)| **sound);
            let tests: Vec<_> = usable
                .filter_map(|((base, head), _)| Some((base.as_ref()?.test, head.as_ref()?.test)))
                .collect();
            self.found = Some(capacity::judge_pairs(&tests, &self.rule, &self.voice));
        } else {
            let measure =
                |run: &Option<Run<'_>>| run.as_ref().map(|run| Measured::of(run.test, windows(run)));
            let measured: Vec<(Option<Measured>, Option<Measured>)> =
                pairs.iter().map(|(base, head)| (measure(base), measure(head))).collect();
            // Of a comparison that is invalid all values are shown, and none is judged.
            let shown = measured.iter().zip(&sound).map(|((base, head), sound)| match *sound || is_invalid {
                true => (base.as_ref(), head.as_ref()),
                false => (None, None),
            });
            let every: Vec<Pair<'_>> = shown.collect();
            let machine = &first.run.document.fingerprint;
            let noise = Noise::of(noise, &self.id, &first.test.document.workload_hash, machine);
            let runs = pairs.iter().flat_map(|(base, head)| [base, head]).flatten();
            let shortfall = runs
                .map(|run| run.test.offered(0..run.test.intervals.len()).starts.shortfall())
                .find_map(|shortfall| shortfall);
            self.measured_pairs(&every, workloads, &segments, &noise, shortfall);
        }
        if is_invalid {
            return Err(verdict);
        }
        self.reasons.append(&mut told);
        Ok(())
    }

    fn measured_pairs(
        &mut self,
        every: &[Pair<'_>],
        workloads: &Workloads,
        segments: &Segments,
        noise: &Noise<'_>,
        shortfall: Option<String>,
    ) {
        let both = every.iter().filter_map(|(base, head)| (*base).zip(*head));
        let (base, head): (Vec<&Measured>, Vec<&Measured>) = both.unzip();
        let setting = self.setting(workloads, segments);
        let offered = guards::offered(&drops(&base), &drops(&head), setting.open, &self.voice);
        let gate = std::mem::take(&mut self.settings.gate);
        // A scenario that could not start what it should is lost in the sum over all scenarios and runs.
        let withheld = offered.latency_withheld.or(shortfall.as_ref().map(|_| NotJudged::DroppedOnOneSide));
        self.reasons.extend(shortfall.filter(|_| offered.warnings.is_empty()));
        let setting = Setting { latency_withheld: withheld, gate: &gate, ..setting };
        self.evidence = evidence::pairs::evidence(every, &setting, noise, &self.voice);
        self.reasons.extend(offered.warnings);
        self.tell_trends(&base, &head, segments);
        self.tell_windows(&base, &head, FEWEST_WINDOWS_OF_EVENTS, usize::min);
        self.shift = distribution::shift(&base, &head, true);
        self.distance = distribution::distance(&base, &head);
    }

    fn history(
        &mut self,
        sessions: &[(&Session, &TestRecord)],
        base: &[Run<'_>],
        head: &[Run<'_>],
    ) -> Result<(), Stop> {
        let Some(first) = head.first() else { return Ok(()) };
        guards::completed(&[], head, &self.voice)?;
        guards::same_load(&[], head, &self.voice)?;
        guards::undisturbed(&[], head, &self.voice)?;
        if let Some((_, latest)) = sessions.iter().max_by_key(|(session, _)| session.time()) {
            let own = |definition: &loadtest_core::results::Definition| {
                (definition.scenario.clone(), definition.body_hash.clone())
            };
            let bodies = first.test.document.definitions.iter().map(own).collect();
            self.reasons.extend(guards::changed_bodies(&latest.body_hashes, &bodies, &self.voice));
        }
        let workloads = &first.test.document.outcome.workloads;
        let segments = Segments::of(workloads, shortest(&[head]));
        let measured = measure(head, &segments);
        let new: Vec<&Measured> = measured.iter().collect();
        let records: Vec<&TestRecord> = sessions.iter().map(|(_, record)| *record).collect();
        let mut old_drops = EventCounts::default();
        for run in records.iter().flat_map(|record| &record.head) {
            if let Some((events, trials)) = run.get("dropped iterations").and_then(|value| value.events) {
                old_drops.events += events;
                old_drops.trials += trials;
            }
        }
        let setting = self.setting(workloads, &segments);
        let offered = guards::offered(&old_drops, &drops(&new), setting.open, &self.voice);
        let gate = std::mem::take(&mut self.settings.gate);
        let setting = Setting { latency_withheld: offered.latency_withheld, gate: &gate, ..setting };
        self.evidence = evidence::history::evidence(&records, &new, &setting, &self.voice);
        guards::healthy(&[], &with_windows(head, &measured), &self.voice)?;
        self.reasons.extend(offered.warnings);
        self.tell_trends(&[], &new, &segments);
        // The baseline's own runs, if they are at hand, show where along the distribution it moved.
        let hash = &first.test.document.workload_hash;
        let same: Vec<Run<'_>> =
            base.iter().copied().filter(|run| run.test.document.workload_hash == *hash).collect();
        self.describe(&measure(&same, &segments), &measured);
        Ok(())
    }

    fn stored(&mut self, base: &[Run<'_>], head: &[Run<'_>]) -> Result<(), Stop> {
        let (rule, note) = self.settings.stored_rule();
        (self.rule, self.is_stored) = (rule, true);
        self.reasons.extend(note);
        let (Some(old), Some(first)) = (base.first(), head.first()) else { return Ok(()) };
        guards::completed(base, head, &self.voice)?;
        self.reasons.extend(guards::same_load(base, head, &self.voice)?);
        guards::undisturbed(base, head, &self.voice)?;
        let (here, there) = (&first.run.document.fingerprint, &old.run.document.fingerprint);

        let workloads = &first.test.document.outcome.workloads;
        if is_search(first) {
            let smallest = self.rule.decision.smallest_effect;
            let old: Vec<&TestData> = base.iter().map(|run| run.test).collect();
            let new: Vec<&TestData> = head.iter().map(|run| run.test).collect();
            self.found = Some(capacity::judge(&old, &new, smallest));
            guards::same_machine(there, here, &self.voice)?;
            return guards::healthy(&with_windows(base, &[]), &with_windows(head, &[]), &self.voice);
        }
        let segments = Segments::of(workloads, shortest(&[base, head]));
        let (old, new) = (measure(base, &segments), measure(head, &segments));
        let (old_runs, new_runs): (Vec<&Measured>, Vec<&Measured>) =
            (old.iter().collect(), new.iter().collect());
        let setting = self.setting(workloads, &segments);
        let offered = guards::offered(&drops(&old_runs), &drops(&new_runs), setting.open, &self.voice);
        let gate = std::mem::take(&mut self.settings.gate);
        let setting = Setting { latency_withheld: offered.latency_withheld, gate: &gate, ..setting };
        self.evidence = stored::evidence(&old_runs, &new_runs, &setting, &self.voice);

        guards::same_machine(there, here, &self.voice)?;
        guards::healthy(&with_windows(base, &old), &with_windows(head, &new), &self.voice)?;
        self.reasons.extend(offered.warnings);
        self.tell_trends(&old_runs, &new_runs, &segments);
        self.tell_windows(&old_runs, &new_runs, FEWEST_WINDOWS, |a, b| a + b);
        self.describe(&old, &new);
        Ok(())
    }

    fn describe(&mut self, base: &[Measured], head: &[Measured]) {
        let (base, head): (Vec<&Measured>, Vec<&Measured>) = (base.iter().collect(), head.iter().collect());
        self.shift = distribution::shift(&base, &head, false);
        self.distance = distribution::distance(&base, &head);
    }

    /// Once for each side.
    fn tell_trends(&mut self, base: &[&Measured], head: &[&Measured], segments: &Segments) {
        for (side, runs) in [(SideName::Base, base), (SideName::Head, head)] {
            self.reasons.extend(trend(runs, segments.basis, self.voice.side(side)));
        }
        self.reasons.append(&mut self.evidence.notes);
    }

    /// Says how long to hold the load if what is left of the runs of a side is too short.
    fn tell_windows(
        &mut self,
        base: &[&Measured],
        head: &[&Measured],
        needed: usize,
        over_runs: fn(usize, usize) -> usize,
    ) {
        let windows = |runs: &[&Measured]| runs.iter().map(|run| run.windows.len()).reduce(over_runs);
        if let Some((base, head)) = windows(base).zip(windows(head))
            && base.min(head) < needed
        {
            let seconds = segments::seconds_for(needed);
            self.reasons.push(self.voice.measure_longer(base, head, needed, seconds));
        }
    }

    /// The evidence that takes part in the family of all tests, unless the test is not judged.
    pub(super) fn is_judged(&self) -> bool {
        self.stop.is_none() && self.found.is_none()
    }

    /// For the judge.
    pub(super) fn for_judge(&self) -> TestEvidence {
        TestEvidence { rule: self.rule, metrics: self.evidence.metrics.clone() }
    }

    /// The document's part.
    pub(super) fn conclude(mut self, mut verdict: Verdict, metrics: &[MetricJudgement]) -> TestComparison {
        let rows = metrics.iter().zip(&self.evidence.rows);
        let mut shown: Vec<MetricComparison> = rows
            .map(|(judged, row)| (row.only_if_changed, shown::metric(judged, row, &self.voice, self.runs)))
            .filter(|(only_if_changed, metric)| {
                !only_if_changed || matches!(metric.verdict, Verdict::Regressed | Verdict::Improved)
            })
            .map(|(_, metric)| metric)
            .collect();
        if let Some(found) = self.found.take() {
            verdict = found.verdict;
            shown = found.metrics;
            self.reasons.push(capacity::ALONE.to_owned());
        }
        if let Some(stop) = self.stop.take() {
            for metric in &mut shown {
                metric.verdict = stop.verdict;
                (metric.interval, metric.p, metric.detectable) = (None, None, None);
                (metric.runs_needed, metric.reason) = (None, None);
            }
            let reasons = stop.reasons.into_iter().chain(std::mem::take(&mut self.reasons)).collect();
            return self.test(stop.verdict, reasons, shown);
        }
        let mut reasons = std::mem::take(&mut self.reasons);
        let open: Vec<&MetricComparison> =
            shown.iter().filter(|metric| metric.gate && metric.verdict == Verdict::Inconclusive).collect();
        if shown.is_empty() {
            reasons.push("nothing was measured that could be compared".to_owned());
        } else if !open.is_empty() {
            let names: Vec<&str> = open.iter().map(|metric| metric.name.as_str()).collect();
            let needed = open.iter().filter_map(|metric| metric.runs_needed).max();
            let pairs = u32::try_from(self.runs).unwrap_or(u32::MAX);
            let advice =
                self.voice.advice(needed, pairs).map_or_else(String::new, |advice| format!("; {advice}"));
            reasons.push(format!("not certain: {}{advice}", names.join(", ")));
        }
        self.test(verdict, reasons, shown)
    }

    fn test(self, verdict: Verdict, reasons: Vec<String>, metrics: Vec<MetricComparison>) -> TestComparison {
        TestComparison {
            id: self.id,
            file: self.file,
            line: self.line,
            verdict,
            rule: gates::shown(&self.rule, self.is_stored),
            runs: u32::try_from(self.runs).unwrap_or(u32::MAX),
            reasons,
            metrics,
            shift: self.shift,
            distance: self.distance,
        }
    }
}

type Workloads = std::collections::BTreeMap<String, Workload>;

/// Whether iterations start at a rate, whatever becomes of those before them.
fn is_open(workload: &Workload) -> bool {
    workload.shape.is_open()
}

fn is_search(run: &Run<'_>) -> bool {
    let workloads = &run.test.document.outcome.workloads;
    workloads.values().any(|workload| matches!(workload.shape, Shape::FindCapacity { .. }))
}

/// Seconds that the shortest of the runs measured.
fn shortest(sides: &[&[Run<'_>]]) -> f64 {
    let all = sides.iter().flat_map(|runs| runs.iter()).map(|run| segments::whole_seconds(run.test));
    all.reduce(f64::min).unwrap_or(0.0)
}

fn measure(runs: &[Run<'_>], segments: &Segments) -> Vec<Measured> {
    runs.iter().map(|run| Measured::of(run.test, segments.windows(run.test))).collect()
}

/// The runs with the windows that decide; without any where nothing was measured in windows.
fn with_windows<'a>(runs: &[Run<'a>], measured: &[Measured]) -> Vec<(Run<'a>, Vec<Window>)> {
    let windows = |place: usize| measured.get(place).map(|run| run.windows.clone()).unwrap_or_default();
    runs.iter().enumerate().map(|(place, run)| (*run, windows(place))).collect()
}

/// The runs that have a test.
fn runs_of<'a>(runs: &[&'a RunData], id: &str) -> Vec<Run<'a>> {
    runs.iter().filter_map(|run| find(run, id)).collect()
}

/// Dropped iterations of all runs of a side.
fn drops(runs: &[&Measured]) -> EventCounts {
    let sum = |of: fn(&EventCounts) -> u64| runs.iter().map(|run| of(&run.dropped)).sum();
    EventCounts {
        events: sum(|counts| counts.events),
        trials: sum(|counts| counts.trials),
        windows: Vec::new(),
    }
}
