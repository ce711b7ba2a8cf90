//! Endpoints: addresses that traffic can be sent to, and ports.

use super::service::{address_errors, special_address_errors};
use super::{list_at, text_at};
use crate::schema::{FieldError, names};
use serde_json::{Value, json};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// What is wrong with Endpoints, apart from their metadata. What has not changed is not judged again.
pub fn errors(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let subsets = list_at(object, "/subsets");
    if old.is_some_and(|old| list_at(old, "/subsets") == subsets) {
        return Vec::new();
    }
    subsets.iter().enumerate().flat_map(|(index, subset)| subset_errors(index, subset)).collect()
}

fn subset_errors(index: usize, subset: &Value) -> Vec<FieldError> {
    let place = format!("subsets[{index}]");
    let mut errors = Vec::new();
    if list_at(subset, "/addresses").is_empty() && list_at(subset, "/notReadyAddresses").is_empty() {
        let detail = "must specify `addresses` or `notReadyAddresses`";
        errors.push(FieldError::required(place.clone(), detail));
    }
    for list in ["addresses", "notReadyAddresses"] {
        for (index, address) in list_at(subset, &format!("/{list}")).iter().enumerate() {
            errors.extend(one_address_errors(&format!("{place}.{list}[{index}]"), address));
        }
    }
    let ports = list_at(subset, "/ports");
    for (index, port) in ports.iter().enumerate() {
        errors.extend(port_errors(&format!("{place}.ports[{index}]"), port, ports.len() > 1));
    }
    errors
}

fn one_address_errors(place: &str, address: &Value) -> Vec<FieldError> {
    let [ip, hostname, node] = ["/ip", "/hostname", "/nodeName"].map(|pointer| text_at(address, pointer));
    let field = format!("{place}.ip");
    let mut errors = address_errors(&field, ip, &[]);
    if !hostname.is_empty() {
        errors.extend(invalid(&format!("{place}.hostname"), hostname, &names::label(hostname)));
    }
    if address.get("nodeName").is_some_and(Value::is_string) {
        errors.extend(invalid(&format!("{place}.nodeName"), node, &names::subdomain(node)));
    }
    errors.extend(special_address_errors(&field, ip));
    // As a client is shown them: by field, then by text.
    errors.sort_by(|left, right| (&left.field, &left.message).cmp(&(&right.field, &right.message)));
    errors
}

fn port_errors(place: &str, port: &Value, needs_name: bool) -> Vec<FieldError> {
    let [name, protocol, application] =
        ["/name", "/protocol", "/appProtocol"].map(|pointer| text_at(port, pointer));
    let mut errors = Vec::new();
    match (name, needs_name) {
        ("", true) => errors.push(FieldError::required(format!("{place}.name"), "")),
        ("", false) => {}
        _ => errors.extend(invalid(&format!("{place}.name"), name, &names::label(name))),
    }
    let number = port["port"].as_i64().unwrap_or_default();
    if !(1..=65535).contains(&number) {
        let detail = "must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid_printed(format!("{place}.port"), &number.to_string(), detail));
    }
    if protocol.is_empty() {
        errors.push(FieldError::required(format!("{place}.protocol"), ""));
    } else if !PROTOCOLS.contains(&protocol) {
        let supported = PROTOCOLS.map(ToOwned::to_owned);
        errors.push(FieldError::not_supported(format!("{place}.protocol"), &json!(protocol), &supported));
    }
    if port.get("appProtocol").is_some_and(Value::is_string) {
        errors.extend(invalid(
            &format!("{place}.appProtocol"),
            application,
            &names::qualified_name(application),
        ));
    }
    errors
}

fn invalid(field: &str, value: &str, problems: &[String]) -> Vec<FieldError> {
    problems.iter().map(|problem| FieldError::invalid_text(field, value, problem)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_are_judged_when_they_change() {
        for (subset, expected) in [
            (json!({}), vec!["subsets[0]"]),
            (json!({"addresses": [{"ip": "127.0.0.1"}]}), vec!["subsets[0].addresses[0].ip"]),
            (json!({"notReadyAddresses": [{"ip": "192.0.2.1"}]}), vec![]),
            (
                json!({"addresses": [{"ip": "192.0.2.1", "hostname": "A"}], "ports": [{"port": 1, "protocol": "Q"}, {"port": 2}]}),
                vec![
                    "subsets[0].addresses[0].hostname",
                    "subsets[0].ports[0].name",
                    "subsets[0].ports[0].protocol",
                    "subsets[0].ports[1].name",
                    "subsets[0].ports[1].protocol",
                ],
            ),
        ] {
            let object = json!({"subsets": [subset]});
            let fields: Vec<String> = errors(&object, None).into_iter().map(|error| error.field).collect();
            assert_eq!(fields, expected);
            assert_eq!(errors(&object, Some(&object)), []);
        }
    }
}
