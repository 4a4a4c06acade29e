//! How the settings of comparisons are written and shown: numbers of runs, shares, metrics.
//!
//! What is shown is read again as the same value. Documents hold the text of [`Runs`] and [`GateMetric`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{GateMetric, MOST_RUNS, Runs};
use crate::options::keys::list;
use crate::units::parse_duration;
use crate::{Error, suggest};

/// Shares are kept to a billionth, so that what is shown is read again as the same number.
const BILLION: f64 = 1e9;

/// The smallest and the largest effect that can be asked for: nobody measures a thousandth, and a ratio beyond
/// eleven is no question of statistics.
const EFFECTS: (f64, f64) = (0.001, 10.0);

/// The largest share of false alarms: at a half, a verdict is a coin.
const MOST_ALPHA: f64 = 0.5;

/// Documents hold the text of these.
macro_rules! stored_as_text {
    ($($value:ty),*) => { $(
        impl Serialize for $value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|error: Error| D::Error::custom(error.message()))
            }
        }
    )* };
}

stored_as_text!(Runs, GateMetric);

impl FromStr for Runs {
    type Err = Error;

    /// Reads `auto`, or a whole number from 1 to [`MOST_RUNS`].
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let hint = format!("write `auto`, or a whole number from 1 to {MOST_RUNS}");
        match text.parse::<u32>() {
            Ok(0) => Err(Error::new("0 runs compare nothing").hint(hint)),
            Ok(runs) if runs <= MOST_RUNS => Ok(Self::Exactly(runs)),
            Ok(runs) => Err(Error::new(format!("{runs} runs are too many")).hint(hint)),
            Err(_) => Err(Error::new(format!("`{text}` is not a number of runs")).hint(hint)),
        }
    }
}

impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Exactly(runs) => runs.fmt(f),
        }
    }
}

impl GateMetric {
    /// Every metric that can decide, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Errors,
        Self::FailedIterations,
        Self::P50,
        Self::P95,
        Self::P99,
        Self::Mean,
        Self::EndpointP95,
        Self::Throughput,
        Self::Dropped,
    ];

    /// What it is called where it is written: `endpoint_p95`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::FailedIterations => "failed_iterations",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Mean => "mean",
            Self::EndpointP95 => "endpoint_p95",
            Self::Throughput => "throughput",
            Self::Dropped => "dropped",
        }
    }

    /// What comparisons call it: `endpoint p95`.
    pub fn shown(self) -> &'static str {
        match self {
            Self::FailedIterations => "failed iterations",
            Self::EndpointP95 => "endpoint p95",
            Self::Dropped => "dropped iterations",
            other => other.as_str(),
        }
    }
}

impl FromStr for GateMetric {
    type Err = Error;

    /// Reads what [`GateMetric::as_str`] and [`GateMetric::shown`] say, with `-` or spaces for `_`, and `p(95)` for
    /// `p95`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let plain = text.trim().replace([' ', '-'], "_").replace(['(', ')'], "");
        let is_it = |metric: &Self| plain == metric.as_str() || plain == metric.shown().replace(' ', "_");
        let names = Self::ALL.map(Self::as_str);
        Self::ALL.into_iter().find(is_it).ok_or_else(|| match plain.as_str() {
            "" => Error::new("the metric is empty").hint(suggest::hint("", names)),
            other => {
                let error = Error::new(format!("no metric `{}` decides about a comparison", text.trim()));
                error.hint(suggest::hint(other, names))
            }
        })
    }
}

impl fmt::Display for GateMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The metrics of `gate`, each once.
pub(in crate::options) fn gates(text: &str) -> Result<Vec<GateMetric>, Error> {
    let mut gates: Vec<GateMetric> = Vec::new();
    for gate in list(text, str::parse)? {
        if !gates.contains(&gate) {
            gates.push(gate);
        }
    }
    Ok(gates)
}

/// A time that is not zero.
pub(in crate::options) fn lasting(text: &str) -> Result<Duration, Error> {
    match parse_duration(text)? {
        Duration::ZERO => {
            Err(Error::new("no load fits into no time").hint("give it a time, for example `10s`"))
        }
        duration => Ok(duration),
    }
}

/// A size of effect as a fraction, from `5%` or `0.05`.
pub(in crate::options) fn share(text: &str) -> Result<f64, Error> {
    let value = fraction(text)?;
    if (EFFECTS.0..=EFFECTS.1).contains(&value) {
        return Ok(value);
    }
    let size = if value < EFFECTS.0 { "small" } else { "large" };
    Err(Error::new(format!("`{}` is too {size}", text.trim())).hint(format!(
        "write {} to {}, for example `5%`",
        shown_share(&EFFECTS.0),
        shown_share(&EFFECTS.1)
    )))
}

/// A share of false alarms as a fraction, from `5%` or `0.05`.
pub(in crate::options) fn significance(text: &str) -> Result<f64, Error> {
    let value = fraction(text)?;
    if value > 0.0 && value <= MOST_ALPHA {
        return Ok(value);
    }
    let size = if value > MOST_ALPHA { "large" } else { "small" };
    Err(Error::new(format!("`{}` is too {size}", text.trim()))
        .hint(format!("write more than 0 and at most {}, for example `5%`", shown_share(&MOST_ALPHA))))
}

/// `0.05` as `5%`.
pub(in crate::options) fn shown_share(value: &f64) -> String {
    format!("{}%", (value * BILLION).round() / (BILLION / 100.0))
}

/// A fraction, from a number with `%` or one below 1 without. From 1 on a number alone is not taken: `5` is meant
/// as 5 %, and is 500 %.
fn fraction(text: &str) -> Result<f64, Error> {
    let text = text.trim();
    let percent = text.strip_suffix('%');
    let digits = percent.unwrap_or(text).trim();
    let number: Option<f64> = digits.parse().ok().filter(|number: &f64| number.is_finite());
    // Numbers have signs, exponents and names of infinity besides.
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match number.filter(|_| plain) {
        Some(number) if percent.is_some() => Ok((number * (BILLION / 100.0)).round() / BILLION),
        Some(number) if number < 1.0 => Ok((number * BILLION).round() / BILLION),
        Some(_) => {
            Err(Error::new(format!("`{text}` has no `%`")).hint(format!("write `{digits}%` for {digits} %")))
        }
        None => Err(Error::new(format!("`{text}` is not a share")).hint("write for example `5%` or `0.05`")),
    }
}
