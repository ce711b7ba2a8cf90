//! The routers with each other: what is asserted of speakers later is worth nothing if these do not hold.

use std::net::IpAddr;
use std::time::Duration;

use ferrolb::lab::routers::{
    Attributes, Capability, Configuration, Families, Kind, Neighbour, Own, Path, RemoteAsn, Router,
};
use ferrolb::lab::{Family, Lab, Options};

use super::{ip, options_with};
use crate::site::{eventually, stays};

/// Told by those that have no kernel.
const COMMON: &str = "203.0.113.1/32";
const MEMBERS: [(&str, Kind, u32, &str); 4] = [
    ("router", Kind::Frr, 64_501, "10.10.0.1"),
    ("router-2", Kind::Bird, 64_502, "10.10.0.3"),
    ("router-3", Kind::GoBgp, 4_200_000_003, "10.10.0.4"),
    ("router-4", Kind::ExaBgp, 64_504, "10.10.0.5"),
];

fn own(prefix: &str, attributes: Attributes) -> Own {
    Own { prefix: prefix.to_owned(), attributes }
}

fn attributes(number: u32) -> Attributes {
    Attributes {
        med: Some(number),
        communities: vec![(65_535, 0), (1, 2)],
        large_communities: vec![[number, 1, 2]],
        ..Attributes::default()
    }
}

/// Everybody with everybody, with a password, and short times.
fn meshed(number: usize) -> Configuration {
    let (_, kind, asn, address) = MEMBERS[number];
    let others = MEMBERS.iter().enumerate().filter(|(other, _)| *other != number);
    let neighbours = others.map(|(_, (_, theirs, asn, address))| Neighbour {
        password: Some("secret".to_owned()),
        hold: Duration::from_secs(3),
        keepalive: Duration::from_secs(1),
        has_graceful_restart: [kind, *theirs].contains(&Kind::ExaBgp),
        ..Neighbour::new(ip(address), RemoteAsn::Is(*asn))
    });
    let IpAddr::V4(id) = ip(address) else { unreachable!() };
    let mut configuration = Configuration::new(asn, id, neighbours.collect());
    let last = u32::try_from(number).unwrap();
    configuration.own.push(own(&format!("198.51.100.{number}/32"), attributes(last)));
    if matches!(kind, Kind::GoBgp | Kind::ExaBgp) {
        configuration.own.push(own(COMMON, Attributes::default()));
    }
    configuration
}

fn is_up(router: &Router, neighbour: &str) -> bool {
    router.neighbour(neighbour).unwrap().is_established
}

/// The one path that a neighbour told by itself.
fn told_by(router: &Router, prefix: &str, neighbour: &str) -> Option<Path> {
    let paths = router.paths(prefix).unwrap();
    paths.into_iter().find(|path| path.from == Some(ip(neighbour)) && path.as_path.len() <= 1)
}

#[test]
fn four_kinds_of_routers_understand_each_other() {
    let Some(options) = options_with(&MEMBERS.map(|it| it.1)) else { return };
    let lab = Lab::up(Options { nodes: 1, routers: 4, has_speakers: false, ..options }).unwrap();
    let start = |number: usize| {
        let (member, kind, ..) = MEMBERS[number];
        lab.start_router(member, kind, meshed(number)).unwrap()
    };
    let mut routers: Vec<_> = (0..MEMBERS.len()).map(start).collect();
    for (number, router) in routers.iter().enumerate() {
        for (other, (_, kind, asn, address)) in
            MEMBERS.iter().enumerate().filter(|(other, _)| *other != number)
        {
            let who = format!("{} and {kind:?}", router.member());
            eventually(&format!("{who} have a session"), || is_up(router, address));
            let state = router.neighbour(address).unwrap();
            assert_eq!(
                (state.asn, state.router_id.map(IpAddr::V4)),
                (Some(*asn), Some(ip(address))),
                "{who}"
            );
            assert_eq!(state.hold_secs, Some(3), "{who}");
            assert!(state.can(Capability::Ipv4) && !state.can(Capability::Ipv6), "{who}: {state:?}");
            assert!(state.can(Capability::RouteRefresh) && state.can(Capability::FourOctetAsn), "{who}");
            let expected = Path {
                from: Some(ip(address)),
                next_hops: vec![ip(address)],
                as_path: vec![*asn],
                origin: "igp".to_owned(),
                med: Some(u32::try_from(other).unwrap()),
                communities: vec!["1:2".to_owned(), "65535:0".to_owned()],
                large_communities: vec![format!("{other}:1:2")],
                ..Path::default()
            };
            let prefix = format!("198.51.100.{other}/32");
            eventually(&format!("{who}: a path to {prefix}"), || told_by(router, &prefix, address).is_some());
            let path = told_by(router, &prefix, address).unwrap();
            // What stands for a preference that was not told is the router's own affair.
            let path = Path { is_best: false, is_used: false, local_preference: None, ..path };
            assert_eq!(path, expected, "{who}");
        }
    }
    // Those that have a kernel use all equally good ways at once.
    let [goes, stays] = ["10.10.0.4", "10.10.0.5"].map(ip);
    let ways = |router: &Router| router.kernel_route(COMMON).unwrap().unwrap_or_default().gateways();
    for router in &routers[..2] {
        eventually("the kernel uses all ways", || ways(router) == [goes, stays]);
    }
    // One that is killed is missed at once; one that asked for time is waited for.
    routers[2].kill();
    routers[3].kill();
    for router in &routers[..2] {
        eventually("only the one that asked", || ways(router) == [stays]);
    }
    assert!(told_by(&routers[0], COMMON, "10.10.0.5").is_some_and(|path| path.is_stale));
    routers[3].start().unwrap();
    eventually("it is back", || told_by(&routers[0], COMMON, "10.10.0.5").is_some_and(|path| !path.is_stale));
    lab.down().unwrap();
}

