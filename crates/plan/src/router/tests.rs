//! What neighbours are told, as tables; and that what changed bit by bit is as if made at once.

mod properties;

use protocol::bgp::prefix::Prefix;
use protocol::bgp::route::Policy;

use super::*;
use crate::announce::bgp::{Difference, Peers};
use crate::config::{Password, PeerExtras, RemoteAsn};
use crate::selector::{Operator, Requirement, Selector};

fn peer(name: &str, address: &str) -> Peer {
    Peer {
        name: name.to_owned(),
        my_asn: 64512,
        remote_asn: RemoteAsn::Number(64513),
        local_asn: None,
        endpoint: PeerEndpoint::Address(address.parse().unwrap()),
        port: 179,
        source_address: None,
        timers: None,
        connect_time: None,
        router_id: None,
        node_selectors: Vec::new(),
        password: Password::None,
        bfd_profile: None,
        graceful_restart: false,
        ebgp_multi_hop: false,
        vrf: String::new(),
        dual_stack: false,
        extras: PeerExtras::default(),
    }
}

fn by_name(peers: &[Peer]) -> BTreeMap<String, Peer> {
    peers.iter().map(|peer| (peer.name.clone(), peer.clone())).collect()
}

fn routing(peers: &[Peer]) -> Routing {
    let mut routing = Routing::default();
    assert_eq!(routing.set_peers(&by_name(peers), &Labels::default()), []);
    routing
}

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
}

fn names(names: &[&str]) -> Peers {
    match names {
        [] => Peers::All,
        names => Peers::These(Arc::new(names.iter().map(|&name| name.to_owned()).collect())),
    }
}

/// A route for these peers, by an advertisement called `a`.
fn route(text: &str, peers: &[&str]) -> Advertised {
    Advertised {
        prefix: prefix(text),
        peers: names(peers),
        policy: Arc::default(),
        bandwidth_mbps: None,
        advertisement: "a".into(),
    }
}

impl Advertised {
    fn by(self, name: &str) -> Advertised {
        Advertised { advertisement: name.into(), ..self }
    }

    fn with(self, change: impl Fn(&mut Policy)) -> Advertised {
        let mut policy = (*self.policy).clone();
        change(&mut policy);
        Advertised { policy: Arc::new(policy), ..self }
    }

    fn preferring(self, local_preference: u32) -> Advertised {
        self.with(|policy| policy.local_preference = Some(local_preference))
    }

    fn saying(self, communities: &[u32]) -> Advertised {
        self.with(|policy| policy.communities = communities.to_vec())
    }

    fn worth(self, mbps: u64) -> Advertised {
        Advertised { bandwidth_mbps: Some(mbps), ..self }
    }
}

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("default", name)
}

impl Routing {
    fn want(&mut self, service: &str, advertised: &[Advertised]) {
        self.set(&key(service), &advertised.into());
    }

    /// What a peer is told: prefix, local preference, communities.
    fn told(&mut self, peer: &str) -> Vec<String> {
        let Some(routes) = self.routes(peer) else { return vec!["no such peer".to_owned()] };
        let line = |(prefix, policy): &(Prefix, Arc<Policy>)| {
            let preference = policy.local_preference.map(|it| format!(" lp={it}")).unwrap_or_default();
            let communities: String = policy.communities.iter().map(|it| format!(" {it}")).collect();
            format!("{prefix}{preference}{communities}")
        };
        routes.iter().map(line).collect()
    }

    fn peers_told_of(&mut self, service: &str) -> String {
        self.peers_of(&key(service)).join(" ")
    }

