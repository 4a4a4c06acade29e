//! `find-capacity`: holds one rate after another and finds the highest at which the thresholds hold.
//!
//! The main type is [`FindCapacity`]. A probe offers starts at one rate as `constant-arrival-rate` does, then
//! lets what is in flight end, so that the next one does not inherit its queue, and asks a [`Judge`] what the
//! thresholds say over this probe alone. Which rate comes next is for
//! [`CapacitySearch`](loadtest_core::plan::CapacitySearch). Nothing here computes a threshold.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loadtest_core::metric::{Builtin, Tags};
use loadtest_core::options::{Shape, Workload};
use loadtest_core::plan::{CapacitySearch, Shard, constant_arrivals};
use loadtest_core::results::{Capacity, Probe, ThresholdOutcome};
use loadtest_core::units::format_duration;
use tokio::sync::oneshot;

use super::open::{Desk, offer};
use super::{Counters, Drive, Executor, Order, Reins, Source};
use crate::clock::{self, Instant};
use crate::context::TestContext;
use crate::metrics::crew::Outbox;
use crate::metrics::recorder::FLUSH_EVERY;
use crate::metrics::sample::{EndedProbe, JudgedProbe, Message};

/// How long after the last iteration a probe is judged: until every worker has handed over what it measured.
const SETTLE: Duration = FLUSH_EVERY.saturating_mul(2);
/// The share of a probe's starts that may be dropped, or interrupted, in a rate that holds.
const MAX_MISSED: f64 = 0.01;
/// The share of a probe's duration by which its last start may be late, in a rate that was offered.
const MAX_LATE: f64 = 0.01;
/// By how much it may be late however short the probe is.
const ALWAYS_LATE: Duration = Duration::from_millis(100);
/// How long virtual users may take to let go of an iteration that is interrupted.
const LET_GO: Duration = Duration::from_secs(2);

/// Judges probes.
pub(crate) trait Judge: Send + Sync {
    /// A probe begins at this instant. Returns how long that is after the start of the load.
    fn begin(&self, at: Instant) -> Duration;

    /// The probe is over, and all that it measured has been handed over: how did it go? Nobody answers if the
    /// load is over as well.
    fn end(&self, dropped: u64, lasted: Duration) -> oneshot::Receiver<JudgedProbe>;

    /// What the search has found so far.
    fn found(&self, capacity: &Capacity);
}

pub(super) struct FindCapacity {
    search: CapacitySearch,
    time_unit: Duration,
    probe_duration: Duration,
    allocated: u32,
    most: u32,
    desk: Arc<Desk>,
    judge: Option<Arc<dyn Judge>>,
}

/// Counts over a probe.
#[derive(Clone, Copy)]
struct Counts {
    planned: u64,
    started: u64,
    dropped: u64,
    interrupted: u64,
}

impl Counts {
    fn of(counters: &Counters) -> Self {
        Self {
            planned: counters.planned_starts.load(Ordering::Relaxed),
            started: counters.started.load(Ordering::Relaxed),
            dropped: counters.dropped.load(Ordering::Relaxed),
            interrupted: counters.interrupted.load(Ordering::Relaxed),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            planned: self.planned - before.planned,
            started: self.started - before.started,
            dropped: self.dropped - before.dropped,
            interrupted: self.interrupted - before.interrupted,
        }
    }
}

impl FindCapacity {
    pub(super) fn new(
        search: CapacitySearch,
        time_unit: Duration,
        probe_duration: Duration,
        allocated: u32,
        most: u32,
    ) -> Self {
        let desk = Desk::new(allocated, most);
        Self { search, time_unit, probe_duration, allocated, most, desk, judge: None }
    }

