//! Virtual users over time: the levels of a ramp, and how many users must be kept for it.
//!
//! Instants are exact: nanoseconds in integers, rounded up, so that a level is never reached before the
//! line through the stages reaches it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::options::Stage;
use crate::units::nanos_to_duration;

/// From `at` on, there are `vus` virtual users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    /// When, from the scenario's start.
    pub at: Duration,
    /// How many.
    pub vus: u32,
}

/// The time that stages take together.
pub fn stages_duration(stages: &[Stage]) -> Duration {
    stages.iter().fold(Duration::ZERO, |sum, stage| sum.saturating_add(stage.duration))
}

/// The numbers of active virtual users of `ramping-vus`, beginning with `start_vus` at 0.
///
/// In a stage from F to G over D that begins at S, the level w is reached exactly when the line reaches w:
/// going up at S + D·(w − F)/(G − F), going down at S + D·(F − w)/(F − G). So the level is the floor going
/// up and the ceiling going down. A stage with equal ends adds no step; one of no duration jumps.
///
/// Steps are computed as they are asked for; targets above `u32::MAX` count as that.
pub fn levels(start_vus: u32, stages: &[Stage]) -> Levels<'_> {
    Levels { stages, begin: 0, from: start_vus, vus: start_vus, first: true }
}

/// The iterator of [`levels`].
#[derive(Debug, Clone)]
pub struct Levels<'a> {
    /// The current stage and those after it.
    stages: &'a [Stage],
    /// When the current stage begins, in nanoseconds.
    begin: u128,
    /// The level where it begins.
    from: u32,
    /// The level that was yielded last.
    vus: u32,
    /// Whether nothing was yielded yet.
    first: bool,
}

impl Iterator for Levels<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if std::mem::take(&mut self.first) {
            return Some(Step { at: Duration::ZERO, vus: self.vus });
        }
        loop {
            let (stage, later) = self.stages.split_first()?;
            let target = u32::try_from(stage.target).unwrap_or(u32::MAX);
            let length = stage.duration.as_nanos();
            if self.vus == target {
                self.begin = self.begin.saturating_add(length);
                self.from = target;
                self.stages = later;
                continue;
            }
            self.vus = if length == 0 {
                target
            } else if target > self.vus {
                self.vus + 1
            } else {
                self.vus - 1
            };
            // A duration has less than 2⁹⁴ nanoseconds, a level less than 2³²: the product fits.
            let climbed = u128::from(self.vus.abs_diff(self.from));
            let height = u128::from(target.abs_diff(self.from));
            let offset = (length * climbed).div_ceil(height);
            return Some(Step { at: nanos_to_duration(self.begin.saturating_add(offset)), vus: self.vus });
        }
    }
}

/// How many virtual users must be kept when: those of the plan, and those that may still be finishing an
/// iteration. One that is ramped down is kept for `graceful_ramp_down`, those active at the end for
/// `graceful_stop`, all at most until the end plus `graceful_stop`. One that is needed again meanwhile is
/// the same one, so the numbers never exceed the plan's peak. The last step is to 0.
pub fn reserved(
    start_vus: u32,
    stages: &[Stage],
    graceful_ramp_down: Duration,
    graceful_stop: Duration,
) -> Vec<Step> {
    let end = stages_duration(stages).saturating_add(graceful_stop);
    let mut steps = Vec::new();
    // Users that were ramped down, by (their number, kept until), the highest number last. The last to
    // start stops first, so the highest number is also the first to be let go.
    let mut stopping: VecDeque<(u32, Duration)> = VecDeque::new();
    let mut level = 0;
    let release_until = |stopping: &mut VecDeque<(u32, Duration)>, steps: &mut Vec<Step>, level, now| {
        while let Some(&(_, until)) = stopping.back()
            && until <= now
        {
            stopping.pop_back();
            push_step(steps, until, stopping.back().map_or(level, |(vus, _)| *vus));
        }
    };
    for step in levels(start_vus, stages) {
        release_until(&mut stopping, &mut steps, level, step.at);
        if step.vus < level {
            stopping.push_front((level, step.at.saturating_add(graceful_ramp_down).min(end)));
        }
        level = step.vus;
        while stopping.front().is_some_and(|(vus, _)| *vus <= level) {
            stopping.pop_front();
        }
        release_until(&mut stopping, &mut steps, level, step.at);
        push_step(&mut steps, step.at, stopping.back().map_or(level, |(vus, _)| *vus));
    }
    release_until(&mut stopping, &mut steps, level, end);
    push_step(&mut steps, end, 0);
    steps
}

