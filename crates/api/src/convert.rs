//! `BGPPeer` between its two versions, as the API server asks of a conversion webhook.
//!
//! Going to v1beta1 loses what that version cannot say, and coming from it turns absent timers into `0s`,
//! which means no timers. Neither can change: clients that still write v1beta1 count on it.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::duration::GoDuration;
use crate::metallb::bgppeer::v1beta1::{self, MatchExpression, NodeSelector};
use crate::metallb::bgppeer::v1beta2;
use crate::{LabelSelector, LabelSelectorRequirement, SecretReference};

/// A version of `BGPPeer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1beta1,
    V1beta2,
}

/// Why an object cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    #[error("{api_version:?} {kind:?} is not a version of BGPPeer")]
    NotABgpPeer { api_version: String, kind: String },
    #[error("BGPPeer {name:?}: {field}: {reason}")]
    Unreadable { name: String, field: String, reason: String },
}

impl Version {
    /// The version that an object's `apiVersion` names, such as `metallb.io/v1beta2`.
    pub fn from_api_version(api_version: &str) -> Option<Self> {
        [Self::V1beta1, Self::V1beta2].into_iter().find(|version| version.api_version() == api_version)
    }

    pub const fn api_version(self) -> &'static str {
        match self {
            Self::V1beta1 => "metallb.io/v1beta1",
            Self::V1beta2 => "metallb.io/v1beta2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.api_version())
    }
}

/// The same peer in another version. Metadata is copied as it is, the status (which is empty in both) is left
/// out, and an object that has the wanted version already is returned unread.
pub fn bgp_peer(object: &Value, to: Version) -> Result<Value, ConvertError> {
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let from = Version::from_api_version(&text("apiVersion")).filter(|_| object["kind"] == "BGPPeer");
    let Some(from) = from else {
        return Err(ConvertError::NotABgpPeer { api_version: text("apiVersion"), kind: text("kind") });
    };
    let spec = match (from, to) {
        (Version::V1beta1, Version::V1beta2) => json!(to_v1beta2(read_spec(object)?)),
        (Version::V1beta2, Version::V1beta1) => json!(to_v1beta1(read_spec(object)?)),
        (Version::V1beta1, Version::V1beta1) | (Version::V1beta2, Version::V1beta2) => {
            return Ok(object.clone());
        }
    };
    let mut converted = json!({ "apiVersion": to.api_version(), "kind": "BGPPeer" });
    if let Some(metadata) = object.get("metadata") {
        converted["metadata"] = metadata.clone();
    }
    converted["spec"] = spec;
    Ok(converted)
}

fn read_spec<Spec: Default + DeserializeOwned>(object: &Value) -> Result<Spec, ConvertError> {
    let Some(spec) = object.get("spec").filter(|spec| !spec.is_null()) else {
        return Ok(Spec::default());
    };
    let unreadable = |path: &str, reason: String| ConvertError::Unreadable {
        name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        field: if path.is_empty() { "spec".to_owned() } else { format!("spec.{path}") },
        reason,
    };
    if let Some(path) = list_in_place_of_object(spec) {
        return Err(unreadable(&path, "invalid type: sequence, expected an object".to_owned()));
    }
    crate::decode::from_value(spec).map_err(|error| unreadable(&error.field(), error.reason()))
}

/// Serde reads a list as a struct, field by field: an empty list would become a selector of every node.
fn list_in_place_of_object(spec: &Value) -> Option<String> {
    if spec.is_array() {
        return Some(String::new());
    }
    if spec["passwordSecret"].is_array() {
        return Some("passwordSecret".to_owned());
    }
    for (index, selector) in spec["nodeSelectors"].as_array()?.iter().enumerate() {
        let selector_path = format!("nodeSelectors[{index}]");
        if selector.is_array() {
            return Some(selector_path);
        }
        let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
        if let Some(index) = expressions.position(Value::is_array) {
            return Some(format!("{selector_path}.matchExpressions[{index}]"));
        }
    }
    None
}

fn to_v1beta2(peer: v1beta1::BGPPeerSpec) -> v1beta2::BGPPeerSpec {
    v1beta2::BGPPeerSpec {
        my_asn: peer.my_asn,
        peer_asn: not_zero(Some(peer.peer_asn)),
        peer_address: not_zero(Some(peer.peer_address)),
        source_address: not_zero(peer.source_address),
        peer_port: not_zero(peer.peer_port),
        hold_time: Some(peer.hold_time.unwrap_or(GoDuration::ZERO)),
        keepalive_time: Some(peer.keepalive_time.unwrap_or(GoDuration::ZERO)),
        router_id: not_zero(peer.router_id),
        node_selectors: peer.node_selectors.into_iter().map(to_label_selector).collect(),
        password: not_zero(peer.password),
        password_secret: Some(SecretReference::default()),
        bfd_profile: not_zero(peer.bfd_profile),
        ebgp_multi_hop: not_zero(peer.ebgp_multi_hop),
        ..v1beta2::BGPPeerSpec::default()
    }
}

fn to_v1beta1(peer: v1beta2::BGPPeerSpec) -> v1beta1::BGPPeerSpec {
    v1beta1::BGPPeerSpec {
        my_asn: peer.my_asn,
        peer_asn: peer.peer_asn.unwrap_or_default(),
        peer_address: peer.peer_address.unwrap_or_default(),
        source_address: not_zero(peer.source_address),
        peer_port: not_zero(peer.peer_port),
        hold_time: Some(peer.hold_time.unwrap_or(GoDuration::ZERO)),
        keepalive_time: Some(peer.keepalive_time.unwrap_or(GoDuration::ZERO)),
        router_id: not_zero(peer.router_id),
        node_selectors: peer.node_selectors.into_iter().map(to_node_selector).collect(),
        password: not_zero(peer.password),
        bfd_profile: not_zero(peer.bfd_profile),
        ebgp_multi_hop: not_zero(peer.ebgp_multi_hop),
    }
}

/// In this API the zero value of an optional field says the same as its absence, and absence is how it is
/// written.
fn not_zero<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

fn to_label_selector(selector: NodeSelector) -> LabelSelector {
    LabelSelector {
        match_labels: selector.match_labels,
        match_expressions: selector
            .match_expressions
            .into_iter()
            .map(|MatchExpression { key, operator, values }| LabelSelectorRequirement {
                key,
                operator,
                values,
            })
            .collect(),
    }
}

fn to_node_selector(selector: LabelSelector) -> NodeSelector {
    NodeSelector {
        match_labels: selector.match_labels,
        match_expressions: selector
            .match_expressions
            .into_iter()
            .map(|LabelSelectorRequirement { key, operator, values }| MatchExpression {
                key,
                operator,
                values,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
