//! The tables of a test: key figures, endpoints, checks, groups, own metrics, the generator's health.

use std::collections::BTreeMap;

use loadtest_core::metric::{Builtin, Kind, MetricDef, Tags, Totals, Unit, tag};
use loadtest_core::results::End;
use loadtest_core::units::{
    format_bytes, format_count, format_millis, format_percent, format_rate, format_value,
};
use serde::Serialize;

use super::{Long, Pair, format_rate_of, late, percent};
use crate::data::{MAX_GENERATOR_CPU, MAX_STEAL, Starts, TestData, failures, successes};
use crate::report::clean;

/// What the sums over a capacity search are over.
pub(in crate::report) const ALL_PROBES: &str =
    "The numbers below are over all probes, those above the capacity included.";

/// The CPU time of a load of fewer seconds may not be known anywhere: it ends before its first interval is closed,
/// and its workers with it.
const SHORTEST_CPU: f64 = 1.5;

/// More than this share of errors makes percentiles of all requests useless.
const MANY_ERRORS: f64 = 0.01;

/// The numbers that matter most.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct Figures {
    /// Name, value, a line below it, whether it is a bad sign.
    pub cards: Vec<Card>,
    /// The metric that stands for latency.
    pub metric: String,
    /// Name, of successes, of failures, of all; failures and all are empty if nothing failed.
    pub latency: Vec<[String; 4]>,
    /// Whether there are failures.
    pub failed: bool,
    /// What they are over, if that is not what one would think.
    pub scope: Option<&'static str>,
    /// Why the percentiles of all are not to be trusted.
    pub caution: Option<String>,
}

/// One of them.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct Card {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: String,
    /// More about it.
    pub detail: String,
    /// Whether it is a bad sign.
    pub bad: bool,
}

fn card(name: &str, value: String, detail: String, bad: bool) -> Card {
    Card { name: name.to_owned(), value, detail, bad }
}

/// The key figures of a test.
pub(in crate::report) fn figures(test: &TestData) -> Figures {
    let all = |_: &Tags| true;
    let seconds = test.seconds();
    let metric = test.latency_metric();
    let iterations = test.total(Builtin::Iterations.name(), all).sum;
    let failed_iterations = test.total(Builtin::IterationsFailed.name(), all);
    let requests = test.total(Builtin::HttpReqs.name(), all).sum;
    let failed_of = match metric {
        "http_req_duration" => Builtin::HttpReqFailed,
        "measure_duration" => Builtin::MeasureFailed,
        _ => Builtin::IterationsFailed,
    };
    let failed = test.total(failed_of.name(), all);
    let share = failed.mean();
    let good = test.total(metric, successes);
    let bad = test.total(metric, failures);
    let both = test.total(metric, all);
    let of = |totals: &Totals, q| totals.quantile(q, Unit::Millis);
    let faster = matches!((of(&bad, 0.5), of(&good, 0.5)), (Some(bad), Some(good)) if bad < good);
    let many = share.is_some_and(|share| share > MANY_ERRORS);
    let caution = (bad.count > 0 && (many || faster)).then(|| {
        let why = match (many, faster) {
            (true, true) => "More than 1% failed, and failures were faster than successes",
            (true, false) => "More than 1% failed",
            _ => "Failures were faster than successes",
        };
        let instead = if good.count > 0 { " Read those of successes." } else { "" };
        format!("{why}: fast failures flatter the percentiles of all requests.{instead}")
    });

    let mut cards = Vec::new();
    if requests > 0.0 {
        let rate = format_rate(requests / seconds);
        // A card is narrow: a version and its share stay on one line.
        let whole = |versions: String| versions.replace(' ', "\u{a0}").replace(",\u{a0}", ", ");
        let versions = http_versions(test).map(whole);
        let detail = versions.map_or(rate.clone(), |versions| format!("{rate}; {versions}"));
        cards.push(card("Requests", format_count(requests), detail, false));
    }
    let rate = format_rate(iterations / seconds);
    let ended = interrupted_iterations(test).map_or_else(String::new, |ended| format!("; {ended}"));
    cards.push(card("Iterations", format_count(iterations), format!("{rate}{ended}"), iterations == 0.0));
    if let Some(share) = share {
        let what = match failed_of {
            Builtin::HttpReqFailed => "requests",
            Builtin::MeasureFailed => "operations",
            _ => "iterations",
        };
        let detail = format!("{} of {} {what}", format_count(failed.sum), format_count(failed.count as f64));
        cards.push(card("Errors", format_percent(share), detail, share > MANY_ERRORS));
    }
    for (name, q) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        if let Some(value) = of(&good, q) {
            let detail = if bad.count > 0 {
                format!("of successes; {} of all", of(&both, q).map_or_else(String::new, format_millis))
            } else {
                "latency".to_owned()
            };
            cards.push(card(name, format_millis(value), detail, false));
        }
    }
    if failed_iterations.sum > 0.0 && failed_of != Builtin::IterationsFailed {
        let detail = format!("{} iterations", format_count(failed_iterations.sum));
        cards.push(card(
            "Iterations failed",
            format_percent(failed_iterations.mean().unwrap_or(0.0)),
            detail,
            true,
        ));
    }
    cards.extend(dropped_card(test));
    if let Some(lag) = test.schedule_lag().filter(|_| test.is_open()) {
        let stall = format!("longest stall {}", format_millis(test.generator_use().max_stall_ms));
        match lag.p99_ms {
            Some(p99) => {
                let detail = format!("p99; mean {}; {stall}", format_millis(lag.mean_ms));
                cards.push(card("Schedule lag", format_millis(p99), detail, late(test).is_some()));
            }
            None => {
                cards.push(card("Schedule lag", format_millis(lag.mean_ms), format!("mean; {stall}"), false));
            }
        }
    }
    let throttled = test.total(Builtin::HttpReqThrottled.name(), all);
    if throttled.max > 0.0 {
        let mean = throttled.mean().map_or_else(String::new, format_millis);
        let detail = format!("p95 of the wait for `rps`; mean {mean}; not in latency");
        let p95 = of(&throttled, 0.95).map_or_else(|| "–".to_owned(), format_millis);
        cards.push(card("Throttled", p95, detail, false));
    }

    let row = |name: &str, show: &dyn Fn(&Totals) -> Option<f64>| {
        let text = |totals: &Totals| show(totals).map_or_else(|| "–".to_owned(), format_millis);
        [name.to_owned(), text(&good), text(&bad), text(&both)]
    };
    let latency = vec![
        row("mean", &|totals| totals.mean()),
        row("p50", &|totals| of(totals, 0.5)),
        row("p90", &|totals| of(totals, 0.9)),
        row("p95", &|totals| of(totals, 0.95)),
        row("p99", &|totals| of(totals, 0.99)),
        row("max", &|totals| (totals.count > 0).then_some(totals.max)),
    ];
    Figures {
        cards,
        metric: metric.to_owned(),
        latency,
        failed: bad.count > 0,
        scope: test.mixes_probes().then_some(ALL_PROBES),
        caution,
    }
}

