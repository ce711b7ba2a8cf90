use proptest::prelude::*;
use serde_json::json;

use super::*;

fn values(text: &str) -> Vec<Value> {
    read(text.as_bytes()).unwrap().into_iter().map(|document| document.value).collect()
}

fn error(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn documents_are_read_in_order_with_their_places() {
    let documents = read(b"# a comment\na: 1\n---\n---\nb: [x, 2]\n").unwrap();
    let expected = [
        (json!({"a": 1}), Place { line: 2, column: 1 }),
        (json!({"b": ["x", 2]}), Place { line: 5, column: 1 }),
    ];
    let found: Vec<(Value, Place)> = documents.into_iter().map(|it| (it.value, it.place)).collect();
    assert_eq!(found, expected);
    assert_eq!(values(""), [] as [Value; 0]);
    assert_eq!(values("---\n# nothing\n"), [] as [Value; 0]);
}

#[test]
fn json_is_read_as_json_and_flow_style_as_yaml() {
    assert_eq!(values(r#"{"a": "\ud83d\ude00 \/"}"#), [json!({"a": "😀 /"})]);
    assert_eq!(values("{\"a\": 1}\n{\"b\": null}"), [json!({"a": 1}), json!({"b": null})]);
    assert_eq!(values("{a: b, c: [d]}"), [json!({"a": "b", "c": ["d"]})]);
    assert_eq!(values("\u{feff}{\"a\": 1}"), [json!({"a": 1})]);
}

#[test]
fn yaml_scalars_are_what_kubernetes_takes_them_for() {
    let text = "a: yes\nb: 'yes'\nc: 0\nd: 64512:100\ne: 10.0.0.0/8\nf: ~\ng: 2001:db8::1\nh: 1.5\ni: \"1\"\nj: 1e3\nk: 0777\n";
    let expected = json!({
        "a": true, "b": "yes", "c": 0, "d": "64512:100", "e": "10.0.0.0/8", "f": null, "g": "2001:db8::1", "h": 1.5, "i": "1", "j": 1000,
        "k": 511,
    });
    assert_eq!(values(text), [expected]);
}

fn nested_json(levels: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels))
}

#[test]
fn as_much_nesting_as_documented_is_read() {
    assert_eq!(values(&nested_json(64)).len(), 1);
    assert_eq!(values(&format!("a: {}{}", "[".repeat(63), "]".repeat(63))).len(), 1);
}

#[test]
fn whole_numbers_are_integers_however_they_are_written() {
    for text in [
        r#"{"a": [1.0, 1e3, -0, -0.0, 0.1e1, 123456789012345678e0, 1e18]}"#,
        "a: [1.0, 1e3, -0, -0.0, 0.1e1, 123456789012345678e0, 1e18]",
    ] {
        let expected =
            json!({"a": [1, 1000, 0, 0, 1, 123_456_789_012_345_680i64, 1_000_000_000_000_000_000i64]});
        assert_eq!(values(text), [expected], "{text}");
    }
    assert_eq!(values(r#"{"a": [1.5, 1e19, 1e21]}"#), [json!({"a": [1.5, 1e19, 1e21]})]);
}

#[test]
fn what_cannot_be_read_has_one_error_with_a_place() {
    let deep_yaml = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
    let deep_json = nested_json(500);
    let deep_block: String = (0..200).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    let ninefold =
        |level: usize| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(","));
    let aliases = format!("a0: &a0 [1]\n{}", (1..12).map(ninefold).collect::<String>());
    for (case, bytes, expected) in [
        ("truncated YAML", b"a:\n  b: \"x\n".to_vec(), "3:1: invalid indentation in multiline quoted scalar"),
        ("truncated JSON", b"{\"a\": 1,\n \"b\":".to_vec(), "2:5: EOF while parsing a value"),
        ("a key twice in YAML", b"a: 1\nb:\n  c: 1\n  c: 2\n".to_vec(), "4:3: duplicate mapping key: c"),
        ("a key twice in JSON", b"{\"a\": 1,\n \"a\": 2}".to_vec(), "2:4: duplicate key \"a\""),
        ("not UTF-8", b"a: b\nc: \xff\n".to_vec(), "2:4: not text: invalid UTF-8"),
        ("binary", b"a: \0".to_vec(), "1:4: not text: a NUL byte"),
        ("bad syntax", b"a: b: c\n".to_vec(), "1:5: mapping values are not allowed in this context"),
        ("a tab", b"a:\n\t- b\n".to_vec(), "2:2: tabs disallowed within this context (block indentation)"),
        ("deep YAML", deep_yaml.into_bytes(), "1:68: nested deeper than 64 levels"),
        ("deep block YAML", deep_block.into_bytes(), "65:65: nested deeper than 64 levels"),
        ("deep JSON", deep_json.into_bytes(), "1:636: nested deeper than 64 levels"),
        ("JSON one level too deep", nested_json(65).into_bytes(), "1:1: nested deeper than 64 levels"),
        ("aliases of aliases", aliases.into_bytes(), "7:26: too many anchors and aliases"),
    ] {
        assert_eq!(error(&bytes), expected, "{case}");
    }
}

#[test]
fn a_file_beyond_the_limit_is_refused() {
    let bytes = vec![b' '; LIMITS.file_bytes + 1];
    assert_eq!(error(&bytes), "1:1: larger than 256 MiB");
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_text_is_a_panic(text in "[ \\-:{}\\[\\]&*!|>'\"%@`#,?a-c0-9\n\t]{0,80}") {
        let _ = read(text.as_bytes());
    }

    #[test]
    fn json_is_read_the_same_as_yaml(text in "[a-z]{1,8}", number in any::<i64>(), flag in any::<bool>()) {
        let value = json!({"text": text, "number": number, "list": [flag, null, {"inner": text}]});
        let as_yaml = serde_saphyr::to_string(&value).unwrap();
        prop_assert_eq!(values(&value.to_string()), vec![value.clone()]);
        prop_assert_eq!(values(&as_yaml), vec![value]);
    }
}
