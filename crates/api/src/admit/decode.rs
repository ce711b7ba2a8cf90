//! JSON to the types of the kinds.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Kind;
use crate::convert::{self, ConvertError, Version};
use crate::{frrk8s, metallb};

/// Why an object cannot be read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the object can be read as one of this kind.
pub(super) fn check(kind: Kind, object: &Value) -> Result<(), Unreadable> {
    match kind {
        Kind::IPAddressPool => drop(read::<metallb::IPAddressPool>(kind, object)?),
        Kind::L2Advertisement => drop(read::<metallb::L2Advertisement>(kind, object)?),
        Kind::BGPAdvertisement => drop(read::<metallb::BGPAdvertisement>(kind, object)?),
        Kind::Community => drop(read::<metallb::Community>(kind, object)?),
        Kind::BGPPeer => drop(read::<metallb::BGPPeer>(kind, object)?),
        Kind::BFDProfile => drop(read::<metallb::BFDProfile>(kind, object)?),
        Kind::FRRConfiguration => drop(read::<frrk8s::FRRConfiguration>(kind, object)?),
    }
    Ok(())
}

pub(super) fn read<T: DeserializeOwned>(kind: Kind, object: &Value) -> Result<T, Unreadable> {
    if object.is_null() {
        return Err(Unreadable("there is no content to decode".to_owned()));
    }
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    if !object.is_object() || !(text("kind").is_empty() || text("kind") == kind.name()) {
        let (api_version, found) = (text("apiVersion"), text("kind"));
        return Err(Unreadable(format!("unable to decode {api_version}, Kind={found} into {}", kind.name())));
    }
    plain(stored_version(kind, object)?.as_ref())
}

pub(super) fn plain<T: DeserializeOwned>(object: &Value) -> Result<T, Unreadable> {
    crate::decode::from_value(object).map_err(|error| unreadable(&error.field(), error.reason()))
}

/// A peer may be written in the old version where nobody has converted it.
fn stored_version(kind: Kind, object: &Value) -> Result<Cow<'_, Value>, Unreadable> {
    if kind != Kind::BGPPeer || object["apiVersion"] != Version::V1beta1.api_version() {
        return Ok(Cow::Borrowed(object));
    }
    convert::bgp_peer(object, Version::V1beta2).map(Cow::Owned).map_err(|error| match error {
        ConvertError::Unreadable { field, reason, .. } => unreadable(&field, reason),
        ConvertError::NotABgpPeer { .. } => Unreadable(error.to_string()),
    })
}

/// What is wrong with a duration says enough, and everybody says it so.
fn unreadable(path: &str, reason: String) -> Unreadable {
    let is_duration = reason.starts_with("time: ");
    Unreadable(if path.is_empty() || is_duration { reason } else { format!("{path}: {reason}") })
}
