//! Which Services cannot both have their way with a prefix that is theirs together.
//!
//! Looks at one prefix alone, and at what is wanted of it whatever becomes of it: so the answer depends on no order, and a
//! Service that is refused makes no other one refused.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use protocol::bgp::capability::Family;
use protocol::bgp::prefix::Prefix;
use protocol::bgp::route::Policy;

use super::contributions::{Group, OfPrefix};
use crate::announce::bgp::{COMMUNITIES_MAX, Difference, Peers, Refusal, most_communities};
use crate::snapshot::ServiceKey;

pub(super) type Refused = BTreeMap<ServiceKey, Refusal>;

/// Nothing for nearly every prefix.
pub(super) fn refused(prefix: Prefix, of_prefix: &OfPrefix) -> Refused {
    let groups = &of_prefix.groups;
    let mut refused = Refused::new();
    if groups.len() < 2 {
        return refused;
    }
    for (index, a) in groups.iter().enumerate() {
        for b in &groups[index + 1..] {
            if let Some(difference) = difference(prefix, &a.policy, &b.policy)
                && a.peers.overlap(&b.peers)
            {
                let turned = match difference.clone() {
                    Difference::LocalPreference(ours, theirs) => Difference::LocalPreference(theirs, ours),
                    same @ Difference::NextHop => same,
                };
                contradict(prefix, a, b, &difference, &mut refused);
                contradict(prefix, b, a, &turned, &mut refused);
            }
        }
    }
    refuse_superfluous_communities(prefix, groups, &mut refused);
    refused
}

/// Each Service of `ours` contradicts the first other one of `theirs`.
fn contradict(prefix: Prefix, ours: &Group, theirs: &Group, difference: &Difference, refused: &mut Refused) {
    let first_two = {
        let mut names: Vec<&ServiceKey> = theirs.services().map(|(service, _)| service).collect();
        names.sort_unstable();
        names.truncate(2);
        names
    };
    for (service, _) in ours.services() {
        let Some(&other) = first_two.iter().find(|&&other| other != service) else { continue };
        refused.entry(service.clone()).or_insert_with(|| Refusal::ConflictOfServices {
            prefix,
            other: other.clone(),
            ours: ours.advertisement.clone(),
            theirs: theirs.advertisement.clone(),
            difference: difference.clone(),
        });
    }
}

fn difference(prefix: Prefix, a: &Policy, b: &Policy) -> Option<Difference> {
    if let (Some(ours), Some(theirs)) = (a.local_preference, b.local_preference)
        && ours != theirs
    {
        return Some(Difference::LocalPreference(ours, theirs));
    }
    let next_hop = |it: &Policy| match prefix.family() {
        Family::IPV4_UNICAST => it.next_hop.map(IpAddr::V4),
        _ => it.next_hop_v6.map(IpAddr::V6),
    };
    let (ours, theirs) = (next_hop(a), next_hop(b));
    (ours.is_some() && theirs.is_some() && ours != theirs).then_some(Difference::NextHop)
}

/// Services are let in by name for as long as their communities fit.
fn refuse_superfluous_communities(prefix: Prefix, groups: &[Group], refused: &mut Refused) {
    let count_of = |positions: &BTreeSet<usize>| {
        let said: Vec<(&Peers, &Policy)> =
            positions.iter().map(|&at| (&groups[at].peers, &*groups[at].policy)).collect();
        most_communities(&said)
    };
    if count_of(&(0..groups.len()).collect()) <= COMMUNITIES_MAX {
        return;
    }
    let mut of_services: BTreeMap<&ServiceKey, BTreeSet<usize>> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        for (service, _) in group.services().filter(|(service, _)| !refused.contains_key(*service)) {
            of_services.entry(service).or_default().insert(at);
        }
    }
    let mut let_in = BTreeSet::new();
    for (service, wanted) in of_services {
        if wanted.is_subset(&let_in) {
            continue;
        }
        let with_it: BTreeSet<usize> = let_in.union(&wanted).copied().collect();
        let count = count_of(&with_it);
        if count <= COMMUNITIES_MAX {
            let_in = with_it;
        } else {
            refused.insert(service.clone(), Refusal::TooManyCommunities { prefix, count });
        }
    }
}
