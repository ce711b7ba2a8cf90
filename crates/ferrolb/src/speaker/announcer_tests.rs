use std::net::{IpAddr, Ipv4Addr};

use plan::config::{AddressEntry, L2Advertisement, Pool};
use plan::placement::Wishes;
use plan::selector::Labels;
use plan::snapshot::{Ingress, IpFamilyPolicy, Service, ServiceType};

use super::*;

const ME: &str = "node-a";

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("default", name)
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn these(names: &[&str]) -> Interfaces {
    Interfaces::these(names.iter().map(|&name| name.to_owned()))
}

/// One pool, which the nodes may announce from these interfaces.
fn config(prefix: &str, nodes: &[&str], interfaces: &[&str]) -> Arc<Config> {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let advertisement = L2Advertisement {
        name: "l2".to_owned(),
        nodes: names(nodes),
        interfaces: names(interfaces),
        service_selectors: Vec::new(),
        preferred_nodes: BTreeMap::new(),
        wishes: Wishes::default(),
    };
    let entry = AddressEntry { text: prefix.to_owned(), prefixes: vec![prefix.parse().unwrap()] };
    let pool = Pool {
        name: "pool".to_owned(),
        addresses: vec![entry],
        auto_assign: true,
        avoid_buggy_ips: false,
        scope: None,
        l2_advertisements: vec![Arc::new(advertisement)],
        bgp_advertisements: Vec::new(),
    };
    let pools = [("pool".to_owned(), pool)].into();
    Arc::new(Config { pools, ..Config::default() })
}

fn seen(name: &str, addresses: &[u8]) -> Seen {
    let entry = |last: &u8| Ingress { ip: Some(address(*last).to_string()), hostname: None };
    let service = Service {
        key: key(name),
        labels: Labels::default(),
        annotations: BTreeMap::new(),
        service_type: ServiceType::LoadBalancer,
        load_balancer_class: None,
        load_balancer_ip: String::new(),
        cluster_ips: Vec::new(),
        cluster_ip: String::new(),
        ip_family_policy: IpFamilyPolicy::SingleStack,
        primary_family: None,
        ports: Vec::new(),
        local_traffic_only: false,
        selector: Labels::default(),
        ingress: addresses.iter().map(entry).collect(),
    };
    Seen { service, uid: format!("uid-{name}").into(), resource_version: "1".into(), asked: None }
}

fn slice_of(name: &str) -> (Key, Slice) {
    let serving = Serving { anywhere: true, nodes: [("node-b".to_owned(), 1)].into() };
    (("default".into(), format!("{name}-1").into()), Slice { service: key(name), serving })
}

/// With one node, one interface, one Service that can be served, and everything seen.
fn announcer() -> Announcer {
    let mut announcer = Announcer::new(ME, announce::Options::default());
    let node = Node {
        name: ME.to_owned(),
        labels: Labels::default(),
        network_unavailable: false,
        is_draining: false,
    };
    announcer.set_nodes([(ME.to_owned(), node)].into());
    announcer.set_interfaces(["eth0".to_owned()].into());
    announcer.set_alive(Alive::Everyone);
    announcer.set_config(config("192.0.2.0/24", &[ME], &[]));
    announcer.has_all_services();
    announcer.has_all_slices();
    serve(&mut announcer, "a");
    announcer.observe(seen("a", &[1]));
    announcer
}

fn decide(announcer: &mut Announcer) -> Effects {
    announcer.decide(&|_| Told::Nobody)
}

fn serve(announcer: &mut Announcer, name: &str) {
    let (key, slice) = slice_of(name);
    announcer.observe_slice(key, slice);
}

fn announced(last: u8, interfaces: Interfaces) -> Change {
    Change::Announce { address: address(last), interfaces, claim: Claim::Fresh }
}

fn said(effects: &Effects) -> Vec<(&str, &str)> {
    effects.news.iter().map(|news| (news.reason, news.message.as_str())).collect()
}

