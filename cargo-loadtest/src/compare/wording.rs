//! Reasons as sentences: lowercase fragments that say what was found, and what it would take to know more.
//!
//! The main type is [`Voice`], how the sides are called. Refuses to do: anything that needs the measurements.

use super::{Mode, SideName};
use crate::stats::{Bound, NotJudged, Reason};

/// From this many pairs on, advice to make more of them is no advice.
const MOST_PAIRS: u32 = 50;

/// How the sides are called, and what can be advised.
#[derive(Debug, Clone)]
pub(super) struct Voice {
    mode: Mode,
    again: String,
}

impl Voice {
    /// `again` is how a baseline is saved anew, empty if none can be.
    pub(super) fn new(mode: Mode, again: &str) -> Self {
        Self { mode, again: again.to_owned() }
    }

    /// The same in another mode.
    pub(super) fn in_mode(&self, mode: Mode) -> Self {
        Self { mode, ..self.clone() }
    }

    /// Whether a number of runs is one of pairs.
    pub(super) fn counts_pairs(&self) -> bool {
        self.mode == Mode::Duet
    }

    /// A side by its name.
    pub(super) fn side(&self, side: SideName) -> &'static str {
        match (self.mode, side) {
            (Mode::Duet, side) => side.as_str(),
            (Mode::Stored | Mode::History, SideName::Base) => "the baseline",
            (Mode::Stored | Mode::History, SideName::Head) => "this run",
        }
    }

    /// Some of the runs of a side, as the subject of a sentence.
    pub(super) fn runs(&self, side: SideName, some: usize, all: usize) -> String {
        match (all, side) {
            (1, SideName::Base) => format!("{}'s run", self.side(side)),
            (1, SideName::Head) if self.mode != Mode::Duet => "this run".to_owned(),
            (1, SideName::Head) => "head's run".to_owned(),
            (all, SideName::Head) if self.mode != Mode::Duet => {
                format!("{some} of the {all} runs of this session")
            }
            (all, side) => format!("{some} of the {all} runs of {}", self.side(side)),
        }
    }

    /// What to do about a baseline: `save a new one with …`.
    pub(super) fn save(&self, what: &str) -> Option<String> {
        (!self.again.is_empty()).then(|| format!("save {what} with {}", self.again))
    }

    /// The same, after a semicolon.
    pub(super) fn or_save(&self, what: &str) -> String {
        self.save(what).map_or_else(String::new, |advice| format!("; {advice}"))
    }

    /// Why a metric is not judged or not certain; `None` if its verdict speaks for itself. `pairs` is how many
    /// there are.
    pub(super) fn reason(&self, reason: &Reason, smallest: Bound, pairs: u32) -> Option<String> {
        match reason {
            Reason::Exceeds(_) | Reason::Within(_) | Reason::NoEvents => None,
            Reason::Undecided { detectable, runs_needed, significant } => {
                let lead = if *significant {
                    "it moved, but not surely by enough to matter"
                } else {
                    "can't be told from chance"
                };
                let needs = self.needs(*runs_needed, smallest, pairs);
                Some(format!("{lead}; {} would have been found; {needs}", size(*detectable)))
            }
            Reason::EventsRegressed => Some(
                "better only while more failed: failing fast is no improvement; mend the errors first"
                    .to_owned(),
            ),
            Reason::NotJudged(why) => Some(self.not_judged(why)),
        }
    }

    /// What it would take to know.
    fn needs(&self, runs_needed: Option<u32>, smallest: Bound, pairs: u32) -> String {
        let wanted = short(smallest);
        match (self.mode, runs_needed) {
            (Mode::Duet, Some(needed)) if pairs_to_advise(needed, pairs) <= MOST_PAIRS => {
                format!("`--runs {}` would find {wanted}", pairs_to_advise(needed, pairs))
            }
            (Mode::Duet, Some(needed)) => format!(
                "it would take about {needed} pairs to find {wanted}: this machine is too noisy for that; use a \
                 quieter one, longer runs or a larger `min_effect`"
            ),
            (Mode::Duet, None) => {
                "it varies too much for any number of runs to tell: use a quieter machine or longer runs".to_owned()
            }
            (Mode::History, _) => {
                "the earlier sessions differ by as much among themselves: a duet, which runs both sides in turn, can \
                 tell less"
                    .to_owned()
            }
            (Mode::Stored, Some(runs)) => {
                format!("it would take a longer run, or about {runs} runs of each side")
            }
            (Mode::Stored, None) => "it varies too much for any number of runs to tell".to_owned(),
        }
    }

    /// What the gates that are not certain would take together, for the test as a whole; in a duet only.
    pub(super) fn advice(&self, runs_needed: Option<u32>, pairs: u32) -> Option<String> {
        let needed = runs_needed.filter(|_| self.mode == Mode::Duet)?;
        Some(match pairs_to_advise(needed, pairs) {
            runs if runs <= MOST_PAIRS => format!("`--runs {runs}` would tell"),
            _ => format!("it would take about {needed} pairs of runs: this machine is too noisy"),
        })
    }

    fn not_judged(&self, why: &NotJudged) -> String {
        let (old, new) = (self.side(SideName::Base), self.side(SideName::Head));
        match why {
            NotJudged::TooFewSuccesses { needed, base, head } => {
                let each = if self.mode == Mode::Duet { "in each run" } else { "on each side" };
                format!(
                    "needs {needed} successes {each}, there are {base} in {old} and {head} in {new}; measure longer"
                )
            }
            NotJudged::DroppedOnOneSide => {
                "part of the load was dropped: the latencies belong to different loads".to_owned()
            }
            NotJudged::TooFewWindows { needed, base, head } => format!(
                "needs {needed} windows of one second on each side, there are {base} in {old} and {head} in {new}; \
                 measure longer"
            ),
            NotJudged::TooFewPairs { needed, given } => {
                format!("needs {needed} pairs of runs, there are {given}")
            }
            NotJudged::TooFewSessions { needed, given } => {
                format!("needs {needed} earlier sessions that have it, there are {given}")
            }
            NotJudged::Unpaired { base, head } => {
                format!("{base} runs of {old} do not pair with {head} of {new}")
            }
            NotJudged::NoRatio => "has no value above zero on both sides".to_owned(),
            NotJudged::NoTrials => "has no data on one side".to_owned(),
        }
    }

    /// The hint for too few windows, for a test as a whole.
    pub(super) fn measure_longer(&self, base: usize, head: usize, needed: usize, seconds: u64) -> String {
        format!(
            "too short to compare: {base} and {head} whole one-second windows are left after the warm-up cut, and \
             {needed} are needed; hold the load for {seconds}s or more"
        )
    }
}

/// A number of pairs that is worth trying after `pairs` of them did not tell: even, so that each side comes first
/// equally often.
fn pairs_to_advise(needed: u32, pairs: u32) -> u32 {
    needed.max(pairs.saturating_add(2)).next_multiple_of(2)
}

fn size(bound: Bound) -> String {
    match bound {
        Bound::Fraction(share) if share.is_finite() => format!("a change of {:.0} % or more", share * 100.0),
        Bound::Points(points) if points.is_finite() => {
            format!("a rise by {:.2} percentage points or more", points * 100.0)
        }
        Bound::Fraction(_) | Bound::Points(_) => "no change".to_owned(),
    }
}

fn short(bound: Bound) -> String {
    match bound {
        Bound::Fraction(share) => percent(share),
        Bound::Points(points) => format!("{} percentage points", round(points * 100.0)),
    }
}

/// `5 %`, `7.5 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", round(share * 100.0))
}

/// At most one decimal, and two for less than one.
fn round(value: f64) -> String {
    let factor = if value.abs() < 1.0 { 100.0 } else { 10.0 };
    format!("{}", (value * factor).round() / factor)
}
