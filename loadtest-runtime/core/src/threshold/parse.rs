//! The grammar of thresholds, by hand: each error says where it is and what to write instead, which a
//! generated parser would not. It knows no metrics.

use std::time::Duration;

use super::{Aggregation, Glob, LimitUnit, Op, TagMatcher, Threshold};
use crate::units::parse_duration;
use crate::{Error, suggest};

/// A whole threshold.
pub(super) fn parse(text: &str) -> Result<Threshold, Error> {
    let source = text.trim();
    if source.is_empty() {
        return Err(Error::new("the threshold is empty").hint(EXAMPLE));
    }
    let mut cursor = Cursor { rest: source };
    cursor.threshold(source).map_err(|error| error.context(format!("threshold `{source}`")))
}

const EXAMPLE: &str = "write for example `http_req_duration: p(95)<500ms`";

/// Units of limits, and what they are worth in the metric's base unit: a factor, and a power of ten.
const LIMIT_UNITS: &[(&str, LimitUnit, f64, i32)] = &[
    ("ns", LimitUnit::Time, 1.0, -6),
    ("us", LimitUnit::Time, 1.0, -3),
    ("µs", LimitUnit::Time, 1.0, -3),
    ("μs", LimitUnit::Time, 1.0, -3),
    ("ms", LimitUnit::Time, 1.0, 0),
    ("s", LimitUnit::Time, 1.0, 3),
    ("m", LimitUnit::Time, 60.0, 3),
    ("h", LimitUnit::Time, 3_600.0, 3),
    ("B", LimitUnit::Bytes, 1.0, 0),
    ("kB", LimitUnit::Bytes, 1.0, 3),
    ("MB", LimitUnit::Bytes, 1.0, 6),
    ("GB", LimitUnit::Bytes, 1.0, 9),
    ("%", LimitUnit::Percent, 1.0, -2),
];

