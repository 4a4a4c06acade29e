//! What a virtual user speaks beside HTTP: sessions of other protocols, and layers around clients of its own.
//!
//! Each belongs to the iteration that asked for it: what is measured after its end is discarded, as for requests.

use std::rc::Rc;
use std::time::Duration;

use loadtest_core::metric::Builtin;

use super::{Core, Vu};
use crate::clock;
use crate::metrics::errors;
use crate::protocols::tcp::TcpBuilder;
use crate::protocols::{OwnTags, Protocol, RecordSamples};

impl Vu {
    /// A raw TCP connection to `host:port`, or one within TLS to `tls://host:port`. What it may connect to, and how,
    /// is what holds for requests.
    ///
    /// ```
    /// # use loadtest_runtime::prelude::*;
    /// async fn ask(vu: &mut Vu) -> Result {
    ///     let mut tcp = vu.tcp("127.0.0.1:7000").connect().await?;
    ///     let answer = tcp.request("hello\n", "\n").await?;
    ///     vu.check("an echo", answer == "hello\n");
    ///     Ok(())
    /// }
    /// ```
    pub fn tcp(&self, address: impl AsRef<str>) -> TcpBuilder {
        TcpBuilder::new(self.client.dialer(), self.samples(), address.as_ref())
    }

    /// A WebSocket session at a `ws://` or `wss://` URL. What it may connect to, and how, is what holds for requests. The
    /// virtual user's cookies for that URL are sent, unless `.header("cookie", ..)` says others; those that the answer
    /// sets are not kept.
    #[cfg(feature = "websocket")]
    pub fn websocket(&self, url: impl AsRef<str>) -> crate::protocols::websocket::WebSocketBuilder {
        let (dialer, samples, url) = (self.client.dialer(), self.samples(), url.as_ref());
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let http = if scheme.eq_ignore_ascii_case("wss") { "https" } else { "http" };
        // A URL that is none is told when the session is opened.
        let cookies = self.cookie_jar().for_url(format!("{http}://{rest}")).unwrap_or_default();
        let cookies: Vec<_> = cookies.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let builder = crate::protocols::websocket::WebSocketBuilder::new(dialer, samples, url);
        builder.cookies(cookies.join("; "))
    }

    /// A tower layer that measures the requests of whatever HTTP client it is put around: gRPC calls of tonic's
    /// clients with k6's metrics, any other request as [`measure`](Vu::measure) does, named by method and path.
    ///
    /// ```ignore
    /// let service = tower::ServiceBuilder::new().layer(vu.layer()).service(channel.clone());
    /// let answer = HealthClient::new(service).check(HealthCheckRequest::default()).await?;
    /// ```
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> crate::protocols::tower::LoadTestLayer {
        crate::protocols::tower::LoadTestLayer::new(self.samples())
    }

    /// A tower layer that measures the calls of any service as [`measure`](Vu::measure) does, under this name: a
    /// client of a database or a broker.
    #[cfg(feature = "tower")]
    pub fn measure_layer(&self, name: impl Into<String>) -> crate::protocols::tower::MeasureLayer {
        crate::protocols::tower::MeasureLayer::new(self.samples(), name.into())
    }

    #[cfg(feature = "websocket")]
    fn cookie_jar(&self) -> crate::http::CookieJar {
        let exchanges = super::ExchangeRecorder { core: Rc::clone(&self.core), epoch: self.core.epoch.get() };
        crate::http::Http::new(Rc::clone(&self.client), Rc::new(exchanges)).cookies()
    }

    pub(super) fn samples(&self) -> Rc<dyn RecordSamples> {
        SampleRecorder::of(&self.core, self.core.epoch.get())
    }
}

/// Records samples for one iteration.
pub(super) struct SampleRecorder {
    core: Rc<Core>,
    epoch: u64,
}

impl SampleRecorder {
    pub(super) fn of(core: &Rc<Core>, epoch: u64) -> Rc<dyn RecordSamples> {
        Rc::new(Self { core: Rc::clone(core), epoch })
    }
}

impl RecordSamples for SampleRecorder {
    fn value(&self, own: &OwnTags, metric: Builtin, value: f64) {
        self.core.record(self.epoch, |recorder, base| {
            let tags = own.interned(base, |own| {
                own.pairs().fold(base, |tags, (key, value)| recorder.with_tag(tags, key, value))
            });
            recorder.value(clock::now(), tags, metric.name(), || metric.def(), value);
        });
    }

    fn measured(&self, own: &OwnTags, name: &str, took: Duration, failed: bool) {
        self.core.record(self.epoch, |recorder, base| {
            let tags = own.interned(base, |own| {
                own.pairs().fold(base, |tags, (key, value)| recorder.with_tag(tags, key, value))
            });
            recorder.measure(clock::now(), tags, name, took, failed);
        });
    }

    fn failed(&self, protocol: Protocol, text: String) {
        let source = match protocol {
            Protocol::WebSocket => errors::Source::WebSocket,
            Protocol::Sse => errors::Source::Sse,
            Protocol::Tcp => errors::Source::Tcp,
            Protocol::Grpc => errors::Source::Grpc,
            Protocol::Measure => errors::Source::Measure,
        };
        if self.core.recording.get() && self.core.epoch.get() == self.epoch {
            self.core.error(source, text, None);
        }
    }
}
