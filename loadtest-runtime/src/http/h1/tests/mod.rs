//! The codec and the connections of HTTP/1.1: known answers, hostile servers, hyper as an oracle, hyper and nginx as
//! servers.

// The pairs of sockets are Unix's.
#![cfg(unix)]

mod chunked;
mod codec;
mod corpus;
mod hostile;
mod idle;
mod nginx;
mod oracle;
mod requests;
mod script;
mod servers;
mod splits;
mod uploads;
mod wire;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::super::{ErrorKind, ExchangeRecord, Http, HttpClient, HttpOptions, RecordExchange};

/// What was recorded of an exchange: its status, and what kind of failure it was.
type Recorded = (u16, Option<ErrorKind>);

#[derive(Debug, Default)]
struct Recorder(RefCell<Vec<Recorded>>);

impl RecordExchange for Recorder {
    fn record(&self, exchange: &ExchangeRecord<'_>) {
        assert_eq!(exchange.error.is_some(), !exchange.error_text.is_empty());
        self.0.borrow_mut().push((exchange.status, exchange.error));
    }

    fn throttled(&self, _name: &str, _tags: &[(String, String)], _waited: Duration) {}
}

impl Recorder {
    fn all(&self) -> Vec<Recorded> {
        self.0.borrow().clone()
    }
}

/// A virtual user's client, and what it recorded.
fn user() -> (Http, Rc<Recorder>) {
    let recorder = Rc::new(Recorder::default());
    let options = HttpOptions { timeout: Duration::from_secs(10), ..HttpOptions::default() };
    let client = Rc::new(HttpClient::new(Arc::new(options)));
    (Http::new(client, Rc::clone(&recorder) as Rc<dyn RecordExchange>), recorder)
}

/// Runs a test as a worker runs a virtual user; one that hangs fails.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let bounded = async { tokio::time::timeout(Duration::from_secs(60), test).await };
    local.block_on(&runtime, bounded).expect("the test hangs");
}
