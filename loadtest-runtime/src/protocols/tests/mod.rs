//! Each protocol against a server on loopback.

mod sse;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "websocket")]
mod websocket;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use loadtest_core::metric::Builtin;

use super::{OwnTags, Protocol, RecordSamples};
use crate::http::{Dialer, HttpClient, HttpOptions};

/// A metric, the tags, and the value.
type Value = (&'static str, BTreeMap<String, String>, f64);

/// What was recorded.
#[derive(Debug, Default)]
struct Seen {
    values: RefCell<Vec<Value>>,
    measured: RefCell<Vec<(String, bool)>>,
    failed: RefCell<Vec<(Protocol, String)>>,
}

impl RecordSamples for Seen {
    fn value(&self, tags: &OwnTags, metric: Builtin, value: f64) {
        let tags = tags.pairs().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        self.values.borrow_mut().push((metric.name(), tags, value));
    }

    fn measured(&self, _: &OwnTags, name: &str, took: Duration, failed: bool) {
        assert!(took < Duration::from_secs(30));
        self.measured.borrow_mut().push((name.to_owned(), failed));
    }

    fn failed(&self, protocol: Protocol, text: String) {
        self.failed.borrow_mut().push((protocol, text));
    }
}

impl Seen {
    /// How many values a metric has, and their sum.
    fn sum(&self, metric: Builtin) -> (usize, f64) {
        let values = self.values.borrow();
        let of: Vec<f64> =
            values.iter().filter(|(name, ..)| *name == metric.name()).map(|(.., value)| *value).collect();
        (of.len(), of.iter().sum())
    }

    /// The tags of a metric that has one value, as `key=value` in their order.
    fn tags(&self, metric: Builtin) -> String {
        let values = self.values.borrow();
        let of: Vec<_> = values.iter().filter(|(name, ..)| *name == metric.name()).collect();
        let [(_, tags, _)] = &of[..] else { panic!("one value of {}: {of:?}", metric.name()) };
        tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    }

    /// The only failure.
    fn failure(&self) -> (Protocol, String) {
        let failed = self.failed.borrow();
        assert_eq!(failed.len(), 1, "{failed:?}");
        failed[0].clone()
    }
}

fn user() -> (Dialer, Rc<Seen>) {
    user_with(HttpOptions::default())
}

fn user_with(options: HttpOptions) -> (Dialer, Rc<Seen>) {
    (HttpClient::new(Arc::new(options)).dialer(), Rc::default())
}

/// A port that nothing listens on.
async fn closed_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// Runs a test as a worker runs a virtual user; one that hangs fails.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { tokio::time::timeout(Duration::from_secs(30), test).await };
    tokio::task::LocalSet::new().block_on(&runtime, bounded).expect("the test hangs");
}
