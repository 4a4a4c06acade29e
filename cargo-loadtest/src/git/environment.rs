//! What a service of continuous integration says about the commit that it tests.
//!
//! The main type is [`CiEnvironment`], for GitHub Actions and GitLab; of other services only `CI` is known.
//! It is read once and is plain data, so that what depends on it can be tested without them.

use std::collections::HashMap;
use std::ffi::OsString;

/// The variables of a service of continuous integration, or none of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CiEnvironment {
    /// Whether `CI` is set, and to something else than `false` or `0`.
    pub is_ci: bool,
    /// The service, if it is one that is known.
    pub service: Option<CiService>,
    /// The kind of event: `push`, `pull_request`, …; GitLab's `CI_PIPELINE_SOURCE`.
    pub event: Option<String>,
    /// Whether a pull request (GitLab: merge request) is tested.
    pub is_pull_request: bool,
    /// The branch that a pull request is to be merged into.
    pub base_ref: Option<String>,
    /// The full name of what is tested: `refs/heads/main`, `refs/pull/7/merge`; GitLab's is short.
    pub ref_name: Option<String>,
    /// The branch that the service calls the project's main one.
    pub default_branch: Option<String>,
    /// The commit that the service checked out.
    pub(super) commit: Option<String>,
    /// Whether that commit is the result of merging the pull request, made by the service.
    pub(super) is_merge_result: bool,
}

/// A service whose variables and settings are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CiService {
    /// GitHub Actions and what imitates it.
    GitHub,
    /// GitLab.
    GitLab,
}

impl CiEnvironment {
    /// Reads the variables of this process.
    pub fn read() -> CiEnvironment {
        Self::from_variables(std::env::vars_os())
    }

    /// Reads variables. One that is empty counts as not set.
    pub fn from_variables<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> CiEnvironment
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let text = |value: OsString| value.to_string_lossy().into_owned();
        let all: HashMap<String, String> = variables
            .into_iter()
            .map(|(name, value)| (text(name.into()), text(value.into())))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let get = |names: &[&str]| names.iter().find_map(|name| all.get(*name)).cloned();
        let is = |name: &str, value: &str| all.get(name).is_some_and(|v| v == value);
        let github_event = get(&["GITHUB_EVENT_NAME"]);
        let service = match () {
            () if is("GITHUB_ACTIONS", "true") || github_event.is_some() => Some(CiService::GitHub),
            () if is("GITLAB_CI", "true") => Some(CiService::GitLab),
            () => None,
        };
        let ref_name = get(&["GITHUB_REF", "CI_COMMIT_REF_NAME"]);
        let is_pull_ref = ref_name.as_deref().is_some_and(|name| name.starts_with("refs/pull/"));
        let is_pull_event = github_event.as_deref().is_some_and(|event| event.starts_with("pull_request"));
        // `pull_request_target` checks out the base, and the ref `…/head` is the branch itself.
        let merged_by_github = is("GITHUB_EVENT_NAME", "pull_request")
            && ref_name.as_deref().is_none_or(|name| name.ends_with("/merge"));
        let merged_by_gitlab = is("CI_MERGE_REQUEST_EVENT_TYPE", "merged_result")
            || is("CI_MERGE_REQUEST_EVENT_TYPE", "merge_train");
        CiEnvironment {
            is_ci: all.get("CI").is_some_and(|value| value != "false" && value != "0"),
            service,
            is_pull_request: is_pull_event || is_pull_ref || all.contains_key("CI_MERGE_REQUEST_IID"),
            base_ref: get(&["GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"]),
            event: github_event.or_else(|| get(&["CI_PIPELINE_SOURCE"])),
            ref_name,
            default_branch: get(&["CI_DEFAULT_BRANCH"]),
            commit: get(&["GITHUB_SHA", "CI_COMMIT_SHA"]),
            is_merge_result: merged_by_github || merged_by_gitlab,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_is_what_is_set_and_not_denied() {
        let is_ci = |value: &str| CiEnvironment::from_variables([("CI", value)]).is_ci;
        assert!(is_ci("true") && is_ci("1") && is_ci("yes"));
        assert!(!is_ci("false") && !is_ci("0") && !is_ci(""));
        let nothing = CiEnvironment::from_variables([("HOME", "/root")]);
        assert_eq!(nothing, CiEnvironment::default());
    }

    #[test]
    fn a_pull_request_is_told_by_event_or_ref() {
        let github = |event: &str, name: &str| {
            CiEnvironment::from_variables([
                ("CI", "true"),
                ("GITHUB_EVENT_NAME", event),
                ("GITHUB_REF", name),
                ("GITHUB_BASE_REF", "main"),
            ])
        };
        let pull = github("pull_request", "refs/pull/7/merge");
        assert!(pull.is_pull_request && pull.is_merge_result);
        assert_eq!((pull.base_ref.as_deref(), pull.service), (Some("main"), Some(CiService::GitHub)));
        let target = github("pull_request_target", "refs/heads/main");
        assert!(target.is_pull_request && !target.is_merge_result);
        assert!(github("workflow_dispatch", "refs/pull/7/head").is_pull_request);
        assert!(!github("push", "refs/heads/main").is_pull_request);
        let gitlab = |kind: &str| {
            CiEnvironment::from_variables([
                ("GITLAB_CI", "true"),
                ("CI_MERGE_REQUEST_IID", "3"),
                ("CI_MERGE_REQUEST_EVENT_TYPE", kind),
                ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "trunk"),
            ])
        };
        assert!(gitlab("merged_result").is_merge_result && !gitlab("detached").is_merge_result);
        assert!(gitlab("detached").is_pull_request);
        assert_eq!(gitlab("detached").base_ref.as_deref(), Some("trunk"));
    }
}
