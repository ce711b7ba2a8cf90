//! Which sessions come up, and how they look from the other side.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ferrolb::lab::routers::{Capability, Configuration, Families, Kind, Neighbour, RemoteAsn, Router};
use ferrolb::lab::{Family, Options};
use serde_json::{Value, json};

use super::{
    OTHER, OWN, address, advertisement, configuration, has_sessions, has_ways, host, ip, options_with, peer,
    times_established,
};
use crate::site::{DEADLINE, NODES, Site, eventually, stays};

/// Four octets.
const FAR: u32 = 4_200_000_001;

/// A router of the matrix: who, in which AS, where, and whether that is far away.
const ROUTERS: [(&str, u32, &str, &str, bool); 4] = [
    ("router", OTHER, "10.10.0.1", "fd00:10:10::1", false),
    ("router-2", OWN, "10.10.0.3", "fd00:10:10::3", false),
    ("remote", FAR, "10.40.0.11", "fd00:10:40::11", true),
    ("remote-2", OWN, "10.40.0.12", "fd00:10:40::12", true),
];

/// 46, 57, 60, 61, 74: internal and external, near and far, over IPv4, over IPv6, and both families over one; first with a
/// password and the shortest times, then without.
#[test]
fn every_kind_of_session_comes_up() {
    let Some(options) = options_with(&[Kind::Frr]) else { return };
    let site = Site::up(Options { routers: 2, remotes: 2, family: Family::Dual, ..options });
    site.pool("pool", &["198.51.100.0/24", "2001:db8:100::/64"]);
    advertisement(&site, "all", &json!({}));
    let service = site.service("web", &json!({"ipFamilyPolicy": "RequireDualStack"}));
    let mut routers: Vec<_> = (0..ROUTERS.len()).map(|it| start(&site, it)).collect();
    for has_password in [true, false] {
        for (number, (name, asn, ipv4, ipv6, is_far)) in ROUTERS.iter().enumerate() {
            routers[number].reconfigure(expected(number, has_password)).unwrap();
            let spec = |address: &str, is_dual: bool| {
                let mut spec = json!({"peerASN": asn, "peerAddress": address, "connectTime": "1s"});
                if has_password {
                    spec["password"] = "secret".into();
                    spec["holdTime"] = "3s".into();
                    spec["keepaliveTime"] = "1s".into();
                }
                if is_dual {
                    spec["dualStackAddressFamily"] = true.into();
                }
                if *is_far && *asn != OWN {
                    spec["ebgpMultiHop"] = true.into();
                }
                spec
            };
            peer(&site, &format!("{name}-ipv4"), &["node-1"], &spec(ipv4, false));
            peer(&site, &format!("{name}-ipv6"), &["node-2"], &spec(ipv6, false));
            peer(&site, &format!("{name}-dual"), &["node-3"], &spec(ipv4, true));
        }
        for router in &routers {
            seen(router, has_password);
            for address in &service {
                told(router, *address);
            }
        }
    }
}

fn start(site: &Site, number: usize) -> Router {
    site.lab.start_router(ROUTERS[number].0, Kind::Frr, expected(number, true)).unwrap()
}

fn expected(number: usize, has_password: bool) -> Configuration {
    let (_, asn, _, _, is_far) = ROUTERS[number];
    let last = u8::try_from(number + 1).unwrap();
    let mut all = configuration(asn, last, &sessions(), RemoteAsn::Is(OWN));
    for neighbour in &mut all.neighbours {
        neighbour.multihop = is_far.then_some(4);
        if has_password {
            neighbour.password = Some("secret".to_owned());
            neighbour.hold = Duration::from_secs(30);
        }
    }
    all.neighbours[2].families = Families::BOTH;
    all
}

/// One of each kind: the last is for both families.
fn sessions() -> [IpAddr; 3] {
    [address(1, true), address(2, false), address(3, true)]
}

fn seen(router: &Router, has_password: bool) {
    has_sessions(router, &sessions());
    let times = if has_password { (Some(3), Some(1)) } else { (Some(9), Some(3)) };
    for (number, neighbour) in sessions().iter().enumerate() {
        let who = format!("{} of {neighbour}", router.member());
        let state = router.neighbour(&neighbour.to_string()).unwrap();
        assert_eq!(state.asn, Some(OWN), "{who}");
        assert_eq!((state.hold_secs, state.keepalive_secs), times, "{who}");
        let families = [Capability::Ipv4, Capability::Ipv6].map(|family| state.can(family));
        assert_eq!(families, [number != 1, number != 0], "{who}: exactly the families of the neighbour");
        assert!(state.can(Capability::FourOctetAsn) && state.can(Capability::RouteRefresh), "{who}");
        assert!(
            !state.can(Capability::GracefulRestart) || state.restart_time_secs == Some(0),
            "{who}: {state:?}"
        );
    }
}

