//! Load tests next to your unit tests.
//!
//! ```
//! use loadtest_runtime::prelude::*;
//!
//! #[load_test(vus = 10, duration = "5s", thresholds = ["http_req_duration: p(95)<500ms"])]
//! async fn browse(vu: &mut Vu) -> Result<()> {
//!     let response = vu.http().get("http://127.0.0.1:8080/").send().await?;
//!     vu.check("found", response.status() == 200);
//!     vu.sleep(secs(1)).await;
//!     Ok(())
//! }
//! ```
//!
//! `cargo loadtest` builds the test binary that this crate is linked into, runs the function with virtual
//! users, and reports. `cargo test` lists the load test as ignored and never fires load.
//!
//! This crate measures: it runs virtual users, records, aggregates and judges thresholds. It is a
//! dev-dependency, so it stays light; comparing, reporting and storing are the subcommand's.
//!
//! Read in the order of the data: `registry` → `harness` → `scheduler` → `executor` → `vu` → `metrics` → `link`.
//!
//! # Features
//!
//! | feature | default | what for |
//! |---|---|---|
//! | `compression` | yes | decode gzip, deflate, br and zstd bodies; `.compress(..)` those of requests |
//! | `csv` | yes | `Feed::csv`, `Feed::rows`: test data from CSV files |
//! | `tls` | yes | https; brings no crypto provider, the one of your own tree is used |
//! | `ring` | no | adds rustls' `ring` provider, for trees that have none |
//! | `aws-lc-rs` | no | adds rustls' `aws-lc-rs` provider, for trees that have none |
//! | `http2` | no | HTTP/2, where TLS negotiates it or by prior knowledge |
//! | `digest` | no | `.digest_auth(..)`: HTTP Digest authentication |
//! | `websocket` | no | `vu.websocket(url)`: WebSocket sessions |
//! | `tower` | no | `vu.layer()`: gRPC calls of tonic's clients, and any other tower service |
//! | `reqwest` | no | `vu.http_with(&client)`: requests of your own `reqwest::Client` |

#[doc(hidden)]
pub mod attribute;
mod clock;
mod context;
pub mod error;
mod executor;
pub mod feed;
mod harness;
mod hash;
pub mod http;
#[doc(hidden)]
pub mod lifecycle;
mod link;
mod log;
mod metrics;
mod panics;
mod preparation;
mod process;
pub mod protocols;
mod random;
#[doc(hidden)]
pub mod registry;
mod scheduler;
mod service;
mod setup;
mod vu;
mod worker;

use std::time::Duration;

pub use error::{Error, Result};
pub use feed::Feed;
pub use harness::main;
pub use loadtest_macros::load_test;
pub use random::Random;
pub use service::{Service, ServiceBuilder};
pub use setup::Setup;
pub use vu::{Execution, Vu};

pub use rand;
#[cfg(feature = "reqwest")]
pub use reqwest;

/// The kinds of metric that [`metrics!`] declares.
pub mod metric {
    pub use crate::metrics::custom::TrendValue;
    pub use crate::metrics::{Counter, Gauge, Rate, Trend};
}

/// What a load test usually needs.
pub mod prelude {
    pub use crate::feed::{Exhausted, Feed, Order};
    pub use crate::http::Multipart;
    pub use crate::{Error, Result, Service, Setup, Vu, load_test, metrics, millis, secs};
}

/// A number of seconds.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A number of milliseconds.
pub const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What benchmarks of the parts need. Not for people: it changes with them.
#[cfg(feature = "bench-internals")]
#[doc(hidden)]
pub mod bench_internals {
    pub use crate::http::Codec;
    pub use crate::metrics::bench::{Pipeline, Work};
}

/// What the expansion of [`load_test`] and [`metrics!`] names. Not for people: it changes with them.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use loadtest_core::metric::{Kind, Unit};

    pub use crate::harness::entry;
    pub use crate::metrics::custom::Declaration;
    pub use std::option::Option;
    pub use std::prelude::v1::test;
    pub use std::result::Result;
    pub use std::{concat, env, file, module_path};

    pub use crate::attribute::Attribute;
    pub use crate::lifecycle::{Outcome, Returned, ReturnedValue, builder, id_of};
    pub use crate::lifecycle::{init_vu, reset, set_up, tear_down};
    pub use crate::registry::Registration;
}