/// The versions of HTTP of the responses, the most frequent first, with their shares if there are several; `None`
/// without any response.
pub(in crate::report) fn http_versions(test: &TestData) -> Option<String> {
    // What was never answered was served by none.
    let answered = |tags: &Tags| tags.get(tag::STATUS).is_none_or(|status| status != "0");
    let parts = test.total_by(Builtin::HttpReqs.name(), |tags| {
        tags.get(tag::PROTO).filter(|proto| !proto.is_empty() && answered(tags)).cloned()
    });
    let mut counts: Vec<(String, f64)> = parts
        .into_iter()
        .map(|(proto, totals)| (clean::clip(&clean::line(&proto), 24), totals.sum))
        .filter(|(_, count)| *count > 0.0)
        .collect();
    counts.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    let all: f64 = counts.iter().map(|(_, count)| count).sum();
    match counts.as_slice() {
        [] => None,
        [(proto, _)] => Some(proto.clone()),
        several => {
            let shares = several.iter().map(|(proto, count)| format!("{proto} {}", percent(count / all)));
            Some(shares.collect::<Vec<_>>().join(", "))
        }
    }
}

/// How many planned iterations never started, where the plan can ask for such.
fn dropped_card(test: &TestData) -> Option<Card> {
    let dropped = test.total(Builtin::DroppedIterations.name(), |_| true).sum;
    if dropped == 0.0 && !test.can_drop() {
        return None;
    }
    let planned = starts(test);
    // A search drops by its nature.
    let searches = !test.document.outcome.capacities.is_empty();
    let cut_short = test.document.outcome.end != End::Completed;
    let detail = match planned.share() {
        Some(_) if planned.dropped > 0 && searches => "at rates above the capacity".to_owned(),
        Some(share) if planned.dropped > 0 => {
            let until = if cut_short { " until it was cut short" } else { "" };
            format!("{} of the planned starts were offered{until}", format_percent(share))
        }
        _ if dropped > 0.0 => "planned, never started".to_owned(),
        _ if cut_short => "until the run was cut short".to_owned(),
        _ => "all that was planned started".to_owned(),
    };
    Some(card("Dropped iterations", format_count(dropped), detail, dropped > 0.0 && !searches))
}