/// What is left to read.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn threshold(&mut self, source: &str) -> Result<Threshold, Error> {
        let metric = self.metric()?;
        let selector = if self.take("{") { self.selector()? } else { Vec::new() };
        self.skip_space();
        if !self.take(":") {
            return Err(self.missing_colon(metric, source));
        }
        let aggregation = self.aggregation()?;
        let op = self.op()?;
        let (value, unit) = self.limit()?;
        let abort = self.abort()?;
        Ok(Threshold {
            source: source.to_owned(),
            metric: metric.to_owned(),
            selector,
            aggregation,
            op,
            value,
            unit,
            abort,
        })
    }

    fn metric(&mut self) -> Result<&'a str, Error> {
        let metric = self.take_while(is_name);
        if metric.is_empty() {
            return Err(Error::new(format!("a metric's name is expected at {}", self.place())).hint(EXAMPLE));
        }
        self.skip_space();
        Ok(metric)
    }

    /// Where a `:` was expected: mostly the metric itself was forgotten.
    fn missing_colon(&self, metric: &str, source: &str) -> Error {
        let name = source.split(['<', '>', '=', '!']).next().unwrap_or_default().trim();
        let meant = match name.parse::<Aggregation>() {
            Ok(aggregation) => Some(aggregation.to_string()),
            // `p95` is unknown, with a hint that names `p(95)`.
            Err(error) => error
                .hint_text()
                .filter(|_| name.starts_with('p') && name[1..].starts_with(|c: char| c.is_ascii_digit()))
                .and_then(|hint| hint.split('`').nth(1))
                .map(str::to_owned),
        };
        if let Some(aggregation) = meant {
            let condition = source[source.find(name).unwrap_or(0) + name.len()..].trim();
            let bare = condition.chars().all(|c| c.is_ascii_digit() || matches!(c, '<' | '>' | '=' | '.'));
            let unit =
                if bare && !matches!(aggregation.as_str(), "count" | "rate" | "value") { "ms" } else { "" };
            return Error::new(format!("no metric is named before `{name}`")).hint(format!(
                "did you mean `{aggregation}{condition}{unit}` of a metric? write it first, for example \
                 `http_req_duration: {aggregation}{condition}{unit}`"
            ));
        }
        Error::new(format!("a `:` is missing after the metric `{metric}`, at {}", self.place())).hint(EXAMPLE)
    }

    /// What stands between braces, after the opening one.
    fn selector(&mut self) -> Result<Vec<TagMatcher>, Error> {
        let mut matchers = Vec::new();
        loop {
            self.skip_space();
            if self.take("}") {
                return Ok(matchers);
            }
            if self.rest.is_empty() {
                return Err(unclosed());
            }
            let negated = self.take("!");
            self.skip_space();
            let tag = self.take_while(is_name);
            if tag.is_empty() {
                return Err(Error::new(format!("a tag's name is expected at {}", self.place()))
                    .hint("write tags as `{status:200,name:\"GET /\"}`"));
            }
            self.skip_space();
            if !self.take(":") {
                let hint = format!("write `{tag}:VALUE`; `{tag}:*` for any value");
                return Err(Error::new(format!(
                    "a `:` is missing after the tag `{tag}`, at {}",
                    self.place()
                ))
                .hint(hint));
            }
            self.skip_space();
            let pattern = if self.take("\"") { self.quoted()? } else { self.unquoted()? };
            matchers.push(TagMatcher { tag: tag.to_owned(), pattern, negated });
            self.skip_space();
            if !self.take(",") && !self.rest.starts_with('}') {
                if self.rest.is_empty() {
                    return Err(unclosed());
                }
                return Err(Error::new(format!("a `,` or `}}` is expected at {}", self.place()))
                    .hint("separate tags by commas: `{status:200,method:GET}`"));
            }
        }
    }

    /// Up to a comma or a brace; stars are globs.
    fn unquoted(&mut self) -> Result<Glob, Error> {
        let value = self.take_while(|c| !matches!(c, ',' | '{' | '}' | '"')).trim_end();
        if self.rest.starts_with(['{', '"']) {
            return Err(Error::new(format!("a tag's value can't contain {} unquoted", self.place()))
                .hint("quote it: `name:\"GET /seats/{id}\"`"));
        }
        Ok(Glob::from_pieces(value.split('*').map(str::to_owned).collect()))
    }

    /// Up to the closing quote; stars are globs here too, `\*`, `\"` and `\\` are themselves.
    fn quoted(&mut self) -> Result<Glob, Error> {
        let mut pieces = Vec::new();
        let mut piece = String::new();
        let start = self.rest;
        let mut chars = start.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &start[at + 1..];
                    pieces.push(piece);
                    return Ok(Glob::from_pieces(pieces));
                }
                '*' => pieces.push(std::mem::take(&mut piece)),
                '\\' => match chars.next() {
                    Some((_, escaped @ ('"' | '\\' | '*'))) => piece.push(escaped),
                    Some((_, other)) => {
                        return Err(Error::new(format!("unknown escape `\\{other}` in a tag's value"))
                            .hint("only `\\\"`, `\\\\` and `\\*` are escapes"));
                    }
                    None => break,
                },
                _ => piece.push(c),
            }
        }
        Err(Error::new(format!("the quote before `{start}` is never closed")).hint("add a `\"`"))
    }

    fn aggregation(&mut self) -> Result<Aggregation, Error> {
        self.skip_space();
        let end = self.rest.find(['<', '>', '=', '!']).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        if text.trim().is_empty() {
            return Err(Error::new(format!("an aggregation is expected at {}", self.place())).hint(EXAMPLE));
        }
        // Without an operator the rest is one text: what looks like an aggregation in front is not to blame.
        let name_end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        if rest.is_empty() {
            let operator_missing = Error::new(format!("an operator is missing in `{}`", text.trim()))
                .hint(format!("compare with one of {}", operators()));
            let known = |name: &str| super::AGGREGATIONS.iter().any(|row| row.name == name);
            if known(&text[..name_end]) {
                return Err(operator_missing);
            }
        }
        let aggregation = text.parse()?;
        self.rest = rest;
        Ok(aggregation)
    }

    fn op(&mut self) -> Result<Op, Error> {
        let symbol = self.take_while(|c| matches!(c, '<' | '>' | '=' | '!'));
        if let Some(op) = Op::ALL.into_iter().find(|op| op.symbol() == symbol) {
            return Ok(op);
        }
        let hint = match symbol {
            "=" | "===" => "did you mean `==`?".to_owned(),
            "=<" | "<==" => "did you mean `<=`?".to_owned(),
            "=>" | ">==" => "did you mean `>=`?".to_owned(),
            "<>" | "!" | "!==" | "=!" => "did you mean `!=`?".to_owned(),
            _ => format!("operators are {}", operators()),
        };
        Err(Error::new(format!("unknown operator `{symbol}`")).hint(hint))
    }

    /// A number and its unit, or a duration such as `1m30s`.
    fn limit(&mut self) -> Result<(f64, LimitUnit), Error> {
        self.skip_space();
        let word_end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        let word = &self.rest[..word_end];
        if word.is_empty() {
            return Err(
                Error::new("the limit is missing").hint("write a number and its unit, for example `500ms`")
            );
        }
        let number_end = number_length(word);
        let (number, unit) = word.split_at(number_end);
        if number.parse::<f64>().is_err() {
            return Err(Error::new(format!("a number is expected at {}", self.place()))
                .hint("write the limit as for example `500ms`, `1%` or `0.01`"));
        }
        self.rest = &self.rest[word_end..];
        let unit = if unit.is_empty() { self.spaced_unit() } else { unit };
        let known = LIMIT_UNITS.iter().find(|(name, ..)| *name == unit);
        let (value, kind) = match known {
            _ if unit.is_empty() => (scaled(number, 1.0, 0), LimitUnit::Plain),
            Some((_, kind, factor, power)) => (scaled(number, *factor, *power), *kind),
            // Several units, or days.
            None => match parse_duration(word) {
                Ok(duration) => (duration.as_nanos() as f64 / 1e6, LimitUnit::Time),
                Err(_) => return Err(unknown_unit(word, number, unit)),
            },
        };
        if value.is_finite() {
            Ok((value, kind))
        } else {
            Err(Error::new(format!("the number `{word}` is too large")).hint(EXAMPLE))
        }
    }

    /// The unit of a number that is followed by a space, if the next word is one; else nothing.
    fn spaced_unit(&mut self) -> &'a str {
        let next = self.rest.trim_start();
        let (word, after) = next.split_at(next.find(char::is_whitespace).unwrap_or(next.len()));
        if LIMIT_UNITS.iter().any(|(name, ..)| *name == word) {
            self.rest = after;
            word
        } else {
            ""
        }
    }

    /// `abort`, `abort after 10s`, or nothing.
    fn abort(&mut self) -> Result<Option<Duration>, Error> {
        let tail = self.rest.trim();
        let mut words = tail.split_whitespace();
        match (words.next(), words.next(), words.next(), words.next()) {
            (None, ..) => Ok(None),
            (Some("abort"), None, ..) => Ok(Some(Duration::ZERO)),
            (Some("abort"), Some("after"), Some(delay), None) => parse_duration(delay).map(Some),
            (Some("abort"), ..) => {
                Err(Error::new(format!("`{tail}` is not understood"))
                    .hint("write `abort`, or `abort after 10s`"))
            }
            (Some(word), ..) => {
                let hint = match suggest::nearest(word, ["abort"]) {
                    Some(_) => "did you mean `abort`?",
                    None if matches!(word, "&&" | "and" | "||" | "or" | ",") => {
                        "a threshold has one condition: write each as a threshold of its own"
                    }
                    None => "after the limit there may only be `abort` or `abort after 10s`",
                };
                Err(Error::new(format!("`{tail}` is left over after the limit")).hint(hint))
            }
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !accept(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// The next few characters, for an error.
    fn place(&self) -> String {
        if self.rest.is_empty() {
            return "the end".to_owned();
        }
        let mut text: String = self.rest.chars().take(20).collect();
        if text.len() < self.rest.len() {
            text.push('…');
        }
        format!("`{text}`")
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-')
}

fn unclosed() -> Error {
    Error::new("the tags are never closed").hint("add a `}` after the last tag")
}

fn operators() -> String {
    Op::ALL.map(|op| format!("`{op}`")).join(", ")
}

/// How many bytes of a word are a number: `-1.5e3`. An `e` counts only with digits after it.
fn number_length(word: &str) -> usize {
    let bytes = word.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(usize::from(matches!(bytes.first(), Some(b'-' | b'+'))));
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits((end + 1 + sign).min(bytes.len()));
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    end
}

/// `number × factor × 10^power`. The power is applied to the text, so that 99.9 % is the same number as
/// 0.999, which a multiplication would miss.
fn scaled(number: &str, factor: f64, power: i32) -> f64 {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent = exponent.parse::<i32>().unwrap_or(if exponent.starts_with('-') { -9_999 } else { 9_999 });
    format!("{mantissa}e{}", exponent.saturating_add(power)).parse().unwrap_or(f64::NAN) * factor
}

fn unknown_unit(word: &str, number: &str, unit: &str) -> Error {
    let error = Error::new(format!("unknown unit `{unit}` in `{word}`"));
    let lower = unit.to_lowercase();
    let meant = match lower.as_str() {
        "b" | "byte" | "bytes" => Some("B"),
        "k" | "kb" => Some("kB"),
        "mb" => Some("MB"),
        "g" | "gb" => Some("GB"),
        "sec" | "secs" | "second" | "seconds" => Some("s"),
        "min" | "mins" | "minute" | "minutes" => Some("m"),
        "ms" | "msec" | "millis" | "milliseconds" => Some("ms"),
        "usec" | "micros" | "microseconds" => Some("us"),
        "percent" | "pct" => Some("%"),
        _ => None,
    };
    match meant {
        Some(meant) => error.hint(format!("did you mean `{number}{meant}`?")),
        None if unit.starts_with([';', ',', '&', '|']) => {
            error.hint("a threshold has one condition: write each as a threshold of its own")
        }
        None => error.hint("units are `us`, `ms`, `s`, `m`, `h`, `B`, `kB`, `MB`, `GB` and `%`"),
    }
}
