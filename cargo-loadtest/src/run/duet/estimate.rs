//! How long a duet takes, and how many pairs fit into the time that there is.
//!
//! The main type is [`Estimate`]. What is known beforehand is the load of each run; starting a service, setup and
//! teardown are taken to need [`AROUND`] each time. Building is not in it.

use std::time::Duration;

use loadtest_core::units::format_duration;

/// What a run takes besides its load, in seconds: as long as a small service needs to start and to be stopped.
const AROUND: f64 = 1.0;

/// The fewest pairs that can be judged.
pub(super) const FEWEST_PAIRS: u32 = 4;

/// The time that the runs of a duet need, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    /// One run of every test.
    pub(super) round: f64,
    /// Both warm-ups of every test.
    pub(super) warm_up: f64,
}

impl Estimate {
    /// From the seconds that the load of each test takes, and that of its warm-up.
    pub(super) fn of(loads: &[(f64, f64)]) -> Self {
        let sum = |of: fn(&(f64, f64)) -> f64| loads.iter().map(|load| of(load) + AROUND).sum::<f64>();
        Self { round: sum(|(load, _)| *load), warm_up: 2.0 * sum(|(_, warm_up)| *warm_up) }
    }

    /// The seconds of so many pairs.
    pub(super) fn seconds(&self, pairs: u32) -> f64 {
        self.warm_up + 2.0 * f64::from(pairs) * self.round
    }

    /// As many of the wanted pairs as fit: an even number, because the order turns round in every other one.
    ///
    /// # Errors
    /// If the fewest do not fit, with what to do.
    pub(super) fn fit(&self, wanted: u32, most: Option<Duration>) -> Result<u32, String> {
        let Some(most) = most else { return Ok(wanted) };
        if self.seconds(wanted) <= most.as_secs_f64() {
            return Ok(wanted);
        }
        let fitting = (FEWEST_PAIRS..wanted).rev().filter(|pairs| pairs.is_multiple_of(2));
        fitting.into_iter().find(|pairs| self.seconds(*pairs) <= most.as_secs_f64()).ok_or_else(|| {
            format!(
                "--max-time {} is too short for {FEWEST_PAIRS} pairs of runs, which take about {}\nhint: \
                 `--max-time {}` is enough; shorter runs (`--compare-duration`) and fewer tests need less",
                format_duration(most),
                words(self.seconds(FEWEST_PAIRS)),
                format_duration(Duration::from_secs_f64(self.seconds(FEWEST_PAIRS).ceil()))
            )
        })
    }
}

/// A time as one says it: `40 s`, `12 min`, `2.5 h`.
pub(super) fn words(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5_400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_left_out_to_fit_the_time_and_never_too_many() {
        let estimate = Estimate::of(&[(29.0, 4.0)]);
        assert_eq!(estimate.seconds(6), 10.0 + 12.0 * 30.0);
        assert_eq!(estimate.fit(6, None), Ok(6));
        assert_eq!(estimate.fit(6, Some(Duration::from_secs(370))), Ok(6));
        assert_eq!(estimate.fit(6, Some(Duration::from_secs(369))), Ok(4));
        assert_eq!(estimate.fit(9, Some(Duration::from_secs(500))), Ok(8));
        let error = estimate.fit(6, Some(Duration::from_secs(249))).expect_err("too short");
        for said in ["4 min", "`--max-time 4m10s` is enough", "--compare-duration"] {
            assert!(error.contains(said), "{said}: {error}");
        }
    }

    #[test]
    fn times_are_told_as_one_says_them() {
        assert_eq!([30.0, 100.0, 740.0, 9_000.0].map(words), ["30 s", "2 min", "12 min", "2.5 h"]);
    }
}
