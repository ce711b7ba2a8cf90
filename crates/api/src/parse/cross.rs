//! What can only be judged when everything has been read.

use std::collections::BTreeSet;

use plan::Config;
use plan::config::{Peer, Pool};

use super::{Findings, Objects, Rule, Subject, Warning, filled, name_of};
use crate::metallb::BGPAdvertisement;

/// BFD echo works over IPv4 alone, so no IPv6 route may go to a peer that uses it.
pub(super) fn check(objects: &Objects, config: &Config, findings: &mut Findings) {
    let echoes = |peer: &&Peer| {
        let profile = peer.bfd_profile.as_ref().and_then(|name| config.bfd_profiles.get(name));
        profile.is_some_and(|profile| profile.echo_mode)
    };
    let echoing: Vec<&Peer> = config.peers.values().filter(echoes).collect();
    let has_v6 = |pool: &&Pool| pool.prefixes().any(|prefix| prefix.addr().is_ipv6());
    for pool in config.pools.values().filter(has_v6) {
        for advertisement in &pool.bgp_advertisements {
            let is_targeted =
                |peer: &&&Peer| advertisement.peers.is_empty() || advertisement.peers.contains(&peer.name);
            for peer in echoing.iter().filter(is_targeted) {
                let is_this = |it: &&BGPAdvertisement| name_of(&it.metadata) == advertisement.name;
                let Some(resource) = objects.bgp_advertisements.iter().find(is_this) else { continue };
                let subject = Subject::of("BGPAdvertisement", &resource.metadata);
                findings.refuse(
                    &subject,
                    "spec.peers",
                    Rule::EchoOverIpv6 {
                        pool: pool.name.clone(),
                        advertisement: advertisement.name.clone(),
                        peer: peer.name.clone(),
                    },
                );
            }
        }
    }
}

/// Resources that nothing uses and references that lead nowhere.
pub(super) fn remark(objects: &Objects, config: &Config, findings: &mut Findings) {
    remark_unadvertised_pools(objects, config, findings);
    remark_absent_peers(objects, findings);
    remark_unselected_peers(objects, config, findings);
    remark_unused_bfd_profiles(objects, findings);
}

fn remark_unadvertised_pools(objects: &Objects, config: &Config, findings: &mut Findings) {
    let is_advertisement = |kind: &str| matches!(kind, "L2Advertisement" | "BGPAdvertisement");
    if findings.problems.iter().any(|problem| is_advertisement(problem.subject.kind)) {
        // An advertisement that was refused may well have been meant for the pool.
        return;
    }
    for resource in &objects.pools {
        let unadvertised =
            |pool: &&Pool| pool.l2_advertisements.is_empty() && pool.bgp_advertisements.is_empty();
        if let Some(pool) = config.pools.get(name_of(&resource.metadata)).filter(unadvertised) {
            let subject = Subject::of("IPAddressPool", &resource.metadata);
            findings.remark(&subject, "metadata.name", Warning::PoolNotAdvertised(pool.name.clone()));
        }
    }
}

fn remark_absent_peers(objects: &Objects, findings: &mut Findings) {
    let known: BTreeSet<&str> = objects.peers.iter().map(|peer| name_of(&peer.metadata)).collect();
    for resource in &objects.bgp_advertisements {
        let subject = Subject::of("BGPAdvertisement", &resource.metadata);
        let wanted = &resource.spec.peers;
        for (index, name) in wanted.iter().enumerate().filter(|(_, name)| !known.contains(name.as_str())) {
            findings.remark(&subject, format!("spec.peers[{index}]"), Warning::UnknownPeer(name.clone()));
        }
        let has_peer = if wanted.is_empty() {
            !known.is_empty()
        } else {
            wanted.iter().any(|name| known.contains(name.as_str()))
        };
        if !has_peer {
            findings.remark(&subject, "spec.peers", Warning::NoPeer(subject.name.clone()));
        }
    }
}

fn remark_unselected_peers(objects: &Objects, config: &Config, findings: &mut Findings) {
    if objects.nodes.is_empty() {
        return;
    }
    for resource in &objects.peers {
        let selects_none = |peer: &&Peer| !objects.nodes.iter().any(|node| peer.selects(&node.labels));
        if config.peers.get(name_of(&resource.metadata)).filter(selects_none).is_some() {
            let subject = Subject::of("BGPPeer", &resource.metadata);
            findings.remark(&subject, "spec.nodeSelectors", Warning::PeerOnNoNode(subject.name.clone()));
        }
    }
}

fn remark_unused_bfd_profiles(objects: &Objects, findings: &mut Findings) {
    let used: BTreeSet<&str> =
        objects.peers.iter().filter_map(|peer| filled(peer.spec.bfd_profile.as_ref())).collect();
    for resource in &objects.bfd_profiles {
        if !used.contains(name_of(&resource.metadata)) {
            let subject = Subject::of("BFDProfile", &resource.metadata);
            findings.remark(&subject, "metadata.name", Warning::UnusedBfdProfile(subject.name.clone()));
        }
    }
}
