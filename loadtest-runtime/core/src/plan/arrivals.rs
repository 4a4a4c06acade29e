//! Iteration starts of the arrival-rate executors, as offsets from the scenario's start.
//!
//! Each offset is computed from integers that do not lose anything over time: the millionth start is as
//! exact as the first.

use std::time::Duration;

use crate::options::Stage;
use crate::units::nanos_to_duration;

/// The starts of `constant-arrival-rate`: start k (k = 0, 1, …) at k · `time_unit` / `rate`, the first at
/// 0, all before `duration`. So a rate of 10 per second over a minute is 600 starts.
///
/// A rate or a time unit of zero gives no starts.
pub fn constant_arrivals(rate: u64, time_unit: Duration, duration: Duration) -> ConstantArrivals {
    let none = rate == 0 || time_unit.is_zero();
    ConstantArrivals {
        next: 0,
        rate: u128::from(rate.max(1)),
        time_unit: time_unit.as_nanos(),
        duration: if none { 0 } else { duration.as_nanos() },
    }
}

/// The iterator of [`constant_arrivals`].
#[derive(Debug, Clone)]
pub struct ConstantArrivals {
    next: u64,
    rate: u128,
    time_unit: u128,
    duration: u128,
}

impl Iterator for ConstantArrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // What would overflow is far behind every end.
        let scaled = self.time_unit.checked_mul(u128::from(self.next))?;
        if scaled.div_euclid(self.rate) >= self.duration {
            return None;
        }
        self.next += 1;
        Some(nanos_to_duration(scaled / self.rate))
    }

    fn nth(&mut self, n: usize) -> Option<Duration> {
        // At once, so that the part of one of many shards costs no more than all of it.
        self.next = self.next.checked_add(n as u64)?;
        self.next()
    }
}

/// The starts of `ramping-arrival-rate`: start n (n = 1, 2, …) fires when the area under the piecewise
/// linear rate reaches n, so the first is not at 0. Rates are targets per `time_unit`; the first stage
/// begins at `start_rate`. Fractions carry over from stage to stage, and a start whose area is reached
/// exactly at a stage's end fires there.
///
/// A time unit of zero gives no starts.
pub fn ramping_arrivals<S: AsRef<[Stage]>>(
    start_rate: u64,
    stages: S,
    time_unit: Duration,
) -> RampingArrivals<S> {
    let stage = if time_unit.is_zero() { usize::MAX } else { 0 };
    RampingArrivals {
        stages,
        stage,
        begin: 0,
        area: 0,
        from: start_rate,
        next: 1,
        double_unit: 2 * time_unit.as_nanos(),
    }
}

/// The iterator of [`ramping_arrivals`], over stages that it borrows or owns.
#[derive(Debug, Clone)]
pub struct RampingArrivals<S> {
    stages: S,
    /// Which stage is the current one; behind the last when there are no more starts.
    stage: usize,
    /// When the current stage begins, in nanoseconds.
    begin: u128,
    /// The area before the current stage, in starts times `double_unit`: a trapezium (a + b)·D/2 of rates
    /// per time unit is a whole number of these.
    area: u128,
    /// The rate where the stage begins, in starts per time unit.
    from: u64,
    /// The number of the next start, from 1.
    next: u64,
    /// Twice the time unit, in nanoseconds.
    double_unit: u128,
}

impl<S: AsRef<[Stage]>> Iterator for RampingArrivals<S> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // Saturation is reached only by plans of more than 10²⁰ starts.
        let due = self.double_unit.saturating_mul(u128::from(self.next));
        loop {
            let stage = self.stages.as_ref().get(self.stage)?;
            let length = stage.duration.as_nanos();
            let slope = u128::from(self.from) + u128::from(stage.target);
            let area_at_end = self.area.saturating_add(slope.saturating_mul(length));
            if due <= area_at_end {
                self.next = self.next.checked_add(1)?;
                let offset = offset_in_stage(self.from, stage, due - self.area);
                return Some(nanos_to_duration(self.begin.saturating_add(offset)));
            }
            self.begin = self.begin.saturating_add(length);
            self.area = area_at_end;
            self.from = stage.target;
            self.stage += 1;
        }
    }

    fn nth(&mut self, n: usize) -> Option<Duration> {
        self.next = self.next.checked_add(n as u64)?;
        self.next()
    }
}

