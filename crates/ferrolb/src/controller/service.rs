//! A Service as the controller keeps it: what decisions read of it, and the whole of it as it is written back.

use std::borrow::Cow;
use std::net::IpAddr;

use api::ingest;
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use plan::allocate::{POOL_ANNOTATION, Write};
use plan::selector::Labels;
use plan::snapshot::{Service, ServiceType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A Service with all its fields, also those that this version of the API types does not know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Whole {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) service: Service,
    pub(super) uid: String,
    /// Nothing if the server counts in another way than by numbers.
    pub(super) version: Option<u64>,
    /// JSON without managed fields, which stay as they are when they are not sent.
    object: Box<[u8]>,
}

impl Seen {
    /// Nothing if this Service neither needs an address nor has one.
    pub(super) fn of(mut object: Whole) -> Option<Seen> {
        object.metadata.managed_fields = None;
        // Those in a list do not say what they are.
        object.rest.insert("apiVersion".to_owned(), "v1".into());
        object.rest.insert("kind".to_owned(), "Service".into());
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let version = object.metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
        let value = serde_json::to_value(&object).ok()?;
        let bytes = serde_json::to_vec(&value).ok()?;
        let read: v1::Service = api::decode::from_value(&value).inspect_err(unreadable).ok()?;
        let mut service = ingest::service(&read);
        if !service.local_traffic_only {
            // It is read only to tell who may share an address with local traffic, and there are many.
            service.selector = Labels::default();
        }
        let is_of_use = service.service_type == ServiceType::LoadBalancer
            || !service.ingress.is_empty()
            || service.annotations.contains_key(POOL_ANNOTATION);
        is_of_use.then(|| Seen { service, uid, version, object: bytes.into() })
    }

    /// The object to put in its place. Its version makes sure that nobody else has changed it meanwhile.
    pub(super) fn written(&self, write: &Write) -> Value {
        let mut object: Value = serde_json::from_slice(&self.object).unwrap_or_default();
        let entry = |address: &IpAddr| json!({"ip": address.to_string()});
        let ingress: Vec<Value> = write.ingress.iter().map(entry).collect();
        object["status"]["loadBalancer"] =
            if ingress.is_empty() { json!({}) } else { json!({"ingress": ingress}) };
        match &write.pool_annotation {
            Some(pool) => object["metadata"]["annotations"][POOL_ANNOTATION] = pool.as_str().into(),
            None => {
                if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
                    annotations.shift_remove(POOL_ANNOTATION);
                }
            }
        }
        object
    }

    /// Whether the other is the same Service at an earlier or the same moment.
    pub(super) fn is_not_older_than(&self, other: &Seen) -> bool {
        self.uid == other.uid && self.version >= other.version && other.version.is_some()
    }
}

impl Resource for Whole {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        v1::Service::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        v1::Service::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        v1::Service::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        v1::Service::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

fn unreadable(error: &api::decode::Error) {
    tracing::warn!("a Service cannot be read, and is left alone: {error}");
}
