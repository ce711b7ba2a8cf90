//! What nodes tell their peers, and every "no" of it.

use super::*;
use crate::announce::bgp::{Advertised, Difference, Outcome, Peers, Refusal};
use crate::community::Community;
use crate::config::{BgpAdvertisement, RouteExtras};

const BOTH: [&str; 2] = ["iris1", "iris2"];

pub(super) fn bgp(name: &str, nodes: &[&str]) -> BgpAdvertisement {
    BgpAdvertisement {
        name: name.to_owned(),
        aggregation_length: 32,
        aggregation_length_v6: 128,
        local_pref: 0,
        communities: BTreeSet::new(),
        nodes: set(nodes),
        peers: BTreeSet::new(),
        service_selectors: Vec::new(),
        extras: RouteExtras::default(),
    }
}

impl BgpAdvertisement {
    fn preferring(self, local_pref: u32) -> BgpAdvertisement {
        BgpAdvertisement { local_pref, ..self }
    }

    fn aggregated(self, aggregation_length: u8, aggregation_length_v6: u8) -> BgpAdvertisement {
        BgpAdvertisement { aggregation_length, aggregation_length_v6, ..self }
    }

    fn to(self, peers: &[&str]) -> BgpAdvertisement {
        BgpAdvertisement { peers: set(peers), ..self }
    }

    fn of_applications(self, apps: &[&str]) -> BgpAdvertisement {
        BgpAdvertisement { service_selectors: apps.iter().map(|app| selector(app)).collect(), ..self }
    }

    fn with_communities(self, communities: &[&str]) -> BgpAdvertisement {
        let communities = communities.iter().map(|it| it.parse().unwrap()).collect();
        BgpAdvertisement { communities, ..self }
    }

    fn with(self, extras: RouteExtras) -> BgpAdvertisement {
        BgpAdvertisement { extras, ..self }
    }
}

fn cluster_of(
    advertisements: Vec<BgpAdvertisement>,
    change: impl Fn(&mut Node),
    options: Options,
) -> Cluster {
    let mut pool = pool("p", &["10.20.30.0/24", "fd00:20::/120"], vec![]);
    pool.bgp_advertisements = advertisements.into_iter().map(Arc::new).collect();
    let config = Config { pools: BTreeMap::from([("p".to_owned(), pool)]), ..Config::default() };
    let mut nodes = BOTH.map(node);
    nodes.iter_mut().for_each(change);
    let nodes = nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
    Cluster::new(Arc::new(config), Arc::new(nodes), Alive::Everyone, options)
}

fn plain(advertisements: Vec<BgpAdvertisement>) -> Cluster {
    cluster_of(advertisements, |_| {}, Options::default())
}

