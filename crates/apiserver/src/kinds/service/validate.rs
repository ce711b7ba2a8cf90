//! The rules for the rest of a Service's spec, and for its status.

use super::address::{address_errors, network_errors, parse_lenient, special_address_errors};
use super::cluster_ips;
use super::model::{
    CLUSTER_IP, EXTERNAL_NAME, LOAD_BALANCER, LOCAL, NODE_PORT, NONE, Port, PortReference, Spec, Status,
};
use crate::schema::{ErrorKind, FieldError, names, text};
use serde_json::{Value, json};
use std::collections::HashSet;

const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";
const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";
const CLIENT_IP_TIMEOUT_MAX_SECS: i32 = 86_400;
const SOURCE_RANGES_ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const TOPOLOGY_HINTS_ANNOTATION: &str = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY_MODE_ANNOTATION: &str = "service.kubernetes.io/topology-mode";

/// What is wrong with a spec and the annotations that belong to it.
pub(super) fn errors(object: &Value, spec: &Spec, old: Option<(&Value, &Spec)>) -> Vec<FieldError> {
    let old_spec = old.map(|(_, spec)| spec);
    let mut errors: Vec<_> = topology_errors(object).into_iter().collect();
    errors.extend(type_errors(spec));
    errors.extend(port_errors(spec));
    errors.extend(selector_errors(spec));
    errors.extend(affinity_errors(spec));
    errors.extend(cluster_ips::errors(spec, old_spec));
    errors.extend(external_ip_errors(spec, old_spec));
    let types = [CLUSTER_IP, EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT];
    errors.extend(enumeration_errors("spec.type", &spec.kind, &types));
    errors.extend(repeated_port_errors(spec));
    errors.extend(source_range_errors(object, spec, old));
    if spec.kind != LOAD_BALANCER && spec.allocate_load_balancer_node_ports.is_some() {
        errors.push(FieldError::forbidden("spec.allocateLoadBalancerNodePorts", ONLY_LOAD_BALANCER));
    }
    if spec.kind == LOAD_BALANCER && spec.allocate_load_balancer_node_ports.is_none() {
        errors.push(FieldError::required("allocateLoadBalancerNodePorts", ""));
    }
    errors.extend(class_errors(spec));
    errors.extend(external_policy_errors(spec));
    errors.extend(health_check_errors(spec));
    errors.extend(routing_errors(spec));
    errors
}

/// What is wrong with how a spec changed, apart from its addresses and families.
pub(super) fn change_errors(spec: &Spec, old: &Spec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if spec.kind == LOAD_BALANCER
        && old.kind == LOAD_BALANCER
        && spec.load_balancer_class != old.load_balancer_class
    {
        let class = json!(spec.load_balancer_class);
        errors.push(FieldError::invalid("spec.loadBalancerClass", &class, "may not change once set"));
    }
    errors.extend(class_errors(spec));
    if spec.has_health_check()
        && old.has_health_check()
        && spec.health_check_node_port != old.health_check_node_port
    {
        errors.push(FieldError::forbidden("spec.healthCheckNodePort", "field is immutable"));
    }
    errors
}

/// What is wrong with a status that is to replace `old`.
pub(super) fn status_errors(status: &Status, old: &Status, spec: &Spec) -> Vec<FieldError> {
    let field = "status.loadBalancer.ingress";
    let ingress = &status.load_balancer.ingress;
    if spec.kind != LOAD_BALANCER && !ingress.is_empty() {
        return vec![FieldError::forbidden(field, "may only be used when `spec.type` is 'LoadBalancer'")];
    }
    let known: Vec<_> = old.load_balancer.ingress.iter().map(|ingress| ingress.ip.clone()).collect();
    let mut errors = Vec::new();
    for (index, ingress) in ingress.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if !ingress.ip.is_empty() {
            errors.extend(address_errors(&format!("{field}.ip"), &ingress.ip, &known));
        }
        let mode = format!("{field}.ipMode");
        match (ingress.ip.is_empty(), ingress.ip_mode.as_deref()) {
            (true, None) | (false, Some("VIP" | "Proxy")) => {}
            (true, Some(_)) => {
                errors.push(FieldError::forbidden(mode, "may not be specified when `ip` is not set"));
            }
            (false, None) => errors.push(FieldError::required(mode, "must be specified when `ip` is set")),
            (false, Some(other)) => errors.push(not_supported(&mode, other, &["Proxy", "VIP"])),
        }
        errors.extend(hostname_errors(&format!("{field}.hostname"), &ingress.hostname));
    }
    errors
}

