//! Runs and comparisons for the tests of this module.

use std::path::{Path, PathBuf};
use std::time::Duration;

use loadtest_core::options::{Options, Shape, Workload};
use loadtest_core::results::{
    Definition, End, Fingerprint, Revision, RunDocument, SCHEMA_VERSION, TestDocument, TestOutcome,
    ThresholdOutcome,
};

use super::Facts;
use crate::compare::{
    Comparison, MetricComparison, MetricKind, Mode, Rule, SCHEMA_VERSION as COMPARISON_VERSION, Side,
    TestComparison, Verdict,
};
use crate::data::{RunData, TestData};
use crate::verdict::{ExitCode, Judgement};

/// Texts that nobody should obey.
pub(super) const EVIL: [&str; 8] = [
    "<script>alert(1)</script><!-- --> --!>",
    "@everyone and @org/team, see #12, GH-34, o/r#5",
    "| a | b |\n|---|---|\n| c ``` ` d |",
    "[click](https://evil.example) ![x](http://e.example/x.png) www.evil.example a@b.example",
    "\n::error::forged\n::stop-commands::t\u{1b}[31m\0",
    "]]></failure><testcase name=\"forged\"/>&amp;\u{ffff}\u{8}",
    "한국어 🎫👩‍👩‍👧 $x^2$ :tada: 100%, a:b",
    "verdict=passed\nEOF\nverdict<<EOF",
];

/// All that [`Facts`] borrows.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) run: RunData,
    pub(super) comparison: Option<Comparison>,
    pub(super) judgement: Judgement,
    pub(super) first_line: String,
    pub(super) repeat: String,
    pub(super) report: Option<PathBuf>,
    pub(super) baseline_missing: Option<String>,
    pub(super) root: tempfile::TempDir,
}

impl Sample {
    /// A run without comparison that passed.
    pub(super) fn new(tests: &[&str]) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let tests: Vec<TestData> = tests.iter().map(|id| TestData::new(test(id), Vec::new())).collect();
        Self {
            run: RunData {
                document: RunDocument {
                    schema_version: SCHEMA_VERSION,
                    id: "20260501-120000-1a2b3c4".to_owned(),
                    tool_version: "0.1.0".to_owned(),
                    started_at: "2026-05-01T12:00:00.123456Z".to_owned(),
                    revision: Revision { commit: Some("1a2b3c4".repeat(5)), branch: None, dirty: false },
                    fingerprint: Fingerprint::default(),
                    profile: "release".to_owned(),
                    repeat: "cargo loadtest".to_owned(),
                    tests: tests.iter().map(|test| test.document.clone()).collect(),
                    comparison: None,
                    exit_code: 0,
                },
                tests,
                baseline_missing: None,
                missing_because: None,
            },
            comparison: None,
            judgement: Judgement { code: ExitCode::Passed, reasons: Vec::new() },
            first_line: "✓ PASSED".to_owned(),
            repeat: "cargo loadtest --seed 7".to_owned(),
            report: Some(root.path().join("target/loadtest/report.html")),
            baseline_missing: None,
            root,
        }
    }

    /// The same in a duet in which the tests came out like this.
    pub(super) fn compared(mut self, verdicts: &[Verdict]) -> Self {
        let tests: Vec<TestComparison> = self
            .run
            .tests
            .iter()
            .zip(verdicts)
            .enumerate()
            .map(|(at, (test, verdict))| compared(&test.document, *verdict, 1.1 + at as f64 / 100.0))
            .collect();
        let verdict = verdicts.iter().copied().max_by_key(|verdict| verdict.severity());
        self.comparison = Some(Comparison {
            schema_version: COMPARISON_VERSION,
            mode: Mode::Duet,
            why: "main is a branch, and both sides can be built".to_owned(),
            base: Side { name: Some("main".to_owned()), commit: Some("b".repeat(40)), ..Side::default() },
            head: Side::default(),
            rule: rule(),
            order: Vec::new(),
            seed: Some(7),
            repeat: "cargo loadtest --baseline main --seed 7".to_owned(),
            closer: None,
            warnings: Vec::new(),
            tests,
            verdict: verdict.unwrap_or(Verdict::Unchanged),
        });
        self.first_line = "✗ REGRESSED. Duet of 6 pairs against main: finds changes from 5%.".to_owned();
        self.repeat = "cargo loadtest --baseline main --seed 7".to_owned();
        self
    }

    /// The same, judged like this.
    pub(super) fn judged(mut self, reasons: &[(ExitCode, &str)]) -> Self {
        let reasons: Vec<_> = reasons.iter().map(|(code, reason)| (*code, (*reason).to_owned())).collect();
        let code = reasons.first().map_or(ExitCode::Passed, |(code, _)| *code);
        self.judgement = Judgement { code, reasons };
        self
    }

    /// The same with thresholds in its first test: source, measured, holds.
    pub(super) fn with_thresholds(mut self, thresholds: &[(&str, Option<f64>, bool)]) -> Self {
        self.run.tests[0].document.outcome.thresholds = thresholds
            .iter()
            .map(|(source, actual, holds)| ThresholdOutcome {
                source: (*source).to_owned(),
                actual: *actual,
                holds: *holds,
                margin: None,
                aborted: false,
            })
            .collect();
        self
    }

    /// A duet of one test with hostile texts wherever a text can be.
    pub(super) fn hostile() -> Self {
        let ids: Vec<String> = EVIL.iter().map(|evil| format!("p/lib/tests::{evil}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut sample = Self::new(&ids).compared(&[Verdict::Regressed; EVIL.len()]);
        let all = EVIL.join("\n");
        sample.first_line = format!("✗ REGRESSED against {all}");
        sample.repeat = format!("cargo loadtest -e X='{all}'");
        sample.baseline_missing = Some(all.clone());
        let comparison = sample.comparison.as_mut().expect("it was compared");
        comparison.warnings = EVIL.iter().map(|evil| (*evil).to_owned()).collect();
        for (test, evil) in comparison.tests.iter_mut().zip(EVIL) {
            test.reasons = comparison.warnings.clone();
            test.file = format!("src/{evil}.rs");
            test.metrics[0].name = evil.to_owned();
            test.metrics[0].reason = Some(all.clone());
        }
        let reasons: Vec<(ExitCode, String)> =
            ids.iter().map(|id| (ExitCode::Crashed, format!("{id}: {all}"))).collect();
        sample.judgement = Judgement { code: ExitCode::Crashed, reasons };
        sample.with_thresholds(&EVIL.map(|evil| (evil, None, false)))
    }

    /// What is told of it.
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            run: &self.run,
            comparison: self.comparison.as_ref(),
            judgement: &self.judgement,
            first_line: &self.first_line,
            repeat: &self.repeat,
            report: self.report.as_deref(),
            junit: None,
            directory: self.root.path(),
            baseline_missing: self.baseline_missing.as_deref(),
            workspace_root: self.root.path(),
            repository_root: None,
        }
    }

    /// Its directory, which is the root of the workspace too.
    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }
}

