//! Where a series of sessions changed: E-divisive, change points by energy statistics.
//!
//! The main function is [`change_points`]. It splits the series where the two parts differ most, and the parts
//! again, for as long as a split is larger than chance makes them: the method of Matteson and James (*A
//! nonparametric approach for multiple change point analysis of multivariate data*, 2014) with exponent 1, as it
//! is used on histories of benchmarks (Daly et al., *The use of change point detection to identify software
//! performance regressions in a continuous integration system*, 2020). It assumes nothing of the distribution
//! but that the mean exists, and finds changes of spread as well as of level. As there, the two parts of a split
//! span the whole segment.
//!
//! Assumes: values that are independent while nothing changes. A slow drift is cut into steps.
//!
//! Refuses to do: verdicts. A change point is a place to look at, not a regression: it is found with the benefit
//! of hindsight.

use super::descriptive::mean;
use super::error::StatsError;

/// More values than this are refused: time grows with their square.
pub const MOST_VALUES: usize = 2_000;

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePointRule {
    /// Fewest values between two change points, and before the first and after the last; at least 2.
    pub smallest_segment: usize,
    /// A split counts if chance makes one as large with at most this probability.
    pub level: f64,
    /// How many shuffles tell what chance makes; p is a multiple of 1/(shuffles + 1).
    pub shuffles: u32,
    /// Seed of the shuffles: equal series and seeds have equal change points.
    pub seed: u64,
}

impl Default for ChangePointRule {
    /// Segments of at least 4, 5 %, 199 shuffles.
    fn default() -> Self {
        Self { smallest_segment: 4, level: 0.05, shuffles: 199, seed: 1 }
    }
}

/// A change point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// Index of the first value after the change.
    pub index: usize,
    /// The energy statistic of the split: 0 for none, in the unit of the values.
    pub statistic: f64,
    /// The share of shuffles, this order included, that have a split at least as large.
    pub p: f64,
    /// Mean of the values between the change point before and this one.
    pub before: f64,
    /// Mean of the values between this one and the next.
    pub after: f64,
}

/// Change points of `values` in time order, ascending by index. Of latencies and throughputs, logarithms are best:
/// then equal ratios are equal changes.
///
/// The splits are made one after the other, the largest first, and it ends with the first that is not
/// significant. For each, the values are shuffled within the segments that there are by then.
///
/// # Errors
/// More than [`MOST_VALUES`] values, or one that is not finite.
///
/// ```
/// use cargo_loadtest::stats::{ChangePointRule, change_points};
/// let sessions: Vec<f64> = (0..24).map(|i| f64::from(i * 7 % 5) * 0.01 + if i < 14 { 0.0 } else { 0.2 }).collect();
/// let found = change_points(&sessions, &ChangePointRule::default())?;
/// assert_eq!(found.iter().map(|point| point.index).collect::<Vec<_>>(), [14]);
/// # Ok::<(), cargo_loadtest::stats::StatsError>(())
/// ```
pub fn change_points(values: &[f64], rule: &ChangePointRule) -> Result<Vec<ChangePoint>, StatsError> {
    if values.len() > MOST_VALUES {
        return Err(StatsError::TooMany { most: MOST_VALUES, given: values.len() });
    }
    if values.iter().any(|x| !x.is_finite()) {
        return Err(StatsError::NotFinite);
    }
    let smallest = rule.smallest_segment.max(2);
    let mut random = SplitMix(rule.seed);
    let mut ends = vec![0, values.len()];
    let mut found: Vec<(Split, f64)> = Vec::new();
    while let Some(split) = largest_split(values, &ends, smallest) {
        let mut at_least = 1;
        let mut shuffled = values.to_vec();
        for made in 0..rule.shuffles {
            for segment in ends.windows(2) {
                random.shuffle(&mut shuffled[segment[0]..segment[1]]);
            }
            let other = largest_split(&shuffled, &ends, smallest).map_or(0.0, |other| other.statistic);
            // Sums that were added in another order differ by rounding.
            at_least += u32::from(other >= split.statistic * (1.0 - 1e-9));
            if f64::from(at_least) > rule.level * f64::from(rule.shuffles + 1) && made + 1 < rule.shuffles {
                // Not significant, whatever comes.
                break;
            }
        }
        let p = f64::from(at_least) / f64::from(rule.shuffles + 1);
        // A series that never varies has splits of size zero, which are none.
        if p > rule.level || split.statistic <= 0.0 {
            break;
        }
        ends.push(split.index);
        ends.sort_unstable();
        found.push((split, p));
    }
    found.sort_by_key(|(split, _)| split.index);
    let level = |from: usize, to: usize| mean(&values[from..to]).unwrap_or(f64::NAN);
    let points = found.iter().zip(ends.windows(3)).map(|((split, p), ends)| ChangePoint {
        index: split.index,
        statistic: split.statistic,
        p: *p,
        before: level(ends[0], ends[1]),
        after: level(ends[1], ends[2]),
    });
    Ok(points.collect())
}

#[derive(Debug, Clone, Copy)]
struct Split {
    index: usize,
    statistic: f64,
}

/// The largest split over all segments, of which `ends` are the borders.
fn largest_split(values: &[f64], ends: &[usize], smallest: usize) -> Option<Split> {
    ends.windows(2)
        .filter_map(|segment| {
            let split = split_of(&values[segment[0]..segment[1]], smallest)?;
            Some(Split { index: segment[0] + split.index, ..split })
        })
        .max_by(|a, b| a.statistic.total_cmp(&b.statistic))
}

/// The largest split of one segment: the maximum over k of
/// nm/(n + m) · [2·mean|xᵢ − yⱼ| − mean|xᵢ − xᵢ′| − mean|yⱼ − yⱼ′|], n = k values before and m after,
/// the means within a part over its C(n, 2) pairs.
fn split_of(values: &[f64], smallest: usize) -> Option<Split> {
    let length = values.len();
    if length < 2 * smallest {
        return None;
    }
    // Sums of |xᵢ − xⱼ| over pairs: within the part before, within the part after, and between them. As the border
    // moves past a value, its distances to those before it and after it change places.
    let to_those_before = |k: usize| values[..k].iter().map(|x| (x - values[k]).abs()).sum::<f64>();
    let to_those_after = |k: usize| values[k + 1..].iter().map(|x| (x - values[k]).abs()).sum::<f64>();
    let total: f64 = (1..length).map(to_those_before).sum();
    let (mut before, mut after) = (0.0, total);
    let mut best: Option<Split> = None;
    for k in 1..=length - smallest {
        before += to_those_before(k - 1);
        after -= to_those_after(k - 1);
        if k < smallest {
            continue;
        }
        let (n, m) = (k as f64, (length - k) as f64);
        let between = (total - before - after) / (n * m);
        let within = |sum: f64, n: f64| sum / (0.5 * n * (n - 1.0));
        let energy = 2.0 * between - within(before, n) - within(after, m);
        let statistic = energy * n * m / (n + m);
        if best.is_none_or(|best| statistic > best.statistic) {
            best = Some(Split { index: k, statistic });
        }
    }
    best
}

/// SplitMix64 (Steele, Lea and Flood 2014): enough for shuffling, and the same on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Fisher and Yates's shuffle. Taking the upper half of a product instead of a remainder leaves a bias of
    /// at most n/2⁶⁴.
    fn shuffle(&mut self, values: &mut [f64]) {
        for i in (1..values.len()).rev() {
            let at = (u128::from(self.next()) * (i as u128 + 1)) >> 64;
            values.swap(i, at as usize);
        }
    }
}
