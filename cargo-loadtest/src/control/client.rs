//! The side that asks: `cargo loadtest status|pause|resume|scale|stop`.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use serde::de::DeserializeOwned;

use super::http::{self, ErrorBody};
use super::server::Done;
use super::status::Status;
use crate::cli::{ControlArgs, Wish};
use crate::failure::{Failure, OrExit as _, plain};
use crate::terminal::print_out;
use crate::verdict::ExitCode;

/// How long connecting, and then the answer, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that an answer may have.
const MAX_ANSWER: usize = 4 << 20;

/// Asks a running test for something, and prints the answer on standard output.
///
/// # Errors
/// With [`ExitCode::Internal`] if nobody listens, the wish is refused, or the answer can't be understood.
pub fn ask(args: &ControlArgs, wish: &Wish) -> Result<ExitCode, Failure> {
    print_out(&plain(&answer(args, wish).or_exit(ExitCode::Internal)?))?;
    Ok(ExitCode::Passed)
}

/// What is printed.
pub(crate) fn answer(args: &ControlArgs, wish: &Wish) -> anyhow::Result<String> {
    let (method, target) = match wish {
        Wish::Status => ("GET", "/v1/status".to_owned()),
        Wish::Pause => ("POST", "/v1/pause".to_owned()),
        Wish::Resume => ("POST", "/v1/resume".to_owned()),
        Wish::Stop => ("POST", "/v1/stop".to_owned()),
        Wish::Scale(None, vus) => ("POST", format!("/v1/scale?vus={vus}")),
        Wish::Scale(Some(scenario), vus) => {
            ("POST", format!("/v1/scale?vus={vus}&scenario={}", http::encoded(scenario)))
        }
    };
    let (code, body) = exchange(args, method, &target)?;
    let strange = || format!("what answers at {} is no run of `cargo loadtest`", args.control);
    if code != 200 {
        let ErrorBody { error, hint } = read(&body).with_context(strange)?;
        if hint.is_empty() {
            bail!("{error}");
        }
        bail!("{error}\nhint: {hint}");
    }
    if *wish == Wish::Status {
        return Ok(read::<Status>(&body).with_context(strange)?.text());
    }
    Ok(format!("{}\n", read::<Done>(&body).with_context(strange)?.result))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> anyhow::Result<T> {
    Ok(serde_json::from_slice(body)?)
}

/// The status code and the body.
fn exchange(args: &ControlArgs, method: &str, target: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    let address = args.control;
    let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| {
        anyhow!("no run can be reached at {address}: {error}\nhint: start the run with `--control {address}`")
    })?;
    let silent = || format!("no answer from {address}\nhint: is it a run of `cargo loadtest`?");
    stream.set_write_timeout(Some(PATIENCE)).with_context(silent)?;
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n{length}Connection: close\r\n\r\n");
    (&stream).write_all(request.as_bytes()).with_context(silent)?;
    let (mut bytes, until) = (Vec::new(), Instant::now() + PATIENCE);
    loop {
        match http::read_some(&stream, &mut bytes, MAX_ANSWER, until) {
            Ok(0) => break,
            Ok(_) => {}
            // It answered and went away in haste: what came is looked at.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !bytes.is_empty() => break,
            Err(error) => return Err(error).with_context(silent),
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(&bytes) {
        Ok(httparse::Status::Complete(head)) => {
            Ok((response.code.unwrap_or_default(), bytes[head..].to_vec()))
        }
        _ => Err(anyhow!(silent())),
    }
}
