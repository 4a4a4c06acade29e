//! A server over TCP whose n-th connection does what the n-th script says.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a connection does next. At the end of its script it is closed.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Reads a request, its body included.
    Request,
    /// Reads the head of a request, and nothing of its body.
    Head,
    /// Writes this.
    Send(Vec<u8>),
    /// Writes this byte by byte, each a segment of its own.
    Trickle(Vec<u8>),
    /// Waits until the test says so.
    Wait,
    /// Ends what it writes, and reads on.
    Shutdown,
    /// Resets the connection, and ends the script.
    Reset,
    /// Reads until the client goes away.
    Gone,
}

/// Writes a text.
pub(super) fn send(text: impl AsRef<[u8]>) -> Act {
    Act::Send(text.as_ref().to_vec())
}

/// Writes a 200 with a body.
pub(super) fn ok(body: &str) -> Act {
    send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

#[derive(Default)]
struct State {
    scripts: RefCell<VecDeque<Vec<Act>>>,
    requests: RefCell<Vec<String>>,
    connections: Cell<usize>,
    gone: Cell<usize>,
    go_on: tokio::sync::Notify,
}

pub(super) struct Server {
    port: u16,
    state: Rc<State>,
}

impl Server {
    pub(super) async fn start(scripts: impl IntoIterator<Item = Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scripts = RefCell::new(scripts.into_iter().collect());
        let state = Rc::new(State { scripts, ..State::default() });
        let serving = Rc::clone(&state);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.set(serving.connections.get() + 1);
                let script = serving.scripts.borrow_mut().pop_front().unwrap_or_default();
                let state = Rc::clone(&serving);
                tokio::task::spawn_local(async move {
                    // A client that is gone can't be written to.
                    if play(stream, script, &state).await.is_err() {
                        state.gone.set(state.gone.get() + 1);
                    }
                });
            }
        });
        Self { port, state }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Requests as they came, one after another.
    pub(super) fn requests(&self) -> Vec<String> {
        self.state.requests.borrow().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.state.connections.get()
    }

    /// Waits until the clients of this many connections went away.
    pub(super) async fn gone(&self, count: usize) {
        while self.state.gone.get() < count {
            tokio::task::yield_now().await;
        }
    }

    /// Lets an [`Act::Wait`] go on.
    pub(super) fn go_on(&self) {
        self.state.go_on.notify_one();
    }
}

async fn play(mut stream: TcpStream, script: Vec<Act>, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    for act in script {
        match act {
            Act::Request | Act::Head => {
                let request = read(&mut stream, &mut buffer, matches!(act, Act::Request)).await?;
                state.requests.borrow_mut().push(request);
            }
            Act::Send(bytes) => stream.write_all(&bytes).await?,
            Act::Trickle(bytes) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
            Act::Wait => state.go_on.notified().await,
            Act::Shutdown => stream.shutdown().await?,
            Act::Reset => {
                stream.set_zero_linger()?;
                return Ok(());
            }
            Act::Gone => {
                while matches!(stream.read(&mut [0; 65536]).await, Ok(1..)) {}
                state.gone.set(state.gone.get() + 1);
            }
        }
    }
    Ok(())
}

/// A request, or its head.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>, whole: bool) -> io::Result<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
            let total = match (whole, field("content-length: "), field("transfer-encoding: ")) {
                (true, Some(length), None) => Some(end + 4 + length.parse::<usize>().unwrap()),
                (true, None, Some(_)) => {
                    let last = buffer[end..].windows(7).position(|window| window == b"\r\n0\r\n\r\n");
                    last.map(|at| end + at + 7)
                }
                (true, Some(_), Some(_)) => panic!("both lengths: {head}"),
                _ => Some(end + 4),
            };
            if let Some(total) = total.filter(|total| buffer.len() >= *total) {
                let request: Vec<u8> = buffer.drain(..total).collect();
                return Ok(String::from_utf8_lossy(&request).into_owned());
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
