//! Which one-second windows of a test decide, and which only lead up to them.
//!
//! The main type is [`Segments`]. The option `warm_up` cuts the start of the run, and besides it the smaller
//! of 5 s and 20 % is cut from the start of each segment, the same on both sides. Segments are:
//!
//! - `constant-vus` and `constant-arrival-rate`: the whole duration;
//! - `ramping-vus` and `ramping-arrival-rate`: the stages that hold a level; without any, every ramp, because
//!   the ramps of both sides are equal;
//! - the iteration executors and those that end when someone or something says so: the whole run, as long as
//!   each side took.
//!
//! All of them count from the scenario's `start_time`. Scenarios that run side by side share their windows, so
//! only times that are in a segment of each of them decide; of scenarios that run one after another, where no
//! such time is, those in which each scenario is in a segment or not running. A window counts only if it lies in a segment as a whole and was measured as a whole, which leaves
//! out the last, partial one.
//!
//! Refuses to do: windows finer than a second, because intervals are the finest that is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use loadtest_core::options::{Shape, Stage, Workload};

use super::evidence::FEWEST_WINDOWS_OF_EVENTS;
use crate::data::TestData;

/// The longest cut at the start of a segment, in seconds.
const LONGEST_CUT: f64 = 5.0;
/// The share of a segment that is cut if that is less.
const CUT_SHARE: f64 = 0.2;
/// Tolerance for times in seconds, well above the rounding of sums of stages.
const SLACK: f64 = 1e-6;

/// What kind of segments decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// Levels that are held.
    Holds,
    /// Ramps, for want of holds: their windows are compared at equal times.
    Ramps,
    /// Runs that end with their iterations.
    Whole,
}

/// The parts of a run that decide, in seconds from `go`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Segments {
    /// What they are.
    pub(super) basis: Basis,
    /// `[start, end)`, cuts taken off, ascending and apart.
    spans: Vec<(f64, f64)>,
}

/// A one-second window that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Its place among the test's intervals.
    pub(super) position: usize,
    /// Its index: `[index, index + 1)` seconds.
    pub(super) index: u64,
    /// The segment that it lies in.
    pub(super) segment: usize,
}

impl Segments {
    /// The segments of a test with these scenarios. `shortest` is the length in seconds of the shorter of the
    /// two sides, which sets the cut where the plan has no length.
    pub(super) fn of(workloads: &BTreeMap<String, Workload>, shortest: f64) -> Self {
        let all: Vec<Self> =
            workloads.values().map(|workload| Self::of_scenario(workload, shortest)).collect();
        let together = all.iter().cloned().reduce(|all, next| all.intersect(&next));
        let Some(mut segments) = together else { return Self { basis: Basis::Whole, spans: Vec::new() } };
        if segments.spans.is_empty() {
            segments.spans = apart(workloads, &all);
        }
        segments
    }

    fn of_scenario(workload: &Workload, shortest: f64) -> Self {
        let (basis, spans) = match &workload.shape {
            Shape::ConstantVus { duration, .. } => (Basis::Holds, vec![(0.0, duration.as_secs_f64())]),
            Shape::ConstantArrivalRate { duration, .. } => {
                (Basis::Holds, vec![(0.0, duration.as_secs_f64())])
            }
            Shape::RampingVus { start_vus, stages, .. } => of_stages(u64::from(*start_vus), stages),
            Shape::RampingArrivalRate { start_rate, stages, .. } => of_stages(*start_rate, stages),
            Shape::SharedIterations { .. }
            | Shape::PerVuIterations { .. }
            | Shape::ExternallyControlled { .. }
            | Shape::FindCapacity { .. } => (Basis::Whole, vec![(0.0, f64::INFINITY)]),
        };
        let (warm_up, from) = (workload.warm_up.as_secs_f64(), workload.start_time.as_secs_f64());
        let cut = |(start, end): (f64, f64)| {
            let start = f64::max(start, warm_up);
            let length = if end.is_finite() { end - start } else { shortest - from - start };
            (length > 0.0).then(|| (from + start + (CUT_SHARE * length).min(LONGEST_CUT), from + end))
        };
        Self { basis, spans: spans.into_iter().filter_map(cut).collect() }
    }

    /// The times that both share.
    fn intersect(&self, other: &Self) -> Self {
        let both = |a: &(f64, f64), b: &(f64, f64)| (a.0.max(b.0), a.1.min(b.1));
        let spans = self
            .spans
            .iter()
            .flat_map(|a| other.spans.iter().map(move |b| both(a, b)))
            .filter(|(start, end)| start < end)
            .collect();
        let basis = match (self.basis, other.basis) {
            (Basis::Ramps, _) | (_, Basis::Ramps) => Basis::Ramps,
            (Basis::Whole, _) | (_, Basis::Whole) => Basis::Whole,
            (Basis::Holds, Basis::Holds) => Basis::Holds,
        };
        Self { basis, spans }
    }

