//! How many values each bucket holds, in one of two representations: a short list for what is kept, an
//! array for what is recorded into.
//!
//! The main type is [`Counts`]. It knows bucket indices, no values, and gives the same answers whichever
//! way it is stored.

use hdrhistogram::Histogram;

use super::{index_of, lowest_of};

/// Counts by bucket index.
#[derive(Clone)]
pub(super) enum Counts {
    /// The buckets that hold something, in ascending order: eight bytes each, so that it is never larger
    /// than the array. It only ever changes by becoming dense.
    Sparse(Box<[(u32, u32)]>),
    /// Every bucket up to the largest magnitude that was seen. Boxed because most sums have no distribution.
    Dense(Box<Histogram<u64>>),
}

impl Default for Counts {
    fn default() -> Self {
        Counts::Sparse(Box::default())
    }
}

impl Counts {
    /// A list of buckets that are in ascending order and not empty. If one of them holds more values than
    /// a list can tell, which no second of a test does, it is an array after all.
    pub(super) fn sparse(buckets: impl DoubleEndedIterator<Item = (u64, u64)> + Clone) -> Self {
        let narrow = |(index, n)| Some((u32::try_from(index).ok()?, u32::try_from(n).ok()?));
        buckets.clone().map(narrow).collect::<Option<_>>().map_or_else(|| Self::dense(buckets), Self::Sparse)
    }

    fn dense(buckets: impl DoubleEndedIterator<Item = (u64, u64)>) -> Self {
        // Three digits are within the 0 to 5 that the constructor takes, so this can't fail.
        let Ok(counts) = Histogram::new(3) else { return Self::default() };
        let mut dense = Self::Dense(Box::new(counts));
        dense.add_all(buckets);
        dense
    }

    /// Adds to one bucket. An array allocates only for a larger magnitude than any before.
    pub(super) fn add(&mut self, index: u64, n: u64) {
        if let Counts::Sparse(_) = self {
            *self = Self::dense(self.buckets());
        }
        if let Counts::Dense(counts) = self {
            // An auto-resizing histogram takes every value up to 2⁶², so this can't fail either.
            let recorded = counts.record_n(lowest_of(index), n);
            debug_assert!(recorded.is_ok(), "bucket {index} was refused");
        }
    }

    /// Adds the buckets of another. The first list that comes to an empty one is only copied, as often
    /// no second one follows.
    pub(super) fn merge(&mut self, other: &Counts) {
        match self {
            Counts::Sparse(own) if own.is_empty() => *self = Self::sparse(other.buckets()),
            _ => self.add_all(other.buckets()),
        }
    }

    /// The largest bucket comes first, so that the array grows at most once.
    fn add_all(&mut self, buckets: impl DoubleEndedIterator<Item = (u64, u64)>) {
        buckets.rev().for_each(|(index, n)| self.add(index, n));
    }

    /// Forgets every count; an array keeps its memory.
    pub(super) fn reset(&mut self) {
        match self {
            Counts::Sparse(buckets) => *buckets = Box::default(),
            Counts::Dense(counts) => counts.reset(),
        }
    }

    /// The sum of all counts, or the largest integer if it is larger.
    pub(super) fn total(&self) -> u64 {
        match self {
            // 2³² buckets of 2³² values would fit.
            Counts::Sparse(buckets) => buckets.iter().map(|(_, n)| u64::from(*n)).sum(),
            Counts::Dense(counts) => counts.len(),
        }
    }

    /// Index and count of the buckets that hold something, in ascending order. Of an array it visits those
    /// from the smallest to the largest value.
    pub(super) fn buckets(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + Clone {
        let (list, array) = match self {
            Counts::Sparse(buckets) => (&**buckets, None),
            Counts::Dense(counts) => (&[][..], Some(counts).filter(|counts| !counts.is_empty())),
        };
        let list = list.iter().map(|(index, n)| (u64::from(*index), u64::from(*n)));
        let array = array.into_iter().flat_map(|counts| {
            (index_of(counts.min())..index_of(counts.max()) + 1)
                .map(|index| (index, counts.count_at(lowest_of(index))))
                .filter(|(_, n)| *n > 0)
        });
        list.chain(array)
    }
}
