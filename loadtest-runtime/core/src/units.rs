//! Durations, rates, bytes and shares: how they are written, and how they are shown to people.
//!
//! There is no main type: durations are [`Duration`]. What is parsed here is parsed nowhere else, so the
//! attribute, the configuration and the command line agree on every text. Nothing here rounds what a
//! program reads back: [`format_duration`] is exact, the other `format_…` functions are for eyes only.

use std::time::Duration;

use crate::Error;
use crate::metric::Unit;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The longest duration that can be written, 2⁶³ − 1 ns (292 years), as in Go.
const MAX_NANOS: u128 = i64::MAX as u128;

/// Units by their nanoseconds, from the largest to the smallest.
const DURATION_UNITS: &[(&str, u128)] = &[
    ("d", 86_400 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// What people write for the units above.
const DURATION_ALIASES: &[(&str, &[&str])] = &[
    ("d", &["day", "days", "D"]),
    ("h", &["hr", "hrs", "hour", "hours", "H"]),
    ("m", &["min", "mins", "minute", "minutes", "M"]),
    ("s", &["sec", "secs", "second", "seconds", "S"]),
    ("ms", &["msec", "msecs", "milli", "millis", "millisecond", "milliseconds", "MS", "Ms"]),
    ("us", &["usec", "usecs", "micros", "microsecond", "microseconds"]),
    ("ns", &["nsec", "nanos", "nanosecond", "nanoseconds"]),
];

/// Reads a duration as k6 and Go write it: `1m30s`, `500ms`, `1.5h`, `2d`, `250us`, `0`.
///
/// Units are `d`, `h`, `m`, `s`, `ms`, `us` (or `µs`) and `ns`, each at most once, the largest first. What
/// is below a nanosecond is rounded to the nearest.
///
/// # Errors
/// If a unit is missing, unknown, repeated or out of order, if there is no number, a sign, or more than
/// 292 years.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use loadtest_core::units::parse_duration;
///
/// assert_eq!(parse_duration("1m30s")?, Duration::from_secs(90));
/// assert!(parse_duration("10").is_err());
/// # Ok::<(), loadtest_core::Error>(())
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(Error::new("the duration is empty").hint("write a number and a unit, for example `30s`"));
    }
    if let Some(rest) = text.strip_prefix('-') {
        return Err(Error::new(format!("the duration `{text}` is negative"))
            .hint(format!("durations count forward: write `{rest}`")));
    }
    if let Some(rest) = text.strip_prefix('+') {
        return Err(Error::new(format!("the duration `{text}` has a sign")).hint(format!("write `{rest}`")));
    }

    let mut total: u128 = 0;
    let mut previous: Option<usize> = None;
    let mut misplaced: Option<String> = None;
    let mut rest = text;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let (whole, fraction) = parse_decimal(number).ok_or_else(|| {
            Error::new(format!("the duration `{text}` has no number where `{rest}` begins"))
                .hint("write a number and a unit, for example `1m30s`")
        })?;
        let index = duration_unit(text, number, unit)?;
        let nanos = DURATION_UNITS[index].1;
        total = whole
            .checked_mul(nanos)
            .and_then(|n| n.checked_add(scale_fraction(fraction, nanos)))
            .and_then(|n| n.checked_add(total))
            .filter(|n| *n <= MAX_NANOS)
            .ok_or_else(|| {
                Error::new(format!("the duration `{text}` is too long"))
                    .hint("the longest is 292 years, `106751d`")
            })?;
        if let Some(previous) = previous
            && misplaced.is_none()
            && index <= previous
        {
            let (unit, before) = (DURATION_UNITS[index].0, DURATION_UNITS[previous].0);
            misplaced = Some(if unit == before {
                format!("the duration `{text}` has the unit `{unit}` twice")
            } else {
                format!("the duration `{text}` has `{unit}` after `{before}`")
            });
        }
        previous = Some(index);
        rest = next;
    }
    let duration = nanos_to_duration(total);
    match misplaced {
        Some(message) => Err(Error::new(message)
            .hint(format!("each unit once, the largest first: write `{}`", format_duration(duration)))),
        None => Ok(duration),
    }
}

