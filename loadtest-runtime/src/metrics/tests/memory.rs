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
