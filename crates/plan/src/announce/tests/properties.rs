//! What holds whatever the cluster looks like.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::announce::bgp::{self as announce_bgp, Outcome, Refusal as BgpRefusal};
use crate::config::{BgpAdvertisement, RouteExtras};

const NODES: [&str; 6] = ["a", "b", "c", "node-1", "node-2", "node-3"];

fn nodes() -> impl Strategy<Value = BTreeSet<String>> {
    btree_set(proptest::sample::select(&NODES[..]).prop_map(str::to_owned), 0..=NODES.len())
}

fn apps() -> impl Strategy<Value = Vec<Selector>> {
    vec(proptest::sample::select(vec!["web", "db"]).prop_map(selector), 0..2)
}

fn advertisements() -> impl Strategy<Value = Vec<L2Advertisement>> {
    let name = proptest::sample::select(vec!["x", "y", "z"]);
    let interfaces = btree_set(proptest::sample::select(vec!["eth0", "eth1"]).prop_map(str::to_owned), 0..2);
    let weights = btree_map(proptest::sample::select(&NODES[..]).prop_map(str::to_owned), 1..4_i64, 0..3);
    let one =
        (name, nodes(), interfaces, apps(), weights).prop_map(|(name, nodes, interfaces, apps, weights)| {
            L2Advertisement {
                name: name.to_owned(),
                preferred_nodes: weights.into_iter().filter(|(node, _)| nodes.contains(node)).collect(),
                nodes,
                interfaces,
                service_selectors: apps,
                wishes: Wishes::default(),
            }
        });
    vec(one, 0..4)
}

fn bgp_advertisements() -> impl Strategy<Value = Vec<BgpAdvertisement>> {
    let name = proptest::sample::select(vec!["x", "y", "z"]);
    let peers = btree_set(proptest::sample::select(vec!["p", "q"]).prop_map(str::to_owned), 0..2);
    let one = (name, nodes(), apps(), peers, 0..3_u32, any::<bool>(), any::<bool>()).prop_map(
        |(name, nodes, service_selectors, peers, local_pref, graceful_shutdown, weighs)| {
            let link_bandwidth_mbps = weighs.then_some(10);
            let extras = RouteExtras { graceful_shutdown, link_bandwidth_mbps, ..RouteExtras::default() };
            BgpAdvertisement { nodes, service_selectors, peers, local_pref, extras, ..bgp::bgp(name, &[]) }
        },
    );
    vec(one, 0..4)
}

fn clusters() -> impl Strategy<Value = Cluster> {
    let known = btree_map(
        proptest::sample::select(&NODES[..]),
        (proptest::bool::weighted(0.2), proptest::bool::weighted(0.2), proptest::bool::weighted(0.2)),
        0..=6,
    );
    let alive = proptest::option::of(nodes());
    (advertisements(), bgp_advertisements(), known, alive, any::<bool>()).prop_map(
        |(advertisements, bgp, known, alive, ignore_exclude_label)| {
            let known = known.into_iter().map(|(name, (network_unavailable, is_excluded, is_draining))| {
                let labels = if is_excluded { labels(&[(EXCLUDE_LABEL, "")]) } else { Labels::default() };
                (name.to_owned(), Node { labels, network_unavailable, is_draining, ..node(name) })
            });
            let mut pool = pool("p", &["10.20.30.0/24"], advertisements);
            pool.bgp_advertisements = bgp.into_iter().map(Arc::new).collect();
            let config = Config { pools: BTreeMap::from([(pool.name.clone(), pool)]), ..Config::default() };
            let alive = alive.map_or(Alive::Everyone, Alive::These);
            let options = Options { ignore_exclude_label, ..Options::default() };
            Cluster::new(Arc::new(config), Arc::new(known.collect()), alive, options)
        },
    )
}

fn services() -> impl Strategy<Value = (Service, Serving)> {
    let app = proptest::sample::select(vec!["web", "db", "other"]);
    (app, any::<u8>(), any::<bool>(), nodes(), any::<bool>()).prop_map(
        |(app, last, local_traffic_only, nodes, shares)| {
            let mut service = application(app, &[&format!("10.20.30.{last}")]);
            service.local_traffic_only = local_traffic_only;
            if shares {
                service.annotations.insert("metallb.io/allow-shared-ip".to_owned(), String::new());
            }
            let nodes: BTreeMap<String, u32> = nodes.into_iter().map(|node| (node, 1)).collect();
            (service, Serving { anywhere: !nodes.is_empty(), nodes })
        },
    )
}

fn without(cluster: &Cluster, node: &str) -> Cluster {
    let mut nodes = (**cluster.nodes()).clone();
    nodes.remove(node);
    let mut alive = cluster.alive().clone();
    if let Alive::These(alive) = &mut alive {
        alive.remove(node);
    }
    Cluster::new(cluster.config().clone(), Arc::new(nodes), alive, cluster.options().clone())
}