#[test]
fn routers_are_asked_and_told_while_they_run() {
    let Some(options) = options_with(&[Kind::Frr, Kind::Bird]) else { return };
    let family = Family::Dual;
    let options =
        Options { nodes: 1, routers: 2, remotes: 1, has_links: true, has_speakers: false, family, ..options };
    let lab = Lab::up(options).unwrap();
    let link_local = link_local(&lab);
    // FRR: to BIRD over both families, to the remote one as to its own, to the node over a cable.
    let secret = |address: &str| Neighbour {
        password: Some("secret".to_owned()),
        ..Neighbour::new(ip(address), RemoteAsn::External)
    };
    let secured = |address: &str| Neighbour {
        has_ttl_security: true,
        families: Families::BOTH,
        ..Neighbour::new(ip(address), RemoteAsn::External)
    };
    let internal = |address: &str| Neighbour { asn: RemoteAsn::Internal, ..secret(address) };
    let restarting = |neighbour: Neighbour| Neighbour { has_graceful_restart: true, ..neighbour };
    let neighbours = vec![
        restarting(secret("10.10.0.3")),
        secured("fd00:10:10::3"),
        Neighbour { source: Some(ip("10.10.0.1")), ..internal("10.40.0.11") },
        Neighbour::on("node-1", None, RemoteAsn::External),
    ];
    let mut frr = Configuration::new(64_501, [1, 1, 1, 1].into(), neighbours);
    frr.own.push(own("198.51.100.1/32", attributes(1)));
    frr.own.push(own("2001:db8::1/128", attributes(1)));
    let mut router = lab.start_router("router", Kind::Frr, frr).unwrap();
    let neighbours = vec![restarting(secret("10.10.0.1")), secured("fd00:10:10::1")];
    let mut bird = Configuration::new(64_502, [2, 2, 2, 2].into(), neighbours);
    bird.own.push(own("198.51.100.2/32", attributes(2)));
    let second = lab.start_router("router-2", Kind::Bird, bird.clone()).unwrap();
    let neighbours = vec![internal("10.10.0.1")];
    let mut remote = Configuration::new(64_501, [3, 3, 3, 3].into(), neighbours);
    let preferred = Attributes { local_preference: Some(50), ..attributes(3) };
    remote.own.push(own("198.51.100.3/32", preferred));
    let remote = lab.start_router("remote", Kind::Bird, remote).unwrap();
    let neighbours = vec![Neighbour::on("link0", Some(link_local), RemoteAsn::External)];
    let mut node = Configuration::new(64_504, [4, 4, 4, 4].into(), neighbours);
    node.own.push(own("198.51.100.4/32", attributes(4)));
    let node = lab.start_router("node-1", Kind::Bird, node).unwrap();

    for neighbour in ["10.10.0.3", "fd00:10:10::3", "10.40.0.11", "node-1"] {
        eventually(&format!("a session with {neighbour}"), || is_up(&router, neighbour));
    }
    for (router, prefix, gateway) in [
        (&router, "198.51.100.2/32", Some("10.10.0.3")),
        (&router, "198.51.100.3/32", Some("10.40.0.11")),
        (&router, "198.51.100.4/32", None),
        (&second, "198.51.100.1/32", Some("10.10.0.1")),
        (&second, "2001:db8::1/128", Some("fd00:10:10::1")),
        (&remote, "198.51.100.1/32", Some("10.40.0.1")),
        (&node, "198.51.100.1/32", None),
    ] {
        let mut found = None;
        eventually(&format!("{prefix} in the kernel of {}", router.member()), || {
            found = router.kernel_route(prefix).unwrap();
            found.is_some()
        });
        let gateways = found.unwrap().gateways();
        match gateway {
            Some(gateway) => assert_eq!(gateways, [ip(gateway)], "{prefix}"),
            None => assert!(matches!(gateways[..], [IpAddr::V6(_)]), "{prefix}: {gateways:?}"),
        }
    }
    assert!(router.neighbour("10.10.0.3").unwrap().can(Capability::GracefulRestart));
    assert!(!router.neighbour("fd00:10:10::3").unwrap().can(Capability::GracefulRestart));
    assert!(router.neighbour("node-1").unwrap().can(Capability::ExtendedNextHop));

    let path = told_by(&router, "198.51.100.3/32", "10.40.0.11").unwrap();
    assert_eq!((path.local_preference, path.as_path.len()), (Some(50), 0));

    asked_and_cleared(&router, &second);
    reconfigured(&mut router);
    bird.neighbours[0].password = Some("wrong".to_owned());
    let mut second = second;
    second.reconfigure(bird.clone()).unwrap();
    eventually("the session is lost", || !is_up(&router, "10.10.0.3"));
    stays("no session with another password", || !is_up(&router, "10.10.0.3"));
    bird.neighbours[0].password = Some("secret".to_owned());
    second.reconfigure(bird).unwrap();
    eventually("the session is back", || is_up(&router, "10.10.0.3"));
    router.end();
    assert_eq!(router.kernel_routes().unwrap().len(), 0);
}

