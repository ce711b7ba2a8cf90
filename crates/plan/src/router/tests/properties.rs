//! What holds whatever changes, in whatever order.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;

const PREFIXES: [&str; 6] =
    ["10.0.0.0/24", "10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32", "fd00::1/128", "fd00::/120"];
const PEERS: [(&str, &str); 4] =
    [("p", "192.0.2.1"), ("q", "192.0.2.2"), ("r", "2001:db8::1"), ("dual", "192.0.2.4")];

#[derive(Debug, Clone)]
enum Change {
    Set(usize, Vec<Advertised>),
    Remove(usize),
    Peers(BTreeSet<usize>),
    /// Somebody asks, so that something is remembered of this moment.
    Ask(usize),
}

fn advertised() -> impl Strategy<Value = Advertised> {
    let peers = btree_set(proptest::sample::select(vec!["p", "q", "gone"]), 0..3);
    let policy = (
        proptest::option::weighted(0.2, 1..3_u32),
        vec(0..30_u32, 0..3),
        any::<bool>(),
        proptest::option::weighted(0.2, 1..4_u32),
        proptest::option::weighted(0.1, 1..3_u8),
    )
        .prop_map(|(local_preference, mut communities, has_many, med, next_hop)| {
            if has_many {
                communities.extend(communities.clone().iter().flat_map(|it| 100 * it + 100..100 * it + 120));
            }
            communities.sort_unstable();
            communities.dedup();
            let next_hop = next_hop.map(|last| [192, 0, 2, last].into());
            Policy { local_preference, communities, med, next_hop, ..Policy::default() }
        });
    let bandwidth_mbps = proptest::option::weighted(0.2, 1..3_u64);
    (proptest::sample::select(&PREFIXES[..]), peers, policy, bandwidth_mbps).prop_map(
        |(prefix, peers, policy, bandwidth_mbps)| {
            let peers: Vec<&str> = peers.into_iter().collect();
            Advertised { policy: Arc::new(policy), bandwidth_mbps, ..route(prefix, &peers) }
        },
    )
}

/// As it would come of one Service on one node: nothing twice.
fn of_service() -> impl Strategy<Value = Vec<Advertised>> {
    vec(advertised(), 0..4).prop_map(|mut all| {
        all.sort_by(|a, b| (a.prefix, &a.peers, &a.policy).cmp(&(b.prefix, &b.peers, &b.policy)));
        all.dedup_by(|a, b| (a.prefix, &a.peers, &a.policy) == (b.prefix, &b.peers, &b.policy));
        all
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (0..6_usize, of_service()).prop_map(|(service, all)| Change::Set(service, all)),
        2 => (0..6_usize).prop_map(Change::Remove),
        1 => btree_set(0..PEERS.len(), 0..=PEERS.len()).prop_map(Change::Peers),
        3 => (0..PEERS.len()).prop_map(Change::Ask),
    ]
}

fn peers_of(chosen: &BTreeSet<usize>) -> BTreeMap<String, Peer> {
    let peers: Vec<Peer> = chosen
        .iter()
        .map(|&at| Peer { dual_stack: PEERS[at].0 == "dual", ..peer(PEERS[at].0, PEERS[at].1) })
        .collect();
    by_name(&peers)
}

fn service_key(number: usize) -> ServiceKey {
    key(&format!("service-{number}"))
}

proptest! {
    #[test]
    fn what_changed_bit_by_bit_is_as_if_made_at_once(changes in vec(change(), 1..40)) {
        let mut routing = Routing::default();
        let mut chosen = BTreeSet::from([0, 1]);
        routing.set_peers(&peers_of(&chosen), &Labels::default());
        let mut wanted: BTreeMap<usize, Vec<Advertised>> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Set(service, all) => {
                    routing.set(&service_key(service), &all.clone().into());
                    wanted.insert(service, all);
                }
                Change::Remove(service) => {
                    routing.remove(&service_key(service));
                    wanted.remove(&service);
                }
                Change::Peers(peers) => {
                    chosen = peers;
                    routing.set_peers(&peers_of(&chosen), &Labels::default());
                }
                Change::Ask(peer) => drop(routing.routes(PEERS[peer].0)),
            }
        }
        let mut anew = Routing::default();
        for (service, all) in wanted.iter().rev() {
            anew.set(&service_key(*service), &all.clone().into());
        }
        anew.set_peers(&peers_of(&chosen), &Labels::default());
        prop_assert_eq!(routing.config(), anew.config());
        for service in 0..6 {
            let key = service_key(service);
            prop_assert_eq!(routing.refusal(&key), anew.refusal(&key));
            prop_assert_eq!(routing.peers_of(&key), anew.peers_of(&key));
        }
        as_told_in_words(&mut routing, &wanted, &chosen)?;
    }

    /// Who asks only about Services that are said to be affected misses nothing.
    #[test]
    fn whoever_is_not_affected_is_told_of_as_before(changes in vec(change(), 1..30)) {
        let mut routing = Routing::default();
        routing.set_peers(&peers_of(&BTreeSet::from([0, 1, 2, 3])), &Labels::default());
        let mut known: BTreeMap<usize, (Option<Refusal>, Vec<Name>)> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Set(service, all) => routing.set(&service_key(service), &all.into()),
                Change::Remove(service) => routing.remove(&service_key(service)),
                Change::Peers(peers) => drop(routing.set_peers(&peers_of(&peers), &Labels::default())),
                Change::Ask(peer) => drop(routing.routes(PEERS[peer].0)),
            }
            let affected = routing.take_affected();
            for service in 0..6 {
                let key = service_key(service);
                let now = (routing.refusal(&key), routing.peers_of(&key));
                let before = known.insert(service, now.clone()).unwrap_or_default();
                prop_assert!(before == now || affected.contains(&key), "{}: {:?}, {:?}", key, before, now);
            }
        }
    }
}

/// Each peer is told the prefixes of its families that any Service has which is not refused, with all their communities.
fn as_told_in_words(
    routing: &mut Routing,
    wanted: &BTreeMap<usize, Vec<Advertised>>,
    chosen: &BTreeSet<usize>,
) -> Result<(), TestCaseError> {
    for peer in peers_of(chosen).values() {
        let mut expected: BTreeMap<Prefix, BTreeSet<u32>> = BTreeMap::new();
        for (service, all) in wanted {
            if routing.refusal(&service_key(*service)).is_some() {
                continue;
            }
            for it in all.iter().filter(|it| it.peers.contains(&peer.name)) {
                if peer.speaks(crate::snapshot::IpFamily::of(it.prefix.address())) {
                    expected.entry(it.prefix).or_default().extend(&it.policy.communities);
                }
            }
        }
        let routes = routing.routes(&peer.name).unwrap();
        let told: BTreeMap<Prefix, BTreeSet<u32>> = routes
            .iter()
            .map(|(prefix, policy)| (*prefix, policy.communities.iter().copied().collect()))
            .collect();
        prop_assert_eq!(told, expected, "{}", peer.name);
    }
    Ok(())
}
