//! The end-of-test summary on the terminal, in the form that k6 users know: thresholds, checks, then a line
//! per metric.
//!
//! The main function is [`summary`]. The reason for a verdict comes first, because nobody scrolls. Columns
//! are measured as a terminal shows them, and no text from outside reaches the terminal with control
//! characters in it.

use loadtest_core::metric::{Builtin, Kind, MetricDef, Tags, Totals, tag};
use loadtest_core::units::{format_count, format_percent, format_value};

use self::paint::{Paint, Tone};
use super::clean;
use super::view::{self, CheckView};
use crate::compare::Comparison;
use crate::data::{RunData, TestData, failures, successes};

mod banner;
mod comparison;
mod paint;
mod stats;
#[cfg(test)]
mod tests;

pub use banner::status_line;
pub use stats::check_trend_stats;

/// Reasons and messages longer than this are cut: the report and the run's directory have all of them.
const MESSAGE_COLUMNS: usize = 160;
/// Names longer than this are cut.
const NAME_COLUMNS: usize = 56;
/// Kinds of errors that are listed.
const ERRORS: usize = 10;
/// Checks that are listed.
const CHECKS: usize = 40;

/// How the summary looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextOptions {
    /// Whether colours may be used: on a terminal, without `NO_COLOR`.
    pub color: bool,
    /// What is shown of trends, as [`check_trend_stats`] returns it.
    pub trend_stats: Vec<String>,
}

impl Default for TextOptions {
    fn default() -> Self {
        let stats = ["avg", "min", "med", "max", "p(90)", "p(95)", "p(99)"];
        Self { color: false, trend_stats: stats.map(str::to_owned).to_vec() }
    }
}

/// A comparison by itself, with a line break at its end: its verdict first, then every test.
pub fn comparison(comparison: &Comparison, options: &TextOptions) -> String {
    let paint = Paint { color: options.color };
    let line = comparison::verdict_line(comparison, paint);
    format!("{line}\n\n{}", comparison::block(comparison, paint))
}

/// The summary of a run, with a line break at its end.
pub fn summary(run: &RunData, comparison: Option<&Comparison>, options: &TextOptions) -> String {
    let paint = Paint { color: options.color };
    let mut out = String::new();
    if let Some(comparison) = comparison {
        out.push_str(&comparison::verdict_line(comparison, paint));
        out.push('\n');
    }
    let missing = view::baseline_missing(run);
    if let Some(text) = &missing {
        let head = paint.bold(Tone::Warn, "? NOT VERIFIED:");
        out.push_str(&format!("{head} {text}\n"));
    }
    if run.tests.is_empty() {
        out.push_str("no test ran\n");
    }
    for (index, test) in run.tests.iter().enumerate() {
        if index > 0 || !out.is_empty() {
            out.push('\n');
        }
        Page { test, options, paint, out: &mut out }.write();
    }
    if let Some(comparison) = comparison {
        out.push('\n');
        out.push_str(&comparison::block(comparison, paint));
    }
    if let Some(text) = view::unoptimised(run) {
        // Second, because the first line is the verdict's.
        let second = out.find('\n').map_or(out.len(), |end| end + 1);
        out.insert_str(second, &format!("{} {text}\n", paint.tone(Tone::Warn, "warning:")));
    }
    out
}

struct Page<'a> {
    test: &'a TestData,
    options: &'a TextOptions,
    paint: Paint,
    out: &'a mut String,
}