/// The starts of all scenarios that plan them, over the whole test.
pub(in crate::report) fn starts(test: &TestData) -> Starts {
    let open = test.document.outcome.workloads.iter().filter(|(_, workload)| workload.shape.is_open());
    open.map(|(name, _)| test.final_state(name)).fold(Starts::default(), |sum, state| Starts {
        started: sum.started + state.started,
        dropped: sum.dropped + state.dropped,
        planned_rate: None,
    })
}

/// How the iterations ended, if some were interrupted: `12 complete, 3 interrupted`.
pub(in crate::report) fn interrupted_iterations(test: &TestData) -> Option<String> {
    let (complete, interrupted) = test.ended_iterations();
    (interrupted > 0).then(|| {
        format!(
            "{} complete, {} interrupted",
            format_count(complete as f64),
            format_count(interrupted as f64)
        )
    })
}

/// One endpoint, or one measured operation.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct EndpointView {
    /// Method and route, or the operation's name.
    pub name: Long,
    /// How many.
    pub count: String,
    /// Per second.
    pub rate: String,
    /// How many failed, and their share.
    pub errors: String,
    /// Whether some did.
    pub failed: bool,
    /// p50, p90, p95, p99, max of its successes; of all if none succeeded.
    pub latency: [String; 5],
    /// Means of the phases, in the order of [`PHASES`]; empty if not HTTP.
    pub phases: Vec<String>,
}

/// The phases of an exchange and their names.
pub(in crate::report) const PHASES: [(Builtin, &str); 7] = [
    (Builtin::HttpReqBlocked, "blocked"),
    (Builtin::HttpReqLookingUp, "looking up"),
    (Builtin::HttpReqConnecting, "connecting"),
    (Builtin::HttpReqTlsHandshaking, "TLS"),
    (Builtin::HttpReqSending, "sending"),
    (Builtin::HttpReqWaiting, "waiting"),
    (Builtin::HttpReqReceiving, "receiving"),
];

/// The endpoints of a test, the most frequent first, and how many are left out.
pub(in crate::report) fn endpoints(
    test: &TestData,
    most: usize,
    columns: usize,
) -> (Vec<EndpointView>, usize) {
    type Endpoint = (String, String);
    let key = |tags: &Tags| -> Option<Endpoint> {
        Some((tags.get(tag::NAME)?.clone(), tags.get(tag::METHOD).cloned().unwrap_or_default()))
    };
    let metric = test.latency_metric();
    let parts = test.total_by(metric, |tags| Some((key(tags)?, successes(tags))));
    let operations = test.total_by(Builtin::MeasureFailed.name(), |tags| key(tags));
    let mut rows: BTreeMap<Endpoint, (Totals, Totals)> = BTreeMap::new();
    for ((endpoint, success), totals) in parts {
        let row = rows.entry(endpoint).or_default();
        if success {
            row.0.merge(&totals)
        } else {
            row.1.merge(&totals)
        };
    }
    let http = metric == Builtin::HttpReqDuration.name();
    let phases: Vec<_> = PHASES
        .iter()
        .filter(|_| http)
        .map(|(phase, _)| test.mean_by(phase.name(), |tags| key(tags)))
        .collect();
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(_, (good, bad))| std::cmp::Reverse(good.count + bad.count));
    let left_out = rows.len().saturating_sub(most);
    rows.truncate(most);
    let view = |(endpoint, (good, bad)): (Endpoint, (Totals, Totals))| {
        let count = good.count + bad.count;
        let failed =
            if http { bad.count } else { operations.get(&endpoint).map_or(0, |totals| totals.sum as u64) };
        let shown = if good.count > 0 { &good } else { &bad };
        let quantile = |q| shown.quantile(q, Unit::Millis).map_or_else(|| "–".to_owned(), format_millis);
        let (name, method) = &endpoint;
        EndpointView {
            name: Long::new(format!("{method} {name}").trim(), columns, 2_000),
            count: format_count(count as f64),
            rate: format_rate(count as f64 / test.seconds()),
            errors: match failed {
                0 => "0".to_owned(),
                n => {
                    format!("{} ({})", format_count(n as f64), format_percent(n as f64 / count.max(1) as f64))
                }
            },
            failed: failed > 0,
            latency: [quantile(0.5), quantile(0.9), quantile(0.95), quantile(0.99), format_millis(shown.max)],
            phases: phases
                .iter()
                .map(|phase| phase.get(&endpoint).map_or_else(|| "–".into(), |mean| format_millis(*mean)))
                .collect(),
        }
    };
    (rows.into_iter().map(view).collect(), left_out)
}

