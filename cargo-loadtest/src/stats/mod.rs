//! Statistics behind the verdicts: pure functions on `&[f64]` and plain numbers.
//!
//! Read it in this order: [`descriptive`] (means, quantiles), [`dist`] (t and normal distribution),
//! [`mod@batch_means`] (how sure one run is of its own mean), [`paired`] (the paired t test), [`log_odds`]
//! (errors and drops), [`multiple`] (several metrics at once), [`interval`] (from an estimate to a
//! [`Verdict`]). A mode of comparison turns what was measured into an [`Effect`]: [`pairs`], [`history`] or
//! [`stored`]. [`mod@judge`] makes verdicts of the effects of all metrics of all tests, whatever the mode.
//!
//! Beside the verdicts, for description or for programs of one's own: [`welch`], [`permutation`], [`exact`]
//! (Fisher, Mann-Whitney), [`distance`] (Kolmogorov-Smirnov, Wasserstein), [`location`] (Harrell-Davis,
//! Hodges-Lehmann, order statistics), [`shift`], [`mod@change_points`]. [`looks`] is for comparisons that grow.
//!
//! The unit of comparison is the run, never the sample: samples within a run are correlated, and runs
//! differ among themselves by more than their samples say.
//!
//! Refuses to do: input and output, formatting, and any knowledge of the product's other types. It imports
//! nothing but `std` and `statrs`. It also refuses the methods that raise false alarms on load tests: no
//! test on raw samples, no bootstrap of a handful of runs, no rank test of five pairs, and no dropping of a
//! run for its value.

pub mod batch_means;
pub mod change_points;
pub mod descriptive;
pub mod dist;
pub mod distance;
mod error;
pub mod exact;
pub mod history;
pub mod interval;
pub mod judge;
pub mod location;
pub mod log_odds;
pub mod looks;
pub mod multiple;
pub mod paired;
pub mod pairs;
pub mod permutation;
pub mod shift;
pub mod stored;
pub mod welch;

pub use batch_means::{BatchMeans, batch_means};
pub use change_points::{ChangePoint, ChangePointRule, change_points};
pub use distance::{
    KolmogorovSmirnov, kolmogorov_smirnov, kolmogorov_smirnov_weighted, wasserstein, wasserstein_weighted,
};
pub use error::StatsError;
pub use exact::{MannWhitney, fisher_exact, mann_whitney};
pub use interval::{DecisionRule, Direction, Estimate, Interval, OneSided, Verdict, decide, overall};
pub use judge::{
    Bound, Change, Effect, JudgeRule, MetricEvidence, MetricJudgement, NotJudged, Reason, Role, TestEvidence,
    TestJudgement, judge,
};
pub use location::{
    HarrellDavis, OrderInterval, harrell_davis, hodges_lehmann, hodges_lehmann_shift, quantile_interval,
};
pub use log_odds::{EventCounts, LogOddsDifference, compare_events};
pub use looks::{LOOKS, Look, next_look};
pub use multiple::{benjamini_hochberg, holm};
pub use paired::{PairedTest, Tost, paired_log_ratios, paired_t, tost};
pub use permutation::{Permutation, permutation_test, sign_flip_test};
pub use shift::{SHIFT_QUANTILES, Shift, shift_function};
pub use stored::RunSeries;
pub use welch::{Welch, welch_t};

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
