//! Reasons as sentences: lowercase fragments that say what was found, and what it would take to know more.
//!
//! Refuses to do: anything that needs the measurements.

use crate::stats::{Bound, NotJudged, Reason};

/// Why a metric is not judged or not certain; `None` if its verdict speaks for itself.
pub(super) fn reason(reason: &Reason) -> Option<String> {
    match reason {
        Reason::Exceeds(_) | Reason::Within(_) | Reason::NoEvents => None,
        Reason::Undecided { detectable, runs_needed, significant } => {
            let lead = if *significant {
                "it moved, but not surely by enough to matter"
            } else {
                "can't be told from chance"
            };
            let needs = match runs_needed {
                Some(runs) => format!("it would take a longer run, or about {runs} runs of each side"),
                None => "it varies too much for any number of runs to tell".to_owned(),
            };
            Some(format!("{lead}; {} would have been found; {needs}", size(*detectable)))
        }
        Reason::EventsRegressed => Some(
            "better only while more failed: failing fast is no improvement; mend the errors first".to_owned(),
        ),
        Reason::NotJudged(why) => Some(not_judged(why)),
    }
}

/// The hint for too few windows, for a test as a whole.
pub(super) fn measure_longer(base: usize, head: usize, needed: usize, seconds: u64) -> String {
    format!(
        "too short to compare: {base} and {head} whole one-second windows are left after the warm-up cut, and \
         {needed} are needed; hold the load for {seconds}s or more"
    )
}

fn not_judged(why: &NotJudged) -> String {
    match why {
        NotJudged::TooFewSuccesses { needed, base, head } => format!(
            "needs {needed} successes on each side, there are {base} in the baseline and {head} in this run; \
             measure longer"
        ),
        NotJudged::DroppedOnOneSide => {
            "part of the load was dropped: the latencies belong to different loads".to_owned()
        }
        NotJudged::TooFewWindows { needed, base, head } => format!(
            "needs {needed} windows of one second on each side, there are {base} in the baseline and {head} in \
             this run; measure longer"
        ),
        NotJudged::NoRatio => "has no value above zero on both sides".to_owned(),
        NotJudged::NoTrials => "has no data on one side".to_owned(),
    }
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
