//! Recording allocates nothing once every series has been seen.

use super::*;

crate::metrics! {
    static QUEUE: Trend = "vu_test_queue" in millis;
}

/// Samples that one iteration records, its own included.
const SAMPLES: u64 = 11;

/// Runs a virtual user for so many iterations, and returns the allocations of its thread with the numbers
/// of samples that arrived and that were lost.
fn run_iterations(iterations: u64) -> (u64, u64, u64) {
    let Bench { vu, seats, rest, .. } = Bench::new(iterations);
    let Rest { inbox, recycler, lost } = rest;
    let core = Rc::clone(&vu.core);
    // As the aggregator does, but at once: buffers are counted and go back.
    let reader = std::thread::spawn(move || {
        let mut samples = 0;
        while let Ok(Message::Batch(mut batch)) = inbox.recv() {
            samples += batch.samples.len() as u64;
            batch.samples.clear();
            let _ = recycler.try_send(batch.samples);
        }
        samples
    });
    seats.give_all(Order::Run);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let own_tags = [("kind".to_owned(), "api".to_owned())];
    let measured = allocation_counter::measure(|| {
        let life = run(
            vu,
            async |_| Ok(()),
            async |vu: &mut Vu, (): &mut ()| {
                vu.tag("plan", "free");
                vu.check("listed", true);
                vu.group("buy", async |vu: &mut Vu| {
                    for _ in 0..3 {
                        vu.recorder_of_exchanges().record(&exchange("/seats/{id}", &own_tags));
                        QUEUE.add(vu, 1.5);
                    }
                    vu.check("bought", vu.iteration().is_multiple_of(2));
                })
                .await;
                vu.measure("ask", async { Ok::<_, Error>(()) }).await
            },
        );
        runtime.block_on(async {
            tokio::select! {
                () = life => {}
                () = seats.idle() => {}
            }
        });
        core.recorder.borrow_mut().flush();
    });
    drop(core);
    (measured.count_total, reader.join().expect("ends"), lost.load(Ordering::Relaxed))
}

#[test]
fn a_million_samples_allocate_nothing_after_the_first_ones() {
    // What a thread has once is there before anything is counted.
    run_iterations(1);
    let (warm_up, ..) = run_iterations(1_000);
    let iterations = 1_000 + 1_000_000 / SAMPLES;
    let (with_a_million_more, arrived, lost) = run_iterations(iterations);
    assert_eq!(arrived + lost, iterations * SAMPLES);
    assert!(arrived > 100_000, "{arrived} arrived");
    assert!(warm_up > 0, "nothing is counted");
    assert_eq!(with_a_million_more, warm_up);
}