impl Page<'_> {
    fn write(&mut self) {
        let outcome = &self.test.document.outcome;
        self.out.push_str(&banner::of_test(self.test, self.paint));
        for (name, workload) in &outcome.workloads {
            let name = clean::clip(&clean::line(name), NAME_COLUMNS);
            let load = clean::clip(&view::sentence(workload), MESSAGE_COLUMNS);
            self.line(&self.paint.tone(Tone::Dim, &format!("  {name}: {load}")));
        }
        self.warnings();
        self.errors();
        self.thresholds();
        if self.test.mixes_probes() {
            self.line("");
            self.line(&self.paint.tone(Tone::Dim, &format!("  {}", view::ALL_PROBES)));
        }
        self.checks();
        self.metrics();
        self.scenarios();
        self.health();
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn title(&mut self, text: &str) {
        self.out.push('\n');
        self.line(&format!("  {}", self.paint.bold(Tone::Plain, text)));
    }

    fn warnings(&mut self) {
        let outcome = &self.test.document.outcome;
        for text in &outcome.warnings {
            let text = clean::clip(&clean::line(text), MESSAGE_COLUMNS);
            self.line(&format!("  {} {text}", self.paint.tone(Tone::Warn, "warning:")));
        }
        for caution in view::figures(self.test).caution.into_iter().chain(view::late(self.test)) {
            self.line(&format!("  {} {caution}", self.paint.tone(Tone::Warn, "warning:")));
        }
    }

    fn errors(&mut self) {
        let errors = view::errors(self.test, MESSAGE_COLUMNS, 4_000);
        if errors.is_empty() {
            return;
        }
        self.title("ERRORS");
        let columns = errors.iter().take(ERRORS).map(|error| clean::width(&error.count)).max().unwrap_or(0);
        for error in errors.iter().take(ERRORS) {
            let count = self.paint.tone(Tone::Bad, &format!("{}×", clean::pad_start(&error.count, columns)));
            let place = if error.place.is_empty() { String::new() } else { format!(" at {}", error.place) };
            let kind = clean::clip(&error.kind, 16);
            self.line(&format!("    {count} {kind}: {}", error.message.short));
            if let Some(hint) = &error.hint {
                self.line(&format!("    {}  hint: {hint}", " ".repeat(columns)));
            }
            let scenario = clean::clip(&error.scenario, NAME_COLUMNS);
            let more = format!("in {scenario}{place}, first after {}", error.first_at);
            self.line(&self.paint.tone(Tone::Dim, &format!("    {}  {more}", " ".repeat(columns))));
        }
        if errors.len() > ERRORS {
            self.line(&format!("    … and {} more kinds", errors.len() - ERRORS));
        }
    }

    fn thresholds(&mut self) {
        let thresholds = view::thresholds(self.test);
        if thresholds.is_empty() {
            return;
        }
        self.title("THRESHOLDS");
        let sources: Vec<String> = thresholds.iter().map(|t| clean::clip(&t.source, NAME_COLUMNS)).collect();
        let columns = sources.iter().map(|source| clean::width(source)).max().unwrap_or(0);
        let values = thresholds.iter().map(|t| clean::width(&t.actual)).max().unwrap_or(0);
        for (threshold, source) in thresholds.iter().zip(&sources) {
            let (mark, tone) = if threshold.holds { ("✓", Tone::Good) } else { ("✗", Tone::Bad) };
            let actual = self.paint.tone(tone, &clean::pad_start(&threshold.actual, values));
            let ended = if threshold.aborted { ", ended the test" } else { "" };
            let margin = self.paint.tone(Tone::Dim, &format!("{}{ended}", threshold.margin));
            self.line(&format!(
                "    {} {}  {actual}  {margin}",
                self.paint.tone(tone, mark),
                clean::pad(source, columns)
            ));
        }
    }

    fn checks(&mut self) {
        let (checks, all) = view::checks(self.test, NAME_COLUMNS);
        if checks.is_empty() {
            return;
        }
        self.title("CHECKS");
        let columns = checks.iter().map(|check| clean::width(&check.name.short)).max().unwrap_or(0).max(10);
        for check in checks.iter().take(CHECKS) {
            self.check(check, columns);
        }
        if checks.len() > CHECKS {
            self.line(&format!("      … and {} more checks", checks.len() - CHECKS));
        }
        if checks.len() > 1 {
            self.check(&all, columns);
        }
    }

    fn check(&mut self, check: &CheckView, columns: usize) {
        let (mark, tone) = if check.fails == 0 { ("✓", Tone::Good) } else { ("✗", Tone::Bad) };
        let name = clean::pad(&check.name.short, columns);
        let passes = self.paint.tone(Tone::Good, &format!("✓ {}", format_count(check.passes as f64)));
        let fails = match check.fails {
            0 => String::new(),
            n => self.paint.tone(Tone::Bad, &format!("  ✗ {}", format_count(n as f64))),
        };
        let share = clean::pad_start(&check.share, 8);
        self.line(&format!("    {} {name}  {share}  {passes}{fails}", self.paint.tone(tone, mark)));
    }

    /// A line per metric, in groups. Trends are aligned over all of them.
    fn metrics(&mut self) {
        let mut groups: Vec<(&str, Vec<Row>)> = Vec::new();
        let [http, rest @ ..] = GROUPS;
        for (title, metrics) in std::iter::once(http).chain(view::PROTOCOLS).chain(rest) {
            let mut rows: Vec<Row> =
                metrics.iter().flat_map(|metric| self.rows(&metric.def(), true)).collect();
            if title == EXECUTION {
                rows.extend(self.planned());
            } else if title == HTTP {
                let after = rows.iter().position(|row| row.name == Builtin::HttpReqs.name());
                let row = after.and_then(|after| Some((after + 1, self.versions()?)));
                row.into_iter().for_each(|(place, row)| rows.insert(place, row));
            }
            groups.push((title, rows));
        }
        let own = view::custom_metrics(self.test);
        groups.push(("CUSTOM", own.iter().flat_map(|def| self.rows(def, false)).collect()));

        let all = || groups.iter().flat_map(|(_, rows)| rows);
        let columns = all().map(|row| clean::width(&row.name)).max().unwrap_or(0) + 3;
        let mut widths = vec![0; self.options.trend_stats.len()];
        for cells in all().filter_map(|row| row.trend.as_ref()) {
            cells.iter().zip(&mut widths).for_each(|(cell, width)| *width = (*width).max(clean::width(cell)));
        }
        for (title, rows) in groups {
            if rows.is_empty() {
                continue;
            }
            self.title(title);
            for row in rows {
                let name = clean::pad_with(&row.name, columns, '.');
                let values = match &row.trend {
                    Some(cells) => {
                        let cells = self.options.trend_stats.iter().zip(cells).zip(&widths);
                        let cells = cells.map(|((stat, cell), width)| {
                            let value = self.paint.tone(Tone::Value, cell);
                            let gap = " ".repeat(width.saturating_sub(clean::width(cell)));
                            format!("{}{value}{gap}", self.paint.tone(Tone::Dim, &format!("{stat}=")))
                        });
                        cells.collect::<Vec<_>>().join(" ")
                    }
                    None => row.plain,
                };
                self.line(&format!("    {}: {values}", self.paint.tone(Tone::Name, &name)));
            }
        }
    }

    /// The lines of a metric; none without data.
    fn rows(&self, def: &MetricDef, builtin: bool) -> Vec<Row> {
        let totals = self.test.total(&def.name, |_| true);
        let idle = def.name.starts_with("http_req_") && def.kind == Kind::Trend && totals.max == 0.0;
        let ended = (builtin && def.name == Builtin::Iterations.name())
            .then(|| view::interrupted_iterations(self.test))
            .flatten();
        if totals.count == 0
            && let Some(plain) = ended
        {
            return vec![Row { name: def.name.clone(), trend: None, plain }];
        }
        if totals.count == 0 || (builtin && idle) {
            return Vec::new();
        }
        let name = clean::clip(&clean::line(&def.name), 40);
        let mut rows = vec![self.row(name, def, &totals)];
        if let Some(ended) = ended {
            rows[0].plain.push_str(&self.paint.tone(Tone::Dim, &format!("  {ended}")));
        }
        if builtin && def.name == Builtin::HttpReqDuration.name() {
            let part = |select: fn(&Tags) -> bool| self.test.total(&def.name, select);
            let (good, bad) = (part(successes), part(failures));
            if bad.count > 0 {
                for (label, part) in [("true", good), ("false", bad)] {
                    if part.count > 0 {
                        rows.push(self.row(format!("  {{ expected_response:{label} }}"), def, &part));
                    }
                }
            }
        }
        // Operations and groups are told apart by a tag; a sum over all of them means little.
        if let Some((_, tag)) = APART.iter().find(|(metric, _)| builtin && def.name == metric.name()) {
            let parts = self
                .test
                .total_by(&def.name, |tags| tags.get(*tag).filter(|value| !value.is_empty()).cloned());
            for (value, part) in parts.iter().take(PARTS) {
                let value = clean::clip(&clean::line(value), 24);
                rows.push(self.row(format!("  {{ {tag}:{value} }}"), def, part));
            }
        }
        rows
    }

    fn row(&self, name: String, def: &MetricDef, totals: &Totals) -> Row {
        let value = |text: String| self.paint.tone(Tone::Value, &text);
        let plain = match def.kind {
            Kind::Trend => String::new(),
            Kind::Counter => {
                let rate = view::format_rate_of(totals.sum / self.test.seconds(), def);
                format!(
                    "{}  {}",
                    value(clean::pad(&format_value(totals.sum, def.unit), 9)),
                    self.paint.tone(Tone::Dim, &rate)
                )
            }
            Kind::Gauge => format!(
                "{}  {}",
                value(clean::pad(&format_value(totals.last, def.unit), 9)),
                self.paint.tone(
                    Tone::Dim,
                    &format!(
                        "min={} max={}",
                        format_value(totals.min, def.unit),
                        format_value(totals.max, def.unit)
                    )
                )
            ),
            Kind::Rate => format!(
                "{}  {}",
                value(clean::pad(&totals.mean().map_or_else(|| "–".to_owned(), format_percent), 9)),
                self.paint.tone(
                    Tone::Dim,
                    &format!("{} out of {}", format_count(totals.sum), format_count(totals.count as f64))
                )
            ),
        };
        let trend = (def.kind == Kind::Trend).then(|| {
            self.options
                .trend_stats
                .iter()
                .map(|stat| stats::show(stat, totals, def.unit))
                .collect::<Vec<_>>()
        });
        Row { name, trend, plain }
    }

    /// Each scenario's share in the load, if there are several.
    fn scenarios(&mut self) {
        let rows = view::scenarios(self.test);
        if rows.len() < 2 {
            return;
        }
        self.title("SCENARIOS");
        let name = |row: &view::ScenarioView| clean::clip(&row.name, NAME_COLUMNS);
        let columns = rows.iter().map(|row| clean::width(&name(row))).max().unwrap_or(0) + 3;
        let mut widths = [0; 5];
        let rate = view::rate_name(self.test);
        let rates = rows.iter().map(|row| clean::width(&row.rate)).max().unwrap_or(0);
        for row in &rows {
            row.iterations
                .iter()
                .zip(&mut widths)
                .for_each(|(cell, width)| *width = (*width).max(cell.len()));
        }
        for row in &rows {
            let bad = [false, false, row.failed, false, row.dropped];
            let cells = row.iterations.iter().zip(view::ITERATIONS).zip(widths).zip(bad);
            let cells = cells.map(|(((count, what), width), bad)| {
                let tone = if bad { Tone::Bad } else { Tone::Value };
                let gap = " ".repeat(width.saturating_sub(count.len()));
                format!(
                    "{}{}{gap}",
                    self.paint.tone(Tone::Dim, &format!("{what}=")),
                    self.paint.tone(tone, count)
                )
            });
            let mut cells = cells.collect::<Vec<_>>().join(" ");
            for (what, value) in [(rate, clean::pad(&row.rate, rates)), ("p(95)", row.p95.clone())] {
                let what = self.paint.tone(Tone::Dim, &format!("{what}="));
                cells.push_str(&format!(" {what}{}", self.paint.tone(Tone::Value, &value)));
            }
            let name = self.paint.tone(Tone::Name, &clean::pad_with(&name(row), columns, '.'));
            self.line(&format!("    {name}: {cells}"));
        }
    }

    /// The line of what served the requests.
    fn versions(&self) -> Option<Row> {
        let plain = self.paint.tone(Tone::Value, &view::http_versions(self.test)?);
        Some(Row { name: "protocol".to_owned(), trend: None, plain })
    }

    /// The lines of what a plan of starts and a capacity search came to.
    fn planned(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let starts = view::starts(self.test);
        if let Some(share) = starts.share() {
            let planned = format_count(starts.planned() as f64);
            let value = clean::pad(&format_count(starts.started as f64), 9);
            let of = format!("{} of {planned} planned", format_percent(share));
            let plain =
                format!("{}  {}", self.paint.tone(Tone::Value, &value), self.paint.tone(Tone::Dim, &of));
            rows.push(Row { name: "starts offered".to_owned(), trend: None, plain });
        }
        let capacities = self.test.document.outcome.capacities.values();
        for ((name, found), capacity) in view::capacity_lines(self.test).into_iter().zip(capacities) {
            let probes = match capacity.probes.len() {
                1 => "(1 probe)".to_owned(),
                n => format!("({n} probes)"),
            };
            let plain =
                format!("{}  {}", self.paint.tone(Tone::Value, &found), self.paint.tone(Tone::Dim, &probes));
            rows.push(Row { name: clean::clip(&name, 40), trend: None, plain });
        }
        rows
    }

    fn health(&mut self) {
        let health = view::health(self.test);
        for (title, rows) in [("SERVICE", &health.service), ("GENERATOR", &health.generator)] {
            if rows.is_empty() {
                continue;
            }
            self.title(title);
            let columns = rows.iter().map(|(name, _, _)| clean::width(name)).max().unwrap_or(0) + 3;
            for (name, value, bad) in rows {
                let tone = if *bad { Tone::Bad } else { Tone::Value };
                let name = self.paint.tone(Tone::Name, &clean::pad_with(name, columns, '.'));
                self.line(&format!(
                    "    {name}: {}",
                    self.paint.tone(tone, &clean::clip(value, MESSAGE_COLUMNS))
                ));
            }
        }
    }
}