/// All nodes that a family is exchanged with are equally good ways, with the same path.
fn told(router: &Router, service: IpAddr) {
    let is_ipv4 = service.is_ipv4();
    let nodes = if is_ipv4 { [1, 3] } else { [2, 3] };
    let nodes = nodes.map(|node| address(node, is_ipv4));
    let far = match (router.member().starts_with("remote"), is_ipv4) {
        (true, true) => Some(ip("10.40.0.1")),
        (true, false) => Some(ip("fd00:10:40::1")),
        _ => None,
    };
    match far {
        // All ways lead over the one router.
        Some(gateway) => has_ways(router, &host(service), &[gateway]),
        None => has_ways(router, &host(service), &nodes),
    }
    let mut paths = Vec::new();
    // A gateway that is the same for both does not say so.
    eventually("both are used", || {
        paths = router.paths(&host(service)).unwrap();
        paths.len() == 2 && paths.iter().all(|path| path.is_used)
    });
    let is_internal = router.configuration().asn == OWN;
    for path in &paths {
        assert_eq!(path.as_path, if is_internal { vec![] } else { vec![OWN] });
        assert_eq!((path.origin.as_str(), path.med), ("igp", None));
        assert!(!is_internal || path.local_preference == Some(100), "{path:?}");
        assert!(nodes.iter().any(|node| path.next_hops.contains(node)), "{path:?}");
        assert!(path.communities.is_empty());
    }
}

/// 54, 56, 73, 83: numbers that a peer takes from the OPEN, those it does not take, and those that stand for others.
#[test]
fn numbers_are_what_both_sides_agree_on() {
    let Some(options) = options_with(&[Kind::Frr]) else { return };
    // Only a session that FRR asked for itself counts what it was told before it came about.
    let speaker_arguments = ["--bgp-listen", "0.0.0.0"].map(str::to_owned).into();
    let site = Site::up(Options { routers: 1, speaker_arguments, ..options });
    let neighbours = [(1, FAR), (2, OWN), (3, 64_520)];
    let neighbours = neighbours.map(|(node, asn)| Neighbour::new(address(node, true), RemoteAsn::Is(asn)));
    let configuration = Configuration::new(OTHER, [192, 0, 2, 1].into(), neighbours.into());
    let router = site.lab.start_router("router", Kind::Frr, configuration).unwrap();
    let spec = |further: Value| {
        let mut spec = json!({"peerAddress": "10.10.0.1", "routerID": "10.10.10.1", "connectTime": "1s"});
        spec.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        spec
    };
    let right = json!({"myASN": FAR, "dynamicASN": "external"});
    peer(&site, "right", &["node-1"], &spec(right));
    peer(&site, "wrong", &["node-2"], &spec(json!({"dynamicASN": "internal"})));
    peer(&site, "local", &["node-3"], &spec(json!({"peerASN": OTHER, "localASN": 64_520})));
    has_sessions(&router, &[address(1, true), address(3, true)]);
    for (node, asn) in [(1, FAR), (3, 64_520)] {
        let state = router.neighbour(&address(node, true).to_string()).unwrap();
        assert_eq!((state.asn, state.router_id), (Some(asn), Some([10, 10, 10, 1].into())));
    }
    let wrong = address(2, true).to_string();
    // Bad peer AS (RFC 4271, 6.2), again and again, and no session.
    eventually("it is told why", || {
        router.neighbour(&wrong).unwrap().last_reset.is_some_and(|it| it.contains("Bad Peer AS"))
    });
    stays("no session", || !router.neighbour(&wrong).unwrap().is_established);
    assert_eq!(times_established(&router), 2);
    site.pool("pool", &["198.51.100.0/24"]);
    advertisement(&site, "all", &json!({}));
    let service = host(site.service("web", &json!({}))[0]);
    has_ways(&router, &service, &[address(1, true), address(3, true)]);
    let mut seen: Vec<_> = router.paths(&service).unwrap().into_iter().map(|path| path.as_path).collect();
    seen.sort();
    assert_eq!(seen, [vec![64_520], vec![FAR]]);
}

