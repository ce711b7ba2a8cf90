//! EndpointSlices: addresses of one type, which never changes, and a generation that counts changes.

use super::service::{address_errors, is_ipv6, special_address_errors};
use super::{Refusal, accept, set, text_at};
use crate::schema::{FieldError, metadata, names};
use serde_json::{Value, json};
use std::net::IpAddr;

/// Completes an EndpointSlice that is to be created.
pub fn prepare_create(object: &mut Value) -> Result<(), Refusal> {
    fill_in(object);
    drop_topology(object);
    set_generation(object, 1);
    accept(errors(object, None))
}

/// Completes an EndpointSlice that is to replace `old`. Labels count as a change, other metadata does not.
pub fn prepare_update(object: &mut Value, old: &Value) -> Result<(), Refusal> {
    fill_in(object);
    let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
    if object.get("endpoints") != old.get("endpoints") {
        drop_topology(object);
    }
    let compared = |object: &Value| {
        let labels = object.pointer("/metadata/labels").cloned();
        (["addressType", "endpoints", "ports"].map(|field| object.get(field).cloned()), labels)
    };
    let is_changed = compared(object) != compared(old);
    set_generation(object, generation.saturating_add(is_changed.into()));
    let mut errors = errors(object, Some(old));
    let address_type = text_at(object, "/addressType");
    if address_type != text_at(old, "/addressType") {
        errors.push(FieldError::invalid_text("addressType", address_type, "field is immutable"));
    }
    accept(errors)
}

/// What is odd about an EndpointSlice that is accepted.
pub fn warnings(object: &Value) -> Vec<String> {
    match text_at(object, "/addressType") {
        "FQDN" => vec!["spec.addressType: FQDN endpoints are deprecated".to_owned()],
        _ => Vec::new(),
    }
}

fn fill_in(object: &mut Value) {
    for endpoint in object.get_mut("endpoints").and_then(Value::as_array_mut).into_iter().flatten() {
        if endpoint.get("conditions").is_none_or(Value::is_null) {
            set(endpoint, "conditions", Some(json!({})));
        }
    }
    // Where a list ends up there is no difference between an empty one and none.
    for list in ["endpoints", "ports"] {
        if object.get(list).and_then(Value::as_array).is_some_and(Vec::is_empty) {
            set(object, list, Some(Value::Null));
        }
    }
    for port in object.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        for (field, default) in [("name", ""), ("protocol", "TCP")] {
            if port.get(field).is_none_or(Value::is_null) {
                set(port, field, Some(json!(default)));
            }
        }
    }
}

/// What an older version of the API said of the places of endpoints cannot be written through this one.
fn drop_topology(object: &mut Value) {
    for endpoint in object.get_mut("endpoints").and_then(Value::as_array_mut).into_iter().flatten() {
        set(endpoint, "deprecatedTopology", None);
    }
}

fn set_generation(object: &mut Value, generation: i64) {
    if let Some(metadata) = object.get_mut("metadata") {
        set(metadata, "generation", Some(json!(generation)));
    }
}

fn errors(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = metadata::validate(object, true);
    if let Some(old) = old {
        errors.extend(metadata::validate_update(object, old));
    }
    let address_type = text_at(object, "/addressType");
    let supported = ["FQDN", "IPv4", "IPv6"];
    if address_type.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else if !supported.contains(&address_type) {
        let supported = supported.map(ToOwned::to_owned);
        errors.push(FieldError::not_supported("addressType", &json!(address_type), &supported));
    }
    errors.extend(port_errors(object));
    let is_unchanged = old.is_some_and(|old| old.get("endpoints") == object.get("endpoints"));
    if !is_unchanged {
        let endpoints = object.get("endpoints").and_then(Value::as_array).into_iter().flatten().enumerate();
        errors.extend(endpoints.flat_map(|(index, endpoint)| endpoint_errors(index, endpoint, address_type)));
    }
    errors
}

