//! WebSockets (RFC 6455): [`WebSocket`], a session of one virtual user.
//!
//! The session is driven by whoever calls its methods: nothing runs beside the test, so a ping of the server is
//! answered while the test waits for a message. Messages are counted whole, text and binary ones, as k6 counts them.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use loadtest_core::metric::{Builtin, tag};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::error::{DROPPED, Error, timed_out};
use super::sample::{Meter, OwnTags, Protocol, RecordSamples, UnderWay};
use crate::clock::{self, Instant};
use crate::http::{self, Address, Dialed, Dialer, ErrorKind, Failure, Stream};

/// The schemes of URLs.
const SCHEMES: &[(&str, bool)] = &[("ws", false), ("wss", true)];
/// The largest message that is taken, unless the test says otherwise.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;
/// The most messages that may come while a pong is waited for; together, they may be no larger than one message.
const MAX_EARLY: usize = 65_536;
/// The most bytes of a close's reason: those of a control frame without the code (RFC 6455, section 5.5).
const MAX_REASON: usize = 123;
/// What a session that was opened has as its status.
const SWITCHING_PROTOCOLS: u16 = 101;

/// A session to be opened. Made by [`Vu::websocket`](crate::Vu::websocket).
#[must_use = "no session is opened until it is asked for: add .connect().await"]
pub struct WebSocketBuilder {
    dialer: Dialer,
    samples: Rc<dyn RecordSamples>,
    url: String,
    headers: HeaderMap,
    cookies: String,
    subprotocols: Vec<String>,
    tags: Vec<(String, String)>,
    name: Option<Cow<'static, str>>,
    timeout: Duration,
    max_message: usize,
    failure: Option<Failure>,
}

impl WebSocketBuilder {
    pub(crate) fn new(dialer: Dialer, samples: Rc<dyn RecordSamples>, url: &str) -> Self {
        let timeout = dialer.options().timeout;
        Self {
            dialer,
            samples,
            url: url.to_owned(),
            headers: HeaderMap::new(),
            cookies: String::new(),
            subprotocols: Vec::new(),
            tags: Vec::new(),
            name: None,
            timeout,
            max_message: MAX_MESSAGE,
            failure: None,
        }
    }

    /// The `Cookie` header, unless the test gives one.
    pub(crate) fn cookies(mut self, cookies: String) -> Self {
        self.cookies = cookies;
        self
    }

