//! Thresholds: limits that a run's results must keep, such as `http_req_duration: p(95)<500ms`.
//!
//! The main type is [`Threshold`]. Reading one is the matter of `parse`, what it means against the totals of
//! a series that of `evaluate`; what can be computed from a series stands in one table, [`AGGREGATIONS`].
//! Nothing here decides when a threshold is evaluated, or which series there are.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::metric::{Kind, Tags, Unit};

mod aggregation;
mod evaluate;
mod parse;
mod selector;

pub use aggregation::{AGGREGATIONS, Aggregation, AggregationSpec};
pub use evaluate::{Evaluation, check_known, check_scenarios};
pub use selector::{Glob, TagMatcher};

/// A limit on an aggregate of a metric, over all of its series or those that a selector picks.
///
/// Grammar: `metric{tag:value,tag:"quoted value",!tag:value,tag:glob*}: aggregation op number[unit]`, then
/// optionally `abort` or `abort after 10s`. Units are `us`, `ms`, `s`, `m`, `h` (a number alone is in
/// milliseconds where the metric is), `B`, `kB`, `MB`, `GB`, and `%` for rates.
///
/// # Examples
/// ```
/// use loadtest_core::threshold::Threshold;
///
/// let threshold: Threshold = "http_req_duration{name:GET /seats}: p(95)<0.5s abort after 10s".parse()?;
/// assert_eq!(threshold.metric, "http_req_duration");
/// assert_eq!(threshold.value, 500.0);
/// # Ok::<(), loadtest_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// As it was written; also how it is shown and stored.
    pub source: String,
    /// The name of the metric.
    pub metric: String,
    /// What the tags of a series must be; all of them must hold. Empty means every series.
    pub selector: Vec<TagMatcher>,
    /// What is computed.
    pub aggregation: Aggregation,
    /// How it is compared with the limit.
    pub op: Op,
    /// The limit in the metric's base unit: milliseconds, bytes, a share of 0 to 1, or a plain number.
    pub value: f64,
    /// What kind of unit the limit was written with.
    pub unit: LimitUnit,
    /// Whether crossing it stops the test: `Some(delay)`, counted from the start of the load.
    pub abort: Option<Duration>,
}

impl Threshold {
    /// Reads a threshold.
    ///
    /// # Errors
    /// If the text does not follow the grammar: what is wrong, where, and what to write instead. Whether
    /// the metric exists and takes the aggregation is for [`check_known`].
    pub fn parse(text: &str) -> Result<Threshold, Error> {
        parse::parse(text)
    }

    /// Whether a series with these tags counts.
    pub fn matches(&self, tags: &Tags) -> bool {
        self.selector.iter().all(|matcher| matcher.matches(tags))
    }

    /// Whether stopping the test is due, `elapsed` after the start of the load, if the limit is crossed.
    pub fn aborts_at(&self, elapsed: Duration) -> bool {
        self.abort.is_some_and(|delay| elapsed >= delay)
    }
}

impl FromStr for Threshold {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A comparison of the actual value (left) with the limit (right).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl Op {
    /// Every operator.
    pub const ALL: [Op; 6] =
        [Op::Less, Op::LessOrEqual, Op::Greater, Op::GreaterOrEqual, Op::Equal, Op::NotEqual];

    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Op::Less => "<",
            Op::LessOrEqual => "<=",
            Op::Greater => ">",
            Op::GreaterOrEqual => ">=",
            Op::Equal => "==",
            Op::NotEqual => "!=",
        }
    }

    /// Whether `actual op limit` is true.
    pub fn holds(self, actual: f64, limit: f64) -> bool {
        match self {
            Op::Less => actual < limit,
            Op::LessOrEqual => actual <= limit,
            Op::Greater => actual > limit,
            Op::GreaterOrEqual => actual >= limit,
            Op::Equal => actual == limit,
            Op::NotEqual => actual != limit,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

/// What kind of unit a limit was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitUnit {
    /// None: the metric's own.
    Plain,
    /// A time, stored in milliseconds.
    Time,
    /// An amount of data, stored in bytes.
    Bytes,
    /// A percentage, stored as a share.
    Percent,
}

impl LimitUnit {
    /// Whether such a unit can be compared with an aggregate that is in the metric's unit.
    fn fits(self, kind: Kind, unit: Unit) -> bool {
        match self {
            LimitUnit::Plain => true,
            LimitUnit::Time => unit == Unit::Millis && kind != Kind::Rate,
            LimitUnit::Bytes => unit == Unit::Bytes && kind != Kind::Rate,
            LimitUnit::Percent => kind == Kind::Rate,
        }
    }
}

#[cfg(test)]
mod tests;
