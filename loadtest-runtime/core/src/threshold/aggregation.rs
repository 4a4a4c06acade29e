//! What can be computed from a series: the table [`AGGREGATIONS`], which parser, evaluation and
//! documentation read, and [`Aggregation`], one choice from it. To add one, add a row and its variant.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::metric::{Kind, MetricDef, Totals, Unit};
use crate::{Error, suggest};

/// What a threshold or a summary computes from a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregation {
    /// Of a counter its sum, of a trend how many values.
    Count,
    /// Of a counter its sum per second, of a rate the share of true values.
    Rate,
    /// The last value.
    Value,
    /// The mean.
    Avg,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The median.
    Med,
    /// A percentile, 0 to 100.
    P(f64),
}

/// A row of [`AGGREGATIONS`].
#[derive(Debug)]
pub struct AggregationSpec {
    /// Its name in thresholds.
    pub name: &'static str,
    /// The kinds of metric that have it.
    pub kinds: &'static [Kind],
    /// Which one it is; of `p(x)` an example.
    pub aggregation: Aggregation,
    /// What it is, for help and documentation.
    pub doc: &'static str,
    /// How it is computed from totals that are not empty. `None` if that is not possible.
    compute: fn(&Series<'_>) -> Option<f64>,
}

/// What a row computes from.
struct Series<'a> {
    kind: Kind,
    unit: Unit,
    totals: &'a Totals,
    elapsed: Duration,
    /// The x of `p(x)`.
    percentile: f64,
}

/// Everything that can be computed.
pub const AGGREGATIONS: &[AggregationSpec] = &[
    AggregationSpec {
        name: "count",
        kinds: &[Kind::Counter, Kind::Trend],
        aggregation: Aggregation::Count,
        doc: "the sum of a counter, or how many values a trend has",
        compute: |series| match series.kind {
            Kind::Counter => Some(series.totals.sum),
            _ => Some(series.totals.count as f64),
        },
    },
    AggregationSpec {
        name: "rate",
        kinds: &[Kind::Counter, Kind::Rate],
        aggregation: Aggregation::Rate,
        doc: "the sum of a counter per second, or the share of a rate's values that are true",
        compute: |series| match series.kind {
            Kind::Counter => {
                (!series.elapsed.is_zero()).then(|| series.totals.sum / series.elapsed.as_secs_f64())
            }
            _ => series.totals.mean(),
        },
    },
    AggregationSpec {
        name: "value",
        kinds: &[Kind::Gauge],
        aggregation: Aggregation::Value,
        doc: "the last value of a gauge",
        compute: |series| Some(series.totals.last),
    },
    AggregationSpec {
        name: "avg",
        kinds: &[Kind::Trend],
        aggregation: Aggregation::Avg,
        doc: "the mean",
        compute: |series| series.totals.mean(),
    },
    AggregationSpec {
        name: "min",
        kinds: &[Kind::Trend],
        aggregation: Aggregation::Min,
        doc: "the smallest value",
        compute: |series| Some(series.totals.min),
    },
    AggregationSpec {
        name: "max",
        kinds: &[Kind::Trend],
        aggregation: Aggregation::Max,
        doc: "the largest value",
        compute: |series| Some(series.totals.max),
    },
    AggregationSpec {
        name: "med",
        kinds: &[Kind::Trend],
        aggregation: Aggregation::Med,
        doc: "the median",
        compute: |series| series.totals.quantile(0.5, series.unit),
    },
    AggregationSpec {
        name: "p",
        kinds: &[Kind::Trend],
        aggregation: Aggregation::P(95.0),
        doc: "a percentile from 0 to 100, linearly interpolated: p(95), p(99.9)",
        compute: |series| series.totals.quantile(series.percentile / 100.0, series.unit),
    },
];

