//! Services under test: a child process (the default), or a task inside the test process.
//!
//! The main type is [`Service`], what `setup` returns. Whatever happens, no child outlives the test: it is
//! killed when its [`Service`] is dropped, when the test ends, and when the subcommand goes away.

mod child;
mod probe;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loadtest_core::results::ServiceInfo;
use tokio::net::TcpListener;

pub use child::ServiceBuilder;

use crate::error::Result;

/// A running service.
#[derive(Debug)]
pub struct Service {
    info: ServiceInfo,
    stop: Stop,
}

#[derive(Debug)]
enum Stop {
    Child(Arc<Mutex<std::process::Child>>),
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
}

impl Drop for Service {
    fn drop(&mut self) {
        match &self.stop {
            Stop::Child(child) => kill(child),
            Stop::Task(task) => task.abort(),
        }
    }
}

fn kill(child: &Mutex<std::process::Child>) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    // It may have ended by itself, which is as good.
    let _ = child.kill();
    let _ = child.wait();
}

/// Every service of this process, known so that they can be told about and killed from anywhere.
#[derive(Clone, Default)]
pub(crate) struct Services {
    started: Arc<Mutex<Vec<Started>>>,
}

struct Started {
    info: ServiceInfo,
    child: Option<Arc<Mutex<std::process::Child>>>,
}

impl Services {
    fn add(&self, info: &ServiceInfo, child: Option<&Arc<Mutex<std::process::Child>>>) {
        let started = Started { info: info.clone(), child: child.cloned() };
        self.started.lock().unwrap_or_else(PoisonError::into_inner).push(started);
    }

    /// What was started so far.
    pub(crate) fn infos(&self) -> Vec<ServiceInfo> {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        started.iter().map(|service| service.info.clone()).collect()
    }

    /// Services whose process has ended although nobody stopped them, with how it ended.
    pub(crate) fn died(&self) -> Vec<String> {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let mut died = Vec::new();
        for service in started.iter() {
            let Some(child) = &service.child else { continue };
            let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok(Some(status)) = child.try_wait() {
                let log = service.info.log.as_deref().map(probe::last_lines).unwrap_or_default();
                died.push(format!("the service `{}` ended while the test ran ({status}){log}", service.info.name));
            }
        }
        died
    }

    /// Kills what still runs.
    pub(crate) fn kill_all(&self) {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        for child in started.iter().filter_map(|service| service.child.as_ref()) {
            kill(child);
        }
    }
}

/// Runs a service as a task on the current runtime.
pub(crate) async fn in_process<F, Fut>(services: &Services, serve: F) -> Result<Service>
where
    F: FnOnce(TcpListener) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let task = tokio::spawn(serve(listener));
    let info = ServiceInfo { name: "in-process".to_owned(), base_url, path: None, pid: None, log: None };
    services.add(&info, None);
    Ok(Service { info, stop: Stop::Task(task) })
}

/// How long a service may take to become ready, unless the test says otherwise.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