/// 95
#[test]
fn a_cable_is_enough() {
    let Some(options) = options_with(&[Kind::Frr]) else { return };
    let site = Site::up(Options { has_links: true, family: Family::Dual, ..options });
    let neighbours =
        NODES.map(|node| Neighbour { is_passive: true, ..Neighbour::on(node, None, RemoteAsn::External) });
    let configuration = Configuration::new(OTHER, [192, 0, 2, 1].into(), neighbours.into());
    let router = site.lab.start_router("router", Kind::Frr, configuration).unwrap();
    peer(&site, "cable", &[], &json!({"interface": "link0", "peerASN": OTHER, "connectTime": "1s"}));
    site.pool("pool", &["198.51.100.0/24", "2001:db8:100::/64"]);
    advertisement(&site, "all", &json!({}));
    let service = site.service("web", &json!({"ipFamilyPolicy": "RequireDualStack"}));
    for node in NODES {
        eventually(&format!("a session with {node}"), || router.neighbour(node).unwrap().is_established);
        assert!(router.neighbour(node).unwrap().can(Capability::ExtendedNextHop));
    }
    let mut expected: Vec<_> = service.iter().copied().map(host).collect();
    expected.sort();
    eventually("the prefixes and no other", || {
        router.kernel_routes().unwrap().into_keys().collect::<Vec<_>>() == expected
    });
    for address in service {
        let ways = || router.kernel_route(&host(address)).unwrap().unwrap_or_default().ways;
        eventually("all cables", || ways().len() == NODES.len());
        for (way, node) in ways().iter().zip(NODES) {
            let is_link_local = |it: IpAddr| matches!(it, IpAddr::V6(it) if it.segments()[0] == 0xfe80);
            assert!(way.gateway.is_some_and(is_link_local), "{way:?} to {node}");
        }
    }
}

/// 69, 70, 71: the side that is reset is back within twice the time to connect, and takes new timers with it. Passive.
#[test]
fn sessions_come_back_and_take_new_timers_with_them() {
    let Some(options) = options_with(&[Kind::Frr, Kind::Bird]) else { return };
    let site = Site::up(Options { nodes: 1, routers: 2, ..options });
    let passive = |asn, last| {
        let mut configuration = configuration(asn, last, &[address(1, true)], RemoteAsn::External);
        configuration.neighbours[0].is_passive = true;
        configuration.neighbours[0].hold = Duration::from_secs(180);
        configuration.neighbours[0].keepalive = Duration::from_secs(60);
        configuration
    };
    let routers = [("router", Kind::Frr, OTHER, 1), ("router-2", Kind::Bird, OTHER + 1, 2)];
    let routers = routers
        .map(|(member, kind, asn, last)| site.lab.start_router(member, kind, passive(asn, last)).unwrap());
    let set = |hold: u64, keepalive: u64| {
        for (name, asn, address) in [("frr", OTHER, "10.10.0.1"), ("bird", OTHER + 1, "10.10.0.3")] {
            let hold = format!("{hold}s");
            let keepalive = format!("{keepalive}s");
            let times = json!({"holdTime": hold, "keepaliveTime": keepalive, "connectTime": "2s"});
            let mut spec = json!({"peerASN": asn, "peerAddress": address});
            spec.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
            peer(&site, name, &[], &spec);
        }
    };
    let node = address(1, true);
    let hold = |router: &Router| router.neighbour(&node.to_string()).unwrap().hold_secs;
    set(180, 60);
    for router in &routers {
        has_sessions(router, &[node]);
        assert_eq!(hold(router), Some(180));
    }
    set(30, 10);
    for router in &routers {
        eventually("the speaker knows the new ones", || {
            router.clear(None).unwrap();
            let cleared = Instant::now();
            let is_back = || router.neighbour(&node.to_string()).unwrap().is_established;
            // What is still there of the old session does not count.
            std::thread::sleep(Duration::from_millis(100));
            eventually("it is back", is_back);
            assert!(cleared.elapsed() < Duration::from_secs(4).min(DEADLINE));
            hold(router) == Some(30)
        });
    }
}

/// 57: nobody talks to whoever has another password, and one that comes later, from a Secret, is enough.
#[test]
fn passwords_are_the_same_on_both_sides() {
    let Some(options) = options_with(&[Kind::Frr]) else { return };
    let site = Site::up(Options { nodes: 1, routers: 1, ..options });
    let mut configuration = configuration(OTHER, 1, &[address(1, true)], RemoteAsn::External);
    configuration.neighbours[0].password = Some("secret".to_owned());
    let router = site.lab.start_router("router", Kind::Frr, configuration).unwrap();
    let spec = |further: Value| {
        let mut spec = json!({"peerASN": OTHER, "peerAddress": "10.10.0.1", "connectTime": "1s"});
        spec.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        spec
    };
    let is_up = || router.neighbour(&address(1, true).to_string()).unwrap().is_established;
    for wrong in [json!({}), json!({"password": "terces"})] {
        peer(&site, "router", &[], &spec(wrong));
        stays("no session", || !is_up());
    }
    peer(&site, "router", &[], &spec(json!({"passwordSecret": {"name": "router"}})));
    stays("no session", || !is_up());
    site.post(
        "/api/v1/namespaces/metallb-system/secrets",
        &json!({
            "metadata": {"name": "router"},
            "type": "kubernetes.io/basic-auth",
            "stringData": {"password": "secret"},
        }),
    );
    has_sessions(&router, &[address(1, true)]);
}
