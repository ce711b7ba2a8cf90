//! What holds after any sequence of changes, and a model that finds the first free address by walking.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::allocate::request::{Tenant, requested};

#[derive(Debug, Clone)]
enum Step {
    /// Creates the Service or changes its spec; its status stays.
    Put(Box<Service>),
    /// Changes nothing but how a Service shares.
    Retune(ServiceKey, Sharing),
    Delete(ServiceKey),
    SetPools(BTreeMap<String, Pool>),
    Restart,
}

#[derive(Debug, Clone)]
struct Sharing {
    key: &'static str,
    backend: Option<&'static str>,
    ports: &'static [&'static str],
}

impl Sharing {
    fn of(&self, service: Service) -> Service {
        let service =
            service.shares(self.key).ports(self.ports).with(|service| service.local_traffic_only = false);
        self.backend.into_iter().fold(service, Service::local)
    }
}

fn sharing() -> impl Strategy<Value = Sharing> {
    let ports =
        select(vec![&["TCP/80"][..], &["TCP/443"], &["TCP/80", "UDP/53"], &["UDP/53", "UDP/53"], &[]]);
    (select(vec!["", "k", "k", "l"]), select(vec![None, None, Some("a"), Some("b")]), ports)
        .prop_map(|(key, backend, ports)| Sharing { key, backend, ports })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => any_service().prop_map(|service| Step::Put(Box::new(service))),
        6 => (any_service(), sharing()).prop_map(|(service, sharing)| Step::Retune(service.key, sharing)),
        3 => any_service().prop_map(|service| Step::Delete(service.key)),
        2 => any_pools().prop_map(Step::SetPools),
        1 => Just(Step::Restart),
    ]
}

/// Small and disjoint, so that they are soon full.
fn any_pools() -> impl Strategy<Value = BTreeMap<String, Pool>> {
    let any_pool = |prefixes: &'static [&'static str]| {
        let scope = proptest::option::weighted(
            0.4,
            (-1_i64..3, select(vec![&[][..], &["x"], &["x", "y"]]), select(vec![None, Some(("app", "a"))])),
        );
        (any::<bool>(), proptest::bool::weighted(0.8), scope, select(vec!["p0", "p1", "p2", "p3"])).prop_map(
            move |(avoid_buggy_ips, auto_assign, scope, name)| {
                let mut pool = pool(name, prefixes);
                if let Some((priority, namespaces, label)) = scope {
                    pool = pool.pinned(priority, namespaces, label);
                }
                Pool { avoid_buggy_ips, auto_assign, ..pool }
            },
        )
    };
    // Two of the same name: the later one wins, so there are one to three.
    (
        any_pool(&["10.0.0.254/31", "10.0.0.0/31"]),
        any_pool(&["10.0.1.4/31", "fd00::/127"]),
        any_pool(&["fd01::/128"]),
    )
        .prop_map(|(a, b, c)| pools([a, b, c]))
}

fn any_service() -> impl Strategy<Value = Service> {
    let name = (select(vec!["x", "y"]), select(vec!["s0", "s1", "s2", "s3"]));
    let cluster = select(vec![V4, V4, V6, DUAL, DUAL, &["None"], &[]]);
    let policy = select(vec![IpFamilyPolicy::SingleStack, PREFER, PREFER, REQUIRE]);
    let wanted_pool = select(vec!["", "", "", "", "p0", "p1", "nope"]);
    let requested =
        select(vec!["", "", "", "", "", "10.0.0.0", "10.0.1.4", "fd00::1", "10.0.1.4,fd00::1", "x"]);
    let others = (proptest::bool::weighted(0.9), proptest::bool::weighted(0.95), any::<bool>());
    (name, cluster, policy, sharing(), wanted_pool, requested, others).prop_map(
        |((namespace, name), cluster, policy, sharing, pool, requested, (balances, ours, labelled))| {
            let service = service(name).namespace(namespace).cluster(cluster).policy(policy);
            let mut service = sharing.of(service).wants_pool(pool).requests(requested);
            if labelled {
                service = service.label("app", "a");
            }
            if !balances {
                service = service.of_type("ClusterIP");
            }
            service.with(|service| service.load_balancer_class = (!ours).then(|| "other".to_owned()))
        },
    )
}

/// A controller: it reacts to one change, and to what its decisions say about the rest of the world.
struct World {
    allocator: Allocator,
    pools: BTreeMap<String, Pool>,
    services: BTreeMap<ServiceKey, Service>,
}

impl World {
    fn new(pools: BTreeMap<String, Pool>) -> World {
        let mut world = World { allocator: Allocator::default(), pools, services: BTreeMap::new() };
        world.allocator.set_pools(world.pools.clone());
        world
    }

