//! From what the tests said to the exit code that a CI job trusts.
//!
//! The main types are [`ExitCode`] and [`Facts`]; [`judge`] is a pure function. Nothing here prints, and
//! nothing here computes a statistic: the comparison's verdict comes ready from [`crate::compare`].

use std::fmt::Write as _;

use loadtest_core::results::{End, TestOutcome, ThresholdOutcome};
use serde::Serialize;

use crate::compare::Verdict;

/// The kind that errors go to once there are too many different ones.
const OTHER_ERRORS: &str = "other";

/// What a run ends with. The numbers are a contract with scripts: 99, 105 and 107 to 110 are those of k6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[repr(u8)]
#[expect(missing_docs, reason = "EXIT_CODES has a sentence for each, which help and README print")]
pub enum ExitCode {
    Passed = 0,
    Internal = 1,
    Usage = 2,
    NoTests = 4,
    BaselineMissing = 95,
    Invalid = 96,
    Inconclusive = 97,
    Regressed = 98,
    ThresholdsFailed = 99,
    BuildFailed = 101,
    Interrupted = 105,
    SetupFailed = 107,
    Aborted = 108,
    Crashed = 109,
    Failed = 110,
}

/// Every exit code with a sentence. Help and README read this table.
pub const EXIT_CODES: &[(ExitCode, &str)] = &[
    (ExitCode::Passed, "every test passed; a comparison that was not conclusive says NOT VERIFIED"),
    (ExitCode::Internal, "a file could not be read or written, or a program not started"),
    (ExitCode::Usage, "wrong usage: an option, loadtest.toml, or an override that a test can't take"),
    (ExitCode::NoTests, "no load test found, or none that matches"),
    (ExitCode::BaselineMissing, "the baseline does not exist (--baseline-missing fail)"),
    (
        ExitCode::Invalid,
        "the measurement can't be trusted: generator saturated, load not offered, samples lost",
    ),
    (ExitCode::Inconclusive, "not known whether it regressed, or not comparable (--inconclusive fail)"),
    (ExitCode::Regressed, "regressed against the baseline"),
    (
        ExitCode::ThresholdsFailed,
        "a threshold or a teardown failed, a service died, or no iteration succeeded",
    ),
    (ExitCode::BuildFailed, "cargo could not build the tests"),
    (ExitCode::Interrupted, "interrupted by Ctrl-C or a signal"),
    (ExitCode::SetupFailed, "a setup or a registration failed, before any load"),
    (ExitCode::Aborted, "a test ended itself"),
    (ExitCode::Crashed, "a test process died"),
    (ExitCode::Failed, "a test said that it failed, with `vu.fail`"),
];

/// What ends a run, the most severe first. Of several tests and findings the first in this list decides.
const SEVERITY: &[ExitCode] = &[
    ExitCode::Interrupted,
    ExitCode::Crashed,
    ExitCode::SetupFailed,
    ExitCode::Aborted,
    ExitCode::Invalid,
    ExitCode::Failed,
    ExitCode::ThresholdsFailed,
    ExitCode::Regressed,
    ExitCode::BaselineMissing,
    ExitCode::Inconclusive,
];

impl ExitCode {
    /// The number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The sentence in [`EXIT_CODES`].
    pub fn meaning(self) -> &'static str {
        EXIT_CODES.iter().find(|(code, _)| *code == self).map_or("", |(_, meaning)| meaning)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        code.number().into()
    }
}

/// The table of [`EXIT_CODES`] as text, a line each.
pub fn exit_code_table(indent: &str) -> String {
    EXIT_CODES.iter().fold(String::new(), |mut table, (code, meaning)| {
        // Writing to a String can't fail.
        let _ = writeln!(table, "{indent}{:>3}  {meaning}", code.number());
        table
    })
}

