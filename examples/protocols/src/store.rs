//! A key-value store that speaks lines over TCP: `SET key value`, `GET key`; and a client for it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};

/// The longest line, in bytes.
const MAX_LINE: u64 = 1024;

type Values = Arc<Mutex<HashMap<String, String>>>;

/// Serves a store that is empty at first.
///
/// # Errors
/// If the listener can't be used any more.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    let values = Values::default();
    loop {
        let (stream, _) = listener.accept().await?;
        let values = Arc::clone(&values);
        tokio::spawn(async move {
            // A client that goes away is no news.
            let _ = answer(BufStream::new(stream), &values).await;
        });
    }
}

async fn answer(mut stream: BufStream<TcpStream>, values: &Values) -> io::Result<()> {
    while let Some(line) = read_line(&mut stream).await? {
        let answer = {
            let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
            match *line.splitn(3, ' ').collect::<Vec<_>>() {
                ["GET", key] => values.get(key).map_or("NONE".to_owned(), |value| format!("VALUE {value}")),
                ["SET", key, value] => {
                    values.insert(key.to_owned(), value.to_owned());
                    "OK".to_owned()
                }
                _ => "ERROR say GET key or SET key value".to_owned(),
            }
        };
        write_line(&mut stream, &answer).await?;
    }
    Ok(())
}

/// A client, as a library has it.
#[derive(Debug)]
pub struct Client {
    stream: BufStream<TcpStream>,
}

impl Client {
    /// Connects to a store.
    ///
    /// # Errors
    /// If nothing listens there.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: BufStream::new(TcpStream::connect(address).await?) })
    }

    /// Keeps a value.
    ///
    /// # Errors
    /// If the connection breaks, or the store refuses.
    pub async fn set(&mut self, key: &str, value: &str) -> io::Result<()> {
        match &*self.ask(&format!("SET {key} {value}")).await? {
            "OK" => Ok(()),
            other => Err(io::Error::other(other.to_owned())),
        }
    }

    /// The value that is kept, if there is one.
    ///
    /// # Errors
    /// If the connection breaks, or the store refuses.
    pub async fn get(&mut self, key: &str) -> io::Result<Option<String>> {
        let answer = self.ask(&format!("GET {key}")).await?;
        match answer.strip_prefix("VALUE ") {
            Some(value) => Ok(Some(value.to_owned())),
            None if answer == "NONE" => Ok(None),
            None => Err(io::Error::other(answer)),
        }
    }

    async fn ask(&mut self, line: &str) -> io::Result<String> {
        write_line(&mut self.stream, line).await?;
        read_line(&mut self.stream).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

async fn write_line(stream: &mut (impl AsyncWrite + Unpin), line: &str) -> io::Result<()> {
    stream.write_all(line.as_bytes()).await?;
    stream.write_all(b"\r\n").await?;
    stream.flush().await
}

/// The next line; `None` at the end.
async fn read_line(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut line = String::new();
    stream.take(MAX_LINE).read_line(&mut line).await?;
    match line.strip_suffix('\n') {
        Some(whole) => Ok(Some(whole.strip_suffix('\r').unwrap_or(whole).to_owned())),
        None if line.is_empty() => Ok(None),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener));
        let mut client = Client::connect(address).await.unwrap();
        assert_eq!(client.get("a").await.unwrap(), None);
        client.set("a", "1 and more").await.unwrap();
        assert_eq!(client.get("a").await.unwrap().as_deref(), Some("1 and more"));
        assert!(client.ask("?").await.unwrap().starts_with("ERROR"));
    }
}