/// Metrics that are shown for each value of a tag as well.
const APART: [(Builtin, &str); 3] = [
    (Builtin::MeasureDuration, tag::NAME),
    (Builtin::MeasureFailed, tag::NAME),
    (Builtin::GroupDuration, tag::GROUP),
];

/// The most values that are shown of such a tag.
const PARTS: usize = 20;

/// The group of what HTTP requests took.
const HTTP: &str = "HTTP";

/// The group of what the load was.
const EXECUTION: &str = "EXECUTION";

/// The built-in metrics, by the question they answer.
const GROUPS: [(&str, &[Builtin]); 4] = [
    (
        HTTP,
        &[
            Builtin::HttpReqDuration,
            Builtin::HttpReqFailed,
            Builtin::HttpReqs,
            Builtin::HttpReqThrottled,
            Builtin::HttpReqBlocked,
            Builtin::HttpReqLookingUp,
            Builtin::HttpReqConnecting,
            Builtin::HttpReqTlsHandshaking,
            Builtin::HttpReqSending,
            Builtin::HttpReqWaiting,
            Builtin::HttpReqReceiving,
        ],
    ),
    ("OPERATIONS", &[Builtin::MeasureDuration, Builtin::MeasureFailed]),
    (
        EXECUTION,
        &[
            Builtin::IterationDuration,
            Builtin::IterationScheduledDuration,
            Builtin::ScheduleLag,
            Builtin::GroupDuration,
            Builtin::Iterations,
            Builtin::IterationsFailed,
            Builtin::DroppedIterations,
            Builtin::Vus,
            Builtin::VusMax,
        ],
    ),
    ("NETWORK", &[Builtin::DataReceived, Builtin::DataSent]),
];

struct Row {
    name: String,
    trend: Option<Vec<String>>,
    plain: String,
}
