//! How many values each bucket holds, in one of two representations: a short list for what is kept, pages
//! for what is recorded into.
//!
//! The main type is [`Counts`]. It knows bucket indices, no values, and gives the same answers whichever
//! way it is stored.

use std::collections::BTreeMap;

/// Buckets of a page: 1 KiB of counts, so that neighbouring values take little memory wherever they are.
const PAGE: usize = 256;

/// Counts by bucket index.
#[derive(Clone)]
pub(super) enum Counts {
    /// The buckets that hold something, in ascending order: eight bytes each. It only ever changes by becoming
    /// pages.
    Sparse(Box<[(u32, u32)]>),
    /// The pages of buckets that were seen.
    Dense(Pages),
}

impl Default for Counts {
    fn default() -> Self {
        Counts::Sparse(Box::default())
    }
}

/// An array of counts of which only those pages exist that hold something.
#[derive(Clone, Default)]
pub(super) struct Pages {
    pages: Vec<Option<Box<[u32; PAGE]>>>,
    /// What no longer fits into 32 bits, in units of 2³²: no second of a test has that, but a sum of many may.
    carried: BTreeMap<u32, u32>,
}

impl Pages {
    /// Adds to a bucket that may have no page yet. Stays at the largest count there is.
    #[cold]
    fn add(&mut self, index: u32, n: u64) {
        let (at, place) = (index as usize / PAGE, index as usize % PAGE);
        if self.pages.len() <= at {
            self.pages.resize_with(at + 1, || None);
        }
        let page = self.pages[at].get_or_insert_with(|| Box::new([0; PAGE]));
        let known = self.carried.get(&index).copied().unwrap_or(0);
        let sum = (u64::from(known) << 32 | u64::from(page[place])).saturating_add(n);
        page[place] = sum as u32;
        let carried = (sum >> 32) as u32;
        if carried != known {
            self.carried.insert(index, carried);
        }
    }

    fn buckets(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + Clone {
        self.pages.iter().enumerate().flat_map(move |(at, page)| {
            let counts = page.as_deref().map_or(&[][..], |page| page).iter().enumerate();
            counts.filter_map(move |(place, low)| {
                let index = (at * PAGE + place) as u64;
                let high = self.carried.get(&(index as u32)).copied().unwrap_or(0);
                let n = u64::from(high) << 32 | u64::from(*low);
                (n > 0).then_some((index, n))
            })
        })
    }
}

impl Counts {
    /// A list of buckets that are in ascending order and not empty. If one of them holds more values than
    /// a list can tell, which no second of a test does, they are pages after all.
    pub(super) fn sparse(buckets: impl Iterator<Item = (u64, u64)> + Clone) -> Self {
        let narrow = |(index, n)| Some((u32::try_from(index).ok()?, u32::try_from(n).ok()?));
        buckets.clone().map(narrow).collect::<Option<_>>().map_or_else(|| Self::dense(buckets), Self::Sparse)
    }

    fn dense(buckets: impl Iterator<Item = (u64, u64)>) -> Self {
        let mut pages = Pages::default();
        buckets.for_each(|(index, n)| pages.add(index as u32, n));
        Self::Dense(pages)
    }

    /// Adds one to a bucket: what recording is made of, so it is short where the page is there.
    #[inline]
    pub(super) fn increment(&mut self, index: u32) {
        let (at, place) = (index as usize / PAGE, index as usize % PAGE);
        if let Counts::Dense(counts) = self
            && let Some(Some(page)) = counts.pages.get_mut(at)
            && page[place] < u32::MAX
        {
            page[place] += 1;
        } else {
            self.add(index, 1);
        }
    }

    /// Adds to one bucket. Allocates only for a page that was not seen before.
    #[cold]
    pub(super) fn add(&mut self, index: u32, n: u64) {
        if let Counts::Sparse(_) = self {
            *self = Self::dense(self.buckets());
        }
        if let Counts::Dense(counts) = self {
            counts.add(index, n);
        }
    }

    /// Adds the buckets of another. The first list that comes to an empty one is only copied, as often
    /// no second one follows.
    pub(super) fn merge(&mut self, other: &Counts) {
        match self {
            Counts::Sparse(own) if own.is_empty() => *self = Self::sparse(other.buckets()),
            _ => other.buckets().for_each(|(index, n)| self.add(index as u32, n)),
        }
    }

    /// Takes everything out into a list; pages keep their memory for what comes.
    pub(super) fn take(&mut self) -> Counts {
        match self {
            Counts::Sparse(_) => std::mem::take(self),
            Counts::Dense(counts) => {
                let taken = Self::sparse(counts.buckets());
                self.reset();
                taken
            }
        }
    }

    /// Forgets every count; pages keep their memory.
    pub(super) fn reset(&mut self) {
        match self {
            Counts::Sparse(buckets) => *buckets = Box::default(),
            Counts::Dense(counts) => {
                counts.pages.iter_mut().flatten().for_each(|page| page.fill(0));
                counts.carried.clear();
            }
        }
    }

    /// The sum of all counts, or the largest integer if it is larger.
    pub(super) fn total(&self) -> u64 {
        self.buckets().fold(0, |sum, (_, n)| sum.saturating_add(n))
    }

    /// Whether there is nothing to count.
    pub(super) fn is_empty(&self) -> bool {
        self.buckets().next().is_none()
    }

    /// Index and count of the buckets that hold something, in ascending order.
    pub(super) fn buckets(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + Clone {
        let (list, pages) = match self {
            Counts::Sparse(buckets) => (&**buckets, None),
            Counts::Dense(counts) => (&[][..], Some(counts)),
        };
        let list = list.iter().map(|(index, n)| (u64::from(*index), u64::from(*n)));
        list.chain(pages.into_iter().flat_map(Pages::buckets))
    }

    /// Bytes beyond itself.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        match self {
            Counts::Sparse(buckets) => size_of_val(&**buckets),
            Counts::Dense(counts) => {
                size_of_val(&*counts.pages) + counts.pages.iter().flatten().count() * PAGE * size_of::<u32>()
            }
        }
    }
}
