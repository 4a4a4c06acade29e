//! Services under test: a child process (the default), or a task inside the test process.
//!
//! The main type is [`Service`], what `setup` returns. Whatever happens, no child outlives the test: it is
//! killed when its [`Service`] is dropped, when the test ends, and when the subcommand goes away.

mod child;
mod probe;
#[cfg(test)]
mod tests;

use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loadtest_core::results::ServiceInfo;
use tokio::net::TcpListener;

pub use child::ServiceBuilder;

use crate::error::Result;
use crate::http::Http;
use crate::setup::SharedOptions;

/// A running service.
#[derive(Debug)]
pub struct Service {
    info: ServiceInfo,
    stop: Stop,
    http_options: SharedOptions,
}

#[derive(Debug)]
enum Stop {
    Process(Arc<Process>),
    Task(tokio::task::JoinHandle<()>),
}

impl Service {
    /// `http://127.0.0.1:PORT` and the path, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.info.base_url)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> &str {
        &self.info.base_url
    }

    /// The process id, of a child process.
    pub fn pid(&self) -> Option<u32> {
        self.info.pid
    }

    /// An HTTP client for `teardown`: asks the service what is true after the load. Its requests are not part
    /// of the load and not counted. Virtual users have [`Vu::http`](crate::Vu::http).
    ///
    /// It obeys the test's HTTP options, as [`Setup::http`](crate::Setup::http) does: those that hold when this is
    /// called.
    pub fn http(&self) -> Http {
        crate::setup::unrecorded(Arc::clone(&self.http_options.borrow()))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        match &self.stop {
            Stop::Process(process) => process.kill(),
            Stop::Task(task) => task.abort(),
        }
    }
}

/// A child process, known to whoever may have to end it.
#[derive(Debug)]
struct Process {
    child: Mutex<std::process::Child>,
    /// Whether its end is no news: it was killed here, or its death was told.
    settled: AtomicBool,
}

impl Process {
    fn new(child: std::process::Child) -> Self {
        Self { child: Mutex::new(child), settled: AtomicBool::new(false) }
    }

    fn kill(&self) {
        self.settled.store(true, Ordering::Relaxed);
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have ended by itself, which is as good.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// How it ended, if it did.
    fn ended(&self) -> std::io::Result<Option<ExitStatus>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait()
    }

    fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }
}

/// Every service of this process, known so that they can be told about and killed from anywhere.
#[derive(Clone, Default)]
pub(crate) struct Services {
    started: Arc<Mutex<Vec<Started>>>,
}

struct Started {
    info: ServiceInfo,
    process: Option<Arc<Process>>,
}

impl Services {
    fn add(&self, info: &ServiceInfo, process: Option<&Arc<Process>>) {
        self.lock().push(Started { info: info.clone(), process: process.cloned() });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Started>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was started so far.
    pub(crate) fn infos(&self) -> Vec<ServiceInfo> {
        self.lock().iter().map(|service| service.info.clone()).collect()
    }

    /// The process of the first service that runs in one of its own and has not ended.
    pub(crate) fn running_pid(&self) -> Option<u32> {
        let running =
            |service: &&Started| service.process.as_ref().is_some_and(|process| !process.is_settled());
        self.lock().iter().find(running).and_then(|service| service.info.pid)
    }

    /// Services whose process has ended although nobody stopped them, with how it ended. Each is told once.
    pub(crate) fn died(&self) -> Vec<String> {
        let mut died = Vec::new();
        for service in self.lock().iter() {
            let Some(process) = &service.process else { continue };
            if !process.is_settled()
                && let Ok(Some(status)) = process.ended()
                // Whoever kills it at this moment has come first.
                && !process.settled.swap(true, Ordering::Relaxed)
            {
                let log = service.info.log.as_deref().map(probe::last_lines).unwrap_or_default();
                died.push(format!(
                    "the service `{}` ended while the test ran ({status}){log}",
                    service.info.name
                ));
            }
        }
        died
    }

    /// Kills what still runs.
    pub(crate) fn kill_all(&self) {
        for process in self.lock().iter().filter_map(|service| service.process.as_ref()) {
            process.kill();
        }
    }
}

/// Runs a service as a task on the current runtime.
pub(crate) async fn in_process<F, Fut>(
    services: &Services,
    http_options: &SharedOptions,
    serve: F,
) -> Result<Service>
where
    F: FnOnce(TcpListener) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let task = tokio::spawn(serve(listener));
    let info = ServiceInfo { name: "in-process".to_owned(), base_url, path: None, pid: None, log: None };
    services.add(&info, None);
    Ok(Service { info, stop: Stop::Task(task), http_options: http_options.clone() })
}

/// How long a service may take to become ready, unless the test says otherwise.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
