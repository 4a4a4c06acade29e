//! Metrics that a load test declares for itself, with [`metrics!`](crate::metrics!).

use std::time::Duration;

use loadtest_core::metric::{Kind, MetricDef, Unit};

use crate::vu::Vu;

/// A declared metric, known to the runtime before any load so that thresholds can be checked against it.
#[derive(Debug)]
pub struct Declaration {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
}

inventory::collect!(Declaration);

impl Declaration {
    fn def(&self) -> MetricDef {
        MetricDef { name: self.name.to_owned(), kind: self.kind, unit: self.unit }
    }
}

/// Every metric of this binary: the built-in ones, then the declared ones by name.
pub(crate) fn known() -> Vec<MetricDef> {
    let mut declared: Vec<MetricDef> =
        inventory::iter::<Declaration>.into_iter().map(Declaration::def).collect();
    declared.sort_by(|a, b| a.name.cmp(&b.name));
    declared.dedup();
    loadtest_core::metric::Builtin::ALL.iter().map(|metric| metric.def()).chain(declared).collect()
}

/// What is wrong with the declared metrics: two of one name that differ, or the name of a built-in one.
pub(crate) fn problems() -> Vec<String> {
    let known = known();
    let mut problems = Vec::new();
    for (at, def) in known.iter().enumerate() {
        if known[..at].iter().any(|earlier| earlier.name == def.name) {
            problems.push(format!(
                "the metric `{}` is declared twice, or is a built-in one; give it another name",
                def.name
            ));
        }
    }
    problems
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $kind:ident ($value:ty, $to:expr);)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            declaration: Declaration,
        }

        impl $name {
            #[doc(hidden)]
            pub const fn new(name: &'static str, unit: Unit) -> Self {
                Self { declaration: Declaration { name, kind: Kind::$kind, unit } }
            }

            /// Records a value with the tags that the virtual user has now.
            pub fn add(&self, vu: &Vu, value: $value) {
                let to: fn($value, Unit) -> f64 = $to;
                let declaration = &self.declaration;
                vu.record_value(declaration.name, || declaration.def(), to(value, declaration.unit));
            }
        }
    )* };
}

kinds! {
    /// A sum that only grows. Declared with [`metrics!`](crate::metrics!).
    Counter Counter (f64, |value, _| value);
    /// A value that is set. Declared with [`metrics!`](crate::metrics!).
    Gauge Gauge (f64, |value, _| value);
    /// The share of `true`. Declared with [`metrics!`](crate::metrics!).
    Rate Rate (bool, |value, _| f64::from(u8::from(value)));
}

/// A distribution. Declared with [`metrics!`](crate::metrics!).
#[derive(Debug)]
pub struct Trend {
    declaration: Declaration,
}

impl Trend {
    #[doc(hidden)]
    pub const fn new(name: &'static str, unit: Unit) -> Self {
        Self { declaration: Declaration { name, kind: Kind::Trend, unit } }
    }

    /// Records a value with the tags that the virtual user has now: a number in the trend's unit, or a
    /// [`Duration`].
    pub fn add(&self, vu: &Vu, value: impl Into<TrendValue>) {
        let declaration = &self.declaration;
        let value = match value.into() {
            TrendValue::Number(number) => number,
            TrendValue::Time(time) if declaration.unit == Unit::Millis => crate::clock::millis(time),
            TrendValue::Time(time) => time.as_secs_f64(),
        };
        vu.record_value(declaration.name, || declaration.def(), value);
    }
}

/// What a [`Trend`] takes.
#[derive(Debug, Clone, Copy)]
pub enum TrendValue {
    /// A number in the trend's unit.
    Number(f64),
    /// A time; seconds in a trend that is not `in millis`.
    Time(Duration),
}

impl From<f64> for TrendValue {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<Duration> for TrendValue {
    fn from(value: Duration) -> Self {
        Self::Time(value)
    }
}

/// Declares metrics of your own.
///
/// ```
/// use loadtest_runtime::{Vu, metrics, millis};
///
/// metrics! {
///     /// Time that a user waited in the queue.
///     static QUEUE_WAIT: Trend = "queue_wait" in millis;
///     static SEATS_TAKEN: Counter = "seats_taken";
///     static BODY: Trend = "body_size" in bytes;
///     static CACHED: Rate = "cached";
/// }
///
/// fn record(vu: &Vu) {
///     QUEUE_WAIT.add(vu, millis(12));
///     SEATS_TAKEN.add(vu, 1.0);
///     CACHED.add(vu, true);
/// }
/// ```
///
/// They appear in the summary and the report, and thresholds may name them. Units: `millis`, `bytes`, or
/// none.
#[macro_export]
macro_rules! metrics {
    ($( $(#[$meta:meta])* $vis:vis static $name:ident : $kind:ident = $text:literal $(in $unit:ident)? ; )*) => { $(
        $(#[$meta])*
        $vis static $name: $crate::metric::$kind =
            $crate::metric::$kind::new($text, $crate::__metric_unit!($($unit)?));
        const _: () = {
            use $crate::__private::inventory;
            inventory::submit! {
                $crate::__private::Declaration {
                    name: $text,
                    kind: $crate::__private::Kind::$kind,
                    unit: $crate::__metric_unit!($($unit)?),
                }
            }
        };
    )* };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __metric_unit {
    () => {
        $crate::__private::Unit::None
    };
    (millis) => {
        $crate::__private::Unit::Millis
    };
    (bytes) => {
        $crate::__private::Unit::Bytes
    };
    ($other:ident) => {
        ::std::compile_error!(::std::concat!(
            "unknown unit `",
            ::std::stringify!($other),
            "`: use `millis` or `bytes`, or leave `in …` out"
        ))
    };
}
