//! A run and its tests as the page shows them.
//!
//! The main types are [`RunView`] and [`TestView`]. [`Detail`] bounds what a page holds, so that a run of
//! any length and any number of tests has a page that opens.

use jiff::Timestamp;
use loadtest_core::units::format_bytes;
use serde::Serialize;

use super::capacity::{CapacityView, capacities};
use super::load::{Omission, omission};
use super::tables::{EndpointView, Health, MetricView, custom, endpoints, groups, protocols};
use super::{
    CheckView, ComparisonView, ErrorView, Figures, ITERATIONS, Long, Pair, ScenarioView, Status, TestRows,
    ThresholdView, baseline_missing, checks, errors, figures, health, late, rate_name, reason_of, revision,
    scenarios, sentence, thresholds, unoptimised,
};
use crate::compare::{Comparison, Verdict};
use crate::data::{RunData, TestData};
use crate::report::chart::{CHARTS, Drawing, Input, Section};
use crate::report::clean;
use crate::verdict::ExitCode;

/// Names longer than this are folded.
const NAME_COLUMNS: usize = 120;
/// Reasons that are listed before the tests.
const REASONS: usize = 20;
/// Messages longer than this are folded.
const MESSAGE_COLUMNS: usize = 240;

/// How much of a run a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) struct Detail {
    /// Points of a line.
    pub points: usize,
    /// Rows of a chart's table.
    pub chart_rows: usize,
    /// Rows of the tables of endpoints, checks, metrics and errors.
    pub rows: usize,
    /// Characters of a text.
    pub text: usize,
}

impl Detail {
    /// From the most to the least: the first whose page is small enough is taken.
    pub(in crate::report) const LEVELS: &[Detail] = &[
        Detail { points: 600, chart_rows: 600, rows: 100, text: 2_000 },
        Detail { points: 600, chart_rows: 120, rows: 60, text: 1_000 },
        Detail { points: 240, chart_rows: 60, rows: 30, text: 500 },
        Detail { points: 100, chart_rows: 20, rows: 12, text: 300 },
        Detail { points: 40, chart_rows: 10, rows: 5, text: 200 },
        Detail { points: 0, chart_rows: 0, rows: 3, text: 120 },
    ];
}

/// A run.
#[derive(Debug, Serialize)]
pub(in crate::report) struct RunView {
    /// For the window's title.
    pub title: String,
    /// Of the whole run.
    pub status: Status,
    /// When, revision, tool.
    pub about: Vec<Pair>,
    /// What passed, in words.
    pub count: String,
    /// The tests.
    pub tests: Vec<TestView>,
    /// The comparison with a baseline.
    pub comparison: Option<ComparisonView>,
    /// The machine.
    pub environment: Vec<Pair>,
    /// How to repeat the run.
    pub repeat: String,
    /// That the code was not optimised, if it was not.
    pub unoptimised: Option<String>,
    /// Which of several runs the details are of.
    pub one_of_many: Option<String>,
    /// What was left out to keep the page small.
    pub thinned: Option<String>,
}

