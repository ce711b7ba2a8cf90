//! One route of one peer, made of everything that is to be said of a prefix.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use protocol::bgp::AS_TRANS;
use protocol::bgp::capability::Family;
use protocol::bgp::prefix::Prefix;
use protocol::bgp::route::{Policy, Routes};

use super::contributions::{Group, OfPrefix};
use crate::config::Peer;
use crate::snapshot::{IpFamily, ServiceKey};

/// Merged policies that nobody uses any more are kept up to here.
const IDLE_POLICIES: usize = 1024;
/// The extended community for link bandwidth, of two octets of AS number and transitive: external peers are to hear it.
const LINK_BANDWIDTH: [u8; 2] = [0x00, 0x04];
const BYTES_PER_MEGABIT: f32 = 125_000.0;

/// A peer, as far as it decides what it is told; and what it was told.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    pub(super) hears_v4: bool,
    pub(super) hears_v6: bool,
    pub(super) asn: u32,
    /// With the moment of it, as contributions count them. Nothing yet: `None`.
    pub(super) told: Option<(Arc<Routes>, u64)>,
}

impl Listener {
    pub(super) fn of(peer: &Peer) -> Listener {
        Listener {
            hears_v4: peer.speaks(IpFamily::V4),
            hears_v6: peer.speaks(IpFamily::V6),
            asn: peer.local_asn.unwrap_or(peer.my_asn),
            told: None,
        }
    }

    /// The same after its settings have changed.
    pub(super) fn for_peer(self, peer: &Peer) -> Listener {
        let other = Listener::of(peer);
        let is_same = (self.hears_v4, self.hears_v6, self.asn) == (other.hears_v4, other.hears_v6, other.asn);
        if is_same { self } else { other }
    }

    pub(super) fn hears(&self, prefix: Prefix) -> bool {
        if prefix.family() == Family::IPV4_UNICAST { self.hears_v4 } else { self.hears_v6 }
    }

    pub(super) fn heard(&mut self, routes: Arc<Routes>, at: u64) {
        self.told = Some((routes, at));
    }
}

/// Policies that were made of several, each kept once.
#[derive(Debug, Default)]
pub(super) struct Policies {
    known: HashSet<Arc<Policy>>,
    /// How many there may be before the idle ones are dropped.
    bound: usize,
}

impl Policies {
    fn shared(&mut self, policy: Policy) -> Arc<Policy> {
        if let Some(known) = self.known.get(&policy) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.bound.max(IDLE_POLICIES) {
            self.known.retain(|it| Arc::strong_count(it) > 1);
            self.bound = 2 * self.known.len();
        }
        let policy = Arc::new(policy);
        self.known.insert(Arc::clone(&policy));
        policy
    }

    /// What a peer is told of a prefix, if it is told of it. `is_live`: whether a Service counts.
    pub(super) fn of_route(
        &mut self,
        of_prefix: &OfPrefix,
        name: &str,
        asn: u32,
        is_live: &dyn Fn(&ServiceKey) -> bool,
    ) -> Option<Arc<Policy>> {
        let for_peer = || of_prefix.live_groups(is_live).filter(|group| group.peers.contains(name));
        let mut groups = for_peer();
        let first = groups.next()?;
        let mut merged: Option<Policy> = None;
        for group in groups.filter(|group| group.policy != first.policy) {
            let merged = merged.get_or_insert_with(|| Policy::clone(&first.policy));
            merge(merged, &group.policy);
        }
        if let Some(mbps) = bandwidth_mbps(for_peer(), is_live) {
            let merged = merged.get_or_insert_with(|| Policy::clone(&first.policy));
            merged.extended_communities.push(link_bandwidth(asn, mbps));
        }
        Some(merged.map_or_else(|| Arc::clone(&first.policy), |policy| self.shared(policy)))
    }
}

