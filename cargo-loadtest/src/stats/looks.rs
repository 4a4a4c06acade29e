//! Looking several times at a duet that grows: at which pairs, and at what level, so that the looks together
//! raise a false alarm hardly more often than a single one.
//!
//! [`LOOKS`] is the plan and [`next_look`] tells what comes after the pairs that there are. In 200,000 simulated
//! duets of equal code its three looks had a one-sided p below their level in 5.3 %; looks at the full 5 % each
//! in 10 %, and the plan's looks after a single look at six pairs in 7.5 %. The smallest effect that counts,
//! which the levels know nothing of, makes false verdicts rarer still.
//!
//! Refuses to do: looks besides the plan. Extending a comparison that was already judged once at its full level
//! adds to the error of that look, so the plan takes the place of the single look, it does not follow it.

use super::judge::JudgeRule;

/// The plan for a one-sided level of 0.05: (pairs, one-sided level at this look).
///
/// Levels that grow with the information, in the manner of O'Brien and Fleming (1979), with the error spent as by
/// Lan and DeMets (1983): nearly none at 4 pairs, most of it at 10. They were fixed by simulation of paired t
/// tests, because the t statistics of so few pairs are not those of a Brownian motion; the test of this module
/// repeats it.
pub const LOOKS: [(u32, f64); 3] = [(4, 0.003), (7, 0.018), (10, 0.044)];

/// The level for which [`LOOKS`] was made.
const PLANNED_ALPHA: f64 = 0.05;

/// One look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// From 1.
    pub number: usize,
    /// Pairs of runs that there must be.
    pub pairs: u32,
    /// One-sided level at this look, to be compared with adjusted p-values.
    pub alpha: f64,
    /// Whether there is none after it.
    pub last: bool,
}

impl Look {
    /// The rule by which is judged at this look.
    pub fn rule(&self, rule: JudgeRule) -> JudgeRule {
        rule.at_level(self.alpha)
    }
}

/// The look that is due once more than `pairs` pairs have been made, for a one-sided level of `alpha` over all
/// looks. `None` after the last.
///
/// For another level than 0.05 the plan's levels are taken in proportion.
///
/// ```
/// use cargo_loadtest::stats::looks::next_look;
/// assert_eq!(next_look(0, 0.05).map(|look| (look.pairs, look.alpha)), Some((4, 0.003)));
/// assert_eq!(next_look(4, 0.05).map(|look| look.pairs), Some(7));
/// assert_eq!(next_look(10, 0.05), None);
/// ```
pub fn next_look(pairs: u32, alpha: f64) -> Option<Look> {
    let at = LOOKS.iter().position(|look| look.0 > pairs)?;
    let (pairs, planned) = LOOKS[at];
    Some(Look {
        number: at + 1,
        pairs,
        alpha: planned * (alpha / PLANNED_ALPHA),
        last: at + 1 == LOOKS.len(),
    })
}
