//! The keys of the attribute, those that do not work yet included.

use loadtest_core::options::EXECUTORS;
use loadtest_core::{Error, suggest};

/// Every key that works.
pub(crate) const KEYS: &[&str] = &[
    "executor",
    "vus",
    "iterations",
    "max_duration",
    "duration",
    "start_vus",
    "stages",
    "graceful_stop",
    "graceful_ramp_down",
    "warm_up",
    "thresholds",
    "tags",
    "env",
    "setup",
    "teardown",
    "binaries",
    "test",
    "name",
    "crate",
];

/// Keys without an executor of their own that do not work yet.
const NOT_YET: &[&str] = &["min_iteration_duration", "vu_init", "rps", "reset", "start_time"];

/// Whether there is such a key.
///
/// # Errors
/// Says of an unknown one what was probably meant, and of one that does not work yet that it does not.
pub(crate) fn known(key: &str) -> Result<(), Error> {
    if KEYS.contains(&key) {
        return Ok(());
    }
    let owners: Vec<String> = EXECUTORS
        .iter()
        .filter(|spec| spec.keys.contains(&key))
        .map(|spec| format!("`{}`", spec.name))
        .collect();
    if !owners.is_empty() {
        return Err(Error::new(format!("the key `{key}` does not work yet")).hint(format!(
            "it belongs to {}, which {} not work yet",
            owners.join(" and "),
            if owners.len() == 1 { "does" } else { "do" }
        )));
    }
    if NOT_YET.contains(&key) {
        return Err(Error::new(format!("the key `{key}` does not work yet")).hint("leave it out"));
    }
    Err(Error::new(format!("unknown key `{key}`")).hint(suggest::hint(key, KEYS.iter().copied())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_an_executor_is_known() {
        for spec in EXECUTORS {
            for key in spec.keys {
                let works = known(key);
                assert_eq!(works.is_ok(), KEYS.contains(key), "{key}");
                assert!(!spec.available || works.is_ok(), "{key} of {}", spec.name);
                if let Err(error) = works {
                    assert!(error.message().contains("yet"), "{error}");
                }
            }
        }
    }

    #[test]
    fn the_spelling_of_k6_is_recognised() {
        let hint = |key: &str| known(key).expect_err("unknown").hint_text().map(str::to_owned);
        assert_eq!(hint("gracefulStop").as_deref(), Some("did you mean `graceful_stop`?"));
        assert_eq!(hint("stage").as_deref(), Some("did you mean `stages`?"));
    }
}