/// What must not differ does not: Services that contradict each other do not count. So of two values, one or the other.
fn merge(into: &mut Policy, other: &Policy) {
    union(&mut into.communities, &other.communities);
    union(&mut into.large_communities, &other.large_communities);
    union(&mut into.extended_communities, &other.extended_communities);
    into.local_preference = into.local_preference.max(other.local_preference);
    into.med = lower(into.med, other.med);
    let prepended = |it: &Policy| Some(it.prepended).filter(|&times| times > 0);
    into.prepended = lower(prepended(into), prepended(other)).unwrap_or(0);
    into.next_hop = lower(into.next_hop, other.next_hop);
    into.next_hop_v6 = lower(into.next_hop_v6, other.next_hop_v6);
}

fn union<T: Ord + Copy>(into: &mut Vec<T>, others: &[T]) {
    into.extend_from_slice(others);
    into.sort_unstable();
    into.dedup();
}

fn lower<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Of each Service the greatest, and all of them together. `None` if it is not to be told.
fn bandwidth_mbps<'a>(
    groups: impl Iterator<Item = &'a Group>,
    is_live: &dyn Fn(&ServiceKey) -> bool,
) -> Option<u64> {
    let mut of_services: BTreeMap<&ServiceKey, u64> = BTreeMap::new();
    for group in groups.filter(|group| group.tells_bandwidth) {
        for (service, mbps) in group.services().filter(|(service, _)| is_live(service)) {
            let greatest = of_services.entry(service).or_default();
            *greatest = (*greatest).max(mbps);
        }
    }
    (!of_services.is_empty()).then(|| of_services.values().fold(0_u64, |sum, mbps| sum.saturating_add(*mbps)))
}

/// Bytes a second as a floating-point number, with our AS number in front.
fn link_bandwidth(asn: u32, mbps: u64) -> [u8; 8] {
    let asn = u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes();
    let bandwidth = (mbps as f32 * BYTES_PER_MEGABIT).to_be_bytes();
    let mut community = [0; 8];
    community[..2].copy_from_slice(&LINK_BANDWIDTH);
    community[2..4].copy_from_slice(&asn);
    community[4..].copy_from_slice(&bandwidth);
    community
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_is_bytes_as_a_number_of_32_bits() {
        // 100 Mbit/s are 12,500,000 bytes a second: 0x4b3ebc20.
        assert_eq!(link_bandwidth(65001, 100), [0, 4, 0xfd, 0xe9, 0x4b, 0x3e, 0xbc, 0x20]);
        assert_eq!(link_bandwidth(4_200_000_000, 100)[..4], [0, 4, 0x5b, 0xa0]);
    }

    #[test]
    fn of_two_values_the_better_one_counts() {
        let a = Policy { med: Some(7), communities: vec![1, 3], prepended: 2, ..Policy::default() };
        let b = Policy {
            med: Some(5),
            communities: vec![2, 3],
            local_preference: Some(100),
            prepended: 3,
            next_hop: Some([192, 0, 2, 1].into()),
            ..Policy::default()
        };
        let expected = Policy { communities: vec![1, 2, 3], prepended: 2, ..b.clone() };
        for (mut one, other) in [(a.clone(), &b), (b.clone(), &a)] {
            merge(&mut one, other);
            assert_eq!(one, expected);
        }
        let mut with_nothing = a.clone();
        merge(&mut with_nothing, &Policy::default());
        assert_eq!(with_nothing, a);
    }

    #[test]
    fn policies_that_nobody_uses_are_dropped() {
        let mut policies = Policies::default();
        let of = |med| Policy { med: Some(med), ..Policy::default() };
        let kept: Vec<_> = (0..10).map(|med| policies.shared(of(med))).collect();
        for med in 10..10 * IDLE_POLICIES as u32 {
            policies.shared(of(med));
        }
        assert!(policies.known.len() <= IDLE_POLICIES, "{}", policies.known.len());
        assert!(kept.iter().all(|it| Arc::ptr_eq(it, &policies.shared(Policy::clone(it)))));
    }
}
