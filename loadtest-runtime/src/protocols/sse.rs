//! Server-sent events (WHATWG HTML, section 9.2): [`EventSource`], over a response that is read as it comes.
//!
//! It reads what browsers read, and does not connect again: a test that wants to does so with
//! [`last_event_id`](EventSource::last_event_id), and every connection is an HTTP request of its own.

mod parser;

use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use ::http::StatusCode;
use ::http::header::{ACCEPT, CONTENT_TYPE};
use loadtest_core::metric::Builtin;

use self::parser::{Parser, Ready};
use super::error::Error;
use super::sample::{OwnTags, Protocol, RecordSamples};
use crate::clock::{self, Instant};
use crate::http::{ErrorKind, Failure, HeaderValue, RequestBuilder, StreamingResponse};

/// The most bytes of one event, unless the test says otherwise.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// A server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its type, `message` if it names none.
    pub event: String,
    /// Its data, the lines with a line feed between them.
    pub data: String,
    /// The last event ID: its own, or that of an event before it; empty if there was none. One of more than 4 KiB is
    /// none.
    pub id: String,
    /// How many milliseconds to wait before connecting again, if this event says so.
    pub retry: Option<u64>,
}

/// A stream of events.
///
/// ```
/// # use loadtest_runtime::prelude::*;
/// async fn prices(vu: &mut Vu) -> Result {
///     let mut events = vu.http().get("http://127.0.0.1:8080/prices").send_events().await?;
///     for _ in 0..3 {
///         let Some(event) = events.next().await? else { break };
///         vu.check("a price", event.event == "price");
///     }
///     Ok(())
/// }
/// ```
pub struct EventSource {
    response: StreamingResponse,
    parser: Parser,
    ready: VecDeque<Ready>,
    /// Whether an event was: nothing is read after those before it.
    too_long: bool,
    samples: Option<(Rc<dyn RecordSamples>, OwnTags)>,
    began: Instant,
    first: bool,
}

impl RequestBuilder {
    /// Sends the request and returns when the head of a response is there that is a stream of server-sent events.
    /// `Accept: text/event-stream` is sent unless a header says otherwise. The request's timeout holds for the whole
    /// stream: raise it for a stream that lasts.
    ///
    /// # Errors
    /// As [`send_streaming`](Self::send_streaming); [`ErrorKind::Status`] if the status is not 200, and
    /// [`ErrorKind::InvalidResponse`] if the content type is not `text/event-stream`.
    pub async fn send_events(self) -> Result<EventSource, Error> {
        let began = clock::now();
        let response =
            self.default_header(ACCEPT, HeaderValue::from_static("text/event-stream")).send_streaming();
        let source = EventSource { began, ..EventSource::new(response.await?) };
        match refused(&source.response) {
            None => Ok(source),
            Some(failure) => Err(source.fail(failure)),
        }
    }
}

/// Why a response is no stream of events.
fn refused(response: &StreamingResponse) -> Option<Failure> {
    if response.status() != StatusCode::OK {
        let text = format!("the server answered {} instead of sending events", response.status());
        return Some(Failure::new(ErrorKind::Status, text));
    }
    let content_type =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    (!essence.eq_ignore_ascii_case("text/event-stream")).then(|| {
        let text = format!("the content type is {essence:?}, not \"text/event-stream\"");
        Failure::new(ErrorKind::InvalidResponse, text)
    })
}

impl EventSource {
    /// The events of a response, whatever its status and content type. The time to the first event counts from here.
    #[must_use]
    pub fn new(response: StreamingResponse) -> Self {
        let samples = response.samples();
        let (parser, ready) = (Parser::new(MAX_EVENT), VecDeque::new());
        Self { response, parser, ready, too_long: false, samples, began: clock::now(), first: true }
    }

    /// The most bytes of one event. 16 MiB by default; more is an error.
    #[must_use]
    pub fn max_event(mut self, bytes: usize) -> Self {
        self.parser.set_limit(bytes);
        self
    }

    /// The response that the events come with.
    #[must_use]
    pub fn response(&self) -> &StreamingResponse {
        &self.response
    }

    /// The ID of the last event that had one, for the header `Last-Event-ID` of the next connection.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.parser.last_event_id()
    }

    /// The next event; `None` at the end of the stream, an event without its blank line not counting. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// Whatever keeps the body from being complete, and an event that is too long; it has been recorded.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event.into()));
            }
            if self.too_long {
                let text = format!("an event is longer than {} bytes", self.parser.limit());
                let failure = Failure::new(ErrorKind::InvalidResponse, text)
                    .with_hint("raise the limit with .max_event(..)");
                return Err(self.fail(failure));
            }
            let Some(chunk) = self.response.chunk().await? else { return Ok(None) };
            self.too_long = !self.parser.push(&chunk, &mut self.ready);
            self.record(self.ready.len());
        }
    }

    fn record(&mut self, events: usize) {
        if let Some((samples, tags)) = self.samples.as_ref().filter(|_| events > 0) {
            if std::mem::take(&mut self.first) {
                let took = clock::millis(clock::now() - self.began);
                samples.value(tags, Builtin::SseTimeToFirstEvent, took);
            }
            samples.value(tags, Builtin::SseEvent, events as f64);
        }
    }

    fn fail(&self, failure: Failure) -> Error {
        let shown = crate::http::shown(self.response.url());
        if let Some((samples, _)) = &self.samples {
            samples.failed(Protocol::Sse, format!("{shown}: {}", failure.text));
        }
        Error::new(shown, failure, Some(self.response.status().as_u16()))
    }
}

impl fmt::Debug for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSource").field("response", &self.response).finish_non_exhaustive()
    }
}
