//! What a `setup` function gets: the binaries that were built for the test, values from outside, an HTTP
//! client whose requests are not part of the load, and services to start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loadtest_core::options::http::HttpSettings;

use crate::error::{Error, Result};
use crate::http::{ExchangeRecord, Http, HttpClient, HttpOptions, RecordExchange};
use crate::service::{ServiceBuilder, Services};

/// The context of a `setup` function: `async fn start(setup: Setup) -> Result<Service>`.
#[derive(Clone)]
pub struct Setup {
    shared: Rc<SetupShared>,
}

pub(crate) struct SetupShared {
    pub(crate) binaries: BTreeMap<String, String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) log_dir: PathBuf,
    pub(crate) services: Services,
    pub(crate) http_options: SharedOptions,
    /// What the test's options say of HTTP, laid over whatever `setup` sets.
    pub(crate) http_settings: HttpSettings,
    pub(crate) seed: u64,
}

/// The options of the test's HTTP clients, which its services know too: one that was started before `setup` set
/// them asks by those that hold when it asks.
#[derive(Clone, Default)]
pub(crate) struct SharedOptions(Arc<Mutex<Arc<HttpOptions>>>);

impl SharedOptions {
    pub(crate) fn new(options: HttpOptions) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(options))))
    }

    /// The options that hold now.
    pub(crate) fn borrow(&self) -> MutexGuard<'_, Arc<HttpOptions>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, options: HttpOptions) {
        *self.borrow() = Arc::new(options);
    }
}

impl std::fmt::Debug for SharedOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedOptions").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("binaries", &self.shared.binaries).finish_non_exhaustive()
    }
}

impl Setup {
    pub(crate) fn new(shared: Rc<SetupShared>) -> Self {
        Self { shared }
    }

    /// A value from `-e KEY=VALUE` or the attribute's `env`.
    pub fn env(&self, key: &str) -> Option<&str> {
        self.shared.env.get(key).map(String::as_str)
    }

    /// The seed of this run, for data that should be the same in every run with the same `--seed`.
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// The executable of a binary that the attribute names in `binaries`.
    ///
    /// # Errors
    /// If the attribute does not name it.
    pub fn binary(&self, name: &str) -> Result<&Path> {
        match self.shared.binaries.get(name) {
            Some(path) => Ok(Path::new(path)),
            None => Err(Error::msg(format!(
                "the binary `{name}` was not built for this test\nhint: add `binaries = [\"{name}\"]` to its #[load_test]"
            ))),
        }
    }

    /// Starts one of the `binaries` as a service of its own process: a free port, a probe until it is
    /// ready, its log kept, and killed with the test for certain.
    ///
    /// # Errors
    /// If the attribute does not name the binary.
    pub fn service(&self, binary: &str) -> Result<ServiceBuilder> {
        let path = self.binary(binary)?.to_owned();
        Ok(ServiceBuilder::new(binary, path, &self.shared.log_dir, self.shared.services.clone())
            .http_options(&self.shared.http_options))
    }

    /// Runs a service inside the test process, on the runtime that setup and teardown use: the function gets
    /// a listener on a free port of 127.0.0.1.
    ///
    /// The service and the load generator then share one process and its numbers; prefer
    /// [`Setup::service`] wherever there is a binary.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn in_process<F, Fut>(&self, serve: F) -> Result<crate::Service>
    where
        F: FnOnce(tokio::net::TcpListener) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        crate::service::in_process(&self.shared.services, &self.shared.http_options, serve).await
    }

    /// An HTTP client for preparing things. Its requests are not part of the load and not counted.
    pub fn http(&self) -> Http {
        unrecorded(Arc::clone(&self.shared.http_options.borrow()))
    }

    /// Sets the options of the HTTP client that every virtual user gets: time limits, root certificates,
    /// user agent.
    ///
    /// What the attribute, `loadtest.toml`, the environment or the command line say of the same setting goes
    /// before: these are defaults of the test, and whoever runs it has the last word. In CI that is also so of
    /// `allow`, which is `["loopback"]` there unless one of these places says otherwise.
    pub fn set_http_options(&self, options: HttpOptions) {
        let laid = options.with(&self.shared.http_settings);
        // The settings were laid over other options before the setup, and nothing else can be wrong.
        let laid = laid.expect("settings that were right before the setup");
        self.shared.http_options.set(laid);
    }
}

/// A client for what comes before and after the load.
pub(crate) fn unrecorded(options: Arc<HttpOptions>) -> Http {
    Http::new(Rc::new(HttpClient::new(options)), Rc::new(Unrecorded))
}

/// Requests of setup and teardown are no samples.
struct Unrecorded;

impl RecordExchange for Unrecorded {
    fn record(&self, _exchange: &ExchangeRecord<'_>) {}
}
