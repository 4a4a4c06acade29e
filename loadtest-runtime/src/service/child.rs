//! A service as a child process.

use std::ffi::OsString;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use loadtest_core::results::ServiceInfo;

use super::{Process, READY_TIMEOUT, Service, Services, Stop, probe};
use crate::clock;
use crate::error::{Error, Result};
use crate::setup::SharedOptions;

/// Describes a service to start: arguments, environment, how to tell that it is ready.
///
/// The child gets a free port in the environment variable `PORT` and wherever an argument or value has
/// `{port}` in it.
pub struct ServiceBuilder {
    name: String,
    path: PathBuf,
    log_dir: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    ready_path: Option<String>,
    ready_timeout: Duration,
    services: Services,
    http_options: SharedOptions,
}

impl std::fmt::Debug for ServiceBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values of the environment may be secrets.
        f.debug_struct("ServiceBuilder")
            .field("name", &self.name)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ServiceBuilder {
    pub(crate) fn new(name: &str, path: PathBuf, log_dir: &Path, services: Services) -> Self {
        Self {
            name: name.to_owned(),
            path,
            log_dir: log_dir.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            ready_path: None,
            ready_timeout: READY_TIMEOUT,
            services,
            http_options: SharedOptions::default(),
        }
    }

    /// What its [`Service::http`] obeys.
    pub(crate) fn http_options(mut self, options: &SharedOptions) -> Self {
        self.http_options = options.clone();
        self
    }

    /// Adds an argument; `{port}` in it becomes the port.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments; `{port}` in them becomes the port.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable of the child; `{port}` in the value becomes the port.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// The path to ask until the answer is a 2xx. Without it, a service that accepts connections is ready.
    #[must_use]
    pub fn ready(mut self, path: impl Into<String>) -> Self {
        self.ready_path = Some(path.into());
        self
    }

    /// How long it may take to become ready; 30 s by default.
    #[must_use]
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.ready_timeout = timeout;
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// If it can't be started, ends early, or is not ready in time: with the last lines of its log.
    pub async fn start(self) -> Result<Service> {
        // The port is free now; that nobody takes it before the child does is the usual small risk.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let with_port = |text: &String| OsString::from(text.replace("{port}", &port.to_string()));
        let log_path = self.log_path();
        let log = File::create(&log_path).map_err(|error| {
            Error::msg(format!("can't write the service's log {}: {error}", log_path.display()))
        })?;
        let child = Command::new(&self.path)
            .args(self.arguments.iter().map(with_port))
            .env("PORT", port.to_string())
            .env_remove(loadtest_core::wire::ENV_ADDR)
            .env_remove(loadtest_core::wire::ENV_TOKEN)
            .envs(self.environment.iter().map(|(key, value)| (key, with_port(value))))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| Error::msg(format!("can't start {}: {error}", self.path.display())))?;
        let info = ServiceInfo {
            name: self.name,
            base_url: format!("http://127.0.0.1:{port}"),
            path: Some(self.path.display().to_string()),
            pid: Some(child.id()),
            log: Some(log_path.display().to_string()),
        };
        let process = Arc::new(Process::new(child));
        self.services.add(&info, Some(&process));
        let stop = Stop::Process(Arc::clone(&process));
        let service = Service { info, stop, http_options: self.http_options.clone() };

        let deadline = clock::now() + self.ready_timeout;
        let failure = loop {
            let attempt = probe::ready(port, self.ready_path.as_deref());
            let last = match tokio::time::timeout_at(deadline, attempt).await {
                Ok(Ok(())) => return Ok(service),
                Ok(Err(reason)) => reason,
                Err(_) => "no answer".to_owned(),
            };
            if let Some(status) = process.ended()? {
                break format!("ended before it was ready ({status})");
            }
            if clock::now() >= deadline {
                break format!("was not ready within {:?}: {last}", self.ready_timeout);
            }
            // Nothing tells when a port of another process opens: it is asked again and again.
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        process.kill();
        Err(Error::msg(format!(
            "the service `{}` {failure}{}",
            service.info.name,
            probe::last_lines(&log_path.display().to_string())
        )))
    }

    fn log_path(&self) -> PathBuf {
        let safe: String =
            self.name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        // A second service of the same binary gets a log of its own.
        let number = self.services.infos().len() + 1;
        self.log_dir.join(format!("service-{number}-{safe}.log"))
    }
}
