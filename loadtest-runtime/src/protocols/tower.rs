//! Layers for tower services: [`LoadTestLayer`] around clients that send HTTP requests, tonic's among them, and
//! [`MeasureLayer`] around any service.
//!
//! # gRPC
//!
//! A request whose content type is `application/grpc` is a call. Which kind of call it is, its bytes do not say; the
//! layer goes by the messages, counted by their prefixes while they pass:
//!
//! - one message each way at the most, and a status: unary. Its time from the call to its status is
//!   `grpc_req_duration`, with the tags `name`, `service`, `method`, `rpc_type`, `status` and `expected_response`. A
//!   call that the test drops before is one with status 1, CANCELLED.
//! - more messages, or a response that the test drops after a message and before the status: a stream, counted in
//!   `grpc_streams` with its messages in `grpc_streams_msgs_received` and `grpc_streams_msgs_sent`.
//!
//! A client's request bodies are of a type of its own, so counting what is sent needs a way to make one, which for
//! tonic is `vu.layer().count_sent(tonic::body::Body::new)`. Without it, `grpc_streams_msgs_sent` has no data, and a
//! stream that is sent and answered by one message is taken for a unary call.
//!
//! Bytes are those of the bodies. Anything else is an operation as of [`Vu::measure`](crate::Vu::measure), named by
//! method and route template, failed if its status is 400 or more.
//!
//! # Threads
//!
//! A response may go to another thread; what is recorded there waits until the service is called again or dropped.

mod call;
mod handle;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::{Request, Response};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower_layer::Layer;
use tower_service::Service;

use self::call::{Call, Sent};
use self::handle::Handle;
use super::error::DROPPED;
use super::sample::{OwnTags, Protocol, RecordSamples, UnderWay};
use crate::clock;

/// Puts a client that sends HTTP requests under measurement. Made by [`Vu::layer`](crate::Vu::layer).
#[derive(Clone)]
pub struct LoadTestLayer<W = Unwrapped> {
    handle: Handle,
    tags: Vec<(String, String)>,
    wrap: W,
}

impl LoadTestLayer {
    pub(crate) fn new(samples: Rc<dyn RecordSamples>) -> Self {
        Self { handle: Handle::new(samples), tags: Vec::new(), wrap: Unwrapped }
    }

    /// Counts what is sent too. `body` makes the client's own body of one that counts.
    pub fn count_sent<F>(self, body: F) -> LoadTestLayer<CountSent<F>> {
        LoadTestLayer { handle: self.handle, tags: self.tags, wrap: CountSent(body) }
    }
}

impl<W> LoadTestLayer<W> {
    /// A tag for the samples of this client.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }
}

impl<W> fmt::Debug for LoadTestLayer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadTestLayer").finish_non_exhaustive()
    }
}

impl<S, W: Clone> Layer<S> for LoadTestLayer<W> {
    type Service = LoadTestService<S, W>;

    fn layer(&self, inner: S) -> Self::Service {
        let (handle, wrap) = (self.handle.clone(), self.wrap.clone());
        LoadTestService { inner, handle, tags: OwnTags::new(&self.tags), wrap }
    }
}

/// What becomes of the bodies that are sent.
pub trait WrapBody<B> {
    /// The body that the client takes.
    type Body;

    /// Makes it.
    fn wrap(&self, body: B, sent: &Arc<Sent>) -> Self::Body;
}

/// Bodies are sent as they are.
#[derive(Debug, Clone, Copy)]
pub struct Unwrapped;

impl<B> WrapBody<B> for Unwrapped {
    type Body = B;

    fn wrap(&self, body: B, _: &Arc<Sent>) -> B {
        body
    }
}

/// Bodies are counted while they are sent.
#[derive(Clone)]
pub struct CountSent<F>(F);

impl<F> fmt::Debug for CountSent<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountSent").finish_non_exhaustive()
    }
}

impl<F, B, B2> WrapBody<B> for CountSent<F>
where
    F: Fn(SentBody<B>) -> B2,
{
    type Body = B2;

    fn wrap(&self, body: B, sent: &Arc<Sent>) -> B2 {
        (self.0)(SentBody { inner: Box::pin(body), sent: Arc::clone(sent) })
    }
}

