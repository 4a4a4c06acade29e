//! A share written with its unit, as in `10%`.
//!
//! [`Percent`] is what `--slow-by` and `--fail-rate` take. It refuses a bare number: `0.1` could be
//! meant as a tenth or as a thousandth.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The largest percentage that can be written.
const MAX: f64 = 1_000.0;

/// A percentage from 0% to 1000%.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl Percent {
    /// 0%.
    pub const ZERO: Self = Self(0.0);

    /// The percentage as a factor: 0.1 for 10%.
    #[must_use]
    pub fn fraction(self) -> f64 {
        self.0 / 100.0
    }

    /// This share of a duration.
    #[must_use]
    pub fn of(self, duration: Duration) -> Duration {
        duration.mul_f64(self.fraction())
    }

    /// Parses a percentage of requests, which ends at 100%.
    ///
    /// # Errors
    ///
    /// As [`Percent::from_str`], and above 100%.
    pub fn parse_share(text: &str) -> Result<Self, ParsePercentError> {
        let percent: Self = text.parse()?;
        if percent.0 > 100.0 {
            return Err(ParsePercentError::new(text, "is more than all requests", "write at most `100%`"));
        }
        Ok(percent)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for Percent {
    type Err = ParsePercentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let number = trimmed.strip_suffix('%').map_or(trimmed, str::trim_end);
        let value = match number.parse::<f64>() {
            Ok(value) if value.is_finite() => value,
            _ => return Err(ParsePercentError::new(text, "is not a percentage", "write it like `10%`")),
        };
        if !trimmed.ends_with('%') {
            // Only a number up to 1 can be meant as a fraction; rounded, because 0.07 * 100 is not 7.
            let hint = if value > 0.0 && value <= 1.0 {
                format!("write `{number}%`, or `{}%` if you meant a fraction", (value * 1e6).round() / 1e4)
            } else {
                format!("write `{number}%`")
            };
            return Err(ParsePercentError::new(text, "has no unit", hint));
        }
        if value < 0.0 {
            return Err(ParsePercentError::new(text, "is negative", "write `0%` for none at all"));
        }
        if value > MAX {
            let hint = format!("write at most `{MAX}%`");
            return Err(ParsePercentError::new(text, "is too large", hint));
        }
        // Without the sum, `-0%` would be shown with its sign.
        Ok(Self(value + 0.0))
    }
}

/// Why a text is not a [`Percent`], and what to type instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsePercentError {
    text: String,
    cause: &'static str,
    hint: String,
}

impl ParsePercentError {
    fn new(text: &str, cause: &'static str, hint: impl Into<String>) -> Self {
        Self { text: text.to_owned(), cause, hint: hint.into() }
    }
}

impl fmt::Display for ParsePercentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}\nhint: {}", self.text.escape_debug(), self.cause, self.hint)
    }
}

impl std::error::Error for ParsePercentError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_percentages() {
        for (text, fraction, shown) in
            [("10%", 0.1, "10%"), ("0%", 0.0, "0%"), (" 2.5 % ", 0.025, "2.5%"), ("-0%", 0.0, "0%")]
        {
            let percent: Percent = text.parse().unwrap();
            assert!((percent.fraction() - fraction).abs() < 1e-12, "{text}");
            assert_eq!(percent.to_string(), shown);
        }
        assert_eq!(
            "10%".parse::<Percent>().unwrap().of(Duration::from_millis(2)),
            Duration::from_micros(200)
        );
    }

    #[test]
    fn a_mistake_is_named_with_what_to_type_instead() {
        for (text, said) in [
            ("10", "`10` has no unit\nhint: write `10%`"),
            ("0.1", "`0.1` has no unit\nhint: write `0.1%`, or `10%` if you meant a fraction"),
            ("0.07", "`0.07` has no unit\nhint: write `0.07%`, or `7%` if you meant a fraction"),
            ("", "`` is not a percentage\nhint: write it like `10%`"),
            ("%", "`%` is not a percentage\nhint: write it like `10%`"),
            ("ten%", "`ten%` is not a percentage\nhint: write it like `10%`"),
            ("NaN%", "`NaN%` is not a percentage\nhint: write it like `10%`"),
            ("inf%", "`inf%` is not a percentage\nhint: write it like `10%`"),
            ("-5%", "`-5%` is negative\nhint: write `0%` for none at all"),
            ("1e9%", "`1e9%` is too large\nhint: write at most `1000%`"),
            ("\u{1b}[31m%", "`\\u{1b}[31m%` is not a percentage\nhint: write it like `10%`"),
        ] {
            assert_eq!(text.parse::<Percent>().unwrap_err().to_string(), said, "{text:?}");
        }
        assert_eq!(
            Percent::parse_share("101%").unwrap_err().to_string(),
            "`101%` is more than all requests\nhint: write at most `100%`"
        );
        assert!(Percent::parse_share("100%").is_ok());
    }
}
