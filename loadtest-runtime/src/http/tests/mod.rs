//! The client against a server that does what it is told, on loopback.

#[cfg(feature = "digest")]
mod auth;
mod basics;
mod batch;
#[cfg(feature = "tls")]
mod certificates;
#[cfg(feature = "compression")]
mod compression;
mod connections;
mod cookies;
mod debug;
mod errors;
#[cfg(feature = "http2")]
mod h2;
mod handler;
mod limits;
mod multipart;
mod net;
mod policies;
mod redirects;
#[cfg(feature = "reqwest")]
mod reqwest_client;
mod server;
#[cfg(feature = "tls")]
mod tls;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Error, ErrorKind, ExchangeRecord, Http, HttpClient, HttpOptions, Protocol, RecordExchange, Timings,
};

/// An exchange as it was recorded.
#[derive(Debug, Clone)]
struct Recorded {
    name: String,
    method: String,
    status: u16,
    protocol: Protocol,
    error: Option<ErrorKind>,
    error_code: u16,
    expected: bool,
    tags: Vec<(String, String)>,
    url: String,
    error_text: String,
    timings: Timings,
    bytes_sent: u64,
    bytes_received: u64,
}

#[derive(Debug, Default)]
struct Recorder(RefCell<Vec<Recorded>>, RefCell<Vec<(String, Duration)>>);

impl RecordExchange for Recorder {
    fn record(&self, exchange: &ExchangeRecord<'_>) {
        self.0.borrow_mut().push(Recorded {
            name: exchange.name.to_owned(),
            method: exchange.method.to_owned(),
            status: exchange.status,
            protocol: exchange.protocol,
            error: exchange.error,
            error_code: exchange.error_code(),
            expected: exchange.expected_response,
            tags: exchange.tags.to_vec(),
            url: exchange.url.to_owned(),
            error_text: exchange.error_text.to_owned(),
            timings: exchange.timings,
            bytes_sent: exchange.bytes_sent,
            bytes_received: exchange.bytes_received,
        });
    }

    fn throttled(&self, name: &str, _tags: &[(String, String)], waited: Duration) {
        self.1.borrow_mut().push((name.to_owned(), waited));
    }
}

impl Recorder {
    fn all(&self) -> Vec<Recorded> {
        self.0.borrow().clone()
    }

    /// The only exchange recorded so far.
    fn only(&self) -> Recorded {
        let all = self.all();
        assert_eq!(all.len(), 1, "{all:#?}");
        all[0].clone()
    }

    fn statuses(&self) -> Vec<u16> {
        self.0.borrow().iter().map(|exchange| exchange.status).collect()
    }
}

/// A virtual user's client, and what it recorded.
fn user() -> (Http, Rc<Recorder>) {
    user_with(HttpOptions::default())
}

fn user_with(options: HttpOptions) -> (Http, Rc<Recorder>) {
    let recorder = Rc::new(Recorder::default());
    let client = Rc::new(HttpClient::new(Arc::new(options)));
    (Http::new(client, Rc::clone(&recorder) as Rc<dyn RecordExchange>), recorder)
}

/// Runs a test as a worker runs a virtual user; one that hangs fails.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let bounded = async { tokio::time::timeout(Duration::from_secs(30), test).await };
    local.block_on(&runtime, bounded).expect("the test hangs");
}

/// Asserts that a failure was reported and recorded alike.
fn assert_failed(recorded: &Recorded, error: &Error, kind: ErrorKind, code: u16) {
    assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
    assert_eq!((recorded.error, recorded.error_code), (Some(kind), code));
    assert!(!recorded.expected);
    assert!(!recorded.error_text.is_empty());
    assert!(error.to_string().contains(&*super::route::shown(error.url())), "{error}");
    assert!(error.to_string().contains(&recorded.error_text), "{error}");
}
