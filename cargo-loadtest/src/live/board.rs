//! What is known of a running test, and the text that says it.
//!
//! The main type is [`Board`]: definitions, phases and intervals go in, lines come out. It reads no clock
//! and draws nothing.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use loadtest_core::metric::{Builtin, Totals, Unit, tag};
use loadtest_core::options::{Shape, Workload};
use loadtest_core::results::{Definition, GeneratorState, Interval, ScenarioState, SeriesId, ServiceInfo};
use loadtest_core::units::{format_count, format_duration, format_millis, format_rate};
use loadtest_core::wire::Phase;

use crate::data;

/// Characters of a progress bar.
const BAR: usize = 20;

/// Names of failing thresholds that fit; the rest is counted.
const NAMED: usize = 3;

/// A test on its way.
#[derive(Debug)]
pub(super) struct Board {
    id: String,
    phase: Phase,
    /// From `go` to the end of the last interval.
    elapsed: Duration,
    /// How much of that the load was held, to the second: the plan stands still meanwhile.
    held: Duration,
    /// Whether it is held now.
    paused: bool,
    /// Whether there was an interval: before it there are no numbers to show.
    measured: bool,
    scenarios: Vec<Scenario>,
    series: HashMap<SeriesId, Role>,
    generator: GeneratorState,
    thresholds: Vec<String>,
    /// How each stood at the last interval; shorter than `thresholds` if that is not known.
    holding: Vec<bool>,
}

#[derive(Debug)]
struct Scenario {
    name: String,
    workload: Option<Workload>,
    state: ScenarioState,
    failed_operations: f64,
    failed_iterations: f64,
    dropped: f64,
    second: Second,
}

/// What happened to a scenario in the last interval that is long enough to have a rate.
#[derive(Debug, Default)]
struct Second {
    seconds: f64,
    planned_rate: Option<f64>,
    requests: f64,
    operations: f64,
    iterations: f64,
    http_latency: Totals,
    operation_latency: Totals,
    iteration_latency: Totals,
}

/// What a series is to the board: whose it is (`None`: it has no tag `scenario`), and what of.
#[derive(Debug, Clone, Copy)]
struct Role {
    scenario: Option<usize>,
    part: Part,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Requests,
    FailedOperations,
    Iterations,
    FailedIterations,
    Dropped,
    HttpLatency,
    OperationLatency,
    IterationLatency,
}

