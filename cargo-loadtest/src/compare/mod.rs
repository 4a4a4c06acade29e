//! Comparing two sides of the same tests: guards first, then estimates, then one of four words.
//!
//! The main type is [`Comparison`], a document of its own with a schema version, and [`compare`] makes it. The way of
//! the data: `guards` say whether the runs may be compared at all, `segments` which windows decide, `extract` what was
//! measured in them, `evidence` what to make of both sides together, by the way in which they were measured
//! ([`Method`]); the verdicts are those of [`crate::stats::judge()`]. Of tests that search for a capacity only what they
//! found is compared (`capacity`), because their load differs by design. `records` says what a session leaves for
//! later ones, and `noise` what they teach. Nothing here does input or output: numbers and reasons go to the reports as
//! data.
//!
//! The promise is that a red check means that the code got slower. So whatever is in doubt is
//! `inconclusive`, with what it would take to know.

mod capacity;
mod case;
mod distribution;
mod document;
mod evidence;
mod extract;
mod gates;
mod guards;
mod noise;
mod records;
mod segments;
mod shown;
mod trend;
mod wording;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

use case::Case;
pub use document::*;
pub use gates::{TestSettings, duet_rule, pairs_for, usual_gates};
pub use records::{comparable_sessions, records};
pub use segments::seconds_for_a_pair;

use crate::data::RunData;
use crate::session::Session;
pub use crate::stats::history::FEWEST_SESSIONS;
use crate::stats::{self, JudgeRule, judge};

/// What is compared, and how.
pub struct Input<'a> {
    /// What is compared with.
    pub base: SideInput<'a>,
    /// What is judged.
    pub head: SideInput<'a>,
    /// How the sides were measured.
    pub method: Method<'a>,
    /// Why in this way, a clause; see [`Comparison::why`].
    pub why: String,
    /// How a test is judged, by its id.
    pub settings: &'a dyn Fn(&str) -> TestSettings,
    /// Earlier sessions, of which the duets show the noise of equal code.
    pub noise: &'a [Session],
    /// How a baseline is saved anew, for advice: `--save-baseline main`. Empty if none can be.
    pub again: String,
}

/// How the sides were measured, with what goes with it.
pub enum Method<'a> {
    /// Run in turn. `runs[i]` of both sides are a pair.
    Duet {
        /// What chose the first side.
        seed: u64,
        /// All runs, in the order in which they were made, those that do not count included.
        order: Vec<RunRecord>,
    },
    /// Against the sessions that a baseline's history holds. A test that has fewer than [`FEWEST_SESSIONS`]
    /// comparable ones is judged as if stored, by the base's own runs.
    History(&'a [Session]),
    /// Against one stored session.
    Stored,
}

/// One side with its runs.
pub struct SideInput<'a> {
    /// What the document says of it.
    pub side: Side,
    /// Its runs. A run that lacks a test is none for that test; in a duet its pair is missing then.
    pub runs: Vec<&'a RunData>,
}

/// Compares two sides, test by test. `repeat` and `closer` are left empty.
///
/// Deterministic: the same input makes the same document. Its cost is that of adding up the intervals of all runs.
pub fn compare(input: &Input<'_>) -> Comparison {
    let (mode, usual) = match &input.method {
        Method::Duet { .. } => (Mode::Duet, JudgeRule::DUET),
        Method::History(_) => (Mode::History, JudgeRule::HISTORY),
        Method::Stored => (Mode::Stored, JudgeRule::STORED),
    };
    let ids = records::ids(&input.head.runs);
    let warnings = warnings(input, &ids);
    let cases: Vec<Case> = ids.iter().map(|id| Case::of(input, id)).collect();
    let family: Vec<_> = cases.iter().filter(|case| case.is_judged()).map(Case::for_judge).collect();
    let mut judged = judge(&family).into_iter();
    let mut tests = Vec::new();
    let mut verdicts = Vec::new();
    for case in cases {
        let judgement = if case.is_judged() { judged.next() } else { judge(&[case.for_judge()]).pop() };
        let (verdict, metrics) = match judgement {
            Some(judgement) => (judgement.verdict.into(), judgement.metrics),
            None => (Verdict::Inconclusive, Vec::new()),
        };
        let known = case.known;
        let test = case.conclude(verdict, &metrics);
        if known {
            verdicts.push(test.verdict);
        }
        tests.push(test);
    }
    let nothing_known = if tests.is_empty() { Verdict::Inconclusive } else { Verdict::NotComparable };
    let (order, seed) = match &input.method {
        Method::Duet { seed, order } => (order.clone(), Some(*seed)),
        Method::History(_) | Method::Stored => (Vec::new(), None),
    };
    Comparison {
        schema_version: SCHEMA_VERSION,
        mode,
        why: input.why.clone(),
        base: input.base.side.clone(),
        head: input.head.side.clone(),
        rule: gates::shown(&usual, mode == Mode::Stored),
        order,
        seed,
        repeat: String::new(),
        closer: None,
        warnings,
        tests,
        verdict: verdicts.into_iter().max_by_key(|verdict| verdict.severity()).unwrap_or(nothing_known),
    }
}

/// What the reader should know of the comparison as a whole.
fn warnings(input: &Input<'_>, ids: &[String]) -> Vec<String> {
    let mut warnings = Vec::new();
    let head = input.head.runs.first().map(|run| &run.document);
    let base = match &input.method {
        // Machine and compiler are part of the change there.
        Method::Duet { .. } => None,
        Method::History(_) | Method::Stored => input.base.runs.first().map(|run| &run.document),
    };
    if let Some((base, head)) = base.zip(head) {
        let (old, new) = ((&base.fingerprint, &*base.profile), (&head.fingerprint, &*head.profile));
        warnings.extend(guards::machine_warnings(old, new));
    }
    let is_duet = matches!(input.method, Method::Duet { .. });
    let the_base = if is_duet { "base" } else { "the baseline" };
    let missing = records::ids(&input.base.runs).into_iter().filter(|id| !ids.contains(id));
    warnings
        .extend(missing.map(|id| format!("{id} is in {the_base} and was not run: nothing is known of it")));
    if ids.is_empty() {
        warnings.push("this run has no test".to_owned());
    }
    warnings
}

impl From<stats::Verdict> for Verdict {
    fn from(verdict: stats::Verdict) -> Self {
        match verdict {
            stats::Verdict::Regressed => Self::Regressed,
            stats::Verdict::Improved => Self::Improved,
            stats::Verdict::Unchanged => Self::Unchanged,
            stats::Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}