/// One line for each route: prefix, who is told, local preference and communities.
fn line(it: &Advertised) -> String {
    let peers = match &it.peers {
        Peers::All => "all".to_owned(),
        Peers::These(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join("+"),
    };
    let mut line = format!("{} {peers}", it.prefix);
    if let Some(preference) = it.policy.local_preference {
        line += &format!(" lp={preference}");
    }
    for community in &it.policy.communities {
        line += &format!(" {}", Community::Legacy((community >> 16) as u16, *community as u16));
    }
    for [global, first, second] in &it.policy.large_communities {
        line += &format!(" {}", Community::Large(*global, *first, *second));
    }
    line
}

/// The routes on each node, or the word of its refusal.
fn told(cluster: &Cluster, service: &Service, serving: &Serving) -> [String; 2] {
    BOTH.map(|node| said(&decided(cluster, service, serving, node)))
}

fn decided(cluster: &Cluster, service: &Service, serving: &Serving, node: &str) -> Outcome {
    crate::announce::bgp::on_node(cluster, service, serving, node).1
}

fn said(outcome: &Outcome) -> String {
    match outcome {
        Ok(advertised) => advertised.iter().map(line).collect::<Vec<_>>().join(", "),
        Err(refusal) => refusal.reason().to_owned(),
    }
}

fn refusal(cluster: &Cluster, service: &Service, serving: &Serving) -> Refusal {
    Refusal::clone(&decided(cluster, service, serving, "iris1").unwrap_err())
}

#[test]
fn every_node_with_an_advertisement_tells_every_address() {
    let cluster = plain(vec![bgp("a", &BOTH)]);
    let both = ["10.20.30.1/32 all", "10.20.30.1/32 all"];
    assert_eq!(told(&cluster, &service(&["10.20.30.1"]), &serving(&["elsewhere"])), both);
    let dual = service(&["10.20.30.1", "fd00:20::1"]);
    assert_eq!(told(&cluster, &dual, &serving(&["iris1"]))[0], "10.20.30.1/32 all, fd00:20::1/128 all");
    assert_eq!(told(&cluster, &service(&["10.20.31.1"]), &serving(&["iris1"])), ["ipNotAllowed"; 2]);
    assert_eq!(told(&cluster, &service(&[]), &serving(&["iris1"])), ["noIPAllocated"; 2]);
}

#[test]
fn endpoints_decide() {
    let cluster = plain(vec![bgp("a", &BOTH)]);
    let (web, local) = (service(&["10.20.30.1"]), local(service(&["10.20.30.1"])));
    let yes = "10.20.30.1/32 all";
    for (service, endpoints, expected) in [
        (&web, &["iris1"][..], [yes, yes]),
        (&web, &["iris3"], [yes, yes]),
        (&web, &[], ["noEndpoints"; 2]),
        (&local, &["iris1"], [yes, "noLocalEndpoints"]),
        (&local, &["iris1", "iris2"], [yes, yes]),
        (&local, &["iris3"], ["noLocalEndpoints"; 2]),
        (&local, &[], ["noLocalEndpoints"; 2]),
    ] {
        assert_eq!(told(&cluster, service, &serving(endpoints)), expected, "{endpoints:?}");
    }
}

#[test]
fn each_advertisement_adds_its_own_routes() {
    let first = bgp("first", &BOTH).preferring(100).with_communities(&["0:1234", "0:2345"]);
    let second = bgp("second", &BOTH).preferring(1000).aggregated(24, 120);
    let web = service(&["10.20.30.1"]);
    for (case, advertisements, expected) in [
        (
            "two lengths",
            vec![first.clone(), second.clone()],
            "10.20.30.0/24 all lp=1000, 10.20.30.1/32 all lp=100 0:1234 0:2345",
        ),
        (
            "one for another node",
            vec![first.clone(), BgpAdvertisement { nodes: set(&["iris2"]), ..second.clone() }],
            "10.20.30.1/32 all lp=100 0:1234 0:2345",
        ),
        (
            "one for one peer",
            vec![first.to(&["peer1"]), second],
            "10.20.30.0/24 all lp=1000, 10.20.30.1/32 peer1 lp=100 0:1234 0:2345",
        ),
        (
            "communities of both kinds",
            vec![bgp("c", &BOTH).with_communities(&["large:7:8:9", "1:1", "large:7:8:1"])],
            "10.20.30.1/32 all 1:1 7:8:1 7:8:9",
        ),
        ("the same twice", vec![bgp("a", &BOTH), bgp("b", &BOTH)], "10.20.30.1/32 all"),
        (
            "the same for others",
            vec![bgp("a", &BOTH).to(&["x"]), bgp("b", &BOTH).to(&["y"])],
            "10.20.30.1/32 x, 10.20.30.1/32 y",
        ),
    ] {
        assert_eq!(told(&plain(advertisements), &web, &serving(&["iris1"]))[0], expected, "{case}");
    }
    let aggregated = plain(vec![bgp("a", &BOTH).aggregated(25, 124)]);
    let two = service(&["10.20.30.1", "10.20.30.2"]);
    assert_eq!(told(&aggregated, &two, &serving(&["iris1"]))[0], "10.20.30.0/25 all");
}

#[test]
fn reasons_have_their_order_their_word_and_their_text() {
    let on_iris1 = || bgp("a", &["iris1"]);
    let web = application("web", &["10.20.30.1"]);
    let endpoint = serving(&["iris1"]);
    let no_endpoint = serving(&[]);
    let expect = |refusal: Refusal, reason: &str, text: &str| {
        assert_eq!((refusal.reason(), refusal.to_string().as_str()), (reason, text));
    };
    // Everything that can be wrong is, and is put right one by one.
    let broken = |node: &mut Node| {
        node.network_unavailable = true;
        node.is_draining = true;
        node.labels = labels(&[(EXCLUDE_LABEL, "")]);
    };
    let options = Options::default;
    expect(
        refusal(&cluster_of(vec![], broken, options()), &web, &no_endpoint),
        "notOwner",
        "no BGPAdvertisement is for pool \"p\"",
    );
    expect(
        refusal(&cluster_of(vec![bgp("b", &["iris2"])], broken, options()), &web, &no_endpoint),
        "notOwner",
        "no BGPAdvertisement for pool \"p\" is for this node: spec.nodeSelectors of \"b\" do not select it",
    );
    let for_others = on_iris1().of_applications(&["db"]);
    expect(
        refusal(&cluster_of(vec![for_others], broken, options()), &web, &no_endpoint),
        "noMatchingAdvertisement",
        "no BGPAdvertisement is for this Service on this node: spec.serviceSelectors of \"a\" do not select it",
    );
    let conflicting = vec![on_iris1().preferring(100), bgp("b", &["iris1"]).preferring(200)];
    expect(
        refusal(&cluster_of(conflicting, broken, options()), &web, &no_endpoint),
        "conflictingAdvertisements",
        "BGPAdvertisements \"a\" and \"b\" are for this Service on this node and differ in spec.localPref, \
         which is 100 and 200",
    );
    let of =
        |change: fn(&mut Node)| refusal(&cluster_of(vec![on_iris1()], change, options()), &web, &no_endpoint);
    expect(of(broken), "nodeNetworkUnavailable", "the condition NetworkUnavailable of this node is true");
    let labelled = |node: &mut Node| {
        node.is_draining = true;
        node.labels = labels(&[(EXCLUDE_LABEL, "")]);
    };
    expect(
        of(labelled),
        "nodeLabeledExcludeBalancers",
        "this node has the label node.kubernetes.io/exclude-from-external-load-balancers",
    );
    expect(
        of(|node| node.is_draining = true),
        "notOwner",
        "this node is drained, by its annotation ferrolb.io/drain",
    );
    expect(of(|_| {}), "noEndpoints", "no endpoint of the Service can serve");
    expect(
        refusal(&plain(vec![on_iris1()]), &local(web.clone()), &serving(&["iris2"])),
        "noLocalEndpoints",
        "no endpoint of the Service on this node can serve, and spec.externalTrafficPolicy is Local",
    );
    let stranger = decided(&plain(vec![bgp("a", &["iris9"])]), &web, &endpoint, "iris9").unwrap_err();
    expect(Refusal::clone(&stranger), "notOwner", "this node is not known");
}

#[test]
fn the_exclude_label_can_be_ignored() {
    let excluded = |node: &mut Node| node.labels = labels(&[(EXCLUDE_LABEL, "")]);
    let web = service(&["10.20.30.1"]);
    for (ignore_exclude_label, expected) in
        [(false, "nodeLabeledExcludeBalancers"), (true, "10.20.30.1/32 all")]
    {
        let options = Options { ignore_exclude_label, ..Options::default() };
        let cluster = cluster_of(vec![bgp("a", &BOTH)], excluded, options);
        assert_eq!(told(&cluster, &web, &serving(&["iris1"])), [expected; 2]);
    }
}

#[test]
fn service_selectors_choose_services() {
    let web = application("web", &["10.20.30.1"]);
    let (yes, no) = ("10.20.30.1/32 all", "noMatchingAdvertisement");
    for (case, advertisements, expected) in [
        ("none", vec![bgp("a", &BOTH)], [yes, yes]),
        ("one that matches", vec![bgp("a", &BOTH).of_applications(&["web"])], [yes, yes]),
        ("one that does not", vec![bgp("a", &BOTH).of_applications(&["db"])], [no, no]),
        ("one of several", vec![bgp("a", &BOTH).of_applications(&["db", "web"])], [yes, yes]),
        ("on one node", vec![bgp("a", &["iris2"]).of_applications(&["web"])], ["notOwner", yes]),
        (
            "the wrong one here, the right one there",
            vec![bgp("a", &BOTH).of_applications(&["db"]), bgp("b", &["iris2"]).of_applications(&["web"])],
            [no, yes],
        ),
        (
            "two that match and do not go together",
            vec![
                bgp("a", &BOTH).of_applications(&["web"]).preferring(1),
                bgp("b", &["iris1"]).of_applications(&["web"]).preferring(2),
            ],
            ["conflictingAdvertisements", "10.20.30.1/32 all lp=1"],
        ),
    ] {
        assert_eq!(told(&plain(advertisements), &web, &serving(&["iris1"])), expected, "{case}");
    }
    // Sharing an address is no reason not to be told of, unlike with layer 2.
    let mut shared = web;
    shared.annotations.insert("metallb.io/allow-shared-ip".to_owned(), "key".to_owned());
    let selective = plain(vec![bgp("a", &BOTH).of_applications(&["web"])]);
    assert_eq!(told(&selective, &shared, &serving(&["iris1"])), [yes, yes]);
}

#[test]
fn different_local_preferences_need_different_routes() {
    let a = || bgp("a", &BOTH).preferring(100);
    let b = || bgp("b", &BOTH).preferring(200);
    let on = |it: BgpAdvertisement, nodes: &[&str]| BgpAdvertisement { nodes: set(nodes), ..it };
    let v4 = PoolFamilies { has_v4: true, has_v6: false };
    let v6 = PoolFamilies { has_v4: false, has_v6: true };
    let dual = PoolFamilies { has_v4: true, has_v6: true };
    for (case, a, b, families, goes_together) in [
        ("the same preference", a(), b().preferring(100), dual, true),
        ("nothing apart", a(), b(), dual, false),
        ("unset is a preference too", a().preferring(0), b(), dual, false),
        ("nodes apart", on(a(), &["iris1"]), on(b(), &["iris2"]), dual, true),
        ("fewer nodes here", on(a(), &["iris1"]), b(), dual, false),
        ("fewer nodes there", a(), on(b(), &["iris2"]), dual, false),
        ("no nodes", on(a(), &[]), b(), dual, true),
        ("no nodes at all", on(a(), &[]), on(b(), &[]), dual, true),
        ("peers apart", a().to(&["x"]), b().to(&["y", "z"]), dual, true),
        ("fewer peers here", a().to(&["x"]), b().to(&["x", "y"]), dual, false),
        ("fewer peers there", a().to(&["x", "y"]), b().to(&["x"]), dual, false),
        ("one peer in common", a().to(&["x", "y"]), b().to(&["y", "z"]), dual, false),
        ("all peers and one", a(), b().to(&["x"]), dual, false),
        ("another length of IPv4", a().aggregated(24, 128), b(), v4, true),
        ("of IPv6", a().aggregated(32, 120), b(), v6, true),
        ("of the family that the pool has not", a().aggregated(32, 120), b(), v4, false),
        ("of one of two families", a().aggregated(24, 128), b(), dual, false),
        ("of both", a().aggregated(24, 120), b(), dual, true),
    ] {
        assert_eq!(a.local_preference_goes_with(&b, families), goes_together, "{case}");
        assert_eq!(b.local_preference_goes_with(&a, families), goes_together, "{case}, the other way");
    }
}

#[test]
fn different_next_hops_need_different_routes() {
    let via = |last| RouteExtras { next_hop: Some([192, 0, 2, last].into()), ..RouteExtras::default() };
    let web = service(&["10.20.30.1"]);
    let two = |second: BgpAdvertisement| plain(vec![bgp("a", &BOTH).with(via(1)), second]);
    let outcome = |second| decided(&two(second), &web, &serving(&["iris1"]), "iris1");
    let difference = Difference::NextHop;
    let conflict = Refusal::Conflict { first: "a".into(), second: "b".into(), difference };
    assert_eq!(outcome(bgp("b", &BOTH).with(via(2))), Err(Arc::new(conflict)));
    assert!(outcome(bgp("b", &BOTH).with(via(1))).is_ok());
    assert!(outcome(bgp("b", &BOTH)).is_ok());
    assert!(outcome(bgp("b", &BOTH).aggregated(24, 120).with(via(2))).is_ok());
}

#[test]
fn a_drained_node_is_silent_unless_it_is_to_say_so() {
    let drained = |node: &mut Node| node.is_draining = node.name == "iris1";
    let shutting = || RouteExtras { graceful_shutdown: true, ..RouteExtras::default() };
    let web = service(&["10.20.30.1"]);
    let polite = bgp("a", &BOTH).preferring(100).with_communities(&["1:2"]).with(shutting());
    let yes = "10.20.30.1/32 all lp=100 1:2";
    for (case, advertisements, expected) in [
        ("silent", vec![bgp("a", &BOTH).preferring(100).with_communities(&["1:2"])], ["notOwner", yes]),
        ("polite", vec![polite.clone()], ["10.20.30.1/32 all lp=0 1:2 65535:0", yes]),
        (
            "polite to some",
            vec![polite.to(&["x"]), bgp("b", &BOTH).preferring(7).to(&["y"])],
            ["10.20.30.1/32 x lp=0 1:2 65535:0", "10.20.30.1/32 x lp=100 1:2, 10.20.30.1/32 y lp=7"],
        ),
    ] {
        let cluster = cluster_of(advertisements, drained, Options::default());
        assert_eq!(told(&cluster, &web, &serving(&["iris1"])), expected, "{case}");
    }
}

#[test]
fn extras_are_part_of_the_route() {
    let extras = RouteExtras {
        med: Some(5),
        prepended: 2,
        next_hop: Some([192, 0, 2, 1].into()),
        next_hop_v6: None,
        link_bandwidth_mbps: Some(100),
        graceful_shutdown: true,
    };
    let cluster = plain(vec![bgp("a", &BOTH).with(extras)]);
    let serving = Serving { anywhere: true, nodes: BTreeMap::from([("iris1".to_owned(), 3)]) };
    let all = crate::announce::bgp::everywhere(&cluster, &service(&["10.20.30.1"]), &serving);
    let routes = all.iter().map(|(_, outcome)| outcome.as_ref().unwrap()[0].clone()).collect::<Vec<_>>();
    let policy = &routes[0].policy;
    assert_eq!((policy.med, policy.prepended, policy.next_hop), (Some(5), 2, Some([192, 0, 2, 1].into())));
    assert_eq!(routes.iter().map(|it| it.bandwidth_mbps).collect::<Vec<_>>(), [Some(300), Some(100)]);
}

#[test]
fn a_route_has_only_so_many_communities() {
    let many = |name: &str, from: u32, count: u32| {
        let texts: Vec<String> = (from..from + count).map(|number| format!("1:{number}")).collect();
        bgp(name, &BOTH).with_communities(&texts.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let web = service(&["10.20.30.1"]);
    for (case, advertisements, count) in [
        ("as many as fit", vec![many("a", 0, 63)], None),
        ("one too many", vec![many("a", 0, 64)], Some(64)),
        ("too many together", vec![many("a", 0, 40), many("b", 40, 40)], Some(80)),
        ("many of them the same", vec![many("a", 0, 40), many("b", 20, 40)], None),
        ("for different peers", vec![many("a", 0, 40).to(&["x"]), many("b", 40, 40).to(&["y"])], None),
        ("of different lengths", vec![many("a", 0, 40).aggregated(24, 120), many("b", 40, 40)], None),
    ] {
        let outcome = decided(&plain(advertisements), &web, &serving(&["iris1"]), "iris1");
        let prefix = Prefix::new([10, 20, 30, 1].into(), 32).unwrap();
        let expected = count.map(|count| Refusal::TooManyCommunities { prefix, count });
        assert_eq!(outcome.err().as_deref(), expected.as_ref(), "{case}");
    }
}

#[test]
fn both_protocols_are_decided_by_themselves() {
    let mut pool = pool("p", &["10.20.30.0/24"], vec![advertisement("l2", &["iris2"])]);
    pool.bgp_advertisements = vec![Arc::new(bgp("a", &["iris1"]))];
    let cluster = cluster(vec![pool], BOTH.map(node).into(), Alive::These(set(&["iris2"])));
    let of = |node| {
        let (service, serving) = (service(&["10.20.30.1"]), serving(&["iris1"]));
        let layer2 = on_node(&cluster, &service, &serving, node).layer2;
        (layer2.is_ok(), decided(&cluster, &service, &serving, node).is_ok())
    };
    assert_eq!(BOTH.map(of), [(false, true), (true, false)]);
}