    /// Holds a rate and judges it; `None` if that is not possible any more.
    async fn probe(&self, rate: u64, reins: &Reins, judge: &dyn Judge) -> Option<Probe> {
        let Reins { seats, timeline, graceful_stop, .. } = reins;
        let before = Counts::of(seats.counters());
        let begin = timeline.elapsed();
        let began = clock::now();
        let started_at = judge.begin(began);
        let starts = constant_arrivals(rate, self.time_unit, self.probe_duration);
        let starts = starts.map(move |offset| begin.saturating_add(offset));
        let end = begin.saturating_add(self.probe_duration);
        // A rate that the load generator can't offer has failed by then; nobody waits for its last start.
        let latest = end.saturating_add(self.may_be_late());
        let offered = timeline.timeout(latest, offer(reins, &self.desk, starts)).await.is_some();
        let late = timeline.elapsed().saturating_sub(end);
        timeline.sleep_until(end).await;
        let held = clock::now().saturating_duration_since(began);
        if timeline.timeout(end.saturating_add(*graceful_stop), seats.idle()).await.is_none() {
            seats.give_all(Order::Interrupt);
            // Whoever does not let go would be part of every later probe.
            tokio::time::timeout(LET_GO, seats.idle()).await.ok()?;
        }
        let lasted = timeline.elapsed().saturating_sub(begin);
        let counts = Counts::of(seats.counters()).since(before);
        timeline.sleep_until(timeline.elapsed().saturating_add(SETTLE)).await;
        let JudgedProbe { thresholds, latency_ms } = judge.end(counts.dropped, lasted).await.ok()?;
        let reasons = self.reasons(rate, counts, &thresholds, (late, offered), *graceful_stop);
        Some(Probe {
            rate,
            started_at: started_at.as_secs_f64(),
            seconds: held.as_secs_f64(),
            started: counts.started,
            dropped: counts.dropped,
            thresholds,
            holds: reasons.is_empty(),
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
            latency_ms,
        })
    }

    /// By how much the last start of a probe may be late.
    fn may_be_late(&self) -> Duration {
        ALWAYS_LATE.max(self.probe_duration.mul_f64(MAX_LATE))
    }

    /// Why a rate does not hold, if it does not.
    fn reasons(
        &self,
        rate: u64,
        counts: Counts,
        thresholds: &[ThresholdOutcome],
        (late, offered): (Duration, bool),
        graceful_stop: Duration,
    ) -> Vec<String> {
        let mut reasons: Vec<String> =
            thresholds.iter().filter(|outcome| !outcome.holds).map(Probe::reason_of).collect();
        let Counts { planned, dropped, interrupted, .. } = counts;
        let too_many = |missed: u64| missed as f64 > planned as f64 * MAX_MISSED;
        if too_many(dropped) {
            reasons.push(format!(
                "{dropped} of {planned} starts found no free virtual user: raise `max_vus`, or this is the limit"
            ));
        }
        if too_many(interrupted) {
            reasons.push(format!(
                "{interrupted} of {planned} iterations had not ended {} after the last start: \
                 raise `graceful_stop`, or this is the limit",
                format_duration(graceful_stop)
            ));
        }
        if !offered || late > self.may_be_late() {
            reasons.push(format!(
                "the load generator was {} late: it could not start {rate} in each {}",
                format_duration(late.max(Duration::from_millis(1))),
                format_duration(self.time_unit)
            ));
        }
        reasons
    }
}

impl Executor for FindCapacity {
    fn max_vus(&self) -> u32 {
        self.most
    }

    fn allocated_vus(&self) -> u32 {
        self.allocated
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.desk) as Arc<dyn Source>
    }

    fn judged_by(&mut self, judge: Arc<dyn Judge>) {
        self.judge = Some(judge);
    }

    fn drive<'a>(&'a mut self, reins: &'a Reins) -> Drive<'a> {
        Box::pin(async move {
            let Some(judge) = self.judge.clone() else {
                debug_assert!(false, "a search has a judge");
                return;
            };
            let mut search = self.search.clone();
            let mut capacity = Capacity { time_unit: self.time_unit.as_secs_f64(), ..Capacity::default() };
            // Told step by step, because a search may be cut short at any time.
            judge.found(&capacity);
            while let Some(rate) = search.next_rate() {
                let Some(probe) = self.probe(rate, reins, judge.as_ref()).await else { break };
                search.tell(probe.holds);
                capacity.probes.push(probe);
                capacity.highest_held = search.highest_held();
                capacity.lowest_failed = search.lowest_failed();
                capacity.complete = search.next_rate().is_none();
                judge.found(&capacity);
            }
            reins.seats.set_planned(0);
        })
    }
}

