//! What HTTP/1.1 as bytes costs: `cargo bench -p loadtest-runtime --features bench-internals --bench codec`.
//!
//! Nanoseconds for each head or response, without a socket: the median of many short rounds and the fastest. The
//! rows of httparse alone are what any reader on top of it costs at least. A response whose head is the same to the
//! byte as the last one of its URL is only compared; one that changes (a server's `date` does once per second) is
//! parsed anew. `-- --rounds 200` is the default; `-- --rounds 1` and `valgrind --tool=callgrind` count instructions.

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::process::ExitCode;
use std::time::Instant;

use loadtest_runtime::bench_internals::Codec;

/// Calls of a round.
const CALLS: usize = 2_000;

/// What nginx says to a small request.
const SMALL: &str = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 04:15:11 GMT\r\nContent-Type: \
     application/json\r\nContent-Length: 26\r\nConnection: keep-alive\r\n\r\n{\"ok\":true,\"x\":1234567890}";

fn main() -> ExitCode {
    let rounds = match read_arguments() {
        Ok(Some(rounds)) => rounds,
        // `cargo test --benches` comes here; a measurement is no test.
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}. hint: `-- --rounds 200`");
            return ExitCode::from(2);
        }
    };
    let large = large();
    let later = SMALL.replace("04:15:11", "04:15:12");
    let chunked = chunked();
    let mut get = Codec::new(&[], b"");
    let own =
        [("content-type", "application/json"), ("authorization", "Bearer 0123456789abcdef"), ("x-id", "7")];
    let mut post = Codec::new(&own, &[b'a'; 1024]);

    println!("{rounds} rounds of {CALLS}; ns each, median and fastest round");
    let row = |name: &str, bytes: usize, call: &mut dyn FnMut(usize) -> usize| {
        let mut times: Vec<f64> = (0..=rounds)
            .map(|_| {
                let begin = Instant::now();
                (0..CALLS).for_each(|n| {
                    black_box(call(n));
                });
                begin.elapsed().as_nanos() as f64 / CALLS as f64
            })
            // The first round finds nothing in the caches.
            .skip(1)
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{name:<44}{bytes:>7} bytes{:>9.1}{:>9.1}", times[times.len() / 2], times[0]);
    };
    row("write the head of a GET", get.write(), &mut |_| get.write());
    row("write the head of a POST, 3 headers", post.write(), &mut |_| post.write());
    row("httparse alone, 5 headers", SMALL.len(), &mut |_| httparse_alone(SMALL.as_bytes()));
    row("parse a head of 5 headers", SMALL.len(), &mut |_| get.parse(SMALL.as_bytes()));
    row("httparse alone, 20 headers", large.len(), &mut |_| httparse_alone(large.as_bytes()));
    row("parse a head of 20 headers", large.len(), &mut |_| get.parse(large.as_bytes()));
    row("read a response, its head as before", SMALL.len(), &mut |_| get.read(SMALL.as_bytes()));
    row("read a response, its head changed", SMALL.len(), &mut |n| {
        get.read(if n.is_multiple_of(2) { SMALL } else { &later }.as_bytes())
    });
    row("read 20 headers, as before", large.len(), &mut |_| get.read(large.as_bytes()));
    row("decode 10 KiB in chunks of 1 KiB", chunked.len(), &mut |_| get.decode(&chunked));
    ExitCode::SUCCESS
}

/// The number of rounds; `None` unless this is a benchmark.
fn read_arguments() -> Result<Option<usize>, String> {
    let mut rounds = 200;
    let mut is_bench = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--rounds" => {
                let text = arguments.next().unwrap_or_default();
                let number = text.parse().ok().filter(|number| *number > 0);
                rounds = number.ok_or_else(|| format!("`{text}` is no number of rounds"))?;
            }
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok(is_bench.then_some(rounds))
}

/// What any reader of heads does at least.
fn httparse_alone(bytes: &[u8]) -> usize {
    let mut headers = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; 128];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let parsed = config.parse_response_with_uninit_headers(&mut response, bytes, &mut headers);
    match black_box(parsed) {
        Ok(httparse::Status::Complete(length)) => length,
        other => panic!("the head is whole: {other:?}"),
    }
}

/// What a service behind a proxy says: twenty headers, a cookie among them.
fn large() -> String {
    let mut text = "HTTP/1.1 200 OK\r\n".to_owned();
    for n in 0..17 {
        text.push_str(&format!("X-Header-{n}: a value of usual length, {n}\r\n"));
    }
    text + "Set-Cookie: session=0123456789abcdef; Path=/; HttpOnly\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
}

/// A body of 10 KiB in ten chunks.
fn chunked() -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..10 {
        bytes.extend_from_slice(b"400\r\n");
        bytes.extend_from_slice(&[b'a'; 1024]);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
