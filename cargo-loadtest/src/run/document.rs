//! The part of the results document that stands for one test: what ran, whether it can be trusted, and
//! what it adds up to.
//!
//! The main function is [`test_data`]. Sums come from [`crate::data`], reasons from [`super::validity`].

use std::collections::BTreeMap;
use std::fmt::Write as _;

use loadtest_core::metric::{Kind, Tags, Totals, tag};
use loadtest_core::options::http::HttpSettings;
use loadtest_core::options::{Options, Workload};
use loadtest_core::results::{Interval, SeriesSummary, TestDocument};
use sha2::{Digest, Sha256};

use super::execute::Plan;
use super::validity;
use crate::data::TestData;
use crate::launch::Launched;

/// The quantiles that the document tells; the intervals have all.
const QUANTILES: &[(&str, f64)] = &[("med", 0.5), ("p(90)", 0.9), ("p(95)", 0.95), ("p(99)", 0.99)];

/// Changes whenever the same load is hashed in another way.
const HASH_VERSION: u32 = 1;

/// Puts together what a test leaves behind. `file` is the name of its intervals within the run directory.
pub(super) fn test_data(
    plan: &Plan<'_>,
    launched: Launched,
    intervals: Vec<Interval>,
    file: String,
    seed: u64,
) -> TestData {
    let document = TestDocument {
        id: plan.test.id.clone(),
        definitions: plan.stored_definitions(),
        outcome: launched.outcome,
        services: launched.services,
        started_at: launched.started_at,
        seed,
        workload_hash: workload_hash(&plan.test.id, &plan.loads()),
        intervals: file,
        invalid: Vec::new(),
        summary: Vec::new(),
    };
    let mut data = TestData::new(document, intervals);
    data.document.invalid = validity::reasons(&data);
    data.document.summary = summary(&data);
    data
}

/// What shapes the load of one scenario.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct ScenarioLoad {
    /// Executor, numbers, times.
    pub(super) workload: Workload,
    /// Tags of every sample: they say what the load is for (`size=small`).
    pub(super) tags: Tags,
    /// The most HTTP requests per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rps: Option<u32>,
    /// What is sent and on how many connections.
    #[serde(skip_serializing_if = "HttpSettings::is_empty")]
    pub(super) http: HttpSettings,
}

impl ScenarioLoad {
    pub(super) fn of(workload: Workload, options: &Options) -> Self {
        Self { workload, tags: options.tags.clone(), rps: options.rps, http: options.http.shaping() }
    }
}

/// SHA-256 over the test's id and the load of each of its scenarios. Not in it: the seed, limits, values
/// for `vu.env(..)` (a port changes from run to run, and a secret must not be guessed from it), and the
/// function's body, which the definition has a hash of.
pub(super) fn workload_hash(id: &str, workloads: &BTreeMap<String, ScenarioLoad>) -> String {
    #[derive(serde::Serialize)]
    struct Load<'a> {
        version: u32,
        id: &'a str,
        scenarios: &'a BTreeMap<String, ScenarioLoad>,
    }
    // Written straight from the types: fields in their order, maps sorted, so equal loads are equal bytes.
    let load = Load { version: HASH_VERSION, id, scenarios: workloads };
    let text = serde_json::to_string(&load).expect("keys are text and numbers are plain");
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Each metric over all of its series, and HTTP metrics for expected responses and the others apart.
fn summary(test: &TestData) -> Vec<SeriesSummary> {
    let mut rows = Vec::new();
    for metric in test.metrics() {
        let row = |tags: Tags, mut totals: Totals| {
            let mut quantiles = BTreeMap::new();
            if metric.kind == Kind::Trend {
                for (name, q) in QUANTILES {
                    if let Some(value) = totals.quantile(*q, metric.unit) {
                        quantiles.insert((*name).to_owned(), value);
                    }
                }
            }
            // The intervals hold the distribution.
            totals.hist = None;
            SeriesSummary { metric: metric.clone(), tags, totals, quantiles }
        };
        rows.push(row(Tags::new(), test.total(&metric.name, |_| true)));
        if metric.name.starts_with("http_req") {
            let split = test.total_by(&metric.name, |tags| tags.get(tag::EXPECTED_RESPONSE).cloned());
            rows.extend(split.into_iter().filter(|(_, totals)| totals.count > 0).map(
                |(expected, totals)| row(Tags::from([(tag::EXPECTED_RESPONSE.to_owned(), expected)]), totals),
            ));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn load(vus: u32, tag: Option<&str>) -> BTreeMap<String, ScenarioLoad> {
        let options =
            Options { vus: Some(vus), duration: Some(Duration::from_secs(5)), ..Options::default() };
        let tags = tag.map(|tag| ("size".to_owned(), tag.to_owned())).into_iter().collect();
        let options = Options { tags, ..options };
        let workload = options.resolve().expect("valid");
        BTreeMap::from([("buy".to_owned(), ScenarioLoad::of(workload, &options))])
    }

    #[test]
    fn the_hash_changes_with_all_that_shapes_the_load_and_with_nothing_else() {
        let hash = |vus, tag| workload_hash("p/lib/t", &load(vus, tag));
        assert_eq!(hash(5, None), hash(5, None));
        assert_eq!(hash(5, None).len(), 64);
        assert_ne!(hash(5, None), hash(6, None));
        assert_ne!(hash(5, None), hash(5, Some("small")));
        assert_ne!(hash(5, None), workload_hash("p/lib/u", &load(5, None)));
        let mut capped = load(5, None);
        capped.values_mut().for_each(|load| load.rps = Some(100));
        assert_ne!(hash(5, None), workload_hash("p/lib/t", &capped));
        let with = |name: &str, text: &str| {
            let mut options =
                Options { vus: Some(5), duration: Some(Duration::from_secs(5)), ..Options::default() };
            options.set(name, text).expect("valid");
            let load = ScenarioLoad::of(options.resolve().expect("valid"), &options);
            workload_hash("p/lib/t", &BTreeMap::from([("buy".to_owned(), load)]))
        };
        assert_ne!(hash(5, None), with("no_connection_reuse", "true"));
        assert_eq!(hash(5, None), with("dns", "ttl=0"), "where names lead is not the load");
    }

    #[test]
    fn the_hash_of_a_known_load_stays() {
        // Stored baselines hold such hashes: another value here makes all of them not comparable.
        let expected = "a5a327b9a871d30c363a30beeed88d0465bfc5011f07d1c24cc3da460c917cbc";
        assert_eq!(workload_hash("p/lib/t", &load(5, None)), expected);
    }
}