impl Aggregation {
    /// Its row in [`AGGREGATIONS`].
    pub fn spec(self) -> &'static AggregationSpec {
        // The table has a row for every variant: a test walks it.
        let same = |row: &&AggregationSpec| {
            std::mem::discriminant(&row.aggregation) == std::mem::discriminant(&self)
        };
        AGGREGATIONS.iter().find(same).unwrap_or(&AGGREGATIONS[0])
    }

    /// Whether metrics of this kind have it.
    pub fn applies_to(self, kind: Kind) -> bool {
        self.spec().kinds.contains(&kind)
    }

    /// Computes it, in the unit of [`Aggregation::unit`]. `elapsed` is the time over which the totals were
    /// collected. `None` without data, or for a kind of metric that does not have it.
    pub fn compute(self, metric: &MetricDef, totals: &Totals, elapsed: Duration) -> Option<f64> {
        if totals.count == 0 || !self.applies_to(metric.kind) {
            return None;
        }
        let percentile = if let Aggregation::P(x) = self { x } else { 0.0 };
        (self.spec().compute)(&Series { kind: metric.kind, unit: metric.unit, totals, elapsed, percentile })
    }

    /// The unit of the result: the metric's own, except that a number of values is a plain number.
    pub fn unit(self, metric: &MetricDef) -> Unit {
        match (self, metric.kind) {
            (Aggregation::Count, Kind::Trend) | (_, Kind::Rate) => Unit::None,
            _ => metric.unit,
        }
    }

    /// The names of those that a kind has, as they are written.
    pub(super) fn names_for(kind: Kind) -> String {
        let rows = AGGREGATIONS.iter().filter(|row| row.kinds.contains(&kind));
        let names: Vec<_> = rows.map(|row| format!("`{}`", row.aggregation)).collect();
        names.join(", ")
    }
}

impl fmt::Display for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.spec().name;
        match self {
            Aggregation::P(x) => write!(f, "{name}({x})"),
            _ => f.write_str(name),
        }
    }
}

impl FromStr for Aggregation {
    type Err = Error;

    /// Reads `avg`, `p(95)`, …
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let (name, argument) = match text.split_once('(') {
            None => (text, None),
            Some((name, rest)) => {
                let argument = rest.strip_suffix(')').ok_or_else(|| {
                    Error::new(format!("`{text}` has no closing `)`")).hint("write for example `p(95)`")
                })?;
                (name.trim_end(), Some(argument.trim()))
            }
        };
        let Some(row) = AGGREGATIONS.iter().find(|row| row.name == name) else {
            return Err(unknown(text, name));
        };
        let takes_argument = matches!(row.aggregation, Aggregation::P(_));
        match (takes_argument, argument) {
            (false, None) => Ok(row.aggregation),
            (false, Some(argument)) => {
                Err(Error::new(format!("`{name}` takes no argument, but has `({argument})`"))
                    .hint(format!("write `{name}`, or for a percentile `p({argument})`")))
            }
            (true, None) => {
                Err(Error::new(format!("`{name}` needs a percentile")).hint("write for example `p(95)`"))
            }
            (true, Some(argument)) => match argument.parse::<f64>() {
                Ok(x) if (0.0..=100.0).contains(&x) => Ok(Aggregation::P(x)),
                Ok(_) => Err(Error::new(format!("the percentile in `{text}` is not within 0 to 100"))
                    .hint("write for example `p(95)` or `p(99.9)`")),
                Err(_) => Err(Error::new(format!("the percentile in `{text}` is not a number"))
                    .hint("write for example `p(95)`")),
            },
        }
    }
}

/// An unknown aggregation, with the likely meaning of `p95`, `median`, `average` and slips of the finger.
fn unknown(text: &str, name: &str) -> Error {
    let error = Error::new(format!("unknown aggregation `{text}`"));
    let lower = name.to_lowercase();
    let percentile =
        ["percentile", "pct", "p"].iter().find_map(|prefix| lower.strip_prefix(prefix)).map(str::trim);
    let percentile = percentile.filter(|x| x.parse::<f64>().is_ok_and(|x| (0.0..=100.0).contains(&x)));
    if let Some(x) = percentile {
        return error.hint(format!("did you mean `p({x})`?"));
    }
    let meant = match lower.as_str() {
        "mean" | "average" => Some("avg"),
        "median" => Some("med"),
        "minimum" => Some("min"),
        "maximum" => Some("max"),
        "last" => Some("value"),
        "percentile" | "quantile" => Some("p(95)"),
        "sum" | "total" | "len" => Some("count"),
        "share" | "ratio" => Some("rate"),
        _ => None,
    };
    match meant {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error.hint(suggest::hint(name, AGGREGATIONS.iter().map(|row| row.name))),
    }
}

impl Serialize for Aggregation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Aggregation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
