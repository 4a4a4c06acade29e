//! Axes: what stands where, and which values have a label, from a run of five seconds to one of a day.
//!
//! The main types are [`Quantity`] and [`Scale`]. Nothing here draws.

use loadtest_core::units::{format_count, format_millis};

/// What the numbers on an axis stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Seconds since the start.
    Seconds,
    /// Milliseconds, linear or by powers of ten, whichever shows more.
    Latency,
    /// Milliseconds by powers of ten.
    LogLatency,
    /// The same from one round value to another.
    RoundLogLatency,
    /// A number of things.
    Count,
    /// Per second.
    Rate,
    /// 0 to 1.
    Share,
}

/// A scale: which values stand where, and which of them have a label.
pub(super) struct Scale {
    /// Whether it goes by powers of ten.
    pub log: bool,
    low: f64,
    high: f64,
    /// The values with a label, ascending.
    pub ticks: Vec<f64>,
}

impl Scale {
    /// Where a value stands, on the plotter's linear axis.
    pub(super) fn at(&self, value: f64) -> f64 {
        if self.log { value.max(self.low).log10() } else { value }
    }

    /// Where it begins and ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Where it begins and ends, on the plotter's linear axis.
    pub(super) fn range(&self) -> std::ops::Range<f64> {
        self.at(self.low)..self.at(self.high)
    }
}

/// The place of a value between two units of the picture.
pub(super) fn position(value: f64, range: &std::ops::Range<f64>, from: i32, to: i32) -> i32 {
    let length = range.end - range.start;
    let share = if length > 0.0 { ((value - range.start) / length).clamp(0.0, 1.0) } else { 0.5 };
    from + (share * f64::from(to - from)).round() as i32
}

/// The scale for values from `low` to `high`.
pub(super) fn scale(quantity: Quantity, low: f64, high: f64) -> Scale {
    let low = if low.is_finite() && low < f64::MAX { low } else { 0.0 };
    let log = match quantity {
        Quantity::LogLatency | Quantity::RoundLogLatency => true,
        // Percentiles that are far apart can't be read from a linear axis.
        Quantity::Latency => low > 0.0 && high / low > 25.0,
        _ => false,
    };
    if log {
        let low = if low > 0.0 { low } else { 0.001 };
        let ticks = log_ticks(low, high);
        if quantity == Quantity::LogLatency {
            // Along a distribution: from its smallest to its largest value.
            return Scale { log, low, high: high.max(low * 1.1), ticks };
        }
        let (low, high) = (floor_125(low), ceil_125(high.max(low * 1.1)));
        return Scale { log, low, high, ticks: log_ticks(low, high) };
    }
    match quantity {
        Quantity::Seconds => Scale { log, low, high: high.max(low + 1.0), ticks: second_ticks(low, high) },
        Quantity::Share => Scale { log, low: 0.0, high: 1.0, ticks: vec![0.0, 0.25, 0.5, 0.75, 0.9, 1.0] },
        _ => {
            let whole = quantity == Quantity::Count;
            let step = ceil_125(high / 5.0).max(if whole { 1.0 } else { 1e-6 });
            let steps = (high / step).ceil().max(1.0);
            let ticks = (0..=steps as u32).map(|n| f64::from(n) * step).collect();
            Scale { log, low: 0.0, high: steps * step, ticks }
        }
    }
}

