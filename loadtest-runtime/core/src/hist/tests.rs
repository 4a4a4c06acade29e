use hdrhistogram::Histogram;
use proptest::prelude::*;

use super::*;

fn hist(values: impl IntoIterator<Item = f64>) -> Hist {
    let mut hist = Hist::default();
    values.into_iter().for_each(|value| hist.record(value));
    hist
}

/// Linear interpolation between order statistics, the definition.
fn exact_quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (lower, upper) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    lower + position.fract() * (upper - lower)
}

/// Latencies in microseconds around 20 ms, from a fixed linear congruential generator.
fn lognormal(n: usize, sigma: f64) -> Vec<f64> {
    let mut state = 42u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    (0..n)
        .map(|_| {
            let (a, b) = (uniform(), uniform());
            let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
            (20_000.0 * (sigma * normal).exp()).round()
        })
        .collect()
}

/// Bytes beyond the histogram itself.
fn memory(hist: &Hist) -> usize {
    hist.counts.memory()
}

#[test]
fn the_example_of_the_load_model() {
    let hist = hist([0, 100, 30, 80, 70, 60, 50, 40, 90, 20].map(|value| f64::from(value) * 1_000.0));
    for (q, expected) in [(0.5, 55_000.0), (0.9, 91_000.0), (0.95, 95_500.0), (0.0, 0.0), (1.0, 100_000.0)] {
        let actual = hist.quantile(q).expect("not empty");
        assert!((actual - expected).abs() <= expected * 0.001, "{q}: {actual}");
    }
    let mean = hist.mean().expect("not empty");
    assert!((mean - 54_000.0).abs() < 54.0, "{mean}");
}

#[test]
fn small_values_are_exact() {
    let hist = hist([1.0, 2.0, 3.0, 4.0]);
    assert_eq!(hist.quantile(0.5), Some(2.5));
    assert_eq!(hist.quantile(0.25), Some(1.75));
    assert_eq!(hist.quantile(-1.0), Some(1.0));
    assert_eq!(hist.quantile(2.0), Some(4.0));
    assert_eq!(hist.mean(), Some(2.5));
    assert_eq!(hist.iter().collect::<Vec<_>>(), [(1.0, 1), (2.0, 1), (3.0, 1), (4.0, 1)]);
}

#[test]
fn without_values_there_is_nothing_to_tell() {
    let hist = Hist::default();
    assert_eq!((hist.quantile(0.5), hist.mean(), hist.count(), hist.clamped()), (None, None, 0, 0));
    assert_eq!(hist.iter().count(), 0);
    assert_eq!(memory(&hist), 0, "an empty histogram has no memory");
    let one = self::hist([7.0]);
    assert_eq!((one.quantile(0.99), one.quantile(f64::NAN)), (Some(7.0), None));
}

#[test]
fn what_does_not_fit_is_clamped_and_counted() {
    let hist = hist([-1.0, -0.001, f64::NAN, f64::INFINITY, 1e300, MAX_VALUE as f64, 5.0]);
    assert_eq!((hist.count(), hist.clamped()), (7, 5));
    assert_eq!(hist.quantile(0.0), Some(0.0));
    let max = hist.quantile(1.0).expect("not empty");
    assert!((max / MAX_VALUE as f64 - 1.0).abs() < 0.001, "{max}");
}

#[test]
fn indices_are_those_of_the_histogram_underneath() {
    let reference = Histogram::<u64>::new_with_bounds(1, MAX_VALUE, 3).expect("valid bounds");
    for exponent in 0..=42 {
        for offset in [0, 1, 2, 1_023, 1_024, 999_999_999] {
            let value = ((1u64 << exponent) + offset).min(MAX_VALUE);
            assert_eq!(lowest_of(index_of(value)), reference.lowest_equivalent(value), "{value}");
        }
    }
    // The map is one to one, without gaps.
    for index in 0..=MAX_INDEX {
        assert_eq!(index_of(lowest_of(index)), index);
    }
}

#[test]
fn memory_grows_only_with_new_magnitudes() {
    let mut hist = hist([20_000.0]);
    let full = memory(&hist);
    assert!(full <= 49 * 1_024, "{full}");
    lognormal(1_000, 0.0).into_iter().for_each(|value| hist.record(value));
    hist.reset();
    assert!(hist.is_empty());
    assert_eq!(memory(&hist), full);
    hist.record(19_999.0);
    assert_eq!((memory(&hist), hist.count(), hist.clamped()), (full, 1, 0));
    hist.record(3_600e6);
    assert!(memory(&hist) <= 188 * 1_024, "{}", memory(&hist));
}

