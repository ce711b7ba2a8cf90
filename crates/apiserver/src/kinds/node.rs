//! Nodes: taints that schedulers understand, and what about a node never changes.

use super::service::network_errors;
use super::text_at;
use crate::schema::{FieldError, names};
use serde_json::{Value, json};

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const RANGES_STAY: &str = r#"node updates may not change podCIDR except from "" to valid"#;
const PROVIDER_STAYS: &str = r#"node updates may not change providerID except from "" to valid"#;

/// What is wrong with a Node, apart from its metadata.
pub fn errors(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    errors.extend(range_errors(object));
    if let Some(old) = old {
        errors.extend(repeated_address_errors(object));
        errors.extend(change_errors(object, old));
        // A change is judged twice, and both judgements are told.
        errors.extend(taint_errors(object));
    }
    errors.extend(taint_errors(object));
    errors
}

fn range_errors(object: &Value) -> Vec<FieldError> {
    let ranges: Vec<&str> = texts(object, "/spec/podCIDRs");
    let mut errors = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        errors.extend(network_errors(&format!("spec.podCIDRs[{index}]"), range, &[]));
    }
    let of_ipv6 = ranges.iter().filter(|range| range.contains(':')).count();
    if errors.is_empty() && ranges.len() > 1 && (ranges.len() > 2 || of_ipv6 != 1) {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(FieldError::invalid("spec.podCIDRs", &json!(ranges), detail));
    }
    errors
}

fn change_errors(object: &Value, old: &Value) -> Vec<FieldError> {
    let (ranges, before) = (texts(object, "/spec/podCIDRs"), texts(old, "/spec/podCIDRs"));
    let mut errors = Vec::new();
    let changed = match (before.is_empty(), before.len() == ranges.len()) {
        (true, _) => 0,
        (false, true) => ranges.iter().zip(&before).filter(|(range, before)| range != before).count(),
        (false, false) => 1,
    };
    errors.extend((0..changed).map(|_| FieldError::forbidden("spec.podCIDRs", RANGES_STAY)));
    let provider = text_at(old, "/spec/providerID");
    if !provider.is_empty() && provider != text_at(object, "/spec/providerID") {
        errors.push(FieldError::forbidden("spec.providerID", PROVIDER_STAYS));
    }
    errors
}

fn repeated_address_errors(object: &Value) -> Vec<FieldError> {
    let addresses = object.pointer("/status/addresses").and_then(Value::as_array);
    let addresses = addresses.map_or(&[][..], Vec::as_slice);
    let repeated = addresses.iter().enumerate().filter(|(index, it)| addresses[..*index].contains(it));
    repeated.map(|(index, it)| FieldError::duplicate(format!("status.addresses[{index}]"), it)).collect()
}

fn taint_errors(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = Vec::new();
    let taints = object.pointer("/spec/taints").and_then(Value::as_array).into_iter().flatten();
    for (index, taint) in taints.enumerate() {
        let field = |name: &str| format!("metadata.taints[{index}].{name}");
        let [key, value, effect] = ["/key", "/value", "/effect"].map(|pointer| text_at(taint, pointer));
        let problems = names::qualified_name(key).into_iter();
        errors.extend(problems.map(|problem| FieldError::invalid_text(field("key"), key, &problem)));
        let problems = names::label_value(value);
        if !problems.is_empty() {
            errors.push(FieldError::invalid_text(field("value"), value, &problems.join(";")));
        }
        if effect.is_empty() {
            errors.push(FieldError::required(field("effect"), ""));
        } else if !EFFECTS.contains(&effect) {
            let supported = EFFECTS.map(ToOwned::to_owned);
            errors.push(FieldError::not_supported(field("effect"), &json!(effect), &supported));
        }
        if seen.contains(&(key, effect)) {
            let time = taint.get("timeAdded").cloned().unwrap_or_default();
            let shown =
                format!(r#"{{"Key":{key:?},"Value":{value:?},"Effect":{effect:?},"TimeAdded":{time}}}"#);
            let mut error = FieldError::duplicate(format!("metadata.taints[{index}]"), &Value::Null);
            error.message = format!("Duplicate value: {shown}: taints must be unique by key and effect pair");
            errors.push(error);
        }
        seen.push((key, effect));
    }
    errors
}

fn texts<'a>(object: &'a Value, pointer: &str) -> Vec<&'a str> {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_what_it_was_given() {
        let old = json!({"spec": {"podCIDRs": ["10.0.0.0/24"], "providerID": "a"}});
        for (new, expected) in [
            (json!({"spec": {"podCIDRs": ["10.0.0.0/24"], "providerID": "a"}}), vec![]),
            (json!({"spec": {"podCIDRs": ["10.0.1.0/24"], "providerID": "a"}}), vec!["spec.podCIDRs"]),
            (json!({"spec": {"podCIDRs": []}}), vec!["spec.podCIDRs", "spec.providerID"]),
            (
                json!({
                    "spec": {"podCIDRs": ["10.0.0.0/24"], "providerID": "a"},
                    "status": {"addresses": [{"type": "a", "address": "b"}, {"type": "a", "address": "b"}]},
                }),
                vec!["status.addresses[1]"],
            ),
        ] {
            let fields: Vec<String> = errors(&new, Some(&old)).into_iter().map(|error| error.field).collect();
            assert_eq!(fields, expected, "{new}");
        }
    }

    #[test]
    fn ranges_and_taints_are_judged() {
        for (spec, expected) in [
            (
                json!({"podCIDRs": ["10.0.0.0/24", "10.0.1.0/24"]}),
                r#"spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one CIDR for each IP family"#,
            ),
            (
                json!({"taints": [{"key": "k", "effect": "x"}]}),
                r#"metadata.taints[0].effect: Unsupported value: "x": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute""#,
            ),
            (json!({"taints": [{"key": "k"}]}), "metadata.taints[0].effect: Required value"),
        ] {
            let errors = errors(&json!({"spec": spec}), None);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        }
        let dual = json!({"spec": {"podCIDRs": ["10.0.0.0/24", "fd00::/64"]}});
        assert_eq!(errors(&dual, None), []);
    }
}
