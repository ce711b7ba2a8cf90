//! What an object is judged with: lists of stored objects, as an API server hands them out.

use std::collections::BTreeMap;

use serde_json::Value;

/// A list of stored objects that somebody may have to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    IPAddressPool,
    L2Advertisement,
    BGPAdvertisement,
    Community,
    BGPPeer,
    Node,
    FRRConfiguration,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    /// The namespace that FerroLB runs in and reads its resources from.
    pub namespace: String,
    /// Objects that cannot be read may be among them; a list that is not there is empty.
    pub lists: BTreeMap<List, Vec<Value>>,
}

impl List {
    pub const ALL: [List; 7] = [
        List::IPAddressPool,
        List::L2Advertisement,
        List::BGPAdvertisement,
        List::Community,
        List::BGPPeer,
        List::Node,
        List::FRRConfiguration,
    ];

    /// The kind of its objects.
    pub const fn kind(self) -> &'static str {
        match self {
            List::IPAddressPool => "IPAddressPool",
            List::L2Advertisement => "L2Advertisement",
            List::BGPAdvertisement => "BGPAdvertisement",
            List::Community => "Community",
            List::BGPPeer => "BGPPeer",
            List::Node => "Node",
            List::FRRConfiguration => "FRRConfiguration",
        }
    }

    /// Group and version in which it is asked for.
    pub const fn api_version(self) -> (&'static str, &'static str) {
        match self {
            List::Node => ("", "v1"),
            List::FRRConfiguration => (crate::frrk8s::GROUP, "v1beta1"),
            List::BGPPeer => (crate::metallb::GROUP, "v1beta2"),
            _ => (crate::metallb::GROUP, "v1beta1"),
        }
    }

    /// As paths name it.
    pub const fn plural(self) -> &'static str {
        match self {
            List::IPAddressPool => "ipaddresspools",
            List::L2Advertisement => "l2advertisements",
            List::BGPAdvertisement => "bgpadvertisements",
            List::Community => "communities",
            List::BGPPeer => "bgppeers",
            List::Node => "nodes",
            List::FRRConfiguration => "frrconfigurations",
        }
    }

    /// Whether only the objects of our own namespace count.
    pub const fn is_of_one_namespace(self) -> bool {
        !matches!(self, List::Node | List::FRRConfiguration)
    }

    /// The list that an object belongs into.
    pub fn of(object: &Value) -> Option<List> {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
        List::ALL.into_iter().find(|list| list.kind() == text("kind") && list.api_version().0 == group)
    }
}

impl World {
    pub fn new(namespace: &str) -> World {
        World { namespace: namespace.to_owned(), lists: BTreeMap::new() }
    }

    /// Adds an object to the list it belongs into. Others, and those of another namespace, are left alone.
    pub fn add(&mut self, object: Value) {
        let Some(list) = List::of(&object) else { return };
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        if !list.is_of_one_namespace() || namespace.is_empty() || namespace == self.namespace {
            self.lists.entry(list).or_default().push(object);
        }
    }

    pub(super) fn list(&self, list: List) -> &[Value] {
        self.lists.get(&list).map(Vec::as_slice).unwrap_or_default()
    }
}
