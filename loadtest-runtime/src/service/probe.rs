//! Whether a service is ready, and what its log said last.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Lines of a log that an error message shows.
const LINES: usize = 20;

/// Asks once. Errs with what was seen.
pub(super) async fn ready(port: u16, path: Option<&str>) -> Result<(), String> {
    let attempt = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|e| e.to_string())?;
        let Some(path) = path else { return Ok(()) };
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|e| e.to_string())?;
        let mut head = [0; 64];
        let mut read = 0;
        while read < head.len() && !head[..read].contains(&b'\n') {
            match stream.read(&mut head[read..]).await.map_err(|e| e.to_string())? {
                0 => break,
                n => read += n,
            }
        }
        let text = String::from_utf8_lossy(&head[..read]);
        let status = text.split_ascii_whitespace().nth(1).unwrap_or("no HTTP answer");
        if status.len() == 3 && status.starts_with('2') {
            Ok(())
        } else {
            Err(format!("GET {path} answered {status}"))
        }
    };
    match tokio::time::timeout(Duration::from_secs(5), attempt).await {
        Ok(result) => result,
        Err(_) => Err("no answer within 5 s".to_owned()),
    }
}

/// The end of a log, for an error message; empty if there is none.
pub(super) fn last_lines(path: &str) -> String {
    let text =
        std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return format!("\nits log is empty: {path}");
    }
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n  ");
    format!("\nthe last lines of its log ({path}):\n  {last}")
}