/// The row of a unit, or what to write instead.
fn duration_unit(text: &str, number: &str, unit: &str) -> Result<usize, Error> {
    if unit.is_empty() {
        let hint = if number == text {
            format!("a unit is missing: write `{number}s` for seconds or `{number}ms` for milliseconds")
        } else {
            format!("a unit is missing after `{number}`: write for example `1m30s`")
        };
        return Err(Error::new(format!("the duration `{text}` has a number without a unit")).hint(hint));
    }
    // Both the micro sign and the Greek letter are in use.
    let plain = if matches!(unit, "µs" | "μs") { "us" } else { unit };
    if let Some(index) = DURATION_UNITS.iter().position(|(name, _)| *name == plain) {
        return Ok(index);
    }
    let word = unit.trim();
    let meant = DURATION_ALIASES.iter().find(|(name, aliases)| *name == word || aliases.contains(&word));
    let hint = match meant {
        Some((name, _)) => format!("write `{number}{name}`"),
        None => "units are `d`, `h`, `m`, `s`, `ms`, `us` and `ns`, for example `1m30s`".to_owned(),
    };
    Err(Error::new(format!("the duration `{text}` has the unknown unit `{unit}`")).hint(hint))
}

/// Whole part and fraction, the latter as digits; `None` if it is not a decimal number.
fn parse_decimal(number: &str) -> Option<(u128, &str)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    // Anything that does not fit is far beyond the longest duration: the caller's limit refuses it.
    let whole = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(u128::MAX) };
    Some((whole, fraction))
}

/// `0.fraction × nanos`, rounded to the nearest nanosecond.
fn scale_fraction(fraction: &str, nanos: u128) -> u128 {
    // Eighteen digits resolve less than a nanosecond of a day.
    let digits = &fraction[..fraction.len().min(18)];
    let Ok(value) = digits.parse::<u128>() else { return 0 };
    let divisor = 10u128.pow(digits.len() as u32);
    (value * nanos + divisor / 2) / divisor
}

/// A duration of that many nanoseconds; the longest there is if it does not fit.
pub(crate) fn nanos_to_duration(nanos: u128) -> Duration {
    match u64::try_from(nanos / NANOS_PER_SECOND) {
        Ok(seconds) => Duration::new(seconds, (nanos % NANOS_PER_SECOND) as u32),
        Err(_) => Duration::MAX,
    }
}

/// Writes a duration in the one way that [`parse_duration`] reads back as the same, to the nanosecond:
/// `0s`, `250us`, `1.5ms`, `90s` as `1m30s`, `1d12h`.
pub fn format_duration(duration: Duration) -> String {
    let (mut seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanos}ns"),
            1_000..1_000_000 => format!("{}us", with_fraction(nanos / 1_000, nanos % 1_000, 3)),
            _ => format!("{}ms", with_fraction(nanos / 1_000_000, nanos % 1_000_000, 6)),
        };
    }
    let mut text = String::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if seconds >= length {
            text.push_str(&format!("{}{unit}", seconds / length));
            seconds %= length;
        }
    }
    if seconds > 0 || nanos > 0 {
        text.push_str(&with_fraction(seconds as u32, nanos, 9));
        text.push('s');
    }
    text
}

