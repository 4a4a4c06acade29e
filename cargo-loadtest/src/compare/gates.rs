//! The numbers by which a test is judged, and how many pairs its gates need.
//!
//! The main type is [`TestSettings`]; [`pairs_for`] is what `--runs auto` means.
//!
//! Refuses to do: letting one stored session tell less than it can.

use loadtest_core::options::compare::{CompareSettings, GateMetric};

use super::Rule;
use super::wording::percent;
use crate::stats::{JudgeRule, stored};

/// How a test is judged, where that is not as usual.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TestSettings {
    /// One-sided error rate, as a fraction below one half.
    pub alpha: Option<f64>,
    /// The smallest effect that counts, as a fraction.
    pub min_effect: Option<f64>,
    /// Half-width of "unchanged", as a fraction.
    pub equivalence: Option<f64>,
    /// The metrics that decide; empty for the usual ones.
    pub gate: Vec<GateMetric>,
}

impl From<&CompareSettings> for TestSettings {
    fn from(settings: &CompareSettings) -> Self {
        Self {
            alpha: settings.alpha,
            min_effect: settings.min_effect,
            equivalence: settings.equivalence,
            gate: settings.gate.clone(),
        }
    }
}

impl TestSettings {
    /// The rule of a mode with what is set in its place.
    pub(super) fn rule(&self, usual: JudgeRule) -> JudgeRule {
        let mut rule = self.alpha.map_or(usual, |alpha| usual.at_level(alpha));
        rule.decision.smallest_effect = self.min_effect.unwrap_or(rule.decision.smallest_effect);
        rule.decision.equivalence = self.equivalence.unwrap_or(rule.decision.equivalence);
        rule
    }

    /// The rule for one stored session, which can't tell less than [`JudgeRule::STORED`] says whatever is asked for;
    /// with a sentence if that was less.
    pub(super) fn stored_rule(&self) -> (JudgeRule, Option<String>) {
        let least = JudgeRule::STORED;
        let mut rule = self.rule(least);
        let asked = rule.decision;
        rule.decision.smallest_effect = asked.smallest_effect.max(least.decision.smallest_effect);
        rule.decision.equivalence = asked.equivalence.max(least.decision.equivalence);
        let raised = rule.decision != asked;
        let note = raised.then(|| {
            format!(
                "`min_effect` and `equivalence` below {} hold for duets and histories: one stored session can't tell \
                 less",
                percent(least.decision.smallest_effect)
            )
        });
        (rule, note)
    }
}

/// A rule as documents show it.
pub(super) fn shown(rule: &JudgeRule, is_stored: bool) -> Rule {
    Rule {
        alpha: rule.decision.alpha,
        min_effect: rule.decision.smallest_effect,
        equivalence: rule.decision.equivalence,
        share_equivalence: rule.points,
        session_spread: is_stored.then_some(stored::SESSION_SPREAD),
    }
}

/// The rule of a duet for which nobody set other numbers.
pub fn duet_rule() -> Rule {
    shown(&JudgeRule::DUET, false)
}

/// How many metrics of a test with this `gate` decide, as far as that is known before it runs: by default the p95,
/// that of the endpoints, and throughput or drops. Errors cost no power as long as there are none.
pub fn usual_gates(gate: &[GateMetric]) -> usize {
    const USUAL: usize = 3;
    if gate.is_empty() {
        return USUAL;
    }
    let chosen: std::collections::BTreeSet<&GateMetric> = gate.iter().collect();
    chosen.len()
}

/// How many pairs of runs it takes to find 10 % with so many gates: Holm's adjustment costs power. Even, so that each
/// side comes first equally often.
pub fn pairs_for(gates: usize) -> u32 {
    match gates {
        0..=3 => 6,
        4..=9 => 8,
        _ => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_gates_take_more_pairs_and_always_an_even_number() {
        let pairs = |gates| pairs_for(gates);
        assert_eq!((pairs(1), pairs(3), pairs(4), pairs(9), pairs(10), pairs(300)), (6, 6, 8, 8, 10, 10));
        assert_eq!(usual_gates(&[]), 3);
        assert_eq!(usual_gates(&[GateMetric::P95, GateMetric::Errors, GateMetric::P95]), 2);
    }

    #[test]
    fn settings_take_the_place_of_the_mode_s_numbers_and_one_stored_session_keeps_its_own() {
        let settings = TestSettings {
            alpha: Some(0.01),
            min_effect: Some(0.02),
            equivalence: Some(0.3),
            ..TestSettings::default()
        };
        let duet = settings.rule(JudgeRule::DUET).decision;
        assert_eq!((duet.alpha, duet.smallest_effect, duet.equivalence), (0.01, 0.02, 0.3));
        assert!((duet.confidence - 0.98).abs() < 1e-12);
        let (stored, note) = settings.stored_rule();
        assert_eq!((stored.decision.smallest_effect, stored.decision.equivalence), (0.25, 0.3));
        assert!(note.is_some_and(|note| note.contains("25 %")));
        assert_eq!(TestSettings::default().stored_rule(), (JudgeRule::STORED, None));
    }
}