    fn apply(&mut self, step: Step) {
        let world_changed = match step {
            Step::Put(service) => self.put(*service),
            Step::Retune(key, sharing) => {
                self.services.get(&key).cloned().is_some_and(|service| self.put(sharing.of(service)))
            }
            Step::Delete(key) => {
                self.services.remove(&key);
                self.allocator.remove(&key)
            }
            Step::SetPools(pools) => {
                self.pools = pools;
                self.allocator.set_pools(self.pools.clone());
                true
            }
            Step::Restart => {
                *self =
                    World { services: std::mem::take(&mut self.services), ..World::new(self.pools.clone()) };
                true
            }
        };
        if world_changed {
            self.reprocess();
        }
    }

    fn put(&mut self, mut service: Service) -> bool {
        if let Some(old) = self.services.get(&service.key) {
            service.ingress = old.ingress.clone();
            if let Some(pool) = old.annotations.get(POOL_ANNOTATION) {
                service.annotations.insert(POOL_ANNOTATION.to_owned(), pool.clone());
            }
        }
        let decision = settle(&mut self.allocator, &mut service);
        self.services.insert(service.key.clone(), service);
        decision.world_changed
    }

    fn reprocess(&mut self) {
        let mut order: Vec<ServiceKey> = self.services.keys().cloned().collect();
        order.sort_by_key(|key| Reverse(self.services[key].ingress.len()));
        self.allocator.claim_all(self.services.values());
        for passes in 0.. {
            assert!(passes < 50, "it never ends");
            let mut world_changed = false;
            for key in &order {
                world_changed |=
                    settle(&mut self.allocator, self.services.get_mut(key).unwrap()).world_changed;
            }
            if !world_changed {
                return;
            }
        }
    }

    fn held(&self) -> BTreeMap<ServiceKey, Vec<IpAddr>> {
        let held = |key: &ServiceKey| self.allocator.held(key).map(|(addresses, _)| addresses.to_vec());
        self.services.keys().filter_map(|key| Some((key.clone(), held(key)?))).collect()
    }

    fn listed(&self) -> Vec<Service> {
        self.services.values().cloned().collect()
    }
}

fn addresses_are_shared_by_the_rules_only(world: &World) -> Result<(), TestCaseError> {
    let held = world.held();
    let tenants: Vec<_> =
        held.iter().map(|(key, addresses)| (Tenant::of(&world.services[key]), addresses)).collect();
    for (index, (a, of_a)) in tenants.iter().enumerate() {
        for (b, of_b) in &tenants[index + 1..] {
            if of_a.iter().any(|address| of_b.contains(address)) {
                prop_assert!(a.sharing.is_shareable() && a.sharing == b.sharing, "{} and {}", a.key, b.key);
                prop_assert!(a.ports.iter().all(|port| !b.ports.contains(port)), "{} and {}", a.key, b.key);
            }
        }
    }
    Ok(())
}

fn usable_in(pool: &Pool, address: IpAddr) -> bool {
    let is_buggy = matches!(address, IpAddr::V4(v4) if matches!(v4.octets()[3], 0 | 255));
    pool.prefixes().any(|prefix| prefix.contains(&address)) && !(pool.avoid_buggy_ips && is_buggy)
}

/// Also: who has an address has it written down, with the pool it comes from.
fn addresses_come_from_pools_that_admit_their_holders(world: &World) -> Result<(), TestCaseError> {
    for (key, addresses) in world.held() {
        let service = &world.services[&key];
        let (_, pool) = world.allocator.held(&key).unwrap();
        let config = &world.pools[pool];
        prop_assert!(addresses.iter().all(|&address| usable_in(config, address)), "{} {:?}", key, addresses);
        let recorded: Vec<IpAddr> =
            service.ingress.iter().map(|entry| ip(entry.ip.as_ref().unwrap())).collect();
        prop_assert_eq!(&recorded, &addresses, "{}", &key);
        // Where cluster IPs or request cannot be read nothing is decided, so the pool may be another by now.
        if Families::of_service(service).is_ok() && requested(service).is_ok() {
            prop_assert!(config.admits(&key.namespace, &service.labels), "{} in {}", key, pool);
            prop_assert_eq!(service.annotations.get(POOL_ANNOTATION).map(String::as_str), Some(pool));
        }
    }
    Ok(())
}

fn counters_equal_a_recount(world: &World) -> Result<(), TestCaseError> {
    let held: HashSet<IpAddr> = world.held().into_values().flatten().collect();
    for (name, counters) in world.allocator.all_counters() {
        let count = |family| {
            let in_pool = |address: &&IpAddr| {
                IpFamily::of(**address) == family && usable_in(&world.pools[&name], **address)
            };
            i64::try_from(held.iter().filter(in_pool).count()).unwrap()
        };
        prop_assert_eq!(
            (counters.assigned_v4, counters.assigned_v6),
            (count(IpFamily::V4), count(IpFamily::V6))
        );
        prop_assert_eq!(counters.available_v4, counters.capacity_v4 - counters.assigned_v4);
        prop_assert_eq!(counters.available_v6, counters.capacity_v6 - counters.assigned_v6);
    }
    Ok(())
}