/// What one test showed.
#[derive(Debug)]
pub struct TestFacts<'a> {
    /// Its id.
    pub id: &'a str,
    /// What it said at the end.
    pub outcome: &'a TestOutcome,
    /// Why its numbers can't be trusted.
    pub invalid: &'a [String],
    /// Iterations that ended without an error.
    pub succeeded: u64,
}

/// What to do about a comparison that tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Say so, and pass.
    Tolerate,
    /// Fail.
    Fail,
}

/// All that the exit code depends on.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The tests that ran, in their order.
    pub tests: Vec<TestFacts<'a>>,
    /// Whether a signal came, even if no test was cut short by it.
    pub interrupted: bool,
    /// The verdict of the comparison, if there was one.
    pub comparison: Option<Verdict>,
    /// Whether a baseline was asked for that does not exist, and what to do then.
    pub baseline_missing: Option<Policy>,
    /// What to do if the comparison is inconclusive or impossible.
    pub inconclusive: Policy,
}

/// A judgement with its grounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The most severe finding.
    pub code: ExitCode,
    /// Every finding, a line for a person each, the most severe first.
    pub reasons: Vec<(ExitCode, String)>,
}

/// Judges one test by itself, without baseline.
pub fn judge_test(test: &TestFacts<'_>) -> Judgement {
    conclude(test_findings(test))
}

/// Judges a whole run.
pub fn judge(facts: &Facts<'_>) -> Judgement {
    let mut found: Vec<_> = facts.tests.iter().flat_map(test_findings).collect();
    if facts.interrupted && !found.iter().any(|(code, _)| *code == ExitCode::Interrupted) {
        found.push((ExitCode::Interrupted, ExitCode::Interrupted.meaning().to_owned()));
    }
    match facts.comparison {
        Some(Verdict::Regressed) => {
            found.push((ExitCode::Regressed, "regressed against the baseline".to_owned()));
        }
        Some(Verdict::Invalid) => {
            found.push((
                ExitCode::Invalid,
                "the comparison rests on a measurement that can't be trusted".to_owned(),
            ));
        }
        Some(Verdict::Inconclusive) if facts.inconclusive == Policy::Fail => {
            found.push((ExitCode::Inconclusive, "the comparison is inconclusive".to_owned()));
        }
        Some(Verdict::NotComparable) if facts.inconclusive == Policy::Fail => {
            found.push((ExitCode::Inconclusive, "the runs are not comparable".to_owned()));
        }
        Some(Verdict::Inconclusive | Verdict::NotComparable | Verdict::Improved | Verdict::Unchanged)
        | None => {}
    }
    if facts.baseline_missing == Some(Policy::Fail) {
        found.push((ExitCode::BaselineMissing, "the baseline does not exist".to_owned()));
    }
    conclude(found)
}

