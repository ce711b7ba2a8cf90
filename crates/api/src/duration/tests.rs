use proptest::prelude::*;
use serde_json::json;

use super::GoDuration;

const SECOND: i64 = 1_000_000_000;

#[test]
fn parses_what_go_parses() {
    for (text, nanos) in [
        ("0", 0),
        ("-0", 0),
        ("+0", 0),
        ("0s", 0),
        ("-0s", 0),
        ("5s", 5 * SECOND),
        ("+90s", 90 * SECOND),
        ("-5s", -5 * SECOND),
        ("1m30s", 90 * SECOND),
        ("1h1h", 7200 * SECOND),
        ("10s1h", 3610 * SECOND),
        (".9s", 900_000_000),
        ("90.s", 90 * SECOND),
        ("1.5h", 5400 * SECOND),
        ("3000000us", 3 * SECOND),
        ("1\u{b5}s", 1_000),
        ("1\u{3bc}s", 1_000),
        ("7ns", 7),
        ("100ms", 100_000_000),
        ("0.3333333333333333333h", 1200 * SECOND),
        ("0.100000000000000000000h", 360 * SECOND),
        ("0.830103483285477580700h", 49 * 60 * SECOND + 48_372_539_827),
        ("00000000000000000000001s", SECOND),
        ("9007199254740993ns", (1 << 53) + 1),
        ("9223372036854775807ns", i64::MAX),
        ("9223372036854775.807us", i64::MAX),
        ("2562047h47m16.854775807s", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
        ("-9223372036854775.808us", i64::MIN),
        ("-2562047h47m16.854775808s", i64::MIN),
    ] {
        assert_eq!(text.parse::<GoDuration>().map(GoDuration::as_nanos), Ok(nanos), "{text}");
    }
}

#[test]
fn refuses_what_go_refuses_in_the_same_words() {
    for (text, message) in [
        ("", r#"time: invalid duration """#),
        ("-", r#"time: invalid duration "-""#),
        (".", r#"time: invalid duration ".""#),
        (".s", r#"time: invalid duration ".s""#),
        ("-.s", r#"time: invalid duration "-.s""#),
        ("s", r#"time: invalid duration "s""#),
        (" 5s", r#"time: invalid duration " 5s""#),
        ("5s ", r#"time: unknown unit "s " in duration "5s ""#),
        ("90", r#"time: missing unit in duration "90""#),
        ("1m30", r#"time: missing unit in duration "1m30""#),
        ("1d", r#"time: unknown unit "d" in duration "1d""#),
        ("90S", r#"time: unknown unit "S" in duration "90S""#),
        ("1m-5s", r#"time: unknown unit "m-" in duration "1m-5s""#),
        ("3000000h", r#"time: invalid duration "3000000h""#),
        ("9223372036854775808ns", r#"time: invalid duration "9223372036854775808ns""#),
        ("9223372036854775.808us", r#"time: invalid duration "9223372036854775.808us""#),
        ("-9223372036854775809ns", r#"time: invalid duration "-9223372036854775809ns""#),
        ("99999999999999999999999s", r#"time: invalid duration "99999999999999999999999s""#),
        ("\"\\s", r#"time: invalid duration "\"\\s""#),
        ("1\u{e9}\n", r#"time: unknown unit "\xc3\xa9\x0a" in duration "1\xc3\xa9\x0a""#),
    ] {
        assert_eq!(text.parse::<GoDuration>().map_err(|error| error.to_string()), Err(message.to_owned()));
    }
}

#[test]
fn prints_the_way_go_prints() {
    for (nanos, text) in [
        (0, "0s"),
        (1, "1ns"),
        (-1, "-1ns"),
        (999, "999ns"),
        (1_000, "1\u{b5}s"),
        (1_100, "1.1\u{b5}s"),
        (2_200_000, "2.2ms"),
        (100_000_000, "100ms"),
        (SECOND, "1s"),
        (3_300_000_000, "3.3s"),
        (90 * SECOND, "1m30s"),
        (60 * SECOND, "1m0s"),
        (3600 * SECOND, "1h0m0s"),
        (4 * 60 * SECOND + 5_001_000_000, "4m5.001s"),
        (-(5 * 3600 + 6 * 60 + 7) * SECOND - 1_000_000, "-5h6m7.001s"),
        (8 * 60 * SECOND + 1, "8m0.000000001s"),
        (i64::MAX, "2562047h47m16.854775807s"),
        (i64::MIN, "-2562047h47m16.854775808s"),
    ] {
        assert_eq!(GoDuration::from_nanos(nanos).to_string(), text);
    }
}

#[test]
fn seconds_are_truncated_towards_zero() {
    for (text, secs) in [("2.9s", 2), ("-500ms", 0), ("-1.5s", -1), ("3s", 3), ("1h", 3600)] {
        assert_eq!(text.parse::<GoDuration>().map(GoDuration::as_secs), Ok(secs), "{text}");
    }
    assert!(GoDuration::from_nanos(-1).is_negative());
    assert_eq!(GoDuration::from_secs(u32::MAX).as_secs(), i64::from(u32::MAX));
}

#[test]
fn json_is_the_text() {
    let duration: GoDuration = serde_json::from_value(json!("90s")).unwrap();
    assert_eq!(serde_json::to_value(duration).unwrap(), json!("1m30s"));

    let unreadable = serde_json::from_value::<GoDuration>(json!("1d")).unwrap_err();
    assert_eq!(unreadable.to_string(), r#"time: unknown unit "d" in duration "1d""#);
    assert!(serde_json::from_value::<GoDuration>(json!(90)).is_err());
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(nanos: i64) {
        let duration = GoDuration::from_nanos(nanos);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
    }

    #[test]
    fn short_spans_read_back(nanos in -10_000_000_000_i64..10_000_000_000) {
        let duration = GoDuration::from_nanos(nanos);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
    }

    #[test]
    fn no_text_is_too_strange(text in "[-+]?([0-9]{0,21}[.]?[0-9]{0,21}(ns|us|ms|s|m|h|d|\u{b5}s|\\PC)?){0,4}") {
        if let Ok(duration) = text.parse::<GoDuration>() {
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
