//! Comparing a run with a baseline: guards first, then estimates, then one of four words.
//!
//! The main type is [`Comparison`], a document of its own with a schema version, and [`compare`] makes it.
//! The way of the data: `guards` say whether two runs may be compared at all, `segments` which windows
//! decide, `extract` what was measured in them, `evidence` what to make of both sides together; the verdicts
//! are those of [`crate::stats::judge_stored`]. Of tests that search for a capacity only what they found is
//! compared (`capacity`), because their load differs by design. Nothing here formats: numbers and reasons go to
//! the reports as data.
//!
//! The promise is that a red check means that the code got slower. So whatever is in doubt is
//! `inconclusive`, with what it would take to know.

mod capacity;
mod evidence;
mod extract;
mod guards;
mod segments;
mod wording;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

use loadtest_core::options::{Shape, Workload};
use serde::{Deserialize, Serialize};

use crate::data::{RunData, TestData};
use crate::stats::dist::normal_quantile;
use crate::stats::{
    self, Bound, Change, Direction, MetricJudgement, Reason, Role, StoredRule, StoredTest, judge_stored,
};
use evidence::{Evidence, FEWEST_WINDOWS, Row, Setting};
use extract::Measured;
use guards::Stop;
use segments::Segments;

/// The version of [`Comparison`] that this build writes.
pub const SCHEMA_VERSION: u32 = 1;

/// The four words, and the two for what can't be judged.
///
/// Of several tests the most severe decides: invalid, regressed, not comparable, inconclusive, unchanged,
/// improved. A test is improved or unchanged in all its gate metrics to be `Unchanged` as a whole; `Improved`
/// is a word for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Slower or less reliable, by more than chance and by enough to matter.
    Regressed,
    /// The mirror image.
    Improved,
    /// Looked at closely enough to know that nothing that matters changed.
    Unchanged,
    /// Not known.
    Inconclusive,
    /// The two runs did not do the same.
    NotComparable,
    /// The measurement itself can't be trusted.
    Invalid,
}

/// How the two sides were measured, which decides what can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One stored run against one fresh run: large changes only.
    Stored,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Run directory name.
    pub run: String,
    /// Baseline name, if it has one.
    pub baseline: Option<String>,
    /// Commit, if known.
    pub commit: Option<String>,
    /// Whether the tree differed from the commit.
    pub dirty: bool,
    /// RFC 3339 in UTC.
    pub started_at: String,
}

/// A run against a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// How the sides were measured.
    pub mode: Mode,
    /// The baseline.
    pub base: Side,
    /// The fresh run.
    pub head: Side,
    /// Smallest effect that counts, as a share: 0.25.
    pub min_effect: f64,
    /// Half-width of "unchanged", as a share: 0.25.
    pub equivalence: f64,
    /// The same of errors and drops, as a difference of shares: 0.001 is 0.1 percentage points.
    pub share_equivalence: f64,
    /// One-sided error rate: 0.05.
    pub alpha: f64,
    /// Assumed spread between sessions, as a share: 0.05.
    pub session_spread: f64,
    /// What the reader should know, sentences.
    pub warnings: Vec<String>,
    /// The tests that head ran.
    pub tests: Vec<TestComparison>,
    /// The most severe over the tests. A test that the baseline does not have counts only if there is no
    /// other.
    pub verdict: Verdict,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestComparison {
    /// `package/target/path::name`.
    pub id: String,
    /// Over its gate metrics.
    pub verdict: Verdict,
    /// Why it is not judged or not certain, sentences; and warnings.
    pub reasons: Vec<String>,
    /// Gate metrics first.
    pub metrics: Vec<MetricComparison>,
}

/// What a metric's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Milliseconds, compared by ratio, lower is better.
    Latency,
    /// Per second, compared by ratio, higher is better.
    Throughput,
    /// A share (0 to 1), compared by difference, lower is better.
    Share,
    /// Starts per second that a capacity search found to hold, higher is better. It is known to within a step
    /// of the search, which takes the place of an interval.
    Capacity,
}

/// One metric of one test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricComparison {
    /// `p95`, `errors`, `throughput`, `endpoint p95`, …
    pub name: String,
    /// What the numbers mean.
    pub kind: MetricKind,
    /// Whether it decides.
    pub gate: bool,
    /// The baseline's value; `None` without data.
    pub base: Option<f64>,
    /// The fresh run's value; `None` without data.
    pub head: Option<f64>,
    /// `head / base`, or `head − base` of shares.
    pub change: Option<f64>,
    /// The 95 % interval of `change`.
    pub interval: Option<(f64, f64)>,
    /// One-sided p-value in the direction in which the metric moved, adjusted: over the gate metrics of all
    /// tests by Holm's method, over the others by that of Benjamini and Hochberg.
    pub p: Option<f64>,
    /// Its verdict.
    pub verdict: Verdict,
    /// The smallest worsening that this comparison could have found (80 % power), as a ratio or difference;
    /// of inconclusive metrics.
    pub detectable: Option<f64>,
    /// Why it is not judged, if it is not.
    pub reason: Option<String>,
}