proptest! {
    #[test]
    fn every_speaker_decides_as_all_together((service, serving) in services(), cluster in clusters()) {
        let all = everywhere(&cluster, &service, &serving);
        let names: Vec<&Name> = all.layer2.iter().map(|(node, _)| node).collect();
        prop_assert!(names.is_sorted());
        prop_assert_eq!(names, cluster.names().collect::<Vec<_>>());
        let bgp_everywhere = announce_bgp::everywhere(&cluster, &service, &serving);
        for (node, layer2) in &all.layer2 {
            let here = on_node(&cluster, &service, &serving, node);
            prop_assert_eq!(&here.addresses, &all.addresses);
            prop_assert_eq!(&here.layer2, layer2, "{}", node);
            let bgp = bgp_everywhere.iter().find(|(name, _)| name == node).map(|(_, outcome)| outcome);
            let (addresses, told) = announce_bgp::on_node(&cluster, &service, &serving, node);
            prop_assert_eq!((&addresses, Some(&told)), (&all.addresses, bgp), "{}", node);
        }
    }

    /// What an heir knows in advance is what becomes of it.
    #[test]
    fn the_first_few_are_those_of_all((service, serving) in services(), cluster in clusters()) {
        let all = everywhere(&cluster, &service, &serving);
        for few in 0..=NODES.len() {
            let (addresses, names) = first(&cluster, &service, &serving, few);
            prop_assert_eq!(addresses, all.addresses.clone());
            prop_assert_eq!(&names[..], &all.succession[..few.min(all.succession.len())]);
        }
        for (at, node) in all.succession.iter().enumerate() {
            let here = on_node(&cluster, &service, &serving, node);
            prop_assert_eq!(&here.first[..], &all.succession[..HEIRS.min(all.succession.len())]);
            let mut later = cluster.clone();
            for gone in &all.succession[..at] {
                later = without(&later, gone);
            }
            let layer2 = on_node(&later, &service, &serving, node).layer2.unwrap();
            prop_assert!(layer2.addresses.iter().all(|(_, it)| Some(it) == here.interfaces.as_ref()));
        }
        for stranger in NODES.iter().filter(|node| !all.succession.iter().any(|it| **it == ***node)) {
            prop_assert_eq!(on_node(&cluster, &service, &serving, stranger).interfaces, None);
        }
    }

    /// Whoever leads answers if it can, and the others keep their order.
    #[test]
    fn leaders_come_first((service, serving) in services(), cluster in clusters(),
        leaders in vec(proptest::sample::select(&NODES[..]), 0..3)) {
        let before = everywhere(&cluster, &service, &serving);
        let Some(&address) = before.addresses.first() else { return Ok(()) };
        let leaders: Vec<Name> = leaders.into_iter().map(Name::from).collect();
        let cluster = cluster.with_leaders(Arc::new(Leaders::from([(address, leaders.clone())])));
        let after = everywhere(&cluster, &service, &serving).succession;
        let mut expected: Vec<Name> = Vec::new();
        for name in leaders.iter().chain(&before.succession) {
            if before.succession.contains(name) && !expected.contains(name) {
                expected.push(name.clone());
            }
        }
        prop_assert_eq!(after, expected);
    }

    /// However a cluster came to be what it is.
    #[test]
    fn a_cluster_that_changed_is_as_one_made_anew((service, serving) in services(), cluster in clusters(),
        other in clusters()) {
        let (config, nodes) = (cluster.config().clone(), other.nodes().clone());
        let anew = Cluster::new(config, nodes.clone(), other.alive().clone(), cluster.options().clone());
        let changed = [
            cluster.with_nodes(nodes.clone()).with_alive(other.alive().clone()),
            cluster.with_alive(other.alive().clone()).with_nodes(nodes.clone()),
            other.with_config(cluster.config().clone()),
        ];
        for changed in changed {
            if changed.options() == anew.options() {
                prop_assert_eq!(everywhere(&changed, &service, &serving), everywhere(&anew, &service, &serving));
            }
        }
    }

    #[test]
    fn one_node_answers_or_none((service, serving) in services(), cluster in clusters()) {
        let all = everywhere(&cluster, &service, &serving);
        let owners: Vec<&Name> = all.layer2.iter().filter(|(_, it)| it.is_ok()).map(|(node, _)| node).collect();
        prop_assert_eq!(owners, all.owner().into_iter().collect::<Vec<_>>());
        for stranger in NODES.iter().filter(|node| !all.layer2.iter().any(|(name, _)| &**name == **node)) {
            prop_assert!(on_node(&cluster, &service, &serving, stranger).layer2.is_err());
        }
    }

    /// Without the owner the next one takes over, and without another node nothing moves.
    #[test]
    fn a_node_that_goes_takes_along_only_itself((service, serving) in services(), cluster in clusters()) {
        let before = everywhere(&cluster, &service, &serving).succession;
        for gone in &NODES {
            let after = everywhere(&without(&cluster, gone), &service, &serving).succession;
            let expected: Vec<Name> = before.iter().filter(|name| &***name != *gone).cloned().collect();
            prop_assert_eq!(after, expected, "without {}", gone);
        }
    }

    #[test]
    fn the_order_of_the_advertisements_is_without_meaning((service, serving) in services(), cluster in clusters()) {
        let mut config = (**cluster.config()).clone();
        for pool in config.pools.values_mut() {
            pool.l2_advertisements.reverse();
            pool.bgp_advertisements.reverse();
        }
        let (nodes, alive) = (cluster.nodes().clone(), cluster.alive().clone());
        let reversed = Cluster::new(Arc::new(config), nodes, alive, cluster.options().clone());
        let (one, other) = (everywhere(&cluster, &service, &serving), everywhere(&reversed, &service, &serving));
        prop_assert_eq!(one.succession, other.succession);
        let bgp_of = |cluster| announce_bgp::everywhere(cluster, &service, &serving);
        for ((node, one), (_, other)) in bgp_of(&cluster).iter().zip(&bgp_of(&reversed)) {
            let word = |it: &Outcome| it.as_ref().err().map(|it| BgpRefusal::reason(it));
            prop_assert_eq!(word(one), word(other), "{}", node);
        }
        for ((node, one), (_, other)) in one.layer2.iter().zip(&other.layer2) {
            let word = |it: &Result<Layer2, Refusal>| it.as_ref().err().map(Refusal::reason);
            prop_assert_eq!(word(one), word(other), "{}", node);
            prop_assert_eq!(one.as_ref().ok(), other.as_ref().ok(), "{}", node);
        }
    }
}
