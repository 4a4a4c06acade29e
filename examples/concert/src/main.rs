//! The binary `concert`: a socket and flags around the library.
//!
//! [`Cli`] is the command line. The first line on stdout is the address, so that whoever starts the
//! service on a free port can find it. It refuses to know anything about concerts.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use clap::Parser;
use concert::{Concert, Percent, Settings};

/// How long open requests may take after a shutdown was asked for.
const GRACE: Duration = Duration::from_secs(5);

/// A concert ticket service to try load tests on, with its state in memory.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Listen here; wins over --port [default: 127.0.0.1:0, a free port].
    #[arg(long, value_name = "IP:PORT")]
    addr: Option<SocketAddr>,
    /// Listen on this port of 127.0.0.1.
    #[arg(long, env = "PORT")]
    port: Option<u16>,
    /// Make every request take this much longer, such as `10%`.
    #[arg(long, env = "CONCERT_SLOW_BY", value_name = "PERCENT", default_value_t = Percent::ZERO)]
    slow_by: Percent,
    /// Answer this share of the requests with status 500, such as `5%`, before any work is done.
    #[arg(long, env = "CONCERT_FAIL_RATE", value_name = "PERCENT", default_value_t = Percent::ZERO,
          value_parser = Percent::parse_share)]
    fail_rate: Percent,
    /// Which requests fail: equal seeds fail the same ones, in their order of arrival.
    #[arg(long, env = "CONCERT_SEED", default_value_t = 1)]
    seed: u64,
    /// How many seconds a reservation keeps its seat unpaid.
    #[arg(long, env = "CONCERT_HOLD_SECONDS", value_name = "SECONDS", default_value_t = 120,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    hold_seconds: u32,
    /// How many users per second the waiting queue admits.
    #[arg(long, env = "CONCERT_ADMIT_PER_SECOND", value_name = "N", default_value_t = 500,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    admit_per_second: u32,
    /// Worker threads [default: one per core].
    #[arg(long, env = "CONCERT_WORKERS", value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1_024))]
    workers: Option<u16>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = cli.workers {
        builder.worker_threads(usize::from(workers));
    }
    let runtime = builder.enable_all().build().map_err(|error| format!("cannot start workers: {error}"))?;
    runtime.block_on(serve(cli))
}

async fn serve(cli: &Cli) -> Result<(), String> {
    let addr = cli.addr.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, cli.port.unwrap_or(0)).into());
    let cannot_listen = |error: io::Error| {
        format!("cannot listen on {addr}: {error}\nhint: choose a free port with --addr 127.0.0.1:0")
    };
    let listener = tokio::net::TcpListener::bind(addr).await.map_err(cannot_listen)?;
    let addr = listener.local_addr().map_err(cannot_listen)?;
    // Before the address is told to anyone: whoever reads it may end the service at once.
    let shutdown = Shutdown::install().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let concert = Arc::new(Concert::new(&cli.settings()));

    // A closed stdout is no reason not to serve: with --port the address is known anyway.
    let _ = writeln!(io::stdout(), "listening on http://{addr}").and_then(|()| io::stdout().flush());

    // Without this, a response in two segments could wait for the client's delayed acknowledgement.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut stopping = stopped.clone();
    let server = axum::serve(listener, concert::router(concert)).with_graceful_shutdown(async move {
        shutdown.requested().await;
        stop.send_replace(true);
    });
    let too_late = async {
        // An error means that the sender is gone: the server has ended, and wins the race below.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server => ended.map_err(|error| format!("cannot go on serving: {error}")),
        () = too_late => Err(format!("connections were still open {GRACE:?} after the signal to stop")),
    }
}

impl Cli {
    fn settings(&self) -> Settings {
        Settings {
            slow_by: self.slow_by,
            fail_rate: self.fail_rate,
            seed: self.seed,
            hold: Duration::from_secs(self.hold_seconds.into()),
            admit_per_second: self.admit_per_second,
        }
    }
}

/// Ctrl-C, and SIGTERM where it exists.
struct Shutdown {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Shutdown {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn requested(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Shutdown {
    fn install() -> io::Result<Self> {
        Ok(Self {})
    }

    async fn requested(self) {
        // An error means that no signal can ever come: then the service runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_reach_the_settings() {
        let args = "concert --slow-by 10% --fail-rate 5% --seed 9 --hold-seconds 3 --admit-per-second 7";
        let settings = Cli::try_parse_from(args.split(' ')).unwrap().settings();
        assert_eq!(settings.slow_by.to_string(), "10%");
        assert_eq!(settings.fail_rate.to_string(), "5%");
        assert_eq!((settings.seed, settings.admit_per_second), (9, 7));
        assert_eq!(settings.hold, Duration::from_secs(3));
    }

    #[test]
    fn a_mistake_is_refused_with_a_hint() {
        for (flag, value, said) in [
            ("--slow-by", "10", "hint: write `10%`"),
            ("--fail-rate", "500%", "hint: write at most `100%`"),
            ("--workers", "0", "not in 1..=1024"),
            ("--hold-seconds", "0", "not in 1..=86400"),
        ] {
            let error = Cli::try_parse_from(["concert", flag, value]).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
