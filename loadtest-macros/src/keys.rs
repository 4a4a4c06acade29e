//! The keys of the attribute: every option of core, and what only code can say.

use loadtest_core::{Error, suggest};

/// Every key, in the order of the documentation.
pub(crate) const KEYS: &[&str] = &[
    "executor",
    "vus",
    "iterations",
    "max_duration",
    "duration",
    "start_vus",
    "stages",
    "graceful_ramp_down",
    "rate",
    "start_rate",
    "max_rate",
    "time_unit",
    "pre_allocated_vus",
    "max_vus",
    "search",
    "step",
    "probe_duration",
    "start_time",
    "graceful_stop",
    "min_iteration_duration",
    "warm_up",
    "rps",
    "preflight",
    "thresholds",
    "tags",
    "env",
    "user_agent",
    "max_redirects",
    "discard_response_bodies",
    "insecure_skip_tls_verify",
    "no_connection_reuse",
    "no_vu_connection_reuse",
    "http_version",
    "tls_version",
    "tls_auth",
    "hosts",
    "dns",
    "local_ips",
    "block_ips",
    "block_hostnames",
    "allow",
    "batch",
    "batch_per_host",
    "cookies",
    "http_debug",
    "compare_duration",
    "runs",
    "min_effect",
    "equivalence",
    "alpha",
    "gate",
    "reset",
    "setup",
    "vu_init",
    "teardown",
    "binaries",
    "test",
    "name",
    "crate",
];

/// Whether there is such a key.
///
/// # Errors
/// Says of an unknown one what was probably meant.
pub(crate) fn known(key: &str) -> Result<(), Error> {
    if KEYS.contains(&key) {
        return Ok(());
    }
    Err(Error::new(format!("unknown key `{key}`")).hint(suggest::hint(key, KEYS.iter().copied())))
}

#[cfg(test)]
mod tests {
    use loadtest_core::options::{EXECUTORS, OPTIONS};

    use super::*;

    #[test]
    fn every_option_and_every_key_of_an_executor_is_known() {
        let of_executors = EXECUTORS.iter().flat_map(|spec| spec.keys.iter().copied());
        for key in OPTIONS.iter().map(|option| option.name).chain(of_executors) {
            assert!(known(key).is_ok(), "{key}");
        }
    }

    #[test]
    fn the_spelling_of_k6_is_recognised() {
        let hint = |key: &str| known(key).expect_err("unknown").hint_text().map(str::to_owned);
        assert_eq!(hint("gracefulStop").as_deref(), Some("did you mean `graceful_stop`?"));
        assert_eq!(hint("preAllocatedVUs").as_deref(), Some("did you mean `pre_allocated_vus`?"));
        assert_eq!(hint("blacklistIPs").as_deref(), Some("did you mean `block_ips`?"));
        assert_eq!(hint("noVUConnectionReuse").as_deref(), Some("did you mean `no_vu_connection_reuse`?"));
        assert_eq!(hint("stage").as_deref(), Some("did you mean `stages`?"));
    }
}
