//! The worker's side: before the start, and when the aggregator does not follow.

use super::*;
use crate::metrics::errors::{ErrorCount, Source};
use crate::metrics::recorder::BUFFER_SAMPLES;

#[test]
fn nothing_is_recorded_before_the_start() {
    let (start, mut bench) = Bench::before_start(1, &[]);
    let error = ErrorCount {
        scenario: "s".to_owned(),
        source: Source::Iteration,
        message: "too early".to_owned(),
        place: None,
        count: 1,
        first_at_ms: 0,
    };
    bench.trend(0, 0, 1.0);
    bench.check(0, "early", true);
    let at = bench.at(0);
    bench.recorders[0].error(at, error);
    start.set(bench.start).expect("set once");
    bench.trend(0, 0, 2.0);
    let (out, end) = bench.finish();
    assert_eq!(out.one("group_duration").1.sum, 2.0);
    assert_eq!((out.totals.len(), end.errors.len()), (1, 0));
}

#[test]
fn a_time_before_the_start_is_the_start() {
    let mut bench = Bench::new(1, &[]);
    let (early, base) = (bench.start - Duration::from_millis(5), bench.base);
    bench.recorders[0].check(early, base, "early", true);
    assert_eq!(bench.deliver_and_close().series.len(), 1);
}

#[test]
fn what_the_aggregator_can_not_follow_is_counted_and_later_samples_arrive() {
    let mut bench = Bench::new(1, &[]);
    let fits = (BUFFERS - 1) * BUFFER_SAMPLES;
    let recorded = fits + 10 * BUFFER_SAMPLES + 7;
    for n in 0..recorded {
        // New series while nothing gets through, too.
        bench.check(1, if n < fits { "first" } else { "second" }, true);
    }
    assert_eq!(bench.lost(), 10 * BUFFER_SAMPLES as u64);
    bench.deliver();
    // All buffers are back: as much fits as before.
    for _ in 0..fits {
        bench.check(2, "second", true);
    }
    bench.deliver();
    let lost = bench.lost();
    let (out, _) = bench.finish();
    let delivered: u64 = out.series("checks").iter().map(|(_, totals)| totals.count).sum();
    assert_eq!(delivered + lost, (recorded + fits) as u64);
    let second = out.series("checks").into_iter().find(|(tags, _)| tags["check"] == "second");
    assert!(second.expect("its series was not lost").1.count >= fits as u64);
}

#[test]
fn a_refused_buffer_stays_in_the_cycle_with_what_was_new_in_it() {
    let (messages, inbox) = sync_channel(BUFFERS);
    let at = crate::clock::now();
    // The channel is full of something else: whatever is handed over is refused.
    for _ in 0..BUFFERS {
        messages.send(Message::Begin(at)).expect("has room");
    }
    let (start, lost) = (Arc::new(OnceLock::from(at)), Arc::new(AtomicU64::new(0)));
    let (mut recorder, recycler) = Recorder::new(0, messages, start, Arc::clone(&lost));
    let base = recorder.tag_set(tags(&[("scenario", "s")]));
    let refused = 3 * BUFFERS as u64;
    for n in 0..refused {
        recorder.check(at, base, "listed", true);
        let error = ErrorCount {
            scenario: "s".to_owned(),
            source: Source::Iteration,
            message: if n == 0 { "first" } else { "later" }.to_owned(),
            place: None,
            count: 1,
            first_at_ms: 0,
        };
        recorder.error(at, error);
        recorder.flush();
    }
    assert_eq!(lost.load(Ordering::Relaxed), refused);
    inbox.try_iter().for_each(drop);
    // As many buffers as ever can be under way.
    let fits = BUFFERS as u64 - 1;
    for _ in 0..fits {
        recorder.check(at, base, "listed", true);
        recorder.flush();
    }
    assert_eq!(lost.load(Ordering::Relaxed), refused);
    let mut aggregator = Aggregator::new(vec![recycler], &[], &[]);
    for message in inbox.try_iter() {
        if let Message::Batch(batch) = message {
            aggregator.take(batch);
        }
    }
    let mut out = Sums::default();
    out.add(&aggregator.close(1.0, Duration::from_secs(1)));
    assert_eq!(out.one("checks").1.count, fits);
    let errors = aggregator.finish(Duration::from_secs(1)).errors;
    assert_eq!(errors.iter().map(|error| error.count).collect::<Vec<_>>(), [refused - 1, 1]);
}