pub(super) fn not_supported(field: &str, value: &str, supported: &[&str]) -> FieldError {
    let supported: Vec<_> = supported.iter().map(|value| (*value).to_owned()).collect();
    FieldError::not_supported(field, &json!(value), &supported)
}

fn hostname_errors(field: &str, hostname: &str) -> Vec<FieldError> {
    if hostname.is_empty() {
        return Vec::new();
    }
    let mut errors = all_invalid(field, hostname, names::subdomain(hostname));
    if parse_lenient(hostname).is_some() {
        errors.push(FieldError::invalid_text(field, hostname, "must be a DNS name, not an IP address"));
    }
    errors
}

fn topology_errors(object: &Value) -> Option<FieldError> {
    let mode = annotation(object, TOPOLOGY_MODE_ANNOTATION)?;
    let hints = annotation(object, TOPOLOGY_HINTS_ANNOTATION)?;
    let detail = format!("must match annotations[{TOPOLOGY_HINTS_ANNOTATION}] when both are specified");
    let field = format!("metadata.annotations[{TOPOLOGY_MODE_ANNOTATION}]");
    (mode != hints).then(|| FieldError::invalid_text(field, mode, &detail))
}

fn type_errors(spec: &Spec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if spec.ports.is_empty() && !spec.is_headless() && spec.kind != EXTERNAL_NAME {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if spec.has_node_ports() && spec.is_headless() {
        let detail = format!("may not be set to 'None' for {} services", spec.kind);
        errors.push(FieldError::invalid_text("spec.clusterIPs[0]", NONE, &detail));
    }
    if spec.kind != EXTERNAL_NAME {
        return errors;
    }
    for (field, is_set) in [
        ("spec.clusterIPs", !spec.cluster_ips.is_empty()),
        ("spec.ipFamilies", !spec.ip_families.is_empty()),
        ("spec.ipFamilyPolicy", spec.ip_family_policy.is_some()),
    ] {
        if is_set {
            errors.push(FieldError::forbidden(field, "may not be set for ExternalName services"));
        }
    }
    let field = "spec.externalName";
    match spec.external_name.strip_suffix('.').unwrap_or(&spec.external_name) {
        "" => errors.push(FieldError::required(field, "")),
        name => errors.extend(all_invalid(field, name, names::subdomain(name))),
    }
    errors
}

fn port_errors(spec: &Spec) -> Vec<FieldError> {
    let mut seen = HashSet::new();
    let mut errors = Vec::new();
    for (index, port) in spec.ports.iter().enumerate() {
        let field = |name: &str| format!("spec.ports[{index}].{name}");
        if port.name.is_empty() && spec.ports.len() > 1 {
            errors.push(FieldError::required(field("name"), ""));
        } else if !port.name.is_empty() {
            errors.extend(all_invalid(&field("name"), &port.name, names::label(&port.name)));
            if !seen.insert(port.name.as_str()) {
                errors.push(FieldError::duplicate(field("name"), &json!(port.name)));
            }
        }
        errors.extend(port_range_error(field("port"), port.port));
        errors.extend(enumeration_errors(&field("protocol"), &port.protocol, &["SCTP", "TCP", "UDP"]));
        errors.extend(match &port.target_port {
            PortReference::Number(number) => {
                port_range_error(field("targetPort"), *number).into_iter().collect()
            }
            PortReference::Name(name) => all_invalid(&field("targetPort"), name, port_name_problems(name)),
        });
        if let Some(protocol) = &port.app_protocol {
            errors.extend(all_invalid(&field("appProtocol"), protocol, names::qualified_name(protocol)));
        }
    }
    errors
}

fn port_range_error(field: String, port: i32) -> Option<FieldError> {
    let is_wrong = !(1..=65_535).contains(&port);
    is_wrong.then(|| FieldError::invalid_printed(field, &port.to_string(), PORT_RANGE))
}

fn port_name_problems(name: &str) -> Vec<String> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase();
    let is_allowed = |byte: u8| is_letter(byte) || byte.is_ascii_digit() || byte == b'-';
    let rules = [
        (name.len() > 15, "must be no more than 15 characters"),
        (
            name.is_empty() || !name.bytes().all(is_allowed),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (!name.bytes().any(is_letter), "must contain at least one letter (a-z)"),
        (name.contains("--"), "must not contain consecutive hyphens"),
        (name.starts_with('-') || name.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    rules.into_iter().filter(|(is_broken, _)| *is_broken).map(|(_, text)| text.to_owned()).collect()
}

fn selector_errors(spec: &Spec) -> Vec<FieldError> {
    let check = |(key, value): (&String, &Value)| {
        let value = value.as_str().unwrap_or_default();
        let mut errors = all_invalid("spec.selector", key, names::qualified_name(key));
        errors.extend(all_invalid("spec.selector", value, names::label_value(value)));
        errors
    };
    spec.selector.iter().flat_map(check).collect()
}

fn affinity_errors(spec: &Spec) -> Vec<FieldError> {
    let mut errors = enumeration_errors("spec.sessionAffinity", &spec.session_affinity, &["ClientIP", NONE]);
    let field = "spec.sessionAffinityConfig";
    match (spec.session_affinity.as_str(), &spec.session_affinity_config) {
        (NONE, Some(_)) => {
            errors.push(FieldError::forbidden(field, "must not be set when session affinity is None"));
        }
        ("ClientIP", config) => {
            let client_ip = config.as_ref().map(|config| config.client_ip.as_ref());
            let timeout = client_ip.map(|client| client.map(|client| client.timeout_seconds));
            let required =
                |field: String| FieldError::required(field, "when session affinity type is ClientIP");
            errors.extend(match timeout {
                None => Some(required(field.to_owned())),
                Some(None) => Some(required(format!("{field}.clientIP"))),
                Some(Some(None)) => Some(required(format!("{field}.clientIP.timeoutSeconds"))),
                Some(Some(Some(1..=CLIENT_IP_TIMEOUT_MAX_SECS))) => None,
                Some(Some(Some(timeout_secs))) => Some(FieldError::invalid_printed(
                    format!("{field}.clientIP.timeoutSeconds"),
                    &timeout_secs.to_string(),
                    "must be greater than 0 and less than 86400",
                )),
            });
        }
        _ => {}
    }
    errors
}

fn external_ip_errors(spec: &Spec, old: Option<&Spec>) -> Vec<FieldError> {
    let known = old.map(|old| old.external_ips.as_slice()).unwrap_or_default();
    let check = |(index, ip): (usize, &String)| {
        let field = format!("spec.externalIPs[{index}]");
        let errors = address_errors(&field, ip, known);
        if errors.is_empty() { special_address_errors(&field, ip) } else { errors }
    };
    spec.external_ips.iter().enumerate().flat_map(check).collect()
}

/// A pair of protocol and number may be there once, both for ports and for node ports.
fn repeated_port_errors(spec: &Spec) -> Vec<FieldError> {
    let numbered = || spec.ports.iter().enumerate();
    let mut errors = Vec::new();
    if spec.kind == CLUSTER_IP {
        for (index, _) in numbered().filter(|(_, port)| port.node_port != 0) {
            let field = format!("spec.ports[{index}].nodePort");
            errors.push(FieldError::forbidden(field, "may not be used when `type` is 'ClusterIP'"));
        }
    }
    let mut seen = HashSet::new();
    for (index, port) in numbered().filter(|(_, port)| port.node_port != 0) {
        if !seen.insert((&port.protocol, port.node_port)) {
            let field = format!("spec.ports[{index}].nodePort");
            errors.push(FieldError::duplicate(field, &json!(port.node_port)));
        }
    }
    seen.clear();
    for (index, port) in numbered() {
        if !seen.insert((&port.protocol, port.port)) {
            errors.push(repeated_port_error(index, port));
        }
    }
    errors
}

/// The port is printed in a form of its own, with nothing but what was compared.
fn repeated_port_error(index: usize, port: &Port) -> FieldError {
    let protocol = text::json(&json!(port.protocol));
    let message = format!(
        r#"Duplicate value: {{"Name":"","Protocol":{protocol},"AppProtocol":null,"Port":{},"TargetPort":0,"NodePort":0}}"#,
        port.port
    );
    FieldError { field: format!("spec.ports[{index}]"), kind: ErrorKind::Duplicate, message }
}

fn source_range_errors(object: &Value, spec: &Spec, old: Option<(&Value, &Spec)>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let ranges = &spec.load_balancer_source_ranges;
    if !ranges.is_empty() {
        let field = "spec.LoadBalancerSourceRanges";
        if spec.kind != LOAD_BALANCER {
            errors.push(FieldError::forbidden(field, ONLY_LOAD_BALANCER));
        }
        let known = old.map(|(_, old)| old.load_balancer_source_ranges.as_slice()).unwrap_or_default();
        let known: Vec<_> = known.iter().map(|range| range.trim().to_owned()).collect();
        for (index, range) in ranges.iter().enumerate() {
            errors.extend(network_errors(&format!("{field}[{index}]"), range.trim(), &known));
        }
        return errors;
    }
    let Some(ranges) = annotation(object, SOURCE_RANGES_ANNOTATION) else { return errors };
    let field = format!("metadata.annotations[{SOURCE_RANGES_ANNOTATION}]");
    if spec.kind != LOAD_BALANCER {
        errors.push(FieldError::forbidden(field.clone(), ONLY_LOAD_BALANCER));
    }
    let is_known = old.is_some_and(|(old, _)| annotation(old, SOURCE_RANGES_ANNOTATION) == Some(ranges));
    if !is_known && !ranges.trim().is_empty() {
        errors.extend(ranges.split(',').flat_map(|range| network_errors(&field, range.trim(), &[])));
    }
    errors
}

fn class_errors(spec: &Spec) -> Vec<FieldError> {
    let field = "spec.loadBalancerClass";
    match &spec.load_balancer_class {
        Some(class) if spec.kind == LOAD_BALANCER => all_invalid(field, class, names::qualified_name(class)),
        Some(_) => vec![FieldError::forbidden(field, ONLY_LOAD_BALANCER)],
        None => Vec::new(),
    }
}

fn external_policy_errors(spec: &Spec) -> Vec<FieldError> {
    let field = "spec.externalTrafficPolicy";
    let policy = spec.external_traffic_policy.as_str();
    match (spec.is_externally_accessible(), policy) {
        (true, policy) => enumeration_errors(field, policy, &["Cluster", LOCAL]),
        (false, "") => Vec::new(),
        (false, policy) => {
            let detail = "may only be set for externally-accessible services";
            vec![FieldError::invalid_text(field, policy, detail)]
        }
    }
}

fn health_check_errors(spec: &Spec) -> Option<FieldError> {
    let field = "spec.healthCheckNodePort";
    match (spec.has_health_check(), spec.health_check_node_port) {
        (false, 0) => None,
        (false, port) => Some(FieldError::invalid_printed(
            field,
            &port.to_string(),
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        )),
        (true, 0) => Some(FieldError::required(field, "")),
        (true, port) => port_range_error(field.to_owned(), port),
    }
}

fn routing_errors(spec: &Spec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match spec.internal_traffic_policy.as_deref() {
        None if [CLUSTER_IP, NODE_PORT, LOAD_BALANCER].contains(&spec.kind.as_str()) => {
            errors.push(FieldError::required("spec.internalTrafficPolicy", ""));
        }
        None | Some("Cluster" | "Local") => {}
        Some(other) => {
            errors.push(not_supported("spec.internalTrafficPolicy", other, &["Cluster", LOCAL]));
        }
    }
    let distributions = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    if let Some(other) = spec.traffic_distribution.as_deref().filter(|other| !distributions.contains(other)) {
        errors.push(not_supported("spec.trafficDistribution", other, &distributions));
    }
    errors
}

fn enumeration_errors(field: &str, value: &str, supported: &[&str]) -> Vec<FieldError> {
    match value {
        "" => vec![FieldError::required(field, "")],
        value if supported.contains(&value) => Vec::new(),
        value => vec![not_supported(field, value, supported)],
    }
}

fn all_invalid(field: &str, value: &str, problems: impl IntoIterator<Item = String>) -> Vec<FieldError> {
    problems.into_iter().map(|problem| FieldError::invalid_text(field, value, &problem)).collect()
}

fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(name)?.as_str()
}