    /// Adds a header to the upgrade request. A header that is none is reported when the session is opened.
    pub fn header<K, V>(mut self, name: K, value: V) -> Self
    where
        K: TryInto<HeaderName, Error: fmt::Display>,
        V: TryInto<HeaderValue, Error: fmt::Display>,
    {
        let invalid = |text| Failure::new(ErrorKind::InvalidRequest, text);
        let failure = match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
                None
            }
            (Err(error), _) => Some(invalid(format!("invalid header name: {error}"))),
            (Ok(name), Err(error)) => Some(invalid(format!("invalid value of the header `{name}`: {error}"))),
        };
        self.failure = self.failure.or(failure);
        self
    }

    /// Offers a subprotocol; the first one is what is liked best. A server that takes none of those offered is
    /// refused, as browsers do.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// A tag for the samples of this session.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// The `name` tag; by default the URL's path with identifiers folded.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The time that opening the session may take, each message to be sent, each ping, each wait for the
    /// [`next`](WebSocket::next) message, and closing; 60 s by default, as for requests. Running out of it ends the
    /// session. To wait for less without that, put the call into `tokio::time::timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The largest message that is taken, in bytes. 64 MiB by default; a larger one breaks the session.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Opens the session.
    ///
    /// # Errors
    /// Whatever keeps it from being open: see [`ErrorKind`]; a server that answers with another status than 101 gives
    /// [`ErrorKind::Status`]. It has been recorded when it is returned, but its time is none of `ws_connecting`.
    pub async fn connect(mut self) -> Result<WebSocket, Error> {
        let began = clock::now();
        let address = match self.failure.take() {
            None => Address::parse(&self.url, SCHEMES, false),
            Some(failure) => Err(failure),
        };
        let user = OwnTags::new(&self.tags);
        let mut tags = user.clone();
        let shown = match &address {
            Ok(address) => {
                let name = self.name.take().unwrap_or_else(|| Cow::Owned(address.name().to_owned()));
                tags = tags.with(tag::URL, format!("{}{}", address.origin(), address.name()));
                tags = tags.with(tag::NAME, name);
                address.shown()
            }
            // Whatever it is, it may hold secrets as a URL does.
            Err(_) => format!("`{}`", http::shown(&self.url)),
        };
        let samples = Rc::clone(&self.samples);
        let meter = Meter::new(Rc::clone(&samples), user);
        let attempt = UnderWay::new(began, |_| {
            meter.flush();
            samples.failed(Protocol::WebSocket, format!("{shown}: {DROPPED}"));
        });
        let opened = match &address {
            Ok(address) => tokio::time::timeout(self.timeout, self.open(address, &meter))
                .await
                .unwrap_or_else(|_| Err((timed_out(self.timeout, "opening the session"), None))),
            Err(failure) => Err((failure.clone(), None)),
        };
        attempt.over();
        match opened {
            Ok((socket, headers)) => {
                let subprotocol = headers
                    .get(SEC_WEBSOCKET_PROTOCOL)
                    .and_then(|value| value.to_str().ok())
                    .map(str::to_owned);
                let mut tags = tags.with(tag::STATUS, SWITCHING_PROTOCOLS.to_string());
                if let Some(subprotocol) = &subprotocol {
                    tags = tags.with(tag::SUBPROTO, subprotocol);
                }
                samples.value(&tags, Builtin::WsConnecting, clock::millis(clock::now() - began));
                samples.value(&tags, Builtin::WsSessions, 1.0);
                let session = Session { samples, meter, tags, began, shown, over: false };
                Ok(WebSocket {
                    socket,
                    session,
                    early: VecDeque::new(),
                    early_bytes: 0,
                    max_message: self.max_message,
                    pings: 0,
                    timeout: self.timeout,
                    closed: None,
                    subprotocol,
                    headers,
                })
            }
            Err((failure, status)) => {
                meter.flush();
                samples.failed(Protocol::WebSocket, format!("{shown}: {}", failure.text));
                Err(Error::new(shown, failure, status))
            }
        }
    }

    async fn open(
        &self,
        address: &Address,
        meter: &Meter,
    ) -> Result<(WebSocketStream<Stream>, HeaderMap), (Failure, Option<u16>)> {
        let invalid = |text: String| (Failure::new(ErrorKind::InvalidRequest, text), None);
        let mut request = address.url().into_client_request().map_err(failure)?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, self.dialer.options().user_agent.clone());
        if let Some(authorization) = address.authorization() {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Some(cookies) = HeaderValue::try_from(&self.cookies).ok().filter(|value| !value.is_empty()) {
            headers.insert(COOKIE, cookies);
        }
        for name in self.headers.keys() {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        if !self.subprotocols.is_empty() {
            let offered = HeaderValue::try_from(self.subprotocols.join(", "));
            let offered = offered.map_err(|error| invalid(format!("invalid subprotocol: {error}")))?;
            headers.insert(SEC_WEBSOCKET_PROTOCOL, offered);
        }
        let Dialed { stream, traffic, .. } = match self.dialer.dial(address).await {
            Ok(dialed) => dialed,
            Err(undialed) => {
                meter.add(undialed.sent, undialed.received);
                return Err((undialed.failure, None));
            }
        };
        meter.count(&traffic);
        let config = WebSocketConfig::default()
            .max_message_size(Some(self.max_message))
            .max_frame_size(Some(self.max_message));
        let upgraded = client_async_with_config(request, stream, Some(config)).await;
        let (socket, response) = upgraded.map_err(failure)?;
        Ok((socket, response.into_parts().0.headers))
    }
}

impl fmt::Debug for WebSocketBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketBuilder").finish_non_exhaustive()
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// The bytes, of either kind.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }
}

/// How the server closed a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The code (RFC 6455, section 7.4), 1005 if it gave none.
    pub code: u16,
    /// Its reason, empty if it gave none.
    pub reason: String,
}

/// An open session. It ends when it is [closed](Self::close), when the server closes it, or when it is dropped.
///
/// ```
/// # use loadtest_runtime::prelude::*;
/// async fn chat(vu: &mut Vu) -> Result {
///     let mut chat = vu.websocket("ws://127.0.0.1:8080/chat").connect().await?;
///     chat.send_text("hello").await?;
///     let answer = chat.next().await?;
///     vu.check("answered", answer.is_some());
///     chat.ping().await?;
///     chat.close().await?;
///     Ok(())
/// }
/// ```
pub struct WebSocket {
    socket: WebSocketStream<Stream>,
    session: Session,
    /// What came while a pong was waited for.
    early: VecDeque<Message>,
    early_bytes: usize,
    max_message: usize,
    pings: u64,
    timeout: Duration,
    closed: Option<Closed>,
    subprotocol: Option<String>,
    headers: HeaderMap,
}

/// What comes in.
enum Incoming {
    Message(Message),
    Pong(Bytes),
}

