//! The socket to the subcommand: frames out from any thread, frames in on one.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use loadtest_core::wire::{self, FromTest, ToTest};

/// The way to the subcommand.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    stream: Arc<Mutex<TcpStream>>,
    /// Why frames could not be told, the first reason, and how many.
    untold: Arc<Mutex<Option<(String, u64)>>>,
}

impl Link {
    /// Connects to the subcommand that started this process.
    pub(crate) fn connect(address: &str) -> io::Result<(Self, TcpStream)> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let reader = stream.try_clone()?;
        Ok((Self { stream: Arc::new(Mutex::new(stream)), untold: Arc::default() }, reader))
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// If the subcommand is gone.
    pub(crate) fn send(&self, frame: &FromTest) -> io::Result<()> {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        wire::write_frame(&*stream, frame)
    }

    /// Sends a frame that nobody waits for. One that can't be written as a frame is a mistake of this program:
    /// it is said on standard error and counted for [`untold`](Self::untold). If the socket fails, it is shut
    /// down: the reading side then sees the end of file, which ends the process.
    pub(crate) fn tell(&self, frame: &FromTest) {
        self.tell_encoded(wire::encode_frame(frame));
    }

    fn tell_encoded(&self, frame: io::Result<Vec<u8>>) {
        match frame {
            Ok(bytes) => {
                let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
                if stream.write_all(&bytes).is_err() {
                    // Half a frame may be on its way; nothing that came behind it could be understood.
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
            Err(error) => {
                eprintln!("cargo loadtest: a message to the subcommand can't be written: {error}");
                let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
                untold.get_or_insert_with(|| (error.to_string(), 0)).1 += 1;
            }
        }
    }

    /// A warning for the results if something could not be told.
    pub(crate) fn untold(&self) -> Option<String> {
        let untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.as_ref().map(|(reason, count)| {
            format!("{count} messages of the test could not be written, so results are incomplete: {reason}")
        })
    }
}

/// Reads the next frame; an end of file is an error here.
pub(crate) fn expect(reader: &mut TcpStream) -> io::Result<ToTest> {
    wire::read_frame(reader)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_can_not_be_told_is_said_at_the_end_and_breaks_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (link, mut reader) =
            Link::connect(&listener.local_addr().expect("bound").to_string()).expect("connects");
        let (mut other, _) = listener.accept().expect("accepts");
        assert_eq!(link.untold(), None);
        link.tell_encoded(Err(io::Error::other("no JSON")));
        link.tell_encoded(Err(io::Error::other("another")));
        link.tell(&FromTest::Ready);
        assert!(matches!(wire::read_frame(&mut other), Ok(Some(FromTest::Ready))));
        assert!(
            link.untold().is_some_and(|text| text.starts_with("2 messages") && text.ends_with("no JSON"))
        );

        // A socket that takes nothing more ends the process by way of the reader.
        let stream = link.stream.lock().expect("not poisoned").try_clone().expect("cloned");
        stream.shutdown(Shutdown::Write).expect("open");
        link.tell(&FromTest::Ready);
        assert!(expect(&mut reader).is_err());
    }
}