const ASSIGNED: (&str, &str) = ("nodeAssigned", r#"announcing from node "node-a" with protocol "layer2""#);

#[test]
fn nothing_is_decided_before_everything_was_seen() {
    let mut announcer = Announcer::new(ME, announce::Options::default());
    let node = Node {
        name: ME.to_owned(),
        labels: Labels::default(),
        network_unavailable: false,
        is_draining: false,
    };
    announcer.observe(seen("a", &[1]));
    serve(&mut announcer, "a");
    announcer.set_nodes([(ME.to_owned(), node)].into());
    let steps: [fn(&mut Announcer); 4] = [
        |it| it.set_config(config("192.0.2.0/24", &[ME], &[])),
        |it| it.has_all_services(),
        |it| it.has_all_slices(),
        |it| it.set_interfaces(["eth0".to_owned()].into()),
    ];
    for step in steps {
        step(&mut announcer);
        assert_eq!(decide(&mut announcer).changes, []);
    }
    announcer.set_alive(Alive::Everyone);
    assert_eq!(decide(&mut announcer).changes, [announced(1, Interfaces::All)]);
}

#[test]
fn what_is_announced_is_told_once_and_what_is_not_any_more_is_withdrawn() {
    let mut announcer = announcer();
    let effects = decide(&mut announcer);
    assert_eq!(effects.changes, [announced(1, Interfaces::All)]);
    assert_eq!(said(&effects), [ASSIGNED]);

    announcer.observe(Seen { resource_version: "2".into(), ..seen("a", &[1]) });
    serve(&mut announcer, "a");
    let effects = decide(&mut announcer);
    assert_eq!((effects.changes.len(), effects.news.len(), effects.turned.len()), (0, 0, 0));

    announcer.observe(seen("a", &[2]));
    let effects = decide(&mut announcer);
    assert_eq!(effects.changes, [Change::Withdraw { address: address(1) }, announced(2, Interfaces::All)]);
    assert_eq!(said(&effects), [ASSIGNED]);

    announcer.forget_slice(&slice_of("a").0);
    let effects = decide(&mut announcer);
    assert_eq!(effects.changes, [Change::Withdraw { address: address(2) }]);
    assert_eq!(said(&effects), []);
    assert_eq!(effects.turned.len(), 1);

    serve(&mut announcer, "a");
    assert_eq!(said(&decide(&mut announcer)), [ASSIGNED], "it takes over again, and says so again");
    announcer.forget(&key("a"));
    assert_eq!(decide(&mut announcer).changes, [Change::Withdraw { address: address(2) }]);
    announcer.forget_slice(&slice_of("a").0);
    decide(&mut announcer);
    assert!(announcer.services.is_empty(), "nothing is kept of what is gone");
}

#[test]
fn an_address_that_is_shared_is_answered_for_as_long_as_one_needs_it() {
    let mut announcer = announcer();
    announcer.observe(seen("b", &[1]));
    serve(&mut announcer, "b");
    assert_eq!(decide(&mut announcer).changes, [announced(1, Interfaces::All)]);
    announcer.forget(&key("a"));
    assert_eq!(decide(&mut announcer).changes, []);
    announcer.forget(&key("b"));
    assert_eq!(decide(&mut announcer).changes, [Change::Withdraw { address: address(1) }]);
}

#[test]
fn an_interface_that_is_not_there_is_said_and_the_rest_is_announced() {
    let mut announcer = announcer();
    decide(&mut announcer);
    announcer.set_config(config("192.0.2.0/24", &[ME], &["eth7"]));
    let effects = decide(&mut announcer);
    assert_eq!(effects.changes, [Change::Withdraw { address: address(1) }]);
    let text = r#"the interfaces specified by LB IP "192.0.2.1" doesn't exist in assigned node "node-a" with protocol "layer2""#;
    assert_eq!(said(&effects), [("announceFailed", text)]);
    assert_eq!(
        effects.turned[0].now.as_ref().unwrap().addresses,
        [address(1)].into(),
        "it counts as announced"
    );

    announcer.set_interfaces(["eth0".to_owned(), "eth7".to_owned()].into());
    let effects = decide(&mut announcer);
    assert_eq!(effects.changes, [announced(1, these(&["eth7"]))]);
    announcer.set_interfaces(["eth0".to_owned()].into());
    let effects = decide(&mut announcer);
    assert_eq!(effects.changes, [Change::Withdraw { address: address(1) }]);
    assert_eq!(said(&effects), [("announceFailed", text)]);
}

#[test]
fn a_pool_that_is_in_use_holds_a_configuration_back() {
    let mut announcer = announcer();
    decide(&mut announcer);
    let elsewhere = config("198.51.100.0/24", &[ME], &[]);
    assert_eq!(announcer.would_lose_its_pool(&elsewhere), Some(&key("a")));
    announcer.observe(seen("a", &[]));
    decide(&mut announcer);
    assert_eq!(announcer.would_lose_its_pool(&elsewhere), None);
}

#[test]
fn the_first_that_is_alive_sees_to_what_others_left_behind() {
    let mut announcer = announcer();
    let names = |names: &[&str]| Alive::These(names.iter().map(|&name| name.to_owned()).collect());
    for (alive, sees) in [
        (Alive::Everyone, true),
        (names(&["node-a", "node-b"]), true),
        (names(&["a-node", "node-a"]), false),
        (names(&[]), false),
    ] {
        announcer.set_alive(alive.clone());
        assert_eq!(announcer.sees_to_others(), sees, "{alive:?}");
    }
}

fn alive(names: &[&str]) -> Alive {
    Alive::These(names.iter().map(|&name| name.to_owned()).collect())
}

/// Alone first, and with an address that another node has as soon as it is there.
fn announcer_and_other() -> (Announcer, IpAddr) {
    for last in 1..=50 {
        let mut announcer = announcer();
        announcer.set_config(config("192.0.2.0/24", &[ME, "node-b"], &[]));
        announcer.observe(seen("a", &[last]));
        announcer.set_alive(alive(&[ME]));
        assert_eq!(decide(&mut announcer).changes.len(), 1);
        announcer.set_alive(alive(&[ME, "node-b"]));
        let effects = decide(&mut announcer);
        if !effects.changes.is_empty() {
            assert_eq!(effects.changes, [Change::Yield { address: address(last), within: YIELD_WITHIN }]);
            let prepared = effects.prepared.unwrap();
            assert_eq!(prepared.after, [("node-b".into(), vec![(address(last), Interfaces::All)])].into());
            return (announcer, address(last));
        }
    }
    panic!("one of so many addresses is for the other node");
}

#[test]
fn an_address_that_goes_to_another_node_is_answered_for_until_that_one_is_heard() {
    let (mut announcer, address) = announcer_and_other();
    assert_eq!(announcer.owned().collect::<Vec<_>>(), [(address, &key("a"))]);
    assert!(announcer.is_yielding());
    assert!(announcer.yielded(address));
    assert!(!announcer.is_yielding() && !announcer.yielded(address));
    assert_eq!(announcer.owned().count(), 0);
}

#[test]
fn a_node_that_was_away_lets_go_of_what_is_not_its_own_at_once() {
    let (mut announcer, address) = announcer_and_other();
    announcer.set_alive(alive(&[ME]));
    decide(&mut announcer);
    announcer.was_away();
    announcer.set_alive(alive(&[ME, "node-b"]));
    assert_eq!(decide(&mut announcer).changes, [Change::Withdraw { address }]);
    assert!(!announcer.is_yielding());
}

#[test]
fn what_was_taken_over_by_plan_is_not_announced_twice_and_given_up_if_it_was_wrong() {
    let (mut announcer, address) = announcer_and_other();
    announcer.yielded(address);
    announcer.took_over([(address, Interfaces::All)]);
    announcer.set_alive(alive(&[ME]));
    let effects = decide(&mut announcer);
    assert_eq!((effects.changes, effects.turned.len()), (Vec::new(), 1));
    // It turns out that the other one is there after all.
    announcer.set_alive(alive(&[ME, "node-b"]));
    assert_eq!(decide(&mut announcer).changes, [Change::Yield { address, within: YIELD_WITHIN }]);
    announcer.yielded(address);
    announcer.took_over([(address, Interfaces::All)]);
    assert_eq!(decide(&mut announcer).changes, [], "who is alive is told next");
    announcer.set_alive(alive(&[ME, "node-b"]));
    assert_eq!(decide(&mut announcer).changes, [Change::Withdraw { address }]);
}
