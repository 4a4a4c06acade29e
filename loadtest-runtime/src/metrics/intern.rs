//! What a worker has seen before: texts and sets of tags as numbers, and the series that were recorded lately.
//!
//! The main types are [`Interner`] and [`Recent`]. Both are bounded, whatever a test makes names of. They know no
//! samples.

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

use loadtest_core::metric::{Tags, tag};

use super::sample::LocalSeries;
use crate::hash::{BuildQuick, Quick};

/// Series, sets of tags and texts that a worker tells apart. Those after them are folded: texts become
/// `__other__`, and sets of tags those of the scenario. So memory is bounded whatever a test makes names of.
pub(super) const MAX_INTERNED: usize = 20_000;

/// An interned set of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct TagSet(pub(super) u32);

/// An interned text.
pub(super) type Text = u32;
/// The text that stands for those that were not interned any more.
pub(super) const FOLDED: Text = Text::MAX;

/// Series that were recorded lately, found by what is given and not by what was interned of it.
#[derive(Debug)]
pub(super) struct Recent {
    /// By the top bits of a hash.
    places: Box<[Recalled; RECENT]>,
}

/// Places in [`Recent`]: a test with hundreds of series mostly has a place for each.
const RECENT: usize = 1_024;

#[derive(Debug, Clone, Copy)]
struct Recalled {
    tags: TagSet,
    /// Its text is another one if there was none.
    name: Text,
    method: Text,
    outcome: u64,
    protocol: &'static str,
    series: LocalSeries,
}

/// What a series is looked for by.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) tags: TagSet,
    pub(super) name: &'a str,
    pub(super) method: &'a str,
    /// Status, error and whether it is expected; [`CHECKS`] for a check.
    pub(super) outcome: u64,
    pub(super) protocol: &'static str,
}

/// The method of what has none.
pub(super) const NO_METHOD: &str = "";

/// No exchange has that outcome.
pub(super) const CHECKS: u64 = u64::MAX;

impl Default for Recent {
    fn default() -> Self {
        let none = Recalled {
            tags: TagSet::default(),
            name: FOLDED,
            method: FOLDED,
            outcome: 0,
            protocol: "",
            series: 0,
        };
        Self { places: Box::new([none; RECENT]) }
    }
}

impl Asked<'_> {
    #[inline]
    pub(super) fn place(&self) -> usize {
        let mut hasher = Quick::default();
        hasher.write(self.name.as_bytes());
        hasher.write_u64(u64::from(self.tags.0) << 40 ^ self.outcome);
        (hasher.finish() >> (u64::BITS - RECENT.ilog2())) as usize % RECENT
    }
}

impl Recent {
    /// The series, if it was the last one that was remembered in this place.
    #[inline]
    pub(super) fn find(&self, texts: &Interner, place: usize, asked: &Asked<'_>) -> Option<LocalSeries> {
        let found = &self.places[place];
        let holds = found.tags == asked.tags
            && found.outcome == asked.outcome
            && texts.is(found.name, asked.name)
            && texts.is(found.method, asked.method)
            // Mostly it is the same text in the same place.
            && (std::ptr::eq(found.protocol, asked.protocol) || found.protocol == asked.protocol);
        holds.then_some(found.series)
    }

    pub(super) fn remember(
        &mut self,
        place: usize,
        asked: &Asked<'_>,
        [name, method]: [Text; 2],
        series: LocalSeries,
    ) {
        let &Asked { tags, outcome, protocol, .. } = asked;
        // What is folded is found the slow way: its text is not there to compare with.
        self.places[place] = Recalled { tags, name, method, outcome, protocol, series };
    }
}

/// Interned texts and sets of tags.
#[derive(Debug, Default)]
pub(super) struct Interner {
    texts: HashMap<Arc<str>, Text, BuildQuick>,
    /// The texts by their ids.
    names: Vec<Arc<str>>,
    /// Each set with the one that it was derived from in the first place.
    sets: Vec<(Tags, TagSet)>,
    set_ids: HashMap<Tags, TagSet>,
    derived: HashMap<(TagSet, Text, Text), TagSet, BuildQuick>,
}

impl Interner {
    /// The id of a text; [`FOLDED`] if there are too many.
    pub(super) fn text(&mut self, text: &str) -> Text {
        if let Some(id) = self.texts.get(text) {
            return *id;
        }
        if self.texts.len() >= MAX_INTERNED {
            return FOLDED;
        }
        let id = self.texts.len() as Text;
        let text: Arc<str> = text.into();
        self.names.push(Arc::clone(&text));
        self.texts.insert(text, id);
        id
    }

    /// Whether an id is that of this text.
    #[inline]
    fn is(&self, id: Text, text: &str) -> bool {
        self.names.get(id as usize).is_some_and(|name| **name == *text)
    }

    pub(super) fn tags(&self, set: TagSet) -> &Tags {
        &self.sets[set.0 as usize].0
    }

    /// The tags of the scenario that a set of tags belongs to.
    pub(super) fn root(&self, set: TagSet) -> TagSet {
        self.sets[set.0 as usize].1
    }

    pub(super) fn set(&mut self, tags: Tags, root: Option<TagSet>) -> TagSet {
        if let Some(known) = self.set_ids.get(&tags) {
            return *known;
        }
        let set = TagSet(self.sets.len() as u32);
        self.set_ids.insert(tags.clone(), set);
        self.sets.push((tags, root.unwrap_or(set)));
        set
    }

    pub(super) fn with(&mut self, base: TagSet, key: &str, value: &str) -> TagSet {
        let (key_id, value_id) = (self.text(key), self.text(value));
        if let Some(set) = self.derived.get(&(base, key_id, value_id)) {
            return *set;
        }
        if key_id == FOLDED || self.sets.len() >= MAX_INTERNED || self.derived.len() >= MAX_INTERNED {
            return self.root(base);
        }
        let mut tags = self.tags(base).clone();
        match (value, value_id) {
            // A tag without a value is no tag: selectors can't tell them apart, so there is one series.
            ("", _) => tags.remove(key),
            (_, FOLDED) => tags.insert(key.to_owned(), tag::OTHER.to_owned()),
            _ => tags.insert(key.to_owned(), value.to_owned()),
        };
        let set = self.set(tags, Some(self.root(base)));
        self.derived.insert((base, key_id, value_id), set);
        set
    }
}
