//! The steps around a load: reset, preflight, setup, teardown, over all scenarios of a test.
//!
//! Scenarios that name the same function share its call. Each step ends with a sentence if it fails.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use loadtest_core::options::Options;

use crate::lifecycle::{Scenario, Shared};
use crate::preparation;
use crate::registry::Registration;
use crate::setup::{self, Setup, SetupShared};

/// How long `setup` and `teardown` may take, each.
const LIFECYCLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A scenario of the test, before setup has given it data.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) options: Options,
    pub(super) registration: &'static Registration,
    pub(super) scenario: Arc<dyn Scenario>,
}

/// Runs every `reset` once: functions, then commands.
pub(super) async fn reset(parts: &[Part], shared: &Rc<SetupShared>) -> Result<(), String> {
    let mut functions = Vec::new();
    let mut commands: Vec<&str> = Vec::new();
    for part in parts {
        let function = (part.registration.reset_id)();
        if function.is_none() || !functions.contains(&function) {
            functions.push(function);
            let reset = part.scenario.reset(Setup::new(Rc::clone(shared)));
            limited("reset", async { reset.await.map_err(|error| format!("reset: {}", placed(error))) })
                .await?;
        }
        if let Some(command) = part.options.reset.as_deref()
            && !commands.contains(&command)
        {
            commands.push(command);
            preparation::reset(command).await?;
        }
    }
    Ok(())
}

/// Asks the targets of this kind whether they are there.
pub(super) async fn preflight(
    parts: &[Part],
    shared: &SetupShared,
    wanted: impl Fn(&str) -> bool,
) -> Result<(), String> {
    let mut asked: Vec<String> = Vec::new();
    let http = setup::unrecorded(Arc::clone(&shared.http_options.borrow()));
    for target in parts.iter().filter_map(|part| part.options.preflight.as_deref()).filter(|t| wanted(t)) {
        for url in preparation::targets(target, &shared.services.infos())? {
            if !asked.contains(&url) {
                preparation::preflight(&http, &url).await?;
                asked.push(url);
            }
        }
    }
    Ok(())
}

/// Runs each `setup` once and gives every scenario its data. Scenarios that name the same function share its
/// call; one that can't be told from others is called for each.
pub(super) async fn set_up_all(parts: &[Part], shared: &Rc<SetupShared>) -> Result<Vec<Shared>, String> {
    let mut made: BTreeMap<TypeId, Shared> = BTreeMap::new();
    let mut data = Vec::new();
    for part in parts {
        let function = (part.registration.setup_id)();
        let known = function.and_then(|function| made.get(&function).cloned());
        let value = match known {
            Some(value) => value,
            None => part.scenario.setup(Setup::new(Rc::clone(shared))).await.map_err(placed)?,
        };
        if let Some(function) = function {
            made.insert(function, Arc::clone(&value));
        }
        data.push(value);
    }
    Ok(data)
}

pub(super) async fn limited<T>(
    what: &str,
    run: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let late = || format!("{what} took longer than {LIFECYCLE_TIMEOUT:?}");
    tokio::time::timeout(LIFECYCLE_TIMEOUT, run).await.unwrap_or_else(|_| Err(late()))
}

fn placed(error: crate::Error) -> String {
    format!("{error:#} (at {})", error.location())
}

/// Runs each `teardown` once for each data; the first error is told.
pub(super) fn tear_down(
    runtime: &tokio::runtime::Runtime,
    parts: &[Part],
    data: &[Shared],
) -> Result<(), String> {
    let mut first = Ok(());
    let mut done = Vec::new();
    for (part, data) in parts.iter().zip(data) {
        let function = (part.registration.teardown_id)();
        let same = |(known, of): &(Option<TypeId>, &Shared)| {
            *known == function && function.is_some() && Arc::ptr_eq(of, data)
        };
        if done.iter().any(same) {
            continue;
        }
        done.push((function, data));
        let teardown = async { part.scenario.teardown(data).await.map_err(placed) };
        let local = tokio::task::LocalSet::new();
        // Each for itself: a panic of one keeps the next ones from nothing.
        let run = || runtime.block_on(local.run_until(limited("teardown", teardown)));
        first = first.and(caught("teardown", run).and_then(|result| result));
    }
    first
}

/// Turns a panic of the user's code into an error; the panic itself has been shown on stderr.
pub(super) fn caught<T>(what: &str, run: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
        .map_err(|panic| format!("{what} panicked: {}", crate::panics::message(panic.as_ref())))
}