/// A check.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct CheckView {
    /// Group and name.
    pub name: Long,
    /// Times it held.
    pub passes: u64,
    /// Times it did not.
    pub fails: u64,
    /// The share of the former, cautiously rounded.
    pub share: String,
}

/// The checks of a test, in the order of group and name, and all of them together.
pub(in crate::report) fn checks(test: &TestData, columns: usize) -> (Vec<CheckView>, CheckView) {
    let view = |name: &str, totals: &Totals| CheckView {
        name: Long::new(name, columns, 2_000),
        passes: totals.sum as u64,
        fails: totals.count.saturating_sub(totals.sum as u64),
        share: totals.mean().map_or_else(|| "–".to_owned(), format_percent),
    };
    let parts = test.total_by(Builtin::Checks.name(), |tags| {
        let group = tags.get(tag::GROUP).cloned().unwrap_or_default();
        Some((group, tags.get(tag::CHECK)?.clone()))
    });
    let mut all = Totals::default();
    let mut rows = Vec::new();
    for ((group, check), totals) in &parts {
        all.merge(totals);
        let name = if group.is_empty() { check.clone() } else { format!("{group} › {check}") };
        rows.push(view(&name, totals));
    }
    (rows, view("all checks", &all))
}

/// A metric of the test's own, or a group.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct MetricView {
    /// Its name.
    pub name: Long,
    /// `trend`, `counter`, `gauge`, `rate`.
    pub kind: &'static str,
    /// What it adds up to, name and value.
    pub values: Vec<Pair>,
}

/// The metrics that are not built in, in the order of first use.
pub(in crate::report) fn custom_metrics(test: &TestData) -> Vec<MetricDef> {
    let own = |def: &MetricDef| Builtin::ALL.iter().all(|builtin| builtin.name() != def.name);
    test.metrics().into_iter().filter(own).collect()
}

/// The built-in metrics of protocols beside HTTP, by the protocol.
pub(in crate::report) const PROTOCOLS: [(&str, &[Builtin]); 4] = [
    (
        "WEBSOCKET",
        &[
            Builtin::WsConnecting,
            Builtin::WsSessionDuration,
            Builtin::WsPing,
            Builtin::WsSessions,
            Builtin::WsMsgsSent,
            Builtin::WsMsgsReceived,
        ],
    ),
    (
        "GRPC",
        &[
            Builtin::GrpcReqDuration,
            Builtin::GrpcStreams,
            Builtin::GrpcStreamsMsgsSent,
            Builtin::GrpcStreamsMsgsReceived,
        ],
    ),
    ("SERVER-SENT EVENTS", &[Builtin::SseTimeToFirstEvent, Builtin::SseEvent]),
    ("TCP", &[Builtin::TcpReqDuration, Builtin::TcpConnecting, Builtin::TcpSessions]),
];

/// What the metrics of those protocols add up to that were spoken.
pub(in crate::report) fn protocols(test: &TestData, columns: usize) -> Vec<MetricView> {
    let all = PROTOCOLS.iter().flat_map(|(_, metrics)| metrics.iter().map(|metric| metric.def()));
    let spoken = all.filter(|def| test.total(&def.name, |_| true).count > 0);
    spoken.map(|def| metric_view(test, &def, columns)).collect()
}

/// What they add up to.
pub(in crate::report) fn custom(test: &TestData, columns: usize) -> Vec<MetricView> {
    custom_metrics(test).iter().map(|def| metric_view(test, def, columns)).collect()
}

fn metric_view(test: &TestData, def: &MetricDef, columns: usize) -> MetricView {
    let totals = test.total(&def.name, |_| true);
    let (kind, values) = match def.kind {
        Kind::Trend => ("trend", trend_values(&totals, def.unit)),
        Kind::Counter => (
            "counter",
            vec![
                ("count".into(), format_value(totals.sum, def.unit)),
                ("rate".into(), format_rate_of(totals.sum / test.seconds(), def)),
            ],
        ),
        Kind::Gauge => (
            "gauge",
            vec![
                ("last".into(), format_value(totals.last, def.unit)),
                ("min".into(), format_value(totals.min, def.unit)),
                ("max".into(), format_value(totals.max, def.unit)),
            ],
        ),
        Kind::Rate => (
            "rate",
            vec![
                ("rate".into(), totals.mean().map_or_else(|| "–".into(), format_percent)),
                (
                    "count".into(),
                    format!("{} of {}", format_count(totals.sum), format_count(totals.count as f64)),
                ),
            ],
        ),
    };
    MetricView { name: Long::new(&def.name, columns, 2_000), kind, values }
}

