//! Whether a service is ready: an answer to an HTTP request, or a command that succeeds.
//!
//! The main type is [`Ready`]. One question is asked once; that it is asked again and again is done elsewhere.

use std::io::{self, Read, Seek, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::{LOOK, Shell, Waiting, last_lines};
use crate::launch::{Group, describe};

/// How long an answer may take, and a connection.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// How long the last answer may take, even if the time is over.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Bytes of an answer that are read: its first line is in them.
const HEAD: usize = 256;

/// How it is asked whether a service is ready.
#[derive(Debug, PartialEq)]
pub(super) enum Ready {
    /// A GET that any 2xx answers.
    Http(Url),
    /// A command that exits with 0.
    Command(String),
}

/// The parts of an `http://` URL that a request needs.
#[derive(Debug, PartialEq)]
pub(super) struct Url {
    /// `HOST` or `HOST:PORT`, as written.
    authority: String,
    host: String,
    port: u16,
    /// Path and query.
    target: String,
}

impl Ready {
    /// A URL, or else a command.
    ///
    /// # Errors
    /// If it is a URL that can't be asked here.
    pub(super) fn parse(text: &str) -> anyhow::Result<Ready> {
        let text = text.trim();
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("http") => Ok(Ready::Http(url(text)?)),
            Some("https") => bail!(
                "`ready` of [service] asks http:// only, and this is `{}`\nhint: a command can ask more: \
                 ready = \"curl -fsS URL\"",
                text.escape_debug()
            ),
            _ => Ok(Ready::Command(text.to_owned())),
        }
    }

    /// Whether something answers before the service was started. Commands are not asked: one that waits by
    /// itself would wait for nothing.
    pub(super) fn is_met_already(&self, interrupted: &dyn Fn() -> bool) -> bool {
        match self {
            Ready::Http(url) => is_good(&get(url, Instant::now() + ANSWER_LIMIT, interrupted)),
            Ready::Command(_) => false,
        }
    }

    /// Asks once; the inner error is what was seen instead.
    ///
    /// # Errors
    /// If a signal came, `start` says that it failed, or the command can't be run at all.
    pub(super) fn is_met(
        &self,
        shell: &Shell,
        waiting: &Waiting<'_>,
        start: &dyn Fn() -> anyhow::Result<()>,
    ) -> anyhow::Result<Result<(), String>> {
        match self {
            Ready::Http(url) => {
                let until = at_least(waiting).min(Instant::now() + ANSWER_LIMIT);
                let answer = get(url, until, waiting.interrupted);
                let Url { authority, target, .. } = url;
                Ok(match answer {
                    _ if is_good(&answer) => Ok(()),
                    Ok(status) => Err(format!("http://{authority}{target} answers {status}")),
                    Err(error) => Err(format!("http://{authority}{target}: {error}")),
                })
            }
            Ready::Command(line) => ask(line, shell, waiting, start),
        }
    }
}

/// The end of the time for a question that is asked now: the last one has some time too, so that what is told
/// in the end is what it saw.
fn at_least(waiting: &Waiting<'_>) -> Instant {
    waiting.until.max(Instant::now() + LAST_ANSWER)
}

/// Whether an answer is a 2xx.
fn is_good(answer: &io::Result<String>) -> bool {
    answer.as_ref().is_ok_and(|status| status.len() == 3 && status.starts_with('2'))
}

/// Runs the command. It is run so often that what it prints is not for the log.
fn ask(
    line: &str,
    shell: &Shell,
    waiting: &Waiting<'_>,
    start: &dyn Fn() -> anyhow::Result<()>,
) -> anyhow::Result<Result<(), String>> {
    let failed = || format!("can't run `ready` of [service] in {}", shell.tree.display());
    let mut output = tempfile::tempfile().with_context(failed)?;
    let mut command = shell.command(line, &output).with_context(failed)?;
    let group = Group::spawn(&mut command, None).with_context(failed)?;
    let until = at_least(waiting);
    loop {
        match group.ended() {
            Some(status) if status.success() => return Ok(Ok(())),
            Some(status) => {
                let mut printed = Vec::new();
                // Without it, how it ended is told all the same.
                let _ = output.rewind().and_then(|()| (&output).take(1 << 16).read_to_end(&mut printed));
                let last = last_lines(&printed).pop().map(|line| format!(": {line}")).unwrap_or_default();
                return Ok(Err(format!("`ready` {}{last}", describe(status))));
            }
            None if Instant::now() >= until => return Ok(Err("`ready` has not ended".to_owned())),
            None => {
                start()?;
                waiting.not_interrupted()?;
                // Most answers come at once.
                thread::sleep(LOOK / 10);
            }
        }
    }
}