/// Whether a run with this end is worth keeping as a baseline: the load ran as planned and its numbers can
/// be trusted.
pub fn fit_for_baseline(tests: &[TestFacts<'_>]) -> Result<(), String> {
    if tests.is_empty() {
        return Err("no test ran".to_owned());
    }
    // A limit that was crossed says how good the numbers are, not whether they are those of the whole plan.
    tests.iter().flat_map(off_plan).next().map_or(Ok(()), |(_, reason)| Err(reason))
}

fn test_findings(test: &TestFacts<'_>) -> Vec<(ExitCode, String)> {
    let mut found = off_plan(test);
    found.extend(crossed(test));
    found
}

/// Thresholds that do not hold.
fn crossed(test: &TestFacts<'_>) -> Vec<(ExitCode, String)> {
    let TestFacts { id, outcome, .. } = test;
    // A setup that failed left nothing to hold thresholds against.
    let measured = !matches!(outcome.end, End::SetupFailed { .. });
    let failed = outcome.thresholds.iter().filter(|threshold| measured && !threshold.holds);
    let finding = |threshold: &ThresholdOutcome| {
        let actual = match threshold.actual {
            Some(_) => "failed",
            None => "has no data",
        };
        (ExitCode::ThresholdsFailed, format!("{id}: threshold {actual}: {}", threshold.source))
    };
    failed.map(finding).collect()
}

/// What did not go as planned: how the test ended, what can't be trusted, what died or never succeeded.
fn off_plan(test: &TestFacts<'_>) -> Vec<(ExitCode, String)> {
    let id = test.id;
    let outcome = test.outcome;
    let mut found = Vec::new();
    match &outcome.end {
        // To be stopped is how a test ends that runs until then.
        End::Completed | End::Stopped => {}
        End::Interrupted => found.push((ExitCode::Interrupted, format!("{id}: interrupted"))),
        // k6 exits with "thresholds have crossed" when one of them ends the test.
        End::Aborted { reason } if outcome.thresholds.iter().any(|threshold| threshold.aborted) => {
            found.push((ExitCode::ThresholdsFailed, format!("{id}: ended by a threshold: {reason}")));
        }
        End::Aborted { reason } => found.push((ExitCode::Aborted, format!("{id}: ended itself: {reason}"))),
        End::SetupFailed { reason } => {
            found.push((ExitCode::SetupFailed, format!("{id}: before any load: {reason}")));
        }
        End::Crashed { reason } => found.push((ExitCode::Crashed, format!("{id}: crashed: {reason}"))),
    }
    found.extend(test.invalid.iter().map(|reason| (ExitCode::Invalid, format!("{id}: invalid: {reason}"))));
    found.extend(
        outcome
            .failed_by_test
            .iter()
            .map(|why| (ExitCode::Failed, format!("{id}: failed by the test: {why}"))),
    );
    // Before what follows from it.
    found.extend(
        outcome.services_died.iter().map(|died| (ExitCode::ThresholdsFailed, format!("{id}: {died}"))),
    );
    if matches!(outcome.end, End::Completed | End::Stopped) && test.succeeded == 0 {
        found.push((
            ExitCode::ThresholdsFailed,
            format!("{id}: no iteration succeeded{}{}", interrupted(outcome), first_error(outcome)),
        ));
    }
    if let Some(error) = &outcome.teardown_error {
        found.push((ExitCode::ThresholdsFailed, format!("{id}: teardown failed: {error}")));
    }
    found
}

/// Iterations that nobody waited for: the likely reason if none succeeded.
fn interrupted(outcome: &TestOutcome) -> String {
    match outcome.scenarios.values().map(|state| state.interrupted).sum::<u64>() {
        0 => String::new(),
        n => format!(" ({n} were interrupted: an iteration takes longer than duration + graceful_stop)"),
    }
}

/// The most frequent error; the heap of those that are not told apart only if there is nothing else.
fn first_error(outcome: &TestOutcome) -> String {
    let told_apart = outcome.errors.iter().find(|error| error.kind != OTHER_ERRORS);
    told_apart.or(outcome.errors.first()).map_or_else(String::new, |error| {
        let place = error.place.as_deref().map(|place| format!(" at {place}")).unwrap_or_default();
        // The place belongs to what happened, hints come after it.
        let (what, hints) = error.message.split_once('\n').unwrap_or((&error.message, ""));
        let line_break = if hints.is_empty() { "" } else { "\n" };
        format!(": {what}{place} ({} times){line_break}{hints}", error.count)
    })
}

fn conclude(mut found: Vec<(ExitCode, String)>) -> Judgement {
    let rank = |code: ExitCode| SEVERITY.iter().position(|c| *c == code).unwrap_or(SEVERITY.len());
    found.sort_by_key(|(code, _)| rank(*code));
    Judgement { code: found.first().map_or(ExitCode::Passed, |(code, _)| *code), reasons: found }
}

#[cfg(test)]
mod tests {

    use loadtest_core::results::{ErrorOutcome, ScenarioState};

    use super::*;

    fn outcome(end: End) -> TestOutcome {
        TestOutcome { load_seconds: 1.0, workers: 1, ..TestOutcome::new(end) }
    }

    fn threshold(holds: bool, aborted: bool) -> ThresholdOutcome {
        ThresholdOutcome {
            source: "checks: rate>0.9".to_owned(),
            actual: Some(0.5),
            holds,
            margin: None,
            aborted,
        }
    }

    fn ended(end: End, set: impl FnOnce(&mut TestOutcome)) -> TestOutcome {
        let mut outcome = outcome(end);
        set(&mut outcome);
        outcome
    }

    fn code_of(outcome: &TestOutcome, invalid: &[String], succeeded: u64) -> u8 {
        judge_test(&TestFacts { id: "p/lib/t", outcome, invalid, succeeded }).code.number()
    }

    #[test]
    fn each_end_of_a_test_has_its_number() {
        let reason = || "x".to_owned();
        let invalid = vec!["samples lost".to_owned()];
        let table = [
            (ended(End::Completed, |_| {}), &[][..], 1, 0),
            (ended(End::Completed, |_| {}), &[], 0, 99),
            (ended(End::Completed, |_| {}), &invalid, 1, 96),
            (ended(End::Completed, |o| o.thresholds = vec![threshold(true, false)]), &[], 1, 0),
            (ended(End::Completed, |o| o.thresholds = vec![threshold(false, false)]), &[], 1, 99),
            (ended(End::Completed, |o| o.thresholds = vec![threshold(false, false)]), &invalid, 1, 96),
            (ended(End::Completed, |o| o.teardown_error = Some("x".to_owned())), &[], 1, 99),
            (ended(End::Completed, |o| o.services_died = vec!["x".to_owned()]), &[], 1, 99),
            (ended(End::Interrupted, |o| o.thresholds = vec![threshold(false, false)]), &[], 1, 105),
            (ended(End::Interrupted, |_| {}), &[], 0, 105),
            (ended(End::Stopped, |_| {}), &[], 1, 0),
            (ended(End::Completed, |o| o.failed_by_test = vec!["x".to_owned()]), &[], 1, 110),
            (ended(End::Completed, |o| o.failed_by_test = vec!["x".to_owned()]), &invalid, 1, 96),
            (ended(End::SetupFailed { reason: reason() }, |_| {}), &[], 0, 107),
            (ended(End::Crashed { reason: reason() }, |_| {}), &invalid, 0, 109),
            (ended(End::Aborted { reason: reason() }, |_| {}), &[], 1, 108),
            (
                ended(End::Aborted { reason: reason() }, |o| o.thresholds = vec![threshold(false, true)]),
                &[],
                1,
                99,
            ),
        ];
        for (outcome, invalid, succeeded, expected) in table {
            assert_eq!(
                code_of(&outcome, invalid, succeeded),
                expected,
                "{outcome:?} {invalid:?} {succeeded}"
            );
        }
    }

    #[test]
    fn of_several_tests_the_most_severe_finding_decides_and_comes_first() {
        let crashed = outcome(End::Crashed { reason: "died".to_owned() });
        let failed = ended(End::Completed, |o| o.thresholds = vec![threshold(false, false)]);
        let facts = |outcome| TestFacts { id: "p/lib/t", outcome, invalid: &[], succeeded: 1 };
        let judgement = judge(&Facts {
            tests: vec![facts(&failed), facts(&crashed)],
            interrupted: false,
            comparison: Some(Verdict::Regressed),
            baseline_missing: None,
            inconclusive: Policy::Tolerate,
        });
        assert_eq!(judgement.code, ExitCode::Crashed);
        assert!(judgement.reasons[0].1.contains("died"), "{:?}", judgement.reasons);
        assert_eq!(judgement.reasons.len(), 3);
    }

    #[test]
    fn comparisons_and_missing_baselines_follow_the_policies() {
        use Policy::{Fail, Tolerate};
        let passed = outcome(End::Completed);
        let code = |comparison, baseline_missing, inconclusive| {
            let tests = vec![TestFacts { id: "p/lib/t", outcome: &passed, invalid: &[], succeeded: 1 }];
            judge(&Facts { tests, interrupted: false, comparison, baseline_missing, inconclusive })
                .code
                .number()
        };
        assert_eq!(code(Some(Verdict::Regressed), None, Tolerate), 98);
        assert_eq!(code(Some(Verdict::Improved), None, Fail), 0);
        assert_eq!(code(Some(Verdict::Unchanged), None, Fail), 0);
        assert_eq!(code(Some(Verdict::Invalid), None, Tolerate), 96);
        assert_eq!(code(Some(Verdict::Inconclusive), None, Tolerate), 0);
        assert_eq!(code(Some(Verdict::Inconclusive), None, Fail), 97);
        assert_eq!(code(Some(Verdict::NotComparable), None, Fail), 97);
        assert_eq!(code(None, Some(Tolerate), Fail), 0);
        assert_eq!(code(None, Some(Fail), Tolerate), 95);
    }

    #[test]
    fn a_run_that_did_not_go_as_planned_is_no_baseline() {
        let fit = |outcome: &TestOutcome, succeeded| {
            fit_for_baseline(&[TestFacts { id: "p/lib/t", outcome, invalid: &[], succeeded }]).is_ok()
        };
        assert!(fit(&outcome(End::Completed), 1));
        assert!(fit(&ended(End::Completed, |o| o.thresholds = vec![threshold(false, false)]), 1));
        assert!(!fit(&outcome(End::Completed), 0));
        assert!(!fit(&outcome(End::Interrupted), 1));
        let aborted = End::Aborted { reason: "x".to_owned() };
        assert!(!fit(&ended(aborted, |o| o.thresholds = vec![threshold(false, true)]), 1));
        assert!(!fit(&ended(End::Completed, |o| o.teardown_error = Some("x".to_owned())), 1));
        assert!(fit_for_baseline(&[]).is_err());

        let died = ended(End::Completed, |o| {
            o.thresholds = vec![threshold(false, false)];
            o.services_died = vec!["the service died".to_owned()];
        });
        let facts = TestFacts { id: "p/lib/t", outcome: &died, invalid: &[], succeeded: 1 };
        assert_eq!(fit_for_baseline(&[facts]), Err("p/lib/t: the service died".to_owned()));
    }

    #[test]
    fn a_run_without_success_tells_the_error_that_has_a_name_and_what_was_interrupted() {
        let error = |kind: &str, message: &str, count| ErrorOutcome {
            scenario: "t".to_owned(),
            kind: kind.to_owned(),
            message: message.to_owned(),
            place: None,
            count,
            first_at: 0.0,
        };
        let reason = |outcome: &TestOutcome| {
            judge_test(&TestFacts { id: "t", outcome, invalid: &[], succeeded: 0 }).reasons[0].1.clone()
        };
        let both = vec![error("other", "many kinds", 90), error("http", "refused", 9)];
        assert_eq!(
            reason(&ended(End::Completed, |o| o.errors = both)),
            "t: no iteration succeeded: refused (9 times)"
        );
        let only = vec![error("other", "many kinds", 90)];
        assert!(reason(&ended(End::Completed, |o| o.errors = only)).ends_with("many kinds (90 times)"));
        let slow = ended(End::Completed, |o| {
            let state = ScenarioState { interrupted: 4, ..ScenarioState::default() };
            o.scenarios.insert("t".to_owned(), state);
        });
        assert!(reason(&slow).contains("4 were interrupted: an iteration takes longer than duration"));
    }

    #[test]
    fn every_code_is_in_the_table_once_and_every_finding_has_a_rank() {
        let mut numbers: Vec<_> = EXIT_CODES.iter().map(|(code, _)| code.number()).collect();
        assert!(numbers.is_sorted());
        numbers.dedup();
        assert_eq!(numbers.len(), EXIT_CODES.len());
        assert!(SEVERITY.iter().all(|code| !code.meaning().is_empty()));
    }
}