impl Board {
    pub(super) fn new(id: &str, definitions: &[Definition]) -> Self {
        let mut thresholds = Vec::new();
        let mut searches = false;
        let scenario = |definition: &Definition| {
            thresholds.extend(definition.options.thresholds.iter().map(|threshold| threshold.source.clone()));
            searches |= matches!(definition.workload.shape, Shape::FindCapacity { .. });
            Scenario::new(&definition.scenario, Some(definition.workload.clone()))
        };
        let scenarios = definitions.iter().map(scenario).collect();
        // What holds over all probes together says nothing: the search goes on until a rate breaks one.
        if searches {
            thresholds.clear();
        }
        Self {
            id: id.to_owned(),
            phase: Phase::Setup,
            elapsed: Duration::ZERO,
            held: Duration::ZERO,
            paused: false,
            measured: false,
            scenarios,
            series: HashMap::new(),
            generator: GeneratorState::default(),
            thresholds,
            holding: Vec::new(),
        }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Whether the phase is one without intervals.
    pub(super) fn waits(&self) -> bool {
        matches!(self.phase, Phase::Setup | Phase::Teardown)
    }

    /// Whether the load is held.
    pub(super) fn paused(&self) -> bool {
        self.paused
    }

    pub(super) fn add(&mut self, interval: &Interval) {
        for (name, state) in &interval.scenarios {
            let index = self.scenario(name);
            self.scenarios[index].state = state.clone();
        }
        // A few milliseconds have no rate: the second before is shown on.
        let short = interval.seconds < data::MIN_RATE_SECONDS;
        let kept: Vec<Option<Second>> = self
            .scenarios
            .iter_mut()
            .map(|scenario| {
                let planned_rate = scenario.state.planned_rate;
                let fresh = Second { seconds: interval.seconds, planned_rate, ..Second::default() };
                let before = std::mem::replace(&mut scenario.second, fresh);
                (short && before.seconds >= data::MIN_RATE_SECONDS).then_some(before)
            })
            .collect();
        for def in &interval.new_series {
            let Some(part) = part(&def.metric.name, data::successes(&def.tags)) else { continue };
            let scenario = def.tags.get(tag::SCENARIO).map(|name| self.scenario(name));
            self.series.insert(def.id, Role { scenario, part });
        }
        for (id, totals) in &interval.series {
            let Some(role) = self.series.get(id) else { continue };
            // Of a test with one scenario everything is that one's.
            let owner = role.scenario.or((self.scenarios.len() == 1).then_some(0));
            if let Some(scenario) = owner.and_then(|index| self.scenarios.get_mut(index)) {
                scenario.add(role.part, totals);
            }
        }
        for (scenario, before) in self.scenarios.iter_mut().zip(kept) {
            if let Some(before) = before {
                scenario.second = before;
            }
        }
        let end = interval.index as f64 + interval.seconds;
        self.elapsed = Duration::try_from_secs_f64(end).unwrap_or(self.elapsed).max(self.elapsed);
        if interval.paused {
            let seconds = Duration::try_from_secs_f64(interval.seconds).unwrap_or_default();
            self.held = self.held.saturating_add(seconds).min(self.elapsed);
        }
        self.paused = interval.paused;
        self.measured = true;
        self.generator = interval.generator.clone();
        self.holding.clone_from(&interval.thresholds);
    }

    /// The index of a scenario, which is made up if the definitions did not have it.
    fn scenario(&mut self, name: &str) -> usize {
        self.scenarios.iter().position(|scenario| scenario.name == name).unwrap_or_else(|| {
            self.scenarios.push(Scenario::new(name, None));
            self.scenarios.len() - 1
        })
    }

    /// The name of the test.
    pub(super) fn title(&self) -> String {
        plain(&self.id)
    }

    /// What is going to happen, a line for each scenario.
    pub(super) fn plan(&self) -> Vec<String> {
        let line = |scenario: &Scenario| {
            let workload = scenario.workload.as_ref()?;
            Some(format!("  {}: {}", plain(&scenario.name), workload.describe()))
        };
        self.scenarios.iter().filter_map(line).collect()
    }

    /// What the test does before and after the load, for how long already.
    pub(super) fn waiting(&self, waited: Duration) -> String {
        let what = if self.phase == Phase::Teardown { "teardown" } else { "setup" };
        match waited.as_secs() {
            0 => format!("  {what}"),
            seconds => format!("  {what}, for {}", format_duration(Duration::from_secs(seconds))),
        }
    }

    /// The state as lines of a log, one for each scenario.
    pub(super) fn lines(&self) -> Vec<String> {
        let common = self.common(false);
        let line = |scenario: &Scenario| {
            let mut line = format!("  {}: {}", plain(&scenario.name), self.phase_of(scenario));
            if self.measured {
                let _ = write!(line, " · {} · {}", scenario.counts(), scenario.numbers(false));
            }
            if !common.is_empty() {
                let _ = write!(line, " · {common}");
            }
            line
        };
        self.scenarios.iter().map(line).collect()
    }

    /// The state as rows at the bottom of a terminal: two for each scenario and one for all. What is cut
    /// by a narrow terminal comes last.
    pub(super) fn rows(&self, colour: bool) -> Vec<String> {
        let mut rows = Vec::new();
        for scenario in &self.scenarios {
            let (name, phase) = (plain(&scenario.name), self.phase_of(scenario));
            let bar = bar(scenario.share(self.planned_time()));
            if self.measured {
                rows.push(format!("  {bar} {name} {phase} · {}", scenario.counts()));
                rows.push(format!("    {}", scenario.numbers(colour)));
            } else {
                rows.push(format!("  {bar} {name} {phase}"));
            }
        }
        let common = self.common(colour);
        if !common.is_empty() {
            rows.push(format!("    {common}"));
        }
        rows
    }

    /// How far the plan has come.
    fn planned_time(&self) -> Duration {
        self.elapsed.saturating_sub(self.held)
    }

    /// What a scenario does, and how much time is left.
    fn phase_of(&self, scenario: &Scenario) -> String {
        match self.phase {
            Phase::Setup => "setup".to_owned(),
            Phase::Teardown => "teardown".to_owned(),
            Phase::Stopping => finishing(self.elapsed),
            Phase::Running => scenario.running(self.planned_time(), self.paused),
        }
    }

    /// What belongs to no scenario: thresholds and the load generator.
    fn common(&self, colour: bool) -> String {
        let mut parts = Vec::new();
        if let Some(cpu) = self.generator.cpu {
            parts.push(format!("generator CPU {:.0}%", cpu * 100.0));
        }
        if self.generator.max_stall_ms >= STALL_WORTH_SAYING {
            parts.push(format!("stalled {}", format_millis(self.generator.max_stall_ms)));
        }
        if self.generator.lost_samples > 0 {
            let lost = format!("{} samples lost", format_count(self.generator.lost_samples as f64));
            parts.push(red(&lost, colour));
        }
        if !self.thresholds.is_empty() && self.holding.len() == self.thresholds.len() {
            let failing: Vec<_> = self
                .thresholds
                .iter()
                .zip(&self.holding)
                .filter(|(_, holds)| !**holds)
                .map(|(name, _)| plain(name))
                .collect();
            let mut text = format!("thresholds {} ✓", self.thresholds.len() - failing.len());
            if !failing.is_empty() {
                let names = failing.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = failing.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(", {more} more") } else { String::new() };
                let _ = write!(text, " {}", red(&format!("{} ✗ ({names}{more})", failing.len()), colour));
            }
            parts.push(text);
        }
        parts.join(" · ")
    }
}