/// A client under measurement. It stays on the virtual user's thread.
#[derive(Clone)]
pub struct LoadTestService<S, W = Unwrapped> {
    inner: S,
    handle: Handle,
    tags: OwnTags,
    wrap: W,
}

impl<S, W> fmt::Debug for LoadTestService<S, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadTestService").finish_non_exhaustive()
    }
}

impl<S, W, B, RB> Service<Request<B>> for LoadTestService<S, W>
where
    W: WrapBody<B>,
    S: Service<Request<W::Body>, Response = Response<RB>>,
    S::Error: fmt::Display,
    S::Future: 'static,
    RB: Body<Data = Bytes>,
    RB::Error: fmt::Display,
{
    type Response = Response<RecordedBody<RB>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.handle.drain();
        let mut call = Call::begin(self.handle.clone(), self.tags.clone(), &request);
        let request = request.map(|body| self.wrap.wrap(body, call.sent()));
        let answer = self.inner.call(request);
        Box::pin(async move {
            match answer.await {
                Ok(response) => {
                    call.head(response.status(), response.headers());
                    Ok(response.map(|body| RecordedBody { inner: Box::pin(body), call }))
                }
                Err(error) => {
                    call.refused(&error);
                    Err(error)
                }
            }
        })
    }
}

/// The body of a response, recorded while it is read.
pub struct RecordedBody<B: Body> {
    inner: Pin<Box<B>>,
    call: Call,
}

impl<B> Body for RecordedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = std::task::ready!(self.inner.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => self.call.data(data),
                (_, Some(trailers)) => self.call.trailers(trailers),
                _ => {}
            },
            Some(Err(error)) => self.call.broken(error),
            None => self.call.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Body> Drop for RecordedBody<B> {
    fn drop(&mut self) {
        // Who knows that nothing more comes need not ask for it.
        if self.inner.is_end_stream() {
            self.call.end();
        }
    }
}

impl<B: Body> fmt::Debug for RecordedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedBody").finish_non_exhaustive()
    }
}

/// The body of a request, counted while it is sent.
pub struct SentBody<B> {
    inner: Pin<Box<B>>,
    sent: Arc<Sent>,
}

impl<B: Body<Data = Bytes>> Body for SentBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = std::task::ready!(self.inner.as_mut().poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.sent.add(data);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> fmt::Debug for SentBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentBody").finish_non_exhaustive()
    }
}

/// Measures the calls of any service. Made by [`Vu::measure_layer`](crate::Vu::measure_layer).
#[derive(Clone)]
pub struct MeasureLayer {
    samples: Rc<dyn RecordSamples>,
    name: Rc<str>,
}

impl MeasureLayer {
    pub(crate) fn new(samples: Rc<dyn RecordSamples>, name: String) -> Self {
        Self { samples, name: name.into() }
    }
}

impl fmt::Debug for MeasureLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasureLayer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for MeasureLayer {
    type Service = MeasureService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        MeasureService { inner, layer: self.clone() }
    }
}

/// A service whose calls are measured, without the time until it is ready for them.
#[derive(Debug, Clone)]
pub struct MeasureService<S> {
    inner: S,
    layer: MeasureLayer,
}

impl<S, R> Service<R> for MeasureService<S>
where
    S: Service<R>,
    S::Error: fmt::Display,
    S::Future: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let began = clock::now();
        let answer = self.inner.call(request);
        let MeasureLayer { samples, name } = self.layer.clone();
        let given_up = {
            let MeasureLayer { samples, name } = self.layer.clone();
            move |took| {
                samples.measured(&OwnTags::default(), &name, took, true);
                samples.failed(Protocol::Measure, format!("{name}: {DROPPED}"));
            }
        };
        let under_way = UnderWay::new(began, given_up);
        Box::pin(async move {
            let result = answer.await;
            under_way.over();
            samples.measured(&OwnTags::default(), &name, clock::now() - began, result.is_err());
            if let Err(error) = &result {
                samples.failed(Protocol::Measure, format!("{name}: {error:#}"));
            }
            result
        })
    }
}
