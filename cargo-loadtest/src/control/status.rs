//! What a test is doing, as numbers and as text.
//!
//! The main types are [`Tracker`], which phases and intervals go into, and [`Status`], what comes out: the
//! answer of `GET /v1/status`, and what SIGUSR1 prints. Nothing here opens a socket.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use loadtest_core::options::{ExecutorKind, Workload};
use loadtest_core::results::{Definition, Interval, ScenarioState};
use loadtest_core::units::{format_count, format_duration, format_rate};
use loadtest_core::wire::Phase;
use serde::{Deserialize, Serialize};
use unicode_width::UnicodeWidthStr as _;

use crate::data;
use crate::failure::plain;

/// What is said when there is no test.
pub(super) const NOTHING_RUNNING: &str = "no test is running right now";

/// What a run is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The running test, `package/target/path::name`; `None` before the first, between two and after the last.
    pub test: Option<String>,
    /// What it does; `None` without a test.
    pub phase: Option<Phase>,
    /// Seconds since the load began, pauses included; zero before.
    pub elapsed_seconds: f64,
    /// Whether the load is held.
    pub paused: bool,
    /// Its scenarios in the order of their definitions.
    pub scenarios: Vec<ScenarioStatus>,
}

/// What a scenario is doing: its plan, and the numbers of the last closed second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioStatus {
    /// Its name.
    pub name: String,
    /// Its executor.
    pub executor: String,
    /// Virtual users that the plan wants.
    pub planned_vus: u32,
    /// Virtual users that are active, those finishing included.
    pub vus: u32,
    /// Virtual users that exist.
    pub initialised_vus: u32,
    /// The most that it may have.
    pub max_vus: u32,
    /// Iterations started so far.
    pub started: u64,
    /// Iterations ended so far, failed ones included.
    pub completed: u64,
    /// Iterations that returned an error or panicked; part of `completed`.
    pub failed: u64,
    /// Iterations interrupted so far.
    pub interrupted: u64,
    /// Iterations that the plan asked for and that never started.
    pub dropped: u64,
    /// Iterations that the plan asks for in all, if it is known.
    pub planned_iterations: Option<u64>,
    /// Iteration starts per second that the plan asks for, of the executors that plan starts.
    pub planned_rate: Option<f64>,
    /// Iteration starts per second of the last closed second; `None` before it, and while the load is held.
    #[serde(default)]
    pub started_rate: Option<f64>,
}

impl ScenarioStatus {
    fn new(name: &str, workload: &Workload, state: &ScenarioState, started_rate: Option<f64>) -> Self {
        Self {
            started_rate,
            name: name.to_owned(),
            executor: workload.shape.kind().to_string(),
            planned_vus: state.planned_vus,
            vus: state.vus,
            initialised_vus: state.initialised_vus,
            max_vus: workload.shape.max_vus(),
            started: state.started,
            completed: state.completed,
            failed: state.failed,
            interrupted: state.interrupted,
            dropped: state.dropped,
            planned_iterations: state.planned_iterations,
            planned_rate: state.planned_rate,
        }
    }

    /// What its active virtual users are a part of, as the live view has it: those that exist where starts are
    /// planned, else those that the plan wants.
    fn vus_in_all(&self) -> u32 {
        let open =
            [ExecutorKind::ConstantArrivalRate, ExecutorKind::RampingArrivalRate, ExecutorKind::FindCapacity];
        let is_open = open.iter().any(|kind| self.executor == kind.to_string());
        if is_open { self.initialised_vus } else { self.planned_vus }
    }

    /// Whether the number of its virtual users can be changed.
    pub(super) fn can_be_scaled(&self) -> bool {
        self.executor == ExecutorKind::ExternallyControlled.to_string()
    }
}

/// Follows a test.
#[derive(Debug)]
pub struct Tracker {
    id: String,
    workloads: Vec<(String, Workload)>,
    states: BTreeMap<String, ScenarioState>,
    /// Iteration starts per second of the last interval that is long enough to have a rate.
    started: BTreeMap<String, f64>,
    phase: Phase,
    go: Option<Instant>,
    paused: bool,
}

impl Tracker {
    /// Follows a test with these scenarios from its setup on.
    pub fn new(id: &str, definitions: &[Definition]) -> Self {
        let workload = |definition: &Definition| (definition.scenario.clone(), definition.workload.clone());
        Self {
            id: id.to_owned(),
            workloads: definitions.iter().map(workload).collect(),
            states: BTreeMap::new(),
            started: BTreeMap::new(),
            phase: Phase::Setup,
            go: None,
            paused: false,
        }
    }