#[test]
fn what_is_kept_takes_eight_bytes_for_each_bucket() {
    let dense = hist(lognormal(200, 0.5));
    let buckets = dense.iter().count();
    let mut decoded = Hist::decode(&dense.encode()).expect("our own text");
    for sparse in [&decoded, &dense.compact(), &decoded.compact(), &decoded.clone()] {
        assert_eq!(memory(sparse), 8 * buckets);
        assert_eq!(*sparse, dense);
    }
    // A sum of one part is still small; more parts are added up in an array, whose memory stays.
    let mut sum = Hist::default();
    sum.merge(&dense);
    assert_eq!(memory(&sum), 8 * buckets);
    sum.merge(&Hist::default());
    sum.merge(&decoded);
    assert_eq!(memory(&sum), memory(&dense));
    sum.reset();
    assert_eq!((memory(&sum), &sum), (memory(&dense), &Hist::default()));
    sum.merge(&decoded);
    assert_eq!((memory(&sum), &sum), (memory(&dense), &dense));
    // Recording makes an array of it too.
    decoded.record(20_000.0);
    assert_eq!((memory(&decoded), decoded.count()), (memory(&dense), 201));
    decoded.compact().reset();
    assert_eq!(memory(&Hist::default().compact()), 0);
}

#[test]
fn counts_too_large_for_a_short_list_are_kept_as_they_are() {
    let mut hist = hist([1.0]);
    hist.record_n(1e9, u64::from(u32::MAX) + 1);
    for copy in [hist.compact(), Hist::decode(&hist.encode()).expect("our own text")] {
        assert_eq!(copy, hist);
        assert_eq!(memory(&copy), memory(&hist));
    }
}

#[test]
fn the_text_form_is_short() {
    for sigma in [0.2, 0.5, 1.0] {
        let text = hist(lognormal(1_000, sigma)).encode();
        assert!(text.len() < 1_500, "sigma {sigma}: {} bytes", text.len());
    }
    assert_eq!(Hist::default().encode(), "AA");
}

#[test]
fn the_text_form_stays_what_it_is() {
    // Stored runs are read by later versions: this text must decode for ever.
    let hist = hist([3.0, 5.0, 5.0, 5.0, 20_000.0, -1.0]);
    assert_eq!(hist.encode(), "AQAEAwG4Uw");
    assert_eq!(Hist::decode("AQAEAwG4Uw"), Ok(hist));
}

#[test]
fn hostile_text_is_an_error() {
    let mut far = Vec::new();
    codec::put_varint(&mut far, 0);
    codec::put_varint(&mut far, (MAX_INDEX + 1) << 1);
    let mut wrapping = Vec::new();
    codec::put_varint(&mut wrapping, 0);
    codec::put_varint(&mut wrapping, 2);
    codec::put_varint(&mut wrapping, u64::MAX - 1);
    let mut many = Vec::new();
    codec::put_varint(&mut many, 0);
    for _ in 0..2 {
        codec::put_varint(&mut many, 1);
        codec::put_varint(&mut many, u64::MAX - 2);
    }
    let mut clamped = Vec::new();
    codec::put_varint(&mut clamped, 3);
    codec::put_varint(&mut clamped, 0);
    for bytes in [far, wrapping, many, clamped, vec![], vec![0x80], vec![0, 1]] {
        let text = codec::encode_base64(&bytes);
        assert!(Hist::decode(&text).is_err(), "{bytes:?}");
    }
    assert!(Hist::decode("not base64!").is_err());
    assert!(serde_json::from_str::<Hist>("[1,2]").is_err());
}

#[test]
fn the_largest_counts_do_not_overflow() {
    let mut hist = Hist::default();
    hist.record_n(1.0, u64::MAX);
    hist.record_n(2.0, u64::MAX);
    let copy = hist.clone();
    hist.merge(&copy);
    assert_eq!(hist.count(), u64::MAX);
    assert_eq!(hist.count_at_or_below(5.0), u64::MAX);
    assert_eq!(hist.quantile(0.0), Some(1.0));
}

