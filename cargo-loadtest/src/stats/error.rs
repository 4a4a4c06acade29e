//! [`StatsError`]: why a statistic can't be computed from what was given.

use std::fmt;

/// Why a statistic can't be computed. Nothing here depends on the *size* of a result, only on whether the
/// input has one at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatsError {
    /// Fewer values than the method needs.
    TooFew {
        /// How many values the method needs.
        needed: usize,
        /// How many were given.
        given: usize,
    },
    /// More values than the method can take in reasonable time.
    TooMany {
        /// How many it takes at most.
        most: usize,
        /// How many were given.
        given: usize,
    },
    /// A probability or quantile outside of the open interval from 0 to 1.
    NotAFraction,
    /// The two sides of a paired method have different lengths.
    Unpaired {
        /// Values of the base.
        base: usize,
        /// Values of the head.
        head: usize,
    },
    /// A value is NaN or infinite.
    NotFinite,
    /// A value that must be above zero, because its logarithm is taken, is not.
    NotPositive,
    /// More events than trials, or no trials at all.
    ImpossibleCounts {
        /// Events, for example failed requests.
        events: u64,
        /// Trials, for example all requests.
        trials: u64,
    },
}

impl fmt::Display for StatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { needed, given } => write!(f, "{given} values where at least {needed} are needed"),
            Self::TooMany { most, given } => write!(f, "{given} values where at most {most} can be taken"),
            Self::NotAFraction => f.write_str("a fraction is not between 0 and 1"),
            Self::Unpaired { base, head } => {
                write!(f, "{base} values of the base do not pair with {head} of the head")
            }
            Self::NotFinite => f.write_str("a value is not a finite number"),
            Self::NotPositive => f.write_str("a value is not above zero, so it has no logarithm"),
            Self::ImpossibleCounts { events, trials } => write!(f, "{events} events in {trials} trials"),
        }
    }
}

impl std::error::Error for StatsError {}