/// An axis of ratios, by their logarithm: with 1 on it, and wide enough for `low` and `high` as far as that is
/// sensible. Its ticks are round changes in percent, or multiples where it is wide.
pub(super) fn ratio_scale(low: f64, high: f64) -> Scale {
    const WIDEST: f64 = 20.0;
    let sane = |ratio: f64| if ratio.is_nan() { 1.0 } else { ratio.clamp(1.0 / WIDEST, WIDEST) };
    // A little room, so that no marker stands on the edge.
    let (low, high) = (sane(low).min(0.99) / 1.01, sane(high).max(1.01) * 1.01);
    let within = |ticks: Vec<f64>| -> Vec<f64> {
        ticks.into_iter().filter(|tick| *tick >= low && *tick <= high).collect()
    };
    let width = (high / low).ln();
    let ticks = if high / low > 6.0 {
        within([0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0].to_vec())
    } else {
        const STEPS: [f64; 8] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5];
        let of = |step: f64| {
            let reach = (1.0 / step).round() as i32;
            within((1 - reach..=5 * reach).map(|n| 1.0 + f64::from(n) * step).collect())
        };
        // Upwards the same step takes less and less room: labels are told apart at the upper end.
        let apart = |ticks: &Vec<f64>| ticks.windows(2).all(|pair| (pair[1] / pair[0]).ln() * 9.0 >= width);
        STEPS.into_iter().map(of).find(apart).unwrap_or_else(|| within(vec![0.5, 1.0, 2.0, 4.0]))
    };
    Scale { log: true, low, high, ticks }
}

/// A linear axis around values that need not be near zero: with a little room, and round ticks.
pub(super) fn scale_around(low: f64, high: f64) -> Scale {
    let middle = (low + high) / 2.0;
    // Equal values have a place of their own too.
    let room = ((high - low) * 0.12).max(middle.abs() * 0.01).max(1e-6);
    let (low, high) = (low - room, high + room);
    let step = ceil_125((high - low) / 5.0);
    let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
    let first = if low >= -room { first.max(0) } else { first };
    let ticks: Vec<f64> = (first..=last).map(|n| n as f64 * step).collect();
    Scale { log: false, low: first as f64 * step, high: last as f64 * step, ticks }
}

/// A ratio on an axis: `+20%`, `-5%`, `±0`, or `×5` on a wide one.
pub(super) fn ratio_label(ratio: f64, scale: &Scale) -> String {
    let percent = (ratio - 1.0) * 100.0;
    if scale.high / scale.low > 6.0 {
        format!("×{}", super::trim(ratio))
    } else if percent.abs() < 1e-6 {
        "±0".to_owned()
    } else {
        format!("{}{}%", if percent > 0.0 { "+" } else { "-" }, super::trim(percent.abs()))
    }
}

/// The largest of 1, 2, 5 times a power of ten that is not above `value`.
fn floor_125(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [5.0, 2.0].into_iter().map(|n| n * power).find(|v| *v <= value * (1.0 + 1e-9)).unwrap_or(power)
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `value`.
fn ceil_125(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|n| n * power)
        .find(|v| *v >= value * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// Powers of ten within the range, with their 2 and 5 folds while these are few.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let from = low.log10().floor() as i32;
    let to = high.log10().ceil() as i32;
    for folds in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]] {
        let ticks: Vec<f64> = (from..=to)
            .flat_map(|power| folds.iter().map(move |fold| fold * 10f64.powi(power)))
            .filter(|tick| *tick >= low * (1.0 - 1e-9) && *tick <= high * (1.0 + 1e-9))
            .collect();
        if ticks.len() <= 9 {
            return ticks;
        }
    }
    (from..=to).step_by(2).map(|power| 10f64.powi(power)).filter(|t| *t >= low && *t <= high).collect()
}

/// Round times, at most about ten of them.
fn second_ticks(low: f64, high: f64) -> Vec<f64> {
    const STEPS: [f64; 16] = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0,
        14_400.0, 86_400.0,
    ];
    let length = (high - low).max(1.0);
    let step = STEPS.into_iter().find(|step| length / step <= 10.0).unwrap_or(ceil_125(length / 10.0));
    let first = (low / step).ceil() as i64;
    (first..).map(|n| n as f64 * step).take_while(|t| *t <= high.max(low + 1.0) + 1e-9).collect()
}

/// A short text for a value on an axis.
pub(super) fn tick_label(value: f64, quantity: Quantity) -> String {
    match quantity {
        Quantity::Seconds => {
            let seconds = value.round() as u64;
            match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
                (0, 0, s) => format!("{s} s"),
                (0, m, s) => format!("{m}:{s:02}"),
                (h, m, s) => format!("{h}:{m:02}:{s:02}"),
            }
        }
        Quantity::Latency | Quantity::LogLatency | Quantity::RoundLogLatency => {
            without_zeros(&format_millis(value))
        }
        Quantity::Count => short_count(value),
        Quantity::Rate => format!("{}/s", short_count(value)),
        Quantity::Share => format!("{:.0}%", value * 100.0),
    }
}