proptest! {
    #[test]
    fn quantiles_are_within_a_thousandth(
        values in proptest::collection::vec((0u32..36, 1u64..2_000_000), 1..400), q in 0.0..=1.0f64,
    ) {
        // Every magnitude is as likely.
        let mut values: Vec<f64> = values.iter().map(|(bits, value)| ((value << bits >> 20) as f64).round()).collect();
        let hist = hist(values.iter().copied());
        values.sort_by(f64::total_cmp);
        for q in [0.0, 0.5, 0.9, 0.95, 0.99, 1.0, q] {
            let (actual, expected) = (hist.quantile(q).expect("not empty"), exact_quantile(&values, q));
            prop_assert!((actual - expected).abs() <= expected * 0.001 + 1e-9, "{}: {} {}", q, actual, expected);
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        prop_assert!((hist.mean().expect("not empty") - mean).abs() <= mean * 0.001);
    }

    #[test]
    fn one_value_is_rounded_as_several_are(whole in 0u64..1 << 33, part in prop_oneof![Just(0.5), 0.0..1.0f64]) {
        for value in [whole as f64 + part, (whole % 2_048) as f64 + part, part, 0.5f64.next_down(), -part] {
            let mut several = Hist::default();
            several.record_n(value, 2);
            prop_assert_eq!(hist([value, value]), several, "{}", value);
        }
    }

    #[test]
    fn counts_at_or_below_are_those_of_the_values(
        values in proptest::collection::vec(0u32..2_048, 0..100), limit in -10.0..3_000.0f64,
    ) {
        let hist = hist(values.iter().map(|value| f64::from(*value)));
        let expected = values.iter().filter(|value| f64::from(**value) <= limit).count();
        prop_assert_eq!(hist.count_at_or_below(limit), expected as u64);
        prop_assert_eq!(hist.count_at_or_below(f64::INFINITY), values.len() as u64);
        prop_assert_eq!(hist.count_at_or_below(f64::NAN), 0);
    }

    #[test]
    fn merging_equals_recording_everything_in_one(
        a in proptest::collection::vec(-10.0..1e13f64, 0..60),
        b in proptest::collection::vec(-10.0..1e5f64, 0..60),
    ) {
        let whole = hist(a.iter().chain(&b).copied());
        let (a, b) = (hist(a), hist(b));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b);
        ba.merge(&a);
        prop_assert_eq!(&ab, &whole);
        prop_assert_eq!(&ba, &whole);
    }

    #[test]
    fn histograms_survive_their_text(
        values in proptest::collection::vec((-10.0..1e13f64, prop_oneof![1u64..5, any::<u32>().prop_map(u64::from)]), 0..60),
    ) {
        let mut hist = Hist::default();
        values.iter().for_each(|(value, n)| hist.record_n(*value, *n));
        prop_assert_eq!(Hist::decode(&hist.encode()), Ok(hist.clone()));
        let json = serde_json::to_string(&hist).expect("serialises");
        prop_assert_eq!(serde_json::from_str::<Hist>(&json).expect("parses"), hist);
    }

    #[test]
    fn no_text_panics(text in "[A-Za-z0-9+/]{0,64}") {
        if let Ok(hist) = Hist::decode(&text) {
            prop_assert!(hist.quantile(0.5).is_some() || hist.is_empty());
            prop_assert!(hist.clamped() <= hist.count());
        }
    }
}

proptest! {
    // Each case walks the widest arrays dozens of times, which an unoptimized build takes seconds for.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn both_representations_give_the_same_answers(
        values in proptest::collection::vec((-10.0..1e13f64, prop_oneof![1u64..5, any::<u64>()]), 0..60),
        more in proptest::collection::vec(-10.0..1e5f64, 0..20), q in 0.0..=1.0f64, limit in -10.0..1e13f64,
    ) {
        let mut dense = Hist::default();
        // A text holds at most 2⁶⁴ − 1 values.
        values.iter().for_each(|(value, n)| dense.record_n(*value, (*n >> 6).max(1)));
        let other = hist(more.iter().copied());
        for sparse in [dense.compact(), Hist::decode(&dense.encode()).expect("our own text")] {
            prop_assert_eq!(&sparse, &dense);
            prop_assert_eq!(format!("{sparse:?}"), format!("{dense:?}"));
            prop_assert_eq!(sparse.encode(), dense.encode());
            prop_assert_eq!((sparse.count(), sparse.clamped(), sparse.is_empty()), (dense.count(), dense.clamped(), dense.is_empty()));
            prop_assert_eq!((sparse.quantile(q), sparse.mean()), (dense.quantile(q), dense.mean()));
            prop_assert_eq!(sparse.count_at_or_below(limit), dense.count_at_or_below(limit));
            prop_assert!(sparse.iter().eq(dense.iter()));
            let mut recorded = (sparse.clone(), dense.clone());
            more.iter().for_each(|value| { recorded.0.record(*value); recorded.1.record(*value); });
            prop_assert_eq!(&recorded.0, &recorded.1);
            // Each way to merge: list or array into list or array.
            for other in [&other, &other.compact()] {
                for mut sum in [sparse.clone(), dense.clone()] {
                    sum.merge(other);
                    prop_assert_eq!(&sum, &recorded.1);
                }
                let mut sum = (*other).clone();
                sum.merge(&sparse);
                prop_assert_eq!(&sum, &recorded.1);
            }
        }
    }
}
