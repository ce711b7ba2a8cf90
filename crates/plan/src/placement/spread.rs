//! Addresses of which no node is to have many more than others: hashing as ever, with a bound on what a node takes
//! (rendezvous hashing with bounded loads).
//!
//! Each address asks the nodes in its own order, and a node that has too many lets go of the one that it comes last for. The
//! outcome does not depend on who asks first (Gale and Shapley's deferred acceptance), so every speaker comes to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::announce::{Leaders, Name};
use crate::elect::lot;

/// Addresses times nodes of one group, up to which it is worked out who takes over from whom in advance. Beyond that the
/// heirs are those of the hash, and the bound is kept again right after.
const FORESEEN: usize = 50_000;

/// An address that is balanced, together with all of the same pool that could be at the same nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spreadable {
    pub pool: Name,
    /// Those that could answer, and that no other one is preferred to; by name.
    pub nodes: Vec<Name>,
}

/// How many addresses a node has at most: five quarters of the mean, rounded up.
pub fn bound(addresses: usize, nodes: usize) -> usize {
    (5 * addresses).div_ceil(4 * nodes.max(1))
}

/// The owner of each address, and who takes over from it. `leaders` come before the hash, as long as the bound is kept.
pub(super) fn spread(
    addresses: &BTreeMap<IpAddr, Spreadable>,
    leaders: &Leaders,
) -> BTreeMap<IpAddr, Vec<Name>> {
    let mut groups: BTreeMap<(&Name, &[Name]), Vec<IpAddr>> = BTreeMap::new();
    for (address, Spreadable { pool, nodes }) in addresses {
        groups.entry((pool, nodes)).or_default().push(*address);
    }
    let mut owners = BTreeMap::new();
    for ((_, nodes), addresses) in groups {
        Group::new(nodes, &addresses, leaders).settle(&mut owners);
    }
    owners
}

struct Group<'a> {
    nodes: &'a [Name],
    addresses: &'a [IpAddr],
    /// Of each address, what each node is for it: less is better.
    places: Vec<Vec<Place>>,
    /// Of each address, the nodes in its order.
    orders: Vec<Vec<usize>>,
}

/// How many leaders come before it, and its lot.
type Place = (usize, u64);

