//! The rules as tables, the properties that hold whatever happens, and what both are built from.

mod cluster;
mod events;
mod properties;
mod rules;
mod sequences;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::*;
use crate::config::{AddressEntry, Scope};
use crate::selector::{Labels, Operator, Requirement, Selector};
use crate::snapshot::{Ingress, IpFamily, IpFamilyPolicy, ServiceKey, ServicePort, ServiceType};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| ip(text)).collect()
}

fn pool(name: &str, prefixes: &[&str]) -> Pool {
    let entry =
        |text: &&str| AddressEntry { text: (*text).to_owned(), prefixes: vec![text.parse().unwrap()] };
    Pool {
        name: name.to_owned(),
        addresses: prefixes.iter().map(entry).collect(),
        auto_assign: true,
        avoid_buggy_ips: false,
        scope: None,
        l2_advertisements: Vec::new(),
        bgp_advertisements: Vec::new(),
    }
}

fn pools(pools: impl IntoIterator<Item = Pool>) -> BTreeMap<String, Pool> {
    pools.into_iter().map(|pool| (pool.name.clone(), pool)).collect()
}

fn allocator(of: impl IntoIterator<Item = Pool>) -> Allocator {
    let mut allocator = Allocator::new(Options::default());
    allocator.set_pools(pools(of));
    allocator
}

/// A Service of type LoadBalancer in the namespace `default`, IPv4, with one port that depends on its name.
fn service(name: &str) -> Service {
    Service {
        key: ServiceKey::new("default", name),
        labels: Labels::default(),
        annotations: BTreeMap::new(),
        service_type: ServiceType::LoadBalancer,
        load_balancer_class: None,
        load_balancer_ip: String::new(),
        cluster_ips: vec!["10.96.0.1".to_owned()],
        cluster_ip: "10.96.0.1".to_owned(),
        ip_family_policy: IpFamilyPolicy::SingleStack,
        primary_family: None,
        ports: vec![port("TCP/80")],
        local_traffic_only: false,
        selector: Labels::default(),
        ingress: Vec::new(),
    }
}

fn port(text: &str) -> ServicePort {
    let (protocol, number) = text.split_once('/').unwrap();
    ServicePort { protocol: protocol.to_owned(), port: number.parse().unwrap() }
}

const V4: &[&str] = &["10.96.0.1"];
const V6: &[&str] = &["fd96::1"];
const DUAL: &[&str] = &["10.96.0.1", "fd96::1"];
const PREFER: IpFamilyPolicy = IpFamilyPolicy::PreferDualStack;
const REQUIRE: IpFamilyPolicy = IpFamilyPolicy::RequireDualStack;

/// What a test changes in a Service.
trait Change: Sized {
    fn with(self, change: impl FnOnce(&mut Self)) -> Self;
}

impl<T> Change for T {
    fn with(mut self, change: impl FnOnce(&mut T)) -> T {
        change(&mut self);
        self
    }
}

impl Service {
    fn cluster(self, cluster_ips: &[&str]) -> Service {
        self.with(|service| {
            service.cluster_ips = cluster_ips.iter().map(|&text| text.to_owned()).collect();
            service.cluster_ip = cluster_ips.first().map_or(String::new(), |&text| text.to_owned());
        })
    }

    fn policy(self, policy: IpFamilyPolicy) -> Service {
        self.with(|service| service.ip_family_policy = policy)
    }

    fn namespace(self, namespace: &str) -> Service {
        self.with(|service| service.key.namespace = namespace.into())
    }

    fn label(self, key: &str, value: &str) -> Service {
        self.with(|service| service.labels = Labels::from([(key.to_owned(), value.to_owned())]))
    }

    fn annotate(self, key: &str, value: &str) -> Service {
        self.with(|service| drop(service.annotations.insert(key.to_owned(), value.to_owned())))
    }

    fn wants_pool(self, pool: &str) -> Service {
        self.annotate("metallb.io/address-pool", pool)
    }

    fn requests(self, addresses: &str) -> Service {
        self.annotate("metallb.io/loadBalancerIPs", addresses)
    }

    fn spec_ip(self, address: &str) -> Service {
        self.with(|service| service.load_balancer_ip = address.to_owned())
    }

    fn shares(self, key: &str) -> Service {
        self.annotate("metallb.io/allow-shared-ip", key)
    }

    /// Traffic stays on the nodes of these pods.
    fn local(self, app: &str) -> Service {
        self.with(|service| {
            service.local_traffic_only = true;
            service.selector = Labels::from([("app".to_owned(), app.to_owned())]);
        })
    }

    fn ports(self, ports: &[&str]) -> Service {
        self.with(|service| service.ports = ports.iter().map(|text| port(text)).collect())
    }

    /// An entry of the status per text; what starts with a letter is a host name.
    fn status(self, entries: &[&str]) -> Service {
        let entry = |text: &&str| {
            let is_hostname = text.contains("host");
            let value = Some((*text).to_owned());
            if is_hostname {
                Ingress { ip: None, hostname: value }
            } else {
                Ingress { ip: value, hostname: None }
            }
        };
        self.with(|service| service.ingress = entries.iter().map(entry).collect())
    }

    fn of_type(self, name: &str) -> Service {
        self.with(|service| service.service_type = ServiceType::Other(name.to_owned()))
    }
}

impl Pool {
    fn manual(self) -> Pool {
        self.with(|pool| pool.auto_assign = false)
    }

    fn avoiding_buggy(self) -> Pool {
        self.with(|pool| pool.avoid_buggy_ips = true)
    }

    /// For these namespaces (none named: any) and Services with this label (none: any).
    fn pinned(self, priority: i64, namespaces: &[&str], label: Option<(&str, &str)>) -> Pool {
        let selector = |(key, value): (&str, &str)| {
            Selector::new(vec![Requirement {
                key: key.to_owned(),
                operator: Operator::Equals(value.to_owned()),
            }])
        };
        let names: BTreeSet<String> = namespaces.iter().map(|&name| name.to_owned()).collect();
        self.with(|pool| {
            pool.scope = Some(Scope {
                priority,
                namespaces: Some(names).filter(|names| !names.is_empty()),
                service_selectors: label.map(selector).into_iter().collect(),
            });
        })
    }
}

/// The texts of a decision's events, each with its type and reason.
fn texts(decision: &Decision) -> Vec<String> {
    decision
        .events
        .iter()
        .map(|event| format!("{:?} {}: {}", event.event_type, event.reason, event.message))
        .collect()
}

fn warns(decision: &Decision) -> bool {
    decision.events.iter().any(|event| event.event_type == EventType::Warning)
}

/// Converges a Service and writes the result into it, as the controller does.
fn settle(allocator: &mut Allocator, service: &mut Service) -> Decision {
    let decision = allocator.converge(service);
    decision.write.iter().for_each(|write| write.apply(service));
    decision
}
