use proptest::prelude::*;
use serde_json::json;

use super::*;

fn matches(selector: &str, labels: &serde_json::Value) -> bool {
    LabelSelector::parse(selector).unwrap().matches(labels.as_object())
}

#[test]
fn labels_match_as_kubernetes_says() {
    let labels = json!({"app": "web", "tier": "front", "weight": "7", "empty": ""});
    for (selector, expected) in [
        ("", true),
        ("app", true),
        ("!app", false),
        ("!other", true),
        ("app=web", true),
        (" app == web , tier ", true),
        ("app!=web", false),
        ("other!=web", true),
        ("app in (db,web)", true),
        ("app notin (db, web)", false),
        ("other notin (x)", true),
        ("empty=", true),
        ("empty in ()", true),
        ("app in (,x)", false),
        ("weight>6,weight<8", true),
        ("weight>7", false),
        ("app>1", false),
        ("app=web,app=db", false),
    ] {
        assert_eq!(matches(selector, &labels), expected, "{selector}");
    }
    assert!(!LabelSelector::parse("app").unwrap().matches(None));
}

#[test]
fn a_label_selector_that_cannot_be_read_says_why() {
    for (selector, expected) in [
        ("a=b,", "found '', expected: identifier after ','"),
        ("a in x", "unable to parse requirement: found 'x' expected: '('"),
        ("a in (x", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("=b", "found '=', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        (
            "a<x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an \
             integer",
        ),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("!!a", "unable to parse requirement: found '!', expected: identifier"),
        ("a notin", "unable to parse requirement: found '' expected: '('"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a in (x y)", "unable to parse requirement: found 'y', expected: ',' or ')'"),
        (
            "a=-",
            "unable to parse requirement: values[0][a]: Invalid value: \"-\": a valid label must be an empty string or \
             consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
             (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
             '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
    ] {
        assert_eq!(LabelSelector::parse(selector).unwrap_err().to_string(), expected, "{selector}");
    }
}

#[test]
fn fields_match_by_their_text() {
    let value_of = |field: &str| match field {
        "metadata.name" => Some("web".into()),
        "odd" => Some("a,b=c\\".into()),
        _ => None,
    };
    for (selector, expected) in [
        ("", true),
        ("metadata.name=web", true),
        ("metadata.name==web,", true),
        ("metadata.name!=web", false),
        ("missing=", true),
        ("missing!=x", true),
        ("odd=a\\,b\\=c\\\\", true),
        ("metadata.name=web,missing=x", false),
    ] {
        assert_eq!(FieldSelector::parse(selector).unwrap().matches(value_of), expected, "{selector}");
    }
    let selector = FieldSelector::parse("a!=b,metadata.name=web").unwrap();
    assert_eq!((selector.required("metadata.name"), selector.required("a")), (Some("web"), None));
}

#[test]
fn a_field_selector_that_cannot_be_read_says_why() {
    for (selector, expected) in [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
    ] {
        assert_eq!(FieldSelector::parse(selector).unwrap_err().to_string(), expected, "{selector}");
    }
}

proptest! {
    #[test]
    fn no_text_is_a_panic(text in "[a-z/=!<>(), ]{0,20}|\\PC{0,20}") {
        let _ = LabelSelector::parse(&text);
        let _ = FieldSelector::parse(&text);
    }

    #[test]
    fn a_field_selector_is_itself_when_printed_and_read_again(field in "[a-z.]{1,8}", value in "\\PC{0,12}") {
        let selector = FieldSelector { requirements: vec![FieldRequirement { field, value, is_equal: true }] };
        prop_assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
    }
}