/// `50.0ms` as `50ms`, `1.50s` as `1.5s`.
fn without_zeros(text: &str) -> String {
    let unit = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number}{unit}")
}

fn short_count(value: f64) -> String {
    for (size, unit) in [(1e9, "G"), (1e6, "M"), (1e4, "k")] {
        if value >= size {
            let size = if unit == "k" { 1e3 } else { size };
            return format!("{}{unit}", super::trim(value / size));
        }
    }
    format_count(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_a_few_round_ticks_from_five_seconds_to_a_day() {
        for length in [1.0, 5.0, 9.0, 60.0, 600.0, 3_600.0, 86_400.0] {
            let ticks = second_ticks(0.0, length);
            assert!((2..=11).contains(&ticks.len()), "{length}: {ticks:?}");
        }
        assert_eq!(second_ticks(0.0, 5.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let labels =
            |ticks: &[f64]| ticks.iter().map(|t| tick_label(*t, Quantity::Seconds)).collect::<Vec<_>>();
        assert_eq!(labels(&second_ticks(0.0, 600.0))[..3], ["0 s", "1:00", "2:00"]);
        for high in [0.0, 0.3, 1.0, 7.0, 99.0, 12_345.0] {
            let scale = scale(Quantity::Rate, 0.0, high);
            assert!(scale.high >= high && (2..=7).contains(&scale.ticks.len()), "{high}: {:?}", scale.ticks);
        }
        for (low, high) in [(0.001, 0.001), (0.2, 900.0), (1.0, 3.0), (0.001, 3_600_000.0)] {
            let ticks = log_ticks(floor_125(low), ceil_125(high));
            assert!((1..=9).contains(&ticks.len()), "{low}..{high}: {ticks:?}");
        }
    }

    #[test]
    fn axes_of_ratios_have_a_few_round_ticks_with_no_change_among_them() {
        for (low, high) in [(0.99, 1.01), (0.9, 1.12), (0.6, 1.9), (0.2, 7.0), (0.0, f64::INFINITY)] {
            let scale = ratio_scale(low, high);
            assert!((3..=12).contains(&scale.ticks.len()), "{low}..{high}: {:?}", scale.ticks);
            assert!(scale.ticks.iter().any(|tick| (tick - 1.0).abs() < 1e-9), "{:?}", scale.ticks);
            assert!(scale.ticks.iter().all(|tick| *tick >= scale.low && *tick <= scale.high));
        }
        let labels = |scale: &Scale| scale.ticks.iter().map(|t| ratio_label(*t, scale)).collect::<Vec<_>>();
        assert_eq!(labels(&ratio_scale(0.91, 1.12)), ["-5%", "±0", "+5%", "+10%"]);
        assert_eq!(labels(&ratio_scale(0.5, 8.0)), ["×0.5", "×1", "×2", "×5"]);
    }

    #[test]
    fn axes_around_values_hold_them_and_do_not_go_below_zero_for_nothing() {
        for (low, high) in [(45.7, 52.1), (318.0, 318.0), (0.2, 9.0), (0.0, 0.0)] {
            let scale = scale_around(low, high);
            assert!(
                scale.low <= low && scale.high >= high && scale.low >= 0.0,
                "{low}..{high}: {:?}",
                scale.ends()
            );
            assert!((2..=9).contains(&scale.ticks.len()), "{low}..{high}: {:?}", scale.ticks);
        }
        assert!(scale_around(45.7, 52.1).low > 40.0);
    }

    #[test]
    fn ticks_are_written_without_needless_digits() {
        assert_eq!(tick_label(50.0, Quantity::Latency), "50ms");
        assert_eq!(tick_label(1_500.0, Quantity::Latency), "1.5s");
        assert_eq!(tick_label(20_000.0, Quantity::Rate), "20k/s");
        assert_eq!(tick_label(0.0, Quantity::Count), "0");
    }
}
