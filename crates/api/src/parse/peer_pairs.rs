//! What two peers on one node may not do together: one node is one BGP router per routing table.

use std::collections::HashMap;

use plan::range::parse_address;
use plan::selector::{Labels, Selector};
use plan::snapshot::Node;

use super::selectors::{compile, plain_selector};
use super::{Findings, PeerPairError, Subject, filled};
use crate::metallb::{BGPPeer, BGPPeerSpec};

pub(super) fn check(peers: &[BGPPeer], nodes: &[Node], findings: &mut Findings) {
    if peers.len() < 2 {
        return;
    }
    let subjects: Vec<Subject> = peers.iter().map(|peer| Subject::of("BGPPeer", &peer.metadata)).collect();
    let mut traits: Vec<Option<PeerTraits>> = peers.iter().map(|_| None).collect();
    let mut numbers = Numbers::default();
    for new in 1..peers.len() {
        // Of a pair the later one is looked at first; only the first peer is nobody's later one.
        for index in if new == 1 { vec![1, 0] } else { vec![new] } {
            traits[index] = PeerTraits::of(&peers[index], &subjects[index], nodes, &mut numbers, findings);
        }
        let Some(later) = &traits[new] else { continue };
        for earlier in traits[..new].iter().flatten() {
            later.check_against(earlier, &subjects[new], findings);
        }
    }
}

/// What of a peer is compared, as numbers, so that comparing every pair of a thousand peers is cheap.
struct PeerTraits<'a> {
    spec: &'a BGPPeerSpec,
    nodes: NodeSet,
    router_id: usize,
    vrf: usize,
    identifier: usize,
}

impl<'a> PeerTraits<'a> {
    /// `None` when its node selectors cannot be read and there are nodes to select.
    fn of(
        peer: &'a BGPPeer,
        subject: &Subject,
        nodes: &[Node],
        numbers: &mut Numbers,
        findings: &mut Findings,
    ) -> Option<PeerTraits<'a>> {
        let spec = &peer.spec;
        let nodes =
            if nodes.is_empty() { NodeSet::Unknown } else { NodeSet::of(spec, nodes, subject, findings)? };
        let text = |text: Option<&String>| text.cloned().unwrap_or_default();
        // Two spellings of one address are one peer.
        let endpoint = filled(spec.peer_address.as_ref())
            .map(|text| parse_address(text).map_or_else(|| text.to_owned(), |address| address.to_string()))
            .unwrap_or_else(|| text(spec.interface.as_ref()));
        let vrf = text(spec.vrf.as_ref());
        Some(PeerTraits {
            spec,
            nodes,
            router_id: numbers.of("router id", &text(spec.router_id.as_ref())),
            identifier: numbers.of(&vrf, &endpoint),
            vrf: numbers.of("vrf", &vrf),
        })
    }

    /// At most the first broken rule: the others would only say again that the two do not go together.
    fn check_against(&self, earlier: &PeerTraits<'_>, subject: &Subject, findings: &mut Findings) {
        let same_router_id = self.router_id == earlier.router_id;
        let same_identifier = self.identifier == earlier.identifier;
        let same_asn = self.vrf != earlier.vrf || self.spec.my_asn == earlier.spec.my_asn;
        if (same_router_id && !same_identifier && same_asn) || !self.nodes.overlap(&earlier.nodes) {
            return;
        }
        let (field, error) = if !same_router_id {
            let id = |spec: &BGPPeerSpec| spec.router_id.clone().unwrap_or_default();
            ("spec.routerID", PeerPairError::RouterId { new: id(self.spec), earlier: id(earlier.spec) })
        } else if same_identifier {
            let field = if filled(self.spec.peer_address.as_ref()).is_some() {
                "spec.peerAddress"
            } else {
                "spec.interface"
            };
            (field, PeerPairError::Identifier(identifier(self.spec)))
        } else {
            let (new, earlier) = (identifier(self.spec), identifier(earlier.spec));
            ("spec.myASN", PeerPairError::MyAsn { new, earlier })
        };
        findings.refuse(subject, field, error);
    }
}

/// As messages name a peer: its address, or its interface, and the routing table it is in.
fn identifier(spec: &BGPPeerSpec) -> String {
    let endpoint = filled(spec.peer_address.as_ref()).or(filled(spec.interface.as_ref())).unwrap_or_default();
    match filled(spec.vrf.as_ref()) {
        Some(vrf) => format!("{endpoint}-{vrf}"),
        None => endpoint.to_owned(),
    }
}

/// The nodes that a peer selects, a bit each.
enum NodeSet {
    /// No nodes are known, so any two peers might meet.
    Unknown,
    Of(Vec<u64>),
}

impl NodeSet {
    fn of(spec: &BGPPeerSpec, nodes: &[Node], subject: &Subject, findings: &mut Findings) -> Option<NodeSet> {
        let mut selectors: Vec<Selector> = Vec::new();
        for (index, selector) in spec.node_selectors.iter().enumerate() {
            match compile(selector) {
                Ok(selector) => selectors.push(selector),
                Err(error) => {
                    let error = PeerPairError::Selector { error, selector: plain_selector(selector) };
                    findings.refuse(subject, format!("spec.nodeSelectors[{index}]"), error);
                    return None;
                }
            }
        }
        let is_selected = |labels: &Labels| plan::selector::any_matches(&selectors, labels);
        let mut bits = vec![0; nodes.len().div_ceil(64)];
        for (index, _) in nodes.iter().enumerate().filter(|(_, node)| is_selected(&node.labels)) {
            bits[index / 64] |= 1 << (index % 64);
        }
        Some(NodeSet::Of(bits))
    }

    fn overlap(&self, other: &NodeSet) -> bool {
        match (self, other) {
            (NodeSet::Of(ours), NodeSet::Of(theirs)) => ours.iter().zip(theirs).any(|(a, b)| a & b != 0),
            _ => true,
        }
    }
}

/// Gives equal texts of one kind equal numbers.
#[derive(Default)]
struct Numbers(HashMap<(String, String), usize>);

impl Numbers {
    fn of(&mut self, kind: &str, text: &str) -> usize {
        let next = self.0.len();
        *self.0.entry((kind.to_owned(), text.to_owned())).or_insert(next)
    }
}
