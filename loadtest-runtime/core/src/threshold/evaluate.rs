//! What a threshold means: whether it fits a metric, and whether the totals of its series keep the limit.
//! Without data a limit does not hold: a test that measured nothing has shown nothing.

use std::time::Duration;

use super::{Aggregation, LimitUnit, Threshold};
use crate::metric::{Kind, MetricDef, Totals, Unit, tag};
use crate::{Error, suggest};

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// The aggregate in the metric's base unit; `None` without data.
    pub actual: Option<f64>,
    /// Whether the limit is kept; never without data.
    pub holds: bool,
}

impl Threshold {
    /// Whether the aggregation exists for this kind of metric and the limit's unit fits.
    ///
    /// # Errors
    /// If not, or if the limit of a rate is not a share: such a threshold could only ever hold, or only
    /// ever fail.
    pub fn check_kind(&self, metric: &MetricDef) -> Result<(), Error> {
        let Threshold { aggregation, metric: name, .. } = self;
        let failed = |message: String| Error::new(message).context(format!("threshold `{}`", self.source));
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Rate => "rate",
            Kind::Trend => "trend",
        };
        if !aggregation.applies_to(metric.kind) {
            return Err(failed(format!("`{name}` is a {kind} and has no `{aggregation}`"))
                .hint(format!("a {kind} has {}", Aggregation::names_for(metric.kind))));
        }
        let unit = aggregation.unit(metric);
        if !self.unit.fits(metric.kind, unit) {
            let written = match self.unit {
                LimitUnit::Plain => "a plain number",
                LimitUnit::Time => "a time",
                LimitUnit::Bytes => "an amount of data",
                LimitUnit::Percent => "a percentage",
            };
            let (is, example) = match (metric.kind, unit) {
                (Kind::Rate, _) => ("a share", "0.01` or `1%"),
                (_, Unit::None) => ("a plain number", "100"),
                (_, Unit::Millis) => ("a time", "500ms"),
                (_, Unit::Bytes) => ("an amount of data", "1MB"),
            };
            return Err(failed(format!("the limit is {written}, but `{aggregation}` of `{name}` is {is}"))
                .hint(format!("write the limit as for example `{example}`")));
        }
        if metric.kind == Kind::Rate && !(0.0..=1.0).contains(&self.value) {
            let error = failed(format!("the limit {} is not a share: rates are from 0 to 1", self.value));
            return Err(if self.unit == LimitUnit::Plain && (1.0..=100.0).contains(&self.value) {
                error.hint(format!("did you mean `{}%`?", self.value))
            } else {
                error.hint("write for example `0.01` or `1%`")
            });
        }
        Ok(())
    }

    /// Compares the totals of all series that match with the limit. `elapsed` is the time over which they
    /// were collected; the `rate` of a counter is per second of it.
    ///
    /// A counter to which zero was added has data: its count is 0.
    pub fn evaluate(&self, metric: &MetricDef, totals: &Totals, elapsed: Duration) -> Evaluation {
        let actual = self.aggregation.compute(metric, totals, elapsed);
        Evaluation { actual, holds: actual.is_some_and(|actual| self.op.holds(actual, self.value)) }
    }

    /// How far an actual value is from the limit, relative to the limit: 0.2 is 20 % on the good side,
    /// −0.2 is 20 % beyond. `None` if the limit is 0, or asks for equality.
    pub fn margin(&self, actual: f64) -> Option<f64> {
        use super::Op;
        let distance = match self.op {
            Op::Less | Op::LessOrEqual => self.value - actual,
            Op::Greater | Op::GreaterOrEqual => actual - self.value,
            Op::Equal | Op::NotEqual => return None,
        };
        (self.value != 0.0).then(|| distance / self.value.abs())
    }

    /// Shows a value to people in the unit of what this threshold computes.
    pub fn format(&self, metric: &MetricDef, value: f64) -> String {
        match (metric.kind, self.aggregation) {
            (Kind::Rate, _) => crate::units::format_percent(value),
            (Kind::Counter, Aggregation::Rate) if metric.unit == Unit::None => {
                crate::units::format_rate(value)
            }
            (Kind::Counter, Aggregation::Rate) => {
                format!("{}/s", crate::units::format_value(value, metric.unit))
            }
            _ => crate::units::format_value(value, self.aggregation.unit(metric)),
        }
    }
}

/// Checks thresholds against the metrics that there are, before any load.
///
/// # Errors
/// The first that names an unknown metric, or does not fit its metric.
pub fn check_known(thresholds: &[Threshold], metrics: &[MetricDef]) -> Result<(), Error> {
    for threshold in thresholds {
        let Some(metric) = metrics.iter().find(|metric| metric.name == threshold.metric) else {
            return Err(Error::new(format!("unknown metric `{}`", threshold.metric))
                .hint(suggest::hint(&threshold.metric, metrics.iter().map(|metric| metric.name.as_str())))
                .context(format!("threshold `{}`", threshold.source)));
        };
        threshold.check_kind(metric)?;
    }
    Ok(())
}

/// Checks that scenarios which are selected by name exist.
///
/// # Errors
/// Names the first that doesn't, with the one that was probably meant.
pub fn check_scenarios<'a>(
    thresholds: &[Threshold],
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), Error> {
    for threshold in thresholds {
        let named =
            threshold.selector.iter().filter(|matcher| matcher.tag == tag::SCENARIO && !matcher.negated);
        for wanted in named.filter_map(|matcher| matcher.pattern.literal()) {
            if !names.clone().any(|name| name == wanted) {
                return Err(Error::new(format!("unknown scenario `{wanted}`"))
                    .hint(suggest::hint(wanted, names.clone()))
                    .context(format!("threshold `{}`", threshold.source)));
            }
        }
    }
    Ok(())
}