impl WebSocket {
    /// The subprotocol that the server chose.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The headers of the response that opened the session.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// How the server closed the session, if it did.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Sends a text.
    ///
    /// # Errors
    /// If the session is over or breaks, or the time is; it has been recorded.
    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.send(tungstenite::Message::Text(text.into().into())).await?;
        self.session.value(Builtin::WsMsgsSent, 1.0);
        Ok(())
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub async fn send_binary(&mut self, bytes: impl Into<Bytes>) -> Result<(), Error> {
        self.send(tungstenite::Message::Binary(bytes.into())).await?;
        self.session.value(Builtin::WsMsgsSent, 1.0);
        Ok(())
    }

    /// The next message; `None` when the server has closed the session. Dropping the future loses nothing.
    ///
    /// # Errors
    /// If the session breaks: it ends without being closed, or what comes is no WebSocket frame; or if no message
    /// comes within the [timeout](WebSocketBuilder::timeout), whatever pings do. It has been recorded, and the session
    /// is over.
    pub async fn next(&mut self) -> Result<Option<Message>, Error> {
        if let Some(message) = self.early.pop_front() {
            self.early_bytes -= message.as_bytes().len();
            return Ok(Some(message));
        }
        let limit = self.timeout;
        let message = async {
            loop {
                match self.receive().await? {
                    Some(Incoming::Message(message)) => return Ok(Some(message)),
                    Some(Incoming::Pong(_)) => {}
                    None => return Ok(None),
                }
            }
        };
        match tokio::time::timeout(limit, message).await {
            Ok(result) => result,
            Err(_) => Err(self.fail(timed_out(limit, "waiting for a message"), None)),
        }
    }

    /// Pings the server and waits for its pong; the round trip is returned and recorded as `ws_ping`. Messages that
    /// come meanwhile are kept for [`next`](Self::next).
    ///
    /// # Errors
    /// If the session is closed or breaks, or the time is over; it has been recorded.
    pub async fn ping(&mut self) -> Result<Duration, Error> {
        self.pings += 1;
        let payload = Bytes::copy_from_slice(&self.pings.to_be_bytes());
        let began = clock::now();
        self.send(tungstenite::Message::Ping(payload.clone())).await?;
        let limit = self.timeout;
        let pong = async {
            loop {
                match self.receive().await? {
                    Some(Incoming::Pong(answer)) if answer == payload => return Ok(true),
                    Some(Incoming::Pong(_)) => {}
                    Some(Incoming::Message(message)) => {
                        self.early_bytes += message.as_bytes().len();
                        self.early.push_back(message);
                        if self.early.len() > MAX_EARLY || self.early_bytes > self.max_message {
                            let text = format!("{} messages came before a pong", self.early.len());
                            return Err(self.fail(Failure::new(ErrorKind::Other, text), None));
                        }
                    }
                    None => return Ok(false),
                }
            }
        };
        match tokio::time::timeout(limit, pong).await {
            Ok(Ok(true)) => {
                let took = clock::now() - began;
                self.session.value(Builtin::WsPing, clock::millis(took));
                Ok(took)
            }
            Ok(Ok(false)) => {
                let text = "the session was closed before the pong";
                Err(self.fail(Failure::new(ErrorKind::ConnectionClosed, text), None))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.fail(timed_out(limit, "waiting for the pong"), None)),
        }
    }

    /// Closes the session normally (code 1000) and waits until the server has too. What still comes is counted and
    /// thrown away.
    ///
    /// # Errors
    /// If the session breaks instead, or the server does not close it in time; it has been recorded.
    pub async fn close(self) -> Result<(), Error> {
        self.close_with(1000, "").await
    }