    /// The windows of a test that decide, in time order.
    pub(super) fn windows(&self, test: &TestData) -> Vec<Window> {
        let mut windows = Vec::new();
        for (position, interval) in test.intervals.iter().enumerate() {
            let (start, end) = (interval.index as f64, interval.index as f64 + 1.0);
            let inside = |span: &(f64, f64)| span.0 <= start + SLACK && end <= span.1 + SLACK;
            if interval.seconds >= 1.0 - SLACK
                && let Some(segment) = self.spans.iter().position(inside)
            {
                windows.push(Window { position, index: interval.index, segment });
            }
        }
        windows
    }
}

/// Seconds that a hold, or the run of an executor without stages, must last at least so that `windows` whole
/// windows are left of it, wherever in a second it begins.
pub(super) fn seconds_for(windows: usize) -> u64 {
    let whole = windows as f64 + 1.0;
    (whole / (1.0 - CUT_SHARE)).min(whole + LONGEST_CUT).ceil() as u64
}

/// Seconds that each run of a pair must be under load at least: two whole windows, and the second that is cut off.
pub fn seconds_for_a_pair() -> f64 {
    FEWEST_WINDOWS_OF_EVENTS as f64 + 1.0
}

/// The length in seconds of what was measured in whole windows.
pub(super) fn whole_seconds(test: &TestData) -> f64 {
    let whole = test.intervals.iter().filter(|interval| interval.seconds >= 1.0 - SLACK);
    whole.map(|interval| interval.index.saturating_add(1)).max().unwrap_or(0) as f64
}

/// The times in which each scenario is in one of its segments or not running, and one of them is: of scenarios
/// that have no segment in common.
fn apart(workloads: &BTreeMap<String, Workload>, segments: &[Segments]) -> Vec<(f64, f64)> {
    let running: Vec<(f64, f64)> = workloads
        .values()
        .map(|workload| (workload.start_time.as_secs_f64(), workload.regular_end().as_secs_f64()))
        .collect();
    let spans = || segments.iter().flat_map(|scenario| &scenario.spans);
    let mut edges: Vec<f64> = running.iter().chain(spans()).flat_map(|span| [span.0, span.1]).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    let pieces = edges.windows(2).map(|pair| (pair[0], pair[1]));
    let inside = |piece: &(f64, f64), span: &(f64, f64)| span.0 <= piece.0 && piece.1 <= span.1;
    let decides = |piece: &(f64, f64)| {
        let within = |scenario: &Segments| scenario.spans.iter().any(|span| inside(piece, span));
        segments.iter().any(within)
            && segments.iter().zip(&running).all(|(scenario, run)| within(scenario) || !inside(piece, run))
    };
    pieces.filter(decides).collect()
}

/// The holds of a ramp, equal neighbours joined; without any, its ramps. A hold without users is none.
fn of_stages(start: u64, stages: &[Stage]) -> (Basis, Vec<(f64, f64)>) {
    let mut holds: Vec<(f64, f64)> = Vec::new();
    let mut ramps = Vec::new();
    let (mut time, mut level) = (Duration::ZERO, start);
    let mut held = false;
    for stage in stages {
        let end = time.saturating_add(stage.duration);
        let span = (time.as_secs_f64(), end.as_secs_f64());
        let holds_level = stage.target == level && level > 0;
        if !stage.duration.is_zero() {
            match holds.last_mut() {
                Some(last) if holds_level && held => last.1 = span.1,
                _ if holds_level => holds.push(span),
                _ if stage.target != level => ramps.push(span),
                _ => {}
            }
        }
        // A stage of no time that stays where it is does not part its neighbours.
        held = holds_level && (held || !stage.duration.is_zero());
        (time, level) = (end, stage.target);
    }
    if holds.is_empty() { (Basis::Ramps, ramps) } else { (Basis::Holds, holds) }
}

#[cfg(test)]
mod tests {
    use loadtest_core::options::{ExecutorKind, Options, parse_stages};
    use loadtest_core::units::parse_duration;

    use super::*;

    fn spans(options: Options, shortest: f64) -> (Basis, Vec<(f64, f64)>) {
        let workload = options.resolve().unwrap();
        let segments = Segments::of(&BTreeMap::from([("t".to_owned(), workload)]), shortest);
        (segments.basis, segments.spans)
    }

    fn ramp(stages: &str) -> Options {
        Options { start_vus: Some(0), stages: Some(parse_stages(stages).unwrap()), ..Options::default() }
    }

