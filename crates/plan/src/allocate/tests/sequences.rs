//! What a controller lives through: pools that come and go, Services that wait, restarts.

use super::*;

/// A controller in small: all Services, and passes over them until nothing changes.
struct Cluster {
    allocator: Allocator,
    services: Vec<Service>,
}

impl Cluster {
    fn new(pools: impl IntoIterator<Item = Pool>, services: impl IntoIterator<Item = Service>) -> Cluster {
        let mut cluster = Cluster { allocator: allocator(pools), services: services.into_iter().collect() };
        cluster.reprocess();
        cluster
    }

    /// What is said, each text once.
    fn reprocess(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        self.services.sort_by_key(|service| Reverse(service.ingress.len()));
        self.allocator.claim_all(&self.services);
        loop {
            let mut world_changed = false;
            for service in &mut self.services {
                let decision = settle(&mut self.allocator, service);
                world_changed |= decision.world_changed;
                events.extend(
                    texts(&decision).into_iter().filter(|text| !events.contains(text)).collect::<Vec<_>>(),
                );
            }
            if !world_changed {
                return events;
            }
        }
    }

    fn set_pools(&mut self, of: impl IntoIterator<Item = Pool>) -> Vec<String> {
        self.allocator.set_pools(pools(of));
        self.reprocess()
    }

    /// Only the decision about the changed Service says whether anybody else is looked at.
    fn change(&mut self, name: &str, change: impl FnOnce(Service) -> Service) {
        let index = self.services.iter().position(|service| *service.key.name == *name).unwrap();
        let service = self.services.remove(index);
        self.services.insert(index, change(service));
        if settle(&mut self.allocator, &mut self.services[index]).world_changed {
            self.reprocess();
        }
    }

    fn delete(&mut self, name: &str) {
        let index = self.services.iter().position(|service| *service.key.name == *name).unwrap();
        if self.allocator.remove(&self.services.remove(index).key) {
            self.reprocess();
        }
    }

    fn restart(&mut self) -> Vec<String> {
        let pools = self.allocator.pools().iter().map(|state| state.config.clone()).collect::<Vec<_>>();
        self.allocator = allocator(pools);
        self.reprocess()
    }

    fn status(&self, name: &str) -> String {
        let service = self.services.iter().find(|service| *service.key.name == *name).unwrap();
        let addresses: Vec<_> = service.ingress.iter().filter_map(|entry| entry.ip.clone()).collect();
        addresses.join(" ")
    }
}

fn one_address() -> [Pool; 1] {
    [pool("default", &["1.2.3.0/32"])]
}

#[test]
fn nothing_is_decided_before_the_pools_are_known() {
    let mut allocator = Allocator::new(Options::default());
    let service = service("s").status(&["1.2.3.0"]);
    assert!(!allocator.claim(&service));
    let decision = allocator.converge(&service);
    assert_eq!((&decision.write, &decision.refusal), (&None, &Some(Refusal::PoolsNotLoaded)));
    assert_eq!(decision.events, []);
    allocator.set_pools(BTreeMap::new());
    allocator.set_pools(pools([pool("default", &["1.2.3.0/24"])]));
    assert_eq!(allocator.converge(&service).addresses, ips(&["1.2.3.0"]));
}

#[test]
fn without_any_pool_the_status_is_emptied_in_silence() {
    let mut cluster = Cluster::new(one_address(), [service("s")]);
    assert_eq!(cluster.status("s"), "1.2.3.0");
    assert_eq!(cluster.set_pools([]), [""; 0]);
    assert_eq!(cluster.status("s"), "");
    let decision = cluster.allocator.converge(&cluster.services[0]);
    assert_eq!(decision.refusal, Some(Refusal::NoPools));
    assert!(!cluster.services[0].annotations.contains_key(POOL_ANNOTATION));
}

#[test]
fn a_waiting_service_gets_what_is_freed() {
    let mut cluster = Cluster::new(one_address(), [service("s1"), service("s2")]);
    assert_eq!((cluster.status("s1"), cluster.status("s2")), ("1.2.3.0".to_owned(), String::new()));
    cluster.delete("s1");
    assert_eq!(cluster.status("s2"), "1.2.3.0");

    let mut cluster = Cluster::new(one_address(), [service("s1"), service("s2")]);
    cluster.change("s1", |service| service.of_type("ClusterIP"));
    assert_eq!((cluster.status("s1"), cluster.status("s2")), (String::new(), "1.2.3.0".to_owned()));
}