fn rule() -> Rule {
    Rule { alpha: 0.05, min_effect: 0.05, equivalence: 0.1, share_equivalence: 0.001, session_spread: None }
}

fn test(id: &str) -> TestDocument {
    let workload = Workload {
        shape: Shape::RampingVus { start_vus: 1, stages: Vec::new(), graceful_ramp_down: Duration::ZERO },
        graceful_stop: Duration::ZERO,
        warm_up: Duration::ZERO,
        start_time: Duration::ZERO,
        min_iteration_duration: Duration::ZERO,
    };
    TestDocument {
        id: id.to_owned(),
        definitions: vec![Definition {
            test: id.rsplit('/').next().unwrap_or(id).to_owned(),
            scenario: "s".to_owned(),
            package: "p".to_owned(),
            file: "src/lib.rs".to_owned(),
            line: 42,
            options: Options::default(),
            workload,
            binaries: Vec::new(),
            attribute_hash: String::new(),
            body_hash: String::new(),
        }],
        outcome: TestOutcome { load_seconds: 1.5, ..TestOutcome::new(End::Completed) },
        services: Vec::new(),
        started_at: None,
        seed: 7,
        workload_hash: String::new(),
        intervals: String::new(),
        invalid: Vec::new(),
        summary: Vec::new(),
    }
}

fn compared(test: &TestDocument, verdict: Verdict, change: f64) -> TestComparison {
    let metric = |name: &str, kind, gate, verdict| MetricComparison {
        name: name.to_owned(),
        kind,
        gate,
        base: Some(40.0),
        head: Some(40.0 * change),
        change: Some(change),
        interval: Some((change - 0.02, change + 0.02)),
        p: Some(0.004),
        verdict,
        min_effect: 0.05,
        detectable: None,
        runs_needed: None,
        reason: None,
        base_runs: Vec::new(),
        head_runs: Vec::new(),
    };
    let not_judged = matches!(verdict, Verdict::NotComparable | Verdict::Invalid);
    TestComparison {
        id: test.id.clone(),
        file: "src/lib.rs".to_owned(),
        line: 42,
        verdict,
        rule: rule(),
        runs: 6,
        reasons: if not_judged {
            vec!["the target is not started by this test".to_owned()]
        } else {
            Vec::new()
        },
        metrics: match verdict {
            Verdict::NotComparable => Vec::new(),
            _ => vec![
                metric("p95", MetricKind::Latency, true, verdict),
                metric("throughput", MetricKind::Throughput, true, Verdict::Unchanged),
                metric("p50", MetricKind::Latency, false, Verdict::Regressed),
            ],
        },
        shift: Vec::new(),
        distance: None,
    }
}
