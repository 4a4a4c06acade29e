//! The socket to the subcommand: frames out from any thread, frames in on one.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use loadtest_core::wire::{self, FromTest, ToTest};

/// The way to the subcommand.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    stream: Arc<Mutex<TcpStream>>,
}

impl Link {
    /// Connects to the subcommand that started this process.
    pub(crate) fn connect(address: &str) -> io::Result<(Self, TcpStream)> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let reader = stream.try_clone()?;
        Ok((Self { stream: Arc::new(Mutex::new(stream)) }, reader))
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// If the subcommand is gone.
    pub(crate) fn send(&self, frame: &FromTest) -> io::Result<()> {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        wire::write_frame(&*stream, frame)
    }

    /// Sends a frame whose loss ends the process anyway: the reading side sees the end of file.
    pub(crate) fn tell(&self, frame: &FromTest) {
        let _ = self.send(frame);
    }
}

/// Reads the next frame; an end of file is an error here.
pub(crate) fn expect(reader: &mut TcpStream) -> io::Result<ToTest> {
    wire::read_frame(reader)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