impl<'a> Group<'a> {
    fn new(nodes: &'a [Name], addresses: &'a [IpAddr], leaders: &Leaders) -> Group<'a> {
        let places_of = |address: &IpAddr| -> Vec<Place> {
            let first = leaders.get(address).map(Vec::as_slice).unwrap_or_default();
            let lead = |node: &Name| first.iter().position(|it| it == node).unwrap_or(usize::MAX);
            nodes.iter().zip(lot(*address, nodes)).map(|(node, lot)| (lead(node), lot)).collect()
        };
        let places: Vec<Vec<Place>> = addresses.iter().map(places_of).collect();
        let order_of = |places: &Vec<Place>| {
            let mut order: Vec<usize> = (0..nodes.len()).collect();
            order.sort_by_key(|&node| (places[node], node));
            order
        };
        let orders = places.iter().map(order_of).collect();
        Group { nodes, addresses, places, orders }
    }

    fn settle(&self, owners: &mut BTreeMap<IpAddr, Vec<Name>>) {
        let of_all = self.assign(None);
        let mut first: Vec<Vec<usize>> = of_all.iter().map(|owner| owner.iter().copied().collect()).collect();
        if self.addresses.len() * self.nodes.len() <= FORESEEN {
            for gone in 0..self.nodes.len() {
                let without = self.assign(Some(gone));
                for at in (0..of_all.len()).filter(|&at| of_all[at] == Some(gone)) {
                    first[at].extend(without[at]);
                }
            }
        }
        for (address, first) in self.addresses.iter().zip(first) {
            let names: Vec<Name> = first.into_iter().map(|node| self.nodes[node].clone()).collect();
            if !names.is_empty() {
                owners.insert(*address, names);
            }
        }
    }

    /// The node of each address, if one of them is not there.
    fn assign(&self, gone: Option<usize>) -> Vec<Option<usize>> {
        let present = self.nodes.len() - usize::from(gone.is_some());
        let bound = bound(self.addresses.len(), present);
        let mut held: Vec<BTreeSet<(Place, usize)>> = vec![BTreeSet::new(); self.nodes.len()];
        let mut asked = vec![0; self.addresses.len()];
        let mut asking: Vec<usize> = (0..self.addresses.len()).rev().collect();
        while let Some(at) = asking.pop() {
            let Some(&node) = self.orders[at].get(asked[at]) else { continue };
            asked[at] += 1;
            if gone == Some(node) {
                asking.push(at);
                continue;
            }
            held[node].insert((self.places[at][node], at));
            if held[node].len() > bound {
                asking.extend(held[node].pop_last().map(|(_, let_go)| let_go));
            }
        }
        let mut owners = vec![None; self.addresses.len()];
        for (node, held) in held.iter().enumerate() {
            for (_, at) in held {
                owners[*at] = Some(node);
            }
        }
        owners
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(addresses: u32, nodes: usize) -> BTreeMap<IpAddr, Spreadable> {
        let nodes: Vec<Name> = (0..nodes).map(|node| format!("node-{node:02}").into()).collect();
        let address = |at: u32| IpAddr::V4((0x0a00_0000 + at).into());
        (0..addresses)
            .map(|at| (address(at), Spreadable { pool: "p".into(), nodes: nodes.clone() }))
            .collect()
    }

    fn without(addresses: &BTreeMap<IpAddr, Spreadable>, gone: &Name) -> BTreeMap<IpAddr, Spreadable> {
        let mut left = addresses.clone();
        left.values_mut().for_each(|it| it.nodes.retain(|node| node != gone));
        left
    }

    fn loads(owners: &BTreeMap<IpAddr, Vec<Name>>) -> BTreeMap<&Name, usize> {
        let mut loads = BTreeMap::new();
        owners.values().for_each(|first| *loads.entry(&first[0]).or_default() += 1);
        loads
    }

    #[test]
    fn the_bound_is_five_quarters_of_the_mean_rounded_up() {
        for (addresses, nodes, expected) in
            [(0, 3, 0), (1, 3, 1), (3, 3, 2), (4, 1, 5), (100, 10, 13), (8, 2, 5)]
        {
            assert_eq!(bound(addresses, nodes), expected, "{addresses} {nodes}");
        }
    }

    #[test]
    fn groups_are_balanced_by_themselves() {
        let mut addresses = group(40, 4);
        for (at, spreadable) in addresses.values_mut().enumerate() {
            if at % 2 == 0 {
                spreadable.pool = "q".into();
            }
        }
        let owners = spread(&addresses, &Leaders::new());
        for pool in ["p", "q"] {
            let of_pool = owners.iter().filter(|(address, _)| *addresses[*address].pool == *pool);
            let of_pool = of_pool.map(|(address, first)| (*address, first.clone())).collect();
            assert!(loads(&of_pool).values().all(|&load| load <= bound(20, 4)), "{pool}");
        }
    }

    proptest! {
        #[test]
        fn no_node_has_more_than_its_bound_and_every_address_has_one(
            count in 1..200_u32, nodes in 1..12_usize, led in proptest::collection::vec((0..200_u32, 0..12_usize), 0..40)
        ) {
            let addresses = group(count, nodes);
            let all: Vec<IpAddr> = addresses.keys().copied().collect();
            let leaders: Leaders = led.into_iter()
                .map(|(at, node)| (all[at as usize % all.len()], vec![format!("node-{node:02}").into()]))
                .collect();
            let owners = spread(&addresses, &leaders);
            prop_assert_eq!(owners.len(), all.len());
            let bound = bound(all.len(), nodes);
            prop_assert!(loads(&owners).values().all(|&load| load <= bound));
            // Who leads has it, unless the bound is reached by others who lead.
            for (address, led) in &leaders {
                let is_there = addresses[address].nodes.contains(&led[0]);
                if is_there && owners[address][0] != led[0] {
                    prop_assert_eq!(loads(&owners)[&led[0]], bound);
                }
            }
        }

        /// What is prepared for a failure is what comes of it.
        #[test]
        fn heirs_are_those_who_would_have_it(count in 1..120_u32, nodes in 2..8_usize) {
            let addresses = group(count, nodes);
            let before = spread(&addresses, &Leaders::new());
            for gone in &addresses.values().next().unwrap().nodes {
                let after = spread(&without(&addresses, gone), &Leaders::new());
                for (address, first) in before.iter().filter(|(_, first)| first[0] == *gone) {
                    prop_assert_eq!(&first[1], &after[address][0]);
                }
            }
        }
    }

    /// Few of those move that need not: only what fits again where it belongs.
    #[test]
    fn little_moves_with_a_node() {
        let addresses = group(400, 10);
        let before = spread(&addresses, &Leaders::new());
        let gone: Name = "node-03".into();
        let after = spread(&without(&addresses, &gone), &Leaders::new());
        let moved =
            before.iter().filter(|(address, first)| first[0] != gone && first[0] != after[*address][0]);
        assert!(moved.count() < 40);
    }
}