fn port_errors(object: &Value) -> Vec<FieldError> {
    let mut seen = Vec::new();
    let mut errors = Vec::new();
    for (index, port) in object.get("ports").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let (name, protocol) = (text_at(port, "/name"), text_at(port, "/protocol"));
        let field = format!("ports[{index}].name");
        if !name.is_empty() {
            let problems = names::label(name).into_iter();
            errors.extend(problems.map(|problem| FieldError::invalid_text(field.clone(), name, &problem)));
        }
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(field, &json!(name)));
        }
        seen.push(name);
        let application = text_at(port, "/appProtocol");
        if port.get("appProtocol").is_some_and(Value::is_string) {
            let field = format!("ports[{index}].appProtocol");
            let problems = names::qualified_name(application).into_iter();
            errors.extend(problems.map(|it| FieldError::invalid_text(field.clone(), application, &it)));
        }
        let supported = ["SCTP", "TCP", "UDP"];
        if !supported.contains(&protocol) {
            let field = format!("ports[{index}].protocol");
            errors.push(FieldError::not_supported(
                field,
                &json!(protocol),
                &supported.map(ToOwned::to_owned),
            ));
        }
    }
    errors
}

fn endpoint_errors(index: usize, endpoint: &Value, address_type: &str) -> Vec<FieldError> {
    let list = format!("endpoints[{index}].addresses");
    let addresses =
        endpoint.get("addresses").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut errors = Vec::new();
    if addresses.is_empty() {
        errors.push(FieldError::required(list.clone(), "must contain at least 1 address"));
    }
    if addresses.len() > 100 {
        errors.push(FieldError::too_many(list.clone(), addresses.len(), 100));
    }
    let hostname = text_at(endpoint, "/hostname");
    if endpoint.get("hostname").is_some_and(Value::is_string) {
        let field = format!("endpoints[{index}].hostname");
        let problems = names::label(hostname).into_iter();
        errors.extend(problems.map(|it| FieldError::invalid_text(field.clone(), hostname, &it)));
    }
    if !["IPv4", "IPv6"].contains(&address_type) {
        return errors;
    }
    for (index, address) in addresses.iter().enumerate() {
        let address = address.as_str().unwrap_or_default();
        let field = format!("{list}[{index}]");
        let mut malformed = address_errors(&field, address, &[]);
        if malformed.is_empty() && address_type == "IPv6" {
            malformed.extend(form_error(&field, address));
        }
        if malformed.is_empty() {
            if is_ipv6(address) != (address_type == "IPv6") {
                let detail = format!("must be an {address_type} address");
                errors.push(FieldError::invalid_text(list.clone(), address, &detail));
            }
            errors.extend(special_address_errors(&field, address));
        }
        errors.extend(malformed);
    }
    errors
}

/// IPv6 addresses are written in one way only.
fn form_error(field: &str, text: &str) -> Option<FieldError> {
    let canonical = text.parse::<IpAddr>().ok()?.to_string();
    let detail = format!("must be in canonical form ({canonical:?})");
    (canonical != text).then(|| FieldError::invalid_text(field, text, &detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_the_type_and_canonical() {
        for (address_type, address, expected) in [
            (
                "IPv4",
                "fd00::1",
                r#"endpoints[0].addresses: Invalid value: "fd00::1": must be an IPv4 address"#,
            ),
            (
                "IPv6",
                "FD00::1",
                r#"endpoints[0].addresses[0]: Invalid value: "FD00::1": must be in canonical form ("fd00::1")"#,
            ),
            ("X", "a", r#"addressType: Unsupported value: "X": supported values: "FQDN", "IPv4", "IPv6""#),
        ] {
            assert_eq!(prepare_create(&mut slice(address_type, address)).unwrap_err().to_string(), expected);
        }
    }

    fn slice(address_type: &str, address: &str) -> Value {
        json!({
            "metadata": {"name": "a", "namespace": "b", "resourceVersion": "1"},
            "addressType": address_type,
            "endpoints": [{"addresses": [address]}],
        })
    }

    #[test]
    fn the_generation_counts_changes_and_the_type_stays() {
        let mut old = slice("IPv4", "10.0.0.1");
        prepare_create(&mut old).unwrap();
        assert_eq!(old["metadata"]["generation"], 1);

        let mut same = slice("IPv4", "10.0.0.1");
        prepare_update(&mut same, &old).unwrap();
        assert_eq!(same, old);

        let mut labelled = old.clone();
        labelled["metadata"]["labels"] = json!({"a": "b"});
        prepare_update(&mut labelled, &old).unwrap();
        assert_eq!(labelled["metadata"]["generation"], 2);

        let refused = prepare_update(&mut slice("IPv6", "10.0.0.1"), &old).unwrap_err();
        assert_eq!(refused.to_string(), "addressType: Invalid value: \"IPv6\": field is immutable");
    }
}