#[test]
fn a_service_moves_only_when_its_pool_goes() {
    let mut cluster = Cluster::new(one_address(), [service("s")]);
    assert_eq!(cluster.services[0].annotations[POOL_ANNOTATION], "default");
    let second = || pool("second", &["4.5.6.0/24"]);
    let [default] = one_address();
    assert_eq!(cluster.set_pools([default, second()]), [""; 0]);
    assert_eq!(cluster.status("s"), "1.2.3.0");
    assert_eq!(
        cluster.set_pools([second()]),
        [
            r#"Normal ClearAssignment: current IP for "default/s" not allowed by config, will attempt for new IP assignment: ["1.2.3.0"] is not allowed in config"#,
            r#"Normal IPAllocated: Assigned IP ["4.5.6.0"]"#,
        ]
    );
    assert_eq!(
        (&*cluster.status("s"), &*cluster.services[0].annotations[POOL_ANNOTATION]),
        ("4.5.6.0", "second")
    );
}

#[test]
fn what_a_pool_has_become_matters_only_if_it_excludes_the_holder() {
    let mut cluster = Cluster::new(one_address(), [service("s")]);
    let [default] = one_address();
    for (case, changed) in [
        ("manual", default.clone().manual()),
        ("renamed", pool("other", &["1.2.3.0/32"])),
        ("pinned to it", default.clone().pinned(3, &["default"], None)),
    ] {
        assert_eq!(
            cluster.set_pools([changed, pool("zz", &["9.9.9.9/32"]).pinned(1, &[], None)]),
            [""; 0],
            "{case}"
        );
        assert_eq!(cluster.status("s"), "1.2.3.0", "{case}");
    }
    let events = cluster.set_pools([default.pinned(0, &["elsewhere"], None)]);
    assert_eq!(
        events,
        [
            r#"Normal ClearAssignment: current IP for "default/s" not allowed by config, will attempt for new IP assignment: pool default not compatible for ip assignment"#,
            r#"Warning AllocationFailed: Failed to allocate IP for "default/s": no available IPs"#,
        ]
    );
    assert_eq!(cluster.status("s"), "");
}

#[test]
fn a_restart_changes_nothing() {
    let services = ["a", "b", "c", "d", "e"].map(service);
    let mut cluster = Cluster::new([pool("default", &["1.2.3.0/32", "1.2.3.7/32", "1.2.3.5/32"])], services);
    let before = cluster.services.clone();
    for _ in 0..5 {
        // Those that wait say so again.
        assert_eq!(cluster.restart().len(), 2);
        assert_eq!(cluster.services, before);
    }
    assert_eq!(["a", "b", "c", "d"].map(|name| cluster.status(name)), ["1.2.3.0", "1.2.3.7", "1.2.3.5", ""]);
}

#[test]
fn sharing_ends_and_begins_with_the_backends() {
    let shares = |name: &str, port: &str| {
        service(name)
            .shares("key")
            .ports(&[port])
            .local("web")
            .with(|service| service.local_traffic_only = false)
    };
    let mut cluster = Cluster::new(one_address(), [shares("s1", "TCP/1"), shares("s2", "TCP/2")]);
    let expect = |cluster: &Cluster, s1: &str, s2: &str| {
        assert_eq!((&*cluster.status("s1"), &*cluster.status("s2")), (s1, s2));
    };
    expect(&cluster, "1.2.3.0", "1.2.3.0");
    cluster.change("s2", |service| service.local("web"));
    expect(&cluster, "1.2.3.0", "");
    cluster.change("s1", |service| service.local("web"));
    expect(&cluster, "1.2.3.0", "1.2.3.0");
    cluster.change("s1", |service| service.local("db"));
    expect(&cluster, "", "1.2.3.0");
    cluster.change("s2", |service| service.local("db"));
    expect(&cluster, "1.2.3.0", "1.2.3.0");
}