/// `whole.fraction` where the fraction has `width` digits, without zeros at the end.
fn with_fraction(whole: u32, fraction: u32, width: usize) -> String {
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// What stands where there is no number to show.
const NOT_A_NUMBER: &str = "n/a";

/// Shows a latency in milliseconds to people, with three significant digits: `812µs`, `4.21ms`, `1.32s`,
/// `2m05s`.
pub fn format_millis(millis: f64) -> String {
    if !millis.is_finite() {
        return NOT_A_NUMBER.to_owned();
    }
    if millis < 0.0 {
        return format!("-{}", format_millis(-millis));
    }
    if millis == 0.0 {
        return "0s".to_owned();
    }
    // 59.95 s is where three digits round up to a minute.
    if millis >= 59_950.0 {
        let seconds = (millis / 1_000.0).round() as u64;
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        return if hours > 0 {
            format!("{hours}h{minutes:02}m{seconds:02}s")
        } else {
            format!("{minutes}m{seconds:02}s")
        };
    }
    if millis >= 999.5 {
        format!("{}s", three_digits(millis / 1_000.0))
    } else if millis >= 0.9995 {
        format!("{}ms", three_digits(millis))
    } else {
        format!("{}µs", three_digits(millis * 1_000.0))
    }
}

/// Three significant digits of a number below 1,000, at most two decimals.
fn three_digits(value: f64) -> String {
    if value >= 99.95 {
        format!("{value:.0}")
    } else if value >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Shows bytes to people in decimal units, as k6 does: `812 B`, `1.2 kB`, `34 MB`.
pub fn format_bytes(bytes: f64) -> String {
    if !bytes.is_finite() {
        return NOT_A_NUMBER.to_owned();
    }
    if bytes < 0.0 {
        return format!("-{}", format_bytes(-bytes));
    }
    let mut value = bytes;
    let mut unit = "B";
    for larger in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if value < 999.5 {
            break;
        }
        value /= 1_000.0;
        unit = larger;
    }
    if unit == "B" || value >= 9.95 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// Shows a plain number to people: `1,234,567`, `12.5`, `0.003`.
pub fn format_count(value: f64) -> String {
    if !value.is_finite() {
        return NOT_A_NUMBER.to_owned();
    }
    let size = value.abs();
    if size >= 1e15 {
        return format!("{value:.3e}");
    }
    if size > 0.0 && size < 0.000_5 {
        return format!("{value:.2e}");
    }
    let digits = if size < 10.0 {
        format!("{size:.3}")
    } else if size < 100_000.0 {
        format!("{size:.2}")
    } else {
        format!("{size:.0}")
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// Shows a rate per second to people: `0.33/s`, `12.5/s`, `1234/s`.
pub fn format_rate(per_second: f64) -> String {
    if !per_second.is_finite() {
        return NOT_A_NUMBER.to_owned();
    }
    let size = per_second.abs();
    if size == 0.0 {
        "0/s".to_owned()
    } else if size < 0.000_01 {
        format!("{per_second:.1e}/s")
    } else if size < 0.01 {
        format!("{per_second:.5}/s")
    } else if per_second < 0.0 {
        format!("-{}/s", three_digits(size))
    } else {
        format!("{}/s", three_digits(size))
    }
}

/// Shows a share of 0 to 1 to people: `5.00%`. What is not quite nothing or not quite all does not look
/// as if it were: `<0.01%`, `>99.99%`.
pub fn format_percent(share: f64) -> String {
    if !share.is_finite() {
        return NOT_A_NUMBER.to_owned();
    }
    if share > 0.0 && share < 0.000_05 {
        "<0.01%".to_owned()
    } else if (0.999_95..1.0).contains(&share) {
        ">99.99%".to_owned()
    } else {
        format!("{:.2}%", share * 100.0)
    }
}

/// Shows a value of a metric to people, by the metric's unit.
pub fn format_value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::None => format_count(value),
        Unit::Millis => format_millis(value),
        Unit::Bytes => format_bytes(value),
    }
}

/// For `#[serde(with = "…")]`: a duration as its text.
pub mod serde_duration {
    use std::fmt;
    use std::time::Duration;

    use serde::de::{self, Deserializer, Visitor};
    use serde::ser::Serializer;

    /// Writes it as [`format_duration`](super::format_duration) does.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_duration(*duration))
    }

    /// Reads it as [`parse_duration`](super::parse_duration) does.
    ///
    /// # Errors
    /// If it is not text, or not a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_str(DurationVisitor)
    }

    struct DurationVisitor;

    impl Visitor<'_> for DurationVisitor {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as \"1m30s\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            super::parse_duration(text).map_err(E::custom)
        }
    }
}

/// For `#[serde(with = "…")]`: an optional duration as its text.
pub mod serde_duration_opt {
    use std::time::Duration;

    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;

    #[derive(serde::Deserialize)]
    struct Text(#[serde(with = "super::serde_duration")] Duration);

    /// Writes it as text, or nothing.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_some(&super::format_duration(*duration)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads text, or nothing.
    ///
    /// # Errors
    /// If it is neither text nor nothing, or not a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
    }
}

#[cfg(test)]
mod tests;
