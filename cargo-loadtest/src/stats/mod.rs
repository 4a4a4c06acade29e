//! Statistics behind the verdicts: pure functions on `&[f64]` and plain numbers.
//!
//! Read it in this order: [`descriptive`] (means, quantiles), [`dist`] (t and normal distribution),
//! [`mod@batch_means`] (how sure one run is of its own mean), [`paired`] (runs made in pairs), [`log_odds`]
//! (errors and drops), [`multiple`] (several metrics at once), [`interval`] (from an estimate to a
//! [`Verdict`]), and [`stored`], which judges one stored run against another with all of these.
//!
//! The unit of comparison is the run, never the sample: samples within a run are correlated, and runs
//! differ among themselves by more than their samples say.
//!
//! Refuses to do: input and output, formatting, and any knowledge of the product's other types. It imports
//! nothing but `std` and `statrs`. It also refuses the methods that raise false alarms on load tests: no
//! test on raw samples, no bootstrap of a handful of runs, no rank test of five pairs, and no dropping of a
//! run for its value.

pub mod batch_means;
pub mod descriptive;
pub mod dist;
mod error;
pub mod exact;
pub mod interval;
pub mod log_odds;
pub mod multiple;
pub mod paired;
pub mod shift;
pub mod stored;

pub use batch_means::{BatchMeans, batch_means};
pub use error::StatsError;
pub use exact::{MannWhitney, fisher_exact, mann_whitney};
pub use interval::{DecisionRule, Direction, Estimate, Interval, OneSided, Verdict, decide, overall};
pub use log_odds::{EventCounts, LogOddsDifference, compare_events};
pub use multiple::{benjamini_hochberg, holm};
pub use paired::{PairedTest, Tost, paired_log_ratios, paired_t, tost};
pub use shift::{SHIFT_QUANTILES, Shift, shift_function};
pub use stored::{
    Bound, Change, MetricJudgement, NotJudged, Reason, Role, RunSeries, StoredEvidence, StoredMetric,
    StoredRule, StoredTest, TestJudgement, judge_stored,
};

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
