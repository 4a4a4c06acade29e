//! A plan for people: what the load is, what it needs, how long it takes, and a chart.
//!
//! The main function is [`write()`].

use std::io::{self, Write};

use loadtest_core::options::Shape;
use loadtest_core::plan::Shard;
use loadtest_core::units::{format_duration, format_rate};

use super::TestLoads;
use super::chart;
use super::load::{Load, Schedule};
use crate::failure::plain;

/// How many levels or starts are written out at most.
const FEW: usize = 40;
const INDENT: &str = "  ";
/// Where values begin, behind their names.
const NAME_COLUMNS: usize = 12;

/// Writes the plan of each scenario, at most `columns` wide where lines can be broken.
///
/// # Errors
/// Those of `out`.
pub(super) fn write(out: &mut impl Write, tests: &[TestLoads<'_>], columns: usize) -> io::Result<()> {
    let mut gap = "";
    for test in tests {
        for (name, load) in &test.scenarios {
            out.write_all(gap.as_bytes())?;
            gap = "\n";
            match (test.id.is_empty(), test.scenarios.len()) {
                (true, _) => {}
                (false, 1) => writeln!(out, "{}", plain(test.id))?,
                (false, _) => writeln!(out, "{}  {}", plain(test.id), plain(name))?,
            }
            out.write_all(scenario(load, columns).as_bytes())?;
        }
    }
    Ok(())
}

fn scenario(load: &Load<'_>, columns: usize) -> String {
    let shape = &load.workload.shape;
    let mut text = format!("{}\n", shape.describe());
    let mut line = |name: &str, value: &str| text.push_str(&format!("{INDENT}{name:NAME_COLUMNS$}{value}\n"));
    if load.view.shard != Shard::default() {
        let Shard { index, count } = load.view.shard;
        line("shard", &format!("{index}/{count}: the numbers below are this part's alone"));
    }
    line("VUs", &virtual_users(load));
    line("duration", &duration(load));
    if !load.workload.start_time.is_zero() {
        line("begins", &begins(load));
    }
    match (shape, load.iterations()) {
        (Shape::FindCapacity { start_rate, max_rate, time_unit, .. }, _) => {
            let unit = format_duration(*time_unit);
            line("rates", &format!("from {start_rate} up to {max_rate} starts per {unit}"));
            line("starts", "not known beforehand: each probe decides the next rate");
        }
        (_, Some(count)) if shape.is_open() => line("starts", &format!("{} expected", counted(count))),
        (_, Some(count)) => line("iterations", &format!("{} at most", counted(count))),
        (_, None) => {}
    }
    if let (Some(corners), Some(end)) =
        (load.corners(), if load.view.reserved { load.maximum() } else { load.regular() })
    {
        let open = shape.is_open();
        let show = |height: f64| if open { format_rate(height) } else { format!("{height:.0}") };
        let drawn = chart::draw(corners, end, columns.saturating_sub(INDENT.len()), show);
        if !drawn.is_empty() {
            let what = match (open, load.view.reserved) {
                (true, _) => "starts per second",
                (false, false) => "virtual users",
                (false, true) => "virtual users, with those that are held for ramping down",
            };
            text.push_str(&format!("\n{INDENT}{what}\n"));
            for line in drawn.lines() {
                text.push_str(&format!("{INDENT}{line}\n"));
            }
        }
    }
    text.push_str(&few(load, columns));
    text
}

fn virtual_users(load: &Load<'_>) -> String {
    let (allocated, most) = (load.vus_allocated(), load.vus_at_most());
    match most {
        0 => "none: the other shards have them all, and this one starts nothing".to_owned(),
        _ if load.workload.shape.is_open() && allocated < most => {
            format!("{allocated} before the start, {most} at most")
        }
        _ if load.workload.shape.is_open() => format!("{most}, all before the start"),
        _ => format!("{most} at most"),
    }
}

fn duration(load: &Load<'_>) -> String {
    let grace = format_duration(load.workload.graceful_stop);
    let (Some(regular), Some(maximum)) = (load.regular(), load.maximum()) else {
        return format!("until it is stopped, then graceful_stop {grace} at most");
    };
    let (regular, maximum) = (format_duration(regular), format_duration(maximum));
    let most = format!("{maximum} at most with graceful_stop {grace}");
    match (&load.workload.shape, load.schedule()) {
        (Shape::FindCapacity { probe_duration, .. }, Schedule::Search { probes_at_most }) => {
            let each = format_duration(*probe_duration);
            format!("{probes_at_most} probes of {each} at most: {regular} and the time between them; {most}")
        }
        (shape, _) if shape.is_timed() => format!("{regular}, {most}"),
        _ => format!("until the iterations are done; new ones for {regular}, {most}"),
    }
}

fn begins(load: &Load<'_>) -> String {
    let start = load.workload.start_time;
    let after = |time| format_duration(start.saturating_add(time));
    match (load.regular(), load.maximum()) {
        (Some(regular), Some(maximum)) => format!(
            "{} after the test; counted from there it ends at {}, at {} at the latest",
            format_duration(start),
            after(regular),
            after(maximum)
        ),
        _ => format!("{} after the test", format_duration(start)),
    }
}

/// `31,536,000`, to the last digit.
fn counted(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Every level or start, if they are few.
fn few(load: &Load<'_>, columns: usize) -> String {
    let (name, items): (_, Vec<String>) = match load.schedule() {
        Schedule::Levels(steps) => {
            let items = steps.map(|step| format!("{}:{}", format_duration(step.at), step.vus));
            (if load.view.reserved { "reserved" } else { "levels" }, items.take(FEW + 1).collect())
        }
        Schedule::Starts(starts) => ("starts at", starts.map(format_duration).take(FEW + 1).collect()),
        Schedule::Search { .. } => return String::new(),
    };
    // One level that never changes was already said.
    if items.len() > FEW || items.len() < 2 {
        return String::new();
    }
    let margin = INDENT.len() + NAME_COLUMNS;
    let mut text = format!("\n{INDENT}{name:NAME_COLUMNS$}");
    let mut used = margin;
    for (n, item) in items.iter().enumerate() {
        if n > 0 && used + 2 + item.len() > columns {
            text.push_str(&format!("\n{:margin$}", ""));
            used = margin;
        } else if n > 0 {
            text.push_str("  ");
            used += 2;
        }
        text.push_str(item);
        used += item.len();
    }
    text.push('\n');
    text
}