/// The status of the answer to a GET.
fn get(url: &Url, until: Instant, interrupted: &dyn Fn() -> bool) -> io::Result<String> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let mut stream = None;
    // `localhost` has two addresses, and servers often listen on one of them.
    for address in (url.host.as_str(), url.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
            Ok(connected) => {
                stream = Some(connected);
                break;
            }
            Err(error) => last = error,
        }
    }
    let Some(mut stream) = stream else { return Err(last) };
    stream.set_write_timeout(Some(CONNECT_LIMIT))?;
    stream.set_read_timeout(Some(LOOK))?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: cargo-loadtest\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        url.target, url.authority
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut buffer = [0; HEAD];
    while head.len() < HEAD && !head.contains(&b'\n') {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => head.extend_from_slice(&buffer[..read]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        if Instant::now() >= until || interrupted() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        }
    }
    let line = String::from_utf8_lossy(&head);
    let mut words = line.lines().next().unwrap_or_default().split(' ');
    match (words.next(), words.next()) {
        (Some(version), Some(status))
            if version.starts_with("HTTP/1.") && status.bytes().all(|b| b.is_ascii_digit()) =>
        {
            Ok(status.to_owned())
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "what answers does not speak HTTP/1")),
    }
}

/// The parts of `http://HOST[:PORT][/PATH][?QUERY][#FRAGMENT]`.
fn url(text: &str) -> anyhow::Result<Url> {
    let wrong = |what: &str| {
        anyhow::anyhow!(
            "`ready = \"{}\"` of [service] {what}\nhint: ready = \"http://127.0.0.1:8080/health\"",
            text.escape_debug()
        )
    };
    // What is written goes into a request's head as it is.
    if text.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(wrong("has a character that a URL can't have"));
    }
    let rest = &text["http://".len()..];
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.contains('@') {
        return Err(wrong("has a user name, which is not sent"));
    }
    // The colons of an IPv6 address are inside of brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => match port.parse() {
            Ok(port) => (host, port),
            Err(_) => return Err(wrong("has no port between 0 and 65535 behind its colon")),
        },
        _ => (authority, 80),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return Err(wrong("has no host"));
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    let target = format!("{slash}{target}");
    Ok(Url { authority: authority.to_owned(), host: host.to_owned(), port, target })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_everything_else_is_a_command() {
        let parsed = |text: &str| match Ready::parse(text).expect("valid") {
            Ready::Http(url) => format!("{} {} {} {}", url.host, url.port, url.target, url.authority),
            Ready::Command(line) => line,
        };
        assert_eq!(parsed("http://localhost:8080/health?a=b#c"), "localhost 8080 /health?a=b localhost:8080");
        assert_eq!(parsed(" HTTP://example.org "), "example.org 80 / example.org");
        assert_eq!(parsed("http://[::1]:81?x"), "::1 81 /?x [::1]:81");
        assert_eq!(parsed("http://[::1]/"), "::1 80 / [::1]");
        assert_eq!(parsed("curl -fsS https://localhost/"), "curl -fsS https://localhost/");
        assert_eq!(parsed("pg_isready -q"), "pg_isready -q");
    }

    #[test]
    fn urls_that_can_t_be_asked_are_refused_with_what_to_write() {
        for (text, expected) in [
            ("https://localhost/", "curl -fsS"),
            ("http://", "no host"),
            ("http://:80/", "no host"),
            ("http://localhost:99999/", "no port"),
            ("http://localhost:x/", "no port"),
            ("http://me:secret@localhost/", "user name"),
            ("http://localhost/a b", "character"),
            ("http://localhost/\r\nX-Evil: 1", "character"),
        ] {
            let error = Ready::parse(text).expect_err(text).to_string();
            assert!(error.contains(expected) && error.contains("\nhint: "), "{text}: {error}");
            assert!(!error.contains('\r'), "{error}");
        }
    }
}
