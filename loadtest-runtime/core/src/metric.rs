//! Metrics: their kinds, units, names and tags, and what a series of one of them adds up to.
//!
//! The main type is [`Totals`], the mergeable content of one series over some span of time. Nothing here
//! knows how a value was measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hist::Hist;

/// The four kinds of metric, as in k6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A sum that only grows: `count`, `rate` per second.
    Counter,
    /// The last value.
    Gauge,
    /// The share of true values.
    Rate,
    /// A distribution: averages and quantiles.
    Trend,
}

/// What the numbers of a metric stand for. Decides how they are shown and how finely a trend resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A plain number; trends resolve 0.001.
    #[default]
    None,
    /// Values are milliseconds; trends resolve 1 µs.
    Millis,
    /// Values are bytes; trends resolve one byte.
    Bytes,
}

impl Unit {
    /// Histogram counts per unit of value: a trend stores `value × scale`, rounded, as an integer.
    pub fn scale(self) -> f64 {
        match self {
            Unit::None | Unit::Millis => 1_000.0,
            Unit::Bytes => 1.0,
        }
    }
}

/// A metric's identity: what its name is and how to read its values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MetricDef {
    /// Its name, `http_req_duration`.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Its unit.
    #[serde(default)]
    pub unit: Unit,
}