    /// The load begins.
    pub fn go(&mut self, now: Instant) {
        self.go = Some(now);
    }

    /// The test does something else now.
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// The load was asked to be held, or to go on.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// A second of load is closed.
    pub fn add(&mut self, interval: &Interval) {
        if interval.seconds >= data::MIN_RATE_SECONDS {
            for (name, state) in &interval.scenarios {
                let before = self.states.get(name).map_or(0, |state| state.started);
                let rate = state.started.saturating_sub(before) as f64 / interval.seconds;
                self.started.insert(name.clone(), rate);
            }
        }
        self.states.extend(interval.scenarios.iter().map(|(name, state)| (name.clone(), state.clone())));
    }

    /// How things stand; `elapsed_seconds` is that of `now`.
    pub fn status(&self, now: Instant) -> Status {
        let unknown = ScenarioState::default();
        let scenario = |(name, workload): &(String, Workload)| {
            let started = self.started.get(name).copied().filter(|_| !self.paused);
            ScenarioStatus::new(name, workload, self.states.get(name).unwrap_or(&unknown), started)
        };
        Status {
            test: Some(self.id.clone()),
            phase: Some(self.phase),
            elapsed_seconds: self.elapsed(now).as_secs_f64(),
            paused: self.paused,
            scenarios: self.workloads.iter().map(scenario).collect(),
        }
    }

    /// When the load began, if it did.
    pub(super) fn began(&self) -> Option<Instant> {
        self.go
    }

    fn elapsed(&self, now: Instant) -> Duration {
        self.go.map_or(Duration::ZERO, |go| now.saturating_duration_since(go))
    }
}

impl Status {
    /// The state as lines for a terminal: a heading, and a table with a line for each scenario.
    pub fn text(&self) -> String {
        let Some(test) = &self.test else { return format!("{NOTHING_RUNNING}\n") };
        let elapsed = Duration::try_from_secs_f64(self.elapsed_seconds).unwrap_or_default();
        let elapsed = format_duration(Duration::from_secs(elapsed.as_secs()));
        let mut text = match (self.phase, self.paused) {
            (Some(Phase::Setup) | None, _) => format!("{}: setup\n", plain(test)),
            (Some(Phase::Running), true) => format!("{}: paused, {elapsed} after its start\n", plain(test)),
            (Some(Phase::Running), false) => format!("{}: running for {elapsed}\n", plain(test)),
            (Some(Phase::Stopping), _) => format!("{}: finishing after {elapsed}\n", plain(test)),
            (Some(Phase::Teardown), _) => format!("{}: teardown\n", plain(test)),
        };
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(self.scenarios.iter().map(|scenario| row(scenario, self.paused)));
        let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        for row in &rows {
            let mut line = String::from(" ");
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                let space = " ".repeat(width.saturating_sub(cell.width()));
                // Names to the left, numbers to the right.
                let _ =
                    if column < 2 { write!(line, " {cell}{space}") } else { write!(line, "  {space}{cell}") };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

const COLUMNS: usize = 9;

const HEADINGS: [&str; COLUMNS] =
    ["scenario", "executor", "VUs", "starts", "planned", "iterations", "failed", "interrupted", "dropped"];

/// `starts` are those of the last second, `planned` how many the plan asks for in one.
fn row(scenario: &ScenarioStatus, paused: bool) -> [String; COLUMNS] {
    let count = |n: u64| format_count(n as f64);
    // Nothing starts and nothing is planned while the load is held.
    let rate = |rate: Option<f64>| rate.filter(|_| !paused).map_or("–".to_owned(), format_rate);
    let iterations = match scenario.planned_iterations {
        Some(planned) => format!("{}/{}", count(scenario.completed), count(planned)),
        None => count(scenario.completed),
    };
    [
        plain(&scenario.name).replace('\n', "\u{fffd}"),
        plain(&scenario.executor).replace('\n', "\u{fffd}"),
        format!("{}/{}", scenario.vus, scenario.vus_in_all()),
        rate(scenario.started_rate),
        rate(scenario.planned_rate),
        iterations,
        count(scenario.failed),
        count(scenario.interrupted),
        count(scenario.dropped),
    ]
}
