//! How a test process proves that it is the one that was started: an address, a token that is valid once,
//! and a `hello`.
//!
//! The main type is [`Door`], the listening socket. A connection without the token is dropped, and the
//! door stays open for the right one; after that one it is closed. Nothing here interprets frames.

use std::fmt::Write as _;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use loadtest_core::wire::{self, FromTest};

use super::session::Event;

/// How long a connection may take to say who it is.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a test process may leave what is sent to it unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A `hello` is short; nobody without a token may make this process read more.
const MAX_HELLO: u64 = 64 << 10;

/// Connections that may be saying `hello` at the same time.
const MAX_STRANGERS: usize = 64;

/// A socket on loopback that waits for one test process.
#[derive(Debug)]
pub(super) struct Door {
    address: SocketAddr,
    token: Arc<str>,
    closed: Arc<AtomicBool>,
}

/// A test process that showed the token.
#[derive(Debug)]
pub(super) struct Peer {
    /// For writing; a thread of its own reads.
    pub(super) stream: TcpStream,
    /// Versions of the frames that it speaks.
    pub(super) versions: Vec<u32>,
    /// Version of `loadtest-runtime` in it.
    pub(super) runtime_version: String,
}

impl Door {
    /// Listens on a free port of 127.0.0.1. What comes through is sent as events: [`Event::Hello`] once,
    /// then frames.
    ///
    /// # Errors
    /// If there is no port or no thread to be had.
    pub(super) fn open(events: SyncSender<Event>) -> anyhow::Result<Door> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("can't listen on 127.0.0.1")?;
        let address = listener.local_addr().context("can't tell the port that was given")?;
        let door = Door { address, token: token().into(), closed: Arc::default() };
        let (token, closed) = (Arc::clone(&door.token), Arc::clone(&door.closed));
        thread::Builder::new()
            .name("accept".to_owned())
            .spawn(move || accept(&listener, address, &token, &closed, &events))
            .context("can't start the thread that waits for the test process")?;
        Ok(door)
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `hello` must show.
    pub(super) fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        close(self.address, &self.closed);
    }
}

/// Ends the thread that accepts: it sees the flag when it next wakes, which a connection makes it do.
/// `false` if the door was closed already.
fn close(address: SocketAddr, closed: &AtomicBool) -> bool {
    let open = !closed.swap(true, Ordering::SeqCst);
    if open {
        // The listener may be gone already, which is as good.
        let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
    }
    open
}

