//! What a speaker keeps of the objects that it watches. There may be very many of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::ingest;
use k8s_openapi::api::core::v1;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::selector::Labels;
use plan::snapshot::{Node, Service, ServiceKey, ServiceType, Serving};

/// A Service, and what an event about it says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) service: Service,
    pub(super) uid: Box<str>,
    pub(super) resource_version: Box<str>,
}

/// One EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) service: ServiceKey,
    pub(super) serving: Serving,
}

/// A Node, and where its speaker is heard from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeSeen {
    pub(super) node: Node,
    pub(super) addresses: Vec<IpAddr>,
}

pub(super) fn node(object: &v1::Node) -> NodeSeen {
    let addresses = object.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    let internal = addresses.iter().filter(|address| address.type_ == "InternalIP");
    NodeSeen {
        node: ingest::node(object),
        addresses: internal.filter_map(|address| address.address.parse().ok()).collect(),
    }
}

/// Nothing if there is nothing to announce, and never was.
pub(super) fn service(object: &v1::Service) -> Option<Seen> {
    let mut service = ingest::service(object);
    if service.service_type != ServiceType::LoadBalancer && service.ingress.is_empty() {
        return None;
    }
    // What decides about addresses is the controller's.
    service.selector = Labels::default();
    service.ports = Vec::new();
    service.cluster_ips = Vec::new();
    service.cluster_ip = String::new();
    service.annotations.retain(|key, _| plan::announce::READ_ANNOTATIONS.contains(&key.as_str()));
    if service.annotations.is_empty() {
        // One that became empty still has its room.
        service.annotations = BTreeMap::new();
    }
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    let metadata = &object.metadata;
    Some(Seen { service, uid: text(&metadata.uid), resource_version: text(&metadata.resource_version) })
}

pub(super) fn slice(object: &discovery::EndpointSlice) -> Option<Slice> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let service = ServiceKey::new(namespace, ingest::service_name(object)?);
    Some(Slice { service, serving: ingest::serving(object) })
}

/// A resource of the configuration without what the parser does not read.
pub(super) fn lean<K: kube::Resource>(mut object: K) -> K {
    let metadata = object.meta_mut();
    *metadata = ObjectMeta {
        name: metadata.name.take(),
        namespace: metadata.namespace.take(),
        labels: metadata.labels.take(),
        ..ObjectMeta::default()
    };
    object
}

/// A Secret without what is no password: there may be much else in a namespace.
pub(super) fn secret(object: v1::Secret) -> v1::Secret {
    let mut secret = lean(object);
    secret.string_data = None;
    if let Some(data) = &mut secret.data {
        data.retain(|key, _| key == "password");
    }
    secret
}