macro_rules! builtin {
    ($( $(#[$doc:meta])* $id:ident = $name:literal $kind:ident $unit:ident; )*) => {
        /// The metrics that the runtime records by itself, with k6's names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Builtin { $( $(#[$doc])* $id, )* }

        impl Builtin {
            /// Every built-in metric; `ALL[m as usize] == m`.
            pub const ALL: &'static [Builtin] = &[ $( Builtin::$id, )* ];

            /// Name, kind and unit.
            pub fn spec(self) -> (&'static str, Kind, Unit) {
                match self { $( Builtin::$id => ($name, Kind::$kind, Unit::$unit), )* }
            }
        }
    };
}

builtin! {
    /// Virtual users that are active now.
    Vus = "vus" Gauge None;
    /// Virtual users that exist, active or not.
    VusMax = "vus_max" Gauge None;
    /// Iterations that ended, failed ones included.
    Iterations = "iterations" Counter None;
    /// From an iteration's actual start to its end.
    IterationDuration = "iteration_duration" Trend Millis;
    /// From an iteration's intended start to its end: shows coordinated omission.
    IterationScheduledDuration = "iteration_scheduled_duration" Trend Millis;
    /// Share of iterations that returned an error or panicked.
    IterationsFailed = "iterations_failed" Rate None;
    /// Iterations that the plan asked for and that never started.
    DroppedIterations = "dropped_iterations" Counter None;
    /// From an iteration's intended start to its actual one, of the executors that plan starts: how late the
    /// load generator was.
    ScheduleLag = "schedule_lag" Trend Millis;
    /// The highest rate per time unit that kept the thresholds, found by `find-capacity`.
    Capacity = "capacity" Gauge None;
    /// Share of checks that held.
    Checks = "checks" Rate None;
    /// Time spent in a group.
    GroupDuration = "group_duration" Trend Millis;
    /// Time of an operation measured with `vu.measure`.
    MeasureDuration = "measure_duration" Trend Millis;
    /// Share of operations measured with `vu.measure` that failed.
    MeasureFailed = "measure_failed" Rate None;
    /// Bytes written to sockets.
    DataSent = "data_sent" Counter Bytes;
    /// Bytes read from sockets.
    DataReceived = "data_received" Counter Bytes;
    /// HTTP exchanges, redirects included.
    HttpReqs = "http_reqs" Counter None;
    /// Share of HTTP exchanges with an unexpected status or no response.
    HttpReqFailed = "http_req_failed" Rate None;
    /// Sending + waiting + receiving.
    HttpReqDuration = "http_req_duration" Trend Millis;
    /// Waiting for the turn that `rps` gives; part of the iteration's time, not of the request's.
    HttpReqThrottled = "http_req_throttled" Trend Millis;
    /// Waiting for a free connection slot.
    HttpReqBlocked = "http_req_blocked" Trend Millis;
    /// Looking up the host's name.
    HttpReqLookingUp = "http_req_looking_up" Trend Millis;
    /// Establishing the TCP connection.
    HttpReqConnecting = "http_req_connecting" Trend Millis;
    /// The TLS handshake.
    HttpReqTlsHandshaking = "http_req_tls_handshaking" Trend Millis;
    /// Writing the request.
    HttpReqSending = "http_req_sending" Trend Millis;
    /// Waiting for the first byte of the response.
    HttpReqWaiting = "http_req_waiting" Trend Millis;
    /// Reading the response.
    HttpReqReceiving = "http_req_receiving" Trend Millis;
    /// WebSocket sessions that were opened.
    WsSessions = "ws_sessions" Counter None;
    /// Opening a WebSocket session: name, TCP, TLS and the upgrade. Only of those that were opened.
    WsConnecting = "ws_connecting" Trend Millis;
    /// From the beginning of a WebSocket session's connect to its end.
    WsSessionDuration = "ws_session_duration" Trend Millis;
    /// WebSocket messages sent: text and binary.
    WsMsgsSent = "ws_msgs_sent" Counter None;
    /// WebSocket messages received: text and binary.
    WsMsgsReceived = "ws_msgs_received" Counter None;
    /// From a WebSocket ping to its pong.
    WsPing = "ws_ping" Trend Millis;
    /// gRPC calls that are answered by one message: from the call to its status.
    GrpcReqDuration = "grpc_req_duration" Trend Millis;
    /// gRPC calls that stream messages.
    GrpcStreams = "grpc_streams" Counter None;
    /// Messages sent on gRPC streams.
    GrpcStreamsMsgsSent = "grpc_streams_msgs_sent" Counter None;
    /// Messages received on gRPC streams.
    GrpcStreamsMsgsReceived = "grpc_streams_msgs_received" Counter None;
    /// Server-sent events received.
    SseEvent = "sse_event" Counter None;
    /// From a request for server-sent events to the first of them.
    SseTimeToFirstEvent = "sse_time_to_first_event" Trend Millis;
    /// TCP connections that were opened by `vu.tcp`.
    TcpSessions = "tcp_sessions" Counter None;
    /// Opening a connection of `vu.tcp`: name, TCP, and TLS where there is any. Only of those that were opened.
    TcpConnecting = "tcp_connecting" Trend Millis;
    /// From a request of `vu.tcp`'s connections to the last byte of its answer.
    TcpReqDuration = "tcp_req_duration" Trend Millis;
}

impl Builtin {
    /// Its name.
    pub fn name(self) -> &'static str {
        self.spec().0
    }

    /// Its definition as data.
    pub fn def(self) -> MetricDef {
        let (name, kind, unit) = self.spec();
        MetricDef { name: name.to_owned(), kind, unit }
    }
}

/// Names of the tags that the runtime sets.
pub mod tag {
    /// The scenario that a sample belongs to.
    pub const SCENARIO: &str = "scenario";
    /// `outer::inner`, empty outside of groups.
    pub const GROUP: &str = "group";
    /// The name of a check.
    pub const CHECK: &str = "check";
    /// Route template of a request, or the name of a measured operation.
    pub const NAME: &str = "name";
    /// HTTP method.
    pub const METHOD: &str = "method";
    /// HTTP status, `0` without a response.
    pub const STATUS: &str = "status";
    /// `HTTP/1.1`.
    pub const PROTO: &str = "proto";
    /// `true` if the status is one that the request expects.
    pub const EXPECTED_RESPONSE: &str = "expected_response";
    /// k6's numeric error code.
    pub const ERROR_CODE: &str = "error_code";
    /// Scheme, host, port and route template of what was connected to.
    pub const URL: &str = "url";
    /// The WebSocket subprotocol that the server chose.
    pub const SUBPROTO: &str = "subproto";
    /// The gRPC service, with its package.
    pub const SERVICE: &str = "service";
    /// `unary` or `streaming`.
    pub const RPC_TYPE: &str = "rpc_type";
    /// The value that stands for what no longer fitted.
    pub const OTHER: &str = "__other__";
}

/// Tags of a series, by name.
pub type Tags = BTreeMap<String, String>;

/// What a series adds up to over some span of time. Merging is exact: the merge of two spans equals the
/// span of both.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq)]
pub struct Totals {
    /// Values recorded (of a rate: how many; of a counter: how many additions).
    pub count: u64,
    /// Their sum (of a rate: how many were true), in the metric's unit.
    pub sum: f64,
    /// The smallest value, 0 if none.
    pub min: f64,
    /// The largest value, 0 if none.
    pub max: f64,
    /// The last value, of gauges.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub last: f64,
    /// The distribution, of trends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hist: Option<Hist>,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Totals {
    /// Adds one value. `scale` is the unit's [`Unit::scale`]; only trends keep a distribution, and only gauges
    /// the last value.
    #[inline]
    pub fn record(&mut self, kind: Kind, scale: f64, value: f64) {
        if self.count == 0 || value < self.min {
            self.min = value;
        }
        if self.count == 0 || value > self.max {
            self.max = value;
        }
        self.count += 1;
        self.sum += value;
        match kind {
            Kind::Trend => self.hist.get_or_insert_default().record(value * scale),
            Kind::Gauge => self.last = value,
            Kind::Counter | Kind::Rate => {}
        }
    }

    /// Adds a later span of the same series.
    pub fn merge(&mut self, later: &Totals) {
        if later.count == 0 {
            return;
        }
        if self.count == 0 || later.min < self.min {
            self.min = later.min;
        }
        if self.count == 0 || later.max > self.max {
            self.max = later.max;
        }
        self.count += later.count;
        self.sum += later.sum;
        self.last = later.last;
        if let Some(hist) = &later.hist {
            self.hist.get_or_insert_with(Hist::default).merge(hist);
        }
    }

    /// Takes everything out as it is, in little memory; the memory of the distribution stays for what comes.
    #[must_use]
    pub fn take(&mut self) -> Totals {
        let hist = self.hist.take();
        let mut taken = std::mem::take(self);
        if let Some(mut hist) = hist.filter(|_| taken.count > 0) {
            taken.hist = Some(hist.take());
            self.hist = Some(hist);
        }
        taken
    }

    /// The same in little memory, for sums that are kept in large numbers.
    #[must_use]
    pub fn compact(mut self) -> Totals {
        self.hist = self.hist.map(|hist| hist.compact());
        self
    }

    /// The mean, or `None` without values.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// The quantile `q` in 0..=1 of a trend, in the metric's unit, within the recorded extremes; `None`
    /// without a distribution. The histogram's relative error is 0.1 %.
    pub fn quantile(&self, q: f64, unit: Unit) -> Option<f64> {
        let hist = self.hist.as_ref()?;
        Some((hist.quantile(q)? / unit.scale()).clamp(self.min, self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_two_spans_equals_the_span_of_both() {
        let mut whole = Totals::default();
        let (mut first, mut second) = (Totals::default(), Totals::default());
        for (n, value) in [3.0, 1.5, 800.25, 0.001].into_iter().enumerate() {
            whole.record(Kind::Trend, 1000.0, value);
            if n < 2 { &mut first } else { &mut second }.record(Kind::Trend, 1000.0, value);
        }
        first.merge(&second);
        assert_eq!(first, whole);
    }

    #[test]
    fn taking_leaves_an_empty_sum_that_counts_on() {
        let mut open = Totals::default();
        open.record(Kind::Trend, 1000.0, 3.0);
        let first = open.take();
        assert_eq!((first.count, open.count), (1, 0));
        open.record(Kind::Trend, 1000.0, 5.0);
        let second = open.take();
        assert_eq!(second.quantile(0.5, Unit::Millis), Some(5.0));
        assert_eq!(first.compact().quantile(0.5, Unit::Millis), Some(3.0));
    }

    #[test]
    fn the_table_of_builtin_metrics_is_indexed_by_itself() {
        for (index, metric) in Builtin::ALL.iter().enumerate() {
            assert_eq!(*metric as usize, index);
            assert_eq!(Builtin::ALL.iter().filter(|m| m.name() == metric.name()).count(), 1);
        }
    }
}
