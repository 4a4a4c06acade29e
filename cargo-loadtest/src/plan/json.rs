//! A plan as JSON, written as it is computed. Offsets are seconds with nine decimals, made of whole
//! nanoseconds: no number was ever a binary fraction.
//!
//! The main function is [`write()`].

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use super::TestLoads;
use super::load::{Load, Schedule};
use loadtest_core::options::Shape;

/// Writes one object for one scenario, or `{"tests":[…]}` for several.
///
/// # Errors
/// Those of `out`.
pub(super) fn write(out: &mut impl Write, tests: &[TestLoads<'_>]) -> io::Result<()> {
    if let [TestLoads { scenarios, .. }] = tests
        && let [(_, load)] = scenarios.as_slice()
    {
        out.write_all(b"{")?;
        schedule(out, load)?;
        write!(out, ",\"start_time\":{}", Seconds(load.workload.start_time))?;
        facts(out, load)?;
        return out.write_all(b"}\n");
    }
    out.write_all(b"{\"tests\":[")?;
    for (n, test) in tests.iter().enumerate() {
        write!(out, "{}{{\"id\":{},\"scenarios\":[", comma(n), Text(test.id))?;
        for (n, (name, load)) in test.scenarios.iter().enumerate() {
            let start_time = Seconds(load.workload.start_time);
            write!(out, "{}{{\"name\":{},\"start_time\":{start_time},", comma(n), Text(name))?;
            schedule(out, load)?;
            facts(out, load)?;
            out.write_all(b"}")?;
        }
        out.write_all(b"]}")?;
    }
    out.write_all(b"]}\n")
}

fn schedule(out: &mut impl Write, load: &Load<'_>) -> io::Result<()> {
    match load.schedule() {
        Schedule::Levels(steps) => {
            out.write_all(b"\"levels\":[")?;
            for (n, step) in steps.enumerate() {
                write!(out, "{}[{},{}]", comma(n), Seconds(step.at), step.vus)?;
            }
            out.write_all(b"]")
        }
        Schedule::Starts(starts) => {
            out.write_all(b"\"starts\":[")?;
            for (n, at) in starts.enumerate() {
                write!(out, "{}{}", comma(n), Seconds(at))?;
            }
            out.write_all(b"]")
        }
        Schedule::Search { probes_at_most } => write!(out, "\"probes_at_most\":{probes_at_most}"),
    }
}

/// What is known besides; `null` where the end is.
fn facts(out: &mut impl Write, load: &Load<'_>) -> io::Result<()> {
    let shape = &load.workload.shape;
    write!(out, ",\"executor\":{}", Text(shape.kind().spec().name))?;
    write!(out, ",\"shard\":{}", Text(&load.view.shard.to_string()))?;
    write!(out, ",\"duration_regular_seconds\":{}", OrNull(load.regular().map(Seconds)))?;
    write!(out, ",\"duration_maximum_seconds\":{}", OrNull(load.maximum().map(Seconds)))?;
    write!(out, ",\"vus_needed\":{}", load.vus_at_most())?;
    if shape.is_open() {
        write!(out, ",\"pre_allocated_vus\":{}", load.vus_allocated())?;
    }
    if let Some(iterations) = load.iterations() {
        let key = if shape.is_open() { "expected_starts" } else { "expected_iterations" };
        write!(out, ",\"{key}\":{iterations}")?;
    }
    if let Shape::FindCapacity { start_rate, max_rate, time_unit, probe_duration, .. } = shape {
        write!(out, ",\"start_rate\":{start_rate},\"max_rate\":{max_rate}")?;
        write!(out, ",\"time_unit_seconds\":{}", Seconds(*time_unit))?;
        write!(out, ",\"probe_duration_seconds\":{}", Seconds(*probe_duration))?;
    }
    Ok(())
}

fn comma(n: usize) -> &'static str {
    if n == 0 { "" } else { "," }
}

/// A duration in seconds: `0`, `23`, `3.162277660`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_nanos() {
            0 => write!(f, "{}", self.0.as_secs()),
            nanos => write!(f, "{}.{nanos:09}", self.0.as_secs()),
        }
    }
}

struct OrNull<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for OrNull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("null"),
        }
    }
}

/// A string with quotes and escapes.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        serde_json::Value::from(self.0).fmt(f)
    }
}
