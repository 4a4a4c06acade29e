use proptest::prelude::*;

use super::*;

#[test]
fn durations_are_read_as_k6_and_go_write_them() {
    for (text, nanos) in [
        ("0", 0),
        ("0s", 0),
        ("0h0m0s", 0),
        ("1m30s", 90_000_000_000),
        ("500ms", 500_000_000),
        ("1.5h", 5_400_000_000_000),
        (".5s", 500_000_000),
        ("2d", 172_800_000_000_000),
        ("1d2h3m4s5ms6us7ns", 93_784_005_006_007),
        ("250us", 250_000),
        ("250µs", 250_000),
        ("250μs", 250_000),
        ("1.000000001s", 1_000_000_001),
        ("0.00000000149s", 1),
        (" 10s ", 10_000_000_000),
        ("9223372036854775807ns", i64::MAX as u64),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
    }
}

#[test]
fn wrong_durations_quote_the_text_and_say_what_to_write() {
    for (text, hint) in [
        ("", "`30s`"),
        ("10", "a unit is missing: write `10s`"),
        ("1m30", "a unit is missing after `30`"),
        ("1.5", "a unit is missing: write `1.5s`"),
        ("-5s", "write `5s`"),
        ("+5s", "write `5s`"),
        ("5", "`5s`"),
        ("s", "`1m30s`"),
        ("1..5s", "`1m30s`"),
        (".s", "`1m30s`"),
        ("10sec", "write `10s`"),
        ("10 minutes", "write `10m`"),
        ("10S", "write `10s`"),
        ("1m 30s", "write `1m`"),
        ("3w", "units are `d`"),
        ("1s1s", "write `2s`"),
        ("30s1m", "write `1m30s`"),
        ("1m2s1m", "write `2m2s`"),
        ("106752d", "`106751d`"),
        ("99999999999999999999999999999999999999999999s", "`106751d`"),
        ("٣s", "`1m30s`"),
        ("1e3s", "units are `d`"),
    ] {
        let error = parse_duration(text).expect_err(text);
        assert!(error.message().contains(text.trim()), "{text}: {error}");
        assert!(error.hint_text().is_some_and(|h| h.contains(hint)), "{text}: {error}");
    }
}

#[test]
fn durations_are_written_in_one_way() {
    for (text, canonical) in [
        ("0", "0s"),
        ("90s", "1m30s"),
        ("1500ms", "1.5s"),
        ("90.5s", "1m30.5s"),
        ("1500us", "1.5ms"),
        ("100ns", "100ns"),
        ("36h", "1d12h"),
        ("10m", "10m"),
        ("3600s", "1h"),
        ("1h0m0.25s", "1h0.25s"),
    ] {
        assert_eq!(format_duration(parse_duration(text).expect(text)), canonical);
    }
}

#[test]
fn latencies_have_three_digits() {
    for (millis, text) in [
        (0.0, "0s"),
        (0.000_4, "0.40µs"),
        (0.812, "812µs"),
        (0.004_21, "4.21µs"),
        (0.999_6, "1.00ms"),
        (4.21, "4.21ms"),
        (42.13, "42.1ms"),
        (99.96, "100ms"),
        (999.4, "999ms"),
        (999.6, "1.00s"),
        (1_320.0, "1.32s"),
        (59_949.0, "59.9s"),
        (59_960.0, "1m00s"),
        (125_000.0, "2m05s"),
        (3_723_000.0, "1h02m03s"),
        (-4.21, "-4.21ms"),
        (f64::NAN, "n/a"),
        (f64::INFINITY, "n/a"),
    ] {
        assert_eq!(format_millis(millis), text);
    }
}

#[test]
fn amounts_are_shown_for_people() {
    for (bytes, text) in [
        (0.0, "0 B"),
        (812.0, "812 B"),
        (999.6, "1.0 kB"),
        (1_234.0, "1.2 kB"),
        (9_960.0, "10 kB"),
        (34_000_000.0, "34 MB"),
        (1e12, "1.0 TB"),
        (-1_234.0, "-1.2 kB"),
        (f64::NAN, "n/a"),
    ] {
        assert_eq!(format_bytes(bytes), text);
    }
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "0"),
        (999.0, "999"),
        (1_000.0, "1,000"),
        (1_234_567.0, "1,234,567"),
        (-1_234_567.0, "-1,234,567"),
        (12.5, "12.5"),
        (0.003, "0.003"),
        (0.000_01, "1.00e-5"),
        (1e18, "1.000e18"),
        (f64::NAN, "n/a"),
    ] {
        assert_eq!(format_count(value), text);
    }
}

#[test]
fn rates_and_shares_are_shown_for_people() {
    for (rate, text) in [
        (0.0, "0/s"),
        (0.333, "0.33/s"),
        (0.003_3, "0.00330/s"),
        (12.46, "12.5/s"),
        (1_234.4, "1234/s"),
        (f64::INFINITY, "n/a"),
    ] {
        assert_eq!(format_rate(rate), text);
    }
    for (share, text) in [
        (0.0, "0.00%"),
        (0.05, "5.00%"),
        (0.000_01, "<0.01%"),
        (0.999_99, ">99.99%"),
        (1.0, "100.00%"),
        (f64::NAN, "n/a"),
    ] {
        assert_eq!(format_percent(share), text);
    }
}

#[test]
fn values_are_shown_by_the_unit_of_their_metric() {
    assert_eq!(format_value(1_500.0, Unit::None), "1,500");
    assert_eq!(format_value(1_500.0, Unit::Millis), "1.50s");
    assert_eq!(format_value(1_500.0, Unit::Bytes), "1.5 kB");
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Document {
    #[serde(with = "serde_duration")]
    every: Duration,
    #[serde(default, with = "serde_duration_opt", skip_serializing_if = "Option::is_none")]
    after: Option<Duration>,
}

#[test]
fn documents_hold_durations_as_text() {
    let document = Document { every: Duration::from_millis(1_500), after: Some(Duration::from_secs(90)) };
    let json = serde_json::to_string(&document).expect("serialises");
    assert_eq!(json, r#"{"every":"1.5s","after":"1m30s"}"#);
    assert_eq!(serde_json::from_str::<Document>(&json).expect("parses"), document);
    let sparse: Document = serde_json::from_str(r#"{"every":"0"}"#).expect("parses");
    assert_eq!(sparse, Document { every: Duration::ZERO, after: None });
    for (wrong, says) in [
        (r#"{"every":"10"}"#, "write `10s`"),
        (r#"{"every":10}"#, "a duration such as"),
        (r#"{"every":"1s","after":7}"#, "a duration such as"),
    ] {
        let error = serde_json::from_str::<Document>(wrong).expect_err(wrong).to_string();
        assert!(error.contains(says), "{error}");
    }
}

proptest! {
    #[test]
    fn durations_survive_their_text(nanos in 0..=i64::MAX as u64, digits in 0u32..19) {
        // Shorter ones too: each number of digits is as likely.
        let duration = Duration::from_nanos(nanos / 10u64.pow(digits));
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn no_text_panics(text in "[-+0-9.dhmsuµn é]{0,24}") {
        let _ = parse_duration(&text);
    }

    #[test]
    fn no_number_panics(value: f64) {
        for text in [
            format_millis(value), format_bytes(value), format_count(value), format_rate(value), format_percent(value),
        ] {
            prop_assert!(!text.is_empty());
        }
    }
}