/// A test.
#[derive(Debug, Serialize)]
pub(in crate::report) struct TestView {
    /// Its anchor in the page.
    pub anchor: String,
    /// Its identity.
    pub id: Long,
    /// The last part of it.
    pub name: Long,
    /// How it ended.
    pub status: Status,
    /// What to say if it passed.
    pub good: &'static str,
    /// Its scenarios: name and workload.
    pub scenarios: Vec<Pair>,
    /// Its thresholds.
    pub thresholds: Vec<ThresholdView>,
    /// Its key figures.
    pub figures: Figures,
    /// Iterations from their actual and from their intended start.
    pub omission: Option<Omission>,
    /// What capacity searches found.
    pub capacities: Vec<CapacityView>,
    /// The charts of that.
    pub capacity_charts: Vec<ChartView>,
    /// Each scenario's share in the load, if there are several.
    pub shares: Vec<ScenarioView>,
    /// What its rate counts.
    pub rate_name: &'static str,
    /// Names of the numbers of iterations in it.
    pub iterations: [&'static str; 5],
    /// Its part of the comparison.
    pub comparison: Option<TestRows>,
    /// Whether a comparison was asked for, but not of this test.
    pub uncompared: bool,
    /// The charts that go with the comparison.
    pub baseline_charts: Vec<ChartView>,
    /// Those of the load.
    pub load_charts: Vec<ChartView>,
    /// Those of latency.
    pub latency_charts: Vec<ChartView>,
    /// Those of errors.
    pub error_charts: Vec<ChartView>,
    /// Its errors.
    pub errors: Vec<ErrorView>,
    /// Kinds of errors that are left out.
    pub errors_left_out: usize,
    /// Its endpoints or operations.
    pub endpoints: Vec<EndpointView>,
    /// Those that are left out.
    pub endpoints_left_out: usize,
    /// Names of the phases, if the endpoints have them.
    pub phases: Vec<&'static str>,
    /// Its checks.
    pub checks: Vec<CheckView>,
    /// Those that are left out.
    pub checks_left_out: usize,
    /// All of them together.
    pub all_checks: CheckView,
    /// The metrics of protocols beside HTTP, those of a kind together.
    pub protocols: Vec<Vec<MetricView>>,
    /// Its own metrics, those of a kind together.
    pub metrics: Vec<Vec<MetricView>>,
    /// Its groups.
    pub groups: Vec<MetricView>,
    /// Metrics and groups that are left out.
    pub metrics_left_out: usize,
    /// Generator and service.
    pub health: Health,
    /// What the reader should know.
    pub warnings: Vec<Long>,
    /// What `teardown` said.
    pub teardown_error: Option<Long>,
}

/// A chart with its anchor.
#[derive(Debug, Serialize)]
pub(in crate::report) struct ChartView {
    /// Its anchor in the page.
    pub anchor: String,
    /// The drawing.
    pub drawing: Drawing,
}

impl RunView {
    /// The texts for a run.
    pub(in crate::report) fn new(
        run: &RunData,
        base: Option<&RunData>,
        comparison: Option<&Comparison>,
        detail: Detail,
    ) -> anyhow::Result<Self> {
        let document = &run.document;
        let tests = run.tests.iter().enumerate().map(|(index, test)| {
            let same = |other: &&TestData| other.document.id == test.document.id;
            TestView::new(index, test, base.and_then(|base| base.tests.iter().find(same)), comparison, detail)
        });
        let tests = tests.collect::<anyhow::Result<Vec<_>>>()?;
        let status = overall(run, &tests, comparison);
        let passed = tests.iter().filter(|test| test.status.class == "pass").count();
        let mut about = vec![("started".to_owned(), instant(&document.started_at))];
        let branch = document.revision.branch.as_ref().map(|branch| clean::clip(&clean::line(branch), 80));
        match (document.revision.commit.as_deref(), branch) {
            (None, Some(branch)) => about.push(("revision".to_owned(), format!("no commit yet on {branch}"))),
            (commit, branch) => {
                about.push(("revision".to_owned(), revision(commit, document.revision.dirty)));
                about.extend(branch.map(|branch| ("branch".to_owned(), branch)));
            }
        }
        about.push(("run".to_owned(), clean::clip(&clean::line(&document.id), 80)));
        let machine = &document.fingerprint;
        let known = |text: &str| if text.is_empty() { "not known".to_owned() } else { clean::line(text) };
        let environment = [
            ("CPU", format!("{}, {} logical cores", known(&machine.cpu), machine.cores)),
            ("memory", format_bytes(machine.memory_bytes as f64)),
            (
                "system",
                format!("{} {}, {}", known(&machine.os), clean::line(&machine.kernel), known(&machine.arch)),
            ),
            (
                "virtualisation",
                if machine.virtualisation.is_empty() {
                    "none seen".into()
                } else {
                    clean::line(&machine.virtualisation)
                },
            ),
            ("compiler", known(&machine.rustc)),
            ("profile", known(&document.profile)),
            ("tool", format!("cargo-loadtest {}", clean::line(&document.tool_version))),
        ];
        let first = tests.first().map_or("no test", |test| test.name.short.as_str());
        Ok(Self {
            title: match tests.len() {
                0 | 1 => format!("{}: {first}", status.word),
                n => format!("{}: {n} load tests", status.word),
            },
            status,
            about,
            count: match tests.as_slice() {
                [test] => test.good.to_owned(),
                _ => format!("{passed} of {} passed", tests.len()),
            },
            comparison: comparison.map(ComparisonView::new),
            environment: environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            repeat: clean::line(&document.repeat),
            unoptimised: unoptimised(run),
            one_of_many: comparison.and_then(|comparison| one_of_many(run, comparison)),
            thinned: (detail != Detail::LEVELS[0]).then(|| match detail.points {
                0 => "This page leaves out the charts and keeps the first rows of each table, to stay small. All \
                      numbers are in the run's directory."
                    .to_owned(),
                n => format!(
                    "This page keeps at most {n} points of each line and {} rows of each table, to stay small. All \
                     numbers are in the run's directory.",
                    detail.rows
                ),
            }),
            tests,
        })
    }
}

/// The status of the whole run: that of the exit code, with the reasons of the tests.
fn overall(run: &RunData, tests: &[TestView], comparison: Option<&Comparison>) -> Status {
    let exit_code = run.document.exit_code;
    let (mut reasons, mut notes) = (Vec::new(), Vec::new());
    for test in tests {
        let name = |reason: &String| {
            if tests.len() == 1 { reason.clone() } else { format!("{}: {reason}", test.name.short) }
        };
        reasons.extend(test.status.reasons.iter().map(name));
        notes.extend(test.status.notes.iter().map(name));
    }
    notes.truncate(REASONS);
    if reasons.len() > REASONS {
        let more = reasons.len() - REASONS;
        reasons.truncate(REASONS);
        reasons.push(format!("… and {more} more reasons, with their tests below"));
    }
    reasons.extend(comparison.and_then(compared));
    reasons.extend(baseline_missing(run));
    let code =
        crate::verdict::EXIT_CODES.iter().map(|(code, _)| *code).find(|code| code.number() == exit_code);
    let code = match (code.unwrap_or(ExitCode::Internal), comparison.map(|comparison| comparison.verdict)) {
        // Tolerated, so it does not fail, but nobody shall take it for a pass.
        (ExitCode::Passed, Some(Verdict::Inconclusive | Verdict::NotComparable)) => ExitCode::Inconclusive,
        (ExitCode::Passed, _) if run.baseline_missing.is_some() => ExitCode::Inconclusive,
        (code, _) => code,
    };
    Status { notes, ..Status::of_code(code, reasons) }
}

/// What the comparison has to say against the run, before its table.
fn compared(comparison: &Comparison) -> Option<String> {
    let verdict = match comparison.verdict {
        Verdict::Regressed => "regressed against",
        Verdict::Inconclusive => "not verified: inconclusive against",
        Verdict::NotComparable => "not verified: not comparable with",
        Verdict::Invalid => "not verified: the measurements are not valid for a comparison with",
        Verdict::Improved | Verdict::Unchanged => return None,
    };
    let why = reason_of(comparison).map(|reason| format!(": {}", clean::clip(&reason, 2 * MESSAGE_COLUMNS)));
    Some(format!("{verdict} {}{}", ComparisonView::new(comparison).title, why.unwrap_or_default()))
}

/// That the details are those of one run, if several were judged: which one, and where the others are.
fn one_of_many(run: &RunData, comparison: &Comparison) -> Option<String> {
    let runs = &comparison.head.runs;
    if runs.len() < 2 {
        return None;
    }
    let which = match runs.iter().position(|id| *id == run.document.id) {
        Some(index) => format!(
            "run {} of the {} of head: {}",
            index + 1,
            runs.len(),
            clean::clip(&clean::line(&run.document.id), 80)
        ),
        // What is shown is a copy, and each test says of which run.
        None => "one run of head, which each test names".to_owned(),
    };
    Some(format!(
        "The comparison is over all runs. Thresholds, key figures and the other charts are those of {which}."
    ))
}

impl TestView {
    fn new(
        index: usize,
        test: &TestData,
        base: Option<&TestData>,
        comparison: Option<&Comparison>,
        detail: Detail,
    ) -> anyhow::Result<Self> {
        let document = &test.document;
        let outcome = &document.outcome;
        let anchor = format!("test-{}", index + 1);
        let judged = comparison.and_then(|comparison| {
            Some((comparison, comparison.tests.iter().find(|t| t.id == document.id)?))
        });
        let compared = judged.map(|(comparison, test)| TestRows::new(test, comparison));
        let input =
            Input { test, base, comparison: judged, max_points: detail.points, max_rows: detail.chart_rows };
        let charts = |section: Section| -> anyhow::Result<Vec<ChartView>> {
            let mut views = Vec::new();
            for chart in CHARTS.iter().filter(|chart| chart.section() == section && detail.points > 0) {
                if let Some(drawing) = chart.draw(&input)? {
                    views.push(ChartView { anchor: format!("{anchor}-{}", chart.id()), drawing });
                }
            }
            Ok(views)
        };
        let mut errors = errors(test, MESSAGE_COLUMNS.min(detail.text), detail.text);
        let errors_left_out = cut(&mut errors, detail.rows);
        let (endpoints, endpoints_left_out) = endpoints(test, detail.rows, NAME_COLUMNS.min(detail.text));
        let has_phases = endpoints.iter().any(|endpoint| !endpoint.phases.is_empty());
        let (mut checks, all_checks) = checks(test, NAME_COLUMNS);
        // Of many the ones that failed are those to look at.
        if checks.len() > detail.rows {
            checks.sort_by_key(|check| check.fails == 0);
        }
        let checks_left_out = cut(&mut checks, detail.rows);
        let (mut metrics, mut groups) = (custom(test, NAME_COLUMNS), groups(test, NAME_COLUMNS));
        let metrics_left_out = cut(&mut metrics, detail.rows) + cut(&mut groups, detail.rows);
        let mut shares = scenarios(test);
        shares.truncate(detail.rows.max(10));
        // The last part of package/target/path::name, which may have slashes of its own.
        let name = document.id.splitn(3, '/').nth(2).unwrap_or(&document.id);
        Ok(Self {
            id: Long::new(&document.id, NAME_COLUMNS, detail.text),
            name: Long::new(name, 80, detail.text),
            status: Status::of_test(test),
            good: match (outcome.thresholds.is_empty(), outcome.capacities.is_empty()) {
                (false, _) => "Every threshold holds.",
                (true, true) => "No threshold was set.",
                (true, false) => "The search for the capacity is done.",
            },
            scenarios: outcome
                .workloads
                .iter()
                .map(|(name, workload)| (clean::clip(&clean::line(name), 80), sentence(workload)))
                .collect(),
            thresholds: thresholds(test),
            figures: figures(test),
            omission: omission(test),
            capacities: capacities(test, detail.rows, MESSAGE_COLUMNS.min(detail.text)),
            capacity_charts: charts(Section::Capacity)?,
            shares: if outcome.workloads.len() > 1 { shares } else { Vec::new() },
            rate_name: rate_name(test),
            iterations: ITERATIONS,
            uncompared: comparison.is_some() && compared.is_none(),
            comparison: compared,
            baseline_charts: charts(Section::Baseline)?,
            load_charts: charts(Section::Load)?,
            latency_charts: charts(Section::Latency)?,
            error_charts: charts(Section::Errors)?,
            errors,
            errors_left_out,
            endpoints,
            endpoints_left_out,
            phases: if has_phases {
                super::tables::PHASES.iter().map(|(_, name)| *name).collect()
            } else {
                Vec::new()
            },
            checks,
            checks_left_out,
            all_checks,
            protocols: by_kind(protocols(test, NAME_COLUMNS)),
            metrics: by_kind(metrics),
            groups,
            metrics_left_out,
            health: health(test),
            warnings: outcome
                .warnings
                .iter()
                .cloned()
                .chain(late(test))
                .map(|text| Long::new(&text, MESSAGE_COLUMNS, detail.text))
                .collect(),
            teardown_error: outcome
                .teardown_error
                .as_ref()
                .map(|e| Long::new(e, MESSAGE_COLUMNS, detail.text)),
            anchor,
        })
    }
}

/// An instant to the second; as it is written if that is no instant.
fn instant(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(instant) => instant.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => clean::clip(&clean::line(text), 80),
    }
}

/// Metrics of a kind have the same columns.
fn by_kind(metrics: Vec<MetricView>) -> Vec<Vec<MetricView>> {
    let mut tables: Vec<Vec<MetricView>> = Vec::new();
    for metric in metrics {
        match tables.iter_mut().find(|table| table.iter().all(|other| other.kind == metric.kind)) {
            Some(table) => table.push(metric),
            None => tables.push(vec![metric]),
        }
    }
    tables
}

fn cut<T>(rows: &mut Vec<T>, most: usize) -> usize {
    let left_out = rows.len().saturating_sub(most);
    rows.truncate(most);
    left_out
}