/// When the area since the stage's begin reaches `missing` (in halves of a start per time unit), in
/// nanoseconds since the begin.
///
/// With rates a and b over D, the area a·x + (b − a)·x²/(2D) = m solves to
/// x = (−a + √(a² + 2m(b − a)/D)) · D/(b − a). Multiplied by its conjugate that is
/// x = 2m / (a + √(a² + 2m(b − a)/D)), which does not cancel where a and b are close and holds for a = b.
fn offset_in_stage(from: u64, stage: &Stage, missing: u128) -> u128 {
    let (a, b) = (from as f64, stage.target as f64);
    let length = stage.duration.as_nanos();
    let double_area = missing as f64;
    let root = (a * a + double_area * (b - a) / length as f64).max(0.0).sqrt();
    let speed = a + root;
    if speed > 0.0 { ((double_area / speed).round() as u128).min(length) } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stage(target: u64, seconds: u64) -> Stage {
        Stage { duration: Duration::from_secs(seconds), target }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn ramping_starts_fire_where_the_area_reaches_a_whole_number() {
        let plan = [stage(1, 5), stage(1, 1), stage(0, 5)];
        let millis: Vec<_> = ramping_arrivals(0, &plan, SECOND).map(|at| at.as_millis()).collect();
        assert_eq!(millis, [3_162, 4_472, 5_500, 6_527, 7_837, 11_000]);
    }

    #[test]
    fn constant_starts_begin_at_once_and_end_before_the_end() {
        let starts: Vec<_> =
            constant_arrivals(10, Duration::from_millis(950), Duration::from_millis(950)).collect();
        assert_eq!(starts.len(), 10);
        assert_eq!(starts[0], Duration::ZERO);
        assert_eq!(starts[9], Duration::from_millis(855));
        assert_eq!(constant_arrivals(10, SECOND, Duration::from_secs(60)).count(), 600);
    }

    #[test]
    fn constant_starts_do_not_drift() {
        // A third of a second is no whole number of nanoseconds: summing it up would lose a microsecond.
        let last = constant_arrivals(3, SECOND, Duration::from_secs(3_600)).nth(3 * 3_000).expect("started");
        assert_eq!(last, Duration::from_secs(3_000));
    }

    #[test]
    fn a_constant_ramp_is_a_constant_rate_without_the_start_at_zero() {
        let ramp: Vec<_> = ramping_arrivals(7, &[stage(7, 10)], SECOND).collect();
        let constant: Vec<_> =
            constant_arrivals(7, SECOND, Duration::from_secs(11)).skip(1).take(70).collect();
        assert_eq!(ramp.len(), 70);
        for (a, b) in ramp.iter().zip(&constant) {
            assert!(a.abs_diff(*b) <= Duration::from_nanos(1), "{a:?} {b:?}");
        }
    }

    #[test]
    fn nothing_per_no_time_is_nothing() {
        assert_eq!(constant_arrivals(0, SECOND, SECOND).next(), None);
        assert_eq!(constant_arrivals(5, Duration::ZERO, SECOND).next(), None);
        assert_eq!(ramping_arrivals(5, &[stage(5, 1)], Duration::ZERO).next(), None);
        assert_eq!(ramping_arrivals(0, &[stage(0, 9), stage(4, 0), stage(0, 0)], SECOND).next(), None);
    }

    #[test]
    fn extreme_rates_neither_overflow_nor_stall() {
        let plan = [Stage { duration: Duration::MAX, target: u64::MAX }];
        assert_eq!(ramping_arrivals(u64::MAX, &plan, Duration::MAX).take(3).count(), 3);
        assert_eq!(constant_arrivals(u64::MAX, Duration::MAX, Duration::MAX).take(3).count(), 3);
    }

    proptest! {
        #[test]
        fn ramping_starts_are_as_many_as_the_area_and_in_order(
            start in 0u64..50,
            plan in proptest::collection::vec((0u64..50, 0u64..20_000), 1..5),
            unit in 1u64..3_000,
        ) {
            let stages: Vec<Stage> = plan
                .iter()
                .map(|(target, ms)| Stage { duration: Duration::from_millis(*ms), target: *target })
                .collect();
            let (mut double_area, mut from, mut total) = (0, start, 0);
            for (target, ms) in &plan {
                double_area += (from + target) * ms;
                from = *target;
                total += ms;
            }
            let starts: Vec<_> = ramping_arrivals(start, &stages, Duration::from_millis(unit)).collect();
            prop_assert_eq!(starts.len() as u64, double_area / (2 * unit));
            prop_assert!(starts.is_sorted());
            prop_assert!(starts.iter().all(|at| *at <= Duration::from_millis(total)));
            // Each start is where the area is its number.
            for (n, at) in starts.iter().enumerate() {
                let area = area_at(start, &stages, at.as_secs_f64()) * 1_000.0 / unit as f64;
                prop_assert!((area - (n + 1) as f64).abs() < 1e-4, "start {} at {:?}: {}", n + 1, at, area);
            }
        }

        #[test]
        fn constant_starts_are_those_before_the_end(rate in 1u64..500, unit in 1u64..5_000, ms in 0u64..5_000) {
            let starts: Vec<_> =
                constant_arrivals(rate, Duration::from_millis(unit), Duration::from_millis(ms)).collect();
            prop_assert_eq!(starts.len() as u64, (ms * rate).div_ceil(unit));
            prop_assert!(starts.iter().all(|at| *at < Duration::from_millis(ms)));
        }
    }

    /// The area under the rate, in starts times seconds per second.
    fn area_at(start: u64, stages: &[Stage], at: f64) -> f64 {
        let (mut area, mut begin, mut from) = (0.0, 0.0, start as f64);
        for stage in stages {
            let (length, to) = (stage.duration.as_secs_f64(), stage.target as f64);
            let x = (at - begin).clamp(0.0, length);
            if length > 0.0 {
                area += from * x + (to - from) * x * x / (2.0 * length);
            }
            begin += length;
            from = to;
        }
        area
    }
}