/// Nobody waits for what is free, and everything can be rebuilt from the statuses.
fn another_look_changes_nothing(world: &World) -> Result<(), TestCaseError> {
    let mut restarted = World { services: world.services.clone(), ..World::new(world.pools.clone()) };
    restarted.reprocess();
    prop_assert_eq!(&restarted.services, &world.services);
    prop_assert_eq!(restarted.held(), world.held());
    prop_assert_eq!(restarted.allocator.all_counters(), world.allocator.all_counters());
    for decision in allocate(&Options::default(), &world.pools, &world.listed()) {
        let held =
            world.allocator.held(&decision.service).map_or(vec![], |(addresses, _)| addresses.to_vec());
        prop_assert_eq!((&decision.write, &decision.addresses), (&None, &held), "{}", decision.service);
        prop_assert!(decision.refusal.is_some() || !decision.addresses.is_empty());
    }
    let mut allocator = world.allocator.clone();
    for service in world.services.values() {
        let decision = allocator.converge(service);
        prop_assert_eq!((decision.write, decision.world_changed), (None, false), "{}", service.key);
    }
    Ok(())
}

fn the_first_open_address_is_found(world: &World, newcomer: &Service) -> Result<(), TestCaseError> {
    let tenant = Tenant::of(newcomer);
    for (name, config) in &world.pools {
        let id = world.allocator.pools().find(name).unwrap();
        for family in [IpFamily::V4, IpFamily::V6] {
            let walk = config.prefixes().flat_map(|prefix| prefix_addresses(*prefix)).find(|&address| {
                IpFamily::of(address) == family
                    && usable_in(config, address)
                    && world.allocator.can_use(&tenant, address).is_ok()
            });
            prop_assert_eq!(
                world.allocator.pools().first_open(id, family, &tenant),
                walk,
                "{} {:?}",
                name,
                family
            );
        }
    }
    Ok(())
}

/// All addresses of a small prefix. Not `hosts`, which leaves some out.
fn prefix_addresses(prefix: ipnet::IpNet) -> Vec<IpAddr> {
    let single = prefix.max_prefix_len();
    prefix.subnets(single).unwrap().map(|subnet| subnet.addr()).collect()
}

/// Whoever else held something holds it still, in the same place of the status.
fn only_its_own_change_moves_a_service(
    before: &BTreeMap<ServiceKey, Vec<IpAddr>>,
    now: &BTreeMap<ServiceKey, Vec<IpAddr>>,
    changed: &ServiceKey,
) -> Result<(), TestCaseError> {
    for (key, addresses) in before.iter().filter(|(key, _)| *key != changed) {
        let kept = now.get(key).is_some_and(|now| now.starts_with(addresses));
        prop_assert!(kept, "{} had {:?} and has {:?}", key, addresses, now.get(key));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_rules_hold(
        pools in any_pools(),
        steps in vec(step(), 1..24),
        newcomer in any_service(),
    ) {
        let mut world = World::new(pools);
        let newcomer = Service { key: ServiceKey { name: "newcomer".into(), ..newcomer.key }, ..newcomer };
        for step in steps {
            let before = world.held();
            let changed = match &step {
                Step::Put(service) => Some(service.key.clone()),
                Step::Retune(key, _) | Step::Delete(key) => Some(key.clone()),
                Step::SetPools(_) | Step::Restart => None,
            };
            world.apply(step);
            addresses_are_shared_by_the_rules_only(&world)?;
            addresses_come_from_pools_that_admit_their_holders(&world)?;
            counters_equal_a_recount(&world)?;
            another_look_changes_nothing(&world)?;
            the_first_open_address_is_found(&world, &newcomer)?;
            if let Some(changed) = changed {
                only_its_own_change_moves_a_service(&before, &world.held(), &changed)?;
            }
        }
    }

    /// Statuses may say anything when a cluster is first seen.
    #[test]
    fn a_cluster_that_was_never_seen_is_settled_at_once(
        pools in any_pools(),
        services in vec((any_service(), vec(select(vec!["10.0.0.0", "10.0.1.4", "fd00::1", "fd01::", "9.9.9.9", "host", "?"]), 0..3)), 0..8),
    ) {
        let services: BTreeMap<ServiceKey, Service> =
            services.into_iter().map(|(service, status)| (service.key.clone(), service.status(&status))).collect();
        let services: Vec<Service> = services.into_values().collect();
        let decisions = allocate(&Options::default(), &pools, &services);
        prop_assert_eq!(&decisions, &allocate(&Options::default(), &pools, &services), "nothing is random");
        let settled: Vec<Service> =
            decisions.iter().zip(&services).map(|(decision, service)| decision.applied_to(service)).collect();
        for (first, second) in decisions.iter().zip(allocate(&Options::default(), &pools, &settled)) {
            prop_assert_eq!(&first.addresses, &second.addresses);
            prop_assert_eq!(&second.write, &None);
        }
    }
}
