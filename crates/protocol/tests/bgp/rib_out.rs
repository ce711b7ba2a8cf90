//! Whatever is wanted, in whatever order and however slowly it is read, the neighbour ends up knowing it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use protocol::bgp::attribute::{NextHop, Outgoing};
use protocol::bgp::capability::Role;
use protocol::bgp::prefix::Prefix;
use protocol::bgp::rib_out::{HeldBack, NextHops, Speaking};
use protocol::bgp::route::{Policy, Routes};
use protocol::bgp::update::Form;
use protocol::bgp::{Family, RibOut};

use crate::generate;
use crate::neighbour::{Neighbour, plain};
use crate::said::ours;

const FAMILIES: [Family; 2] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
const PREFIXES: u8 = 12;
const POLICIES: usize = 6;

#[derive(Debug, Clone)]
enum Step {
    /// Which prefixes with which policies.
    Want(BTreeMap<u8, usize>),
    NextHops(NextHops),
    Refresh(Family),
    Poll(usize),
}

fn prefix(number: u8) -> Prefix {
    if number.is_multiple_of(2) {
        Prefix::new([203, 0, 113, number].into(), 32).unwrap()
    } else {
        Prefix::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()).into(), 128).unwrap()
    }
}

/// One is in every way but where it lies the same as another, and one has too much to say.
fn policies() -> Vec<Arc<Policy>> {
    let plain = Policy::default();
    let with_med = Policy { med: Some(7), local_preference: Some(200), ..plain.clone() };
    let elsewhere = Policy {
        next_hop: Some(Ipv4Addr::new(192, 0, 2, 99)),
        next_hop_v6: Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 99)),
        ..plain.clone()
    };
    let rich = Policy {
        prepended: 2,
        communities: vec![0xffff_0000],
        large_communities: vec![[64512, 1, 2]],
        extended_communities: vec![[0x40, 4, 0xfc, 0, 0x4b, 0x3e, 0xbc, 0x20]],
        ..plain.clone()
    };
    let too_long = Policy { communities: (0..1010).collect(), ..plain.clone() };
    let all = [plain.clone(), plain, with_med, elsewhere, rich, too_long];
    assert_eq!(all.len(), POLICIES);
    all.map(Arc::new).into()
}

fn next_hops() -> impl Strategy<Value = NextHops> {
    let of_ipv6 =
        |last| NextHop::V6 { global: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last), link_local: None };
    let ipv4 = vec![
        None,
        Some(NextHop::V4(Ipv4Addr::new(192, 0, 2, 1))),
        Some(NextHop::V4(Ipv4Addr::new(192, 0, 2, 2))),
        Some(of_ipv6(1)),
    ];
    let ipv6 = vec![None, Some(of_ipv6(1)), Some(of_ipv6(2))];
    let select = prop::sample::select;
    (select(ipv4), select(ipv6)).prop_map(|(ipv4, ipv6)| NextHops { ipv4, ipv6 })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::btree_map(0..PREFIXES, 0..POLICIES, 0..10).prop_map(Step::Want),
        1 => next_hops().prop_map(Step::NextHops),
        1 => prop::sample::select(FAMILIES.to_vec()).prop_map(Step::Refresh),
        4 => (0..6usize).prop_map(Step::Poll),
    ]
}

fn speaking() -> impl Strategy<Value = Speaking> {
    let families = prop::sample::subsequence(FAMILIES.to_vec(), 0..=2);
    let roles = prop::option::of(prop::sample::select(vec![
        Role::Provider,
        Role::Customer,
        Role::Peer,
        Role::RouteServer,
    ]));
    (generate::form(), families, any::<bool>(), roles, next_hops(), any::<bool>()).prop_map(
        |(form, families, takes_ipv6, role, next_hops, has_enhanced_refresh)| {
            let families: BTreeSet<Family> = families.into_iter().collect();
            let with_ipv6_next_hop = if takes_ipv6 { [Family::IPV4_UNICAST].into() } else { BTreeSet::new() };
            let form = Form { families, with_ipv6_next_hop, ..form };
            Speaking { form, local_as: 4_200_000_001, next_hops, role, has_enhanced_refresh }
        },
    )
}

/// What is to be said, as the RFCs have it and in other words than the code's.
fn expected(speaking: &Speaking, prefix: Prefix, policy: &Policy) -> Result<Outgoing, HeldBack> {
    let form = &speaking.form;
    let is_ipv4 = prefix.family() == Family::IPV4_UNICAST;
    if !form.families.contains(&prefix.family()) {
        return Err(HeldBack::FamilyNotAgreed);
    }
    let next_hop = if is_ipv4 {
        match (policy.next_hop, speaking.next_hops.ipv4) {
            (Some(address), _) => Some(NextHop::V4(address)),
            (None, Some(NextHop::V6 { .. })) if form.with_ipv6_next_hop.is_empty() => None,
            (None, of_session) => of_session,
        }
    } else {
        let of_policy = policy.next_hop_v6.map(|global| NextHop::V6 { global, link_local: None });
        of_policy.or(speaking.next_hops.ipv6)
    };
    let next_hop = next_hop.ok_or(HeldBack::NoNextHop)?;
    if policy.communities.len() > 1000 && !form.has_long_messages {
        return Err(HeldBack::TooLong);
    }
    let goes_down = matches!(speaking.role, Some(Role::Provider | Role::Peer | Role::RouteServer));
    let mut said = plain(next_hop);
    said.med = policy.med;
    said.communities.clone_from(&policy.communities);
    said.large_communities.clone_from(&policy.large_communities);
    said.extended_communities.clone_from(&policy.extended_communities);
    if form.is_external {
        said.as_path = vec![speaking.local_as; 1 + usize::from(policy.prepended)];
        said.only_to_customer = goes_down.then_some(speaking.local_as);
    } else {
        said.local_preference = Some(policy.local_preference.unwrap_or(100));
    }
    Ok(said)
}

