//! What a speaker keeps of the objects that it watches. There may be very many of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::placement::PlacementError;
use api::{bgp_extras, ingest, placement};
use k8s_openapi::api::core::v1;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::placement::Wishes;
use plan::selector::Labels;
use plan::snapshot::{Node, Service, ServiceKey, ServiceType, Serving};

/// A Service, and what an event about it says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) service: Service,
    pub(super) uid: Box<str>,
    pub(super) resource_version: Box<str>,
    /// Of few.
    pub(super) asked: Option<Box<Asked>>,
}

/// What a Service asks for by annotations, and what of them means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) wishes: Wishes,
    pub(super) unread: Vec<PlacementError>,
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
    let asked = asked(&service);
    service.annotations.retain(|key, _| plan::announce::READ_ANNOTATIONS.contains(&key.as_str()));
    if service.annotations.is_empty() {
        // One that became empty still has its room.
        service.annotations = BTreeMap::new();
    }
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    let metadata = &object.metadata;
    let (uid, resource_version) = (text(&metadata.uid), text(&metadata.resource_version));
    Some(Seen { service, uid, resource_version, asked })
}

fn asked(service: &Service) -> Option<Box<Asked>> {
    if service.annotations.is_empty() {
        return None;
    }
    let (wishes, unread) = placement::of_service(&service.annotations);
    let is_nothing = wishes.is_nothing() && unread.is_empty();
    (!is_nothing).then(|| Box::new(Asked { wishes, unread }))
}

pub(super) fn slice(object: &discovery::EndpointSlice) -> Option<Slice> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let service = ServiceKey::new(namespace, ingest::service_name(object)?);
    Some(Slice { service, serving: ingest::serving(object) })
}

/// A resource of the configuration without what the parser does not read.
pub(super) fn lean<K: kube::Resource>(mut object: K) -> K {
    let metadata = object.meta_mut();
    let mut annotations = metadata.annotations.take().unwrap_or_default();
    let is_read = |key: &str| {
        placement::ANNOTATIONS.contains(&key)
            || bgp_extras::OF_ADVERTISEMENTS.contains(&key)
            || bgp_extras::OF_PEERS.contains(&key)
    };
    annotations.retain(|key, _| is_read(key));
    *metadata = ObjectMeta {
        annotations: (!annotations.is_empty()).then_some(annotations),
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