    fn affected(&mut self) -> String {
        let affected: Vec<String> = self.take_affected().iter().map(|it| it.name.to_string()).collect();
        affected.join(" ")
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn peers_are_told_of_services_as_they_come_and_go() {
    let two = [peer("peer1", "192.0.2.1"), peer("peer2", "192.0.2.2")];
    let mut routing = routing(&two);
    assert_eq!(routing.told("peer1"), NOTHING);
    routing.want("one", &[route("10.20.30.1/32", &[])]);
    for peer in ["peer1", "peer2"] {
        assert_eq!(routing.told(peer), ["10.20.30.1/32"]);
    }
    routing.want("idle", &[]);
    assert_eq!(routing.told("peer1"), ["10.20.30.1/32"]);
    routing.want("two", &[route("10.20.30.5/32", &[])]);
    assert_eq!(routing.told("peer2"), ["10.20.30.1/32", "10.20.30.5/32"]);
    routing.want("three", &[route("10.20.30.1/32", &[])]);
    assert_eq!(routing.told("peer1"), ["10.20.30.1/32", "10.20.30.5/32"], "once, whoever shares it");
    routing.remove(&key("one"));
    assert_eq!(routing.told("peer1"), ["10.20.30.1/32", "10.20.30.5/32"], "as long as anybody has it");
    routing.set_peers(&by_name(&two[1..]), &Labels::default());
    assert_eq!(routing.told("peer1"), ["no such peer"]);
    assert_eq!(routing.config().routers[""].neighbours.len(), 1);
    routing.remove(&key("two"));
    routing.remove(&key("three"));
    assert_eq!(routing.told("peer2"), NOTHING);
}

#[test]
fn peers_are_of_nodes_with_their_labels() {
    let of = |name: &str, address: &str, values: &[&str]| {
        let selector = |value: &&str| {
            let operator = Operator::Equals((*value).to_owned());
            Selector::new(vec![Requirement { key: "foo".to_owned(), operator }])
        };
        Peer { node_selectors: values.iter().map(selector).collect(), ..peer(name, address) }
    };
    let peers = by_name(&[
        of("any", "192.0.2.1", &[]),
        of("bar", "192.0.2.2", &["bar"]),
        of("or", "192.0.2.3", &["x", "bar"]),
    ]);
    let mut routing = Routing::default();
    let mut on = |labels: &[(&str, &str)]| {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        assert_eq!(routing.set_peers(&peers, &labels.into()), []);
        let config = routing.config();
        let neighbours = config.routers.values().flat_map(|it| it.neighbours.values());
        neighbours.map(|it| it.settings.name.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(on(&[]), "any");
    assert_eq!(on(&[("foo", "bar")]), "any bar or");
    assert_eq!(on(&[("foo", "x")]), "any or");
    assert_eq!(on(&[("foo", "y")]), "any");
}

#[test]
fn who_is_told_of_a_service_is_known_and_changes_are_noticed() {
    let two = [peer("peer1", "192.0.2.1"), peer("peer2", "192.0.2.2")];
    let mut routing = routing(&two);
    assert_eq!(routing.peers_told_of("svc1"), "");
    routing.want("svc1", &[route("10.20.30.1/32", &[])]);
    assert_eq!(
        (routing.peers_told_of("svc1").as_str(), routing.affected().as_str()),
        ("peer1 peer2", "svc1")
    );
    routing.want("svc2", &[route("10.20.40.1/32", &[])]);
    assert_eq!(
        (routing.peers_told_of("svc2").as_str(), routing.affected().as_str()),
        ("peer1 peer2", "svc2")
    );
    routing.want("svc1", &[route("10.20.30.1/32", &["peer1", "dummy"])]);
    assert_eq!((routing.peers_told_of("svc1").as_str(), routing.affected().as_str()), ("peer1", "svc1"));
    routing.remove(&key("svc1"));
    assert_eq!((routing.peers_told_of("svc1").as_str(), routing.affected().as_str()), ("", "svc1"));
    routing.set_peers(&by_name(&two[1..]), &Labels::default());
    assert_eq!((routing.peers_told_of("svc2").as_str(), routing.affected().as_str()), ("peer2", "svc2"));
    // By prefix: who shares one is told of wherever the other is.
    routing.want("a", &[route("10.20.0.0/16", &["peer2"])]);
    assert_eq!(routing.affected(), "a");
    routing.want("b", &[route("10.20.0.0/16", &["peer1"])]);
    assert_eq!((routing.peers_told_of("b").as_str(), routing.affected().as_str()), ("peer2", "a b"));
}

#[test]
fn a_session_is_told_what_its_families_are() {
    let v4 = peer("v4", "192.0.2.1");
    let v6 = peer("v6", "2001:db8::1");
    let dual = Peer { dual_stack: true, ..peer("dual", "192.0.2.2") };
    let unnumbered =
        Peer { endpoint: PeerEndpoint::Interface("eth1".to_owned()), ..peer("unnumbered", "192.0.2.3") };
    let mut routing = routing(&[v4, v6, dual, unnumbered]);
    routing.want("web", &[route("10.0.0.1/32", &[]), route("fd00::1/128", &[])]);
    assert_eq!(routing.told("v4"), ["10.0.0.1/32"]);
    assert_eq!(routing.told("v6"), ["fd00::1/128"]);
    for both in ["dual", "unnumbered"] {
        assert_eq!(routing.told(both), ["10.0.0.1/32", "fd00::1/128"]);
    }
    routing.want("old", &[route("10.0.0.2/32", &[])]);
    assert_eq!(routing.peers_told_of("old"), "dual unnumbered v4");
}

#[test]
fn one_route_is_made_of_several() {
    let two = || routing(&[peer("p", "192.0.2.1"), peer("q", "192.0.2.2")]);
    let of = "10.0.0.1/32";
    for (case, wanted, told) in [
        (
            "communities",
            vec![route(of, &[]).saying(&[1, 3]), route(of, &[]).saying(&[2, 3])],
            "10.0.0.1/32 1 2 3",
        ),
        (
            "some for others",
            vec![route(of, &["p"]).saying(&[1]), route(of, &["q"]).saying(&[2])],
            "10.0.0.1/32 1",
        ),
        (
            "some for all",
            vec![route(of, &["p"]).saying(&[1]), route(of, &[]).saying(&[2])],
            "10.0.0.1/32 1 2",
        ),
        ("a preference and none", vec![route(of, &[]).preferring(7), route(of, &[])], "10.0.0.1/32 lp=7"),
    ] {
        let mut routing = two();
        for (index, wanted) in wanted.iter().enumerate() {
            routing.want(&format!("service-{index}"), std::slice::from_ref(wanted));
        }
        assert_eq!(routing.told("p"), [told], "{case}, of two Services");
        let mut alone = two();
        alone.want("web", &wanted);
        assert_eq!(alone.told("p"), [told], "{case}, of one");
    }
}

#[test]
fn services_that_contradict_each_other_are_both_refused_and_name_each_other() {
    let mut routing = routing(&[peer("p", "192.0.2.1")]);
    routing.want("a", &[route("10.0.0.1/32", &[]).preferring(100), route("10.0.0.9/32", &[])]);
    routing.want("b", &[route("10.0.0.1/32", &[]).by("b").preferring(200)]);
    routing.want("c", &[route("10.0.0.2/32", &[]).preferring(300)]);
    assert_eq!(routing.told("p"), ["10.0.0.2/32 lp=300"], "the others go on");
    let refusal = routing.refusal(&key("a")).unwrap();
    assert_eq!(refusal.reason(), "conflictingAdvertisements");
    let difference = Difference::LocalPreference(200, 100);
    let text = "10.0.0.1/32 is default/b's too, and BGPAdvertisements \"a\" and \"b\" differ in spec.localPref, \
                which is 100 and 200";
    assert_eq!(refusal.to_string(), text);
    let expected = Refusal::ConflictOfServices {
        prefix: prefix("10.0.0.1/32"),
        other: key("a"),
        ours: "b".into(),
        theirs: "a".into(),
        difference,
    };
    assert_eq!(routing.refusal(&key("b")), Some(expected));
    assert_eq!((routing.refusal(&key("c")), routing.peers_told_of("a")), (None, String::new()));
    assert_eq!(routing.affected(), "a b c");
    routing.remove(&key("b"));
    assert_eq!(routing.told("p"), ["10.0.0.1/32 lp=100", "10.0.0.2/32 lp=300", "10.0.0.9/32"]);
    assert_eq!((routing.refusal(&key("a")), routing.affected().as_str()), (None, "a b"));
    // For different peers nothing is contradicted.
    routing.want("b", &[route("10.0.0.1/32", &["q"]).preferring(200)]);
    routing.want("a", &[route("10.0.0.1/32", &["p"]).preferring(100)]);
    assert_eq!(routing.told("p"), ["10.0.0.1/32 lp=100", "10.0.0.2/32 lp=300"]);
}

#[test]
fn next_hops_contradict_each_other_too() {
    let via =
        |last| route("10.0.0.1/32", &[]).with(|policy| policy.next_hop = Some([192, 0, 2, last].into()));
    let via_v6 = |last: u16| {
        let next_hop = Some([0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into());
        route("10.0.0.1/32", &[]).with(|policy| policy.next_hop_v6 = next_hop)
    };
    for (case, other, is_refused) in [
        ("another", via(2), true),
        ("the same", via(1), false),
        ("none", route("10.0.0.1/32", &[]), false),
        ("one of the other family", via_v6(2), false),
    ] {
        let mut routing = routing(&[peer("p", "192.0.2.1")]);
        routing.want("a", &[via(1)]);
        routing.want("b", &[other]);
        assert_eq!(routing.refusal(&key("a")).is_some(), is_refused, "{case}");
        assert_eq!(routing.told("p").is_empty(), is_refused, "{case}");
    }
}

#[test]
fn who_has_the_communities_that_are_too_many_is_left_out_alone() {
    let many = |from: u32| (from..from + 40).collect::<Vec<_>>();
    let mut routing = routing(&[peer("p", "192.0.2.1")]);
    routing.want("b", &[route("10.0.0.0/24", &[]).saying(&many(40))]);
    routing.want("a", &[route("10.0.0.0/24", &[]).saying(&many(0))]);
    routing.want("c", &[route("10.0.0.0/24", &[]).saying(&[1])]);
    assert_eq!(routing.routes("p").unwrap().get(prefix("10.0.0.0/24")).unwrap().communities, many(0));
    let refusal = Refusal::TooManyCommunities { prefix: prefix("10.0.0.0/24"), count: 80 };
    assert_eq!(routing.refusal(&key("b")), Some(refusal));
    assert_eq!((routing.refusal(&key("a")).is_none(), routing.refusal(&key("c")).is_none()), (true, true));
}

#[test]
fn bandwidth_is_that_of_all_services_behind_a_prefix() {
    let mut routing = routing(&[peer("p", "192.0.2.1")]);
    let of = |routing: &mut Routing| {
        let routes = routing.routes("p").unwrap();
        let extended = &routes.get(prefix("10.0.0.0/24")).unwrap().extended_communities;
        extended.iter().map(|it| f32::from_be_bytes([it[4], it[5], it[6], it[7]])).collect::<Vec<_>>()
    };
    routing.want("a", &[route("10.0.0.0/24", &[]).worth(8), route("10.0.0.0/24", &[]).by("b").worth(16)]);
    assert_eq!(of(&mut routing), [2_000_000.0]);
    routing.want("b", &[route("10.0.0.0/24", &[]).worth(8)]);
    assert_eq!(of(&mut routing), [3_000_000.0]);
    routing.want("b", &[route("10.0.0.0/24", &[]).worth(24)]);
    assert_eq!(of(&mut routing), [5_000_000.0]);
    routing.want("b", &[route("10.0.0.0/24", &[])]);
    assert_eq!(of(&mut routing), [2_000_000.0]);
    routing.want("a", &[route("10.0.0.0/24", &[])]);
    assert_eq!(of(&mut routing), []);
}

#[test]
fn what_did_not_change_is_the_same_value() {
    let mut routing = routing(&[peer("p", "192.0.2.1"), peer("q", "192.0.2.2"), peer("r", "2001:db8::1")]);
    routing.want("a", &[route("10.0.0.1/32", &[])]);
    let first = routing.config();
    let of = |config: &RouterConfig, address: &str| {
        let endpoint = PeerEndpoint::Address(address.parse().unwrap());
        config.routers[""].neighbours[&endpoint].clone()
    };
    assert!(Arc::ptr_eq(&of(&first, "192.0.2.1").routes, &of(&first, "192.0.2.2").routes), "told the same");
    routing.want("b", &[route("10.0.0.1/32", &[])]);
    routing.want("c", &[route("10.0.0.2/32", &["q"])]);
    let second = routing.config();
    for unchanged in ["192.0.2.1", "2001:db8::1"] {
        assert!(Arc::ptr_eq(&of(&first, unchanged).routes, &of(&second, unchanged).routes), "{unchanged}");
    }
    assert_eq!(of(&second, "192.0.2.2").routes.len(), 2);
    let changed = Peer { port: 180, ..peer("p", "192.0.2.1") };
    routing.set_peers(&by_name(&[changed, peer("q", "192.0.2.2")]), &Labels::default());
    let third = routing.config();
    assert!(Arc::ptr_eq(&of(&third, "192.0.2.1").routes, &of(&first, "192.0.2.1").routes));
    assert!(Arc::ptr_eq(&of(&third, "192.0.2.2").settings, &of(&first, "192.0.2.2").settings));
    assert_eq!(of(&third, "192.0.2.1").settings.port, 180);
}

#[test]
fn routers_are_by_vrf_and_peers_that_clash_are_left_out() {
    let red = |name: &str, address: &str| Peer { vrf: "red".to_owned(), ..peer(name, address) };
    let peers = [
        Peer { router_id: Some("192.0.2.9".parse().unwrap()), ..peer("a", "192.0.2.1") },
        Peer { router_id: Some("192.0.2.9".parse().unwrap()), my_asn: 65000, ..peer("b", "192.0.2.2") },
        peer("c", "192.0.2.3"),
        Peer { my_asn: 65000, ..red("d", "192.0.2.1") },
        Peer { my_asn: 65000, port: 180, ..red("e", "192.0.2.1") },
    ];
    let mut routing = Routing::default();
    let conflicts = routing.set_peers(&by_name(&peers), &Labels::default());
    let said: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "BGPPeer b is left out: it has not the same spec.myASN as BGPPeer a",
            "BGPPeer c is left out: it has not the same spec.routerID as BGPPeer a",
            "BGPPeer e is left out: it has the same spec.peerAddress or spec.interface as BGPPeer d",
        ]
    );
    let config = routing.config();
    let shape = |vrf: &str| {
        let router = &config.routers[vrf];
        (router.asn, router.router_id, router.neighbours.len())
    };
    assert_eq!(shape(""), (64512, Some([192, 0, 2, 9].into()), 1));
    assert_eq!(shape("red"), (65000, None, 1));
}
