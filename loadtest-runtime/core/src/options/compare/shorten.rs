//! A test's load in another time: [`shorten`].
//!
//! A comparison makes many runs, so each may be shorter than the test. The shape stays: as many virtual users or
//! starts, each part of the time in proportion. What does not end by the clock can't be shortened and is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Error;
use crate::options::{ExecutorKind, Options, Stage};
use crate::units::format_duration;

/// A stage that takes time takes this much at least: a ramp that became a jump would be another load.
const SHORTEST_STAGE: Duration = Duration::from_millis(1);

/// Up to this part of the load, 1/5, a warm-up keeps its length: caches need their time however short the run is.
const WARM_UP_PART: u32 = 5;

/// The loads of a test's scenarios, by name, made to end after `to`.
///
/// All times of the load (`duration`, `stages`, `start_time`) change by one factor: `to` over the end of the
/// scenario that ends last. A `warm_up` changes with them, but keeps its length up to a fifth of its scenario's load.
/// A scenario that lasts until it is stopped is stopped at `to`.
///
/// # Errors
/// If a scenario does not end by the clock (iterations, a capacity search) or has options that mean nothing
/// together, and if `to` is too short for its stages.
pub fn shorten(
    scenarios: &BTreeMap<String, Options>,
    to: Duration,
) -> Result<BTreeMap<String, Options>, Error> {
    let mut span = Duration::ZERO;
    for (name, options) in scenarios {
        let end = end(options).map_err(|error| in_scenario(scenarios, name, error))?;
        span = span.max(end.unwrap_or_default());
    }
    // Where nothing ends by itself, nothing gives a factor.
    let factor = Factor { to, of: if span.is_zero() { to } else { span } };
    let shorter = |(name, options): (&String, &Options)| {
        let shorter = factor.options(options).map_err(|error| in_scenario(scenarios, name, error))?;
        Ok((name.clone(), shorter))
    };
    scenarios.iter().map(shorter).collect()
}

fn in_scenario(scenarios: &BTreeMap<String, Options>, name: &str, error: Error) -> Error {
    match scenarios.len() {
        0 | 1 => error,
        _ => error.context(format_args!("scenario {name}")),
    }
}

/// When a load ends by the clock; `None` if somebody ends it.
fn end(options: &Options) -> Result<Option<Duration>, Error> {
    let workload = options.resolve()?;
    let kind = workload.shape.kind();
    if workload.shape.is_timed() {
        return Ok(Some(workload.regular_end()));
    }
    let ends = match kind {
        ExecutorKind::ExternallyControlled => return Ok(None),
        ExecutorKind::FindCapacity => "ends when it has found the rate",
        _ => "ends by its number of iterations",
    };
    Err(Error::new(format!("`compare_duration` can't shorten `{kind}`, which {ends}")).hint(
        "leave `compare_duration` out, or give the test a load that takes a time: `duration = \"30s\"`",
    ))
}

/// By what times change.
struct Factor {
    to: Duration,
    of: Duration,
}

impl Factor {
    /// A time after the change, to the nanosecond.
    fn scale(&self, time: Duration) -> Duration {
        let of = self.of.as_nanos().max(1);
        // Each time is at most 292 years of nanoseconds, 63 bits: the product fits.
        let nanos = time.as_nanos().saturating_mul(self.to.as_nanos()) / of;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn options(&self, options: &Options) -> Result<Options, Error> {
        let mut shorter = options.clone();
        shorter.start_time = options.start_time.map(|time| self.scale(time));
        let start = shorter.start_time.unwrap_or_default();
        let too_short = |what: &str| {
            let error = Error::new(format!("`compare_duration` of {} {what}", format_duration(self.to)));
            error.hint("give it more time, for example `compare_duration = \"10s\"`")
        };
        let lasts = if let Some(stages) = &options.stages {
            let stages =
                self.stages(stages).ok_or_else(|| too_short("is too short for the stages of the test"))?;
            let lasts = stages.iter().map(|stage| stage.duration).sum();
            shorter.stages = Some(stages);
            lasts
        } else {
            let lasts = match options.duration.filter(|duration| !duration.is_zero()) {
                Some(duration) => self.scale(duration),
                // Until somebody stops it.
                None => self.to.saturating_sub(start),
            };
            if lasts.is_zero() {
                return Err(too_short("leaves no time for the load"));
            }
            shorter.duration = Some(lasts);
            lasts
        };
        let kept = lasts / WARM_UP_PART;
        shorter.warm_up = options.warm_up.map(|time| self.scale(time).max(time.min(kept)));
        Ok(shorter)
    }

    /// The stages, whose sum is what their sum becomes; `None` if one of them would have no time left.
    fn stages(&self, stages: &[Stage]) -> Option<Vec<Stage>> {
        let (mut before, mut at) = (Duration::ZERO, Duration::ZERO);
        let mut missing = Duration::ZERO;
        let mut shorter = Vec::with_capacity(stages.len());
        for stage in stages {
            // From ends and not from lengths, so that what is rounded off is in the next one.
            before = before.saturating_add(stage.duration);
            let end = self.scale(before);
            let mut duration = end.saturating_sub(at);
            at = end;
            if !stage.duration.is_zero() && duration < SHORTEST_STAGE {
                missing += SHORTEST_STAGE - duration;
                duration = SHORTEST_STAGE;
            }
            shorter.push(Stage { duration, target: stage.target });
        }
        // The longest stages give what the shortest lacked.
        while !missing.is_zero() {
            let longest = shorter.iter_mut().max_by_key(|stage| stage.duration)?;
            let given = longest.duration.saturating_sub(SHORTEST_STAGE).min(missing);
            if given.is_zero() {
                return None;
            }
            longest.duration -= given;
            missing -= given;
        }
        Some(shorter)
    }
}
