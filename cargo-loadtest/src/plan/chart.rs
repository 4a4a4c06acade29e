//! A small chart of block characters for the terminal: a height over time.
//!
//! The main function is [`draw`]. Each column shows the highest value of its span of time, so that no peak is
//! lost, however short.

use std::io;
use std::time::Duration;

use loadtest_core::units::{format_duration, format_millis};

/// Columns where the output is no terminal.
const PIPED_COLUMNS: usize = 72;
/// No narrower, whatever the terminal says, and no wider than the eye follows.
const COLUMNS: std::ops::RangeInclusive<usize> = 40..=120;
const ROWS: usize = 8;
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How many columns there are on standard output.
pub(super) fn terminal_columns() -> usize {
    let columns = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    columns.unwrap_or(PIPED_COLUMNS).clamp(*COLUMNS.start(), *COLUMNS.end())
}

/// A chart of the line through `corners`, which are in the order of time, at most `columns` wide. `label`
/// writes a height for the axis. Empty if there is no height or no time to show.
pub(super) fn draw(
    corners: impl Iterator<Item = (Duration, f64)>,
    end: Duration,
    columns: usize,
    label: impl Fn(f64) -> String,
) -> String {
    // How wide the labels are decides how wide the rest may be, so the peak is looked for in fine columns.
    let fine = heights(corners, end, *COLUMNS.end() * 8);
    let peak = fine.iter().copied().fold(0.0, f64::max);
    if peak <= 0.0 || end.is_zero() {
        return String::new();
    }
    let top = label(peak);
    let margin = top.chars().count();
    let width = columns.saturating_sub(margin + 3).max(10);
    let column = |n: usize| {
        let (from, to) = (n * fine.len() / width, ((n + 1) * fine.len()).div_ceil(width));
        fine[from..to].iter().copied().fold(0.0, f64::max)
    };
    let steps: Vec<usize> = (0..width)
        .map(|n| {
            let height = column(n);
            let step = (height / peak * (ROWS * 8) as f64).round() as usize;
            // What is there is seen.
            if height > 0.0 { step.max(1) } else { 0 }
        })
        .collect();
    let mut text = String::new();
    for row in (0..ROWS).rev() {
        let label = if row == ROWS - 1 { top.as_str() } else { "" };
        let bars: String = steps.iter().map(|step| BLOCKS[step.saturating_sub(row * 8).min(8)]).collect();
        text.push_str(&format!("{label:>margin$} ┤{}\n", bars.trim_end()));
    }
    text.push_str(&format!("{:>margin$} ┼{}\n", "0", "─".repeat(width)));
    text.push_str(&format!("{:margin$}  {}\n", "", time_axis(end, width)));
    text
}

/// `0s`, the middle if there is room, and the end, at their places.
fn time_axis(end: Duration, width: usize) -> String {
    let (middle, last) = (show(end / 2), show(end));
    let (middle_columns, last_columns) = (middle.chars().count(), last.chars().count());
    let mut axis = "0s".to_owned();
    let mut used = 2;
    let at = (width / 2).saturating_sub(middle_columns / 2);
    if at >= used + 2 && at + middle_columns + 2 + last_columns <= width {
        axis.push_str(&format!("{:1$}{middle}", "", at - used));
        used = at + middle_columns;
    }
    let gap = width.saturating_sub(used + last_columns).max(1);
    axis.push_str(&format!("{:gap$}{last}", ""));
    axis
}

/// As exact as an axis needs it.
fn show(time: Duration) -> String {
    const HOUR: u64 = 3_600;
    match time.as_secs() {
        0..60 => format_millis(time.as_secs_f64() * 1_000.0),
        seconds @ 60..HOUR => format_duration(Duration::from_secs(seconds)),
        seconds => format_duration(Duration::from_secs(seconds / 60 * 60)),
    }
}

/// The highest value in each of so many equal spans of time.
fn heights(corners: impl Iterator<Item = (Duration, f64)>, end: Duration, columns: usize) -> Vec<f64> {
    let mut heights = vec![0.0f64; columns];
    let total = end.as_nanos();
    let mut previous: Option<(u128, f64)> = None;
    for (at, height) in corners {
        let at = at.as_nanos().min(total);
        let Some((from, before)) = previous.replace((at, height)).filter(|(from, _)| *from < at) else {
            continue;
        };
        let slope = (height - before) / (at - from) as f64;
        let line = |time: u128| before + slope * (time - from) as f64;
        let first = from * columns as u128 / total;
        // The span's end is the next one's begin.
        let last = (at * columns as u128).div_ceil(total) - 1;
        for n in first..=last.min(columns as u128 - 1) {
            let (begin, until) = (n * total / columns as u128, (n + 1) * total / columns as u128);
            let highest = line(begin.max(from)).max(line(until.min(at)));
            let slot = &mut heights[n as usize];
            *slot = slot.max(highest);
        }
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_ramp_rises_and_every_line_fits() {
        let corners = [(Duration::ZERO, 0.0), (SECOND * 10, 100.0), (SECOND * 20, 100.0)];
        let chart = draw(corners.into_iter(), SECOND * 20, 40, |vus| format!("{vus:.0}"));
        let lines: Vec<&str> = chart.lines().collect();
        assert_eq!(lines.len(), ROWS + 2, "{chart}");
        assert!(lines.iter().all(|line| line.chars().count() <= 40), "{chart}");
        assert!(lines[0].starts_with("100 ┤") && lines[0].ends_with(&"█".repeat(17)), "{chart}");
        assert_eq!(lines[ROWS], format!("  0 ┼{}", "─".repeat(34)));
        assert!(lines[ROWS + 1].starts_with("     0s") && lines[ROWS + 1].ends_with(" 20.0s"), "{chart}");
        assert!(lines[ROWS + 1].contains(" 10.0s "), "{chart}");
    }

    #[test]
    fn a_short_peak_is_seen_and_a_jump_takes_no_time() {
        let millisecond = Duration::from_millis(1);
        let corners = [
            (Duration::ZERO, 1.0),
            (SECOND * 50, 1.0),
            (SECOND * 50, 80.0),
            (SECOND * 50 + millisecond, 80.0),
            (SECOND * 50 + millisecond, 1.0),
            (SECOND * 100, 1.0),
        ];
        let chart = draw(corners.into_iter(), SECOND * 100, 60, |vus| format!("{vus:.0}"));
        let top = chart.lines().next().expect("a line");
        assert_eq!(top.matches('█').count(), 1, "{chart}");
        assert!(chart.lines().nth(ROWS - 1).is_some_and(|line| line.matches('▁').count() > 50), "{chart}");
    }

    #[test]
    fn nothing_to_show_is_no_chart() {
        assert_eq!(draw(std::iter::empty(), SECOND, 72, |_| String::new()), "");
        let flat = [(Duration::ZERO, 0.0), (SECOND, 0.0)];
        assert_eq!(draw(flat.into_iter(), SECOND, 72, |_| String::new()), "");
        let jump = [(Duration::ZERO, 5.0)];
        assert_eq!(draw(jump.into_iter(), Duration::ZERO, 72, |_| String::new()), "");
    }

    #[test]
    fn the_longest_time_does_not_overflow() {
        let corners = [(Duration::ZERO, 1.0), (Duration::MAX, 2.0)];
        assert!(!draw(corners.into_iter(), Duration::MAX, 72, |vus| format!("{vus:.0}")).is_empty());
    }
}