fn accept(
    listener: &TcpListener,
    address: SocketAddr,
    token: &Arc<str>,
    closed: &Arc<AtomicBool>,
    events: &SyncSender<Event>,
) {
    let strangers = Arc::new(AtomicUsize::new(0));
    loop {
        let connection = listener.accept();
        if closed.load(Ordering::SeqCst) {
            return;
        }
        let stream = match connection {
            Ok((stream, _)) => stream,
            Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) => {
                continue;
            }
            Err(_) => {
                // Out of file descriptors, most likely: try again rather than spin.
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        if strangers.load(Ordering::SeqCst) >= MAX_STRANGERS {
            continue;
        }
        strangers.fetch_add(1, Ordering::SeqCst);
        let (token, closed) = (Arc::clone(token), Arc::clone(closed));
        let (events, waiting) = (events.clone(), Arc::clone(&strangers));
        // One that says nothing must not keep the right one waiting, hence a thread for each.
        let spawned = thread::Builder::new().name("test process".to_owned()).spawn(move || {
            let peer = hello(&stream, &token);
            waiting.fetch_sub(1, Ordering::SeqCst);
            // The token is valid once: whoever closes the door has used it.
            let Some(peer) = peer else { return };
            if close(address, &closed) && events.send(Event::Hello(peer)).is_ok() {
                read_frames(stream, &events);
            }
        });
        if spawned.is_err() {
            strangers.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Reads a `hello`; `None` if this is not the test process.
fn hello(mut stream: &TcpStream, expected: &str) -> Option<Peer> {
    stream.set_read_timeout(Some(HELLO_TIMEOUT)).ok()?;
    let frame = wire::read_frame::<FromTest>(stream.by_ref().take(MAX_HELLO)).ok()??;
    let FromTest::Hello { token, versions, runtime_version, .. } = frame else { return None };
    if token != expected {
        return None;
    }
    stream.set_read_timeout(None).ok()?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT)).ok()?;
    stream.set_nodelay(true).ok()?;
    Some(Peer { stream: stream.try_clone().ok()?, versions, runtime_version })
}

fn read_frames(stream: TcpStream, events: &SyncSender<Event>) {
    let mut reader = BufReader::new(stream);
    loop {
        let event = match wire::read_frame::<FromTest>(&mut reader) {
            Ok(Some(frame)) => Event::Frame(Box::new(frame)),
            Ok(None) => Event::Disconnected,
            // An error with a cause inside is about a frame that came whole; one without is the system's,
            // when the other side died while it was writing.
            Err(e) if e.get_ref().is_some() => Event::Garbled(e.to_string()),
            Err(_) => Event::Disconnected,
        };
        let last = !matches!(event, Event::Frame(_));
        if events.send(event).is_err() || last {
            return;
        }
    }
}

/// 128 random bits, hexadecimal.
fn token() -> String {
    let mut bytes = [0; 16];
    if File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).is_err() {
        // Each `RandomState` has keys of its own, seeded by the operating system.
        for half in bytes.chunks_mut(8) {
            half.copy_from_slice(&RandomState::new().hash_one(0u8).to_ne_bytes());
        }
    }
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc::{self, Receiver};

    use super::*;

    fn open() -> (Door, Receiver<Event>) {
        let (sender, events) = mpsc::sync_channel(16);
        (Door::open(sender).expect("opens"), events)
    }

    fn greet(door: &Door, token: &str) -> TcpStream {
        let mut stream = TcpStream::connect(door.address()).expect("connects");
        let hello = FromTest::Hello {
            token: token.to_owned(),
            versions: vec![1],
            pid: 1,
            runtime_version: "0.1.0".to_owned(),
        };
        wire::write_frame(&mut stream, &hello).expect("writes");
        stream
    }

    #[test]
    fn strangers_are_dropped_and_the_right_one_still_gets_in() {
        let (door, events) = open();
        let _says_nothing = TcpStream::connect(door.address()).expect("connects");
        let mut liar = TcpStream::connect(door.address()).expect("connects");
        liar.write_all(&[255; 64]).expect("writes");
        let mut wrong = greet(&door, "0123456789abcdef0123456789abcdef");
        assert_eq!(wrong.read(&mut [0; 1]).unwrap_or(0), 0, "dropped");

        let mut right = greet(&door, door.token());
        let Ok(Event::Hello(peer)) = events.recv_timeout(Duration::from_secs(10)) else { panic!("no hello") };
        assert_eq!(peer.versions, [1]);
        wire::write_frame(&mut right, &FromTest::Ready).expect("writes");
        let event = events.recv_timeout(Duration::from_secs(10)).expect("comes");
        assert!(matches!(event, Event::Frame(frame) if matches!(*frame, FromTest::Ready)));
        drop(right);
        assert!(matches!(events.recv_timeout(Duration::from_secs(10)), Ok(Event::Disconnected)));
    }

    #[test]
    fn the_token_is_valid_once() {
        let (door, events) = open();
        let _first = greet(&door, door.token());
        assert!(matches!(events.recv_timeout(Duration::from_secs(10)), Ok(Event::Hello(_))));
        // The door is shut: the second is refused, or reset if it was quick.
        let refused = TcpStream::connect(door.address()).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            let hello = FromTest::Hello {
                token: door.token().to_owned(),
                versions: vec![1],
                pid: 1,
                runtime_version: String::new(),
            };
            wire::write_frame(&mut stream, &hello)?;
            Ok(stream.read(&mut [0; 1])? == 0)
        });
        assert!(refused.unwrap_or(true));
        assert!(events.try_recv().is_err());
    }

    #[test]
    fn a_frame_that_is_not_understood_and_one_that_was_cut_off_are_told_apart() {
        for (bytes, garbled) in [(&b"\x03\0\0\0{]}"[..], true), (&b"\x09\0\0\0{"[..], false)] {
            let (door, events) = open();
            let mut stream = greet(&door, door.token());
            assert!(matches!(events.recv_timeout(Duration::from_secs(10)), Ok(Event::Hello(_))));
            stream.write_all(bytes).expect("writes");
            drop(stream);
            let event = events.recv_timeout(Duration::from_secs(10)).expect("comes");
            assert_eq!(matches!(event, Event::Garbled(_)), garbled, "{event:?}");
        }
    }

    #[test]
    fn tokens_are_long_and_differ() {
        assert!(token().len() == 32 && token() != token());
    }
}