/// The groups and how long they took.
pub(in crate::report) fn groups(test: &TestData, columns: usize) -> Vec<MetricView> {
    let parts = test.total_by(Builtin::GroupDuration.name(), |tags| tags.get(tag::GROUP).cloned());
    let view = |(name, totals): (&String, &Totals)| MetricView {
        name: Long::new(name, columns, 2_000),
        kind: "group",
        values: trend_values(totals, Unit::Millis),
    };
    parts.iter().filter(|(_, totals)| totals.count > 0).map(view).collect()
}

fn trend_values(totals: &Totals, unit: Unit) -> Vec<Pair> {
    let show = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format_value(value, unit));
    let mut values =
        vec![("count".to_owned(), format_count(totals.count as f64)), ("avg".into(), show(totals.mean()))];
    for (name, q) in [("med", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)] {
        values.push((name.into(), show(totals.quantile(q, unit))));
    }
    values.push(("max".into(), format_value(totals.max, unit)));
    values
}

/// How the generator and the service did.
#[derive(Debug, Clone, Serialize)]
pub(in crate::report) struct Health {
    /// Name, value, whether it is a bad sign.
    pub generator: Vec<(String, String, bool)>,
    /// The same of the service; empty if the test started none as a process.
    pub service: Vec<(String, String, bool)>,
}

/// How the generator and the service of a test did.
pub(in crate::report) fn health(test: &TestData) -> Health {
    let outcome = &test.document.outcome;
    let used = test.generator_use();
    let mut generator = Vec::new();
    let mut say = |name: &str, value: String, bad| generator.push((name.to_owned(), value, bad));
    if test.intervals.is_empty() {
        // Nothing ran, so nothing is known of how it ran.
        return Health { generator, service: Vec::new() };
    }
    let unknown = || "not known on this system".to_owned();
    say(
        "CPU of its cores",
        match (used.cpu_mean, used.cpu_max) {
            (Some(mean), Some(max)) => {
                format!("{} mean, {} at most", format_percent(mean), format_percent(max))
            }
            _ if test.seconds() < SHORTEST_CPU => "too short a load to be measured".to_owned(),
            _ => unknown(),
        },
        used.cpu_mean.is_some_and(|mean| mean > MAX_GENERATOR_CPU),
    );
    // A test that died did not say how many it had.
    if outcome.workers > 0 {
        say("worker threads", outcome.workers.to_string(), false);
    }
    say(
        "memory",
        used.rss_max.map_or_else(unknown, |rss| format!("{} at most", format_bytes(rss as f64))),
        false,
    );
    say("longest stall of a worker", format_millis(used.max_stall_ms), used.max_stall_ms > 100.0);
    say("samples lost", format_count(used.lost_samples as f64), used.lost_samples > 0);
    if let Some(steal) = used.steal_max {
        say("stolen by the hypervisor", format!("{} at most", format_percent(steal)), steal > MAX_STEAL);
    }
    if outcome.clamped_values > 0 {
        say("values that did not fit", format_count(outcome.clamped_values as f64), true);
    }
    if outcome.folded_series > 0 {
        let folded = format!("{} went to {}", format_count(outcome.folded_series as f64), tag::OTHER);
        say("tag values over the limit", folded, true);
    }
    say("setup", format_millis(outcome.setup_seconds * 1_000.0), false);
    say("load", format_millis(outcome.load_seconds * 1_000.0), false);

    let mut service = Vec::new();
    for info in &test.document.services {
        service.push(("service".to_owned(), clean::line(&info.name), false));
        service.push(("address".to_owned(), clean::line(&info.base_url), false));
        if let Some(log) = &info.log {
            service.push(("log".to_owned(), clean::line(log), false));
        }
    }
    if let Some(used) = test.service_use() {
        let cores = format!("{:.2} cores mean, {:.2} at most", used.cpu_mean, used.cpu_max);
        service.push(("CPU".to_owned(), cores, false));
        service.push(("memory".to_owned(), format!("{} at most", format_bytes(used.rss_max as f64)), false));
    }
    Health { generator, service }
}
