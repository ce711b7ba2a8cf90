use serde_json::{Value, json};

use super::{create, delete, denial, node, object, update, verdict};
use crate::admit::Kind;

const GRACEFUL: &str = "Graceful restart configuration changed, it will be available on the next restart";

fn configuration(name: &str, neighbor: &Value, selector: &Value) -> Value {
    let router = json!({"asn": 64512, "neighbors": [neighbor]});
    object(Kind::FRRConfiguration, name, &json!({"bgp": {"routers": [router]}, "nodeSelector": selector}))
}

#[test]
fn a_selector_that_cannot_be_read_is_denied() {
    let selector = |operator: &str| json!({"matchExpressions": [{"key": "a", "operator": operator}]});
    for (operator, text) in [
        ("x", "\"x\" is not a valid label selector operator\nresource contains an invalid NodeSelector"),
        (
            "In",
            "values: Invalid value: []string(nil): for 'in', 'notin' operators, values set can't be empty\nresource contains an invalid NodeSelector",
        ),
    ] {
        let question = create(&configuration("a", &json!({}), &selector(operator)));
        assert_eq!(denial(&question, &[]).as_deref(), Some(text));
    }
}

#[test]
fn any_namespace_will_do_and_any_deletion() {
    let mut elsewhere = configuration("a", &json!({}), &json!({}));
    elsewhere["metadata"]["namespace"] = json!("elsewhere");
    assert_eq!(denial(&create(&elsewhere), &[]), None);
    assert_eq!(denial(&delete(&elsewhere), &[]), None);
}

#[test]
fn deprecated_fields_and_late_effects_are_warned_of() {
    let neighbor =
        |graceful: bool| json!({"asn": 1, "address": "10.0.0.1", "enableGracefulRestart": graceful});
    let node = node("n", &json!({"rack": "1"}));
    let mut namesake = configuration("a", &neighbor(false), &json!({}));
    namesake["metadata"]["namespace"] = json!("elsewhere");
    let changed = update(&configuration("a", &neighbor(true), &json!({})));
    for (case, question, existing, warnings) in [
        (
            "a deprecated field",
            create(&configuration("a", &json!({"asn": 1, "disableMP": true}), &json!({}))),
            vec![],
            vec!["disableMP is deprecated, is ignored and will be removed in a future release"],
        ),
        (
            "a changed flag",
            changed.clone(),
            vec![namesake.clone(), node.clone(), node.clone()],
            vec![GRACEFUL],
        ),
        ("nobody has it", changed.clone(), vec![namesake.clone()], vec![]),
        ("nothing changed", update(&namesake), vec![namesake.clone(), node.clone()], vec![]),
        (
            "another neighbor",
            changed,
            vec![configuration("a", &json!({"asn": 2, "address": "10.0.0.1"}), &json!({})), node],
            vec![],
        ),
    ] {
        assert_eq!(verdict(&question, &existing).warnings, warnings, "{case}");
    }
}
