//! Histograms of values: constant memory, exact merging, quantiles within 0.1 %, a compact text form.
//!
//! The main type is [`Hist`]. It counts integers from 0 to 2⁴² with three significant digits; what the
//! integers stand for is the caller's matter (see [`Unit::scale`](crate::metric::Unit::scale)). It never
//! refuses a value: what does not fit is clamped, and counted as clamped.

use std::fmt;

use serde::de::{self, Deserializer};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use self::counts::Counts;
use crate::Error;

mod codec;
mod counts;

/// The largest value that is kept apart: 2⁴², 50 days in microseconds.
pub const MAX_VALUE: u64 = 1 << 42;

/// Values below 2¹¹ have a bucket each; above, each power of two has 2¹⁰ buckets. That is what three
/// significant digits take.
const HALF_BITS: u32 = 10;
const HALF: u64 = 1 << HALF_BITS;

/// The bucket of [`MAX_VALUE`]: no index is larger.
const MAX_INDEX: u64 = index_of(MAX_VALUE);

/// Values below it are rounded in 32 bits: 36 minutes in microseconds.
const QUICK: f64 = (1u32 << 31) as f64;

/// A histogram of values from 0 to [`MAX_VALUE`].
///
/// It takes no memory beyond itself until the first value. One that is recorded into takes 1 KiB for each 256
/// neighbouring buckets of which one was seen: 8 KiB for all values below 2,048, and 4 KiB for each further
/// power of two. One that was decoded, or made by [`Hist::compact`], takes 8 bytes for each bucket that holds
/// something, until something is added to it.
#[derive(Clone, Default)]
pub struct Hist {
    counts: Counts,
    clamped: u64,
}

impl Hist {
    /// Counts one value, rounded to the nearest integer. Allocates only when none was recorded near it before.
    #[inline]
    pub fn record(&mut self, value: f64) {
        if (0.0..QUICK).contains(&value) {
            // The same as `round`, which without SSE 4.1 is a call of a function.
            let whole = value as u32;
            let rounded = whole + u32::from(value - f64::from(whole) >= 0.5);
            self.counts.increment(index_of(rounded.into()) as u32);
        } else {
            self.record_n(value, 1);
        }
    }

    /// Counts a value `n` times.
    pub fn record_n(&mut self, value: f64, n: u64) {
        if n == 0 {
            return;
        }
        // No range contains NaN, so it is clamped to 0 as negative values are.
        let fits = (0.0..=MAX_VALUE as f64).contains(&value);
        if !fits {
            self.clamped = self.clamped.saturating_add(n);
        }
        // `as` saturates and turns NaN to 0.
        self.counts.add(index_of((value.round() as u64).min(MAX_VALUE)) as u32, n);
    }

    /// Adds the values of another histogram. The result is the same as if they had been recorded here.
    pub fn merge(&mut self, other: &Hist) {
        self.clamped = self.clamped.saturating_add(other.clamped);
        self.counts.merge(&other.counts);
    }

    /// A copy that takes as little memory as a decoded one: for what is kept rather than recorded into.
    #[must_use]
    pub fn compact(&self) -> Hist {
        Hist { counts: Counts::sparse(self.counts.buckets()), clamped: self.clamped }
    }

    /// Takes everything out, compact; the memory stays for what comes.
    #[must_use]
    pub fn take(&mut self) -> Hist {
        Hist { counts: self.counts.take(), clamped: std::mem::take(&mut self.clamped) }
    }

    /// How many values were recorded, clamped ones included.
    pub fn count(&self) -> u64 {
        self.counts.total()
    }

    /// How many of them did not fit: negative, not a number, or above [`MAX_VALUE`].
    pub fn clamped(&self) -> u64 {
        self.clamped
    }