    #[test]
    fn a_fifth_of_a_segment_is_cut_and_at_most_five_seconds() {
        let constant = |duration: &str, warm_up: Option<&str>| Options {
            duration: Some(parse_duration(duration).unwrap()),
            warm_up: warm_up.map(|text| parse_duration(text).unwrap()),
            ..Options::default()
        };
        assert_eq!(spans(constant("10s", None), 99.0), (Basis::Holds, vec![(2.0, 10.0)]));
        assert_eq!(spans(constant("60s", None), 99.0), (Basis::Holds, vec![(5.0, 60.0)]));
        assert_eq!(spans(constant("60s", Some("20s")), 99.0), (Basis::Holds, vec![(25.0, 60.0)]));
        assert_eq!(spans(constant("10s", Some("10s")), 99.0), (Basis::Holds, vec![]));
    }

    #[test]
    fn holds_decide_and_without_them_ramps() {
        assert_eq!(
            spans(ramp("10s:5, 20s:5, 5s:5, 10s:9, 0s:7, 50s:7, 3s:0, 9s:0"), 0.0).1,
            [(15.0, 35.0), (50.0, 95.0)]
        );
        assert_eq!(spans(ramp("10s:5, 0s:9, 10s:0"), 0.0), (Basis::Ramps, vec![(2.0, 10.0), (12.0, 20.0)]));
        assert_eq!(spans(ramp("1s:100, 3s:100, 1s:0"), 0.0).1, [(1.6, 4.0)]);
        assert_eq!(spans(ramp("1s:0"), 0.0), (Basis::Ramps, vec![]));
    }

    #[test]
    fn runs_that_end_with_their_iterations_are_cut_by_the_shorter_side() {
        let options = Options { vus: Some(2), iterations: Some(50), ..Options::default() };
        assert_eq!(spans(options.clone(), 10.0), (Basis::Whole, vec![(2.0, f64::INFINITY)]));
        assert_eq!(spans(options, 0.0), (Basis::Whole, vec![]));
    }

    #[test]
    fn scenarios_side_by_side_decide_where_both_do() {
        let resolve = |options: Options| options.resolve().unwrap();
        let hold = resolve(ramp("10s:5, 20s:5, 10s:0"));
        let soak = resolve(Options { duration: Some(Duration::from_secs(20)), ..Options::default() });
        let both = BTreeMap::from([("a".to_owned(), hold), ("b".to_owned(), soak)]);
        assert_eq!(Segments::of(&both, 40.0).spans, [(14.0, 20.0)]);
    }

    #[test]
    fn arrival_rates_have_the_segments_of_their_plan() {
        let constant = Options {
            executor: Some(ExecutorKind::ConstantArrivalRate),
            rate: Some(50),
            duration: Some(Duration::from_secs(60)),
            pre_allocated_vus: Some(10),
            ..Options::default()
        };
        assert_eq!(spans(constant, 99.0), (Basis::Holds, vec![(5.0, 60.0)]));
        let ramping = Options {
            executor: Some(ExecutorKind::RampingArrivalRate),
            start_rate: Some(0),
            stages: Some(parse_stages("10s:50, 20s:50").unwrap()),
            pre_allocated_vus: Some(10),
            ..Options::default()
        };
        assert_eq!(spans(ramping, 99.0), (Basis::Holds, vec![(14.0, 30.0)]));
    }

    #[test]
    fn segments_count_from_the_start_of_their_scenario() {
        let at = |start: u64, duration: u64| {
            let (start, duration) = (Duration::from_secs(start), Duration::from_secs(duration));
            Options { start_time: Some(start), duration: Some(duration), ..Options::default() }
                .resolve()
                .unwrap()
        };
        let of = |workloads: &[Workload]| {
            let named = workloads.iter().enumerate().map(|(n, workload)| (n.to_string(), workload.clone()));
            Segments::of(&named.collect(), 100.0).spans
        };
        assert_eq!(of(&[at(30, 10)]), [(32.0, 40.0)]);
        assert_eq!(of(&[at(0, 40), at(20, 40)]), [(25.0, 40.0)]);
        // One after another: each by itself, and not where the second one settles.
        assert_eq!(of(&[at(0, 20), at(20, 10)]), [(4.0, 20.0), (22.0, 30.0)]);
        let iterations = Options {
            vus: Some(2),
            iterations: Some(50),
            start_time: Some(Duration::from_secs(50)),
            ..Options::default()
        };
        assert_eq!(of(&[iterations.resolve().unwrap()]), [(55.0, f64::INFINITY)]);
    }

    #[test]
    fn a_hold_of_the_advised_length_leaves_enough_windows() {
        for windows in [2, 6, 40] {
            let seconds = seconds_for(windows) as f64;
            for start in [0.0, 0.4, 0.999] {
                let first = (start + (CUT_SHARE * seconds).min(LONGEST_CUT) - SLACK).ceil();
                let left = (start + seconds + SLACK).floor() - first;
                assert!(left >= windows as f64, "{windows} windows of {seconds} s from {start}: {left}");
            }
        }
    }
}
