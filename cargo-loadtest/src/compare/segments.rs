//! Which one-second windows of a test decide, and which only lead up to them.
//!
//! The main type is [`Segments`]. The option `warm_up` cuts the start of the run, and besides it the smaller
//! of 5 s and 20 % is cut from the start of each segment, the same on both sides. Segments are:
//!
//! - `constant-vus`: the whole duration;
//! - `ramping-vus`: the stages that hold a level; without any, every ramp, because the ramps of both sides
//!   are equal;
//! - the iteration executors: the whole run, as long as each side took.
//!
//! Scenarios that run side by side share their windows, so only times that are in a segment of each of them
//! decide. A window counts only if it lies in a segment as a whole and was measured as a whole, which leaves
//! out the last, partial one.
//!
//! Refuses to do: windows finer than a second, because intervals are the finest that is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use loadtest_core::options::{Shape, Stage, Workload};

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
        workloads
            .values()
            .map(|workload| Self::of_scenario(workload, shortest))
            .reduce(|all, next| all.intersect(&next))
            .unwrap_or(Self { basis: Basis::Whole, spans: Vec::new() })
    }

    fn of_scenario(workload: &Workload, shortest: f64) -> Self {
        let (basis, spans) = match &workload.shape {
            Shape::ConstantVus { duration, .. } => (Basis::Holds, vec![(0.0, duration.as_secs_f64())]),
            Shape::RampingVus { start_vus, stages, .. } => of_stages(*start_vus, stages),
            Shape::SharedIterations { .. } | Shape::PerVuIterations { .. } => {
                (Basis::Whole, vec![(0.0, f64::INFINITY)])
            }
        };
        let warm_up = workload.warm_up.as_secs_f64();
        let cut = |(start, end): (f64, f64)| {
            let start = f64::max(start, warm_up);
            let length = if end.is_finite() { end - start } else { shortest - start };
            (length > 0.0).then(|| (start + (CUT_SHARE * length).min(LONGEST_CUT), end))
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

/// The length in seconds of what was measured in whole windows.
pub(super) fn whole_seconds(test: &TestData) -> f64 {
    let whole = test.intervals.iter().filter(|interval| interval.seconds >= 1.0 - SLACK);
    whole.map(|interval| interval.index.saturating_add(1)).max().unwrap_or(0) as f64
}

/// The holds of a ramp, equal neighbours joined; without any, its ramps. A hold without users is none.
fn of_stages(start_vus: u32, stages: &[Stage]) -> (Basis, Vec<(f64, f64)>) {
    let mut holds: Vec<(f64, f64)> = Vec::new();
    let mut ramps = Vec::new();
    let (mut time, mut level) = (Duration::ZERO, u64::from(start_vus));
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
    use loadtest_core::options::{Options, parse_stages};
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
