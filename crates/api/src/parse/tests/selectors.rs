use serde_json::{Value, json};

use super::*;
use crate::LabelSelector;
use crate::parse::selectors::compile;

fn compiled(selector: Value) -> Result<String, String> {
    let selector: LabelSelector = serde_json::from_value(selector).unwrap();
    compile(&selector).map(|selector| selector.to_string()).map_err(|error| error.to_string())
}

fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
}

#[test]
fn selectors_that_follow_the_rules_are_compiled() {
    for (selector, expected) in [
        (json!({}), ""),
        (json!({"matchLabels": {"b": "2", "a": ""}}), "a=,b=2"),
        (expression("example.com/Tier", "In", &["x", "a"]), "example.com/Tier in (a,x)"),
        (expression("k", "NotIn", &["v"]), "k notin (v)"),
        (expression("k", "Exists", &[]), "k"),
        (expression("k", "DoesNotExist", &[]), "!k"),
    ] {
        assert_eq!(compiled(selector), Ok(expected.to_owned()));
    }
}

#[test]
fn selectors_that_break_a_rule_say_so_as_kubernetes_does() {
    let name_rule = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
        alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
        '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let value_rule = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
        must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
        validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
    let long = "x".repeat(64);
    for (selector, expected) in [
        (expression("k", "invalid", &[]), r#""invalid" is not a valid label selector operator"#.to_owned()),
        (expression("", "In", &["v"]), format!(r#"key: Invalid value: "": name part must be non-empty; {name_rule}"#)),
        (expression("-k", "Exists", &[]), format!(r#"key: Invalid value: "-k": {name_rule}"#)),
        (
            expression("k", "In", &[]),
            "values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty".to_owned(),
        ),
        (
            expression("k", "Exists", &["a", "b"]),
            r#"values: Invalid value: ["a","b"]: values set must be empty for exists and does not exist"#.to_owned(),
        ),
        (
            expression("k", "In", &["ok", "not ok"]),
            format!(r#"values[1][k]: Invalid value: "not ok": {value_rule}"#),
        ),
        (
            json!({"matchLabels": {"k": long.clone()}}),
            format!(r#"values[0][k]: Invalid value: "{long}": must be no more than 63 bytes"#),
        ),
        (
            expression("-k", "In", &["-v"]),
            format!(
                r#"[key: Invalid value: "-k": {name_rule}, values[0][-k]: Invalid value: "-v": {value_rule}]"#
            ),
        ),
        (
            expression("/k", "Exists", &[]),
            r#"key: Invalid value: "/k": prefix part must be non-empty"#.to_owned(),
        ),
        (
            expression("Upper.example/k", "Exists", &[]),
            "key: Invalid value: \"Upper.example/k\": prefix part a lowercase RFC 1123 subdomain must consist of lower \
             case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        ),
        (
            expression("a/b/c", "Exists", &[]),
            format!(
                "key: Invalid value: \"a/b/c\": a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')",
                name_rule.trim_start_matches("name part ")
            ),
        ),
    ] {
        assert_eq!(compiled(selector), Err(expected));
    }
}

#[test]
fn nothing_may_be_said_twice() {
    let with_selectors = |selectors: Value| {
        vec![
            pool("p", &["10.0.0.0/24"]),
            resource("L2Advertisement", "a", &json!({"nodeSelectors": selectors})),
        ]
    };
    let web = json!({"matchLabels": {"app": "web"}});
    let tiers = |values: &[&str]| json!({"key": "tier", "operator": "In", "values": values});
    assert_messages(&[
        (
            "a selector twice",
            with_selectors(json!([web, web])),
            &[r#"duplicate definition of nodeSelectors {map["app":"web"] []}"#],
        ),
        (
            "the order of values does not make a difference",
            with_selectors(json!([
                {"matchExpressions": [tiers(&["a", "b"])]}, {"matchExpressions": [tiers(&["b", "a"])]}
            ])),
            &[r#"duplicate definition of nodeSelectors {map[] [{"tier" "In" ["a" "b"]}]}"#],
        ),
        (
            "an expression twice",
            with_selectors(json!([{"matchExpressions": [tiers(&["a", "b"]), tiers(&["b", "a"])]}])),
            &[r#"duplicate definition of match expressions {"tier" "In" ["a" "b"]}"#],
        ),
        (
            "everything, in the order in which it is looked for",
            with_selectors(json!([
                {"matchExpressions": [tiers(&["a"]), tiers(&["a"]), tiers(&["b", "b"])]}, web, web,
                {"matchExpressions": [tiers(&["d", "c", "d", "c"])]},
            ])),
            &[
                r#"duplicate definition of match expressions {"tier" "In" ["a"]}"#,
                r#"duplicate definition of match expression value in label selector "b""#,
                r#"duplicate definition of nodeSelectors {map["app":"web"] []}"#,
                r#"duplicate definition of match expression value in label selector "c""#,
                r#"duplicate definition of match expression value in label selector "d""#,
            ],
        ),
        (
            "a value twice",
            with_selectors(json!([{"matchExpressions": [tiers(&["a", "a"])]}])),
            &[r#"duplicate definition of match expression value in label selector "a""#],
        ),
    ]);
}
