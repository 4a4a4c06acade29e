//! Memory does not grow with the number of requests.

use super::*;

/// Closes this many seconds with some hundred requests each.
fn run(bench: &mut Bench, seconds: u64) {
    for _ in 0..seconds {
        let ms = u64::from(bench.closed) * 1_000;
        for n in 0..300u32 {
            // The same spread each second, up to half a minute.
            let waiting_ms = (n * n) as f32 / 3.0;
            let exchange = Exchange { waiting_ms, bytes_received: 1_000, ..Exchange::default() };
            bench.exchange(ms, if n % 3 == 0 { "/" } else { "/seats" }, exchange);
            bench.check(ms, "listed", n % 7 == 0);
        }
        bench.deliver();
        // Intervals go to the subcommand, which is not this memory.
        drop(bench.aggregator.close(1.0, Duration::from_secs(u64::from(bench.closed) + 1)));
        bench.closed += 1;
    }
}

#[test]
fn the_aggregators_memory_does_not_grow_with_time() {
    let mut kept = None;
    let first_minute = allocation_counter::measure(|| {
        let mut bench = Bench::new(1, &["http_req_duration: p(95)<500ms"]);
        run(&mut bench, 60);
        kept = Some(bench);
    });
    let mut bench = kept.take().expect("set");
    let ten_minutes = allocation_counter::measure(|| run(&mut bench, 540));
    assert!(first_minute.bytes_current > 1_000_000, "counts nothing: {first_minute:?}");
    let growth = ten_minutes.bytes_current as f64 / first_minute.bytes_current as f64;
    assert!(growth <= 0.05, "{growth:.3}: {} bytes more", ten_minutes.bytes_current);
    assert_eq!(bench.lost(), 0);
}

/// Counts what is allocated while this many seconds pass with 500 series of exchanges, each with a check and an
/// iteration: 50 names with ten outcomes each. Returns bytes.
fn of_500_series(waiting_ms: impl Fn(u32) -> f32) -> u64 {
    let measured = allocation_counter::measure(|| {
        let mut bench = Bench::new(1, &["http_req_duration: p(95)<500ms", "http_req_failed: rate<0.5"]);
        let names: Vec<String> = (0..50).map(|n| format!("/seats/{n}")).collect();
        for second in 0..4u32 {
            for n in 0..120 {
                let ms = u64::from(second * 1_000 + n);
                for (name, status) in
                    names.iter().flat_map(|name| (200..210).map(move |status| (name, status)))
                {
                    let waiting_ms = waiting_ms(n + 120 * second);
                    let exchange = Exchange {
                        waiting_ms,
                        sending_ms: 0.004,
                        receiving_ms: waiting_ms / 100.0,
                        ..Exchange::default()
                    };
                    let (at, base) = (bench.at(ms), bench.base);
                    let took = Duration::from_secs_f32(waiting_ms / 1e3);
                    let recorder = &mut bench.recorders[0];
                    recorder.exchange(at, base, ExchangeTags { status, ..get(name) }, exchange);
                    recorder.check(at, base, name, true);
                    recorder.iteration(at, base, took, took, false);
                }
                bench.deliver();
            }
            assert_eq!(
                bench.aggregator.close(1.0, Duration::from_secs(u64::from(second) + 1)).series.len(),
                5_056
            );
        }
        assert_eq!(bench.lost(), 0);
    });
    measured.bytes_max
}

#[test]
fn five_hundred_series_take_less_than_100_mib() {
    // From 0.1 ms to 10 s, each part of it as likely: the widest spread that a service has.
    let spread = of_500_series(|n| 0.1 * 10f32.powf(5.0 * (n * 37 % 480) as f32 / 480.0));
    // Around a millisecond, as usual.
    let usual = of_500_series(|n| 0.5 + (n * 37 % 480) as f32 / 480.0);
    println!("{:.1} MiB spread, {:.1} MiB usual", spread as f64 / MIB, usual as f64 / MIB);
    assert!(spread as f64 <= 100.0 * MIB && usual as f64 <= 40.0 * MIB, "{spread} and {usual} bytes");
}

const MIB: f64 = (1 << 20) as f64;