    /// Closes the session with a code and a reason.
    ///
    /// # Errors
    /// As [`close`](Self::close), and [`ErrorKind::InvalidRequest`] if the reason has more than 123 bytes, the most that
    /// fit into the frame; the session ends without being closed then.
    pub async fn close_with(mut self, code: u16, reason: &str) -> Result<(), Error> {
        if reason.len() > MAX_REASON {
            let text = format!("the reason has {} bytes; it may have {MAX_REASON}", reason.len());
            let failure = Failure::new(ErrorKind::InvalidRequest, text).with_hint("shorten the reason");
            return Err(self.fail(failure, None));
        }
        if self.session.over {
            return Ok(());
        }
        let limit = self.timeout;
        let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from(reason) };
        let closing = async {
            if let Err(error) = self.socket.close(Some(frame)).await {
                let (failure, status) = failure(error);
                return Err(self.fail(failure, status));
            }
            while self.receive().await?.is_some() {}
            Ok(())
        };
        match tokio::time::timeout(limit, closing).await {
            Ok(result) => result,
            Err(_) => Err(self.fail(timed_out(limit, "waiting for the server to close the session"), None)),
        }
    }

    async fn send(&mut self, message: tungstenite::Message) -> Result<(), Error> {
        let limit = self.timeout;
        match tokio::time::timeout(limit, self.socket.send(message)).await {
            Ok(Ok(())) => {
                self.session.meter.tick(clock::now());
                Ok(())
            }
            Ok(Err(error)) => {
                let (failure, status) = failure(error);
                Err(self.fail(failure, status))
            }
            Err(_) => Err(self.fail(timed_out(limit, "sending a message"), None)),
        }
    }

    /// What comes next; `None` at the end of the session.
    async fn receive(&mut self) -> Result<Option<Incoming>, Error> {
        loop {
            if self.session.over {
                return Ok(None);
            }
            let message = match self.socket.next().await {
                Some(Ok(message)) => message,
                Some(Err(tungstenite::Error::ConnectionClosed)) | None => {
                    self.session.end();
                    return Ok(None);
                }
                // The answer to a close may be no more than the end of the connection.
                Some(Err(_)) if self.closed.is_some() => {
                    self.session.end();
                    return Ok(None);
                }
                Some(Err(error)) => {
                    let (failure, status) = failure(error);
                    return Err(self.fail(failure, status));
                }
            };
            self.session.meter.tick(clock::now());
            let message = match message {
                tungstenite::Message::Text(text) => Message::Text(text.as_str().to_owned()),
                tungstenite::Message::Binary(bytes) => Message::Binary(bytes),
                tungstenite::Message::Pong(payload) => return Ok(Some(Incoming::Pong(payload))),
                tungstenite::Message::Close(frame) => {
                    self.closed = Some(frame.map_or(Closed { code: 1005, reason: String::new() }, |frame| {
                        Closed { code: frame.code.into(), reason: frame.reason.as_str().to_owned() }
                    }));
                    // The answer to it goes out if it can; a server that has closed need not read it.
                    let _ = tokio::time::timeout(self.timeout, self.socket.flush()).await;
                    self.session.end();
                    return Ok(None);
                }
                // Pings are answered below; frames as such never come out.
                tungstenite::Message::Ping(_) | tungstenite::Message::Frame(_) => continue,
            };
            self.session.value(Builtin::WsMsgsReceived, 1.0);
            return Ok(Some(Incoming::Message(message)));
        }
    }

    /// Records a failure, which ends the session.
    fn fail(&mut self, failure: Failure, status: Option<u16>) -> Error {
        let session = &mut self.session;
        session.samples.failed(Protocol::WebSocket, format!("{}: {}", session.shown, failure.text));
        session.end();
        Error::new(&*session.shown, failure, status)
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("url", &self.session.shown).finish_non_exhaustive()
    }
}

/// What a session records. Its duration comes once, however it ends.
struct Session {
    samples: Rc<dyn RecordSamples>,
    meter: Meter,
    tags: OwnTags,
    began: Instant,
    shown: String,
    over: bool,
}

impl Session {
    fn value(&self, metric: Builtin, value: f64) {
        self.samples.value(&self.tags, metric, value);
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            self.meter.flush();
            self.value(Builtin::WsSessionDuration, clock::millis(clock::now() - self.began));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

/// What an error of the protocol means, and the status of the response if there was one.
fn failure(error: tungstenite::Error) -> (Failure, Option<u16>) {
    use tungstenite::Error as Ws;
    let closed = "the connection ended before the session was closed";
    let kind = match &error {
        Ws::Io(error) => return (Failure::from_io(error), None),
        Ws::Http(response) => {
            let status = response.status();
            let text = format!("the server answered {status} instead of opening a session");
            return (Failure::new(ErrorKind::Status, text), Some(status.as_u16()));
        }
        Ws::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete) => {
            return (Failure::new(ErrorKind::ConnectionClosed, closed), None);
        }
        Ws::ConnectionClosed | Ws::AlreadyClosed | Ws::Protocol(ProtocolError::SendAfterClosing) => {
            return (Failure::new(ErrorKind::ConnectionClosed, "the session is closed"), None);
        }
        Ws::Protocol(_) | Ws::Capacity(_) | Ws::Utf8(_) | Ws::AttackAttempt => ErrorKind::InvalidResponse,
        Ws::Url(_) | Ws::HttpFormat(_) => ErrorKind::InvalidRequest,
        _ => ErrorKind::Other,
    };
    (Failure::new(kind, format!("{kind}: {error}")), None)
}
