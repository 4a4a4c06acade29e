//! Errors by kind over time: when did it begin to fail, and with what?

use std::collections::BTreeMap;

use loadtest_core::metric::{Builtin, Tags, tag};
use loadtest_core::units::format_count;

use super::axis::Quantity;
use super::plot::{Line, MAX_LINES, Panel, Plot};
use super::{Chart, Drawing, Input, Section, Table, middle, rate_cell};
use crate::data::TestData;
use crate::report::clean;

/// The chart of errors.
pub(super) struct Errors;

impl Chart for Errors {
    fn id(&self) -> &'static str {
        "errors"
    }

    fn section(&self) -> Section {
        Section::Errors
    }

    fn draw(&self, input: &Input<'_>) -> anyhow::Result<Option<Drawing>> {
        let test = input.test;
        let kinds = kinds(test);
        if kinds.is_empty() {
            return Ok(None);
        }
        let lines = kinds.iter().enumerate().map(|(style, kind)| Line {
            label: kind.label.clone(),
            style,
            step: false,
            points: kind.rates.iter().enumerate().map(|(n, rate)| (middle(test, n), *rate)).collect(),
        });
        let last = test.intervals.last().map_or(1.0, |last| last.index as f64 + last.seconds);
        let plot = Plot {
            x_caption: "time since the start of the load",
            x: Quantity::Seconds,
            x_range: (0.0, last),
            panels: vec![Panel {
                caption: "Errors".into(),
                height: 150,
                y: Quantity::Rate,
                lines: lines.collect(),
            }],
            max_points: input.max_points,
        };
        let columns: Vec<&str> = kinds.iter().map(|kind| kind.label.as_str()).collect();
        let (size, body) = plot.draw()?;
        Ok(Some(Drawing {
            title: "Errors by kind over time".into(),
            description: format!(
                "Errors per second for each kind, {} in all; the most frequent kind is {} with {}.",
                format_count(kinds.iter().map(|kind| kind.count).sum()),
                clean::clip(&kinds[0].label, 60),
                format_count(kinds[0].count),
            ),
            size,
            body,
            legend: plot.legend(),
            table: Table::of_intervals(test, input.max_rows, &columns, |index| {
                kinds.iter().map(|kind| rate_cell(kind.rates[index])).collect()
            }),
        }))
    }
}

struct Kind {
    label: String,
    count: f64,
    rates: Vec<Option<f64>>,
}

/// Kinds of error, the most frequent first, at most as many as can be told apart.
fn kinds(test: &TestData) -> Vec<Kind> {
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut collect = |metric: Builtin, label: &dyn Fn(&Tags) -> String| {
        for (label, parts) in test.per_interval_by(metric.name(), |tags| Some(label(tags))) {
            if parts.iter().any(|part| part.sum > 0.0) {
                // The sum of a rate is how many were true.
                let counts = found.entry(label).or_insert_with(|| vec![0.0; parts.len()]);
                counts.iter_mut().zip(&parts).for_each(|(count, part)| *count += part.sum);
            }
        }
    };
    collect(Builtin::HttpReqFailed, &response);
    collect(Builtin::MeasureFailed, &|tags| match tags.get(tag::NAME) {
        Some(name) => format!("{} failed", clean::clip(&clean::line(name), 40)),
        None => "measured operation failed".to_owned(),
    });
    collect(Builtin::IterationsFailed, &|_| "iterations failed".to_owned());

    let mut kinds: Vec<Kind> = found
        .into_iter()
        .map(|(label, counts)| Kind { label, count: counts.iter().sum(), rates: test.rates(&counts) })
        .collect();
    kinds.sort_by(|a, b| b.count.total_cmp(&a.count).then_with(|| a.label.cmp(&b.label)));
    if kinds.len() > MAX_LINES {
        let rest = kinds.split_off(MAX_LINES - 1);
        let sum = |n: usize| rest.iter().map(|kind| kind.rates[n]).sum::<Option<f64>>();
        let rates = (0..test.intervals.len()).map(sum).collect();
        let count = rest.iter().map(|kind| kind.count).sum();
        kinds.push(Kind { label: format!("{} other kinds", rest.len()), count, rates });
    }
    kinds
}

/// What kind of failure a response without success is.
fn response(tags: &Tags) -> String {
    let status = tags.get(tag::STATUS).map(String::as_str).unwrap_or_default();
    let code = tags.get(tag::ERROR_CODE).map(String::as_str).unwrap_or_default();
    match code_name(code) {
        Some(name) if status.is_empty() || status == "0" => name.to_owned(),
        Some(name) => format!("HTTP {}: {name}", clean::line(status)),
        None if status.is_empty() || status == "0" => "no response".to_owned(),
        None => format!("HTTP {}", clean::line(status)),
    }
}

/// The meaning of k6's error codes, as its documentation lists them; those of statuses need none.
fn code_name(code: &str) -> Option<&'static str> {
    Some(match code.parse::<u16>().ok()? {
        1020 => "invalid URL",
        1050 => "timeout",
        1101 => "host not found",
        1110 => "address that is blocked",
        1111 => "name that is blocked",
        1100..=1199 => "DNS failure",
        1201 => "broken pipe",
        1211 => "connect timeout",
        1212 => "connection refused",
        1210 => "connect failed",
        1220 => "connection reset",
        1200..=1299 => "network error",
        1310 => "unknown certificate authority",
        1311 => "certificate for another host",
        1300..=1399 => "TLS failure",
        1600..=1699 => "HTTP/2 error",
        1700..=1799 => "decompression failed",
        1000..=1099 => "other error",
        _ => return None,
    })
}