/// Compares a run with a stored one, test by test.
pub fn compare(base: &RunData, head: &RunData) -> Comparison {
    compare_with(None, base, head)
}

/// The same with a baseline that has a name, which the advice then uses.
pub fn compare_named(name: &str, base: &RunData, head: &RunData) -> Comparison {
    compare_with(Some(name), base, head)
}

fn compare_with(name: Option<&str>, base: &RunData, head: &RunData) -> Comparison {
    let rule = StoredRule::default();
    let again = format!("--save-baseline {}", name.unwrap_or("NAME"));
    let mut warnings = guards::machine_warnings(base, head);
    let missing = |test: &&TestData| find(head, &test.document.id).is_none();
    warnings.extend(base.tests.iter().filter(missing).map(|test| {
        format!("{} is in the baseline and was not run: nothing is known of it", test.document.id)
    }));
    if head.tests.is_empty() {
        warnings.push("this run has no test".to_owned());
    }

    let cases: Vec<Case> = head.tests.iter().map(|test| Case::of(base, head, test, &again)).collect();
    let in_family = |case: &&Case| case.stop.is_none() && case.found.is_none();
    let family: Vec<StoredTest> =
        cases.iter().filter(in_family).map(|case| case.evidence.test.clone()).collect();
    let mut judged = judge_stored(&family, &rule).into_iter();
    let judge_alone = |case: &Case| judge_stored(std::slice::from_ref(&case.evidence.test), &rule).pop();
    let mut tests = Vec::new();
    let mut verdicts = Vec::new();
    for case in cases {
        let judgement = if in_family(&&case) { judged.next() } else { judge_alone(&case) };
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
    Comparison {
        schema_version: SCHEMA_VERSION,
        mode: Mode::Stored,
        base: side(base, name),
        head: side(head, None),
        min_effect: rule.decision.smallest_effect,
        equivalence: rule.decision.equivalence,
        share_equivalence: rule.points,
        alpha: rule.decision.alpha,
        session_spread: rule.session_spread,
        warnings,
        tests,
        verdict: verdicts.into_iter().max_by_key(|verdict| verdict.severity()).unwrap_or(nothing_known),
    }
}

impl Verdict {
    /// Its rank among the verdicts of several tests: the highest decides.
    pub fn severity(self) -> u8 {
        match self {
            Self::Improved => 0,
            Self::Unchanged => 1,
            Self::Inconclusive => 2,
            Self::NotComparable => 3,
            Self::Regressed => 4,
            Self::Invalid => 5,
        }
    }
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

fn side(run: &RunData, baseline: Option<&str>) -> Side {
    Side {
        run: run.document.id.clone(),
        baseline: baseline.map(str::to_owned),
        commit: run.document.revision.commit.clone(),
        dirty: run.document.revision.dirty,
        started_at: run.document.started_at.clone(),
    }
}

fn find<'a>(run: &'a RunData, id: &str) -> Option<&'a TestData> {
    run.tests.iter().find(|test| test.document.id == id)
}

/// A test on its way to a verdict.
#[derive(Default)]
struct Case {
    id: String,
    /// Whether the baseline has it.
    known: bool,
    /// Why it is not judged. What evidence there is, is only shown then.
    stop: Option<Stop>,
    evidence: Evidence,
    /// The judgement of a capacity search, which takes the place of the evidence.
    found: Option<capacity::Found>,
    /// What the reader should know.
    reasons: Vec<String>,
}

impl Case {
    fn of(base: &RunData, head: &RunData, test: &TestData, again: &str) -> Self {
        let mut case = Self { id: test.document.id.clone(), ..Self::default() };
        let Some(old) = find(base, &test.document.id) else {
            let reason =
                format!("a new test, which the baseline does not have; save one that has it with {again}");
            case.stop = Some(Stop { verdict: Verdict::NotComparable, reasons: vec![reason] });
            return case;
        };
        case.known = true;
        case.stop = case.fill((base, head), old, test, again).err();
        case
    }

