//! Windows of one run as noise: what the plan changes in the course of a run is taken out of them.
//!
//! The main function is [`levelled`]. Windows of one run that differ because the plan says so (levels of a staircase,
//! the course of a ramp) must not pass for noise.
//!
//! Refuses to do: estimates; it gives windows back.

use std::collections::BTreeSet;

use super::super::extract::Series;
use super::super::segments::{Basis, Window};
use crate::stats::batch_means::WINDOWS_TO_ESTIMATE;
use crate::stats::descriptive::{logarithm, mean};

/// A run of fewer than [`WINDOWS_TO_ESTIMATE`] windows can't tell slow variation from none, so the spread
/// that it shows counts this many times. By the simulation of [`FEWEST_WINDOWS`](super::FEWEST_WINDOWS): without, 4
/// to 5 % of equal code is falsely regressed; with it, 0.3 %.
const SHORT_RUN_SPREAD: f64 = 2.0;

/// The scale on which windows vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Logarithms: latency.
    Log,
    /// As they are, in units of their mean: counts, which may be zero.
    Linear,
}

/// The windows of one side that have data, on their scale.
pub(super) struct Points {
    points: Vec<(Window, f64)>,
    scale: Scale,
    /// What one is, on the linear scale.
    unit: f64,
}

impl Points {
    pub(super) fn of(windows: &[Window], series: &Series, scale: Scale) -> Self {
        let unit = match scale {
            Scale::Log => 1.0,
            Scale::Linear => series.value.filter(|mean| *mean > 0.0).unwrap_or(1.0),
        };
        let to_scale = |value: f64| match scale {
            Scale::Log => logarithm(value),
            Scale::Linear => Some(value / unit),
        };
        let points = windows
            .iter()
            .zip(&series.windows)
            .filter_map(|(window, value)| Some((*window, to_scale((*value)?)?)))
            .collect();
        Self { points, scale, unit }
    }

    fn mean(&self) -> f64 {
        mean(&self.points.iter().map(|(_, x)| *x).collect::<Vec<_>>()).unwrap_or(0.0)
    }

    /// Moves the mean of every segment to the mean of all.
    fn centre(&mut self) {
        let all = self.mean();
        let segments: BTreeSet<usize> = self.points.iter().map(|(window, _)| window.segment).collect();
        if segments.len() < 2 {
            return;
        }
        for segment in segments {
            let mine = |window: &Window| window.segment == segment;
            let own: Vec<f64> =
                self.points.iter().filter(|(window, _)| mine(window)).map(|(_, x)| *x).collect();
            let shift = all - mean(&own).unwrap_or(all);
            self.points.iter_mut().filter(|(window, _)| mine(window)).for_each(|(_, x)| *x += shift);
        }
    }

    /// Back from the scale, with the spread that a short run counts for.
    fn into_windows(self) -> Vec<f64> {
        let all = self.mean();
        let spread = if self.points.len() < WINDOWS_TO_ESTIMATE { SHORT_RUN_SPREAD } else { 1.0 };
        let back = |x: f64| match self.scale {
            Scale::Log => x.exp(),
            Scale::Linear => (x * self.unit).max(0.0),
        };
        self.points.iter().map(|(_, x)| back(all + spread * (x - all))).collect()
    }
}

/// Takes out of the windows what the plan put in.
///
/// Holds of several levels: each segment is moved to the common mean. Ramps: the course of the load is the
/// same on both sides, so only the differences d of windows at equal times vary by chance. Each side gets
/// half of their variance, mean ± (d − d̄)/√2, which adds up to that of d.
pub(super) fn levelled(mut base: Points, mut head: Points, basis: Basis) -> (Vec<f64>, Vec<f64>) {
    if basis == Basis::Ramps {
        let of_head = |index: u64| head.points.iter().find(|(window, _)| window.index == index);
        let pairs: Vec<(Window, f64)> = base
            .points
            .iter()
            .filter_map(|(window, x)| Some((*window, of_head(window.index)?.1 - x)))
            .collect();
        let middle = mean(&pairs.iter().map(|(_, d)| *d).collect::<Vec<_>>()).unwrap_or(0.0);
        let around = |mean: f64, sign: f64| {
            let place = |(window, d): &(Window, f64)| {
                (*window, mean + sign * (d - middle) * std::f64::consts::FRAC_1_SQRT_2)
            };
            pairs.iter().map(place).collect::<Vec<_>>()
        };
        (base.points, head.points) = (around(base.mean(), -1.0), around(head.mean(), 1.0));
    } else {
        base.centre();
        head.centre();
    }
    (base.into_windows(), head.into_windows())
}
