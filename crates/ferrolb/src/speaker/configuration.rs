//! The resources that a speaker's configuration is read from, and what was last made of them.

use std::collections::BTreeMap;

use api::metallb::{BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement};
use api::parse::{Objects, Problem, Role, View, parse};
use k8s_openapi::api::core::v1;
use plan::Config;
use plan::snapshot::{Namespace, Node};

use super::Options;
use crate::watch::Known;

#[derive(Debug)]
pub(super) struct Configuration {
    view: View,
    node: String,
    pub(super) pools: Known<IPAddressPool>,
    pub(super) l2_advertisements: Known<L2Advertisement>,
    pub(super) bgp_advertisements: Known<BGPAdvertisement>,
    pub(super) peers: Known<BGPPeer>,
    pub(super) bfd_profiles: Known<BFDProfile>,
    pub(super) communities: Known<Community>,
    pub(super) secrets: Known<v1::Secret>,
    pub(super) config_maps: Known<v1::ConfigMap>,
    pub(super) nodes: Known<Node>,
    pub(super) namespaces: Known<Namespace>,
    has_changed: bool,
}

impl Configuration {
    pub(super) fn new(options: &Options) -> Configuration {
        let Options { namespace, node, secret_passthrough, .. } = options;
        let role = Role::Speaker { node: node.clone() };
        Configuration {
            view: View { role, namespace: namespace.clone(), secret_passthrough: *secret_passthrough },
            node: node.clone(),
            pools: Known::default(),
            l2_advertisements: Known::default(),
            bgp_advertisements: Known::default(),
            peers: Known::default(),
            bfd_profiles: Known::default(),
            communities: Known::default(),
            secrets: Known::default(),
            config_maps: Known::default(),
            nodes: Known::default(),
            namespaces: Known::default(),
            has_changed: true,
        }
    }

    pub(super) fn note(&mut self, has_changed: bool) {
        self.has_changed |= has_changed;
    }

    /// What the resources mean, or why they are refused. Nothing while not all of them are known, this node is not
    /// among them, or none has changed since the last time.
    pub(super) fn read(&mut self) -> Option<Result<Config, Vec<Problem>>> {
        if !self.is_complete() || !std::mem::take(&mut self.has_changed) {
            return None;
        }
        let objects = Objects {
            pools: self.pools.cloned(),
            l2_advertisements: self.l2_advertisements.cloned(),
            bgp_advertisements: self.bgp_advertisements.cloned(),
            peers: self.peers.cloned(),
            bfd_profiles: self.bfd_profiles.cloned(),
            communities: self.communities.cloned(),
            secrets: self.secrets.cloned(),
            config_maps: self.config_maps.cloned(),
            nodes: self.nodes.cloned(),
            namespaces: self.namespaces.cloned(),
        };
        let parsed = parse(objects, &self.view);
        for remark in &parsed.warnings {
            tracing::debug!("{remark}");
        }
        Some(parsed.accepted())
    }

    pub(super) fn nodes(&self) -> BTreeMap<String, Node> {
        self.nodes.values.values().map(|node| (node.name.clone(), node.clone())).collect()
    }

    pub(super) fn knows_own_node(&self) -> bool {
        self.nodes.values.contains_key(&("".into(), self.node.as_str().into()))
    }

    fn is_complete(&self) -> bool {
        [
            self.pools.is_complete(),
            self.l2_advertisements.is_complete(),
            self.bgp_advertisements.is_complete(),
            self.peers.is_complete(),
            self.bfd_profiles.is_complete(),
            self.communities.is_complete(),
            self.secrets.is_complete(),
            self.config_maps.is_complete(),
            self.nodes.is_complete(),
            self.namespaces.is_complete(),
            self.knows_own_node(),
        ]
        .into_iter()
        .all(|is_known| is_known)
    }
}
