//! Texts and what Go's decoder says of them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn service() -> Types {
    Types::of_built_in("v1", "Service").expect("a built-in kind")
}

#[test]
fn what_is_no_json_is_refused_in_the_words_of_go() {
    for (text, expected) in [
        ("", "unexpected end of JSON input"),
        ("{", "unexpected end of JSON input"),
        (r#"{"a"#, "unexpected end of JSON input"),
        ("x", "invalid character 'x' looking for beginning of value"),
        ("{a", "invalid character 'a' looking for beginning of object key string"),
        (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
        (r#"{"a" 1}"#, "invalid character '1' after object key"),
        (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("{} {", "invalid character '{' after top-level value"),
        ("tru", "unexpected end of JSON input"),
        ("trux", "invalid character 'x' in literal true (expecting 'e')"),
        ("nil", "invalid character 'i' in literal null (expecting 'u')"),
        ("01", "invalid character '1' after top-level value"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1e,", "invalid character ',' in exponent of numeric literal"),
        ("-x", "invalid character 'x' in numeric literal"),
        ("\"\n\"", "invalid character '\\n' in string literal"),
        (r#""\x""#, "invalid character 'x' in string escape code"),
        (r#""\u00zz""#, r"invalid character 'z' in \u hexadecimal character escape"),
        ("\u{e9}", "invalid character '\u{c3}' looking for beginning of value"),
        ("1e400", "json: cannot unmarshal number 1e400 into Go value of type float64"),
    ] {
        let error = parse(text.as_bytes()).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn what_is_too_deep_is_refused() {
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(nested(LIMITS.depth).as_bytes()).is_ok());
    for depth in [LIMITS.depth + 1, 1_000_000] {
        let error = parse(nested(depth).as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "invalid character '[' exceeded max depth");
    }
}

#[test]
fn numbers_and_texts_are_those_of_go() {
    for (text, expected) in [
        ("1", json!(1)),
        ("-0", json!(0)),
        ("1.0", json!(1)),
        ("1e2", json!(100)),
        ("1.5", json!(1.5)),
        ("9223372036854775807", json!(i64::MAX)),
        ("9223372036854775808", json!(9_223_372_036_854_776_000_u64)),
        ("12345678901234567890", json!(12_345_678_901_234_567_000_u64)),
        ("-0.0", json!(0)),
        (r#""\ud83d\ude00\u00e9""#, json!("😀é")),
        (r#""\ud83dx""#, json!("\u{fffd}x")),
        (r#""\ude00""#, json!("\u{fffd}")),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap().value, expected, "{text}");
    }
    assert_eq!(parse(b"\"a\xe9\xa9\"").unwrap().value, json!("a\u{fffd}\u{fffd}"));
}

#[test]
fn values_of_a_wrong_type_are_named() {
    for (text, expected) in [
        (
            r#"{"spec":{"ports":"x"}}"#,
            "string into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort",
        ),
        (
            r#"{"spec":{"ports":[{"port":"x"}]}}"#,
            "string into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            r#"{"spec":{"ports":[{"port":1.0}]}}"#,
            "number 1.0 into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            r#"{"spec":{"ports":[{"port":2147483648}]}}"#,
            "number 2147483648 into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            r#"{"spec":{"type":1}}"#,
            "number into Go struct field ServiceSpec.spec.type of type v1.ServiceType",
        ),
        (
            r#"{"spec":{"selector":{"a":true}}}"#,
            "bool into Go struct field ServiceSpec.spec.selector of type string",
        ),
        (r#"{"spec":[]}"#, "array into Go struct field Service.spec of type v1.ServiceSpec"),
        (
            r#"{"metadata":{"labels":[]}}"#,
            "array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        ("[]", "array into Go value of type v1.Service"),
        // What reads itself stops the rest.
        (
            r#"{"spec":{"type":1,"ports":[{"targetPort":1.5}]}}"#,
            "number 1.5 into Go struct field ServicePort.spec.ports.targetPort of type int32",
        ),
    ] {
        let error = parse_as(text.as_bytes(), &service()).expect_err(text);
        assert_eq!(error.to_string(), format!("json: cannot unmarshal {expected}"), "{text}");
    }
    let error = parse_as(br#"{"spec":{"type":1}"#, &service()).unwrap_err();
    assert_eq!(error, JsonError::Syntax(Syntax::End), "what is no JSON is said first");
}

#[test]
fn unknown_fields_and_fields_that_are_there_twice_are_named_in_order() {
    let text = r#"{"spec":{"a":{"b":1,"b":2},"type":"ClusterIP","ports":[{},{"x":1}],"type":"NodePort",
        "selector":{"k":"1","k":"2"}},"Kind":"x"}"#;
    let parsed = parse_as(text.as_bytes(), &service()).unwrap();
    assert_eq!(
        parsed.strict,
        [
            r#"unknown field "spec.a""#,
            r#"unknown field "spec.ports[1].x""#,
            r#"duplicate field "spec.type""#,
            r#"duplicate field "spec.selector.k""#,
            r#"unknown field "Kind""#,
        ]
    );
    let expected = json!({"type": "NodePort", "ports": [{}, {}], "selector": {"k": "2"}});
    assert_eq!(parsed.value["spec"], expected);
    let parsed = parse(br#"{"a":[{"b":1,"b":2}],"a":3}"#).unwrap();
    assert_eq!(parsed.strict, [r#"duplicate field "a[0].b""#, r#"duplicate field "a""#]);
    assert_eq!(parsed.value, json!({"a": 3}));
}

#[test]
fn nulls_are_as_good_as_nothing() {
    let text = r#"{"metadata":null,"spec":{"type":null,"ports":[null],"selector":{"a":null}}}"#;
    let parsed = parse_as(text.as_bytes(), &service()).unwrap();
    let expected = json!({"metadata": null, "spec": {"type": null, "ports": [{}], "selector": {"a": ""}}});
    assert_eq!(parsed.value, expected);
}

proptest! {
    #[test]
    fn no_text_is_a_panic(text in "[\\[\\]{}:,\"\\\\a-fu0-9.eE+\\- truefalsn]{0,60}") {
        let _ = parse(text.as_bytes());
        let _ = parse_as(text.as_bytes(), &service());
    }

    #[test]
    fn what_is_json_to_others_is_the_same_json_here(text in "[\\[\\]{}:,\"a0-9]{0,12}") {
        if let Ok(value) = serde_json::from_str::<Value>(&text) && !text.contains(char::is_numeric) {
            prop_assert_eq!(parse(text.as_bytes()).unwrap().value, value);
        } else if parse(text.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
        }
    }
}
