//! Anything that can be said, and to whom.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use protocol::bgp::Family;
use protocol::bgp::attribute::{NextHop, Origin, Outgoing};
use protocol::bgp::prefix::{Path, Prefix};
use protocol::bgp::update::Form;

/// That both of them read and write in the same way.
pub(crate) fn form() -> impl Strategy<Value = Form> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(is_external, has_four_octets, has_long_messages, has_paths)| {
            let families: BTreeSet<Family> = [Family::IPV4_UNICAST, Family::IPV6_UNICAST].into();
            let with_paths = if has_paths { families.clone() } else { BTreeSet::new() };
            Form {
                is_external,
                has_four_octets,
                has_long_messages,
                with_ipv6_next_hop: [Family::IPV4_UNICAST].into(),
                receives_paths: with_paths.clone(),
                sends_paths: with_paths,
                families,
            }
        },
    )
}

/// Of addresses of hosts: one of the decoders takes no others.
pub(crate) fn prefix(is_ipv4: bool) -> BoxedStrategy<Prefix> {
    let prefix = |(address, length): (IpAddr, u8)| Prefix::new(address, length).unwrap();
    if is_ipv4 {
        ((1..224u8, any::<[u8; 3]>()), 8..=32u8)
            .prop_map(|((first, [a, b, c]), length)| ([first, a, b, c].into(), length))
            .prop_map(prefix)
            .boxed()
    } else {
        ((0x20..0xfeu8, any::<[u8; 15]>()), 8..=128u8)
            .prop_map(|((first, rest), length)| {
                let mut octets = [first; 16];
                octets[1..].copy_from_slice(&rest);
                (IpAddr::from(octets), length)
            })
            .prop_map(prefix)
            .boxed()
    }
}

/// In ascending order.
pub(crate) fn paths(is_ipv4: bool, has_ids: bool) -> impl Strategy<Value = Vec<Path>> {
    let longest = if has_ids { 1..1200usize } else { 1..1500 };
    btree_set(prefix(is_ipv4), longest).prop_map(move |prefixes| {
        prefixes.into_iter().map(|prefix| Path { id: has_ids.then_some(1), prefix }).collect()
    })
}

fn next_hop(is_ipv4: bool) -> BoxedStrategy<NextHop> {
    let ipv6 = || {
        any::<[u8; 15]>().prop_map(|rest| {
            let mut octets = [0x20; 16];
            octets[1..].copy_from_slice(&rest);
            octets
        })
    };
    let link_local = any::<[u8; 8]>().prop_map(|rest| {
        let mut octets = [0; 16];
        octets[..2].copy_from_slice(&[0xfe, 0x80]);
        octets[8..].copy_from_slice(&rest);
        octets
    });
    let of_ipv6 = (ipv6(), of(link_local)).prop_map(|(global, link_local)| NextHop::V6 {
        global: global.into(),
        link_local: link_local.map(Into::into),
    });
    if is_ipv4 {
        prop_oneof![
            (1..224u8, any::<[u8; 3]>()).prop_map(|(first, [a, b, c])| NextHop::V4([first, a, b, c].into())),
            of_ipv6
        ]
        .boxed()
    } else {
        of_ipv6.boxed()
    }
}

/// Extended communities that say something: targets and origins of routes, and the bandwidth of a link.
fn extended() -> impl Strategy<Value = [u8; 8]> {
    let kinds = prop::sample::select(vec![[0u8, 2], [0, 3], [1, 2], [1, 3], [2, 2], [2, 3], [0x40, 4]]);
    (kinds, any::<[u8; 6]>())
        .prop_map(|([kind, of_kind], [a, b, c, d, e, f])| [kind, of_kind, a, b, c, d, e, f])
}

/// What can be said to this neighbour.
pub(crate) fn outgoing(is_ipv4: bool, is_external: bool) -> impl Strategy<Value = Outgoing> {
    let origins = prop::sample::select(vec![Origin::Igp, Origin::Egp, Origin::Incomplete]);
    let as_path = vec(prop_oneof![1..65536u32, 1..=u32::MAX], if is_external { 1..300usize } else { 0..3 });
    let numbers = (of(any::<u32>()), of(any::<u32>()), of(1..=u32::MAX));
    let communities =
        (btree_set(any::<u32>(), 0..70), btree_set(extended(), 0..5), btree_set(any::<[u32; 3]>(), 0..30));
    (origins, as_path, next_hop(is_ipv4), numbers, communities).prop_map(
        move |(origin, as_path, next_hop, (med, preference, customer), (communities, extended, large))| {
            Outgoing {
                origin,
                as_path,
                next_hop,
                med,
                local_preference: preference.filter(|_| !is_external),
                communities: communities.into_iter().collect(),
                extended_communities: extended.into_iter().collect(),
                large_communities: large.into_iter().collect(),
                only_to_customer: customer,
            }
        },
    )
}
