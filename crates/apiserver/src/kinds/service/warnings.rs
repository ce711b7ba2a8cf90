//! What a client is warned of although its Service is accepted.

use super::address::parse_lenient;
use crate::kinds::{list_at, text_at};
use serde_json::Value;
use std::net::IpAddr;

const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const MODE: &str = "service.kubernetes.io/topology-mode";

/// About a Service as it would be stored.
pub(super) fn of_spec(object: &Value) -> Vec<String> {
    let text = |field: &str| text_at(object, &format!("/spec/{field}"));
    let list = |field: &str| list_at(object, &format!("/spec/{field}"));
    let kind = text("type");
    let is_headless = kind == "ClusterIP" && text("clusterIP") == "None";
    let has_external_ips = !list("externalIPs").is_empty();
    let mut warnings = Vec::new();
    let mut warn = |condition: bool, text: &str| {
        if condition {
            warnings.push(text.to_owned());
        }
    };
    let has_hints = object["metadata"]["annotations"][HINTS].is_string();
    warn(has_hints, &format!("annotation {HINTS} is deprecated, please use {MODE} instead"));
    if !is_headless && kind != "ExternalName" {
        for text in of_addresses("spec.clusterIPs", list("clusterIPs")) {
            warn(true, &text);
        }
    }
    let ignored = "is ignored for headless services";
    warn(is_headless && !text("loadBalancerIP").is_empty(), &format!("spec.loadBalancerIP {ignored}"));
    warn(is_headless && has_external_ips, &format!("spec.externalIPs {ignored}"));
    warn(is_headless && text("sessionAffinity") != "None", &format!("spec.SessionAffinity {ignored}"));
    for text in of_addresses("spec.externalIPs", list("externalIPs")) {
        warn(true, &text);
    }
    let deprecated = "spec.externalIPs is deprecated and may no longer be implemented in some clusters";
    warn(has_external_ips && !is_headless && kind != "ExternalName", deprecated);
    if let Some(text) = of_address("spec.loadBalancerIP", text("loadBalancerIP")) {
        warn(true, &text);
    }
    let ignored = "spec.externalIPs is ignored when spec.type is \"ExternalName\"";
    warn(kind == "ExternalName" && has_external_ips, ignored);
    let ignored = "spec.externalName is ignored when spec.type is not \"ExternalName\"";
    warn(kind != "ExternalName" && !text("externalName").is_empty(), ignored);
    let deprecated = "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"";
    warn(text("trafficDistribution") == "PreferClose", deprecated);
    warnings
}

/// About the status of a Service.
pub(super) fn of_status(object: &Value) -> Vec<String> {
    let ingress = list_at(object, "/status/loadBalancer/ingress").iter().enumerate();
    let warning =
        |(index, it)| of_address(&format!("status.loadBalancer.ingress[{index}]"), text_at(it, "/ip"));
    ingress.filter_map(warning).collect()
}

fn of_addresses(field: &str, addresses: &[Value]) -> Vec<String> {
    let addresses = addresses.iter().filter_map(Value::as_str).enumerate();
    addresses.filter_map(|(index, address)| of_address(&format!("{field}[{index}]"), address)).collect()
}

/// An address that is understood, but written as it should not be.
fn of_address(field: &str, text: &str) -> Option<String> {
    let address = parse_lenient(text)?;
    let is_strict = text.parse::<IpAddr>().is_ok_and(|address| address == address.to_canonical());
    if !is_strict {
        let standard = address.to_canonical();
        return Some(format!("{field}: non-standard IP address {text:?} is invalid: use \"{standard}\""));
    }
    let canonical = address.to_string();
    (address.is_ipv6() && canonical != text).then(|| {
        format!("{field}: IPv6 address {text:?} should be in RFC 5952 canonical format ({canonical:?})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_are_written_in_one_way() {
        for (text, expected) in [
            ("192.0.2.1", None),
            ("", None),
            ("2001:db8::1", None),
            ("192.0.2.01", Some("f: non-standard IP address \"192.0.2.01\" is invalid: use \"192.0.2.1\"")),
            (
                "::ffff:192.0.2.1",
                Some("f: non-standard IP address \"::ffff:192.0.2.1\" is invalid: use \"192.0.2.1\""),
            ),
            (
                "2001:DB8::1",
                Some(
                    "f: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")",
                ),
            ),
        ] {
            assert_eq!(of_address("f", text).as_deref(), expected);
        }
    }

    #[test]
    fn what_has_no_effect_is_said() {
        for (spec, expected) in [
            (json!({"type": "ClusterIP", "sessionAffinity": "None"}), vec![]),
            (
                json!({"type": "ClusterIP", "clusterIP": "None", "sessionAffinity": "ClientIP", "loadBalancerIP": "192.0.2.1"}),
                vec![
                    "spec.loadBalancerIP is ignored for headless services",
                    "spec.SessionAffinity is ignored for headless services",
                ],
            ),
            (
                json!({"type": "ClusterIP", "externalIPs": ["192.0.2.1"], "externalName": "a"}),
                vec![
                    "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
                    "spec.externalName is ignored when spec.type is not \"ExternalName\"",
                ],
            ),
        ] {
            assert_eq!(of_spec(&json!({"spec": spec})), expected);
        }
    }
}