/// The judge of a real load: asks the aggregator, and keeps what was found.
#[derive(Debug)]
pub(crate) struct Court {
    messages: Outbox,
    test: Arc<TestContext>,
    tags: Tags,
    found: Mutex<Option<Capacity>>,
}

impl Court {
    /// The judge of the scenario with these tags.
    pub(crate) fn new(messages: impl Into<Outbox>, test: Arc<TestContext>, tags: Tags) -> Arc<Self> {
        Arc::new(Self { messages: messages.into(), test, tags, found: Mutex::default() })
    }

    /// The search is over, or was cut short: records the capacity, if it is known, and returns what was found.
    pub(crate) fn conclude(&self) -> Option<Capacity> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        // That no rate has held yet does not mean that none does.
        let capacity = found.highest_held.or(found.complete.then_some(0));
        if let Some(capacity) = capacity {
            self.messages.send(Message::Value {
                metric: Builtin::Capacity,
                tags: self.tags.clone(),
                value: capacity as f64,
            });
        }
        Some(found)
    }
}

impl Judge for Court {
    fn begin(&self, at: Instant) -> Duration {
        self.messages.send(Message::ProbeBegin(at));
        let begin = self.test.begin.at.get();
        begin.map_or(Duration::ZERO, |begin| at.saturating_duration_since(*begin))
    }

    fn end(&self, dropped: u64, lasted: Duration) -> oneshot::Receiver<JudgedProbe> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(Message::ProbeEnd(EndedProbe { tags: self.tags.clone(), dropped, lasted }, reply));
        answer
    }

    fn found(&self, capacity: &Capacity) {
        if let Some(probe) = capacity.probes.last() {
            self.test.log.note(&sentence(probe, capacity.time_unit));
        }
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(capacity.clone());
    }
}

/// What came of a probe, for whoever watches the search.
fn sentence(probe: &Probe, time_unit: f64) -> String {
    let rate = if time_unit == 1.0 {
        format!("{}/s", probe.rate)
    } else {
        format!("{} per {}", probe.rate, format_duration(Duration::from_secs_f64(time_unit)))
    };
    match &probe.reason {
        None => format!("  probe: {rate} held"),
        Some(reason) => format!("  probe: {rate} failed: {reason}"),
    }
}

/// Lets the probe decide about the thresholds that says whether the capacity is there at all: the highest rate
/// that held, or the first one if none did. What a rate above the capacity did to them is no failure. If none
/// held, it is one whatever the thresholds say: `start_rate` is the least that was asked for.
pub(crate) fn judge_by_probes(thresholds: &mut Vec<ThresholdOutcome>, capacity: &Capacity) {
    let held = capacity.probes.iter().filter(|probe| probe.holds).max_by_key(|probe| probe.rate);
    let Some(deciding) = held.or(capacity.probes.first()) else { return };
    for outcome in thresholds.iter_mut() {
        if let Some(judged) = deciding.thresholds.iter().find(|judged| judged.source == outcome.source) {
            outcome.clone_from(judged);
        }
    }
    if held.is_none() && capacity.complete {
        let source = format!("{}: value>={}", Builtin::Capacity.name(), deciding.rate);
        if thresholds.iter().all(|outcome| outcome.source != source) {
            thresholds.push(ThresholdOutcome {
                source,
                actual: Some(0.0),
                holds: false,
                margin: Some(-1.0),
                aborted: false,
            });
        }
    }
}

/// Whether a capacity search has the test and all of its load to itself.
///
/// # Errors
/// If there is another scenario, whose load would be part of what is judged, or another shard, which would
/// search on its own.
pub(crate) fn check_alone(workloads: &BTreeMap<String, Workload>, shard: Shard) -> Result<(), String> {
    let searches = |workload: &Workload| matches!(workload.shape, Shape::FindCapacity { .. });
    let Some((name, _)) = workloads.iter().find(|(_, workload)| searches(workload)) else { return Ok(()) };
    if workloads.len() > 1 {
        return Err(format!(
            "find-capacity must be the only scenario of its test, but `{name}` is one of {}\n\
             hint: give it a test of its own with `test = \"...\"`",
            workloads.len()
        ));
    }
    if shard.count > 1 {
        return Err(format!(
            "find-capacity can't be divided among shards: `{name}` would search for {} capacities at once\n\
             hint: leave `--shard` out",
            shard.count
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
