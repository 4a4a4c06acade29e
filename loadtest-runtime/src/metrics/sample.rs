//! What travels from a worker to the aggregator: fixed-size samples in recycled buffers, and the first
//! mention of each series.

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use loadtest_core::metric::{Builtin, MetricDef, Tags};
use loadtest_core::results::ThresholdOutcome;
use tokio::sync::oneshot;

use super::aggregator::Part;
use super::errors::ErrorCount;

/// Index of a series on one worker.
pub(crate) type LocalSeries = u32;

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) series: LocalSeries,
    /// Milliseconds from the start of the load.
    pub(crate) at_ms: u32,
    pub(crate) payload: Payload,
}

/// Its content. Times are milliseconds in single precision: seven digits, four more than a histogram keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Payload {
    /// A value of a single metric.
    Value(f64),
    /// An iteration that ended.
    Iteration { duration_ms: f32, scheduled_ms: f32, failed: bool },
    /// One HTTP exchange.
    Exchange(Exchange),
    /// A measured operation.
    Measure { duration_ms: f32, failed: bool },
}

/// The numbers of one HTTP exchange; the rest is in its series.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Exchange {
    pub(crate) blocked_ms: f32,
    pub(crate) looking_up_ms: f32,
    pub(crate) connecting_ms: f32,
    pub(crate) tls_handshaking_ms: f32,
    pub(crate) sending_ms: f32,
    pub(crate) waiting_ms: f32,
    pub(crate) receiving_ms: f32,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) failed: bool,
}

impl Exchange {
    /// Sending + waiting + receiving.
    #[inline]
    pub(crate) fn duration_ms(&self) -> f64 {
        f64::from(self.sending_ms) + f64::from(self.waiting_ms) + f64::from(self.receiving_ms)
    }
}

/// What a local series stands for.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    /// One metric.
    Metric(MetricDef),
    /// The four metrics of an iteration.
    Iteration,
    /// The metrics of an HTTP exchange; the tags of the connection's bytes are those without the exchange's.
    Exchange { connection_tags: Tags },
    /// The two metrics of a measured operation.
    Measure,
}

/// The first mention of a series by a worker.
#[derive(Debug, Clone)]
pub(crate) struct NewSeries {
    pub(crate) id: LocalSeries,
    pub(crate) subject: Subject,
    pub(crate) tags: Tags,
}

/// What a worker hands over.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) worker: usize,
    pub(crate) new_series: Vec<NewSeries>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) errors: Vec<ErrorCount>,
}

/// A probe of a capacity search that is over.
#[derive(Debug)]
pub(crate) struct EndedProbe {
    /// Those of its scenario.
    pub(crate) tags: Tags,
    /// Starts for which there was no virtual user.
    pub(crate) dropped: u64,
    /// From its begin to the end of its last iteration.
    pub(crate) lasted: Duration,
}

/// What is known of a probe when it is over.
#[derive(Debug, Default)]
pub(crate) struct JudgedProbe {
    /// What the thresholds say that are about a probe.
    pub(crate) thresholds: Vec<ThresholdOutcome>,
    /// As [`latency_ms`](loadtest_core::results::Probe::latency_ms).
    pub(crate) latency_ms: BTreeMap<String, f64>,
}

/// What an aggregator that leads others asks them for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// The open second, which is over.
    Second,
    /// Everything that has come: the load is over.
    Rest,
    /// What is known of the probe, which is over.
    Probe,
}

/// A message to the aggregator.
#[derive(Debug)]
pub(crate) enum Message {
    /// The load begins: interval 0 starts now.
    Begin(crate::clock::Instant),
    Batch(Batch),
    /// What the engine itself has found out.
    Value {
        metric: Builtin,
        tags: Tags,
        value: f64,
    },
    /// A probe of a capacity search begins at this instant.
    ProbeBegin(crate::clock::Instant),
    /// All that belongs to the probe has been sent: how did it go?
    ProbeEnd(EndedProbe, oneshot::Sender<JudgedProbe>),
    /// An aggregator that leads others asks one of them for what came to it.
    Collect(Span, SyncSender<Part>),
    /// The load is over since this instant and no more will come: close the last interval.
    Finish(crate::clock::Instant),
}