#[test]
fn an_address_that_becomes_shareable_lets_a_waiting_sharer_in() {
    let mut cluster =
        Cluster::new(one_address(), [service("s1"), service("s2").shares("key").ports(&["TCP/443"])]);
    assert_eq!(cluster.status("s2"), "");
    cluster.change("s1", |service| service.shares("key"));
    assert_eq!((cluster.status("s1"), cluster.status("s2")), ("1.2.3.0".to_owned(), "1.2.3.0".to_owned()));
}

#[test]
fn a_freed_port_lets_a_waiting_sharer_in() {
    let shares = |name: &str| service(name).shares("key");
    let mut cluster = Cluster::new(one_address(), [shares("s1"), shares("s2")]);
    assert_eq!(cluster.status("s2"), "");
    cluster.change("s1", |service| service.ports(&["TCP/443"]));
    assert_eq!((cluster.status("s1"), cluster.status("s2")), ("1.2.3.0".to_owned(), "1.2.3.0".to_owned()));
}

#[test]
fn an_address_that_stays_in_the_status_stays_held() {
    let unusable = |service: Service| service.cluster(&["None"]);
    let mut cluster = Cluster::new(one_address(), [service("s1"), service("s2")]);
    cluster.change("s1", unusable);
    for _ in 0..2 {
        assert_eq!((cluster.status("s1"), cluster.status("s2")), ("1.2.3.0".to_owned(), String::new()));
        cluster.restart();
    }
    // The same with a pool that came back only after the cluster IPs were lost.
    cluster.set_pools([pool("other", &["9.9.9.9/32"])]);
    cluster.set_pools(one_address());
    assert_eq!(cluster.status("s1"), "1.2.3.0");
    assert_eq!(cluster.allocator.held(&cluster.services[0].key).map(|held| held.1), Some("default"));
}

#[test]
fn the_second_family_is_added_only_to_services_that_have_two() {
    let dual_pool = || [pool("default", &["1.2.3.0/31", "1000::/127"])];
    let mut single = Cluster::new(dual_pool(), [service("s").policy(PREFER)]);
    assert_eq!((single.status("s"), single.reprocess()), ("1.2.3.0".to_owned(), vec![]));
    single.change("s", |service| service.cluster(DUAL));
    assert_eq!((single.status("s"), single.reprocess()), ("1.2.3.0 1000::".to_owned(), vec![]));

    let mut v6 =
        Cluster::new([pool("default", &["1000::/127"])], [service("s").policy(PREFER).cluster(DUAL)]);
    assert_eq!(v6.status("s"), "1000::");
    v6.set_pools(dual_pool());
    assert_eq!(v6.status("s"), "1000:: 1.2.3.0", "what is held stays first");

    let both = service("s").policy(PREFER).cluster(DUAL);
    let mut waits = Cluster::new(dual_pool(), [service("a").spec_ip("1.2.3.0"), service("b"), both]);
    assert_eq!(waits.status("s"), "1000::");
    waits.delete("b");
    assert_eq!(waits.status("s"), "1000:: 1.2.3.1", "and gets the second family when that is freed");
}

#[test]
fn the_order_of_the_status_is_never_changed() {
    let dual = service("s").cluster(DUAL).policy(REQUIRE);
    let mut cluster = Cluster::new(
        [pool("default", &["203.0.113.0/24", "2001:db8::/64"])],
        [dual.requests("203.0.113.1,2001:db8::1")],
    );
    for _ in 0..2 {
        assert_eq!(cluster.status("s"), "203.0.113.1 2001:db8::1");
        assert_eq!(cluster.reprocess(), [""; 0]);
        cluster.change("s", |service| service.requests("2001:db8::1,203.0.113.1"));
    }
    cluster.change("s", |service| service.requests("2001:db8::2,203.0.113.1"));
    assert_eq!(cluster.status("s"), "2001:db8::2 203.0.113.1");
    cluster.restart();
    assert_eq!(cluster.status("s"), "2001:db8::2 203.0.113.1");
}

#[test]
fn a_named_address_under_prefer_dual_stack_stays_alone() {
    let mut cluster = Cluster::new(
        [pool("default", &["1.2.3.0/24", "1000::/64"])],
        [service("s").cluster(DUAL).policy(PREFER).status(&["1.2.3.9"]).requests("1.2.3.9")],
    );
    assert_eq!((cluster.status("s"), cluster.reprocess()), ("1.2.3.9".to_owned(), vec![]));
}
