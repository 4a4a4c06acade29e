//! A threshold with what it has seen: over the whole load, and over the probe of a capacity search; and the
//! latency of that probe.
//!
//! The main type is [`Judge`]. It knows neither series nor channels: it is given values and spans that concern
//! it. So does [`ProbeLatency`].

use std::collections::BTreeMap;
use std::time::Duration;

use loadtest_core::metric::{Builtin, MetricDef, Tags, Totals, Unit, tag};
use loadtest_core::results::ThresholdOutcome;
use loadtest_core::threshold::{Evaluation, Threshold};

/// A threshold with what it has seen.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) threshold: Threshold,
    metric: MetricDef,
    /// Over the whole load, up to the interval that was closed last.
    total: Totals,
    /// Over the probe that runs, or the last one.
    probe: Totals,
    /// What the totals meant when the last interval was closed.
    latest: Option<Evaluation>,
    aborted: bool,
}

impl Judge {
    /// `None` if there is no such metric.
    pub(super) fn new(threshold: &Threshold, metrics: &[MetricDef]) -> Option<Self> {
        let metric = metrics.iter().find(|def| def.name == threshold.metric)?.clone();
        Some(Self {
            threshold: threshold.clone(),
            metric,
            total: Totals::default(),
            probe: Totals::default(),
            latest: None,
            aborted: false,
        })
    }

    /// Whether a series counts.
    pub(super) fn judges(&self, metric: &MetricDef, tags: &Tags) -> bool {
        self.metric.name == metric.name && self.threshold.matches(tags)
    }

    /// Whether it says when a rate holds. What a search has found is known only when it is over.
    pub(super) fn is_of_probes(&self) -> bool {
        self.metric.name != Builtin::Capacity.name()
    }

    /// Adds a span of one of its series.
    pub(super) fn add(&mut self, closed: &Totals) {
        self.total.merge(closed);
    }

    /// Forgets the last probe.
    pub(super) fn begin_probe(&mut self) {
        self.probe = Totals::default();
    }

    /// Adds a value of one of its series to the probe.
    pub(super) fn add_to_probe(&mut self, value: f64) {
        self.probe.record(self.metric.kind, self.metric.unit.scale(), value);
    }

    /// Adds what came of the probe elsewhere.
    pub(super) fn add_part_of_probe(&mut self, part: &Totals) {
        self.probe.merge(part);
    }

    /// Takes out what has come of the probe.
    pub(super) fn take_probe(&mut self) -> Totals {
        self.probe.take()
    }

    /// Judges what has come so far, over this time; if probes are judged, the probe since its begin.
    pub(super) fn look(&mut self, elapsed: Duration, probe: Option<Duration>) -> Evaluation {
        let evaluation = match probe.filter(|_| self.is_of_probes()) {
            Some(lasted) => self.threshold.evaluate(&self.metric, &self.probe, lasted),
            None => self.threshold.evaluate(&self.metric, &self.total, elapsed),
        };
        self.latest = Some(evaluation);
        evaluation
    }

    /// Whether it failed at the last look and ends the test at this time.
    pub(super) fn aborts_at(&self, elapsed: Duration) -> bool {
        // No data yet is no reason to end a test that has only begun.
        let failed = self.latest.is_some_and(|latest| latest.actual.is_some() && !latest.holds);
        failed && self.threshold.aborts_at(elapsed)
    }

    /// It ends the test.
    pub(super) fn abort(&mut self) {
        self.aborted = true;
    }

    /// Whether it has ended the test.
    pub(super) fn has_aborted(&self) -> bool {
        self.aborted
    }

    /// The judgement over the whole load.
    pub(super) fn outcome(&self, elapsed: Duration) -> ThresholdOutcome {
        self.judgement(&self.total, elapsed)
    }

    /// The judgement over the probe, which lasted this long.
    pub(super) fn probe_outcome(&self, lasted: Duration) -> ThresholdOutcome {
        self.judgement(&self.probe, lasted)
    }

    fn judgement(&self, totals: &Totals, elapsed: Duration) -> ThresholdOutcome {
        let evaluation = self.threshold.evaluate(&self.metric, totals, elapsed);
        ThresholdOutcome {
            source: self.threshold.source.clone(),
            actual: evaluation.actual,
            holds: evaluation.holds,
            margin: evaluation.actual.and_then(|actual| self.threshold.margin(actual)),
            aborted: self.aborted,
        }
    }
}

/// The trends that stand for latency, each only where there is nothing of those before it.
const LATENCY: [Builtin; 3] =
    [Builtin::HttpReqDuration, Builtin::MeasureDuration, Builtin::IterationDuration];

/// What a series is to the latency of a probe.
#[derive(Debug, Clone, Copy)]
pub(super) struct LatencyShare {
    /// Place in [`LATENCY`].
    rank: usize,
    /// Whether its values count: those of failed requests say only that there are requests.
    counts: bool,
}

impl LatencyShare {
    /// `None` if it has no share.
    pub(super) fn of(metric: &MetricDef, tags: &Tags) -> Option<Self> {
        let rank = LATENCY.iter().position(|latency| latency.name() == metric.name)?;
        let counts = tags.get(tag::EXPECTED_RESPONSE).is_none_or(|expected| expected == "true");
        Some(Self { rank, counts })
    }
}

/// The latency over the probe of a capacity search: one histogram, of the first trend of [`LATENCY`] that has
/// come.
#[derive(Debug)]
pub(super) struct ProbeLatency {
    rank: usize,
    totals: Totals,
}

impl Default for ProbeLatency {
    fn default() -> Self {
        Self { rank: LATENCY.len(), totals: Totals::default() }
    }
}

impl ProbeLatency {
    /// Adds a value of a series that has a share.
    pub(super) fn add(&mut self, share: LatencyShare, value: f64) {
        if share.rank < self.rank {
            *self = Self { rank: share.rank, totals: Totals::default() };
        }
        if share.rank == self.rank && share.counts {
            let (_, kind, unit) = LATENCY[share.rank].spec();
            self.totals.record(kind, unit.scale(), value);
        }
    }

    /// Adds what came of the probe elsewhere.
    pub(super) fn merge(&mut self, part: Self) {
        if part.rank < self.rank {
            *self = part;
        } else if part.rank == self.rank {
            self.totals.merge(&part.totals);
        }
    }

    /// `p(50)`, `p(95)` and `p(99)` in milliseconds; empty without a value.
    pub(super) fn quantiles(&self) -> BTreeMap<String, f64> {
        let quantile =
            |(name, q): (&str, f64)| Some((name.to_owned(), self.totals.quantile(q, Unit::Millis)?));
        [("p(50)", 0.5), ("p(95)", 0.95), ("p(99)", 0.99)].into_iter().filter_map(quantile).collect()
    }
}