/// Milliseconds that a worker may be away before it is shown; below that it is the system's scheduler.
const STALL_WORTH_SAYING: f64 = 100.0;

impl Scenario {
    fn new(name: &str, workload: Option<Workload>) -> Self {
        Self {
            name: name.to_owned(),
            workload,
            state: ScenarioState::default(),
            failed_operations: 0.0,
            failed_iterations: 0.0,
            dropped: 0.0,
            second: Second::default(),
        }
    }

    fn add(&mut self, part: Part, totals: &Totals) {
        let second = &mut self.second;
        match part {
            Part::Requests => second.requests += totals.sum,
            Part::FailedOperations => self.failed_operations += totals.sum,
            Part::Iterations => second.iterations += totals.sum,
            Part::FailedIterations => self.failed_iterations += totals.sum,
            Part::Dropped => self.dropped += totals.sum,
            Part::HttpLatency => second.http_latency.merge(totals),
            Part::OperationLatency => {
                second.operations += totals.count as f64;
                second.operation_latency.merge(totals);
            }
            Part::IterationLatency => second.iteration_latency.merge(totals),
        }
    }

    /// How much of it is done, 0 to 1; `None` if that is not known. `time` is how far the plan has come.
    fn share(&self, time: Duration) -> Option<f64> {
        let workload = self.workload.as_ref()?;
        let share = match self.state.planned_iterations {
            Some(planned) if !workload.shape.is_timed() && planned > 0 => self.done() as f64 / planned as f64,
            _ if workload.shape.is_timed() => {
                let ran = time.saturating_sub(workload.start_time);
                ran.as_secs_f64() / workload.shape.regular_duration().as_secs_f64()
            }
            _ => return None,
        };
        share.is_finite().then(|| share.clamp(0.0, 1.0))
    }

    fn done(&self) -> u64 {
        self.state.completed.saturating_add(self.state.interrupted)
    }

    fn is_open(&self) -> bool {
        self.workload.as_ref().is_some_and(|workload| workload.shape.is_open())
    }

    /// What it does under load, and how much time is left. `time` is how far the plan has come.
    fn running(&self, time: Duration, paused: bool) -> String {
        let doing = if paused { "paused" } else { "running" };
        let Some(workload) = &self.workload else { return format!("{doing} for {}", shown(time)) };
        if time < workload.start_time {
            let starts = format!("starts in {}", shown(workload.start_time.saturating_sub(time)));
            return if paused { format!("paused, {starts}") } else { starts };
        }
        let ran = shown(time.saturating_sub(workload.start_time));
        let left = || shown(workload.regular_end().saturating_sub(time));
        let (over, idle) = (time >= workload.regular_end(), self.state.vus == 0);
        match &workload.shape {
            shape if shape.is_timed() && over && idle => "done".to_owned(),
            shape if shape.is_timed() && over => finishing(time),
            shape if shape.is_timed() => format!("{doing}, {} left", left()),
            // Nobody knows when it ends: somebody says so, or something is found.
            Shape::ExternallyControlled { .. } => format!("{doing} for {ran}, until stopped"),
            Shape::FindCapacity { .. } => format!("{doing} for {ran}"),
            _ if idle && self.state.planned_iterations.is_some_and(|planned| self.done() >= planned) => {
                "done".to_owned()
            }
            _ => format!("{doing} for {ran}, at most {} left", left()),
        }
    }

