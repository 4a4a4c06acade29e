//! A server over raw TCP that answers the n-th request with the n-th step of its script.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What to do once a request has been read.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Write this, and read the next request.
    Reply(Vec<u8>),
    /// Write this, and close the connection.
    Close(Vec<u8>),
    /// Write this, and reset the connection once it is told to.
    Reset(Vec<u8>),
    /// Write this, and nothing more, ever.
    Stall(Vec<u8>),
}

/// A 200 with a body.
pub(super) fn ok(body: &str) -> Step {
    reply("200 OK", "", body)
}

/// A response with a content length.
pub(super) fn reply(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Step {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    Step::Reply([head.as_bytes(), body].concat())
}

#[derive(Default)]
struct State {
    script: RefCell<VecDeque<Step>>,
    requests: RefCell<Vec<String>>,
    connections: Cell<usize>,
    closed: Cell<usize>,
    received: Cell<u64>,
    sent: Cell<u64>,
    reset: tokio::sync::Notify,
}

pub(super) struct Server {
    port: u16,
    state: Rc<State>,
}

impl Server {
    /// Starts a server on a free port of the running `LocalSet`.
    pub(super) async fn start(script: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Rc::new(State { script: RefCell::new(script.into_iter().collect()), ..State::default() });
        let serving = Rc::clone(&state);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.set(serving.connections.get() + 1);
                let state = Rc::clone(&serving);
                tokio::task::spawn_local(async move {
                    let _ = serve(stream, &state).await;
                    state.closed.set(state.closed.get() + 1);
                });
            }
        });
        Self { port, state }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The requests read, head and body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.state.requests.borrow().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.state.connections.get()
    }

    /// Waits until this many connections are closed on this side.
    pub(super) async fn closed(&self, count: usize) {
        while self.state.closed.get() < count {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn received(&self) -> u64 {
        self.state.received.get()
    }

    pub(super) fn sent(&self) -> u64 {
        self.state.sent.get()
    }

    /// Lets a [`Step::Reset`] go on.
    pub(super) fn reset(&self) {
        self.state.reset.notify_one();
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, state).await? {
        state.requests.borrow_mut().push(request);
        let step = state.script.borrow_mut().pop_front();
        match step.unwrap_or(Step::Close(Vec::new())) {
            Step::Reply(bytes) => write(&mut stream, &bytes, state).await?,
            Step::Close(bytes) => {
                write(&mut stream, &bytes, state).await?;
                return stream.shutdown().await;
            }
            Step::Reset(bytes) => {
                write(&mut stream, &bytes, state).await?;
                state.reset.notified().await;
                stream.set_zero_linger()?;
                return Ok(());
            }
            Step::Stall(bytes) => {
                write(&mut stream, &bytes, state).await?;
                // Until the client goes away.
                while stream.read(&mut [0; 1024]).await? > 0 {}
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn write(stream: &mut TcpStream, bytes: &[u8], state: &State) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    state.sent.set(state.sent.get() + bytes.len() as u64);
    Ok(())
}

/// One request, as long as its content length says.
async fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    state: &State,
) -> std::io::Result<Option<String>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let total = end + 4 + length.map_or(0, |length| length.parse().unwrap());
            if buffer.len() >= total {
                let request: Vec<u8> = buffer.drain(..total).collect();
                return Ok(Some(String::from_utf8_lossy(&request).into_owned()));
            }
        }
        let count = stream.read_buf(buffer).await?;
        state.received.set(state.received.get() + count as u64);
        if count == 0 {
            return Ok(None);
        }
    }
}