    /// Goes through the guards and gathers the evidence, as far as it comes.
    fn fill(
        &mut self,
        runs: (&RunData, &RunData),
        base: &TestData,
        head: &TestData,
        again: &str,
    ) -> Result<(), Stop> {
        self.reasons = guards::same_load(runs, base, head, again)?;
        guards::completed(base, head, again)?;
        guards::undisturbed(base, head, again)?;

        let workloads = &head.document.outcome.workloads;
        if workloads.values().any(|workload| matches!(workload.shape, Shape::FindCapacity { .. })) {
            self.found = Some(capacity::judge(base, head, StoredRule::default().decision.smallest_effect));
            guards::same_machine(&runs.0.document.fingerprint, &runs.1.document.fingerprint, again)?;
            return guards::healthy((base, &[]), (head, &[]), again);
        }
        let shortest = segments::whole_seconds(base).min(segments::whole_seconds(head));
        let segments = Segments::of(workloads, shortest);
        let old = Measured::of(base, segments.windows(base));
        let new = Measured::of(head, segments.windows(head));
        let open = workloads.values().any(is_open);
        let offered = guards::offered(&old.dropped, &new.dropped, open);
        let setting = Setting {
            basis: segments.basis,
            closed: !workloads.values().all(is_open),
            open,
            latency_withheld: offered.latency_withheld,
        };
        self.evidence = Evidence::of(&old, &new, setting);

        guards::same_machine(&runs.0.document.fingerprint, &runs.1.document.fingerprint, again)?;
        guards::healthy((base, &old.windows), (head, &new.windows), again)?;
        self.reasons.extend(offered.warnings);
        self.reasons.extend(guards::trend(&old, segments.basis, "the baseline"));
        self.reasons.extend(guards::trend(&new, segments.basis, "this run"));
        self.reasons.append(&mut self.evidence.notes);
        let (base, head) = (old.windows.len(), new.windows.len());
        if base.min(head) < FEWEST_WINDOWS {
            let seconds = segments::seconds_for(FEWEST_WINDOWS);
            self.reasons.push(wording::measure_longer(base, head, FEWEST_WINDOWS, seconds));
        }
        Ok(())
    }

    fn conclude(mut self, mut verdict: Verdict, metrics: &[MetricJudgement]) -> TestComparison {
        let rows = metrics.iter().zip(&self.evidence.rows);
        let mut shown: Vec<MetricComparison> = rows
            .map(|(judged, row)| (row.only_if_changed, metric(judged, row)))
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
        if let Some(stop) = self.stop {
            for metric in &mut shown {
                metric.verdict = stop.verdict;
                (metric.interval, metric.p, metric.detectable, metric.reason) = (None, None, None, None);
            }
            let reasons = stop.reasons.into_iter().chain(self.reasons).collect();
            return TestComparison { id: self.id, verdict: stop.verdict, reasons, metrics: shown };
        }
        let open: Vec<&str> = shown
            .iter()
            .filter(|metric| metric.gate && metric.verdict == Verdict::Inconclusive)
            .map(|metric| metric.name.as_str())
            .collect();
        if shown.is_empty() {
            self.reasons.push("nothing was measured that could be compared".to_owned());
        } else if !open.is_empty() {
            self.reasons.push(format!("not certain: {}", open.join(", ")));
        }
        TestComparison { id: self.id, verdict, reasons: self.reasons, metrics: shown }
    }
}

/// Whether iterations start at a rate, whatever becomes of those before them.
fn is_open(workload: &Workload) -> bool {
    workload.shape.is_open()
}

fn metric(judged: &MetricJudgement, row: &Row) -> MetricComparison {
    let (change, interval) = match &judged.change {
        Some(Change::Ratio { ratio, estimate, .. }) => {
            let interval = estimate.interval(SHOWN_CONFIDENCE).exp();
            (Some(*ratio), Some((interval.lower, interval.upper)))
        }
        Some(Change::Points { difference, interval, .. }) => {
            // A normal interval, widened from its own confidence to the one that is shown.
            let quantile = |confidence: f64| normal_quantile(0.5 + 0.5 * confidence);
            let widening = quantile(SHOWN_CONFIDENCE) / quantile(interval.confidence);
            let reach = 0.5 * (interval.upper - interval.lower) * widening;
            (Some(*difference), Some((difference - reach, difference + reach)))
        }
        None => (plain_change(judged, row.kind), None),
    };
    let detectable = match &judged.reason {
        Reason::Undecided { detectable: Bound::Fraction(share), .. } => match judged.direction {
            Direction::HigherIsWorse => Some(1.0 + share),
            Direction::LowerIsWorse => Some(1.0 / (1.0 + share)),
        },
        Reason::Undecided { detectable: Bound::Points(points), .. } => Some(*points),
        _ => None,
    };
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    MetricComparison {
        name: judged.name.clone(),
        kind: row.kind,
        gate: judged.role == Role::Gate,
        base: finite(judged.base),
        head: finite(judged.head),
        change: finite(change),
        interval: interval.filter(|(lower, upper)| lower.is_finite() && upper.is_finite()),
        p: finite(judged.adjusted_p),
        verdict: judged.verdict.into(),
        detectable: finite(detectable),
        reason: row.reason.clone().or_else(|| wording::reason(&judged.reason)),
    }
}

/// The confidence of the intervals that are shown.
const SHOWN_CONFIDENCE: f64 = 0.95;

/// The change of values that were not judged, for show.
fn plain_change(judged: &MetricJudgement, kind: MetricKind) -> Option<f64> {
    let (base, head) = (judged.base?, judged.head?);
    match kind {
        MetricKind::Share => Some(head - base),
        MetricKind::Latency | MetricKind::Throughput | MetricKind::Capacity => {
            (base > 0.0).then(|| head / base)
        }
    }
}