    /// Virtual users and iterations, and of a load that starts them by plan: what is planned in a second, and
    /// what came to its end.
    fn counts(&self) -> String {
        let state = &self.state;
        let of = if self.is_open() { state.initialised_vus } else { state.planned_vus };
        let mut text = format!("VUs {}/{}", format_count(state.vus.into()), format_count(of.into()));
        if self.is_open() {
            let second = &self.second;
            let ended = if second.seconds > 0.0 { second.iterations / second.seconds } else { 0.0 };
            let _ = write!(text, " · {}", format_rate(ended));
            if let Some(planned) = second.planned_rate {
                let _ = write!(text, " of {} planned", format_rate(planned));
            }
        }
        let _ = write!(text, " · {}", format_count(state.completed as f64));
        if let Some(planned) = state.planned_iterations {
            let _ = write!(text, "/{}", format_count(planned as f64));
        }
        text.push_str(" iterations");
        text
    }

    /// Rate and latency of the last second, errors and dropped iterations so far.
    fn numbers(&self, colour: bool) -> String {
        let second = &self.second;
        let (amount, what, latency) = if second.requests > 0.0 || second.http_latency.count > 0 {
            (second.requests, "requests", &second.http_latency)
        } else if second.operations > 0.0 {
            (second.operations, "operations", &second.operation_latency)
        } else {
            (second.iterations, "iterations", &second.iteration_latency)
        };
        let rate = if second.seconds > 0.0 { amount / second.seconds } else { 0.0 };
        let mut text = format!("{what} {}", format_rate(rate));
        match latency.quantile(0.95, Unit::Millis) {
            Some(p95) => {
                let _ = write!(text, " · p95 {}", format_millis(p95));
            }
            None => text.push_str(" · p95 –"),
        }
        let failed =
            [(self.failed_operations, "failed requests"), (self.failed_iterations, "failed iterations")];
        let failed: Vec<_> = failed
            .iter()
            .filter(|(count, _)| *count > 0.0)
            .map(|(count, what)| format!("{} {what}", format_count(*count)))
            .collect();
        if failed.is_empty() {
            text.push_str(" · 0 errors");
        } else {
            let _ = write!(text, " · {}", red(&failed.join(", "), colour));
        }
        let dropped = self.dropped.max(self.state.dropped as f64);
        if dropped > 0.0 {
            let dropped = format!("{} dropped", format_count(dropped));
            let _ = write!(text, " · {}", red(&dropped, colour));
        } else if self.is_open() {
            text.push_str(" · 0 dropped");
        }
        text
    }
}

fn part(metric: &str, success: bool) -> Option<Part> {
    let builtin = Builtin::ALL.iter().find(|known| known.name() == metric)?;
    match builtin {
        Builtin::HttpReqs => Some(Part::Requests),
        Builtin::HttpReqFailed | Builtin::MeasureFailed => Some(Part::FailedOperations),
        Builtin::Iterations => Some(Part::Iterations),
        Builtin::IterationsFailed => Some(Part::FailedIterations),
        Builtin::DroppedIterations => Some(Part::Dropped),
        Builtin::HttpReqDuration if success => Some(Part::HttpLatency),
        Builtin::MeasureDuration => Some(Part::OperationLatency),
        Builtin::IterationDuration => Some(Part::IterationLatency),
        _ => None,
    }
}

/// What a service is and where, on a line.
pub(super) fn service_line(service: &ServiceInfo) -> String {
    let mut line = format!("service {} at {}", plain(&service.name), plain(&service.base_url));
    if let Some(log) = &service.log {
        let _ = write!(line, ", log {}", plain(log));
    }
    line
}

/// Text from a test, without what would steer the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// A duration in whole seconds.
fn shown(duration: Duration) -> String {
    format_duration(Duration::from_secs(duration.as_secs_f64().round() as u64))
}

fn finishing(elapsed: Duration) -> String {
    format!("finishing after {}", shown(elapsed))
}

fn bar(share: Option<f64>) -> String {
    let full = share.map_or(0, |share| (share * BAR as f64).floor() as usize).min(BAR);
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

fn red(text: &str, colour: bool) -> String {
    if colour { format!("\u{1b}[31m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests;