    /// The quantile `q` in 0..=1 (what is outside is clamped): linear interpolation between the two
    /// neighbouring order statistics, at position `q · (n − 1)` (type 7 of Hyndman and Fan, 1996). Each
    /// order statistic is known to 0.05 %. `None` without values, or if `q` is not a number.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 || q.is_nan() {
            return None;
        }
        let position = q.clamp(0.0, 1.0) * (count - 1) as f64;
        let rank = position.floor() as u64;
        let fraction = position - position.floor();
        let mut lower = None;
        let mut seen = 0u64;
        let mut last = 0.0;
        for (value, n) in self.iter() {
            seen = seen.saturating_add(n);
            last = value;
            if lower.is_none() && seen > rank {
                lower = Some(value);
            }
            if let Some(lower) = lower
                && (fraction == 0.0 || seen > rank + 1)
            {
                return Some(lower + fraction * (value - lower));
            }
        }
        Some(last)
    }

    /// The mean of the buckets' middles, within 0.05 % of the mean of the values. `None` without values.
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.iter().map(|(value, n)| value * n as f64).sum::<f64>() / count as f64)
    }

    /// The buckets that hold something, in ascending order: the value in the middle of the bucket, and
    /// how many values it holds. Below 2,048 the middle is the value itself.
    pub fn iter(&self) -> impl Iterator<Item = (f64, u64)> {
        self.counts.buckets().map(|(index, n)| (middle_of(index), n))
    }

    /// How many values were at most `value`; those in the same bucket count, as they can't be told apart.
    pub fn count_at_or_below(&self, value: f64) -> u64 {
        if value.is_nan() || value < 0.0 {
            return 0;
        }
        let last = index_of((value.floor() as u64).min(MAX_VALUE));
        let below = self.counts.buckets().take_while(|(index, _)| *index <= last);
        below.fold(0, |sum, (_, n)| sum.saturating_add(n))
    }

    /// Forgets every value but keeps the memory, for histograms that are filled again and again.
    pub fn reset(&mut self) {
        self.counts.reset();
        self.clamped = 0;
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

/// The bucket of a value.
#[inline]
const fn index_of(value: u64) -> u64 {
    let magnitude = (u64::BITS - (HALF_BITS + 1)) - (value | (2 * HALF - 1)).leading_zeros();
    magnitude as u64 * HALF + (value >> magnitude)
}

/// The smallest value of a bucket.
fn lowest_of(index: u64) -> u64 {
    match (index >> HALF_BITS).checked_sub(1) {
        None | Some(0) => index,
        Some(magnitude) => (HALF + (index & (HALF - 1))) << magnitude,
    }
}

/// The middle of a bucket's integers: no value in it is further away than 0.05 %.
fn middle_of(index: u64) -> f64 {
    let width = match (index >> HALF_BITS).checked_sub(1) {
        None => 1,
        Some(magnitude) => 1u64 << magnitude,
    };
    lowest_of(index) as f64 + (width - 1) as f64 / 2.0
}

/// Equal if they hold the same; how they store it does not matter.
impl PartialEq for Hist {
    fn eq(&self, other: &Self) -> bool {
        self.clamped == other.clamped && self.counts.buckets().eq(other.counts.buckets())
    }
}

impl fmt::Debug for Hist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Hist");
        out.field("count", &self.count()).field("clamped", &self.clamped);
        for (name, q) in [("min", 0.0), ("median", 0.5), ("max", 1.0)] {
            out.field(name, &self.quantile(q).unwrap_or(f64::NAN));
        }
        out.finish()
    }
}

impl Hist {
    /// The text form: short, safe in JSON, and exact.
    ///
    /// Its bytes are varints (seven bits each, the lowest first), written in unpadded base64: the clamped
    /// count, then for each bucket that holds something, in ascending order, twice the number of empty
    /// buckets before it, plus one if its count is not 1; in that case followed by the count minus 2.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::new();
        codec::put_varint(&mut bytes, self.clamped);
        let mut next = 0;
        for (index, n) in self.counts.buckets() {
            let gap = (index - next) << 1;
            if n == 1 {
                codec::put_varint(&mut bytes, gap);
            } else {
                codec::put_varint(&mut bytes, gap | 1);
                codec::put_varint(&mut bytes, n - 2);
            }
            next = index + 1;
        }
        codec::encode_base64(&bytes)
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// If the text is not one that [`Hist::encode`] can have written. However hostile it is, the histogram
    /// takes no more memory than a full one.
    pub fn decode(text: &str) -> Result<Hist, Error> {
        let broken = |what: &str| Error::new(format!("the histogram is damaged: {what}"));
        let bytes = codec::decode_base64(text).ok_or_else(|| broken("not base64"))?;
        let mut input = bytes.as_slice();
        let clamped = codec::take_varint(&mut input).ok_or_else(|| broken("cut short"))?;
        let (mut buckets, mut next, mut total) = (Vec::new(), 0u64, 0u64);
        while !input.is_empty() {
            let head = codec::take_varint(&mut input).ok_or_else(|| broken("cut short"))?;
            let n = if head & 1 == 0 {
                1
            } else {
                let more = codec::take_varint(&mut input).ok_or_else(|| broken("cut short"))?;
                more.checked_add(2).ok_or_else(|| broken("too many values"))?
            };
            total = total.checked_add(n).ok_or_else(|| broken("too many values"))?;
            let index = next.saturating_add(head >> 1);
            if index > MAX_INDEX {
                return Err(broken("a value out of range"));
            }
            buckets.push((index, n));
            next = index + 1;
        }
        if clamped > total {
            return Err(broken("more values clamped than recorded"));
        }
        Ok(Hist { counts: Counts::sparse(buckets.into_iter()), clamped })
    }
}

impl Serialize for Hist {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for Hist {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Hist::decode(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
