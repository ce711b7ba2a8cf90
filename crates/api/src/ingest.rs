//! From the cluster's own kinds to the plain values that decisions read.
//!
//! Nothing is judged here: what a Service says is taken over as it says it.

use k8s_openapi::api::core::v1;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::announce::DRAIN_ANNOTATION;
use plan::selector::Labels;
use plan::snapshot::{
    Ingress, IpFamily, IpFamilyPolicy, Namespace, Node, Service, ServiceKey, ServicePort, ServiceType,
    Serving,
};

pub fn node(node: &v1::Node) -> Node {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    Node {
        name: name(&node.metadata),
        labels: labels(&node.metadata),
        network_unavailable: conditions
            .iter()
            .any(|condition| condition.type_ == "NetworkUnavailable" && condition.status == "True"),
        is_draining: annotation(&node.metadata, DRAIN_ANNOTATION) == Some("true"),
    }
}

fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// On an EndpointSlice: the name of its Service, which is in the same namespace.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Nothing if it is of no Service.
pub fn service_name(slice: &discovery::EndpointSlice) -> Option<&str> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME_LABEL)?;
    Some(name.as_str()).filter(|name| !name.is_empty())
}

/// What one EndpointSlice adds to where its Service can be served.
pub fn serving(slice: &discovery::EndpointSlice) -> Serving {
    // The terminating condition is not looked at: what still serves can be sent to.
    let can_serve = |endpoint: &&discovery::Endpoint| {
        endpoint.conditions.as_ref().is_none_or(|it| it.ready != Some(false) || it.serving == Some(true))
    };
    let mut serving = Serving::default();
    for endpoint in slice.endpoints.iter().flatten().filter(can_serve) {
        serving.anywhere = true;
        if let Some(node) = endpoint.node_name.as_deref().filter(|name| !name.is_empty()) {
            serving.add_endpoints(node, 1);
        }
    }
    serving
}

pub fn namespace(namespace: &v1::Namespace) -> Namespace {
    Namespace { name: name(&namespace.metadata), labels: labels(&namespace.metadata) }
}

pub fn service(service: &v1::Service) -> Service {
    let metadata = &service.metadata;
    let spec = service.spec.clone().unwrap_or_default();
    let cluster_ip = spec.cluster_ip.unwrap_or_default();
    let listed = spec.cluster_ips.unwrap_or_default();
    let single = Some(&cluster_ip).filter(|ip| !ip.is_empty());
    Service {
        key: ServiceKey::new(metadata.namespace.as_deref().unwrap_or_default(), &name(metadata)),
        labels: labels(metadata),
        annotations: metadata.annotations.clone().unwrap_or_default(),
        service_type: service_type(spec.type_),
        load_balancer_class: spec.load_balancer_class,
        load_balancer_ip: spec.load_balancer_ip.unwrap_or_default(),
        cluster_ips: if listed.is_empty() { single.into_iter().cloned().collect() } else { listed },
        cluster_ip,
        ip_family_policy: match spec.ip_family_policy.as_deref() {
            Some("PreferDualStack") => IpFamilyPolicy::PreferDualStack,
            Some("RequireDualStack") => IpFamilyPolicy::RequireDualStack,
            _ => IpFamilyPolicy::SingleStack,
        },
        primary_family: match spec.ip_families.unwrap_or_default().first().map(String::as_str) {
            Some("IPv4") => Some(IpFamily::V4),
            Some("IPv6") => Some(IpFamily::V6),
            _ => None,
        },
        ports: spec.ports.unwrap_or_default().into_iter().map(port).collect(),
        local_traffic_only: spec.external_traffic_policy.as_deref() == Some("Local"),
        selector: spec.selector.unwrap_or_default().into(),
        ingress: ingress(service.status.as_ref()),
    }
}

fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

fn labels(metadata: &ObjectMeta) -> Labels {
    metadata.labels.clone().unwrap_or_default().into()
}

fn service_type(written: Option<String>) -> ServiceType {
    match written {
        Some(text) if text == "LoadBalancer" => ServiceType::LoadBalancer,
        Some(text) if !text.is_empty() => ServiceType::Other(text),
        _ => ServiceType::Other("ClusterIP".to_owned()),
    }
}

fn port(port: v1::ServicePort) -> ServicePort {
    ServicePort { protocol: port.protocol.unwrap_or_else(|| "TCP".to_owned()), port: port.port }
}

fn ingress(status: Option<&v1::ServiceStatus>) -> Vec<Ingress> {
    let entries = status.and_then(|status| status.load_balancer.as_ref()?.ingress.as_deref());
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    entries
        .unwrap_or_default()
        .iter()
        .map(|entry| Ingress { ip: filled(&entry.ip), hostname: filled(&entry.hostname) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_can_serve_unless_it_is_neither_ready_nor_serving() {
        for (conditions, expected) in [
            ("", true),
            (r#","conditions":{}"#, true),
            (r#","conditions":{"ready":null,"serving":false}"#, true),
            (r#","conditions":{"ready":true}"#, true),
            (r#","conditions":{"ready":true,"serving":false}"#, true),
            (r#","conditions":{"ready":false}"#, false),
            (r#","conditions":{"ready":false,"serving":false}"#, false),
            (r#","conditions":{"ready":false,"serving":true}"#, true),
            (r#","conditions":{"ready":false,"serving":true,"terminating":true}"#, true),
        ] {
            let text = format!(
                r#"{{"addressType":"IPv4","endpoints":[{{"addresses":["192.0.2.1"],"nodeName":"a"{conditions}}}]}}"#
            );
            let serving = serving(&serde_json::from_str(&text).unwrap());
            assert_eq!(
                (serving.anywhere, serving.nodes.contains_key("a")),
                (expected, expected),
                "{conditions}"
            );
        }
    }

    #[test]
    fn what_one_endpoint_of_a_node_can_serve_no_other_takes_away() {
        let slice = r#"{"addressType":"IPv4","endpoints":[
            {"addresses":["192.0.2.1"],"nodeName":"a"},
            {"addresses":["192.0.2.2"],"nodeName":"a","conditions":{"ready":false}},
            {"addresses":["192.0.2.3"]}, {"addresses":["192.0.2.4"],"nodeName":""}]}"#;
        let mut serving = serving(&serde_json::from_str(slice).unwrap());
        serving.add(&Serving { anywhere: true, nodes: [("b".to_owned(), 2)].into() });
        let nodes = [("a".to_owned(), 1), ("b".to_owned(), 2)].into();
        assert_eq!(serving, Serving { anywhere: true, nodes });
    }
}
