//! Which series there are: one numbering for all aggregators of a test, and the limits on how many there may be.
//!
//! The main type is [`Catalog`]. It is asked when a worker first mentions a series and never for a sample, so
//! aggregators can share it behind a lock. It holds no sums.

use std::collections::{HashMap, HashSet};

use loadtest_core::metric::{MetricDef, Tags, tag};
use loadtest_core::results::{SeriesDef, SeriesId};
use loadtest_core::threshold::Threshold;

use super::sums::Place;

/// Values of a tag that a metric keeps apart.
const MAX_TAG_VALUES: usize = 100;
/// Series that a metric keeps apart.
const MAX_SERIES_PER_METRIC: usize = 2_000;

/// All series of a test.
#[derive(Debug)]
pub(super) struct Catalog {
    series: Vec<SeriesDef>,
    index: HashMap<(String, Tags), Place>,
    tag_values: HashMap<(String, String), HashSet<String>>,
    series_per_metric: HashMap<String, usize>,
    thresholds: Vec<Threshold>,
    folded: u64,
}

impl Catalog {
    /// What the thresholds select is never folded.
    pub(super) fn new(thresholds: &[Threshold]) -> Self {
        Self {
            series: Vec::new(),
            index: HashMap::new(),
            tag_values: HashMap::new(),
            series_per_metric: HashMap::new(),
            thresholds: thresholds.to_vec(),
            folded: 0,
        }
    }

    /// The series from this place on.
    pub(super) fn from(&self, place: Place) -> &[SeriesDef] {
        self.series.get(place..).unwrap_or_default()
    }

    /// How many times a series was asked for that is part of a folded one.
    pub(super) fn folded(&self) -> u64 {
        self.folded
    }

    /// The series of a metric with these tags, made if it is new, folded if there are too many.
    pub(super) fn find(&mut self, metric: MetricDef, mut tags: Tags) -> Place {
        let mut folded = false;
        for (key, value) in &mut tags {
            if value == tag::OTHER {
                // The worker had too many already.
                folded = true;
                continue;
            }
            let known = self.tag_values.entry((metric.name.clone(), key.clone())).or_default();
            if known.contains(value) {
                continue;
            }
            if known.len() < MAX_TAG_VALUES || selected(&self.thresholds, &metric.name, key, value) {
                known.insert(value.clone());
            } else {
                tag::OTHER.clone_into(value);
                folded = true;
            }
        }
        if let Some(at) = self.index.get(&(metric.name.clone(), tags.clone())) {
            self.folded += u64::from(folded);
            return *at;
        }
        let count = self.series_per_metric.entry(metric.name.clone()).or_default();
        if *count >= MAX_SERIES_PER_METRIC {
            for (key, value) in &mut tags {
                // What a scenario or a threshold stands on is kept apart at any price.
                if key != tag::SCENARIO
                    && key != tag::EXPECTED_RESPONSE
                    && !selected(&self.thresholds, &metric.name, key, value)
                {
                    tag::OTHER.clone_into(value);
                }
            }
            folded = true;
        } else {
            *count += 1;
        }
        self.folded += u64::from(folded);
        if let Some(at) = self.index.get(&(metric.name.clone(), tags.clone())) {
            return *at;
        }
        let at = self.series.len();
        self.index.insert((metric.name.clone(), tags.clone()), at);
        self.series.push(SeriesDef { id: at as SeriesId, metric, tags });
        at
    }
}

/// Whether a threshold would miss this value if it were folded. One that asks for the rest as well, as
/// `name:*` and `!name:/seats` do, selects what it selected after the folding too.
fn selected(thresholds: &[Threshold], metric: &str, key: &str, value: &str) -> bool {
    thresholds.iter().filter(|threshold| threshold.metric == metric).any(|threshold| {
        threshold.selector.iter().any(|matcher| {
            matcher.tag == key && matcher.pattern.matches(value) && !matcher.pattern.matches(tag::OTHER)
        })
    })
}