/// Of the first router's end of its cable to the first node.
fn link_local(lab: &Lab) -> IpAddr {
    let command =
        lab.command("router", "ip").unwrap().args(["-6", "-o", "addr", "show", "dev", "node-1"]).output();
    let said = String::from_utf8(command.unwrap().stdout).unwrap();
    let address = said.split_whitespace().find(|word| word.starts_with("fe80:")).unwrap();
    ip(address.split('/').next().unwrap())
}

fn asked_and_cleared(router: &Router, second: &Router) {
    let count = |kind: &str| router.neighbour("10.10.0.3").unwrap().received[kind];
    let updates = count("update");
    router.refresh("10.10.0.3").unwrap();
    eventually("all is told anew", || count("update") > updates);
    let refreshes = || router.neighbour("10.10.0.3").unwrap().received["refresh"];
    let before = refreshes();
    second.refresh("10.10.0.1").unwrap();
    eventually("a question for it", || refreshes() > before);
    let times = || router.neighbour("10.10.0.3").unwrap().times_established.unwrap();
    let before = times();
    router.clear(Some("10.10.0.3")).unwrap();
    eventually("it was reset and is back", || times() > before && is_up(router, "10.10.0.3"));
}

/// Timers change without a reset, and one that is removed is gone.
fn reconfigured(router: &mut Router) {
    let mut configuration = router.configuration().clone();
    configuration.neighbours[1].hold = Duration::from_secs(30);
    configuration.neighbours[1].keepalive = Duration::from_secs(10);
    configuration.neighbours.retain(|neighbour| neighbour.name() != "10.40.0.11");
    router.reconfigure(configuration).unwrap();
    assert!(is_up(router, "fd00:10:10::3"));
    assert_eq!(router.neighbour("fd00:10:10::3").unwrap().hold_secs, Some(9));
    router.clear(Some("fd00:10:10::3")).unwrap();
    eventually("the new timers", || {
        let state = router.neighbour("fd00:10:10::3").unwrap();
        state.is_established && state.keepalive_secs == Some(3) && state.hold_secs == Some(9)
    });
    assert!(!router.neighbours().unwrap().contains_key("10.40.0.11"));
    eventually("its route is gone", || router.kernel_route("198.51.100.3/32").unwrap().is_none());
}