fn check_told(rib: &RibOut, neighbour: &Neighbour) {
    let told: BTreeMap<Prefix, Outgoing> = rib.told().map(|(prefix, it)| (prefix, (*it).clone())).collect();
    assert_eq!(told, neighbour.knows);
    for number in 0..PREFIXES {
        let outgoing = rib.outgoing(prefix(number)).map(|it| (*it).clone());
        assert_eq!(outgoing.as_ref(), neighbour.knows.get(&prefix(number)));
    }
    for family in FAMILIES {
        let count = neighbour.knows.keys().filter(|prefix| prefix.family() == family).count();
        assert_eq!(rib.told_count(family), count);
    }
}

fn check_end(rib: &RibOut, speaking: &Speaking, wanted: Option<&Routes>, neighbour: &Neighbour) {
    assert!(rib.is_idle());
    let agreed = wanted.map(|_| speaking.form.families.clone()).unwrap_or_default();
    assert_eq!(neighbour.ended, agreed);
    let mut knows = BTreeMap::new();
    let mut held_back = BTreeMap::new();
    for (prefix, policy) in wanted.into_iter().flat_map(Routes::iter) {
        match expected(speaking, *prefix, policy) {
            Ok(said) => {
                knows.insert(*prefix, said);
            }
            Err(why) => *held_back.entry((prefix.family(), why)).or_insert(0) += 1,
        }
    }
    assert_eq!(neighbour.knows, knows);
    let found: BTreeMap<_, _> = rib.held_back().map(|(family, why, count)| ((family, why), count)).collect();
    assert_eq!(found, held_back);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_neighbour_ends_up_with_what_is_wanted(speaking in speaking(), steps in vec(step(), 0..20)) {
        let policies = policies();
        let mut speaking = speaking;
        let mut rib = RibOut::new(speaking.clone());
        let mut wanted: Option<Arc<Routes>> = None;
        let mut neighbour = Neighbour::default();
        let all = [steps, vec![Step::Poll(usize::MAX)]].concat();
        for step in all {
            match step {
                Step::Want(routes) => {
                    let routes = routes.into_iter().map(|(number, policy)| (prefix(number), Arc::clone(&policies[policy])));
                    let routes = Arc::new(Routes::new(routes.collect()));
                    rib.want(Arc::clone(&routes));
                    wanted = Some(routes);
                    neighbour.has_announced = false;
                }
                Step::NextHops(next_hops) => {
                    rib.set_next_hops(next_hops);
                    speaking.next_hops = next_hops;
                    neighbour.has_announced = false;
                }
                Step::Refresh(family) => {
                    rib.refresh(family);
                    neighbour.may_hear_twice |= !speaking.has_enhanced_refresh;
                }
                Step::Poll(count) => {
                    for _ in 0..count {
                        let is_idle = rib.is_idle();
                        let message = rib.poll();
                        prop_assert!(!is_idle || message.is_none());
                        let Some(message) = message else { break };
                        neighbour.hear(&message, &speaking.form);
                        check_told(&rib, &neighbour);
                    }
                }
            }
            check_told(&rib, &neighbour);
        }
        check_end(&rib, &speaking, wanted.as_deref(), &neighbour);
    }

    #[test]
    fn there_are_as_few_messages_as_can_be(speaking in speaking(), routes in vec((generate::prefix(true), 0..POLICIES), 0..3000)) {
        let policies = policies();
        let routes = routes.into_iter().map(|(prefix, policy)| (prefix, Arc::clone(&policies[policy])));
        let mut rib = RibOut::new(speaking.clone());
        rib.want(Arc::new(Routes::new(routes.collect())));
        for _ in 0..2 {
            let mut last: BTreeMap<Option<Outgoing>, usize> = BTreeMap::new();
            while let Some(bytes) = rib.poll() {
                let said = ours(&bytes, &speaking.form);
                if said.end_of.is_some() {
                    continue;
                }
                // Another message of its kind only if into the last one not even the longest prefix would have fitted.
                let kind = said.announced.map(|(outgoing, _)| outgoing);
                let least = speaking.form.longest() - (4 + 1 + 4);
                let earlier = last.insert(kind, bytes.len());
                prop_assert!(earlier.is_none_or(|length| length > least), "{:?}", earlier);
            }
            rib.want(Arc::default());
        }
        prop_assert_eq!(rib.told_count(Family::IPV4_UNICAST), 0);
    }
}