/// Appends a step; of several at one instant the last counts, and one that changes nothing is none.
fn push_step(steps: &mut Vec<Step>, at: Duration, vus: u32) {
    if steps.last().is_some_and(|last| last.at == at) {
        steps.pop();
    }
    if steps.last().is_none_or(|last| last.vus != vus) {
        steps.push(Step { at, vus });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stages(text: &str) -> Vec<Stage> {
        text.split_whitespace()
            .map(|stage| {
                let (target, seconds) = stage.split_once('@').expect("target@seconds");
                Stage {
                    duration: Duration::from_secs(seconds.parse().expect("seconds")),
                    target: target.parse().expect("target"),
                }
            })
            .collect()
    }

    fn show(steps: impl IntoIterator<Item = Step>) -> String {
        let steps: Vec<_> =
            steps.into_iter().map(|step| format!("{}:{}", step.at.as_secs_f64(), step.vus)).collect();
        steps.join(" ")
    }

    const PLAN: &str = "6@2 1@5 5@4 1@4 4@3 4@2 1@0 1@3";

    #[test]
    fn levels_follow_the_line_through_the_stages() {
        assert_eq!(
            show(levels(4, &stages(PLAN))),
            "0:4 1:5 2:6 3:5 4:4 5:3 6:2 7:1 8:2 9:3 10:4 11:5 12:4 13:3 14:2 15:1 16:2 17:3 18:4 20:1"
        );
        assert_eq!(stages_duration(&stages(PLAN)), Duration::from_secs(23));
    }

    #[test]
    fn a_stage_of_no_duration_jumps() {
        assert_eq!(show(levels(2, &stages("5@0 3@2"))), "0:2 0:5 1:4 2:3");
    }

    #[test]
    fn users_stay_reserved_while_they_may_be_finishing() {
        let half_minute = Duration::from_secs(30);
        let plan = stages(PLAN);
        assert_eq!(show(reserved(4, &plan, half_minute, half_minute)), "0:4 1:5 2:6 33:5 42:4 50:1 53:0");
        assert_eq!(show(reserved(4, &plan, half_minute, Duration::from_secs(3))), "0:4 1:5 2:6 26:0");
    }

    #[test]
    fn without_grace_reservations_are_the_levels() {
        let plan = stages(PLAN);
        let all = reserved(4, &plan, Duration::ZERO, Duration::ZERO);
        assert_eq!(show(all), format!("{} 23:0", show(levels(4, &plan))));
    }

    #[test]
    fn extreme_plans_neither_overflow_nor_take_memory() {
        let plan = [
            Stage { duration: Duration::MAX, target: u64::MAX },
            Stage { duration: Duration::MAX, target: 0 },
        ];
        assert_eq!(levels(0, &plan).take(3).map(|step| step.vus).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(stages_duration(&plan), Duration::MAX);
        assert_eq!(show(levels(0, &[])), "0:0");
        assert_eq!(show(reserved(3, &[], Duration::ZERO, Duration::from_secs(1))), "0:3 1:0");
    }

    fn any_stages() -> impl Strategy<Value = Vec<Stage>> {
        let stage = (0u64..5_000, 0u64..40)
            .prop_map(|(ms, target)| Stage { duration: Duration::from_millis(ms), target });
        proptest::collection::vec(stage, 1..6)
    }

    /// The level in force at an instant.
    fn level_at(steps: &[Step], at: Duration) -> u32 {
        steps.iter().take_while(|step| step.at <= at).last().map_or(0, |step| step.vus)
    }

    proptest! {
        #[test]
        fn the_level_is_the_floor_going_up_and_the_ceiling_going_down(
            start in 0u32..40, stages in any_stages(), share in 1u128..1_000,
        ) {
            let steps: Vec<Step> = levels(start, &stages).collect();
            let (mut begin, mut from) = (0, u128::from(start));
            for stage in &stages {
                let (length, to) = (stage.duration.as_nanos(), u128::from(stage.target));
                if length > 0 {
                    let t = length * share / 1_000;
                    let line = if to >= from {
                        from + (to - from) * t / length
                    } else {
                        from - (from - to) * t / length
                    };
                    prop_assert_eq!(u128::from(level_at(&steps, nanos_to_duration(begin + t))), line);
                }
                begin += length;
                from = to;
            }
        }

        #[test]
        fn reservations_cover_the_plan_and_the_grace_of_every_user(
            start in 0u32..10, stages in any_stages(),
            ramp_down in 0u64..4_000, stop in 0u64..4_000, at in 0u64..40_000,
        ) {
            let (ramp_down, stop) = (Duration::from_millis(ramp_down), Duration::from_millis(stop));
            let plan: Vec<Step> = levels(start, &stages).collect();
            let kept = reserved(start, &stages, ramp_down, stop);
            let end = stages_duration(&stages);
            let at = Duration::from_millis(at);
            // The definition, by brute force: the highest level since the grace began.
            let since = at.saturating_sub(ramp_down);
            let mut expected = plan
                .iter()
                .filter(|step| step.at <= at.min(end) && step.at > since)
                .map(|step| step.vus)
                .max()
                .unwrap_or(0);
            // What was in force just after the grace began counts too, unless it was left in that instant.
            let before = plan.iter().take_while(|step| step.at <= since).last();
            let window_open = since < at || ramp_down.is_zero();
            if at < ramp_down {
                expected = plan.iter().filter(|step| step.at <= at).map(|step| step.vus).max().unwrap_or(0);
            } else if window_open {
                expected = expected.max(before.map_or(0, |step| step.vus));
            }
            if at >= end {
                expected = expected.max(level_at(&plan, end));
            }
            if at >= end + stop {
                expected = 0;
            }
            let peak = plan.iter().map(|step| step.vus).max().unwrap_or(0);
            prop_assert_eq!(level_at(&kept, at), expected);
            prop_assert!(kept.iter().all(|step| step.vus <= peak));
            prop_assert_eq!(kept.last().map(|step| step.vus), Some(0));
        }
    }
}
