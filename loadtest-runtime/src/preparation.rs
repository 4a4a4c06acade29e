//! What comes before setup and load: bringing the target back to where it was, and asking whether it is there.
//!
//! The main functions are [`reset`] and [`preflight`]. Both end the test before any load if they fail, with
//! what was found and what to type.

use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use loadtest_core::results::ServiceInfo;

use crate::clock;
use crate::http::Http;

/// How long a command of `reset` may take.
const RESET_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a target is asked for its health.
const PREFLIGHT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Runs the shell command of the option `reset` in the package's directory; its output is the test's.
///
/// # Errors
/// If it can't be started, fails or takes longer than a minute: a sentence.
pub(crate) async fn reset(command: &str) -> Result<(), String> {
    let failed = |what: String| format!("reset: `{command}` {what}");
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| failed(format!("can't be started: {error}")))?;
    let deadline = clock::now() + RESET_TIMEOUT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(failed(describe(status))),
            Err(error) => return Err(failed(format!("can't be waited for: {error}"))),
            Ok(None) if clock::now() >= deadline => {
                // It and what it started are gone with the process group of the test, at the latest.
                let _: io::Result<()> = child.kill();
                let _: io::Result<ExitStatus> = child.wait();
                return Err(failed(format!("took longer than {RESET_TIMEOUT:?}")));
            }
            // The standard library can't be woken by the end of a child.
            Ok(None) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("failed with exit code {code}"),
        None => format!("failed: {status}"),
    }
}

/// The URLs that the option `preflight` means: a path is one of each service that was started.
///
/// # Errors
/// If it is a path and no service was started.
pub(crate) fn targets(preflight: &str, services: &[ServiceInfo]) -> Result<Vec<String>, String> {
    if !preflight.starts_with('/') {
        return Ok(vec![preflight.to_owned()]);
    }
    if services.is_empty() {
        return Err(format!(
            "preflight: `{preflight}` is a path, and setup has started no service that it could be one of\n\
             hint: write the whole URL, for example `http://127.0.0.1:8080{preflight}`"
        ));
    }
    Ok(services.iter().map(|service| format!("{}{preflight}", service.base_url)).collect())
}

/// Asks a URL until it answers with a 2xx, for a few seconds.
///
/// # Errors
/// What the last answer was.
pub(crate) async fn preflight(http: &Http, url: &str) -> Result<(), String> {
    let deadline = clock::now() + PREFLIGHT_TIMEOUT;
    loop {
        let found = match http.get(url).timeout(ANSWER_TIMEOUT).send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => format!("GET {url}: answered {}", response.status()),
            // Its own hint is about requests; what to do is said below.
            Err(error) => error.to_string().lines().next().unwrap_or_default().to_owned(),
        };
        if clock::now() + LOOK_AGAIN >= deadline {
            return Err(format!(
                "preflight: the target is not healthy: {found} (asked for {PREFLIGHT_TIMEOUT:?})\n\
                 hint: start it before the load test, or have `setup` start it; no load was sent"
            ));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reset_tells_how_its_command_failed() {
        assert_eq!(reset("true").await, Ok(()));
        let error = reset("exit 7").await.expect_err("fails");
        assert!(error.contains("`exit 7` failed with exit code 7"), "{error}");
    }

    #[test]
    fn a_path_needs_a_service() {
        let service = ServiceInfo {
            name: "shop".to_owned(),
            base_url: "http://127.0.0.1:1".to_owned(),
            path: None,
            pid: None,
            log: None,
        };
        assert_eq!(targets("/health", &[service]), Ok(vec!["http://127.0.0.1:1/health".to_owned()]));
        assert_eq!(targets("http://h/x", &[]), Ok(vec!["http://h/x".to_owned()]));
        assert!(targets("/health", &[]).expect_err("no service").contains("hint: write the whole URL"));
    }
}
