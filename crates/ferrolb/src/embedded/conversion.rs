//! Objects between the versions of their kind, without the webhook that their definition may name.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::convert::{self, Version};
use apiserver::conversion::Convert;
use apiserver::server::Conversions;
use serde_json::Value;

#[derive(Debug)]
struct BgpPeers;

impl Convert for BgpPeers {
    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        let version = Version::from_api_version(api_version)
            .ok_or_else(|| format!("{api_version:?} is not a version of BGPPeer"))?;
        convert::bgp_peer(object, version).map_err(|error| error.to_string())
    }
}

/// The kinds that this program converts itself.
pub(super) fn conversions() -> Conversions {
    let kind = ("metallb.io".to_owned(), "BGPPeer".to_owned());
    BTreeMap::from([(kind, Arc::new(BgpPeers) as Arc<dyn Convert>)])
}
